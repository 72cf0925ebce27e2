#!/usr/bin/env python3
"""Mutation testing of the contracts: each mutant below must make at least one of the unit tests fail.

    script/mutate.py            all mutants
    script/mutate.py 3 7        some of them, by number
    script/mutate.py --list     what there is

Works on copies of the project in a temporary folder, so that the sources are never touched: one for the session key plugin,
one for the account, the owner plugin and the factory, each with what its tests need and nothing else. The tests are compiled
once; per mutant only the contract is. Exit status 1 if a mutant survives that is not explained here.
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
ACCOUNT_RECORD = SRC + "libraries/AccountRecord.sol"
SLOTS = SRC + "libraries/LibSessionKeySlots.sol"
ACCOUNT = SRC + "ModularAccount.sol"
OWNER_PLUGIN = SRC + "MultiOwnerPlugin.sol"
FACTORY = SRC + "ModularAccountFactory.sol"
PLUGIN_MANAGER = SRC + "account/PluginManager.sol"
HOOK_LIST = SRC + "account/HookList.sol"
SELECTOR_STORAGE = SRC + "account/LibSelectorStorage.sol"
ERC165 = SRC + "account/LibERC165.sol"

# (file, what is replaced, by what, why it survives or ""). The first occurrence is replaced; it must exist.
MUTANTS = [
    (PERMISSIONS, "key.id() <= _loadAccount(account).retiredId()", "key.id() < _loadAccount(account).retiredId()", ""),
    (PERMISSIONS, "if (key.id() == 0 || calls.length == 0) revert", "if (key.id() == 0) revert", ""),
    (PERMISSIONS, "if (key.id() == 0 || calls.length == 0) revert", "if (calls.length == 0) revert",
     "The record of an unknown key reads as zero: an allowlist with nothing on it, which refuses every call anyway."),
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
    (CALLS, "iszero(gt(offset, sub(left, need)))", "1", ""),
    (CALLS, "iszero(lt(left, need))", "1", ""),
    (CALLS, "wellFormed := and(iszero(shr(160, sessionKey)), isInside(offset, 32, left))",
     "wellFormed := isInside(offset, 32, left)", ""),
    (CALLS, "wellFormed := iszero(gt(calls.length, shr(5, left)))", "wellFormed := 1", ""),
    (CALLS, "wellFormed := isInside(callOffset, 96, left)", "wellFormed := 1", ""),
    (CALLS, "wellFormed := and(iszero(shr(160, calldataload(call_))), isInside(dataOffset, 32, leftOfCall))",
     "wellFormed := isInside(dataOffset, 32, leftOfCall)", ""),
    (CALLS, "wellFormed := iszero(gt(dataLength, sub(sub(leftOfCall, dataOffset), 32)))", "wellFormed := 1", ""),
    (ACCOUNT_RECORD, "pack(address(0), self.lastId(), self.lastId())", "pack(address(0), self.retiredId(), self.lastId())", ""),
    (ACCOUNT_RECORD, "pack(address(0), self.lastId(), self.lastId())", "pack(address(0), 0, 0)", ""),
    (SLOTS, "| uint256(uint32(selector)) << SELECTOR_SHIFT", "", ""),
    (SLOTS, "GAS_LIMIT_OFFSET = 3", "GAS_LIMIT_OFFSET = 2", ""),
    (SLOTS, "PAYMASTER_OFFSET = 6", "PAYMASTER_OFFSET = 5", ""),
    (HOOK_LIST, "        list[index] = entry.oneMoreCopy();\n", "", ""),
    (HOOK_LIST, "list[length - 1 - i]", "list[i]", ""),
    (ACCOUNT, "        bytes memory returnData = _call(plugin, 0, msg.data);",
     "        plugin = record.pluginOf(record.config, Role.EXECUTION);\n        bytes memory returnData = _call(plugin, 0, msg.data);", ""),
    (ACCOUNT, "        if (!answered) revert PluginInterfaceNotSupported(plugin);\n", "", ""),
    (ACCOUNT, " || (answer.length == 0 && plugin.code.length == 0)", "", ""),
    (ACCOUNT, "otherValidUntil < validUntil", "otherValidUntil > validUntil", ""),
    (ACCOUNT, "if (isException && msg.sender == address(this)) return;", "if (isException) return;", ""),
    (ACCOUNT, "bool isException = ", "bool isException = msg.sig == IModularAccount.execute.selector || ", ""),
    (ACCOUNT, "target == address(this) || !_mayCall", "!_mayCall", ""),
    (ACCOUNT, "        state = caller.state;\n", "", ""),
    (ACCOUNT, "state.isInstalled() ? state.filter() : PluginFilter.wrap(type(uint256).max)", "state.filter()", ""),
    (ACCOUNT, "postHooks[--end].hook = paired[j].hook();",
     "postHooks[postOnlyHooks.length + count - (end--)].hook = paired[j].hook();", ""),
    (ACCOUNT, "modifier validated() {\n        if (msg.sender != address(ENTRY_POINT)) _validateRuntimeCall();",
     "modifier validated() {", ""),
    (ACCOUNT, "if (msg.sender != address(ENTRY_POINT)) revert UserOpNotFromEntryPoint();", "", ""),
    (ACCOUNT, "uint160(hooksData) == 1 ? 1 : uint160(other)", "uint160(other)", ""),
    (ACCOUNT, "if (uint160(validationData) > 1) {", "if (false) {", ""),
    (ACCOUNT, "if (value > msg.value && !state.canSpendNativeToken())", "if (false)", ""),
    (ACCOUNT, "(data.length >= 4 && permission.selectorPermitted[bytes4(data)])",
     "permission.selectorPermitted[bytes4(data)]", ""),
    (ACCOUNT, "if (hook == PRE_HOOK_ALWAYS_DENY) revert AlwaysDenyRule();\n        (address plugin, uint8 functionId) = hook.unpack();\n        validationData",
     "(address plugin, uint8 functionId) = hook.unpack();\n        validationData", ""),
    (PLUGIN_MANAGER, "account.plugins[dependency].state = account.plugins[dependency].state.oneMoreDependent();", "", ""),
    (PLUGIN_MANAGER, "if (keccak256(abi.encode(manifest)) != manifestHash) revert InvalidPluginManifest();", "", ""),
    (PLUGIN_MANAGER, "if (state.dependents() != 0) revert PluginDependencyViolation(plugin);", "", ""),
    (PLUGIN_MANAGER, "add ? claims + 1 : claims - 1", "add ? claims + 1 : 0", ""),
    (PLUGIN_MANAGER, "account.plugins[current].state = state.withNext(next);", "", ""),
    (SELECTOR_STORAGE, "if (!config.usesCell(cell)) config = _writeCell(self, config, cell, address(0));", "", ""),
    (OWNER_PLUGIN, "MessageHashUtils.toEthSignedMessageHash(userOpHash)", "userOpHash", ""),
    (OWNER_PLUGIN, "            ownerEntries[owners[i]][msg.sender] = OwnerEntry.wrap(0);\n", "", ""),
    (OWNER_PLUGIN, "sender != msg.sender && !isOwnerOf(msg.sender, sender)", "!isOwnerOf(msg.sender, sender)", ""),
    (OWNER_PLUGIN, "if (newest == address(0)) revert EmptyOwnersNotAllowed();", "", ""),
    (OWNER_PLUGIN, "block.chainid, account, SALT)", "block.chainid, address(0), SALT)", ""),
    (ACCOUNT, "if (isException && msg.sender == address(this)) return;",
     "if (isException && (msg.sender == address(this) || msg.sig == IModularAccount.upgradeToAndCall.selector)) return;", ""),
    (ACCOUNT, "if (validationFunction == RUNTIME_VALIDATION_ALWAYS_ALLOW) return;",
     "if (validationFunction == RUNTIME_VALIDATION_ALWAYS_ALLOW) return;\n"
     "        if (msg.sig == IModularAccount.installPlugin.selector && msg.sender == address(this)) return;", ""),
    (ACCOUNT, "        validated\n        hooked\n", "        hooked\n        validated\n", ""),
    (ACCOUNT, "        returnData = _call(plugin, 0, data);",
     "        plugin = record.pluginOf(record.config, Role.EXECUTION);\n        returnData = _call(plugin, 0, data);", ""),
    (FACTORY, "MAX_OWNERS = 100", "MAX_OWNERS = 99", ""),
    (ACCOUNT, "if (missingAccountFunds != 0) {", "if (missingAccountFunds != 0 && uint160(validationData) != 1) {", ""),
    (OWNER_PLUGIN, " || _isSignedByContractOwner(messageHash, signature)",
     " || (signature.length != 65 && _isSignedByContractOwner(messageHash, signature))", ""),
    (ERC165, " && _answersTrue(target, type(IERC165).interfaceId)", "", ""),
    (PLUGIN_MANAGER, "        uint256 word = 0;\n        for (uint256 i = 0; i < dependencies.length; ++i) {\n",
     "        for (uint256 i = 0; i < dependencies.length; ++i) {\n"
     "            (address each,) = dependencies[i].unpack();\n"
     "            if (!account.plugins[each].state.isInstalled()) revert MissingPluginDependency(each);\n"
     "        }\n"
     "        uint256 word = 0;\n        for (uint256 i = 0; i < dependencies.length; ++i) {\n", ""),
    (PLUGIN_MANAGER, "        if (!state.isInstalled()) revert PluginNotInstalled(plugin);\n",
     "        if (config.length != 0) abi.decode(config, (UninstallPluginConfig));\n"
     "        if (!state.isInstalled()) revert PluginNotInstalled(plugin);\n", ""),
    (PLUGIN_MANAGER, "            decodedConfig.callbackGasLimit,",
     "            decodedConfig.forceUninstall ? 0 : decodedConfig.callbackGasLimit,", ""),
    (PLUGIN_MANAGER, "emit PluginUninstalled(plugin, success);",
     "emit PluginUninstalled(plugin, success && !decodedConfig.forceUninstall);", ""),
]

# Tests that would fail for any change at all, or need the bytecode of every contract, are left out.
PLUGIN_TESTS = ["SessionKeyPlugin", "Counter", "StubAccount", "RecordingAccount", "TestToken", "ListLiterals"]


def is_of_account(mutant: tuple) -> bool:
    return mutant[0] in [ACCOUNT, OWNER_PLUGIN, FACTORY, PLUGIN_MANAGER, HOOK_LIST, SELECTOR_STORAGE, ERC165]


def copy_project(copy: pathlib.Path, of_account: bool) -> None:
    for name in ["contracts/src", "contracts/test", "script"]:
        shutil.copytree(ROOT / name, copy / name)
    for path in copy.glob("contracts/test/*"):
        if path.is_dir() and path.name not in ["unit", "mocks", "utils", "abi"]:
            shutil.rmtree(path)
    for path in [*copy.glob("contracts/test/*/*.sol"), *copy.glob("script/*.sol")]:
        if of_account:
            keep = path.parent.name != "script" and not path.name.startswith("SessionKey")
        else:
            keep = any(path.name.startswith(name) for name in PLUGIN_TESTS)
        if not keep or "Abi" in path.name:
            path.unlink()
    unused = ["SessionKeyPlugin.sol"] if of_account else ["ModularAccount.sol", "ModularAccountFactory.sol", "MultiOwnerPlugin.sol"]
    for name in unused:
        (copy / SRC / name).unlink()
    shutil.copy(ROOT / "foundry.toml", copy)
    shutil.copy(ROOT / "package.json", copy)
    (copy / "node_modules").symlink_to((ROOT / "node_modules").resolve())


def test(copy: pathlib.Path) -> subprocess.CompletedProcess:
    command = ["forge", "test", "--fail-fast", "--fuzz-runs", "64"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True)


def survives(number: int, copy: pathlib.Path) -> bool:
    path, old, new, reason = MUTANTS[number]
    target = copy / path
    original = target.read_text()
    described = f"{pathlib.Path(path).name}: {old.strip()} -> {new.strip() or '(nothing)'}"
    if old not in original:
        print(f"{number:3} GONE      {described}", flush=True)
        return True
    target.write_text(original.replace(old, new, 1))
    result = test(copy)
    target.write_text(original)
    output = result.stdout + result.stderr
    if "Compiler run failed" in output or ("[FAIL" not in result.stdout and result.returncode):
        print(f"{number:3} INVALID   {described}\n{output[-1500:]}", flush=True)
        return True
    outcome = "killed" if result.returncode else "explained" if reason else "SURVIVED"
    print(f"{number:3} {outcome:9} {described}", flush=True)
    if outcome == "explained":
        print(f"              {reason}", flush=True)
    return outcome == "SURVIVED"


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
    for of_account in [False, True]:
        numbers = [number for number in chosen if is_of_account(MUTANTS[number]) == of_account]
        if not numbers:
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            copy_project(copy, of_account)
            clean = test(copy)
            if clean.returncode != 0:
                print(clean.stdout[-4000:], clean.stderr[-4000:], sep="\n")
                print("the tests fail without a mutant", file=sys.stderr)
                return 2
            survivors += sum(survives(number, copy) for number in numbers)
    print(f"{len(list(chosen))} mutants, {survivors} not killed nor explained")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
