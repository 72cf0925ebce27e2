//! Callers who ask an agent.

use super::{Belief, Caller, End};
use crate::{
    ledger::Check,
    net::Purpose,
    plan::{DepthPlan, Follow, Style, What},
};
use session_key_agent::{Agent, AgentError, Refusal, Request};
use session_key_client::{
    journal::IntentId,
    operation::{Depth, Happened, Included, Outcome},
};
use tokio::time::{Duration, Instant, sleep, timeout};

/// The longest that a caller keeps what was admitted.
const KEPT: u32 = 10_000;

/// What came of a request.
enum Answer {
    Included(Included),
    Failed(AgentError),
    Dropped(Option<IntentId>),
}

/// Whether something is reserved for an operation that can still be included, and that nobody may be asking
/// for any more.
async fn is_held_by_open(agent: &Agent) -> bool {
    let undecided = Purpose::new(None).scope(agent.reconcile()).await;
    for reservation in undecided.unwrap_or_default() {
        let found = Purpose::new(None)
            .scope(agent.client().intent(reservation.intent))
            .await;
        let outcome = found.ok().flatten().map(|record| record.outcome());
        if matches!(outcome, Some(Outcome::Open(_))) {
            return true;
        }
    }
    false
}

impl Caller {
    /// Asks an agent, as often as it is told that it did not fit yet or that the ledger failed.
    pub(super) async fn attempt_by_agent(&self, agent: &Agent, purpose: &Purpose) -> End {
        for tries in 0.. {
            let error = match self.answer_of(agent, purpose, tries).await {
                Answer::Included(included) => return End::Included(included),
                Answer::Dropped(known) => return End::Dropped(known),
                Answer::Failed(AgentError::Operation(error)) => return End::Failed(error),
                Answer::Failed(error) => error,
            };
            self.note_refusal(&error);
            let wait = match &error {
                AgentError::Rules(refusal) => match self.wait_for(refusal) {
                    Some(wait) => wait,
                    None => return End::Told,
                },
                _ => Duration::from_secs(2),
            };
            if matches!(self.wish.follow, Follow::Once | Follow::Blind(_)) {
                self.give_up_unsent();
                return End::Told;
            }
            sleep(wait).await;
            if matches!(error, AgentError::Rules(_)) && !self.is_patient() && is_held_by_open(agent).await {
                self.believe(Belief::Blocked("window, by what is open".to_owned()));
                return End::Told;
            }
            self.give_up_late(tries, error.code());
            if self.state(|state| state.belief != Belief::Asking) {
                return End::Told;
            }
        }
        End::Told
    }

    fn request(&self, agent: &Agent) -> Request {
        let wish = &self.wish;
        let request = agent
            .execute(self.calls())
            .timeout(Duration::from_millis(wish.timeout))
            .depth(match wish.depth {
                DepthPlan::Latest => Depth::Latest,
                DepthPlan::Blocks(blocks) => Depth::Blocks(blocks),
                DepthPlan::Final => Depth::Final,
            });
        let request = match wish.shares {
            Some(_) => request,
            None => request.alone(),
        };
        if wish.is_named {
            request.id(format!("wish {}", wish.borrows.unwrap_or(wish.number)))
        } else {
            request
        }
    }

    async fn answer_of(&self, agent: &Agent, purpose: &Purpose, tries: u32) -> Answer {
        let is_impatient = self.state(|state| state.attempts) <= 2 && tries == 0;
        let request = self.request(agent);
        let ended = match self.wish.style {
            Style::Drop(millis) if is_impatient => {
                match timeout(Duration::from_millis(millis.into()), self.carried(request)).await {
                    Ok(ended) => ended,
                    Err(_) => return Answer::Dropped(None),
                }
            }
            Style::SendWait(_) | Style::SendDrop if is_impatient => {
                let started = Instant::now();
                let admitted = match request.admit().await {
                    Ok(admitted) => admitted,
                    Err(error) => return Answer::Failed(error),
                };
                self.check_time(started, "an admission");
                if let Style::SendWait(millis) = self.wish.style {
                    sleep(Duration::from_millis(millis.min(KEPT).into())).await;
                    let started = Instant::now();
                    let ended = admitted.await;
                    self.check_time(started, "what was admitted");
                    ended
                } else {
                    // Nothing was sent for it, and what it has reserved is free for the next try.
                    if let Err(error) = admitted.withdraw().await {
                        return Answer::Failed(error);
                    }
                    self.world.state().counts.outcome("asked for", "withdraw");
                    self.carried(self.request(agent)).await
                }
            }
            _ => self.carried(request).await,
        };
        // Whether something was sent, nobody says.
        purpose.note_sent();
        ended.map_or_else(Answer::Failed, Answer::Included)
    }

    async fn carried(&self, request: Request) -> Result<Included, AgentError> {
        let started = Instant::now();
        let ended = request.await;
        self.check_time(started, "a request");
        ended
    }

    fn note_refusal(&self, error: &AgentError) {
        let wish = self.wish.number;
        self.world.check_text(&format!("{error} {error:?}"));
        self.world.say(format!("wish {wish} is refused: {error}"));
        {
            let mut state = self.world.state();
            state.counts.outcome("error", error.code());
            state.wishes.entry(wish).or_default().last = error.to_string();
        }
        if error.happened() != Happened::No {
            let text = format!("wish {wish} is refused, and yet it says {:?}", error.happened());
            self.world.violate(Check::Error, text);
        }
    }

    /// How long the agent says to wait. `None`: for ever, and the caller gives up.
    fn wait_for(&self, refusal: &Refusal) -> Option<Duration> {
        let now = self.world.unix_millis();
        let Some(at) = refusal.passes_from else {
            if self.wish.what != What::TooMuch {
                let text = format!(
                    "wish {} fits the windows, and is refused for ever",
                    self.wish.number
                );
                self.world.violate(Check::Window, format!("{text}: {refusal}"));
            }
            self.give_up_unsent();
            return None;
        };
        // By the agent's clock, which may be a second late.
        if at.saturating_mul(1_000) + 2_000 < now {
            let text = format!(
                "wish {} is refused until {at}, which is past: {refusal}",
                self.wish.number
            );
            self.world.violate(Check::Window, text);
        }
        Some(Duration::from_millis(
            at.saturating_mul(1_000).saturating_sub(now) + 1_050,
        ))
    }

    /// Gives up what was refused before anything was signed for it.
    fn give_up_unsent(&self) {
        let has_doubts = self.state(|state| state.has_doubts) && !self.wish.is_named;
        self.believe(if has_doubts { Belief::Unknown } else { Belief::No });
    }
}
