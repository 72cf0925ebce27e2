//! Plain transactions: signed, kept by the caller, sent, and tracked to their outcome.
//!
//! Keep a [`SignedTransaction`] where the next run of the process finds it before you hand it over
//! ([`TransactionSender::hand_over`]). The same bytes can then be sent again in any case: a chain includes
//! them once.

use crate::{
    node::{Node, TransactionReceipt},
    operation::{Bounds, OverBound, final_depth},
    permissions::Call,
    request::RequestError,
    submit::{Sent, sent_to_node},
};
use alloy::{
    consensus::{
        SignableTransaction, Transaction as _, TxEip1559, TxEnvelope, TxLegacy,
        transaction::SignerRecoverable as _,
    },
    eips::eip2718::{Decodable2718 as _, Encodable2718 as _},
    network::TxSigner,
    primitives::{Address, B256, Bytes, Signature, TxKind, U64, U256, keccak256},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long to wait for a transaction's inclusion.
pub const INCLUSION_TIMEOUT: Duration = Duration::from_secs(180);
/// The polling intervals, at the beginning and later.
pub(crate) const INTERVALS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// How long a node may lag behind another one that has the transaction in a block: one URL may have many
/// nodes behind it.
const LAG: Duration = Duration::from_secs(20);
/// The polling interval while waiting for the block of another transaction with the nonce to be deep enough.
const DEEPENING: Duration = Duration::from_secs(10);
/// The number of blocks without progress after which a node's finalized block is ignored.
const FINALITY_STALLED: u64 = 64;

/// Signs transactions.
pub type Signer = dyn TxSigner<Signature> + Send + Sync;

/// A signed transaction. Anyone who has it can send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedTransaction {
    /// The nonce of its sender.
    pub nonce: u64,
    /// Its hash.
    pub hash: B256,
    /// The signed transaction (EIP-2718).
    pub raw: Bytes,
}

/// A kept transaction is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitTransaction {
    /// It is not a signed transaction of a supported type.
    #[error("it is not a signed transaction of a known kind")]
    NotATransaction,

    /// It has another hash.
    #[error("its hash is {actual}")]
    HashDiffers {
        /// The transaction's hash.
        actual: B256,
    },

    /// It is for another chain, or for any.
    #[error("it is for {}, not for chain {expected}", actual.map_or_else(|| "any chain".to_owned(), |id| format!("chain {id}")))]
    ChainDiffers {
        /// The intended chain.
        expected: u64,
        /// The transaction's chain.
        actual: Option<u64>,
    },

    /// Someone else signed it.
    #[error("{actual} signed it, not {expected}")]
    SignerDiffers {
        /// The sender.
        expected: Address,
        /// The signer.
        actual: Address,
    },

    /// Its nonce differs from the recorded one, or from the others'.
    #[error("its nonce is {actual}, not {expected}")]
    NonceDiffers {
        /// The expected nonce.
        expected: u64,
        /// The transaction's nonce.
        actual: u64,
    },
}

/// A transaction's fees, in wei per gas unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fees {
    /// The latest base fee; zero on chains without one.
    pub(crate) base_fee: u128,
    pub(crate) max_fee: u128,
    /// `None`: `max_fee` is the gas price, in a legacy transaction.
    pub(crate) max_priority_fee: Option<u128>,
}

impl Fees {
    /// Returns the tip at a base fee. `None` if it cannot be included.
    fn tip(&self, base_fee: u128) -> Option<u128> {
        let left = self.max_fee.checked_sub(base_fee)?;
        Some(left.min(self.max_priority_fee.unwrap_or(left)))
    }

    /// Whether these fees are too low, given those of a new transaction: they do not cover the base fee, or
    /// less than half of the tip is left.
    pub(crate) fn is_too_low_for(&self, now: &Self) -> bool {
        let wanted = now.tip(now.base_fee).unwrap_or_default();
        match self.tip(now.base_fee) {
            Some(tip) => tip < wanted.div_ceil(2),
            None => true,
        }
    }

