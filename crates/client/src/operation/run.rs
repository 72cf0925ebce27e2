//! One intent on its way: its turn in the lane, its operations, and what becomes of them.
//!
//! The rules that this file keeps:
//!
//! - Nothing is signed for a lane but in its turn, and nothing is sent that is not written down.
//! - What is open in the lane is settled before anything new is signed.
//! - The next operation has the lowest unused nonce. An older open operation with that nonce and the new one exclude each other;
//!   both stay in the journal until the chain has decided.
//! - An intent gets an operation with another nonce only when all earlier ones are void or never left the process.

use super::{
    Operation, Progress,
    desk::{Turn, millis},
    error::{Cause, OperationError},
    gas::raised,
    outcome::{Happened, Included, NotTaken, NotTakenReason, Open, Outcome},
    prepare::Reads,
    settle::{SettleError, View},
};
use crate::{
    journal::{
        Handover, IntentId, IntentRecord, JournalError, Lane, Moment, OperationRecord,
    },
    permissions::AaCode,
    submit::Sent,
};
use alloy::{
    eips::BlockId,
    primitives::{B256, U256, aliases::U192},
};
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The first pause between two looks at the chain.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two looks at the chain.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After how long an operation without answer is sent again; then twice as long, and so on.
const RESEND_AFTER: Duration = Duration::from_secs(1);
/// After how long an operation that somebody has in a pool is sent again: pools forget.
const RESEND_TAKEN_AFTER: Duration = Duration::from_secs(10);
/// How often a reading that failed is tried again before anything is signed.
const READ_TRIES: u32 = 4;
/// What writing down an end may take, beyond the caller's time limit.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Carries an operation out, and waits until it is included.
pub(super) async fn run(operation: Operation) -> Result<Included, OperationError> {
    let mut course = Course::new(operation);
    let until = course.until;
    let end = timeout_at(until, async {
        match course.start().await? {
            Some(included) => Ok(included),
            None => course.finish().await,
        }
    })
    .await;
    course.end(end.ok()).await
}

/// Carries an operation out up to handing it over.
pub(super) async fn send(operation: Operation) -> Result<Pending, OperationError> {
    let mut course = Course::new(operation);
    let until = course.until;
    match timeout_at(until, course.start()).await {
        Ok(Ok(included)) => Ok(Pending { course, included }),
        Ok(Err(cause)) => Err(course.fail(cause).await),
        Err(_) => {
            let cause = course.out_of_time();
            Err(course.fail(cause).await)
        }
    }
}

/// An operation that was handed over. Awaiting it waits until it is included; dropping it leaves it open, and gives the lane to
/// the next.
#[derive(Debug)]
#[must_use = "nobody looks what becomes of an operation that is not awaited"]
pub struct Pending {
    course: Course,
    included: Option<Included>,
}

impl Pending {
    /// The hash of the operation that was handed over last.
    pub fn user_op_hash(&self) -> Option<B256> {
        self.course.last_hash()
    }

    /// The intent, as the journal has it.
    pub const fn intent(&self) -> Option<&IntentRecord> {
        self.course.record.as_ref()
    }

    /// Waits until it is included, within what is left of the time limit.
    pub async fn wait(self) -> Result<Included, OperationError> {
        let Self {
            mut course,
            included,
        } = self;
        let until = course.until;
        if let Some(included) = included {
            return course.end(Some(Ok(included))).await;
        }
        let end = timeout_at(until, course.finish()).await;
        course.end(end.ok()).await
    }
}

impl IntoFuture for Pending {
    type Output = Result<Included, OperationError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.wait())
    }
}

/// An intent on its way.
#[derive(Debug)]
struct Course {
    wanted: Operation,
    id: IntentId,
    request: B256,
    lane: Lane,
    asked: Moment,
    /// By the machine's clock, in milliseconds since the Unix epoch.
    deadline: u64,
    until: Instant,
    turn: Option<Turn>,
    /// As the journal has it.
    record: Option<IntentRecord>,
    /// What is being written and may or may not have been.
    writing: Option<IntentRecord>,
    /// Whether an operation was signed in this course.
    has_signed: bool,
    has_ended: bool,
}

