// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PluginFilter} from "./PluginFilter.sol";

/// @notice The first word of the account's record of a plugin. Zero if it is not installed.
///
///     bits    255..232   231..211   210      209     208     207..192       191..160     159..0
///            +----------+----------+--------+-------+-------+--------------+------------+--------------------+
///            | filter   | zero     | hooked | spend | any   | dependencies | dependents | next older plugin  |
///            +----------+----------+--------+-------+-------+--------------+------------+--------------------+
///
///     filter         the `PluginFilter`
///     hooked         `executeFromPluginExternal` has execution hooks
///     spend          may spend the native token
///     any            may call any external address
///     dependencies   number of words in the list of dependencies
///     dependents     number of words in other plugins' lists that name this plugin
///     next older     the plugin installed just before this one; `END_OF_PLUGINS` for the oldest
///
/// "filter" and "hooked" are the same for all installed plugins: copies from selectors' words, kept here because
/// `executeFromPluginExternal` must read this word for its caller's permissions, and then need not read the others.
type PluginState is uint256;

using LibPluginState for PluginState global;

/// @dev Ends the list of installed plugins. The address of a precompile, so never that of a plugin.
address constant END_OF_PLUGINS = address(1);

/// @title Fields of `PluginState`
library LibPluginState {
    uint256 private constant DEPENDENTS_SHIFT = 160;
    uint256 private constant DEPENDENCY_WORDS_SHIFT = 192;
    uint256 private constant ANY_EXTERNAL_ADDRESS_FLAG = 1 << 208;
    uint256 private constant CAN_SPEND_NATIVE_TOKEN_FLAG = 1 << 209;
    uint256 private constant EXTERNAL_CALLS_HOOKED_FLAG = 1 << 210;
    uint256 private constant FILTER_SHIFT = 232;

    /// @dev The state of a plugin that is being installed; `withShared` completes it.
    function create(
        address nextPlugin,
        uint256 numberOfDependencyWords,
        bool anyExternalAddress,
        bool nativeTokenSpender
    ) internal pure returns (PluginState) {
        // Every word holds at least one of the manifest's dependencies: the bound is that of calldata, never reached.
        assert(numberOfDependencyWords <= type(uint16).max);
        return PluginState.wrap(
            uint160(nextPlugin) | numberOfDependencyWords << DEPENDENCY_WORDS_SHIFT
                | (anyExternalAddress ? ANY_EXTERNAL_ADDRESS_FLAG : 0)
                | (nativeTokenSpender ? CAN_SPEND_NATIVE_TOKEN_FLAG : 0)
        );
    }

    /// @dev Whether the plugin is installed.
    function isInstalled(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) != 0;
    }

    /// @dev The plugin installed just before this one.
    function next(PluginState self) internal pure returns (address) {
        return address(uint160(PluginState.unwrap(self)));
    }

    /// @dev The state with another plugin before this one.
    function withNext(PluginState self, address plugin) internal pure returns (PluginState) {
        return PluginState.wrap(PluginState.unwrap(self) >> 160 << 160 | uint160(plugin));
    }

    /// @dev The number of words in other plugins' lists that name this plugin.
    function dependents(PluginState self) internal pure returns (uint256) {
        return uint32(PluginState.unwrap(self) >> DEPENDENTS_SHIFT);
    }

    /// @dev The state with one more dependent.
    function oneMoreDependent(PluginState self) internal pure returns (PluginState) {
        assert(self.dependents() < type(uint32).max);
        return PluginState.wrap(PluginState.unwrap(self) + (uint256(1) << DEPENDENTS_SHIFT));
    }

    /// @dev The state with one dependent less.
    function oneDependentLess(PluginState self) internal pure returns (PluginState) {
        assert(self.dependents() != 0);
        return PluginState.wrap(PluginState.unwrap(self) - (uint256(1) << DEPENDENTS_SHIFT));
    }

    /// @dev The number of words in the plugin's own list.
    function dependencyWords(PluginState self) internal pure returns (uint256) {
        return uint16(PluginState.unwrap(self) >> DEPENDENCY_WORDS_SHIFT);
    }

    /// @dev Whether the plugin may call any external address.
    function canCallAnyAddress(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) & ANY_EXTERNAL_ADDRESS_FLAG != 0;
    }

    /// @dev Whether the plugin may spend the account's native token.
    function canSpendNativeToken(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) & CAN_SPEND_NATIVE_TOKEN_FLAG != 0;
    }

    /// @dev Whether `executeFromPluginExternal` has execution hooks.
    function areExternalCallsHooked(PluginState self) internal pure returns (bool) {
        return PluginState.unwrap(self) & EXTERNAL_CALLS_HOOKED_FLAG != 0;
    }

    /// @dev The filter of installed plugins.
    function filter(PluginState self) internal pure returns (PluginFilter) {
        return PluginFilter.wrap(PluginState.unwrap(self) >> FILTER_SHIFT);
    }

    /// @dev The state with other values of the fields that all installed plugins share.
    function withShared(PluginState self, bool externalCallsHooked, PluginFilter newFilter)
        internal
        pure
        returns (PluginState)
    {
        uint256 rest = PluginState.unwrap(self) & ((1 << FILTER_SHIFT) - 1) & ~EXTERNAL_CALLS_HOOKED_FLAG;
        return PluginState.wrap(
            rest | (externalCallsHooked ? EXTERNAL_CALLS_HOOKED_FLAG : 0) | PluginFilter.unwrap(newFilter)
                << FILTER_SHIFT
        );
    }
}
