//! Where an operation's call data come from: what the clients put into the machine, which knows none of them.

use super::{desk::Desk, error::Cause};
use crate::{account::SmartAccount, permissions::Call, v08::DeferredGrant};
use alloy::primitives::{Address, B256, Bytes, keccak256};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// A session key, and the calls that it makes.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(crate) key: Address,
    pub(crate) calls: Vec<Call>,
}

/// What an operation shall do.
#[async_trait]
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Identifies what is asked for: equal for equal requests, whatever the chain's state.
    fn request(&self) -> B256;

    /// The call data on the account's state.
    async fn call_data(&self, account: &SmartAccount, desk: &Desk) -> Result<Bytes, Cause>;

    /// The session key that acts, if one does.
    fn session_key(&self) -> Option<Used> {
        None
    }

    /// The grant that the operation carries, without which the key is none yet.
    fn deferred_grant(&self) -> Option<&DeferredGrant> {
        None
    }

    /// The same for other calls of the session key. `None`: it is not calls of a session key.
    fn with_calls(&self, calls: Vec<Call>) -> Option<Arc<dyn Source>> {
        let _ = calls;
        None
    }

    /// Whether it takes away and does nothing else. Then its lane is a random one: nobody can get in its way.
    async fn takes_away(&self, account: &SmartAccount) -> Result<bool, Cause> {
        let _ = account;
        Ok(false)
    }

    /// Reads back, in the block that includes it, whether it did what it should.
    async fn confirm(&self, account: &SmartAccount) -> Result<(), Cause> {
        let _ = account;
        Ok(())
    }

    /// The session keys that it grants something to, or rotates to or from.
    fn grants_to(&self) -> Vec<Address> {
        Vec::new()
    }
}

/// Call data that are given.
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
