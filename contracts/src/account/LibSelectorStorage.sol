// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {SelectorStorage} from "./AccountStorage.sol";
import {FunctionReference, packReference} from "./FunctionReference.sol";
import {Role, SelectorConfig} from "./SelectorConfig.sol";

/// @title Roles of an execution selector
/// @dev See `SelectorConfig` for how they are stored.
library LibSelectorStorage {
    uint256 private constant CELLS = 3;

    /// @dev The plugin of a role; zero if there is none.
    /// @param config The first word of `self`, which the caller has read.
    function pluginOf(SelectorStorage storage self, SelectorConfig config, Role role) internal view returns (address) {
        uint256 cell = config.cellOf(role);
        return cell == 0 ? address(0) : _readCell(self, config, cell);
    }

    /// @dev The function of a validation role; NONE or RUNTIME_VALIDATION_ALWAYS_ALLOW if no plugin has it.
    function functionOf(SelectorStorage storage self, SelectorConfig config, Role role)
        internal
        view
        returns (FunctionReference)
    {
        return packReference(pluginOf(self, config, role), config.functionIdOf(role));
    }

    /// @dev Assigns a vacant role to a plugin.
    /// @param plugin Zero only for RUNTIME_VALIDATION_ALWAYS_ALLOW.
    /// @param functionId Zero for the executing plugin.
    function assign(SelectorStorage storage self, Role role, address plugin, uint8 functionId) internal {
        SelectorConfig config = self.config;
        if (role != Role.EXECUTION) config = config.withFunctionId(role, functionId);
        if (plugin != address(0)) {
            uint256 cell;
            for (uint256 i = CELLS; i != 0; --i) {
                if (!config.usesCell(i)) {
                    cell = i;
                } else if (_readCell(self, config, i) == plugin) {
                    cell = i;
                    break;
                }
            }
            if (!config.usesCell(cell)) config = _writeCell(self, config, cell, plugin);
            config = config.withCell(role, cell);
        }
        self.config = config;
    }

    /// @dev Vacates a role.
    function clear(SelectorStorage storage self, Role role) internal {
        SelectorConfig config = self.config;
        if (role != Role.EXECUTION) config = config.withFunctionId(role, 0);
        uint256 cell = config.cellOf(role);
        if (cell != 0) {
            config = config.withCell(role, 0);
            if (!config.usesCell(cell)) config = _writeCell(self, config, cell, address(0));
        }
        self.config = config;
    }

    /// @dev The plugin in a cell, 1 to 3.
    function _readCell(SelectorStorage storage self, SelectorConfig config, uint256 cell)
        private
        view
        returns (address)
    {
        if (cell == 1) return config.firstCell();
        return cell == 2 ? self.cell2 : self.cell3;
    }

    /// @dev Puts a plugin in a cell, 1 to 3. Cell 1 is in the returned config only.
    function _writeCell(SelectorStorage storage self, SelectorConfig config, uint256 cell, address plugin)
        private
        returns (SelectorConfig)
    {
        if (cell == 1) return config.withFirstCell(plugin);
        if (cell == 2) self.cell2 = plugin;
        else self.cell3 = plugin;
        return config;
    }
}
