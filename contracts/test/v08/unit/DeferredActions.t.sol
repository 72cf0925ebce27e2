// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccountV08, INonceAccount} from "../../../src/interfaces/IAccountV08.sol";
import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {Counter} from "../../mocks/Counter.sol";
import {listOf} from "../../utils/ListLiterals.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice Self-calls signed in advance by another validation, which run before the validation of one operation.
abstract contract DeferredActionsTest is AccountRulesTest {
    uint48 private constant DEADLINE = 1_700_000_100;

    function _install() private view returns (bytes memory) {
        return installCall(validation(address(mock), ENTITY, USER_OP), selectors(EXECUTE));
    }

    /// @dev An operation of validation `ENTITY`, with the owner's `action` before it.
    function _op(bytes memory action, uint48 deadline) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(increment(), KEY | HAS_DEFERRED_ACTION);
        op.signature = abi.encodePacked(deferred(op.nonce, deadline, action), hex"ff");
    }

    function test_action_installsTheValidationOfItsOperation() public {
        passes(_op(_install(), 0));
        assertEq(counter.count(), 1);
        passes(mockOp(increment()));
    }

    function test_action_mayBeABatchOfSelfCalls() public {
        bytes memory second = installCall(validation(address(other), 9, GLOBAL), none());
        passes(_op(selfCalls(listOf(_install(), second)), DEADLINE));
        assertEq(account.getValidationData(entity(address(other), 9)).flags, GLOBAL);
    }

    function test_deadline_isTheEndOfTheOperation() public {
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        assertEq(validate(op), packValidationData(0, DEADLINE, 0));
        vm.warp(DEADLINE + 1);
        op = _op(installCall(validation(address(mock), ENTITY, USER_OP), none()), DEADLINE);
        refusedByEntryPoint(op, "AA22 expired or not due");
        vm.warp(DEADLINE);
        passes(op);
    }

    function test_withoutDeadline_theModulesAnswerIsPassedOn() public {
        assertEq(validate(_op(_install(), 0)), 0);
    }

    function test_deadline_isNarrowedByTheModule() public {
        mock.answer(VALIDATE, abi.encode(packValidationData(0, DEADLINE - 1, 3)));
        assertEq(validate(_op(_install(), DEADLINE)), packValidationData(0, DEADLINE - 1, 3));
    }

    function test_action_isForOneNonce() public {
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        passes(op);
        bytes memory signature = op.signature;
        bytes memory reason = err(INonceAccount.DeferredActionSignatureInvalid.selector);
        // The next nonce of the same lane.
        op.nonce += 1;
        refusedInValidation(op, reason);
        // Another lane, and another entity id.
        op = buildUserOp(increment(), nonceKey(1, ENTITY, HAS_DEFERRED_ACTION));
        op.signature = signature;
        refusedInValidation(op, reason);
        op = buildUserOp(increment(), nonceKey(0, ENTITY + 1, HAS_DEFERRED_ACTION));
        op.signature = signature;
        refusedInValidation(op, reason);
    }

    /// @dev An action that could run twice does not: the nonce is used.
    function test_sentTwice_isRefusedByItsNonce() public {
        callAsOwner(_install());
        PackedUserOperation memory op = _op(installCall(validation(address(mock), ENTITY, USER_OP), none()), DEADLINE);
        passes(op);
        refusedByEntryPoint(op, "AA25 invalid account nonce");
    }

    function _alreadySet() private view returns (bytes memory) {
        return abi.encodeWithSelector(IAccountV08.ValidationAlreadySet.selector, EXECUTE, mockEntity());
    }

    /// @dev How an account revokes an action: by using up its nonce.
    function test_usedNonce_revokesTheAction() public {
        PackedUserOperation memory op = _op(installCall(validation(address(mock), ENTITY, USER_OP), none()), DEADLINE);
        callAsOwner(
            executeCall(address(ENTRY_POINT), 0, abi.encodeCall(ENTRY_POINT.incrementNonce, (uint192(op.nonce >> 64))))
        );
        callAsOwner(_install());
        refusedByEntryPoint(op, "AA25 invalid account nonce");
    }

    function test_action_isNotBoundToCallData() public {
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        op.callData = executeCall(stranger, 7, "");
        passes(op);
        assertEq(stranger.balance, 7);
    }

    function test_deadlineAndAction_areSigned() public {
        bytes memory reason = err(INonceAccount.DeferredActionSignatureInvalid.selector);
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        // The last byte of the deadline: length (4), locator (21), deadline (6).
        op.signature[30] = bytes1(uint8(op.signature[30]) + 1);
        refusedInValidation(op, reason);
        op = _op(_install(), DEADLINE);
        // In the arguments: the entity id.
        op.signature[31 + 4 + 20 + 3] = 0x06;
        refusedInValidation(op, reason);
    }

    /// @dev Its effects remain if the operation's call fails.
    function test_action_staysIfTheOperationFails() public {
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        op.callData = executeCall(address(counter), 0, abi.encodeCall(Counter.refuse, (1)));
        refusedInExecution(op, abi.encodeWithSelector(Counter.Refused.selector, 1));
        assertEq(account.getValidationData(mockEntity()).flags, USER_OP);
    }

    function test_action_isRevertedIfValidationFails() public {
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        op.signature[op.signature.length - 1] = 0x00;
        refusedInValidation(op, err(IAccountV08.ValidationSignatureSegmentMissing.selector));
        assertEq(account.getValidationData(mockEntity()).flags, 0);
    }

    function test_failedAction_revertsWithItsReason() public {
        callAsOwner(_install());
        refusedInValidation(_op(_install(), DEADLINE), _alreadySet());
    }

    function test_action_obeysTheRulesOfCalls() public {
        refusedInValidation(
            _op(executeCall(address(account), 0, ""), DEADLINE),
            err(IAccountV08.SelfCallRecursionDepthExceeded.selector)
        );
        refusedInValidation(
            _op(abi.encodePacked(FOO), DEADLINE), err(IAccountV08.ValidationFunctionMissing.selector, FOO)
        );
    }

    /// @dev The signing validation may make the call, may sign for the account, and has no validation hooks.
    function _opSignedByMock(uint8 options, bytes memory action) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(increment(), KEY | HAS_DEFERRED_ACTION);
        uint168 locator = uint168(9) << 8 | options;
        op.signature = abi.encodePacked(encodeDeferred(locator, DEADLINE, action, "signature"), hex"ff");
    }

    function test_validationThatSigns_authorizesWhatItAppliesTo() public {
        callAsOwner(installCall(validation(address(other), 9, SIGNATURE), selectors(INSTALL)));
        bytes memory reason = err(INonceAccount.DeferredActionSignatureInvalid.selector);
        refusedInValidation(_opSignedByMock(0, _install()), reason);
        other.answer(0xe7db7f7e, abi.encode(bytes4(0x1626ba7e)));
        refusedInValidation(
            _opSignedByMock(AS_GLOBAL, _install()), err(IAccountV08.ValidationFunctionMissing.selector, INSTALL)
        );
        refusedInValidation(
            _opSignedByMock(0, increment()), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE)
        );
        passes(_opSignedByMock(0, _install()));
    }

    function test_validationThatDoesNotSign_authorizesNothing() public {
        callAsOwner(installCall(validation(address(other), 9, USER_OP), selectors(INSTALL)));
        other.answer(0xe7db7f7e, abi.encode(bytes4(0x1626ba7e)));
        refusedInValidation(
            _opSignedByMock(0, _install()),
            errOf(IAccountV08.SignatureValidationInvalid.selector, entity(address(other), 9))
        );
    }

    function test_validationWithHooks_authorizesNothing() public {
        callAsOwner(
            installCall(validation(address(other), 9, SIGNATURE), selectors(INSTALL), "", listOf(validationHook(1)))
        );
        other.answer(0xe7db7f7e, abi.encode(bytes4(0x1626ba7e)));
        refusedInValidation(
            _opSignedByMock(0, _install()), err(INonceAccount.DeferredValidationHasValidationHooks.selector)
        );
    }

    function test_executionHooksOfTheSigningValidation_runAroundTheAction() public {
        bytes[] memory hooks = listOf(executionHook(1, PRE_HOOK | POST_HOOK));
        callAsOwner(installCall(validation(address(other), 9, SIGNATURE), selectors(INSTALL), "", hooks));
        other.answer(0xe7db7f7e, abi.encode(bytes4(0x1626ba7e)));
        passes(_opSignedByMock(0, _install()));
        ModuleCall[] memory calls = moduleCalls();
        assertEq(calls.length, 3);
        assertCall(calls[0], other, preExecution(1, address(ENTRY_POINT), 0, _install()));
        assertEq(calls[1].selector, POST_EXECUTION);
        assertCall(calls[2], mock, calls[2].data);
    }

    function test_truncatedAction_isRefusedWithoutData() public {
        PackedUserOperation memory op = _op(_install(), DEADLINE);
        bytes memory whole = op.signature;
        uint16[4] memory lengths = [0, 3, 100, uint16(whole.length - 30)];
        for (uint256 i = 0; i < lengths.length; ++i) {
            bytes memory part = bytes.concat(whole);
            uint256 length = lengths[i];
            assembly ("memory-safe") {
                mstore(part, length)
            }
            op.signature = part;
            refusedInValidation(op, "");
        }
    }
}

contract DeferredActionsOnSemiModularAccountTest is DeferredActionsTest {}

contract DeferredActionsOnModularAccountTest is DeferredActionsTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.MODULAR;
    }
}

contract DeferredActionsOnDelegatedAccountTest is DeferredActionsTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.DELEGATED;
    }
}
