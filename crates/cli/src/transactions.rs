//! Plain transactions of the funder, one after the other.

use eyre::{Result, bail};
use session_key_client::{
    Node, RequestError, Revert,
    alloy::{
        network::TransactionBuilder as _,
        primitives::{Address, B256, Bytes, U64, U256},
        providers::{DynProvider, Provider as _},
        rpc::types::TransactionRequest,
    },
    node::TransactionReceipt,
    operation::{Bounds, OverBound},
    request::ErrorAnswer,
};
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a transaction or an operation may take to be included.
pub(crate) const INCLUSION_TIMEOUT: Duration = Duration::from_secs(180);
/// How far apart its receipt is asked for, at first and at last.
const RECEIPT_INTERVALS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// How long a node may be behind one that has told of a block.
const LAG: Duration = Duration::from_secs(20);

/// A transaction did not do what it should, or is not known to have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionError {
    /// It would revert, cannot be paid, or the node does not answer.
    #[error("{what}: {}", words(error))]
    NotSent { what: String, error: RequestError },

    /// The node suggests absurd fees.
    #[error("{what}: {over}")]
    OverBound { what: String, over: OverBound },

    /// It was handed over, and nobody said that it was taken.
    #[error("{what}: the transaction may have been sent: {error}")]
    NoAnswer { what: String, error: RequestError },

    /// It was sent, and not seen since.
    #[error(
        "{what}: transaction {transaction} was not seen in a block for {} s{}",
        INCLUSION_TIMEOUT.as_secs(),
        because(error.as_ref())
    )]
    NotIncluded {
        what: String,
        transaction: B256,
        error: Option<RequestError>,
    },

    /// It was included, and reverted.
    #[error("{what}: transaction {transaction} reverted")]
    Reverted { what: String, transaction: B256 },
}

/// The error; of a revert, what it says, where that is known.
fn words(error: &RequestError) -> String {
    if let RequestError::Answered(ErrorAnswer { data: Some(data), .. }) = error {
        match Revert::decode(data) {
            Revert::Unknown(_) => {}
            revert => return format!("it would revert: {revert}"),
        }
    }
    error.to_string()
}

fn because(error: Option<&RequestError>) -> impl fmt::Display {
    error.map_or_else(String::new, |error| format!(" ({error})"))
}

impl TransactionError {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::OverBound { .. } => "over_bound",
            Self::NoAnswer { .. } => "no_answer",
            Self::NotIncluded { .. } => "not_included",
            Self::Reverted { .. } => "reverted",
        }
    }

    /// Whether it was sent, or may have been, and what became of it is not known.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::NotIncluded { .. })
    }

    /// Its hash, once it is known.
    pub(crate) const fn transaction(&self) -> Option<B256> {
        match self {
            Self::NotIncluded { transaction, .. } | Self::Reverted { transaction, .. } => Some(*transaction),
            _ => None,
        }
    }
}

/// Sends transactions of one account, and waits for each.
#[derive(Clone, Debug)]
pub(crate) struct Transactions {
    node: Node,
    from: Address,
    chain_id: u64,
    bounds: Bounds,
}

impl Transactions {
    /// The provider signs for `from`.
    pub(crate) fn new(provider: DynProvider, from: Address, chain_id: u64, bounds: Bounds) -> Self {
        Self {
            node: Node::new(provider),
            from,
            chain_id,
            bounds,
        }
    }

    /// Calls a contract, with ether or without.
    pub(crate) async fn call(
        &self,
        what: &str,
        to: Address,
        value: U256,
        data: Vec<u8>,
    ) -> Result<TransactionReceipt, TransactionError> {
        let transaction = TransactionRequest::default()
            .with_to(to)
            .with_value(value)
            .with_input(Bytes::from(data));
        self.send(what, transaction).await
    }

    /// Sends a transaction, and waits until it is included and the node knows of its block.
    pub(crate) async fn send(
        &self,
        what: &str,
        transaction: TransactionRequest,
    ) -> Result<TransactionReceipt, TransactionError> {
        let not_sent = |error| TransactionError::NotSent {
            what: what.to_owned(),
            error,
        };
        let head = self.node.head().await.map_err(not_sent)?;
        let fees = self.node.fees(&head).await.map_err(not_sent)?;
        let max_priority_fee = fees.max_priority_fee.min(fees.max_fee);
        self.bounds
            .check_fees(
                fees.base_fee,
                U256::from(fees.max_fee),
                U256::from(max_priority_fee),
            )
            .map_err(|over| TransactionError::OverBound {
                what: what.to_owned(),
                over,
            })?;
        let mut transaction = transaction.with_from(self.from);
        let gas: U64 = self
            .node
            .request("eth_estimateGas", (&transaction,))
            .await
            .map_err(not_sent)?;
        let gas: u64 = gas.to();
        // Room for what changes until it is included.
        transaction.set_gas_limit(gas.saturating_add(gas / 4));
        transaction.set_chain_id(self.chain_id);
        if head.base_fee.is_some() {
            transaction.set_max_fee_per_gas(fees.max_fee);
            transaction.set_max_priority_fee_per_gas(max_priority_fee);
        } else {
            transaction.set_gas_price(fees.max_fee);
        }
        let nonce = self.node.transaction_count(self.from, true).await;
        transaction.set_nonce(nonce.map_err(not_sent)?);

        let sent = self.node.provider().send_transaction(transaction).await;
        let hash = match sent {
            Ok(pending) => *pending.tx_hash(),
            Err(error) => {
                let error = RequestError::of("eth_sendRawTransaction", &error);
                return Err(match error {
                    RequestError::NotReached { .. } | RequestError::NotMade { .. } => not_sent(error),
                    // Whatever else is said: it may have been passed on.
                    error => TransactionError::NoAnswer {
                        what: what.to_owned(),
                        error,
                    },
                });
            }
        };
        let receipt = self.receipt(what, hash).await?;
        // One that is behind is no reason to stop: what it answers next is looked at again.
        let _ = caught_up(&self.node, receipt.block_number).await;
        if receipt.success == Some(false) {
            return Err(TransactionError::Reverted {
                what: what.to_owned(),
                transaction: hash,
            });
        }
        Ok(receipt)
    }

    async fn receipt(&self, what: &str, hash: B256) -> Result<TransactionReceipt, TransactionError> {
        let until = Instant::now() + INCLUSION_TIMEOUT;
        let [mut interval, longest] = RECEIPT_INTERVALS;
        loop {
            let error = match self.node.receipt(hash).await {
                Ok(Some(receipt)) => return Ok(receipt),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if Instant::now() >= until {
                return Err(TransactionError::NotIncluded {
                    what: what.to_owned(),
                    transaction: hash,
                    error,
                });
            }
            sleep(interval).await;
            interval = (interval * 2).min(longest);
        }
    }

    /// Waits until nothing of the account's waits to be included, for a while.
    pub(crate) async fn settle(&self) -> Result<()> {
        let until = Instant::now() + INCLUSION_TIMEOUT;
        loop {
            let (included, known) = tokio::try_join!(
                self.node.transaction_count(self.from, false),
                self.node.transaction_count(self.from, true)
            )?;
            if known <= included {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!("{} transactions of {} wait", known - included, self.from);
            }
            sleep(RECEIPT_INTERVALS[1]).await;
        }
    }
}

/// Waits until a node knows of a block: behind one URL there may be many nodes.
pub(crate) async fn caught_up(node: &Node, block: u64) -> Result<(), RequestError> {
    let until = Instant::now() + LAG;
    while node.head().await?.number < block && Instant::now() < until {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
