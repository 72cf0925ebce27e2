//! Call data of ERC-6900 v0.8 accounts, and of the session key module on them.
//!
//! [`execute`](crate::calldata::execute), [`execute_batch`](crate::calldata::execute_batch),
//! [`upgrade_to_and_call`](crate::calldata::upgrade_to_and_call), and the functions that manage session keys
//! are the same as on v0.7 accounts.

use super::{DIRECT_CALL_ENTITY_ID, HookConfig, ModuleEntity, ValidationConfig, ValidationFlags};
use crate::{
    abi::{AccountV08, FactoryV08, SemiModularAccount},
    calldata::{NewSessionKey, session_key_plugin_install_data},
    permissions::{Call, EXECUTE_WITH_SESSION_KEY},
};
use alloy::{
    primitives::{Address, Bytes, FixedBytes, Selector, U256},
    sol_types::SolCall,
};
use session_key_bindings::{ExecutionManifest, ISessionKeyPlugin, ManifestExecutionFunction};

/// Meaningless uninstall data that makes the account call the module: with empty data it would not.
const NOT_EMPTY: [u8; 1] = [1];

/// `executeUserOp`, which prefixes the call data of operations whose validation has execution hooks. The rest
/// is not ABI-encoded.
pub const EXECUTE_USER_OP: Selector = FixedBytes([0x8d, 0xd7, 0x71, 0x2f]);

/// A hook to install with a validation, and data for its module. Empty data: the module is not called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHook {
    /// The hook.
    pub config: HookConfig,
    /// Data for its `onInstall`.
    pub install_data: Bytes,
}

/// Encodes `installValidation`. With empty `install_data`, the account does not call the module.
#[must_use]
pub fn install_validation(
    config: ValidationConfig,
    selectors: &[Selector],
    install_data: Bytes,
    hooks: &[NewHook],
) -> Bytes {
    let hooks = hooks.iter().map(|hook| {
        let config = FixedBytes::<25>::from(hook.config);
        [config.as_slice(), &hook.install_data].concat().into()
    });
    AccountV08::installValidationCall {
        validationConfig: config.into(),
        selectors: selectors.to_vec(),
        installData: install_data,
        hooks: hooks.collect(),
    }
    .abi_encode()
    .into()
}

/// Encodes `uninstallValidation`. With empty `uninstall_data`, the account does not call the module; it calls
/// hooks that have data in `hook_uninstall_data`, which is empty or has one entry per hook: validation hooks,
/// then execution hooks.
#[must_use]
pub fn uninstall_validation(
    validation: ModuleEntity,
    uninstall_data: Bytes,
    hook_uninstall_data: Vec<Bytes>,
) -> Bytes {
    AccountV08::uninstallValidationCall {
        validationFunction: validation.into(),
        uninstallData: uninstall_data,
        hookUninstallData: hook_uninstall_data,
    }
    .abi_encode()
    .into()
}

/// Encodes `installExecution`.
#[must_use]
pub fn install_execution(module: Address, manifest: ExecutionManifest, install_data: Bytes) -> Bytes {
    AccountV08::installExecutionCall {
        module,
        manifest,
        installData: install_data,
    }
    .abi_encode()
    .into()
}

/// Encodes `uninstallExecution`. The manifest must be the installed one.
#[must_use]
pub fn uninstall_execution(module: Address, manifest: ExecutionManifest, uninstall_data: Bytes) -> Bytes {
    AccountV08::uninstallExecutionCall {
        module,
        manifest,
        uninstallData: uninstall_data,
    }
    .abi_encode()
    .into()
}

/// Encodes `executeWithRuntimeValidation`. For `authorization`, see
/// [`signature::authorization`](super::signature::authorization).
#[must_use]
pub fn execute_with_runtime_validation(data: Bytes, authorization: Bytes) -> Bytes {
    AccountV08::executeWithRuntimeValidationCall { data, authorization }
        .abi_encode()
        .into()
}

/// Prefixes call data with `executeUserOp`.
#[must_use]
pub fn execute_user_op(call_data: &[u8]) -> Bytes {
    [EXECUTE_USER_OP.as_slice(), call_data].concat().into()
}

