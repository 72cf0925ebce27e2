use super::{GasEstimate, Outcome, Refusal, SignedOperation, SubmitError, Submitter, simulate};
use crate::{
    UserOperation,
    abi::EntryPoint,
    revert::{AaCode, Revert},
};
use alloy::{
    consensus::Transaction as _,
    network::{TransactionBuilder, TransactionResponse as _},
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
    rpc::types::{Filter, TransactionReceipt, TransactionRequest},
    sol_types::{SolCall, SolEvent},
    transports::{RpcError, TransportError},
};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// How many blocks back an operation is looked for that this submitter did not send itself. Nodes limit such searches.
const SEARCHED_BLOCKS: u64 = 2_000;

/// Submits operations by a transaction of an ordinary account to `EntryPoint.handleOps`: no bundler needed. That account
/// pays for the transaction, and the EntryPoint refunds it from what the operations pay.
///
/// Every bundle is tried by `eth_call` first, so that what the EntryPoint refuses costs nothing.
#[derive(Debug)]
pub struct EntryPointSubmitter {
    provider: DynProvider,
    entry_point: Address,
    from: Address,
    beneficiary: Address,
    /// Transactions of the operations that were sent and are not known to be included, in the order of sending.
    sent: Mutex<HashMap<B256, Vec<B256>>>,
    /// One bundle at a time: the nonces of transactions follow each other, and no operation goes out in two of them.
    sending: tokio::sync::Mutex<()>,
}

/// Operations that went out in one transaction. Each operation given is in one of the lists, by its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The transaction; `None` if no operation was left to send.
    pub transaction_hash: Option<B256>,
    /// Operations in it.
    pub sent: Vec<B256>,
    /// Operations that were left out because they are included already, or on their way in an earlier transaction.
    pub sent_before: Vec<B256>,
    /// Operations that were left out because they were refused, and why.
    pub refused: Vec<(B256, Refusal)>,
}

impl EntryPointSubmitter {
    /// Sends transactions from `from`. The provider must be able to sign for it (a wallet, or a node that does it).
    pub fn new(provider: impl Provider + 'static, entry_point: Address, from: Address) -> Self {
        Self {
            provider: provider.erased(),
            entry_point,
            from,
            beneficiary: from,
            sent: Mutex::default(),
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
        let mut left = Vec::with_capacity(operations.len());
        for operation in operations {
            match self.is_pending(operation.hash).await? {
                true => bundle.sent_before.push(operation.hash),
                false => left.push(operation.clone()),
            }
        }
        while let Some((index, refusal)) = self.preflight(&left).await? {
            let hash = left.remove(index).hash;
            // A used nonce is what the EntryPoint says of an operation that it has executed, too.
            if refusal.code == Some(AaCode::InvalidNonce) && self.find_transaction(hash).await?.is_some() {
                bundle.sent_before.push(hash);
            } else if drop_refused {
                bundle.refused.push((hash, refusal));
            } else {
                return Err(SubmitError::RefusedInBundle { hash, refusal });
            }
        }
        self.transact(&left, &mut bundle).await?;
        Ok(bundle)
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

    #[tracing::instrument(level = "debug", skip_all, fields(operations = operations.len()))]
    async fn transact(&self, operations: &[SignedOperation], bundle: &mut Bundle) -> Result<(), SubmitError> {
        let Some(first) = operations.first() else {
            return Ok(());
        };
        let transaction_hash = match self.provider.send_transaction(self.transaction(operations)).await {
            Ok(pending) => *pending.tx_hash(),
            Err(error) if was_not_sent(&error) => return Err(error.into()),
            Err(error) => {
                return Err(SubmitError::MaybeSent {
                    hash: first.hash,
                    error,
                });
            }
        };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in operations {
            sent.entry(operation.hash).or_default().push(transaction_hash);
            bundle.sent.push(operation.hash);
        }
        bundle.transaction_hash = Some(transaction_hash);
        Ok(())
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

/// Whether the node said that it did not take the transaction, or it was never handed over.
fn was_not_sent(error: &TransportError) -> bool {
    match error {
        // What nodes say of a transaction that they have already, or had, when a transport sends it a second time; and of
        // failures of their own, which say nothing about the transaction.
        RpcError::ErrorResp(payload) => {
            let message = payload.message.to_ascii_lowercase();
            let unclear = [
                "already known",
                "known transaction",
                "already imported",
                "nonce too low",
                "timeout",
                "timed out",
            ];
            payload.code != -32603 && !unclear.iter().any(|text| message.contains(text))
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
