// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Vm} from "forge-std/Vm.sol";

import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {Counter} from "../mocks/Counter.sol";
import {TestToken} from "../mocks/TestToken.sol";
import {call, join} from "../utils/ListLiterals.sol";
import {ModuleFace, PluginFace} from "../utils/SessionKeyFaces.sol";
import {IInstallable, SessionKeyTest} from "../utils/SessionKeyTest.sol";
import {ReferenceSessionKeyModule} from "./ReferenceSessionKeyModule.sol";
import {ReferenceSessionKeyPlugin} from "./ReferenceSessionKeyPlugin.sol";

/// @notice Random histories of an account with three keys, compared with the reference: keys are added and removed,
/// owners change permissions, operations are validated and executed in any order, time passes. After each step every
/// view returns the same.
///
/// `SessionKeyInvariants` does this through the EntryPoint, for the plugin; here both faces have only their stub
/// accounts.
abstract contract SessionKeyHistoriesTest is SessionKeyTest {
    uint256 private constant KEYS = 3;
    uint256 private constant STEPS = 16;

    /// @notice The possible results of a step.
    enum Event {
        MANAGED,
        MANAGEMENT_REFUSED,
        VALID,
        VALID_LATER,
        INVALID,
        EXECUTED,
        EXECUTION_REFUSED,
        NOT_BEGUN,
        BEGUN
    }

    ReferenceSessionKeyPlugin internal reference_;
    Vm.Wallet[KEYS] private wallets;
    address private immutable PAYMASTER = makeAddr("paymaster");

    /// @dev The number of times each event happened.
    uint256[9] internal counts;

    function setUp() public virtual override {
        super.setUp();
        account.removeSessionKey(key, 0);
        reference_ = deployReference();
        vm.deal(address(account), 1 << 200);
        for (uint256 i = 0; i < KEYS; ++i) {
            wallets[i] = vm.createWallet(vm.toString(i));
        }
    }

    /// @notice Deploys the reference of the face.
    function deployReference() internal virtual returns (ReferenceSessionKeyPlugin);

    /// @notice Encodes the reference's check of an operation; called with the account as the sender.
    function encodeCheck(Operation memory op, Call[] memory calls) internal view virtual returns (bytes memory);

    /// @notice Whether the face has limits that have not begun.
    function hasNotBegunLimits() internal pure virtual returns (bool);

    function testFuzz_histories_agreeWithTheReference(uint256 seed) public {
        for (uint256 i = 0; i < STEPS; ++i) {
            _step(_hash(seed, i));
        }
    }

    /// @dev Every event happens; otherwise the comparison would prove little.
    function test_histories_areOfEveryKind() public {
        for (uint256 seed = 0; seed < 36 * STEPS; ++seed) {
            _step(_hash(seed, 0));
        }
        for (uint256 i = 0; i < counts.length; ++i) {
            if (i != uint256(Event.NOT_BEGUN) || hasNotBegunLimits()) assertGt(counts[i], 0, vm.toString(i));
            else assertEq(counts[i], 0);
        }
    }

    function _step(uint256 seed) private {
        (wallet, key) = (wallets[seed % KEYS], wallets[seed % KEYS].addr);
        address other = wallets[(seed >> 8) % KEYS].addr;
        uint256 kind = (seed >> 16) % 32;
        uint256 salt = _hash(seed, 1);
        if (kind < 5) {
            _manage(abi.encodeCall(ISessionKeyPlugin.addSessionKey, (key, TAG, _anyUpdates(salt, true))));
        } else if (kind == 5) {
            _manage(abi.encodeCall(ISessionKeyPlugin.removeSessionKey, (key, 0)));
        } else if (kind == 6) {
            _manage(abi.encodeCall(ISessionKeyPlugin.rotateSessionKey, (key, 0, other)));
        } else if (kind < 10) {
            _manage(abi.encodeCall(ISessionKeyPlugin.updateKeyPermissions, (key, _anyUpdates(salt, false))));
        } else if (kind < 17) {
            _validate(salt);
        } else if (kind < 27) {
            _execute(salt);
        } else if (kind < 30) {
            vm.warp(vm.getBlockTimestamp() + salt % (kind == 27 ? 3 days : 2 hours));
        } else if (kind == 30) {
            _reset();
        } else if (salt % 8 == 0) {
            _manage(abi.encodeCall(IInstallable.onUninstall, ("")));
        }
        _compareViews(key);
        _compareViews(other);
    }

    /* Steps */

    /// @dev Makes the same call from the account to both.
    function _manage(bytes memory data) private {
        (bool success, bytes memory answer) = address(account).call(data);
        (bool expected, bytes memory expectedAnswer) = _askReference(data);
        assertEq(success, expected, "management");
        if (!success) assertEq(answer, expectedAnswer, "management");
        ++counts[uint256(success ? Event.MANAGED : Event.MANAGEMENT_REFUSED)];
    }

    function _reset() private {
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.resetSessionKeyGasLimitTimestamp, (address(account), key));
        (bool success,) = address(face).call(data);
        (bool expected,) = _askReference(data);
        assertEq(success, expected, "reset");
    }

    function _validate(uint256 seed) private {
        Call[] memory calls = _anyCalls(seed);
        Operation memory op = operation(calls);
        op.gas = _hash(seed, 2) % 60;
        op.maxFeePerGas = 1;
        if (_hash(seed, 3) % 16 == 0) op.gas = type(uint256).max;
        if (_hash(seed, 4) % 16 == 0) op.nonce ^= 1 << 250;
        uint256 sponsor = _hash(seed, 5) % 8;
        if (sponsor < 3) op.paymasterAndData = paymasterData(PAYMASTER);
        if (sponsor == 3) op.paymasterAndData = paymasterData(address(1));
        if (sponsor == 4) op.paymasterAndData = hex"01";

        bytes memory check = encodeCheck(op, calls);
        uint256 snapshot = vm.snapshotState();
        (bool success, bytes memory answer) = address(account).call(encodeValidation(op));
        (bool expected, bytes memory expectedAnswer) = _askReference(check);
        assertEq(success, expected, "validation");
        if (!success) {
            assertEq(bytes4(answer), ISessionKeyPlugin.PermissionsCheckFailed.selector);
            ++counts[uint256(Event.INVALID)];
            return;
        }
        (uint48 validAfter, uint48 validUntil) = abi.decode(expectedAnswer, (uint48, uint48));
        assertEq(abi.decode(answer, (uint256)), packed(validAfter, validUntil), "validation data");
        bool isTimely = validAfter <= vm.getBlockTimestamp();
        // A refused operation leaves no trace.
        if (!isTimely) vm.revertToState(snapshot);
        ++counts[uint256(isTimely ? Event.VALID : Event.VALID_LATER)];
    }

    function _execute(uint256 seed) private {
        bytes memory data = abi.encodeCall(ISessionKeyPlugin.executeWithSessionKey, (_anyCalls(seed), key));
        bool hadNotBegun = _hasNotBegun();
        (bool success, bytes memory answer) = address(account).call(data);
        (bool expected, bytes memory expectedAnswer) = _askReference(data);
        assertEq(success, expected, "execution");
        if (!success) assertEq(answer, expectedAnswer, "revert reason");
        ++counts[uint256(success ? Event.EXECUTED : Event.EXECUTION_REFUSED)];
        if (hadNotBegun) ++counts[uint256(Event.NOT_BEGUN)];
        else if (success) ++counts[uint256(Event.BEGUN)];
    }

    function _hasNotBegun() private view returns (bool) {
        if (!face.isSessionKeyOf(address(account), key)) return false;
        ISessionKeyPlugin.SpendLimitInfo memory native = nativeInfo();
        return native.refreshInterval != 0 && native.lastUsedTime == 0;
    }

    /// @dev The reference answers like the face that the account calls.
    function _askReference(bytes memory data) private returns (bool success, bytes memory answer) {
        vm.prank(address(account));
        (success, answer) = address(reference_).call(data);
    }

    /* What is drawn */

    function _hash(uint256 seed, uint256 number) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, number)));
    }

    /// @dev Most keys are added with permissions that allow something.
    function _anyUpdates(uint256 seed, bool isNew) private view returns (bytes[] memory updates) {
        updates = new bytes[](isNew ? 5 : 1 + seed % 2);
        for (uint256 i = 0; i < updates.length; ++i) {
            updates[i] = _anyUpdate(_hash(seed, i), isNew && i < 4 ? i : _hash(seed, i + 9) % 10);
        }
    }

    function _anyUpdate(uint256 seed, uint256 kind) private view returns (bytes memory) {
        uint256[8] memory limits = [uint256(0), 60, 70, 80, 200, NO_LIMIT, NO_LIMIT - 1, 1 << 90];
        uint48[7] memory intervals = [uint48(0), 1, 2 hours, 3 hours, 1 days, START * 2, type(uint48).max];
        uint256 limit = limits[(seed >> 8) % 8];
        uint48 interval = intervals[(seed >> 16) % 7];
        bool flag = (seed >> 24) % 4 != 0;
        address target = (seed >> 32) % 2 == 0 ? address(counter) : address(token);
        if (kind == 0) {
            uint8 listType = uint8(seed % 8 < 5 ? 2 : seed % 2);
            return abi.encodeCall(Updates.setAccessListType, (ISessionKeyPlugin.ContractAccessControlType(listType)));
        }
        if (kind == 1 || kind == 4) return abi.encodeCall(Updates.setNativeTokenSpendLimit, (limit, interval));
        if (kind == 2 || kind == 5) return abi.encodeCall(Updates.setGasSpendLimit, (limit, interval));
        if (kind == 3 || kind == 6) {
            address limited = seed % 32 == 0 ? address(0) : address(token);
            return abi.encodeCall(Updates.setERC20SpendLimit, (limited, limit, interval));
        }
        if (kind == 7) return abi.encodeCall(Updates.updateAccessListAddressEntry, (target, flag, seed % 3 == 0));
        if (kind == 8) {
            if (seed % 4 == 0) return abi.encodeCall(Updates.setRequiredPaymaster, (flag ? address(0) : PAYMASTER));
            return abi.encodeCall(Updates.updateAccessListFunctionEntry, (target, Counter.increment.selector, flag));
        }
        uint48 time = uint48(vm.getBlockTimestamp());
        return abi.encodeCall(Updates.updateTimeRange, (flag ? 0 : time + 100, seed % 2 == 0 ? 0 : time + 1 days));
    }

    function _anyCalls(uint256 seed) private view returns (Call[] memory calls) {
        for (uint256 n = seed % 16 == 0 ? 0 : 1 + seed % 3; n > 0; --n) {
            calls = join(calls, _anyCall(_hash(seed, n)));
        }
    }

    function _anyCall(uint256 seed) private view returns (Call[] memory) {
        uint256 amount = (seed >> 8) % 90;
        uint256 kind = seed % 16;
        if (kind < 3) return increment();
        if (kind < 7) return pay(amount);
        if (kind < 11) return transfer(amount);
        if (kind < 14) return approve(amount);
        if (kind == 14) return call(address(token), 0, abi.encodeCall(TestToken.approve, (address(1), NO_LIMIT)));
        // None of these must be called: the plugin relies on accounts to refuse plugins.
        address forbidden = hasNotBegunLimits() ? address(face) : address(account);
        return call(seed >> 8 & 1 == 0 ? forbidden : ENTRY_POINT, 0, hex"d0");
    }

    /* Views */

    function _compareViews(address k) private view {
        address a = address(account);
        _same(abi.encodeCall(face.sessionKeysOf, (a)));
        _same(abi.encodeCall(face.isSessionKeyOf, (a, k)));
        _same(abi.encodeCall(face.findPredecessor, (a, k)));
        _same(abi.encodeCall(face.getAccessControlType, (a, k)));
        _same(abi.encodeCall(face.getAccessControlEntry, (a, k, address(token))));
        _same(abi.encodeCall(face.isSelectorOnAccessControlList, (a, k, address(token), Counter.increment.selector)));
        _same(abi.encodeCall(face.getKeyTimeRange, (a, k)));
        _same(abi.encodeCall(face.getNativeTokenSpendLimitInfo, (a, k)));
        _same(abi.encodeCall(face.getGasSpendLimit, (a, k)));
        _same(abi.encodeCall(face.getERC20SpendLimitInfo, (a, k, address(token))));
        _same(abi.encodeCall(face.getRequiredPaymaster, (a, k)));
    }

    function _same(bytes memory question) private view {
        (, bytes memory answer) = address(face).staticcall(question);
        (, bytes memory expected) = address(reference_).staticcall(question);
        if (keccak256(answer) == keccak256(expected)) return;
        assertEq(answer, expected, string.concat("answer to ", vm.toString(question)));
    }
}

