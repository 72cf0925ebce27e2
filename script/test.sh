#!/usr/bin/env bash
# Runs all tests (`forge test` for the contracts; nextest, or else `cargo test`, for the crates) and prints how many passed.
# Installs the pinned npm packages first if they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

source script/toolchain.sh

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

forge test 2>&1 | tee "$logs/forge"
if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --workspace --locked --no-fail-fast 2>&1 | tee "$logs/cargo"
  cargo test --workspace --locked --doc 2>&1 | tee "$logs/doc"
else
  cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$logs/cargo"
fi

# The closing lines: forge's "…: 12 tests passed, 0 failed, …", nextest's "Summary […] 34 tests run: 34 passed, …", and one
# "test result: ok. 5 passed; …" for each binary of cargo test.
plain() { sed 's/\x1b\[[0-9;]*m//g' "$@"; }
forge_passed=$(plain "$logs/forge" | sed -n 's/^Ran .*: \([0-9]*\) tests passed.*/\1/p' | tail -n 1)
nextest_passed=$(plain "$logs/cargo" | sed -n 's/^ *Summary .*: \([0-9]*\) passed.*/\1/p' | tail -n 1)
cargo_passed=$(cat "$logs"/cargo "$logs"/doc 2>/dev/null | plain | sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }')
rust_passed=$((${nextest_passed:-0} + cargo_passed))
if [ "${forge_passed:-0}" -eq 0 ] || [ "$rust_passed" -eq 0 ]; then
  echo "test.sh: a test runner ran no test" >&2
  exit 1
fi
echo
echo "Solidity: $forge_passed tests, Rust: $rust_passed tests"
echo "$((forge_passed + rust_passed)) passed, 0 failed"
