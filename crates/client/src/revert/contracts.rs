//! The contracts' errors, one enum per contract.

use super::Revert;
use crate::{
    abi::{
        Account, AccountV08, Factory, Module, NonceAccount, Owners, Plugin, PluginBase, SemiModularAccount,
    },
    calldata::FunctionReference,
    v08::{HookConfig, ModuleEntity},
};
use alloy::{
    primitives::{Address, Bytes, FixedBytes, Selector, U256},
    sol_types::SolError,
};

/// Converts an error's field from ABI decoding to this crate's type.
trait Field<Abi>: Sized {
    fn from_abi(abi: Abi, depth: usize) -> Self;
    fn to_abi(&self) -> Abi;
}

macro_rules! same_field {
    ($($ty:ty),*) => {
        $(impl Field<$ty> for $ty {
            fn from_abi(abi: $ty, _: usize) -> Self {
                abi
            }
            fn to_abi(&self) -> $ty {
                self.clone()
            }
        })*
    };
}

same_field!(Address, Bytes, Selector, U256, u8);

impl Field<FixedBytes<21>> for FunctionReference {
    fn from_abi(abi: FixedBytes<21>, _: usize) -> Self {
        abi.into()
    }
    fn to_abi(&self) -> FixedBytes<21> {
        (*self).into()
    }
}

impl Field<FixedBytes<24>> for ModuleEntity {
    fn from_abi(abi: FixedBytes<24>, _: usize) -> Self {
        abi.into()
    }
    fn to_abi(&self) -> FixedBytes<24> {
        (*self).into()
    }
}

impl Field<FixedBytes<25>> for HookConfig {
    fn from_abi(abi: FixedBytes<25>, _: usize) -> Self {
        abi.into()
    }
    fn to_abi(&self) -> FixedBytes<25> {
        (*self).into()
    }
}

impl Field<Bytes> for Box<Revert> {
    fn from_abi(abi: Bytes, depth: usize) -> Self {
        Self::new(Revert::decode_nested(&abi, depth))
    }
    fn to_abi(&self) -> Bytes {
        self.to_bytes()
    }
}

