// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {LibSessionKeySlots} from "../LibSessionKeySlots.sol";

/// @notice A spend limit and its used amount: the word at the limit's slot. Amounts in wei or token base units, times
/// in unix seconds. Nearly every limit fits in this one word:
///
///     bits    255..176      175..96      95..56             55..8        7..0
///            +------------+------------+------------------+------------+-------+
///     small  | limit      | used       | refresh interval | last used  | flags |
///            +------------+------------+------------------+------------+-------+
///
/// A limit, used amount or interval too large for its field makes the limit wide: bit 7 of the flags is set, and the
/// amounts are in separate words.
///
///     bits    255..104                  103..56            55..8        7..0
///            +-------------------------+------------------+------------+-------+   slot + 1: limit
///     wide   | zero                    | refresh interval | last used  | flags |   slot + 2: used
///            +-------------------------+------------------+------------+-------+
///
/// Whether a limit is wide is decided when it is set: spending never makes the used amount larger than the limit. The
/// other flags belong to the type that holds the limit. A refresh interval of zero means that the limit is a total;
/// else "last used" is the start of the current interval. For a limit set without a clock it is `NOT_BEGUN` until the
/// next execution that books begins the interval; nothing is booked before that.
type SpendLimit is uint256;

using LibSpendLimit for SpendLimit global;

