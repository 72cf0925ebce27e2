// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {IInstallable, SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Updates of permissions, and the views that show them.
abstract contract SessionKeyUpdatesTest is SessionKeyTest {
    function test_updateKeyPermissions_emits() public {
        bytes[] memory updates = new bytes[](2);
        updates[0] = abi.encodeCall(Updates.updateTimeRange, (1, 2));
        updates[1] = abi.encodeCall(Updates.updateTimeRange, (3, 4));
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.PermissionsUpdated(address(account), key, updates);
        account.updateKeyPermissions(key, updates);
        _assertTimeRange(3, 4);
    }

    function test_updateKeyPermissions_emitsWithoutUpdates() public {
        vm.expectEmit(address(face));
        emit ISessionKeyPlugin.PermissionsUpdated(address(account), key, new bytes[](0));
        account.updateKeyPermissions(key, new bytes[](0));
    }

    function test_updateKeyPermissions_revertsIfNotRegistered() public {
        expectInvalidKey(address(9));
        account.updateKeyPermissions(address(9), new bytes[](0));
        expectInvalidKey(address(9));
        face.resetSessionKeyGasLimitTimestamp(address(account), address(9));
    }

    function test_updateKeyPermissions_appliesAllOrNone() public {
        bytes[] memory updates = new bytes[](6);
        updates[0] = abi.encodeCall(Updates.updateTimeRange, (1, 2));
        updates[1] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (5, 6));
        updates[2] = abi.encodeCall(Updates.updateAccessListAddressEntry, (address(counter), true, true));
        updates[3] = abi.encodeCall(Updates.updateAccessListFunctionEntry, (address(counter), 0x11223344, true));
        updates[4] = abi.encodeCall(Updates.setERC20SpendLimit, (address(token), 7, 0));
        updates[5] = abi.encodeCall(Updates.setERC20SpendLimit, (address(0), 7, 0));
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidToken.selector, address(0)));
        account.updateKeyPermissions(key, updates);
        _assertTimeRange(0, 0);
        assertInfo(nativeInfo(), true, 0, 0, 0, 0);
        _assertEntry(false, false);
        assertFalse(face.isSelectorOnAccessControlList(address(account), key, address(counter), 0x11223344));
        assertInfo(tokenInfo(), false, 0, 0, 0, 0);
    }

    /// @dev The last update counts, and a removal in between starts from nothing; other updates do not interfere.
    function test_updateKeyPermissions_appliesInOrder() public {
        bytes[] memory updates = new bytes[](6);
        updates[0] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (10, DAY));
        updates[1] = abi.encodeCall(Updates.setGasSpendLimit, (10, DAY));
        updates[2] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (NO_LIMIT, 0));
        updates[3] = abi.encodeCall(Updates.setGasSpendLimit, (NO_LIMIT, 0));
        updates[4] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (20, 0));
        updates[5] = abi.encodeCall(Updates.setRequiredPaymaster, (address(9)));
        account.updateKeyPermissions(key, updates);
        assertInfo(nativeInfo(), true, 20, 0, 0, 0);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
        assertEq(face.getRequiredPaymaster(address(account), key), address(9));
    }

    function test_updateKeyPermissions_revertsOnUnknownSelectors() public {
        bytes[6] memory data =
            [bytes(""), hex"8f", hex"8f2920", hex"00000000", hex"8f2920d9", abi.encodeWithSelector(0xdeadbeef, 1, 2)];
        bytes4[6] memory selectors =
            [bytes4(0), bytes4(0x8f000000), bytes4(0x8f292000), bytes4(0), bytes4(0x8f2920d9), bytes4(0xdeadbeef)];
        for (uint256 i = 0; i < data.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidPermissionsUpdate.selector, selectors[i]));
            update(data[i]);
        }
    }

    /// @dev Every update with dirty bits in one word, a word missing, or a byte missing; each alone must revert without
    /// data, as Solidity's decoder does.
    function test_updateKeyPermissions_revertsOnMalformedArguments() public {
        uint256 dirtyAddress = uint256(type(uint160).max) + 1;
        uint256 dirtyTime = uint256(type(uint48).max) + 1;
        _revertsWithoutData(abi.encodeWithSelector(Updates.setAccessListType.selector, 3));
        _revertsWithoutData(abi.encodeWithSelector(Updates.setAccessListType.selector, 256));
        _revertsWithoutData(
            abi.encodeWithSelector(Updates.updateAccessListAddressEntry.selector, dirtyAddress, uint256(1), uint256(1))
        );
        _revertsWithoutData(abi.encodeWithSelector(Updates.updateAccessListAddressEntry.selector, 1, 2, 1));
        _revertsWithoutData(abi.encodeWithSelector(Updates.updateAccessListAddressEntry.selector, 1, 1, 2));
        _revertsWithoutData(
            abi.encodeWithSelector(Updates.updateAccessListFunctionEntry.selector, dirtyAddress, uint256(0), uint256(1))
        );
        _revertsWithoutData(abi.encodeWithSelector(Updates.updateAccessListFunctionEntry.selector, 1, 1, 1));
        _revertsWithoutData(abi.encodeWithSelector(Updates.updateAccessListFunctionEntry.selector, 1, 0, 2));
        _revertsWithoutData(abi.encodeWithSelector(Updates.updateTimeRange.selector, dirtyTime, uint256(0)));
        _revertsWithoutData(abi.encodeWithSelector(Updates.updateTimeRange.selector, uint256(0), dirtyTime));
        _revertsWithoutData(abi.encodeWithSelector(Updates.setNativeTokenSpendLimit.selector, uint256(0), dirtyTime));
        _revertsWithoutData(abi.encodeWithSelector(Updates.setNativeTokenSpendLimit.selector, NO_LIMIT, dirtyTime));
        _revertsWithoutData(
            abi.encodeWithSelector(Updates.setERC20SpendLimit.selector, dirtyAddress, uint256(0), uint256(0))
        );
        _revertsWithoutData(
            abi.encodeWithSelector(Updates.setERC20SpendLimit.selector, uint256(1), uint256(0), dirtyTime)
        );
        _revertsWithoutData(abi.encodeWithSelector(Updates.setGasSpendLimit.selector, uint256(0), dirtyTime));
        _revertsWithoutData(abi.encodeWithSelector(Updates.setGasSpendLimit.selector, NO_LIMIT, dirtyTime));
        _revertsWithoutData(abi.encodeWithSelector(Updates.setRequiredPaymaster.selector, dirtyAddress));
    }

    function test_updateKeyPermissions_revertsOnTruncatedArguments() public {
        bytes[] memory all = _oneOfEach();
        for (uint256 i = 0; i < all.length; ++i) {
            _revertsWithoutData(Bytes.slice(all[i], 0, all[i].length - 1));
            _revertsWithoutData(Bytes.slice(all[i], 0, 4));
        }
    }

    /// @dev Like Solidity's decoder, which ignores bytes after the arguments.
    function test_updateKeyPermissions_acceptsTrailingData() public {
        bytes[] memory all = _oneOfEach();
        for (uint256 i = 0; i < all.length; ++i) {
            update(bytes.concat(all[i], hex"ff"));
        }
        _assertTimeRange(1, 2);
        assertEq(face.getRequiredPaymaster(address(account), key), address(7));
    }

    function test_setAccessListType_keepsEntries() public {
        setEntry(address(counter), true, true);
        for (uint8 listType = 0; listType < 3; ++listType) {
            setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
            assertEq(uint8(face.getAccessControlType(address(account), key)), listType);
            _assertEntry(true, true);
        }
    }

    function testFuzz_updateAccessListAddressEntry_keepsTheTokenLimit(bool isOnList, bool checkSelectors) public {
        setToken(5, 0);
        setEntry(address(token), !isOnList, !checkSelectors);
        setEntry(address(token), isOnList, checkSelectors);
        (bool onList, bool check) = face.getAccessControlEntry(address(account), key, address(token));
        assertEq(onList, isOnList);
        assertEq(check, checkSelectors);
        assertInfo(tokenInfo(), true, 5, 0, 0, 0);
        setToken(NO_LIMIT, 0);
        (onList, check) = face.getAccessControlEntry(address(account), key, address(token));
        assertEq(onList, isOnList);
        assertEq(check, checkSelectors);
    }

    function test_updateAccessListFunctionEntry_isPerContractAndSelector() public {
        setFunction(address(counter), 0x11223344, true);
        assertTrue(face.isSelectorOnAccessControlList(address(account), key, address(counter), 0x11223344));
        assertFalse(face.isSelectorOnAccessControlList(address(account), key, address(counter), 0x11223345));
        assertFalse(face.isSelectorOnAccessControlList(address(account), key, address(token), 0x11223344));
        _assertEntry(false, false);
        setFunction(address(counter), 0x11223344, false);
        assertFalse(face.isSelectorOnAccessControlList(address(account), key, address(counter), 0x11223344));
    }

    function testFuzz_updateTimeRange_storesAnyRange(uint48 validAfter, uint48 validUntil) public {
        setTimeRange(validAfter, validUntil);
        _assertTimeRange(validAfter, validUntil);
    }

    function test_setRequiredPaymaster_zeroRemoves() public {
        setPaymaster(address(7));
        assertEq(face.getRequiredPaymaster(address(account), key), address(7));
        setPaymaster(address(0));
        assertEq(face.getRequiredPaymaster(address(account), key), address(0));
    }

    /// @dev Any value survives any packing: limits over 80 bits, intervals over 40 and 32, late times.
    function testFuzz_limits_areStoredWhole(uint256 limit, uint48 interval, uint48 time, uint8 shift) public {
        vm.warp(time);
        limit >>= shift;
        uint48 lastUsed = interval == 0 ? 0 : time;
        setNative(limit, interval);
        setToken(limit, interval);
        setGas(limit, interval);
        if (limit == NO_LIMIT) return;
        assertInfo(nativeInfo(), true, limit, 0, interval, lastUsed);
        assertInfo(tokenInfo(), true, limit, 0, interval, lastUsed);
        assertInfo(gasInfo(), true, limit, 0, interval, lastUsed);
    }

    function test_limits_areStoredWholeAtTheEdges() public {
        uint256[8] memory limits = [
            uint256(0),
            1,
            type(uint80).max,
            uint256(type(uint80).max) + 1,
            type(uint88).max,
            uint256(type(uint88).max) + 1,
            type(uint128).max,
            type(uint256).max - 1
        ];
        uint48[7] memory times = [
            uint48(0),
            type(uint32).max,
            uint48(type(uint32).max) + 1,
            type(uint40).max,
            uint48(type(uint40).max) + 1,
            type(uint48).max - 1,
            type(uint48).max
        ];
        for (uint256 i = 0; i < limits.length; ++i) {
            for (uint256 j = 0; j < times.length; ++j) {
                testFuzz_limits_areStoredWhole(limits[i], times[j], times[times.length - 1 - j], 0);
            }
        }
    }

    /// @dev The used amount stays, through every form of storage and every change of the interval.
    function testFuzz_limits_keepTheUsedAmount(uint256 used, uint256 limit, uint48 interval, uint8 shift) public {
        used = bound(used >> shift, 1, type(uint256).max - 1);
        vm.deal(address(account), used);
        allowAll();
        setNative(type(uint256).max - 1, 0);
        setToken(type(uint256).max - 1, 0);
        setGas(type(uint256).max - 1, 0);
        execute(join(pay(used), approve(used)));
        validate(gasOperation(used));
        vm.warp(START + 5);
        limit = bound(limit, 0, type(uint256).max - 1);
        setNative(limit, interval);
        setToken(limit, interval);
        setGas(limit, interval);
        uint48 lastUsed = interval == 0 ? 0 : START + 5;
        assertInfo(nativeInfo(), true, limit, used, interval, lastUsed);
        assertInfo(tokenInfo(), true, limit, used, interval, lastUsed);
        assertInfo(gasInfo(), true, limit, used, interval, lastUsed);
    }

    function testFuzz_limits_removalClearsTheUsedAmount(uint256 limit, uint48 interval) public {
        limit = bound(limit, 10, type(uint256).max - 1);
        allowAll();
        setNative(limit, interval);
        setToken(limit, interval);
        setGas(limit, interval);
        execute(join(pay(7), transfer(8)));
        validate(gasOperation(9));
        uint48 lastUsed = tokenInfo().lastUsedTime;
        setNative(NO_LIMIT, 99);
        setToken(NO_LIMIT, 99);
        setGas(NO_LIMIT, 99);
        assertInfo(nativeInfo(), false, 0, 0, 0, 0);
        assertInfo(tokenInfo(), false, limit, 0, interval, lastUsed);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
        setNative(limit, 0);
        setToken(limit, 0);
        setGas(limit, 0);
        assertInfo(nativeInfo(), true, limit, 0, 0, 0);
        assertInfo(tokenInfo(), true, limit, 0, 0, 0);
        assertInfo(gasInfo(), true, limit, 0, 0, 0);
    }

    /// @dev Removing an absent limit stores nothing, not even the interval.
    function test_limits_removalOfNoneChangesNothing() public {
        setNative(NO_LIMIT, 0);
        setNative(NO_LIMIT, 77);
        setToken(NO_LIMIT, 77);
        setGas(NO_LIMIT, 77);
        assertInfo(nativeInfo(), false, 0, 0, 0, 0);
        assertInfo(tokenInfo(), false, 0, 0, 0, 0);
        assertInfo(gasInfo(), false, 0, 0, 0, 0);
    }

    /// @dev A token whose limit is removed is not counted, though the view still shows the old limit.
    function test_limits_removedTokenLimitIsNotCounted() public {
        allowAll();
        setToken(NO_LIMIT - 1, type(uint48).max);
        execute(approve(NO_LIMIT - 1));
        vm.warp(START + 3);
        setToken(NO_LIMIT, 0);
        accepted(approve(NO_LIMIT));
        accepted(call(address(token), 0, abi.encodeCall(TestToken.transferFrom, (address(account), address(1), 0))));
        assertInfo(tokenInfo(), false, NO_LIMIT - 1, 0, type(uint48).max, START);
        setToken(3, 4);
        assertInfo(tokenInfo(), true, 3, 0, 4, START + 3);
    }

    function test_setERC20SpendLimit_revertsIfTokenIsZero() public {
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidToken.selector, address(0)));
        update(abi.encodeCall(Updates.setERC20SpendLimit, (address(0), 1, 0)));
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidToken.selector, address(0)));
        update(abi.encodeCall(Updates.setERC20SpendLimit, (address(0), NO_LIMIT, 0)));
    }

    /// @dev One permission is changed at a time; the others, of this key, of another, and of another account, stay.
    function test_updates_changeOneThing() public {
        address second = addKey("second");
        bytes[] memory all = _oneOfEach();
        bytes32 others = _everythingOf(address(account), second);
        bytes32[8] memory before = _fingerprints();
        for (uint256 i = 0; i < all.length; ++i) {
            update(all[i]);
            bytes32[8] memory afterwards = _fingerprints();
            for (uint256 j = 0; j < 8; ++j) {
                if (i == j) assertNotEq(before[j], afterwards[j]);
                else assertEq(before[j], afterwards[j]);
            }
            before = afterwards;
        }
        assertEq(_everythingOf(address(account), second), others);
    }

    function test_views_revertIfKeyIsNotRegistered() public {
        _assertRegistered(address(9), false);
        _assertRegistered(address(0), false);
    }

    /// @dev For any history of a key: added, removed, added again, rotated, retired with all others, and repeated.
    function test_views_knowRegisteredKeysAlone() public {
        address heir = makeAddr("heir");
        _assertRegistered(key, true);
        account.removeSessionKey(key, 0);
        _assertRegistered(key, false);
        account.addSessionKey(key, TAG, new bytes[](0));
        _assertRegistered(key, true);
        account.rotateSessionKey(key, 0, heir);
        _assertRegistered(key, false);
        _assertRegistered(heir, true);
        IInstallable(address(account)).onUninstall("");
        _assertRegistered(heir, false);
        install(account);
        _assertRegistered(heir, false);
        account.addSessionKey(heir, TAG, new bytes[](0));
        _assertRegistered(heir, true);
    }

    /// @dev All functions that look up a key succeed, or all revert with the key's error.
    function _assertRegistered(address sessionKey, bool registered) private {
        address a = address(account);
        bytes[11] memory calls = [
            abi.encodeCall(ISessionKeyPlugin.findPredecessor, (a, sessionKey)),
            abi.encodeCall(ISessionKeyPlugin.getAccessControlType, (a, sessionKey)),
            abi.encodeCall(ISessionKeyPlugin.getAccessControlEntry, (a, sessionKey, address(1))),
            abi.encodeCall(ISessionKeyPlugin.isSelectorOnAccessControlList, (a, sessionKey, address(1), 0x01020304)),
            abi.encodeCall(ISessionKeyPlugin.getKeyTimeRange, (a, sessionKey)),
            abi.encodeCall(ISessionKeyPlugin.getNativeTokenSpendLimitInfo, (a, sessionKey)),
            abi.encodeCall(ISessionKeyPlugin.getGasSpendLimit, (a, sessionKey)),
            abi.encodeCall(ISessionKeyPlugin.getERC20SpendLimitInfo, (a, sessionKey, address(1))),
            abi.encodeCall(ISessionKeyPlugin.getRequiredPaymaster, (a, sessionKey)),
            abi.encodeCall(ISessionKeyPlugin.getERC20SpendLimitInfo, (a, sessionKey, address(0))),
            abi.encodeCall(ISessionKeyPlugin.resetSessionKeyGasLimitTimestamp, (a, sessionKey))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory answer) = address(face).call(calls[i]);
            assertEq(success, registered);
            if (registered) continue;
            bytes4 selector =
                i == 0 ? ISessionKeyPlugin.SessionKeyNotFound.selector : ISessionKeyPlugin.InvalidSessionKey.selector;
            assertEq(answer, abi.encodeWithSelector(selector, sessionKey));
        }
        assertEq(face.isSessionKeyOf(a, sessionKey), registered);
        if (registered) return;
        expectInvalidKey(sessionKey);
        account.updateKeyPermissions(sessionKey, new bytes[](0));
        expectInvalidKey(sessionKey);
        account.removeSessionKey(sessionKey, 0);
        expectInvalidKey(sessionKey);
        account.rotateSessionKey(sessionKey, 0, makeAddr("other"));
    }

    function _oneOfEach() private view returns (bytes[] memory all) {
        all = new bytes[](8);
        all[0] =
            abi.encodeCall(Updates.setAccessListType, (ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS));
        all[1] = abi.encodeCall(Updates.updateAccessListAddressEntry, (address(token), true, true));
        all[2] = abi.encodeCall(Updates.updateAccessListFunctionEntry, (address(token), 0x11223344, true));
        all[3] = abi.encodeCall(Updates.updateTimeRange, (1, 2));
        all[4] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (3, 4));
        all[5] = abi.encodeCall(Updates.setERC20SpendLimit, (address(token), 5, 6));
        all[6] = abi.encodeCall(Updates.setGasSpendLimit, (8, 9));
        all[7] = abi.encodeCall(Updates.setRequiredPaymaster, (address(7)));
    }

    function _fingerprints() private view returns (bytes32[8] memory) {
        return _fingerprintsOf(address(account), key);
    }

    function _everythingOf(address a, address k) private view returns (bytes32) {
        return keccak256(abi.encode(_fingerprintsOf(a, k)));
    }

    function _fingerprintsOf(address a, address k) private view returns (bytes32[8] memory all) {
        bytes[8] memory views = [
            abi.encodeCall(ISessionKeyPlugin.getAccessControlType, (a, k)),
            abi.encodeCall(ISessionKeyPlugin.getAccessControlEntry, (a, k, address(token))),
            abi.encodeCall(ISessionKeyPlugin.isSelectorOnAccessControlList, (a, k, address(token), 0x11223344)),
            abi.encodeCall(ISessionKeyPlugin.getKeyTimeRange, (a, k)),
            abi.encodeCall(ISessionKeyPlugin.getNativeTokenSpendLimitInfo, (a, k)),
            abi.encodeCall(ISessionKeyPlugin.getERC20SpendLimitInfo, (a, k, address(token))),
            abi.encodeCall(ISessionKeyPlugin.getGasSpendLimit, (a, k)),
            abi.encodeCall(ISessionKeyPlugin.getRequiredPaymaster, (a, k))
        ];
        for (uint256 i = 0; i < 8; ++i) {
            (bool success, bytes memory answer) = address(face).staticcall(views[i]);
            assertTrue(success);
            all[i] = keccak256(answer);
        }
    }

    function _revertsWithoutData(bytes memory data) private {
        (bool success, bytes memory answer) =
            address(account).call(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key, listOf(data))));
        assertFalse(success, vm.toString(data));
        assertEq(answer, "");
    }

    function _assertTimeRange(uint48 after_, uint48 until) private view {
        (uint48 validAfter, uint48 validUntil) = face.getKeyTimeRange(address(account), key);
        assertEq(validAfter, after_);
        assertEq(validUntil, until);
    }

    function _assertEntry(bool isOnList, bool checkSelectors) private view {
        (bool onList, bool check) = face.getAccessControlEntry(address(account), key, address(counter));
        assertEq(onList, isOnList);
        assertEq(check, checkSelectors);
    }
}

contract SessionKeyPluginUpdatesTest is SessionKeyUpdatesTest, PluginFace {}

contract SessionKeyModuleUpdatesTest is SessionKeyUpdatesTest, ModuleFace {}
