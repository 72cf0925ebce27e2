// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {console} from "forge-std/console.sol";

import {SessionKeyHandler} from "./SessionKeyHandler.sol";

/// @notice Random bundles of owners and keys, runtime calls and time, checked against a reference and invariants. See
/// `SessionKeyHandler` and `ObservedSpending` for the checks after every action.
contract SessionKeyInvariants is Test {
    /// @dev The number of `SessionKeyHandler.Event`s.
    uint256 private constant EVENTS = 13;

    SessionKeyHandler private handler;

    function setUp() public {
        assertEq(uint256(type(SessionKeyHandler.Event).max) + 1, EVENTS);
        handler = new SessionKeyHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](8);
        // Most actions are bundles.
        for (uint256 i = 0; i < 5; ++i) {
            selectors[i] = SessionKeyHandler.sendBundle.selector;
        }
        selectors[5] = SessionKeyHandler.timePasses.selector;
        selectors[6] = SessionKeyHandler.ownerCalls.selector;
        selectors[7] = SessionKeyHandler.anyoneResets.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
    }

    function invariant_pluginAgreesWithTheReference() public {
        handler.check();
    }

    /// @dev Prints how often each event happened in all runs: the process environment outlives a run. Forge repeats the
    /// last run to show its output, so the sum from before that run is printed.
    function afterInvariant() public {
        for (uint256 i = 0; i < EVENTS; ++i) {
            string memory variable = string.concat("SESSION_KEY_EVENTS_", vm.toString(i));
            uint256 sum = vm.envOr(variable, uint256(0));
            console.log(_names()[i], sum);
            vm.setEnv(variable, vm.toString(sum + handler.counts(SessionKeyHandler.Event(i))));
        }
        // With at least 30 actions, one in 10^12 runs would have none.
        assertGt(handler.counts(SessionKeyHandler.Event.BUNDLE), 0);
    }

    /// @dev A fixed sequence in which every event happens; otherwise the checks would prove little.
    function test_everythingHappens() public {
        for (uint256 seed = 0; seed < 200; ++seed) {
            handler.sendBundle(seed);
            handler.timePasses(uint256(keccak256(abi.encode(seed))));
            if (seed % 4 == 0) handler.ownerCalls(seed);
        }
        for (uint256 i = 0; i < EVENTS; ++i) {
            console.log(_names()[i], handler.counts(SessionKeyHandler.Event(i)));
        }
        for (uint256 i = 0; i < EVENTS; ++i) {
            assertGt(handler.counts(SessionKeyHandler.Event(i)), 0, _names()[i]);
        }
    }

    /// @dev The names of `SessionKeyHandler.Event`.
    function _names() private pure returns (string[EVENTS] memory) {
        return [
            "bundles sent",
            "operation refused by the plugin",
            "operation refused for its signature",
            "operation refused for the time",
            "owner's operation succeeded",
            "owner's operation failed",
            "key's operation succeeded",
            "key's operation after its key was removed or rotated in the bundle",
            "key's operation after its key was narrowed or expired in the bundle",
            "key's operation over the native limit after others in the bundle",
            "key's operation over the token limit",
            "key's operation whose call failed",
            "window of a gas limit opened"
        ];
    }
}
