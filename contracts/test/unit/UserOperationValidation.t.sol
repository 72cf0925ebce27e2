// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {IAccount, UserOperation} from "../../src/interfaces/IAccount.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {PluginManifest} from "../../src/interfaces/IPlugin.sol";
import {IPluginExecutor} from "../../src/interfaces/IPluginExecutor.sol";
import {IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {AccountTest} from "../utils/AccountTest.sol";

/// @notice Validation of user operations.
contract UserOperationValidationTest is AccountTest {
    function _fooOp() private view returns (UserOperation memory) {
        return buildUserOp(fooCall());
    }

    /// @dev Hooks 3 and 4, of which 4 is the newer.
    function _installHooked() private {
        PluginManifest memory manifest = fooManifest();
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(3));
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, selfFunction(4));
        install(plugin, manifest);
    }

    function _answer(bytes4 selector, uint8 functionId, uint256 validationData) private {
        plugin.setReturn(selector, functionId, abi.encode(validationData));
    }

    /* Refused before any plugin is called */

    function test_validateUserOp_onlyFromTheEntryPoint() public {
        UserOperation memory op = _fooOp();
        bytes memory callData = validateCall(op, 0, 0);
        address[3] memory callers = [owner.addr, stranger, address(account)];
        for (uint256 i = 0; i < callers.length; ++i) {
            reverts(callers[i], callData, revertData(IModularAccount.UserOpNotFromEntryPoint.selector));
        }
    }

    function test_validateUserOp_refusesShortCallData() public {
        UserOperation memory op = buildUserOp(hex"b61d27");
        reverts(
            address(ENTRY_POINT),
            validateCall(op, 0, 0),
            revertData(IModularAccount.UnrecognizedFunction.selector, 0xb61d2700)
        );
        op.callData = "";
        reverts(
            address(ENTRY_POINT),
            validateCall(op, 0, 0),
            revertData(IModularAccount.UnrecognizedFunction.selector, bytes4(0))
        );
    }

    /// @dev Before any hook runs.
    function test_validateUserOp_revertsWithoutAValidationFunction() public {
        PluginManifest memory manifest;
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, denyFunction());
        install(plugin, manifest);
        reverts(
            address(ENTRY_POINT),
            validateCall(_fooOp(), 0, 0),
            revertData(IModularAccount.UserOpValidationFunctionMissing.selector, FOO)
        );
        bytes4[3] memory unvalidated = [
            IPluginExecutor.executeFromPlugin.selector,
            IModularAccount.initialize.selector,
            IAccount.validateUserOp.selector
        ];
        for (uint256 i = 0; i < unvalidated.length; ++i) {
            reverts(
                address(ENTRY_POINT),
                validateCall(buildUserOp(abi.encodeWithSelector(unvalidated[i])), 0, 0),
                revertData(IModularAccount.UserOpValidationFunctionMissing.selector, unvalidated[i])
            );
        }
    }

    function test_validateUserOp_doesNotCheckTheSender() public {
        UserOperation memory op = _fooOp();
        install(plugin, fooManifest());
        op.sender = stranger;
        assertEq(succeeds(address(ENTRY_POINT), validateCall(op, 0, 0)), abi.encode(0));
    }

    /* Hooks, then the function */

    /// @dev The whole operation arrives, for any contents.
    function testFuzz_validateUserOp_runsHooksThenFunction(UserOperation memory op, bytes32 hash) public {
        _installHooked();
        op.callData = fooCall();
        vm.recordLogs();
        succeeds(address(ENTRY_POINT), validateCall(op, hash, 0));
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 3);
        assertCall(calls[0], plugin, PRE_USER_OP, 4);
        _assertArguments(calls[0].data, 4, op, hash);
        assertCall(calls[1], plugin, PRE_USER_OP, 3);
        _assertArguments(calls[1].data, 3, op, hash);
        assertCall(calls[2], plugin, USER_OP, 2);
        _assertArguments(calls[2].data, 2, op, hash);
    }

    function _assertArguments(bytes memory data, uint8 functionId, UserOperation memory op, bytes32 hash) private pure {
        (uint8 id, UserOperation memory passed, bytes32 passedHash) =
            abi.decode(Bytes.slice(data, 4), (uint8, UserOperation, bytes32));
        assertEq(id, functionId);
        assertEq(abi.encode(passed), abi.encode(op));
        assertEq(passedHash, hash);
    }

    /// @dev An operation with its parts in an unusual order, with gaps, and an offset past the other arguments.
    function test_validateUserOp_passesAnUnusualEncodingOn() public {
        install(plugin, fooManifest());
        UserOperation memory op = _fooOp();
        op.signature = hex"0102030405";
        // Without the offset that the canonical encoding begins with.
        bytes memory body = Bytes.slice(abi.encode(op), 0x20);
        bytes memory callData = abi.encodePacked(
            abi.encodeWithSelector(IAccount.validateUserOp.selector, uint256(0xa0), bytes32("hash"), uint256(0)),
            uint256(1),
            uint256(2),
            body,
            uint256(3)
        );
        vm.recordLogs();
        succeeds(address(ENTRY_POINT), callData);
        MockCall[] memory calls = mockCalls();
        assertEq(calls.length, 1);
        _assertArguments(calls[0].data, 2, op, bytes32("hash"));
    }

    function testFuzz_validateUserOp_withoutHooksReturnsTheWordAsItIs(uint256 word) public {
        install(plugin, fooManifest());
        _answer(USER_OP, 2, word);
        assertEq(validate(_fooOp()), word);
    }

    function test_validateUserOp_alwaysDenyRefusesEveryOperation() public {
        PluginManifest memory manifest = fooManifest();
        manifest.preUserOpValidationHooks = add(manifest.preUserOpValidationHooks, FOO, denyFunction());
        install(plugin, manifest);
        reverts(address(ENTRY_POINT), validateCall(_fooOp(), 0, 0), revertData(IModularAccount.AlwaysDenyRule.selector));
    }

    function testFuzz_validateUserOp_refusesAHookThatNamesAnAggregator(uint160 aggregator, uint96 times) public {
        aggregator = uint160(bound(aggregator, 2, type(uint160).max));
        _installHooked();
        _answer(PRE_USER_OP, 3, uint256(times) << 160 | aggregator);
        reverts(
            address(ENTRY_POINT),
            validateCall(_fooOp(), 0, 0),
            abi.encodeWithSelector(IModularAccount.UnexpectedAggregator.selector, plugin, 3, address(aggregator))
        );
    }

    /// @dev A reference model of the combination.
    function testFuzz_validateUserOp_intersectsAnswers(uint48[6] memory times, bool[2] memory fails, uint160 authorizer)
        public
    {
        _installHooked();
        _answer(PRE_USER_OP, 4, packValidationData(address(uint160(fails[0] ? 1 : 0)), times[0], times[1]));
        _answer(PRE_USER_OP, 3, packValidationData(address(uint160(fails[1] ? 1 : 0)), times[2], times[3]));
        _answer(USER_OP, 2, packValidationData(address(authorizer), times[4], times[5]));

        uint256 until = type(uint256).max;
        uint256 afterTime = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if (times[2 * i] != 0 && times[2 * i] < until) until = times[2 * i];
            if (times[2 * i + 1] > afterTime) afterTime = times[2 * i + 1];
        }
        if (until == type(uint256).max) until = 0;
        address expected = fails[0] || fails[1] ? address(1) : address(authorizer);
        assertEq(validate(_fooOp()), packValidationData(expected, uint48(until), uint48(afterTime)));
    }

    function test_validateUserOp_takesZeroValidUntilForUnbounded() public {
        _installHooked();
        _answer(PRE_USER_OP, 4, packValidationData(address(0), 0, 50));
        _answer(PRE_USER_OP, 3, packValidationData(address(0), 100, 20));
        _answer(USER_OP, 2, packValidationData(address(0), 0, 0));
        assertEq(validate(_fooOp()), packValidationData(address(0), 100, 50));
        _answer(USER_OP, 2, packValidationData(address(7), 90, 60));
        assertEq(validate(_fooOp()), packValidationData(address(7), 90, 60));
    }

    /// @dev A hook's time bounds and its refusal reach the EntryPoint, though the owner's signature is good.
    function test_validateUserOp_entryPointObeysTheHooksAnswer() public {
        bytes memory callData = executeCall(address(counter), 0, "");
        PluginManifest memory manifest;
        manifest.preUserOpValidationHooks =
            add(manifest.preUserOpValidationHooks, IStandardExecutor.execute.selector, selfFunction(3));
        install(plugin, manifest);
        UserOperation[] memory ops = new UserOperation[](1);
        ops[0] = ownerOp(callData);
        uint48 time = uint48(block.timestamp);
        uint256[3] memory answers =
            [packValidationData(address(0), time - 1, 0), packValidationData(address(0), 0, time + 1), 1];
        for (uint256 i = 0; i < answers.length; ++i) {
            _answer(PRE_USER_OP, 3, answers[i]);
            expectFailedOp(i == 2 ? "AA24 signature error" : "AA22 expired or not due");
            vm.prank(bundler, bundler);
            ENTRY_POINT.handleOps(ops, beneficiary);
        }
        _answer(PRE_USER_OP, 3, packValidationData(address(0), time + 1, time - 1));
        sendAsOwner(callData);
    }

    function testFuzz_validateUserOp_bubblesRevertsUp(bytes calldata reason) public {
        _installHooked();
        plugin.setRevert(USER_OP, 2, reason);
        reverts(address(ENTRY_POINT), validateCall(_fooOp(), 0, 0), reason);
        plugin.reset(USER_OP, 2);
        plugin.setRevert(PRE_USER_OP, 3, reason);
        reverts(address(ENTRY_POINT), validateCall(_fooOp(), 0, 0), reason);
    }

    /* Prefund and failed signatures */

    function test_validateUserOp_paysTheMissingPrefund() public {
        install(plugin, fooManifest());
        uint256 deposit = ENTRY_POINT.balanceOf(address(account));
        succeeds(address(ENTRY_POINT), validateCall(_fooOp(), 0, 1 ether));
        assertEq(ENTRY_POINT.balanceOf(address(account)), deposit + 1 ether);
        assertEq(address(account).balance, 99 ether);
    }

    /// @dev The result of validation does not matter: an estimation with a dummy signature continues with the payment.
    function test_validateUserOp_paysForAFailedSignatureToo() public {
        uint256 deposit = ENTRY_POINT.balanceOf(address(account));
        UserOperation memory op = buildUserOp(executeCall(address(counter), 0, ""));
        assertEq(succeeds(address(ENTRY_POINT), validateCall(op, 0, 1 ether)), abi.encode(1));
        assertEq(ENTRY_POINT.balanceOf(address(account)), deposit + 1 ether);
    }

    /// @dev More than the account has: the EntryPoint detects it.
    function test_validateUserOp_doesNotRevertIfItCannotPay() public {
        install(plugin, fooManifest());
        succeeds(address(ENTRY_POINT), validateCall(_fooOp(), 0, 101 ether));
        assertEq(address(account).balance, 100 ether);
    }

    function test_validateUserOp_returnsAFailedSignature() public {
        UserOperation memory op = buildUserOp(executeCall(address(counter), 0, ""));
        bytes[4] memory signatures = [bytes(""), hex"01", new bytes(65), new bytes(1000)];
        for (uint256 i = 0; i < signatures.length; ++i) {
            op.signature = signatures[i];
            assertEq(validate(op), 1);
        }
        sign(op, owner.privateKey);
        assertEq(validate(op), 0);
    }
}
