// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IValidationModule, PackedUserOperation} from "../../src/interfaces/IModule.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {RecordingAccount} from "../mocks/RecordingAccount.sol";
import {RecordingModuleAccount} from "../mocks/RecordingModuleAccount.sol";
import {StubAccount} from "../mocks/StubAccount.sol";
import {StubModuleAccount} from "../mocks/StubModuleAccount.sol";
import {SessionKeyTest} from "./SessionKeyTest.sol";

/// @notice The plugin of ERC-6900 v0.7 accounts with EntryPoint v0.6.
abstract contract PluginFace is SessionKeyTest {
    function deployFace() internal virtual override returns (address) {
        return deployCode("SessionKeyPlugin.sol:SessionKeyPlugin");
    }

    function deployAccount() internal virtual override returns (address) {
        return address(new StubAccount(address(face)));
    }

    function deployRecorder() internal virtual override returns (address) {
        return address(new RecordingAccount(address(face)));
    }

    function firstNonce(address sessionKey) internal pure override returns (uint256) {
        return uint256(uint160(sessionKey)) << 64;
    }

    function paymasterData(address paymaster) internal pure override returns (bytes memory) {
        return abi.encodePacked(paymaster);
    }

    function encodeValidation(Operation memory op) internal pure override returns (bytes memory) {
        return abi.encodeCall(IPlugin.userOpValidationFunction, (0, unpacked(op), USER_OP_HASH));
    }

    /// @notice The operation as EntryPoint v0.6 takes it.
    function unpacked(Operation memory op) internal pure returns (UserOperation memory userOp) {
        userOp.sender = op.sender;
        userOp.nonce = op.nonce;
        userOp.callData = op.callData;
        userOp.preVerificationGas = op.gas;
        userOp.maxFeePerGas = op.maxFeePerGas;
        userOp.paymasterAndData = op.paymasterAndData;
        userOp.signature = op.signature;
    }
}

/// @notice The module of ERC-6900 v0.8 accounts with EntryPoint v0.7.
abstract contract ModuleFace is SessionKeyTest {
    /// @dev The entity id under which the validation of operations is installed; any will do.
    uint32 internal constant ENTITY_ID = 0x80000001;

    function deployFace() internal virtual override returns (address) {
        return deployCode("SessionKeyModule.sol:SessionKeyModule");
    }

    function deployAccount() internal virtual override returns (address) {
        return address(new StubModuleAccount(address(face)));
    }

    function deployRecorder() internal virtual override returns (address) {
        return address(new RecordingModuleAccount(address(face)));
    }

    function firstNonce(address sessionKey) internal pure override returns (uint256) {
        return uint256(uint152(uint160(sessionKey))) << 104 | uint256(ENTITY_ID) << 72;
    }

    function paymasterData(address paymaster) internal pure override returns (bytes memory) {
        return abi.encodePacked(paymaster, uint128(0), uint128(0));
    }

    function encodeValidation(Operation memory op) internal pure override returns (bytes memory) {
        return abi.encodeCall(IValidationModule.validateUserOp, (ENTITY_ID, packedOperation(op), USER_OP_HASH));
    }

    /// @notice The operation as EntryPoint v0.7 takes it.
    function packedOperation(Operation memory op) internal pure returns (PackedUserOperation memory userOp) {
        userOp.sender = op.sender;
        userOp.nonce = op.nonce;
        userOp.callData = op.callData;
        userOp.preVerificationGas = op.gas;
        require(op.maxFeePerGas <= type(uint128).max, "a fee that no operation can have");
        userOp.gasFees = bytes32(op.maxFeePerGas);
        userOp.paymasterAndData = op.paymasterAndData;
        userOp.signature = op.signature;
    }
}
