// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/interfaces/IERC1271.sol";
import {LibString} from "solady/utils/LibString.sol";

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {IPluginManager} from "../../src/interfaces/IPluginManager.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {PingTarget} from "../mocks/PingTarget.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {ContractOwner} from "../mocks/ContractOwner.sol";
import {RuleBreaker} from "../mocks/RuleBreaker.sol";
import {TestPaymaster} from "../mocks/TestPaymaster.sol";
import {ValidationTrace} from "../utils/ValidationTrace.sol";

/// @notice ERC-7562 for an account and plugins without stake, and the factory: operations of every kind break none of
/// its rules in validation, and the exceptions are shown. Then tests of the check itself.
contract ValidationRulesTest is ValidationTrace {
    function setUp() public override {
        super.setUp();
        grant(listOf(allow(address(target)), nativeLimit(1 ether, INTERVAL), tokenLimit(1 ether, INTERVAL)));
        update(allow(address(token)));
    }

    function test_allowlistedCall_obeysTheRules() public {
        _obeysTheRules(keyOp(ping()));
    }

    function test_checkedSelector_obeysTheRules() public {
        update(entry(address(target), true, true));
        update(functionEntry(address(target), PingTarget.ping.selector, true));
        _obeysTheRules(keyOp(ping()));
    }

    function test_valueAndToken_obeyTheRules() public {
        _obeysTheRules(keyOp(join(ping(0.1 ether), transfer(0.1 ether))));
    }

    function test_wideLimits_obeyTheRules() public {
        update(nativeLimit(NO_LIMIT - 1, INTERVAL));
        update(tokenLimit(NO_LIMIT - 1, INTERVAL));
        update(gasLimit(NO_LIMIT - 1, INTERVAL));
        _obeysTheRules(keyOp(join(ping(0.1 ether), transfer(0.1 ether))));
    }

    function test_gasLimitAndItsReset_obeyTheRules() public {
        // One operation may cost 0.008 ether.
        update(gasLimit(0.01 ether, INTERVAL));
        _obeysTheRules(keyOp(ping()));
        validate(keyOp(ping()));
        _obeysTheRules(keyOp(ping()));
        validate(keyOp(ping()));
        (, bool shouldReset) = plugin.getGasSpendLimit(address(account), key.addr);
        assertTrue(shouldReset);
    }

    function test_timeRange_obeysTheRules() public {
        update(timeRange(1, type(uint48).max));
        _obeysTheRules(keyOp(ping()));
    }

    function test_denylistAndAllowAll_obeyTheRules() public {
        update(listType(ISessionKeyPlugin.ContractAccessControlType.DENYLIST));
        _obeysTheRules(keyOp(call(payee, 0, "")));
        update(listType(ISessionKeyPlugin.ContractAccessControlType.ALLOW_ALL_ACCESS));
        _obeysTheRules(keyOp(ping()));
    }

    function test_requiredPaymaster_obeysTheRules() public {
        address paymaster = address(new TestPaymaster());
        vm.deal(address(this), 1 ether);
        ENTRY_POINT.depositTo{value: 1 ether}(paymaster);
        update(requiredPaymaster(paymaster));
        UserOperation memory op = keyOp(ping());
        op.paymasterAndData = abi.encodePacked(paymaster);
        sign(op, key.privateKey);
        _obeysTheRules(op);
    }

    function test_manyCalls_obeyTheRules() public {
        Call[] memory calls = ping();
        for (uint256 i = 0; i < 10; ++i) {
            calls = join(calls, ping());
        }
        _obeysTheRules(keyOp(calls));
    }

    /// @dev Every function that an owner's signature validates, with a second owner so the list has more than one.
    function test_ownersOperations_obeyTheRules() public {
        address second = makeAddr("second owner");
        makeOwner(second);

        bytes[10] memory calls = [
            executeCall(address(target), 0, ""),
            batchCall(new Call[](2)),
            abi.encodeCall(IPluginManager.installPlugin, (address(plugin), 0, "", new bytes21[](0))),
            uninstallCall(address(plugin)),
            abi.encodeCall(IModularAccount.upgradeToAndCall, (address(target), "")),
            abi.encodeCall(IMultiOwnerPlugin.updateOwners, (new address[](0), listOf(second))),
            abi.encodeCall(ISessionKeyPlugin.addSessionKey, (payee, 0, new bytes[](0))),
            abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key.addr, 0)),
            abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (key.addr, 0, payee)),
            abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key.addr, new bytes[](0)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            _obeysTheRules(ownerOp(calls[i]));
        }
    }

    /// @dev The account pays what its deposit lacks, and makes no other call to the EntryPoint.
    function test_prefund_obeysTheRules() public {
        UserOperation[2] memory ops = [keyOp(ping(0.1 ether)), ownerOp(executeCall(address(target), 0, ""))];
        for (uint256 i = 0; i < ops.length; ++i) {
            _obeysTheRules(ops[i]);
            assertEq(prefunds, 0, "there is a deposit");
        }
        vm.prank(address(account));
        ENTRY_POINT.withdrawTo(beneficiary, 10 ether);
        for (uint256 i = 0; i < ops.length; ++i) {
            _obeysTheRules(ops[i]);
            assertEq(prefunds, 1, "there is none");
        }
    }

    /* The operation that creates its account */

    function _creatingOp() private returns (UserOperation memory op) {
        address[] memory owners = listOf(makeAddr("second owner"), owner.addr);
        if (owners[0] > owners[1]) (owners[0], owners[1]) = (owners[1], owners[0]);
        op = buildUserOp(executeCall(address(target), 0, ""));
        op.sender = factory.getAddress(77, owners);
        op.nonce = 0;
        op.initCode = abi.encodePacked(factory, abi.encodeCall(factory.createAccount, (77, owners)));
        sign(op, owner.privateKey);
        vm.deal(op.sender, 1 ether);
    }

    function test_initCode_obeysTheRulesIfTheFactoryIsStaked() public {
        vm.deal(factoryOwner, 1 ether);
        vm.prank(factoryOwner);
        factory.addStake{value: 1 ether}(1 days, 1 ether);
        _obeysTheRules(_creatingOp());
        assertGt(stepsOfFactory, 1000, "the factory and what it creates");
        assertEq(prefunds, 1);
    }

    /// @dev The owner plugin's storage is associated with an account that does not exist yet.
    function test_initCode_breaksOneRuleIfTheFactoryIsNotStaked() public {
        string[] memory violations = this.violationsOf(_creatingOp(), false);
        assertGt(violations.length, 0);
        for (uint256 i = 0; i < violations.length; ++i) {
            assertEq(violations[i], "STO-022: associated storage, and a factory without stake");
        }
    }

    /* Owners with code, behind owners without */

    /// @dev An operation with this signature; all owners but one are externally owned accounts.
    function _contractOwnersOp(bytes memory name) private returns (UserOperation memory op) {
        ContractOwner contractOwner = ContractOwner(makeAddr("contract owner"));
        vm.etch(address(contractOwner), address(new ContractOwner()).code);
        makeOwner(address(contractOwner));
        makeOwner(makeAddr("newer owner"));
        op = buildUserOp(executeCall(address(target), 0, ""));
        op.signature = abi.encodePacked(name, "any");
        // An answer that needs no storage of the owner itself.
        vm.mockCall(
            address(contractOwner),
            abi.encodeCall(IERC1271.isValidSignature, (ENTRY_POINT.getUserOpHash(op), bytes("any"))),
            abi.encode(IERC1271.isValidSignature.selector)
        );
    }

    function test_signatureOfANamedOwner_obeysTheRules() public {
        bytes memory marker = hex"ffffffffffffffffffffffffffffffff3912ad2b0ae36861a865bb371c234690";
        _obeysTheRules(_contractOwnersOp(abi.encodePacked(marker, makeAddr("contract owner"))));
    }

    /// @dev Still valid in `handleOps`, but a tracing bundler refuses it.
    function test_signatureOfAnUnnamedContractOwner_touchesNewerOwnersWithoutCode() public {
        UserOperation memory op = _contractOwnersOp("");
        string[] memory violations = this.violationsOf(op, false);
        assertEq(violations.length, 1);
        assertEq(violations[0], _noCodeAt(makeAddr("newer owner")));
        assertEq(validate(op), 0);
    }

    /// @dev No owner signed the operation: every owner is asked.
    function test_badSignature_touchesOwnersWithoutCode() public {
        UserOperation memory op = buildUserOp(executeCall(address(target), 0, ""));
        sign(op, key.privateKey);
        string[] memory violations = this.violationsOf(op, true);
        assertEq(violations.length, 1);
        assertEq(violations[0], _noCodeAt(owner.addr));
    }

    function _noCodeAt(address without) private pure returns (string memory) {
        return string.concat("OP-041: no code at ", vm.toString(without));
    }

    /* The check itself */

    /// @dev One operation per rule that can be broken: the check names exactly that rule.
    function test_theCheck_seesEveryRule() public {
        RuleBreaker breaker = new RuleBreaker();
        vm.deal(address(breaker), 1 ether);
        install(address(breaker), "");
        string memory noCode = vm.toString(address(0xC0DE1E55));
        string memory slot = "0x0000000000000000000000000000000000000000000000000000000000000007";
        string[21] memory expected = [
            "",
            "OP-011: opcode 0x32",
            "OP-011: opcode 0x31",
            "OP-011: opcode 0x42",
            "OP-011: opcode 0x47",
            "OP-011: opcode 0xf0",
            "OP-011: opcode 0xf5",
            "OP-012: GAS before 0x",
            "OP-020: out of gas 0x",
            string.concat("OP-041: no code at ", noCode),
            string.concat("OP-041: no code at ", noCode),
            string.concat("OP-041: no code at ", noCode),
            string.concat("OP-041: no code at ", noCode),
            string.concat("OP-041: no code at ", noCode),
            string.concat("OP-041: no code at ", noCode),
            string.concat("OP-061: call with value of ", vm.toString(address(account))),
            "OP-054: access to the EntryPoint, opcode 0xf1",
            string.concat("OP-062: precompile ", vm.toString(address(10))),
            string.concat("STO-021: slot ", slot),
            string.concat("STO-021: slot ", slot),
            string.concat("STO-021: slot ", slot)
        ];
        assertEq(expected.length, uint256(type(RuleBreaker.Break).max) + 1);
        for (uint256 i = 0; i < expected.length; ++i) {
            UserOperation memory op = buildUserOp(abi.encodeCall(RuleBreaker.foo, ()));
            op.signature = abi.encodePacked(uint8(i));
            string[] memory violations = this.violationsOf(op, false);
            if (i == 0) {
                assertEq(violations.length, 0);
                continue;
            }
            assertEq(violations.length, 1, expected[i]);
            assertTrue(LibString.startsWith(violations[0], expected[i]), violations[0]);
        }
    }

    function _obeysTheRules(UserOperation memory op) private {
        string[] memory violations = this.violationsOf(op, false);
        assertEq(violations.length, 0, violations.length == 0 ? "" : violations[0]);
        assertGt(stepsOfAccount, 500, "the account and its plugins");
        assertGt(associatedAccesses, 0, "storage of a plugin");
        assertEq(stepsOfFactory == 0, op.initCode.length == 0, "the factory");
    }
}
