// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {Call} from "./IStandardExecutor.sol";

/// @title Session keys for ERC-6900 accounts: as a plugin of v0.7, and as a module of v0.8
/// @notice The owner of an account registers a session key with a set of permissions. The key then signs user
/// operations that call `executeWithSessionKey`, and nothing else, within its permissions.
///
/// Units and bounds, everywhere in this interface:
/// - amounts of the native token and of gas are in wei, of an ERC-20 token in its base units;
/// - times are unix seconds, and inclusive on both ends; zero means unbounded on that side;
/// - a `refreshInterval` is in seconds; zero means that the limit is a total and never refreshes. An interval starts
///   when the limit is set; with the module, the interval of a limit set while the key is added starts with the next
///   execution;
/// - `type(uint256).max` as a spend limit means "no limit".
///
/// Defaults of a newly added key: allowlist, with nothing on it (every call is denied); no time range; a native token limit
/// of zero; no ERC-20 limits; no gas limit; no required paymaster.
interface ISessionKeyPlugin {
    /// @notice How the access control list of a key is read.
    enum ContractAccessControlType {
        // Only what is on the list may be called.
        ALLOWLIST,
        // Everything may be called except what is on the list.
        DENYLIST,
        // Everything may be called; the list is not read.
        ALLOW_ALL_ACCESS
    }

    /// @notice Ids of the plugin's validation functions. The module ignores ids.
    enum FunctionId {
        USER_OP_VALIDATION_SESSION_KEY
    }

    /// @notice A spend limit and its used amount.
    struct SpendLimitInfo {
        // False: unlimited.
        bool hasLimit;
        // The most that may be spent per interval, or in all without an interval.
        uint256 limit;
        // Spent so far in the current interval, or in all.
        uint256 limitUsed;
        // Seconds; zero: never refreshes.
        uint48 refreshInterval;
        // Start of the current interval, unix seconds. Zero without an interval, and for one that has not begun.
        uint48 lastUsedTime;
    }

    /// @notice A key was registered. `tag` is the owner's label for it; it is stored nowhere else.
    event SessionKeyAdded(address indexed account, address indexed sessionKey, bytes32 indexed tag);

    /// @notice A key was removed; it can do nothing from now on.
    event SessionKeyRemoved(address indexed account, address indexed sessionKey);

    /// @notice `newSessionKey` took over the permissions and the used-up limits of `oldSessionKey`, which is removed.
    event SessionKeyRotated(address indexed account, address indexed oldSessionKey, address indexed newSessionKey);

    /// @notice Permissions of a key were changed by `updates`, in that order.
    event PermissionsUpdated(address indexed account, address indexed sessionKey, bytes[] updates);

    /// @notice In execution: the batch spends more of `token` than the key may.
    error ERC20SpendLimitExceeded(address account, address sessionKey, address token);

    /// @notice No permission update has this selector. Shorter data is padded with zeros on the right.
    error InvalidPermissionsUpdate(bytes4 updateSelector);

    /// @notice The key is zero, already registered, not registered, or does not follow the given predecessor.
    error InvalidSessionKey(address sessionKey);

    /// @notice No signer can be recovered from the signature (wrong length, high s, bad v).
    error InvalidSignature(address sessionKey);

    /// @notice This address cannot have an ERC-20 limit.
    error InvalidToken(address token);

    /// @notice Arrays that belong together differ in length.
    error LengthMismatch();

    /// @notice In execution: the batch sends more native token than the key may.
    error NativeTokenSpendLimitExceeded(address account, address sessionKey);

    /// @notice A permission rule is broken. The ABI has this one error for all rules except those of the two spend
    /// limits.
    error PermissionsCheckFailed();

    /// @notice The key is not registered for the account.
    error SessionKeyNotFound(address sessionKey);

    /// @notice Makes the calls in order, within the key's permissions. Called on the account, by a user operation that the key
    /// signed. Runtime calls are denied.
    /// @dev Permissions are checked in validation and again here. Warning: an installed plugin whose manifest permits
    /// it to execute this function needs no signature of the key. Only the checks made here bind it: all except the
    /// charge to the gas limit and the required paymaster.
    /// @param calls At least one.
    /// @return The return data of each call, raw.
    function executeWithSessionKey(Call[] calldata calls, address sessionKey) external returns (bytes[] memory);

    /// @notice Registers a key with default permissions, then applies `permissionUpdates`. Called on the account.
    /// @param sessionKey Not zero, not registered: else `InvalidSessionKey`.
    /// @param tag The owner's label for the key; only emitted.
    /// @param permissionUpdates Encoded calls of `ISessionKeyPermissionsUpdates`; may be empty.
    function addSessionKey(address sessionKey, bytes32 tag, bytes[] calldata permissionUpdates) external;

    /// @notice Removes a key. Called on the account. Approvals that the key gave stay; an owner has to reset them.
    /// @param predecessor The result of `findPredecessor` for the key, or zero to search for it here.
    function removeSessionKey(address sessionKey, bytes32 predecessor) external;

    /// @notice Gives the permissions and used-up limits of one key to another, and removes the first. Called on the account.
    /// @dev The new key becomes the first of `sessionKeysOf`. Rotating a key onto itself changes nothing else.
    /// @param predecessor The result of `findPredecessor` for the old key, or zero to search for it here.
    /// @param newSessionKey Not zero, not registered (unless it is the old key): else `InvalidSessionKey`.
    function rotateSessionKey(address oldSessionKey, bytes32 predecessor, address newSessionKey) external;

    /// @notice Changes permissions of a key: all of the updates apply, or none. Called on the account.
    /// @param updates Encoded calls of `ISessionKeyPermissionsUpdates`, applied in order.
    function updateKeyPermissions(address sessionKey, bytes[] calldata updates) external;

