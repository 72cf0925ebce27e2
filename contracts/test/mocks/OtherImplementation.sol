// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice Something else that an ERC-1967 proxy can run. It uses the first storage slots, like many contracts.
contract OtherImplementation {
    bytes32 private constant IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    error Refused(uint256 code);

    uint256 public filled;
    uint256[10] private more;

    function fill() external payable {
        filled = 7;
        for (uint256 i = 0; i < more.length; ++i) {
            more[i] = type(uint256).max;
        }
    }

    function refuse(uint256 code) external payable {
        revert Refused(code);
    }

    function upgrade(address newImplementation) external {
        assembly ("memory-safe") {
            sstore(IMPLEMENTATION_SLOT, newImplementation)
        }
    }

    function proxiableUUID() external pure returns (bytes32) {
        return IMPLEMENTATION_SLOT;
    }
}
