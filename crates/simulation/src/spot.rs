//! Where in a history something happens: who to whom, at which step of sending, for the how manieth time.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Somebody who sends or receives messages.
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
    /// Where processes keep their journals.
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
    /// A number of its own.
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
    /// Which chain the node is of.
    ChainId,
    /// The newest block, before anything is sent.
    ReadHead,
    /// The lane's nonce, before anything is sent.
    ReadNonce,
    /// The account and the key, before anything is sent.
    ReadState,
    /// What fees are.
    Fees,
    /// Gas limits.
    Estimate,
    /// The paymaster's data for the estimate.
    Stub,
    /// The paymaster's data that are signed.
    Sponsor,
    /// Handing over an operation, or a transaction.
    Send,
    /// The newest block and the nonce, after something was sent.
    Look,
    /// The final block.
    Finality,
    /// Whether a block is canonical.
    Header,
    /// Asking a bundler where an operation stands.
    Hint,
    /// A transaction's receipt.
    Receipt,
    /// Events.
    Logs,
    /// Whatever is asked for while open intents are taken up.
    Resume,
    /// Reading in the journal.
    JournalRead,
    /// Writing to the journal.
    JournalWrite,
    /// A bundler's transaction.
    Bundle,
}

impl Step {
    /// All of them, in the order of sending.
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

    /// In a word or two.
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

/// One message, by who sent it to whom, at which step, and how many such there were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spot {
    /// Who sent it.
    pub from: Actor,
    /// To whom.
    pub to: Actor,
    /// For what.
    pub step: Step,
    /// How many there were before, with the same sender, receiver and step.
    pub nth: u32,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, step, nth } = self;
        write!(f, "{from} to {to}, {} #{nth}", step.name())
    }
}
