//! Callers: what they want done once, how they ask, and what they make of the answers.

mod by_agent;
mod transact;

pub(crate) use transact::KeptTransaction;

use crate::{
    ledger::Check,
    net::Purpose,
    plan::{DepthPlan, Follow, ProcessPlan, Role, Style, Via, What, WishPlan},
    prepared::{FICKLE, KeyKind, NATIVE_BUDGET, key, new_key},
    spot::{Actor, Step},
    world::{World, short},
};
use alloy::{
    primitives::{Address, B256, Bytes, U256, aliases::U192},
    sol_types::SolCall,
};
use session_key_agent::{Agent, AgentError};
use session_key_client::{
    Call, NewSessionKey, Operation, OperationError, OwnerClient, RequestError, SessionKeyClient,
    journal::{IntentId, IntentRecord},
    operation::{Advice, AfterRevert, Cause, Depth, Gas, Happened, Included, Open, Outcome, Progress},
    permissions::{AaCode, LimitChange, PermissionUpdates, Permissions, SpendLimit, session_key_nonce_key},
};
use session_key_testkit::TestToken;
use std::sync::Arc;
use tokio::time::{Duration, Instant, sleep, timeout};

/// How much longer than its time limit a call may take: for writing down how it ended.
const SLACK: Duration = Duration::from_secs(8);
/// How long after the faults a caller goes on asking, in milliseconds, beside [`PERSISTENT_BLOCKS`].
const PERSISTENCE: u64 = 400_000;
/// How many blocks longer: where a node does not say what is final, 64 blocks make an operation void, and
/// another intent can use the nonce of its successor, too.
const PERSISTENT_BLOCKS: u64 = 128;
/// The most attempts of one caller.
const MOST_ATTEMPTS: u32 = 400;

/// A client of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    Key(SessionKeyClient),
    Owner(OwnerClient),
    Agent(Agent),
}

impl Client {
    pub(crate) async fn resume(&self) -> Result<Vec<IntentRecord>, AgentError> {
        match self {
            Self::Key(client) => Ok(client.resume().await?),
            Self::Owner(client) => Ok(client.resume().await?),
            Self::Agent(agent) => agent.resume().await,
        }
    }

    pub(crate) async fn watch(&self, every: Duration) {
        match self {
            Self::Key(client) => client.watch(every).await,
            Self::Owner(client) => client.watch(every).await,
            Self::Agent(agent) => agent.client().watch(every).await,
        }
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, OperationError> {
        match self {
            Self::Key(client) => client.intent(id).await,
            Self::Owner(client) => client.intent(id).await,
            Self::Agent(agent) => agent.client().intent(id).await,
        }
    }

    async fn send_again(&self, id: IntentId) -> Result<Operation, OperationError> {
        match self {
            Self::Key(client) => client.send_again(id).await,
            Self::Owner(client) => client.send_again(id).await,
            Self::Agent(agent) => agent.client().send_again(id).await,
        }
    }

    async fn replace(&self, id: IntentId) -> Result<Operation, OperationError> {
        match self {
            Self::Key(client) => client.replace(id).await,
            Self::Owner(client) => client.replace(id).await,
            Self::Agent(agent) => agent.client().replace(id).await,
        }
    }
}

/// What a caller believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Nothing was asked for yet, or it is under way.
    Asking,
    /// It happened.
    Yes,
    /// It was included, and reverted.
    Reverted,
    /// It did not happen, and will not; the caller asks no more.
    No,
    /// It may happen; the caller asks no more.
    Unknown,
    /// It may happen, but something with a name is in its way.
    Blocked(String),
    /// The caller cannot know: its process crashed, and it had no name.
    Lost,
}

/// A wish in the course of a history.
#[derive(Clone, Debug)]
pub(crate) struct WishState {
    pub(crate) belief: Belief,
    attempts: u32,
    /// Intents that the caller was told of.
    known: Vec<IntentId>,
    is_in_flight: bool,
    /// Whether an attempt ended without the caller knowing that nothing came of it.
    has_doubts: bool,
    /// Whether a crash took a journal that was only in memory.
    pub(crate) has_lost_journal: bool,
    /// Whether a crash came between an answer and its caller: the journal says that it was told.
    pub(crate) has_lost_answer: bool,
    /// The last answer, in words.
    pub(crate) last: String,
    /// Faults that its process had met when it asked.
    faults_before: usize,
    /// The operation that the attempt under way has seen included, and when, in milliseconds.
    seen_included: Option<(B256, u64)>,
}

impl Default for WishState {
    fn default() -> Self {
        Self {
            belief: Belief::Asking,
            attempts: 0,
            known: Vec::new(),
            is_in_flight: false,
            has_doubts: false,
            has_lost_journal: false,
            has_lost_answer: false,
            last: String::new(),
            faults_before: 0,
            seen_included: None,
        }
    }
}

