// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {Call} from "../../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08} from "../../../../src/interfaces/IAccountV08.sol";
import {IAccountV07} from "../../../../src/interfaces/IEntryPointV07.sol";
import {IModule, PackedUserOperation} from "../../../../src/interfaces/IModule.sol";
import {IExecutionHookModule, IValidationHookModule} from "../../interfaces/IHookModules.sol";

/// @notice What the stand-ins for the permission modules of Modular Account v2 have in common.
///
/// They keep the rules, errors, functions and events of the deployed modules, and are written for tests: neither the deployed
/// modules' code, nor at their addresses, nor as cheap. State is per entity id and account; setters are open to the account.
abstract contract HookStandIn is IValidationHookModule, IERC165 {
    error NotImplemented();
    error UnexpectedDataPassed();

    function supportsInterface(bytes4 interfaceId) public pure virtual returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IModule).interfaceId
            || interfaceId == type(IValidationHookModule).interfaceId;
    }

    /// @dev None of the modules restricts signatures.
    function preSignatureValidationHook(uint32, address, bytes32, bytes calldata) external pure {}

    /// @dev None of the modules takes anything from the signature's segments.
    function _requireNoSegment(bytes calldata segment) internal pure {
        if (segment.length != 0) revert UnexpectedDataPassed();
    }

    /// @dev What `executeUserOp` makes the account call, or the call itself.
    function _unwrapped(bytes calldata callData) internal pure returns (bytes calldata) {
        return bytes4(callData) == IAccountV07.executeUserOp.selector ? callData[4:] : callData;
    }

    /// @dev What an execution hook gets: the whole call of `executeUserOp`, with the operation in it; or the inner call.
    function _executed(bytes calldata data) internal pure returns (bytes memory) {
        if (bytes4(data) != IAccountV07.executeUserOp.selector) return data;
        (PackedUserOperation memory userOp,) = abi.decode(data[4:], (PackedUserOperation, bytes32));
        return _tail(userOp.callData);
    }

    function _tail(bytes memory data) internal pure returns (bytes memory tail) {
        tail = new bytes(data.length - 4);
        for (uint256 i = 0; i < tail.length; ++i) {
            tail[i] = data[i + 4];
        }
    }

    /// @dev The calls of `execute` or `executeBatch`; none of another function.
    function _callsOf(bytes memory callData) internal pure returns (bool isExecution, Call[] memory calls) {
        bytes4 selector = bytes4(callData);
        if (selector == IAccountV08.execute.selector) {
            calls = new Call[](1);
            (calls[0].target, calls[0].value, calls[0].data) = abi.decode(_tail(callData), (address, uint256, bytes));
            isExecution = true;
        } else if (selector == IAccountV08.executeBatch.selector) {
            calls = abi.decode(_tail(callData), (Call[]));
            isExecution = true;
        }
    }
}

/// @notice A stand-in that can be an execution hook, too. It must not be installed with a hook after the execution.
abstract contract ExecutionHookStandIn is HookStandIn, IExecutionHookModule {
    function supportsInterface(bytes4 interfaceId) public pure override returns (bool) {
        return interfaceId == type(IExecutionHookModule).interfaceId || super.supportsInterface(interfaceId);
    }

    function postExecutionHook(uint32, bytes calldata) external pure {
        revert NotImplemented();
    }
}
