// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PluginFilter} from "./PluginFilter.sol";

/// @notice The first word of the account's record of an execution selector:
///
///     bits    255..232   231..184      183..176     175..168     167..166   165..160   159..0
///            +----------+-------------+------------+------------+----------+----------+----------------------+
///            | filter   | hook counts | runtime id | user op id | zero     | cells    | cell 1 (a plugin)    |
///            +----------+-------------+------------+------------+----------+----------+----------------------+
///
///     filter        `execute` and `executeBatch` only: the `PluginFilter`; else zero
///     hook counts   12 bits for each `HookKind`, the first in the lowest bits: number of distinct hooks in its list
///     runtime id    function id of the runtime validation
///     user op id    function id of the user operation validation
///     cells         2 bits for each `Role`, the first in the lowest bits: the cell of its plugin, 1 to 3; 0: none
///
/// A selector has three *roles* (who executes it, who validates its user operations, who validates its runtime calls).
/// Most selectors have one or two plugins in these roles, so addresses are kept in up to three *cells*, and each role
/// says which cell holds its plugin: 1 is in this word, 2 and 3 are separate words. A user operation then mostly needs
/// just this word: one cold read instead of two for validation, and none for execution.
///
/// RUNTIME_VALIDATION_ALWAYS_ALLOW, which has no plugin, is cell 0 with its function id 1.
type SelectorConfig is uint256;

using LibSelectorConfig for SelectorConfig global;

/// @notice The roles of a plugin for an execution selector.
enum Role {
    EXECUTION,
    USER_OP_VALIDATION,
    RUNTIME_VALIDATION
}

/// @notice A list of hooks of a selector.
enum HookKind {
    PRE_USER_OP_VALIDATION,
    PRE_RUNTIME_VALIDATION,
    PRE_EXECUTION,
    POST_ONLY_EXECUTION
}

/// @title Fields of `SelectorConfig`
library LibSelectorConfig {
    uint256 private constant CELL_SHIFT = 160;
    uint256 private constant CELL_SIZE = 2;
    // The position for the execution role, which has no function id: the two validation roles come after it.
    uint256 private constant FUNCTION_ID_SHIFT = 160;
    uint256 private constant FUNCTION_ID_SIZE = 8;
    uint256 private constant COUNT_SHIFT = 184;
    uint256 private constant COUNT_SIZE = 12;
    uint256 private constant MAX_COUNT = 0xfff;
    uint256 private constant FILTER_SHIFT = 232;

    /// @dev The cell that holds the plugin of a role; 0 if the role is not taken or has no plugin.
    function cellOf(SelectorConfig self, Role role) internal pure returns (uint256) {
        return SelectorConfig.unwrap(self) >> (CELL_SHIFT + CELL_SIZE * uint256(role)) & 3;
    }

    /// @dev The config with a role's plugin in another cell.
    function withCell(SelectorConfig self, Role role, uint256 cell) internal pure returns (SelectorConfig) {
        uint256 shift = CELL_SHIFT + CELL_SIZE * uint256(role);
        return SelectorConfig.wrap(SelectorConfig.unwrap(self) & ~(uint256(3) << shift) | cell << shift);
    }

    /// @dev Whether any role has its plugin in the cell.
    function usesCell(SelectorConfig self, uint256 cell) internal pure returns (bool) {
        return self.cellOf(Role.EXECUTION) == cell || self.cellOf(Role.USER_OP_VALIDATION) == cell
            || self.cellOf(Role.RUNTIME_VALIDATION) == cell;
    }

    /// @dev The plugin in cell 1.
    function firstCell(SelectorConfig self) internal pure returns (address) {
        return address(uint160(SelectorConfig.unwrap(self)));
    }

    /// @dev The config with another plugin in cell 1.
    function withFirstCell(SelectorConfig self, address plugin) internal pure returns (SelectorConfig) {
        return SelectorConfig.wrap(SelectorConfig.unwrap(self) >> 160 << 160 | uint160(plugin));
    }

    /// @dev The function id of a validation role.
    function functionIdOf(SelectorConfig self, Role role) internal pure returns (uint8) {
        return uint8(SelectorConfig.unwrap(self) >> (FUNCTION_ID_SHIFT + FUNCTION_ID_SIZE * uint256(role)));
    }

    /// @dev The config with another function id of a validation role.
    function withFunctionId(SelectorConfig self, Role role, uint8 functionId) internal pure returns (SelectorConfig) {
        uint256 shift = FUNCTION_ID_SHIFT + FUNCTION_ID_SIZE * uint256(role);
        return
            SelectorConfig.wrap(SelectorConfig.unwrap(self) & ~(uint256(0xff) << shift) | uint256(functionId) << shift);
    }

    /// @dev The number of distinct hooks in a list.
    function hookCount(SelectorConfig self, HookKind kind) internal pure returns (uint256) {
        return SelectorConfig.unwrap(self) >> (COUNT_SHIFT + COUNT_SIZE * uint256(kind)) & MAX_COUNT;
    }

    /// @dev The config with another number of hooks. Panics if it does not fit: 4,096 distinct hooks are 16 plugins
    /// with all of their 256 functions on one selector, and could not run within a block.
    function withHookCount(SelectorConfig self, HookKind kind, uint256 count) internal pure returns (SelectorConfig) {
        assert(count <= MAX_COUNT);
        uint256 shift = COUNT_SHIFT + COUNT_SIZE * uint256(kind);
        return SelectorConfig.wrap(SelectorConfig.unwrap(self) & ~(MAX_COUNT << shift) | count << shift);
    }

    /// @dev Whether anything runs before or after execution.
    function hasExecutionHooks(SelectorConfig self) internal pure returns (bool) {
        // Both counts, which are adjacent.
        return uint24(SelectorConfig.unwrap(self) >> (COUNT_SHIFT + COUNT_SIZE * uint256(HookKind.PRE_EXECUTION))) != 0;
    }

    /// @dev The filter of installed plugins: of `execute` and `executeBatch` only.
    function filter(SelectorConfig self) internal pure returns (PluginFilter) {
        return PluginFilter.wrap(SelectorConfig.unwrap(self) >> FILTER_SHIFT);
    }

    /// @dev The config with another filter.
    function withFilter(SelectorConfig self, PluginFilter newFilter) internal pure returns (SelectorConfig) {
        uint256 rest = SelectorConfig.unwrap(self) & ((1 << FILTER_SHIFT) - 1);
        return SelectorConfig.wrap(rest | PluginFilter.unwrap(newFilter) << FILTER_SHIFT);
    }
}
