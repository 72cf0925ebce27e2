// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IPlugin, PluginMetadata} from "../../src/interfaces/IPlugin.sol";
import {IPluginErrors} from "../../src/interfaces/IPluginErrors.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {PluginFace} from "../utils/SessionKeyFaces.sol";

/// @notice The constants that clients know: interface ids, selectors, the hash of the manifest. `PublishedAbi` compares the
/// whole ABI.
contract SessionKeyPluginAbiTest is PluginFace {
    function test_interfaceIds_areThePublishedOnes() public view {
        assertEq(type(ISessionKeyPlugin).interfaceId, bytes4(0x5b051d22));
        assertEq(type(IPlugin).interfaceId, bytes4(0xf23b1ed7));
        bytes4[3] memory supported = [bytes4(0x5b051d22), bytes4(0xf23b1ed7), bytes4(0x01ffc9a7)];
        for (uint256 i = 0; i < supported.length; ++i) {
            assertTrue(_isSupported(supported[i]));
        }
        assertFalse(_isSupported(0xffffffff));
        assertFalse(_isSupported(0x00000000));
        assertFalse(_isSupported(type(ISessionKeyPermissionsUpdates).interfaceId));
    }

    function _isSupported(bytes4 id) private view returns (bool) {
        (bool success, bytes memory answer) =
            address(face).staticcall(abi.encodeWithSignature("supportsInterface(bytes4)", id));
        assertTrue(success);
        return abi.decode(answer, (bool));
    }

    function test_pluginManifest_isThePublishedOne() public view {
        assertEq(
            keccak256(abi.encode(IPlugin(address(face)).pluginManifest())),
            0x833a1f0442e68769684efcd91c9fbd90948637d3d3bae76a4c7fd65f58e2947b
        );
    }

    function test_pluginMetadata_describesWhatOwnersCall() public view {
        PluginMetadata memory metadata = IPlugin(address(face)).pluginMetadata();
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

    function test_selectors_areThePublishedOnes() public pure {
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

    function testFuzz_otherFunctions_areNotImplemented(uint8 functionId) public {
        UserOperation memory op;
        bytes[5] memory calls = [
            abi.encodeCall(IPlugin.preUserOpValidationHook, (functionId, op, 0)),
            abi.encodeCall(IPlugin.preRuntimeValidationHook, (functionId, address(1), 2, "")),
            abi.encodeCall(IPlugin.runtimeValidationFunction, (functionId, address(1), 2, "")),
            abi.encodeCall(IPlugin.preExecutionHook, (functionId, address(1), 2, "")),
            abi.encodeCall(IPlugin.postExecutionHook, (functionId, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool success, bytes memory answer) = address(face).call(calls[i]);
            assertFalse(success);
            assertEq(
                answer, abi.encodeWithSelector(IPluginErrors.NotImplemented.selector, bytes4(calls[i]), functionId)
            );
        }
    }
}
