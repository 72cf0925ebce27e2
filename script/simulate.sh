#!/usr/bin/env bash
# Runs simulated histories: `script/simulate.sh --seeds 2000`, or `--seed 7` for one history with a full trace.
set -euo pipefail
cd "$(dirname "$0")/.."
# Histories allocate and free a lot of memory. These settings keep glibc from returning it to the system each time.
export MALLOC_TRIM_THRESHOLD_=536870912 MALLOC_MMAP_THRESHOLD_=536870912 MALLOC_TOP_PAD_=67108864
exec ./script/tool.sh session-key-simulation "$@"