/// The name of an outcome.
pub(crate) const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Included(Included {
            success: true,
            is_final: true,
            ..
        }) => "included, final",
        Outcome::Included(Included { success: true, .. }) => "included",
        Outcome::Included(Included { is_final: true, .. }) => "reverted, final",
        Outcome::Included(_) => "reverted",
        Outcome::Void(_) => "void",
        Outcome::NeverSent => "never sent",
        Outcome::Open(Open::NoAnswer) => "open, no answer",
        Outcome::Open(Open::InPool) => "open, in pool",
        Outcome::Open(Open::NotTaken(_)) => "open, not taken",
        Outcome::Open(Open::NonceUsed { .. }) => "open, nonce used",
        Outcome::Open(Open::NonceGap { by: None, .. }) => "open, nonce gap",
        Outcome::Open(Open::NonceGap { by: Some(_), .. }) => "open, waits for another",
        _ => "another",
    }
}

/// How an attempt ended.
enum End {
    Included(Included),
    Failed(OperationError),
    /// The caller dropped the future, and knows the intent or does not.
    Dropped(Option<IntentId>),
    /// Something else than an operation was done.
    Done,
    /// The caller has made up its mind.
    Told,
}

/// Someone who wants something done once.
struct Caller {
    world: Arc<World>,
    client: Client,
    process: ProcessPlan,
    wish: WishPlan,
}

/// Pursues a wish until it is decided, or its caller gives up.
pub(crate) async fn pursue(
    world: Arc<World>,
    client: Client,
    process: ProcessPlan,
    wish: WishPlan,
    started: u64,
) {
    // Unblocking takes no name.
    let wish = WishPlan {
        is_named: (wish.is_named || wish.borrows.is_some()) && !matches!(wish.what, What::Unblock(_)),
        ..wish
    };
    let due = started + wish.at;
    sleep(Duration::from_millis(due.saturating_sub(world.now()))).await;
    let caller = Caller {
        world,
        client,
        process,
        wish,
    };
    caller.pursue().await;
}

impl Caller {
    fn state<T>(&self, change: impl FnOnce(&mut WishState) -> T) -> T {
        let mut state = self.world.state();
        change(state.wishes.entry(self.wish.number).or_default())
    }

    fn believe(&self, belief: Belief) {
        let text = format!("the caller of wish {} believes {belief:?}", self.wish.number);
        self.world.say(text);
        self.state(|state| state.belief = belief);
    }

    fn is_patient(&self) -> bool {
        // There is no waiting for a hostile world to become another.
        let patience = if self.world.plan.hostile {
            10_000
        } else {
            PERSISTENCE + PERSISTENT_BLOCKS * self.world.plan.chain.interval * 1_000
        };
        self.world.now() < self.world.plan.calm_at + patience
    }

    async fn pursue(&self) {
        let (belief, was_in_flight) = self.state(|state| (state.belief.clone(), state.is_in_flight));
        if belief != Belief::Asking {
            return;
        }
        if self.wish.what == What::Transact {
            return self.transact().await;
        }
        // An earlier life asked, and nobody heard the answer.
        if was_in_flight {
            self.state(|state| state.has_doubts = true);
        }
        if was_in_flight && !self.wish.is_named && !matches!(self.wish.follow, Follow::Blind(_)) {
            match self.state(|state| state.known.last().copied()) {
                Some(id) => {
                    if self.settle(id).await {
                        return;
                    }
                }
                None => return self.believe(Belief::Lost),
            }
        }
        let mut blind = match self.wish.follow {
            Follow::Blind(tries) => tries,
            _ => 0,
        };
        loop {
            let attempt = self.state(|state| {
                state.attempts += 1;
                state.is_in_flight = true;
                state.attempts
            });
            let purpose = Purpose::new(Some((self.wish.number, attempt)));
            let end = purpose.clone().scope(self.attempt(&purpose)).await;
            let error = match end {
                End::Included(included) => {
                    self.note_included(&included);
                    return self.believe(if included.success {
                        Belief::Yes
                    } else {
                        Belief::Reverted
                    });
                }
                End::Done => return self.believe(Belief::Yes),
                End::Told => return,
                End::Dropped(known) => {
                    self.state(|state| state.has_doubts = true);
                    if let Some(id) = known {
                        self.state(|state| state.known.push(id));
                    }
                    match (self.wish.follow, known) {
                        (Follow::Once, _) => return self.believe(Belief::Unknown),
                        (Follow::Blind(_), _) if blind > 0 => {
                            blind -= 1;
                            continue;
                        }
                        (Follow::Blind(_), _) => return self.believe(Belief::Unknown),
                        (_, Some(id)) => {
                            if self.settle(id).await {
                                return;
                            }
                            continue;
                        }
                        _ if self.wish.is_named => {
                            sleep(Duration::from_secs(1)).await;
                            self.give_up_late(attempt, "dropped");
                            if self.state(|state| state.belief != Belief::Asking) {
                                return;
                            }
                            continue;
                        }
                        _ => return self.believe(Belief::Lost),
                    }
                }
                End::Failed(error) => {
                    self.note_error(&error, attempt);
                    if matches!(error.happened(), Happened::NotYet | Happened::Unknown) {
                        self.state(|state| state.has_doubts = true);
                    }
                    if let Some(belief) = self.belief_of(&error) {
                        return self.believe(belief);
                    }
                    if blind > 0 {
                        blind -= 1;
                        continue;
                    }
                    if matches!(self.wish.follow, Follow::Once | Follow::Blind(_)) {
                        return self.believe(match error.happened() {
                            Happened::No if self.state(|state| state.has_doubts) => Belief::Unknown,
                            Happened::No => Belief::No,
                            Happened::Yes => Belief::Yes,
                            Happened::Reverted => Belief::Reverted,
                            _ => Belief::Unknown,
                        });
                    }
                    if let (Happened::NotYet | Happened::Unknown, Some(id)) = (error.happened(), error.intent)
                        && matches!(self.wish.follow, Follow::Replace)
                    {
                        match self.go_on(id, true).await {
                            Some(true) => return,
                            Some(false) => continue,
                            None => {}
                        }
                    }
                    error
                }
            };
            if self.heed(&error).await {
                return;
            }
            self.give_up_late(attempt, error.code());
            if self.state(|state| state.belief != Belief::Asking) {
                return;
            }
        }
    }

