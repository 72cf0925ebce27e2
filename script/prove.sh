#!/usr/bin/env bash
# Proves the properties in contracts/proofs with halmos, which executes the compiled code symbolically for all arguments.
# Fails on a counterexample, on any panic, and if the solvers time out. Arguments are passed to halmos:
#
#     script/prove.sh --match-contract SpendLimit
set -euo pipefail
cd "$(dirname "$0")/.."

source script/toolchain.sh
source script/python-tools.sh
install_python_tool halmos

# The generic storage model is needed because associated storage does not follow Solidity's layout.
FOUNDRY_PROFILE=proofs halmos --forge-build-out cache/proofs/out --storage-layout generic --panic-error-codes '*' \
  --solver-command script/smt-solver.sh --solver-timeout-assertion 15m --no-status "$@"
