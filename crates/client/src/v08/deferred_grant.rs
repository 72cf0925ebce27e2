//! A session key whose grant rides along with its first operation.

use super::DeferredAction;
use crate::{
    abi::{Account, AccountV08, Plugin},
    calldata::NewSessionKey,
    delegation::{self, AuthorizationError},
    permissions::{KeyState, MAX_SECONDS, PermissionError, PermissionUpdates, RuleSet, ValidationNonceKey},
};
use alloy::{
    eips::eip7702::SignedAuthorization,
    primitives::{Address, B256, Bytes, aliases::U192},
    sol_types::{SolCall as _, SolValue as _},
};
use serde::{Deserialize, Serialize};

/// What an owner has signed, and the executing side hands over with the key's first operation: until then, nothing is on chain. It
/// holds no secret, and is good for one operation of one key, which is bound to its nonce.
///
/// An unused one is ended by [`OwnerClient::end_deferred_grant`](crate::OwnerClient::end_deferred_grant). Removing the key does not
/// end it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeferredGrant {
    /// The chain.
    pub chain_id: u64,
    /// EntryPoint v0.7.
    pub entry_point: Address,
    /// The account.
    pub account: Address,
    /// The `initCode` of the account, if it did not exist; else empty.
    pub init_code: Bytes,
    /// The authorization by which an externally owned account becomes the smart account (EIP-7702), if it did not delegate yet. It is
    /// good as long as the account has sent nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<SignedAuthorization>,
    /// The session key module.
    pub module: Address,
    /// The entity id of session keys' operations.
    pub entity_id: u32,
    /// The key.
    pub session_key: Address,
    /// What the owner has signed.
    pub action: DeferredAction,
    /// The start of the operation's signature: the action, and the owner's signature of it.
    pub signature_prefix: Bytes,
}

/// A deferred grant is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "wrong", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeferredGrantError {
    /// A member is not what the others or the client say.
    #[error("the deferred grant's {what} is {found}, not {expected}")]
    Differs {
        /// Which.
        what: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The action does more or something else than granting to the key.
    #[error("the owner's action is not a grant to session key {session_key}: {reason}")]
    NotAGrant {
        /// The key.
        session_key: Address,
        /// Why.
        reason: String,
    },
    /// The account's authorization to delegate is not what it should be.
    #[error("the deferred grant does not hold: {0}")]
    Authorization(#[from] AuthorizationError),
    /// The permissions are not ones that the module takes.
    #[error("the deferred grant's permissions are not ones that the module takes: {reason}")]
    Permissions {
        /// Why.
        reason: String,
    },
}

impl From<PermissionError> for DeferredGrantError {
    fn from(error: PermissionError) -> Self {
        Self::Permissions {
            reason: error.to_string(),
        }
    }
}

impl DeferredGrant {
    /// The nonce key of the operation that carries the grant.
    #[must_use]
    pub fn nonce_key(&self) -> U192 {
        nonce_key(self.session_key, self.entity_id)
    }

    /// The key with its tag and permissions, as the owner's action has them. An error if the action does anything else, or if the
    /// grant contradicts itself.
    pub fn granted(&self) -> Result<NewSessionKey, DeferredGrantError> {
        if let Some(authorization) = &self.authorization {
            delegation::check_authorization(authorization, self.account, self.chain_id)?;
            differs("initCode", Bytes::new(), self.init_code.clone())?;
        }
        differs("nonce", self.nonce_key(), U192::from(self.action.nonce >> 64))?;
        let expected = self.action.head();
        let found = self.signature_prefix.get(..expected.len()).unwrap_or_default();
        differs(
            "signature",
            Bytes::from(expected.clone()),
            Bytes::copy_from_slice(found),
        )?;
        let reason = |reason: &str| DeferredGrantError::NotAGrant {
            session_key: self.session_key,
            reason: reason.to_owned(),
        };
        let call = &self.action.call;
        if let Ok(added) = Plugin::addSessionKeyCall::abi_decode_validate(call) {
            let added = NewSessionKey {
                key: added.sessionKey,
                tag: added.tag,
                permissions: added.permissionUpdates,
            };
            return if added.key == self.session_key {
                Ok(added)
            } else {
                Err(reason("it adds another key"))
            };
        }
        let Ok(batch) = Account::executeBatchCall::abi_decode_validate(call) else {
            return Err(reason("it is neither an installation nor an addition"));
        };
        let Some(install) = batch.calls.first() else {
            return Err(reason("it is empty"));
        };
        let install = AccountV08::installExecutionCall::abi_decode_validate(&install.data)
            .map_err(|_| reason("it installs no module first"))?;
        type InstallData = (Vec<Address>, Vec<B256>, Vec<Vec<Bytes>>);
        let (keys, tags, permissions) = InstallData::abi_decode_params_validate(&install.installData)
            .map_err(|_| reason("its install data are not the module's"))?;
        let ([key], [tag], [permissions]) = (&keys[..], &tags[..], &permissions[..]) else {
            return Err(reason("it is for other than one key"));
        };
        if *key != self.session_key {
            return Err(reason("it installs another key"));
        }
        let granted = NewSessionKey {
            key: *key,
            tag: *tag,
            permissions: permissions.clone(),
        };
        // The whole batch is what this crate makes for these permissions, or it is not trusted.
        let expected = super::calldata::install_session_key_module(
            self.account,
            self.module,
            self.entity_id,
            std::slice::from_ref(&granted),
        )
        .map_err(|error| reason(&error.to_string()))?;
        if crate::calldata::execute_batch(&expected) != *call {
            return Err(reason("it is another batch than an installation's"));
        }
        Ok(granted)
    }

    /// The key as it will be when the operation executes.
    pub fn key_state(&self) -> Result<KeyState, DeferredGrantError> {
        let granted = self.granted()?;
        let updates = PermissionUpdates::decode(&granted.permissions)?;
        let mut state = KeyState::fresh(self.account, self.session_key);
        state.rule_set = RuleSet::Module(self.module);
        // On a module no interval begins before the key's first use, whatever the time.
        state.apply_at_addition(&updates, MAX_SECONDS)?;
        Ok(state)
    }
}

fn differs<T: PartialEq + std::fmt::Display>(
    what: &str,
    expected: T,
    found: T,
) -> Result<(), DeferredGrantError> {
    if expected == found {
        return Ok(());
    }
    Err(DeferredGrantError::Differs {
        what: what.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// The nonce key of a key's operation that carries a deferred action.
pub(crate) fn nonce_key(session_key: Address, entity_id: u32) -> U192 {
    ValidationNonceKey::of_session_key(session_key, entity_id)
        .with_deferred_action()
        .nonce_key()
}
