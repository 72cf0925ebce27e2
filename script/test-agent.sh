#!/usr/bin/env bash
# Runs the agent's tests against a PostgreSQL server of their own: one after another, since some of them make it crash.
set -euo pipefail
cd "$(dirname "$0")/.."

# The service, as the command runs it.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
./script/postgres.sh cargo test --locked --workspace --features session-key-agent/server-tests --test it -- --ignored on_a_postgres_server |
  tee "$log"
grep -q '^test .*on_a_postgres_server .*ok$' "$log" || { echo "test-agent.sh: the service was not tested" >&2; exit 1; }

# With the features of the whole workspace, whose dependencies are mostly compiled already.
./script/postgres.sh cargo test --locked --workspace --features session-key-agent/server-tests --test postgres -- --test-threads 1 "$@"
