// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../src/interfaces/ISessionKeyPlugin.sol";
import {AccountRecord, LibAccountRecord} from "../src/session-key/types/AccountRecord.sol";
import {ContractEntry} from "../src/session-key/types/ContractEntry.sol";
import {KeyRecord, LibKeyRecord, NativeLimit} from "../src/session-key/types/KeyRecord.sol";
import {SpendLimit} from "../src/session-key/types/SpendLimit.sol";

/// @notice Proofs, for all words, that each field of `KeyRecord`, `ContractEntry` and `AccountRecord` is where the
/// drawn layout says, and that setting it changes no bit of another.
contract RecordProofs {
    uint256 private constant TIME_RANGE = (1 << 144) - (1 << 48);
    uint256 private constant LIST_TYPE = (1 << 152) - (1 << 144);
    uint256 private constant NATIVE_LIMIT = 3 << 152;
    uint256 private constant GAS_LIMIT = 1 << 154;
    uint256 private constant PAYMASTER = 1 << 155;

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
        for (uint256 kind = 0; kind <= uint256(type(ISessionKeyPlugin.ContractAccessControlType).max); ++kind) {
            assert(key.listTypeIs(ISessionKeyPlugin.ContractAccessControlType(kind)) == (listType == kind));
        }
        for (uint256 kind = 0; kind <= uint256(type(NativeLimit).max); ++kind) {
            assert(key.nativeLimitIs(NativeLimit(kind)) == (word / 2 ** 152 % 4 == kind));
        }
        assert(key.hasGasLimit() == (word / 2 ** 154 % 2 == 1));
        assert(key.requiresPaymaster() == (word / 2 ** 155 % 2 == 1));
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

    function check_keyRecord_withNativeLimit(uint256 word, uint8 nativeLimit) external pure {
        if (nativeLimit > uint8(type(NativeLimit).max)) return;
        KeyRecord key = KeyRecord.wrap(word).withNativeLimit(NativeLimit(nativeLimit));
        assert(key.nativeLimitIs(NativeLimit(nativeLimit)));
        _assertChanged(word, KeyRecord.unwrap(key), NATIVE_LIMIT);
    }

    function check_keyRecord_flags(uint256 word, bool isSet) external pure {
        KeyRecord key = KeyRecord.wrap(word).withGasLimit(isSet);
        assert(key.hasGasLimit() == isSet);
        _assertChanged(word, KeyRecord.unwrap(key), GAS_LIMIT);
        key = KeyRecord.wrap(word).withPaymaster(isSet);
        assert(key.requiresPaymaster() == isSet);
        _assertChanged(word, KeyRecord.unwrap(key), PAYMASTER);
    }

    /* ContractEntry */

    function check_contractEntry_fields(uint256 word) external pure {
        ContractEntry entry = ContractEntry.wrap(word);
        assert(entry.isOnList() == (word % 2 == 1));
        assert(entry.checksSelectors() == (word / 2 % 2 == 1));
        assert(entry.hasTokenLimit() == (word / 4 % 2 == 1));
        assert(SpendLimit.unwrap(entry.tokenLimit()) == word);
    }

    function check_contractEntry_withListing(uint256 word, bool isOnList, bool checkSelectors) external pure {
        ContractEntry entry = ContractEntry.wrap(word).withListing(isOnList, checkSelectors);
        assert(entry.isOnList() == isOnList);
        assert(entry.checksSelectors() == checkSelectors);
        _assertChanged(word, ContractEntry.unwrap(entry), 3);
    }

    function check_contractEntry_withTokenLimit(uint256 word, bool isSet) external pure {
        ContractEntry entry = ContractEntry.wrap(word).withTokenLimit(isSet);
        assert(entry.hasTokenLimit() == isSet);
        _assertChanged(word, ContractEntry.unwrap(entry), 4);
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

    /// @notice All ids given out so far are retired, and none is given out again.
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
