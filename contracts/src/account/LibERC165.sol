// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

/// @title ERC-165 queries
/// @dev Agrees with OpenZeppelin's `ERC165Checker` on every address, but queries the wanted interface first. Most
/// addresses that an account calls lack it, so one query suffices where `ERC165Checker` makes up to three.
library LibERC165 {
    /// @dev Gas units that ERC-165 allows for an answer.
    uint256 private constant GAS_LIMIT = 30_000;

    bytes4 private constant INVALID_INTERFACE = 0xffffffff;

    /// @dev Whether the address implements ERC-165, and the interface. False for an address without code, and for a
    /// precompile (which answers either nothing or true to all three queries).
    ///
    /// A caller low on gas may make a query fail for lack of it (EIP-150 passes on 63/64 of what is left), which counts
    /// as false. It then has 1/64 left, a few hundred gas units at most: not enough to do anything with the target.
    function hasInterface(address target, bytes4 interfaceId) internal view returns (bool) {
        return _answersTrue(target, interfaceId) && _answersTrue(target, type(IERC165).interfaceId)
            && !_answersTrue(target, INVALID_INTERFACE);
    }

    /// @dev One query: whether the address answers within the gas, with at least one word that is not zero.
    function _answersTrue(address target, bytes4 interfaceId) private view returns (bool answer) {
        bytes4 selector = IERC165.supportsInterface.selector;
        assembly ("memory-safe") {
            // Scratch space: 4 bytes selector, 32 bytes argument (which has zeros from byte 8 on).
            mstore(0x00, selector)
            mstore(0x04, interfaceId)
            let success := staticcall(GAS_LIMIT, target, 0x00, 0x24, 0x00, 0x20)
            answer := and(success, and(gt(returndatasize(), 0x1f), iszero(iszero(mload(0x00)))))
        }
    }
}
