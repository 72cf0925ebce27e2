// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {listOf} from "../utils/ListLiterals.sol";
import {StackTest} from "../utils/StackTest.sol";

/// @notice Owners' operations, through the real EntryPoint.
contract OwnerOperationsTest is StackTest {
    Counter internal counter;

    function setUp() public override {
        super.setUp();
        counter = new Counter();
    }

    function _increment() private pure returns (bytes memory) {
        return abi.encodeCall(Counter.increment, ());
    }

    function test_execute_asUserOperation() public {
        sendAsOwner(executeCall(address(counter), 3, _increment()));
        assertEq(counter.count(), 1);
        assertEq(counter.lastCaller(), address(account));
        assertEq(address(counter).balance, 3);
    }

    function test_executeBatch_asUserOperation() public {
        Call[] memory calls = new Call[](3);
        for (uint256 i = 0; i < calls.length; ++i) {
            calls[i] = Call(address(counter), i, _increment());
        }
        sendAsOwner(batchCall(calls));
        assertEq(counter.count(), 3);
        assertEq(address(counter).balance, 3);
    }

    function test_execute_asRuntimeCall() public {
        vm.prank(owner.addr);
        bytes memory result = account.execute(address(counter), 0, _increment());
        assertEq(abi.decode(result, (uint256)), 1);
    }

    function test_handleOps_revertsIfSignedByAStranger() public {
        UserOperation memory op = buildUserOp(executeCall(address(counter), 0, _increment()));
        sign(op, vm.createWallet("stranger").privateKey);
        UserOperation[] memory ops = new UserOperation[](1);
        ops[0] = op;
        expectFailedOp("AA24 signature error");
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);
    }

    /// @dev The account does not exist yet, pays for its own creation, and makes a call in the same operation.
    function test_handleOps_createsTheAccount() public {
        address[] memory owners = listOf(owner.addr);
        address payable predicted = payable(factory.getAddress(77, owners));
        assertEq(predicted.code.length, 0);
        vm.deal(predicted, 1 ether);

        UserOperation memory op = buildUserOp(executeCall(address(counter), 1, _increment()));
        op.sender = predicted;
        op.nonce = 0;
        op.initCode = abi.encodePacked(factory, abi.encodeCall(factory.createAccount, (77, owners)));
        sign(op, owner.privateKey);
        (bool success,) = send(op);
        assertTrue(success);
        assertEq(counter.lastCaller(), predicted);
        assertEq(ownerPlugin.ownersOf(predicted), owners);
    }

    /// @dev Between the two calls no plugin validates anything: the account itself may still install.
    function test_executeBatch_replacesTheOwnerPlugin() public {
        address other = deployCode("MultiOwnerPlugin.sol:MultiOwnerPlugin");
        address newOwner = makeAddr("new owner");
        Call[] memory calls = new Call[](2);
        calls[0] = Call(address(account), 0, uninstallCall(address(ownerPlugin)));
        calls[1] = Call(address(account), 0, installCall(other, abi.encode(listOf(newOwner)), new bytes21[](0)));
        sendAsOwner(batchCall(calls));
        assertEq(account.getInstalledPlugins(), listOf(other));
        vm.prank(newOwner);
        account.execute(address(counter), 0, _increment());
        assertEq(counter.count(), 1);
    }

    /// @dev One operation, both or neither. Nothing is carried over: the install data lists the keys with all
    /// permissions.
    function test_executeBatch_exchangesTheSessionKeyPlugin() public {
        address first = deployCode("SessionKeyPlugin.sol:SessionKeyPlugin");
        address second = deployCode("SessionKeyPlugin.sol:SessionKeyPlugin");
        address[2] memory keys = [makeAddr("key that lives on"), makeAddr("key that does not")];
        bytes[][] memory updates = new bytes[][](2);
        updates[0] = listOf(abi.encodeCall(ISessionKeyPermissionsUpdates.setNativeTokenSpendLimit, (10, 0)));
        install(first, abi.encode(listOf(keys[0], keys[1]), new bytes32[](2), updates), ownerDependencies());

        bytes[][] memory newUpdates = new bytes[][](1);
        newUpdates[0] = listOf(abi.encodeCall(ISessionKeyPermissionsUpdates.setNativeTokenSpendLimit, (7, 0)));
        Call[] memory calls = new Call[](2);
        calls[0] = Call(address(account), 0, uninstallCall(first));
        // Without one of its dependencies, the new plugin cannot be installed: the old one stays unchanged.
        calls[1] = Call(address(account), 0, installCall(second));
        sendAsOwnerExpectingRevert(
            batchCall(calls), abi.encodeWithSelector(IModularAccount.InvalidDependenciesProvided.selector)
        );
        assertTrue(ISessionKeyPlugin(first).isSessionKeyOf(address(account), keys[1]));

        calls[1].data =
            installCall(second, abi.encode(listOf(keys[0]), new bytes32[](1), newUpdates), ownerDependencies());
        sendAsOwner(batchCall(calls));
        assertEq(account.getInstalledPlugins(), listOf(second, address(ownerPlugin)));
        assertEq(ISessionKeyPlugin(second).sessionKeysOf(address(account)), listOf(keys[0]));
        assertEq(ISessionKeyPlugin(first).sessionKeysOf(address(account)).length, 0);
        assertEq(ISessionKeyPlugin(second).getNativeTokenSpendLimitInfo(address(account), keys[0]).limit, 7);
        assertEq(account.getExecutionFunctionConfig(ISessionKeyPlugin.executeWithSessionKey.selector).plugin, second);
    }

    function test_updateOwners_asUserOperation() public {
        address second = makeAddr("second owner");
        sendAsOwner(abi.encodeCall(IMultiOwnerPlugin.updateOwners, (listOf(second), new address[](0))));
        assertTrue(ownerPlugin.isOwnerOf(address(account), second));
        vm.prank(second);
        account.execute(address(counter), 0, _increment());
        assertEq(counter.count(), 1);
    }
}
