// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A user operation of ERC-4337 as EntryPoint v0.6 takes it. Gas in gas units, fees in wei per gas unit.
struct UserOperation {
    // The account.
    address sender;
    // Upper 192 bits: nonce key (a lane with its own sequence); lower 64 bits: sequence number in that lane.
    uint256 nonce;
    // Empty, or factory address followed by the call that creates the account.
    bytes initCode;
    // The call that the EntryPoint makes on the account.
    bytes callData;
    // For the execution of `callData`.
    uint256 callGasLimit;
    // For validation; with a paymaster, also for each of its two functions.
    uint256 verificationGasLimit;
    // Paid to the bundler for what the EntryPoint does not measure.
    uint256 preVerificationGas;
    // The highest fee that is paid, base fee included.
    uint256 maxFeePerGas;
    // The highest fee that is paid on top of the base fee.
    uint256 maxPriorityFeePerGas;
    // Empty, or paymaster address followed by data for it.
    bytes paymasterAndData;
    // Not part of the operation's hash.
    bytes signature;
}

/// @title An account of ERC-4337, EntryPoint v0.6
interface IAccount {
    /// @notice Validates a user operation and pays the missing funds to the EntryPoint. Only the EntryPoint may call
    /// it.
    /// @param missingAccountFunds Wei.
    /// @return validationData Bits 0..159: authorizer (0 valid, 1 invalid signature, else an aggregator); bits 160..207:
    /// validUntil (0 means no end); bits 208..255: validAfter. Unix seconds, both inclusive.
    function validateUserOp(UserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData);
}
