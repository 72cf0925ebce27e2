//! The agent's service: holds a session key for others.

use super::{ASKING, Json, Outcome, chain::Chain, clean, keys::Keystore, not_begun, waited};
use crate::{
    answer::{Answer, Tone, print_failure_line},
    failure::{Exit, Failure, WrongInput, asked_to_end},
    files::{PolicyFile, read},
    report::print_note,
    settings::Sources,
};
use async_trait::async_trait;
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr as _, ensure};
use session_key_agent::store::{PostgresOptions, Stores};
use session_key_agent_service::{
    ClientSettings, Config, Place, Service, ServiceSettings, Stopped, Token,
    bridge::{Bridge, Target},
    log::verify_file,
    mcp::{Tools, standard_streams},
    recover,
};
use session_key_client::{
    SessionKeyClient, SessionKeySigner,
    alloy::{
        primitives::{Address, B256, ChainId, Signature},
        signers::{self, Signer},
    },
    permissions::{parse_address, policy::Facts},
    signer::EnvironmentStorage,
    submit::BundlerSubmitter,
};
use std::{
    env::VarError,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};

/// Environment variable with the session key, instead of the keystore.
const KEY: &str = "SESSION_KEY_AGENT_KEY";
/// Environment variable with a client's token.
const TOKEN: &str = "SESSION_KEY_AGENT_TOKEN";
/// Environment variable with the connection string of a PostgreSQL server for the store.
const STORE: &str = "SESSION_KEY_AGENT_STORE";
/// How often open operations are looked at.
const SETTLE: Duration = Duration::from_secs(30);

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Hold a session key, and serve it to clients within a policy each.
    ///
    /// Serves JSON-RPC (EIP-5792) on a unix socket, or on 127.0.0.1 with --port, until it is asked to end:
    /// then it waits for what is on its way. Clients never see the key.
    Serve(ServeArguments),

    /// Serve the Model Context Protocol on standard input and output, for a language model.
    ///
    /// A client of `agent serve`: it holds a token, and never the key. The token is read from
    /// SESSION_KEY_AGENT_TOKEN, or from --token-file.
    Mcp(McpArguments),

    /// Make a token for a client: write it to a file, and print its hash for the configuration.
    Token(TokenArguments),

    /// After a store was restored from an older backup: find on the chain what it forgot.
    ///
    /// Reads the key's operations, and adds to the decision log which accepted bundles they carried out. Run
    /// it before the service is started again. Exit code 1: there are operations that it cannot attribute.
    Recover(RecoverArguments),

    /// Verify a decision log. Exit code 1: it is not as it was written.
    VerifyLog(VerifyLogArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The session key: in the keystore, or in SESSION_KEY_AGENT_KEY.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The configuration: the clients, with the hash of each one's token, and its policy.
    #[arg(long, value_name = "FILE")]
    clients: PathBuf,

    /// The folder with the decision log (decisions.log), and the store (agent.sqlite) unless a server has it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    /// A file with the connection string of a PostgreSQL server, which has the store instead of the folder.
    ///
    /// Or set SESSION_KEY_AGENT_STORE. For example: postgresql://agent:password@127.0.0.1/agent.
    #[arg(long, value_name = "FILE")]
    store_file: Option<PathBuf>,

    /// The unix socket [default: agent.sock in the folder].
    #[arg(long, value_name = "FILE", conflicts_with = "port")]
    socket: Option<PathBuf>,

    /// Listen at this port of 127.0.0.1 instead of a unix socket; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// How long an operation may take until it is left open, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(5..=600))]
    operation_timeout: u64,

    /// How long to wait, when asked to end, for operations that are on their way, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=600))]
    stop_timeout: u64,

    #[command(flatten)]
    keystore: Keystore,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct McpArguments {
    /// The service's unix socket.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "port",
        conflicts_with = "port"
    )]
    socket: Option<PathBuf>,

    /// The service's port of 127.0.0.1.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// A file with the client's token, instead of SESSION_KEY_AGENT_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The file to create, which its owner alone can read.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct RecoverArguments {
    /// The session key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The service's folder, with the decision log.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyLogArguments {
    /// The log.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The hash of an entry that the log must have: one that was printed or copied earlier. Without it, a log
    /// whose last entries were removed is not noticed.
    #[arg(long, value_name = "HASH")]
    expect: Option<B256>,

    #[command(flatten)]
    pub(crate) json: Json,
}

