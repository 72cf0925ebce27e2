#!/usr/bin/env bash
# Writes the output of `forge inspect … storageLayout` for each contract to contracts/storage-layout.txt. With --check it
# changes nothing and fails if the layout differs from the checked-in one. Existing accounts keep their storage when they
# upgrade, so variables may be added but never moved.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
source script/toolchain.sh

record=contracts/storage-layout.txt
case "${1-}" in
  "") check=false ;;
  --check) check=true ;;
  *) echo "usage: script/storage-layout.sh [--check]" >&2; exit 2 ;;
esac

# Prints structs member by member, without the compiler's internal ids.
show() {
  forge inspect "$1" storageLayout --json | node -e '
    const { storage, types } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    const shown = new Set();
    const lines = [];
    const members = (list, indent) => {
      for (const { label, slot, offset, type } of list) {
        const { label: typeName, numberOfBytes } = types[type];
        lines.push(`${indent}slot ${slot}, byte ${offset}, ${numberOfBytes} bytes: ${typeName} ${label}`);
      }
      for (const { type } of list) structs(type);
    };
    const structs = (type) => {
      const { label, members: list, value, base, numberOfBytes } = types[type];
      if (value) structs(value);
      if (base) structs(base);
      if (!list || shown.has(type)) return;
      shown.add(type);
      lines.push("", `  ${label}, ${numberOfBytes} bytes`);
      members(list, "    ");
    };
    members(storage, "  ");
    if (storage.length === 0) lines.push("  no variables");
    console.log(lines.join("\n"));
  '
}

shown=$(
  echo "Storage layouts, as script/storage-layout.sh writes them."
  printf '\n%s\n\n' "ModularAccount: behind the ERC-7201 namespace (see src/account/AccountStorage.sol)"
  show AccountStorageLayout
  printf '\n%s\n\n' "ModularAccount: outside the namespace"
  show ModularAccount
  printf '\n%s\n\n' "SessionKeyPlugin: slots are hashes (see src/session-key/LibSessionKeySlots.sol)"
  show SessionKeyPlugin
  printf '\n%s\n\n' "SessionKeyModule: the same slots"
  show SessionKeyModule
  for contract in MultiOwnerPlugin ModularAccountFactory; do
    printf '\n%s\n\n' "$contract"
    show "$contract"
  done
)

if ! $check; then
  printf '%s\n' "$shown" >"$record"
elif ! diff <(printf '%s\n' "$shown") "$record"; then
  echo "$record differs from the sources' layout; if the change is intended, run script/storage-layout.sh" >&2
  exit 1
fi
