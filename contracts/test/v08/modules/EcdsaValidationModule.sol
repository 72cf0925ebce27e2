// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";
import {IERC1271} from "@openzeppelin/interfaces/IERC1271.sol";
import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IModule, IValidationModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";

/// @notice A validation by one signer without code, per entity id and account. Anyone who can act as the account can
/// transfer it to another signer, as in real modules of this kind: a session key must not reach one.
///
/// A signature is its type, 0 (1 byte), followed by an ECDSA signature (65 bytes).
contract EcdsaValidationModule is IValidationModule, IERC165 {
    error NotAuthorized();

    bytes32 private constant DOMAIN = keccak256("EIP712Domain(uint256 chainId,address verifyingContract,bytes32 salt)");
    bytes32 private constant REPLAY_SAFE_HASH = keccak256("ReplaySafeHash(bytes32 hash)");

    mapping(uint32 entityId => mapping(address account => address)) public signers;

    function moduleId() external pure returns (string memory) {
        return "session-keys.test-ecdsa-validation.1.0.0";
    }

    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IModule).interfaceId
            || interfaceId == type(IValidationModule).interfaceId;
    }

    function onInstall(bytes calldata data) external {
        (uint32 entityId, address signer) = abi.decode(data, (uint32, address));
        signers[entityId][msg.sender] = signer;
    }

    function onUninstall(bytes calldata data) external {
        signers[abi.decode(data, (uint32))][msg.sender] = address(0);
    }

    function transferSigner(uint32 entityId, address newSigner) external {
        signers[entityId][msg.sender] = newSigner;
    }

    function validateUserOp(uint32 entityId, PackedUserOperation calldata userOp, bytes32 userOpHash)
        external
        view
        returns (uint256)
    {
        bytes32 hash = MessageHashUtils.toEthSignedMessageHash(userOpHash);
        return _isSigned(msg.sender, entityId, hash, userOp.signature) ? 0 : 1;
    }

    function validateRuntime(address account, uint32 entityId, address sender, uint256, bytes calldata, bytes calldata)
        external
        view
    {
        if (sender != signers[entityId][account]) revert NotAuthorized();
    }

    function validateSignature(address account, uint32 entityId, address, bytes32 hash, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        bool isSigned = _isSigned(account, entityId, replaySafeHash(account, hash), signature);
        return isSigned ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    /// @notice Returns what the signer signs for a hash: bound to one account and this module.
    function replaySafeHash(address account, bytes32 hash) public view returns (bytes32) {
        bytes32 domain = keccak256(abi.encode(DOMAIN, block.chainid, address(this), uint256(uint160(account))));
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(REPLAY_SAFE_HASH, hash)));
    }

    function _isSigned(address account, uint32 entityId, bytes32 hash, bytes calldata signature)
        private
        view
        returns (bool)
    {
        if (bytes1(signature[0]) != 0) return false;
        (address signer, ECDSA.RecoverError error,) = ECDSA.tryRecoverCalldata(hash, signature[1:]);
        return error == ECDSA.RecoverError.NoError && signer == signers[entityId][account];
    }
}
