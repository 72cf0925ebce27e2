// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/token/ERC20/utils/SafeERC20.sol";
import {LibClone} from "solady/utils/LibClone.sol";

import {IEntryPoint} from "../interfaces/IEntryPoint.sol";
import {IModularAccount} from "../interfaces/IModularAccount.sol";
import {IModularAccountFactory} from "../interfaces/IModularAccountFactory.sol";

/// @title Factory of modular accounts with the multi owner plugin
/// @dev Accounts are minimal ERC-1967 proxies, deployed with CREATE2: the address depends on this factory, the
/// implementation, the salt and the owners.
contract ModularAccountFactory is IModularAccountFactory, Ownable2Step {
    // The ABI fixes the names of these getters; immutables are named like constants.
    // slither-disable-start naming-convention

    /// @inheritdoc IModularAccountFactory
    address public immutable ENTRYPOINT;
    /// @inheritdoc IModularAccountFactory
    address public immutable IMPL;
    /// @inheritdoc IModularAccountFactory
    address public immutable MULTI_OWNER_PLUGIN;

    bytes32 private immutable MULTI_OWNER_PLUGIN_MANIFEST_HASH;

    // slither-disable-end naming-convention

    uint256 private constant MAX_OWNERS = 100;

    // Any wrong address makes the factory useless, zero no more than others, and none can be told from a right one
    // here.
    // slither-disable-start missing-zero-check
    constructor(
        // Shadows the getter of the same name, which nothing here needs: the ABI fixes the argument's name.
        // slither-disable-next-line shadowing-local
        address owner,
        address multiOwnerPlugin,
        address implementation,
        bytes32 multiOwnerPluginManifestHash,
        address entryPoint
    ) Ownable(owner) {
        MULTI_OWNER_PLUGIN = multiOwnerPlugin;
        IMPL = implementation;
        MULTI_OWNER_PLUGIN_MANIFEST_HASH = multiOwnerPluginManifestHash;
        ENTRYPOINT = entryPoint;
    }

    // slither-disable-end missing-zero-check

    /// @inheritdoc IModularAccountFactory
    receive() external payable {}

    /// @inheritdoc IModularAccountFactory
    function createAccount(uint256 salt, address[] calldata owners) external returns (address addr) {
        bytes memory pluginInstallData = abi.encode(owners);
        bytes32 combinedSalt = _combinedSalt(salt, pluginInstallData);
        addr = _predict(combinedSalt);
        // An account at this address was created with exactly these owners, whose order was checked then.
        if (addr.code.length != 0) return addr;

        _checkOwners(owners);
        // Returns the predicted address, or reverts.
        // slither-disable-next-line unused-return
        LibClone.deployDeterministicERC1967(IMPL, combinedSalt);
        address[] memory plugins = new address[](1);
        plugins[0] = MULTI_OWNER_PLUGIN;
        bytes32[] memory manifestHashes = new bytes32[](1);
        manifestHashes[0] = MULTI_OWNER_PLUGIN_MANIFEST_HASH;
        bytes[] memory pluginInstallDatas = new bytes[](1);
        pluginInstallDatas[0] = pluginInstallData;
        IModularAccount(payable(addr)).initialize(plugins, abi.encode(manifestHashes, pluginInstallDatas));
    }

    /// @inheritdoc IModularAccountFactory
    function addStake(uint32 unstakeDelay, uint256 amount) external payable onlyOwner {
        IEntryPoint(ENTRYPOINT).addStake{value: amount}(unstakeDelay);
    }

    /// @inheritdoc IModularAccountFactory
    function unlockStake() external onlyOwner {
        IEntryPoint(ENTRYPOINT).unlockStake();
    }

    /// @inheritdoc IModularAccountFactory
    function withdrawStake(address payable to) external onlyOwner {
        IEntryPoint(ENTRYPOINT).withdrawStake(to);
    }

    /// @inheritdoc IModularAccountFactory
    function withdraw(address payable to, address token, uint256 amount) external onlyOwner {
        if (token == address(0)) {
            // The owner chooses the recipient and takes the risk of zero; the 2,300 gas of `transfer` do not suffice
            // for every wallet.
            // slither-disable-next-line missing-zero-check,low-level-calls
            (bool success,) = to.call{value: address(this).balance}("");
            if (!success) revert TransferFailed();
        } else {
            SafeERC20.safeTransfer(IERC20(token), to, amount);
        }
    }

    /// @inheritdoc IModularAccountFactory
    function renounceOwnership() public view override(IModularAccountFactory, Ownable) {
        revert InvalidAction();
    }

    /// @inheritdoc IModularAccountFactory
    function getAddress(uint256 salt, address[] calldata owners) external view returns (address) {
        _checkOwners(owners);
        return _predict(_combinedSalt(salt, abi.encode(owners)));
    }

    /// @dev Reverts unless there are 1 to `MAX_OWNERS` of them, ascending, none zero.
    function _checkOwners(address[] calldata owners) private pure {
        if (owners.length == 0) revert OwnersArrayEmpty();
        if (owners.length > MAX_OWNERS) revert OwnersLimitExceeded();
        address previous;
        for (uint256 i = 0; i < owners.length; ++i) {
            if (owners[i] <= previous) revert InvalidOwner();
            previous = owners[i];
        }
    }

    /// @dev The salt of CREATE2, which depends on the owners.
    function _combinedSalt(uint256 salt, bytes memory encodedOwners) private pure returns (bytes32) {
        return keccak256(abi.encode(salt, encodedOwners));
    }

    /// @dev The address of an account, created or not.
    function _predict(bytes32 combinedSalt) private view returns (address) {
        return LibClone.predictDeterministicAddressERC1967(IMPL, combinedSalt, address(this));
    }
}
