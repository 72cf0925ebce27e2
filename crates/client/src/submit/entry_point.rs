//! Submits operations in transactions of an ordinary account.

use super::{
    EstimateError, Refusal, Sent, Submitter,
    refusal::{self, NODE},
    simulate,
};
use crate::{
    calldata,
    delegation::{self, AUTHORIZATION_GAS, AuthorizationError},
    node::{Node, SuggestedFees},
    operation::{Bounds, Gas, NotTaken, NotTakenReason},
    permissions::{AaCode, SignedOperation, UserOperation},
    request::RequestError,
    revert::Revert,
};
use alloy::{
    eips::{BlockId, eip7702::SignedAuthorization},
    network::TransactionBuilder,
    primitives::{Address, B256, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use async_trait::async_trait;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a node that does not know a transaction, or counts fewer than before, is assumed to lag.
/// Afterwards the transaction counts as lost.
const LAG: Duration = Duration::from_secs(60);
/// The maximum number of attempts, and of transactions, kept in memory.
const REMEMBERED: usize = 4_096;

/// Submits operations in an ordinary account's transaction to `EntryPoint.handleOps`, without a bundler. That
/// account pays for the transaction, and the EntryPoint refunds it from the operations' payments.
///
/// Every bundle is first tried with `eth_call`, so that operations which the EntryPoint would refuse cost
/// nothing. Later changes can still make it fail, at that account's cost. The node sees the signed operations
/// in that call.
///
/// Its transactions are included in order of their nonces. So an operation in a transaction with too low a
/// fee is not overtaken by its replacement through the same submitter: the sender's own transaction must be
/// sped up, which the submitter does not do.
///
/// An operation that carries its account's authorization to delegate (EIP-7702) goes out in a transaction
/// with that authorization, unless the account already delegates. The account may be the one that pays for
/// the transaction.
///
/// An operation that this submitter has sent, or may have, is never put into a second transaction while the
/// first can still be included. Another submitter, including one in a restarted process, does not know about
/// pending ones and sends the operation again; then the operation happens once, and the second transaction
/// fails, at that account's cost.
#[derive(Debug)]
pub struct EntryPointSubmitter {
    node: Node,
    entry_point: Address,
    from: Address,
    beneficiary: Address,
    bounds: Option<Bounds>,
    /// Confirmed by an operation's hash. Every transaction is for this chain.
    chain_id: OnceLock<u64>,
    memory: Mutex<Memory>,
    /// One bundle at a time: transaction nonces are consecutive, and no operation is sent in two
    /// transactions.
    sending: tokio::sync::Mutex<()>,
}

/// What the submitter has done so far.
#[derive(Debug, Default)]
struct Memory {
    /// Transactions handed over, or about to be, oldest first. Those with used nonces stay: a reorganization
    /// can free the nonces again.
    attempts: VecDeque<Attempt>,
    /// Operations and the transactions that carry them, oldest first.
    carried: VecDeque<Carrier>,
    /// The maximum transaction count that the node returned, and when it last did.
    counted: Option<(u64, Instant)>,
}

/// Operations that a transaction with this nonce may carry. Another one with the same nonce excludes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attempt {
    nonce: u64,
    user_op_hashes: Vec<B256>,
    /// The time of the first attempt.
    first: Instant,
    /// The time of the last attempt.
    at: Instant,
    /// The transaction, if the node accepted it.
    taken: Option<B256>,
}

/// A transaction that carries an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Carrier {
    user_op_hash: B256,
    transaction_hash: B256,
    nonce: u64,
}

/// The state of an operation in this submitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A transaction that carries it is pending.
    Waiting,
    /// A transaction with this nonce may carry it, and may still be included.
    Open(u64),
    /// No transaction with it can be included.
    Nowhere,
}

/// The fees of a transaction.
#[derive(Clone, Copy, Debug)]
struct Fees {
    suggested: SuggestedFees,
    /// Blocks have no base fee, and transactions a single gas price.
    is_legacy: bool,
}

/// The operations sent in one transaction. Each given operation is in one of the lists, by its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The transaction; `None` if no operation was left to send, or the node had it already without naming
    /// it.
    pub transaction_hash: Option<B256>,
    /// Operations in it.
    pub sent: Vec<B256>,
    /// Operations left out because an earlier transaction with them is pending. One that only may be pending
    /// is sent again with its transaction's nonce: one of the two can be included.
    pub sent_before: Vec<B256>,
    /// Operations left out because they were refused, with the reasons.
    pub refused: Vec<(B256, Refusal)>,
}

/// A bundle was not sent, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// No byte of any of the operations left the process.
    #[error("the bundle was not sent: {error}")]
    NeverLeft {
        /// The reason.
        error: RequestError,
    },

    /// An operation or the transaction was refused. None of the operations was sent in it, but the node has
    /// seen them.
    #[error("{}{not_taken}", hash.map(|hash| format!("operation {hash}: ")).unwrap_or_default())]
    NotTaken {
        /// The operation; `None` if it is the transaction.
        hash: Option<B256>,
        /// The reason, and who gave it.
        not_taken: Box<NotTaken>,
    },

    /// It is unknown whether these operations are pending.
    #[error("it is not known whether the bundle was sent: {error}")]
    NoAnswer {
        /// The operations.
        hashes: Vec<B256>,
        /// The request's error.
        error: RequestError,
    },
}

impl BundleError {
    /// Creates an error after the node has seen the operations: they may have left.
    fn after_preflight(operations: &[SignedOperation], error: RequestError) -> Self {
        Self::after_sending(operations, refusal::sent_to_node(error.clone()), error)
    }

    /// Interprets an answer about a transaction whose operations the node has seen.
    fn after_sending(operations: &[SignedOperation], sent: Sent, error: RequestError) -> Self {
        match sent {
            Sent::NotTaken(not_taken) => Self::NotTaken {
                hash: None,
                not_taken: Box::new(not_taken),
            },
            _ => Self::NoAnswer {
                hashes: hashes_of(operations),
                error,
            },
        }
    }
}

impl From<BundleError> for Sent {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::NeverLeft { error } => Self::NeverLeft { error },
            BundleError::NotTaken { not_taken, .. } => Self::NotTaken(*not_taken),
            BundleError::NoAnswer { error, .. } => Self::NoAnswer { error },
        }
    }
}

impl EntryPointSubmitter {
    /// Creates a submitter that sends transactions from `from`. The provider must be able to sign for it
    /// (with a wallet, or a node that signs); everything else in a transaction is filled in here.
    ///
    /// The submitter takes transaction nonces from the node and from its memory, so that one whose answer was
    /// lost can be sent again with the same nonce, and a lagging node does not make one replace another.
    /// Nothing else should send transactions from `from` at the same time. Between bundles that is fine if it
    /// asks the node for the nonce as well: alloy's default filler counts by itself after its first
    /// transaction and does not see the submitter's; a provider built `with_simple_nonce_management` instead
    /// of the recommended fillers does.
    pub fn new(provider: impl Provider + 'static, entry_point: Address, from: Address) -> Self {
        Self {
            node: Node::new(provider),
            entry_point,
            from,
            beneficiary: from,
            bounds: None,
            chain_id: OnceLock::new(),
            memory: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
        }
    }

    /// Sets another recipient of the fees.
    #[must_use]
    pub const fn with_beneficiary(mut self, beneficiary: Address) -> Self {
        self.beneficiary = beneficiary;
        self
    }

