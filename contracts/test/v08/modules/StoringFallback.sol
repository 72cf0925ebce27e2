// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice Counts every call that it has no function for. Asked what it is, it uses up all gas that it is given.
contract StoringFallback {
    uint256 public count;

    fallback() external payable {
        ++count;
    }

    receive() external payable {}
}
