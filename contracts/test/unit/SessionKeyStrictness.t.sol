// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Refusals beyond the ABI's rules.
abstract contract SessionKeyStrictnessTest is SessionKeyTest {
    /* Tokens with a limit */

    /// @dev Puts the token on the list so the list alone would allow everything.
    function _openList(uint8 listType) private {
        setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
        setEntry(address(token), listType == 0, false);
    }

    function test_limitedToken_acceptsTransferAndApproveOnly() public {
        setToken(100, 0);
        bytes[9] memory others = [
            abi.encodeCall(TestToken.transferFrom, (address(1), address(2), 0)),
            abi.encodeCall(TestToken.mint, (address(1), 0)),
            abi.encodeWithSignature("increaseAllowance(address,uint256)", address(1), 1),
            abi.encodeWithSignature(
                "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", 1, 2, 3, 4, 5, 6, 7
            ),
            abi.encodeWithSignature("setApprovalForAll(address,bool)", address(1), true),
            abi.encodePacked(bytes4(0), address(1), uint256(0), uint256(0)),
            bytes(""),
            abi.encodeWithSignature("transfer(address)", address(1)),
            abi.encodeWithSignature("balanceOf(address)", address(1))
        ];
        for (uint8 listType = 0; listType < 3; ++listType) {
            _openList(listType);
            for (uint256 i = 0; i < others.length; ++i) {
                refusedTwice(call(address(token), 0, others[i]));
                refusedTwice(join(transfer(1), call(address(token), 0, others[i])));
            }
            accepted(join(transfer(1), approve(1)));
        }
    }

    function test_limitedToken_needs68Bytes() public {
        setToken(100, 0);
        bytes memory whole = abi.encodeCall(TestToken.transfer, (address(0xBEEF), 1));
        for (uint8 listType = 0; listType < 3; ++listType) {
            _openList(listType);
            for (uint256 length = 0; length < 68; ++length) {
                refusedTwice(call(address(token), 0, Bytes.slice(whole, 0, length)));
            }
            accepted(call(address(token), 0, whole));
            accepted(call(address(token), 0, bytes.concat(whole, hex"ff")));
        }
        assertEq(tokenInfo().limitUsed, 6);
    }

    /// @dev The list can still refuse calls that the limit's rule allows.
    function test_limitedToken_isSubjectToTheListAsWell() public {
        setToken(100, 0);
        refusedTwice(transfer(1));
        setEntry(address(token), true, true);
        refusedTwice(transfer(1));
        setFunction(address(token), TestToken.transfer.selector, true);
        accepted(transfer(1));
        refusedTwice(approve(1));
        denylist();
        refusedTwice(transfer(1));
        accepted(approve(1));
    }

    /* Execution does not rely on validation */

    function test_execution_requiresThatTheKeyIsRegisteredNow() public {
        allowAll();
        assertEq(validate(increment()), 0);
        account.removeSessionKey(key, 0);
        expectInvalidKey(key);
        execute(increment());
        account.addSessionKey(key, TAG, new bytes[](0));
        allowAll();
        account.rotateSessionKey(key, 0, makeAddr("heir"));
        expectInvalidKey(key);
        execute(increment());
        expectInvalidKey(address(0));
        account.executeWithSessionKey(increment(), address(0));
    }

    function test_execution_requiresThatTheListAllowsItNow() public {
        allowAll();
        assertEq(validate(increment()), 0);
        setListType(ISessionKeyPlugin.ContractAccessControlType.ALLOWLIST);
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        execute(increment());
    }

    function test_execution_requiresTheTimeRangeInclusive() public {
        allowAll();
        setTimeRange(START + 10, START + 20);
        for (uint48 time = START + 8; time < START + 23; ++time) {
            vm.warp(time);
            if (time < START + 10 || time > START + 20) {
                vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
            }
            execute(increment());
        }
        assertEq(counter.count(), 11);
        setTimeRange(0, START + 23);
        execute(increment());
        setTimeRange(START + 22, 0);
        vm.warp(type(uint48).max);
        execute(increment());
        setTimeRange(30, 20);
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        execute(increment());
    }

    function test_execution_laterCallThatBreaksARuleStopsTheEarlier() public {
        setEntry(address(counter), true, true);
        setFunction(address(counter), Counter.increment.selector, true);
        refusedTwice(join(increment(), call(address(counter), 0, abi.encodeCall(Counter.refuse, (1)))));
        assertEq(counter.count(), 0);
    }

    /* The operation itself */

    function test_validate_requiresTheSelector() public {
        allowAll();
        Operation memory op = operation(increment());
        bytes memory callData = op.callData;
        callData[3] = bytes1(uint8(callData[3]) ^ 1);
        refused(op);
        op.callData = hex"";
        refused(op);
        op.callData = hex"31d99c";
        refused(op);
        op.callData = hex"31d99c2c";
        refused(op);
        op.callData = abi.encodeCall(ISessionKeyPlugin.addSessionKey, (key, TAG, new bytes[](0)));
        refused(op);
    }

    function test_validate_requiresTheSender() public {
        allowAll();
        Operation memory op = operation(increment());
        op.sender = address(0);
        refused(op);
        op.sender = key;
        refused(op);
    }

    /* Call data of one to three bytes */

    function test_shortData_isRefusedWhereSelectorsAreChecked() public {
        bytes[3] memory short = [bytes(hex"d0"), hex"d09d", hex"d09de0"];
        bytes[3] memory zeros = [bytes(hex"00"), hex"0000", hex"000000"];
        setFunction(address(counter), bytes4(0), true);
        setFunction(address(counter), 0xd0000000, true);
        setFunction(address(counter), 0xd09d0000, true);
        setFunction(address(counter), 0xd09de000, true);
        for (uint8 listType = 0; listType < 2; ++listType) {
            setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
            for (uint256 listed = 0; listed < 2; ++listed) {
                setEntry(address(counter), listed == 1, true);
                for (uint256 i = 0; i < 3; ++i) {
                    refusedTwice(call(address(counter), 0, short[i]));
                    refusedTwice(call(address(counter), 0, zeros[i]));
                }
            }
        }
    }

    function test_shortData_passesWhereSelectorsAreNotChecked() public {
        vm.mockCall(address(counter), bytes(hex"d0"), bytes(""));
        setEntry(address(counter), true, false);
        accepted(call(address(counter), 0, hex"d0"));
        setEntry(address(counter), false, false);
        denylist();
        accepted(call(address(counter), 0, hex"d0"));
        setEntry(address(counter), true, true);
        allowAll();
        accepted(call(address(counter), 0, hex"d0"));
    }

    /* The account and the EntryPoint as targets */

    function test_account_isNeverATarget() public {
        for (uint8 listType = 0; listType < 3; ++listType) {
            setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
            for (uint8 entry = 0; entry < 4; ++entry) {
                setEntry(address(account), entry & 1 != 0, entry & 2 != 0);
                refusedTwice(call(address(account), 0, ""));
                refusedTwice(call(address(account), 0, hex"11223344"));
            }
        }
    }

    function test_entryPoint_isATargetOnAnAllowlistOnly() public {
        vm.mockCall(ENTRY_POINT, bytes(""), bytes(""));
        bytes memory data = hex"11223344";
        for (uint8 listType = 0; listType < 3; ++listType) {
            setListType(ISessionKeyPlugin.ContractAccessControlType(listType));
            for (uint8 entry = 0; entry < 4; ++entry) {
                setEntry(ENTRY_POINT, entry & 1 != 0, entry & 2 != 0);
                if (listType == 0 && entry == 1) accepted(call(ENTRY_POINT, 0, data));
                else refusedTwice(call(ENTRY_POINT, 0, data));
            }
        }
        setListType(ISessionKeyPlugin.ContractAccessControlType.ALLOWLIST);
        setFunction(ENTRY_POINT, 0x11223344, true);
        accepted(call(ENTRY_POINT, 0, data));
    }

    /* Paymaster data */

    /// @dev Missing bytes are not filled up with zeros.
    function test_paymasterData_mustBeWhole() public {
        allowAll();
        setPaymaster(address(uint160(0x11) << 152));
        Operation memory op = operation(increment());
        bytes memory whole = paymasterData(address(uint160(0x11) << 152));
        for (uint256 length = 0; length < whole.length; ++length) {
            op.paymasterAndData = Bytes.slice(whole, 0, length);
            refused(op);
        }
        op.paymasterAndData = whole;
        assertEq(validate(op), 0);
    }

    /* Storage */

    /// @dev Every word that validation touches is `keccak256(account || x) + n`, n below 128; `x` is built from the
    /// documented layout, so this fails if a slot is derived in any other way. See the integration tests for the whole
    /// trace.
    function test_storage_isAssociatedWithTheAccount() public {
        setEntry(address(counter), true, true);
        setFunction(address(counter), Counter.increment.selector, true);
        setNative(type(uint256).max - 1, DAY);
        setGas(type(uint256).max - 1, DAY);
        setPaymaster(address(7));
        Operation memory op = gasOperation(5);
        op.paymasterAndData = paymasterData(address(7));
        vm.record();
        validate(op);
        (bytes32[] memory reads,) = vm.accesses(address(face));
        uint256[5] memory names = [
            uint256(1) << 248,
            uint256(2) << 248 | uint256(uint160(key)) << 40,
            uint256(3) << 248 | uint256(1) << 200,
            uint256(4) << 248 | uint256(1) << 200 | uint256(uint160(address(counter))) << 40,
            uint256(5) << 248 | uint256(1) << 200 | uint256(uint160(address(counter))) << 40
                | uint256(uint32(Counter.increment.selector)) << 8
        ];
        bool[5] memory seen;
        for (uint256 i = 0; i < reads.length; ++i) {
            bool found;
            for (uint256 j = 0; j < names.length; ++j) {
                uint256 base = uint256(keccak256(abi.encode(address(account), names[j])));
                if (uint256(reads[i]) >= base && uint256(reads[i]) - base < 128) (found, seen[j]) = (true, true);
            }
            assertTrue(found, vm.toString(reads[i]));
        }
        for (uint256 j = 0; j < seen.length; ++j) {
            assertTrue(seen[j]);
        }
    }
}

contract SessionKeyPluginStrictnessTest is SessionKeyStrictnessTest, PluginFace {}

contract SessionKeyModuleStrictnessTest is SessionKeyStrictnessTest, ModuleFace {}
