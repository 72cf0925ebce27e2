//! Riding along in another intent's operation, and taking others along.

use super::{Course, LAST_WRITE};
use crate::{
    journal::{Handover, IntentRecord, OperationRecord},
    operation::{
        Operation,
        error::Cause,
        outcome::Included,
        prepare::Reads,
        share::{AfterRevert, Rider},
    },
    submit::simulate_call_gas,
};
use std::time::Duration;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

/// How often an intent checks whether it was taken along.
const LOOK: Duration = Duration::from_millis(10);

/// The first event.
enum First {
    Seat(Result<IntentRecord, oneshot::error::RecvError>),
    Turn(Result<(), Cause>),
}

impl Course {
    /// Takes the lane's turn; or rides along in the operation of the turn's holder, if the caller allows it.
    /// Returns whether it rides.
    pub(super) async fn ride(&mut self) -> Result<bool, Cause> {
        let may_ride =
            self.wanted.adopts.is_none() && !self.wanted.has_own_settings() && self.named().await?.is_none();
        let (Some(_), Some(used), true) = (self.wanted.shares, self.wanted.session_key.clone(), may_ride)
        else {
            self.take_turn().await?;
            return Ok(false);
        };
        let (sender, mut seat) = oneshot::channel();
        let desk = self.wanted.core.desk.clone();
        let rider = Rider {
            id: self.id,
            signer: self.wanted.core.signer.address(),
            name: self.wanted.name.clone(),
            request: self.request,
            calls: used.calls,
            strict: self.wanted.strict,
            group: self.wanted.group.clone(),
            asked: self.asked,
            deadline: self.deadline,
            seat: sender,
        };
        desk.wait_for_ride(self.lane, rider);
        let turn = desk.turn(self.lane, self.until);
        let waited = self.wanted.timeout;
        let first = tokio::select! {
            biased;
            record = &mut seat => First::Seat(record),
            turn = turn => First::Turn(match turn {
                Ok(turn) => {
                    self.turn = Some(turn);
                    Ok(())
                }
                Err(error) => Err(*error.into_error(waited).cause),
            }),
        };
        self.seat = Some(seat);
        match first {
            First::Seat(Ok(record)) => {
                self.seat = None;
                self.record = Some(record);
                self.is_shared = true;
                return Ok(true);
            }
            // Its seat is gone: it must go by itself.
            First::Seat(Err(_)) => self.take_turn().await?,
            First::Turn(turn) => turn?,
        }
        if self.leave_ride().await && self.record.is_none() {
            return Ok(false);
        }
        // The previous holder of the turn has taken it along.
        self.is_shared = true;
        if let Some(turn) = self.turn.take() {
            turn.release().await;
        }
        Ok(true)
    }

    /// Stops waiting to be taken along. If it was taken along, its record is set afterwards. False: it is
    /// unknown whether it was.
    pub(super) async fn leave_ride(&mut self) -> bool {
        let Some(seat) = &mut self.seat else {
            return true;
        };
        let desk = &self.wanted.core.desk;
        let until = Instant::now() + LAST_WRITE;
        loop {
            if desk.cancel_ride(&self.lane, self.id).is_some() {
                self.seat = None;
                return true;
            }
            match seat.try_recv() {
                Ok(record) => {
                    self.record = Some(record);
                    self.seat = None;
                    return true;
                }
                Err(oneshot::error::TryRecvError::Closed) => {
                    self.seat = None;
                    return true;
                }
                // It is being taken along, or left out, right now.
                Err(oneshot::error::TryRecvError::Empty) if Instant::now() >= until => return false,
                Err(oneshot::error::TryRecvError::Empty) => sleep(LOOK).await,
            }
        }
    }

    /// Takes along others that wait for it, unless the intent already has an operation.
    pub(super) async fn take_along(&mut self) {
        if self.wanted.shares.is_none()
            || self.wanted.session_key.is_none()
            || self.wanted.has_own_settings()
            || self.record.is_some()
        {
            return;
        }
        let desk = self.wanted.core.desk.clone();
        let signer = self.wanted.core.signer.address();
        let (group, most) = (self.wanted.group.as_deref(), self.wanted.shared_by - 1);
        let gathered = Instant::now() + self.wanted.gathers;
        while Instant::now() < gathered && desk.waiting_to_ride(&self.lane, signer, group) < most {
            sleep(LOOK.min(gathered - Instant::now())).await;
        }
        self.carried = Some(desk.take_along(self.lane, signer, group, most));
    }

