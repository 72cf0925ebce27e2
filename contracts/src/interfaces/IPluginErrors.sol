// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Errors that every plugin of this repository can raise, and the session key module
interface IPluginErrors {
    /// @notice The plugin already holds state for the account. Neither plugin of this repository raises it: an
    /// installation clears what an uninstall without callback left behind. They declare it because the published ABI
    /// does.
    error AlreadyInitialized();

    /// @notice The call is invalid. The session key plugin and module raise it for incomplete install data. The owner
    /// plugin never raises it: each of its invalid calls has a specific error. It declares this one because the
    /// published ABI does.
    error InvalidAction();

    /// @notice Only a contract can install the plugin.
    error NotContractCaller(address caller);

    /// @notice The plugin has no such function, or no such function id.
    error NotImplemented(bytes4 selector, uint8 functionId);

    /// @notice The plugin holds no state for the account.
    error NotInitialized();
}
