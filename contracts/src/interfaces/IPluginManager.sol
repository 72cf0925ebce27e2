// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Installing plugins (ERC-6900 v0.7)
/// @dev Only for its ERC-165 id, and for contracts that manage plugins of any account. What the account does is said in
/// `IModularAccount`.
interface IPluginManager {
    event PluginInstalled(address indexed plugin, bytes32 manifestHash, bytes21[] dependencies);

    event PluginUninstalled(address indexed plugin, bool indexed onUninstallSucceeded);

    function installPlugin(
        address plugin,
        bytes32 manifestHash,
        bytes calldata pluginInstallData,
        bytes21[] calldata dependencies
    ) external;

    function uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData) external;
}
