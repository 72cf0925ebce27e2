// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from contracts/src/interfaces (and OpenZeppelin's IERC165, MIT) by script/bindings.sh. Do not edit.
pragma solidity ^0.8.30;

/// A user operation of ERC-4337 as EntryPoint v0.6 takes it. Gas in gas units, fees in wei per gas unit.
struct UserOperation {
    /// The account.
    address sender;
    /// Upper 192 bits: nonce key (a lane with its own sequence); lower 64 bits: sequence number in that lane.
    uint256 nonce;
    /// Empty, or factory address followed by the call that creates the account.
    bytes initCode;
    /// The call that the EntryPoint makes on the account.
    bytes callData;
    /// For the execution of `callData`.
    uint256 callGasLimit;
    /// For validation; with a paymaster, also for each of its two functions.
    uint256 verificationGasLimit;
    /// Paid to the bundler for what the EntryPoint does not measure.
    uint256 preVerificationGas;
    /// The highest fee that is paid, base fee included.
    uint256 maxFeePerGas;
    /// The highest fee that is paid on top of the base fee.
    uint256 maxPriorityFeePerGas;
    /// Empty, or paymaster address followed by data for it.
    bytes paymasterAndData;
    /// Not part of the operation's hash.
    bytes signature;
}

/// An account of ERC-4337, EntryPoint v0.6.
interface IAccount {
    /// Validates a user operation and pays the missing funds to the EntryPoint. Only the EntryPoint may call
    /// it.
    ///
    /// - `missingAccountFunds`: Wei.
    /// - `validationData`: Bits 0..159: authorizer (0 valid, 1 invalid signature, else an aggregator); bits 160..207:
    ///   validUntil (0 means no end); bits 208..255: validAfter. Unix seconds, both inclusive.
    function validateUserOp(UserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData);
}

/// The plugins, functions and hooks of an account (ERC-6900 v0.7).
///
/// A `bytes21` is a function reference: see `IModularAccount`.
interface IAccountLoupe {
    /// The plugin that executes a function, and the functions that validate it.
    struct ExecutionFunctionConfig {
        /// Zero if there is none; the account itself for its own functions.
        address plugin;
        bytes21 userOpValidationFunction;
        bytes21 runtimeValidationFunction;
    }

    /// A pre-execution hook and a post-execution hook that gets its data. Either may be 0.
    struct ExecutionHooks {
        bytes21 preExecHook;
        bytes21 postExecHook;
    }

    /// The plugin that executes a function, and the functions that validate it.
    function getExecutionFunctionConfig(bytes4 selector) external view returns (ExecutionFunctionConfig memory config);

    /// The execution hooks of a function, newest first: each pre hook with each of its post hooks (or 0 if it has
    /// none), then the post hooks without a pre hook.
    function getExecutionHooks(bytes4 selector) external view returns (ExecutionHooks[] memory execHooks);

    /// The hooks that run before a function's validation, newest first.
    function getPreValidationHooks(bytes4 selector)
        external
        view
        returns (bytes21[] memory preUserOpValidationHooks, bytes21[] memory preRuntimeValidationHooks);

    /// The installed plugins, newest first.
    function getInstalledPlugins() external view returns (address[] memory pluginAddresses);
}

/// What an account says of a validation. Lists are in order of installation.
struct ValidationData {
    /// Bit 0: validates user operations; bit 1: signatures; bit 2: is global.
    uint8 flags;
    /// Module (20 bytes), entity id (4 bytes), flags (1 byte).
    bytes25[] validationHooks;
    bytes25[] executionHooks;
    /// Functions of the account that it may validate; a global one also those that allow it.
    bytes4[] selectors;
}

/// What an account says of one of its functions.
struct ExecutionData {
    /// The account itself for its native functions; zero if there is no such function.
    address module;
    /// Whether anybody may call it.
    bool skipRuntimeValidation;
    /// Whether global validations may validate it.
    bool allowGlobalValidation;
    bytes25[] executionHooks;
}

/// An ERC-6900 v0.8 account, as its callers see it.
///
/// Declared from the standard and from what Modular Account v2 does. A validation function is a module (20 bytes) and an
/// entity id (4 bytes); a validation configuration adds a byte of flags.
interface IAccountV08 {
    /// A module added functions to the account.
    event ExecutionInstalled(address indexed module, ExecutionManifest manifest);

    /// A module's functions were removed. `onUninstallSucceeded`: its callback did not revert, or was not made.
    event ExecutionUninstalled(address indexed module, bool onUninstallSucceeded, ExecutionManifest manifest);

    /// A validation was installed, or changed.
    event ValidationInstalled(address indexed module, uint32 indexed entityId);

    /// A validation was removed. `onUninstallSucceeded`: no callback reverted.
    event ValidationUninstalled(address indexed module, uint32 indexed entityId, bool onUninstallSucceeded);

    /// The proxy has another implementation.
    event Upgraded(address indexed implementation);

    /// A module's `onInstall` reverted.
    error ModuleInstallCallbackFailed(address module, bytes revertReason);

    /// A module does not answer that it is of the kind it is installed as.
    error InterfaceNotSupported(address module);

    /// The validation has the selector already, or the selector is zero.
    error ValidationAlreadySet(bytes4 selector, bytes24 validationFunction);

    /// The entity id is another module's.
    error ValidationEntityIdInUse();

    /// The validation has this validation hook already.
    error PreValidationHookDuplicate();

    /// The function or validation has this execution hook already.
    error ExecutionHookAlreadySet(bytes25 hookConfig);

    /// A validation has at most 255 hooks of a kind.
    error ValidationAssocHookLimitExceeded();

    /// There must be data for each hook, or for none.
    error ArrayLengthMismatch();

    /// The account has a function with this selector already.
    error ExecutionFunctionAlreadySet(bytes4 selector);

    /// The account has no such function of the module.
    error ExecutionFunctionNotSet(bytes4 selector);

    /// The validation is not one for this function, or there is none.
    error ValidationFunctionMissing(bytes4 selector);

    /// The account has no such function.
    error UnrecognizedFunction(bytes4 selector);

    /// The validation has execution hooks, and the operation does not go through `executeUserOp`.
    error RequireUserOperationContext();

    /// A call to the account itself must stand in a batch of its own, and call neither `execute` nor
    /// `executeBatch`.
    error SelfCallRecursionDepthExceeded();

    /// The validation does not validate user operations.
    error UserOpValidationInvalid(bytes24 validationFunction);

    /// The validation does not validate signatures.
    error SignatureValidationInvalid(bytes24 validationFunction);

    /// A validation hook named an aggregator.
    error UnexpectedAggregator(bytes24 validationFunction, address aggregator);

    /// The function is the EntryPoint's to call.
    error NotEntryPoint();

    /// The contract could not be created.
    error CreateFailed();

    /// The account has its first validation already.
    error AlreadyInitialized();

    /// The contract cannot be an account's implementation.
    error NotAnImplementation(address implementation);

    /// A segment of the signature is empty.
    error NonCanonicalEncoding();

    /// Segments of the signature must have ascending indices.
    error SegmentOutOfOrder();

    /// A segment is for no hook, or the marker of the last segment is not where it should be.
    error ValidationSignatureSegmentMissing();

    /// A validation hook reverted.
    error PreUserOpValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted.
    error UserOpValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// An execution hook reverted before the call.
    error PreExecHookReverted(bytes24 moduleEntity, bytes revertData);

    /// An execution hook reverted after the call.
    error PostExecHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted for a runtime call.
    error RuntimeValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// A validation hook reverted for a runtime call.
    error PreRuntimeValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted for a signature.
    error SignatureValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// A validation hook reverted for a signature.
    error PreSignatureValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    receive() external payable;

    /// Makes one call. Answers its return data, except to the EntryPoint.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory);

    /// Makes calls in order, all or none. Answers their return data, except to the EntryPoint.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory);

    /// Calls the account itself if a validation allows it. `authorization` is laid out as a signature of
    /// `isValidSignature`.
    function executeWithRuntimeValidation(bytes calldata data, bytes calldata authorization)
        external
        payable
        returns (bytes memory);

    /// Creates a contract.
    function performCreate(uint256 value, bytes calldata initCode, bool isCreate2, bytes32 salt)
        external
        payable
        returns (address);

    /// Changes the implementation and, if `data` is not empty, calls it.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    /// Adds a module's functions and hooks to the account.
    function installExecution(address module, ExecutionManifest calldata manifest, bytes calldata installData) external;

    /// Removes them. The manifest must be the one they were installed with.
    function uninstallExecution(address module, ExecutionManifest calldata manifest, bytes calldata uninstallData)
        external;

    /// Installs a validation with its hooks, or adds to one that is there. Each hook is its configuration (25
    /// bytes) followed by data for it. Empty data: the module is not told.
    function installValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;

