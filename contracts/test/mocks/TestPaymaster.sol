// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";

/// @title A paymaster for tests (EntryPoint v0.6): pays for every operation, from what is deposited for it
contract TestPaymaster {
    /// @notice Agrees to pay; asks for no `postOp`.
    function validatePaymasterUserOp(UserOperation calldata, bytes32, uint256)
        external
        pure
        returns (bytes memory context, uint256 validationData)
    {
        return ("", 0);
    }
}
