#!/usr/bin/env python3
"""Shows that the properties can fail: puts one deliberate bug at a time into the client or the plugin, and says which property
catches it, and with which case, counted from seed 1.

    crates/fuzz/replay.py             all bugs
    crates/fuzz/replay.py 3 7         some of them, by number
    crates/fuzz/replay.py --list      what there is
    crates/fuzz/replay.py --write     all bugs, and puts the table into README.md

Works on a copy of the project in a temporary folder, so that the sources are never touched, with a target directory that is
kept from bug to bug (`--target-dir` names one that stays). A bug in the plugin takes a compilation of the plugin only: the
properties run against any bytecode. Exit status 1 if a bug is not caught.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CRATE = pathlib.Path(__file__).resolve().parent
ROOT = CRATE.parent.parent
TABLE = ("<!-- The table that replay.py prints. -->\n", "<!-- End of the table. -->\n")

# How far a property is run before a bug counts as not caught.
MOST_CASES = 30_000
MOST_SECONDS = 300

MODEL = "crates/permissions/src/model/"
PERMISSIONS = "crates/permissions/src/"
SESSION_KEY = "contracts/src/session-key/"
PLUGIN = SESSION_KEY + "SessionKeyPlugin.sol"
REGISTRY = SESSION_KEY + "SessionKeyRegistry.sol"
RULES = SESSION_KEY + "SessionKeyPermissions.sol"
TYPES = SESSION_KEY + "types/"

# (what is wrong, property, file, (what is replaced, by what)...). Each text must be in the file; its first occurrence is
# replaced.
BUGS = [
    ("a bool of 2 read as true", "decoder", PERMISSIONS + "decode.rs",
     ("Ok(1) => Ok(true),", "Ok(_) => Ok(true),")),
    ("bits above an address ignored", "decoder", PERMISSIONS + "decode.rs",
     ("Some(([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], address))", "Some((_, address))")),
    ("2^48 taken for a time", "decoder", PERMISSIONS + "decode.rs",
     ("if seconds <= MAX_SECONDS", "if seconds <= MAX_SECONDS + 1")),
    ("bytes after the arguments refused", "decoder", PERMISSIONS + "decode.rs",
     ("if words.len() < count {", "if data.len() != count * 32 {")),
    ("the zero token taken", "decoder", PERMISSIONS + "decode.rs",
     ("if token.is_zero() {", "if false {")),
    ("bits below a selector ignored", "decoder", PERMISSIONS + "decode.rs",
     ("if padding.iter().any(|byte| *byte != 0) {", "if padding.len() != 28 {")),
    ("a removed token limit keeps its used amount in the model", "decoder", MODEL + "state.rs",
     ("limit_used: U256::ZERO,\n                        ..*token_limit", "..*token_limit")),
    ("a new gas limit keeps the pending reset in the model", "decoder", MODEL + "state.rs",
     ("self.gas_limit.should_reset = false;", "")),
    ("a limit without an interval has a start time in the model", "decoder", MODEL + "state.rs",
     ("if limit.refresh_interval == 0 {", "if limit.refresh_interval > MAX_SECONDS {")),
    ("the two flags of a contract entry swapped", "encoder", PERMISSIONS + "update.rs",
     ("isOnList: is_on_list,\n                checkSelectors: check_selectors,",
      "isOnList: check_selectors,\n                checkSelectors: is_on_list,")),
    ("token limits encoded in reverse order", "encoder", PERMISSIONS + "set.rs",
     ("self.erc20_spend_limits\n                    .iter()", "self.erc20_spend_limits\n                    .iter().rev()")),
    ("an offset may not lead to the very end", "calldata", MODEL + "call_data.rs",
     ("offset <= data.len().checked_sub(need)?", "offset < data.len().checked_sub(need)?")),
    ("an offset may lead into the words before", "calldata", MODEL + "call_data.rs",
     ("(head <= offset && ", "(head - 32 <= offset && ")),
    ("bits above an address ignored in call data", "calldata", MODEL + "call_data.rs",
     ("if padding.iter().any(|byte| *byte != 0) {", "if padding.len() != 12 {")),
    ("data may end a word after the call data does", "calldata", MODEL + "call_data.rs",
     (".filter(|length| *length <= call.len() - start)", ".filter(|length| *length <= call.len() - start + 32)"),
     ("call.slice(start..start + length)", "call.slice(start..(start + length).min(call.len()))")),
    ("the two fees swapped in the hash", "user_operation", PERMISSIONS + "user_operation.rs",
     ("self.max_fee_per_gas,\n                self.max_priority_fee_per_gas,",
      "self.max_priority_fee_per_gas,\n                self.max_fee_per_gas,")),
    ("chain id cut to 32 bits in the hash", "user_operation", PERMISSIONS + "user_operation.rs",
     ("U256::from(chain_id)", "U256::from(chain_id as u32)")),
    ("the bare hash signed, not the personal message", "user_operation", "crates/client/src/signer/user_operation.rs",
     ("signer.sign_message(hash.as_slice())", "signer.sign_hash(&hash)")),
    ("`approve` not counted by the model", "verdict", MODEL + "check.rs",
     ("matches!(call.selector(), ERC20_TRANSFER | ERC20_APPROVE)", "call.selector() == ERC20_TRANSFER")),
    ("intervals end a second late in the model", "verdict", PERMISSIONS + "limit.rs",
     ("is_some_and(|end| end <= uint48(now))", "is_some_and(|end| end < uint48(now))")),
    ("a paymaster's share of the gas forgotten by the model", "verdict", PERMISSIONS + "user_operation.rs",
     ("{ 1 } else { 3 }", "{ 1 } else { 2 }")),
    ("plugin: a limit above uint80 truncated", "encoder", TYPES + "SpendLimit.sol",
     ("limit <= type(uint80).max && ", "")),
    ("plugin: an offset of a call may lead anywhere", "bundled_calldata", SESSION_KEY + "LibSessionKeyCalls.sol",
     ("wellFormed := isInside(callOffset, 96, left)", "wellFormed := 1")),
    ("plugin: any signature is the key's", "user_operation", PLUGIN,
     ("signer == sessionKey ? 0 : 1", "0")),
    ("plugin: `approve` is free", "verdict", RULES,
     ("spend(slot, _tokenAmount(data), _now())",
      "spend(slot, bytes4(data) == IERC20.approve.selector ? 0 : _tokenAmount(data), _now())")),
    ("plugin: intervals end a second early", "verdict", TYPES + "SpendLimit.sol",
     ("self.intervalEnd() <= time", "self.intervalEnd() <= time + 1")),
    ("plugin: functions on a denylist not checked", "verdict", RULES,
     ("isOnList = isOnList && LibSessionKeySlots",
      "isOnList = isOnList && isAllowlist && LibSessionKeySlots")),
    ("plugin: the sum of a batch wraps in validation", "verdict", RULES,
     ("totalValue = totalValue.saturatingAdd(value);", "unchecked { totalValue += value; }")),
    ("plugin: a gas limit in any lane", "verdict", PLUGIN,
     ("if (userOp.nonce >> 64 != uint160(sessionKey)) revert PermissionsCheckFailed();", "")),
    ("plugin: a paymaster's share of the gas forgotten", "verdict", PLUGIN,
     ("gas.saturatingMul(3)", "gas.saturatingMul(2)")),
    ("plugin: a settled reset stays pending", "sequence", TYPES + "GasLimit.sol",
     (".without(RESET_PENDING_FLAG).withLastUsed(time)", ".withLastUsed(time)")),
    ("plugin: a lowered gas limit holds from the next bundle on", "sequence", RULES,
     ("if (gas.asSpendLimit().isExceeded(slot)) revert PermissionsCheckFailed();", "")),
    ("plugin: the id of the last key used again", "sequence", REGISTRY,
     ("uint48 keyId = record.lastId() + 1;",
      "uint48 keyId = record.newestKey() == address(0) ? record.retiredId() + 1 : record.lastId() + 1;")),
    ("plugin: an uninstall leaves the keys", "sequence", TYPES + "AccountRecord.sol",
     ("pack(address(0), self.lastId(), self.lastId())", "pack(address(0), self.retiredId(), self.lastId())")),
    ("plugin: a rotated key starts afresh", "sequence", REGISTRY,
     ("_storeKey(account, newSessionKey, key);", "_storeKey(account, newSessionKey, LibKeyRecord.fresh(key.id()));")),
    ("plugin: any key passes for a predecessor", "sequence", REGISTRY,
     (" || _nextKey(account, previous) != sessionKey", "")),
    ("plugin: execution does not look at the time range", "sequence", RULES,
     ("if (calls.length == 0 || !_isInTimeRange(key)) revert", "if (calls.length == 0) revert")),
]


def run(command, folder, **options):
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def must(command, folder, **options):
    done = run(command, folder, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} fails:\n{done.stdout}")
    return done.stdout


def copy(to):
    """Copies what git knows of, changes included."""
    names = must(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / "node_modules").symlink_to((ROOT / "node_modules").resolve())


def build(tree, target, profile):
    """Builds the program of the properties. Answers where it is."""
    # Optimizing across crates would take longer than the runs.
    must(["cargo", "build", "--profile", profile, "--locked", "-p", "session-key-fuzz"], tree,
         env={**os.environ, "CARGO_TARGET_DIR": str(target), "CARGO_PROFILE_RELEASE_LTO": "off"})
    return target / ("debug" if profile == "dev" else profile) / "session-key-fuzz"


def compile_plugin(tree, work):
    """The creation bytecode of the plugin, compiled as script/bindings.sh does."""
    out = work / "out"
    command = f'source script/toolchain.sh && forge build --out "{out}" --cache-path "{work / "cache"}" {PLUGIN}'
    must(["bash", "-c", command], tree)
    bytecode = json.loads((out / "SessionKeyPlugin.sol" / "SessionKeyPlugin.json").read_text())["bytecode"]["object"]
    file = work / "SessionKeyPlugin.hex"
    file.write_text(bytecode + "\n")
    return file


def caught_at(tree, program, property_name, options):
    """The number of the first case that fails, from 1 on. None: none does."""
    command = [str(program), "--property", property_name, "--seed", "1",
               "--cases", str(MOST_CASES), "--seconds", str(MOST_SECONDS), *options]
    done = run(command, tree)
    if done.returncode == 0:
        return None
    seed = re.search(r"--seed (\d+) --cases 1", done.stdout)
    if not seed:
        sys.exit(f"{' '.join(command)} fails, but not by a case:\n{done.stdout}")
    return int(seed.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", type=int, help="bugs by their numbers; all by default")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--target-dir", type=pathlib.Path, help="cargo's target directory, kept afterwards")
    parser.add_argument("--profile", default="release", help="cargo's profile; dev builds faster, and runs slower")
    arguments = parser.parse_args()
    if arguments.list:
        for number, (what, property_name, file, *_) in enumerate(BUGS, 1):
            print(f"{number:3}  {property_name:16}  {what}  ({file})")
        return
    numbers = arguments.numbers or range(1, len(BUGS) + 1)
    if arguments.write and arguments.numbers:
        parser.error("--write takes all bugs")

    rows, missed = [], 0
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        tree = work / "tree"
        tree.mkdir()
        copy(tree)
        target = (arguments.target_dir or work / "target").resolve()
        program, sound = None, False
        for number in numbers:
            what, property_name, file, *changes = BUGS[number - 1]
            path = tree / file
            original = path.read_text()
            text = original
            for old, new in changes:
                if old not in text:
                    sys.exit(f"bug {number}: {file} has no {old!r}")
                text = text.replace(old, new, 1)
            path.write_text(text)
            try:
                options = []
                if file.endswith(".sol"):
                    options = ["--plugin", str(compile_plugin(tree, work))]
                if options:
                    path.write_text(original)
                # The client is sound again when the bug is in the plugin.
                if not (options and sound):
                    program = build(tree, target, arguments.profile)
                sound = bool(options)
                case = caught_at(tree, program, property_name, options)
            finally:
                path.write_text(original)
            if case is None:
                missed += 1
            row = f"| {what} | `{property_name}` | {'**not caught**' if case is None else f'{case:,}'} |"
            rows.append(row)
            print(row, flush=True)

    if arguments.write:
        readme = CRATE / "README.md"
        before, rest = readme.read_text().split(TABLE[0])
        _, after = rest.split(TABLE[1])
        table = "| bug | caught by | at case |\n| --- | --- | --- |\n" + "".join(f"{row}\n" for row in rows)
        readme.write_text(before + TABLE[0] + table + TABLE[1] + after)
    if missed:
        sys.exit(f"{missed} not caught")


if __name__ == "__main__":
    main()
