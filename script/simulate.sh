#!/usr/bin/env bash
# Histories of the simulated world: ./script/simulate.sh --seeds 2000, or --seed 7 for one of them with all that happens in it.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --quiet --release --locked -p session-key-simulation -- "$@"
