//! A journal that is as simple as can be, and can be wrong in many ways: each has to be noticed.

use async_trait::async_trait;
use session_key_client::{
    alloy::primitives::{Address, B256, U256},
    journal::{
        Acquired, BlockRef, History, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId,
        Scope,
    },
    operation::Outcome,
};
use std::sync::{Mutex, MutexGuard};

macro_rules! faults {
    ($($fault:ident),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($fault),*
        }

        pub(super) const FAULTS: &[Fault] = &[$(Fault::$fault),*];
    };
}

faults![
    HeldLaneTaken,
    HeldLaneTakenAMomentEarly,
    LapsedLaneNotTakenAtItsEnd,
    OwnLaneNotTaken,
    OwnEpochStays,
    OwnLeaseLapses,
    LapsedLeaseUntold,
    NewLeaseLapses,
    LeaseLapsesThoughGivenBack,
    EpochsBeginAgain,
    LanesWithoutNonceKey,
    LanesWithoutEntryPoint,
    LanesWithoutChain,
    RenewedWithoutEffect,
    LostLeaseRenewed,
    OtherEpochRenewed,
    GivenBackLeaseRenewed,
    ReleasedWithoutEffect,
    LostLeaseReleased,
    LeaseNotChecked,
    LeaseNotCheckedForNewRecords,
    LeaseEndNotChecked,
    LeaseEndOfCaller,
    LeaseEndIncluded,
    LeaseHolderNotChecked,
    LeaseEpochNotChecked,
    VersionNotChecked,
    LaterVersionTaken,
    NewRecordOverwrites,
    UnknownRecordChanged,
    VersionStays,
    NewRecordWithoutVersion,
    NewRecordsNotWritten,
    GrantsNotChanged,
    SignedNumbers,
    NameNotChecked,
    NameNotCheckedForChanges,
    NameWithinLane,
    NameWithoutSigner,
    NameWithoutChain,
    NameOfVoidHeld,
    NameOfVoidTold,
    NamesWithoutCase,
    NamesTrimmed,
    NamesEndAtNul,
    UnsettledWithFinal,
    UnsettledWithoutIncluded,
    UnsettledOfAccount,
    LastChangedLast,
    OrderOfIdentifiers,
    UntoldWithTold,
    UntoldWithoutFinal,
    UntoldOfAnyRequest,
    UntoldOfAnySigner,
    UntoldOfLane,
    LanesToldTwice,
    LanesOfEverybody,
    LanesWithSettled,
    HighestByText,
    HighestByLastWritten,
    HighestBySequence,
    HighestWithoutReverted,
    HighestOfAccount,
    HighestOfFirstOperation,
    PrunedWithHighest,
    PrunedWithNamed,
    PrunedWithOpen,
    PrunedOfAccount,
    NothingPruned,
    NeverSentNotPruned,
    IntentsOfAllChains,
    NothingRemoved,
    ChainsBoundAgain,
    ChainsBoundTogether,
    ChainsNotBound,
    RemovedNotFound,
    HalfOfSeveralWritten,
    SeveralBackwards,
    SeveralAnsweredBackwards,
    SeveralCheckedApart,
    PutInTwoSteps,
    AcquiredInTwoSteps,
];

#[derive(Debug)]
pub(super) struct PlainJournal {
    fault: Option<Fault>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lanes: Vec<HeldLane>,
    /// In the order of first writing.
    records: Vec<IntentRecord>,
    /// By chain id.
    chains: Vec<(u64, BlockRef)>,
}

#[derive(Debug)]
struct HeldLane {
    lane: Lane,
    epoch: u64,
    held: Option<(ProcessId, u64)>,
    last: Option<Lease>,
}

