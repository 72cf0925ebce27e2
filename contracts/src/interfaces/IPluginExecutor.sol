// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Calls that installed plugins make through the account (ERC-6900 v0.7)
interface IPluginExecutor {
    /// @notice Calls an execution function that a plugin added and that the calling plugin's manifest lists.
    /// @param data The call: selector and arguments.
    /// @return returnData The function's return data, raw.
    function executeFromPlugin(bytes calldata data) external payable returns (bytes memory returnData);

    /// @notice Makes a call that the calling plugin's manifest permits.
    /// @param value Wei to send along.
    /// @return The target's return data, raw.
    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        returns (bytes memory);
}
