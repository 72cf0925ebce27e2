// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title What an installed plugin may make the account do (ERC-6900 v0.7)
interface IPluginExecutor {
    /// @notice Calls an execution function that a plugin added and that the calling plugin's manifest lists.
    /// @param data The call: selector and arguments.
    /// @return returnData The function's return data, raw.
    function executeFromPlugin(bytes calldata data) external payable returns (bytes memory returnData);

    /// @notice Makes a call where the calling plugin's manifest permits it.
    /// @param value Wei to send along.
    /// @return The target's return data, raw.
    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        returns (bytes memory);
}
