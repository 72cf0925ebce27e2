// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IValidationModule} from "../../../src/interfaces/IModule.sol";
import {IValidationHookModule} from "../interfaces/IHookModules.sol";
import {listOf} from "../../utils/ListLiterals.sol";
import {AccountRulesTest} from "../utils/AccountRulesTest.sol";

/// @notice Signatures of the account (ERC-1271) by its validations.
abstract contract SignaturesTest is AccountRulesTest {
    bytes32 private constant HASH = keccak256("hash");
    bytes4 private constant GOOD = 0x1626ba7e;

    /// @dev Selects the validation: options or module, entity id.
    function _name() internal view virtual returns (bytes memory) {
        return abi.encodePacked(uint8(0), ENTITY);
    }

    function _signature(bytes memory rest) internal view returns (bytes memory) {
        return abi.encodePacked(_name(), rest);
    }

    function _answer() private {
        mock.answer(IValidationModule.validateSignature.selector, abi.encode(GOOD));
    }

    function test_signature_isTheModulesAnswer() public {
        install(SIGNATURE, none());
        assertEq(account.isValidSignature(HASH, _signature(hex"ff")), bytes4(0xffffffff));
        _answer();
        vm.expectCall(
            address(mock),
            abi.encodeCall(IValidationModule.validateSignature, (address(account), ENTITY, address(this), HASH, "part"))
        );
        assertEq(account.isValidSignature(HASH, _signature(abi.encodePacked(hex"ff", "part"))), GOOD);
    }

    function test_signature_needsTheFlag() public {
        install(USER_OP | GLOBAL, selectors(EXECUTE));
        _answer();
        vm.expectRevert(abi.encodeWithSelector(IAccountV08.SignatureValidationInvalid.selector, mockEntity()));
        account.isValidSignature(HASH, _signature(hex"ff"));
    }

    function test_hooks_areAskedWithTheirSegments() public {
        install(SIGNATURE, none(), listOf(validationHook(11)));
        _answer();
        bytes memory signature = _signature(abi.encodePacked(hex"00", uint32(3), "seg", hex"ff", "part"));
        vm.expectCall(
            address(other),
            abi.encodeCall(IValidationHookModule.preSignatureValidationHook, (11, address(this), HASH, "seg"))
        );
        assertEq(account.isValidSignature(HASH, signature), GOOD);
        other.refuse(IValidationHookModule.preSignatureValidationHook.selector, "why");
        vm.expectRevert(err(IAccountV08.PreSignatureValidationHookReverted.selector, entity(address(other), 11), "why"));
        account.isValidSignature(HASH, signature);
    }

    function test_modulesRevert_isWrapped() public {
        install(SIGNATURE, none());
        mock.refuse(IValidationModule.validateSignature.selector, "why");
        vm.expectRevert(err(IAccountV08.SignatureValidationFunctionReverted.selector, mockEntity(), "why"));
        account.isValidSignature(HASH, _signature(hex"ff"));
    }

    function test_modulesAnswer_isFourBytes() public {
        install(SIGNATURE, none());
        mock.answer(IValidationModule.validateSignature.selector, abi.encode(uint256(bytes32(GOOD)) | 1));
        vm.expectRevert(bytes(""));
        account.isValidSignature(HASH, _signature(hex"ff"));
        mock.answer(IValidationModule.validateSignature.selector, abi.encodePacked(GOOD));
        vm.expectRevert(bytes(""));
        account.isValidSignature(HASH, _signature(hex"ff"));
    }
}

contract SignaturesOfSemiModularAccountTest is SignaturesTest {
    /// @dev The global option does not matter.
    function _name() internal pure override returns (bytes memory) {
        return abi.encodePacked(AS_GLOBAL, ENTITY);
    }
}

contract SignaturesOfModularAccountTest is SignaturesTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.MODULAR;
    }
}

contract SignaturesOfSignatureAccountTest is SignaturesTest {
    function kindOfAccount() internal pure override returns (Kind) {
        return Kind.SIGNATURE;
    }

    function _name() internal view override returns (bytes memory) {
        return abi.encodePacked(mockEntity());
    }
}
