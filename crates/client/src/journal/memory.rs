//! A journal in memory, for one process.

use super::{Acquired, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId, Scope};
use crate::operation::Outcome;
use alloy::primitives::{Address, B256, U256};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Keeps intents while the process lives. Names ([`id`](crate::operation::Operation::id)) last as long: after
/// a restart, pending operations are unknown.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    store: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    leases: BTreeMap<Lane, Lease>,
    /// Epochs keep rising after a lane was released.
    epochs: BTreeMap<Lane, u64>,
    records: BTreeMap<IntentId, Stored>,
    names: BTreeMap<(Scope, String), IntentId>,
    unsettled: BTreeMap<Lane, BTreeSet<(u64, IntentId)>>,
    untold: BTreeMap<(Scope, B256), BTreeSet<(u64, IntentId)>>,
    /// Included records by nonce. Several may share one until the chain is asked again.
    included: BTreeMap<Lane, BTreeSet<(U256, u64, IntentId)>>,
    spent: BTreeMap<Lane, BTreeSet<IntentId>>,
    written: u64,
}

#[derive(Clone, Debug)]
struct Stored {
    /// Position in the order of first writing.
    order: u64,
    record: IntentRecord,
}

impl MemoryJournal {
    /// Creates an empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // No code panics while it holds the lock.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn check_lease(&self, lease: &Lease, now: u64) -> Result<(), JournalError> {
        let is_held = self
            .leases
            .get(&lease.lane)
            .is_some_and(|held| held.holder == lease.holder && held.epoch == lease.epoch && now < held.until);
        if is_held {
            Ok(())
        } else {
            Err(JournalError::LeaseLost)
        }
    }

    fn highest(&self, lane: &Lane) -> Option<IntentId> {
        self.included.get(lane)?.last().map(|(_, _, id)| *id)
    }

    fn put(&mut self, mut record: IntentRecord) -> Result<IntentRecord, JournalError> {
        let id = record.id;
        let stored = self.records.get(&id);
        if stored.map_or(0, |stored| stored.record.version) != record.version {
            return Err(JournalError::Conflict { id });
        }
        if let Some(name) = record.name.clone().filter(|_| record.holds_name())
            && let Some(holder) = self.names.get(&(record.scope(), name.clone()))
            && *holder != id
        {
            let holder = *holder;
            return Err(JournalError::NameTaken { name, holder });
        }
        let order = match stored {
            Some(stored) => stored.order,
            None => {
                self.written += 1;
                self.written
            }
        };
        record.version += 1;
        let stored = Stored {
            order,
            record: record.clone(),
        };
        self.set(id, Some(stored));
        Ok(record)
    }

    /// Replaces the record with this id, or removes it.
    fn set(&mut self, id: IntentId, stored: Option<Stored>) {
        self.unindex(id);
        match stored {
            Some(stored) => {
                self.index(stored.order, &stored.record);
                self.records.insert(id, stored);
            }
            None => {
                self.records.remove(&id);
            }
        }
    }

    fn unindex(&mut self, id: IntentId) {
        let Some(Stored { order, record }) = self.records.get(&id) else {
            return;
        };
        if let Some(name) = &record.name {
            let name = (record.scope(), name.clone());
            if self.names.get(&name) == Some(&id) {
                self.names.remove(&name);
            }
        }
        if let Some(unsettled) = self.unsettled.get_mut(&record.lane) {
            unsettled.remove(&(*order, id));
            if unsettled.is_empty() {
                self.unsettled.remove(&record.lane);
            }
        }
        let request = (record.scope(), record.request);
        if let Some(untold) = self.untold.get_mut(&request) {
            untold.remove(&(*order, id));
            if untold.is_empty() {
                self.untold.remove(&request);
            }
        }
        if let Some(included) = self.included.get_mut(&record.lane) {
            included.retain(|(_, _, included)| *included != id);
        }
        if let Some(spent) = self.spent.get_mut(&record.lane) {
            spent.remove(&id);
        }
    }

    fn index(&mut self, order: u64, record: &IntentRecord) {
        if let Some(name) = record.name.clone().filter(|_| record.holds_name()) {
            self.names.insert((record.scope(), name), record.id);
        }
        if !record.is_final() {
            self.unsettled
                .entry(record.lane)
                .or_default()
                .insert((order, record.id));
        }
        if record.is_spent() {
            self.spent.entry(record.lane).or_default().insert(record.id);
        }
        if record.is_untold() {
            self.untold
                .entry((record.scope(), record.request))
                .or_default()
                .insert((order, record.id));
        }
        if let Outcome::Included(included) = record.outcome() {
            self.included
                .entry(record.lane)
                .or_default()
                .insert((included.receipt.nonce, order, record.id));
        }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        let mut store = self.store();
        let held = store.leases.get(lane).cloned();
        if let Some(held) = &held
            && held.holder != holder
            && now < held.until
        {
            return Ok(Acquired::Held {
                holder: held.holder,
                until: held.until,
            });
        }
        let epoch = store.epochs.entry(*lane).or_default();
        *epoch += 1;
        let lease = Lease {
            lane: *lane,
            holder,
            epoch: *epoch,
            until,
        };
        store.leases.insert(*lane, lease.clone());
        Ok(Acquired::Lease {
            lease,
            lapsed: held.filter(|held| held.holder != holder),
        })
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        let mut store = self.store();
        match store.leases.get_mut(&lease.lane) {
            Some(held) if held.holder == lease.holder && held.epoch == lease.epoch => {
                held.until = until;
                Ok(held.clone())
            }
            _ => Err(JournalError::LeaseLost),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        let mut store = self.store();
        let is_held = store
            .leases
            .get(&lease.lane)
            .is_some_and(|held| held.holder == lease.holder && held.epoch == lease.epoch);
        if is_held {
            store.leases.remove(&lease.lane);
        }
        Ok(())
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        let mut store = self.store();
        if let Some((lease, now)) = lease {
            store.check_lease(lease, now)?;
        }
        let mut written = Vec::with_capacity(records.len());
        let mut before = Vec::with_capacity(records.len());
        for record in records {
            before.push((record.id, store.records.get(&record.id).cloned()));
            match store.put(record) {
                Ok(record) => written.push(record),
                Err(error) => {
                    before
                        .into_iter()
                        .rev()
                        .for_each(|(id, stored)| store.set(id, stored));
                    return Err(error);
                }
            }
        }
        Ok(written)
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        Ok(self.store().records.get(&id).map(|stored| stored.record.clone()))
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        let store = self.store();
        let id = store.names.get(&(*scope, name.to_owned()));
        Ok(id
            .and_then(|id| store.records.get(id))
            .map(|stored| stored.record.clone()))
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        let store = self.store();
        let ids = store.unsettled.get(lane).into_iter().flatten();
        Ok(ids
            .filter_map(|(_, id)| store.records.get(id))
            .map(|stored| stored.record.clone())
            .collect())
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        let store = self.store();
        let ids = store.untold.get(&(*scope, request)).into_iter().flatten();
        Ok(ids
            .filter_map(|(_, id)| store.records.get(id))
            .map(|stored| stored.record.clone())
            .collect())
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        let store = self.store();
        let is_asked = |lane: &&Lane| account.is_none_or(|account| account == (lane.chain_id, lane.account));
        Ok(store.unsettled.keys().filter(is_asked).copied().collect())
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        let store = self.store();
        let highest = store.highest(lane).and_then(|id| store.records.get(&id));
        Ok(highest.map(|stored| stored.record.clone()))
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        let mut store = self.store();
        let highest = store.highest(lane);
        let spent: Vec<IntentId> = store
            .spent
            .get(lane)
            .into_iter()
            .flatten()
            .copied()
            .filter(|id| Some(*id) != highest)
            .collect();
        spent.into_iter().for_each(|id| store.set(id, None));
        Ok(())
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        let store = self.store();
        let mut found: Vec<&Stored> = store
            .records
            .values()
            .filter(|stored| (stored.record.lane.chain_id, stored.record.lane.account) == (chain_id, account))
            .collect();
        found.sort_by_key(|stored| stored.order);
        Ok(found.into_iter().map(|stored| stored.record.clone()).collect())
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.store().set(id, None);
        Ok(())
    }
}
