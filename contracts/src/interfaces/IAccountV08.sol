// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ExecutionManifest} from "./IModule.sol";
import {Call} from "./IStandardExecutor.sol";

/// @notice What an account says of a validation. Lists are in order of installation.
struct ValidationData {
    // Bit 0: validates user operations; bit 1: signatures; bit 2: is global.
    uint8 flags;
    // Module (20 bytes), entity id (4 bytes), flags (1 byte).
    bytes25[] validationHooks;
    bytes25[] executionHooks;
    // Functions of the account that it may validate; a global one also those that allow it.
    bytes4[] selectors;
}

/// @notice What an account says of one of its functions.
struct ExecutionData {
    // The account itself for its native functions; zero if there is no such function.
    address module;
    // Whether anybody may call it.
    bool skipRuntimeValidation;
    // Whether global validations may validate it.
    bool allowGlobalValidation;
    bytes25[] executionHooks;
}

/// @title An ERC-6900 v0.8 account, as its callers see it
/// @notice Declared from the standard and from what Modular Account v2 does. A validation function is a module (20 bytes) and an
/// entity id (4 bytes); a validation configuration adds a byte of flags.
interface IAccountV08 {
    /// @notice A module added functions to the account.
    event ExecutionInstalled(address indexed module, ExecutionManifest manifest);
    /// @notice A module's functions were removed. `onUninstallSucceeded`: its callback did not revert, or was not made.
    event ExecutionUninstalled(address indexed module, bool onUninstallSucceeded, ExecutionManifest manifest);
    /// @notice A validation was installed, or changed.
    event ValidationInstalled(address indexed module, uint32 indexed entityId);
    /// @notice A validation was removed. `onUninstallSucceeded`: no callback reverted.
    event ValidationUninstalled(address indexed module, uint32 indexed entityId, bool onUninstallSucceeded);
    /// @notice The proxy has another implementation.
    event Upgraded(address indexed implementation);

    /* Installation */

    /// @notice A module's `onInstall` reverted.
    error ModuleInstallCallbackFailed(address module, bytes revertReason);
    /// @notice A module does not answer that it is of the kind it is installed as.
    error InterfaceNotSupported(address module);
    /// @notice The validation has the selector already, or the selector is zero.
    error ValidationAlreadySet(bytes4 selector, bytes24 validationFunction);
    /// @notice The entity id is another module's.
    error ValidationEntityIdInUse();
    /// @notice The validation has this validation hook already.
    error PreValidationHookDuplicate();
    /// @notice The function or validation has this execution hook already.
    error ExecutionHookAlreadySet(bytes25 hookConfig);
    /// @notice A validation has at most 255 hooks of a kind.
    error ValidationAssocHookLimitExceeded();
    /// @notice There must be data for each hook, or for none.
    error ArrayLengthMismatch();
    /// @notice The account has a function with this selector already.
    error ExecutionFunctionAlreadySet(bytes4 selector);
    /// @notice The account has no such function of the module.
    error ExecutionFunctionNotSet(bytes4 selector);

    /* Use */

    /// @notice The validation is not one for this function, or there is none.
    error ValidationFunctionMissing(bytes4 selector);
    /// @notice The account has no such function.
    error UnrecognizedFunction(bytes4 selector);
    /// @notice The validation has execution hooks, and the operation does not go through `executeUserOp`.
    error RequireUserOperationContext();
    /// @notice A call to the account itself must stand in a batch of its own, and call neither `execute` nor
    /// `executeBatch`.
    error SelfCallRecursionDepthExceeded();
    /// @notice The validation does not validate user operations.
    error UserOpValidationInvalid(bytes24 validationFunction);
    /// @notice The validation does not validate signatures.
    error SignatureValidationInvalid(bytes24 validationFunction);
    /// @notice A validation hook named an aggregator.
    error UnexpectedAggregator(bytes24 validationFunction, address aggregator);
    /// @notice The function is the EntryPoint's to call.
    error NotEntryPoint();
    /// @notice The contract could not be created.
    error CreateFailed();
    /// @notice The account has its first validation already.
    error AlreadyInitialized();
    /// @notice The contract cannot be an account's implementation.
    error NotAnImplementation(address implementation);

    /* Signatures */

    /// @notice A segment of the signature is empty.
    error NonCanonicalEncoding();
    /// @notice Segments of the signature must have ascending indices.
    error SegmentOutOfOrder();
    /// @notice A segment is for no hook, or the marker of the last segment is not where it should be.
    error ValidationSignatureSegmentMissing();

    /* Reverts of modules */

