// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice A set of 24 bits that rules out most addresses as installed plugins: each installed plugin sets
/// one bit. A clear bit is certain; a set one means that the plugin's own word has to be read.
///
/// It saves every call of the account a cold read (2,100 gas units), because copies of it are kept in words that are
/// read anyway: the configs of `execute` and `executeBatch`, and the state of each installed plugin. All copies are
/// always equal. The filter depends only on the set of installed plugins.
type PluginFilter is uint256;

using LibPluginFilter for PluginFilter global;

/// @title Membership in a `PluginFilter`
library LibPluginFilter {
    uint256 private constant BITS = 24;

    /// @dev Whether the address may be an installed plugin.
    function mayContain(PluginFilter self, address plugin) internal pure returns (bool) {
        return PluginFilter.unwrap(self) >> (uint160(plugin) % BITS) & 1 != 0;
    }

    /// @dev The filter with this plugin.
    function with(PluginFilter self, address plugin) internal pure returns (PluginFilter) {
        return PluginFilter.wrap(PluginFilter.unwrap(self) | uint256(1) << (uint160(plugin) % BITS));
    }

    /// @dev Whether two filters are the same.
    function equals(PluginFilter self, PluginFilter other) internal pure returns (bool) {
        return PluginFilter.unwrap(self) == PluginFilter.unwrap(other);
    }
}
