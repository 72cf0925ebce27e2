// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

/// @notice Makes calls for anyone, in its own name.
contract Relay {
    function relay(address target, bytes calldata data) external payable returns (bytes memory answer) {
        bool success;
        (success, answer) = target.call{value: msg.value}(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
    }
}
