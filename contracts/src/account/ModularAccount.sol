// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EIP7702Utils} from "@openzeppelin/account/utils/EIP7702Utils.sol";
import {ERC1967Utils} from "@openzeppelin/proxy/ERC1967/ERC1967Utils.sol";
import {IERC1822Proxiable} from "@openzeppelin/interfaces/draft-IERC1822.sol";
import {IERC1155Receiver} from "@openzeppelin/token/ERC1155/IERC1155Receiver.sol";
import {IERC721Receiver} from "@openzeppelin/token/ERC721/IERC721Receiver.sol";
import {IERC777Recipient} from "@openzeppelin/interfaces/IERC777Recipient.sol";
import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";
import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {StorageSlot} from "@openzeppelin/utils/StorageSlot.sol";

import {AccountLoupe} from "./AccountLoupe.sol";
import {
    AccountStorage,
    accountStorage,
    ExternalCallPermission,
    InitializationState,
    PluginStorage,
    SelectorStorage
} from "./AccountStorage.sol";
import {FunctionReference, PRE_HOOK_ALWAYS_DENY, RUNTIME_VALIDATION_ALWAYS_ALLOW} from "./FunctionReference.sol";
import {HookEntry, LibHookList} from "./HookList.sol";
import {LibERC165} from "./LibERC165.sol";
import {LibSelectorStorage} from "./LibSelectorStorage.sol";
import {PluginFilter} from "./PluginFilter.sol";
import {PluginManager} from "./PluginManager.sol";
import {PluginState} from "./PluginState.sol";
import {HookKind, Role, SelectorConfig} from "./SelectorConfig.sol";
import {IAccount, UserOperation} from "../interfaces/IAccount.sol";
import {IAccountLoupe} from "../interfaces/IAccountLoupe.sol";
import {IEntryPoint} from "../interfaces/IEntryPoint.sol";
import {IModularAccount} from "../interfaces/IModularAccount.sol";
import {IPlugin} from "../interfaces/IPlugin.sol";
import {IPluginExecutor} from "../interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../interfaces/IPluginManager.sol";
import {Call, IStandardExecutor} from "../interfaces/IStandardExecutor.sol";