    /// Sets bounds on a transaction's cost; by default [`Bounds::on_chain`].
    ///
    /// Its fees are bounded like an operation's. All its gas at its full fee may cost twice
    /// [`Bounds::max_cost`] for each operation in it: the EntryPoint must have up to about twice the gas that
    /// an operation can use.
    #[must_use]
    pub const fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = Some(bounds);
        self
    }

    /// Sends several operations in one transaction. If one is refused, none is sent, and
    /// [`BundleError::NotTaken`] names it.
    pub async fn send_all(&self, operations: &[SignedOperation]) -> Result<Bundle, BundleError> {
        self.send_bundle(operations, false).await
    }

    /// Sends several operations in one transaction, leaving out those that are refused.
    pub async fn send_all_valid(&self, operations: &[SignedOperation]) -> Result<Bundle, BundleError> {
        self.send_bundle(operations, true).await
    }

    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn send_bundle(
        &self,
        operations: &[SignedOperation],
        drop_refused: bool,
    ) -> Result<Bundle, BundleError> {
        let _one_at_a_time = self.sending.lock().await;
        let operations = &each_once(operations);
        let mut bundle = Bundle::default();
        let chain_id = self.check_chain(operations).await?;
        let operations = &self
            .with_authorizations(operations, chain_id, drop_refused, &mut bundle)
            .await?;
        let (again, new) = self.sort(operations, &mut bundle).await?;
        if again.is_empty() && new.is_empty() {
            return Ok(bundle);
        }
        // An operation that may be pending can only be sent with its earlier nonce: then one of the two
        // transactions is void.
        let mut ready = BTreeMap::new();
        for (nonce, operations) in again {
            let operations = self.accepted(operations, drop_refused, &mut bundle).await?;
            if !operations.is_empty() {
                ready.insert(nonce, operations);
            }
        }
        let asked = new.clone();
        let next_nonce = async {
            if asked.is_empty() {
                Ok(0)
            } else {
                self.next_nonce().await
            }
        };
        let (new, fees, next_nonce) = tokio::join!(
            self.accepted(new, drop_refused, &mut bundle),
            self.current_fees(),
            next_nonce
        );
        let new = new?;
        if ready.is_empty() && new.is_empty() {
            return Ok(bundle);
        }
        let failed = |error| BundleError::after_preflight(operations, error);
        let (fees, next_nonce) = (fees.map_err(failed)?, next_nonce.map_err(failed)?);
        let after_those_again = ready
            .last_key_value()
            .map_or(0, |(nonce, _)| nonce.saturating_add(1));
        for (nonce, operations) in ready {
            self.transact_again(&operations, nonce, chain_id, &fees).await?;
            bundle.sent_before.extend(hashes_of(&operations));
        }
        if !new.is_empty() {
            let nonce = next_nonce.max(after_those_again);
            bundle.transaction_hash = self.transact(&new, nonce, chain_id, &fees).await?;
            bundle.sent = hashes_of(&new);
        }
        Ok(bundle)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the chain id. The operations' hashes prove that they are for this chain and EntryPoint.
    async fn check_chain(&self, operations: &[SignedOperation]) -> Result<u64, BundleError> {
        let known = self.chain_id.get().copied();
        let chain_id = match known {
            Some(chain_id) => chain_id,
            None => {
                let asked = self.node.chain_id().await;
                asked.map_err(|error| BundleError::NeverLeft { error })?
            }
        };
        for operation in operations {
            let computed = operation.operation.hash(self.entry_point, chain_id);
            if computed != operation.hash {
                let message = format!(
                    "operation {} would have hash {computed} on chain {chain_id} with EntryPoint {}",
                    operation.hash, self.entry_point
                );
                return Err(BundleError::NeverLeft {
                    error: RequestError::NotMade { message },
                });
            }
        }
        if operations.is_empty() {
            return Ok(chain_id);
        }
        Ok(*self.chain_id.get_or_init(|| chain_id))
    }

    /// Drops authorizations that have already taken effect, and operations with invalid ones: these are
    /// noted in the bundle, or are an error. The nonce of the sender's own authorization is checked later,
    /// when its transaction's nonce is known.
    async fn with_authorizations(
        &self,
        operations: &[SignedOperation],
        chain_id: u64,
        drop_refused: bool,
        bundle: &mut Bundle,
    ) -> Result<Vec<SignedOperation>, BundleError> {
        let mut checked = Vec::with_capacity(operations.len());
        for signed in operations {
            let mut signed = signed.clone();
            if let Some(authorization) = signed.operation.authorization.take() {
                let account = signed.operation.sender;
                let (code, count) = tokio::try_join!(
                    self.node.code_at(account, BlockId::latest()),
                    self.node.transaction_count(account, false)
                )
                .map_err(|error| BundleError::NeverLeft { error })?;
                let is_needed = delegation::check_authorization(&authorization, account, chain_id)
                    .and_then(|()| delegation::delegates(account, &code, authorization.address))
                    .and_then(|delegates| {
                        if !delegates && account != self.from {
                            delegation::check_nonce(&authorization, account, count)?;
                        }
                        Ok(!delegates)
                    });
                match is_needed {
                    Ok(true) => signed.operation.authorization = Some(authorization),
                    Ok(false) => {}
                    Err(error) if drop_refused => {
                        let refusal = Refusal {
                            code: None,
                            reason: error.to_string(),
                            cause: None,
                        };
                        bundle.refused.push((signed.hash, refusal));
                        continue;
                    }
                    Err(error) => return Err(not_authorized(Some(signed.hash), error)),
                }
            }
            checked.push(signed);
        }
        Ok(checked)
    }

    /// Returns operations that may be pending, by their transaction's nonce, and new ones. Those known to be
    /// pending are noted in the bundle.
    async fn sort(
        &self,
        operations: &[SignedOperation],
        bundle: &mut Bundle,
    ) -> Result<(BTreeMap<u64, Vec<SignedOperation>>, Vec<SignedOperation>), BundleError> {
        let mut again = BTreeMap::<_, Vec<_>>::new();
        let mut new = Vec::with_capacity(operations.len());
        for operation in operations {
            let hash = operation.hash;
            // This call cannot say whether it left before: no byte of it left in this one.
            let failed = |error| BundleError::NeverLeft { error };
            match self.place(hash).await.map_err(failed)? {
                Place::Waiting => bundle.sent_before.push(hash),
                Place::Open(nonce) => again.entry(nonce).or_default().push(operation.clone()),
                Place::Nowhere => new.push(operation.clone()),
            }
        }
        Ok((again, new))
    }

    async fn place(&self, user_op_hash: B256) -> Result<Place, RequestError> {
        let carriers = self.memory().carriers(user_op_hash);
        let mut waiting = None;
        for carrier in carriers {
            if self.status(carrier.transaction_hash).await? == Status::Pending {
                waiting = Some(carrier);
                break;
            }
        }
        let Some(waiting) = waiting else {
            if !self.memory().knows(user_op_hash) {
                return Ok(Place::Nowhere);
            }
            let next = self.count_included().await?;
            let open = self.memory().open_nonce(user_op_hash, next);
            return match open {
                Some(nonce) if !self.waits_for_ever(user_op_hash, nonce).await? => Ok(Place::Open(nonce)),
                _ => Ok(Place::Nowhere),
            };
        };
        if self.waits_for_ever(user_op_hash, waiting.nonce).await? {
            return Ok(Place::Nowhere);
        }
        Ok(Place::Waiting)
    }

    /// Whether a transaction with this nonce waits behind a missing one, lost by a reorganization or a node.
    /// In that case its operation takes the missing nonce, and the waiting transaction fails once it is
    /// included.
    async fn waits_for_ever(&self, user_op_hash: B256, nonce: u64) -> Result<bool, RequestError> {
        let first = self.memory().first_attempt(user_op_hash, nonce);
        if first.is_some_and(|first| first.elapsed() < LAG) {
            return Ok(false);
        }
        Ok(self.next_nonce().await? < nonce)
    }

    /// Returns the number of the sender's included transactions.
    async fn count_included(&self) -> Result<u64, RequestError> {
        let next = self.node.transaction_count(self.from, false).await?;
        self.memory().note_count(next);
        Ok(next)
    }

    /// Returns the nonce after those of the transactions that the node knows, and after the submitter's own
    /// pending ones.
    async fn next_nonce(&self) -> Result<u64, RequestError> {
        let (pending, _) = tokio::try_join!(
            self.node.transaction_count(self.from, true),
            self.count_included()
        )?;
        let mut nonce = self.memory().at_least(pending);
        loop {
            let taken = self.memory().taken(nonce);
            let is_waiting = match taken {
                None => false,
                Some((_, at)) if at.elapsed() < LAG => true,
                // A node that is no longer lagging and does not know it has lost it.
                Some((transaction_hash, _)) => self.status(transaction_hash).await? != Status::Unknown,
            };
            if !is_waiting {
                return Ok(nonce);
            }
            let Some(next) = nonce.checked_add(1) else {
                return Ok(nonce);
            };
            nonce = next;
        }
    }

    /// Returns the operations that the EntryPoint accepts. The others are noted in the bundle, or are an
    /// error.
    async fn accepted(
        &self,
        mut operations: Vec<SignedOperation>,
        drop_refused: bool,
        bundle: &mut Bundle,
    ) -> Result<Vec<SignedOperation>, BundleError> {
        let mut is_first = true;
        while let Some((index, code, refusal)) = self.preflight(&operations, is_first).await? {
            is_first = false;
            let hash = operations.remove(index).hash;
            if drop_refused {
                bundle.refused.push((hash, refusal));
            } else {
                let not_taken = NotTaken {
                    by: NODE.to_owned(),
                    code,
                    message: refusal.reason.clone(),
                    reason: refusal::reason_of(refusal),
                };
                return Err(BundleError::NotTaken {
                    hash: Some(hash),
                    not_taken: Box::new(not_taken),
                });
            }
        }
        Ok(operations)
    }

    /// Returns a transaction's status from the node.
    async fn status(&self, transaction_hash: B256) -> Result<Status, RequestError> {
        let found: Value = self
            .node
            .request("eth_getTransactionByHash", (transaction_hash,))
            .await?;
        Ok(Status::of(&found))
    }

    /// Returns this submitter's transactions that carry the operation, latest first.
    fn transactions(&self, user_op_hash: B256) -> Vec<B256> {
        let carriers = self.memory().carriers(user_op_hash);
        carriers.iter().map(|carrier| carrier.transaction_hash).collect()
    }

    /// Tries the bundle without sending it. `Some`: the operation at this index is refused, with this error
    /// code.
    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn preflight(
        &self,
        operations: &[SignedOperation],
        is_first: bool,
    ) -> Result<Option<(usize, Option<i64>, Refusal)>, BundleError> {
        if operations.is_empty() {
            return Ok(None);
        }
        let call = self.handle_ops(operations)?;
        let state = delegation::state_of(operations.iter().map(|signed| &signed.operation));
        let Err(error) = simulate::called(&self.node, &call, state).await else {
            return Ok(None);
        };
        let code = error.answer().and_then(|answer| answer.code);
        match error.revert() {
            Some(Revert::FailedOp(failed)) => {
                let index = usize::try_from(failed.op_index).unwrap_or(usize::MAX);
                let Some(operation) = operations.get(index) else {
                    return Err(BundleError::NoAnswer {
                        hashes: hashes_of(operations),
                        error: RequestError::Unreadable {
                            method: "eth_call".to_owned(),
                            found: failed.to_string(),
                        },
                    });
                };
                let refusal =
                    simulate::refusal(&self.node, self.entry_point, &operation.operation, failed).await;
                Ok(Some((index, code, refusal)))
            }
            // Errors of the bundle as a whole ("AA9x") do not identify an operation.
            Some(revert) => {
                let reason = revert.to_string();
                Err(BundleError::NotTaken {
                    hash: None,
                    not_taken: Box::new(NotTaken {
                        by: NODE.to_owned(),
                        code,
                        message: reason.clone(),
                        reason: NotTakenReason::Refused(Refusal {
                            code: AaCode::find(&reason),
                            reason,
                            cause: None,
                        }),
                    }),
                })
            }
            None => Err(match &error {
                RequestError::NotReached { .. } | RequestError::NotMade { .. } if is_first => {
                    BundleError::NeverLeft { error }
                }
                _ => BundleError::after_preflight(operations, error),
            }),
        }
    }

    /// Sends the operations in a transaction with this nonce. It is noted in advance that they may be
    /// pending: the answer can be lost, and the future dropped.
    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn transact(
        &self,
        operations: &[SignedOperation],
        nonce: u64,
        chain_id: u64,
        fees: &Fees,
    ) -> Result<Option<B256>, BundleError> {
        let transaction = self.filled(operations, nonce, chain_id, fees)?;
        let is_new = self.memory().note_attempt(operations, nonce);
        let sent = self.node.provider().send_transaction(transaction).await;
        match sent.map(|pending| *pending.tx_hash()) {
            Ok(transaction_hash) => {
                self.memory().note_taken(operations, nonce, transaction_hash);
                Ok(Some(transaction_hash))
            }
            Err(error) => {
                let error = RequestError::of("eth_sendRawTransaction", &error);
                match refusal::sent_to_node(error.clone()) {
                    // The node has it, but does not return its hash.
                    Sent::Taken => Ok(None),
                    // Only this is certain. In all other cases, it may have been passed on.
                    sent @ Sent::NeverLeft { .. } => {
                        if is_new {
                            self.memory().forget_attempt(operations, nonce);
                        }
                        Err(BundleError::after_sending(operations, sent, error))
                    }
                    sent => Err(BundleError::after_sending(operations, sent, error)),
                }
            }
        }
    }

    /// Sends operations that a transaction with this nonce may already carry.
    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn transact_again(
        &self,
        operations: &[SignedOperation],
        nonce: u64,
        chain_id: u64,
        fees: &Fees,
    ) -> Result<(), BundleError> {
        let no_answer = |error| BundleError::NoAnswer {
            hashes: hashes_of(operations),
            error,
        };
        if !self.memory().always_carried(operations, nonce) {
            let message =
                "another bundle went out with the same transaction nonce, which is not used yet".to_owned();
            return Err(no_answer(RequestError::NoAnswer {
                message,
                status: None,
            }));
        }
        match self.transact(operations, nonce, chain_id, fees).await {
            Ok(_) => Ok(()),
            // A refusal of this transaction says nothing about the earlier one.
            Err(BundleError::NotTaken { not_taken, .. }) => Err(no_answer(RequestError::NoAnswer {
                message: format!("sent before, and not taken again: {not_taken}"),
                status: None,
            })),
            Err(error) => Err(error),
        }
    }

    async fn current_fees(&self) -> Result<Fees, RequestError> {
        let (head, suggested) = self.node.head_and_fees().await?;
        Ok(Fees {
            suggested,
            is_legacy: head.base_fee.is_none(),
        })
    }

    /// Builds a bundle's transaction, except for its signature.
    fn filled(
        &self,
        operations: &[SignedOperation],
        nonce: u64,
        chain_id: u64,
        fees: &Fees,
    ) -> Result<TransactionRequest, BundleError> {
        let bounds = self.bounds.unwrap_or_else(|| Bounds::on_chain(chain_id));
        let mut transaction = self.handle_ops(operations)?;
        let Fees {
            suggested: fees,
            is_legacy,
        } = fees;
        let max_priority_fee = fees.max_priority_fee.min(fees.max_fee);
        let gas = U256::from(transaction.gas.unwrap_or(u64::MAX));
        // The EntryPoint must have up to about twice the gas that the operations can use.
        let bundle_bounds = Bounds {
            max_cost: bounds
                .max_cost
                .saturating_mul(U256::from(2))
                .saturating_mul(U256::from(operations.len())),
            ..bounds
        };
        bundle_bounds
            .check_fees(
                fees.base_fee,
                U256::from(fees.max_fee),
                U256::from(max_priority_fee),
            )
            .and_then(|()| bundle_bounds.check_cost(gas.saturating_mul(U256::from(fees.max_fee))))
            .map_err(|over| BundleError::NotTaken {
                hash: None,
                not_taken: Box::new(NotTaken {
                    by: "submitter".to_owned(),
                    code: None,
                    message: format!("the transaction costs too much: {over}"),
                    reason: NotTakenReason::Other,
                }),
            })?;
        transaction.set_nonce(nonce);
        transaction.set_chain_id(chain_id);
        for signed in operations {
            // A transaction raises its sender's nonce before authorizations are processed.
            if let Some(authorization) = &signed.operation.authorization
                && signed.operation.sender == self.from
            {
                delegation::check_nonce(authorization, self.from, nonce.saturating_add(1))
                    .map_err(|error| not_authorized(Some(signed.hash), error))?;
            }
        }
        let authorizations = authorizations(operations);
        if !authorizations.is_empty() {
            if *is_legacy {
                return Err(not_authorized(
                    None,
                    AuthorizationError::NoTransactions { chain_id },
                ));
            }
            transaction.authorization_list = Some(authorizations);
        }
        if *is_legacy {
            transaction.set_gas_price(fees.max_fee);
        } else {
            transaction.set_max_fee_per_gas(fees.max_fee);
            transaction.set_max_priority_fee_per_gas(max_priority_fee);
        }
        Ok(transaction)
    }

    /// Builds a bundle's transaction without fees and nonce. All operations have the format of the first.
    fn handle_ops(&self, operations: &[SignedOperation]) -> Result<TransactionRequest, BundleError> {
        let unsigned = operations.iter().map(|signed| signed.operation.clone());
        let data =
            calldata::handle_ops(unsigned, self.beneficiary).map_err(|other| BundleError::NotTaken {
                hash: None,
                not_taken: Box::new(NotTaken {
                    by: "submitter".to_owned(),
                    code: None,
                    message: other.to_string(),
                    reason: NotTakenReason::Other,
                }),
            })?;
        Ok(TransactionRequest::default()
            .with_from(self.from)
            .with_to(self.entry_point)
            .with_gas_limit(bundle_gas(operations, data.len()))
            .with_input(data))
    }
}

