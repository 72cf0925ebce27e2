// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {IEntryPoint} from "../../src/interfaces/IEntryPoint.sol";
import {IModularAccount} from "../../src/interfaces/IModularAccount.sol";
import {IMultiOwnerPlugin} from "../../src/interfaces/IMultiOwnerPlugin.sol";
import {ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {PingTarget} from "../mocks/PingTarget.sol";
import {call, join, listOf} from "../utils/ListLiterals.sol";
import {SessionKeyStackTest} from "../utils/SessionKeyStackTest.sol";

/// @notice ERC-7562 for an unstaked account and plugin: traces the validation of operations of every kind, and fails on a
/// forbidden opcode and on storage that is neither the account's own nor associated with it.
contract ValidationRulesTest is SessionKeyStackTest {
    /// @dev Words from an associated slot on that may be used. Source: ERC-7562, "associated storage".
    uint256 private constant ASSOCIATED_WORDS = 128;

    bytes1 private constant OP_KECCAK256 = 0x20;
    bytes1 private constant OP_GAS = 0x5A;

    mapping(bytes32 slot => bool) private isAssociated;

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
        _obeysTheRules(keyOp(ping()));
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
        update(requiredPaymaster(payee));
        IEntryPoint.UserOperation memory op = keyOp(ping());
        op.paymasterAndData = abi.encodePacked(payee);
        sign(op, key.privateKey);
        _obeysTheRules(op);
    }

    function test_manyCalls_obeyTheRules() public {
        ISessionKeyPlugin.Call[] memory calls = ping();
        for (uint256 i = 0; i < 10; ++i) {
            calls = join(calls, ping());
        }
        _obeysTheRules(keyOp(calls));
    }

    /// @dev Every function that an owner's signature validates, with a second owner so that the list of owners is one.
    function test_ownersOperations_obeyTheRules() public {
        address second = makeAddr("second owner");
        makeOwner(second);

        bytes[10] memory calls = [
            executeCall(address(target), 0, ""),
            batchCall(new IModularAccount.Call[](2)),
            abi.encodeCall(IModularAccount.installPlugin, (address(plugin), 0, "", new bytes21[](0))),
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

    /// @dev The rules hold for what is refused, too: a signature that is nobody's makes the plugin ask every owner.
    function test_badSignature_obeysTheRules() public {
        IEntryPoint.UserOperation memory op = buildUserOp(executeCall(address(target), 0, ""));
        sign(op, key.privateKey);
        _obeysTheRules(op, 1);
    }

    /// @dev The check itself must see what is forbidden: execution reads the clock.
    function test_theCheckSeesTheClock() public {
        vm.startDebugTraceRecording();
        vm.prank(address(account));
        (bool success,) =
            address(plugin).call(abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (ping(), key.addr)));
        Vm.DebugStep[] memory steps = vm.stopAndReturnDebugTraceRecording();
        assertTrue(success);
        bool seen;
        for (uint256 i = 0; i < steps.length; ++i) {
            if (steps[i].contractAddr == address(plugin) && _isForbidden(bytes1(steps[i].opcode))) seen = true;
        }
        assertTrue(seen);
    }

    function _obeysTheRules(IEntryPoint.UserOperation memory op) private {
        _obeysTheRules(op, 0);
    }

    /// @param authorizer What validation must answer: 0, or 1 for a bad signature.
    function _obeysTheRules(IEntryPoint.UserOperation memory op, uint160 authorizer) private {
        vm.startStateDiffRecording();
        vm.startDebugTraceRecording();
        uint256 validationData = validate(op);
        Vm.DebugStep[] memory steps = vm.stopAndReturnDebugTraceRecording();
        Vm.AccountAccess[] memory accesses = vm.stopAndReturnStateDiff();
        assertEq(uint160(validationData), authorizer, "signature");

        uint256 hashes;
        bool inside;
        for (uint256 i = 0; i < steps.length; ++i) {
            // The test's own steps come before and after.
            if (steps[i].contractAddr == address(this) || steps[i].contractAddr == address(ENTRY_POINT)) continue;
            inside = true;
            bytes1 opcode = bytes1(steps[i].opcode);
            assertFalse(_isForbidden(opcode), string.concat("opcode ", vm.toString(steps[i].opcode)));
            if (opcode == OP_GAS) {
                assertTrue(_isCall(bytes1(steps[i + 1].opcode)), "GAS that is not part of a call");
            } else if (opcode == OP_KECCAK256 && _isAboutTheAccount(steps[i].memoryInput)) {
                ++hashes;
                bytes32 base = keccak256(steps[i].memoryInput);
                for (uint256 n = 0; n < ASSOCIATED_WORDS; ++n) {
                    isAssociated[bytes32(uint256(base) + n)] = true;
                }
            }
        }
        assertTrue(inside && hashes > 0, "no trace");

        uint256 foreign;
        for (uint256 i = 0; i < accesses.length; ++i) {
            Vm.StorageAccess[] memory words = accesses[i].storageAccesses;
            for (uint256 j = 0; j < words.length; ++j) {
                address at = words[j].account;
                if (at == address(account) || at == address(this) || at == address(ENTRY_POINT)) continue;
                ++foreign;
                assertTrue(isAssociated[words[j].slot], string.concat("slot ", vm.toString(words[j].slot)));
            }
        }
        assertGt(foreign, 0, "no storage of a plugin seen");
    }

    function _isAboutTheAccount(bytes memory preimage) private view returns (bool) {
        return preimage.length == 64 && address(uint160(uint256(bytes32(preimage)))) == address(account);
    }

    /// @dev Source: ERC-7562, OP-011 to OP-054, for code that is neither a factory nor staked.
    function _isForbidden(bytes1 opcode) private pure returns (bool) {
        bytes memory forbidden = hex"31323a4041424344454748494af0f5feff";
        for (uint256 i = 0; i < forbidden.length; ++i) {
            if (forbidden[i] == opcode) return true;
        }
        return false;
    }

    function _isCall(bytes1 opcode) private pure returns (bool) {
        return opcode == 0xf1 || opcode == 0xf2 || opcode == 0xf4 || opcode == 0xfa;
    }
}
