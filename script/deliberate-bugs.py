#!/usr/bin/env python3
"""Puts deliberate bugs into a copy of the project, one at a time, and says what notices them.

    ./script/deliberate-bugs.py simulation     bugs of the client's sending, which the simulation must find
    ./script/deliberate-bugs.py fuzz           bugs of the client, the plugin and the module, which the random tests must find
    ./script/deliberate-bugs.py contracts      mutants of the contracts, which their unit tests must kill

    ... SUITE 3 7                              some of them, by number
    ... SUITE --list                           the bugs and their numbers; fails if one of them cannot be put in any more
    ... contracts --jobs 1                     how many mutants at once; as many as cores if not given
    ... contracts --resume                     keeps the verdicts of an interrupted run of the same sources and tests
    ... simulation|fuzz --write                also writes the table into the README of the suite's crate
    ... simulation --most 4000                 gives up after so many histories (or cases, of fuzz)

The bugs are data: crates/simulation/bugs.json, crates/fuzz/bugs.json, contracts/mutants.json. Each edit replaces the first
occurrence of a text, which must be there. The sources are never touched: copies are below target/ or in temporary folders. Exit
status 1 if a bug is not noticed, and its `survives` does not say why it need not be.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
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


class Invalid(Exception):
    """There is no verdict on a bug."""


class InTurn:
    """A suite that tries one bug after the other."""

    def rows(self, bugs, most):
        return (self.notice(bug, most) for bug in bugs)


class Simulation(InTurn):
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


class Fuzz(InTurn):
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


class Compiler:
    """A process of solc that stays: loading it and warming it up takes longer than compiling a small contract."""

    process = None

    def compile(self, given):
        """What solc answers, or `None` if it crashes."""
        if not self.process:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.process = subprocess.Popen([ROOT / "script/solc", "--standard-json-lines"], **pipes)
        try:
            self.process.stdin.write(json.dumps(given) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.process = None
            return None
        return json.loads(answer)

    def close(self):
        if self.process:
            self.process.communicate()


class Contracts:
    """The contracts' unit tests. They reach the contracts by artifact, so all is compiled once, and then, for each mutant, only the
    contracts that its source is part of: with the settings that they are deployed with, into the artifacts of a copy. A mutant is
    killed by a test that fails, and by nothing else."""

    data, readme, most = "contracts/mutants.json", None, None
    head = []
    of_keys = ["--match-path", "contracts/test/unit/SessionKey*"]
    # The contracts, and the tests of them. Most rules are in the source of both faces of the session keys: what the tests of the
    # plugin kill is not compiled as the module.
    stages = (
        (
            ("contracts/src/account/ModularAccount", "contracts/src/account/ModularAccountFactory", "contracts/src/owner/MultiOwnerPlugin"),
            ["--no-match-path", "contracts/test/unit/SessionKey*"],
        ),
        (
            ("contracts/src/session-key/SessionKeyPlugin", "contracts/test/mocks/CallDecoder"),
            [*of_keys, "--no-match-contract", "^SessionKeyModule"],
        ),
        (("contracts/src/session-key/SessionKeyModule",), [*of_keys, "--match-contract", "^SessionKeyModule"]),
    )
    # Tests that would fail for any change at all, or that do not reach the contracts by artifact.
    left_out = ("*Abi.t.sol", "AccountCallEncoding.t.sol", "UserOperationHashes.t.sol")
    seconds = 900

    def __init__(self):
        self.slots = queue.Queue()
        self.lock = threading.Lock()

    def prepare(self, bugs):
        # The binary itself: npm's wrapper of forge loses exit codes.
        binaries = next((ROOT / "node_modules/@foundry-rs").glob("forge-*/bin"))
        ENVIRONMENT["PATH"] = f"{binaries}:{ENVIRONMENT['PATH']}"
        folder = PLACE / "contracts"
        names = [name for contracts, _ in self.stages for name in contracts]
        must([ROOT / "script/standard-json.mjs", folder / "inputs", *names], ROOT)
        self.inputs = {name: json.loads((folder / f"inputs/{Path(name).name}.json").read_text()) for name in names}
        for given in self.inputs.values():
            for outputs in given["settings"]["outputSelection"].values():
                for wanted in outputs.values():
                    wanted.append("evm.deployedBytecode.object")
        sound = folder / "sound"
        self.copy_to(sound)
        must(["forge", "build"], sound)
        self.sound = {name: (sound / self.artifact(name)).read_bytes() for name in names}
        self.must_pass(sound)
        compiler = Compiler()
        for name in names:
            if self.compile(compiler, name, {})["bytecode"]["object"] != json.loads(self.sound[name])["bytecode"]["object"]:
                sys.exit(f"forge compiles {name} with other settings")
        compiler.close()
        for number in range(self.jobs):
            slot = folder / str(number)
            shutil.rmtree(slot, ignore_errors=True)
            shutil.copytree(sound, slot, symlinks=True)
            self.slots.put((slot, Compiler()))
        self.verdicts = self.known()

    def copy_to(self, folder):
        """Copies what the tests need; what forge built there before stays."""
        for name in ("contracts", "script"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ["contracts/src", *(f"contracts/test/{part}" for part in ("abi", "mocks", "unit", "utils"))]:
            shutil.copytree(ROOT / name, folder / name)
        for pattern in self.left_out:
            for path in folder.glob(f"contracts/test/unit/{pattern}"):
                path.unlink()
        (folder / "script").mkdir()
        for name in ["script/solc", "foundry.toml", "package.json"]:
            shutil.copy(ROOT / name, folder / name)
        if not (folder / "node_modules").is_symlink():
            (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())

    def known(self):
        """Verdicts of an earlier run, if it was of the same sources and tests."""
        digest = hashlib.sha256((ROOT / "package-lock.json").read_bytes() + (ROOT / "foundry.toml").read_bytes())
        for path in sorted((ROOT / "contracts").rglob("*.sol")):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
        self.digest = digest.hexdigest()
        self.file = PLACE / "contracts.json"
        if not (self.resume and self.file.is_file()):
            return {}
        kept = json.loads(self.file.read_text())
        return kept["verdicts"] if kept["digest"] == self.digest else {}

    def artifact(self, name):
        return f"out/{Path(name).name}.sol/{Path(name).name}.json"

    def must_pass(self, folder):
        for name, artifact in self.sound.items():
            (folder / self.artifact(name)).write_bytes(artifact)
        for _, tests in self.stages:
            failed, output = self.test(folder, tests)
            if failed or "tests passed" not in output:
                sys.exit(f"{output[-4000:]}\nthe tests fail without a mutant")

    def test(self, folder, tests):
        """The name of a test that fails, if one does, and the output."""
        # Counterexamples of other mutants.
        shutil.rmtree(folder / "cache/fuzz", ignore_errors=True)
        done = run(["timeout", str(self.seconds), "forge", "test", "--fail-fast", "--fuzz-runs", "64", *tests], folder)
        found = re.search(r"^\[FAIL.*\] (\w+)\(", done.stdout, re.M)
        if not found and done.returncode:
            raise Invalid(f"forge ends with {done.returncode}, and no test fails:\n{done.stdout[-1500:]}")
        if "No files changed, compilation skipped" not in done.stdout:
            raise Invalid(f"forge compiled anew:\n{done.stdout[-1500:]}")
        return found and found[1], done.stdout

    def compile(self, compiler, name, edited):
        """The artifact of a contract with edited sources."""
        given = self.inputs[name]
        sources = given["sources"] | {path: {"content": edited[path]} for path in edited if path in given["sources"]}
        answer = compiler.compile(given | {"sources": sources})
        if answer is None:
            raise Invalid("the compiler crashes")
        for error in answer.get("errors", []):
            if error["severity"] == "error":
                raise Invalid(f"does not compile: {error['formattedMessage']}")
        evm = answer["contracts"][f"{name}.sol"][Path(name).name]["evm"]
        artifact = json.loads(self.sound[name])
        for code in ("bytecode", "deployedBytecode"):
            artifact[code]["object"] = f"0x{evm[code]['object']}"
        return artifact

    def verdict(self, bug, slot):
        """The test that kills a mutant, or why there is no verdict."""
        folder, compiler = slot
        edited = {}
        for edit in bug["edits"]:
            text = edited.get(edit["file"]) or (ROOT / edit["file"]).read_text()
            if edit["old"] not in text:
                raise Invalid(f"{edit['file']} does not hold {edit['old']!r}")
            edited[edit["file"]] = text.replace(edit["old"], edit["new"], 1)
        changed = False
        for contracts, tests in self.stages:
            mutated = [name for name in contracts if edited.keys() & self.inputs[name]["sources"].keys()]
            if not mutated:
                continue
            try:
                for name in mutated:
                    artifact = self.compile(compiler, name, edited)
                    changed |= artifact["bytecode"] != json.loads(self.sound[name])["bytecode"]
                    (folder / self.artifact(name)).write_text(json.dumps(artifact))
                killer, _ = self.test(folder, tests)
            finally:
                for name in mutated:
                    (folder / self.artifact(name)).write_bytes(self.sound[name])
            if killer:
                return killer
        if not changed and "survives" not in bug:
            raise Invalid("the compiler makes the same bytecode of it")
        return None

    def rows(self, bugs, most):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(self.row, bugs)
        while not self.slots.empty():
            folder, compiler = self.slots.get()
            compiler.close()
            self.must_pass(folder)

    def row(self, bug):
        key = json.dumps(bug["edits"])
        if key not in self.verdicts:
            slot = self.slots.get()
            try:
                verdict = self.verdict(bug, slot)
            except Invalid as error:
                return f"{bug['number']:3} INVALID   {bug['what']}\n              {error}", False
            finally:
                self.slots.put(slot)
            with self.lock:
                self.verdicts[key] = verdict
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self.file.write_text(json.dumps({"digest": self.digest, "verdicts": self.verdicts}))
        if killer := self.verdicts[key]:
            return f"{bug['number']:3} killed    {bug['what']} ({killer})", True
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
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--resume", action="store_true")
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
    suite.jobs, suite.resume = arguments.jobs, arguments.resume
    suite.prepare(bugs)
    table, missed = list(suite.head), 0
    print("\n".join(table), end="\n" if table else "", flush=True)
    for row, is_noticed in suite.rows(bugs, arguments.most or suite.most):
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
