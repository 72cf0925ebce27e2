// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Many calls in one, for tests: implements the part of Multicall3's ABI used to read views
contract TestMulticall {
    /// @notice A call.
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    /// @notice Its result.
    struct Result {
        bool success;
        bytes returnData;
    }

    /// @notice A call failed that was not allowed to.
    error CallFailed(uint256 index);

    /// @notice Makes the calls in order.
    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (results[i].success, results[i].returnData) = calls[i].target.call(calls[i].callData);
            if (!results[i].success && !calls[i].allowFailure) revert CallFailed(i);
        }
    }
}
