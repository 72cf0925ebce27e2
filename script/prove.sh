#!/usr/bin/env bash
# Proves the properties in contracts/proofs with halmos: symbolic execution of the compiled code, for all arguments at
# once. Fails on a counterexample, on any panic, and where the solvers give no answer in time. Arguments go to halmos:
#
#     script/prove.sh --match-contract SpendLimit
set -euo pipefail
cd "$(dirname "$0")/.."

source script/toolchain.sh
source script/python-tools.sh
install_python_tool halmos

# Associated storage is not laid out as Solidity's own variables are: hence the generic model of storage.
FOUNDRY_PROFILE=proofs halmos --forge-build-out cache/proofs/out --storage-layout generic --panic-error-codes '*' \
  --solver-command script/smt-solver.sh --solver-timeout-assertion 15m --no-status "$@"
