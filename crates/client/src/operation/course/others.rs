//! Other intents of the same lane: their open operations come first.

use super::{
    ALREADY_TRIES, Course, FIRST_PAUSE, LONGEST_PAUSE,
    handover::{handover_after, is_waiting},
};
use crate::{
    journal::{IntentRecord, JournalError, OperationRecord},
    operation::{Progress, error::Cause, outcome::Outcome},
};
use alloy::primitives::{B256, U256};
use tokio::time::{Instant, sleep, timeout_at};

impl Course {
    /// Returns the lane's other intents that are not final. Records it if no one waits for one any more.
    pub(super) async fn others(&self) -> Result<Vec<IntentRecord>, Cause> {
        let desk = &self.wanted.core.desk;
        let mut others = desk.journal().unsettled(&self.lane).await?;
        others.retain(|other| other.id != self.id);
        for other in &mut others {
            if other.given_up.is_some() || other.told {
                continue;
            }
            let lapsed = self.turn.as_ref().and_then(|turn| turn.lapsed.as_ref());
            let Some(given_up) = desk.left_alone_at(other, lapsed) else {
                continue;
            };
            if let Some(written) = self.wanted.core.give_up(other.clone(), given_up).await? {
                *other = written;
            }
        }
        Ok(others)
    }

    /// Sends others' open operations with these nonces again, lowest nonce first.
    pub(super) async fn send_others(&self, others: &mut [IntentRecord], is_meant: impl Fn(U256) -> bool) {
        let core = &self.wanted.core;
        let mut again: Vec<(U256, usize, usize)> = Vec::new();
        for (position, other) in others.iter().enumerate() {
            for (index, operation) in other.operations.iter().enumerate() {
                if operation.is_open() && operation.nonce_past.is_none() && is_meant(operation.nonce()) {
                    again.push((operation.nonce(), position, index));
                }
            }
        }
        again.sort_unstable();
        for (_, position, index) in again {
            let other = &mut others[position];
            // An inconsistent record was damaged, or tampered with.
            if core.check_ours(other).is_err() {
                continue;
            }
            let operation = &mut other.operations[index];
            let hash = operation.signed.hash;
            self.wanted.report(|| Progress::SentEarlier(hash));
            let sent = core.hand_over(&operation.signed).await;
            let handover = handover_after(operation.handover.clone(), &sent, false);
            if handover == operation.handover {
                continue;
            }
            operation.handover = handover;
            if let Ok(written) = core.desk.journal().put(other.clone(), None).await {
                *other = written;
            }
        }
    }

    /// Waits until none of these operations is pending, for half of the time limit.
    pub(super) async fn wait_for_others(
        &self,
        others: &[IntentRecord],
        is_meant: impl Fn(&OperationRecord) -> bool,
    ) {
        let core = &self.wanted.core;
        let until = self.until.min(Instant::now() + self.wanted.timeout / 2);
        let mut records = others.to_vec();
        let wait = async {
            let mut pause = FIRST_PAUSE;
            loop {
                let is_settled = match core.view(&self.lane).await {
                    Ok(view) => core.settle(&view, &mut records).await.is_ok(),
                    Err(_) => false,
                };
                let is_on_its_way =
                    |operation: &OperationRecord| is_meant(operation) && is_waiting(&operation.handover);
                if is_settled
                    && !records
                        .iter()
                        .any(|record| record.open_operations().any(is_on_its_way))
                {
                    return;
                }
                sleep(pause).await;
                pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            }
        };
        // Or until the time is over: then the newer one takes the nonce.
        let _ = timeout_at(until, wait).await;
    }

    /// Returns the signer's open operations in all lanes of the account.
    pub(super) async fn open_everywhere(&self, here: &[IntentRecord]) -> Result<Vec<IntentRecord>, Cause> {
        let journal = self.wanted.core.desk.journal();
        let account = (self.lane.chain_id, self.lane.account);
        let mut open = here.to_vec();
        for lane in journal.unsettled_lanes(Some(account)).await? {
            if lane != self.lane {
                open.extend(journal.unsettled(&lane).await?);
            }
        }
        Ok(open)
    }

    /// Notes the equal intents in the journal at the time of the request.
    pub(super) async fn note_equals(&mut self) -> Result<(), Cause> {
        if self.wanted.name.is_some() || self.wanted.adopts.is_some() {
            return Ok(());
        }
        let core = &self.wanted.core;
        let (journal, scope) = (core.desk.journal(), core.scope());
        let mut equals = journal.untold(&scope, self.request).await?;
        let account = Some((scope.chain_id, scope.account));
        for lane in journal.unsettled_lanes(account).await? {
            equals.extend(journal.unsettled(&lane).await?);
        }
        self.equals = equals
            .into_iter()
            .filter(|record| record.request == self.request && record.scope() == scope)
            .map(|record| (record.id, record.given_up.is_some()))
            .collect();
        Ok(())
    }

