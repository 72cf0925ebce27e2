// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable} from "@openzeppelin/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/access/Ownable2Step.sol";

import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IModularAccountFactory} from "../../src/interfaces/IModularAccountFactory.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {AccountTest} from "../utils/AccountTest.sol";
import {listOf} from "../utils/ListLiterals.sol";

/// @notice Accounts at addresses known in advance, and the factory's owner, stake and balance.
contract ModularAccountFactoryTest is AccountTest {
    function _owners(uint256 count) private pure returns (address[] memory owners) {
        owners = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            owners[i] = address(uint160(i + 1));
        }
    }

    function test_constructor_keepsItsArguments() public view {
        assertEq(factory.ENTRYPOINT(), address(ENTRY_POINT));
        assertEq(factory.IMPL(), implementation);
        assertEq(factory.MULTI_OWNER_PLUGIN(), address(ownerPlugin));
        assertEq(Ownable(address(factory)).owner(), factoryOwner);
    }

    /* Accounts */

    function testFuzz_createAccount_agreesWithGetAddress(uint256 salt, uint8 count) public {
        address[] memory owners = _owners(bound(count, 1, 100));
        address predicted = factory.getAddress(salt, owners);
        assertEq(predicted.code.length, 0);
        assertEq(factory.createAccount(salt, owners), predicted);
        assertEq(factory.getAddress(salt, owners), predicted);
        assertGt(predicted.code.length, 0);
        address[] memory listed = ownerPlugin.ownersOf(predicted);
        assertEq(listed.length, owners.length);
        for (uint256 i = 0; i < owners.length; ++i) {
            assertEq(listed[i], owners[owners.length - 1 - i]);
        }
        assertEq(IModularAccount(payable(predicted)).getInstalledPlugins()[0], address(ownerPlugin));
    }

    function test_createAccount_takesAHundredOwners() public {
        address[] memory owners = _owners(100);
        address predicted = factory.getAddress(3, owners);
        assertEq(factory.createAccount(3, owners), predicted);
        assertEq(ownerPlugin.ownersOf(predicted).length, 100);
    }

    /// @dev The salt of CREATE2, as clients compute it.
    function test_createAccount_isAtItsCreate2Address() public {
        address[] memory owners = _owners(3);
        bytes32 salt = keccak256(abi.encode(uint256(42), abi.encode(owners)));
        // The minimal ERC-1967 proxy: creation code of 95 bytes with the implementation's address in it.
        bytes memory creationCode = abi.encodePacked(
            hex"603d3d8160223d3973",
            implementation,
            hex"60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076",
            hex"cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
        );
        assertEq(
            factory.createAccount(42, owners), vm.computeCreate2Address(salt, keccak256(creationCode), address(factory))
        );
        assertEq(
            vm.load(factory.getAddress(42, owners), 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc),
            bytes32(uint256(uint160(implementation)))
        );
    }

    function test_createAccount_dependsOnSaltAndOwners() public {
        address first = factory.createAccount(0, _owners(2));
        assertTrue(first != factory.createAccount(1, _owners(2)));
        assertTrue(first != factory.createAccount(0, _owners(3)));
    }

    function test_createAccount_again_changesNothing() public {
        address[] memory owners = listOf(owner.addr);
        counter.increment();
        vm.prank(owner.addr);
        account.execute(address(counter), 0, abi.encodeCall(counter.increment, ()));
        vm.recordLogs();
        assertEq(factory.createAccount(0, owners), address(account));
        assertEq(vm.getRecordedLogs().length, 0);
        vm.prank(owner.addr);
        account.execute(address(counter), 0, abi.encodeCall(counter.increment, ()));
        assertEq(counter.count(), 3);
    }

    /// @dev The address depends on the first owners, whoever owns the account now.
    function test_createAccount_again_keepsTheCurrentOwners() public {
        vm.prank(owner.addr);
        IMultiOwnerPlugin(address(account)).updateOwners(listOf(stranger), listOf(owner.addr));
        assertEq(factory.createAccount(0, listOf(owner.addr)), address(account));
        assertEq(ownerPlugin.ownersOf(address(account)), listOf(stranger));
    }

    /// forge-config: default.isolate = true
    function test_createAccount_againCostsLessThan32000Gas() public {
        address[] memory owners = listOf(owner.addr);
        factory.createAccount(0, owners);
        assertLt(vm.lastCallGas().gasTotalUsed, 32_000);
    }

    /// @dev With assets sent in advance: the sender of the first operation cannot give the account to anyone else.
    function test_createAccount_byAnyone_isItsOwners() public {
        vm.prank(stranger);
        address created = factory.createAccount(9, _owners(1));
        assertTrue(ownerPlugin.isOwnerOf(created, address(1)));
        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        IModularAccount(payable(created)).initialize(new address[](0), "");
    }

    function test_createAccount_revertsForBadOwners() public {
        address[] memory owners = _owners(2);
        (owners[0], owners[1]) = (owners[1], owners[0]);
        _expectRevertInBoth(owners, IModularAccountFactory.InvalidOwner.selector);
        owners[0] = owners[1];
        _expectRevertInBoth(owners, IModularAccountFactory.InvalidOwner.selector);
        owners[0] = address(0);
        _expectRevertInBoth(owners, IModularAccountFactory.InvalidOwner.selector);
        _expectRevertInBoth(new address[](1), IModularAccountFactory.InvalidOwner.selector);
        _expectRevertInBoth(new address[](0), IModularAccountFactory.OwnersArrayEmpty.selector);
        _expectRevertInBoth(_owners(101), IModularAccountFactory.OwnersLimitExceeded.selector);
        // The number is checked before the order.
        _expectRevertInBoth(new address[](101), IModularAccountFactory.OwnersLimitExceeded.selector);
    }

    function _expectRevertInBoth(address[] memory owners, bytes4 selector) private {
        vm.expectRevert(revertData(selector));
        factory.getAddress(0, owners);
        vm.expectRevert(revertData(selector));
        factory.createAccount(0, owners);
    }

    /* Ownership */

    function test_ownership_isTransferredInTwoSteps() public {
        Ownable2Step ownable = Ownable2Step(address(factory));
        vm.expectEmit(address(factory));
        emit Ownable2Step.OwnershipTransferStarted(factoryOwner, stranger);
        vm.prank(factoryOwner);
        ownable.transferOwnership(stranger);
        assertEq(ownable.owner(), factoryOwner);
        assertEq(ownable.pendingOwner(), stranger);
        vm.expectEmit(address(factory));
        emit Ownable.OwnershipTransferred(factoryOwner, stranger);
        vm.prank(stranger);
        ownable.acceptOwnership();
        assertEq(ownable.owner(), stranger);
    }

    function test_renounceOwnership_reverts() public {
        address[2] memory callers = [factoryOwner, stranger];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(revertData(IModularAccountFactory.InvalidAction.selector));
            factory.renounceOwnership();
        }
    }

    function test_ownerFunctions_revertForOthers() public {
        bytes[5] memory calls = [
            abi.encodeCall(IModularAccountFactory.addStake, (1, 0)),
            abi.encodeCall(IModularAccountFactory.unlockStake, ()),
            abi.encodeCall(IModularAccountFactory.withdrawStake, (payable(stranger))),
            abi.encodeCall(IModularAccountFactory.withdraw, (payable(stranger), address(0), 0)),
            abi.encodeCall(Ownable2Step.transferOwnership, (stranger))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool success, bytes memory answer) = address(factory).call(calls[i]);
            assertFalse(success);
            assertEq(answer, abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, stranger));
        }
    }

    /* Stake, at the real EntryPoint */

    function test_stake_isForTheOwner() public {
        vm.deal(factoryOwner, 10 ether);
        vm.startPrank(factoryOwner);
        factory.addStake{value: 3 ether}(1 days, 2 ether);
        IEntryPoint.DepositInfo memory info = ENTRY_POINT.getDepositInfo(address(factory));
        assertTrue(info.staked);
        assertEq(info.stake, 2 ether);
        assertEq(info.unstakeDelaySec, 1 days);
        assertEq(address(factory).balance, 1 ether, "the rest stays");
        // From what it holds.
        factory.addStake(1 days, 1 ether);
        assertEq(ENTRY_POINT.getDepositInfo(address(factory)).stake, 3 ether);

        vm.expectRevert("must call unlockStake() first");
        factory.withdrawStake(payable(stranger));
        factory.unlockStake();
        vm.expectRevert("Stake withdrawal is not due");
        factory.withdrawStake(payable(stranger));
        vm.warp(block.timestamp + 1 days);
        factory.withdrawStake(payable(stranger));
        assertEq(stranger.balance, 3 ether);
        assertEq(ENTRY_POINT.getDepositInfo(address(factory)).stake, 0);
        vm.expectRevert("not staked");
        factory.unlockStake();
        vm.expectRevert("must specify unstake delay");
        factory.addStake{value: 1}(0, 1);
    }

    function test_withdraw_sendsTheWholeNativeBalance() public {
        vm.deal(address(factory), 5 ether);
        vm.startPrank(factoryOwner);
        factory.withdraw(payable(stranger), address(0), 1);
        assertEq(stranger.balance, 5 ether, "the whole balance");
        vm.expectRevert(revertData(IModularAccountFactory.TransferFailed.selector));
        factory.withdraw(payable(address(ownerPlugin)), address(0), 0);
    }

    function test_withdraw_sendsTheAmountOfAToken() public {
        TestToken token = new TestToken("Token", "T", 18);
        token.mint(address(factory), 10);
        vm.startPrank(factoryOwner);
        factory.withdraw(payable(stranger), address(token), 4);
        assertEq(token.balanceOf(stranger), 4);
        vm.expectRevert();
        factory.withdraw(payable(stranger), address(token), 7);
    }

    function test_receive_acceptsNativeToken() public {
        vm.deal(stranger, 1);
        vm.prank(stranger);
        (bool success,) = address(factory).call{value: 1}("");
        assertTrue(success);
    }
}
