// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibSessionKeySlots} from "./LibSessionKeySlots.sol";
import {LibSpendLimit, SpendLimit} from "./SpendLimit.sol";

/// @title The gas limit of a key
/// @notice A `SpendLimit` that validation charges with the most that an operation can cost. Validation has no clock
/// (ERC-7562), so an interval begins in two steps: validation notes that one begins, execution records when. In between, a
/// reset is pending.
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
/// An operation that no arrow takes is refused. This means:
///
/// - An interval does not end by itself. Operations that fit what is left of it are charged to it even long after its end; only
///   the first that does not fit begins the next.
/// - One reset can be pending. If the execution fails, it stays so, and no further interval begins until it is settled.
/// - Operations are charged at most twice the limit in any stretch of time as long as the interval. The operation that
///   begins an interval is included at its predecessor's start + interval or later, and its own start is not before that. So
///   an interval's charges, and those of the next but one, are at least an interval apart.
library LibGasLimit {
    using LibSessionKeySlots for uint256;

    /// @dev Flag of the limit: the reset is pending.
    uint256 private constant RESET_PENDING = 1 << 0;

    /// @notice Charges what an operation can cost, in validation. Charges nothing if the answer is `NEVER`.
    /// @param slot The limit's slot; it must be set.
    /// @param cost Wei.
    /// @return validAfter From when on the operation is valid: as `LibSpendLimit.check`.
    function charge(uint256 slot, uint256 cost) internal returns (uint256 validAfter) {
        SpendLimit gas = LibSpendLimit.load(slot);
        (uint256 limit, uint256 used) = gas.limitAndUsed(slot);
        validAfter = gas.check(limit, used, cost);
        if (validAfter == 0) {
            if (gas.has(RESET_PENDING)) validAfter = gas.intervalEnd();
            unchecked {
                gas.storeUsed(slot, used + cost);
            }
        } else if (gas.has(RESET_PENDING)) {
            return LibSpendLimit.NEVER;
        } else if (validAfter != LibSpendLimit.NEVER) {
            gas.with(RESET_PENDING).storeUsed(slot, cost);
        }
    }

    /// @notice Starts the interval that validation began, if any.
    /// @param gas The limit, which must be set.
    /// @param time Unix seconds.
    function settle(SpendLimit gas, uint256 slot, uint48 time) internal {
        if (gas.has(RESET_PENDING)) gas.without(RESET_PENDING).withLastUsed(time).store(slot);
    }

    /// @notice Whether a reset is pending.
    function isResetPending(SpendLimit gas) internal pure returns (bool) {
        return gas.has(RESET_PENDING);
    }

    /// @notice Sets another limit and interval; see `LibSpendLimit.configure`. No reset is pending afterwards.
    /// @param gas What is stored of the limit, zero if there was none.
    function configure(SpendLimit gas, uint256 slot, uint256 limit, uint48 interval, uint48 time) internal {
        gas.without(RESET_PENDING).configure(slot, limit, interval, time);
    }
}
