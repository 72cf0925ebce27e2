// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibSpendLimit, SpendLimit} from "./SpendLimit.sol";

/// @notice The gas limit of a key: a `SpendLimit` that validation charges with the most that an operation can cost.
/// Validation has no clock (ERC-7562), so an interval begins in two steps: validation notes that one begins, execution
/// records when. In between, a reset is pending (bit 0 of the flags).
///
///        the owner sets the limit: start = now, used stays
///           |
///           v                  2. fits the next interval only: used = cost
///      +---------+  -------------------------------------------------------->  +---------+
///      | settled |                                                             | pending |
///      +---------+  <--------------------------------------------------------  +---------+
///        |     ^               4. settled: start = now                           |     ^
///        +-----+                                                                 +-----+
///     1. fits: used += cost                                                   3. fits: used += cost
///
///     1         validation; the operation is valid at once
///     2, 3      validation; the operation is valid from the interval's end on, which is start + interval
///     4         the execution of the key's calls succeeds, or anyone calls `resetSessionKeyGasLimitTimestamp`
///
/// An operation that fits no arrow is refused. A limit that is set without a clock is pending from the start: no
/// interval has begun, so there is no end to wait for. Operations that fit (3) are valid at once, and arrow 4 begins
/// the first interval. This means:
///
/// - An interval does not end by itself. Operations that fit what is left of it are charged to it even long after its end; only
///   the first that does not fit begins the next.
/// - One reset can be pending. If the execution fails, it stays pending, and no further interval begins until it is
///   settled.
/// - Operations are charged at most twice the limit in any stretch of time as long as the interval. The operation that
///   begins an interval is included at its predecessor's start + interval or later, and its own start is not before that. So
///   an interval's charges, and those of the next but one, are at least an interval apart.
type GasLimit is uint256;

using LibGasLimit for GasLimit global;

/// @title The states of gas limits
library LibGasLimit {
    uint256 private constant RESET_PENDING_FLAG = 1 << 0;

    /// @dev The limit at `slot`.
    function load(uint256 slot) internal view returns (GasLimit) {
        return GasLimit.wrap(SpendLimit.unwrap(LibSpendLimit.load(slot)));
    }

    /// @dev Arrows 1 to 3: charges what an operation can cost. Charges nothing if it returns `NEVER`.
    /// @param slot Where the limit is stored.
    /// @param cost Wei.
    /// @return validAfter When the operation becomes valid, as in `LibSpendLimit.check`.
    function charge(GasLimit self, uint256 slot, uint256 cost) internal returns (uint256 validAfter) {
        SpendLimit limit = self.asSpendLimit();
        (uint256 amount, uint256 used) = limit.limitAndUsed(slot);
        validAfter = limit.check(amount, used, cost);
        if (validAfter == 0) {
            if (self.isResetPending()) validAfter = limit.intervalEnd();
            unchecked {
                limit.storeUsed(slot, used + cost);
            }
        } else if (self.isResetPending()) {
            return LibSpendLimit.NEVER;
        } else if (validAfter != LibSpendLimit.NEVER) {
            limit.with(RESET_PENDING_FLAG).storeUsed(slot, cost);
        }
    }

    /// @dev Arrow 4: the interval that validation began, if any, starts at `time`.
    function settle(GasLimit self, uint256 slot, uint48 time) internal {
        if (self.isResetPending()) {
            self.asSpendLimit().without(RESET_PENDING_FLAG).withLastUsed(time).store(slot);
        }
    }

    /// @dev The first arrow: sets another limit and interval, which starts at `time`. See `LibSpendLimit.configure`.
    function configure(GasLimit self, uint256 slot, uint256 limit, uint48 interval, uint48 time) internal {
        self.asSpendLimit().without(RESET_PENDING_FLAG).configure(slot, limit, interval, time);
    }

    /// @dev The same without a clock: the interval begins when it is settled.
    function configureNotBegun(GasLimit self, uint256 slot, uint256 limit, uint48 interval) internal {
        self.asSpendLimit().with(RESET_PENDING_FLAG).configure(slot, limit, interval, LibSpendLimit.NOT_BEGUN);
    }

    /// @dev Whether an interval is waiting to start.
    function isResetPending(GasLimit self) internal pure returns (bool) {
        return self.asSpendLimit().has(RESET_PENDING_FLAG);
    }

    /// @dev The same word as a limit.
    function asSpendLimit(GasLimit self) internal pure returns (SpendLimit) {
        return SpendLimit.wrap(GasLimit.unwrap(self));
    }
}
