// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {IModularAccount} from "../interfaces/IModularAccount.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestExecutionHook,
    ManifestExternalCallPermission,
    ManifestFunction,
    PluginManifest
} from "../interfaces/IPlugin.sol";
import {IPluginExecutor} from "../interfaces/IPluginExecutor.sol";
import {IStandardExecutor} from "../interfaces/IStandardExecutor.sol";
import {
    AccountStorage,
    accountStorage,
    ExternalCallPermission,
    PluginStorage,
    SelectorStorage
} from "./AccountStorage.sol";
import {DependencyWord, LibDependencyWord} from "./DependencyWord.sol";
import {
    FunctionReference,
    NONE,
    packReference,
    PRE_HOOK_ALWAYS_DENY,
    RUNTIME_VALIDATION_ALWAYS_ALLOW
} from "./FunctionReference.sol";
import {HookEntry, LibHookList} from "./HookList.sol";
import {LibERC165} from "./LibERC165.sol";
import {LibSelectorStorage} from "./LibSelectorStorage.sol";
import {PluginFilter} from "./PluginFilter.sol";
import {END_OF_PLUGINS, LibPluginState, PluginState} from "./PluginState.sol";
import {ReservedSelectors} from "./ReservedSelectors.sol";
import {HookKind, Role, SelectorConfig} from "./SelectorConfig.sol";

