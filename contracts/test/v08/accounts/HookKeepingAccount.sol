// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SignatureAccount} from "./SignatureAccount.sol";

/// @notice An account that removes a validation's hooks only if it gets data for them: an uninstallation without hook
/// data leaves them in place, and the next installation of the validation has them again. A deployed account behaves
/// like this.
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
