// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";
import {LibSessionKeySlots} from "./LibSessionKeySlots.sol";
import {AccountRecord, LibAccountRecord} from "./types/AccountRecord.sol";
import {KeyRecord, LibKeyRecord} from "./types/KeyRecord.sol";

/// @title Registry of session keys
/// @notice The keys of an account form a linked list of addresses, newest first. Permissions are stored under the key's
/// id, which is never reused: a key that is added again starts from the defaults, and a rotated key takes over its
/// predecessor's id, with the permissions and used-up limits.
/// @dev The account is always an argument; nothing here looks at `msg.sender` or at the time.
abstract contract SessionKeyRegistry is ISessionKeyPlugin {
    using LibSessionKeySlots for uint256;

    /// @dev Stands for the predecessor of the newest key.
    bytes32 private constant SENTINEL = bytes32(uint256(1));

    /* Records */

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

    /// @dev Stores the record of a key that is, or is about to be, in the list.
    function _storeKey(address account, address sessionKey, KeyRecord key) internal {
        LibSessionKeySlots.keyRecord(account, sessionKey).store(KeyRecord.unwrap(key));
    }

    /// @dev The account's record; zero for an account that never had a key.
    function _loadAccount(address account) private view returns (AccountRecord) {
        return AccountRecord.wrap(LibSessionKeySlots.accountRecord(account).load());
    }

    /// @dev Stores the account's record.
    function _storeAccount(address account, AccountRecord record) private {
        LibSessionKeySlots.accountRecord(account).store(AccountRecord.unwrap(record));
    }

    /// @dev The next older key; zero for the oldest.
    function _nextKey(address account, address sessionKey) internal view returns (address) {
        return address(uint160(LibSessionKeySlots.nextKey(account, sessionKey).load()));
    }

    /// @dev Makes `next` the next older key.
    function _storeNextKey(address account, address sessionKey, address next) private {
        LibSessionKeySlots.nextKey(account, sessionKey).store(uint160(next));
    }

    /* Adding and removing keys */

    /// @dev Adds a key at the front of the list, under a new id. The caller stores the record.
    /// @return A record with default permissions.
    function _register(address account, address sessionKey, bytes32 tag) internal returns (KeyRecord) {
        _requireAddable(account, sessionKey);
        AccountRecord record = _loadAccount(account);
        // Checked arithmetic: the ids do not wrap.
        uint48 keyId = record.lastId() + 1;
        _link(account, LibAccountRecord.pack(record.newestKey(), record.retiredId(), keyId), sessionKey);
        emit SessionKeyAdded(account, sessionKey, tag);
        return LibKeyRecord.fresh(keyId);
    }

    /// @dev Removes a key; see `removeSessionKey`.
    function _remove(address account, address sessionKey, bytes32 predecessor) internal {
        _requireKey(account, sessionKey);
        _unlink(account, sessionKey, predecessor);
        _storeKey(account, sessionKey, KeyRecord.wrap(0));
        emit SessionKeyRemoved(account, sessionKey);
    }

    /// @dev Moves a key's record to another key; see `rotateSessionKey`. Errors of the old key come first.
    function _rotate(address account, address oldSessionKey, bytes32 predecessor, address newSessionKey) internal {
        KeyRecord key = _requireKey(account, oldSessionKey);
        _unlink(account, oldSessionKey, predecessor);
        _storeKey(account, oldSessionKey, KeyRecord.wrap(0));

        _requireAddable(account, newSessionKey);
        _storeKey(account, newSessionKey, key);
        _link(account, _loadAccount(account), newSessionKey);
        emit SessionKeyRotated(account, oldSessionKey, newSessionKey);
    }

    /// @dev Removes all keys at once, however many, without events.
    /// @return newest The newest key before the removal; the list can still be followed with `_nextKey`.
    function _retireAllKeys(address account) internal returns (address newest) {
        AccountRecord record = _loadAccount(account);
        newest = record.newestKey();
        if (newest != address(0)) _storeAccount(account, record.retireAll());
    }

    /// @dev Reverts with `InvalidSessionKey` for the zero address and for a registered key.
    function _requireAddable(address account, address sessionKey) private view {
        if (sessionKey == address(0) || _findKey(account, sessionKey).id() != 0) revert InvalidSessionKey(sessionKey);
    }

    /* The list */

    /// @dev Adds a key at the front of the list, and stores `record` with it as the newest.
    function _link(address account, AccountRecord record, address sessionKey) private {
        _storeNextKey(account, sessionKey, record.newestKey());
        _storeAccount(account, record.withNewestKey(sessionKey));
    }

    /// @dev Takes a registered key out of the list. Reverts with `InvalidSessionKey` if `predecessor` is not its own;
    /// if zero, it is searched.
    function _unlink(address account, address sessionKey, bytes32 predecessor) private {
        AccountRecord record = _loadAccount(account);
        address next = _nextKey(account, sessionKey);
        address previous;
        if (predecessor == bytes32(0)) {
            previous = _searchPredecessor(account, sessionKey);
        } else if (predecessor != SENTINEL) {
            previous = address(bytes20(predecessor));
            // Besides a word of another shape, this refuses a removed key that left its link behind.
            if (
                bytes32(bytes20(previous)) != predecessor || _findKey(account, previous).id() == 0
                    || _nextKey(account, previous) != sessionKey
            ) revert InvalidSessionKey(sessionKey);
        } else if (record.newestKey() != sessionKey) {
            revert InvalidSessionKey(sessionKey);
        }

        if (previous == address(0)) {
            _storeAccount(account, record.withNewestKey(next));
        } else {
            _storeNextKey(account, previous, next);
        }
        _storeNextKey(account, sessionKey, address(0));
    }

    /// @dev The key before a registered one in the list; zero for the newest.
    function _searchPredecessor(address account, address sessionKey) private view returns (address predecessor) {
        address current = _loadAccount(account).newestKey();
        while (current != sessionKey) {
            predecessor = current;
            current = _nextKey(account, current);
        }
    }

    /* Views */

    /// @inheritdoc ISessionKeyPlugin
    function sessionKeysOf(address account) external view returns (address[] memory keys) {
        address newest = _loadAccount(account).newestKey();
        uint256 count;
        for (address key = newest; key != address(0); key = _nextKey(account, key)) {
            ++count;
        }
        keys = new address[](count);
        address current = newest;
        for (uint256 i = 0; i < count; ++i) {
            keys[i] = current;
            current = _nextKey(account, current);
        }
    }

    /// @inheritdoc ISessionKeyPlugin
    function isSessionKeyOf(address account, address sessionKey) external view returns (bool) {
        return _findKey(account, sessionKey).id() != 0;
    }

    /// @inheritdoc ISessionKeyPlugin
    function findPredecessor(address account, address sessionKey) external view returns (bytes32) {
        if (_findKey(account, sessionKey).id() == 0) revert SessionKeyNotFound(sessionKey);
        address predecessor = _searchPredecessor(account, sessionKey);
        return predecessor == address(0) ? SENTINEL : bytes32(bytes20(predecessor));
    }
}
