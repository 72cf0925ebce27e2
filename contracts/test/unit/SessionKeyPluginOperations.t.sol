// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {UserOperation} from "../../src/interfaces/IAccount.sol";
import {IPlugin} from "../../src/interfaces/IPlugin.sol";
import {IPluginErrors} from "../../src/interfaces/IPluginErrors.sol";
import {ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin} from "../../src/interfaces/ISessionKeyPlugin.sol";
import {PluginFace} from "../utils/SessionKeyFaces.sol";

/// @notice Plugin-specific validation: function ids, nonce lanes, the maximum cost of an operation of EntryPoint v0.6.
contract SessionKeyPluginOperationsTest is PluginFace {
    function setUp() public override {
        super.setUp();
        allowAll();
    }

    function _validate(UserOperation memory op) private returns (uint256) {
        return IPlugin(address(account)).userOpValidationFunction(0, op, USER_OP_HASH);
    }

    function _refused(UserOperation memory op) private {
        vm.expectRevert(ISessionKeyPlugin.PermissionsCheckFailed.selector);
        _validate(op);
    }

    /// @dev Checked before anything else.
    function testFuzz_validate_revertsIfFunctionIdIsUnknown(uint8 functionId) public {
        functionId = uint8(bound(functionId, 1, type(uint8).max));
        UserOperation memory op = unpacked(operation(increment()));
        op.signature = "";
        vm.expectRevert(
            abi.encodeWithSelector(
                IPluginErrors.NotImplemented.selector, IPlugin.userOpValidationFunction.selector, functionId
            )
        );
        IPlugin(address(account)).userOpValidationFunction(functionId, op, USER_OP_HASH);
    }

    /// @dev The plugin has a clock when a key is added.
    function test_addSessionKey_beginsIntervalsAtOnce() public {
        bytes[] memory updates = new bytes[](3);
        updates[0] = abi.encodeCall(Updates.setNativeTokenSpendLimit, (10, DAY));
        updates[1] = abi.encodeCall(Updates.setERC20SpendLimit, (address(token), 10, DAY));
        updates[2] = abi.encodeCall(Updates.setGasSpendLimit, (10, DAY));
        key = makeAddr("second");
        account.addSessionKey(key, TAG, updates);
        assertInfo(nativeInfo(), true, 10, 0, DAY, START);
        assertInfo(tokenInfo(), true, 10, 0, DAY, START);
        assertInfo(gasInfo(), true, 10, 0, DAY, START);
        assertFalse(resetPending());
    }

    /* Nonce lanes */

    function test_gas_nonceKeyMustBeTheSessionKey() public {
        setGas(100, 0);
        Operation memory op = gasOperation(1);
        op.nonce |= type(uint64).max;
        assertEq(validate(op), 0);
        op.nonce = 0;
        refused(op);
        op.nonce = (uint256(uint160(key)) << 64) + (1 << 64);
        refused(op);
        op.nonce = uint256(uint160(key)) << 64 | uint256(1) << 224;
        refused(op);
        op.nonce = uint160(key);
        refused(op);
    }

    function test_gas_withoutALimitAnyNonceWillDo() public {
        Operation memory op = operation(increment());
        op.nonce = 5;
        assertEq(validate(op), 0);
    }

    /* The cost of an operation */

    function test_gas_countsTheMostThatAnOperationCanCost() public {
        setGas(1_000_000, 0);
        UserOperation memory op = unpacked(operation(increment()));
        op.callGasLimit = 2;
        op.verificationGasLimit = 30;
        op.preVerificationGas = 500;
        op.maxFeePerGas = 7;
        op.maxPriorityFeePerGas = 3;
        _validate(op);
        assertEq(gasInfo().limitUsed, 532 * 7);
        op.paymasterAndData = hex"01";
        _validate(op);
        assertEq(gasInfo().limitUsed, 532 * 7 + 592 * 7);
    }

    /// @dev Each operand of the sum, each overflow; even if a fee of zero would make the product zero.
    function test_gas_everyOverflowIsRefused() public {
        setGas(type(uint256).max - 1, 0);
        for (uint256 fee = 0; fee < 3; ++fee) {
            UserOperation memory op = unpacked(operation(increment()));
            op.maxFeePerGas = fee;
            op.callGasLimit = type(uint256).max;
            op.preVerificationGas = 1;
            _refused(op);
            op.preVerificationGas = 0;
            op.verificationGasLimit = 1;
            _refused(op);
            op.callGasLimit = 0;
            op.verificationGasLimit = type(uint256).max / 3 + 1;
            op.paymasterAndData = hex"01";
            _refused(op);
            op.verificationGasLimit = type(uint256).max / 3;
            op.preVerificationGas = 1;
            _refused(op);
        }
        UserOperation memory product = unpacked(operation(increment()));
        product.callGasLimit = 1 << 128;
        product.maxFeePerGas = 1 << 128;
        _refused(product);
        product.maxFeePerGas = (1 << 128) - 1;
        assertEq(_validate(product), 0);
    }
}
