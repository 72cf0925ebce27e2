// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {
    ISessionKeyPermissionsUpdates as Updates,
    ISessionKeyPlugin
} from "../../../src/interfaces/ISessionKeyPlugin.sol";

// Updates of a session key's permissions.

function listType(ISessionKeyPlugin.ContractAccessControlType kind) pure returns (bytes memory) {
    return abi.encodeCall(Updates.setAccessListType, (kind));
}

function allow(address contractAddress) pure returns (bytes memory) {
    return entry(contractAddress, true, false);
}

function entry(address contractAddress, bool isOnList, bool checkSelectors) pure returns (bytes memory) {
    return abi.encodeCall(Updates.updateAccessListAddressEntry, (contractAddress, isOnList, checkSelectors));
}

function functionEntry(address contractAddress, bytes4 selector, bool isOnList) pure returns (bytes memory) {
    return abi.encodeCall(Updates.updateAccessListFunctionEntry, (contractAddress, selector, isOnList));
}

function timeRange(uint48 validAfter, uint48 validUntil) pure returns (bytes memory) {
    return abi.encodeCall(Updates.updateTimeRange, (validAfter, validUntil));
}

function nativeLimit(uint256 limit, uint48 interval) pure returns (bytes memory) {
    return abi.encodeCall(Updates.setNativeTokenSpendLimit, (limit, interval));
}

function tokenLimit(address token, uint256 limit, uint48 interval) pure returns (bytes memory) {
    return abi.encodeCall(Updates.setERC20SpendLimit, (token, limit, interval));
}

function gasLimit(uint256 limit, uint48 interval) pure returns (bytes memory) {
    return abi.encodeCall(Updates.setGasSpendLimit, (limit, interval));
}

function requiredPaymaster(address paymaster) pure returns (bytes memory) {
    return abi.encodeCall(Updates.setRequiredPaymaster, (paymaster));
}
