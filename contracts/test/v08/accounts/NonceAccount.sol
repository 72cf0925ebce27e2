// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";

import {IAccountV08, INonceAccount} from "../../../src/interfaces/IAccountV08.sol";
import {IValidationModule, PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ModuleAccount} from "./ModuleAccount.sol";

/// @notice An account whose nonce selects the validation of a user operation, as in Modular Account v2.
///
///     key of the nonce = lane (19 bytes), entity id (4 bytes), options (1 byte)
///                     or lane (3 bytes), module of a direct-call validation (20 bytes), options (1 byte)
abstract contract NonceAccount is ModuleAccount, INonceAccount {
    /// @dev Options; other bits are ignored.
    uint8 internal constant AS_GLOBAL = 1;
    uint8 internal constant HAS_DEFERRED_ACTION = 2;
    uint8 internal constant AS_DIRECT_CALL = 4;

    bytes32 internal constant DOMAIN = keccak256("EIP712Domain(uint256 chainId,address verifyingContract)");
    bytes32 private constant DEFERRED_ACTION = keccak256("DeferredAction(uint256 nonce,uint48 deadline,bytes call)");

    /* Selection */

    /// @dev An entity id identifies one validation of the account, whatever the module; direct-call validations are
    /// identified by module.
    function _keyOf(bytes24 moduleEntity) internal pure override returns (uint256) {
        uint32 entityId = _entityIdOf(moduleEntity);
        if (entityId == DIRECT_CALL) return uint256(uint160(bytes20(moduleEntity))) << 8 | AS_DIRECT_CALL;
        return uint256(entityId) << 8;
    }

    function _select(uint256 name, uint8 options) private pure returns (Selection memory by) {
        if (options & AS_DIRECT_CALL != 0) {
            by.key = uint256(uint160(name)) << 8 | AS_DIRECT_CALL;
            by.entityId = DIRECT_CALL;
        } else {
            by.key = uint256(uint32(name)) << 8;
            by.entityId = uint32(name);
        }
        by.applies = options & AS_GLOBAL != 0 ? Applies.TO_ALL : Applies.TO_ITS_SELECTORS;
    }

    function _selectForExecution(PackedUserOperation calldata userOp)
        internal
        pure
        override
        returns (Selection memory)
    {
        return _select(userOp.nonce >> 72, uint8(userOp.nonce >> 64));
    }

    function _selectForUserOp(PackedUserOperation calldata userOp)
        internal
        override
        returns (Selection memory by, bytes calldata signature, uint48 deadline)
    {
        by = _selectForExecution(userOp);
        signature = userOp.signature;
        if (uint8(userOp.nonce >> 64) & HAS_DEFERRED_ACTION != 0) {
            (signature, deadline) = _runDeferredAction(signature, userOp.nonce);
        }
    }

    /// @dev Options (1 byte), then an entity id (4 bytes) or a module (20 bytes).
    function _selectIn(bytes calldata signature, bool)
        internal
        pure
        override
        returns (Selection memory by, bytes calldata rest)
    {
        uint8 options = uint8(bytes1(signature[:1]));
        if (options & AS_DIRECT_CALL != 0) {
            by = _select(uint160(bytes20(signature[1:21])), options);
            rest = signature[21:];
        } else {
            by = _select(uint32(bytes4(signature[1:5])), options);
            rest = signature[5:];
        }
    }

    /* Deferred actions: a self-call before the operation is validated */

    struct DeferredAction {
        Selection by;
        uint48 deadline;
        bytes32 hash;
    }

    /// @dev Length (4 bytes), locator (21 bytes), deadline (6 bytes), call; length (4 bytes), signature; the
    /// operation's signature.
    function _runDeferredAction(bytes calldata signature, uint256 nonce)
        private
        returns (bytes calldata rest, uint48 deadline)
    {
        bytes calldata action;
        bytes calldata actionSignature;
        (action, rest) = _lengthPrefixed(signature);
        (actionSignature, rest) = _lengthPrefixed(rest);
        uint168 locator = uint168(bytes21(action[:21]));
        deadline = uint48(bytes6(action[21:27]));
        action = action[27:];

        Selection memory by = _select(locator >> 8, uint8(locator));
        _requireApplies(by, action);
        if (_validation(by).validationHooks.length != 0) revert DeferredValidationHasValidationHooks();
        _requireDeferredSignature(by, _deferredHash(nonce, deadline, action), actionSignature);
        _runHooked(by, 0, action);
    }

    function _lengthPrefixed(bytes calldata data) private pure returns (bytes calldata first, bytes calldata rest) {
        uint256 end = 4 + uint256(uint32(bytes4(data[:4])));
        return (data[4:end], data[end:]);
    }

    /// @dev Includes the operation's nonce: this binds the action to one validation, and to one use.
    function _deferredHash(uint256 nonce, uint48 deadline, bytes calldata action) private view returns (bytes32) {
        return _typedDataHash(keccak256(abi.encode(DEFERRED_ACTION, nonce, deadline, keccak256(action))));
    }

    function _typedDataHash(bytes32 structHash) internal view returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(keccak256(abi.encode(DOMAIN, block.chainid, address(this))), structHash);
    }

    function _requireDeferredSignature(Selection memory by, bytes32 hash, bytes calldata signature) private view {
        if (!_hasFlag(by, SIGNATURE)) revert SignatureValidationInvalid(_entity(by));
        if (_askDeferredSignature(by, hash, signature) != IAccountV08.isValidSignature.selector) {
            revert DeferredActionSignatureInvalid();
        }
    }

    function _askDeferredSignature(Selection memory by, bytes32 hash, bytes calldata signature)
        internal
        view
        virtual
        returns (bytes4)
    {
        return _askSignature(by, hash, signature);
    }
}
