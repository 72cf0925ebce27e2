// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PackedUserOperation} from "./IModule.sol";

/// @title The part of ERC-4337's EntryPoint v0.7 that is used here
/// @notice Declared from the ERC and the deployed contract's ABI; it is at 0x0000000071727De22E5E9d8BAf0edAc6f37da032 on all
/// chains.
interface IEntryPointV07 {
    /// @notice A user operation was included. `success` says whether its call succeeded; cost in wei.
    event UserOperationEvent(
        bytes32 indexed userOpHash,
        address indexed sender,
        address indexed paymaster,
        uint256 nonce,
        bool success,
        uint256 actualGasCost,
        uint256 actualGasUsed
    );
    /// @notice The call of an included user operation reverted. `revertReason` holds at most 2,048 bytes.
    event UserOperationRevertReason(
        bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes revertReason
    );
    /// @notice All operations of the bundle are validated; their calls follow.
    event BeforeExecution();

    /// @notice What an address has deposited and staked.
    struct DepositInfo {
        uint256 deposit;
        bool staked;
        uint112 stake;
        uint32 unstakeDelaySec;
        uint48 withdrawTime;
    }

    /// @notice The EntryPoint refuses an operation of the bundle; `reason` begins with a code, "AA…".
    error FailedOp(uint256 opIndex, string reason);
    /// @notice The same, with what the account, the factory or the paymaster reverted with.
    error FailedOpWithRevert(uint256 opIndex, string reason, bytes inner);

    /// @notice Validates operations, then executes them, and pays `beneficiary` what they cost.
    function handleOps(PackedUserOperation[] calldata ops, address payable beneficiary) external;
    /// @notice The hash that is signed and that identifies the operation.
    function getUserOpHash(PackedUserOperation calldata userOp) external view returns (bytes32);
    /// @notice The next nonce in a lane.
    function getNonce(address sender, uint192 key) external view returns (uint256);
    /// @notice Uses the next nonce of the caller's lane.
    function incrementNonce(uint192 key) external;
    /// @notice Adds to an account's deposit.
    function depositTo(address account) external payable;
    /// @notice Pays out of the caller's deposit.
    function withdrawTo(address payable withdrawAddress, uint256 withdrawAmount) external;
    /// @notice Deposit and stake of an address.
    function getDepositInfo(address account) external view returns (DepositInfo memory);
    /// @notice Deposit of an address, in wei.
    function balanceOf(address account) external view returns (uint256);
    /// @notice Locks a stake of the caller.
    function addStake(uint32 unstakeDelaySec) external payable;
}

/// @notice What the EntryPoint calls of an account.
interface IAccountV07 {
    /// @notice Validates an operation and pays what is missing of its prefund. Answers as ERC-4337 packs it: authorizer,
    /// `validUntil`, `validAfter`.
    function validateUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData);
    /// @notice Called in place of the operation's call data if they begin with this function's selector.
    function executeUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash) external;
}

/// @notice What the EntryPoint calls of a paymaster, as far as it asks for no `postOp`.
interface IPaymasterV07 {
    /// @notice Whether the paymaster pays for the operation, and for how long.
    function validatePaymasterUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash, uint256 maxCost)
        external
        returns (bytes memory context, uint256 validationData);
}
