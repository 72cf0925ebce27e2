// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {PingTarget} from "../mocks/PingTarget.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";

/// @notice Session keys at work, through the real EntryPoint, account and owner plugin.
contract SessionKeyOperationsTest is SessionKeyStackTest {
    /* One operation */

    function test_install_withKeyInOneOperation() public {
        uninstall(address(plugin));
        sendAsOwner(installCall(address(plugin), oneKey(listOf(allow(address(target)))), ownerDependencies()));
        passes(ping());
    }

    function test_freshKey_canDoNothing() public {
        grant(new bytes[](0));
        refusedInValidation(ping());
        refusedInValidation(call(payee, 0, ""));
    }

    function test_unregisteredKey_isRefused() public {
        refusedInValidation(ping());
    }

    function test_wrongSigner_isRefusedBySignature() public {
        grant(listOf(allow(address(target))));
        UserOperation memory op = keyOp(ping());
        sign(op, owner.privateKey);
        expectFailedOp("AA24 signature error");
        this.sendExternally(op);
    }

    function test_allowlist_allowsOnlyListedCalls() public {
        grant(
            listOf(
                allow(payee),
                entry(address(target), true, true),
                functionEntry(address(target), PingTarget.ping.selector, true)
            )
        );
        passes(ping());
        passes(call(payee, 0, ""));
        passes(call(payee, 0, hex"01"));
        refusedInValidation(call(address(target), 0, abi.encodeCall(PingTarget.pong, ())));
        refusedInValidation(call(address(target), 0, ""));
        refusedInValidation(call(address(target), 0, hex"01"));
        refusedInValidation(transfer(1));
    }

    function test_denylist_allowsAllExceptListedCalls() public {
        grant(
            listOf(
                listType(ISessionKeyPlugin.ContractAccessControlType.DENYLIST),
                entry(address(target), true, true),
                functionEntry(address(target), PingTarget.ping.selector, true)
            )
        );
        update(allow(payee));
        refusedInValidation(ping());
        refusedInValidation(call(payee, 0, ""));
        refusedInValidation(call(address(target), 0, hex"0102"));
        passes(call(address(target), 0, abi.encodeCall(PingTarget.pong, ())));
        passes(transfer(1));
    }

    function test_allowAll_butAccountAndEntryPoint() public {
        grant(listOf(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS)));
        passes(ping());
        passes(transfer(1));
        refusedInValidation(call(address(account), 0, ""));
        refusedInValidation(call(address(ENTRY_POINT), 0, ""));
    }

    /// @dev The account makes no calls to plugins in its name, the session key plugin included.
    function test_allowAll_reachesNoPlugin() public {
        grant(listOf(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS)));
        refusedInExecution(
            call(address(plugin), 0, abi.encodeCall(ISessionKeyPlugin.addSessionKey, (payee, 0, new bytes[](0)))),
            abi.encodeWithSelector(IModularAccount.PluginCallDenied.selector, plugin)
        );
        assertFalse(plugin.isSessionKeyOf(address(account), payee));
    }

    function test_entryPoint_onlyByAllowlist() public {
        grant(listOf(allow(address(ENTRY_POINT)), allow(address(account))));
        passes(call(address(ENTRY_POINT), 0, abi.encodeCall(IEntryPoint.balanceOf, (payee))));
        refusedInValidation(call(address(account), 0, ""));
    }

    function test_timeRange_isInclusive() public {
        grant(listOf(allow(address(target)), timeRange(1_700_000_100, 1_700_000_200)));
        vm.warp(1_700_000_099);
        UserOperation memory op = keyOp(ping());
        expectFailedOp("AA22 expired or not due");
        this.sendExternally(op);
        vm.warp(1_700_000_100);
        passes(ping());
        vm.warp(1_700_000_200);
        passes(ping());
        vm.warp(1_700_000_201);
        op = keyOp(ping());
        expectFailedOp("AA22 expired or not due");
        this.sendExternally(op);
    }

    function test_nativeLimit_countsTheBatch() public {
        grant(listOf(allow(address(target)), nativeLimit(3, 0)));
        passes(join(ping(1), ping(1)));
        refusedInValidation(join(ping(1), ping(1)));
        passes(ping(1));
        refusedInValidation(ping(1));
        passes(ping(0));
    }

    function test_nativeLimit_sumDoesNotWrap() public {
        grant(listOf(allow(address(target)), nativeLimit(1 ether, INTERVAL)));
        refusedInValidation(join(ping(type(uint256).max), ping(2)));
    }

    function test_nativeLimit_refreshesAtTheExactSecond() public {
        grant(listOf(allow(address(target)), nativeLimit(10, INTERVAL)));
        uint256 start = block.timestamp;
        passes(ping(10));
        vm.warp(start + INTERVAL - 1);
        UserOperation memory op = keyOp(ping(1));
        expectFailedOp("AA22 expired or not due");
        this.sendExternally(op);
        vm.warp(start + INTERVAL);
        passes(ping(4));
        ISessionKeyPlugin.SpendLimitInfo memory info = plugin.getNativeTokenSpendLimitInfo(address(account), key.addr);
        assertEq(info.limitUsed, 4);
        assertEq(info.lastUsedTime, start + INTERVAL);
    }

    function test_tokenLimit_failsInExecution() public {
        grant(listOf(allow(address(token)), tokenLimit(100, 0)));
        passes(transfer(60));
        refusedInExecution(join(transfer(20), transfer(21)), overTokenLimit());
        assertEq(plugin.getERC20SpendLimitInfo(address(account), key.addr, address(token)).limitUsed, 60);
        passes(transfer(40));
        refusedInExecution(transfer(1), overTokenLimit());
        assertEq(token.balanceOf(payee), 1 ether + 100);
    }

    function test_tokenLimit_countsApprovals() public {
        grant(listOf(allow(address(token)), tokenLimit(100, 0)));
        passes(call(address(token), 0, abi.encodeCall(TestToken.approve, (payee, 70))));
        refusedInExecution(transfer(31), overTokenLimit());
        refusedInExecution(
            call(address(token), 0, abi.encodeCall(TestToken.approve, (payee, type(uint256).max))), overTokenLimit()
        );
    }

    function test_tokenLimit_refusesOtherFunctionsInEveryListMode() public {
        grant(listOf(allow(address(token)), tokenLimit(100, 0)));
        for (uint256 kind = 0; kind < 3; ++kind) {
            update(listType(ISessionKeyPlugin.ContractAccessControlType(kind)));
            // A denylist that does not name the token would allow it.
            update(entry(address(token), kind == 0, false));
            refusedInValidation(
                call(address(token), 0, abi.encodeCall(TestToken.transferFrom, (address(account), payee, 1)))
            );
            refusedInValidation(call(address(token), 0, ""));
            refusedInValidation(call(address(token), 0, abi.encodePacked(TestToken.transfer.selector)));
            bytes memory data = abi.encodeCall(TestToken.transfer, (payee, 1));
            assembly ("memory-safe") {
                mstore(data, 67)
            }
            refusedInValidation(call(address(token), 0, data));
            passes(transfer(1));
        }
    }

    function test_gasLimit_needsTheKeysNonceLane() public {
        grant(listOf(allow(address(target)), gasLimit(1 ether, 0)));
        passes(ping());
        bytes memory callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (ping(), key.addr));
        UserOperation memory op = buildUserOp(callData, 0);
        sign(op, key.privateKey);
        expectFailedOp("AA23 reverted (or OOG)");
        this.sendExternally(op);
    }

    function test_gasLimit_rolloverIsSettledByExecution() public {
        // An operation of `buildUserOp` costs at most 8,000,000 gas units at 1 gwei.
        grant(listOf(allow(address(target)), gasLimit(0.012 ether, INTERVAL)));
        uint256 start = block.timestamp;
        passes(ping());
        UserOperation memory op = keyOp(ping());
        expectFailedOp("AA22 expired or not due");
        this.sendExternally(op);

        vm.warp(start + INTERVAL);
        passes(ping());
        (ISessionKeyPlugin.SpendLimitInfo memory info, bool shouldReset) =
            plugin.getGasSpendLimit(address(account), key.addr);
        assertEq(info.limitUsed, 0.008 ether);
        assertEq(info.lastUsedTime, start + INTERVAL);
        assertFalse(shouldReset);
    }

    function test_gasLimit_pendingResetOutlivesAFailedExecution() public {
        grant(listOf(allow(address(token)), tokenLimit(0, 0), gasLimit(0.012 ether, INTERVAL)));
        refusedInExecution(transfer(1), overTokenLimit());
        vm.warp(block.timestamp + INTERVAL);
        refusedInExecution(transfer(1), overTokenLimit());
        (ISessionKeyPlugin.SpendLimitInfo memory info, bool shouldReset) =
            plugin.getGasSpendLimit(address(account), key.addr);
        assertTrue(shouldReset);
        assertEq(info.lastUsedTime, block.timestamp - INTERVAL);
        // A second rollover has to wait for the first to be settled; anyone can do so.
        refusedInValidation(transfer(1));
        plugin.resetSessionKeyGasLimitTimestamp(address(account), key.addr);
        (info, shouldReset) = plugin.getGasSpendLimit(address(account), key.addr);
        assertFalse(shouldReset);
        assertEq(info.lastUsedTime, block.timestamp);
        assertEq(info.limitUsed, 0.008 ether);
    }

    function test_requiredPaymaster_refusesOperationsWithoutIt() public {
        grant(listOf(allow(address(target)), requiredPaymaster(makeAddr("paymaster"))));
        refusedInValidation(ping());
        update(requiredPaymaster(address(0)));
        passes(ping());
    }

    function test_batch_aLaterBrokenRulePreventsAllCalls() public {
        grant(listOf(allow(address(target)), allow(address(token)), tokenLimit(10, 0)));
        uint256 before = token.balanceOf(payee);
        refusedInExecution(join(transfer(10), transfer(1)), overTokenLimit());
        refusedInValidation(join(transfer(10), call(payee, 0, "")));
        assertEq(token.balanceOf(payee), before);
    }

    function test_runtimeCalls_areDeniedToEveryone() public {
        grant(listOf(allow(address(target))));
        address[3] memory callers = [key.addr, owner.addr, payee];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(IModularAccount.AlwaysDenyRule.selector);
            keys.executeWithSessionKey(ping(), key.addr);
        }
    }

    /// @dev Return and revert data of the targets is passed back through plugin and account.
    function test_answers_comeBackFromTheTargets() public {
        Counter counter = new Counter();
        grant(listOf(allow(address(counter))));
        Call[] memory increment = call(address(counter), 0, abi.encodeCall(Counter.increment, ()));
        vm.prank(address(ENTRY_POINT));
        bytes[] memory answers = keys.executeWithSessionKey(join(increment, increment), key.addr);
        assertEq(answers.length, 2);
        assertEq(answers[0], abi.encode(1));
        assertEq(answers[1], abi.encode(2));
        refusedInExecution(
            join(increment, call(address(counter), 0, abi.encodeCall(Counter.refuse, (42)))),
            abi.encodeWithSelector(Counter.Refused.selector, 42)
        );
        assertEq(counter.count(), 2);
    }

    /* Who manages keys */

    function _managementCalls() private view returns (bytes[4] memory) {
        return [
            abi.encodeCall(ISessionKeyPlugin.addSessionKey, (payee, 0, new bytes[](0))),
            abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (payee, listOf(timeRange(1, 2)))),
            abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (payee, 0, address(0x77))),
            abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (address(0x77), 0))
        ];
    }

    /// @dev Only the owner: not another key of the account, nor the key itself, nor the plugin.
    function test_management_isForTheOwner() public {
        grant(listOf(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS)));
        address[3] memory others = [key.addr, payee, address(plugin)];
        bytes[4] memory callDatas = _managementCalls();
        for (uint256 i = 0; i < callDatas.length; ++i) {
            for (uint256 j = 0; j < others.length; ++j) {
                vm.prank(others[j]);
                (bool success, bytes memory reason) = address(account).call(callDatas[i]);
                assertFalse(success);
                assertEq(
                    reason,
                    abi.encodeWithSelector(
                        IModularAccount.RuntimeValidationFunctionReverted.selector,
                        ownerPlugin,
                        0,
                        abi.encodeWithSelector(IMultiOwnerPlugin.NotAuthorized.selector)
                    )
                );
            }
            vm.prank(owner.addr);
            (bool ownerSucceeds,) = address(account).call(callDatas[i]);
            assertTrue(ownerSucceeds);
        }
    }

    /// @dev A key's signature is not an owner's, in either nonce lane.
    function test_management_isNotSignedByKeys() public {
        grant(listOf(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS)));
        bytes[4] memory callDatas = _managementCalls();
        for (uint256 i = 0; i < callDatas.length; ++i) {
            for (uint256 lane = 0; lane < 2; ++lane) {
                UserOperation memory op = buildUserOp(callDatas[i], lane == 0 ? 0 : uint160(key.addr));
                sign(op, key.privateKey);
                expectFailedOp("AA24 signature error");
                this.sendExternally(op);
            }
        }
    }

    /* Bundles: an owner's operation executes between a key's validation and its execution */

    function test_bundle_removedKeyDoesNothing() public {
        grant(listOf(allow(address(target))));
        refusedInBundle(
            ownerOp(abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key.addr, bytes32(0)))),
            keyOp(ping()),
            keyIsGone()
        );
    }

    function test_bundle_rotatedKeyDoesNothing() public {
        grant(listOf(allow(address(target))));
        refusedInBundle(
            ownerOp(abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (key.addr, bytes32(0), payee))),
            keyOp(ping()),
            keyIsGone()
        );
    }

    function test_bundle_narrowedKeyDoesNothing() public {
        grant(listOf(allow(address(target)), nativeLimit(1 ether, 0)));
        bytes[3] memory changes = [
            entry(address(target), false, false),
            timeRange(0, uint48(block.timestamp) - 1),
            timeRange(uint48(block.timestamp) + 1, 0)
        ];
        for (uint256 i = 0; i < changes.length; ++i) {
            uint256 state = vm.snapshotState();
            refusedInBundle(
                ownerOp(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, listOf(changes[i])))),
                keyOp(ping()),
                denied()
            );
            vm.revertToState(state);
        }
        refusedInBundle(
            ownerOp(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, listOf(nativeLimit(1, 0))))),
            keyOp(ping(2)),
            overNativeLimit()
        );
    }

    /// @dev Validation ignores what is left of a token's limit, which is less in execution.
    function test_bundle_loweredTokenLimitHolds() public {
        grant(listOf(allow(address(token)), tokenLimit(100, 0)));
        passes(transfer(60));
        refusedInBundle(
            ownerOp(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, listOf(tokenLimit(70, 0))))),
            keyOp(transfer(11)),
            overTokenLimit()
        );
    }

    /// @dev The key that is added again is another registration: it does not have the first one's permissions.
    function test_bundle_keyRemovedAndAddedAgainDoesNothing() public {
        grant(listOf(allow(address(target))));
        Call[] memory batch = new Call[](2);
        batch[0] = Call(address(account), 0, abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key.addr, bytes32(0))));
        batch[1] =
            Call(address(account), 0, abi.encodeCall(ISessionKeyPlugin.addSessionKey, (key.addr, 0, new bytes[](0))));
        refusedInBundle(ownerOp(batchCall(batch)), keyOp(ping()), denied());
        assertTrue(plugin.isSessionKeyOf(address(account), key.addr));
    }

    function test_bundle_uninstalledPluginDoesNothing() public {
        grant(listOf(allow(address(target))));
        refusedInBundle(
            ownerOp(uninstallCall(address(plugin))),
            keyOp(ping()),
            abi.encodeWithSelector(
                IModularAccount.UnrecognizedFunction.selector, ISessionKeyPlugin.executeWithSessionKey.selector
            )
        );
    }

    /// @dev The new key has what the old key had left, but only from the next bundle on: validation precedes the
    /// rotation.
    function test_bundle_newKeyOfARotationWaitsForTheNextBundle() public {
        Vm.Wallet memory heir = vm.createWallet("heir");
        grant(listOf(allow(address(target)), nativeLimit(10, 0)));
        passes(ping(4));
        UserOperation[] memory ops = new UserOperation[](2);
        ops[0] = ownerOp(abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (key.addr, bytes32(0), heir.addr)));
        Vm.Wallet memory old = key;
        key = heir;
        ops[1] = keyOp(ping(6));
        vm.expectRevert(abi.encodeWithSelector(IEntryPoint.FailedOp.selector, 1, "AA23 reverted (or OOG)"));
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);

        send(ops[0]);
        passes(ping(6));
        refusedInValidation(ping(1));
        key = old;
        refusedInValidation(ping());
    }

    /// @dev An owner's earlier operation changes the list; that does not stop a removal in which the plugin searches.
    function test_bundle_removalWithoutAPredecessorOutlivesAMovedList() public {
        grant(listOf(allow(address(target))));
        bytes memory addition = abi.encodeCall(ISessionKeyPlugin.addSessionKey, (payee, 0, new bytes[](0)));
        bytes32[2] memory predecessors = [plugin.findPredecessor(address(account), key.addr), bytes32(0)];
        for (uint256 i = 0; i < predecessors.length; ++i) {
            uint256 state = vm.snapshotState();
            UserOperation memory second =
                ownerOp(abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key.addr, predecessors[i])));
            second.nonce += 1;
            sign(second, owner.privateKey);
            (bool[2] memory success,) = sendBundle(ownerOp(addition), second);
            assertTrue(success[0]);
            assertEq(success[1], i == 1);
            assertEq(plugin.isSessionKeyOf(address(account), key.addr), i == 0);
            vm.revertToState(state);
        }
    }

    /// @dev The owner sets the gas limit between the validation that opened a window and the execution that would settle it.
    function test_bundle_ownersGasLimitClearsThePendingReset() public {
        // One operation may cost 0.008 ether.
        grant(listOf(allow(address(target)), gasLimit(0.012 ether, INTERVAL)));
        passes(ping());
        vm.warp(block.timestamp + INTERVAL + 5);
        bytes[] memory changes = listOf(gasLimit(0.02 ether, 2 * INTERVAL));
        (bool[2] memory success,) = sendBundle(
            ownerOp(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, changes))), keyOp(ping())
        );
        assertTrue(success[0] && success[1]);
        (ISessionKeyPlugin.SpendLimitInfo memory info, bool shouldReset) =
            plugin.getGasSpendLimit(address(account), key.addr);
        assertFalse(shouldReset);
        assertEq(info.limit, 0.02 ether);
        assertEq(info.limitUsed, 0.008 ether);
        assertEq(info.refreshInterval, 2 * INTERVAL);
        assertEq(info.lastUsedTime, block.timestamp);
    }

    /// @dev Whether or not the gas limit was charged when the operation was validated, it no longer covers the
    /// operation.
    function test_bundle_gasLimitBelowTheUsedAmountPreventsAllCalls() public {
        // One operation may cost 0.008 ether.
        grant(listOf(allow(address(target)), gasLimit(0.02 ether, INTERVAL)));
        passes(ping());
        uint256[3] memory limits = [uint256(0), 0.008 ether, 0.016 ether - 1];
        for (uint256 i = 0; i < limits.length; ++i) {
            for (uint48 interval = 0; interval <= INTERVAL; interval += INTERVAL) {
                uint256 state = vm.snapshotState();
                refusedInBundle(_updateOp(gasLimit(limits[i], interval)), keyOp(ping()), denied());
                vm.revertToState(state);
            }
        }
        (bool[2] memory success,) = sendBundle(_updateOp(gasLimit(0.016 ether, INTERVAL)), keyOp(ping()));
        assertTrue(success[0] && success[1], "a limit that covers it");
    }

    /// @dev A documented limit. Execution sees neither the cost of an operation nor its payer: an operation that is
    /// already validated is not charged to a later limit, and does not need a paymaster that is required later.
    function test_bundle_laterGasLimitAndPaymasterBindTheNextBundle() public {
        grant(listOf(allow(address(target))));
        (bool[2] memory success,) = sendBundle(_updateOp(gasLimit(0, 0)), keyOp(ping()));
        assertTrue(success[0] && success[1], "the first gas limit");
        (ISessionKeyPlugin.SpendLimitInfo memory info,) = plugin.getGasSpendLimit(address(account), key.addr);
        assertEq(info.limitUsed, 0);
        refusedInValidation(ping());

        // Removed and set again in one list, it clears what was charged.
        update(gasLimit(1 ether, 0));
        bytes[] memory afresh = listOf(gasLimit(NO_LIMIT, 0), gasLimit(0, 0));
        (success,) = sendBundle(
            ownerOp(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, afresh))), keyOp(ping())
        );
        assertTrue(success[0] && success[1], "a gas limit set afresh");
        refusedInValidation(ping());

        update(gasLimit(NO_LIMIT, 0));
        (success,) = sendBundle(_updateOp(requiredPaymaster(payee)), keyOp(ping()));
        assertTrue(success[0] && success[1], "a required paymaster");
        refusedInValidation(ping());
    }

    /// @dev An operation of the owner that changes the session key's permissions.
    function _updateOp(bytes memory change) private view returns (UserOperation memory) {
        return ownerOp(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, listOf(change))));
    }

    function test_bundle_limitsAreNotUsedTwice() public {
        grant(listOf(allow(address(target)), nativeLimit(10, 0)));
        UserOperation memory first = keyOp(ping(10));
        UserOperation memory second = keyOp(ping(10));
        second.nonce += 1;
        sign(second, key.privateKey);
        refusedInBundle(first, second, overNativeLimit());
    }

    /* Installations */

    function test_reinstall_startsWithoutKeys() public {
        grant(listOf(allow(address(target))));
        uninstall(address(plugin));
        install(address(plugin), noKeys(), ownerDependencies());
        assertEq(plugin.sessionKeysOf(address(account)).length, 0);
        refusedInValidation(ping());
        grant(new bytes[](0));
        refusedInValidation(ping());
    }

    /// @dev Thousands of keys, and gas for the events of a few: the callback succeeds, and no key is left.
    function test_uninstall_ofThousandsOfKeys() public {
        uninstall(address(plugin));
        address[] memory many = new address[](2000);
        for (uint256 i = 0; i < many.length; ++i) {
            many[i] = address(uint160(0x1000 + i));
        }
        many[0] = key.addr;
        bytes[][] memory updates = new bytes[][](many.length);
        updates[0] = listOf(allow(address(target)));
        bytes memory installData = abi.encode(many, new bytes32[](many.length), updates);
        install(address(plugin), installData, ownerDependencies());
        passes(ping());
        UserOperation memory op = keyOp(ping());

        bytes memory config = uninstallConfig("", true, 100_000);
        vm.expectEmit(address(account));
        emit IPluginManager.PluginUninstalled(address(plugin), true);
        sendAsOwner(uninstallCall(address(plugin), config));
        assertEq(plugin.sessionKeysOf(address(account)).length, 0);
        assertFalse(plugin.isSessionKeyOf(address(account), key.addr));
        expectFailedOp("AA23 reverted (or OOG)");
        this.sendExternally(op);

        install(address(plugin), noKeys(), ownerDependencies());
        assertEq(plugin.sessionKeysOf(address(account)).length, 0);
        refusedInValidation(ping());
    }

    function test_uninstall_withAStarvedCallback_leavesNoUsableKey() public {
        grant(listOf(allow(address(target))));
        bytes memory config = uninstallConfig("", true, 1000);
        vm.prank(owner.addr);
        account.uninstallPlugin(address(plugin), config, "");
        assertTrue(plugin.isSessionKeyOf(address(account), key.addr), "the callback did not run");

        UserOperation memory op = keyOp(ping());
        expectFailedOp("AA23 reverted (or OOG)");
        this.sendExternally(op);

        install(address(plugin), noKeys(), ownerDependencies());
        assertFalse(plugin.isSessionKeyOf(address(account), key.addr));
        refusedInValidation(ping());
    }
}
