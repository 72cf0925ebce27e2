// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestExecutionHook,
    ManifestFunction,
    PluginManifest
} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Installing and uninstalling a plugin leaves the account's storage as it was, slot by slot.
contract StorageRestorationTest is AccountTest {
    uint256 private seed;
    /// @dev Written slots, with their previous values.
    mapping(bytes32 slot => bool) private seen;
    mapping(bytes32 slot => bytes32) private before;

    function _random(uint256 bound) private returns (uint256) {
        seed = uint256(keccak256(abi.encode(seed)));
        return seed % bound;
    }

    /// @dev Few selectors, so plugins share them.
    function _randomSelector() private returns (bytes4) {
        bytes4[8] memory selectors = [
            FOO,
            BAR,
            bytes4(0x00000001),
            IStandardExecutor.execute.selector,
            IPluginManager.installPlugin.selector,
            IPluginManager.uninstallPlugin.selector,
            IPluginExecutor.executeFromPluginExternal.selector,
            IModularAccount.getNonce.selector
        ];
        return selectors[_random(selectors.length)];
    }

    /// @dev Selectors whose hooks and validations do not run when plugins are installed and uninstalled.
    function _harmlessSelector() private returns (bytes4 selector) {
        do {
            selector = _randomSelector();
        } while (
            selector == IPluginManager.installPlugin.selector || selector == IPluginManager.uninstallPlugin.selector
        );
    }

    function _randomHooks(bool mayDeny) private returns (ManifestAssociatedFunction[] memory hooks) {
        hooks = new ManifestAssociatedFunction[](_random(5));
        for (uint256 i = 0; i < hooks.length; ++i) {
            bool deny = mayDeny && _random(3) == 0;
            hooks[i] = deny
                ? ManifestAssociatedFunction(_harmlessSelector(), denyFunction())
                : ManifestAssociatedFunction(_randomSelector(), selfFunction(uint8(_random(3))));
        }
    }

    /// @dev Each validation function has its own selector, since a second one would be refused.
    function _randomValidation(uint256 base, bool isRuntime)
        private
        returns (ManifestAssociatedFunction[] memory functions)
    {
        functions = new ManifestAssociatedFunction[](_random(5));
        for (uint256 i = 0; i < functions.length; ++i) {
            uint256 kind = _random(isRuntime ? 3 : 2);
            ManifestFunction memory validation = kind == 0
                ? selfFunction(uint8(_random(256)))
                : kind == 1 ? dependencyFunction(_random(4)) : allowFunction();
            functions[i] = ManifestAssociatedFunction(bytes4(uint32(base + i)), validation);
        }
    }

    function _randomManifest(uint256 base) private returns (PluginManifest memory manifest) {
        manifest.interfaceIds = new bytes4[](_random(4));
        for (uint256 i = 0; i < manifest.interfaceIds.length; ++i) {
            manifest.interfaceIds[i] = bytes4(uint32(0x1000 + _random(3)));
        }
        manifest.dependencyInterfaceIds = new bytes4[](4);
        for (uint256 i = 0; i < 4; ++i) {
            manifest.dependencyInterfaceIds[i] = type(IPlugin).interfaceId;
        }
        manifest.executionFunctions = new bytes4[](_random(4));
        for (uint256 i = 0; i < manifest.executionFunctions.length; ++i) {
            manifest.executionFunctions[i] = bytes4(uint32(base + i));
        }
        manifest.permittedExecutionSelectors = new bytes4[](_random(4));
        for (uint256 i = 0; i < manifest.permittedExecutionSelectors.length; ++i) {
            manifest.permittedExecutionSelectors[i] = _randomSelector();
        }
        manifest.permitAnyExternalAddress = _random(2) == 0;
        manifest.canSpendNativeToken = _random(2) == 0;
        uint256 calls = _random(4);
        for (uint256 i = 0; i < calls; ++i) {
            bytes4[] memory selectors = new bytes4[](_random(3));
            for (uint256 j = 0; j < selectors.length; ++j) {
                selectors[j] = _randomSelector();
            }
            manifest.permittedExternalCalls =
                add(manifest.permittedExternalCalls, address(uint160(1 + _random(2))), _random(2) == 0, selectors);
        }
        manifest.userOpValidationFunctions = _randomValidation(base, false);
        manifest.runtimeValidationFunctions = _randomValidation(base, true);
        manifest.preUserOpValidationHooks = _randomHooks(true);
        manifest.preRuntimeValidationHooks = _randomHooks(true);
        manifest.executionHooks = new ManifestExecutionHook[](_random(7));
        for (uint256 i = 0; i < manifest.executionHooks.length; ++i) {
            uint256 kind = _random(4);
            ManifestFunction memory pre =
                kind == 0 ? noFunction() : kind == 1 ? denyFunction() : selfFunction(uint8(_random(3)));
            ManifestFunction memory post =
                kind != 0 && _random(2) == 0 ? noFunction() : selfFunction(uint8(3 + _random(3)));
            manifest.executionHooks[i] =
                ManifestExecutionHook(kind == 1 ? _harmlessSelector() : _randomSelector(), pre, post);
        }
    }

    function _randomDependencies() private returns (bytes21[] memory dependencies) {
        dependencies = new bytes21[](4);
        for (uint256 i = 0; i < 4; ++i) {
            dependencies[i] = ref(address(ownerPlugin), uint8(_random(256)));
        }
    }

    /// @dev The first plugin stays; the storage changes of the second one, and their undoing, are recorded.
    function testFuzz_uninstallPlugin_restoresStorage(uint256 fuzzSeed) public {
        seed = fuzzSeed;
        plugin.setManifest(_randomManifest(0x2000));
        install(address(plugin), "", _randomDependencies());
        plugin2.setManifest(_randomManifest(0x3000));

        vm.startStateDiffRecording();
        install(address(plugin2), "", _randomDependencies());
        uninstall(address(plugin2));
        uint256 written = _assertRestored(vm.stopAndReturnStateDiff());
        assertGt(written, 0, "nothing was written");
    }

    /// @dev With nothing installed before and after, all of the account's storage except its initialization is zero.
    function testFuzz_uninstallPlugin_ofTheLastLeavesStorageZero(uint256 fuzzSeed) public {
        seed = fuzzSeed;
        vm.startStateDiffRecording();
        plugin.setManifest(_randomManifest(0x2000));
        install(address(plugin), "", _randomDependencies());
        plugin2.setManifest(_randomManifest(0x3000));
        install(address(plugin2), "", _randomDependencies());
        // Not in the order of installing.
        uninstall(_random(2) == 0 ? address(plugin) : address(plugin2));
        uninstall(account.getInstalledPlugins()[0]);
        uninstall(address(ownerPlugin));
        Vm.AccountAccess[] memory accesses = vm.stopAndReturnStateDiff();

        bytes32 initialization = 0x2b86214eeb975618bda1530c17b8dda6792b5f01649774165c70bf92a1f56a00;
        for (uint256 i = 0; i < accesses.length; ++i) {
            for (uint256 j = 0; j < accesses[i].storageAccesses.length; ++j) {
                Vm.StorageAccess memory access = accesses[i].storageAccesses[j];
                if (access.account != address(account) || !access.isWrite) continue;
                bytes32 expected = access.slot == initialization ? bytes32(uint256(2) << 160) : bytes32(0);
                assertEq(vm.load(address(account), access.slot), expected, "left behind");
            }
        }
    }

    /// @return written Number of slots written to.
    function _assertRestored(Vm.AccountAccess[] memory accesses) private returns (uint256 written) {
        for (uint256 i = 0; i < accesses.length; ++i) {
            for (uint256 j = 0; j < accesses[i].storageAccesses.length; ++j) {
                Vm.StorageAccess memory access = accesses[i].storageAccesses[j];
                if (access.account != address(account) || !access.isWrite || access.reverted) continue;
                if (!seen[access.slot]) {
                    seen[access.slot] = true;
                    before[access.slot] = access.previousValue;
                    ++written;
                }
                assertEq(vm.load(address(account), access.slot), before[access.slot], "not restored");
            }
        }
    }
}
