use super::{GasEstimate, Outcome, Refusal, SubmitError, Submitter, simulate};
use crate::{abi::EntryPoint, revert::Revert};
use alloy::{
    consensus::Transaction as _,
    network::{TransactionBuilder, TransactionResponse as _},
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
    rpc::types::{Filter, TransactionReceipt, TransactionRequest},
    sol_types::{SolCall, SolEvent},
    transports::{RpcError, TransportError, TransportErrorKind},
};
use async_trait::async_trait;
use session_key_permissions::{AaCode, SignedOperation, UserOperation};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

/// How many blocks back an operation is looked for that this submitter did not send itself. Nodes limit such searches.
const SEARCHED_BLOCKS: u64 = 2_000;

/// Submits operations by a transaction of an ordinary account to `EntryPoint.handleOps`: no bundler needed. That account
/// pays for the transaction, and the EntryPoint refunds it from what the operations pay.
///
/// Every bundle is tried by `eth_call` first, so that what the EntryPoint refuses then costs nothing. What changes before it is
/// included can still make it fail, at that account's cost.
///
/// Its transactions are included in the order of their nonces. So an operation that waits in one with too low a fee is not
/// overtaken by its replacement through the same submitter: the sender's own transaction must be sped up, which the submitter
/// does not do.
///
/// What this submitter has sent, or may have, it does not put into a second transaction as long as the first can still be
/// included. Another submitter, also one in a process that was started anew, does not know what waits, and sends it again;
/// then the operation happens once, and the transaction that comes second fails, at that account's cost.
#[derive(Debug)]
pub struct EntryPointSubmitter {
    provider: DynProvider,
    entry_point: Address,
    from: Address,
    beneficiary: Address,
    /// Transactions of the operations that were sent and are not known to be included, in the order of sending.
    sent: Mutex<HashMap<B256, Vec<B256>>>,
    /// What was handed over, or was about to be, in transactions whose nonces are not known to be used.
    open: Mutex<Vec<Attempt>>,
    /// One bundle at a time: the nonces of transactions follow each other, and no operation goes out in two of them.
    sending: tokio::sync::Mutex<()>,
}

/// Operations that a transaction with this nonce may carry. Another with the same nonce excludes it.
#[derive(Debug, PartialEq, Eq)]
struct Attempt {
    nonce: u64,
    user_op_hashes: Vec<B256>,
}

/// Operations that went out in one transaction. Each operation given is in one of the lists, by its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The transaction; `None` if no operation was left to send.
    pub transaction_hash: Option<B256>,
    /// Operations in it.
    pub sent: Vec<B256>,
    /// Operations that were left out because they are included already, or on their way in an earlier transaction. One that
    /// only may be on its way is sent once more with the nonce that its transaction had: of the two, one can be included.
    pub sent_before: Vec<B256>,
    /// Operations that were left out because they were refused, and why.
    pub refused: Vec<(B256, Refusal)>,
}

impl EntryPointSubmitter {
    /// Sends transactions from `from`. The provider must be able to sign for it (a wallet, or a node that does it).
    ///
    /// The submitter takes the nonces of its transactions from the node, so that one whose answer was lost can be sent again
    /// with the same. Nothing else should send transactions from `from` meanwhile. Between bundles that is no matter, if it asks
    /// the node for the nonce, too: alloy's default filler counts by itself from its first transaction on and does not see the
    /// submitter's; a provider built `with_simple_nonce_management` instead of the recommended fillers' does.
    pub fn new(provider: impl Provider + 'static, entry_point: Address, from: Address) -> Self {
        Self {
            provider: provider.erased(),
            entry_point,
            from,
            beneficiary: from,
            sent: Mutex::default(),
            open: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
        }
    }

    /// Lets another address receive the fees.
    #[must_use]
    pub fn with_beneficiary(mut self, beneficiary: Address) -> Self {
        self.beneficiary = beneficiary;
        self
    }

    /// Sends several operations in one transaction. If one is refused, none is sent, and
    /// [`SubmitError::RefusedInBundle`] names it.
    pub async fn send_all(&self, operations: &[SignedOperation]) -> Result<Bundle, SubmitError> {
        self.send_bundle(operations, false).await
    }

