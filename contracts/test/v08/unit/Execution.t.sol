// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {ExecutionData, IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {
    ExecutionManifest,
    IValidationModule,
    ManifestHook,
    PackedUserOperation
} from "../../../src/interfaces/IModule.sol";
import {IAccountV07, IEntryPointV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";
import {Counter} from "../../mocks/Counter.sol";
import {listOf} from "../../utils/ListLiterals.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice What runs around a call of an account, by user operation, runtime validation or direct call; and who may
/// call.
abstract contract ExecutionTest is AccountRulesTest {
    uint8 private constant BOTH = PRE_HOOK | POST_HOOK;

    /* By user operation */

    function test_hooks_runAroundTheCall_thenInReverse() public {
        bytes[] memory hooks = listOf(executionHook(1, BOTH), executionHook(2, POST_HOOK), executionHook(3, PRE_HOOK));
        install(USER_OP, selectors(EXECUTE), hooks);
        other.answer(PRE_EXECUTION, abi.encode(bytes("kept")));
        PackedUserOperation memory op = mockOp(wrapped(increment()));
        op.signature = abi.encodePacked(op.signature, "part");
        bytes memory data = abi.encodeCall(IAccountV07.executeUserOp, (op, ENTRY_POINT.getUserOpHash(op)));
        passes(op);
        ModuleCall[] memory calls = moduleCalls();
        assertEq(calls.length, 5);
        assertCall(calls[1], other, preExecution(1, address(ENTRY_POINT), 0, data));
        assertCall(calls[2], other, preExecution(3, address(ENTRY_POINT), 0, data));
        assertCall(calls[3], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (2, "")));
        assertCall(calls[4], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (1, "kept")));
    }

    function test_hooksRevert_failsTheExecution() public {
        install(USER_OP, selectors(EXECUTE), listOf(executionHook(7, BOTH)));
        other.refuse(PRE_EXECUTION, "before");
        refusedInExecution(
            mockOp(wrapped(increment())),
            err(IAccountV08.PreExecHookReverted.selector, entity(address(other), 7), "before")
        );
        other.relent(PRE_EXECUTION);
        other.refuse(POST_EXECUTION, "after");
        refusedInExecution(
            mockOp(wrapped(increment())),
            err(IAccountV08.PostExecHookReverted.selector, entity(address(other), 7), "after")
        );
        assertEq(counter.count(), 0);
    }

    function test_hooksAnswer_mustBeBytes() public {
        install(USER_OP, selectors(EXECUTE), listOf(executionHook(7, PRE_HOOK)));
        bytes[] memory answers = listOf(new bytes(32), abi.encode(0x40, 0), abi.encode(0x20, 1));
        for (uint256 i = 0; i < answers.length; ++i) {
            other.answer(PRE_EXECUTION, answers[i]);
            refusedInExecution(mockOp(wrapped(increment())), "");
        }
    }

    /// @dev An operation validated with a hook runs without it if the validation is removed earlier in the same bundle.
    function test_hooks_areReadAtExecution() public {
        install(USER_OP, selectors(EXECUTE), listOf(executionHook(7, PRE_HOOK)));
        other.refuse(PRE_EXECUTION, "never");
        Outcome[] memory outcomes = sendBundle(ownerOp(uninstallCall(mockEntity(), "")), mockOp(wrapped(increment())));
        assertTrue(outcomes[0].success && outcomes[1].success);
        assertEq(counter.count(), 1);
    }

    function test_failedCall_revertsWithItsTargetsReason() public {
        refusedInExecution(
            ownerOp(executeCall(address(counter), 0, abi.encodeCall(Counter.refuse, (3)))),
            abi.encodeWithSelector(Counter.Refused.selector, 3)
        );
    }

    function test_callsOfAddressesWithoutCode_succeed() public {
        passes(ownerOp(executeCall(stranger, 5, hex"01020304")));
        assertEq(stranger.balance, 5);
    }

    /* By runtime validation */

    function _authorize(bool asGlobal, bytes memory rest) private view returns (bytes memory) {
        return abi.encodePacked(authorizationOf(mockEntity(), asGlobal), rest);
    }

    function _runtimeCall(bytes memory data, bytes memory authorization) private pure returns (bytes memory) {
        return abi.encodeCall(IAccountV08.executeWithRuntimeValidation, (data, authorization));
    }

    /// @dev No flag is needed: a module that allows only user operations must refuse.
    function test_anyValidation_canBeUsedAtRuntime() public {
        install(0, selectors(EXECUTE));
        (bool success, bytes memory answer) = callFrom(stranger, _runtimeCall(increment(), _authorize(false, hex"ff")));
        assertTrue(success);
        // The return value of `execute`, as the account sees it.
        bytes memory returned = abi.decode(abi.decode(answer, (bytes)), (bytes));
        assertEq(abi.decode(returned, (uint256)), 1);
        mock.refuse(VALIDATE_RUNTIME, "why");
        refusedTo(
            stranger,
            _runtimeCall(increment(), _authorize(false, hex"ff")),
            err(IAccountV08.RuntimeValidationFunctionReverted.selector, mockEntity(), "why")
        );
    }

    function test_runtimeValidation_asksHooksModuleAndExecutionHooks() public {
        install(0, selectors(EXECUTE), listOf(validationHook(11), executionHook(7, BOTH)));
        bytes memory authorization = _authorize(false, abi.encodePacked(hex"00", uint32(3), "seg", hex"ff", "part"));
        bytes memory callData = _runtimeCall(increment(), authorization);
        vm.deal(stranger, 3);
        vm.recordLogs();
        vm.prank(stranger);
        (bool success,) = address(account).call{value: 3}(callData);
        assertTrue(success);
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 4);
        assertCall(
            calls[0],
            other,
            abi.encodeCall(IValidationHookModule.preRuntimeValidationHook, (11, stranger, 3, increment(), "seg"))
        );
        assertCall(
            calls[1],
            mock,
            abi.encodeCall(
                IValidationModule.validateRuntime, (address(account), ENTITY, stranger, 3, increment(), "part")
            )
        );
        assertCall(calls[2], other, preExecution(7, stranger, 3, increment()));
        assertCall(calls[3], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (7, "")));
    }

    function test_runtimeHooksRevert_isWrapped() public {
        install(0, selectors(EXECUTE), listOf(validationHook(11)));
        other.refuse(PRE_RUNTIME, "why");
        refusedTo(
            stranger,
            _runtimeCall(increment(), _authorize(false, hex"ff")),
            err(IAccountV08.PreRuntimeValidationHookReverted.selector, entity(address(other), 11), "why")
        );
    }

    function test_runtimeValidation_appliesAsForUserOperations() public {
        install(0, selectors(EXECUTE));
        refusedTo(
            stranger,
            _runtimeCall(batchCall(new Call[](0)), _authorize(false, hex"ff")),
            err(IAccountV08.ValidationFunctionMissing.selector, BATCH)
        );
        refusedTo(
            stranger,
            _runtimeCall(increment(), _authorize(true, hex"ff")),
            err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE)
        );
        refusedTo(
            stranger,
            _runtimeCall(executeCall(address(account), 0, ""), _authorize(false, hex"ff")),
            err(IAccountV08.SelfCallRecursionDepthExceeded.selector)
        );
    }

    function test_authorizationWithoutName_isRefusedWithoutData() public {
        refusedTo(stranger, _runtimeCall(increment(), hex"01000000"), "");
        refusedTo(stranger, _runtimeCall(increment(), ""), "");
    }

    function test_authorizationWithoutFinalSegment_isRefused() public {
        install(0, selectors(EXECUTE));
        refusedTo(
            stranger,
            _runtimeCall(increment(), _authorize(false, hex"00")),
            err(IAccountV08.ValidationSignatureSegmentMissing.selector)
        );
    }

    function test_moduleWithoutCode_validatesNothing() public {
        callAsOwner(installCall(validation(stranger, ENTITY, USER_OP), selectors(EXECUTE)));
        bytes memory authorization = abi.encodePacked(authorizationOf(entity(stranger, ENTITY), false), hex"ff");
        // There is no data, but forge adds some when it traces calls of addresses without code.
        (bool success,) = callFrom(stranger, _runtimeCall(increment(), authorization));
        assertFalse(success);
        PackedUserOperation memory op = buildUserOp(increment(), KEY);
        op.signature = abi.encodePacked(selectionPrefix(entity(stranger, ENTITY), false), hex"ff");
        assertEq(bytes4(refusal(op)), IEntryPointV07.FailedOpWithRevert.selector);
    }

    /// @dev A runtime call in the form of an operation calls `executeUserOp`, which is reserved for the EntryPoint.
    function test_executeUserOp_isNotReachedAtRuntime() public {
        install(0, selectors(EXECUTE));
        PackedUserOperation memory op = mockOp(increment());
        bytes memory data = abi.encodeCall(IAccountV07.executeUserOp, (op, 0));
        refusedToOwner(data, err(IAccountV08.ValidationFunctionMissing.selector, bytes4(data[4])));
        refusedTo(stranger, _runtimeCall(wrapped(increment()), _authorize(false, hex"ff")), "");
    }

    /* Directly */

    function test_strangers_mayNotCall() public {
        bytes memory reason = err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE);
        refusedTo(stranger, increment(), reason);
        refusedTo(address(mock), increment(), reason);
        refusedTo(
            stranger,
            installCall(validation(address(mock), ENTITY, USER_OP), none()),
            err(IAccountV08.ValidationFunctionMissing.selector, INSTALL)
        );
    }

    function _installDirect(uint8 flags, bytes4[] memory list, bytes[] memory hooks) private {
        callAsOwner(installCall(validation(address(mock), DIRECT_CALL, flags), list, "", hooks));
    }

    function test_directCallValidation_letsItsModuleCall() public {
        _installDirect(0, selectors(EXECUTE), new bytes[](0));
        (bool success, bytes memory answer) = callFrom(address(mock), increment());
        assertTrue(success);
        assertEq(abi.decode(abi.decode(answer, (bytes)), (uint256)), 1);
        refusedTo(address(mock), batchCall(new Call[](0)), err(IAccountV08.ValidationFunctionMissing.selector, BATCH));
        refusedTo(address(other), increment(), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
    }

    function test_globalDirectCallValidation_letsItsModuleCallEverything() public {
        _installDirect(GLOBAL, none(), new bytes[](0));
        (bool success,) = callFrom(address(mock), increment());
        assertTrue(success);
        (success,) = callFrom(address(mock), installCall(validation(address(other), 9, USER_OP), selectors(EXECUTE)));
        assertTrue(success);
        assertEq(account.getValidationData(entity(address(other), 9)).flags, USER_OP);
    }

    function test_directCall_doesNotReachTheAccountItself() public {
        _installDirect(GLOBAL, selectors(EXECUTE, BATCH), new bytes[](0));
        bytes memory reason = err(IAccountV08.SelfCallRecursionDepthExceeded.selector);
        refusedTo(address(mock), executeCall(address(account), 0, ""), reason);
        refusedTo(address(mock), selfCalls(listOf(increment())), reason);
    }

    function test_directCall_doesNotReachFunctionsThatItsValidationDoesNotApplyTo() public {
        _installDirect(0, selectors(EXECUTE, BATCH), new bytes[](0));
        refusedTo(
            address(mock),
            selfCalls(listOf(installCall(validation(address(mock), ENTITY, USER_OP), none()))),
            err(IAccountV08.ValidationFunctionMissing.selector, INSTALL)
        );
    }

    function test_directCall_asksTheHooksOfItsValidation() public {
        _installDirect(0, selectors(EXECUTE), listOf(validationHook(11), executionHook(7, BOTH)));
        vm.recordLogs();
        (bool success,) = callFrom(address(mock), increment());
        assertTrue(success);
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 3);
        assertCall(
            calls[0],
            other,
            abi.encodeCall(IValidationHookModule.preRuntimeValidationHook, (11, address(mock), 0, increment(), ""))
        );
        assertCall(calls[1], other, preExecution(7, address(mock), 0, increment()));
        assertCall(calls[2], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (7, "")));
        other.refuse(PRE_RUNTIME, "why");
        refusedTo(
            address(mock),
            increment(),
            err(IAccountV08.PreRuntimeValidationHookReverted.selector, entity(address(other), 11), "why")
        );
    }

    /* Functions of modules */

    function test_installedFunction_callsItsModuleAsTheAccount() public {
        callAsOwner(installExecutionCall(address(mock), fooManifest(false, true), ""));
        passes(ownerOp(abi.encodePacked(FOO, "data")));
        assertCall(moduleCalls()[0], mock, abi.encodePacked(FOO, "data"));
        mock.refuse(FOO, "why");
        refusedInExecution(ownerOp(abi.encodePacked(FOO)), "why");
    }

    function test_uninstalledFunction_isUnrecognized() public {
        refusedTo(stranger, abi.encodePacked(FOO), err(IAccountV08.UnrecognizedFunction.selector, FOO));
    }

    /// @dev For an operation that is already validated.
    function test_functionRemovedEarlierInTheBundle_isUnrecognized() public {
        ExecutionManifest memory manifest = fooManifest(false, true);
        callAsOwner(installExecutionCall(address(mock), manifest, ""));
        install(USER_OP, selectors(FOO));
        Outcome[] memory outcomes =
            sendBundle(ownerOp(uninstallExecutionCall(address(mock), manifest, "")), mockOp(abi.encodePacked(FOO)));
        assertTrue(outcomes[0].success);
        assertFalse(outcomes[1].success);
        assertEq(outcomes[1].reason, err(IAccountV08.UnrecognizedFunction.selector, FOO));
    }

    function test_functionThatSkipsRuntimeValidation_isOpenToAll() public {
        callAsOwner(installExecutionCall(address(mock), fooManifest(true, false), ""));
        (bool success,) = callFrom(stranger, abi.encodePacked(FOO));
        assertTrue(success);
        bytes4[] memory list = new bytes4[](0);
        install(USER_OP | GLOBAL, list);
        refusedInValidation(
            mockOp(abi.encodePacked(FOO), AS_GLOBAL), err(IAccountV08.ValidationFunctionMissing.selector, FOO)
        );
    }

    function test_functionWithRuntimeValidation_isClosedToStrangers() public {
        callAsOwner(installExecutionCall(address(mock), fooManifest(false, true), ""));
        refusedTo(stranger, abi.encodePacked(FOO), err(IAccountV08.ValidationFunctionMissing.selector, FOO));
    }

    /// @dev Also for native functions, whoever calls; with `executeUserOp`, the caller is the account itself.
    function test_hooksOfAFunction_runForEveryCaller() public {
        ExecutionManifest memory manifest;
        manifest.executionHooks = new ManifestHook[](1);
        manifest.executionHooks[0] = ManifestHook(EXECUTE, 8, true, true);
        callAsOwner(installExecutionCall(address(other), manifest, ""));
        passes(ownerOp(increment()));
        ModuleCall[] memory calls = moduleCalls();
        assertEq(calls.length, 2);
        assertCall(calls[0], other, preExecution(8, address(ENTRY_POINT), 0, increment()));
        assertCall(calls[1], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (8, "")));
        passes(ownerOp(wrapped(increment())));
        assertCall(moduleCalls()[0], other, preExecution(8, address(account), 0, increment()));
        other.refuse(PRE_EXECUTION, "why");
        refusedInExecution(
            ownerOp(increment()), err(IAccountV08.PreExecHookReverted.selector, entity(address(other), 8), "why")
        );
    }

    function test_directCall_asksItsValidationsHooksBeforeTheFunctions() public {
        ExecutionManifest memory manifest;
        manifest.executionHooks = new ManifestHook[](1);
        manifest.executionHooks[0] = ManifestHook(EXECUTE, 8, true, true);
        callAsOwner(installExecutionCall(address(other), manifest, ""));
        _installDirect(0, selectors(EXECUTE), listOf(executionHook(7, BOTH)));
        vm.recordLogs();
        (bool success,) = callFrom(address(mock), increment());
        assertTrue(success);
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 4);
        assertCall(calls[0], other, preExecution(7, address(mock), 0, increment()));
        assertCall(calls[1], other, preExecution(8, address(mock), 0, increment()));
        assertCall(calls[2], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (8, "")));
        assertCall(calls[3], other, abi.encodeCall(IExecutionHookModule.postExecutionHook, (7, "")));
    }

    function test_execute_returnsDataExceptToTheEntryPoint() public {
        vm.prank(address(account));
        assertEq(abi.decode(account.execute(address(counter), 0, abi.encodeCall(Counter.increment, ())), (uint256)), 1);
        vm.prank(address(ENTRY_POINT));
        assertEq(account.execute(address(counter), 0, abi.encodeCall(Counter.increment, ())).length, 0);
        Call[] memory calls = new Call[](1);
        calls[0] = Call(address(counter), 0, abi.encodeCall(Counter.increment, ()));
        vm.prank(address(account));
        assertEq(account.executeBatch(calls).length, 1);
        vm.prank(address(ENTRY_POINT));
        assertEq(account.executeBatch(calls).length, 0);
    }

    function test_performCreate_createsOrFails() public {
        bytes memory callData = abi.encodeCall(IAccountV08.performCreate, (0, type(Counter).creationCode, true, 0));
        address created = vm.computeCreate2Address(0, keccak256(type(Counter).creationCode), address(account));
        passes(ownerOp(callData));
        assertGt(created.code.length, 0);
        refusedInExecution(ownerOp(callData), err(IAccountV08.CreateFailed.selector));
        passes(ownerOp(abi.encodeCall(IAccountV08.performCreate, (0, type(Counter).creationCode, false, 0))));
    }

    /* Views */

    function test_getExecutionData_ofNativeAndUnknownFunctions() public view {
        ExecutionData memory data = account.getExecutionData(EXECUTE);
        assertEq(data.module, address(account));
        assertFalse(data.skipRuntimeValidation);
        assertTrue(data.allowGlobalValidation);
        data = account.getExecutionData(IAccountV08.isValidSignature.selector);
        assertEq(data.module, address(account));
        assertTrue(data.skipRuntimeValidation);
        assertFalse(data.allowGlobalValidation);
        data = account.getExecutionData(FOO);
        assertEq(data.module, address(0));
        assertFalse(data.skipRuntimeValidation || data.allowGlobalValidation);
    }

    function test_accountsInterface_isNotReported() public view {
        assertTrue(account.supportsInterface(0x01ffc9a7));
        assertTrue(account.supportsInterface(0x150b7a02));
        assertTrue(account.supportsInterface(0x4e2312e0));
        assertFalse(account.supportsInterface(0xd2d1a782));
        assertFalse(account.supportsInterface(0xa667dd7d));
        assertFalse(account.supportsInterface(0xffffffff));
        assertEq(account.entryPoint(), address(ENTRY_POINT));
    }
}

contract ExecutionOfSemiModularAccountTest is ExecutionTest {}

contract ExecutionOfModularAccountTest is ExecutionTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.MODULAR;
    }

    /// @dev Owners by module cannot call directly.
    function test_owner_mayNotCallDirectly() public {
        refusedTo(owner.addr, increment(), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
    }
}

contract ExecutionOfSignatureAccountTest is ExecutionTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.SIGNATURE;
    }
}
