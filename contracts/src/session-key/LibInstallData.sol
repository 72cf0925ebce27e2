// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IPluginErrors} from "../interfaces/IPluginErrors.sol";

/// @title Decoder of session key install data
/// @notice `abi.encode(address[] keys, bytes32[] tags, bytes[][] permissionUpdates)`, read in place from the call data.
/// All of it must lie inside the install data: Solidity only checks against the end of the call data, which may be
/// padded, so it would fill up truncated install data with zeros.
library LibInstallData {
    /// @dev Decodes the three arrays. Solidity checks their elements when they are read; `requireInside` checks the
    /// updates. Reverts with `InvalidAction`, or by Solidity's own checks, if an array is not inside `data`.
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

    /// @dev The array whose offset is word `index` of `data`: the call data offset of its elements, and their number.
    /// Reverts if they are not inside `data`. An element, or its offset, takes one word.
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