    /// Returns the fees of a replacement: those of a new transaction, and at least an eighth more than these
    /// in both fees. Nodes require a tenth, some an eighth.
    fn raised(&self, now: &Self) -> Self {
        let more = |fee: u128| fee.saturating_add(fee.div_ceil(8)).saturating_add(1);
        let now_tip = now.max_priority_fee.unwrap_or(now.max_fee);
        let max_priority_fee = self.max_priority_fee.map(|tip| more(tip).max(now_tip));
        Self {
            base_fee: now.base_fee,
            max_fee: more(self.max_fee)
                .max(now.max_fee)
                .max(max_priority_fee.unwrap_or_default()),
            max_priority_fee,
        }
    }
}

/// The action of a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) to: Address,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
}

impl SignedTransaction {
    /// Signs a transaction.
    pub(crate) async fn sign(
        action: Action,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        fees: &Fees,
        signer: &Signer,
    ) -> alloy::signers::Result<Self> {
        let Action { to, value, input } = action;
        let to = TxKind::Call(to);
        let signed: TxEnvelope = match fees.max_priority_fee {
            Some(max_priority_fee_per_gas) => {
                let mut transaction = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list: Default::default(),
                    input,
                };
                let signature = signer.sign_transaction(&mut transaction).await?;
                transaction.into_signed(signature).into()
            }
            None => {
                let mut transaction = TxLegacy {
                    chain_id: Some(chain_id),
                    nonce,
                    gas_price: fees.max_fee,
                    gas_limit,
                    to,
                    value,
                    input,
                };
                let signature = signer.sign_transaction(&mut transaction).await?;
                transaction.into_signed(signature).into()
            }
        };
        Ok(Self {
            nonce,
            hash: *signed.tx_hash(),
            raw: signed.encoded_2718().into(),
        })
    }

    /// Returns its call. `None`: it is not a transaction of a known type, or creates a contract.
    pub fn call(&self) -> Option<Call> {
        let transaction = TxEnvelope::decode_2718_exact(&self.raw).ok()?;
        Some(Call {
            target: transaction.to()?,
            value: transaction.value(),
            data: transaction.input().clone(),
        })
    }

    /// Checks that the bytes match the recorded hash and nonce, and are a transaction of `sender` on this
    /// chain.
    pub(crate) fn check(&self, chain_id: u64, sender: Address) -> Result<TxEnvelope, UnfitTransaction> {
        let actual = keccak256(&self.raw);
        if actual != self.hash {
            return Err(UnfitTransaction::HashDiffers { actual });
        }
        let transaction =
            TxEnvelope::decode_2718_exact(&self.raw).map_err(|_| UnfitTransaction::NotATransaction)?;
        if !(transaction.is_legacy() || transaction.is_eip1559()) {
            return Err(UnfitTransaction::NotATransaction);
        }
        if transaction.chain_id() != Some(chain_id) {
            return Err(UnfitTransaction::ChainDiffers {
                expected: chain_id,
                actual: transaction.chain_id(),
            });
        }
        let signer = transaction
            .recover_signer()
            .map_err(|_| UnfitTransaction::NotATransaction)?;
        if signer != sender {
            return Err(UnfitTransaction::SignerDiffers {
                expected: sender,
                actual: signer,
            });
        }
        if transaction.nonce() != self.nonce {
            return Err(UnfitTransaction::NonceDiffers {
                expected: self.nonce,
                actual: transaction.nonce(),
            });
        }
        Ok(transaction)
    }
}