impl Drop for Course {
    fn drop(&mut self) {
        let is_open = |record: &IntentRecord| record.given_up.is_none() && !record.told;
        if !self.has_ended && (self.record.as_ref().is_some_and(is_open) || self.writing.is_some()) {
            self.wanted.core.desk.note_dropped(self.id);
        }
    }
}

/// What a look at the chain has shown.
enum Seen {
    Included(Included),
    /// None of the intent's operations can be included any more.
    Void,
    /// It can still happen.
    Open,
}

fn settling_failed(error: SettleError) -> Cause {
    match error {
        SettleError::Request(error) => Cause::Request {
            by: "node".to_owned(),
            error,
        },
        SettleError::Journal(error) => error.into(),
    }
}

impl Course {
    fn new(wanted: Operation) -> Self {
        let desk = &wanted.core.desk;
        Self {
            id: desk.new_intent_id(),
            request: wanted.source.request(),
            lane: wanted.core.lane(wanted.nonce_key),
            asked: desk.moment(),
            deadline: desk.now().saturating_add(millis(wanted.timeout)),
            until: Instant::now() + wanted.timeout.min(Duration::from_secs(86_400 * 365)),
            turn: None,
            record: None,
            writing: None,
            has_signed: false,
            has_ended: false,
            wanted,
        }
    }

    fn last_hash(&self) -> Option<B256> {
        let record = self.record.as_ref()?;
        let last = record
            .operations
            .iter()
            .rfind(|operation| operation.handover.may_have_left())?;
        Some(last.signed.hash)
    }

    // ---- The lane's turn, and names

    /// Takes the lane's turn and carries the operation out, up to handing it over. `Some`: the intent was included before.
    async fn start(&mut self) -> Result<Option<Included>, Cause> {
        if let Some(record) = self.named().await? {
            self.lane = record.lane;
        } else if self.wanted.may_leave_lane().await? {
            // Nobody knows this lane before the operation is public, and nothing in it is in the way.
            let nonce_key = U192::from_be_bytes(self.wanted.core.desk.random::<24>());
            self.lane = self.wanted.core.lane(nonce_key);
        }
        self.take_turn().await?;
        if let Some(included) = self.take_up_named().await? {
            return Ok(Some(included));
        }
        self.sign_and_send().await?;
        Ok(None)
    }

    async fn take_turn(&mut self) -> Result<(), Cause> {
        let desk = self.wanted.core.desk.clone();
        let turn = desk.turn(self.lane, self.until).await;
        self.turn = Some(turn.map_err(|error| *error.into_error(self.wanted.timeout).cause)?);
        Ok(())
    }

    /// The record that the course goes on with: the one that has the intent's name, or that was given.
    async fn named(&self) -> Result<Option<IntentRecord>, Cause> {
        let core = &self.wanted.core;
        let journal = core.desk.journal();
        if let Some((id, _)) = self.wanted.adopts {
            return Ok(journal.intent(id).await?);
        }
        match &self.wanted.name {
            Some(name) => Ok(journal.named(&core.scope(), name).await?),
            None => Ok(None),
        }
    }

    /// Takes up the intent that has the name: its outcome, if it is included; its operations, if it is open.
    async fn take_up_named(&mut self) -> Result<Option<Included>, Cause> {
        let Some(record) = self.named().await? else {
            return Ok(None);
        };
        let core = self.wanted.core.clone();
        core.check_ours(&record)?;
        let view = self.view_patiently().await?;
        let mut records = [record];
        core.settle(&view, &mut records).await.map_err(settling_failed)?;
        let [record] = records;
        let outcome = record.outcome();
        if self.wanted.adopts.is_some() {
            self.request = record.request;
            if let Outcome::Void(void) = outcome {
                return Err(Cause::Void { void: Box::new(void) });
            }
        } else if !record.holds_name() {
            return Ok(None);
        } else if record.request != self.request {
            return Err(Cause::NameTaken {
                name: record.name.unwrap_or_default(),
                intent: record.id,
                outcome: Box::new(outcome),
            });
        }
        self.id = record.id;
        core.desk.forget_dropped(record.id);
        if let Outcome::Included(included) = outcome {
            self.record = Some(record);
            return Ok(Some(included));
        }
        let taken_up = IntentRecord {
            asked: self.asked,
            deadline: self.deadline,
            given_up: None,
            ..record
        };
        self.write(taken_up).await?;
        Ok(None)
    }

