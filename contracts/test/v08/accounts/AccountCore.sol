// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {ExecutionData, IAccountV08, ValidationData} from "../../../src/interfaces/IAccountV08.sol";
import {IValidationModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {IAccountV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";

/// @notice An account's storage, selection and scope of validations, and calls to modules.
///
/// These accounts behave like deployed ERC-6900 v0.8 accounts, quirks included. They are for tests: small rather than
/// gas-efficient.
abstract contract AccountCore is IAccountV08 {
    /* Storage */

    /// @dev The first word holds the module (bits 0 to 159) and the flags (bits 160 to 167).
    struct Validation {
        address module;
        uint8 flags;
        bytes25[] validationHooks;
        bytes25[] executionHooks;
        bytes4[] selectors;
    }

    struct Layout {
        bool isInitialized;
        mapping(bytes4 selector => ExecutionData) executions;
        mapping(uint256 key => Validation) validations;
        mapping(bytes4 interfaceId => uint256 count) interfaces;
    }

    bytes32 private constant LAYOUT = 0x596912a710dec01bac203cb0ed2c7e56a2ce6b2a68276967fff6dd57561bdd00;

    function _layout() internal pure returns (Layout storage layout) {
        assembly ("memory-safe") {
            layout.slot := LAYOUT
        }
    }

    /* Constants */

    address internal constant ENTRY_POINT = 0x0000000071727De22E5E9d8BAf0edAc6f37da032;
    uint32 internal constant DIRECT_CALL = type(uint32).max;

    /// @dev Validation flags.
    uint8 internal constant USER_OP = 1;
    uint8 internal constant SIGNATURE = 2;
    uint8 internal constant GLOBAL = 4;

    /// @dev Hook flags; the last two apply to execution hooks.
    uint8 internal constant VALIDATION_HOOK = 1;
    uint8 internal constant POST_HOOK = 2;
    uint8 internal constant PRE_HOOK = 4;

    uint8 internal constant FINAL_SEGMENT = 255;
    uint256 internal constant MAX_HOOKS = 255;

    /* Selection of a validation */

    /// @notice Which functions the validation must apply to.
    enum Applies {
        TO_ITS_SELECTORS,
        TO_ALL,
        TO_EITHER
    }

    /// @notice The validation that a call must pass.
    struct Selection {
        uint256 key;
        uint32 entityId;
        Applies applies;
    }

    /// @dev Returns the storage key of a module entity's validation.
    function _keyOf(bytes24 moduleEntity) internal pure virtual returns (uint256);

    /// @dev Returns the validation selected by a user operation, and the rest of its signature. Runs a deferred action.
    /// The deadline is that of the deferred action; zero without one.
    function _selectForUserOp(PackedUserOperation calldata userOp)
        internal
        virtual
        returns (Selection memory by, bytes calldata signature, uint48 deadline);

    /// @dev Returns the validation selected by a user operation, during execution.
    function _selectForExecution(PackedUserOperation calldata userOp) internal view virtual returns (Selection memory);

    /// @dev Returns the validation selected by a signature or an authorization, and the rest of it.
    function _selectIn(bytes calldata signature, bool isRuntime)
        internal
        view
        virtual
        returns (Selection memory by, bytes calldata rest);

    /// @dev Returns the validation of a direct caller.
    function _selectForCaller(address caller) internal view virtual returns (Selection memory) {
        return Selection(_keyOf(bytes24(abi.encodePacked(caller, DIRECT_CALL))), DIRECT_CALL, Applies.TO_EITHER);
    }

    function _validation(Selection memory by) internal view returns (Validation storage) {
        return _layout().validations[by.key];
    }

    function _entity(Selection memory by) internal view returns (bytes24) {
        return bytes24(abi.encodePacked(_validation(by).module, by.entityId));
    }

    function _hasFlag(Selection memory by, uint8 flag) internal view virtual returns (bool) {
        return _validation(by).flags & flag != 0;
    }

    /* What a validation may be used for */

    /// @dev Reverts unless the validation applies to the call, and to self-calls in a batch.
    function _requireApplies(Selection memory by, bytes calldata callData) internal view {
        if (callData.length < 4) revert UnrecognizedFunction(bytes4(callData));
        if (bytes4(callData) == IAccountV07.executeUserOp.selector) callData = callData[4:];

        bytes4 selector = bytes4(callData[:4]);
        _requireSelector(by, selector);
        if (selector == IAccountV08.execute.selector) {
            if (address(uint160(uint256(bytes32(callData[4:36])))) == address(this)) {
                revert SelfCallRecursionDepthExceeded();
            }
        } else if (selector == IAccountV08.executeBatch.selector) {
            Call[] memory calls = abi.decode(callData[4:], (Call[]));
            for (uint256 i = 0; i < calls.length; ++i) {
                if (calls[i].target == address(this)) _requireSelfCall(by, calls[i].data);
            }
        }
    }

    function _requireSelfCall(Selection memory by, bytes memory data) private view {
        require(data.length >= 4);
        bytes4 selector = bytes4(data);
        if (selector == IAccountV08.execute.selector || selector == IAccountV08.executeBatch.selector) {
            revert SelfCallRecursionDepthExceeded();
        }
        _requireSelector(by, selector);
    }

    function _requireSelector(Selection memory by, bytes4 selector) private view {
        bool asGlobal = by.applies != Applies.TO_ITS_SELECTORS && _hasFlag(by, GLOBAL) && _allowsGlobal(selector);
        if (asGlobal) return;
        if (by.applies == Applies.TO_ALL || !_contains(_validation(by).selectors, selector)) {
            revert ValidationFunctionMissing(selector);
        }
    }

    function _contains(bytes4[] storage list, bytes4 element) internal view returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == element) return true;
        }
        return false;
    }

    function _contains(bytes25[] storage list, bytes25 element) internal view returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == element) return true;
        }
        return false;
    }

    /// @dev Whether global validations apply to a function.
    function _allowsGlobal(bytes4 selector) internal view returns (bool) {
        return _isNativeAndGlobal(selector) || _layout().executions[selector].allowGlobalValidation;
    }

    function _isNativeAndGlobal(bytes4 selector) internal pure virtual returns (bool) {
        return selector == IAccountV08.execute.selector || selector == IAccountV08.executeBatch.selector
            || selector == IAccountV08.installExecution.selector || selector == IAccountV08.uninstallExecution.selector
            || selector == IAccountV08.installValidation.selector
            || selector == IAccountV08.uninstallValidation.selector || selector == IAccountV08.performCreate.selector
            || selector == IAccountV08.upgradeToAndCall.selector || selector == IAccountV07.executeUserOp.selector
            || selector == IAccountV08.executeWithRuntimeValidation.selector;
    }

    /* Segments of a signature: index (1 byte), length (4 bytes), data; ascending; then 0xFF and the validation's own part */

    function _segment(bytes calldata signature, uint256 index)
        internal
        pure
        returns (bytes calldata segment, bytes calldata rest)
    {
        uint8 next = uint8(signature[0]);
        if (next < index) revert SegmentOutOfOrder();
        if (next > index) return (signature[:0], signature);
        uint256 end = 5 + uint256(uint32(bytes4(signature[1:5])));
        if (end == 5) revert NonCanonicalEncoding();
        return (signature[5:end], signature[end:]);
    }

    function _finalSegment(bytes calldata signature) internal pure returns (bytes calldata) {
        if (uint8(signature[0]) != FINAL_SEGMENT) revert ValidationSignatureSegmentMissing();
        return signature[1:];
    }

    /* User operations */

    function _requireEntryPoint() internal view {
        if (msg.sender != ENTRY_POINT) revert NotEntryPoint();
    }

    function _validateUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash) internal returns (uint256) {
        (Selection memory by, bytes calldata signature, uint48 deadline) = _selectForUserOp(userOp);
        _requireApplies(by, userOp.callData);
        if (_validation(by).executionHooks.length != 0 && bytes4(userOp.callData) != IAccountV07.executeUserOp.selector)
        {
            revert RequireUserOperationContext();
        }

        PackedUserOperation memory passedOn = userOp;
        uint256 data = uint256(deadline) << 160;
        bool isNarrowed = deadline != 0;
        bytes25[] memory hooks = _validation(by).validationHooks;
        for (uint256 i = 0; i < hooks.length; ++i) {
            (passedOn.signature, signature) = _segment(signature, i);
            data = _intersect(data, _askUserOpHook(bytes24(hooks[i]), passedOn, userOpHash));
            isNarrowed = true;
        }
        passedOn.signature = _finalSegment(signature);
        if (!_hasFlag(by, USER_OP)) revert UserOpValidationInvalid(_entity(by));
        uint256 answer = _askUserOp(by, passedOn, userOpHash);
        return isNarrowed ? _intersect(data, answer) : answer;
    }

    function _askUserOpHook(bytes24 hook, PackedUserOperation memory userOp, bytes32 userOpHash)
        private
        returns (uint256 validationData)
    {
        bytes memory question = abi.encodeCall(
            IValidationHookModule.preUserOpValidationHook, (_entityIdOf(hook), userOp, userOpHash)
        );
        validationData = _word(_ask(hook, question, PreUserOpValidationHookReverted.selector));
        if (uint160(validationData) > 1) revert UnexpectedAggregator(hook, address(uint160(validationData)));
    }

    function _askUserOp(Selection memory by, PackedUserOperation memory userOp, bytes32 userOpHash)
        internal
        virtual
        returns (uint256)
    {
        bytes memory question = abi.encodeCall(IValidationModule.validateUserOp, (by.entityId, userOp, userOpHash));
        return _word(_ask(_entity(by), question, UserOpValidationFunctionReverted.selector));
    }

    /// @dev Intersects two validation data. No end is encoded as the last second.
    function _intersect(uint256 a, uint256 b) private pure returns (uint256) {
        uint256 authorizer = uint160(a) == 0 ? uint160(b) : uint160(a);
        uint256 untilA = uint48(a >> 160) == 0 ? type(uint48).max : uint48(a >> 160);
        uint256 untilB = uint48(b >> 160) == 0 ? type(uint48).max : uint48(b >> 160);
        uint256 until = untilA < untilB ? untilA : untilB;
        uint256 afterwards = a >> 208 > b >> 208 ? a >> 208 : b >> 208;
        return authorizer | until << 160 | afterwards << 208;
    }

    /* Runtime calls and signatures */

    /// @dev Runs the validation's runtime hooks; `authorization` is empty for direct calls.
    function _askRuntimeHooks(Selection memory by, bytes calldata data, bytes calldata authorization)
        internal
        returns (bytes calldata rest)
    {
        rest = authorization;
        bytes25[] memory hooks = _validation(by).validationHooks;
        for (uint256 i = 0; i < hooks.length; ++i) {
            bytes calldata segment = authorization;
            if (by.applies != Applies.TO_EITHER) (segment, rest) = _segment(rest, i);
            _askRuntimeHook(bytes24(hooks[i]), data, segment);
        }
    }

    function _askRuntimeHook(bytes24 hook, bytes calldata data, bytes calldata segment) private {
        bytes memory question = abi.encodeCall(
            IValidationHookModule.preRuntimeValidationHook, (_entityIdOf(hook), msg.sender, msg.value, data, segment)
        );
        _ask(hook, question, PreRuntimeValidationHookReverted.selector);
    }

    function _askRuntime(Selection memory by, bytes calldata data, bytes calldata authorization) internal virtual {
        bytes24 moduleEntity = _entity(by);
        require(address(bytes20(moduleEntity)).code.length != 0);
        bytes memory question = abi.encodeCall(
            IValidationModule.validateRuntime, (address(this), by.entityId, msg.sender, msg.value, data, authorization)
        );
        _ask(moduleEntity, question, RuntimeValidationFunctionReverted.selector);
    }

    function _checkSignature(Selection memory by, bytes32 hash, bytes calldata signature)
        internal
        view
        returns (bytes4)
    {
        bytes25[] memory hooks = _validation(by).validationHooks;
        for (uint256 i = 0; i < hooks.length; ++i) {
            bytes calldata segment;
            (segment, signature) = _segment(signature, i);
            bytes memory question = abi.encodeCall(
                IValidationHookModule.preSignatureValidationHook,
                (_entityIdOf(bytes24(hooks[i])), msg.sender, hash, segment)
            );
            _askStatically(bytes24(hooks[i]), question, PreSignatureValidationHookReverted.selector);
        }
        signature = _finalSegment(signature);
        if (!_hasFlag(by, SIGNATURE)) revert SignatureValidationInvalid(_entity(by));
        return _askSignature(by, hash, signature);
    }

    function _askSignature(Selection memory by, bytes32 hash, bytes calldata signature)
        internal
        view
        virtual
        returns (bytes4)
    {
        bytes24 moduleEntity = _entity(by);
        bytes memory question = abi.encodeCall(
            IValidationModule.validateSignature, (address(this), by.entityId, msg.sender, hash, signature)
        );
        uint256 word = _word(_askStatically(moduleEntity, question, SignatureValidationFunctionReverted.selector));
        require(uint224(word) == 0);
        return bytes4(bytes32(word));
    }

    /* Execution hooks */

    /// @dev Runs hooks before execution, in order of installation.
    /// @return answers Each hook's return data, passed to it afterwards.
    function _before(bytes25[] memory hooks, address sender, uint256 value, bytes memory data)
        internal
        returns (bytes[] memory answers)
    {
        answers = new bytes[](hooks.length);
        for (uint256 i = 0; i < hooks.length; ++i) {
            if (uint8(hooks[i][24]) & PRE_HOOK == 0) continue;
            bytes24 hook = bytes24(hooks[i]);
            bytes memory question =
                abi.encodeCall(IExecutionHookModule.preExecutionHook, (_entityIdOf(hook), sender, value, data));
            bytes memory answer = _ask(hook, question, PreExecHookReverted.selector);
            require(answer.length >= 64 && _word(answer) == 32);
            answers[i] = abi.decode(answer, (bytes));
        }
    }

    /// @dev Runs hooks after execution, in reverse order.
    function _after(bytes25[] memory hooks, bytes[] memory answers) internal {
        for (uint256 i = hooks.length; i > 0; --i) {
            if (uint8(hooks[i - 1][24]) & POST_HOOK == 0) continue;
            bytes24 hook = bytes24(hooks[i - 1]);
            bytes memory question =
                abi.encodeCall(IExecutionHookModule.postExecutionHook, (_entityIdOf(hook), answers[i - 1]));
            _ask(hook, question, PostExecHookReverted.selector);
        }
    }

    /* Calls of modules */

    function _ask(bytes24 moduleEntity, bytes memory question, bytes4 wrapper) private returns (bytes memory answer) {
        bool success;
        (success, answer) = address(bytes20(moduleEntity)).call(question);
        if (!success) LowLevelCall.bubbleRevert(abi.encodeWithSelector(wrapper, moduleEntity, answer));
    }

    function _askStatically(bytes24 moduleEntity, bytes memory question, bytes4 wrapper)
        private
        view
        returns (bytes memory answer)
    {
        bool success;
        (success, answer) = address(bytes20(moduleEntity)).staticcall(question);
        if (!success) LowLevelCall.bubbleRevert(abi.encodeWithSelector(wrapper, moduleEntity, answer));
    }

    function _word(bytes memory answer) private pure returns (uint256) {
        require(answer.length >= 32);
        return uint256(bytes32(answer));
    }

    function _entityIdOf(bytes24 moduleEntity) internal pure returns (uint32) {
        return uint32(uint192(moduleEntity));
    }
}
