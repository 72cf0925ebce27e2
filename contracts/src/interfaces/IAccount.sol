// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A user operation of ERC-4337 as EntryPoint v0.6 takes it. Gas in gas units, fees in wei per gas unit.
struct UserOperation {
    address sender;
    // Upper 192 bits: nonce key (a lane of its own sequence); lower 64 bits: sequence number in that lane.
    uint256 nonce;
    // Empty, or factory address followed by the call that creates the account.
    bytes initCode;
    bytes callData;
    uint256 callGasLimit;
    uint256 verificationGasLimit;
    uint256 preVerificationGas;
    uint256 maxFeePerGas;
    uint256 maxPriorityFeePerGas;
    // Empty, or paymaster address followed by data for it.
    bytes paymasterAndData;
    bytes signature;
}

/// @title An account of ERC-4337, EntryPoint v0.6
interface IAccount {
    /// @notice Validates a user operation and pays the EntryPoint what is missing.
    /// @param missingAccountFunds Wei to send to the caller.
    /// @return validationData Bits 0..159: authorizer (0 valid, 1 invalid signature, else an aggregator); bits 160..207:
    /// validUntil (0 means no end); bits 208..255: validAfter. Unix seconds, both inclusive.
    function validateUserOp(UserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData);
}
