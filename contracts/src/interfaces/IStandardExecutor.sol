// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice One call of the account to another contract.
struct Call {
    address target;
    // Wei.
    uint256 value;
    bytes data;
}

/// @title The calls every ERC-6900 account can make, v0.7 and v0.8
interface IStandardExecutor {
    /// @notice Makes one call; reverts as the target does. The target must not be a plugin.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory result);

    /// @notice Makes calls in order; reverts as the first that fails does. No target may be a plugin.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory results);
}
