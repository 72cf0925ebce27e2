#!/usr/bin/env bash
# Measures the Rust client and the TypeScript client at the same work, in one run: what either does between deciding and
# sending. Prints medians, and how many times faster the Rust client is; the ratio is what counts, times depend on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cmp -s interop/typescript/package-lock.json interop/typescript/node_modules/.installed-lock.json; then
  npm ci --prefix interop/typescript --ignore-scripts --no-audit --no-fund
  cp interop/typescript/package-lock.json interop/typescript/node_modules/.installed-lock.json
fi

rust=$(cargo bench --locked -p session-key-client --features secp256k1 --bench encode_and_sign 2>&1) || {
  echo "$rust" >&2
  exit 1
}
typescript=$(node interop/typescript/bench.mjs)
RUST=$rust TYPESCRIPT=$typescript python3 - <<'PY'
import json, os, re

unit = {"ns": 1e-3, "µs": 1.0, "ms": 1e3}
rust = {}
for line in os.environ["RUST"].splitlines():
    # ├─ name  fastest │ slowest │ median │ …
    name = re.search(r"[├╰]─ (\w+)", line)
    cells = [cell.split() for cell in line.split("│")]
    if name and len(cells) > 3:
        value, scale = cells[2]
        rust[name[1]] = float(value) * unit[scale]
print(f"{'median, in microseconds':36} {'Rust':>8} {'TypeScript':>11} {'ratio':>6}")
for name, theirs in json.loads(os.environ["TYPESCRIPT"]).items():
    print(f"{name:36} {rust[name]:8.2f} {theirs:11.2f} {theirs / rust[name]:6.1f}")
PY
