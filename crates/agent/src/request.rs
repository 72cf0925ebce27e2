//! One request to an agent.

use crate::{
    Agent, AgentError, Preflight,
    agent::{GRACE, Held},
};
use session_key_client::{
    Call,
    journal::IntentId,
    operation::{DEFAULT_TIMEOUT, Depth, Included},
};
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// Calls to be made once, all or none. Nothing happens until it is awaited, or [submitted](Self::submit).
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is awaited or submitted"]
pub struct Request {
    pub(crate) agent: Agent,
    pub(crate) calls: Vec<Call>,
    pub(crate) name: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) depth: Depth,
    pub(crate) is_alone: bool,
    pub(crate) is_strict: bool,
}

impl Request {
    pub(crate) fn new(agent: Agent, calls: Vec<Call>) -> Self {
        Self {
            agent,
            calls,
            name: None,
            timeout: DEFAULT_TIMEOUT,
            depth: Depth::default(),
            is_alone: false,
            is_strict: false,
        }
    }

    /// Names the request: the same name with the same calls is the same intent, in this and every later
    /// process on the same stores, and is carried out and counted once. See
    /// [`Operation::id`](session_key_client::Operation::id).
    pub fn id(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the time limit for everything, 90 seconds by default.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how deep its block must be before it is answered.
    pub const fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// Sends it in an operation of its own, also if the agent lets requests share one.
    pub const fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// Sends it only if the model is certain; see
    /// [`Operation::strict`](session_key_client::Operation::strict).
    pub const fn strict(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Returns whether it would pass now, by the agent's rules and by the key's, and from when on. Nothing is
    /// reserved or signed.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ledger`], [`AgentError::Operation`]: what prevents an answer.
    pub async fn check(&self) -> Result<Preflight, AgentError> {
        self.agent.preflight(self).await
    }

    /// Checks the agent's rules and reserves what it uses of them, then returns at once. The rest goes on in
    /// a task, whether or not the ticket is awaited. If the process ends before anything is signed, nothing
    /// happens: a later process asks by name again.
    ///
    /// # Errors
    ///
    /// [`AgentError::Rules`], [`AgentError::Ledger`]: nothing was or will be signed.
    /// [`AgentError::Operation`]: nor now, but an earlier request of the name may have happened.
    pub async fn submit(self) -> Result<Ticket, AgentError> {
        let name = self.name.clone();
        let admitted = self.admitted_in_time().await?;
        let intent = admitted.intent;
        let task = tokio::spawn(admitted.into_future());
        Ok(Ticket { name, intent, task })
    }

    /// Checks the agent's rules and reserves what it uses of them, like [`submit`](Self::submit), and leaves
    /// it to the caller when the rest begins, for which there is the whole time limit again. After
    /// [`ADMITTED`], there is less: it ends before its reservation may be given to others.
    ///
    /// # Errors
    ///
    /// [`AgentError::Rules`], [`AgentError::Ledger`]: nothing was signed. [`AgentError::Operation`]: nor now,
    /// but an earlier request of the name may have happened.
    pub async fn admit(self) -> Result<Admitted, AgentError> {
        let began = Instant::now();
        let intent = self.agent.new_intent();
        let held = self.agent.admit(&self, intent).await?;
        Ok(Admitted {
            request: self,
            intent,
            held,
            began,
        })
    }

    /// Admits it, and takes the time for that from its limit.
    async fn admitted_in_time(self) -> Result<Admitted, AgentError> {
        let mut admitted = self.admit().await?;
        let limit = &mut admitted.request.timeout;
        *limit = limit.saturating_sub(admitted.began.elapsed());
        Ok(admitted)
    }

    async fn run(self) -> Result<Included, AgentError> {
        self.admitted_in_time().await?.await
    }
}

/// How long an [admitted](Request::admit) request may wait and still have its whole time limit.
pub const ADMITTED: Duration = Duration::from_secs(45);

/// A request whose use of the agent's rules is reserved. Awaiting it carries it out.
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is awaited, and its reservation stays until its time is over"]
pub struct Admitted {
    request: Request,
    intent: IntentId,
    held: Held,
    /// When its admission began, before its reservation was made.
    began: Instant,
}

impl Admitted {
    /// Returns the id of its intent in the journal, unless it continues an earlier one of its name.
    pub const fn intent(&self) -> IntentId {
        self.intent
    }

    /// Gives back what was reserved. Nothing was signed.
    ///
    /// # Errors
    ///
    /// [`AgentError::Ledger`]: it stays reserved until its time is over.
    pub async fn withdraw(self) -> Result<(), AgentError> {
        self.request.agent.release(self.intent, self.held).await
    }
}

impl IntoFuture for Admitted {
    type Output = Result<Included, AgentError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self {
            mut request,
            intent,
            held,
            began,
        } = self;
        // It ends before its reservation does.
        let left = (request.timeout + GRACE).saturating_sub(began.elapsed());
        request.timeout = request.timeout.min(left);
        Box::pin(async move { request.agent.carry_out(&request, intent, held).await })
    }
}

impl IntoFuture for Request {
    type Output = Result<Included, AgentError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Carries it out, and waits until it is included. If the future is dropped, what was reserved stays
    /// reserved until the chain has decided, or the request's time is over.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A submitted request. Awaiting it returns what happened.
#[derive(Debug)]
#[must_use = "nobody is told what becomes of a request whose ticket is not awaited"]
pub struct Ticket {
    name: Option<String>,
    intent: IntentId,
    task: JoinHandle<Result<Included, AgentError>>,
}

impl Ticket {
    /// Returns the request's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the id of its intent in the journal, unless it continues an earlier one of its name.
    pub const fn intent(&self) -> IntentId {
        self.intent
    }

    /// Whether it is decided, so that awaiting it does not wait.
    pub fn is_done(&self) -> bool {
        self.task.is_finished()
    }
}

impl IntoFuture for Ticket {
    type Output = Result<Included, AgentError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.task.await.unwrap_or(Err(AgentError::Gone)) })
    }
}
