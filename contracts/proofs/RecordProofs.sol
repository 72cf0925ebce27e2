// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../src/interfaces/ISessionKeyPlugin.sol";
import {AccountRecord, LibAccountRecord} from "../src/libraries/AccountRecord.sol";
import {KeyRecord, LibKeyRecord} from "../src/libraries/KeyRecord.sol";

/// @notice Proofs that a field of `KeyRecord` or `AccountRecord` is where the drawn layout says, and that setting it changes no
/// bit of another, for all words.
contract RecordProofs {
    uint256 private constant KEY_ID = (1 << 48) - 1;
    uint256 private constant TIME_RANGE = (1 << 144) - (1 << 48);
    uint256 private constant LIST_TYPE = (1 << 152) - (1 << 144);

    /* KeyRecord */

    function check_keyRecord_fields(uint256 word) external pure {
        KeyRecord key = KeyRecord.wrap(word);
        assert(key.id() == word % 2 ** 48);
        assert(key.validAfter() == word / 2 ** 48 % 2 ** 48);
        assert(key.validUntil() == word / 2 ** 96 % 2 ** 48);
        uint256 listType = word / 2 ** 144 % 2 ** 8;
        if (listType <= uint256(type(ISessionKeyPlugin.ContractAccessControlType).max)) {
            assert(uint256(key.listType()) == listType);
        }
        assert(key.has(LibKeyRecord.NO_NATIVE_LIMIT) == (word / 2 ** 152 % 2 == 1));
        assert(key.has(LibKeyRecord.NATIVE_LIMIT_STORED) == (word / 2 ** 153 % 2 == 1));
        assert(key.has(LibKeyRecord.GAS_LIMIT_STORED) == (word / 2 ** 154 % 2 == 1));
        assert(key.has(LibKeyRecord.PAYMASTER_REQUIRED) == (word / 2 ** 155 % 2 == 1));
    }

    function check_keyRecord_fresh(uint48 keyId) external pure {
        assert(KeyRecord.unwrap(LibKeyRecord.fresh(keyId)) == keyId);
    }

    function check_keyRecord_withTimeRange(uint256 word, uint48 from, uint48 until) external pure {
        KeyRecord key = KeyRecord.wrap(word).withTimeRange(from, until);
        assert(key.validAfter() == from);
        assert(key.validUntil() == until);
        _assertChanged(word, KeyRecord.unwrap(key), TIME_RANGE);
    }

    function check_keyRecord_withListType(uint256 word, uint8 listType) external pure {
        if (listType > uint8(type(ISessionKeyPlugin.ContractAccessControlType).max)) return;
        ISessionKeyPlugin.ContractAccessControlType kind = ISessionKeyPlugin.ContractAccessControlType(listType);
        KeyRecord key = KeyRecord.wrap(word).withListType(kind);
        assert(key.listType() == kind);
        _assertChanged(word, KeyRecord.unwrap(key), LIST_TYPE);
    }

    function check_keyRecord_flags(uint256 word, uint256 flags) external pure {
        KeyRecord set = KeyRecord.wrap(word).with(flags);
        assert(KeyRecord.unwrap(set) & flags == flags);
        _assertChanged(word, KeyRecord.unwrap(set), flags);
        KeyRecord cleared = KeyRecord.wrap(word).without(flags);
        assert(!cleared.has(flags));
        _assertChanged(word, KeyRecord.unwrap(cleared), flags);
    }

    /// @notice The four flags are different bits, outside of all fields.
    function check_keyRecord_flagsAreApart() external pure {
        uint256 sum = LibKeyRecord.NO_NATIVE_LIMIT + LibKeyRecord.NATIVE_LIMIT_STORED + LibKeyRecord.GAS_LIMIT_STORED
            + LibKeyRecord.PAYMASTER_REQUIRED;
        assert(sum == 15 * 2 ** 152);
        assert(sum & (KEY_ID | TIME_RANGE | LIST_TYPE) == 0);
    }

    /* AccountRecord */

    function check_accountRecord_pack(address newest, uint48 retired, uint48 last) external pure {
        AccountRecord record = LibAccountRecord.pack(newest, retired, last);
        assert(record.newestKey() == newest);
        assert(record.retiredId() == retired);
        assert(record.lastId() == last);
        uint256 word = AccountRecord.unwrap(record);
        assert(word == uint256(uint160(newest)) * 2 ** 96 + uint256(retired) * 2 ** 48 + last);
    }

    function check_accountRecord_withNewestKey(uint256 word, address newest) external pure {
        AccountRecord before = AccountRecord.wrap(word);
        AccountRecord current = before.withNewestKey(newest);
        assert(current.newestKey() == newest);
        assert(current.retiredId() == before.retiredId());
        assert(current.lastId() == before.lastId());
    }

    /// @notice Every id given out so far is retired, and none is given out again.
    function check_accountRecord_retireAll(uint256 word) external pure {
        AccountRecord before = AccountRecord.wrap(word);
        AccountRecord current = before.retireAll();
        assert(current.newestKey() == address(0));
        assert(current.retiredId() == before.lastId());
        assert(current.lastId() == before.lastId());
    }

    /// @dev Fails if the words differ in a bit outside `mask`.
    function _assertChanged(uint256 a, uint256 b, uint256 mask) private pure {
        assert((a ^ b) & ~mask == 0);
    }
}