    /// Removes a validation with its hooks. Empty data: the module is not told. A module that reverts does not
    /// hinder the removal, but nobody after it is told.
    function uninstallValidation(
        bytes24 validationFunction,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) external;

    /// Name and version: "vendor.account.semver".
    function accountId() external view returns (string memory);

    /// The EntryPoint that the account serves.
    function entryPoint() external view returns (address);

    /// What the account has under a selector.
    function getExecutionData(bytes4 selector) external view returns (ExecutionData memory);

    /// What the account has as a validation. Modular Account v2 looks at the entity id alone.
    function getValidationData(bytes24 validationFunction) external view returns (ValidationData memory);

    /// ERC-1271.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);

    /// ERC-165.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}

/// What accounts have on top that select the validation of an operation in its nonce, as Modular Account v2 does.
interface INonceAccount {
    /// A module added functions to the account.
    event ExecutionInstalled(address indexed module, ExecutionManifest manifest);

    /// A module's functions were removed. `onUninstallSucceeded`: its callback did not revert, or was not made.
    event ExecutionUninstalled(address indexed module, bool onUninstallSucceeded, ExecutionManifest manifest);

    /// A validation was installed, or changed.
    event ValidationInstalled(address indexed module, uint32 indexed entityId);

    /// A validation was removed. `onUninstallSucceeded`: no callback reverted.
    event ValidationUninstalled(address indexed module, uint32 indexed entityId, bool onUninstallSucceeded);

    /// The proxy has another implementation.
    event Upgraded(address indexed implementation);

    /// A module's `onInstall` reverted.
    error ModuleInstallCallbackFailed(address module, bytes revertReason);

    /// A module does not answer that it is of the kind it is installed as.
    error InterfaceNotSupported(address module);

    /// The validation has the selector already, or the selector is zero.
    error ValidationAlreadySet(bytes4 selector, bytes24 validationFunction);

    /// The entity id is another module's.
    error ValidationEntityIdInUse();

    /// The validation has this validation hook already.
    error PreValidationHookDuplicate();

    /// The function or validation has this execution hook already.
    error ExecutionHookAlreadySet(bytes25 hookConfig);

    /// A validation has at most 255 hooks of a kind.
    error ValidationAssocHookLimitExceeded();

    /// There must be data for each hook, or for none.
    error ArrayLengthMismatch();

    /// The account has a function with this selector already.
    error ExecutionFunctionAlreadySet(bytes4 selector);

    /// The account has no such function of the module.
    error ExecutionFunctionNotSet(bytes4 selector);

    /// The validation is not one for this function, or there is none.
    error ValidationFunctionMissing(bytes4 selector);

    /// The account has no such function.
    error UnrecognizedFunction(bytes4 selector);

    /// The validation has execution hooks, and the operation does not go through `executeUserOp`.
    error RequireUserOperationContext();

    /// A call to the account itself must stand in a batch of its own, and call neither `execute` nor
    /// `executeBatch`.
    error SelfCallRecursionDepthExceeded();

    /// The validation does not validate user operations.
    error UserOpValidationInvalid(bytes24 validationFunction);

    /// The validation does not validate signatures.
    error SignatureValidationInvalid(bytes24 validationFunction);

    /// A validation hook named an aggregator.
    error UnexpectedAggregator(bytes24 validationFunction, address aggregator);

    /// The function is the EntryPoint's to call.
    error NotEntryPoint();

    /// The contract could not be created.
    error CreateFailed();

    /// The account has its first validation already.
    error AlreadyInitialized();

    /// The contract cannot be an account's implementation.
    error NotAnImplementation(address implementation);

    /// A segment of the signature is empty.
    error NonCanonicalEncoding();

    /// Segments of the signature must have ascending indices.
    error SegmentOutOfOrder();

    /// A segment is for no hook, or the marker of the last segment is not where it should be.
    error ValidationSignatureSegmentMissing();

    /// A validation hook reverted.
    error PreUserOpValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted.
    error UserOpValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// An execution hook reverted before the call.
    error PreExecHookReverted(bytes24 moduleEntity, bytes revertData);

    /// An execution hook reverted after the call.
    error PostExecHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted for a runtime call.
    error RuntimeValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// A validation hook reverted for a runtime call.
    error PreRuntimeValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted for a signature.
    error SignatureValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// A validation hook reverted for a signature.
    error PreSignatureValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    receive() external payable;

    /// Makes one call. Answers its return data, except to the EntryPoint.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory);

    /// Makes calls in order, all or none. Answers their return data, except to the EntryPoint.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory);

    /// Calls the account itself if a validation allows it. `authorization` is laid out as a signature of
    /// `isValidSignature`.
    function executeWithRuntimeValidation(bytes calldata data, bytes calldata authorization)
        external
        payable
        returns (bytes memory);

    /// Creates a contract.
    function performCreate(uint256 value, bytes calldata initCode, bool isCreate2, bytes32 salt)
        external
        payable
        returns (address);

    /// Changes the implementation and, if `data` is not empty, calls it.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    /// Adds a module's functions and hooks to the account.
    function installExecution(address module, ExecutionManifest calldata manifest, bytes calldata installData) external;

    /// Removes them. The manifest must be the one they were installed with.
    function uninstallExecution(address module, ExecutionManifest calldata manifest, bytes calldata uninstallData)
        external;

    /// Installs a validation with its hooks, or adds to one that is there. Each hook is its configuration (25
    /// bytes) followed by data for it. Empty data: the module is not told.
    function installValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;

    /// Removes a validation with its hooks. Empty data: the module is not told. A module that reverts does not
    /// hinder the removal, but nobody after it is told.
    function uninstallValidation(
        bytes24 validationFunction,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) external;

    /// Name and version: "vendor.account.semver".
    function accountId() external view returns (string memory);

    /// The EntryPoint that the account serves.
    function entryPoint() external view returns (address);

    /// What the account has under a selector.
    function getExecutionData(bytes4 selector) external view returns (ExecutionData memory);

    /// What the account has as a validation. Modular Account v2 looks at the entity id alone.
    function getValidationData(bytes24 validationFunction) external view returns (ValidationData memory);

    /// ERC-1271.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);

    /// ERC-165.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);

    /// The signature of the deferred action is not that of its validation.
    error DeferredActionSignatureInvalid();

    /// A validation with validation hooks cannot authorize deferred actions.
    error DeferredValidationHasValidationHooks();
}

/// What accounts have on top whose first validation is a module's.
interface IInitializable {
    /// Installs the first validation.
    function initializeWithValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;
}

/// What accounts have on top that know an owner without a module.
interface ISemiModularAccount {
    /// A module added functions to the account.
    event ExecutionInstalled(address indexed module, ExecutionManifest manifest);

    /// A module's functions were removed. `onUninstallSucceeded`: its callback did not revert, or was not made.
    event ExecutionUninstalled(address indexed module, bool onUninstallSucceeded, ExecutionManifest manifest);

    /// A validation was installed, or changed.
    event ValidationInstalled(address indexed module, uint32 indexed entityId);

    /// A validation was removed. `onUninstallSucceeded`: no callback reverted.
    event ValidationUninstalled(address indexed module, uint32 indexed entityId, bool onUninstallSucceeded);

    /// The proxy has another implementation.
    event Upgraded(address indexed implementation);

    /// A module's `onInstall` reverted.
    error ModuleInstallCallbackFailed(address module, bytes revertReason);

    /// A module does not answer that it is of the kind it is installed as.
    error InterfaceNotSupported(address module);

    /// The validation has the selector already, or the selector is zero.
    error ValidationAlreadySet(bytes4 selector, bytes24 validationFunction);

    /// The entity id is another module's.
    error ValidationEntityIdInUse();

    /// The validation has this validation hook already.
    error PreValidationHookDuplicate();

    /// The function or validation has this execution hook already.
    error ExecutionHookAlreadySet(bytes25 hookConfig);

    /// A validation has at most 255 hooks of a kind.
    error ValidationAssocHookLimitExceeded();

    /// There must be data for each hook, or for none.
    error ArrayLengthMismatch();

    /// The account has a function with this selector already.
    error ExecutionFunctionAlreadySet(bytes4 selector);

    /// The account has no such function of the module.
    error ExecutionFunctionNotSet(bytes4 selector);

    /// The validation is not one for this function, or there is none.
    error ValidationFunctionMissing(bytes4 selector);

    /// The account has no such function.
    error UnrecognizedFunction(bytes4 selector);

    /// The validation has execution hooks, and the operation does not go through `executeUserOp`.
    error RequireUserOperationContext();

    /// A call to the account itself must stand in a batch of its own, and call neither `execute` nor
    /// `executeBatch`.
    error SelfCallRecursionDepthExceeded();

    /// The validation does not validate user operations.
    error UserOpValidationInvalid(bytes24 validationFunction);

    /// The validation does not validate signatures.
    error SignatureValidationInvalid(bytes24 validationFunction);

    /// A validation hook named an aggregator.
    error UnexpectedAggregator(bytes24 validationFunction, address aggregator);

