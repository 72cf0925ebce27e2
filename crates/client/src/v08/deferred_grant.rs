//! A grant to a session key that is carried by the key's first operation.

use super::DeferredAction;
use crate::{
    abi::{Account, AccountV08, Plugin},
    calldata::NewSessionKey,
    permissions::{KeyState, MAX_SECONDS, PermissionError, PermissionUpdates, RuleSet, ValidationNonceKey},
};
use alloy::{
    primitives::{Address, B256, Bytes, aliases::U192},
    sol_types::{SolCall as _, SolValue as _},
};
use serde::{Deserialize, Serialize};

/// A grant signed by an owner, which the executing side includes in the key's first operation: until then,
/// nothing is on chain. It contains no secret, and works for one operation of one key, bound to its nonce.
///
/// An unused one is ended by [`OwnerClient::end_deferred_grant`](crate::OwnerClient::end_deferred_grant).
/// Removing the key does not end it.
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
    /// The session key module.
    pub module: Address,
    /// The entity id of session keys' operations.
    pub entity_id: u32,
    /// The key.
    pub session_key: Address,
    /// The action signed by the owner.
    pub action: DeferredAction,
    /// The start of the operation's signature: the action, with the owner's signature.
    pub signature_prefix: Bytes,
}

/// A deferred grant is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "wrong", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeferredGrantError {
    /// A member contradicts the others, or the client.
    #[error("the deferred grant's {what} is {found}, not {expected}")]
    Differs {
        /// The member.
        what: String,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The action does anything other than granting to the key.
    #[error("the owner's action is not a grant to session key {session_key}: {reason}")]
    NotAGrant {
        /// The key.
        session_key: Address,
        /// The reason.
        reason: String,
    },
    /// The module would not accept the permissions.
    #[error("the module does not accept the deferred grant's permissions: {reason}")]
    Permissions {
        /// The reason.
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
    /// Returns the nonce key of the operation that carries the grant.
    #[must_use]
    pub fn nonce_key(&self) -> U192 {
        nonce_key(self.session_key, self.entity_id)
    }

    /// Returns the key with its tag and permissions from the owner's action. An error if the action does
    /// anything else, or if the grant is inconsistent.
    pub fn granted(&self) -> Result<NewSessionKey, DeferredGrantError> {
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
            .map_err(|_| reason("its install data is not the module's"))?;
        let ([key], [tag], [permissions]) = (&keys[..], &tags[..], &permissions[..]) else {
            return Err(reason("it is not for exactly one key"));
        };
        if *key != self.session_key {
            return Err(reason("it installs another key"));
        }
        let granted = NewSessionKey {
            key: *key,
            tag: *tag,
            permissions: permissions.clone(),
        };
        // Trust the batch only if it equals the one that this crate creates for these permissions.
        let expected = super::calldata::install_session_key_module(
            self.account,
            self.module,
            self.entity_id,
            std::slice::from_ref(&granted),
        )
        .map_err(|error| reason(&error.to_string()))?;
        if crate::calldata::execute_batch(&expected) != *call {
            return Err(reason("its batch is not that of an installation"));
        }
        Ok(granted)
    }

    /// Returns the key's state when the operation executes.
    pub fn key_state(&self) -> Result<KeyState, DeferredGrantError> {
        let granted = self.granted()?;
        let updates = PermissionUpdates::decode(&granted.permissions)?;
        let mut state = KeyState::fresh(self.account, self.session_key);
        state.rule_set = RuleSet::Module(self.module);
        // On a module, no interval begins before the key's first use, whatever the time.
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

/// Returns the nonce key of a key's operation that carries a deferred action.
pub(crate) fn nonce_key(session_key: Address, entity_id: u32) -> U192 {
    ValidationNonceKey::of_session_key(session_key, entity_id)
        .with_deferred_action()
        .nonce_key()
}
