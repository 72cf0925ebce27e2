//! A development network on a port: a chain, a bundler, the contracts, and accounts with session keys.

use crate::{
    amount::parse_amount,
    answer::{Answer, Tone, print_failure_line},
    failure::{Exit, Failure, WrongInput, asked_to_end},
    files::{PolicyFile, write_whole},
    state::LockedFile,
};
use clap::{Args, ValueEnum};
use eyre::{Result, WrapErr as _, ensure, eyre};
use futures_util::future::select_all;
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::{Address, U256},
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit, policy::Facts},
};
use session_key_devnet::{
    Devnet, DevnetOptions, Kind, WithKey,
    testkit::{BundlerOptions, Chain, ChainConfig, EntryPointVersion, HttpState, Server, dev_accounts},
};
use session_key_review::Review;
use std::{
    convert::Infallible,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A day, in seconds.
const DAY: u64 = 86_400;
/// Decimals of the test token.
const DECIMALS: u8 = 6;

/// When the bundler bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bundling {
    /// After each operation that it accepts: what can be bundled then.
    Auto,
    /// When `debug_bundler_sendBundleNow` is called.
    Manual,
}

/// An EntryPoint that the bundler can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ServedEntryPoint {
    /// EntryPoint v0.6.
    #[value(name = "v0.6")]
    V06,
    /// EntryPoint v0.7.
    #[value(name = "v0.7")]
    V07,
}

