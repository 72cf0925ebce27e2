#!/usr/bin/env bash
# Static analysis of contracts/src by slither: every detector of every impact but those below. Fails on a finding, and on a
# comment that silences nothing. A finding that is none is silenced where it stands, with the reason above it.
set -euo pipefail
cd "$(dirname "$0")/.."

source script/toolchain.sh
source script/python-tools.sh
install_python_tool slither

excluded=(
  # Reports that there is assembly, not what is wrong with it.
  assembly
  # The libraries allow older compilers too; foundry.toml pins the one that compiles everything.
  pragma
  # Variables start at zero by the language's rule. Sums, searches and records that begin there rely on it.
  uninitialized-local
)

# Slither reads the syntax trees of one build of everything. The deployed bytecode is built with other settings.
build=cache/analysis
export FOUNDRY_PROFILE=analysis FOUNDRY_OUT=$build/out FOUNDRY_CACHE_PATH=$build/cache
rm -rf "$build"
mkdir -p "$build"
if ! forge build contracts/src --build-info >"$build/log" 2>&1; then
  cat "$build/log" >&2
  exit 1
fi

# Its own exit code would tell of comments in the libraries too.
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
            findings.append(f"{comment['file']}:{comment['line']}: silences no {', '.join(comment['unused_detectors'])}\n")
findings = list(dict.fromkeys(findings))
print("\n".join(findings) + f"slither: {len(findings)} findings")
sys.exit(1 if findings else 0)
PY
