//! The service: what each client may ask, and what it is answered.

use crate::{
    bundles::{Bundle, Bundles, Standing},
    log::{DecisionLog, LogError, Verified},
    metrics::{Asked, Ended, Metrics, OfClient},
    queue::Queue,
    rpc::{RpcError, code},
    token::{TokenHash, find},
    wallet::{self, BundleId, SendCalls, WalletCall, only, read_calls},
    words,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use session_key_agent::{
    ADMITTED, Admitted, Agent, AgentError, Sharing,
    client::{
        Call, Node, SessionKeyClient,
        alloy::{
            primitives::{Address, B256, ChainId, Signature, keccak256},
            signers::{self, Signer},
        },
        deployment::native_symbol,
        explain::{ExplainOptions, explain_hash},
        inspect::{InspectOptions, inspect},
        journal::BlockRef,
        key_request::KeyRequest,
        operation::{Cause, Happened, Included, Machine, Outcome, Surroundings as _},
        permissions::{parse_address, policy::PolicyFormat, words::Names},
        request::clean_text,
        submit::Receipt,
    },
    ledger::Ledger,
    rules::AgentRules,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{sleep, timeout},
};

/// How long a question to the chain may take.
const LONGEST_QUESTION: Duration = Duration::from_secs(60);
/// The most questions of a client at a time.
const MOST_QUESTIONS: usize = 8;
/// How many requests of a client share an operation, if it wants that.
const TOGETHER: usize = 16;
/// The longest policy that a grant can be requested for, in bytes.
const LONGEST_POLICY: usize = 32 << 10;
/// The methods.
const METHODS: [&str; 10] = [
    "wallet_sendCalls",
    "wallet_getCallsStatus",
    "wallet_getCapabilities",
    "eth_chainId",
    "eth_accounts",
    "check",
    "budget",
    "explain",
    "request_grant",
    "other",
];

/// What one client may do.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Its name.
    pub name: String,
    /// The hash of its token.
    pub token_hash: TokenHash,
    /// The rules that it is held to.
    pub rules: AgentRules,
    /// The most bundles that wait or are on their way.
    pub most_pending: usize,
    /// The most requests within a second. Twice as many may come at once.
    pub requests_per_second: u32,
    /// Whether its bundles may share operations with each other.
    pub share: bool,
}

/// Settings of the service.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// The clients.
    pub clients: Vec<ClientSettings>,
    /// The hash of the token for the metrics; `None`: nobody reads them.
    pub metrics: Option<TokenHash>,
    /// The first block with events of the key.
    pub from_block: u64,
    /// How long an operation may take until it is left open.
    pub timeout: Duration,
}

/// A client of the running service.
#[derive(Debug)]
struct Client {
    name: String,
    agent: Agent,
    most_pending: usize,
    pending: AtomicUsize,
    bundles: Mutex<Bundles>,
    questions: Semaphore,
    rate: Mutex<Rate>,
}

/// Requests that may come now.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Rate {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            left: 2.0 * per_second,
            at: Instant::now(),
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = passed
            .mul_add(self.per_second, self.left)
            .min(2.0 * self.per_second);
        let passes = self.left >= 1.0;
        if passes {
            self.left -= 1.0;
        }
        passes
    }
}

struct Inner {
    clients: Vec<Client>,
    tokens: Vec<TokenHash>,
    metrics_token: Option<TokenHash>,
    client: SessionKeyClient,
    signer: Arc<dyn Signer + Send + Sync>,
    from_block: u64,
    timeout: Duration,
    queue: Arc<Queue>,
    log: DecisionLog,
    metrics: Metrics,
    is_stopping: AtomicBool,
    /// True once what waits for its turn shall not begin any more.
    withdraw: watch::Sender<bool>,
    /// The bundles on which a task works.
    working: AtomicUsize,
    ended: Notify,
    names: Names,
}

/// The service. Clones are the same.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("clients", &self.0.clients.len())
            .field("account", &self.0.client.account().address())
            .field("session_key", &self.0.client.session_key())
            .finish_non_exhaustive()
    }
}