/// A transaction was not sent, or its outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It would revert, cannot be paid, or the node does not answer. Nothing was signed.
    #[error("{0}")]
    NotPrepared(RequestError),

    /// The node's fees exceed the bounds. Nothing was signed.
    #[error("{0}")]
    OverBound(#[from] OverBound),

    /// It was not signed.
    #[error("it was not signed: {reason}")]
    NotSigned {
        /// The reason.
        reason: String,
    },

    /// A kept transaction is not this sender's on this chain. It was not sent.
    #[error("the kept transaction {transaction} cannot be sent: {error}")]
    Unfit {
        /// The recorded hash.
        transaction: B256,
        /// The reason.
        error: UnfitTransaction,
    },

    /// No byte of it left this process.
    #[error("transaction {transaction} was not sent: {error}")]
    NeverLeft {
        /// Its hash.
        transaction: B256,
        /// The request's error.
        error: RequestError,
    },

    /// The node refuses it.
    #[error("transaction {transaction} was not accepted: {error}")]
    NotTaken {
        /// Its hash.
        transaction: B256,
        /// The node's error.
        error: RequestError,
    },

    /// It was handed over, and no answer confirmed it. It may still be included.
    #[error("transaction {transaction} may have been sent: {error}")]
    NoAnswer {
        /// Its hash.
        transaction: B256,
        /// The request's error.
        error: RequestError,
    },

    /// It was sent, and the node does not return its outcome.
    #[error("transaction {transaction} was sent, but its outcome cannot be read: {error}")]
    Unread {
        /// Its hash.
        transaction: B256,
        /// The error of the last request.
        error: RequestError,
    },

    /// Another transaction used the nonce, in a block that can still be undone: then this one can be included
    /// after all.
    #[error(
        "transaction {transaction} is in no block: {by} has used its nonce in block {block}, which can still be undone; once that block \
         is final, {transaction} is void"
    )]
    NonceUsed {
        /// Its hash.
        transaction: B256,
        /// Hash of the other transaction.
        by: B256,
        /// Number of that one's block.
        block: u64,
    },

    /// It was sent, and is in no block yet.
    #[error("transaction {transaction} was not included in {} s", INCLUSION_TIMEOUT.as_secs())]
    NotIncluded {
        /// Its hash.
        transaction: B256,
    },
}

impl SendError {
    /// Returns a stable code, whose meaning never changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPrepared(_) | Self::NeverLeft { .. } => "not_sent",
            Self::OverBound(_) => "over_bound",
            Self::NotSigned { .. } => "not_signed",
            Self::Unfit { .. } => "unfit_transaction",
            Self::NotTaken { .. } => "not_taken",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unread { .. } => "unread",
            Self::NonceUsed { .. } => "nonce_used",
            Self::NotIncluded { .. } => "not_included",
        }
    }

    /// Returns the transaction, once one was signed.
    pub const fn transaction(&self) -> Option<B256> {
        match self {
            Self::Unfit { transaction, .. }
            | Self::NeverLeft { transaction, .. }
            | Self::NotTaken { transaction, .. }
            | Self::NoAnswer { transaction, .. }
            | Self::Unread { transaction, .. }
            | Self::NonceUsed { transaction, .. }
            | Self::NotIncluded { transaction } => Some(*transaction),
            _ => None,
        }
    }

    /// Whether it was sent, or may have been, and its outcome is unknown.
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::NoAnswer { .. } | Self::Unread { .. } | Self::NonceUsed { .. } | Self::NotIncluded { .. }
        )
    }
}

/// The outcome of transactions with the same nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionEnd {
    /// One was included.
    Included(Box<TransactionReceipt>),
    /// None can be included: another transaction used the nonce.
    Void,
}

/// The chain's view of transactions with the same nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// One was included.
    Included(Box<TransactionReceipt>),
    /// They can still be included. The node may know one of them, or none.
    Waiting,
    /// The nonce is used, and the node knows none of them.
    Used,
}

/// A plain transaction that a wallet signed and sent. Only its hash is known, and sometimes its nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletTransaction {
    /// Its sender.
    pub sender: Address,
    /// Its hash, as the wallet returned it.
    pub hash: B256,
    /// Its nonce, if it was [seen](Fate::Pending) on the node.
    pub nonce: Option<u64>,
}

/// What became of a wallet's transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It is in a block.
    Included(Box<TransactionReceipt>),
    /// The node has it.
    Pending(SeenTransaction),
    /// The node does not have it, and its nonce is unknown or free: it was dropped, or has not arrived. It
    /// can still be included.
    NotSeen,
    /// Another transaction has used its nonce: it can no longer be included, unless that one's block is
    /// reorganized. A wallet's *speed up* and *cancel* do this.
    Replaced {
        /// The other transaction, if it was found.
        by: Option<B256>,
    },
}

