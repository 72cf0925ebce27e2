// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";
import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {
    ExecutionManifest,
    IExecutionModule,
    IModule,
    IValidationModule,
    ManifestExecutionFunction,
    PackedUserOperation
} from "../interfaces/IModule.sol";
import {IPluginErrors} from "../interfaces/IPluginErrors.sol";
import {ISessionKeyModule} from "../interfaces/ISessionKeyModule.sol";
import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";
import {Call} from "../interfaces/IStandardExecutor.sol";
import {LibAccountCalls} from "./LibAccountCalls.sol";
import {LibModuleQuestion} from "./LibModuleQuestion.sol";
import {LibSessionKeyCalls} from "./LibSessionKeyCalls.sol";
import {SessionKeyEngine} from "./SessionKeyEngine.sol";
import {KeyRecord} from "./types/KeyRecord.sol";

/// @title Session keys for ERC-6900 v0.8 accounts
/// @notice The module as an account with EntryPoint v0.7 sees it: its manifest, the validation of user operations, the
/// execution of their calls. `SessionKeyPermissions` defines what a key may do, `LibSessionKeySlots` where everything
/// is stored; `SessionKeyPlugin` shares both.
///
/// An account installs it as three things: the functions of `executionManifest`; a validation of user operations, for
/// `executeWithSessionKey` alone; and a direct-call validation for `execute` and `executeBatch`, through which the
/// module makes the calls. Anyone can name any validation in a runtime call; `validateRuntime` always reverts, and only
/// this keeps both validations from being used that way.
///
/// The entity ids it is installed under do not matter: keys belong to the account.
contract SessionKeyModule is
    SessionKeyEngine,
    IValidationModule,
    IExecutionModule,
    ISessionKeyModule,
    IPluginErrors,
    IERC165
{
    using FixedPointMathLib for uint256;
    using LibAccountCalls for Call[];
    using LibModuleQuestion for Call[];

    string private constant MODULE_ID = "session-keys.session-key-module.1.0.0";

    /// @dev The EntryPoints, at the same addresses on every chain.
    address private constant ENTRY_POINT_V06 = 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789;
    address private constant ENTRY_POINT_V07 = 0x0000000071727De22E5E9d8BAf0edAc6f37da032;
    address private constant ENTRY_POINT_V08 = 0x4337084D9E255Ff0702461CF8895CE9E3b5Ff108;
    address private constant ENTRY_POINT_V09 = 0x433709009B8330FDa32311DF1C2AFA402eD8D009;

    /// @dev Bits of the nonce below the lane: options (8), entity id (32), sequence (64).
    uint256 private constant LANE_SHIFT = 104;

    /// @dev Bytes of `paymasterAndData` before the paymaster's data: its address and two gas limits.
    uint256 private constant PAYMASTER_FIELDS_LENGTH = 52;

    bytes4 private constant INVALID_SIGNATURE = 0xffffffff;

    /* Execution, called by the account on itself */

    /// @inheritdoc ISessionKeyPlugin
    /// @dev The arguments are read from `msg.data`, with the same decoder as in validation. Targets are asked whether
    /// they are modules after the rules of all calls are checked, and before the first call is made.
    function executeWithSessionKey(Call[] calldata, address) external returns (bytes[] memory) {
        (Call[] calldata calls, address sessionKey) = LibSessionKeyCalls.decode(msg.data[4:]);
        _authorizeExecution(msg.sender, sessionKey, calls);
        calls.requireNoModules();
        (uint256 start, uint256 size) = calls.makeThrough(msg.sender);
        assembly ("memory-safe") {
            return(start, size)
        }
    }

    /* Installation */

    /// @inheritdoc IModule
    /// @dev `data` is `abi.encode(address[] keys, bytes32[] tags, bytes[][] permissionUpdates)`. Removes all keys that
    /// the account has.
    function onInstall(bytes calldata data) external {
        if (msg.sender.code.length == 0) revert NotContractCaller(msg.sender);
        _installKeys(msg.sender, data);
    }

    /// @inheritdoc IModule
    /// @dev Removes all keys that the account has, whichever part of the module is uninstalled.
    function onUninstall(bytes calldata) external {
        _uninstallKeys(msg.sender);
    }

    /* Validation */

    /// @inheritdoc IValidationModule
    /// @dev The order of the checks is part of the behaviour: call data, signature, then everything else. With a wrong
    /// signer everything is still checked, so gas can be estimated with a dummy signature.
    function validateUserOp(uint32, PackedUserOperation calldata userOp, bytes32 userOpHash)
        external
        returns (uint256 validationData)
    {
        bytes calldata callData = userOp.callData;
        if (userOp.sender != msg.sender || bytes4(callData) != ISessionKeyPlugin.executeWithSessionKey.selector) {
            revert PermissionsCheckFailed();
        }
        (Call[] calldata calls, address sessionKey) = LibSessionKeyCalls.decode(callData[4:]);

        // The third value details the error; all errors are treated alike.
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError error,) =
            ECDSA.tryRecoverCalldata(MessageHashUtils.toEthSignedMessageHash(userOpHash), userOp.signature);
        if (error != ECDSA.RecoverError.NoError) revert InvalidSignature(sessionKey);

        // No key can use up another signer's nonces, or delay or reorder its operations. A lane has no room for the
        // address's first byte.
        if (userOp.nonce >> LANE_SHIFT != uint152(uint160(sessionKey))) revert PermissionsCheckFailed();

        (KeyRecord key, uint256 earliest) = _checkCalls(msg.sender, sessionKey, calls);
        if (key.hasGasLimit()) earliest = earliest.max(_chargeGas(msg.sender, key, _maxCost(userOp)));
        if (key.requiresPaymaster()) {
            _requirePaymasterFields(userOp.paymasterAndData);
            _checkPaymaster(msg.sender, key, userOp.paymasterAndData);
        }
        return _timeRange(key, earliest) | (signer == sessionKey ? 0 : 1);
    }

    /// @inheritdoc IValidationModule
    /// @dev Session keys act through user operations only. The module's safety rests on this: see above.
    function validateRuntime(address, uint32, address, uint256, bytes calldata, bytes calldata) external pure {
        revert NotImplemented(msg.sig, 0);
    }

    /// @inheritdoc IValidationModule
    /// @dev Session keys do not sign for the account.
    function validateSignature(address, uint32, address, bytes32, bytes calldata) external pure returns (bytes4) {
        return INVALID_SIGNATURE;
    }

    /// @dev The most that EntryPoint v0.7 may charge, in wei.
    function _maxCost(PackedUserOperation calldata userOp) private pure returns (uint256) {
        (uint256 verificationGas, uint256 callGas) = _halves(userOp.accountGasLimits);
        (, uint256 maxFeePerGas) = _halves(userOp.gasFees);
        uint256 gas;
        unchecked {
            // Each is below 2^128.
            gas = verificationGas + callGas;
            bytes calldata paymasterAndData = userOp.paymasterAndData;
            if (paymasterAndData.length > 0) {
                _requirePaymasterFields(paymasterAndData);
                (uint256 paymasterVerificationGas, uint256 postOpGas) = _halves(bytes32(paymasterAndData[20:]));
                gas += paymasterVerificationGas + postOpGas;
            }
        }
        gas = gas.saturatingAdd(userOp.preVerificationGas);
        // A saturated sum fits no limit, not even at a fee of zero.
        return gas == type(uint256).max ? gas : gas.saturatingMul(maxFeePerGas);
    }

    /// @dev Reverts if `paymasterAndData` is too short for a paymaster and its gas limits. The EntryPoint refuses that
    /// too.
    function _requirePaymasterFields(bytes calldata paymasterAndData) private pure {
        if (paymasterAndData.length < PAYMASTER_FIELDS_LENGTH) revert PermissionsCheckFailed();
    }

    /// @dev The two numbers that share a word.
    function _halves(bytes32 word) private pure returns (uint256 upper, uint256 lower) {
        return (uint256(word) >> 128, uint128(uint256(word)));
    }

    /* Provided to the engine */

    /// @dev Covers all of them, because an account can have deposits at several. Validation must not read from the
    /// account which one it trusts.
    function _isEntryPoint(address target) internal pure override returns (bool) {
        return target == ENTRY_POINT_V06 || target == ENTRY_POINT_V07 || target == ENTRY_POINT_V08
            || target == ENTRY_POINT_V09;
    }

    /// @dev The module itself: the account manages it by calls.
    function _isForbidden(address target) internal view override returns (bool) {
        return target == address(this);
    }

    /// @dev Keys can be added in validation, by a deferred action, where ERC-7562 forbids TIMESTAMP.
    function _addsKeysWithoutClock() internal pure override returns (bool) {
        return true;
    }

    /* Views */

    /// @inheritdoc IExecutionModule
    function executionManifest() external pure returns (ExecutionManifest memory manifest) {
        ManifestExecutionFunction[] memory functions = new ManifestExecutionFunction[](5);
        functions[0] = ManifestExecutionFunction(ISessionKeyPlugin.executeWithSessionKey.selector, false, false);
        functions[1] = ManifestExecutionFunction(ISessionKeyPlugin.addSessionKey.selector, false, true);
        functions[2] = ManifestExecutionFunction(ISessionKeyPlugin.removeSessionKey.selector, false, true);
        functions[3] = ManifestExecutionFunction(ISessionKeyPlugin.rotateSessionKey.selector, false, true);
        functions[4] = ManifestExecutionFunction(ISessionKeyPlugin.updateKeyPermissions.selector, false, true);
        manifest.executionFunctions = functions;
    }

    /// @inheritdoc IModule
    function moduleId() external pure returns (string memory) {
        return MODULE_ID;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(ISessionKeyPlugin).interfaceId || interfaceId == type(IValidationModule).interfaceId
            || interfaceId == type(IExecutionModule).interfaceId || interfaceId == type(IModule).interfaceId
            || interfaceId == type(IERC165).interfaceId;
    }
}
