// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IPluginErrors} from "../interfaces/IPluginErrors.sol";

/// @title Decoding of the install data of session keys
/// @notice `abi.encode(address[] keys, bytes32[] tags, bytes[][] permissionUpdates)`, read where it stands in the call data. All
/// of it must lie inside the install data: Solidity compares with the end of the call data alone, which may be padded, so it
/// would complete truncated install data with zeros.
library LibInstallData {
    /// @dev Decodes the three arrays. Solidity checks what is inside them when it is read; `requireInside` does for updates.
    /// Reverts with `InvalidAction`, or by Solidity's own checks, if an array is not inside `data`.
    function decode(bytes calldata data)
        internal
        pure
        returns (address[] calldata keys, bytes32[] calldata tags, bytes[][] calldata updates)
    {
        (uint256 keysOffset, uint256 keysLength) = _arrayAt(data, 0);
        (uint256 tagsOffset, uint256 tagsLength) = _arrayAt(data, 1);
        (uint256 updatesOffset, uint256 updatesLength) = _arrayAt(data, 2);
        assembly ("memory-safe") {
            keys.offset := keysOffset
            keys.length := keysLength
            tags.offset := tagsOffset
            tags.length := tagsLength
            updates.offset := updatesOffset
            updates.length := updatesLength
        }
    }

    /// @dev Reverts with `InvalidAction` unless `updates`, which are one key's, end before `data` does.
    function requireInside(bytes[] calldata updates, bytes calldata data) internal pure {
        uint256 end;
        uint256 tail;
        assembly ("memory-safe") {
            end := add(data.offset, data.length)
            tail := add(updates.offset, shl(5, updates.length))
        }
        if (tail > end) revert IPluginErrors.InvalidAction();
        for (uint256 i = 0; i < updates.length; ++i) {
            bytes calldata update = updates[i];
            assembly ("memory-safe") {
                tail := add(update.offset, update.length)
            }
            if (tail > end) revert IPluginErrors.InvalidAction();
        }
    }

    /// @dev Where, in the call data, the elements of the array begin whose offset is the word at `index` of `data`, and
    /// how many there are. Reverts if they are not inside `data`. An element takes one word here (or its offset does).
    function _arrayAt(bytes calldata data, uint256 index) private pure returns (uint256 offset, uint256 length) {
        uint256 head = uint256(bytes32(data[index * 32:index * 32 + 32]));
        length = uint256(bytes32(data[head:][:32]));
        bytes calldata elements = data[head + 32:];
        if (length > elements.length / 32) revert IPluginErrors.InvalidAction();
        assembly ("memory-safe") {
            offset := elements.offset
        }
    }
}
