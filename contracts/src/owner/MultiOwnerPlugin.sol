// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";
import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {BasePlugin} from "../plugin/BasePlugin.sol";
import {UserOperation} from "../interfaces/IAccount.sol";
import {IModularAccount} from "../interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../interfaces/IMultiOwnerPlugin.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestFunction,
    PluginManifest,
    PluginMetadata,
    SelectorPermission
} from "../interfaces/IPlugin.sol";
import {IPluginManager} from "../interfaces/IPluginManager.sol";
import {IStandardExecutor} from "../interfaces/IStandardExecutor.sol";

/// @title Owners of an account
/// @dev Storage: a list of owners per account, newest first, whose entries also mark their owners as such. The account
/// is the last key of each mapping, so all of it is associated with the account (ERC-7562), and a plugin without stake
/// can read it in validation. Validating the signature of an externally owned account reads one word.
contract MultiOwnerPlugin is BasePlugin, IMultiOwnerPlugin, IERC1271 {
    /// @notice An owner in the list of an account:
    ///
    ///     bits    255..161   160       159..0
    ///            +----------+---------+------------------------------------+
    ///            | zero     | present | next older owner; 0 for the oldest |
    ///            +----------+---------+------------------------------------+
    type OwnerEntry is uint256;

    uint256 private constant PRESENT_FLAG = 1 << 160;

    string private constant NAME = "Multi Owner Plugin";
    string private constant VERSION = "1.0.0";
    string private constant AUTHOR = "The session-key authors";

    bytes4 private constant INVALID_SIGNATURE = 0xffffffff;

    /// @dev The prefix of a signature that names its owner: see `IMultiOwnerPlugin`. 16 bytes of ones, then the last 16
    /// bytes of keccak256("session-keys.MultiOwnerPlugin.namedOwner").
    bytes32 private constant NAMED_OWNER = 0xffffffffffffffffffffffffffffffff3912ad2b0ae36861a865bb371c234690;
    uint256 private constant NAME_LENGTH = 52;

    bytes32 private constant DOMAIN_TYPE_HASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)");
    bytes32 private constant MESSAGE_TYPE_HASH = keccak256("AlchemyModularAccountMessage(bytes message)");
    bytes32 private constant NAME_HASH = keccak256(bytes(NAME));
    bytes32 private constant VERSION_HASH = keccak256(bytes(VERSION));
    // Immutables are named like constants.
    // slither-disable-next-line naming-convention
    bytes32 private immutable SALT = bytes32(bytes20(address(this)));

    mapping(address account => address) private newestOwner;
    mapping(address owner => mapping(address account => OwnerEntry)) private ownerEntries;

    /// @inheritdoc IMultiOwnerPlugin
    function updateOwners(address[] calldata ownersToAdd, address[] calldata ownersToRemove) external {
        if (newestOwner[msg.sender] == address(0)) revert NotInitialized();
        for (uint256 i = 0; i < ownersToRemove.length; ++i) {
            _removeOwner(msg.sender, ownersToRemove[i]);
        }
        _addOwners(msg.sender, ownersToAdd);
        emit OwnerUpdated(msg.sender, ownersToAdd, ownersToRemove);
    }

    /// @inheritdoc IPlugin
    /// @dev `data` is `abi.encode(address[] owners)`. Removes any owners that an uninstall without callback left
    /// behind.
    function onInstall(bytes calldata data) external override {
        if (msg.sender.code.length == 0) revert NotContractCaller(msg.sender);
        address[] memory leftOver = _removeAllOwners(msg.sender);
        address[] memory owners = abi.decode(data, (address[]));
        _addOwners(msg.sender, owners);
        emit OwnerUpdated(msg.sender, owners, leftOver);
    }

    /// @inheritdoc IPlugin
    function onUninstall(bytes calldata) external override {
        emit OwnerUpdated(msg.sender, new address[](0), _removeAllOwners(msg.sender));
    }

    /// @inheritdoc IPlugin
    function runtimeValidationFunction(uint8 functionId, address sender, uint256, bytes calldata)
        external
        view
        override
    {
        if (functionId != uint8(FunctionId.RUNTIME_VALIDATION_OWNER_OR_SELF)) {
            revert NotImplemented(msg.sig, functionId);
        }
        if (sender != msg.sender && !isOwnerOf(msg.sender, sender)) revert NotAuthorized();
    }

    /// @inheritdoc IPlugin
    /// @return 0 if an owner signed, else 1.
    function userOpValidationFunction(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        view
        override
        returns (uint256)
    {
        if (functionId != uint8(FunctionId.USER_OP_VALIDATION_OWNER)) revert NotImplemented(msg.sig, functionId);
        bytes32 signedHash = MessageHashUtils.toEthSignedMessageHash(userOpHash);
        if (_isSignedByAccountOwner(signedHash, userOp.signature)) return 0;
        return _isSignedByContractOwner(userOpHash, userOp.signature) ? 0 : 1;
    }

    /// @inheritdoc IERC1271
    /// @dev Called on the account. The digest is wrapped in EIP-712 data of the account: a signature cannot be
    /// replayed on another account of the same owner, on another chain, or through another plugin.
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bytes32 messageHash = _messageHash(msg.sender, abi.encode(digest));
        return _isSignedByAccountOwner(messageHash, signature) || _isSignedByContractOwner(messageHash, signature)
            ? IERC1271.isValidSignature.selector
            : INVALID_SIGNATURE;
    }

    /// @inheritdoc IMultiOwnerPlugin
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
        )
    {
        // Five fields are used: name, version, chainId, verifyingContract, salt.
        return (hex"1f", NAME, VERSION, block.chainid, msg.sender, SALT, extensions);
    }

    /// @inheritdoc IMultiOwnerPlugin
    function encodeMessageData(address account, bytes calldata message) external view returns (bytes memory) {
        return _encodeMessageData(account, message);
    }

    /// @inheritdoc IMultiOwnerPlugin
    function getMessageHash(address account, bytes calldata message) external view returns (bytes32) {
        return _messageHash(account, message);
    }

    /// @inheritdoc IMultiOwnerPlugin
    function isOwnerOf(address account, address ownerToCheck) public view returns (bool) {
        return OwnerEntry.unwrap(ownerEntries[ownerToCheck][account]) != 0;
    }

    /// @inheritdoc IMultiOwnerPlugin
    function ownersOf(address account) public view returns (address[] memory owners) {
        uint256 count;
        for (address owner = newestOwner[account]; owner != address(0); owner = _nextOwner(account, owner)) {
            ++count;
        }
        owners = new address[](count);
        address current = newestOwner[account];
        for (uint256 i = 0; i < count; ++i) {
            owners[i] = current;
            current = _nextOwner(account, current);
        }
    }

    /// @inheritdoc IPlugin
    function pluginManifest() external pure override returns (PluginManifest memory manifest) {
        manifest.executionFunctions = new bytes4[](3);
        manifest.executionFunctions[0] = IMultiOwnerPlugin.updateOwners.selector;
        manifest.executionFunctions[1] = IMultiOwnerPlugin.eip712Domain.selector;
        manifest.executionFunctions[2] = IERC1271.isValidSignature.selector;

        bytes4[6] memory owned = [
            IMultiOwnerPlugin.updateOwners.selector,
            IStandardExecutor.execute.selector,
            IStandardExecutor.executeBatch.selector,
            IPluginManager.installPlugin.selector,
            IPluginManager.uninstallPlugin.selector,
            IModularAccount.upgradeToAndCall.selector
        ];
        ManifestFunction memory byUserOp = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.SELF,
            functionId: uint8(FunctionId.USER_OP_VALIDATION_OWNER),
            dependencyIndex: 0
        });
        ManifestFunction memory byRuntime = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.SELF,
            functionId: uint8(FunctionId.RUNTIME_VALIDATION_OWNER_OR_SELF),
            dependencyIndex: 0
        });
        ManifestFunction memory byAnyone = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.RUNTIME_VALIDATION_ALWAYS_ALLOW,
            functionId: 0,
            dependencyIndex: 0
        });
        manifest.userOpValidationFunctions = new ManifestAssociatedFunction[](owned.length);
        manifest.runtimeValidationFunctions = new ManifestAssociatedFunction[](owned.length + 2);
        for (uint256 i = 0; i < owned.length; ++i) {
            manifest.userOpValidationFunctions[i] = ManifestAssociatedFunction(owned[i], byUserOp);
            manifest.runtimeValidationFunctions[i] = ManifestAssociatedFunction(owned[i], byRuntime);
        }
        manifest.runtimeValidationFunctions[owned.length] =
            ManifestAssociatedFunction(IERC1271.isValidSignature.selector, byAnyone);
        manifest.runtimeValidationFunctions[owned.length + 1] =
            ManifestAssociatedFunction(IMultiOwnerPlugin.eip712Domain.selector, byAnyone);
    }

    /// @inheritdoc IPlugin
    function pluginMetadata() external pure override returns (PluginMetadata memory metadata) {
        metadata.name = NAME;
        metadata.version = VERSION;
        metadata.author = AUTHOR;
        metadata.permissionDescriptors = new SelectorPermission[](1);
        metadata.permissionDescriptors[0] = SelectorPermission({
            functionSelector: IMultiOwnerPlugin.updateOwners.selector,
            permissionDescription: "Change the owners of the account"
        });
    }

    /// @inheritdoc BasePlugin
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(IMultiOwnerPlugin).interfaceId || super.supportsInterface(interfaceId);
    }

    /* Owners */

    /// @dev Adds owners at the front of the list, the last one first. Reverts if the account then has no owner.
    function _addOwners(address account, address[] memory owners) private {
        address newest = newestOwner[account];
        for (uint256 i = 0; i < owners.length; ++i) {
            address owner = owners[i];
            if (owner == address(0) || isOwnerOf(account, owner)) revert InvalidOwner(owner);
            ownerEntries[owner][account] = OwnerEntry.wrap(PRESENT_FLAG | uint160(newest));
            newest = owner;
        }
        if (newest == address(0)) revert EmptyOwnersNotAllowed();
        newestOwner[account] = newest;
    }

    /// @dev Removes an owner from the list.
    function _removeOwner(address account, address owner) private {
        if (!isOwnerOf(account, owner)) revert OwnerDoesNotExist(owner);
        address next = _nextOwner(account, owner);
        ownerEntries[owner][account] = OwnerEntry.wrap(0);

        address current = newestOwner[account];
        if (current == owner) {
            newestOwner[account] = next;
            return;
        }
        for (address following = _nextOwner(account, current); following != owner;) {
            current = following;
            following = _nextOwner(account, current);
        }
        ownerEntries[current][account] = OwnerEntry.wrap(PRESENT_FLAG | uint160(next));
    }

    /// @dev Empties the list, at about 5,000 gas units per owner.
    /// @return owners The removed owners, newest first.
    function _removeAllOwners(address account) private returns (address[] memory owners) {
        owners = ownersOf(account);
        for (uint256 i = 0; i < owners.length; ++i) {
            ownerEntries[owners[i]][account] = OwnerEntry.wrap(0);
        }
        newestOwner[account] = address(0);
    }

    /// @dev The next older owner; zero for the oldest.
    function _nextOwner(address account, address owner) private view returns (address) {
        return address(uint160(OwnerEntry.unwrap(ownerEntries[owner][account])));
    }

    /* Signatures */

    /// @dev Whether an owner signed with ECDSA.
    function _isSignedByAccountOwner(bytes32 hash, bytes calldata signature) private view returns (bool) {
        // The third value details the error; all errors are treated alike.
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError error,) = ECDSA.tryRecoverCalldata(hash, signature);
        return error == ECDSA.RecoverError.NoError && isOwnerOf(msg.sender, signer);
    }

    /// @dev Whether a contract owner accepts the signature. If the signature names an owner, only that owner is asked,
    /// and no other account is accessed. Otherwise every owner with code is asked.
    function _isSignedByContractOwner(bytes32 hash, bytes calldata signature) private view returns (bool) {
        if (signature.length >= NAME_LENGTH && bytes32(signature) == NAMED_OWNER) {
            address named = address(bytes20(signature[32:NAME_LENGTH]));
            return isOwnerOf(msg.sender, named) && _isValidForContract(named, hash, signature[NAME_LENGTH:]);
        }
        for (address owner = newestOwner[msg.sender]; owner != address(0); owner = _nextOwner(msg.sender, owner)) {
            if (owner.code.length != 0 && _isValidForContract(owner, hash, signature)) return true;
        }
        return false;
    }

    /// @dev Whether this owner accepts the signature. Never reverts, whatever the owner does or returns. An owner
    /// without code returns nothing, which is not valid. OpenZeppelin's `SignatureChecker` is not used: it does not pad
    /// the signature to whole words, as the ABI requires.
    function _isValidForContract(address owner, bytes32 hash, bytes calldata signature) private view returns (bool) {
        // The answer is one word; the second word has no meaning.
        // slither-disable-next-line unused-return
        (bool success, bytes32 answer,) =
            LowLevelCall.staticcallReturn64Bytes(owner, abi.encodeCall(IERC1271.isValidSignature, (hash, signature)));
        return success && LowLevelCall.returnDataSize() >= 0x20 && answer == bytes32(IERC1271.isValidSignature.selector);
    }

    /// @dev See `getMessageHash`.
    function _messageHash(address account, bytes memory message) private view returns (bytes32) {
        return keccak256(_encodeMessageData(account, message));
    }

    /// @dev See `encodeMessageData`.
    function _encodeMessageData(address account, bytes memory message) private view returns (bytes memory) {
        bytes32 domainSeparator =
            keccak256(abi.encode(DOMAIN_TYPE_HASH, NAME_HASH, VERSION_HASH, block.chainid, account, SALT));
        bytes32 structHash = keccak256(abi.encode(MESSAGE_TYPE_HASH, keccak256(message)));
        return abi.encodePacked(hex"1901", domainSeparator, structHash);
    }
}
