#!/usr/bin/env bash
# Asks the validation manager of npm @metamask/test-bundler, as it is, and the bundler of `session-key devnet` about the same
# operations: what the package's rule breakers do, and what contracts do that break one rule each. The validation manager hands its
# collector, in JavaScript, to anvil's debug_traceCall. Everything is on free loopback ports. Fails if the two differ otherwise than
# interop/erc7562/run.mjs says, with reasons.
set -euo pipefail
cd "$(dirname "$0")/.."

home=target/interop
mkdir -p "$home"

source script/toolchain.sh
package=interop/erc7562
if ! cmp -s "$package/package-lock.json" "$package/node_modules/.installed-lock.json"; then
  npm ci --prefix "$package" --ignore-scripts --no-audit --no-fund
  cp "$package/package-lock.json" "$package/node_modules/.installed-lock.json"
fi
cargo build -p session-key-cli --locked

started=()
trap 'for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done; wait 2>/dev/null || true' EXIT
# Waits until a process has written what tells its address, or fails when it exits.
wait_for() { # name process log command...
  local name=$1 process=$2 log=$3
  until "${@:4}"; do
    if ! kill -0 "$process" 2>/dev/null; then
      echo "interop-erc7562.sh: $name did not start; its output:" >&2
      tail -n 20 "$log" >&2
      exit 1
    fi
    sleep 0.2
  done
}

anvil_log=$home/erc7562-anvil.log
: >"$anvil_log"
anvil --host 127.0.0.1 --port 0 --chain-id 31337 --hardfork prague >>"$anvil_log" 2>&1 &
started+=($!)
wait_for anvil $! "$anvil_log" grep -q '^Listening on ' "$anvil_log"
anvil=http://$(sed -n '/^Listening on /{s///p;q}' "$anvil_log")

# The validation manager takes any stake for one, and nothing is to be bundled.
line=$home/erc7562-devnet.json
: >"$line"
target/debug/session-key devnet --port 0 --json --entry-point v0.6 --bundling manual \
  --min-stake "1 wei" --min-unstake-delay 1 >"$line" 2>"$home/erc7562-devnet.log" &
started+=($!)
wait_for "the devnet" $! "$home/erc7562-devnet.log" test -s "$line"
devnet=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).rpcUrl' "$line")

node interop/erc7562/run.mjs "$anvil" "$devnet"
