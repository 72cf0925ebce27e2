#!/usr/bin/env bash
# Tests deployments by forge and by `session-key deploy` on anvil (on a free loopback port) with the chain ids of test networks:
# to an empty chain, over the other tool's deployment, over a partial one, after an interruption, by two deployers at once, and
# where both tools must refuse. After a refusal, the deployer's nonce must be zero. Both tools must compute the same cost.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
source script/toolchain.sh

record=crates/client/deployments/deterministic.json
home=target/deploy-test
mkdir -p "$home"

# The state file of interrupted deployments.
state=$home/state.json
rm -f "$state"
# The caller's deployment parameters must not affect the test.
unset FACTORY_OWNER MULTI_OWNER_PLUGIN_SALT SESSION_KEY_PLUGIN_SALT MODULAR_ACCOUNT_SALT MODULAR_ACCOUNT_FACTORY_SALT \
  SESSION_KEY_MODULE_SALT

# Development accounts 0 and 1, whose keys are public.
deployer_key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
deployer=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
other_key=0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d

fail() {
  echo "deploy-test.sh: $*" >&2
  exit 1
}

# Waits until a file contains a pattern, or fails when the process exits. Prints the pattern's first group.
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

# Both write status, address, name and salt of each contract to the file `output`.
with_forge() { # chain-id [option of forge …]
  EXPECTED_CHAIN_ID=$1 FOUNDRY_PROFILE=deploy \
    timeout 300 forge script script/Deploy.s.sol --rpc-url "$rpc" --private-key "$deployer_key" "${@:2}" >"$home/output" 2>&1
}
with_command() { # chain-id [option of the command …]
  SESSION_KEY_FUNDER=$deployer_key "$command" deploy --json --rpc-url "$rpc" --chain-id "$1" --state "$state" "${@:2}" \
    >"$home/output.json" 2>"$home/notes" || { cp "$home/output.json" "$home/output"; return 1; }
  node -e '
    const { contracts } = JSON.parse(require("node:fs").readFileSync(process.argv[1]));
    for (const { status, address, name, salt } of contracts) console.log(`${status} ${address} ${name}\n  salt ${salt}`);
  ' "$home/output.json" >"$home/output"
}

show() {
  tail -n 20 "$home/output" | cut -c -400 >&2
}
# Checks how many contracts the last deployment reported as present and as missing.
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
# Checks the code on the chain against the record, without using either deployer.
verify_record() {
  node -e '
    for (const { address, codeHash } of Object.values(JSON.parse(require("node:fs").readFileSync(process.argv[1])).contracts))
      console.log(address, codeHash);
  ' "$record" | while read -r address code_hash; do
    [ "$(cast codehash "$address" --rpc-url "$rpc")" = "$code_hash" ] || fail "$address has other code than recorded"
  done
}
# The documentation must name the recorded addresses.
for address in $(grep -o '"address": "0x[0-9a-fA-F]*"' "$record" | cut -d'"' -f 4); do
  grep -q "$address" docs/deployment.md || fail "docs/deployment.md does not name $address"
done

# Prints the cost in wei reported by the last run.
need() { # tool
  case "$1" in
    with_forge) sed -n 's/^ *in wei: \([0-9]*\)$/\1/p' "$home/output" ;;
    with_command) node -p 'JSON.parse(require("node:fs").readFileSync(process.argv[1])).costWei' "$home/output.json" ;;
  esac
}
# Checks that both tools report the same cost.
same_need() { # chain-id
  local forge_need command_need
  run with_forge "$1"
  forge_need=$(need with_forge)
  run with_command "$1"
  command_need=$(need with_command)
  [[ "$forge_need" =~ ^[1-9][0-9]*$ ]] || fail "forge reports no cost"
  [ "$forge_need" = "$command_need" ] || fail "forge reports a cost of $forge_need wei, and the command $command_need"
  echo "both report a cost of $forge_need wei"
}

# Creates one contract from another account.
create() { # crate contract
  cast send --rpc-url "$rpc" --private-key "$other_key" 0x4e59b44847b379578588920cA78FbF26c0B4956C \
    "0x$(printf '0%.0s' $(seq 64))$(sed s/^0x// "crates/$1/bytecode/$2.hex")" >/dev/null
}

