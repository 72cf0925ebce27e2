// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {Erc7562} from "./Erc7562.sol";
import {SessionKeyStackTest} from "./SessionKeyStackTest.sol";

/// @notice Traces the validation of a user operation in the real EntryPoint v0.6, by ERC-7562.
abstract contract ValidationTrace is SessionKeyStackTest, Erc7562 {
    /// @notice The rules that the validation of `op` breaks, in their order in the trace, each as "rule: what". State
    /// is left as it was. The test calls it on itself, so the memory of a trace is freed afterwards.
    /// @param signatureFails The expected result for the signature.
    function violationsOf(UserOperation memory op, bool signatureFails) external returns (string[] memory) {
        vm.startDebugTraceRecording();
        (bool success, bytes memory answer) =
            address(ENTRY_POINT).call(abi.encodeCall(IEntryPoint.simulateValidation, (op)));
        Vm.DebugStep[] memory steps = vm.stopAndReturnDebugTraceRecording();
        assertFalse(success, "simulateValidation always reverts");
        if (bytes4(answer) != IEntryPoint.ValidationResult.selector) LowLevelCall.bubbleRevert(answer);
        assertEq(_signatureFailed(answer), signatureFails, "signature");

        address factory_ = _firstAddress(op.initCode);
        return violationsIn(
            steps,
            Parties({
                entryPoint: address(ENTRY_POINT),
                // The SenderCreator, which the EntryPoint's constructor deploys: see `StackTest`.
                creator: vm.computeCreateAddress(deployedEntryPoint, 1),
                sender: op.sender,
                factory: factory_,
                isFactoryStaked: ENTRY_POINT.getDepositInfo(factory_).staked,
                paymaster: _firstAddress(op.paymasterAndData)
            })
        );
    }

    /// @dev Zero if there is none.
    function _firstAddress(bytes memory data) private pure returns (address) {
        return address(bytes20(data));
    }

    /// @dev `sigFailed` of `ReturnInfo`, the first member of the answer, which is of dynamic size.
    function _signatureFailed(bytes memory answer) private pure returns (bool failed) {
        assembly ("memory-safe") {
            // Length, selector, then the offset of `ReturnInfo`, whose third word it is.
            let arguments := add(answer, 0x24)
            failed := mload(add(add(arguments, mload(arguments)), 0x40))
        }
    }
}