impl Memory {
    /// Returns the transactions that carry the operation, latest first.
    fn carriers(&self, user_op_hash: B256) -> Vec<Carrier> {
        let carriers = self.carried.iter().rev();
        carriers
            .filter(|carrier| carrier.user_op_hash == user_op_hash)
            .copied()
            .collect()
    }

    fn attempts_with(&self, user_op_hash: B256) -> impl DoubleEndedIterator<Item = &Attempt> {
        self.attempts
            .iter()
            .filter(move |attempt| attempt.user_op_hashes.contains(&user_op_hash))
    }

    /// Whether the operation was sent, or may have been.
    fn knows(&self, user_op_hash: B256) -> bool {
        self.attempts_with(user_op_hash).next().is_some()
            || self
                .carried
                .iter()
                .any(|carrier| carrier.user_op_hash == user_op_hash)
    }

    /// Returns the lowest nonce, unused by the node's count of included transactions, of a transaction that
    /// may carry the operation.
    fn open_nonce(&self, user_op_hash: B256, included: u64) -> Option<u64> {
        let nonces = self.attempts_with(user_op_hash).map(|attempt| attempt.nonce);
        nonces.filter(|nonce| *nonce >= included).min()
    }

    /// Returns when sending the operation with this nonce was first attempted.
    fn first_attempt(&self, user_op_hash: B256, nonce: u64) -> Option<Instant> {
        let attempts = self.attempts_with(user_op_hash);
        let with_nonce = attempts.filter(|attempt| attempt.nonce == nonce);
        with_nonce.map(|attempt| attempt.first).min()
    }

