// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {DependencyWord} from "./DependencyWord.sol";
import {FunctionReference} from "./FunctionReference.sol";
import {HookEntry} from "./HookList.sol";
import {PluginState} from "./PluginState.sol";
import {SelectorConfig} from "./SelectorConfig.sol";

/// @notice The progress of `initialize`.
enum InitializationState {
    NOT_STARTED,
    RUNNING,
    DONE
}

/// @notice The account's record of an execution selector.
struct SelectorStorage {
    SelectorConfig config;
    // Cells 2 and 3 of `config`.
    address cell2;
    address cell3;
    // Lists of hooks, index to entry, oldest first; their lengths are in `config`.
    mapping(uint256 kind => mapping(uint256 index => HookEntry)) hooks;
    // Post hooks paired with a pre hook; the length is in the pre hook's entry.
    mapping(FunctionReference preHook => mapping(uint256 index => HookEntry)) pairedPostHooks;
}

/// @notice Whether a plugin may call an address, and which functions of it.
struct ExternalCallPermission {
    bool addressPermitted;
    bool anySelectorPermitted;
    mapping(bytes4 selector => bool) selectorPermitted;
}

/// @notice The account's record of a plugin.
struct PluginStorage {
    PluginState state;
    bytes32 manifestHash;
    // The functions that the plugin depends on, in order; the length is in `state`.
    mapping(uint256 index => DependencyWord) dependencies;
    mapping(bytes4 selector => bool) executionSelectorPermitted;
    mapping(address target => ExternalCallPermission) externalCallPermissions;
}

/// @notice All storage of the account.
struct AccountStorage {
    // Slot 0: the newest plugin; `PluginState.next` leads to the others. Zero if none is installed.
    address newestPlugin;
    InitializationState initialization;
    // Slot 1.
    mapping(address plugin => PluginStorage) plugins;
    // Slot 2.
    mapping(bytes4 selector => SelectorStorage) selectors;
    // Slot 3. How often the manifests of installed plugins claim an interface, repetitions included.
    mapping(bytes4 interfaceId => uint256) supportedInterfaces;
}

/// @dev ERC-7201: keccak256(abi.encode(uint256(keccak256("session-keys.ModularAccount")) - 1)) & ~bytes32(uint256(0xff)).
/// Apart from this, only the implementation's address is stored (ERC-1967): the account can run behind a proxy that has
/// run other implementations.
bytes32 constant ACCOUNT_STORAGE_SLOT = 0x2b86214eeb975618bda1530c17b8dda6792b5f01649774165c70bf92a1f56a00;

/// @dev The account's storage.
function accountStorage() pure returns (AccountStorage storage data) {
    assembly ("memory-safe") {
        data.slot := ACCOUNT_STORAGE_SLOT
    }
}
