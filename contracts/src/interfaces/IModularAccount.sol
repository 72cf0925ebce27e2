// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IAccount} from "./IAccount.sol";
import {IAccountLoupe} from "./IAccountLoupe.sol";
import {IPluginExecutor} from "./IPluginExecutor.sol";
import {IPluginManager} from "./IPluginManager.sol";
import {IStandardExecutor} from "./IStandardExecutor.sol";

/// @title An ERC-6900 v0.7 account with ERC-4337 EntryPoint v0.6: its whole ABI
/// @notice The interfaces of ERC-4337 and ERC-6900 that it inherits, with ERC-1822 and the ERC-721, ERC-1155 and ERC-777
/// receivers.
///
/// A `bytes21` is a function reference: the address of a plugin, then one byte, the function id within that plugin.
/// Three values have no address and a special meaning: 0 "none"; 1 RUNTIME_VALIDATION_ALWAYS_ALLOW, a runtime
/// validation that lets every caller pass; 2 PRE_HOOK_ALWAYS_DENY, a pre hook that lets nobody pass.
///
/// A *runtime call* is a call of the account by anyone but the EntryPoint.
interface IModularAccount is IAccount, IPluginManager, IStandardExecutor, IPluginExecutor, IAccountLoupe {
    /// @notice The account was set up, once, for this EntryPoint.
    event ModularAccountInitialized(address indexed entryPoint);

    /// @notice The account runs another implementation (ERC-1967).
    event Upgraded(address indexed implementation);

    /// @notice `initialize` has already run. It can never run on the implementation contract.
    error AlreadyInitialized();

    /// @notice `initialize` is running: a plugin called it again from a callback.
    error AlreadyInitializing();

    /// @notice A PRE_HOOK_ALWAYS_DENY hook applies to the function.
    error AlwaysDenyRule();

    /// @notice `initialize`: the number of manifest hashes or of install data differs from the number of plugins.
    error ArrayLengthMismatch();

    /// @notice A manifest adds one more copy of an execution hook than the account can count (256).
    error DuplicateHookLimitExceeded(bytes4 selector, bytes21 hook);

    /// @notice A manifest adds one more copy of a pre-runtime-validation hook than the account can count (256).
    error DuplicatePreRuntimeValidationHookLimitExceeded(bytes4 selector, bytes21 hook);

    /// @notice A manifest adds one more copy of a pre-user-operation-validation hook than the account can count (256).
    error DuplicatePreUserOpValidationHookLimitExceeded(bytes4 selector, bytes21 hook);

    /// @notice A manifest adds a function of ERC-4337's paymasters or aggregators.
    error Erc4337FunctionNotAllowed(bytes4 selector);

    /// @notice The plugin's manifest does not permit this call, or no plugin may make it.
    error ExecFromPluginExternalNotPermitted(address plugin, address target, uint256 value, bytes data);

    /// @notice The plugin's manifest does not list this function.
    error ExecFromPluginNotPermitted(address plugin, bytes4 selector);

    /// @notice A manifest adds an execution function that a plugin has already added.
    error ExecutionFunctionAlreadySet(bytes4 selector);

    /// @notice A manifest adds a function of `IPlugin` to the account.
    error IPluginFunctionNotAllowed(bytes4 selector);

    /// @notice A manifest makes the account claim the interface of plugins, or the invalid one (0xffffffff).
    error InterfaceNotAllowed();

    /// @notice The number of dependencies differs from the manifest's, or one of them lacks the required interface.
    error InvalidDependenciesProvided();

    /// @notice The manifest does not have the given or the recorded hash, or is inconsistent.
    error InvalidPluginManifest();

    /// @notice A dependency is not installed.
    error MissingPluginDependency(address dependency);

    /// @notice A manifest adds one of the account's own functions.
    error NativeFunctionNotAllowed(bytes4 selector);

    /// @notice The plugin may not spend the account's native token, and sent along less than it spends.
    error NativeTokenSpendingNotPermitted(address plugin);

    /// @notice A manifest adds a null validation function or hook.
    error NullFunctionReference();

    /// @notice The plugin is installed, or its address is zero.
    error PluginAlreadyInstalled(address plugin);

    /// @notice The account does not call plugins on behalf of anyone.
    error PluginCallDenied(address plugin);

    /// @notice Another plugin depends on this one.
    error PluginDependencyViolation(address plugin);

