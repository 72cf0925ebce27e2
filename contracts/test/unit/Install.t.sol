// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Installing plugins: the checks of a plugin and its dependencies, and its callback.
contract InstallTest is AccountTest {
    function test_installPlugin_asksThePluginForItsManifest() public {
        plugin.setManifest(fooManifest());
        vm.expectCall(address(plugin), abi.encodeCall(IPlugin.pluginManifest, ()));
        install(plugin, fooManifest());
        assertEq(account.getExecutionFunctionConfig(FOO).plugin, address(plugin));
    }

    function test_installPlugin_revertsAsTheManifestDoes() public {
        plugin.setRevert(IPlugin.pluginManifest.selector, 0, "no manifest");
        vm.prank(owner.addr);
        vm.expectRevert("no manifest");
        account.installPlugin(address(plugin), 0, "", new bytes21[](0));
    }

    function test_installPlugin_revertsIfInstalled() public {
        install(plugin, fooManifest());
        expectInstallRevert(
            plugin, fooManifest(), revertData(IModularAccount.PluginAlreadyInstalled.selector, address(plugin))
        );
    }

    function test_installPlugin_revertsForTheZeroAddress() public {
        vm.prank(owner.addr);
        vm.expectRevert(revertData(IModularAccount.PluginAlreadyInstalled.selector, address(0)));
        account.installPlugin(address(0), 0, "", new bytes21[](0));
    }

    function test_installPlugin_revertsIfNotAPlugin() public {
        plugin.setNoPlugin(true);
        expectInstallRevert(
            plugin, fooManifest(), revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin))
        );
    }

    /// @dev ERC-165: 0xffffffff must be answered with false.
    function test_installPlugin_revertsIfEverythingIsAnsweredTrue() public {
        plugin.setAnswersEverythingTrue(true);
        expectInstallRevert(
            plugin, fooManifest(), revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin))
        );
    }

    /// @dev ERC-165: a contract that does not report ERC-165 implements nothing.
    function test_installPlugin_revertsIfErc165IsNotAnswered() public {
        plugin.setHidesErc165(true);
        expectInstallRevert(
            plugin, fooManifest(), revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin))
        );
    }

    function test_installPlugin_revertsWithoutCode() public {
        address[4] memory codeless = [makeAddr("codeless"), address(1), address(2), address(4)];
        for (uint256 i = 0; i < codeless.length; ++i) {
            vm.prank(owner.addr);
            vm.expectRevert(revertData(IModularAccount.PluginInterfaceNotSupported.selector, codeless[i]));
            account.installPlugin(codeless[i], 0, "", new bytes21[](0));
        }
    }

    function test_installPlugin_revertsIfTheManifestHashDiffers() public {
        plugin.setManifest(fooManifest());
        vm.prank(owner.addr);
        vm.expectRevert(revertData(IModularAccount.InvalidPluginManifest.selector));
        account.installPlugin(address(plugin), bytes32(uint256(_manifestHash(fooManifest())) ^ 1), "", new bytes21[](0));
    }

    /// @dev The hash of the canonical encoding counts, not that of the returned bytes.
    function test_installPlugin_hashesTheCanonicalManifest() public {
        bytes memory trailing = abi.encodePacked(abi.encode(fooManifest()), uint256(1));
        plugin.setEncodedManifest(trailing);
        vm.startPrank(owner.addr);
        vm.expectRevert(revertData(IModularAccount.InvalidPluginManifest.selector));
        account.installPlugin(address(plugin), keccak256(trailing), "", new bytes21[](0));
        account.installPlugin(address(plugin), _manifestHash(fooManifest()), "", new bytes21[](0));
        vm.stopPrank();
    }

    function test_installPlugin_revertsIfTheNumberOfDependenciesDiffers() public {
        PluginManifest memory manifest;
        bytes memory expected = revertData(IModularAccount.InvalidDependenciesProvided.selector);
        expectInstallRevert(plugin, manifest, ownerDependencies(), expected);
        manifest.dependencyInterfaceIds = new bytes4[](1);
        manifest.dependencyInterfaceIds[0] = type(IPlugin).interfaceId;
        expectInstallRevert(plugin, manifest, expected);
        expectInstallRevert(plugin, manifest, ownerDependencies(), expected);
    }

    function test_installPlugin_revertsIfADependencyIsNotInstalled() public {
        expectInstallRevert(
            plugin,
            dependentManifest(1, type(IPlugin).interfaceId),
            refs(ref(address(plugin2), 0)),
            revertData(IModularAccount.MissingPluginDependency.selector, address(plugin2))
        );
    }

    function test_installPlugin_revertsIfAPluginDependsOnItself() public {
        expectInstallRevert(
            plugin,
            dependentManifest(1, type(IPlugin).interfaceId),
            refs(ref(address(plugin), 0)),
            revertData(IModularAccount.MissingPluginDependency.selector, address(plugin))
        );
    }

    function test_installPlugin_revertsIfADependencyLacksTheInterface() public {
        bytes memory expected = revertData(IModularAccount.InvalidDependenciesProvided.selector);
        bytes21[] memory dependencies = refs(ownerDependencies()[0]);
        expectInstallRevert(plugin, dependentManifest(1, 0x12345678), dependencies, expected);
        expectInstallRevert(plugin, dependentManifest(1, 0xffffffff), dependencies, expected);
        install(plugin, dependentManifest(1, type(IMultiOwnerPlugin).interfaceId), dependencies);
    }

    /// @dev Each dependency must have the interface at its own index.
    function test_installPlugin_asksEachDependencyForTheInterfaceAtItsIndex() public {
        plugin2.setInterface(0x12345678, true);
        install(plugin2, emptyManifest());
        PluginManifest memory manifest = dependentManifest(2, type(IMultiOwnerPlugin).interfaceId);
        manifest.dependencyInterfaceIds[1] = 0x12345678;
        bytes21[] memory dependencies = new bytes21[](2);
        dependencies[0] = ref(address(plugin2), 0);
        dependencies[1] = ref(address(ownerPlugin), 0);
        expectInstallRevert(
            plugin, manifest, dependencies, revertData(IModularAccount.InvalidDependenciesProvided.selector)
        );
        (dependencies[0], dependencies[1]) = (dependencies[1], dependencies[0]);
        install(plugin, manifest, dependencies);
    }

    /// @dev All of one dependency, then all of the next.
    function test_installPlugin_checksDependenciesOneByOne() public {
        PluginManifest memory manifest = dependentManifest(2, 0x12345678);
        install(plugin2, emptyManifest());
        bytes21 lacksTheInterface = ref(address(plugin2), 0);
        bytes21 notInstalled = ref(stranger, 0);
        expectInstallRevert(
            plugin,
            manifest,
            refs(lacksTheInterface, notInstalled),
            revertData(IModularAccount.InvalidDependenciesProvided.selector)
        );
        expectInstallRevert(
            plugin,
            manifest,
            refs(notInstalled, lacksTheInterface),
            revertData(IModularAccount.MissingPluginDependency.selector, stranger)
        );
    }

    /// @dev The references that stand for rules have no plugin.
    function test_installPlugin_takesNoMagicValueForADependency() public {
        bytes21[3] memory magic = [bytes21(0), ALWAYS_ALLOW, ALWAYS_DENY];
        for (uint256 i = 0; i < magic.length; ++i) {
            expectInstallRevert(
                plugin,
                dependentManifest(1, type(IPlugin).interfaceId),
                refs(magic[i]),
                revertData(IModularAccount.MissingPluginDependency.selector, address(0))
            );
        }
    }

    /// @dev Fixes one violation after the other: each check in turn refuses first.
    function test_installPlugin_checksInOrder() public {
        PluginManifest memory manifest = dependentManifest(1, 0x12345678);
        bytes32 hash = _manifestHash(manifest);
        bytes21[] memory none = new bytes21[](0);
        bytes21[] memory dependency = refs(ref(address(plugin2), 0));
        plugin.setManifest(manifest);
        plugin.setNoPlugin(true);
        vm.startPrank(owner.addr);

        vm.expectRevert(revertData(IModularAccount.PluginInterfaceNotSupported.selector, address(plugin)));
        account.installPlugin(address(plugin), 0, "", none);
        plugin.setNoPlugin(false);
        vm.expectRevert(revertData(IModularAccount.InvalidPluginManifest.selector));
        account.installPlugin(address(plugin), 0, "", none);
        vm.expectRevert(revertData(IModularAccount.InvalidDependenciesProvided.selector));
        account.installPlugin(address(plugin), hash, "", none);
        vm.expectRevert(revertData(IModularAccount.MissingPluginDependency.selector, address(plugin2)));
        account.installPlugin(address(plugin), hash, "", dependency);
        vm.stopPrank();
        install(plugin2, emptyManifest());
        vm.startPrank(owner.addr);
        vm.expectRevert(revertData(IModularAccount.InvalidDependenciesProvided.selector));
        account.installPlugin(address(plugin), hash, "", dependency);
        plugin2.setInterface(0x12345678, true);
        account.installPlugin(address(plugin), hash, "", dependency);
        vm.expectRevert(revertData(IModularAccount.PluginAlreadyInstalled.selector, address(plugin)));
        account.installPlugin(address(plugin), 0, "", none);
    }

    /// @dev Dependents are counted: the owner plugin stays while anyone depends on it, through any number of functions.
    function test_installPlugin_countsDependents() public {
        bytes4 id = type(IPlugin).interfaceId;
        bytes21[] memory many = new bytes21[](25);
        for (uint256 i = 0; i < many.length; ++i) {
            many[i] = ref(address(ownerPlugin), uint8(i));
        }
        install(plugin2, emptyManifest());
        many[13] = ref(address(plugin2), 255);
        install(plugin, dependentManifest(25, id), many);
        MockPlugin plugin3 = new MockPlugin();
        install(plugin3, dependentManifest(1, id), refs(many[0]));

        _expectUninstallRevert(
            address(ownerPlugin), revertData(IModularAccount.PluginDependencyViolation.selector, address(ownerPlugin))
        );
        _expectUninstallRevert(
            address(plugin2), revertData(IModularAccount.PluginDependencyViolation.selector, address(plugin2))
        );
        uninstall(address(plugin));
        uninstall(address(plugin2));
        _expectUninstallRevert(
            address(ownerPlugin), revertData(IModularAccount.PluginDependencyViolation.selector, address(ownerPlugin))
        );
        uninstall(address(plugin3));
        uninstall(address(ownerPlugin));
    }

    /// @dev The plugin is already installed, with everything in its manifest, when `onInstall` runs.
    function test_onInstall_runsOnceAndLast() public {
        plugin.setReenter(IPlugin.onInstall.selector, 0x20, fooCall());
        plugin.setManifest(fooManifest());
        vm.expectCall(address(plugin), abi.encodeCall(IPlugin.onInstall, (abi.encode("data"))), 1);
        vm.expectCall(address(plugin), fooCall(), 1);
        install(address(plugin), abi.encode("data"));
    }

    function test_installPlugin_revertsIfOnInstallReverts() public {
        plugin.setRevert(IPlugin.onInstall.selector, 0x20, abi.encodeWithSignature("Oops(uint256)", 7));
        expectInstallRevert(
            plugin,
            fooManifest(),
            abi.encodeWithSelector(
                IModularAccount.PluginInstallCallbackFailed.selector,
                plugin,
                abi.encodeWithSignature("Oops(uint256)", 7)
            )
        );
        assertEq(account.getExecutionFunctionConfig(FOO).plugin, address(0));
        assertEq(account.getInstalledPlugins().length, 1);
    }

    function test_installPlugin_emitsPluginInstalled() public {
        plugin.setManifest(dependentManifest(2, type(IPlugin).interfaceId));
        bytes32 hash = manifestHashOf(address(plugin));
        bytes21[] memory dependencies = ownerDependencies();
        vm.expectEmit(address(plugin));
        emit MockPlugin.Called(
            address(account), IPlugin.onInstall.selector, 0x20, 0, abi.encodeCall(IPlugin.onInstall, (bytes("hello")))
        );
        vm.expectEmit(address(account));
        emit IPluginManager.PluginInstalled(address(plugin), hash, dependencies);
        install(address(plugin), "hello", dependencies);
    }

    function _manifestHash(PluginManifest memory manifest) private pure returns (bytes32) {
        return keccak256(abi.encode(manifest));
    }

    function _expectUninstallRevert(address installed, bytes memory reason) private {
        vm.prank(owner.addr);
        vm.expectRevert(reason);
        account.uninstallPlugin(installed, "", "");
    }
}
