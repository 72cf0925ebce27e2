// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IRecorder} from "./IRecorder.sol";
import {StubModuleAccount} from "./StubModuleAccount.sol";

/// @title The recorder with the module
contract RecordingModuleAccount is StubModuleAccount, IRecorder {
    bytes32 public recorded;

    constructor(address module) StubModuleAccount(module) {}

    function forget() external {
        recorded = 0;
    }

    function _call(address target, uint256 value, bytes calldata data) internal override returns (bytes memory) {
        recorded = keccak256(abi.encode(recorded, target, value, data));
        return "";
    }
}
