// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice One call of the account to another contract. `value` in wei.
struct Call {
    address target;
    uint256 value;
    bytes data;
}

/// @title The calls every ERC-6900 account can make, v0.7 and v0.8
interface IStandardExecutor {
    /// @notice Makes one call; reverts as the target does.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory);

    /// @notice Makes several calls in order; reverts as the first that fails does.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory);
}
