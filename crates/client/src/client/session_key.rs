//! The client of a session key: executes calls within its permissions, and nothing else.

use super::Client;
use crate::{
    account::SmartAccount,
    operation::{Cause, Check, Desk, Operation, OperationError, Source, Used},
    permissions::{Call, execute_with_session_key, model::decode_execute_with_session_key},
    v08::{DeferredGrant, DeferredGrantError},
};
use alloy::primitives::{Address, B256, Bytes, aliases::U192, keccak256};
use async_trait::async_trait;
use std::sync::Arc;

/// The client of a session key.
///
/// Operations use the key's own nonce lane. Their fees are lowered, if possible, so that their maximum cost
/// fits what is left of the key's gas limit.
///
/// A session key's client does not offer what only owners can do:
///
/// ```compile_fail,E0599
/// # use session_key_client::{SessionKeyClient, alloy::primitives::Address};
/// fn revoke(agent: &SessionKeyClient, other: Address) {
///     let _ = agent.remove_session_key(other);
/// }
/// ```
pub type SessionKeyClient = Client<SessionKey>;

/// The role of a session key.
#[derive(Debug)]
#[non_exhaustive]
pub struct SessionKey {}

/// Calls of a session key.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    call_data: Bytes,
    used: Used,
}

impl Execution {
    fn new(key: Address, calls: Vec<Call>) -> Self {
        Self {
            call_data: execute_with_session_key(&calls, key),
            used: Used { key, calls },
        }
    }

    /// Decodes the calls of this key from call data; `None` if it is something else.
    pub(super) fn of_call_data(call_data: &Bytes, key: Address) -> Option<Self> {
        let (calls, used) = decode_execute_with_session_key(call_data).ok()?;
        (used == key).then(|| Self {
            call_data: call_data.clone(),
            used: Used { key, calls },
        })
    }
}

#[async_trait]
impl Source for Execution {
    fn request(&self) -> B256 {
        keccak256(&self.call_data)
    }

    async fn call_data(&self, _: &SmartAccount, _: &Desk) -> Result<Bytes, Cause> {
        Ok(self.call_data.clone())
    }

    fn session_key(&self) -> Option<Used> {
        Some(self.used.clone())
    }

    fn with_calls(&self, calls: Vec<Call>) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Self::new(self.used.key, calls)))
    }
}

/// A session key's first calls, with the grant that registers it.
#[derive(Clone, Debug)]
struct FirstExecution {
    grant: DeferredGrant,
    execution: Execution,
}

#[async_trait]
impl Source for FirstExecution {
    fn request(&self) -> B256 {
        keccak256(
            [
                self.grant.action.nonce.to_be_bytes::<32>().as_slice(),
                &self.execution.call_data,
            ]
            .concat(),
        )
    }

    async fn call_data(&self, _: &SmartAccount, _: &Desk) -> Result<Bytes, Cause> {
        Ok(self.execution.call_data.clone())
    }

    fn session_key(&self) -> Option<Used> {
        self.execution.session_key()
    }

    fn deferred_grant(&self) -> Option<&DeferredGrant> {
        Some(&self.grant)
    }

    fn grants_to(&self) -> Vec<Address> {
        vec![self.grant.session_key]
    }
}

impl Client<SessionKey> {
    /// Makes the key's first calls in the operation that carries the grant
    /// [signed](crate::OwnerClient::defer_grant) by the owner: it creates the account and installs the module
    /// where they are missing, adds the key, and makes the calls. If validation fails, nothing happens. If
    /// the calls revert, the grant stays.
    ///
    /// The grant works for this one operation: use [`execute`](Self::execute) afterwards.
    ///
    /// # Errors
    ///
    /// [`Cause::DeferredGrant`] for a grant of another chain, account or key, or one that is inconsistent.
    pub fn execute_first(
        &self,
        grant: DeferredGrant,
        calls: impl IntoIterator<Item = Call>,
    ) -> Result<Operation, OperationError> {
        let account = self.account();
        let key = self.session_key();
        let check = || -> Result<(), DeferredGrantError> {
            let differs = |what: &str, expected: String, found: String| {
                if expected == found {
                    return Ok(());
                }
                let what = what.to_owned();
                Err(DeferredGrantError::Differs {
                    what,
                    expected,
                    found,
                })
            };
            let deployment = account.deployment();
            differs(
                "chain",
                account.chain_id().to_string(),
                grant.chain_id.to_string(),
            )?;
            differs(
                "account",
                account.address().to_string(),
                grant.account.to_string(),
            )?;
            differs(
                "EntryPoint",
                deployment.entry_point.to_string(),
                grant.entry_point.to_string(),
            )?;
            differs(
                "module",
                deployment.session_key_plugin.to_string(),
                grant.module.to_string(),
            )?;
            differs("session key", key.to_string(), grant.session_key.to_string())?;
            grant.granted().map(drop)
        };
        check().map_err(Cause::from)?;
        let nonce = grant.action.nonce;
        let source = FirstExecution {
            execution: Execution::new(key, calls.into_iter().collect()),
            grant,
        };
        Ok(Operation::new(&self.core, source, U192::ZERO).nonce(nonce))
    }

    /// Returns the session key's address.
    pub fn session_key(&self) -> Address {
        self.core.signer.address()
    }

    /// Makes the calls, in order, all or none. Awaiting it executes it.
    pub fn execute(&self, calls: impl IntoIterator<Item = Call>) -> Operation {
        let key = self.session_key();
        let calls = calls.into_iter().collect();
        let nonce_key = self.core.account.generation().session_key_nonce_key(key);
        Operation::new(&self.core, Execution::new(key, calls), nonce_key)
    }

    /// Checks whether the calls would pass now, and returns every rule that they break: at one block, gas
    /// rules included. Nothing is signed. [`Operation::check`] does the same for an operation with custom
    /// settings.
    pub async fn check(&self, calls: impl IntoIterator<Item = Call>) -> Result<Check, OperationError> {
        self.execute(calls).check().await
    }
}
