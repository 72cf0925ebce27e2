// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "./IAccount.sol";

/// @notice How a manifest names a function. Source: ERC-6900 v0.7, "Plugin manifest".
enum ManifestAssociatedFunctionType {
    // No function: only valid for one half of an execution hook pair.
    NONE,
    // Function `functionId` of the plugin that owns the manifest.
    SELF,
    // The function reference given at `dependencies[dependencyIndex]` when the plugin was installed.
    DEPENDENCY,
    // Runtime validation that lets every caller pass.
    RUNTIME_VALIDATION_ALWAYS_ALLOW,
    // A pre hook that lets nobody pass.
    PRE_HOOK_ALWAYS_DENY
}

/// @notice A function of this or of another plugin. `functionId` is read for SELF, `dependencyIndex` for DEPENDENCY.
struct ManifestFunction {
    ManifestAssociatedFunctionType functionType;
    uint8 functionId;
    uint256 dependencyIndex;
}

/// @notice Binds a validation function or a pre-validation hook to an execution selector.
struct ManifestAssociatedFunction {
    bytes4 executionSelector;
    ManifestFunction associatedFunction;
}

/// @notice Binds a pair of execution hooks, either of which may be NONE, to an execution selector.
struct ManifestExecutionHook {
    bytes4 executionSelector;
    ManifestFunction preExecHook;
    ManifestFunction postExecHook;
}

/// @notice Lets the plugin call `externalAddress` through the account: any selector, or those listed.
struct ManifestExternalCallPermission {
    address externalAddress;
    bool permitAnySelector;
    bytes4[] selectors;
}

/// @notice Describes, for people, what granting `functionSelector` means.
struct SelectorPermission {
    bytes4 functionSelector;
    string permissionDescription;
}

/// @notice A plugin's description for people. Never read on chain.
struct PluginMetadata {
    string name;
    // Semantic version 2.0.0.
    string version;
    string author;
    SelectorPermission[] permissionDescriptors;
}

/// @notice The functions that a plugin adds to an account, and its permissions there. An owner consents to it by its hash,
/// `keccak256(abi.encode(manifest))`.
struct PluginManifest {
    // ERC-165 ids that the account answers true for while the plugin is installed.
    bytes4[] interfaceIds;
    // The interface that the plugin of each dependency must support, in the order of `dependencies`.
    bytes4[] dependencyInterfaceIds;
    // Functions added to the account.
    bytes4[] executionFunctions;
    // Functions of the account that the plugin may call through `executeFromPlugin`.
    bytes4[] permittedExecutionSelectors;
    // Whether `executeFromPluginExternal` may reach every address.
    bool permitAnyExternalAddress;
    // Whether the plugin may spend the account's native token.
    bool canSpendNativeToken;
    ManifestExternalCallPermission[] permittedExternalCalls;
    ManifestAssociatedFunction[] userOpValidationFunctions;
    ManifestAssociatedFunction[] runtimeValidationFunctions;
    ManifestAssociatedFunction[] preUserOpValidationHooks;
    ManifestAssociatedFunction[] preRuntimeValidationHooks;
    ManifestExecutionHook[] executionHooks;
}

/// @title A plugin of an ERC-6900 v0.7 account
/// @notice The account that the plugin is installed on calls all functions except the last two.
interface IPlugin {
    /// @notice Sets the plugin up for the calling account.
    function onInstall(bytes calldata data) external;

    /// @notice Clears the plugin's state for the calling account.
    function onUninstall(bytes calldata data) external;

    /// @notice Runs before the user operation validation function.
    /// @return validationData Packed as in ERC-4337: authorizer (0 valid, 1 invalid), validUntil, validAfter.
    function preUserOpValidationHook(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);

    /// @notice Validates a user operation.
    /// @return validationData Packed as in ERC-4337: authorizer (0 valid, 1 invalid), validUntil, validAfter.
    function userOpValidationFunction(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);

    /// @notice Runs before the runtime validation function; reverts to refuse the call.
    function preRuntimeValidationHook(uint8 functionId, address sender, uint256 value, bytes calldata data) external;

    /// @notice Validates a call that does not come from the EntryPoint; reverts to refuse it.
    function runtimeValidationFunction(uint8 functionId, address sender, uint256 value, bytes calldata data) external;

    /// @notice Runs before execution; reverts to refuse it.
    /// @return hookData Passed to the post-execution hooks paired with this hook.
    function preExecutionHook(uint8 functionId, address sender, uint256 value, bytes calldata data)
        external
        returns (bytes memory hookData);

    /// @notice Runs after execution; reverts to undo it.
    function postExecutionHook(uint8 functionId, bytes calldata preExecHookData) external;

    /// @notice The functions that the plugin adds to an account, and its permissions there.
    function pluginManifest() external pure returns (PluginManifest memory);

    /// @notice Name, version, author and permission descriptions, for people.
    function pluginMetadata() external pure returns (PluginMetadata memory);
}
