//! The end of a course, and what its caller is told.

use super::{Course, FIRST_PAUSE, LAST_WRITE, LONGEST_PAUSE};
use crate::{
    journal::{Handover, IntentRecord},
    operation::{
        error::{Cause, OperationError},
        outcome::{Happened, Included, Open, Outcome},
    },
};
use alloy::eips::BlockId;
use tokio::time::{Instant, sleep, timeout};

impl Course {
    /// Ends the course. `None`: its time limit was exceeded.
    pub(super) async fn end(
        mut self,
        end: Option<Result<Included, Cause>>,
    ) -> Result<Included, OperationError> {
        let end = match end {
            Some(end) => end,
            None => {
                // Another process may have seen it included at the last moment.
                let _ = timeout(LAST_WRITE, self.read_again()).await;
                self.find_elsewhere().await;
                match self.record.as_ref().map(|record| record.outcome()) {
                    Some(Outcome::Included(included))
                        if included.has_depth(self.wanted.depth) && !self.goes_alone(&included) =>
                    {
                        Ok(included)
                    }
                    _ => Err(self.out_of_time()),
                }
            }
        };
        let included = match end {
            Ok(included) => included,
            Err(cause) => return Err(self.fail(cause).await),
        };
        let told = self.change(|record| {
            record.told = true;
            record.given_up = None;
        });
        // If this write fails, a later equal intent is told once more.
        let _ = timeout(LAST_WRITE, told).await;
        // Remove records that no one will ask for again.
        let pruned = self.wanted.core.desk.journal().prune(&self.lane);
        let _ = timeout(LAST_WRITE, pruned).await;
        self.release().await;
        if !included.success {
            return Err(self.error(Cause::Reverted {
                included: Box::new(included),
            }));
        }
        match self.confirmed(&included).await {
            Ok(()) => Ok(included),
            Err(cause) => Err(self.error(cause)),
        }
    }

    /// Reloads the intent's record from the journal.
    async fn read_again(&mut self) {
        if let Some(record) = &self.record
            && let Ok(Some(newest)) = self.wanted.core.desk.journal().intent(record.id).await
        {
            self.record = Some(newest);
        }
    }

