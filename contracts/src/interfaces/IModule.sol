// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A user operation of ERC-4337 as EntryPoint v0.7 takes it. Gas in gas units, fees in wei per gas unit; two
/// numbers in one word take 16 bytes each, the first in the upper half.
struct PackedUserOperation {
    address sender;
    // Upper 192 bits: nonce key (a lane with its own sequence); lower 64 bits: sequence number in that lane.
    uint256 nonce;
    // Empty, or factory address followed by the call that creates the account.
    bytes initCode;
    bytes callData;
    // verificationGasLimit, callGasLimit
    bytes32 accountGasLimits;
    uint256 preVerificationGas;
    // maxPriorityFeePerGas, maxFeePerGas
    bytes32 gasFees;
    // Empty, or paymaster address, paymasterVerificationGasLimit, paymasterPostOpGasLimit (16 bytes each), data for it.
    bytes paymasterAndData;
    bytes signature;
}

/// @notice A function that a module adds to an account.
struct ManifestExecutionFunction {
    bytes4 executionSelector;
    // Whether anyone may call it.
    bool skipRuntimeValidation;
    // Whether global validations may validate it.
    bool allowGlobalValidation;
}

/// @notice Binds a hook of the module to an execution selector.
struct ManifestHook {
    bytes4 executionSelector;
    uint32 entityId;
    bool isPreHook;
    bool isPostHook;
}

/// @notice What a module adds to an account.
struct ExecutionManifest {
    ManifestExecutionFunction[] executionFunctions;
    ManifestHook[] executionHooks;
    // ERC-165 ids that the account answers true for while the module is installed.
    bytes4[] interfaceIds;
}

/// @title A module of an ERC-6900 v0.8 account
interface IModule {
    /// @notice Sets the module up for the calling account.
    function onInstall(bytes calldata data) external;

    /// @notice Clears the module's state for the calling account.
    function onUninstall(bytes calldata data) external;

    /// @notice Name and version: "vendor.module.semver".
    function moduleId() external view returns (string memory);
}

/// @title A module that validates operations, calls and signatures of an account
interface IValidationModule is IModule {
    /// @notice Validates a user operation of the calling account.
    /// @param entityId The account's number for the validation of the module that is asked.
    /// @param userOp As the EntryPoint received it, except that the signature is only the module's part of it.
    /// @return validationData Bits 0..159: authorizer (0 valid, 1 invalid signature); bits 160..207: validUntil (0 means no end);
    /// bits 208..255: validAfter. Unix seconds, both inclusive.
    function validateUserOp(uint32 entityId, PackedUserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);

    /// @notice Validates a call that does not come from the EntryPoint; reverts to refuse it.
    function validateRuntime(
        address account,
        uint32 entityId,
        address sender,
        uint256 value,
        bytes calldata data,
        bytes calldata authorization
    ) external;

    /// @notice Validates an ERC-1271 signature of the account.
    /// @return 0x1626ba7e if it is valid, else 0xffffffff.
    function validateSignature(address account, uint32 entityId, address sender, bytes32 hash, bytes calldata signature)
        external
        view
        returns (bytes4);
}

/// @title A module that adds functions to an account
interface IExecutionModule is IModule {
    /// @notice The functions and hooks that the module adds to an account.
    function executionManifest() external pure returns (ExecutionManifest memory);
}
