use super::{GasEstimate, Outcome, Refusal, SignedOperation, SubmitError, Submitter, simulate};
use crate::{UserOperation, abi::EntryPoint, revert::Revert};
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
    rpc::types::{Filter, TransactionRequest},
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
    /// Transactions of the operations that were sent and whose outcome was not asked for yet.
    sent: Mutex<HashMap<B256, B256>>,
    /// One transaction at a time, so that their nonces follow each other.
    sending: tokio::sync::Mutex<()>,
}

/// Operations that went out in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The transaction; `None` if no operation was left.
    pub transaction_hash: Option<B256>,
    /// Hashes of the operations in it.
    pub sent: Vec<B256>,
    /// Operations that were left out, and why.
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

    /// Sends several operations in one transaction. If one is refused, none is sent, and the error names it.
    pub async fn send_all(&self, operations: &[SignedOperation]) -> Result<Bundle, SubmitError> {
        let mut bundle = Bundle {
            transaction_hash: None,
            sent: Vec::new(),
            refused: Vec::new(),
        };
        if let Some((_, refusal)) = self.preflight(operations).await? {
            return Err(refusal.into());
        }
        self.transact(operations, &mut bundle).await?;
        Ok(bundle)
    }

    /// Sends several operations in one transaction, leaving out those that are refused.
    pub async fn send_all_valid(&self, operations: &[SignedOperation]) -> Result<Bundle, SubmitError> {
        let mut bundle = Bundle {
            transaction_hash: None,
            sent: Vec::new(),
            refused: Vec::new(),
        };
        let mut left = operations.to_vec();
        while !left.is_empty() {
            match self.preflight(&left).await? {
                Some((index, refusal)) => bundle.refused.push((left.remove(index).hash, refusal)),
                None => {
                    self.transact(&left, &mut bundle).await?;
                    break;
                }
            }
        }
        Ok(bundle)
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
                let code = crate::revert::AaCode::parse(&reason);
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
        let pending = {
            let _one_at_a_time = self.sending.lock().await;
            self.provider.send_transaction(self.transaction(operations)).await
        };
        let transaction_hash = match pending {
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
            sent.insert(operation.hash, transaction_hash);
            bundle.sent.push(operation.hash);
        }
        bundle.transaction_hash = Some(transaction_hash);
        Ok(())
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
    matches!(
        error,
        RpcError::ErrorResp(_)
            | RpcError::LocalUsageError(_)
            | RpcError::SerError(_)
            | RpcError::UnsupportedFeature(_)
    )
}

#[async_trait]
impl Submitter for EntryPointSubmitter {
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<GasEstimate, SubmitError> {
        simulate::simulate_gas(&self.provider, self.entry_point, operation).await
    }

    async fn send(&self, operation: &SignedOperation) -> Result<(), SubmitError> {
        self.send_all(std::slice::from_ref(operation)).await.map(drop)
    }

    async fn outcome(&self, user_op_hash: B256) -> Result<Option<Outcome>, SubmitError> {
        let known = self
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&user_op_hash)
            .copied();
        let transaction_hash = match known {
            Some(hash) => hash,
            None => {
                let latest = self.provider.get_block_number().await?;
                let filter = Filter::new()
                    .address(self.entry_point)
                    .event_signature(EntryPoint::UserOperationEvent::SIGNATURE_HASH)
                    .topic1(user_op_hash)
                    .from_block(latest.saturating_sub(SEARCHED_BLOCKS));
                let logs = self.provider.get_logs(&filter).await?;
                match logs.first().and_then(|log| log.transaction_hash) {
                    Some(hash) => hash,
                    None => return Ok(None),
                }
            }
        };
        let Some(receipt) = self.provider.get_transaction_receipt(transaction_hash).await? else {
            return Ok(None);
        };
        let outcome = match Outcome::from_transaction(&receipt, self.entry_point, user_op_hash) {
            Some(outcome) => outcome,
            None => Outcome::Dropped {
                transaction_hash,
                reason: None,
            },
        };
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&user_op_hash);
        Ok(Some(outcome))
    }
}
