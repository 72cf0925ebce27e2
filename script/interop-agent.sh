#!/usr/bin/env bash
# Runs published clients against `session-key agent serve` and `session-key agent mcp`, as they are: viem's EIP-5792 actions, and the
# official TypeScript client of the Model Context Protocol. Chain, bundler and service are on free loopback ports.
set -euo pipefail
cd "$(dirname "$0")/.."

home=target/interop/agent
rm -rf "$home"
mkdir -p "$home"
if ! cmp -s interop/agent/package-lock.json interop/agent/node_modules/.installed-lock.json; then
  npm ci --prefix interop/agent --ignore-scripts --no-audit --no-fund
  cp interop/agent/package-lock.json interop/agent/node_modules/.installed-lock.json
fi
cargo build -p session-key-cli --locked
command=$PWD/target/debug/session-key

started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait 2>/dev/null || true' EXIT
first_line() { # file what
  for _ in $(seq 300); do
    [ -s "$1" ] && return
    sleep 0.2
  done
  echo "interop-agent.sh: $2 did not start:" >&2
  cat "$1.log" >&2
  exit 1
}
member() { node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8").split("\n")[0])'".$2" "$1"; }

: >"$home/devnet.json"
"$command" devnet --port 0 --json >"$home/devnet.json" 2>"$home/devnet.json.log" &
started+=($!)
first_line "$home/devnet.json" "the network"

"$command" agent token "$home/token" >"$home/token.txt"
hash=$(grep token_hash "$home/token.txt")
cat >"$home/shop.toml" <<END
[tokens.TUSD]
address = "$(member "$home/devnet.json" contracts.testToken)"
decimals = 6

[agent]
windows = ["5 TUSD per 1 day"]
END
cat >"$home/clients.toml" <<END
[[clients]]
name = "shop"
$hash
policy = "shop.toml"
END

: >"$home/serving.json"
SESSION_KEY_AGENT_KEY=$(member "$home/devnet.json" sessionKeyPrivateKey) "$command" agent serve \
  "$(member "$home/devnet.json" sessionKey)" --account "$(member "$home/devnet.json" account)" \
  --rpc-url "$(member "$home/devnet.json" rpcUrl)" --bundler-url "$(member "$home/devnet.json" bundlerUrl)" \
  --clients "$home/clients.toml" --state "$home/state" --port 0 --json >"$home/serving.json" 2>"$home/serving.json.log" &
serving=$!
started+=("$serving")
first_line "$home/serving.json" "the service"
head -1 "$home/serving.json" >"$home/first.json"

node interop/agent/run.mjs "$home/devnet.json" "$home/first.json" "$home/token" "$command"

kill -TERM "$serving"
wait "$serving"
"$command" agent verify-log "$home/state/decisions.log" \
  --expect "$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1], "utf8").trim().split("\n").pop()).logHead' "$home/serving.json")"