    /// @notice A validation hook reverted.
    error PreUserOpValidationHookReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice The validation reverted.
    error UserOpValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice An execution hook reverted before the call.
    error PreExecHookReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice An execution hook reverted after the call.
    error PostExecHookReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice The validation reverted for a runtime call.
    error RuntimeValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice A validation hook reverted for a runtime call.
    error PreRuntimeValidationHookReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice The validation reverted for a signature.
    error SignatureValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);
    /// @notice A validation hook reverted for a signature.
    error PreSignatureValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    receive() external payable;

    /// @notice Makes one call. Answers its return data, except to the EntryPoint.
    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory);
    /// @notice Makes calls in order, all or none. Answers their return data, except to the EntryPoint.
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory);
    /// @notice Calls the account itself if a validation allows it. `authorization` is laid out as a signature of
    /// `isValidSignature`.
    function executeWithRuntimeValidation(bytes calldata data, bytes calldata authorization)
        external
        payable
        returns (bytes memory);
    /// @notice Creates a contract.
    function performCreate(uint256 value, bytes calldata initCode, bool isCreate2, bytes32 salt)
        external
        payable
        returns (address);
    /// @notice Changes the implementation and, if `data` is not empty, calls it.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    /// @notice Adds a module's functions and hooks to the account.
    function installExecution(address module, ExecutionManifest calldata manifest, bytes calldata installData) external;
    /// @notice Removes them. The manifest must be the one they were installed with.
    function uninstallExecution(address module, ExecutionManifest calldata manifest, bytes calldata uninstallData)
        external;
    /// @notice Installs a validation with its hooks, or adds to one that is there. Each hook is its configuration (25
    /// bytes) followed by data for it. Empty data: the module is not told.
    function installValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;
    /// @notice Removes a validation with its hooks. Empty data: the module is not told. A module that reverts does not
    /// hinder the removal, but nobody after it is told.
    function uninstallValidation(
        bytes24 validationFunction,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) external;

    /// @notice Name and version: "vendor.account.semver".
    function accountId() external view returns (string memory);
    /// @notice The EntryPoint that the account serves.
    function entryPoint() external view returns (address);
    /// @notice What the account has under a selector.
    function getExecutionData(bytes4 selector) external view returns (ExecutionData memory);
    /// @notice What the account has as a validation. Modular Account v2 looks at the entity id alone.
    function getValidationData(bytes24 validationFunction) external view returns (ValidationData memory);
    /// @notice ERC-1271.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);
    /// @notice ERC-165.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}

/// @notice What accounts have on top that select the validation of an operation in its nonce, as Modular Account v2 does.
interface INonceAccount is IAccountV08 {
    /// @notice The signature of the deferred action is not that of its validation.
    error DeferredActionSignatureInvalid();
    /// @notice A validation with validation hooks cannot authorize deferred actions.
    error DeferredValidationHasValidationHooks();
}

/// @notice What accounts have on top whose first validation is a module's.
interface IInitializable {
    /// @notice Installs the first validation.
    function initializeWithValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;
}

/// @notice What accounts have on top that know an owner without a module.
interface ISemiModularAccount is INonceAccount {
    /// @notice The owner that needs no module changed.
    event FallbackSignerUpdated(address indexed newFallbackSigner, bool isDisabled);

    /// @notice The caller is not the fallback signer.
    error FallbackSignerMismatch();
    /// @notice There is no fallback signer any more.
    error FallbackSignerDisabled();
    /// @notice Entity 0 is the fallback signer's; no module can be installed there.
    error FallbackValidationInstallationNotAllowed();
    /// @notice The fallback signer's signature begins with neither 0 (ECDSA) nor 1 (ERC-1271).
    error InvalidSignatureType();
    /// @notice An account that is delegated to has no implementation of its own to change.
    error UpgradeNotAllowed();

    /// @notice Changes the fallback signer, or disables it.
    function updateFallbackSignerData(address fallbackSigner, bool isDisabled) external;
    /// @notice The fallback signer, and whether it is disabled.
    function getFallbackSignerData() external view returns (address fallbackSigner, bool isDisabled);
}

/// @notice The factory of Modular Account v2. Accounts are proxies at addresses that depend on owner, salt and entity id.
interface IAccountFactoryV08 {
    /// @notice Makes an account whose owner is a module's, under this entity id; or answers the one that is there.
    function createAccount(address owner, uint256 salt, uint32 entityId) external returns (address account);

    /// @notice Makes a semi-modular account; or answers the one that is there.
    function createSemiModularAccount(address owner, uint256 salt) external returns (address account);

    /// @notice The address of `createAccount`.
    function getAddress(address owner, uint256 salt, uint32 entityId) external view returns (address);

    /// @notice The address of `createSemiModularAccount`.
    function getAddressSemiModular(address owner, uint256 salt) external view returns (address);
}
