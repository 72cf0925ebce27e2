// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../src/interfaces/IStandardExecutor.sol";

// Lists of a few elements, for which Solidity has no literals.

function listOf(address a) pure returns (address[] memory list) {
    list = new address[](1);
    list[0] = a;
}

function listOf(address a, address b) pure returns (address[] memory list) {
    list = new address[](2);
    (list[0], list[1]) = (a, b);
}

function listOf(address a, address b, address c) pure returns (address[] memory list) {
    list = new address[](3);
    (list[0], list[1], list[2]) = (a, b, c);
}

function listOf(bytes memory a) pure returns (bytes[] memory list) {
    list = new bytes[](1);
    list[0] = a;
}

function listOf(bytes memory a, bytes memory b) pure returns (bytes[] memory list) {
    list = new bytes[](2);
    (list[0], list[1]) = (a, b);
}

function listOf(bytes memory a, bytes memory b, bytes memory c) pure returns (bytes[] memory list) {
    list = new bytes[](3);
    (list[0], list[1], list[2]) = (a, b, c);
}

/// @notice One call of a session key.
function call(address target, uint256 value, bytes memory data) pure returns (Call[] memory calls) {
    calls = new Call[](1);
    calls[0] = Call(target, value, data);
}

/// @notice The calls of `a`, then those of `b`.
function join(Call[] memory a, Call[] memory b) pure returns (Call[] memory joined) {
    joined = new Call[](a.length + b.length);
    for (uint256 i = 0; i < joined.length; ++i) {
        joined[i] = i < a.length ? a[i] : b[i - a.length];
    }
}
