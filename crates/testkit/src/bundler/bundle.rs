//! Makes bundles and sends them.

use super::{
    Bundle, BundlerOptions, State,
    mempool::Entry,
    operation::{lane, next_sequence, sequence},
    validation::validate,
};
use crate::{CallOptions, Chain, ChainError, call::request, transaction::Candidate, vantage::Vantage};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope, transaction::Recovered},
    primitives::{Address, B256, Bytes, U256, map::HashMap},
    rpc::types::state::StateOverride,
    signers::SignerSync,
    sol_types::{SolCall, SolError},
};
use session_key_bindings::{ENTRY_POINT, IEntryPoint, UserOperation};
use std::cmp::Reverse;

/// Gas units for the transaction itself, and for what the EntryPoint does around each operation.
const GAS_OF_BUNDLE: u64 = 100_000;
const GAS_OF_OPERATION: u64 = 60_000;

/// Sends a bundle of what can be bundled; drops what fails.
pub(super) fn send(state: &mut State, chain: &mut Chain) -> Result<Option<Bundle>, ChainError> {
    let options = state.options.clone();
    let seen = chain.vantage_behind(options.lag, true);
    let (mut chosen, failed) = choose(state, &seen, &options);
    for hash in failed {
        state.mempool.remove(hash);
    }
    while !chosen.is_empty() {
        match preflight(&seen, &options, &chosen) {
            Ok(()) => break,
            Err(Preflight::Operation(index)) => {
                state.mempool.remove(chosen.remove(index).0);
            }
            Err(Preflight::Bundle(error)) => return Err(error),
        }
    }
    if chosen.is_empty() {
        return Ok(None);
    }

    let (operations, calls): (Vec<B256>, Vec<UserOperation>) = chosen.into_iter().unzip();
    let candidate = transaction(chain, &options, calls);
    let transaction = chain.submit(candidate)?;
    for hash in &operations {
        state.mempool.set_sent(*hash, transaction);
    }
    Ok(Some(Bundle {
        transaction,
        operations,
    }))
}

/// Chooses the operations of the next bundle, in its order; also returns the hashes of those that fail.
fn choose(
    state: &State,
    seen: &Vantage<'_>,
    options: &BundlerOptions,
) -> (Vec<(B256, UserOperation)>, Vec<B256>) {
    let mut waiting: Vec<&Entry> = state
        .mempool
        .iter()
        .filter(|entry| entry.transaction.is_none() && !entry.held)
        .collect();
    waiting.sort_by_key(|entry| (Reverse(entry.operation.maxPriorityFeePerGas), entry.arrival));
    let base_fee = U256::from(seen.next_base_fee());
    let mut gas_left = seen.head_block().header.gas_limit.saturating_sub(GAS_OF_BUNDLE);
    let mut of_sender: HashMap<Address, usize> = HashMap::default();
    let (mut chosen, mut failed) = (Vec::new(), Vec::new());
    for entry in waiting {
        let operation = &entry.operation;
        let in_bundle = of_sender.entry(operation.sender).or_default();
        let gas = gas_limit(operation);
        let is_next =
            sequence(operation.nonce) == next_sequence(seen, operation.sender, lane(operation.nonce));
        if chosen.len() >= options.max_bundle
            || *in_bundle >= options.max_per_sender_in_bundle
            || gas > gas_left
            || !is_next
            || operation.maxFeePerGas < base_fee
        {
            continue;
        }
        match validate(seen, operation, StateOverride::default(), 0) {
            Ok(()) => {
                *in_bundle += 1;
                gas_left -= gas;
                chosen.push((entry.hash, operation.clone()));
            }
            Err(_) => failed.push(entry.hash),
        }
    }
    (chosen, failed)
}

/// Why a bundle would revert.
enum Preflight {
    /// The operation with this index fails; there is such a one.
    Operation(usize),
    /// It fails as a whole.
    Bundle(ChainError),
}

/// Whether the bundle would pass now.
fn preflight(
    seen: &Vantage<'_>,
    options: &BundlerOptions,
    operations: &[(B256, UserOperation)],
) -> Result<(), Preflight> {
    let count = operations.len();
    let operations: Vec<UserOperation> = operations
        .iter()
        .map(|(_, operation)| operation.clone())
        .collect();
    let gas = bundle_gas(&operations);
    let executor = options.executor.address;
    let mut request = request(executor, ENTRY_POINT, handle_ops(operations, executor));
    request.gas = Some(gas);
    match seen.call(&request, &CallOptions::pending()) {
        Ok(_) => Ok(()),
        Err(ChainError::Reverted { output }) => match IEntryPoint::FailedOp::abi_decode(&output) {
            Ok(failed) if failed.opIndex < U256::from(count) => {
                Err(Preflight::Operation(failed.opIndex.saturating_to()))
            }
            _ => Err(Preflight::Bundle(ChainError::Reverted { output })),
        },
        Err(error) => Err(Preflight::Bundle(error)),
    }
}

fn handle_ops(ops: Vec<UserOperation>, beneficiary: Address) -> Bytes {
    IEntryPoint::handleOpsCall { ops, beneficiary }
        .abi_encode()
        .into()
}

/// Gas units that an operation can use in a bundle. The EntryPoint wants the gas for validation once more before the call; with
/// a paymaster, it also counts for the paymaster's validation.
fn gas_limit(operation: &UserOperation) -> u64 {
    let validation = if operation.paymasterAndData.is_empty() {
        2
    } else {
        3
    };
    let limits = operation
        .verificationGasLimit
        .saturating_mul(U256::from(validation))
        .saturating_add(operation.callGasLimit);
    limits.saturating_to::<u64>().saturating_add(GAS_OF_OPERATION)
}

fn bundle_gas(operations: &[UserOperation]) -> u64 {
    operations
        .iter()
        .map(gas_limit)
        .fold(GAS_OF_BUNDLE, u64::saturating_add)
}

/// The transaction that carries a bundle.
fn transaction(chain: &Chain, options: &BundlerOptions, operations: Vec<UserOperation>) -> Candidate {
    let executor = options.executor;
    let transaction = TxEip1559 {
        chain_id: chain.chain_id(),
        nonce: chain.pending_nonce(executor.address),
        gas_limit: bundle_gas(&operations),
        max_fee_per_gas: u128::from(chain.next_base_fee())
            .saturating_mul(2)
            .saturating_add(options.bundle_priority_fee),
        max_priority_fee_per_gas: options.bundle_priority_fee,
        to: ENTRY_POINT.into(),
        input: handle_ops(operations, executor.address),
        ..Default::default()
    };
    let signature = executor
        .signer()
        .sign_hash_sync(&transaction.signature_hash())
        .expect("a key in memory signs any hash");
    let transaction = TxEnvelope::from(transaction.into_signed(signature));
    Candidate::signed(Recovered::new_unchecked(transaction, executor.address))
}
