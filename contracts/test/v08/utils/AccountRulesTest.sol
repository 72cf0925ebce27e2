// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {
    ExecutionManifest,
    IModule,
    IValidationModule,
    ManifestExecutionFunction,
    PackedUserOperation
} from "../../../src/interfaces/IModule.sol";
import {IExecutionHookModule, IValidationHookModule} from "../interfaces/IHookModules.sol";
import {MockModule} from "../modules/MockModule.sol";
import {Counter} from "../../mocks/Counter.sol";
import {AccountV08Test} from "./AccountV08Test.sol";

/// @notice A base for tests of how accounts use modules, with modules that log their calls.
abstract contract AccountRulesTest is AccountV08Test {
    bytes4 internal constant EXECUTE = IAccountV08.execute.selector;
    bytes4 internal constant BATCH = IAccountV08.executeBatch.selector;
    bytes4 internal constant INSTALL = IAccountV08.installValidation.selector;

    bytes4 internal constant VALIDATE = IValidationModule.validateUserOp.selector;
    bytes4 internal constant VALIDATE_RUNTIME = IValidationModule.validateRuntime.selector;
    bytes4 internal constant PRE_USER_OP = IValidationHookModule.preUserOpValidationHook.selector;
    bytes4 internal constant PRE_RUNTIME = IValidationHookModule.preRuntimeValidationHook.selector;
    bytes4 internal constant PRE_EXECUTION = IExecutionHookModule.preExecutionHook.selector;
    bytes4 internal constant POST_EXECUTION = IExecutionHookModule.postExecutionHook.selector;
    bytes4 internal constant ON_INSTALL = IModule.onInstall.selector;
    bytes4 internal constant ON_UNINSTALL = IModule.onUninstall.selector;

    /// @dev A function that `mock` can add to the account.
    bytes4 internal constant FOO = bytes4(keccak256("foo()"));

    /// @dev Entity id of the validation that tests install.
    uint32 internal constant ENTITY = 5;
    uint192 internal constant KEY = uint192(ENTITY) << 8;

    MockModule internal mock;
    MockModule internal other;
    Counter internal counter;

    function setUp() public virtual override {
        super.setUp();
        mock = new MockModule();
        other = new MockModule();
        counter = new Counter();
        vm.label(address(mock), "mock");
        vm.label(address(other), "other");
    }

    /* Installing */

    /// @notice Installs `mock` as validation `ENTITY` without callbacks.
    function install(uint8 flags, bytes4[] memory list) internal {
        install(flags, list, new bytes[](0));
    }

    function install(uint8 flags, bytes4[] memory list, bytes[] memory hooks) internal {
        callAsOwner(installCall(validation(address(mock), ENTITY, flags), list, "", hooks));
    }

    /// @notice Returns a manifest with the one function FOO.
    function fooManifest(bool skipRuntimeValidation, bool allowGlobalValidation)
        internal
        pure
        returns (ExecutionManifest memory manifest)
    {
        manifest.executionFunctions = new ManifestExecutionFunction[](1);
        manifest.executionFunctions[0] = ManifestExecutionFunction(FOO, skipRuntimeValidation, allowGlobalValidation);
    }

    function none() internal pure returns (bytes4[] memory) {
        return new bytes4[](0);
    }

    function mockEntity() internal view returns (bytes24) {
        return entity(address(mock), ENTITY);
    }

    /// @notice Returns a validation hook of `other` without a callback.
    function validationHook(uint32 entityId) internal view returns (bytes memory) {
        return hookData(hook(address(other), entityId, VALIDATION_HOOK));
    }

    /// @notice Returns an execution hook of `other` without a callback.
    function executionHook(uint32 entityId, uint8 flags) internal view returns (bytes memory) {
        return hookData(hook(address(other), entityId, flags));
    }

    /* Operations */

    function increment() internal view returns (bytes memory) {
        return executeCall(address(counter), 0, abi.encodeCall(Counter.increment, ()));
    }

    /// @notice Returns an operation for validation `ENTITY`.
    function mockOp(bytes memory callData) internal view returns (PackedUserOperation memory) {
        return mockOp(callData, 0);
    }

    function mockOp(bytes memory callData, uint8 options) internal view returns (PackedUserOperation memory op) {
        op = buildUserOp(callData, KEY | options);
        op.signature = abi.encodePacked(selectionPrefix(mockEntity(), options & AS_GLOBAL != 0), hex"ff");
    }

    /* Logged calls of modules */

    struct ModuleCall {
        address module;
        bytes4 selector;
        address sender;
        bytes data;
    }

    /// @notice Returns the calls of the last bundle, in order.
    function moduleCalls() internal view returns (ModuleCall[] memory) {
        return _moduleCalls(lastLogs);
    }

    /// @notice Returns the calls since `vm.recordLogs`, in order.
    function recordedModuleCalls() internal returns (ModuleCall[] memory) {
        return _moduleCalls(vm.getRecordedLogs());
    }

    function _moduleCalls(Vm.Log[] memory logs) private pure returns (ModuleCall[] memory calls) {
        calls = new ModuleCall[](logs.length);
        uint256 count;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics.length != 3 || logs[i].topics[0] != MockModule.Called.selector) continue;
            (, bytes memory data) = abi.decode(logs[i].data, (uint256, bytes));
            calls[count++] = ModuleCall(
                logs[i].emitter, bytes4(logs[i].topics[2]), address(uint160(uint256(logs[i].topics[1]))), data
            );
        }
        assembly ("memory-safe") {
            mstore(calls, count)
        }
    }

    /// @notice Returns the answer that a module got from its caller.
    function seen(Vm.Log[] memory logs) internal pure returns (bytes memory) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == MockModule.Seen.selector) return abi.decode(logs[i].data, (bytes));
        }
        revert("nothing seen");
    }

    function assertCall(ModuleCall memory actual, MockModule module, bytes memory data) internal view {
        assertEq(actual.module, address(module), "module");
        assertEq(actual.sender, address(account), "caller of the module");
        assertEq(actual.data, data, "data");
    }

    function preExecution(uint32 entityId, address sender, uint256 value, bytes memory data)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IExecutionHookModule.preExecutionHook, (entityId, sender, value, data));
    }
}