    /// Whether every recent transaction with this nonce, sent or possibly sent, carries the operations.
    fn always_carried(&self, operations: &[SignedOperation], nonce: u64) -> bool {
        self.attempts
            .iter()
            .filter(|attempt| attempt.nonce == nonce && attempt.at.elapsed() < LAG)
            .all(|attempt| {
                operations
                    .iter()
                    .all(|operation| attempt.user_op_hashes.contains(&operation.hash))
            })
    }

    /// Notes the node's count of included transactions. A lower count than before is believed after a while:
    /// the node lagged, or there was a reorganization.
    fn note_count(&mut self, included: u64) {
        if self
            .counted
            .is_none_or(|(most, at)| included >= most || at.elapsed() >= LAG)
        {
            self.counted = Some((included, Instant::now()));
        }
    }

    /// Returns a nonce not below the node's recent count.
    fn at_least(&self, nonce: u64) -> u64 {
        match self.counted {
            Some((most, at)) if at.elapsed() < LAG => nonce.max(most),
            _ => nonce,
        }
    }

    /// Returns the latest accepted transaction with this nonce, and the time.
    fn taken(&self, nonce: u64) -> Option<(B256, Instant)> {
        self.attempts
            .iter()
            .rev()
            .filter(|attempt| attempt.nonce == nonce)
            .find_map(|attempt| Some((attempt.taken?, attempt.at)))
    }

    /// Notes that a transaction with this nonce may carry the operations. Returns whether that is new.
    fn note_attempt(&mut self, operations: &[SignedOperation], nonce: u64) -> bool {
        let user_op_hashes = hashes_of(operations);
        let noted = self
            .attempts
            .iter_mut()
            .find(|attempt| attempt.nonce == nonce && attempt.user_op_hashes == user_op_hashes);
        if let Some(noted) = noted {
            noted.at = Instant::now();
            return false;
        }
        if self.attempts.len() >= REMEMBERED {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Attempt {
            nonce,
            user_op_hashes,
            first: Instant::now(),
            at: Instant::now(),
            taken: None,
        });
        true
    }

