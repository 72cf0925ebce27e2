//! Sources of an operation's call data: what clients pass to the operation machinery, which knows none of
//! them.

use super::{desk::Desk, error::Cause};
use crate::{account::SmartAccount, permissions::Call, v08::DeferredGrant};
use alloy::primitives::{Address, B256, Bytes, keccak256};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// A session key and its calls.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(crate) key: Address,
    pub(crate) calls: Vec<Call>,
}

/// The action of an operation.
#[async_trait]
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Identifies the request: equal for equal requests, whatever the chain's state.
    fn request(&self) -> B256;

    /// Returns the call data, given the account's state.
    async fn call_data(&self, account: &SmartAccount, desk: &Desk) -> Result<Bytes, Cause>;

    /// Returns the acting session key, if any.
    fn session_key(&self) -> Option<Used> {
        None
    }

    /// Returns the grant that the operation carries to register the key, if any.
    fn deferred_grant(&self) -> Option<&DeferredGrant> {
        None
    }

    /// Returns the same source with other calls. `None`: it does not consist of a session key's calls.
    fn with_calls(&self, calls: Vec<Call>) -> Option<Arc<dyn Source>> {
        let _ = calls;
        None
    }

    /// Whether it only takes permissions away. Then it uses a random lane, so that nothing can block it.
    async fn takes_away(&self, account: &SmartAccount) -> Result<bool, Cause> {
        let _ = account;
        Ok(false)
    }

    /// Reads back, in the block that includes it, whether it had its effect.
    async fn confirm(&self, account: &SmartAccount) -> Result<(), Cause> {
        let _ = account;
        Ok(())
    }

    /// Returns the session keys that it grants to, or rotates.
    fn grants_to(&self) -> Vec<Address> {
        Vec::new()
    }
}

/// Given call data.
#[derive(Clone, Debug)]
pub(crate) struct GivenCallData(pub(crate) Bytes);

#[async_trait]
impl Source for GivenCallData {
    fn request(&self) -> B256 {
        keccak256(&self.0)
    }

    async fn call_data(&self, _: &SmartAccount, _: &Desk) -> Result<Bytes, Cause> {
        Ok(self.0.clone())
    }
}
