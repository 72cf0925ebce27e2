// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

// This file imports nothing, so that tools which read Solidity (alloy's `sol!` among them) can take the ABI from it.

/// @title A paymaster for tests (EntryPoint v0.6): pays for every operation, from what is deposited for it
contract TestPaymaster {
    struct UserOperation {
        address sender;
        uint256 nonce;
        bytes initCode;
        bytes callData;
        uint256 callGasLimit;
        uint256 verificationGasLimit;
        uint256 preVerificationGas;
        uint256 maxFeePerGas;
        uint256 maxPriorityFeePerGas;
        bytes paymasterAndData;
        bytes signature;
    }

    /// @notice Agrees to pay; asks for no `postOp`.
    function validatePaymasterUserOp(UserOperation calldata, bytes32, uint256)
        external
        pure
        returns (bytes memory context, uint256 validationData)
    {
        return ("", 0);
    }
}