/// How a service stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// How many bundles were still on their way. The journal has what was signed for them: the next start settles it.
    pub open: usize,
    /// The hash of the log's last entry.
    pub head: B256,
}

/// A signer behind a pointer.
struct Shared(Arc<dyn Signer + Send + Sync>);

#[async_trait]
impl Signer for Shared {
    async fn sign_hash(&self, hash: &B256) -> signers::Result<Signature> {
        self.0.sign_hash(hash).await
    }

    fn address(&self) -> Address {
        self.0.address()
    }

    fn chain_id(&self) -> Option<ChainId> {
        self.0.chain_id()
    }

    // A request for a grant names its chain itself.
    fn set_chain_id(&mut self, _: Option<ChainId>) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    Machine.unix_millis()
}

/// A parameter of `check`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    calls: Vec<WalletCall>,
}

/// A parameter of `request_grant`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    policy: String,
}

impl Service {
    /// Starts the service of a session key: its client, signer, and the ledger of the same stores as the client's journal. The log
    /// is verified, and what it says of bundles is known again.
    ///
    /// # Errors
    ///
    /// [`LogError`], if the log cannot be used: nothing is decided without it.
    pub async fn start(
        client: SessionKeyClient,
        signer: Arc<dyn Signer + Send + Sync>,
        ledger: Arc<dyn Ledger>,
        settings: ServiceSettings,
        log: impl Into<std::path::PathBuf>,
    ) -> Result<Self, LogError> {
        let tokens = settings.clients.iter().map(|client| client.token_hash).collect();
        let queue = Queue::new(
            settings
                .clients
                .iter()
                .map(|client| if client.share { TOGETHER } else { 1 }),
        );
        let clients: Vec<Client> = settings
            .clients
            .into_iter()
            .map(|settings| Client {
                agent: Agent::new(client.clone(), ledger.clone())
                    .with_group(settings.name.as_str())
                    .with_rules(settings.rules)
                    .with_sharing(settings.share.then(Sharing::default)),
                name: settings.name,
                most_pending: settings.most_pending,
                pending: AtomicUsize::new(0),
                bundles: Mutex::default(),
                questions: Semaphore::new(MOST_QUESTIONS),
                rate: Mutex::new(Rate::new(settings.requests_per_second)),
            })
            .collect();
        let (log, verified) = DecisionLog::open(log, |_, entry| {
            let client = clients
                .iter()
                .find(|client| Some(&client.name) == entry.client.as_ref());
            if let Some(client) = client {
                remember(&mut lock(&client.bundles), &entry.event, &entry.data);
            }
        })?;
        let chain_id = client.account().chain_id();
        let service = Self(Arc::new(Inner {
            clients,
            tokens,
            metrics_token: settings.metrics,
            signer,
            from_block: settings.from_block,
            timeout: settings.timeout,
            queue,
            log,
            metrics: Metrics::new(),
            is_stopping: AtomicBool::new(false),
            withdraw: watch::Sender::new(false),
            working: AtomicUsize::new(0),
            ended: Notify::new(),
            names: Names::new().native_symbol(native_symbol(chain_id)),
            client,
        }));
        service.begun(verified).await?;
        Ok(service)
    }

    async fn begun(&self, verified: Verified) -> Result<(), LogError> {
        if verified.torn > 0 {
            self.logged(None, "recovered", json!({ "bytesCut": verified.torn }))
                .await?;
        }
        let data = json!({
            "chainId": self.chain_id(),
            "account": self.account().to_string(),
            "sessionKey": self.0.client.session_key().to_string(),
            "clients": self.0.clients.iter().map(|client| client.name.as_str()).collect::<Vec<_>>(),
        });
        self.logged(None, "started", data).await.map(drop)
    }

    /// Settles what earlier processes left, then again and again, until it is dropped.
    pub async fn settle(&self, every: Duration) {
        loop {
            for (index, client) in self.0.clients.iter().enumerate() {
                let settled = if index == 0 {
                    client.agent.resume().await.map(drop)
                } else {
                    client.agent.reconcile().await.map(drop)
                };
                if let Err(error) = settled {
                    tracing::warn!(client = client.name, %error, "not settled, which is tried again");
                }
            }
            sleep(every.max(Duration::from_secs(1))).await;
        }
    }

