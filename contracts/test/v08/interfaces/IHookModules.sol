// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";

// Hook modules of ERC-6900 v0.8. The other kinds are in contracts/src/interfaces.

interface IValidationHookModule is IModule {
    function preUserOpValidationHook(uint32 entityId, PackedUserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData);
    function preRuntimeValidationHook(
        uint32 entityId,
        address sender,
        uint256 value,
        bytes calldata data,
        bytes calldata authorization
    ) external;
    function preSignatureValidationHook(uint32 entityId, address sender, bytes32 hash, bytes calldata signature)
        external
        view;
}

interface IExecutionHookModule is IModule {
    function preExecutionHook(uint32 entityId, address sender, uint256 value, bytes calldata data)
        external
        returns (bytes memory context);
    function postExecutionHook(uint32 entityId, bytes calldata context) external;
}
