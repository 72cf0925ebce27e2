// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";

import {AccountFactory} from "../accounts/AccountFactory.sol";
import {IAccountV08, IInitializable, INonceAccount, ISemiModularAccount} from "../../../src/interfaces/IAccountV08.sol";
import {IExecutionModule, IModule, IValidationModule} from "../../../src/interfaces/IModule.sol";
import {IAccountV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";

/// @notice The ABI of deployed v0.8 accounts and of their modules.
contract InterfacesTest is Test {
    function test_interfaceIdsOfModules() public pure {
        assertEq(type(IModule).interfaceId, bytes4(0x46c0c1b4));
        assertEq(type(IValidationModule).interfaceId, bytes4(0xab3e34c1));
        assertEq(type(IValidationHookModule).interfaceId, bytes4(0x28171ad0));
        assertEq(type(IExecutionHookModule).interfaceId, bytes4(0xb02cc192));
        assertEq(type(IExecutionModule).interfaceId, bytes4(0xae5628c6));
    }

    function test_selectorsOfModules() public pure {
        assertEq(IModule.onInstall.selector, bytes4(0x6d61fe70));
        assertEq(IModule.onUninstall.selector, bytes4(0x8a91b0e3));
        assertEq(IModule.moduleId.selector, bytes4(0xa1308f27));
        assertEq(IValidationModule.validateUserOp.selector, bytes4(0x0ab8785f));
        assertEq(IValidationModule.validateRuntime.selector, bytes4(0x465d33e0));
        assertEq(IValidationModule.validateSignature.selector, bytes4(0xe7db7f7e));
        assertEq(IValidationHookModule.preUserOpValidationHook.selector, bytes4(0x2a3d428c));
        assertEq(IValidationHookModule.preRuntimeValidationHook.selector, bytes4(0x3d6bda32));
        assertEq(IValidationHookModule.preSignatureValidationHook.selector, bytes4(0x3f41826e));
        assertEq(IExecutionHookModule.preExecutionHook.selector, bytes4(0xed6dfb13));
        assertEq(IExecutionHookModule.postExecutionHook.selector, bytes4(0x5d413a81));
        assertEq(IExecutionModule.executionManifest.selector, bytes4(0xae5628c6));
    }

    function test_selectorsOfAccounts() public pure {
        assertEq(IAccountV08.execute.selector, bytes4(0xb61d27f6));
        assertEq(IAccountV08.executeBatch.selector, bytes4(0x34fcd5be));
        assertEq(IAccountV07.executeUserOp.selector, bytes4(0x8dd7712f));
        assertEq(IAccountV08.executeWithRuntimeValidation.selector, bytes4(0xf2680c0f));
        assertEq(IAccountV08.installValidation.selector, bytes4(0x1bbf564c));
        assertEq(IAccountV08.uninstallValidation.selector, bytes4(0xb6b1ccfe));
        assertEq(IAccountV08.installExecution.selector, bytes4(0x001a63e9));
        assertEq(IAccountV08.uninstallExecution.selector, bytes4(0x93b1dc61));
        assertEq(IAccountV08.getValidationData.selector, bytes4(0xd31b575b));
        assertEq(IAccountV08.getExecutionData.selector, bytes4(0x757c8a26));
        assertEq(IAccountV08.accountId.selector, bytes4(0x9cfd7cff));
        assertEq(IAccountV08.entryPoint.selector, bytes4(0xb0d691fe));
        assertEq(IAccountV08.isValidSignature.selector, bytes4(0x1626ba7e));
        assertEq(IAccountV08.performCreate.selector, bytes4(0x5998db5c));
        assertEq(IAccountV08.upgradeToAndCall.selector, bytes4(0x4f1ef286));
        assertEq(IInitializable.initializeWithValidation.selector, bytes4(0xe919a623));
        assertEq(ISemiModularAccount.updateFallbackSignerData.selector, bytes4(0x30009d52));
        assertEq(ISemiModularAccount.getFallbackSignerData.selector, bytes4(0xa8b04729));
        assertEq(AccountFactory.createAccount.selector, bytes4(0xafa63a10));
        assertEq(AccountFactory.createSemiModularAccount.selector, bytes4(0x8b4e464e));
        assertEq(AccountFactory.getAddress.selector, bytes4(0x421a21e0));
        assertEq(AccountFactory.getAddressSemiModular.selector, bytes4(0x6aa34063));
    }

    function test_eventsOfAccounts() public pure {
        assertEq(
            IAccountV08.ValidationInstalled.selector, 0xc36a28045e90a1163d24d4216c8cfd8c44c4e835a486fb84d511d6b9e0736db9
        );
        assertEq(
            IAccountV08.ValidationUninstalled.selector,
            0x43f7309d11ba6b2e180e9ab8a6da09d2fa1f585d7daed4b26c1c7f2a90b867a2
        );
        assertEq(
            ISemiModularAccount.FallbackSignerUpdated.selector,
            0xc994673d24a099778a3abde494badba9992ab6682e3ea1be5d32d13eff171f5a
        );
    }

    function test_errorsOfAccounts() public pure {
        assertEq(IAccountV08.ModuleInstallCallbackFailed.selector, bytes4(0x1672bd93));
        assertEq(IAccountV08.InterfaceNotSupported.selector, bytes4(0x70560bfc));
        assertEq(IAccountV08.ValidationAlreadySet.selector, bytes4(0xd5d4419e));
        assertEq(IAccountV08.ValidationEntityIdInUse.selector, bytes4(0x50a67a84));
        assertEq(IAccountV08.PreValidationHookDuplicate.selector, bytes4(0x298ac3da));
        assertEq(IAccountV08.ExecutionHookAlreadySet.selector, bytes4(0x236e22ad));
        assertEq(IAccountV08.ValidationAssocHookLimitExceeded.selector, bytes4(0xe330dd26));
        assertEq(IAccountV08.ArrayLengthMismatch.selector, bytes4(0xa24a13a6));
        assertEq(IAccountV08.ExecutionFunctionAlreadySet.selector, bytes4(0xec9cbcb3));
        assertEq(IAccountV08.ValidationFunctionMissing.selector, bytes4(0xcf7b49f6));
        assertEq(IAccountV08.UnrecognizedFunction.selector, bytes4(0xfcfc5aad));
        assertEq(IAccountV08.RequireUserOperationContext.selector, bytes4(0x5f49f00a));
        assertEq(IAccountV08.SelfCallRecursionDepthExceeded.selector, bytes4(0x54ff929d));
        assertEq(IAccountV08.UserOpValidationInvalid.selector, bytes4(0x566f60e2));
        assertEq(IAccountV08.SignatureValidationInvalid.selector, bytes4(0x07391694));
        assertEq(IAccountV08.UnexpectedAggregator.selector, bytes4(0xc616f69a));
        assertEq(IAccountV08.NotEntryPoint.selector, bytes4(0xd663742a));
        assertEq(IAccountV08.CreateFailed.selector, bytes4(0x7e16b8cd));
        assertEq(IAccountV08.NonCanonicalEncoding.selector, bytes4(0xb91b669d));
        assertEq(IAccountV08.SegmentOutOfOrder.selector, bytes4(0x95c6cb38));
        assertEq(IAccountV08.ValidationSignatureSegmentMissing.selector, bytes4(0x151d90fe));
        assertEq(IAccountV08.PreUserOpValidationHookReverted.selector, bytes4(0x4db96e31));
        assertEq(IAccountV08.UserOpValidationFunctionReverted.selector, bytes4(0x19aed90d));
        assertEq(IAccountV08.PreExecHookReverted.selector, bytes4(0x74a1a72c));
        assertEq(IAccountV08.PostExecHookReverted.selector, bytes4(0xf19fc593));
        assertEq(IAccountV08.RuntimeValidationFunctionReverted.selector, bytes4(0x4622c748));
        assertEq(IAccountV08.PreRuntimeValidationHookReverted.selector, bytes4(0xa32d2f5d));
        assertEq(IAccountV08.SignatureValidationFunctionReverted.selector, bytes4(0x5f85b3b4));
        assertEq(IAccountV08.PreSignatureValidationHookReverted.selector, bytes4(0x46cfe46d));
        assertEq(INonceAccount.DeferredActionSignatureInvalid.selector, bytes4(0x01334f77));
        assertEq(INonceAccount.DeferredValidationHasValidationHooks.selector, bytes4(0xd7c79414));
        assertEq(ISemiModularAccount.FallbackSignerMismatch.selector, bytes4(0x38450159));
        assertEq(ISemiModularAccount.FallbackSignerDisabled.selector, bytes4(0xe684930a));
        assertEq(ISemiModularAccount.InvalidSignatureType.selector, bytes4(0x60cd402d));
        assertEq(ISemiModularAccount.FallbackValidationInstallationNotAllowed.selector, bytes4(0xd44e72c2));
        assertEq(ISemiModularAccount.UpgradeNotAllowed.selector, bytes4(0xaf7a95aa));
    }
}