contract SessionKeyPluginHistoriesTest is SessionKeyHistoriesTest, PluginFace {
    function setUp() public override(SessionKeyHistoriesTest, SessionKeyTest) {
        super.setUp();
    }

    function deployReference() internal override returns (ReferenceSessionKeyPlugin) {
        return new ReferenceSessionKeyPlugin(ENTRY_POINT);
    }

    function encodeCheck(Operation memory op, Call[] memory calls) internal view override returns (bytes memory) {
        // The same struct, from another interface.
        bytes memory encoded = abi.encode(unpacked(op), calls, key);
        return bytes.concat(ReferenceSessionKeyPlugin.checkOperation.selector, encoded);
    }

    function hasNotBegunLimits() internal pure override returns (bool) {
        return false;
    }
}

contract SessionKeyModuleHistoriesTest is SessionKeyHistoriesTest, ModuleFace {
    function setUp() public override(SessionKeyHistoriesTest, SessionKeyTest) {
        super.setUp();
    }

    function deployReference() internal override returns (ReferenceSessionKeyPlugin) {
        return new ReferenceSessionKeyModule(address(face));
    }

    function encodeCheck(Operation memory op, Call[] memory calls) internal view override returns (bytes memory) {
        return abi.encodeCall(ReferenceSessionKeyModule.checkPackedOperation, (packedOperation(op), calls, key));
    }

    function hasNotBegunLimits() internal pure override returns (bool) {
        return true;
    }
}
