// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {StubAccount} from "../mocks/StubAccount.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, listOf} from "./ListLiterals.sol";

/// @notice The plugin on its own, installed on a stub account with one registered key, `key`.
abstract contract SessionKeyPluginTest is Test {
    address internal constant ENTRY_POINT = 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789;
    bytes32 internal constant SENTINEL = bytes32(uint256(1));
    bytes32 internal constant TAG = "tag";
    bytes32 internal constant USER_OP_HASH = keccak256("user operation");
    uint256 internal constant NO_LIMIT = type(uint256).max;
    uint48 internal constant START = 1_700_000_000;
    uint48 internal constant DAY = 1 days;

    ISessionKeyPlugin internal plugin;
    /// @dev Calls of it reach the plugin with the account as their sender.
    ISessionKeyPlugin internal account;
    Vm.Wallet internal wallet;
    address internal key;
    Counter internal counter;
    TestToken internal token;

    function setUp() public virtual {
        vm.warp(START);
        plugin = ISessionKeyPlugin(deployCode("SessionKeyPlugin.sol:SessionKeyPlugin"));
        account = newAccount();
        wallet = vm.createWallet("session key");
        key = wallet.addr;
        counter = new Counter();
        token = new TestToken("Token", "TKN", 18);
        token.mint(address(account), 1_000_000 ether);
        install(account);
        account.addSessionKey(key, TAG, new bytes[](0));
    }

    /* Accounts and keys */

    function newAccount() internal returns (ISessionKeyPlugin created) {
        created = ISessionKeyPlugin(address(new StubAccount(address(plugin))));
        vm.deal(address(created), 1000 ether);
    }

    function install(ISessionKeyPlugin on) internal {
        IPlugin(address(on)).onInstall(abi.encode(new address[](0), new bytes32[](0), new bytes[][](0)));
    }

    /// @notice Adds a key with default permissions.
    function addKey(string memory name) internal returns (address added) {
        added = makeAddr(name);
        account.addSessionKey(added, TAG, new bytes[](0));
    }

    function pred(address previous) internal pure returns (bytes32) {
        return bytes32(bytes20(previous));
    }

    /* Updates of `key` */

    function update(bytes memory data) internal {
        account.updateKeyPermissions(key, listOf(data));
    }

    function setListType(ISessionKeyPlugin.ContractAccessControlType listType) internal {
        update(abi.encodeCall(Updates.setAccessListType, (listType)));
    }

    function allowAll() internal {
        setListType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS);
    }

    function denylist() internal {
        setListType(ISessionKeyPlugin.ContractAccessControlType.DENYLIST);
    }

    function setEntry(address target, bool isOnList, bool checkSelectors) internal {
        update(abi.encodeCall(Updates.updateAccessListAddressEntry, (target, isOnList, checkSelectors)));
    }

    function setFunction(address target, bytes4 selector, bool isOnList) internal {
        update(abi.encodeCall(Updates.updateAccessListFunctionEntry, (target, selector, isOnList)));
    }

    function setTimeRange(uint48 validAfter, uint48 validUntil) internal {
        update(abi.encodeCall(Updates.updateTimeRange, (validAfter, validUntil)));
    }

    function setNative(uint256 limit, uint48 interval) internal {
        update(abi.encodeCall(Updates.setNativeTokenSpendLimit, (limit, interval)));
    }

    function setToken(uint256 limit, uint48 interval) internal {
        update(abi.encodeCall(Updates.setERC20SpendLimit, (address(token), limit, interval)));
    }

    function setGas(uint256 limit, uint48 interval) internal {
        update(abi.encodeCall(Updates.setGasSpendLimit, (limit, interval)));
    }

    function setPaymaster(address paymaster) internal {
        update(abi.encodeCall(Updates.setRequiredPaymaster, (paymaster)));
    }

    /* Calls */

    function increment() internal view returns (Call[] memory) {
        return call(address(counter), 0, abi.encodeCall(Counter.increment, ()));
    }

    function pay(uint256 value) internal pure returns (Call[] memory) {
        return call(address(0xBEEF), value, "");
    }

    function transfer(uint256 amount) internal view returns (Call[] memory) {
        return call(address(token), 0, abi.encodeCall(TestToken.transfer, (address(0xBEEF), amount)));
    }

    function approve(uint256 amount) internal view returns (Call[] memory) {
        return call(address(token), 0, abi.encodeCall(TestToken.approve, (address(0xBEEF), amount)));
    }

    /* Validation and execution */

    function execute(Call[] memory calls) internal returns (bytes[] memory) {
        return account.executeWithSessionKey(calls, key);
    }

    function operation(Call[] memory calls) internal view returns (UserOperation memory) {
        return rawOperation(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key)));
    }

    /// @notice Signed by `key`, in its nonce lane.
    function rawOperation(bytes memory callData) internal view returns (UserOperation memory op) {
        op.sender = address(account);
        op.nonce = uint256(uint160(key)) << 64;
        op.callData = callData;
        op.signature = signature(wallet.privateKey);
    }

    function signature(uint256 privateKey) internal pure returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", USER_OP_HASH));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest);
        return abi.encodePacked(r, s, v);
    }

    function validate(UserOperation memory op) internal returns (uint256) {
        return IPlugin(address(account)).userOpValidationFunction(0, op, USER_OP_HASH);
    }

    function validate(Call[] memory calls) internal returns (uint256) {
        return validate(operation(calls));
    }

    /// @notice An operation that may cost `cost` wei.
    function gasOperation(uint256 cost) internal view returns (UserOperation memory op) {
        op = operation(increment());
        op.callGasLimit = cost;
        op.maxFeePerGas = 1;
    }

    /// @notice Validation refuses with `PermissionsCheckFailed`.
    function refused(Call[] memory calls) internal {
        refused(operation(calls));
    }

    function refused(UserOperation memory op) internal {
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        validate(op);
    }

    /// @notice Both validation and execution refuse with `PermissionsCheckFailed`.
    function refusedTwice(Call[] memory calls) internal {
        refused(calls);
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        execute(calls);
    }

    /// @notice Validation accepts without a condition on the time, and execution runs.
    function accepted(Call[] memory calls) internal {
        assertEq(validate(calls), 0, "validation data");
        execute(calls);
    }

    function expectInvalidKey(address sessionKey) internal {
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidSessionKey.selector, sessionKey));
    }

    function expectNativeExceeded() internal {
        vm.expectRevert(
            abi.encodeWithSelector(ISessionKeyPlugin.NativeTokenSpendLimitExceeded.selector, address(account), key)
        );
    }

    function expectTokenExceeded() internal {
        vm.expectRevert(
            abi.encodeWithSelector(
                ISessionKeyPlugin.ERC20SpendLimitExceeded.selector, address(account), key, address(token)
            )
        );
    }

    /// @notice Validation data of the right signer.
    function packed(uint48 validAfter, uint48 validUntil) internal pure returns (uint256) {
        return uint256(validAfter) << 208 | uint256(validUntil) << 160;
    }

    /* Views */

    function nativeInfo() internal view returns (ISessionKeyPlugin.SpendLimitInfo memory) {
        return plugin.getNativeTokenSpendLimitInfo(address(account), key);
    }

    function tokenInfo() internal view returns (ISessionKeyPlugin.SpendLimitInfo memory) {
        return plugin.getERC20SpendLimitInfo(address(account), key, address(token));
    }

    function gasInfo() internal view returns (ISessionKeyPlugin.SpendLimitInfo memory info) {
        (info,) = plugin.getGasSpendLimit(address(account), key);
    }

    function resetPending() internal view returns (bool pending) {
        (, pending) = plugin.getGasSpendLimit(address(account), key);
    }

    function assertInfo(
        ISessionKeyPlugin.SpendLimitInfo memory info,
        bool hasLimit,
        uint256 limit,
        uint256 used,
        uint48 interval,
        uint48 lastUsed
    ) internal pure {
        assertEq(info.hasLimit, hasLimit, "hasLimit");
        assertEq(info.limit, limit, "limit");
        assertEq(info.limitUsed, used, "limitUsed");
        assertEq(info.refreshInterval, interval, "refreshInterval");
        assertEq(info.lastUsedTime, lastUsed, "lastUsedTime");
    }

    function assertKeys(address[] memory expected) internal view {
        assertEq(plugin.sessionKeysOf(address(account)), expected, "keys");
    }
}