impl PlainJournal {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        Self {
            fault,
            state: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn bound_id(&self, chain_id: u64) -> u64 {
        if self.has(Fault::ChainsBoundTogether) {
            0
        } else {
            chain_id
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn is_lane(&self, one: &Lane, other: &Lane) -> bool {
        let mut one = *one;
        if self.has(Fault::LanesWithoutNonceKey) {
            one.nonce_key = other.nonce_key;
        }
        if self.has(Fault::LanesWithoutEntryPoint) {
            one.entry_point = other.entry_point;
        }
        if self.has(Fault::LanesWithoutChain) {
            one.chain_id = other.chain_id;
        }
        one == *other
    }

    fn lane<'s>(&self, state: &'s mut State, lane: &Lane) -> &'s mut HeldLane {
        let found = state.lanes.iter().position(|held| self.is_lane(&held.lane, lane));
        let index = found.unwrap_or_else(|| {
            state.lanes.push(HeldLane {
                lane: *lane,
                epoch: 0,
                held: None,
                last: None,
            });
            state.lanes.len() - 1
        });
        &mut state.lanes[index]
    }

    fn holds(&self, state: &mut State, lease: &Lease, now: u64) -> bool {
        let lane = self.lane(state, &lease.lane);
        let Some((holder, until)) = lane.held else {
            return false;
        };
        let until = if self.has(Fault::LeaseEndOfCaller) {
            lease.until
        } else {
            until
        };
        (holder == lease.holder || self.has(Fault::LeaseHolderNotChecked))
            && (lane.epoch == lease.epoch || self.has(Fault::LeaseEpochNotChecked))
            && (now < until
                || self.has(Fault::LeaseEndNotChecked)
                || now == until && self.has(Fault::LeaseEndIncluded))
    }

    fn is_name(&self, one: &str, other: &str) -> bool {
        if self.has(Fault::NamesWithoutCase) {
            one.eq_ignore_ascii_case(other)
        } else if self.has(Fault::NamesTrimmed) {
            one.trim() == other.trim()
        } else if self.has(Fault::NamesEndAtNul) {
            one.split('\0').next() == other.split('\0').next()
        } else {
            one == other
        }
    }

    fn holds_name(&self, record: &IntentRecord) -> bool {
        record.holds_name() || record.name.is_some() && self.has(Fault::NameOfVoidHeld)
    }

    fn holder(&self, state: &State, asked: &IntentRecord) -> Option<IntentId> {
        let name = asked.name.as_deref().filter(|_| self.holds_name(asked))?;
        let is_scope = |record: &IntentRecord| {
            let mut scope = record.scope();
            if self.has(Fault::NameWithoutSigner) {
                scope.signer = asked.signer;
            }
            if self.has(Fault::NameWithoutChain) {
                scope.chain_id = asked.lane.chain_id;
            }
            scope == asked.scope() && (record.lane == asked.lane || !self.has(Fault::NameWithinLane))
        };
        let holder = state.records.iter().find(|record| {
            record.id != asked.id
                && self.holds_name(record)
                && is_scope(record)
                && record
                    .name
                    .as_deref()
                    .is_some_and(|other| self.is_name(other, name))
        });
        holder.map(|record| record.id)
    }

