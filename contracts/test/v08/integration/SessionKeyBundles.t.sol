// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ISessionKeyPlugin} from "../../../src/interfaces/ISessionKeyPlugin.sol";
import {OtherImplementation} from "../../mocks/OtherImplementation.sol";
import {PingTarget} from "../../mocks/PingTarget.sol";
import {call, join, listOf} from "../../utils/ListLiterals.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {
    allow,
    entry,
    gasLimit,
    nativeLimit,
    requiredPaymaster,
    timeRange,
    tokenLimit
} from "../utils/PermissionUpdates.sol";
import {SessionKeyAccountTest} from "../utils/SessionKeyAccountTest.sol";

/// @notice All operations of a bundle are validated before the first is executed. If an owner's operation takes a
/// permission away, an already validated operation of the key cannot use it.
contract SessionKeyBundlesTest is SessionKeyAccountTest {
    modifier withKey() {
        for (uint256 i = 0; i <= uint256(type(Kind).max); ++i) {
            uint256 state = vm.snapshotState();
            useAccount(Kind(i));
            grant(listOf(allow(address(target)), allow(address(token)), nativeLimit(10, 0)));
            _;
            vm.revertToState(state);
        }
    }

    /* The key */

    function test_removedKey_doesNothing() public withKey {
        refusedAfter(removeCall(), ping(1), keyIsGone());
    }

    function test_rotatedKey_doesNothing() public withKey {
        bytes memory rotation = abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (key.addr, 0, payee));
        refusedAfter(rotation, ping(1), keyIsGone());
    }

    function test_narrowedKey_doesNothingBeyond() public withKey {
        refusedAfter(updateCall(entry(address(target), false, false)), ping(1), denied());
        refusedAfter(updateCall(tokenLimit(address(token), 5, 0)), transfer(6), overTokenLimit());
        refusedAfter(updateCall(nativeLimit(1, 0)), call(address(token), 2, transfer(1)[0].data), overNativeLimit());
    }

    function test_expiredKey_doesNothing() public withKey {
        refusedAfter(updateCall(timeRange(0, uint48(block.timestamp - 1))), ping(1), denied());
        update(timeRange(0, 0));
        refusedAfter(updateCall(timeRange(uint48(block.timestamp + 1), 0)), ping(1), denied());
    }

    function test_loweredGasLimit_appliesToChargesInExecution() public withKey {
        update(gasLimit(1 ether, 0));
        refusedAfter(updateCall(gasLimit(0.007 ether, 0)), ping(1), denied());
    }

    /// @dev Execution cannot know who pays, or what a limit added later would have been charged.
    function test_laterGasLimitAndPaymaster_applyFromTheNextBundle() public withKey {
        Outcome[] memory outcomes = sendBundle(ownerOp(updateCall(gasLimit(1, 0))), keyOp(ping(1)));
        assertTrue(outcomes[0].success && outcomes[1].success);
        refusesToValidate(ping(1));
        update(gasLimit(NO_LIMIT, 0));
        outcomes = sendBundle(ownerOp(updateCall(requiredPaymaster(payee))), keyOp(ping(1)));
        assertTrue(outcomes[0].success && outcomes[1].success);
        refusesToValidate(ping(1));
    }

    function test_limits_areNotUsedTwice() public withKey {
        PackedUserOperation memory second = keyOp(ping(6));
        second.nonce += 1;
        signAsKey(second);
        Outcome[] memory outcomes = sendBundle(keyOp(ping(6)), second);
        assertTrue(outcomes[0].success);
        assertFalse(outcomes[1].success);
        assertEq(outcomes[1].reason, overNativeLimit());
    }

    function test_gasLimit_isNotUsedTwice() public withKey {
        update(gasLimit(0.015 ether, 0));
        PackedUserOperation[] memory ops = new PackedUserOperation[](2);
        (ops[0], ops[1]) = (keyOp(ping(1)), keyOp(ping(1)));
        ops[1].nonce += 1;
        signAsKey(ops[1]);
        bytes memory callData = abi.encodeCall(ENTRY_POINT.handleOps, (ops, beneficiary));
        vm.prank(bundler, bundler);
        (bool success, bytes memory reason) = address(ENTRY_POINT).call(callData);
        assertFalse(success);
        assertEq(
            reason,
            abi.encodeWithSignature(
                "FailedOpWithRevert(uint256,string,bytes)",
                1,
                "AA23 reverted",
                err(IAccountV08.UserOpValidationFunctionReverted.selector, entity(address(module), ENTITY), denied())
            )
        );
    }

    /* The module, removed with and without the callback that ends all keys */

    function test_uninstalledFunctions_doNothing() public withKey {
        bytes memory reason = err(IAccountV08.UnrecognizedFunction.selector, USE);
        uint256 state = vm.snapshotState();
        refusedAfter(uninstallExecutionCall(address(module), manifest(), hex"01"), ping(1), reason);
        assertEq(module.sessionKeysOf(address(account)).length, 0);
        vm.revertToState(state);
        refusedAfter(uninstallExecutionCall(address(module), manifest(), ""), ping(1), reason);
        assertEq(module.sessionKeysOf(address(account)).length, 1);
    }

    function test_removedDirectCallValidation_letsNoCallThrough() public withKey {
        bytes24 direct = entity(address(module), DIRECT_CALL);
        uint256 state = vm.snapshotState();
        refusedAfter(uninstallCall(direct, hex"01"), ping(1), keyIsGone());
        vm.revertToState(state);
        refusedAfter(uninstallCall(direct, ""), ping(1), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
        vm.revertToState(state);
        refusedAfter(
            uninstallCall(direct, ""), join(ping(), ping()), err(IAccountV08.ValidationFunctionMissing.selector, BATCH)
        );
    }

    function test_removedValidation_withItsCallback_endsTheKey() public withKey {
        refusedAfter(uninstallCall(entity(address(module), ENTITY), hex"01"), ping(1), keyIsGone());
    }

    /// @dev Execution does not check which validation admitted an operation: what runs is within the key's permissions.
    function test_removedValidation_withoutItsCallback_letsTheValidatedOperationRun() public withKey {
        bytes memory removal = uninstallCall(entity(address(module), ENTITY), "");
        uint256 state = vm.snapshotState();
        Outcome[] memory outcomes = sendBundle(ownerOp(removal), keyOp(ping(1)));
        assertTrue(outcomes[0].success && outcomes[1].success);
        // It was the last operation.
        refusedInValidation(keyOp(ping(1)), err(IAccountV08.ValidationFunctionMissing.selector, USE));
        // Nothing beyond the key's permissions runs.
        vm.revertToState(state);
        PackedUserOperation[] memory ops = new PackedUserOperation[](3);
        ops[0] = ownerOp(selfCalls(listOf(removal, updateCall(entry(address(target), false, false)))));
        (ops[1], ops[2]) = (keyOp(ping(1)), keyOp(transfer(1)));
        ops[2].nonce += 1;
        signAsKey(ops[2]);
        outcomes = sendBundle(ops);
        assertTrue(outcomes[0].success && outcomes[2].success);
        assertEq(outcomes[1].reason, denied());
    }

    function test_uninstalledModule_doesNothing() public withKey {
        bytes memory reason = err(IAccountV08.UnrecognizedFunction.selector, USE);
        uint256 state = vm.snapshotState();
        refusedAfter(selfCalls(uninstallCalls()), ping(1), reason);
        vm.revertToState(state);
        refusedAfter(selfCalls(silentUninstallCalls()), ping(1), reason);
    }

    /// @dev The account's new code does not know the function.
    function test_upgradedAccount_doesNothing() public withKey {
        bytes memory upgrade = abi.encodeCall(IAccountV08.upgradeToAndCall, (address(new OtherImplementation()), ""));
        // Delegated accounts cannot be upgraded.
        if (kind != Kind.DELEGATED && kind != Kind.EARLIER_DELEGATED) refusedAfter(upgrade, ping(1), "");
    }

    /// @dev Uninstalled and reinstalled in one operation: no old key is left.
    function test_reinstalledModule_hasNoneOfItsKeys() public withKey {
        bytes[] memory off = uninstallCalls();
        bytes[] memory on = installCalls(noKeys());
        bytes[] memory both = new bytes[](6);
        for (uint256 i = 0; i < 3; ++i) {
            (both[i], both[i + 3]) = (off[i], on[i]);
        }
        refusedAfter(selfCalls(both), ping(1), keyIsGone());
    }
}
