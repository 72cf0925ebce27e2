// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

/// @notice An owner with code: it accepts one hash (ERC-1271), or misbehaves.
contract ContractOwner {
    enum Mode {
        ACCEPT_HASH,
        REVERT,
        RETURN_NOTHING,
        RETURN_SHORT,
        RETURN_GARBAGE,
        RETURN_MUCH,
        BURN_ALL_GAS
    }

    Mode public mode;
    bytes32 public accepted;

    function accept(bytes32 hash) external {
        mode = Mode.ACCEPT_HASH;
        accepted = hash;
    }

    function setMode(Mode newMode) external {
        mode = newMode;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        if (mode == Mode.REVERT) revert("no");
        if (mode == Mode.RETURN_NOTHING) {
            assembly {
                return(0, 0)
            }
        }
        if (mode == Mode.RETURN_SHORT) {
            assembly {
                // The magic value, except the last byte of its word.
                mstore(0, 0x1626ba7e00000000000000000000000000000000000000000000000000000000)
                return(0, 0x1f)
            }
        }
        if (mode == Mode.RETURN_GARBAGE) {
            assembly {
                // The magic value with data after it.
                mstore(0, 0x1626ba7e00000000000000000000000000000000000000000000000000000001)
                return(0, 0x20)
            }
        }
        if (mode == Mode.RETURN_MUCH) {
            assembly {
                return(0, 100000)
            }
        }
        if (mode == Mode.BURN_ALL_GAS) {
            assembly {
                invalid()
            }
        }
        return hash == accepted ? this.isValidSignature.selector : bytes4(0xffffffff);
    }

    function doCall(address target, bytes calldata data) external returns (bytes memory answer) {
        bool success;
        (success, answer) = target.call(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
    }
}
