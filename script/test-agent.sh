#!/usr/bin/env bash
# Runs the agent's tests against a PostgreSQL server of their own: one after another, since some of them make it crash.
set -euo pipefail
cd "$(dirname "$0")/.."

./script/postgres.sh cargo test --locked -p session-key-agent --features server-tests --test postgres -- --test-threads 1 "$@"
