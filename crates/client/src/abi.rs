//! Short names for the Solidity ABIs that this crate encodes and decodes, and the published ABI of the accounts.

// Everything here is private to the crate, and documented where it is used.
#![allow(missing_docs)]

pub(crate) use session_key_bindings::{
    IAccount, IEntryPoint as EntryPoint, IPlugin, IPluginErrors as PluginBase,
    ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin as Plugin,
};

alloy::sol! {
    #![sol(extra_derives(Debug, PartialEq, Eq, Hash))]

    // Multi-owner modular account, as deployed (ERC-6900 v0.7).
    interface Account {
        struct AccountCall {
            address target;
            uint256 value;
            bytes data;
        }

        struct ExecutionFunctionConfig {
            address plugin;
            bytes21 userOpValidationFunction;
            bytes21 runtimeValidationFunction;
        }

        struct ExecutionHooks {
            bytes21 preExecHook;
            bytes21 postExecHook;
        }

        function execute(address target, uint256 value, bytes data) external payable returns (bytes);
        function executeBatch(AccountCall[] calls) external payable returns (bytes[]);
        function installPlugin(
            address plugin, bytes32 manifestHash, bytes pluginInstallData, bytes21[] dependencies
        ) external;
        function uninstallPlugin(address plugin, bytes config, bytes pluginUninstallData) external;
        function upgradeToAndCall(address newImplementation, bytes data) external payable;
        function getExecutionFunctionConfig(bytes4 selector) external view returns (ExecutionFunctionConfig);
        function getExecutionHooks(bytes4 selector) external view returns (ExecutionHooks[]);
        function getPreValidationHooks(bytes4 selector)
            external
            view
            returns (bytes21[] preUserOpValidationHooks, bytes21[] preRuntimeValidationHooks);
        function getInstalledPlugins() external view returns (address[]);

        error AlreadyInitializing();
        error AlwaysDenyRule();
        error ArrayLengthMismatch();
        error DuplicateHookLimitExceeded(bytes4 selector, bytes21 hook);
        error DuplicatePreRuntimeValidationHookLimitExceeded(bytes4 selector, bytes21 hook);
        error DuplicatePreUserOpValidationHookLimitExceeded(bytes4 selector, bytes21 hook);
        error Erc4337FunctionNotAllowed(bytes4 selector);
        error ExecFromPluginExternalNotPermitted(address plugin, address target, uint256 value, bytes data);
        error ExecFromPluginNotPermitted(address plugin, bytes4 selector);
        error ExecutionFunctionAlreadySet(bytes4 selector);
        error IPluginFunctionNotAllowed(bytes4 selector);
        error InterfaceNotAllowed();
        error InvalidDependenciesProvided();
        error InvalidPluginManifest();
        error MissingPluginDependency(address dependency);
        error NativeFunctionNotAllowed(bytes4 selector);
        error NativeTokenSpendingNotPermitted(address plugin);
        error NullFunctionReference();
        error PluginAlreadyInstalled(address plugin);
        error PluginCallDenied(address plugin);
        error PluginDependencyViolation(address plugin);
        error PluginInstallCallbackFailed(address plugin, bytes revertReason);
        error PluginInterfaceNotSupported(address plugin);
        error PluginNotInstalled(address plugin);
        error PluginUninstallCallbackFailed(address plugin, bytes revertReason);
        error PostExecHookReverted(address plugin, uint8 functionId, bytes revertReason);
        error PreExecHookReverted(address plugin, uint8 functionId, bytes revertReason);
        error PreRuntimeValidationHookFailed(address plugin, uint8 functionId, bytes revertReason);
        error RuntimeValidationFunctionAlreadySet(bytes4 selector, bytes21 validationFunction);
        error RuntimeValidationFunctionMissing(bytes4 selector);
        error RuntimeValidationFunctionReverted(address plugin, uint8 functionId, bytes revertReason);
        error UnauthorizedCallContext();
        error UnexpectedAggregator(address plugin, uint8 functionId, address aggregator);
        error UnrecognizedFunction(bytes4 selector);
        error UpgradeFailed();
        error UserOpNotFromEntryPoint();
        error UserOpValidationFunctionAlreadySet(bytes4 selector, bytes21 validationFunction);
        error UserOpValidationFunctionMissing(bytes4 selector);
    }

    // Multi owner plugin, as deployed. The first two functions are called on the account, the others on the plugin.
    interface Owners {
        function updateOwners(address[] ownersToAdd, address[] ownersToRemove) external;
        function eip712Domain()
            external
            view
            returns (
                bytes1 fields,
                string name,
                string version,
                uint256 chainId,
                address verifyingContract,
                bytes32 salt,
                uint256[] extensions
            );
        function isValidSignature(bytes32 digest, bytes signature) external view returns (bytes4);
        function ownersOf(address account) external view returns (address[]);
        function isOwnerOf(address account, address ownerToCheck) external view returns (bool);
        function getMessageHash(address account, bytes message) external view returns (bytes32);

        error EmptyOwnersNotAllowed();
        error InvalidOwner(address owner);
        error NotAuthorized();
        error OwnerDoesNotExist(address owner);
    }

    // Multi owner account factory, as deployed.
    interface Factory {
        function createAccount(uint256 salt, address[] owners) external returns (address);
        function getAddress(uint256 salt, address[] owners) external view returns (address);

        error InvalidOwner();
        error OwnersArrayEmpty();
        error OwnersLimitExceeded();
        error TransferFailed();
    }
}
