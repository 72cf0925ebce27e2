// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, ManifestFunction, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Installs, uninstalls and calls at random, and keeps its own model of the expected results.
contract AccountHandler is AccountTest {
    uint256 private constant PLUGINS = 5;
    uint256 private constant SELECTORS = 4;

    MockPlugin[] private plugins;

    /// @notice An execution hook of a plugin, or a pre-runtime-validation hook (in which case `pre` stands for it).
    struct Hook {
        uint256 plugin;
        uint256 selector;
        bool denies;
        uint8 pre;
        uint8 post;
    }

    /// @dev The model. Plugins are numbered from 1 where 0 means none.
    mapping(uint256 index => bool) private installed;
    mapping(uint256 index => uint256 pluginNumber) private dependsOn;
    uint256[] private order;
    Hook[] private executionHooks;
    Hook[] private runtimeHooks;
    mapping(uint256 selector => uint256 pluginNumber) private executor;
    mapping(uint256 selector => uint256 pluginNumber) private validator;

    uint256 public executed;
    uint256 public refusedUninstalls;

    constructor() {
        setUp();
        for (uint256 i = 0; i < PLUGINS; ++i) {
            plugins.push(new MockPlugin());
            plugins[i].setSilent(IPlugin.onInstall.selector, 0x20);
            plugins[i].setSilent(IPlugin.onUninstall.selector, 0x20);
        }
    }

    function _selector(uint256 index) private pure returns (bytes4) {
        return bytes4(uint32(0xa0000000 + index));
    }

    /* Actions */

    /// @dev Plugin `index` takes the free roles of some selectors, adds hooks, and may depend on another plugin.
    function installPlugin(uint256 index, uint256 seed) external {
        index %= PLUGINS;
        if (installed[index]) return;
        PluginManifest memory manifest;
        uint256 dependency = seed % (PLUGINS + 1);
        seed >>= 8;
        bytes21[] memory dependencies;
        if (dependency < PLUGINS && installed[dependency]) {
            manifest.dependencyInterfaceIds = add(manifest.dependencyInterfaceIds, type(IPlugin).interfaceId);
            dependencies = refs(ref(address(plugins[dependency]), uint8(seed)));
            dependsOn[index] = dependency + 1;
        }
        for (uint256 i = 0; i < SELECTORS; ++i) {
            uint256 choice = seed & 0xffff;
            seed >>= 16;
            if (choice & 1 != 0 && executor[i] == 0) {
                executor[i] = index + 1;
                manifest.executionFunctions = add(manifest.executionFunctions, _selector(i));
            }
            if (choice & 2 != 0 && validator[i] == 0) {
                validator[i] = index + 1;
                manifest.runtimeValidationFunctions =
                    add(manifest.runtimeValidationFunctions, _selector(i), selfFunction(1));
            }
            if (choice & 4 != 0) {
                bool denies = choice & 0x70 == 0;
                runtimeHooks.push(Hook(index, i, denies, 3, 0));
                manifest.preRuntimeValidationHooks =
                    add(manifest.preRuntimeValidationHooks, _selector(i), denies ? denyFunction() : selfFunction(3));
            }
            if (choice & 8 != 0) {
                uint8 pre = uint8(choice >> 8 & 3);
                uint8 post = uint8(choice >> 10 & 3);
                if (pre == 0 && post == 0) pre = 1;
                _addExecutionHook(manifest, index, i, pre, post);
                if (choice & 0x1000 != 0) _addExecutionHook(manifest, index, i, pre, post);
            }
        }
        installed[index] = true;
        order.push(index);
        install(plugins[index], manifest, dependencies);
    }

    function _addExecutionHook(PluginManifest memory manifest, uint256 index, uint256 selector, uint8 pre, uint8 post)
        private
    {
        executionHooks.push(Hook(index, selector, false, pre, post));
        ManifestFunction memory preHook = pre == 0 ? noFunction() : selfFunction(10 + pre);
        ManifestFunction memory postHook = post == 0 ? noFunction() : selfFunction(20 + post);
        manifest.executionHooks = add(manifest.executionHooks, _selector(selector), preHook, postHook);
    }

    function uninstallPlugin(uint256 index) external {
        index %= PLUGINS;
        if (!installed[index]) return;
        for (uint256 i = 0; i < PLUGINS; ++i) {
            if (!installed[i] || dependsOn[i] != index + 1) continue;
            vm.prank(owner.addr);
            vm.expectRevert(revertData(IModularAccount.PluginDependencyViolation.selector, address(plugins[index])));
            account.uninstallPlugin(address(plugins[index]), "", "");
            ++refusedUninstalls;
            return;
        }
        uninstall(address(plugins[index]));
        installed[index] = false;
        dependsOn[index] = 0;
        for (uint256 i = 0; i < SELECTORS; ++i) {
            if (executor[i] == index + 1) executor[i] = 0;
            if (validator[i] == index + 1) validator[i] = 0;
        }
        _forget(executionHooks, index);
        _forget(runtimeHooks, index);
        uint256 kept;
        for (uint256 i = 0; i < order.length; ++i) {
            if (order[i] != index) order[kept++] = order[i];
        }
        order.pop();
    }

    function _forget(Hook[] storage hooks, uint256 index) private {
        uint256 kept;
        for (uint256 i = 0; i < hooks.length; ++i) {
            if (hooks[i].plugin != index) hooks[kept++] = hooks[i];
        }
        while (hooks.length > kept) hooks.pop();
    }

    /// @dev Anyone calls an execution function: it must run if and only if it is installed, is validated by something,
    /// and is not forbidden; and exactly the model's hooks must run.
    function call(uint256 index, address sender, bool refuse) external {
        index %= SELECTORS;
        if (sender == address(ENTRY_POINT) || sender == address(vm)) return;
        bool denied;
        for (uint256 i = 0; i < runtimeHooks.length; ++i) {
            denied = denied || (runtimeHooks[i].selector == index && runtimeHooks[i].denies);
        }
        if (refuse && validator[index] != 0) plugins[validator[index] - 1].setRevert(RUNTIME, 1, "refused");
        vm.recordLogs();
        vm.prank(sender);
        (bool success,) = address(account).call(abi.encodeWithSelector(_selector(index), 5));
        if (refuse && validator[index] != 0) plugins[validator[index] - 1].reset(RUNTIME, 1);

        assertEq(success, executor[index] != 0 && validator[index] != 0 && !denied && !refuse, "who may call");
        if (!success) return;
        ++executed;
        _checkCalls(index, mockCalls());
    }

    /// @dev Checks: validation by the validator, then execution by the executor, with the listed number of hooks around
    /// it.
    function _checkCalls(uint256 index, MockCall[] memory made) private view {
        bool wasValidated;
        bool wasExecuted;
        uint256 hooks;
        for (uint256 i = 0; i < made.length; ++i) {
            if (made[i].selector == RUNTIME) {
                assertEq(made[i].plugin, address(plugins[validator[index] - 1]));
                wasValidated = true;
            } else if (made[i].selector == _selector(index)) {
                assertTrue(wasValidated, "executed without validation");
                assertEq(made[i].plugin, address(plugins[executor[index] - 1]));
                wasExecuted = true;
            } else if (made[i].selector == PRE_EXEC || made[i].selector == POST_EXEC) {
                assertEq(wasExecuted, made[i].selector == POST_EXEC);
                ++hooks;
            }
        }
        assertTrue(wasExecuted);
        assertEq(hooks, _listedHooks(index), "hooks run are hooks listed");
    }

    function _listedHooks(uint256 index) private view returns (uint256 count) {
        IAccountLoupe.ExecutionHooks[] memory listed = account.getExecutionHooks(_selector(index));
        bytes21 previousPre;
        for (uint256 i = 0; i < listed.length; ++i) {
            if (listed[i].preExecHook != 0 && listed[i].preExecHook != previousPre) ++count;
            previousPre = listed[i].preExecHook;
            if (listed[i].postExecHook != 0) ++count;
        }
    }

    /* What must hold */

    function checkLoupe() external view {
        address[] memory listed = account.getInstalledPlugins();
        assertEq(listed.length, order.length + 1);
        for (uint256 i = 0; i < order.length; ++i) {
            assertEq(listed[i], address(plugins[order[order.length - 1 - i]]), "newest first");
        }
        assertEq(listed[order.length], address(ownerPlugin));
        for (uint256 i = 0; i < SELECTORS; ++i) {
            IAccountLoupe.ExecutionFunctionConfig memory config = account.getExecutionFunctionConfig(_selector(i));
            assertEq(config.plugin, executor[i] == 0 ? address(0) : address(plugins[executor[i] - 1]));
            assertEq(
                config.runtimeValidationFunction,
                validator[i] == 0 ? bytes21(0) : ref(address(plugins[validator[i] - 1]), 1)
            );
            _checkExecutionHooks(i);
            _checkRuntimeHooks(i);
        }
    }

    /// @dev Compared as sets: each pair of the model is listed once, and nothing else.
    function _checkExecutionHooks(uint256 selector) private view {
        IAccountLoupe.ExecutionHooks[] memory listed = account.getExecutionHooks(_selector(selector));
        for (uint256 i = 0; i < listed.length; ++i) {
            bool found;
            bool hasPair;
            for (uint256 j = 0; j < executionHooks.length; ++j) {
                (bytes21 pre, bytes21 post) = _references(executionHooks[j]);
                if (executionHooks[j].selector != selector || pre != listed[i].preExecHook) continue;
                found = found || post == listed[i].postExecHook;
                hasPair = hasPair || post != 0;
            }
            assertTrue(found, "listed but not added");
            assertFalse(listed[i].postExecHook == 0 && hasPair, "a pair makes the single entry go");
            for (uint256 j = 0; j < i; ++j) {
                assertFalse(
                    listed[i].preExecHook == listed[j].preExecHook && listed[i].postExecHook == listed[j].postExecHook,
                    "listed twice"
                );
            }
        }
        for (uint256 j = 0; j < executionHooks.length; ++j) {
            if (executionHooks[j].selector != selector) continue;
            (bytes21 pre, bytes21 post) = _references(executionHooks[j]);
            bool found;
            for (uint256 i = 0; i < listed.length; ++i) {
                found = found || (listed[i].preExecHook == pre && (post == 0 || listed[i].postExecHook == post));
            }
            assertTrue(found, "added but not listed");
        }
    }

    function _references(Hook storage hook) private view returns (bytes21 pre, bytes21 post) {
        address plugin_ = address(plugins[hook.plugin]);
        if (hook.pre != 0) pre = ref(plugin_, 10 + hook.pre);
        if (hook.post != 0) post = ref(plugin_, 20 + hook.post);
    }

    function _checkRuntimeHooks(uint256 selector) private view {
        (, bytes21[] memory listed) = account.getPreValidationHooks(_selector(selector));
        uint256 expected;
        bool denies;
        for (uint256 i = 0; i < runtimeHooks.length; ++i) {
            if (runtimeHooks[i].selector != selector) continue;
            if (!runtimeHooks[i].denies) ++expected;
            denies = denies || runtimeHooks[i].denies;
        }
        assertEq(listed.length, expected + (denies ? 1 : 0), "pre-runtime-validation hooks");
    }

    /// @dev Plugins, and only plugins, are denied as targets, whatever the filter.
    function checkTargets() external {
        for (uint256 i = 0; i < PLUGINS; ++i) {
            plugins[i].setNoPlugin(true);
            vm.prank(owner.addr);
            (bool success,) = address(account).call(executeCall(address(plugins[i]), 0, ""));
            assertEq(success, !installed[i], "targets");
            plugins[i].setNoPlugin(false);
        }
    }
}