impl From<ServedEntryPoint> for EntryPointVersion {
    fn from(served: ServedEntryPoint) -> Self {
        match served {
            ServedEntryPoint::V06 => Self::V06,
            ServedEntryPoint::V07 => Self::V07,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DevnetArguments {
    /// The port; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    port: u16,

    /// The chain id [default: 31337; on a fork, the node's].
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// The policy of the session keys that it grants
    /// [default: 100 tokens and 0.1 ETH a day, for `transfer` of the test token].
    /// Those of a chain from --state stay as they are.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// When the bundler bundles.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Bundling::Auto)]
    bundling: Bundling,

    /// The EntryPoint that the bundler serves [default: both].
    #[arg(long, value_name = "VERSION", value_enum)]
    entry_point: Option<ServedEntryPoint>,

    /// The stake from which the bundler takes an entity for staked, with its unit.
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount, default_value = "1 ETH")]
    min_stake: U256,

    /// The unstake delay from which the bundler takes an entity for staked.
    #[arg(long, value_name = "SECONDS", default_value_t = DAY)]
    min_unstake_delay: u64,

    /// Load the chain from this file, if it is there, and save it there at the end.
    #[arg(long, value_name = "FILE", conflicts_with = "fork_url")]
    state: Option<PathBuf>,

    /// Start on the state of a node, fetched as it is needed; what was before is asked of it, too. HTTP only:
    /// for a node on this machine.
    #[arg(long, value_name = "URL")]
    fork_url: Option<String>,

    /// The block of that node to start on [default: the latest].
    #[arg(long, value_name = "BLOCK", requires = "fork_url")]
    fork_block: Option<u64>,

    /// Serve a review page for each account too, at free ports. Each address opens its page once.
    #[arg(long)]
    review: bool,

    /// Write URLs, addresses and keys to this file too, as environment variables.
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,

    /// Print one line of JSON instead of a text.
    #[arg(long)]
    json: bool,
}

/// Runs the network until the process is asked to end.
pub(crate) async fn run(arguments: &DevnetArguments) -> ExitCode {
    let mut started = match start(arguments).await {
        Ok(started) => started,
        Err(error) => return print_failure_line(&Failure::before(&error), arguments.json).into(),
    };
    if let Err(error) = started.show(arguments) {
        return print_failure_line(&Failure::during(&[error]), arguments.json).into();
    }
    tokio::select! {
        asked = asked_to_end() => if asked.is_err() {
            std::future::pending::<()>().await;
        },
        never = more_pages(&mut started.pages, arguments.json) => match never {},
    }
    // Nothing changes any more.
    drop(started.server);
    let saved = save(arguments, &started.devnet);
    drop(started.lock);
    match saved {
        Ok(()) => Exit::Done.into(),
        Err(error) => print_failure_line(&Failure::during(&[error]), arguments.json).into(),
    }
}

/// Prints a further address of a review page each time that another browser asks for it.
async fn more_pages(pages: &mut [Page], is_json: bool) -> Infallible {
    loop {
        let next = pages
            .iter_mut()
            .map(|page| Box::pin(async { (page.account, page.server.next_address().await) }));
        let next: Vec<_> = next.collect();
        if next.is_empty() {
            std::future::pending::<()>().await;
        }
        let ((account, address), ..) = select_all(next).await;
        // One line of JSON was promised.
        if is_json {
            continue;
        }
        let mut answer = Answer::new();
        answer
            .line(
                Tone::Plain,
                0,
                format!("Another browser asks for the page of {}:", shown(account)),
            )
            .raw(format!("  {address}"));
        // Whoever started it may read nothing.
        let _ = answer.print_event(false);
    }
}

/// A review page, and its first address.
struct Page {
    account: Address,
    url: String,
    server: session_key_review::Server,
}

/// An account with its session key.
struct Listed {
    generation: &'static str,
    with: WithKey,
    /// Whether the account has the key.
    is_granted: bool,
    /// Whether it has it from this start, with the policy.
    is_granted_now: bool,
}

impl Listed {
    /// Finds or makes the account. On a chain that goes on, an account's keys stay as their owner left them.
    async fn new(
        devnet: &Devnet,
        (generation, kind): (&'static str, Kind),
        permissions: &Permissions,
        origin: Origin,
    ) -> Result<Self> {
        let before = match origin {
            Origin::New => None,
            Origin::Saved | Origin::Fork => devnet.existing_key(kind).await?,
        };
        let was_granted = match &before {
            Some(with) => with.is_granted().await?,
            None => false,
        };
        let (with, is_granted_now) = match before {
            Some(with) if was_granted || origin == Origin::Saved => (with, false),
            _ => (devnet.key(kind, permissions).await?, true),
        };
        Ok(Self {
            generation,
            with,
            is_granted: was_granted || is_granted_now,
            is_granted_now,
        })
    }
}

/// Where a network's chain comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    New,
    /// From the file of `--state`.
    Saved,
    Fork,
}

/// A network that serves.
struct Started {
    devnet: Devnet,
    server: Server,
    pages: Vec<Page>,
    accounts: Vec<Listed>,
    /// Held while it may save its state.
    lock: Option<LockedFile>,
}

async fn start(arguments: &DevnetArguments) -> Result<Started> {
    let mut lock = None;
    if let Some(path) = &arguments.state {
        // What cannot be saved at the end is better said now.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
            .wrap_err_with(|| format!("{} cannot be written", path.display()))?;
        // The later one to end would undo what the other one saved.
        let locked = LockedFile::new(path, Duration::ZERO, || {}).await;
        lock = Some(locked.wrap_err_with(|| format!("{} is used by another network", path.display()))?);
    }
    let (devnet, origin) = network(arguments)?;
    let token = devnet.stack().token;
    let permissions = match &arguments.policy {
        Some(path) => {
            let file = PolicyFile::read(path)?;
            let facts = Facts::new().granted_at(now()).decimals(token, DECIMALS);
            file.policy
                .resolve(&facts)
                .map_err(|error| file.wrong(error))?
                .permissions
        }
        None => default_permissions(token),
    };
    let mut accounts = Vec::new();
    for listed in [("v0.7", Kind::V07), ("v0.8", Kind::V08)] {
        accounts.push(Listed::new(&devnet, listed, &permissions, origin).await?);
    }
    devnet.bundler().change(|options| {
        options.auto = arguments.bundling == Bundling::Auto;
        options.debug_methods = true;
        options.max_bundle = 100;
        if let Some(served) = arguments.entry_point {
            options.entry_points = [served.into()].into();
        }
        if let Some(rules) = &mut options.rules {
            rules.min_stake = arguments.min_stake;
            rules.min_unstake_delay = arguments.min_unstake_delay;
        }
    });
    let server = devnet
        .serve(arguments.port)
        .wrap_err_with(|| format!("port {} of 127.0.0.1 cannot be listened on", arguments.port))?;
    let mut pages = Vec::new();
    if arguments.review {
        for Listed { with, .. } in &accounts {
            let mut server = Review::new(with.account.clone()).serve(0).await?;
            pages.push(Page {
                account: with.account.address(),
                url: server.next_address().await,
                server,
            });
        }
    }
    Ok(Started {
        devnet,
        server,
        pages,
        accounts,
        lock,
    })
}

fn network(arguments: &DevnetArguments) -> Result<(Devnet, Origin)> {
    // For the operations that make the accounts; the user's wishes come after them.
    let bundler = BundlerOptions {
        auto: true,
        ..BundlerOptions::default()
    };
    if let Some(path) = &arguments.state
        && let Some(text) = read_state(path)?
    {
        let chain = Chain::load(&text).wrap_err_with(|| path.display().to_string())?;
        ensure!(
            arguments.chain_id.is_none_or(|id| id == chain.chain_id()),
            "{} is of chain {}",
            path.display(),
            chain.chain_id()
        );
        return Ok((Devnet::on(chain, bundler)?, Origin::Saved));
    }
    let mut options = DevnetOptions {
        bundler,
        ..DevnetOptions::default()
    };
    let origin = if let Some(url) = &arguments.fork_url {
        ensure!(
            url.starts_with("http://"),
            WrongInput("--fork-url: only http URLs, such as that of a node on this machine".to_owned())
        );
        let (state, config) = HttpState::connect(url, arguments.fork_block)?;
        options.chain = config;
        options.history = Some(state.clone());
        options.fork = Some(Arc::new(state));
        Origin::Fork
    } else {
        options.chain = ChainConfig {
            genesis_timestamp: now(),
            ..ChainConfig::default()
        };
        Origin::New
    };
    if let Some(chain_id) = arguments.chain_id {
        options.chain.chain_id = chain_id;
    }
    Ok((Devnet::new(options)?, origin))
}

/// Reads the file; `None` if it is not there yet.
fn read_state(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).wrap_err_with(|| path.display().to_string()),
    }
}

