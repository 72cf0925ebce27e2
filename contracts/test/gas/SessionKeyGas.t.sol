// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {ISessionKeyPermissionsUpdates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {StackTest} from "../utils/StackTest.sol";

/// @notice Call target without an effect on storage, so that it costs the same on every use.
contract PingTarget {
    function ping(uint256 x) external payable returns (uint256) {
        return x;
    }
}

/// @notice Gas of whole `handleOps` transactions with one operation each, in the steady state (second use). What is measured
/// is recorded in `contracts/test/gas/snapshots/SessionKeyGas.json`, which is checked in; each scenario also has a bound, so that the record
/// cannot grow unnoticed.
///
/// "P" is a key with everything: a time range, one contract with one function on the allowlist, a native and a gas limit that
/// refresh, and an ERC-20 limit.
/// forge-config: default.isolate = true
contract SessionKeyGasTest is StackTest {
    uint48 internal constant INTERVAL = 1 days;

    ISessionKeyPlugin internal plugin;
    PingTarget internal target;
    TestToken internal token;
    Vm.Wallet internal key;
    address internal payee = makeAddr("payee");

    function setUp() public override {
        super.setUp();
        plugin = ISessionKeyPlugin(deployCode("SessionKeyPlugin.sol:SessionKeyPlugin"));
        target = new PingTarget();
        token = new TestToken("Test Token", "TEST", 18);
        key = vm.createWallet("session key");
        vm.deal(address(target), 1 ether);
        token.mint(address(account), 1_000_000 ether);
        token.mint(payee, 1 ether);
        // Makes the nonce of the owner's lane nonzero.
        sendAsOwner(abi.encodeCall(IModularAccount.execute, (address(target), 0, _ping())));
    }

    /* Scenarios */

    function test_gas_ownerExecute() public {
        IEntryPoint.UserOperation memory op =
            buildUserOp(abi.encodeCall(IModularAccount.execute, (address(target), 0, _ping())));
        _measure(op, owner, "owner: execute", 92_000);
    }

    function test_gas_installPlugin_oneKeyWithEverything() public {
        address[] memory keys = new address[](1);
        keys[0] = key.addr;
        bytes[][] memory updates = new bytes[][](1);
        updates[0] = _everything();
        bytes memory data = abi.encode(keys, new bytes32[](1), updates);
        bytes memory callData = abi.encodeCall(
            IModularAccount.installPlugin, (address(plugin), manifestHashOf(address(plugin)), data, ownerDependencies())
        );
        _measure(buildUserOp(callData), owner, "owner: installPlugin with one key, P", 900_000);
    }

    function test_gas_addSessionKey_secondWithEverything() public {
        _install();
        _add(makeAddr("first key"), new bytes[](0));
        bytes memory callData =
            abi.encodeCall(ISessionKeyPlugin.addSessionKey, (key.addr, bytes32("tag"), _everything()));
        _measure(buildUserOp(callData), owner, "owner: addSessionKey, P, second key", 310_000);
    }

    function test_gas_allowlistedAddress() public {
        _grant(_list(_timeRange(), _allow(address(target), false)));
        _measureUse(_one(address(target), 0, _ping()), 0, "key: allowlisted address, time range", 112_000);
    }

    function test_gas_allowlistedFunction() public {
        _grant(_list(_timeRange(), _allow(address(target), true), _allowPing()));
        _measureUse(_one(address(target), 0, _ping()), 0, "key: allowlisted function, time range", 114_500);
    }

    function test_gas_nativeLimit() public {
        _grant(_list(_timeRange(), _allow(address(target), false), _nativeLimit(0)));
        _measureUse(_one(address(target), 1, _ping()), 0, "key: native limit, 1 wei", 122_000);
    }

    function test_gas_erc20Limit() public {
        _grant(_list(_timeRange(), _allow(address(token), false), _tokenLimit()));
        _measureUse(_one(address(token), 0, _transfer(1 ether)), 0, "key: ERC-20 limit, transfer", 134_000);
    }

    function test_gas_gasLimitWithRefresh() public {
        _grant(_list(_timeRange(), _allow(address(target), false), _gasLimit()));
        _measureUse(
            _one(address(target), 0, _ping()), uint160(key.addr), "key: gas limit that refreshes", 122_000
        );
    }

    function test_gas_everything() public {
        _grant(_everything());
        _measureUse(_one(address(target), 1, _ping()), uint160(key.addr), "key: P, one call, 1 wei", 133_000);
    }

    function test_gas_everything_batchOfFive() public {
        bytes[] memory everything = _everything();
        bytes[] memory updates = new bytes[](everything.length + 2);
        for (uint256 i = 0; i < everything.length; ++i) {
            updates[i] = everything[i];
        }
        updates[everything.length] = _allow(address(token), true);
        updates[everything.length + 1] = abi.encodeCall(
            ISessionKeyPermissionsUpdates.updateAccessListFunctionEntry,
            (address(token), TestToken.transfer.selector, true)
        );
        _grant(updates);

        ISessionKeyPlugin.Call[] memory calls = new ISessionKeyPlugin.Call[](5);
        for (uint256 i = 0; i < 3; ++i) {
            calls[i] = ISessionKeyPlugin.Call(address(target), 1, _ping());
        }
        calls[3] = ISessionKeyPlugin.Call(address(token), 0, _transfer(1 ether));
        calls[4] = ISessionKeyPlugin.Call(address(token), 0, _transfer(2 ether));
        _measureUse(calls, uint160(key.addr), "key: P, batch of five", 218_000);
    }

    /* Measuring */

    /// @dev Uses the key twice; the second use is measured.
    function _measureUse(ISessionKeyPlugin.Call[] memory calls, uint192 nonceKey, string memory name, uint256 bound)
        private
    {
        bytes memory callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key.addr));
        (bool success,) = sendSigned(callData, key.privateKey, nonceKey);
        assertTrue(success, "first use");
        vm.warp(block.timestamp + 60);
        _measure(buildUserOp(callData, nonceKey), key, name, bound);
    }

    function _measure(
        IEntryPoint.UserOperation memory op,
        Vm.Wallet memory signer,
        string memory name,
        uint256 bound
    ) private {
        op.callGasLimit = 2_000_000;
        op.verificationGasLimit = 1_000_000;
        sign(op, signer.privateKey);
        IEntryPoint.UserOperation[] memory ops = new IEntryPoint.UserOperation[](1);
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

    /* Keys */

    function _install() private {
        install(
            address(plugin), abi.encode(new address[](0), new bytes32[](0), new bytes[][](0)), ownerDependencies()
        );
    }

    function _grant(bytes[] memory updates) private {
        _install();
        _add(key.addr, updates);
    }

    function _add(address sessionKey, bytes[] memory updates) private {
        vm.prank(owner.addr);
        ISessionKeyPlugin(address(account)).addSessionKey(sessionKey, bytes32("tag"), updates);
    }

    function _everything() private view returns (bytes[] memory updates) {
        updates = new bytes[](6);
        updates[0] = _timeRange();
        updates[1] = _allow(address(target), true);
        updates[2] = _allowPing();
        updates[3] = _nativeLimit(INTERVAL);
        updates[4] = _tokenLimit();
        updates[5] = _gasLimit();
    }

    /* Updates and calls */

    function _timeRange() private view returns (bytes memory) {
        uint48 time = uint48(block.timestamp);
        return abi.encodeCall(ISessionKeyPermissionsUpdates.updateTimeRange, (time - 100, time + 365 days));
    }

    function _allow(address contractAddress, bool checkSelectors) private pure returns (bytes memory) {
        return abi.encodeCall(
            ISessionKeyPermissionsUpdates.updateAccessListAddressEntry, (contractAddress, true, checkSelectors)
        );
    }

    function _allowPing() private view returns (bytes memory) {
        return abi.encodeCall(
            ISessionKeyPermissionsUpdates.updateAccessListFunctionEntry,
            (address(target), PingTarget.ping.selector, true)
        );
    }

    function _nativeLimit(uint48 interval) private pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setNativeTokenSpendLimit, (1 ether, interval));
    }

    function _tokenLimit() private view returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setERC20SpendLimit, (address(token), 1000 ether, 0));
    }

    function _gasLimit() private pure returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPermissionsUpdates.setGasSpendLimit, (1 ether, INTERVAL));
    }

    function _ping() private pure returns (bytes memory) {
        return abi.encodeCall(PingTarget.ping, (1));
    }

    function _transfer(uint256 amount) private view returns (bytes memory) {
        return abi.encodeCall(TestToken.transfer, (payee, amount));
    }

    function _one(address to, uint256 value, bytes memory data)
        private
        pure
        returns (ISessionKeyPlugin.Call[] memory calls)
    {
        calls = new ISessionKeyPlugin.Call[](1);
        calls[0] = ISessionKeyPlugin.Call(to, value, data);
    }

    function _list(bytes memory a, bytes memory b) private pure returns (bytes[] memory updates) {
        updates = new bytes[](2);
        (updates[0], updates[1]) = (a, b);
    }

    function _list(bytes memory a, bytes memory b, bytes memory c) private pure returns (bytes[] memory updates) {
        updates = new bytes[](3);
        (updates[0], updates[1], updates[2]) = (a, b, c);
    }
}