    fn check(
        &self,
        state: &mut State,
        record: &IntentRecord,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Option<usize>, JournalError> {
        let stored = state.records.iter().position(|stored| stored.id == record.id);
        let is_lease_skipped = self.has(Fault::LeaseNotChecked)
            || stored.is_none() && self.has(Fault::LeaseNotCheckedForNewRecords);
        if let Some((lease, now)) = lease
            && !is_lease_skipped
            && !self.holds(state, lease, now)
        {
            return Err(JournalError::LeaseLost);
        }
        let is_current = match stored {
            None => record.version == 0 || self.has(Fault::UnknownRecordChanged),
            Some(index) => {
                let version = state.records[index].version;
                record.version == version
                    || self.has(Fault::VersionNotChecked)
                    || record.version > version && self.has(Fault::LaterVersionTaken)
                    || record.version == 0 && self.has(Fault::NewRecordOverwrites)
            }
        };
        if !is_current {
            return Err(JournalError::Conflict { id: record.id });
        }
        let is_name_skipped =
            self.has(Fault::NameNotChecked) || stored.is_some() && self.has(Fault::NameNotCheckedForChanges);
        if let Some(holder) = self.holder(state, record).filter(|_| !is_name_skipped) {
            let name = record.name.clone().unwrap();
            return Err(JournalError::NameTaken { name, holder });
        }
        Ok(stored)
    }

    /// Writes a record that was checked, in place of the stored one.
    fn write(&self, state: &mut State, mut record: IntentRecord, stored: Option<usize>) -> IntentRecord {
        let is_version_kept = match stored {
            Some(_) => self.has(Fault::VersionStays),
            None => self.has(Fault::NewRecordWithoutVersion),
        };
        if !is_version_kept {
            record.version = record.version.wrapping_add(1);
        }
        let mut written = record.clone();
        if self.has(Fault::SignedNumbers) {
            written.asked.at = written.asked.at.min(i64::MAX as u64);
        }
        if let Some(index) = stored {
            let old = &mut state.records[index];
            if self.has(Fault::GrantsNotChanged) {
                written.grants_to = old.grants_to.clone();
            }
            *old = written;
            if self.has(Fault::LastChangedLast) {
                let changed = state.records.remove(index);
                state.records.push(changed);
            }
        } else if !self.has(Fault::NewRecordsNotWritten) {
            state.records.push(written);
        }
        record
    }

    fn select(&self, is_asked: impl Fn(&IntentRecord) -> bool) -> Vec<IntentRecord> {
        let mut found: Vec<_> = self
            .state()
            .records
            .iter()
            .filter(|record| is_asked(record))
            .cloned()
            .collect();
        if self.has(Fault::OrderOfIdentifiers) {
            found.sort_by_key(|record| record.id);
        }
        found
    }

    fn included_nonce(&self, record: &IntentRecord) -> Option<U256> {
        if self.has(Fault::HighestOfFirstOperation) {
            let included = record.operations.first()?.included.as_ref()?;
            return Some(included.receipt.nonce);
        }
        match record.outcome() {
            Outcome::Included(included) if included.success || !self.has(Fault::HighestWithoutReverted) => {
                Some(included.receipt.nonce)
            }
            _ => None,
        }
    }

    fn highest(&self, lane: &Lane) -> Option<IntentRecord> {
        let is_lane = |record: &IntentRecord| {
            record.lane == *lane || record.lane.account == lane.account && self.has(Fault::HighestOfAccount)
        };
        let included = self.select(|record| is_lane(record) && self.included_nonce(record).is_some());
        let nonce = |record: &&IntentRecord| self.included_nonce(record).unwrap();
        let highest = if self.has(Fault::HighestByText) {
            included.iter().max_by_key(|record| nonce(record).to_string())
        } else if self.has(Fault::HighestBySequence) {
            included.iter().max_by_key(|record| nonce(record).as_limbs()[0])
        } else if self.has(Fault::HighestByLastWritten) {
            included.last()
        } else {
            included.iter().max_by_key(nonce)
        };
        highest.cloned()
    }
}

#[async_trait]
impl Journal for PlainJournal {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        if self.has(Fault::AcquiredInTwoSteps) {
            let epoch = self.lane(&mut self.state(), lane).epoch;
            tokio::task::yield_now().await;
            self.lane(&mut self.state(), lane).epoch = epoch;
        }
        let mut state = self.state();
        let held = self.lane(&mut state, lane);
        let mut lapsed = None;
        if let Some((other, end)) = held.held {
            let is_over = if self.has(Fault::HeldLaneTakenAMomentEarly) {
                now.saturating_add(1) >= end
            } else if self.has(Fault::LapsedLaneNotTakenAtItsEnd) {
                now > end
            } else {
                now >= end || self.has(Fault::HeldLaneTaken)
            };
            if !is_over && (other != holder || self.has(Fault::OwnLaneNotTaken)) {
                return Ok(Acquired::Held {
                    holder: other,
                    until: end,
                });
            }
            if other != holder || self.has(Fault::OwnLeaseLapses) {
                lapsed = held.last.clone();
            }
            if self.has(Fault::LapsedLeaseUntold) {
                lapsed = None;
            }
        } else if self.has(Fault::LeaseLapsesThoughGivenBack) {
            lapsed = held.last.clone();
        } else if self.has(Fault::NewLeaseLapses) {
            lapsed = Some(Lease {
                lane: *lane,
                holder,
                epoch: held.epoch,
                until: now,
            });
        } else if self.has(Fault::EpochsBeginAgain) {
            held.epoch = 0;
        }
        if !(self.has(Fault::OwnEpochStays) && held.held.is_some_and(|(other, _)| other == holder)) {
            held.epoch += 1;
        }
        let lease = Lease {
            lane: *lane,
            holder,
            epoch: held.epoch,
            until,
        };
        held.held = Some((holder, until));
        held.last = Some(lease.clone());
        Ok(Acquired::Lease { lease, lapsed })
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        let mut state = self.state();
        let held = self.lane(&mut state, &lease.lane);
        let is_held = match held.held {
            Some((holder, _)) => {
                holder == lease.holder && (held.epoch == lease.epoch || self.has(Fault::OtherEpochRenewed))
                    || self.has(Fault::LostLeaseRenewed)
            }
            None => held.epoch == lease.epoch && self.has(Fault::GivenBackLeaseRenewed),
        };
        if !is_held {
            return Err(JournalError::LeaseLost);
        }
        let renewed = Lease {
            until,
            ..lease.clone()
        };
        if !self.has(Fault::RenewedWithoutEffect) {
            held.held = Some((lease.holder, until));
            held.last = Some(renewed.clone());
        }
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        let mut state = self.state();
        let held = self.lane(&mut state, &lease.lane);
        let is_held =
            held.epoch == lease.epoch && held.held.is_some_and(|(holder, _)| holder == lease.holder);
        if (is_held || self.has(Fault::LostLeaseReleased)) && !self.has(Fault::ReleasedWithoutEffect) {
            held.held = None;
        }
        Ok(())
    }

