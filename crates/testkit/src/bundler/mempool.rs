//! A bundler's operations: pending ones, and those in blocks that may be undone.

use super::{
    BundlerOptions, PooledOperation,
    operation::{Place, VersionedOperation, next_sequence, sequence},
    reputation::Entity,
    validation::Validated,
    words::Refusal,
};
use crate::{Chain, Fate};
use alloy::{
    primitives::{Address, B256, U256, map::B256Map},
    sol_types::SolEvent,
};
use serde_json::Value;
use session_key_bindings::IEntryPoint::UserOperationEvent;
use std::collections::BTreeMap;

/// The minimum increase of both fees for a replacement, in percent.
const PRICE_BUMP: u64 = 10;

/// A pending operation, or a former one.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) hash: B256,
    pub(super) operation: VersionedOperation,
    /// What its sender wrote.
    pub(super) sent: Value,
    /// The transaction that it was sent in.
    pub(super) transaction: Option<B256>,
    pub(super) held: bool,
    /// Breaks ties between equal payments: the earlier one wins.
    pub(super) arrival: u64,
    /// The block at which it came, by number.
    pub(super) block: u64,
    /// The entities that it was counted for.
    pub(super) counted: Vec<Entity>,
    /// What was found out about its validation, if it was validated.
    pub(super) validated: Option<Box<Validated>>,
}

/// What the chain did with an operation.
#[derive(Clone, Debug)]
pub(super) enum Observed {
    /// It came into a block; these entities had been counted for it.
    Included(Vec<Entity>),
    /// Its block is undone.
    Undone(Vec<Entity>),
}

/// An operation that is taken in.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) hash: B256,
    pub(super) operation: VersionedOperation,
    pub(super) sent: Value,
    pub(super) block: u64,
    pub(super) counted: Vec<Entity>,
    pub(super) validated: Option<Box<Validated>>,
}

/// An operation in a block that may be undone.
#[derive(Clone, Debug)]
struct Included {
    entry: Entry,
    block: B256,
}

/// The pending operations: at most one per EntryPoint, sender and nonce.
#[derive(Clone, Debug, Default)]
pub(super) struct Mempool {
    entries: BTreeMap<Place, Entry>,
    places: B256Map<Place>,
    included: Vec<Included>,
    arrivals: u64,
}

impl Mempool {
    pub(super) fn find(&self, hash: B256) -> Option<&Entry> {
        self.entries.get(self.places.get(&hash)?)
    }

