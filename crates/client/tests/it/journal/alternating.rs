//! Several journals as one, each asked in turn.

use async_trait::async_trait;
use session_key_client::{
    alloy::primitives::{Address, B256},
    journal::{
        Acquired, BlockRef, History, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId,
        Scope,
    },
};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(super) struct AlternatingJournal<J> {
    journals: Vec<J>,
    asked: AtomicUsize,
}

impl<J> AlternatingJournal<J> {
    pub(super) const fn new(journals: Vec<J>) -> Self {
        Self {
            journals,
            asked: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &J {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        &self.journals[asked % self.journals.len()]
    }
}

#[async_trait]
impl<J: Journal> Journal for AlternatingJournal<J> {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        self.next().acquire(lane, holder, now, until).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        self.next().renew(lease, until).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        self.next().release(lease).await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        self.next().put_all(records, lease).await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.next().intent(id).await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        self.next().named(scope, name).await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        self.next().unsettled(lane).await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        self.next().untold(scope, request).await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.next().unsettled_lanes(account).await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        self.next().highest_included(lane).await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        self.next().prune(lane).await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.next().intents(chain_id, account).await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.next().remove(id).await
    }

    async fn history(&self, chain_id: u64) -> Result<History, JournalError> {
        self.next().history(chain_id).await
    }

    async fn bind(&self, chain_id: u64, block: BlockRef) -> Result<BlockRef, JournalError> {
        self.next().bind(chain_id, block).await
    }
}
