//! The outcomes of requests.

use crate::{
    delegation::AuthorizationError,
    journal::{BlockRef, Handover, OperationRecord, VoidDepth},
    permissions::{AaCode, Verdict},
    revert::Revert,
    submit::{Receipt, Refusal},
};
use alloy::primitives::{B256, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How deep an operation's block must be before it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Depth {
    /// Any block of the canonical chain, including the latest. A reorganization can still undo it.
    #[default]
    Latest,
    /// This many blocks below the latest one.
    Blocks(u64),
    /// The depth at which the client stops watching: the node's `finalized` block or, if the node does not
    /// return it, the number of blocks known for the chain (64 by default).
    Final,
}

/// An operation that the canonical chain includes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Included {
    /// The operation, its transaction and block, and its cost: from the EntryPoint's event in the node's
    /// receipt.
    pub receipt: Receipt,
    /// Whether its calls took effect. If not, it was paid for nevertheless.
    pub success: bool,
    /// Why its calls reverted, if they did. [`Revert::Unknown`] without bytes if they ran out of gas or gave
    /// no reason.
    pub reason: Option<Revert>,
    /// The model's verdict before signing, if it was uncertain: the key's plugin may not enforce a rule that
    /// the operation breaks.
    pub doubt: Option<Verdict>,
    /// The latest block when this was last seen to hold.
    pub seen: BlockRef,
    /// Whether the block is deep enough for the client to stop watching.
    pub is_final: bool,
}

impl Included {
    /// Returns the block that includes it.
    pub const fn block(&self) -> BlockRef {
        BlockRef {
            number: self.receipt.block_number,
            hash: self.receipt.block_hash,
        }
    }

    /// Returns how many blocks were on top of its block when this was last seen to hold.
    pub const fn confirmations(&self) -> u64 {
        self.seen.number.saturating_sub(self.receipt.block_number)
    }

    /// Whether it is this deep.
    pub const fn has_depth(&self, depth: Depth) -> bool {
        match depth {
            Depth::Latest => true,
            Depth::Blocks(blocks) => self.is_final || self.confirmations() >= blocks,
            Depth::Final => self.is_final,
        }
    }
}

/// Why an operation can never be included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Void {
    /// The nonce that was passed.
    pub nonce: U256,
    /// A block in which it was passed.
    pub block: BlockRef,
    /// The depth of this block.
    pub depth: VoidDepth,
    /// The operation that used the nonce, if its event was found. `None`: none of the intent's operations is
    /// in any block up to this one.
    pub used_by: Option<B256>,
}

/// Why an operation was refused, as far as the other side says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotTakenReason {
    /// The EntryPoint, the account or the paymaster refuses it.
    Refused(Refusal),
    /// Its call would revert.
    WouldRevert {
        /// The revert.
        revert: Revert,
    },
    /// A fee is too low.
    FeeTooLow {
        /// The minimum fee in wei per gas unit, if it was named.
        least: Option<U256>,
    },
    /// `preVerificationGas` is too low.
    PreVerificationGasTooLow {
        /// The minimum in gas units, if it was named.
        least: Option<U256>,
    },
    /// Another operation has the nonce, and this one does not pay enough to replace it.
    ReplacementUnderpriced,
    /// The account, or the sender of the transaction, lacks funds.
    Funds,
    /// The account or the paymaster has a bad reputation with the bundler, or too many operations in its
    /// pool.
    Reputation,
    /// Its nonce is ahead of what the other side knows.
    NonceAhead,
    /// Its authorization (EIP-7702) is invalid.
    Authorization(AuthorizationError),
    /// 401, 403 or 404: the request was not processed.
    TurnedAway {
        /// The HTTP status.
        status: u16,
    },
    /// Too many requests.
    RateLimited {
        /// Seconds to wait, if named.
        retry_after: Option<u64>,
    },
    /// Anything else.
    Other,
}

/// A bundler or node refused an operation. This reports what it said, and guarantees nothing: anyone who saw
/// the operation can still include it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotTaken {
    /// `bundler` or `node`.
    pub by: String,
    /// The error's code, if any.
    pub code: Option<i64>,
    /// The other side's message, cleaned and truncated.
    pub message: String,
    /// The interpreted reason.
    #[serde(flatten)]
    pub reason: NotTakenReason,
}

impl NotTaken {
    /// Returns the answer to an operation with an invalid authorization.
    pub(crate) fn not_authorized(by: &str, error: AuthorizationError) -> Self {
        Self {
            by: by.to_owned(),
            code: None,
            message: error.to_string(),
            reason: NotTakenReason::Authorization(error),
        }
    }

