//! Ways to get user operations onto the chain: one trait, two of them here.
//!
//! - [`EntryPointSubmitter`]: an account of your own sends them to the EntryPoint in a transaction. No bundler needed.
//! - [`BundlerSubmitter`]: a bundler's JSON-RPC.
//!
//! A submitter hands an operation over and reports what the other side said. It never says what became of the operation: that
//! the [client](crate::operation) asks the chain.

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

/// Why the EntryPoint does not take an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The EntryPoint's code, if it gave one.
    // A `NotTaken` around it has a code of its own.
    #[serde(rename = "aaCode")]
    pub code: Option<AaCode>,
    /// The reason in the words of the EntryPoint or the bundler, cleaned and cut.
    #[serde(rename = "said")]
    pub reason: String,
    /// What the account or its plugin said, where that could be found out. The EntryPoint itself flattens it to
    /// "AA23 reverted (or OOG)".
    // A `Cause` around it is named by its `cause`.
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

/// Gas limits could not be estimated. Nothing that was signed left the process.
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

    /// The bundler does not take it, for reasons of its own.
    #[error("the operation was not taken: {0}")]
    NotTaken(NotTaken),

    /// The other side could not be asked.
    #[error("the {by} could not be asked: {error}")]
    Request {
        /// Who: `node` or `bundler`.
        by: String,
        /// How the request ended.
        error: RequestError,
    },

    /// The operation is for an EntryPoint that has no simulations.
    #[error("{0}")]
    OtherForm(OtherForm),

    /// The node answered a simulation with something else than an EntryPoint v0.6 does.
    #[error(
        "{0} did not answer as an EntryPoint of the operation's version; is this the right address and chain?"
    )]
    NotAnEntryPoint(Address),
}

/// How handing an operation over went. What became of the operation is another question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sent", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sent {
    /// The other side says that it has the operation, or had it before.
    Taken,
    /// No byte of it left the process.
    NeverLeft {
        /// Why.
        error: RequestError,
    },
    /// There was no answer, or none that says whether it was taken.
    NoAnswer {
        /// How the request ended.
        error: RequestError,
    },
    /// The other side says that it does not take it.
    NotTaken(NotTaken),
}

/// A way to get user operations onto the chain.
#[async_trait]
pub trait Submitter: fmt::Debug + Send + Sync {
    /// Gas limits for an operation that carries a dummy signature. What fails here would fail on chain.
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<Gas, EstimateError>;

    /// Whether [`estimate_gas`](Self::estimate_gas) asks the same node that the client asks, by simulating the operation there.
    /// If not, the client compares the estimate with a simulation of its own, and looks itself whether an operation's authorization
    /// (EIP-7702) is still needed, and good, before it is handed over.
    fn estimates_by_node(&self) -> bool {
        false
    }

    /// The nonce that an account has when the transaction with its operation carries out its authorization to delegate (EIP-7702), where
    /// the submitter has to do with that: it sends the account's own transactions. `None`: the account's next nonce.
    async fn authorization_nonce(&self, account: Address) -> Result<Option<u64>, RequestError> {
        let _ = account;
        Ok(None)
    }

    /// Hands an operation over, and reports what the other side said. Returns when the operation is on its way, not when it is
    /// included.
    ///
    /// The operation's hash is its identity: handing one over again that is on its way already, or included, changes nothing for
    /// the account.
    async fn send(&self, operation: &SignedOperation) -> Sent;

    /// A transaction that may hold the operation, where the other side names one. The client reads the transaction's receipt
    /// from the node and believes that alone.
    async fn transaction(&self, user_op_hash: B256) -> Result<Option<B256>, RequestError>;

    /// Whether the other side has an operation with this hash, on its way or included. Asked before an operation is first sent whose
    /// hash another process may have made, too.
    async fn knows(&self, user_op_hash: B256) -> Result<bool, RequestError> {
        Ok(self.transaction(user_op_hash).await?.is_some())
    }

    /// Fees that the other side wants, if it has an answer of its own. `None`: the node's are taken.
    async fn fees(&self, head: &Head) -> Result<Option<SuggestedFees>, RequestError> {
        let _ = head;
        Ok(None)
    }
}
