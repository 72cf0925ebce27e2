// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IValidationModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {IInitializable} from "../../../src/interfaces/IAccountV08.sol";
import {ModuleAccount} from "./ModuleAccount.sol";

/// @notice An account whose signature selects the validation of a user operation, as in the standard's reference:
/// module and entity id (24 bytes), whether it is used as a global validation (1 byte), then the common format. The
/// nonce is free. There are no deferred actions.
contract SignatureAccount is ModuleAccount, IInitializable {
    function accountId() external pure returns (string memory) {
        return "session-keys.test-signature-account.1.0.0";
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

    /* Selection */

    function _keyOf(bytes24 moduleEntity) internal pure override returns (uint256) {
        return uint192(moduleEntity);
    }

    function _selectForExecution(PackedUserOperation calldata userOp)
        internal
        pure
        override
        returns (Selection memory by)
    {
        (by,) = _selectIn(userOp.signature, true);
    }

    function _selectForUserOp(PackedUserOperation calldata userOp)
        internal
        pure
        override
        returns (Selection memory by, bytes calldata signature, uint48 deadline)
    {
        (by, signature) = _selectIn(userOp.signature, true);
        deadline = 0;
    }

    /// @dev A signature (ERC-1271) has no byte for global validation.
    function _selectIn(bytes calldata signature, bool hasOption)
        internal
        pure
        override
        returns (Selection memory by, bytes calldata rest)
    {
        by.key = uint192(bytes24(signature[:24]));
        by.entityId = uint32(by.key);
        bool asGlobal = hasOption && uint8(signature[24]) == 1;
        by.applies = asGlobal ? Applies.TO_ALL : Applies.TO_ITS_SELECTORS;
        rest = signature[hasOption ? 25 : 24:];
    }

    /* Installation: hooks are called before the validation has selectors and flags */

    function _installValidation(
        bytes25 config,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) internal override {
        bytes24 moduleEntity = bytes24(config);
        address module = address(bytes20(moduleEntity));
        Validation storage validation = _layout().validations[_keyOf(moduleEntity)];
        _addHooks(validation, hooks);
        _addSelectors(validation, moduleEntity, selectors);
        validation.module = module;
        validation.flags = uint8(config[24]);
        _callOnInstall(module, type(IValidationModule).interfaceId, installData);
        emit ValidationInstalled(module, _entityIdOf(moduleEntity));
    }

    function _uninstallValidation(
        bytes24 moduleEntity,
        bytes calldata uninstallData,
        bytes[] calldata hookUninstallData
    ) internal virtual override returns (bool succeeded) {
        _layout().validations[_keyOf(moduleEntity)].flags = 0;
        return super._uninstallValidation(moduleEntity, uninstallData, hookUninstallData);
    }

    /// @dev Full ERC-165 detection.
    function _isModule(address module, bytes4 interfaceId) internal view override returns (bool) {
        return _answersTrue(module, type(IERC165).interfaceId) && !_answersTrue(module, 0xffffffff)
            && _answersTrue(module, interfaceId);
    }
}
