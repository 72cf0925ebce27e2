//! Getting user operations onto the chain: one trait, several ways.
//!
//! - [`EntryPointSubmitter`]: an account of your own sends them to the EntryPoint in a transaction. No bundler needed.
//! - [`BundlerSubmitter`]: a bundler's JSON-RPC.

mod bundler;
mod entry_point;
mod receipt;
mod simulate;

pub use bundler::BundlerSubmitter;
pub use entry_point::{Bundle, EntryPointSubmitter};
pub use receipt::{Outcome, Receipt};
pub use simulate::{GasEstimate, explain_validation, simulate_gas};

use crate::revert::Revert;
use alloy::{
    primitives::{Address, B256},
    transports::TransportError,
};
use async_trait::async_trait;
use session_key_permissions::{AaCode, SignedOperation, UserOperation};
use std::{fmt, time::Duration};

/// Why the EntryPoint or a bundler did not take an operation. Nothing of it happened, and the account paid nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub struct Refusal {
    /// The EntryPoint's code, if it gave one.
    pub code: Option<AaCode>,
    /// The reason in the words of the EntryPoint or the bundler.
    pub reason: String,
    /// What the account or its plugin said, where that could be found out. The EntryPoint itself flattens it to
    /// "AA23 reverted (or OOG)".
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

/// An operation was not sent, or it is not known what became of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Refused in validation. Nothing of it happened.
    #[error("the operation was refused: {0}")]
    Refused(Refusal),

    /// An operation of a bundle was refused in validation. None of the bundle was sent.
    #[error("operation {hash} of the bundle was refused: {refusal}")]
    RefusedInBundle {
        /// The operation's hash.
        hash: B256,
        /// Why it was refused.
        refusal: Refusal,
    },

    /// Its call would revert. It was not sent.
    #[error("the operation would fail: {0}")]
    WouldRevert(Revert),

    /// The node or bundler could not be asked, or refused. The operation was not sent.
    #[error("the node could not answer")]
    Rpc(#[from] TransportError),

    /// The connection failed while the operation was being sent, or the answer does not rule out that it arrived. Look for
    /// its receipt, or send the very same operation again; a new one with another nonce could make it happen twice.
    #[error("operation {hash} may have been sent")]
    MaybeSent {
        /// The operation's hash; of several in a transaction, that of the first.
        hash: B256,
        /// What failed.
        #[source]
        error: TransportError,
    },

    /// No receipt in time. The operation may still be included.
    #[error("operation {hash} was not included within {waited:?}; it may still be")]
    Timeout {
        /// The operation's hash.
        hash: B256,
        /// How long it was waited for.
        waited: Duration,
    },

    /// The bundler or EntryPoint is for another EntryPoint address or chain than the operation.
    #[error(
        "operation hash {expected} expected, but the bundler computed {found}; it serves another chain or EntryPoint"
    )]
    HashMismatch {
        /// The hash that was signed.
        expected: B256,
        /// The bundler's.
        found: B256,
    },

    /// The node answered a simulation with something else than an EntryPoint v0.6 does.
    #[error("{0} did not answer as an EntryPoint v0.6; is this the right address and chain?")]
    NotAnEntryPoint(Address),
}

impl SubmitError {
    /// Refused because another operation has the nonce, or has used it.
    pub(crate) const fn is_invalid_nonce(&self) -> bool {
        matches!(
            self,
            Self::Refused(Refusal {
                code: Some(AaCode::InvalidNonce),
                ..
            })
        )
    }
}

// Its text is in the error's own: it is not a source besides.
impl From<Refusal> for SubmitError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A way to get user operations onto the chain.
#[async_trait]
pub trait Submitter: fmt::Debug + Send + Sync {
    /// Gas limits for an operation that carries a dummy signature. What fails here would fail on chain.
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<GasEstimate, SubmitError>;

    /// Sends an operation. Returns when it is on its way, not when it is included.
    ///
    /// The operation's hash is its identity: sending one again that is on its way already, or included, changes nothing for
    /// the account and is no error. So after [`SubmitError::MaybeSent`] the same operation can be sent again.
    async fn send(&self, operation: &SignedOperation) -> Result<(), SubmitError>;

    /// What became of an operation; `None` as long as it is not included.
    async fn outcome(&self, user_op_hash: B256) -> Result<Option<Outcome>, SubmitError>;

    /// Waits until an operation is included, for `timeout` at the most. Only reads, so that it can be cancelled and called
    /// again. That the node cannot answer for a while says nothing about the operation: it is asked again until the time is
    /// over.
    async fn wait(&self, user_op_hash: B256, timeout: Duration) -> Result<Outcome, SubmitError> {
        self.wait_any(&[user_op_hash], timeout).await
    }

