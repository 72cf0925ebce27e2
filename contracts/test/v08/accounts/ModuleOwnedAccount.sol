// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IInitializable} from "../../../src/interfaces/IAccountV08.sol";
import {NonceAccount} from "./NonceAccount.sol";

/// @notice An account whose owner is defined by its first validation module.
contract ModuleOwnedAccount is NonceAccount, IInitializable {
    function accountId() external pure returns (string memory) {
        return "session-keys.test-account.1.0.0";
    }

    function initializeWithValidation(
        bytes25 validationConfig,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) external {
        _initialize();
        _installValidation(validationConfig, selectors, installData, hooks);
    }
}