    pub(crate) fn account(&self) -> Address {
        self.0.client.account().address()
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.0.client.account().chain_id()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Returns the client that has this token.
    pub(crate) fn client_of(&self, token: &[u8]) -> Option<usize> {
        find(token, self.0.tokens.iter().copied())
    }

    pub(crate) fn may_read_metrics(&self, token: &[u8]) -> bool {
        find(token, self.0.metrics_token.into_iter()).is_some()
    }

    /// Whether it stops, and takes no bundles.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::SeqCst)
    }

    /// Stops taking bundles. Those that wait for their turn do not begin; those that have begun are waited for, up to a limit. What
    /// is open then stays in the journal, and the next start settles it.
    ///
    /// # Errors
    ///
    /// [`LogError`]: the log does not say that it stopped.
    pub async fn stop(&self, limit: Duration) -> Result<Stopped, LogError> {
        self.0.is_stopping.store(true, Ordering::SeqCst);
        self.0.metrics.stopping.set(1);
        self.0.withdraw.send_replace(true);
        let all_ended = async {
            loop {
                let ended = self.0.ended.notified();
                if self.0.working.load(Ordering::SeqCst) == 0 {
                    return;
                }
                // Nothing is missed between the two.
                let _ = timeout(Duration::from_millis(100), ended).await;
            }
        };
        let _ = timeout(limit, all_ended).await;
        let open = self.0.working.load(Ordering::SeqCst);
        let head = self.logged(None, "stopped", json!({ "open": open })).await?;
        Ok(Stopped { open, head })
    }

    async fn logged(&self, client: Option<&str>, event: &'static str, data: Value) -> Result<B256, LogError> {
        let hash = self.0.log.add(now(), client, event, data).await?;
        self.0.metrics.log_entries.inc();
        Ok(hash)
    }

    /// Answers a request of a client.
    pub(crate) async fn answer(
        &self,
        client: usize,
        method: &str,
        params: Vec<Value>,
    ) -> Result<Value, RpcError> {
        let Some(asking) = self.0.clients.get(client) else {
            return Err(RpcError::new(code::UNAUTHORIZED, "there is no such client"));
        };
        let answer = if lock(&asking.rate).take(Instant::now()) {
            self.answered(client, asking, method, params).await
        } else {
            Err(RpcError::new(
                code::LIMIT,
                "too many requests: ask again in a second, and less often",
            ))
        };
        let method = METHODS
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("other");
        let code = answer
            .as_ref()
            .map_or_else(|error| error.code.to_string(), |_| "ok".to_owned());
        let asked = Asked {
            client: asking.name.clone(),
            method,
            answer: code,
        };
        self.0.metrics.requests.get_or_create(&asked).inc();
        answer
    }

    async fn answered(
        &self,
        index: usize,
        client: &Client,
        method: &str,
        params: Vec<Value>,
    ) -> Result<Value, RpcError> {
        match method {
            "eth_chainId" => return Ok(json!(format!("{:#x}", self.chain_id()))),
            "eth_accounts" => return Ok(json!([self.account().to_string()])),
            "wallet_getCapabilities" => {
                return wallet::capabilities(&params, self.chain_id(), self.account());
            }
            "wallet_sendCalls" => {
                let asked = only(params)?;
                let service = self.clone();
                // Whether or not the client waits for the answer, what is decided is decided whole.
                let decided = tokio::spawn(async move { service.send_calls(index, asked).await });
                let gone = |_| {
                    RpcError::new(
                        code::INTERNAL,
                        "whether it was accepted is not known: ask for its status",
                    )
                };
                return decided.await.unwrap_or_else(|error| Err(gone(error)));
            }
            _ => {}
        }
        let Ok(_place) = client.questions.try_acquire() else {
            return Err(RpcError::new(
                code::LIMIT,
                format!("{MOST_QUESTIONS} questions are being answered: ask again when one is"),
            ));
        };
        let question = async {
            match method {
                "wallet_getCallsStatus" => self.calls_status(client, BundleId::new(only(params)?)?).await,
                "check" => {
                    let Calls { calls } = only(params)?;
                    let request = client.agent.execute(read_calls(calls)?);
                    let preflight = request.check().await.map_err(|error| failed(&error))?;
                    Ok(words::preflight(&preflight, &self.0.names))
                }
                "budget" => self.budget(client, &params).await,
                "explain" => self.explain(client, only(params)?).await,
                "request_grant" => self.request_grant(client, only(params)?).await,
                _ => Err(RpcError::new(code::METHOD, "there is no such method")),
            }
        };
        match timeout(LONGEST_QUESTION, question).await {
            Ok(answer) => answer,
            Err(_) => Err(RpcError::new(
                code::INTERNAL,
                format!("no answer within {} seconds", LONGEST_QUESTION.as_secs()),
            )),
        }
    }