    /// Does what an error advises before the next attempt. True: the caller asks no more.
    async fn heed(&self, error: &OperationError) -> bool {
        match error.advice() {
            // What happened is another caller's.
            Advice::Nothing if matches!(*error.cause, Cause::AlreadyHappened { .. }) => {}
            Advice::TryAgain { after } => {
                sleep(Duration::from_millis(after.min(60) * 1_000 + 50)).await;
            }
            Advice::TryAgainFrom { at } => {
                let now = self.world.unix_millis() / 1_000;
                let wait = at.saturating_sub(now) + 1;
                if wait > 600 {
                    self.believe(Belief::No);
                    return true;
                }
                sleep(Duration::from_secs(wait)).await;
            }
            Advice::Settle => match error.intent {
                Some(id) => {
                    return self.settle(id).await;
                }
                None => {
                    sleep(Duration::from_secs(2)).await;
                }
            },
            Advice::Nothing => {
                self.believe(Belief::Yes);
                return true;
            }
            // Somebody else would have to do something.
            _ => {
                let has_doubts = self.state(|state| state.has_doubts) && !self.wish.is_named;
                self.believe(match error.happened() {
                    Happened::Reverted => Belief::Reverted,
                    Happened::Yes => Belief::Yes,
                    _ if has_doubts => Belief::Unknown,
                    _ => Belief::No,
                });
                return true;
            }
        }
        false
    }

    /// Nobody goes on for ever.
    fn give_up_late(&self, attempt: u32, code: &str) {
        if attempt < MOST_ATTEMPTS && self.is_patient() {
            return;
        }
        let (wish, last) = (self.wish.number, self.state(|state| state.last.clone()));
        self.world.violate(
            Check::Decided,
            format!("wish {wish} is not decided after {attempt} attempts; the last one: {code}: {last}"),
        );
        self.believe(Belief::Unknown);
    }

    /// Asks what became of an intent until it is decided. True: the caller asks no more.
    async fn settle(&self, id: IntentId) -> bool {
        let mut looks = 0;
        loop {
            let looked = timeout(
                Duration::from_secs(200),
                Purpose::new(None).scope(self.client.intent(id)),
            )
            .await;
            match looked {
                Ok(Ok(Some(record))) => {
                    let outcome = record.outcome();
                    {
                        let mut state = self.world.state();
                        state.ledger.told_record(&record, "a look");
                        state.counts.outcome("looked up", outcome_name(&outcome));
                    }
                    match outcome {
                        Outcome::Included(included) => {
                            self.believe(if included.success {
                                Belief::Yes
                            } else {
                                Belief::Reverted
                            });
                            return true;
                        }
                        Outcome::Void(_) | Outcome::NeverSent => {
                            let text = format!(
                                "wish {} was told that intent {id} did not happen: {}",
                                self.wish.number,
                                outcome_name(&outcome)
                            );
                            self.world.say(text.clone());
                            self.world.state().ledger.told_never(id, text);
                            return false;
                        }
                        _ => {}
                    }
                }
                // It is forgotten because it was told, or lost with its journal.
                Ok(Ok(None)) => {
                    self.believe(Belief::Lost);
                    return true;
                }
                Ok(Err(error)) => self.world.check_text(&format!("{error} {error:?}")),
                Err(_) => {}
            }
            looks += 1;
            sleep(Duration::from_secs(3)).await;
            if looks % 4 == 0
                && let Some(is_over) = self.go_on(id, false).await
            {
                return is_over;
            }
            self.give_up_late(looks / 4, "settling");
            if self.state(|state| state.belief != Belief::Asking) {
                return true;
            }
        }
    }

