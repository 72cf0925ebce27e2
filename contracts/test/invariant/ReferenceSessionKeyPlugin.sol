// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {TestToken} from "../mocks/TestToken.sol";

/// @title The rules of session keys, in plain form
/// @notice The plugin's required behaviour, written from the documentation of `ISessionKeyPlugin`, not from its code:
/// nothing is packed or optimized. Amounts are compared by subtraction, so no sum can overflow. It takes the same
/// calls, with the account as their sender, but makes no calls through the account and ignores signatures.
contract ReferenceSessionKeyPlugin is ISessionKeyPlugin, ISessionKeyPermissionsUpdates {
    struct Entry {
        bool isOnList;
        bool checkSelectors;
    }

    struct Limit {
        bool exists;
        uint256 limit;
        uint256 used;
        uint48 interval;
        uint48 start;
    }

    struct Permissions {
        ContractAccessControlType listType;
        mapping(address target => Entry) entries;
        mapping(address target => mapping(bytes4 selector => bool)) functions;
        uint48 validAfter;
        uint48 validUntil;
        Limit native;
        mapping(address token => Limit) tokens;
        Limit gas;
        bool isResetPending;
        address paymaster;
    }

    bytes32 private constant SENTINEL = bytes32(uint256(1));

    address private immutable ENTRY_POINT;

    /// @dev Oldest first.
    mapping(address account => address[]) private lists;
    mapping(address account => mapping(address sessionKey => uint256)) private registrations;
    mapping(uint256 registration => Permissions) internal permissions;
    uint256 private lastRegistration;

    /// @dev The registration that the running update is for.
    uint256 internal updated;

    constructor(address entryPoint) {
        ENTRY_POINT = entryPoint;
    }

    /// @notice A number that a key keeps from its addition until its removal, through rotations; 0: not registered.
    function registrationOf(address account, address sessionKey) public view returns (uint256) {
        return registrations[account][sessionKey];
    }

    /* Keys */

    function addSessionKey(address sessionKey, bytes32 tag, bytes[] calldata updates) public virtual {
        if (sessionKey == address(0)) revert InvalidSessionKey(sessionKey);
        if (registrationOf(msg.sender, sessionKey) != 0) revert InvalidSessionKey(sessionKey);
        lists[msg.sender].push(sessionKey);
        registrations[msg.sender][sessionKey] = ++lastRegistration;
        permissions[lastRegistration].native.exists = true;
        emit SessionKeyAdded(msg.sender, sessionKey, tag);
        if (updates.length != 0) updateKeyPermissions(sessionKey, updates);
    }

    function removeSessionKey(address sessionKey, bytes32 predecessor) external {
        _takeOut(sessionKey, predecessor);
        emit SessionKeyRemoved(msg.sender, sessionKey);
    }

    function rotateSessionKey(address oldSessionKey, bytes32 predecessor, address newSessionKey) external {
        uint256 registration = _takeOut(oldSessionKey, predecessor);
        if (newSessionKey == address(0)) revert InvalidSessionKey(newSessionKey);
        if (registrationOf(msg.sender, newSessionKey) != 0) revert InvalidSessionKey(newSessionKey);
        lists[msg.sender].push(newSessionKey);
        registrations[msg.sender][newSessionKey] = registration;
        emit SessionKeyRotated(msg.sender, oldSessionKey, newSessionKey);
    }

    function _takeOut(address sessionKey, bytes32 predecessor) private returns (uint256 registration) {
        registration = registrationOf(msg.sender, sessionKey);
        if (registration == 0) revert InvalidSessionKey(sessionKey);
        if (predecessor != 0 && predecessor != findPredecessor(msg.sender, sessionKey)) {
            revert InvalidSessionKey(sessionKey);
        }
        address[] storage list = lists[msg.sender];
        uint256 place = _placeOf(msg.sender, sessionKey);
        for (uint256 i = place + 1; i < list.length; ++i) {
            list[i - 1] = list[i];
        }
        list.pop();
        delete registrations[msg.sender][sessionKey];
    }

    function _placeOf(address account, address sessionKey) private view returns (uint256 place) {
        while (lists[account][place] != sessionKey) ++place;
    }

    function onInstall(bytes calldata data) external {
        (address[] memory keys, bytes32[] memory tags, bytes[][] memory updates) =
            abi.decode(data, (address[], bytes32[], bytes[][]));
        require(keys.length == 0 && tags.length == 0 && updates.length == 0, "keys at installation: not modelled");
        _removeAll();
    }

    function onUninstall(bytes calldata) external {
        address[] memory list = sessionKeysOf(msg.sender);
        _removeAll();
        for (uint256 i = 0; i < list.length; ++i) {
            emit SessionKeyRemoved(msg.sender, list[i]);
        }
    }

    function _removeAll() private {
        address[] storage list = lists[msg.sender];
        while (list.length != 0) {
            delete registrations[msg.sender][list[list.length - 1]];
            list.pop();
        }
    }

    /* Updates. Each is a self-call of the reference, so Solidity decodes it and a failure reverts all of them */

    function updateKeyPermissions(address sessionKey, bytes[] calldata updates) public {
        updated = _requireKey(msg.sender, sessionKey);
        for (uint256 i = 0; i < updates.length; ++i) {
            (bool success, bytes memory reason) = address(this).call(updates[i]);
            if (!success) LowLevelCall.bubbleRevert(reason);
        }
        updated = 0;
        emit PermissionsUpdated(msg.sender, sessionKey, updates);
    }

    fallback() external {
        revert InvalidPermissionsUpdate(msg.sig);
    }

    function setAccessListType(ContractAccessControlType listType) external {
        permissions[updated].listType = listType;
    }

    function updateAccessListAddressEntry(address target, bool isOnList, bool checkSelectors) external {
        permissions[updated].entries[target] = Entry(isOnList, checkSelectors);
    }

    function updateAccessListFunctionEntry(address target, bytes4 selector, bool isOnList) external {
        permissions[updated].functions[target][selector] = isOnList;
    }

    function updateTimeRange(uint48 validAfter, uint48 validUntil) external {
        (permissions[updated].validAfter, permissions[updated].validUntil) = (validAfter, validUntil);
    }

    function setNativeTokenSpendLimit(uint256 limit, uint48 interval) external {
        if (limit == type(uint256).max) delete permissions[updated].native;
        else _set(permissions[updated].native, limit, interval);
    }

    function setERC20SpendLimit(address token, uint256 limit, uint48 interval) external {
        if (token == address(0)) revert InvalidToken(token);
        Limit storage one = permissions[updated].tokens[token];
        // A removed limit still shows its last amounts.
        if (limit == type(uint256).max) (one.exists, one.used) = (false, 0);
        else _set(one, limit, interval);
    }

    function setGasSpendLimit(uint256 limit, uint48 interval) public virtual {
        permissions[updated].isResetPending = false;
        if (limit == type(uint256).max) delete permissions[updated].gas;
        else _set(permissions[updated].gas, limit, interval);
    }

    function setRequiredPaymaster(address paymaster) external {
        permissions[updated].paymaster = paymaster;
    }

    function _set(Limit storage one, uint256 limit, uint48 interval) private {
        (one.exists, one.limit, one.interval) = (true, limit, interval);
        one.start = interval == 0 ? 0 : startOfIntervals();
    }

    /// @dev Returns the start of an interval set now.
    function startOfIntervals() internal view virtual returns (uint48) {
        return uint48(block.timestamp);
    }

    /* Validation */

    /// @notice The plugin's checks in validation, except the signature.
    function checkOperation(UserOperation calldata op, Call[] calldata calls, address sessionKey)
        external
        returns (uint48 validAfter, uint48 validUntil)
    {
        Permissions storage one;
        (one, validAfter) = checkKeyAndCalls(calls, sessionKey);
        if (one.gas.exists) {
            if (op.nonce >> 64 != uint160(sessionKey)) revert PermissionsCheckFailed();
            uint48 from = countGas(one, _maxCost(op));
            if (from > validAfter) validAfter = from;
        }
        if (one.paymaster != address(0)) {
            if (op.paymasterAndData.length < 20 || address(bytes20(op.paymasterAndData)) != one.paymaster) {
                revert PermissionsCheckFailed();
            }
        }
        return (validAfter, one.validUntil);
    }

    /// @dev Checks everything that does not depend on the operation.
    function checkKeyAndCalls(Call[] calldata calls, address sessionKey)
        internal
        view
        returns (Permissions storage one, uint48 validAfter)
    {
        uint256 registration = registrationOf(msg.sender, sessionKey);
        if (registration == 0) revert PermissionsCheckFailed();
        one = permissions[registration];
        _checkCalls(one, msg.sender, calls);
        validAfter = one.validAfter;
        if (one.native.exists) {
            (bool possible, uint48 from) = _canSpend(one.native, calls);
            if (!possible) revert PermissionsCheckFailed();
            if (from > validAfter) validAfter = from;
        }
    }

    /// @dev Checked arithmetic: an operation whose cost overflows is refused with a panic.
    function _maxCost(UserOperation calldata op) private pure returns (uint256) {
        uint256 verifications = op.paymasterAndData.length > 0 ? 3 : 1;
        return (op.callGasLimit + op.verificationGasLimit * verifications + op.preVerificationGas) * op.maxFeePerGas;
    }

    function _canSpend(Limit storage one, Call[] calldata calls) private view returns (bool possible, uint48 from) {
        (bool isSum, uint256 value) = _valueOf(calls);
        if (!isSum || value > one.limit) return (false, 0);
        if (_fits(one, value)) return (true, 0);
        return (one.interval != 0, _end(one));
    }

    function countGas(Permissions storage one, uint256 cost) internal virtual returns (uint48 from) {
        if (cost > one.gas.limit) revert PermissionsCheckFailed();
        if (_fits(one.gas, cost)) {
            one.gas.used += cost;
            return one.isResetPending ? _end(one.gas) : 0;
        }
        if (one.gas.interval == 0 || one.isResetPending) revert PermissionsCheckFailed();
        (one.gas.used, one.isResetPending) = (cost, true);
        return _end(one.gas);
    }

    /* Execution */

    /// @dev If several rules are broken, the earliest call's is reported; then the native limit's, then the gas
    /// limit's.
    function executeWithSessionKey(Call[] calldata calls, address sessionKey) external returns (bytes[] memory) {
        Permissions storage one = permissions[_requireKey(msg.sender, sessionKey)];
        if (block.timestamp < one.validAfter) revert PermissionsCheckFailed();
        if (one.validUntil != 0 && block.timestamp > one.validUntil) revert PermissionsCheckFailed();
        if (calls.length == 0) revert PermissionsCheckFailed();
        for (uint256 i = 0; i < calls.length; ++i) {
            _checkCall(one, msg.sender, calls[i]);
            Limit storage limit = one.tokens[calls[i].target];
            if (limit.exists && !spend(limit, uint256(bytes32(calls[i].data[36:])))) {
                revert ERC20SpendLimitExceeded(msg.sender, sessionKey, calls[i].target);
            }
        }
        if (one.native.exists) {
            (bool isSum, uint256 value) = _valueOf(calls);
            if (!isSum || !spend(one.native, value)) revert NativeTokenSpendLimitExceeded(msg.sender, sessionKey);
        }
        if (one.gas.exists && one.gas.used > one.gas.limit) revert PermissionsCheckFailed();
        _settle(one);
        return new bytes[](0);
    }

    function resetSessionKeyGasLimitTimestamp(address account, address sessionKey) external {
        _settle(permissions[_requireKey(account, sessionKey)]);
    }

    function spend(Limit storage one, uint256 amount) internal virtual returns (bool) {
        if (one.interval != 0 && _end(one) <= block.timestamp) (one.used, one.start) = (0, uint48(block.timestamp));
        if (!_fits(one, amount)) return false;
        one.used += amount;
        return true;
    }

    function _settle(Permissions storage one) private {
        if (one.isResetPending) (one.isResetPending, one.gas.start) = (false, uint48(block.timestamp));
    }

    /* Rules of both phases */

    function _checkCalls(Permissions storage one, address account, Call[] calldata calls) private view {
        if (calls.length == 0) revert PermissionsCheckFailed();
        for (uint256 i = 0; i < calls.length; ++i) {
            _checkCall(one, account, calls[i]);
        }
    }

    function _checkCall(Permissions storage one, address account, Call calldata call) private view {
        if (!_isAllowed(one, account, call.target, call.data)) revert PermissionsCheckFailed();
    }

    function _isAllowed(Permissions storage one, address account, address target, bytes calldata data)
        private
        view
        returns (bool)
    {
        bytes4 selector = bytes4(data);
        Entry storage entry = one.entries[target];
        if (target == account || isForbidden(target)) return false;
        if (isEntryPoint(target) && (one.listType != ContractAccessControlType.ALLOWLIST || !entry.isOnList)) {
            return false;
        }
        if (one.tokens[target].exists) {
            if (selector != TestToken.transfer.selector && selector != TestToken.approve.selector) return false;
            if (data.length < 68) return false;
        }
        if (one.listType == ContractAccessControlType.ALLOW_ALL_ACCESS) return true;
        if (entry.checkSelectors && data.length > 0 && data.length < 4) return false;
        bool isListed = entry.isOnList && (!entry.checkSelectors || one.functions[target][selector]);
        return one.listType == ContractAccessControlType.ALLOWLIST ? isListed : !isListed;
    }

    function isForbidden(address) internal view virtual returns (bool) {
        return false;
    }

    function isEntryPoint(address target) internal view virtual returns (bool) {
        return target == ENTRY_POINT;
    }

    function _fits(Limit storage one, uint256 amount) private view returns (bool) {
        return one.used <= one.limit && amount <= one.limit - one.used;
    }

    /// @dev Returns the first second of the next interval.
    function _end(Limit storage one) private view returns (uint48) {
        uint256 sum = uint256(one.start) + one.interval;
        return sum > type(uint48).max ? type(uint48).max : uint48(sum);
    }

    function _valueOf(Call[] calldata calls) private pure returns (bool isSum, uint256 value) {
        for (uint256 i = 0; i < calls.length; ++i) {
            if (calls[i].value > type(uint256).max - value) return (false, 0);
            value += calls[i].value;
        }
        return (true, value);
    }

    function _requireKey(address account, address sessionKey) private view returns (uint256 registration) {
        registration = registrationOf(account, sessionKey);
        if (registration == 0) revert InvalidSessionKey(sessionKey);
    }

    /* Views */

    function sessionKeysOf(address account) public view returns (address[] memory newestFirst) {
        address[] storage list = lists[account];
        newestFirst = new address[](list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            newestFirst[i] = list[list.length - 1 - i];
        }
    }

    function isSessionKeyOf(address account, address sessionKey) external view returns (bool) {
        return registrationOf(account, sessionKey) != 0;
    }

    function findPredecessor(address account, address sessionKey) public view returns (bytes32) {
        if (registrationOf(account, sessionKey) == 0) revert SessionKeyNotFound(sessionKey);
        uint256 place = _placeOf(account, sessionKey);
        if (place == lists[account].length - 1) return SENTINEL;
        return bytes32(bytes20(lists[account][place + 1]));
    }

    function getAccessControlType(address account, address sessionKey)
        external
        view
        returns (ContractAccessControlType)
    {
        return permissions[_requireKey(account, sessionKey)].listType;
    }

    function getAccessControlEntry(address account, address sessionKey, address target)
        external
        view
        returns (bool isOnList, bool checkSelectors)
    {
        Entry storage entry = permissions[_requireKey(account, sessionKey)].entries[target];
        return (entry.isOnList, entry.checkSelectors);
    }

    function isSelectorOnAccessControlList(address account, address sessionKey, address target, bytes4 selector)
        external
        view
        returns (bool)
    {
        return permissions[_requireKey(account, sessionKey)].functions[target][selector];
    }

    function getKeyTimeRange(address account, address sessionKey) external view returns (uint48, uint48) {
        Permissions storage one = permissions[_requireKey(account, sessionKey)];
        return (one.validAfter, one.validUntil);
    }

    function getNativeTokenSpendLimitInfo(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory)
    {
        return _info(permissions[_requireKey(account, sessionKey)].native);
    }

    function getGasSpendLimit(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory, bool shouldReset)
    {
        Permissions storage one = permissions[_requireKey(account, sessionKey)];
        return (_info(one.gas), one.isResetPending);
    }

    function getERC20SpendLimitInfo(address account, address sessionKey, address token)
        external
        view
        returns (SpendLimitInfo memory)
    {
        return _info(permissions[_requireKey(account, sessionKey)].tokens[token]);
    }

    function getRequiredPaymaster(address account, address sessionKey) external view returns (address) {
        return permissions[_requireKey(account, sessionKey)].paymaster;
    }

    function _info(Limit storage one) private view returns (SpendLimitInfo memory) {
        return SpendLimitInfo(one.exists, one.limit, one.used, one.interval, one.start);
    }
}
