// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {Vm} from "forge-std/Vm.sol";

import {IPluginErrors} from "../../src/interfaces/IPluginErrors.sol";
import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {listOf} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {IInstallable, SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Installation and uninstallation.
abstract contract SessionKeyInstallTest is SessionKeyTest {
    function _onInstall(bytes memory data) private {
        IInstallable(address(account)).onInstall(data);
    }

    function _onUninstall() private {
        IInstallable(address(account)).onUninstall("");
    }

    function _many(uint256 count) private pure returns (bytes memory) {
        address[] memory all = new address[](count);
        bytes32[] memory tags = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            all[i] = address(uint160(0x1000 + i));
            tags[i] = bytes32(i);
        }
        return abi.encode(all, tags, new bytes[][](count));
    }

    function test_onInstall_addsKeysInOrder() public {
        account = newAccount();
        address second = makeAddr("second");
        bytes32[] memory tags = new bytes32[](2);
        (tags[0], tags[1]) = ("one", "two");
        bytes[][] memory updates = new bytes[][](2);
        updates[0] = listOf(abi.encodeCall(Updates.updateTimeRange, (1, 2)));
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyAdded(address(account), key, "one");
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.PermissionsUpdated(address(account), key, updates[0]);
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyAdded(address(account), second, "two");
        _onInstall(abi.encode(listOf(key, second), tags, updates));
        assertKeys(listOf(second, key));
        (uint48 validAfter,) = face.getKeyTimeRange(address(account), key);
        assertEq(validAfter, 1);
    }

    function test_onInstall_acceptsNoKeys() public {
        account = newAccount();
        install(account);
        assertKeys(new address[](0));
    }

    function test_onInstall_revertsIfLengthsDiffer() public {
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(ISessionKeyPlugin.LengthMismatch.selector);
            _onInstall(
                abi.encode(new address[](i == 0 ? 1 : 0), new bytes32[](i == 1 ? 1 : 0), new bytes[][](i == 2 ? 1 : 0))
            );
            vm.expectRevert(ISessionKeyPlugin.LengthMismatch.selector);
            _onInstall(
                abi.encode(new address[](i == 0 ? 0 : 1), new bytes32[](i == 1 ? 0 : 1), new bytes[][](i == 2 ? 0 : 1))
            );
        }
        assertKeys(listOf(key));
    }

    function test_onInstall_revertsIfCallerHasNoCode() public {
        vm.expectRevert(abi.encodeWithSelector(IPluginErrors.NotContractCaller.selector, key));
        vm.prank(key);
        IInstallable(address(face)).onInstall(_many(0));
    }

    function test_onInstall_revertsIfAKeyIsZeroOrTwice() public {
        expectInvalidKey(address(0));
        _onInstall(abi.encode(new address[](1), new bytes32[](1), new bytes[][](1)));
        expectInvalidKey(key);
        _onInstall(abi.encode(listOf(key, key), new bytes32[](2), new bytes[][](2)));
        assertKeys(listOf(key));
    }

    function test_onInstall_appliesAllOrNothing() public {
        bytes[][] memory updates = new bytes[][](2);
        updates[1] = listOf(hex"01020304");
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidPermissionsUpdate.selector, bytes4(0x01020304)));
        _onInstall(abi.encode(listOf(address(1), address(2)), new bytes32[](2), updates));
        assertKeys(listOf(key));
    }

    function test_onInstall_revertsOnMalformedData() public {
        bytes memory good = _many(2);
        IInstallable installer = IInstallable(address(account));
        for (uint256 length = 0; length < good.length; length += 16) {
            bytes memory part = Bytes.slice(good, 0, length);
            vm.expectRevert();
            installer.onInstall(part);
        }
        // Each offset and length in turn: outside, backward, huge; and a dirty key.
        uint256[4] memory words = [good.length, type(uint256).max - 31, type(uint256).max, 1 << 64];
        uint256[9] memory places = [uint256(0), 1, 2, 3, 6, 9, 10, 11, 4];
        for (uint256 i = 0; i < places.length; ++i) {
            for (uint256 j = 0; j < words.length; ++j) {
                bytes memory bad = bytes.concat(good);
                uint256 at = places[i];
                uint256 word = at == 4 ? 1 << (160 + j) : words[j];
                assembly ("memory-safe") {
                    mstore(add(add(bad, 32), mul(at, 32)), word)
                }
                vm.expectRevert();
                installer.onInstall(bad);
            }
        }
        installer.onInstall(good);
        assertEq(face.sessionKeysOf(address(account)).length, 2);
    }

    function test_onInstall_revertsIfAnArrayIsIncomplete() public {
        // One key more than there are words after the length.
        bytes memory data = abi.encode(listOf(address(5)), new bytes32[](0), new bytes[][](0));
        uint256 keysOffset = 0x60;
        uint256 wordsAfterTheLength = (data.length - keysOffset - 32) / 32;
        assembly ("memory-safe") {
            mstore(add(add(data, 32), keysOffset), add(wordsAfterTheLength, 1))
        }
        vm.expectRevert(IPluginErrors.InvalidAction.selector);
        IInstallable(address(account)).onInstall(data);
    }

    /// @dev Down to the last byte of an update: missing bytes are not read as zero.
    function test_onInstall_revertsOnTruncatedUpdates() public {
        bytes[][] memory updates = new bytes[][](1);
        updates[0] = listOf(abi.encodeCall(Updates.setNativeTokenSpendLimit, (type(uint128).max, type(uint48).max)));
        bytes memory data = abi.encode(listOf(address(5)), new bytes32[](1), updates);
        // The update's 68 bytes are padded to 96.
        uint256 needed = data.length - 28;
        IInstallable installer = IInstallable(address(account));
        for (uint256 length = data.length; length > needed - 40; --length) {
            assembly ("memory-safe") {
                mstore(data, length)
            }
            uint256 state = vm.snapshotState();
            // Beyond the padding of the call data itself, Solidity reverts without data.
            if (length == needed - 1) vm.expectRevert(IPluginErrors.InvalidAction.selector);
            else if (length < needed) vm.expectRevert();
            installer.onInstall(data);
            vm.revertToState(state);
        }
    }

    /// @dev State left behind by an uninstallation without callback is not usable.
    function test_onInstall_startsEmptyIfKeysAreLeftOver() public {
        allowAll();
        Operation memory op = operation(increment());
        assertEq(validate(op), 0);
        install(account);
        assertKeys(new address[](0));
        assertFalse(face.isSessionKeyOf(address(account), key));
        refused(op);
        expectInvalidKey(key);
        execute(increment());
        account.addSessionKey(key, TAG, new bytes[](0));
        refused(op);
    }

    function test_onUninstall_removesAllKeysWithTheirEvents() public {
        address second = addKey("second");
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyRemoved(address(account), second);
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.SessionKeyRemoved(address(account), key);
        _onUninstall();
        assertKeys(new address[](0));
        assertFalse(face.isSessionKeyOf(address(account), key));
        assertFalse(face.isSessionKeyOf(address(account), second));
        // Once.
        vm.recordLogs();
        _onUninstall();
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function test_onUninstall_withoutKeys_emitsNothing() public {
        account = newAccount();
        vm.recordLogs();
        _onUninstall();
        assertEq(vm.getRecordedLogs().length, 0);
    }

    /// @dev The number of writes does not depend on the number of keys.
    function test_onUninstall_writesOneWord() public {
        _onInstall(_many(50));
        vm.record();
        _onUninstall();
        (, bytes32[] memory writes) = vm.accesses(address(face));
        assertEq(writes.length, 1);
    }

    function test_onUninstall_removesThousandsOfKeys() public {
        uint256 count = 3000;
        _onInstall(_many(count));
        vm.recordLogs();
        _onUninstall();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, count);
        for (uint256 i = 0; i < count; i += 500) {
            assertEq(logs[i].topics[0], ISessionKeyPlugin.SessionKeyRemoved.selector);
            assertEq(address(uint160(uint256(logs[i].topics[2]))), address(uint160(0x1000 + count - 1 - i)));
        }
        assertKeys(new address[](0));
    }

    /// @dev For any gas, the callback either succeeds and leaves no key, or does nothing. In both cases a new
    /// installation starts empty.
    function test_onUninstall_starvedOfGas_leavesNoUsableKey() public {
        _onInstall(_many(300));
        Operation memory op = operation(increment());
        uint256 complete;
        for (uint256 gas = 3_000; gas < 1_300_000; gas += gas / 3) {
            uint256 snapshot = vm.snapshotState();
            vm.recordLogs();
            (bool success,) = address(account).call{gas: gas}(abi.encodeCall(IInstallable.onUninstall, ("")));
            uint256 removed = vm.getRecordedLogs().length;
            if (success) {
                assertEq(face.sessionKeysOf(address(account)).length, 0);
                if (removed == 300) ++complete;
            } else {
                assertEq(removed, 0);
                // A transaction can pay for more than this.
                assertLt(gas, 40_000);
            }
            install(account);
            assertKeys(new address[](0));
            assertFalse(face.isSessionKeyOf(address(account), address(0x1000)));
            op.callData =
                abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), address(uint160(0x1000))));
            refused(op);
            vm.revertToState(snapshot);
        }
        assertGt(complete, 0);
    }

    /// @dev Key ids continue across installations: a permission set of an earlier one never returns.
    function test_generations_neverShareAPermissionSet() public {
        for (uint48 round = 1; round < 6; ++round) {
            (uint48 validAfter,) = face.getKeyTimeRange(address(account), key);
            assertEq(validAfter, 0);
            setTimeRange(round, 0);
            setEntry(address(counter), true, false);
            setToken(round, 0);
            setFunction(address(counter), 0x11223344, true);
            if (round % 2 == 0) _onUninstall();
            install(account);
            address other = addKey("other");
            account.addSessionKey(key, TAG, new bytes[](0));
            (bool isOnList,) = face.getAccessControlEntry(address(account), key, address(counter));
            assertFalse(isOnList);
            assertFalse(face.isSelectorOnAccessControlList(address(account), key, address(counter), 0x11223344));
            assertInfo(tokenInfo(), false, 0, 0, 0, 0);
            assertKeys(listOf(key, other));
        }
    }
}

contract SessionKeyPluginInstallTest is SessionKeyInstallTest, PluginFace {}

contract SessionKeyModuleInstallTest is SessionKeyInstallTest, ModuleFace {}
