// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Storage slots of session keys
/// @notice Every slot is `keccak256(abi.encode(account, x))`, plus a small offset. Such a slot is "associated with the
/// account" in the sense of ERC-7562, so user operation validation may read and write it. `x` names what is stored; its
/// fields do not overlap, so no two names are equal:
///
///     bits    255..248   247..200   199..40    39..8      7..0
///            +---------+----------+----------+----------+------+
///     x =    | kind    | key id   | address  | selector | zero |
///            +---------+----------+----------+----------+------+
///
///     kind        names                                words from there on
///     1 account   -                                    0: `AccountRecord`
///     2 key       address of the session key           0: `KeyRecord`, 1: the next older key (address, 0 for none)
///     3 limits    key id                               0-2: native `SpendLimit`, 3-5: `GasLimit`, 6: paymaster
///     4 contract  key id, contract                     0-2: `ContractEntry`, which is also the contract's `SpendLimit`
///     5 function  key id, contract, selector           0: 1 when on the access control list
library LibSessionKeySlots {
    uint256 private constant KIND_ACCOUNT = 1 << 248;
    uint256 private constant KIND_KEY = 2 << 248;
    uint256 private constant KIND_LIMITS = 3 << 248;
    uint256 private constant KIND_CONTRACT = 4 << 248;
    uint256 private constant KIND_FUNCTION = 5 << 248;

    uint256 private constant KEY_ID_SHIFT = 200;
    uint256 private constant ADDRESS_SHIFT = 40;
    uint256 private constant SELECTOR_SHIFT = 8;

    uint256 private constant NEXT_KEY_OFFSET = 1;
    uint256 private constant GAS_LIMIT_OFFSET = 3;
    uint256 private constant PAYMASTER_OFFSET = 6;

    /// @dev Slot of the `AccountRecord`.
    function accountRecord(address account) internal pure returns (uint256) {
        return _slot(account, KIND_ACCOUNT);
    }

    /// @dev Slot of the `KeyRecord`.
    function keyRecord(address account, address sessionKey) internal pure returns (uint256) {
        return _slot(account, KIND_KEY | uint256(uint160(sessionKey)) << ADDRESS_SHIFT);
    }

    /// @dev Slot of the next older key.
    function nextKey(address account, address sessionKey) internal pure returns (uint256) {
        unchecked {
            return keyRecord(account, sessionKey) + NEXT_KEY_OFFSET;
        }
    }

    /// @dev Slot of the native token's `SpendLimit`.
    function nativeLimit(address account, uint48 keyId) internal pure returns (uint256) {
        return _slot(account, KIND_LIMITS | uint256(keyId) << KEY_ID_SHIFT);
    }

    /// @dev Slot of the `GasLimit`.
    function gasLimit(address account, uint48 keyId) internal pure returns (uint256) {
        unchecked {
            return nativeLimit(account, keyId) + GAS_LIMIT_OFFSET;
        }
    }

    /// @dev Slot of the required paymaster.
    function requiredPaymaster(address account, uint48 keyId) internal pure returns (uint256) {
        unchecked {
            return nativeLimit(account, keyId) + PAYMASTER_OFFSET;
        }
    }

    /// @dev Slot of the `ContractEntry`.
    function contractEntry(address account, uint48 keyId, address target) internal pure returns (uint256) {
        return
            _slot(account, KIND_CONTRACT | uint256(keyId) << KEY_ID_SHIFT | uint256(uint160(target)) << ADDRESS_SHIFT);
    }

    /// @dev Slot of the word that is 1 if the function is on the access control list.
    function functionEntry(address account, uint48 keyId, address target, bytes4 selector)
        internal
        pure
        returns (uint256)
    {
        return _slot(
            account,
            KIND_FUNCTION | uint256(keyId) << KEY_ID_SHIFT | uint256(uint160(target)) << ADDRESS_SHIFT
                | uint256(uint32(selector)) << SELECTOR_SHIFT
        );
    }

    /// @dev The word at `slot`.
    function load(uint256 slot) internal view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(slot)
        }
    }

    /// @dev Stores a word at `slot`.
    function store(uint256 slot, uint256 word) internal {
        assembly ("memory-safe") {
            sstore(slot, word)
        }
    }

    /// @dev `keccak256(abi.encode(account, x))`, in scratch space.
    function _slot(address account, uint256 x) private pure returns (uint256 slot) {
        assembly ("memory-safe") {
            mstore(0x00, shr(96, shl(96, account)))
            mstore(0x20, x)
            slot := keccak256(0x00, 0x40)
        }
    }
}