# After a deployment by either tool, the other finds everything in place.
first=with_forge
second=with_command
for chain in 11155111 84532 11155420 421614 80002; do
  start "$chain"
  for tool in "$first" "$second"; do
    run "$tool" "$chain"
    expect 0 7
  done
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 0 ] || fail "a dry run sent something"
  same_need "$chain"
  run "$first" "$chain" --broadcast
  expect 0 7
  verify_record
  run "$second" "$chain" --broadcast
  expect 7 0
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 7 ] || fail "sent something when nothing was missing"
  "$command" doctor --rpc-url "$rpc" --deployment deterministic >"$home/output" || { show; fail "doctor"; }
  echo "chain $chain: deployed $first, verified $second"
  swap=$first first=$second second=$swap
done

for tool in with_forge with_command; do
  start 11155111
  create entry-point EntryPoint
  create bindings SessionKeyPlugin
  same_need 11155111
  run "$tool" 11155111 --broadcast
  expect 2 5
  verify_record
  echo "partial deployment: completed $tool"
done

# An OP Stack chain, with an oracle that charges 1 gwei per transaction for data; and a chain without a base fee.
start 11155420
without=$(run with_command 11155420 && need with_command)
cast rpc --rpc-url "$rpc" anvil_setCode 0x420000000000000000000000000000000000000F 0x633b9aca005f5260205ff3 >/dev/null
same_need 11155420
[ "$(need with_command)" = "$((without + 2 * 7 * 1000000000))" ] || fail "the fee for data is not counted twice"
start 11155111 --hardfork cancun --base-fee 0
same_need 11155111

# With other parameters, both tools compute the same addresses, and the reported cost is enough to deploy.
salt=0x$(printf '5a%.0s' $(seq 32))
start 84532
export FACTORY_OWNER=$deployer MULTI_OWNER_PLUGIN_SALT=$salt MODULAR_ACCOUNT_SALT=$salt SESSION_KEY_MODULE_SALT=$salt
run with_forge 84532
grep -q "owner of the factory $deployer" "$home/output" || { show; fail "the owner is not printed"; }
[ "$(grep -c "^ *salt $salt$" "$home/output")" = 3 ] || { show; fail "the salts are not printed"; }
cast rpc --rpc-url "$rpc" anvil_setBalance "$deployer" "$(cast to-hex "$(need with_forge)")" >/dev/null
run with_forge 84532 --broadcast
expect 0 7
unset FACTORY_OWNER MULTI_OWNER_PLUGIN_SALT MODULAR_ACCOUNT_SALT SESSION_KEY_MODULE_SALT
rm -f "$home/84532.json"
run with_command 84532 --factory-owner "$deployer" --multi-owner-plugin-salt "$salt" --modular-account-salt "$salt" \
  --session-key-module-salt "$salt" --record "$home/84532.json"
expect 7 0
echo "other parameters, with no more funds than the reported cost: deployed with_forge, verified with_command"

# The command is killed while a transaction is pending. The next run continues with it, whatever has happened to it.
transaction() { # contract: prints the hash of its creation, from the last output
  node -p 'JSON.parse(require("node:fs").readFileSync(process.argv[1])).transactions[process.argv[2]]?.hash' "$home/output.json" "$1"
}
status_of() { # transaction: 1 if it succeeded, 0 if it failed
  cast rpc --rpc-url "$rpc" eth_getTransactionReceipt "$1" | node -p 'Number(JSON.parse(require("node:fs").readFileSync(0)).status)'
}
kept() { # index: prints the hash of a transaction in the state file
  node -p 'JSON.parse(require("node:fs").readFileSync(process.argv[1])).transactions.at(process.argv[2]).hash' "$state" "$1"
}
broadcast_and_kill() { # chain-id: kills the command once a transaction is pending
  SESSION_KEY_FUNDER=$deployer_key "$command" deploy --json --broadcast --rpc-url "$rpc" --chain-id "$1" --state "$state" \
    >"$home/output" 2>&1 &
  local process=$!
  for _ in $(seq 300); do
    if [ "$(cast rpc --rpc-url "$rpc" txpool_status | node -p 'JSON.parse(require("node:fs").readFileSync(0)).pending')" != 0x0 ]; then
      # The command then polls for the receipt.
      sleep 0.5
      kill -9 "$process"
      wait "$process" 2>/dev/null || true
      grep -q "$(kept -1)" "$home/output" || { show; fail "the hash was not printed before it was sent"; }
      return
    fi
    kill -0 "$process" 2>/dev/null || { show; fail "nothing was sent"; }
    sleep 0.1
  done
  fail "no transaction is pending"
}
for meanwhile in waits included dropped outbid; do
  start 11155111
  create entry-point EntryPoint
  create bindings MultiOwnerPlugin
  cast rpc --rpc-url "$rpc" evm_setAutomine false >/dev/null
  broadcast_and_kill 11155111
  first_kept=$(kept -1)
  refuse_now=true
  case "$meanwhile" in
    included) cast rpc --rpc-url "$rpc" evm_mine >/dev/null; refuse_now=false ;;
    dropped) cast rpc --rpc-url "$rpc" anvil_dropTransaction "$first_kept" >/dev/null; refuse_now=false ;;
    outbid)
      # The base fee rises far above the transaction's fee, so anvil no longer counts it as pending.
      refuse_now=false
      cast rpc --rpc-url "$rpc" anvil_setNextBlockBaseFeePerGas 0x4a817c800 >/dev/null
      cast rpc --rpc-url "$rpc" evm_mine >/dev/null
      ;;
  esac
  if $refuse_now; then refuse "TransactionsPending($deployer, 0, 1)" with_forge 11155111 --broadcast; fi
  cast rpc --rpc-url "$rpc" evm_setAutomine true >/dev/null
  cast rpc --rpc-url "$rpc" evm_setIntervalMining 1 >/dev/null
  run with_command 11155111 --broadcast
  created=$(transaction SessionKeyPlugin)
  if [ "$meanwhile" = outbid ]; then
    [ "$created" != "$first_kept" ] || fail "the transaction was not replaced"
  else
    [ "$created" = "$first_kept" ] || fail "$meanwhile: created by $created, not by the kept $first_kept"
  fi
  [ "$(status_of "$created")" = 1 ] || fail "a failed transaction is reported as successful"
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 5 ] || fail "$meanwhile: something was sent twice"
  [ ! -e "$state" ] || fail "the state file was not removed"
  verify_record
  echo "interrupted, and meanwhile $meanwhile: completed by the next run"
