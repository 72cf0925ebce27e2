// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IValidationModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {IAccountV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IValidationHookModule} from "../interfaces/IHookModules.sol";
import {Counter} from "../../mocks/Counter.sol";
import {listOf} from "../../utils/ListLiterals.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice Validation of user operations: which validation applies, to which calls, and with which parts of the
/// signature.
abstract contract UserOperationsTest is AccountRulesTest {
    /* Functions */

    function test_validation_appliesToItsSelectors() public {
        install(USER_OP, selectors(EXECUTE));
        passes(mockOp(increment()));
        assertEq(counter.count(), 1);
        refusedInValidation(
            mockOp(batchCall(new Call[](0))), err(IAccountV08.ValidationFunctionMissing.selector, BATCH)
        );
    }

    function test_unknownValidation_appliesToNothing() public {
        refusedInValidation(mockOp(increment()), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
        refusedInValidation(
            mockOp(increment(), AS_GLOBAL), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE)
        );
    }

    function test_removedValidation_appliesToNothing() public {
        install(USER_OP, selectors(EXECUTE));
        callAsOwner(uninstallCall(mockEntity(), ""));
        refusedInValidation(mockOp(increment()), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
    }

    function test_globalValidation_appliesGloballyOrByItsSelectors() public {
        install(USER_OP | GLOBAL, selectors(EXECUTE));
        passes(mockOp(increment(), AS_GLOBAL));
        passes(mockOp(increment()));
        passes(mockOp(batchCall(new Call[](0)), AS_GLOBAL));
        refusedInValidation(
            mockOp(batchCall(new Call[](0))), err(IAccountV08.ValidationFunctionMissing.selector, BATCH)
        );
    }

    function test_nonGlobalValidation_doesNotApplyGlobally() public {
        install(USER_OP, selectors(EXECUTE));
        refusedInValidation(
            mockOp(increment(), AS_GLOBAL), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE)
        );
    }

    function test_globalValidation_doesNotApplyToUninstalledFunctions() public {
        install(USER_OP | GLOBAL, none());
        bytes memory reason = err(IAccountV08.ValidationFunctionMissing.selector, FOO);
        refusedInValidation(mockOp(abi.encodePacked(FOO), AS_GLOBAL), reason);
        reason = err(IAccountV08.ValidationFunctionMissing.selector, IAccountV08.isValidSignature.selector);
        refusedInValidation(mockOp(abi.encodePacked(IAccountV08.isValidSignature.selector), AS_GLOBAL), reason);
    }

    function test_callDataWithoutSelector_isRefused() public {
        install(USER_OP | GLOBAL, none());
        refusedInValidation(mockOp(hex"b61d27"), err(IAccountV08.UnrecognizedFunction.selector, bytes4(0xb61d2700)));
        refusedInValidation(mockOp(""), err(IAccountV08.UnrecognizedFunction.selector, bytes4(0)));
        refusedInValidation(mockOp(wrapped(hex"b61d27")), "");
    }

    function test_wrappedSelector_isChecked() public {
        install(USER_OP, selectors(EXECUTE));
        passes(mockOp(wrapped(increment())));
        refusedInValidation(
            mockOp(wrapped(batchCall(new Call[](0)))), err(IAccountV08.ValidationFunctionMissing.selector, BATCH)
        );
    }

    /// @dev A global validation applies to `executeUserOp` itself, which then only the EntryPoint may call.
    function test_wrappedTwice_failsInExecution() public {
        install(USER_OP | GLOBAL, none());
        refusedInExecution(mockOp(wrapped(wrapped(increment())), AS_GLOBAL), "");
        // With decodable arguments, the reason shows.
        bytes memory inner = abi.encodeCall(IAccountV07.executeUserOp, (ownerOp(increment()), 0));
        refusedInExecution(mockOp(wrapped(inner), AS_GLOBAL), err(IAccountV08.NotEntryPoint.selector));
    }

    function test_validation_needsTheUserOperationFlag() public {
        install(SIGNATURE | GLOBAL, selectors(EXECUTE));
        refusedInValidation(mockOp(increment()), errOf(IAccountV08.UserOpValidationInvalid.selector, mockEntity()));
    }

    function test_onlyTheEntryPoint_validatesAndExecutes() public {
        PackedUserOperation memory op = ownerOp(increment());
        bytes memory reason = err(IAccountV08.NotEntryPoint.selector);
        refusedTo(stranger, abi.encodeCall(IAccountV07.validateUserOp, (op, 0, 0)), reason);
        refusedTo(stranger, abi.encodeCall(IAccountV07.executeUserOp, (op, 0)), reason);
        refusedTo(owner.addr, abi.encodeCall(IAccountV07.executeUserOp, (op, 0)), reason);
    }

    /* The account's calls of itself */

    function test_execute_doesNotReachTheAccount() public {
        install(USER_OP | GLOBAL, selectors(EXECUTE));
        bytes memory reason = err(IAccountV08.SelfCallRecursionDepthExceeded.selector);
        refusedInValidation(mockOp(executeCall(address(account), 0, "")), reason);
        refusedInValidation(mockOp(wrapped(executeCall(address(account), 0, ""))), reason);
        // Nor with dirty upper bits.
        bytes memory callData = executeCall(address(account), 0, "");
        callData[4] = 0xff;
        refusedInValidation(mockOp(callData), reason);
    }

    function test_batch_reachesFunctionsOfTheAccountThatTheValidationAppliesTo() public {
        install(USER_OP | GLOBAL, selectors(BATCH, INSTALL));
        bytes memory installing = installCall(validation(address(other), 9, USER_OP), selectors(EXECUTE));
        passes(mockOp(selfCalls(listOf(installing))));
        assertEq(account.getValidationData(entity(address(other), 9)).flags, USER_OP);
        bytes memory uninstalling = uninstallCall(entity(address(other), 9), "");
        refusedInValidation(
            mockOp(selfCalls(listOf(installing, uninstalling))),
            err(IAccountV08.ValidationFunctionMissing.selector, IAccountV08.uninstallValidation.selector)
        );
        passes(mockOp(selfCalls(listOf(uninstalling)), AS_GLOBAL));
        assertEq(account.getValidationData(entity(address(other), 9)).flags, 0);
    }

    function test_batch_doesNotReachExecuteOfTheAccount() public {
        install(USER_OP | GLOBAL, selectors(EXECUTE, BATCH));
        bytes memory reason = err(IAccountV08.SelfCallRecursionDepthExceeded.selector);
        refusedInValidation(mockOp(selfCalls(listOf(increment()))), reason);
        refusedInValidation(mockOp(selfCalls(listOf(batchCall(new Call[](0)))), AS_GLOBAL), reason);
    }

    function test_batch_withACallOfTheAccountWithoutSelector_isRefusedWithoutData() public {
        install(USER_OP | GLOBAL, selectors(BATCH));
        refusedInValidation(mockOp(selfCalls(listOf(hex"b61d27"))), "");
        refusedInValidation(mockOp(selfCalls(listOf(""))), "");
    }

    /// @dev Functions installed earlier in its batch do not exist yet when an operation's calls are checked.
    function test_batch_mayNotCallWhatItInstalls() public {
        bytes memory installing = installExecutionCall(address(mock), fooManifest(false, true), "");
        refusedInValidation(
            ownerOp(selfCalls(listOf(installing, abi.encodePacked(FOO)))),
            err(IAccountV08.ValidationFunctionMissing.selector, FOO)
        );
        passes(ownerOp(selfCalls(listOf(installing))));
        passes(ownerOp(selfCalls(listOf(abi.encodePacked(FOO)))));
    }

    function test_emptyBatch_passes() public {
        install(USER_OP, selectors(BATCH));
        passes(mockOp(batchCall(new Call[](0))));
    }

    /// @dev Accounts may call modules and the EntryPoint.
    function test_execute_reachesModulesAndTheEntryPoint() public {
        install(USER_OP, selectors(EXECUTE));
        passes(mockOp(executeCall(address(mock), 0, abi.encodePacked(FOO))));
        assertEq(moduleCalls()[1].selector, FOO);
        passes(mockOp(executeCall(address(ENTRY_POINT), 0, abi.encodeWithSignature("balanceOf(address)", payee()))));
    }

    function payee() private returns (address) {
        return makeAddr("payee");
    }

    /* Context */

    function test_executionHooks_needExecuteUserOp() public {
        install(USER_OP, selectors(EXECUTE), listOf(executionHook(7, PRE_HOOK)));
        refusedInValidation(mockOp(increment()), err(IAccountV08.RequireUserOperationContext.selector));
        passes(mockOp(wrapped(increment())));
        assertEq(counter.count(), 1);
    }

    /* The module's arguments and return value */

    function test_module_receivesTheOperationWithItsPartOfTheSignature() public {
        install(USER_OP, selectors(EXECUTE));
        PackedUserOperation memory op = mockOp(increment());
        op.signature = abi.encodePacked(op.signature, "its part");
        bytes32 hash = ENTRY_POINT.getUserOpHash(op);
        passes(op);
        op.signature = "its part";
        assertCall(moduleCalls()[0], mock, abi.encodeCall(IValidationModule.validateUserOp, (ENTITY, op, hash)));
    }

    function test_module_receivesAnEmptySignature() public {
        install(USER_OP, selectors(EXECUTE));
        PackedUserOperation memory op = mockOp(increment());
        passes(op);
        bytes32 hash = ENTRY_POINT.getUserOpHash(op);
        op.signature = "";
        assertCall(moduleCalls()[0], mock, abi.encodeCall(IValidationModule.validateUserOp, (ENTITY, op, hash)));
    }

    function test_modulesAnswer_isPassedOn() public {
        install(USER_OP, selectors(EXECUTE));
        mock.answer(VALIDATE, abi.encode(packValidationData(0, 1_700_000_000, 1_699_999_999)));
        assertEq(validate(mockOp(increment())), packValidationData(0, 1_700_000_000, 1_699_999_999));
        mock.answer(VALIDATE, abi.encode(1));
        refusedByEntryPoint(mockOp(increment()), "AA24 signature error");
        mock.answer(VALIDATE, abi.encode(packValidationData(0, 1_699_999_999, 0)));
        refusedByEntryPoint(mockOp(increment()), "AA22 expired or not due");
        // An aggregator.
        mock.answer(VALIDATE, abi.encode(0xa99));
        refusedByEntryPoint(mockOp(increment()), "AA24 signature error");
    }

    function test_modulesRevert_isWrapped() public {
        install(USER_OP, selectors(EXECUTE));
        mock.refuse(VALIDATE, "why");
        refusedInValidation(
            mockOp(increment()), err(IAccountV08.UserOpValidationFunctionReverted.selector, mockEntity(), "why")
        );
    }

    function test_modulesShortAnswer_isRefused() public {
        install(USER_OP, selectors(EXECUTE));
        mock.answer(VALIDATE, new bytes(31));
        refusedInValidation(mockOp(increment()), "");
    }

    /* Validation hooks */

    function _installHooks() private {
        bytes[] memory hooks = new bytes[](2);
        (hooks[0], hooks[1]) = (validationHook(11), validationHook(12));
        install(USER_OP, selectors(EXECUTE), hooks);
    }

    function _withSegments(bytes memory segments) private view returns (PackedUserOperation memory op) {
        op = mockOp(increment());
        op.signature = abi.encodePacked(selectionPrefix(mockEntity(), false), segments);
    }

    function test_hooks_receiveTheirSegmentsInOrder() public {
        _installHooks();
        PackedUserOperation memory op =
            _withSegments(abi.encodePacked(hex"00", uint32(3), "one", hex"01", uint32(5), "three", hex"ff", "part"));
        bytes32 hash = ENTRY_POINT.getUserOpHash(op);
        passes(op);
        ModuleCall[] memory calls = moduleCalls();
        assertEq(calls.length, 3);
        op.signature = "one";
        assertCall(calls[0], other, abi.encodeCall(IValidationHookModule.preUserOpValidationHook, (11, op, hash)));
        op.signature = "three";
        assertCall(calls[1], other, abi.encodeCall(IValidationHookModule.preUserOpValidationHook, (12, op, hash)));
        op.signature = "part";
        assertCall(calls[2], mock, abi.encodeCall(IValidationModule.validateUserOp, (ENTITY, op, hash)));
    }

    function test_hookWithoutSegment_receivesNoData() public {
        _installHooks();
        PackedUserOperation memory op = _withSegments(abi.encodePacked(hex"01", uint32(3), "two", hex"ff"));
        bytes32 hash = ENTRY_POINT.getUserOpHash(op);
        passes(op);
        op.signature = "";
        assertCall(
            moduleCalls()[0], other, abi.encodeCall(IValidationHookModule.preUserOpValidationHook, (11, op, hash))
        );
        op.signature = "two";
        assertCall(
            moduleCalls()[1], other, abi.encodeCall(IValidationHookModule.preUserOpValidationHook, (12, op, hash))
        );
    }

    function test_segmentOfLengthZero_isRefused() public {
        _installHooks();
        refusedInValidation(
            _withSegments(abi.encodePacked(hex"00", uint32(0), hex"ff")), err(IAccountV08.NonCanonicalEncoding.selector)
        );
    }

    function test_segmentOfNoHook_isRefused() public {
        _installHooks();
        bytes memory reason = err(IAccountV08.ValidationSignatureSegmentMissing.selector);
        refusedInValidation(_withSegments(abi.encodePacked(hex"02", uint32(1), "a", hex"ff")), reason);
        // A second segment for the last hook.
        refusedInValidation(
            _withSegments(abi.encodePacked(hex"01", uint32(1), "a", hex"01", uint32(1), "b", hex"ff")), reason
        );
        // A segment out of order is left over.
        refusedInValidation(
            _withSegments(abi.encodePacked(hex"01", uint32(1), "a", hex"00", uint32(1), "b", hex"ff")), reason
        );
    }

    function test_secondSegmentOfAnEarlierHook_isRefused() public {
        _installHooks();
        refusedInValidation(
            _withSegments(abi.encodePacked(hex"00", uint32(1), "a", hex"00", uint32(1), "b", hex"ff")),
            err(IAccountV08.SegmentOutOfOrder.selector)
        );
    }

    function test_segmentWithoutHooks_isRefused() public {
        install(USER_OP, selectors(EXECUTE));
        refusedInValidation(
            _withSegments(abi.encodePacked(hex"00", uint32(1), "a", hex"ff")),
            err(IAccountV08.ValidationSignatureSegmentMissing.selector)
        );
    }

    function test_emptySignature_isRefusedByPanic() public {
        install(USER_OP, selectors(EXECUTE));
        refusedInValidation(_withSegments(""), abi.encodeWithSignature("Panic(uint256)", 0x32));
    }

    function test_hooksAnswers_narrowTheTime() public {
        _installHooks();
        other.answer(PRE_USER_OP, abi.encode(packValidationData(0, 0, 20)));
        assertEq(validate(mockOp(increment())), packValidationData(0, type(uint48).max, 20));
        mock.answer(VALIDATE, abi.encode(packValidationData(0, 50, 30)));
        assertEq(validate(mockOp(increment())), packValidationData(0, 50, 30));
        other.answer(PRE_USER_OP, abi.encode(packValidationData(0, 40, 35)));
        assertEq(validate(mockOp(increment())), packValidationData(0, 40, 35));
    }

    function test_hooksFailure_isASignatureFailure() public {
        _installHooks();
        other.answer(PRE_USER_OP, abi.encode(1));
        assertEq(uint160(validate(mockOp(increment()))), 1);
        refusedByEntryPoint(mockOp(increment()), "AA24 signature error");
    }

    /// @dev Hooks run first, whatever the signature.
    function test_wrongSignature_doesNotKeepHooksFromRunning() public {
        _installHooks();
        mock.answer(VALIDATE, abi.encode(1));
        vm.recordLogs();
        assertEq(uint160(validate(mockOp(increment()))), 1);
        assertEq(recordedModuleCalls().length, 3);
    }

    function test_hooksAggregator_isRefused() public {
        _installHooks();
        other.answer(PRE_USER_OP, abi.encode(0xa99));
        refusedInValidation(
            mockOp(increment()),
            abi.encodeWithSelector(
                IAccountV08.UnexpectedAggregator.selector, entity(address(other), 11), address(0xa99)
            )
        );
    }

    function test_hooksRevert_isWrapped() public {
        _installHooks();
        other.refuse(PRE_USER_OP, "why");
        refusedInValidation(
            mockOp(increment()),
            err(IAccountV08.PreUserOpValidationHookReverted.selector, entity(address(other), 11), "why")
        );
    }

    /// @dev The account pays the missing deposit itself.
    function test_account_paysWhatItsDepositLacks() public {
        vm.prank(address(account));
        ENTRY_POINT.withdrawTo(beneficiary, 10 ether);
        passes(ownerOp(increment()));
        assertGt(ENTRY_POINT.balanceOf(address(account)), 0);
    }
}

