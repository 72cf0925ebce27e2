// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {PackedUserOperation} from "../../../../src/interfaces/IModule.sol";
import {HookStandIn} from "./HookStandIn.sol";

/// @notice Stands in for TimeRangeModule: when a validation may be used.
contract TimeRangeStandIn is HookStandIn {
    struct TimeRange {
        uint48 validUntil;
        uint48 validAfter;
    }

    event TimeRangeSet(uint32 indexed entityId, address indexed account, uint48 validUntil, uint48 validAfter);

    error TimeRangeNotValid();

    mapping(uint32 entityId => mapping(address account => TimeRange)) public timeRanges;

    function moduleId() external pure returns (string memory) {
        return "session-keys.test-time-range.1.0.0";
    }

    function onInstall(bytes calldata data) external {
        (uint32 entityId, uint48 validUntil, uint48 validAfter) = abi.decode(data, (uint32, uint48, uint48));
        setTimeRange(entityId, validUntil, validAfter);
    }

    function onUninstall(bytes calldata data) external {
        delete timeRanges[abi.decode(data, (uint32))][msg.sender];
    }

    function setTimeRange(uint32 entityId, uint48 validUntil, uint48 validAfter) public {
        if (validUntil == 0 && validAfter == 0) revert TimeRangeNotValid();
        if (validUntil == 0) validUntil = type(uint48).max;
        if (validUntil <= validAfter) revert TimeRangeNotValid();
        timeRanges[entityId][msg.sender] = TimeRange(validUntil, validAfter);
        emit TimeRangeSet(entityId, msg.sender, validUntil, validAfter);
    }

    /// @dev Nothing stored: no bounds.
    function preUserOpValidationHook(uint32 entityId, PackedUserOperation calldata userOp, bytes32)
        external
        view
        returns (uint256)
    {
        _requireNoSegment(userOp.signature);
        TimeRange memory range = timeRanges[entityId][msg.sender];
        return uint256(range.validAfter) << 208 | uint256(range.validUntil) << 160;
    }

    /// @dev Nothing stored: refused.
    function preRuntimeValidationHook(uint32 entityId, address, uint256, bytes calldata, bytes calldata segment)
        external
        view
    {
        _requireNoSegment(segment);
        TimeRange memory range = timeRanges[entityId][msg.sender];
        if (block.timestamp < range.validAfter || block.timestamp > range.validUntil) revert TimeRangeNotValid();
    }
}
