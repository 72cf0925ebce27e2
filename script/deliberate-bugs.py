#!/usr/bin/env python3
"""Puts deliberate bugs into a copy of the project, one at a time, and says what notices them.

    ./script/deliberate-bugs.py simulation     bugs of the client's sending, which the simulation must find
    ./script/deliberate-bugs.py fuzz           bugs of the client, the plugin and the module, which the random tests must find
    ./script/deliberate-bugs.py contracts      mutants of the contracts, which their unit tests must kill (hours)

    ... SUITE 3 7                              some of them, by number
    ... SUITE --list                           the bugs and their numbers; fails if one of them cannot be put in any more
    ... simulation|fuzz --write                also writes the table into the README of the suite's crate
    ... simulation --most 4000                 gives up after so many histories (or cases, of fuzz)

The bugs are data: crates/simulation/bugs.json, crates/fuzz/bugs.json, contracts/mutants.json. Each edit replaces the first
occurrence of a text, which must be there. The sources are never touched: copies are below target/ or in temporary folders. Exit
status 1 if a bug is not noticed, and its `survives` does not say why it need not be.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def run(command, folder=COPY):
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def must(command, folder=COPY):
    done = run(command, folder)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} fails:\n{done.stdout[-4000:]}")
    return done.stdout


def copy_repository():
    """Copies what Git knows, keeping times, so that only what a bug changes is built anew."""
    listed = must(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, COPY / name
        if not source.is_file() or (target.is_file() and target.read_bytes() == source.read_bytes()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    modules = COPY / "node_modules"
    if not modules.is_symlink():
        modules.symlink_to((ROOT / "node_modules").resolve())


@contextlib.contextmanager
def put_in(bug, tree):
    """The tree with a bug in it."""
    before = {}
    try:
        for edit in bug["edits"]:
            path = tree / edit["file"]
            text = path.read_text()
            before.setdefault(path, text)
            if edit["old"] not in text:
                sys.exit(f"bug {bug['number']}: {edit['file']} does not hold {edit['old']!r}")
            path.write_text(text.replace(edit["old"], edit["new"], 1))
        yield
    finally:
        for path, text in before.items():
            path.write_text(text)


def build(package, *options):
    must(["cargo", "build", "--quiet", "--release", "--locked", "-p", package, *options])
    return PLACE / "target/release" / package


class Simulation:
    """Histories of a simulated world, from seed 0 on."""

    data, readme, most = "crates/simulation/bugs.json", "crates/simulation/README.md", 2000
    head = ["| rule | bug | caught by | after histories |", "| ---: | --- | --- | ---: |"]

    def prepare(self, bugs):
        copy_repository()

    def notice(self, bug, most):
        """A row of the table, and whether the bug is noticed."""
        options = []
        for package in ("session-key-agent", "session-key-client", "session-key-simulation"):
            options += ["--config", f"profile.release.package.{package}.opt-level=0"]
        with put_in(bug, COPY):
            program = build("session-key-simulation", *options)
        command = [program, "--seeds", str(most), "--most-failures", "1", "--no-shrink", "--no-table", "--jobs", "1"]
        flags = [f"--{flag}" for flag in ("hostile", "v08", "agents") if bug.get(flag)]
        output = run(command + flags).stdout
        found = re.search(r"^FAILED \S+ --seed (\d+)(?: --\w+)*: (\w+):", output, re.M)
        how = f"{found[2]} | {int(found[1]) + 1}" if found else " | not caught"
        return f"| {bug['rule']} | {bug['what']} | {how} |", found is not None


class Fuzz:
    """Random cases of a property on accounts of one generation, from seed 1 on."""

    data, readme, most = "crates/fuzz/bugs.json", "crates/fuzz/README.md", 30_000
    head = ["| bug | accounts | caught by | at case |", "| --- | --- | --- | --- |"]
    sound = None
    # The contract of each generation, and the option by which the program takes its bytecode.
    contracts = {"v07": ("SessionKeyPlugin", "--plugin"), "v08": ("SessionKeyModule", "--module")}

    def prepare(self, bugs):
        copy_repository()

    def notice(self, bug, most):
        generation = bug.get("generation", "v07")
        options = ["--generation", generation]
        if all(edit["file"].endswith(".sol") for edit in bug["edits"]):
            # The properties run against any bytecode.
            contract, option = self.contracts[generation]
            with put_in(bug, COPY):
                options += [option, str(self.compile(contract))]
            self.sound = self.sound or build("session-key-fuzz")
            program = self.sound
        else:
            self.sound = None
            with put_in(bug, COPY):
                program = build("session-key-fuzz")
        command = [str(program), "--property", bug["property"], "--seed", "1", "--cases", str(most), "--seconds", "300"]
        done = run(command + options)
        found = re.search(r"--seed (\d+) --cases 1", done.stdout)
        if done.returncode and not found:
            sys.exit(f"{' '.join(command + options)} fails, but not by a case:\n{done.stdout}")
        how = f"{int(found[1]):,}" if found else "**not caught**"
        accounts = {"v07": "v0.7", "v08": "v0.8"}[generation]
        return f"| {bug['what']} | {accounts} | `{bug['property']}` | {how} |", found is not None

    def compile(self, name):
        """The creation bytecode of a contract, compiled as script/bindings.sh does."""
        contract = f"contracts/src/session-key/{name}"
        inputs, output = PLACE / "inputs", PLACE / "output.json"
        must(["bash", "-ec", f"""
            source '{ROOT}/script/toolchain.sh'
            script/standard-json.mjs '{inputs}' {contract}
            script/solc --standard-json '{inputs}/{name}.json' >'{output}'"""])
        answer = json.loads(output.read_text())
        for error in answer.get("errors", []):
            if error["severity"] == "error":
                sys.exit(error["formattedMessage"])
        file = PLACE / f"{name}.hex"
        file.write_text(answer["contracts"][f"{contract}.sol"][name]["evm"]["bytecode"]["object"] + "\n")
        return file


class Contracts:
    """The contracts' unit tests. Each part has a copy with what its tests need and nothing else: the tests are compiled once, and
    for each mutant only the contract is."""

    data, readme, most = "contracts/mutants.json", None, None
    head = []
    # Tests that would fail for any change at all, or need the bytecode of every contract, are left out.
    accounts_of_keys = ("StubAccount", "RecordingAccount", "StubModuleAccount", "RecordingModuleAccount", "AnsweringAccount", "IRecorder")
    tests_of_keys = ("SessionKey", "CallDecoder", "Counter", "TestToken", "ListLiterals", "InterfaceAnswer", *accounts_of_keys)
    # What is named like those, but needs the whole stack.
    not_of_keys = ("SessionKeyStack",)
    not_of_account = ("SessionKey", "ValidationTrace", "CallDecoder", *accounts_of_keys)
    faces = ("contracts/src/session-key/SessionKeyPlugin.sol", "contracts/src/session-key/SessionKeyModule.sol")
    others = (
        "contracts/src/account/ModularAccount.sol",
        "contracts/src/account/ModularAccountFactory.sol",
        "contracts/src/owner/MultiOwnerPlugin.sol",
    )

    def prepare(self, bugs):
        # The binary itself: npm's wrapper of forge loses exit codes.
        binaries = next((ROOT / "node_modules/@foundry-rs").glob("forge-*/bin"))
        ENVIRONMENT["PATH"] = f"{binaries}:{ENVIRONMENT['PATH']}"
        self.folder = tempfile.TemporaryDirectory()
        self.copies = {}

    def copy_of(self, of_account):
        if of_account not in self.copies:
            copy = Path(self.folder.name) / ("account" if of_account else "keys")
            for name in ["contracts/src", "contracts/test", "script"]:
                shutil.copytree(ROOT / name, copy / name)
            for path in copy.glob("contracts/test/*"):
                if path.is_dir() and path.name not in ["unit", "mocks", "utils", "abi"]:
                    shutil.rmtree(path)
            for path in [*copy.glob("contracts/test/*/*.sol"), *copy.glob("script/*.sol")]:
                if of_account:
                    keep = path.parent.name != "script" and not path.name.startswith(self.not_of_account)
                else:
                    keep = path.name.startswith(self.tests_of_keys) and not path.name.startswith(self.not_of_keys)
                if not keep or "Abi" in path.name:
                    path.unlink()
            for path in self.faces if of_account else self.others:
                (copy / path).unlink()
            shutil.copy(ROOT / "foundry.toml", copy)
            shutil.copy(ROOT / "package.json", copy)
            (copy / "node_modules").symlink_to((ROOT / "node_modules").resolve())
            clean = self.test(copy)
            if clean.returncode:
                sys.exit(f"{clean.stdout[-4000:]}\nthe tests fail without a mutant")
            self.copies[of_account] = copy
        return self.copies[of_account]

    def test(self, copy):
        return run(["forge", "test", "--fail-fast", "--fuzz-runs", "64"], copy)

    def notice(self, bug, most):
        copy = self.copy_of(bug["edits"][0]["file"].startswith(("contracts/src/account/", "contracts/src/owner/")))
        with put_in(bug, copy):
            result = self.test(copy)
        if "Compiler run failed" in result.stdout or ("[FAIL" not in result.stdout and result.returncode):
            return f"{bug['number']:3} INVALID   {bug['what']}\n{result.stdout[-1500:]}", False
        if result.returncode:
            return f"{bug['number']:3} killed    {bug['what']}", True
        if reason := bug.get("survives"):
            return f"{bug['number']:3} explained {bug['what']}\n              {reason}", True
        return f"{bug['number']:3} SURVIVED  {bug['what']}", False


SUITES = {"simulation": Simulation, "fuzz": Fuzz, "contracts": Contracts}


def read(path):
    """The bugs of a file. A mutant is one edit, and is described by it."""
    bugs = json.loads((ROOT / path).read_text())
    for number, bug in enumerate(bugs, 1):
        bug["number"] = number
        if "edits" not in bug:
            bug["edits"] = [{name: bug[name] for name in ("file", "old", "new")}]
            old, new = (" ".join(bug[side].split()) for side in ("old", "new"))
            bug["what"] = f"{Path(bug['file']).name}: {old} -> {new or '(nothing)'}"
    return bugs


def is_there(edit):
    """Whether the text that an edit replaces is in the sources."""
    path = ROOT / edit["file"]
    return path.is_file() and edit["old"] in path.read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--most", type=int)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    suite = SUITES[arguments.suite]()
    bugs = read(suite.data)
    if unknown := set(arguments.numbers) - {bug["number"] for bug in bugs}:
        sys.exit(f"no such bugs: {', '.join(map(str, sorted(unknown)))}")
    if arguments.write and (arguments.numbers or not suite.readme):
        parser.error("--write takes all bugs of simulation or fuzz")
    if arguments.numbers:
        bugs = [bug for bug in bugs if bug["number"] in arguments.numbers]
    if arguments.list:
        gone = 0
        for bug in bugs:
            missing = not all(is_there(edit) for edit in bug["edits"])
            gone += missing
            print(f"{bug['number']:3} {bug['what']}{' (GONE)' if missing else ''}")
        return 1 if gone else 0
    suite.prepare(bugs)
    table, missed = list(suite.head), 0
    print("\n".join(table), end="\n" if table else "", flush=True)
    for bug in bugs:
        row, is_noticed = suite.notice(bug, arguments.most or suite.most)
        missed += not is_noticed
        table.append(row)
        print(row, flush=True)
    if arguments.write:
        readme = ROOT / suite.readme
        text = readme.read_text()
        start, end = text.index(START) + len(START), text.index(END)
        readme.write_text(text[:start] + "\n\n" + "\n".join(table) + "\n\n" + text[end:])
    print(f"{len(bugs)} bugs, {missed} not noticed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
