//! A journal as a process has it: while the process is stopped, nothing gets there.

use async_trait::async_trait;
use session_key_client::{
    alloy::primitives::{Address, B256},
    journal::{Acquired, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId, Scope},
};
use std::{fmt, sync::Arc};
use tokio::sync::watch;

/// A journal while its process is not stopped.
#[derive(Clone)]
pub(crate) struct Mortal {
    journal: Arc<dyn Journal>,
    is_stopped: watch::Sender<bool>,
}

impl fmt::Debug for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.journal.fmt(f)
    }
}

impl Mortal {
    pub(crate) fn new(journal: &Arc<dyn Journal>) -> Self {
        Self {
            journal: journal.clone(),
            is_stopped: watch::Sender::new(false),
        }
    }

    pub(crate) fn stop(&self, is_stopped: bool) {
        self.is_stopped.send_replace(is_stopped);
    }

    /// The journal, once the process is not stopped.
    async fn live(&self) -> &dyn Journal {
        let mut is_stopped = self.is_stopped.subscribe();
        is_stopped.wait_for(|is_stopped| !is_stopped).await.unwrap();
        &*self.journal
    }
}

#[async_trait]
impl Journal for Mortal {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        self.live().await.acquire(lane, holder, now, until).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        self.live().await.renew(lease, until).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        self.live().await.release(lease).await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        self.live().await.put_all(records, lease).await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.live().await.intent(id).await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        self.live().await.named(scope, name).await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        self.live().await.unsettled(lane).await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        self.live().await.untold(scope, request).await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.live().await.unsettled_lanes(account).await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        self.live().await.highest_included(lane).await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        self.live().await.prune(lane).await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.live().await.intents(chain_id, account).await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.live().await.remove(id).await
    }
}
