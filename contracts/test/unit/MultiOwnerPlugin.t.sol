// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/interfaces/IERC1271.sol";
import {Bytes} from "@openzeppelin/utils/Bytes.sol";
import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {IPluginErrors} from "../../src/interfaces/IPluginErrors.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {ContractOwner} from "../mocks/ContractOwner.sol";
import {AccountTest} from "../utils/AccountTest.sol";
import {listOf} from "../utils/ListLiterals.sol";

/// @notice Owners of an account: their list, their signatures, and the plugin's storage.
contract MultiOwnerPluginTest is AccountTest {
    bytes4 private constant VALID = 0x1626ba7e;
    bytes4 private constant INVALID = 0xffffffff;

    /// @dev A contract that acts as the account towards the plugin.
    address private caller;
    Vm.Wallet private second;
    /// @dev The owners as they should be, oldest first.
    address[] private model;

    function setUp() public override {
        super.setUp();
        caller = address(new ContractOwner());
        second = vm.createWallet("second owner");
    }

    function _onInstall(address[] memory owners) private {
        vm.prank(caller);
        IPlugin(address(ownerPlugin)).onInstall(abi.encode(owners));
    }

    function _update(address[] memory added, address[] memory removed) private {
        vm.prank(caller);
        ownerPlugin.updateOwners(added, removed);
    }

    /* Manifest and interface */

    function test_pluginManifest_isThePublishedOne() public view {
        assertEq(
            manifestHashOf(address(ownerPlugin)), 0x21d0f6cca8bef15ac65bf93ae5ae9ec383ea5010bf3e02b44d3c0abd2d2bd0fb
        );
    }

    function test_interfaceIds_areThePublishedOnes() public pure {
        assertEq(type(IMultiOwnerPlugin).interfaceId, bytes4(0xdb9b90a3));
        assertEq(type(IPlugin).interfaceId, bytes4(0xf23b1ed7));
    }

    function test_pluginMetadata_isThatOfTheEip712Domain() public view {
        assertEq(IPlugin(address(ownerPlugin)).pluginMetadata().name, "Multi Owner Plugin");
        assertEq(IPlugin(address(ownerPlugin)).pluginMetadata().version, "1.0.0");
    }

    /* Owners */

    function test_onInstall_emitsOwnersAsGivenAndListsNewestFirst() public {
        address[] memory owners = listOf(address(1), second.addr);
        vm.expectEmit(address(ownerPlugin));
        emit IMultiOwnerPlugin.OwnerUpdated(caller, owners, new address[](0));
        _onInstall(owners);
        assertEq(ownerPlugin.ownersOf(caller), listOf(second.addr, address(1)));
        assertTrue(ownerPlugin.isOwnerOf(caller, address(1)));
        assertFalse(ownerPlugin.isOwnerOf(caller, address(0)));
        assertFalse(ownerPlugin.isOwnerOf(address(account), address(1)));
    }

    /// @dev A forced uninstall whose callback failed leaves owners behind.
    function test_onInstall_replacesOwnersThatAreLeftOver() public {
        _onInstall(listOf(stranger, second.addr, address(1)));
        vm.expectEmit(address(ownerPlugin));
        emit IMultiOwnerPlugin.OwnerUpdated(
            caller, listOf(second.addr, owner.addr), listOf(address(1), second.addr, stranger)
        );
        _onInstall(listOf(second.addr, owner.addr));
        assertEq(ownerPlugin.ownersOf(caller), listOf(owner.addr, second.addr));
        assertFalse(ownerPlugin.isOwnerOf(caller, stranger));
        assertFalse(ownerPlugin.isOwnerOf(caller, address(1)));
        _update(listOf(stranger), new address[](0));
        assertEq(ownerPlugin.ownersOf(caller), listOf(stranger, owner.addr, second.addr));
    }

    /// @dev Leftover owners are replaced by others, or stay: bad install data changes nothing.
    function test_onInstall_withBadOwners_keepsThoseThatAreLeftOver() public {
        _onInstall(listOf(stranger));
        vm.expectRevert(revertData(IMultiOwnerPlugin.EmptyOwnersNotAllowed.selector));
        _onInstall(new address[](0));
        assertEq(ownerPlugin.ownersOf(caller), listOf(stranger));
    }

    function test_uninstall_withAStarvedCallback_leavesNoOwnerForTheNextInstallation() public {
        makeOwner(stranger);
        // A batch by the account, which has no owners afterwards.
        Call[] memory calls = new Call[](2);
        calls[0] = Call(address(account), 0, uninstallCall(address(ownerPlugin), uninstallConfig("", true, 3000)));
        calls[1] = Call(
            address(account), 0, installCall(address(ownerPlugin), abi.encode(listOf(second.addr)), new bytes21[](0))
        );
        vm.expectEmit(address(account));
        emit IPluginManager.PluginUninstalled(address(ownerPlugin), false);
        vm.expectEmit(address(ownerPlugin));
        emit IMultiOwnerPlugin.OwnerUpdated(address(account), listOf(second.addr), listOf(stranger, owner.addr));
        sendAsOwner(batchCall(calls));
        assertEq(ownerPlugin.ownersOf(address(account)), listOf(second.addr));
        succeeds(second.addr, executeCall(stranger, 1, ""));
        address[2] memory former = [owner.addr, stranger];
        for (uint256 i = 0; i < former.length; ++i) {
            reverts(
                former[i],
                executeCall(stranger, 1, ""),
                abi.encodeWithSelector(
                    IModularAccount.RuntimeValidationFunctionReverted.selector,
                    ownerPlugin,
                    0,
                    revertData(IMultiOwnerPlugin.NotAuthorized.selector)
                )
            );
        }
    }

    function test_onInstall_revertsForBadOwners() public {
        vm.expectRevert(revertData(IMultiOwnerPlugin.EmptyOwnersNotAllowed.selector));
        _onInstall(new address[](0));
        vm.expectRevert(revertData(IMultiOwnerPlugin.InvalidOwner.selector, address(0)));
        _onInstall(listOf(stranger, address(0)));
        vm.expectRevert(revertData(IMultiOwnerPlugin.InvalidOwner.selector, stranger));
        _onInstall(listOf(stranger, stranger));
        vm.expectRevert();
        vm.prank(caller);
        IPlugin(address(ownerPlugin)).onInstall("");
    }

    function test_onInstall_revertsForACallerWithoutCode() public {
        vm.prank(stranger);
        vm.expectRevert(revertData(IPluginErrors.NotContractCaller.selector, stranger));
        IPlugin(address(ownerPlugin)).onInstall(abi.encode(listOf(second.addr)));
    }

    function test_onUninstall_removesAllOwners() public {
        _onInstall(listOf(stranger, second.addr));
        vm.expectEmit(address(ownerPlugin));
        emit IMultiOwnerPlugin.OwnerUpdated(caller, new address[](0), listOf(second.addr, stranger));
        vm.prank(caller);
        IPlugin(address(ownerPlugin)).onUninstall("ignored");
        assertEq(ownerPlugin.ownersOf(caller), new address[](0));
        assertFalse(ownerPlugin.isOwnerOf(caller, stranger));
        _onInstall(listOf(second.addr));
        assertEq(ownerPlugin.ownersOf(caller), listOf(second.addr));
    }

    function test_updateOwners_removesFirst() public {
        _onInstall(listOf(stranger));
        vm.expectEmit(address(ownerPlugin));
        emit IMultiOwnerPlugin.OwnerUpdated(caller, listOf(stranger, second.addr), listOf(stranger));
        _update(listOf(stranger, second.addr), listOf(stranger));
        assertEq(ownerPlugin.ownersOf(caller), listOf(second.addr, stranger));
    }

    function test_updateOwners_revertsForBadOwners() public {
        vm.expectRevert(revertData(IPluginErrors.NotInitialized.selector));
        _update(listOf(address(0)), listOf(stranger));
        _onInstall(listOf(stranger, second.addr));
        vm.expectRevert(revertData(IMultiOwnerPlugin.OwnerDoesNotExist.selector, owner.addr));
        _update(listOf(address(0)), listOf(owner.addr));
        vm.expectRevert(revertData(IMultiOwnerPlugin.OwnerDoesNotExist.selector, stranger));
        _update(new address[](0), listOf(stranger, stranger));
        vm.expectRevert(revertData(IMultiOwnerPlugin.OwnerDoesNotExist.selector, address(0)));
        _update(new address[](0), listOf(address(0)));
        vm.expectRevert(revertData(IMultiOwnerPlugin.InvalidOwner.selector, address(0)));
        _update(listOf(owner.addr, address(0)), new address[](0));
        vm.expectRevert(revertData(IMultiOwnerPlugin.InvalidOwner.selector, second.addr));
        _update(listOf(owner.addr, second.addr), new address[](0));
        vm.expectRevert(revertData(IMultiOwnerPlugin.InvalidOwner.selector, owner.addr));
        _update(listOf(owner.addr, owner.addr), new address[](0));
        vm.expectRevert(revertData(IMultiOwnerPlugin.EmptyOwnersNotAllowed.selector));
        _update(new address[](0), listOf(stranger, second.addr));
        _update(new address[](0), new address[](0));
    }

    /// @dev Any order of additions and removals against a reference model: a list, newest first.
    function testFuzz_updateOwners_agreesWithAModel(uint256 seed) public {
        address[] memory pool = new address[](6);
        for (uint256 i = 0; i < pool.length; ++i) {
            pool[i] = address(uint160(i + 1));
        }
        _onInstall(listOf(pool[0]));
        model.push(pool[0]);
        for (uint256 step = 0; step < 20; ++step) {
            seed = uint256(keccak256(abi.encode(seed)));
            address chosen = pool[seed % pool.length];
            (bool found, uint256 index) = _find(chosen);
            if (!found) {
                _update(listOf(chosen), new address[](0));
                model.push(chosen);
            } else if (model.length > 1) {
                _update(new address[](0), listOf(chosen));
                for (uint256 i = index; i + 1 < model.length; ++i) {
                    model[i] = model[i + 1];
                }
                model.pop();
            }
            address[] memory owners = ownerPlugin.ownersOf(caller);
            assertEq(owners.length, model.length);
            for (uint256 i = 0; i < owners.length; ++i) {
                assertEq(owners[i], model[model.length - 1 - i]);
            }
            for (uint256 i = 0; i < pool.length; ++i) {
                (bool isOwner,) = _find(pool[i]);
                assertEq(ownerPlugin.isOwnerOf(caller, pool[i]), isOwner);
            }
        }
    }

    function _find(address wanted) private view returns (bool, uint256) {
        for (uint256 i = 0; i < model.length; ++i) {
            if (model[i] == wanted) return (true, i);
        }
        return (false, 0);
    }

    /* Validation */

    function test_runtimeValidation_acceptsOwnersAndSelf() public {
        _onInstall(listOf(stranger));
        vm.startPrank(caller);
        IPlugin(address(ownerPlugin)).runtimeValidationFunction(0, stranger, 0, "");
        IPlugin(address(ownerPlugin)).runtimeValidationFunction(0, caller, 0, "");
        vm.expectRevert(revertData(IMultiOwnerPlugin.NotAuthorized.selector));
        IPlugin(address(ownerPlugin)).runtimeValidationFunction(0, owner.addr, 0, "");
        vm.expectRevert(revertData(IMultiOwnerPlugin.NotAuthorized.selector));
        IPlugin(address(ownerPlugin)).runtimeValidationFunction(0, address(0), 0, "");
    }

    /// @dev Without owners, only the account itself is authorized.
    function test_runtimeValidation_withoutOwners_acceptsSelfAlone() public {
        vm.startPrank(caller);
        IPlugin(address(ownerPlugin)).runtimeValidationFunction(0, caller, 0, "");
        vm.expectRevert(revertData(IMultiOwnerPlugin.NotAuthorized.selector));
        IPlugin(address(ownerPlugin)).runtimeValidationFunction(0, stranger, 0, "");
    }

    function testFuzz_otherFunctionIds_areNotImplemented(uint8 functionId) public {
        bytes[6] memory calls = [
            abi.encodeWithSelector(RUNTIME, functionId, stranger, 0, ""),
            abi.encodeWithSelector(PRE_RUNTIME, functionId, stranger, 0, ""),
            abi.encodeWithSelector(PRE_EXEC, functionId, stranger, 0, ""),
            abi.encodeWithSelector(POST_EXEC, functionId, ""),
            abi.encodeWithSelector(USER_OP, functionId, buildUserOp(""), bytes32(0)),
            abi.encodeWithSelector(PRE_USER_OP, functionId, buildUserOp(""), bytes32(0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            if (i == 0 && functionId == 0) continue;
            if (i == 4 && functionId == 1) continue;
            (bool success, bytes memory answer) = address(ownerPlugin).call(calls[i]);
            assertFalse(success);
            assertEq(
                answer, abi.encodeWithSelector(IPluginErrors.NotImplemented.selector, bytes4(calls[i]), functionId)
            );
        }
    }

    function _validateOp(bytes32 hash, bytes memory signature) private returns (uint256) {
        UserOperation memory op;
        op.signature = signature;
        vm.prank(caller);
        (bool success, bytes memory answer) = address(ownerPlugin).call(abi.encodeWithSelector(USER_OP, 1, op, hash));
        assertTrue(success, "validation reverted");
        return abi.decode(answer, (uint256));
    }

    function _signature(uint256 privateKey, bytes32 hash) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, hash);
        return abi.encodePacked(r, s, v);
    }

    function testFuzz_userOpValidation_acceptsOwnersSignatures(bytes32 hash, uint256 key) public {
        key = bound(key, 1, 2 ** 128);
        _onInstall(listOf(vm.addr(key), second.addr));
        assertEq(_validateOp(hash, _signature(key, eip191Hash(hash))), 0);
        assertEq(_validateOp(hash, _signature(second.privateKey, eip191Hash(hash))), 0);
        assertEq(_validateOp(hash, _signature(owner.privateKey, eip191Hash(hash))), 1);
        assertEq(_validateOp(hash, _signature(key, hash)), 1);
        assertEq(_validateOp(keccak256(abi.encode(hash)), _signature(key, eip191Hash(hash))), 1);
    }

    /// @dev A malleable signature (high s) is invalid.
    function test_userOpValidation_refusesHighS() public {
        _onInstall(listOf(second.addr));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(second.privateKey, eip191Hash("hash"));
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        assertEq(_validateOp("hash", abi.encodePacked(r, s, v)), 0);
        assertEq(_validateOp("hash", abi.encodePacked(r, order - uint256(s), v ^ 7)), 1);
    }

    /// @dev 65 bytes, the last 27 or 28: no compact signature (ERC-2098), no parity bit, no trailing bytes.
    function test_userOpValidation_refusesOtherEncodings() public {
        _onInstall(listOf(second.addr));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(second.privateKey, eip191Hash("hash"));
        assertEq(_validateOp("hash", abi.encodePacked(r, uint256(v - 27) << 255 | uint256(s))), 1);
        assertEq(_validateOp("hash", abi.encodePacked(r, s, v - 27)), 1);
        assertEq(_validateOp("hash", abi.encodePacked(r, s, v, uint8(0))), 1);
    }

    /// @dev An owner that burns all its gas cannot prevent another owner from signing.
    function test_userOpValidation_ofASignatureAsksNoContractOwner() public {
        ContractOwner burner = new ContractOwner();
        burner.setMode(ContractOwner.Mode.BURN_ALL_GAS);
        _onInstall(listOf(second.addr, address(burner)));
        vm.expectCall(address(burner), "", 0);
        assertEq(_validateOp("hash", _signature(second.privateKey, eip191Hash("hash"))), 0);
    }

    function testFuzz_userOpValidation_neverReverts(bytes32 hash, bytes calldata signature) public {
        ContractOwner contractOwner = new ContractOwner();
        contractOwner.accept(~hash);
        _onInstall(listOf(address(contractOwner), stranger));
        for (uint256 mode = 0; mode <= uint256(type(ContractOwner.Mode).max); ++mode) {
            contractOwner.setMode(ContractOwner.Mode(mode));
            assertEq(_validateOp(hash, signature), 1);
        }
    }

    /// @dev A contract owner is asked about the operation's hash itself, for any signature and any other owners.
    function test_userOpValidation_asksContractOwners() public {
        ContractOwner contractOwner = new ContractOwner();
        ContractOwner other = new ContractOwner();
        _onInstall(listOf(address(contractOwner), stranger));
        _update(listOf(address(other)), new address[](0));
        contractOwner.accept("hash");
        bytes[4] memory signatures =
            [bytes(""), new bytes(65), new bytes(300), _signature(owner.privateKey, eip191Hash("hash"))];
        for (uint256 i = 0; i < signatures.length; ++i) {
            vm.expectCall(address(contractOwner), abi.encodeCall(IERC1271.isValidSignature, ("hash", signatures[i])));
            assertEq(_validateOp("hash", signatures[i]), 0);
        }
        contractOwner.accept(eip191Hash("hash"));
        assertEq(_validateOp("hash", ""), 1);
        _update(new address[](0), listOf(address(contractOwner)));
        contractOwner.accept("hash");
        assertEq(_validateOp("hash", ""), 1);
    }

    /// @dev A word is an answer and 31 bytes are not, whatever memory held before: here zeros, since the accounts'
    /// addresses end in one.
    function test_userOpValidation_shortAnswersOfContractOwnersDoNotCount() public {
        address at = address(uint160(uint256(keccak256("account"))) & ~uint160(0xff));
        vm.etch(at, caller.code);
        caller = at;
        ContractOwner contractOwner = ContractOwner(address(uint160(uint256(keccak256("owner"))) & ~uint160(0xff)));
        vm.etch(address(contractOwner), caller.code);
        _onInstall(listOf(address(contractOwner)));
        contractOwner.setMode(ContractOwner.Mode.RETURN_SHORT);
        assertEq(_validateOp("hash", ""), 1);
        assertEq(_validateOp("hash", _named(address(contractOwner), "")), 1);
    }

    function test_userOpValidation_asksContractOwnersOfTheAccount() public {
        ContractOwner contractOwner = new ContractOwner();
        makeOwner(address(contractOwner));
        UserOperation memory op = buildUserOp(executeCall(stranger, 1, ""));
        op.signature = "any";
        contractOwner.accept(ENTRY_POINT.getUserOpHash(op));
        (bool success,) = send(op);
        assertTrue(success);
        assertEq(stranger.balance, 1);
    }

    /* Signatures that name their owner */

    /// @dev 16 bytes of ones, and half of a hash.
    function _named(address namedOwner, bytes memory signature) private pure returns (bytes memory) {
        bytes16 hash = bytes16(keccak256("session-keys.MultiOwnerPlugin.namedOwner") << 128);
        return abi.encodePacked(bytes16(type(uint128).max), hash, namedOwner, signature);
    }

    /// @dev As documented in the interface.
    function test_namedOwner_markerIsThePublishedOne() public pure {
        assertEq(
            _named(address(1), hex"aa"),
            hex"ffffffffffffffffffffffffffffffff3912ad2b0ae36861a865bb371c2346900000000000000000000000000000000000000001aa"
        );
        // No r of an ECDSA signature is as large as the order of secp256k1.
        assertGt(
            uint256(bytes32(_named(address(0), ""))), 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
        );
    }

    /// @dev No other owner is accessed, with code or without, newer or older.
    function test_namedOwner_isTheOnlyOneAsked() public {
        ContractOwner contractOwner = new ContractOwner();
        ContractOwner newer = new ContractOwner();
        ContractOwner older = new ContractOwner();
        newer.setMode(ContractOwner.Mode.BURN_ALL_GAS);
        older.accept("hash");
        contractOwner.accept("hash");
        _onInstall(listOf(address(older), address(contractOwner)));
        _update(listOf(second.addr, address(newer)), new address[](0));
        bytes[4] memory signatures = [bytes(""), hex"01", new bytes(13), new bytes(65)];
        vm.expectCall(address(newer), "", 0);
        vm.expectCall(address(older), "", 0);
        for (uint256 i = 0; i < signatures.length; ++i) {
            // It receives the bytes after its name.
            vm.expectCall(address(contractOwner), abi.encodeCall(IERC1271.isValidSignature, ("hash", signatures[i])));
            assertEq(_validateOp("hash", _named(address(contractOwner), signatures[i])), 0);
        }
        // The older owner cannot override its refusal.
        contractOwner.accept("other hash");
        assertEq(_validateOp("hash", _named(address(contractOwner), "any")), 1);
    }

    function test_namedOwner_mustBeAnOwner() public {
        ContractOwner contractOwner = new ContractOwner();
        ContractOwner notAnOwner = new ContractOwner();
        contractOwner.accept("hash");
        notAnOwner.accept("hash");
        _onInstall(listOf(address(contractOwner), second.addr));
        vm.expectCall(address(notAnOwner), "", 0);
        vm.expectCall(address(contractOwner), "", 0);
        assertEq(_validateOp("hash", _named(address(notAnOwner), "any")), 1);
        assertEq(_validateOp("hash", _named(address(0), "any")), 1);
    }

    /// @dev An owner without code cannot be named; it signs without its name.
    function test_namedOwner_mustHaveCode() public {
        _onInstall(listOf(second.addr));
        bytes memory signature = _signature(second.privateKey, eip191Hash("hash"));
        assertEq(_validateOp("hash", _named(second.addr, signature)), 1);
        assertEq(_validateOp("hash", _named(second.addr, "")), 1);
        assertEq(_validateOp("hash", signature), 0);
    }

    /// @dev 52 bytes are a name, and one less or another marker are a signature like any other.
    function test_namedOwner_otherSignaturesArePlain() public {
        ContractOwner contractOwner = new ContractOwner();
        contractOwner.accept("hash");
        _onInstall(listOf(address(contractOwner)));
        bytes memory name = _named(address(0xdead), "");
        assertEq(_validateOp("hash", name), 1);
        bytes memory shorter = Bytes.slice(name, 0, 51);
        vm.expectCall(address(contractOwner), abi.encodeCall(IERC1271.isValidSignature, ("hash", shorter)));
        assertEq(_validateOp("hash", shorter), 0);
        for (uint256 i = 0; i < 32; ++i) {
            bytes memory other = _named(address(0xdead), "");
            other[i] ^= 0x01;
            assertEq(_validateOp("hash", other), 0);
        }
    }

    /// @dev An owner that is an account itself names its own owner after its name.
    function test_namedOwner_namesInNames() public {
        IModularAccount outer = createAccount(1, address(account));
        ContractOwner contractOwner = new ContractOwner();
        makeOwner(address(contractOwner));
        bytes32 digest = keccak256("digest");
        bytes32 outerHash = _expectedHash(address(outer), abi.encode(digest));
        contractOwner.accept(_expectedHash(address(account), abi.encode(outerHash)));
        bytes memory inner = _named(address(contractOwner), "any");
        assertEq(_isValid(outer, digest, _named(address(account), inner)), VALID);
        assertEq(_isValid(outer, digest, _named(address(account), "any")), VALID);
        // Without an outer name, the inner name reads as the outer one.
        assertEq(_isValid(outer, digest, inner), INVALID);
    }

    function testFuzz_namedOwner_neverReverts(bytes32 hash, address namedOwner, bytes calldata signature) public {
        ContractOwner contractOwner = new ContractOwner();
        contractOwner.accept(~hash);
        _onInstall(listOf(address(contractOwner), stranger));
        for (uint256 mode = 0; mode <= uint256(type(ContractOwner.Mode).max); ++mode) {
            contractOwner.setMode(ContractOwner.Mode(mode));
            assertEq(_validateOp(hash, _named(namedOwner, signature)), 1);
            assertEq(_validateOp(hash, _named(address(contractOwner), signature)), 1);
        }
    }

    /* ERC-1271 and EIP-712 */

    function _domainSeparator(address forAccount) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
                ),
                keccak256("Multi Owner Plugin"),
                keccak256("1.0.0"),
                block.chainid,
                forAccount,
                bytes32(bytes20(address(ownerPlugin)))
            )
        );
    }

    function _expectedHash(address forAccount, bytes memory message) private view returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                hex"1901",
                _domainSeparator(forAccount),
                keccak256(abi.encode(keccak256("AlchemyModularAccountMessage(bytes message)"), keccak256(message)))
            )
        );
    }

    function testFuzz_getMessageHash_isThatOfEip712(address forAccount, bytes calldata message, uint64 chainId) public {
        vm.chainId(bound(chainId, 1, type(uint64).max - 1));
        assertEq(ownerPlugin.getMessageHash(forAccount, message), _expectedHash(forAccount, message));
        assertEq(keccak256(ownerPlugin.encodeMessageData(forAccount, message)), _expectedHash(forAccount, message));
        assertEq(ownerPlugin.encodeMessageData(forAccount, message).length, 66);
    }

    function _isValid(IModularAccount onAccount, bytes32 digest, bytes memory signature) private view returns (bytes4) {
        return IERC1271(address(onAccount)).isValidSignature(digest, signature);
    }

    function test_isValidSignature_acceptsAnOwnersSignature() public view {
        bytes32 digest = keccak256("digest");
        bytes32 messageHash = _expectedHash(address(account), abi.encode(digest));
        assertEq(_isValid(account, digest, _signature(owner.privateKey, messageHash)), VALID);
        assertEq(_isValid(account, digest, _signature(second.privateKey, messageHash)), INVALID);
        // Not the bare digest, and not as a personal message.
        assertEq(_isValid(account, digest, _signature(owner.privateKey, digest)), INVALID);
        assertEq(_isValid(account, digest, _signature(owner.privateKey, eip191Hash(messageHash))), INVALID);
        assertEq(_isValid(account, digest, ""), INVALID);
        assertEq(_isValid(account, keccak256("other"), _signature(owner.privateKey, messageHash)), INVALID);
    }

    /// @dev For any signature, including one that looks like an owner's.
    function test_isValidSignature_asksContractOwners() public {
        ContractOwner contractOwner = new ContractOwner();
        makeOwner(address(contractOwner));
        bytes32 digest = keccak256("digest");
        assertEq(_isValid(account, digest, "any"), INVALID);
        contractOwner.accept(digest);
        assertEq(_isValid(account, digest, "any"), INVALID);
        bytes32 messageHash = _expectedHash(address(account), abi.encode(digest));
        contractOwner.accept(messageHash);
        bytes[4] memory signatures =
            [bytes("any"), new bytes(65), new bytes(300), _signature(second.privateKey, messageHash)];
        for (uint256 i = 0; i < signatures.length; ++i) {
            assertEq(_isValid(account, digest, signatures[i]), VALID);
        }
        assertEq(_isValid(account, digest, _named(address(contractOwner), "any")), VALID);
        assertEq(_isValid(account, digest, _named(owner.addr, "any")), INVALID);
    }

    /// @dev A signature is valid for one account, one chain, one plugin.
    function test_isValidSignature_isNotReplayed() public {
        bytes32 digest = keccak256("digest");
        bytes memory signature = _signature(owner.privateKey, _expectedHash(address(account), abi.encode(digest)));
        IModularAccount sibling = createAccount(1, owner.addr);
        assertEq(_isValid(account, digest, signature), VALID);
        assertEq(_isValid(sibling, digest, signature), INVALID);

        uint256 chainId = block.chainid;
        vm.chainId(chainId + 1);
        assertEq(_isValid(account, digest, signature), INVALID);
        vm.chainId(chainId);

        address otherPlugin = deployCode("MultiOwnerPlugin.sol:MultiOwnerPlugin");
        sendAsOwner(
            executeCall(
                address(account), 0, abi.encodeCall(IPluginManager.uninstallPlugin, (address(ownerPlugin), "", ""))
            )
        );
        bytes32 hash = manifestHashOf(otherPlugin);
        vm.prank(address(account));
        account.installPlugin(otherPlugin, hash, abi.encode(listOf(owner.addr)), new bytes21[](0));
        assertEq(_isValid(account, digest, signature), INVALID);
    }

    function test_eip712Domain_isTheAccounts() public view {
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        ) = IMultiOwnerPlugin(address(account)).eip712Domain();
        assertEq(fields, bytes1(0x1f));
        assertEq(name, "Multi Owner Plugin");
        assertEq(version, "1.0.0");
        assertEq(chainId, block.chainid);
        assertEq(verifyingContract, address(account));
        assertEq(salt, bytes32(bytes20(address(ownerPlugin))));
        assertEq(extensions.length, 0);
    }

    /* ERC-7562 */

    /// @dev Validation reads only slots associated with the account: keccak256(account ++ x) + n, n below 128 [STO-021].
    function test_storage_isAssociatedWithTheAccount() public {
        ContractOwner contractOwner = new ContractOwner();
        _onInstall(listOf(address(contractOwner), second.addr));
        vm.record();
        _validateOp("hash", _signature(second.privateKey, eip191Hash("hash")));
        _validateOp("hash", "");
        (bytes32[] memory reads, bytes32[] memory writes) = vm.accesses(address(ownerPlugin));
        assertEq(writes.length, 0);
        assertGt(reads.length, 2);
        for (uint256 i = 0; i < reads.length; ++i) {
            bool isNewest = reads[i] == keccak256(abi.encode(caller, uint256(0)));
            bool isEntry;
            address[2] memory owners = [address(contractOwner), second.addr];
            for (uint256 j = 0; j < owners.length; ++j) {
                isEntry = isEntry || reads[i] == keccak256(abi.encode(caller, keccak256(abi.encode(owners[j], 1))));
            }
            assertTrue(isNewest || isEntry, "not associated");
        }
    }
}
