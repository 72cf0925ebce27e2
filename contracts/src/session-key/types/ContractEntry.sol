// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibSessionKeySlots} from "../LibSessionKeySlots.sol";
import {SpendLimit} from "./SpendLimit.sol";

/// @notice A key's permissions for a contract: the first of three words. The access control entry and the ERC-20 limit
/// share it, so a call reads one word for both:
///
///     bits    255..8                                               7..3             2       1       0
///            +---------------------------------------------------+----------------+-------+-------+---------+
///            | fields of the `SpendLimit` of the token           | its other bits | limit | check | on list |
///            +---------------------------------------------------+----------------+-------+-------+---------+
///
///     limit    the contract is a token with a limit
///     check    the entry covers only the functions that are on the list themselves
type ContractEntry is uint256;

using LibContractEntry for ContractEntry global;

/// @title Fields and storage of `ContractEntry`
library LibContractEntry {
    using LibSessionKeySlots for uint256;

    uint256 private constant ON_LIST_FLAG = 1 << 0;
    uint256 private constant CHECK_SELECTORS_FLAG = 1 << 1;
    uint256 private constant TOKEN_LIMIT_FLAG = 1 << 2;

    /// @dev The entry at `slot`.
    function load(uint256 slot) internal view returns (ContractEntry) {
        return ContractEntry.wrap(slot.load());
    }

    /// @dev Stores the entry at `slot`.
    function store(ContractEntry self, uint256 slot) internal {
        slot.store(ContractEntry.unwrap(self));
    }

    /// @dev Whether the contract is on the access control list.
    function isOnList(ContractEntry self) internal pure returns (bool) {
        return ContractEntry.unwrap(self) & ON_LIST_FLAG != 0;
    }

    /// @dev Whether the entry covers only the functions that are on the list themselves.
    function checksSelectors(ContractEntry self) internal pure returns (bool) {
        return ContractEntry.unwrap(self) & CHECK_SELECTORS_FLAG != 0;
    }

    /// @dev Whether the contract is a token with a limit.
    function hasTokenLimit(ContractEntry self) internal pure returns (bool) {
        return ContractEntry.unwrap(self) & TOKEN_LIMIT_FLAG != 0;
    }

    /// @dev The entry with other list flags.
    function withListing(ContractEntry self, bool onList, bool checkSelectors) internal pure returns (ContractEntry) {
        uint256 word = ContractEntry.unwrap(self) & ~(ON_LIST_FLAG | CHECK_SELECTORS_FLAG);
        if (onList) word |= ON_LIST_FLAG;
        if (checkSelectors) word |= CHECK_SELECTORS_FLAG;
        return ContractEntry.wrap(word);
    }

    /// @dev The entry with or without a token limit.
    function withTokenLimit(ContractEntry self, bool isSet) internal pure returns (ContractEntry) {
        uint256 word = ContractEntry.unwrap(self);
        return ContractEntry.wrap(isSet ? word | TOKEN_LIMIT_FLAG : word & ~TOKEN_LIMIT_FLAG);
    }

    /// @dev The same word as a limit. Changing and storing the limit keeps the entry's flags.
    function tokenLimit(ContractEntry self) internal pure returns (SpendLimit) {
        return SpendLimit.wrap(ContractEntry.unwrap(self));
    }
}
