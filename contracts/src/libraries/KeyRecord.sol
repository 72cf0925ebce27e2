// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";

/// @notice A session key and those of its permissions that every operation needs, in one word:
///
///     bits    255..156   155..152   151..144        143..96      95..48       47..0
///            +---------+----------+---------------+------------+------------+---------+
///            | zero    | flags    | list type     | validUntil | validAfter | key id  |
///            +---------+----------+---------------+------------+------------+---------+
///
/// The flags tell which further words matter, so that an operation reads no word that says nothing:
///
///     152 no native limit     153 native limit stored     154 gas limit stored     155 paymaster required
///
/// With neither 152 nor 153 the native limit is the default: zero, never refreshing. The record of a fresh key is its id
/// alone; the id of no key is 0.
type KeyRecord is uint256;

using LibKeyRecord for KeyRecord global;

/// @title Fields of `KeyRecord`
library LibKeyRecord {
    uint256 internal constant NO_NATIVE_LIMIT = 1 << 152;
    uint256 internal constant NATIVE_LIMIT_STORED = 1 << 153;
    uint256 internal constant GAS_LIMIT_STORED = 1 << 154;
    uint256 internal constant PAYMASTER_REQUIRED = 1 << 155;

    uint256 private constant VALID_AFTER_SHIFT = 48;
    uint256 private constant VALID_UNTIL_SHIFT = 96;
    uint256 private constant LIST_TYPE_SHIFT = 144;

    function fresh(uint48 keyId) internal pure returns (KeyRecord) {
        return KeyRecord.wrap(keyId);
    }

    function id(KeyRecord self) internal pure returns (uint48) {
        return uint48(KeyRecord.unwrap(self));
    }

    function validAfter(KeyRecord self) internal pure returns (uint48) {
        return uint48(KeyRecord.unwrap(self) >> VALID_AFTER_SHIFT);
    }

    function validUntil(KeyRecord self) internal pure returns (uint48) {
        return uint48(KeyRecord.unwrap(self) >> VALID_UNTIL_SHIFT);
    }

    function listType(KeyRecord self) internal pure returns (ISessionKeyPlugin.ContractAccessControlType) {
        return ISessionKeyPlugin.ContractAccessControlType(uint8(KeyRecord.unwrap(self) >> LIST_TYPE_SHIFT));
    }

    function has(KeyRecord self, uint256 flag) internal pure returns (bool) {
        return KeyRecord.unwrap(self) & flag != 0;
    }

    function withTimeRange(KeyRecord self, uint48 from, uint48 until) internal pure returns (KeyRecord) {
        uint256 mask = uint256(type(uint96).max) << VALID_AFTER_SHIFT;
        return KeyRecord.wrap(
            KeyRecord.unwrap(self) & ~mask | uint256(from) << VALID_AFTER_SHIFT | uint256(until) << VALID_UNTIL_SHIFT
        );
    }

    function withListType(KeyRecord self, ISessionKeyPlugin.ContractAccessControlType kind)
        internal
        pure
        returns (KeyRecord)
    {
        uint256 mask = uint256(type(uint8).max) << LIST_TYPE_SHIFT;
        return KeyRecord.wrap(KeyRecord.unwrap(self) & ~mask | uint256(kind) << LIST_TYPE_SHIFT);
    }

    function with(KeyRecord self, uint256 flags) internal pure returns (KeyRecord) {
        return KeyRecord.wrap(KeyRecord.unwrap(self) | flags);
    }

    function without(KeyRecord self, uint256 flags) internal pure returns (KeyRecord) {
        return KeyRecord.wrap(KeyRecord.unwrap(self) & ~flags);
    }
}