/// A transaction as a node returns it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SeenTransaction {
    /// Its sender.
    pub from: Address,
    /// The contract called; `None`: it creates one.
    #[serde(default)]
    pub to: Option<Address>,
    /// Its call data.
    pub input: Bytes,
    nonce: U64,
}

impl SeenTransaction {
    /// Its nonce.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonce.to()
    }
}

/// Prepares plain transactions on a chain, sends them, and waits for them.
///
/// It remembers how long the node's `finalized` block has stood still, from call to call. Use one sender, or
/// its clones, for all waits.
#[derive(Clone, Debug)]
pub struct TransactionSender {
    node: Node,
    chain_id: u64,
    finality: Arc<Mutex<Finality>>,
}

impl TransactionSender {
    /// Creates a sender for the provider's chain. The provider signs nothing.
    pub fn new(provider: impl Provider + 'static, chain_id: u64) -> Self {
        Self::on(Node::new(provider), chain_id)
    }

    pub(crate) fn on(node: Node, chain_id: u64) -> Self {
        Self {
            node,
            chain_id,
            finality: Arc::default(),
        }
    }

    /// Signs a contract call, with a quarter more gas than the node estimates, and with the node's next free
    /// nonce. Sends nothing.
    ///
    /// # Errors
    ///
    /// If it would revert, exceeds `bounds`, the node does not answer, or the signer refuses.
    pub async fn sign(
        &self,
        to: Address,
        value: U256,
        input: Bytes,
        bounds: &Bounds,
        signer: &Signer,
    ) -> Result<SignedTransaction, SendError> {
        let head = self.node.head().await.map_err(SendError::NotPrepared)?;
        let fees = self.node.fees(&head).await.map_err(SendError::NotPrepared)?;
        let max_priority_fee = fees.max_priority_fee.min(fees.max_fee);
        bounds.check_fees(
            fees.base_fee,
            U256::from(fees.max_fee),
            U256::from(max_priority_fee),
        )?;
        let request = TransactionRequest::default()
            .from(signer.address())
            .to(to)
            .value(value)
            .input(input.clone().into());
        let gas: U64 = self
            .node
            .request("eth_estimateGas", (&request,))
            .await
            .map_err(SendError::NotPrepared)?;
        let gas: u64 = gas.to();
        let nonce = self.node.transaction_count(signer.address(), true).await;
        let nonce = nonce.map_err(SendError::NotPrepared)?;
        let offer = Fees {
            base_fee: 0,
            max_fee: fees.max_fee,
            max_priority_fee: head.base_fee.map(|_| max_priority_fee),
        };
        // Room for changes until it is included.
        let gas_limit = gas.saturating_add(gas / 4);
        // The bounds limit the node's numbers; the caller chooses the value.
        bounds.check_cost(U256::from(gas_limit).saturating_mul(U256::from(fees.max_fee)))?;
        let action = Action { to, value, input };
        let signed = SignedTransaction::sign(action, self.chain_id, nonce, gas_limit, &offer, signer).await;
        signed.map_err(|error| SendError::NotSigned {
            reason: error.to_string(),
        })
    }

    /// Hands a transaction over, for the first time or again.
    ///
    /// # Errors
    ///
    /// If it did not leave, was refused, or got no answer. A used nonce is not an error: this transaction may
    /// have used it.
    pub async fn hand_over(&self, signed: &SignedTransaction) -> Result<(), SendError> {
        let transaction = signed.hash;
        // The hash in the node's answer is already known.
        let answer: Result<IgnoredAny, _> = self.node.request("eth_sendRawTransaction", (&signed.raw,)).await;
        let Err(error) = answer else {
            return Ok(());
        };
        match sent_to_node(error.clone()) {
            Sent::Taken => Ok(()),
            Sent::NeverLeft { error } => Err(SendError::NeverLeft { transaction, error }),
            Sent::NotTaken(_) => Err(SendError::NotTaken { transaction, error }),
            // The nonce is used, or another transaction has it: this one, an earlier one for the same action,
            // or someone else's. The chain will show.
            Sent::NoAnswer { .. } if is_about_nonce(&error) => Ok(()),
            Sent::NoAnswer { .. } => Err(SendError::NoAnswer { transaction, error }),
        }
    }

