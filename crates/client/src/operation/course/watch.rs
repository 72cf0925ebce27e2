//! Watches the chain until it has decided.

use super::{
    Course, FIRST_PAUSE, LONGEST_PAUSE, READ_TRIES, RESEND_AFTER, RESEND_TAKEN_AFTER, Seen, settling_failed,
};
use crate::{
    journal::IntentRecord,
    node::is_unknown_block,
    operation::{
        Operation, Progress,
        error::Cause,
        outcome::{Included, Open, Outcome},
        prepare::Reads,
        settle::View,
    },
    request::RequestError,
    submit::Sent,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often to look, in a long wait, whether the node will ever know what the journal knows.
const COMPARE_AFTER: Duration = Duration::from_secs(5);

impl Course {
    /// Waits until the intent is included at the requested depth.
    pub(super) async fn finish(&mut self, mut known: Option<Included>) -> Result<Included, Cause> {
        let mut included = loop {
            let seen = match known.take() {
                Some(included) => Some(included),
                None => self.wait().await?,
            };
            match seen {
                // Other riders may have failed, and this one with them.
                Some(included) if self.goes_alone(&included) => {
                    if !self.stays_reverted(included).await? {
                        continue;
                    }
                    if self.turn.is_none() {
                        self.take_turn().await?;
                    }
                    self.is_shared = false;
                    self.signs_after_revert = true;
                    self.sign_and_send().await?;
                }
                Some(included) => break included,
                None if self.is_sent_as_it_is()
                    && let Some(cause) = self.void() =>
                {
                    return Err(cause);
                }
                // All operations are void: the nonce was used by something else.
                None => {
                    if self.turn.is_none() {
                        self.take_turn().await?;
                    }
                    self.sign_and_send().await?;
                }
            }
        };
        // The lane is free once it is included in the latest block.
        if !included.has_depth(self.wanted.depth) {
            self.leave_turn().await;
        }
        let mut pause = FIRST_PAUSE;
        while !included.has_depth(self.wanted.depth) {
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            match self.look().await {
                Ok(Seen::Included(again)) => included = again,
                Ok(Seen::Open) => self.send_undone().await,
                Err(cause @ Cause::AlreadyHappened { .. }) => return Err(cause),
                Ok(Seen::Void) => {
                    if let Some(cause) = self.void() {
                        return Err(cause);
                    }
                }
                Err(_) => {}
            }
        }
        Ok(included)
    }

    /// Returns the cause if the intent can no longer be included.
    fn void(&self) -> Option<Cause> {
        match self.record.as_ref().map(IntentRecord::outcome) {
            Some(Outcome::Void(void)) => Some(Cause::Void { void: Box::new(void) }),
            _ => None,
        }
    }

    /// Waits until a reverted operation is deep enough to stay. False: a reorganization has undone it first,
    /// and it must be waited for anew.
    async fn stays_reverted(&mut self, mut included: Included) -> Result<bool, Cause> {
        self.leave_turn().await;
        let mut pause = FIRST_PAUSE;
        // Included in another block, its calls may take effect.
        while !included.success {
            if included.is_final {
                return Ok(true);
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            match self.look().await {
                Ok(Seen::Included(again)) => included = again,
                Ok(Seen::Open) => {
                    self.send_undone().await;
                    // Nodes that disagree may undo it again and again.
                    sleep(LONGEST_PAUSE).await;
                    break;
                }
                Ok(Seen::Void) => break,
                Err(cause @ Cause::AlreadyHappened { .. }) => return Err(cause),
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// Sends an operation that a reorganization has undone again, after those below it.
    async fn send_undone(&mut self) {
        if let Some(index) = self.open_operation() {
            self.send_those_below(index).await;
            let _ = self.hand_over(index).await;
        }
    }

    /// Waits until the intent is included. `None`: all its operations are void.
    pub(super) async fn wait(&mut self) -> Result<Option<Included>, Cause> {
        let mut pause = FIRST_PAUSE;
        let mut resend_after = RESEND_AFTER;
        let mut resend_at = Instant::now() + resend_after;
        let mut behind = None;
        let mut compared_at = Instant::now();
        loop {
            // The intent that took it along may be gone: then its own lease shows that someone waits.
            if self.turn.is_none() {
                self.turn = self.wanted.core.desk.turn(self.lane, Instant::now()).await.ok();
            }
            // A temporary failure of node or journal says nothing about the operation.
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
                // An operation above a gap waits for the gap to be filled.
                self.send_those_below(index).await;
                match self.hand_over(index).await {
                    Ok(Sent::NotTaken(reason)) if !reason.is_passing() => {
                        match self.look().await {
                            Ok(Seen::Included(included)) => return Ok(Some(included)),
                            Ok(Seen::Void) => return Ok(None),
                            Err(cause @ Cause::AlreadyHappened { .. }) => return Err(cause),
                            // Its nonce is past, or the last answer says that it waits: looking decides.
                            _ if self.is_past_or_waiting() => {}
                            _ => return Err(Cause::NotTaken(reason)),
                        }
                    }
                    Ok(Sent::Taken) => resend_at = Instant::now() + resend_after.max(RESEND_TAKEN_AFTER),
                    _ => {}
                }
            }
            if compared_at.elapsed() >= COMPARE_AFTER {
                compared_at = Instant::now();
                self.check_not_far_behind(&mut behind).await?;
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Sends the lane's open operations with lower nonces again: a reorganization may have undone them.
    async fn send_those_below(&self, index: usize) {
        let Some(own) = self.nonce_of(index) else {
            return;
        };
        let journal = self.wanted.core.desk.journal();
        if let Ok(mut others) = journal.unsettled(&self.lane).await {
            others.retain(|other| other.id != self.id);
            self.send_others(&mut others, |nonce| nonce < own).await;
        }
    }

    /// Whether the last look left it open for a reason other than a refusal.
    pub(super) fn is_past_or_waiting(&self) -> bool {
        let outcome = self.record.as_ref().map(IntentRecord::outcome);
        !matches!(outcome, Some(Outcome::Open(Open::NotTaken(_))))
    }

    /// Looks at the chain, and at others' writes to the journal.
    pub(super) async fn look(&mut self) -> Result<Seen, Cause> {
        let core = self.wanted.core.clone();
        let view = core.view(&self.lane).await.map_err(|error| Cause::Request {
            by: "node".to_owned(),
            error,
        })?;
        // The nonce may have been used by an older intent's operation.
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
        Ok(Seen::Open)
    }

    /// Settles the intent's own operations, from the journal's latest record.
    pub(super) async fn settle_own(&mut self, view: &View) -> Result<(), Cause> {
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

    /// Reads the latest block and the lane's nonce, with retries, since nothing is signed yet.
    pub(super) async fn view_patiently(&self) -> Result<View, Cause> {
        let mut patience = Patience::new(self);
        loop {
            match self.wanted.core.view(&self.lane).await {
                Ok(view) => return Ok(view),
                Err(error) => {
                    patience
                        .after(Cause::Request {
                            by: "node".to_owned(),
                            error,
                        })
                        .await?;
                }
            }
        }
    }

    /// Checks that the journal is of the node's chain: otherwise its operations are not this chain's.
    pub(super) async fn check_history_patiently(&self) -> Result<(), Cause> {
        let mut patience = Patience::new(self);
        loop {
            match self.wanted.core.check_history().await {
                Ok(()) => return Ok(()),
                Err(error) => patience.after(settling_failed(error)).await?,
            }
        }
    }

    /// Reads everything that an operation needs, in a block at least as new as this process knows. A node
    /// that lags for a quarter of the time limit is used as is: nonces are still right.
    pub(super) async fn read_of_today(&self, operation: &Operation) -> Result<Reads, Cause> {
        let core = &self.wanted.core;
        let newest = core.desk.newest_block(core.chain_id());
        let until = Instant::now() + self.wanted.timeout / 4;
        let mut pause = FIRST_PAUSE;
        loop {
            let is_late = Instant::now() + pause >= until;
            match Box::pin(self.read_patiently(operation)).await {
                Ok(reads) if reads.head.number >= newest || is_late => return Ok(reads),
                Ok(_) => {}
                // Missing data may just not have arrived yet.
                Err(cause) if is_late || self.head_number().await.is_none_or(|head| head >= newest) => {
                    return Err(cause);
                }
                Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(super) async fn head_number(&self) -> Option<u64> {
        let head = self.wanted.core.node.head().await.ok()?;
        Some(head.number)
    }

    /// Reads everything that an operation needs, with retries, since nothing is signed yet.
    pub(super) async fn read_patiently(&self, operation: &Operation) -> Result<Reads, Cause> {
        let mut patience = Patience::new(self);
        loop {
            match Box::pin(operation.read(&self.lane)).await {
                Ok(reads) => return Ok(reads),
                Err(cause) => patience.after(cause).await?,
            }
        }
    }
}

/// The retries of reads that fail before anything is signed.
struct Patience {
    tries: u32,
    /// How long to ask for a block that the node does not know: one address may lead to nodes at different
    /// blocks.
    until: Instant,
}

impl Patience {
    fn new(course: &Course) -> Self {
        Self {
            tries: 0,
            until: Instant::now() + course.wanted.timeout / 4,
        }
    }

    /// Pauses before the next attempt. An error: retrying is pointless.
    async fn after(&mut self, cause: Cause) -> Result<(), Cause> {
        self.tries += 1;
        let is_worth_it = match &cause {
            Cause::Request { error, .. } if error.answer().is_some_and(is_unknown_block) => {
                Instant::now() < self.until
            }
            Cause::Request { error, .. } => {
                self.tries < READ_TRIES && (error.is_transient() || is_unexplained(error))
            }
            Cause::Read { is_transient, .. } => self.tries < READ_TRIES && *is_transient,
            _ => false,
        };
        if !is_worth_it {
            return Err(cause);
        }
        sleep((Duration::from_millis(100) * self.tries).min(LONGEST_PAUSE)).await;
        Ok(())
    }
}

/// An answered error other than a revert: overloaded nodes return all kinds of errors.
fn is_unexplained(error: &RequestError) -> bool {
    error.answer().is_some_and(|answer| answer.revert().is_none())
}
