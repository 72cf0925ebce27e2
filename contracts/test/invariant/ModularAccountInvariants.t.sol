// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";

import {AccountHandler} from "./AccountHandler.sol";

/// @notice The account under random installations, uninstallations and calls. See `AccountHandler` for the checks.
contract ModularAccountInvariants is Test {
    AccountHandler private handler;

    function setUp() public {
        handler = new AccountHandler();
        targetContract(address(handler));
        bytes4[] memory selectors = new bytes4[](3);
        selectors[0] = AccountHandler.installPlugin.selector;
        selectors[1] = AccountHandler.uninstallPlugin.selector;
        selectors[2] = AccountHandler.call.selector;
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    /// @dev Cheap, so it has more runs. These settings also override those of the other profile in foundry.toml.
    /// forge-config: default.invariant.runs = 32
    /// forge-config: default.invariant.depth = 60
    /// forge-config: deep.invariant.runs = 1000
    /// forge-config: deep.invariant.depth = 50
    function invariant_loupeAgreesWithTheBooks() public {
        handler.checkLoupe();
        handler.checkTargets();
    }

    /// @dev A fixed sequence in which calls and uninstallations both succeed and are refused; otherwise the checks
    /// would prove little.
    function test_everythingHappens() public {
        // 0x0f: takes both roles of the first selector, and forbids calling it.
        handler.installPlugin(0, uint256(0x0f) << 8);
        handler.call(0, address(7), false);
        assertEq(handler.executed(), 0);
        handler.uninstallPlugin(0);
        // Everything except forbidding: executor, validator, hooks 3; no dependencies.
        uint256 seed = 0x0f7f;
        handler.installPlugin(0, (seed | seed << 16 | seed << 32 | seed << 48) << 8 | 5);
        handler.call(0, address(7), false);
        handler.call(0, address(7), true);
        assertEq(handler.executed(), 1);
        handler.installPlugin(1, 0);
        handler.uninstallPlugin(0);
        assertEq(handler.refusedUninstalls(), 1);
        handler.checkLoupe();
        handler.checkTargets();
    }
}
