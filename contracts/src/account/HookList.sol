// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {FunctionReference} from "./FunctionReference.sol";

/// @notice A hook in a list:
///
///     bits    255..192   191..176   175..168   167..0
///            +----------+----------+----------+-------------------------------+
///            | zero     | paired   | copies   | function reference            |
///            +----------+----------+----------+-------------------------------+
///
///     paired   pre-execution hooks only: number of distinct post hooks paired with it
///     copies   number of copies added, minus one
type HookEntry is uint256;

using LibHookEntry for HookEntry global;

/// @title Fields of `HookEntry`
library LibHookEntry {
    uint256 private constant EXTRA_COPIES_SHIFT = 168;
    uint256 private constant PAIRED_COUNT_SHIFT = 176;

    /// @dev The hook itself.
    function hook(HookEntry self) internal pure returns (FunctionReference) {
        return FunctionReference.wrap(bytes21(uint168(HookEntry.unwrap(self))));
    }

    /// @dev The number of copies added, minus one.
    function extraCopies(HookEntry self) internal pure returns (uint256) {
        return uint8(HookEntry.unwrap(self) >> EXTRA_COPIES_SHIFT);
    }

    /// @dev The entry with one more copy; the caller enforces `LibHookList.MAX_COPIES`.
    function oneMoreCopy(HookEntry self) internal pure returns (HookEntry) {
        return HookEntry.wrap(HookEntry.unwrap(self) + (uint256(1) << EXTRA_COPIES_SHIFT));
    }

    /// @dev The entry with one copy less; it must have two or more.
    function oneCopyLess(HookEntry self) internal pure returns (HookEntry) {
        return HookEntry.wrap(HookEntry.unwrap(self) - (uint256(1) << EXTRA_COPIES_SHIFT));
    }

    /// @dev The number of distinct post hooks paired with it.
    function pairedCount(HookEntry self) internal pure returns (uint256) {
        return uint16(HookEntry.unwrap(self) >> PAIRED_COUNT_SHIFT);
    }

    /// @dev The entry with another number of paired hooks. Panics if it does not fit: see
    /// `LibSelectorConfig.withHookCount`.
    function withPairedCount(HookEntry self, uint256 count) internal pure returns (HookEntry) {
        assert(count <= type(uint16).max);
        return
            HookEntry.wrap(
                HookEntry.unwrap(self) & ~(uint256(0xffff) << PAIRED_COUNT_SHIFT) | count << PAIRED_COUNT_SHIFT
            );
    }
}

/// @title Lists of distinct hooks, with the number of copies of each
/// @notice A list is a mapping from index to entry, oldest first; its length is packed into another word, so a list of
/// one hook takes one word. Lists are short: a selector has a few hooks.
library LibHookList {
    /// @dev The maximum number of copies of a hook.
    uint256 internal constant MAX_COPIES = 256;

    /// @dev The index of a hook, or `length` if it is not in the list.
    function indexOf(mapping(uint256 => HookEntry) storage list, uint256 length, FunctionReference hook)
        internal
        view
        returns (uint256 index)
    {
        while (index < length && list[index].hook() != hook) ++index;
    }

    /// @dev Adds a copy of a hook: at the end if it is new, else in place.
    /// @return newLength The length afterwards.
    /// @return full True if nothing was added because there are `MAX_COPIES` already.
    function add(mapping(uint256 => HookEntry) storage list, uint256 length, FunctionReference hook)
        internal
        returns (uint256 newLength, bool full)
    {
        uint256 index = indexOf(list, length, hook);
        if (index == length) {
            list[index] = HookEntry.wrap(uint168(FunctionReference.unwrap(hook)));
            return (length + 1, false);
        }
        HookEntry entry = list[index];
        if (entry.extraCopies() == MAX_COPIES - 1) return (length, true);
        list[index] = entry.oneMoreCopy();
        return (length, false);
    }

    /// @dev Removes a copy of a hook that is in the list, and with its last copy the hook itself.
    /// @return newLength The length afterwards.
    function remove(mapping(uint256 => HookEntry) storage list, uint256 length, FunctionReference hook)
        internal
        returns (uint256 newLength)
    {
        uint256 index = indexOf(list, length, hook);
        HookEntry entry = list[index];
        if (entry.extraCopies() != 0) {
            list[index] = entry.oneCopyLess();
            return length;
        }
        newLength = length - 1;
        for (; index < newLength; ++index) {
            list[index] = list[index + 1];
        }
        list[newLength] = HookEntry.wrap(0);
    }

    /// @dev The entries of a list, newest first.
    function load(mapping(uint256 => HookEntry) storage list, uint256 length)
        internal
        view
        returns (HookEntry[] memory entries)
    {
        entries = new HookEntry[](length);
        for (uint256 i = 0; i < length; ++i) {
            entries[i] = list[length - 1 - i];
        }
    }
}
