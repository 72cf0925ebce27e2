//! The records of a journal.

use crate::{
    operation::{Included, NotTaken, Outcome, Void},
    permissions::{SignedOperation, Verdict},
    transaction::SignedTransaction,
};
use alloy::primitives::{Address, B256, FixedBytes, U256, aliases::U192};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A sequence of nonces: operations of one account with one nonce key, on one EntryPoint of one chain. They
/// are included in order of their nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lane {
    /// The chain's id.
    pub chain_id: u64,
    /// The EntryPoint.
    pub entry_point: Address,
    /// The account.
    pub account: Address,
    /// The nonce key.
    pub nonce_key: U192,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:#x} of account {} on chain {}",
            self.nonce_key, self.account, self.chain_id
        )
    }
}

/// The scope in which names are unique: a signer of an account on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// The chain's id.
    pub chain_id: u64,
    /// The account.
    pub account: Address,
    /// The signer.
    pub signer: Address,
}

/// The id of an intent: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub FixedBytes<16>);

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a process run: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub FixedBytes<16>);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A moment in a process: by the system clock, which may jump, and by a counter that never runs backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Moment {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// The process.
    pub process: ProcessId,
    /// The counter's value.
    pub sequence: u64,
}

/// A block, by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockRef {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// The depth at which a void operation is assumed to stay void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VoidDepth {
    /// The node's `finalized` block.
    Finalized,
    /// This many blocks below the latest one.
    Blocks(u64),
}

/// How far a recorded operation got on its way out of the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Handover {
    /// Recorded. It is unknown whether it left the process.
    Written,
    /// It never left: no connection was made.
    NeverLeft,
    /// It was sent, without an answer that says whether it was accepted.
    NoAnswer,
    /// A receiver confirmed that it has it.
    InPool,
    /// A receiver refused it. Anyone who saw it can still include it.
    NotTaken(NotTaken),
}

impl Handover {
    /// Whether anyone outside may have the operation.
    pub const fn may_have_left(&self) -> bool {
        !matches!(self, Self::NeverLeft)
    }
}

/// The lane's nonce is past an operation's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoncePast {
    /// A block in which it is, seen when the block was new.
    pub block: BlockRef,
    /// The other operation that used the nonce, if its event was found.
    pub used_by: Option<B256>,
}

/// An operation's nonce is above the lane's next one, so it waits for another operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NonceGap {
    /// The lane's next nonce: the lowest missing one.
    pub next: U256,
    /// The open operation in the journal that has that nonce, the newest if there are several. `None`: no
    /// known operation has it.
    pub by: Option<B256>,
    /// The block in which this was first seen.
    pub block: BlockRef,
}

/// An operation signed for an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationRecord {
    /// The operation, with its signature and hash.
    pub signed: SignedOperation,
    /// The latest block when it was created.
    pub made: BlockRef,
    /// The model's verdict, if it was uncertain: the key's plugin may not enforce a rule that the operation
    /// breaks.
    pub doubt: Option<Verdict>,
    /// How far it got.
    pub handover: Handover,
    /// Set while the lane's nonce is past its own.
    pub nonce_past: Option<NoncePast>,
    /// Set while it waits for a lower nonce to be used.
    pub nonce_gap: Option<NonceGap>,
    /// Set once it can never be included.
    pub void: Option<Void>,
    /// Set while the canonical chain includes it, as far as known.
    pub included: Option<Included>,
}

impl OperationRecord {
    /// Returns the operation's nonce.
    pub const fn nonce(&self) -> U256 {
        self.signed.operation.nonce
    }

    /// Whether it can still be included, as far as known.
    pub const fn is_open(&self) -> bool {
        self.included.is_none() && self.void.is_none() && self.handover.may_have_left()
    }
}

/// A request to be carried out once, with every operation signed for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntentRecord {
    /// The intent's id.
    pub id: IntentId,
    /// Rises with every change; 0 for a record that was never written.
    pub version: u64,
    /// The lane of its operations.
    pub lane: Lane,
    /// The signer.
    pub signer: Address,
    /// The caller's name for it.
    pub name: Option<String>,
    /// Identifies the request: equal for equal calls.
    pub request: B256,
    /// The session keys that it grants to, or rotates.
    pub grants_to: Vec<Address>,
    /// When it was requested.
    pub asked: Moment,
    /// The caller's deadline, in milliseconds since the Unix epoch.
    pub deadline: u64,
    /// When its caller got an error or went away, and the process that recorded it.
    pub given_up: Option<Moment>,
    /// Whether its caller was told of its inclusion.
    pub told: bool,
    /// A later equal intent that was told of this one's inclusion.
    pub told_to: Option<IntentId>,
    /// Its operations, oldest first.
    pub operations: Vec<OperationRecord>,
}

impl IntentRecord {
    /// Returns the scope of its name.
    pub const fn scope(&self) -> Scope {
        Scope {
            chain_id: self.lane.chain_id,
            account: self.lane.account,
            signer: self.signer,
        }
    }

    /// Returns its outcome, as far as this record knows.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(&self.operations)
    }

    /// Whether nothing about it can change, and its caller knows or is known to be gone.
    pub fn is_final(&self) -> bool {
        match self.outcome() {
            Outcome::Included(included) => {
                included.is_final && (self.told || self.told_to.is_some() || self.given_up.is_some())
            }
            Outcome::Void(_) | Outcome::NeverSent => true,
            Outcome::Open(_) => false,
        }
    }

    /// Whether it is included without anyone knowing: its caller got an error before. The next equal intent
    /// is told.
    pub fn is_untold(&self) -> bool {
        self.given_up.is_some()
            && !self.told
            && self.told_to.is_none()
            && matches!(self.outcome(), Outcome::Included(_))
    }

    /// Whether the record can be removed: nothing about it can change, and no one will ask for it.
    pub fn is_spent(&self) -> bool {
        self.is_final()
            && self.name.is_none()
            && match self.outcome() {
                Outcome::Included(_) => self.told || self.told_to.is_some(),
                _ => self.given_up.is_some() || self.told,
            }
    }

    /// Whether another operation with this nonce can be signed for it: every earlier one never left the
    /// process, is void, was included with its calls reverted for good, or has the same nonce, which excludes
    /// it.
    pub fn can_be_signed_with(&self, nonce: U256) -> bool {
        self.operations.iter().all(|operation| match &operation.included {
            Some(included) => !included.success && included.is_final,
            None => !operation.is_open() || operation.nonce() == nonce,
        })
    }

    /// Whether it keeps its name: it is pending, or was included. The name of one that never left, or is
    /// void, is free again.
    pub fn holds_name(&self) -> bool {
        self.name.is_some() && !matches!(self.outcome(), Outcome::Void(_) | Outcome::NeverSent)
    }

    /// Returns the operations that can still be included, as far as known.
    pub fn open_operations(&self) -> impl Iterator<Item = &OperationRecord> {
        self.operations.iter().filter(|operation| operation.is_open())
    }
}

/// A signed plain transaction, with its request. It is kept from before it is sent until its requester knows
/// the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRecord {
    /// The chain.
    pub chain_id: u64,
    /// The sender.
    pub sender: Address,
    /// Identifies the request: equal for equal arguments.
    pub request: B256,
    /// When it was signed, in milliseconds since the Unix epoch.
    pub signed_at: u64,
    /// The caller's data.
    pub note: serde_json::Value,
    /// The transaction.
    pub signed: SignedTransaction,
}
