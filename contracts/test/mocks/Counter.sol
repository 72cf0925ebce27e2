// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A target that records how often it was called and by whom.
contract Counter {
    error Refused(uint256 code);

    uint256 public count;
    address public lastCaller;

    receive() external payable {}

    function increment() external payable returns (uint256) {
        lastCaller = msg.sender;
        return ++count;
    }

    function refuse(uint256 code) external payable {
        revert Refused(code);
    }
}
