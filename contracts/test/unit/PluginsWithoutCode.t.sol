// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice A plugin whose code is gone fails on every path. A call to an address without code succeeds and returns
/// nothing, which must not count as an answer.
contract PluginsWithoutCodeTest is AccountTest {
    function test_pluginWithoutCode_executionFails() public {
        PluginManifest memory manifest = permittedFooManifest();
        manifest.runtimeValidationFunctions[0].associatedFunction = allowFunction();
        install(plugin, manifest);
        vm.etch(address(plugin), "");
        bytes memory expected = revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin));
        reverts(stranger, fooCall(), expected);
        reverts(address(ENTRY_POINT), fooCall(), expected);
        reverts(address(plugin), abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall())), expected);
    }

    function test_pluginWithoutCode_runtimeValidationAndItsHooksFail() public {
        install(plugin, fooManifest());
        vm.etch(address(plugin), "");
        reverts(
            stranger, fooCall(), revertData(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, "")
        );
        PluginManifest memory hooks;
        hooks.preRuntimeValidationHooks = add(hooks.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin2, hooks);
        vm.etch(address(plugin2), "");
        reverts(
            stranger, fooCall(), revertData(IModularAccount.PreRuntimeValidationHookFailed.selector, plugin2, 3, "")
        );
    }

    function test_pluginWithoutCode_executionHooksFail() public {
        PluginManifest memory pre;
        pre.executionHooks = add(pre.executionHooks, IStandardExecutor.execute.selector, selfFunction(1), noFunction());
        PluginManifest memory post;
        post.executionHooks =
            add(post.executionHooks, IStandardExecutor.executeBatch.selector, noFunction(), selfFunction(2));
        install(plugin, pre);
        install(plugin2, post);
        vm.etch(address(plugin), "");
        vm.etch(address(plugin2), "");
        reverts(
            owner.addr,
            executeCall(address(counter), 0, ""),
            revertData(IModularAccount.PreExecHookReverted.selector, plugin, 1, "")
        );
        reverts(
            owner.addr,
            batchCall(increments(1)),
            revertData(IModularAccount.PostExecHookReverted.selector, plugin2, 2, "")
        );
        assertEq(counter.count(), 0);
    }

    function test_pluginWithoutCode_userOpValidationFails() public {
        install(plugin, fooManifest());
        vm.etch(address(plugin), "");
        reverts(
            address(ENTRY_POINT),
            validateCall(buildUserOp(fooCall()), 0, 0),
            revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin))
        );
    }

    function test_pluginWithoutCode_userOpValidationHookFails() public {
        PluginManifest memory manifest;
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(3));
        install(plugin, fooManifest());
        install(plugin2, manifest);
        vm.etch(address(plugin2), "");
        reverts(
            address(ENTRY_POINT),
            validateCall(buildUserOp(fooCall()), 0, 0),
            revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin2))
        );
    }

    /// @dev A plugin whose code is gone cannot be asked for its manifest, and its callback fails; it can be removed by force.
    function test_pluginWithoutCode_uninstallTakesForceAndTheManifest() public {
        install(plugin, fooManifest());
        vm.etch(address(plugin), "");
        reverts(
            owner.addr,
            uninstallCall(address(plugin), uninstallConfig("", true, 0)),
            revertData(IModularAccount.InvalidPluginManifest.selector)
        );
        reverts(
            owner.addr,
            uninstallCall(address(plugin), uninstallConfig(abi.encode(fooManifest()), false, 0)),
            abi.encodeWithSelector(IModularAccount.PluginUninstallCallbackFailed.selector, plugin, "")
        );
        vm.expectEmit(address(account));
        emit IPluginManager.PluginUninstalled(address(plugin), false);
        succeeds(owner.addr, uninstallCall(address(plugin), uninstallConfig(abi.encode(fooManifest()), true, 0)));
        assertEq(account.getInstalledPlugins().length, 1);
    }

    /// @dev Less than a word is not an answer.
    function test_userOpValidation_shortAnswerFails() public {
        install(plugin, fooManifest());
        plugin.setReturn(USER_OP, 2, new bytes(31));
        reverts(
            address(ENTRY_POINT),
            validateCall(buildUserOp(fooCall()), 0, 0),
            revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin))
        );
    }
}