/// Encodes `updateFallbackSignerData` of semi-modular accounts.
#[must_use]
pub fn update_fallback_signer(fallback_signer: Address, is_disabled: bool) -> Bytes {
    SemiModularAccount::updateFallbackSignerDataCall {
        fallbackSigner: fallback_signer,
        isDisabled: is_disabled,
    }
    .abi_encode()
    .into()
}

/// Encodes the factory's `createAccount`.
#[must_use]
pub fn create_account(owner: Address, salt: U256, entity_id: u32) -> Bytes {
    FactoryV08::createAccountCall {
        owner,
        salt,
        entityId: entity_id,
    }
    .abi_encode()
    .into()
}

/// Encodes the factory's `createSemiModularAccount`.
#[must_use]
pub fn create_semi_modular_account(owner: Address, salt: U256) -> Bytes {
    FactoryV08::createSemiModularAccountCall { owner, salt }
        .abi_encode()
        .into()
}

/// Returns the session key module's `executionManifest()`: the functions that it adds to an account.
#[must_use]
pub fn session_key_module_manifest() -> ExecutionManifest {
    let function = |selector: [u8; 4], is_global| ManifestExecutionFunction {
        executionSelector: selector.into(),
        skipRuntimeValidation: false,
        allowGlobalValidation: is_global,
    };
    ExecutionManifest {
        executionFunctions: vec![
            function(ISessionKeyPlugin::executeWithSessionKeyCall::SELECTOR, false),
            function(ISessionKeyPlugin::addSessionKeyCall::SELECTOR, true),
            function(ISessionKeyPlugin::removeSessionKeyCall::SELECTOR, true),
            function(ISessionKeyPlugin::rotateSessionKeyCall::SELECTOR, true),
            function(ISessionKeyPlugin::updateKeyPermissionsCall::SELECTOR, true),
        ],
        executionHooks: Vec::new(),
        interfaceIds: Vec::new(),
    }
}

/// An entity id that the session key module's validation cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EntityIdError {
    /// 0, which stands for the owner: of semi-modular accounts always, of others mostly.
    #[error("entity id 0 is the owner's, and the module's is from 1 to 4294967294")]
    Owner,
    /// 0xffffffff, which stands for direct calls.
    #[error("entity id 4294967295 stands for direct calls, and the module's is from 1 to 4294967294")]
    DirectCall,
}

/// Returns the module's validation of operations with an entity id, unless that is reserved.
const fn operations_validation(module: Address, entity_id: u32) -> Result<ModuleEntity, EntityIdError> {
    match entity_id {
        0 => Err(EntityIdError::Owner),
        DIRECT_CALL_ENTITY_ID => Err(EntityIdError::DirectCall),
        _ => Ok(ModuleEntity::new(module, entity_id)),
    }
}

/// Returns the three self-calls that install the session key module with keys, for one batch: its functions
/// with the keys, the validation of session keys' operations under this entity id, and the direct-call
/// validation with which it makes the account call.
///
/// An account that has any of it installed refuses: add more keys with
/// [`add_session_key`](crate::calldata::add_session_key).
pub fn install_session_key_module(
    account: Address,
    module: Address,
    entity_id: u32,
    keys: &[NewSessionKey],
) -> Result<[Call; 3], EntityIdError> {
    let operations = ValidationConfig {
        validation: operations_validation(module, entity_id)?,
        flags: ValidationFlags::USER_OPERATIONS,
    };
    let direct_calls = ValidationConfig {
        validation: ModuleEntity::direct_call(module),
        flags: ValidationFlags::NONE,
    };
    let executes = [
        AccountV08::executeCall::SELECTOR,
        AccountV08::executeBatchCall::SELECTOR,
    ]
    .map(Selector::from);
    let [operations, direct_calls] = [
        install_validation(operations, &[EXECUTE_WITH_SESSION_KEY], Bytes::new(), &[]),
        install_validation(direct_calls, &executes, Bytes::new(), &[]),
    ]
    .map(|data| Call::new(account, data));
    Ok([install_functions(account, module, keys), operations, direct_calls])
}

