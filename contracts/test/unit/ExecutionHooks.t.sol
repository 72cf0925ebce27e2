// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice The hooks before and after execution, and their order.
contract ExecutionHooksTest is AccountTest {
    bytes4 private constant INSTALL = IPluginManager.installPlugin.selector;

    /// @dev Three pre hooks, one twice; post hooks shared and unpaired. Loupe order, newest first: [3,none], [2,13],
    /// [2,12], [1,12], [1,11]; then post-only 14, 11.
    function _hookedManifest(bytes4 selector) private pure returns (PluginManifest memory manifest) {
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(1), selfFunction(11));
        manifest.executionHooks = add(manifest.executionHooks, selector, noFunction(), selfFunction(11));
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(2), selfFunction(12));
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(2), selfFunction(13));
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(1), selfFunction(12));
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(1), selfFunction(11));
        manifest.executionHooks = add(manifest.executionHooks, selector, noFunction(), selfFunction(14));
        manifest.executionHooks = add(manifest.executionHooks, selector, selfFunction(3), noFunction());
    }

    function _assertHookedCalls(MockCall[] memory calls, address sender, uint256 value, bytes memory data, bool target)
        private
        view
    {
        uint8[3] memory pre = [3, 2, 1];
        for (uint256 i = 0; i < 3; ++i) {
            assertCall(calls[i], plugin2, PRE_EXEC, pre[i]);
            assertEq(calls[i].data, hookCall(PRE_EXEC, pre[i], sender, value, data));
        }
        uint256 start = 3;
        if (target) {
            assertCall(calls[start], plugin, FOO, 5);
            assertEq(calls[start++].data, data);
        }
        uint8[6] memory post = [14, 11, 11, 12, 12, 13];
        uint8[6] memory pairedWith = [0, 0, 1, 1, 2, 2];
        for (uint256 i = 0; i < 6; ++i) {
            assertCall(calls[start + i], plugin2, POST_EXEC, post[i]);
            bytes memory hookData = pairedWith[i] == 0 ? bytes("") : abi.encode(address(plugin2), pairedWith[i]);
            assertEq(calls[start + i].data, abi.encodeWithSelector(POST_EXEC, post[i], hookData));
        }
        assertEq(calls.length, start + 6);
    }

    function test_executionHooks_ofAPluginsFunctionRun() public {
        install(plugin, fooManifest());
        install(plugin2, _hookedManifest(FOO));
        vm.deal(address(ENTRY_POINT), 1 ether);
        vm.recordLogs();
        vm.prank(address(ENTRY_POINT));
        (bool success,) = address(account).call{value: 3}(fooCall());
        assertTrue(success);
        _assertHookedCalls(mockCalls(), address(ENTRY_POINT), 3, fooCall(), true);
    }

    function test_executionHooks_ofNativeFunctionsRun() public {
        bytes[4] memory callDatas = [
            executeCall(address(counter), 1, ""),
            batchCall(increments(1)),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")),
            uninstallCall(address(plugin))
        ];
        install(plugin, fooManifest());
        plugin.setSilent(IPlugin.onUninstall.selector, 0x20);
        for (uint256 i = 0; i < callDatas.length; ++i) {
            install(plugin2, _hookedManifest(bytes4(callDatas[i])));
            vm.recordLogs();
            succeeds(address(ENTRY_POINT), callDatas[i]);
            _assertHookedCalls(mockCalls(), address(ENTRY_POINT), 0, callDatas[i], false);
            uninstall(address(plugin2));
        }
    }

    function test_executionHooks_ofInstallPluginRun() public {
        install(plugin2, _hookedManifest(INSTALL));
        plugin.setManifest(fooManifest());
        plugin.setSilent(IPlugin.onInstall.selector, 0x20);
        bytes memory callData = installCall(address(plugin));
        vm.recordLogs();
        succeeds(address(ENTRY_POINT), callData);
        _assertHookedCalls(mockCalls(), address(ENTRY_POINT), 0, callData, false);
    }

    function test_executionHooks_ofTheInnerSelectorRun() public {
        install(plugin, permittedFooManifest());
        install(plugin2, _hookedManifest(FOO));
        vm.deal(address(plugin), 6);
        vm.recordLogs();
        vm.prank(address(plugin));
        account.executeFromPlugin{value: 6}(fooCall());
        _assertHookedCalls(mockCalls(), address(plugin), 6, fooCall(), true);
    }

    /// @dev The hooks of `executeFromPlugin`'s own selector do not run.
    function test_executionHooks_ofExecuteFromPluginDoNotRun() public {
        install(plugin, permittedFooManifest());
        PluginManifest memory deny;
        deny.executionHooks =
            add(deny.executionHooks, IPluginExecutor.executeFromPlugin.selector, denyFunction(), noFunction());
        install(plugin2, deny);
        vm.prank(address(plugin));
        account.executeFromPlugin(fooCall());
    }

    function test_executionHooks_ofExecuteFromPluginExternalRun() public {
        bytes memory callData = abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(counter), 0, ""));
        install(plugin, anyAddressManifest());
        install(plugin2, _hookedManifest(IPluginExecutor.executeFromPluginExternal.selector));
        // Installed after the hooks.
        MockPlugin plugin3 = new MockPlugin();
        install(plugin3, anyAddressManifest());
        address[2] memory callers = [address(plugin), address(plugin3)];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.recordLogs();
            succeeds(callers[i], callData);
            _assertHookedCalls(mockCalls(), callers[i], 0, callData, false);
        }
        uninstall(address(plugin2));
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.recordLogs();
            succeeds(callers[i], callData);
            assertEq(mockCalls().length, 0);
        }
    }

    /// @dev Any hooks of two plugins: the order in the loupe determines what runs, and when.
    function testFuzz_executionHooks_runInTheLoupesOrder(uint256 seed) public {
        MockPlugin executor = new MockPlugin();
        install(executor, fooManifest());
        MockPlugin[2] memory mocks = [plugin, plugin2];
        for (uint256 i = 0; i < 2; ++i) {
            PluginManifest memory manifest;
            for (uint256 j = seed % 8; j != 0; --j) {
                seed = uint256(keccak256(abi.encode(seed)));
                uint8 pre = uint8(seed % 4);
                uint8 post = uint8(seed / 4 % 4);
                if (pre == 0 && post == 0) continue;
                manifest.executionHooks = add(
                    manifest.executionHooks,
                    FOO,
                    pre == 0 ? noFunction() : selfFunction(pre),
                    post == 0 ? noFunction() : selfFunction(10 + post)
                );
            }
            install(mocks[i], manifest);
        }
        IAccountLoupe.ExecutionHooks[] memory hooks = account.getExecutionHooks(FOO);
        vm.recordLogs();
        succeeds(address(ENTRY_POINT), fooCall());
        MockCall[] memory calls = mockCalls();

        uint256 next;
        for (uint256 i = 0; i < hooks.length; ++i) {
            if (hooks[i].preExecHook == 0 || (i != 0 && hooks[i].preExecHook == hooks[i - 1].preExecHook)) continue;
            _assertHookCall(calls[next++], PRE_EXEC, hooks[i].preExecHook);
        }
        assertCall(calls[next++], executor, FOO, 5);
        for (uint256 i = 0; i < hooks.length; ++i) {
            if (hooks[i].preExecHook != 0) continue;
            assertEq(calls[next].data, abi.encodeWithSelector(POST_EXEC, uint8(hooks[i].postExecHook[20]), bytes("")));
            _assertHookCall(calls[next++], POST_EXEC, hooks[i].postExecHook);
        }
        for (uint256 i = hooks.length; i != 0; --i) {
            bytes21 pre = hooks[i - 1].preExecHook;
            if (pre == 0 || hooks[i - 1].postExecHook == 0) continue;
            bytes memory hookData = abi.encode(address(bytes20(pre)), uint8(pre[20]));
            assertEq(
                calls[next].data, abi.encodeWithSelector(POST_EXEC, uint8(hooks[i - 1].postExecHook[20]), hookData)
            );
            _assertHookCall(calls[next++], POST_EXEC, hooks[i - 1].postExecHook);
        }
        assertEq(calls.length, next);
    }

    function _assertHookCall(MockCall memory made, bytes4 selector, bytes21 hook) private pure {
        assertEq(made.selector, selector);
        assertEq(ref(made.plugin, made.functionId), hook);
    }

    function test_executionHooks_wrapReverts() public {
        install(plugin, fooManifest());
        install(plugin2, _hookedManifest(FOO));
        plugin2.setRevert(POST_EXEC, 12, "post");
        reverts(stranger, fooCall(), revertData(IModularAccount.PostExecHookReverted.selector, plugin2, 12, "post"));
        plugin2.setRevert(PRE_EXEC, 2, "pre");
        reverts(stranger, fooCall(), revertData(IModularAccount.PreExecHookReverted.selector, plugin2, 2, "pre"));
    }

    function test_executionHooks_alwaysDenyRefusesEveryone() public {
        install(plugin, fooManifest());
        PluginManifest memory manifest;
        manifest.executionHooks = add(manifest.executionHooks, FOO, denyFunction(), selfFunction(1));
        install(plugin2, manifest);
        reverts(stranger, fooCall(), revertData(IModularAccount.AlwaysDenyRule.selector));
        reverts(address(ENTRY_POINT), fooCall(), revertData(IModularAccount.AlwaysDenyRule.selector));
    }
}
