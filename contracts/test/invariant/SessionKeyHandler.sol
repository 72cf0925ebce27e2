// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";
import {LowLevelCall} from "@openzeppelin/utils/LowLevelCall.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {ObservedSpending} from "./ObservedSpending.sol";

/// @notice Acts as owners, keys, anyone and time, through the real EntryPoint. Before each bundle the reference
/// predicts the result in the EntryPoint's order: validation of all operations one by one, then execution of all one by
/// one, where a failing operation reverts only itself. So an owner's change to a key affects the key's later operations
/// of the same bundle in execution, but not in validation.
///
/// The result must match to the last byte: which operation the EntryPoint refuses and why, which one fails in execution
/// and with what data, and every view of the plugin afterwards.
contract SessionKeyHandler is ObservedSpending {
    /// @notice The possible results of a bundle, and of an operation in it.
    enum Event {
        BUNDLE,
        REFUSED_BY_PLUGIN,
        REFUSED_FOR_SIGNATURE,
        REFUSED_FOR_TIME,
        OWNER_SUCCEEDED,
        OWNER_FAILED,
        KEY_SUCCEEDED,
        KEY_IS_GONE,
        KEY_IS_NARROWED,
        OVER_NATIVE_LIMIT,
        OVER_TOKEN_LIMIT,
        CALL_FAILED,
        GAS_WINDOW_OPENED
    }

    /// @notice The number of times each event happened.
    mapping(Event what => uint256) public counts;

    /// @dev The plugin's id of each registration seen, and the reverse.
    mapping(uint256 registration => uint256) private ids;
    mapping(uint256 account => mapping(uint256 id => uint256)) private registrations;

    function setUp() public override {
        super.setUp();
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            for (uint256 i = 0; i < KEYS; ++i) {
                _callAsOwner(planFirstKey(a, i));
            }
        }
    }

    /* Actions */

    /// @notice Sends a bundle. Like a bundler, drops an operation that the EntryPoint refuses, and sends the rest.
    function sendBundle(uint256 seed) external {
        Plan[] memory plans = planBundle(Random(seed));
        while (plans.length != 0) {
            _count(Event.BUNDLE);
            uint256 refused = _handle(plans);
            if (refused == plans.length) return;
            Plan[] memory others = new Plan[](plans.length - 1);
            for (uint256 k = 0; k < others.length; ++k) {
                others[k] = plans[k < refused ? k : k + 1];
            }
            plans = others;
        }
    }

    /// @notice The owner acts in a runtime call, not a user operation.
    function ownerCalls(uint256 seed) external {
        Random memory random = Random(seed);
        _callAsOwner(planOwners(random, draw(random, ACCOUNTS), draw(random, KEYS)));
    }

    function _callAsOwner(Plan memory plan) private {
        Outcome memory expected = _expectExecution(plan);
        vm.prank(owners[plan.account].addr);
        (bool success, bytes memory answer) = address(accounts[plan.account]).call(plan.callData);
        assertEq(success, expected.success, "the owner's call");
        if (!success) assertEq(answer, expected.reason, "the owner's call");
        for (uint256 i = 0; i < KEYS; ++i) {
            if (names(plan, i)) restartWindows(plan.account, i, stateOf(plan.account, i));
        }
        check();
    }

    /// @notice Usually by less than an interval, sometimes by more.
    function timePasses(uint256 seed) external {
        vm.warp(vm.getBlockTimestamp() + (seed >> 8) % (seed % 4 == 0 ? 1 days : 2 hours));
    }

    function anyoneResets(uint256 seed) external {
        address sessionKey = wallets[seed % KEYS].addr;
        address of_ = address(accounts[(seed >> 8) % ACCOUNTS]);
        bytes memory callData = abi.encodeCall(ISessionKeyPlugin.resetSessionKeyGasLimitTimestamp, (of_, sessionKey));
        (bool success, bytes memory answer) = address(plugin).call(callData);
        (bool expectedSuccess, bytes memory expectedAnswer) = address(reference_).call(callData);
        assertEq(success, expectedSuccess, "reset");
        assertEq(answer, expectedAnswer, "reset");
        check();
    }

    /* A bundle */

    /// @return refused The index of the operation for which the EntryPoint refused the bundle; the number of operations if
    /// it refused none.
    function _handle(Plan[] memory plans) private returns (uint256 refused) {
        UserOperation[] memory ops = build(plans);
        State[KEYS][ACCOUNTS] memory before = statesOf();
        uint256[2][ACCOUNTS] memory balances = _balancesOf();

        Outcome[] memory expected;
        bytes memory expectedError;
        try this.expectBundle(plans, ops) returns (Outcome[] memory answer) {
            expected = answer;
        } catch (bytes memory reason) {
            expectedError = reason;
        }
        vm.recordLogs();
        vm.prank(bundler, bundler);
        try ENTRY_POINT.handleOps(ops, beneficiary) {
            assertEq(expectedError.length, 0, "a bundle was included that must be refused");
        } catch (bytes memory reason) {
            assertEq(reason, expectedError, "refused");
            check();
            return _countRefusal(reason);
        }
        Outcome[] memory outcomes = readOutcomes(vm.getRecordedLogs(), plans);
        for (uint256 opened = checkProperties(plans, outcomes, before); opened > 0; --opened) {
            _count(Event.GAS_WINDOW_OPENED);
        }
        for (uint256 k = 0; k < plans.length; ++k) {
            assertEq(outcomes[k].success, expected[k].success, "success");
            assertEq(outcomes[k].reason, expected[k].reason, "revert reason");
            _countOutcome(plans[k], outcomes[k]);
            uint256[2] memory left = balances[plans[k].account];
            left[0] -= outcomes[k].native;
            left[1] -= outcomes[k].tokens;
        }
        assertEq(abi.encode(_balancesOf()), abi.encode(balances), "balances");
        check();
        return plans.length;
    }

    function _balancesOf() private view returns (uint256[2][ACCOUNTS] memory balances) {
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            balances[a] = [address(accounts[a]).balance, token.balanceOf(address(accounts[a]))];
        }
    }

    /* Expectations of the reference */

    /// @notice Runs the reference on a bundle. The handler calls it externally, so a revert undoes all of it. Reverts
    /// as the EntryPoint must if it must refuse the bundle.
    function expectBundle(Plan[] calldata plans, UserOperation[] calldata ops)
        external
        returns (Outcome[] memory outcomes)
    {
        require(msg.sender == address(this));
        for (uint256 k = 0; k < plans.length; ++k) {
            if (plans[k].isKeys) _expectValidation(k, plans[k], ops[k]);
        }
        outcomes = new Outcome[](plans.length);
        for (uint256 k = 0; k < plans.length; ++k) {
            outcomes[k] = _expectExecution(plans[k]);
        }
    }

    /// @dev Uses the EntryPoint's order of errors: the account's revert, then its signature, then its time.
    function _expectValidation(uint256 k, Plan calldata plan, UserOperation calldata op) private {
        vm.prank(address(accounts[plan.account]));
        try reference_.checkOperation(op, plan.calls, wallets[plan.key].addr) returns (uint48 from, uint48 until) {
            if (plan.wrongSigner) revert IEntryPoint.FailedOp(k, "AA24 signature error");
            uint256 time = vm.getBlockTimestamp();
            if (time < from || (until != 0 && time > until)) {
                revert IEntryPoint.FailedOp(k, "AA22 expired or not due");
            }
        } catch {
            revert IEntryPoint.FailedOp(k, "AA23 reverted (or OOG)");
        }
    }

    function _expectExecution(Plan memory plan) private returns (Outcome memory outcome) {
        try this.execute(plan) {
            outcome.success = true;
        } catch (bytes memory reason) {
            outcome.reason = reason;
        }
    }

    /// @notice The handler calls it externally, so a revert undoes all of it.
    function execute(Plan calldata plan) external {
        require(msg.sender == address(this));
        for (uint256 s = 0; s < plan.steps.length; ++s) {
            vm.prank(address(accounts[plan.account]));
            (bool success, bytes memory reason) = address(reference_).call(plan.steps[s]);
            if (!success) LowLevelCall.bubbleRevert(reason);
        }
        if (plan.callsFail) LowLevelCall.bubbleRevert(plan.failure);
    }

    /* Comparison */

    /// @notice Checks that every view of the plugin returns the reference's result, and that ids are distinct and never
    /// reused.
    function check() public {
        for (uint256 a = 0; a < ACCOUNTS; ++a) {
            address of_ = address(accounts[a]);
            _same(abi.encodeCall(plugin.sessionKeysOf, (of_)));
            for (uint256 i = 0; i < KEYS; ++i) {
                address sessionKey = wallets[i].addr;
                _same(abi.encodeCall(plugin.isSessionKeyOf, (of_, sessionKey)));
                _same(abi.encodeCall(plugin.findPredecessor, (of_, sessionKey)));
                _same(abi.encodeCall(plugin.getAccessControlType, (of_, sessionKey)));
                _same(abi.encodeCall(plugin.getKeyTimeRange, (of_, sessionKey)));
                _same(abi.encodeCall(plugin.getNativeTokenSpendLimitInfo, (of_, sessionKey)));
                _same(abi.encodeCall(plugin.getGasSpendLimit, (of_, sessionKey)));
                _same(abi.encodeCall(plugin.getERC20SpendLimitInfo, (of_, sessionKey, address(token))));
                _same(abi.encodeCall(plugin.getRequiredPaymaster, (of_, sessionKey)));
                _checkList(of_, sessionKey);
                _checkId(a, i);
            }
        }
    }

    function _checkList(address of_, address sessionKey) private view {
        address[3] memory targets = listTargets();
        for (uint256 t = 0; t < targets.length; ++t) {
            _same(abi.encodeCall(plugin.getAccessControlEntry, (of_, sessionKey, targets[t])));
        }
        ListFunction[5] memory functions = listFunctions();
        for (uint256 f = 0; f < functions.length; ++f) {
            _same(
                abi.encodeCall(
                    plugin.isSelectorOnAccessControlList, (of_, sessionKey, functions[f].target, functions[f].selector)
                )
            );
        }
    }

    function _same(bytes memory question) private view {
        (, bytes memory answer) = address(plugin).staticcall(question);
        (, bytes memory expected) = address(reference_).staticcall(question);
        if (keccak256(answer) != keccak256(expected)) {
            assertEq(answer, expected, string.concat("answer to ", vm.toString(question)));
        }
    }

    /// @dev A registration keeps one id, through rotations; no other registration of the account ever has it.
    function _checkId(uint256 a, uint256 i) private {
        uint256 registration = reference_.registrationOf(address(accounts[a]), wallets[i].addr);
        if (registration == 0) return;
        uint256 id = _idOf(a, i);
        if (ids[registration] == 0) {
            assertEq(registrations[a][id], 0, "an id was reused");
            (ids[registration], registrations[a][id]) = (id, registration);
        }
        assertEq(ids[registration], id, "another id");
        assertEq(registrations[a][id], registration, "one id for two keys");
    }

    /// @dev Read from the plugin's storage: see the layouts above `KeyRecord` and `LibSessionKeySlots`.
    function _idOf(uint256 a, uint256 i) private view returns (uint256) {
        bytes32 name = bytes32(uint256(2) << 248 | uint256(uint160(wallets[i].addr)) << 40);
        return uint48(uint256(vm.load(address(plugin), keccak256(abi.encode(address(accounts[a]), name)))));
    }

    /* Counting */

    function _count(Event what) private {
        ++counts[what];
    }

    function _countRefusal(bytes memory reason) private returns (uint256 refused) {
        string memory code;
        (refused, code) = abi.decode(Bytes.slice(reason, 4), (uint256, string));
        if (bytes(code)[3] == "2") _count(Event.REFUSED_FOR_TIME);
        else _count(bytes(code)[3] == "3" ? Event.REFUSED_BY_PLUGIN : Event.REFUSED_FOR_SIGNATURE);
    }

    /// @dev A validated key's operation finds its key gone, or a rule broken, only because of an earlier operation in
    /// the same bundle. That is so for the native limit too.
    function _countOutcome(Plan memory plan, Outcome memory outcome) private {
        bytes4 reason = bytes4(outcome.reason);
        if (!plan.isKeys) _count(outcome.success ? Event.OWNER_SUCCEEDED : Event.OWNER_FAILED);
        else if (outcome.success) _count(Event.KEY_SUCCEEDED);
        else if (reason == ISessionKeyPlugin.InvalidSessionKey.selector) _count(Event.KEY_IS_GONE);
        else if (reason == ISessionKeyPlugin.PermissionsCheckFailed.selector) _count(Event.KEY_IS_NARROWED);
        else if (reason == ISessionKeyPlugin.NativeTokenSpendLimitExceeded.selector) _count(Event.OVER_NATIVE_LIMIT);
        else if (reason == ISessionKeyPlugin.ERC20SpendLimitExceeded.selector) _count(Event.OVER_TOKEN_LIMIT);
        else _count(Event.CALL_FAILED);
    }
}
