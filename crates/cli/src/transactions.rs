//! Plain transactions of one account, one after the other.

use crate::purse::Purse;
use eyre::{Result, bail};
use session_key_client::{
    Node, RequestError, Revert,
    alloy::{
        primitives::{Address, B256, U256},
        providers::DynProvider,
    },
    node::TransactionReceipt,
    operation::Bounds,
    request::ErrorAnswer,
    transaction::{Seen, SendError, SignedTransaction, TransactionEnd, TransactionSender},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) use session_key_client::transaction::INCLUSION_TIMEOUT;

/// How far apart it is asked whether others are included.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a node may be behind one that has told of a block.
const LAG: Duration = Duration::from_secs(20);

/// A transaction did not do what it should, or is not known to have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionError {
    /// It was not sent, or it is not known what became of it.
    #[error("{what}: {}", words(error))]
    Failed { what: String, error: SendError },

    /// It could not be written down, and so was not sent.
    #[error("{what}: transaction {transaction} was not sent, because it could not be written down: {reason}")]
    NotKept {
        what: String,
        transaction: B256,
        reason: String,
    },

    /// Another transaction has its nonce.
    #[error(
        "{what}: transaction {transaction} is void, because another one has used its nonce ({nonce}): nothing came of it; the same \
         command does it afresh"
    )]
    Void {
        what: String,
        transaction: B256,
        nonce: u64,
    },

    /// It was included, and reverted.
    #[error("{what}: transaction {transaction} reverted")]
    Reverted { what: String, transaction: B256 },
}

/// The error; of a revert, what it says, where that is known.
fn words(error: &SendError) -> String {
    if let SendError::NotPrepared(RequestError::Answered(ErrorAnswer { data: Some(data), .. })) = error {
        match Revert::decode(data) {
            Revert::Unknown(_) => {}
            revert => return format!("it would revert: {revert}"),
        }
    }
    error.to_string()
}

impl TransactionError {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Failed { error, .. } => error.code(),
            Self::NotKept { .. } => "not_kept",
            Self::Void { .. } => "void",
            Self::Reverted { .. } => "reverted",
        }
    }

    /// Whether it was sent, or may have been, and what became of it is not known.
    pub(crate) const fn is_open(&self) -> bool {
        match self {
            Self::Failed { error, .. } => error.is_open(),
            _ => false,
        }
    }

    /// Its hash, once it is known.
    pub(crate) const fn transaction(&self) -> Option<B256> {
        match self {
            Self::Failed { error, .. } => error.transaction(),
            Self::NotKept { transaction, .. }
            | Self::Void { transaction, .. }
            | Self::Reverted { transaction, .. } => Some(*transaction),
        }
    }
}

/// Sends transactions of one account, and waits for each.
#[derive(Clone, Debug)]
pub(crate) struct Transactions {
    node: Node,
    sender: TransactionSender,
    purse: Purse,
    bounds: Bounds,
}

impl Transactions {
    /// The purse signs, and pays.
    pub(crate) fn new(provider: DynProvider, purse: Purse, chain_id: u64, bounds: Bounds) -> Self {
        Self {
            node: Node::new(provider.clone()),
            sender: TransactionSender::new(provider, chain_id),
            purse,
            bounds,
        }
    }

    const fn from(&self) -> Address {
        self.purse.address()
    }

    /// Calls a contract, with ether or without.
    pub(crate) async fn call(
        &self,
        what: &str,
        to: Address,
        value: U256,
        data: Vec<u8>,
    ) -> Result<TransactionReceipt, TransactionError> {
        let signed = self.sign(what, to, value, data).await?;
        self.send(what, &signed).await
    }

    /// Signs a call of a contract, and sends nothing.
    pub(crate) async fn sign(
        &self,
        what: &str,
        to: Address,
        value: U256,
        data: Vec<u8>,
    ) -> Result<SignedTransaction, TransactionError> {
        let signed = self
            .sender
            .sign(to, value, data.into(), &self.bounds, &self.purse)
            .await;
        signed.map_err(failed(what))
    }

    /// Sends a transaction, and waits until it is included and the node knows of its block.
    pub(crate) async fn send(
        &self,
        what: &str,
        signed: &SignedTransaction,
    ) -> Result<TransactionReceipt, TransactionError> {
        self.sender.hand_over(signed).await.map_err(failed(what))?;
        let kept = std::slice::from_ref(signed);
        let end = self.sender.wait(self.from(), kept).await;
        self.ended(what, signed, end.map_err(failed(what))?).await
    }

    /// Sees transactions to their end that an earlier run has signed, all with the same nonce: sends the latest again, unless one of
    /// them is decided.
    pub(crate) async fn take_up(
        &self,
        what: &str,
        kept: &[SignedTransaction],
        latest: &SignedTransaction,
    ) -> Result<TransactionReceipt, TransactionError> {
        let end = self.sender.take_up(self.from(), kept).await;
        self.ended(what, latest, end.map_err(failed(what))?).await
    }

    /// What takes the place of transactions that wait, if their fees are too low by now. Sends nothing.
    pub(crate) async fn replacement(
        &self,
        kept: &[SignedTransaction],
    ) -> Result<Option<SignedTransaction>, SendError> {
        self.sender.replacement(kept, &self.bounds, &self.purse).await
    }

    async fn ended(
        &self,
        what: &str,
        latest: &SignedTransaction,
        end: TransactionEnd,
    ) -> Result<TransactionReceipt, TransactionError> {
        let TransactionEnd::Included(receipt) = end else {
            return Err(TransactionError::Void {
                what: what.to_owned(),
                transaction: latest.hash,
                nonce: latest.nonce,
            });
        };
        // One that is behind is no reason to stop: what it answers next is looked at again.
        let _ = caught_up(&self.node, receipt.block_number).await;
        if receipt.success == Some(false) {
            return Err(TransactionError::Reverted {
                what: what.to_owned(),
                transaction: receipt.transaction_hash,
            });
        }
        Ok(*receipt)
    }

    /// Whether nothing has come of a transaction yet: it is in no block, and its nonce is free.
    pub(crate) async fn is_undecided(&self, signed: &SignedTransaction) -> Result<bool> {
        self.is_undecided_of(self.from(), signed).await
    }

    /// The same of a transaction of another account.
    pub(crate) async fn is_undecided_of(&self, sender: Address, signed: &SignedTransaction) -> Result<bool> {
        let seen = self.sender.look(sender, std::slice::from_ref(signed)).await?;
        Ok(matches!(seen, Seen::Waiting))
    }

    /// Waits until nothing of the account's waits to be included, for a while.
    pub(crate) async fn settle(&self) -> Result<()> {
        let until = Instant::now() + INCLUSION_TIMEOUT;
        loop {
            let (included, known) = tokio::try_join!(
                self.node.transaction_count(self.from(), false),
                self.node.transaction_count(self.from(), true)
            )?;
            if known <= included {
                return Ok(());
            }
            if Instant::now() >= until {
                bail!("{} transactions of {} wait", known - included, self.from());
            }
            sleep(INTERVAL).await;
        }
    }
}

fn failed(what: &str) -> impl FnOnce(SendError) -> TransactionError {
    let what = what.to_owned();
    move |error| TransactionError::Failed { what, error }
}

/// Waits until a node knows of a block: behind one URL there may be many nodes.
pub(crate) async fn caught_up(node: &Node, block: u64) -> Result<(), RequestError> {
    let until = Instant::now() + LAG;
    while node.head().await?.number < block && Instant::now() < until {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
