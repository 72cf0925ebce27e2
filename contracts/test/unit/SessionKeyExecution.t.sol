// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Execution: bookings and calls.
abstract contract SessionKeyExecutionTest is SessionKeyTest {
    function setUp() public virtual override {
        super.setUp();
        allowAll();
    }

    /* Calls */

    function test_execute_runsInOrderAndReturnsWhatCallsReturned() public {
        bytes[] memory results = execute(join(increment(), increment()));
        assertEq(results.length, 2);
        assertEq(results[0], abi.encode(1));
        assertEq(results[1], abi.encode(2));
        assertEq(counter.lastCaller(), address(account));
        assertEq(execute(pay(0))[0], "");
    }

    function test_execute_bubblesUpReverts() public {
        Call[] memory refusing = call(address(counter), 0, abi.encodeCall(Counter.refuse, (42)));
        vm.expectRevert(abi.encodeWithSelector(Counter.Refused.selector, 42));
        execute(join(increment(), refusing));
        assertEq(counter.count(), 0);
    }

    function test_execute_failureLeavesNoUsage() public {
        setNative(10, DAY);
        setToken(10, DAY);
        Call[] memory calls = new Call[](3);
        calls[0] = pay(5)[0];
        calls[1] = transfer(5)[0];
        calls[2] = call(address(counter), 0, abi.encodeCall(Counter.refuse, (1)))[0];
        vm.expectRevert(abi.encodeWithSelector(Counter.Refused.selector, 1));
        execute(calls);
        assertInfo(nativeInfo(), true, 10, 0, DAY, START);
        assertInfo(tokenInfo(), true, 10, 0, DAY, START);
    }

    function test_execute_sendsValue() public {
        setNative(10, 0);
        execute(join(pay(3), pay(4)));
        assertEq(address(0xBEEF).balance, 7);
        assertEq(nativeInfo().limitUsed, 7);
    }

    /* Native */

    function test_native_defaultIsZero() public {
        accepted(pay(0));
        refused(pay(1));
        expectNativeExceeded();
        execute(pay(1));
    }

    function test_native_withoutALimitIsNotCounted() public {
        setNative(NO_LIMIT, 0);
        accepted(pay(500 ether));
        assertInfo(nativeInfo(), false, 0, 0, 0, 0);
    }

    function test_native_totalIsInclusive() public {
        setNative(10, 0);
        accepted(pay(6));
        accepted(pay(4));
        refused(pay(1));
        expectNativeExceeded();
        execute(pay(1));
        vm.warp(START + 1000 * DAY);
        refused(pay(1));
        accepted(pay(0));
    }

    function test_native_theSumOfTheBatchCounts() public {
        setNative(10, 0);
        refused(join(pay(5), pay(6)));
        expectNativeExceeded();
        execute(join(pay(5), pay(6)));
        accepted(join(pay(5), pay(5)));
    }

    function test_native_sumNeverWraps() public {
        uint256[3] memory limits = [uint256(10), 1 << 200, type(uint256).max - 1];
        for (uint256 i = 0; i < limits.length; ++i) {
            for (uint48 interval = 0; interval < 2; ++interval) {
                setNative(limits[i], interval);
                refused(join(pay(type(uint256).max), pay(1)));
                refused(join(pay(type(uint256).max), pay(2)));
                refused(join(pay(1 << 255), pay(1 << 255)));
                expectNativeExceeded();
                execute(join(pay(type(uint256).max), pay(2)));
                expectNativeExceeded();
                execute(join(pay(1 << 255), pay(1 << 255)));
            }
        }
    }

    function test_native_usedPlusValueNeverWraps() public {
        uint256 limit = type(uint256).max - 1;
        vm.deal(address(account), limit);
        setNative(limit, 0);
        execute(pay(limit));
        refused(pay(1));
        refused(pay(limit));
        expectNativeExceeded();
        execute(pay(limit));
        assertInfo(nativeInfo(), true, limit, limit, 0, 0);
    }

    function test_native_anAmountThatFitsTheNextIntervalIsValidAfterThisOne() public {
        setNative(10, DAY);
        execute(pay(6));
        assertEq(validate(pay(4)), 0);
        assertEq(validate(pay(5)), packed(START + DAY, 0));
        assertEq(validate(pay(10)), packed(START + DAY, 0));
        refused(pay(11));
    }

    function test_native_refreshesExactlyAtTheIntervalsEnd() public {
        setNative(10, DAY);
        execute(pay(6));
        vm.warp(START + DAY - 1);
        expectNativeExceeded();
        execute(pay(5));
        vm.warp(START + DAY);
        execute(pay(5));
        assertInfo(nativeInfo(), true, 10, 5, DAY, START + DAY);
        vm.warp(START + 3 * DAY);
        expectNativeExceeded();
        execute(pay(11));
        assertInfo(nativeInfo(), true, 10, 5, DAY, START + DAY);
    }

    function test_native_zeroOpensAnInterval() public {
        setNative(10, DAY);
        execute(pay(6));
        vm.warp(START + 2 * DAY);
        execute(increment());
        assertInfo(nativeInfo(), true, 10, 0, DAY, START + 2 * DAY);
    }

    function test_native_loweredBelowTheUsedAmount_leavesNothing() public {
        setNative(10, DAY);
        execute(pay(6));
        setNative(5, DAY);
        assertEq(validate(pay(0)), packed(START + DAY, 0));
        expectNativeExceeded();
        execute(pay(0));
        vm.warp(START + DAY);
        execute(pay(5));
        assertInfo(nativeInfo(), true, 5, 5, DAY, START + DAY);
        setNative(4, 0);
        refused(pay(0));
        expectNativeExceeded();
        execute(pay(0));
    }

    function test_native_raisedLaterLeavesTheDifference() public {
        setNative(10, 0);
        execute(pay(10));
        setNative(15, 0);
        accepted(pay(5));
        refused(pay(1));
    }

    function test_native_intervalEndSaturates() public {
        setNative(10, type(uint48).max);
        execute(pay(6));
        assertEq(validate(pay(6)), packed(type(uint48).max, 0));
        vm.warp(type(uint48).max - 1);
        expectNativeExceeded();
        execute(pay(6));
        vm.warp(type(uint48).max);
        execute(pay(6));
        assertInfo(nativeInfo(), true, 10, 6, type(uint48).max, type(uint48).max);
    }

    function test_native_timesOver40BitsAreKept() public {
        vm.warp(uint256(1) << 41);
        setNative(10, uint48(1) << 42);
        execute(pay(6));
        assertEq(validate(pay(6)), packed((uint48(1) << 41) + (uint48(1) << 42), 0));
        vm.warp((uint256(1) << 41) + (uint256(1) << 42));
        execute(pay(7));
        assertInfo(nativeInfo(), true, 10, 7, uint48(1) << 42, (uint48(1) << 41) + (uint48(1) << 42));
    }

    /* ERC-20 */

    function test_token_transferAndApproveCount() public {
        setToken(10, 0);
        execute(join(transfer(3), approve(4)));
        assertEq(tokenInfo().limitUsed, 7);
        assertEq(token.balanceOf(address(0xBEEF)), 3);
        execute(transfer(3));
        expectTokenExceeded();
        execute(transfer(1));
        expectTokenExceeded();
        execute(approve(1));
        execute(transfer(0));
    }

    /// @dev Existing clients rely on it.
    function test_token_overLimitPassesValidation() public {
        setToken(10, 0);
        assertEq(validate(transfer(11)), 0);
        assertEq(validate(approve(type(uint256).max)), 0);
        expectTokenExceeded();
        execute(transfer(11));
        expectTokenExceeded();
        execute(approve(type(uint256).max));
    }

    function test_token_theSumOfTheBatchCounts() public {
        setToken(10, DAY);
        vm.warp(START + DAY);
        expectTokenExceeded();
        execute(join(transfer(5), approve(6)));
        expectTokenExceeded();
        execute(join(transfer(5), approve(type(uint256).max)));
        expectTokenExceeded();
        execute(join(transfer(5), approve(type(uint256).max - 4)));
        execute(join(transfer(5), approve(5)));
        assertInfo(tokenInfo(), true, 10, 10, DAY, START + DAY);
    }

    function test_token_laterCallOverTheLimitStopsTheEarlier() public {
        setToken(10, 0);
        expectTokenExceeded();
        execute(join(increment(), transfer(11)));
        assertEq(counter.count(), 0);
    }

    function test_token_refreshesExactlyAtTheIntervalsEnd() public {
        setToken(10, DAY);
        execute(transfer(6));
        vm.warp(START + DAY - 1);
        expectTokenExceeded();
        execute(transfer(5));
        vm.warp(START + DAY);
        expectTokenExceeded();
        execute(transfer(11));
        execute(transfer(0));
        assertInfo(tokenInfo(), true, 10, 0, DAY, START + DAY);
        execute(transfer(10));
        assertInfo(tokenInfo(), true, 10, 10, DAY, START + DAY);
    }

    function test_token_intervalEndSaturates() public {
        setToken(10, type(uint48).max - START + 1);
        execute(transfer(6));
        vm.warp(type(uint48).max - 1);
        expectTokenExceeded();
        execute(transfer(5));
        vm.warp(type(uint48).max);
        execute(transfer(5));
    }

    function test_token_limitsAreSeparate() public {
        TestToken other = new TestToken("Other", "OTH", 6);
        other.mint(address(account), 100);
        setToken(10, 0);
        execute(call(address(other), 0, abi.encodeCall(TestToken.transfer, (address(1), 100))));
        assertEq(tokenInfo().limitUsed, 0);
    }

    function test_token_withoutALimitAcceptsAnything() public {
        setToken(10, 0);
        setToken(NO_LIMIT, 0);
        token.mint(address(this), 5);
        token.approve(address(account), 5);
        accepted(call(address(token), 0, abi.encodeCall(TestToken.transferFrom, (address(this), address(1), 5))));
        accepted(transfer(1000 ether));
        assertInfo(tokenInfo(), false, 10, 0, 0, 0);
    }

    function test_token_valueSentToItIsNative() public {
        setToken(10, 0);
        Call[] memory calls = transfer(1);
        calls[0].value = 1;
        refused(calls);
        expectNativeExceeded();
        execute(calls);
    }

    /// @dev Native and token limits of all widths against a model of the documented rules.
    function testFuzz_limits_agreeWithAModel(uint256 seed, uint256 limit, uint48 interval, uint8 shift) public {
        limit = bound(limit >> shift, 1, type(uint256).max - 1);
        interval = seed & 1 == 0 ? interval % DAY : interval;
        vm.deal(address(account), type(uint256).max);
        setNative(limit, interval);
        setToken(limit, interval);
        uint256 used;
        uint256 lastUsed = interval == 0 ? 0 : START;
        uint256 time = START;
        for (uint256 i = 0; i < 10; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            time += (seed >> 8) % DAY;
            vm.warp(time);
            // Keeps the recipient's balance from overflowing.
            vm.deal(address(0xBEEF), 0);
            vm.deal(address(account), type(uint256).max);
            uint256 amount = bound(seed, 0, limit / 2 + 1);
            uint256 end = lastUsed + interval;
            if (end > type(uint48).max) end = type(uint48).max;
            if (interval != 0 && end <= time && amount <= limit) {
                (used, lastUsed) = (amount, time);
            } else if (amount <= limit - used && !(interval != 0 && end <= time)) {
                used += amount;
            } else {
                expectNativeExceeded();
                execute(pay(amount));
                expectTokenExceeded();
                execute(approve(amount));
                continue;
            }
            execute(join(pay(amount), approve(amount)));
            assertInfo(nativeInfo(), true, limit, used, interval, uint48(lastUsed));
            assertInfo(tokenInfo(), true, limit, used, interval, uint48(lastUsed));
        }
    }
}

contract SessionKeyPluginExecutionTest is SessionKeyExecutionTest, PluginFace {
    function setUp() public override(SessionKeyExecutionTest, SessionKeyTest) {
        super.setUp();
    }
}

contract SessionKeyModuleExecutionTest is SessionKeyExecutionTest, ModuleFace {
    function setUp() public override(SessionKeyExecutionTest, SessionKeyTest) {
        super.setUp();
    }
}
