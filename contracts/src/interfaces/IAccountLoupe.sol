// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Looking into an account (ERC-6900 v0.7)
/// @dev Only for its ERC-165 id, and for contracts that look into any account. What the account answers is said in
/// `IModularAccount`.
interface IAccountLoupe {
    struct ExecutionFunctionConfig {
        address plugin;
        bytes21 userOpValidationFunction;
        bytes21 runtimeValidationFunction;
    }

    struct ExecutionHooks {
        bytes21 preExecHook;
        bytes21 postExecHook;
    }

    function getExecutionFunctionConfig(bytes4 selector) external view returns (ExecutionFunctionConfig memory);

    function getExecutionHooks(bytes4 selector) external view returns (ExecutionHooks[] memory);

    function getPreValidationHooks(bytes4 selector)
        external
        view
        returns (bytes21[] memory preUserOpValidationHooks, bytes21[] memory preRuntimeValidationHooks);

    function getInstalledPlugins() external view returns (address[] memory);
}