    /// Whether waiting alone may change the answer.
    pub(super) fn is_passing(&self) -> bool {
        match &self.reason {
            NotTakenReason::NonceAhead | NotTakenReason::RateLimited { .. } => true,
            NotTakenReason::Refused(refusal) => refusal.code == Some(AaCode::InvalidNonce),
            _ => false,
        }
    }
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            by, message, reason, ..
        } = self;
        match reason {
            NotTakenReason::Refused(refusal) => write!(f, "the {by} refuses it: {refusal}"),
            NotTakenReason::WouldRevert { revert } => {
                write!(f, "the {by} says that its call reverts: {revert}")
            }
            NotTakenReason::FeeTooLow { least: Some(least) } => {
                write!(
                    f,
                    "the {by} wants a fee of at least {least} wei per gas unit: {message}"
                )
            }
            NotTakenReason::FeeTooLow { least: None } => {
                write!(f, "the fee is too low for the {by}: {message}")
            }
            NotTakenReason::PreVerificationGasTooLow { least: Some(least) } => {
                write!(
                    f,
                    "the {by} wants at least {least} gas units of pre-verification gas: {message}"
                )
            }
            NotTakenReason::PreVerificationGasTooLow { least: None } => {
                write!(f, "the pre-verification gas is too low for the {by}: {message}")
            }
            NotTakenReason::ReplacementUnderpriced => {
                write!(f, "the {by} has another operation with this nonce: {message}")
            }
            NotTakenReason::Funds => write!(f, "the {by} finds too little to pay with: {message}"),
            NotTakenReason::Reputation => {
                write!(f, "the {by} limits the account or the paymaster: {message}")
            }
            NotTakenReason::NonceAhead => {
                write!(f, "the {by} does not know the nonces before this one: {message}")
            }
            NotTakenReason::Authorization(error) => write!(f, "the {by} cannot carry it out: {error}"),
            NotTakenReason::TurnedAway { status } => write!(f, "the {by} turned the request away ({status})"),
            NotTakenReason::RateLimited { .. } => write!(f, "the {by} limits requests: {message}"),
            NotTakenReason::Other => write!(f, "the {by} says: {message}"),
        }
    }
}

/// The state of an open intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "open", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Open {
    /// It was sent, or may have been, and no one answered what they did with it.
    NoAnswer,
    /// It is in a pool.
    InPool,
    /// It was refused.
    NotTaken(NotTaken),
    /// Its nonce is used: by another operation that is not deep enough yet for this one to be void, or by
    /// itself, without a visible event yet.
    NonceUsed {
        /// The other operation, if its event was found.
        by: Option<B256>,
    },
    /// Its nonce is above the lane's next one: it waits for that one to be used.
    NonceGap {
        /// Its nonce.
        nonce: U256,
        /// The lane's next nonce.
        next: U256,
        /// The open operation that has the next nonce, and comes first. `None`: no known operation has it.
        #[serde(default)]
        by: Option<B256>,
    },
}

/// The outcome of an intent: it holds for the block and the depth that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// One of its operations is included.
    Included(Included),
    /// It can no longer be included.
    Void(Void),
    /// Nothing signed left the process.
    NeverSent,
    /// It can still be included.
    Open(Open),
}

impl Outcome {
    /// Returns the outcome of an intent with these operations.
    pub(crate) fn of(operations: &[OperationRecord]) -> Self {
        let included = || {
            operations
                .iter()
                .filter_map(|operation| operation.included.as_ref())
        };
        let last_included = included()
            .find(|included| included.success)
            .or(included().next_back());
        // An operation whose calls reverted can have a successor with another nonce.
        let is_excluded = |operation: &OperationRecord| {
            included().any(|included| included.success || included.receipt.nonce == operation.nonce())
        };
        let open = || {
            operations
                .iter()
                .filter(|operation| operation.is_open() && !is_excluded(operation))
        };
        if let Some(included) = last_included
            && open().next().is_none()
        {
            return Self::Included(included.clone());
        }
        let Some(last) = open().next_back() else {
            let void = operations
                .iter()
                .filter(|operation| operation.handover.may_have_left())
                .filter_map(|operation| operation.void.as_ref())
                .next_back();
            return void.map_or(Self::NeverSent, |void| Self::Void(void.clone()));
        };
        if open().all(|operation| operation.nonce_past.is_some()) {
            let by = open().find_map(|operation| operation.nonce_past?.used_by);
            return Self::Open(Open::NonceUsed { by });
        }
        // Other answers about it may only concern the nonce.
        let is_refused = matches!(&last.handover, Handover::NotTaken(not_taken) if !not_taken.is_passing());
        if let Some(gap) = last.nonce_gap
            && !is_refused
            && open().all(|operation| operation.nonce_gap.is_some())
        {
            return Self::Open(Open::NonceGap {
                nonce: last.nonce(),
                next: gap.next,
                by: gap.by,
            });
        }
        if open().any(|operation| operation.handover == Handover::InPool) {
            return Self::Open(Open::InPool);
        }
        Self::Open(match &last.handover {
            Handover::NotTaken(not_taken) => Open::NotTaken(not_taken.clone()),
            _ => Open::NoAnswer,
        })
    }

    /// Returns whether anything of it happened.
    pub const fn happened(&self) -> Happened {
        match self {
            Self::Included(included) if included.success => Happened::Yes,
            Self::Included(_) => Happened::Reverted,
            Self::Void(_) | Self::NeverSent => Happened::No,
            Self::Open(Open::NotTaken(_) | Open::NonceUsed { by: Some(_) } | Open::NonceGap { .. }) => {
                Happened::NotYet
            }
            Self::Open(_) => Happened::Unknown,
        }
    }
}

/// Whether a request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happened {
    /// It is included, and its calls took effect.
    Yes,
    /// Nothing of it happened or can happen: it was never sent, or is void. It is safe to request it again.
    No,
    /// It was included and paid for, but its calls reverted. A reorganization can undo that until the
    /// block is final.
    Reverted,
    /// It was refused, or something blocks it. Anyone who received it could still include it.
    NotYet,
    /// No one answered, or it is in a pool: it may happen.
    Unknown,
}
