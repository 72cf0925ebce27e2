//! What was asked for, what was signed for it, and what became of it: written down before it leaves.
//!
//! A [`Journal`] holds [`IntentRecord`]s: one for each thing that a caller wants done once, with every operation that was signed
//! for it. The client writes an operation before it sends it and the outcome when the chain has decided it, so a process that
//! starts again finds what was on its way.
//!
//! [`MemoryJournal`] is the default and forgets with the process. `SqliteJournal` (feature `sqlite`) keeps one file on one
//! machine, which several processes may share. Other stores implement [`Journal`]: small methods that store and compare.

#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod patient;
mod record;
#[cfg(feature = "sqlite")]
mod sqlite;

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

/// The right to sign for a lane, for a while. Every operation is written in the transaction that checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The lane.
    pub lane: Lane,
    /// Whose it is.
    pub holder: ProcessId,
    /// Rises with every holder, so that a holder of the past is recognized.
    pub epoch: u64,
    /// When it ends unless it is renewed, milliseconds since the Unix epoch.
    pub until: u64,
}

/// The answer to [`Journal::acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The lane is the caller's.
    Lease {
        /// The lease.
        lease: Lease,
        /// The lease before it, if it was another process's and was not given back: that process is gone, or slow.
        lapsed: Option<Lease>,
    },
    /// Another process has it, until then unless it renews it (milliseconds since the Unix epoch).
    Held {
        /// Whose it is.
        holder: ProcessId,
        /// When it ends.
        until: u64,
    },
}

/// A journal could not do what it was asked for. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JournalError {
    /// The lease is over, or another process has the lane.
    #[error("the lease on the lane was lost")]
    LeaseLost,

    /// Somebody has changed the record since it was read.
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

    /// The store failed.
    #[error("the journal failed: {message}")]
    Store {
        /// The store's words, without secrets.
        message: String,
    },

    /// A record cannot be read: it was written by a later version, or was damaged.
    #[error("the journal holds a record that cannot be read: {message}")]
    Unreadable {
        /// Which, and why.
        message: String,
    },
}

/// Where intents and their operations are kept.
///
/// The client calls it; an implementation stores and compares, and decides nothing. All times are milliseconds since the Unix
/// epoch and come from the caller. Every method is atomic: it happens whole or not at all, and what it has answered `Ok` to
/// survives whatever the store is built to survive. A write whose future was dropped either happens before whatever is asked next, or not
/// at all.
///
/// `session_key_client::journal::conformance` (feature `conformance`) tests an implementation.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Takes a lane for `holder` until `until`. A lane that is free, whose lease is over at `now`, or that is the holder's
    /// already is taken, with the next epoch.
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError>;

    /// Extends a lease to `until`, if lane, holder and epoch are still those of the store; also one that is over, as long as
    /// nobody else has taken the lane.
    ///
    /// # Errors
    ///
    /// [`JournalError::LeaseLost`].
    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError>;

    /// Gives a lane back. No error if the lease was lost.
    async fn release(&self, lease: &Lease) -> Result<(), JournalError>;

    /// Writes a record: a new one (`version` 0), or a change of one that is in the store with this `version`. Returns it with
    /// its new version. With a lease, the lease is checked in the same transaction, by lane, holder, epoch, and its end at `now`.
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

    /// Writes several records as [`put`](Self::put) does, one after the other, all or none of them. Returns them in the same
    /// order. A record finds what those before it have changed: the version of the same record, or a name.
    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError>;

    /// A record.
    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError>;

    /// The record that holds a name.
    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError>;

    /// The records of a lane that are not final ([`IntentRecord::is_final`] is false), in the order in which they were first
    /// written.
    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError>;

    /// The records of a scope that ask for the same and are untold ([`IntentRecord::is_untold`]), in the order in which they were
    /// first written.
    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError>;

    /// The lanes of an account, on one chain, that have unsettled records. `None`: of all accounts.
    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError>;

    /// The highest sequence number of a lane that a record of this journal says was included, with the record; `None` if
    /// there is none.
    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError>;

    /// Removes the spent records of a lane ([`IntentRecord::is_spent`]), but the one that
    /// [`highest_included`](Self::highest_included) answers: a node that is behind does not know its nonce.
    async fn prune(&self, lane: &Lane) -> Result<(), JournalError>;

    /// The records of an account on a chain, in the order in which they were first written: to be looked at.
    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError>;

    /// Removes a record.
    async fn remove(&self, id: IntentId) -> Result<(), JournalError>;
}