/// @title Installing and uninstalling plugins
/// @dev Uninstalling undoes what installing did, step by step, from the manifest that the plugin was installed with.
/// Everything a manifest adds either belongs to the plugin alone (execution functions, validation functions,
/// permissions) or is counted (hooks, interfaces, dependents), so it can be removed whatever was installed in between.
abstract contract PluginManager is IModularAccount {
    using LibSelectorStorage for SelectorStorage;
    using LibHookList for mapping(uint256 => HookEntry);

    bytes4 private constant INVALID_INTERFACE = 0xffffffff;

    /* Installing and uninstalling */

    /// @dev Installs a plugin; see `installPlugin`. The order of the checks is part of the behaviour.
    function _installPlugin(
        address plugin,
        bytes32 manifestHash,
        bytes memory pluginInstallData,
        FunctionReference[] memory dependencies
    ) internal {
        AccountStorage storage account = accountStorage();
        PluginStorage storage record = account.plugins[plugin];

        if (plugin == address(0) || record.state.isInstalled()) revert PluginAlreadyInstalled(plugin);
        if (!LibERC165.hasInterface(plugin, type(IPlugin).interfaceId)) revert PluginInterfaceNotSupported(plugin);

        PluginManifest memory manifest = _checkedManifest(_requestManifest(plugin), manifestHash);

        uint256 dependencyWords = _addDependencies(account, record, manifest.dependencyInterfaceIds, dependencies);
        record.manifestHash = manifestHash;
        record.state = LibPluginState.create(
            _newest(account), dependencyWords, manifest.permitAnyExternalAddress, manifest.canSpendNativeToken
        );
        account.newestPlugin = plugin;

        _applyManifest(account, record, manifest, plugin, dependencies, true);
        _share(account);

        (bool success, bytes memory reason) =
            _callback(plugin, 0, abi.encodeCall(IPlugin.onInstall, (pluginInstallData)), true);
        if (!success) revert PluginInstallCallbackFailed(plugin, reason);

        // A plugin is installed only when its callback has succeeded.
        // slither-disable-next-line reentrancy-events
        emit PluginInstalled(plugin, manifestHash, _unwrap(dependencies));
    }

    /// @dev Uninstalls a plugin; see `uninstallPlugin`.
    function _uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData) internal {
        AccountStorage storage account = accountStorage();
        PluginStorage storage record = account.plugins[plugin];
        PluginState state = record.state;

        if (!state.isInstalled()) revert PluginNotInstalled(plugin);

        UninstallPluginConfig memory decodedConfig;
        if (config.length != 0) decodedConfig = abi.decode(config, (UninstallPluginConfig));

        bytes memory serializedManifest = decodedConfig.serializedManifest;
        PluginManifest memory manifest = _checkedManifest(
            serializedManifest.length == 0 ? _requestManifest(plugin) : serializedManifest, record.manifestHash
        );
        if (state.dependents() != 0) revert PluginDependencyViolation(plugin);

        // Functions to remove need not be resolved, and hooks cannot be dependencies.
        FunctionReference[] memory noDependencies;
        _applyManifest(account, record, manifest, plugin, noDependencies, false);
        _removeDependencies(account, record, state.dependencyWords());
        _unlink(account, plugin, state.next());
        record.state = PluginState.wrap(0);
        record.manifestHash = 0;
        _share(account);

        (bool success, bytes memory reason) = _callback(
            plugin,
            decodedConfig.callbackGasLimit,
            abi.encodeCall(IPlugin.onUninstall, (pluginUninstallData)),
            !decodedConfig.forceUninstall
        );
        if (!success && !decodedConfig.forceUninstall) revert PluginUninstallCallbackFailed(plugin, reason);

        // The event reports whether the callback succeeded.
        // slither-disable-next-line reentrancy-events
        emit PluginUninstalled(plugin, success);
    }

    /// @dev Asks the plugin for its manifest.
    /// @return The encoded manifest. Reverts as the plugin does.
    function _requestManifest(address plugin) private view returns (bytes memory) {
        // Its error is passed on as it is. Only `initialize` installs several plugins, which the account's creator chose.
        // slither-disable-next-line calls-loop,low-level-calls
        (bool success, bytes memory answer) = plugin.staticcall(abi.encodeCall(IPlugin.pluginManifest, ()));
        if (!success) LowLevelCall.bubbleRevert(answer);
        // A call to an address without code succeeds and returns nothing.
        if (answer.length == 0) revert InvalidPluginManifest();
        return answer;
    }

    /// @dev The manifest, whose canonical encoding must have this hash; the given encoding need not be canonical.
    function _checkedManifest(bytes memory serializedManifest, bytes32 manifestHash)
        private
        pure
        returns (PluginManifest memory manifest)
    {
        manifest = abi.decode(serializedManifest, (PluginManifest));
        if (keccak256(abi.encode(manifest)) != manifestHash) revert InvalidPluginManifest();
    }

    /// @dev Adds or removes everything in the manifest. The order within a list matters only for adding: later entries
    /// are newer.
    function _applyManifest(
        AccountStorage storage account,
        PluginStorage storage record,
        PluginManifest memory manifest,
        address plugin,
        FunctionReference[] memory dependencies,
        bool add
    ) private {
        _setPermissions(record, manifest, add);
        for (uint256 i = 0; i < manifest.executionFunctions.length; ++i) {
            bytes4 selector = manifest.executionFunctions[i];
            if (add) _addExecutionFunction(account.selectors[selector], selector, plugin);
            else account.selectors[selector].clear(Role.EXECUTION);
        }
        _applyValidationFunctions(
            account, manifest.userOpValidationFunctions, Role.USER_OP_VALIDATION, plugin, dependencies, add
        );
        _applyValidationFunctions(
            account, manifest.runtimeValidationFunctions, Role.RUNTIME_VALIDATION, plugin, dependencies, add
        );
        _applyValidationHooks(account, manifest.preUserOpValidationHooks, HookKind.PRE_USER_OP_VALIDATION, plugin, add);
        _applyValidationHooks(account, manifest.preRuntimeValidationHooks, HookKind.PRE_RUNTIME_VALIDATION, plugin, add);
        for (uint256 i = 0; i < manifest.executionHooks.length; ++i) {
            _applyExecutionHook(account, manifest.executionHooks[i], plugin, add);
        }
        for (uint256 i = 0; i < manifest.interfaceIds.length; ++i) {
            bytes4 interfaceId = manifest.interfaceIds[i];
            if (interfaceId == type(IPlugin).interfaceId || interfaceId == INVALID_INTERFACE) {
                revert InterfaceNotAllowed();
            }
            uint256 claims = account.supportedInterfaces[interfaceId];
            account.supportedInterfaces[interfaceId] = add ? claims + 1 : claims - 1;
        }
    }

    /* Dependencies and permissions */

    /// @dev Records the plugin's dependencies, and counts it as a dependent of each, once per word.
    /// @return words The number of words written.
    function _addDependencies(
        AccountStorage storage account,
        PluginStorage storage record,
        bytes4[] memory interfaceIds,
        FunctionReference[] memory dependencies
    ) private returns (uint256 words) {
        if (dependencies.length != interfaceIds.length) {
            revert InvalidDependenciesProvided();
        }

        DependencyWord word;
        for (uint256 i = 0; i < dependencies.length; ++i) {
            (address dependency, uint8 functionId) = dependencies[i].unpack();
            if (!account.plugins[dependency].state.isInstalled()) revert MissingPluginDependency(dependency);
            if (!LibERC165.hasInterface(dependency, interfaceIds[i])) revert InvalidDependenciesProvided();

            if (!word.takes(dependency)) {
                if (word.count() != 0) record.dependencies[words++] = word;
                account.plugins[dependency].state = account.plugins[dependency].state.oneMoreDependent();
                word = LibDependencyWord.create(dependency);
            }
            word = word.withFunction(functionId);
        }
        if (word.count() != 0) record.dependencies[words++] = word;
    }

    /// @dev Undoes `_addDependencies`.
    function _removeDependencies(AccountStorage storage account, PluginStorage storage record, uint256 words) private {
        for (uint256 i = 0; i < words; ++i) {
            address dependency = record.dependencies[i].plugin();
            account.plugins[dependency].state = account.plugins[dependency].state.oneDependentLess();
            record.dependencies[i] = DependencyWord.wrap(0);
        }
    }

    /// @dev Grants or revokes the permissions of the manifest. A manifest may name an address or a selector more than
    /// once; one grant is enough.
    function _setPermissions(PluginStorage storage record, PluginManifest memory manifest, bool permitted) private {
        for (uint256 i = 0; i < manifest.permittedExecutionSelectors.length; ++i) {
            record.executionSelectorPermitted[manifest.permittedExecutionSelectors[i]] = permitted;
        }
        for (uint256 i = 0; i < manifest.permittedExternalCalls.length; ++i) {
            ManifestExternalCallPermission memory calls = manifest.permittedExternalCalls[i];
            ExternalCallPermission storage permission = record.externalCallPermissions[calls.externalAddress];
            permission.addressPermitted = permitted;
            if (calls.permitAnySelector) {
                permission.anySelectorPermitted = permitted;
            } else {
                for (uint256 j = 0; j < calls.selectors.length; ++j) {
                    permission.selectorPermitted[calls.selectors[j]] = permitted;
                }
            }
        }
    }

    /// @dev Removes a plugin from the list of installed plugins. `next` is the next older one.
    function _unlink(AccountStorage storage account, address plugin, address next) private {
        address current = account.newestPlugin;
        if (current == plugin) {
            account.newestPlugin = next == END_OF_PLUGINS ? address(0) : next;
            return;
        }
        PluginState state = account.plugins[current].state;
        while (state.next() != plugin) {
            current = state.next();
            state = account.plugins[current].state;
        }
        account.plugins[current].state = state.withNext(next);
    }

    /* Functions */

    /// @dev Assigns an execution function to the plugin. Reverts if it is taken or reserved.
    function _addExecutionFunction(SelectorStorage storage record, bytes4 selector, address plugin) private {
        if (record.config.cellOf(Role.EXECUTION) != 0) revert ExecutionFunctionAlreadySet(selector);
        if (ReservedSelectors.isNative(selector)) revert NativeFunctionNotAllowed(selector);
        if (ReservedSelectors.isPluginFunction(selector)) revert IPluginFunctionNotAllowed(selector);
        if (ReservedSelectors.isErc4337Function(selector)) revert Erc4337FunctionNotAllowed(selector);
        record.assign(Role.EXECUTION, plugin, 0);
    }

    /// @dev Adds the manifest's validation functions of a role, or removes them.
    function _applyValidationFunctions(
        AccountStorage storage account,
        ManifestAssociatedFunction[] memory functions,
        Role role,
        address plugin,
        FunctionReference[] memory dependencies,
        bool add
    ) private {
        for (uint256 i = 0; i < functions.length; ++i) {
            bytes4 selector = functions[i].executionSelector;
            SelectorStorage storage record = account.selectors[selector];
            if (!add) {
                record.clear(role);
                continue;
            }
            FunctionReference validation = _resolve(functions[i].associatedFunction, plugin, dependencies);
            if (validation.isNone()) revert NullFunctionReference();
            bool isRuntime = role == Role.RUNTIME_VALIDATION;
            if (validation == PRE_HOOK_ALWAYS_DENY || (validation == RUNTIME_VALIDATION_ALWAYS_ALLOW && !isRuntime)) {
                revert InvalidPluginManifest();
            }
            if (!record.functionOf(record.config, role).isNone()) {
                _revertWithSelectorAnd(
                    isRuntime
                        ? RuntimeValidationFunctionAlreadySet.selector
                        : UserOpValidationFunctionAlreadySet.selector,
                    selector,
                    validation
                );
            }
            (address validator, uint8 functionId) = validation.unpack();
            record.assign(role, validator, functionId);
        }
    }

    /// @dev The function that a manifest refers to.
    function _resolve(ManifestFunction memory manifestFunction, address plugin, FunctionReference[] memory dependencies)
        private
        pure
        returns (FunctionReference)
    {
        ManifestAssociatedFunctionType kind = manifestFunction.functionType;
        if (kind == ManifestAssociatedFunctionType.SELF) return packReference(plugin, manifestFunction.functionId);
        if (kind == ManifestAssociatedFunctionType.RUNTIME_VALIDATION_ALWAYS_ALLOW) {
            return RUNTIME_VALIDATION_ALWAYS_ALLOW;
        }
        if (kind == ManifestAssociatedFunctionType.PRE_HOOK_ALWAYS_DENY) return PRE_HOOK_ALWAYS_DENY;
        if (kind == ManifestAssociatedFunctionType.NONE) return NONE;
        if (manifestFunction.dependencyIndex >= dependencies.length) revert InvalidPluginManifest();
        return dependencies[manifestFunction.dependencyIndex];
    }

    /* Hooks */

    /// @dev A hook is a function of the plugin itself; PRE_HOOK_ALWAYS_DENY, which the caller checks; or none.
    function _resolveHook(ManifestFunction memory manifestFunction, address plugin)
        private
        pure
        returns (FunctionReference hook)
    {
        FunctionReference[] memory noDependencies;
        hook = _resolve(manifestFunction, plugin, noDependencies);
        if (hook == RUNTIME_VALIDATION_ALWAYS_ALLOW) revert InvalidPluginManifest();
    }

    /// @dev Adds the manifest's validation hooks of a kind, or removes them.
    function _applyValidationHooks(
        AccountStorage storage account,
        ManifestAssociatedFunction[] memory functions,
        HookKind kind,
        address plugin,
        bool add
    ) private {
        for (uint256 i = 0; i < functions.length; ++i) {
            FunctionReference hook = _resolveHook(functions[i].associatedFunction, plugin);
            if (hook.isNone()) revert NullFunctionReference();
            bytes4 selector = functions[i].executionSelector;
            SelectorStorage storage record = account.selectors[selector];
            if (add) _addHook(record, kind, hook, selector);
            else _removeHook(record, kind, hook);
        }
    }

    /// @dev Adds an execution hook of the manifest, or removes it: a pre hook with or without its post hook, or a post hook alone.
    function _applyExecutionHook(
        AccountStorage storage account,
        ManifestExecutionHook memory manifestHook,
        address plugin,
        bool add
    ) private {
        FunctionReference preHook = _resolveHook(manifestHook.preExecHook, plugin);
        FunctionReference postHook = _resolveHook(manifestHook.postExecHook, plugin);
        if (postHook == PRE_HOOK_ALWAYS_DENY) revert InvalidPluginManifest();
        if (preHook.isNone() && postHook.isNone()) revert NullFunctionReference();

        bytes4 selector = manifestHook.executionSelector;
        SelectorStorage storage record = account.selectors[selector];
        if (preHook.isNone()) {
            if (add) _addHook(record, HookKind.POST_ONLY_EXECUTION, postHook, selector);
            else _removeHook(record, HookKind.POST_ONLY_EXECUTION, postHook);
        } else {
            if (add) _addHook(record, HookKind.PRE_EXECUTION, preHook, selector);
            if (!postHook.isNone()) _applyPairedPostHook(record, preHook, postHook, selector, add);
            if (!add) _removeHook(record, HookKind.PRE_EXECUTION, preHook);
        }
    }

    /// @dev Pairs a post hook with a pre hook, or undoes that.
    /// @param preHook Is in its list.
    function _applyPairedPostHook(
        SelectorStorage storage record,
        FunctionReference preHook,
        FunctionReference postHook,
        bytes4 selector,
        bool add
    ) private {
        mapping(uint256 => HookEntry) storage preHooks = record.hooks[uint256(HookKind.PRE_EXECUTION)];
        mapping(uint256 => HookEntry) storage paired = record.pairedPostHooks[preHook];
        uint256 index = preHooks.indexOf(record.config.hookCount(HookKind.PRE_EXECUTION), preHook);
        uint256 length = preHooks[index].pairedCount();
        uint256 newLength;
        if (add) {
            bool full;
            (newLength, full) = paired.add(length, postHook);
            if (full) _revertWithSelectorAnd(DuplicateHookLimitExceeded.selector, selector, postHook);
        } else {
            newLength = paired.remove(length, postHook);
        }
        if (newLength != length) preHooks[index] = preHooks[index].withPairedCount(newLength);
    }

    /// @dev Adds a copy of a hook to the list of its kind.
    function _addHook(SelectorStorage storage record, HookKind kind, FunctionReference hook, bytes4 selector) private {
        uint256 length = record.config.hookCount(kind);
        (uint256 newLength, bool full) = record.hooks[uint256(kind)].add(length, hook);
        if (full) {
            bytes4 limitError = DuplicateHookLimitExceeded.selector;
            if (kind == HookKind.PRE_USER_OP_VALIDATION) {
                limitError = DuplicatePreUserOpValidationHookLimitExceeded.selector;
            } else if (kind == HookKind.PRE_RUNTIME_VALIDATION) {
                limitError = DuplicatePreRuntimeValidationHookLimitExceeded.selector;
            }
            _revertWithSelectorAnd(limitError, selector, hook);
        }
        if (newLength != length) record.config = record.config.withHookCount(kind, newLength);
    }

    /// @dev Removes a copy of a hook from the list of its kind.
    function _removeHook(SelectorStorage storage record, HookKind kind, FunctionReference hook) private {
        uint256 length = record.config.hookCount(kind);
        uint256 newLength = record.hooks[uint256(kind)].remove(length, hook);
        if (newLength != length) record.config = record.config.withHookCount(kind, newLength);
    }

    /// @dev Reverts with one of the five errors that have these arguments.
    function _revertWithSelectorAnd(bytes4 errorSelector, bytes4 selector, FunctionReference argument) private pure {
        LowLevelCall.bubbleRevert(abi.encodeWithSelector(errorSelector, selector, argument));
    }

    /// @dev Updates all copies of what `executeFromPluginExternal`, `execute` and `executeBatch` need: see
    /// `PluginState` and `PluginFilter`. Most of these words are warm already, and few change.
    function _share(AccountStorage storage account) private {
        bool hooked = account.selectors[IPluginExecutor.executeFromPluginExternal.selector].config.hasExecutionHooks();
        PluginFilter filter;
        for (
            address plugin = _newest(account); plugin != END_OF_PLUGINS; plugin = account.plugins[plugin].state.next()) {
            filter = filter.with(plugin);
        }
        for (address plugin = _newest(account); plugin != END_OF_PLUGINS;) {
            PluginState state = account.plugins[plugin].state;
            if (state.areExternalCallsHooked() != hooked || !state.filter().equals(filter)) {
                account.plugins[plugin].state = state.withShared(hooked, filter);
            }
            plugin = state.next();
        }
        _setFilter(account.selectors[IStandardExecutor.execute.selector], filter);
        _setFilter(account.selectors[IStandardExecutor.executeBatch.selector], filter);
    }

    /// @dev Stores the filter in a selector's word if it differs.
    function _setFilter(SelectorStorage storage record, PluginFilter filter) private {
        SelectorConfig config = record.config;
        if (!config.filter().equals(filter)) record.config = config.withFilter(filter);
    }

    /// @dev The newest plugin; `END_OF_PLUGINS` if there is none.
    function _newest(AccountStorage storage account) private view returns (address newest) {
        newest = account.newestPlugin;
        if (newest == address(0)) newest = END_OF_PLUGINS;
    }

    /* Callbacks */

    /// @dev Calls `onInstall` or `onUninstall`. An address without code counts as a failure. Return data is copied only
    /// if it is needed, so a plugin cannot make a forced uninstall run out of gas.
    /// @param gasLimit Gas units; zero for no limit.
    function _callback(address plugin, uint256 gasLimit, bytes memory data, bool wantsReason)
        private
        returns (bool success, bytes memory reason)
    {
        assembly ("memory-safe") {
            // More than is left means all that a call can pass on (EIP-150).
            if iszero(gasLimit) { gasLimit := not(0) }
            let called := call(gasLimit, plugin, 0, add(data, 0x20), mload(data), 0, 0)
            success := and(called, iszero(iszero(extcodesize(plugin))))
            if and(iszero(called), wantsReason) {
                reason := mload(0x40)
                mstore(reason, returndatasize())
                returndatacopy(add(reason, 0x20), 0, returndatasize())
                mstore(0x40, and(add(add(reason, returndatasize()), 0x3f), not(0x1f)))
            }
        }
    }

    /// @dev The same references, without their type, in place.
    function _unwrap(FunctionReference[] memory references) private pure returns (bytes21[] memory raw) {
        assembly ("memory-safe") {
            raw := references
        }
    }
}