    async fn send_calls(&self, index: usize, asked: SendCalls) -> Result<Value, RpcError> {
        let Some(client) = self.0.clients.get(index) else {
            return Err(RpcError::new(code::UNAUTHORIZED, "there is no such client"));
        };
        let id = match asked.id.clone() {
            Some(id) => BundleId::new(id)?,
            None => {
                let mut random = B256::ZERO;
                Machine.fill_random(random.as_mut_slice());
                BundleId::new(random.to_string())?
            }
        };
        let calls = asked.calls(self.chain_id(), self.account())?;
        if self.is_stopping() {
            return Err(RpcError::new(code::STOPPING, "the service is stopping"));
        }
        let begun = client
            .pending
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |pending| {
                (pending < client.most_pending).then_some(pending + 1)
            });
        if begun.is_err() {
            return Err(RpcError::new(
                code::LIMIT,
                format!(
                    "{} bundles are on their way: ask again when one is decided",
                    client.most_pending
                ),
            ));
        }
        // Counts until it is dropped, by whichever task has it last.
        let work = Work::new(self.clone(), index);
        let calls_hash = hash_of(&calls);
        if let Err(known) = lock(&client.bundles).begin(id.hash, calls_hash) {
            return Err(duplicate(&known, calls_hash));
        }
        // Forgets the bundle, unless it is accepted: also if the asker goes away.
        let mut beginning = Beginning {
            client,
            id: id.hash,
            is_accepted: false,
        };
        let accepted = self.accept(client, &id, calls, calls_hash).await;
        let admitted = match accepted {
            Ok(admitted) => admitted,
            Err(error) => {
                if error.code == code::REJECTED {
                    let data = json!({
                        "id": shown(&id.text),
                        "idHash": id.hash,
                        "callsHash": calls_hash,
                        "error": { "message": error.message, "data": error.data },
                    });
                    self.logged(Some(&client.name), "refused", data)
                        .await
                        .map_err(|error| no_log(&error))?;
                }
                return Err(error);
            }
        };
        beginning.is_accepted = true;
        let service = self.clone();
        let accepted_id = id.clone();
        tokio::spawn(async move {
            service.carry_out(index, accepted_id, admitted).await;
            drop(work);
        });
        Ok(json!({ "id": id.text }))
    }

    /// Decides on a bundle, and writes that down.
    async fn accept(
        &self,
        client: &Client,
        id: &BundleId,
        calls: Vec<Call>,
        calls_hash: B256,
    ) -> Result<Admitted, RpcError> {
        let name = name_of(&client.name, id);
        let journal = client.agent.client().account().desk().journal();
        let scope = session_key_agent::client::journal::Scope {
            chain_id: self.chain_id(),
            account: self.account(),
            signer: self.0.client.session_key(),
        };
        let known = journal.named(&scope, &name).await;
        let known = known.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        if known.is_some() {
            return Err(
                RpcError::new(code::DUPLICATE, "the id was used before").with(json!({ "sameCalls": null }))
            );
        }
        let shown_calls: Vec<Value> = calls.iter().map(words::logged_call).collect();
        let request = client.agent.execute(calls).id(name).timeout(self.0.timeout);
        let preflight = match timeout(LONGEST_QUESTION, request.check()).await {
            Ok(checked) => checked.map_err(|error| failed(&error))?,
            Err(_) => {
                return Err(RpcError::new(
                    code::INTERNAL,
                    "the chain could not be read in time",
                ));
            }
        };
        if !words::passes(&preflight) {
            let data = words::preflight(&preflight, &self.0.names);
            return Err(RpcError::new(code::REJECTED, words::refusal(&preflight, &self.0.names)).with(data));
        }
        let admitted = request.admit().await.map_err(|error| failed(&error))?;
        let data = json!({
            "id": shown(&id.text),
            "idHash": id.hash,
            "callsHash": calls_hash,
            "calls": shown_calls,
            "intent": admitted.intent(),
        });
        if let Err(error) = self.logged(Some(&client.name), "accepted", data).await {
            let _ = admitted.withdraw().await;
            return Err(no_log(&error));
        }
        Ok(admitted)
    }

    /// Carries an accepted bundle out, and writes down what became of it.
    async fn carry_out(&self, index: usize, id: BundleId, admitted: Admitted) {
        let Some(client) = self.0.clients.get(index) else {
            return;
        };
        let begun = Instant::now();
        let mut withdraw = self.0.withdraw.subscribe();
        let turn = tokio::select! {
            biased;
            _ = withdraw.wait_for(|is_so| *is_so) => Err("the service stopped before its turn"),
            turn = timeout(ADMITTED, self.0.queue.turn(index)) => match turn {
                Ok(Some(turn)) => Ok(turn),
                Ok(None) => Err("there is no such client"),
                Err(_) => Err("its turn did not come in time: ask again"),
            },
        };
        let (standing, event, outcome) = match turn {
            Err(reason) => {
                if let Err(error) = admitted.withdraw().await {
                    tracing::warn!(%error, "a reservation stays until its time is over");
                }
                let error = RpcError::new(code::LIMIT, reason);
                (Standing::Refused(error), "withdrawn", "withdrawn")
            }
            Ok(turn) => {
                let done = admitted.await;
                drop(turn);
                match done {
                    Ok(included) => (Standing::Included(Box::new(included)), "decided", "included"),
                    Err(error) => self.ended_with(&error),
                }
            }
        };
        let mut data = json!({ "id": shown(&id.text), "idHash": id.hash, "outcome": outcome });
        match &standing {
            Standing::Included(included) => {
                data["userOpHash"] = json!(included.receipt.user_op_hash);
                data["transactionHash"] = json!(included.receipt.transaction_hash);
                data["block"] = json!(included.receipt.block_number);
            }
            Standing::Refused(error) => {
                data["error"] = json!({ "message": error.message, "data": error.data });
            }
            Standing::Pending | Standing::Open | Standing::Logged { .. } => {}
        }
        lock(&client.bundles).note(id.hash, None, standing);
        let ended = Ended {
            client: client.name.clone(),
            outcome,
        };
        self.0.metrics.bundles.get_or_create(&ended).inc();
        self.0.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        if let Err(error) = self.logged(Some(&client.name), event, data).await {
            tracing::error!(%error, "what became of a bundle is not in the log");
        }
    }

    fn ended_with(&self, error: &AgentError) -> (Standing, &'static str, &'static str) {
        if let AgentError::Operation(operation) = error
            && let Cause::Reverted { included } = &*operation.cause
        {
            return (Standing::Included(included.clone()), "decided", "reverted");
        }
        match error.happened() {
            Happened::No => {
                let error = RpcError::new(code::REJECTED, clean(&error.to_string()))
                    .with(words::error(error, &self.0.names));
                (Standing::Refused(error), "decided", "refused")
            }
            _ => (Standing::Open, "open", "open"),
        }
    }

    /// Returns what is known of a bundle: by this process, or else by the journal, which looks at the chain.
    async fn standing(&self, client: &Client, id: &BundleId) -> Result<Option<Standing>, RpcError> {
        let known = lock(&client.bundles).find(id.hash).cloned();
        match known.as_ref().map(|known| &known.standing) {
            None | Some(Standing::Open | Standing::Logged { .. }) => {}
            // A reorganization can still undo it.
            Some(Standing::Included(included)) if !included.is_final => {}
            Some(standing) => return Ok(Some(standing.clone())),
        }
        let found = match client.agent.client().named(&name_of(&client.name, id)).await {
            Ok(found) => found,
            Err(error) => {
                return match known.map(|known| known.standing) {
                    Some(included @ Standing::Included(_)) => Ok(Some(included)),
                    _ => Err(failed(&error.into())),
                };
            }
        };
        let standing = match found.map(|record| record.outcome()) {
            Some(Outcome::Included(included)) => Standing::Included(Box::new(included)),
            Some(Outcome::Open(_)) => return Ok(Some(Standing::Open)),
            // Nothing was signed for it, or what was signed can never be included.
            Some(_) => Standing::Refused(never()),
            None => match known.map(|known| known.standing) {
                Some(Standing::Logged {
                    operation,
                    transaction,
                }) => self.found_on_chain(operation, transaction).await?,
                Some(_) => Standing::Refused(never()),
                None => return Ok(None),
            },
        };
        lock(&client.bundles).note(id.hash, None, standing.clone());
        Ok(Some(standing))
    }

    /// Reads what the log says was included, and the journal does not know.
    async fn found_on_chain(&self, operation: B256, transaction: B256) -> Result<Standing, RpcError> {
        let account = self.0.client.account();
        let receipt = Node::new(account.provider().clone()).receipt(transaction).await;
        let receipt = receipt.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        let found = receipt.and_then(|receipt| {
            Receipt::find(
                &receipt,
                account.deployment().entry_point,
                operation,
                account.address(),
            )
        });
        let (receipt, success, reason) = found.ok_or_else(|| {
            RpcError::new(
                code::INTERNAL,
                format!(
                    "the log says that operation {operation} was included, and the node does not show it"
                ),
            )
        })?;
        let seen = BlockRef {
            number: receipt.block_number,
            hash: receipt.block_hash,
        };
        Ok(Standing::Included(Box::new(Included {
            receipt,
            success,
            reason,
            doubt: None,
            seen,
            is_final: false,
        })))
    }

    async fn calls_status(&self, client: &Client, id: BundleId) -> Result<Value, RpcError> {
        let standing = self.standing(client, &id).await?;
        let standing = standing.ok_or_else(|| RpcError::new(code::UNKNOWN, "no bundle has this id"))?;
        let (status, included) = match &standing {
            Standing::Pending | Standing::Open | Standing::Logged { .. } => (100, None),
            Standing::Included(included) if included.success => (200, Some(&**included)),
            Standing::Included(included) => (500, Some(&**included)),
            Standing::Refused(_) => (400, None),
        };
        let mut answer = wallet::status(&id.text, self.chain_id(), status, included);
        if let Standing::Refused(error) = &standing {
            answer["capabilities"] = json!({ "refusal": { "message": error.message, "data": error.data } });
        }
        Ok(answer)
    }

    async fn budget(&self, client: &Client, params: &[Value]) -> Result<Value, RpcError> {
        let wrong = || RpcError::params("at most 32 addresses of recipients are expected");
        let recipients: Option<Vec<Address>> = params
            .iter()
            .map(|address| parse_address(address.as_str()?).ok())
            .collect();
        let recipients = recipients
            .filter(|recipients| recipients.len() <= 32)
            .ok_or_else(wrong)?;
        let key = self.0.client.session_key();
        let options = InspectOptions::new().keys([key]).from_block(self.0.from_block);
        let inspection = inspect(self.0.client.account(), &options).await;
        let inspection =
            inspection.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        let time = inspection.block.timestamp;
        let found = inspection.key(key);
        let windows = client.agent.windows(&recipients).await;
        let windows = windows.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
        let rules = client.agent.rules();
        Ok(json!({
            "account": self.account().to_string(),
            "sessionKey": key.to_string(),
            "block": inspection.block.number,
            "time": time,
            "status": found.map(|found| found.state.status(time)),
            "complete": found.is_some_and(session_key_agent::client::inspect::InspectedKey::is_complete),
            "budgets": found.map(|found| found.state.budget_figures(time)).unwrap_or_default(),
            "windows": windows.iter().map(words::window).collect::<Vec<_>>(),
            "recipients": rules.recipients.as_ref().map(|recipients| {
                recipients.iter().map(ToString::to_string).collect::<Vec<_>>()
            }),
            "perCall": rules.per_call.iter().map(|(asset, most)| json!({
                "asset": words::asset(*asset), "most": most.to_string(),
            })).collect::<Vec<_>>(),
        }))
    }

    async fn explain(&self, client: &Client, what: String) -> Result<Value, RpcError> {
        let id = BundleId::new(what)?;
        let standing = self.standing(client, &id).await?;
        let own = match &standing {
            Some(Standing::Included(included)) => Some(included.receipt.user_op_hash),
            _ => None,
        };
        let refusal = match &standing {
            Some(Standing::Refused(error)) => json!({ "message": error.message, "data": error.data }),
            _ => Value::Null,
        };
        let hash = own.or_else(|| {
            let digits = id.text.strip_prefix("0x").filter(|digits| digits.len() == 64)?;
            digits.parse::<B256>().ok()
        });
        let bundle = standing.as_ref().map(|standing| match standing {
            Standing::Pending | Standing::Open | Standing::Logged { .. } => "pending",
            Standing::Included(included) if included.success => "included",
            Standing::Included(_) => "reverted",
            Standing::Refused(_) => "refused",
        });
        let mut operations = Vec::new();
        // An id that is a bundle's is not looked for as a hash.
        if let Some(hash) = hash.filter(|_| own.is_some() || standing.is_none()) {
            let options = ExplainOptions::new().from_block(self.0.from_block);
            let found = explain_hash(self.0.client.account(), hash, &options).await;
            let found = found.map_err(|error| RpcError::new(code::INTERNAL, clean(&error.to_string())))?;
            if let Ok(found) = found {
                operations.extend(found.iter().map(|found| words::explanation(found, &self.0.names)));
            }
        }
        if bundle.is_none() && operations.is_empty() {
            let message = "no bundle, operation or transaction has this id or hash";
            return Err(RpcError::new(code::UNKNOWN, message));
        }
        Ok(json!({ "bundle": bundle, "refusal": refusal, "operations": operations }))
    }

    async fn request_grant(&self, client: &Client, grant: Grant) -> Result<Value, RpcError> {
        if grant.policy.len() > LONGEST_POLICY {
            return Err(RpcError::params(format!(
                "a policy has at most {LONGEST_POLICY} bytes"
            )));
        }
        let format = if grant.policy.trim_start().starts_with('{') {
            PolicyFormat::Json
        } else {
            PolicyFormat::Toml
        };
        let expires_at = KeyRequest::expiry(now() / 1_000);
        let signer = Shared(self.0.signer.clone());
        let request = KeyRequest::new(
            &signer,
            self.chain_id(),
            self.account(),
            grant.policy,
            format,
            expires_at,
        );
        let request = request
            .await
            .map_err(|error| RpcError::params(clean(&error.to_string())))?;
        let data = json!({ "signingHash": request.signing_hash(), "expiresAt": expires_at });
        self.logged(Some(&client.name), "grant_requested", data)
            .await
            .map_err(|error| no_log(&error))?;
        Ok(json!({
            "request": request,
            "next": "Nothing is granted. The account's owner reads the request with `session-key request show FILE`, and decides. \
                     For a key that the account does not have yet: `session-key request approve FILE`. For one that it has: \
                     `session-key apply KEY POLICY`.",
        }))
    }
}

