// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PluginFilter} from "./PluginFilter.sol";

/// @notice The first word of what the account knows of an execution selector.
///
///    bits   0..159  cell 1: address of a plugin
///    bits 160..161  cell of the executing plugin          (0: none; 1..3)
///    bits 162..163  cell of the user operation validation (0: none; 1..3)
///    bits 164..165  cell of the runtime validation        (0: none; 1..3)
///    bits 166..167  zero
///    bits 168..175  function id of the user operation validation
///    bits 176..183  function id of the runtime validation
///    bits 184..195  number of distinct pre-user-operation-validation hooks
///    bits 196..207  number of distinct pre-runtime-validation hooks
///    bits 208..219  number of distinct pre-execution hooks
///    bits 220..231  number of distinct post-execution hooks that have no pre hook
///    bits 232..255  `execute` and `executeBatch` only: the `PluginFilter`, else zero
///
/// A selector has three *roles* (who executes it, who validates its user operations, who validates its runtime calls). Most
/// selectors have one or two plugins in these roles, so that addresses are kept in up to three *cells*, and each role says
/// which cell holds its plugin: 1 is in this word, 2 and 3 are words of their own. What a user operation needs is then
/// mostly in this one word: one cold read instead of two for validation, and none for execution.
///
/// RUNTIME_VALIDATION_ALWAYS_ALLOW, which has no plugin, is cell 0 with its function id 1.
type SelectorConfig is uint256;

using LibSelectorConfig for SelectorConfig global;

/// @notice What a plugin can be to an execution selector.
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

library LibSelectorConfig {
    uint256 private constant CELL_POSITION = 160;
    uint256 private constant CELL_SIZE = 2;
    // Function ids of the two validation roles; the execution role has none.
    uint256 private constant FUNCTION_ID_POSITION = 160;
    uint256 private constant FUNCTION_ID_SIZE = 8;
    uint256 private constant COUNT_POSITION = 184;
    uint256 private constant COUNT_SIZE = 12;
    uint256 private constant MAX_COUNT = 0xfff;
    uint256 private constant FILTER_POSITION = 232;

    /// @notice The cell that holds the plugin of a role; 0 if the role is not taken or has no plugin.
    function cellOf(SelectorConfig self, Role role) internal pure returns (uint256) {
        return SelectorConfig.unwrap(self) >> (CELL_POSITION + CELL_SIZE * uint256(role)) & 3;
    }

    function withCell(SelectorConfig self, Role role, uint256 cell) internal pure returns (SelectorConfig) {
        uint256 position = CELL_POSITION + CELL_SIZE * uint256(role);
        return SelectorConfig.wrap(SelectorConfig.unwrap(self) & ~(uint256(3) << position) | cell << position);
    }

    /// @notice Whether any role has its plugin in the cell.
    function usesCell(SelectorConfig self, uint256 cell) internal pure returns (bool) {
        return self.cellOf(Role.EXECUTION) == cell || self.cellOf(Role.USER_OP_VALIDATION) == cell
            || self.cellOf(Role.RUNTIME_VALIDATION) == cell;
    }

    function firstCell(SelectorConfig self) internal pure returns (address) {
        return address(uint160(SelectorConfig.unwrap(self)));
    }

    function withFirstCell(SelectorConfig self, address plugin) internal pure returns (SelectorConfig) {
        return SelectorConfig.wrap(SelectorConfig.unwrap(self) >> 160 << 160 | uint160(plugin));
    }

    /// @notice The function id of a validation role.
    function functionIdOf(SelectorConfig self, Role role) internal pure returns (uint8) {
        return uint8(SelectorConfig.unwrap(self) >> (FUNCTION_ID_POSITION + FUNCTION_ID_SIZE * uint256(role)));
    }

    function withFunctionId(SelectorConfig self, Role role, uint8 functionId) internal pure returns (SelectorConfig) {
        uint256 position = FUNCTION_ID_POSITION + FUNCTION_ID_SIZE * uint256(role);
        return SelectorConfig.wrap(
            SelectorConfig.unwrap(self) & ~(uint256(0xff) << position) | uint256(functionId) << position
        );
    }

    /// @notice The number of distinct hooks in a list.
    function hookCount(SelectorConfig self, HookKind kind) internal pure returns (uint256) {
        return SelectorConfig.unwrap(self) >> (COUNT_POSITION + COUNT_SIZE * uint256(kind)) & MAX_COUNT;
    }

    /// @dev Panics when the count does not fit: 4,096 distinct hooks are 16 plugins with all of their 256 functions on one
    /// selector, and could not run within a block.
    function withHookCount(SelectorConfig self, HookKind kind, uint256 count) internal pure returns (SelectorConfig) {
        assert(count <= MAX_COUNT);
        uint256 position = COUNT_POSITION + COUNT_SIZE * uint256(kind);
        return SelectorConfig.wrap(SelectorConfig.unwrap(self) & ~(MAX_COUNT << position) | count << position);
    }

    /// @notice Whether anything runs before or after execution.
    function hasExecutionHooks(SelectorConfig self) internal pure returns (bool) {
        // Both counts, which are neighbours.
        return
            uint24(SelectorConfig.unwrap(self) >> (COUNT_POSITION + COUNT_SIZE * uint256(HookKind.PRE_EXECUTION))) != 0;
    }

    function filter(SelectorConfig self) internal pure returns (PluginFilter) {
        return PluginFilter.wrap(SelectorConfig.unwrap(self) >> FILTER_POSITION);
    }

    function withFilter(SelectorConfig self, PluginFilter newFilter) internal pure returns (SelectorConfig) {
        uint256 rest = SelectorConfig.unwrap(self) & ((1 << FILTER_POSITION) - 1);
        return SelectorConfig.wrap(rest | PluginFilter.unwrap(newFilter) << FILTER_POSITION);
    }
}
