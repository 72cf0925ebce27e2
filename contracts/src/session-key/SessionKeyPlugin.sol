// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";
import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";
import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

import {UserOperation} from "../interfaces/IAccount.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestFunction,
    PluginManifest,
    PluginMetadata,
    SelectorPermission
} from "../interfaces/IPlugin.sol";
import {IPluginExecutor} from "../interfaces/IPluginExecutor.sol";
import {ISessionKeyPlugin} from "../interfaces/ISessionKeyPlugin.sol";
import {Call} from "../interfaces/IStandardExecutor.sol";
import {BasePlugin} from "../plugin/BasePlugin.sol";
import {LibSessionKeyCalls} from "./LibSessionKeyCalls.sol";
import {SessionKeyEngine} from "./SessionKeyEngine.sol";
import {KeyRecord} from "./types/KeyRecord.sol";

/// @title Session keys for ERC-6900 v0.7 accounts
/// @notice The plugin as an account with EntryPoint v0.6 sees it: its manifest, the validation of user operations, the
/// execution of their calls. `SessionKeyPermissions` defines what a key may do, `LibSessionKeySlots` where everything
/// is stored.
contract SessionKeyPlugin is SessionKeyEngine, BasePlugin {
    using FixedPointMathLib for uint256;
    using LibSessionKeyCalls for Call[];

    string private constant NAME = "Session Key Plugin";
    string private constant VERSION = "1.1.0";
    string private constant AUTHOR = "The session-key authors";

    /// @dev EntryPoint v0.6, at the same address on every chain.
    address private constant ENTRY_POINT = 0x5FF137D4b0FDCD49DcA30c7CF57E578a026d2789;

    /// @dev Indices of the owner's validation functions among the dependencies given at installation.
    uint256 private constant RUNTIME_DEPENDENCY = 0;
    uint256 private constant USER_OP_DEPENDENCY = 1;

    /* Execution, called by the account on itself */

    /// @inheritdoc ISessionKeyPlugin
    /// @dev The arguments are read from `msg.data`, with the same decoder as in validation.
    function executeWithSessionKey(Call[] calldata, address) external returns (bytes[] memory results) {
        (Call[] calldata calls, address sessionKey) = LibSessionKeyCalls.decode(msg.data[4:]);
        _authorizeExecution(msg.sender, sessionKey, calls);

        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (address target, uint256 value, bytes calldata data) = calls.at(i);
            // The key signed the whole batch, and one call that fails reverts all.
            // slither-disable-next-line calls-loop
            results[i] = IPluginExecutor(msg.sender).executeFromPluginExternal(target, value, data);
        }
    }

    /* Installation */

    /// @inheritdoc IPlugin
    /// @dev `data` is `abi.encode(address[] keys, bytes32[] tags, bytes[][] permissionUpdates)`.
    function onInstall(bytes calldata data) external override {
        if (msg.sender.code.length == 0) revert NotContractCaller(msg.sender);
        _installKeys(msg.sender, data);
    }

    /// @inheritdoc IPlugin
    function onUninstall(bytes calldata) external override {
        _uninstallKeys(msg.sender);
    }

    /* Validation */

    /// @inheritdoc IPlugin
    /// @dev The order of the checks is part of the behaviour: function id, signature, then everything else. With a
    /// wrong signer everything is still checked, so gas can be estimated with a dummy signature.
    function userOpValidationFunction(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        override
        returns (uint256 validationData)
    {
        if (functionId != uint8(FunctionId.USER_OP_VALIDATION_SESSION_KEY)) {
            revert NotImplemented(msg.sig, functionId);
        }
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

        (KeyRecord key, uint256 earliest) = _checkCalls(msg.sender, sessionKey, calls);
        if (key.hasGasLimit()) {
            if (userOp.nonce >> 64 != uint160(sessionKey)) revert PermissionsCheckFailed();
            earliest = earliest.max(_chargeGas(msg.sender, key, _maxCost(userOp)));
        }
        if (key.requiresPaymaster()) _checkPaymaster(msg.sender, key, userOp.paymasterAndData);
        return _timeRange(key, earliest) | (signer == sessionKey ? 0 : 1);
    }

    /// @dev The most that EntryPoint v0.6 may charge, in wei. With a paymaster, its `postOp` may use the verification
    /// gas limit twice more.
    function _maxCost(UserOperation calldata userOp) private pure returns (uint256) {
        uint256 gas = userOp.verificationGasLimit;
        if (userOp.paymasterAndData.length > 0) gas = gas.saturatingMul(3);
        gas = gas.saturatingAdd(userOp.callGasLimit).saturatingAdd(userOp.preVerificationGas);
        // A saturated sum fits no limit, not even at a fee of zero.
        return gas == type(uint256).max ? gas : gas.saturatingMul(userOp.maxFeePerGas);
    }

    /// @dev Fixed by ERC-4337; validation may not read it from the account.
    function _isEntryPoint(address target) internal pure override returns (bool) {
        return target == ENTRY_POINT;
    }

    /// @dev None: the account itself refuses to call plugins.
    function _isForbidden(address) internal pure override returns (bool) {
        return false;
    }

    /// @dev Installation and management are always executions, which have a clock.
    function _addsKeysWithoutClock() internal pure override returns (bool) {
        return false;
    }

    /* Views */

    /// @inheritdoc IPlugin
    function pluginManifest() external pure override returns (PluginManifest memory manifest) {
        manifest.dependencyInterfaceIds = new bytes4[](2);
        manifest.dependencyInterfaceIds[RUNTIME_DEPENDENCY] = type(IPlugin).interfaceId;
        manifest.dependencyInterfaceIds[USER_OP_DEPENDENCY] = type(IPlugin).interfaceId;

        bytes4[] memory functions = new bytes4[](5);
        functions[0] = ISessionKeyPlugin.executeWithSessionKey.selector;
        functions[1] = ISessionKeyPlugin.addSessionKey.selector;
        functions[2] = ISessionKeyPlugin.removeSessionKey.selector;
        functions[3] = ISessionKeyPlugin.rotateSessionKey.selector;
        functions[4] = ISessionKeyPlugin.updateKeyPermissions.selector;
        manifest.executionFunctions = functions;

        manifest.permitAnyExternalAddress = true;
        manifest.canSpendNativeToken = true;

        ManifestFunction memory ownerRuntimeValidation = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.DEPENDENCY, functionId: 0, dependencyIndex: RUNTIME_DEPENDENCY
        });
        ManifestFunction memory ownerUserOpValidation = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.DEPENDENCY, functionId: 0, dependencyIndex: USER_OP_DEPENDENCY
        });
        ManifestFunction memory sessionKeyValidation = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.SELF,
            functionId: uint8(FunctionId.USER_OP_VALIDATION_SESSION_KEY),
            dependencyIndex: 0
        });
        ManifestFunction memory nobody = ManifestFunction({
            functionType: ManifestAssociatedFunctionType.PRE_HOOK_ALWAYS_DENY, functionId: 0, dependencyIndex: 0
        });

        manifest.userOpValidationFunctions = new ManifestAssociatedFunction[](5);
        manifest.userOpValidationFunctions[0] = ManifestAssociatedFunction(functions[0], sessionKeyValidation);
        manifest.runtimeValidationFunctions = new ManifestAssociatedFunction[](4);
        for (uint256 i = 1; i < functions.length; ++i) {
            manifest.userOpValidationFunctions[i] = ManifestAssociatedFunction(functions[i], ownerUserOpValidation);
            manifest.runtimeValidationFunctions[i - 1] =
                ManifestAssociatedFunction(functions[i], ownerRuntimeValidation);
        }

        // Session keys act through user operations only.
        manifest.preRuntimeValidationHooks = new ManifestAssociatedFunction[](1);
        manifest.preRuntimeValidationHooks[0] = ManifestAssociatedFunction(functions[0], nobody);
    }

    /// @inheritdoc IPlugin
    function pluginMetadata() external pure override returns (PluginMetadata memory metadata) {
        metadata.name = NAME;
        metadata.version = VERSION;
        metadata.author = AUTHOR;
        metadata.permissionDescriptors = new SelectorPermission[](4);
        metadata.permissionDescriptors[0] =
            SelectorPermission(ISessionKeyPlugin.addSessionKey.selector, "Add a session key and set its permissions");
        metadata.permissionDescriptors[1] =
            SelectorPermission(ISessionKeyPlugin.removeSessionKey.selector, "Remove a session key");
        metadata.permissionDescriptors[2] = SelectorPermission(
            ISessionKeyPlugin.rotateSessionKey.selector,
            "Replace a session key with another, which takes over its permissions"
        );
        metadata.permissionDescriptors[3] = SelectorPermission(
            ISessionKeyPlugin.updateKeyPermissions.selector, "Change the permissions of a session key"
        );
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == type(ISessionKeyPlugin).interfaceId || super.supportsInterface(interfaceId);
    }
}
