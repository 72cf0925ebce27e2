//! Ledgers in memory and in files do the same.

use async_trait::async_trait;
use session_key_agent::{
    client::{alloy::primitives::U256, journal::IntentId},
    ledger::{
        Ask, Book, End, Exceeded, Ledger, LedgerError, MemoryLedger, Reservation, Reserved, SqliteLedger,
        Wanted, conformance,
    },
    store::Stores,
};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_in_memory_does_what_ledgers_do() {
    conformance::run(|| async { Arc::new(MemoryLedger::new()) as Arc<dyn Ledger> }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_in_a_file_does_what_ledgers_do() {
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    let path = || {
        folder
            .path()
            .join(format!("{}.db", made.fetch_add(1, Ordering::SeqCst)))
    };
    conformance::run(|| {
        let path = path();
        async { Stores::sqlite(path).await.unwrap().ledger }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_ledgers_on_one_file_do_what_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let made = AtomicUsize::new(0);
    let path = || {
        folder
            .path()
            .join(format!("{}.db", made.fetch_add(1, Ordering::SeqCst)))
    };
    conformance::run(|| {
        let path: PathBuf = path();
        async move {
            let mut ledgers = Vec::new();
            for _ in 0..3 {
                ledgers.push(Stores::sqlite(&path).await.unwrap().ledger);
            }
            let next = AtomicUsize::new(0);
            Arc::new(Alternating { ledgers, next }) as Arc<dyn Ledger>
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let missing = SqliteLedger::open(folder.path().join("missing.db")).await;
    assert!(matches!(missing, Err(LedgerError::Store { .. })));
    assert!(!folder.path().join("missing.db").exists());
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE a (b)")
        .unwrap();
    let before = std::fs::read(&other).unwrap();
    let error = SqliteLedger::open(&other).await.unwrap_err();
    assert!(!error.to_string().contains("other.db"), "{error}");
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[tokio::test]
async fn a_ledger_of_a_later_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    Stores::sqlite(&path).await.unwrap();
    let beside = rusqlite::Connection::open(&path).unwrap();
    beside
        .execute("UPDATE agent_version SET version = 9", [])
        .unwrap();
    let error = Stores::sqlite(&path).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ledger failed: the ledger has version 9, and this release knows versions 1 to 1"
    );
}

/// Uses several ledgers in turn, as if each call came from another process.
#[derive(Debug)]
struct Alternating {
    ledgers: Vec<Arc<dyn Ledger>>,
    next: AtomicUsize,
}

impl Alternating {
    fn one(&self) -> &dyn Ledger {
        &*self.ledgers[self.next.fetch_add(1, Ordering::SeqCst) % self.ledgers.len()]
    }
}

#[async_trait]
impl Ledger for Alternating {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        self.one().reserve(book, wanted, now).await
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        self.one().exceeded(book, asks, now).await
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        self.one().end(book, intent, end).await
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        self.one().undecided(book).await
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        self.one().used(book, subject, length, now).await
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        self.one().prune(book, longest, now).await
    }
}
