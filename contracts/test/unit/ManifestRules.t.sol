// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, ManifestExecutionHook, ManifestFunction, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice The effect of each part of a manifest on the account, and invalid manifests.
contract ManifestRulesTest is AccountTest {
    /// @dev Permissions come from the manifest, and belong to the plugin alone. `PluginExecutorTest` tests them in
    /// detail.
    function test_permissions_areStored() public {
        PluginManifest memory manifest = permittedFooManifest();
        manifest.permittedExternalCalls = add(
            manifest.permittedExternalCalls, address(counter), false, add(new bytes4[](0), counter.increment.selector)
        );
        manifest.canSpendNativeToken = true;
        bytes memory fromPlugin = abi.encodeCall(IPluginExecutor.executeFromPlugin, (fooCall()));
        bytes memory increment = abi.encodeCall(counter.increment, ());
        bytes memory external_ =
            abi.encodeCall(IPluginExecutor.executeFromPluginExternal, (address(counter), 5, increment));
        bytes memory notPermitted = abi.encodeWithSelector(
            IModularAccount.ExecFromPluginExternalNotPermitted.selector, plugin, counter, 5, increment
        );
        reverts(
            address(plugin),
            fromPlugin,
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, plugin, FOO)
        );
        reverts(address(plugin), external_, notPermitted);
        install(plugin, manifest);
        install(plugin2, emptyManifest());
        succeeds(address(plugin), fromPlugin);
        succeeds(address(plugin), external_);
        assertEq(address(counter).balance, 5);
        reverts(
            address(plugin2),
            fromPlugin,
            abi.encodeWithSelector(IModularAccount.ExecFromPluginNotPermitted.selector, plugin2, FOO)
        );
    }

    /// @dev DEPENDENCY resolves to the reference at its index, of every index.
    function test_validationFunction_mayBeADependencys() public {
        bytes21[] memory dependencies = new bytes21[](13);
        PluginManifest memory manifest = dependentManifest(13, type(IPlugin).interfaceId);
        install(plugin2, emptyManifest());
        for (uint256 i = 0; i < 13; ++i) {
            dependencies[i] = ref(i % 5 == 4 ? address(plugin2) : address(ownerPlugin), uint8(100 + i));
            bytes4 selector = bytes4(uint32(i + 1));
            manifest.userOpValidationFunctions =
                add(manifest.userOpValidationFunctions, selector, dependencyFunction(i));
            manifest.runtimeValidationFunctions =
                add(manifest.runtimeValidationFunctions, selector, dependencyFunction(12 - i));
        }
        install(plugin, manifest, dependencies);
        for (uint256 i = 0; i < 13; ++i) {
            IAccountLoupe.ExecutionFunctionConfig memory config =
                account.getExecutionFunctionConfig(bytes4(uint32(i + 1)));
            assertEq(config.userOpValidationFunction, dependencies[i]);
            assertEq(config.runtimeValidationFunction, dependencies[12 - i]);
            assertEq(config.plugin, address(0));
        }
    }

    function test_validationFunction_revertsIfADependencyIndexIsOutOfRange() public {
        PluginManifest memory manifest = dependentManifest(1, type(IPlugin).interfaceId);
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, dependencyFunction(1));
        bytes memory expected = revertData(IModularAccount.InvalidPluginManifest.selector);
        expectInstallRevert(plugin, manifest, refs(ownerDependencies()[0]), expected);
        manifest.userOpValidationFunctions[0].associatedFunction.dependencyIndex = type(uint256).max;
        expectInstallRevert(plugin, manifest, refs(ownerDependencies()[0]), expected);
    }

    function test_executionFunction_revertsIfTheSelectorIsSet() public {
        install(plugin, fooManifest());
        PluginManifest memory manifest;
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        expectInstallRevert(plugin2, manifest, revertData(IModularAccount.ExecutionFunctionAlreadySet.selector, FOO));
    }

    function test_executionFunction_revertsIfTheManifestRepeatsASelector() public {
        PluginManifest memory manifest = fooManifest();
        manifest.executionFunctions = add(manifest.executionFunctions, FOO);
        expectInstallRevert(plugin, manifest, revertData(IModularAccount.ExecutionFunctionAlreadySet.selector, FOO));
    }

    function test_executionFunction_revertsForNativeFunctions() public {
        bytes4[21] memory native = nativeSelectors();
        for (uint256 i = 0; i < native.length; ++i) {
            PluginManifest memory manifest;
            manifest.executionFunctions = add(manifest.executionFunctions, native[i]);
            expectInstallRevert(
                plugin, manifest, revertData(IModularAccount.NativeFunctionNotAllowed.selector, native[i])
            );
        }
    }

    function test_executionFunction_revertsForPluginFunctions() public {
        bytes4[10] memory selectors = [
            IPlugin.onInstall.selector,
            IPlugin.onUninstall.selector,
            USER_OP,
            PRE_USER_OP,
            RUNTIME,
            PRE_RUNTIME,
            PRE_EXEC,
            POST_EXEC,
            IPlugin.pluginManifest.selector,
            IPlugin.pluginMetadata.selector
        ];
        for (uint256 i = 0; i < selectors.length; ++i) {
            PluginManifest memory manifest;
            manifest.executionFunctions = add(manifest.executionFunctions, selectors[i]);
            expectInstallRevert(
                plugin, manifest, revertData(IModularAccount.IPluginFunctionNotAllowed.selector, selectors[i])
            );
        }
    }

    function test_executionFunction_revertsForPaymasterAndAggregatorFunctions() public {
        string memory op = "(address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes)";
        string[5] memory signatures = [
            "postOp(uint8,bytes,uint256)",
            string.concat("validatePaymasterUserOp(", op, ",bytes32,uint256)"),
            string.concat("validateSignatures(", op, "[],bytes)"),
            string.concat("validateUserOpSignature(", op, ")"),
            string.concat("aggregateSignatures(", op, "[])")
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            PluginManifest memory manifest;
            bytes4 selector = bytes4(keccak256(bytes(signatures[i])));
            manifest.executionFunctions = add(manifest.executionFunctions, selector);
            expectInstallRevert(
                plugin, manifest, revertData(IModularAccount.Erc4337FunctionNotAllowed.selector, selector)
            );
        }
    }

    function test_validationFunction_revertsForASecondUserOpValidation() public {
        install(plugin, fooManifest());
        PluginManifest memory manifest;
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, selfFunction(9));
        expectInstallRevert(
            plugin2,
            manifest,
            abi.encodeWithSelector(
                IModularAccount.UserOpValidationFunctionAlreadySet.selector, FOO, ref(address(plugin2), 9)
            )
        );
    }

    function test_validationFunction_revertsForASecondRuntimeValidation() public {
        install(plugin, fooManifest());
        PluginManifest memory manifest;
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, selfFunction(9));
        expectInstallRevert(
            plugin2,
            manifest,
            abi.encodeWithSelector(
                IModularAccount.RuntimeValidationFunctionAlreadySet.selector, FOO, ref(address(plugin2), 9)
            )
        );
    }

    /// @dev ALWAYS_ALLOW occupies the place like any function.
    function test_validationFunction_alwaysAllowIsARuntimeValidation() public {
        PluginManifest memory manifest = fooManifest();
        manifest.runtimeValidationFunctions[0].associatedFunction = allowFunction();
        install(plugin, manifest);
        assertEq(account.getExecutionFunctionConfig(FOO).runtimeValidationFunction, ALWAYS_ALLOW);
        PluginManifest memory second;
        second.runtimeValidationFunctions = add(second.runtimeValidationFunctions, FOO, allowFunction());
        expectInstallRevert(
            plugin2,
            second,
            abi.encodeWithSelector(IModularAccount.RuntimeValidationFunctionAlreadySet.selector, FOO, ALWAYS_ALLOW)
        );
        uninstall(address(plugin));
        install(plugin2, second);
    }

    /// @dev Function id 0 of the plugin is a function like any other.
    function test_validationFunction_withIdZeroIsOne() public {
        PluginManifest memory manifest;
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, selfFunction(0));
        install(plugin, manifest);
        expectInstallRevert(
            plugin2,
            manifest,
            abi.encodeWithSelector(
                IModularAccount.UserOpValidationFunctionAlreadySet.selector, FOO, ref(address(plugin2), 0)
            )
        );
    }

    function test_validationFunction_revertsForNone() public {
        bytes memory expected = revertData(IModularAccount.NullFunctionReference.selector);
        PluginManifest memory manifest;
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, noFunction());
        expectInstallRevert(plugin, manifest, expected);
        manifest = emptyManifest();
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, noFunction());
        expectInstallRevert(plugin, manifest, expected);
        manifest = emptyManifest();
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, noFunction());
        expectInstallRevert(plugin, manifest, expected);
        manifest = emptyManifest();
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, noFunction());
        expectInstallRevert(plugin, manifest, expected);
        manifest = emptyManifest();
        manifest.executionHooks = add(manifest.executionHooks, FOO, noFunction(), noFunction());
        expectInstallRevert(plugin, manifest, expected);
    }

    function test_hook_cannotBeADependency() public {
        _forbidAsHook(dependencyFunction(0), true);
    }

    function test_alwaysAllow_onlyAsRuntimeValidation() public {
        _forbidAsHook(allowFunction(), true);
        PluginManifest memory manifest = dependentManifest(1, type(IPlugin).interfaceId);
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, allowFunction());
        _expectInvalidManifest(manifest);
    }

    function test_alwaysDeny_onlyAsPreHook() public {
        _forbidAsHook(denyFunction(), false);
        PluginManifest memory manifest = dependentManifest(1, type(IPlugin).interfaceId);
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, FOO, denyFunction());
        _expectInvalidManifest(manifest);
        manifest = dependentManifest(1, type(IPlugin).interfaceId);
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, FOO, denyFunction());
        _expectInvalidManifest(manifest);
    }

    function _expectInvalidManifest(PluginManifest memory manifest) private {
        expectInstallRevert(
            plugin, manifest, refs(ownerDependencies()[0]), revertData(IModularAccount.InvalidPluginManifest.selector)
        );
    }

    /// @param asPreHook Whether it is forbidden as a pre hook too.
    function _forbidAsHook(ManifestFunction memory forbidden, bool asPreHook) private {
        bytes4 id = type(IPlugin).interfaceId;
        PluginManifest memory manifest = dependentManifest(1, id);
        manifest.executionHooks = add(manifest.executionHooks, FOO, noFunction(), forbidden);
        _expectInvalidManifest(manifest);
        manifest = dependentManifest(1, id);
        manifest.executionHooks = add(manifest.executionHooks, FOO, selfFunction(1), forbidden);
        _expectInvalidManifest(manifest);
        if (!asPreHook) return;
        manifest = dependentManifest(1, id);
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, forbidden);
        _expectInvalidManifest(manifest);
        manifest = dependentManifest(1, id);
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, forbidden);
        _expectInvalidManifest(manifest);
        manifest = dependentManifest(1, id);
        manifest.executionHooks = add(manifest.executionHooks, FOO, forbidden, noFunction());
        _expectInvalidManifest(manifest);
    }

    /// @dev Not checked: whose selectors a manifest names, and function ids of dependencies.
    function test_manifest_mayNameAnySelector() public {
        PluginManifest memory manifest = dependentManifest(1, type(IPlugin).interfaceId);
        bytes4 execute = IStandardExecutor.execute.selector;
        bytes4 getNonce = IModularAccount.getNonce.selector;
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, execute);
        manifest.permittedExecutionSelectors = add(manifest.permittedExecutionSelectors, BAR);
        manifest.userOpValidationFunctions = add(manifest.userOpValidationFunctions, getNonce, selfFunction(3));
        manifest.runtimeValidationFunctions = add(manifest.runtimeValidationFunctions, bytes4(0), dependencyFunction(0));
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, BAR, selfFunction(4));
        manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, execute, selfFunction(5));
        manifest.executionHooks = add(manifest.executionHooks, 0xffffffff, selfFunction(6), noFunction());
        install(plugin, manifest, refs(ref(address(ownerPlugin), 200)));
        assertEq(account.getExecutionFunctionConfig(getNonce).userOpValidationFunction, ref(address(plugin), 3));
        assertEq(
            account.getExecutionFunctionConfig(bytes4(0)).runtimeValidationFunction, ref(address(ownerPlugin), 200)
        );
    }

    function test_interfaceIds_areCounted() public {
        bytes4 id = 0xaabbccdd;
        PluginManifest memory manifest;
        manifest.interfaceIds = add(add(manifest.interfaceIds, id), id);
        assertFalse(account.supportsInterface(id));
        install(plugin, manifest);
        install(plugin2, manifest);
        assertTrue(account.supportsInterface(id));
        uninstall(address(plugin));
        assertTrue(account.supportsInterface(id));
        uninstall(address(plugin2));
        assertFalse(account.supportsInterface(id));
    }

    function test_interfaceIds_revertIfForbidden() public {
        bytes4[2] memory forbidden = [type(IPlugin).interfaceId, bytes4(0xffffffff)];
        for (uint256 i = 0; i < forbidden.length; ++i) {
            PluginManifest memory manifest;
            manifest.interfaceIds = add(manifest.interfaceIds, forbidden[i]);
            expectInstallRevert(plugin, manifest, revertData(IModularAccount.InterfaceNotAllowed.selector));
            assertFalse(account.supportsInterface(forbidden[i]));
        }
        assertTrue(account.supportsInterface(type(IERC165).interfaceId));
    }

    /// @dev The account counts up to 256 copies of a hook.
    function test_duplicatePreUserOpValidationHooks_areLimited() public {
        PluginManifest memory manifest;
        for (uint256 i = 0; i < 256; ++i) {
            manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(1));
        }
        install(plugin, manifest);
        uninstall(address(plugin));
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(1));
        expectInstallRevert(
            plugin,
            manifest,
            abi.encodeWithSelector(
                IModularAccount.DuplicatePreUserOpValidationHookLimitExceeded.selector, FOO, ref(address(plugin), 1)
            )
        );
    }

    function test_duplicatePreRuntimeValidationHooks_areLimited() public {
        PluginManifest memory manifest;
        for (uint256 i = 0; i < 256; ++i) {
            manifest.preRuntimeValidationHooks = add(manifest.preRuntimeValidationHooks, FOO, denyFunction());
        }
        install(plugin, manifest);
        PluginManifest memory second;
        second.preRuntimeValidationHooks = add(second.preRuntimeValidationHooks, FOO, denyFunction());
        expectInstallRevert(
            plugin2,
            second,
            abi.encodeWithSelector(
                IModularAccount.DuplicatePreRuntimeValidationHookLimitExceeded.selector, FOO, ALWAYS_DENY
            )
        );
    }

    /// @dev A pre hook, an unpaired post hook, and a post hook paired with a pre hook.
    function test_duplicateExecutionHooks_areLimited() public {
        for (uint256 kind = 0; kind < 3; ++kind) {
            PluginManifest memory manifest;
            ManifestFunction memory pre = kind == 1 ? noFunction() : selfFunction(1);
            ManifestFunction memory post = kind == 0 ? noFunction() : selfFunction(2);
            manifest.executionHooks = new ManifestExecutionHook[](256);
            for (uint256 i = 0; i < 256; ++i) {
                manifest.executionHooks[i] = ManifestExecutionHook(FOO, pre, post);
            }
            install(plugin, manifest);
            uninstall(address(plugin));
            manifest.executionHooks = add(manifest.executionHooks, FOO, pre, post);
            expectInstallRevert(
                plugin,
                manifest,
                abi.encodeWithSelector(
                    IModularAccount.DuplicateHookLimitExceeded.selector, FOO, ref(address(plugin), kind == 1 ? 2 : 1)
                )
            );
        }
    }
}
