// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {PingTarget} from "../mocks/PingTarget.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, listOf} from "./ListLiterals.sol";
import {StackTest} from "./StackTest.sol";

/// @notice The stack with the session key plugin installed on the account, a session key that is not registered yet, a target
/// and a token to call, and short ways to write permission updates, calls and operations.
abstract contract SessionKeyStackTest is StackTest {
    uint48 internal constant INTERVAL = 1 days;
    uint256 internal constant NO_LIMIT = type(uint256).max;

    ISessionKeyPlugin internal plugin;
    /// @dev The account, through the functions that the plugin adds to it.
    ISessionKeyPlugin internal keys;
    PingTarget internal target;
    TestToken internal token;
    Vm.Wallet internal key;
    address internal payee = makeAddr("payee");

    function setUp() public virtual override {
        super.setUp();
        plugin = ISessionKeyPlugin(deployCode("SessionKeyPlugin.sol:SessionKeyPlugin"));
        keys = ISessionKeyPlugin(address(account));
        target = new PingTarget();
        token = new TestToken("Test Token", "TEST", 18);
        key = vm.createWallet("session key");
        vm.deal(address(target), 1 ether);
        token.mint(address(account), 1_000_000 ether);
        token.mint(payee, 1 ether);
        install(address(plugin), noKeys(), ownerDependencies());
    }

    /* Keys */

    /// @notice Install data without keys.
    function noKeys() internal pure returns (bytes memory) {
        return abi.encode(new address[](0), new bytes32[](0), new bytes[][](0));
    }

    /// @notice Install data with the session key.
    function oneKey(bytes[] memory updates) internal view returns (bytes memory) {
        bytes[][] memory updatesOfKeys = new bytes[][](1);
        updatesOfKeys[0] = updates;
        return abi.encode(listOf(key.addr), new bytes32[](1), updatesOfKeys);
    }

    /// @notice Registers the session key, as the owner in a runtime call.
    function grant(bytes[] memory updates) internal {
        grant(key.addr, updates);
    }

    /// @notice Registers a session key, as the owner in a runtime call.
    function grant(address sessionKey, bytes[] memory updates) internal {
        vm.prank(owner.addr);
        keys.addSessionKey(sessionKey, bytes32("tag"), updates);
    }

    /// @notice Changes the session key's permissions, as the owner in a runtime call.
    function update(bytes memory change) internal {
        vm.prank(owner.addr);
        keys.updateKeyPermissions(key.addr, listOf(change));
    }

    /* Operations */

    /// @notice A signed operation of the session key, in its own nonce lane.
    function keyOp(Call[] memory calls) internal view returns (UserOperation memory op) {
        bytes memory callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key.addr));
        op = buildUserOp(callData, uint160(key.addr));
        sign(op, key.privateKey);
    }

    /// @notice The session key's calls must run.
    function passes(Call[] memory calls) internal {
        (bool success, bytes memory reason) = send(keyOp(calls));
        assertTrue(success, string.concat("reverted: ", vm.toString(reason)));
    }

    /// @notice The EntryPoint must refuse the session key's calls, because the plugin reverts in validation.
    function refusedInValidation(Call[] memory calls) internal {
        UserOperation memory op = keyOp(calls);
        uint256 state = vm.snapshotState();
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        this.validateExternally(op);
        vm.revertToState(state);
        expectFailedOp("AA23 reverted (or OOG)");
        this.sendExternally(op);
    }

    /// @notice The session key's calls must be included, and revert with exactly this.
    function refusedInExecution(Call[] memory calls, bytes memory expectedReason) internal {
        (bool success, bytes memory reason) = send(keyOp(calls));
        assertFalse(success, "the calls ran");
        assertEq(reason, expectedReason, "revert reason");
    }

    function sendExternally(UserOperation memory op) external returns (bool success, bytes memory reason) {
        return send(op);
    }

    function validateExternally(UserOperation memory op) external returns (uint256) {
        return validate(op);
    }

    /// @notice Sends two operations as one bundle.
    /// @return success Whether each one's call succeeded.
    function sendBundle(UserOperation memory first, UserOperation memory second)
        internal
        returns (bool[2] memory success, bytes memory secondReason)
    {
        UserOperation[] memory ops = new UserOperation[](2);
        (ops[0], ops[1]) = (first, second);
        vm.recordLogs();
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 found;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IEntryPoint.UserOperationEvent.selector) {
                (, success[found++],,) = abi.decode(logs[i].data, (uint256, bool, uint256, uint256));
            } else if (logs[i].topics[0] == IEntryPoint.UserOperationRevertReason.selector && found == 1) {
                (, secondReason) = abi.decode(logs[i].data, (uint256, bytes));
            }
        }
        assertEq(found, 2, "two operations");
    }

    /// @notice Sends two operations as one bundle: the first one's call must succeed, the second one's revert with exactly
    /// this.
    function refusedInBundle(UserOperation memory first, UserOperation memory second, bytes memory expectedReason)
        internal
    {
        (bool[2] memory success, bytes memory reason) = sendBundle(first, second);
        assertTrue(success[0], "the first operation");
        assertFalse(success[1], "the second operation");
        assertEq(reason, expectedReason, "revert reason");
    }

    /// @notice The plugin's revert data when the session key's calls break a rule.
    function denied() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISessionKeyPlugin.PermissionsCheckFailed.selector);
    }

    function keyIsGone() internal view returns (bytes memory) {
        return abi.encodeWithSelector(ISessionKeyPlugin.InvalidSessionKey.selector, key.addr);
    }

    function overNativeLimit() internal view returns (bytes memory) {
        return abi.encodeWithSelector(ISessionKeyPlugin.NativeTokenSpendLimitExceeded.selector, account, key.addr);
    }

    function overTokenLimit() internal view returns (bytes memory) {
        return
            abi.encodeWithSelector(
                ISessionKeyPlugin.ERC20SpendLimitExceeded.selector, account, key.addr, address(token)
            );
    }

    /* Calls */

    function ping() internal view returns (Call[] memory) {
        return ping(0);
    }

    /// @notice A call of the target with some wei.
    function ping(uint256 value) internal view returns (Call[] memory) {
        return call(address(target), value, abi.encodeCall(PingTarget.ping, (1)));
    }

    /// @notice A transfer of the token.
    function transfer(uint256 amount) internal view returns (Call[] memory) {
        return call(address(token), 0, abi.encodeCall(TestToken.transfer, (payee, amount)));
    }

    /* Permission updates */

    function listType(ISessionKeyPlugin.ContractAccessControlType kind) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setAccessListType, (kind));
    }

    function allow(address contractAddress) internal pure returns (bytes memory) {
        return entry(contractAddress, true, false);
    }

    function entry(address contractAddress, bool isOnList, bool checkSelectors) internal pure returns (bytes memory) {
        return abi.encodeCall(
            ISessionKeyPermissionsUpdates.updateAccessListAddressEntry, (contractAddress, isOnList, checkSelectors)
        );
    }

    function functionEntry(address contractAddress, bytes4 selector, bool isOnList)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(
            ISessionKeyPermissionsUpdates.updateAccessListFunctionEntry, (contractAddress, selector, isOnList)
        );
    }

    function timeRange(uint48 validAfter, uint48 validUntil) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.updateTimeRange, (validAfter, validUntil));
    }

    function nativeLimit(uint256 limit, uint48 interval) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setNativeTokenSpendLimit, (limit, interval));
    }

    function tokenLimit(uint256 limit, uint48 interval) internal view returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setERC20SpendLimit, (address(token), limit, interval));
    }

    function gasLimit(uint256 limit, uint48 interval) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setGasSpendLimit, (limit, interval));
    }

    function requiredPaymaster(address paymaster) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setRequiredPaymaster, (paymaster));
    }
}
