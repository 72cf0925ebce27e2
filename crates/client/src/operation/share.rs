//! Intents that share an operation, so that its fixed cost is paid once.

use super::{Operation, desk::Desk};
use crate::{
    journal::{IntentId, IntentRecord, Lane, Moment},
    permissions::Call,
};
use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// What happens to an intent whose shared operation is included and reverts. It has no effect, and gas was
/// paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AfterRevert {
    /// It ends with [`Cause::Reverted`](super::Cause::Reverted), like an intent that was sent alone.
    Fail,
    /// It is sent alone, once, after the reverted operation is deep enough to stay, or is void because
    /// another one used its nonce. If a reorganization undoes the reverted operation, it is sent again first.
    Alone,
}

/// The maximum number of intents that share an operation.
pub(super) const MOST_SHARING: usize = 16;

/// An intent that waits to be taken along.
#[derive(Debug)]
pub(super) struct Rider {
    pub(super) id: IntentId,
    pub(super) signer: Address,
    pub(super) name: Option<String>,
    pub(super) request: B256,
    pub(super) calls: Vec<Call>,
    pub(super) strict: bool,
    pub(super) group: Option<Arc<str>>,
    pub(super) asked: Moment,
    pub(super) deadline: u64,
    /// Receives the intent's record once its operation is recorded.
    pub(super) seat: oneshot::Sender<IntentRecord>,
}

/// Riders taken along. Those not seated wait again when this is dropped.
#[derive(Debug)]
pub(super) struct Carried {
    desk: Arc<Desk>,
    lane: Lane,
    pub(super) riders: Vec<Rider>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        let riders = std::mem::take(&mut self.riders);
        self.desk.seat_again(self.lane, riders);
    }
}

impl Desk {
    /// Lets an intent wait to be taken along.
    pub(super) fn wait_for_ride(&self, lane: Lane, rider: Rider) {
        let mut waiting = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(lane).or_default().push(rider);
    }

    /// Lets intents that were not taken along wait again, before all others.
    pub(super) fn seat_again(&self, lane: Lane, mut riders: Vec<Rider>) {
        riders.retain(|rider| !rider.seat.is_closed());
        if riders.is_empty() {
            return;
        }
        let mut waiting = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        let others = waiting.entry(lane).or_default();
        others.splice(0..0, riders);
    }

    /// Removes a waiting intent. `None`: it is being taken along, or was.
    pub(super) fn cancel_ride(&self, lane: &Lane, id: IntentId) -> Option<Rider> {
        let mut waiting = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        let riders = waiting.get_mut(lane)?;
        let position = riders.iter().position(|rider| rider.id == id)?;
        let rider = riders.remove(position);
        if riders.is_empty() {
            waiting.remove(lane);
        }
        Some(rider)
    }

    /// Returns how many intents of a signer's group wait to be taken along.
    pub(super) fn waiting_to_ride(&self, lane: &Lane, signer: Address, group: Option<&str>) -> usize {
        let waiting = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        let riders = waiting.get(lane).into_iter().flatten();
        riders
            .filter(|rider| {
                rider.signer == signer && rider.group.as_deref() == group && !rider.seat.is_closed()
            })
            .count()
    }

    /// Takes along up to so many waiting intents of a signer's group, in order.
    pub(super) fn take_along(
        self: &Arc<Self>,
        lane: Lane,
        signer: Address,
        group: Option<&str>,
        most: usize,
    ) -> Carried {
        let mut waiting = self.riders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut riders = Vec::new();
        if let Some(others) = waiting.get_mut(&lane) {
            let mut position = 0;
            while position < others.len() && riders.len() < most {
                if others[position].seat.is_closed() {
                    others.remove(position);
                } else if others[position].signer == signer && others[position].group.as_deref() == group {
                    riders.push(others.remove(position));
                } else {
                    position += 1;
                }
            }
            if others.is_empty() {
                waiting.remove(&lane);
            }
        }
        Carried {
            desk: self.clone(),
            lane,
            riders,
        }
    }
}

impl Operation {
    /// Lets the intent share an operation with others of its lane that allow it, so that gas is paid once for
    /// all of them. Each is simulated after those before it, and left out if it would fail. An operation's
    /// calls take effect all or none: if it is included and reverts, all its intents failed.
    ///
    /// Only a session key's intents share operations. One with its own nonce, gas limits, fees or paymaster
    /// data is sent alone, since an operation cannot have them for one intent only. If one intent is
    /// [strict](Self::strict), the operation is.
    pub const fn share(mut self, after_revert: AfterRevert) -> Self {
        self.shares = Some(after_revert);
        self
    }

    /// Limits how many intents may be in the operation that this one signs for itself and others, its own
    /// included: between 1 and 16, which is the default.
    pub const fn share_at_most(mut self, intents: usize) -> Self {
        self.shared_by = if intents < 1 {
            1
        } else if intents > MOST_SHARING {
            MOST_SHARING
        } else {
            intents
        };
        self
    }

    /// Lets the intent wait for others once it is its turn, so that more of them share the operation: at most
    /// so long, and only until it is full. By default, it takes along those that wait already.
    pub const fn share_after(mut self, wait: Duration) -> Self {
        self.gathers = wait;
        self
    }

    /// Lets the intent share an operation only with intents of the same group, for example of one client of a
    /// service. By default, it shares with those without a group.
    pub fn share_within(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Whether it has settings of its own.
    pub(super) const fn has_own_settings(&self) -> bool {
        self.nonce.is_some()
            || self.fees.is_some()
            || self.paymaster_and_data.is_some()
            || self.gas.call_gas_limit.is_some()
            || self.gas.verification_gas_limit.is_some()
            || self.gas.pre_verification_gas.is_some()
    }

    /// Returns the operation with the riders' calls after its own.
    pub(super) fn carrying(&self, riders: &[Rider]) -> Option<Self> {
        let used = self.session_key.as_ref()?;
        let mut calls = used.calls.clone();
        calls.extend(riders.iter().flat_map(|rider| rider.calls.iter().cloned()));
        let source = self.source.with_calls(calls)?;
        Some(Self {
            session_key: source.session_key(),
            source,
            strict: self.strict || riders.iter().any(|rider| rider.strict),
            ..self.clone()
        })
    }
}
