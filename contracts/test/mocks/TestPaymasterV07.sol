// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IPaymasterV07} from "../../src/interfaces/IEntryPointV07.sol";
import {PackedUserOperation} from "../../src/interfaces/IModule.sol";

/// @title A paymaster for tests (EntryPoint v0.7): pays for every operation, from what is deposited for it
contract TestPaymasterV07 is IPaymasterV07 {
    /// @notice Agrees to pay; asks for no `postOp`.
    function validatePaymasterUserOp(PackedUserOperation calldata, bytes32, uint256)
        external
        pure
        returns (bytes memory context, uint256 validationData)
    {
        return ("", 0);
    }
}
