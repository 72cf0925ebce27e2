// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";

/// @title The minimal account for the session key module: no validation at all
/// @notice Every call except those of `IStandardExecutor` is passed on to the module, with the account as its caller.
contract StubModuleAccount is IStandardExecutor {
    error NotTheModule();

    address internal immutable MODULE;

    constructor(address module) {
        MODULE = module;
    }

    modifier onlyModule() {
        if (msg.sender != MODULE) revert NotTheModule();
        _;
    }

    receive() external payable {}

    fallback(bytes calldata data) external payable returns (bytes memory) {
        (bool success, bytes memory answer) = MODULE.call(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return answer;
    }

    function execute(address target, uint256 value, bytes calldata data)
        external
        payable
        onlyModule
        returns (bytes memory)
    {
        return _call(target, value, data);
    }

    function executeBatch(Call[] calldata calls) external payable onlyModule returns (bytes[] memory results) {
        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            results[i] = _call(calls[i].target, calls[i].value, calls[i].data);
        }
    }

    function _call(address target, uint256 value, bytes calldata data) internal virtual returns (bytes memory) {
        (bool success, bytes memory answer) = target.call{value: value}(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return answer;
    }
}
