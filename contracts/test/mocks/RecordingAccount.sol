// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRecorder} from "./IRecorder.sol";
import {StubAccount} from "./StubAccount.sol";

/// @title The recorder with the plugin
contract RecordingAccount is StubAccount, IRecorder {
    bytes32 public recorded;

    constructor(address plugin) StubAccount(plugin) {}

    function forget() external {
        recorded = 0;
    }

    function executeFromPluginExternal(address target, uint256 value, bytes calldata data)
        external
        payable
        override
        returns (bytes memory)
    {
        if (msg.sender != PLUGIN) revert NotThePlugin();
        recorded = keccak256(abi.encode(recorded, target, value, data));
        return "";
    }
}