done

# Two deployers at once, with two accounts: each sees the other's contracts, and neither reports its own failed creations as
# successful.
start 11155111
cast rpc --rpc-url "$rpc" evm_setAutomine false >/dev/null
cast rpc --rpc-url "$rpc" evm_setIntervalMining 1 >/dev/null
pids=()
for key in "$deployer_key" "$other_key"; do
  SESSION_KEY_FUNDER=$key "$command" deploy --json --broadcast --rpc-url "$rpc" --chain-id 11155111 \
    --state "$home/$key.json" >"$home/$key.output" 2>"$home/$key.notes" &
  pids+=($!)
done
for pid in "${pids[@]}"; do
  wait "$pid" || { cat "$home"/0x*.output | cut -c -2000 >&2; fail "one of two deployers at once failed"; }
done
node -e '
  for (const file of process.argv.slice(1))
    for (const { hash, failedHash } of Object.values(JSON.parse(require("node:fs").readFileSync(file)).transactions).filter(Boolean)) {
      if (hash) console.log(hash, 1);
      if (failedHash) console.log(failedHash, 0);
    }
' "$home/$deployer_key.output" "$home/$other_key.output" >"$home/transactions"
while read -r hash status; do
  [ "$(status_of "$hash")" = "$status" ] || fail "$hash is reported with the wrong status"
done <"$home/transactions"
[ "$(grep -c ' 1$' "$home/transactions")" = 7 ] || fail "the seven contracts do not have seven successful creations"
verify_record
echo "two at once: both succeeded, $(grep -c ' 0$' "$home/transactions" || true) transactions were too late"

# Verifies the sources of the deployment recorded above with a mock explorer, which logs submissions. It checks the interval
# between requests, does not know the first contract at first, and decides only after a few requests. On chain 1 it rejects one
# contract; on chain 2 it never decides.
rm -f "$home"/explorer.*
: >"$home/explorer.url"
node -e '
  const { appendFileSync, readFileSync } = require("node:fs");
  const [home] = process.argv.slice(1);
  const jobs = new Map();
  const verified = new Set();
  let last;
  let isBehind = true;
  const answer = (chain, form) => {
    if (form.get("apikey") !== "a key&more") return ["0", "Invalid API Key"];
    if (form.get("module") !== "contract") return ["0", "Error! Missing Or invalid Module name"];
    if (form.get("action") === "checkverifystatus") {
      const job = jobs.get(form.get("guid"));
      if (!job) return ["0", "Fail - Unknown UID"];
      if (job.calls++ === 0) return ["0", "Max calls per sec rate limit reached (5/sec)"];
      if (chain === "2" || job.pending-- > 0) return ["0", "Pending in queue"];
      if (chain === "1" && job.contract === "SessionKeyPlugin") return ["0", "Fail - Unable to verify"];
      verified.add(`${chain} ${job.contract}`);
      return ["1", "Pass - Verified"];
    }
    const [, contract] = form.get("contractname").split(":");
    const isInput = form.get("sourceCode") === readFileSync(`out/standard-json/${contract}.json`, "utf8");
    appendFileSync(`${home}/explorer.log`, `${chain} ${contract} ${form.get("contractaddress")} ${isInput}\n`);
    if (isBehind) {
      isBehind = false;
      return ["0", `Unable to locate ContractCode at ${form.get("contractaddress")}`];
    }
    if (verified.has(`${chain} ${contract}`)) return ["0", "Contract source code already verified"];
    const guid = `guid-of-${contract.toLowerCase()}-${jobs.size}`;
    jobs.set(guid, { contract, calls: 0, pending: 2 });
    return ["1", guid];
  };
  const server = require("node:http").createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const query = new URL(request.url, "http://explorer").searchParams;
      const [status, result] = answer(query.get("chainid"), request.method === "GET" ? query : new URLSearchParams(body));
      if (last && Date.now() - last < 300) appendFileSync(`${home}/explorer.hurry`, `${Date.now() - last} ms\n`);
      last = Date.now();
      response.end(JSON.stringify({ status, message: status === "1" ? "OK" : "NOTOK", result }));
    });
  });
  server.listen(0, "127.0.0.1", () => {
    appendFileSync(`${home}/explorer.url`, `http://127.0.0.1:${server.address().port}\n`);
  });
