// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {TestToken} from "./TestToken.sol";

/// @notice A token that can also leave its holder by a function other than `transfer`.
contract BurnableToken is TestToken {
    constructor() TestToken("Burnable Token", "BURN", 18) {}

    function burn(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        totalSupply -= amount;
        emit Transfer(msg.sender, address(0), amount);
    }
}
