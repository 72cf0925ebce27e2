#!/usr/bin/env bash
# Deploys to anvil, on a free port of loopback, under the chain ids of test networks, by forge and by the command `session-key deploy`: from
# nothing, again by the other of the two, half way, and where both must refuse. Every refusal must leave the deployer's nonce at
# zero: nothing was sent.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
source script/toolchain.sh

record=crates/client/deployments/deterministic.json
home=target/deploy-test
mkdir -p "$home"

# Development accounts 0 and 1 of every anvil: no secrets.
deployer_key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
deployer=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
other_key=0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d

fail() {
  echo "deploy-test.sh: $*" >&2
  exit 1
}

# Waits until a process has written what it is waited for to a file, as long as it lives. Prints the first group of the pattern.
wait_for() { # name process file pattern
  local found
  until found=$(sed -n "s|$4|\\1|p" "$3") && [ -n "$found" ]; do
    if ! kill -0 "$2" 2>/dev/null; then
      tail -n 20 "$3" >&2
      fail "$1 did not start"
    fi
    sleep 0.1
  done
  echo "$found"
}

node=
stop() {
  if [ -n "$node" ]; then
    kill "$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
    node=
  fi
}
explorer=
trap 'stop; if [ -n "$explorer" ]; then kill "$explorer" 2>/dev/null || true; fi' EXIT
start() { # chain-id [option of anvil …]
  stop
  : >"$home/anvil.log"
  anvil --host 127.0.0.1 --port 0 --chain-id "$@" >>"$home/anvil.log" 2>&1 &
  node=$!
  rpc=http://$(wait_for anvil "$node" "$home/anvil.log" '^Listening on \(.*\)$')
}

cargo build --locked -p session-key-cli
command=${CARGO_TARGET_DIR:-target}/debug/session-key

# Both print a line for each contract, with what was found and where.
with_forge() { # chain-id [option of forge …]
  EXPECTED_CHAIN_ID=$1 FOUNDRY_PROFILE=deploy \
    forge script script/Deploy.s.sol --rpc-url "$rpc" --private-key "$deployer_key" "${@:2}" >"$home/output" 2>&1
}
with_command() { # chain-id [option of the command …]
  SESSION_KEY_FUNDER=$deployer_key "$command" deploy --json --rpc-url "$rpc" --chain-id "$1" "${@:2}" \
    >"$home/output.json" || { cp "$home/output.json" "$home/output"; return 1; }
  node -e '
    const { contracts } = JSON.parse(require("node:fs").readFileSync(process.argv[1]));
    for (const { status, address, name } of contracts) console.log(status, address, name);
  ' "$home/output.json" >"$home/output"
}

show() {
  tail -n 20 "$home/output" | cut -c -400 >&2
}
# What a deployment must have said of the contracts: so many there already, so many not.
expect() { # present missing
  local found="$(grep -c '^ *present' "$home/output" || true) $(grep -c '^ *missing' "$home/output" || true)"
  if [ "$found" != "$1 $2" ]; then
    show
    fail "expected $1 contracts present and $2 missing, not $found"
  fi
}
run() {
  if ! "$@"; then
    show
    fail "failed: $*"
  fi
}
refuse() { # reason command …
  if "${@:2}"; then fail "not refused: ${*:2}"; fi
  grep -q -- "$1" "$home/output" || { show; fail "refused, but not for the reason $1"; }
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 0 ] || fail "refused after something was sent: ${*:2}"
  echo "refused: $1"
}
# What is on the chain is what the record says, asked without either of the deployers.
verify_record() {
  node -e '
    for (const { address, codeHash } of Object.values(JSON.parse(require("node:fs").readFileSync(process.argv[1])).contracts))
      console.log(address, codeHash);
  ' "$record" | while read -r address code_hash; do
    [ "$(cast codehash "$address" --rpc-url "$rpc")" = "$code_hash" ] || fail "$address has other code than recorded"
  done
}
# The documentation tells the recorded addresses.
for address in $(grep -o '"address": "0x[0-9a-fA-F]*"' "$record" | cut -d'"' -f 4); do
  grep -q "$address" docs/deployment.md || fail "docs/deployment.md does not name $address"
done

# Sends one contract as somebody else would.
create() { # crate contract
  cast send --rpc-url "$rpc" --private-key "$other_key" 0x4e59b44847b379578588920cA78FbF26c0B4956C \
    "0x$(printf '0%.0s' $(seq 64))$(sed s/^0x// "crates/$1/bytecode/$2.hex")" >/dev/null
}

# Whoever deploys first, the other finds everything in place.
first=with_forge
second=with_command
for chain in 11155111 84532 11155420 421614 80002; do
  start "$chain"
  for tool in "$first" "$second"; do
    run "$tool" "$chain"
    expect 0 5
  done
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 0 ] || fail "a dry run sent something"
  run "$first" "$chain" --broadcast
  expect 0 5
  verify_record
  run "$second" "$chain" --broadcast
  expect 5 0
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 5 ] || fail "sent something when nothing was missing"
  "$command" doctor --rpc-url "$rpc" --deployment deterministic >"$home/output" || { show; fail "doctor"; }
  echo "chain $chain: deployed $first, verified $second"
  swap=$first first=$second second=$swap
