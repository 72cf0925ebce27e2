// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice The gas limit: counted in validation, its interval settled later.
abstract contract SessionKeyGasLimitTest is SessionKeyTest {
    function setUp() public virtual override {
        super.setUp();
        allowAll();
    }

    function test_gas_withoutALimitIsNotCounted() public {
        assertEq(validate(gasOperation(type(uint256).max)), 0);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
    }

    function test_gas_withoutAnIntervalIsATotal() public {
        setGas(100, 0);
        assertEq(validate(gasOperation(60)), 0);
        assertEq(validate(gasOperation(40)), 0);
        assertInfo(gasInfo(), true, 100, 100, 0, 0);
        vm.warp(START + 1000 * DAY);
        refused(gasOperation(1));
        assertEq(validate(gasOperation(0)), 0);
        assertInfo(gasInfo(), true, 100, 100, 0, 0);
    }

    /// @dev The new key signs in its own nonce lane, and continues with the interval, the used amount and the pending
    /// reset.
    function test_gas_rotatedKeyHasItsOwnNonceLane() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        validate(gasOperation(60));
        uint256 oldNonce = operation(increment()).nonce;
        wallet = vm.createWallet("heir");
        account.rotateSessionKey(key, 0, wallet.addr);
        key = wallet.addr;
        assertTrue(resetPending());
        Operation memory op = gasOperation(10);
        op.nonce = oldNonce;
        refused(op);
        assertEq(validate(gasOperation(10)), packed(START + DAY, 0));
        vm.warp(START + DAY + 1);
        execute(increment());
        assertInfo(gasInfo(), true, 100, 70, DAY, START + DAY + 1);
    }

    /// @dev Each operand of the sum, each overflow; even if a fee of zero would make the product zero.
    function test_gas_overflowIsRefused() public {
        setGas(type(uint256).max - 1, 0);
        for (uint256 fee = 0; fee < 3; ++fee) {
            Operation memory op = gasOperation(type(uint256).max);
            op.maxFeePerGas = fee;
            refused(op);
        }
        Operation memory product = gasOperation((1 << 128) + 2);
        product.maxFeePerGas = type(uint128).max;
        refused(product);
        product.gas = 1 << 128;
        assertEq(validate(product), 0);
        // used + cost overflows
        refused(product);
    }

    function test_gas_rollsOverOnceInValidation() public {
        setGas(100, DAY);
        assertEq(validate(gasOperation(60)), 0);
        assertFalse(resetPending());
        assertEq(validate(gasOperation(41)), packed(START + DAY, 0));
        assertTrue(resetPending());
        assertInfo(gasInfo(), true, 100, 41, DAY, START);
        // More of the new interval, under the same condition.
        assertEq(validate(gasOperation(59)), packed(START + DAY, 0));
        assertInfo(gasInfo(), true, 100, 100, DAY, START);
        // One reset can be pending.
        refused(gasOperation(1));
    }

    function test_gas_aCostThatFitsNoIntervalIsRefused() public {
        setGas(100, DAY);
        refused(gasOperation(101));
        assertEq(validate(gasOperation(100)), 0);
        assertInfo(gasInfo(), true, 100, 100, DAY, START);
    }

    /// @dev The clock plays no part in validation: even long after the interval's end, the condition names that end.
    function test_gas_rolloverNamesTheEndOfTheInterval() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        vm.warp(START + 10 * DAY);
        assertEq(validate(gasOperation(60)), packed(START + DAY, 0));
        execute(increment());
        assertInfo(gasInfo(), true, 100, 60, DAY, START + 10 * DAY);
        assertFalse(resetPending());
        assertEq(validate(gasOperation(40)), 0);
        assertEq(validate(gasOperation(60)), packed(START + 11 * DAY, 0));
    }

    function test_gas_resetStaysPendingIfExecutionReverts() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        validate(gasOperation(60));
        vm.warp(START + DAY);
        vm.expectRevert();
        execute(call(address(counter), 0, hex"deadbeef"));
        assertTrue(resetPending());
        assertInfo(gasInfo(), true, 100, 60, DAY, START);
        execute(increment());
        assertFalse(resetPending());
        assertInfo(gasInfo(), true, 100, 60, DAY, START + DAY);
    }

    function test_resetSessionKeyGasLimitTimestamp_settlesForAnyone() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        validate(gasOperation(60));
        vm.warp(START + DAY + 7);
        vm.prank(makeAddr("anyone"));
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertFalse(resetPending());
        assertInfo(gasInfo(), true, 100, 60, DAY, START + DAY + 7);
    }

    function test_resetSessionKeyGasLimitTimestamp_doesNothingWithoutAPendingReset() public {
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
        setGas(100, DAY);
        validate(gasOperation(60));
        vm.warp(START + 5 * DAY);
        vm.record();
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        (, bytes32[] memory writes) = vm.accesses(address(face));
        assertEq(writes.length, 0);
        assertInfo(gasInfo(), true, 100, 60, DAY, START);
        setGas(NO_LIMIT, 0);
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
    }

    function test_setGasSpendLimit_clearsThePendingReset() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        validate(gasOperation(70));
        vm.warp(START + 9);
        setGas(90, DAY);
        assertFalse(resetPending());
        assertInfo(gasInfo(), true, 90, 70, DAY, START + 9);
        assertEq(validate(gasOperation(20)), 0);
    }

    function test_setGasSpendLimit_removalClearsThePendingReset() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        validate(gasOperation(70));
        setGas(NO_LIMIT, 0);
        assertFalse(resetPending());
        setGas(100, DAY);
        assertFalse(resetPending());
        assertEq(validate(gasOperation(100)), 0);
    }

    function test_gas_loweredBelowTheUsedAmount_leavesNothing() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        setGas(50, DAY);
        assertEq(validate(gasOperation(0)), packed(START + DAY, 0));
        setGas(100, 0);
        setGas(50, 0);
        // Nothing is used: the zero above opened an interval.
        assertEq(validate(gasOperation(50)), 0);
        setGas(49, 0);
        refused(gasOperation(0));
    }

    /// @dev Validation's charge was within the limit at that time. Lowered since, the limit no longer covers the
    /// operation.
    function test_gas_executionRefusesMoreThanALoweredLimit() public {
        uint48[2] memory intervals = [0, DAY];
        uint256[2] memory units = [uint256(1), 1 << 90];
        for (uint256 i = 0; i < 4; ++i) {
            (uint48 interval, uint256 unit) = (intervals[i / 2], units[i % 2]);
            uint256 snapshot = vm.snapshotState();
            setGas(100 * unit, interval);
            validate(gasOperation(60 * unit));
            setGas(60 * unit, interval);
            execute(increment());
            setGas(60 * unit - 1, interval);
            vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
            execute(increment());
            setGas(0, interval);
            vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
            execute(increment());
            setGas(NO_LIMIT, 0);
            execute(increment());
            vm.revertToState(snapshot);
        }
    }

    /// @dev The rules of calls and amounts come first: their errors are more specific.
    function test_gas_executionNamesOtherBrokenRulesFirst() public {
        setGas(100, 0);
        validate(gasOperation(60));
        setGas(0, 0);
        expectNativeExceeded();
        execute(pay(1));
        setToken(1, 0);
        expectTokenExceeded();
        execute(transfer(2));
    }

    /// @dev Anyone can still settle an exceeded limit.
    function test_resetSessionKeyGasLimitTimestamp_settlesAnExceededLimit() public {
        setGas(100, DAY);
        validate(gasOperation(60));
        setGas(50, DAY);
        vm.warp(START + DAY);
        assertEq(validate(gasOperation(50)), packed(START + DAY, 0));
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertInfo(gasInfo(), true, 50, 50, DAY, START + DAY);
        setGas(40, DAY);
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertInfo(gasInfo(), true, 40, 50, DAY, START + DAY);
    }

    /* The state machine drawn above `GasLimit` */

    /// @dev Its interval does not end by itself: a cost that fits the old one is charged to it, even long after its
    /// end. All other limits begin an interval with the first use after the end, even a use of zero.
    function test_gas_anIntervalEndsOnlyWithTheOperationThatDoesNotFit() public {
        setGas(100, DAY);
        setNative(100, DAY);
        validate(gasOperation(60));
        execute(pay(60));
        vm.warp(START + 10 * DAY);
        assertEq(validate(gasOperation(40)), 0);
        execute(increment());
        assertInfo(gasInfo(), true, 100, 100, DAY, START);
        assertInfo(nativeInfo(), true, 100, 0, DAY, START + 10 * DAY);
        assertEq(validate(gasOperation(1)), packed(START + DAY, 0));
        execute(increment());
        assertInfo(gasInfo(), true, 100, 1, DAY, START + 10 * DAY);
    }

    /// @dev Twice the limit within a second: what is left of a long finished interval, and the next.
    function test_gas_twiceTheLimitAtOnce() public {
        setGas(100, DAY);
        vm.warp(START + 10 * DAY);
        assertEq(validate(gasOperation(100)), 0);
        assertEq(validate(gasOperation(100)), packed(START + DAY, 0));
        refused(gasOperation(1));
        execute(increment());
        assertEq(validate(gasOperation(1)), packed(START + 11 * DAY, 0));
    }

    /// @dev For any operations included at any valid times, whether they succeed, fail or anyone settles: no stretch of
    /// time as long as the interval is charged more than twice the limit.
    function testFuzz_gas_noIntervalIsChargedMoreThanTwiceTheLimit(uint256 seed) public {
        setGas(100, DAY);
        uint256[40] memory times;
        uint256[40] memory costs;
        for (uint256 i = 0; i < times.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            vm.warp(vm.getBlockTimestamp() + (seed >> 8) % (DAY / 4));
            uint256 cost = (seed >> 32) % 101;
            uint256 snapshot = vm.snapshotState();
            (bool isIncluded, bytes memory answer) = address(account).call(encodeValidation(gasOperation(cost)));
            isIncluded = isIncluded && abi.decode(answer, (uint256)) >> 208 <= vm.getBlockTimestamp();
            if (!isIncluded) vm.revertToState(snapshot);
            (times[i], costs[i]) = (vm.getBlockTimestamp(), isIncluded ? cost : 0);
            uint256 kind = seed % 4;
            if (isIncluded && kind != 0) execute(increment());
            else if (kind == 1) face.resetSessionKeyGasLimitTimestamp(address(account), key);
        }
        for (uint256 first = 0; first < times.length; ++first) {
            uint256 sum;
            for (uint256 i = first; i < times.length && times[i] < times[first] + DAY; ++i) {
                sum += costs[i];
            }
            assertLe(sum, 200);
        }
    }

    function test_gas_intervalEndSaturates() public {
        setGas(100, type(uint48).max);
        validate(gasOperation(60));
        assertEq(validate(gasOperation(60)), packed(type(uint48).max, 0));
    }

    function test_gas_wideLimitRollsOver() public {
        uint256 limit = type(uint256).max - 1;
        uint48 interval = uint48(1) << 41;
        setGas(limit, interval);
        assertEq(validate(gasOperation(limit)), 0);
        assertEq(validate(gasOperation(limit)), packed(START + interval, 0));
        assertInfo(gasInfo(), true, limit, limit, interval, START);
        assertTrue(resetPending());
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertInfo(gasInfo(), true, limit, limit, interval, START);
        assertFalse(resetPending());
    }

    function test_gas_validAfterIsTheLargest() public {
        setGas(100, DAY);
        setNative(100, 2 * DAY);
        validate(gasOperation(60));
        execute(pay(60));
        Operation memory op = operation(pay(60));
        op.gas = 60;
        op.maxFeePerGas = 1;
        uint256 snapshot = vm.snapshotState();
        assertEq(validate(op), packed(START + 2 * DAY, 0));
        vm.revertToState(snapshot);
        setTimeRange(START + 3 * DAY, START + 4 * DAY);
        assertEq(validate(op), packed(START + 3 * DAY, START + 4 * DAY));
        vm.revertToState(snapshot);
        setGas(100, 5 * DAY);
        assertEq(validate(op), packed(START + 5 * DAY, 0));
    }

    /// @dev Validation writes one word, the gas limit's, and none without a gas limit.
    function test_gas_isAllThatValidationWrites() public {
        setNative(100, DAY);
        setToken(100, DAY);
        vm.record();
        validate(join(pay(5), transfer(5)));
        (, bytes32[] memory writes) = vm.accesses(address(face));
        assertEq(writes.length, 0);
        setGas(100, DAY);
        vm.record();
        validate(gasOperation(5));
        (, writes) = vm.accesses(address(face));
        assertEq(writes.length, 1);
    }

    /// @dev With a wrong signer gas is still counted, so an estimation with a dummy signature includes it.
    function test_gas_isCountedForAWrongSigner() public {
        setGas(100, 0);
        Operation memory op = gasOperation(100);
        op.signature = signature(0xBAD);
        assertEq(validate(op), 1);
        assertEq(gasInfo().limitUsed, 100);
        refused(op);
    }

    /// @dev Against a model of the documented rules.
    function testFuzz_gas_agreesWithAModel(uint256 seed, uint256 limit, uint48 interval, bool wide) public {
        if (wide) (limit, interval) = (bound(limit, 1 << 90, type(uint256).max - 1), interval);
        else (limit, interval) = (bound(limit, 1, 1 ether), interval % DAY);
        setGas(limit, interval);
        uint256 used;
        bool pending;
        uint48 lastUsed = interval == 0 ? 0 : START;
        for (uint256 i = 0; i < 12; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            vm.warp(vm.getBlockTimestamp() + (seed >> 8) % DAY);
            if (seed & 3 == 0) {
                execute(increment());
                if (pending) (pending, lastUsed) = (false, uint48(vm.getBlockTimestamp()));
            } else {
                uint256 cost = bound(seed, 0, limit / 2 + 1);
                uint256 end = uint256(lastUsed) + interval;
                if (end > type(uint48).max) end = type(uint48).max;
                if (used <= limit && cost <= limit - used) {
                    assertEq(validate(gasOperation(cost)), packed(pending ? uint48(end) : 0, 0));
                    used += cost;
                } else if (interval != 0 && cost <= limit && !pending) {
                    assertEq(validate(gasOperation(cost)), packed(uint48(end), 0));
                    (used, pending) = (cost, true);
                } else {
                    refused(gasOperation(cost));
                }
            }
            assertInfo(gasInfo(), true, limit, used, interval, lastUsed);
            assertEq(resetPending(), pending);
        }
    }
}

contract SessionKeyPluginGasLimitTest is SessionKeyGasLimitTest, PluginFace {
    function setUp() public override(SessionKeyGasLimitTest, SessionKeyTest) {
        super.setUp();
    }
}

contract SessionKeyModuleGasLimitTest is SessionKeyGasLimitTest, ModuleFace {
    function setUp() public override(SessionKeyGasLimitTest, SessionKeyTest) {
        super.setUp();
    }
}
