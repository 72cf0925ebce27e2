// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/token/ERC20/IERC20.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {UserOperation} from "./interfaces/IAccount.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "./interfaces/ISessionKeyPlugin.sol";
import {AccountRecord} from "./libraries/AccountRecord.sol";
import {KeyRecord, LibKeyRecord} from "./libraries/KeyRecord.sol";
import {LibGasLimit} from "./libraries/LibGasLimit.sol";
import {LibSessionKeyCalls} from "./libraries/LibSessionKeyCalls.sol";
import {LibSessionKeySlots} from "./libraries/LibSessionKeySlots.sol";
import {LibSpendLimit, SpendLimit} from "./libraries/SpendLimit.sol";

/// @title The permissions of session keys: rules, updates, views
/// @notice Every rule stands here once. Limits have a form without a clock, for validation (ERC-7562 forbids TIMESTAMP
/// there), and one with it, for execution. Execution repeats every rule that it can, because it must not trust what
/// validation saw: an owner's operation in the same bundle, or another plugin, can come in between.
///
///     rule                 in validation                             in execution
///     -------------------  ----------------------------------------  --------------------------------------------
///     key registered       `PermissionsCheckFailed`                  `InvalidSessionKey`
///     time range           returned as validAfter and validUntil     `PermissionsCheckFailed`
///     calls (access list,  `PermissionsCheckFailed`                  `PermissionsCheckFailed`
///     limited tokens)
///     ERC-20 limits        -                                         booked, or `ERC20SpendLimitExceeded`
///     native token limit   `PermissionsCheckFailed`, or validAfter   booked, or `NativeTokenSpendLimitExceeded`
///     gas limit            charged, or `PermissionsCheckFailed`      `PermissionsCheckFailed` if lowered below what is
///                                                                    charged; the interval that begins, begins now
///     required paymaster   `PermissionsCheckFailed`                  -
///
/// Amounts are added with saturation: a sum at the maximum of `uint256` fits no limit, since that value means "no limit".
/// The account is always an argument; no function here looks at `msg.sender`.
abstract contract SessionKeyPermissions is ISessionKeyPlugin {
    using FixedPointMathLib for uint256;
    using LibSessionKeyCalls for Call[];
    using LibSessionKeySlots for uint256;

    /// @dev EntryPoint v0.6, at the same address on every chain. Asking the account for it would read storage that
    /// validation must not read.
    address internal constant ENTRY_POINT = 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789;

    /// @dev Flags in the first word of a contract entry, which is also that of the contract's limit as an ERC-20 token.
    uint256 private constant IS_ON_LIST = 1 << 0;
    uint256 private constant CHECK_SELECTORS = 1 << 1;
    uint256 private constant HAS_TOKEN_LIMIT = 1 << 2;

    uint256 private constant NO_LIMIT = type(uint256).max;

    /* Keys */

    /// @dev The key's record; its id is 0 when the key is not registered.
    function _findKey(address account, address sessionKey) internal view returns (KeyRecord key) {
        key = KeyRecord.wrap(LibSessionKeySlots.keyRecord(account, sessionKey).load());
        if (key.id() <= _loadAccount(account).retiredId()) return KeyRecord.wrap(0);
    }

    /// @dev The key's record. Reverts with `InvalidSessionKey` when the key is not registered.
    function _requireKey(address account, address sessionKey) internal view returns (KeyRecord key) {
        key = _findKey(account, sessionKey);
        if (key.id() == 0) revert InvalidSessionKey(sessionKey);
    }

    function _storeKey(address account, address sessionKey, KeyRecord key) internal {
        LibSessionKeySlots.keyRecord(account, sessionKey).store(KeyRecord.unwrap(key));
    }

    function _loadAccount(address account) internal view returns (AccountRecord) {
        return AccountRecord.wrap(LibSessionKeySlots.accountRecord(account).load());
    }

    /* Rules */

    /// @dev Everything that validation checks, but for the signature. Books the gas; writes nothing else.
    /// @return validAfter The earliest time at which the key and its limits allow the operation.
    /// @return validUntil The last such time; zero: no end.
    function _checkOperation(address account, address sessionKey, Call[] calldata calls, UserOperation calldata userOp)
        internal
        returns (uint48 validAfter, uint48 validUntil)
    {
        KeyRecord key = _findKey(account, sessionKey);
        if (key.id() == 0 || calls.length == 0) revert PermissionsCheckFailed();

        uint256 totalValue;
        for (uint256 i = 0; i < calls.length; ++i) {
            (address target, uint256 value, bytes calldata data) = calls.at(i);
            _checkCall(account, key, target, data);
            totalValue = totalValue.saturatingAdd(value);
        }

        uint256 earliest = key.validAfter();
        if (!key.has(LibKeyRecord.NO_NATIVE_LIMIT)) {
            earliest = earliest.max(_checkNativeLimit(account, key, totalValue));
        }
        if (key.has(LibKeyRecord.GAS_LIMIT_STORED)) {
            earliest = earliest.max(_bookGas(account, key, sessionKey, userOp));
        }
        if (earliest == LibSpendLimit.NEVER) revert PermissionsCheckFailed();
        if (key.has(LibKeyRecord.PAYMASTER_REQUIRED)) _checkPaymaster(account, key, userOp.paymasterAndData);
        return (uint48(earliest), key.validUntil());
    }

    /// @dev Everything that execution checks. Books all spending before the first call is made.
    function _bookExecution(address account, address sessionKey, Call[] calldata calls) internal {
        KeyRecord key = _requireKey(account, sessionKey);
        // Time ranges and intervals are of the block's time by definition; a proposer's seconds are no gain.
        // slither-disable-next-line timestamp
        if (calls.length == 0 || !_isInTimeRange(key)) revert PermissionsCheckFailed();

        uint256 totalValue;
        for (uint256 i = 0; i < calls.length; ++i) {
            (address target, uint256 value, bytes calldata data) = calls.at(i);
            (uint256 slot, uint256 entry) = _checkCall(account, key, target, data);
            if (entry & HAS_TOKEN_LIMIT != 0) {
                if (!SpendLimit.wrap(entry).spend(slot, _tokenAmount(data), _now())) {
                    revert ERC20SpendLimitExceeded(account, sessionKey, target);
                }
            }
            totalValue = totalValue.saturatingAdd(value);
        }

        if (!key.has(LibKeyRecord.NO_NATIVE_LIMIT) && !_bookNative(account, key, totalValue)) {
            revert NativeTokenSpendLimitExceeded(account, sessionKey);
        }
        if (key.has(LibKeyRecord.GAS_LIMIT_STORED)) {
            uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
            // Validation charged no more than the limit. An owner's operation of the same bundle can have lowered it since.
            SpendLimit gas = LibSpendLimit.load(slot);
            if (gas.isExceeded(slot)) revert PermissionsCheckFailed();
            LibGasLimit.settle(gas, slot, _now());
        }
    }

    /// @dev Whether the key may make this call at all, amounts aside.
    /// @return slot Where the target's entry is.
    /// @return entry The first word of that entry.
    function _checkCall(address account, KeyRecord key, address target, bytes calldata data)
        private
        view
        returns (uint256 slot, uint256 entry)
    {
        slot = LibSessionKeySlots.contractEntry(account, key.id(), target);
        entry = slot.load();
        ContractAccessControlType listType = key.listType();
        bool isOnList = entry & IS_ON_LIST != 0;

        // The account would take its own call for an owner's. Who can call the EntryPoint can withdraw the account's deposit,
        // so it must be named by an allowlist.
        if (target == account) revert PermissionsCheckFailed();
        if (target == ENTRY_POINT && !(isOnList && listType == ContractAccessControlType.ALLOWLIST)) {
            revert PermissionsCheckFailed();
        }

        // A limit is worth nothing if tokens can leave by a function whose amount is not counted.
        if (entry & HAS_TOKEN_LIMIT != 0 && !_isTokenCall(data)) revert PermissionsCheckFailed();

        if (listType == ContractAccessControlType.ALLOW_ALL_ACCESS) return (slot, entry);
        if (entry & CHECK_SELECTORS != 0) {
            // One to three bytes name no function.
            if (data.length < 4 && data.length > 0) revert PermissionsCheckFailed();
            isOnList = isOnList && LibSessionKeySlots.functionEntry(account, key.id(), target, bytes4(data)).load() != 0;
        }
        if (isOnList != (listType == ContractAccessControlType.ALLOWLIST)) revert PermissionsCheckFailed();
    }

    /// @dev Whether `data` calls one of the two token functions whose amount is known: `transfer(to, amount)` and
    /// `approve(spender, amount)`.
    function _isTokenCall(bytes calldata data) private pure returns (bool) {
        bytes4 selector = bytes4(data);
        return data.length >= 68 && (selector == IERC20.transfer.selector || selector == IERC20.approve.selector);
    }

    /// @dev The second argument of a token call.
    function _tokenAmount(bytes calldata data) private pure returns (uint256) {
        return uint256(bytes32(data[36:68]));
    }

    function _isInTimeRange(KeyRecord key) private view returns (bool) {
        uint48 validUntil = key.validUntil();
        // As in `_bookExecution`.
        // slither-disable-next-line timestamp
        return key.validAfter() <= _now() && (validUntil == 0 || _now() <= validUntil);
    }

    function _checkPaymaster(address account, KeyRecord key, bytes calldata paymasterAndData) private view {
        address required = address(uint160(LibSessionKeySlots.requiredPaymaster(account, key.id()).load()));
        if (paymasterAndData.length < 20 || address(bytes20(paymasterAndData)) != required) {
            revert PermissionsCheckFailed();
        }
    }

    function _checkNativeLimit(address account, KeyRecord key, uint256 value)
        private
        view
        returns (uint256 validAfter)
    {
        if (!key.has(LibKeyRecord.NATIVE_LIMIT_STORED)) {
            return value == 0 ? 0 : LibSpendLimit.NEVER;
        }
        uint256 slot = LibSessionKeySlots.nativeLimit(account, key.id());
        SpendLimit limit = LibSpendLimit.load(slot);
        (uint256 amount, uint256 used) = limit.limitAndUsed(slot);
        return limit.check(amount, used, value);
    }

    function _bookNative(address account, KeyRecord key, uint256 value) private returns (bool) {
        if (!key.has(LibKeyRecord.NATIVE_LIMIT_STORED)) return value == 0;
        uint256 slot = LibSessionKeySlots.nativeLimit(account, key.id());
        return LibSpendLimit.load(slot).spend(slot, value, _now());
    }

    /// @dev Charges the gas limit, which the key must have, with the most that the operation can cost.
    function _bookGas(address account, KeyRecord key, address sessionKey, UserOperation calldata userOp)
        private
        returns (uint256 validAfter)
    {
        // With its own nonce lane, no operation of another signer can delay or reorder what is booked here.
        if (userOp.nonce >> 64 != uint160(sessionKey)) revert PermissionsCheckFailed();
        return LibGasLimit.charge(LibSessionKeySlots.gasLimit(account, key.id()), _maxCost(userOp));
    }

    /// @dev What EntryPoint v0.6 may charge, in wei. With a paymaster, its `postOp` may use the verification gas limit
    /// twice more.
    function _maxCost(UserOperation calldata userOp) private pure returns (uint256) {
        uint256 gas = userOp.verificationGasLimit;
        if (userOp.paymasterAndData.length > 0) gas = gas.saturatingMul(3);
        gas = gas.saturatingAdd(userOp.callGasLimit).saturatingAdd(userOp.preVerificationGas);
        // An overflow (for which a sum of the largest number is taken, too) fits no limit, not even at a fee of zero.
        return gas == type(uint256).max ? gas : gas.saturatingMul(userOp.maxFeePerGas);
    }

    /// @dev Starts the interval that validation began, if any.
    function _settleGasReset(address account, KeyRecord key) internal {
        if (!key.has(LibKeyRecord.GAS_LIMIT_STORED)) return;
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        SpendLimit gas = LibSpendLimit.load(slot);
        LibGasLimit.settle(gas, slot, _now());
    }

    /* Updates */

    /// @dev Applies `updates` in order. What they change in the record is in the returned one only.
    function _applyUpdates(address account, address sessionKey, KeyRecord key, bytes[] calldata updates)
        internal
        returns (KeyRecord)
    {
        for (uint256 i = 0; i < updates.length; ++i) {
            key = _applyUpdate(account, key, updates[i]);
        }
        emit PermissionsUpdated(account, sessionKey, updates);
        return key;
    }

    function _applyUpdate(address account, KeyRecord key, bytes calldata update) private returns (KeyRecord) {
        bytes4 selector = bytes4(update);
        if (update.length < 4) revert InvalidPermissionsUpdate(selector);
        bytes calldata args = update[4:];

        if (selector == ISessionKeyPermissionsUpdates.setAccessListType.selector) {
            return key.withListType(abi.decode(args, (ContractAccessControlType)));
        }
        if (selector == ISessionKeyPermissionsUpdates.updateAccessListAddressEntry.selector) {
            (address target, bool isOnList, bool checkSelectors) = abi.decode(args, (address, bool, bool));
            _setContractEntry(account, key, target, isOnList, checkSelectors);
            return key;
        }
        if (selector == ISessionKeyPermissionsUpdates.updateAccessListFunctionEntry.selector) {
            (address target, bytes4 entry, bool isOnList) = abi.decode(args, (address, bytes4, bool));
            LibSessionKeySlots.functionEntry(account, key.id(), target, entry).store(isOnList ? 1 : 0);
            return key;
        }
        if (selector == ISessionKeyPermissionsUpdates.updateTimeRange.selector) {
            (uint48 validAfter, uint48 validUntil) = abi.decode(args, (uint48, uint48));
            return key.withTimeRange(validAfter, validUntil);
        }
        if (selector == ISessionKeyPermissionsUpdates.setNativeTokenSpendLimit.selector) {
            (uint256 spendLimit, uint48 refreshInterval) = abi.decode(args, (uint256, uint48));
            return _setNativeLimit(account, key, spendLimit, refreshInterval);
        }
        if (selector == ISessionKeyPermissionsUpdates.setERC20SpendLimit.selector) {
            (address token, uint256 spendLimit, uint48 refreshInterval) = abi.decode(args, (address, uint256, uint48));
            _setTokenLimit(account, key, token, spendLimit, refreshInterval);
            return key;
        }
        if (selector == ISessionKeyPermissionsUpdates.setGasSpendLimit.selector) {
            (uint256 spendLimit, uint48 refreshInterval) = abi.decode(args, (uint256, uint48));
            return _setGasLimit(account, key, spendLimit, refreshInterval);
        }
        if (selector == ISessionKeyPermissionsUpdates.setRequiredPaymaster.selector) {
            return _setRequiredPaymaster(account, key, abi.decode(args, (address)));
        }
        revert InvalidPermissionsUpdate(selector);
    }

    function _setContractEntry(address account, KeyRecord key, address target, bool isOnList, bool checkSelectors)
        private
    {
        uint256 slot = LibSessionKeySlots.contractEntry(account, key.id(), target);
        uint256 entry = slot.load() & ~(IS_ON_LIST | CHECK_SELECTORS);
        if (isOnList) entry |= IS_ON_LIST;
        if (checkSelectors) entry |= CHECK_SELECTORS;
        slot.store(entry);
    }

    function _setNativeLimit(address account, KeyRecord key, uint256 spendLimit, uint48 refreshInterval)
        private
        returns (KeyRecord)
    {
        if (spendLimit == NO_LIMIT) {
            return key.without(LibKeyRecord.NATIVE_LIMIT_STORED).with(LibKeyRecord.NO_NATIVE_LIMIT);
        }
        uint256 slot = LibSessionKeySlots.nativeLimit(account, key.id());
        SpendLimit limit;
        // What is stored of a removed limit no longer counts.
        if (key.has(LibKeyRecord.NATIVE_LIMIT_STORED)) limit = LibSpendLimit.load(slot);
        limit.configure(slot, spendLimit, refreshInterval, _now());
        return key.without(LibKeyRecord.NO_NATIVE_LIMIT).with(LibKeyRecord.NATIVE_LIMIT_STORED);
    }

    function _setTokenLimit(address account, KeyRecord key, address token, uint256 spendLimit, uint48 refreshInterval)
        private
    {
        if (token == address(0)) revert InvalidToken(token);
        uint256 slot = LibSessionKeySlots.contractEntry(account, key.id(), token);
        SpendLimit limit = LibSpendLimit.load(slot);
        if (spendLimit == NO_LIMIT) {
            limit.without(HAS_TOKEN_LIMIT).storeUsed(slot, 0);
        } else {
            limit.with(HAS_TOKEN_LIMIT).configure(slot, spendLimit, refreshInterval, _now());
        }
    }

    function _setGasLimit(address account, KeyRecord key, uint256 spendLimit, uint48 refreshInterval)
        private
        returns (KeyRecord)
    {
        if (spendLimit == NO_LIMIT) return key.without(LibKeyRecord.GAS_LIMIT_STORED);
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        SpendLimit gas;
        // What is stored of a removed limit no longer counts.
        if (key.has(LibKeyRecord.GAS_LIMIT_STORED)) gas = LibSpendLimit.load(slot);
        LibGasLimit.configure(gas, slot, spendLimit, refreshInterval, _now());
        return key.with(LibKeyRecord.GAS_LIMIT_STORED);
    }

    function _setRequiredPaymaster(address account, KeyRecord key, address paymaster) private returns (KeyRecord) {
        if (paymaster == address(0)) return key.without(LibKeyRecord.PAYMASTER_REQUIRED);
        LibSessionKeySlots.requiredPaymaster(account, key.id()).store(uint160(paymaster));
        return key.with(LibKeyRecord.PAYMASTER_REQUIRED);
    }

    /* Views */

    /// @inheritdoc ISessionKeyPlugin
    function getAccessControlType(address account, address sessionKey)
        external
        view
        returns (ContractAccessControlType)
    {
        return _requireKey(account, sessionKey).listType();
    }

    /// @inheritdoc ISessionKeyPlugin
    function getAccessControlEntry(address account, address sessionKey, address contractAddress)
        external
        view
        returns (bool isOnList, bool checkSelectors)
    {
        uint48 keyId = _requireKey(account, sessionKey).id();
        uint256 entry = LibSessionKeySlots.contractEntry(account, keyId, contractAddress).load();
        return (entry & IS_ON_LIST != 0, entry & CHECK_SELECTORS != 0);
    }

    /// @inheritdoc ISessionKeyPlugin
    function isSelectorOnAccessControlList(
        address account,
        address sessionKey,
        address contractAddress,
        bytes4 selector
    ) external view returns (bool isOnList) {
        uint48 keyId = _requireKey(account, sessionKey).id();
        return LibSessionKeySlots.functionEntry(account, keyId, contractAddress, selector).load() != 0;
    }

    /// @inheritdoc ISessionKeyPlugin
    function getKeyTimeRange(address account, address sessionKey)
        external
        view
        returns (uint48 validAfter, uint48 validUntil)
    {
        KeyRecord key = _requireKey(account, sessionKey);
        return (key.validAfter(), key.validUntil());
    }

    /// @inheritdoc ISessionKeyPlugin
    function getNativeTokenSpendLimitInfo(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info)
    {
        KeyRecord key = _requireKey(account, sessionKey);
        if (key.has(LibKeyRecord.NATIVE_LIMIT_STORED)) {
            return _info(LibSessionKeySlots.nativeLimit(account, key.id()), true);
        }
        info.hasLimit = !key.has(LibKeyRecord.NO_NATIVE_LIMIT);
    }

    /// @inheritdoc ISessionKeyPlugin
    function getGasSpendLimit(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info, bool shouldReset)
    {
        KeyRecord key = _requireKey(account, sessionKey);
        if (!key.has(LibKeyRecord.GAS_LIMIT_STORED)) return (info, false);
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        return (_info(slot, true), LibGasLimit.isResetPending(LibSpendLimit.load(slot)));
    }

    /// @inheritdoc ISessionKeyPlugin
    function getERC20SpendLimitInfo(address account, address sessionKey, address token)
        external
        view
        returns (SpendLimitInfo memory)
    {
        uint48 keyId = _requireKey(account, sessionKey).id();
        uint256 slot = LibSessionKeySlots.contractEntry(account, keyId, token);
        return _info(slot, LibSpendLimit.load(slot).has(HAS_TOKEN_LIMIT));
    }

    /// @inheritdoc ISessionKeyPlugin
    function getRequiredPaymaster(address account, address sessionKey) external view returns (address) {
        KeyRecord key = _requireKey(account, sessionKey);
        if (!key.has(LibKeyRecord.PAYMASTER_REQUIRED)) return address(0);
        return address(uint160(LibSessionKeySlots.requiredPaymaster(account, key.id()).load()));
    }

    function _info(uint256 slot, bool hasLimit) private view returns (SpendLimitInfo memory) {
        SpendLimit limit = LibSpendLimit.load(slot);
        (uint256 amount, uint256 used) = limit.limitAndUsed(slot);
        return SpendLimitInfo({
            hasLimit: hasLimit,
            limit: amount,
            limitUsed: used,
            refreshInterval: limit.refreshInterval(),
            lastUsedTime: limit.lastUsed()
        });
    }

    /* Time */

    /// @dev Unix seconds. Never called in validation.
    function _now() private view returns (uint48) {
        return uint48(block.timestamp);
    }
}
