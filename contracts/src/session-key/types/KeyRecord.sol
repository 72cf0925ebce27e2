// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../../interfaces/ISessionKeyPlugin.sol";

/// @notice A session key, with the permissions that every operation needs, in one word:
///
///     bits    255..156   155         154         153..152       151..144    143..96      95..48       47..0
///            +---------+-----------+-----------+--------------+-----------+------------+------------+---------+
///            | zero    | paymaster | gas limit | native limit | list type | validUntil | validAfter | key id  |
///            +---------+-----------+-----------+--------------+-----------+------------+------------+---------+
///
/// Bits 155 and 154 are set if a paymaster is required, and if there is a gas limit. With `NativeLimit` they say which
/// further words are in use, so an operation reads no unused word. The record of a fresh key is just its id. Ids are
/// never 0.
type KeyRecord is uint256;

using LibKeyRecord for KeyRecord global;

/// @notice The kind of limit a key has on the native token.
enum NativeLimit {
    // The default: nothing can be spent. No limit is stored.
    ZERO,
    // No limit. Stored figures are leftovers.
    NONE,
    // The stored limit.
    STORED
}

/// @title Fields of `KeyRecord`
library LibKeyRecord {
    uint256 private constant VALID_AFTER_SHIFT = 48;
    uint256 private constant VALID_UNTIL_SHIFT = 96;
    uint256 private constant LIST_TYPE_SHIFT = 144;
    uint256 private constant NATIVE_LIMIT_SHIFT = 152;

    uint256 private constant TIME_RANGE_MASK = uint256(type(uint96).max) << VALID_AFTER_SHIFT;
    uint256 private constant LIST_TYPE_MASK = uint256(type(uint8).max) << LIST_TYPE_SHIFT;
    uint256 private constant NATIVE_LIMIT_MASK = uint256(3) << NATIVE_LIMIT_SHIFT;
    uint256 private constant GAS_LIMIT_FLAG = 1 << 154;
    uint256 private constant PAYMASTER_FLAG = 1 << 155;

    /// @dev The record of a key with default permissions.
    function fresh(uint48 keyId) internal pure returns (KeyRecord) {
        return KeyRecord.wrap(keyId);
    }

    /// @dev The id under which the key's permissions are stored; zero if there is no such key.
    function id(KeyRecord self) internal pure returns (uint48) {
        return uint48(KeyRecord.unwrap(self));
    }

    /// @dev Unix seconds; zero: no start.
    function validAfter(KeyRecord self) internal pure returns (uint48) {
        return uint48(KeyRecord.unwrap(self) >> VALID_AFTER_SHIFT);
    }

    /// @dev Unix seconds; zero: no end.
    function validUntil(KeyRecord self) internal pure returns (uint48) {
        return uint48(KeyRecord.unwrap(self) >> VALID_UNTIL_SHIFT);
    }

    /// @dev How the access control list is read.
    function listType(KeyRecord self) internal pure returns (ISessionKeyPlugin.ContractAccessControlType) {
        return ISessionKeyPlugin.ContractAccessControlType(uint8(KeyRecord.unwrap(self) >> LIST_TYPE_SHIFT));
    }

    /// @dev Whether the access control list has this type. Cheaper than comparing `listType`, whose range is checked
    /// each time.
    function listTypeIs(KeyRecord self, ISessionKeyPlugin.ContractAccessControlType kind) internal pure returns (bool) {
        return KeyRecord.unwrap(self) & LIST_TYPE_MASK == uint256(kind) << LIST_TYPE_SHIFT;
    }

    /// @dev Whether the limit on the native token is of this kind.
    function nativeLimitIs(KeyRecord self, NativeLimit kind) internal pure returns (bool) {
        return KeyRecord.unwrap(self) & NATIVE_LIMIT_MASK == uint256(kind) << NATIVE_LIMIT_SHIFT;
    }

    /// @dev Whether there is a gas limit.
    function hasGasLimit(KeyRecord self) internal pure returns (bool) {
        return KeyRecord.unwrap(self) & GAS_LIMIT_FLAG != 0;
    }

    /// @dev Whether a paymaster is required.
    function requiresPaymaster(KeyRecord self) internal pure returns (bool) {
        return KeyRecord.unwrap(self) & PAYMASTER_FLAG != 0;
    }

    /// @dev The record with another time range.
    function withTimeRange(KeyRecord self, uint48 from, uint48 until) internal pure returns (KeyRecord) {
        return KeyRecord.wrap(
            KeyRecord.unwrap(self) & ~TIME_RANGE_MASK | uint256(from) << VALID_AFTER_SHIFT | uint256(until)
                << VALID_UNTIL_SHIFT
        );
    }

    /// @dev The record with another list type.
    function withListType(KeyRecord self, ISessionKeyPlugin.ContractAccessControlType kind)
        internal
        pure
        returns (KeyRecord)
    {
        return KeyRecord.wrap(KeyRecord.unwrap(self) & ~LIST_TYPE_MASK | uint256(kind) << LIST_TYPE_SHIFT);
    }

    /// @dev The record with another kind of limit on the native token.
    function withNativeLimit(KeyRecord self, NativeLimit kind) internal pure returns (KeyRecord) {
        return KeyRecord.wrap(KeyRecord.unwrap(self) & ~NATIVE_LIMIT_MASK | uint256(kind) << NATIVE_LIMIT_SHIFT);
    }

    /// @dev The record with or without a gas limit.
    function withGasLimit(KeyRecord self, bool isSet) internal pure returns (KeyRecord) {
        return _withFlag(self, GAS_LIMIT_FLAG, isSet);
    }

    /// @dev The record with or without a required paymaster.
    function withPaymaster(KeyRecord self, bool isSet) internal pure returns (KeyRecord) {
        return _withFlag(self, PAYMASTER_FLAG, isSet);
    }

    /// @dev Sets or clears one bit.
    function _withFlag(KeyRecord self, uint256 flag, bool isSet) private pure returns (KeyRecord) {
        uint256 word = KeyRecord.unwrap(self);
        return KeyRecord.wrap(isSet ? word | flag : word & ~flag);
    }
}
