// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {LibString} from "solady/utils/LibString.sol";

import {PackedUserOperation} from "../../../src/interfaces/IModule.sol";
import {ISessionKeyPlugin} from "../../../src/interfaces/ISessionKeyPlugin.sol";
import {PingTarget} from "../../mocks/PingTarget.sol";
import {call, join, listOf} from "../../utils/ListLiterals.sol";
import {IAccountV08} from "../../../src/interfaces/IAccountV08.sol";
import {IPaymasterV07} from "../../../src/interfaces/IEntryPointV07.sol";
import {RuleBreakingModule} from "../modules/RuleBreakingModule.sol";
import {
    allow,
    entry,
    functionEntry,
    gasLimit,
    listType,
    nativeLimit,
    requiredPaymaster,
    timeRange,
    tokenLimit
} from "../utils/PermissionUpdates.sol";
import {ValidationTraceV07} from "../utils/ValidationTraceV07.sol";

/// @notice ERC-7562 for the module without stake: operations of every kind obey its rules in validation, including a
/// deferred installation; the exceptions are shown as well, and that the check itself detects violations.
contract ValidationRulesOfModuleTest is ValidationTraceV07 {
    /* Operations of keys */

    function test_allowlistedCall_obeysTheRules() public onEveryAccount {
        grant(listOf(allow(address(target))));
        _obeysTheRules(keyOp(ping()));
    }

    function test_everyRule_obeysTheRules() public {
        grant(_everything());
        // The first use, which begins intervals, and the second.
        for (uint256 i = 0; i < 2; ++i) {
            _obeysTheRules(keyOp(join(ping(0.1 ether), transfer(0.1 ether))));
        }
        vm.warp(block.timestamp + INTERVAL);
        _obeysTheRules(keyOp(join(ping(0.1 ether), transfer(0.1 ether))));
    }

    function test_wideLimits_obeyTheRules() public {
        grant(
            listOf(
                nativeLimit(NO_LIMIT - 1, INTERVAL),
                tokenLimit(address(token), NO_LIMIT - 1, INTERVAL),
                gasLimit(NO_LIMIT - 1, INTERVAL)
            )
        );
        update(allow(address(target)));
        update(allow(address(token)));
        for (uint256 i = 0; i < 2; ++i) {
            _obeysTheRules(keyOp(join(ping(0.1 ether), transfer(0.1 ether))));
        }
    }

    function test_denylistAndAllowAll_obeyTheRules() public {
        grant(listOf(listType(ISessionKeyPlugin.ContractAccessControlType.DENYLIST)));
        _obeysTheRules(keyOp(call(payee, 0, "")));
        update(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS));
        _obeysTheRules(keyOp(ping()));
    }

    function test_requiredPaymaster_obeysTheRules() public {
        address paymaster = makeAddr("paymaster");
        vm.etch(paymaster, hex"00");
        bytes memory answer = abi.encode(bytes(""), uint256(0));
        vm.mockCall(paymaster, abi.encodeWithSelector(IPaymasterV07.validatePaymasterUserOp.selector), answer);
        vm.deal(address(this), 1 ether);
        ENTRY_POINT.depositTo{value: 1 ether}(paymaster);
        grant(listOf(allow(address(target)), requiredPaymaster(paymaster), gasLimit(1 ether, 0)));
        PackedUserOperation memory op = keyOp(ping());
        op.paymasterAndData = abi.encodePacked(paymaster, uint128(700_000), uint128(0));
        signAsKey(op);
        _obeysTheRules(op);
    }

    /// @dev The account pays the missing deposit, and makes no other call to the EntryPoint.
    function test_prefund_obeysTheRules() public {
        grant(listOf(allow(address(target))));
        _obeysTheRules(keyOp(ping()));
        assertEq(prefunds, 0, "there is a deposit");
        uint256 deposit = ENTRY_POINT.balanceOf(address(account));
        vm.prank(address(account));
        ENTRY_POINT.withdrawTo(beneficiary, deposit);
        _obeysTheRules(keyOp(ping()));
        assertEq(prefunds, 1, "there is none");
    }

    /* Deferred installation */

    function _everything() private view returns (bytes[] memory updates) {
        updates = new bytes[](8);
        updates[0] = timeRange(1, type(uint48).max);
        updates[1] = entry(address(target), true, true);
        updates[2] = functionEntry(address(target), PingTarget.ping.selector, true);
        updates[3] = allow(address(token));
        updates[4] = nativeLimit(1 ether, INTERVAL);
        updates[5] = tokenLimit(address(token), 1 ether, INTERVAL);
        updates[6] = gasLimit(1 ether, INTERVAL);
        updates[7] = requiredPaymaster(address(0));
    }

    function _deferredOp(bytes memory action) private view returns (PackedUserOperation memory op) {
        op = buildUserOp(useCall(ping()), nonceKey(laneOf(key.addr), ENTITY, HAS_DEFERRED_ACTION));
        op.signature = abi.encodePacked(deferred(op.nonce, 1_700_001_000, action), hex"ff", signatureOf(op, key));
    }

    function test_deferredInstallation_obeysTheRules() public {
        Kind[3] memory kinds = [Kind.MODULAR, Kind.SEMI_MODULAR, Kind.DELEGATED];
        for (uint256 i = 0; i < kinds.length; ++i) {
            useAccount(kinds[i]);
            uninstallModule();
            _obeysTheRules(_deferredOp(selfCalls(installCalls(oneKey(_everything())))));
        }
    }

    function test_deferredInstallationWithWideLimits_obeysTheRules() public {
        uninstallModule();
        bytes[] memory updates = _everything();
        updates[4] = nativeLimit(NO_LIMIT - 1, INTERVAL);
        updates[5] = tokenLimit(address(token), NO_LIMIT - 1, INTERVAL);
        updates[6] = gasLimit(NO_LIMIT - 1, INTERVAL);
        _obeysTheRules(_deferredOp(selfCalls(installCalls(oneKey(updates)))));
    }

    function test_deferredInstallationWithTotals_obeysTheRules() public {
        uninstallModule();
        bytes[] memory updates = _everything();
        updates[4] = nativeLimit(1 ether, 0);
        updates[5] = tokenLimit(address(token), 1 ether, 0);
        updates[6] = gasLimit(1 ether, 0);
        _obeysTheRules(_deferredOp(selfCalls(installCalls(oneKey(updates)))));
    }

    function test_deferredKey_obeysTheRules() public {
        _obeysTheRules(_deferredOp(addCall(key.addr, _everything())));
    }

    function test_deferredRemovalAndRotation_obeyTheRules() public {
        grant(_everything());
        callAsOwner(addCall(payee, new bytes[](0)));
        bytes memory rotation = abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (payee, 0, stranger));
        _obeysTheRules(_deferredOp(rotation));
        _obeysTheRules(_deferredOp(abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (stranger, bytes32(0)))));
    }

    /// @dev It starts an interval now: a bundler that traces it refuses it. Without an interval it does not.
    function test_deferredUpdateOfALimit_readsTheClock() public {
        grant(_everything());
        string[] memory violations = this.violationsOf(_deferredOp(updateCall(nativeLimit(2 ether, INTERVAL))));
        assertEq(violations.length, 1);
        assertEq(violations[0], "OP-011: opcode 0x42");
    }

    function _creatingOp() private returns (PackedUserOperation memory op) {
        address created = factory.getAddressSemiModular(owner.addr, 77);
        account = IAccountV08(payable(created));
        op = buildUserOp(useCall(ping()), nonceKey(laneOf(key.addr), ENTITY, HAS_DEFERRED_ACTION));
        op.initCode = abi.encodePacked(factory, abi.encodeCall(factory.createSemiModularAccount, (owner.addr, 77)));
        bytes memory action = selfCalls(installCalls(oneKey(_everything())));
        op.signature = abi.encodePacked(deferred(op.nonce, 1_700_001_000, action), hex"ff", signatureOf(op, key));
        vm.deal(created, 1 ether);
    }

    function test_creationWithADeferredInstallation_obeysTheRulesIfTheFactoryIsStaked() public {
        vm.deal(address(this), 1 ether);
        factory.addStake{value: 1 ether}(ENTRY_POINT, 1 days);
        _obeysTheRules(_creatingOp());
    }

    function test_creationWithADeferredInstallation_breaksOneRuleIfTheFactoryIsNotStaked() public {
        string[] memory violations = this.violationsOf(_creatingOp());
        assertGt(violations.length, 0);
        for (uint256 i = 0; i < violations.length; ++i) {
            assertEq(violations[i], "STO-022: associated storage, and a factory without stake");
        }
    }

    function _obeysTheRules(PackedUserOperation memory op) private {
        string[] memory violations = this.violationsOf(op);
        assertEq(violations.length, 0, violations.length == 0 ? "" : violations[0]);
        assertGt(stepsOfAccount, 500, "the account and its module");
        assertGt(associatedAccesses, 0, "storage of the module");
        assertEq(stepsOfFactory == 0, op.initCode.length == 0, "the factory");
    }

    /* The check itself */

    /// @dev One operation for each of some rules: the check names the rule, and nothing else. All rules are shown with
    /// EntryPoint v0.6, whose operations the same code checks.
    function test_theCheck_detectsViolations() public {
        RuleBreakingModule breaker = new RuleBreakingModule();
        callAsOwner(installCall(validation(address(breaker), 5, USER_OP), selectors(EXECUTE)));
        string memory noCode = string.concat("OP-041: no code at ", vm.toString(address(0xC0DE1E55)));
        string[7] memory expected = [
            "",
            "OP-011: opcode 0x42",
            noCode,
            noCode,
            noCode,
            "STO-021: slot 0x0000000000000000000000000000000000000000000000000000000000000007",
            "OP-054: access to the EntryPoint, opcode 0xfa"
        ];
        for (uint256 i = 0; i < expected.length; ++i) {
            PackedUserOperation memory op = buildUserOp(executeCall(payee, 0, ""), nonceKey(0, 5, 0));
            op.signature = abi.encodePacked(hex"ff", uint8(i));
            string[] memory violations = this.violationsOf(op);
            assertEq(violations.length, i == 0 ? 0 : 1, expected[i]);
            if (i != 0) assertTrue(LibString.startsWith(violations[0], expected[i]), violations[0]);
        }
    }
}
