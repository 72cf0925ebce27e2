// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {PingTarget} from "../../mocks/PingTarget.sol";
import {TestToken} from "../../mocks/TestToken.sol";
import {join, listOf} from "../../utils/ListLiterals.sol";
import {Call} from "../../../src/interfaces/IStandardExecutor.sol";
import {IEntryPointV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {
    allow,
    entry,
    functionEntry,
    gasLimit,
    nativeLimit,
    timeRange,
    tokenLimit
} from "../utils/PermissionUpdates.sol";
import {SessionKeyAccountTest} from "../utils/SessionKeyAccountTest.sol";

/// @notice Gas of whole `handleOps` transactions with one operation each, in the steady state (second use), on the
/// tests' own account. That account is not gas-efficient: the figures show how a change of the module affects a
/// transaction, not what a transaction costs on a deployed account. Recorded in
/// `contracts/test/gas/snapshots/SessionKeysOnAccountGas.json`.
///
/// "P" is a key with every kind of permission: a time range, one contract with one function on the allowlist, a native
/// and a gas limit that refresh, and an ERC-20 limit.
/// forge-config: default.isolate = true
contract SessionKeysOnAccountGasTest is SessionKeyAccountTest {
    function test_gas_installation() public {
        uninstallModule();
        _measure(ownerOp(selfCalls(installCalls(noKeys()))), "owner: installation without keys");
    }

    function test_gas_installationWithAKey() public {
        uninstallModule();
        _measure(ownerOp(selfCalls(installCalls(oneKey(_everything())))), "owner: installation with one key, P");
    }

    function test_gas_deferredInstallation() public {
        uninstallModule();
        bytes memory action = selfCalls(installCalls(oneKey(listOf(allow(address(target)), _timeRange()))));
        uint192 ofNonceKey = nonceKey(laneOf(key.addr), ENTITY, HAS_DEFERRED_ACTION);
        PackedUserOperation memory op = buildUserOp(useCall(ping()), ofNonceKey);
        op.signature = abi.encodePacked(deferred(op.nonce, 1_700_001_000, action), hex"ff", signatureOf(op, key));
        _measure(op, "key: deferred installation and first use");
    }

    function test_gas_allowlistedAddress() public {
        grant(listOf(_timeRange(), allow(address(target))));
        _measureUse(ping(), "key: allowlisted address, time range");
    }

    function test_gas_allowlistedFunction() public {
        grant(
            listOf(
                _timeRange(),
                entry(address(target), true, true),
                functionEntry(address(target), PingTarget.ping.selector, true)
            )
        );
        _measureUse(ping(), "key: allowlisted function, time range");
    }

    function test_gas_nativeLimit() public {
        grant(listOf(_timeRange(), allow(address(target)), nativeLimit(1 ether, 0)));
        _measureUse(ping(1), "key: native limit, 1 wei");
    }

    function test_gas_erc20Limit() public {
        grant(listOf(_timeRange(), allow(address(token)), tokenLimit(address(token), 1000 ether, 0)));
        _measureUse(transfer(1 ether), "key: ERC-20 limit, transfer");
    }

    function test_gas_gasLimitThatRefreshes() public {
        grant(listOf(_timeRange(), allow(address(target)), gasLimit(1 ether, INTERVAL)));
        _measureUse(ping(), "key: gas limit that refreshes");
    }

    function test_gas_everything() public {
        grant(_everything());
        _measureUse(ping(1), "key: P, one call, 1 wei");
    }

    function test_gas_everything_batchOfFive() public {
        grant(_everything());
        update(entry(address(token), true, true));
        update(functionEntry(address(token), TestToken.transfer.selector, true));
        Call[] memory pings = join(join(ping(1), ping(1)), ping(1));
        _measureUse(join(pings, join(transfer(1 ether), transfer(2 ether))), "key: P, batch of five");
    }

    /* Measuring */

    /// @dev Uses the key twice, and measures the second use.
    function _measureUse(Call[] memory calls, string memory name) private {
        runs(calls);
        vm.warp(block.timestamp + 60);
        _measure(keyOp(calls), name);
    }

    function _measure(PackedUserOperation memory op, string memory name) private {
        PackedUserOperation[] memory ops = new PackedUserOperation[](1);
        ops[0] = op;
        vm.recordLogs();
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics[0], IEntryPointV07.UserOperationEvent.selector);
        (, bool success,,) = abi.decode(last.data, (uint256, bool, uint256, uint256));
        assertTrue(success, "measured use");
        vm.snapshotValue("SessionKeysOnAccountGas", name, gas);
    }

    function _everything() private view returns (bytes[] memory updates) {
        updates = new bytes[](6);
        updates[0] = _timeRange();
        updates[1] = entry(address(target), true, true);
        updates[2] = functionEntry(address(target), PingTarget.ping.selector, true);
        updates[3] = nativeLimit(1 ether, INTERVAL);
        updates[4] = tokenLimit(address(token), 1000 ether, 0);
        updates[5] = gasLimit(1 ether, INTERVAL);
    }

    function _timeRange() private view returns (bytes memory) {
        uint48 time = uint48(block.timestamp);
        return timeRange(time - 100, time + 365 days);
    }
}
