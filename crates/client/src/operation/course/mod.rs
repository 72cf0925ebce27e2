//! One intent's course: its turn in the lane, its operations, and their outcome.
//!
//! Invariants of this module:
//!
//! - Nothing is signed for a lane outside its turn, and nothing is sent that is not recorded.
//! - What is open in the lane is settled before anything new is signed.
//! - The next operation has the lowest unused nonce. It and an older open operation with that nonce exclude
//!   each other; both stay in the journal until the chain has decided.
//! - An intent gets an operation with another nonce only if all earlier ones are void or never left the
//!   process.

mod end;
mod handover;
mod others;
mod ride;
mod sign;
mod watch;

pub(super) use handover::handover_after;

use super::{
    Operation,
    desk::{Turn, millis},
    error::{Cause, OperationError},
    outcome::{Included, Outcome},
    settle::SettleError,
    share::Carried,
};
use crate::journal::{IntentId, IntentRecord, JournalError, Lane, Moment};
use alloy::primitives::{B256, aliases::U192};
use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// The first pause between two looks at the chain.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two looks at the chain.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// When an unanswered operation is sent again; the interval then doubles each time.
const RESEND_AFTER: Duration = Duration::from_secs(1);
/// When an operation confirmed to be in a pool is sent again: pools forget.
const RESEND_TAKEN_AFTER: Duration = Duration::from_secs(10);
/// How many times a failed read is retried before anything is signed.
const READ_TRIES: u32 = 4;
/// How many times equal intents are checked again because their records changed meanwhile.
const ALREADY_TRIES: u32 = 4;
/// The maximum time limit.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400 * 365);
/// The time allowed for recording an end, beyond the caller's time limit.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// Executes an operation, and waits until it is included.
#[tracing::instrument(level = "debug", skip_all, fields(account = %operation.core.account.address()))]
pub(super) async fn run(operation: Operation) -> Result<Included, OperationError> {
    let mut course = Course::new(operation);
    let until = course.until;
    let end = timeout_at(until, async {
        // The parts are large: boxing each keeps the stack small.
        let included = Box::pin(course.start()).await?;
        Box::pin(course.finish(included)).await
    })
    .await;
    course.end(end.ok()).await
}

/// Executes an operation up to handing it over.
#[tracing::instrument(level = "debug", skip_all, fields(account = %operation.core.account.address()))]
pub(super) async fn send(operation: Operation) -> Result<Pending, OperationError> {
    let mut course = Course::new(operation);
    let until = course.until;
    match timeout_at(until, Box::pin(course.start())).await {
        Ok(Ok(included)) => Ok(Pending { course, included }),
        Ok(Err(cause)) => Err(course.fail(cause).await),
        Err(_) => {
            let cause = course.out_of_time();
            Err(course.fail(cause).await)
        }
    }
}

/// An operation that was handed over. Awaiting it waits until it is included; dropping it leaves it open, and
/// releases the lane.
#[derive(Debug)]
#[must_use = "nobody looks what becomes of an operation that is not awaited"]
pub struct Pending {
    course: Course,
    included: Option<Included>,
}

impl Pending {
    /// Returns the hash of the operation handed over last.
    pub fn user_op_hash(&self) -> Option<B256> {
        self.course.last_hash()
    }

    /// Returns the intent's record in the journal.
    pub const fn intent(&self) -> Option<&IntentRecord> {
        self.course.record.as_ref()
    }