    /// Sends several operations in one transaction, leaving out those that are refused.
    pub async fn send_all_valid(&self, operations: &[SignedOperation]) -> Result<Bundle, SubmitError> {
        self.send_bundle(operations, true).await
    }

    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn send_bundle(
        &self,
        operations: &[SignedOperation],
        drop_refused: bool,
    ) -> Result<Bundle, SubmitError> {
        let _one_at_a_time = self.sending.lock().await;
        let mut bundle = Bundle::default();
        let (again, new) = self.sort(operations, &mut bundle).await?;
        // What may be on its way can only go out with the nonce that it had: then one of the two transactions is void.
        let mut ready = BTreeMap::new();
        for (nonce, operations) in again {
            let operations = self.accepted(operations, drop_refused, &mut bundle).await?;
            if !operations.is_empty() {
                ready.insert(nonce, operations);
            }
        }
        let least_nonce = ready.last_key_value().map_or(0, |(nonce, _)| nonce + 1);
        let next_nonce = async {
            match new.is_empty() {
                true => Ok(None),
                false => self.next_nonce().await.map(Some),
            }
        };
        let (next_nonce, new) =
            tokio::try_join!(next_nonce, self.accepted(new.clone(), drop_refused, &mut bundle))?;
        for (nonce, operations) in ready {
            self.transact_again(&operations, nonce).await?;
            bundle.sent_before.extend(hashes_of(&operations));
        }
        if let Some(next_nonce) = next_nonce
            && !new.is_empty()
        {
            let transaction_hash = self.transact(&new, next_nonce.max(least_nonce)).await?;
            bundle.transaction_hash = Some(transaction_hash);
            bundle.sent = hashes_of(&new);
        }
        Ok(bundle)
    }

    /// Operations that may be on their way, by the nonce of their transaction, and new ones. Those that are known to be on
    /// their way are noted in the bundle.
    async fn sort(
        &self,
        operations: &[SignedOperation],
        bundle: &mut Bundle,
    ) -> Result<(BTreeMap<u64, Vec<SignedOperation>>, Vec<SignedOperation>), SubmitError> {
        let mut again = BTreeMap::<_, Vec<_>>::new();
        let mut new = Vec::with_capacity(operations.len());
        for operation in operations {
            if self.is_pending(operation.hash).await? {
                bundle.sent_before.push(operation.hash);
                continue;
            }
            match self.open_nonce(operation.hash).await? {
                Some(nonce) => again.entry(nonce).or_default().push(operation.clone()),
                None => new.push(operation.clone()),
            }
        }
        Ok((again, new))
    }

    /// The nonce of a transaction that may carry the operation and may still be included.
    async fn open_nonce(&self, user_op_hash: B256) -> Result<Option<u64>, SubmitError> {
        let find = || {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let attempt = open
                .iter()
                .find(|attempt| attempt.user_op_hashes.contains(&user_op_hash));
            attempt.map(|attempt| attempt.nonce)
        };
        if find().is_some() {
            self.forget_used_nonces().await?;
        }
        Ok(find())
    }