/// One bundle of the client, from the request until its outcome.
struct Work {
    service: Service,
    client: usize,
}

impl Work {
    fn new(service: Service, client: usize) -> Self {
        service.0.working.fetch_add(1, Ordering::SeqCst);
        let work = Self { service, client };
        work.gauge(1);
        work
    }

    fn gauge(&self, change: i64) {
        if let Some(client) = self.service.0.clients.get(self.client) {
            let of = OfClient {
                client: client.name.clone(),
            };
            self.service.0.metrics.pending.get_or_create(&of).inc_by(change);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.gauge(-1);
        if let Some(client) = self.service.0.clients.get(self.client) {
            client.pending.fetch_sub(1, Ordering::SeqCst);
        }
        self.service.0.working.fetch_sub(1, Ordering::SeqCst);
        self.service.0.ended.notify_waiters();
    }
}

/// A bundle that is not accepted yet.
struct Beginning<'a> {
    client: &'a Client,
    id: B256,
    is_accepted: bool,
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        if !self.is_accepted {
            lock(&self.client.bundles).forget(self.id);
        }
    }
}

/// Takes from the log what became of a bundle.
fn remember(bundles: &mut Bundles, event: &str, data: &Value) {
    let hash = |member: &str| data.get(member)?.as_str()?.parse::<B256>().ok();
    let Some(id) = hash("idHash") else {
        return;
    };
    match event {
        // If nothing else follows, the journal knows.
        "accepted" | "open" => bundles.note(id, hash("callsHash"), Standing::Open),
        "decided" | "withdrawn" => {
            let refusal = data.get("error").filter(|error| error.is_object());
            let standing = match refusal {
                Some(refusal) => {
                    let message = refusal.get("message").and_then(Value::as_str).unwrap_or_default();
                    let error = RpcError::new(code::REJECTED, message);
                    Standing::Refused(match refusal.get("data") {
                        Some(data) if !data.is_null() => error.with(data.clone()),
                        _ => error,
                    })
                }
                None => match (hash("userOpHash"), hash("transactionHash")) {
                    (Some(operation), Some(transaction)) => Standing::Logged {
                        operation,
                        transaction,
                    },
                    _ => Standing::Open,
                },
            };
            bundles.note(id, None, standing);
        }
        _ => {}
    }
}

