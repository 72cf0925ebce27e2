// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/utils/introspection/IERC165.sol";
import {ECDSA} from "@openzeppelin/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/utils/cryptography/MessageHashUtils.sol";

import {BasePlugin} from "./BasePlugin.sol";
import {SessionKeyPermissions} from "./SessionKeyPermissions.sol";
import {UserOperation} from "./interfaces/IAccount.sol";
import {
    IPlugin,
    ManifestAssociatedFunction,
    ManifestAssociatedFunctionType,
    ManifestFunction,
    PluginManifest,
    PluginMetadata,
    SelectorPermission
} from "./interfaces/IPlugin.sol";
import {IPluginExecutor} from "./interfaces/IPluginExecutor.sol";
import {ISessionKeyPlugin} from "./interfaces/ISessionKeyPlugin.sol";
import {AccountRecord, LibAccountRecord} from "./libraries/AccountRecord.sol";
import {KeyRecord, LibKeyRecord} from "./libraries/KeyRecord.sol";
import {LibSessionKeyCalls} from "./libraries/LibSessionKeyCalls.sol";
import {LibSessionKeySlots} from "./libraries/LibSessionKeySlots.sol";

/// @title Session keys for ERC-6900 v0.7 accounts
/// @notice The plugin as an account sees it: its keys, the validation of their user operations, the execution of their
/// calls. What a key may do stands in `SessionKeyPermissions`; where everything is stored, in `LibSessionKeySlots`.
///
/// The registered keys of an account are a linked list, newest first, of the keys' addresses. A key has an id, never used
/// twice, under which its permissions are stored: a key added again starts from the defaults, and a rotated one keeps what
/// its predecessor had, because it takes over the id.
contract SessionKeyPlugin is SessionKeyPermissions, BasePlugin {
    using LibSessionKeyCalls for Call[];
    using LibSessionKeySlots for uint256;

    string internal constant NAME = "Session Key Plugin";
    string internal constant VERSION = "1.1.0";
    string internal constant AUTHOR = "The session-key authors";

    /// @dev Places of the owner's validation functions among the dependencies given at installation.
    uint256 private constant RUNTIME_DEPENDENCY = 0;
    uint256 private constant USER_OP_DEPENDENCY = 1;

    /// @dev What stands for the predecessor of the newest key.
    bytes32 private constant SENTINEL = bytes32(uint256(1));

    /// @dev Gas that an uninstall keeps to come to its end: more than reading one key and emitting its event takes.
    uint256 private constant UNINSTALL_GAS_RESERVE = 10_000;

    /* Execution functions, called by the account on itself */

    /// @inheritdoc ISessionKeyPlugin
    /// @dev The arguments are read from `msg.data`, by the same decoder as in validation.
    function executeWithSessionKey(Call[] calldata, address) external returns (bytes[] memory results) {
        (Call[] calldata calls, address sessionKey) = LibSessionKeyCalls.decode(msg.data[4:]);
        _bookExecution(msg.sender, sessionKey, calls);

        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (address target, uint256 value, bytes calldata data) = calls.at(i);
            // What the calls of a batch are: the key asked for all of them, and one that fails reverts all.
            // slither-disable-next-line calls-loop
            results[i] = IPluginExecutor(msg.sender).executeFromPluginExternal(target, value, data);
        }
    }

    /// @inheritdoc ISessionKeyPlugin
    function addSessionKey(address sessionKey, bytes32 tag, bytes[] calldata permissionUpdates) external {
        _addKey(msg.sender, sessionKey, tag, permissionUpdates);
    }

    /// @inheritdoc ISessionKeyPlugin
    function removeSessionKey(address sessionKey, bytes32 predecessor) external {
        _requireKey(msg.sender, sessionKey);
        _unlink(msg.sender, sessionKey, predecessor);
        _storeKey(msg.sender, sessionKey, KeyRecord.wrap(0));
        emit SessionKeyRemoved(msg.sender, sessionKey);
    }

    /// @inheritdoc ISessionKeyPlugin
    function rotateSessionKey(address oldSessionKey, bytes32 predecessor, address newSessionKey) external {
        KeyRecord key = _requireKey(msg.sender, oldSessionKey);
        _unlink(msg.sender, oldSessionKey, predecessor);
        _storeKey(msg.sender, oldSessionKey, KeyRecord.wrap(0));

        _requireAddable(msg.sender, newSessionKey);
        _storeKey(msg.sender, newSessionKey, key);
        _link(msg.sender, _loadAccount(msg.sender), newSessionKey);
        emit SessionKeyRotated(msg.sender, oldSessionKey, newSessionKey);
    }

    /// @inheritdoc ISessionKeyPlugin
    function updateKeyPermissions(address sessionKey, bytes[] calldata updates) external {
        KeyRecord key = _requireKey(msg.sender, sessionKey);
        _storeKey(msg.sender, sessionKey, _applyUpdates(msg.sender, sessionKey, key, updates));
    }

    /* Called by anyone */

    /// @inheritdoc ISessionKeyPlugin
    function resetSessionKeyGasLimitTimestamp(address account, address sessionKey) external {
        _settleGasReset(account, _requireKey(account, sessionKey));
    }

    /* Installation */

    /// @inheritdoc BasePlugin
    /// @dev `data` is `abi.encode(address[] keys, bytes32[] tags, bytes[][] permissionUpdates)`. Keys that an uninstall
    /// without its callback left over are retired, so that an installation always starts without any.
    function onInstall(bytes calldata data) external override(BasePlugin) {
        if (msg.sender.code.length == 0) revert NotContractCaller(msg.sender);
        (address[] calldata keys, bytes32[] calldata tags, bytes[][] calldata updates) = _decodeInstallData(data);
        if (keys.length != tags.length || keys.length != updates.length) revert LengthMismatch();

        uint256 end;
        assembly ("memory-safe") {
            end := add(data.offset, data.length)
        }
        _retireAllKeys(msg.sender);
        for (uint256 i = 0; i < keys.length; ++i) {
            _requireInside(updates[i], end);
            _addKey(msg.sender, keys[i], tags[i], updates[i]);
        }
    }

    /// @inheritdoc BasePlugin
    /// @dev One write removes all keys, whatever their number. Their events follow as far as gas allows.
    function onUninstall(bytes calldata) external override(BasePlugin) {
        address sessionKey = _retireAllKeys(msg.sender);
        while (sessionKey != address(0) && gasleft() > UNINSTALL_GAS_RESERVE) {
            emit SessionKeyRemoved(msg.sender, sessionKey);
            sessionKey = _nextKey(msg.sender, sessionKey);
        }
    }

    /* Validation */

    /// @inheritdoc BasePlugin
    /// @dev The order of the checks is part of the behaviour: function id, signature, then everything else. With a wrong
    /// signer everything is checked all the same, so that gas can be estimated with a dummy signature.
    function userOpValidationFunction(uint8 functionId, UserOperation calldata userOp, bytes32 userOpHash)
        external
        override(BasePlugin)
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

        // The third tells more of an error, of which all are alike here.
        // slither-disable-next-line unused-return
        (address signer, ECDSA.RecoverError error,) =
            ECDSA.tryRecoverCalldata(MessageHashUtils.toEthSignedMessageHash(userOpHash), userOp.signature);
        if (error != ECDSA.RecoverError.NoError) revert InvalidSignature(sessionKey);

        (uint48 validAfter, uint48 validUntil) = _checkOperation(msg.sender, sessionKey, calls, userOp);
        uint256 authorizer = signer == sessionKey ? 0 : 1;
        return uint256(validAfter) << 208 | uint256(validUntil) << 160 | authorizer;
    }

    /* Views */

    /// @inheritdoc ISessionKeyPlugin
    function sessionKeysOf(address account) external view returns (address[] memory keys) {
        address newest = _loadAccount(account).newestKey();
        uint256 count;
        for (address key = newest; key != address(0); key = _nextKey(account, key)) {
            ++count;
        }
        keys = new address[](count);
        address current = newest;
        for (uint256 i = 0; i < count; ++i) {
            keys[i] = current;
            current = _nextKey(account, current);
        }
    }

    /// @inheritdoc ISessionKeyPlugin
    function isSessionKeyOf(address account, address sessionKey) external view returns (bool) {
        return _findKey(account, sessionKey).id() != 0;
    }

    /// @inheritdoc ISessionKeyPlugin
    function findPredecessor(address account, address sessionKey) external view returns (bytes32) {
        if (_findKey(account, sessionKey).id() == 0) revert SessionKeyNotFound(sessionKey);
        address predecessor = _searchPredecessor(account, sessionKey);
        return predecessor == address(0) ? SENTINEL : bytes32(bytes20(predecessor));
    }

    /// @inheritdoc BasePlugin
    function pluginManifest() external pure override(BasePlugin) returns (PluginManifest memory manifest) {
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

        ManifestFunction memory ownerRuntimeValidation =
            ManifestFunction(ManifestAssociatedFunctionType.DEPENDENCY, 0, RUNTIME_DEPENDENCY);
        ManifestFunction memory ownerUserOpValidation =
            ManifestFunction(ManifestAssociatedFunctionType.DEPENDENCY, 0, USER_OP_DEPENDENCY);
        ManifestFunction memory sessionKeyValidation =
            ManifestFunction(ManifestAssociatedFunctionType.SELF, uint8(FunctionId.USER_OP_VALIDATION_SESSION_KEY), 0);

        manifest.userOpValidationFunctions = new ManifestAssociatedFunction[](5);
        manifest.userOpValidationFunctions[0] = ManifestAssociatedFunction(functions[0], sessionKeyValidation);
        manifest.runtimeValidationFunctions = new ManifestAssociatedFunction[](4);
        for (uint256 i = 1; i < functions.length; ++i) {
            manifest.userOpValidationFunctions[i] = ManifestAssociatedFunction(functions[i], ownerUserOpValidation);
            manifest.runtimeValidationFunctions[i - 1] =
                ManifestAssociatedFunction(functions[i], ownerRuntimeValidation);
        }

        // A session key acts by user operations only.
        manifest.preRuntimeValidationHooks = new ManifestAssociatedFunction[](1);
        manifest.preRuntimeValidationHooks[0] = ManifestAssociatedFunction(
            functions[0], ManifestFunction(ManifestAssociatedFunctionType.PRE_HOOK_ALWAYS_DENY, 0, 0)
        );
    }

    /// @inheritdoc BasePlugin
    function pluginMetadata() external pure override(BasePlugin) returns (PluginMetadata memory metadata) {
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
    function supportsInterface(bytes4 interfaceId) public view override(BasePlugin) returns (bool) {
        return interfaceId == type(ISessionKeyPlugin).interfaceId || super.supportsInterface(interfaceId);
    }

    /* The list of keys */

    function _addKey(address account, address sessionKey, bytes32 tag, bytes[] calldata updates) private {
        _requireAddable(account, sessionKey);
        AccountRecord record = _loadAccount(account);
        // Checked arithmetic: the ids do not wrap.
        uint48 keyId = record.lastId() + 1;
        _link(account, LibAccountRecord.pack(record.newestKey(), record.retiredId(), keyId), sessionKey);
        emit SessionKeyAdded(account, sessionKey, tag);

        KeyRecord key = LibKeyRecord.fresh(keyId);
        if (updates.length > 0) key = _applyUpdates(account, sessionKey, key, updates);
        _storeKey(account, sessionKey, key);
    }

    function _requireAddable(address account, address sessionKey) private view {
        if (sessionKey == address(0) || _findKey(account, sessionKey).id() != 0) revert InvalidSessionKey(sessionKey);
    }

    /// @dev Puts a key before all others. `record` is stored with it as the newest.
    function _link(address account, AccountRecord record, address sessionKey) private {
        _storeNextKey(account, sessionKey, record.newestKey());
        _storeAccount(account, record.withNewestKey(sessionKey));
    }

    /// @dev Takes a registered key out of the list. Reverts with `InvalidSessionKey` if `predecessor` is not its own; zero
    /// means that it is to be searched.
    function _unlink(address account, address sessionKey, bytes32 predecessor) private {
        AccountRecord record = _loadAccount(account);
        address next = _nextKey(account, sessionKey);
        address previous;
        if (predecessor == bytes32(0)) {
            previous = _searchPredecessor(account, sessionKey);
        } else if (predecessor != SENTINEL) {
            previous = address(bytes20(predecessor));
            // Next to a word of other shape, what a removed key left behind in the list is no predecessor either.
            if (
                bytes32(bytes20(previous)) != predecessor || _findKey(account, previous).id() == 0
                    || _nextKey(account, previous) != sessionKey
            ) revert InvalidSessionKey(sessionKey);
        } else if (record.newestKey() != sessionKey) {
            revert InvalidSessionKey(sessionKey);
        }

        if (previous == address(0)) {
            _storeAccount(account, record.withNewestKey(next));
        } else {
            _storeNextKey(account, previous, next);
        }
        _storeNextKey(account, sessionKey, address(0));
    }

    /// @dev The key before a registered one in the list; zero for the newest.
    function _searchPredecessor(address account, address sessionKey) private view returns (address predecessor) {
        address current = _loadAccount(account).newestKey();
        while (current != sessionKey) {
            predecessor = current;
            current = _nextKey(account, current);
        }
    }

    /// @dev Removes all keys at once.
    /// @return newest The first of the list as it was.
    function _retireAllKeys(address account) private returns (address newest) {
        AccountRecord record = _loadAccount(account);
        newest = record.newestKey();
        if (newest != address(0)) _storeAccount(account, record.retireAll());
    }

    function _nextKey(address account, address sessionKey) private view returns (address) {
        return address(uint160(LibSessionKeySlots.nextKey(account, sessionKey).load()));
    }

    function _storeNextKey(address account, address sessionKey, address next) private {
        LibSessionKeySlots.nextKey(account, sessionKey).store(uint160(next));
    }

    function _storeAccount(address account, AccountRecord record) private {
        LibSessionKeySlots.accountRecord(account).store(AccountRecord.unwrap(record));
    }

    /* Install data */

    /// @dev `abi.decode(data, (address[], bytes32[], bytes[][]))`, without copying it to memory. Solidity checks what is
    /// inside the arrays when it is read.
    function _decodeInstallData(bytes calldata data)
        private
        pure
        returns (address[] calldata keys, bytes32[] calldata tags, bytes[][] calldata updates)
    {
        (uint256 keysOffset, uint256 keysLength) = _arrayAt(data, 0);
        (uint256 tagsOffset, uint256 tagsLength) = _arrayAt(data, 1);
        (uint256 updatesOffset, uint256 updatesLength) = _arrayAt(data, 2);
        assembly ("memory-safe") {
            keys.offset := keysOffset
            keys.length := keysLength
            tags.offset := tagsOffset
            tags.length := tagsLength
            updates.offset := updatesOffset
            updates.length := updatesLength
        }
    }

    /// @dev Where, in the call data, the elements of the array begin whose offset is the word at `index` of `data`, and
    /// how many there are. Reverts if they are not inside `data`. An element takes one word here (or its offset does).
    function _arrayAt(bytes calldata data, uint256 index) private pure returns (uint256 offset, uint256 length) {
        uint256 head = uint256(bytes32(data[index * 32:index * 32 + 32]));
        length = uint256(bytes32(data[head:][:32]));
        bytes calldata elements = data[head + 32:];
        if (length > elements.length / 32) revert InvalidAction();
        assembly ("memory-safe") {
            offset := elements.offset
        }
    }

    /// @dev Reverts if `updates` are not all before `end`, the end of the install data. Solidity compares them with the end of
    /// the call data alone, which may be padded: truncated install data would be completed with zeros.
    function _requireInside(bytes[] calldata updates, uint256 end) private pure {
        uint256 tail;
        assembly ("memory-safe") {
            tail := add(updates.offset, shl(5, updates.length))
        }
        if (tail > end) revert InvalidAction();
        for (uint256 i = 0; i < updates.length; ++i) {
            bytes calldata update = updates[i];
            assembly ("memory-safe") {
                tail := add(update.offset, update.length)
            }
            if (tail > end) revert InvalidAction();
        }
    }
}
