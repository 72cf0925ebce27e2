//! Signs an intent's next operation, and hands it over.

use super::{
    Course, FIRST_PAUSE, LONGEST_PAUSE, Seen,
    handover::{handover_after, is_waiting},
    others::{rivals, undone},
    settling_failed,
};
use crate::{
    journal::{Handover, IntentRecord, JournalError, OperationRecord},
    operation::{
        Included, NotTaken, NotTakenReason, Progress, error::Cause, final_depth, gas::raised,
        outcome::Outcome, settle::View,
    },
    permissions::AaCode,
    request::RequestError,
    submit::Sent,
};
use alloy::primitives::{B256, U256, aliases::U192};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a node may stand still below a block that the journal knows, before it is taken for one that will
/// not get there.
const STANDSTILL: Duration = Duration::from_secs(30);

impl Course {
    /// Signs the intent's next operation, records it and hands it over; or hands over an open one again.
    pub(super) async fn sign_and_send(&mut self) -> Result<(), Cause> {
        // Another intent may have taken it along before it was interrupted.
        if self.record.is_none() && self.wanted.shares.is_some() {
            self.record = self.wanted.core.desk.journal().intent(self.id).await?;
        }
        self.take_along().await;
        let sent = Box::pin(self.sign_and_send_together()).await;
        // Riders that were not taken along wait again.
        self.carried = None;
        sent
    }