    /// Goes on with an open intent. `Some(true)`: the caller asks no more; `Some(false)`: it did not happen.
    async fn go_on(&self, id: IntentId, anew: bool) -> Option<bool> {
        let attempt = self.state(|state| {
            state.attempts += 1;
            state.attempts
        });
        let purpose = Purpose::new(Some((self.wish.number, attempt)));
        purpose.note_sent();
        let made = timeout(Duration::from_secs(60), async {
            if anew {
                purpose.clone().scope(self.client.replace(id)).await
            } else {
                purpose.clone().scope(self.client.send_again(id)).await
            }
        })
        .await;
        let operation = match made {
            Ok(Ok(operation)) => operation,
            Ok(Err(error)) => {
                self.world.check_text(&format!("{error} {error:?}"));
                return None;
            }
            Err(_) => return None,
        };
        let what = if anew { "replaces" } else { "sends again" };
        let verb = if anew { "replace" } else { "send_again" };
        self.world.state().counts.outcome("asked for", verb);
        self.world.say(format!(
            "the caller of wish {} {what} intent {id}",
            self.wish.number
        ));
        let operation = self.configured(operation, &purpose);
        let is_calm = self.world.now() > self.world.plan.calm_at + 60_000;
        match purpose.scope(self.awaited(operation)).await {
            Ok(included) => {
                self.note_included(&included);
                self.believe(if included.success {
                    Belief::Yes
                } else {
                    Belief::Reverted
                });
                Some(true)
            }
            Err(error) => {
                self.note_error(&error, attempt);
                match error.happened() {
                    // It is this intent that did not happen, and not only this attempt at it.
                    Happened::No if error.intent == Some(id) => Some(false),
                    Happened::Reverted => {
                        self.believe(Belief::Reverted);
                        Some(true)
                    }
                    _ if is_calm && is_blocking(error.code()) && !self.waits_for_fit(&error) => {
                        self.believe(Belief::Blocked(error.code().to_owned()));
                        Some(true)
                    }
                    _ => None,
                }
            }
        }
    }

    /// Whether an operation waits for another that nobody honest has refused since faults stopped: that one
    /// should come.
    fn waits_for_fit(&self, error: &OperationError) -> bool {
        let Cause::NonceGap { by: Some(by), .. } = &*error.cause else {
            return false;
        };
        let state = self.world.state();
        let facts = state.ledger.operations.get(by);
        let refused = facts.and_then(|facts| facts.refused);
        refused.is_none_or(|refused| refused < self.world.plan.calm_at)
    }

    // ---- One attempt

    async fn attempt(&self, purpose: &Purpose) -> End {
        let (world, wish) = (&self.world, &self.wish);
        world.say(format!(
            "wish {}: {:?}{}",
            wish.number,
            wish.what,
            if wish.is_named { " (named)" } else { "" }
        ));
        self.count_asked();
        let faults = self.faults();
        self.state(|state| state.faults_before = faults);
        if let (What::Unblock(kind), Client::Owner(owner)) = (wish.what, &self.client) {
            return self.unblock(owner, kind).await;
        }
        if let Client::Agent(agent) = &self.client {
            return self.attempt_by_agent(agent, purpose).await;
        }
        let Some(operation) = self.operation() else {
            return End::Done;
        };
        let operation = self.configured(operation, purpose);
        let operation = match (wish.lane, self.process.role) {
            // A v0.8 account's module takes no lane but the key's own.
            (Some(lane), Role::Key { account, kind }) if !self.world.prepared.is_v08() => {
                let own = session_key_nonce_key(key(account, kind).address());
                operation.nonce_key(own | U192::from(lane) << 160)
            }
            _ => operation,
        };
        let operation = match wish.shares {
            Some(true) => operation.share(AfterRevert::Alone),
            Some(false) => operation.share(AfterRevert::Fail),
            None => operation,
        };
        let operation = if wish.is_named {
            operation.id(format!("wish {}", wish.borrows.unwrap_or(wish.number)))
        } else {
            operation
        };
        // Whoever never waits never knows.
        let is_impatient = self.state(|state| state.attempts) <= 2;
        match wish.style {
            Style::Drop(_) if !is_impatient => self
                .awaited(operation)
                .await
                .map_or_else(End::Failed, End::Included),
            Style::Await => self
                .awaited(operation)
                .await
                .map_or_else(End::Failed, End::Included),
            Style::Drop(millis) => {
                match timeout(Duration::from_millis(millis.into()), self.awaited(operation)).await {
                    Ok(ended) => ended.map_or_else(End::Failed, End::Included),
                    Err(_) => End::Dropped(None),
                }
            }
            Style::SendDrop | Style::SendWait(_) => {
                let started = Instant::now();
                let sent = operation.send().await;
                self.check_time(started, "send");
                match (sent, wish.style) {
                    (Err(error), _) => End::Failed(error),
                    (Ok(pending), Style::SendWait(millis)) => {
                        sleep(Duration::from_millis(millis.into())).await;
                        let started = Instant::now();
                        let waited = pending.await;
                        self.check_time(started, "wait");
                        waited.map_or_else(End::Failed, End::Included)
                    }
                    (Ok(pending), _) => End::Dropped(pending.intent().map(|record| record.id)),
                }
            }
        }
    }

