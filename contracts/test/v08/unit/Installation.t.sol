// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {HookKeepingAccount} from "../accounts/HookKeepingAccount.sol";
import {ExecutionData, IAccountV08, IInitializable, ValidationData} from "../../../src/interfaces/IAccountV08.sol";
import {ExecutionManifest, IModule, ManifestHook} from "../../../src/interfaces/IModule.sol";
import {StoringFallback} from "../modules/StoringFallback.sol";
import {listOf} from "../../utils/ListLiterals.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice Installing and removing validations and functions, and the callbacks of modules.
abstract contract InstallationTest is AccountRulesTest {
    function _withData(bytes memory installData, bytes[] memory hooks) internal view returns (bytes memory) {
        return installCall(validation(address(mock), ENTITY, USER_OP), selectors(EXECUTE, BATCH), installData, hooks);
    }

    /* Installation */

    function test_install_callsHooksThenTheModule() public {
        bytes[] memory hooks = listOf(
            hookData(hook(address(other), 1, PRE_HOOK), "first"),
            hookData(hook(address(other), 2, VALIDATION_HOOK), "second"),
            hookData(hook(address(other), 3, VALIDATION_HOOK))
        );
        vm.recordLogs();
        callAsOwner(_withData("third", hooks));
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 3);
        assertCall(calls[0], other, abi.encodeCall(IModule.onInstall, ("first")));
        assertCall(calls[1], other, abi.encodeCall(IModule.onInstall, ("second")));
        assertCall(calls[2], mock, abi.encodeCall(IModule.onInstall, ("third")));
    }

    /// @dev In order of installation.
    function test_getValidationData_returnsTheInstallation() public {
        bytes[] memory hooks =
            listOf(executionHook(1, PRE_HOOK), validationHook(2), executionHook(3, PRE_HOOK | POST_HOOK));
        install(0xf9, selectors(BATCH, EXECUTE), hooks);
        ValidationData memory data = account.getValidationData(mockEntity());
        assertEq(data.flags, 0xf9);
        assertEq(data.selectors.length, 2);
        assertEq(data.selectors[0], BATCH);
        assertEq(data.selectors[1], EXECUTE);
        assertEq(data.validationHooks.length, 1);
        assertEq(data.executionHooks.length, 2);
        assertEq(data.executionHooks[0], hook(address(other), 1, 0x04));
        assertEq(data.executionHooks[1], hook(address(other), 3, 0x06));
    }

    function test_modulesCallback_seesTheCompleteInstallation() public {
        mock.ask(ON_INSTALL, abi.encodeCall(IAccountV08.getValidationData, (mockEntity())));
        vm.recordLogs();
        callAsOwner(_withData("data", listOf(executionHook(1, PRE_HOOK), validationHook(2))));
        ValidationData memory data = abi.decode(seen(vm.getRecordedLogs()), (ValidationData));
        assertEq(abi.encode(data), abi.encode(account.getValidationData(mockEntity())));
        assertEq(data.executionHooks.length + data.validationHooks.length + data.selectors.length, 4);
    }

    /// @dev Not even its interface is checked.
    function test_installWithoutData_callsNoModule() public {
        StoringFallback noModule = new StoringFallback();
        callAsOwner(
            installCall(
                validation(address(noModule), ENTITY, USER_OP),
                selectors(EXECUTE),
                "",
                listOf(hookData(hook(address(noModule), 1, PRE_HOOK)))
            )
        );
        assertEq(noModule.count(), 0);
        assertEq(account.getValidationData(entity(address(noModule), ENTITY)).flags, USER_OP);
    }

    function test_installWithData_checksInterfaces() public {
        StoringFallback noModule = new StoringFallback();
        bytes memory reason = err(IAccountV08.InterfaceNotSupported.selector, address(noModule));
        refusedToOwner(
            installCall(validation(address(noModule), ENTITY, USER_OP), none(), "data", new bytes[](0)), reason
        );
        refusedToOwner(_withData("", listOf(hookData(hook(address(noModule), 1, PRE_HOOK), "data"))), reason);
        refusedToOwner(_withData("", listOf(hookData(hook(address(noModule), 1, VALIDATION_HOOK), "data"))), reason);
        refusedToOwner(installExecutionCall(address(noModule), fooManifest(false, true), "data"), reason);
        refusedToOwner(
            installCall(validation(stranger, ENTITY, USER_OP), none(), "data", new bytes[](0)),
            err(IAccountV08.InterfaceNotSupported.selector, stranger)
        );
        // A module of another kind.
        refusedToOwner(
            _withData("", listOf(hookData(hook(address(ownerModule), 1, PRE_HOOK), "data"))),
            err(IAccountV08.InterfaceNotSupported.selector, address(ownerModule))
        );
    }

    function test_callbacksRevert_revertsAll() public {
        mock.refuse(ON_INSTALL, "why");
        bytes memory reason =
            abi.encodeWithSelector(IAccountV08.ModuleInstallCallbackFailed.selector, address(mock), bytes("why"));
        refusedToOwner(_withData("data", new bytes[](0)), reason);
        refusedToOwner(installExecutionCall(address(mock), fooManifest(false, true), "data"), reason);
        other.refuse(ON_INSTALL, "why not");
        refusedToOwner(
            _withData("", listOf(hookData(hook(address(other), 1, PRE_HOOK), "data"))),
            abi.encodeWithSelector(IAccountV08.ModuleInstallCallbackFailed.selector, address(other), bytes("why not"))
        );
        assertEq(account.getValidationData(mockEntity()).flags, 0);
    }

    function test_duplicateOrZeroSelector_isRefused() public {
        bytes25 config = validation(address(mock), ENTITY, USER_OP);
        refusedToOwner(
            installCall(config, selectors(EXECUTE, EXECUTE)),
            abi.encodeWithSelector(IAccountV08.ValidationAlreadySet.selector, EXECUTE, mockEntity())
        );
        refusedToOwner(
            installCall(config, selectors(0)),
            abi.encodeWithSelector(IAccountV08.ValidationAlreadySet.selector, bytes4(0), mockEntity())
        );
    }

    /// @dev Flags are replaced, selectors and hooks added; without data, the module is not called.
    function test_installAgain_replacesFlagsAndAddsTheRest() public {
        install(USER_OP, selectors(EXECUTE), listOf(executionHook(1, PRE_HOOK)));
        vm.recordLogs();
        install(SIGNATURE | GLOBAL, selectors(BATCH), listOf(executionHook(2, PRE_HOOK)));
        assertEq(recordedModuleCalls().length, 0);
        ValidationData memory data = account.getValidationData(mockEntity());
        assertEq(data.flags, SIGNATURE | GLOBAL);
        assertEq(data.selectors.length, 2);
        assertEq(data.executionHooks.length, 2);
    }

    function test_duplicateHook_isRefused() public {
        install(USER_OP, selectors(EXECUTE), listOf(executionHook(1, PRE_HOOK), validationHook(1)));
        bytes25 config = validation(address(mock), ENTITY, USER_OP);
        refusedToOwner(
            installCall(config, none(), "", listOf(executionHook(1, PRE_HOOK))),
            abi.encodeWithSelector(IAccountV08.ExecutionHookAlreadySet.selector, hook(address(other), 1, PRE_HOOK))
        );
        refusedToOwner(
            installCall(config, none(), "", listOf(validationHook(1))),
            err(IAccountV08.PreValidationHookDuplicate.selector)
        );
        // A hook with other flags is a different one.
        install(
            USER_OP,
            none(),
            listOf(executionHook(1, PRE_HOOK | POST_HOOK), hookData(hook(address(other), 1, VALIDATION_HOOK | 4)))
        );
        assertEq(account.getValidationData(mockEntity()).executionHooks.length, 2);
        assertEq(account.getValidationData(mockEntity()).validationHooks.length, 2);
    }

    function test_hooks_atMost255OfEachKind() public {
        bytes[] memory hooks = new bytes[](255);
        for (uint32 i = 0; i < 255; ++i) {
            hooks[i] = executionHook(i, PRE_HOOK);
        }
        install(USER_OP, none(), hooks);
        bytes memory reason = err(IAccountV08.ValidationAssocHookLimitExceeded.selector);
        bytes25 config = validation(address(mock), ENTITY, USER_OP);
        refusedToOwner(installCall(config, none(), "", listOf(executionHook(255, PRE_HOOK))), reason);
        for (uint32 i = 0; i < 255; ++i) {
            hooks[i] = validationHook(i);
        }
        install(USER_OP, none(), hooks);
        refusedToOwner(installCall(config, none(), "", listOf(validationHook(255))), reason);
    }

    function test_hookOfLessThan25Bytes_isRefusedWithoutData() public {
        refusedToOwner(_withData("", listOf(new bytes(24))), "");
    }

    /* Removal */

    function _installThree() internal {
        bytes[] memory hooks = new bytes[](4);
        hooks[0] = executionHook(1, PRE_HOOK);
        hooks[1] = validationHook(2);
        hooks[2] = executionHook(3, PRE_HOOK);
        hooks[3] = validationHook(4);
        install(USER_OP, selectors(EXECUTE), hooks);
    }

    function _uninstallData() internal pure returns (bytes[] memory data) {
        data = new bytes[](4);
        (data[0], data[1], data[2], data[3]) = ("a", "b", "c", "d");
    }

    function test_uninstall_callsHooksNewestFirst_thenTheModule() public {
        _installThree();
        vm.recordLogs();
        callAsOwner(uninstallCall(mockEntity(), "module", _uninstallData()));
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 5);
        assertCall(calls[0], other, abi.encodeCall(IModule.onUninstall, ("a")));
        assertCall(calls[3], other, abi.encodeCall(IModule.onUninstall, ("d")));
        assertCall(calls[4], mock, abi.encodeCall(IModule.onUninstall, ("module")));
        ValidationData memory data = account.getValidationData(mockEntity());
        assertEq(data.flags, 0);
        assertEq(data.selectors.length + data.validationHooks.length + data.executionHooks.length, 0);
    }

    /// @dev With hooks of different modules.
    function test_uninstall_removesTheNewestHookFirst() public {
        bytes[] memory hooks = listOf(
            hookData(hook(address(other), 1, PRE_HOOK)),
            hookData(hook(address(mock), 2, PRE_HOOK)),
            hookData(hook(address(other), 3, VALIDATION_HOOK))
        );
        install(USER_OP, selectors(EXECUTE), hooks);
        vm.recordLogs();
        callAsOwner(uninstallCall(mockEntity(), "", listOf("a", "b", "c")));
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 3);
        assertCall(calls[0], other, abi.encodeCall(IModule.onUninstall, ("a")));
        assertCall(calls[1], mock, abi.encodeCall(IModule.onUninstall, ("b")));
        assertCall(calls[2], other, abi.encodeCall(IModule.onUninstall, ("c")));
    }

    function test_modulesUninstallCallback_seesNothingLeft() public {
        _installThree();
        mock.ask(ON_UNINSTALL, abi.encodeCall(IAccountV08.getValidationData, (mockEntity())));
        vm.recordLogs();
        callAsOwner(uninstallCall(mockEntity(), "module"));
        ValidationData memory data = abi.decode(seen(vm.getRecordedLogs()), (ValidationData));
        assertEq(data.flags, 0);
        assertEq(data.selectors.length + data.validationHooks.length + data.executionHooks.length, 0);
    }

    function _expectUninstalled(bool succeeded) internal {
        vm.expectEmit(address(account));
        emit IAccountV08.ValidationUninstalled(address(mock), ENTITY, succeeded);
    }

    function test_revertOfTheModule_isSwallowed() public {
        _installThree();
        mock.refuse(ON_UNINSTALL, "never");
        bytes memory callData = uninstallCall(mockEntity(), "module");
        _expectUninstalled(false);
        callAsOwner(callData);
        assertEq(account.getValidationData(mockEntity()).selectors.length, 0);
    }

    /// @dev Including the validation's module.
    function test_uninstall_afterAFailure_callsNoOther() public {
        bytes[] memory hooks =
            listOf(hookData(hook(address(other), 1, PRE_HOOK)), hookData(hook(address(mock), 2, PRE_HOOK)));
        install(USER_OP, selectors(EXECUTE), hooks);
        mock.refuse(ON_UNINSTALL, "never");
        bytes memory callData = uninstallCall(mockEntity(), "module", listOf("a", "b"));
        vm.recordLogs();
        callAsOwner(callData);
        ModuleCall[] memory calls = recordedModuleCalls();
        assertEq(calls.length, 1);
        assertCall(calls[0], mock, abi.encodeCall(IModule.onUninstall, ("a")));
        assertEq(account.getValidationData(mockEntity()).executionHooks.length, 0);
    }

    function test_uninstallWithoutData_callsNoModule() public {
        _installThree();
        bytes memory callData = uninstallCall(mockEntity(), "");
        _expectUninstalled(true);
        callAsOwner(callData);
        _installThree();
        vm.recordLogs();
        callAsOwner(uninstallCall(mockEntity(), "", new bytes[](4)));
        assertEq(recordedModuleCalls().length, 0);
        assertEq(account.getValidationData(mockEntity()).executionHooks.length, 0);
    }

    function test_uninstallData_hasOneEntryPerHook() public {
        _installThree();
        refusedToOwner(
            uninstallCall(mockEntity(), "module", listOf("a", "b", "c")), err(IAccountV08.ArrayLengthMismatch.selector)
        );
    }

    function test_uninstallOfAMissingValidation_succeeds() public {
        bytes memory callData = uninstallCall(mockEntity(), "module");
        _expectUninstalled(true);
        callAsOwner(callData);
    }

    /* Functions */

    function test_function_isInstalledAndRemoved() public {
        ExecutionManifest memory manifest = fooManifest(false, true);
        manifest.interfaceIds = new bytes4[](1);
        manifest.interfaceIds[0] = 0x12345678;
        vm.recordLogs();
        callAsOwner(installExecutionCall(address(mock), manifest, "in"));
        assertCall(recordedModuleCalls()[0], mock, abi.encodeCall(IModule.onInstall, ("in")));
        ExecutionData memory data = account.getExecutionData(FOO);
        assertEq(data.module, address(mock));
        assertFalse(data.skipRuntimeValidation);
        assertTrue(data.allowGlobalValidation);
        assertTrue(account.supportsInterface(0x12345678));

        vm.recordLogs();
        callAsOwner(uninstallExecutionCall(address(mock), manifest, "out"));
        assertCall(recordedModuleCalls()[0], mock, abi.encodeCall(IModule.onUninstall, ("out")));
        assertEq(account.getExecutionData(FOO).module, address(0));
        assertFalse(account.getExecutionData(FOO).allowGlobalValidation);
        assertFalse(account.supportsInterface(0x12345678));
    }

    function test_functionOfAnotherModule_isRefused() public {
        callAsOwner(installExecutionCall(address(mock), fooManifest(false, true), ""));
        refusedToOwner(
            installExecutionCall(address(other), fooManifest(false, true), ""),
            err(IAccountV08.ExecutionFunctionAlreadySet.selector, FOO)
        );
        refusedToOwner(
            installExecutionCall(address(mock), fooManifest(false, true), ""),
            err(IAccountV08.ExecutionFunctionAlreadySet.selector, FOO)
        );
    }

    function test_differentManifest_doesNotRemove() public {
        callAsOwner(installExecutionCall(address(mock), fooManifest(false, true), ""));
        bytes memory reason = err(IAccountV08.ExecutionFunctionNotSet.selector, FOO);
        refusedToOwner(uninstallExecutionCall(address(mock), fooManifest(true, true), ""), reason);
        refusedToOwner(uninstallExecutionCall(address(mock), fooManifest(false, false), ""), reason);
        refusedToOwner(uninstallExecutionCall(address(other), fooManifest(false, true), ""), reason);
    }

    function test_revertOfAFunctionsModule_isSwallowed() public {
        callAsOwner(installExecutionCall(address(mock), fooManifest(false, true), ""));
        mock.refuse(ON_UNINSTALL, "never");
        callAsOwner(uninstallExecutionCall(address(mock), fooManifest(false, true), "out"));
        assertEq(account.getExecutionData(FOO).module, address(0));
    }

    function test_hooksOfFunctions_areInstalledAndRemoved() public {
        ExecutionManifest memory manifest;
        manifest.executionHooks = new ManifestHook[](2);
        manifest.executionHooks[0] = ManifestHook(EXECUTE, 1, true, false);
        manifest.executionHooks[1] = ManifestHook(EXECUTE, 2, true, true);
        callAsOwner(installExecutionCall(address(other), manifest, ""));
        assertEq(account.getExecutionData(EXECUTE).executionHooks[0], hook(address(other), 1, 0x04));
        assertEq(account.getExecutionData(EXECUTE).executionHooks[1], hook(address(other), 2, 0x06));
        refusedToOwner(
            installExecutionCall(address(other), manifest, ""),
            abi.encodeWithSelector(IAccountV08.ExecutionHookAlreadySet.selector, hook(address(other), 1, 0x04))
        );
        callAsOwner(uninstallExecutionCall(address(other), manifest, ""));
        assertEq(account.getExecutionData(EXECUTE).executionHooks.length, 0);
    }

    /* By one operation */

    function test_batchOfSelfCalls_installsAll() public {
        passes(
            ownerOp(
                selfCalls(
                    listOf(
                        installExecutionCall(address(mock), fooManifest(false, false), "data"),
                        installCall(validation(address(mock), ENTITY, USER_OP), selectors(FOO)),
                        installCall(validation(address(mock), DIRECT_CALL, 0), selectors(EXECUTE))
                    )
                )
            )
        );
        passes(mockOp(abi.encodePacked(FOO)));
    }

    function test_account_isInitializedOnce() public virtual {
        vm.expectRevert(IAccountV08.AlreadyInitialized.selector);
        IInitializable(address(account))
            .initializeWithValidation(validation(address(mock), 1, 7), none(), "", new bytes[](0));
    }
}

