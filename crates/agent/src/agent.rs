//! The agent: admission, reservation, sending, settlement, release.

use crate::{
    AgentError, Refusal, Request,
    ledger::{Ask, Book, End, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted},
    rules::{AgentRules, AgentViolation, Asset, Use, Window},
};
use alloy::primitives::{Address, FixedBytes, U256};
use serde::Serialize;
use session_key_client::{
    Call, OperationError, SessionKeyClient,
    journal::{IntentId, IntentRecord, JournalError, Scope},
    operation::{AfterRevert, Cause, Check, Happened, Included, Machine, Operation, Outcome, Surroundings},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long after a request's time limit its reservation is left to its process.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// How long the ledger may take to end a reservation, beyond the request's time limit.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What a request has in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing: no window counts it.
    Nothing,
    /// A reservation of its own.
    Own,
    /// One that it shares with an earlier request of its name, which may still sign.
    Shared,
}

/// How requests share operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The most requests in one operation, between 1 and 16.
    pub most: usize,
    /// How long the first one waits for others, once the lane is free.
    pub wait: Duration,
    /// What happens to them if the shared operation reverts.
    pub after_revert: AfterRevert,
}

impl Default for Sharing {
    /// Up to 16 requests, without waiting for more; each is sent alone if the shared operation reverts.
    fn default() -> Self {
        Self {
            most: 16,
            wait: Duration::ZERO,
            after_revert: AfterRevert::Alone,
        }
    }
}

/// Whether calls would pass now, by the agent's rules and by the key's.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// The agent's rules that they break.
    pub violations: Vec<AgentViolation>,
    /// The answer of the key's rules.
    pub chain: Check,
    /// The earliest time at which they would pass all rules unchanged, unix seconds. `None`: now, or
    /// never by waiting.
    pub earliest: Option<u64>,
}

impl Preflight {
    /// Whether the calls would be sent.
    pub const fn passes(&self) -> bool {
        self.violations.is_empty() && self.chain.passes()
    }
}

/// What is used of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowUse {
    /// The window.
    pub window: Window,
    /// For whom, if each recipient is counted apart.
    pub recipient: Option<Address>,
    /// How much is used and reserved, in the asset's unit.
    pub used: U256,
}

/// An agent on one session key: any number of tasks, processes and machines ask it for calls, and share the
/// key's budgets, its nonce lane and the agent's own rules. Clones are the same agent.
#[derive(Clone, Debug)]
pub struct Agent {
    client: SessionKeyClient,
    ledger: Arc<dyn Ledger>,
    rules: Arc<AgentRules>,
    book: Book,
    sharing: Option<Sharing>,
    surroundings: Arc<dyn Surroundings>,
}

impl Agent {
    /// Creates an agent of a key's client, with the ledger of the same [stores](crate::store::Stores) as the
    /// client's journal. It has no rules of its own, and requests share operations.
    pub fn new(client: SessionKeyClient, ledger: Arc<dyn Ledger>) -> Self {
        let scope = Scope {
            chain_id: client.account().chain_id(),
            account: client.account().address(),
            signer: client.session_key(),
        };
        Self {
            client,
            ledger,
            rules: Arc::default(),
            book: Book {
                scope,
                group: String::new(),
            },
            sharing: Some(Sharing::default()),
            surroundings: Arc::new(Machine),
        }
    }

    /// Sets rules of the agent's own, for example those of a policy file
    /// ([`Policy::agent_rules`](session_key_client::permissions::policy::Policy::agent_rules)). All processes
    /// of an agent need the same.
    #[must_use]
    pub fn with_rules(mut self, rules: AgentRules) -> Self {
        self.rules = Arc::new(rules);
        self
    }

