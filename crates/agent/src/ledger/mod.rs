//! The ledger: what an agent has used of its own rules, and what it has reserved.
//!
//! The chain counts a key's limits, and the journal's open operations are reserved against them. Rolling
//! windows are the agent's own: a [`Ledger`] counts them, for all processes that share it. A reservation is
//! made in the transaction that checks the windows, before anything is signed. It ends when the operation is
//! decided: *spent*, and counted until the window has passed, or *released*.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod count;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::MemoryLedger;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteLedger;

pub(crate) use count::Entry;
#[cfg(feature = "postgres")]
pub(crate) use count::{are_of, judge, used};

use alloy::primitives::U256;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use session_key_client::journal::{IntentId, Scope};
use std::fmt;

/// A ledger failed. Nothing was written, unless the message says that this is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LedgerError {
    /// The store failed.
    #[error("the ledger failed: {message}")]
    Store {
        /// The store's message, without secrets.
        message: String,
    },

    /// An entry cannot be read: it was written by a later version, or is damaged.
    #[error("the ledger holds an entry that cannot be read: {message}")]
    Unreadable {
        /// The entry, and the problem.
        message: String,
    },
}

/// Whose windows are counted together: those of one signer of one account, and within it of one group, such
/// as a client of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Book {
    /// The signer, on its account and chain.
    pub scope: Scope,
    /// The group; empty for none.
    pub group: String,
}

/// An amount to reserve, and the windows that count it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What is counted, as one word of the caller's. Equal words are counted together.
    pub subject: String,
    /// How much.
    pub amount: U256,
    /// The most within any period of so many milliseconds.
    pub windows: Vec<(U256, u64)>,
}

/// A reservation to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The intent that it is for. It has one reservation: a second one replaces nothing, and is the first.
    pub intent: IntentId,
    /// The intent's name, if it has one. Requests of one name for the same amounts share a reservation.
    pub name: Option<String>,
    /// When it may be doubted whether anybody still works on it, in milliseconds since the Unix epoch.
    pub until: u64,
    /// The amounts.
    pub asks: Vec<Ask>,
    /// Whether it is made even if windows are exceeded: what may already be on its way has to be counted.
    pub forced: bool,
}

/// A reservation that is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reservation {
    /// Its intent.
    pub intent: IntentId,
    /// The intent's name.
    pub name: Option<String>,
    /// When it may be doubted whether anybody still works on it, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// A window with too little left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// What is counted.
    pub subject: String,
    /// The most within the window.
    pub most: U256,
    /// The window's length, in milliseconds.
    pub length: u64,
    /// How much is used and reserved within it.
    pub used: U256,
    /// When enough of it has passed, in milliseconds since the Unix epoch, if everything reserved is spent
    /// now. `None`: never, because more is asked for than fits.
    pub passes_from: Option<u64>,
}

/// The answer to [`Ledger::reserve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The reservation, made now or before for this intent.
    Made(Reservation),
    /// The reservation that another request of the same name has made for the same amounts, under this intent
    /// from now on. Whoever made it may still sign, so that the failure of one of the two does not end it.
    Joined(Reservation),
    /// Nothing was reserved: these windows have too little left.
    Exceeded(Vec<Exceeded>),
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// It happened: it counts from this time on, in milliseconds since the Unix epoch.
    Spent {
        /// The time.
        at: u64,
    },
    /// It did not, and will not.
    Released,
}

/// Counts what agents use of their windows.
///
/// All times are milliseconds since the Unix epoch, given by the caller. Every method is atomic, and what it
/// has confirmed with `Ok` is as durable as the store. `session_key_agent::ledger::conformance` (feature
/// `conformance`) tests an implementation.
#[async_trait]
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Checks all windows and makes the reservation, or nothing. An intent that has an undecided one already
    /// gets that, with its lease extended to `until`; so does one whose name has an undecided one for the
    /// same amounts, and it gets its id.
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError>;

    /// Checks all windows without reserving anything, and returns those with too little left.
    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError>;

    /// Ends a reservation. Ending what is not there, or ended, changes nothing.
    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError>;

    /// Returns the undecided reservations, oldest first.
    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError>;

    /// Returns how much of a subject is used and reserved within a window of so many milliseconds
    /// that ends now.
    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError>;

    /// Forgets what was spent longer ago than so many milliseconds.
    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError>;
}