impl AgentCommand {
    pub(crate) const fn is_json(&self) -> bool {
        match self {
            Self::Serve(arguments) => arguments.sources.json,
            Self::Mcp(_) => false,
            Self::Token(arguments) => arguments.json.json,
            Self::Recover(arguments) => arguments.sources.json,
            Self::VerifyLog(arguments) => arguments.json.json,
        }
    }

    /// Runs a command that prints as it runs. `None`: it is another.
    pub(crate) async fn run(&self) -> Option<ExitCode> {
        match self {
            Self::Serve(arguments) => Some(serve(arguments).await),
            Self::Mcp(arguments) => Some(mcp(arguments).await),
            Self::Token(_) | Self::Recover(_) | Self::VerifyLog(_) => None,
        }
    }

    pub(crate) async fn outcome(&self) -> Outcome {
        match self {
            Self::Token(arguments) => not_begun(token(arguments)),
            Self::Recover(arguments) => not_begun(waited(ASKING, recovered(arguments)).await),
            Self::VerifyLog(arguments) => not_begun(verify_log(arguments)),
            Self::Serve(_) | Self::Mcp(_) => Ok(Answer::new()),
        }
    }
}

/// A service that runs.
struct Running {
    service: Service,
    address: String,
    account: Address,
    chain_id: u64,
    clients: Vec<String>,
    end: watch::Sender<bool>,
    serving: JoinHandle<()>,
    settling: JoinHandle<()>,
}

async fn serve(arguments: &ServeArguments) -> ExitCode {
    let is_json = arguments.sources.json;
    let running = match arguments.sources.time_limit.all(begin(arguments)).await {
        Ok(running) => running,
        Err(error) => return print_failure_line(&Failure::before(&error), is_json).into(),
    };
    let mut answer = Answer::new();
    answer
        .data("ok", true)
        .data("event", "serving")
        .data("address", &running.address)
        .data("account", running.account.to_string())
        .data("sessionKey", arguments.key.to_string())
        .data("chainId", running.chain_id)
        .data("clients", &running.clients)
        .heading(format!(
            "Serving session key {} of {} (chain {})",
            arguments.key, running.account, running.chain_id
        ))
        .raw(format!("  {}", running.address))
        .line(Tone::Quiet, 0, "Ends with Ctrl-C.");
    let printed = answer.print_event(is_json);
    if printed.is_ok() && asked_to_end().await.is_err() {
        // Signals cannot be received: it serves until it is killed.
        std::future::pending::<()>().await;
    }
    let stopped = stop(running, Duration::from_secs(arguments.stop_timeout)).await;
    let Stopped { open, head } = match stopped {
        Ok(stopped) => stopped,
        Err(error) => return print_failure_line(&Failure::during(&[error]), is_json).into(),
    };
    let mut answer = Answer::new();
    answer
        .data("ok", open == 0)
        .data("event", "stopped")
        .data("open", open)
        .data("logHead", head);
    if open == 0 {
        answer.line(Tone::Good, 0, "Stopped: nothing is on its way.");
    } else {
        answer.line(
            Tone::Doubt,
            0,
            format!("Stopped with {open} on their way: the next start settles them."),
        );
    }
    answer.line(Tone::Quiet, 0, format!("The decision log ends with {head}."));
    let printed = printed.and_then(|()| answer.print_event(is_json));
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            print_failure_line(&Failure::during(&[error.into()]), is_json).into()
        }
        _ if open > 0 => Exit::Open.into(),
        _ => Exit::Done.into(),
    }
}

async fn stop(running: Running, limit: Duration) -> Result<Stopped> {
    // Clients may still ask what became of their bundles.
    let stopped = running.service.stop(limit).await;
    running.settling.abort();
    running.end.send_replace(true);
    // Its answers are short by now.
    let _ = tokio::time::timeout(Duration::from_secs(5), running.serving).await;
    Ok(stopped?)
}