/// Defines the enum of a contract's errors from `"message" Error { rust_field = abiField: Type }`.
macro_rules! revert_errors {
    (
        $(#[doc = $doc:literal])*
        $name:ident of $abi:ident {
            $($message:literal $variant:ident $({ $($field:ident = $abi_field:ident: $ty:ty),* })?,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        #[allow(missing_docs)]
        pub enum $name {
            $(#[doc = concat!("`", stringify!($variant), "`: ", $message, ".")]
            #[error($message)]
            $variant $({ $($field: $ty),* })?,)*
        }

        impl $name {
            pub(super) fn decode(data: &[u8], _depth: usize) -> Option<Self> {
                let selector = data.first_chunk::<4>()?;
                match *selector {
                    $($abi::$variant::SELECTOR => {
                        let _error = $abi::$variant::abi_decode_validate(data).ok()?;
                        Some(Self::$variant $({ $($field: Field::from_abi(_error.$abi_field, _depth)),* })?)
                    })*
                    _ => None,
                }
            }

            /// Returns the revert data that this was decoded from.
            pub fn to_bytes(&self) -> Bytes {
                match self {
                    $(Self::$variant $({ $($field),* })? => {
                        $abi::$variant { $($($abi_field: Field::to_abi($field)),*)? }.abi_encode().into()
                    })*
                }
            }
        }
    };
}

revert_errors! {
    /// An error of the session key plugin.
    PluginError of Plugin {
        "session key {session_key} of account {account} would exceed its spend limit for token {token}" ERC20SpendLimitExceeded { account = account: Address, session_key = sessionKey: Address, token = token: Address },
        "no permission update has the selector {update_selector}" InvalidPermissionsUpdate { update_selector = updateSelector: Selector },
        "session key {session_key} is zero, registered already, not registered, or does not follow the given predecessor" InvalidSessionKey { session_key = sessionKey: Address },
        "the signature for session key {session_key} is malformed" InvalidSignature { session_key = sessionKey: Address },
        "token {token} cannot have a spend limit" InvalidToken { token = token: Address },
        "corresponding arrays differ in length" LengthMismatch,
        "session key {session_key} of account {account} would exceed its native token spend limit" NativeTokenSpendLimitExceeded { account = account: Address, session_key = sessionKey: Address },
        "the session key's permissions do not allow this operation" PermissionsCheckFailed,
        "session key {session_key} is not registered" SessionKeyNotFound { session_key = sessionKey: Address },
    }
}

revert_errors! {
    /// An error that only the session key module raises, in execution.
    ModuleError of Module {
        "target {target} identifies as a module, which the account's calls could control" TargetIsModule { target = target: Address },
        "too little gas is left to ask target {target} whether it is a module" TargetNotAsked { target = target: Address },
    }
}

revert_errors! {
    /// An error that every plugin can raise. The account and the factory raise some of them, too.
    PluginBaseError of PluginBase {
        "already initialized" AlreadyInitialized,
        "the action is not valid here" InvalidAction,
        "{caller} is not a contract" NotContractCaller { caller = caller: Address },
        "the plugin has no function {selector} with id {function_id}" NotImplemented { selector = selector: Selector, function_id = functionId: u8 },
        "not initialized" NotInitialized,
    }
}

revert_errors! {
    /// An error of the account. Those that wrap a plugin's revert contain it decoded.
    AccountError of Account {
        "the account is being initialized already" AlreadyInitializing,
        "a hook of the account denies this call to everyone" AlwaysDenyRule,
        "corresponding arrays differ in length" ArrayLengthMismatch,
        "{hook} is an execution hook of {selector} too often" DuplicateHookLimitExceeded { selector = selector: Selector, hook = hook: FunctionReference },
        "{hook} is a pre runtime validation hook of {selector} too often" DuplicatePreRuntimeValidationHookLimitExceeded { selector = selector: Selector, hook = hook: FunctionReference },
        "{hook} is a pre user operation validation hook of {selector} too often" DuplicatePreUserOpValidationHookLimitExceeded { selector = selector: Selector, hook = hook: FunctionReference },
        "a plugin may not add {selector}, a function of ERC-4337" Erc4337FunctionNotAllowed { selector = selector: Selector },
        "plugin {plugin} may not make the account call {target} with {value} wei and data {data}" ExecFromPluginExternalNotPermitted { plugin = plugin: Address, target = target: Address, value = value: U256, data = data: Bytes },
        "plugin {plugin} may not call the account's function {selector}" ExecFromPluginNotPermitted { plugin = plugin: Address, selector = selector: Selector },
        "the account has a function {selector} already" ExecutionFunctionAlreadySet { selector = selector: Selector },
        "a plugin may not add {selector}, a function of plugins" IPluginFunctionNotAllowed { selector = selector: Selector },
        "a plugin may not claim this interface for the account" InterfaceNotAllowed,
        "the dependencies given are not those that the plugin needs" InvalidDependenciesProvided,
        "the plugin's manifest is not the one expected, or is invalid" InvalidPluginManifest,
        "the plugin depends on {dependency}, which is not installed" MissingPluginDependency { dependency = dependency: Address },
        "a plugin may not add {selector}, a function of the account itself" NativeFunctionNotAllowed { selector = selector: Selector },
        "plugin {plugin} may not spend the account's native token" NativeTokenSpendingNotPermitted { plugin = plugin: Address },
        "a function reference is empty" NullFunctionReference,
        "plugin {plugin} is installed already" PluginAlreadyInstalled { plugin = plugin: Address },
        "the account does not call plugin {plugin}" PluginCallDenied { plugin = plugin: Address },
        "another plugin depends on plugin {plugin}" PluginDependencyViolation { plugin = plugin: Address },
        "plugin {plugin} refused to be installed: {reason}" PluginInstallCallbackFailed { plugin = plugin: Address, reason = revertReason: Box<Revert> },
        "{plugin} is not a plugin" PluginInterfaceNotSupported { plugin = plugin: Address },
        "plugin {plugin} is not installed" PluginNotInstalled { plugin = plugin: Address },
        "plugin {plugin} refused to be uninstalled: {reason}" PluginUninstallCallbackFailed { plugin = plugin: Address, reason = revertReason: Box<Revert> },
        "post execution hook {function_id} of plugin {plugin} refused: {reason}" PostExecHookReverted { plugin = plugin: Address, function_id = functionId: u8, reason = revertReason: Box<Revert> },
        "pre execution hook {function_id} of plugin {plugin} refused: {reason}" PreExecHookReverted { plugin = plugin: Address, function_id = functionId: u8, reason = revertReason: Box<Revert> },
        "pre runtime validation hook {function_id} of plugin {plugin} refused: {reason}" PreRuntimeValidationHookFailed { plugin = plugin: Address, function_id = functionId: u8, reason = revertReason: Box<Revert> },
        "{selector} has a runtime validation function already: {validation_function}" RuntimeValidationFunctionAlreadySet { selector = selector: Selector, validation_function = validationFunction: FunctionReference },
        "no runtime validation function is set for {selector}" RuntimeValidationFunctionMissing { selector = selector: Selector },
        "runtime validation function {function_id} of plugin {plugin} refused: {reason}" RuntimeValidationFunctionReverted { plugin = plugin: Address, function_id = functionId: u8, reason = revertReason: Box<Revert> },
        "the account's implementation was called in a way that is not allowed" UnauthorizedCallContext,
        "hook {function_id} of plugin {plugin} asked for aggregator {aggregator}" UnexpectedAggregator { plugin = plugin: Address, function_id = functionId: u8, aggregator = aggregator: Address },
        "the account has no function {selector}" UnrecognizedFunction { selector = selector: Selector },
        "the upgrade failed" UpgradeFailed,
        "the caller is not the EntryPoint" UserOpNotFromEntryPoint,
        "{selector} has a user operation validation function already: {validation_function}" UserOpValidationFunctionAlreadySet { selector = selector: Selector, validation_function = validationFunction: FunctionReference },
        "no user operation validation function is set for {selector}" UserOpValidationFunctionMissing { selector = selector: Selector },
    }
}

revert_errors! {
    /// An error of an ERC-6900 v0.8 account that is not in [`AccountError`]. Those that wrap a module's
    /// revert contain it decoded.
    AccountV08Error of AccountV08 {
        "module {module} refused to be installed: {reason}" ModuleInstallCallbackFailed { module = module: Address, reason = revertReason: Box<Revert> },
        "{module} does not support the interface of the kind of module it is installed as" InterfaceNotSupported { module = module: Address },
        "{validation} validates {selector} already" ValidationAlreadySet { selector = selector: Selector, validation = validationFunction: ModuleEntity },
        "another module has the entity id" ValidationEntityIdInUse,
        "the validation has the validation hook already" PreValidationHookDuplicate,
        "the validation or function has the {hook} already" ExecutionHookAlreadySet { hook = hookConfig: HookConfig },
        "the validation would have too many hooks" ValidationAssocHookLimitExceeded,
        "the account has no function {selector} of the module" ExecutionFunctionNotSet { selector = selector: Selector },
        "the validation does not apply to {selector}, or is not installed" ValidationFunctionMissing { selector = selector: Selector },
        "the validation has execution hooks: the call must be wrapped in executeUserOp" RequireUserOperationContext,
        "a batch of the account may not call execute or executeBatch of the account" SelfCallRecursionDepthExceeded,
        "{validation} does not validate user operations" UserOpValidationInvalid { validation = validationFunction: ModuleEntity },
        "{validation} does not validate signatures" SignatureValidationInvalid { validation = validationFunction: ModuleEntity },
        "{validation} asked for aggregator {aggregator}" UnexpectedAggregator { validation = validationFunction: ModuleEntity, aggregator = aggregator: Address },
        "the caller is not the EntryPoint" NotEntryPoint,
        "a contract could not be created" CreateFailed,
        "{implementation} is not an implementation of an account" NotAnImplementation { implementation = implementation: Address },
        "the signature's segments are not canonical: one is empty, or after the last" NonCanonicalEncoding,
        "the signature's segments are out of order" SegmentOutOfOrder,
        "a segment of the signature is for no hook" ValidationSignatureSegmentMissing,
        "validation hook {hook} refused: {reason}" PreUserOpValidationHookReverted { hook = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "validation by {validation} refused: {reason}" UserOpValidationFunctionReverted { validation = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "execution hook {hook} refused: {reason}" PreExecHookReverted { hook = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "execution hook {hook} refused afterwards: {reason}" PostExecHookReverted { hook = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "runtime validation by {validation} refused: {reason}" RuntimeValidationFunctionReverted { validation = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "validation hook {hook} refused the direct call: {reason}" PreRuntimeValidationHookReverted { hook = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "signature validation by {validation} refused: {reason}" SignatureValidationFunctionReverted { validation = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
        "validation hook {hook} refused the signature: {reason}" PreSignatureValidationHookReverted { hook = moduleEntity: ModuleEntity, reason = revertData: Box<Revert> },
    }
}

impl AccountV08Error {
    /// Returns the module's revert.
    pub(super) const fn wrapped(&self) -> Option<&Revert> {
        match self {
            Self::ModuleInstallCallbackFailed { reason, .. }
            | Self::PreUserOpValidationHookReverted { reason, .. }
            | Self::UserOpValidationFunctionReverted { reason, .. }
            | Self::PreExecHookReverted { reason, .. }
            | Self::PostExecHookReverted { reason, .. }
            | Self::RuntimeValidationFunctionReverted { reason, .. }
            | Self::PreRuntimeValidationHookReverted { reason, .. }
            | Self::SignatureValidationFunctionReverted { reason, .. }
            | Self::PreSignatureValidationHookReverted { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

revert_errors! {
    /// An error about deferred actions, of accounts that have them.
    DeferredActionError of NonceAccount {
        "the deferred action is not signed by the validation that it names" DeferredActionSignatureInvalid,
        "the validation that the deferred action names has validation hooks" DeferredValidationHasValidationHooks,
    }
}

revert_errors! {
    /// An error about the fallback signer of a semi-modular account.
    FallbackSignerError of SemiModularAccount {
        "the caller is not the fallback signer" FallbackSignerMismatch,
        "the fallback signer is disabled" FallbackSignerDisabled,
        "entity 0 is the fallback signer's" FallbackValidationInstallationNotAllowed,
        "the signature's type is unknown, or not allowed here" InvalidSignatureType,
        "the account cannot be upgraded" UpgradeNotAllowed,
    }
}

revert_errors! {
    /// An error of the owner plugin.
    OwnerPluginError of Owners {
        "the account would be left without an owner" EmptyOwnersNotAllowed,
        "{owner} cannot be an owner, or is one already" InvalidOwner { owner = owner: Address },
        "the caller is neither an owner nor the account" NotAuthorized,
        "{owner} is not an owner" OwnerDoesNotExist { owner = owner: Address },
    }
}

revert_errors! {
    /// An error of the account factory.
    FactoryError of Factory {
        "the owners are not in ascending order, or one is zero" InvalidOwner,
        "an account needs an owner" OwnersArrayEmpty,
        "an account cannot be created with that many owners" OwnersLimitExceeded,
        "the transfer failed" TransferFailed,
    }
}