fn never() -> RpcError {
    RpcError::new(
        code::REJECTED,
        "nothing was signed for it, or what was signed can never be included",
    )
}

fn no_log(error: &LogError) -> RpcError {
    RpcError::new(code::INTERNAL, clean(&error.to_string()))
}

fn failed(error: &AgentError) -> RpcError {
    let is_refusal = matches!(error, AgentError::Rules(_)) || error.verdict().is_some();
    let code = if is_refusal {
        code::REJECTED
    } else {
        code::INTERNAL
    };
    RpcError::new(code, clean(&error.to_string())).with(words::error(error, &Names::new()))
}

fn duplicate(known: &Bundle, calls: B256) -> RpcError {
    let same = known.calls.map(|known| known == calls);
    RpcError::new(code::DUPLICATE, "the id was used before").with(json!({ "sameCalls": same }))
}

fn clean(text: &str) -> String {
    clean_text(text, 500)
}

/// The start of an id, for people.
fn shown(id: &str) -> String {
    clean_text(id, 80)
}

/// The name of a bundle's intent: clients do not share names.
fn name_of(client: &str, id: &BundleId) -> String {
    format!("{client}:{:x}", id.hash)
}

/// The hash of calls, in order.
pub(crate) fn hash_of(calls: &[Call]) -> B256 {
    let parts = calls.iter().flat_map(|call| {
        [
            call.target.to_vec(),
            call.value.to_be_bytes::<32>().to_vec(),
            keccak256(&call.data).to_vec(),
        ]
    });
    keccak256(parts.collect::<Vec<_>>().concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_twice_a_seconds_requests_at_once() {
        let mut rate = Rate::new(10);
        let start = rate.at;
        assert_eq!((0..100).filter(|_| rate.take(start)).count(), 20);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rate.take(later)).count(), 5);
        let late = start + Duration::from_secs(100);
        assert_eq!((0..100).filter(|_| rate.take(late)).count(), 20);
    }
}