fn signer(arguments: &ServeArguments) -> Result<SessionKeySigner> {
    if std::env::var_os(KEY).is_some_and(|key| !key.is_empty()) {
        let signer = SessionKeySigner::load(EnvironmentStorage::new(KEY))?;
        let found = signer.address();
        ensure!(
            found == arguments.key,
            WrongInput(format!("{KEY} holds session key {found}, not {}", arguments.key))
        );
        return Ok(signer);
    }
    arguments.keystore.load(arguments.key)
}

/// Reads the configuration, and the policy of each client.
async fn clients(path: &Path, chain: &Chain) -> Result<(Vec<ClientSettings>, Config)> {
    let text = read(path)?;
    let config = Config::parse(&text).map_err(|error| WrongInput(format!("{}: {error}", path.display())))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut clients = Vec::new();
    for client in &config.clients {
        let file = PolicyFile::read(&folder.join(&client.policy))?;
        ensure!(
            file.policy.has_agent_rules(),
            WrongInput(format!(
                "{}: client {} needs a policy with an [agent] table, and this one has none",
                file.name, client.name
            ))
        );
        // Amounts would be wrong by powers of ten.
        for (token, _) in file.policy.token_names() {
            if let (Some(given), Ok(said)) = (file.policy.decimals(token), chain.decimals(token).await) {
                ensure!(
                    given == said,
                    WrongInput(format!(
                        "{}: token {token} has {said} decimals, not {given}",
                        file.name
                    ))
                );
            }
        }
        let facts = Facts::new().native_symbol(chain.symbol());
        let rules = file
            .policy
            .agent_rules(&facts)
            .map_err(|error| file.wrong(error))?;
        clients.push(ClientSettings {
            name: client.name.clone(),
            token_hash: client.token_hash,
            rules,
            most_pending: usize::try_from(client.most_pending).unwrap_or(1),
            requests_per_second: client.requests_per_second,
            share: client.share,
        });
    }
    Ok((clients, config))
}

/// Opens the store: a PostgreSQL server's, or a file in the folder.
async fn stores(arguments: &ServeArguments) -> Result<Stores> {
    let store = arguments.state.join("agent.sqlite");
    let shown = clean(&store.display().to_string());
    let (connection, from) = match (&arguments.store_file, std::env::var(STORE)) {
        (Some(path), _) => (read(path)?, clean(&path.display().to_string())),
        (None, Ok(connection)) => (connection, STORE.to_owned()),
        (None, Err(VarError::NotPresent)) => {
            return Stores::sqlite(&store).await.wrap_err(shown);
        }
        (None, Err(VarError::NotUnicode(_))) => (String::new(), STORE.to_owned()),
    };
    let connection = connection.trim();
    // Not the file instead: its windows would be empty, and other services on the server would not be seen.
    ensure!(
        !connection.is_empty(),
        WrongInput(format!("{from} holds no connection string"))
    );
    ensure!(
        !store.exists(),
        WrongInput(format!(
            "{shown} is a store that was used: let a service without {from} settle what is open in it, then move it away"
        ))
    );
    // Its errors never repeat the connection string, which may hold a password.
    let options = PostgresOptions::new(connection).map_err(|error| WrongInput(format!("{from}: {error}")))?;
    Stores::postgres(options).await.wrap_err(from)
}

/// Makes a folder that its owner alone can enter.
fn make_private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .wrap_err_with(|| format!("--state {}", path.display()))
}

