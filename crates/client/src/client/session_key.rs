//! What a session key can do: execute calls within its permissions. Nothing else.

use super::Client;
use crate::{
    account::SmartAccount,
    operation::{Cause, Check, Desk, Operation, OperationError, Source, Used},
    permissions::{Call, execute_with_session_key, model::decode_execute_with_session_key},
};
use alloy::primitives::{Address, B256, Bytes, keccak256};
use async_trait::async_trait;
use std::sync::Arc;

/// A session key at work.
///
/// Operations use the key's own nonce lane, and their fees are lowered, if they can be, so that what they may cost fits what is
/// left of the key's gas limit.
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

/// A session key signs.
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

    /// The calls of this key that the call data hold. `None`: they are something else.
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

impl Client<SessionKey> {
    /// The session key's address.
    pub fn session_key(&self) -> Address {
        self.core.signer.address()
    }

    /// Makes the calls, in order, all or none. Awaiting it carries it out.
    pub fn execute(&self, calls: impl IntoIterator<Item = Call>) -> Operation {
        let key = self.session_key();
        let calls = calls.into_iter().collect();
        let nonce_key = self.core.account.generation().session_key_nonce_key(key);
        Operation::new(&self.core, Execution::new(key, calls), nonce_key)
    }

    /// Whether the calls would pass now, and if not, every rule that they break: at one block, gas rules included. Nothing is
    /// signed. [`Operation::check`] does the same for an operation with settings of its own.
    pub async fn check(&self, calls: impl IntoIterator<Item = Call>) -> Result<Check, OperationError> {
        self.execute(calls).check().await
    }
}
