// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {Counter} from "../mocks/Counter.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Rules 3 to 5 and 25 to 29: calls, runtime validation and execution hooks.
contract ExecutionTest is AccountTest {
    bytes4 private constant EXECUTE = IModularAccount.execute.selector;
    bytes4 private constant EXECUTE_BATCH = IModularAccount.executeBatch.selector;
    bytes4 private constant INSTALL = IModularAccount.installPlugin.selector;

    function _calls(address target, uint256 count) private pure returns (IModularAccount.Call[] memory calls) {
        calls = new IModularAccount.Call[](count);
        for (uint256 i = 0; i < count; ++i) {
            calls[i] = IModularAccount.Call(target, 0, abi.encodeCall(Counter.increment, ()));
        }
    }

    function _wrapped(bytes4 errorSelector, MockPlugin mock, uint8 functionId, bytes memory reason)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(errorSelector, mock, functionId, reason);
    }

    /* 3: plugins are no targets */

    function test_item03_executeDeniesPlugins() public {
        install(plugin, fooManifest());
        // Installed; not installed; the owner plugin; installed, but it has stopped to answer as a plugin.
        plugin.setNoPlugin(true);
        address[3] memory targets = [address(plugin), address(plugin2), address(ownerPlugin)];
        for (uint256 i = 0; i < targets.length; ++i) {
            bytes memory expected = error1(IModularAccount.PluginCallDenied.selector, targets[i]);
            fail(owner.addr, ownerExecute(targets[i], 0, ""), expected);
            IModularAccount.Call[] memory calls = _calls(address(counter), 2);
            calls[1].target = targets[i];
            fail(owner.addr, abi.encodeCall(IModularAccount.executeBatch, (calls)), expected);
            sendAsOwnerExpectingRevert(ownerExecute(targets[i], 0, ""), expected);
        }
        assertEq(counter.count(), 0);
    }

    /// @dev Whatever the addresses: the filter of installed plugins has no false negatives.
    function testFuzz_item03_installedPluginIsDenied(uint160 target, uint160 other) public {
        vm.assume(target > 0xffff && other > 0xffff && target != other);
        vm.assume(address(target).code.length == 0 && address(other).code.length == 0);
        PluginManifest memory manifest;
        manifest.permitAnyExternalAddress = true;
        vm.etch(address(other), address(plugin).code);
        vm.etch(address(target), address(plugin).code);
        install(MockPlugin(payable(address(other))), manifest);
        install(MockPlugin(payable(address(target))), manifest);
        MockPlugin(payable(address(target))).setNoPlugin(true);
        bytes memory expected = error1(IModularAccount.PluginCallDenied.selector, address(target));
        fail(owner.addr, ownerExecute(address(target), 0, ""), expected);
        bytes memory callData =
            abi.encodeCall(IModularAccount.executeFromPluginExternal, (address(target), 0, ""));
        fail(address(other), callData, expected);
        fail(address(target), callData, expected);
        uninstall(address(other));
        fail(owner.addr, ownerExecute(address(target), 0, ""), expected);
        fail(address(target), callData, expected);
        uninstall(address(target));
        succeed(owner.addr, ownerExecute(address(target), 0, ""));
    }

    function test_item03_executeFromPluginExternalDeniesPlugins() public {
        PluginManifest memory manifest;
        manifest.permitAnyExternalAddress = true;
        install(plugin, manifest);
        plugin.setNoPlugin(true);
        address[3] memory targets = [address(plugin), address(plugin2), address(ownerPlugin)];
        for (uint256 i = 0; i < targets.length; ++i) {
            fail(
                address(plugin),
                abi.encodeCall(IModularAccount.executeFromPluginExternal, (targets[i], 0, "")),
                error1(IModularAccount.PluginCallDenied.selector, targets[i])
            );
        }
    }

    /// @dev A batch installs a plugin that does not answer as one any more, and then calls it.
    function test_item03_pluginInstalledInTheSameBatchIsDenied() public {
        plugin.setManifest(fooManifest());
        IModularAccount.Call[] memory calls = _calls(address(plugin), 2);
        calls[0] = IModularAccount.Call(
            address(account),
            0,
            abi.encodeCall(
                IModularAccount.installPlugin, (address(plugin), manifestHashOf(address(plugin)), "", new bytes21[](0))
            )
        );
        fail(
            owner.addr,
            abi.encodeCall(IModularAccount.executeBatch, (calls)),
            error1(IModularAccount.PluginCallDenied.selector, address(plugin))
        );
    }

    /// @dev A target that says true to everything is no plugin (ERC-165), nor are precompiles and codeless addresses.
    function test_item03_otherTargetsAreAllowed() public {
        plugin.setAnswersEverythingTrue(true);
        address[5] memory targets = [address(plugin), address(2), address(4), stranger, address(ENTRY_POINT)];
        for (uint256 i = 0; i < targets.length; ++i) {
            succeed(
                owner.addr,
                ownerExecute(targets[i], 0, i == 4 ? abi.encodeCall(ENTRY_POINT.depositTo, (stranger)) : bytes(""))
            );
        }
    }

    /// @dev Each self-call is a runtime call whose caller is the account.
    function test_item03_selfCallsAreRuntimeCalls() public {
        vm.expectCall(
            address(ownerPlugin),
            hookCall(RUNTIME, 0, address(account), 0, ownerExecute(address(counter), 0, ""))
        );
        sendAsOwner(ownerExecute(address(account), 0, ownerExecute(address(counter), 0, "")));
        fail(
            owner.addr,
            ownerExecute(address(account), 0, abi.encodeCall(IModularAccount.executeFromPlugin, (fooCall()))),
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, account, FOO)
        );
    }

    function test_item03_ownerMayBeAPlugin() public {
        install(plugin, fooManifest());
        address[] memory added = new address[](1);
        added[0] = address(plugin);
        sendAsOwner(abi.encodeCall(IMultiOwnerPlugin.updateOwners, (added, new address[](0))));
        plugin.doCall(
            address(account), 0, ownerExecute(address(counter), 0, abi.encodeCall(Counter.increment, ()))
        );
        assertEq(counter.count(), 1);
    }

    function test_execute_sendsValueAndReturnsData() public {
        bytes memory answer =
            succeed(owner.addr, ownerExecute(address(counter), 7, abi.encodeCall(Counter.increment, ())));
        assertEq(answer, abi.encode(abi.encode(uint256(1))));
        assertEq(address(counter).balance, 7);
    }

    /* 4 */

    function test_item04_oneFailingCallRevertsTheBatch() public {
        IModularAccount.Call[] memory calls = _calls(address(counter), 3);
        calls[1].data = abi.encodeCall(Counter.refuse, (4));
        fail(
            owner.addr,
            abi.encodeCall(IModularAccount.executeBatch, (calls)),
            abi.encodeWithSelector(Counter.Refused.selector, 4)
        );
        assertEq(counter.count(), 0);
    }

    function test_executeBatch_returnsAllResults() public {
        bytes memory answer =
            succeed(owner.addr, abi.encodeCall(IModularAccount.executeBatch, (_calls(address(counter), 2))));
        bytes[] memory results = abi.decode(answer, (bytes[]));
        assertEq(results.length, 2);
        assertEq(abi.decode(results[1], (uint256)), 2);
        answer = succeed(owner.addr, abi.encodeCall(IModularAccount.executeBatch, (_calls(address(0), 0))));
        assertEq(abi.decode(answer, (bytes[])).length, 0);
    }

    /* 5 and 26: runtime validation */

    function test_item05_strangersAreRefusedEverywhere() public {
        bytes memory reason = error0(IMultiOwnerPlugin.NotAuthorized.selector);
        bytes[6] memory callDatas = [
            ownerExecute(address(counter), 0, ""),
            abi.encodeCall(IModularAccount.executeBatch, (_calls(address(counter), 1))),
            abi.encodeCall(IModularAccount.installPlugin, (address(plugin), 0, "", new bytes21[](0))),
            abi.encodeCall(IModularAccount.uninstallPlugin, (address(ownerPlugin), "", "")),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")),
            abi.encodeCall(IMultiOwnerPlugin.updateOwners, (new address[](0), new address[](0)))
        ];
        for (uint256 i = 0; i < callDatas.length; ++i) {
            fail(
                stranger,
                callDatas[i],
                abi.encodeWithSelector(
                    IModularAccount.RuntimeValidationFunctionReverted.selector, ownerPlugin, 0, reason
                )
            );
        }
        fail(
            stranger,
            abi.encodeCall(IModularAccount.executeFromPlugin, (fooCall())),
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, stranger, FOO)
        );
        fail(
            stranger,
            abi.encodeCall(IModularAccount.executeFromPluginExternal, (address(counter), 0, "")),
            abi.encodeWithSelector(
                IModularAccount.ExecFromPluginExternalNotPermitted.selector, stranger, counter, 0, ""
            )
        );
    }

    /* 25: order of validation and look-up */

    function test_item25_unknownSelector() public {
        bytes memory missing = error1(IModularAccount.RuntimeValidationFunctionMissing.selector, FOO);
        fail(owner.addr, fooCall(), missing);
        fail(stranger, fooCall(), missing);
        fail(address(ENTRY_POINT), fooCall(), error1(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    /// @dev Less than a selector names nothing, even where it would be the beginning of an installed one.
    function test_item25_shortCallData() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, 0x11223300);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, 0x11223300, allowFunction());
        install(plugin, manifest);
        fail(stranger, hex"112233", error1(IModularAccount.RuntimeValidationFunctionMissing.selector, 0x11223300));
        fail(address(ENTRY_POINT), hex"112233", error1(IModularAccount.UnrecognizedFunction.selector, 0x11223300));
        succeed(stranger, hex"11223300");
    }

    function test_item25_validationWithoutExecution() public {
        PluginManifest memory manifest;
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(1));
        install(plugin, manifest);
        vm.recordLogs();
        fail(stranger, fooCall(), error1(IModularAccount.UnrecognizedFunction.selector, FOO));
        plugin.setRevert(RUNTIME, 1, "refused");
        fail(
            stranger,
            fooCall(),
            _wrapped(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, "refused")
        );
    }

    /// @dev The runtime validation of FOO uninstalls the plugin that has FOO.
    function test_item25_functionVanishesInValidation() public {
        _installFooValidatedBy2();
        _makeOwner(address(account));
        plugin2.setReenter(RUNTIME, 1, abi.encodeCall(IModularAccount.uninstallPlugin, (address(plugin), "", "")));
        _makeOwner(address(plugin2));
        fail(stranger, fooCall(), error1(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    function test_item25_entryPointSkipsRuntimeValidationAndItsHooks() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        plugin.setRevert(RUNTIME, 1, "refused");
        install(plugin, manifest);
        vm.recordLogs();
        succeed(address(ENTRY_POINT), fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 1);
        assertCall(calls[0], plugin, FOO, 5);
    }

    /// @dev Pre hooks newest first, then the function, then execution; all get caller, value and call data.
    function test_item26_hooksThenFunction() public {
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

    function test_item26_wrapsReverts() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        bytes memory reason = hex"0102030405";
        plugin.setRevert(RUNTIME, 1, reason);
        fail(
            stranger,
            fooCall(),
            _wrapped(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, reason)
        );
        plugin.setRevert(PRE_RUNTIME, 3, reason);
        fail(
            stranger, fooCall(), _wrapped(IModularAccount.PreRuntimeValidationHookFailed.selector, plugin, 3, reason)
        );
    }

    function test_item26_alwaysDeny() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        install(plugin, manifest);
        fail(owner.addr, fooCall(), error0(IModularAccount.AlwaysDenyRule.selector));
    }

    function test_item26_alwaysAllowSkipsTheFunctionNotTheHooks() public {
        PluginManifest memory manifest = fooManifest();
        manifest.runtimeValidationFunctions[0].associatedFunction = allowFunction();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        vm.recordLogs();
        succeed(stranger, fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 2);
        assertCall(calls[0], plugin, PRE_RUNTIME, 3);
        assertCall(calls[1], plugin, FOO, 5);
        plugin.setRevert(PRE_RUNTIME, 3, "");
        fail(stranger, fooCall(), _wrapped(IModularAccount.PreRuntimeValidationHookFailed.selector, plugin, 3, ""));
    }

    /// @dev Without the owner plugin, self-calls may still install and upgrade; nothing else.
    function test_item26_selfCallsToInstallAndUpgradeNeedNoFunction() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, allowFunction());
        install(plugin, manifest);
        PluginManifest memory second;
        second.executionFunctions = add(second.executionFunctions, BAR);
        plugin2.setManifest(second);
        uninstall(address(ownerPlugin));
        bytes memory installCall = abi.encodeCall(
            IModularAccount.installPlugin, (address(plugin2), manifestHashOf(address(plugin2)), "", new bytes21[](0))
        );
        // The account calls itself.
        succeed(address(account), installCall);
        succeed(address(account), abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")));
        address[4] memory others = [owner.addr, stranger, address(plugin), address(factory)];
        for (uint256 i = 0; i < others.length; ++i) {
            fail(others[i], installCall, error1(IModularAccount.RuntimeValidationFunctionMissing.selector, INSTALL));
        }
        bytes[3] memory notExcepted = [
            ownerExecute(address(counter), 0, ""),
            abi.encodeCall(IModularAccount.executeBatch, (_calls(address(counter), 1))),
            abi.encodeCall(IModularAccount.uninstallPlugin, (address(plugin2), "", ""))
        ];
        for (uint256 i = 0; i < notExcepted.length; ++i) {
            fail(
                address(account),
                notExcepted[i],
                error1(IModularAccount.RuntimeValidationFunctionMissing.selector, bytes4(notExcepted[i]))
            );
        }
    }

    /// @dev The hooks of the two functions run in the exception too.
    function test_item26_selfCallExceptionRunsHooks() public {
        PluginManifest memory manifest;
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, INSTALL, denyFunction());
        install(plugin, manifest);
        fail(
            address(account),
            abi.encodeCall(IModularAccount.installPlugin, (address(plugin2), 0, "", new bytes21[](0))),
            error0(IModularAccount.AlwaysDenyRule.selector)
        );
    }

    /* 27: execution hooks */

    /// @dev Three pre hooks, one twice; post hooks shared and alone. Loupe order, newest first:
    /// [3,none], [2,13], [2,12], [1,12], [1,11]; then post-only 14, 11.
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

    function test_item27_hooksOfAPluginFunction() public {
        install(plugin, fooManifest());
        install(plugin2, _hookedManifest(FOO));
        vm.deal(address(ENTRY_POINT), 1 ether);
        vm.recordLogs();
        vm.prank(address(ENTRY_POINT));
        (bool success,) = address(account).call{value: 3}(fooCall());
        assertTrue(success);
        _assertHookedCalls(mockCalls(), address(ENTRY_POINT), 3, fooCall(), true);
    }

    function test_item27_hooksOfNativeFunctions() public {
        bytes[4] memory callDatas = [
            ownerExecute(address(counter), 1, ""),
            abi.encodeCall(IModularAccount.executeBatch, (_calls(address(counter), 1))),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, "")),
            abi.encodeCall(IModularAccount.uninstallPlugin, (address(plugin), "", ""))
        ];
        install(plugin, fooManifest());
        plugin.setSilent(IPlugin.onUninstall.selector, 0x20);
        for (uint256 i = 0; i < callDatas.length; ++i) {
            install(plugin2, _hookedManifest(bytes4(callDatas[i])));
            vm.recordLogs();
            succeed(address(ENTRY_POINT), callDatas[i]);
            _assertHookedCalls(mockCalls(), address(ENTRY_POINT), 0, callDatas[i], false);
            uninstall(address(plugin2));
        }
    }

    function test_item27_hooksOfInstallPlugin() public {
        install(plugin2, _hookedManifest(INSTALL));
        plugin.setManifest(fooManifest());
        plugin.setSilent(IPlugin.onInstall.selector, 0x20);
        bytes memory callData = abi.encodeCall(
            IModularAccount.installPlugin, (address(plugin), manifestHashOf(address(plugin)), "", new bytes21[](0))
        );
        vm.recordLogs();
        succeed(address(ENTRY_POINT), callData);
        _assertHookedCalls(mockCalls(), address(ENTRY_POINT), 0, callData, false);
    }

    function test_item27_hooksOfExecuteFromPlugin() public {
        PluginManifest memory manifest = fooManifest();
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        install(plugin, manifest);
        install(plugin2, _hookedManifest(FOO));
        vm.deal(address(plugin), 6);
        vm.recordLogs();
        vm.prank(address(plugin));
        account.executeFromPlugin{value: 6}(fooCall());
        _assertHookedCalls(mockCalls(), address(plugin), 6, fooCall(), true);
    }

    /// @dev The hooks of `executeFromPlugin`'s own selector do not run.
    function test_item27_hooksOfTheOuterSelectorDoNotRun() public {
        PluginManifest memory manifest = fooManifest();
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        install(plugin, manifest);
        PluginManifest memory deny;
        deny.executionHooks =
            add(deny.executionHooks, IModularAccount.executeFromPlugin.selector, denyFunction(), noFunction());
        install(plugin2, deny);
        vm.prank(address(plugin));
        account.executeFromPlugin(fooCall());
    }

    function test_item27_hooksOfExecuteFromPluginExternal() public {
        bytes memory callData =
            abi.encodeCall(IModularAccount.executeFromPluginExternal, (address(counter), 0, ""));
        PluginManifest memory manifest;
        manifest.permitAnyExternalAddress = true;
        install(plugin, manifest);
        install(plugin2, _hookedManifest(IModularAccount.executeFromPluginExternal.selector));
        // Installed after the hooks.
        MockPlugin plugin3 = new MockPlugin();
        install(plugin3, manifest);
        address[2] memory callers = [address(plugin), address(plugin3)];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.recordLogs();
            succeed(callers[i], callData);
            _assertHookedCalls(mockCalls(), callers[i], 0, callData, false);
        }
        uninstall(address(plugin2));
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.recordLogs();
            succeed(callers[i], callData);
            assertEq(mockCalls().length, 0);
        }
    }

    /// @dev Any hooks of two plugins: what runs, and when, follows from what the loupe lists.
    function testFuzz_item27_orderFollowsTheLoupe(uint256 seed) public {
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
        IModularAccount.ExecutionHooks[] memory hooks = account.getExecutionHooks(FOO);
        vm.recordLogs();
        succeed(address(ENTRY_POINT), fooCall());
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
                calls[next].data,
                abi.encodeWithSelector(POST_EXEC, uint8(hooks[i - 1].postExecHook[20]), hookData)
            );
            _assertHookCall(calls[next++], POST_EXEC, hooks[i - 1].postExecHook);
        }
        assertEq(calls.length, next);
    }

    function _assertHookCall(MockCall memory made, bytes4 selector, bytes21 hook) private pure {
        assertEq(made.selector, selector);
        assertEq(ref(made.plugin, made.functionId), hook);
    }

    function test_item27_wrapsReverts() public {
        install(plugin, fooManifest());
        install(plugin2, _hookedManifest(FOO));
        plugin2.setRevert(POST_EXEC, 12, "post");
        fail(stranger, fooCall(), _wrapped(IModularAccount.PostExecHookReverted.selector, plugin2, 12, "post"));
        plugin2.setRevert(PRE_EXEC, 2, "pre");
        fail(stranger, fooCall(), _wrapped(IModularAccount.PreExecHookReverted.selector, plugin2, 2, "pre"));
    }

    function test_item27_alwaysDeny() public {
        install(plugin, fooManifest());
        PluginManifest memory manifest;
        manifest.executionHooks = add(manifest.executionHooks, FOO, denyFunction(), selfFunction(1));
        install(plugin2, manifest);
        fail(stranger, fooCall(), error0(IModularAccount.AlwaysDenyRule.selector));
        fail(address(ENTRY_POINT), fooCall(), error0(IModularAccount.AlwaysDenyRule.selector));
    }

    /* 28: snapshots */

    function _makeOwner(address newOwner) private {
        if (ownerPlugin.isOwnerOf(address(account), newOwner)) return;
        address[] memory added = new address[](1);
        added[0] = newOwner;
        sendAsOwner(abi.encodeCall(IMultiOwnerPlugin.updateOwners, (added, new address[](0))));
    }

    /// @dev `plugin` has FOO, `plugin2` validates its runtime calls.
    function _installFooValidatedBy2() private {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        install(plugin, manifest);
        manifest.executionFunctions = new bytes4[](0);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(1));
        install(plugin2, manifest);
    }

    function _installCall(MockPlugin mock, PluginManifest memory manifest) private returns (bytes memory) {
        mock.setManifest(manifest);
        return abi.encodeCall(
            IModularAccount.installPlugin, (address(mock), manifestHashOf(address(mock)), "", new bytes21[](0))
        );
    }

    function _uninstallCall(MockPlugin mock) private pure returns (bytes memory) {
        return abi.encodeCall(IModularAccount.uninstallPlugin, (address(mock), "", ""));
    }

    /// @dev The first pre-runtime hook uninstalls its own plugin: its other hook and its validation function still run, and
    /// its pre-execution hooks, which belong to the next phase, do not.
    function test_item28_runtimePhaseIsASnapshot() public {
        install(plugin, _onlyExecution());
        PluginManifest memory manifest;
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(1));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(4));
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(5), selfFunction(6));
        install(plugin2, manifest);
        _makeOwner(address(plugin2));
        plugin2.setReenter(PRE_RUNTIME, 4, _uninstallCall(plugin2));
        plugin2.setSilent(IPlugin.onUninstall.selector, 0x20);

        vm.recordLogs();
        succeed(stranger, fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 4);
        assertCall(calls[0], plugin2, PRE_RUNTIME, 4);
        assertCall(calls[1], plugin2, PRE_RUNTIME, 3);
        assertCall(calls[2], plugin2, RUNTIME, 1);
        assertCall(calls[3], plugin, FOO, 5);
        assertEq(account.getInstalledPlugins().length, 2);
    }

    /// @dev A pre-runtime hook installs a plugin with a hook of each phase: only the one of the next phase runs.
    function test_item28_whatRuntimeValidationAddsRunsInExecution() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        PluginManifest memory added;
        added.preRuntimeValidationHooks = add(added.preRuntimeValidationHooks, FOO, denyFunction());
        added.executionHooks = add(added.executionHooks, FOO, selfFunction(1), selfFunction(2));
        plugin.setReenter(PRE_RUNTIME, 3, _installCall(plugin2, added));
        plugin2.setSilent(IPlugin.onInstall.selector, 0x20);
        _makeOwner(address(plugin));

        vm.recordLogs();
        succeed(stranger, fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 5);
        assertCall(calls[0], plugin, PRE_RUNTIME, 3);
        assertCall(calls[1], plugin, RUNTIME, 1);
        assertCall(calls[2], plugin2, PRE_EXEC, 1);
        assertCall(calls[3], plugin, FOO, 5);
        assertCall(calls[4], plugin2, POST_EXEC, 2);
    }

    /// @dev The validation function appears while the hooks run: too late.
    function test_item28_validationAddedByAHookIsTooLate() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        install(plugin, manifest);
        PluginManifest memory added;
        added.runtimeValidationFunctions = add(added.runtimeValidationFunctions, FOO, allowFunction());
        plugin.setReenter(PRE_RUNTIME, 3, _installCall(plugin2, added));
        _makeOwner(address(plugin));
        fail(stranger, fooCall(), error1(IModularAccount.RuntimeValidationFunctionMissing.selector, FOO));
    }

    /// @dev The first pre-execution hook uninstalls the executing plugin and the hooks' plugin, and installs another hook:
    /// what was there runs, what is new does not.
    function test_item28_executionPhaseIsASnapshot() public {
        PluginManifest memory manifest;
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(1), selfFunction(2));
        manifest.executionHooks = add(manifest.executionHooks, FOO, noFunction(), selfFunction(3));
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(4), noFunction());
        install(plugin, fooManifest());
        install(plugin2, manifest);
        MockPlugin plugin3 = new MockPlugin();
        PluginManifest memory added;
        added.executionHooks = add(added.executionHooks, FOO, denyFunction(), noFunction());
        added.executionHooks = add(added.executionHooks, FOO, noFunction(), selfFunction(9));
        IModularAccount.Call[] memory selfCalls = new IModularAccount.Call[](3);
        selfCalls[0] = IModularAccount.Call(address(account), 0, _uninstallCall(plugin));
        selfCalls[1] = IModularAccount.Call(address(account), 0, _uninstallCall(plugin2));
        selfCalls[2] = IModularAccount.Call(address(account), 0, _installCall(plugin3, added));
        plugin2.setReenter(PRE_EXEC, 4, abi.encodeCall(IModularAccount.executeBatch, (selfCalls)));
        plugin.setSilent(IPlugin.onUninstall.selector, 0x20);
        plugin2.setSilent(IPlugin.onUninstall.selector, 0x20);
        plugin3.setSilent(IPlugin.onInstall.selector, 0x20);
        _makeOwner(address(plugin2));

        vm.recordLogs();
        succeed(address(ENTRY_POINT), fooCall());
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 5);
        assertCall(calls[0], plugin2, PRE_EXEC, 4);
        assertCall(calls[1], plugin2, PRE_EXEC, 1);
        assertCall(calls[2], plugin, FOO, 5);
        assertCall(calls[3], plugin2, POST_EXEC, 3);
        assertCall(calls[4], plugin2, POST_EXEC, 2);
        fail(address(ENTRY_POINT), fooCall(), error1(IModularAccount.UnrecognizedFunction.selector, FOO));
    }

    /// @dev A pre hook of `executeFromPluginExternal` uninstalls the caller, whose call is still made; and installs the
    /// target, which is denied then.
    function test_item28_callerUninstalledByAHook() public {
        bytes4 selector = IModularAccount.executeFromPluginExternal.selector;
        PluginManifest memory manifest;
        manifest.permitAnyExternalAddress = true;
        install(plugin, manifest);
        PluginManifest memory hooks;
        hooks.executionHooks = add(hooks.executionHooks, selector, selfFunction(1), noFunction());
        install(plugin2, hooks);
        _makeOwner(address(plugin2));
        plugin2.setReenter(PRE_EXEC, 1, _uninstallCall(plugin));
        succeed(
            address(plugin),
            abi.encodeWithSelector(selector, counter, 0, abi.encodeCall(Counter.increment, ()))
        );
        assertEq(counter.count(), 1);

        install(plugin, manifest);
        fail(
            address(plugin),
            abi.encodeWithSelector(selector, ownerPlugin, 0, ""),
            error1(IModularAccount.PluginCallDenied.selector, address(ownerPlugin))
        );
        // The target answers as a plugin only while it is installed.
        MockPlugin target = new MockPlugin();
        plugin2.reset(PRE_EXEC, 1);
        plugin2.setReenter(PRE_EXEC, 1, _installCall(target, hooks));
        plugin2.setSilent(PRE_EXEC, 1);
        fail(
            address(plugin),
            abi.encodeWithSelector(selector, target, 0, ""),
            error1(IModularAccount.PluginCallDenied.selector, address(target))
        );
    }

    /// @dev The functions that manage the account obey validation hooks like all others, in operations and runtime calls.
    function test_item28_validationHooksOfManagementFunctions() public {
        plugin.setManifest(fooManifest());
        bytes[3] memory callDatas = [
            _installCall(plugin, fooManifest()),
            _uninstallCall(plugin),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (implementation, ""))
        ];
        bytes memory denied = error0(IModularAccount.AlwaysDenyRule.selector);
        for (uint256 i = 0; i < callDatas.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            if (i == 1) install(plugin, fooManifest());
            PluginManifest memory manifest;
            bytes4 selector = bytes4(callDatas[i]);
            manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, selector, denyFunction());
            manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, selector, denyFunction());
            install(plugin2, manifest);
            fail(owner.addr, callDatas[i], denied);
            fail(address(account), callDatas[i], denied);
            IEntryPoint.UserOperation memory op = buildUserOp(callDatas[i]);
            sign(op, owner.privateKey);
            fail(
                address(ENTRY_POINT),
                abi.encodeWithSelector(IModularAccount.validateUserOp.selector, op, ENTRY_POINT.getUserOpHash(op), 0),
                denied
            );
            vm.revertToState(snapshot);
        }
    }

    function test_item28_executionMayReenter() public {
        install(plugin, fooManifest());
        _makeOwner(address(plugin));
        plugin.setReenter(
            FOO, 5, ownerExecute(address(counter), 0, abi.encodeCall(Counter.increment, ()))
        );
        succeed(stranger, fooCall());
        assertEq(counter.count(), 1);
    }

    function _onlyExecution() private pure returns (PluginManifest memory manifest) {
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
    }

    /* 29: data comes back unchanged */

    function testFuzz_item29_fallbackReturnsRawData(bytes calldata data) public {
        install(plugin, fooManifest());
        plugin.setReturn(FOO, 5, data);
        assertEq(succeed(stranger, fooCall()), data);
    }

    function testFuzz_item29_revertsBubbleUp(bytes calldata data) public {
        install(plugin, fooManifest());
        plugin.setRevert(FOO, 5, data);
        fail(stranger, fooCall(), data);
        plugin2.setNoPlugin(true);
        plugin2.setRevert(BAR, 0, data);
        fail(owner.addr, ownerExecute(address(plugin2), 0, abi.encodeWithSelector(BAR)), data);
    }

    function test_item29_worksUnderStaticCall() public {
        PluginManifest memory manifest = fooManifest();
        install(plugin, manifest);
        plugin.setSilent(FOO, 5);
        plugin.setSilent(RUNTIME, 1);
        plugin.setReturn(FOO, 5, abi.encode(uint256(42)));
        vm.prank(stranger);
        (bool success, bytes memory answer) = address(account).staticcall(fooCall());
        assertTrue(success);
        assertEq(answer, abi.encode(uint256(42)));
    }

    /// @dev Functions whose return data nobody needs may return anything.
    function test_item29_noReturnDataIsRequired() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(3));
        manifest.executionHooks = add(manifest.executionHooks, FOO, noFunction(), selfFunction(6));
        for (uint256 length = 0; length < 64; length += 31) {
            plugin.setReturn(IPlugin.onInstall.selector, 0x20, new bytes(length));
            plugin.setReturn(IPlugin.onUninstall.selector, 0x20, new bytes(length));
            plugin.setReturn(RUNTIME, 1, new bytes(length));
            plugin.setReturn(PRE_RUNTIME, 3, new bytes(length));
            plugin.setReturn(POST_EXEC, 6, new bytes(length));
            install(plugin, manifest);
            succeed(stranger, fooCall());
            uninstall(address(plugin));
        }
    }

    function test_receive_acceptsNativeToken() public {
        vm.deal(stranger, 5);
        vm.prank(stranger);
        (bool success,) = address(account).call{value: 5}("");
        assertTrue(success);
    }

    /* 34: plugins without code, on every path */

    function test_item34_executingPlugin() public {
        PluginManifest memory manifest = fooManifest();
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        manifest.runtimeValidationFunctions[0].associatedFunction = allowFunction();
        install(plugin, manifest);
        vm.etch(address(plugin), "");
        bytes memory expected = error1(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin));
        fail(stranger, fooCall(), expected);
        fail(address(ENTRY_POINT), fooCall(), expected);
        fail(address(plugin), abi.encodeCall(IModularAccount.executeFromPlugin, (fooCall())), expected);
    }

    function test_item34_runtimeValidationAndHooks() public {
        PluginManifest memory manifest = fooManifest();
        install(plugin, manifest);
        vm.etch(address(plugin), "");
        fail(
            stranger, fooCall(), _wrapped(IModularAccount.RuntimeValidationFunctionReverted.selector, plugin, 1, "")
        );
        manifest = PluginManifest(
            new bytes4[](0),
            new bytes4[](0),
            new bytes4[](0),
            new bytes4[](0),
            false,
            false,
            manifest.permittedExternalCalls,
            manifest.preUserOpValidationHooks,
            manifest.preUserOpValidationHooks,
            manifest.preUserOpValidationHooks,
            add(manifest.preUserOpValidationHooks, FOO, selfFunction(3)),
            manifest.executionHooks
        );
        install(plugin2, manifest);
        vm.etch(address(plugin2), "");
        fail(stranger, fooCall(), _wrapped(IModularAccount.PreRuntimeValidationHookFailed.selector, plugin2, 3, ""));
    }

    function test_item34_executionHooks() public {
        PluginManifest memory pre;
        pre.executionHooks = add(pre.executionHooks, EXECUTE, selfFunction(1), noFunction());
        PluginManifest memory post;
        post.executionHooks = add(post.executionHooks, EXECUTE_BATCH, noFunction(), selfFunction(2));
        install(plugin, pre);
        install(plugin2, post);
        vm.etch(address(plugin), "");
        vm.etch(address(plugin2), "");
        fail(
            owner.addr,
            ownerExecute(address(counter), 0, ""),
            _wrapped(IModularAccount.PreExecHookReverted.selector, plugin, 1, "")
        );
        fail(
            owner.addr,
            abi.encodeCall(IModularAccount.executeBatch, (_calls(address(counter), 1))),
            _wrapped(IModularAccount.PostExecHookReverted.selector, plugin2, 2, "")
        );
        assertEq(counter.count(), 0);
    }
}