    async fn put_all(
        &self,
        mut records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        if self.has(Fault::SeveralBackwards) {
            records.reverse();
        }
        let is_checked_before = self.has(Fault::PutInTwoSteps) || self.has(Fault::SeveralCheckedApart);
        if is_checked_before {
            for record in &records {
                self.check(&mut self.state(), record, lease)?;
            }
        }
        if self.has(Fault::PutInTwoSteps) {
            tokio::task::yield_now().await;
        }
        let mut state = self.state();
        if let Some((lease, now)) = lease
            && records.is_empty()
            && !self.holds(&mut state, lease, now)
        {
            return Err(JournalError::LeaseLost);
        }
        let before = state.records.clone();
        let mut written = Vec::new();
        for record in records {
            let answer = if is_checked_before {
                Ok(state.records.iter().position(|stored| stored.id == record.id))
            } else {
                self.check(&mut state, &record, lease)
            };
            match answer {
                Ok(stored) => written.push(self.write(&mut state, record, stored)),
                Err(error) => {
                    if !self.has(Fault::HalfOfSeveralWritten) {
                        state.records = before;
                    }
                    return Err(error);
                }
            }
        }
        if self.has(Fault::SeveralBackwards) || self.has(Fault::SeveralAnsweredBackwards) {
            written.reverse();
        }
        Ok(written)
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        Ok(self.select(|record| record.id == id).pop())
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        let is_holder = |record: &IntentRecord| self.holds_name(record) || self.has(Fault::NameOfVoidTold);
        let found = self.select(|record| {
            record.scope() == *scope
                && is_holder(record)
                && record
                    .name
                    .as_deref()
                    .is_some_and(|other| self.is_name(other, name))
        });
        Ok(found.into_iter().next())
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        let is_lane = |record: &IntentRecord| {
            record.lane == *lane || record.lane.account == lane.account && self.has(Fault::UnsettledOfAccount)
        };
        let is_unsettled = |record: &IntentRecord| {
            let is_included = matches!(record.outcome(), Outcome::Included(_));
            (!record.is_final() || self.has(Fault::UnsettledWithFinal))
                && !(is_included && self.has(Fault::UnsettledWithoutIncluded))
        };
        Ok(self.select(|record| is_lane(record) && is_unsettled(record)))
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        let first = self
            .select(|record| record.scope() == *scope && record.is_untold())
            .into_iter()
            .next();
        Ok(self.select(|record| {
            let mut of = record.scope();
            if self.has(Fault::UntoldOfAnySigner) {
                of.signer = scope.signer;
            }
            let is_included = matches!(record.outcome(), Outcome::Included(_));
            of == *scope
                && (record.request == request || self.has(Fault::UntoldOfAnyRequest))
                && (record.is_untold() || is_included && self.has(Fault::UntoldWithTold))
                && !(record.is_final() && self.has(Fault::UntoldWithoutFinal))
                && !(self.has(Fault::UntoldOfLane)
                    && first.as_ref().is_some_and(|first| first.lane != record.lane))
        }))
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        let account = account.filter(|_| !self.has(Fault::LanesOfEverybody));
        let records = self.select(|record| {
            account.is_none_or(|account| account == (record.lane.chain_id, record.lane.account))
                && (!record.is_final() || self.has(Fault::LanesWithSettled))
        });
        let mut lanes: Vec<Lane> = records.iter().map(|record| record.lane).collect();
        lanes.sort_unstable();
        if !self.has(Fault::LanesToldTwice) {
            lanes.dedup();
        }
        Ok(lanes)
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        Ok(self.highest(lane))
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        let highest = self.highest(lane).map(|record| record.id);
        let highest = highest.filter(|_| !self.has(Fault::PrunedWithHighest));
        let is_lane = |record: &IntentRecord| {
            record.lane == *lane || record.lane.account == lane.account && self.has(Fault::PrunedOfAccount)
        };
        let is_spent = |record: &IntentRecord| {
            let mut record = record.clone();
            if self.has(Fault::PrunedWithNamed) {
                record.name = None;
            }
            let is_kept = self.has(Fault::NothingPruned)
                || record.outcome() == Outcome::NeverSent && self.has(Fault::NeverSentNotPruned);
            !is_kept && (record.is_spent() || !record.is_final() && self.has(Fault::PrunedWithOpen))
        };
        self.state()
            .records
            .retain(|record| !is_lane(record) || !is_spent(record) || Some(record.id) == highest);
        Ok(())
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        Ok(self.select(|record| {
            record.lane.account == account
                && (record.lane.chain_id == chain_id || self.has(Fault::IntentsOfAllChains))
        }))
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        let mut state = self.state();
        let before = state.records.len();
        if !self.has(Fault::NothingRemoved) {
            state.records.retain(|record| record.id != id);
        }
        if state.records.len() == before && self.has(Fault::RemovedNotFound) {
            return Err(JournalError::Conflict { id });
        }
        Ok(())
    }

    async fn history(&self, chain_id: u64) -> Result<History, JournalError> {
        let chain_id = self.bound_id(chain_id);
        let state = self.state();
        let bound = state.chains.iter().find(|(id, _)| *id == chain_id);
        Ok(match bound {
            Some((_, to)) => History::Bound { to: *to },
            None => History::Unbound {
                made: state
                    .records
                    .iter()
                    .rev()
                    .filter(|record| record.lane.chain_id == chain_id)
                    .flat_map(|record| record.operations.iter().rev())
                    .map(|operation| operation.made)
                    .collect(),
            },
        })
    }

    async fn bind(&self, chain_id: u64, block: BlockRef) -> Result<BlockRef, JournalError> {
        let chain_id = self.bound_id(chain_id);
        let mut state = self.state();
        if self.has(Fault::ChainsBoundAgain) {
            state.chains.retain(|(id, _)| *id != chain_id);
        }
        if let Some((_, bound)) = state.chains.iter().find(|(id, _)| *id == chain_id) {
            return Ok(*bound);
        }
        if !self.has(Fault::ChainsNotBound) {
            state.chains.push((chain_id, block));
        }
        Ok(block)
    }
}
