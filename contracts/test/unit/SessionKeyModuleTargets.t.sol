// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";

import {IModule} from "../../src/interfaces/IModule.sol";
import {ISessionKeyModule} from "../../src/interfaces/ISessionKeyModule.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {InterfaceAnswer} from "../mocks/InterfaceAnswer.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace} from "../utils/SessionKeyFaces.sol";

/// @notice Targets that the module refuses: itself, EntryPoints, other modules; and its query whether a target is a
/// module.
contract SessionKeyModuleTargetsTest is ModuleFace {
    address private constant ENTRY_POINT_V07 = 0x0000000071727De22E5E9d8BAf0edAc6f37da032;
    address private constant ENTRY_POINT_V08 = 0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108;
    address private constant ENTRY_POINT_V09 = 0x433709009B8330FDa32311DF1C2AFA402eD8D009;

    bytes private constant QUESTION = abi.encodeCall(IERC165.supportsInterface, (type(IModule).interfaceId));

    function _expectTargetIsModule(address target) private {
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyModule.TargetIsModule.selector, target));
    }

    /// @dev A target with this answer to the query.
    function _answering(bytes memory answer, bool reverts, uint256 gasToBurn) private returns (address) {
        return address(new InterfaceAnswer(answer, reverts, gasToBurn));
    }

    function _to(address target) private pure returns (Call[] memory) {
        return call(target, 0, hex"11223344");
    }

    /* Addresses */

    function test_module_isNeverATarget() public {
        for (uint8 listType = 0; listType < 3; ++listType) {
            setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
            for (uint8 entry = 0; entry < 4; ++entry) {
                setEntry(address(face), entry & 1 != 0, entry & 2 != 0);
                setFunction(address(face), 0x11223344, true);
                refusedTwice(_to(address(face)));
                refusedTwice(call(address(face), 0, ""));
                refusedTwice(join(increment(), _to(address(face))));
            }
        }
    }

    function test_entryPoints_areTargetsOnAnAllowlistOnly() public {
        address[4] memory all = [ENTRY_POINT, ENTRY_POINT_V07, ENTRY_POINT_V08, ENTRY_POINT_V09];
        for (uint256 i = 0; i < all.length; ++i) {
            vm.mockCall(all[i], bytes(""), bytes(""));
            for (uint8 listType = 0; listType < 3; ++listType) {
                setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
                for (uint8 entry = 0; entry < 4; ++entry) {
                    setEntry(all[i], entry & 1 != 0, entry & 2 != 0);
                    if (listType == 0 && entry == 1) accepted(_to(all[i]));
                    else refusedTwice(_to(all[i]));
                }
            }
        }
    }

    /* Modules */

    /// @dev Under every list type: an owner's mistake does not hand over the account.
    function test_modules_areRefusedInExecutionInEveryListMode() public {
        address target = _answering(abi.encode(1), false, 0);
        for (uint8 listType = 0; listType < 3; ++listType) {
            setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
            setEntry(target, listType == 0, false);
            assertEq(validate(_to(target)), 0);
            _expectTargetIsModule(target);
            execute(_to(target));
            _expectTargetIsModule(target);
            execute(call(target, 0, ""));
        }
    }

    function test_anotherInstanceOfTheModule_isAModule() public {
        allowAll();
        address other = deployFace();
        _expectTargetIsModule(other);
        execute(_to(other));
    }

    function test_answersThatSayModule() public {
        allowAll();
        bytes[6] memory answers = [
            abi.encode(1),
            abi.encode(2),
            abi.encode(uint256(1) << 255),
            abi.encode(type(uint256).max),
            abi.encode(uint256(1), uint256(0)),
            bytes.concat(abi.encode(1), hex"00")
        ];
        for (uint256 i = 0; i < answers.length; ++i) {
            address target = _answering(answers[i], false, 0);
            _expectTargetIsModule(target);
            execute(_to(target));
        }
    }

    function test_answersThatDoNotSayModule() public {
        allowAll();
        bytes memory ones = abi.encode(type(uint256).max);
        bytes memory short = abi.encodePacked(bytes31(type(uint248).max));
        address[7] memory targets = [
            _answering(abi.encode(0), false, 0),
            _answering("", false, 0),
            _answering(short, false, 0),
            _answering(hex"01", false, 0),
            _answering(abi.encode(uint256(0), uint256(1)), false, 0),
            _answering(ones, true, 0),
            _answering("", true, 0)
        ];
        for (uint256 i = 0; i < targets.length; ++i) {
            accepted(_to(targets[i]));
        }
    }

    /// @dev They are not asked: precompiles take any call data as their input.
    function test_targetsWithoutCode_areNotAsked() public {
        allowAll();
        accepted(pay(0));
        accepted(call(address(0), 0, ""));
        for (uint160 i = 1; i < 6; ++i) {
            vm.expectCall(address(i), QUESTION, 0);
            // No input that each of them takes, with the gas that they get here.
            if (i != 5) accepted(call(address(i), 0, ""));
        }
    }

    /// @dev The query gets exactly 10,000 gas units.
    function test_question_gets10000Gas() public {
        allowAll();
        _etchGate(address(0xAA), 9_994);
        _expectTargetIsModule(address(0xAA));
        execute(_to(address(0xAA)));
        _etchGate(address(0xAA), 9_995);
        execute(_to(address(0xAA)));
    }

    /// @dev A contract that answers whether more than `threshold` gas units are left, which the comparison itself sees 5 fewer of.
    function _etchGate(address at, uint16 threshold) private {
        // PUSH2 threshold, GAS, GT; MSTORE and RETURN of the word.
        vm.etch(at, abi.encodePacked(hex"61", threshold, hex"5a1160005260206000f3"));
    }

    function test_expensiveAnswers_countUpTo10000Gas() public {
        allowAll();
        address target = _answering(abi.encode(1), false, 1_000);
        _expectTargetIsModule(target);
        execute(_to(target));
        accepted(_to(_answering(abi.encode(1), false, 10_000)));
        accepted(_to(_answering(abi.encode(1), false, 1_000_000)));
    }

    /// @dev A target that reports itself only with enough gas: for any gas, either it is detected, or nothing runs.
    function test_moduleQuery_starvedOfGas_runsNothing() public {
        allowAll();
        address gate = address(0xAA);
        _etchGate(gate, 9_994);
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (_to(gate), key));
        uint256 notAsked;
        uint256 recognised;
        for (uint256 gas = 20_000; gas < 80_000; gas += 50) {
            // Cold, as in a separate transaction.
            vm.cool(address(face));
            vm.cool(gate);
            (bool success, bytes memory reason) = address(account).call{gas: gas}(data);
            assertFalse(success, vm.toString(gas));
            if (bytes4(reason) == ISessionKeyModule.TargetNotAsked.selector) notAsked = gas;
            else if (bytes4(reason) == ISessionKeyModule.TargetIsModule.selector) ++recognised;
            else assertEq(reason, "", "out of gas");
        }
        assertGt(notAsked, 0);
        assertGt(recognised, 0);
        // With too little gas for the query, a target without code can still be called.
        data = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (_to(address(0xBB)), key));
        vm.cool(address(face));
        (bool runs,) = address(account).call{gas: notAsked}(data);
        assertTrue(runs);
    }

    /* When it asks */

    function test_moduleQuery_isMadeOnceForConsecutiveCallsToATarget() public {
        allowAll();
        address a = _answering(abi.encode(0), false, 0);
        address b = _answering(abi.encode(0), false, 0);
        vm.expectCall(a, QUESTION, 2);
        vm.expectCall(b, QUESTION, 1);
        execute(join(join(_to(a), _to(a)), join(_to(b), join(_to(a), _to(a)))));
    }

    function test_questions_areNotAskedInValidation() public {
        allowAll();
        vm.expectCall(address(counter), QUESTION, 0);
        assertEq(validate(increment()), 0);
    }

    /// @dev Even the last target is asked before the first call.
    function test_questions_comeBeforeTheFirstCall() public {
        allowAll();
        address target = _answering(abi.encode(1), false, 0);
        vm.expectCall(address(counter), abi.encodeCall(Counter.increment, ()), 0);
        _expectTargetIsModule(target);
        execute(join(increment(), join(increment(), _to(target))));
    }

    function test_moduleQuery_comesAfterTheRulesOfAllCalls() public {
        allowAll();
        address target = _answering(abi.encode(1), false, 0);
        vm.expectCall(target, QUESTION, 0);
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        execute(join(_to(target), call(address(account), 0, "")));
        expectNativeExceeded();
        execute(join(_to(target), pay(1)));
        setToken(1, 0);
        expectTokenExceeded();
        execute(join(_to(target), transfer(2)));
        setTimeRange(0, 1);
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        execute(_to(target));
    }

    function test_aRefusedTargetLeavesNoUsage() public {
        allowAll();
        setNative(10, DAY);
        setToken(10, DAY);
        address target = _answering(abi.encode(1), false, 0);
        _expectTargetIsModule(target);
        execute(join(pay(5), join(transfer(5), _to(target))));
        assertInfo(nativeInfo(), true, 10, 0, DAY, START);
        assertInfo(tokenInfo(), true, 10, 0, DAY, START);
    }
}