    /// Makes it an agent for a group of the key's users, such as one client of a service: it has windows of
    /// its own, and its requests share operations only with each other.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.book.group = group.into();
        self
    }

    /// Sets how requests share operations; `None`: each has its own.
    #[must_use]
    pub const fn with_sharing(mut self, sharing: Option<Sharing>) -> Self {
        self.sharing = sharing;
        self
    }

    /// Sets the clock and the randomness, instead of the machine's.
    #[must_use]
    pub fn with_surroundings(mut self, surroundings: Arc<dyn Surroundings>) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// Returns the key's client.
    pub const fn client(&self) -> &SessionKeyClient {
        &self.client
    }

    /// Returns the agent's own rules.
    pub fn rules(&self) -> &AgentRules {
        &self.rules
    }

    /// Asks for calls, in order, all or none. Awaiting the request carries it out.
    pub fn execute(&self, calls: impl IntoIterator<Item = Call>) -> Request {
        Request::new(self.clone(), calls.into_iter().collect())
    }

    /// Settles what earlier processes left: every open intent of the account, as [`Client::resume`] does, and
    /// every reservation that the chain has decided. Call it when a process starts.
    ///
    /// [`Client::resume`]: session_key_client::client::Client::resume
    ///
    /// # Errors
    ///
    /// [`AgentError::Operation`], [`AgentError::Ledger`].
    pub async fn resume(&self) -> Result<Vec<IntentRecord>, AgentError> {
        let records = self.client.resume().await?;
        self.reconcile().await?;
        Ok(records)
    }

    /// Ends every reservation that the chain has decided, and those of requests that were never signed and
    /// whose time is over. Returns those that stay. It also runs before a request is refused.
    ///
    /// An unnamed intent may leave the journal once it is settled. If its process died in between, whether it
    /// happened is no longer known here, and it counts as spent from the time at which this is found: windows
    /// are never exceeded.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ledger`].
    pub async fn reconcile(&self) -> Result<Vec<Reservation>, AgentError> {
        let mut undecided = Vec::new();
        for reservation in self.ledger.undecided(&self.book).await? {
            match self.decided(&reservation).await {
                Some(end) => self.ledger.end(&self.book, reservation.intent, end).await?,
                None => undecided.push(reservation),
            }
        }
        let longest = self.rules.windows.iter().map(|window| window.seconds).max();
        if let Some(seconds) = longest {
            let longest = seconds.saturating_mul(1_000);
            self.ledger.prune(&self.book, longest, self.now()).await?;
        }
        Ok(undecided)
    }

    /// Returns how a reservation ends. `None`: that is not known yet.
    async fn decided(&self, reservation: &Reservation) -> Option<End> {
        let found = match &reservation.name {
            Some(name) => self.client.named(name).await,
            None => self.client.intent(reservation.intent).await,
        };
        // What cannot be read stays reserved.
        let record = found.ok()?;
        let now = self.now();
        let is_over = now > reservation.until;
        let Some(record) = record else {
            return match &reservation.name {
                _ if !is_over => None,
                Some(_) => Some(End::Released),
                None => Some(End::Spent { at: now }),
            };
        };
        // Until its time is over, its request may sign again, under this intent or another one of its name,
        // even if somebody took its process for dead. A request that ends releases its own reservation.
        match record.outcome() {
            Outcome::Included(included) if included.success => Some(End::Spent { at: now }),
            Outcome::Included(included) => (included.is_final && is_over).then_some(End::Released),
            Outcome::Void(_) | Outcome::NeverSent => is_over.then_some(End::Released),
            _ => None,
        }
    }

    /// Returns what is used of each window that does not count recipients apart, and of those that do for
    /// these recipients.
    ///
    /// # Errors
    ///
    /// [`LedgerError`].
    pub async fn windows(&self, recipients: &[Address]) -> Result<Vec<WindowUse>, LedgerError> {
        let mut uses = Vec::new();
        for window in &self.rules.windows {
            let counted: Vec<Option<Address>> = if window.per_recipient {
                recipients.iter().copied().map(Some).collect()
            } else {
                vec![None]
            };
            for recipient in counted {
                let asset = window.asset;
                let subject = subject(&Use { asset, recipient });
                let length = window.seconds.saturating_mul(1_000);
                let used = self.ledger.used(&self.book, &subject, length, self.now()).await?;
                uses.push(WindowUse {
                    window: *window,
                    recipient,
                    used,
                });
            }
        }
        Ok(uses)
    }

    fn now(&self) -> u64 {
        self.surroundings.unix_millis()
    }

    pub(crate) fn new_intent(&self) -> IntentId {
        let mut id = FixedBytes::ZERO;
        self.surroundings.fill_random(id.as_mut_slice());
        IntentId(id)
    }

    /// Returns what calls use, and the windows that count it.
    fn asks(&self, calls: &[Call]) -> Vec<(Use, Ask)> {
        let uses = self.rules.uses(calls).into_iter();
        uses.map(|(used, amount)| {
            let windows = self.rules.windows_of(&used);
            let ask = Ask {
                subject: subject(&used),
                amount,
                windows: windows
                    .map(|window| (window.most, window.seconds.saturating_mul(1_000)))
                    .collect(),
            };
            (used, ask)
        })
        .collect()
    }

    pub(crate) async fn preflight(&self, request: &Request) -> Result<Preflight, AgentError> {
        let mut violations = self.rules.check(&request.calls);
        let asks = self.asks(&request.calls);
        if !asks.is_empty() {
            let asked = asks.iter().map(|(_, ask)| ask.clone()).collect();
            let exceeded = self.ledger.exceeded(&self.book, asked, self.now()).await?;
            violations.extend(self.violations(&asks, exceeded));
        }
        let chain = self.operation(request).check().await?;
        let own = Refusal::new(violations);
        let earliest = if own.violations.is_empty() {
            chain.earliest
        } else if chain.passes() {
            own.passes_from
        } else {
            chain
                .earliest
                .zip(own.passes_from)
                .map(|(chain, own)| chain.max(own))
        };
        Ok(Preflight {
            violations: own.violations,
            chain,
            earliest,
        })
    }

    /// Checks the agent's rules, and reserves what the request uses of its windows, within the request's time
    /// limit.
    pub(crate) async fn admit(&self, request: &Request, intent: IntentId) -> Result<Held, AgentError> {
        match timeout(request.timeout, self.reserve(request, intent)).await {
            Ok(admitted) => admitted,
            // If it was reserved, the reservation ends when its time is over.
            Err(_) if request.name.is_some() => Err(not_known(no_answer(request.timeout))),
            Err(_) => Err(AgentError::Ledger(no_answer(request.timeout))),
        }
    }

    async fn reserve(&self, request: &Request, intent: IntentId) -> Result<Held, AgentError> {
        let asks = self.asks(&request.calls);
        // What may have happened already is not refused: it has to be settled.
        let known = match &request.name {
            Some(name) => self.recorded(name).await?,
            None => None,
        };
        if known.is_none() {
            let violations = self.rules.check(&request.calls);
            if !violations.is_empty() {
                return Err(AgentError::Rules(Refusal::new(violations)));
            }
        }
        if asks.is_empty() || matches!(known, Some(Outcome::Included(_))) {
            return Ok(Held::Nothing);
        }
        let wanted = || {
            let time = request.timeout.saturating_add(GRACE).as_millis();
            Wanted {
                intent,
                name: request.name.clone(),
                until: self.now().saturating_add(u64::try_from(time).unwrap_or(u64::MAX)),
                asks: asks.iter().map(|(_, ask)| ask.clone()).collect(),
                forced: known.is_some(),
            }
        };
        let reserving = async {
            let reserved = self.ledger.reserve(&self.book, wanted(), self.now()).await?;
            if !matches!(reserved, Reserved::Exceeded(_)) {
                return Ok(reserved);
            }
            self.reconcile().await?;
            Ok(self.ledger.reserve(&self.book, wanted(), self.now()).await?)
        };
        let reserved = reserving.await.map_err(|error| match error {
            AgentError::Ledger(error) if known.is_some() => not_known(error),
            error => error,
        })?;
        let exceeded = match reserved {
            Reserved::Made(_) => return Ok(Held::Own),
            Reserved::Joined(_) => return Ok(Held::Shared),
            Reserved::Exceeded(exceeded) => exceeded,
        };
        let violations = self.violations(&asks, exceeded);
        Err(AgentError::Rules(Refusal::new(violations)))
    }

    /// Returns the windows that are exceeded, as rules.
    fn violations(&self, asks: &[(Use, Ask)], exceeded: Vec<Exceeded>) -> Vec<AgentViolation> {
        let mut violations = Vec::new();
        for over in exceeded {
            let found = asks.iter().find(|(_, ask)| ask.subject == over.subject);
            let window = found.and_then(|(used, ask)| {
                let mut windows = self.rules.windows_of(used);
                let is_it = |window: &&Window| {
                    window.most == over.most && window.seconds.saturating_mul(1_000) == over.length
                };
                Some((*windows.find(is_it)?, used.recipient, ask.amount))
            });
            if let Some((window, recipient, asked)) = window {
                violations.push(AgentViolation::Window {
                    window,
                    recipient,
                    asked,
                    used: over.used,
                    passes_from: over.passes_from.map(|at| at.div_ceil(1_000)),
                });
            }
        }
        violations
    }

    /// Returns what the journal knows of a name that is not free: that of what never left, or is void, is.
    async fn recorded(&self, name: &str) -> Result<Option<Outcome>, AgentError> {
        let journal = self.client.account().desk().journal();
        let record = journal.named(&self.book.scope, name).await;
        let record = record.map_err(unknown)?;
        let record = record.filter(IntentRecord::holds_name);
        Ok(record.map(|record| record.outcome()))
    }

    /// Returns the client's operation for a request.
    fn operation(&self, request: &Request) -> Operation {
        let mut operation = self
            .client
            .execute(request.calls.iter().cloned())
            .timeout(request.timeout)
            .depth(request.depth);
        if let Some(name) = &request.name {
            operation = operation.id(name);
        }
        if request.is_strict {
            operation = operation.strict();
        }
        if let Some(sharing) = self.sharing.filter(|_| !request.is_alone) {
            operation = operation
                .share(sharing.after_revert)
                .share_at_most(sharing.most)
                .share_after(sharing.wait);
            if !self.book.group.is_empty() {
                operation = operation.share_within(self.book.group.as_str());
            }
        }
        operation
    }

    /// Ends the reservation of a request for which nothing was signed.
    pub(crate) async fn release(&self, intent: IntentId, held: Held) -> Result<(), AgentError> {
        match held {
            Held::Own => Ok(self.end(intent, End::Released).await?),
            // The other one may still sign. If it does not, the reservation ends when its time is over.
            Held::Shared | Held::Nothing => Ok(()),
        }
    }

    async fn end(&self, intent: IntentId, end: End) -> Result<(), LedgerError> {
        match timeout(LAST_WRITE, self.ledger.end(&self.book, intent, end)).await {
            Ok(ended) => ended,
            Err(_) => Err(no_answer(LAST_WRITE)),
        }
    }

    /// Sends an admitted request, waits for it, and ends its reservation.
    pub(crate) async fn carry_out(
        &self,
        request: &Request,
        intent: IntentId,
        held: Held,
    ) -> Result<Included, AgentError> {
        let done = self.operation(request).intent_id(intent).await;
        let end = match &done {
            Ok(_) => Some(End::Spent { at: self.now() }),
            Err(error) => match error.happened() {
                Happened::No => Some(End::Released),
                // Another intent did it, with a reservation of its own.
                Happened::Yes if matches!(*error.cause, Cause::AlreadyHappened { .. }) => Some(End::Released),
                Happened::Yes => Some(End::Spent { at: self.now() }),
                // A reorganization may still change it.
                _ => None,
            },
        };
        let ended = match end {
            Some(End::Released) => self.release(intent, held).await,
            Some(spent) if held != Held::Nothing => self.end(intent, spent).await.map_err(AgentError::from),
            _ => Ok(()),
        };
        if let Err(error) = ended {
            // It stays reserved, and is settled from the journal later.
            tracing::warn!(%intent, %error, "a reservation could not be ended");
        }
        Ok(done?)
    }
}

/// The store failed, and what became of an earlier request of the same name is not known.
fn unknown(error: JournalError) -> AgentError {
    let mut failed = OperationError::from(Cause::Journal(error));
    failed.happened = Happened::Unknown;
    failed.into()
}

fn not_known(error: LedgerError) -> AgentError {
    let message = match error {
        LedgerError::Store { message } | LedgerError::Unreadable { message } => message,
    };
    unknown(JournalError::Store { message })
}

fn no_answer(within: Duration) -> LedgerError {
    LedgerError::Store {
        message: format!("no answer within {within:?}"),
    }
}

/// Returns the word under which a use is counted.
fn subject(used: &Use) -> String {
    let asset = match used.asset {
        Asset::Native => "native".to_owned(),
        Asset::Calls => "calls".to_owned(),
        Asset::Token(token) => token.to_string(),
    };
    match used.recipient {
        Some(recipient) => format!("{asset} to {recipient}"),
        None => asset,
    }
}
