// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {
    ExecutionManifest,
    IExecutionModule,
    IModule,
    IValidationModule,
    ManifestExecutionFunction
} from "../../src/interfaces/IModule.sol";
import {ISessionKeyModule} from "../../src/interfaces/ISessionKeyModule.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {ModuleFace} from "../utils/SessionKeyFaces.sol";

/// @notice The constants that accounts and clients know: interface ids, selectors, the id, the hash of the manifest.
contract SessionKeyModuleAbiTest is ModuleFace {
    function test_selectors_areThoseOfTheStandard() public pure {
        assertEq(IModule.onInstall.selector, bytes4(0x6d61fe70));
        assertEq(IModule.onUninstall.selector, bytes4(0x8a91b0e3));
        assertEq(IModule.moduleId.selector, bytes4(0xa1308f27));
        assertEq(IValidationModule.validateUserOp.selector, bytes4(0x0ab8785f));
        assertEq(IValidationModule.validateRuntime.selector, bytes4(0x465d33e0));
        assertEq(IValidationModule.validateSignature.selector, bytes4(0xe7db7f7e));
        assertEq(IExecutionModule.executionManifest.selector, bytes4(0xae5628c6));
        assertEq(IStandardExecutor.execute.selector, bytes4(0xb61d27f6));
        assertEq(IStandardExecutor.executeBatch.selector, bytes4(0x34fcd5be));
    }

    function test_interfaceIds_areThoseOfTheStandard() public view {
        bytes4[5] memory ids = [
            type(IERC165).interfaceId,
            type(IModule).interfaceId,
            type(IValidationModule).interfaceId,
            type(IExecutionModule).interfaceId,
            type(ISessionKeyPlugin).interfaceId
        ];
        bytes4[5] memory expected =
            [bytes4(0x01ffc9a7), bytes4(0x46c0c1b4), bytes4(0xab3e34c1), bytes4(0xae5628c6), bytes4(0x5b051d22)];
        for (uint256 i = 0; i < ids.length; ++i) {
            assertEq(ids[i], expected[i]);
            assertTrue(_isSupported(expected[i]));
        }
        assertFalse(_isSupported(0xffffffff));
        assertFalse(_isSupported(0x00000000));
        // Not supported: a validation hook, an execution hook, a v0.7 plugin.
        assertFalse(_isSupported(0x28171ad0));
        assertFalse(_isSupported(0xb02cc192));
        assertFalse(_isSupported(0xf23b1ed7));
        assertFalse(_isSupported(type(ISessionKeyPermissionsUpdates).interfaceId));
    }

    /// @dev An account asks with 30,000 gas units; other modules, and this one, with 10,000.
    function test_interfaces_areAnsweredInTime() public view {
        bytes memory question = abi.encodeCall(IERC165.supportsInterface, (type(IModule).interfaceId));
        (bool success, bytes memory answer) = address(face).staticcall{gas: 1_000}(question);
        assertTrue(success && abi.decode(answer, (bool)));
    }

    function _isSupported(bytes4 id) private view returns (bool) {
        return IERC165(address(face)).supportsInterface(id);
    }

    function test_errors_haveTheDocumentedSelectors() public pure {
        assertEq(ISessionKeyModule.TargetIsModule.selector, bytes4(keccak256("TargetIsModule(address)")));
        assertEq(ISessionKeyModule.TargetNotAsked.selector, bytes4(keccak256("TargetNotAsked(address)")));
    }

    function test_moduleId_isTheOne() public view {
        assertEq(IModule(address(face)).moduleId(), "session-keys.session-key-module.1.0.0");
    }

    function test_executionManifest_isTheOneThatOwnersInstall() public view {
        ExecutionManifest memory manifest = IExecutionModule(address(face)).executionManifest();
        bytes4[5] memory selectors = [
            ISessionKeyPlugin.executeWithSessionKey.selector,
            ISessionKeyPlugin.addSessionKey.selector,
            ISessionKeyPlugin.removeSessionKey.selector,
            ISessionKeyPlugin.rotateSessionKey.selector,
            ISessionKeyPlugin.updateKeyPermissions.selector
        ];
        assertEq(manifest.executionFunctions.length, selectors.length);
        for (uint256 i = 0; i < selectors.length; ++i) {
            ManifestExecutionFunction memory added = manifest.executionFunctions[i];
            assertEq(added.executionSelector, selectors[i]);
            assertFalse(added.skipRuntimeValidation);
            assertEq(added.allowGlobalValidation, i != 0);
        }
        assertEq(manifest.executionHooks.length, 0);
        assertEq(manifest.interfaceIds.length, 0);
        assertEq(keccak256(abi.encode(manifest)), 0xa152696c31f7d8dfd66cbe40030a7261d3417d37c2919cfbb657bf4ddca656bf);
    }
}
