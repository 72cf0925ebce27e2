// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Additions of `SessionKeyModule` to the ABI of `ISessionKeyPlugin`, `IValidationModule` and `IExecutionModule`
interface ISessionKeyModule {
    /// @notice In execution: a call's target reports itself as a module. Modules obey calls from the account.
    error TargetIsModule(address target);

    /// @notice In execution: too little gas is left to ask a call's target whether it is a module.
    error TargetNotAsked(address target);
}
