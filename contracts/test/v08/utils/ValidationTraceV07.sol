// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {Vm} from "forge-std/Vm.sol";

import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {Erc7562} from "../../utils/Erc7562.sol";
import {IEntryPointV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {SessionKeyAccountTest} from "./SessionKeyAccountTest.sol";

/// @notice Traces the validation of a user operation in the real EntryPoint v0.7, by the rules of ERC-7562.
abstract contract ValidationTraceV07 is SessionKeyAccountTest, Erc7562 {
    uint8 private constant LOG1 = 0xa1;

    /// @notice Returns the rules that the validation of `op` breaks, in trace order, each as "rule: details". The
    /// operation is sent, and must be included; steps after its validation are ignored. The test calls it externally,
    /// so that the memory of a trace is freed afterwards.
    function violationsOf(PackedUserOperation memory op) external returns (string[] memory) {
        PackedUserOperation[] memory ops = new PackedUserOperation[](1);
        ops[0] = op;
        bytes memory callData = abi.encodeCall(IEntryPointV07.handleOps, (ops, beneficiary));
        vm.startDebugTraceRecording();
        vm.prank(bundler, bundler);
        (bool success, bytes memory answer) = address(ENTRY_POINT).call(callData);
        Vm.DebugStep[] memory steps = vm.stopAndReturnDebugTraceRecording();
        if (!success) LowLevelCall.bubbleRevert(answer);
        _cutBeforeExecution(steps);
        address factory_ = address(bytes20(op.initCode));
        return violationsIn(
            steps,
            Parties({
                entryPoint: address(ENTRY_POINT),
                // The SenderCreator, deployed by the EntryPoint's constructor.
                creator: vm.computeCreateAddress(address(ENTRY_POINT), 1),
                sender: op.sender,
                factory: factory_,
                isFactoryStaked: ENTRY_POINT.getDepositInfo(factory_).staked,
                paymaster: address(bytes20(op.paymasterAndData))
            })
        );
    }

    /// @dev `BeforeExecution` is the EntryPoint's only event without arguments.
    function _cutBeforeExecution(Vm.DebugStep[] memory steps) private pure {
        uint256 length;
        while (steps[length].contractAddr != address(ENTRY_POINT) || steps[length].opcode != LOG1) ++length;
        assembly ("memory-safe") {
            mstore(steps, length)
        }
    }
}
