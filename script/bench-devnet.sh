#!/usr/bin/env bash
# Times the released build of `session-key devnet` beside anvil and npm @pimlico/alto doing the same, in one run: the start of the stack
# with its bundler, an operation from being sent to its receipt, and a bundle of a hundred accounts' operations. Then the cost of tracing
# validations (ERC-7562), by the testkit's benchmarks. Times depend on the machine; compare the ratios, on a machine that does nothing
# else.
# ROUNDS (default 5) starts of each stack, OPERATIONS (default 20) operations, ACCOUNTS (default 100) in the bundle.
set -euo pipefail
cd "$(dirname "$0")/.."

source script/toolchain.sh
for package in bundler devnet; do
  if ! cmp -s "interop/$package/package-lock.json" "interop/$package/node_modules/.installed-lock.json"; then
    npm ci --prefix "interop/$package" --ignore-scripts --no-audit --no-fund
    cp "interop/$package/package-lock.json" "interop/$package/node_modules/.installed-lock.json"
  fi
done
cargo build --release -p session-key-cli --locked
mkdir -p target/interop
# By default alto listens on every interface and does not print its port.
cat >target/interop/loopback.cjs <<'JS'
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
node interop/devnet/bench.mjs target/release/session-key "$(command -v anvil)" interop/bundler/node_modules/.bin/alto \
  "$PWD/target/interop/loopback.cjs"
# With libsecp256k1, as in the command: what recovering signers takes would hide what tracing does.
cargo bench --locked --quiet -p session-key-testkit --features secp256k1 --bench chain -- user_operation_through_the_bundler