    /// Writes the intent's record in the lane's turn.
    async fn write(&mut self, record: IntentRecord) -> Result<(), Cause> {
        let Some(turn) = &self.turn else {
            return Err(JournalError::LeaseLost.into());
        };
        self.writing = Some(record.clone());
        let written = turn.write(record).await;
        if !matches!(written, Err(JournalError::Store { .. })) {
            self.writing = None;
        }
        self.record = Some(written?);
        Ok(())
    }

    // ---- Signing and sending

    /// Signs the intent's next operation, writes it down, and hands it over; or hands over again what is open.
    async fn sign_and_send(&mut self) -> Result<(), Cause> {
        let core = self.wanted.core.clone();
        let mut sign_anew = self.wanted.adopts.is_some_and(|(_, sign_anew)| sign_anew) && !self.has_signed;
        let mut has_waited = false;
        loop {
            let mut reads = self.read_patiently().await?;
            let view = View {
                head: reads.head,
                nonce: reads.nonce,
            };
            let mut others = self.others().await?;
            core.settle(&view, &mut others).await.map_err(settling_failed)?;
            self.settle_own(&view).await?;
            self.check_already_happened().await?;
            let next = self.next_nonce(&view).await?;
            let nonce = self.wanted.nonce.unwrap_or(next);
            if nonce < next && self.record.is_none() {
                return Err(Cause::NonceUsed { by: None });
            }

            if let Some(index) = self.open_operation() {
                let is_next = self.nonce_of(index) == Some(nonce);
                if !is_next || !sign_anew {
                    // One whose nonce is past is settled by looking, not by sending.
                    if self.nonce_of(index).is_some_and(|own| own < nonce) {
                        return Ok(());
                    }
                    match self.hand_over(index).await? {
                        Sent::NotTaken(reason) if is_next && !is_passing(&reason) => sign_anew = true,
                        _ => return Ok(()),
                    }
                    continue;
                }
            }

            // Operations whose callers were given no error keep their nonces: a reorganization has undone them, and they come first.
            if let Some(undone) = undone(&others, nonce) {
                if has_waited {
                    return Err(Cause::BlockedBy { by: undone });
                }
                has_waited = true;
                self.send_others(&mut others, nonce, true).await;
                self.wait_for_others(&others, |operation| operation.nonce() >= nonce).await;
                continue;
            }
            let rivals = rivals(&others, nonce);
            if !has_waited && rivals.iter().any(|rival| is_waiting(&rival.handover)) {
                has_waited = true;
                self.send_others(&mut others, nonce, false).await;
                self.wait_for_others(&others, |operation| operation.nonce() == nonce).await;
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
            let salt = self.wanted.salt();
            let prepared = match self.wanted.prepare(&reads, nonce, least_fees, &salt).await {
                Ok(prepared) => prepared,
                Err(
                    cause @ (Cause::OverBound(_)
                    | Cause::ReplacementUnderpriced { .. }
                    | Cause::GasBudget { .. }
                    | Cause::NotAllowed { .. }),
                ) => {
                    return Err(match rivals.first() {
                        Some(rival) if !least_fees.0.is_zero() => Cause::BlockedBy {
                            by: rival.signed.hash,
                        },
                        _ => cause,
                    });
                }
                Err(cause) => return Err(cause),
            };
            self.wanted
                .report(|| Progress::Built(Box::new(prepared.operation.clone())));
            let signed = self.wanted.signed(prepared.operation).await?;
            let hash = signed.hash;
            if !prepared.is_unique && core.submitter.knows(hash).await.unwrap_or(true) {
                return Err(Cause::NonceUsed { by: Some(hash) });
            }
            let made = view.head_ref();
            let operation = OperationRecord {
                signed,
                made,
                handover: Handover::Written,
                nonce_past: None,
                void: None,
                included: None,
            };
            match self.write_operation(operation).await {
                Ok(()) => {}
                // Somebody else has the lane now, and may have used the nonce.
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

    /// Writes a new operation of the intent down.
    async fn write_operation(&mut self, operation: OperationRecord) -> Result<(), Cause> {
        let signed = operation.signed.clone();
        let record = match &self.record {
            Some(record) => {
                let mut record = record.clone();
                record.operations.push(operation);
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
                operations: vec![operation],
            },
        };
        self.write(record).await?;
        self.has_signed = true;
        self.wanted.report(|| Progress::Signed(Box::new(signed)));
        Ok(())
    }

    /// Hands over an operation that was just written down.
    async fn send_first(&mut self, view: &View) -> Result<(), Cause> {
        let index = self.record.as_ref().map_or(0, |record| record.operations.len()).saturating_sub(1);
        match self.hand_over(index).await? {
            Sent::NeverLeft { error } => Err(Cause::NotReached { error }),
            Sent::NotTaken(reason) if !is_passing(&reason) => {
                // Inclusion itself can be the reason.
                match self.look().await {
                    Ok(Seen::Included(_) | Seen::Void) => Ok(()),
                    Ok(Seen::Open) | Err(_) if self.nonce_of(index) < Some(view.nonce) => Ok(()),
                    Ok(Seen::Open) | Err(_) => Err(Cause::NotTaken(reason)),
                }
            }
            _ => Ok(()),
        }
    }

    /// Hands an operation over, and writes down how that went.
    async fn hand_over(&mut self, index: usize) -> Result<Sent, Cause> {
        let Some(operation) = self
            .record
            .as_ref()
            .and_then(|record| record.operations.get(index))
        else {
            return Err(Cause::NotSentInTime {
                waited: self.wanted.timeout,
            });
        };
        let (signed, before) = (operation.signed.clone(), operation.handover.clone());
        let sent = self.wanted.core.submitter.send(&signed).await;
        let handover = handover_after(before, &sent);
        let hash = signed.hash;
        self.change(|record| {
            if let Some(operation) = record
                .operations
                .iter_mut()
                .find(|operation| operation.signed.hash == hash)
            {
                operation.handover = handover.clone();
            }
        })
        .await?;
        self.wanted.report(|| Progress::Sent(hash));
        Ok(sent)
    }

    /// Changes the intent's record in the journal, whoever has changed it in the meantime.
    async fn change(&mut self, change: impl Fn(&mut IntentRecord)) -> Result<(), Cause> {
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
                    // What is known here is known here all the same.
                    if let Some(record) = &mut self.record {
                        change(record);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// The newest of the intent's open operations that has the lowest nonce.
    fn open_operation(&self) -> Option<usize> {
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

    fn nonce_of(&self, index: usize) -> Option<U256> {
        let operation = self.record.as_ref()?.operations.get(index)?;
        Some(operation.nonce())
    }

    /// The lowest unused nonce: the newest block's, or the one after the highest that this journal knows included, if that is
    /// larger (the node may be behind).
    async fn next_nonce(&self, view: &View) -> Result<U256, Cause> {
        let journal = self.wanted.core.desk.journal();
        let highest = journal.highest_included(&self.lane).await?;
        let after = highest
            .and_then(|record| match record.outcome() {
                Outcome::Included(included) => Some(included.receipt.nonce + U256::ONE),
                _ => None,
            })
            .unwrap_or_default();
        Ok(view.nonce.max(after))
    }

    // ---- Other intents of the lane

    /// The lane's other intents that are not final. Of those that nobody waits for any more, that is written down.
    async fn others(&self) -> Result<Vec<IntentRecord>, Cause> {
        let desk = &self.wanted.core.desk;
        let mut others = desk.journal().unsettled(&self.lane).await?;
        others.retain(|other| other.id != self.id);
        for other in &mut others {
            if other.given_up.is_some() || other.told {
                continue;
            }
            let Some(given_up) = self.left_alone_at(other) else {
                continue;
            };
            other.given_up = Some(given_up);
            if let Ok(written) = desk.journal().put(other.clone(), None).await {
                *other = written;
                desk.forget_dropped(other.id);
            }
        }
        Ok(others)
    }

    /// Since when nobody waits for an intent: its future was dropped, its process is gone, or its time is over.
    fn left_alone_at(&self, other: &IntentRecord) -> Option<Moment> {
        let desk = &self.wanted.core.desk;
        if let Some(dropped) = desk.dropped_at(other.id) {
            return Some(dropped);
        }
        let lapsed = self.turn.as_ref().and_then(|turn| turn.lapsed.as_ref());
        if let Some(lapsed) = lapsed.filter(|lapsed| lapsed.holder == other.asked.process) {
            return Some(Moment {
                // It was last seen when its process extended the lease.
                at: lapsed.until.saturating_sub(millis(super::desk::LEASE)),
                ..other.asked
            });
        }
        let is_over = other.asked.process != desk.process() && desk.now() > other.deadline;
        is_over.then_some(Moment {
            at: other.deadline,
            ..other.asked
        })
    }

    /// Sends others' open operations again, lowest nonce first: those at this nonce or, if `all`, those above it, too.
    async fn send_others(&self, others: &mut [IntentRecord], nonce: U256, all: bool) {
        let core = &self.wanted.core;
        let mut again: Vec<(U256, usize, usize)> = Vec::new();
        for (position, other) in others.iter().enumerate() {
            for (index, operation) in other.operations.iter().enumerate() {
                let is_meant = operation.nonce() == nonce || all && operation.nonce() > nonce;
                if operation.is_open() && is_meant {
                    again.push((operation.nonce(), position, index));
                }
            }
        }
        again.sort_unstable();
        for (_, position, index) in again {
            let other = &mut others[position];
            let operation = &mut other.operations[index];
            let sent = core.submitter.send(&operation.signed).await;
            let handover = handover_after(operation.handover.clone(), &sent);
            if handover == operation.handover {
                continue;
            }
            operation.handover = handover;
            if let Ok(written) = core.desk.journal().put(other.clone(), None).await {
                *other = written;
            }
        }
    }

    /// Waits until none of these operations is on its way any more, for half of the time limit.
    async fn wait_for_others(&self, others: &[IntentRecord], is_meant: impl Fn(&OperationRecord) -> bool) {
        let core = &self.wanted.core;
        let until = self.until.min(Instant::now() + self.wanted.timeout / 2);
        let mut records = others.to_vec();
        let wait = async {
            let mut pause = FIRST_PAUSE;
            loop {
                self.keep_turn().await;
                let is_settled = match core.view(&self.lane).await {
                    Ok(view) => core.settle(&view, &mut records).await.is_ok(),
                    Err(_) => false,
                };
                let is_on_its_way = |operation: &OperationRecord| {
                    is_meant(operation) && is_waiting(&operation.handover)
                };
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

    /// The signer's open operations in all lanes of the account.
    async fn open_everywhere(&self, here: &[IntentRecord]) -> Result<Vec<IntentRecord>, Cause> {
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

    /// An unnamed intent ends here if an equal one, whose caller was given an error before this one was asked for, proves to be
    /// included: the caller most likely asks for the same once more.
    async fn check_already_happened(&self) -> Result<(), Cause> {
        if self.wanted.name.is_some() || self.wanted.adopts.is_some() {
            return Ok(());
        }
        let core = &self.wanted.core;
        let journal = core.desk.journal();
        for mut older in journal.untold(&core.scope(), self.request).await? {
            let is_concerned = older.id != self.id
                && older
                    .given_up
                    .is_some_and(|given_up| self.asked.is_after(&given_up));
            let Outcome::Included(included) = older.outcome() else {
                continue;
            };
            if !is_concerned {
                continue;
            }
            older.told_to = Some(self.id);
            match journal.put(older.clone(), None).await {
                Ok(_) => {
                    return Err(Cause::AlreadyHappened {
                        intent: older.id,
                        included: Box::new(included),
                    });
                }
                // Somebody else was told.
                Err(JournalError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    // ---- Waiting

    /// Waits until the intent is included, as deep as was asked for.
    async fn finish(&mut self) -> Result<Included, Cause> {
        let mut included = loop {
            match self.wait().await? {
                Some(included) => break included,
                // Every operation is void: with another nonce, it is none of them.
                None => {
                    if self.turn.is_none() {
                        self.take_turn().await?;
                    }
                    self.sign_and_send().await?;
                }
            }
        };
        // The lane is free once it is included in the latest block.
        if let Some(turn) = self.turn.take() {
            turn.release().await;
        }
        let mut pause = FIRST_PAUSE;
        while !included.has_depth(self.wanted.depth) {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            match self.look().await {
                Ok(Seen::Included(again)) => included = again,
                // A reorganization has undone it: the very same operation is sent again.
                Ok(Seen::Open) => {
                    if let Some(index) = self.open_operation() {
                        let _ = self.hand_over(index).await;
                    }
                }
                Ok(Seen::Void) => {
                    let Some(Outcome::Void(void)) = self.record.as_ref().map(IntentRecord::outcome) else {
                        continue;
                    };
                    return Err(Cause::Void { void: Box::new(void) });
                }
                Err(_) => {}
            }
        }
        Ok(included)
    }

    /// Waits until the intent is included. `None`: all its operations are void.
    async fn wait(&mut self) -> Result<Option<Included>, Cause> {
        let mut pause = FIRST_PAUSE;
        let mut resend_after = RESEND_AFTER;
        let mut resend_at = Instant::now() + resend_after;
        loop {
            self.keep_turn().await;
            // A node or a journal that fails for a while says nothing about the operation.
            match self.look().await {
                Ok(Seen::Included(included)) => return Ok(Some(included)),
                Ok(Seen::Void) => return Ok(None),
                Ok(Seen::Open) => {}
                Err(cause @ Cause::AlreadyHappened { .. }) => return Err(cause),
                Err(_) => {}
            }
            if Instant::now() >= resend_at
                && let Some(index) = self.open_operation()
            {
                resend_after *= 2;
                resend_at = Instant::now() + resend_after;
                match self.hand_over(index).await {
                    Ok(Sent::NotTaken(reason)) if !is_passing(&reason) => {
                        match self.look().await {
                            Ok(Seen::Included(included)) => return Ok(Some(included)),
                            Ok(Seen::Void) => return Ok(None),
                            // Its nonce is past, or the answer before said otherwise: looking decides.
                            _ if self.is_past_or_waiting() => {}
                            _ => return Err(Cause::NotTaken(reason)),
                        }
                    }
                    Ok(Sent::Taken) => resend_at = Instant::now() + resend_after.max(RESEND_TAKEN_AFTER),
                    _ => {}
                }
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether the newest look left it open for another reason than a refusal.
    fn is_past_or_waiting(&self) -> bool {
        let outcome = self.record.as_ref().map(IntentRecord::outcome);
        !matches!(outcome, Some(Outcome::Open(Open::NotTaken(_))))
    }

    /// Extends the lease. If that fails, another process may take the lane over; looking goes on.
    async fn keep_turn(&self) {
        if let Some(turn) = &self.turn {
            let _ = turn.renew().await;
        }
    }

    /// Looks at the chain, and at what others have written to the journal.
    async fn look(&mut self) -> Result<Seen, Cause> {
        let core = self.wanted.core.clone();
        let view = core.view(&self.lane).await.map_err(|error| Cause::Request {
            by: "node".to_owned(),
            error,
        })?;
        // Another operation with the nonce may be an older intent's.
        let mut others = core.desk.journal().unsettled(&self.lane).await?;
        others.retain(|other| other.id != self.id);
        core.settle(&view, &mut others).await.map_err(settling_failed)?;
        self.settle_own(&view).await?;
        match self.record.as_ref().map(IntentRecord::outcome) {
            Some(Outcome::Included(included)) => {
                self.wanted
                    .report(|| Progress::Included(Box::new(included.clone())));
                return Ok(Seen::Included(included));
            }
            Some(Outcome::Void(_)) => {
                self.check_already_happened().await?;
                return Ok(Seen::Void);
            }
            _ => {}
        }
        self.check_already_happened().await?;
        Ok(Seen::Open)
    }

    /// Settles the intent's own operations, from the journal's newest record.
    async fn settle_own(&mut self, view: &View) -> Result<(), Cause> {
        let Some(known) = &self.record else {
            return Ok(());
        };
        let core = &self.wanted.core;
        // Another process may have settled it.
        let newest = core.desk.journal().intent(known.id).await?;
        let mut records = [newest.unwrap_or_else(|| known.clone())];
        core.settle(view, &mut records).await.map_err(settling_failed)?;
        let [record] = records;
        self.record = Some(record);
        Ok(())
    }

    /// The newest block and the lane's nonce; tried again a few times, since nothing is signed yet.
    async fn view_patiently(&self) -> Result<View, Cause> {
        let mut tries = 0;
        loop {
            match self.wanted.core.view(&self.lane).await {
                Ok(view) => return Ok(view),
                Err(error) if tries + 1 < READ_TRIES && is_worth_another_try(&error) => {}
                Err(error) => {
                    return Err(Cause::Request {
                        by: "node".to_owned(),
                        error,
                    });
                }
            }
            tries += 1;
            sleep(Duration::from_millis(100) * tries).await;
        }
    }

    /// Everything that an operation needs, tried again a few times.
    async fn read_patiently(&self) -> Result<Reads, Cause> {
        let mut tries = 0;
        loop {
            match self.wanted.read(&self.lane).await {
                Ok(reads) => return Ok(reads),
                Err(Cause::Request { error, .. })
                    if tries + 1 < READ_TRIES && is_worth_another_try(&error) => {}
                Err(Cause::Read {
                    is_transient: true, ..
                }) if tries + 1 < READ_TRIES => {}
                Err(cause) => return Err(cause),
            }
            tries += 1;
            sleep(Duration::from_millis(100) * tries).await;
        }
    }

    // ---- The end

    /// Ends the course: `None` if its time was over.
    async fn end(mut self, end: Option<Result<Included, Cause>>) -> Result<Included, OperationError> {
        match end {
            Some(Ok(included)) => {
                let told = self.change(|record| {
                    record.told = true;
                    record.given_up = None;
                });
                // If it is not written down, a later equal intent is told once more.
                let _ = timeout(LAST_WRITE, told).await;
                // What nobody will ask for again can go.
                let pruned = self.wanted.core.desk.journal().prune(&self.lane);
                let _ = timeout(LAST_WRITE, pruned).await;
                self.release().await;
                if included.success {
                    return match self.confirmed(&included).await {
                        Ok(()) => Ok(included),
                        Err(cause) => Err(self.error(cause)),
                    };
                }
                let cause = Cause::Reverted {
                    included: Box::new(included),
                };
                Err(self.error(cause))
            }
            Some(Err(cause)) => Err(self.fail(cause).await),
            None => {
                let cause = self.out_of_time();
                Err(self.fail(cause).await)
            }
        }
    }

    /// Reads back whether the operation did what it should, in the block that includes it.
    async fn confirmed(&self, included: &Included) -> Result<(), Cause> {
        let block = BlockId::hash(included.receipt.block_hash);
        let account = self.wanted.core.account.clone().at(block);
        let mut tries = 0;
        loop {
            match self.wanted.source.confirm(&account).await {
                Err(Cause::Read { .. }) if tries + 1 < READ_TRIES => {}
                answer => return answer,
            }
            tries += 1;
            sleep(Duration::from_millis(100) * tries).await;
        }
    }

    /// The error of a caller whose time is over.
    fn out_of_time(&self) -> Cause {
        let waited = self.wanted.timeout;
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
                waited,
            },
            Outcome::Void(void) => Cause::Void { void: Box::new(void) },
            Outcome::NeverSent => Cause::NotSentInTime { waited },
            Outcome::Open(Open::NonceUsed { by }) => Cause::NonceUsed { by },
            Outcome::Open(Open::NotTaken(reason)) => Cause::NotTaken(reason),
            Outcome::Open(_) => Cause::NotIncludedInTime { waited },
        }
    }

    /// Gives the caller an error: from here on nobody waits for the intent.
    async fn fail(mut self, cause: Cause) -> OperationError {
        let given_up = self.wanted.core.desk.moment();
        let _ = timeout(LAST_WRITE, self.take_back()).await;
        let is_written = timeout(
            LAST_WRITE,
            self.change(|record| {
                record.given_up.get_or_insert(given_up);
            }),
        )
        .await;
        if self.record.is_some() && !matches!(is_written, Ok(Ok(()))) {
            self.wanted.core.desk.note_dropped(self.id);
        }
        self.release().await;
        self.error(cause)
    }

    /// An operation that was being written down when the time was over has not left the process. If it is in the journal now,
    /// that is said there.
    async fn take_back(&mut self) {
        let Some(writing) = self.writing.clone() else {
            return;
        };
        let journal = self.wanted.core.desk.journal().clone();
        let Ok(found) = journal.intent(writing.id).await else {
            return;
        };
        self.writing = None;
        let Some(found) = found else {
            return;
        };
        self.record = Some(found);
        let hash = writing.operations.last().map(|operation| operation.signed.hash);
        let taken_back = self.change(|record| {
            for operation in &mut record.operations {
                if Some(operation.signed.hash) == hash && operation.handover == Handover::Written {
                    operation.handover = Handover::NeverLeft;
                }
            }
        });
        let _ = taken_back.await;
    }

    async fn release(&mut self) {
        self.has_ended = true;
        if let Some(turn) = self.turn.take() {
            let _ = timeout(LAST_WRITE, turn.release()).await;
        }
    }

    fn error(&self, cause: Cause) -> OperationError {
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

/// How far an operation came, after it was handed over once more.
pub(super) fn handover_after(before: Handover, sent: &Sent) -> Handover {
    match sent {
        Sent::Taken => Handover::InPool,
        // What may have left before may still be out there.
        Sent::NeverLeft { .. } => match before {
            Handover::Written => Handover::NeverLeft,
            before => before,
        },
        Sent::NoAnswer { .. } => match before {
            Handover::InPool => Handover::InPool,
            _ => Handover::NoAnswer,
        },
        Sent::NotTaken(reason) => match before {
            // A refusal of what was taken before can have its cause in that.
            Handover::InPool | Handover::NoAnswer if can_come_from_inclusion(reason) => before,
            _ => Handover::NotTaken(reason.clone()),
        },
    }
}

/// Whether an operation's own inclusion, or its being on the way, can be why it is not taken once more.
fn can_come_from_inclusion(reason: &NotTaken) -> bool {
    match &reason.reason {
        NotTakenReason::Refused(refusal) => matches!(
            refusal.code,
            Some(
                AaCode::InvalidNonce
                    | AaCode::SenderAlreadyConstructed
                    | AaCode::PrefundNotPaid
                    | AaCode::ExpiredOrNotDue
                    | AaCode::AccountReverted
            )
        ),
        NotTakenReason::ReplacementUnderpriced | NotTakenReason::Funds | NotTakenReason::NonceAhead => true,
        NotTakenReason::Other => true,
        _ => false,
    }
}

/// Whether waiting alone may make the other side take it.
pub(super) fn is_passing(reason: &NotTaken) -> bool {
    match &reason.reason {
        NotTakenReason::NonceAhead | NotTakenReason::RateLimited { .. } => true,
        NotTakenReason::Refused(refusal) => refusal.code == Some(AaCode::InvalidNonce),
        _ => false,
    }
}

/// Whether an operation is in a pool, or nobody said what became of it.
const fn is_waiting(handover: &Handover) -> bool {
    matches!(handover, Handover::Written | Handover::NoAnswer | Handover::InPool)
}

fn is_worth_another_try(error: &crate::request::RequestError) -> bool {
    // A node behind a balancer may not know the block that another one told of.
    error.is_transient() || error.answer().is_some_and(|answer| answer.revert().is_none())
}

/// Open operations of other intents at a nonce.
fn rivals(others: &[IntentRecord], nonce: U256) -> Vec<&OperationRecord> {
    others
        .iter()
        .flat_map(IntentRecord::open_operations)
        .filter(|operation| operation.nonce() == nonce)
        .collect()
}

/// An open operation at this nonce or above whose caller was given no error: the caller knows it included, or waits until its
/// block lies deep, and the chain does not include it any more.
fn undone(others: &[IntentRecord], nonce: U256) -> Option<B256> {
    others
        .iter()
        .filter(|other| other.given_up.is_none())
        .flat_map(IntentRecord::open_operations)
        .find(|operation| operation.nonce() >= nonce)
        .map(|operation| operation.signed.hash)
}
