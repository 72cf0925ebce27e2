// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08} from "../../../../src/interfaces/IAccountV08.sol";
import {PackedUserOperation} from "../../../../src/interfaces/IModule.sol";
import {ExecutionHookStandIn} from "./HookStandIn.sol";

/// @notice Stands in for NativeTokenLimitModule: a limit on what operations may cost (validation hook) or send (execution hook).
contract NativeTokenLimitStandIn is ExecutionHookStandIn {
    event NativeTokenSpendLimitUpdated(uint32 indexed entityId, address indexed account, uint256 newLimit);
    event SpecialPaymasterUpdated(address indexed account, address indexed paymaster, bool allowed);

    error ExceededNativeTokenLimit();
    error InvalidPaymaster();

    /// @notice What is left.
    mapping(uint256 entityId => mapping(address account => uint256)) public limits;
    /// @notice Paymasters whose operations count nevertheless.
    mapping(address paymaster => mapping(address account => bool)) public specialPaymasters;

    function moduleId() external pure returns (string memory) {
        return "session-keys.test-native-token-limit.1.0.0";
    }

    function onInstall(bytes calldata data) external {
        (uint32 entityId, uint256 limit) = abi.decode(data, (uint32, uint256));
        updateLimits(entityId, limit);
    }

    function onUninstall(bytes calldata data) external {
        updateLimits(abi.decode(data, (uint32)), 0);
    }

    function updateLimits(uint32 entityId, uint256 newLimit) public {
        limits[entityId][msg.sender] = newLimit;
        emit NativeTokenSpendLimitUpdated(entityId, msg.sender, newLimit);
    }

    function updateSpecialPaymaster(address paymaster, bool allowed) external {
        specialPaymasters[paymaster][msg.sender] = allowed;
        emit SpecialPaymasterUpdated(msg.sender, paymaster, allowed);
    }

    /// @dev Books the gas limits, not the gas used; nothing comes back.
    function preUserOpValidationHook(uint32 entityId, PackedUserOperation calldata userOp, bytes32)
        external
        returns (uint256)
    {
        _requireNoSegment(userOp.signature);
        uint256 gas = userOp.preVerificationGas + uint256(userOp.accountGasLimits >> 128)
            + uint128(uint256(userOp.accountGasLimits));
        bytes calldata paid = userOp.paymasterAndData;
        if (paid.length != 0) {
            address paymaster = address(bytes20(paid[:20]));
            if (paymaster == address(0)) revert InvalidPaymaster();
            if (!specialPaymasters[paymaster][msg.sender]) return 0;
            gas += uint128(bytes16(paid[20:36])) + uint256(uint128(bytes16(paid[36:52])));
        }
        _spend(entityId, gas * uint128(uint256(userOp.gasFees)));
        return 0;
    }

    function preRuntimeValidationHook(uint32, address, uint256, bytes calldata, bytes calldata) external pure {}

    function preExecutionHook(uint32 entityId, address, uint256, bytes calldata data) external returns (bytes memory) {
        bytes memory executed = _executed(data);
        uint256 value;
        if (bytes4(executed) == IAccountV08.performCreate.selector) {
            (value,,,) = abi.decode(_tail(executed), (uint256, bytes, bool, bytes32));
        } else {
            (, Call[] memory calls) = _callsOf(executed);
            for (uint256 i = 0; i < calls.length; ++i) {
                value += calls[i].value;
            }
        }
        _spend(entityId, value);
        return "";
    }

    function _spend(uint32 entityId, uint256 amount) private {
        uint256 limit = limits[entityId][msg.sender];
        if (amount > limit) revert ExceededNativeTokenLimit();
        limits[entityId][msg.sender] = limit - amount;
    }
}
