// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {join, listOf} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Adding, removing and rotating keys, and their list.
abstract contract SessionKeyKeysTest is SessionKeyTest {
    /* addSessionKey */

    function test_addSessionKey_putsTheNewestFirstAndEmits() public {
        address second = makeAddr("second");
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyAdded(address(account), second, "label");
        account.addSessionKey(second, "label", new bytes[](0));
        address third = addKey("third");
        assertKeys(listOf(third, second, key));
        assertTrue(face.isSessionKeyOf(address(account), second));
    }

    function test_addSessionKey_emitsNoUpdateEventWithoutUpdates() public {
        vm.recordLogs();
        account.addSessionKey(makeAddr("second"), TAG, new bytes[](0));
        assertEq(vm.getRecordedLogs().length, 1);
    }

    function test_addSessionKey_appliesUpdatesAfterItsEvent() public {
        address second = makeAddr("second");
        bytes[] memory updates = new bytes[](2);
        updates[0] = abi.encodeCall(Updates.updateTimeRange, (1, 2));
        updates[1] = abi.encodeCall(Updates.setRequiredPaymaster, (address(7)));
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyAdded(address(account), second, TAG);
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.PermissionsUpdated(address(account), second, updates);
        account.addSessionKey(second, TAG, updates);
        (uint48 validAfter, uint48 validUntil) = face.getKeyTimeRange(address(account), second);
        assertEq(validAfter, 1);
        assertEq(validUntil, 2);
        assertEq(face.getRequiredPaymaster(address(account), second), address(7));
    }

    function test_addSessionKey_revertsIfZeroOrRegistered() public {
        expectInvalidKey(address(0));
        account.addSessionKey(address(0), TAG, new bytes[](0));
        expectInvalidKey(key);
        account.addSessionKey(key, TAG, new bytes[](0));
    }

    function test_addSessionKey_leavesNothingIfAnUpdateFails() public {
        address second = makeAddr("second");
        bytes[] memory updates = new bytes[](2);
        updates[0] = abi.encodeCall(Updates.updateTimeRange, (1, 2));
        updates[1] = hex"12345678";
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidPermissionsUpdate.selector, bytes4(0x12345678)));
        account.addSessionKey(second, TAG, updates);
        assertFalse(face.isSessionKeyOf(address(account), second));
        assertKeys(listOf(key));
    }

    function test_addSessionKey_startsFromTheDefaultsAfterRemoval() public {
        _changeEverything();
        account.removeSessionKey(key, SENTINEL);
        account.addSessionKey(key, TAG, new bytes[](0));
        _assertDefaults();
    }

    function test_addSessionKey_startsFromTheDefaultsAfterReinstallation() public {
        _changeEverything();
        (bool success,) = address(account).call(abi.encodeWithSignature("onUninstall(bytes)", ""));
        assertTrue(success);
        install(account);
        account.addSessionKey(key, TAG, new bytes[](0));
        _assertDefaults();
    }

    function test_addSessionKey_isPerAccount() public {
        ISessionKeyPlugin other = newAccount();
        assertFalse(face.isSessionKeyOf(address(other), key));
        other.addSessionKey(key, TAG, listOf(abi.encodeCall(Updates.updateTimeRange, (5, 6))));
        (uint48 validAfter,) = face.getKeyTimeRange(address(account), key);
        assertEq(validAfter, 0);
        other.removeSessionKey(key, 0);
        assertTrue(face.isSessionKeyOf(address(account), key));
    }

    /* removeSessionKey */

    function test_removeSessionKey_takesOutTheFirst() public {
        address second = addKey("second");
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyRemoved(address(account), second);
        account.removeSessionKey(second, SENTINEL);
        assertKeys(listOf(key));
        assertFalse(face.isSessionKeyOf(address(account), second));
    }

    function test_removeSessionKey_takesOutMiddleAndLastByPredecessor() public {
        address second = addKey("second");
        address third = addKey("third");
        account.removeSessionKey(second, pred(third));
        assertKeys(listOf(third, key));
        account.removeSessionKey(key, pred(third));
        assertKeys(listOf(third));
        account.removeSessionKey(third, SENTINEL);
        assertKeys(new address[](0));
        address again = addKey("second");
        assertKeys(listOf(again));
    }

    function test_removeSessionKey_zeroPredecessorSearches() public {
        address second = addKey("second");
        address third = addKey("third");
        account.removeSessionKey(second, 0);
        assertKeys(listOf(third, key));
        account.removeSessionKey(third, 0);
        assertKeys(listOf(key));
        account.removeSessionKey(key, 0);
        assertKeys(new address[](0));
    }

    function test_removeSessionKey_revertsIfNotRegistered() public {
        address stranger = makeAddr("stranger");
        expectInvalidKey(stranger);
        account.removeSessionKey(stranger, 0);
        expectInvalidKey(stranger);
        account.removeSessionKey(stranger, SENTINEL);
        expectInvalidKey(stranger);
        account.removeSessionKey(stranger, pred(key));
        expectInvalidKey(address(0));
        account.removeSessionKey(address(0), 0);
    }

    function test_removeSessionKey_revertsIfPredecessorIsWrong() public {
        address second = addKey("second");
        address third = addKey("third");
        address stale = addKey("stale");
        account.removeSessionKey(stale, SENTINEL);
        bytes32[9] memory wrong = [
            SENTINEL,
            pred(key),
            pred(second),
            pred(stale),
            pred(makeAddr("stranger")),
            bytes32(uint256(uint160(third))),
            pred(third) | bytes32(uint256(1)),
            bytes32(uint256(2)),
            bytes32(type(uint256).max)
        ];
        for (uint256 i = 0; i < wrong.length; ++i) {
            expectInvalidKey(second);
            account.removeSessionKey(second, wrong[i]);
            expectInvalidKey(second);
            account.rotateSessionKey(second, wrong[i], makeAddr("new"));
        }
        expectInvalidKey(third);
        account.removeSessionKey(third, pred(second));
        assertKeys(listOf(third, second, key));
    }

    /// @dev After an uninstallation and a new installation, remnants of the old list are not predecessors.
    function test_removeSessionKey_revertsIfPredecessorIsOfAnEarlierInstallation() public {
        address second = addKey("second");
        install(account);
        account.addSessionKey(key, TAG, new bytes[](0));
        expectInvalidKey(key);
        account.removeSessionKey(key, pred(second));
    }

    /* rotateSessionKey */

    function test_rotateSessionKey_takesOverPermissionsAndUsage() public {
        _changeEverything();
        addKey("second");
        address heir = makeAddr("heir");
        ISessionKeyPlugin.SpendLimitInfo memory native = nativeInfo();
        ISessionKeyPlugin.SpendLimitInfo memory erc20 = tokenInfo();
        ISessionKeyPlugin.SpendLimitInfo memory gas = gasInfo();
        assertTrue(native.limitUsed > 0 && erc20.limitUsed > 0 && gas.limitUsed > 0 && resetPending());

        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyRotated(address(account), key, heir);
        account.rotateSessionKey(key, 0, heir);

        assertFalse(face.isSessionKeyOf(address(account), key));
        assertKeys(listOf(heir, makeAddr("second")));
        key = heir;
        assertEq(keccak256(abi.encode(native, erc20, gas)), keccak256(abi.encode(nativeInfo(), tokenInfo(), gasInfo())));
        assertTrue(resetPending());
        assertEq(uint8(face.getAccessControlType(address(account), key)), 2);
        assertTrue(face.isSelectorOnAccessControlList(address(account), key, address(counter), 0xaabbccdd));
        assertEq(face.getRequiredPaymaster(address(account), key), address(77));
    }

    function test_rotateSessionKey_putsTheNewKeyFirst() public {
        address second = addKey("second");
        address third = addKey("third");
        address heir = makeAddr("heir");
        account.rotateSessionKey(second, pred(third), heir);
        assertKeys(listOf(heir, third, key));
        account.rotateSessionKey(heir, SENTINEL, second);
        assertKeys(listOf(second, third, key));
    }

    function test_rotateSessionKey_ontoItselfMovesItToTheFront() public {
        _changeEverything();
        address second = addKey("second");
        address third = addKey("third");
        ISessionKeyPlugin.SpendLimitInfo memory native = nativeInfo();
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyRotated(address(account), key, key);
        account.rotateSessionKey(key, pred(second), key);
        assertKeys(listOf(key, third, second));
        assertEq(keccak256(abi.encode(native)), keccak256(abi.encode(nativeInfo())));
        account.rotateSessionKey(third, 0, third);
        assertKeys(listOf(third, key, second));
        account.rotateSessionKey(third, SENTINEL, third);
        assertKeys(listOf(third, key, second));
    }

    function test_rotateSessionKey_ontoItselfKeepsTheOnlyKey() public {
        account.rotateSessionKey(key, SENTINEL, key);
        assertKeys(listOf(key));
    }

    function test_rotateSessionKey_checksTheOldKeyFirst() public {
        address stranger = makeAddr("stranger");
        expectInvalidKey(stranger);
        account.rotateSessionKey(stranger, 0, address(0));
        expectInvalidKey(key);
        account.rotateSessionKey(key, pred(stranger), address(0));
    }

    function test_rotateSessionKey_revertsIfNewKeyIsZeroOrRegistered() public {
        address second = addKey("second");
        expectInvalidKey(address(0));
        account.rotateSessionKey(key, pred(second), address(0));
        expectInvalidKey(second);
        account.rotateSessionKey(key, pred(second), second);
        assertKeys(listOf(second, key));
    }

    /// @dev The old key gets nothing back when it is added again: its permission set moved to the new key permanently.
    function test_rotateSessionKey_doesNotShareStateWithTheOldKeyAddedAgain() public {
        _changeEverything();
        address heir = makeAddr("heir");
        account.rotateSessionKey(key, 0, heir);
        account.addSessionKey(key, TAG, new bytes[](0));
        _assertDefaults();
        setTimeRange(11, 22);
        (uint48 validAfter,) = face.getKeyTimeRange(address(account), heir);
        assertEq(validAfter, 3);
    }

    /* Events */

    /// @dev One event for each change, by the face; a rotation is neither an addition nor a removal. Settling a gas
    /// limit has none.
    function test_changes_emitOneEventEach() public {
        address second = addKey("second");
        vm.recordLogs();
        account.removeSessionKey(second, 0);
        account.rotateSessionKey(key, 0, second);
        account.updateKeyPermissions(second, listOf(abi.encodeCall(Updates.updateTimeRange, (1, 2))));
        face.resetSessionKeyGasLimitTimestamp(address(account), second);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        bytes32[3] memory expected = [
            ISessionKeyPlugin.SessionKeyRemoved.selector,
            ISessionKeyPlugin.SessionKeyRotated.selector,
            ISessionKeyPlugin.PermissionsUpdated.selector
        ];
        assertEq(logs.length, expected.length);
        for (uint256 i = 0; i < expected.length; ++i) {
            assertEq(logs[i].emitter, address(face));
            assertEq(logs[i].topics[0], expected[i]);
        }
    }

    /* Views of the list */

    function test_findPredecessor_answersTheKeyBefore() public {
        address second = addKey("second");
        assertEq(face.findPredecessor(address(account), second), SENTINEL);
        assertEq(face.findPredecessor(address(account), key), bytes32(bytes20(second)));
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.SessionKeyNotFound.selector, address(5)));
        face.findPredecessor(address(account), address(5));
        account.removeSessionKey(second, SENTINEL);
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.SessionKeyNotFound.selector, second));
        face.findPredecessor(address(account), second);
    }

    function test_isSessionKeyOf_isFalseForZeroAndStrangers() public view {
        assertFalse(face.isSessionKeyOf(address(account), address(0)));
        assertFalse(face.isSessionKeyOf(address(this), key));
        assertEq(face.sessionKeysOf(address(this)).length, 0);
    }

    /// @dev Random additions, removals and rotations against a list in memory.
    function testFuzz_list_agreesWithAModel(uint256 seed) public {
        address[] memory model = listOf(key);
        for (uint256 step = 0; step < 24; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            address candidate = address(uint160(1 + seed % 9));
            uint256 at = _indexOf(model, candidate);
            if (at == model.length) {
                if (model.length != 0 && seed >> 8 & 1 == 0) {
                    uint256 old = (seed >> 16) % model.length;
                    account.rotateSessionKey(model[old], _predecessorIn(model, old, seed), candidate);
                    model = _without(model, old);
                } else {
                    account.addSessionKey(candidate, TAG, new bytes[](0));
                }
                model = _prepend(model, candidate);
            } else if (seed >> 8 & 3 == 0) {
                account.rotateSessionKey(candidate, _predecessorIn(model, at, seed), candidate);
                model = _prepend(_without(model, at), candidate);
            } else {
                account.removeSessionKey(candidate, _predecessorIn(model, at, seed));
                model = _without(model, at);
            }
            assertKeys(model);
            for (uint256 i = 0; i < model.length; ++i) {
                assertEq(face.findPredecessor(address(account), model[i]), _predecessorIn(model, i, 0));
            }
        }
    }

    function _indexOf(address[] memory all, address one) private pure returns (uint256 i) {
        while (i < all.length && all[i] != one) ++i;
    }

    function _predecessorIn(address[] memory all, uint256 i, uint256 seed) private pure returns (bytes32) {
        if (seed >> 32 & 3 == 3) return 0;
        return i == 0 ? SENTINEL : pred(all[i - 1]);
    }

    function _without(address[] memory all, uint256 at) private pure returns (address[] memory rest) {
        rest = new address[](all.length - 1);
        for (uint256 i = 0; i < rest.length; ++i) {
            rest[i] = all[i < at ? i : i + 1];
        }
    }

    function _prepend(address[] memory all, address first) private pure returns (address[] memory longer) {
        longer = new address[](all.length + 1);
        longer[0] = first;
        for (uint256 i = 0; i < all.length; ++i) {
            longer[i + 1] = all[i];
        }
    }

    /* Everything about a key */

    /// @dev No permission of `key` is at its default, and every limit is partly used.
    function _changeEverything() private {
        allowAll();
        setEntry(address(counter), true, true);
        setFunction(address(counter), 0xaabbccdd, true);
        setNative(10 ether, 0);
        setToken(100 ether, DAY);
        setGas(100, DAY);
        execute(join(pay(1 ether), transfer(5 ether)));
        validate(gasOperation(60));
        validate(gasOperation(60));
        setPaymaster(address(77));
        setTimeRange(3, START + 100 * DAY);
    }

    function _assertDefaults() private {
        address target = address(counter);
        assertEq(uint8(face.getAccessControlType(address(account), key)), 0);
        (bool isOnList, bool checkSelectors) = face.getAccessControlEntry(address(account), key, target);
        assertFalse(isOnList || checkSelectors);
        assertFalse(face.isSelectorOnAccessControlList(address(account), key, target, 0xaabbccdd));
        (uint48 validAfter, uint48 validUntil) = face.getKeyTimeRange(address(account), key);
        assertEq(validAfter, 0);
        assertEq(validUntil, 0);
        assertInfo(nativeInfo(), true, 0, 0, 0, 0);
        assertInfo(tokenInfo(), false, 0, 0, 0, 0);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
        assertFalse(resetPending());
        assertEq(face.getRequiredPaymaster(address(account), key), address(0));
        refusedTwice(increment());
    }
}

contract SessionKeyPluginKeysTest is SessionKeyKeysTest, PluginFace {}

contract SessionKeyModuleKeysTest is SessionKeyKeysTest, ModuleFace {}
