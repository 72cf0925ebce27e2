// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/interfaces/IERC1271.sol";

import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {ManifestFunction, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice The account's loupe.
contract LoupeTest is AccountTest {
    /// @notice A hook as it should be listed, and how many entries of manifests have added it.
    struct Listed {
        bytes21 hook;
        uint256 copies;
    }

    /// @dev The execution hooks of FOO as they should be, oldest first.
    Listed[] private preHooks;
    mapping(bytes21 preHook => Listed[]) private pairedPostHooks;
    Listed[] private postOnlyHooks;
    /// @dev The pre and post hooks that each of three plugins added.
    bytes21[2][][3] private added;

    function test_getExecutionFunctionConfig_nativeFunctionsAreTheAccounts() public view {
        bytes4[21] memory native = nativeSelectors();
        for (uint256 i = 0; i < native.length; ++i) {
            assertEq(account.getExecutionFunctionConfig(native[i]).plugin, address(account));
        }
    }

    function test_getExecutionFunctionConfig_returnsExecutorAndValidators() public {
        IAccountLoupe.ExecutionFunctionConfig memory config =
            account.getExecutionFunctionConfig(IStandardExecutor.execute.selector);
        assertEq(config.userOpValidationFunction, ref(address(ownerPlugin), 1));
        assertEq(config.runtimeValidationFunction, ref(address(ownerPlugin), 0));
        config = account.getExecutionFunctionConfig(IERC1271.isValidSignature.selector);
        assertEq(config.plugin, address(ownerPlugin));
        assertEq(config.userOpValidationFunction, bytes21(0));
        assertEq(config.runtimeValidationFunction, ALWAYS_ALLOW);
        config = account.getExecutionFunctionConfig(FOO);
        assertEq(config.plugin, address(0));
        assertEq(config.userOpValidationFunction, bytes21(0));
        assertEq(config.runtimeValidationFunction, bytes21(0));
        install(plugin, fooManifest());
        config = account.getExecutionFunctionConfig(FOO);
        assertEq(config.plugin, address(plugin));
        assertEq(config.userOpValidationFunction, ref(address(plugin), 2));
        assertEq(config.runtimeValidationFunction, ref(address(plugin), 1));
    }

    /// @dev Three plugins in the three roles of one selector, in every order of installing; then each of them uninstalled.
    function test_getExecutionFunctionConfig_threePluginsOnOneSelector_inAnyOrder() public {
        MockPlugin[3] memory plugins = [plugin, plugin2, new MockPlugin()];
        PluginManifest[3] memory manifests;
        manifests[0].executionFunctions = add(manifests[0].executionFunctions, FOO);
        manifests[1].userOpValidationFunctions = add(manifests[1].userOpValidationFunctions, FOO, selfFunction(77));
        manifests[2].runtimeValidationFunctions = add(manifests[2].runtimeValidationFunctions, FOO, selfFunction(255));
        uint8[3][6] memory orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for (uint256 i = 0; i < orders.length; ++i) {
            for (uint256 gone = 0; gone < 3; ++gone) {
                uint256 state = vm.snapshotState();
                for (uint256 j = 0; j < 3; ++j) {
                    install(plugins[orders[i][j]], manifests[orders[i][j]]);
                }
                _assertRoles(plugins, 3);
                uninstall(address(plugins[gone]));
                _assertRoles(plugins, gone);
                vm.revertToState(state);
            }
        }
    }

    /// @param gone The role whose plugin is uninstalled; 3 for none.
    function _assertRoles(MockPlugin[3] memory plugins, uint256 gone) private view {
        IAccountLoupe.ExecutionFunctionConfig memory config = account.getExecutionFunctionConfig(FOO);
        assertEq(config.plugin, gone == 0 ? address(0) : address(plugins[0]));
        assertEq(config.userOpValidationFunction, gone == 1 ? bytes21(0) : ref(address(plugins[1]), 77));
        assertEq(config.runtimeValidationFunction, gone == 2 ? bytes21(0) : ref(address(plugins[2]), 255));
    }

    function test_getInstalledPlugins_newestFirst() public {
        MockPlugin plugin3 = new MockPlugin();
        install(plugin, emptyManifest());
        install(plugin2, emptyManifest());
        install(plugin3, emptyManifest());
        _assertPlugins(abi.encode(plugin3, plugin2, plugin, ownerPlugin));
        uninstall(address(plugin2));
        _assertPlugins(abi.encode(plugin3, plugin, ownerPlugin));
        install(plugin2, emptyManifest());
        _assertPlugins(abi.encode(plugin2, plugin3, plugin, ownerPlugin));
        uninstall(address(plugin2));
        uninstall(address(plugin));
        _assertPlugins(abi.encode(plugin3, ownerPlugin));
        uninstall(address(ownerPlugin));
        _assertPlugins(abi.encode(plugin3));
    }

    function _assertPlugins(bytes memory expected) private view {
        assertEq(
            abi.encode(account.getInstalledPlugins()),
            abi.encodePacked(uint256(0x20), expected.length / 32, expected),
            "installed plugins"
        );
    }

    /// @dev Later entries of a manifest first; a duplicate keeps its first position.
    function test_getPreValidationHooks_newestFirst() public {
        PluginManifest memory manifest;
        uint8[5] memory ids = [7, 8, 9, 7, 7];
        for (uint256 i = 0; i < ids.length; ++i) {
            manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(ids[i]));
            manifest.preRuntimeValidationHooks =
                add(manifest.preRuntimeValidationHooks, FOO, ids[i] == 8 ? denyFunction() : selfFunction(ids[i]));
        }
        install(plugin, manifest);
        PluginManifest memory second;
        second.preRuntimeValidationHooks = add(second.preRuntimeValidationHooks, FOO, selfFunction(1));
        second.preRuntimeValidationHooks = add(second.preRuntimeValidationHooks, FOO, denyFunction());
        install(plugin2, second);

        (bytes21[] memory userOp, bytes21[] memory runtime) = account.getPreValidationHooks(FOO);
        bytes21[] memory expected = new bytes21[](3);
        (expected[0], expected[1], expected[2]) =
        (ref(address(plugin), 9), ref(address(plugin), 8), ref(address(plugin), 7));
        assertReferences(userOp, expected);
        expected = new bytes21[](4);
        (expected[0], expected[1], expected[2], expected[3]) =
        (ref(address(plugin2), 1), ref(address(plugin), 9), ALWAYS_DENY, ref(address(plugin), 7));
        assertReferences(runtime, expected);

        // The rule of the second plugin stays in place.
        uninstall(address(plugin));
        (userOp, runtime) = account.getPreValidationHooks(FOO);
        assertEq(userOp.length, 0);
        expected = new bytes21[](2);
        (expected[0], expected[1]) = (ref(address(plugin2), 1), ALWAYS_DENY);
        assertReferences(runtime, expected);
    }

    function test_getExecutionHooks_newestFirst() public {
        PluginManifest memory manifest;
        uint8[2][9] memory pairs = [[1, 11], [0, 11], [2, 12], [2, 13], [1, 12], [1, 11], [0, 14], [3, 0], [2, 0]];
        for (uint256 i = 0; i < pairs.length; ++i) {
            manifest.executionHooks = add(
                manifest.executionHooks,
                FOO,
                pairs[i][0] == 0 ? noFunction() : selfFunction(pairs[i][0]),
                pairs[i][1] == 0 ? noFunction() : selfFunction(pairs[i][1])
            );
        }
        install(plugin, manifest);
        uint8[2][7] memory expected = [[3, 0], [2, 13], [2, 12], [1, 12], [1, 11], [0, 14], [0, 11]];
        _assertHooks(expected.length, abi.encode(expected));

        PluginManifest memory deny;
        deny.executionHooks = add(deny.executionHooks, FOO, denyFunction(), noFunction());
        install(plugin2, deny);
        IAccountLoupe.ExecutionHooks[] memory hooks = account.getExecutionHooks(FOO);
        assertEq(hooks.length, 8);
        assertEq(hooks[0].preExecHook, ALWAYS_DENY);
        assertEq(hooks[0].postExecHook, bytes21(0));
        uninstall(address(plugin2));
        _assertHooks(expected.length, abi.encode(expected));
        uninstall(address(plugin));
        assertEq(account.getExecutionHooks(FOO).length, 0);
    }

    function _assertHooks(uint256 count, bytes memory encodedPairs) private view {
        IAccountLoupe.ExecutionHooks[] memory hooks = account.getExecutionHooks(FOO);
        assertEq(hooks.length, count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 pre = uint8(encodedPairs[64 * i + 31]);
            uint256 post = uint8(encodedPairs[64 * i + 63]);
            assertEq(hooks[i].preExecHook, pre == 0 ? bytes21(0) : ref(address(plugin), uint8(pre)), "pre hook");
            assertEq(hooks[i].postExecHook, post == 0 ? bytes21(0) : ref(address(plugin), uint8(post)), "post hook");
        }
    }

    /// @dev Two plugins forbid a function: uninstalling one leaves the rule, with the post hooks of the other.
    function test_getPreValidationHooks_alwaysDenyStaysWithTheOtherPlugin() public {
        PluginManifest memory manifest;
        manifest.executionHooks = add(manifest.executionHooks, FOO, denyFunction(), selfFunction(1));
        install(plugin, manifest);
        install(plugin2, manifest);
        IAccountLoupe.ExecutionHooks[] memory hooks = account.getExecutionHooks(FOO);
        assertEq(hooks.length, 2);
        assertEq(hooks[0].postExecHook, ref(address(plugin2), 1));
        assertEq(hooks[1].postExecHook, ref(address(plugin), 1));
        uninstall(address(plugin));
        hooks = account.getExecutionHooks(FOO);
        assertEq(hooks.length, 1);
        assertEq(hooks[0].preExecHook, ALWAYS_DENY);
        assertEq(hooks[0].postExecHook, ref(address(plugin2), 1));
    }

    /// @dev Any hooks of three plugins, in any order of installing and uninstalling, against a reference model: lists in which
    /// a hook has the place of its first copy, and goes with its last.
    function testFuzz_getExecutionHooks_agreesWithAModel(uint256 seed) public {
        MockPlugin[3] memory plugins = [plugin, plugin2, new MockPlugin()];
        for (uint256 step = 0; step < 8; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 chosen = seed % 3;
            if (added[chosen].length != 0) {
                uninstall(address(plugins[chosen]));
                _changeModel(added[chosen], false);
                delete added[chosen];
            } else {
                install(plugins[chosen], _randomHooks(plugins[chosen], added[chosen], seed / 3));
                _changeModel(added[chosen], true);
            }
            _assertModel();
        }
    }

    /// @param pairs Receives the entries that the manifest adds, at least one.
    function _randomHooks(MockPlugin mock, bytes21[2][] storage pairs, uint256 seed)
        private
        returns (PluginManifest memory manifest)
    {
        for (uint256 i = 0; i <= seed % 6; ++i) {
            uint256 entry = uint256(keccak256(abi.encode(seed, i)));
            uint8 pre = uint8(entry % 4);
            uint8 post = uint8(entry / 4 % 3);
            if (pre == 0 && post == 0) post = 1;
            ManifestFunction memory preHook = pre == 0 ? noFunction() : pre == 3 ? denyFunction() : selfFunction(pre);
            ManifestFunction memory postHook = post == 0 ? noFunction() : selfFunction(10 + post);
            manifest.executionHooks = add(manifest.executionHooks, FOO, preHook, postHook);
            pairs.push(
                [
                    pre == 0 ? bytes21(0) : pre == 3 ? ALWAYS_DENY : ref(address(mock), pre),
                    post == 0 ? bytes21(0) : ref(address(mock), 10 + post)
                ]
            );
        }
    }

    function _changeModel(bytes21[2][] storage pairs, bool isAdded) private {
        for (uint256 i = 0; i < pairs.length; ++i) {
            (bytes21 pre, bytes21 post) = (pairs[i][0], pairs[i][1]);
            if (pre != 0) _changeList(preHooks, pre, isAdded);
            if (post != 0) _changeList(pre == 0 ? postOnlyHooks : pairedPostHooks[pre], post, isAdded);
        }
    }

    function _changeList(Listed[] storage list, bytes21 hook, bool isAdded) private {
        uint256 i = 0;
        while (i < list.length && list[i].hook != hook) ++i;
        if (isAdded) {
            if (i == list.length) list.push(Listed(hook, 0));
            ++list[i].copies;
        } else if (--list[i].copies == 0) {
            for (; i + 1 < list.length; ++i) {
                list[i] = list[i + 1];
            }
            list.pop();
        }
    }

    function _assertModel() private view {
        IAccountLoupe.ExecutionHooks[] memory hooks = account.getExecutionHooks(FOO);
        uint256 next;
        for (uint256 i = preHooks.length; i != 0; --i) {
            Listed[] storage paired = pairedPostHooks[preHooks[i - 1].hook];
            if (paired.length == 0) _assertHook(hooks[next++], preHooks[i - 1].hook, 0);
            for (uint256 j = paired.length; j != 0; --j) {
                _assertHook(hooks[next++], preHooks[i - 1].hook, paired[j - 1].hook);
            }
        }
        for (uint256 i = postOnlyHooks.length; i != 0; --i) {
            _assertHook(hooks[next++], 0, postOnlyHooks[i - 1].hook);
        }
        assertEq(hooks.length, next);
    }

    function _assertHook(IAccountLoupe.ExecutionHooks memory hook, bytes21 pre, bytes21 post) private pure {
        assertEq(hook.preExecHook, pre, "pre hook");
        assertEq(hook.postExecHook, post, "post hook");
    }
}
