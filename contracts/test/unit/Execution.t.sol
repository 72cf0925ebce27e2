// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice The calls that the account makes, and their return data.
contract ExecutionTest is AccountTest {
    /* Plugins are not targets */

    function test_execute_deniesPlugins() public {
        install(plugin, fooManifest());
        // Installed; not installed; the owner plugin; installed, but no longer answering as a plugin.
        plugin.setNoPlugin(true);
        address[3] memory targets = [address(plugin), address(plugin2), address(ownerPlugin)];
        for (uint256 i = 0; i < targets.length; ++i) {
            bytes memory expected = revertData(IModularAccount.PluginCallDenied.selector, targets[i]);
            reverts(owner.addr, executeCall(targets[i], 0, ""), expected);
            Call[] memory calls = increments(2);
            calls[1].target = targets[i];
            reverts(owner.addr, batchCall(calls), expected);
            sendAsOwnerExpectingRevert(executeCall(targets[i], 0, ""), expected);
        }
        assertEq(counter.count(), 0);
    }

    /// @dev For any addresses: the filter of installed plugins has no false negatives.
    function testFuzz_execute_deniesEveryInstalledPlugin(uint256 targetSeed, uint256 otherSeed) public {
        address target = makeAddr(vm.toString(targetSeed));
        address other = makeAddr(string.concat("other ", vm.toString(otherSeed)));
        vm.etch(other, address(plugin).code);
        vm.etch(target, address(plugin).code);
        install(MockPlugin(payable(other)), anyAddressManifest());
        install(MockPlugin(payable(target)), anyAddressManifest());
        MockPlugin(payable(target)).setNoPlugin(true);
        bytes memory expected = revertData(IModularAccount.PluginCallDenied.selector, target);
        reverts(owner.addr, executeCall(target, 0, ""), expected);
        bytes memory callData = abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (target, 0, ""));
        reverts(other, callData, expected);
        reverts(target, callData, expected);
        uninstall(other);
        reverts(owner.addr, executeCall(target, 0, ""), expected);
        reverts(target, callData, expected);
        uninstall(target);
        succeeds(owner.addr, executeCall(target, 0, ""));
    }

    function test_executeFromPluginExternal_deniesPlugins() public {
        install(plugin, anyAddressManifest());
        plugin.setNoPlugin(true);
        address[3] memory targets = [address(plugin), address(plugin2), address(ownerPlugin)];
        for (uint256 i = 0; i < targets.length; ++i) {
            reverts(
                address(plugin),
                abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (targets[i], 0, "")),
                revertData(IModularAccount.PluginCallDenied.selector, targets[i])
            );
        }
    }

    /// @dev A batch installs a plugin that no longer answers as one, and then calls it.
    function test_executeBatch_deniesAPluginThatItInstalls() public {
        plugin.setManifest(fooManifest());
        Call[] memory calls = increments(2);
        calls[0] = Call(address(account), 0, installCall(address(plugin)));
        calls[1].target = address(plugin);
        reverts(owner.addr, batchCall(calls), revertData(IModularAccount.PluginCallDenied.selector, address(plugin)));
    }

    /// @dev A target that answers true to everything is not a plugin (ERC-165), nor is one that does not report
    /// ERC-165, nor are precompiles and addresses without code.
    function test_execute_allowsOtherTargets() public {
        plugin.setAnswersEverythingTrue(true);
        plugin2.setHidesErc165(true);
        address[6] memory targets =
            [address(plugin), address(2), address(4), stranger, address(ENTRY_POINT), address(plugin2)];
        for (uint256 i = 0; i < targets.length; ++i) {
            succeeds(
                owner.addr,
                executeCall(targets[i], 0, i == 4 ? abi.encodeCall(ENTRY_POINT.depositTo, (stranger)) : bytes(""))
            );
        }
    }

    /// @dev ERC-165 allows 30,000 gas units for an answer, and any word except zero is true. The gas beyond that here
    /// is the mock's own.
    function test_execute_deniesPluginsForAnyCostAndWordOfTheAnswer() public {
        bytes memory expected = revertData(IModularAccount.PluginCallDenied.selector, address(plugin));
        uint256[4] memory words = [uint256(1), 2, 1 << 255, type(uint256).max];
        for (uint256 i = 0; i < words.length; ++i) {
            plugin.setAnswerForTrue(words[i]);
            reverts(owner.addr, executeCall(address(plugin), 0, ""), expected);
        }
        plugin.setAnswerGas(25_000);
        reverts(owner.addr, executeCall(address(plugin), 0, ""), expected);
        // An answer that takes more than ERC-165 allows does not count.
        plugin.setAnswerGas(31_000);
        succeeds(owner.addr, executeCall(address(plugin), 0, ""));
        plugin.setAnswerGas(0);

        // Neither is less than a word.
        for (uint256 length = 0; length < 32; ++length) {
            plugin.setAnswerLength(length);
            succeeds(owner.addr, executeCall(address(plugin), 0, ""));
        }
    }

    /// @dev Each self-call is a runtime call whose caller is the account.
    function test_execute_selfCallsAreRuntimeCalls() public {
        vm.expectCall(
            address(ownerPlugin), hookCall(RUNTIME, 0, address(account), 0, executeCall(address(counter), 0, ""))
        );
        sendAsOwner(executeCall(address(account), 0, executeCall(address(counter), 0, "")));
        reverts(
            owner.addr,
            executeCall(address(account), 0, abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall()))),
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, account, FOO)
        );
    }

    function test_execute_ownerMayBeAPlugin() public {
        install(plugin, fooManifest());
        makeOwner(address(plugin));
        plugin.doCall(address(account), 0, executeCall(address(counter), 0, abi.encodeCall(Counter.increment, ())));
        assertEq(counter.count(), 1);
    }

    /* Calls and batches */

    function test_executeBatch_oneFailingCallRevertsAll() public {
        Call[] memory calls = increments(3);
        calls[1].data = abi.encodeCall(Counter.refuse, (4));
        reverts(owner.addr, batchCall(calls), abi.encodeWithSelector(Counter.Refused.selector, 4));
        assertEq(counter.count(), 0);
    }

    function test_executeBatch_returnsAllResults() public {
        bytes memory answer = succeeds(owner.addr, batchCall(increments(2)));
        bytes[] memory results = abi.decode(answer, (bytes[]));
        assertEq(results.length, 2);
        assertEq(abi.decode(results[1], (uint256)), 2);
        answer = succeeds(owner.addr, batchCall(increments(0)));
        assertEq(abi.decode(answer, (bytes[])).length, 0);
    }

    function test_execute_sendsValueAndReturnsData() public {
        bytes memory answer =
            succeeds(owner.addr, executeCall(address(counter), 7, abi.encodeCall(Counter.increment, ())));
        assertEq(answer, abi.encode(abi.encode(uint256(1))));
        assertEq(address(counter).balance, 7);
    }

    function test_receive_acceptsNativeToken() public {
        vm.deal(stranger, 5);
        vm.prank(stranger);
        (bool success,) = address(account).call{value: 5}("");
        assertTrue(success);
    }

    /* Data is returned unchanged */

    function testFuzz_fallback_returnsRawData(bytes calldata data) public {
        install(plugin, fooManifest());
        plugin.setReturn(FOO, 5, data);
        assertEq(succeeds(stranger, fooCall()), data);
    }

    function testFuzz_execution_bubblesRevertsUp(bytes calldata data) public {
        install(plugin, fooManifest());
        plugin.setRevert(FOO, 5, data);
        reverts(stranger, fooCall(), data);
        plugin2.setNoPlugin(true);
        plugin2.setRevert(BAR, 0, data);
        reverts(owner.addr, executeCall(address(plugin2), 0, abi.encodeWithSelector(BAR)), data);
    }

    function test_fallback_worksUnderStaticCall() public {
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

    /// @dev Functions whose return data is not needed may return anything.
    function test_callbacks_needReturnNothing() public {
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
            succeeds(stranger, fooCall());
            uninstall(address(plugin));
        }
    }
}
