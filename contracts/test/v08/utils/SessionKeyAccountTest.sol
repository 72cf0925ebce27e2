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

/// @notice The session key module on an account as an owner installs it, a session key that is not registered yet, a target and a
/// token to call; and short ways to grant, call and send.
///
/// A test with the modifier `onEveryAccount` runs once for each kind of account.
abstract contract SessionKeyAccountTest is AccountV08Test {
    /// @dev Of the validation of session keys' operations.
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

    /// @notice Goes on with a new account of some kind, on which the module is installed.
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

    /// @notice The three parts of an installation, as calls of the account to itself.
    function installCalls(bytes memory installData) internal view returns (bytes[] memory) {
        return listOf(
            installExecutionCall(address(module), manifest(), installData),
            installCall(validation(address(module), ENTITY, USER_OP), selectors(USE)),
            installCall(validation(address(module), DIRECT_CALL, 0), selectors(EXECUTE, BATCH))
        );
    }

    /// @notice The three parts of a removal that ends all keys.
    function uninstallCalls() internal view returns (bytes[] memory) {
        return listOf(
            uninstallCall(entity(address(module), ENTITY), hex"01"),
            uninstallExecutionCall(address(module), manifest(), hex"01"),
            uninstallCall(entity(address(module), DIRECT_CALL), "")
        );
    }

    /// @notice The same without callbacks: the module does not hear of it.
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

    /// @notice Install data without keys.
    function noKeys() internal pure returns (bytes memory) {
        return abi.encode(new address[](0), new bytes32[](0), new bytes[][](0));
    }

    /// @notice Install data with the session key.
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

    /// @notice The lane of a session key.
    function laneOf(address sessionKey) internal pure returns (uint152) {
        return uint152(uint160(sessionKey));
    }

    /// @notice A signed operation of the session key, in its own lane.
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

    /// @notice What comes before the module's part of a signature: no segments.
    function keyPrefix() internal view returns (bytes memory) {
        return abi.encodePacked(selectionPrefix(entity(address(module), ENTITY), false), hex"ff");
    }

    /// @notice The session key's calls must run.
    function runs(Call[] memory calls) internal {
        passes(keyOp(calls));
    }

    /// @notice The module must refuse the session key's calls in validation.
    function refusesToValidate(Call[] memory calls) internal {
        refusesToValidate(keyOp(calls), denied());
    }

    function refusesToValidate(PackedUserOperation memory op, bytes memory reason) internal {
        refusedInValidation(
            op, err(IAccountV08.UserOpValidationFunctionReverted.selector, entity(address(module), ENTITY), reason)
        );
    }

    /// @notice The session key's calls must be included, and revert with exactly this.
    function refusesToRun(Call[] memory calls, bytes memory reason) internal {
        refusedInExecution(keyOp(calls), reason);
    }

    /// @notice After an operation of the owner in the same bundle, the session key's must revert with exactly this.
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
