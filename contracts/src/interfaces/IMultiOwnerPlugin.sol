// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @title Owners of an ERC-6900 v0.7 account
/// @notice Each owner alone can do everything. An owner is an externally owned account, which signs with ECDSA, or a
/// contract, which is asked through ERC-1271. An account with the plugin has at least one owner.
///
/// A signature, of a user operation or of a message (ERC-1271), has one of three forms:
/// - ECDSA: r (32 bytes), s (32), v (1), of the owner that is recovered;
/// - named: a marker (32 bytes), the owner (20), its signature (any length): only that owner is asked, about its
///   signature;
/// - plain: any other bytes: every owner with code is asked about all of them, newest first, until one accepts.
///
/// The marker is `0xffffffffffffffffffffffffffffffff3912ad2b0ae36861a865bb371c234690`. It
/// is larger than any r (the order of secp256k1), so no ECDSA signature begins with it. A contract owner whose own signatures
/// begin with it, such as an account with this plugin, must be named.
///
/// Bundlers refuse an operation whose validation accesses an address without code (ERC-7562, OP-041). A named signature
/// never causes this if the named owner has code. A plain signature does if an owner without code is newer than the
/// signer; the operation is still valid in `handleOps`.
interface IMultiOwnerPlugin {
    /// @notice Ids of this plugin's validation functions.
    enum FunctionId {
        // Runtime validation: the caller is an owner or the account itself.
        RUNTIME_VALIDATION_OWNER_OR_SELF,
        // User operation validation: an owner signed.
        USER_OP_VALIDATION_OWNER
    }

    /// @notice Owners of an account changed: `removedOwners` were removed first, then `addedOwners` added.
    event OwnerUpdated(address indexed account, address[] addedOwners, address[] removedOwners);

    /// @notice An account must have an owner.
    error EmptyOwnersNotAllowed();

    /// @notice The address is zero or already an owner.
    error InvalidOwner(address owner);

    /// @notice The caller is neither an owner nor the account.
    error NotAuthorized();

    /// @notice The address to remove is not an owner.
    error OwnerDoesNotExist(address owner);

    /// @notice Changes the owners. Called on the account.
    /// @param ownersToAdd None zero, none an owner (after the removal), none twice: else `InvalidOwner`.
    /// @param ownersToRemove All of them owners: else `OwnerDoesNotExist`. They are removed first.
    function updateOwners(address[] calldata ownersToAdd, address[] calldata ownersToRemove) external;

    /// @notice The EIP-712 domain of messages that the calling account signs (ERC-5267). Called on the account.
    function eip712Domain()
        external
        view
        returns (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        );

    /// @notice The data that is hashed and signed for a message of the account: 0x1901, domain separator, struct hash (EIP-712).
    /// @param message For ERC-1271, `abi.encode(digest)`.
    function encodeMessageData(address account, bytes calldata message) external view returns (bytes memory);

    /// @notice Keccak-256 hash of `encodeMessageData`: owners sign it, and the account's `isValidSignature` accepts the signature.
    function getMessageHash(address account, bytes calldata message) external view returns (bytes32);

    /// @notice Whether the address is an owner of the account.
    function isOwnerOf(address account, address ownerToCheck) external view returns (bool);

    /// @notice The owners of the account, newest first.
    function ownersOf(address account) external view returns (address[] memory);
}
