// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Validation of runtime calls.
contract RuntimeValidationTest is AccountTest {
    bytes4 private constant INSTALL = IPluginManager.installPlugin.selector;

    /// @notice A stranger's call, which the owner plugin's validation function must refuse.
    function _ownerPluginRefuses(bytes memory callData) private {
        reverts(
            stranger,
            callData,
            abi.encodeWithSelector(
                IModularAccount.RuntimeValidationFunctionReverted.selector,
                ownerPlugin,
                0,
                revertData(IMultiOwnerPlugin.NotAuthorized.selector)
            )
        );
    }

    /* Authorized callers */

    function test_runtimeValidation_refusesStrangersEverywhere() public {
        bytes[6] memory callDatas = [
            executeCall(address(counter), 0, ""),
            batchCall(increments(1)),
            abi.encodeCall(IPluginManager.installPlugin, (address(plugin), 0, "", new bytes21[](0))),
            uninstallCall(address(ownerPlugin)),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")),
            abi.encodeCall(IMultiOwnerPlugin.updateOwners, (new address[](0), new address[](0)))
        ];
        for (uint256 i = 0; i < callDatas.length; ++i) {
            _ownerPluginRefuses(callDatas[i]);
        }
        reverts(
            stranger,
            abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall())),
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, stranger, FOO)
        );
        reverts(
            stranger,
            abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(counter), 0, "")),
            abi.encodeWithSelector(
                IModularAccount.ExecFromPluginExternalNotPermitted.selector, stranger, counter, 0, ""
            )
        );
    }

    /* Order of validation and look-up */

    function test_runtimeValidation_refusesUnknownSelectors() public {
        bytes memory missing = revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, FOO);
        reverts(owner.addr, fooCall(), missing);
        reverts(stranger, fooCall(), missing);
        reverts(address(ENTRY_POINT), fooCall(), revertData(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    /// @dev Fewer bytes than a selector name nothing, even if they begin an installed one.
    function test_runtimeValidation_refusesShortCallData() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, 0x11223300);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, 0x11223300, allowFunction());
        install(plugin, manifest);
        reverts(
            stranger, hex"112233", revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, 0x11223300)
        );
        reverts(
            address(ENTRY_POINT), hex"112233", revertData(IModularAccount.UnrecognizedFunction.selector, 0x11223300)
        );
        succeeds(stranger, hex"11223300");
    }

    function test_runtimeValidation_comesBeforeTheLookUp() public {
        PluginManifest memory manifest;
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(1));
        install(plugin, manifest);
        reverts(stranger, fooCall(), revertData(IModularAccount.UnrecognizedFunction.selector, FOO));
        plugin.setRevert(RUNTIME, 1, "refused");
        reverts(
            stranger,
            fooCall(),
            revertData(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, "refused")
        );
    }

    /// @dev No execution hook runs before the caller is validated.
    function test_runtimeValidation_comesBeforeExecutionHooks() public {
        bytes[5] memory callDatas = _managementCalls();
        PluginManifest memory hooks;
        for (uint256 i = 0; i < callDatas.length; ++i) {
            hooks.executionHooks = add(hooks.executionHooks, bytes4(callDatas[i]), denyFunction(), noFunction());
        }
        install(plugin, hooks);
        for (uint256 i = 0; i < callDatas.length; ++i) {
            _ownerPluginRefuses(callDatas[i]);
            reverts(owner.addr, callDatas[i], revertData(IModularAccount.AlwaysDenyRule.selector));
        }
    }

    /// @dev The runtime validation of FOO uninstalls the plugin that has FOO.
    function test_executionFunction_isLookedUpAfterValidation() public {
        PluginManifest memory executor;
        executor.executionFunctions = add(executor.executionFunctions, FOO);
        install(plugin, executor);
        PluginManifest memory validator;
        validator.runtimeValidationFunctions = add(validator.runtimeValidationFunctions, FOO, selfFunction(1));
        install(plugin2, validator);
        plugin2.setReenter(RUNTIME, 1, uninstallCall(address(plugin)));
        makeOwner(address(plugin2));
        reverts(stranger, fooCall(), revertData(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    function test_runtimeValidation_isSkippedForTheEntryPoint() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        plugin.setRevert(RUNTIME, 1, "refused");
        install(plugin, manifest);
        vm.recordLogs();
        succeeds(address(ENTRY_POINT), fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 1);
        assertCall(calls[0], plugin, FOO, 5);
    }

    /* Hooks, then the function */

    /// @dev Pre hooks newest first, then the function, then execution; all get caller, value and call data.
    function test_runtimeValidation_runsHooksThenFunction() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(4));
        install(plugin, manifest);
        vm.deal(stranger, 9);
        vm.recordLogs();
        vm.prank(stranger);
        (bool success,) = address(account).call{value: 9}(fooCall());
        assertTrue(success);
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 4);
        assertCall(calls[0], plugin, PRE_RUNTIME, 4);
        assertEq(calls[0].data, hookCall(PRE_RUNTIME, 4, stranger, 9, fooCall()));
        assertCall(calls[1], plugin, PRE_RUNTIME, 3);
        assertCall(calls[2], plugin, RUNTIME, 1);
        assertEq(calls[2].data, hookCall(RUNTIME, 1, stranger, 9, fooCall()));
        assertCall(calls[3], plugin, FOO, 5);
        assertEq(calls[3].data, fooCall());
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(calls[i].value, 0, "plugins are sent no value");
        }
        assertEq(address(account).balance, 100 ether + 9);
    }

    function test_runtimeValidation_wrapsReverts() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        bytes memory reason = hex"0102030405";
        plugin.setRevert(RUNTIME, 1, reason);
        reverts(
            stranger,
            fooCall(),
            revertData(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, reason)
        );
        plugin.setRevert(PRE_RUNTIME, 3, reason);
        reverts(
            stranger, fooCall(), revertData(IModularAccount.PreRuntimeValidationHookFailed.selector, plugin, 3, reason)
        );
    }

    function test_runtimeValidation_alwaysDenyRefusesEveryone() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        install(plugin, manifest);
        reverts(owner.addr, fooCall(), revertData(IModularAccount.AlwaysDenyRule.selector));
    }

    function test_runtimeValidation_alwaysAllowSkipsTheFunctionNotTheHooks() public {
        PluginManifest memory manifest = fooManifest();
        manifest.runtimeValidationFunctions[0].associatedFunction = allowFunction();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        vm.recordLogs();
        succeeds(stranger, fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 2);
        assertCall(calls[0], plugin, PRE_RUNTIME, 3);
        assertCall(calls[1], plugin, FOO, 5);
        plugin.setRevert(PRE_RUNTIME, 3, "");
        reverts(stranger, fooCall(), revertData(IModularAccount.PreRuntimeValidationHookFailed.selector, plugin, 3, ""));
    }

    /// @dev Without the owner plugin, self-calls may still install and upgrade; nothing else.
    function test_runtimeValidation_selfCallsToInstallAndUpgradeNeedNoFunction() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, allowFunction());
        install(plugin, manifest);
        PluginManifest memory second;
        second.executionFunctions = add(second.executionFunctions, BAR);
        plugin2.setManifest(second);
        uninstall(address(ownerPlugin));
        bytes[5] memory callDatas = _managementCalls();
        address[4] memory others = [owner.addr, stranger, address(plugin), address(factory)];
        for (uint256 i = 0; i < callDatas.length; ++i) {
            bytes memory missing =
                revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, bytes4(callDatas[i]));
            for (uint256 j = 0; j < others.length; ++j) {
                reverts(others[j], callDatas[i], missing);
            }
            // The account calls itself: the first two are excepted.
            if (i < 2) succeeds(address(account), callDatas[i]);
            else reverts(address(account), callDatas[i], missing);
        }
    }

    /// @dev The exception applies only without a function: an existing one validates self-calls too, and may refuse
    /// them.
    function test_runtimeValidation_selfCallsObeyTheFunctionThatThereIs() public {
        PluginManifest memory manifest;
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, INSTALL, selfFunction(1));
        manifest.runtimeValidationFunctions =
            add(manifest.runtimeValidationFunctions, IModularAccount.upgradeToAndCall.selector, selfFunction(1));
        uninstall(address(ownerPlugin));
        succeeds(address(account), installCall(plugin, manifest));
        plugin.setRevert(RUNTIME, 1, "refused");
        bytes[5] memory callDatas = _managementCalls();
        for (uint256 i = 0; i < 2; ++i) {
            reverts(
                address(account),
                callDatas[i],
                revertData(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, "refused")
            );
        }
    }

    /// @dev Calls of the account's own functions that need validation; the first two need none from the account itself, if
    /// no plugin provides it.
    function _managementCalls() private view returns (bytes[5] memory) {
        return [
            installCall(address(plugin2)),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")),
            executeCall(address(counter), 0, ""),
            batchCall(increments(1)),
            uninstallCall(address(plugin2))
        ];
    }

    /// @dev The hooks of the two functions run in the exception too.
    function test_runtimeValidation_selfCallsRunHooks() public {
        PluginManifest memory manifest;
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, INSTALL, denyFunction());
        install(plugin, manifest);
        reverts(
            address(account),
            abi.encodeCall(IPluginManager.installPlugin, (address(plugin2), 0, "", new bytes21[](0))),
            revertData(IModularAccount.AlwaysDenyRule.selector)
        );
    }
}
