//! The journal: what was requested, what was signed for it, and its outcome, recorded before anything is
//! sent.
//!
//! A [`Journal`] stores [`IntentRecord`]s: one for each request to be carried out once, with every operation
//! signed for it. The client records an operation before it sends it, and the outcome once the chain has
//! decided it, so a restarted process finds what was pending.
//!
//! [`MemoryJournal`] is the default, and lasts as long as the process. `SqliteJournal` (feature `sqlite`)
//! keeps a file on one machine, which several processes may share. Other stores implement [`Journal`]: small
//! methods that store and compare.

#[cfg(feature = "conformance")]
pub mod conformance;
mod history;
mod memory;
mod patient;
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use history::{History, HistoryError, check_history};
pub use memory::MemoryJournal;
pub(crate) use patient::Patient;
pub use record::{
    BlockRef, Handover, IntentId, IntentRecord, Lane, Moment, NonceGap, NoncePast, OperationRecord,
    ProcessId, Scope, TransactionRecord, VoidDepth,
};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteError, SqliteJournal};

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The right to sign for a lane, for a limited time. Every operation is recorded in the transaction that
/// checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The lane.
    pub lane: Lane,
    /// The holding process.
    pub holder: ProcessId,
    /// Rises with every holder, to detect past holders.
    pub epoch: u64,
    /// When it expires unless renewed, in milliseconds since the Unix epoch.
    pub until: u64,
}

/// The answer to [`Journal::acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The caller now holds the lane.
    Lease {
        /// The lease.
        lease: Lease,
        /// The previous lease, if it was another process's and was not released: that process died, or is
        /// slow.
        lapsed: Option<Lease>,
    },
    /// Another process holds it, until then unless renewed (milliseconds since the Unix epoch).
    Held {
        /// The holding process.
        holder: ProcessId,
        /// When the lease expires.
        until: u64,
    },
}

/// A journal failed. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JournalError {
    /// The lease expired, or another process holds the lane.
    #[error("the lease on the lane was lost")]
    LeaseLost,

    /// The record has changed since it was read.
    #[error("intent {id} was changed in the meantime")]
    Conflict {
        /// The intent.
        id: IntentId,
    },

    /// Another intent has the name.
    #[error("the name {name:?} belongs to intent {holder}")]
    NameTaken {
        /// The name.
        name: String,
        /// The intent that has it.
        holder: IntentId,
    },

    /// The journal's operations were signed for another chain with the same id, such as a development chain
    /// before it started anew. They are not looked for, and not sent, on this one: several would be valid
    /// there.
    #[error(
        "the journal belongs to another chain with id {chain_id}: its chain has block {} with hash {}, and the node {}; use the node \
         of that chain, or another journal",
        block.number, block.hash, found_instead(.found)
    )]
    OtherChain {
        /// The chain id of both.
        chain_id: u64,
        /// The block of the journal's chain.
        block: BlockRef,
        /// The hash of the node's block with this number, if it has one.
        found: Option<B256>,
    },

    /// The store failed.
    #[error("the journal failed: {message}")]
    Store {
        /// The store's message, without secrets.
        message: String,
    },

    /// A record cannot be read: it was written by a later version, or is damaged.
    #[error("the journal holds a record that cannot be read: {message}")]
    Unreadable {
        /// The record, and the problem.
        message: String,
    },
}

fn found_instead(found: &Option<B256>) -> String {
    found.map_or_else(|| "has no such block".to_owned(), |hash| format!("has {hash}"))
}

/// Stores intents and their operations.
///
/// The client calls it; an implementation stores and compares, and makes no decisions. All times are
/// milliseconds since the Unix epoch, given by the caller. Every method is atomic, and what it has confirmed
/// with `Ok` is as durable as the store. A write whose future was dropped either happens before the next
/// call, or not at all.
///
/// `session_key_client::journal::conformance` (feature `conformance`) tests an implementation.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Acquires a lane for `holder` until `until`: if it is free, its lease has expired at `now`, or the
    /// holder already has it. Starts the next epoch.
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError>;

    /// Extends a lease to `until`, if lane, holder and epoch still match the store's; even an expired one,
    /// unless another process has acquired the lane.
    ///
    /// # Errors
    ///
    /// [`JournalError::LeaseLost`].
    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError>;

    /// Releases a lane. No error if the lease was lost.
    async fn release(&self, lease: &Lease) -> Result<(), JournalError>;

    /// Writes a record: a new one (`version` 0), or a change of a stored one with the same `version`. Returns
    /// it with its new version. A given lease is checked in the same transaction, by lane, holder, epoch, and
    /// expiry at `now`.
    ///
    /// A name is unique within its [`Scope`] among records that hold it ([`IntentRecord::holds_name`]).
    ///
    /// # Errors
    ///
    /// [`JournalError::LeaseLost`], [`JournalError::Conflict`], [`JournalError::NameTaken`].
    async fn put(
        &self,
        record: IntentRecord,
        lease: Option<(&Lease, u64)>,
    ) -> Result<IntentRecord, JournalError> {
        let id = record.id;
        let written = self.put_all(vec![record], lease).await?;
        written.into_iter().next().ok_or(JournalError::Conflict { id })
    }

    /// Writes several records in order, like [`put`](Self::put), all or none. Returns them in the same order.
    /// Each record sees the changes of those before it: versions, and names.
    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError>;

    /// Returns a record.
    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError>;

    /// Returns the record that holds a name.
    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError>;

    /// Returns a lane's records that are not final ([`IntentRecord::is_final`] is false), in order of first
    /// writing.
    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError>;

    /// Returns a scope's untold records ([`IntentRecord::is_untold`]) with this request, in order of first
    /// writing.
    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError>;

    /// Returns an account's lanes, on one chain, that have unsettled records. `None`: those of all accounts.
    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError>;

    /// Returns the included record with a lane's highest sequence number in this journal; `None` if there is
    /// none.
    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError>;

    /// Removes a lane's spent records ([`IntentRecord::is_spent`]), except the one that
    /// [`highest_included`](Self::highest_included) returns: a lagging node does not know its nonce.
    async fn prune(&self, lane: &Lane) -> Result<(), JournalError>;

    /// Returns an account's records on a chain, in order of first writing, for display.
    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError>;

    /// Removes a record.
    async fn remove(&self, id: IntentId) -> Result<(), JournalError>;

    /// Returns what the store knows of the chain with this id. With [`History::NotKept`], the default, the
    /// client does not compare the node's chain with the journal's: right for a store that no other process
    /// reads.
    async fn history(&self, chain_id: u64) -> Result<History, JournalError> {
        let _ = chain_id;
        Ok(History::NotKept)
    }

    /// Binds a chain id to the chain that has this block, unless it is bound. Returns the block that it is
    /// bound to.
    async fn bind(&self, chain_id: u64, block: BlockRef) -> Result<BlockRef, JournalError> {
        let _ = chain_id;
        Ok(block)
    }
}
