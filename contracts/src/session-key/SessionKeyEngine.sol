// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";
import {LibInstallData} from "./LibInstallData.sol";
import {SessionKeyPermissions} from "./SessionKeyPermissions.sol";
import {KeyRecord} from "./types/KeyRecord.sol";
import {LibSpendLimit} from "./types/SpendLimit.sol";

/// @title Session keys, for accounts of any generation
/// @notice Keys, permissions and their management. A face, such as `SessionKeyPlugin`, provides the rest: how an
/// account installs it, how user operations reach it and what they may cost, how it makes calls through the account,
/// and the address of the EntryPoint.
abstract contract SessionKeyEngine is SessionKeyPermissions {
    /// @dev Gas units that an uninstall reserves to finish: more than it takes to read one key and emit its event.
    uint256 private constant UNINSTALL_GAS_RESERVE = 10_000;

    /* Management, called by the account on itself */

    /// @inheritdoc ISessionKeyPlugin
    function addSessionKey(address sessionKey, bytes32 tag, bytes[] calldata permissionUpdates) external {
        _addKey(msg.sender, sessionKey, tag, permissionUpdates);
    }

    /// @inheritdoc ISessionKeyPlugin
    function removeSessionKey(address sessionKey, bytes32 predecessor) external {
        _remove(msg.sender, sessionKey, predecessor);
    }

    /// @inheritdoc ISessionKeyPlugin
    function rotateSessionKey(address oldSessionKey, bytes32 predecessor, address newSessionKey) external {
        _rotate(msg.sender, oldSessionKey, predecessor, newSessionKey);
    }

    /// @inheritdoc ISessionKeyPlugin
    function updateKeyPermissions(address sessionKey, bytes[] calldata updates) external {
        KeyRecord key = _requireKey(msg.sender, sessionKey);
        _storeKey(msg.sender, sessionKey, _applyUpdates(msg.sender, sessionKey, key, updates, _now()));
    }

    /* Called by anyone */

    /// @inheritdoc ISessionKeyPlugin
    function resetSessionKeyGasLimitTimestamp(address account, address sessionKey) external {
        _settleGasReset(account, _requireKey(account, sessionKey));
    }

    /* Installation */

    /// @dev Registers the keys of an installation. Retires any keys that an uninstall without callback left behind, so
    /// an installation always starts without keys.
    /// @param data `abi.encode(address[] keys, bytes32[] tags, bytes[][] permissionUpdates)`.
    function _installKeys(address account, bytes calldata data) internal {
        (address[] calldata keys, bytes32[] calldata tags, bytes[][] calldata updates) = LibInstallData.decode(data);
        if (keys.length != tags.length || keys.length != updates.length) revert LengthMismatch();

        _retireAllKeys(account);
        for (uint256 i = 0; i < keys.length; ++i) {
            LibInstallData.requireInside(updates[i], data);
            _addKey(account, keys[i], tags[i], updates[i]);
        }
    }

    /// @dev One write removes all keys, however many. Their events follow as far as gas allows.
    function _uninstallKeys(address account) internal {
        address sessionKey = _retireAllKeys(account);
        while (sessionKey != address(0) && gasleft() > UNINSTALL_GAS_RESERVE) {
            emit SessionKeyRemoved(account, sessionKey);
            sessionKey = _nextKey(account, sessionKey);
        }
    }

    /// @dev Registers a key, then applies `updates`, if there are any.
    function _addKey(address account, address sessionKey, bytes32 tag, bytes[] calldata updates) private {
        KeyRecord key = _register(account, sessionKey, tag);
        if (updates.length > 0) {
            uint48 time = _addsKeysWithoutClock() ? LibSpendLimit.NOT_BEGUN : _now();
            key = _applyUpdates(account, sessionKey, key, updates, time);
        }
        _storeKey(account, sessionKey, key);
    }
}
