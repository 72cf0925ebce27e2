//! Stores: where an agent's journal and ledger are kept.

#[cfg(feature = "postgres")]
mod postgres;

#[cfg(feature = "postgres")]
pub use postgres::{Dial, PostgresError, PostgresOptions, PostgresStore};

use crate::ledger::{Ledger, MemoryLedger};
use session_key_client::{
    journal::{Journal, MemoryJournal},
    operation::{Desk, Machine},
};
use std::sync::Arc;

/// A journal, and a ledger that lasts as long.
#[derive(Clone, Debug)]
pub struct Stores {
    /// What was asked for and signed, and what became of it.
    pub journal: Arc<dyn Journal>,
    /// What was used of the agent's own windows.
    pub ledger: Arc<dyn Ledger>,
}

/// A file of stores cannot be used.
#[cfg(feature = "sqlite")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoresError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] session_key_client::journal::SqliteError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
}

impl Stores {
    /// Creates empty stores in memory. They end with the process, and so do names and windows: for tests.
    pub fn memory() -> Self {
        Self {
            journal: Arc::new(MemoryJournal::new()),
            ledger: Arc::new(MemoryLedger::new()),
        }
    }

    /// Opens the stores of one machine, both in one SQLite file, which any number of its processes may share.
    /// Creates the file if there is none.
    ///
    /// # Errors
    ///
    /// [`StoresError`], if the file cannot be used.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(path: impl Into<std::path::PathBuf>) -> Result<Self, StoresError> {
        let path = path.into();
        let journal = session_key_client::journal::SqliteJournal::open(&path).await?;
        let ledger = crate::ledger::SqliteLedger::open(path).await?;
        Ok(Self {
            journal: Arc::new(journal),
            ledger: Arc::new(ledger),
        })
    }

    /// Opens the stores of many machines, both in one schema of a PostgreSQL server.
    ///
    /// # Errors
    ///
    /// [`PostgresError`], if the server cannot be reached, or does not meet the guarantees.
    #[cfg(feature = "postgres")]
    pub async fn postgres(options: PostgresOptions) -> Result<Self, PostgresError> {
        let store = PostgresStore::open(options).await?;
        Ok(Self {
            journal: Arc::new(store.clone()),
            ledger: Arc::new(store),
        })
    }

    /// Creates a desk on the journal, for
    /// [`SmartAccount::with_desk`](session_key_client::SmartAccount::with_desk). All clients of
    /// a process share one.
    pub fn desk(&self) -> Arc<Desk> {
        Arc::new(Desk::with_surroundings(self.journal.clone(), Arc::new(Machine)))
    }
}
