//! A journal with a time limit.

use super::{
    Acquired, BlockRef, History, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId, Scope,
};
use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Time limit of an access. Whoever holds a lane's turn meanwhile keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(30);

/// A journal whose accesses fail if they take too long. An abandoned write may have happened, as after any
/// other failure of a store.
#[derive(Debug)]
pub(crate) struct Patient(pub(crate) Arc<dyn Journal>);

async fn patiently<T>(access: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
    timeout(PATIENCE, access).await.unwrap_or_else(|_| {
        Err(JournalError::Store {
            message: format!("no answer within {PATIENCE:?}"),
        })
    })
}

#[async_trait]
impl Journal for Patient {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        patiently(self.0.acquire(lane, holder, now, until)).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        patiently(self.0.renew(lease, until)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        patiently(self.0.release(lease)).await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        patiently(self.0.put_all(records, lease)).await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        patiently(self.0.intent(id)).await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        patiently(self.0.named(scope, name)).await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        patiently(self.0.unsettled(lane)).await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        patiently(self.0.untold(scope, request)).await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        patiently(self.0.unsettled_lanes(account)).await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        patiently(self.0.highest_included(lane)).await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        patiently(self.0.prune(lane)).await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        patiently(self.0.intents(chain_id, account)).await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        patiently(self.0.remove(id)).await
    }

    async fn history(&self, chain_id: u64) -> Result<History, JournalError> {
        patiently(self.0.history(chain_id)).await
    }

    async fn bind(&self, chain_id: u64, block: BlockRef) -> Result<BlockRef, JournalError> {
        patiently(self.0.bind(chain_id, block)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_times_out() {
        let access = patiently(pending::<Result<(), JournalError>>());
        assert!(matches!(access.await, Err(JournalError::Store { .. })));
        assert_eq!(patiently(async { Ok(7) }).await, Ok(7));
    }
}