    /// @notice `onInstall` reverted.
    error PluginInstallCallbackFailed(address plugin, bytes revertReason);

    /// @notice The address has no code, does not report itself as a plugin through ERC-165, or does not answer as one.
    error PluginInterfaceNotSupported(address plugin);

    /// @notice The plugin is not installed.
    error PluginNotInstalled(address plugin);

    /// @notice `onUninstall` reverted.
    error PluginUninstallCallbackFailed(address plugin, bytes revertReason);

    /// @notice A post-execution hook reverted.
    error PostExecHookReverted(address plugin, uint8 functionId, bytes revertReason);

    /// @notice A pre-execution hook reverted.
    error PreExecHookReverted(address plugin, uint8 functionId, bytes revertReason);

    /// @notice A pre-runtime-validation hook reverted.
    error PreRuntimeValidationHookFailed(address plugin, uint8 functionId, bytes revertReason);

    /// @notice A manifest adds a second runtime validation function for an execution function.
    error RuntimeValidationFunctionAlreadySet(bytes4 selector, bytes21 validationFunction);

    /// @notice Nothing validates runtime calls of the function.
    error RuntimeValidationFunctionMissing(bytes4 selector);

    /// @notice The runtime validation function refused the call.
    error RuntimeValidationFunctionReverted(address plugin, uint8 functionId, bytes revertReason);

    /// @notice A function of the proxy was called on the implementation, or the other way around; or someone else
    /// called `initialize` of an externally owned account that delegates to the implementation (EIP-7702).
    error UnauthorizedCallContext();

    /// @notice A pre-user-operation-validation hook named an aggregator; it may only accept (0) or refuse (1).
    error UnexpectedAggregator(address plugin, uint8 functionId, address aggregator);

    /// @notice No plugin has added the function. Call data under 4 bytes is padded with zeros on the right.
    error UnrecognizedFunction(bytes4 selector);

    /// @notice The new implementation does not identify itself as one (ERC-1822).
    error UpgradeFailed();

    /// @notice Only the EntryPoint may call `validateUserOp`.
    error UserOpNotFromEntryPoint();

    /// @notice A manifest adds a second user operation validation function for an execution function.
    error UserOpValidationFunctionAlreadySet(bytes4 selector, bytes21 validationFunction);

    /// @notice Nothing validates user operations that call the function.
    error UserOpValidationFunctionMissing(bytes4 selector);

    /// @notice The account accepts the native token from everyone.
    receive() external payable;

    /// @notice Runs the execution functions that plugins added, and returns their return data, raw.
    fallback() external payable;

    /// @notice Sets the account up: installs plugins, without dependencies. Open to the first caller, once. Only an
    /// externally owned account itself can set itself up when it delegates to the implementation (EIP-7702): else
    /// `UnauthorizedCallContext`.
    /// @dev Warning: behind a proxy, call it in the transaction that creates the proxy, as the factory does; the first
    /// caller chooses the owners.
    /// @param pluginInitData `abi.encode(bytes32[] manifestHashes, bytes[] pluginInstallDatas)`, an element per plugin.
    function initialize(address[] calldata plugins, bytes calldata pluginInitData) external;

    /// @notice Makes the account run another implementation, and calls it with `data` unless that is empty.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable;

    /// @notice Accepts ERC-721 tokens. This and the other receivers need no validation but run execution hooks.
    function onERC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4 selector);

    /// @notice Accepts ERC-1155 tokens.
    function onERC1155Received(address operator, address from, uint256 id, uint256 value, bytes calldata data)
        external
        returns (bytes4 selector);

    /// @notice Accepts ERC-1155 tokens.
    function onERC1155BatchReceived(
        address operator,
        address from,
        uint256[] calldata ids,
        uint256[] calldata values,
        bytes calldata data
    ) external returns (bytes4 selector);

    /// @notice Accepts ERC-777 tokens.
    function tokensReceived(
        address operator,
        address from,
        address to,
        uint256 amount,
        bytes calldata userData,
        bytes calldata operatorData
    ) external;

    /// @notice The EntryPoint that the account trusts.
    function entryPoint() external view returns (address);

    /// @notice The next nonce of nonce key 0.
    function getNonce() external view returns (uint256);

    /// @notice The storage slot of the implementation's address (ERC-1822). Only the implementation answers.
    function proxiableUUID() external view returns (bytes32);

    /// @notice ERC-165: what the account implements itself, and what the manifests of installed plugins claim.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}
