// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";

/// @title The minimal account for the session key plugin: no validation at all
/// @notice Every call except those of `IPluginExecutor` is passed on to the plugin, with the account as its caller.
contract StubAccount is IPluginExecutor {
    error NotThePlugin();

    address internal immutable PLUGIN;

    constructor(address plugin) {
        PLUGIN = plugin;
    }

    receive() external payable {}

    fallback() external payable {
        (bool success, bytes memory answer) = PLUGIN.call(msg.data);
        _finish(success, answer);
    }

    function executeFromPlugin(bytes calldata) external payable returns (bytes memory) {
        revert NotThePlugin();
    }

    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        virtual
        returns (bytes memory)
    {
        if (msg.sender != PLUGIN) revert NotThePlugin();
        (bool success, bytes memory answer) = target.call{value: value}(data);
        if (!success) _finish(success, answer);
        return answer;
    }

    function _finish(bool success, bytes memory answer) private pure {
        assembly ("memory-safe") {
            if iszero(success) { revert(add(answer, 0x20), mload(answer)) }
            return(add(answer, 0x20), mload(answer))
        }
    }
}
