// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/token/ERC20/IERC20.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";
import {Call} from "../interfaces/IStandardExecutor.sol";
import {LibSessionKeyCalls} from "./LibSessionKeyCalls.sol";
import {LibSessionKeySlots} from "./LibSessionKeySlots.sol";
import {SessionKeyRegistry} from "./SessionKeyRegistry.sol";
import {ContractEntry, LibContractEntry} from "./types/ContractEntry.sol";
import {GasLimit, LibGasLimit} from "./types/GasLimit.sol";
import {KeyRecord, NativeLimit} from "./types/KeyRecord.sol";
import {LibSpendLimit, SpendLimit} from "./types/SpendLimit.sol";

/// @title The permissions of session keys: rules, updates, views
/// @notice Every rule is defined here, once; the rules of amounts and intervals are in `SpendLimit` and `GasLimit`.
/// Limits have a form without a clock for validation, where ERC-7562 forbids TIMESTAMP, and one with a clock for
/// execution. Execution repeats every rule that it can, because it must not rely on what validation saw: an owner's
/// operation in the same bundle, or another plugin or module, can run in between.
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
/// Validation: `_checkCalls`, then `_chargeGas` if the key has a gas limit, then `_checkPaymaster`, then `_timeRange`.
/// Execution: `_authorizeExecution`. Functions named "check" or "require" write nothing.
///
/// Sums of amounts saturate: a sum at the maximum of `uint256` fits no limit, since that value means "no limit".
/// @dev The account is always an argument, and the face provides whatever differs between generations of accounts:
/// nothing here reads `msg.sender` or knows the layout of a user operation.
abstract contract SessionKeyPermissions is SessionKeyRegistry {
    using FixedPointMathLib for uint256;
    using LibSessionKeyCalls for Call[];
    using LibSessionKeySlots for uint256;

    uint256 private constant NO_LIMIT = type(uint256).max;

    /* Provided by the face */

    /// @dev Whether this is the account's EntryPoint. Asking the account would read storage that validation must not read.
    function _isEntryPoint(address target) internal pure virtual returns (bool);

    /// @dev Whether no permission can allow this target. The account itself is never allowed: see `_checkCall`.
    function _isForbidden(address target) internal view virtual returns (bool);

    /// @dev Whether keys are added without a clock. A limit that is set with an interval has then not begun: the next
    /// execution begins it.
    function _addsKeysWithoutClock() internal pure virtual returns (bool);

    /* Rules of validation */

    /// @dev The rules of the key and its calls.
    /// @return key The key's record.
    /// @return earliest When the rules first allow the calls, unix seconds; `LibSpendLimit.NEVER`, which `_timeRange`
    /// refuses, if they never do.
    function _checkCalls(address account, address sessionKey, Call[] calldata calls)
        internal
        view
        returns (KeyRecord key, uint256 earliest)
    {
        key = _findKey(account, sessionKey);
        if (key.id() == 0 || calls.length == 0) revert PermissionsCheckFailed();

        uint256 totalValue;
        for (uint256 i = 0; i < calls.length; ++i) {
            (address target, uint256 value, bytes calldata data) = calls.at(i);
            _checkCall(account, key, target, data);
            totalValue = totalValue.saturatingAdd(value);
        }
        earliest = uint256(key.validAfter()).max(_checkNativeLimit(account, key, totalValue));
    }

    /// @dev Charges the gas limit, which the key must have, with the most that an operation can cost. The operation
    /// must be in the key's own nonce lane, where no other signer's operation can delay or reorder it.
    /// @param cost Wei.
    /// @return earliest When the limit first allows the operation, as in `_checkCalls`.
    function _chargeGas(address account, KeyRecord key, uint256 cost) internal returns (uint256 earliest) {
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        GasLimit gas = LibGasLimit.load(slot);
        earliest = gas.charge(slot, cost);
        if (_addsKeysWithoutClock()) {
            // No interval has begun, so there is no end to wait for.
            if (gas.asSpendLimit().isNotBegun() && earliest != LibSpendLimit.NEVER) earliest = 0;
        }
    }

    /// @dev Reverts unless the operation uses the required paymaster, which the key must have.
    function _checkPaymaster(address account, KeyRecord key, bytes calldata paymasterAndData) internal view {
        address required = address(uint160(LibSessionKeySlots.requiredPaymaster(account, key.id()).load()));
        if (paymasterAndData.length < 20 || address(bytes20(paymasterAndData)) != required) {
            revert PermissionsCheckFailed();
        }
    }

    /// @dev When an operation is valid, packed as in ERC-4337: bits 255..208 validAfter, 207..160 validUntil. Reverts
    /// if `earliest` is `LibSpendLimit.NEVER`.
    function _timeRange(KeyRecord key, uint256 earliest) internal pure returns (uint256 validationData) {
        if (earliest == LibSpendLimit.NEVER) revert PermissionsCheckFailed();
        return earliest << 208 | uint256(key.validUntil()) << 160;
    }

    /// @dev When the native token limit first allows this sum, as in `_checkCalls`.
    function _checkNativeLimit(address account, KeyRecord key, uint256 value) private view returns (uint256 earliest) {
        if (key.nativeLimitIs(NativeLimit.NONE)) return 0;
        if (key.nativeLimitIs(NativeLimit.ZERO)) return value == 0 ? 0 : LibSpendLimit.NEVER;
        uint256 slot = LibSessionKeySlots.nativeLimit(account, key.id());
        SpendLimit limit = LibSpendLimit.load(slot);
        (uint256 amount, uint256 used) = limit.limitAndUsed(slot);
        return limit.check(amount, used, value);
    }

    /* Rules of execution */

    /// @dev Checks everything that execution can check, and books all spending, before the first call is made.
    function _authorizeExecution(address account, address sessionKey, Call[] calldata calls) internal {
        KeyRecord key = _requireKey(account, sessionKey);
        // As in `_now`.
        // slither-disable-next-line timestamp
        if (calls.length == 0 || !_isInTimeRange(key)) revert PermissionsCheckFailed();

        uint256 totalValue;
        for (uint256 i = 0; i < calls.length; ++i) {
            (address target, uint256 value, bytes calldata data) = calls.at(i);
            (uint256 slot, ContractEntry entry) = _checkCall(account, key, target, data);
            if (entry.hasTokenLimit()) {
                if (!_begun(entry.tokenLimit()).spend(slot, _tokenAmount(data), _now())) {
                    revert ERC20SpendLimitExceeded(account, sessionKey, target);
                }
            }
            totalValue = totalValue.saturatingAdd(value);
        }
        if (!_bookNative(account, key, totalValue)) revert NativeTokenSpendLimitExceeded(account, sessionKey);
        if (key.hasGasLimit()) {
            uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
            GasLimit gas = LibGasLimit.load(slot);
            // Validation charged no more than the limit. An owner's operation in the same bundle may have lowered it
            // since.
            if (gas.asSpendLimit().isExceeded(slot)) revert PermissionsCheckFailed();
            gas.settle(slot, _now());
        }
    }

    /// @dev Whether the key's time range contains the block's time.
    function _isInTimeRange(KeyRecord key) private view returns (bool) {
        uint48 validUntil = key.validUntil();
        // As in `_now`.
        // slither-disable-next-line timestamp
        return key.validAfter() <= _now() && (validUntil == 0 || _now() <= validUntil);
    }

    /// @dev Books the sum of a batch's values. Returns false, and books nothing, if the limit does not allow it.
    function _bookNative(address account, KeyRecord key, uint256 value) private returns (bool) {
        if (key.nativeLimitIs(NativeLimit.NONE)) return true;
        if (key.nativeLimitIs(NativeLimit.ZERO)) return value == 0;
        uint256 slot = LibSessionKeySlots.nativeLimit(account, key.id());
        return _begun(LibSpendLimit.load(slot)).spend(slot, value, _now());
    }

    /// @dev The limit; an interval that has not begun begins now.
    function _begun(SpendLimit limit) private view returns (SpendLimit) {
        return _addsKeysWithoutClock() ? limit.begun(_now()) : limit;
    }

    /// @dev Starts the interval of the gas limit that validation began, if any.
    function _settleGasReset(address account, KeyRecord key) internal {
        if (!key.hasGasLimit()) return;
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        LibGasLimit.load(slot).settle(slot, _now());
    }

    /* Rules of both */

    /// @dev Reverts unless the key may make this call at all, amounts aside.
    /// @return slot The slot of the target's entry.
    /// @return entry That entry.
    function _checkCall(address account, KeyRecord key, address target, bytes calldata data)
        private
        view
        returns (uint256 slot, ContractEntry entry)
    {
        slot = LibSessionKeySlots.contractEntry(account, key.id(), target);
        entry = LibContractEntry.load(slot);
        bool isAllowlist = key.listTypeIs(ContractAccessControlType.ALLOWLIST);
        bool isOnList = entry.isOnList();

        // The account would treat its own call as an owner's. A call to the EntryPoint can withdraw the account's
        // deposit, so an allowlist must name it.
        if (target == account) revert PermissionsCheckFailed();
        if (_isForbidden(target)) revert PermissionsCheckFailed();
        if (_isEntryPoint(target) && !(isOnList && isAllowlist)) revert PermissionsCheckFailed();

        // A limit is worthless if tokens can leave through a function whose amount is not counted.
        if (entry.hasTokenLimit() && !_isTokenCall(data)) revert PermissionsCheckFailed();

        if (key.listTypeIs(ContractAccessControlType.ALLOW_ALL_ACCESS)) return (slot, entry);
        if (entry.checksSelectors()) {
            // One to three bytes do not name a function.
            if (data.length < 4 && data.length > 0) revert PermissionsCheckFailed();
            isOnList = isOnList && LibSessionKeySlots.functionEntry(account, key.id(), target, bytes4(data)).load() != 0;
        }
        if (isOnList != isAllowlist) revert PermissionsCheckFailed();
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

    /* Updates */

    /// @dev Applies `updates` in order. Changes to the record are only in the returned one.
    /// @param time When the intervals of limits that are set start, unix seconds; or `LibSpendLimit.NOT_BEGUN`.
    function _applyUpdates(address account, address sessionKey, KeyRecord key, bytes[] calldata updates, uint48 time)
        internal
        returns (KeyRecord)
    {
        for (uint256 i = 0; i < updates.length; ++i) {
            key = _applyUpdate(account, key, updates[i], time);
        }
        emit PermissionsUpdated(account, sessionKey, updates);
        return key;
    }

    /// @dev Applies one update. Solidity's decoder refuses malformed arguments.
    function _applyUpdate(address account, KeyRecord key, bytes calldata update, uint48 time)
        private
        returns (KeyRecord)
    {
        bytes4 selector = bytes4(update);
        if (update.length < 4) revert InvalidPermissionsUpdate(selector);
        bytes calldata args = update[4:];

        if (selector == ISessionKeyPermissionsUpdates.setAccessListType.selector) {
            return key.withListType(abi.decode(args, (ContractAccessControlType)));
        }
        if (selector == ISessionKeyPermissionsUpdates.updateAccessListAddressEntry.selector) {
            (address target, bool isOnList, bool checkSelectors) = abi.decode(args, (address, bool, bool));
            uint256 slot = LibSessionKeySlots.contractEntry(account, key.id(), target);
            LibContractEntry.load(slot).withListing(isOnList, checkSelectors).store(slot);
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
            return _setNativeLimit(account, key, spendLimit, refreshInterval, time);
        }
        if (selector == ISessionKeyPermissionsUpdates.setERC20SpendLimit.selector) {
            (address token, uint256 spendLimit, uint48 refreshInterval) = abi.decode(args, (address, uint256, uint48));
            _setTokenLimit(account, key, token, spendLimit, refreshInterval, time);
            return key;
        }
        if (selector == ISessionKeyPermissionsUpdates.setGasSpendLimit.selector) {
            (uint256 spendLimit, uint48 refreshInterval) = abi.decode(args, (uint256, uint48));
            return _setGasLimit(account, key, spendLimit, refreshInterval, time);
        }
        if (selector == ISessionKeyPermissionsUpdates.setRequiredPaymaster.selector) {
            return _setRequiredPaymaster(account, key, abi.decode(args, (address)));
        }
        revert InvalidPermissionsUpdate(selector);
    }

    /// @dev The stored figures of a removed limit no longer count.
    function _setNativeLimit(address account, KeyRecord key, uint256 spendLimit, uint48 refreshInterval, uint48 time)
        private
        returns (KeyRecord)
    {
        if (spendLimit == NO_LIMIT) return key.withNativeLimit(NativeLimit.NONE);
        uint256 slot = LibSessionKeySlots.nativeLimit(account, key.id());
        SpendLimit limit;
        if (key.nativeLimitIs(NativeLimit.STORED)) limit = LibSpendLimit.load(slot);
        limit.configure(slot, spendLimit, refreshInterval, time);
        return key.withNativeLimit(NativeLimit.STORED);
    }

    /// @dev A removed limit keeps its figures for the view, except the used amount.
    function _setTokenLimit(
        address account,
        KeyRecord key,
        address token,
        uint256 spendLimit,
        uint48 refreshInterval,
        uint48 time
    ) private {
        if (token == address(0)) revert InvalidToken(token);
        uint256 slot = LibSessionKeySlots.contractEntry(account, key.id(), token);
        ContractEntry entry = LibContractEntry.load(slot);
        if (spendLimit == NO_LIMIT) {
            entry.withTokenLimit(false).tokenLimit().storeUsed(slot, 0);
        } else {
            entry.withTokenLimit(true).tokenLimit().configure(slot, spendLimit, refreshInterval, time);
        }
    }

    /// @dev As `_setNativeLimit`.
    function _setGasLimit(address account, KeyRecord key, uint256 spendLimit, uint48 refreshInterval, uint48 time)
        private
        returns (KeyRecord)
    {
        if (spendLimit == NO_LIMIT) return key.withGasLimit(false);
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        GasLimit gas;
        if (key.hasGasLimit()) gas = LibGasLimit.load(slot);
        // The constant stands for no time at all, not for a moment.
        // slither-disable-next-line incorrect-equality
        if (_addsKeysWithoutClock() && time == LibSpendLimit.NOT_BEGUN && refreshInterval != 0) {
            gas.configureNotBegun(slot, spendLimit, refreshInterval);
        } else {
            gas.configure(slot, spendLimit, refreshInterval, time);
        }
        return key.withGasLimit(true);
    }

    /// @dev Zero removes the rule; the stored paymaster stays.
    function _setRequiredPaymaster(address account, KeyRecord key, address paymaster) private returns (KeyRecord) {
        if (paymaster == address(0)) return key.withPaymaster(false);
        LibSessionKeySlots.requiredPaymaster(account, key.id()).store(uint160(paymaster));
        return key.withPaymaster(true);
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
        ContractEntry entry = LibContractEntry.load(LibSessionKeySlots.contractEntry(account, keyId, contractAddress));
        return (entry.isOnList(), entry.checksSelectors());
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
        if (key.nativeLimitIs(NativeLimit.STORED)) {
            return _info(LibSessionKeySlots.nativeLimit(account, key.id()), true);
        }
        info.hasLimit = key.nativeLimitIs(NativeLimit.ZERO);
    }

    /// @inheritdoc ISessionKeyPlugin
    function getGasSpendLimit(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info, bool shouldReset)
    {
        KeyRecord key = _requireKey(account, sessionKey);
        if (!key.hasGasLimit()) return (info, false);
        uint256 slot = LibSessionKeySlots.gasLimit(account, key.id());
        return (_info(slot, true), LibGasLimit.load(slot).isResetPending());
    }

    /// @inheritdoc ISessionKeyPlugin
    function getERC20SpendLimitInfo(address account, address sessionKey, address token)
        external
        view
        returns (SpendLimitInfo memory)
    {
        uint48 keyId = _requireKey(account, sessionKey).id();
        uint256 slot = LibSessionKeySlots.contractEntry(account, keyId, token);
        return _info(slot, LibContractEntry.load(slot).hasTokenLimit());
    }

    /// @inheritdoc ISessionKeyPlugin
    function getRequiredPaymaster(address account, address sessionKey) external view returns (address) {
        KeyRecord key = _requireKey(account, sessionKey);
        if (!key.requiresPaymaster()) return address(0);
        return address(uint160(LibSessionKeySlots.requiredPaymaster(account, key.id()).load()));
    }

    /// @dev The figures of the limit at `slot`.
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

    /// @dev Unix seconds. Never called in validation (ERC-7562). Time ranges and intervals refer to block time by
    /// definition; the few seconds that a proposer can shift gain nothing.
    function _now() internal view returns (uint48) {
        return uint48(block.timestamp);
    }
}
