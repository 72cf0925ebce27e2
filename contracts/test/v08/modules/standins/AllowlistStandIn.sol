// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "../../../../src/interfaces/IStandardExecutor.sol";
import {PackedUserOperation} from "../../../../src/interfaces/IModule.sol";
import {ExecutionHookStandIn} from "./HookStandIn.sol";

/// @notice Stands in for AllowlistModule: addresses and functions that a validation may reach, and limits on tokens.
contract AllowlistStandIn is ExecutionHookStandIn {
    struct AllowlistInput {
        address target;
        bool hasSelectorAllowlist;
        bool hasERC20SpendLimit;
        uint256 erc20SpendLimit;
        bytes4[] selectors;
    }

    struct AllowlistEntry {
        bool allowed;
        bool hasSelectorAllowlist;
        bool hasERC20SpendLimit;
    }

    event AddressAllowlistUpdated(
        uint32 indexed entityId, address indexed account, address indexed target, AllowlistEntry entry
    );
    event SelectorAllowlistUpdated(
        uint32 indexed entityId, address indexed account, bytes24 indexed targetAndSelector, bool allowed
    );
    event ERC20SpendLimitUpdated(
        uint32 indexed entityId, address indexed account, address indexed token, uint256 newLimit
    );

    error AddressNotAllowed();
    error ExceededTokenLimit();
    error InvalidCalldataLength();
    error NoSelectorSpecified();
    error SelectorNotAllowed();
    error SpendingRequestNotAllowed(bytes4 selector);

    bytes4 private constant TRANSFER = 0xa9059cbb;
    bytes4 private constant APPROVE = 0x095ea7b3;

    /// @dev Version 2.0.0: a call by `executeUserOp` is not looked into in validation.
    bool private immutable IS_EARLIER;

    mapping(uint32 entityId => mapping(address target => mapping(address account => AllowlistEntry))) public
        addressAllowlist;
    mapping(
        uint32 entityId => mapping(bytes4 selector => mapping(address target => mapping(address account => bool)))
    ) public selectorAllowlist;
    /// @notice What is left.
    mapping(uint32 entityId => mapping(address target => mapping(address account => uint256))) public erc20SpendLimits;

    constructor(bool isEarlier) {
        IS_EARLIER = isEarlier;
    }

    function moduleId() external pure returns (string memory) {
        return "session-keys.test-allowlist.1.0.0";
    }

    function onInstall(bytes calldata data) external {
        (uint32 entityId, AllowlistInput[] memory inputs) = abi.decode(data, (uint32, AllowlistInput[]));
        updateAllowlist(entityId, inputs);
    }

    function onUninstall(bytes calldata data) external {
        (uint32 entityId, AllowlistInput[] memory inputs) = abi.decode(data, (uint32, AllowlistInput[]));
        deleteAllowlist(entityId, inputs);
    }

    function updateAllowlist(uint32 entityId, AllowlistInput[] memory inputs) public {
        for (uint256 i = 0; i < inputs.length; ++i) {
            AllowlistInput memory input = inputs[i];
            if (input.target == address(0)) {
                _setSelectors(entityId, input, true);
                continue;
            }
            setAddressAllowlist(entityId, input.target, true, input.hasSelectorAllowlist, input.hasERC20SpendLimit);
            _setLimit(entityId, input.target, input.erc20SpendLimit);
            if (input.hasSelectorAllowlist) _setSelectors(entityId, input, true);
        }
    }

    function deleteAllowlist(uint32 entityId, AllowlistInput[] memory inputs) public {
        for (uint256 i = 0; i < inputs.length; ++i) {
            setAddressAllowlist(entityId, inputs[i].target, false, false, false);
            _setLimit(entityId, inputs[i].target, 0);
            _setSelectors(entityId, inputs[i], false);
        }
    }

    function setAddressAllowlist(
        uint32 entityId,
        address target,
        bool allowed,
        bool hasSelectorAllowlist,
        bool hasERC20SpendLimit
    ) public {
        AllowlistEntry memory entry = AllowlistEntry(allowed, hasSelectorAllowlist, hasERC20SpendLimit);
        addressAllowlist[entityId][target][msg.sender] = entry;
        emit AddressAllowlistUpdated(entityId, msg.sender, target, entry);
    }

    function setSelectorAllowlist(uint32 entityId, address target, bytes4 selector, bool allowed) public {
        selectorAllowlist[entityId][selector][target][msg.sender] = allowed;
        emit SelectorAllowlistUpdated(
            entityId, msg.sender, bytes24(bytes20(target)) | bytes24(selector) >> 160, allowed
        );
    }

    function updateLimits(uint32 entityId, address token, bool hasERC20SpendLimit, uint256 newLimit) external {
        AllowlistEntry storage entry = addressAllowlist[entityId][token][msg.sender];
        entry.hasERC20SpendLimit = hasERC20SpendLimit;
        emit AddressAllowlistUpdated(entityId, msg.sender, token, entry);
        _setLimit(entityId, token, newLimit);
    }

    function _setSelectors(uint32 entityId, AllowlistInput memory input, bool allowed) private {
        for (uint256 i = 0; i < input.selectors.length; ++i) {
            setSelectorAllowlist(entityId, input.target, input.selectors[i], allowed);
        }
    }

    function _setLimit(uint32 entityId, address token, uint256 limit) private {
        erc20SpendLimits[entityId][token][msg.sender] = limit;
        emit ERC20SpendLimitUpdated(entityId, msg.sender, token, limit);
    }

    function preUserOpValidationHook(uint32 entityId, PackedUserOperation calldata userOp, bytes32)
        external
        view
        returns (uint256)
    {
        _requireNoSegment(userOp.signature);
        checkAllowlistCalldata(entityId, IS_EARLIER ? userOp.callData : _unwrapped(userOp.callData));
        return 0;
    }

    function preRuntimeValidationHook(uint32 entityId, address, uint256, bytes calldata data, bytes calldata segment)
        external
        view
    {
        _requireNoSegment(segment);
        checkAllowlistCalldata(entityId, data);
    }

    /// @notice Reverts where a call is not allowed. Functions of the account that are no execution are not looked at, nor is value.
    function checkAllowlistCalldata(uint32 entityId, bytes memory callData) public view {
        (, Call[] memory calls) = _callsOf(callData);
        for (uint256 i = 0; i < calls.length; ++i) {
            _requireAllowed(entityId, calls[i].target, calls[i].data);
        }
    }

    function _requireAllowed(uint32 entityId, address target, bytes memory data) private view {
        AllowlistEntry memory entry = addressAllowlist[entityId][target][msg.sender];
        // Short data are filled up with zeros.
        bytes4 selector = bytes4(data);
        if (!entry.allowed) {
            if (!selectorAllowlist[entityId][selector][address(0)][msg.sender]) revert AddressNotAllowed();
        } else if (entry.hasSelectorAllowlist) {
            if (data.length < 4) revert NoSelectorSpecified();
            if (!selectorAllowlist[entityId][selector][target][msg.sender]) revert SelectorNotAllowed();
        }
    }

    function preExecutionHook(uint32 entityId, address, uint256, bytes calldata data) external returns (bytes memory) {
        bytes memory executed = _executed(data);
        (bool isExecution, Call[] memory calls) = _callsOf(executed);
        if (!isExecution) revert SpendingRequestNotAllowed(bytes4(executed));
        for (uint256 i = 0; i < calls.length; ++i) {
            _spend(entityId, calls[i].target, calls[i].data);
        }
        return "";
    }

    function _spend(uint32 entityId, address token, bytes memory data) private {
        if (!addressAllowlist[entityId][token][msg.sender].hasERC20SpendLimit) return;
        if (data.length < 68) revert InvalidCalldataLength();
        bytes4 selector = bytes4(data);
        if (selector != TRANSFER && selector != APPROVE) revert SelectorNotAllowed();
        uint256 amount;
        assembly ("memory-safe") {
            // Behind the length, the selector and the first argument.
            amount := mload(add(data, 0x44))
        }
        uint256 limit = erc20SpendLimits[entityId][token][msg.sender];
        if (amount > limit) revert ExceededTokenLimit();
        erc20SpendLimits[entityId][token][msg.sender] = limit - amount;
    }
}