    /// The function is the EntryPoint's to call.
    error NotEntryPoint();

    /// The contract could not be created.
    error CreateFailed();

    /// The account has its first validation already.
    error AlreadyInitialized();

    /// The contract cannot be an account's implementation.
    error NotAnImplementation(address implementation);

    /// A segment of the signature is empty.
    error NonCanonicalEncoding();

    /// Segments of the signature must have ascending indices.
    error SegmentOutOfOrder();

    /// A segment is for no hook, or the marker of the last segment is not where it should be.
    error ValidationSignatureSegmentMissing();

    /// A validation hook reverted.
    error PreUserOpValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted.
    error UserOpValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// An execution hook reverted before the call.
    error PreExecHookReverted(bytes24 moduleEntity, bytes revertData);

    /// An execution hook reverted after the call.
    error PostExecHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted for a runtime call.
    error RuntimeValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// A validation hook reverted for a runtime call.
    error PreRuntimeValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    /// The validation reverted for a signature.
    error SignatureValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);

    /// A validation hook reverted for a signature.
    error PreSignatureValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    receive() external payable;

    /// Makes one call. Answers its return data, except to the EntryPoint.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory);

    /// Makes calls in order, all or none. Answers their return data, except to the EntryPoint.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory);

    /// Calls the account itself if a validation allows it. `authorization` is laid out as a signature of
    /// `isValidSignature`.
    function executeWithRuntimeValidation(bytes calldata data, bytes calldata authorization)
        external
        payable
        returns (bytes memory);

    /// Creates a contract.
    function performCreate(uint256 value, bytes calldata initCode, bool isCreate2, bytes32 salt)
        external
        payable
        returns (address);

    /// Changes the implementation and, if `data` is not empty, calls it.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    /// Adds a module's functions and hooks to the account.
    function installExecution(address module, ExecutionManifest calldata manifest, bytes calldata installData) external;

    /// Removes them. The manifest must be the one they were installed with.
    function uninstallExecution(address module, ExecutionManifest calldata manifest, bytes calldata uninstallData)
        external;

    /// Installs a validation with its hooks, or adds to one that is there. Each hook is its configuration (25
    /// bytes) followed by data for it. Empty data: the module is not told.
    function installValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;

    /// Removes a validation with its hooks. Empty data: the module is not told. A module that reverts does not
    /// hinder the removal, but nobody after it is told.
    function uninstallValidation(
        bytes24 validationFunction,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) external;

    /// Name and version: "vendor.account.semver".
    function accountId() external view returns (string memory);

    /// The EntryPoint that the account serves.
    function entryPoint() external view returns (address);

    /// What the account has under a selector.
    function getExecutionData(bytes4 selector) external view returns (ExecutionData memory);

    /// What the account has as a validation. Modular Account v2 looks at the entity id alone.
    function getValidationData(bytes24 validationFunction) external view returns (ValidationData memory);

    /// ERC-1271.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);

    /// ERC-165.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);

    /// The signature of the deferred action is not that of its validation.
    error DeferredActionSignatureInvalid();

    /// A validation with validation hooks cannot authorize deferred actions.
    error DeferredValidationHasValidationHooks();

    /// The owner that needs no module changed.
    event FallbackSignerUpdated(address indexed newFallbackSigner, bool isDisabled);

    /// The caller is not the fallback signer.
    error FallbackSignerMismatch();

    /// There is no fallback signer any more.
    error FallbackSignerDisabled();

    /// Entity 0 is the fallback signer's; no module can be installed there.
    error FallbackValidationInstallationNotAllowed();

    /// The fallback signer's signature begins with neither 0 (ECDSA) nor 1 (ERC-1271).
    error InvalidSignatureType();

    /// An account that is delegated to has no implementation of its own to change.
    error UpgradeNotAllowed();

    /// Changes the fallback signer, or disables it.
    function updateFallbackSignerData(address fallbackSigner, bool isDisabled) external;

    /// The fallback signer, and whether it is disabled.
    function getFallbackSignerData() external view returns (address fallbackSigner, bool isDisabled);
}

/// The factory of Modular Account v2. Accounts are proxies at addresses that depend on owner, salt and entity id.
interface IAccountFactoryV08 {
    /// Makes an account whose owner is a module's, under this entity id; or answers the one that is there.
    function createAccount(address owner, uint256 salt, uint32 entityId) external returns (address account);

    /// Makes a semi-modular account; or answers the one that is there.
    function createSemiModularAccount(address owner, uint256 salt) external returns (address account);

    /// The address of `createAccount`.
    function getAddress(address owner, uint256 salt, uint32 entityId) external view returns (address);

    /// The address of `createSemiModularAccount`.
    function getAddressSemiModular(address owner, uint256 salt) external view returns (address);
}

/// The part of ERC-4337's EntryPoint v0.6 that is used here.
///
/// Declared from the ERC and the deployed contract's ABI; it is at 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789 on
/// all chains.
interface IEntryPoint {
    /// The operations whose signatures one aggregator checks.
    struct UserOpsPerAggregator {
        UserOperation[] userOps;
        address aggregator;
        bytes signature;
    }

    /// Deposit and stake of an address.
    struct DepositInfo {
        uint112 deposit;
        bool staked;
        uint112 stake;
        uint32 unstakeDelaySec;
        uint48 withdrawTime;
    }

    /// Cost and result of a validation. Gas in gas units, `prefund` in wei, times in unix seconds.
    struct ReturnInfo {
        uint256 preOpGas;
        uint256 prefund;
        bool sigFailed;
        uint48 validAfter;
        uint48 validUntil;
        bytes paymasterContext;
    }

    /// Stake in wei, delay in seconds.
    struct StakeInfo {
        uint256 stake;
        uint256 unstakeDelaySec;
    }

    /// An aggregator and its stake.
    struct AggregatorStakeInfo {
        address aggregator;
        StakeInfo stakeInfo;
    }

    /// A user operation was included. `success` says whether its call succeeded; cost in wei.
    event UserOperationEvent(
        bytes32 indexed userOpHash,
        address indexed sender,
        address indexed paymaster,
        uint256 nonce,
        bool success,
        uint256 actualGasCost,
        uint256 actualGasUsed
    );

    /// The call of an included user operation reverted. `revertReason` holds at most 2,048 bytes; an empty
    /// reason emits no event.
    event UserOperationRevertReason(
        bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes revertReason
    );

    /// An account was created by `initCode`.
    event AccountDeployed(bytes32 indexed userOpHash, address indexed sender, address factory, address paymaster);

    /// The calls of the bundle begin: all validation is done.
    event BeforeExecution();

    /// The operations that follow used this aggregator.
    event SignatureAggregatorChanged(address indexed aggregator);

    /// Wei were added to a deposit.
    event Deposited(address indexed account, uint256 totalDeposit);

    /// Wei were withdrawn from a deposit.
    event Withdrawn(address indexed account, address withdrawAddress, uint256 amount);

    /// A stake was added to, or its delay changed.
    event StakeLocked(address indexed account, uint256 totalStaked, uint256 unstakeDelaySec);

    /// The unstake delay started.
    event StakeUnlocked(address indexed account, uint256 withdrawTime);

    /// A stake was withdrawn.
    event StakeWithdrawn(address indexed account, address withdrawAddress, uint256 amount);

    /// A bundle cannot be included because of operation `opIndex`. `reason` begins with an AAxx code.
    error FailedOp(uint256 opIndex, string reason);

    /// An aggregator refused its signature.
    error SignatureValidationFailed(address aggregator);

    /// The result of `simulateValidation`, which always reverts.
    error ValidationResult(ReturnInfo returnInfo, StakeInfo senderInfo, StakeInfo factoryInfo, StakeInfo paymasterInfo);

    /// The result of `simulateValidation` for an operation with an aggregator.
    error ValidationResultWithAggregation(
        ReturnInfo returnInfo,
        StakeInfo senderInfo,
        StakeInfo factoryInfo,
        StakeInfo paymasterInfo,
        AggregatorStakeInfo aggregatorInfo
    );

    /// The result of `simulateHandleOp`, which always reverts.
    error ExecutionResult(
        uint256 preOpGas, uint256 paid, uint48 validAfter, uint48 validUntil, bool targetSuccess, bytes targetResult
    );

    /// The result of `getSenderAddress`, which always reverts.
    error SenderAddressResult(address sender);

    /// Includes user operations; the fees go to `beneficiary`.
    function handleOps(UserOperation[] calldata ops, address payable beneficiary) external;

    /// Includes user operations whose signatures aggregators check.
    function handleAggregatedOps(UserOpsPerAggregator[] calldata opsPerAggregator, address payable beneficiary) external;

    /// Validates a user operation and reverts with the result.
    function simulateValidation(UserOperation calldata userOp) external;

