//! ABIs of ERC-4337 as EntryPoint v0.6 speaks it and of the plugins of ERC-6900 v0.7. Both are frozen, so they stand here;
//! the tests pin their selectors and interface ids. They share one `sol!` because `IPlugin` takes a `UserOperation`.

alloy_sol_types::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]

    /// A user operation as EntryPoint v0.6 takes it. Gas in gas units, fees in wei per gas unit.
    struct UserOperation {
        /// The account.
        address sender;
        /// Upper 192 bits: nonce key (a lane of its own sequence); lower 64 bits: sequence number in that lane.
        uint256 nonce;
        /// Empty, or factory address followed by the call that creates the account.
        bytes initCode;
        /// The call the EntryPoint makes on the account.
        bytes callData;
        /// For the execution of `callData`.
        uint256 callGasLimit;
        /// For validation; with a paymaster, for each of its two functions, too.
        uint256 verificationGasLimit;
        /// Paid to the bundler for what the EntryPoint does not measure.
        uint256 preVerificationGas;
        /// The most that is paid, base fee included.
        uint256 maxFeePerGas;
        /// The most that is paid on top of the base fee.
        uint256 maxPriorityFeePerGas;
        /// Empty, or paymaster address followed by data for it.
        bytes paymasterAndData;
        /// Not part of the operation's hash.
        bytes signature;
    }

    /// EntryPoint v0.6: what an account, its client and a bundler need of it.
    interface IEntryPoint {
        /// The operations of one aggregator.
        struct UserOpsPerAggregator {
            UserOperation[] userOps;
            address aggregator;
            bytes signature;
        }

        /// What validation of an operation came to. `validAfter` and `validUntil` in unix seconds.
        struct ReturnInfo {
            uint256 preOpGas;
            uint256 prefund;
            bool sigFailed;
            uint48 validAfter;
            uint48 validUntil;
            bytes paymasterContext;
        }

        /// A stake, in wei, and how long it takes to withdraw it, in seconds.
        struct StakeInfo {
            uint256 stake;
            uint256 unstakeDelaySec;
        }

        /// An aggregator and its stake.
        struct AggregatorStakeInfo {
            address aggregator;
            StakeInfo stakeInfo;
        }

        /// Deposit and stake of an address, in wei.
        struct DepositInfo {
            uint112 deposit;
            bool staked;
            uint112 stake;
            uint32 unstakeDelaySec;
            uint48 withdrawTime;
        }

        /// An operation was executed. `success` is false when its call reverted; it was paid for all the same.
        event UserOperationEvent(
            bytes32 indexed userOpHash,
            address indexed sender,
            address indexed paymaster,
            uint256 nonce,
            bool success,
            uint256 actualGasCost,
            uint256 actualGasUsed
        );
        /// The account was created by the operation's `initCode`.
        event AccountDeployed(
            bytes32 indexed userOpHash, address indexed sender, address factory, address paymaster
        );
        /// The operation's call reverted with `revertReason` (at most 2048 bytes of it; absent when it is empty).
        event UserOperationRevertReason(
            bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes revertReason
        );
        /// Validation of the bundle is over; what follows is execution.
        event BeforeExecution();
        /// The operations that follow used this aggregator.
        event SignatureAggregatorChanged(address indexed aggregator);
        /// The deposit of `account` grew to `totalDeposit` wei.
        event Deposited(address indexed account, uint256 totalDeposit);
        /// `amount` wei of the deposit of `account` went to `withdrawAddress`.
        event Withdrawn(address indexed account, address withdrawAddress, uint256 amount);
        /// `account` has `totalStaked` wei at stake.
        event StakeLocked(address indexed account, uint256 totalStaked, uint256 unstakeDelaySec);
        /// `account` can withdraw its stake from `withdrawTime` (unix seconds) on.
        event StakeUnlocked(address indexed account, uint256 withdrawTime);
        /// `amount` wei of the stake of `account` went to `withdrawAddress`.
        event StakeWithdrawn(address indexed account, address withdrawAddress, uint256 amount);

        /// The operation at `opIndex` cannot be included; `reason` starts with an AA code.
        error FailedOp(uint256 opIndex, string reason);
        /// The aggregator refused the signatures.
        error SignatureValidationFailed(address aggregator);
        /// How `simulateValidation` answers: it always reverts.
        error ValidationResult(
            ReturnInfo returnInfo, StakeInfo senderInfo, StakeInfo factoryInfo, StakeInfo paymasterInfo
        );
        /// How `simulateValidation` answers for an operation with an aggregator.
        error ValidationResultWithAggregation(
            ReturnInfo returnInfo,
            StakeInfo senderInfo,
            StakeInfo factoryInfo,
            StakeInfo paymasterInfo,
            AggregatorStakeInfo aggregatorInfo
        );
        /// How `simulateHandleOp` answers: it always reverts.
        error ExecutionResult(
            uint256 preOpGas,
            uint256 paid,
            uint48 validAfter,
            uint48 validUntil,
            bool targetSuccess,
            bytes targetResult
        );
        /// How `getSenderAddress` answers: it always reverts.
        error SenderAddressResult(address sender);

        /// Validates all operations, then executes them. What they pay goes to `beneficiary`.
        function handleOps(UserOperation[] calldata ops, address payable beneficiary) external;
        /// The same for operations whose signatures aggregators check.
        function handleAggregatedOps(
            UserOpsPerAggregator[] calldata opsPerAggregator, address payable beneficiary
        ) external;
        /// The hash that is signed, and that identifies the operation.
        function getUserOpHash(UserOperation calldata userOp) external view returns (bytes32);
        /// The next nonce in a lane.
        function getNonce(address sender, uint192 key) external view returns (uint256 nonce);
        /// Uses up the sender's next nonce in a lane.
        function incrementNonce(uint192 key) external;
        /// Reverts with the address of the account that `initCode` would create.
        function getSenderAddress(bytes memory initCode) external;
        /// Validates an operation, and reverts with what came of it.
        function simulateValidation(UserOperation calldata userOp) external;
        /// Validates and executes an operation, calls `target` unless that is zero, and reverts with what came of it.
        function simulateHandleOp(UserOperation calldata op, address target, bytes calldata targetCallData)
            external;
        /// The deposit of an address, in wei.
        function balanceOf(address account) external view returns (uint256);
        /// Deposit and stake of an address.
        function getDepositInfo(address account) external view returns (DepositInfo memory info);
        /// Adds the value sent to the deposit of `account`.
        function depositTo(address account) external payable;
        /// Withdraws from the caller's deposit, in wei.
        function withdrawTo(address payable withdrawAddress, uint256 withdrawAmount) external;
        /// Adds the value sent to the caller's stake.
        function addStake(uint32 unstakeDelaySec) external payable;
        /// Ends the caller's stake. It can be withdrawn after the delay.
        function unlockStake() external;
        /// Withdraws the caller's stake, once it is unlocked and the delay is over.
        function withdrawStake(address payable withdrawAddress) external;
    }

    /// An account.
    interface IAccount {
        /// Validates a user operation and pays the EntryPoint what is missing.
        function validateUserOp(
            UserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds
        ) external returns (uint256 validationData);
    }

    /// How a manifest names a function.
    enum ManifestAssociatedFunctionType {
        NONE,
        SELF,
        DEPENDENCY,
        RUNTIME_VALIDATION_ALWAYS_ALLOW,
        PRE_HOOK_ALWAYS_DENY
    }

    /// A function of this or of another plugin. `functionId` is read for SELF, `dependencyIndex` for DEPENDENCY.
    struct ManifestFunction {
        ManifestAssociatedFunctionType functionType;
        uint8 functionId;
        uint256 dependencyIndex;
    }

    /// Binds a validation function or a pre-validation hook to an execution selector.
    struct ManifestAssociatedFunction {
        bytes4 executionSelector;
        ManifestFunction associatedFunction;
    }

    /// Binds a pair of execution hooks, either of which may be NONE, to an execution selector.
    struct ManifestExecutionHook {
        bytes4 executionSelector;
        ManifestFunction preExecHook;
        ManifestFunction postExecHook;
    }

    /// Lets the plugin call `externalAddress` through the account: any selector, or those listed.
    struct ManifestExternalCallPermission {
        address externalAddress;
        bool permitAnySelector;
        bytes4[] selectors;
    }

    /// Describes, for people, what granting `functionSelector` means.
    struct SelectorPermission {
        bytes4 functionSelector;
        string permissionDescription;
    }

    /// What a plugin says of itself to people. Never read on chain.
    struct PluginMetadata {
        string name;
        string version;
        string author;
        SelectorPermission[] permissionDescriptors;
    }

    /// What a plugin adds to an account and what it may do there. An owner consents to it by its hash,
    /// `keccak256(abi.encode(manifest))`.
    struct PluginManifest {
        bytes4[] interfaceIds;
        bytes4[] dependencyInterfaceIds;
        bytes4[] executionFunctions;
        bytes4[] permittedExecutionSelectors;
        bool permitAnyExternalAddress;
        bool canSpendNativeToken;
        ManifestExternalCallPermission[] permittedExternalCalls;
        ManifestAssociatedFunction[] userOpValidationFunctions;
        ManifestAssociatedFunction[] runtimeValidationFunctions;
        ManifestAssociatedFunction[] preUserOpValidationHooks;
        ManifestAssociatedFunction[] preRuntimeValidationHooks;
        ManifestExecutionHook[] executionHooks;
    }

    /// A plugin of an ERC-6900 v0.7 account.
    interface IPlugin {
        /// The account installs the plugin. `data` is the plugin's own.
        function onInstall(bytes calldata data) external;
        /// The account uninstalls the plugin. `data` is the plugin's own.
        function onUninstall(bytes calldata data) external;
        /// Runs before an operation is validated; answers validation data.
        function preUserOpValidationHook(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
            external
            returns (uint256 validationData);
        /// Validates an operation; answers validation data (signature failure or aggregator, valid until, valid after).
        function userOpValidationFunction(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
            external
            returns (uint256 validationData);
        /// Runs before a direct call is validated. Refuses it by a revert.
        function preRuntimeValidationHook(uint8 functionId, address sender, uint256 value, bytes calldata data)
            external;
        /// Validates a direct call of `sender`. Refuses it by a revert.
        function runtimeValidationFunction(uint8 functionId, address sender, uint256 value, bytes calldata data)
            external;
        /// Runs before an execution. What it returns goes to the hook after it.
        function preExecutionHook(uint8 functionId, address sender, uint256 value, bytes calldata data)
            external
            returns (bytes memory hookData);
        /// Runs after an execution.
        function postExecutionHook(uint8 functionId, bytes calldata preExecHookData) external;
        /// What the plugin adds to an account, and what it may do there.
        function pluginManifest() external pure returns (PluginManifest memory);
        /// What the plugin says of itself to people.
        function pluginMetadata() external pure returns (PluginMetadata memory);
    }

    /// ERC-165.
    interface IERC165 {
        /// Whether the contract has the interface.
        function supportsInterface(bytes4 interfaceId) external view returns (bool);
    }
}
