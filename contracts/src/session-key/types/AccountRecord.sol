// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice The record of an account, in one word:
///
///     bits    255..96                         95..48       47..0
///            +-------------------------------+------------+-----------+
///            | newest key (address, or 0)    | retired id | last id   |
///            +-------------------------------+------------+-----------+
///
/// Key ids count up from 1 and are never used twice. Ids up to and including the retired id belong to earlier
/// installations: raising it to the last id removes all keys at once, however many.
type AccountRecord is uint256;

using LibAccountRecord for AccountRecord global;

/// @title Fields of `AccountRecord`
library LibAccountRecord {
    uint256 private constant RETIRED_ID_SHIFT = 48;
    uint256 private constant NEWEST_KEY_SHIFT = 96;

    /// @dev The account's newest key; zero if it has none.
    function newestKey(AccountRecord self) internal pure returns (address) {
        return address(uint160(AccountRecord.unwrap(self) >> NEWEST_KEY_SHIFT));
    }

    /// @dev The largest id that belongs to an earlier installation.
    function retiredId(AccountRecord self) internal pure returns (uint48) {
        return uint48(AccountRecord.unwrap(self) >> RETIRED_ID_SHIFT);
    }

    /// @dev The largest id that was assigned.
    function lastId(AccountRecord self) internal pure returns (uint48) {
        return uint48(AccountRecord.unwrap(self));
    }

    /// @dev The record with another newest key.
    function withNewestKey(AccountRecord self, address sessionKey) internal pure returns (AccountRecord) {
        return pack(sessionKey, self.retiredId(), self.lastId());
    }

    /// @dev The record after all keys are removed. Ids continue where they were.
    function retireAll(AccountRecord self) internal pure returns (AccountRecord) {
        return pack(address(0), self.lastId(), self.lastId());
    }

    /// @dev Packs these fields.
    function pack(address newest, uint48 retired, uint48 last) internal pure returns (AccountRecord) {
        return AccountRecord.wrap(
            uint256(uint160(newest)) << NEWEST_KEY_SHIFT | uint256(retired) << RETIRED_ID_SHIFT | uint256(last)
        );
    }
}
