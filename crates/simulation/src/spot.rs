//! Positions of messages in a history: sender, receiver, step, and a counter.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A sender or receiver of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A client process.
    Process(u8),
    /// A node.
    Node(u8),
    /// A bundler.
    Bundler(u8),
    /// The paymaster service.
    Paymaster,
    /// A store of processes' journals.
    Store(u8),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(index) => write!(f, "process {index}"),
            Self::Node(index) => write!(f, "node {index}"),
            Self::Bundler(index) => write!(f, "bundler {index}"),
            Self::Paymaster => f.write_str("paymaster"),
            Self::Store(index) => write!(f, "store {index}"),
        }
    }
}

impl Actor {
    /// Returns a unique number.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Process(index) => 0x100 + index as u64,
            Self::Node(index) => 0x200 + index as u64,
            Self::Bundler(index) => 0x300 + index as u64,
            Self::Paymaster => 0x400,
            Self::Store(index) => 0x500 + index as u64,
        }
    }
}

/// A step of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The node's chain id.
    ChainId,
    /// The newest block, before anything is sent.
    ReadHead,
    /// The lane's nonce, before anything is sent.
    ReadNonce,
    /// The account and the key, before anything is sent.
    ReadState,
    /// Current fees.
    Fees,
    /// Gas limits.
    Estimate,
    /// The paymaster's data for the estimate.
    Stub,
    /// The paymaster's data that are signed.
    Sponsor,
    /// Submitting an operation or a transaction.
    Send,
    /// The newest block and the nonce, after something was sent.
    Look,
    /// The final block.
    Finality,
    /// Whether a block is canonical.
    Header,
    /// A bundler's status of an operation.
    Hint,
    /// A transaction's receipt.
    Receipt,
    /// Events.
    Logs,
    /// Any request while open intents are resumed.
    Resume,
    /// Reading in the journal.
    JournalRead,
    /// Writing to the journal.
    JournalWrite,
    /// A bundler's transaction.
    Bundle,
}

impl Step {
    /// All steps, in the order of sending.
    pub const ALL: [Self; 19] = [
        Self::ChainId,
        Self::ReadHead,
        Self::ReadNonce,
        Self::ReadState,
        Self::Fees,
        Self::Estimate,
        Self::Stub,
        Self::Sponsor,
        Self::JournalRead,
        Self::JournalWrite,
        Self::Send,
        Self::Bundle,
        Self::Look,
        Self::Hint,
        Self::Receipt,
        Self::Logs,
        Self::Header,
        Self::Finality,
        Self::Resume,
    ];

    /// Returns the name of the step.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChainId => "chain id",
            Self::ReadHead => "read head",
            Self::ReadNonce => "read nonce",
            Self::ReadState => "read state",
            Self::Fees => "fees",
            Self::Estimate => "estimate",
            Self::Stub => "stub",
            Self::Sponsor => "sponsor",
            Self::Send => "send",
            Self::Look => "look",
            Self::Finality => "finality",
            Self::Header => "header",
            Self::Hint => "hint",
            Self::Receipt => "receipt",
            Self::Logs => "logs",
            Self::Resume => "resume",
            Self::JournalRead => "journal read",
            Self::JournalWrite => "journal write",
            Self::Bundle => "bundle",
        }
    }
}

/// The position of one message in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spot {
    /// The sender.
    pub from: Actor,
    /// The receiver.
    pub to: Actor,
    /// The step.
    pub step: Step,
    /// The number of earlier messages with the same sender, receiver and step.
    pub nth: u32,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, step, nth } = self;
        write!(f, "{from} to {to}, {} #{nth}", step.name())
    }
}
