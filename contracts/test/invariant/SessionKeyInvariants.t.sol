// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";

/// @notice Acts as the owner, as the keys and as time; keeps a reference model of every key and compares after each bundle.
///
/// The model knows the rules of limits only, in plain arithmetic. A window of a limit with an interval begins with the
/// spend (or the owner's setting) that opened it and lasts that interval; what leaves in it never exceeds the limit, as
/// long as the owner does not lower the limit in it.
contract SessionKeyHandler is SessionKeyStackTest {
    uint256 private constant KEYS = 3;
    /// @dev Wei that an operation may cost at the most: 600,000 + 400,000 gas at 1 gwei.
    uint256 private constant COST = 0.001 ether;

    struct Limit {
        bool exists;
        uint256 limit;
        uint256 used;
        uint256 interval;
        uint256 start;
        bool pending;
    }

    struct Key {
        bool registered;
        Limit native;
        Limit erc20;
        Limit gas;
    }

    struct Operation {
        uint256 key;
        uint256 value;
        uint256 amount;
        bool isApproval;
        bool fails;
    }

    Vm.Wallet[KEYS] private wallets;
    Key[KEYS] private model;
    IModularAccount private otherAccount;
    bytes32 private otherState;
    bytes32 private installation;
    mapping(uint256 id => bool) private usedIds;

    uint256 public bundles;
    uint256 public refusedBundles;
    uint256 public ranOperations;
    uint256 public failedOperations;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < KEYS; ++i) {
            wallets[i] = vm.createWallet(string.concat("key ", vm.toString(i)));
        }
        otherAccount = createAccount(1, owner.addr);
        bytes32 manifestHash = manifestHashOf(address(plugin));
        bytes memory data = abi.encode(new address[](0), new bytes32[](0), new bytes[][](0));
        vm.startPrank(owner.addr);
        otherAccount.installPlugin(address(plugin), manifestHash, data, ownerDependencies());
        ISessionKeyPlugin(address(otherAccount))
            .addSessionKey(wallets[0].addr, 0, list(nativeLimit(5, 6), tokenLimit(7, 8), gasLimit(9, 10)));
        vm.stopPrank();
        otherState = stateOfOther();
        installation = stateOfInstallation();
    }

    /* The owner */

    function ownerSets(uint256 seed) external {
        uint256 i = seed % KEYS;
        if (!model[i].registered) {
            vm.prank(owner.addr);
            keys.addSessionKey(wallets[i].addr, bytes32(seed), new bytes[](0));
            delete model[i];
            model[i].registered = true;
            model[i].native.exists = true;
            uint256 id = idOf(i);
            assertFalse(usedIds[id], "an id came back");
            usedIds[id] = true;
        }
        openList(i, uint8(seed >> 8) % 3);
        uint48 interval = seed >> 16 & 1 == 0 ? 0 : uint48(1 + (seed >> 20) % 1 days);
        // Now and then too large for a packed word.
        uint256 wide = seed >> 17 & 3 == 0 ? 1 << 100 : 0;
        set(
            model[i].native,
            i,
            nativeLimit(bounded(seed >> 40, 10) + wide, interval),
            bounded(seed >> 40, 10) + wide,
            interval
        );
        set(
            model[i].erc20,
            i,
            tokenLimit(bounded(seed >> 60, 10) + wide, interval),
            bounded(seed >> 60, 10) + wide,
            interval
        );
        if (seed >> 18 & 1 == 0) {
            uint256 gas = COST * (1 + (seed >> 80) % 4);
            set(model[i].gas, i, gasLimit(gas, interval), gas, interval);
        } else {
            ownerUpdates(i, gasLimit(NO_LIMIT, 0));
            delete model[i].gas;
        }
        compare();
    }

    function ownerRemoves(uint256 seed) external {
        uint256 i = seed % KEYS;
        if (!model[i].registered) return;
        vm.prank(owner.addr);
        keys.removeSessionKey(wallets[i].addr, 0);
        delete model[i];
        compare();
    }

    function ownerRotates(uint256 seed) external {
        uint256 i = seed % KEYS;
        uint256 j = (seed >> 8) % KEYS;
        if (!model[i].registered || (i != j && model[j].registered)) return;
        uint256 id = idOf(i);
        vm.prank(owner.addr);
        keys.rotateSessionKey(wallets[i].addr, 0, wallets[j].addr);
        assertEq(idOf(j), id);
        Key memory moved = model[i];
        delete model[i];
        model[j] = moved;
        compare();
    }

    /* Time, and anyone */

    function timePasses(uint256 seconds_) external {
        vm.warp(vm.getBlockTimestamp() + seconds_ % 1 days);
    }

    function anyoneResets(uint256 seed) external {
        uint256 i = seed % KEYS;
        if (!model[i].registered) return;
        plugin.resetSessionKeyGasLimitTimestamp(address(account), wallets[i].addr);
        settle(model[i].gas);
        compare();
    }

    /* The keys */

    /// @notice A bundle of one to four operations of random keys, in one transaction.
    function keysAct(uint256 seed, uint256 count) external {
        count = 1 + count % 4;
        Operation[] memory plan = new Operation[](count);
        IEntryPoint.UserOperation[] memory ops = new IEntryPoint.UserOperation[](count);
        for (uint256 k = 0; k < count; ++k) {
            seed = uint256(keccak256(abi.encode(seed)));
            plan[k] = Operation({
                key: seed % KEYS,
                value: bounded(seed >> 16, 6),
                amount: bounded(seed >> 32, 6),
                isApproval: seed >> 48 & 1 == 0,
                fails: seed >> 49 & 7 == 0
            });
            ops[k] = build(plan[k]);
            for (uint256 m = 0; m < k; ++m) {
                if (plan[m].key == plan[k].key) ++ops[k].nonce;
            }
            sign(ops[k], wallets[plan[k].key].privateKey);
        }

        Key[KEYS] memory before = model;
        bool valid = true;
        for (uint256 k = 0; k < count && valid; ++k) {
            valid = modelValidates(plan[k]);
        }
        ++bundles;
        uint256 balance = payee.balance;
        uint256 tokens = token.balanceOf(address(account));
        vm.recordLogs();
        vm.prank(bundler, bundler);
        try ENTRY_POINT.handleOps(ops, beneficiary) {
            assertTrue(valid, "an invalid bundle went through");
        } catch {
            assertFalse(valid, "a valid bundle was refused");
            for (uint256 i = 0; i < KEYS; ++i) {
                model[i] = before[i];
            }
            ++refusedBundles;
            compare();
            return;
        }
        (bool[] memory success, uint256[] memory gasPaid) = outcomes(count);
        for (uint256 k = 0; k < count; ++k) {
            bool expected = modelExecutes(plan[k]);
            assertEq(success[k], expected, "outcome");
            assertLe(gasPaid[k], COST, "more gas paid than charged");
            if (!expected) {
                ++failedOperations;
                continue;
            }
            ++ranOperations;
            balance += plan[k].value;
            if (!plan[k].isApproval) tokens -= plan[k].amount;
        }
        assertEq(payee.balance, balance, "native token that left");
        assertEq(token.balanceOf(address(account)), tokens, "tokens that left");
        compare();
    }

    function build(Operation memory planned) private view returns (IEntryPoint.UserOperation memory op) {
        ISessionKeyPlugin.Call[] memory calls = call(payee, planned.value, "");
        bytes memory data = planned.isApproval
            ? abi.encodeCall(TestToken.approve, (payee, planned.amount))
            : abi.encodeCall(TestToken.transfer, (payee, planned.amount));
        calls = join(calls, call(address(token), 0, data));
        // The target has no such function.
        if (planned.fails) calls = join(calls, call(address(target), 0, hex"00000001"));
        address signer = wallets[planned.key].addr;
        op = buildUserOp(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, signer)), uint160(signer));
        op.callGasLimit = 600_000;
        op.verificationGasLimit = 400_000;
    }

    function outcomes(uint256 count) private returns (bool[] memory success, uint256[] memory gasPaid) {
        success = new bool[](count);
        gasPaid = new uint256[](count);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 k;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics.length != 0 && logs[i].topics[0] == IEntryPoint.UserOperationEvent.selector) {
                (, success[k], gasPaid[k],) = abi.decode(logs[i].data, (uint256, bool, uint256, uint256));
                ++k;
            }
        }
        assertEq(k, count, "events");
    }

    /* The model */

    function modelValidates(Operation memory planned) private returns (bool) {
        Key storage one = model[planned.key];
        uint256 time = vm.getBlockTimestamp();
        if (!one.registered) return false;
        if (one.native.exists && one.native.used + planned.value > one.native.limit) {
            if (one.native.interval == 0 || planned.value > one.native.limit) return false;
            if (one.native.start + one.native.interval > time) return false;
        }
        Limit storage gas = one.gas;
        if (gas.exists) {
            uint256 validAfter = gas.pending ? gas.start + gas.interval : 0;
            if (gas.used + COST <= gas.limit) {
                gas.used += COST;
            } else {
                if (gas.interval == 0 || gas.pending || COST > gas.limit) return false;
                (gas.used, gas.pending, validAfter) = (COST, true, gas.start + gas.interval);
            }
            if (validAfter > time) return false;
        }
        return true;
    }

    function modelExecutes(Operation memory planned) private returns (bool) {
        Key storage one = model[planned.key];
        Limit memory native = one.native;
        Limit memory erc20 = one.erc20;
        if (!spend(one.erc20, planned.amount) || !spend(one.native, planned.value) || planned.fails) {
            one.native = native;
            one.erc20 = erc20;
            return false;
        }
        settle(one.gas);
        return true;
    }

    function spend(Limit storage limit, uint256 amount) private returns (bool) {
        if (!limit.exists) return true;
        uint256 time = vm.getBlockTimestamp();
        if (limit.interval != 0 && limit.start + limit.interval <= time) (limit.used, limit.start) = (0, time);
        limit.used += amount;
        return limit.used <= limit.limit;
    }

    function settle(Limit storage gas) private {
        if (gas.pending) (gas.pending, gas.start) = (false, vm.getBlockTimestamp());
    }

    function set(Limit storage limit, uint256 i, bytes memory change, uint256 amount, uint48 interval) private {
        ownerUpdates(i, change);
        (limit.exists, limit.limit, limit.interval, limit.pending) = (true, amount, interval, false);
        limit.start = interval == 0 ? 0 : vm.getBlockTimestamp();
    }

    function openList(uint256 i, uint8 kind) private {
        ownerUpdates(i, listType(ISessionKeyPlugin.ContractAccessControlType(kind)));
        ownerUpdates(i, entry(address(token), kind == 0, false));
        ownerUpdates(i, entry(address(target), kind == 0, false));
        ownerUpdates(i, entry(payee, kind == 0, false));
    }

    function ownerUpdates(uint256 i, bytes memory change) private {
        vm.prank(owner.addr);
        keys.updateKeyPermissions(wallets[i].addr, list(change));
    }

    function bounded(uint256 seed, uint256 size) private pure returns (uint256) {
        return seed % (size + 1);
    }

    /* Comparison */

    /// @notice The plugin's views say what the model says; nothing else changed.
    function compare() public view {
        uint256 registered;
        for (uint256 i = 0; i < KEYS; ++i) {
            address sessionKey = wallets[i].addr;
            assertEq(plugin.isSessionKeyOf(address(account), sessionKey), model[i].registered, "registered");
            if (!model[i].registered) continue;
            ++registered;
            for (uint256 j = 0; j < i; ++j) {
                if (model[j].registered) assertNotEq(idOf(i), idOf(j), "ids");
            }
            same(plugin.getNativeTokenSpendLimitInfo(address(account), sessionKey), model[i].native);
            same(plugin.getERC20SpendLimitInfo(address(account), sessionKey, address(token)), model[i].erc20);
            (ISessionKeyPlugin.SpendLimitInfo memory gas, bool pending) =
                plugin.getGasSpendLimit(address(account), sessionKey);
            same(gas, model[i].gas);
            assertEq(pending, model[i].gas.pending, "pending reset");
        }
        assertEq(plugin.sessionKeysOf(address(account)).length, registered, "keys");
        assertEq(stateOfOther(), otherState, "another account's key changed");
        assertEq(stateOfInstallation(), installation, "owners or plugins changed");
    }

    function same(ISessionKeyPlugin.SpendLimitInfo memory info, Limit storage limit) private view {
        assertEq(info.hasLimit, limit.exists, "hasLimit");
        assertEq(info.limit, limit.limit, "limit");
        assertEq(info.limitUsed, limit.used, "used");
        assertEq(info.refreshInterval, limit.interval, "interval");
        assertEq(info.lastUsedTime, limit.start, "start");
    }

    function idOf(uint256 i) private view returns (uint256) {
        bytes32 name = bytes32(uint256(2) << 248 | uint256(uint160(wallets[i].addr)) << 40);
        return uint48(uint256(vm.load(address(plugin), keccak256(abi.encode(address(account), name)))));
    }

    function stateOfOther() private view returns (bytes32) {
        (ISessionKeyPlugin.SpendLimitInfo memory gas, bool pending) =
            plugin.getGasSpendLimit(address(otherAccount), wallets[0].addr);
        return keccak256(
            abi.encode(
                plugin.sessionKeysOf(address(otherAccount)),
                plugin.getNativeTokenSpendLimitInfo(address(otherAccount), wallets[0].addr),
                plugin.getERC20SpendLimitInfo(address(otherAccount), wallets[0].addr, address(token)),
                gas,
                pending
            )
        );
    }

    function stateOfInstallation() private view returns (bytes32) {
        return keccak256(abi.encode(account.getInstalledPlugins(), ownerPlugin.ownersOf(address(account))));
    }
}

