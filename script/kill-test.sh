#!/usr/bin/env bash
# Kills N processes (200 by default) while they send to a real node, with shared stores in one SQLite file; starts each again,
# and checks that no payment is doubled or lost, and that the ledger counts it. The last line of output is the result.
#
#     ./script/kill-test.sh 200
#     ./script/kill-test.sh 200 --postgres     with stores in a PostgreSQL server, which crashes every few seconds
set -euo pipefail
cd "$(dirname "$0")/.."
source script/toolchain.sh

kills=${1:-200}
if [ "${2:-}" = --postgres ] && [ -z "${SESSION_KEY_TEST_POSTGRES:-}" ]; then
  exec ./script/postgres.sh "./script/kill-test.sh" "$kills" --postgres
fi
home=$(mktemp -d)
./script/tool.sh session-key-kill-test --help >/dev/null

anvil --host 127.0.0.1 --port 0 --block-time 1 --mixed-mining --hardfork prague --balance 1000000 --accounts 2 \
  >"$home/anvil.log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null || true; rm -rf "$home"' EXIT
until rpc=$(sed -n 's/^Listening on \(.*\)$/\1/p' "$home/anvil.log") && [ -n "$rpc" ]; do
  kill -0 "$node" 2>/dev/null || { cat "$home/anvil.log" >&2; exit 1; }
  sleep 0.1
done

store=(--store "$home/journal.sqlite")
if [ "${2:-}" = --postgres ]; then
  store=(--store "$SESSION_KEY_TEST_POSTGRES" --restart "$SESSION_KEY_TEST_POSTGRES_RESTART")
fi
./script/tool.sh session-key-kill-test judge --rpc-url "http://$rpc" --kills "$kills" "${store[@]}"
