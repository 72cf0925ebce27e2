#!/usr/bin/env bash
# Builds the long-running test programs and runs one of them: `script/tool.sh session-key-fuzz --cases 3000`.
#
# All are built by one command, with the features of the whole workspace: cargo compiles the dependencies anew for each
# different set of features, which takes minutes. For the same reason there is no link-time optimization.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=(session-key-fuzz session-key-kill-test session-key-simulation)
examples=(inspect_growth throughput)

cargo build --quiet --profile tools --locked --workspace "${tools[@]/#/--bin=}" "${examples[@]/#/--example=}"
program=$1
shift
folder=${CARGO_TARGET_DIR:-target}/tools
if [[ " ${examples[*]} " == *" $program "* ]]; then
  folder+=/examples
fi
exec "$folder/$program" "$@"
