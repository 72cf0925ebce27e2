// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {BurnableToken} from "../mocks/BurnableToken.sol";
import {Counter} from "../mocks/Counter.sol";
import {Relay} from "../mocks/Relay.sol";
import {TestPaymaster} from "../mocks/TestPaymaster.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {Till} from "../mocks/Till.sol";
import {listOf} from "../utils/ListLiterals.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";
import {ReferenceSessionKeyPlugin} from "./ReferenceSessionKeyPlugin.sol";

/// @notice Random user operations of two accounts: of their owners, and of three keys that each may have registered.
///
/// `draw` consumes a random number from its low end.
abstract contract SessionKeyPlans is SessionKeyStackTest {
    uint256 internal constant ACCOUNTS = 2;
    uint256 internal constant KEYS = 3;

    /// @dev Gas limits of a key's operation, ample for three calls.
    uint256 private constant CALL_GAS = 600_000;
    uint256 private constant VERIFICATION_GAS = 400_000;

    /// @notice An operation, with what the reference needs to know about it.
    struct Plan {
        uint256 account;
        bool isKeys;
        // The operation's sender.
        uint256 key;
        // For an owner's operation: a bit for each key that it concerns.
        uint256 named;
        bool wrongSigner;
        bool wrongNonceKey;
        bytes callData;
        // The resulting calls of the plugin, in order.
        bytes[] steps;
        // For a key's operation: its calls, and their revert data once the plugin allows them.
        Call[] calls;
        bool callsFail;
        bytes failure;
        // Units of gas and wei.
        uint256 preVerificationGas;
        uint256 fee;
        bool hasPaymaster;
    }

    struct ListFunction {
        address target;
        bytes4 selector;
    }

    /// @dev A random number, passed by reference.
    struct Random {
        uint256 word;
    }

    IModularAccount[ACCOUNTS] internal accounts;
    Vm.Wallet[ACCOUNTS] internal owners;
    Vm.Wallet[KEYS] internal wallets;
    ReferenceSessionKeyPlugin internal reference_;

    Till internal till;
    Counter internal counter;
    Relay internal relay;
    address internal paymaster;
    bytes32 private manifestHash;

    function setUp() public virtual override {
        super.setUp();
        till = new Till();
        counter = new Counter();
        relay = new Relay();
        token = new BurnableToken();
        paymaster = address(new TestPaymaster());
        vm.deal(address(this), 100 ether);
        ENTRY_POINT.depositTo{value: 100 ether}(paymaster);
        reference_ = new ReferenceSessionKeyPlugin(address(ENTRY_POINT));
        manifestHash = manifestHashOf(address(plugin));

        for (uint256 i = 0; i < KEYS; ++i) {
            wallets[i] = vm.createWallet(string.concat("key ", vm.toString(i)));
        }
        owners[0] = owner;
        owners[1] = vm.createWallet("another owner");
        accounts[0] = account;
        accounts[1] = createAccount(1, owners[1].addr);
        vm.prank(owners[1].addr);
        accounts[1].installPlugin(address(plugin), manifestHash, noKeys(), ownerDependencies());
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            token.mint(address(accounts[a]), 1_000_000 ether);
        }
    }

    function isRegistered(uint256 a, uint256 i) internal view returns (bool) {
        return reference_.isSessionKeyOf(address(accounts[a]), wallets[i].addr);
    }

    /* Random numbers */

    /// @notice A number below `size`.
    function draw(Random memory random, uint256 size) internal pure returns (uint256 number) {
        number = random.word % size;
        random.word = uint256(keccak256(abi.encode(random.word)));
    }

    /// @notice True with probability 1/`size`.
    function isDrawn(Random memory random, uint256 size) internal pure returns (bool) {
        return draw(random, size) == 0;
    }

    /* Plans */

    /// @notice Draws one to four operations. Most of them concern one key of one account, so they interact; in some
    /// bundles the owner goes first and takes the key's permissions away.
    function planBundle(Random memory random) internal view returns (Plan[] memory plans) {
        plans = new Plan[](1 + draw(random, 4));
        uint256 a = draw(random, ACCOUNTS);
        uint256 i = draw(random, KEYS);
        bool isRace = isDrawn(random, 3) && isRegistered(a, i);
        for (uint256 k = 0; k < plans.length; ++k) {
            bool isAnother = !isRace && isDrawn(random, 4);
            uint256 of_ = isAnother ? draw(random, ACCOUNTS) : a;
            uint256 key_ = isAnother ? draw(random, KEYS) : i;
            if (isRace) plans[k] = k == 0 ? _planTaking(random, a, i) : _planKeys(random, a, i);
            else plans[k] = _planOperation(random, of_, key_);
            plans[k].preVerificationGas = isDrawn(random, 4) ? draw(random, 2_000_000) : 0;
            plans[k].fee = (1 + draw(random, 3)) * 1 gwei;
        }
    }

    /// @dev The owner removes, rotates, narrows or expires a registered key.
    function _planTaking(Random memory random, uint256 a, uint256 i) private view returns (Plan memory plan) {
        (plan.account, plan.named) = (a, 1 << i);
        uint256 kind = draw(random, 6);
        if (kind == 0) {
            plan.callData = _planRemoval(random, a, i);
        } else if (kind == 1) {
            uint256 j = draw(random, KEYS);
            plan.named |= 1 << j;
            plan.callData = abi.encodeCall(
                ISessionKeyPlugin.rotateSessionKey, (wallets[i].addr, _predecessor(random, a, i), wallets[j].addr)
            );
        } else {
            plan.callData = abi.encodeCall(
                ISessionKeyPlugin.updateKeyPermissions, (wallets[i].addr, listOf(_planNarrowing(random)))
            );
        }
        plan.steps = listOf(plan.callData);
    }

    function _planOperation(Random memory random, uint256 a, uint256 i) private view returns (Plan memory plan) {
        // Usually, an unregistered key is added before it acts.
        bool isOwners = isRegistered(a, i) ? draw(random, 3) == 0 : draw(random, 8) < 7;
        return isOwners ? planOwners(random, a, i) : _planKeys(random, a, i);
    }

    function _planKeys(Random memory random, uint256 a, uint256 i) private view returns (Plan memory plan) {
        (plan.account, plan.isKeys, plan.key) = (a, true, i);
        plan.calls = new Call[](isDrawn(random, 32) ? 0 : 1 + draw(random, 3));
        for (uint256 c = 0; c < plan.calls.length; ++c) {
            if (draw(random, 12) > 0) {
                plan.calls[c] = _planCall(random);
            } else {
                bool fails;
                bytes memory failure;
                (plan.calls[c], fails, failure) = _planOddCall(random, a);
                if (fails && !plan.callsFail) (plan.callsFail, plan.failure) = (true, failure);
            }
        }
        plan.callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (plan.calls, wallets[i].addr));
        plan.steps = listOf(plan.callData);
        plan.wrongSigner = isDrawn(random, 24);
        plan.wrongNonceKey = isDrawn(random, 24);
        plan.hasPaymaster = isDrawn(random, 4);
    }

    /// @dev Draws a usual call of a key: pay, transfer, approve, count.
    function _planCall(Random memory random) private view returns (Call memory) {
        uint256 kind = draw(random, 8);
        uint256 amount = draw(random, 5);
        if (kind < 4) return Call(address(till), amount, "");
        if (kind < 6) {
            return Call(address(token), 0, abi.encodeCall(TestToken.transfer, (address(till), amount)));
        }
        if (kind == 6) {
            return Call(address(token), 0, abi.encodeCall(TestToken.approve, (address(till), amount)));
        }
        return Call(address(counter), 0, abi.encodeCall(Counter.increment, ()));
    }

    /// @return made The call.
    /// @return fails Whether it reverts if it is made.
    /// @return failure Its revert data.
    function _planOddCall(Random memory random, uint256 a)
        private
        view
        returns (Call memory made, bool fails, bytes memory failure)
    {
        uint256 kind = draw(random, 9);
        uint256 amount = draw(random, 7);
        made.target = address(token);
        if (kind < 2) made.data = abi.encodeCall(BurnableToken.burn, (amount));
        if (kind == 2) made.data = abi.encodeCall(TestToken.approve, (address(till), type(uint256).max - amount));
        if (kind < 3) return (made, false, "");

        fails = true;
        made.target = address(counter);
        if (kind == 3) {
            (made.target, made.value) = (address(till), type(uint256).max - amount);
        } else if (kind == 4) {
            // Shorter than a selector.
            made.data = hex"d09de0";
        } else if (kind == 5) {
            // The account refuses calls to plugins, whatever the list.
            made.target = address(ownerPlugin);
            made.data = abi.encodeCall(IMultiOwnerPlugin.updateOwners, (listOf(payee), new address[](0)));
            failure = abi.encodeWithSelector(IModularAccount.PluginCallDenied.selector, ownerPlugin);
        } else if (kind == 6) {
            // Never allowed: the account itself.
            made.target = address(accounts[a]);
            made.data = abi.encodeCall(IMultiOwnerPlugin.updateOwners, (listOf(payee), new address[](0)));
        } else if (kind == 7) {
            // Never allowed: the EntryPoint, which no list contains.
            made.target = address(ENTRY_POINT);
            made.data = abi.encodeCall(IEntryPoint.withdrawTo, (payable(address(till)), amount));
        } else {
            made.data = abi.encodeCall(Counter.refuse, (amount));
            failure = abi.encodeWithSelector(Counter.Refused.selector, amount);
        }
    }

    function planOwners(Random memory random, uint256 a, uint256 i) internal view returns (Plan memory plan) {
        (plan.account, plan.named) = (a, 1 << i);
        uint256 kind = isRegistered(a, i) || isDrawn(random, 4) ? draw(random, 24) : 24;
        if (kind < 3) {
            plan.callData = _planRemoval(random, a, i);
        } else if (kind < 6) {
            uint256 j = draw(random, KEYS);
            plan.named |= 1 << j;
            plan.callData = abi.encodeCall(
                ISessionKeyPlugin.rotateSessionKey,
                (wallets[i].addr, _predecessor(random, a, i), isDrawn(random, 8) ? address(0) : wallets[j].addr)
            );
        } else if (kind < 19) {
            plan.callData =
                abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (wallets[i].addr, _planUpdates(random)));
        } else if (kind < 21) {
            return _planReset(plan, i, a);
        } else if (kind < 23) {
            return _planReplacement(random, plan, i, a);
        } else if (isDrawn(random, 2)) {
            return _planReinstallation(plan, a);
        } else {
            plan.callData = _planAddition(random, i);
        }
        plan.steps = listOf(plan.callData);
    }

    function _planRemoval(Random memory random, uint256 a, uint256 i) private view returns (bytes memory) {
        return abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (wallets[i].addr, _predecessor(random, a, i)));
    }

    /// @notice Adds the key with permissions that allow operations.
    function planFirstKey(uint256 a, uint256 i) internal view returns (Plan memory plan) {
        (plan.account, plan.named) = (a, 1 << i);
        bytes[] memory updates = _planOpening(Random(a << 8 | i));
        plan.callData = abi.encodeCall(ISessionKeyPlugin.addSessionKey, (wallets[i].addr, 0, updates));
        plan.steps = listOf(plan.callData);
    }

    /// @notice Whether an owner's operation concerns the account's key `i`.
    function names(Plan memory plan, uint256 i) internal pure returns (bool) {
        return plan.named >> i & 1 == 1;
    }

    /// @dev Usually with permissions that allow operations.
    function _planAddition(Random memory random, uint256 i) private view returns (bytes memory) {
        bytes[] memory updates = isDrawn(random, 4) ? _planUpdates(random) : _planOpening(random);
        return abi.encodeCall(ISessionKeyPlugin.addSessionKey, (wallets[i].addr, bytes32(random.word), updates));
    }

    /// @dev Anyone may reset; here the account does, through another contract, because it must not call a plugin.
    function _planReset(Plan memory plan, uint256 i, uint256 a) private view returns (Plan memory) {
        bytes memory reset =
            abi.encodeCall(ISessionKeyPlugin.resetSessionKeyGasLimitTimestamp, (address(accounts[a]), wallets[i].addr));
        plan.callData = executeCall(address(relay), 0, abi.encodeCall(Relay.relay, (address(plugin), reset)));
        plan.steps = listOf(reset);
        return plan;
    }

    /// @dev Draws a batch: pay something, remove the key, add it again.
    function _planReplacement(Random memory random, Plan memory plan, uint256 i, uint256 a)
        private
        view
        returns (Plan memory)
    {
        plan.steps = listOf(_planRemoval(random, a, i), _planAddition(random, i));
        Call[] memory batch = new Call[](3);
        batch[0] = Call(address(till), draw(random, 7), "");
        batch[1] = Call(address(accounts[a]), 0, plan.steps[0]);
        batch[2] = Call(address(accounts[a]), 0, plan.steps[1]);
        plan.callData = batchCall(batch);
        return plan;
    }

    /// @dev Draws a batch: uninstall the plugin, install it.
    function _planReinstallation(Plan memory plan, uint256 a) private view returns (Plan memory) {
        plan.named = type(uint256).max;
        plan.steps = listOf(abi.encodeCall(IPlugin.onUninstall, ("")), abi.encodeCall(IPlugin.onInstall, (noKeys())));
        Call[] memory batch = new Call[](2);
        batch[0] = Call(address(accounts[a]), 0, uninstallCall(address(plugin)));
        batch[1] = Call(address(accounts[a]), 0, installCall(address(plugin), noKeys(), ownerDependencies()));
        plan.callData = batchCall(batch);
        return plan;
    }

    /// @dev The current predecessor, which an earlier operation may change; or zero; or an arbitrary word.
    function _predecessor(Random memory random, uint256 a, uint256 i) private view returns (bytes32) {
        uint256 kind = draw(random, 8);
        if (kind == 0) return bytes32(uint256(1));
        if (kind == 1) return bytes32(bytes20(wallets[draw(random, KEYS)].addr));
        if (kind < 5 || !isRegistered(a, i)) return 0;
        return reference_.findPredecessor(address(accounts[a]), wallets[i].addr);
    }

    /* Updates */

    /// @dev Draws an owner's change to a key: opening it, narrowing it, or anything.
    function _planUpdates(Random memory random) private view returns (bytes[] memory updates) {
        uint256 kind = draw(random, 5);
        if (kind < 2) return _planOpening(random);
        if (kind < 4) return listOf(_planNarrowing(random));
        updates = new bytes[](draw(random, 4));
        for (uint256 u = 0; u < updates.length; ++u) {
            updates[u] = _planUpdate(random);
        }
    }

    function _planNarrowing(Random memory random) private view returns (bytes memory) {
        uint256 kind = draw(random, 4);
        if (kind == 0) return timeRange(0, uint48(vm.getBlockTimestamp()) - 1);
        if (kind == 1) return listType(ISessionKeyPlugin.ContractAccessControlType(draw(random, 2)));
        if (kind == 2) return nativeLimit(draw(random, 7), _anyInterval(random));
        return tokenLimit(draw(random, 7), _anyInterval(random));
    }

    /// @dev From now on every call is allowed by the list, whatever its type. Adds native and token limits, and
    /// sometimes a gas limit.
    function _planOpening(Random memory random) private view returns (bytes[] memory updates) {
        uint256 kind = draw(random, 3);
        updates = new bytes[](isDrawn(random, 2) ? 9 : 8);
        updates[0] = listType(ISessionKeyPlugin.ContractAccessControlType(kind));
        updates[1] = entry(address(till), kind == 0, false);
        updates[2] = entry(address(token), kind == 0, false);
        updates[3] = entry(address(counter), kind == 0, false);
        updates[4] = _planNativeLimit(random);
        updates[5] = _planTokenLimit(random);
        uint48 time = uint48(vm.getBlockTimestamp());
        updates[6] = isDrawn(random, 2) ? timeRange(0, 0) : timeRange(time, time + 1 days);
        updates[7] = requiredPaymaster(address(0));
        if (updates.length == 9) updates[8] = _planGasLimit(random);
    }

    function _planUpdate(Random memory random) private view returns (bytes memory) {
        uint256 kind = draw(random, 16);
        if (kind < 2) return listType(ISessionKeyPlugin.ContractAccessControlType(draw(random, 3)));
        if (kind < 4) return entry(_anyTarget(random), isDrawn(random, 2), isDrawn(random, 2));
        if (kind < 6) return _planFunctionEntry(random);
        if (kind < 8) return _planTimeRange(random);
        if (kind < 10) return _planNativeLimit(random);
        if (kind < 12) return _planTokenLimit(random);
        if (kind < 14) return _planGasLimit(random);
        if (kind == 14) return requiredPaymaster(draw(random, 3) > 0 ? address(0) : paymaster);
        // Not an update; the ones before it are reverted.
        return isDrawn(random, 2) ? bytes(hex"12345678") : bytes(hex"8f29");
    }

    /// @notice Returns all targets that lists can contain.
    function listTargets() internal view returns (address[3] memory) {
        return [address(till), address(token), address(counter)];
    }

    /// @notice Returns all functions that lists can contain: those that the plans call.
    function listFunctions() internal view returns (ListFunction[5] memory) {
        return [
            ListFunction(address(till), 0),
            ListFunction(address(token), TestToken.transfer.selector),
            ListFunction(address(token), TestToken.approve.selector),
            ListFunction(address(token), BurnableToken.burn.selector),
            ListFunction(address(counter), Counter.increment.selector)
        ];
    }

    function _anyTarget(Random memory random) private view returns (address) {
        return listTargets()[draw(random, 3)];
    }

    function _planFunctionEntry(Random memory random) private view returns (bytes memory) {
        ListFunction memory one = listFunctions()[draw(random, 5)];
        return functionEntry(one.target, one.selector, draw(random, 3) > 0);
    }

    /// @dev Usually a range that contains now, sometimes one that has ended or begins later.
    function _planTimeRange(Random memory random) private view returns (bytes memory) {
        uint48 time = uint48(vm.getBlockTimestamp());
        uint256 kind = draw(random, 6);
        if (kind < 3) return timeRange(0, 0);
        if (kind == 3) return timeRange(time, time + uint48(draw(random, 1 days)));
        return kind == 4 ? timeRange(0, time - 1) : timeRange(time + 1 + uint48(draw(random, 1 hours)), 0);
    }

    function _planNativeLimit(Random memory random) private pure returns (bytes memory) {
        return nativeLimit(_anyLimit(random, 30), _anyInterval(random));
    }

    function _planTokenLimit(Random memory random) private view returns (bytes memory) {
        return tokenLimit(_anyLimit(random, 30), _anyInterval(random));
    }

    /// @dev At 1 to 3 gwei an operation costs at most 0.001 to 0.01 ether, so windows are used up soon.
    function _planGasLimit(Random memory random) private pure returns (bytes memory) {
        uint48 interval = isDrawn(random, 4) ? _anyInterval(random) : uint48(1 + draw(random, 1 hours));
        return gasLimit(0.003 ether + draw(random, 0.004 ether), interval);
    }

    /// @dev A small limit; sometimes none, or one too large for a packed word.
    function _anyLimit(Random memory random, uint256 size) private pure returns (uint256) {
        uint256 kind = draw(random, 16);
        if (kind == 0) return NO_LIMIT;
        if (kind == 1) return NO_LIMIT - 1;
        return draw(random, size) + (kind < 4 ? 1 << 100 : 0);
    }

    function _anyInterval(Random memory random) private pure returns (uint48) {
        uint256 kind = draw(random, 8);
        if (kind < 2) return 0;
        if (kind == 2) return type(uint48).max - uint48(draw(random, 2));
        return uint48(1 + draw(random, 4 hours));
    }

    /* Operations */

    /// @notice Builds a bundle's signed operations.
    function build(Plan[] memory plans) internal view returns (UserOperation[] memory ops) {
        ops = new UserOperation[](plans.length);
        for (uint256 k = 0; k < plans.length; ++k) {
            ops[k] = _build(plans[k]);
            // Earlier operations in the same lane.
            for (uint256 m = 0; m < k; ++m) {
                if (ops[m].sender == ops[k].sender && ops[m].nonce >> 64 == ops[k].nonce >> 64) ++ops[k].nonce;
            }
            sign(ops[k], _signerOf(plans[k]));
        }
    }

    function _build(Plan memory plan) private view returns (UserOperation memory op) {
        op.sender = address(accounts[plan.account]);
        bool isOwnLane = plan.isKeys && !plan.wrongNonceKey;
        op.nonce = ENTRY_POINT.getNonce(op.sender, isOwnLane ? uint160(wallets[plan.key].addr) : 0);
        op.callData = plan.callData;
        op.callGasLimit = plan.isKeys ? CALL_GAS : 4 * CALL_GAS;
        op.verificationGasLimit = VERIFICATION_GAS;
        op.preVerificationGas = plan.preVerificationGas;
        (op.maxFeePerGas, op.maxPriorityFeePerGas) = (plan.fee, plan.fee);
        if (plan.hasPaymaster) op.paymasterAndData = abi.encodePacked(paymaster);
    }

    function _signerOf(Plan memory plan) private view returns (uint256 privateKey) {
        if (!plan.isKeys) return owners[plan.account].privateKey;
        return wallets[plan.wrongSigner ? (plan.key + 1) % KEYS : plan.key].privateKey;
    }
}