    /// Attempts whose nonce is used are over: included, or void.
    async fn forget_used_nonces(&self) -> Result<(), SubmitError> {
        let next = self.provider.get_transaction_count(self.from).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|attempt| attempt.nonce >= next);
        Ok(())
    }

    /// The nonce after those of the transactions that the node knows.
    async fn next_nonce(&self) -> Result<u64, SubmitError> {
        let next = self.provider.get_transaction_count(self.from).pending();
        let (next, ()) = tokio::try_join!(async { Ok(next.await?) }, self.forget_used_nonces())?;
        Ok(next)
    }

    /// Those of the operations that the EntryPoint takes. The others are noted in the bundle, or an error.
    async fn accepted(
        &self,
        mut operations: Vec<SignedOperation>,
        drop_refused: bool,
        bundle: &mut Bundle,
    ) -> Result<Vec<SignedOperation>, SubmitError> {
        while let Some((index, refusal)) = self.preflight(&operations).await? {
            let hash = operations.remove(index).hash;
            // A used nonce is what the EntryPoint says of an operation that it has executed, too.
            if refusal.code == Some(AaCode::InvalidNonce) && self.find_transaction(hash).await?.is_some() {
                bundle.sent_before.push(hash);
            } else if drop_refused {
                bundle.refused.push((hash, refusal));
            } else {
                return Err(SubmitError::RefusedInBundle { hash, refusal });
            }
        }
        Ok(operations)
    }

    /// Whether a transaction of this submitter that carries the operation waits to be included.
    async fn is_pending(&self, user_op_hash: B256) -> Result<bool, SubmitError> {
        for transaction_hash in self.transactions(user_op_hash) {
            let transaction = self.provider.get_transaction_by_hash(transaction_hash).await?;
            if transaction.is_some_and(|transaction| transaction.block_number().is_none()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Transactions of this submitter that carry the operation.
    fn transactions(&self, user_op_hash: B256) -> Vec<B256> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.get(&user_op_hash).cloned().unwrap_or_default()
    }

    /// The operation's outcome, if this transaction included it.
    fn included(&self, receipt: &TransactionReceipt, user_op_hash: B256) -> Option<Outcome> {
        let outcome = Outcome::from_transaction(receipt, self.entry_point, user_op_hash)?;
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.remove(&user_op_hash);
        Some(outcome)
    }

    /// The transaction that included the operation, whoever sent it.
    async fn find_transaction(&self, user_op_hash: B256) -> Result<Option<B256>, SubmitError> {
        let latest = self.provider.get_block_number().await?;
        let filter = Filter::new()
            .address(self.entry_point)
            .event_signature(EntryPoint::UserOperationEvent::SIGNATURE_HASH)
            .topic1(user_op_hash)
            .from_block(latest.saturating_sub(SEARCHED_BLOCKS));
        let logs = self.provider.get_logs(&filter).await?;
        Ok(logs.first().and_then(|log| log.transaction_hash))
    }

    /// Tries the bundle without sending it. `Some`: the operation at this index is refused.
    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn preflight(
        &self,
        operations: &[SignedOperation],
    ) -> Result<Option<(usize, Refusal)>, SubmitError> {
        if operations.is_empty() {
            return Ok(None);
        }
        let error = match self.provider.call(self.transaction(operations)).await {
            Ok(_) => return Ok(None),
            Err(error) => error,
        };
        match Revert::from_rpc_error(&error) {
            Some(Revert::FailedOp(failed)) => {
                let index = usize::try_from(failed.op_index).unwrap_or(usize::MAX);
                let operation = operations
                    .get(index)
                    .ok_or(SubmitError::NotAnEntryPoint(self.entry_point))?;
                let refusal =
                    simulate::refusal(&self.provider, self.entry_point, &operation.operation, failed).await;
                Ok(Some((index, refusal)))
            }
            // Errors of the bundle as a whole ("AA9x") do not say which operation is meant.
            Some(revert) => {
                let reason = revert.to_string();
                let code = AaCode::parse(&reason);
                Err(Refusal {
                    code,
                    reason,
                    cause: None,
                }
                .into())
            }
            None => Err(error.into()),
        }
    }

    /// Sends the operations in a transaction with this nonce. It is noted before that they may be on their way: the answer can
    /// be lost, and the future dropped.
    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn transact(&self, operations: &[SignedOperation], nonce: u64) -> Result<B256, SubmitError> {
        self.note_attempt(operations, nonce);
        let transaction = self.transaction(operations).with_nonce(nonce);
        match self.provider.send_transaction(transaction).await {
            Ok(pending) => Ok(self.note_sent(operations, *pending.tx_hash())),
            Err(error) if was_not_sent(&error) => {
                let hashes = hashes_of(operations);
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                open.retain(|attempt| attempt.user_op_hashes != hashes);
                Err(error.into())
            }
            Err(error) => Err(maybe_sent(operations, error)),
        }
    }

    /// Sends operations that a transaction with this nonce may carry already.
    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn transact_again(&self, operations: &[SignedOperation], nonce: u64) -> Result<(), SubmitError> {
        if !self.always_carried(operations, nonce) {
            let reason = "another bundle went out with the same transaction nonce, which is not used yet";
            return Err(maybe_sent(operations, TransportErrorKind::custom_str(reason)));
        }
        self.note_attempt(operations, nonce);
        let transaction = self.transaction(operations).with_nonce(nonce);
        match self.provider.send_transaction(transaction).await {
            Ok(pending) => {
                self.note_sent(operations, *pending.tx_hash());
                Ok(())
            }
            Err(error) if has_transaction(&error) => Ok(()),
            // That this transaction was not taken says nothing about the one before.
            Err(error) => Err(maybe_sent(operations, error)),
        }
    }

    /// Whether every transaction that may have gone out with this nonce carries the operations.
    fn always_carried(&self, operations: &[SignedOperation], nonce: u64) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter()
            .filter(|attempt| attempt.nonce == nonce)
            .all(|attempt| {
                operations
                    .iter()
                    .all(|operation| attempt.user_op_hashes.contains(&operation.hash))
            })
    }

    /// Notes that a transaction with this nonce may carry the operations.
    fn note_attempt(&self, operations: &[SignedOperation], nonce: u64) {
        let attempt = Attempt {
            nonce,
            user_op_hashes: hashes_of(operations),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains(&attempt) {
            open.push(attempt);
        }
    }

    /// Notes which transaction carries the operations.
    fn note_sent(&self, operations: &[SignedOperation], transaction_hash: B256) -> B256 {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in operations {
            let transactions = sent.entry(operation.hash).or_default();
            if !transactions.contains(&transaction_hash) {
                transactions.push(transaction_hash);
            }
        }
        transaction_hash
    }

    /// Why a transaction of this submitter failed as a whole: what the EntryPoint says of the same bundle after the
    /// transaction's block.
    async fn failure_of(
        &self,
        receipt: &TransactionReceipt,
        user_op_hash: B256,
    ) -> Result<Option<Refusal>, SubmitError> {
        let hash = receipt.transaction_hash;
        let (Some(transaction), Some(block)) = (
            self.provider.get_transaction_by_hash(hash).await?,
            receipt.block_number,
        ) else {
            return Ok(None);
        };
        let request = TransactionRequest::default()
            .with_from(transaction.from())
            .with_to(self.entry_point)
            .with_gas_limit(transaction.gas_limit())
            .with_input(transaction.input().clone());
        let Err(error) = self.provider.call(request).number(block).await else {
            return Ok(None);
        };
        let Some(Revert::FailedOp(failed)) = Revert::from_rpc_error(&error) else {
            return Ok(None);
        };
        let Ok(bundle) = EntryPoint::handleOpsCall::abi_decode(transaction.input()) else {
            return Ok(None);
        };
        let index = usize::try_from(failed.op_index).unwrap_or(usize::MAX);
        let Some(operation) = bundle.ops.into_iter().nth(index).map(UserOperation::from) else {
            return Ok(None);
        };
        let chain_id = self.provider.get_chain_id().await?;
        Ok(Some(match operation.hash(self.entry_point, chain_id) {
            culprit if culprit == user_op_hash => {
                simulate::refusal(&self.provider, self.entry_point, &operation, failed).await
            }
            culprit => Refusal {
                code: None,
                reason: format!(
                    "operation {culprit} of the same bundle was refused: {}",
                    failed.reason
                ),
                cause: None,
            },
        }))
    }

    fn transaction(&self, operations: &[SignedOperation]) -> TransactionRequest {
        let ops = operations
            .iter()
            .map(|signed| signed.operation.clone().into())
            .collect();
        let data = EntryPoint::handleOpsCall {
            ops,
            beneficiary: self.beneficiary,
        }
        .abi_encode();
        TransactionRequest::default()
            .with_from(self.from)
            .with_to(self.entry_point)
            .with_gas_limit(bundle_gas(operations, data.len()))
            .with_input(data)
    }
}

/// Gas for a bundle: enough for the EntryPoint to give every operation its limits, which it insists on ("AA95"). What is not
/// used is not paid for.
fn bundle_gas(operations: &[SignedOperation], data_length: usize) -> u64 {
    let limits = operations
        .iter()
        .fold(U256::ZERO, |sum, SignedOperation { operation, .. }| {
            // Before execution the EntryPoint wants one verification gas limit in hand (a paymaster's `postOp` may need it), on
            // top of what the validation of account and paymaster took.
            let verifications = match operation.paymaster_and_data.is_empty() {
                true => U256::from(2),
                false => U256::from(3),
            };
            sum.saturating_add(operation.call_gas_limit)
                .saturating_add(operation.verification_gas_limit.saturating_mul(verifications))
                .saturating_add(operation.pre_verification_gas)
        });
    // EIP-7623 prices a byte of data at up to 40 gas. A sixty-fourth of the gas stays behind at every level of calls.
    let data = U256::from(40 * data_length as u64);
    let gas = limits
        .saturating_add(limits / U256::from(32))
        .saturating_add(data)
        .saturating_add(U256::from(100_000));
    gas.try_into().unwrap_or(u64::MAX)
}

fn hashes_of(operations: &[SignedOperation]) -> Vec<B256> {
    operations.iter().map(|operation| operation.hash).collect()
}

/// The error of a transaction that may have arrived.
fn maybe_sent(operations: &[SignedOperation], error: TransportError) -> SubmitError {
    SubmitError::MaybeSent {
        hash: operations.first().map(|first| first.hash).unwrap_or_default(),
        error,
    }
}

/// What nodes say of a transaction that they have already.
const KNOWN: [&str; 3] = ["already known", "known transaction", "already imported"];

/// Whether the node said that it has a transaction with the same nonce from the same account already.
fn has_transaction(error: &TransportError) -> bool {
    let RpcError::ErrorResp(payload) = error else {
        return false;
    };
    let message = payload.message.to_ascii_lowercase();
    KNOWN
        .iter()
        .chain(&["replacement"])
        .any(|text| message.contains(text))
}

/// Whether the node said that it did not take the transaction, or it was never handed over.
fn was_not_sent(error: &TransportError) -> bool {
    match error {
        // What nodes say of a transaction that they have already, or had, when a transport sends it a second time; and of
        // failures of their own, which say nothing about the transaction.
        RpcError::ErrorResp(payload) => {
            let message = payload.message.to_ascii_lowercase();
            let unclear = ["nonce too low", "timeout", "timed out"];
            payload.code != -32603 && !KNOWN.iter().chain(&unclear).any(|text| message.contains(text))
        }
        error => matches!(
            error,
            RpcError::LocalUsageError(_) | RpcError::SerError(_) | RpcError::UnsupportedFeature(_)
        ),
    }
}

#[async_trait]
impl Submitter for EntryPointSubmitter {
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<GasEstimate, SubmitError> {
        simulate::simulate_gas(&self.provider, self.entry_point, operation).await
    }

    async fn send(&self, operation: &SignedOperation) -> Result<(), SubmitError> {
        match self.send_all(std::slice::from_ref(operation)).await {
            Ok(_) => Ok(()),
            Err(SubmitError::RefusedInBundle { refusal, .. }) => Err(refusal.into()),
            Err(error) => Err(error),
        }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(%user_op_hash))]
    async fn outcome(&self, user_op_hash: B256) -> Result<Option<Outcome>, SubmitError> {
        let mut failed = None;
        let mut pending = false;
        for transaction_hash in self.transactions(user_op_hash) {
            match self.provider.get_transaction_receipt(transaction_hash).await? {
                Some(receipt) => match self.included(&receipt, user_op_hash) {
                    Some(outcome) => return Ok(Some(outcome)),
                    None => failed = Some(receipt),
                },
                None => pending = true,
            }
        }
        // Whoever sees a bundle on its way can send an operation of it himself; then the bundle fails, and the operation does
        // not. And it may have been sent by another process.
        if let Some(transaction_hash) = self.find_transaction(user_op_hash).await?
            && let Some(receipt) = self.provider.get_transaction_receipt(transaction_hash).await?
        {
            return Ok(self.included(&receipt, user_op_hash));
        }
        if pending {
            return Ok(None);
        }
        let Some(receipt) = failed else {
            return Ok(None);
        };
        Ok(Some(Outcome::Dropped {
            transaction_hash: receipt.transaction_hash,
            // The reason is a help only: without it the operation is dropped all the same.
            reason: self.failure_of(&receipt, user_op_hash).await.unwrap_or(None),
        }))
    }
}