    /// Checks that the operation had its effect, in the block that includes it.
    pub(super) async fn confirmed(&self, included: &Included) -> Result<(), Cause> {
        let block = BlockId::hash(included.receipt.block_hash);
        let account = self.wanted.core.account.clone().at(block);
        let read_back = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match self.wanted.source.confirm(&account).await {
                    Err(Cause::Read { .. } | Cause::Request { .. }) => {}
                    answer => return answer,
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        // The rest of the time limit, and a little more: it is already included.
        let limit = self.until.saturating_duration_since(Instant::now()) + LAST_WRITE;
        timeout(limit, read_back)
            .await
            .unwrap_or(Err(Cause::NoAnswerInTime { waited: limit }))
    }

    /// Returns the error of a caller whose time limit was exceeded.
    pub(super) fn out_of_time(&mut self) -> Cause {
        let waited = self.wanted.timeout;
        if self.record.is_none()
            && let Some(cause) = self.last_cause.take()
        {
            return cause;
        }
        let Some(record) = &self.record else {
            return if self.turn.is_none() {
                Cause::LaneBusy { waited }
            } else {
                Cause::NotSentInTime { waited }
            };
        };
        match record.outcome() {
            Outcome::Included(included) => Cause::NotDeepInTime {
                included: Box::new(included),
                depth: self.wanted.depth,
                waited,
            },
            Outcome::Void(void) => Cause::Void { void: Box::new(void) },
            Outcome::NeverSent => Cause::NotSentInTime { waited },
            Outcome::Open(Open::NonceUsed { by }) => Cause::NonceUsed { by },
            Outcome::Open(Open::NonceGap { nonce, next, by }) => Cause::NonceGap { nonce, next, by },
            Outcome::Open(Open::NotTaken(reason)) => Cause::NotTaken(reason),
            Outcome::Open(_) => Cause::NotIncludedInTime { waited },
        }
    }

    /// Fails the course: from here on no one waits for the intent.
    pub(super) async fn fail(mut self, cause: Cause) -> OperationError {
        let mut cause = self.already.take().unwrap_or(cause);
        let given_up = self.wanted.core.desk.moment();
        let knows_included = matches!(cause, Cause::NotDeepInTime { .. });
        // Another intent may be taking it along right now.
        let is_known = self.leave_ride().await;
        let _ = timeout(LAST_WRITE, self.take_back()).await;
        let elsewhere = self.find_elsewhere().await;
        let is_written = timeout(
            LAST_WRITE,
            self.change(|record| {
                if knows_included {
                    record.told = true;
                } else {
                    record.given_up.get_or_insert(given_up);
                }
            }),
        )
        .await;
        if self.record.is_some() && !matches!(is_written, Ok(Ok(()))) {
            self.wanted.core.desk.note_dropped(self.id);
        }
        // Another process may have just seen it included: then that is the answer.
        if let Some(Outcome::Included(included)) = self.record.as_ref().map(|record| record.outcome())
            && !matches!(
                cause,
                Cause::NotDeepInTime { .. } | Cause::Reverted { .. } | Cause::AlreadyHappened { .. }
            )
        {
            let told = self.change(|record| {
                record.told = true;
                record.given_up = None;
            });
            let _ = timeout(LAST_WRITE, told).await;
            let included = Box::new(included);
            cause = if included.success {
                Cause::NotDeepInTime {
                    included,
                    depth: self.wanted.depth,
                    waited: self.wanted.timeout,
                }
            } else {
                Cause::Reverted { included }
            };
        }
        let is_told = matches!(cause, Cause::AlreadyHappened { .. });
        let mut error = self.error(cause);
        if error.happened == Happened::No && !is_told {
            error.happened = elsewhere;
        }
        self.release().await;
        // It is unknown whether it was recorded, and another process may have sent it.
        let is_known = is_known && self.writing.is_none();
        if !is_known {
            error.happened = Happened::Unknown;
            error.intent = Some(self.id);
            self.wanted.core.desk.note_dropped(self.id);
        }
        error
    }

    /// An operation whose recording was in progress when the time limit was exceeded has not left the
    /// process. If it is in the journal now, every record that has it is updated to say so, unless another
    /// process holds the lane and may have sent it.
    pub(super) async fn take_back(&mut self) {
        let (Some((hash, ids)), Some(turn)) = (self.writing.clone(), &self.turn) else {
            return;
        };
        let journal = self.wanted.core.desk.journal();
        let mut records = Vec::new();
        for id in ids {
            match journal.intent(id).await {
                Ok(Some(record)) => records.push(record),
                Ok(None) => {}
                Err(_) => return,
            }
        }
        let has_it = |record: &IntentRecord| {
            let mut operations = record.operations.iter();
            operations.any(|operation| operation.signed.hash == hash)
        };
        records.retain(has_it);
        if records.is_empty() {
            self.writing = None;
            return;
        }
        let kept = records.iter().find(|record| record.id == self.id).cloned();
        for operation in records.iter_mut().flat_map(|record| &mut record.operations) {
            if operation.signed.hash == hash && operation.handover == Handover::Written {
                operation.handover = Handover::NeverLeft;
            }
        }
        // If it cannot be taken back, it counts as recorded.
        let written = turn.write(records).await.ok();
        let own = written.and_then(|written| written.into_iter().find(|record| record.id == self.id));
        self.record = own.or(kept).or_else(|| self.record.take());
        self.writing = None;
    }

    /// Looks for effects that this course has not seen: under its name, or as the intent that it continues.
    /// If that is included, its record is used.
    async fn find_elsewhere(&mut self) -> Happened {
        if self.is_fresh || self.record.is_some() {
            return Happened::No;
        }
        let record = match timeout(LAST_WRITE, self.named()).await {
            Ok(Ok(None)) => return Happened::No,
            Ok(Ok(Some(record))) => record,
            _ => return Happened::Unknown,
        };
        // The name belongs to another request: nothing of this one was done.
        if self.wanted.adopts.is_none() && record.request != self.request {
            return Happened::No;
        }
        let outcome = record.outcome();
        if matches!(outcome, Outcome::Included(_)) {
            self.id = record.id;
            self.record = Some(record);
        }
        outcome.happened()
    }

    pub(super) async fn release(&mut self) {
        self.has_ended = true;
        // A write still in progress keeps the lane: dropping the course lets the lease lapse.
        if self.writing.is_none()
            && let Some(turn) = self.turn.take()
        {
            let _ = timeout(LAST_WRITE, turn.release()).await;
        }
    }

    pub(super) fn error(&self, cause: Cause) -> OperationError {
        let happened = match (&cause, &self.record) {
            (Cause::AlreadyHappened { included, .. }, _) if included.success => Happened::Yes,
            (Cause::AlreadyHappened { .. }, _) => Happened::Reverted,
            (_, Some(record)) => record.outcome().happened(),
            (_, None) => Happened::No,
        };
        OperationError {
            cause: Box::new(cause),
            happened,
            intent: self.record.as_ref().map(|record| record.id),
            user_op_hash: self.last_hash(),
        }
    }
}
