// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Validation of user operations: signature, access list, paymaster, packing, order of checks.
abstract contract SessionKeyValidationTest is SessionKeyTest {
    bytes4 private constant INCREMENT = Counter.increment.selector;

    /* Signature, membership: in this order */

    function test_validate_revertsIfNoSignerCanBeRecovered() public {
        allowAll();
        bytes memory good = signature(wallet.privateKey);
        bytes32 r;
        bytes32 s;
        assembly ("memory-safe") {
            r := mload(add(good, 32))
            s := mload(add(good, 64))
        }
        uint8 v = uint8(good[64]);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes[9] memory bad = [
            bytes(""),
            abi.encodePacked(r, s),
            abi.encodePacked(r, s, v, v),
            abi.encodePacked(r, bytes32(order - uint256(s)), v ^ 7),
            abi.encodePacked(r, s, uint8(0)),
            abi.encodePacked(r, s, uint8(v - 27)),
            abi.encodePacked(r, s, uint8(29)),
            abi.encodePacked(bytes32(0), s, v),
            abi.encodePacked(r, bytes32(0), v)
        ];
        Operation memory op = operation(increment());
        for (uint256 i = 0; i < bad.length; ++i) {
            op.signature = bad[i];
            vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidSignature.selector, key));
            validate(op);
        }
        op.signature = good;
        assertEq(validate(op), 0);
    }

    function test_validate_checksTheSignatureBeforeMembershipAndPermissions() public {
        Operation memory op = operation(increment());
        op.signature = hex"00";
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidSignature.selector, key));
        validate(op);
        op.callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), address(9)));
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidSignature.selector, address(9)));
        validate(op);
    }

    function test_validate_refusesUnregisteredKeys() public {
        allowAll();
        Operation memory op = operation(increment());
        account.removeSessionKey(key, 0);
        refused(op);
        op.callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), address(0)));
        refused(op);
    }

    function test_validate_refusesKeysOfAnotherAccount() public {
        allowAll();
        Operation memory op = operation(increment());
        account = newAccount();
        op.sender = address(account);
        refused(op);
    }

    function test_validate_wrongSignerFailsTheSignatureAlone() public {
        allowAll();
        setTimeRange(5, 6);
        Operation memory op = operation(increment());
        op.signature = signature(0xBAD);
        assertEq(validate(op), packed(5, 6) | 1);
    }

    /// @dev An estimation with a dummy signature thus runs the full check.
    function test_validate_wrongSignerIsCheckedInFull() public {
        Operation memory op = operation(increment());
        op.signature = signature(0xBAD);
        refused(op);
        // Another registered key is a wrong signer, too.
        allowAll();
        account.addSessionKey(vm.addr(0xBAD), TAG, new bytes[](0));
        assertEq(validate(op), 1);
        op.callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (pay(1), key));
        refused(op);
    }

    /// @dev The signature is over the EIP-191 hash, not over the hash itself.
    function test_validate_rawHashSignatureIsWrong() public {
        allowAll();
        Operation memory op = operation(increment());
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(wallet.privateKey, USER_OP_HASH);
        op.signature = abi.encodePacked(r, s, v);
        assertEq(validate(op), 1);
    }

    function testFuzz_validate_packsTheTimeRange(uint48 validAfter, uint48 validUntil) public {
        allowAll();
        setTimeRange(validAfter, validUntil);
        assertEq(validate(increment()), uint256(validAfter) << 208 | uint256(validUntil) << 160);
    }

    function test_validate_needsACall() public {
        allowAll();
        refusedTwice(new Call[](0));
    }

    /* Access list */

    /// @dev All combinations of list type, entry, selector entry and calls with the listed or another selector.
    function test_accessList_truthTable() public {
        bytes4 other = bytes4(0x99999999);
        vm.mockCall(address(counter), abi.encodePacked(other), bytes(""));
        for (uint8 listType = 0; listType < 3; ++listType) {
            for (uint8 bits = 0; bits < 16; ++bits) {
                bool isOnList = bits & 1 != 0;
                bool checkSelectors = bits & 2 != 0;
                bool selectorListed = bits & 4 != 0;
                bool callsListed = bits & 8 != 0;
                setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
                setEntry(address(counter), isOnList, checkSelectors);
                setFunction(address(counter), INCREMENT, selectorListed);
                bool hit = selectorListed && callsListed;
                bool allowed = listType == 0
                    ? isOnList && (!checkSelectors || hit)
                    : listType == 1 ? !(isOnList && (!checkSelectors || hit)) : true;
                Call[] memory calls = call(address(counter), 0, abi.encodePacked(callsListed ? INCREMENT : other));
                if (allowed) accepted(calls);
                else refusedTwice(calls);
            }
        }
    }

    function test_accessList_defaultDeniesEveryCall() public {
        refusedTwice(increment());
        refusedTwice(pay(0));
    }

    function test_accessList_everyCallOfTheBatchCounts() public {
        setEntry(address(counter), true, false);
        refusedTwice(join(increment(), pay(0)));
        refusedTwice(join(pay(0), increment()));
        accepted(join(increment(), increment()));
        assertEq(counter.count(), 2);
    }

    function test_accessList_emptyDataReadsAsZeroSelector() public {
        setEntry(address(counter), true, true);
        refusedTwice(call(address(counter), 0, ""));
        setFunction(address(counter), 0, true);
        accepted(call(address(counter), 0, ""));
        denylist();
        refusedTwice(call(address(counter), 0, ""));
        setFunction(address(counter), 0, false);
        accepted(call(address(counter), 0, ""));
    }

    function test_accessList_selectorsOfOneContractDoNotServeAnother() public {
        setEntry(address(counter), true, true);
        setFunction(address(token), INCREMENT, true);
        refusedTwice(increment());
    }

    /* Required paymaster */

    function test_paymaster_mustBeTheRequiredOne() public {
        allowAll();
        address paymaster = makeAddr("paymaster");
        setPaymaster(paymaster);
        Operation memory op = operation(increment());
        refused(op);
        op.paymasterAndData = bytes.concat(paymasterData(makeAddr("other")), "data");
        refused(op);
        op.paymasterAndData = paymasterData(paymaster);
        assertEq(validate(op), 0);
        op.paymasterAndData = bytes.concat(paymasterData(paymaster), "data");
        assertEq(validate(op), 0);
        setPaymaster(address(0));
        op.paymasterAndData = "";
        assertEq(validate(op), 0);
    }
}

contract SessionKeyPluginValidationTest is SessionKeyValidationTest, PluginFace {}

contract SessionKeyModuleValidationTest is SessionKeyValidationTest, ModuleFace {}
