// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {IAccountV08, ISemiModularAccount} from "../../../src/interfaces/IAccountV08.sol";
import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ContractOwner} from "../../mocks/ContractOwner.sol";
import {OtherImplementation} from "../../mocks/OtherImplementation.sol";
import {listOf} from "../../utils/ListLiterals.sol";
import {EcdsaValidationModule} from "../modules/EcdsaValidationModule.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice The owner without a module: validation 0 of semi-modular accounts.
abstract contract FallbackSignerTest is AccountRulesTest {
    ISemiModularAccount internal semi;
    Vm.Wallet internal second;

    function setUp() public virtual override {
        super.setUp();
        semi = ISemiModularAccount(payable(address(account)));
        second = vm.createWallet("second");
    }

    function _updateCall(address signer, bool isDisabled) internal pure returns (bytes memory) {
        return abi.encodeCall(ISemiModularAccount.updateFallbackSignerData, (signer, isDisabled));
    }

    function test_signer_isReplaced() public {
        (address signer, bool isDisabled) = semi.getFallbackSignerData();
        assertEq(signer, owner.addr);
        assertFalse(isDisabled);
        passes(ownerOp(_updateCall(second.addr, false)));
        refusedByEntryPoint(ownerOp(increment()), "AA24 signature error");
        PackedUserOperation memory op = buildUserOp(increment(), AS_GLOBAL);
        sign(op, second);
        passes(op);
        bytes32 slot = 0x5b9dc9aa943f8fa2653ceceda5e3798f0686455280432166ba472eca0bc17a32;
        assertEq(uint256(vm.load(address(account), slot)), uint160(second.addr));
    }

    function test_disabledSigner_doesNothing() public {
        install(USER_OP | GLOBAL, none());
        passes(ownerOp(_updateCall(owner.addr, true)));
        bytes memory reason = err(ISemiModularAccount.FallbackSignerDisabled.selector);
        refusedInValidation(ownerOp(increment()), reason);
        refusedToOwner(increment(), reason);
        bytes32 slot = 0x5b9dc9aa943f8fa2653ceceda5e3798f0686455280432166ba472eca0bc17a32;
        assertEq(uint256(vm.load(address(account), slot)), uint256(1) << 160 | uint160(owner.addr));
        // Another validation can enable it again.
        passes(mockOp(_updateCall(owner.addr, false), AS_GLOBAL));
        passes(ownerOp(increment()));
    }

    function test_storedFlags_areIgnored() public {
        callAsOwner(installCall(validation(address(0), 0, 0), none()));
        passes(ownerOp(increment()));
        PackedUserOperation memory op = buildUserOp(increment(), 0);
        sign(op, owner);
        refusedInValidation(op, err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
        callAsOwner(installCall(validation(address(0), 0, 0), selectors(EXECUTE)));
        passes(op);
    }

    function test_hooks_areAttachedToIt() public {
        bytes[] memory hooks = listOf(executionHook(1, PRE_HOOK));
        callAsOwner(installCall(validation(address(0), 0, 0), none(), "", hooks));
        refusedInValidation(ownerOp(increment()), err(IAccountV08.RequireUserOperationContext.selector));
        passes(ownerOp(wrapped(increment())));
        assertEq(moduleCalls().length, 1);
    }

    function test_nothingElse_canBeInstalledAsValidation0() public {
        refusedToOwner(
            installCall(validation(address(mock), 0, USER_OP), selectors(EXECUTE)),
            err(ISemiModularAccount.FallbackValidationInstallationNotAllowed.selector)
        );
    }

    function test_unknownTypeOfSignature_isRefused() public {
        PackedUserOperation memory op = ownerOp(increment());
        op.signature[1] = 0x02;
        refusedInValidation(op, err(ISemiModularAccount.InvalidSignatureType.selector));
    }

    function test_runtimeValidation_isForTheSigner() public {
        bytes memory callData =
            abi.encodeCall(IAccountV08.executeWithRuntimeValidation, (increment(), hex"0100000000ff"));
        refusedTo(stranger, callData, err(ISemiModularAccount.FallbackSignerMismatch.selector));
    }
}

contract FallbackSignerOfSemiModularAccountTest is FallbackSignerTest {
    function test_signer_mayCallDirectly() public {
        (bool success,) = callFrom(owner.addr, increment());
        assertTrue(success);
        (success,) = callFrom(owner.addr, installCall(validation(address(mock), ENTITY, USER_OP), none()));
        assertTrue(success);
        refusedTo(
            owner.addr, executeCall(address(account), 0, ""), err(IAccountV08.SelfCallRecursionDepthExceeded.selector)
        );
        callAsOwner(_updateCall(owner.addr, true));
        refusedTo(owner.addr, increment(), err(IAccountV08.ValidationFunctionMissing.selector, EXECUTE));
    }

    function test_contract_signsByType1() public {
        ContractOwner contractOwner = new ContractOwner();
        bytes memory signature = abi.encode("of the contract");
        callAsOwner(_updateCall(address(contractOwner), false));
        PackedUserOperation memory op = buildUserOp(increment(), AS_GLOBAL);
        op.signature = abi.encodePacked(hex"ff01", signature);
        refusedByEntryPoint(op, "AA24 signature error");
        vm.mockCall(
            address(contractOwner),
            abi.encodeWithSelector(0x1626ba7e, ENTRY_POINT.getUserOpHash(op), signature),
            abi.encode(bytes4(0x1626ba7e))
        );
        passes(op);
    }

    function test_owner_upgrades() public {
        address implementation = address(new OtherImplementation());
        refusedTo(
            stranger,
            abi.encodeCall(IAccountV08.upgradeToAndCall, (implementation, "")),
            err(IAccountV08.ValidationFunctionMissing.selector, IAccountV08.upgradeToAndCall.selector)
        );
        bytes memory callData = abi.encodeCall(IAccountV08.upgradeToAndCall, (address(counter), ""));
        refusedToOwner(callData, err(IAccountV08.NotAnImplementation.selector, address(counter)));
        passes(ownerOp(abi.encodeCall(IAccountV08.upgradeToAndCall, (implementation, ""))));
        bytes32 slot = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
        assertEq(uint256(vm.load(address(account), slot)), uint160(implementation));
    }

    /// @dev In one operation with `initCode`.
    function test_operation_createsItsAccount() public {
        PackedUserOperation memory op;
        address created = factory.getAddressSemiModular(owner.addr, 7);
        account = IAccountV08(payable(created));
        op = buildUserOp(increment(), AS_GLOBAL);
        op.initCode = abi.encodePacked(factory, abi.encodeCall(factory.createSemiModularAccount, (owner.addr, 7)));
        signAsOwner(op);
        vm.deal(created, 1 ether);
        passes(op);
        assertEq(counter.lastCaller(), created);
    }
}

/// @notice Accounts at their key's own address.
contract FallbackSignerOfDelegatedAccountTest is FallbackSignerTest {
    bytes4 private constant RUNTIME = IAccountV08.executeWithRuntimeValidation.selector;

    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.DELEGATED;
    }

    function test_account_isItsOwnSigner() public view {
        assertEq(address(account), owner.addr);
    }

    function test_keysOwnTransaction_isASelfCall() public {
        (bool success,) = callFrom(owner.addr, increment());
        assertTrue(success);
        // Even one of the account to itself: nothing is validated.
        (success,) = callFrom(owner.addr, executeCall(address(account), 0, increment()));
        assertTrue(success);
        assertEq(counter.count(), 2);
    }

    function test_account_isNotUpgraded() public {
        refusedToOwner(
            abi.encodeCall(IAccountV08.upgradeToAndCall, (address(mock), "")),
            err(ISemiModularAccount.UpgradeNotAllowed.selector)
        );
    }

    function _installKey(uint8 flags, bytes4[] memory list) private {
        callAsOwner(
            installCall(
                validation(address(ownerModule), ENTITY, flags), list, abi.encode(ENTITY, second.addr), new bytes[](0)
            )
        );
    }

    /// @dev Builds an owner's operation with the account's own contract signature, by a validation that may sign for
    /// it.
    function _opSignedByTheAccount() private view returns (PackedUserOperation memory op) {
        op = buildUserOp(increment(), AS_GLOBAL);
        bytes32 hash = ownerModule.replaySafeHash(address(account), ENTRY_POINT.getUserOpHash(op));
        bytes memory inner = abi.encodePacked(uint8(0), ENTITY, hex"ff00", ecdsa(hash, second));
        op.signature = abi.encodePacked(hex"ff01", inner);
    }

    function test_validationThatSigns_hasFullControlOnTheEarlierVersion() public {
        delegate(owner.addr, true);
        _installKey(SIGNATURE, none());
        passes(_opSignedByTheAccount());
    }

    function test_validationThatSigns_hasNoFullControlOnTheLaterVersion() public {
        _installKey(SIGNATURE, none());
        refusedInValidation(_opSignedByTheAccount(), err(ISemiModularAccount.InvalidSignatureType.selector));
    }

    /// @dev On both versions: the account calls itself, and is its own fallback signer.
    function test_validationOfRuntimeValidation_hasFullControl() public {
        for (uint256 i = 0; i < 2; ++i) {
            delegate(owner.addr, i == 0);
            if (i == 0) _installKey(USER_OP, selectors(RUNTIME, BATCH));
            bytes memory asRoot = abi.encodeCall(
                IAccountV08.executeWithRuntimeValidation, (_updateCall(second.addr, i == 0), hex"0100000000ff")
            );
            Call[] memory calls = new Call[](1);
            calls[0] = Call(address(account), 0, asRoot);
            PackedUserOperation memory op = buildUserOp(batchCall(calls), KEY);
            sign(op, second);
            passes(op);
            (address signer,) = semi.getFallbackSignerData();
            assertEq(signer, second.addr);
            vm.prank(address(account));
            semi.updateFallbackSignerData(address(0), false);
        }
    }

    function test_plainSignature_isValidOnTheLaterVersion() public {
        bytes32 hash = keccak256("hash");
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(owner.privateKey, hash);
        bytes memory short = abi.encodePacked(r, uint256(s) | uint256(v - 27) << 255);
        assertEq(account.isValidSignature(hash, abi.encodePacked(r, s, v)), bytes4(0x1626ba7e));
        assertEq(account.isValidSignature(hash, short), bytes4(0x1626ba7e));
        assertEq(account.isValidSignature(hash, ecdsa(hash, second)), bytes4(0xffffffff));
        delegate(owner.addr, true);
        vm.expectRevert();
        account.isValidSignature(hash, abi.encodePacked(r, s, v));
    }
}
