// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ExecutionManifest} from "../../../src/interfaces/IModule.sol";
import {Call} from "../../../src/interfaces/IStandardExecutor.sol";

/// @notice What an account says of a validation. Lists are in order of installation.
struct ValidationData {
    uint8 flags;
    bytes25[] validationHooks;
    bytes25[] executionHooks;
    bytes4[] selectors;
}

/// @notice What an account says of one of its functions.
struct ExecutionData {
    address module;
    bool skipRuntimeValidation;
    bool allowGlobalValidation;
    bytes25[] executionHooks;
}

/// @title An ERC-6900 v0.8 account, as its callers see it
interface IAccountV08 {
    event ExecutionInstalled(address indexed module, ExecutionManifest manifest);
    event ExecutionUninstalled(address indexed module, bool onUninstallSucceeded, ExecutionManifest manifest);
    event ValidationInstalled(address indexed module, uint32 indexed entityId);
    event ValidationUninstalled(address indexed module, uint32 indexed entityId, bool onUninstallSucceeded);
    event Upgraded(address indexed implementation);

    // Installation
    error ModuleInstallCallbackFailed(address module, bytes revertReason);
    error InterfaceNotSupported(address module);
    error ValidationAlreadySet(bytes4 selector, bytes24 validationFunction);
    error ValidationEntityIdInUse();
    error PreValidationHookDuplicate();
    error ExecutionHookAlreadySet(bytes25 hookConfig);
    error ValidationAssocHookLimitExceeded();
    error ArrayLengthMismatch();
    error ExecutionFunctionAlreadySet(bytes4 selector);
    error ExecutionFunctionNotSet(bytes4 selector);

    // Use
    error ValidationFunctionMissing(bytes4 selector);
    error UnrecognizedFunction(bytes4 selector);
    error RequireUserOperationContext();
    error SelfCallRecursionDepthExceeded();
    error UserOpValidationInvalid(bytes24 validationFunction);
    error SignatureValidationInvalid(bytes24 validationFunction);
    error UnexpectedAggregator(bytes24 validationFunction, address aggregator);
    error NotEntryPoint();
    error CreateFailed();
    error AlreadyInitialized();
    error NotAnImplementation(address implementation);

    // Signatures
    error NonCanonicalEncoding();
    error SegmentOutOfOrder();
    error ValidationSignatureSegmentMissing();

    // Reverts of modules
    error PreUserOpValidationHookReverted(bytes24 moduleEntity, bytes revertData);
    error UserOpValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);
    error PreExecHookReverted(bytes24 moduleEntity, bytes revertData);
    error PostExecHookReverted(bytes24 moduleEntity, bytes revertData);
    error RuntimeValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);
    error PreRuntimeValidationHookReverted(bytes24 moduleEntity, bytes revertData);
    error SignatureValidationFunctionReverted(bytes24 moduleEntity, bytes revertData);
    error PreSignatureValidationHookReverted(bytes24 moduleEntity, bytes revertData);

    receive() external payable;

    function execute(address target, uint256 value, bytes calldata data) external payable returns (bytes memory);
    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory);
    function executeWithRuntimeValidation(bytes calldata data, bytes calldata authorization)
        external
        payable
        returns (bytes memory);
    function performCreate(uint256 value, bytes calldata initCode, bool isCreate2, bytes32 salt)
        external
        payable
        returns (address);
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    function installExecution(address module, ExecutionManifest calldata manifest, bytes calldata installData) external;
    function uninstallExecution(address module, ExecutionManifest calldata manifest, bytes calldata uninstallData)
        external;
    function installValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;
    function uninstallValidation(
        bytes24 validationFunction,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) external;

    function accountId() external view returns (string memory);
    function entryPoint() external view returns (address);
    function getExecutionData(bytes4 selector) external view returns (ExecutionData memory);
    function getValidationData(bytes24 validationFunction) external view returns (ValidationData memory);
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4);
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}

/// @notice What an account has that selects the validation in the nonce.
interface INonceAccount is IAccountV08 {
    error DeferredActionSignatureInvalid();
    error DeferredValidationHasValidationHooks();
}

/// @notice What an account has whose first validation is a module's.
interface IInitializable {
    function initializeWithValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external;
}

/// @notice What an account has that knows an owner without a module.
interface ISemiModularAccount is INonceAccount {
    event FallbackSignerUpdated(address indexed newFallbackSigner, bool isDisabled);

    error FallbackSignerMismatch();
    error FallbackSignerDisabled();
    error FallbackValidationInstallationNotAllowed();
    error InvalidSignatureType();
    error UpgradeNotAllowed();

    function updateFallbackSignerData(address fallbackSigner, bool isDisabled) external;
    function getFallbackSignerData() external view returns (address fallbackSigner, bool isDisabled);
}
