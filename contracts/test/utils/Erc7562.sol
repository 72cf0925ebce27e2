// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

/// @notice Reads the trace of a validation by an EntryPoint, and names each rule of ERC-7562 that an account and its plugins or
/// modules without stake break in it, and the factory: forbidden opcodes, access to addresses without code, calls with value and of
/// the EntryPoint, precompiles, and storage that is neither the account's own nor associated with it.
abstract contract Erc7562 is Test {
    /// @notice The party whose code runs.
    enum Phase {
        ENTRY_POINT,
        FACTORY,
        ACCOUNT,
        PAYMASTER
    }

    /// @notice The parties. Zero for none.
    struct Parties {
        address entryPoint;
        // The EntryPoint's own helper, which calls the factory.
        address creator;
        address sender;
        address factory;
        bool isFactoryStaked;
        address paymaster;
    }

    /// @dev Words from an associated slot on that may be used. Source: ERC-7562, "associated storage".
    uint256 private constant ASSOCIATED_WORDS = 128;

    uint8 private constant KECCAK256 = 0x20;
    uint8 private constant EXTCODESIZE = 0x3b;
    uint8 private constant EXTCODECOPY = 0x3c;
    uint8 private constant EXTCODEHASH = 0x3f;
    uint8 private constant SLOAD = 0x54;
    uint8 private constant SSTORE = 0x55;
    uint8 private constant GAS = 0x5a;
    uint8 private constant TLOAD = 0x5c;
    uint8 private constant TSTORE = 0x5d;
    uint8 private constant CALL = 0xf1;
    uint8 private constant CALLCODE = 0xf2;
    uint8 private constant DELEGATECALL = 0xf4;
    uint8 private constant CREATE2 = 0xf5;
    uint8 private constant STATICCALL = 0xfa;

    mapping(uint256 run => mapping(bytes32 slot => bool)) private isAssociated;
    uint256 private run;

    string[] private found;
    /// @dev Features of a trace, so a test can assert that it is not empty.
    uint256 internal stepsOfAccount;
    uint256 internal stepsOfFactory;
    uint256 internal associatedAccesses;
    uint256 internal prefunds;
    uint256 private creations;

    /// @notice The rules that a validation breaks, in their order in its trace, each as "rule: what".
    function violationsIn(Vm.DebugStep[] memory steps, Parties memory parties) internal returns (string[] memory) {
        delete found;
        (stepsOfAccount, stepsOfFactory, associatedAccesses, prefunds, creations) = (0, 0, 0, 0, 0);
        ++run;
        Phase phase = Phase.ENTRY_POINT;
        for (uint256 i = 0; i < steps.length; ++i) {
            Vm.DebugStep memory step = steps[i];
            if (step.contractAddr == parties.entryPoint) {
                if (_isCall(step.opcode)) phase = _phaseOf(parties, _calleeOf(step));
                continue;
            }
            if (step.contractAddr == address(this) || phase == Phase.ENTRY_POINT || phase == Phase.PAYMASTER) continue;
            if (phase == Phase.FACTORY && step.contractAddr == parties.creator) continue;
            if (phase == Phase.FACTORY) ++stepsOfFactory;
            else ++stepsOfAccount;
            _checkOpcode(step, phase, i + 1 < steps.length ? steps[i + 1].opcode : 0);
            _checkAddress(step, phase, parties);
            _checkStorage(step, parties);
        }
        if (creations > 1) found.push("OP-031: more than one CREATE2");
        return found;
    }

    function _phaseOf(Parties memory parties, address callee) private pure returns (Phase) {
        if (callee == parties.sender) return Phase.ACCOUNT;
        if (callee == parties.creator) return Phase.FACTORY;
        if (callee == parties.paymaster && callee != address(0)) return Phase.PAYMASTER;
        return Phase.ENTRY_POINT;
    }

    function _checkOpcode(Vm.DebugStep memory step, Phase phase, uint8 next) private {
        if (step.isOutOfGas) _reportOpcode("OP-020: out of gas", step.opcode);
        if (step.opcode == CREATE2 && phase == Phase.FACTORY) ++creations;
        else if (_isForbidden(step.opcode)) _reportOpcode("OP-011: opcode", step.opcode);
        if (step.opcode == GAS && !_isCall(next)) _reportOpcode("OP-012: GAS before", next);
    }

    function _checkAddress(Vm.DebugStep memory step, Phase phase, Parties memory parties) private {
        address accessed;
        bool calls = _isCall(step.opcode);
        if (calls) accessed = _calleeOf(step);
        else if (_readsCode(step.opcode)) accessed = address(uint160(step.stack[0]));
        else return;

        if (calls && (step.opcode == CALL || step.opcode == CALLCODE) && step.stack[2] != 0) {
            if (accessed != parties.entryPoint) _reportAddress("OP-061: call with value of", accessed);
        }
        if (accessed == parties.entryPoint) {
            // The account pays the missing funds to the EntryPoint; no other call to it is allowed.
            if (calls && step.contractAddr == parties.sender && step.stack[4] == 0) ++prefunds;
            else _reportOpcode("OP-054: access to the EntryPoint, opcode", step.opcode);
        } else if (calls && uint160(accessed) < 0x100) {
            if (uint160(accessed) == 0 || uint160(accessed) > 9) _reportAddress("OP-062: precompile", accessed);
        } else if (accessed.code.length == 0 && !(phase == Phase.FACTORY && accessed == parties.sender)) {
            _reportAddress("OP-041: no code at", accessed);
        }
    }

    function _checkStorage(Vm.DebugStep memory step, Parties memory parties) private {
        if (step.opcode == KECCAK256) {
            bytes memory preimage = step.memoryInput;
            if (preimage.length != 64 || uint256(bytes32(preimage)) != uint160(parties.sender)) return;
            bytes32 base = keccak256(preimage);
            for (uint256 n = 0; n < ASSOCIATED_WORDS; ++n) {
                isAssociated[run][bytes32(uint256(base) + n)] = true;
            }
            return;
        }
        bool isAccess = step.opcode == SLOAD || step.opcode == SSTORE || step.opcode == TLOAD || step.opcode == TSTORE;
        if (!isAccess || step.contractAddr == parties.sender) return;
        if (!isAssociated[run][bytes32(step.stack[0])]) {
            _reportSlot("STO-021: slot", step.stack[0]);
            return;
        }
        ++associatedAccesses;
        if (parties.factory != address(0) && !parties.isFactoryStaked) {
            found.push("STO-022: associated storage, and a factory without stake");
        }
    }

    /* Opcodes. Source: ERC-7562, OP-011 and OP-080, for code without stake */

    function _isForbidden(uint8 opcode) private pure returns (bool) {
        bytes memory forbidden = hex"31323a4041424344454748494af0f5feff";
        for (uint256 i = 0; i < forbidden.length; ++i) {
            if (uint8(forbidden[i]) == opcode) return true;
        }
        return false;
    }

    function _isCall(uint8 opcode) private pure returns (bool) {
        return opcode == CALL || opcode == CALLCODE || opcode == DELEGATECALL || opcode == STATICCALL;
    }

    function _readsCode(uint8 opcode) private pure returns (bool) {
        return opcode == EXTCODESIZE || opcode == EXTCODECOPY || opcode == EXTCODEHASH;
    }

    function _calleeOf(Vm.DebugStep memory step) private pure returns (address) {
        return address(uint160(step.stack[1]));
    }

    /* Reports */

    function _reportSlot(string memory what, uint256 number) private {
        found.push(string.concat(what, " ", vm.toString(bytes32(number))));
    }

    function _reportOpcode(string memory what, uint8 opcode) private {
        found.push(string.concat(what, " ", vm.toString(abi.encodePacked(opcode))));
    }

    function _reportAddress(string memory what, address accessed) private {
        found.push(string.concat(what, " ", vm.toString(accessed)));
    }
}