    /// Validates and executes a user operation, then calls `target`, and reverts with the result.
    function simulateHandleOp(UserOperation calldata op, address target, bytes calldata targetCallData) external;

    /// Reverts with the address that `initCode` would create.
    function getSenderAddress(bytes memory initCode) external;

    /// Uses up the caller's next nonce of a nonce key.
    function incrementNonce(uint192 key) external;

    /// Adds the wei sent to an account's deposit.
    function depositTo(address account) external payable;

    /// Withdraws wei of the caller's deposit.
    function withdrawTo(address payable withdrawAddress, uint256 withdrawAmount) external;

    /// Adds the wei sent to the caller's stake.
    function addStake(uint32 unstakeDelaySec) external payable;

    /// Starts the caller's unstake delay.
    function unlockStake() external;

    /// Withdraws the caller's stake after the unstake delay.
    function withdrawStake(address payable withdrawAddress) external;

    /// The hash that is signed and that identifies the operation. Covers everything except the signature, and
    /// the EntryPoint and chain id.
    function getUserOpHash(UserOperation calldata userOp) external view returns (bytes32);

    /// The next nonce of an account for a nonce key: key in the upper 192 bits, sequence in the lower 64.
    function getNonce(address sender, uint192 key) external view returns (uint256 nonce);

    /// An account's deposit, in wei.
    function balanceOf(address account) external view returns (uint256);

    /// An account's deposit and stake.
    function getDepositInfo(address account) external view returns (DepositInfo memory info);
}

/// The part of ERC-4337's EntryPoint v0.7 that is used here.
///
/// Declared from the ERC and the deployed contract's ABI; it is at 0x0000000071727De22E5E9d8BAf0edAc6f37da032 on all
/// chains.
interface IEntryPointV07 {
    /// A user operation was included. `success` says whether its call succeeded; cost in wei.
    event UserOperationEvent(
        bytes32 indexed userOpHash,
        address indexed sender,
        address indexed paymaster,
        uint256 nonce,
        bool success,
        uint256 actualGasCost,
        uint256 actualGasUsed
    );

    /// The call of an included user operation reverted. `revertReason` holds at most 2,048 bytes.
    event UserOperationRevertReason(
        bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes revertReason
    );

    /// All operations of the bundle are validated; their calls follow.
    event BeforeExecution();

    /// What an address has deposited and staked.
    struct DepositInfo {
        uint256 deposit;
        bool staked;
        uint112 stake;
        uint32 unstakeDelaySec;
        uint48 withdrawTime;
    }

    /// The EntryPoint refuses an operation of the bundle; `reason` begins with a code, "AA…".
    error FailedOp(uint256 opIndex, string reason);

    /// The same, with what the account, the factory or the paymaster reverted with.
    error FailedOpWithRevert(uint256 opIndex, string reason, bytes inner);

    /// Validates operations, then executes them, and pays `beneficiary` what they cost.
    function handleOps(PackedUserOperation[] calldata ops, address payable beneficiary) external;

    /// The hash that is signed and that identifies the operation.
    function getUserOpHash(PackedUserOperation calldata userOp) external view returns (bytes32);

    /// The next nonce in a lane.
    function getNonce(address sender, uint192 key) external view returns (uint256);

    /// Uses the next nonce of the caller's lane.
    function incrementNonce(uint192 key) external;

    /// Adds to an account's deposit.
    function depositTo(address account) external payable;

    /// Pays out of the caller's deposit.
    function withdrawTo(address payable withdrawAddress, uint256 withdrawAmount) external;

    /// Deposit and stake of an address.
    function getDepositInfo(address account) external view returns (DepositInfo memory);

    /// Deposit of an address, in wei.
    function balanceOf(address account) external view returns (uint256);

    /// Locks a stake of the caller.
    function addStake(uint32 unstakeDelaySec) external payable;
}

/// What the EntryPoint calls of an account.
interface IAccountV07 {
    /// Validates an operation and pays what is missing of its prefund. Answers as ERC-4337 packs it: authorizer,
    /// `validUntil`, `validAfter`.
    function validateUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData);

    /// Called in place of the operation's call data if they begin with this function's selector.
    function executeUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash) external;
}

/// What the EntryPoint calls of a paymaster, as far as it asks for no `postOp`.
interface IPaymasterV07 {
    /// Whether the paymaster pays for the operation, and for how long.
    function validatePaymasterUserOp(PackedUserOperation calldata userOp, bytes32 userOpHash, uint256 maxCost)
        external
        returns (bytes memory context, uint256 validationData);
}

/// An ERC-6900 v0.7 account with ERC-4337 EntryPoint v0.6: its whole ABI.
///
/// The interfaces of ERC-4337 and ERC-6900 that it inherits, with ERC-1822 and the ERC-721, ERC-1155 and ERC-777
/// receivers.
/// A `bytes21` is a function reference: the address of a plugin, then one byte, the function id within that plugin.
/// Three values have no address and a special meaning: 0 "none"; 1 RUNTIME_VALIDATION_ALWAYS_ALLOW, a runtime
/// validation that lets every caller pass; 2 PRE_HOOK_ALWAYS_DENY, a pre hook that lets nobody pass.
/// A *runtime call* is a call of the account by anyone but the EntryPoint.
interface IModularAccount {
    /// Validates a user operation and pays the missing funds to the EntryPoint. Only the EntryPoint may call
    /// it.
    ///
    /// - `missingAccountFunds`: Wei.
    /// - `validationData`: Bits 0..159: authorizer (0 valid, 1 invalid signature, else an aggregator); bits 160..207:
    ///   validUntil (0 means no end); bits 208..255: validAfter. Unix seconds, both inclusive.
    function validateUserOp(UserOperation calldata userOp, bytes32 userOpHash, uint256 missingAccountFunds)
        external
        returns (uint256 validationData);

    /// The `config` of `uninstallPlugin`, ABI-encoded as one value: `abi.encode(UninstallPluginConfig(...))`.
    struct UninstallPluginConfig {
        /// `abi.encode(manifest)` of the manifest that the plugin was installed with; empty to ask the plugin for it.
        bytes serializedManifest;
        /// Uninstall even if `onUninstall` fails.
        bool forceUninstall;
        /// The gas limit of `onUninstall`; zero for no limit.
        uint256 callbackGasLimit;
    }

    /// A plugin was installed, and its `onInstall` has run.
    event PluginInstalled(address indexed plugin, bytes32 manifestHash, bytes21[] dependencies);

    /// A plugin was uninstalled. `onUninstallSucceeded` is false if its callback failed in a forced uninstall.
    event PluginUninstalled(address indexed plugin, bool indexed onUninstallSucceeded);

    /// Installs a plugin.
    ///
    /// - `manifestHash`: `keccak256(abi.encode(manifest))` of the manifest that the caller consents to.
    /// - `pluginInstallData`: Passed to the plugin's `onInstall`.
    /// - `dependencies`: Functions of installed plugins that the manifest asks for, in its order.
    function installPlugin(
        address plugin,
        bytes32 manifestHash,
        bytes calldata pluginInstallData,
        bytes21[] calldata dependencies
    ) external;