    /// How many faults the messages of the process have met.
    fn faults(&self) -> usize {
        let process = Actor::Process(self.process.number);
        let state = self.world.state();
        let happened = state.fates.happened.iter();
        happened.filter(|(spot, _)| spot.from == process).count()
    }

    /// Counts what is asked for, and how.
    fn count_asked(&self) {
        let wish = &self.wish;
        let what = match wish.what {
            What::Pay => "pay",
            What::PayToken => "pay a token",
            What::Batch => "batch",
            What::Revert => "a call that reverts",
            What::Fickle => "a call that reverts in some blocks",
            What::TooMuch => "more than the budget",
            What::Grant => "grant",
            What::Revoke(_) => "revoke",
            What::Rotate(_) => "rotate",
            What::Narrow(_) => "narrow",
            What::Widen(_) => "widen",
            What::Unblock(_) => "unblock",
            What::Transact => "transact",
        };
        let mut state = self.world.state();
        state.counts.outcome("asked for", what);
        if wish.is_named {
            state.counts.outcome("asked for", "with a name");
        }
        if wish.shares.is_some() {
            state.counts.outcome("asked for", "share");
        }
        if wish.lane.is_some() {
            state.counts.outcome("asked for", "in another lane");
        }
    }

    async fn unblock(&self, owner: &OwnerClient, kind: KeyKind) -> End {
        let session_key = key(self.process.role.account(), kind).address();
        let started = Instant::now();
        let Ok(unblocked) = timeout(Duration::from_secs(300), owner.unblock(session_key, None)).await else {
            self.world.violate(Check::TimeLimit, "unblock does not end");
            return End::Dropped(None);
        };
        // It has the default time limit, and reads back what it has ended.
        if started.elapsed() > Duration::from_secs(90 + 120) {
            self.world
                .violate(Check::TimeLimit, format!("unblock took {:?}", started.elapsed()));
        }
        match unblocked {
            Ok(unblocked) => {
                let mut state = self.world.state();
                let told = [
                    ("ended", &unblocked.ended),
                    ("included before", &unblocked.included_before),
                    ("not read back", &unblocked.not_read_back),
                ];
                for (how, records) in told {
                    for record in records {
                        state.ledger.told_record(record, "unblock");
                        state.counts.outcome("unblocked", how);
                    }
                }
                drop(state);
                let ids: Vec<IntentId> = unblocked.ended.iter().map(|record| record.id).collect();
                self.world
                    .note_ended(unblocked.included.receipt.user_op_hash, &ids);
                End::Included(unblocked.included)
            }
            Err(error) => End::Failed(error),
        }
    }

    async fn awaited(&self, operation: Operation) -> Result<Included, OperationError> {
        let started = Instant::now();
        let ended = operation.await;
        self.check_time(started, "an operation");
        ended
    }

    fn check_time(&self, started: Instant, what: &str) {
        let took = started.elapsed();
        let limit = Duration::from_millis(self.wish.timeout) + SLACK;
        if took > limit {
            self.world.violate(
                Check::TimeLimit,
                format!(
                    "{what} of wish {} took {took:?}, with a time limit of {} ms",
                    self.wish.number, self.wish.timeout
                ),
            );
        }
    }

    fn configured(&self, operation: Operation, purpose: &Purpose) -> Operation {
        self.state(|state| state.seen_included = None);
        let (world, wish, purpose) = (self.world.clone(), self.wish, purpose.clone());
        operation
            .timeout(Duration::from_millis(wish.timeout))
            .depth(match wish.depth {
                DepthPlan::Latest => Depth::Latest,
                DepthPlan::Blocks(blocks) => Depth::Blocks(blocks),
                DepthPlan::Final => Depth::Final,
            })
            .on_progress(move |progress| {
                let text = match progress {
                    Progress::Signed(signed) => {
                        world.check_kept(signed.hash);
                        format!(
                            "wish {} signs {} (nonce {:#x})",
                            wish.number,
                            short(signed.hash),
                            signed.operation.nonce.as_limbs()[0]
                        )
                    }
                    Progress::Sent(hash) => {
                        purpose.note_sent();
                        format!("wish {} has sent {}", wish.number, short(*hash))
                    }
                    Progress::Included(included) => {
                        let (hash, now) = (included.receipt.user_op_hash, world.now());
                        let mut state = world.state();
                        state.seen_included.insert(hash);
                        if let Some(of_wish) = state.wishes.get_mut(&wish.number) {
                            of_wish.seen_included = Some((hash, now));
                        }
                        return;
                    }
                    _ => return,
                };
                world.say(text);
            })
    }