    /// Records that no one waits any more for included equal intents whose processes died while waiting for
    /// the depth.
    pub(super) async fn give_up_equals_of_gone(&self, others: &mut [IntentRecord]) -> Result<(), Cause> {
        let core = &self.wanted.core;
        for other in others {
            let is_waited_for = self.equals.contains_key(&other.id)
                && other.given_up.is_none()
                && !other.told
                && other.told_to.is_none()
                && matches!(other.outcome(), Outcome::Included(_));
            if !is_waited_for || !core.desk.is_gone(other).await? {
                continue;
            }
            if let Some(written) = core.give_up(other.clone(), core.desk.moment()).await? {
                *other = written;
            }
        }
        Ok(())
    }

    /// Whether an equal intent whose caller got an error has an operation whose nonce is past, without a
    /// visible outcome yet.
    pub(super) fn has_unseen_equal(&self, others: &[IntentRecord], next: U256) -> bool {
        others.iter().any(|other| {
            other.request == self.request
                && other.scope() == self.wanted.core.scope()
                && self.was_asked_after_error_of(other)
                && other.open_operations().any(|operation| {
                    operation.nonce() < next && operation.nonce_past.is_none_or(|past| past.used_by.is_none())
                })
        })
    }

    /// Whether this intent was requested after an equal one's caller got an error, or went away. Clocks of
    /// two processes are not compared: they may jump.
    fn was_asked_after_error_of(&self, older: &IntentRecord) -> bool {
        let Some(given_up) = older.given_up else {
            return false;
        };
        if self.asked.process == given_up.process && older.asked.process == given_up.process {
            return self.asked.sequence > given_up.sequence;
        }
        match self.equals.get(&older.id) {
            Some(true) => true,
            // If its own process recorded that, it was later. If another one did, its process died at some
            // earlier time.
            Some(false) => older.asked.process != given_up.process,
            None => false,
        }
    }

    /// An unnamed intent ends here if an equal one, whose caller got an error before this request, turns out
    /// to be included: most likely the caller repeats the request.
    pub(super) async fn check_already_happened(&mut self) -> Result<(), Cause> {
        if self.wanted.name.is_some() || self.wanted.adopts.is_some() {
            return Ok(());
        }
        let core = self.wanted.core.clone();
        let journal = core.desk.journal();
        // A record changed by others is checked once more. Until it is known who was told, nothing may be
        // signed.
        let mut conflict = None;
        for _ in 0..ALREADY_TRIES {
            conflict = None;
            for mut older in journal.untold(&core.scope(), self.request).await? {
                let is_concerned = older.id != self.id && self.was_asked_after_error_of(&older);
                let Outcome::Included(included) = older.outcome() else {
                    continue;
                };
                if !is_concerned {
                    continue;
                }
                let already = Cause::AlreadyHappened {
                    intent: older.id,
                    included: Box::new(included),
                };
                self.already = Some(already.clone());
                older.told_to = Some(self.id);
                // If the journal fails or times out, the write may have happened all the same: then no one
                // else would be told.
                match journal.put(older, None).await {
                    Err(error @ JournalError::Conflict { .. }) => {
                        self.already = None;
                        conflict = Some(error);
                    }
                    _ => return Err(already),
                }
            }
            if conflict.is_none() {
                break;
            }
        }
        conflict.map_or(Ok(()), |conflict| Err(conflict.into()))
    }
}

/// Returns other intents' open operations at a nonce.
pub(super) fn rivals(others: &[IntentRecord], nonce: U256) -> Vec<&OperationRecord> {
    others
        .iter()
        .flat_map(IntentRecord::open_operations)
        .filter(|operation| operation.nonce() == nonce)
        .collect()
}

/// Returns the open operation with the lowest nonce, from this one on, whose caller got no error: the caller
/// knows it as included, or waits for its depth, but the chain no longer includes it.
pub(super) fn undone(others: &[IntentRecord], nonce: U256) -> Option<(U256, B256)> {
    others
        .iter()
        .filter(|other| other.given_up.is_none())
        .flat_map(IntentRecord::open_operations)
        .filter(|operation| operation.nonce() >= nonce)
        .map(|operation| (operation.nonce(), operation.signed.hash))
        .min()
}