    /// @notice Settles the pending reset of a key's gas limit, now. Called on the plugin or module, by anyone.
    /// @dev Needed only when the operation that opened a new interval in validation then failed in execution. Without a
    /// pending reset this does nothing.
    function resetSessionKeyGasLimitTimestamp(address account, address sessionKey) external;

    /// @notice All registered keys, newest first.
    function sessionKeysOf(address account) external view returns (address[] memory);

    /// @notice Whether the key is registered.
    function isSessionKeyOf(address account, address sessionKey) external view returns (bool);

    /// @notice The entry before the key in `sessionKeysOf`, as `bytes32(bytes20(address))`; `bytes32(uint256(1))` for the
    /// first. Reverts with `SessionKeyNotFound` for a key that is not registered.
    function findPredecessor(address account, address sessionKey) external view returns (bytes32);

    /// @notice How the key's access control list is read. Like all views below, reverts with `InvalidSessionKey` for a key
    /// that is not registered.
    function getAccessControlType(address account, address sessionKey) external view returns (ContractAccessControlType);

    /// @notice The entry of a contract on the key's access control list.
    /// @return isOnList Whether the contract is on the list.
    /// @return checkSelectors Whether the entry covers only listed functions of it.
    function getAccessControlEntry(address account, address sessionKey, address contractAddress)
        external
        view
        returns (bool isOnList, bool checkSelectors);

    /// @notice Whether a function of a contract is on the key's access control list.
    function isSelectorOnAccessControlList(
        address account,
        address sessionKey,
        address contractAddress,
        bytes4 selector
    ) external view returns (bool isOnList);

    /// @notice When the key may be used.
    function getKeyTimeRange(address account, address sessionKey)
        external
        view
        returns (uint48 validAfter, uint48 validUntil);

    /// @notice The key's native token limit, in wei. All zero when there is none.
    function getNativeTokenSpendLimitInfo(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info);

    /// @notice The key's gas limit, in wei. All zero when there is none.
    /// @return info The limit.
    /// @return shouldReset Whether there is an interval that has not begun: one that validation opened, or that was set without a
    /// clock.
    function getGasSpendLimit(address account, address sessionKey)
        external
        view
        returns (SpendLimitInfo memory info, bool shouldReset);

    /// @notice The key's limit on an ERC-20 token, in its base units. A removed limit keeps its last figures, except
    /// `limitUsed`, which is zero.
    function getERC20SpendLimitInfo(address account, address sessionKey, address token)
        external
        view
        returns (SpendLimitInfo memory);

    /// @notice The paymaster that every operation of the key must use; zero if none is required.
    function getRequiredPaymaster(address account, address sessionKey) external view returns (address);
}

/// @title Updates of a session key's permissions
/// @notice No contract implements these functions: an encoded call to one of them is an element of the `updates` (or
/// `permissionUpdates`) of `ISessionKeyPlugin`.
interface ISessionKeyPermissionsUpdates {
    /// @notice Sets how the access control list is read. Entries stay, and are read under the new type.
    /// @dev Warning: under a denylist, and without a list, the key may call every function of every token that has no limit,
    /// NFTs and permits included.
    function setAccessListType(ISessionKeyPlugin.ContractAccessControlType contractAccessControlType) external;

    /// @notice Sets the entry of a contract on the access control list.
    /// @param checkSelectors Whether the entry covers only listed functions of it.
    function updateAccessListAddressEntry(address contractAddress, bool isOnList, bool checkSelectors) external;

    /// @notice Puts a function of a contract on the access control list, or takes it off.
    function updateAccessListFunctionEntry(address contractAddress, bytes4 selector, bool isOnList) external;

    /// @notice Sets when the key may be used. Unix seconds, both inclusive; zero: unbounded on that side.
    function updateTimeRange(uint48 validAfter, uint48 validUntil) external;

    /// @notice Limits what the key may send in the native token.
    /// @dev This and the other limits keep what is already used, unless the limit is removed. Warning: with an interval, twice
    /// the limit can be spent within a moment, at the end of one interval and the start of the next.
    /// @param spendLimit Wei; `type(uint256).max` removes the limit.
    /// @param refreshInterval Seconds. Zero: the limit is a total.
    function setNativeTokenSpendLimit(uint256 spendLimit, uint48 refreshInterval) external;

    /// @notice Limits what the key may spend of a token: the amounts of `transfer` and `approve` count, and no other
    /// function of the token may be called.
    /// @dev Warning: an approval counts once, when it is given, and outlives the key. The token's return value is
    /// ignored. On an NFT, ids count as amounts, and id 0 is free.
    /// @param token Not zero: else `InvalidToken`.
    /// @param spendLimit Base units of the token; `type(uint256).max` removes the limit.
    /// @param refreshInterval Seconds. Zero: the limit is a total.
    function setERC20SpendLimit(address token, uint256 spendLimit, uint48 refreshInterval) external;

    /// @notice Limits the worst-case cost of the key's operations. The nonce key of each operation must then be the
    /// session key's address.
    /// @dev Operations are charged in validation. Of those validated earlier in the same bundle, execution refuses the
    /// ones that a lowered limit no longer covers; a limit that the key did not have, or that was removed in between,
    /// does not bind them. An interval ends with the first operation that does not fit what is left of it.
    /// @param spendLimit Wei, not gas units; `type(uint256).max` removes the limit.
    /// @param refreshInterval Seconds. Zero: the limit is a total.
    function setGasSpendLimit(uint256 spendLimit, uint48 refreshInterval) external;

    /// @notice Requires that this paymaster pays for every operation of the key; zero removes the rule.
    /// @dev Only validation knows the paymaster: operations validated earlier in the same bundle are not bound.
    function setRequiredPaymaster(address requiredPaymaster) external;
}