    pub(super) fn at(&self, place: Place) -> Option<&Entry> {
        self.entries.get(&place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn pooled(&self) -> Vec<PooledOperation> {
        self.iter()
            .map(|entry| PooledOperation {
                hash: entry.hash,
                operation: entry.operation.clone(),
                transaction: entry.transaction,
                held: entry.held,
            })
            .collect()
    }

    /// Takes an operation in, in place of the one with its nonce, which is returned.
    pub(super) fn insert(&mut self, arrival: Arrival) -> Option<Entry> {
        let Arrival {
            hash,
            operation,
            sent,
            block,
            counted,
            validated,
        } = arrival;
        let entry = Entry {
            hash,
            operation,
            sent,
            transaction: None,
            held: false,
            arrival: self.arrivals,
            block,
            counted,
            validated,
        };
        self.arrivals += 1;
        self.put(entry)
    }

    fn put(&mut self, entry: Entry) -> Option<Entry> {
        let place = entry.operation.place();
        self.places.insert(entry.hash, place);
        let replaced = self.entries.insert(place, entry)?;
        self.places.remove(&replaced.hash);
        Some(replaced)
    }

    /// Forgets all operations that wait.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.places.clear();
    }

    pub(super) fn remove(&mut self, hash: B256) -> Option<Entry> {
        let place = self.places.remove(&hash)?;
        self.entries.remove(&place)
    }

    fn find_mut(&mut self, hash: B256) -> Option<&mut Entry> {
        self.entries.get_mut(self.places.get(&hash)?)
    }

    /// Holds or releases an operation. Returns whether it is pending.
    pub(super) fn set_held(&mut self, hash: B256, held: bool) -> bool {
        let entry = self.find_mut(hash);
        entry.map(|entry| entry.held = held).is_some()
    }

    pub(super) fn set_sent(&mut self, hash: B256, transaction: B256) {
        if let Some(entry) = self.find_mut(hash) {
            entry.transaction = Some(transaction);
        }
    }

    /// Checks that an operation pays enough more than the pending one with its nonce, if any.
    pub(super) fn check_replacement(
        &self,
        operation: &VersionedOperation,
        replaces_bundled: bool,
    ) -> Result<(), Refusal> {
        let Some(old) = self.at(operation.place()) else {
            return Ok(());
        };
        let enough = |new: U256, old: U256| {
            let threshold = old.saturating_mul(U256::from(100 + PRICE_BUMP)) / U256::from(100);
            new > old && new >= threshold
        };
        let (numbers, old_numbers) = (operation.numbers(), old.operation.numbers());
        let pays = enough(numbers.max_fee, old_numbers.max_fee) && enough(numbers.tip, old_numbers.tip);
        if pays && (replaces_bundled || old.transaction.is_none()) {
            Ok(())
        } else {
            Err(Refusal::ReplacementUnderpriced {
                max_fee: old_numbers.max_fee,
                max_priority_fee: old_numbers.tip,
            })
        }
    }

    /// Takes note of what happened on the chain: what came into a block waits no longer; what was in a block
    /// that is undone, or in a transaction that is lost or waits for one that is, waits again; what can no
    /// longer come into a block is gone.
    pub(super) fn observe(&mut self, chain: &Chain, options: &BundlerOptions) -> Vec<Observed> {
        let mut observed = Vec::new();
        let seen = chain.vantage_behind(options.lag, true);
        let finalized = chain.finality().finalized;
        let (kept, undone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.included)
            .into_iter()
            .partition(|included| chain.number_of_block(included.block).is_some());
        self.included = kept;
        self.included.retain(|included| {
            let number = chain.number_of_block(included.block);
            number.is_some_and(|number| number > finalized)
        });
        for Included { entry, .. } in undone {
            observed.push(Observed::Undone(entry.counted.clone()));
            // An operation that replaced it was sent later.
            if options.after_reorganization == Fate::Pooled && self.at(entry.operation.place()).is_none() {
                self.put(entry);
            }
        }

        let sent: Vec<(B256, Address, B256)> = self
            .iter()
            .filter_map(|entry| Some((entry.hash, entry.operation.entry_point(), entry.transaction?)))
            .collect();
        let executor = options.executor.address;
        let next_nonce = chain.pending_nonce(executor);
        for (hash, entry_point, transaction) in sent {
            match seen.place_of_transaction(transaction) {
                Some((block, index)) => {
                    let logs = &block.transactions[index].logs;
                    let happened = logs.iter().any(|log| {
                        log.address == entry_point
                            && log
                                .topics()
                                .starts_with(&[UserOperationEvent::SIGNATURE_HASH, hash])
                    });
                    if happened {
                        if let Some(entry) = self.remove(hash) {
                            observed.push(Observed::Included(entry.counted.clone()));
                            self.included.push(Included {
                                entry,
                                block: block.hash,
                            });
                        }
                    } else if let Some(entry) = self.find_mut(hash) {
                        entry.transaction = None;
                    }
                }
                None => {
                    // Behind a missing nonce, it would never be included.
                    let mut ready = chain
                        .pool
                        .of(executor)
                        .take_while(|(nonce, _)| *nonce < next_nonce);
                    let waits = ready.any(|(_, waiting)| waiting.candidate.hash() == transaction)
                        || chain.place_of_transaction(transaction).is_some();
                    if let (false, Some(entry)) = (waits, self.find_mut(hash)) {
                        entry.transaction = None;
                    }
                }
            }
        }

        let stale: Vec<B256> = self
            .iter()
            .filter(|entry| sequence(entry.operation.nonce()) < next_sequence(&seen, &entry.operation))
            .map(|entry| entry.hash)
            .collect();
        for hash in stale {
            let Some(entry) = self.remove(hash) else {
                continue;
            };
            // Somebody else may have included it.
            let topics = [UserOperationEvent::SIGNATURE_HASH, hash];
            let entry_point = entry.operation.entry_point();
            if !entry.counted.is_empty()
                && seen
                    .find_log(entry_point, &topics, options.searched_blocks)
                    .is_some()
            {
                observed.push(Observed::Included(entry.counted));
            }
        }
        observed
    }
}