    /// Uninstalls a plugin.
    ///
    /// - `config`: Empty, or an encoded `UninstallPluginConfig`.
    /// - `pluginUninstallData`: Passed to the plugin's `onUninstall`.
    function uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData) external;

    /// Makes one call; reverts as the target does. The target must not be a plugin.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory result);

    /// Makes calls in order; reverts as the first that fails does. No target may be a plugin.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory results);

    /// Calls an execution function that a plugin added and that the calling plugin's manifest lists.
    ///
    /// - `data`: The call: selector and arguments.
    /// - `returnData`: The function's return data, raw.
    function executeFromPlugin(bytes calldata data) external payable returns (bytes memory returnData);

    /// Makes a call that the calling plugin's manifest permits.
    ///
    /// - `value`: Wei to send along.
    /// - returned: The target's return data, raw.
    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        returns (bytes memory);

    /// The plugin that executes a function, and the functions that validate it.
    struct ExecutionFunctionConfig {
        /// Zero if there is none; the account itself for its own functions.
        address plugin;
        bytes21 userOpValidationFunction;
        bytes21 runtimeValidationFunction;
    }

    /// A pre-execution hook and a post-execution hook that gets its data. Either may be 0.
    struct ExecutionHooks {
        bytes21 preExecHook;
        bytes21 postExecHook;
    }

    /// The plugin that executes a function, and the functions that validate it.
    function getExecutionFunctionConfig(bytes4 selector) external view returns (ExecutionFunctionConfig memory config);

    /// The execution hooks of a function, newest first: each pre hook with each of its post hooks (or 0 if it has
    /// none), then the post hooks without a pre hook.
    function getExecutionHooks(bytes4 selector) external view returns (ExecutionHooks[] memory execHooks);

    /// The hooks that run before a function's validation, newest first.
    function getPreValidationHooks(bytes4 selector)
        external
        view
        returns (bytes21[] memory preUserOpValidationHooks, bytes21[] memory preRuntimeValidationHooks);

    /// The installed plugins, newest first.
    function getInstalledPlugins() external view returns (address[] memory pluginAddresses);

    /// The account was set up, once, for this EntryPoint.
    event ModularAccountInitialized(address indexed entryPoint);

    /// The account runs another implementation (ERC-1967).
    event Upgraded(address indexed implementation);

    /// `initialize` has already run. It can never run on the implementation contract.
    error AlreadyInitialized();

    /// `initialize` is running: a plugin called it again from a callback.
    error AlreadyInitializing();

    /// A PRE_HOOK_ALWAYS_DENY hook applies to the function.
    error AlwaysDenyRule();

    /// `initialize`: the number of manifest hashes or of install data differs from the number of plugins.
    error ArrayLengthMismatch();

    /// A manifest adds one more copy of an execution hook than the account can count (256).
    error DuplicateHookLimitExceeded(bytes4 selector, bytes21 hook);

    /// A manifest adds one more copy of a pre-runtime-validation hook than the account can count (256).
    error DuplicatePreRuntimeValidationHookLimitExceeded(bytes4 selector, bytes21 hook);

    /// A manifest adds one more copy of a pre-user-operation-validation hook than the account can count (256).
    error DuplicatePreUserOpValidationHookLimitExceeded(bytes4 selector, bytes21 hook);

    /// A manifest adds a function of ERC-4337's paymasters or aggregators.
    error Erc4337FunctionNotAllowed(bytes4 selector);

    /// The plugin's manifest does not permit this call, or no plugin may make it.
    error ExecFromPluginExternalNotPermitted(address plugin, address target, uint256 value, bytes data);

    /// The plugin's manifest does not list this function.
    error ExecFromPluginNotPermitted(address plugin, bytes4 selector);

    /// A manifest adds an execution function that a plugin has already added.
    error ExecutionFunctionAlreadySet(bytes4 selector);

    /// A manifest adds a function of `IPlugin` to the account.
    error IPluginFunctionNotAllowed(bytes4 selector);

    /// A manifest makes the account claim the interface of plugins, or the invalid one (0xffffffff).
    error InterfaceNotAllowed();

    /// The number of dependencies differs from the manifest's, or one of them lacks the required interface.
    error InvalidDependenciesProvided();

    /// The manifest does not have the given or the recorded hash, or is inconsistent.
    error InvalidPluginManifest();

    /// A dependency is not installed.
    error MissingPluginDependency(address dependency);

    /// A manifest adds one of the account's own functions.
    error NativeFunctionNotAllowed(bytes4 selector);

    /// The plugin may not spend the account's native token, and sent along less than it spends.
    error NativeTokenSpendingNotPermitted(address plugin);

    /// A manifest adds a null validation function or hook.
    error NullFunctionReference();

    /// The plugin is installed, or its address is zero.
    error PluginAlreadyInstalled(address plugin);

    /// The account does not call plugins on behalf of anyone.
    error PluginCallDenied(address plugin);

    /// Another plugin depends on this one.
    error PluginDependencyViolation(address plugin);

    /// `onInstall` reverted.
    error PluginInstallCallbackFailed(address plugin, bytes revertReason);

    /// The address has no code, does not report itself as a plugin through ERC-165, or does not answer as one.
    error PluginInterfaceNotSupported(address plugin);

    /// The plugin is not installed.
    error PluginNotInstalled(address plugin);

    /// `onUninstall` reverted.
    error PluginUninstallCallbackFailed(address plugin, bytes revertReason);

    /// A post-execution hook reverted.
    error PostExecHookReverted(address plugin, uint8 functionId, bytes revertReason);

    /// A pre-execution hook reverted.
    error PreExecHookReverted(address plugin, uint8 functionId, bytes revertReason);

    /// A pre-runtime-validation hook reverted.
    error PreRuntimeValidationHookFailed(address plugin, uint8 functionId, bytes revertReason);

    /// A manifest adds a second runtime validation function for an execution function.
    error RuntimeValidationFunctionAlreadySet(bytes4 selector, bytes21 validationFunction);

    /// Nothing validates runtime calls of the function.
    error RuntimeValidationFunctionMissing(bytes4 selector);

    /// The runtime validation function refused the call.
    error RuntimeValidationFunctionReverted(address plugin, uint8 functionId, bytes revertReason);

    /// A function of the proxy was called on the implementation, or the other way around; or someone else
    /// called `initialize` of an externally owned account that delegates to the implementation (EIP-7702).
    error UnauthorizedCallContext();

    /// A pre-user-operation-validation hook named an aggregator; it may only accept (0) or refuse (1).
    error UnexpectedAggregator(address plugin, uint8 functionId, address aggregator);

    /// No plugin has added the function. Call data under 4 bytes is padded with zeros on the right.
    error UnrecognizedFunction(bytes4 selector);

    /// The new implementation does not identify itself as one (ERC-1822).
    error UpgradeFailed();

    /// Only the EntryPoint may call `validateUserOp`.
    error UserOpNotFromEntryPoint();

    /// A manifest adds a second user operation validation function for an execution function.
    error UserOpValidationFunctionAlreadySet(bytes4 selector, bytes21 validationFunction);

    /// Nothing validates user operations that call the function.
    error UserOpValidationFunctionMissing(bytes4 selector);

    /// The account accepts the native token from everyone.
    receive() external payable;

    /// Runs the execution functions that plugins added, and returns their return data, raw.
    fallback() external payable;

    /// Sets the account up: installs plugins, without dependencies. Open to the first caller, once. Only an
    /// externally owned account itself can set itself up when it delegates to the implementation (EIP-7702): else
    /// `UnauthorizedCallContext`.
    ///
    /// Warning: behind a proxy, call it in the transaction that creates the proxy, as the factory does; the first
    /// caller chooses the owners.
    ///
    /// - `pluginInitData`: `abi.encode(bytes32[] manifestHashes, bytes[] pluginInstallDatas)`, an element per plugin.
    function initialize(address[] calldata plugins, bytes calldata pluginInitData) external;

    /// Makes the account run another implementation, and calls it with `data` unless that is empty.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    /// Accepts ERC-721 tokens. This and the other receivers need no validation but run execution hooks.
    function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4 selector);

    /// Accepts ERC-1155 tokens.
    function onERC1155Received(address operator, address from, uint256 id, uint256 value, bytes calldata data)
        external
        returns (bytes4 selector);

    /// Accepts ERC-1155 tokens.
    function onERC1155BatchReceived(
        address operator,
        address from,
        uint256[] calldata ids,
        uint256[] calldata values,
        bytes calldata data
    ) external returns (bytes4 selector);

    /// Accepts ERC-777 tokens.
    function tokensReceived(
        address operator,
        address from,
        address to,
        uint256 amount,
        bytes calldata userData,
        bytes calldata operatorData
    ) external;

    /// The EntryPoint that the account trusts.
    function entryPoint() external view returns (address);

    /// The next nonce of nonce key 0.
    function getNonce() external view returns (uint256);

    /// The storage slot of the implementation's address (ERC-1822). Only the implementation answers.
    function proxiableUUID() external view returns (bytes32);

    /// ERC-165: what the account implements itself, and what the manifests of installed plugins claim.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}

/// Factory of modular accounts at addresses known in advance.
///
/// The factory's owner manages its stake at the EntryPoint; that part of the ABI (`owner`, `pendingOwner`,
/// `transferOwnership`, `acceptOwnership` and their events) is OpenZeppelin's `Ownable2Step`.
interface IModularAccountFactory {
    /// The action is not possible.
    error InvalidAction();

    /// The owners are not strictly ascending, or the zero address is among them.
    error InvalidOwner();

    /// There are no owners; an account needs one.
    error OwnersArrayEmpty();

    /// More than 100 owners.
    error OwnersLimitExceeded();

    /// The native token was not accepted.
    error TransferFailed();

    /// The factory accepts the native token from everyone.
    receive() external payable;

    /// Creates an account for these owners, or returns the one that exists.
    ///
    /// - `salt`: Distinguishes accounts of the same owners.
    /// - `owners`: Strictly ascending and not zero; 1 to 100 of them.
    function createAccount(uint256 salt, address[] calldata owners) external returns (address addr);

    /// Moves wei of the factory into its stake at the EntryPoint. Only its owner may call it.
    ///
    /// - `unstakeDelay`: Seconds between `unlockStake` and `withdrawStake`.
    /// - `amount`: Wei; any excess sent stays on the factory.
    function addStake(uint32 unstakeDelay, uint256 amount) external payable;

    /// Starts the unstake delay. Only the factory's owner may call it.
    function unlockStake() external;

    /// Withdraws the whole stake after the unstake delay. Only the factory's owner may call it.
    function withdrawStake(address payable to) external;

    /// Sends native or ERC-20 tokens that the factory holds. Only its owner may call it.
    ///
    /// - `token`: An ERC-20 token, or zero for the native token, whose whole balance is sent whatever `amount` is.
    function withdraw(address payable to, address token, uint256 amount) external;