contract InstallationOnSignatureAccountTest is InstallationTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.SIGNATURE;
    }

    /// @dev Two modules may use one entity id.
    function test_validation_isIdentifiedByModuleAndEntityId() public {
        install(USER_OP, selectors(EXECUTE));
        callAsOwner(installCall(validation(address(other), ENTITY, GLOBAL), selectors(BATCH)));
        assertEq(account.getValidationData(mockEntity()).flags, USER_OP);
        assertEq(account.getValidationData(entity(address(other), ENTITY)).flags, GLOBAL);
    }

    function test_hooksCallback_seesNeitherFlagsNorSelectors() public {
        other.ask(ON_INSTALL, abi.encodeCall(IAccountV08.getValidationData, (mockEntity())));
        vm.recordLogs();
        callAsOwner(_withData("", listOf(hookData(hook(address(other), 1, PRE_HOOK), "data"))));
        ValidationData memory data = abi.decode(seen(vm.getRecordedLogs()), (ValidationData));
        assertEq(data.flags, 0);
        assertEq(data.selectors.length, 0);
        assertEq(data.executionHooks.length, 1);
    }

    /// @dev A module that returns true for every interface is refused.
    function test_interfaces_areFullyChecked() public {
        mock.answer(0x01ffc9a7, abi.encode(true));
        refusedToOwner(
            _withData("data", new bytes[](0)), err(IAccountV08.InterfaceNotSupported.selector, address(mock))
        );
    }
}