    /// Waits until it is included, within the rest of the time limit.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.course.wanted.core.account.address()))]
    pub async fn wait(self) -> Result<Included, OperationError> {
        let Self { mut course, included } = self;
        let until = course.until;
        let end = timeout_at(until, Box::pin(course.finish(included))).await;
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

/// An intent's course.
#[derive(Debug)]
struct Course {
    wanted: Operation,
    id: IntentId,
    request: B256,
    lane: Lane,
    asked: Moment,
    /// By the system clock, in milliseconds since the Unix epoch.
    deadline: u64,
    until: Instant,
    /// Intents that ride along. They wait again before the turn is released.
    carried: Option<Carried>,
    turn: Option<Turn>,
    /// Shows other processes that someone waits, after the turn was released.
    presence: Option<Arc<Turn>>,
    /// The record in the journal.
    record: Option<IntentRecord>,
    /// An operation being recorded, which may or may not have been. It has not left the process.
    writing: Option<(B256, Vec<IntentId>)>,
    /// Whether it cannot have been done under its name, or as the intent that it continues: there is none, or
    /// it was looked up in the lane's turn.
    is_fresh: bool,
    /// Equal intents that the journal had at the time of the request, and whether their callers had got
    /// errors.
    equals: BTreeMap<IntentId, bool>,
    /// What happened in its place, once found: its caller is told, whether or not it can be recorded.
    already: Option<Cause>,
    /// Delivers the record if another intent takes this one along.
    seat: Option<oneshot::Receiver<IntentRecord>>,
    /// Whether its operation carries other intents, or is another's that carries it.
    is_shared: bool,
    /// Whether it is sent alone, after a shared operation that reverted.
    signs_after_revert: bool,
    /// What has prevented signing so far.
    last_cause: Option<Cause>,
    /// Whether this course has signed an operation.
    has_signed: bool,
    has_ended: bool,
}

impl Drop for Course {
    fn drop(&mut self) {
        let is_open = |record: &IntentRecord| record.given_up.is_none() && !record.told;
        if !self.has_ended && (self.record.as_ref().is_some_and(is_open) || self.writing.is_some()) {
            self.wanted.core.desk.note_dropped(self.id);
        }
        // No one may sign for the lane before an operation being recorded is visible.
        if self.writing.is_some()
            && let Some(turn) = self.turn.take()
        {
            turn.abandon();
        }
    }
}

/// The result of a look at the chain.
enum Seen {
    Included(Included),
    /// None of the intent's operations can be included any more.
    Void,
    /// It can still be included.
    Open,
}

fn settling_failed(error: SettleError) -> Cause {
    match error {
        SettleError::Request(error) => Cause::Request {
            by: "node".to_owned(),
            error,
        },
        SettleError::Journal(error) => error.into(),
        SettleError::WrongChain { expected, found } => Cause::WrongChain { expected, found },
    }
}

impl Course {
    fn new(mut wanted: Operation) -> Self {
        // A year is as good as forever, and cannot overflow.
        wanted.timeout = wanted.timeout.min(LONGEST_TIMEOUT);
        let desk = &wanted.core.desk;
        Self {
            id: wanted.intent.unwrap_or_else(|| desk.new_intent_id()),
            request: wanted.source.request(),
            lane: wanted.core.lane(wanted.nonce_key),
            asked: desk.moment(),
            deadline: desk.now().saturating_add(millis(wanted.timeout)),
            until: Instant::now() + wanted.timeout,
            turn: None,
            presence: None,
            record: None,
            writing: None,
            is_fresh: wanted.name.is_none() && wanted.adopts.is_none(),
            equals: BTreeMap::new(),
            already: None,
            carried: None,
            seat: None,
            is_shared: false,
            signs_after_revert: false,
            last_cause: None,
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

    /// Takes the lane's turn and executes the operation, up to handing it over. `Some`: the intent was
    /// already included.
    async fn start(&mut self) -> Result<Option<Included>, Cause> {
        self.check_history_patiently().await?;
        self.note_equals().await?;
        if let Some(record) = self.named().await? {
            self.lane = record.lane;
            if let Some(included) = self.was_included(record).await? {
                return Ok(Some(included));
            }
        } else if self.wanted.may_leave_lane().await? {
            // No one knows this lane before the operation is public, and nothing in it can block.
            let core = &self.wanted.core;
            let lane = U192::from_be_bytes(core.desk.random::<24>());
            self.lane = core.lane(core.account.generation().owner_nonce_key(lane));
        }
        if self.ride().await? {
            return Ok(None);
        }
        if let Some(included) = self.take_up_named().await? {
            return Ok(Some(included));
        }
        self.is_fresh = true;
        self.sign_and_send().await?;
        Ok(None)
    }

    async fn take_turn(&mut self) -> Result<(), Cause> {
        let desk = self.wanted.core.desk.clone();
        let turn = desk.turn(self.lane, self.until).await;
        self.turn = Some(turn.map_err(|error| *error.into_error(self.wanted.timeout).cause)?);
        Ok(())
    }

    /// Releases the lane, and keeps waiting.
    async fn leave_turn(&mut self) {
        if self.presence.is_none() {
            self.presence = self.wanted.core.desk.presence(self.lane).await;
        }
        if let Some(turn) = self.turn.take() {
            turn.release().await;
        }
    }

    /// Returns the record to continue with: the one with the intent's name, or the given one.
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

    /// Returns the outcome of the intent with the name if it is included: that needs no turn in the lane,
    /// which may still be held by a process that was killed.
    async fn was_included(&mut self, record: IntentRecord) -> Result<Option<Included>, Cause> {
        let core = self.wanted.core.clone();
        core.check_ours(&record)?;
        if self.wanted.adopts.is_some() || !record.holds_name() || record.request != self.request {
            return Ok(None);
        }
        let view = self.view_patiently().await?;
        let mut records = [record];
        core.settle(&view, &mut records).await.map_err(settling_failed)?;
        let [record] = records;
        let Outcome::Included(included) = record.outcome() else {
            return Ok(None);
        };
        self.id = record.id;
        core.desk.forget_dropped(record.id);
        self.record = Some(record);
        Ok(Some(included))
    }

    /// Resumes the intent with the name: returns its outcome if it is included, and continues its operations
    /// if it is open.
    async fn take_up_named(&mut self) -> Result<Option<Included>, Cause> {
        let Some(record) = self.named().await? else {
            return Ok(None);
        };
        // Another client has used the name in another lane since it was looked up.
        if record.lane != self.lane {
            self.lane = record.lane;
            self.turn = None;
            self.take_turn().await?;
            return Box::pin(self.take_up_named()).await;
        }
        let core = self.wanted.core.clone();
        core.check_ours(&record)?;
        let view = self.view_patiently().await?;
        let mut records = [record];
        core.settle(&view, &mut records).await.map_err(settling_failed)?;
        let [record] = records;
        let outcome = record.outcome();
        if self.wanted.adopts.is_some() {
            self.request = record.request;
            match outcome {
                Outcome::Void(void) => return Err(Cause::Void { void: Box::new(void) }),
                Outcome::NeverSent => return Err(Cause::NeverSent),
                _ => {}
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
        self.write_all(record, Vec::new(), None).await.map(drop)
    }

    /// Writes the intent's record and others' in the lane's turn, all or none. Returns the others'.
    async fn write_all(
        &mut self,
        record: IntentRecord,
        mut others: Vec<IntentRecord>,
        added: Option<B256>,
    ) -> Result<Vec<IntentRecord>, Cause> {
        let Some(turn) = &self.turn else {
            return Err(JournalError::LeaseLost.into());
        };
        others.push(record);
        self.writing = added.map(|hash| (hash, others.iter().map(|record| record.id).collect()));
        let written = turn.write(others).await;
        if !matches!(written, Err(JournalError::Store { .. })) {
            self.writing = None;
        }
        let mut written = written?;
        self.record = written.pop();
        Ok(written)
    }
}