    /// Waits until one of the transactions is included, or none can be. All have the same nonce, latest last.
    ///
    /// None can be included once another transaction with their nonce is in a final block: the node's
    /// `finalized` one or, if the node does not return it, or this sender has seen it stand still for 64
    /// blocks, [`DEFAULT_FINAL_DEPTH`](crate::operation::DEFAULT_FINAL_DEPTH) blocks below the latest. Their
    /// absence on the node is not enough.
    ///
    /// # Errors
    ///
    /// If neither happens within 180 seconds.
    pub async fn wait(
        &self,
        sender: Address,
        kept: &[SignedTransaction],
    ) -> Result<TransactionEnd, SendError> {
        self.wait_to(sender, kept, true).await
    }

    /// Like [`wait`](Self::wait); without `is_final`, they are void once another transaction with their nonce
    /// is in any block. For actions that cannot happen twice.
    pub(crate) async fn wait_to(
        &self,
        sender: Address,
        kept: &[SignedTransaction],
        is_final: bool,
    ) -> Result<TransactionEnd, SendError> {
        let until = Instant::now() + INCLUSION_TIMEOUT;
        let [mut interval, longest] = INTERVALS;
        let mut used_since = None;
        loop {
            let mut error = None;
            let mut used_by = None;
            match self.look(sender, kept).await {
                Ok(Seen::Included(receipt)) => return Ok(TransactionEnd::Included(receipt)),
                Ok(Seen::Waiting) => used_since = None,
                Ok(Seen::Used) => {
                    if used_since.get_or_insert_with(Instant::now).elapsed() >= LAG {
                        // Their absence on a node proves nothing: it may have dropped old receipts. Another
                        // transaction's presence does.
                        match self.user_of_nonce(sender, kept, until).await {
                            Ok((hash, block)) if kept.iter().all(|signed| signed.hash != hash) => {
                                match self.final_block().await {
                                    Ok(last) if block <= last || !is_final => {
                                        return Ok(TransactionEnd::Void);
                                    }
                                    Ok(_) => used_by = Some((hash, block)),
                                    Err(failed) => error = Some(failed),
                                }
                            }
                            Ok(_) => {}
                            Err(failed) => error = Some(failed),
                        }
                    }
                }
                Err(failed) => error = Some(failed),
            }
            if Instant::now() >= until
                && let Some(last) = kept.last()
            {
                let transaction = last.hash;
                return Err(match (error, used_by) {
                    (Some(error), _) => SendError::Unread { transaction, error },
                    (None, Some((by, block))) => SendError::NonceUsed {
                        transaction,
                        by,
                        block,
                    },
                    (None, None) => SendError::NotIncluded { transaction },
                });
            }
            sleep(if used_by.is_some() { DEEPENING } else { interval }).await;
            interval = (interval * 2).min(longest);
        }
    }

    /// Returns the number of the latest block that stays.
    async fn final_block(&self) -> Result<u64, RequestError> {
        let head = self.node.head().await?.number;
        let finalized = self.node.finalized().await?.map(|finalized| finalized.number);
        let mut finality = self.finality.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(finality.last_of(finalized, head, final_depth(self.chain_id)))
    }

