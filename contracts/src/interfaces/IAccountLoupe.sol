// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title The plugins, functions and hooks of an account (ERC-6900 v0.7)
/// @notice A `bytes21` is a function reference: see `IModularAccount`.
interface IAccountLoupe {
    /// @notice The plugin that executes a function, and the functions that validate it.
    struct ExecutionFunctionConfig {
        // Zero if there is none; the account itself for its own functions.
        address plugin;
        bytes21 userOpValidationFunction;
        bytes21 runtimeValidationFunction;
    }

    /// @notice A pre-execution hook and a post-execution hook that gets its data. Either may be 0.
    struct ExecutionHooks {
        bytes21 preExecHook;
        bytes21 postExecHook;
    }

    /// @notice The plugin that executes a function, and the functions that validate it.
    function getExecutionFunctionConfig(bytes4 selector) external view returns (ExecutionFunctionConfig memory config);

    /// @notice The execution hooks of a function, newest first: each pre hook with each of its post hooks (or 0 if it has
    /// none), then the post hooks without a pre hook.
    function getExecutionHooks(bytes4 selector) external view returns (ExecutionHooks[] memory execHooks);

    /// @notice The hooks that run before a function's validation, newest first.
    function getPreValidationHooks(bytes4 selector)
        external
        view
        returns (bytes21[] memory preUserOpValidationHooks, bytes21[] memory preRuntimeValidationHooks);

    /// @notice The installed plugins, newest first.
    function getInstalledPlugins() external view returns (address[] memory pluginAddresses);
}