    /// Always reverts with `InvalidAction`: a stake without an owner would be lost.
    function renounceOwnership() external view;

    /// The address at which `createAccount` would create, or created, the account of these owners.
    function getAddress(uint256 salt, address[] calldata owners) external view returns (address);

    /// The EntryPoint that the factory is staked at.
    function ENTRYPOINT() external view returns (address);

    /// The account implementation.
    function IMPL() external view returns (address);

    /// The plugin that keeps the owners of accounts.
    function MULTI_OWNER_PLUGIN() external view returns (address);
}

/// A user operation of ERC-4337 as EntryPoint v0.7 takes it. Gas in gas units, fees in wei per gas unit; two
/// numbers in one word take 16 bytes each, the first in the upper half.
struct PackedUserOperation {
    address sender;
    /// Upper 192 bits: nonce key (a lane with its own sequence); lower 64 bits: sequence number in that lane.
    uint256 nonce;
    /// Empty, or factory address followed by the call that creates the account.
    bytes initCode;
    bytes callData;
    /// verificationGasLimit, callGasLimit
    bytes32 accountGasLimits;
    uint256 preVerificationGas;
    /// maxPriorityFeePerGas, maxFeePerGas
    bytes32 gasFees;
    /// Empty, or paymaster address, paymasterVerificationGasLimit, paymasterPostOpGasLimit (16 bytes each), data for it.
    bytes paymasterAndData;
    bytes signature;
}

/// A function that a module adds to an account.
struct ManifestExecutionFunction {
    bytes4 executionSelector;
    /// Whether anyone may call it.
    bool skipRuntimeValidation;
    /// Whether global validations may validate it.
    bool allowGlobalValidation;
}

/// Binds a hook of the module to an execution selector.
struct ManifestHook {
    bytes4 executionSelector;
    uint32 entityId;
    bool isPreHook;
    bool isPostHook;
}

/// What a module adds to an account.
struct ExecutionManifest {
    ManifestExecutionFunction[] executionFunctions;
    ManifestHook[] executionHooks;
    /// ERC-165 ids that the account answers true for while the module is installed.
    bytes4[] interfaceIds;
}

/// A module of an ERC-6900 v0.8 account.
interface IModule {
    /// Sets the module up for the calling account.
    function onInstall(bytes calldata data) external;

    /// Clears the module's state for the calling account.
    function onUninstall(bytes calldata data) external;

    /// Name and version: "vendor.module.semver".
    function moduleId() external view returns (string memory);
}

/// A module that validates operations, calls and signatures of an account.
interface IValidationModule {
    /// Sets the module up for the calling account.
    function onInstall(bytes calldata data) external;

    /// Clears the module's state for the calling account.
    function onUninstall(bytes calldata data) external;

    /// Name and version: "vendor.module.semver".
    function moduleId() external view returns (string memory);

    /// Validates a user operation of the calling account.
    ///
    /// - `entityId`: The account's number for the validation of the module that is asked.
    /// - `userOp`: As the EntryPoint received it, except that the signature is only the module's part of it.
    /// - `validationData`: Bits 0..159: authorizer (0 valid, 1 invalid signature); bits 160..207: validUntil (0 means no end);
    ///   bits 208..255: validAfter. Unix seconds, both inclusive.
    function validateUserOp(uint32 entityId, PackedUserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);

    /// Validates a call that does not come from the EntryPoint; reverts to refuse it.
    function validateRuntime(
        address account,
        uint32 entityId,
        address sender,
        uint256 value,
        bytes calldata data,
        bytes calldata authorization
    ) external;

    /// Validates an ERC-1271 signature of the account.
    ///
    /// - returned: 0x1626ba7e if it is valid, else 0xffffffff.
    function validateSignature(address account, uint32 entityId, address sender, bytes32 hash, bytes calldata signature)
        external
        view
        returns (bytes4);
}

/// A module that adds functions to an account.
interface IExecutionModule {
    /// Sets the module up for the calling account.
    function onInstall(bytes calldata data) external;

    /// Clears the module's state for the calling account.
    function onUninstall(bytes calldata data) external;

    /// Name and version: "vendor.module.semver".
    function moduleId() external view returns (string memory);

    /// The functions and hooks that the module adds to an account.
    function executionManifest() external pure returns (ExecutionManifest memory);
}

/// Owners of an ERC-6900 v0.7 account.
///
/// Each owner alone can do everything. An owner is an externally owned account, which signs with ECDSA, or a
/// contract, which is asked through ERC-1271. An account with the plugin has at least one owner.
/// A signature, of a user operation or of a message (ERC-1271), has one of three forms:
/// - ECDSA: r (32 bytes), s (32), v (1), of the owner that is recovered;
/// - named: a marker (32 bytes), the owner (20), its signature (any length): only that owner is asked, about its
/// signature;
/// - plain: any other bytes: every owner with code is asked about all of them, newest first, until one accepts.
/// The marker is `0xffffffffffffffffffffffffffffffff3912ad2b0ae36861a865bb371c234690`. It
/// is larger than any r (the order of secp256k1), so no ECDSA signature begins with it. A contract owner whose own signatures
/// begin with it, such as an account with this plugin, must be named.
/// Bundlers refuse an operation whose validation accesses an address without code (ERC-7562, OP-041). A named signature
/// never causes this if the named owner has code. A plain signature does if an owner without code is newer than the
/// signer; the operation is still valid in `handleOps`.
interface IMultiOwnerPlugin {
    /// Ids of this plugin's validation functions.
    enum FunctionId {
        /// Runtime validation: the caller is an owner or the account itself.
        RUNTIME_VALIDATION_OWNER_OR_SELF,
        /// User operation validation: an owner signed.
        USER_OP_VALIDATION_OWNER
    }

    /// Owners of an account changed: `removedOwners` were removed first, then `addedOwners` added.
    event OwnerUpdated(address indexed account, address[] addedOwners, address[] removedOwners);

    /// An account must have an owner.
    error EmptyOwnersNotAllowed();

    /// The address is zero or already an owner.
    error InvalidOwner(address owner);

    /// The caller is neither an owner nor the account.
    error NotAuthorized();

    /// The address to remove is not an owner.
    error OwnerDoesNotExist(address owner);

    /// Changes the owners. Called on the account.
    ///
    /// - `ownersToAdd`: None zero, none an owner (after the removal), none twice: else `InvalidOwner`.
    /// - `ownersToRemove`: All of them owners: else `OwnerDoesNotExist`. They are removed first.
    function updateOwners(address[] calldata ownersToAdd, address[] calldata ownersToRemove) external;

    /// The EIP-712 domain of messages that the calling account signs (ERC-5267). Called on the account.
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );

    /// The data that is hashed and signed for a message of the account: 0x1901, domain separator, struct hash (EIP-712).
    ///
    /// - `message`: For ERC-1271, `abi.encode(digest)`.
    function encodeMessageData(address account, bytes calldata message) external view returns (bytes memory);

    /// Keccak-256 hash of `encodeMessageData`: owners sign it, and the account's `isValidSignature` accepts the signature.
    function getMessageHash(address account, bytes calldata message) external view returns (bytes32);

    /// Whether the address is an owner of the account.
    function isOwnerOf(address account, address ownerToCheck) external view returns (bool);

    /// The owners of the account, newest first.
    function ownersOf(address account) external view returns (address[] memory);
}

/// How a manifest names a function. Source: ERC-6900 v0.7, "Plugin manifest".
enum ManifestAssociatedFunctionType {
    /// No function: only valid for one half of an execution hook pair.
    NONE,
    /// Function `functionId` of the plugin that owns the manifest.
    SELF,
    /// The function reference given at `dependencies[dependencyIndex]` when the plugin was installed.
    DEPENDENCY,
    /// Runtime validation that lets every caller pass.
    RUNTIME_VALIDATION_ALWAYS_ALLOW,
    /// A pre hook that lets nobody pass.
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

/// A plugin's description for people. Never read on chain.
struct PluginMetadata {
    string name;
    /// Semantic version 2.0.0.
    string version;
    string author;
    SelectorPermission[] permissionDescriptors;
}

/// The functions that a plugin adds to an account, and its permissions there. An owner consents to it by its hash,
/// `keccak256(abi.encode(manifest))`.
struct PluginManifest {
    /// ERC-165 ids that the account answers true for while the plugin is installed.
    bytes4[] interfaceIds;
    /// The interface that the plugin of each dependency must support, in the order of `dependencies`.
    bytes4[] dependencyInterfaceIds;
    /// Functions added to the account.
    bytes4[] executionFunctions;
    /// Functions of the account that the plugin may call through `executeFromPlugin`.
    bytes4[] permittedExecutionSelectors;
    /// Whether `executeFromPluginExternal` may reach every address.
    bool permitAnyExternalAddress;
    /// Whether the plugin may spend the account's native token.
    bool canSpendNativeToken;
    ManifestExternalCallPermission[] permittedExternalCalls;
    ManifestAssociatedFunction[] userOpValidationFunctions;
    ManifestAssociatedFunction[] runtimeValidationFunctions;
    ManifestAssociatedFunction[] preUserOpValidationHooks;
    ManifestAssociatedFunction[] preRuntimeValidationHooks;
    ManifestExecutionHook[] executionHooks;
}

/// A plugin of an ERC-6900 v0.7 account.
///
/// The account that the plugin is installed on calls all functions except the last two.
interface IPlugin {
    /// Sets the plugin up for the calling account.
    function onInstall(bytes calldata data) external;

