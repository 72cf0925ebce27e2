// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibClone} from "solady/utils/LibClone.sol";

import {IEntryPointV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {IInitializable} from "../../../src/interfaces/IAccountV08.sol";

/// @notice Creates accounts at predictable addresses.
contract AccountFactory {
    address private immutable MODULAR;
    address private immutable SEMI_MODULAR;
    address private immutable OWNER_MODULE;

    constructor(address modular, address semiModular, address ownerModule) {
        (MODULAR, SEMI_MODULAR, OWNER_MODULE) = (modular, semiModular, ownerModule);
    }

    /// @notice Creates an account with one owner by a global validation module.
    function createAccount(address owner, uint256 salt, uint32 entityId) external returns (address account) {
        bool exists;
        (exists, account) = LibClone.createDeterministicERC1967(MODULAR, _salt(owner, salt, entityId));
        if (exists) return account;
        bytes25 config = bytes25(abi.encodePacked(OWNER_MODULE, entityId, uint8(7)));
        IInitializable(account)
            .initializeWithValidation(config, new bytes4[](0), abi.encode(entityId, owner), new bytes[](0));
    }

    /// @notice Creates an account with a fallback signer.
    function createSemiModularAccount(address owner, uint256 salt) external returns (address account) {
        (, account) = LibClone.createDeterministicERC1967(
            SEMI_MODULAR, abi.encodePacked(owner), _salt(owner, salt, type(uint32).max)
        );
    }

    function getAddress(address owner, uint256 salt, uint32 entityId) external view returns (address) {
        return LibClone.predictDeterministicAddressERC1967(MODULAR, _salt(owner, salt, entityId), address(this));
    }

    function getAddressSemiModular(address owner, uint256 salt) external view returns (address) {
        return LibClone.predictDeterministicAddressERC1967(
            SEMI_MODULAR, abi.encodePacked(owner), _salt(owner, salt, type(uint32).max), address(this)
        );
    }

    function addStake(IEntryPointV07 entryPoint, uint32 unstakeDelay) external payable {
        entryPoint.addStake{value: msg.value}(unstakeDelay);
    }

    function _salt(address owner, uint256 salt, uint32 entityId) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(owner, salt, entityId));
    }
}
