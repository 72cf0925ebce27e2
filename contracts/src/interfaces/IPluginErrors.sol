// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Errors that every plugin of this repository can raise, and the session key module
interface IPluginErrors {
    /// @notice The plugin holds state for the account already. Neither plugin of this repository raises it: an installation
    /// clears what an uninstall without its callback left over. They have it because the published ABI does.
    error AlreadyInitialized();

    /// @notice The call makes no sense here. The session key plugin and module raise it for install data that is not all there. The
    /// owner plugin never does: every call of it that makes no sense has an error of its own. It has this one because the
    /// published ABI does.
    error InvalidAction();

    /// @notice Only a contract can install the plugin.
    error NotContractCaller(address caller);

    /// @notice The plugin has no such function, or no such function id.
    error NotImplemented(bytes4 selector, uint8 functionId);

    /// @notice The plugin holds no state for the account.
    error NotInitialized();
}
