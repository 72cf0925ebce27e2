// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call, IStandardExecutor} from "../interfaces/IStandardExecutor.sol";
import {LibSessionKeyCalls} from "./LibSessionKeyCalls.sol";

/// @title Making calls through an account
/// @notice Calls are re-encoded in the standard way, so the account reads exactly what was checked. Its return data is
/// passed on unchanged: the caller is the account itself.
library LibAccountCalls {
    using LibSessionKeyCalls for Call[];

    /// @dev Makes the calls through the account: one with `execute`, several with `executeBatch`. Bubbles up the
    /// account's revert.
    /// @param calls At least one, as `LibSessionKeyCalls.decode` returned them.
    /// @return start The memory offset of the encoded `bytes[]` that the calls returned.
    /// @return size Its length, in bytes.
    function makeThrough(Call[] calldata calls, address account) internal returns (uint256 start, uint256 size) {
        return calls.length == 1 ? _execute(calls, account) : _executeBatch(calls, account);
    }

    /// @dev `execute` returns encoded `bytes`. Two words before it make it the only element of an array.
    function _execute(Call[] calldata calls, address account) private returns (uint256 start, uint256 size) {
        bytes4 selector = IStandardExecutor.execute.selector;
        uint256 end;
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(start, selector)
            end := add(start, 0x04)
        }
        end = _encode(calls, 0, end);
        _call(account, start, end);
        assembly ("memory-safe") {
            mstore(start, 0x20)
            mstore(add(start, 0x20), 1)
            returndatacopy(add(start, 0x40), 0, returndatasize())
            size := add(returndatasize(), 0x40)
        }
    }

    /// @dev The return data of `executeBatch` is returned as it is.
    function _executeBatch(Call[] calldata calls, address account) private returns (uint256 start, uint256 size) {
        bytes4 selector = IStandardExecutor.executeBatch.selector;
        uint256 heads;
        uint256 end;
        assembly ("memory-safe") {
            start := mload(0x40)
            mstore(start, selector)
            mstore(add(start, 0x04), 0x20)
            mstore(add(start, 0x24), calls.length)
            heads := add(start, 0x44)
            end := add(heads, shl(5, calls.length))
        }
        for (uint256 i = 0; i < calls.length; ++i) {
            assembly ("memory-safe") {
                mstore(add(heads, shl(5, i)), sub(end, heads))
            }
            end = _encode(calls, i, end);
        }
        _call(account, start, end);
        assembly ("memory-safe") {
            returndatacopy(start, 0, returndatasize())
            size := returndatasize()
        }
    }

    /// @dev Encodes one call at `start`: target, value, offset, length, and data padded with zeros.
    /// @return end Where its encoding ends.
    function _encode(Call[] calldata calls, uint256 index, uint256 start) private pure returns (uint256 end) {
        (address target, uint256 value, bytes calldata data) = calls.at(index);
        assembly ("memory-safe") {
            mstore(start, target)
            mstore(add(start, 0x20), value)
            mstore(add(start, 0x40), 0x60)
            mstore(add(start, 0x60), data.length)
            let dataStart := add(start, 0x80)
            calldatacopy(dataStart, data.offset, data.length)
            mstore(add(dataStart, data.length), 0)
            end := add(dataStart, and(add(data.length, 0x1f), not(0x1f)))
        }
    }

    /// @dev Calls the account with the call data in memory and bubbles up its revert. Reverts without data if it
    /// returns less than the two words that every encoded answer has.
    function _call(address account, uint256 start, uint256 end) private {
        assembly ("memory-safe") {
            if iszero(call(gas(), account, 0, start, sub(end, start), 0, 0)) {
                returndatacopy(start, 0, returndatasize())
                revert(start, returndatasize())
            }
            if lt(returndatasize(), 0x40) { revert(0, 0) }
        }
    }
}
