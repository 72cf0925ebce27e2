// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {LibSessionKeyCalls} from "../../src/session-key/LibSessionKeyCalls.sol";

/// @notice The decoder alone: no other rule can refuse.
contract CallDecoder {
    using LibSessionKeyCalls for Call[];

    /// @notice Decodes the first `length` bytes of `data` as arguments; the others follow them.
    function decode(bytes calldata data, uint256 length)
        external
        pure
        returns (Call[] memory copied, address sessionKey)
    {
        Call[] calldata calls;
        (calls, sessionKey) = LibSessionKeyCalls.decode(data[:length]);
        copied = new Call[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (copied[i].target, copied[i].value, copied[i].data) = calls.at(i);
        }
    }
}
