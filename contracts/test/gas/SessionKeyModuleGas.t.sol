// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPermissionsUpdates as Updates} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {GasMeter} from "../mocks/GasMeter.sol";
import {PingTarget} from "../mocks/PingTarget.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {ModuleFace} from "../utils/SessionKeyFaces.sol";

/// @notice Gas of the module's own frames: a validation, then an execution in the same transaction, in the steady state
/// (second use). The account's own work, in validation and in the calls back, is excluded; the module query to the
/// target is included. Recorded in `contracts/test/gas/snapshots/SessionKeyModuleGas.json`, as `SessionKeyGasTest`
/// does.
/// forge-config: default.isolate = true
contract SessionKeyModuleGasTest is ModuleFace {
    PingTarget private target;

    function setUp() public override {
        super.setUp();
        target = new PingTarget();
    }

    function deployAccount() internal override returns (address) {
        return address(new GasMeter(address(face)));
    }

    /* Scenarios */

    function test_gas_allowlistedAddress() public {
        _grant(listOf(_timeRange(), _allow(address(target))));
        _measure("allowlisted address, time range", _ping(0), 13_500, 7_500);
    }

    function test_gas_allowlistedFunction() public {
        _grant(
            listOf(
                _timeRange(),
                abi.encodeCall(Updates.updateAccessListAddressEntry, (address(target), true, true)),
                abi.encodeCall(Updates.updateAccessListFunctionEntry, (address(target), PingTarget.ping.selector, true))
            )
        );
        _measure("allowlisted function, time range", _ping(0), 15_700, 7_300);
    }

    function test_gas_nativeLimit() public {
        _grant(
            listOf(
                _timeRange(), _allow(address(target)), abi.encodeCall(Updates.setNativeTokenSpendLimit, (1 ether, 0))
            )
        );
        _measure("native limit, 1 wei", _ping(1), 15_700, 10_600);
    }

    function test_gas_erc20Limit() public {
        _grant(
            listOf(
                _timeRange(),
                _allow(address(token)),
                abi.encodeCall(Updates.setERC20SpendLimit, (address(token), 1000 ether, 0))
            )
        );
        _measure("ERC-20 limit, transfer", transfer(1 ether), 13_500, 10_800);
    }

    function test_gas_everything() public {
        _grant(_everything());
        _measure("P, one call, 1 wei", _ping(1), 24_500, 15_000);
    }

    function test_gas_everything_batchOfFive() public {
        _grant(_everything());
        setEntry(address(token), true, true);
        setFunction(address(token), token.transfer.selector, true);
        Call[] memory pings = join(join(_ping(1), _ping(1)), _ping(1));
        _measure("P, batch of five", join(pings, join(transfer(1 ether), transfer(2 ether))), 35_500, 28_500);
    }

    function test_gas_management() public {
        vm.startSnapshotGas("SessionKeyModuleGas", "addSessionKey, P, second key, with a stub of an account");
        account.addSessionKey(makeAddr("second"), TAG, _everything());
        assertLt(vm.stopSnapshotGas(), 235_000);
    }

    function test_codeSize_fitsEip170() public view {
        assertLt(address(face).code.length, 24_576 - 512);
    }

    /* Measuring */

    /// @dev Uses the key twice; the second use is measured.
    function _measure(string memory name, Call[] memory calls, uint256 validationBound, uint256 executionBound)
        private
    {
        Operation memory op = operation(calls);
        op.gas = 1_000_000;
        op.maxFeePerGas = 1 gwei;
        bytes memory validation = encodeValidation(op);
        bytes memory callback = _callback(calls);
        GasMeter meter = GasMeter(payable(address(account)));
        meter.measure(validation, op.callData, callback);
        vm.warp(START + 60);
        (uint256 validationGas, uint256 executionGas) = meter.measure(validation, op.callData, callback);
        assertLe(validationGas, validationBound, "validation");
        assertLe(executionGas, executionBound, "execution");
        vm.snapshotValue("SessionKeyModuleGas", string.concat("validation: ", name), validationGas);
        vm.snapshotValue("SessionKeyModuleGas", string.concat("execution: ", name), executionGas);
    }

    /// @dev The calls that the module makes through the account.
    function _callback(Call[] memory calls) private pure returns (bytes memory) {
        if (calls.length == 1) {
            return abi.encodeCall(IStandardExecutor.execute, (calls[0].target, calls[0].value, calls[0].data));
        }
        return abi.encodeCall(IStandardExecutor.executeBatch, (calls));
    }

    function _grant(bytes[] memory updates) private {
        account.removeSessionKey(key, 0);
        account.addSessionKey(key, TAG, updates);
    }

    function _ping(uint256 value) private view returns (Call[] memory) {
        return call(address(target), value, abi.encodeCall(PingTarget.ping, (1)));
    }

    function _everything() private view returns (bytes[] memory updates) {
        updates = new bytes[](6);
        updates[0] = _timeRange();
        updates[1] = abi.encodeCall(Updates.updateAccessListAddressEntry, (address(target), true, true));
        updates[2] =
            abi.encodeCall(Updates.updateAccessListFunctionEntry, (address(target), PingTarget.ping.selector, true));
        updates[3] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (1 ether, DAY));
        updates[4] = abi.encodeCall(Updates.setERC20SpendLimit, (address(token), 1000 ether, 0));
        updates[5] = abi.encodeCall(Updates.setGasSpendLimit, (1 ether, DAY));
    }

    function _allow(address contract_) private pure returns (bytes memory) {
        return abi.encodeCall(Updates.updateAccessListAddressEntry, (contract_, true, false));
    }

    function _timeRange() private pure returns (bytes memory) {
        return abi.encodeCall(Updates.updateTimeRange, (START - 100, START + 365 days));
    }
}
