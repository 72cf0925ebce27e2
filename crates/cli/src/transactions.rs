//! Plain transactions of one account, sent one at a time.

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

/// The polling interval while waiting for other transactions.
const INTERVAL: Duration = Duration::from_secs(2);
/// How far a node may lag behind one that reported a block.
const LAG: Duration = Duration::from_secs(20);

/// A transaction failed, or its outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionError {
    /// It was not sent, or its outcome is unknown.
    #[error("{what}: {}", words(error))]
    Failed { what: String, error: SendError },

    /// It could not be recorded, and so was not sent.
    #[error("{what}: transaction {transaction} was not sent, because it could not be recorded: {reason}")]
    NotKept {
        what: String,
        transaction: B256,
        reason: String,
    },

    /// Another transaction used its nonce.
    #[error(
        "{what}: transaction {transaction} is void, because another one used its nonce ({nonce}); repeating the command \
         starts afresh"
    )]
    Void {
        what: String,
        transaction: B256,
        nonce: u64,
    },

    /// It was included and reverted.
    #[error("{what}: transaction {transaction} reverted")]
    Reverted { what: String, transaction: B256 },
}

/// Formats the error; a revert with its decoded reason, if known.
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

    /// Whether it was sent, or may have been, and its outcome is unknown.
    pub(crate) const fn is_open(&self) -> bool {
        match self {
            Self::Failed { error, .. } => error.is_open(),
            _ => false,
        }
    }

    /// Returns its hash, once known.
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
    /// Creates a sender; the purse signs and pays.
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

    /// Calls a contract, optionally with ether.
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

    /// Signs a contract call without sending it.
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

    /// Sends a transaction, and waits until it is included and the node has its block.
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

    /// Settles transactions that an earlier run signed, all with the same nonce: sends the latest again,
    /// unless one of them is settled.
    pub(crate) async fn take_up(
        &self,
        what: &str,
        kept: &[SignedTransaction],
        latest: &SignedTransaction,
    ) -> Result<TransactionReceipt, TransactionError> {
        let end = self.sender.take_up(self.from(), kept).await;
        self.ended(what, latest, end.map_err(failed(what))?).await
    }

    /// Returns a replacement for pending transactions if their fees are now too low. Sends nothing.
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
        // A lagging node is no reason to stop: its later answers are checked again.
        let _ = caught_up(&self.node, receipt.block_number).await;
        if receipt.success == Some(false) {
            return Err(TransactionError::Reverted {
                what: what.to_owned(),
                transaction: receipt.transaction_hash,
            });
        }
        Ok(*receipt)
    }

    /// Whether a transaction is still undecided: in no block, with its nonce unused.
    pub(crate) async fn is_undecided(&self, signed: &SignedTransaction) -> Result<bool> {
        self.is_undecided_of(self.from(), signed).await
    }

    /// Like [`is_undecided`](Self::is_undecided), for another account.
    pub(crate) async fn is_undecided_of(&self, sender: Address, signed: &SignedTransaction) -> Result<bool> {
        let seen = self.sender.look(sender, std::slice::from_ref(signed)).await?;
        Ok(matches!(seen, Seen::Waiting))
    }

    /// Waits, for a limited time, until the account has no pending transactions.
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
                bail!("{} transactions of {} are pending", known - included, self.from());
            }
            sleep(INTERVAL).await;
        }
    }
}

fn failed(what: &str) -> impl FnOnce(SendError) -> TransactionError {
    let what = what.to_owned();
    move |error| TransactionError::Failed { what, error }
}

/// Waits until a node has a block: one URL may have many nodes behind it.
pub(crate) async fn caught_up(node: &Node, block: u64) -> Result<(), RequestError> {
    let until = Instant::now() + LAG;
    while node.head().await?.number < block && Instant::now() < until {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
