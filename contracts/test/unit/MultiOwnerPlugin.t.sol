// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {StackTest} from "../utils/StackTest.sol";

contract MultiOwnerPluginTest is StackTest {
    function test_pluginManifest_hash() public view {
        assertEq(
            manifestHashOf(address(ownerPlugin)), 0x21d0f6cca8bef15ac65bf93ae5ae9ec383ea5010bf3e02b44d3c0abd2d2bd0fb
        );
    }

    function test_interfaceIds() public pure {
        assertEq(type(IMultiOwnerPlugin).interfaceId, bytes4(0xdb9b90a3));
        assertEq(type(IPlugin).interfaceId, bytes4(0xf23b1ed7));
    }
}
