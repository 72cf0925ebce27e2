// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccountLoupe} from "../interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../interfaces/IModularAccount.sol";
import {accountStorage, SelectorStorage} from "./AccountStorage.sol";
import {FunctionReference} from "./FunctionReference.sol";
import {HookEntry, LibHookList} from "./HookList.sol";
import {LibSelectorStorage} from "./LibSelectorStorage.sol";
import {END_OF_PLUGINS} from "./PluginState.sol";
import {ReservedSelectors} from "./ReservedSelectors.sol";
import {HookKind, Role, SelectorConfig} from "./SelectorConfig.sol";

/// @title Views of an account's plugins, functions and hooks
abstract contract AccountLoupe is IModularAccount {
    using LibSelectorStorage for SelectorStorage;
    using LibHookList for mapping(uint256 => HookEntry);

    /// @inheritdoc IAccountLoupe
    function getExecutionFunctionConfig(bytes4 selector) external view returns (ExecutionFunctionConfig memory config) {
        SelectorStorage storage record = accountStorage().selectors[selector];
        SelectorConfig word = record.config;
        config.plugin = ReservedSelectors.isNative(selector) ? address(this) : record.pluginOf(word, Role.EXECUTION);
        config.userOpValidationFunction = FunctionReference.unwrap(record.functionOf(word, Role.USER_OP_VALIDATION));
        config.runtimeValidationFunction = FunctionReference.unwrap(record.functionOf(word, Role.RUNTIME_VALIDATION));
    }

    /// @inheritdoc IAccountLoupe
    function getExecutionHooks(bytes4 selector) external view returns (ExecutionHooks[] memory execHooks) {
        SelectorStorage storage record = accountStorage().selectors[selector];
        HookEntry[] memory preHooks = _loadHooks(record, HookKind.PRE_EXECUTION);
        HookEntry[] memory postOnlyHooks = _loadHooks(record, HookKind.POST_ONLY_EXECUTION);

        uint256 count = postOnlyHooks.length;
        for (uint256 i = 0; i < preHooks.length; ++i) {
            uint256 paired = preHooks[i].pairedCount();
            count += paired == 0 ? 1 : paired;
        }
        execHooks = new ExecutionHooks[](count);
        count = 0;
        for (uint256 i = 0; i < preHooks.length; ++i) {
            FunctionReference preHook = preHooks[i].hook();
            HookEntry[] memory paired = record.pairedPostHooks[preHook].load(preHooks[i].pairedCount());
            if (paired.length == 0) execHooks[count++].preExecHook = FunctionReference.unwrap(preHook);
            for (uint256 j = 0; j < paired.length; ++j) {
                execHooks[count].preExecHook = FunctionReference.unwrap(preHook);
                execHooks[count++].postExecHook = FunctionReference.unwrap(paired[j].hook());
            }
        }
        for (uint256 i = 0; i < postOnlyHooks.length; ++i) {
            execHooks[count++].postExecHook = FunctionReference.unwrap(postOnlyHooks[i].hook());
        }
    }

    /// @inheritdoc IAccountLoupe
    function getPreValidationHooks(bytes4 selector)
        external
        view
        returns (bytes21[] memory preUserOpValidationHooks, bytes21[] memory preRuntimeValidationHooks)
    {
        SelectorStorage storage record = accountStorage().selectors[selector];
        preUserOpValidationHooks = _references(_loadHooks(record, HookKind.PRE_USER_OP_VALIDATION));
        preRuntimeValidationHooks = _references(_loadHooks(record, HookKind.PRE_RUNTIME_VALIDATION));
    }

    /// @inheritdoc IAccountLoupe
    function getInstalledPlugins() external view returns (address[] memory pluginAddresses) {
        address newest = accountStorage().newestPlugin;
        if (newest == address(0)) return pluginAddresses;

        uint256 count;
        for (address plugin = newest; plugin != END_OF_PLUGINS; plugin = accountStorage().plugins[plugin].state.next()) {
            ++count;
        }
        pluginAddresses = new address[](count);
        address current = newest;
        for (uint256 i = 0; i < count; ++i) {
            pluginAddresses[i] = current;
            current = accountStorage().plugins[current].state.next();
        }
    }

    /// @dev The hooks of a kind, newest first.
    function _loadHooks(SelectorStorage storage record, HookKind kind) private view returns (HookEntry[] memory) {
        return record.hooks[uint256(kind)].load(record.config.hookCount(kind));
    }

    /// @dev The references of these entries, in place.
    function _references(HookEntry[] memory entries) private pure returns (bytes21[] memory references) {
        assembly ("memory-safe") {
            references := entries
        }
        for (uint256 i = 0; i < references.length; ++i) {
            references[i] = FunctionReference.unwrap(entries[i].hook());
        }
    }
}