/// @notice Random actions of owner, keys and time against the reference model of the handler, through the real EntryPoint.
contract SessionKeyInvariants is Test {
    SessionKeyHandler private handler;

    function setUp() public {
        handler = new SessionKeyHandler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](8);
        selectors[0] = SessionKeyHandler.ownerSets.selector;
        selectors[1] = SessionKeyHandler.ownerRemoves.selector;
        selectors[2] = SessionKeyHandler.ownerRotates.selector;
        selectors[3] = SessionKeyHandler.timePasses.selector;
        selectors[4] = SessionKeyHandler.anyoneResets.selector;
        selectors[5] = SessionKeyHandler.keysAct.selector;
        selectors[6] = SessionKeyHandler.keysAct.selector;
        selectors[7] = SessionKeyHandler.keysAct.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), selectors));
        for (uint256 i = 0; i < 3; ++i) {
            handler.ownerSets(i | 3 << 17 | 5 << 40 | 5 << 60);
        }
    }

    /// @dev The handler compares after each action, too: a limit is never exceeded, by any bundle.
    function invariant_pluginAgreesWithTheModel() public view {
        handler.compare();
    }

    /// @dev Bundles do get through, so that the invariants say something.
    function test_bundlesRunAndAreRefused() public {
        for (uint256 seed = 0; seed < 40; ++seed) {
            handler.keysAct(seed, seed);
            handler.timePasses(uint256(keccak256(abi.encode(seed))));
            if (seed % 8 == 7) handler.ownerSets(uint256(keccak256(abi.encode(seed + 1000))));
        }
        assertGt(handler.ranOperations(), 0);
        assertGt(handler.failedOperations(), 0);
        assertGt(handler.refusedBundles(), 0);
        assertLt(handler.refusedBundles(), handler.bundles());
    }
}
