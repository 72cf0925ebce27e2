// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {LibSessionKeyCalls} from "../../src/session-key/LibSessionKeyCalls.sol";

/// @notice The decoder by itself: what it refuses, it refuses itself.
contract CallDecoder {
    using LibSessionKeyCalls for ISessionKeyPlugin.Call[];

    /// @notice Decodes the first `length` bytes of `data` as arguments; the others are what comes behind them.
    function decode(bytes calldata data, uint256 length)
        external
        pure
        returns (ISessionKeyPlugin.Call[] memory copied, address sessionKey)
    {
        ISessionKeyPlugin.Call[] calldata calls;
        (calls, sessionKey) = LibSessionKeyCalls.decode(data[:length]);
        copied = new ISessionKeyPlugin.Call[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (copied[i].target, copied[i].value, copied[i].data) = calls.at(i);
        }
    }
}