/// Encodes the installation of the module's functions, with keys.
pub(crate) fn install_functions(account: Address, module: Address, keys: &[NewSessionKey]) -> Call {
    let data = session_key_plugin_install_data(keys);
    Call::new(
        account,
        install_execution(module, session_key_module_manifest(), data),
    )
}

/// Returns the three self-calls that uninstall the session key module, for one batch. Both validations are
/// removed without calling the module; then, last, its functions, with the one callback that removes all
/// keys. That callback emits events while its gas lasts: earlier in the batch, it could leave too little for
/// the rest.
///
/// The account swallows a reverting callback: check afterwards that no key is left.
///
/// **Read the entity id from the account first** ([`Installation`](crate::installation::Installation)):
/// Modular Account v2 does not compare the module, and removes whatever validation has this id, even the
/// owner's.
pub fn uninstall_session_key_module(
    account: Address,
    module: Address,
    entity_id: u32,
) -> Result<[Call; 3], EntityIdError> {
    let operations = operations_validation(module, entity_id)?;
    let calls = [
        uninstall_validation(operations, Bytes::new(), Vec::new()),
        uninstall_validation(ModuleEntity::direct_call(module), Bytes::new(), Vec::new()),
        uninstall_execution(module, session_key_module_manifest(), NOT_EMPTY.into()),
    ];
    Ok(calls.map(|data| Call::new(account, data)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{primitives::keccak256, sol_types::SolValue};

    #[test]
    fn the_manifest_matches_the_modules() {
        let hash = keccak256(session_key_module_manifest().abi_encode());
        assert_eq!(hash, session_key_bindings::manifest_hash::SESSION_KEY_MODULE);
    }

    #[test]
    fn reserved_entity_ids_are_refused() {
        let [account, module] = [1, 2].map(Address::repeat_byte);
        for (entity_id, expected) in [
            (0, Err(EntityIdError::Owner)),
            (1, Ok(3)),
            (u32::MAX - 1, Ok(3)),
            (u32::MAX, Err(EntityIdError::DirectCall)),
        ] {
            let installed = install_session_key_module(account, module, entity_id, &[]);
            assert_eq!(installed.map(|calls| calls.len()), expected, "{entity_id}");
            let uninstalled = uninstall_session_key_module(account, module, entity_id);
            assert_eq!(uninstalled.map(|calls| calls.len()), expected, "{entity_id}");
        }
    }

    #[test]
    fn selectors_are_those_of_the_deployed_accounts() {
        assert_eq!(
            AccountV08::installValidationCall::SELECTOR,
            [0x1b, 0xbf, 0x56, 0x4c]
        );
        assert_eq!(
            AccountV08::uninstallValidationCall::SELECTOR,
            [0xb6, 0xb1, 0xcc, 0xfe]
        );
        assert_eq!(
            AccountV08::installExecutionCall::SELECTOR,
            [0x00, 0x1a, 0x63, 0xe9]
        );
        assert_eq!(
            AccountV08::uninstallExecutionCall::SELECTOR,
            [0x93, 0xb1, 0xdc, 0x61]
        );
        assert_eq!(
            AccountV08::executeWithRuntimeValidationCall::SELECTOR,
            [0xf2, 0x68, 0x0c, 0x0f]
        );
        assert_eq!(
            AccountV08::getValidationDataCall::SELECTOR,
            [0xd3, 0x1b, 0x57, 0x5b]
        );
        assert_eq!(
            AccountV08::getExecutionDataCall::SELECTOR,
            [0x75, 0x7c, 0x8a, 0x26]
        );
        assert_eq!(
            SemiModularAccount::updateFallbackSignerDataCall::SELECTOR,
            [0x30, 0x00, 0x9d, 0x52]
        );
        assert_eq!(FactoryV08::createAccountCall::SELECTOR, [0xaf, 0xa6, 0x3a, 0x10]);
        assert_eq!(
            FactoryV08::createSemiModularAccountCall::SELECTOR,
            [0x8b, 0x4e, 0x46, 0x4e]
        );
    }
}
