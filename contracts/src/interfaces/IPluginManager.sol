// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Installing plugins (ERC-6900 v0.7)
interface IPluginManager {
    /// @notice The `config` of `uninstallPlugin`, ABI-encoded as one value: `abi.encode(UninstallPluginConfig(...))`.
    struct UninstallPluginConfig {
        // `abi.encode(manifest)` of the manifest that the plugin was installed with; empty to ask the plugin for it.
        bytes serializedManifest;
        // Uninstall even if `onUninstall` fails.
        bool forceUninstall;
        // The gas limit of `onUninstall`; zero for no limit.
        uint256 callbackGasLimit;
    }

    /// @notice A plugin was installed, and its `onInstall` has run.
    event PluginInstalled(address indexed plugin, bytes32 manifestHash, bytes21[] dependencies);

    /// @notice A plugin was uninstalled. `onUninstallSucceeded` is false if its callback failed in a forced uninstall.
    event PluginUninstalled(address indexed plugin, bool indexed onUninstallSucceeded);

    /// @notice Installs a plugin.
    /// @param manifestHash `keccak256(abi.encode(manifest))` of the manifest that the caller consents to.
    /// @param pluginInstallData Passed to the plugin's `onInstall`.
    /// @param dependencies Functions of installed plugins that the manifest asks for, in its order.
    function installPlugin(
        address plugin,
        bytes32 manifestHash,
        bytes calldata pluginInstallData,
        bytes21[] calldata dependencies
    ) external;

    /// @notice Uninstalls a plugin.
    /// @param config Empty, or an encoded `UninstallPluginConfig`.
    /// @param pluginUninstallData Passed to the plugin's `onUninstall`.
    function uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData) external;
}
