#!/usr/bin/env python3
"""Puts deliberate bugs into the client, one at a time, and lets the simulation look for them.

    ./script/deliberate-bugs.py                    all of crates/simulation/bugs.json
    ./script/deliberate-bugs.py NAME ...           some of them
    ./script/deliberate-bugs.py --seeds 4000       gives up after so many histories (default: 2000)
    ./script/deliberate-bugs.py --write            writes the table into crates/simulation/README.md

The bugs go into a copy of the repository below target/. Prints a table; exit 1 if a bug is not caught.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUGS = ROOT / "crates/simulation/bugs.json"
README = ROOT / "crates/simulation/README.md"
PLACE = ROOT / "target/deliberate-bugs"
COPY = PLACE / "source"
START, END = "<!-- deliberate bugs -->", "<!-- end of deliberate bugs -->"

ENVIRONMENT = os.environ | {
    "CARGO_TARGET_DIR": str(PLACE / "target"),
    # Quick to build.
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_INCREMENTAL": "true",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    # As in simulate.sh.
    "MALLOC_TRIM_THRESHOLD_": "536870912",
    "MALLOC_MMAP_THRESHOLD_": "536870912",
    "MALLOC_TOP_PAD_": "67108864",
}


def copy_repository():
    """Copies what Git knows, keeping times, so that only what a bug changes is built anew."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in listed.decode().split("\0"):
        source, target = ROOT / name, COPY / name
        if not name or not source.is_file():
            continue
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def put_in(bug):
    """Puts a bug into the copy. Answers the files as they were."""
    before = {}
    for edit in bug["edits"]:
        path = COPY / edit["file"]
        text = path.read_text()
        before.setdefault(path, text)
        if text.count(edit["old"]) != 1:
            sys.exit(f"{bug['name']}: {edit['file']} does not hold once: {edit['old']!r}")
        path.write_text(text.replace(edit["old"], edit["new"]))
    return before


def look_for(bug, seeds):
    """The check that caught it, the seed, and after how many histories; or None."""
    build = ["cargo", "build", "--quiet", "--release", "--locked", "-p", "session-key-simulation"]
    for package in ("session-key-client", "session-key-simulation"):
        build += ["--config", f"profile.release.package.{package}.opt-level=0"]
    built = subprocess.run(build, cwd=COPY, env=ENVIRONMENT, capture_output=True, text=True)
    if built.returncode:
        sys.exit(f"{bug['name']} does not compile:\n{built.stderr}")
    program = PLACE / "target/release/session-key-simulation"
    run = [program, "--seeds", str(seeds), "--most-failures", "1", "--no-shrink", "--no-table", "--jobs", "1"]
    if bug["hostile"]:
        run.append("--hostile")
    output = subprocess.run(run, cwd=COPY, env=ENVIRONMENT, capture_output=True, text=True).stdout
    found = re.search(r"^FAILED \S+ --seed (\d+)(?: --hostile)?: (\w+):", output, re.M)
    if not found:
        return None
    return found[2], int(found[1]), int(found[1]) + 1


def row(bug, found):
    """A line of the table."""
    if found is None:
        return f"| {bug['rule']} | {bug['what']} | | not caught |"
    check, _, histories = found
    return f"| {bug['rule']} | {bug['what']} | {check} | {histories} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    bugs = json.loads(BUGS.read_text())
    if unknown := set(arguments.names) - {bug["name"] for bug in bugs}:
        sys.exit(f"no such bugs: {', '.join(sorted(unknown))}")
    if arguments.names:
        bugs = [bug for bug in bugs if bug["name"] in arguments.names]
    copy_repository()
    table = ["| rule | bug | caught by | after histories |", "| ---: | --- | --- | ---: |"]
    print("\n".join(table), flush=True)
    missed = 0
    for bug in bugs:
        before = put_in(bug)
        try:
            found = look_for(bug, arguments.seeds)
        finally:
            for path, text in before.items():
                path.write_text(text)
        missed += found is None
        table.append(row(bug, found))
        print(table[-1], flush=True)
    if arguments.write:
        text = README.read_text()
        start, end = text.index(START) + len(START), text.index(END)
        README.write_text(text[:start] + "\n\n" + "\n".join(table) + "\n\n" + text[end:])
    print(f"{len(bugs)} bugs, {missed} not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
