// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";
import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";
import {LibClone} from "solady/utils/LibClone.sol";

import {AccountFactory} from "../accounts/AccountFactory.sol";
import {DelegatedAccount} from "../accounts/DelegatedAccount.sol";
import {ModuleOwnedAccount} from "../accounts/ModuleOwnedAccount.sol";
import {SemiModularAccount} from "../accounts/SemiModularAccount.sol";
import {SignatureAccount} from "../accounts/SignatureAccount.sol";
import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {
    Call,
    ExecutionData,
    IAccountV08,
    IInitializable,
    ISemiModularAccount,
    ValidationData
} from "../../../src/interfaces/IAccountV08.sol";
import {ExecutionManifest, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {IAccountV07, IEntryPointV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {EcdsaValidationModule} from "../modules/EcdsaValidationModule.sol";

/// @notice An ERC-6900 v0.8 account of one kind behind the real EntryPoint v0.7, with an owner by global validation;
/// and helpers to build, sign and send operations.
abstract contract AccountV08Test is Test {
    IEntryPointV07 internal constant ENTRY_POINT = IEntryPointV07(0x0000000071727De22E5E9d8BAf0edAc6f37da032);

    /// @notice The kinds of accounts.
    enum Kind {
        MODULAR,
        SEMI_MODULAR,
        DELEGATED,
        EARLIER_DELEGATED,
        SIGNATURE
    }

    /// @dev Validation flags.
    uint8 internal constant USER_OP = 1;
    uint8 internal constant SIGNATURE = 2;
    uint8 internal constant GLOBAL = 4;

    /// @dev Hook flags.
    uint8 internal constant VALIDATION_HOOK = 1;
    uint8 internal constant POST_HOOK = 2;
    uint8 internal constant PRE_HOOK = 4;

    /// @dev Nonce options.
    uint8 internal constant AS_GLOBAL = 1;
    uint8 internal constant HAS_DEFERRED_ACTION = 2;
    uint8 internal constant AS_DIRECT_CALL = 4;

    uint32 internal constant DIRECT_CALL = type(uint32).max;

    /// @dev Entity id of the owner's validation.
    uint32 internal constant OWNER_ENTITY = 0;

    Kind internal kind;
    IAccountV08 internal account;
    Vm.Wallet internal owner;
    EcdsaValidationModule internal ownerModule;
    AccountFactory internal factory;
    address internal bundler = makeAddr("bundler");
    address payable internal beneficiary = payable(makeAddr("beneficiary"));
    address internal stranger = makeAddr("stranger");

    /// @notice Returns the kind of account under test.
    function kindOfAccount() internal view virtual returns (Kind) {
        return Kind.SEMI_MODULAR;
    }

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        vm.deal(bundler, 1000 ether);
        vm.deal(beneficiary, 1 ether);
        deployEntryPoint();
        ownerModule = new EcdsaValidationModule();
        owner = vm.createWallet("owner");
        kind = kindOfAccount();
        account = createAccount(kind);
    }

    /// @dev With the factory and salt of the real deployment: the address is canonical, and so is that of the helper
    /// that its constructor deploys.
    function deployEntryPoint() internal {
        string memory artifact =
            vm.readFile("node_modules/@account-abstraction/contracts-v0.7/artifacts/EntryPoint.json");
        bytes memory creationCode = vm.parseJsonBytes(artifact, ".bytecode");
        vm.etch(
            CREATE2_FACTORY,
            hex"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
        );
        bytes32 salt = 0x90d8084deab30c2a37c45e8d47f49f2f7965183cb6990a98943ef94940681de3;
        (bool success,) = CREATE2_FACTORY.call(abi.encodePacked(salt, creationCode));
        assertTrue(success && address(ENTRY_POINT).code.length != 0, "EntryPoint");
        vm.label(address(ENTRY_POINT), "EntryPoint");
    }

    /* Accounts */

    /// @notice Creates an account with 100 ether and a deposit of 10 ether.
    function createAccount(Kind ofKind) internal returns (IAccountV08 created) {
        if (ofKind == Kind.SIGNATURE) {
            address implementation = deployCode("SignatureAccount.sol:SignatureAccount");
            created = SignatureAccount(payable(LibClone.deployERC1967(implementation)));
            bytes25 config = validation(address(ownerModule), OWNER_ENTITY, USER_OP | SIGNATURE | GLOBAL);
            IInitializable(address(created))
                .initializeWithValidation(config, new bytes4[](0), abi.encode(OWNER_ENTITY, owner.addr), new bytes[](0));
        } else if (ofKind == Kind.DELEGATED || ofKind == Kind.EARLIER_DELEGATED) {
            created = delegate(owner.addr, ofKind == Kind.EARLIER_DELEGATED);
        } else if (ofKind == Kind.MODULAR) {
            deployFactory();
            created = ModuleOwnedAccount(payable(factory.createAccount(owner.addr, 0, OWNER_ENTITY)));
        } else {
            deployFactory();
            created = SemiModularAccount(payable(factory.createSemiModularAccount(owner.addr, 0)));
        }
        fund(address(created));
    }

    function deployFactory() internal {
        factory = new AccountFactory(
            deployCode("ModuleOwnedAccount.sol:ModuleOwnedAccount"),
            deployCode("SemiModularAccount.sol:SemiModularAccount"),
            address(ownerModule)
        );
    }

    /// @notice Gives a key's own address the account's code, as EIP-7702 does.
    function delegate(address authority, bool isEarlier) internal returns (IAccountV08) {
        vm.etch(authority, deployCode("DelegatedAccount.sol:DelegatedAccount", abi.encode(isEarlier)).code);
        return DelegatedAccount(payable(authority));
    }

    function fund(address funded) internal {
        vm.deal(funded, 100 ether);
        vm.deal(address(this), 10 ether);
        ENTRY_POINT.depositTo{value: 10 ether}(funded);
    }

    /* Names of validations and hooks */

    function entity(address module, uint32 entityId) internal pure returns (bytes24) {
        return bytes24(abi.encodePacked(module, entityId));
    }

    function validation(address module, uint32 entityId, uint8 flags) internal pure returns (bytes25) {
        return bytes25(abi.encodePacked(module, entityId, flags));
    }

    function hook(address module, uint32 entityId, uint8 flags) internal pure returns (bytes25) {
        return validation(module, entityId, flags);
    }

    /// @notice Encodes a hook without a callback, for an installation.
    function hookData(bytes25 config) internal pure returns (bytes memory) {
        return abi.encodePacked(config);
    }

    /// @notice Encodes a hook with its callback's data, for an installation.
    function hookData(bytes25 config, bytes memory data) internal pure returns (bytes memory) {
        return abi.encodePacked(config, data);
    }

    function selectors(bytes4 a) internal pure returns (bytes4[] memory list) {
        list = new bytes4[](1);
        list[0] = a;
    }

    function selectors(bytes4 a, bytes4 b) internal pure returns (bytes4[] memory list) {
        list = new bytes4[](2);
        (list[0], list[1]) = (a, b);
    }

    /* Call data of the account */

    function executeCall(address target, uint256 value, bytes memory data) internal pure returns (bytes memory) {
        return abi.encodeCall(IAccountV08.execute, (target, value, data));
    }

    function batchCall(Call[] memory calls) internal pure returns (bytes memory) {
        return abi.encodeCall(IAccountV08.executeBatch, (calls));
    }

    /// @notice Encodes self-calls as one batch.
    function selfCalls(bytes[] memory data) internal view returns (bytes memory) {
        Call[] memory calls = new Call[](data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            calls[i] = Call(address(account), 0, data[i]);
        }
        return batchCall(calls);
    }

    function installCall(bytes25 config, bytes4[] memory list) internal pure returns (bytes memory) {
        return installCall(config, list, "", new bytes[](0));
    }

    function installCall(bytes25 config, bytes4[] memory list, bytes memory installData, bytes[] memory hooks)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IAccountV08.installValidation, (config, list, installData, hooks));
    }

    function uninstallCall(bytes24 moduleEntity, bytes memory uninstallData) internal pure returns (bytes memory) {
        return uninstallCall(moduleEntity, uninstallData, new bytes[](0));
    }

    function uninstallCall(bytes24 moduleEntity, bytes memory uninstallData, bytes[] memory hookUninstallData)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IAccountV08.uninstallValidation, (moduleEntity, uninstallData, hookUninstallData));
    }

    function installExecutionCall(address module, ExecutionManifest memory manifest, bytes memory installData)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IAccountV08.installExecution, (module, manifest, installData));
    }

    function uninstallExecutionCall(address module, ExecutionManifest memory manifest, bytes memory uninstallData)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IAccountV08.uninstallExecution, (module, manifest, uninstallData));
    }

    /// @notice Encodes call data that reaches the account by `executeUserOp`.
    function wrapped(bytes memory callData) internal pure returns (bytes memory) {
        return abi.encodePacked(IAccountV07.executeUserOp.selector, callData);
    }

    /* User operations */

    /// @notice Returns the upper 192 bits of a nonce: lane, entity id, options.
    function nonceKey(uint152 lane, uint32 entityId, uint8 options) internal pure returns (uint192) {
        return uint192(lane) << 40 | uint192(entityId) << 8 | options;
    }

    /// @notice Returns the nonce key of a direct-call validation.
    function directNonceKey(uint24 lane, address module, uint8 options) internal pure returns (uint192) {
        return uint192(lane) << 168 | uint192(uint160(module)) << 8 | options | AS_DIRECT_CALL;
    }

    /// @notice Builds an unsigned operation of the account, with ample gas.
    function buildUserOp(bytes memory callData, uint192 key) internal view returns (PackedUserOperation memory op) {
        op.sender = address(account);
        op.nonce = ENTRY_POINT.getNonce(address(account), key);
        op.callData = callData;
        op.accountGasLimits = gasLimits(3_000_000, 5_000_000);
        op.gasFees = bytes32(uint256(1 gwei) << 128 | 1 gwei);
    }

    function gasLimits(uint128 verification, uint128 execution) internal pure returns (bytes32) {
        return bytes32(uint256(verification) << 128 | execution);
    }

    /// @notice Signs the EIP-191 message of the operation's hash with ECDSA (65 bytes).
    function signatureOf(PackedUserOperation memory op, Vm.Wallet memory signer) internal view returns (bytes memory) {
        bytes32 hash = ENTRY_POINT.getUserOpHash(op);
        return ecdsa(keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", hash)), signer);
    }

    function ecdsa(bytes32 hash, Vm.Wallet memory signer) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer.privateKey, hash);
        return abi.encodePacked(r, s, v);
    }

    /// @notice Returns the prefix of signatures on accounts that select the validation in the signature.
    function selectionPrefix(bytes24 moduleEntity, bool asGlobal) internal view returns (bytes memory) {
        return kind == Kind.SIGNATURE ? abi.encodePacked(moduleEntity, asGlobal) : bytes("");
    }

    /// @notice Builds a signed operation of the owner.
    function ownerOp(bytes memory callData) internal view returns (PackedUserOperation memory op) {
        op = buildUserOp(callData, nonceKey(0, OWNER_ENTITY, AS_GLOBAL));
        signAsOwner(op);
    }

    function signAsOwner(PackedUserOperation memory op) internal view {
        bytes memory prefix = selectionPrefix(entity(address(ownerModule), OWNER_ENTITY), true);
        op.signature = abi.encodePacked(prefix, hex"ff00", signatureOf(op, owner));
    }

    /// @notice Signs with a key of an `EcdsaValidationModule`, without segments.
    function sign(PackedUserOperation memory op, Vm.Wallet memory signer) internal view {
        op.signature = abi.encodePacked(hex"ff00", signatureOf(op, signer));
    }

    /// @notice The outcome of one operation in `handleOps`.
    struct Outcome {
        bool success;
        // The operation's revert data, up to 2,048 bytes.
        bytes reason;
    }

    /// @notice Sends one operation as a bundle, which must be included.
    function send(PackedUserOperation memory op) internal returns (Outcome memory) {
        PackedUserOperation[] memory ops = new PackedUserOperation[](1);
        ops[0] = op;
        return sendBundle(ops)[0];
    }

    function sendBundle(PackedUserOperation memory first, PackedUserOperation memory second)
        internal
        returns (Outcome[] memory)
    {
        PackedUserOperation[] memory ops = new PackedUserOperation[](2);
        (ops[0], ops[1]) = (first, second);
        return sendBundle(ops);
    }

    /// @notice Sends operations as one bundle, which must be included. Consumes all events; `lastLogs` keeps them.
    function sendBundle(PackedUserOperation[] memory ops) internal returns (Outcome[] memory outcomes) {
        vm.recordLogs();
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        delete lastLogs;
        outcomes = new Outcome[](ops.length);
        uint256 found;
        for (uint256 i = 0; i < logs.length; ++i) {
            lastLogs.push(logs[i]);
            if (logs[i].emitter != address(ENTRY_POINT)) continue;
            if (logs[i].topics[0] == IEntryPointV07.UserOperationRevertReason.selector) {
                (, outcomes[found].reason) = abi.decode(logs[i].data, (uint256, bytes));
            } else if (logs[i].topics[0] == IEntryPointV07.UserOperationEvent.selector) {
                (, outcomes[found++].success,,) = abi.decode(logs[i].data, (uint256, bool, uint256, uint256));
            }
        }
        assertEq(found, ops.length, "operations included");
    }

    /// @dev Events of the last bundle.
    Vm.Log[] internal lastLogs;

    /// @notice Sends an operation whose call must succeed.
    function passes(PackedUserOperation memory op) internal {
        Outcome memory outcome = send(op);
        assertTrue(outcome.success, string.concat("reverted: ", vm.toString(outcome.reason)));
    }

    /// @notice Sends an operation that must be included, and whose call must revert with exactly this.
    function refusedInExecution(PackedUserOperation memory op, bytes memory reason) internal {
        Outcome memory outcome = send(op);
        assertFalse(outcome.success, "the call succeeded");
        assertEq(outcome.reason, reason, "revert reason");
    }

    /// @notice Sends an operation that the account must refuse in validation, by reverting with exactly this.
    function refusedInValidation(PackedUserOperation memory op, bytes memory reason) internal {
        assertEq(
            refusal(op),
            abi.encodeWithSelector(IEntryPointV07.FailedOpWithRevert.selector, 0, "AA23 reverted", reason),
            "revert of handleOps"
        );
    }

    /// @notice Sends an operation that the EntryPoint must refuse for this reason, which begins with an AAxx code.
    function refusedByEntryPoint(PackedUserOperation memory op, string memory reason) internal {
        assertEq(
            refusal(op), abi.encodeWithSelector(IEntryPointV07.FailedOp.selector, 0, reason), "revert of handleOps"
        );
    }

    /// @notice Returns the revert data of `handleOps`.
    function refusal(PackedUserOperation memory op) internal returns (bytes memory reason) {
        PackedUserOperation[] memory ops = new PackedUserOperation[](1);
        ops[0] = op;
        bytes memory callData = abi.encodeCall(IEntryPointV07.handleOps, (ops, beneficiary));
        bool success;
        vm.prank(bundler, bundler);
        (success, reason) = address(ENTRY_POINT).call(callData);
        assertFalse(success, "the bundle was included");
    }

    /// @notice Validates an operation as the EntryPoint; keeps state changes.
    function validate(PackedUserOperation memory op) internal returns (uint256 validationData) {
        bytes memory callData = abi.encodeCall(IAccountV07.validateUserOp, (op, ENTRY_POINT.getUserOpHash(op), 0));
        vm.prank(address(ENTRY_POINT));
        (bool success, bytes memory answer) = op.sender.call(callData);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return abi.decode(answer, (uint256));
    }

    /// @notice Packs validation data: bits 0 to 159 authorizer, 160 to 207 validUntil, 208 to 255 validAfter.
    function packValidationData(uint160 authorizer, uint48 validUntil, uint48 validAfter)
        internal
        pure
        returns (uint256)
    {
        return authorizer | uint256(validUntil) << 160 | uint256(validAfter) << 208;
    }

    /* Deferred actions */

    /// @notice Returns the hash that the owner signs for a self-call before the operation with this nonce.
    function deferredHash(uint256 nonce, uint48 deadline, bytes memory action) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(uint256 chainId,address verifyingContract)"), block.chainid, address(account)
            )
        );
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("DeferredAction(uint256 nonce,uint48 deadline,bytes call)"),
                nonce,
                deadline,
                keccak256(action)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    /// @notice Returns the owner's part of the signature of an operation with a deferred action.
    function deferred(uint256 nonce, uint48 deadline, bytes memory action) internal view returns (bytes memory) {
        bytes32 hash = deferredHash(nonce, deadline, action);
        if (kind == Kind.MODULAR) hash = ownerModule.replaySafeHash(address(account), hash);
        return encodeDeferred(ownerLocator(), deadline, action, abi.encodePacked(hex"00", ecdsa(hash, owner)));
    }

    function ownerLocator() internal pure returns (uint168) {
        return uint168(OWNER_ENTITY) << 8 | AS_GLOBAL;
    }

    function encodeDeferred(uint168 locator, uint48 deadline, bytes memory action, bytes memory signature)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            uint32(27 + action.length), locator, deadline, action, uint32(signature.length), signature
        );
    }

    /* Runtime calls */

    /// @notice Makes a runtime call as the owner, which must succeed.
    function callAsOwner(bytes memory data) internal returns (bytes memory) {
        (bool success, bytes memory answer) = tryAsOwner(data);
        if (!success) LowLevelCall.bubbleRevert(answer);
        return abi.decode(answer, (bytes));
    }

    /// @notice Makes a runtime call as the owner, which must revert with exactly this.
    function refusedToOwner(bytes memory data, bytes memory reason) internal {
        (bool success, bytes memory answer) = tryAsOwner(data);
        assertFalse(success, "the call succeeded");
        assertEq(answer, reason, "revert reason");
    }

    function tryAsOwner(bytes memory data) private returns (bool, bytes memory) {
        bytes memory authorization =
            abi.encodePacked(authorizationOf(entity(address(ownerModule), OWNER_ENTITY), true), hex"ff");
        return callFrom(owner.addr, abi.encodeCall(IAccountV08.executeWithRuntimeValidation, (data, authorization)));
    }

    /// @notice Returns the prefix of a runtime authorization that selects a validation.
    function authorizationOf(bytes24 moduleEntity, bool asGlobal) internal view returns (bytes memory) {
        if (kind == Kind.SIGNATURE) return abi.encodePacked(moduleEntity, asGlobal);
        uint32 entityId = uint32(uint192(moduleEntity));
        if (entityId == DIRECT_CALL) {
            return abi.encodePacked(AS_DIRECT_CALL | (asGlobal ? 1 : 0), bytes20(moduleEntity));
        }
        return abi.encodePacked(asGlobal ? AS_GLOBAL : 0, entityId);
    }

    /// @notice Calls the account directly.
    function callFrom(address caller, bytes memory data) internal returns (bool success, bytes memory answer) {
        vm.prank(caller, caller);
        (success, answer) = address(account).call(data);
    }

    /// @notice Calls the account directly; the call must revert with exactly this.
    function refusedTo(address caller, bytes memory data, bytes memory reason) internal {
        (bool success, bytes memory answer) = callFrom(caller, data);
        assertFalse(success, "the call succeeded");
        assertEq(answer, reason, "revert reason");
    }

    /* Revert data */

    function err(bytes4 selector) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector);
    }

    function err(bytes4 selector, bytes4 argument) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, argument);
    }

    function err(bytes4 selector, address argument) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, argument);
    }

    function errOf(bytes4 selector, bytes24 argument) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, argument);
    }

    /// @notice Returns the account's error that wraps a module's revert.
    function err(bytes4 wrapper, bytes24 moduleEntity, bytes memory reason) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(wrapper, moduleEntity, reason);
    }
}
