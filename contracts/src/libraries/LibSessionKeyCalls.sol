// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";

/// @title Decoding of the arguments of `executeWithSessionKey`
/// @notice Validation reads them from the call data inside a user operation, execution from its own call data. Both use
/// this decoder, so that they agree on every input. Of what Solidity's own decoder accepts, it refuses only what no encoder
/// makes: every offset must point forward, and every word it leads to must lie inside the arguments.
library LibSessionKeyCalls {
    /// @notice Decodes and checks everything. Reverts with `PermissionsCheckFailed` on malformed arguments.
    /// @param args The call data without its selector: offset of the calls, session key, the calls.
    /// @return calls To be read with `at` only, which does not check again.
    function decode(bytes calldata args)
        internal
        pure
        returns (ISessionKeyPlugin.Call[] calldata calls, address sessionKey)
    {
        bool wellFormed;
        assembly ("memory-safe") {
            // Offsets are compared with what is left of `args`, as unsigned numbers: one that points backward is huge.
            function isInside(offset, need, size) -> inside {
                inside := and(iszero(lt(size, need)), iszero(gt(offset, sub(size, need))))
            }

            let size := args.length
            calls.offset := args.offset
            calls.length := 0
            if iszero(lt(size, 64)) {
                sessionKey := calldataload(add(args.offset, 32))
                let offset := calldataload(args.offset)
                wellFormed := and(iszero(shr(160, sessionKey)), isInside(offset, 32, size))
                if wellFormed {
                    calls.length := calldataload(add(args.offset, offset))
                    calls.offset := add(add(args.offset, offset), 32)
                    // `size` is from now on what is left from `calls.offset` on.
                    size := sub(sub(size, offset), 32)
                    wellFormed := iszero(gt(calls.length, shr(5, size)))
                }
            }
            if wellFormed {
                let headsEnd := add(calls.offset, shl(5, calls.length))
                for { let head := calls.offset } lt(head, headsEnd) { head := add(head, 32) } {
                    // A call is three words: target, value, offset of the data from the first of them.
                    let callOffset := calldataload(head)
                    wellFormed := isInside(callOffset, 96, size)
                    if iszero(wellFormed) { break }
                    let call_ := add(calls.offset, callOffset)
                    let left := sub(size, callOffset)
                    let dataOffset := calldataload(add(call_, 64))
                    wellFormed := and(iszero(shr(160, calldataload(call_))), isInside(dataOffset, 32, left))
                    if iszero(wellFormed) { break }
                    wellFormed := iszero(gt(calldataload(add(call_, dataOffset)), sub(sub(left, dataOffset), 32)))
                    if iszero(wellFormed) { break }
                }
            }
        }
        if (!wellFormed) revert ISessionKeyPlugin.PermissionsCheckFailed();
    }

    /// @notice The call at `index`, which must be below `calls.length`, of calls that `decode` returned.
    function at(ISessionKeyPlugin.Call[] calldata calls, uint256 index)
        internal
        pure
        returns (address target, uint256 value, bytes calldata data)
    {
        assembly ("memory-safe") {
            let call_ := add(calls.offset, calldataload(add(calls.offset, shl(5, index))))
            target := calldataload(call_)
            value := calldataload(add(call_, 32))
            let dataHead := add(call_, calldataload(add(call_, 64)))
            // Length and offset are two parts of `data`, not the same variable twice.
            // slither-disable-next-line write-after-write
            data.length := calldataload(dataHead)
            data.offset := add(dataHead, 32)
        }
    }
}
