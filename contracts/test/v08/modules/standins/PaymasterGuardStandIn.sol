// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PackedUserOperation} from "../../../../src/interfaces/IModule.sol";
import {HookStandIn} from "./HookStandIn.sol";

/// @notice Stands in for PaymasterGuardModule: the one paymaster that must pay.
contract PaymasterGuardStandIn is HookStandIn {
    error BadPaymasterSpecified();
    error InvalidPaymaster();

    mapping(uint32 entityId => mapping(address account => address paymaster)) public paymasters;

    function moduleId() external pure returns (string memory) {
        return "session-keys.test-paymaster-guard.1.0.0";
    }

    function onInstall(bytes calldata data) external {
        (uint32 entityId, address paymaster) = abi.decode(data, (uint32, address));
        if (paymaster == address(0)) revert InvalidPaymaster();
        paymasters[entityId][msg.sender] = paymaster;
    }

    function onUninstall(bytes calldata data) external {
        delete paymasters[abi.decode(data, (uint32))][msg.sender];
    }

    /// @dev Without a paymaster it reverts without data.
    function preUserOpValidationHook(uint32 entityId, PackedUserOperation calldata userOp, bytes32)
        external
        view
        returns (uint256)
    {
        _requireNoSegment(userOp.signature);
        address paymaster = address(bytes20(userOp.paymasterAndData[:20]));
        if (paymaster == address(0)) revert InvalidPaymaster();
        if (paymaster != paymasters[entityId][msg.sender]) revert BadPaymasterSpecified();
        return 0;
    }

    function preRuntimeValidationHook(uint32, address, uint256, bytes calldata, bytes calldata) external pure {}
}
