// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Uninstalling plugins.
contract UninstallTest is AccountTest {
    bytes4 private constant ON_UNINSTALL = IPlugin.onUninstall.selector;

    function test_uninstallPlugin_revertsIfNotInstalled() public {
        address[3] memory targets = [address(plugin), address(0), address(1)];
        for (uint256 i = 0; i < targets.length; ++i) {
            reverts(
                owner.addr,
                uninstallCall(targets[i]),
                revertData(IModularAccount.PluginNotInstalled.selector, targets[i])
            );
        }
    }

    function test_uninstallPlugin_revertsIfUninstalledAlready() public {
        install(plugin, fooManifest());
        uninstall(address(plugin));
        reverts(
            owner.addr,
            uninstallCall(address(plugin)),
            revertData(IModularAccount.PluginNotInstalled.selector, address(plugin))
        );
    }

    /// @dev Whether the plugin is installed comes first; force excuses no config that cannot be decoded.
    function test_uninstallPlugin_revertsOnAMalformedConfig() public {
        bytes[2] memory malformed = [bytes(hex"01"), uninstallConfig(hex"01", true, 0)];
        for (uint256 i = 0; i < malformed.length; ++i) {
            reverts(
                owner.addr,
                uninstallCall(address(plugin), malformed[i]),
                revertData(IModularAccount.PluginNotInstalled.selector, address(plugin))
            );
        }
        install(plugin, fooManifest());
        for (uint256 i = 0; i < malformed.length; ++i) {
            reverts(owner.addr, uninstallCall(address(plugin), malformed[i]), "");
        }
    }

    /// @dev With the manifest in the config, the plugin is asked neither for it nor for its interface.
    function test_uninstallPlugin_needsOnlyThePluginsManifest() public {
        install(plugin, fooManifest());
        plugin.setRevert(IPlugin.pluginManifest.selector, 0, "no manifest");
        plugin.setNoPlugin(true);
        reverts(owner.addr, uninstallCall(address(plugin)), "no manifest");
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig(abi.encode(fooManifest()), false, 0)));
        assertEq(account.getInstalledPlugins().length, 1);
    }

    /// @dev The plugin's manifest has changed: the old one, given in the config, drives the removal.
    function test_uninstallPlugin_takesTheManifestOfTheInstallation() public {
        install(plugin, fooManifest());
        PluginManifest memory changed;
        changed.executionFunctions = add(changed.executionFunctions, BAR);
        plugin.setManifest(changed);
        bytes memory expected = revertData(IModularAccount.InvalidPluginManifest.selector);
        reverts(owner.addr, uninstallCall(address(plugin)), expected);
        reverts(owner.addr, uninstallCall(address(plugin), uninstallConfig("", false, 0)), expected);
        reverts(owner.addr, uninstallCall(address(plugin), uninstallConfig(abi.encode(changed), true, 0)), expected);
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig(abi.encode(fooManifest()), false, 0)));
        assertEq(account.getExecutionFunctionConfig(FOO).plugin, address(0));
        assertEq(account.getExecutionFunctionConfig(FOO).runtimeValidationFunction, bytes21(0));
        assertEq(account.getExecutionFunctionConfig(FOO).userOpValidationFunction, bytes21(0));
    }

    /// @dev Checked after the manifest, which a forced uninstall needs too.
    function test_uninstallPlugin_revertsWhileDependedOn() public {
        PluginManifest memory manifest;
        manifest.dependencyInterfaceIds = new bytes4[](1);
        manifest.dependencyInterfaceIds[0] = type(IPlugin).interfaceId;
        install(plugin, fooManifest());
        install(plugin2, manifest, refs(ref(address(plugin), 1)));
        bytes memory expected = revertData(IModularAccount.PluginDependencyViolation.selector, address(plugin));
        reverts(owner.addr, uninstallCall(address(plugin)), expected);
        reverts(owner.addr, uninstallCall(address(plugin), uninstallConfig("", true, 0)), expected);
        reverts(
            owner.addr,
            uninstallCall(address(plugin), uninstallConfig(abi.encode(manifest), true, 0)),
            revertData(IModularAccount.InvalidPluginManifest.selector)
        );
        uninstall(address(plugin2));
        uninstall(address(plugin));
    }

    function test_uninstallPlugin_removesEverything() public {
        PluginManifest memory manifest = fooManifest();
        manifest.interfaceIds = add(manifest.interfaceIds, 0x11223344);
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        manifest.permitAnyExternalAddress = true;
        manifest.canSpendNativeToken = true;
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(3));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(4));
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(5), selfFunction(6));
        manifest.executionHooks = add(manifest.executionHooks, FOO, noFunction(), selfFunction(7));
        install(plugin, manifest);
        plugin.doCall(address(account), 0, abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall())));
        uninstall(address(plugin));

        IAccountLoupe.ExecutionFunctionConfig memory config = account.getExecutionFunctionConfig(FOO);
        assertEq(config.plugin, address(0));
        assertEq(config.userOpValidationFunction, bytes21(0));
        assertEq(config.runtimeValidationFunction, bytes21(0));
        assertEq(account.getExecutionHooks(FOO).length, 0);
        (bytes21[] memory preUserOp, bytes21[] memory preRuntime) = account.getPreValidationHooks(FOO);
        assertEq(preUserOp.length + preRuntime.length, 0);
        assertFalse(account.supportsInterface(0x11223344));
        assertEq(account.getInstalledPlugins().length, 1);
        reverts(owner.addr, fooCall(), revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, FOO));
        vm.expectRevert(abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, plugin, FOO));
        plugin.doCall(address(account), 0, abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall())));
        vm.expectRevert(
            abi.encodeWithSelector(IModularAccount.ExecFromPluginExternalNotPermitted.selector, plugin, counter, 1, "")
        );
        plugin.doCall(
            address(account), 0, abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(counter), 1, ""))
        );
    }

    /// @dev Two plugins add the same hook; it stays until both are gone.
    function test_uninstallPlugin_keepsAHookUntilItsLastCopyIsGone() public {
        PluginManifest memory manifest;
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        manifest.executionHooks = add(manifest.executionHooks, BAR, denyFunction(), noFunction());
        install(plugin, manifest);
        install(plugin2, manifest);
        uninstall(address(plugin));
        (, bytes21[] memory preRuntime) = account.getPreValidationHooks(FOO);
        assertReferences(preRuntime, refs(ALWAYS_DENY));
        assertEq(account.getExecutionHooks(BAR)[0].preExecHook, ALWAYS_DENY);
        uninstall(address(plugin2));
        (, preRuntime) = account.getPreValidationHooks(FOO);
        assertEq(preRuntime.length, 0);
        assertEq(account.getExecutionHooks(BAR).length, 0);
    }

    /// @dev A plugin's execution function stays when the plugin that added its validation function goes, and vice versa,
    /// also if all are of one plugin.
    function test_uninstallPlugin_keepsOtherRolesOfASelector() public {
        bytes4 id = type(IPlugin).interfaceId;
        PluginManifest memory executor;
        executor.executionFunctions = add(executor.executionFunctions, FOO);
        PluginManifest memory validator;
        validator.dependencyInterfaceIds = add(add(validator.dependencyInterfaceIds, id), id);
        validator.userOpValidationFunctions = add(validator.userOpValidationFunctions, FOO, dependencyFunction(0));
        PluginManifest memory runtime;
        runtime.dependencyInterfaceIds = add(runtime.dependencyInterfaceIds, id);
        runtime.runtimeValidationFunctions = add(runtime.runtimeValidationFunctions, FOO, dependencyFunction(0));
        MockPlugin plugin3 = new MockPlugin();

        install(plugin, executor);
        bytes21[] memory two = new bytes21[](2);
        two[0] = ref(address(plugin), 5);
        two[1] = ref(address(ownerPlugin), 1);
        install(plugin2, validator, two);
        install(plugin3, runtime, refs(ref(address(ownerPlugin), 0)));
        _assertConfig(address(plugin), two[0], ref(address(ownerPlugin), 0));
        uninstall(address(plugin2));
        _assertConfig(address(plugin), 0, ref(address(ownerPlugin), 0));
        (two[0], two[1]) = (two[1], two[0]);
        install(plugin2, validator, two);
        _assertConfig(address(plugin), two[0], ref(address(ownerPlugin), 0));
        uninstall(address(plugin3));
        _assertConfig(address(plugin), two[0], 0);
        uninstall(address(plugin2));
        uninstall(address(plugin));
        _assertConfig(address(0), 0, 0);
    }

    /// @dev A plugin has the permissions of its installation, not those of its current manifest or an earlier
    /// installation.
    function test_uninstallPlugin_revokesThePermissionsOfTheInstallation() public {
        bytes memory ofTheAccount = abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall()));
        bytes memory ofTheCounter = abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(counter), 0, ""));
        PluginManifest memory manifest = permittedFooManifest();
        manifest.permittedExternalCalls = add(manifest.permittedExternalCalls, address(counter), true, new bytes4[](0));
        install(plugin, manifest);
        plugin.setManifest(emptyManifest());
        succeeds(address(plugin), ofTheAccount);
        succeeds(address(plugin), ofTheCounter);
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig(abi.encode(manifest), false, 0)));

        // Another plugin provides the function again.
        install(plugin2, fooManifest());
        install(plugin, emptyManifest());
        reverts(
            address(plugin),
            ofTheAccount,
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, plugin, FOO)
        );
        reverts(
            address(plugin),
            ofTheCounter,
            abi.encodeWithSelector(IModularAccount.ExecFromPluginExternalNotPermitted.selector, plugin, counter, 0, "")
        );
    }

    function _assertConfig(address executor, bytes21 userOp, bytes21 runtime) private view {
        IAccountLoupe.ExecutionFunctionConfig memory config = account.getExecutionFunctionConfig(FOO);
        assertEq(config.plugin, executor);
        assertEq(config.userOpValidationFunction, userOp);
        assertEq(config.runtimeValidationFunction, runtime);
    }

    function test_onUninstall_getsItsData() public {
        install(plugin, fooManifest());
        vm.expectCall(address(plugin), abi.encodeCall(IPlugin.onUninstall, (abi.encode("bye"))), 1);
        vm.prank(owner.addr);
        account.uninstallPlugin(address(plugin), "", abi.encode("bye"));
    }

    /// @dev The plugin's functions are gone when `onUninstall` runs.
    function test_onUninstall_runsLast() public {
        install(plugin, fooManifest());
        plugin.setReenter(ON_UNINSTALL, 0x20, fooCall());
        reverts(
            owner.addr,
            uninstallCall(address(plugin)),
            abi.encodeWithSelector(
                IModularAccount.PluginUninstallCallbackFailed.selector,
                plugin,
                revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, FOO)
            )
        );
    }

    function test_uninstallPlugin_revertsIfOnUninstallReverts() public {
        install(plugin, fooManifest());
        bytes memory reason = abi.encodeWithSignature("Oops(uint256)", 7);
        plugin.setRevert(ON_UNINSTALL, 0x20, reason);
        bytes memory expected =
            abi.encodeWithSelector(IModularAccount.PluginUninstallCallbackFailed.selector, plugin, reason);
        reverts(owner.addr, uninstallCall(address(plugin)), expected);
        reverts(owner.addr, uninstallCall(address(plugin), uninstallConfig("", false, 0)), expected);
        assertEq(account.getExecutionFunctionConfig(FOO).plugin, address(plugin));
    }

    function test_uninstallPlugin_byForce_excusesTheCallback() public {
        install(plugin, fooManifest());
        plugin.setRevert(ON_UNINSTALL, 0x20, "no");
        _expectUninstalled(false);
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig("", true, 0)));
        assertEq(account.getInstalledPlugins().length, 1);
    }

    /// @dev With force as without.
    function test_uninstallPlugin_limitsTheCallbacksGas() public {
        vm.expectCall(address(plugin), 0, 77_777, abi.encodeCall(IPlugin.onUninstall, ("")), 2);
        for (uint256 force = 0; force < 2; ++force) {
            install(plugin, fooManifest());
            _expectUninstalled(true);
            succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig("", force == 1, 77_777)));
        }
    }

    /// @dev Too little gas for the callback fails it; force excuses that too.
    function test_uninstallPlugin_byForce_excusesACallbackOutOfGas() public {
        install(plugin, fooManifest());
        reverts(
            owner.addr,
            uninstallCall(address(plugin), uninstallConfig("", false, 100)),
            abi.encodeWithSelector(IModularAccount.PluginUninstallCallbackFailed.selector, plugin, "")
        );
        _expectUninstalled(false);
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig("", true, 100)));
    }

    /// @dev A plugin cannot prevent a forced uninstall by its return data.
    function test_uninstallPlugin_byForce_survivesAHugeRevertReason() public {
        install(plugin, fooManifest());
        plugin.setRevert(ON_UNINSTALL, 0x20, new bytes(200_000));
        vm.prank(owner.addr);
        (bool success,) =
            address(account).call{gas: 16_000_000}(uninstallCall(address(plugin), uninstallConfig("", true, 0)));
        assertTrue(success);
    }

    function test_uninstallPlugin_mayTakeAwayTheOwnerPlugin() public {
        uninstall(address(ownerPlugin));
        assertEq(account.getInstalledPlugins().length, 0);
        assertEq(ownerPlugin.ownersOf(address(account)).length, 0);
        reverts(
            owner.addr,
            executeCall(address(counter), 0, ""),
            revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, IStandardExecutor.execute.selector)
        );
    }

    function test_uninstallPlugin_emitsPluginUninstalled() public {
        install(plugin, fooManifest());
        vm.expectEmit(address(plugin));
        emit MockPlugin.Called(address(account), ON_UNINSTALL, 0x20, 0, abi.encodeCall(IPlugin.onUninstall, ("")));
        _expectUninstalled(true);
        uninstall(address(plugin));
    }

    /// @dev Force does not change what the event reports about the callback.
    function test_uninstallPlugin_byForce_reportsWhetherTheCallbackSucceeded() public {
        install(plugin, fooManifest());
        _expectUninstalled(true);
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig("", true, 0)));
    }

    /// @param callbackSucceeded The flag in the event of uninstalling `plugin`.
    function _expectUninstalled(bool callbackSucceeded) private {
        vm.expectEmit(address(account));
        emit IPluginManager.PluginUninstalled(address(plugin), callbackSucceeded);
    }
}