    /// Settles kept transactions of an earlier run, which all have the same nonce, latest last. Unless one is
    /// in a block, or none can be any more, the bytes of the latest are sent again, and all are waited for.
    ///
    /// # Errors
    ///
    /// As for [`hand_over`](Self::hand_over) and [`wait`](Self::wait), and if a transaction is not the
    /// sender's on this chain with this nonce.
    pub async fn take_up(
        &self,
        sender: Address,
        kept: &[SignedTransaction],
    ) -> Result<TransactionEnd, SendError> {
        let Some(last) = kept.last() else {
            return Ok(TransactionEnd::Void);
        };
        self.check_all(sender, kept)?;
        let transaction = last.hash;
        let seen = self.look(sender, kept).await;
        match seen.map_err(|error| SendError::Unread { transaction, error })? {
            Seen::Included(receipt) => return Ok(TransactionEnd::Included(receipt)),
            Seen::Used => {}
            Seen::Waiting => match self.hand_over(last).await {
                // An earlier run may have sent it, so this refusal decides nothing.
                Err(
                    SendError::NeverLeft { transaction, error } | SendError::NotTaken { transaction, error },
                ) => {
                    return Err(SendError::NoAnswer { transaction, error });
                }
                handed => handed?,
            },
        }
        self.wait(sender, kept).await
    }

    /// Returns a replacement for kept pending transactions whose fees are now too low: with the same nonce
    /// and content, and at least an eighth more in both fees than the latest. All have the same nonce, latest
    /// last. Sends nothing. `None`: one is in a block, the nonce is used, or the latest fees suffice.
    ///
    /// # Errors
    ///
    /// If it would exceed `bounds`, the node does not answer, the signer refuses, or a transaction is not the
    /// signer's on this chain with this nonce.
    pub async fn replacement(
        &self,
        kept: &[SignedTransaction],
        bounds: &Bounds,
        signer: &Signer,
    ) -> Result<Option<SignedTransaction>, SendError> {
        let sender = signer.address();
        let (Some(latest), Some(last)) = (self.check_all(sender, kept)?, kept.last()) else {
            return Ok(None);
        };
        let seen = self.look(sender, kept).await.map_err(SendError::NotPrepared)?;
        let Some(to) = latest.to().filter(|_| seen == Seen::Waiting) else {
            return Ok(None);
        };
        let head = self.node.head().await.map_err(SendError::NotPrepared)?;
        let suggested = self.node.fees(&head).await.map_err(SendError::NotPrepared)?;
        let now = Fees {
            base_fee: suggested.base_fee,
            max_fee: suggested.max_fee,
            max_priority_fee: head
                .base_fee
                .map(|_| suggested.max_priority_fee.min(suggested.max_fee)),
        };
        let offer = Fees {
            base_fee: 0,
            max_fee: latest.max_fee_per_gas(),
            max_priority_fee: latest.max_priority_fee_per_gas(),
        };
        if !offer.is_too_low_for(&now) {
            return Ok(None);
        }
        let raised = offer.raised(&now);
        let tip = raised.max_priority_fee.unwrap_or_default();
        bounds.check_fees(now.base_fee, U256::from(raised.max_fee), U256::from(tip))?;
        let gas_limit = latest.gas_limit();
        bounds.check_cost(U256::from(gas_limit).saturating_mul(U256::from(raised.max_fee)))?;
        let action = Action {
            to,
            value: latest.value(),
            input: latest.input().clone(),
        };
        let signed =
            SignedTransaction::sign(action, self.chain_id, last.nonce, gas_limit, &raised, signer).await;
        signed.map(Some).map_err(|error| SendError::NotSigned {
            reason: error.to_string(),
        })
    }

    /// Checks transactions that were kept together. Returns the latest.
    fn check_all(
        &self,
        sender: Address,
        kept: &[SignedTransaction],
    ) -> Result<Option<TxEnvelope>, SendError> {
        let mut latest = None;
        let nonce = kept.last().map(|last| last.nonce);
        for signed in kept {
            let unfit = |error| SendError::Unfit {
                transaction: signed.hash,
                error,
            };
            latest = Some(signed.check(self.chain_id, sender).map_err(unfit)?);
            if let Some(expected) = nonce
                && signed.nonce != expected
            {
                return Err(unfit(UnfitTransaction::NonceDiffers {
                    expected,
                    actual: signed.nonce,
                }));
            }
        }
        Ok(latest)
    }