/// @title An ERC-6900 v0.7 account with ERC-4337 EntryPoint v0.6
/// @notice The installed plugins determine what the account can do, and who may make it do so. The account ensures
/// three things: no execution function runs without its validation, plugins stay within their manifests, and
/// uninstalling a plugin undoes installing it.
///
/// Plugins are called with CALL, without a re-entrancy guard: hooks, validation functions and execution functions may
/// install, uninstall and execute. This is sound because each phase (user operation validation, runtime validation,
/// execution) reads all that it will run before it runs the first hook. Hooks added during a phase do not run in it;
/// hooks removed during it still do.
contract ModularAccount is AccountLoupe, PluginManager {
    using LibSelectorStorage for SelectorStorage;
    using LibHookList for mapping(uint256 => HookEntry);

    /// @notice A post-execution hook to run, and what its pre hook returned.
    struct PostHookCall {
        FunctionReference hook;
        bytes preHookData;
    }

    // Immutables are named like constants.
    // slither-disable-start naming-convention
    IEntryPoint private immutable ENTRY_POINT;
    address private immutable SELF = address(this);
    // slither-disable-end naming-convention

    /// @dev Validates the call if it is a runtime call. For a call by the EntryPoint, `validateUserOp` has done so.
    modifier validated() {
        if (msg.sender != address(ENTRY_POINT)) _validateRuntimeCall();
        _;
    }

    /// @dev Runs the execution hooks of the called function, which is one of the account's own.
    modifier hooked() {
        SelectorStorage storage record = accountStorage().selectors[msg.sig];
        PostHookCall[] memory postHooks = _runPreExecutionHooks(record, record.config, _callData());
        _;
        _runPostExecutionHooks(postHooks);
    }

    /// @dev Refuses calls to the implementation itself.
    modifier onlyProxy() {
        if (address(this) == SELF) revert UnauthorizedCallContext();
        _;
    }

    constructor(IEntryPoint entryPoint_) {
        ENTRY_POINT = entryPoint_;
        accountStorage().initialization = InitializationState.DONE;
    }

    /// @inheritdoc IModularAccount
    receive() external payable {}

    /// @inheritdoc IModularAccount
    fallback() external payable {
        if (msg.sender != address(ENTRY_POINT)) _validateRuntimeCall();

        // Fewer than 4 bytes do not name a function, even if padding makes them a selector.
        if (msg.data.length < 4) revert UnrecognizedFunction(msg.sig);
        SelectorStorage storage record = accountStorage().selectors[msg.sig];
        SelectorConfig config = record.config;
        address plugin = record.pluginOf(config, Role.EXECUTION);
        if (plugin == address(0)) revert UnrecognizedFunction(msg.sig);
        PostHookCall[] memory postHooks = _runPreExecutionHooks(record, config, _callData());
        bytes memory returnData = _call(plugin, 0, msg.data);
        _requireAnswerFromCode(plugin, returnData);
        _runPostExecutionHooks(postHooks);
        assembly ("memory-safe") {
            return(add(returnData, 0x20), mload(returnData))
        }
    }

    /// @inheritdoc IModularAccount
    function initialize(address[] calldata plugins, bytes calldata pluginInitData) external {
        // An externally owned account that delegates to this contract (EIP-7702) has an owner already: itself.
        if (msg.sender != address(this) && EIP7702Utils.fetchDelegate(address(this)) != address(0)) {
            revert UnauthorizedCallContext();
        }
        AccountStorage storage account = accountStorage();
        InitializationState state = account.initialization;
        if (state == InitializationState.DONE) revert AlreadyInitialized();
        if (state == InitializationState.RUNNING) revert AlreadyInitializing();
        account.initialization = InitializationState.RUNNING;

        (bytes32[] memory manifestHashes, bytes[] memory pluginInstallDatas) =
            abi.decode(pluginInitData, (bytes32[], bytes[]));
        if (plugins.length != manifestHashes.length || plugins.length != pluginInstallDatas.length) {
            revert ArrayLengthMismatch();
        }
        FunctionReference[] memory noDependencies;
        for (uint256 i = 0; i < plugins.length; ++i) {
            _installPlugin(plugins[i], manifestHashes[i], pluginInstallDatas[i], noDependencies);
        }

        account.initialization = InitializationState.DONE;
        emit ModularAccountInitialized(address(ENTRY_POINT));
    }

    /* Execution */

    /// @inheritdoc IStandardExecutor
    function execute(address target, uint256 value, bytes calldata data)
        external
        payable
        validated
        hooked
        returns (bytes memory result)
    {
        _denyPlugin(target, accountStorage().selectors[msg.sig].config.filter());
        return _call(target, value, data);
    }

    /// @inheritdoc IStandardExecutor
    function executeBatch(Call[] calldata calls) external payable validated hooked returns (bytes[] memory results) {
        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            // Read again: the call before may have installed a plugin.
            _denyPlugin(calls[i].target, accountStorage().selectors[msg.sig].config.filter());
            results[i] = _call(calls[i].target, calls[i].value, calls[i].data);
        }
    }

    /// @inheritdoc IPluginExecutor
    function executeFromPlugin(bytes calldata data) external payable returns (bytes memory returnData) {
        bytes4 selector = bytes4(data);
        if (data.length < 4) revert UnrecognizedFunction(selector);
        if (!accountStorage().plugins[msg.sender].executionSelectorPermitted[selector]) {
            revert ExecFromPluginNotPermitted(msg.sender, selector);
        }
        SelectorStorage storage record = accountStorage().selectors[selector];
        SelectorConfig config = record.config;
        address plugin = record.pluginOf(config, Role.EXECUTION);
        if (plugin == address(0)) revert UnrecognizedFunction(selector);

        PostHookCall[] memory postHooks = _runPreExecutionHooks(record, config, data);
        returnData = _call(plugin, 0, data);
        _requireAnswerFromCode(plugin, returnData);
        _runPostExecutionHooks(postHooks);
    }

    /// @inheritdoc IPluginExecutor
    /// @dev Reads one word of the account's storage that is still cold in a user operation: the caller's `PluginState`
    /// (whether it is installed, what it may do, whether hooks run, which addresses are not plugins). An installed
    /// plugin must not be called, whatever it reports about itself; this is looked up only for the few addresses that
    /// the filter in that word does not rule out. A caller that may not call every address costs one or two more words
    /// (its permissions). The target gets one ERC-165 query, whose cold access the call would pay anyway.
    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        returns (bytes memory)
    {
        PluginStorage storage caller = accountStorage().plugins[msg.sender];
        PluginState state = caller.state;
        if (target == address(this) || !_mayCall(caller, state, target, data)) {
            revert ExecFromPluginExternalNotPermitted(msg.sender, target, value, data);
        }
        if (value > msg.value && !state.canSpendNativeToken()) revert NativeTokenSpendingNotPermitted(msg.sender);

        if (!state.areExternalCallsHooked()) {
            _denyPlugin(target, state.filter());
            return _call(target, value, data);
        }
        SelectorStorage storage record = accountStorage().selectors[msg.sig];
        PostHookCall[] memory postHooks = _runPreExecutionHooks(record, record.config, _callData());
        // The state is read again: a hook may have installed a plugin. If it uninstalled the caller, the filter is
        // gone.
        state = caller.state;
        _denyPlugin(target, state.isInstalled() ? state.filter() : PluginFilter.wrap(type(uint256).max));
        bytes memory returnData = _call(target, value, data);
        _runPostExecutionHooks(postHooks);
        return returnData;
    }

    /* Installing, uninstalling, upgrading */

    /// @inheritdoc IPluginManager
    function installPlugin(
        address plugin,
        bytes32 manifestHash,
        bytes calldata pluginInstallData,
        bytes21[] calldata dependencies
    ) external validated hooked {
        FunctionReference[] memory references = new FunctionReference[](dependencies.length);
        for (uint256 i = 0; i < dependencies.length; ++i) {
            references[i] = FunctionReference.wrap(dependencies[i]);
        }
        _installPlugin(plugin, manifestHash, pluginInstallData, references);
    }

    /// @inheritdoc IPluginManager
    function uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData)
        external
        validated
        hooked
    {
        _uninstallPlugin(plugin, config, pluginUninstallData);
    }

    /// @inheritdoc IModularAccount
    function upgradeToAndCall(address newImplementation, bytes calldata data)
        external
        payable
        onlyProxy
        validated
        hooked
    {
        // Any other answer is refused, and the zero address gives none.
        // slither-disable-next-line low-level-calls,missing-zero-check
        (bool success, bytes memory answer) =
            newImplementation.staticcall(abi.encodeCall(IERC1822Proxiable.proxiableUUID, ()));
        if (!success || answer.length != 0x20 || bytes32(answer) != ERC1967Utils.IMPLEMENTATION_SLOT) {
            revert UpgradeFailed();
        }
        StorageSlot.getAddressSlot(ERC1967Utils.IMPLEMENTATION_SLOT).value = newImplementation;
        // The calls before it are the owner's validation and the hooks of this very function.
        // slither-disable-next-line reentrancy-events
        emit Upgraded(newImplementation);
        if (data.length != 0) {
            bytes memory reason;
            // Only validated callers get here, and they choose the implementation anyway.
            // slither-disable-next-line controlled-delegatecall
            (success, reason) = newImplementation.delegatecall(data);
            if (!success) LowLevelCall.bubbleRevert(reason);
        }
    }

    /// @inheritdoc IModularAccount
    function proxiableUUID() external view returns (bytes32) {
        if (address(this) != SELF) revert UnauthorizedCallContext();
        return ERC1967Utils.IMPLEMENTATION_SLOT;
    }

    /* Validation */

    /// @inheritdoc IAccount
    function validateUserOp(UserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData)
    {
        if (msg.sender != address(ENTRY_POINT)) revert UserOpNotFromEntryPoint();
        bytes calldata callData = userOp.callData;
        bytes4 selector = bytes4(callData);
        if (callData.length < 4) revert UnrecognizedFunction(selector);

        SelectorStorage storage record = accountStorage().selectors[selector];
        SelectorConfig config = record.config;
        // User operation validation has no magic value: a function implies a plugin.
        address plugin = record.pluginOf(config, Role.USER_OP_VALIDATION);
        if (plugin == address(0)) revert UserOpValidationFunctionMissing(selector);

        uint256 hookCount = config.hookCount(HookKind.PRE_USER_OP_VALIDATION);
        uint256 hooksData;
        if (hookCount != 0) {
            HookEntry[] memory hooks = record.hooks[uint256(HookKind.PRE_USER_OP_VALIDATION)].load(hookCount);
            for (uint256 i = 0; i < hookCount; ++i) {
                hooksData = _intersect(hooksData, _runPreUserOpValidationHook(hooks[i].hook(), userOp, userOpHash));
            }
        }
        validationData = _callUserOpFunction(
            IPlugin.userOpValidationFunction.selector,
            plugin,
            config.functionIdOf(Role.USER_OP_VALIDATION),
            userOp,
            userOpHash
        );
        if (hookCount != 0) validationData = _intersect(hooksData, validationData);

        if (missingAccountFunds != 0) {
            // The EntryPoint checks that it arrived.
            assembly ("memory-safe") {
                pop(call(gas(), caller(), missingAccountFunds, 0, 0, 0, 0))
            }
        }
    }

    /// @dev Runs a hook and returns its validation data, whose authorizer must be 0 or 1.
    function _runPreUserOpValidationHook(FunctionReference hook, UserOperation calldata userOp, bytes32 userOpHash)
        private
        returns (uint256 validationData)
    {
        if (hook == PRE_HOOK_ALWAYS_DENY) revert AlwaysDenyRule();
        (address plugin, uint8 functionId) = hook.unpack();
        validationData =
            _callUserOpFunction(IPlugin.preUserOpValidationHook.selector, plugin, functionId, userOp, userOpHash);
        if (uint160(validationData) > 1) {
            revert UnexpectedAggregator(plugin, functionId, address(uint160(validationData)));
        }
    }

    /// @dev Calls a plugin with the operation. Both functions that take one have the same arguments: (uint8, UserOperation, bytes32).
    ///
    /// The operation is passed on as it is in call data, from its first word to the end. Its offsets count from its
    /// first word, so they stay valid; encoding it again would cost a few thousand gas.
    function _callUserOpFunction(
        bytes4 selector,
        address plugin,
        uint8 functionId,
        UserOperation calldata userOp,
        bytes32 userOpHash
    ) private returns (uint256 validationData) {
        bool answered;
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            let length := sub(calldatasize(), userOp)
            mstore(pointer, selector)
            mstore(add(pointer, 0x04), functionId)
            mstore(add(pointer, 0x24), 0x60)
            mstore(add(pointer, 0x44), userOpHash)
            calldatacopy(add(pointer, 0x64), userOp, length)
            if iszero(call(gas(), plugin, 0, pointer, add(length, 0x64), 0x00, 0x20)) {
                returndatacopy(pointer, 0, returndatasize())
                revert(pointer, returndatasize())
            }
            // A call to an address without code succeeds and returns nothing.
            answered := gt(returndatasize(), 0x1f)
            validationData := mload(0x00)
        }
        if (!answered) revert PluginInterfaceNotSupported(plugin);
    }

    /// @dev The intersection of two validation data: bits 0..159 authorizer, 160..207 validUntil (0: no end), 208..255
    /// validAfter.
    /// @param hooksData Its authorizer is 0 or 1; 1 wins over any other.
    function _intersect(uint256 hooksData, uint256 other) private pure returns (uint256) {
        uint256 authorizer = uint160(hooksData) == 1 ? 1 : uint160(other);
        uint256 validUntil = uint48(hooksData >> 160);
        uint256 otherValidUntil = uint48(other >> 160);
        if (validUntil == 0 || (otherValidUntil != 0 && otherValidUntil < validUntil)) validUntil = otherValidUntil;
        uint256 validAfter = hooksData >> 208;
        if (other >> 208 > validAfter) validAfter = other >> 208;
        return authorizer | validUntil << 160 | validAfter << 208;
    }

    /// @dev Validates the called function for a caller other than the EntryPoint: hooks, then the validation function.
    function _validateRuntimeCall() private {
        if (msg.data.length < 4) revert RuntimeValidationFunctionMissing(msg.sig);
        SelectorStorage storage record = accountStorage().selectors[msg.sig];
        SelectorConfig config = record.config;
        FunctionReference validationFunction = record.functionOf(config, Role.RUNTIME_VALIDATION);
        uint256 hookCount = config.hookCount(HookKind.PRE_RUNTIME_VALIDATION);
        if (hookCount != 0) {
            HookEntry[] memory hooks = record.hooks[uint256(HookKind.PRE_RUNTIME_VALIDATION)].load(hookCount);
            for (uint256 i = 0; i < hooks.length; ++i) {
                _callHook(
                    hooks[i].hook(),
                    IPlugin.preRuntimeValidationHook.selector,
                    PreRuntimeValidationHookFailed.selector,
                    _callData()
                );
            }
        }

        if (validationFunction == RUNTIME_VALIDATION_ALWAYS_ALLOW) return;
        if (validationFunction.isNone()) {
            // The account itself may install plugins and upgrade even if no plugin allows it: an execution function
            // that the owner called, or an operation's batch, can then repair an account whose owner plugin is gone.
            bool isException = msg.sig == IPluginManager.installPlugin.selector
                || msg.sig == IModularAccount.upgradeToAndCall.selector;
            if (isException && msg.sender == address(this)) return;
            revert RuntimeValidationFunctionMissing(msg.sig);
        }
        _callHook(
            validationFunction,
            IPlugin.runtimeValidationFunction.selector,
            RuntimeValidationFunctionReverted.selector,
            _callData()
        );
    }

    /* Execution hooks */

    /// @dev Reads all hooks of the function, then runs its pre hooks.
    /// @param record The record of the function that is about to run.
    /// @param config Its first word, from which the caller has read the executing plugin: one snapshot for both.
    /// @param data The call of that function.
    /// @return postHooks The post hooks to run, in order.
    function _runPreExecutionHooks(SelectorStorage storage record, SelectorConfig config, bytes calldata data)
        private
        returns (PostHookCall[] memory postHooks)
    {
        if (!config.hasExecutionHooks()) return postHooks;

        HookEntry[] memory preHooks =
            record.hooks[uint256(HookKind.PRE_EXECUTION)].load(config.hookCount(HookKind.PRE_EXECUTION));
        HookEntry[] memory postOnlyHooks =
            record.hooks[uint256(HookKind.POST_ONLY_EXECUTION)].load(config.hookCount(HookKind.POST_ONLY_EXECUTION));
        uint256 count = postOnlyHooks.length;
        for (uint256 i = 0; i < preHooks.length; ++i) {
            count += preHooks[i].pairedCount();
        }
        postHooks = new PostHookCall[](count);
        for (uint256 i = 0; i < postOnlyHooks.length; ++i) {
            postHooks[i].hook = postOnlyHooks[i].hook();
        }
        uint256 end = count;
        for (uint256 i = 0; i < preHooks.length; ++i) {
            HookEntry[] memory paired = record.pairedPostHooks[preHooks[i].hook()].load(preHooks[i].pairedCount());
            for (uint256 j = 0; j < paired.length; ++j) {
                postHooks[--end].hook = paired[j].hook();
            }
        }

        // From here on storage may change.
        end = count;
        for (uint256 i = 0; i < preHooks.length; ++i) {
            bytes memory answer =
                _callHook(preHooks[i].hook(), IPlugin.preExecutionHook.selector, PreExecHookReverted.selector, data);
            bytes memory preHookData = abi.decode(answer, (bytes));
            for (uint256 j = preHooks[i].pairedCount(); j != 0; --j) {
                postHooks[--end].preHookData = preHookData;
            }
        }
    }

    /// @dev Runs these hooks, in order.
    function _runPostExecutionHooks(PostHookCall[] memory postHooks) private {
        for (uint256 i = 0; i < postHooks.length; ++i) {
            (address plugin, uint8 functionId) = postHooks[i].hook.unpack();
            _callPlugin(
                plugin,
                functionId,
                abi.encodeCall(IPlugin.postExecutionHook, (functionId, postHooks[i].preHookData)),
                PostExecHookReverted.selector
            );
        }
    }

    /// @dev Calls a function of a plugin that takes (uint8 functionId, address sender, uint256 value, bytes data).
    /// @param errorSelector See `_callPlugin`.
    function _callHook(FunctionReference hook, bytes4 selector, bytes4 errorSelector, bytes calldata data)
        private
        returns (bytes memory answer)
    {
        if (hook == PRE_HOOK_ALWAYS_DENY) revert AlwaysDenyRule();
        (address plugin, uint8 functionId) = hook.unpack();
        // Every hook is passed the value; none spends it.
        // slither-disable-next-line msg-value-loop
        return _callPlugin(
            plugin, functionId, abi.encodeWithSelector(selector, functionId, msg.sender, msg.value, data), errorSelector
        );
    }

    /* Targets */

    /// @dev Whether a plugin's manifest permits this call. `state` is the first word of `caller`.
    function _mayCall(PluginStorage storage caller, PluginState state, address target, bytes calldata data)
        private
        view
        returns (bool)
    {
        if (state.canCallAnyAddress()) return true;
        ExternalCallPermission storage permission = caller.externalCallPermissions[target];
        if (!permission.addressPermitted) return false;
        return permission.anySelectorPermitted || data.length == 0
            || (data.length >= 4 && permission.selectorPermitted[bytes4(data)]);
    }

    /// @dev Reverts if the target is a plugin. Plugins keep an account's state under `msg.sender`, so nobody may call
    /// them in the account's name. The account itself is not a plugin.
    function _denyPlugin(address target, PluginFilter filter) private view {
        if (target == address(this)) return;
        if (
            (filter.mayContain(target) && accountStorage().plugins[target].state.isInstalled())
                || LibERC165.hasInterface(target, type(IPlugin).interfaceId)
        ) {
            revert PluginCallDenied(target);
        }
    }

    /* Calls */

    /// @dev `msg.data` of a call that has some. Its offset is zero, in a form that the optimizer does not see through:
    /// for the constant, it would emit a second copy of every function that takes call data.
    function _callData() private pure returns (bytes calldata data) {
        assembly ("memory-safe") {
            // Offset and length are two parts of `data`, not the same variable twice.
            // slither-disable-next-line write-after-write
            data.offset := iszero(calldatasize())
            data.length := calldatasize()
        }
    }

    /// @dev Makes a call from the account. Bubbles up the target's revert.
    function _call(address target, uint256 value, bytes calldata data) private returns (bytes memory returnData) {
        assembly ("memory-safe") {
            returnData := mload(0x40)
            calldatacopy(returnData, data.offset, data.length)
            let success := call(gas(), target, value, returnData, data.length, 0, 0)
            mstore(returnData, returndatasize())
            let start := add(returnData, 0x20)
            returndatacopy(start, 0, returndatasize())
            if iszero(success) { revert(start, returndatasize()) }
            mstore(0x40, and(add(add(start, returndatasize()), 0x1f), not(0x1f)))
        }
    }

    /// @dev Calls a plugin. Reverts, if the call fails, with the error that has the arguments (address plugin, uint8
    /// functionId, bytes reason).
    ///
    /// An address without code counts as a failure, with an empty reason: a call to it would succeed without validating
    /// anything. Code is looked for only if nothing was returned, which is all that such an address returns.
    function _callPlugin(address plugin, uint8 functionId, bytes memory data, bytes4 errorSelector)
        private
        returns (bytes memory answer)
    {
        bool success;
        // The owner installed the plugins whose hooks are called one after the other; one that fails reverts all.
        // slither-disable-next-line calls-loop,low-level-calls
        (success, answer) = plugin.call(data);
        if (!success || (answer.length == 0 && plugin.code.length == 0)) {
            LowLevelCall.bubbleRevert(abi.encodeWithSelector(errorSelector, plugin, functionId, answer));
        }
    }

    /// @dev Reverts if nothing was returned because there is no code.
    function _requireAnswerFromCode(address plugin, bytes memory returnData) private view {
        if (returnData.length == 0 && plugin.code.length == 0) revert PluginInterfaceNotSupported(plugin);
    }

    /* Token receivers: no validation, but hooks */

    /// @inheritdoc IModularAccount
    function onERC721Received(address, address, uint256, bytes calldata) external hooked returns (bytes4 selector) {
        return IERC721Receiver.onERC721Received.selector;
    }

    /// @inheritdoc IModularAccount
    function onERC1155Received(address, address, uint256, uint256, bytes calldata)
        external
        hooked
        returns (bytes4 selector)
    {
        return IERC1155Receiver.onERC1155Received.selector;
    }

    /// @inheritdoc IModularAccount
    function onERC1155BatchReceived(address, address, uint256[] calldata, uint256[] calldata, bytes calldata)
        external
        hooked
        returns (bytes4 selector)
    {
        return IERC1155Receiver.onERC1155BatchReceived.selector;
    }

    /// @inheritdoc IModularAccount
    function tokensReceived(address, address, address, uint256, bytes calldata, bytes calldata) external hooked {}

    /* Views */

    /// @inheritdoc IModularAccount
    function entryPoint() external view returns (address) {
        return address(ENTRY_POINT);
    }

    /// @inheritdoc IModularAccount
    function getNonce() external view returns (uint256) {
        return ENTRY_POINT.getNonce(address(this), 0);
    }

    /// @inheritdoc IModularAccount
    function supportsInterface(bytes4 interfaceId) external view returns (bool) {
        // 0xffffffff and IPlugin's id cannot be claimed by a plugin (`InterfaceNotAllowed`).
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IAccount).interfaceId
            || interfaceId == type(IPluginManager).interfaceId || interfaceId == type(IStandardExecutor).interfaceId
            || interfaceId == type(IPluginExecutor).interfaceId || interfaceId == type(IAccountLoupe).interfaceId
            || interfaceId == type(IERC721Receiver).interfaceId || interfaceId == type(IERC1155Receiver).interfaceId
            || interfaceId == type(IERC777Recipient).interfaceId
            || accountStorage().supportedInterfaces[interfaceId] != 0;
    }
}
