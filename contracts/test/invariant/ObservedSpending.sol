// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {Till} from "../mocks/Till.sol";
import {SessionKeyPlans} from "./SessionKeyPlans.sol";

/// @notice The spending of the accounts in a bundle, as observed on the chain, and its bounds. Independent of the
/// reference.
///
/// The rule of windows, for the native limit and each token limit: Without an interval, the only window is the life of
/// the limit. With one, a window begins when the owner sets the limit, or with the first successful operation that
/// executes at least an interval after the last window began (for a token's limit, one that transfers or approves, even
/// an amount of zero); it lasts until the next window begins. So windows do not overlap, and begin at least an interval
/// apart. The amount that leaves in a window through the key, plus the amount used when the owner set the limit, never
/// exceeds the limit. In any stretch of time as long as the interval, it is at most twice the limit, since the stretch
/// touches at most two windows.
abstract contract ObservedSpending is SessionKeyPlans {
    using FixedPointMathLib for uint256;

    /// @notice An operation as the EntryPoint included it.
    struct Outcome {
        bool success;
        bytes reason;
        // Its cost in wei, and the decrease of its account's native and token balances.
        uint256 gasPaid;
        uint256 native;
        uint256 tokens;
        // The sum of the allowances that it set, saturating.
        uint256 allowances;
    }

    /// @notice Everything known about a key.
    struct State {
        bool isRegistered;
        // A hash of everything that only an owner can change.
        bytes32 permissions;
        ISessionKeyPlugin.SpendLimitInfo native;
        ISessionKeyPlugin.SpendLimitInfo erc20;
        ISessionKeyPlugin.SpendLimitInfo gas;
        bool isResetPending;
    }

    /// @notice The effect of one key's operations in a bundle.
    struct Activity {
        uint256 included;
        uint256 succeeded;
        uint256 gasPaid;
        uint256 native;
        // Tokens and allowances, saturating.
        uint256 tokens;
    }

    /// @dev The amount spent in the current window, by account and key.
    uint256[KEYS][ACCOUNTS] private nativeSpent;
    uint256[KEYS][ACCOUNTS] private tokensSpent;

    bytes32 private installation;

    function setUp() public virtual override {
        super.setUp();
        installation = _stateOfInstallations();
    }

    /* Observation */

    /// @dev Foundry also records events of reverted calls; nothing in a failed operation counts.
    function readOutcomes(Vm.Log[] memory logs, Plan[] memory plans) internal view returns (Outcome[] memory outcomes) {
        outcomes = new Outcome[](plans.length);
        uint256 k;
        for (uint256 i = 0; i < logs.length; ++i) {
            Vm.Log memory log = logs[i];
            if (log.emitter == address(till) || log.emitter == address(token)) {
                // No operation moves another account's assets.
                assertEq(address(uint160(uint256(log.topics[1]))), address(accounts[plans[k].account]), "whose");
                if (log.topics[0] == Till.Received.selector) outcomes[k].native += abi.decode(log.data, (uint256));
                if (log.topics[0] == TestToken.Transfer.selector) {
                    outcomes[k].tokens += abi.decode(log.data, (uint256));
                }
                if (log.topics[0] == TestToken.Approval.selector) {
                    outcomes[k].allowances = outcomes[k].allowances.saturatingAdd(abi.decode(log.data, (uint256)));
                }
            } else if (log.emitter != address(ENTRY_POINT)) {
                continue;
            } else if (log.topics[0] == IEntryPoint.UserOperationRevertReason.selector) {
                (, outcomes[k].reason) = abi.decode(log.data, (uint256, bytes));
            } else if (log.topics[0] == IEntryPoint.UserOperationEvent.selector) {
                (, outcomes[k].success, outcomes[k].gasPaid,) = abi.decode(log.data, (uint256, bool, uint256, uint256));
                if (!outcomes[k].success) (outcomes[k].native, outcomes[k].tokens, outcomes[k].allowances) = (0, 0, 0);
                ++k;
            }
        }
        assertEq(k, plans.length, "operations included");
    }

    function stateOf(uint256 a, uint256 i) internal view returns (State memory state) {
        address of_ = address(accounts[a]);
        address sessionKey = wallets[i].addr;
        state.isRegistered = plugin.isSessionKeyOf(of_, sessionKey);
        if (!state.isRegistered) return state;
        state.native = plugin.getNativeTokenSpendLimitInfo(of_, sessionKey);
        state.erc20 = plugin.getERC20SpendLimitInfo(of_, sessionKey, address(token));
        (state.gas, state.isResetPending) = plugin.getGasSpendLimit(of_, sessionKey);
        (uint48 validAfter, uint48 validUntil) = plugin.getKeyTimeRange(of_, sessionKey);
        bytes32 limits = keccak256(abi.encode(_settingOf(state.native), _settingOf(state.erc20), _settingOf(state.gas)));
        state.permissions = keccak256(
            abi.encode(
                plugin.getAccessControlType(of_, sessionKey),
                plugin.getRequiredPaymaster(of_, sessionKey),
                validAfter,
                validUntil,
                limits,
                _accessListOf(of_, sessionKey)
            )
        );
    }

    function _settingOf(ISessionKeyPlugin.SpendLimitInfo memory info) private pure returns (bytes32) {
        return keccak256(abi.encode(info.hasLimit, info.limit, info.refreshInterval));
    }

    function _accessListOf(address of_, address sessionKey) private view returns (bytes32 hash) {
        address[3] memory targets = listTargets();
        for (uint256 t = 0; t < targets.length; ++t) {
            (bool isOnList, bool checkSelectors) = plugin.getAccessControlEntry(of_, sessionKey, targets[t]);
            hash = keccak256(abi.encode(hash, isOnList, checkSelectors));
        }
        ListFunction[5] memory functions = listFunctions();
        for (uint256 f = 0; f < functions.length; ++f) {
            bool isListed =
                plugin.isSelectorOnAccessControlList(of_, sessionKey, functions[f].target, functions[f].selector);
            hash = keccak256(abi.encode(hash, isListed));
        }
    }

    function statesOf() internal view returns (State[KEYS][ACCOUNTS] memory states) {
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            for (uint256 i = 0; i < KEYS; ++i) {
                states[a][i] = stateOf(a, i);
            }
        }
    }

    /// @dev Hashes owners, plugins in order, and the account's implementation.
    function _stateOfInstallations() private view returns (bytes32 hash) {
        bytes32 implementationSlot = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            address of_ = address(accounts[a]);
            hash = keccak256(
                abi.encode(
                    hash,
                    accounts[a].getInstalledPlugins(),
                    ownerPlugin.ownersOf(of_),
                    vm.load(of_, implementationSlot),
                    of_.code
                )
            );
        }
    }

    /* What must hold */

    /// @notice Checks the properties after a bundle.
    /// @param before The keys' states before the bundle.
    /// @return gasWindows The number of gas limit windows opened.
    function checkProperties(Plan[] memory plans, Outcome[] memory outcomes, State[KEYS][ACCOUNTS] memory before)
        internal
        returns (uint256 gasWindows)
    {
        assertEq(_stateOfInstallations(), installation, "owners or plugins changed");
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            for (uint256 i = 0; i < KEYS; ++i) {
                State memory afterwards = stateOf(a, i);
                if (_isNamed(plans, a, i)) restartWindows(a, i, afterwards);
                else if (_checkKey(a, i, _activityOf(plans, outcomes, a, i), before[a][i], afterwards)) ++gasWindows;
            }
        }
    }

    /// @dev Whether an owner's operation concerns this key.
    function _isNamed(Plan[] memory plans, uint256 a, uint256 i) private pure returns (bool) {
        for (uint256 k = 0; k < plans.length; ++k) {
            if (plans[k].account == a && names(plans[k], i)) return true;
        }
        return false;
    }

    function _activityOf(Plan[] memory plans, Outcome[] memory outcomes, uint256 a, uint256 i)
        private
        pure
        returns (Activity memory activity)
    {
        for (uint256 k = 0; k < plans.length; ++k) {
            if (!plans[k].isKeys || plans[k].account != a || plans[k].key != i) continue;
            ++activity.included;
            activity.gasPaid += outcomes[k].gasPaid;
            if (!outcomes[k].success) continue;
            ++activity.succeeded;
            activity.native += outcomes[k].native;
            activity.tokens = activity.tokens.saturatingAdd(outcomes[k].tokens).saturatingAdd(outcomes[k].allowances);
        }
    }

    /// @dev An owner's changes to a key are compared only with the reference. The windows continue from the amounts
    /// used by then.
    function restartWindows(uint256 a, uint256 i, State memory state) internal {
        nativeSpent[a][i] = state.native.limitUsed;
        tokensSpent[a][i] = state.erc20.limitUsed;
    }

    /// @dev Checks a key that no owner's operation of the bundle concerns.
    /// @return Whether a window of its gas limit was opened.
    function _checkKey(uint256 a, uint256 i, Activity memory activity, State memory before, State memory afterwards)
        private
        returns (bool)
    {
        assertEq(afterwards.isRegistered, before.isRegistered, "registered by no owner");
        assertEq(afterwards.permissions, before.permissions, "permissions changed by no owner");
        if (activity.included == 0) {
            assertEq(abi.encode(afterwards), abi.encode(before), "changed by what another does");
            return false;
        }
        assertTrue(before.isRegistered, "what is not registered was included");
        if (activity.succeeded == 0) {
            assertEq(abi.encode(afterwards.native), abi.encode(before.native), "native: used without success");
            assertEq(abi.encode(afterwards.erc20), abi.encode(before.erc20), "token: used without success");
        } else {
            nativeSpent[a][i] = _checkWindow(nativeSpent[a][i], activity.native, before.native, afterwards.native);
            tokensSpent[a][i] = _checkWindow(tokensSpent[a][i], activity.tokens, before.erc20, afterwards.erc20);
        }
        return _checkGas(activity.gasPaid, before, afterwards);
    }

    /// @param spent The amount spent earlier in the current window.
    /// @param out The amount that left by successful operations: wei; or tokens and allowances.
    /// @return The amount spent in the current window.
    function _checkWindow(
        uint256 spent,
        uint256 out,
        ISessionKeyPlugin.SpendLimitInfo memory before,
        ISessionKeyPlugin.SpendLimitInfo memory afterwards
    ) private view returns (uint256) {
        if (!before.hasLimit) return 0;
        uint256 charged = afterwards.limitUsed;
        if (afterwards.lastUsedTime == before.lastUsedTime) {
            charged -= before.limitUsed;
        } else {
            assertEq(afterwards.lastUsedTime, vm.getBlockTimestamp(), "a window begins with what opens it");
            assertGt(before.refreshInterval, 0, "a total refreshed");
            assertGe(afterwards.lastUsedTime - before.lastUsedTime, before.refreshInterval, "windows overlap");
            spent = 0;
        }
        assertLe(out, charged, "more left than was charged");
        // The owner may have set the limit below the used amount: then nothing leaves.
        if (out > 0) assertLe(spent + out, before.limit, "a window's limit exceeded");
        return spent + out;
    }

    /// @dev Validation charges the maximum cost of operations: to the current window, or to the next, whose reset is
    /// pending until an operation succeeds.
    /// @return isOpened Whether a window was opened.
    function _checkGas(uint256 paid, State memory before, State memory afterwards)
        private
        view
        returns (bool isOpened)
    {
        ISessionKeyPlugin.SpendLimitInfo memory gas = afterwards.gas;
        if (!before.gas.hasLimit) return false;
        assertLe(gas.limitUsed, gas.limit, "gas: limit exceeded");
        bool isSettled = gas.lastUsedTime != before.gas.lastUsedTime;
        if (isSettled) {
            assertEq(gas.lastUsedTime, vm.getBlockTimestamp(), "gas: a window begins when it is settled");
            assertGe(gas.lastUsedTime - before.gas.lastUsedTime, gas.refreshInterval, "gas: windows overlap");
        }
        // A pending reset prevents validation from opening a second window.
        isOpened = !before.isResetPending && (afterwards.isResetPending || isSettled);
        uint256 charged = gas.limitUsed;
        if (!isOpened) charged -= before.gas.limitUsed;
        // The rest of the previous window may have been charged before.
        else if (before.gas.limitUsed < gas.limit) charged += gas.limit - before.gas.limitUsed;
        assertLe(paid, charged, "gas: more paid than charged");
    }
}