fn save(arguments: &DevnetArguments, devnet: &Devnet) -> Result<()> {
    let Some(path) = &arguments.state else {
        return Ok(());
    };
    let saved = devnet.testkit().chain().save();
    let saved = saved.ok_or_else(|| eyre!("a fork cannot be saved"))?;
    write_whole(path, &saved).wrap_err_with(|| path.display().to_string())
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// 100 tokens a day by `transfer`, and 0.1 ETH a day for gas.
fn default_permissions(token: Address) -> Permissions {
    Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .erc20_spend_limit(token, SpendLimit::per(U256::from(100_000_000), DAY))
        .gas_spend_limit(SpendLimit::per(U256::from(10).pow(U256::from(17)), DAY))
}

impl Started {
    /// Prints where it is and what is on it, and writes the file with environment variables.
    fn show(&self, arguments: &DevnetArguments) -> Result<()> {
        if let Some(path) = &arguments.env {
            write_whole(path, &self.environment()).wrap_err_with(|| path.display().to_string())?;
        }
        let mut answer = Answer::new();
        self.describe(&mut answer, arguments);
        match answer.print_event(arguments.json) {
            Ok(()) => Ok(()),
            // Whoever started it reads nothing: it serves all the same.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn describe(&self, answer: &mut Answer, arguments: &DevnetArguments) {
        let url = self.server.url();
        let (stack, stack_v08) = (self.devnet.stack(), self.devnet.stack_v08());
        let chain_id = self.devnet.testkit().chain().chain_id();
        answer
            .data("ok", true)
            .data("chainId", chain_id)
            .data("rpcUrl", url)
            .data("bundlerUrl", url)
            .data(
                "entryPoints",
                [stack.entry_point, stack_v08.entry_point].map(shown),
            )
            .data(
                "contracts",
                json!({
                    "entryPointV06": shown(stack.entry_point),
                    "multiOwnerPlugin": shown(stack.multi_owner_plugin),
                    "sessionKeyPlugin": shown(stack.session_key_plugin),
                    "accountImplementation": shown(stack.account_implementation),
                    "accountFactory": shown(stack.account_factory),
                    "entryPointV07": shown(stack_v08.entry_point),
                    "sessionKeyModule": shown(stack_v08.session_key_module),
                    "accountFactoryV08": shown(stack_v08.account_factory),
                    "testToken": shown(stack.token),
                    "testPaymasterV06": shown(stack.paymaster),
                    "testPaymasterV07": shown(stack_v08.paymaster),
                }),
            );
        let accounts: Vec<Value> = self
            .accounts
            .iter()
            .map(|listed| account_json(listed, self.page_of(&listed.with)))
            .collect();
        if let Some(first) = accounts.first() {
            for member in [
                "account",
                "owner",
                "ownerPrivateKey",
                "sessionKey",
                "sessionKeyPrivateKey",
            ] {
                answer.data(member, &first[member]);
            }
        }
        answer.data("accounts", accounts);

        answer
            .heading("A development network. Its keys are public: nothing on it has value.")
            .raw(format!("  Chain {chain_id}, node and bundler   {url}"));
        for listed in &self.accounts {
            let account = &listed.with;
            answer
                .heading(format!("Account of ERC-6900 {}", listed.generation))
                .raw(format!("  account        {}", shown(account.account.address())))
                .raw(format!(
                    "  owner          {}",
                    shown(account.owner_account.address)
                ))
                .raw(format!("    private key  {}", account.owner_account.private_key))
                .raw(format!("  session key    {}", shown(account.session_key.address)))
                .raw(format!("    private key  {}", account.session_key.private_key));
            if !listed.is_granted {
                answer.raw("    granted      no, as the account was saved");
            } else if !listed.is_granted_now {
                answer.raw("    granted      before this start");
            }
            if let Some(url) = self.page_of(account) {
                answer.raw(format!("  review page    {url}"));
            }
        }
        answer
            .heading("Contracts")
            .raw(format!(
                "  session key plugin (v0.7)   {}",
                shown(stack.session_key_plugin)
            ))
            .raw(format!(
                "  session key module (v0.8)   {}",
                shown(stack_v08.session_key_module)
            ))
            .raw(format!(
                "  EntryPoint v0.6             {}",
                shown(stack.entry_point)
            ))
            .raw(format!(
                "  EntryPoint v0.7             {}",
                shown(stack_v08.entry_point)
            ))
            .raw(format!("  test token, 6 decimals      {}", shown(stack.token)));
        if let Some(path) = &arguments.env {
            answer.raw("").line(
                Tone::Plain,
                0,
                format!(
                    "In another shell: set -a; . {}; session-key inspect",
                    path.display()
                ),
            );
        }
        answer.raw("").line(Tone::Quiet, 0, "Ends with Ctrl-C.");
    }

    /// The address of an account's review page.
    fn page_of(&self, account: &WithKey) -> Option<&str> {
        let address = account.account.address();
        let page = self.pages.iter().find(|page| page.account == address);
        page.map(|page| page.url.as_str())
    }

    /// The variables that the other commands read, and what else a client needs.
    fn environment(&self) -> String {
        let url = self.server.url();
        let mut lines = vec![
            format!("ETH_RPC_URL={url}"),
            format!("SESSION_KEY_BUNDLER_URL={url}"),
            format!(
                "SESSION_KEY_CHAIN_ID={}",
                self.devnet.testkit().chain().chain_id()
            ),
            format!("SESSION_KEY_FUNDER={}", dev_accounts()[0].private_key),
        ];
        if let Some(Listed { with: first, .. }) = self.accounts.first() {
            lines.extend([
                format!("SESSION_KEY_ACCOUNT={}", shown(first.account.address())),
                format!("SESSION_KEY_OWNER={}", first.owner_account.private_key),
                format!("DEVNET_SESSION_KEY={}", first.session_key.private_key),
            ]);
        }
        for Listed { generation, with, .. } in &self.accounts {
            let suffix = generation.replace("v0.", "V0");
            lines.push(format!(
                "DEVNET_ACCOUNT_{suffix}={}",
                shown(with.account.address())
            ));
        }
        lines.push(format!("DEVNET_TOKEN={}", shown(self.devnet.stack().token)));
        lines.join("\n") + "\n"
    }
}

fn account_json(listed: &Listed, page: Option<&str>) -> Value {
    let account = &listed.with;
    json!({
        "generation": listed.generation,
        "account": shown(account.account.address()),
        "owner": shown(account.owner_account.address),
        "ownerPrivateKey": account.owner_account.private_key,
        "sessionKey": shown(account.session_key.address),
        "sessionKeyPrivateKey": account.session_key.private_key,
        "isGranted": listed.is_granted,
        "isGrantedNow": listed.is_granted_now,
        "reviewUrl": page,
    })
}

fn shown(address: Address) -> String {
    address.to_checksum(None)
}
