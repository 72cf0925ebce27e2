// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibSessionKeySlots} from "./LibSessionKeySlots.sol";

/// @notice A spend limit and what is used of it, as it is while being worked on. Amounts in wei or token base units, times
/// in unix seconds.
struct SpendLimit {
    // Bits 0 to 6 belong to the owner of the limit; see `LibSpendLimit` for bit 7.
    uint8 flags;
    uint256 limit;
    uint256 used;
    // Zero: the limit is a total and never refreshes.
    uint48 refreshInterval;
    // Start of the current interval; zero without an interval.
    uint48 lastUsed;
}

using LibSpendLimit for SpendLimit global;

/// @title The rules of spend limits, and how they are stored
/// @notice Nearly every limit fits in one word:
///
///     bits    255..168     167..80     79..48     47..8       7..0
///            +-----------+-----------+----------+-----------+-------+
///            | limit     | used      | interval | last used | flags |
///            +-----------+-----------+----------+-----------+-------+
///
/// One whose figures are too large for these fields is stored wide: bit 7 of the flags is set, the rest of the first word
/// is zero, and the next three words hold the limit, the used amount, and `interval << 48 | last used`.
library LibSpendLimit {
    using LibSessionKeySlots for uint256;

    uint8 private constant WIDE = 1 << 7;

    uint256 private constant LAST_USED_SHIFT = 8;
    uint256 private constant INTERVAL_SHIFT = 48;
    uint256 private constant USED_SHIFT = 80;
    uint256 private constant LIMIT_SHIFT = 168;

    uint256 private constant WIDE_INTERVAL_SHIFT = 48;

    // Rules.

    /// @notice The first second of the next interval. Saturates, so that a huge interval never refreshes.
    function intervalEnd(SpendLimit memory self) internal pure returns (uint48) {
        unchecked {
            uint256 end = uint256(self.lastUsed) + self.refreshInterval;
            return end > type(uint48).max ? type(uint48).max : uint48(end);
        }
    }

    /// @notice Whether `amount` fits into what is left of the current interval (or of the total).
    function fits(SpendLimit memory self, uint256 amount) internal pure returns (bool) {
        return self.used <= self.limit && amount <= self.limit - self.used;
    }

    /// @notice Whether `amount` fits into an interval of its own, should there be a next one.
    function fitsFreshInterval(SpendLimit memory self, uint256 amount) internal pure returns (bool) {
        return self.refreshInterval != 0 && amount <= self.limit;
    }

    /// @notice The rule without a clock, for validation: whether `amount` can be spent now or later, and from when on
    /// (0: at once).
    function check(SpendLimit memory self, uint256 amount) internal pure returns (bool possible, uint48 validAfter) {
        if (self.fits(amount)) return (true, 0);
        if (self.fitsFreshInterval(amount)) return (true, self.intervalEnd());
        return (false, 0);
    }

    /// @notice The rule with a clock, for execution: books `amount` at `time`. Opens the next interval if the current one
    /// is over, even for an amount of zero. Nothing is booked when the answer is false.
    function spend(SpendLimit memory self, uint256 amount, uint48 time) internal pure returns (bool) {
        if (self.refreshInterval != 0 && self.intervalEnd() <= time) {
            if (!self.fitsFreshInterval(amount)) return false;
            self.used = amount;
            self.lastUsed = time;
        } else {
            if (!self.fits(amount)) return false;
            unchecked {
                self.used += amount;
            }
        }
        return true;
    }

    /// @notice Sets a limit. What is used stays; an interval starts at `time`.
    function configure(SpendLimit memory self, uint256 limit, uint48 refreshInterval, uint48 time) internal pure {
        self.limit = limit;
        self.refreshInterval = refreshInterval;
        self.lastUsed = refreshInterval == 0 ? 0 : time;
    }

    // Storage.

    function loadLimit(uint256 slot) internal view returns (SpendLimit memory) {
        return unpackLimit(slot, slot.load());
    }

    /// @notice Reads the limit whose first word has been read already.
    function unpackLimit(uint256 slot, uint256 word) internal view returns (SpendLimit memory self) {
        self.flags = uint8(word) & ~WIDE;
        if (word & WIDE == 0) {
            self.limit = word >> LIMIT_SHIFT;
            self.used = uint88(word >> USED_SHIFT);
            self.refreshInterval = uint32(word >> INTERVAL_SHIFT);
            self.lastUsed = uint40(word >> LAST_USED_SHIFT);
        } else {
            unchecked {
                self.limit = (slot + 1).load();
                self.used = (slot + 2).load();
                uint256 times = (slot + 3).load();
                self.refreshInterval = uint48(times >> WIDE_INTERVAL_SHIFT);
                self.lastUsed = uint48(times);
            }
        }
    }

    function store(SpendLimit memory self, uint256 slot) internal {
        if (
            self.limit <= type(uint88).max && self.used <= type(uint88).max
                && self.refreshInterval <= type(uint32).max && self.lastUsed <= type(uint40).max
        ) {
            slot.store(
                self.limit << LIMIT_SHIFT | self.used << USED_SHIFT | uint256(self.refreshInterval) << INTERVAL_SHIFT
                    | uint256(self.lastUsed) << LAST_USED_SHIFT | self.flags
            );
        } else {
            slot.store(self.flags | WIDE);
            unchecked {
                (slot + 1).store(self.limit);
                (slot + 2).store(self.used);
                (slot + 3).store(uint256(self.refreshInterval) << WIDE_INTERVAL_SHIFT | self.lastUsed);
            }
        }
    }
}