    /// Clears the plugin's state for the calling account.
    function onUninstall(bytes calldata data) external;

    /// Runs before the user operation validation function.
    ///
    /// - `validationData`: Packed as in ERC-4337: authorizer (0 valid, 1 invalid), validUntil, validAfter.
    function preUserOpValidationHook(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);

    /// Validates a user operation.
    ///
    /// - `validationData`: Packed as in ERC-4337: authorizer (0 valid, 1 invalid), validUntil, validAfter.
    function userOpValidationFunction(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);

    /// Runs before the runtime validation function; reverts to refuse the call.
    function preRuntimeValidationHook(uint8 functionId, address sender, uint256 value, bytes calldata data) external;

    /// Validates a call that does not come from the EntryPoint; reverts to refuse it.
    function runtimeValidationFunction(uint8 functionId, address sender, uint256 value, bytes calldata data) external;

    /// Runs before execution; reverts to refuse it.
    ///
    /// - `hookData`: Passed to the post-execution hooks paired with this hook.
    function preExecutionHook(uint8 functionId, address sender, uint256 value, bytes calldata data)
        external
        returns (bytes memory hookData);

    /// Runs after execution; reverts to undo it.
    function postExecutionHook(uint8 functionId, bytes calldata preExecHookData) external;

    /// The functions that the plugin adds to an account, and its permissions there.
    function pluginManifest() external pure returns (PluginManifest memory);

    /// Name, version, author and permission descriptions, for people.
    function pluginMetadata() external pure returns (PluginMetadata memory);
}

/// Errors that every plugin of this repository can raise, and the session key module.
interface IPluginErrors {
    /// The plugin already holds state for the account. Neither plugin of this repository raises it: an
    /// installation clears what an uninstall without callback left behind. They declare it because the published ABI
    /// does.
    error AlreadyInitialized();

    /// The call is invalid. The session key plugin and module raise it for incomplete install data. The owner
    /// plugin never raises it: each of its invalid calls has a specific error. It declares this one because the
    /// published ABI does.
    error InvalidAction();

    /// Only a contract can install the plugin.
    error NotContractCaller(address caller);

    /// The plugin has no such function, or no such function id.
    error NotImplemented(bytes4 selector, uint8 functionId);

    /// The plugin holds no state for the account.
    error NotInitialized();
}

/// Calls that installed plugins make through the account (ERC-6900 v0.7).
interface IPluginExecutor {
    /// Calls an execution function that a plugin added and that the calling plugin's manifest lists.
    ///
    /// - `data`: The call: selector and arguments.
    /// - `returnData`: The function's return data, raw.
    function executeFromPlugin(bytes calldata data) external payable returns (bytes memory returnData);

    /// Makes a call that the calling plugin's manifest permits.
    ///
    /// - `value`: Wei to send along.
    /// - returned: The target's return data, raw.
    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        returns (bytes memory);
}

/// Installing plugins (ERC-6900 v0.7).
interface IPluginManager {
    /// The `config` of `uninstallPlugin`, ABI-encoded as one value: `abi.encode(UninstallPluginConfig(...))`.
    struct UninstallPluginConfig {
        /// `abi.encode(manifest)` of the manifest that the plugin was installed with; empty to ask the plugin for it.
        bytes serializedManifest;
        /// Uninstall even if `onUninstall` fails.
        bool forceUninstall;
        /// The gas limit of `onUninstall`; zero for no limit.
        uint256 callbackGasLimit;
    }

    /// A plugin was installed, and its `onInstall` has run.
    event PluginInstalled(address indexed plugin, bytes32 manifestHash, bytes21[] dependencies);

    /// A plugin was uninstalled. `onUninstallSucceeded` is false if its callback failed in a forced uninstall.
    event PluginUninstalled(address indexed plugin, bool indexed onUninstallSucceeded);

    /// Installs a plugin.
    ///
    /// - `manifestHash`: `keccak256(abi.encode(manifest))` of the manifest that the caller consents to.
    /// - `pluginInstallData`: Passed to the plugin's `onInstall`.
    /// - `dependencies`: Functions of installed plugins that the manifest asks for, in its order.
    function installPlugin(
        address plugin,
        bytes32 manifestHash,
        bytes calldata pluginInstallData,
        bytes21[] calldata dependencies
    ) external;

    /// Uninstalls a plugin.
    ///
    /// - `config`: Empty, or an encoded `UninstallPluginConfig`.
    /// - `pluginUninstallData`: Passed to the plugin's `onUninstall`.
    function uninstallPlugin(address plugin, bytes calldata config, bytes calldata pluginUninstallData) external;
}

/// Additions of `SessionKeyModule` to the ABI of `ISessionKeyPlugin`, `IValidationModule` and `IExecutionModule`.
interface ISessionKeyModule {
    /// In execution: a call's target reports itself as a module. Modules obey calls from the account.
    error TargetIsModule(address target);

    /// In execution: too little gas is left to ask a call's target whether it is a module.
    error TargetNotAsked(address target);
}

/// Session keys for ERC-6900 accounts: as a plugin of v0.7, and as a module of v0.8.
///
/// The owner of an account registers a session key with a set of permissions. The key then signs user
/// operations that call `executeWithSessionKey`, and nothing else, within its permissions.
/// Units and bounds, everywhere in this interface:
/// - amounts of the native token and of gas are in wei, of an ERC-20 token in its base units;
/// - times are unix seconds, and inclusive on both ends; zero means unbounded on that side;
/// - a `refreshInterval` is in seconds; zero means that the limit is a total and never refreshes. An interval starts
/// when the limit is set; with the module, the interval of a limit set while the key is added starts with the next
/// execution;
/// - `type(uint256).max` as a spend limit means "no limit".
/// Defaults of a newly added key: allowlist, with nothing on it (every call is denied); no time range; a native token limit
/// of zero; no ERC-20 limits; no gas limit; no required paymaster.
interface ISessionKeyPlugin {
    /// How the access control list of a key is read.
    enum ContractAccessControlType {
        /// Only what is on the list may be called.
        ALLOWLIST,
        /// Everything may be called except what is on the list.
        DENYLIST,
        /// Everything may be called; the list is not read.
        ALLOW_ALL_ACCESS
    }

    /// Ids of the plugin's validation functions. The module ignores ids.
    enum FunctionId {
        USER_OP_VALIDATION_SESSION_KEY
    }

    /// A spend limit and its used amount.
    struct SpendLimitInfo {
        /// False: unlimited.
        bool hasLimit;
        /// The most that may be spent per interval, or in all without an interval.
        uint256 limit;
        /// Spent so far in the current interval, or in all.
        uint256 limitUsed;
        /// Seconds; zero: never refreshes.
        uint48 refreshInterval;
        /// Start of the current interval, unix seconds. Zero without an interval, and for one that has not begun.
        uint48 lastUsedTime;
    }

    /// A key was registered. `tag` is the owner's label for it; it is stored nowhere else.
    event SessionKeyAdded(address indexed account, address indexed sessionKey, bytes32 indexed tag);

    /// A key was removed; it can do nothing from now on.
    event SessionKeyRemoved(address indexed account, address indexed sessionKey);

    /// `newSessionKey` took over the permissions and the used-up limits of `oldSessionKey`, which is removed.
    event SessionKeyRotated(address indexed account, address indexed oldSessionKey, address indexed newSessionKey);

    /// Permissions of a key were changed by `updates`, in that order.
    event PermissionsUpdated(address indexed account, address indexed sessionKey, bytes[] updates);

    /// In execution: the batch spends more of `token` than the key may.
    error ERC20SpendLimitExceeded(address account, address sessionKey, address token);

    /// No permission update has this selector. Shorter data is padded with zeros on the right.
    error InvalidPermissionsUpdate(bytes4 updateSelector);

    /// The key is zero, already registered, not registered, or does not follow the given predecessor.
    error InvalidSessionKey(address sessionKey);

    /// No signer can be recovered from the signature (wrong length, high s, bad v).
    error InvalidSignature(address sessionKey);

    /// This address cannot have an ERC-20 limit.
    error InvalidToken(address token);

    /// Arrays that belong together differ in length.
    error LengthMismatch();

    /// In execution: the batch sends more native token than the key may.
    error NativeTokenSpendLimitExceeded(address account, address sessionKey);

