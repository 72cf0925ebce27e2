#!/usr/bin/env python3
"""Mutation testing of the contracts: each mutant below must make at least one of the unit tests fail.

    script/mutate.py            all mutants
    script/mutate.py 3 7        some of them, by number
    script/mutate.py --list     what there is

Works on copies of the project in a temporary folder, so that the sources are never touched: one for the session key plugin and
module, one for the account, the owner plugin and the factory, each with what its tests need and nothing else. The tests are compiled
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
KEYS = SRC + "session-key/"
PERMISSIONS = KEYS + "SessionKeyPermissions.sol"
REGISTRY = KEYS + "SessionKeyRegistry.sol"
ENGINE = KEYS + "SessionKeyEngine.sol"
PLUGIN = KEYS + "SessionKeyPlugin.sol"
MODULE = KEYS + "SessionKeyModule.sol"
QUESTION = KEYS + "LibModuleQuestion.sol"
ACCOUNT_CALLS = KEYS + "LibAccountCalls.sol"
INSTALL_DATA = KEYS + "LibInstallData.sol"
CALLS = KEYS + "LibSessionKeyCalls.sol"
SLOTS = KEYS + "LibSessionKeySlots.sol"
LIMIT = KEYS + "types/SpendLimit.sol"
GAS_LIMIT = KEYS + "types/GasLimit.sol"
KEY_RECORD = KEYS + "types/KeyRecord.sol"
ACCOUNT_RECORD = KEYS + "types/AccountRecord.sol"
ENTRY = KEYS + "types/ContractEntry.sol"
OWNER_PLUGIN = SRC + "owner/MultiOwnerPlugin.sol"
OF_ACCOUNT = SRC + "account/"
ACCOUNT = OF_ACCOUNT + "ModularAccount.sol"
FACTORY = OF_ACCOUNT + "ModularAccountFactory.sol"
PLUGIN_MANAGER = OF_ACCOUNT + "PluginManager.sol"
DEPENDENCY_WORD = OF_ACCOUNT + "DependencyWord.sol"
HOOK_LIST = OF_ACCOUNT + "HookList.sol"
SELECTOR_STORAGE = OF_ACCOUNT + "LibSelectorStorage.sol"
SELECTOR_CONFIG = OF_ACCOUNT + "SelectorConfig.sol"
ERC165 = OF_ACCOUNT + "LibERC165.sol"
RESERVED = OF_ACCOUNT + "ReservedSelectors.sol"
FILTER = OF_ACCOUNT + "PluginFilter.sol"
PLUGIN_STATE = OF_ACCOUNT + "PluginState.sol"

# (file, what is replaced, by what, why it survives or ""). The first occurrence is replaced; it must exist.
MUTANTS = [
    (PERMISSIONS, "if (key.id() == 0 || calls.length == 0) revert", "if (key.id() == 0) revert", ""),
    (PERMISSIONS, "if (key.id() == 0 || calls.length == 0) revert",
     "if (calls.length == 0) revert",
     "The record of an unknown key reads as zero: an allowlist with nothing on it, which refuses every call anyway."),
    (PERMISSIONS, "if (calls.length == 0 || !_isInTimeRange(key)) revert", "if (!_isInTimeRange(key)) revert", ""),
    (PERMISSIONS, "if (calls.length == 0 || !_isInTimeRange(key)) revert", "if (calls.length == 0) revert", ""),
    (PERMISSIONS, "totalValue = totalValue.saturatingAdd(value);", "unchecked { totalValue += value; }", ""),
    (PERMISSIONS, "totalValue = totalValue.saturatingAdd(value);", "totalValue = value;", ""),
    (PERMISSIONS, "if (target == account) revert PermissionsCheckFailed();", "", ""),
    (PERMISSIONS, "        if (_isForbidden(target)) revert PermissionsCheckFailed();\n", "", ""),
    (PERMISSIONS, "if (_isEntryPoint(target) && ", "if (false && ", ""),
    (PERMISSIONS, "!(isOnList && isAllowlist)", "!isOnList", ""),
    (PERMISSIONS, "if (entry.hasTokenLimit() && !_isTokenCall(data))", "if (false)", ""),
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
    (PERMISSIONS, "isOnList != isAllowlist", "isOnList == isAllowlist", ""),
    (PERMISSIONS, "key.validAfter() <= _now()", "key.validAfter() < _now()", ""),
    (PERMISSIONS, "_now() <= validUntil", "_now() < validUntil", ""),
    (PERMISSIONS, "validUntil == 0 || ", "", ""),
    (PERMISSIONS, "paymasterAndData.length < 20 || ", "", ""),
    (PERMISSIONS, "            if (gas.asSpendLimit().isExceeded(slot)) revert PermissionsCheckFailed();\n", "", ""),
    (PERMISSIONS, "        if (earliest == LibSpendLimit.NEVER) revert PermissionsCheckFailed();\n", "", ""),
    (PERMISSIONS, "earliest = uint256(key.validAfter()).max(_checkNativeLimit(account, key, totalValue))",
     "earliest = _checkNativeLimit(account, key, totalValue)", ""),
    (PERMISSIONS, "return earliest << 208 | uint256(key.validUntil()) << 160;", "return earliest << 208;", ""),
    (PERMISSIONS, "return value == 0 ? 0 : LibSpendLimit.NEVER;", "return 0;", ""),
    (PERMISSIONS, "if (key.nativeLimitIs(NativeLimit.STORED)) limit = ", "limit = ", ""),
    (PERMISSIONS, "if (key.nativeLimitIs(NativeLimit.STORED)) limit = ", "if (false) limit = ", ""),
    (PERMISSIONS, "return key.withNativeLimit(NativeLimit.NONE)", "return key.withNativeLimit(NativeLimit.ZERO)", ""),
    (PERMISSIONS, "entry.withTokenLimit(false).tokenLimit().storeUsed(slot, 0)", "entry.withTokenLimit(false).store(slot)", ""),
    (PERMISSIONS, "entry.withTokenLimit(false).tokenLimit().storeUsed(slot, 0)", "entry.tokenLimit().storeUsed(slot, 0)", ""),
    (PERMISSIONS, "if (key.hasGasLimit()) gas = ", "gas = ", ""),
    (PERMISSIONS, "if (key.hasGasLimit()) gas = ", "if (false) gas = ", ""),
    (PERMISSIONS, "if (paymaster == address(0)) return key.withPaymaster(false);", "", ""),
    (PERMISSIONS, "        emit PermissionsUpdated(account, sessionKey, updates);\n", "", ""),
    (PERMISSIONS, "info.hasLimit = key.nativeLimitIs(NativeLimit.ZERO);", "info.hasLimit = true;", ""),
    (PERMISSIONS, "if (!key.requiresPaymaster()) return address(0);", "", ""),
    (PERMISSIONS, "if (!key.hasGasLimit()) return (info, false);", "", ""),
    (PERMISSIONS, "if (update.length < 4) revert", "if (update.length < 3) revert", ""),
    (PERMISSIONS, "if (token == address(0)) revert InvalidToken(token);", "", ""),
    (PERMISSIONS, "store(isOnList ? 1 : 0)", "store(1)", ""),
    (PERMISSIONS, "            gas.settle(slot, _now());\n", "", ""),
    (PERMISSIONS, "if (_addsKeysWithoutClock()) {", "if (false) {", ""),
    (PERMISSIONS, " && earliest != LibSpendLimit.NEVER) earliest = 0;", ") earliest = 0;", ""),
    (PERMISSIONS, "gas.asSpendLimit().isNotBegun() && earliest", "earliest", ""),
    (PERMISSIONS, "_begun(entry.tokenLimit())", "entry.tokenLimit()", ""),
    (PERMISSIONS, "_begun(LibSpendLimit.load(slot))", "LibSpendLimit.load(slot)", ""),
    (LIMIT, "self.isNotBegun() ? self.withLastUsed(time) : self", "self.withLastUsed(time)", ""),
    (LIMIT, "self.lastUsed() == NOT_BEGUN && self.refreshInterval() != 0", "self.lastUsed() == NOT_BEGUN", ""),
    (PERMISSIONS, "time == LibSpendLimit.NOT_BEGUN && refreshInterval != 0", "time == LibSpendLimit.NOT_BEGUN", ""),
    (PERMISSIONS, "_addsKeysWithoutClock() && time == LibSpendLimit.NOT_BEGUN && refreshInterval",
     "_addsKeysWithoutClock() && refreshInterval", ""),
    (PERMISSIONS, "if (_addsKeysWithoutClock() && time", "if (false && time", ""),
    (PERMISSIONS, "if (key.nativeLimitIs(NativeLimit.ZERO)) return value == 0;",
     "if (key.nativeLimitIs(NativeLimit.ZERO)) return true;", ""),
    (PERMISSIONS, "earliest << 208 | uint256(key.validUntil()) << 160", "uint256(key.validUntil()) << 208 | earliest << 160", ""),
    (PERMISSIONS, "key.listTypeIs(ContractAccessControlType.ALLOW_ALL_ACCESS)", "false", ""),
    (REGISTRY, "key.id() <= _loadAccount(account).retiredId()", "key.id() < _loadAccount(account).retiredId()", ""),
    (REGISTRY, "_unlink(account, sessionKey, predecessor);", "", ""),
    (REGISTRY, "_storeKey(account, sessionKey, KeyRecord.wrap(0));", "", ""),
    (REGISTRY, "_storeKey(account, oldSessionKey, KeyRecord.wrap(0));", "", ""),
    (REGISTRY, "        _requireAddable(account, newSessionKey);\n", "", ""),
    (REGISTRY, "        _requireKey(account, sessionKey);\n        _unlink", "        _unlink", ""),
    (REGISTRY, "        emit SessionKeyRemoved(account, sessionKey);\n", "", ""),
    (REGISTRY, "        emit SessionKeyRotated(account, oldSessionKey, newSessionKey);\n", "", ""),
    (REGISTRY, "        emit SessionKeyAdded(account, sessionKey, tag);\n", "", ""),
    (REGISTRY, "        _storeKey(account, newSessionKey, key);\n", "", ""),
    (REGISTRY, "record.lastId() + 1", "record.lastId()", ""),
    (REGISTRY, "predecessor == address(0) ? SENTINEL : ", "", ""),
    (REGISTRY, "if (_findKey(account, sessionKey).id() == 0) revert SessionKeyNotFound(sessionKey);", "", ""),
    (REGISTRY, "if (newest != address(0)) _storeAccount", "if (false) _storeAccount", ""),
    (REGISTRY, "bytes32(bytes20(previous)) != predecessor || ", "", ""),
    (REGISTRY, "_findKey(account, previous).id() == 0", "false", ""),
    (REGISTRY, " || _nextKey(account, previous) != sessionKey", "", ""),
    (REGISTRY, "record.newestKey() != sessionKey", "false", ""),
    (REGISTRY, "sessionKey == address(0) || ", "", ""),
    (REGISTRY, "        _storeNextKey(account, sessionKey, address(0));\n",
     "", "What a removed key left behind in the list is refused as a predecessor anyway; clearing it earns the gas refund."),
    (ENGINE, "            emit SessionKeyRemoved(account, sessionKey);\n", "", ""),
    (ENGINE, "UNINSTALL_GAS_RESERVE = 10_000", "UNINSTALL_GAS_RESERVE = 2_000", ""),
    (ENGINE, "if (updates.length > 0) {", "{", ""),
    (ENGINE, "_addsKeysWithoutClock() ? LibSpendLimit.NOT_BEGUN : _now()", "_now()", ""),
    (ENGINE, "_addsKeysWithoutClock() ? LibSpendLimit.NOT_BEGUN : _now()", "LibSpendLimit.NOT_BEGUN", ""),
    (ENGINE, "keys.length != tags.length || ", "", ""),
    (ENGINE, " || keys.length != updates.length", "", ""),
    (ENGINE, "        _retireAllKeys(account);\n", "", ""),
    (ENGINE, "            LibInstallData.requireInside(updates[i], data);\n", "", ""),
    (ENGINE, "gasleft() > UNINSTALL_GAS_RESERVE", "true", ""),
    (PLUGIN, "userOp.nonce >> 64 != uint160(sessionKey)", "uint160(userOp.nonce >> 64) != uint160(sessionKey)", ""),
    (PLUGIN, "userOp.nonce >> 64 != uint160(sessionKey)", "false", ""),
    (PLUGIN, "gas.saturatingMul(3)", "gas.saturatingMul(2)", ""),
    (PLUGIN, ".saturatingAdd(userOp.preVerificationGas)", "", ""),
    (PLUGIN, "gas == type(uint256).max ? gas : gas.saturatingMul", "gas.saturatingMul", ""),
    (PLUGIN, "earliest = earliest.max(_chargeGas(msg.sender, key, _maxCost(userOp)))",
     "earliest = _chargeGas(msg.sender, key, _maxCost(userOp))", ""),
    (PLUGIN, "if (key.requiresPaymaster()) _checkPaymaster", "if (false) _checkPaymaster", ""),
    (PLUGIN, "interfaceId == type(ISessionKeyPlugin).interfaceId || ", "", ""),
    (PLUGIN, "if (msg.sender.code.length == 0) revert", "if (false) revert", ""),
    (PLUGIN, "functionId != uint8(FunctionId.USER_OP_VALIDATION_SESSION_KEY)", "functionId > 1", ""),
    (PLUGIN, "userOp.sender != msg.sender || ", "", ""),
    (PLUGIN, " || bytes4(callData) != ISessionKeyPlugin.executeWithSessionKey.selector", "", ""),
    (PLUGIN, "if (error != ECDSA.RecoverError.NoError) revert", "if (false) revert", ""),
    (PLUGIN, "signer == sessionKey ? 0 : 1", "0", ""),
    (MODULE, "userOp.sender != msg.sender || ", "", ""),
    (MODULE, " || bytes4(callData) != ISessionKeyPlugin.executeWithSessionKey.selector", "", ""),
    (MODULE, "        if (error != ECDSA.RecoverError.NoError) revert InvalidSignature(sessionKey);\n", "", ""),
    (MODULE, "        if (userOp.nonce >> LANE_SHIFT != uint152(uint160(sessionKey))) revert PermissionsCheckFailed();\n", "", ""),
    (MODULE, "uint152(uint160(sessionKey))", "uint160(sessionKey)", ""),
    (MODULE, "LANE_SHIFT = 104", "LANE_SHIFT = 105", ""),
    (MODULE, "earliest.max(_chargeGas(msg.sender, key, _maxCost(userOp)))",
     "_chargeGas(msg.sender, key, _maxCost(userOp))", ""),
    (MODULE, "if (key.requiresPaymaster()) {", "if (false) {", ""),
    (MODULE, "            _requirePaymasterFields(userOp.paymasterAndData);\n", "", ""),
    (MODULE, "                _requirePaymasterFields(paymasterAndData);\n", "", ""),
    (MODULE, "PAYMASTER_FIELDS_LENGTH = 52", "PAYMASTER_FIELDS_LENGTH = 51", ""),
    (MODULE, "PAYMASTER_FIELDS_LENGTH = 52", "PAYMASTER_FIELDS_LENGTH = 53", ""),
    (MODULE, "signer == sessionKey ? 0 : 1", "0", ""),
    (MODULE, "        revert NotImplemented(msg.sig, 0);\n", "", ""),
    (MODULE, "INVALID_SIGNATURE = 0xffffffff", "INVALID_SIGNATURE = 0x1626ba7e", ""),
    (MODULE, "gas = verificationGas + callGas;", "gas = callGas;", ""),
    (MODULE, "gas = verificationGas + callGas;", "gas = verificationGas;", ""),
    (MODULE, "gas += paymasterVerificationGas + postOpGas;", "gas += postOpGas;", ""),
    (MODULE, "gas += paymasterVerificationGas + postOpGas;", "gas += paymasterVerificationGas;", ""),
    (MODULE, "(, uint256 maxFeePerGas) = _halves", "(uint256 maxFeePerGas, ) = _halves", ""),
    (MODULE, "gas = gas.saturatingAdd(userOp.preVerificationGas)", "unchecked { gas += userOp.preVerificationGas; }", ""),
    (MODULE, "gas == type(uint256).max ? gas : gas.saturatingMul", "gas.saturatingMul", ""),
    (MODULE, "target == ENTRY_POINT_V06 || ", "", ""),
    (MODULE, "target == ENTRY_POINT_V07 || ", "", ""),
    (MODULE, "target == ENTRY_POINT_V08\n            || ", "", ""),
    (MODULE, "\n            || target == ENTRY_POINT_V09", "", ""),
    (MODULE, "return target == address(this);", "return false;", ""),
    (MODULE, "        calls.requireNoModules();\n", "", ""),
    (MODULE, "        _authorizeExecution(msg.sender, sessionKey, calls);\n        calls.requireNoModules();\n",
     "        calls.requireNoModules();\n        _authorizeExecution(msg.sender, sessionKey, calls);\n", ""),
    (MODULE, "if (msg.sender.code.length == 0) revert NotContractCaller(msg.sender);", "", ""),
    (QUESTION, "target != asked && ", "", ""),
    (QUESTION, "            asked = target;\n", "", ""),
    (QUESTION, "        if (target.code.length == 0) return false;\n", "", ""),
    (QUESTION, "        if (gasleft() < GAS_TO_ASK) revert ISessionKeyModule.TargetNotAsked(target);\n", "", ""),
    (QUESTION, "QUESTION_GAS * 64 / 63 + 300", "QUESTION_GAS", ""),
    (QUESTION, "QUESTION_GAS = 10_000", "QUESTION_GAS = 10_001", ""),
    (QUESTION, "QUESTION_GAS = 10_000", "QUESTION_GAS = 9_999", ""),
    (QUESTION, "iszero(iszero(mload(0x00)))", "eq(mload(0x00), 1)", ""),
    (QUESTION, "gt(returndatasize(), 0x1f)", "1", ""),
    (QUESTION, "gt(returndatasize(), 0x1f)", "eq(returndatasize(), 0x20)", ""),
    (QUESTION, "and(success, and(", "and(1, and(", ""),
    (ACCOUNT_CALLS, "calls.length == 1 ? _execute(calls, account) : ", "", ""),
    (ACCOUNT_CALLS, "            mstore(add(dataStart, data.length), 0)\n", "", ""),
    (ACCOUNT_CALLS, "and(add(data.length, 0x1f), not(0x1f))", "data.length", ""),
    (ACCOUNT_CALLS, "            if lt(returndatasize(), 0x40) { revert(0, 0) }\n", "", ""),
    (ACCOUNT_CALLS, "lt(returndatasize(), 0x40)", "lt(returndatasize(), 0x41)", ""),
    (ACCOUNT_CALLS, "                returndatacopy(start, 0, returndatasize())\n", "", ""),
    (ACCOUNT_CALLS, "mstore(add(start, 0x20), value)", "mstore(add(start, 0x20), 0)", ""),
    (INSTALL_DATA, "if (length > elements.length / 32) revert IPluginErrors.InvalidAction();", "", ""),
    (INSTALL_DATA, "if (length > elements.length / 32) revert", "if (length > elements.length) revert", ""),
    (INSTALL_DATA, "        if (tail > end) revert IPluginErrors.InvalidAction();\n        for", "        for", ""),
    (INSTALL_DATA, "            if (tail > end) revert IPluginErrors.InvalidAction();\n        }\n    }", "        }\n    }", ""),
    (LIMIT, "used.saturatingAdd(amount) <= limit", "used.saturatingAdd(amount) < limit", ""),
    (LIMIT, "self.refreshInterval() != 0 && amount <= limit", "amount <= limit", ""),
    (LIMIT, "self.refreshInterval() != 0 && amount <= limit", "self.refreshInterval() != 0", ""),
    (LIMIT, "self.refreshInterval() != 0 && amount <= limit", "self.refreshInterval() != 0 && amount < limit", ""),
    (LIMIT, "if (self.refreshInterval() != 0 && self.intervalEnd()", "if (self.intervalEnd()", ""),
    (LIMIT, "return used > limit;", "return used >= limit;", ""),
    (LIMIT, "word & WIDE_FLAG == 0 ? uint40(word >> INTERVAL_SHIFT) : uint48(word >> INTERVAL_SHIFT)",
     "uint48(word >> INTERVAL_SHIFT)", ""),
    (LIMIT, "SpendLimit.unwrap(self) & OWNERS_FLAGS |", "", ""),
    (LIMIT, "end > type(uint48).max ? type(uint48).max : uint48(end)", "uint48(end)", ""),
    (LIMIT, "self.intervalEnd() <= time", "self.intervalEnd() < time", ""),
    (LIMIT, "            used = 0;\n", "", ""),
    (LIMIT, "            self = self.withLastUsed(time);\n", "", ""),
    (LIMIT, "self.storeUsed(slot, used + amount)", "self.storeUsed(slot, amount)", ""),
    (LIMIT, "limit <= type(uint80).max && ", "limit <= type(uint88).max && ", ""),
    (LIMIT, "used <= type(uint80).max && ", "", ""),
    (LIMIT, " && interval <= type(uint40).max", "", ""),
    (LIMIT, "if (interval != 0) word |=", "word |=", ""),
    (GAS_LIMIT, "if (self.isResetPending()) validAfter = limit.intervalEnd();", "", ""),
    (GAS_LIMIT, "} else if (self.isResetPending()) {", "} else if (false) {", ""),
    (GAS_LIMIT, "limit.with(RESET_PENDING_FLAG).storeUsed(slot, cost)", "limit.storeUsed(slot, cost)", ""),
    (GAS_LIMIT, "storeUsed(slot, used + cost)", "storeUsed(slot, cost)", ""),
    (GAS_LIMIT, ".without(RESET_PENDING_FLAG).withLastUsed(time)", ".without(RESET_PENDING_FLAG)", ""),
    (GAS_LIMIT, ".without(RESET_PENDING_FLAG).withLastUsed(time)", ".withLastUsed(time)", ""),
    (GAS_LIMIT, ".without(RESET_PENDING_FLAG).configure", ".configure", ""),
    (ENTRY, "& ~(ON_LIST_FLAG | CHECK_SELECTORS_FLAG)", "& ~ON_LIST_FLAG", ""),
    (ENTRY, "ContractEntry.unwrap(self) & ~(ON_LIST_FLAG | CHECK_SELECTORS_FLAG)", "0", ""),
    (ENTRY, "if (checkSelectors) word |=", "if (onList && checkSelectors) word |=", ""),
    (ENTRY, "isSet ? word | TOKEN_LIMIT_FLAG : word & ~TOKEN_LIMIT_FLAG", "word | TOKEN_LIMIT_FLAG", ""),
    (KEY_RECORD, "KeyRecord.unwrap(self) & ~NATIVE_LIMIT_MASK | uint256(kind)", "KeyRecord.unwrap(self) | uint256(kind)", ""),
    (KEY_RECORD, "VALID_UNTIL_SHIFT = 96", "VALID_UNTIL_SHIFT = 80", ""),
    (KEY_RECORD, "& ~LIST_TYPE_MASK | uint256(kind)", "| uint256(kind)", ""),
    (KEY_RECORD, "isSet ? word | flag : word & ~flag", "word | flag", ""),
    (CALLS, "iszero(gt(offset, sub(left, need)))", "1", ""),
    (CALLS, "isInside(offset, 32, left))\n", "isInside(offset, 0, left))\n", ""),
    (CALLS, "if iszero(lt(args.length, 64)) {", "if 1 {", ""),
    (CALLS, "if iszero(lt(args.length, 64)) {", "if iszero(lt(args.length, 32)) {", ""),
    (CALLS, "isInside(callOffset, 96, left)", "isInside(callOffset, 64, left)", ""),
    (CALLS, "isInside(dataOffset, 32, leftOfCall)", "isInside(dataOffset, 0, leftOfCall)", ""),
    (CALLS, "                    left := sub(sub(left, offset), 32)\n", "", ""),
    (CALLS, "                left := sub(left, headSize)\n", "", ""),
    (CALLS, "sub(sub(left, callOffset), 96)", "left", ""),
    (CALLS, "sub(sub(leftOfCall, dataOffset), 32)", "sub(leftOfCall, dataOffset)", ""),
    (CALLS, "sub(calldataload(head), headSize)", "calldataload(head)", ""),
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
    (SLOTS, "NEXT_KEY_OFFSET = 1", "NEXT_KEY_OFFSET = 0", ""),
    (SLOTS, "KIND_FUNCTION = 5", "KIND_FUNCTION = 4", ""),
    (SLOTS, "KIND_CONTRACT | uint256(keyId) << KEY_ID_SHIFT | ", "KIND_CONTRACT | ", ""),
    (SLOTS, "PAYMASTER_OFFSET = 6", "PAYMASTER_OFFSET = 5", ""),
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
    (ACCOUNT, "msg.sender != address(this) && EIP7702Utils", "EIP7702Utils", ""),
    (ACCOUNT, "if (msg.sender != address(this) && EIP7702Utils.fetchDelegate(address(this)) != address(0)) {",
     "if (false) {", ""),
    (ACCOUNT, "if (state == InitializationState.RUNNING) revert AlreadyInitializing();", "", ""),
    (ACCOUNT, "        account.initialization = InitializationState.DONE;\n        emit", "        emit", ""),
    (ACCOUNT, "plugins.length != manifestHashes.length || ", "", ""),
    (ACCOUNT, " || plugins.length != pluginInstallDatas.length", "", ""),
    (ACCOUNT, "        emit ModularAccountInitialized(address(ENTRY_POINT));\n", "", ""),
    (ACCOUNT, "!success || answer.length != 0x20 || ", "!success || ", ""),
    (ACCOUNT, "!success || answer.length != 0x20 || ", "answer.length != 0x20 || ", ""),
    (ACCOUNT, " || bytes32(answer) != ERC1967Utils.IMPLEMENTATION_SLOT", "", ""),
    (ACCOUNT, "        emit Upgraded(newImplementation);\n", "", ""),
    (ACCOUNT, "            if (!success) LowLevelCall.bubbleRevert(reason);\n", "", ""),
    (ACCOUNT, "if (address(this) == SELF) revert UnauthorizedCallContext();", "", ""),
    (ACCOUNT, "if (address(this) != SELF) revert UnauthorizedCallContext();", "", ""),
    (ACCOUNT, "            _denyPlugin(calls[i].target, accountStorage().selectors[msg.sig].config.filter());\n", "", ""),
    (ACCOUNT, "        for (uint256 i = 0; i < calls.length; ++i) {\n            // Read again: the call before may have installed a plugin.\n"
     "            _denyPlugin(calls[i].target, accountStorage().selectors[msg.sig].config.filter());\n",
     "        PluginFilter once = accountStorage().selectors[msg.sig].config.filter();\n"
     "        for (uint256 i = 0; i < calls.length; ++i) {\n            _denyPlugin(calls[i].target, once);\n", ""),
    (ACCOUNT, "if (data.length < 4) revert UnrecognizedFunction(selector);\n        if (!acc", "if (!acc", ""),
    (ACCOUNT, "if (msg.data.length < 4) revert UnrecognizedFunction(msg.sig);", "", ""),
    (ACCOUNT, "        _requireAnswerFromCode(plugin, returnData);\n        _runPostExecutionHooks(postHooks);\n        assembly",
     "        _runPostExecutionHooks(postHooks);\n        assembly", ""),
    (ACCOUNT, "        _requireAnswerFromCode(plugin, returnData);\n        _runPostExecutionHooks(postHooks);\n    }",
     "        _runPostExecutionHooks(postHooks);\n    }", ""),
    (ACCOUNT, "if (value > msg.value && !state", "if (value != 0 && !state", ""),
    (ACCOUNT, "if (value > msg.value && !state", "if (value >= msg.value && !state", ""),
    (ACCOUNT, "if (!state.areExternalCallsHooked()) {", "if (true) {", ""),
    (ACCOUNT, "        if (target == address(this)) return;\n        if (\n", "        if (\n", ""),
    (ACCOUNT, "accountStorage().plugins[target].state.isInstalled())\n", "false)\n", ""),
    (ACCOUNT, "permission.anySelectorPermitted || data.length == 0", "permission.anySelectorPermitted", ""),
    (ACCOUNT, "if (!permission.addressPermitted) return false;", "", ""),
    (ACCOUNT, "if (validUntil == 0 || (otherValidUntil", "if ((otherValidUntil", ""),
    (ACCOUNT, "(otherValidUntil != 0 && otherValidUntil < validUntil)", "otherValidUntil < validUntil", ""),
    (ACCOUNT, "if (other >> 208 > validAfter) validAfter = other >> 208;", "", ""),
    (ACCOUNT, "if (msg.data.length < 4) revert RuntimeValidationFunctionMissing(msg.sig);", "", ""),
    (ACCOUNT, "if (hook == PRE_HOOK_ALWAYS_DENY) revert AlwaysDenyRule();\n        (address plugin, uint8 functionId) = hook.unpack();\n        // The value",
     "(address plugin, uint8 functionId) = hook.unpack();\n        // The value", ""),
    (ACCOUNT, "answered := gt(returndatasize(), 0x1f)", "answered := gt(returndatasize(), 0)", ""),
    (ACCOUNT, "if (returnData.length == 0 && plugin.code.length == 0) revert", "if (returnData.length == 0) revert", ""),
    (ACCOUNT, "abi.encodeWithSelector(selector, functionId, msg.sender, msg.value, data)",
     "abi.encodeWithSelector(selector, functionId, msg.sender, 0, data)", ""),
    (ACCOUNT, "if (value > msg.value && !state.canSpendNativeToken())", "if (false)", ""),
    (ACCOUNT, "(data.length >= 4 && permission.selectorPermitted[bytes4(data)])",
     "permission.selectorPermitted[bytes4(data)]", ""),
    (ACCOUNT, "if (hook == PRE_HOOK_ALWAYS_DENY) revert AlwaysDenyRule();\n        (address plugin, uint8 functionId) = hook.unpack();\n        validationData",
     "(address plugin, uint8 functionId) = hook.unpack();\n        validationData", ""),
    (ACCOUNT, "if (isException && msg.sender == address(this)) return;",
     "if (isException && (msg.sender == address(this) || msg.sig == IModularAccount.upgradeToAndCall.selector)) return;", ""),
    (ACCOUNT, "if (validationFunction == RUNTIME_VALIDATION_ALWAYS_ALLOW) return;",
     "if (validationFunction == RUNTIME_VALIDATION_ALWAYS_ALLOW) return;\n        if (msg.sig == IModularAccount.installPlugin.selector && msg.sender == address(this)) return;", ""),
    (ACCOUNT, "        validated\n        hooked\n", "        hooked\n        validated\n", ""),
    (ACCOUNT, "        returnData = _call(plugin, 0, data);",
     "        plugin = record.pluginOf(record.config, Role.EXECUTION);\n        returnData = _call(plugin, 0, data);", ""),
    (ACCOUNT, "if (missingAccountFunds != 0) {", "if (missingAccountFunds != 0 && uint160(validationData) != 1) {", ""),
    (PLUGIN_MANAGER, "account.plugins[dependency].state = account.plugins[dependency].state.oneMoreDependent();", "", ""),
    (PLUGIN_MANAGER, "if (keccak256(abi.encode(manifest)) != manifestHash) revert InvalidPluginManifest();", "", ""),
    (PLUGIN_MANAGER, "if (state.dependents() != 0) revert PluginDependencyViolation(plugin);", "", ""),
    (PLUGIN_MANAGER, "state.areExternalCallsHooked() != hooked || ", "", ""),
    (PLUGIN_MANAGER, " || !state.filter().equals(filter)", "", ""),
    (PLUGIN_MANAGER, "plugin == address(0) || ",
     "", "The zero address has no code, and is refused for that, with another error only: `PluginInterfaceNotSupported`."),
    (PLUGIN_MANAGER, "if (!LibERC165.hasInterface(plugin, type(IPlugin).interfaceId)) revert PluginInterfaceNotSupported(plugin);",
     "", ""),
    (PLUGIN_MANAGER, "if (!LibERC165.hasInterface(dependency, interfaceIds[i])) revert InvalidDependenciesProvided();", "", ""),
    (PLUGIN_MANAGER, "        record.manifestHash = 0;\n", "", ""),
    (PLUGIN_MANAGER, "success := and(called, iszero(iszero(extcodesize(plugin))))", "success := called", ""),
    (PLUGIN_MANAGER, "            if iszero(gasLimit) { gasLimit := not(0) }\n", "", ""),
    (PLUGIN_MANAGER, "if and(iszero(called), wantsReason) {", "if iszero(called) {", ""),
    (PLUGIN_MANAGER, "if (preHook.isNone() && postHook.isNone()) revert NullFunctionReference();", "", ""),
    (PLUGIN_MANAGER, "if (postHook == PRE_HOOK_ALWAYS_DENY) revert InvalidPluginManifest();", "", ""),
    (PLUGIN_MANAGER, "if (hook == RUNTIME_VALIDATION_ALWAYS_ALLOW) revert InvalidPluginManifest();", "", ""),
    (PLUGIN_MANAGER, "interfaceId == type(IPlugin).interfaceId || ", "", ""),
    (PLUGIN_MANAGER, " || interfaceId == INVALID_INTERFACE", "", ""),
    (PLUGIN_MANAGER, "validation == PRE_HOOK_ALWAYS_DENY || ", "", ""),
    (PLUGIN_MANAGER, "(validation == RUNTIME_VALIDATION_ALWAYS_ALLOW && !isRuntime)", "false", ""),
    (PLUGIN_MANAGER, "next == END_OF_PLUGINS ? address(0) : next", "next", ""),
    (PLUGIN_MANAGER, "if (!success && !decodedConfig.forceUninstall) revert", "if (!success) revert", ""),
    (PLUGIN_MANAGER, "record.dependencies[i] = DependencyWord.wrap(0);", "", ""),
    (PLUGIN_MANAGER, "if (answer.length == 0) revert InvalidPluginManifest();",
     "", "Decoding nothing reverts as well, without the error's name: nothing else tells them apart."),
    (PLUGIN_MANAGER, "if (!add) _removeHook(record, HookKind.PRE_EXECUTION, preHook);", "", ""),
    (PLUGIN_MANAGER, "        _setFilter(account.selectors[IModularAccount.executeBatch.selector], filter);\n", "", ""),
    (PLUGIN_MANAGER, "add ? claims + 1 : claims - 1", "add ? claims + 1 : 0", ""),
    (PLUGIN_MANAGER, "account.plugins[current].state = state.withNext(next);", "", ""),
    (PLUGIN_MANAGER, "        DependencyWord word;\n        for (uint256 i = 0; i < dependencies.length; ++i) {\n",
     "        for (uint256 i = 0; i < dependencies.length; ++i) {\n            (address each,) = dependencies[i].unpack();\n            if (!account.plugins[each].state.isInstalled()) revert MissingPluginDependency(each);\n        }\n        DependencyWord word;\n        for (uint256 i = 0; i < dependencies.length; ++i) {\n", ""),
    (PLUGIN_MANAGER, "        if (!state.isInstalled()) revert PluginNotInstalled(plugin);\n",
     "        if (config.length != 0) abi.decode(config, (UninstallPluginConfig));\n        if (!state.isInstalled()) revert PluginNotInstalled(plugin);\n", ""),
    (PLUGIN_MANAGER, "            decodedConfig.callbackGasLimit,",
     "            decodedConfig.forceUninstall ? 0 : decodedConfig.callbackGasLimit,", ""),
    (PLUGIN_MANAGER, "emit PluginUninstalled(plugin, success);",
     "emit PluginUninstalled(plugin, success && !decodedConfig.forceUninstall);", ""),
    (DEPENDENCY_WORD, "MAX_COUNT = 11", "MAX_COUNT = 12", ""),
    (DEPENDENCY_WORD, "MAX_COUNT = 11", "MAX_COUNT = 10", ""),
    (DEPENDENCY_WORD, "self.plugin() == other && ", "", ""),
    (HOOK_LIST, "        list[index] = entry.oneMoreCopy();\n", "", ""),
    (HOOK_LIST, "list[length - 1 - i]", "list[i]", ""),
    (HOOK_LIST, "MAX_COPIES = 256", "MAX_COPIES = 255", ""),
    (HOOK_LIST, "            list[index] = list[index + 1];\n", "", ""),
    (HOOK_LIST, "        list[newLength] = HookEntry.wrap(0);\n", "", ""),
    (SELECTOR_STORAGE, "if (role != Role.EXECUTION) config = config.withFunctionId(role, 0);", "", ""),
    (SELECTOR_STORAGE, "} else if (_readCell(self, config, i) == plugin) {", "} else if (false) {", ""),
    (SELECTOR_STORAGE, "if (!config.usesCell(cell)) config = _writeCell(self, config, cell, address(0));", "", ""),
    (SELECTOR_CONFIG, "uint24(SelectorConfig.unwrap(self) >>", "uint12(SelectorConfig.unwrap(self) >>", ""),
    (PLUGIN_STATE, "& ((1 << FILTER_SHIFT) - 1) & ~EXTERNAL_CALLS_HOOKED_FLAG", "& ((1 << FILTER_SHIFT) - 1)", ""),
    (FILTER, "BITS = 24", "BITS = 23", ""),
    (RESERVED, "selector == POST_OP || ", "", ""),
    (RESERVED, " || selector == AGGREGATE_SIGNATURES", "", ""),
    (RESERVED, "selector == IModularAccount.executeBatch.selector", "false", ""),
    (RESERVED, "            || selector == IModularAccount.tokensReceived.selector", "            ", ""),
    (RESERVED, "selector == IPlugin.pluginMetadata.selector", "false", ""),
    (ERC165, " && _answersTrue(target, type(IERC165).interfaceId)", "", ""),
    (ERC165, "            && !_answersTrue(target, INVALID_INTERFACE)", "            ", ""),
    (ERC165, "GAS_LIMIT = 30_000", "GAS_LIMIT = 5_000", ""),
    (ERC165, "GAS_LIMIT = 30_000", "GAS_LIMIT = 60_000", ""),
    (ERC165, "iszero(iszero(mload(0x00)))", "eq(mload(0x00), 1)", ""),
    (ERC165, "gt(returndatasize(), 0x1f)", "1", ""),
    (ERC165, "and(success, and(", "and(1, and(", ""),
    (OWNER_PLUGIN, "MessageHashUtils.toEthSignedMessageHash(userOpHash)", "userOpHash", ""),
    (OWNER_PLUGIN, "            ownerEntries[owners[i]][account] = OwnerEntry.wrap(0);\n", "", ""),
    (OWNER_PLUGIN, "sender != msg.sender && !isOwnerOf(msg.sender, sender)", "!isOwnerOf(msg.sender, sender)", ""),
    (OWNER_PLUGIN, "if (newest == address(0)) revert EmptyOwnersNotAllowed();", "", ""),
    (OWNER_PLUGIN, "address[] memory leftOver = _removeAllOwners(msg.sender);", "address[] memory leftOver;", ""),
    (OWNER_PLUGIN, "        newestOwner[account] = address(0);\n", "", ""),
    (OWNER_PLUGIN, "signature.length >= NAME_LENGTH && ", "", ""),
    (OWNER_PLUGIN, "signature.length >= NAME_LENGTH && ", "signature.length > NAME_LENGTH && ", ""),
    (OWNER_PLUGIN, " && bytes32(signature) == NAMED_OWNER", "", ""),
    (OWNER_PLUGIN, "isOwnerOf(msg.sender, named) && _isValid", "_isValid", ""),
    (OWNER_PLUGIN, "_isValidForContract(named, hash, signature[NAME_LENGTH:])",
     "_isValidForContract(named, hash, signature)", ""),
    (OWNER_PLUGIN, "LowLevelCall.returnDataSize() >= 0x20 && ", "", ""),
    (OWNER_PLUGIN, "error == ECDSA.RecoverError.NoError && ",
     "", "Of a signature that nobody made, the zero address is recovered, which cannot be an owner."),
    (OWNER_PLUGIN, "owner == address(0) || isOwnerOf(account, owner)", "isOwnerOf(account, owner)", ""),
    (OWNER_PLUGIN, "owner == address(0) || isOwnerOf(account, owner)", "owner == address(0)", ""),
    (OWNER_PLUGIN, "if (newestOwner[msg.sender] == address(0)) revert NotInitialized();", "", ""),
    (OWNER_PLUGIN, "        emit OwnerUpdated(msg.sender, ownersToAdd, ownersToRemove);\n", "", ""),
    (OWNER_PLUGIN, "        ownerEntries[owner][account] = OwnerEntry.wrap(0);\n\n", "\n", ""),
    (OWNER_PLUGIN, "ownerEntries[current][account] = OwnerEntry.wrap(PRESENT_FLAG | uint160(next));", "", ""),
    (OWNER_PLUGIN, "if (!isOwnerOf(account, owner)) revert OwnerDoesNotExist(owner);", "", ""),
    (OWNER_PLUGIN, "block.chainid, account, SALT)", "block.chainid, address(0), SALT)", ""),
    (OWNER_PLUGIN, " || _isSignedByContractOwner(messageHash, signature)",
     " || (signature.length != 65 && _isSignedByContractOwner(messageHash, signature))", ""),
    (FACTORY, "MAX_OWNERS = 100", "MAX_OWNERS = 99", ""),
    (FACTORY, "MAX_OWNERS = 100", "MAX_OWNERS = 101", ""),
    (FACTORY, "owners[i] <= previous", "owners[i] < previous", ""),
    (FACTORY, "        _checkOwners(owners);\n        // It returns", "        // It returns", ""),
    (FACTORY, "if (addr.code.length != 0) return addr;", "", ""),
    (FACTORY, "if (!success) revert TransferFailed();", "", ""),
    (FACTORY, "function unlockStake() external onlyOwner", "function unlockStake() external", ""),
    (FACTORY, "function withdraw(address payable to, address token, uint256 amount) external onlyOwner",
     "function withdraw(address payable to, address token, uint256 amount) external", ""),
    (FACTORY, "abi.encode(salt, encodedOwners)", "abi.encode(encodedOwners)", ""),
]

# Tests that would fail for any change at all, or need the bytecode of every contract, are left out.
KEY_TESTS = (
    *("SessionKey", "CallDecoder", "Counter", "TestToken", "ListLiterals", "InterfaceAnswer", "AnsweringAccount"),
    *("IRecorder", "StubAccount", "RecordingAccount", "StubModuleAccount", "RecordingModuleAccount"),
)
# What starts like the tests above, but needs the whole stack.
NOT_OF_KEYS = ("SessionKeyStack",)
NOT_OF_ACCOUNT = ("SessionKey", "ValidationTrace", "CallDecoder", *KEY_TESTS[-5:])


def is_of_account(mutant: tuple) -> bool:
    return mutant[0].startswith(OF_ACCOUNT) or mutant[0] == OWNER_PLUGIN


def copy_project(copy: pathlib.Path, of_account: bool) -> None:
    for name in ["contracts/src", "contracts/test", "script"]:
        shutil.copytree(ROOT / name, copy / name)
    for path in copy.glob("contracts/test/*"):
        if path.is_dir() and path.name not in ["unit", "mocks", "utils", "abi"]:
            shutil.rmtree(path)
    for path in [*copy.glob("contracts/test/*/*.sol"), *copy.glob("script/*.sol")]:
        if of_account:
            keep = path.parent.name != "script" and not path.name.startswith(NOT_OF_ACCOUNT)
        else:
            keep = path.name.startswith(KEY_TESTS) and not path.name.startswith(NOT_OF_KEYS)
        if not keep or "Abi" in path.name:
            path.unlink()
    for path in [PLUGIN, MODULE] if of_account else [ACCOUNT, FACTORY, OWNER_PLUGIN]:
        (copy / path).unlink()
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