    /// The operation that is asked for. `None`: there is nothing to ask for.
    fn operation(&self) -> Option<Operation> {
        let calls = self.calls();
        let operation = match (&self.client, self.wish.what) {
            (Client::Key(client), _) => client.execute(calls),
            (Client::Agent(agent), _) => agent.client().execute(calls),
            (Client::Owner(client), what) => match self.owner_operation(client, what) {
                Some(operation) => operation,
                None => client.execute(calls.into_iter().next()?),
            },
        };
        Some(if self.wish.what == What::Revert {
            operation.gas_limits(Gas {
                call_gas_limit: U256::from(150_000),
                verification_gas_limit: U256::from(300_000),
                pre_verification_gas: U256::from(70_000),
            })
        } else {
            operation
        })
    }

    fn owner_operation(&self, client: &OwnerClient, what: What) -> Option<Operation> {
        let account = self.process.role.account();
        let address = |kind| key(account, kind).address();
        let limit = |native: u64| {
            PermissionUpdates::new()
                .native_token_spend_limit(SpendLimit::total(U256::from(native)), LimitChange::Raw)
        };
        Some(match what {
            What::Grant => {
                let permissions =
                    Permissions::new().native_token_spend_limit(SpendLimit::total(U256::from(9)));
                let new = NewSessionKey::new(new_key(self.wish.number).address(), &permissions).ok()?;
                client.add_session_key(new)
            }
            What::Revoke(kind) => client.remove_session_key(address(kind)),
            What::Rotate(kind) => {
                client.rotate_session_key(address(kind), new_key(0x20 + self.wish.number).address())
            }
            What::Narrow(kind) => client.update_key_permissions(address(kind), limit(NATIVE_BUDGET / 2)),
            What::Widen(kind) => client.update_key_permissions(address(kind), limit(NATIVE_BUDGET * 2)),
            _ => return None,
        })
    }

    /// What is called. Wishes that are alike call the same.
    fn calls(&self) -> Vec<Call> {
        let twin = self.wish.twin;
        let to = Address::repeat_byte(twin.wrapping_add(1) | 0x40);
        let token = self.world.prepared.stack.token;
        let transfer = |amount: u64| {
            let data: Bytes = TestToken::transferCall {
                to,
                amount: U256::from(amount),
            }
            .abi_encode()
            .into();
            Call::new(token, data)
        };
        let pay = |amount: u64| Call::transfer(to, U256::from(amount));
        let amount = 5_000 + u64::from(twin);
        match self.wish.what {
            What::PayToken => vec![transfer(amount)],
            What::Batch => vec![pay(amount), transfer(7), pay(1)],
            What::Fickle => vec![Call::new(FICKLE, Bytes::new())],
            // More than there is.
            What::Revert => vec![transfer(1 << 60)],
            What::TooMuch
                if matches!(
                    self.process.role,
                    Role::Key {
                        kind: KeyKind::Token,
                        ..
                    }
                ) =>
            {
                vec![transfer(70_000)]
            }
            What::TooMuch => vec![pay(NATIVE_BUDGET + 1)],
            _ => vec![pay(amount)],
        }
    }

    // ---- What was said

    fn note_included(&self, included: &Included) {
        let hash = included.receipt.user_op_hash;
        let wish = self.wish.number;
        let intents = {
            let mut state = self.world.state();
            state.ledger.told_included(hash, included, "an answer");
            let outcome = outcome_name(&Outcome::Included(included.clone()));
            state.counts.outcome("answered", outcome);
            state.counts.outcome("happened", "Yes");
            let facts = state.ledger.operations.get(&hash);
            facts.map(|facts| facts.intents.clone()).unwrap_or_default()
        };
        self.world
            .say(format!("wish {wish} is told that {} is included", short(hash)));
        let above = included.seen.number.saturating_sub(included.receipt.block_number);
        let is_deep = match self.wish.depth {
            DepthPlan::Latest => true,
            DepthPlan::Blocks(blocks) => included.is_final || above >= blocks,
            DepthPlan::Final => included.is_final,
        };
        // To unblock is to wait for the newest block.
        if !is_deep && !matches!(self.wish.what, What::Unblock(_)) {
            self.world.violate(
                Check::Included,
                format!("{} is not as deep as wish {wish} asked for", short(hash)),
            );
        }
        let is_its = intents.iter().any(|intent| {
            let state = self.world.state();
            let of = state.ledger.wishes.get(intent).map(|(of, _)| *of);
            of == Some(wish) || of.is_some_and(|of| self.has_name_of(of))
        });
        if !is_its {
            self.world.violate(
                Check::Included,
                format!("wish {wish} is told of {}, which is another's", short(hash)),
            );
        }
    }

