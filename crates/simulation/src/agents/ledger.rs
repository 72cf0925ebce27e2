//! A ledger as a process reaches it: with the faults of the store that it is in.

use crate::{
    spot::Step,
    store::{SimJournal, Store, StoreFailed},
};
use alloy::primitives::U256;
use async_trait::async_trait;
use session_key_agent::ledger::{
    Ask, Book, End, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted,
};
use session_key_client::journal::IntentId;
use std::sync::Arc;

impl StoreFailed for LedgerError {
    fn failed() -> Self {
        Self::Store {
            message: "disk I/O error".to_owned(),
        }
    }
}

/// The ledger beside a process's journal.
#[derive(Debug)]
pub(crate) struct SimLedger {
    journal: Arc<SimJournal>,
    ledger: Arc<dyn Ledger>,
}

impl SimLedger {
    /// Opens the ledger of a store.
    pub(crate) fn open(journal: Arc<SimJournal>, store: &Store) -> Self {
        Self {
            ledger: store.kept_ledger(),
            journal,
        }
    }
}

#[async_trait]
impl Ledger for SimLedger {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        let access = self.ledger.reserve(book, wanted, now);
        self.journal.access(Step::JournalWrite, access).await
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        let access = self.ledger.exceeded(book, asks, now);
        self.journal.access(Step::JournalRead, access).await
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        let access = self.ledger.end(book, intent, end);
        self.journal.access(Step::JournalWrite, access).await
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        let access = self.ledger.undecided(book);
        self.journal.access(Step::JournalRead, access).await
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        let access = self.ledger.used(book, subject, length, now);
        self.journal.access(Step::JournalRead, access).await
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        let access = self.ledger.prune(book, longest, now);
        self.journal.access(Step::JournalWrite, access).await
    }
}
