// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestFunction,
    PluginManifest
} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {Relay} from "../mocks/Relay.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";

/// @notice Another plugin of the account calls `executeWithSessionKey`, as the owner agreed to by its manifest, without
/// a signature of the key and without validation. The key's permissions still bound the plugin: execution makes all of
/// its checks here too.
///
/// The plugin adds two functions to the account: one for user operations, which it validates itself and always accepts,
/// and one that anyone may call. Both execute `_plan`.
contract SessionKeysThroughAPluginTest is SessionKeyStackTest {
    bytes4 private constant BY_USER_OPERATION = bytes4(keccak256("byUserOperation(uint256)"));
    bytes4 private constant BY_ANYONE = bytes4(keccak256("byAnyone(uint256)"));

    MockPlugin private other;
    Relay private relay;
    address private anyone = makeAddr("anyone");

    function setUp() public override {
        super.setUp();
        relay = new Relay();
        other = _installOther(true);
    }

    function _installOther(bool mayExecuteWithSessionKey) private returns (MockPlugin mock) {
        PluginManifest memory manifest;
        manifest.executionFunctions = new bytes4[](2);
        manifest.executionFunctions[0] = BY_USER_OPERATION;
        manifest.executionFunctions[1] = BY_ANYONE;
        if (mayExecuteWithSessionKey) {
            manifest.permittedExecutionSelectors = new bytes4[](1);
            manifest.permittedExecutionSelectors[0] = ISessionKeyPlugin.executeWithSessionKey.selector;
        }
        manifest.permitAnyExternalAddress = true;
        manifest.userOpValidationFunctions = new ManifestAssociatedFunction[](1);
        manifest.userOpValidationFunctions[0] =
            ManifestAssociatedFunction(BY_USER_OPERATION, ManifestFunction(ManifestAssociatedFunctionType.SELF, 0, 0));
        manifest.runtimeValidationFunctions = new ManifestAssociatedFunction[](1);
        manifest.runtimeValidationFunctions[0] = ManifestAssociatedFunction(
            BY_ANYONE, ManifestFunction(ManifestAssociatedFunctionType.RUNTIME_VALIDATION_ALWAYS_ALLOW, 0, 0)
        );
        mock = new MockPlugin();
        mock.setManifest(manifest);
        install(address(mock), "");
    }

    /// @dev The account's function that the plugin's functions call.
    function _plan(bytes memory callOfTheAccount) private {
        other.setReenter(BY_USER_OPERATION, 0, callOfTheAccount);
        other.setReenter(BY_ANYONE, 0, callOfTheAccount);
    }

    /// @dev The plugin's functions execute these calls as the key.
    function _plan(Call[] memory calls) private {
        _plan(_throughPlugin(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key.addr))));
    }

    function _throughPlugin(bytes memory data) private pure returns (bytes memory) {
        return abi.encodeCall(IPluginExecutor.executeFromPlugin, (data));
    }

    function _callByAnyone() private returns (bool success, bytes memory answer) {
        vm.prank(anyone);
        return address(account).call(abi.encodeWithSelector(BY_ANYONE, 0));
    }

    function _runs(Call[] memory calls) private {
        _plan(calls);
        (bool success, bytes memory reason) = _callByAnyone();
        assertTrue(success, vm.toString(reason));
    }

    /// @dev Refused through both functions, each alone.
    function _refuses(Call[] memory calls, bytes memory expected) private {
        _plan(calls);
        _refusesPlan(expected);
    }

    function _refusesPlan(bytes memory expected) private {
        (bool success, bytes memory reason) = _callByAnyone();
        assertFalse(success, "by anyone");
        assertEq(reason, expected, "by anyone");
        (success, reason) = send(_pluginOp());
        assertFalse(success, "by a user operation");
        assertEq(reason, expected, "by a user operation");
    }

    /// @dev Unsigned: the plugin accepts it.
    function _pluginOp() private view returns (UserOperation memory) {
        return buildUserOp(abi.encodeWithSelector(BY_USER_OPERATION, 0), 7);
    }

    function _nativeUsed() private view returns (uint256) {
        return plugin.getNativeTokenSpendLimitInfo(address(account), key.addr).limitUsed;
    }

    /* Alone */

    function test_withinTheKeysPermissions_runsAndIsBooked() public {
        grant(listOf(allow(address(target)), nativeLimit(10, 0)));
        _runs(ping(4));
        (bool success,) = send(_pluginOp());
        assertTrue(success);
        assertEq(address(target).balance, 1 ether + 8);
        assertEq(_nativeUsed(), 8);
        // The key itself has the rest.
        refusedInValidation(ping(3));
        passes(ping(2));
        _refuses(ping(1), overNativeLimit());
        assertEq(_nativeUsed(), 10);
    }

    function test_keyMustBeRegistered() public {
        _refuses(ping(), keyIsGone());
        grant(listOf(allow(address(target))));
        _runs(ping());
        vm.prank(owner.addr);
        keys.removeSessionKey(key.addr, 0);
        _refuses(ping(), keyIsGone());
    }

    function test_keyOfAnotherAccount_isNotRegisteredHere() public {
        IModularAccount second = createAccount(1, owner.addr);
        bytes32 manifestHash = manifestHashOf(address(plugin));
        vm.startPrank(owner.addr);
        second.installPlugin(address(plugin), manifestHash, noKeys(), ownerDependencies());
        ISessionKeyPlugin(address(second)).addSessionKey(key.addr, 0, listOf(allow(address(target))));
        vm.stopPrank();
        _refuses(ping(), keyIsGone());
    }

    function test_accessListHolds() public {
        grant(listOf(allow(payee), entry(address(target), true, true)));
        _runs(call(payee, 0, ""));
        _refuses(ping(), denied());
        _refuses(join(call(payee, 0, ""), ping()), denied());
        _refuses(new Call[](0), denied());
        update(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS));
        _runs(ping());
        _refuses(call(address(account), 0, ""), denied());
        _refuses(call(address(ENTRY_POINT), 0, ""), denied());
    }

    function test_timeRangeHolds() public {
        uint48 time = uint48(block.timestamp);
        grant(listOf(allow(address(target)), timeRange(time + 1, time + 2)));
        _refuses(ping(), denied());
        vm.warp(time + 1);
        _runs(ping());
        vm.warp(time + 2);
        _runs(ping());
        vm.warp(time + 3);
        _refuses(ping(), denied());
    }

    function test_tokenLimitHolds() public {
        grant(listOf(allow(address(token)), tokenLimit(10, 0)));
        _runs(transfer(6));
        _runs(call(address(token), 0, abi.encodeCall(TestToken.approve, (payee, 4))));
        _refuses(transfer(1), overTokenLimit());
        _refuses(
            call(address(token), 0, abi.encodeCall(TestToken.transferFrom, (address(account), payee, 1))), denied()
        );
        assertEq(token.balanceOf(payee), 1 ether + 6);
    }

    /// @dev Nothing is charged to the gas limit, because no operation of the key was validated; a pending reset is
    /// settled, as by every execution.
    function test_gasLimit_isSettledAndNotCharged() public {
        // An operation of `keyOp` costs at most 0.008 ether.
        grant(listOf(allow(address(target)), gasLimit(0.012 ether, INTERVAL)));
        passes(ping());
        vm.warp(block.timestamp + INTERVAL);
        refusedInExecution(call(address(target), 0, hex"00000001"), "");
        (ISessionKeyPlugin.SpendLimitInfo memory info, bool shouldReset) =
            plugin.getGasSpendLimit(address(account), key.addr);
        assertTrue(shouldReset);
        _runs(ping());
        (info, shouldReset) = plugin.getGasSpendLimit(address(account), key.addr);
        assertFalse(shouldReset);
        assertEq(info.lastUsedTime, block.timestamp);
        assertEq(info.limitUsed, 0.008 ether);
        // The cost of the key's own operations now exceeds the limit: nothing runs in its name.
        update(gasLimit(0.008 ether - 1, INTERVAL));
        _refuses(ping(), denied());
    }

    /// @dev The paymaster rule is about operations of the key, and there is none.
    function test_requiredPaymaster_isNotAskedFor() public {
        grant(listOf(allow(address(target)), requiredPaymaster(payee)));
        refusedInValidation(ping());
        _runs(ping());
    }

    /// @dev Crafted arguments are decoded as strictly as those of an operation.
    function test_craftedArguments_areRefused() public {
        grant(listOf(allow(address(target))));
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (ping(), key.addr));
        // The first call's offset, after the selector and three words, points backward.
        assembly ("memory-safe") {
            mstore(add(data, 132), sub(0, 32))
        }
        _plan(_throughPlugin(data));
        _refusesPlan(denied());
    }

    /* Other ways to the same function */

    function test_withoutPermission_isRefused() public {
        grant(listOf(allow(address(target))));
        uninstall(address(other));
        other = _installOther(false);
        _plan(ping());
        _refusesPlan(
            abi.encodeWithSelector(
                IModularAccount.ExecFromPluginNotPermitted.selector,
                other,
                ISessionKeyPlugin.executeWithSessionKey.selector
            )
        );
    }

    /// @dev Not as a runtime call of the account, not by a call from the account, and not on the plugin itself, for
    /// which the caller is an account without keys.
    function test_otherWays_areRefused() public {
        grant(listOf(allow(address(target))));
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (ping(), key.addr));
        _plan(data);
        _refusesPlan(abi.encodeWithSelector(IModularAccount.AlwaysDenyRule.selector));
        _plan(abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(plugin), 0, data)));
        _refusesPlan(abi.encodeWithSelector(IModularAccount.PluginCallDenied.selector, plugin));
        _plan(abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(account), 0, data)));
        _refusesPlan(
            abi.encodeWithSelector(IModularAccount.ExecFromPluginExternalNotPermitted.selector, other, account, 0, data)
        );
        vm.expectRevert(keyIsGone());
        other.doCall(address(plugin), 0, data);
    }

    /* In a bundle */

    /// @dev Both are validated before either executes; they still share the limit.
    function test_bundle_pluginBeforeTheKey() public {
        grant(listOf(allow(address(target)), nativeLimit(10, 0)));
        _plan(ping(6));
        refusedInBundle(_pluginOp(), keyOp(ping(6)), overNativeLimit());
        assertEq(_nativeUsed(), 6);
    }

    function test_bundle_keyBeforeThePlugin() public {
        grant(listOf(allow(address(target)), nativeLimit(10, 0)));
        _plan(ping(6));
        refusedInBundle(keyOp(ping(6)), _pluginOp(), overNativeLimit());
        assertEq(_nativeUsed(), 6);
    }

    function test_bundle_pluginAfterTheOwner() public {
        grant(listOf(allow(address(target))));
        _plan(ping());
        _refusedAfterOwner(abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key.addr, 0)), keyIsGone());
        _refusedAfterOwner(abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (key.addr, 0, payee)), keyIsGone());
        bytes[] memory changes = listOf(entry(address(target), false, false));
        _refusedAfterOwner(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, changes)), denied());
        changes = listOf(timeRange(0, uint48(block.timestamp) - 1));
        _refusedAfterOwner(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, changes)), denied());
        _refusedAfterOwner(
            uninstallCall(address(plugin)),
            abi.encodeWithSelector(
                IModularAccount.UnrecognizedFunction.selector, ISessionKeyPlugin.executeWithSessionKey.selector
            )
        );
    }

    function _refusedAfterOwner(bytes memory ownerCall, bytes memory expected) private {
        uint256 state = vm.snapshotState();
        refusedInBundle(ownerOp(ownerCall), _pluginOp(), expected);
        vm.revertToState(state);
    }

    /* Within the key's own operation */

    /// @dev A contract that the key calls re-enters through the plugin. The key's own spending is booked before its
    /// first call, so both together stay within the limit.
    function test_reentrance_sharesTheLimit() public {
        grant(listOf(allow(address(target)), allow(address(relay)), nativeLimit(10, 0)));
        bytes memory back = abi.encodeCall(Relay.relay, (address(account), abi.encodeWithSelector(BY_ANYONE, 0)));
        Call[] memory calls = join(call(address(relay), 0, back), ping(6));
        _plan(ping(5));
        refusedInExecution(calls, overNativeLimit());
        assertEq(_nativeUsed(), 0);
        _plan(ping(4));
        passes(calls);
        assertEq(_nativeUsed(), 10);
        assertEq(address(target).balance, 1 ether + 10);
    }

    function test_reentrance_isHeldToTheAccessList() public {
        grant(listOf(allow(address(target)), allow(address(relay))));
        bytes memory back = abi.encodeCall(Relay.relay, (address(account), abi.encodeWithSelector(BY_ANYONE, 0)));
        _plan(call(payee, 0, ""));
        refusedInExecution(call(address(relay), 0, back), denied());
        _plan(ping());
        passes(call(address(relay), 0, back));
    }
}
