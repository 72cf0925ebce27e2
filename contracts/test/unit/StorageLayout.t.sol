// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice The account's storage is laid out as `contracts/src/account` documents it: an upgrade must be able to read
/// it.
contract StorageLayoutTest is AccountTest {
    uint256 private constant BASE = 0x2b86214eeb975618bda1530c17b8dda6792b5f01649774165c70bf92a1f56a00;

    function _load(uint256 slot) private view returns (uint256) {
        return uint256(vm.load(address(account), bytes32(slot)));
    }

    function _pluginSlot(address installed) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(installed, BASE + 1)));
    }

    function _selectorSlot(bytes4 selector) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(selector, BASE + 2)));
    }

    /// @dev Entry `index` of the list of hooks of a kind.
    function _hookSlot(bytes4 selector, uint256 kind, uint256 index) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(index, keccak256(abi.encode(kind, _selectorSlot(selector) + 3)))));
    }

    function _bit(address installed) private pure returns (uint256) {
        return 1 << (232 + uint160(installed) % 24);
    }

    function test_namespace_isThatOfErc7201() public pure {
        assertEq(
            BASE,
            uint256(
                keccak256(abi.encode(uint256(keccak256("session-keys.ModularAccount")) - 1)) & ~bytes32(uint256(0xff))
            )
        );
    }

    /// @dev Nothing is stored outside the namespace except the implementation.
    function test_nothingAtTheFirstSlots() public view {
        for (uint256 i = 0; i < 20; ++i) {
            assertEq(_load(i), 0);
        }
    }

    function test_newestPluginAndInitialization() public view {
        assertEq(_load(BASE), uint256(2) << 160 | uint160(address(ownerPlugin)));
    }

    function test_pluginState() public {
        PluginManifest memory manifest;
        manifest.permitAnyExternalAddress = true;
        manifest.dependencyInterfaceIds =
            add(add(manifest.dependencyInterfaceIds, type(IPlugin).interfaceId), type(IPlugin).interfaceId);
        install(plugin, manifest, ownerDependencies());
        uint256 filter = _bit(address(plugin)) | _bit(address(ownerPlugin));
        // The oldest: next is the end; one dependency word of another plugin names it.
        assertEq(_load(_pluginSlot(address(ownerPlugin))), filter | uint256(1) << 160 | 1);
        assertEq(
            _load(_pluginSlot(address(plugin))),
            filter | uint256(1) << 208 | uint256(1) << 192 | uint160(address(ownerPlugin))
        );
        assertEq(_load(_pluginSlot(address(plugin)) + 1), uint256(manifestHashOf(address(plugin))));
        // The first dependency word: the plugin, two functions, ids 0 and 1.
        assertEq(
            _load(uint256(keccak256(abi.encode(uint256(0), _pluginSlot(address(plugin)) + 2)))),
            uint256(1) << 176 | uint256(2) << 160 | uint160(address(ownerPlugin))
        );
        PluginManifest memory second;
        second.canSpendNativeToken = true;
        second.executionHooks = add(
            second.executionHooks, IPluginExecutor.executeFromPluginExternal.selector, selfFunction(1), noFunction()
        );
        install(plugin2, second);
        filter |= _bit(address(plugin2));
        assertEq(
            _load(_pluginSlot(address(plugin2))),
            filter | uint256(1) << 210 | uint256(1) << 209 | uint160(address(plugin))
        );
        assertEq(_load(_pluginSlot(address(ownerPlugin))), filter | uint256(1) << 210 | uint256(1) << 160 | 1);
    }

    /// @dev A dependency word has eleven functions, and the twelfth begins another; so does another plugin's.
    function test_dependencyWords() public {
        install(plugin2, emptyManifest());
        for (uint256 count = 11; count < 14; ++count) {
            uint256 state = vm.snapshotState();
            bytes21[] memory dependencies = new bytes21[](count + 1);
            uint256 ids;
            for (uint256 i = 0; i < count; ++i) {
                dependencies[i] = ref(address(ownerPlugin), uint8(0xf0 + i));
                if (i < 11) ids |= (0xf0 + i) << (8 * i);
            }
            dependencies[count] = ref(address(plugin2), 7);
            install(plugin, dependentManifest(count + 1, type(IPlugin).interfaceId), dependencies);
            uint256 words = count > 11 ? 3 : 2;
            assertEq(uint16(_load(_pluginSlot(address(plugin))) >> 192), words);
            assertEq(uint32(_load(_pluginSlot(address(ownerPlugin))) >> 160), words - 1);
            assertEq(uint32(_load(_pluginSlot(address(plugin2))) >> 160), 1);
            assertEq(_dependencyWord(0), ids << 168 | uint256(11) << 160 | uint160(address(ownerPlugin)));
            if (count > 11) {
                assertEq(
                    _dependencyWord(1),
                    uint256(count == 12 ? 0xfb : 0xfcfb) << 168 | (count - 11) << 160 | uint160(address(ownerPlugin))
                );
            }
            assertEq(_dependencyWord(words - 1), uint256(7) << 168 | uint256(1) << 160 | uint160(address(plugin2)));
            uninstall(address(plugin));
            assertEq(uint32(_load(_pluginSlot(address(ownerPlugin))) >> 160), 0);
            assertEq(uint32(_load(_pluginSlot(address(plugin2))) >> 160), 0);
            for (uint256 i = 0; i < words; ++i) {
                assertEq(_dependencyWord(i), 0);
            }
            vm.revertToState(state);
        }
    }

    function _dependencyWord(uint256 index) private view returns (uint256) {
        return _load(uint256(keccak256(abi.encode(index, _pluginSlot(address(plugin)) + 2))));
    }

    /// @dev One plugin validates both ways, none executes: one word.
    function test_selectorConfig_native() public view {
        uint256 expected = _bit(address(ownerPlugin)) | uint256(1) << 168 | uint256(1) << 164 | uint256(1) << 162
            | uint160(address(ownerPlugin));
        assertEq(_load(_selectorSlot(IStandardExecutor.execute.selector)), expected);
        assertEq(_load(_selectorSlot(IStandardExecutor.executeBatch.selector)), expected);
        assertEq(_load(_selectorSlot(IPluginManager.installPlugin.selector)), expected ^ _bit(address(ownerPlugin)));
        assertEq(_load(_selectorSlot(IStandardExecutor.execute.selector) + 1), 0);
    }

    function test_selectorConfig_cellsAndHooks() public {
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(0xab));
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(1));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, selfFunction(2));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(3), selfFunction(4));
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(3), selfFunction(4));
        manifest.executionHooks = add(manifest.executionHooks, FOO, noFunction(), selfFunction(5));
        install(plugin, manifest);
        PluginManifest memory second;
        second.userOpValidationFunctions = add(second.userOpValidationFunctions, FOO, selfFunction(0xcd));
        install(plugin2, second);

        uint256 slot = _selectorSlot(FOO);
        assertEq(
            _load(slot),
            uint256(1) << 220 | uint256(1) << 208 | uint256(2) << 196 | uint256(1) << 184 | uint256(0xab) << 176
                | uint256(0xcd) << 168 | uint256(1) << 164 | uint256(2) << 162 | uint256(1) << 160
                | uint160(address(plugin))
        );
        assertEq(_load(slot + 1), uint160(address(plugin2)));
        uint256 self = uint256(uint160(address(plugin))) << 8;
        assertEq(_load(_hookSlot(FOO, 0, 0)), self | 1);
        assertEq(_load(_hookSlot(FOO, 1, 0)), self | 2);
        assertEq(_load(_hookSlot(FOO, 1, 1)), 2);
        // Two copies, with one distinct post hook.
        assertEq(_load(_hookSlot(FOO, 2, 0)), uint256(1) << 176 | uint256(1) << 168 | self | 3);
        assertEq(_load(_hookSlot(FOO, 3, 0)), self | 5);
        uint256 paired = uint256(keccak256(abi.encode(ref(address(plugin), 3), slot + 4)));
        assertEq(_load(uint256(keccak256(abi.encode(uint256(0), paired)))), uint256(1) << 168 | self | 4);
    }

    function test_supportedInterfaces() public {
        PluginManifest memory manifest;
        manifest.interfaceIds = add(add(manifest.interfaceIds, 0x11223344), 0x11223344);
        install(plugin, manifest);
        assertEq(_load(uint256(keccak256(abi.encode(bytes4(0x11223344), BASE + 3)))), 2);
    }

    function test_permissions() public {
        PluginManifest memory manifest;
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
        manifest.permittedExternalCalls =
            add(manifest.permittedExternalCalls, stranger, false, add(new bytes4[](0), BAR));
        manifest.permittedExternalCalls = add(manifest.permittedExternalCalls, address(counter), true, new bytes4[](0));
        install(plugin, manifest);
        uint256 slot = _pluginSlot(address(plugin));
        assertEq(_load(uint256(keccak256(abi.encode(FOO, slot + 3)))), 1);
        uint256 permission = uint256(keccak256(abi.encode(stranger, slot + 4)));
        assertEq(_load(permission), 1);
        assertEq(_load(uint256(keccak256(abi.encode(BAR, permission + 1)))), 1);
        assertEq(_load(uint256(keccak256(abi.encode(address(counter), slot + 4)))), 0x0101);
    }
}
