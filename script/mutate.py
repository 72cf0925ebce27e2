#!/usr/bin/env python3
"""Mutation testing of the session key plugin: each mutant below must make at least one of its tests fail.

    script/mutate.py            all mutants
    script/mutate.py 3 7        some of them, by number
    script/mutate.py --list     what there is

Works on a copy of the project in a temporary folder, so that the sources are never touched. The tests are compiled once;
per mutant only the plugin is. Exit status 1 if a mutant survives that is not explained here.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = "contracts/src/"
PERMISSIONS = SRC + "SessionKeyPermissions.sol"
PLUGIN = SRC + "SessionKeyPlugin.sol"
LIMIT = SRC + "libraries/SpendLimit.sol"
CALLS = SRC + "libraries/LibSessionKeyCalls.sol"
ACCOUNT = SRC + "libraries/AccountRecord.sol"
SLOTS = SRC + "libraries/LibSessionKeySlots.sol"

# (file, what is replaced, by what, why it survives or ""). The first occurrence is replaced; it must exist.
MUTANTS = [
    (PERMISSIONS, "key.id() <= _loadAccount(account).retiredId()", "key.id() < _loadAccount(account).retiredId()", ""),
    (PERMISSIONS, "if (key.id() == 0 || calls.length == 0) revert", "if (key.id() == 0) revert", ""),
    (PERMISSIONS, "if (key.id() == 0 || calls.length == 0) revert", "if (calls.length == 0) revert", ""),
    (PERMISSIONS, "if (calls.length == 0 || !_isInTimeRange(key)) revert", "if (!_isInTimeRange(key)) revert", ""),
    (PERMISSIONS, "if (calls.length == 0 || !_isInTimeRange(key)) revert", "if (calls.length == 0) revert", ""),
    (PERMISSIONS, "totalValue = totalValue.saturatingAdd(value);", "unchecked { totalValue += value; }", ""),
    (PERMISSIONS, "totalValue = totalValue.saturatingAdd(value);", "totalValue = value;", ""),
    (PERMISSIONS, "if (target == account) revert PermissionsCheckFailed();", "", ""),
    (PERMISSIONS, "if (target == ENTRY_POINT && ", "if (false && ", ""),
    (PERMISSIONS, "isOnList && listType == ContractAccessControlType.ALLOWLIST)", "isOnList)", ""),
    (PERMISSIONS, "if (entry & HAS_TOKEN_LIMIT != 0 && !_isTokenCall(data))", "if (false)", ""),
    (PERMISSIONS, "data.length >= 68", "data.length >= 67", ""),
    (PERMISSIONS, "data.length >= 68", "data.length > 68", ""),
    (PERMISSIONS, "selector == IERC20.transfer.selector || selector == IERC20.approve.selector",
     "selector == IERC20.transfer.selector", ""),
    (PERMISSIONS, "selector == IERC20.approve.selector", "selector == IERC20.transferFrom.selector", ""),
    (PERMISSIONS, "data[36:68]", "data[4:36]", ""),
    (PERMISSIONS, "data.length < 4 && data.length > 0", "data.length < 3 && data.length > 0", ""),
    (PERMISSIONS, "data.length < 4 && data.length > 0", "data.length < 4 && data.length > 1", ""),
    (PERMISSIONS, "data.length < 4 && data.length > 0", "data.length < 4", ""),
    (PERMISSIONS, "isOnList && LibSessionKeySlots.functionEntry", "LibSessionKeySlots.functionEntry", ""),
    (PERMISSIONS, "isOnList != (listType == ContractAccessControlType.ALLOWLIST)",
     "isOnList == (listType == ContractAccessControlType.ALLOWLIST)", ""),
    (PERMISSIONS, "key.validAfter() <= _now()", "key.validAfter() < _now()", ""),
    (PERMISSIONS, "_now() <= validUntil", "_now() < validUntil", ""),
    (PERMISSIONS, "validUntil == 0 || ", "", ""),
    (PERMISSIONS, "paymasterAndData.length < 20 || ", "", ""),
    (PERMISSIONS, "userOp.nonce >> 64 != uint160(sessionKey)", "uint160(userOp.nonce >> 64) != uint160(sessionKey)", ""),
    (PERMISSIONS, "userOp.nonce >> 64 != uint160(sessionKey)", "false", ""),
    (PERMISSIONS, "if (gas.has(RESET_PENDING)) validAfter = gas.intervalEnd();", "", ""),
    (PERMISSIONS, "!gas.has(RESET_PENDING) && gas.fitsNextInterval", "gas.fitsNextInterval", ""),
    (PERMISSIONS, "gas.with(RESET_PENDING).storeUsed(slot, cost)", "gas.storeUsed(slot, cost)", ""),
    (PERMISSIONS, "gas.saturatingMul(3)", "gas.saturatingMul(2)", ""),
    (PERMISSIONS, ".saturatingAdd(userOp.preVerificationGas)", "", ""),
    (PERMISSIONS, "gas == type(uint256).max ? gas : gas.saturatingMul", "gas.saturatingMul", ""),
    (PERMISSIONS, "gas.without(RESET_PENDING).withLastUsed(_now())", "gas.without(RESET_PENDING)", ""),
    (PERMISSIONS, "gas.without(RESET_PENDING).withLastUsed(_now())", "gas.withLastUsed(_now())", ""),
    (PERMISSIONS, "if (update.length < 4) revert", "if (update.length < 3) revert", ""),
    (PERMISSIONS, "if (token == address(0)) revert InvalidToken(token);", "", ""),
    (PERMISSIONS, "store(isOnList ? 1 : 0)", "store(1)", ""),
    (PERMISSIONS, "if (key.has(LibKeyRecord.GAS_LIMIT_STORED)) _settleGasReset(account, key);", "", ""),
    (PERMISSIONS, "if (!key.has(LibKeyRecord.NATIVE_LIMIT_STORED)) return value == 0;",
     "if (!key.has(LibKeyRecord.NATIVE_LIMIT_STORED)) return true;", ""),
    (PLUGIN, "_unlink(msg.sender, sessionKey, predecessor);", "", ""),
    (PLUGIN, "_storeKey(msg.sender, sessionKey, KeyRecord.wrap(0));", "", ""),
    (PLUGIN, "_storeKey(msg.sender, oldSessionKey, KeyRecord.wrap(0));", "", ""),
    (PLUGIN, "_requireAddable(msg.sender, newSessionKey);", "", ""),
    (PLUGIN, "if (msg.sender.code.length == 0) revert", "if (false) revert", ""),
    (PLUGIN, "keys.length != tags.length || ", "", ""),
    (PLUGIN, " || keys.length != updates.length", "", ""),
    (PLUGIN, "        _retireAllKeys(msg.sender);\n", "", ""),
    (PLUGIN, "            _requireInside(updates[i], end);\n", "", ""),
    (PLUGIN, "gasleft() > UNINSTALL_GAS_RESERVE", "true", ""),
    (PLUGIN, "functionId != uint8(FunctionId.USER_OP_VALIDATION_SESSION_KEY)", "functionId > 1", ""),
    (PLUGIN, "userOp.sender != msg.sender || ", "", ""),
    (PLUGIN, " || bytes4(callData) != ISessionKeyPlugin.executeWithSessionKey.selector", "", ""),
    (PLUGIN, "if (error != ECDSA.RecoverError.NoError) revert", "if (false) revert", ""),
    (PLUGIN, "signer == sessionKey ? 0 : 1", "0", ""),
    (PLUGIN, "uint256(validAfter) << 208 | uint256(validUntil) << 160",
     "uint256(validUntil) << 208 | uint256(validAfter) << 160", ""),
    (PLUGIN, "bytes32(bytes20(previous)) != predecessor || ", "", ""),
    (PLUGIN, "_findKey(account, previous).id() == 0", "false", ""),
    (PLUGIN, " || _nextKey(account, previous) != sessionKey", "", ""),
    (PLUGIN, "record.newestKey() != sessionKey", "false", ""),
    (PLUGIN, "sessionKey == address(0) || ", "", ""),
    (PLUGIN, "        _storeNextKey(account, sessionKey, address(0));\n", "",
     "What a removed key left behind in the list is refused as a predecessor anyway; clearing it earns the gas refund."),
    (LIMIT, "used.saturatingAdd(amount) <= limit", "used.saturatingAdd(amount) < limit", ""),
    (LIMIT, "self.refreshInterval() != 0 && amount <= limit", "amount <= limit", ""),
    (LIMIT, "self.refreshInterval() != 0 && amount <= limit", "self.refreshInterval() != 0", ""),
    (LIMIT, "end > type(uint48).max ? type(uint48).max : uint48(end)", "uint48(end)", ""),
    (LIMIT, "self.intervalEnd() <= time", "self.intervalEnd() < time", ""),
    (LIMIT, "if (amount > limit) return false;", "", ""),
    (LIMIT, "self.withLastUsed(time).storeUsed(slot, amount)", "self.storeUsed(slot, amount)", ""),
    (LIMIT, "self.storeUsed(slot, used + amount)", "self.storeUsed(slot, amount)", ""),
    (LIMIT, "limit <= type(uint80).max && ", "limit <= type(uint88).max && ", ""),
    (LIMIT, "used <= type(uint80).max && ", "", ""),
    (LIMIT, " && interval <= type(uint40).max", "", ""),
    (LIMIT, "if (interval != 0) word |=", "word |=", ""),
    (CALLS, "iszero(gt(offset, sub(size, need)))", "1", ""),
    (CALLS, "wellFormed := and(iszero(shr(160, sessionKey)), isInside(offset, 32, size))",
     "wellFormed := isInside(offset, 32, size)", "Solidity's decoder refuses a dirty key in execution; in validation it is no registered key."),
    (CALLS, "wellFormed := iszero(gt(calls.length, shr(5, size)))", "wellFormed := 1", ""),
    (CALLS, "wellFormed := isInside(callOffset, 96, size)", "wellFormed := 1", ""),
    (CALLS, "wellFormed := and(iszero(shr(160, calldataload(call_))), isInside(dataOffset, 32, left))",
     "wellFormed := isInside(dataOffset, 32, left)", ""),
    (CALLS, "wellFormed := iszero(gt(calldataload(add(call_, dataOffset)), sub(sub(left, dataOffset), 32)))",
     "wellFormed := 1", ""),
    (ACCOUNT, "pack(address(0), self.lastId(), self.lastId())", "pack(address(0), self.retiredId(), self.lastId())", ""),
    (ACCOUNT, "pack(address(0), self.lastId(), self.lastId())", "pack(address(0), 0, 0)", ""),
    (SLOTS, "| uint256(uint32(selector)) << SELECTOR_SHIFT", "", ""),
    (SLOTS, "GAS_LIMIT_OFFSET = 4", "GAS_LIMIT_OFFSET = 2", ""),
    (SLOTS, "PAYMASTER_OFFSET = 8", "PAYMASTER_OFFSET = 4", ""),
]


def test(copy: pathlib.Path) -> subprocess.CompletedProcess:
    command = ["forge", "test", "--match-path", "contracts/test/unit/SessionKeyPlugin*", "--fail-fast", "--fuzz-runs", "64"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    chosen = arguments.numbers or range(len(MUTANTS))
    if arguments.list:
        for number in chosen:
            path, old, new, _ = MUTANTS[number]
            print(f"{number:3} {pathlib.Path(path).name}: {old.strip()} -> {new.strip() or '(nothing)'}")
        return 0

    # The binary itself: npm's wrapper of forge loses exit codes.
    binaries = next((ROOT / "node_modules/@foundry-rs").glob("forge-*/bin"))
    os.environ["PATH"] = f"{binaries}:{os.environ['PATH']}"
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        for name in ["contracts/src", "contracts/test", "script"]:
            shutil.copytree(ROOT / name, copy / name)
        # Only what the tests of the plugin need, so that a mutant compiles quickly.
        for path in copy.glob("contracts/test/*"):
            if path.name not in ["unit", "mocks", "utils", "abi"]:
                shutil.rmtree(path)
        keep = ["SessionKeyPlugin", "Counter", "StubAccount", "RecordingAccount", "TestToken"]
        for path in [*copy.glob("contracts/test/*/*.sol"), *copy.glob("script/*.sol")]:
            if not any(path.name.startswith(name) for name in keep) or "Abi" in path.name:
                path.unlink()
        for name in ["ModularAccount.sol", "ModularAccountFactory.sol", "MultiOwnerPlugin.sol"]:
            (copy / SRC / name).unlink(missing_ok=True)
        shutil.copy(ROOT / "foundry.toml", copy)
        shutil.copy(ROOT / "package.json", copy)
        (copy / "node_modules").symlink_to((ROOT / "node_modules").resolve())

        clean = test(copy)
        if clean.returncode != 0:
            print(clean.stdout[-4000:], clean.stderr[-4000:], sep="\n")
            print("the tests fail without a mutant", file=sys.stderr)
            return 2
        for number in chosen:
            path, old, new, reason = MUTANTS[number]
            target = copy / path
            original = target.read_text()
            if old not in original:
                print(f"{number:3} GONE      {pathlib.Path(path).name}: {old}")
                survivors += 1
                continue
            target.write_text(original.replace(old, new, 1))
            result = test(copy)
            target.write_text(original)
            if "Compiler run failed" in result.stdout + result.stderr or "[FAIL" not in result.stdout and result.returncode:
                outcome = "INVALID"
                print((result.stdout + result.stderr)[-1500:], file=sys.stderr)
                survivors += 1
            elif result.returncode != 0:
                outcome = "killed"
            elif reason:
                outcome = "explained"
            else:
                outcome = "SURVIVED"
                survivors += 1
            print(f"{number:3} {outcome:9} {pathlib.Path(path).name}: {old.strip()} -> {new.strip() or '(nothing)'}", flush=True)
            if outcome == "explained":
                print(f"              {reason}", flush=True)
    print(f"{len(list(chosen))} mutants, {survivors} not killed nor explained")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