    /// A permission rule is broken. The ABI has this one error for all rules except those of the two spend
    /// limits.
    error PermissionsCheckFailed();

    /// The key is not registered for the account.
    error SessionKeyNotFound(address sessionKey);

    /// Makes the calls in order, within the key's permissions. Called on the account, by a user operation that the key
    /// signed. Runtime calls are denied.
    ///
    /// Permissions are checked in validation and again here. Warning: an installed plugin whose manifest permits
    /// it to execute this function needs no signature of the key. Only the checks made here bind it: all except the
    /// charge to the gas limit and the required paymaster.
    ///
    /// - `calls`: At least one.
    /// - returned: The return data of each call, raw.
    function executeWithSessionKey(Call[] calldata calls, address sessionKey) external returns (bytes[] memory);

    /// Registers a key with default permissions, then applies `permissionUpdates`. Called on the account.
    ///
    /// - `sessionKey`: Not zero, not registered: else `InvalidSessionKey`.
    /// - `tag`: The owner's label for the key; only emitted.
    /// - `permissionUpdates`: Encoded calls of `ISessionKeyPermissionsUpdates`; may be empty.
    function addSessionKey(address sessionKey, bytes32 tag, bytes[] calldata permissionUpdates) external;

    /// Removes a key. Called on the account. Approvals that the key gave stay; an owner has to reset them.
    ///
    /// - `predecessor`: The result of `findPredecessor` for the key, or zero to search for it here.
    function removeSessionKey(address sessionKey, bytes32 predecessor) external;

    /// Gives the permissions and used-up limits of one key to another, and removes the first. Called on the account.
    ///
    /// The new key becomes the first of `sessionKeysOf`. Rotating a key onto itself changes nothing else.
    ///
    /// - `predecessor`: The result of `findPredecessor` for the old key, or zero to search for it here.
    /// - `newSessionKey`: Not zero, not registered (unless it is the old key): else `InvalidSessionKey`.
    function rotateSessionKey(address oldSessionKey, bytes32 predecessor, address newSessionKey) external;

    /// Changes permissions of a key: all of the updates apply, or none. Called on the account.
    ///
    /// - `updates`: Encoded calls of `ISessionKeyPermissionsUpdates`, applied in order.
    function updateKeyPermissions(address sessionKey, bytes[] calldata updates) external;

    /// Settles the pending reset of a key's gas limit, now. Called on the plugin or module, by anyone.
    ///
    /// Needed only when the operation that opened a new interval in validation then failed in execution. Without a
    /// pending reset this does nothing.
    function resetSessionKeyGasLimitTimestamp(address account, address sessionKey) external;

    /// All registered keys, newest first.
    function sessionKeysOf(address account) external view returns (address[] memory);

    /// Whether the key is registered.
    function isSessionKeyOf(address account, address sessionKey) external view returns (bool);

    /// The entry before the key in `sessionKeysOf`, as `bytes32(bytes20(address))`; `bytes32(uint256(1))` for the
    /// first. Reverts with `SessionKeyNotFound` for a key that is not registered.
    function findPredecessor(address account, address sessionKey) external view returns (bytes32);

    /// How the key's access control list is read. Like all views below, reverts with `InvalidSessionKey` for a key
    /// that is not registered.
    function getAccessControlType(address account, address sessionKey) external view returns (ContractAccessControlType);

    /// The entry of a contract on the key's access control list.
    ///
    /// - `isOnList`: Whether the contract is on the list.
    /// - `checkSelectors`: Whether the entry covers only listed functions of it.
    function getAccessControlEntry(address account, address sessionKey, address contractAddress)
        external
        view
        returns (bool isOnList, bool checkSelectors);

    /// Whether a function of a contract is on the key's access control list.
    function isSelectorOnAccessControlList(
        address account,
        address sessionKey,
        address contractAddress,
        bytes4 selector
    ) external view returns (bool isOnList);

    /// When the key may be used.
    function getKeyTimeRange(address account, address sessionKey)
        external
        view
        returns (uint48 validAfter, uint48 validUntil);

    /// The key's native token limit, in wei. All zero when there is none.
    function getNativeTokenSpendLimitInfo(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info);

    /// The key's gas limit, in wei. All zero when there is none.
    ///
    /// - `info`: The limit.
    /// - `shouldReset`: Whether there is an interval that has not begun: one that validation opened, or that was set without a
    ///   clock.
    function getGasSpendLimit(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info, bool shouldReset);

    /// The key's limit on an ERC-20 token, in its base units. A removed limit keeps its last figures, except
    /// `limitUsed`, which is zero.
    function getERC20SpendLimitInfo(address account, address sessionKey, address token)
        external
        view
        returns (SpendLimitInfo memory);

    /// The paymaster that every operation of the key must use; zero if none is required.
    function getRequiredPaymaster(address account, address sessionKey) external view returns (address);
}

/// Updates of a session key's permissions.
///
/// No contract implements these functions: an encoded call to one of them is an element of the `updates` (or
/// `permissionUpdates`) of `ISessionKeyPlugin`.
interface ISessionKeyPermissionsUpdates {
    /// Sets how the access control list is read. Entries stay, and are read under the new type.
    ///
    /// Warning: under a denylist, and without a list, the key may call every function of every token that has no limit,
    /// NFTs and permits included.
    function setAccessListType(ISessionKeyPlugin.ContractAccessControlType contractAccessControlType) external;

    /// Sets the entry of a contract on the access control list.
    ///
    /// - `checkSelectors`: Whether the entry covers only listed functions of it.
    function updateAccessListAddressEntry(address contractAddress, bool isOnList, bool checkSelectors) external;

    /// Puts a function of a contract on the access control list, or takes it off.
    function updateAccessListFunctionEntry(address contractAddress, bytes4 selector, bool isOnList) external;

    /// Sets when the key may be used. Unix seconds, both inclusive; zero: unbounded on that side.
    function updateTimeRange(uint48 validAfter, uint48 validUntil) external;

    /// Limits what the key may send in the native token.
    ///
    /// This and the other limits keep what is already used, unless the limit is removed. Warning: with an interval, twice
    /// the limit can be spent within a moment, at the end of one interval and the start of the next.
    ///
    /// - `spendLimit`: Wei; `type(uint256).max` removes the limit.
    /// - `refreshInterval`: Seconds. Zero: the limit is a total.
    function setNativeTokenSpendLimit(uint256 spendLimit, uint48 refreshInterval) external;

    /// Limits what the key may spend of a token: the amounts of `transfer` and `approve` count, and no other
    /// function of the token may be called.
    ///
    /// Warning: an approval counts once, when it is given, and outlives the key. The token's return value is
    /// ignored. On an NFT, ids count as amounts, and id 0 is free.
    ///
    /// - `token`: Not zero: else `InvalidToken`.
    /// - `spendLimit`: Base units of the token; `type(uint256).max` removes the limit.
    /// - `refreshInterval`: Seconds. Zero: the limit is a total.
    function setERC20SpendLimit(address token, uint256 spendLimit, uint48 refreshInterval) external;

    /// Limits the worst-case cost of the key's operations. The nonce key of each operation must then be the
    /// session key's address.
    ///
    /// Operations are charged in validation. Of those validated earlier in the same bundle, execution refuses the
    /// ones that a lowered limit no longer covers; a limit that the key did not have, or that was removed in between,
    /// does not bind them. An interval ends with the first operation that does not fit what is left of it.
    ///
    /// - `spendLimit`: Wei, not gas units; `type(uint256).max` removes the limit.
    /// - `refreshInterval`: Seconds. Zero: the limit is a total.
    function setGasSpendLimit(uint256 spendLimit, uint48 refreshInterval) external;

    /// Requires that this paymaster pays for every operation of the key; zero removes the rule.
    ///
    /// Only validation knows the paymaster: operations validated earlier in the same bundle are not bound.
    function setRequiredPaymaster(address requiredPaymaster) external;
}

/// One call of the account to another contract.
struct Call {
    address target;
    /// Wei.
    uint256 value;
    bytes data;
}

/// The calls every ERC-6900 account can make, v0.7 and v0.8.
interface IStandardExecutor {
    /// Makes one call; reverts as the target does. The target must not be a plugin.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory result);

    /// Makes calls in order; reverts as the first that fails does. No target may be a plugin.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory results);
}

/// Interface of the ERC-165 standard, as defined in the
/// https://eips.ethereum.org/EIPS/eip-165[ERC].
/// Implementers can declare support of contract interfaces, which can then be
/// queried by others ({ERC165Checker}).
/// For an implementation, see {ERC165}.
interface IERC165 {
    /// Returns true if this contract implements the interface defined by
    /// `interfaceId`. See the corresponding
    /// https://eips.ethereum.org/EIPS/eip-165#how-interfaces-are-identified[ERC section]
    /// to learn more about how these ids are created.
    /// This function call must use less than 30 000 gas.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}
