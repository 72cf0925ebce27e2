// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccountStorage} from "../../src/account/AccountStorage.sol";

/// @notice Declares the account's namespaced storage as a state variable, so the compiler outputs its layout: it does
/// not see a namespace that only assembly reaches.
contract AccountStorageLayout {
    AccountStorage internal atNamespace;
}
