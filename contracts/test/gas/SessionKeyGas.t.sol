// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {PingTarget} from "../mocks/PingTarget.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {join, listOf} from "../utils/ListLiterals.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";

/// @notice Gas of whole `handleOps` transactions with one operation each, in the steady state (second use). The figures
/// are recorded in `contracts/test/gas/snapshots/SessionKeyGas.json`, which is checked in; each scenario also has a
/// bound, so the record cannot grow unnoticed.
///
/// "P" is a key with everything: a time range, one contract with one function on the allowlist, a native and a gas limit that
/// refresh, and an ERC-20 limit.
/// forge-config: default.isolate = true
contract SessionKeyGasTest is SessionKeyStackTest {
    function setUp() public override {
        super.setUp();
        // Makes the nonce of the owner's lane nonzero.
        sendAsOwner(executeCall(address(target), 0, ping()[0].data));
    }

    /* Scenarios */

    function test_gas_ownerExecute() public {
        UserOperation memory op = buildUserOp(executeCall(address(target), 0, ping()[0].data));
        _measure(op, owner, "owner: execute", 92_000);
    }

    function test_gas_installPlugin_oneKeyWithEverything() public {
        uninstall(address(plugin));
        bytes memory callData = installCall(address(plugin), oneKey(_everything()), ownerDependencies());
        _measure(buildUserOp(callData), owner, "owner: installPlugin with one key, P", 900_000);
    }

    function test_gas_addSessionKey_secondWithEverything() public {
        grant(makeAddr("first key"), new bytes[](0));
        bytes memory callData =
            abi.encodeCall(ISessionKeyPlugin.addSessionKey, (key.addr, bytes32("tag"), _everything()));
        _measure(buildUserOp(callData), owner, "owner: addSessionKey, P, second key", 310_000);
    }

    function test_gas_allowlistedAddress() public {
        grant(listOf(_timeRange(), allow(address(target))));
        _measureUse(ping(), 0, "key: allowlisted address, time range", 112_000);
    }

    function test_gas_allowlistedFunction() public {
        grant(
            listOf(
                _timeRange(),
                entry(address(target), true, true),
                functionEntry(address(target), PingTarget.ping.selector, true)
            )
        );
        _measureUse(ping(), 0, "key: allowlisted function, time range", 114_500);
    }

    function test_gas_nativeLimit() public {
        grant(listOf(_timeRange(), allow(address(target)), nativeLimit(1 ether, 0)));
        _measureUse(ping(1), 0, "key: native limit, 1 wei", 122_000);
    }

    function test_gas_erc20Limit() public {
        grant(listOf(_timeRange(), allow(address(token)), tokenLimit(1000 ether, 0)));
        _measureUse(transfer(1 ether), 0, "key: ERC-20 limit, transfer", 134_000);
    }

    function test_gas_gasLimitWithRefresh() public {
        grant(listOf(_timeRange(), allow(address(target)), gasLimit(1 ether, INTERVAL)));
        _measureUse(ping(), uint160(key.addr), "key: gas limit that refreshes", 122_000);
    }

    function test_gas_everything() public {
        grant(_everything());
        _measureUse(ping(1), uint160(key.addr), "key: P, one call, 1 wei", 133_000);
    }

    function test_gas_everything_batchOfFive() public {
        grant(_everything());
        vm.prank(owner.addr);
        keys.updateKeyPermissions(
            key.addr,
            listOf(entry(address(token), true, true), functionEntry(address(token), TestToken.transfer.selector, true))
        );
        Call[] memory pings = join(join(ping(1), ping(1)), ping(1));
        Call[] memory transfers = join(transfer(1 ether), transfer(2 ether));
        _measureUse(join(pings, transfers), uint160(key.addr), "key: P, batch of five", 218_000);
    }

    /* Measuring */

    /// @dev Uses the key twice; the second use is measured.
    function _measureUse(Call[] memory calls, uint192 nonceKey, string memory name, uint256 bound) private {
        bytes memory callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key.addr));
        UserOperation memory first = buildUserOp(callData, nonceKey);
        sign(first, key.privateKey);
        (bool success,) = send(first);
        assertTrue(success, "first use");
        vm.warp(block.timestamp + 60);
        _measure(buildUserOp(callData, nonceKey), key, name, bound);
    }

    function _measure(UserOperation memory op, Vm.Wallet memory signer, string memory name, uint256 bound) private {
        op.callGasLimit = 2_000_000;
        op.verificationGasLimit = 1_000_000;
        sign(op, signer.privateKey);
        UserOperation[] memory ops = new UserOperation[](1);
        ops[0] = op;
        vm.recordLogs();
        vm.prank(bundler, bundler);
        ENTRY_POINT.handleOps(ops, beneficiary);
        uint256 gas = vm.lastCallGas().gasTotalUsed;
        _requireSuccess(vm.getRecordedLogs());
        assertLe(gas, bound, name);
        vm.snapshotValue("SessionKeyGas", name, gas);
    }

    function _requireSuccess(Vm.Log[] memory logs) private pure {
        Vm.Log memory last = logs[logs.length - 1];
        assertEq(last.topics[0], IEntryPoint.UserOperationEvent.selector);
        (, bool success,,) = abi.decode(last.data, (uint256, bool, uint256, uint256));
        assertTrue(success, "measured use");
    }

    function _everything() private view returns (bytes[] memory updates) {
        updates = new bytes[](6);
        updates[0] = _timeRange();
        updates[1] = entry(address(target), true, true);
        updates[2] = functionEntry(address(target), PingTarget.ping.selector, true);
        updates[3] = nativeLimit(1 ether, INTERVAL);
        updates[4] = tokenLimit(1000 ether, 0);
        updates[5] = gasLimit(1 ether, INTERVAL);
    }

    function _timeRange() private view returns (bytes memory) {
        uint48 time = uint48(block.timestamp);
        return timeRange(time - 100, time + 365 days);
    }
}