async fn begin(arguments: &ServeArguments) -> Result<Running> {
    let settings = arguments.sources.settings_for_signing(true)?;
    let keystore = Keystore {
        folder: arguments
            .keystore
            .folder
            .clone()
            .or_else(|| settings.keystore.clone()),
    };
    let arguments = &ServeArguments {
        clients: arguments.clients.clone(),
        state: arguments.state.clone(),
        store_file: arguments.store_file.clone(),
        socket: arguments.socket.clone(),
        sources: arguments.sources.clone(),
        keystore,
        ..*arguments
    };
    let signer: Arc<dyn Signer + Send + Sync> = Arc::new(signer(arguments)?);
    let chain = Chain::connect(settings).await?;
    let bundler = chain
        .bundler
        .as_ref()
        .ok_or_else(|| WrongInput("operations need a bundler: give --bundler-url".to_owned()))?;
    let (settings, config) = clients(&arguments.clients, &chain).await?;
    let names = settings.iter().map(|client| client.name.clone()).collect();
    make_private_folder(&arguments.state)?;
    let stores = stores(arguments).await?;
    let account = chain.account().await?.with_desk(stores.desk());
    let (address, chain_id) = (account.address(), chain.chain_id);
    if !matches!(account.is_session_key(arguments.key).await, Ok(true)) {
        print_note(&format!(
            "{} is not a session key of {address} yet: everything is refused until it is granted",
            arguments.key
        ));
    }
    let submitter = BundlerSubmitter::new(bundler.node.provider().clone(), account.deployment().entry_point)
        .with_node(chain.provider());
    let client = SessionKeyClient::shared(account, signer.clone(), Arc::new(submitter));
    let service_settings = ServiceSettings {
        clients: settings,
        metrics: config.metrics.map(|metrics| metrics.token_hash),
        from_block: chain.settings.from_block,
        timeout: Duration::from_secs(arguments.operation_timeout),
    };
    let log = arguments.state.join("decisions.log");
    let service = Service::start(client, signer, stores.ledger.clone(), service_settings, &log)
        .await
        .wrap_err_with(|| format!("{}", log.display()))?;
    let place = place(arguments).await?;
    let listens_at = place.address();
    let (end, ending) = watch::channel(false);
    let settling = service.clone();
    Ok(Running {
        address: listens_at,
        account: address,
        chain_id,
        clients: names,
        end,
        serving: tokio::spawn(session_key_agent_service::run(service.clone(), place, ending)),
        settling: tokio::spawn(async move { settling.settle(SETTLE).await }),
        service,
    })
}

async fn place(arguments: &ServeArguments) -> Result<Place> {
    if let Some(port) = arguments.port {
        let place = Place::loopback(port).await;
        return place.wrap_err_with(|| format!("port {port} of 127.0.0.1 cannot be listened on"));
    }
    #[cfg(unix)]
    {
        let path = arguments.socket.clone();
        let path = path.unwrap_or_else(|| arguments.state.join("agent.sock"));
        let shown = path.display().to_string();
        let place = Place::unix(path).await;
        place.wrap_err_with(|| format!("socket {shown} cannot be listened on"))
    }
    #[cfg(not(unix))]
    Err(WrongInput("there are no unix sockets here: give --port".to_owned()).into())
}

async fn mcp(arguments: &McpArguments) -> ExitCode {
    let ready = (|| {
        let token = match &arguments.token_file {
            Some(path) => read(path)?,
            None => std::env::var(TOKEN).unwrap_or_default(),
        };
        let token = token.trim();
        ensure!(
            token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()),
            WrongInput(format!(
                "a client's token is needed: set {TOKEN}, or give --token-file, with what `agent token` wrote"
            ))
        );
        let target = match (arguments.port, &arguments.socket) {
            (Some(port), _) => Target::Port(port),
            #[cfg(unix)]
            (None, Some(path)) => Target::Unix(path.clone()),
            _ => return Err(WrongInput("give --port".to_owned()).into()),
        };
        Ok(Tools::new(Bridge::new(target, Token::given(token.to_owned()))))
    })();
    let tools = match ready {
        Ok(tools) => tools,
        Err(error) => return print_failure_line(&Failure::before(&error), false).into(),
    };
    let (incoming, outgoing, written) = match standard_streams() {
        Ok(streams) => streams,
        Err(error) => return print_failure_line(&Failure::before(&error.into()), false).into(),
    };
    tokio::select! {
        () = tools.serve(incoming, outgoing) => {}
        Ok(()) = asked_to_end() => {}
    }
    let _ = tokio::time::timeout(Duration::from_secs(5), written).await;
    Exit::Done.into()
}

fn token(arguments: &TokenArguments) -> Result<Answer> {
    let token = Token::random();
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let shown = arguments.file.display().to_string();
    let mut file = options.open(&arguments.file).wrap_err_with(|| shown.clone())?;
    let written = file
        .write_all(format!("{}\n", token.expose_secret()).as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a token is none, and the next try makes the file anew.
        let _ = fs::remove_file(&arguments.file);
    }
    written.wrap_err_with(|| shown.clone())?;
    let hash = token.hash();
    let mut answer = Answer::new();
    answer
        .line(
            Tone::Good,
            0,
            format!("{} holds the token. For the configuration:", clean(&shown)),
        )
        .raw(format!("token_hash = \"{hash}\""))
        .data("file", shown)
        .data("tokenHash", hash);
    Ok(answer)
}