    fn note_error(&self, error: &OperationError, attempt: u32) {
        let wish = self.wish.number;
        let text = format!("wish {wish} ends with {}: {error}", error.code());
        self.world.check_text(&format!("{error} {error:?}"));
        self.world
            .check_text(&serde_json::to_string(error).unwrap_or_default());
        self.world
            .say(format!("{text} ({:?}, {:?})", error.happened(), error.advice()));
        {
            let mut state = self.world.state();
            state.counts.outcome("error", error.code());
            state
                .counts
                .outcome("happened", format!("{:?}", error.happened()));
            state.counts.outcome("advice", advice_name(error.advice()));
            let wish_state = state.wishes.entry(wish).or_default();
            wish_state.last = format!("{error}");
            if let Some(id) = error.intent
                && !wish_state.known.contains(&id)
            {
                wish_state.known.push(id);
            }
        }
        if let Cause::Request {
            error: RequestError::Unreadable { .. },
            ..
        } = &*error.cause
            && self.faults() == self.state(|state| state.faults_before)
        {
            self.world
                .violate(Check::Answers, format!("{text}: and nothing was wrong with it"));
        }
        self.check_made_good(&text);
        self.check_allowed(error, &text);
        if let Cause::NonceGap { nonce, next, by } = &*error.cause {
            let has_lost_journal = self.state(|state| state.has_lost_journal);
            self.world
                .check_gap(&self.process, has_lost_journal, *nonce, *next, *by);
        }
        let mut included = None;
        match &*error.cause {
            Cause::AlreadyHappened { included: other, .. } => included = Some(other),
            Cause::Reverted { included: other } | Cause::NotDeepInTime { included: other, .. } => {
                included = Some(other);
            }
            Cause::Void { void } => {
                if let Some(id) = error.intent {
                    let hashes: Vec<B256> = self.world.state().ledger.hashes_of(id).collect();
                    for hash in hashes {
                        self.world.state().ledger.told_void(hash, void, "an error");
                    }
                }
            }
            Cause::NameTaken { outcome, .. } => {
                if let Outcome::Included(other) = &**outcome {
                    self.world.state().ledger.told_included(
                        other.receipt.user_op_hash,
                        other,
                        "a name that is taken",
                    );
                }
            }
            _ => {}
        }
        if let Some(included) = included {
            let hash = included.receipt.user_op_hash;
            self.world
                .state()
                .ledger
                .told_included(hash, included, "an error");
            let expected = if included.success {
                Happened::Yes
            } else {
                Happened::Reverted
            };
            if error.happened() != expected {
                self.world.violate(
                    Check::Error,
                    format!("{text}: but it says {:?}", error.happened()),
                );
            }
        }
        let may_say = match error.code() {
            "not_included_in_time" => &[Happened::Unknown, Happened::NotYet][..],
            "not_taken" | "blocked_by" | "nonce_used" | "nonce_gap" => {
                &[Happened::NotYet, Happened::Unknown, Happened::No]
            }
            "not_sent_in_time" | "not_reached" | "void" | "name_taken" | "no_action" => {
                &[Happened::No, Happened::NotYet, Happened::Unknown]
            }
            "reverted" => &[Happened::Reverted],
            _ => &[],
        };
        if !may_say.is_empty() && !may_say.contains(&error.happened()) {
            self.world.violate(
                Check::Error,
                format!("{text}: and yet it says {:?}", error.happened()),
            );
        }
        let is_another = matches!(*error.cause, Cause::AlreadyHappened { .. });
        if error.happened() == Happened::No || is_another {
            // Of something with a name, all attempts are one.
            let intents = self.world.state().ledger.intents_of(wish);
            let is_one = self.has_own_name() && !self.state(|state| state.has_lost_journal);
            for (intent, made) in intents {
                let is_meant = if is_another {
                    made == attempt
                } else {
                    is_one || made == attempt || error.intent == Some(intent)
                };
                if is_meant {
                    self.world.state().ledger.told_never(intent, text.clone());
                }
            }
        }
    }

