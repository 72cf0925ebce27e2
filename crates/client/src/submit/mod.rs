//! Ways to submit user operations: a trait, with two implementations.
//!
//! - [`EntryPointSubmitter`]: an ordinary account sends them to the EntryPoint in its transactions, without a
//!   bundler.
//! - [`BundlerSubmitter`]: a bundler's JSON-RPC.
//!
//! A submitter hands an operation over and reports the answer. It never decides the outcome: for that, the
//! [client](crate::operation) asks the chain.

mod bundler;
mod entry_point;
mod packed;
mod receipt;
mod refusal;
mod simulate;
#[cfg(test)]
mod wire;

pub use bundler::{BundlerFees, BundlerSubmitter};
pub use entry_point::{Bundle, BundleError, EntryPointSubmitter};
pub use receipt::Receipt;
pub(crate) use refusal::sent_to_node;
pub(crate) use simulate::{check_call_gas, estimate_call_gas};
pub use simulate::{explain_validation, minimum_pre_verification_gas, simulate_call_gas, simulate_gas};

use crate::{
    node::{Head, SuggestedFees},
    operation::{Gas, NotTaken},
    permissions::{AaCode, OtherForm, SignedOperation, UserOperation},
    request::RequestError,
    revert::Revert,
};
use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why the EntryPoint refuses an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The EntryPoint's code, if it gave one.
    // An outer `NotTaken` has its own `code`.
    #[serde(rename = "aaCode")]
    pub code: Option<AaCode>,
    /// The reason given by the EntryPoint or the bundler, cleaned and truncated.
    #[serde(rename = "said")]
    pub reason: String,
    /// The revert of the account or its plugin, if it could be determined. The EntryPoint itself reduces it
    /// to "AA23 reverted (or OOG)".
    // An outer `Cause` uses the name `cause`.
    #[serde(rename = "revert", alias = "cause")]
    pub cause: Option<Revert>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cause, self.code) {
            (Some(cause), _) => write!(f, "{cause} ({})", self.reason),
            (None, Some(code)) => write!(f, "{} ({})", code.description(), self.reason),
            (None, None) => f.write_str(&self.reason),
        }
    }
}

/// Gas limits could not be estimated. Nothing signed left the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failed", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EstimateError {
    /// The EntryPoint, the account or the paymaster refuses the operation.
    #[error("the operation is refused: {0}")]
    Refused(Refusal),

    /// Its call would revert.
    #[error("the call would revert: {0}")]
    WouldRevert(Revert),

    /// The bundler refuses it for its own reasons.
    #[error("the operation was not accepted: {0}")]
    NotTaken(NotTaken),

    /// The other side could not be reached, or its answer could not be parsed.
    #[error("the {by} could not be asked: {error}")]
    Request {
        /// `node` or `bundler`.
        by: String,
        /// The request's error.
        error: RequestError,
    },

    /// The operation is for an EntryPoint without simulation functions.
    #[error("{0}")]
    OtherForm(OtherForm),

    /// The node's answer to a simulation is not an EntryPoint v0.6's.
    #[error(
        "{0} did not answer as an EntryPoint of the operation's version; is this the right address and chain?"
    )]
    NotAnEntryPoint(Address),
}

/// The result of handing an operation over. Its outcome is a separate question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sent", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sent {
    /// The other side has accepted the operation, or had it before.
    Taken,
    /// No byte of it left the process.
    NeverLeft {
        /// The reason.
        error: RequestError,
    },
    /// There was no answer, or an ambiguous one.
    NoAnswer {
        /// The request's error.
        error: RequestError,
    },
    /// The other side has refused it.
    NotTaken(NotTaken),
}

/// A way to submit user operations.
#[async_trait]
pub trait Submitter: fmt::Debug + Send + Sync {
    /// Estimates gas limits for an operation with a dummy signature. An error here would also occur on chain.
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<Gas, EstimateError>;

    /// Whether [`estimate_gas`](Self::estimate_gas) simulates on the client's own node. If not, the client
    /// compares the estimate with its own simulation.
    fn estimates_by_node(&self) -> bool {
        false
    }

    /// Hands an operation over, and reports the answer. Returns once it was handed over, not once it is
    /// included.
    ///
    /// An operation is identified by its hash: handing over a pending or included one again has no effect on
    /// the account.
    async fn send(&self, operation: &SignedOperation) -> Sent;

    /// Returns a transaction that may contain the operation, if the other side names one. The client trusts
    /// only the transaction's receipt from the node.
    async fn transaction(&self, user_op_hash: B256) -> Result<Option<B256>, RequestError>;

    /// Whether the other side has an operation with this hash, pending or included. Called before first
    /// sending an operation whose hash another process may have produced, too.
    async fn knows(&self, user_op_hash: B256) -> Result<bool, RequestError> {
        Ok(self.transaction(user_op_hash).await?.is_some())
    }

    /// Returns the other side's own fee suggestions. `None`: the node's are used.
    async fn fees(&self, head: &Head) -> Result<Option<SuggestedFees>, RequestError> {
        let _ = head;
        Ok(None)
    }
}
