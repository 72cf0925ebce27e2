#!/usr/bin/env bash
# Runs the Rust client and the published TypeScript client (npm @alchemy/aa-accounts) against a real node (anvil) and a real
# bundler (npm @pimlico/alto), all on free loopback ports. Each client also uses a key granted by the other.
# The bundler is large, so package.json does not depend on it; it is installed on the first run.
set -euo pipefail
cd "$(dirname "$0")/.."

home=target/interop
mkdir -p "$home"

source script/toolchain.sh
for package in bundler typescript; do
  if ! cmp -s "interop/$package/package-lock.json" "interop/$package/node_modules/.installed-lock.json"; then
    npm ci --prefix "interop/$package" --ignore-scripts --no-audit --no-fund
    cp "interop/$package/package-lock.json" "interop/$package/node_modules/.installed-lock.json"
  fi
done
# By default the bundler listens on every interface and does not print its port. This binds it to loopback and prints the port.
cat >"$home/loopback.cjs" <<'JS'
const fs = require("fs");
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  this.once("listening", () => {
    fs.appendFileSync(process.env.LISTENING_FILE, `Listening on 127.0.0.1:${this.address().port}\n`);
  });
  if (typeof args[0] === "object" && args[0] !== null) args[0].host = "127.0.0.1";
  else if (typeof args[0] === "number" && typeof args[1] === "string") args[1] = "127.0.0.1";
  return listen.apply(this, args);
};
JS

started=()
trap 'for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done; wait 2>/dev/null || true' EXIT

answers() { # url
  curl -sf -m 2 -H 'content-type: application/json' "$1" \
    -d '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' >/dev/null
}
# Waits until the process has printed its address and answers there, or fails when it exits. Prints its URL.
wait_for() { # name process file log
  local address
  until address=$(sed -n '/^Listening on /{s///p;q}' "$3") && [ -n "$address" ] && answers "http://$address"; do
    if ! kill -0 "$2" 2>/dev/null; then
      echo "interop.sh: $1 did not start; its output:" >&2
      tail -n 20 "$4" >&2
      exit 1
    fi
    sleep 0.2
  done
  echo "http://$address"
}

: >"$home/anvil.log"
anvil --host 127.0.0.1 --port 0 --chain-id 31337 --hardfork prague --balance 1000000 \
  >>"$home/anvil.log" 2>&1 &
started+=($!)
rpc=$(wait_for anvil $! "$home/anvil.log" "$home/anvil.log")

# Development accounts 8 and 9, whose keys are public.
executor=0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97
utility=0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6
entry_point=0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789

# The EntryPoint must exist before the bundler starts.
SESSION_KEY_RPC_URL=$rpc cargo test -p session-key-client --locked --test it -- --ignored interop_through_the_entry_point

export LISTENING_FILE=$PWD/$home/alto.listening
: >"$LISTENING_FILE"
NODE_OPTIONS="--require $PWD/$home/loopback.cjs" interop/bundler/node_modules/.bin/alto \
  --rpc-url "$rpc" --port 0 --entrypoints "$entry_point" \
  --executor-private-keys "$executor" --utility-private-key "$utility" \
  --safe-mode false --min-entity-stake 1 --min-entity-unstake-delay 1 \
  --min-bundle-interval 10 --max-bundle-interval 50 --block-time 200 \
  --utility-wallet-monitor false --refilling-wallets false \
  >"$home/alto.log" 2>&1 &
started+=($!)
bundler=$(wait_for alto $! "$LISTENING_FILE" "$home/alto.log")

SESSION_KEY_RPC_URL=$rpc SESSION_KEY_BUNDLER_URL=$bundler \
  cargo test -p session-key-client --locked --test it -- --ignored interop_through_a_bundler

# The two clients exchange keys through a file.
export SESSION_KEY_RPC_URL=$rpc SESSION_KEY_BUNDLER_URL=$bundler SESSION_KEY_INTEROP_FILE=$PWD/$home/shared.json
cargo test -p session-key-client --locked --test it -- --ignored interop_grants_a_key_to_typescript
node interop/typescript/run.mjs "$SESSION_KEY_INTEROP_FILE"
cargo test -p session-key-client --locked --test it -- --ignored interop_uses_a_key_of_typescript
