// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {UserOperation} from "../interfaces/IAccount.sol";
import {IPlugin, PluginManifest, PluginMetadata} from "../interfaces/IPlugin.sol";
import {IPluginErrors} from "../interfaces/IPluginErrors.sol";

/// @title Base of the plugins in this repository
/// @notice Every function of `IPlugin` that a plugin does not override reverts with `NotImplemented`.
abstract contract BasePlugin is IPlugin, IPluginErrors, IERC165 {
    /// @inheritdoc IPlugin
    function onInstall(bytes calldata) external virtual {
        revert NotImplemented(msg.sig, 0);
    }

    /// @inheritdoc IPlugin
    function onUninstall(bytes calldata) external virtual {
        revert NotImplemented(msg.sig, 0);
    }

    /// @inheritdoc IPlugin
    function preUserOpValidationHook(uint8 functionId, UserOperation calldata, bytes32)
        external
        virtual
        returns (uint256)
    {
        revert NotImplemented(msg.sig, functionId);
    }

    /// @inheritdoc IPlugin
    function userOpValidationFunction(uint8 functionId, UserOperation calldata, bytes32)
        external
        virtual
        returns (uint256)
    {
        revert NotImplemented(msg.sig, functionId);
    }

    /// @inheritdoc IPlugin
    function preRuntimeValidationHook(uint8 functionId, address, uint256, bytes calldata) external virtual {
        revert NotImplemented(msg.sig, functionId);
    }

    /// @inheritdoc IPlugin
    function runtimeValidationFunction(uint8 functionId, address, uint256, bytes calldata) external virtual {
        revert NotImplemented(msg.sig, functionId);
    }

    /// @inheritdoc IPlugin
    function preExecutionHook(uint8 functionId, address, uint256, bytes calldata)
        external
        virtual
        returns (bytes memory)
    {
        revert NotImplemented(msg.sig, functionId);
    }

    /// @inheritdoc IPlugin
    function postExecutionHook(uint8 functionId, bytes calldata) external virtual {
        revert NotImplemented(msg.sig, functionId);
    }

    /// @inheritdoc IPlugin
    function pluginManifest() external pure virtual returns (PluginManifest memory) {
        revert NotImplemented(msg.sig, 0);
    }

    /// @inheritdoc IPlugin
    function pluginMetadata() external pure virtual returns (PluginMetadata memory) {
        revert NotImplemented(msg.sig, 0);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view virtual returns (bool) {
        return interfaceId == type(IPlugin).interfaceId || interfaceId == type(IERC165).interfaceId;
    }
}
