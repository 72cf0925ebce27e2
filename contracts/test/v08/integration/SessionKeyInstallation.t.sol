// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ExecutionManifest, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ISessionKeyPlugin} from "../../../src/interfaces/ISessionKeyPlugin.sol";
import {call, listOf} from "../../utils/ListLiterals.sol";
import {ExecutionData, IAccountV08, ValidationData} from "../../../src/interfaces/IAccountV08.sol";
import {allow, gasLimit, nativeLimit, tokenLimit} from "../utils/PermissionUpdates.sol";
import {SessionKeyAccountTest} from "../utils/SessionKeyAccountTest.sol";

/// @notice Installing and removing the module: in one operation, by a deferred action, and repeatedly.
contract SessionKeyInstallationTest is SessionKeyAccountTest {
    bytes4[5] private functions = [
        ISessionKeyPlugin.executeWithSessionKey.selector,
        ISessionKeyPlugin.addSessionKey.selector,
        ISessionKeyPlugin.removeSessionKey.selector,
        ISessionKeyPlugin.rotateSessionKey.selector,
        ISessionKeyPlugin.updateKeyPermissions.selector
    ];

    /* One operation */

    function test_installation_matchesTheExpectedState() public onEveryAccount {
        for (uint256 i = 0; i < functions.length; ++i) {
            ExecutionData memory data = account.getExecutionData(functions[i]);
            assertEq(data.module, address(module));
            assertFalse(data.skipRuntimeValidation);
            assertEq(data.allowGlobalValidation, i != 0);
            assertEq(data.executionHooks.length, 0);
        }
        ValidationData memory operations = account.getValidationData(entity(address(module), ENTITY));
        assertEq(operations.flags, USER_OP);
        assertEq(abi.encode(operations.selectors), abi.encode(selectors(USE)));
        assertEq(operations.validationHooks.length + operations.executionHooks.length, 0);
        ValidationData memory direct = account.getValidationData(entity(address(module), DIRECT_CALL));
        assertEq(direct.flags, 0);
        assertEq(abi.encode(direct.selectors), abi.encode(selectors(EXECUTE, BATCH)));
        assertEq(direct.validationHooks.length + direct.executionHooks.length, 0);
        assertEq(module.sessionKeysOf(address(account)).length, 0);
    }

    function test_firstKey_isAddedByTheInstallation() public onEveryAccount {
        uninstallModule();
        installModule(oneKey(listOf(allow(address(target)))));
        runs(ping());
    }

    /// @dev The owner's global validation manages keys: no part of the module is involved.
    function test_nextKey_isOneCall() public onEveryAccount {
        passes(ownerOp(addCall(key.addr, listOf(allow(address(target))))));
        runs(ping());
        passes(ownerOp(removeCall()));
        refusesToValidate(ping());
    }

    /// @dev The account checks a batch's self-calls before any of it is installed.
    function test_addingAKeyInTheInstallingBatch_isRefused() public onEveryAccount {
        uninstallModule();
        bytes[] memory parts = installCalls(noKeys());
        bytes[] memory withKey = new bytes[](4);
        for (uint256 i = 0; i < 3; ++i) {
            withKey[i] = parts[i];
        }
        withKey[3] = addCall(key.addr, new bytes[](0));
        refusedInValidation(
            ownerOp(selfCalls(withKey)),
            err(IAccountV08.ValidationFunctionMissing.selector, ISessionKeyPlugin.addSessionKey.selector)
        );
    }

    function test_installedTwice_isRefused() public onEveryAccount {
        grant(listOf(allow(address(target))));
        bytes[] memory parts = installCalls(oneKey(new bytes[](0)));
        refusedInExecution(ownerOp(selfCalls(parts)), err(IAccountV08.ExecutionFunctionAlreadySet.selector, USE));
        refusedInExecution(
            ownerOp(selfCalls(listOf(parts[1]))),
            abi.encodeWithSelector(IAccountV08.ValidationAlreadySet.selector, USE, entity(address(module), ENTITY))
        );
        runs(ping());
    }

    /// @dev Keys belong to the account, whatever the entity id.
    function test_secondValidation_servesTheSameKeys() public onEveryAccount {
        grant(listOf(allow(address(target))));
        callAsOwner(installCall(validation(address(module), ENTITY + 1, USER_OP), selectors(USE)));
        PackedUserOperation memory op = buildUserOp(useCall(ping()), nonceKey(laneOf(key.addr), ENTITY + 1, 0));
        bytes memory prefix = selectionPrefix(entity(address(module), ENTITY + 1), false);
        op.signature = abi.encodePacked(prefix, hex"ff", signatureOf(op, key));
        passes(op);
        callAsOwner(uninstallCall(entity(address(module), ENTITY + 1), ""));
        runs(ping());
    }

    /* Removal */

    function test_uninstallation_leavesNothing() public onEveryAccount {
        grant(listOf(allow(address(target))));
        uninstallModule();
        for (uint256 i = 0; i < functions.length; ++i) {
            ExecutionData memory data = account.getExecutionData(functions[i]);
            assertEq(data.module, address(0));
            assertFalse(data.allowGlobalValidation);
        }
        assertEq(account.getValidationData(entity(address(module), ENTITY)).selectors.length, 0);
        assertEq(account.getValidationData(entity(address(module), DIRECT_CALL)).selectors.length, 0);
        assertEq(module.sessionKeysOf(address(account)).length, 0);
        refusedInValidation(keyOp(ping()), err(IAccountV08.ValidationFunctionMissing.selector, USE));
    }

    /// @dev Any one of its callbacks suffices.
    function test_everyCallback_endsAllKeys() public onEveryAccount {
        bytes[] memory parts = uninstallCalls();
        parts[2] = uninstallCall(entity(address(module), DIRECT_CALL), hex"01");
        for (uint256 i = 0; i < 3; ++i) {
            uint256 state = vm.snapshotState();
            grant(listOf(allow(address(target))));
            passes(ownerOp(selfCalls(listOf(parts[i]))));
            assertEq(module.sessionKeysOf(address(account)).length, 0);
            assertFalse(module.isSessionKeyOf(address(account), key.addr));
            vm.revertToState(state);
        }
    }

    function test_differentManifest_removesNothing() public onEveryAccount {
        ExecutionManifest memory another = manifest();
        another.executionFunctions[0].allowGlobalValidation = true;
        refusedInExecution(
            ownerOp(uninstallExecutionCall(address(module), another, hex"01")),
            err(IAccountV08.ExecutionFunctionNotSet.selector, USE)
        );
    }

    function test_cleanInstallationAfterOneWithoutCallbacks_hasNoOldKey() public onEveryAccount {
        grant(listOf(allow(address(target)), nativeLimit(5, 0)));
        passes(ownerOp(selfCalls(silentUninstallCalls())));
        assertEq(module.sessionKeysOf(address(account)).length, 1);
        installModule(noKeys());
        assertEq(module.sessionKeysOf(address(account)).length, 0);
        refusesToValidate(ping());
        // Nor its permissions.
        grant(new bytes[](0));
        refusesToValidate(ping());
    }

    /// @dev Without data, the module is not called at installation either: its state of the account stays.
    function test_installationWithoutData_revivesKeysThatNoCallbackEnded() public onEveryAccount {
        grant(listOf(allow(address(target)), nativeLimit(5, 0)));
        passes(ownerOp(selfCalls(silentUninstallCalls())));
        installModule("");
        runs(ping(5));
        refusesToValidate(ping(1));
    }

    /// @dev Whether the validation is installed or not, the account pays for a key's operations.
    function test_silentRemovalOfFunctions_letsKeysBurnTheDeposit() public onEveryAccount {
        grant(listOf(allow(address(target))));
        passes(ownerOp(uninstallExecutionCall(address(module), manifest(), "")));
        uint256 deposit = ENTRY_POINT.balanceOf(address(account));
        refusesToRun(ping(), err(IAccountV08.UnrecognizedFunction.selector, USE));
        assertLt(ENTRY_POINT.balanceOf(address(account)), deposit);
    }

    /* Removal with little gas */

    uint256 private constant MANY = 300;

    /// @dev Reinstalls the module, with `MANY` keys.
    function _installMany() private {
        uninstallModule();
        address[] memory many = new address[](MANY);
        for (uint256 i = 0; i < MANY; ++i) {
            many[i] = address(uint160(0x1000 + i));
        }
        callAsOwner(selfCalls(installCalls(abi.encode(many, new bytes32[](MANY), new bytes[][](MANY)))));
    }

    function _opWithLittleGas(bytes[] memory calls) private view returns (PackedUserOperation memory op) {
        op = ownerOp(selfCalls(calls));
        op.accountGasLimits = gasLimits(3_000_000, 500_000);
        signAsOwner(op);
    }

    /// @dev The callback ends all keys with one write, then emits events while gas lasts: some, but not for all keys.
    function test_uninstallation_whoseCallbackIsLast_needsNoGasForEveryKey() public onEveryAccount {
        _installMany();
        bytes[] memory calls = listOf(
            uninstallCall(entity(address(module), ENTITY), ""),
            uninstallCall(entity(address(module), DIRECT_CALL), ""),
            uninstallExecutionCall(address(module), manifest(), hex"01")
        );
        passes(_opWithLittleGas(calls));
        assertEq(module.sessionKeysOf(address(account)).length, 0);
        assertFalse(module.isSessionKeyOf(address(account), address(0x1000)));
        assertGt(_removals(), 10);
        assertLt(_removals(), MANY);
    }

    /// @dev No gas is left for the calls after it: the whole batch reverts.
    function test_uninstallation_whoseCallbackIsFirst_needsGasForEveryKey() public onEveryAccount {
        _installMany();
        refusedInExecution(_opWithLittleGas(uninstallCalls()), "");
        assertEq(module.sessionKeysOf(address(account)).length, MANY);
        uninstallModule();
        assertEq(module.sessionKeysOf(address(account)).length, 0);
    }

    function _removals() private view returns (uint256 count) {
        for (uint256 i = 0; i < lastLogs.length; ++i) {
            if (lastLogs[i].topics[0] == ISessionKeyPlugin.SessionKeyRemoved.selector) ++count;
        }
    }

    /* Deferred */

    modifier onNonceAccounts() {
        for (uint256 i = 0; i < uint256(Kind.SIGNATURE); ++i) {
            uint256 state = vm.snapshotState();
            useAccount(Kind(i));
            uninstallModule();
            _;
            vm.revertToState(state);
        }
    }

    uint48 private constant DEADLINE = 1_700_000_100;

    /// @dev Builds an operation of the key, with the owner's signed action before it.
    function _deferredOp(bytes memory action) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(useCall(ping()), nonceKey(laneOf(key.addr), ENTITY, HAS_DEFERRED_ACTION));
        _signDeferred(op, action);
    }

    function _signDeferred(PackedUserOperation memory op, bytes memory action) private view {
        op.signature = abi.encodePacked(deferred(op.nonce, DEADLINE, action), hex"ff", signatureOf(op, key));
    }

    function _installation() private view returns (bytes memory) {
        return selfCalls(installCalls(oneKey(listOf(allow(address(target)), gasLimit(1 ether, INTERVAL)))));
    }

    function test_deferredInstallation_runsBeforeTheFirstUse() public onNonceAccounts {
        passes(_deferredOp(_installation()));
        runs(ping());
        assertEq(module.sessionKeysOf(address(account)).length, 1);
    }

    function test_deferredKey_isAddedByItsFunction() public onNonceAccounts {
        installModule(noKeys());
        passes(_deferredOp(addCall(key.addr, listOf(allow(address(target))))));
        runs(ping());
    }

    /// @dev The operation's key must be the one that the action adds.
    function test_deferredInstallation_worksForItsKeyOnly() public onNonceAccounts {
        PackedUserOperation memory op = _deferredOp(_installation());
        op.signature = abi.encodePacked(deferred(op.nonce, DEADLINE, _installation()), hex"ff", signatureOf(op, owner));
        refusedByEntryPoint(op, "AA24 signature error");
        assertEq(module.sessionKeysOf(address(account)).length, 0);
    }

    function test_deferredInstallation_endsAtItsDeadline() public onNonceAccounts {
        PackedUserOperation memory op = _deferredOp(_installation());
        vm.warp(DEADLINE + 1);
        refusedByEntryPoint(op, "AA22 expired or not due");
    }

    function test_secondDeferredInstallation_fails() public onNonceAccounts {
        PackedUserOperation memory first = _deferredOp(_installation());
        PackedUserOperation memory second =
            buildUserOp(useCall(ping()), nonceKey(laneOf(key.addr), ENTITY + 1, HAS_DEFERRED_ACTION));
        _signDeferred(second, _installation());
        passes(first);
        refusedInValidation(second, err(IAccountV08.ExecutionFunctionAlreadySet.selector, USE));
    }

    /// @dev Using up its nonce revokes a signed action; ending the key does not.
    function test_unusedDeferredKey_isRevokedByItsNonce() public onNonceAccounts {
        installModule(noKeys());
        PackedUserOperation memory op = _deferredOp(addCall(key.addr, listOf(allow(address(target)))));
        uint256 state = vm.snapshotState();
        bytes memory increment = abi.encodeCall(ENTRY_POINT.incrementNonce, (uint192(op.nonce >> 64)));
        callAsOwner(executeCall(address(ENTRY_POINT), 0, increment));
        refusedByEntryPoint(op, "AA25 invalid account nonce");

        vm.revertToState(state);
        grant(listOf(allow(address(target))));
        callAsOwner(removeCall());
        passes(op);
        assertTrue(module.isSessionKeyOf(address(account), key.addr));
    }

    /// @dev Its cost is part of the operation's maximum cost: the verification gas limit.
    function test_gasLimit_countsTheDeferredInstallation() public onNonceAccounts {
        PackedUserOperation memory op = _deferredOp(_installation());
        passes(op);
        (ISessionKeyPlugin.SpendLimitInfo memory info,) = module.getGasSpendLimit(address(account), key.addr);
        assertEq(info.limitUsed, 8_000_000 * 1 gwei);
    }

    /// @dev Validation must not read the clock.
    function test_deferredUpdateWithAnInterval_readsTheClock() public onNonceAccounts {
        installModule(noKeys());
        grant(listOf(allow(address(target))));
        passes(_deferredOp(updateCall(nativeLimit(5, INTERVAL))));
        assertEq(module.getNativeTokenSpendLimitInfo(address(account), key.addr).lastUsedTime, block.timestamp);
    }

    function test_accountIsCreatedWithItsKey() public {
        useAccount(Kind.SEMI_MODULAR);
        address created = factory.getAddressSemiModular(owner.addr, 7);
        account = IAccountV08(payable(created));
        PackedUserOperation memory op =
            buildUserOp(useCall(ping()), nonceKey(laneOf(key.addr), ENTITY, HAS_DEFERRED_ACTION));
        op.initCode = abi.encodePacked(factory, abi.encodeCall(factory.createSemiModularAccount, (owner.addr, 7)));
        _signDeferred(op, _installation());
        vm.deal(created, 1 ether);
        passes(op);
        runs(ping());
    }
}