    /// Returns the transaction that used the nonce, and the number of its block.
    ///
    /// Only archive nodes have the state of old blocks, but every node has their transactions. Where the
    /// state is gone, blocks are read one by one, until the time is over.
    async fn user_of_nonce(
        &self,
        sender: Address,
        kept: &[SignedTransaction],
        until: Instant,
    ) -> Result<(B256, u64), RequestError> {
        let nonce = kept.last().map_or(u64::MAX, |signed| signed.nonce);
        let count_at = async |block: u64| -> Result<u64, RequestError> {
            let count: U64 = self
                .node
                .request("eth_getTransactionCount", (sender, U64::from(block)))
                .await?;
            Ok(count.to())
        };
        // The nonce is used in `used` and free in `free`, found by going back in growing steps.
        let mut used = self.node.head().await?.number;
        let mut step = 1;
        let mut free = loop {
            let before = used.saturating_sub(step);
            match count_at(before).await {
                Ok(count) if count <= nonce => break Some(before),
                Ok(_) if before == 0 => {
                    return Err(RequestError::no_answer(format!(
                        "nonce {nonce} was used before block 0"
                    )));
                }
                Ok(_) => {
                    used = before;
                    step *= 2;
                }
                // The state of this block is gone, and perhaps not that of the next.
                Err(RequestError::Answered(_)) if step > 1 => step /= 2,
                Err(RequestError::Answered(_)) => break None,
                Err(error) => return Err(error),
            }
        };
        while let Some(below) = free.filter(|below| below + 1 < used) {
            let middle = below + (used - below) / 2;
            if count_at(middle).await? <= nonce {
                free = Some(middle);
            } else {
                used = middle;
            }
        }
        // In `used`, or, where the last block with the nonce free is not known, in it or before it.
        for number in (free.map_or(0, |free| free + 1)..=used).rev() {
            if let Some(hash) = self.user_in_block(sender, nonce, number).await? {
                return Ok((hash, number));
            }
            if Instant::now() >= until {
                return Err(RequestError::no_answer(format!(
                    "nonce {nonce} of {sender} was used before block {number}, and there was no time to look further"
                )));
            }
        }
        Err(RequestError::no_answer(format!(
            "block {used} does not show who used nonce {nonce} of {sender}"
        )))
    }

    /// The transaction of a block that has used the nonce.
    async fn user_in_block(
        &self,
        sender: Address,
        nonce: u64,
        number: u64,
    ) -> Result<Option<B256>, RequestError> {
        #[derive(Deserialize)]
        struct Block {
            transactions: Vec<Transaction>,
        }
        #[derive(Deserialize)]
        struct Transaction {
            hash: B256,
            from: Address,
            nonce: U64,
        }
        let block: Block = self
            .node
            .request("eth_getBlockByNumber", (U64::from(number), true))
            .await?;
        let user = block
            .transactions
            .iter()
            .find(|transaction| transaction.from == sender && transaction.nonce.to::<u64>() == nonce);
        Ok(user.map(|transaction| transaction.hash))
    }

    /// Looks up a transaction that a wallet signed and sent. Does not wait.
    ///
    /// # Errors
    ///
    /// If the node does not answer. Nothing follows from that for the transaction.
    pub async fn fate(&self, transaction: &WalletTransaction) -> Result<Fate, RequestError> {
        /// How long to look for the transaction that used the nonce.
        const PATIENCE: Duration = Duration::from_secs(5);
        let WalletTransaction { sender, hash, nonce } = *transaction;
        if let Some(receipt) = self.node.receipt(hash).await? {
            return Ok(Fate::Included(Box::new(receipt)));
        }
        let seen: Option<SeenTransaction> = self.node.request("eth_getTransactionByHash", (hash,)).await?;
        if let Some(seen) = seen {
            return Ok(Fate::Pending(seen));
        }
        let Some(nonce) = nonce else {
            return Ok(Fate::NotSeen);
        };
        if self.node.transaction_count(sender, false).await? <= nonce {
            return Ok(Fate::NotSeen);
        }
        let kept = [SignedTransaction {
            nonce,
            hash,
            raw: Bytes::new(),
        }];
        Ok(
            match self.user_of_nonce(sender, &kept, Instant::now() + PATIENCE).await {
                // The node knows its block by now; the receipt follows.
                Ok((by, _)) if by == hash => Fate::NotSeen,
                Ok((by, _)) => Fate::Replaced { by: Some(by) },
                Err(_) => Fate::Replaced { by: None },
            },
        )
    }

