// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

import {IAccount, UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IModularAccountFactory} from "../../src/interfaces/IModularAccountFactory.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {listOf} from "./ListLiterals.sol";

/// @notice The stack of contracts, deployed for a test: the real EntryPoint v0.6 at its address, the account implementation,
/// the owner plugin, the factory, and an account with one owner that has native token and a deposit.
///
/// Contracts are deployed from their artifacts, as in production.
abstract contract StackTest is Test {
    IEntryPoint internal constant ENTRY_POINT = IEntryPoint(0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789);

    /// @dev The address at which the EntryPoint's constructor ran.
    address internal deployedEntryPoint;
    address internal implementation;
    IMultiOwnerPlugin internal ownerPlugin;
    IModularAccountFactory internal factory;
    /// @dev Created with `owner` as its only owner and salt 0.
    IModularAccount internal account;

    Vm.Wallet internal owner;
    address internal factoryOwner = makeAddr("factory owner");
    /// @dev Sends bundles; an externally owned account.
    address internal bundler = makeAddr("bundler");
    address payable internal beneficiary = payable(makeAddr("beneficiary"));

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        vm.deal(bundler, 1000 ether);
        vm.deal(beneficiary, 1 ether);
        owner = vm.createWallet("owner");

        _deployEntryPoint();
        implementation = deployCode("ModularAccount.sol:ModularAccount", abi.encode(ENTRY_POINT));
        ownerPlugin = IMultiOwnerPlugin(deployCode("MultiOwnerPlugin.sol:MultiOwnerPlugin"));
        factory = IModularAccountFactory(
            payable(deployCode(
                    "ModularAccountFactory.sol:ModularAccountFactory",
                    abi.encode(
                        factoryOwner, ownerPlugin, implementation, manifestHashOf(address(ownerPlugin)), ENTRY_POINT
                    )
                ))
        );
        account = createAccount(0, owner.addr);
    }

    /// @dev The published bytecode, put at the published address. Its one immutable, the SenderCreator that its constructor
    /// deploys, stays valid.
    function _deployEntryPoint() private {
        string memory artifact = vm.readFile("node_modules/@account-abstraction/contracts/artifacts/EntryPoint.json");
        bytes memory creationCode = vm.parseJsonBytes(artifact, ".bytecode");
        address deployed;
        assembly ("memory-safe") {
            deployed := create(0, add(creationCode, 0x20), mload(creationCode))
        }
        deployedEntryPoint = deployed;
        vm.etch(address(ENTRY_POINT), deployed.code);
        vm.label(address(ENTRY_POINT), "EntryPoint");
    }

    /// @notice Creates an account with one owner, 100 ether and a deposit of 10 ether.
    function createAccount(uint256 salt, address accountOwner) internal returns (IModularAccount created) {
        created = IModularAccount(payable(factory.createAccount(salt, listOf(accountOwner))));
        vm.deal(address(created), 100 ether);
        vm.deal(address(this), 10 ether);
        ENTRY_POINT.depositTo{value: 10 ether}(address(created));
    }

    /* Plugins */

    /// @notice `keccak256(abi.encode(manifest))`, as owners consent to it.
    function manifestHashOf(address plugin) internal pure returns (bytes32) {
        return keccak256(abi.encode(IPlugin(plugin).pluginManifest()));
    }

    /// @notice Installs a plugin without dependencies, as the owner in a runtime call.
    function install(address plugin, bytes memory installData) internal {
        install(plugin, installData, new bytes21[](0));
    }

    /// @notice Installs a plugin as the owner in a runtime call.
    function install(address plugin, bytes memory installData, bytes21[] memory dependencies) internal {
        bytes32 manifestHash = manifestHashOf(plugin);
        vm.prank(owner.addr);
        account.installPlugin(plugin, manifestHash, installData, dependencies);
    }

    /// @notice Uninstalls a plugin as the owner in a runtime call.
    function uninstall(address plugin) internal {
        vm.prank(owner.addr);
        account.uninstallPlugin(plugin, "", "");
    }

    /// @notice A function reference.
    function ref(address plugin, uint8 functionId) internal pure returns (bytes21) {
        return bytes21(abi.encodePacked(plugin, functionId));
    }

    function refs(bytes21 a) internal pure returns (bytes21[] memory list) {
        list = new bytes21[](1);
        list[0] = a;
    }

    function refs(bytes21 a, bytes21 b) internal pure returns (bytes21[] memory list) {
        list = new bytes21[](2);
        (list[0], list[1]) = (a, b);
    }

    /// @notice The two functions of the owner plugin that other plugins depend on: runtime, then user operation validation.
    function ownerDependencies() internal view returns (bytes21[] memory) {
        return refs(
            ref(address(ownerPlugin), uint8(IMultiOwnerPlugin.FunctionId.RUNTIME_VALIDATION_OWNER_OR_SELF)),
            ref(address(ownerPlugin), uint8(IMultiOwnerPlugin.FunctionId.USER_OP_VALIDATION_OWNER))
        );
    }

    /// @notice Makes an address an owner of the account, unless it is one.
    function makeOwner(address newOwner) internal {
        if (ownerPlugin.isOwnerOf(address(account), newOwner)) return;
        vm.prank(owner.addr);
        IMultiOwnerPlugin(address(account)).updateOwners(listOf(newOwner), new address[](0));
    }

    /* Call data of the account */

    function executeCall(address target, uint256 value, bytes memory data) internal pure returns (bytes memory) {
        return abi.encodeCall(IStandardExecutor.execute, (target, value, data));
    }

    function batchCall(Call[] memory calls) internal pure returns (bytes memory) {
        return abi.encodeCall(IStandardExecutor.executeBatch, (calls));
    }

    function installCall(address plugin) internal pure returns (bytes memory) {
        return installCall(plugin, "", new bytes21[](0));
    }

    function installCall(address plugin, bytes memory installData, bytes21[] memory dependencies)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IPluginManager.installPlugin, (plugin, manifestHashOf(plugin), installData, dependencies));
    }

    function uninstallCall(address plugin) internal pure returns (bytes memory) {
        return uninstallCall(plugin, "");
    }

    function uninstallCall(address plugin, bytes memory config) internal pure returns (bytes memory) {
        return abi.encodeCall(IPluginManager.uninstallPlugin, (plugin, config, ""));
    }

    /// @notice The `config` of an uninstall.
    /// @param callbackGasLimit Gas units; zero: no limit.
    function uninstallConfig(bytes memory serializedManifest, bool forceUninstall, uint256 callbackGasLimit)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(IPluginManager.UninstallPluginConfig(serializedManifest, forceUninstall, callbackGasLimit));
    }

    function validateCall(UserOperation memory op, bytes32 userOpHash, uint256 missingAccountFunds)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(IAccount.validateUserOp.selector, op, userOpHash, missingAccountFunds);
    }

    /* User operations */

    /// @notice An operation of `account` with nonce key 0, gas for everything and no signature yet.
    function buildUserOp(bytes memory callData) internal view returns (UserOperation memory) {
        return buildUserOp(callData, 0);
    }

    /// @notice An operation of `account`, gas for everything and no signature yet.
    function buildUserOp(bytes memory callData, uint192 nonceKey) internal view returns (UserOperation memory op) {
        op.sender = address(account);
        op.nonce = ENTRY_POINT.getNonce(address(account), nonceKey);
        op.callData = callData;
        op.callGasLimit = 5_000_000;
        op.verificationGasLimit = 3_000_000;
        op.maxFeePerGas = 1 gwei;
        op.maxPriorityFeePerGas = 1 gwei;
    }

    /// @notice A signed operation of the owner.
    function ownerOp(bytes memory callData) internal view returns (UserOperation memory op) {
        op = buildUserOp(callData);
        sign(op, owner.privateKey);
    }

    /// @notice Signs an operation: ECDSA over the EIP-191 message of its hash.
    function sign(UserOperation memory op, uint256 privateKey) internal view {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, eip191Hash(ENTRY_POINT.getUserOpHash(op)));
        op.signature = abi.encodePacked(r, s, v);
    }

    function eip191Hash(bytes32 hash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", hash));
    }

    /// @notice Sends one operation as a bundle; reverts as `handleOps` does.
    /// @return success Whether the operation's call succeeded.
    /// @return revertReason The revert data of the call, if it reverted.
    function send(UserOperation memory op) internal returns (bool success, bytes memory revertReason) {
        UserOperation[] memory ops = new UserOperation[](1);
        ops[0] = op;
        bytes32 userOpHash = ENTRY_POINT.getUserOpHash(op);
        vm.recordLogs();
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bool found;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(ENTRY_POINT) || logs[i].topics.length < 2) continue;
            if (logs[i].topics[1] != userOpHash) continue;
            if (logs[i].topics[0] == IEntryPoint.UserOperationRevertReason.selector) {
                (, revertReason) = abi.decode(logs[i].data, (uint256, bytes));
            } else if (logs[i].topics[0] == IEntryPoint.UserOperationEvent.selector) {
                (, success,,) = abi.decode(logs[i].data, (uint256, bool, uint256, uint256));
                found = true;
            }
        }
        assertTrue(found, "no UserOperationEvent");
    }

    /// @notice Sends one operation of the owner, whose call must succeed.
    function sendAsOwner(bytes memory callData) internal {
        (bool success, bytes memory revertReason) = send(ownerOp(callData));
        if (!success) LowLevelCall.bubbleRevert(revertReason);
    }

    /// @notice Sends one operation of the owner, whose call must revert with exactly this.
    function sendAsOwnerExpectingRevert(bytes memory callData, bytes memory expectedReason) internal {
        (bool success, bytes memory revertReason) = send(ownerOp(callData));
        assertFalse(success, "the call succeeded");
        assertEq(revertReason, expectedReason, "revert reason");
    }

    /// @notice Expects that the next `handleOps` reverts with `FailedOp(0, reason)`; see the EntryPoint's AAxx codes.
    function expectFailedOp(string memory reason) internal {
        vm.expectRevert(abi.encodeWithSelector(IEntryPoint.FailedOp.selector, 0, reason));
    }

    /// @notice The result of the account's `validateUserOp` for an operation, called by the EntryPoint; state changes
    /// are kept.
    function validate(UserOperation memory op) internal returns (uint256 validationData) {
        bytes memory callData = validateCall(op, ENTRY_POINT.getUserOpHash(op), 0);
        vm.prank(address(ENTRY_POINT));
        (bool success, bytes memory answer) = op.sender.call(callData);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return abi.decode(answer, (uint256));
    }

    /// @notice Packs validation data: bits 0..159 authorizer, 160..207 validUntil, 208..255 validAfter.
    function packValidationData(address authorizer, uint48 validUntil, uint48 validAfter)
        internal
        pure
        returns (uint256)
    {
        return uint160(authorizer) | uint256(validUntil) << 160 | uint256(validAfter) << 208;
    }
}
