// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {Vm} from "forge-std/Vm.sol";

import {IAccount} from "../../src/interfaces/IAccount.sol";
import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestExecutionHook,
    ManifestExternalCallPermission,
    ManifestFunction,
    PluginManifest
} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {StackTest} from "./StackTest.sol";

/// @notice Base of tests of the account with mock plugins. The rules they test are in docs/account-rules.md.
abstract contract AccountTest is StackTest {
    /// @notice Function references without a plugin.
    bytes21 internal constant ALWAYS_ALLOW = bytes21(uint168(1));
    bytes21 internal constant ALWAYS_DENY = bytes21(uint168(2));

    /// @dev Execution functions of mock plugins.
    bytes4 internal constant FOO = bytes4(keccak256("foo(uint256)"));
    bytes4 internal constant BAR = bytes4(keccak256("bar()"));

    bytes4 internal constant RUNTIME = IPlugin.runtimeValidationFunction.selector;
    bytes4 internal constant PRE_RUNTIME = IPlugin.preRuntimeValidationHook.selector;
    bytes4 internal constant USER_OP = IPlugin.userOpValidationFunction.selector;
    bytes4 internal constant PRE_USER_OP = IPlugin.preUserOpValidationHook.selector;
    bytes4 internal constant PRE_EXEC = IPlugin.preExecutionHook.selector;
    bytes4 internal constant POST_EXEC = IPlugin.postExecutionHook.selector;

    Counter internal counter;
    MockPlugin internal plugin;
    MockPlugin internal plugin2;
    address internal stranger = makeAddr("stranger");

    function setUp() public virtual override {
        super.setUp();
        counter = new Counter();
        plugin = new MockPlugin();
        plugin2 = new MockPlugin();
        vm.label(address(plugin), "plugin");
        vm.label(address(plugin2), "plugin2");
    }

    /* Manifests */

    function selfFunction(uint8 functionId) internal pure returns (ManifestFunction memory) {
        return ManifestFunction(ManifestAssociatedFunctionType.SELF, functionId, 0);
    }

    function dependencyFunction(uint256 index) internal pure returns (ManifestFunction memory) {
        return ManifestFunction(ManifestAssociatedFunctionType.DEPENDENCY, 0, index);
    }

    function noFunction() internal pure returns (ManifestFunction memory) {
        return ManifestFunction(ManifestAssociatedFunctionType.NONE, 0, 0);
    }

    function allowFunction() internal pure returns (ManifestFunction memory) {
        return ManifestFunction(ManifestAssociatedFunctionType.RUNTIME_VALIDATION_ALWAYS_ALLOW, 0, 0);
    }

    function denyFunction() internal pure returns (ManifestFunction memory) {
        return ManifestFunction(ManifestAssociatedFunctionType.PRE_HOOK_ALWAYS_DENY, 0, 0);
    }

    function add(ManifestAssociatedFunction[] memory list, bytes4 selector, ManifestFunction memory manifestFunction)
        internal
        pure
        returns (ManifestAssociatedFunction[] memory longer)
    {
        longer = new ManifestAssociatedFunction[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = ManifestAssociatedFunction(selector, manifestFunction);
    }

    function add(
        ManifestExecutionHook[] memory list,
        bytes4 selector,
        ManifestFunction memory pre,
        ManifestFunction memory post
    ) internal pure returns (ManifestExecutionHook[] memory longer) {
        longer = new ManifestExecutionHook[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = ManifestExecutionHook(selector, pre, post);
    }

    function add(bytes4[] memory list, bytes4 selector) internal pure returns (bytes4[] memory longer) {
        longer = new bytes4[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = selector;
    }

    function add(
        ManifestExternalCallPermission[] memory list,
        address target,
        bool anySelector,
        bytes4[] memory selectors
    ) internal pure returns (ManifestExternalCallPermission[] memory longer) {
        longer = new ManifestExternalCallPermission[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = ManifestExternalCallPermission(target, anySelector, selectors);
    }

    function emptyManifest() internal pure returns (PluginManifest memory manifest) {}

    /// @notice A manifest with the execution function FOO: runtime validation 1, user operation validation 2 of the plugin.
    function fooManifest() internal pure returns (PluginManifest memory manifest) {
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(1));
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, selfFunction(2));
    }

    /// @notice A manifest whose plugin may call FOO of the account, which it adds itself.
    function permittedFooManifest() internal pure returns (PluginManifest memory manifest) {
        manifest = fooManifest();
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, FOO);
    }

    /// @notice A manifest whose plugin may make the account call any address.
    function anyAddressManifest() internal pure returns (PluginManifest memory manifest) {
        manifest.permitAnyExternalAddress = true;
    }

    /// @notice A manifest with this many dependencies, all on the same interface.
    function dependentManifest(uint256 count, bytes4 interfaceId)
        internal
        pure
        returns (PluginManifest memory manifest)
    {
        manifest.dependencyInterfaceIds = new bytes4[](count);
        for (uint256 i = 0; i < count; ++i) {
            manifest.dependencyInterfaceIds[i] = interfaceId;
        }
    }

    /* Installing */

    function install(MockPlugin mock, PluginManifest memory manifest) internal {
        install(mock, manifest, new bytes21[](0));
    }

    function install(MockPlugin mock, PluginManifest memory manifest, bytes21[] memory dependencies) internal {
        mock.setManifest(manifest);
        install(address(mock), "", dependencies);
    }

    /// @notice Expects that installing the plugin with the manifest reverts with this.
    function expectInstallRevert(MockPlugin mock, PluginManifest memory manifest, bytes memory reason) internal {
        expectInstallRevert(mock, manifest, new bytes21[](0), reason);
    }

    function expectInstallRevert(
        MockPlugin mock,
        PluginManifest memory manifest,
        bytes21[] memory dependencies,
        bytes memory reason
    ) internal {
        mock.setManifest(manifest);
        vm.expectRevert(reason);
        vm.prank(owner.addr);
        account.installPlugin(address(mock), keccak256(abi.encode(manifest)), "", dependencies);
    }

    function assertReferences(bytes21[] memory actual, bytes21[] memory expected) internal pure {
        assertEq(abi.encode(actual), abi.encode(expected), "function references");
    }

    /* Calls */

    /// @notice The account's own functions.
    function nativeSelectors() internal pure returns (bytes4[21] memory) {
        return [
            IStandardExecutor.execute.selector,
            IStandardExecutor.executeBatch.selector,
            IPluginExecutor.executeFromPlugin.selector,
            IPluginExecutor.executeFromPluginExternal.selector,
            IPluginManager.installPlugin.selector,
            IPluginManager.uninstallPlugin.selector,
            IModularAccount.initialize.selector,
            IAccount.validateUserOp.selector,
            IModularAccount.upgradeToAndCall.selector,
            IModularAccount.proxiableUUID.selector,
            IModularAccount.entryPoint.selector,
            IModularAccount.getNonce.selector,
            IModularAccount.supportsInterface.selector,
            IModularAccount.onERC721Received.selector,
            IModularAccount.onERC1155Received.selector,
            IModularAccount.onERC1155BatchReceived.selector,
            IModularAccount.tokensReceived.selector,
            IAccountLoupe.getExecutionFunctionConfig.selector,
            IAccountLoupe.getExecutionHooks.selector,
            IAccountLoupe.getPreValidationHooks.selector,
            IAccountLoupe.getInstalledPlugins.selector
        ];
    }

    function fooCall() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(FOO, 5);
    }

    function installCall(MockPlugin mock, PluginManifest memory manifest) internal returns (bytes memory) {
        mock.setManifest(manifest);
        return installCall(address(mock), "", new bytes21[](0));
    }

    /// @notice A batch that increments the counter some times.
    function increments(uint256 count) internal view returns (Call[] memory calls) {
        calls = new Call[](count);
        for (uint256 i = 0; i < count; ++i) {
            calls[i] = Call(address(counter), 0, abi.encodeCall(Counter.increment, ()));
        }
    }

    function callAccount(address caller, bytes memory callData) internal returns (bool success, bytes memory answer) {
        vm.prank(caller);
        return address(account).call(callData);
    }

    /// @notice Calls the account; it must succeed.
    function succeeds(address caller, bytes memory callData) internal returns (bytes memory answer) {
        bool success;
        (success, answer) = callAccount(caller, callData);
        if (!success) LowLevelCall.bubbleRevert(answer);
    }

    /// @notice Calls the account; it must revert with exactly this.
    function reverts(address caller, bytes memory callData, bytes memory reason) internal {
        (bool success, bytes memory answer) = callAccount(caller, callData);
        assertFalse(success, "the call succeeded");
        assertEq(answer, reason, "revert reason");
    }

    function revertData(bytes4 errorSelector) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(errorSelector);
    }

    function revertData(bytes4 errorSelector, bytes4 argument) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(errorSelector, argument);
    }

    function revertData(bytes4 errorSelector, address argument) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(errorSelector, argument);
    }

    /// @notice The account's wrapping of a plugin's revert.
    function revertData(bytes4 errorSelector, MockPlugin mock, uint8 functionId, bytes memory reason)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(errorSelector, mock, functionId, reason);
    }

    /* Calls of mock plugins */

    struct MockCall {
        address plugin;
        bytes4 selector;
        uint8 functionId;
        uint256 value;
        bytes data;
    }

    /// @notice All calls of mock plugins since `vm.recordLogs`, in order.
    function mockCalls() internal returns (MockCall[] memory calls) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 count;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics.length != 0 && logs[i].topics[0] == MockPlugin.Called.selector) ++count;
        }
        calls = new MockCall[](count);
        count = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics.length == 0 || logs[i].topics[0] != MockPlugin.Called.selector) continue;
            (uint256 value, bytes memory data) = abi.decode(logs[i].data, (uint256, bytes));
            calls[count++] =
                MockCall(logs[i].emitter, bytes4(logs[i].topics[2]), uint8(uint256(logs[i].topics[3])), value, data);
        }
    }

    function assertCall(MockCall memory call, MockPlugin mock, bytes4 selector, uint8 functionId) internal pure {
        assertEq(call.plugin, address(mock), "called plugin");
        assertEq(call.selector, selector, "called selector");
        assertEq(call.functionId, functionId, "called function id");
    }

    /// @notice The call of a runtime validation function, a pre-runtime-validation hook or a pre-execution hook.
    function hookCall(bytes4 selector, uint8 functionId, address sender, uint256 value, bytes memory data)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(selector, functionId, sender, value, data);
    }
}
