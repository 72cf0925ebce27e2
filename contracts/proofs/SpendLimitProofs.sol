// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibSessionKeySlots} from "../src/session-key/LibSessionKeySlots.sol";
import {LibGasLimit} from "../src/session-key/types/GasLimit.sol";
import {LibSpendLimit, SpendLimit} from "../src/session-key/types/SpendLimit.sol";

/// @notice Proofs of the spend limit rules, for all words that storage can hold, small or wide, all amounts and all
/// times. They read the words by the layout drawn above `SpendLimit`, not by its own functions, and state the rules in
/// plain arithmetic.
///
/// One thing is assumed about the words, where stated: no limit equals `type(uint256).max`, which means "no limit" and
/// is never stored by the plugin.
contract SpendLimitProofs {
    using LibSessionKeySlots for uint256;

    /// @notice The three words of a limit.
    struct Words {
        uint256 first;
        uint256 second;
        uint256 third;
    }

    /// @notice The meaning of three words.
    struct Limit {
        bool isWide;
        uint256 limit;
        uint256 used;
        uint256 interval;
        uint256 lastUsed;
        uint256 flags;
    }

    /// @dev The limit's slot. `check_otherWordsStay` uses any slot.
    uint256 private constant SLOT = uint256(keccak256("limit"));

    /* Spending */

    /// @notice A spend passes exactly when the rules allow it, the stored result is what they require, and the amount
    /// used never exceeds the limit afterwards.
    function check_spend(Words calldata words, uint256 amount, uint48 time) external {
        _put(words);
        Limit memory before = _read();
        if (before.limit == type(uint256).max) return;

        bool passed = LibSpendLimit.load(SLOT).spend(SLOT, amount, time);

        Limit memory current = _read();
        bool isNextInterval = before.interval != 0 && _intervalEnd(before) <= time;
        uint256 used = isNextInterval ? 0 : before.used;
        assert(passed == _fits(before.limit, used, amount));
        if (passed) {
            assert(current.used <= current.limit);
            assert(current.used >= used && current.used - used == amount);
            assert(current.lastUsed == (isNextInterval ? time : before.lastUsed));
            _assertSameOtherwise(current, before);
            // A limit in one word does not touch the next two.
            if (!before.isWide) _assertNextWordsHold(words);
        } else {
            _assertHolds(words);
        }
    }

    /// @notice An amount that validation, without a clock, allows from `validAfter` on is one that execution allows at
    /// such a time.
    function check_validationAgreesWithExecution(Words calldata words, uint256 amount, uint48 time) external {
        _put(words);
        if (_read().limit == type(uint256).max) return;

        (uint256 limit, uint256 used) = LibSpendLimit.load(SLOT).limitAndUsed(SLOT);
        uint256 validAfter = LibSpendLimit.load(SLOT).check(limit, used, amount);
        _assertHolds(words);
        bool passed = LibSpendLimit.load(SLOT).spend(SLOT, amount, time);

        assert(validAfter == LibSpendLimit.NEVER || validAfter <= type(uint48).max);
        assert(passed == (time >= validAfter));
    }

    /// @notice A limit that has not begun allows any amount within it, whatever its interval and the time, and begins
    /// with the first use.
    function check_spendBegins(Words calldata words, uint256 amount, uint48 time) external {
        _put(words);
        Limit memory before = _read();
        if (before.limit == type(uint256).max) return;
        // A limit that has not begun has no amount used.
        if (before.interval == 0 || before.lastUsed != 0 || before.used != 0) return;

        bool passed = LibSpendLimit.load(SLOT).begun(time).spend(SLOT, amount, time);

        Limit memory current = _read();
        assert(passed == (amount <= before.limit));
        if (passed) {
            assert(current.used == amount);
            assert(current.lastUsed == time);
            _assertSameOtherwise(current, before);
        } else {
            _assertHolds(words);
        }
    }

    /// @notice A limit that has begun, or has no interval, stays unchanged.
    function check_begunChangesNothingElse(Words calldata words, uint48 time) external {
        _put(words);
        Limit memory stored = _read();
        SpendLimit self = LibSpendLimit.load(SLOT);
        bool isNotBegun = stored.interval != 0 && stored.lastUsed == 0;
        assert(self.isNotBegun() == isNotBegun);
        uint256 begins = isNotBegun ? uint256(time) << 8 : 0;
        assert(SpendLimit.unwrap(self.begun(time)) == words.first | begins);
    }

    /// @notice A gas limit is charged exactly as the states above `GasLimit` specify, and never beyond the limit.
    function check_chargeOfGas(Words calldata words, uint256 cost) external {
        _put(words);
        Limit memory before = _read();
        if (before.limit == type(uint256).max) return;

        uint256 validAfter = LibGasLimit.load(SLOT).charge(SLOT, cost);

        Limit memory current = _read();
        bool isPending = before.flags & 1 != 0;
        bool fits = _fits(before.limit, before.used, cost);
        bool fitsNext = !isPending && before.interval != 0 && cost <= before.limit;
        if (!fits && !fitsNext) {
            assert(validAfter == LibSpendLimit.NEVER);
            _assertHolds(words);
            return;
        }
        assert(validAfter == (fits && !isPending ? 0 : _intervalEnd(before)));
        assert(current.used <= current.limit);
        assert(current.used == (fits ? before.used + cost : cost));
        assert(current.lastUsed == before.lastUsed);
        assert(current.flags == (fits ? before.flags : before.flags | 1));
        before.flags = current.flags;
        _assertSameOtherwise(current, before);
    }

    /* Setting */

    /// @notice Setting a limit keeps the amount used and the flags, and stores the rest as given, whatever its size.
    function check_configure(Words calldata words, uint256 limit, uint48 interval, uint48 time) external {
        _put(words);
        Limit memory before = _read();

        LibSpendLimit.load(SLOT).configure(SLOT, limit, interval, time);

        Limit memory current = _read();
        assert(current.limit == limit);
        assert(current.interval == interval);
        assert(current.lastUsed == (interval == 0 ? 0 : time));
        assert(current.used == before.used);
        assert(current.flags == before.flags);
    }

    /// @notice Setting a gas limit without a clock leaves its interval not begun, with a reset pending.
    function check_configureNotBegun(Words calldata words, uint256 limit, uint48 interval) external {
        _put(words);
        Limit memory before = _read();

        LibGasLimit.load(SLOT).configureNotBegun(SLOT, limit, interval);

        Limit memory current = _read();
        assert(current.limit == limit);
        assert(current.interval == interval);
        assert(current.lastUsed == 0);
        assert(current.used == before.used);
        assert(current.flags == before.flags | 1);
        assert(LibGasLimit.load(SLOT).isResetPending());
    }

    /// @notice Storing the amount used and the start of the interval changes nothing else.
    function check_storeUsed(Words calldata words, uint256 used, uint48 time) external {
        _put(words);
        Limit memory before = _read();
        if (used > before.limit) return;

        LibSpendLimit.load(SLOT).withLastUsed(time).storeUsed(SLOT, used);

        Limit memory current = _read();
        assert(current.used == used);
        assert(current.lastUsed == time);
        _assertSameOtherwise(current, before);
    }

    /// @notice A limit has three words, at any slot: neither spending nor setting changes another word.
    function check_otherWordsStay(
        uint256 slot,
        uint256 other,
        uint256 word,
        uint256 amount,
        uint48 time,
        uint48 interval
    ) external {
        unchecked {
            if (other - slot < 3) return;
        }
        other.store(word);
        LibSpendLimit.load(slot).spend(slot, amount, time);
        assert(other.load() == word);
        LibSpendLimit.load(slot).configure(slot, amount, interval, time);
        assert(other.load() == word);
    }

    /* Fields */

    /// @notice The getters follow the layout, and setting or clearing a flag changes no other bit.
    function check_fields(Words calldata words, uint8 flag) external {
        _put(words);
        Limit memory stored = _read();
        SpendLimit self = LibSpendLimit.load(SLOT);
        (uint256 limit, uint256 used) = self.limitAndUsed(SLOT);
        assert(limit == stored.limit);
        assert(used == stored.used);
        assert(self.refreshInterval() == stored.interval);
        assert(self.lastUsed() == stored.lastUsed);
        assert(self.intervalEnd() == _intervalEnd(stored));

        assert(SpendLimit.unwrap(self.with(flag)) == words.first | flag);
        assert(SpendLimit.unwrap(self.without(flag)) == words.first & ~uint256(flag));
        assert(self.has(flag) == (words.first & flag != 0));
    }

    /* The rules, in plain arithmetic */

    /// @dev Whether `used + amount <= limit`, in unbounded arithmetic.
    function _fits(uint256 limit, uint256 used, uint256 amount) private pure returns (bool) {
        return used <= limit && amount <= limit - used;
    }

    /// @dev Saturates at the largest storable time.
    function _intervalEnd(Limit memory limit) private pure returns (uint256) {
        uint256 end = limit.lastUsed + limit.interval;
        return end < type(uint48).max ? end : type(uint48).max;
    }

    function _assertSameOtherwise(Limit memory a, Limit memory b) private pure {
        assert(a.isWide == b.isWide);
        assert(a.limit == b.limit);
        assert(a.interval == b.interval);
        assert(a.flags == b.flags);
    }

    /* Storage */

    function _put(Words calldata words) private {
        SLOT.store(words.first);
        (SLOT + 1).store(words.second);
        (SLOT + 2).store(words.third);
    }

    function _assertHolds(Words calldata words) private view {
        assert(SLOT.load() == words.first);
        _assertNextWordsHold(words);
    }

    function _assertNextWordsHold(Words calldata words) private view {
        assert((SLOT + 1).load() == words.second);
        assert((SLOT + 2).load() == words.third);
    }

    function _read() private view returns (Limit memory limit) {
        uint256 word = SLOT.load();
        limit.isWide = _bits(word, 7, 7) == 1;
        limit.flags = _bits(word, 6, 0);
        limit.lastUsed = _bits(word, 55, 8);
        if (limit.isWide) {
            limit.interval = _bits(word, 103, 56);
            limit.limit = (SLOT + 1).load();
            limit.used = (SLOT + 2).load();
        } else {
            limit.interval = _bits(word, 95, 56);
            limit.limit = _bits(word, 255, 176);
            limit.used = _bits(word, 175, 96);
        }
    }

    /// @dev Bits `high` to `low` of `word`, as a number.
    function _bits(uint256 word, uint256 high, uint256 low) private pure returns (uint256) {
        return word << (255 - high) >> (255 - high + low);
    }
}
