// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";

/// @title An account that measures the gas of its module's calls, and makes no call itself
contract GasMeter is IStandardExecutor {
    address private constant NO_CODE = address(0xC0DE1E55);

    address private immutable MODULE;

    constructor(address module) {
        MODULE = module;
    }

    receive() external payable {}

    fallback(bytes calldata data) external payable returns (bytes memory) {
        (bool success, bytes memory answer) = MODULE.call(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return answer;
    }

    /// @notice Gas units of the module's own frames, of a validation and then an execution, in one transaction.
    /// @param callback The module's call through the account in the execution, whose own gas does not count; making the
    /// call does.
    function measure(bytes memory validation, bytes memory execution, bytes memory callback)
        external
        returns (uint256 validationGas, uint256 executionGas)
    {
        validationGas = _frame(MODULE, validation);
        executionGas = _frame(MODULE, execution) - _frame(address(this), callback);
    }

    function execute(address, uint256, bytes calldata) external payable returns (bytes memory) {
        return "";
    }

    function executeBatch(Call[] calldata calls) external payable returns (bytes[] memory) {
        return new bytes[](calls.length);
    }

    /// @dev The gas that the callee uses, without the cost of the call.
    function _frame(address callee, bytes memory data) private returns (uint256) {
        // Makes them warm.
        _call(NO_CODE, "");
        require(callee.code.length != 0);
        uint256 empty = _call(NO_CODE, data);
        return _call(callee, data) - empty;
    }

    function _call(address callee, bytes memory data) private returns (uint256 used) {
        bool success;
        assembly ("memory-safe") {
            used := gas()
            success := call(gas(), callee, 0, add(data, 0x20), mload(data), 0, 0)
            used := sub(used, gas())
        }
        require(success);
    }
}