/// @notice Behaviour only of accounts that keep hooks.
contract InstallationOnHookKeepingAccountTest is AccountRulesTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.SIGNATURE;
    }

    function setUp() public override {
        super.setUp();
        address keeping = address(new HookKeepingAccount());
        callAsOwner(abi.encodeCall(IAccountV08.upgradeToAndCall, (keeping, "")));
    }

    function test_hooks_stayUnlessExplicitlyUninstalled() public {
        bytes[] memory hooks =
            listOf(hookData(hook(address(mock), 1, VALIDATION_HOOK)), hookData(hook(address(other), 2, PRE_HOOK)));
        install(USER_OP, selectors(EXECUTE), hooks);
        callAsOwner(uninstallCall(mockEntity(), ""));
        ValidationData memory data = account.getValidationData(mockEntity());
        assertEq(data.flags, 0);
        assertEq(data.selectors.length, 0);
        assertEq(data.validationHooks.length, 1);
        assertEq(data.executionHooks.length, 1);

        // They are installed again.
        install(USER_OP, selectors(EXECUTE));
        data = account.getValidationData(mockEntity());
        assertEq(data.validationHooks[0], hook(address(mock), 1, VALIDATION_HOOK));
        assertEq(data.executionHooks[0], hook(address(other), 2, PRE_HOOK));

        callAsOwner(uninstallCall(mockEntity(), "", new bytes[](2)));
        data = account.getValidationData(mockEntity());
        assertEq(data.validationHooks.length + data.executionHooks.length, 0);
    }
}

