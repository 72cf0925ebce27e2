// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";
import {SignatureChecker} from "@openzeppelin/utils/cryptography/SignatureChecker.sol";
import {LibBytes} from "solady/utils/LibBytes.sol";
import {LibClone} from "solady/utils/LibClone.sol";

import {IAccountV08, ISemiModularAccount} from "../../../src/interfaces/IAccountV08.sol";
import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {NonceAccount} from "./NonceAccount.sol";

/// @notice An account whose owner, the fallback signer, needs no module: validation 0 is built in. The owner is an
/// argument of the proxy until another one is stored.
contract SemiModularAccount is NonceAccount, ISemiModularAccount {
    /// @dev The signer in bits 0 to 159, then the disabled flag.
    struct FallbackSigner {
        address signer;
        bool isDisabled;
    }

    bytes32 private constant FALLBACK_SIGNER = 0x5b9dc9aa943f8fa2653ceceda5e3798f0686455280432166ba472eca0bc17a32;
    bytes32 private constant REPLAY_SAFE_HASH = keccak256("ReplaySafeHash(bytes32 hash)");

    function accountId() external pure virtual returns (string memory) {
        return "session-keys.test-semi-modular-account.1.0.0";
    }

    /* The signer */

    function updateFallbackSignerData(address signer, bool isDisabled) external hooked {
        FallbackSigner storage stored = _stored();
        stored.signer = signer;
        stored.isDisabled = isDisabled;
        emit FallbackSignerUpdated(signer, isDisabled);
    }

    function getFallbackSignerData() external view returns (address, bool) {
        return (_signer(), _stored().isDisabled);
    }

    function _stored() internal pure returns (FallbackSigner storage stored) {
        assembly ("memory-safe") {
            stored.slot := FALLBACK_SIGNER
        }
    }

    function _signer() internal view returns (address signer) {
        signer = _stored().signer;
        if (signer == address(0)) signer = _firstSigner();
    }

    function _firstSigner() internal view virtual returns (address) {
        return address(bytes20(LibClone.argsOnERC1967(address(this))));
    }

    function _enabledSigner() internal view returns (address) {
        if (_stored().isDisabled) revert FallbackSignerDisabled();
        return _signer();
    }

    /* Validation 0: global, for user operations and signatures, whatever flags are stored */

    function _isFallback(Selection memory by) internal pure returns (bool) {
        return by.key == 0;
    }

    function _hasFlag(Selection memory by, uint8 flag) internal view override returns (bool) {
        return _isFallback(by) || super._hasFlag(by, flag);
    }

    function _isNativeAndGlobal(bytes4 selector) internal pure override returns (bool) {
        return super._isNativeAndGlobal(selector) || selector == this.updateFallbackSignerData.selector;
    }

    function _isNative(bytes4 selector) internal pure override returns (bool) {
        return super._isNative(selector) || selector == this.getFallbackSignerData.selector;
    }

    function _selectForCaller(address caller) internal view override returns (Selection memory) {
        if (caller == _signer() && !_stored().isDisabled) return Selection(0, 0, Applies.TO_ALL);
        return super._selectForCaller(caller);
    }

    function _installValidation(
        bytes25 config,
        bytes4[] calldata selectors,
        bytes calldata installData,
        bytes[] calldata hooks
    ) internal override {
        if (_entityIdOf(bytes24(config)) == 0 && bytes20(config) != 0) {
            revert FallbackValidationInstallationNotAllowed();
        }
        super._installValidation(config, selectors, installData, hooks);
    }

    function _askUserOp(Selection memory by, PackedUserOperation memory userOp, bytes32 userOpHash)
        internal
        override
        returns (uint256)
    {
        if (!_isFallback(by)) return super._askUserOp(by, userOp, userOpHash);
        bytes32 signedHash = MessageHashUtils.toEthSignedMessageHash(userOpHash);
        return _isSignedBy(_enabledSigner(), userOpHash, signedHash, userOp.signature) ? 0 : 1;
    }

    function _askRuntime(Selection memory by, bytes calldata data, bytes calldata authorization) internal override {
        if (!_isFallback(by)) return super._askRuntime(by, data, authorization);
        if (msg.sender != _enabledSigner()) revert FallbackSignerMismatch();
    }

    function _askSignature(Selection memory by, bytes32 hash, bytes calldata signature)
        internal
        view
        override
        returns (bytes4)
    {
        if (!_isFallback(by)) return super._askSignature(by, hash, signature);
        return _answerFor(_typedDataHash(keccak256(abi.encode(REPLAY_SAFE_HASH, hash))), signature);
    }

    /// @dev The hash is already the account's own typed data: it is signed as is.
    function _askDeferredSignature(Selection memory by, bytes32 hash, bytes calldata signature)
        internal
        view
        override
        returns (bytes4)
    {
        if (!_isFallback(by)) return super._askDeferredSignature(by, hash, signature);
        return _answerFor(hash, signature);
    }

    function _answerFor(bytes32 hash, bytes memory signature) private view returns (bytes4) {
        bool isGood = _isSignedBy(_enabledSigner(), hash, hash, signature);
        return isGood ? IAccountV08.isValidSignature.selector : bytes4(0xffffffff);
    }

    /// @dev Type (1 byte): 0 is ECDSA over `signedHash`, 1 a contract's signature of `hash`.
    function _isSignedBy(address signer, bytes32 hash, bytes32 signedHash, bytes memory signature)
        private
        view
        returns (bool)
    {
        bytes1 kind = signature[0];
        bytes memory rest = LibBytes.slice(signature, 1);
        if (kind == 0) {
            (address recovered, ECDSA.RecoverError error,) = ECDSA.tryRecover(signedHash, rest);
            return error == ECDSA.RecoverError.NoError && recovered == signer;
        }
        if (kind != 0x01 || !_maySignAsContract(signer)) revert InvalidSignatureType();
        return SignatureChecker.isValidERC1271SignatureNow(signer, hash, rest);
    }

    function _maySignAsContract(address) internal view virtual returns (bool) {
        return true;
    }
}
