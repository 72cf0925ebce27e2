// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice The calls that a plugin may make through the account.
contract PluginExecutorTest is AccountTest {
    function _fromPlugin(bytes memory data) private pure returns (bytes memory) {
        return abi.encodeCall(IPluginExecutor.executeFromPlugin, (data));
    }

    function _external(address target, uint256 value, bytes memory data) private pure returns (bytes memory) {
        return abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (target, value, data));
    }

    function _notPermitted(address target, uint256 value, bytes memory data) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IModularAccount.ExecFromPluginExternalNotPermitted.selector, plugin, target, value, data
        );
    }

    /* executeFromPlugin */

    function test_executeFromPlugin_callsAListedFunction() public {
        PluginManifest memory manifest;
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        install(plugin, manifest);
        install(plugin2, fooManifest());
        plugin2.setReturn(FOO, 5, hex"c0ffee");
        // No runtime validation: the owner agreed to the manifest.
        plugin2.setRevert(RUNTIME, 1, "refused");
        vm.recordLogs();
        bytes memory answer = succeeds(address(plugin), _fromPlugin(fooCall()));
        assertEq(abi.decode(answer, (bytes)), hex"c0ffee");
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 1);
        assertCall(calls[0], plugin2, FOO, 5);
    }

    function test_executeFromPlugin_revertsInOrder() public {
        PluginManifest memory manifest;
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        manifest.permittedExecutionSelectors =
            add(manifest.permittedExecutionSelectors, IStandardExecutor.execute.selector);
        install(plugin, manifest);
        // Not permitted either, and not installed: the length comes first.
        reverts(
            address(plugin),
            _fromPlugin(hex"aabbcc"),
            revertData(IModularAccount.UnrecognizedFunction.selector, 0xaabbcc00)
        );
        reverts(address(plugin), _fromPlugin(""), revertData(IModularAccount.UnrecognizedFunction.selector, bytes4(0)));
        reverts(
            address(plugin),
            _fromPlugin(abi.encodeWithSelector(BAR)),
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, plugin, BAR)
        );
        reverts(address(plugin), _fromPlugin(fooCall()), revertData(IModularAccount.UnrecognizedFunction.selector, FOO));
        // The account's own functions are not among those that plugins added, even if a manifest names them.
        reverts(
            address(plugin),
            _fromPlugin(executeCall(address(counter), 0, "")),
            revertData(IModularAccount.UnrecognizedFunction.selector, IStandardExecutor.execute.selector)
        );
    }

    /// @dev One plugin's permissions are not another's.
    function test_executeFromPlugin_permissionIsThePlugins() public {
        install(plugin, permittedFooManifest());
        install(plugin2, emptyManifest());
        reverts(
            address(plugin2),
            _fromPlugin(fooCall()),
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, plugin2, FOO)
        );
    }

    function testFuzz_executeFromPlugin_bubblesRevertsUp(bytes calldata reason) public {
        install(plugin, permittedFooManifest());
        plugin.setRevert(FOO, 5, reason);
        reverts(address(plugin), _fromPlugin(fooCall()), reason);
    }

    /* executeFromPluginExternal */

    function test_executeFromPluginExternal_anyAddress() public {
        install(plugin, anyAddressManifest());
        bytes memory answer =
            succeeds(address(plugin), _external(address(counter), 0, abi.encodeCall(Counter.increment, ())));
        assertEq(abi.decode(abi.decode(answer, (bytes)), (uint256)), 1);
        assertEq(counter.lastCaller(), address(account));
        succeeds(address(plugin), _external(stranger, 0, hex"01"));
        succeeds(address(plugin), _external(address(counter), 0, ""));
    }

    function test_executeFromPluginExternal_onlyListedSelectorsOfAnAddress() public {
        bytes memory increment = abi.encodeCall(Counter.increment, ());
        PluginManifest memory manifest;
        manifest.permittedExternalCalls = add(
            manifest.permittedExternalCalls, address(counter), false, add(new bytes4[](0), Counter.increment.selector)
        );
        install(plugin, manifest);
        succeeds(address(plugin), _external(address(counter), 0, increment));
        succeeds(address(plugin), _external(address(counter), 0, ""));
        bytes memory refuse = abi.encodeCall(Counter.refuse, (1));
        reverts(address(plugin), _external(address(counter), 0, refuse), _notPermitted(address(counter), 0, refuse));
        reverts(address(plugin), _external(stranger, 0, increment), _notPermitted(stranger, 0, increment));
        reverts(address(plugin), _external(stranger, 0, ""), _notPermitted(stranger, 0, ""));
    }

    /// @dev One to three bytes are not a selector, whatever padding makes of them.
    function test_executeFromPluginExternal_shortDataIsNotASelector() public {
        PluginManifest memory manifest;
        manifest.permittedExternalCalls =
            add(manifest.permittedExternalCalls, address(counter), false, add(new bytes4[](0), bytes4(0x11000000)));
        install(plugin, manifest);
        reverts(address(plugin), _external(address(counter), 0, hex"11"), _notPermitted(address(counter), 0, hex"11"));
    }

    function test_executeFromPluginExternal_anySelectorOfAListedAddress() public {
        PluginManifest memory manifest;
        manifest.permittedExternalCalls = add(manifest.permittedExternalCalls, address(counter), true, new bytes4[](0));
        // A second entry for the address revokes nothing.
        manifest.permittedExternalCalls =
            add(manifest.permittedExternalCalls, address(counter), false, add(new bytes4[](0), bytes4(0x11111111)));
        install(plugin, manifest);
        succeeds(address(plugin), _external(address(counter), 0, abi.encodeCall(Counter.increment, ())));
        succeeds(address(plugin), _external(address(counter), 0, ""));
        reverts(
            address(plugin),
            _external(address(counter), 0, abi.encodeCall(Counter.refuse, (1))),
            abi.encodeWithSelector(Counter.Refused.selector, 1)
        );
        reverts(address(plugin), _external(stranger, 0, ""), _notPermitted(stranger, 0, ""));
    }

    /// @dev An entry without selectors permits calls without data only.
    function test_executeFromPluginExternal_addressWithoutSelectorsTakesNoData() public {
        PluginManifest memory manifest;
        manifest.canSpendNativeToken = true;
        manifest.permittedExternalCalls = add(manifest.permittedExternalCalls, address(counter), false, new bytes4[](0));
        install(plugin, manifest);
        succeeds(address(plugin), _external(address(counter), 3, ""));
        assertEq(address(counter).balance, 3);
        bytes memory increment = abi.encodeCall(Counter.increment, ());
        reverts(
            address(plugin), _external(address(counter), 0, increment), _notPermitted(address(counter), 0, increment)
        );
    }

    function test_executeFromPluginExternal_neverTheAccountItself() public {
        PluginManifest memory manifest = anyAddressManifest();
        manifest.permittedExternalCalls = add(manifest.permittedExternalCalls, address(account), true, new bytes4[](0));
        install(plugin, manifest);
        bytes memory data = executeCall(stranger, 1 ether, "");
        reverts(address(plugin), _external(address(account), 0, data), _notPermitted(address(account), 0, data));
        reverts(address(plugin), _external(address(account), 0, ""), _notPermitted(address(account), 0, ""));
    }

    /// @dev The target is not a plugin when the call begins, and does not look like one afterwards either.
    function test_executeFromPluginExternal_deniesAPluginThatAHookInstalls() public {
        MockPlugin hidden = _hiddenPlugin();
        _installHookedCaller(installCall(address(hidden)));
        reverts(
            address(plugin),
            _external(address(hidden), 0, fooCall()),
            revertData(IModularAccount.PluginCallDenied.selector, address(hidden))
        );
    }

    function test_executeFromPluginExternal_callerUninstalledByAHookReachesNoPlugin() public {
        MockPlugin hidden = _hiddenPlugin();
        install(hidden, emptyManifest());
        _installHookedCaller(uninstallCall(address(plugin)));
        reverts(
            address(plugin),
            _external(address(hidden), 0, fooCall()),
            revertData(IModularAccount.PluginCallDenied.selector, address(hidden))
        );
        // The permissions from the start of the call still apply.
        succeeds(address(plugin), _external(address(counter), 0, abi.encodeCall(Counter.increment, ())));
        assertEq(counter.count(), 1);
    }

    /// @dev Every installed plugin's state records that such calls are hooked, and that they no longer are, even if
    /// nothing else in it changes: the hooking plugin shares its filter bit with another.
    function test_executeFromPluginExternal_hooksRunForAnyFilterBitOfTheirPlugin() public {
        for (uint160 i = 0; i < 2; ++i) {
            uint256 state = vm.snapshotState();
            install(plugin, anyAddressManifest());
            uint160 at = 1 << 100;
            while ((_filterBit(address(at)) == _filterBit(address(plugin))) != (i == 0)) ++at;
            vm.etch(address(at), address(plugin2).code);
            MockPlugin hooking = MockPlugin(payable(address(at)));
            PluginManifest memory manifest;
            manifest.executionHooks = add(
                manifest.executionHooks,
                IPluginExecutor.executeFromPluginExternal.selector,
                selfFunction(3),
                noFunction()
            );
            install(hooking, manifest);
            hooking.setRevert(PRE_EXEC, 3, "no");
            bytes memory data = _external(address(counter), 0, abi.encodeCall(Counter.increment, ()));
            reverts(address(plugin), data, revertData(IModularAccount.PreExecHookReverted.selector, hooking, 3, "no"));
            uninstall(address(hooking));
            succeeds(address(plugin), data);
            vm.revertToState(state);
        }
    }

    /// @dev Denies that it is a plugin once it is installed, and shares no bit of the filter with the other plugins.
    function _hiddenPlugin() private returns (MockPlugin hidden) {
        do {
            hidden = new MockPlugin();
        } while (
            _filterBit(address(hidden)) == _filterBit(address(plugin))
                || _filterBit(address(hidden)) == _filterBit(address(ownerPlugin))
        );
        hidden.setHidesOnceInstalled(true);
    }

    function _filterBit(address installed) private pure returns (uint256) {
        return uint160(installed) % 24;
    }

    /// @dev Installs `plugin`, which may call any address, and whose hook on such calls calls the account, as an owner of it.
    function _installHookedCaller(bytes memory hookCallsAccount) private {
        PluginManifest memory manifest = anyAddressManifest();
        manifest.executionHooks = add(
            manifest.executionHooks, IPluginExecutor.executeFromPluginExternal.selector, selfFunction(3), noFunction()
        );
        install(plugin, manifest);
        makeOwner(address(plugin));
        plugin.setReenter(IPlugin.preExecutionHook.selector, 3, hookCallsAccount);
    }

    function test_executeFromPluginExternal_nativeTokenOnlyAsSentAlong() public {
        install(plugin, anyAddressManifest());
        vm.deal(address(plugin), 10);
        bytes memory denied = revertData(IModularAccount.NativeTokenSpendingNotPermitted.selector, address(plugin));
        reverts(address(plugin), _external(stranger, 1, ""), denied);
        reverts(address(plugin), _external(stranger, type(uint256).max, ""), denied);
        vm.startPrank(address(plugin));
        account.executeFromPluginExternal{value: 4}(stranger, 4, "");
        account.executeFromPluginExternal{value: 2}(stranger, 1, "");
        vm.expectRevert(denied);
        account.executeFromPluginExternal{value: 4}(stranger, 5, "");
        vm.stopPrank();
        assertEq(stranger.balance, 5);
        assertEq(address(account).balance, 100 ether + 1);
    }

    function test_executeFromPluginExternal_spenderMaySpendNativeToken() public {
        PluginManifest memory manifest = anyAddressManifest();
        manifest.canSpendNativeToken = true;
        install(plugin, manifest);
        succeeds(address(plugin), _external(stranger, 60 ether, ""));
        assertEq(stranger.balance, 60 ether);
        // To a contract: when tracing, forge replaces the revert data of a call to an address without code.
        reverts(address(plugin), _external(address(counter), 60 ether, ""), "");
    }

    function testFuzz_executeFromPluginExternal_bubblesRevertsUp(uint256 code) public {
        install(plugin, anyAddressManifest());
        reverts(
            address(plugin),
            _external(address(counter), 0, abi.encodeCall(Counter.refuse, (code))),
            abi.encodeWithSelector(Counter.Refused.selector, code)
        );
    }
}
