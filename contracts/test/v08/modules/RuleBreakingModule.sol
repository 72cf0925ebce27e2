// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";

/// @notice A validation that breaks the ERC-7562 rule named by the operation's signature, to show that the check
/// detects it.
contract RuleBreakingModule {
    /// @dev Everything is logged, so that the compiler optimizes nothing away.
    function validateUserOp(uint32, PackedUserOperation calldata userOp, bytes32) external returns (uint256) {
        uint8 rule = uint8(bytes1(userOp.signature));
        address noCode = address(0xC0DE1E55);
        uint256 word;
        if (rule == 1) word = block.timestamp;
        if (rule == 2) word = noCode.code.length;
        if (rule == 3) word = uint256(noCode.codehash);
        assembly ("memory-safe") {
            switch rule
            case 4 { word := staticcall(gas(), noCode, 0, 0, 0, 0) }
            case 5 { word := sload(7) }
            case 6 { word := staticcall(gas(), 0x0000000071727De22E5E9d8BAf0edAc6f37da032, 0, 0, 0, 0) }
            mstore(0, word)
            log0(0, 32)
        }
        return 0;
    }
}
