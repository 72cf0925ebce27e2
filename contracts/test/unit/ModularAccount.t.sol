// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC777Recipient} from "@openzeppelin/interfaces/IERC777Recipient.sol";
import {IERC1155Receiver} from "@openzeppelin/token/ERC1155/IERC1155Receiver.sol";
import {IERC721Receiver} from "@openzeppelin/token/ERC721/IERC721Receiver.sol";
import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {Vm} from "forge-std/Vm.sol";

import {IAccount, UserOperation} from "../../src/interfaces/IAccount.sol";
import {IAccountLoupe} from "../../src/interfaces/IAccountLoupe.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IPlugin, PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {OtherImplementation} from "../mocks/OtherImplementation.sol";
import {PlainProxy} from "../mocks/PlainProxy.sol";
import {AccountTest} from "../utils/AccountTest.sol";
import {listOf} from "../utils/ListLiterals.sol";

/// @notice The account as a whole: interfaces, initialization, upgrades, token receivers, opcodes.
contract ModularAccountTest is AccountTest {
    bytes32 private constant IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    /* Interfaces */

    function test_account_implementsTheInterfaces() public view {
        assertEq(IAccount.validateUserOp.selector, IAccount.validateUserOp.selector);
        assertEq(IPluginManager.installPlugin.selector, IPluginManager.installPlugin.selector);
        assertEq(IPluginManager.uninstallPlugin.selector, IPluginManager.uninstallPlugin.selector);
        assertEq(IPluginManager.PluginInstalled.selector, IPluginManager.PluginInstalled.selector);
        assertEq(IPluginManager.PluginUninstalled.selector, IPluginManager.PluginUninstalled.selector);
        assertEq(IStandardExecutor.execute.selector, IStandardExecutor.execute.selector);
        assertEq(IStandardExecutor.executeBatch.selector, IStandardExecutor.executeBatch.selector);
        assertEq(IPluginExecutor.executeFromPlugin.selector, IPluginExecutor.executeFromPlugin.selector);
        assertEq(IPluginExecutor.executeFromPluginExternal.selector, IPluginExecutor.executeFromPluginExternal.selector);
        assertEq(IAccountLoupe.getExecutionFunctionConfig.selector, IAccountLoupe.getExecutionFunctionConfig.selector);
        assertEq(IAccountLoupe.getExecutionHooks.selector, IAccountLoupe.getExecutionHooks.selector);
        assertEq(IAccountLoupe.getPreValidationHooks.selector, IAccountLoupe.getPreValidationHooks.selector);
        assertEq(IAccountLoupe.getInstalledPlugins.selector, IAccountLoupe.getInstalledPlugins.selector);

        bytes4[9] memory ids = [
            type(IERC165).interfaceId,
            type(IAccount).interfaceId,
            type(IPluginManager).interfaceId,
            type(IStandardExecutor).interfaceId,
            type(IPluginExecutor).interfaceId,
            type(IAccountLoupe).interfaceId,
            type(IERC721Receiver).interfaceId,
            type(IERC1155Receiver).interfaceId,
            type(IERC777Recipient).interfaceId
        ];
        for (uint256 i = 0; i < ids.length; ++i) {
            assertTrue(account.supportsInterface(ids[i]));
        }
        assertFalse(account.supportsInterface(0xffffffff));
        assertFalse(account.supportsInterface(type(IPlugin).interfaceId));
    }

    function test_plugins_answerErc165() public view {
        assertTrue(IERC165(address(ownerPlugin)).supportsInterface(type(IERC165).interfaceId));
        assertTrue(IERC165(address(ownerPlugin)).supportsInterface(type(IPlugin).interfaceId));
        assertTrue(IERC165(address(ownerPlugin)).supportsInterface(0xdb9b90a3));
        assertFalse(IERC165(address(ownerPlugin)).supportsInterface(0xffffffff));
    }

    function test_views_tellTheEntryPointAndItsNonce() public view {
        assertEq(account.entryPoint(), address(ENTRY_POINT));
        assertEq(account.getNonce(), ENTRY_POINT.getNonce(address(account), 0));
    }

    function test_getNonce_growsWithOperations() public {
        sendAsOwner(executeCall(stranger, 0, ""));
        assertEq(account.getNonce(), 1);
    }

    /* Initialization */

    function _initData(uint256 hashes, uint256 datas) private view returns (bytes memory) {
        bytes32[] memory manifestHashes = new bytes32[](hashes);
        bytes[] memory installDatas = new bytes[](datas);
        for (uint256 i = 0; i < hashes; ++i) {
            manifestHashes[i] = manifestHashOf(i == 0 ? address(ownerPlugin) : address(plugin));
        }
        address[] memory owners = listOf(owner.addr);
        if (datas != 0) installDatas[0] = abi.encode(owners);
        return abi.encode(manifestHashes, installDatas);
    }

    function _plugins(uint256 count) private view returns (address[] memory plugins) {
        plugins = new address[](count);
        if (count > 0) plugins[0] = address(ownerPlugin);
        if (count > 1) plugins[1] = address(plugin);
    }

    function _proxy() private returns (IModularAccount) {
        return IModularAccount(payable(address(new PlainProxy(implementation, ""))));
    }

    function test_initialize_isOpenToTheFirstCaller() public {
        IModularAccount fresh = _proxy();
        plugin.setManifest(fooManifest());
        address[] memory plugins = _plugins(2);
        bytes memory initData = _initData(2, 2);
        vm.expectEmit(address(fresh));
        emit IPluginManager.PluginInstalled(plugins[0], manifestHashOf(plugins[0]), new bytes21[](0));
        vm.expectEmit(address(fresh));
        emit IPluginManager.PluginInstalled(plugins[1], manifestHashOf(plugins[1]), new bytes21[](0));
        vm.expectEmit(address(fresh));
        emit IModularAccount.ModularAccountInitialized(address(ENTRY_POINT));
        vm.prank(stranger);
        fresh.initialize(plugins, initData);
        assertEq(fresh.getInstalledPlugins()[0], address(plugin));
        assertEq(fresh.getInstalledPlugins()[1], address(ownerPlugin));

        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        fresh.initialize(plugins, initData);
    }

    function test_initialize_worksOnceWithoutPluginsToo() public {
        IModularAccount fresh = _proxy();
        fresh.initialize(new address[](0), _initData(0, 0));
        assertEq(fresh.getInstalledPlugins().length, 0);
        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        fresh.initialize(new address[](0), _initData(0, 0));
    }

    function test_initialize_revertsIfLengthsDiffer() public {
        IModularAccount fresh = _proxy();
        plugin.setManifest(fooManifest());
        uint256[3][5] memory lengths =
            [[uint256(1), 2, 2], [uint256(2), 1, 2], [uint256(2), 2, 1], [uint256(0), 1, 1], [uint256(2), 1, 1]];
        for (uint256 i = 0; i < lengths.length; ++i) {
            address[] memory plugins = _plugins(lengths[i][0]);
            bytes memory initData = _initData(lengths[i][1], lengths[i][2]);
            vm.expectRevert(revertData(IModularAccount.ArrayLengthMismatch.selector));
            fresh.initialize(plugins, initData);
        }
        fresh.initialize(_plugins(2), _initData(2, 2));
    }

    /// @dev A failure of any plugin leaves no state, so the account can be initialized again.
    function test_initialize_worksWhollyOrNotAtAll() public {
        IModularAccount fresh = _proxy();
        address[] memory plugins = _plugins(2);
        bytes memory initData = _initData(2, 2);
        plugin.setManifest(fooManifest());
        vm.expectRevert(revertData(IModularAccount.InvalidPluginManifest.selector));
        fresh.initialize(plugins, initData);
        assertEq(fresh.getInstalledPlugins().length, 0);
        plugin.setManifest(emptyManifest());
        fresh.initialize(plugins, initData);
        assertEq(fresh.getInstalledPlugins().length, 2);
    }

    /// @dev As in `installPlugin`, without dependencies.
    function test_initialize_checksAsInstallPluginDoes() public {
        IModularAccount fresh = _proxy();
        plugin.setManifest(dependentManifest(1, type(IPlugin).interfaceId));
        address[] memory plugins = _plugins(2);
        bytes memory initData = _initData(2, 2);
        vm.expectRevert(revertData(IModularAccount.InvalidDependenciesProvided.selector));
        fresh.initialize(plugins, initData);
        plugins[1] = plugins[0];
        vm.expectRevert(revertData(IModularAccount.PluginAlreadyInstalled.selector, plugins[0]));
        fresh.initialize(plugins, initData);
    }

    function test_initialize_isNotReentrant() public {
        IModularAccount fresh = _proxy();
        plugin.setManifest(fooManifest());
        plugin.setReenter(
            IPlugin.onInstall.selector,
            0x20,
            abi.encodeCall(IModularAccount.initialize, (new address[](0), _initData(0, 0)))
        );
        address[] memory plugins = _plugins(2);
        bytes memory initData = _initData(2, 2);
        vm.expectRevert(
            abi.encodeWithSelector(
                IModularAccount.PluginInstallCallbackFailed.selector,
                plugin,
                revertData(IModularAccount.AlreadyInitializing.selector)
            )
        );
        fresh.initialize(plugins, initData);
    }

    function test_initialize_revertsOnTheImplementation() public {
        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        IModularAccount(payable(implementation)).initialize(new address[](0), _initData(0, 0));
    }

    /// @dev The proxy ran something else before, which used the first storage slots.
    function test_initialize_worksBehindAUsedProxy() public {
        OtherImplementation other = new OtherImplementation();
        address proxy = address(new PlainProxy(address(other), abi.encodeCall(OtherImplementation.fill, ())));
        OtherImplementation(proxy).upgrade(implementation);
        IModularAccount fresh = IModularAccount(payable(proxy));
        fresh.initialize(_plugins(1), _initData(1, 1));
        vm.prank(owner.addr);
        fresh.execute(stranger, 0, "");
        vm.prank(stranger);
        vm.expectRevert();
        fresh.execute(stranger, 0, "");
    }

    /* Externally owned accounts that delegate to the implementation (EIP-7702) */

    /// @dev An account with this key, and delegation code.
    function _delegated(Vm.Wallet memory wallet) private returns (IModularAccount) {
        vm.etch(wallet.addr, abi.encodePacked(hex"ef0100", implementation));
        return IModularAccount(payable(wallet.addr));
    }

    function test_initialize_ofADelegatedAccount_byItselfOnly() public {
        Vm.Wallet memory wallet = vm.createWallet("delegated");
        IModularAccount fresh = _delegated(wallet);
        address[] memory plugins = _plugins(1);
        bytes memory initData = _initData(1, 1);
        address[4] memory others = [stranger, owner.addr, address(ENTRY_POINT), address(factory)];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.prank(others[i]);
            vm.expectRevert(revertData(IModularAccount.UnauthorizedCallContext.selector));
            fresh.initialize(plugins, initData);
        }
        vm.prank(wallet.addr);
        fresh.initialize(plugins, initData);
        assertEq(ownerPlugin.ownersOf(wallet.addr), listOf(owner.addr));
        vm.prank(owner.addr);
        fresh.execute(stranger, 0, "");

        // Only once, whoever calls.
        vm.prank(wallet.addr);
        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        fresh.initialize(plugins, initData);
    }

    /// @dev The same with a signed authorization, as a transaction carries it.
    /// forge-config: default.evm_version = "prague"
    function test_initialize_ofADelegatedAccount_byItselfOnly_withAnAuthorization() public {
        Vm.Wallet memory wallet = vm.createWallet("delegated");
        IModularAccount fresh = IModularAccount(payable(wallet.addr));
        address[] memory plugins = _plugins(1);
        bytes memory initData = _initData(1, 1);
        vm.signAndAttachDelegation(implementation, wallet.privateKey);
        vm.prank(stranger);
        (bool success, bytes memory reason) =
            wallet.addr.call(abi.encodeCall(IModularAccount.initialize, (plugins, initData)));
        assertEq(wallet.addr.code, abi.encodePacked(hex"ef0100", implementation));
        assertFalse(success);
        assertEq(reason, revertData(IModularAccount.UnauthorizedCallContext.selector));
        vm.prank(wallet.addr);
        fresh.initialize(plugins, initData);
        assertEq(ownerPlugin.ownersOf(wallet.addr), listOf(owner.addr));
    }

    /// @dev A proxy has no code yet while its constructor runs.
    function test_initialize_worksInAProxysConstructor() public {
        bytes memory data = abi.encodeCall(IModularAccount.initialize, (new address[](0), _initData(0, 0)));
        vm.prank(stranger);
        IModularAccount fresh = IModularAccount(payable(address(new PlainProxy(implementation, data))));
        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        fresh.initialize(new address[](0), _initData(0, 0));
    }

    /* Upgrades */

    function _upgradeCall(address newImplementation, bytes memory data) private pure returns (bytes memory) {
        return abi.encodeCall(IModularAccount.upgradeToAndCall, (newImplementation, data));
    }

    function test_upgradeToAndCall_withoutDataCallsNothing() public {
        OtherImplementation other = new OtherImplementation();
        vm.expectEmit(address(account));
        emit IModularAccount.Upgraded(address(other));
        sendAsOwner(_upgradeCall(address(other), ""));
        assertEq(vm.load(address(account), IMPLEMENTATION_SLOT), bytes32(uint256(uint160(address(other)))));
        assertEq(OtherImplementation(address(account)).filled(), 0);
    }

    function test_upgradeToAndCall_callsTheNewImplementation() public {
        OtherImplementation other = new OtherImplementation();
        succeeds(owner.addr, _upgradeCall(address(other), abi.encodeCall(OtherImplementation.fill, ())));
        assertEq(OtherImplementation(address(account)).filled(), 7);
    }

    function test_upgradeToAndCall_revertsAsTheCallDoes() public {
        OtherImplementation other = new OtherImplementation();
        reverts(
            owner.addr,
            _upgradeCall(address(other), abi.encodeCall(OtherImplementation.refuse, (5))),
            abi.encodeWithSelector(OtherImplementation.Refused.selector, 5)
        );
    }

    function test_upgradeToAndCall_revertsForNonImplementations() public {
        address[4] memory targets = [stranger, address(counter), address(account), address(ownerPlugin)];
        for (uint256 i = 0; i < targets.length; ++i) {
            reverts(owner.addr, _upgradeCall(targets[i], ""), revertData(IModularAccount.UpgradeFailed.selector));
        }
    }

    /// @dev The slot of ERC-1967, one word, and nothing else.
    function test_upgradeToAndCall_revertsForAnyOtherAnswer() public {
        bytes[5] memory answers = [
            abi.encode(IMPLEMENTATION_SLOT, 0),
            bytes.concat(IMPLEMENTATION_SLOT, hex"00"),
            abi.encodePacked(bytes31(IMPLEMENTATION_SLOT)),
            abi.encode(uint256(IMPLEMENTATION_SLOT) + 1),
            bytes("")
        ];
        bytes4 proxiableUUID = IModularAccount.proxiableUUID.selector;
        for (uint256 i = 0; i < answers.length; ++i) {
            plugin.setReturn(proxiableUUID, 0, answers[i]);
            plugin.setSilent(proxiableUUID, 0);
            reverts(owner.addr, _upgradeCall(address(plugin), ""), revertData(IModularAccount.UpgradeFailed.selector));
        }
        plugin.setReturn(proxiableUUID, 0, abi.encode(IMPLEMENTATION_SLOT));
        succeeds(owner.addr, _upgradeCall(address(plugin), ""));
        vm.store(address(account), IMPLEMENTATION_SLOT, bytes32(uint256(uint160(implementation))));
        plugin.setRevert(proxiableUUID, 0, abi.encode(IMPLEMENTATION_SLOT));
        reverts(owner.addr, _upgradeCall(address(plugin), ""), revertData(IModularAccount.UpgradeFailed.selector));
    }

    function test_upgradeToAndCall_keepsState() public {
        address second = deployCode("ModularAccount.sol:ModularAccount", abi.encode(ENTRY_POINT));
        sendAsOwner(_upgradeCall(second, ""));
        sendAsOwner(executeCall(address(counter), 0, abi.encodeCall(counter.increment, ())));
        assertEq(counter.count(), 1);
        vm.expectRevert(revertData(IModularAccount.AlreadyInitialized.selector));
        account.initialize(new address[](0), _initData(0, 0));
    }

    function test_upgradeToAndCall_worksThroughAProxyOnly() public {
        bytes memory unauthorized = revertData(IModularAccount.UnauthorizedCallContext.selector);
        IModularAccount direct = IModularAccount(payable(implementation));
        vm.expectRevert(unauthorized);
        direct.upgradeToAndCall(implementation, "");
        vm.expectRevert(unauthorized);
        account.proxiableUUID();
        assertEq(direct.proxiableUUID(), IMPLEMENTATION_SLOT);
    }

    function test_implementation_obeysNobody() public {
        IModularAccount direct = IModularAccount(payable(implementation));
        vm.expectRevert(
            revertData(IModularAccount.RuntimeValidationFunctionMissing.selector, IStandardExecutor.execute.selector)
        );
        direct.execute(stranger, 0, "");
        vm.prank(address(ENTRY_POINT));
        vm.expectRevert(
            revertData(IModularAccount.UserOpValidationFunctionMissing.selector, IStandardExecutor.execute.selector)
        );
        UserOperation memory op;
        op.callData = executeCall(stranger, 0, "");
        direct.validateUserOp(op, 0, 0);
    }

    /* Token receivers */

    function test_tokenReceivers_needNoValidation() public {
        vm.startPrank(stranger);
        assertEq(account.onERC721Received(stranger, stranger, 1, "data"), IERC721Receiver.onERC721Received.selector);
        assertEq(
            account.onERC1155Received(stranger, stranger, 1, 2, "data"), IERC1155Receiver.onERC1155Received.selector
        );
        assertEq(
            account.onERC1155BatchReceived(stranger, stranger, new uint256[](2), new uint256[](2), "data"),
            IERC1155Receiver.onERC1155BatchReceived.selector
        );
        account.tokensReceived(stranger, stranger, address(account), 1, "a", "b");
    }

    function test_tokenReceivers_runHooks() public {
        bytes[4] memory callDatas = [
            abi.encodeCall(IModularAccount.onERC721Received, (stranger, stranger, 1, "data")),
            abi.encodeCall(IModularAccount.onERC1155Received, (stranger, stranger, 1, 2, "data")),
            abi.encodeCall(
                IModularAccount.onERC1155BatchReceived, (stranger, stranger, new uint256[](2), new uint256[](2), "data")
            ),
            abi.encodeCall(IModularAccount.tokensReceived, (stranger, stranger, address(account), 1, "a", "b"))
        ];
        PluginManifest memory manifest;
        for (uint256 i = 0; i < callDatas.length; ++i) {
            manifest.executionHooks =
                add(manifest.executionHooks, bytes4(callDatas[i]), selfFunction(1), selfFunction(2));
            manifest.preRuntimeValidationHooks =
                add(manifest.preRuntimeValidationHooks, bytes4(callDatas[i]), denyFunction());
        }
        install(plugin, manifest);
        for (uint256 i = 0; i < callDatas.length; ++i) {
            vm.recordLogs();
            succeeds(stranger, callDatas[i]);
            MockCall[] memory calls = mockCalls();
            assertEq(calls.length, 2);
            assertCall(calls[0], plugin, PRE_EXEC, 1);
            assertEq(calls[0].data, hookCall(PRE_EXEC, 1, stranger, 0, callDatas[i]));
            assertCall(calls[1], plugin, POST_EXEC, 2);
        }
    }

    /* Opcodes */

    /// @dev The code of the account and of the owner plugin has no opcode at all that ERC-7562 forbids in validation
    /// ([OP-011]), and no GAS that a call does not follow at once ([OP-012]).
    function test_bytecode_hasNoForbiddenOpcode() public view {
        _assertAllowed(implementation.code);
        _assertAllowed(address(ownerPlugin).code);
    }

    function test_bytecode_theCheckFindsForbiddenOpcodes() public {
        bytes1[16] memory forbidden =
            [bytes1(0x32), 0x3a, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x47, 0x48, 0x49, 0x4a, 0xf0, 0xf5, 0xff, 0x5a];
        for (uint256 i = 0; i < forbidden.length; ++i) {
            vm.expectRevert();
            this.assertAllowed(abi.encodePacked(hex"7f", bytes32(0), forbidden[i], hex"50"));
        }
        this.assertAllowed(abi.encodePacked(hex"61", hex"4242", hex"5af1"));
    }

    function assertAllowed(bytes memory code) external pure {
        _assertAllowed(code);
    }

    function _assertAllowed(bytes memory code) private pure {
        for (uint256 i = 0; i < code.length; ++i) {
            uint8 opcode = uint8(code[i]);
            // PUSH1 to PUSH32 are followed by data.
            if (opcode >= 0x60 && opcode <= 0x7f) {
                i += opcode - 0x5f;
                continue;
            }
            require(opcode != 0x32 && opcode != 0x3a, "ORIGIN or GASPRICE");
            require(opcode < 0x40 || opcode > 0x45, "BLOCKHASH to GASLIMIT");
            require(opcode < 0x47 || opcode > 0x4a, "SELFBALANCE, BASEFEE, BLOBHASH or BLOBBASEFEE");
            require(opcode != 0xf0 && opcode != 0xf5 && opcode != 0xff, "CREATE, CREATE2 or SELFDESTRUCT");
            if (opcode == 0x5a) {
                uint8 next = uint8(code[i + 1]);
                require(next == 0xf1 || next == 0xf4 || next == 0xfa, "GAS without a call");
            }
        }
    }
}