/// @title Rules and storage of spend limits
library LibSpendLimit {
    using FixedPointMathLib for uint256;
    using LibSessionKeySlots for uint256;

    /// @dev Returned by `check` for an amount that cannot be spent.
    uint256 internal constant NEVER = type(uint256).max;

    /// @dev The start of an interval that was set without a clock and has not begun.
    uint48 internal constant NOT_BEGUN = 0;

    uint256 private constant WIDE_FLAG = 1 << 7;
    uint256 private constant OWNERS_FLAGS = type(uint8).max & ~WIDE_FLAG;

    uint256 private constant LAST_USED_SHIFT = 8;
    uint256 private constant INTERVAL_SHIFT = 56;
    uint256 private constant USED_SHIFT = 96;
    uint256 private constant LIMIT_SHIFT = 176;

    uint256 private constant LAST_USED_MASK = uint256(type(uint48).max) << LAST_USED_SHIFT;
    uint256 private constant USED_MASK = uint256(type(uint80).max) << USED_SHIFT;

    /* Rules */

    /// @dev Whether `amount` fits what is left of an interval or of the total. A saturated sum fits no limit, because
    /// the maximum of `uint256` is not a limit.
    function fits(uint256 limit, uint256 used, uint256 amount) internal pure returns (bool) {
        return used.saturatingAdd(amount) <= limit;
    }

    /// @dev The first second of the next interval. Saturates, so a huge interval never refreshes.
    function intervalEnd(SpendLimit self) internal pure returns (uint48) {
        unchecked {
            uint256 end = uint256(self.lastUsed()) + self.refreshInterval();
            return end > type(uint48).max ? type(uint48).max : uint48(end);
        }
    }

    /// @dev The rule without a clock, for validation: when `amount` can first be spent. At once if it fits the current
    /// interval or the total; from the next interval on, if there is one and it fits that.
    /// @return validAfter Unix seconds; 0 for at once; or `NEVER`.
    function check(SpendLimit self, uint256 limit, uint256 used, uint256 amount)
        internal
        pure
        returns (uint256 validAfter)
    {
        if (fits(limit, used, amount)) return 0;
        return self.refreshInterval() != 0 && amount <= limit ? self.intervalEnd() : NEVER;
    }

    /// @dev The rule with a clock, for execution: books `amount` at `time`. Opens the next interval if the current one
    /// is over, even for an amount of zero. Books nothing if it returns false.
    function spend(SpendLimit self, uint256 slot, uint256 amount, uint48 time) internal returns (bool) {
        (uint256 limit, uint256 used) = self.limitAndUsed(slot);
        if (self.refreshInterval() != 0 && self.intervalEnd() <= time) {
            used = 0;
            self = self.withLastUsed(time);
        }
        if (!fits(limit, used, amount)) return false;
        unchecked {
            self.storeUsed(slot, used + amount);
        }
        return true;
    }

    /// @dev Whether the used amount exceeds the limit. Spending never causes this; lowering the limit does.
    function isExceeded(SpendLimit self, uint256 slot) internal view returns (bool) {
        (uint256 limit, uint256 used) = self.limitAndUsed(slot);
        return used > limit;
    }

    /* Fields */

    /// @dev Whether a flag is set.
    function has(SpendLimit self, uint256 flag) internal pure returns (bool) {
        return SpendLimit.unwrap(self) & flag != 0;
    }

    /// @dev The limit with these flags set.
    function with(SpendLimit self, uint256 flags) internal pure returns (SpendLimit) {
        return SpendLimit.wrap(SpendLimit.unwrap(self) | flags);
    }

    /// @dev The limit with these flags cleared.
    function without(SpendLimit self, uint256 flags) internal pure returns (SpendLimit) {
        return SpendLimit.wrap(SpendLimit.unwrap(self) & ~flags);
    }

    /// @dev Seconds; zero: the limit is a total.
    function refreshInterval(SpendLimit self) internal pure returns (uint48) {
        uint256 word = SpendLimit.unwrap(self);
        return word & WIDE_FLAG == 0 ? uint40(word >> INTERVAL_SHIFT) : uint48(word >> INTERVAL_SHIFT);
    }

    /// @dev Start of the current interval, unix seconds.
    function lastUsed(SpendLimit self) internal pure returns (uint48) {
        return uint48(SpendLimit.unwrap(self) >> LAST_USED_SHIFT);
    }

    /// @dev Whether the limit refreshes, but its first interval has not begun.
    function isNotBegun(SpendLimit self) internal pure returns (bool) {
        return self.lastUsed() == NOT_BEGUN && self.refreshInterval() != 0;
    }

    /// @dev The limit, whose first interval starts at `time` if it has not begun.
    function begun(SpendLimit self, uint48 time) internal pure returns (SpendLimit) {
        return self.isNotBegun() ? self.withLastUsed(time) : self;
    }

    /// @dev The limit with an interval that starts at `time`.
    function withLastUsed(SpendLimit self, uint48 time) internal pure returns (SpendLimit) {
        return SpendLimit.wrap(SpendLimit.unwrap(self) & ~LAST_USED_MASK | uint256(time) << LAST_USED_SHIFT);
    }

    /// @dev The amounts, from the word itself or from the two after it.
    function limitAndUsed(SpendLimit self, uint256 slot) internal view returns (uint256 limit, uint256 used) {
        uint256 word = SpendLimit.unwrap(self);
        if (word & WIDE_FLAG == 0) return (word >> LIMIT_SHIFT, uint80(word >> USED_SHIFT));
        unchecked {
            return ((slot + 1).load(), (slot + 2).load());
        }
    }

    /* Storage */

    /// @dev The limit at `slot`.
    function load(uint256 slot) internal view returns (SpendLimit) {
        return SpendLimit.wrap(slot.load());
    }

    /// @dev Stores the first word.
    function store(SpendLimit self, uint256 slot) internal {
        slot.store(SpendLimit.unwrap(self));
    }

    /// @dev Stores the limit with another used amount, which must not be larger than the limit.
    function storeUsed(SpendLimit self, uint256 slot, uint256 used) internal {
        uint256 word = SpendLimit.unwrap(self);
        if (word & WIDE_FLAG == 0) {
            slot.store(word & ~USED_MASK | used << USED_SHIFT);
        } else {
            slot.store(word);
            unchecked {
                (slot + 2).store(used);
            }
        }
    }

    /// @dev Sets another limit and interval, which starts at `time`, or has `NOT_BEGUN`. The used amount and the flags
    /// stay.
    function configure(SpendLimit self, uint256 slot, uint256 limit, uint48 interval, uint48 time) internal {
        // The old limit is replaced.
        // slither-disable-next-line unused-return
        (, uint256 used) = self.limitAndUsed(slot);
        uint256 word = SpendLimit.unwrap(self) & OWNERS_FLAGS | uint256(interval) << INTERVAL_SHIFT;
        if (interval != 0) word |= uint256(time) << LAST_USED_SHIFT;
        if (limit <= type(uint80).max && used <= type(uint80).max && interval <= type(uint40).max) {
            slot.store(word | used << USED_SHIFT | limit << LIMIT_SHIFT);
        } else {
            slot.store(word | WIDE_FLAG);
            unchecked {
                (slot + 1).store(limit);
                (slot + 2).store(used);
            }
        }
    }
}