/// @notice Behaviour only of accounts where an entity id identifies one validation.
contract InstallationOnModularAccountTest is InstallationTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.MODULAR;
    }

    function test_entityIdOfAnotherModule_isRefused() public {
        install(USER_OP, selectors(EXECUTE));
        refusedToOwner(
            installCall(validation(address(other), ENTITY, USER_OP), selectors(EXECUTE)),
            err(IAccountV08.ValidationEntityIdInUse.selector)
        );
    }

    function test_hooksCallback_seesFlagsSelectorsAndTheHooksUpToItself() public {
        other.ask(ON_INSTALL, abi.encodeCall(IAccountV08.getValidationData, (mockEntity())));
        vm.recordLogs();
        callAsOwner(
            _withData(
                "",
                listOf(
                    executionHook(1, PRE_HOOK),
                    hookData(hook(address(other), 2, PRE_HOOK), "data"),
                    executionHook(3, PRE_HOOK)
                )
            )
        );
        ValidationData memory data = abi.decode(seen(vm.getRecordedLogs()), (ValidationData));
        assertEq(data.flags, USER_OP);
        assertEq(data.selectors.length, 2);
        assertEq(data.executionHooks.length, 2);
    }

    function test_hooksUninstallCallback_seesTheWholeValidation() public {
        _installThree();
        other.ask(ON_UNINSTALL, abi.encodeCall(IAccountV08.getValidationData, (mockEntity())));
        vm.recordLogs();
        callAsOwner(uninstallCall(mockEntity(), "", _uninstallData()));
        ValidationData memory data = abi.decode(seen(vm.getRecordedLogs()), (ValidationData));
        assertEq(data.flags, USER_OP);
        assertEq(data.executionHooks.length + data.validationHooks.length + data.selectors.length, 5);
    }

    /// @dev Only one query is made.
    function test_moduleThatAnswersTrueToEverything_isAccepted() public {
        mock.answer(0x01ffc9a7, abi.encode(true));
        callAsOwner(_withData("data", new bytes[](0)));
        assertEq(account.getValidationData(mockEntity()).flags, USER_OP);
    }

    /// @dev The module named by the caller is called.
    function test_uninstall_doesNotCompareTheModule() public {
        install(USER_OP, selectors(EXECUTE));
        vm.recordLogs();
        callAsOwner(uninstallCall(entity(address(other), ENTITY), "data"));
        assertCall(recordedModuleCalls()[0], other, abi.encodeCall(IModule.onUninstall, ("data")));
        assertEq(account.getValidationData(mockEntity()).flags, 0);
    }
}

contract InstallationOnSemiModularAccountTest is InstallationTest {
    function test_account_isInitializedOnce() public override {
        // Never possible: the fallback signer is an argument of the proxy.
        bytes4 selector = IInitializable.initializeWithValidation.selector;
        vm.expectRevert(abi.encodeWithSelector(IAccountV08.UnrecognizedFunction.selector, selector));
        IInitializable(address(account))
            .initializeWithValidation(validation(address(mock), 1, 7), none(), "", new bytes[](0));
    }
}
