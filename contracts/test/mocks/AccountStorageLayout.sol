// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccountStorage} from "../../src/account/AccountStorage.sol";

/// @notice Declares the account's namespaced storage as a state variable, so that the compiler shows its layout: of a
/// namespace that only assembly reaches, it knows nothing.
contract AccountStorageLayout {
    AccountStorage internal atNamespace;
}
