// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A call target without storage effects, so every use costs the same.
contract PingTarget {
    receive() external payable {}

    function ping(uint256 x) external payable returns (uint256) {
        return x;
    }

    function pong() external payable {}
}
