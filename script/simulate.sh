#!/usr/bin/env bash
# Histories of the simulated world: ./script/simulate.sh --seeds 2000, or --seed 7 for one of them with all that happens in it.
set -euo pipefail
cd "$(dirname "$0")/.."
# Histories allocate and free a great deal: the memory is kept instead of being given back each time.
export MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_MMAP_THRESHOLD_=536870912 MALLOC_TOP_PAD_=67108864
exec cargo run --quiet --release --locked -p session-key-simulation -- "$@"
