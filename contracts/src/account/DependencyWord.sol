// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// @notice Consecutive dependencies of a plugin on functions of one other plugin:
///
///     bits    255..168                           167..160    159..0
///            +----------------------------------+-----------+-------------------------+
///            | function ids                     | count     | the other plugin        |
///            +----------------------------------+-----------+-------------------------+
///
///     function ids   8 bits each, the first in the lowest bits
///     count          number of functions, 1 to 11
type DependencyWord is uint256;

using LibDependencyWord for DependencyWord global;

/// @title Fields of `DependencyWord`
library LibDependencyWord {
    uint256 private constant COUNT_SHIFT = 160;
    uint256 private constant FUNCTION_IDS_SHIFT = 168;
    uint256 private constant MAX_COUNT = 11;

    /// @dev A word without functions of a plugin.
    function create(address dependency) internal pure returns (DependencyWord) {
        return DependencyWord.wrap(uint160(dependency));
    }

    /// @dev The other plugin.
    function plugin(DependencyWord self) internal pure returns (address) {
        return address(uint160(DependencyWord.unwrap(self)));
    }

    /// @dev The number of functions; zero in a word that is not in use.
    function count(DependencyWord self) internal pure returns (uint256) {
        return uint8(DependencyWord.unwrap(self) >> COUNT_SHIFT);
    }

    /// @dev Whether a function of the plugin fits in it.
    function takes(DependencyWord self, address other) internal pure returns (bool) {
        return self.count() != 0 && self.plugin() == other && self.count() != MAX_COUNT;
    }

    /// @dev The word with one more function, which must fit.
    function withFunction(DependencyWord self, uint8 functionId) internal pure returns (DependencyWord) {
        uint256 word = DependencyWord.unwrap(self) + (1 << COUNT_SHIFT);
        return DependencyWord.wrap(word | uint256(functionId) << (FUNCTION_IDS_SHIFT + 8 * self.count()));
    }
}
