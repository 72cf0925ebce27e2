// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A function of a plugin, as `IModularAccount` describes it: 20 bytes plugin, then 1 byte function id.
type FunctionReference is bytes21;

using {isNone, equals as ==, differs as !=, unpack} for FunctionReference global;

FunctionReference constant NONE = FunctionReference.wrap(bytes21(uint168(0)));
FunctionReference constant RUNTIME_VALIDATION_ALWAYS_ALLOW = FunctionReference.wrap(bytes21(uint168(1)));
FunctionReference constant PRE_HOOK_ALWAYS_DENY = FunctionReference.wrap(bytes21(uint168(2)));

/// @dev The reference to a function of a plugin.
function packReference(address plugin, uint8 functionId) pure returns (FunctionReference) {
    return FunctionReference.wrap(bytes21(uint168(uint160(plugin)) << 8 | functionId));
}

/// @dev Whether the reference is null.
function isNone(FunctionReference self) pure returns (bool) {
    return FunctionReference.unwrap(self) == bytes21(0);
}

/// @dev Operator `==`.
function equals(FunctionReference a, FunctionReference b) pure returns (bool) {
    return FunctionReference.unwrap(a) == FunctionReference.unwrap(b);
}

/// @dev Operator `!=`.
function differs(FunctionReference a, FunctionReference b) pure returns (bool) {
    return FunctionReference.unwrap(a) != FunctionReference.unwrap(b);
}

/// @dev The plugin, and the function's id.
function unpack(FunctionReference self) pure returns (address plugin, uint8 functionId) {
    uint168 raw = uint168(FunctionReference.unwrap(self));
    return (address(uint160(raw >> 8)), uint8(raw));
}
