// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ERC721} from "@openzeppelin/token/ERC721/ERC721.sol";

/// @notice An NFT collection that anyone may mint from. Like early ones, it also has the `transfer` of ERC-20, with an
/// id as the amount.
contract TestNft is ERC721("Test NFT", "NFT") {
    function mint(address to, uint256 id) external {
        _mint(to, id);
    }

    function transfer(address to, uint256 id) external {
        _transfer(msg.sender, to, id);
    }
}
