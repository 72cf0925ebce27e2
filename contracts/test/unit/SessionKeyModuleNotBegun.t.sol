// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {ModuleFace} from "../utils/SessionKeyFaces.sol";
import {IInstallable} from "../utils/SessionKeyTest.sol";

/// @notice Limits that are set while a key is added, without a clock: their interval begins with the next execution.
contract SessionKeyModuleNotBegunTest is ModuleFace {
    uint8 private constant TIMESTAMP = 0x42;

    function setUp() public override {
        super.setUp();
        account.removeSessionKey(key, 0);
    }

    /// @dev Adds `key` with all limits, and everything allowed.
    function _add(uint256 limit, uint48 interval) private {
        account.addSessionKey(key, TAG, _limits(limit, interval));
    }

    function _limits(uint256 limit, uint48 interval) private view returns (bytes[] memory updates) {
        updates = new bytes[](4);
        updates[0] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (limit, interval));
        updates[1] = abi.encodeCall(Updates.setERC20SpendLimit, (address(token), limit, interval));
        updates[2] = abi.encodeCall(Updates.setGasSpendLimit, (limit, interval));
        updates[3] =
            abi.encodeCall(Updates.setAccessListType, (ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS));
    }

    /* No clock */

    function test_addSessionKey_readsNoClock() public {
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.addSessionKey, (key, TAG, _limits(100, DAY)));
        assertEq(_clockReads(data), 0);
        assertTrue(face.isSessionKeyOf(address(account), key));
    }

    function test_onInstall_readsNoClock() public {
        bytes[][] memory updates = new bytes[][](1);
        updates[0] = _limits(100, DAY);
        bytes memory data = abi.encode(listOf(key), new bytes32[](1), updates);
        assertEq(_clockReads(abi.encodeCall(IInstallable.onInstall, (data))), 0);
        assertTrue(face.isSessionKeyOf(address(account), key));
        assertEq(_clockReads(abi.encodeCall(IInstallable.onUninstall, (""))), 0);
    }

    /// @dev Nor does validation, before or after the first execution; execution and updates do read it.
    function test_clock_isReadByExecutionAndUpdates() public {
        _add(100, DAY);
        bytes memory validation = encodeValidation(gasOperation(60));
        assertEq(_clockReads(validation), 0);
        assertGt(_clockReads(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), key))), 0);
        assertEq(_clockReads(validation), 0);
        assertGt(_clockReads(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key, _limits(100, DAY)))), 0);
    }

    /// @dev How often the module reads the clock in a call of the account.
    function _clockReads(bytes memory data) private returns (uint256 count) {
        vm.startDebugTraceRecording();
        (bool success,) = address(account).call(data);
        Vm.DebugStep[] memory steps = vm.stopAndReturnDebugTraceRecording();
        assertTrue(success);
        uint256 ofModule;
        for (uint256 i = 0; i < steps.length; ++i) {
            if (steps[i].contractAddr != address(face)) continue;
            ++ofModule;
            if (steps[i].opcode == TIMESTAMP) ++count;
        }
        assertGt(ofModule, 0);
    }

    /// @dev The stored state does not depend on the time.
    function testFuzz_addSessionKey_storesTheSameAtAnyTime(uint48 time, uint256 limit, uint48 interval) public {
        uint256 snapshot = vm.snapshotState();
        vm.record();
        _add(limit, interval);
        (, bytes32[] memory writes) = vm.accesses(address(face));
        bytes32[] memory words = new bytes32[](writes.length);
        for (uint256 i = 0; i < writes.length; ++i) {
            words[i] = vm.load(address(face), writes[i]);
        }
        vm.revertToState(snapshot);
        vm.warp(time);
        _add(limit, interval);
        for (uint256 i = 0; i < writes.length; ++i) {
            assertEq(vm.load(address(face), writes[i]), words[i]);
        }
    }

    /* Views */

    function testFuzz_views_showThatItHasNotBegun(uint256 limit, uint48 interval, uint8 shift) public {
        limit >>= shift;
        vm.assume(limit != NO_LIMIT);
        _add(limit, interval);
        assertInfo(nativeInfo(), true, limit, 0, interval, 0);
        assertInfo(tokenInfo(), true, limit, 0, interval, 0);
        assertInfo(gasInfo(), true, limit, 0, interval, 0);
        assertEq(resetPending(), interval != 0);
    }

    function test_removedInTheSameCall_isNotALimit() public {
        bytes[] memory updates = new bytes[](4);
        updates[0] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (100, DAY));
        updates[1] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (NO_LIMIT, DAY));
        updates[2] = abi.encodeCall(Updates.setGasSpendLimit, (100, DAY));
        updates[3] = abi.encodeCall(Updates.setGasSpendLimit, (NO_LIMIT, DAY));
        account.addSessionKey(key, TAG, updates);
        assertInfo(nativeInfo(), false, 0, 0, 0, 0);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
        assertFalse(resetPending());
    }

    /// @dev The last update counts: a total has no interval that could begin.
    function test_madeATotalInTheSameCall_hasNothingToBegin() public {
        bytes[] memory updates = new bytes[](2);
        updates[0] = abi.encodeCall(Updates.setGasSpendLimit, (100, DAY));
        updates[1] = abi.encodeCall(Updates.setGasSpendLimit, (50, 0));
        account.addSessionKey(key, TAG, updates);
        assertInfo(gasInfo(), true, 50, 0, 0, 0);
        assertFalse(resetPending());
    }

    /* Life cycle */

    /// @dev For any interval length, whether or not the interval would be over if counted from time 0.
    function test_nextExecution_beginsTheInterval() public {
        uint48[6] memory intervals = [uint48(1), DAY, START, START + DAY, type(uint48).max - START, type(uint48).max];
        uint256[2] memory units = [uint256(1), 1 << 90];
        for (uint256 i = 0; i < intervals.length * 2; ++i) {
            (uint48 interval, uint256 unit) = (intervals[i / 2], units[i % 2]);
            uint256 snapshot = vm.snapshotState();
            vm.deal(address(account), 1 << 100);
            _add(100 * unit, interval);
            vm.warp(START + 5);
            assertEq(validate(join(pay(60 * unit), approve(60 * unit))), 0);
            execute(join(pay(60 * unit), approve(60 * unit)));
            assertInfo(nativeInfo(), true, 100 * unit, 60 * unit, interval, START + 5);
            assertInfo(tokenInfo(), true, 100 * unit, 60 * unit, interval, START + 5);
            assertInfo(gasInfo(), true, 100 * unit, 0, interval, START + 5);
            assertFalse(resetPending());
            uint256 end = uint256(START) + 5 + interval;
            if (end > type(uint48).max) end = type(uint48).max;
            assertEq(validate(pay(41 * unit)), packed(uint48(end), 0));
            vm.warp(end - 1);
            expectNativeExceeded();
            execute(pay(41 * unit));
            expectTokenExceeded();
            execute(approve(41 * unit));
            vm.warp(end);
            execute(join(pay(41 * unit), approve(41 * unit)));
            assertInfo(nativeInfo(), true, 100 * unit, 41 * unit, interval, uint48(end));
            assertInfo(tokenInfo(), true, 100 * unit, 41 * unit, interval, uint48(end));
            vm.revertToState(snapshot);
        }
    }

    /// @dev The limit still applies.
    function test_notBegun_limitsTheFirstSpend() public {
        _add(100, DAY);
        refused(pay(101));
        expectNativeExceeded();
        execute(pay(101));
        expectTokenExceeded();
        execute(transfer(101));
        // Nothing has begun.
        assertInfo(nativeInfo(), true, 100, 0, DAY, 0);
        assertInfo(tokenInfo(), true, 100, 0, DAY, 0);
        accepted(join(pay(100), transfer(100)));
    }

    /// @dev Native limits begin with any execution, ERC-20 limits with the first that counts against them.
    function test_executionWithoutSpending_begins() public {
        _add(100, DAY);
        vm.warp(START + 7);
        execute(increment());
        assertInfo(nativeInfo(), true, 100, 0, DAY, START + 7);
        assertInfo(gasInfo(), true, 100, 0, DAY, START + 7);
        assertInfo(tokenInfo(), true, 100, 0, DAY, 0);
        vm.warp(START + 8);
        execute(transfer(0));
        assertInfo(tokenInfo(), true, 100, 0, DAY, START + 8);
    }

    function test_aFailedExecution_beginsNothing() public {
        _add(100, DAY);
        vm.expectRevert();
        execute(join(pay(1), call(address(counter), 0, hex"deadbeef")));
        assertInfo(nativeInfo(), true, 100, 0, DAY, 0);
        assertTrue(resetPending());
        assertInfo(gasInfo(), true, 100, 0, DAY, 0);
    }

    /* The gas limit */

    /// @dev Charged at once, without a time condition, for any interval; no second interval before the first begins.
    function test_gas_isChargedBeforeItBegins() public {
        uint48[4] memory intervals = [uint48(1), DAY, START + DAY, type(uint48).max];
        for (uint256 i = 0; i < intervals.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            _add(100, intervals[i]);
            assertEq(validate(gasOperation(60)), 0);
            assertEq(validate(gasOperation(40)), 0);
            assertInfo(gasInfo(), true, 100, 100, intervals[i], 0);
            refused(gasOperation(1));
            vm.warp(START + 2 * DAY);
            refused(gasOperation(1));
            assertEq(validate(gasOperation(0)), 0);
            execute(increment());
            assertInfo(gasInfo(), true, 100, 100, intervals[i], START + 2 * DAY);
            assertFalse(resetPending());
            uint256 end = uint256(START) + 2 * DAY + intervals[i];
            if (end > type(uint48).max) end = type(uint48).max;
            assertEq(validate(gasOperation(1)), packed(uint48(end), 0));
            vm.revertToState(snapshot);
        }
    }

    function test_gas_aTotalIsChargedAsEver() public {
        _add(100, 0);
        assertEq(validate(gasOperation(60)), 0);
        execute(increment());
        assertInfo(gasInfo(), true, 100, 60, 0, 0);
        refused(gasOperation(41));
    }

    function test_gas_moreThanTheLimitIsRefused() public {
        _add(100, DAY);
        refused(gasOperation(101));
        assertEq(validate(gasOperation(100)), 0);
    }

    /// @dev The validAfter of the key itself stays.
    function test_gas_addsNoTimeCondition() public {
        _add(100, DAY);
        setTimeRange(START + 3, START + 9);
        assertEq(validate(gasOperation(1)), packed(START + 3, START + 9));
    }

    function test_gas_anyoneCanBeginIt() public {
        _add(100, DAY);
        validate(gasOperation(30));
        vm.warp(START + 11);
        vm.prank(makeAddr("anyone"));
        face.resetSessionKeyGasLimitTimestamp(address(account), key);
        assertFalse(resetPending());
        assertInfo(gasInfo(), true, 100, 30, DAY, START + 11);
        assertEq(validate(gasOperation(70)), 0);
        assertEq(validate(gasOperation(70)), packed(START + 11 + DAY, 0));
    }

    /// @dev As in the plugin: with a failed execution it stays pending, and what was charged stays charged.
    function test_gas_failedExecutionsLeaveItPending() public {
        _add(100, DAY);
        validate(gasOperation(60));
        vm.expectRevert();
        execute(call(address(counter), 0, hex"deadbeef"));
        assertTrue(resetPending());
        refused(gasOperation(41));
        assertEq(validate(gasOperation(40)), 0);
    }

    /// @dev No stretch of time as long as the interval is charged more than twice the limit, the time before it begins included.
    function testFuzz_gas_noIntervalIsChargedMoreThanTwiceTheLimit(uint256 seed) public {
        _add(100, DAY);
        uint256[30] memory times;
        uint256[30] memory costs;
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

    /* Changes of the owner */

    /// @dev As in the plugin: an update starts an interval at once, and clears the pending reset.
    function test_update_beginsAtOnce() public {
        _add(100, DAY);
        validate(gasOperation(60));
        vm.warp(START + 4);
        account.updateKeyPermissions(key, _limits(90, 2 * DAY));
        assertInfo(nativeInfo(), true, 90, 0, 2 * DAY, START + 4);
        assertInfo(tokenInfo(), true, 90, 0, 2 * DAY, START + 4);
        assertInfo(gasInfo(), true, 90, 60, 2 * DAY, START + 4);
        assertFalse(resetPending());
    }

    function test_rotation_handsItOnAsItIs() public {
        _add(100, DAY);
        validate(gasOperation(60));
        wallet = vm.createWallet("heir");
        account.rotateSessionKey(key, 0, wallet.addr);
        key = wallet.addr;
        assertInfo(nativeInfo(), true, 100, 0, DAY, 0);
        assertInfo(gasInfo(), true, 100, 60, DAY, 0);
        assertTrue(resetPending());
        assertEq(validate(gasOperation(40)), 0);
        execute(pay(1));
        assertInfo(nativeInfo(), true, 100, 1, DAY, START);
        assertInfo(gasInfo(), true, 100, 100, DAY, START);
    }

    /// @dev A native and an ERC-20 limit of any size and interval against a model: nothing has to be waited for before
    /// it begins.
    function testFuzz_limits_agreeWithAModel(uint256 seed, uint256 limit, uint48 interval, uint8 shift) public {
        limit = bound(limit >> shift, 1, type(uint256).max - 1);
        interval = seed & 1 == 0 ? interval % DAY : interval;
        vm.deal(address(account), type(uint256).max);
        _add(limit, interval);
        uint256 used;
        uint256 lastUsed;
        uint256 time = START;
        for (uint256 i = 0; i < 10; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            time += (seed >> 8) % DAY;
            vm.warp(time);
            vm.deal(address(0xBEEF), 0);
            vm.deal(address(account), type(uint256).max);
            uint256 amount = bound(seed, 0, limit / 2 + 1);
            uint256 end = lastUsed + interval;
            if (end > type(uint48).max) end = type(uint48).max;
            bool opens = interval != 0 && (lastUsed == 0 || end <= time);
            if (amount <= limit && opens) {
                (used, lastUsed) = (amount, time);
            } else if (!opens && amount <= limit - used) {
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
