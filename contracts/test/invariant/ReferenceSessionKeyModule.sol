// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PackedUserOperation} from "../../src/interfaces/IModule.sol";
import {Call} from "../../src/interfaces/IStandardExecutor.sol";
import {ReferenceSessionKeyPlugin} from "./ReferenceSessionKeyPlugin.sol";

/// @title The module's differences from the plugin, in plain form
/// @notice A limit with an interval and start 0 has not begun.
contract ReferenceSessionKeyModule is ReferenceSessionKeyPlugin {
    address private immutable MODULE;

    /// @dev Whether the updates belong to a key that is being added.
    bool private isAdding;

    constructor(address module) ReferenceSessionKeyPlugin(0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789) {
        MODULE = module;
    }

    /* Without a clock */

    function addSessionKey(address sessionKey, bytes32 tag, bytes[] calldata updates) public override {
        isAdding = true;
        super.addSessionKey(sessionKey, tag, updates);
        isAdding = false;
    }

    function setGasSpendLimit(uint256 limit, uint48 interval) public override {
        super.setGasSpendLimit(limit, interval);
        if (limit == type(uint256).max) return;
        if (isAdding && interval != 0) permissions[updated].isResetPending = true;
    }

    function startOfIntervals() internal view override returns (uint48) {
        return isAdding ? 0 : super.startOfIntervals();
    }

    function spend(Limit storage one, uint256 amount) internal override returns (bool) {
        if (one.interval != 0 && one.start == 0) one.start = uint48(block.timestamp);
        return super.spend(one, amount);
    }

    function countGas(Permissions storage one, uint256 cost) internal override returns (uint48 from) {
        bool hasNotBegun = one.gas.interval != 0 && one.gas.start == 0;
        from = super.countGas(one, cost);
        if (hasNotBegun) from = 0;
    }

    /* Operations */

    /// @notice The module's checks in validation, except the signature.
    function checkPackedOperation(PackedUserOperation calldata op, Call[] calldata calls, address sessionKey)
        external
        returns (uint48 validAfter, uint48 validUntil)
    {
        // The upper 19 bytes of the nonce are the lower 19 of the key.
        if (bytes19(bytes32(op.nonce)) != bytes19(bytes20(sessionKey) << 8)) revert PermissionsCheckFailed();
        Permissions storage one;
        (one, validAfter) = checkKeyAndCalls(calls, sessionKey);
        bytes calldata sponsor = op.paymasterAndData;
        bool isMalformed = sponsor.length > 0 && sponsor.length < 52;
        if (one.gas.exists) {
            if (isMalformed) revert PermissionsCheckFailed();
            uint48 from = countGas(one, _maxCost(op));
            if (from > validAfter) validAfter = from;
        }
        if (one.paymaster != address(0)) {
            if (isMalformed || sponsor.length == 0) revert PermissionsCheckFailed();
            if (address(bytes20(sponsor[:20])) != one.paymaster) revert PermissionsCheckFailed();
        }
        return (validAfter, one.validUntil);
    }

    /// @dev Checked arithmetic: an operation whose cost overflows is refused with a panic.
    function _maxCost(PackedUserOperation calldata op) private pure returns (uint256) {
        uint256 gas = uint256(uint128(bytes16(op.accountGasLimits))) + uint128(uint256(op.accountGasLimits));
        if (op.paymasterAndData.length > 0) {
            gas += uint256(uint128(bytes16(op.paymasterAndData[20:36]))) + uint128(bytes16(op.paymasterAndData[36:52]));
        }
        return (gas + op.preVerificationGas) * uint128(uint256(op.gasFees));
    }

    /* Targets */

    function isForbidden(address target) internal view override returns (bool) {
        return target == MODULE;
    }

    function isEntryPoint(address target) internal view override returns (bool) {
        return super.isEntryPoint(target) || target == 0x0000000071727De22E5E9d8BAf0edAc6f37da032
            || target == 0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108
            || target == 0x433709009B8330FDa32311DF1C2AFA402eD8D009;
    }
}
