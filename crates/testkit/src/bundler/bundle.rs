//! Builds and sends bundles.

use super::{
    Bundle, BundlerOptions, State,
    mempool::Entry,
    operation::{
        EntryPointVersion, GAS_OF_AUTHORIZATION, VersionedOperation, handle_ops, next_sequence, sequence,
    },
    reputation::{Entity, ReputationStatus},
    simulation::failed_operation,
    validation::validate_again,
    words::Refusal,
};
use crate::{
    CallOptions, Chain, ChainError,
    call::{CALL_GAS_CAP, request},
    transaction::Candidate,
    vantage::Vantage,
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip7702, TxEnvelope, transaction::Recovered},
    eips::eip7702::SignedAuthorization,
    primitives::{Address, B256, U256, map::HashMap},
    signers::SignerSync,
};
use std::{cmp::Reverse, collections::BTreeSet};

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

/// Sends bundles until nothing can be bundled any more: an operation may wait for another one's
/// place or nonce.
pub(super) fn send_all(state: &mut State, chain: &mut Chain) {
    // Each bundle has at least one of them.
    for _ in 0..waiting(state).len() {
        // What cannot be sent now stays pending; that is nobody's error.
        let Ok(Some(_)) = send_best(state, chain) else {
            break;
        };
        state.observe(chain);
    }
}

/// Sends a bundle of all operations that can be bundled for an EntryPoint, and drops those that fail.
pub(super) fn send(
    state: &mut State,
    chain: &mut Chain,
    version: EntryPointVersion,
) -> Result<Option<Bundle>, ChainError> {
    let options = state.options.clone();
    let seen = chain.vantage_behind(options.lag, true);
    let Draft {
        mut chosen, failed, ..
    } = choose(state, &seen, version);
    for (hash, refusal) in failed {
        if let Some(entry) = state.mempool.remove(hash) {
            state.failed_alone(&seen, &entry.operation, &entry.counted, &refusal);
        }
    }
    while !chosen.is_empty() {
        match preflight(&seen, &options, version, &chosen) {
            Ok(()) => break,
            Err(Preflight::Operation(index, refusal)) => {
                let (hash, operation) = chosen.remove(index);
                state.mempool.remove(hash);
                state.failed_in_bundle(&seen, &operation, &refusal);
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

/// A bundle in the making.
#[derive(Default)]
struct Draft {
    /// In its order.
    chosen: Vec<(B256, VersionedOperation)>,
    /// Those that failed, by their hashes, and why.
    failed: Vec<(B256, Refusal)>,
    gas: u64,
    of_sender: HashMap<Address, usize>,
    of_throttled: HashMap<Entity, usize>,
    /// The contracts whose storage the validations use, each beside its own account's.
    used: BTreeSet<Address>,
}

impl Draft {
    /// Whether there is room for an operation, as far as can be said without a validation.
    fn has_room_for(&self, options: &BundlerOptions, operation: &VersionedOperation, most_gas: u64) -> bool {
        let in_bundle = self
            .of_sender
            .get(&operation.sender())
            .copied()
            .unwrap_or_default();
        self.chosen.len() < options.max_bundle
            && in_bundle < options.max_per_sender_in_bundle
            && self.gas.saturating_add(gas_limit(operation)) <= most_gas
    }

    fn has_room_for_throttled(&self, options: &BundlerOptions, throttled: &[Entity]) -> bool {
        let Some(rules) = &options.reputation else {
            return true;
        };
        throttled.iter().all(|entity| {
            let count = self.of_throttled.get(entity).copied().unwrap_or_default();
            count < rules.throttled_in_bundle
        })
    }

    /// Adds an operation whose validation uses the storage of these contracts, unless it is entangled with
    /// another one: what one validation reads in another one's account may change with that one's operation.
    /// Source: STO-041.
    fn add(&mut self, entry: &Entry, throttled: Vec<Entity>, contracts: BTreeSet<Address>) {
        let sender = entry.operation.sender();
        let is_read = self.used.contains(&sender);
        let reads = contracts
            .iter()
            .any(|contract| self.of_sender.contains_key(contract));
        if is_read || reads {
            return;
        }
        *self.of_sender.entry(sender).or_default() += 1;
        for entity in throttled {
            *self.of_throttled.entry(entity).or_default() += 1;
        }
        self.used.extend(contracts);
        self.gas = self.gas.saturating_add(gas_limit(&entry.operation));
        self.chosen.push((entry.hash, entry.operation.clone()));
    }
}

/// Chooses the operations of the next bundle.
fn choose(state: &State, seen: &Vantage<'_>, version: EntryPointVersion) -> Draft {
    let options = &state.options;
    let mut waiting = waiting(state);
    waiting.retain(|entry| entry.operation.version() == version);
    let base_fee = U256::from(seen.next_base_fee());
    // It has to fit into a block, and into the call that tries it.
    let most_gas = seen.head_block().header.gas_limit.min(CALL_GAS_CAP);
    let most_gas = most_gas.saturating_sub(GAS_OF_BUNDLE);
    let mut draft = Draft::default();
    for entry in waiting {
        let operation = &entry.operation;
        let throttled = throttled(state, entry);
        if sequence(operation.nonce()) != next_sequence(seen, operation)
            || operation.numbers().max_fee < base_fee
            || !draft.has_room_for(options, operation, most_gas)
            || !draft.has_room_for_throttled(options, &throttled)
        {
            continue;
        }
        match validate_again(seen, options, operation, entry.validated.as_deref()) {
            Ok(validated) => {
                let storage = validated.report.iter().flat_map(|report| &report.storage);
                let contracts = storage
                    .map(|(key, ..)| key.contract)
                    .filter(|contract| *contract != operation.sender())
                    .collect();
                draft.add(entry, throttled, contracts);
            }
            Err(refusal) => draft.failed.push((entry.hash, refusal)),
        }
    }
    draft
}

/// The entities of an operation that are throttled.
fn throttled(state: &State, entry: &Entry) -> Vec<Entity> {
    let Some(rules) = &state.options.reputation else {
        return Vec::new();
    };
    let is_throttled =
        |entity: &&Entity| state.reputations.get(**entity).status(rules) == ReputationStatus::Throttled;
    entry.counted.iter().filter(is_throttled).copied().collect()
}

/// Why a bundle would revert.
enum Preflight {
    /// The operation with this index fails, for this reason; there is such a one.
    Operation(usize, Refusal),
    /// It fails as a whole.
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
            Some((index, refusal)) if index < U256::from(count) => {
                Err(Preflight::Operation(index.saturating_to(), refusal))
            }
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
        // counts for the paymaster's validation. Both must be available behind its call to itself, which
        // keeps a 64th of the gas.
        EntryPointVersion::V06 => {
            let validation = if operation.paymaster().is_none() { 2 } else { 3 };
            let limits = numbers
                .verification_gas
                .saturating_mul(U256::from(validation))
                .saturating_add(numbers.call_gas);
            limits.saturating_mul(U256::from(64)) / U256::from(63)
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
