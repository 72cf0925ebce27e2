// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibSessionKeySlots} from "../src/session-key/LibSessionKeySlots.sol";

/// @notice Proofs that no two names share a slot, for all accounts, keys, contracts and selectors.
///
/// A slot is `keccak256(abi.encode(account, x))`, plus an offset. Each check recovers the whole name from the two
/// hashed words, so two names never have the same words; since the kind is recovered too, names of different kinds
/// differ as well.
///
/// One assumption about Keccak-256 remains: the hashes of different pairs of words are never within 6 of each other, 6
/// being the largest offset (`check_offsets`).
contract SlotProofs {
    function check_accountRecord(address account) external pure {
        uint256 slot = LibSessionKeySlots.accountRecord(account);
        _assertNames(_hashed(), slot, account, 1, 0, address(0), 0);
    }

    function check_keyRecord(address account, address sessionKey) external pure {
        uint256 slot = LibSessionKeySlots.keyRecord(account, sessionKey);
        _assertNames(_hashed(), slot, account, 2, 0, sessionKey, 0);
    }

    function check_limits(address account, uint48 keyId) external pure {
        uint256 slot = LibSessionKeySlots.nativeLimit(account, keyId);
        _assertNames(_hashed(), slot, account, 3, keyId, address(0), 0);
    }

    function check_contractEntry(address account, uint48 keyId, address target) external pure {
        uint256 slot = LibSessionKeySlots.contractEntry(account, keyId, target);
        _assertNames(_hashed(), slot, account, 4, keyId, target, 0);
    }

    function check_functionEntry(address account, uint48 keyId, address target, bytes4 selector) external pure {
        uint256 slot = LibSessionKeySlots.functionEntry(account, keyId, target, selector);
        _assertNames(_hashed(), slot, account, 5, keyId, target, selector);
    }

    /// @notice The words of one name have separate places: 0 and 1; 0 to 2, 3 to 5 and 6.
    function check_offsets(address account, address sessionKey, uint48 keyId) external pure {
        unchecked {
            uint256 key = LibSessionKeySlots.keyRecord(account, sessionKey);
            assert(LibSessionKeySlots.nextKey(account, sessionKey) - key == 1);
            uint256 limits = LibSessionKeySlots.nativeLimit(account, keyId);
            assert(LibSessionKeySlots.gasLimit(account, keyId) - limits == 3);
            assert(LibSessionKeySlots.requiredPaymaster(account, keyId) - limits == 6);
        }
    }

    /// @notice Dirty bits above an address, a key id or a selector do not affect the slot.
    function check_dirtyBits(uint256 account, uint256 keyId, uint256 target, uint256 selector) external pure {
        address dirtyAccount;
        uint48 dirtyId;
        address dirtyTarget;
        bytes4 dirtySelector;
        assembly ("memory-safe") {
            dirtyAccount := account
            dirtyId := keyId
            dirtyTarget := target
            dirtySelector := selector
        }
        uint256 slot = LibSessionKeySlots.functionEntry(dirtyAccount, dirtyId, dirtyTarget, dirtySelector);
        uint256[2] memory words = _hashed();
        _assertNames(
            words,
            slot,
            address(uint160(account)),
            5,
            uint48(keyId),
            address(uint160(target)),
            bytes4(bytes32(selector))
        );
    }

    /// @dev Returns the two words hashed last, which are still in scratch space; `_assertNames` fails if they are not.
    function _hashed() private pure returns (uint256[2] memory words) {
        uint256 first;
        uint256 second;
        assembly ("memory-safe") {
            first := mload(0x00)
            second := mload(0x20)
        }
        words[0] = first;
        words[1] = second;
    }

    function _assertNames(
        uint256[2] memory words,
        uint256 slot,
        address account,
        uint8 kind,
        uint48 keyId,
        address target,
        bytes4 selector
    ) private pure {
        assert(slot == uint256(keccak256(abi.encode(words[0], words[1]))));
        assert(words[0] == uint256(uint160(account)));
        uint256 x = words[1];
        assert(x >> 248 == kind);
        assert(uint48(x >> 200) == keyId);
        assert(address(uint160(x >> 40)) == target);
        assert(bytes4(uint32(x >> 8)) == selector);
        assert(uint8(x) == 0);
    }
}
