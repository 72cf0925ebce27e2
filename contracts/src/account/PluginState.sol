// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PluginFilter} from "./PluginFilter.sol";

/// @notice The first word of what the account knows of an address as a plugin. Zero: it is not installed.
///
///    bits   0..159  the plugin installed just before this one; `END_OF_PLUGINS` for the oldest
///    bits 160..191  number of dependents: entries of other plugins' dependency lists that name this plugin
///    bits 192..207  number of words in the list of dependencies
///    bit  208       may call any external address
///    bit  209       may spend the native token
///    bit  210       `executeFromPluginExternal` has execution hooks. The same for all installed plugins: a copy of what
///                   the selector's own word says, kept here so that `executeFromPluginExternal`, which must read this
///                   word for its caller's permissions, need not read that one
///    bits 211..231  zero
///    bits 232..255  the `PluginFilter`, for the same reason
type PluginState is uint256;

using LibPluginState for PluginState global;

/// @dev Ends the list of installed plugins. The address of a precompile, so never that of a plugin.
address constant END_OF_PLUGINS = address(1);

library LibPluginState {
    uint256 private constant DEPENDENTS_POSITION = 160;
    uint256 private constant DEPENDENCY_WORDS_POSITION = 192;
    uint256 private constant ANY_EXTERNAL_ADDRESS_BIT = 1 << 208;
    uint256 private constant CAN_SPEND_NATIVE_TOKEN_BIT = 1 << 209;
    uint256 private constant EXTERNAL_CALLS_HOOKED_BIT = 1 << 210;

    uint256 private constant FILTER_POSITION = 232;

    function create(
        address nextPlugin,
        uint256 numberOfDependencyWords,
        bool anyExternalAddress,
        bool nativeTokenSpender
    ) internal pure returns (PluginState) {
        // Every word holds at least one of the manifest's dependencies: the bound is that of calldata, never reached.
        assert(numberOfDependencyWords <= type(uint16).max);
        return PluginState.wrap(
            uint160(nextPlugin) | numberOfDependencyWords << DEPENDENCY_WORDS_POSITION
                | (anyExternalAddress ? ANY_EXTERNAL_ADDRESS_BIT : 0)
                | (nativeTokenSpender ? CAN_SPEND_NATIVE_TOKEN_BIT : 0)
        );
    }

    function isInstalled(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) != 0;
    }

    function next(PluginState self) internal pure returns (address) {
        return address(uint160(PluginState.unwrap(self)));
    }

    function withNext(PluginState self, address plugin) internal pure returns (PluginState) {
        return PluginState.wrap(PluginState.unwrap(self) >> 160 << 160 | uint160(plugin));
    }

    function dependents(PluginState self) internal pure returns (uint256) {
        return uint32(PluginState.unwrap(self) >> DEPENDENTS_POSITION);
    }

    function oneMoreDependent(PluginState self) internal pure returns (PluginState) {
        assert(self.dependents() < type(uint32).max);
        return PluginState.wrap(PluginState.unwrap(self) + (uint256(1) << DEPENDENTS_POSITION));
    }

    function oneDependentLess(PluginState self) internal pure returns (PluginState) {
        assert(self.dependents() != 0);
        return PluginState.wrap(PluginState.unwrap(self) - (uint256(1) << DEPENDENTS_POSITION));
    }

    function dependencyWords(PluginState self) internal pure returns (uint256) {
        return uint16(PluginState.unwrap(self) >> DEPENDENCY_WORDS_POSITION);
    }

    function canCallAnyAddress(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) & ANY_EXTERNAL_ADDRESS_BIT != 0;
    }

    function canSpendNativeToken(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) & CAN_SPEND_NATIVE_TOKEN_BIT != 0;
    }

    function areExternalCallsHooked(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) & EXTERNAL_CALLS_HOOKED_BIT != 0;
    }

    function filter(PluginState self) internal pure returns (PluginFilter) {
        return PluginFilter.wrap(PluginState.unwrap(self) >> FILTER_POSITION);
    }

    /// @notice Sets what is the same for all installed plugins.
    function withShared(PluginState self, bool externalCallsHooked, PluginFilter newFilter)
        internal
        pure
        returns (PluginState)
    {
        uint256 rest = PluginState.unwrap(self) & ((1 << FILTER_POSITION) - 1) & ~EXTERNAL_CALLS_HOOKED_BIT;
        return PluginState.wrap(
            rest | (externalCallsHooked ? EXTERNAL_CALLS_HOOKED_BIT : 0) | PluginFilter.unwrap(newFilter)
                << FILTER_POSITION
        );
    }
}
