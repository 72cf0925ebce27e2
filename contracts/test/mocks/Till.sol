// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice Accepts native token from anyone and emits the sender.
contract Till {
    event Received(address indexed from, uint256 value);

    receive() external payable {
        emit Received(msg.sender, msg.value);
    }
}
