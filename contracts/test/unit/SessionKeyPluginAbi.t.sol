// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IPlugin, PluginMetadata} from "../../src/interfaces/IPlugin.sol";
import {IPluginErrors} from "../../src/interfaces/IPluginErrors.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {SessionKeyPluginTest} from "../utils/SessionKeyPluginTest.sol";

/// @notice The ABI against the published one, and the constants that clients know.
contract SessionKeyPluginAbiTest is SessionKeyPluginTest {
    function test_abi_hasAllThatIsPublished() public {
        string memory published = vm.readFile("contracts/test/abi/SessionKeyPluginAbi.json");
        string memory artifact = vm.readFile("out/SessionKeyPlugin.sol/SessionKeyPlugin.json");
        mapping(bytes32 => bool) storage ours = known;
        for (uint256 i = 0; vm.keyExistsJson(artifact, item(".abi", i)); ++i) {
            ours[keccak256(bytes(describe(artifact, item(".abi", i))))] = true;
        }
        uint256 count;
        for (; vm.keyExistsJson(published, item("", count)); ++count) {
            string memory entry = describe(published, item("", count));
            assertTrue(ours[keccak256(bytes(entry))], entry);
        }
        assertGt(count, 40);
    }

    mapping(bytes32 description => bool) private known;

    function item(string memory path, uint256 index) private pure returns (string memory) {
        return string.concat(path, "[", vm.toString(index), "]");
    }

    /// @dev Everything about an entry of an ABI but the names of its parameters.
    function describe(string memory json, string memory path) private view returns (string memory text) {
        string memory kind = vm.parseJsonString(json, string.concat(path, ".type"));
        text = kind;
        if (vm.keyExistsJson(json, string.concat(path, ".name"))) {
            text = string.concat(text, " ", vm.parseJsonString(json, string.concat(path, ".name")));
        }
        text = string.concat(text, typesOf(json, string.concat(path, ".inputs")));
        if (keccak256(bytes(kind)) == keccak256("function")) {
            text = string.concat(
                text,
                typesOf(json, string.concat(path, ".outputs")),
                vm.parseJsonString(json, string.concat(path, ".stateMutability"))
            );
        }
    }

    function typesOf(string memory json, string memory path) private view returns (string memory text) {
        text = "(";
        for (uint256 i = 0; vm.keyExistsJson(json, item(path, i)); ++i) {
            string memory parameter = item(path, i);
            text = string.concat(text, vm.parseJsonString(json, string.concat(parameter, ".type")));
            if (vm.keyExistsJson(json, string.concat(parameter, ".indexed"))) {
                text =
                    string.concat(text, vm.parseJsonBool(json, string.concat(parameter, ".indexed")) ? " indexed" : "");
            }
            text = string.concat(text, typesOf(json, string.concat(parameter, ".components")), ",");
        }
        text = string.concat(text, ")");
    }

    function test_interfaceIds() public view {
        assertEq(type(ISessionKeyPlugin).interfaceId, bytes4(0x5b051d22));
        assertEq(type(IPlugin).interfaceId, bytes4(0xf23b1ed7));
        bytes4[3] memory supported = [bytes4(0x5b051d22), bytes4(0xf23b1ed7), bytes4(0x01ffc9a7)];
        for (uint256 i = 0; i < supported.length; ++i) {
            assertTrue(isSupported(supported[i]));
        }
        assertFalse(isSupported(0xffffffff));
        assertFalse(isSupported(0x00000000));
        assertFalse(isSupported(type(ISessionKeyPermissionsUpdates).interfaceId));
    }

    function isSupported(bytes4 id) private view returns (bool) {
        (bool success, bytes memory answer) =
            address(plugin).staticcall(abi.encodeWithSignature("supportsInterface(bytes4)", id));
        assertTrue(success);
        return abi.decode(answer, (bool));
    }

    function test_manifestHash() public view {
        assertEq(
            keccak256(abi.encode(IPlugin(address(plugin)).pluginManifest())),
            0x833a1f0442e68769684efcd91c9fbd90948637d3d3bae76a4c7fd65f58e2947b
        );
    }

    function test_metadata() public view {
        PluginMetadata memory metadata = IPlugin(address(plugin)).pluginMetadata();
        assertEq(metadata.name, "Session Key Plugin");
        assertEq(vm.split(metadata.version, ".").length, 3);
        assertGt(bytes(metadata.author).length, 0);
        bytes4[4] memory functions = [
            ISessionKeyPlugin.addSessionKey.selector,
            ISessionKeyPlugin.removeSessionKey.selector,
            ISessionKeyPlugin.rotateSessionKey.selector,
            ISessionKeyPlugin.updateKeyPermissions.selector
        ];
        assertEq(metadata.permissionDescriptors.length, functions.length);
        for (uint256 i = 0; i < functions.length; ++i) {
            assertEq(metadata.permissionDescriptors[i].functionSelector, functions[i]);
            assertGt(bytes(metadata.permissionDescriptors[i].permissionDescription).length, 0);
        }
    }

    function test_selectors() public pure {
        assertEq(ISessionKeyPlugin.executeWithSessionKey.selector, bytes4(0x31d99c2c));
        assertEq(ISessionKeyPermissionsUpdates.setAccessListType.selector, bytes4(0x8f2920d8));
        assertEq(ISessionKeyPermissionsUpdates.updateAccessListAddressEntry.selector, bytes4(0x9e7345eb));
        assertEq(ISessionKeyPermissionsUpdates.updateAccessListFunctionEntry.selector, bytes4(0x0c8de002));
        assertEq(ISessionKeyPermissionsUpdates.updateTimeRange.selector, bytes4(0x9a37b113));
        assertEq(ISessionKeyPermissionsUpdates.setNativeTokenSpendLimit.selector, bytes4(0xb3a26f5c));
        assertEq(ISessionKeyPermissionsUpdates.setERC20SpendLimit.selector, bytes4(0x7b1f0893));
        assertEq(ISessionKeyPermissionsUpdates.setGasSpendLimit.selector, bytes4(0x585ca4a5));
        assertEq(ISessionKeyPermissionsUpdates.setRequiredPaymaster.selector, bytes4(0xb85631d7));
    }

    function testFuzz_unusedFunctions_revert(uint8 functionId) public {
        UserOperation memory op;
        bytes[5] memory calls = [
            abi.encodeCall(IPlugin.preUserOpValidationHook, (functionId, op, 0)),
            abi.encodeCall(IPlugin.preRuntimeValidationHook, (functionId, address(1), 2, "")),
            abi.encodeCall(IPlugin.runtimeValidationFunction, (functionId, address(1), 2, "")),
            abi.encodeCall(IPlugin.preExecutionHook, (functionId, address(1), 2, "")),
            abi.encodeCall(IPlugin.postExecutionHook, (functionId, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory answer) = address(plugin).call(calls[i]);
            assertFalse(success);
            assertEq(
                answer, abi.encodeWithSelector(IPluginErrors.NotImplemented.selector, bytes4(calls[i]), functionId)
            );
        }
    }
}
