// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SignatureAccount} from "./SignatureAccount.sol";

/// @notice An account that clears the hooks of a validation only if it is told what to tell them: an uninstallation without data for
/// hooks leaves them in place, and the next installation of the validation finds them there. A deployed account does that.
contract HookKeepingAccount is SignatureAccount {
    function _uninstallValidation(
        bytes24 moduleEntity,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) internal override returns (bool succeeded) {
        Validation storage validation = _layout().validations[_keyOf(moduleEntity)];
        bytes25[] memory validationHooks = validation.validationHooks;
        bytes25[] memory executionHooks = validation.executionHooks;
        succeeded = super._uninstallValidation(moduleEntity, uninstallData, hookUninstallData);
        if (hookUninstallData.length != 0) return succeeded;
        validation.validationHooks = validationHooks;
        validation.executionHooks = executionHooks;
    }
}
