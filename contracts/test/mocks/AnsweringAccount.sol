// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

/// @title An account that gives one answer to every call of its module, and records the call
contract AnsweringAccount {
    address private immutable MODULE;

    bytes private answer;
    bool private reverts;

    /// @notice Call data of the module's last call, as a hash.
    bytes32 public received;

    constructor(address module) {
        MODULE = module;
    }

    receive() external payable {}

    fallback(bytes calldata data) external payable returns (bytes memory) {
        if (msg.sender == MODULE) {
            received = keccak256(data);
            if (reverts) LowLevelCall.bubbleRevert(answer);
            return answer;
        }
        (bool success, bytes memory returned) = MODULE.call(data);
        if (!success) LowLevelCall.bubbleRevert(returned);
        return returned;
    }

    function setAnswer(bytes calldata answer_, bool reverts_) external {
        (answer, reverts) = (answer_, reverts_);
    }
}