    async fn sign_and_send_together(&mut self) -> Result<(), Cause> {
        let core = self.wanted.core.clone();
        let mut sign_anew = self.wanted.adopts.is_some_and(|(_, sign_anew)| sign_anew) && !self.has_signed;
        let mut has_waited = false;
        let mut waited_for = None;
        let mut pause = FIRST_PAUSE;
        let mut behind = None;
        let unseen_until = Instant::now() + self.wanted.timeout / 2;
        loop {
            let mut others = self.others().await?;
            self.leave_out_gone();
            let together = self.together();
            let (reads, seen) = tokio::join!(self.read_of_today(&together), core.look_ahead(&others));
            let mut reads = reads?;
            let view = View {
                head: reads.head,
                nonce: reads.nonce,
            };
            core.settle_with(&view, &mut others, &seen)
                .await
                .map_err(settling_failed)?;
            self.settle_own(&view).await?;
            match self.record.as_ref().map(IntentRecord::outcome) {
                // It was included before anything new was signed: waiting will report it.
                Some(Outcome::Included(_)) if !self.signs_after_revert => return Ok(()),
                Some(Outcome::Void(_)) if self.is_sent_as_it_is() => return Ok(()),
                Some(Outcome::Open(_)) => {}
                _ => {
                    self.give_up_equals_of_gone(&mut others).await?;
                    self.check_already_happened().await?;
                }
            }
            let (next, last) = self.next_nonce(&view).await?;
            if let Some(last) = last.filter(|_| next > view.nonce) {
                self.check_not_behind(&view, next, &last, &mut behind).await?;
            }
            // A reorganization has undone an operation since the others were read: what was read says that it
            // is in nobody's way.
            let is_undone =
                |operation: &OperationRecord| operation.included.is_some() && operation.nonce() >= next;
            if others.iter().any(|other| other.operations.iter().any(is_undone)) {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
            // A resumed intent keeps its lane, whatever nonce the caller gives.
            let given = self
                .wanted
                .nonce
                .filter(|nonce| U192::from(*nonce >> 64) == self.lane.nonce_key);
            let nonce = given.unwrap_or(next);
            if nonce < next && self.open_operation().is_none() {
                return Err(Cause::NonceUsed { by: None });
            }
            // An earlier equal intent may have used the last nonce: that must be seen first.
            if self.wanted.name.is_none() && self.record.is_none() && self.has_unseen_equal(&others, next) {
                if Instant::now() >= unseen_until {
                    return Err(Cause::NonceUsed { by: None });
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }

            if let Some(index) = self.open_operation() {
                let is_next = self.nonce_of(index) == Some(nonce);
                if !is_next || !sign_anew {
                    // An operation whose nonce is past is settled by looking, not by sending.
                    if self.nonce_of(index).is_some_and(|own| own < nonce) {
                        return Ok(());
                    }
                    match self.hand_over(index).await? {
                        Sent::NotTaken(reason)
                            if is_next && !reason.is_passing() && !self.is_in_its_own_way(index, &reason) =>
                        {
                            if self.is_sent_as_it_is() {
                                return self.check_decided(reason).await;
                            }
                            sign_anew = true;
                        }
                        _ => return Ok(()),
                    }
                    continue;
                }
            }

            // Operations whose callers got no error keep their nonces: a reorganization has undone them, and
            // they come first.
            if let Some((lowest, undone)) = undone(&others, nonce) {
                // Each is waited for once: some bundlers accept only the next one.
                if waited_for != Some(undone) {
                    waited_for = Some(undone);
                    self.send_others(&mut others, |other| other >= nonce).await;
                    self.wait_for_others(&others, |operation| operation.nonce() == lowest)
                        .await;
                    continue;
                }
                if lowest == nonce {
                    return Err(Cause::BlockedBy { by: undone });
                }
                // It waits above a gap, or above an operation that no one accepts: this one takes none of its
                // nonces, and lets it pass.
                has_waited = true;
            }
            let rivals = rivals(&others, nonce);
            if !has_waited && rivals.iter().any(|rival| is_waiting(&rival.handover)) {
                has_waited = true;
                self.send_others(&mut others, |other| other == nonce).await;
                self.wait_for_others(&others, |operation| operation.nonce() == nonce)
                    .await;
                continue;
            }

            let own = self.record.iter().flat_map(IntentRecord::open_operations);
            let least_fees = rivals
                .iter()
                .copied()
                .chain(own.filter(|operation| operation.nonce() == nonce))
                .fold((U256::ZERO, U256::ZERO), |(fee, priority_fee), rival| {
                    let operation = &rival.signed.operation;
                    (
                        fee.max(raised(operation.max_fee_per_gas)),
                        priority_fee.max(raised(operation.max_priority_fee_per_gas)),
                    )
                });
            let open = self.open_everywhere(&others).await?;
            self.wanted.reserve(&mut reads, &self.lane, nonce, &open);
            self.wanted.judge_calls(&reads)?;
            let mut together = self.together();
            if self.carries() {
                self.leave_out(&reads, &others).await;
                together = self.together();
                reads.call_data = together.source.call_data(&core.account, &core.desk).await?;
            }
            let salt = self.wanted.salt();
            let prepared = match Box::pin(together.prepare(&reads, nonce, least_fees, &salt)).await {
                Ok(prepared) => prepared,
                // The combined calls may fail where this one alone does not.
                Err(_) if self.carries() => {
                    self.carried = None;
                    continue;
                }
                Err(
                    cause @ (Cause::OverBound(_)
                    | Cause::ReplacementUnderpriced { .. }
                    | Cause::GasBudget { .. }
                    | Cause::NotAllowed { .. }),
                ) => {
                    let Some(rival) = rivals.first() else {
                        return Err(cause);
                    };
                    // The rival blocks only if outbidding its fees makes this one too expensive.
                    let free = Box::pin(together.prepare(&reads, nonce, (U256::ZERO, U256::ZERO), &salt));
                    return Err(match (cause, free.await) {
                        (_, Ok(_)) | (Cause::ReplacementUnderpriced { .. }, _) => Cause::BlockedBy {
                            by: rival.signed.hash,
                        },
                        (_, Err(cause)) => cause,
                    });
                }
                // The bundler does not know the earlier nonces yet, or has another operation with this one.
                Err(Cause::Refused(refusal)) if refusal.code == Some(AaCode::InvalidNonce) => {
                    self.last_cause = Some(Cause::Refused(refusal));
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(cause) => return Err(cause),
            };
            self.last_cause = None;
            self.wanted
                .report(|| Progress::Built(Box::new(prepared.operation.clone())));
            let signed = self.wanted.signed(prepared.operation).await?;
            let hash = signed.hash;
            if !prepared.is_unique {
                match core.submitter.knows(hash).await {
                    Ok(false) => {}
                    Ok(true) => return Err(Cause::NonceUsed { by: Some(hash) }),
                    // Without an answer, it could be another process's.
                    Err(error) => {
                        return Err(Cause::Request {
                            by: "bundler".to_owned(),
                            error,
                        });
                    }
                }
            }
            // The one rule that must hold whatever came before.
            if self
                .record
                .as_ref()
                .is_some_and(|record| !record.can_be_signed_with(nonce))
            {
                return Ok(());
            }
            let made = view.head_ref();
            let doubt = prepared.verdict.filter(|verdict| !verdict.is_accepted());
            let operation = OperationRecord {
                signed,
                made,
                doubt,
                handover: Handover::Written,
                nonce_past: None,
                nonce_gap: None,
                void: None,
                included: None,
            };
            // The operation would do what no one waits for any more.
            if self.leave_out_gone() {
                continue;
            }
            match self.write_operation(operation).await {
                Ok(()) => {}
                // Another intent's record cannot be written.
                Err(Cause::Journal(JournalError::NameTaken { .. } | JournalError::Conflict { .. }))
                    if self.carries() =>
                {
                    self.carried = None;
                    continue;
                }
                // Another process holds the lane now, and may have used the nonce.
                Err(Cause::Journal(JournalError::LeaseLost)) => {
                    self.turn = None;
                    self.take_turn().await?;
                    continue;
                }
                Err(cause) => return Err(cause),
            }
            return self.send_first(&view).await;
        }
    }

    /// Records a new operation of the intent.
    pub(super) async fn write_operation(&mut self, operation: OperationRecord) -> Result<(), Cause> {
        let signed = operation.signed.clone();
        let record = match &self.record {
            Some(record) => {
                let mut record = record.clone();
                record.operations.push(operation.clone());
                record
            }
            None => IntentRecord {
                id: self.id,
                version: 0,
                lane: self.lane,
                signer: self.wanted.core.signer.address(),
                name: self.wanted.name.clone(),
                request: self.request,
                grants_to: self.wanted.source.grants_to(),
                asked: self.asked,
                deadline: self.deadline,
                given_up: None,
                told: false,
                told_to: None,
                operations: vec![operation.clone()],
            },
        };
        let riders = self.records_of_riders(&operation);
        let riders = self.write_all(record, riders, Some(signed.hash)).await?;
        // No await in between: every recorded rider is informed.
        self.seat(riders);
        self.has_signed = true;
        self.wanted.report(|| Progress::Signed(Box::new(signed)));
        Ok(())
    }

    /// Hands over an operation that was just recorded.
    pub(super) async fn send_first(&mut self, view: &View) -> Result<(), Cause> {
        let index = self
            .record
            .as_ref()
            .map_or(0, |record| record.operations.len())
            .saturating_sub(1);
        match self.hand_over_first(index).await? {
            Sent::NeverLeft { error } => Err(Cause::NotReached { error }),
            Sent::NotTaken(reason) if !reason.is_passing() => {
                // The inclusion itself may be the reason.
                match self.look().await {
                    Ok(Seen::Included(_) | Seen::Void) => Ok(()),
                    Err(cause @ Cause::AlreadyHappened { .. }) => Err(cause),
                    Ok(Seen::Open) | Err(_) if self.nonce_of(index) < Some(view.nonce) => Ok(()),
                    Ok(Seen::Open) | Err(_) => Err(Cause::NotTaken(reason)),
                }
            }
            _ => Ok(()),
        }
    }

    /// Hands an operation over, and records the result.
    pub(super) async fn hand_over(&mut self, index: usize) -> Result<Sent, Cause> {
        let Some(operation) = self
            .record
            .as_ref()
            .and_then(|record| record.operations.get(index))
        else {
            return Err(Cause::NotSentInTime {
                waited: self.wanted.timeout,
            });
        };
        let signed = operation.signed.clone();
        let sent = self.wanted.core.hand_over(&signed).await;
        let hash = signed.hash;
        self.note_sent(hash, &sent).await?;
        self.wanted.report(|| Progress::Sent(hash));
        Ok(sent)
    }

    /// Hands over an operation that this course has just recorded. Only at this point can it be known that it
    /// never left.
    async fn hand_over_first(&mut self, index: usize) -> Result<Sent, Cause> {
        let Some(operation) = self
            .record
            .as_ref()
            .and_then(|record| record.operations.get(index))
        else {
            return self.hand_over(index).await;
        };
        let signed = operation.signed.clone();
        let sent = self.wanted.core.hand_over(&signed).await;
        let hash = signed.hash;
        let never_left = matches!(sent, Sent::NeverLeft { .. }) && !self.is_shared;
        if !never_left || !self.note_never_left(hash).await {
            self.note_sent(hash, &sent).await?;
        }
        self.wanted.report(|| Progress::Sent(hash));
        Ok(sent)
    }

    /// Records, under the lease, that an operation never left. False: another process may have sent it.
    async fn note_never_left(&mut self, hash: B256) -> bool {
        let (Some(turn), Some(mut record)) = (&self.turn, self.record.clone()) else {
            return false;
        };
        for operation in &mut record.operations {
            if operation.signed.hash == hash {
                operation.handover = handover_after(operation.handover.clone(), &never_left(), true);
            }
        }
        match turn.write(vec![record]).await {
            Ok(mut written) => {
                self.record = written.pop().or_else(|| self.record.take());
                true
            }
            Err(_) => false,
        }
    }

    /// Records the result of the hand-over, on top of what others have written.
    async fn note_sent(&mut self, hash: B256, sent: &Sent) -> Result<(), Cause> {
        self.change(|record| {
            for operation in &mut record.operations {
                if operation.signed.hash == hash {
                    operation.handover = handover_after(operation.handover.clone(), sent, false);
                }
            }
        })
        .await
    }

    /// Changes the intent's record in the journal, retrying if it has changed meanwhile.
    pub(super) async fn change(&mut self, change: impl Fn(&mut IntentRecord)) -> Result<(), Cause> {
        let journal = self.wanted.core.desk.journal().clone();
        loop {
            let Some(mut record) = self.record.clone() else {
                return Ok(());
            };
            change(&mut record);
            match journal.put(record, None).await {
                Ok(written) => {
                    self.record = Some(written);
                    return Ok(());
                }
                Err(JournalError::Conflict { id }) => match journal.intent(id).await? {
                    Some(theirs) => self.record = Some(theirs),
                    None => return Ok(()),
                },
                Err(error) => {
                    // This course keeps what it knows in any case.
                    if let Some(record) = &mut self.record {
                        change(record);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Returns the newest of the intent's open operations with the lowest nonce.
    pub(super) fn open_operation(&self) -> Option<usize> {
        let record = self.record.as_ref()?;
        let open = || {
            record
                .operations
                .iter()
                .enumerate()
                .filter(|(_, operation)| operation.is_open())
        };
        let lowest = open().map(|(_, operation)| operation.nonce()).min()?;
        open()
            .rfind(|(_, operation)| operation.nonce() == lowest)
            .map(|(index, _)| index)
    }

    /// Whether the caller wants exactly the kept operation to be sent.
    pub(super) const fn is_sent_as_it_is(&self) -> bool {
        matches!(self.wanted.adopts, Some((_, false)))
    }

    /// A refusal of the kept operation is the answer, unless the chain has decided.
    async fn check_decided(&mut self, reason: NotTaken) -> Result<(), Cause> {
        match self.look().await {
            Ok(Seen::Included(_) | Seen::Void) => Ok(()),
            _ => Err(Cause::NotTaken(reason)),
        }
    }

    /// Whether the operation may itself be the one it is told to replace: some bundlers answer that about one
    /// already in their pool.
    fn is_in_its_own_way(&self, index: usize, reason: &NotTaken) -> bool {
        let record = self.record.as_ref();
        let operation = record.and_then(|record| record.operations.get(index));
        reason.reason == NotTakenReason::ReplacementUnderpriced
            && operation.is_some_and(|operation| is_waiting(&operation.handover))
    }

    pub(super) fn nonce_of(&self, index: usize) -> Option<U256> {
        let operation = self.record.as_ref()?.operations.get(index)?;
        Some(operation.nonce())
    }

    /// Returns the lowest unused nonce: the latest block's, or the one after the highest that this journal
    /// knows as included, if that is larger (the node may lag); and the latter's inclusion.
    pub(super) async fn next_nonce(&self, view: &View) -> Result<(U256, Option<Included>), Cause> {
        let journal = self.wanted.core.desk.journal();
        let highest = journal.highest_included(&self.lane).await?;
        let last = highest.and_then(|record| match record.outcome() {
            Outcome::Included(included) => Some(included),
            _ => None,
        });
        let after = last
            .as_ref()
            .map(|included| included.receipt.nonce.saturating_add(U256::ONE))
            .unwrap_or_default();
        Ok((view.nonce.max(after), last))
    }

    /// Looks whether the node will ever know what the journal knows.
    pub(super) async fn check_not_far_behind(&self, since: &mut Option<(u64, Instant)>) -> Result<(), Cause> {
        let Ok(view) = self.wanted.core.view(&self.lane).await else {
            return Ok(());
        };
        match self.next_nonce(&view).await {
            Ok((next, Some(last))) if next > view.nonce => {
                self.check_not_behind(&view, next, &last, since).await
            }
            _ => Ok(()),
        }
    }

    /// The journal knows the lane's next nonce as used. A node that lags will know it soon: one that is far
    /// behind, stands still, or has another block in its place will not.
    async fn check_not_behind(
        &self,
        view: &View,
        next: U256,
        last: &Included,
        since: &mut Option<(u64, Instant)>,
    ) -> Result<(), Cause> {
        let (head, block) = (view.head.number, last.block());
        let core = &self.wanted.core;
        let is_behind = if head < block.number {
            let (seen, at) = *since.get_or_insert_with(|| (head, Instant::now()));
            if seen != head {
                *since = Some((head, Instant::now()));
            }
            let is_still = seen == head && at.elapsed() >= STANDSTILL;
            is_still || block.number - head > final_depth(core.chain_id())
        } else {
            let found = core.node.header(block.number.into()).await;
            last.is_final && matches!(found, Ok(Some(found)) if found.hash != block.hash)
        };
        if is_behind {
            Err(Cause::NodeBehind {
                journal_next: next,
                node_next: view.nonce,
                block,
                head,
            })
        } else {
            Ok(())
        }
    }
}

/// A result for an operation that never left.
const fn never_left() -> Sent {
    Sent::NeverLeft {
        error: RequestError::NotReached {
            message: String::new(),
        },
    }
}
