// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice Call target without an effect on storage, so that it costs the same on every use.
contract PingTarget {
    receive() external payable {}

    function ping(uint256 x) external payable returns (uint256) {
        return x;
    }

    function pong() external payable {}
}
