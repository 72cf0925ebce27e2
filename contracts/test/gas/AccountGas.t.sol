// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Counter} from "../mocks/Counter.sol";
import {MockPlugin} from "../mocks/MockPlugin.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Gas of runtime calls and code sizes; user operations are measured in `SessionKeyGas.t.sol`.
contract AccountGasTest is AccountTest {
    uint256 private constant EIP_170_LIMIT = 24_576;

    /// @dev Installs a plugin at an address whose bit in the filter of installed plugins is, or is not, that of the counter.
    function _installWithBit(uint160 start, bool same) private {
        uint160 at = start;
        while ((at % 24 == uint160(address(counter)) % 24) != same) ++at;
        vm.etch(address(at), address(plugin).code);
        install(MockPlugin(payable(address(at))), emptyManifest());
    }

    function _measure() private returns (uint256) {
        vm.prank(owner.addr);
        account.execute(address(counter), 0, abi.encodeCall(Counter.increment, ()));
        return vm.lastCallGas().gasTotalUsed;
    }

    /// @dev Plugins make calls no more expensive, except for the few targets that share a bit in the filter with one of
    /// them: the target's own word must then be read, cold (2,100).
    /// forge-config: default.isolate = true
    function test_execute_costsTheSameWithPlugins() public {
        while (uint160(address(counter)) % 24 == uint160(address(ownerPlugin)) % 24) counter = new Counter();
        _measure();
        uint256 before = _measure();
        for (uint160 i = 1; i < 4; ++i) {
            _installWithBit(i << 100, false);
        }
        assertEq(_measure(), before);
        _installWithBit(4 << 100, true);
        uint256 withRead = _measure();
        assertGt(withRead, before + 2_100);
        assertLt(withRead, before + 2_400);
    }

    /// @dev With margin.
    function test_codeSizes_leaveAMargin() public view {
        assertLt(implementation.code.length, EIP_170_LIMIT - 512);
        assertLt(address(ownerPlugin).code.length, EIP_170_LIMIT / 2);
        assertLt(address(factory).code.length, EIP_170_LIMIT / 2);
    }
}
