// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {ExecutionData, IAccountV08, ValidationData} from "../../../src/interfaces/IAccountV08.sol";
import {
    ExecutionManifest,
    IExecutionModule,
    IModule,
    IValidationModule,
    ManifestExecutionFunction,
    ManifestHook,
    PackedUserOperation
} from "../../../src/interfaces/IModule.sol";
import {IAccountV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";
import {AccountCore} from "./AccountCore.sol";

/// @notice What all test accounts share: execution, installation, views.
abstract contract ModuleAccount is AccountCore, IAccountV07 {
    /// @dev ERC-1967.
    bytes32 private constant IMPLEMENTATION = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    /// @dev The implementation itself cannot be used as an account.
    constructor() {
        _layout().isInitialized = true;
    }

    receive() external payable {}

    function _initialize() internal {
        if (_layout().isInitialized) revert AlreadyInitialized();
        _layout().isInitialized = true;
    }

    /* Who may call */

    /// @notice The hooks of one execution, and their return data.
    struct Hooked {
        bytes25[] ofValidation;
        bytes[] answersToValidation;
        bytes25[] ofSelector;
        bytes[] answersToSelector;
    }

    /// @dev Calls from the EntryPoint and the account itself have passed validation. All others need a direct-call
    /// validation. Hooks are read here: before the execution, after everything earlier.
    modifier hooked() {
        Hooked memory hooks = _begin();
        _;
        _end(hooks);
    }

    function _begin() private returns (Hooked memory hooks) {
        if (msg.sender != ENTRY_POINT && msg.sender != address(this)) {
            if (!_layout().executions[msg.sig].skipRuntimeValidation) {
                Selection memory by = _selectForCaller(msg.sender);
                _requireApplies(by, msg.data);
                by.applies = Applies.TO_EITHER;
                _askRuntimeHooks(by, msg.data, msg.data[:0]);
                hooks.ofValidation = _validation(by).executionHooks;
                hooks.answersToValidation = _before(hooks.ofValidation, msg.sender, msg.value, msg.data);
            }
        }
        hooks.ofSelector = _layout().executions[msg.sig].executionHooks;
        hooks.answersToSelector = _before(hooks.ofSelector, msg.sender, msg.value, msg.data);
    }

    function _end(Hooked memory hooks) private {
        _after(hooks.ofSelector, hooks.answersToSelector);
        _after(hooks.ofValidation, hooks.answersToValidation);
    }

    /* Execution */

    fallback(bytes calldata) external payable returns (bytes memory answer) {
        address module = _layout().executions[msg.sig].module;
        if (module == address(0)) revert UnrecognizedFunction(msg.sig);
        Hooked memory hooks = _begin();
        answer = _call(module, 0, msg.data);
        _end(hooks);
    }

    function execute(address target, uint256 value, bytes calldata data)
        external
        payable
        hooked
        returns (bytes memory answer)
    {
        bytes memory returned = _call(target, value, data);
        if (msg.sender != ENTRY_POINT) answer = returned;
    }

    function executeBatch(Call[] calldata calls) external payable hooked returns (bytes[] memory answers) {
        bool isAsked = msg.sender != ENTRY_POINT;
        if (isAsked) answers = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            bytes memory returned = _call(calls[i].target, calls[i].value, calls[i].data);
            if (isAsked) answers[i] = returned;
        }
    }

    function performCreate(uint256 value, bytes calldata initCode, bool isCreate2, bytes32 salt)
        external
        payable
        hooked
        returns (address created)
    {
        bytes memory code = initCode;
        assembly ("memory-safe") {
            switch isCreate2
            case 0 { created := create(value, add(code, 0x20), mload(code)) }
            default { created := create2(value, add(code, 0x20), mload(code), salt) }
        }
        if (created == address(0)) revert CreateFailed();
    }

    function upgradeToAndCall(address newImplementation, bytes calldata data) public payable virtual hooked {
        (bool success, bytes memory answer) = newImplementation.staticcall(abi.encodeCall(this.proxiableUUID, ()));
        if (!success || answer.length != 32 || bytes32(answer) != IMPLEMENTATION) {
            revert NotAnImplementation(newImplementation);
        }
        assembly ("memory-safe") {
            sstore(IMPLEMENTATION, newImplementation)
        }
        emit Upgraded(newImplementation);
        if (data.length == 0) return;
        (success, answer) = newImplementation.delegatecall(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
    }

    /// @dev ERC-1822. Only the implementation answers.
    function proxiableUUID() external pure returns (bytes32) {
        return IMPLEMENTATION;
    }

    function executeUserOp(PackedUserOperation calldata userOp, bytes32) external {
        _requireEntryPoint();
        bytes25[] memory hooks = _validation(_selectForExecution(userOp)).executionHooks;
        bytes[] memory answers = _before(hooks, msg.sender, 0, msg.data);
        _call(address(this), 0, userOp.callData[4:]);
        _after(hooks, answers);
    }

    function executeWithRuntimeValidation(bytes calldata data, bytes calldata authorization)
        external
        payable
        returns (bytes memory answer)
    {
        (Selection memory by, bytes calldata rest) = _selectIn(authorization, true);
        _requireApplies(by, data);
        rest = _askRuntimeHooks(by, data, rest);
        _askRuntime(by, data, _finalSegment(rest));
        return _runHooked(by, msg.value, data);
    }

    /// @dev Makes a self-call, between the execution hooks of the validation.
    function _runHooked(Selection memory by, uint256 value, bytes calldata data)
        internal
        returns (bytes memory answer)
    {
        bytes25[] memory hooks = _validation(by).executionHooks;
        bytes[] memory answers = _before(hooks, msg.sender, value, data);
        answer = _call(address(this), value, data);
        _after(hooks, answers);
    }

    function _call(address target, uint256 value, bytes memory data) private returns (bytes memory answer) {
        bool success;
        (success, answer) = target.call{value: value}(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
    }

    /* Validation */

    function validateUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData)
    {
        _requireEntryPoint();
        validationData = _validateUserOp(userOp, userOpHash);
        if (missingAccountFunds != 0) {
            (bool success,) = ENTRY_POINT.call{value: missingAccountFunds}("");
            success;
        }
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) public view virtual returns (bytes4) {
        (Selection memory by, bytes calldata rest) = _selectIn(signature, false);
        return _checkSignature(by, hash, rest);
    }

    /* Installation of validations */

    function installValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external hooked {
        _installValidation(validationConfig, selectors, installData, hooks);
    }

    function uninstallValidation(
        bytes24 validationFunction,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) external hooked {
        bool succeeded = _uninstallValidation(validationFunction, uninstallData, hookUninstallData);
        emit ValidationUninstalled(address(bytes20(validationFunction)), _entityIdOf(validationFunction), succeeded);
    }

    /// @dev Everything is in place when the module's own callback runs.
    function _installValidation(
        bytes25 config,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) internal virtual {
        bytes24 moduleEntity = bytes24(config);
        address module = address(bytes20(moduleEntity));
        Validation storage validation = _layout().validations[_keyOf(moduleEntity)];
        if (validation.module == address(0)) validation.module = module;
        if (validation.module != module) revert ValidationEntityIdInUse();
        validation.flags = uint8(config[24]);
        _addSelectors(validation, moduleEntity, selectors);
        _addHooks(validation, hooks);
        _callOnInstall(module, type(IValidationModule).interfaceId, installData);
        emit ValidationInstalled(module, _entityIdOf(moduleEntity));
    }

    function _addSelectors(Validation storage validation, bytes24 moduleEntity, bytes4[] calldata selectors) internal {
        for (uint256 i = 0; i < selectors.length; ++i) {
            if (selectors[i] == 0 || _contains(validation.selectors, selectors[i])) {
                revert ValidationAlreadySet(selectors[i], moduleEntity);
            }
            validation.selectors.push(selectors[i]);
        }
    }

    /// @dev A hook is its configuration (25 bytes), followed by its callback's data.
    function _addHooks(Validation storage validation, bytes[] calldata hooks) internal {
        for (uint256 i = 0; i < hooks.length; ++i) {
            bytes25 hook = bytes25(hooks[i][:25]);
            bool ofValidation = uint8(hook[24]) & VALIDATION_HOOK != 0;
            bytes25[] storage list = ofValidation ? validation.validationHooks : validation.executionHooks;
            if (list.length == MAX_HOOKS) revert ValidationAssocHookLimitExceeded();
            if (_contains(list, hook)) {
                if (ofValidation) revert PreValidationHookDuplicate();
                revert ExecutionHookAlreadySet(hook);
            }
            list.push(hook);
            _callOnInstall(
                address(bytes20(hook)),
                ofValidation ? type(IValidationHookModule).interfaceId : type(IExecutionHookModule).interfaceId,
                hooks[i][25:]
            );
        }
    }

    /// @dev Hooks are called while the validation is complete, its module after everything is removed.
    function _uninstallValidation(
        bytes24 moduleEntity,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) internal virtual returns (bool succeeded) {
        uint256 key = _keyOf(moduleEntity);
        succeeded = _callHooksOnUninstall(_layout().validations[key], hookUninstallData);
        delete _layout().validations[key];
        succeeded = succeeded && _callOnUninstall(address(bytes20(moduleEntity)), uninstallData);
    }

    /// @dev Validation hooks, then execution hooks, newest first. After one fails, no other is called.
    function _callHooksOnUninstall(Validation storage validation, bytes[] calldata data)
        internal
        returns (bool succeeded)
    {
        succeeded = true;
        if (data.length == 0) return true;
        bytes25[] memory first = validation.validationHooks;
        bytes25[] memory second = validation.executionHooks;
        if (data.length != first.length + second.length) revert ArrayLengthMismatch();
        for (uint256 i = 0; i < data.length && succeeded; ++i) {
            bytes25 hook =
                i < first.length ? first[first.length - 1 - i] : second[second.length - 1 - (i - first.length)];
            succeeded = _callOnUninstall(address(bytes20(hook)), data[i]);
        }
    }

    /* Installation of functions */

    function installExecution(address module, ExecutionManifest calldata manifest, bytes calldata installData)
        external
        hooked
    {
        for (uint256 i = 0; i < manifest.executionFunctions.length; ++i) {
            ManifestExecutionFunction calldata added = manifest.executionFunctions[i];
            ExecutionData storage execution = _layout().executions[added.executionSelector];
            if (execution.module != address(0) || _isNative(added.executionSelector)) {
                revert ExecutionFunctionAlreadySet(added.executionSelector);
            }
            execution.module = module;
            execution.skipRuntimeValidation = added.skipRuntimeValidation;
            execution.allowGlobalValidation = added.allowGlobalValidation;
        }
        for (uint256 i = 0; i < manifest.executionHooks.length; ++i) {
            ManifestHook calldata added = manifest.executionHooks[i];
            bytes25[] storage list = _layout().executions[added.executionSelector].executionHooks;
            bytes25 hook = _hookOf(module, added);
            if (_contains(list, hook)) revert ExecutionHookAlreadySet(hook);
            list.push(hook);
        }
        for (uint256 i = 0; i < manifest.interfaceIds.length; ++i) {
            ++_layout().interfaces[manifest.interfaceIds[i]];
        }
        _callOnInstall(module, type(IExecutionModule).interfaceId, installData);
        emit ExecutionInstalled(module, manifest);
    }

    function uninstallExecution(address module, ExecutionManifest calldata manifest, bytes calldata uninstallData)
        external
        hooked
    {
        for (uint256 i = 0; i < manifest.executionHooks.length; ++i) {
            ManifestHook calldata removed = manifest.executionHooks[i];
            _removeHook(removed.executionSelector, _hookOf(module, removed));
        }
        for (uint256 i = 0; i < manifest.executionFunctions.length; ++i) {
            ManifestExecutionFunction calldata removed = manifest.executionFunctions[i];
            ExecutionData storage execution = _layout().executions[removed.executionSelector];
            if (
                execution.module != module || execution.skipRuntimeValidation != removed.skipRuntimeValidation
                    || execution.allowGlobalValidation != removed.allowGlobalValidation
            ) revert ExecutionFunctionNotSet(removed.executionSelector);
            execution.module = address(0);
            execution.skipRuntimeValidation = false;
            execution.allowGlobalValidation = false;
        }
        for (uint256 i = 0; i < manifest.interfaceIds.length; ++i) {
            --_layout().interfaces[manifest.interfaceIds[i]];
        }
        emit ExecutionUninstalled(module, _callOnUninstall(module, uninstallData), manifest);
    }

    function _hookOf(address module, ManifestHook calldata hook) private pure returns (bytes25) {
        uint8 flags = (hook.isPreHook ? PRE_HOOK : 0) | (hook.isPostHook ? POST_HOOK : 0);
        return bytes25(abi.encodePacked(module, hook.entityId, flags));
    }

    function _removeHook(bytes4 selector, bytes25 hook) private {
        bytes25[] storage list = _layout().executions[selector].executionHooks;
        if (!_contains(list, hook)) revert ExecutionFunctionNotSet(selector);
        bool found;
        for (uint256 i = 0; i + 1 < list.length; ++i) {
            found = found || list[i] == hook;
            if (found) list[i] = list[i + 1];
        }
        list.pop();
    }

    /* Callbacks */

    /// @dev Without data, a module is neither checked nor called.
    function _callOnInstall(address module, bytes4 interfaceId, bytes calldata data) internal {
        if (data.length == 0) return;
        if (!_isModule(module, interfaceId)) revert InterfaceNotSupported(module);
        (bool success, bytes memory answer) = module.call(abi.encodeCall(IModule.onInstall, (data)));
        if (!success) revert ModuleInstallCallbackFailed(module, answer);
    }

    /// @dev Swallows reverts.
    function _callOnUninstall(address module, bytes calldata data) private returns (bool succeeded) {
        if (data.length == 0) return true;
        (succeeded,) = module.call(abi.encodeCall(IModule.onUninstall, (data)));
    }

    /// @dev Makes only this one query.
    function _isModule(address module, bytes4 interfaceId) internal view virtual returns (bool) {
        return _answersTrue(module, interfaceId);
    }

    function _answersTrue(address module, bytes4 interfaceId) internal view returns (bool) {
        (bool success, bytes memory answer) =
            module.staticcall{gas: 30_000}(abi.encodeCall(IERC165.supportsInterface, (interfaceId)));
        return success && answer.length >= 32 && uint256(bytes32(answer)) != 0;
    }

    /* Views */

    function entryPoint() external pure returns (address) {
        return ENTRY_POINT;
    }

    function getExecutionData(bytes4 selector) external view returns (ExecutionData memory data) {
        data = _layout().executions[selector];
        if (!_isNative(selector)) return data;
        data.module = address(this);
        data.allowGlobalValidation = _isNativeAndGlobal(selector);
        data.skipRuntimeValidation = !data.allowGlobalValidation;
    }

    function getValidationData(bytes24 validationFunction) external view returns (ValidationData memory) {
        Validation storage validation = _layout().validations[_keyOf(validationFunction)];
        return
            ValidationData(
                validation.flags, validation.validationHooks, validation.executionHooks, validation.selectors
            );
    }

    function supportsInterface(bytes4 interfaceId) external view returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == this.onERC721Received.selector
            || interfaceId == this.onERC1155Received.selector ^ this.onERC1155BatchReceived.selector
            || _layout().interfaces[interfaceId] != 0;
    }

    function _isNative(bytes4 selector) internal pure virtual returns (bool) {
        return _isNativeAndGlobal(selector) || selector == IAccountV07.validateUserOp.selector
            || selector == this.isValidSignature.selector || selector == this.entryPoint.selector
            || selector == IAccountV08.accountId.selector || selector == this.getExecutionData.selector
            || selector == this.getValidationData.selector || selector == this.supportsInterface.selector
            || selector == this.proxiableUUID.selector || selector == this.onERC721Received.selector
            || selector == this.onERC1155Received.selector || selector == this.onERC1155BatchReceived.selector;
    }

    /* Tokens */

    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC721Received.selector;
    }

    function onERC1155Received(address, address, uint256, uint256, bytes calldata) external pure returns (bytes4) {
        return this.onERC1155Received.selector;
    }

    function onERC1155BatchReceived(address, address, uint256[] calldata, uint256[] calldata, bytes calldata)
        external
        pure
        returns (bytes4)
    {
        return this.onERC1155BatchReceived.selector;
    }
}