/// Signs nothing: recovery only reads the chain.
#[derive(Debug)]
struct NoSigner(Address);

#[async_trait]
impl Signer for NoSigner {
    async fn sign_hash(&self, _: &B256) -> signers::Result<Signature> {
        Err(signers::Error::message("recovery signs nothing"))
    }

    fn address(&self) -> Address {
        self.0
    }

    fn chain_id(&self) -> Option<ChainId> {
        None
    }

    fn set_chain_id(&mut self, _: Option<ChainId>) {}
}

async fn recovered(arguments: &RecoverArguments) -> Result<Answer> {
    let settings = arguments.sources.settings_for_signing(true)?;
    ensure!(
        settings.from_block > 0,
        WrongInput("give --from-block: the last one before the backup was made".to_owned())
    );
    let chain = Chain::connect(settings).await?;
    let account = chain.account().await?;
    let log = arguments.state.join("decisions.log");
    ensure!(
        log.is_file(),
        WrongInput(format!("there is no {}", log.display()))
    );
    let submitter = BundlerSubmitter::new(chain.provider(), account.deployment().entry_point);
    let client = SessionKeyClient::new(account, NoSigner(arguments.key), submitter);
    let from = chain.settings.from_block;
    let found = recover(&client, &log, from)
        .await
        .wrap_err_with(|| format!("{}", log.display()))?;
    let mut answer = Answer::new();
    answer.line(
        Tone::Good,
        0,
        format!(
            "Blocks {from} to {}: {} operations of the key; {} bundles that were not decided are included, which the log now says.",
            found.to_block, found.operations, found.settled
        ),
    );
    if found.undecided > 0 {
        let line = format!(
            "{} bundles stay undecided: nothing of them was found.",
            found.undecided
        );
        answer.line(Tone::Quiet, 2, line);
    }
    for unknown in &found.unknown {
        answer.line(
            Tone::Doubt,
            2,
            format!("{unknown} belongs to no bundle of the log, or to one of several equal ones"),
        );
    }
    answer
        .data("fromBlock", from)
        .data("toBlock", found.to_block)
        .data("operations", found.operations)
        .data("settled", found.settled)
        .data("undecided", found.undecided)
        .data("unknown", &found.unknown);
    answer.no(!found.unknown.is_empty());
    Ok(answer)
}

fn verify_log(arguments: &VerifyLogArguments) -> Result<Answer> {
    use session_key_agent_service::log::LogError;
    let shown = clean(&arguments.file.display().to_string());
    let mut answer = Answer::new();
    let (verified, problem) = match verify_file(&arguments.file, arguments.expect) {
        Ok(verified) => (Some(verified), None),
        Err(error @ (LogError::Broken { .. } | LogError::Lacks { .. })) => (None, Some(error.to_string())),
        Err(error) => return Err(eyre::Report::new(error).wrap_err(shown)),
    };
    match (&verified, &problem) {
        (Some(verified), _) => {
            answer.line(
                Tone::Good,
                0,
                format!(
                    "{shown} is whole: {} entries, the last is {}.",
                    verified.entries, verified.head
                ),
            );
            if verified.torn > 0 {
                answer.line(
                    Tone::Doubt,
                    2,
                    format!("{} bytes follow of a write that was interrupted.", verified.torn),
                );
            }
        }
        (None, problem) => {
            let problem = problem.as_deref().unwrap_or_default();
            answer.line(
                Tone::Bad,
                0,
                format!("{shown} is not as it was written: {problem}"),
            );
        }
    }
    answer
        .data("whole", verified.is_some())
        .data("problem", &problem)
        .data("entries", verified.map(|verified| verified.entries))
        .data("head", verified.map(|verified| verified.head))
        .data("bytesTorn", verified.map(|verified| verified.torn));
    answer.no(verified.is_none());
    Ok(answer)
}
