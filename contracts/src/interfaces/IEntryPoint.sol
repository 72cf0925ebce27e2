// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "./IAccount.sol";

/// @title The part of ERC-4337's EntryPoint v0.6 that is used here
/// @notice Declared from the ERC and the deployed contract's ABI; it is at 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789 on
/// all chains.
interface IEntryPoint {
    /// @notice The operations whose signatures one aggregator checks.
    struct UserOpsPerAggregator {
        UserOperation[] userOps;
        address aggregator;
        bytes signature;
    }

    /// @notice Deposit and stake of an address.
    struct DepositInfo {
        uint112 deposit;
        bool staked;
        uint112 stake;
        uint32 unstakeDelaySec;
        uint48 withdrawTime;
    }

    /// @notice Cost and result of a validation. Gas in gas units, `prefund` in wei, times in unix seconds.
    struct ReturnInfo {
        uint256 preOpGas;
        uint256 prefund;
        bool sigFailed;
        uint48 validAfter;
        uint48 validUntil;
        bytes paymasterContext;
    }

    /// @notice Stake in wei, delay in seconds.
    struct StakeInfo {
        uint256 stake;
        uint256 unstakeDelaySec;
    }

    /// @notice An aggregator and its stake.
    struct AggregatorStakeInfo {
        address aggregator;
        StakeInfo stakeInfo;
    }

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

    /// @notice The call of an included user operation reverted. `revertReason` holds at most 2,048 bytes; an empty
    /// reason emits no event.
    event UserOperationRevertReason(
        bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes revertReason
    );

    /// @notice An account was created by `initCode`.
    event AccountDeployed(bytes32 indexed userOpHash, address indexed sender, address factory, address paymaster);

    /// @notice The calls of the bundle begin: all validation is done.
    event BeforeExecution();

    /// @notice The operations that follow used this aggregator.
    event SignatureAggregatorChanged(address indexed aggregator);

    /// @notice Wei were added to a deposit.
    event Deposited(address indexed account, uint256 totalDeposit);

    /// @notice Wei were withdrawn from a deposit.
    event Withdrawn(address indexed account, address withdrawAddress, uint256 amount);

    /// @notice A stake was added to, or its delay changed.
    event StakeLocked(address indexed account, uint256 totalStaked, uint256 unstakeDelaySec);

    /// @notice The unstake delay started.
    event StakeUnlocked(address indexed account, uint256 withdrawTime);

    /// @notice A stake was withdrawn.
    event StakeWithdrawn(address indexed account, address withdrawAddress, uint256 amount);

    /// @notice A bundle cannot be included because of operation `opIndex`. `reason` begins with an AAxx code.
    error FailedOp(uint256 opIndex, string reason);

    /// @notice An aggregator refused its signature.
    error SignatureValidationFailed(address aggregator);

    /// @notice The result of `simulateValidation`, which always reverts.
    error ValidationResult(ReturnInfo returnInfo, StakeInfo senderInfo, StakeInfo factoryInfo, StakeInfo paymasterInfo);

    /// @notice The result of `simulateValidation` for an operation with an aggregator.
    error ValidationResultWithAggregation(
        ReturnInfo returnInfo,
        StakeInfo senderInfo,
        StakeInfo factoryInfo,
        StakeInfo paymasterInfo,
        AggregatorStakeInfo aggregatorInfo
    );

    /// @notice The result of `simulateHandleOp`, which always reverts.
    error ExecutionResult(
        uint256 preOpGas, uint256 paid, uint48 validAfter, uint48 validUntil, bool targetSuccess, bytes targetResult
    );

    /// @notice The result of `getSenderAddress`, which always reverts.
    error SenderAddressResult(address sender);

    /// @notice Includes user operations; the fees go to `beneficiary`.
    function handleOps(UserOperation[] calldata ops, address payable beneficiary) external;

    /// @notice Includes user operations whose signatures aggregators check.
    function handleAggregatedOps(UserOpsPerAggregator[] calldata opsPerAggregator, address payable beneficiary) external;

    /// @notice Validates a user operation and reverts with the result.
    function simulateValidation(UserOperation calldata userOp) external;

    /// @notice Validates and executes a user operation, then calls `target`, and reverts with the result.
    function simulateHandleOp(UserOperation calldata op, address target, bytes calldata targetCallData) external;

    /// @notice Reverts with the address that `initCode` would create.
    function getSenderAddress(bytes memory initCode) external;

    /// @notice Uses up the caller's next nonce of a nonce key.
    function incrementNonce(uint192 key) external;

    /// @notice Adds the wei sent to an account's deposit.
    function depositTo(address account) external payable;

    /// @notice Withdraws wei of the caller's deposit.
    function withdrawTo(address payable withdrawAddress, uint256 withdrawAmount) external;

    /// @notice Adds the wei sent to the caller's stake.
    function addStake(uint32 unstakeDelaySec) external payable;

    /// @notice Starts the caller's unstake delay.
    function unlockStake() external;

    /// @notice Withdraws the caller's stake after the unstake delay.
    function withdrawStake(address payable withdrawAddress) external;

    /// @notice The hash that is signed and that identifies the operation. Covers everything except the signature, and
    /// the EntryPoint and chain id.
    function getUserOpHash(UserOperation calldata userOp) external view returns (bytes32);

    /// @notice The next nonce of an account for a nonce key: key in the upper 192 bits, sequence in the lower 64.
    function getNonce(address sender, uint192 key) external view returns (uint256 nonce);

    /// @notice An account's deposit, in wei.
    function balanceOf(address account) external view returns (uint256);

    /// @notice An account's deposit and stake.
    function getDepositInfo(address account) external view returns (DepositInfo memory info);
}
