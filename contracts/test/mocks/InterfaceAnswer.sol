// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A target that gives one answer to every interface query, and accepts every other call.
contract InterfaceAnswer {
    bytes private answer;
    bool private reverts;
    uint256 private gasToBurn;

    constructor(bytes memory answer_, bool reverts_, uint256 gasToBurn_) {
        (answer, reverts, gasToBurn) = (answer_, reverts_, gasToBurn_);
    }

    receive() external payable {}

    fallback() external payable {}

    /// @notice Burns gas, then returns or reverts with the answer.
    function supportsInterface(bytes4) external view {
        uint256 end = gasleft() - gasToBurn;
        bytes memory data = answer;
        bool fails = reverts;
        while (gasleft() > end) {}
        assembly ("memory-safe") {
            if fails { revert(add(data, 0x20), mload(data)) }
            return(add(data, 0x20), mload(data))
        }
    }
}