    /// Looks up the transactions on the chain.
    pub async fn look(&self, sender: Address, kept: &[SignedTransaction]) -> Result<Seen, RequestError> {
        for signed in kept.iter().rev() {
            if let Some(receipt) = self.node.receipt(signed.hash).await? {
                return Ok(Seen::Included(Box::new(receipt)));
            }
        }
        let nonce = kept.last().map_or(u64::MAX, |signed| signed.nonce);
        if self.node.transaction_count(sender, false).await? <= nonce {
            return Ok(Seen::Waiting);
        }
        for signed in kept.iter().rev() {
            let found: Value = self
                .node
                .request("eth_getTransactionByHash", (signed.hash,))
                .await?;
            // It is in a block; its receipt will follow.
            if !found.is_null() {
                return Ok(Seen::Waiting);
            }
        }
        Ok(Seen::Used)
    }
}

/// A node's finalized block, and when it was last seen to move.
#[derive(Clone, Copy, Debug, Default)]
struct Finality(Option<(u64, u64)>);

impl Finality {
    /// Returns the latest block that stays: the finalized one, else the one at the default depth.
    fn last_of(&mut self, finalized: Option<u64>, head: u64, depth: u64) -> u64 {
        let Some(finalized) = finalized.filter(|finalized| *finalized <= head) else {
            return head.saturating_sub(depth);
        };
        match self.0 {
            Some((before, moved_at)) if finalized <= before => {
                if head.saturating_sub(moved_at) >= FINALITY_STALLED {
                    return head.saturating_sub(depth);
                }
            }
            _ => self.0 = Some((finalized, head)),
        }
        finalized
    }
}

/// Whether a node's error says that the transaction's nonce is taken.
fn is_about_nonce(error: &RequestError) -> bool {
    error.answer().is_some_and(|answer| {
        let words = answer.message.to_ascii_lowercase();
        words.contains("nonce") || words.contains("replac")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stalled_finalized_block_is_ignored() {
        let mut finality = Finality::default();
        assert_eq!(finality.last_of(None, 100, 64), 36);
        assert_eq!(finality.last_of(Some(101), 100, 64), 36, "it is of another node");
        assert_eq!(finality.last_of(Some(90), 100, 64), 90);
        assert_eq!(finality.last_of(Some(90), 163, 64), 90);
        assert_eq!(finality.last_of(Some(90), 164, 64), 100);
        assert_eq!(finality.last_of(Some(91), 165, 64), 91);
        assert_eq!(finality.last_of(None, 10, 64), 0);
    }

    #[test]
    fn a_replacement_raises_both_fees_by_an_eighth_or_to_current_fees() {
        let fees = |base_fee, max_fee, max_priority_fee| Fees {
            base_fee,
            max_fee,
            max_priority_fee,
        };
        let now = fees(100, 210, Some(10));
        let raised = fees(0, 1_000, Some(3)).raised(&now);
        assert_eq!((raised.max_fee, raised.max_priority_fee), (1_126, Some(10)));
        let raised = fees(0, 50, Some(50)).raised(&now);
        assert_eq!((raised.max_fee, raised.max_priority_fee), (210, Some(58)));
        let raised = fees(0, 200, None).raised(&now);
        assert_eq!((raised.max_fee, raised.max_priority_fee), (226, None));
        for old in [0, 1, 7, 8, 9, 1_000_000_007] {
            let new = fees(0, old, Some(old)).raised(&Fees::default());
            assert!(new.max_fee > old && new.max_fee * 8 >= old * 9, "{old}");
            assert!(new.max_priority_fee.unwrap() <= new.max_fee);
        }
        let most = fees(0, u128::MAX, Some(u128::MAX)).raised(&now);
        assert_eq!(most.max_fee, u128::MAX);
    }
}
