// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";
import {Call} from "../interfaces/IStandardExecutor.sol";

/// @title Decoder of the arguments of `executeWithSessionKey`
/// @notice Validation reads them from the call data inside a user operation, execution from its own call data. Both use
/// this decoder, so they agree on every input. Of the encodings that Solidity's own decoder accepts, it refuses only
/// those that no encoder produces: every offset must point past the words that it stands among, and its target must lie
/// inside the arguments.
library LibSessionKeyCalls {
    /// @dev Decodes and checks everything. Reverts with `PermissionsCheckFailed` on malformed arguments.
    /// @param args The call data without its selector: offset of the calls, session key, the calls.
    /// @return calls Read these with `at` only, which does not check again.
    function decode(bytes calldata args) internal pure returns (Call[] calldata calls, address sessionKey) {
        bool wellFormed;
        assembly ("memory-safe") {
            // Offsets point past a head of fixed size. Counted from its end, they are compared as unsigned numbers with
            // the bytes left: an offset into the head, or before it, is huge.
            function isInside(offset, need, left) -> inside {
                inside := and(iszero(lt(left, need)), iszero(gt(offset, sub(left, need))))
            }

            calls.offset := args.offset
            calls.length := 0
            let left := sub(args.length, 64)
            if iszero(lt(args.length, 64)) {
                sessionKey := calldataload(add(args.offset, 32))
                let offset := sub(calldataload(args.offset), 64)
                wellFormed := and(iszero(shr(160, sessionKey)), isInside(offset, 32, left))
                if wellFormed {
                    calls.offset := add(add(args.offset, 96), offset)
                    calls.length := calldataload(sub(calls.offset, 32))
                    left := sub(sub(left, offset), 32)
                    wellFormed := iszero(gt(calls.length, shr(5, left)))
                }
            }
            if wellFormed {
                let headSize := shl(5, calls.length)
                let headEnd := add(calls.offset, headSize)
                left := sub(left, headSize)
                for { let head := calls.offset } lt(head, headEnd) { head := add(head, 32) } {
                    // A call is three words: target, value, offset of the data from the first of them.
                    let callOffset := sub(calldataload(head), headSize)
                    wellFormed := isInside(callOffset, 96, left)
                    if iszero(wellFormed) { break }
                    let call_ := add(headEnd, callOffset)
                    let leftOfCall := sub(sub(left, callOffset), 96)
                    let dataOffset := sub(calldataload(add(call_, 64)), 96)
                    wellFormed := and(iszero(shr(160, calldataload(call_))), isInside(dataOffset, 32, leftOfCall))
                    if iszero(wellFormed) { break }
                    let dataLength := calldataload(add(add(call_, 96), dataOffset))
                    wellFormed := iszero(gt(dataLength, sub(sub(leftOfCall, dataOffset), 32)))
                    if iszero(wellFormed) { break }
                }
            }
        }
        if (!wellFormed) revert ISessionKeyPlugin.PermissionsCheckFailed();
    }

    /// @dev The call at `index`, below `calls.length`, of calls that `decode` returned.
    function at(Call[] calldata calls, uint256 index)
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