    /// What a reorganization has undone was sent again while its caller waited, if there was time enough and
    /// nothing else went wrong.
    fn check_made_good(&self, text: &str) {
        // Whoever sends transactions of its own sends them anew only if they are lost.
        if self.process.via == Via::Direct {
            return;
        }
        let Some((hash, seen)) = self.state(|state| state.seen_included) else {
            return;
        };
        let process = Actor::Process(self.process.number);
        let is_idle = {
            let state = self.world.state();
            let Some(undone) = state.undone.get(&hash).filter(|undone| undone.at >= seen) else {
                return;
            };
            let mut later = state.fates.happened.iter().skip(undone.faults_before);
            let has_faults = later.any(|(spot, _)| spot.from == process && spot.step != Step::Send);
            let has_time = undone.at + self.world.time_to_notice() < self.world.now();
            let was_sent = state
                .handed_over
                .get(&hash)
                .is_some_and(|sent| *sent >= undone.at);
            has_time && !has_faults && !was_sent
        };
        if is_idle {
            let text = format!("{text}: and {} was undone, and not sent again", short(hash));
            self.world.violate(Check::Undone, text);
        }
    }

    /// What is allowed is not refused, if nothing has gone wrong with what was asked.
    fn check_allowed(&self, error: &OperationError, text: &str) {
        let account = self.world.prepared.accounts[usize::from(self.process.role.account())];
        let is_allowed = match self.process.role {
            Role::Owner { .. } => true,
            Role::Key { kind, .. } => kind == KeyKind::Free && !self.world.changes_keys(account),
        };
        let is_plain =
            matches!(self.wish.what, What::Pay | What::PayToken | What::Batch) && self.wish.shares.is_none();
        if !is_allowed || !is_plain || self.world.has_faulty_estimates() {
            return;
        }
        let is_refused = match &*error.cause {
            // What was not there yet, or is there already, where nodes disagree.
            Cause::Refused(refusal) => !matches!(
                refusal.code,
                Some(AaCode::InvalidNonce | AaCode::SenderAlreadyConstructed | AaCode::AccountNotDeployed)
            ),
            Cause::NotAllowed { .. } | Cause::WouldRevert { .. } | Cause::Reverted { .. } => true,
            _ => false,
        };
        if is_refused && self.faults() == self.state(|state| state.faults_before) {
            self.world
                .violate(Check::Fit, format!("{text}: and it is allowed"));
        }
    }

    /// Whether another wish has the same name: if it asks for the same, the two are one.
    fn has_name_of(&self, other: u8) -> bool {
        let name = |wish: &WishPlan| {
            let is_named = wish.is_named || wish.borrows.is_some();
            is_named.then(|| wish.borrows.unwrap_or(wish.number))
        };
        let mut wishes = self.world.plan.wishes.iter();
        let other = wishes.find(|wish| wish.number == other).and_then(name);
        other.is_some() && other == name(&self.wish)
    }

    /// Whether nobody else asks for something under the same name.
    fn has_own_name(&self) -> bool {
        let borrows = |wish: &WishPlan| wish.borrows == Some(self.wish.number);
        self.wish.is_named && self.wish.borrows.is_none() && !self.world.plan.wishes.iter().any(borrows)
    }

    /// What an error says for good.
    fn belief_of(&self, error: &OperationError) -> Option<Belief> {
        match &*error.cause {
            Cause::AlreadyHappened { intent, included } => {
                let is_own = {
                    let state = self.world.state();
                    state
                        .ledger
                        .wishes
                        .get(intent)
                        .is_some_and(|(wish, _)| *wish == self.wish.number)
                };
                // Another caller asked for the same: this one asks again.
                is_own.then_some(if included.success {
                    Belief::Yes
                } else {
                    Belief::Reverted
                })
            }
            Cause::NotDeepInTime { included, .. } => Some(if included.success {
                Belief::Yes
            } else {
                Belief::Reverted
            }),
            Cause::Reverted { .. } => Some(Belief::Reverted),
            Cause::StillThere { .. } => Some(Belief::Yes),
            Cause::NameTaken { .. } if !self.has_own_name() => Some(Belief::No),
            Cause::NameTaken { .. } => {
                self.world.violate(
                    Check::Error,
                    format!(
                        "the name of wish {} is taken, by the same calls",
                        self.wish.number
                    ),
                );
                Some(Belief::No)
            }
            _ => None,
        }
    }
}

/// Whether an error names what is in the way of an operation that is open.
fn is_blocking(code: &str) -> bool {
    matches!(
        code,
        "blocked_by"
            | "nonce_gap"
            | "not_taken"
            | "gas_budget"
            | "not_allowed"
            | "over_bound"
            | "refused"
            | "would_revert"
    )
}

const fn advice_name(advice: Advice) -> &'static str {
    match advice {
        Advice::TryAgain { .. } => "try again",
        Advice::TryAgainFrom { .. } => "try again from",
        Advice::Change => "change",
        Advice::Settle => "settle",
        Advice::Nothing => "nothing",
        _ => "another",
    }
}
