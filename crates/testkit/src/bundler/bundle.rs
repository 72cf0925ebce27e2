//! Builds and sends bundles.

use super::{
    Bundle, BundlerOptions, State,
    mempool::Entry,
    operation::{
        EntryPointVersion, GAS_OF_AUTHORIZATION, VersionedOperation, handle_ops, next_sequence, sequence,
    },
    simulation::failed_operation,
    validation::validate,
};
use crate::{CallOptions, Chain, ChainError, call::request, transaction::Candidate, vantage::Vantage};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip7702, TxEnvelope, transaction::Recovered},
    eips::eip7702::SignedAuthorization,
    primitives::{Address, B256, U256, map::HashMap},
    rpc::types::state::StateOverride,
    signers::SignerSync,
};
use std::cmp::Reverse;

/// Gas units for the transaction itself, and for the EntryPoint's work around each operation.
const GAS_OF_BUNDLE: u64 = 100_000;
const GAS_OF_OPERATION: u64 = 60_000;

/// Gas units that EntryPoint v0.7 requires in addition to an operation's limits when it calls the account.
const GAS_OF_INNER_CALL: u64 = 10_000;

/// Sends a bundle for the EntryPoint of the best operation that can be bundled.
pub(super) fn send_best(state: &mut State, chain: &mut Chain) -> Result<Option<Bundle>, ChainError> {
    let mut versions: Vec<EntryPointVersion> = Vec::new();
    for entry in waiting(state) {
        let version = entry.operation.version();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    for version in versions {
        if let Some(bundle) = send(state, chain, version)? {
            return Ok(Some(bundle));
        }
    }
    Ok(None)
}

/// Sends a bundle of all operations that can be bundled for an EntryPoint, and drops those that fail.
pub(super) fn send(
    state: &mut State,
    chain: &mut Chain,
    version: EntryPointVersion,
) -> Result<Option<Bundle>, ChainError> {
    let options = state.options.clone();
    let seen = chain.vantage_behind(options.lag, true);
    let (mut chosen, failed) = choose(state, &seen, version);
    for hash in failed {
        state.mempool.remove(hash);
    }
    while !chosen.is_empty() {
        match preflight(&seen, &options, version, &chosen) {
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

    let (operations, calls): (Vec<B256>, Vec<VersionedOperation>) = chosen.into_iter().unzip();
    let candidate = transaction(chain, &options, version, &calls);
    let transaction = chain.submit(candidate)?;
    for hash in &operations {
        state.mempool.set_sent(*hash, transaction);
    }
    Ok(Some(Bundle {
        transaction,
        operations,
    }))
}

/// Returns the unbundled operations of the served EntryPoints, best first.
fn waiting(state: &State) -> Vec<&Entry> {
    let served = &state.options.entry_points;
    let mut waiting: Vec<&Entry> = state
        .mempool
        .iter()
        .filter(|entry| entry.transaction.is_none() && !entry.held)
        .filter(|entry| served.contains(&entry.operation.version()))
        .collect();
    waiting.sort_by_key(|entry| (Reverse(entry.operation.numbers().tip), entry.arrival));
    waiting
}

/// Selects the operations of the next bundle, in order; also returns the hashes of those that fail.
fn choose(
    state: &State,
    seen: &Vantage<'_>,
    version: EntryPointVersion,
) -> (Vec<(B256, VersionedOperation)>, Vec<B256>) {
    let options = &state.options;
    let mut waiting = waiting(state);
    waiting.retain(|entry| entry.operation.version() == version);
    let base_fee = U256::from(seen.next_base_fee());
    let mut gas_left = seen.head_block().header.gas_limit.saturating_sub(GAS_OF_BUNDLE);
    let mut of_sender: HashMap<Address, usize> = HashMap::default();
    let (mut chosen, mut failed) = (Vec::new(), Vec::new());
    for entry in waiting {
        let operation = &entry.operation;
        let in_bundle = of_sender.entry(operation.sender()).or_default();
        let gas = gas_limit(operation);
        let is_next = sequence(operation.nonce()) == next_sequence(seen, operation);
        if chosen.len() >= options.max_bundle
            || *in_bundle >= options.max_per_sender_in_bundle
            || gas > gas_left
            || !is_next
            || operation.numbers().max_fee < base_fee
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
    /// The operation with this index fails. The index is in bounds.
    Operation(usize),
    /// The bundle fails as a whole.
    Bundle(ChainError),
}

/// Checks whether the bundle would succeed now.
fn preflight(
    seen: &Vantage<'_>,
    options: &BundlerOptions,
    version: EntryPointVersion,
    operations: &[(B256, VersionedOperation)],
) -> Result<(), Preflight> {
    let count = operations.len();
    let operations: Vec<VersionedOperation> = operations
        .iter()
        .map(|(_, operation)| operation.clone())
        .collect();
    let executor = options.executor.address;
    let data = handle_ops(version, &operations, executor);
    let mut request = request(executor, version.address(), data);
    request.gas = Some(bundle_gas(&operations));
    let authorizations = authorizations(&operations);
    if !authorizations.is_empty() {
        request.authorization_list = Some(authorizations);
    }
    match seen.call(&request, &CallOptions::pending()) {
        Ok(_) => Ok(()),
        Err(ChainError::Reverted { output }) => match failed_operation(version, &output) {
            Some((index, _)) if index < U256::from(count) => Err(Preflight::Operation(index.saturating_to())),
            _ => Err(Preflight::Bundle(ChainError::Reverted { output })),
        },
        Err(error) => Err(Preflight::Bundle(error)),
    }
}

/// Returns the delegations that a bundle carries.
fn authorizations(operations: &[VersionedOperation]) -> Vec<SignedAuthorization> {
    operations
        .iter()
        .filter_map(|operation| operation.authorization().cloned())
        .collect()
}

/// Returns the maximum gas that an operation can use in a bundle.
fn gas_limit(operation: &VersionedOperation) -> u64 {
    let numbers = operation.numbers();
    let limits = match operation.version() {
        // The EntryPoint requires the validation gas again before the call; with a paymaster, that also
        // counts for the paymaster's validation.
        EntryPointVersion::V06 => {
            let validation = if operation.paymaster().is_none() { 2 } else { 3 };
            numbers
                .verification_gas
                .saturating_mul(U256::from(validation))
                .saturating_add(numbers.call_gas)
        }
        // Each limit must be available behind two calls, each of which keeps a 64th of the gas: the
        // EntryPoint's call to itself, and its call to the account.
        EntryPointVersion::V07 => {
            let limits = [
                numbers.verification_gas,
                numbers.call_gas,
                numbers.paymaster_verification_gas,
                numbers.post_op_gas,
                U256::from(GAS_OF_INNER_CALL),
            ];
            let limits = limits.into_iter().fold(U256::ZERO, U256::saturating_add);
            limits.saturating_mul(U256::from(64 * 64)) / U256::from(63 * 63)
        }
    };
    let authorization = if operation.authorization().is_some() {
        GAS_OF_AUTHORIZATION
    } else {
        0
    };
    limits
        .saturating_to::<u64>()
        .saturating_add(GAS_OF_OPERATION + authorization)
}

fn bundle_gas(operations: &[VersionedOperation]) -> u64 {
    operations
        .iter()
        .map(gas_limit)
        .fold(GAS_OF_BUNDLE, u64::saturating_add)
}

/// Builds the transaction that carries a bundle.
fn transaction(
    chain: &Chain,
    options: &BundlerOptions,
    version: EntryPointVersion,
    operations: &[VersionedOperation],
) -> Candidate {
    let executor = options.executor;
    let transaction = TxEip1559 {
        chain_id: chain.chain_id(),
        nonce: chain.pending_nonce(executor.address),
        gas_limit: bundle_gas(operations),
        max_fee_per_gas: u128::from(chain.next_base_fee())
            .saturating_mul(2)
            .saturating_add(options.bundle_priority_fee),
        max_priority_fee_per_gas: options.bundle_priority_fee,
        to: version.address().into(),
        input: handle_ops(version, operations, executor.address),
        ..Default::default()
    };
    let sign = |hash: B256| {
        executor
            .signer()
            .sign_hash_sync(&hash)
            .expect("a key in memory signs any hash")
    };
    let authorization_list = authorizations(operations);
    let transaction = if authorization_list.is_empty() {
        let signature = sign(transaction.signature_hash());
        TxEnvelope::from(transaction.into_signed(signature))
    } else {
        let transaction = TxEip7702 {
            chain_id: transaction.chain_id,
            nonce: transaction.nonce,
            gas_limit: transaction.gas_limit,
            max_fee_per_gas: transaction.max_fee_per_gas,
            max_priority_fee_per_gas: transaction.max_priority_fee_per_gas,
            to: version.address(),
            input: transaction.input,
            authorization_list,
            ..Default::default()
        };
        let signature = sign(transaction.signature_hash());
        TxEnvelope::from(transaction.into_signed(signature))
    };
    Candidate::signed(Recovered::new_unchecked(transaction, executor.address))
}