' "$home" &
explorer=$!
export EXPLORER_API EXPLORER_KEY="a key&more" EXPLORER_INTERVAL=0.3 EXPLORER_ATTEMPTS=8
EXPLORER_API=$(wait_for "the explorer" "$explorer" "$home/explorer.url" '^\(.*\)$')
verify_source() {
  ./script/verify-source.sh "$@" >"$home/output" 2>&1
}
said() { # times text
  [ "$(grep -c -- "$2" "$home/output")" = "$1" ] || { show; fail "the explorer did not answer $1 times: $2"; }
}
run verify_source 84532 "$home/84532.json"
said 5 "Pass - Verified"
said 10 "Pending in queue"
said 5 "rate limit"
said 1 "Unable to locate"
[ "$(grep -c '^84532 .* 0x[0-9a-fA-F]\{40\} true$' "$home/explorer.log")" = 6 ] || fail "the explorer received other submissions"
# Again.
run verify_source 84532 "$home/84532.json"
said 5 "already verified"
[ ! -e "$home/explorer.hurry" ] || fail "requests to the explorer came too fast: $(head -1 "$home/explorer.hurry")"
if verify_source 1 "$home/84532.json"; then fail "a rejection by the explorer went unnoticed"; fi
grep -q "not verified: SessionKeyPlugin$" "$home/output" || { show; fail "verify-source.sh"; }
said 4 "Pass - Verified"
if EXPLORER_ATTEMPTS=3 verify_source 2 "$home/84532.json"; then fail "a missing verdict went unnoticed"; fi
said 5 "not decided after 3 requests"
# Sources that do not match the deployment are not sent.
if FACTORY_OWNER=0x000000000000000000000000000000000000dEaD verify_source 84532 "$home/84532.json"; then
  fail "sources of another deployment were sent"
fi
grep -q "ModularAccountFactory at .* was not created from this bytecode" "$home/output" || { show; fail "verify-source.sh"; }
unset EXPLORER_API EXPLORER_KEY EXPLORER_INTERVAL EXPLORER_ATTEMPTS
echo "sources: submitted with inputs that compile to the deployed code, and polled until decided"

# Malformed parameters.
start 11155111
for malformed in FACTORY_OWNER=0x1234 FACTORY_OWNER= FACTORY_OWNER=0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD \
  MULTI_OWNER_PLUGIN_SALT=0x01 SESSION_KEY_PLUGIN_SALT=1 MODULAR_ACCOUNT_SALT="${salt#0x}" MODULAR_ACCOUNT_FACTORY_SALT="${salt}00" \
  SESSION_KEY_MODULE_SALT=0x; do
  export "${malformed?}"
  refuse "MalformedParameter(\"${malformed%%=*}\", \"${malformed#*=}\"" with_forge 11155111 --broadcast
  unset "${malformed%%=*}"
done
for malformed in "--factory-owner 0x1234" "--factory-owner 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD" \
  "--multi-owner-plugin-salt 0x01" "--session-key-plugin-salt 1" "--modular-account-salt ${salt#0x}" \
  "--modular-account-factory-salt ${salt}00" "--session-key-module-salt 0x"; do
  # shellcheck disable=SC2086
  refuse "invalid value '${malformed#* }' for '${malformed% *}" with_command 11155111 --broadcast $malformed
done

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