contract UserOperationsOfSemiModularAccountTest is UserOperationsTest {}

contract UserOperationsOfModularAccountTest is UserOperationsTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.MODULAR;
    }
}

contract UserOperationsOfDelegatedAccountTest is UserOperationsTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.DELEGATED;
    }
}

contract UserOperationsOfSignatureAccountTest is UserOperationsTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.SIGNATURE;
    }
}

/// @notice Behaviour only of accounts that select the validation in the nonce.
contract NonceTest is AccountRulesTest {
    function test_directCallValidation_validatesUserOperations() public {
        callAsOwner(installCall(validation(address(mock), DIRECT_CALL, USER_OP), selectors(EXECUTE)));
        PackedUserOperation memory op = buildUserOp(increment(), directNonceKey(0x010203, address(mock), 0));
        op.signature = hex"ff";
        passes(op);
        op = buildUserOp(increment(), directNonceKey(0x010203, address(other), 0));
        op.signature = hex"ff";
        refusedInValidation(op, err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
    }

    function test_otherOptions_areIgnored() public {
        install(USER_OP, selectors(EXECUTE));
        passes(mockOp(increment(), 0xf8));
    }

    function test_lanes_haveSeparateSequences() public {
        install(USER_OP, selectors(EXECUTE));
        PackedUserOperation memory op = buildUserOp(increment(), nonceKey(7, ENTITY, 0));
        op.signature = hex"ff";
        passes(op);
        passes(mockOp(increment()));
        op.nonce += 1;
        passes(op);
        assertEq(uint64(op.nonce), 1);
    }

    /// @dev The module in a name does not matter: an entity id has one validation.
    function test_entityId_aloneIdentifiesTheValidation() public {
        install(USER_OP, selectors(EXECUTE));
        assertEq(account.getValidationData(entity(address(0), ENTITY)).flags, USER_OP);
        assertEq(account.getValidationData(entity(address(other), ENTITY)).selectors[0], EXECUTE);
    }

    /// @dev Bits 0 to 159 hold the module, 160 to 167 the flags.
    function test_storedWord_containsTheModule() public {
        uint256 base = 0x596912a710dec01bac203cb0ed2c7e56a2ce6b2a68276967fff6dd57561bdd02;
        install(0x9f, selectors(EXECUTE));
        bytes32 word = vm.load(address(account), keccak256(abi.encode(uint256(ENTITY) << 8, base)));
        assertEq(uint256(word), uint256(0x9f) << 160 | uint160(address(mock)));

        callAsOwner(installCall(validation(address(other), DIRECT_CALL, 0), selectors(EXECUTE)));
        uint256 key = uint256(uint160(address(other))) << 8 | 4;
        assertEq(uint256(vm.load(address(account), keccak256(abi.encode(key, base)))), uint160(address(other)));
    }
}
