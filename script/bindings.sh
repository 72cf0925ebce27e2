#!/usr/bin/env bash
# Regenerates the creation bytecode that the Rust crates carry, from the Solidity sources with the pinned compiler.
# With --check it changes nothing, and fails if what is checked in is not what the sources compile to.
#
# The contracts are compiled by themselves, in a folder of their own: what solc makes through the IR depends on which other
# files are compiled with them.
set -euo pipefail
cd "$(dirname "$0")/.."
source script/toolchain.sh

case "${1-}" in
  "") check=false ;;
  --check) check=true ;;
  *) echo "usage: script/bindings.sh [--check]" >&2; exit 2 ;;
esac

bindings=(ModularAccount ModularAccountFactory MultiOwnerPlugin SessionKeyPlugin)
mocks=(TestPaymaster TestToken)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The creation bytecode in an artifact, as one line of hex. Fails on an unlinked library.
bytecode() {
  node -e '
    const { bytecode } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    const hex = typeof bytecode === "string" ? bytecode : bytecode.object;
    if (!/^0x([0-9a-f]{2})+$/.test(hex)) throw new Error(`${process.argv[1]}: no linked creation bytecode`);
    console.log(hex);
  ' "$1"
}

# Puts the output of a build into $work/<crate>/.
compile() {
  local crate=$1 folder=$2
  shift 2
  mkdir -p "$work/$crate"
  if ! forge build --force --out "$work/out" --cache-path "$work/cache" \
    "${@/#/$folder/}" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
  fi
  local source
  for source in "$@"; do
    bytecode "$work/out/$source/${source%.sol}.json" >"$work/$crate/${source%.sol}.hex"
  done
}

compile bindings contracts/src "${bindings[@]/%/.sol}"
compile testkit contracts/test/mocks "${mocks[@]/%/.sol}"
bytecode node_modules/@account-abstraction/contracts/artifacts/EntryPoint.json >"$work/testkit/EntryPoint.hex"

status=0
for crate in bindings testkit; do
  checked_in=crates/$crate/bytecode
  for file in "$work/$crate"/*.hex; do
    name=$(basename "$file")
    if cmp -s "$file" "$checked_in/$name"; then
      continue
    elif $check; then
      echo "$checked_in/$name is not what the sources compile to: run script/bindings.sh" >&2
      status=1
    else
      mkdir -p "$checked_in"
      cp "$file" "$checked_in/$name"
      echo "updated $checked_in/$name"
    fi
  done
done
exit $status
