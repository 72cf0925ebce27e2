#!/usr/bin/env bash
# Runs the agent's tests against a PostgreSQL server of their own: one after another, since some of them make it crash.
set -euo pipefail
cd "$(dirname "$0")/.."

# The service, as the command runs it.
./script/postgres.sh cargo test --locked --workspace --features session-key-agent/server-tests --test it -- --ignored on_a_postgres_server

# With the features of the whole workspace, whose dependencies are mostly compiled already.
./script/postgres.sh cargo test --locked --workspace --features session-key-agent/server-tests --test postgres -- --test-threads 1 "$@"
