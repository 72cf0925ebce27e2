// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";

/// @title A paymaster for tests (EntryPoint v0.6): pays for operations that its signer has signed, and books their cost
/// @dev After the paymaster's address, `paymasterAndData` holds the signature.
contract VerifyingPaymaster {
    error NotFromEntryPoint();
    error WrongLength();

    address public immutable ENTRY_POINT;
    address public immutable SIGNER;

    /// @notice What the operations of an account have cost up to their `postOp`, in wei.
    mapping(address account => uint256) public spent;

    constructor(address entryPoint, address signer) {
        ENTRY_POINT = entryPoint;
        SIGNER = signer;
    }

    /// @notice The hash that the signer signs: everything in the operation except the two signatures.
    function hash(UserOperation calldata op) public view returns (bytes32) {
        bytes32 gas = keccak256(
            abi.encode(
                op.callGasLimit,
                op.verificationGasLimit,
                op.preVerificationGas,
                op.maxFeePerGas,
                op.maxPriorityFeePerGas
            )
        );
        return keccak256(
            abi.encode(
                op.sender, op.nonce, keccak256(op.initCode), keccak256(op.callData), gas, block.chainid, address(this)
            )
        );
    }

    /// @notice Agrees to pay if the signer did; reverts without a well-formed signature.
    function validatePaymasterUserOp(UserOperation calldata op, bytes32, uint256)
        external
        view
        returns (bytes memory context, uint256 validationData)
    {
        if (msg.sender != ENTRY_POINT) revert NotFromEntryPoint();
        bytes calldata signature = op.paymasterAndData[20:];
        if (signature.length != 65) revert WrongLength();
        address found = ecrecover(hash(op), uint8(signature[64]), bytes32(signature[:32]), bytes32(signature[32:64]));
        return (abi.encode(op.sender), found == SIGNER ? 0 : 1);
    }

    /// @notice Books the cost.
    function postOp(uint8, bytes calldata context, uint256 actualGasCost) external {
        if (msg.sender != ENTRY_POINT) revert NotFromEntryPoint();
        spent[abi.decode(context, (address))] += actualGasCost;
    }
}
