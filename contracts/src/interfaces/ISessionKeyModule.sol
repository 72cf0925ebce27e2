// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title What `SessionKeyModule` adds to the ABI of `ISessionKeyPlugin`, `IValidationModule` and `IExecutionModule`
interface ISessionKeyModule {
    /// @notice In execution: a call's target says that it is a module. Modules take orders from the account's calls.
    error TargetIsModule(address target);

    /// @notice In execution: too little gas is left to ask a call's target whether it is a module.
    error TargetNotAsked(address target);
}