    /// The same for operations with one nonce, of which one at the most is included: an operation and what replaces it, in
    /// the order in which they were sent. [`Receipt::user_op_hash`] says which it was. An error names the last of them.
    async fn wait_any(&self, user_op_hashes: &[B256], timeout: Duration) -> Result<Outcome, SubmitError> {
        let hash = user_op_hashes.last().copied().unwrap_or_default();
        let mut failure = None;
        let poll = async {
            let mut pause = Duration::from_millis(5);
            loop {
                match first_outcome(self, user_op_hashes).await {
                    Ok(Some(outcome)) => return Ok(outcome),
                    Ok(None) => failure = None,
                    Err(SubmitError::Rpc(error)) => failure = Some(error),
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 3 / 2).min(Duration::from_secs(2));
            }
        };
        match tokio::time::timeout(timeout, poll).await {
            Ok(found) => found,
            Err(_) => Err(match failure {
                Some(error) => SubmitError::MaybeSent { hash, error },
                None => SubmitError::Timeout {
                    hash,
                    waited: timeout,
                },
            }),
        }
    }
}

/// The outcome of the operation that was included. That one was dropped decides nothing while another can still come.
async fn first_outcome<S: Submitter + ?Sized>(
    submitter: &S,
    user_op_hashes: &[B256],
) -> Result<Option<Outcome>, SubmitError> {
    let mut dropped = None;
    let mut pending = false;
    for hash in user_op_hashes {
        match submitter.outcome(*hash).await? {
            Some(outcome @ Outcome::Dropped { .. }) => dropped = Some(outcome),
            Some(outcome) => return Ok(Some(outcome)),
            None => pending = true,
        }
    }
    Ok(dropped.filter(|_| !pending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::transports::TransportErrorKind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Cannot answer the first `failures` times.
    #[derive(Debug)]
    struct Flaky {
        failures: usize,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Submitter for Flaky {
        async fn estimate_gas(&self, _: &UserOperation) -> Result<GasEstimate, SubmitError> {
            unreachable!("waiting does not estimate")
        }

        async fn send(&self, _: &SignedOperation) -> Result<(), SubmitError> {
            unreachable!("waiting does not send")
        }

        async fn outcome(&self, hash: B256) -> Result<Option<Outcome>, SubmitError> {
            if self.asked.fetch_add(1, Ordering::Relaxed) < self.failures {
                return Err(TransportErrorKind::custom_str("no connection").into());
            }
            Ok(Some(Outcome::Dropped {
                transaction_hash: hash,
                reason: None,
            }))
        }
    }

    // "Not sent" would be a lie here, and could make a caller send it anew.
    #[tokio::test]
    async fn a_node_that_cannot_answer_says_nothing_about_the_operation() {
        let hash = B256::repeat_byte(1);
        let flaky = |failures| Flaky {
            failures,
            asked: AtomicUsize::new(0),
        };
        let outcome = flaky(3).wait(hash, Duration::from_secs(10)).await.unwrap();
        assert_eq!(
            outcome,
            Outcome::Dropped {
                transaction_hash: hash,
                reason: None
            }
        );
        let error = flaky(usize::MAX)
            .wait(hash, Duration::from_millis(20))
            .await
            .unwrap_err();
        assert!(
            matches!(error, SubmitError::MaybeSent { hash: named, .. } if named == hash),
            "{error}"
        );
    }

    /// The first operation was dropped; of its replacement nothing is known yet.
    #[derive(Debug)]
    struct OneDropped(B256);

    #[async_trait]
    impl Submitter for OneDropped {
        async fn estimate_gas(&self, _: &UserOperation) -> Result<GasEstimate, SubmitError> {
            unreachable!("waiting does not estimate")
        }

        async fn send(&self, _: &SignedOperation) -> Result<(), SubmitError> {
            unreachable!("waiting does not send")
        }

        async fn outcome(&self, hash: B256) -> Result<Option<Outcome>, SubmitError> {
            Ok((hash == self.0).then_some(Outcome::Dropped {
                transaction_hash: hash,
                reason: None,
            }))
        }
    }

    #[tokio::test]
    async fn a_dropped_operation_decides_nothing_while_its_replacement_can_come() {
        let [dropped, replacement] = [1, 2].map(B256::repeat_byte);
        let submitter = OneDropped(dropped);
        let timeout = Duration::from_millis(20);
        let alone = submitter.wait_any(&[dropped], timeout).await.unwrap();
        assert!(matches!(alone, Outcome::Dropped { .. }));
        let error = submitter
            .wait_any(&[dropped, replacement], timeout)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SubmitError::Timeout { hash, .. } if hash == replacement),
            "{error}"
        );
    }
}
