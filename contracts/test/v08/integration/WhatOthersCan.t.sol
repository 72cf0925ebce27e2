// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {ExecutionManifest, ManifestHook, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ISessionKeyModule} from "../../../src/interfaces/ISessionKeyModule.sol";
import {ISessionKeyPlugin} from "../../../src/interfaces/ISessionKeyPlugin.sol";
import {call, join, listOf} from "../../utils/ListLiterals.sol";
import {HookKeepingAccount} from "../accounts/HookKeepingAccount.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IExecutionHookModule} from "../interfaces/IHookModules.sol";
import {MockModule} from "../modules/MockModule.sol";
import {StoringFallback} from "../modules/StoringFallback.sol";
import {allow, entry, gasLimit, listType, nativeLimit, requiredPaymaster} from "../utils/PermissionUpdates.sol";
import {SessionKeyAccountTest} from "../utils/SessionKeyAccountTest.sol";

/// @notice What the module cannot prevent, because the account does not: one test for each testable sentence of the
/// documentation about it. A change that removes such a limit must change the sentence.
contract WhatOthersCanTest is SessionKeyAccountTest {
    uint32 private constant OTHER_ENTITY = 5;

    Vm.Wallet private other;

    function setUp() public override {
        super.setUp();
        other = vm.createWallet("other");
    }

    /// @dev Gives `other` its own validation for one function of the account.
    function _installOther(bytes4 selector) private {
        bytes memory installData = abi.encode(OTHER_ENTITY, other.addr);
        bytes25 config = validation(address(ownerModule), OTHER_ENTITY, USER_OP);
        callAsOwner(installCall(config, selectors(selector), installData, new bytes[](0)));
    }

    function _otherOp(bytes memory callData) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(callData, nonceKey(0, OTHER_ENTITY, 0));
        bytes memory prefix = selectionPrefix(entity(address(ownerModule), OTHER_ENTITY), false);
        op.signature = abi.encodePacked(prefix, hex"ff00", signatureOf(op, other));
    }

    /* Other validations */

    /// @dev Without the key's signature, lane, gas limit or paymaster, but within everything that execution checks.
    function test_validationOfTheFunction_runsAnyKey() public onEveryAccount {
        grant(listOf(allow(address(target)), nativeLimit(3, 0)));
        update(requiredPaymaster(payee));
        update(gasLimit(1, 0));
        _installOther(USE);
        passes(_otherOp(useCall(ping(2))));
        (ISessionKeyPlugin.SpendLimitInfo memory info,) = module.getGasSpendLimit(address(account), key.addr);
        assertEq(info.limitUsed, 0);
        refusedInExecution(_otherOp(useCall(ping(2))), overNativeLimit());
        refusedInExecution(_otherOp(useCall(call(payee, 0, ""))), denied());
        callAsOwner(removeCall());
        refusedInExecution(_otherOp(useCall(ping())), keyIsGone());
    }

    /// @dev `execute` lets the account call the module.
    function test_validationOfExecute_runsAnyKeyAndAddsKeys() public onEveryAccount {
        grant(listOf(allow(address(target)), nativeLimit(3, 0)));
        _installOther(EXECUTE);
        passes(_otherOp(executeCall(address(module), 0, useCall(ping(2)))));
        refusedInExecution(_otherOp(executeCall(address(module), 0, useCall(ping(2)))), overNativeLimit());
        bytes[] memory everything = listOf(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS));
        passes(_otherOp(executeCall(address(module), 0, addCall(other.addr, everything))));
        assertTrue(module.isSessionKeyOf(address(account), other.addr));
        // So can one that ends all keys.
        passes(_otherOp(executeCall(address(module), 0, abi.encodeWithSignature("onUninstall(bytes)", bytes("")))));
        assertEq(module.sessionKeysOf(address(account)).length, 0);
    }

    /// @dev A transaction from the account's own key is a self-call, which nothing validates.
    function test_delegatedAccountsOwnTransaction_runsAnyKey() public {
        useAccount(Kind.DELEGATED);
        grant(listOf(allow(address(target)), nativeLimit(3, 0)));
        (bool success, bytes memory answer) = callFrom(owner.addr, useCall(ping(2)));
        assertTrue(success);
        bytes[] memory returned = abi.decode(answer, (bytes[]));
        assertEq(returned.length, 1);
        assertEq(returned[0], abi.encode(1));
        (success, answer) = callFrom(owner.addr, useCall(join(ping(), ping())));
        assertTrue(success);
        returned = abi.decode(answer, (bytes[]));
        assertEq(returned.length, 2);
        assertEq(returned[1], abi.encode(1));
        refusedTo(owner.addr, useCall(ping(2)), overNativeLimit());
    }

    /// @dev Unlike on other accounts.
    function test_fallbackSigner_doesNotRunKeys() public {
        useAccount(Kind.SEMI_MODULAR);
        grant(listOf(allow(address(target))));
        refusedTo(owner.addr, useCall(ping()), err(IAccountV08.ValidationFunctionMissing.selector, USE));
    }

    /* Hooks of other modules */

    function _installHook(MockModule hooking, bytes4 selector) private {
        ExecutionManifest memory hooks;
        hooks.executionHooks = new ManifestHook[](1);
        hooks.executionHooks[0] = ManifestHook(selector, 1, true, false);
        callAsOwner(installExecutionCall(address(hooking), hooks, ""));
    }

    /// @dev They see the key's calls, and can stop them.
    function test_hooksOfFunctions_runForKeys() public onEveryAccount {
        grant(listOf(allow(address(target))));
        MockModule hooking = new MockModule();
        _installHook(hooking, USE);
        _installHook(hooking, EXECUTE);
        runs(ping());
        assertEq(_calls(hooking), 2);
        hooking.refuse(IExecutionHookModule.preExecutionHook.selector, "no");
        refusesToRun(ping(), err(IAccountV08.PreExecHookReverted.selector, entity(address(hooking), 1), bytes("no")));
    }

    function _calls(MockModule hooking) private view returns (uint256 count) {
        for (uint256 i = 0; i < lastLogs.length; ++i) {
            if (lastLogs[i].emitter == address(hooking)) ++count;
        }
    }

    function test_executionHookOnTheValidation_stopsAllKeys() public onEveryAccount {
        grant(listOf(allow(address(target))));
        MockModule hooking = new MockModule();
        bytes[] memory hooks = listOf(hookData(hook(address(hooking), 1, PRE_HOOK)));
        callAsOwner(installCall(validation(address(module), ENTITY, USER_OP), new bytes4[](0), "", hooks));
        refusedInValidation(keyOp(ping()), err(IAccountV08.RequireUserOperationContext.selector));
        refusesToValidate(keyOp(wrapped(useCall(ping())), nonceKey(laneOf(key.addr), ENTITY, 0)), denied());
    }

    /// @dev On an account that keeps hooks, a reinstallation differs from the first one.
    function test_hooksThatStay_areThereInTheNextInstallation() public {
        useAccount(Kind.SIGNATURE);
        address keeping = address(new HookKeepingAccount());
        callAsOwner(abi.encodeCall(IAccountV08.upgradeToAndCall, (keeping, "")));
        MockModule hooking = new MockModule();
        bytes[] memory hooks =
            listOf(hookData(hook(address(hooking), 1, VALIDATION_HOOK)), hookData(hook(address(hooking), 2, PRE_HOOK)));
        callAsOwner(installCall(validation(address(module), ENTITY, USER_OP), new bytes4[](0), "", hooks));
        uninstallModule();
        installModule(oneKey(listOf(allow(address(target)))));
        refusedInValidation(keyOp(ping()), err(IAccountV08.RequireUserOperationContext.selector));

        // One entry per hook, even an empty one, removes them.
        callAsOwner(uninstallCall(entity(address(module), ENTITY), "", new bytes[](2)));
        callAsOwner(installCall(validation(address(module), ENTITY, USER_OP), selectors(USE)));
        runs(ping());
    }

    /* Targets that are not recognised */

    /// @dev A module that does not report its interface accepts calls from keys allowed to call it.
    function test_moduleThatDoesNotSaySo_isCalled() public onEveryAccount {
        MockModule silent = new MockModule();
        silent.answer(0x01ffc9a7, "");
        grant(listOf(allow(address(silent))));
        runs(call(address(silent), 0, hex"01020304"));
        silent.relent(0x01ffc9a7);
        refusesToRun(
            call(address(silent), 0, hex"01020304"), err(ISessionKeyModule.TargetIsModule.selector, address(silent))
        );
    }

    /// @dev A contract whose fallback stores unknown queries is an ordinary target.
    function test_targetWithAStoringFallback_isCalled() public onEveryAccount {
        StoringFallback storing = new StoringFallback();
        grant(listOf(allow(address(storing))));
        runs(call(address(storing), 0, hex"01020304"));
        assertEq(storing.count(), 1);
    }

    /* Signatures that others sign */

    /// @dev The owner's deferred actions belong to the owner: a key's validation authorizes none.
    function test_key_authorizesNoDeferredAction() public {
        Kind[3] memory kinds = [Kind.MODULAR, Kind.SEMI_MODULAR, Kind.DELEGATED];
        for (uint256 i = 0; i < kinds.length; ++i) {
            useAccount(kinds[i]);
            grant(listOf(allow(address(target))));
            uint192 ofNonceKey = nonceKey(laneOf(key.addr), ENTITY, HAS_DEFERRED_ACTION);
            PackedUserOperation memory op = buildUserOp(useCall(ping()), ofNonceKey);
            bytes memory action = addCall(payee, new bytes[](0));
            op.signature = _signedByTheKey(op, action);
            refusedInValidation(
                op, err(IAccountV08.ValidationFunctionMissing.selector, ISessionKeyPlugin.addSessionKey.selector)
            );
            // Not even its own function.
            op.signature = _signedByTheKey(op, useCall(ping()));
            refusedInValidation(
                op, errOf(IAccountV08.SignatureValidationInvalid.selector, entity(address(module), ENTITY))
            );
        }
    }

    function _signedByTheKey(PackedUserOperation memory op, bytes memory action) private view returns (bytes memory) {
        bytes memory signature = ecdsa(deferredHash(op.nonce, 0, action), key);
        bytes memory prefix = encodeDeferred(uint168(ENTITY) << 8, 0, action, signature);
        return abi.encodePacked(prefix, hex"ff", signatureOf(op, key));
    }
}