    fn forget_attempt(&mut self, operations: &[SignedOperation], nonce: u64) {
        let hashes = hashes_of(operations);
        self.attempts
            .retain(|attempt| attempt.nonce != nonce || attempt.user_op_hashes != hashes);
    }

    /// Notes which transaction carries the operations.
    fn note_taken(&mut self, operations: &[SignedOperation], nonce: u64, transaction_hash: B256) {
        let hashes = hashes_of(operations);
        for attempt in &mut self.attempts {
            if attempt.nonce == nonce && attempt.user_op_hashes == hashes {
                (attempt.at, attempt.taken) = (Instant::now(), Some(transaction_hash));
            }
        }
        for user_op_hash in hashes {
            let carrier = Carrier {
                user_op_hash,
                transaction_hash,
                nonce,
            };
            if self.carried.contains(&carrier) {
                continue;
            }
            if self.carried.len() >= REMEMBERED {
                self.carried.pop_front();
            }
            self.carried.push_back(carrier);
        }
    }
}

/// The status of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// The node does not know it.
    Unknown,
    /// It is pending.
    Pending,
    /// It is in a block.
    Included,
}

impl Status {
    /// Interprets a node's answer to `eth_getTransactionByHash`.
    fn of(found: &Value) -> Self {
        let Value::Object(fields) = found else {
            return Self::Unknown;
        };
        let is_told = |name: &str| {
            fields.get(name).is_some_and(|value| match value {
                Value::Null => false,
                Value::String(text) => !matches!(text.trim(), "" | "0x"),
                _ => true,
            })
        };
        if is_told("blockNumber") || is_told("blockHash") {
            Self::Included
        } else if is_told("hash") || is_told("nonce") {
            Self::Pending
        } else {
            Self::Unknown
        }
    }
}

/// Returns the authorizations of a transaction with these operations, without duplicates.
fn authorizations(operations: &[SignedOperation]) -> Vec<SignedAuthorization> {
    let mut authorizations = Vec::new();
    for signed in operations {
        if let Some(authorization) = &signed.operation.authorization
            && !authorizations.contains(authorization)
        {
            authorizations.push(authorization.clone());
        }
    }
    authorizations
}

fn not_authorized(hash: Option<B256>, error: AuthorizationError) -> BundleError {
    BundleError::NotTaken {
        hash,
        not_taken: Box::new(NotTaken::not_authorized("submitter", error)),
    }
}

/// Returns a bundle's gas: enough for the EntryPoint to give every operation its limits, which it enforces
/// ("AA95"). Unused gas is not paid for.
fn bundle_gas(operations: &[SignedOperation], data_length: usize) -> u64 {
    let limits = operations
        .iter()
        .fold(U256::ZERO, |sum, SignedOperation { operation, .. }| {
            // Before execution the EntryPoint requires one more verification gas limit (a paymaster's
            // `postOp` may need it), on top of the validation of account and paymaster.
            let verifications = if operation.paymaster_and_data.is_empty() {
                2
            } else {
                3
            };
            // From v0.7 on, the paymaster has its own gas limits.
            let paymaster = operation.paymaster_fields().map_or(U256::ZERO, |fields| {
                U256::from(fields.verification_gas_limit) + U256::from(fields.post_op_gas_limit)
            });
            sum.saturating_add(operation.call_gas_limit)
                .saturating_add(paymaster)
                .saturating_add(
                    operation
                        .verification_gas_limit
                        .saturating_mul(U256::from(verifications)),
                )
                .saturating_add(operation.pre_verification_gas)
        });
    // EIP-7623 prices a byte of data at up to 40 gas. A sixty-fourth of the gas is held back at every call
    // level.
    let data = U256::from(data_length).saturating_mul(U256::from(40));
    let authorizations = U256::from(authorizations(operations).len()) * U256::from(AUTHORIZATION_GAS);
    let gas = limits
        .saturating_add(limits / U256::from(32))
        .saturating_add(data)
        .saturating_add(authorizations)
        .saturating_add(U256::from(100_000));
    gas.try_into().unwrap_or(u64::MAX)
}

/// Returns the operations without duplicates.
fn each_once(operations: &[SignedOperation]) -> Vec<SignedOperation> {
    let mut known = BTreeSet::new();
    let is_new = |operation: &&SignedOperation| known.insert(operation.hash);
    operations.iter().filter(is_new).cloned().collect()
}

fn hashes_of(operations: &[SignedOperation]) -> Vec<B256> {
    operations.iter().map(|operation| operation.hash).collect()
}

#[async_trait]
impl Submitter for EntryPointSubmitter {
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<Gas, EstimateError> {
        simulate::simulate_gas(&self.node, self.entry_point, operation).await
    }

    fn estimates_by_node(&self) -> bool {
        true
    }