done

for tool in with_forge with_command; do
  start 11155111
  create testkit EntryPoint
  create bindings SessionKeyPlugin
  run "$tool" 11155111 --broadcast
  expect 2 3
  verify_record
  echo "half way: completed $tool"
done

# Other parameters lead to the same other addresses. What it is said to take is enough.
salt=0x$(printf '5a%.0s' $(seq 32))
start 84532
export FACTORY_OWNER=$deployer MULTI_OWNER_PLUGIN_SALT=$salt MODULAR_ACCOUNT_SALT=$salt
run with_forge 84532
cost=$(sed -n 's/.*deploying takes at most \([0-9.]*\) .*/\1/p' "$home/output")
cast rpc --rpc-url "$rpc" anvil_setBalance "$deployer" "$(cast to-hex "$(cast to-wei "$cost")")" >/dev/null
run with_forge 84532 --broadcast
expect 0 5
unset MULTI_OWNER_PLUGIN_SALT MODULAR_ACCOUNT_SALT
rm -f "$home/84532.json"
run with_command 84532 --factory-owner "$deployer" --multi-owner-plugin-salt "$salt" --modular-account-salt "$salt" \
  --record "$home/84532.json"
expect 5 0
echo "other parameters, and no more funds than needed: deployed with_forge, verified with_command"

# The sources of what was recorded just now go to something that answers as explorers do, and keeps what it is sent.
rm -f "$home"/explorer.*
: >"$home/explorer.url"
node -e '
  const { appendFileSync, readFileSync } = require("node:fs");
  const [home] = process.argv.slice(1);
  const server = require("node:http").createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const form = new URLSearchParams(body);
      const [, contract] = form.get("contractname").split(":");
      const isInput = form.get("sourceCode") === readFileSync(`out/standard-json/${contract}.json`, "utf8");
      const chain = new URL(request.url, "http://explorer").searchParams.get("chainid");
      appendFileSync(`${home}/explorer.log`, `${chain} ${contract} ${form.get("contractaddress")} ${isInput}\n`);
      response.end(JSON.stringify({ status: chain === "84532" ? "1" : "0", message: "", result: "" }));
    });
  });
  server.listen(0, "127.0.0.1", () => {
    appendFileSync(`${home}/explorer.url`, `http://127.0.0.1:${server.address().port}\n`);
  });
' "$home" &
explorer=$!
export EXPLORER_API
EXPLORER_API=$(wait_for "the explorer" "$explorer" "$home/explorer.url" '^\(.*\)$')
verify_source() {
  ./script/verify-source.sh "$@" >"$home/output" 2>&1
}
run verify_source 84532 "$home/84532.json"
[ "$(grep -c '^84532 .* 0x[0-9a-f]\{40\} true$' "$home/explorer.log")" = 4 ] || fail "the explorer was sent something else"
if verify_source 1 "$home/84532.json"; then fail "a refusal of the explorer went unnoticed"; fi
# Sources of another deployment are not sent.
unset FACTORY_OWNER
if verify_source 84532 "$home/84532.json"; then fail "sources of another deployment were sent"; fi
grep -q "ModularAccountFactory at .* was not created from this bytecode" "$home/output" || { show; fail "verify-source.sh"; }
unset EXPLORER_API
echo "sources: sent with the inputs that compile to what was deployed"

start 11155111
refuse "WrongChain(84532 .* 11155111 " with_forge 84532 --broadcast
refuse "this is chain 11155111, not 84532" with_command 84532 --broadcast

start 11155111
cast rpc --rpc-url "$rpc" anvil_setCode 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789 0x00 >/dev/null
refuse 'CodeDiffers("EntryPoint", 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789' with_forge 11155111 --broadcast
refuse "EntryPoint at 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789 has code with hash" with_command 11155111 --broadcast

start 11155111
cast rpc --rpc-url "$rpc" anvil_setBalance "$deployer" 0x2386f26fc10000 >/dev/null
refuse "Underfunded($deployer, 10000000000000000 " with_forge 11155111 --broadcast
refuse "$deployer has 10000000000000000 wei, and may need" with_command 11155111 --broadcast

start 11155111 --disable-default-create2-deployer
refuse "NoDeploymentProxy(0x4e59b44847b379578588920cA78FbF26c0B4956C, 11155111 " with_forge 11155111 --broadcast
refuse "chain 11155111 has no deployment proxy" with_command 11155111 --broadcast

start 11155111 --hardfork shanghai
refuse "ChainBeforeCancun(11155111 " with_forge 11155111 --broadcast
refuse "chain 11155111 does not run Cancun's instructions" with_command 11155111 --broadcast
