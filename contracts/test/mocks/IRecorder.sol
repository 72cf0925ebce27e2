// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title An account that makes no calls, but records those it should have made
interface IRecorder {
    /// @notice Forgets everything.
    function forget() external;

    /// @notice A hash chain over `(target, value, data)`.
    function recorded() external view returns (bytes32);
}
