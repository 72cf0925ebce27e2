// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, listOf} from "./ListLiterals.sol";

/// @notice The installation functions that every face of the engine has, with the same selectors.
interface IInstallable {
    function onInstall(bytes calldata data) external;
    function onUninstall(bytes calldata data) external;
}

/// @notice One face of the engine alone, installed on a stub account with one registered key, `key`. The tests of the
/// rules are written against it, and run for each face: see `SessionKeyFaces`.
abstract contract SessionKeyTest is Test {
    /// @notice The part of a user operation that all EntryPoints share.
    struct Operation {
        address sender;
        uint256 nonce;
        bytes callData;
        // All the gas that it may use, in gas units.
        uint256 gas;
        // Wei per gas unit.
        uint256 maxFeePerGas;
        bytes paymasterAndData;
        bytes signature;
    }

    address internal constant ENTRY_POINT = 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789;
    bytes32 internal constant SENTINEL = bytes32(uint256(1));
    bytes32 internal constant TAG = "tag";
    bytes32 internal constant USER_OP_HASH = keccak256("user operation");
    uint256 internal constant NO_LIMIT = type(uint256).max;
    uint48 internal constant START = 1_700_000_000;
    uint48 internal constant DAY = 1 days;

    /// @dev The contract under test.
    ISessionKeyPlugin internal face;
    /// @dev Calls to it reach the face with the account as their sender.
    ISessionKeyPlugin internal account;
    Vm.Wallet internal wallet;
    address internal key;
    Counter internal counter;
    TestToken internal token;

    function setUp() public virtual {
        vm.warp(START);
        face = ISessionKeyPlugin(deployFace());
        account = newAccount();
        wallet = vm.createWallet("session key");
        key = wallet.addr;
        counter = new Counter();
        token = new TestToken("Token", "TKN", 18);
        token.mint(address(account), 1_000_000 ether);
        install(account);
        account.addSessionKey(key, TAG, new bytes[](0));
    }

    /* The face */

    /// @notice Deploys the contract under test.
    function deployFace() internal virtual returns (address);

    /// @notice An account with the face, which makes the calls it asks for, and passes everything else on to it.
    function deployAccount() internal virtual returns (address);

    /// @notice The same, but it makes no calls and records those it should have made: an `IRecorder`.
    function deployRecorder() internal virtual returns (address);

    /// @notice The first nonce of a session key's own lane.
    function firstNonce(address sessionKey) internal pure virtual returns (uint256);

    /// @notice The shortest `paymasterAndData` of a paymaster.
    function paymasterData(address paymaster) internal pure virtual returns (bytes memory);

    /// @notice The call by which an account has an operation validated, whose hash is `USER_OP_HASH`.
    function encodeValidation(Operation memory op) internal pure virtual returns (bytes memory);

    /* Accounts and keys */

    function newAccount() internal returns (ISessionKeyPlugin created) {
        created = ISessionKeyPlugin(deployAccount());
        vm.deal(address(created), 1000 ether);
    }

    function install(ISessionKeyPlugin on) internal {
        IInstallable(address(on)).onInstall(abi.encode(new address[](0), new bytes32[](0), new bytes[][](0)));
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

    function operation(Call[] memory calls) internal view returns (Operation memory) {
        return rawOperation(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key)));
    }

    /// @notice Signed by `key`, in its nonce lane.
    function rawOperation(bytes memory callData) internal view returns (Operation memory op) {
        op.sender = address(account);
        op.nonce = firstNonce(key);
        op.callData = callData;
        op.signature = signature(wallet.privateKey);
    }

    function signature(uint256 privateKey) internal pure returns (bytes memory) {
        bytes32 digest = keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", USER_OP_HASH));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest);
        return abi.encodePacked(r, s, v);
    }

    function validate(Operation memory op) internal returns (uint256) {
        (bool success, bytes memory answer) = address(account).call(encodeValidation(op));
        if (!success) LowLevelCall.bubbleRevert(answer);
        return abi.decode(answer, (uint256));
    }

    function validate(Call[] memory calls) internal returns (uint256) {
        return validate(operation(calls));
    }

    /// @notice An operation that may cost `cost` wei.
    function gasOperation(uint256 cost) internal view returns (Operation memory op) {
        op = operation(increment());
        op.gas = cost;
        op.maxFeePerGas = 1;
    }

    /// @notice Validation refuses with `PermissionsCheckFailed`.
    function refused(Call[] memory calls) internal {
        refused(operation(calls));
    }

    function refused(Operation memory op) internal {
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
        return face.getNativeTokenSpendLimitInfo(address(account), key);
    }

    function tokenInfo() internal view returns (ISessionKeyPlugin.SpendLimitInfo memory) {
        return face.getERC20SpendLimitInfo(address(account), key, address(token));
    }

    function gasInfo() internal view returns (ISessionKeyPlugin.SpendLimitInfo memory info) {
        (info,) = face.getGasSpendLimit(address(account), key);
    }

    function resetPending() internal view returns (bool pending) {
        (, pending) = face.getGasSpendLimit(address(account), key);
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
        assertEq(face.sessionKeysOf(address(account)), expected, "keys");
    }
}
