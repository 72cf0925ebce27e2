// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccount} from "../interfaces/IAccount.sol";
import {IAccountLoupe} from "../interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../interfaces/IModularAccount.sol";
import {IPlugin} from "../interfaces/IPlugin.sol";
import {IPluginExecutor} from "../interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../interfaces/IStandardExecutor.sol";

/// @title Selectors that no plugin may add to the account
library ReservedSelectors {
    // ERC-4337 v0.6, `IPaymaster`: postOp(uint8,bytes,uint256).
    bytes4 private constant POST_OP = 0xa9a23409;
    // ERC-4337 v0.6, `IPaymaster`: validatePaymasterUserOp(UserOperation,bytes32,uint256).
    bytes4 private constant VALIDATE_PAYMASTER_USER_OP = 0xf465c77e;
    // ERC-4337 v0.6, `IAggregator`: validateSignatures(UserOperation[],bytes).
    bytes4 private constant VALIDATE_SIGNATURES = 0xe3563a4f;
    // ERC-4337 v0.6, `IAggregator`: validateUserOpSignature(UserOperation).
    bytes4 private constant VALIDATE_USER_OP_SIGNATURE = 0x64c530cd;
    // ERC-4337 v0.6, `IAggregator`: aggregateSignatures(UserOperation[]).
    bytes4 private constant AGGREGATE_SIGNATURES = 0x275e2d79;

    /// @dev Whether the account implements the function itself.
    function isNative(bytes4 selector) internal pure returns (bool) {
        return selector == IStandardExecutor.execute.selector || selector == IStandardExecutor.executeBatch.selector
            || selector == IPluginExecutor.executeFromPlugin.selector
            || selector == IPluginExecutor.executeFromPluginExternal.selector
            || selector == IPluginManager.installPlugin.selector || selector == IPluginManager.uninstallPlugin.selector
            || selector == IModularAccount.upgradeToAndCall.selector || selector == IModularAccount.initialize.selector
            || selector == IAccount.validateUserOp.selector || selector == IModularAccount.onERC721Received.selector
            || selector == IModularAccount.onERC1155Received.selector
            || selector == IModularAccount.onERC1155BatchReceived.selector
            || selector == IModularAccount.tokensReceived.selector || selector == IModularAccount.entryPoint.selector
            || selector == IModularAccount.getNonce.selector
            || selector == IAccountLoupe.getExecutionFunctionConfig.selector
            || selector == IAccountLoupe.getExecutionHooks.selector
            || selector == IAccountLoupe.getPreValidationHooks.selector
            || selector == IAccountLoupe.getInstalledPlugins.selector
            || selector == IModularAccount.proxiableUUID.selector
            || selector == IModularAccount.supportsInterface.selector;
    }

    /// @dev Whether the function is one of `IPlugin`: the account must never look like a plugin to another account.
    function isPluginFunction(bytes4 selector) internal pure returns (bool) {
        return selector == IPlugin.onInstall.selector || selector == IPlugin.onUninstall.selector
            || selector == IPlugin.preUserOpValidationHook.selector
            || selector == IPlugin.userOpValidationFunction.selector
            || selector == IPlugin.preRuntimeValidationHook.selector
            || selector == IPlugin.runtimeValidationFunction.selector || selector == IPlugin.preExecutionHook.selector
            || selector == IPlugin.postExecutionHook.selector || selector == IPlugin.pluginManifest.selector
            || selector == IPlugin.pluginMetadata.selector;
    }

    /// @dev Whether the function is one of ERC-4337's paymasters or aggregators: the account must never be taken for one.
    function isErc4337Function(bytes4 selector) internal pure returns (bool) {
        return selector == POST_OP || selector == VALIDATE_PAYMASTER_USER_OP || selector == VALIDATE_SIGNATURES
            || selector == VALIDATE_USER_OP_SIGNATURE || selector == AGGREGATE_SIGNATURES;
    }
}
