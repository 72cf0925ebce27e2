#!/usr/bin/env bash
# Regenerates the golden vectors of ERC-6900 v0.8 accounts with the accounts' TypeScript client (npm
# @account-kit/smart-contracts), which is installed on the first run. With --check it changes nothing and fails if the
# checked-in vectors differ from the client's.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  "") check=false ;;
  --check) check=true ;;
  *) echo "usage: script/account-kit-vectors.sh [--check]" >&2; exit 2 ;;
esac

package=interop/account-kit
vectors=crates/client/tests/golden/account-kit.json
if ! cmp -s "$package/package-lock.json" "$package/node_modules/.installed-lock.json"; then
  npm ci --prefix "$package" --ignore-scripts --no-audit --no-fund
  cp "$package/package-lock.json" "$package/node_modules/.installed-lock.json"
fi
made=$(mktemp)
trap 'rm -f "$made"' EXIT
node "$package/vectors.mjs" >"$made"

if cmp -s "$made" "$vectors"; then
  exit
elif $check; then
  echo "$vectors differs from the client's output: run script/account-kit-vectors.sh" >&2
  exit 1
else
  cat "$made" >"$vectors"
  echo "updated $vectors"
fi
