// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

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
import {
    AccountStorage,
    accountStorage,
    DependencyWord,
    ExternalCallPermission,
    PluginStorage,
    SelectorStorage
} from "./AccountStorage.sol";
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
import {END_OF_PLUGINS, LibPluginState, PluginState} from "./PluginState.sol";
import {ReservedSelectors} from "./ReservedSelectors.sol";
import {HookKind, Role, SelectorConfig} from "./SelectorConfig.sol";

/// @title Installing and uninstalling plugins
/// @dev Uninstalling undoes what installing did, step by step, from the manifest that the plugin was installed with: what a
/// manifest adds is either the plugin's alone (execution functions, validation functions, permissions) or counted (hooks,
/// interfaces, dependents), so that it can be taken away whatever was installed in between.
abstract contract PluginManager is IModularAccount {
    using LibSelectorStorage for SelectorStorage;
    using LibHookList for mapping(uint256 => HookEntry);

    bytes4 private constant INVALID_INTERFACE = 0xffffffff;

    // Layout of a `DependencyWord`.
    uint256 private constant MAX_FUNCTIONS_PER_DEPENDENCY_WORD = 11;
    uint256 private constant FUNCTION_COUNT_POSITION = 160;
    uint256 private constant FUNCTION_IDS_POSITION = 168;

    // What a manifest function may be, besides a function of the plugin itself.
    uint256 private constant ALLOW_NONE = 1;
    uint256 private constant ALLOW_DEPENDENCY = 2;
    uint256 private constant ALLOW_RUNTIME_ALWAYS_ALLOW = 4;
    uint256 private constant ALLOW_PRE_HOOK_ALWAYS_DENY = 8;

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

        PluginManifest memory manifest = IPlugin(plugin).pluginManifest();
        if (keccak256(abi.encode(manifest)) != manifestHash) revert InvalidPluginManifest();

        uint256 dependencyWords = _addDependencies(account, record, manifest.dependencyInterfaceIds, dependencies);
        record.manifestHash = manifestHash;
        // Before the manifest's hooks are added: if they are the first of `executeFromPluginExternal`, then
        // `_markExternalCallsHooked` finds this plugin in the list.
        address next = account.newestPlugin;
        record.state = LibPluginState.create(
            next == address(0) ? END_OF_PLUGINS : next,
            dependencyWords,
            manifest.permitAnyExternalAddress,
            manifest.canSpendNativeToken,
            account.selectors[IModularAccount.executeFromPluginExternal.selector].config.hasExecutionHooks()
        );
        account.newestPlugin = plugin;

        _setPermissions(record, manifest, true);
        for (uint256 i = 0; i < manifest.executionFunctions.length; ++i) {
            _addExecutionFunction(account, manifest.executionFunctions[i], plugin);
        }
        _addValidationFunctions(account, manifest.userOpValidationFunctions, Role.USER_OP_VALIDATION, plugin, dependencies);
        _addValidationFunctions(
            account, manifest.runtimeValidationFunctions, Role.RUNTIME_VALIDATION, plugin, dependencies
        );
        _addValidationHooks(account, manifest.preUserOpValidationHooks, HookKind.PRE_USER_OP_VALIDATION, plugin);
        _addValidationHooks(account, manifest.preRuntimeValidationHooks, HookKind.PRE_RUNTIME_VALIDATION, plugin);
        for (uint256 i = 0; i < manifest.executionHooks.length; ++i) {
            _addExecutionHook(account, manifest.executionHooks[i], plugin);
        }
        for (uint256 i = 0; i < manifest.interfaceIds.length; ++i) {
            bytes4 interfaceId = manifest.interfaceIds[i];
            if (interfaceId == type(IPlugin).interfaceId || interfaceId == INVALID_INTERFACE) {
                revert InterfaceNotAllowed();
            }
            ++account.supportedInterfaces[interfaceId];
        }

        (bool success, bytes memory reason) =
            _callback(plugin, gasleft(), abi.encodeCall(IPlugin.onInstall, (pluginInstallData)), true);
        if (!success) revert PluginInstallCallbackFailed(plugin, reason);

        emit PluginInstalled(plugin, manifestHash, _unwrap(dependencies));
    }

    function _uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData) internal {
        AccountStorage storage account = accountStorage();
        PluginStorage storage record = account.plugins[plugin];
        PluginState state = record.state;

        if (!state.isInstalled()) revert PluginNotInstalled(plugin);

        UninstallPluginConfig memory decodedConfig;
        if (config.length != 0) decodedConfig = abi.decode(config, (UninstallPluginConfig));

        PluginManifest memory manifest;
        if (decodedConfig.serializedManifest.length != 0) {
            manifest = abi.decode(decodedConfig.serializedManifest, (PluginManifest));
        } else {
            if (plugin.code.length == 0) revert InvalidPluginManifest();
            manifest = IPlugin(plugin).pluginManifest();
        }
        if (keccak256(abi.encode(manifest)) != record.manifestHash) revert InvalidPluginManifest();
        if (state.dependents() != 0) revert PluginDependencyViolation(plugin);

        for (uint256 i = manifest.interfaceIds.length; i != 0; --i) {
            --account.supportedInterfaces[manifest.interfaceIds[i - 1]];
        }
        for (uint256 i = manifest.executionHooks.length; i != 0; --i) {
            _removeExecutionHook(account, manifest.executionHooks[i - 1], plugin);
        }
        _removeValidationHooks(account, manifest.preRuntimeValidationHooks, HookKind.PRE_RUNTIME_VALIDATION, plugin);
        _removeValidationHooks(account, manifest.preUserOpValidationHooks, HookKind.PRE_USER_OP_VALIDATION, plugin);
        for (uint256 i = manifest.runtimeValidationFunctions.length; i != 0; --i) {
            account.selectors[manifest.runtimeValidationFunctions[i - 1].executionSelector].clear(
                Role.RUNTIME_VALIDATION
            );
        }
        for (uint256 i = manifest.userOpValidationFunctions.length; i != 0; --i) {
            account.selectors[manifest.userOpValidationFunctions[i - 1].executionSelector].clear(
                Role.USER_OP_VALIDATION
            );
        }
        for (uint256 i = manifest.executionFunctions.length; i != 0; --i) {
            account.selectors[manifest.executionFunctions[i - 1]].clear(Role.EXECUTION);
        }
        _setPermissions(record, manifest, false);
        _removeDependencies(account, record, state.dependencyWords());
        _unlink(account, plugin, state.next());
        record.state = PluginState.wrap(0);
        record.manifestHash = 0;

        (bool success, bytes memory reason) = _callback(
            plugin,
            decodedConfig.callbackGasLimit == 0 ? gasleft() : decodedConfig.callbackGasLimit,
            abi.encodeCall(IPlugin.onUninstall, (pluginUninstallData)),
            !decodedConfig.forceUninstall
        );
        if (!success && !decodedConfig.forceUninstall) revert PluginUninstallCallbackFailed(plugin, reason);

        emit PluginUninstalled(plugin, success);
    }

    /* Dependencies and permissions */

    /// @return words How many words were written.
    function _addDependencies(
        AccountStorage storage account,
        PluginStorage storage record,
        bytes4[] memory interfaceIds,
        FunctionReference[] memory dependencies
    ) private returns (uint256 words) {
        if (dependencies.length != interfaceIds.length) revert InvalidDependenciesProvided();

        uint256 word = 0;
        for (uint256 i = 0; i < dependencies.length; ++i) {
            (address dependency, uint8 functionId) = dependencies[i].unpack();
            if (!account.plugins[dependency].state.isInstalled()) revert MissingPluginDependency(dependency);
            if (!LibERC165.hasInterface(dependency, interfaceIds[i])) revert InvalidDependenciesProvided();

            uint256 count = uint8(word >> FUNCTION_COUNT_POSITION);
            if (count == 0 || address(uint160(word)) != dependency || count == MAX_FUNCTIONS_PER_DEPENDENCY_WORD) {
                if (count != 0) record.dependencies[words++] = DependencyWord.wrap(word);
                account.plugins[dependency].state = account.plugins[dependency].state.oneMoreDependent();
                word = uint160(dependency);
                count = 0;
            }
            word += 1 << FUNCTION_COUNT_POSITION;
            word |= uint256(functionId) << (FUNCTION_IDS_POSITION + 8 * count);
        }
        if (word != 0) record.dependencies[words++] = DependencyWord.wrap(word);
    }

    function _removeDependencies(AccountStorage storage account, PluginStorage storage record, uint256 words) private {
        for (uint256 i = 0; i < words; ++i) {
            address dependency = address(uint160(DependencyWord.unwrap(record.dependencies[i])));
            account.plugins[dependency].state = account.plugins[dependency].state.oneDependentLess();
            record.dependencies[i] = DependencyWord.wrap(0);
        }
    }

    /// @dev A manifest may name an address or a selector more than once; what is permitted once is permitted.
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

    function _addExecutionFunction(AccountStorage storage account, bytes4 selector, address plugin) private {
        SelectorStorage storage record = account.selectors[selector];
        if (record.config.cellOf(Role.EXECUTION) != 0) revert ExecutionFunctionAlreadySet(selector);
        if (ReservedSelectors.isNative(selector)) revert NativeFunctionNotAllowed(selector);
        if (ReservedSelectors.isPluginFunction(selector)) revert IPluginFunctionNotAllowed(selector);
        if (ReservedSelectors.isErc4337Function(selector)) revert Erc4337FunctionNotAllowed(selector);
        record.assign(Role.EXECUTION, plugin, 0);
    }

    function _addValidationFunctions(
        AccountStorage storage account,
        ManifestAssociatedFunction[] memory functions,
        Role role,
        address plugin,
        FunctionReference[] memory dependencies
    ) private {
        bool isRuntime = role == Role.RUNTIME_VALIDATION;
        uint256 allowed = ALLOW_NONE | ALLOW_DEPENDENCY | (isRuntime ? ALLOW_RUNTIME_ALWAYS_ALLOW : 0);
        for (uint256 i = 0; i < functions.length; ++i) {
            FunctionReference reference = _resolve(functions[i].associatedFunction, plugin, dependencies, allowed);
            if (reference.isNone()) revert NullFunctionReference();

            bytes4 selector = functions[i].executionSelector;
            SelectorStorage storage record = account.selectors[selector];
            if (!record.functionOf(record.config, role).isNone()) {
                bytes21 raw = FunctionReference.unwrap(reference);
                if (isRuntime) revert RuntimeValidationFunctionAlreadySet(selector, raw);
                revert UserOpValidationFunctionAlreadySet(selector, raw);
            }
            (address validator, uint8 functionId) = reference.unpack();
            record.assign(role, validator, functionId);
        }
    }

    /// @param allowed Sum of the ALLOW constants.
    function _resolve(
        ManifestFunction memory manifestFunction,
        address plugin,
        FunctionReference[] memory dependencies,
        uint256 allowed
    ) private pure returns (FunctionReference) {
        ManifestAssociatedFunctionType kind = manifestFunction.functionType;
        if (kind == ManifestAssociatedFunctionType.SELF) return packReference(plugin, manifestFunction.functionId);
        if (kind == ManifestAssociatedFunctionType.DEPENDENCY) {
            uint256 index = manifestFunction.dependencyIndex;
            if (allowed & ALLOW_DEPENDENCY != 0 && index < dependencies.length) return dependencies[index];
        } else if (kind == ManifestAssociatedFunctionType.RUNTIME_VALIDATION_ALWAYS_ALLOW) {
            if (allowed & ALLOW_RUNTIME_ALWAYS_ALLOW != 0) return RUNTIME_VALIDATION_ALWAYS_ALLOW;
        } else if (kind == ManifestAssociatedFunctionType.PRE_HOOK_ALWAYS_DENY) {
            if (allowed & ALLOW_PRE_HOOK_ALWAYS_DENY != 0) return PRE_HOOK_ALWAYS_DENY;
        } else if (allowed & ALLOW_NONE != 0) {
            return NONE;
        }
        revert InvalidPluginManifest();
    }

    /* Hooks */

    function _addValidationHooks(
        AccountStorage storage account,
        ManifestAssociatedFunction[] memory functions,
        HookKind kind,
        address plugin
    ) private {
        bytes4 limitError = kind == HookKind.PRE_USER_OP_VALIDATION
            ? DuplicatePreUserOpValidationHookLimitExceeded.selector
            : DuplicatePreRuntimeValidationHookLimitExceeded.selector;
        for (uint256 i = 0; i < functions.length; ++i) {
            FunctionReference hook = _resolveHook(functions[i].associatedFunction, plugin, ALLOW_PRE_HOOK_ALWAYS_DENY);
            if (hook.isNone()) revert NullFunctionReference();
            _addHook(account.selectors[functions[i].executionSelector], kind, hook, limitError, functions[i].executionSelector);
        }
    }

    function _removeValidationHooks(
        AccountStorage storage account,
        ManifestAssociatedFunction[] memory functions,
        HookKind kind,
        address plugin
    ) private {
        for (uint256 i = functions.length; i != 0; --i) {
            ManifestAssociatedFunction memory associated = functions[i - 1];
            FunctionReference hook = _resolveHook(associated.associatedFunction, plugin, ALLOW_PRE_HOOK_ALWAYS_DENY);
            _removeHook(account.selectors[associated.executionSelector], kind, hook);
        }
    }

    function _resolveHook(ManifestFunction memory manifestFunction, address plugin, uint256 allowed)
        private
        pure
        returns (FunctionReference)
    {
        FunctionReference[] memory noDependencies;
        return _resolve(manifestFunction, plugin, noDependencies, ALLOW_NONE | allowed);
    }

    function _addExecutionHook(
        AccountStorage storage account,
        ManifestExecutionHook memory manifestHook,
        address plugin
    ) private {
        FunctionReference preHook = _resolveHook(manifestHook.preExecHook, plugin, ALLOW_PRE_HOOK_ALWAYS_DENY);
        FunctionReference postHook = _resolveHook(manifestHook.postExecHook, plugin, 0);
        bytes4 selector = manifestHook.executionSelector;
        SelectorStorage storage record = account.selectors[selector];
        bytes4 limitError = DuplicateHookLimitExceeded.selector;

        bool hadHooks = record.config.hasExecutionHooks();
        if (preHook.isNone()) {
            if (postHook.isNone()) revert NullFunctionReference();
            _addHook(record, HookKind.POST_ONLY_EXECUTION, postHook, limitError, selector);
        } else {
            uint256 index = _addHook(record, HookKind.PRE_EXECUTION, preHook, limitError, selector);
            if (!postHook.isNone()) {
                HookEntry entry = record.hooks[uint256(HookKind.PRE_EXECUTION)][index];
                uint256 length = entry.pairedCount();
                (uint256 pairedIndex, bool full) = record.pairedPostHooks[preHook].add(length, postHook);
                if (full) _revertLimitExceeded(limitError, selector, postHook);
                if (pairedIndex == length) {
                    record.hooks[uint256(HookKind.PRE_EXECUTION)][index] = entry.withPairedCount(length + 1);
                }
            }
        }
        if (!hadHooks && selector == IModularAccount.executeFromPluginExternal.selector) {
            _markExternalCallsHooked(account, true);
        }
    }

    function _removeExecutionHook(
        AccountStorage storage account,
        ManifestExecutionHook memory manifestHook,
        address plugin
    ) private {
        FunctionReference preHook = _resolveHook(manifestHook.preExecHook, plugin, ALLOW_PRE_HOOK_ALWAYS_DENY);
        FunctionReference postHook = _resolveHook(manifestHook.postExecHook, plugin, 0);
        bytes4 selector = manifestHook.executionSelector;
        SelectorStorage storage record = account.selectors[selector];

        if (preHook.isNone()) {
            _removeHook(record, HookKind.POST_ONLY_EXECUTION, postHook);
        } else {
            if (!postHook.isNone()) {
                mapping(uint256 => HookEntry) storage preHooks = record.hooks[uint256(HookKind.PRE_EXECUTION)];
                mapping(uint256 => HookEntry) storage paired = record.pairedPostHooks[preHook];
                uint256 index = preHooks.indexOf(record.config.hookCount(HookKind.PRE_EXECUTION), preHook);
                HookEntry entry = preHooks[index];
                uint256 length = entry.pairedCount();
                preHooks[index] = entry.withPairedCount(paired.remove(length, paired.indexOf(length, postHook)));
            }
            _removeHook(record, HookKind.PRE_EXECUTION, preHook);
        }
        if (
            selector == IModularAccount.executeFromPluginExternal.selector && !record.config.hasExecutionHooks()
        ) {
            _markExternalCallsHooked(account, false);
        }
    }

    /// @return index Where the hook is.
    function _addHook(
        SelectorStorage storage record,
        HookKind kind,
        FunctionReference hook,
        bytes4 limitError,
        bytes4 selector
    ) private returns (uint256 index) {
        SelectorConfig config = record.config;
        uint256 length = config.hookCount(kind);
        bool full;
        (index, full) = record.hooks[uint256(kind)].add(length, hook);
        if (full) _revertLimitExceeded(limitError, selector, hook);
        if (index == length) record.config = config.withHookCount(kind, length + 1);
    }

    function _removeHook(SelectorStorage storage record, HookKind kind, FunctionReference hook) private {
        SelectorConfig config = record.config;
        mapping(uint256 => HookEntry) storage list = record.hooks[uint256(kind)];
        uint256 length = config.hookCount(kind);
        uint256 newLength = list.remove(length, list.indexOf(length, hook));
        if (newLength != length) record.config = config.withHookCount(kind, newLength);
    }

    /// @dev The three errors have the same arguments.
    function _revertLimitExceeded(bytes4 limitError, bytes4 selector, FunctionReference hook) private pure {
        bytes memory encoded = abi.encodeWithSelector(limitError, selector, hook);
        assembly ("memory-safe") {
            revert(add(encoded, 0x20), mload(encoded))
        }
    }

    /// @dev Happens when the first execution hook of `executeFromPluginExternal` comes or the last one goes; see `PluginState`.
    function _markExternalCallsHooked(AccountStorage storage account, bool hooked) private {
        address plugin = account.newestPlugin;
        while (plugin != END_OF_PLUGINS && plugin != address(0)) {
            PluginState state = account.plugins[plugin].state;
            account.plugins[plugin].state = state.withExternalCallsHooked(hooked);
            plugin = state.next();
        }
    }

    /* Callbacks */

    /// @dev An address without code fails. What a plugin returns is copied only where it is needed, so that it cannot make the
    /// account run out of gas when it is uninstalled by force.
    function _callback(address plugin, uint256 gasLimit, bytes memory data, bool wantsReason)
        private
        returns (bool success, bytes memory reason)
    {
        assembly ("memory-safe") {
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

    function _unwrap(FunctionReference[] memory references) private pure returns (bytes21[] memory raw) {
        assembly ("memory-safe") {
            raw := references
        }
    }
}
