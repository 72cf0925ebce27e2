// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";

import {Call, IStandardExecutor} from "../../src/interfaces/IStandardExecutor.sol";
import {LibAccountCalls} from "../../src/session-key/LibAccountCalls.sol";
import {LibSessionKeyCalls} from "../../src/session-key/LibSessionKeyCalls.sol";

/// @notice The calls that plugin and module make on the account are encoded as Solidity encodes them, to the last byte, whatever
/// memory holds beforehand.
contract AccountCallEncodingTest is Test {
    Recorder private recorder = new Recorder();
    Caller private caller = new Caller();

    function test_oneCall_isEncodedAsSolidityDoes() public {
        Call[] memory calls = _calls(1, hex"0102030405");
        caller.make(calls, address(recorder));
        assertEq(
            recorder.received(),
            abi.encodeCall(IStandardExecutor.execute, (calls[0].target, calls[0].value, calls[0].data))
        );
    }

    function testFuzz_calls_areEncodedAsSolidityDoes(uint8 count, bytes calldata data) public {
        Call[] memory calls = _calls(bound(count, 1, 5), data);
        caller.make(calls, address(recorder));
        assertEq(
            recorder.received(),
            calls.length == 1
                ? abi.encodeCall(IStandardExecutor.execute, (calls[0].target, calls[0].value, calls[0].data))
                : abi.encodeCall(IStandardExecutor.executeBatch, (calls))
        );
    }

    /// @dev Calls with different targets, values and lengths of data.
    function _calls(uint256 count, bytes memory data) private pure returns (Call[] memory calls) {
        calls = new Call[](count);
        for (uint256 i = 0; i < count; ++i) {
            calls[i] = Call(address(uint160(0xcafe + i)), i * 3, i == 1 ? bytes("") : bytes.concat(data, new bytes(i)));
        }
    }
}

/// @notice Makes calls through an account as plugin and module do, in memory full of ones.
contract Caller {
    using LibAccountCalls for Call[];

    /// @dev The arguments are those of `executeWithSessionKey`; the address is the account here.
    function make(Call[] calldata, address) external returns (bytes[] memory) {
        (Call[] calldata calls, address account) = LibSessionKeyCalls.decode(msg.data[4:]);
        assembly ("memory-safe") {
            let free := mload(0x40)
            for { let at := free } lt(at, add(free, 0x4000)) { at := add(at, 0x20) } { mstore(at, not(0)) }
        }
        (uint256 start, uint256 size) = calls.makeThrough(account);
        assembly ("memory-safe") {
            return(start, size)
        }
    }
}

/// @notice Keeps the call data of its last call, and answers as an account does to calls that return nothing.
contract Recorder {
    bytes private last;

    /// @dev The call data of the last call.
    function received() external view returns (bytes memory) {
        return last;
    }

    fallback() external {
        last = msg.data;
        bool isBatch = msg.sig == IStandardExecutor.executeBatch.selector;
        bytes memory answer = isBatch ? abi.encode(new bytes[](0)) : abi.encode(bytes(""));
        assembly ("memory-safe") {
            return(add(answer, 0x20), mload(answer))
        }
    }
}
