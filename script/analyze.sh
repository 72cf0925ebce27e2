#!/usr/bin/env bash
# Analyzes contracts/src with slither, using every detector except those listed below. Fails on any finding and on any
# comment that suppresses nothing. False positives are suppressed in the source, with the reason above the comment.
set -euo pipefail
cd "$(dirname "$0")/.."

source script/toolchain.sh
source script/python-tools.sh
install_python_tool slither

excluded=(
  # Reports any assembly, not problems in it.
  assembly
  # The libraries also allow older compilers; foundry.toml pins the one used for everything.
  pragma
  # Solidity initializes variables to zero; sums, searches and records rely on it.
  uninitialized-local
)

# Slither reads the syntax trees of one complete build. The deployed bytecode is built with other settings.
build=cache/analysis
export FOUNDRY_PROFILE=analysis FOUNDRY_OUT=$build/out FOUNDRY_CACHE_PATH=$build/cache
rm -rf "$build"
mkdir -p "$build"
if ! forge build contracts/src --build-info >"$build/log" 2>&1; then
  cat "$build/log" >&2
  exit 1
fi

# Slither's own exit code also covers comments in the libraries.
if ! slither . --foundry-ignore-compile --foundry-out-directory "$build/out" --include-paths contracts/src/ \
  --exclude "$(IFS=,; echo "${excluded[*]}")" --fail-none --warn-unused-ignores --json "$build/findings.json" \
  >"$build/log" 2>&1; then
  cat "$build/log" >&2
  exit 1
fi
python3 - "$build/findings.json" <<'PY'
import json, sys

findings = []
for result in json.load(open(sys.argv[1]))["results"].get("detectors", []):
    if result["check"] != "unused-ignore-directive":
        findings.append(f"{result['check']} ({result['impact']}): {result['description']}")
        continue
    for comment in result["unused_ignores"]:
        if "/node_modules/" not in comment["file"]:
            findings.append(f"{comment['file']}:{comment['line']}: suppresses no {', '.join(comment['unused_detectors'])}\n")
findings = list(dict.fromkeys(findings))
print("\n".join(findings) + f"slither: {len(findings)} findings")
sys.exit(1 if findings else 0)
PY
