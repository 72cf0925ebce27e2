// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccountV08Test} from "../utils/AccountV08Test.sol";

/// @notice Smoke.
contract SmokeTest is AccountV08Test {
    function test_owner_executes() public {
        passes(ownerOp(executeCall(stranger, 1, "")));
        assertEq(stranger.balance, 1);
    }
}