    /// For the sender of the transactions, the nonce after its next transaction's.
    async fn authorization_nonce(&self, account: Address) -> Result<Option<u64>, RequestError> {
        if account == self.from {
            Ok(Some(self.next_nonce().await?.saturating_add(1)))
        } else {
            Ok(None)
        }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(hash = %operation.hash))]
    async fn send(&self, operation: &SignedOperation) -> Sent {
        match self.send_bundle(std::slice::from_ref(operation), false).await {
            Ok(_) => Sent::Taken,
            Err(error) => error.into(),
        }
    }

    /// Of this submitter's transactions with the operation, returns the latest in a block, else the latest.
    #[tracing::instrument(level = "debug", skip_all, fields(%user_op_hash))]
    async fn transaction(&self, user_op_hash: B256) -> Result<Option<B256>, RequestError> {
        let transactions = self.transactions(user_op_hash);
        let [latest, _, ..] = transactions.as_slice() else {
            return Ok(transactions.first().copied());
        };
        let mut in_block = None;
        for transaction_hash in &transactions {
            // Some of those in a block may have failed.
            let Ok(Some(receipt)) = self.node.receipt(*transaction_hash).await else {
                continue;
            };
            let operations = receipt.operations(self.entry_point);
            if operations
                .iter()
                .any(|operation| operation.user_op_hash == user_op_hash)
            {
                return Ok(Some(*transaction_hash));
            }
            in_block.get_or_insert(*transaction_hash);
        }
        Ok(in_block.or(Some(*latest)))
    }

    /// Whether this submitter has sent the operation, or may have. It does not know what others sent.
    async fn knows(&self, user_op_hash: B256) -> Result<bool, RequestError> {
        Ok(self.memory().knows(user_op_hash))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::wire::{Reply, Wire, World, wallet},
        *,
    };
    use alloy::{consensus::Transaction as _, rpc::types::Block};
    use serde_json::json;
    use session_key_testkit::{Fate, dev_accounts};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Returns a submitter over a wire to the world's chain.
    fn submitter(world: &World) -> (Wire, EntryPointSubmitter) {
        let wire = Wire::to_chain(&world.testkit);
        let signer = dev_accounts()[2].signer();
        let from = signer.address();
        let provider = wallet(wire.clone(), signer);
        (
            wire,
            EntryPointSubmitter::new(provider, world.stack.entry_point, from),
        )
    }

    fn refused(sent: Sent) -> Refusal {
        match sent {
            Sent::NotTaken(NotTaken {
                reason: NotTakenReason::Refused(refusal),
                ..
            }) => refusal,
            sent => panic!("{sent:?}"),
        }
    }

    fn is_unanswered(sent: &Sent) -> bool {
        matches!(sent, Sent::NoAnswer { .. })
    }

    #[tokio::test]
    async fn the_submitter_fills_in_the_transaction() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        let signed = world.payment(0).await;
        assert!(!submitter.knows(signed.hash).await.unwrap());
        assert_eq!(submitter.transaction(signed.hash).await, Ok(None));
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        assert_eq!(world.paid(), U256::ONE);
        let mut methods = wire.methods();
        // What alloy would fill in is not requested.
        assert_eq!(methods.pop().unwrap(), "eth_sendRawTransaction");
        assert!(!methods.contains(&"eth_estimateGas".to_owned()), "{methods:?}");
        let ids = methods.iter().filter(|method| *method == "eth_chainId");
        assert_eq!(ids.count(), 1, "{methods:?}");
        let counts = methods
            .iter()
            .filter(|method| *method == "eth_getTransactionCount");
        assert_eq!(counts.count(), 2, "{methods:?}");

        let transaction = submitter.transaction(signed.hash).await.unwrap().unwrap();
        let receipt = submitter.node.receipt(transaction).await.unwrap().unwrap();
        assert_eq!(
            receipt.operations(world.stack.entry_point)[0].user_op_hash,
            signed.hash
        );
        assert!(submitter.knows(signed.hash).await.unwrap());
        // It is included: the chain decides the outcome.
        let refusal = refused(submitter.send(&signed).await);
        assert_eq!(refusal.code, Some(AaCode::InvalidNonce));
        assert_eq!(world.paid(), U256::ONE);
    }

    #[tokio::test]
    async fn a_pending_operation_is_not_sent_again() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let signed = world.payment(0).await;
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        assert_eq!(wire.waiting().len(), 1);
        let bundle = submitter
            .send_all(&[signed.clone(), world.payment(1).await])
            .await
            .unwrap();
        assert_eq!((bundle.sent.len(), bundle.sent_before), (1, vec![signed.hash]));
        wire.mine().await;
        assert_eq!(world.paid(), U256::from(2));
    }

    #[tokio::test]
    async fn an_operation_the_entry_point_refuses_is_not_sent() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let mut wrong = world.payment(0).await;
        wrong.operation.signature = world.payment(1).await.operation.signature;
        assert_eq!(
            refused(submitter.send(&wrong).await).code,
            Some(AaCode::AccountSignature)
        );
        world.testkit.chain().set_balance(world.account, U256::ONE);
        match submitter.send(&world.payment(0).await).await {
            Sent::NotTaken(not_taken) => {
                assert_eq!(not_taken.reason, NotTakenReason::Funds);
                assert!(not_taken.message.starts_with("AA21"), "{not_taken}");
            }
            sent => panic!("{sent:?}"),
        }
        assert_eq!(wire.waiting().len(), 0);
    }

    #[tokio::test]
    async fn a_bundle_names_or_drops_refused_operations() {
        let world = World::new();
        let (_, submitter) = submitter(&world);
        let mut all = Vec::new();
        for lane in 0..4 {
            all.push(world.payment(lane).await);
        }
        all[2].operation.signature = all[0].operation.signature.clone();
        let wrong = all[2].hash;
        match submitter.send_all(&all).await.unwrap_err() {
            BundleError::NotTaken { hash, .. } => assert_eq!(hash, Some(wrong)),
            error => panic!("{error:?}"),
        }
        assert_eq!(world.paid(), U256::ZERO);
        let bundle = submitter.send_all_valid(&all).await.unwrap();
        assert_eq!(bundle.sent.len(), 3);
        assert_eq!(bundle.refused[0].0, wrong);
        assert_eq!(bundle.refused[0].1.code, Some(AaCode::AccountSignature));
        assert_eq!(world.paid(), U256::from(3));
        for hash in bundle.sent {
            assert_eq!(
                submitter.transaction(hash).await.unwrap(),
                bundle.transaction_hash
            );
        }
    }

    #[tokio::test]
    async fn a_possibly_pending_operation_keeps_its_nonce() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let signed = world.payment(0).await;
        wire.script(|method, _| (method == "eth_sendRawTransaction").then_some(Reply::Lost));
        assert!(is_unanswered(&submitter.send(&signed).await));
        wire.repair();
        assert!(submitter.knows(signed.hash).await.unwrap());
        // The same transaction.
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        assert_eq!(wire.waiting().len(), 1);
        // Another one with its nonce, if fees have changed and it is not known that the first was accepted.
        submitter.memory().carried.clear();
        let before = wire.waiting()[0].max_fee_per_gas();
        let history = json!({ "baseFeePerGas": [format!("{:#x}", before / 2)], "reward": [["0x5"]] });
        wire.script(move |method, _| (method == "eth_feeHistory").then(|| Reply::Result(history.clone())));
        assert!(is_unanswered(&submitter.send(&signed).await));
        wire.repair();
        assert_eq!(wire.waiting().len(), 1);
        // Nor does it block others.
        assert_eq!(submitter.send(&world.payment(1).await).await, Sent::Taken);
        wire.mine().await;
        assert_eq!(world.paid(), U256::from(2));
        assert_eq!(
            refused(submitter.send(&signed).await).code,
            Some(AaCode::InvalidNonce)
        );
    }

    #[tokio::test]
    async fn a_lost_operation_is_sent_again_unless_its_nonce_was_used() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let [first, second] = [world.payment(0).await, world.payment(1).await];
        let lose = async |signed: &SignedOperation| {
            wire.script(|method, _| (method == "eth_sendRawTransaction").then_some(Reply::Lost));
            assert!(is_unanswered(&submitter.send(signed).await));
            wire.forget();
            wire.repair();
        };
        lose(&first).await;
        let bundle = submitter.send_all(&[first.clone(), second]).await.unwrap();
        assert_eq!(bundle.sent_before, [first.hash]);
        let nonces: Vec<u64> = wire.waiting().iter().map(|waiting| waiting.nonce()).collect();
        assert_eq!(nonces, [0, 1]);
        wire.mine().await;

        let [third, fourth] = [world.payment(2).await, world.payment(3).await];
        lose(&third).await;
        assert_eq!(submitter.send(&fourth).await, Sent::Taken);
        let waiting = wire.waiting();
        // Even if fees have risen enough to replace the other.
        let before = waiting[0].max_fee_per_gas();
        let history = json!({ "baseFeePerGas": [format!("{before:#x}")], "reward": [["0x77359400"]] });
        wire.script(move |method, _| (method == "eth_feeHistory").then(|| Reply::Result(history.clone())));
        assert!(is_unanswered(&submitter.send(&third).await));
        wire.repair();
        assert_eq!(wire.waiting(), waiting);
        wire.mine().await;
        assert_eq!(submitter.send(&third).await, Sent::Taken);
        wire.mine().await;
        assert_eq!(world.paid(), U256::from(4));
    }

    #[tokio::test]
    async fn a_lagging_node_does_not_cause_replacements() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        wire.lag();
        assert_eq!(submitter.send(&world.payment(0).await).await, Sent::Taken);
        // Twice the fees: enough for the pool to replace it.
        let before = wire.waiting()[0].max_fee_per_gas();
        let price = json!({ "baseFeePerGas": [format!("{before:#x}")], "reward": [["0x77359400"]] });
        wire.script(move |method, _| (method == "eth_feeHistory").then(|| Reply::Result(price.clone())));
        assert_eq!(submitter.send(&world.payment(1).await).await, Sent::Taken);
        let nonces: Vec<u64> = wire.waiting().iter().map(|waiting| waiting.nonce()).collect();
        assert_eq!(nonces, [0, 1]);
        wire.mine().await;
        assert_eq!(world.paid(), U256::from(2));
        // Nor one that counts fewer than a moment ago.
        wire.script(|method, _| (method == "eth_getTransactionCount").then(|| Reply::Result(json!("0x0"))));
        submitter.memory().note_count(2);
        assert_eq!(submitter.next_nonce().await, Ok(2));
    }

    #[tokio::test]
    async fn a_transaction_the_node_lost_frees_its_nonce() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let signed = world.payment(0).await;
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        let past = Instant::now().checked_sub(LAG).unwrap();
        let age = || {
            for attempt in &mut submitter.memory().attempts {
                attempt.at = past;
            }
        };
        age();
        assert_eq!(submitter.next_nonce().await, Ok(1));
        wire.forget();
        assert_eq!(submitter.next_nonce().await, Ok(0));
        // It is sent again with the same nonce.
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        assert_eq!(wire.waiting()[0].nonce(), 0);
    }

    /// Returns a chain that can be reorganized, and a submitter that has sent a payment in each of three
    /// transactions and blocks.
    async fn three_blocks() -> (World, EntryPointSubmitter, [SignedOperation; 3]) {
        let world = World::deep();
        let (_, submitter) = submitter(&world);
        world.testkit.chain().set_automine(false);
        let payments = [
            world.payment(0).await,
            world.payment(1).await,
            world.payment(2).await,
        ];
        for payment in &payments {
            assert_eq!(submitter.send(payment).await, Sent::Taken);
            world.testkit.chain().mine();
        }
        assert_eq!(world.paid(), U256::from(3));
        (world, submitter, payments)
    }

    fn undo(world: &World, blocks: u64, fate: impl FnMut(u64) -> Fate) {
        let mut fate = fate;
        let undone = world
            .testkit
            .chain()
            .reorganize(blocks, |transaction| fate(transaction.nonce()));
        assert_eq!(undone.unwrap().blocks.len() as u64, blocks);
    }

    fn age(submitter: &EntryPointSubmitter) {
        let past = Instant::now().checked_sub(LAG).unwrap();
        let mut memory = submitter.memory();
        for attempt in &mut memory.attempts {
            (attempt.first, attempt.at) = (past, past);
        }
        memory.counted = memory.counted.map(|(most, _)| (most, past));
    }

    #[tokio::test]
    async fn an_undone_operation_is_sent_with_its_earlier_nonce() {
        let (world, submitter, payments) = three_blocks().await;
        undo(
            &world,
            3,
            |nonce| if nonce == 2 { Fate::Pooled } else { Fate::Dropped },
        );
        // The last waits behind the two that are lost: each fills its own place.
        assert_eq!(submitter.send(&payments[2]).await, Sent::Taken);
        for payment in &payments[..2] {
            assert_eq!(submitter.send(payment).await, Sent::Taken);
        }
        let nonces: Vec<u64> = world
            .testkit
            .chain()
            .pool()
            .iter()
            .map(|pooled| pooled.transaction.nonce())
            .collect();
        assert_eq!(nonces, [0, 1, 2]);
        world.testkit.chain().mine();
        assert_eq!(world.paid(), U256::from(3));
        assert_eq!(world.testkit.chain().nonce(submitter.from), 3);
    }

    #[tokio::test]
    async fn an_operation_behind_a_lost_transaction_takes_its_place() {
        let (world, submitter, payments) = three_blocks().await;
        undo(
            &world,
            3,
            |nonce| if nonce == 2 { Fate::Pooled } else { Fate::Dropped },
        );
        // No one asks for the first two again.
        assert_eq!(submitter.send(&payments[2]).await, Sent::Taken);
        world.testkit.chain().mine();
        assert_eq!(world.paid(), U256::ZERO);
        age(&submitter);
        assert_eq!(submitter.send(&payments[2]).await, Sent::Taken);
        world.testkit.chain().mine();
        assert_eq!(world.paid(), U256::ONE);
        // Once: it is known to wait for nothing now.
        assert_eq!(world.testkit.chain().nonce(submitter.from), 1);
        // The next one fills the remaining gap, and the waiting transaction fails.
        age(&submitter);
        assert_eq!(submitter.send(&payments[1]).await, Sent::Taken);
        world.testkit.chain().mine();
        assert_eq!(world.testkit.chain().nonce(submitter.from), 3);
        assert_eq!(world.paid(), U256::from(2));
        let included = submitter.transaction(payments[2].hash).await.unwrap().unwrap();
        let receipt = submitter.node.receipt(included).await.unwrap().unwrap();
        assert_eq!(receipt.operations(submitter.entry_point).len(), 1);
    }

    // It does not matter whether its own transaction was ever known to be accepted.
    #[tokio::test]
    async fn what_had_no_answer_behind_a_lost_transaction_takes_its_place_too() {
        let world = World::deep();
        let (wire, submitter) = submitter(&world);
        world.testkit.chain().set_automine(false);
        let [first, second] = [world.payment(0).await, world.payment(1).await];
        assert_eq!(submitter.send(&first).await, Sent::Taken);
        world.testkit.chain().mine();
        undo(&world, 1, |_| Fate::Dropped);
        wire.script(|method, _| (method == "eth_sendRawTransaction").then_some(Reply::Lost));
        assert!(is_unanswered(&submitter.send(&second).await));
        wire.repair();
        world.testkit.chain().mine();
        assert_eq!(world.paid(), U256::ZERO);
        age(&submitter);
        assert_eq!(submitter.send(&second).await, Sent::Taken);
        world.testkit.chain().mine();
        assert_eq!(world.paid(), U256::ONE);
    }

    #[tokio::test]
    async fn fees_and_costs_above_the_bounds_are_not_signed() {
        let world = World::new();
        let most = format!("{:#x}", u128::MAX);
        for (base_fee, priority_fee, setting) in [
            (most.clone(), "0x1".to_owned(), "cost in wei"),
            (most.clone(), most.clone(), "cost in wei"),
            ("0x1".to_owned(), most, "priority fee"),
            // 10,000 gwei.
            (
                "0x3b9aca00".to_owned(),
                "0x9184e72a000".to_owned(),
                "priority fee",
            ),
        ] {
            let (wire, submitter) = submitter(&world);
            wire.hold();
            let history = json!({ "baseFeePerGas": [base_fee], "reward": [[priority_fee]] });
            wire.script(move |method, _| {
                (method == "eth_feeHistory").then(|| Reply::Result(history.clone()))
            });
            match submitter.send(&world.payment(0).await).await {
                Sent::NotTaken(not_taken) => {
                    assert_eq!(not_taken.by, "submitter");
                    assert!(not_taken.message.contains(setting), "{not_taken}");
                }
                sent => panic!("{sent:?}"),
            }
            assert_eq!(wire.waiting().len(), 0);
        }
        // By custom bounds.
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let bounds = Bounds {
            max_cost: U256::from(1_000),
            ..Default::default()
        };
        let submitter = submitter.with_bounds(bounds);
        assert!(matches!(
            submitter.send(&world.payment(0).await).await,
            Sent::NotTaken(_)
        ));
        assert_eq!(wire.waiting().len(), 0);
    }

    #[tokio::test]
    async fn an_operation_of_another_chain_is_not_sent() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.script(|method, _| (method == "eth_chainId").then(|| Reply::Result(json!("0x1"))));
        let sent = submitter.send(&world.payment(0).await).await;
        let Sent::NeverLeft { error } = sent else {
            panic!("{sent:?}")
        };
        assert!(error.to_string().contains("on chain 1"), "{error}");
        assert_eq!(wire.methods(), ["eth_chainId"]);
        // A wrong answer is not remembered.
        wire.repair();
        assert_eq!(submitter.send(&world.payment(0).await).await, Sent::Taken);
        // But a confirmed chain is.
        wire.script(|method, _| (method == "eth_chainId").then(|| Reply::Result(json!("0x1"))));
        assert_eq!(submitter.send(&world.payment(1).await).await, Sent::Taken);
    }

    #[tokio::test]
    async fn a_dropped_future_leaves_the_operation_open() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        wire.script(|method, _| (method == "eth_sendRawTransaction").then_some(Reply::Hangs));
        let signed = world.payment(0).await;
        let dropped = tokio::time::timeout(Duration::from_millis(500), submitter.send(&signed)).await;
        assert!(dropped.is_err());
        assert_eq!(wire.waiting().len(), 1);
        wire.repair();
        assert!(submitter.knows(signed.hash).await.unwrap());
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        assert_eq!(wire.waiting().len(), 1);
    }

    #[tokio::test]
    async fn an_operation_the_node_has_seen_has_left() {
        let world = World::new();
        let unreached = |which: &'static str| {
            move |method: &str, _: &Value| (method == which).then_some(Reply::NotReached)
        };
        for (method, has_left) in [
            ("eth_chainId", false),
            ("eth_call", false),
            ("eth_getBlockByNumber", true),
            ("eth_getTransactionCount", true),
            ("eth_sendRawTransaction", true),
        ] {
            let (wire, submitter) = submitter(&world);
            wire.hold();
            wire.script(unreached(method));
            let signed = world.payment(0).await;
            let sent = submitter.send(&signed).await;
            match &sent {
                Sent::NeverLeft { .. } => assert!(!has_left, "{method}"),
                Sent::NoAnswer { .. } => assert!(has_left, "{method}"),
                sent => panic!("{method}: {sent:?}"),
            }
            // Its transaction did not leave: the nonce is free.
            assert!(!submitter.knows(signed.hash).await.unwrap(), "{method}");
            wire.repair();
            assert_eq!(submitter.send(&signed).await, Sent::Taken);
        }
    }

    #[tokio::test]
    async fn what_the_node_saw_in_a_first_try_has_left_although_the_second_is_not_written() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        let mut wrong = world.payment(0).await;
        wrong.operation.signature = world.payment(1).await.operation.signature;
        let right = world.payment(1).await;
        let tries = AtomicUsize::new(0);
        wire.script(move |method, _| {
            let is_second = method == "eth_call" && tries.fetch_add(1, Ordering::SeqCst) > 0;
            is_second.then_some(Reply::NotReached)
        });
        match submitter
            .send_all_valid(&[wrong, right.clone()])
            .await
            .unwrap_err()
        {
            BundleError::NoAnswer { hashes, .. } => assert_eq!(hashes, [right.hash]),
            error => panic!("{error:?}"),
        }
    }

    #[tokio::test]
    async fn a_nodes_ambiguous_answers_are_not_over_interpreted() {
        let world = World::new();
        for (message, is_open) in [
            ("already known", None),
            ("nonce too low", Some(true)),
            ("replacement transaction underpriced", Some(true)),
            ("context deadline exceeded", Some(true)),
            ("insufficient funds for gas * price + value", Some(false)),
            ("max fee per gas less than block base fee", Some(false)),
        ] {
            let (wire, submitter) = submitter(&world);
            wire.hold();
            wire.script(move |method, _| {
                (method == "eth_sendRawTransaction").then_some(Reply::Error(-32000, message, Value::Null))
            });
            let signed = world.payment(0).await;
            let sent = submitter.send(&signed).await;
            let found = match &sent {
                Sent::Taken => None,
                Sent::NoAnswer { .. } => Some(true),
                Sent::NotTaken(_) => Some(false),
                sent => panic!("{message}: {sent:?}"),
            };
            assert_eq!(found, is_open, "{message}");
            // Whatever was answered, the transaction may have been passed on: the next one for it uses the
            // same nonce.
            assert_eq!(
                submitter.memory().open_nonce(signed.hash, 0),
                Some(0),
                "{message}"
            );
        }
    }

    #[tokio::test]
    async fn chains_without_base_fee_get_legacy_transactions() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        wire.hold();
        let mut block: Value = serde_json::to_value(Block::<B256>::default()).unwrap();
        block.as_object_mut().unwrap().remove("baseFeePerGas");
        wire.script(move |method, _| match method {
            "eth_getBlockByNumber" => Some(Reply::Result(block.clone())),
            "eth_feeHistory" => Some(Reply::Error(-32601, "no such method", Value::Null)),
            _ => None,
        });
        assert_eq!(submitter.send(&world.payment(0).await).await, Sent::Taken);
        let transaction = &wire.waiting()[0];
        assert!(transaction.is_legacy());
        assert_eq!(transaction.chain_id(), Some(31337));
    }

    #[tokio::test]
    async fn the_transaction_in_a_block_is_named() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        let signed = world.payment(0).await;
        assert_eq!(submitter.send(&signed).await, Sent::Taken);
        let included = submitter.transaction(signed.hash).await.unwrap();
        let later = B256::repeat_byte(9);
        submitter
            .memory()
            .note_taken(std::slice::from_ref(&signed), 1, later);
        assert_eq!(submitter.transaction(signed.hash).await.unwrap(), included);
        // If no one can say, the latest.
        wire.script(|_, _| Some(Reply::NotReached));
        assert_eq!(submitter.transaction(signed.hash).await.unwrap(), Some(later));
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let world = World::new();
        let mut memory = Memory::default();
        let mut signed = world.payment(0).await;
        for number in 0..2 * REMEMBERED {
            signed.hash = B256::from(U256::from(number));
            memory.note_attempt(std::slice::from_ref(&signed), 0);
            memory.note_taken(std::slice::from_ref(&signed), 0, signed.hash);
        }
        assert_eq!(
            (memory.attempts.len(), memory.carried.len()),
            (REMEMBERED, REMEMBERED)
        );
        assert_eq!(memory.open_nonce(signed.hash, 0), Some(0));
        assert_eq!(memory.open_nonce(signed.hash, 1), None);
    }

    #[tokio::test]
    async fn absurd_gas_limits_are_an_error() {
        let world = World::new();
        let (wire, submitter) = submitter(&world);
        let mut operation = world.payment(0).await.operation;
        operation.call_gas_limit = U256::MAX;
        operation.verification_gas_limit = U256::MAX;
        let signed = world.sign(operation).await;
        let sent = submitter.send(&signed).await;
        assert!(
            matches!(sent, Sent::NotTaken(_) | Sent::NoAnswer { .. }),
            "{sent:?}"
        );
        assert!(!wire.methods().contains(&"eth_sendRawTransaction".to_owned()));
    }
}