    /// Removes riders whose callers have gone. Returns whether there were any.
    pub(super) fn leave_out_gone(&mut self) -> bool {
        let Some(carried) = &mut self.carried else {
            return false;
        };
        let count = carried.riders.len();
        carried.riders.retain(|rider| !rider.seat.is_closed());
        carried.riders.len() < count
    }

    /// Returns the operation with the calls of all riders.
    pub(super) fn together(&self) -> Operation {
        self.carried
            .as_ref()
            .filter(|carried| !carried.riders.is_empty())
            .and_then(|carried| self.wanted.carrying(&carried.riders))
            .unwrap_or_else(|| self.wanted.clone())
    }

    /// Whether anyone rides along.
    pub(super) fn carries(&self) -> bool {
        self.carried
            .as_ref()
            .is_some_and(|carried| !carried.riders.is_empty())
    }

    /// Removes riders whose calls would fail after those before them. They wait again.
    pub(super) async fn leave_out(&mut self, reads: &Reads, others: &[IntentRecord]) {
        let Some(carried) = &mut self.carried else {
            return;
        };
        let core = &self.wanted.core;
        // A rider that may already have happened goes by itself, and checks first.
        let scope = core.scope();
        let mut new = Vec::new();
        for rider in std::mem::take(&mut carried.riders) {
            let untold = core.desk.journal().untold(&scope, rider.request).await;
            let may_have_happened = untold.map_or(true, |untold| !untold.is_empty())
                || others
                    .iter()
                    .any(|other| other.request == rider.request && other.given_up.is_some());
            if rider.name.is_some() || !may_have_happened {
                new.push(rider);
            }
        }
        carried.riders = new;
        let mut kept: Vec<Rider> = Vec::new();
        let mut left_out = Vec::new();
        while !carried.riders.is_empty() {
            // If this is cancelled at the await below, the rider being tried and those before it go by
            // themselves.
            let rider = carried.riders.remove(0);
            let calls = |riders: &[Rider]| self.wanted.carrying(riders);
            kept.push(rider);
            let passes = match calls(&kept) {
                Some(trial) if trial.judge_calls(reads).is_ok() => {
                    let mut operation = trial.unpriced(reads, reads.nonce);
                    let call_data = trial.source.call_data(&core.account, &core.desk).await;
                    operation.call_data = call_data.unwrap_or_default();
                    simulate_call_gas(&core.node, core.entry_point(), &operation)
                        .await
                        .is_ok()
                }
                _ => false,
            };
            if !passes {
                left_out.extend(kept.pop());
            }
        }
        carried.riders = kept;
        core.desk.seat_again(self.lane, left_out);
    }

    /// Returns the riders' records for this operation.
    pub(super) fn records_of_riders(&self, operation: &OperationRecord) -> Vec<IntentRecord> {
        let riders = self.carried.iter().flat_map(|carried| &carried.riders);
        riders
            .map(|rider| IntentRecord {
                id: rider.id,
                version: 0,
                lane: self.lane,
                signer: rider.signer,
                name: rider.name.clone(),
                request: rider.request,
                grants_to: Vec::new(),
                asked: rider.asked,
                deadline: rider.deadline,
                given_up: None,
                told: false,
                told_to: None,
                operations: vec![operation.clone()],
            })
            .collect()
    }

    /// Delivers the recorded records to the riders.
    pub(super) fn seat(&mut self, records: Vec<IntentRecord>) {
        let Some(carried) = &mut self.carried else {
            return;
        };
        let desk = &self.wanted.core.desk;
        for (rider, record) in std::mem::take(&mut carried.riders).into_iter().zip(records) {
            self.is_shared = true;
            // No one waits for it any more.
            if rider.seat.send(record).is_err() {
                desk.note_dropped(rider.id);
            }
        }
    }

    /// Whether the intent must be sent once more, alone: its shared operation reverted, and its caller allows
    /// that.
    pub(super) fn goes_alone(&self, included: &Included) -> bool {
        let is_first = self
            .record
            .as_ref()
            .is_some_and(|record| record.operations.iter().all(|operation| operation.void.is_none()))
            && self.record.as_ref().map(|record| {
                let left = |operation: &&OperationRecord| operation.handover != Handover::NeverLeft;
                record.operations.iter().filter(left).count()
            }) == Some(1);
        self.is_shared && is_first && !included.success && self.wanted.shares == Some(AfterRevert::Alone)
    }
}
