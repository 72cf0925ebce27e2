// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice Counts every call to an unknown function. An interface query uses up all its gas.
contract StoringFallback {
    uint256 public count;

    fallback() external payable {
        ++count;
    }

    receive() external payable {}
}
