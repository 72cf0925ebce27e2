#!/usr/bin/env bash
# Benchmarks the Rust client and the TypeScript client on the same work: everything between choosing the calls and sending.
# The clients alternate for ROUNDS rounds (default 7). The lowest median of each counts, because other load on the machine
# only ever adds time. Times depend on the machine; compare the ratio.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cmp -s interop/typescript/package-lock.json interop/typescript/node_modules/.installed-lock.json; then
  npm ci --prefix interop/typescript --ignore-scripts --no-audit --no-fund
  cp interop/typescript/package-lock.json interop/typescript/node_modules/.installed-lock.json
fi

bench=(cargo bench --locked --quiet -p session-key-client --features secp256k1 --bench encode_and_sign)
"${bench[@]}" --no-run
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
for ((round = 0; round < ${ROUNDS:-7}; round++)); do
  "${bench[@]}" >"$results/$round.rust" 2>"$results/log" || { cat "$results/log" >&2 && exit 1; }
  node interop/typescript/bench.mjs >"$results/$round.typescript"
done

python3 - "$results" <<'PY'
import json, pathlib, re, sys

results = pathlib.Path(sys.argv[1])
unit = {"ns": 1e-3, "µs": 1.0, "ms": 1e3}
rust, typescript = {}, {}
for output in results.glob("*.rust"):
    for line in output.read_text().splitlines():
        # ├─ name  fastest │ slowest │ median │ …
        name = re.search(r"[├╰]─ (\w+)", line)
        cells = [cell.split() for cell in line.split("│")]
        if name and len(cells) > 3:
            value, scale = cells[2]
            rust.setdefault(name[1], []).append(float(value) * unit[scale])
for output in results.glob("*.typescript"):
    for name, median in json.loads(output.read_text()).items():
        typescript.setdefault(name, []).append(median)
print(f"{'least median, in microseconds':36} {'Rust':>8} {'TypeScript':>11} {'ratio':>6}")
for name, medians in typescript.items():
    ours, theirs = min(rust[name]), min(medians)
    print(f"{name:36} {ours:8.2f} {theirs:11.2f} {theirs / ours:6.1f}")
PY
