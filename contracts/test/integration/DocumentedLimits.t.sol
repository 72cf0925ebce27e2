// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {RefusingToken} from "../mocks/RefusingToken.sol";
import {TestNft} from "../mocks/TestNft.sol";
import {call, listOf} from "../utils/ListLiterals.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";

/// @notice Each limit of the threat model that a test can demonstrate. A change that lifts one must change its
/// sentence.
contract DocumentedLimitsTest is SessionKeyStackTest {
    /* Limits on contracts that are not ERC-20 tokens */

    function _limit(address contractAddress, uint256 amount) private pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setERC20SpendLimit, (contractAddress, amount, 0));
    }

    /// @dev An NFT's id counts as an amount: id 0 is free, even under a limit of zero, and large ids are refused like
    /// large amounts.
    function test_limitOnAnNft_countsIds() public {
        TestNft nft = new TestNft();
        nft.mint(address(account), 0);
        nft.mint(address(account), 7);
        grant(listOf(allow(address(nft)), _limit(address(nft), 0)));

        passes(call(address(nft), 0, abi.encodeCall(nft.approve, (payee, 0))));
        vm.prank(payee);
        nft.transferFrom(address(account), payee, 0);
        assertEq(nft.ownerOf(0), payee);

        bytes memory exceeded =
            abi.encodeWithSelector(ISessionKeyPlugin.ERC20SpendLimitExceeded.selector, account, key.addr, nft);
        refusedInExecution(call(address(nft), 0, abi.encodeCall(nft.approve, (payee, 7))), exceeded);
        refusedInExecution(call(address(nft), 0, abi.encodeCall(nft.transfer, (payee, 7))), exceeded);

        update(_limit(address(nft), 7));
        passes(call(address(nft), 0, abi.encodeCall(nft.transfer, (payee, 7))));
        assertEq(nft.ownerOf(7), payee);
    }

    /// @dev The token's return value is ignored: a transfer that returns false counts, and the operation succeeds.
    function test_limitOnATokenThatAnswersFalse_counts() public {
        RefusingToken refusing = new RefusingToken();
        grant(listOf(allow(address(refusing)), _limit(address(refusing), 10)));
        passes(call(address(refusing), 0, abi.encodeCall(refusing.transfer, (payee, 6))));
        passes(call(address(refusing), 0, abi.encodeCall(refusing.approve, (payee, 4))));
        assertEq(plugin.getERC20SpendLimitInfo(address(account), key.addr, address(refusing)).limitUsed, 10);
        refusedInExecution(
            call(address(refusing), 0, abi.encodeCall(refusing.transfer, (payee, 1))),
            abi.encodeWithSelector(ISessionKeyPlugin.ERC20SpendLimitExceeded.selector, account, key.addr, refusing)
        );
    }

    /* Uninstalling many keys */

    uint256 private constant MANY = 300;

    /// @dev Reinstalls the plugin with `MANY` keys.
    function _installMany() private returns (address[] memory many) {
        uninstall(address(plugin));
        many = new address[](MANY);
        for (uint256 i = 0; i < MANY; ++i) {
            many[i] = address(uint160(0x1000 + i));
        }
        install(address(plugin), abi.encode(many, new bytes32[](MANY), new bytes[][](MANY)), ownerDependencies());
    }

    /// @dev An event takes 2,400 gas units with its key cold, a tenth more in total; the callback's gas limit bounds
    /// them.
    /// forge-config: default.isolate = true
    function test_uninstall_ofManyKeys_paysForEventsUpToTheCallbacksGasLimit() public {
        address[] memory many = _installMany();
        uint256 state = vm.snapshotState();

        vm.recordLogs();
        vm.prank(owner.addr);
        account.uninstallPlugin(address(plugin), "", "");
        uint256 inAll = vm.lastCallGas().gasTotalUsed;
        assertEq(_removals(), MANY);
        assertGt(inAll, MANY * 4_000);
        assertLt(inAll, MANY * 5_500);

        vm.revertToState(state);
        vm.recordLogs();
        vm.prank(owner.addr);
        account.uninstallPlugin(address(plugin), uninstallConfig("", false, 100_000), "");
        assertLt(vm.lastCallGas().gasTotalUsed, inAll - MANY * 3_000);
        uint256 removals = _removals();
        assertGt(removals, 10);
        assertLt(removals, 30);
        // All keys are gone, with or without an event.
        assertEq(plugin.sessionKeysOf(address(account)).length, 0);
        for (uint256 i = 0; i < MANY; ++i) {
            assertFalse(plugin.isSessionKeyOf(address(account), many[i]));
        }
    }

    function _removals() private returns (uint256 count) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == ISessionKeyPlugin.SessionKeyRemoved.selector) ++count;
        }
    }

    /* Owners in a bundle */

    /// @dev All operations of a bundle are validated before the first is executed, and nothing checks the owners again.
    function test_bundle_ownerWhoIsRemovedBeforeStillActs() public {
        Vm.Wallet memory second = vm.createWallet("second owner");
        makeOwner(second.addr);
        UserOperation memory last = buildUserOp(executeCall(payee, 3, ""), 1);
        sign(last, second.privateKey);
        (bool[2] memory success,) = sendBundle(
            ownerOp(abi.encodeCall(IMultiOwnerPlugin.updateOwners, (new address[](0), listOf(second.addr)))), last
        );
        assertTrue(success[0] && success[1]);
        assertEq(payee.balance, 3);
        assertFalse(ownerPlugin.isOwnerOf(address(account), second.addr));

        last.nonce += 1;
        sign(last, second.privateKey);
        expectFailedOp("AA24 signature error");
        this.sendExternally(last);
    }
}
