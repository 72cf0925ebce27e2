// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/interfaces/IERC1271.sol";
import {Vm} from "forge-std/Vm.sol";

import {AccountFactory} from "../accounts/AccountFactory.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {EcdsaValidationModule} from "../modules/EcdsaValidationModule.sol";
import {MockModule} from "../modules/MockModule.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice These accounts accept what a deployed Modular Account v2 accepted, byte for byte and at the same addresses,
/// and return the same. See contracts/test/v08/golden/README.md.
contract GoldenOperationsTest is AccountRulesTest {
    address private constant MODULAR = 0x00000000000002377B26b1EdA7b0BC371C60DD4f;
    address private constant SEMI_MODULAR = 0x000000000000c5A9089039570Dd36455b5C07383;
    address private constant SINGLE_SIGNER = 0x00000000000099DE0BF6fA90dEB851E2A2df7d83;
    address private constant NATIVE_LIMIT = 0x00000000000001e541f0D090868FBe24b59Fbe06;
    address private constant ALLOWLIST = 0x00000000003e826473A313E600b5b9B791f5a59a;
    address private constant TIME_RANGE = 0x00000000000082B8e2012be914dFA4f62A0573eA;

    string private json;
    IAccountV08 private modular;
    Vm.Wallet private sessionKey;

    /// @dev The tests' accounts and modules, at the addresses of the deployed ones.
    function setUp() public override {
        super.setUp();
        json = vm.readFile("contracts/test/v08/golden/operations.json");
        assertEq(block.chainid, vm.parseJsonUint(json, ".chainId"));
        owner = vm.createWallet(uint256(_word(".ownerPrivateKey")));
        sessionKey = vm.createWallet(uint256(_word(".sessionKeyPrivateKey")));

        vm.etch(MODULAR, deployCode("ModuleOwnedAccount.sol:ModuleOwnedAccount").code);
        vm.etch(SEMI_MODULAR, deployCode("SemiModularAccount.sol:SemiModularAccount").code);
        vm.etch(SINGLE_SIGNER, address(new EcdsaValidationModule()).code);
        vm.etch(NATIVE_LIMIT, address(mock).code);
        vm.etch(ALLOWLIST, address(mock).code);
        vm.etch(TIME_RANGE, address(mock).code);
        AccountFactory deployedFactory = AccountFactory(_address(".factory"));
        vm.etch(address(deployedFactory), address(new AccountFactory(MODULAR, SEMI_MODULAR, SINGLE_SIGNER)).code);

        account = IAccountV08(payable(deployedFactory.createSemiModularAccount(owner.addr, 0)));
        modular = IAccountV08(payable(deployedFactory.createAccount(owner.addr, 0, 0)));
        ownerModule = EcdsaValidationModule(SINGLE_SIGNER);
        fund(address(account));
        fund(address(modular));
    }

    function test_accountAddressesMatch() public view {
        assertEq(address(account), _address(".sma_owner_salt0"));
        assertEq(address(modular), _address(".ma_owner_salt0_entity0"));
        assertEq(owner.addr, _address(".owner"));
        assertEq(sessionKey.addr, _address(".sessionKey"));
        assertEq(address(ENTRY_POINT), _address(".entryPoint"));
    }

    function test_operationHashesMatch() public view {
        assertEq(ENTRY_POINT.getUserOpHash(_op(".op_owner_sma_installs")), _word(".op_owner_sma_installs.userOpHash"));
        assertEq(ENTRY_POINT.getUserOpHash(_op(".op_key_execute")), _word(".op_key_execute.userOpHash"));
        string memory third = ".op_key_deferred_install_and_use";
        assertEq(ENTRY_POINT.getUserOpHash(_op(third)), _word(string.concat(third, ".userOpHash")));
    }

    /// @dev The harness builds the same operations as those recorded from the chain.
    function test_builtOperationsMatch() public view {
        PackedUserOperation memory expected = _op(".op_owner_sma_installs");
        PackedUserOperation memory built = ownerOp(_bytes(".installValidation_calldata"));
        built.accountGasLimits = expected.accountGasLimits;
        signAsOwner(built);
        assertEq(abi.encode(built), abi.encode(expected));

        expected = _op(".op_key_execute");
        built = buildUserOp(expected.callData, nonceKey(0x0102, 5, 0));
        built.accountGasLimits = expected.accountGasLimits;
        sign(built, sessionKey);
        assertEq(abi.encode(built), abi.encode(expected));
    }

    function test_builtInstallationsMatch() public view {
        bytes[] memory hooks = new bytes[](3);
        hooks[0] = _bytes(".hook_native_exec_pre_entity5");
        hooks[1] = _bytes(".hook_allowlist_validation_entity5");
        hooks[2] = _bytes(".hook_timeRange_validation_entity5");
        bytes memory built = installCall(
            validation(SINGLE_SIGNER, 5, USER_OP), selectors(EXECUTE, BATCH), abi.encode(5, sessionKey.addr), hooks
        );
        assertEq(built, _bytes(".installValidation_calldata"));
        assertEq(uninstallCall(entity(SINGLE_SIGNER, 5), abi.encode(5)), _bytes(".uninstallValidation_calldata"));
    }

    function test_builtDeferredActionMatches() public view {
        uint256 nonce = _op(".op_key_deferred_install_and_use").nonce;
        uint48 deadline = uint48(vm.parseJsonUint(json, ".deferred_deadline"));
        bytes memory action = _bytes(".deferred_call");
        assertEq(deferredHash(nonce, deadline, action), _word(".deferred_typedDataHash"));
        assertEq(deferred(nonce, deadline, action), _bytes(".deferred_prefix"));
    }

    function test_ownersOperationInstalls_andTheKeysOperationRuns() public {
        passes(_op(".op_owner_sma_installs"));
        assertEq(_callbackOf(NATIVE_LIMIT), _withoutConfig(".hook_native_exec_pre_entity5"));
        assertEq(_callbackOf(ALLOWLIST), _withoutConfig(".hook_allowlist_validation_entity5"));
        assertEq(_callbackOf(TIME_RANGE), _withoutConfig(".hook_timeRange_validation_entity5"));

        PackedUserOperation memory op = _op(".op_key_execute");
        passes(op);
        ModuleCall[] memory calls = moduleCalls();
        assertCall(
            calls[2],
            MockModule(payable(NATIVE_LIMIT)),
            preExecution(5, address(ENTRY_POINT), 0, _bytes(".hook_data_seen_by_exec_hook"))
        );
        assertEq(address(0x0111100000000000000000000000000000000000).balance, 1);

        callAsOwner(_bytes(".uninstallValidation_calldata"));
        assertEq(account.getValidationData(entity(SINGLE_SIGNER, 5)).flags, 0);
        assertEq(ownerModule.signers(5, address(account)), address(0));
    }

    /// @dev The recorded answer is for a validation with another order of hooks.
    function test_getValidationData_matches() public {
        bytes[] memory hooks = new bytes[](3);
        hooks[0] = _bytes(".hook_allowlist_validation_entity5");
        hooks[1] = _bytes(".hook_timeRange_validation_entity5");
        hooks[2] = _bytes(".hook_native_exec_pre_entity5");
        callAsOwner(
            installCall(
                validation(SINGLE_SIGNER, 5, USER_OP), selectors(EXECUTE, BATCH), abi.encode(5, sessionKey.addr), hooks
            )
        );
        (, bytes memory answer) =
            address(account).staticcall(abi.encodeCall(IAccountV08.getValidationData, (entity(SINGLE_SIGNER, 5))));
        assertEq(answer, _bytes(".getValidationData_return"));
    }

    function test_keysOperation_installsByDeferredActionAndRuns() public {
        passes(_op(".op_key_deferred_install_and_use"));
        assertEq(ownerModule.signers(6, address(account)), sessionKey.addr);
        assertEq(account.getValidationData(entity(SINGLE_SIGNER, 6)).executionHooks.length, 1);
    }

    function test_ownersSignaturesAreValid() public view {
        bytes32 hash = _word(".erc1271_hash");
        bytes4 good = IERC1271.isValidSignature.selector;
        assertEq(account.isValidSignature(hash, _bytes(".erc1271_sma_signature")), good);
        assertEq(modular.isValidSignature(hash, _bytes(".erc1271_ma_signature")), good);
        assertEq(ownerModule.replaySafeHash(address(modular), hash), _word(".erc1271_ma_replaySafeHash"));
        assertNotEq(account.isValidSignature(hash, _bytes(".erc1271_ma_signature")), good);
        assertNotEq(modular.isValidSignature(hash, _bytes(".erc1271_sma_signature")), good);
    }

    /* Reading the vectors */

    function _op(string memory path) private view returns (PackedUserOperation memory op) {
        op.sender = _address(string.concat(path, ".sender"));
        op.nonce = uint256(_word(string.concat(path, ".nonce")));
        op.callData = _bytes(string.concat(path, ".callData"));
        op.accountGasLimits = _word(string.concat(path, ".accountGasLimits"));
        op.preVerificationGas = vm.parseJsonUint(json, string.concat(path, ".preVerificationGas"));
        op.gasFees = _word(string.concat(path, ".gasFees"));
        op.paymasterAndData = _bytes(string.concat(path, ".paymasterAndData"));
        op.signature = _bytes(string.concat(path, ".signature"));
    }

    function _word(string memory path) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, path);
    }

    function _bytes(string memory path) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, path);
    }

    function _address(string memory path) private view returns (address) {
        return vm.parseJsonAddress(json, path);
    }

    /// @dev Returns the call of a hook's `onInstall`, with the data after the hook's configuration.
    function _withoutConfig(string memory path) private view returns (bytes memory) {
        return abi.encodeCall(IModule.onInstall, (this.tail(_bytes(path))));
    }

    function tail(bytes calldata data) external pure returns (bytes memory) {
        return data[25:];
    }

    function _callbackOf(address module) private view returns (bytes memory) {
        ModuleCall[] memory calls = moduleCalls();
        for (uint256 i = 0; i < calls.length; ++i) {
            if (calls[i].module == module) return calls[i].data;
        }
        revert("no callback");
    }
}
