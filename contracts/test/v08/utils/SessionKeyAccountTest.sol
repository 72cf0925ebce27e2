// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {ExecutionManifest, IExecutionModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ISessionKeyPlugin} from "../../../src/interfaces/ISessionKeyPlugin.sol";
import {PingTarget} from "../../mocks/PingTarget.sol";
import {TestToken} from "../../mocks/TestToken.sol";
import {call, listOf} from "../../utils/ListLiterals.sol";
import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {AccountV08Test} from "./AccountV08Test.sol";

/// @notice The session key module on an account, installed by the owner, with an unregistered session key, and a target
/// and a token to call; and helpers to grant, call and send.
///
/// A test with the modifier `onEveryAccount` runs once for each kind of account.
abstract contract SessionKeyAccountTest is AccountV08Test {
    /// @dev Entity id of the session key module's validation.
    uint32 internal constant ENTITY = 0x80000001;
    uint48 internal constant INTERVAL = 1 days;
    uint256 internal constant NO_LIMIT = type(uint256).max;

    bytes4 internal constant EXECUTE = IAccountV08.execute.selector;
    bytes4 internal constant BATCH = IAccountV08.executeBatch.selector;
    bytes4 internal constant USE = ISessionKeyPlugin.executeWithSessionKey.selector;

    ISessionKeyPlugin internal module;
    PingTarget internal target;
    TestToken internal token;
    Vm.Wallet internal key;
    address internal payee = makeAddr("payee");

    function setUp() public virtual override {
        super.setUp();
        module = ISessionKeyPlugin(deployCode("SessionKeyModule.sol:SessionKeyModule"));
        vm.label(address(module), "module");
        target = new PingTarget();
        token = new TestToken("Test Token", "TEST", 18);
        key = vm.createWallet("session key");
        vm.deal(address(target), 1 ether);
        token.mint(payee, 1 ether);
        token.mint(address(account), 1_000_000 ether);
        installModule(noKeys());
    }

    /* Accounts */

    modifier onEveryAccount() {
        for (uint256 i = 0; i <= uint256(type(Kind).max); ++i) {
            uint256 state = vm.snapshotState();
            useAccount(Kind(i));
            _;
            vm.revertToState(state);
        }
    }

    /// @notice Switches to a new account of this kind, with the module installed.
    function useAccount(Kind ofKind) internal {
        kind = ofKind;
        account = createAccount(ofKind);
        vm.label(
            address(account),
            ["modular", "semi-modular", "delegated", "earlier delegated", "signature"][uint256(ofKind)]
        );
        token.mint(address(account), 1_000_000 ether);
        installModule(noKeys());
    }

    /* Installation */

    function manifest() internal view returns (ExecutionManifest memory) {
        return IExecutionModule(address(module)).executionManifest();
    }

    /// @notice Returns the three parts of an installation, as self-calls.
    function installCalls(bytes memory installData) internal view returns (bytes[] memory) {
        return listOf(
            installExecutionCall(address(module), manifest(), installData),
            installCall(validation(address(module), ENTITY, USER_OP), selectors(USE)),
            installCall(validation(address(module), DIRECT_CALL, 0), selectors(EXECUTE, BATCH))
        );
    }

    /// @notice Returns the three parts of a removal that ends all keys.
    function uninstallCalls() internal view returns (bytes[] memory) {
        return listOf(
            uninstallCall(entity(address(module), ENTITY), hex"01"),
            uninstallExecutionCall(address(module), manifest(), hex"01"),
            uninstallCall(entity(address(module), DIRECT_CALL), "")
        );
    }

    /// @notice Like `uninstallCalls`, without callbacks: the module is not called.
    function silentUninstallCalls() internal view returns (bytes[] memory) {
        return listOf(
            uninstallCall(entity(address(module), ENTITY), ""),
            uninstallExecutionCall(address(module), manifest(), ""),
            uninstallCall(entity(address(module), DIRECT_CALL), "")
        );
    }

    function installModule(bytes memory installData) internal {
        passes(ownerOp(selfCalls(installCalls(installData))));
    }

    function uninstallModule() internal {
        passes(ownerOp(selfCalls(uninstallCalls())));
    }

    /// @notice Returns install data without keys.
    function noKeys() internal pure returns (bytes memory) {
        return abi.encode(new address[](0), new bytes32[](0), new bytes[][](0));
    }

    /// @notice Returns install data with the session key.
    function oneKey(bytes[] memory updates) internal view returns (bytes memory) {
        bytes[][] memory updatesOfKeys = new bytes[][](1);
        updatesOfKeys[0] = updates;
        return abi.encode(listOf(key.addr), new bytes32[](1), updatesOfKeys);
    }

    /* Management, by the owner in a runtime call */

    function addCall(address sessionKey, bytes[] memory updates) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPlugin.addSessionKey, (sessionKey, bytes32("tag"), updates));
    }

    function removeCall() internal view returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key.addr, 0));
    }

    function updateCall(bytes memory change) internal view returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, listOf(change)));
    }

    /// @notice Registers the session key.
    function grant(bytes[] memory updates) internal {
        callAsOwner(addCall(key.addr, updates));
    }

    function update(bytes memory change) internal {
        callAsOwner(updateCall(change));
    }

    /* Operations of session keys */

    function useCall(Call[] memory calls) internal view returns (bytes memory) {
        return useCall(calls, key.addr);
    }

    function useCall(Call[] memory calls, address sessionKey) internal pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, sessionKey));
    }

    /// @notice Returns a session key's lane.
    function laneOf(address sessionKey) internal pure returns (uint152) {
        return uint152(uint160(sessionKey));
    }

    /// @notice Builds a signed operation of the session key, in its own lane.
    function keyOp(Call[] memory calls) internal view returns (PackedUserOperation memory) {
        return keyOp(useCall(calls), nonceKey(laneOf(key.addr), ENTITY, 0));
    }

    function keyOp(bytes memory callData, uint192 ofNonceKey) internal view returns (PackedUserOperation memory op) {
        op = buildUserOp(callData, ofNonceKey);
        signAsKey(op);
    }

    function signAsKey(PackedUserOperation memory op) internal view {
        op.signature = abi.encodePacked(keyPrefix(), signatureOf(op, key));
    }

    /// @notice Returns the part of a signature before the module's: no segments.
    function keyPrefix() internal view returns (bytes memory) {
        return abi.encodePacked(selectionPrefix(entity(address(module), ENTITY), false), hex"ff");
    }

    /// @notice Sends calls of the session key, which must run.
    function runs(Call[] memory calls) internal {
        passes(keyOp(calls));
    }

    /// @notice Sends calls of the session key, which the module must refuse in validation.
    function refusesToValidate(Call[] memory calls) internal {
        refusesToValidate(keyOp(calls), denied());
    }

    function refusesToValidate(PackedUserOperation memory op, bytes memory reason) internal {
        refusedInValidation(
            op, err(IAccountV08.UserOpValidationFunctionReverted.selector, entity(address(module), ENTITY), reason)
        );
    }

    /// @notice Sends calls of the session key, which must be included and revert with exactly this.
    function refusesToRun(Call[] memory calls, bytes memory reason) internal {
        refusedInExecution(keyOp(calls), reason);
    }

    /// @notice Sends the session key's calls after an owner's operation in the same bundle; they must revert with
    /// exactly this.
    function refusedAfter(bytes memory ownersCall, Call[] memory calls, bytes memory reason) internal {
        Outcome[] memory outcomes = sendBundle(ownerOp(ownersCall), keyOp(calls));
        assertTrue(outcomes[0].success, "the owner's operation");
        assertFalse(outcomes[1].success, "the key's operation");
        assertEq(outcomes[1].reason, reason, "revert reason");
    }

    /* Reasons */

    function denied() internal pure returns (bytes memory) {
        return err(ISessionKeyPlugin.PermissionsCheckFailed.selector);
    }

    function keyIsGone() internal view returns (bytes memory) {
        return err(ISessionKeyPlugin.InvalidSessionKey.selector, key.addr);
    }

    function overNativeLimit() internal view returns (bytes memory) {
        return
            abi.encodeWithSelector(ISessionKeyPlugin.NativeTokenSpendLimitExceeded.selector, address(account), key.addr);
    }

    function overTokenLimit() internal view returns (bytes memory) {
        return abi.encodeWithSelector(
            ISessionKeyPlugin.ERC20SpendLimitExceeded.selector, address(account), key.addr, address(token)
        );
    }

    /* Calls */

    function ping() internal view returns (Call[] memory) {
        return ping(0);
    }

    function ping(uint256 value) internal view returns (Call[] memory) {
        return call(address(target), value, abi.encodeCall(PingTarget.ping, (1)));
    }

    function transfer(uint256 amount) internal view returns (Call[] memory) {
        return call(address(token), 0, abi.encodeCall(TestToken.transfer, (payee, amount)));
    }
}
