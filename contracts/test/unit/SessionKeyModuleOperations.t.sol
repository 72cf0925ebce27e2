// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {IValidationModule, PackedUserOperation} from "../../src/interfaces/IModule.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {AnsweringAccount} from "../mocks/AnsweringAccount.sol";
import {Counter} from "../mocks/Counter.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace} from "../utils/SessionKeyFaces.sol";

/// @notice Module-specific behaviour in operations: nonce lanes, the maximum cost of an operation of EntryPoint v0.7,
/// the paymaster's fields, and its calls through the account.
contract SessionKeyModuleOperationsTest is ModuleFace {
    function setUp() public override {
        super.setUp();
        allowAll();
    }

    function _validate(PackedUserOperation memory op) private returns (uint256) {
        return IValidationModule(address(account)).validateUserOp(ENTITY_ID, op, USER_OP_HASH);
    }

    function _refused(PackedUserOperation memory op) private {
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        _validate(op);
    }

    function _words(uint256 upper, uint256 lower) private pure returns (bytes32) {
        return bytes32(upper << 128 | lower);
    }

    /* Validated */

    function testFuzz_entityId_doesNotMatter(uint32 entityId) public {
        PackedUserOperation memory op = packedOperation(operation(increment()));
        assertEq(IValidationModule(address(account)).validateUserOp(entityId, op, USER_OP_HASH), 0);
        op.sender = key;
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        IValidationModule(address(account)).validateUserOp(entityId, op, USER_OP_HASH);
    }

    function test_wrappedCallData_isRefused() public {
        Operation memory op = operation(increment());
        op.callData = bytes.concat(hex"8dd7712f", op.callData);
        refused(op);
        op.callData = abi.encodeCall(IStandardExecutor.execute, (address(account), 0, operation(increment()).callData));
        refused(op);
    }

    /// @dev The account passes on only the module's part of the signature: nothing may precede or follow it.
    function test_signature_is65BytesExactly() public {
        Operation memory op = operation(increment());
        bytes memory good = op.signature;
        bytes[4] memory bad =
            [bytes.concat(hex"00", good), bytes.concat(hex"ff", good), bytes.concat(good, hex"00"), bytes("")];
        for (uint256 i = 0; i < bad.length; ++i) {
            op.signature = bad[i];
            vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidSignature.selector, key));
            validate(op);
        }
    }

    /// @dev Checked before the lane and the rules.
    function test_signature_isCheckedFirst() public {
        Operation memory op = operation(pay(1));
        op.nonce = 0;
        op.signature = hex"00";
        vm.expectRevert(abi.encodeWithSelector(ISessionKeyPlugin.InvalidSignature.selector, key));
        validate(op);
    }

    /* Not validated */

    function testFuzz_validateRuntime_alwaysReverts(
        address caller,
        address of_,
        uint32 entityId,
        address sender,
        bytes calldata data,
        bytes calldata authorization
    ) public {
        vm.assume(caller != address(vm));
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSignature("NotImplemented(bytes4,uint8)", bytes4(0x465d33e0), 0));
        IValidationModule(address(face)).validateRuntime(of_, entityId, sender, 0, data, authorization);
    }

    /// @dev Above all for the direct calls of the module itself, and for validly signed data of a key.
    function test_validateRuntime_revertsForTheModuleAndTheAccount() public {
        allowAll();
        address[3] memory senders = [address(face), address(account), key];
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), key));
        bytes memory authorization = signature(wallet.privateKey);
        for (uint256 i = 0; i < senders.length; ++i) {
            for (uint256 j = 0; j < 2; ++j) {
                uint32 entityId = j == 0 ? ENTITY_ID : type(uint32).max;
                vm.prank(address(account));
                vm.expectRevert();
                IValidationModule(address(face))
                    .validateRuntime(address(account), entityId, senders[i], 0, data, authorization);
            }
        }
    }

    function testFuzz_validateSignature_alwaysRefuses(
        address sender,
        uint32 entityId,
        bytes32 hash,
        bytes calldata data
    ) public view {
        IValidationModule module = IValidationModule(address(face));
        assertEq(module.validateSignature(address(account), entityId, sender, hash, data), bytes4(0xffffffff));
        assertEq(
            module.validateSignature(address(account), entityId, sender, USER_OP_HASH, signature(wallet.privateKey)),
            bytes4(0xffffffff)
        );
    }

    /* Nonce lanes */

    /// @dev Entity id, options and sequence belong to the account and the EntryPoint.
    function testFuzz_lane_isTheKeysForAnyLowerBits(uint104 below, bool hasGasLimit) public {
        if (hasGasLimit) setGas(100, 0);
        Operation memory op = gasOperation(1);
        op.nonce = uint256(uint160(key)) << 104 | below;
        assertEq(validate(op), 0);
    }

    function testFuzz_lane_otherLanesAreRefused(uint256 nonce, bool hasGasLimit) public {
        if (hasGasLimit) setGas(100, 0);
        vm.assume(nonce >> 104 != uint152(uint160(key)));
        Operation memory op = gasOperation(1);
        op.nonce = nonce;
        refused(op);
        op.signature = signature(0xBAD);
        refused(op);
        assertEq(gasInfo().limitUsed, 0);
    }

    function test_lane_everyBitCounts() public {
        Operation memory op = operation(increment());
        uint256 good = op.nonce;
        for (uint256 i = 104; i < 256; ++i) {
            op.nonce = good ^ 1 << i;
            refused(op);
        }
        op.nonce = 0;
        refused(op);
        // The plugin's lane.
        op.nonce = uint256(uint160(key)) << 64;
        refused(op);
        op.nonce = good;
        assertEq(validate(op), 0);
    }

    /// @dev Two keys with equal low 19 bytes share only a lane.
    function test_lane_hasNoRoomForTheFirstByte() public {
        address twin = address(uint160(key) ^ uint160(1) << 152);
        assertEq(firstNonce(twin), firstNonce(key));
        account.addSessionKey(twin, TAG, new bytes[](0));
        Operation memory op = operation(increment());
        op.callData = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), twin));
        refused(op);
    }

    /* The cost of an operation */

    function test_cost_isTheMostThatTheEntryPointCanCharge() public {
        setGas(1_000_000, 0);
        PackedUserOperation memory op = packedOperation(operation(increment()));
        op.accountGasLimits = _words(2, 30);
        op.preVerificationGas = 500;
        op.gasFees = _words(3, 7);
        _validate(op);
        assertEq(gasInfo().limitUsed, 532 * 7);
        op.paymasterAndData = abi.encodePacked(address(9), uint128(4_000), uint128(50_000), "data");
        _validate(op);
        assertEq(gasInfo().limitUsed, 532 * 7 + 54_532 * 7);
    }

    function testFuzz_cost_agreesWithAModel(
        uint128[5] memory gas,
        uint8[5] memory shifts,
        uint128 fee,
        uint8 feeShift,
        uint256 preVerificationGas,
        uint8 preShift,
        bool sponsored
    ) public {
        setGas(NO_LIMIT - 1, 0);
        uint256[4] memory limits;
        for (uint256 i = 0; i < 4; ++i) {
            limits[i] = gas[i] >> shifts[i] % 128;
        }
        uint256 price = fee >> feeShift % 128;
        preVerificationGas >>= preShift;
        PackedUserOperation memory op = packedOperation(operation(increment()));
        op.accountGasLimits = _words(limits[0], limits[1]);
        op.preVerificationGas = preVerificationGas;
        // The priority fee does not count.
        op.gasFees = _words(gas[4], price);
        if (sponsored) {
            op.paymasterAndData =
                abi.encodePacked(address(9), uint128(limits[2]), uint128(limits[3]), new bytes(shifts[4]));
        }
        (bool fits, uint256 cost) = _model(limits, preVerificationGas, price, sponsored);
        if (!fits) return _refused(op);
        assertEq(_validate(op), 0);
        assertEq(gasInfo().limitUsed, cost);
    }

    /// @dev False if it cannot be expressed, or is the maximum of `uint256`, which no limit allows.
    function _model(uint256[4] memory limits, uint256 preVerificationGas, uint256 price, bool sponsored)
        private
        pure
        returns (bool fits, uint256 cost)
    {
        uint256 sum = limits[0] + limits[1];
        if (sponsored) sum += limits[2] + limits[3];
        if (preVerificationGas >= NO_LIMIT - sum) return (false, 0);
        sum += preVerificationGas;
        if (price != 0 && sum > (NO_LIMIT - 1) / price) return (false, 0);
        return (true, sum * price);
    }

    /// @dev Each overflow; even if a fee of zero would make the product zero.
    function test_cost_overflowIsRefused() public {
        setGas(NO_LIMIT - 1, 0);
        for (uint256 fee = 0; fee < 3; ++fee) {
            PackedUserOperation memory op = packedOperation(operation(increment()));
            op.gasFees = _words(0, fee);
            op.preVerificationGas = type(uint256).max;
            _refused(op);
            op.accountGasLimits = _words(0, 1);
            _refused(op);
            op.accountGasLimits = _words(1, 0);
            _refused(op);
            op.preVerificationGas = type(uint256).max - 1;
            _refused(op);
            op.accountGasLimits = 0;
            op.paymasterAndData = abi.encodePacked(address(9), uint128(1), uint128(0));
            _refused(op);
            op.paymasterAndData = abi.encodePacked(address(9), uint128(0), uint128(1));
            _refused(op);
        }
    }

    /* The paymaster's fields */

    /// @dev Refused if they are read: with a gas limit, or a required paymaster. Otherwise the EntryPoint refuses them.
    function test_paymasterFields_mustBeWhole() public {
        Operation memory op = gasOperation(1);
        bytes memory whole = abi.encodePacked(address(9), uint128(0), uint128(0));
        assertEq(whole.length, 52);
        setPaymaster(address(9));
        for (uint256 length = 0; length < 52; ++length) {
            op.paymasterAndData = Bytes.slice(whole, 0, length);
            refused(op);
        }
        op.paymasterAndData = whole;
        assertEq(validate(op), 0);
        setPaymaster(address(0));
        setGas(100, 0);
        for (uint256 length = 1; length < 52; ++length) {
            op.paymasterAndData = Bytes.slice(whole, 0, length);
            refused(op);
        }
        op.paymasterAndData = whole;
        assertEq(validate(op), 0);
        op.paymasterAndData = "";
        assertEq(validate(op), 0);
        assertEq(gasInfo().limitUsed, 2);
    }

    /// @dev The paymaster's own data does not affect the rule.
    function test_requiredPaymaster_isTheFirst20Bytes() public {
        setPaymaster(address(9));
        Operation memory op = operation(increment());
        op.paymasterAndData = abi.encodePacked(address(8), uint128(0), uint128(0), address(9));
        refused(op);
        op.paymasterAndData = abi.encodePacked(address(9), uint128(0), uint128(0), address(8));
        assertEq(validate(op), 0);
    }

    /* Calls back into the account */

    function test_oneCall_isExecute() public {
        Call[] memory calls = increment();
        calls[0].data = bytes.concat(calls[0].data, "more");
        vm.expectCall(
            address(account), abi.encodeCall(IStandardExecutor.execute, (calls[0].target, 0, calls[0].data)), 1
        );
        bytes[] memory results = execute(calls);
        assertEq(results.length, 1);
        assertEq(results[0], abi.encode(1));
    }

    function test_severalCalls_areExecuteBatch() public {
        setNative(10, 0);
        Call[] memory calls = join(join(increment(), pay(3)), increment());
        vm.expectCall(address(account), abi.encodeCall(IStandardExecutor.executeBatch, (calls)), 1);
        bytes[] memory results = execute(calls);
        assertEq(results.length, 3);
        assertEq(results[0], abi.encode(1));
        assertEq(results[1], "");
        assertEq(results[2], abi.encode(2));
        assertEq(address(0xBEEF).balance, 3);
    }

    /// @dev Calls are re-encoded, not copied from the key's call data.
    function test_severalCalls_areEncodedAnew() public {
        Call[] memory calls = join(increment(), increment());
        // Two elements that share the same words, and trailing bytes.
        bytes memory data = abi.encodePacked(
            ISessionKeyPlugin.executeWithSessionKey.selector,
            abi.encode(64, key, 2, 64, 64, address(counter), 0, 96, 4),
            Counter.increment.selector,
            "behind"
        );
        assertLt(data.length, abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (calls, key)).length);
        vm.expectCall(address(account), abi.encodeCall(IStandardExecutor.executeBatch, (calls)), 1);
        (bool success,) = address(account).call(data);
        assertTrue(success);
        assertEq(counter.count(), 2);
    }

    function test_longAnswers_comeBackWhole() public {
        bytes memory answer = new bytes(1_000);
        answer[999] = 0x01;
        vm.mockCall(address(0xCAFE), bytes(hex"11223344"), answer);
        bytes[] memory results = execute(call(address(0xCAFE), 0, hex"11223344"));
        assertEq(results[0], answer);
        results = execute(join(call(address(0xCAFE), 0, hex"11223344"), increment()));
        assertEq(results[0], answer);
        assertEq(results[1], abi.encode(1));
    }

    /* The encoding of calls back, and their answers */

    function _answeringAccount() private returns (AnsweringAccount answering) {
        answering = new AnsweringAccount(address(face));
        account = ISessionKeyPlugin(address(answering));
        install(account);
        account.addSessionKey(key, TAG, new bytes[](0));
        allowAll();
        setNative(NO_LIMIT, 0);
    }

    /// @dev Byte for byte, for any calls.
    function testFuzz_calls_areEncodedAsSolidityDoes(uint256 seed) public {
        AnsweringAccount answering = _answeringAccount();
        Call[] memory calls = new Call[](1 + seed % 4);
        for (uint256 i = 0; i < calls.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            bytes memory data = Bytes.slice(abi.encode(seed, ~seed, seed >> 1), 0, seed % 97);
            calls[i] = Call(address(uint160(seed)), seed >> seed % 256, data);
        }
        bytes[] memory answers = new bytes[](1);
        answers[0] = "answer";
        answering.setAnswer(calls.length == 1 ? abi.encode(answers[0]) : abi.encode(answers), false);
        bytes[] memory results = execute(calls);
        assertEq(results.length, 1);
        assertEq(results[0], "answer");
        bytes memory one = abi.encodeCall(IStandardExecutor.execute, (calls[0].target, calls[0].value, calls[0].data));
        bytes memory several = abi.encodeCall(IStandardExecutor.executeBatch, (calls));
        assertEq(answering.received(), keccak256(calls.length == 1 ? one : several));
    }

    function test_answers_tooShortToBeEncodedAreRefused() public {
        AnsweringAccount answering = _answeringAccount();
        bytes memory one = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (increment(), key));
        bytes memory two =
            abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (join(increment(), increment()), key));
        bytes memory whole = abi.encode(bytes(""));
        for (uint256 length = 0; length <= 64; length += 21) {
            answering.setAnswer(Bytes.slice(whole, 0, length), false);
            _failsWith(one, "");
            _failsWith(two, "");
        }
        answering.setAnswer(whole, false);
        assertEq(execute(increment()).length, 1);
        assertEq(execute(join(increment(), increment())).length, 0);
    }

    function _failsWith(bytes memory data, bytes memory reason) private {
        (bool success, bytes memory answer) = address(account).call(data);
        assertFalse(success);
        assertEq(answer, reason);
    }

    function test_reverts_comeBackWhole() public {
        AnsweringAccount answering = _answeringAccount();
        bytes memory reason = abi.encodePacked(bytes4(0x12345678), new bytes(200), "reason");
        bytes[3] memory reasons = [reason, bytes(""), bytes("a")];
        for (uint256 i = 0; i < reasons.length; ++i) {
            answering.setAnswer(reasons[i], true);
            _failsWith(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (pay(0), key)), reasons[i]);
            _failsWith(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (join(pay(0), pay(0)), key)), reasons[i]);
        }
    }

    /// @dev Every caller has its own keys, or none.
    function test_strangers_haveNoKeys() public {
        expectInvalidKey(key);
        face.executeWithSessionKey(increment(), key);
        vm.prank(key);
        expectInvalidKey(key);
        face.executeWithSessionKey(increment(), key);
    }
}
