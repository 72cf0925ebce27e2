// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Phases: hooks and functions may install, uninstall and execute. Each phase (user operation validation,
/// runtime validation, execution) runs the functions that existed when it began; the next phase sees the changes.
contract PhaseSnapshotsTest is AccountTest {
    /* User operation validation */

    /// @dev The first hook uninstalls its plugin, which has the other hook and the function as well, and installs another one
    /// that forbids everything: validation goes on as it began.
    function test_userOpValidation_isASnapshot() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(3));
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(4));
        install(plugin, manifest);
        PluginManifest memory deny;
        deny.preUserOpValidationHooks = add(deny.preUserOpValidationHooks, FOO, denyFunction());
        plugin2.setManifest(deny);
        plugin2.setSilent(IPlugin.onInstall.selector, 0x20);
        plugin.setSilent(IPlugin.onUninstall.selector, 0x20);
        Call[] memory calls = new Call[](2);
        calls[0] = Call(address(account), 0, uninstallCall(address(plugin)));
        calls[1] = Call(address(account), 0, installCall(address(plugin2)));
        plugin.setReenter(PRE_USER_OP, 4, batchCall(calls));
        makeOwner(address(plugin));

        vm.recordLogs();
        assertEq(validate(buildUserOp(fooCall())), 0);
        MockCall[] memory mocked = mockCalls();
        assertEq(mocked.length, 3);
        assertCall(mocked[0], plugin, PRE_USER_OP, 4);
        assertCall(mocked[1], plugin, PRE_USER_OP, 3);
        assertCall(mocked[2], plugin, USER_OP, 2);
        assertEq(account.getInstalledPlugins()[0], address(plugin2));
        assertEq(account.getInstalledPlugins().length, 2);
    }

    /// @dev What validation installs takes effect in the execution of the same operation.
    function test_execution_runsWhatUserOpValidationInstalled() public {
        install(plugin, fooManifest());
        PluginManifest memory hooks;
        hooks.executionHooks = add(hooks.executionHooks, FOO, selfFunction(1), selfFunction(2));
        plugin2.setManifest(hooks);
        plugin.setReenter(USER_OP, 2, installCall(address(plugin2)));
        makeOwner(address(plugin));
        vm.expectCall(address(plugin2), hookCall(PRE_EXEC, 1, address(ENTRY_POINT), 0, fooCall()), 1);
        (bool success,) = send(buildUserOp(fooCall()));
        assertTrue(success);
    }

    /// @dev What validation uninstalls is gone in the execution of the same operation.
    function test_execution_doesNotRunWhatUserOpValidationUninstalled() public {
        install(plugin, fooManifest());
        makeOwner(address(plugin));
        plugin.setReenter(USER_OP, 2, uninstallCall(address(plugin)));
        (bool success, bytes memory reason) = send(buildUserOp(fooCall()));
        assertFalse(success);
        assertEq(reason, revertData(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    /* Runtime validation */

    /// @dev The first pre-runtime hook uninstalls its own plugin: its other hook and its validation function still run, and
    /// its pre-execution hooks, which belong to the next phase, do not.
    function test_runtimeValidation_isASnapshot() public {
        install(plugin, _onlyExecution());
        PluginManifest memory manifest;
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(1));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(4));
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(5), selfFunction(6));
        install(plugin2, manifest);
        makeOwner(address(plugin2));
        plugin2.setReenter(PRE_RUNTIME, 4, uninstallCall(address(plugin2)));
        plugin2.setSilent(IPlugin.onUninstall.selector, 0x20);

        vm.recordLogs();
        succeeds(stranger, fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 4);
        assertCall(calls[0], plugin2, PRE_RUNTIME, 4);
        assertCall(calls[1], plugin2, PRE_RUNTIME, 3);
        assertCall(calls[2], plugin2, RUNTIME, 1);
        assertCall(calls[3], plugin, FOO, 5);
        assertEq(account.getInstalledPlugins().length, 2);
    }

    /// @dev A pre-runtime hook installs a plugin with a hook of each phase: only the one of the next phase runs.
    function test_execution_runsWhatRuntimeValidationAdded() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        PluginManifest memory added;
        added.preRuntimeValidationHooks = add(added.preRuntimeValidationHooks, FOO, denyFunction());
        added.executionHooks = add(added.executionHooks, FOO, selfFunction(1), selfFunction(2));
        plugin.setReenter(PRE_RUNTIME, 3, installCall(plugin2, added));
        plugin2.setSilent(IPlugin.onInstall.selector, 0x20);
        makeOwner(address(plugin));

        vm.recordLogs();
        succeeds(stranger, fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 5);
        assertCall(calls[0], plugin, PRE_RUNTIME, 3);
        assertCall(calls[1], plugin, RUNTIME, 1);
        assertCall(calls[2], plugin2, PRE_EXEC, 1);
        assertCall(calls[3], plugin, FOO, 5);
        assertCall(calls[4], plugin2, POST_EXEC, 2);
    }

    /// @dev The validation function is added while the hooks run: too late.
    function test_runtimeValidation_addedByAHookIsTooLate() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        PluginManifest memory added;
        added.runtimeValidationFunctions = add(added.runtimeValidationFunctions, FOO, allowFunction());
        plugin.setReenter(PRE_RUNTIME, 3, installCall(plugin2, added));
        makeOwner(address(plugin));
        reverts(stranger, fooCall(), revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, FOO));
    }

    /* Execution */

    function test_execution_isASnapshot() public {
        _executionIsASnapshot(FOO, address(ENTRY_POINT), fooCall());
        reverts(address(ENTRY_POINT), fooCall(), revertData(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    function test_executeFromPlugin_isASnapshot() public {
        _executionIsASnapshot(FOO, address(plugin), abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall())));
    }

    function test_execution_ofNativeFunctionsIsASnapshot() public {
        bytes[4] memory callDatas = [
            executeCall(address(counter), 0, ""),
            abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(counter), 0, "")),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")),
            abi.encodeCall(IModularAccount.onERC721Received, (stranger, stranger, 1, ""))
        ];
        for (uint256 i = 0; i < callDatas.length; ++i) {
            uint256 state = vm.snapshotState();
            bytes4 selector = bytes4(callDatas[i]);
            bool byPlugin = selector == IPluginExecutor.executeFromPluginExternal.selector;
            _executionIsASnapshot(selector, byPlugin ? address(plugin) : address(ENTRY_POINT), callDatas[i]);
            vm.revertToState(state);
        }
    }

    /// @dev The first pre-execution hook uninstalls the executing (or calling) plugin and the hooks' plugin, and
    /// installs another hook: the existing functions run, the new ones do not.
    /// @param selector The selector of the function with the hooks.
    /// @param callData The call that runs them.
    function _executionIsASnapshot(bytes4 selector, address caller, bytes memory callData) private {
        PluginManifest memory executor = permittedFooManifest();
        executor.permitAnyExternalAddress = true;
        PluginManifest memory manifest;
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(1), selfFunction(2));
        manifest.executionHooks = add(manifest.executionHooks, selector, noFunction(), selfFunction(3));
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(4), noFunction());
        install(plugin, executor);
        install(plugin2, manifest);
        MockPlugin plugin3 = new MockPlugin();
        PluginManifest memory added;
        added.executionHooks = add(added.executionHooks, selector, denyFunction(), noFunction());
        added.executionHooks = add(added.executionHooks, selector, noFunction(), selfFunction(9));
        Call[] memory selfCalls = new Call[](3);
        selfCalls[0] = Call(address(account), 0, uninstallCall(address(plugin)));
        selfCalls[1] = Call(address(account), 0, uninstallCall(address(plugin2)));
        selfCalls[2] = Call(address(account), 0, installCall(plugin3, added));
        plugin2.setReenter(PRE_EXEC, 4, batchCall(selfCalls));
        plugin.setSilent(IPlugin.onUninstall.selector, 0x20);
        plugin2.setSilent(IPlugin.onUninstall.selector, 0x20);
        plugin3.setSilent(IPlugin.onInstall.selector, 0x20);
        makeOwner(address(plugin2));

        vm.recordLogs();
        succeeds(caller, callData);
        MockCall[] memory calls = mockCalls();
        uint256 next;
        assertCall(calls[next++], plugin2, PRE_EXEC, 4);
        assertCall(calls[next++], plugin2, PRE_EXEC, 1);
        if (selector == FOO) assertCall(calls[next++], plugin, FOO, 5);
        assertCall(calls[next++], plugin2, POST_EXEC, 3);
        assertCall(calls[next++], plugin2, POST_EXEC, 2);
        assertEq(calls.length, next);
    }

    function test_execution_mayReenter() public {
        install(plugin, fooManifest());
        makeOwner(address(plugin));
        plugin.setReenter(FOO, 5, executeCall(address(counter), 0, abi.encodeCall(Counter.increment, ())));
        succeeds(stranger, fooCall());
        assertEq(counter.count(), 1);
    }

    /// @dev The functions that manage the account obey validation hooks like all others, in operations and runtime calls.
    function test_managementFunctions_obeyValidationHooks() public {
        plugin.setManifest(fooManifest());
        bytes[3] memory callDatas = [
            installCall(plugin, fooManifest()),
            uninstallCall(address(plugin)),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, ""))
        ];
        bytes memory denied = revertData(IModularAccount.AlwaysDenyRule.selector);
        for (uint256 i = 0; i < callDatas.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            if (i == 1) install(plugin, fooManifest());
            PluginManifest memory manifest;
            bytes4 selector = bytes4(callDatas[i]);
            manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, selector, denyFunction());
            manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, selector, denyFunction());
            install(plugin2, manifest);
            reverts(owner.addr, callDatas[i], denied);
            reverts(address(account), callDatas[i], denied);
            reverts(address(ENTRY_POINT), validateCall(ownerOp(callDatas[i]), 0, 0), denied);
            vm.revertToState(snapshot);
        }
    }

    function _onlyExecution() private pure returns (PluginManifest memory manifest) {
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
    }
}
