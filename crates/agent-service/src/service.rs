//! The service: what each client may ask, and what it is answered.

mod questions;
mod rate;
mod send;
mod status;

pub(crate) use send::hash_of;

use crate::{
    bundles::Bundles,
    log::{DecisionLog, LogError, Verified},
    metrics::{Asked, Metrics},
    queue::Queue,
    rpc::{RpcError, code},
    token::{TokenHash, find},
    wallet::{self, BundleId, WalletCall, only, read_calls},
    words,
};
use rate::Rate;
use serde::Deserialize;
use serde_json::{Value, json};
use session_key_agent::{
    Agent, AgentError, Sharing,
    client::{
        SessionKeyClient,
        alloy::{
            primitives::{Address, B256},
            signers::Signer,
        },
        deployment::native_symbol,
        operation::{Machine, Surroundings as _},
        permissions::words::Names,
        request::clean_text,
    },
    ledger::Ledger,
    rules::AgentRules,
};
use status::remember;
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
    /// How many bundles were still on their way. The journal has what was signed for them: the
    /// next start settles it.
    pub open: usize,
    /// The hash of the log's last entry.
    pub head: B256,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    Machine.unix_millis()
}

impl Service {
    /// Starts the service of a session key: its client, signer, and the ledger of the same stores as the
    /// client's journal. The log is verified, and what it says of bundles is known again.
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

    /// Stops taking bundles. Those that wait for their turn do not begin; those that have begun are waited
    /// for, up to a limit. What is open then stays in the journal, and the next start settles it.
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
}

/// A parameter of `check`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    calls: Vec<WalletCall>,
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

fn clean(text: &str) -> String {
    clean_text(text, 500)
}

/// The name of a bundle's intent: clients do not share names.
fn name_of(client: &str, id: &BundleId) -> String {
    format!("{client}:{:x}", id.hash)
}
