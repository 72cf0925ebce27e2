#!/usr/bin/env bash
# Deploys to anvil, on loopback, under the chain ids of test networks: from nothing, again, half way, and where it must refuse.
# Every refusal must leave the deployer's nonce at zero: nothing was sent.
set -euo pipefail
cd "$(dirname "$0")/.."
source script/toolchain.sh

port=${RPC_PORT:-18546}
rpc=http://127.0.0.1:$port
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

node=
stop() {
  if [ -n "$node" ]; then
    kill "$node" 2>/dev/null || true
    wait "$node" 2>/dev/null || true
    node=
  fi
}
trap stop EXIT
start() { # chain-id [option of anvil …]
  stop
  if cast chain-id --rpc-url "$rpc" >/dev/null 2>&1; then fail "port $port is in use; set RPC_PORT"; fi
  anvil --host 127.0.0.1 --port "$port" --chain-id "$@" >"$home/anvil.log" 2>&1 &
  node=$!
  for _ in $(seq 100); do
    if cast chain-id --rpc-url "$rpc" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  tail -n 20 "$home/anvil.log" >&2
  fail "anvil did not start"
}

# Both print a line for each contract, with what was found and where.
with_forge() { # chain-id [option of forge …]
  EXPECTED_CHAIN_ID=$1 FOUNDRY_PROFILE=deploy \
    forge script script/Deploy.s.sol --rpc-url "$rpc" --private-key "$deployer_key" "${@:2}" >"$home/output" 2>&1
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
# Sends one contract as somebody else would.
create() { # crate contract
  cast send --rpc-url "$rpc" --private-key "$other_key" 0x4e59b44847b379578588920cA78FbF26c0B4956C \
    "0x$(printf '0%.0s' $(seq 64))$(sed s/^0x// "crates/$1/bytecode/$2.hex")" >/dev/null
}

for chain in 11155111 84532 11155420 421614 80002; do
  start "$chain"
  run with_forge "$chain"
  expect 0 5
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 0 ] || fail "a dry run sent something"
  run with_forge "$chain" --broadcast
  expect 0 5
  verify_record
  run with_forge "$chain" --broadcast
  expect 5 0
  [ "$(cast nonce "$deployer" --rpc-url "$rpc")" = 5 ] || fail "sent something when nothing was missing"
  echo "chain $chain: deployed and verified"
done

start 11155111
create testkit EntryPoint
create bindings SessionKeyPlugin
run with_forge 11155111 --broadcast
expect 2 3
verify_record
echo "half way: completed"

# What it is said to take is enough.
start 84532
cost=$(FACTORY_OWNER=$deployer run with_forge 84532 && sed -n 's/.*deploying takes at most \([0-9.]*\) .*/\1/p' "$home/output")
cast rpc --rpc-url "$rpc" anvil_setBalance "$deployer" "$(cast to-hex "$(cast to-wei "$cost")")" >/dev/null
FACTORY_OWNER=$deployer run with_forge 84532 --broadcast
expect 0 5
echo "own factory owner, and no more funds than needed: deployed"

start 11155111
refuse "WrongChain(84532 .* 11155111 " with_forge 84532 --broadcast
cast rpc --rpc-url "$rpc" anvil_setCode 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789 0x00 >/dev/null
refuse 'CodeDiffers("EntryPoint", 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789' with_forge 11155111 --broadcast
start 11155111
cast rpc --rpc-url "$rpc" anvil_setBalance "$deployer" 0x2386f26fc10000 >/dev/null
refuse "Underfunded($deployer, 10000000000000000 " with_forge 11155111 --broadcast
start 11155111 --disable-default-create2-deployer
refuse "NoDeploymentProxy(0x4e59b44847b379578588920cA78FbF26c0B4956C, 11155111 " with_forge 11155111 --broadcast
start 11155111 --hardfork shanghai
refuse "ChainBeforeCancun(11155111 " with_forge 11155111 --broadcast
