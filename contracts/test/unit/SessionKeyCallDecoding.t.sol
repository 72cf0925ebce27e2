// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Bytes} from "@openzeppelin/utils/Bytes.sol";

import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {CallDecoder} from "../mocks/CallDecoder.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {IRecorder} from "../mocks/IRecorder.sol";
import {SessionKeyTest} from "../utils/SessionKeyTest.sol";

/// @notice Crafted encodings of the arguments: exactly the validated calls run.
abstract contract SessionKeyCallDecodingTest is SessionKeyTest {
    IRecorder private recorder;

    function setUp() public virtual override {
        super.setUp();
        recorder = IRecorder(deployRecorder());
        account = ISessionKeyPlugin(address(recorder));
        install(account);
        account.addSessionKey(key, TAG, new bytes[](0));
        allowAll();
        setNative(NO_LIMIT, 0);
    }

    /// @dev The words of a call of one target without data, at the places that Solidity's encoder gives them.
    function _wellFormed() private view returns (uint256[] memory words) {
        words = new uint256[](8);
        words[0] = 64; // offset of the calls
        words[1] = uint160(key);
        words[2] = 1; // number of calls
        words[3] = 32; // offset of the call
        words[4] = 0xBEEF; // target
        words[5] = 7; // value
        words[6] = 96; // offset of the data
        words[7] = 0; // length of the data
    }

    function _encode(uint256[] memory words) private pure returns (bytes memory) {
        return bytes.concat(ISessionKeyPlugin.executeWithSessionKey.selector, abi.encodePacked(words));
    }

    function _with(uint256 index, uint256 word) private view returns (bytes memory) {
        uint256[] memory words = _wellFormed();
        words[index] = word;
        return _encode(words);
    }

    function _validates(bytes memory callData) private returns (bool success) {
        bytes memory answer;
        (success, answer) = address(account).call(encodeValidation(rawOperation(callData)));
        if (success) assertEq(abi.decode(answer, (uint256)), 0, "signature");
        else assertEq(answer, abi.encodeWithSelector(ISessionKeyPlugin.PermissionsCheckFailed.selector));
    }

    function _runs(bytes memory callData) private returns (bool success) {
        recorder.forget();
        (success,) = address(account).call(callData);
    }

    function _refusedByBoth(bytes memory callData) private {
        assertFalse(_validates(callData), "validation");
        assertFalse(_runs(callData), "execution");
    }

    function test_decode_acceptsWhatSolidityEncodes() public {
        bytes memory callData = _encode(_wellFormed());
        assertEq(callData, abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (call(address(0xBEEF), 7, ""), key)));
        assertTrue(_validates(callData));
        assertTrue(_runs(callData));
        assertEq(recorder.recorded(), keccak256(abi.encode(bytes32(0), address(0xBEEF), 7, bytes(""))));
    }

    function test_decode_refusesBadOffsetsOfTheCalls() public {
        uint256[7] memory bad = [uint256(256), 225, 224, type(uint256).max, type(uint256).max - 31, 1 << 64, 1 << 255];
        for (uint256 i = 0; i < bad.length; ++i) {
            _refusedByBoth(_with(0, bad[i]));
        }
    }

    function test_decode_refusesADirtyKey() public {
        _refusedByBoth(_with(1, uint256(uint160(key)) | 1 << 160));
        _refusedByBoth(_with(1, uint256(uint160(key)) | 1 << 255));
    }

    function test_decode_refusesBadNumbersOfCalls() public {
        uint256[8] memory bad =
            [uint256(0), 6, 7, type(uint256).max, 1 << 251, 1 << 64, (1 << 251) + 1, type(uint256).max >> 5];
        for (uint256 i = 0; i < bad.length; ++i) {
            _refusedByBoth(_with(2, bad[i]));
        }
    }

    function test_decode_refusesBadOffsetsOfACall() public {
        // What is left from the elements on is 160 bytes; a call takes 96 and its data's length 32.
        uint256[7] memory bad =
            [uint256(160), 65, 96, type(uint256).max, type(uint256).max - 31, type(uint256).max - 95, 1 << 64];
        for (uint256 i = 0; i < bad.length; ++i) {
            _refusedByBoth(_with(3, bad[i]));
        }
    }

    function test_decode_refusesADirtyTarget() public {
        _refusedByBoth(_with(4, 0xBEEF | 1 << 160));
        _refusedByBoth(_with(4, 0xBEEF | 1 << 255));
    }

    function test_decode_refusesBadOffsetsOfTheData() public {
        uint256[6] memory bad =
            [uint256(128), 97, type(uint256).max, type(uint256).max - 31, type(uint256).max - 127, 1 << 64];
        for (uint256 i = 0; i < bad.length; ++i) {
            _refusedByBoth(_with(6, bad[i]));
        }
    }

    function test_decode_refusesBadLengthsOfTheData() public {
        uint256[5] memory bad = [uint256(1), 32, type(uint256).max, 1 << 64, type(uint256).max - 31];
        for (uint256 i = 0; i < bad.length; ++i) {
            _refusedByBoth(_with(7, bad[i]));
        }
    }

    function test_decode_refusesTruncatedArguments() public {
        bytes memory whole = _encode(_wellFormed());
        for (uint256 length = 4; length < whole.length; ++length) {
            _refusedByBoth(Bytes.slice(whole, 0, length));
        }
    }

    /* The decoder alone: no other rule can refuse */

    /// @dev For any bytes after the arguments; here, bytes that complete them. In a user operation these can be
    /// anyone's, and are not reliably zeros.
    function test_decode_readsNothingBehindTheArguments() public {
        CallDecoder decoder = CallDecoder(deployCode("CallDecoder.sol:CallDecoder"));
        bytes memory whole = abi.encodePacked(_wellFormed(), uint256(0));
        bytes memory withData = abi.encode(call(address(0xBEEF), 7, new bytes(40)), key);
        bytes memory two = abi.encode(join(call(address(1), 2, hex"03"), call(address(4), 5, hex"06")), key);
        bytes[3] memory all = [Bytes.slice(whole, 0, 256), withData, two];
        // The last byte that is read is not padding.
        uint256[3] memory ends = [uint256(256), withData.length - 24, two.length - 31];
        for (uint256 i = 0; i < all.length; ++i) {
            for (uint256 length = 0; length < ends[i]; ++length) {
                _refuses(decoder, all[i], length);
            }
            (Call[] memory calls, address decodedKey) = decoder.decode(all[i], ends[i]);
            (Call[] memory expected, address expectedKey) = abi.decode(all[i], (Call[], address));
            assertEq(abi.encode(calls, decodedKey), abi.encode(expected, expectedKey));
        }
    }

    /// @dev The same in a whole operation: the bytes after `callData` in the encoding complete the arguments.
    function test_decode_readsNothingPastTheCallDataOfAnOperation() public {
        bytes memory callData = _encode(_wellFormed());
        bytes memory encoded = encodeValidation(rawOperation(callData));
        uint256 start = _find(encoded, callData);
        for (uint256 length = 4; length <= callData.length; ++length) {
            assembly ("memory-safe") {
                // The length of `callData`, in the word before it.
                mstore(add(encoded, start), length)
            }
            (bool success, bytes memory answer) = address(account).call(encoded);
            assertEq(success, length == callData.length, vm.toString(length));
            if (!success) assertEq(answer, abi.encodeWithSelector(ISessionKeyPlugin.PermissionsCheckFailed.selector));
        }
    }

    /// @dev Every crafted encoding of the tests above, without the other rules.
    function test_decode_refusesByItself() public {
        CallDecoder decoder = CallDecoder(deployCode("CallDecoder.sol:CallDecoder"));
        uint256[2][15] memory bad = [
            [uint256(0), 225],
            [uint256(0), 0],
            [uint256(0), 63],
            [uint256(0), type(uint256).max],
            [uint256(1), uint256(uint160(key)) | 1 << 160],
            [uint256(2), 6],
            [uint256(2), type(uint256).max],
            [uint256(3), 65],
            [uint256(3), 31],
            [uint256(3), type(uint256).max - 95],
            [uint256(4), 0xBEEF | 1 << 160],
            [uint256(6), 97],
            [uint256(6), 95],
            [uint256(7), 1],
            [uint256(7), type(uint256).max]
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            uint256[] memory words = _wellFormed();
            words[bad[i][0]] = bad[i][1];
            // Ones after the arguments, which read as large lengths and nonzero words.
            bytes memory data = abi.encodePacked(words, type(uint256).max, type(uint256).max, type(uint256).max);
            _refuses(decoder, data, 256);
        }
    }

    function _refuses(CallDecoder decoder, bytes memory data, uint256 length) private view {
        try decoder.decode(data, length) {
            revert(string.concat("decoded ", vm.toString(length), " bytes of ", vm.toString(data)));
        } catch (bytes memory reason) {
            assertEq(reason, abi.encodeWithSelector(ISessionKeyPlugin.PermissionsCheckFailed.selector));
        }
    }

    /// @dev Where `part` begins in `whole`.
    function _find(bytes memory whole, bytes memory part) private pure returns (uint256 start) {
        while (keccak256(Bytes.slice(whole, start, start + part.length)) != keccak256(part)) ++start;
    }

    /// @dev Unpadded data at the very end, and bytes after the end, are legal.
    function test_decode_acceptsUnpaddedAndTrailingData() public {
        uint256[] memory words = _wellFormed();
        words[7] = 3;
        bytes memory callData = bytes.concat(_encode(words), hex"aabbcc");
        assertTrue(_validates(callData));
        assertTrue(_runs(callData));
        bytes32 expected = keccak256(abi.encode(bytes32(0), address(0xBEEF), 7, hex"aabbcc"));
        assertEq(recorder.recorded(), expected);
        callData = bytes.concat(callData, hex"dd");
        assertTrue(_validates(callData));
        assertTrue(_runs(callData));
        assertEq(recorder.recorded(), expected);
    }

    /// @dev Two elements that share the same words: both count, and both run.
    function test_decode_countsAliasedElementsTwice() public {
        uint256[] memory words = new uint256[](9);
        words[0] = 64;
        words[1] = uint160(key);
        words[2] = 2;
        words[3] = 64;
        words[4] = 64;
        words[5] = 0xBEEF;
        words[6] = 7;
        words[7] = 96;
        bytes memory callData = _encode(words);
        setNative(13, 0);
        _refusedByBoth(callData);
        setNative(14, 0);
        assertTrue(_validates(callData));
        assertTrue(_runs(callData));
        bytes32 once = keccak256(abi.encode(bytes32(0), address(0xBEEF), 7, bytes("")));
        assertEq(recorder.recorded(), keccak256(abi.encode(once, address(0xBEEF), 7, bytes(""))));
        assertEq(nativeInfo().limitUsed, 14);
    }

    /// @dev An offset must point past the words that it stands among, even if Solidity's decoder would accept others.
    function test_decode_refusesOffsetsIntoTheHeads() public {
        // The array of calls would be: no call; the same calls, counted by a key that is 1.
        _refusedByBoth(_with(0, 0));
        uint256[] memory words = _wellFormed();
        words[0] = 32;
        words[1] = 1;
        words[2] = 32;
        _refusedByBoth(_encode(words));

        // The second of two calls would be the two heads themselves, with the first call's target as its offset.
        words = new uint256[](10);
        (words[0], words[1], words[2], words[3], words[5], words[7]) = (64, uint160(key), 2, 64, 0xA0, 96);
        for (words[4] = 0; words[4] < 64; ++words[4]) {
            _refusedByBoth(_encode(words));
        }
        assertTrue(_runs(_encode(words)));

        // The data's length would be: the target, the value, the offset itself.
        words = new uint256[](11);
        (words[0], words[1], words[2], words[3], words[4]) = (64, uint160(key), 1, 32, 1);
        for (words[6] = 0; words[6] < 96; ++words[6]) {
            _refusedByBoth(_encode(words));
        }
        assertTrue(_validates(_encode(words)));
        assertTrue(_runs(_encode(words)));
    }

    /// @dev For any change to the words of one or two calls: validation and execution agree, nothing is read outside, and
    /// the calls that run are those that Solidity's own decoder reads.
    function testFuzz_decode_validationAgreesWithExecution(uint256 seed) public {
        // Cheap, so one fuzz run covers many cases; foundry.toml sets the number of runs.
        for (uint256 i = 0; i < 16; ++i) {
            bytes memory args = _crafted(uint256(keccak256(abi.encode(seed, i))));
            bytes memory callData = bytes.concat(ISessionKeyPlugin.executeWithSessionKey.selector, args);
            bool valid = _validates(callData);
            assertEq(valid, _runs(callData), vm.toString(callData));
            if (valid) assertEq(recorder.recorded(), this.chain(args));
        }
    }

    /// @dev The arguments of one or two calls, of which up to three words are changed, and which may be cut short.
    function _crafted(uint256 seed) private view returns (bytes memory args) {
        Call[] memory calls = call(address(0xBEEF), 1, hex"aabbccddee");
        if (seed >> 254 != 0) calls = join(calls, call(address(0xCAFE), 2, new bytes(40)));
        args = abi.encode(calls, key);
        for (uint256 mutations = seed % 4; mutations > 0; --mutations) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 at = 32 * ((seed >> 16) % (args.length / 32));
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(add(args, 32), at))
            }
            uint256 kind = seed % 8;
            if (kind < 3) word = 32 * ((seed >> 128) % 20);
            else if (kind == 3) word = (seed >> 128) % 600;
            else if (kind == 4) word = _plus(word, -32 * int256(1 + (seed >> 128) % 3));
            else if (kind == 5) word = _plus(word, 32);
            else if (kind == 6) word |= 1 << (seed >> 248);
            else word = _plus(0, -32 * int256((seed >> 128) % 20));
            assembly ("memory-safe") {
                mstore(add(add(args, 32), at), word)
            }
        }
        seed = uint256(keccak256(abi.encode(seed)));
        if (seed % 3 == 0) {
            uint256 shorter = args.length - (seed >> 8) % 100;
            assembly ("memory-safe") {
                mstore(args, shorter)
            }
        }
    }

    /// @dev Wraps.
    function _plus(uint256 word, int256 difference) private pure returns (uint256) {
        unchecked {
            return word + uint256(difference);
        }
    }

    /// @dev Decodes as Solidity does.
    function chain(bytes calldata args) external pure returns (bytes32 hash) {
        (Call[] memory calls,) = abi.decode(args, (Call[], address));
        for (uint256 i = 0; i < calls.length; ++i) {
            hash = keccak256(abi.encode(hash, calls[i].target, calls[i].value, calls[i].data));
        }
    }
}

contract SessionKeyPluginCallDecodingTest is SessionKeyCallDecodingTest, PluginFace {
    function setUp() public override(SessionKeyCallDecodingTest, SessionKeyTest) {
        super.setUp();
    }
}

contract SessionKeyModuleCallDecodingTest is SessionKeyCallDecodingTest, ModuleFace {
    function setUp() public override(SessionKeyCallDecodingTest, SessionKeyTest) {
        super.setUp();
    }
}
