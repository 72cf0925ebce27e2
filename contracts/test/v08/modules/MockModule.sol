// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IValidationModule} from "../../../src/interfaces/IModule.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";

/// @notice A module of every kind, with every execution function. It logs its calls, and behaves as configured: it
/// answers, reverts, or calls its caller. By default it accepts everything except signatures.
contract MockModule {
    event Called(address indexed sender, bytes4 indexed selector, uint256 value, bytes data);
    event Seen(bytes answer);

    struct Behaviour {
        bool isSet;
        bool reverts;
        bytes answer;
    }

    mapping(bytes4 selector => Behaviour) private behaviours;
    mapping(bytes4 selector => bytes) private questions;

    /// @notice Makes the function return this.
    function answer(bytes4 selector, bytes calldata data) external {
        behaviours[selector] = Behaviour(true, false, data);
    }

    /// @notice Makes the function revert with this.
    function refuse(bytes4 selector, bytes calldata reason) external {
        behaviours[selector] = Behaviour(true, true, reason);
    }

    /// @notice Restores the function's default behaviour.
    function relent(bytes4 selector) external {
        delete behaviours[selector];
    }

    /// @notice Makes the function call its caller with this, and log the answer.
    function ask(bytes4 selector, bytes calldata question) external {
        questions[selector] = question;
    }

    receive() external payable {}

    fallback(bytes calldata) external payable returns (bytes memory) {
        if (!_isView(msg.sig)) {
            emit Called(msg.sender, msg.sig, msg.value, msg.data);
            if (questions[msg.sig].length != 0) {
                (bool success, bytes memory seen) = msg.sender.call(questions[msg.sig]);
                require(success);
                emit Seen(seen);
            }
        }
        Behaviour memory behaviour = behaviours[msg.sig];
        if (!behaviour.isSet) return _default();
        if (!behaviour.reverts) return behaviour.answer;
        bytes memory reason = behaviour.answer;
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    function _isView(bytes4 selector) private pure returns (bool) {
        return selector == IERC165.supportsInterface.selector
            || selector == IValidationModule.validateSignature.selector
            || selector == IValidationHookModule.preSignatureValidationHook.selector;
    }

    function _default() private pure returns (bytes memory) {
        if (msg.sig == IERC165.supportsInterface.selector) return abi.encode(bytes4(msg.data[4:8]) != 0xffffffff);
        if (msg.sig == IExecutionHookModule.preExecutionHook.selector) return abi.encode(bytes(""));
        if (msg.sig == IValidationModule.validateSignature.selector) return abi.encode(bytes4(0xffffffff));
        return abi.encode(0);
    }
}
