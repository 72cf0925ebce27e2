//! Commands of an owner: grant, apply, rotate, revoke and the like.

use super::{ASKING, Outcome, chain::Chain, keys::Keystore, not_begun, show, waited};
use crate::{
    answer::{Answer, Tone, hashes},
    failure::{Ended, Exit, Failure, Interrupted, NotReported, WrongInput, asked_to_end},
    files::{PolicyFile, write_whole},
    purse::Purse,
    settings::{Settings, Sources},
    transactions::{INCLUSION_TIMEOUT, Transactions},
};
use clap::{Args, ValueEnum};
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde_json::{Value, json};
use session_key_client::{
    NewSessionKey, OwnerAction, OwnerClient, SmartAccount,
    account::ConnectError,
    alloy::{
        primitives::{Address, B256, Bytes, U256, keccak256},
        signers::local::PrivateKeySigner,
    },
    calldata,
    inspect::InspectOptions,
    journal::SqliteJournal,
    operation::{Bounds, Operation, Progress},
    permissions::{
        KeyState, Permissions,
        lint::Lint,
        parse_address,
        plan::{LimitMode, Plan, is_as},
        policy::{Facts, LockedGrant, Resolved},
        words::Names,
    },
    signer::{KeyStorage as _, KeystoreFile},
    submit::BundlerSubmitter,
};
use std::{
    collections::BTreeMap,
    env,
    io::{IsTerminal as _, Write as _, stderr, stdin},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// What is waited for when something was sent.
const INCLUSION: &str = "waiting until it is in a block";
/// What is waited for before a transaction is sent.
const EARLIER: &str = "waiting for earlier transactions of the owner";
/// Environment variable with the owner's private key.
const OWNER: &str = "SESSION_KEY_OWNER";
/// Environment variable with the password of the owner's keystore.
const OWNER_PASSWORD: &str = "SESSION_KEY_OWNER_PASSWORD";

/// What commands that write take.
#[derive(Clone, Debug, Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) sources: Sources,

    /// The owner's key, in an encrypted file; its password is read from SESSION_KEY_OWNER_PASSWORD. Without it, the owner's private
    /// key is read from SESSION_KEY_OWNER.
    #[arg(long, value_name = "FILE")]
    owner_keystore: Option<PathBuf>,

    /// Do not ask. Without a terminal nothing is signed otherwise.
    #[arg(long)]
    yes: bool,

    /// Show what would be done, and do nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,

    /// Send a plain transaction of the owner instead of an operation: no bundler is needed.
    #[arg(long)]
    direct: bool,

    /// Do it once more, also if the same was asked for before and is still open.
    #[arg(long)]
    again: bool,

    /// Where operations are written down before they are sent [default: journal.sqlite in the keystore's folder].
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    #[command(flatten)]
    keystore: Keystore,
}

/// What becomes of the amount used of limits that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Limits {
    /// What is used stays as long as its interval runs; of an interval that is over, it is cleared.
    Keep,
    /// What is used is cleared.
    Afresh,
    /// The limit is set, and the plugin does the rest: use of an interval that is over counts again.
    Raw,
}

impl From<Limits> for LimitMode {
    fn from(limits: Limits) -> Self {
        match limits {
            Limits::Keep => Self::Keep,
            Limits::Afresh => Self::Afresh,
            Limits::Raw => Self::Raw,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct NewAccountArguments {
    /// The owner [default: whoever signs].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    owner: Option<Address>,

    /// A number that tells the owner's accounts apart.
    #[arg(long, value_name = "NUMBER")]
    salt: Option<U256>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
pub(crate) struct GrantArguments {
    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// The key. Without it, one is made in the keystore.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    key: Option<Address>,

    /// Another tag than the policy's: 32 bytes, or a text that is hashed.
    #[arg(long)]
    tag: Option<String>,

    /// The owner of the account, if that is not there yet [default: whoever signs].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    owner: Option<Address>,

    /// The salt of the account, if that is not there yet.
    #[arg(long, value_name = "NUMBER")]
    salt: Option<U256>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// Exit with code 1 if something would change.
    #[arg(long)]
    check: bool,

    /// What becomes of the amount used of limits that change. Must be said if something is used of one.
    #[arg(long, value_enum)]
    limits: Option<Limits>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// What becomes of the amount used of limits that change. Must be said if something is used of one.
    #[arg(long, value_enum)]
    limits: Option<Limits>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    /// The key that goes.
    #[arg(value_name = "OLD", value_parser = parse_address)]
    old: Address,

    /// The key that comes. Without it, one is made in the keystore.
    #[arg(value_name = "NEW", value_parser = parse_address)]
    new: Option<Address>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["keys", "all", "tag"]))]
pub(crate) struct RevokeArguments {
    /// The keys.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    keys: Vec<Address>,

    /// All keys of the account.
    #[arg(long)]
    all: bool,

    /// All keys with this tag: 32 bytes, or a text that is hashed.
    #[arg(long)]
    tag: Option<String>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Debug, Args)]
pub(crate) struct UnblockArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The last sequence number to end [default: the last that the journal knows].
    #[arg(long, value_name = "NUMBER")]
    nonce: Option<u64>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// What was done.
struct Done {
    user_op_hash: Option<B256>,
    transaction_hash: Option<B256>,
    block: Option<u64>,
}

/// An owner at a chain, about to sign.
struct Desk<'a> {
    writing: &'a Writing,
    chain: Chain,
    /// With session keys: as it was given, or as the settings file says.
    keystore: Keystore,
    has_signed: Arc<AtomicBool>,
    /// The operation that was signed last.
    signed: Arc<Mutex<Option<B256>>>,
}

impl Writing {
    fn settings(&self) -> Result<Settings> {
        if self.dry_run {
            self.sources.settings()
        } else {
            self.sources.settings_for_signing(self.yes)
        }
    }

    async fn desk(&self) -> Result<Desk<'_>> {
        let settings = self.settings()?;
        let mut chain = waited(ASKING, self.sources.time_limit.all(Chain::connect(settings))).await?;
        let given = self.keystore.folder.clone();
        if given.is_some() {
            chain.settings.is_given("keystore");
        }
        let keystore = Keystore {
            folder: given.or_else(|| chain.settings.keystore.clone()),
        };
        let desk = Desk {
            writing: self,
            chain,
            keystore,
            has_signed: Arc::default(),
            signed: Arc::default(),
        };
        // What an earlier run sent decides first: all that follows is read after it.
        if self.direct && !self.dry_run && !self.again {
            let transactions = desk.transactions(self.owner()?);
            waited(EARLIER, transactions.settle())
                .await
                .wrap_err("nothing was signed; with --again, it is sent behind what waits")?;
        }
        Ok(desk)
    }

    /// Whoever signs for the account.
    fn owner(&self) -> Result<PrivateKeySigner> {
        if let Some(path) = &self.owner_keystore {
            let password = env::var(OWNER_PASSWORD).map_err(|_| {
                WrongInput(format!(
                    "{OWNER_PASSWORD} must hold the password of --owner-keystore"
                ))
            })?;
            let key = KeystoreFile::new(path, password).load()?;
            let key = key.ok_or_else(|| eyre!("there is no key in {}", path.display()))?;
            return Ok(PrivateKeySigner::from_slice(key.expose_secret())?);
        }
        let key = env::var(OWNER).map_err(|_| {
            WrongInput(format!(
                "an owner has to sign: set {OWNER} to its private key, or give --owner-keystore"
            ))
        })?;
        let wrong = || {
            WrongInput(format!(
                "{OWNER} is not a private key: it takes 64 hex digits, with or without 0x"
            ))
        };
        Ok(key.trim().parse().map_err(|_| wrong())?)
    }

    /// Asks, unless it was agreed to. What is asked about stands in the answer so far.
    fn consent(&self, shown: &Answer, of_file: &[String]) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        ensure!(
            !self.sources.json && stdin().is_terminal() && stderr().is_terminal(),
            WrongInput("nobody is here to agree, so nothing was signed: add --yes".to_owned())
        );
        let mut out = stderr().lock();
        writeln!(out, "{}", shown.text())?;
        for value in of_file {
            writeln!(out, "from session-key.toml: {value}")?;
        }
        write!(out, "Go on? [y/N] ")?;
        out.flush()?;
        let mut said = String::new();
        stdin().read_line(&mut said)?;
        ensure!(
            matches!(said.trim(), "y" | "Y" | "yes"),
            WrongInput("not agreed to, so nothing was signed".to_owned())
        );
        Ok(())
    }
}

impl Desk<'_> {
    /// What would have to be found out later otherwise, when a key is made already: whether there is a way to send.
    fn require_way(&self) -> Result<()> {
        ensure!(
            self.writing.dry_run || self.writing.direct || self.chain.bundler.is_some(),
            WrongInput(
                "an operation needs a bundler: give --bundler-url, or --direct for a plain transaction"
                    .to_owned()
            )
        );
        Ok(())
    }

    async fn within<T>(&self, questions: impl Future<Output = Result<T>>) -> Result<T> {
        waited(ASKING, self.writing.sources.time_limit.all(questions)).await
    }

    fn journal(&self) -> PathBuf {
        let beside = &self.keystore.folder;
        match (&self.writing.journal, beside) {
            (Some(path), _) => path.clone(),
            (None, Some(folder)) => folder.join("journal.sqlite"),
            (None, None) => PathBuf::from("journal.sqlite"),
        }
    }

    /// Ends when the process is asked to end.
    async fn interrupted(&self) -> Interrupted {
        if asked_to_end().await.is_err() {
            std::future::pending::<()>().await;
        }
        Interrupted {
            has_signed: self.has_signed.load(Ordering::SeqCst),
            user_op_hash: *self.signed.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// One plain transaction, waited for; an interruption ends it.
    async fn transaction(&self, what: &str, to: Address, call: Vec<u8>) -> Result<Done> {
        let transactions = self.transactions(self.writing.owner()?);
        let receipt = tokio::select! {
            biased;
            interrupted = self.interrupted() => return Err(interrupted.into()),
            receipt = waited(INCLUSION, async {
                self.has_signed.store(true, Ordering::SeqCst);
                transactions.call(what, to, U256::ZERO, call).await
            }) => receipt?,
        };
        Ok(Done {
            user_op_hash: None,
            transaction_hash: Some(receipt.transaction_hash),
            block: Some(receipt.block_number),
        })
    }

    /// Does these things, all or none, and waits until they are done.
    /// Under a name, what was asked for before under it is what is answered.
    async fn carry_out(
        &self,
        account: &SmartAccount,
        actions: Vec<OwnerAction>,
        name: Option<String>,
    ) -> Result<Done> {
        let owner = self.writing.owner()?;
        tokio::select! {
            biased;
            interrupted = self.interrupted() => Err(interrupted.into()),
            done = waited(INCLUSION, async {
                if self.writing.direct {
                    self.directly(account, owner, actions).await
                } else {
                    let client = self.client(account, owner).await?;
                    self.operation(client.batch(actions), name).await
                }
            }) => done,
        }
    }

    async fn client(&self, account: &SmartAccount, owner: PrivateKeySigner) -> Result<OwnerClient> {
        let bundler = self
            .chain
            .bundler
            .as_ref()
            .ok_or_else(|| WrongInput("this goes through a bundler: give --bundler-url".to_owned()))?;
        let path = self.journal();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).wrap_err_with(|| format!("{}", folder.display()))?;
        }
        let journal = SqliteJournal::open(&path)
            .await
            .wrap_err_with(|| format!("{}", path.display()))?;
        let account = account.clone().with_journal(journal);
        let entry_point = account.deployment().entry_point;
        let submitter = BundlerSubmitter::new(bundler.node.provider().clone(), entry_point)
            .with_node(self.chain.provider());
        Ok(OwnerClient::new(account, owner, submitter))
    }

    async fn operation(&self, operation: Operation, name: Option<String>) -> Result<Done> {
        let has_signed = self.has_signed.clone();
        let signed = self.signed.clone();
        let mut operation = operation.timeout(INCLUSION_TIMEOUT).on_progress(move |progress| {
            let hash = match progress {
                Progress::Signed(operation) => operation.hash,
                Progress::Sent(hash) => *hash,
                _ => return,
            };
            *signed.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
            has_signed.store(true, Ordering::SeqCst);
        });
        if let Some(name) = name {
            operation = operation.id(name);
        } else if self.writing.again {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            operation = operation.id(format!("again {} {}", std::process::id(), now.as_nanos()));
        }
        let included = operation.await?;
        Ok(Done {
            user_op_hash: Some(included.receipt.user_op_hash),
            transaction_hash: Some(included.receipt.transaction_hash),
            block: Some(included.receipt.block_number),
        })
    }

    fn transactions(&self, owner: PrivateKeySigner) -> Transactions {
        let from = owner.address();
        let bounds = Bounds::on_chain(self.chain.chain_id);
        let purse = Purse::new(owner, self.chain.chain_id);
        purse.allow(bounds.max_cost);
        self.has_signed.store(false, Ordering::SeqCst);
        Transactions::new(
            purse.over(self.chain.provider()),
            from,
            self.chain.chain_id,
            bounds,
        )
    }

    async fn directly(
        &self,
        account: &SmartAccount,
        owner: PrivateKeySigner,
        actions: Vec<OwnerAction>,
    ) -> Result<Done> {
        let from = owner.address();
        let transactions = self.transactions(owner);
        if !account.is_deployed().await? {
            let init_code = account.init_code().await?;
            let (factory, call) = init_code.split_at_checked(20).ok_or_else(|| {
                eyre!(
                    "there is no account at {}, and nothing is known that would create it",
                    account.address()
                )
            })?;
            self.has_signed.store(true, Ordering::SeqCst);
            let factory = Address::from_slice(factory);
            transactions
                .call("creating the account", factory, U256::ZERO, call.to_vec())
                .await?;
        }
        ensure!(
            account.is_owner(from).await?,
            WrongInput(format!("{from} is not an owner of account {}", account.address()))
        );
        let transaction = account.owner_transaction(from, actions).await?;
        let data = transaction.input.input().cloned().unwrap_or_default();
        self.has_signed.store(true, Ordering::SeqCst);
        let receipt = transactions
            .call(
                "the owner's transaction",
                account.address(),
                U256::ZERO,
                data.to_vec(),
            )
            .await?;
        Ok(Done {
            user_op_hash: None,
            transaction_hash: Some(receipt.transaction_hash),
            block: Some(receipt.block_number),
        })
    }

    /// The calls that the actions make, for a dry run.
    async fn dry(
        &self,
        answer: &mut Answer,
        account: &SmartAccount,
        actions: Vec<OwnerAction>,
    ) -> Result<()> {
        let owner = self
            .writing
            .owner()
            .map(|owner| owner.address())
            .unwrap_or_default();
        answer.heading("A dry run: nothing was signed.");
        let call = match account.owner_transaction(owner, actions).await {
            Ok(transaction) => {
                let data: Bytes = transaction.input.input().cloned().unwrap_or_default();
                answer.plain(format!("call of {}:", account.address()));
                answer.raw(format!("  {data}"));
                json!([{ "target": account.address().to_string(), "valueWei": "0", "data": data }])
            }
            Err(error) => bail!("{error}"),
        };
        answer
            .data("dryRun", true)
            .data("calls", call)
            .data("block", Value::Null);
        hashes(answer, None, None);
        Ok(())
    }
}

fn done(answer: &mut Answer, done: &Done) {
    let place = match (done.transaction_hash, done.block) {
        (Some(transaction), Some(block)) => format!("transaction {transaction}, block {block}"),
        _ => String::new(),
    };
    answer.line(Tone::Good, 0, format!("Done: {place}"));
    if let Some(hash) = done.user_op_hash {
        answer.line(Tone::Quiet, 2, format!("operation {hash}"));
    }
    hashes(answer, done.user_op_hash, done.transaction_hash);
    answer
        .data("block", done.block)
        .data("dryRun", false)
        .data("calls", json!([]));
}

/// Whether nothing came of what was tried, and nothing will.
fn is_void(error: &eyre::Report) -> bool {
    Failure::during(std::slice::from_ref(error)).exit != Exit::Open
}

/// An error after something was sent.
fn failed(error: eyre::Report) -> Ended {
    Ended::Failed(vec![error])
}

/// 32 bytes as they are, anything else hashed.
fn tag_of(text: &str) -> B256 {
    match text.strip_prefix("0x").filter(|digits| digits.len() == 64) {
        Some(digits) => digits.parse().unwrap_or_else(|_| keccak256(text)),
        None => keccak256(text),
    }
}

/// The account that is meant, and whether it is there: by its address, or as the factory makes it for an owner.
async fn account_to_grant_on(
    chain: &Chain,
    signer: Option<Address>,
    owner: Option<Address>,
    salt: Option<U256>,
) -> Result<SmartAccount> {
    if chain.settings.account.is_some() && owner.is_none() {
        match chain.account().await {
            Err(error) if matches!(error.downcast_ref(), Some(ConnectError::NotDeployed { .. })) => {}
            account => return account,
        }
    }
    let owner = owner.or(chain.settings.owner).or(signer);
    let owner =
        owner.ok_or_else(|| WrongInput("an account is needed: give --account, or --owner".to_owned()))?;
    let salt = salt.or(chain.settings.salt).unwrap_or_default();
    let made = SmartAccount::from_factory_on(
        chain.chain_id,
        chain.provider(),
        chain.deployment()?,
        [owner],
        salt,
    )
    .await?;
    if let Some(expected) = chain.settings.account
        && expected != made.address()
    {
        bail!(
            "there is no account at {expected}; that of owner {owner} with salt {salt} would be {}",
            made.address()
        );
    }
    if made.is_deployed().await? {
        let mut connected = chain.clone();
        connected.settings.account = Some(made.address());
        return connected.account().await;
    }
    ensure!(
        made.address_is_verified(),
        "the address {} is only the node's word: create the account first (account new)",
        made.address()
    );
    Ok(made)
}

/// Resolves a policy for a key that is granted now, or was.
async fn resolve(
    file: &PolicyFile,
    chain: &Chain,
    grant: Option<&LockedGrant>,
    granted_at: Option<u64>,
    needs_decimals: bool,
) -> Result<(Resolved, Names)> {
    let mut facts = match grant {
        Some(grant) => grant.facts(),
        None => granted_at.map_or_else(Facts::new, |time| Facts::new().granted_at(time)),
    }
    .native_symbol(chain.symbol());
    // Where the file says them, the token must agree: other decimals are other powers of ten. One that does not answer cannot.
    for token in file.policy.limited_tokens() {
        if file.policy.decimals(token).is_some()
            && let Ok(decimals) = chain.decimals(token).await
        {
            facts = facts.decimals(token, decimals);
        }
    }
    let locked: BTreeMap<Address, u8> = grant.map(|grant| grant.decimals.clone()).unwrap_or_default();
    for token in file.policy.tokens_without_decimals() {
        if locked.contains_key(&token) {
            continue;
        }
        let decimals = chain.decimals(token).await?;
        ensure!(
            !needs_decimals,
            WrongInput(format!(
                "{}: the decimals of {token} are not in the file, and with --yes the node's word ({decimals}) is not taken: put \
                 them into [tokens.…]",
                file.name
            ))
        );
        facts = facts.decimals(token, decimals);
    }
    let resolved = file.policy.resolve(&facts).map_err(|error| file.wrong(error))?;
    Ok((resolved, file.policy.names(&facts)))
}

/// A key that has just got these permissions.
fn state_of(permissions: &Permissions) -> Result<KeyState> {
    let mut state = KeyState::fresh(Address::ZERO, Address::ZERO);
    state.apply(&permissions.updates().collect(), 0)?;
    Ok(state)
}

/// Names for what somebody else asks for: those that tokens give themselves, not those that the request gives them.
async fn own_names(chain: &Chain, file: &PolicyFile, permissions: &Permissions) -> Result<Names> {
    let state = state_of(permissions)?;
    let signatures = file.policy.signatures();
    let names = signatures.fold(Names::new(), |names, (selector, signature)| {
        names.function(selector, signature)
    });
    Ok(chain.names([&state], names).await)
}

/// Says which amounts depend on what the node says.
fn show_assumed(answer: &mut Answer, resolved: &Resolved) {
    for (token, decimals) in &resolved.assumed_decimals {
        let limit = resolved
            .permissions
            .erc20_spend_limits
            .iter()
            .find(|limit| limit.token == *token);
        if let Some(limit) = limit {
            answer.line(
                Tone::Doubt,
                2,
                format!(
                    "token {token} has {decimals} decimals, by what the node says: the limit is {} base units",
                    limit.limit.spend_limit
                ),
            );
        }
    }
}

pub(crate) async fn grant(arguments: &GrantArguments) -> Outcome {
    let file = match PolicyFile::read(&arguments.policy) {
        Ok(file) => file,
        Err(error) => return not_begun(Err(error)),
    };
    let tag = arguments.tag.as_deref().map(tag_of);
    grant_policy(
        &arguments.writing,
        &file,
        arguments.key,
        tag,
        (arguments.owner, arguments.salt),
        None,
    )
    .await
}

/// A grant that was begun: what must be the same when the command is given again, so that it goes on with it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Begun {
    session_key: Address,
    /// Unless an earlier attempt is decided, and nothing came of it: what is granted later lasts from then on.
    granted_at: Option<u64>,
    /// Whether it installs the plugin.
    installs: Option<bool>,
}

/// Where a begun grant is noted: beside the journal, by all that the command was given.
struct BegunNote(PathBuf);

impl BegunNote {
    fn of(
        desk: &Desk<'_>,
        file: &PolicyFile,
        account: Address,
        (key, tag): (Option<Address>, Option<B256>),
    ) -> Self {
        let asked = (desk.chain.chain_id, account, key, tag, &file.text);
        let hash = keccak256(serde_json::to_vec(&asked).unwrap_or_default());
        let folder = desk.journal();
        let folder = folder.parent().map(PathBuf::from).unwrap_or_default();
        Self(folder.join(format!("grant-{hash}.json")))
    }

    fn read(&self) -> Option<Begun> {
        let text = std::fs::read_to_string(&self.0).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn write(&self, begun: &Begun) -> Result<()> {
        if let Some(folder) = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string(begun)?;
        write_whole(&self.0, &text).wrap_err_with(|| format!("{}", self.0.display()))
    }

    /// Nothing came of it, and nothing will. Only the key is kept for another attempt.
    fn forget_attempt(&self, session_key: Address) {
        let begun = Begun {
            session_key,
            granted_at: None,
            installs: None,
        };
        // Where that fails, so does the next attempt's own note, before anything is sent.
        let _ = self.write(&begun);
    }

    /// It is decided.
    fn remove(&self) {
        // What stays is found to be done the next time.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Grants a policy to a key. `need`: what was asked for, if the policy is the answer to a request.
pub(crate) async fn grant_policy(
    writing: &Writing,
    file: &PolicyFile,
    key: Option<Address>,
    tag: Option<B256>,
    (owner, salt): (Option<Address>, Option<U256>),
    need: Option<&Permissions>,
) -> Outcome {
    struct Ready<'a> {
        desk: Desk<'a>,
        answer: Answer,
        account: SmartAccount,
        resolved: Resolved,
        now: u64,
        is_installed: bool,
        note: BegunNote,
        begun: Option<Begun>,
    }
    let ready = async {
        let mut desk = writing.desk().await?;
        desk.chain.settings.of_options(owner.is_some(), salt.is_some());
        desk.require_way()?;
        desk.within(async {
            let chain = &desk.chain;
            let signer = if writing.dry_run {
                writing.owner().ok().map(|owner| owner.address())
            } else {
                Some(writing.owner()?.address())
            };
            let latest = chain.head().await?.timestamp;
            let account = account_to_grant_on(chain, signer, owner, salt).await?;
            let note = BegunNote::of(&desk, file, account.address(), (key, tag));
            let begun = note.read().filter(|_| !writing.again && !writing.dry_run);
            let now = begun
                .as_ref()
                .and_then(|begun| begun.granted_at)
                .unwrap_or(latest);
            let (resolved, names) = resolve(file, chain, None, Some(now), writing.yes).await?;
            let permissions = &resolved.permissions;
            let names = match need {
                Some(_) => own_names(chain, file, permissions).await?,
                None => names,
            };
            permissions.check_not_over(latest)?;
            let is_installed =
                account.is_deployed().await? && account.is_session_key_plugin_installed().await?;
            if is_installed {
                let rules = session_key_client::explain::rule_set(&account).await?;
                permissions.check_for(rules, now)?;
            }
            // What no plugin takes is found out before a question is asked.
            permissions.encode()?;
            let goes_on = begun.as_ref().is_some_and(|begun| begun.granted_at.is_some());
            if let (Some(key), false, true) = (key, goes_on, is_installed) {
                ensure!(
                    !account.is_session_key(key).await?,
                    WrongInput(format!(
                        "{key} is a session key of {} already: plan and apply change what it may do",
                        account.address()
                    ))
                );
            }
            let mut answer = Answer::new();
            answer.heading(format!(
                "Grant on account {} (chain {})",
                account.address(),
                chain.chain_id
            ));
            match (key, &begun) {
                (Some(key), _) => answer.plain(format!("to session key {key}")),
                (None, Some(begun)) => {
                    answer.plain(format!("to session key {}, as was begun", begun.session_key))
                }
                (None, None) => answer.plain("to a new session key in the keystore"),
            };
            for sentence in permissions.describe(&names) {
                answer.plain(sentence);
            }
            show_assumed(&mut answer, &resolved);
            let mut lint = Lint::new(permissions)
                .at(now)
                .nfts(chain.nfts([&state_of(permissions)?]).await?)
                .tokens(file.policy.token_names().map(|(token, _)| token));
            if let Some(need) = need {
                lint = lint.need(need);
            }
            let warnings = lint.run();
            show::show_warnings(&mut answer, &warnings, &names, Some((&file.name, &file.policy)));
            answer
                .data("account", account.address().to_string())
                .data("chainId", chain.chain_id)
                .data("words", permissions.describe(&names))
                .data(
                    "warnings",
                    show::warnings_json(&warnings, &names, Some(&file.policy)),
                );
            // What was begun goes on as it was.
            let is_installed = begun
                .as_ref()
                .and_then(|begun| begun.installs)
                .map_or(is_installed, |installs| !installs);
            Ok((answer, account, resolved, now, is_installed, note, begun))
        })
        .await
        .map(
            |(answer, account, resolved, now, is_installed, note, begun)| Ready {
                desk,
                answer,
                account,
                resolved,
                now,
                is_installed,
                note,
                begun,
            },
        )
    };
    let Ready {
        desk,
        mut answer,
        account,
        resolved,
        now,
        is_installed,
        note,
        begun,
    } = ready.await.map_err(Ended::NotBegun)?;
    let tag = tag.unwrap_or(resolved.tag);
    let actions = |key: Address| -> Result<Vec<OwnerAction>> {
        let new = NewSessionKey::new(key, &resolved.permissions)?.with_tag(tag);
        Ok(if is_installed {
            vec![OwnerAction::AddSessionKey(new)]
        } else {
            vec![OwnerAction::InstallSessionKeyPlugin {
                keys: vec![new],
                manifest_hash: Some(session_key_client::deployment::manifest_hash::SESSION_KEY_PLUGIN),
                dependencies: None,
            }]
        })
    };
    if writing.dry_run {
        let dry = async {
            let shown = key.unwrap_or_default();
            desk.dry(&mut answer, &account, actions(shown)?).await
        };
        desk.within(dry).await.map_err(Ended::NotBegun)?;
        answer
            .data("sessionKey", key.map(|key| key.to_string()))
            .data("tag", tag);
        return Ok(answer);
    }
    let prepared = async {
        writing.consent(&answer, &desk.chain.settings.of_file)?;
        let is_done = match &begun {
            Some(begun) if writing.direct => {
                account.is_deployed().await? && is_there(&account, begun.session_key).await?
            }
            _ => false,
        };
        let key = match (key, &begun) {
            (Some(key), _) => key,
            (None, Some(begun)) => begun.session_key,
            (None, None) => desk.keystore.generate()?,
        };
        note.write(&Begun {
            session_key: key,
            granted_at: Some(now),
            installs: Some(!is_installed),
        })?;
        Ok((key, actions(key)?, is_done))
    };
    let (key, actions, is_done) = prepared.await.map_err(Ended::NotBegun)?;
    let (user_op_hash, transaction_hash) = if is_done {
        answer.line(Tone::Good, 0, "Done before: the key is there.");
        hashes(&mut answer, None, None);
        answer
            .data("block", Value::Null)
            .data("dryRun", false)
            .data("calls", json!([]));
        (None, None)
    } else {
        let name = format!("grant {key} {now}");
        let carried = desk
            .carry_out(&account, actions, Some(name))
            .await
            .map_err(|error| {
                if is_void(&error) {
                    note.forget_attempt(key);
                }
                failed(error)
            })?;
        done(&mut answer, &carried);
        (carried.user_op_hash, carried.transaction_hash)
    };
    answer
        .raw(key.to_string())
        .data("sessionKey", key.to_string())
        .data("tag", tag);

    // It is done: what fails from here on fails to be reported.
    let not_reported = |error: eyre::Report| {
        failed(eyre!(NotReported {
            what: format!("the key was granted ({key}), but {error:#}"),
            user_op_hash,
            transaction_hash,
        }))
    };
    let mut lock = file.lock().map_err(not_reported)?;
    let mut entry = LockedGrant::new(desk.chain.chain_id, account.address(), key, now);
    entry.tag = tag;
    entry.valid_until = resolved
        .permissions
        .time_range
        .map_or(0, |range| range.valid_until);
    entry.decimals = resolved.assumed_decimals.clone();
    lock.put(entry);
    file.write_lock(&lock).map_err(not_reported)?;
    read_back(&desk.chain, account.address(), key, &resolved.permissions)
        .await
        .map_err(not_reported)?;
    note.remove();
    Ok(answer)
}

/// Whether the account has the key; not, if it has no plugin.
async fn is_there(account: &SmartAccount, key: Address) -> Result<bool> {
    Ok(account.is_session_key_plugin_installed().await? && account.is_session_key(key).await?)
}

/// Whether the key has what it was given.
async fn read_back(chain: &Chain, account: Address, key: Address, permissions: &Permissions) -> Result<()> {
    let mut chain = chain.clone();
    chain.settings.account = Some(account);
    let (_, _, found) = chain.inspect_key(key).await?;
    if let Some(missing) = found.missing.first() {
        bail!("it could not be read back: {missing}");
    }
    ensure!(
        is_as(&found.state, permissions),
        "the key does not have these permissions: something has changed them since"
    );
    Ok(())
}

/// Where a limit of which something is used changes, the caller has to say what becomes of it.
fn require_mode(plan: &Plan, limits: Option<Limits>) -> Result<()> {
    let touches_use = plan.changes().iter().any(|change| {
        let keeps_limit = change.after != session_key_client::permissions::plan::Setting::Limit(None);
        keeps_limit
            && change
                .limit
                .is_some_and(|effect| !effect.used_before.is_zero() || !effect.used_after.is_zero())
    });
    ensure!(
        limits.is_some() || !touches_use,
        WrongInput(
            "something is used of a limit that changes: say what becomes of it, --limits keep, afresh or raw"
                .to_owned()
        )
    );
    Ok(())
}

/// Plans from the key as it is now.
async fn planned(
    chain: &Chain,
    file: &PolicyFile,
    key: Address,
    limits: Option<Limits>,
    needs_decimals: bool,
) -> Result<(SmartAccount, Plan, Names, Resolved)> {
    let (account, block, found) = chain.inspect_key(key).await?;
    if let Some(missing) = found.missing.first() {
        bail!("not everything that {key} may do is known: {missing}");
    }
    let lock = file.lock()?;
    let grant = lock.grant(chain.chain_id, account.address(), key);
    let (resolved, names) = resolve(file, chain, grant, None, needs_decimals).await?;
    // Without a word, the plan is only one where it makes no difference.
    let mode = limits.map_or(LimitMode::Raw, LimitMode::from);
    let plan = Plan::new(&found.state, &resolved.permissions, mode, block.timestamp)?;
    let names = chain.names([&found.state], names).await;
    Ok((account, plan, names, resolved))
}

pub(crate) async fn plan(arguments: &PlanArguments) -> Outcome {
    let limit = arguments.sources.time_limit;
    let planning = async {
        let chain = Chain::connect(arguments.sources.settings()?).await?;
        let file = PolicyFile::read(&arguments.policy)?;
        let (account, plan, names, resolved) =
            planned(&chain, &file, arguments.key, arguments.limits, false).await?;
        if !arguments.check {
            require_mode(&plan, arguments.limits)?;
        }
        let mut answer = Answer::new();
        answer.heading(format!(
            "{} on account {}, as {} says",
            arguments.key,
            account.address(),
            file.name
        ));
        show_assumed(&mut answer, &resolved);
        show::show_plan(&mut answer, &plan, &names);
        for update in plan.updates().encode()? {
            answer.line(Tone::Quiet, 4, update.to_string());
        }
        show::plan_json(&mut answer, &plan, &names)?;
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("time", plan.at())
            .data("changed", !plan.is_empty());
        answer.no(arguments.check && !plan.is_empty());
        Ok(answer)
    };
    not_begun(waited(ASKING, limit.all(planning)).await)
}

pub(crate) async fn apply(arguments: &ApplyArguments) -> Outcome {
    let writing = &arguments.writing;
    let ready = async {
        let desk = writing.desk().await?;
        desk.require_way()?;
        let file = PolicyFile::read(&arguments.policy)?;
        let (account, plan, names, resolved) = desk
            .within(planned(
                &desk.chain,
                &file,
                arguments.key,
                arguments.limits,
                writing.yes,
            ))
            .await?;
        require_mode(&plan, arguments.limits)?;
        let mut answer = Answer::new();
        answer.heading(format!(
            "Change {} on account {}",
            arguments.key,
            account.address()
        ));
        show_assumed(&mut answer, &resolved);
        show::show_plan(&mut answer, &plan, &names);
        show::plan_json(&mut answer, &plan, &names)?;
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("changed", !plan.is_empty());
        let actions = |plan: &Plan| {
            vec![OwnerAction::UpdateKeyPermissions {
                key: arguments.key,
                updates: plan.updates(),
            }]
        };
        if plan.is_empty() {
            hashes(&mut answer, None, None);
            answer
                .data("block", Value::Null)
                .data("dryRun", writing.dry_run)
                .data("calls", json!([]));
            return Ok((desk, answer, None));
        }
        if writing.dry_run {
            desk.dry(&mut answer, &account, actions(&plan)).await?;
            return Ok((desk, answer, None));
        }
        writing.consent(&answer, &desk.chain.settings.of_file)?;
        // The key may have been used, or changed, while somebody was reading.
        let (_, again, _, _) = desk
            .within(planned(
                &desk.chain,
                &file,
                arguments.key,
                arguments.limits,
                writing.yes,
            ))
            .await?;
        require_mode(&again, arguments.limits)?;
        ensure!(
            again.updates() == plan.updates() || writing.yes,
            WrongInput("the key was changed meanwhile, so nothing was signed: look again".to_owned())
        );
        Ok((desk, answer, Some((account, actions(&again), resolved))))
    };
    let (desk, mut answer, work) = ready.await.map_err(Ended::NotBegun)?;
    let Some((account, actions, resolved)) = work else {
        return Ok(answer);
    };
    let carried = desk.carry_out(&account, actions, None).await.map_err(failed)?;
    done(&mut answer, &carried);
    read_back(
        &desk.chain,
        account.address(),
        arguments.key,
        &resolved.permissions,
    )
    .await
    .map_err(|error| {
        failed(eyre!(NotReported {
            what: format!("the change was made, but {error:#}"),
            user_op_hash: carried.user_op_hash,
            transaction_hash: carried.transaction_hash,
        }))
    })?;
    Ok(answer)
}

/// Does something that needs no further questions.
async fn simply(
    writing: &Writing,
    ready: impl AsyncFnOnce(&Desk<'_>, &mut Answer) -> Result<Option<(SmartAccount, Vec<OwnerAction>)>>,
) -> Outcome {
    let mut answer = Answer::new();
    let prepared = async {
        let desk = writing.desk().await?;
        desk.require_way()?;
        let Some((account, actions)) = desk.within(ready(&desk, &mut answer)).await? else {
            hashes(&mut answer, None, None);
            answer
                .data("block", Value::Null)
                .data("dryRun", writing.dry_run)
                .data("calls", json!([]));
            return Ok((desk, None));
        };
        answer.data("account", account.address().to_string());
        if writing.dry_run {
            desk.dry(&mut answer, &account, actions).await?;
            return Ok((desk, None));
        }
        writing.consent(&answer, &desk.chain.settings.of_file)?;
        Ok((desk, Some((account, actions))))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    if let Some((account, actions)) = work {
        let carried = desk.carry_out(&account, actions, None).await.map_err(failed)?;
        done(&mut answer, &carried);
    }
    Ok(answer)
}

pub(crate) async fn revoke(arguments: &RevokeArguments) -> Outcome {
    simply(&arguments.writing, async |desk, answer| {
        let account = desk.chain.account().await?;
        let keys = match &arguments.tag {
            Some(tag) => {
                let options = InspectOptions::new();
                let (_, inspection) = desk.chain.inspect(options).await?;
                let unknown = inspection.keys().iter().find(|key| key.tag.is_none());
                if let Some(key) = unknown {
                    bail!("the tag of {} is not known: {}", key.session_key, key.missing[0]);
                }
                inspection
                    .with_tag(tag_of(tag))
                    .map(|key| key.session_key)
                    .collect()
            }
            None if arguments.all => account.session_keys().await?,
            None => arguments.keys.clone(),
        };
        answer.heading(format!("Revoke on account {}", account.address()));
        for key in &keys {
            answer.plain(key.to_string());
        }
        let revoked: Vec<String> = keys.iter().map(Address::to_string).collect();
        answer
            .data("revoked", revoked)
            .data("account", account.address().to_string());
        if keys.is_empty() {
            answer.plain("There is no such key.");
            return Ok(None);
        }
        let actions = keys.into_iter().map(OwnerAction::RemoveSessionKey).collect();
        Ok(Some((account, actions)))
    })
    .await
}

pub(crate) async fn rotate(arguments: &RotateArguments) -> Outcome {
    let writing = &arguments.writing;
    simply(writing, async |desk, answer| {
        let account = desk.chain.account().await?;
        ensure!(
            account.is_session_key(arguments.old).await?,
            "{} is not a session key of {}",
            arguments.old,
            account.address()
        );
        let new = match (arguments.new, writing.dry_run) {
            (Some(new), _) => new,
            (None, true) => Address::ZERO,
            (None, false) => desk.keystore.generate()?,
        };
        answer.heading(format!("Rotate on account {}", account.address()));
        answer.plain(format!("{} → {new}", arguments.old));
        answer
            .data("oldSessionKey", arguments.old.to_string())
            .data("sessionKey", new.to_string());
        Ok(Some((
            account,
            vec![OwnerAction::RotateSessionKey {
                old: arguments.old,
                new,
            }],
        )))
    })
    .await
}

pub(crate) async fn reset(arguments: &ResetArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared = async {
        let desk = writing.desk().await?;
        let account = desk.within(desk.chain.account()).await?;
        ensure!(
            account.is_session_key(arguments.key).await?,
            "{} is not a session key of {}",
            arguments.key,
            account.address()
        );
        let limit = account.gas_spend_limit(arguments.key).await?;
        answer.heading(format!("Settle the gas limit of {}", arguments.key));
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("wasPending", limit.should_reset)
            .data("calls", json!([]));
        let call = calldata::reset_session_key_gas_limit_timestamp(account.address(), arguments.key);
        let plugin = account.deployment().session_key_plugin;
        if !limit.should_reset {
            answer.plain("No reset is pending.");
        } else if !writing.dry_run {
            writing.consent(&answer, &desk.chain.settings.of_file)?;
            return Ok((desk, Some((plugin, call))));
        } else {
            answer.data(
                "calls",
                json!([{ "target": plugin.to_string(), "valueWei": "0", "data": call }]),
            );
        }
        Ok((desk, None))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    let Some((plugin, call)) = work else {
        hashes(&mut answer, None, None);
        answer.data("block", Value::Null).data("dryRun", writing.dry_run);
        return Ok(answer);
    };
    // Anybody may: a plain transaction.
    let sent = desk.transaction("settling the reset", plugin, call.to_vec());
    let carried = sent.await.map_err(failed)?;
    done(&mut answer, &carried);
    Ok(answer)
}

pub(crate) async fn unblock(arguments: &UnblockArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared = async {
        let desk = writing.desk().await?;
        ensure!(
            !writing.direct,
            WrongInput("unblock goes through a bundler: leave --direct out".to_owned())
        );
        ensure!(
            writing.dry_run || desk.chain.bundler.is_some(),
            WrongInput("unblock goes through a bundler: give --bundler-url".to_owned())
        );
        let account = desk.within(desk.chain.account()).await?;
        answer.heading(format!("End the open operations of {}", arguments.key));
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string());
        if !writing.dry_run {
            writing.consent(&answer, &desk.chain.settings.of_file)?;
        }
        Ok((desk, account))
    };
    let (desk, account) = prepared.await.map_err(Ended::NotBegun)?;
    if writing.dry_run {
        hashes(&mut answer, None, None);
        answer
            .data("block", Value::Null)
            .data("dryRun", true)
            .data("calls", json!([]))
            .data("ended", json!([]))
            .data("includedBefore", json!([]))
            .data("notReadBack", json!([]));
        return Ok(answer);
    }
    let client = async { desk.client(&account, writing.owner()?).await };
    let client = client.await.map_err(Ended::NotBegun)?;
    desk.has_signed.store(true, Ordering::SeqCst);
    let unblocked = tokio::select! {
        biased;
        interrupted = desk.interrupted() => Err(eyre::Report::new(interrupted)),
        unblocked = waited(INCLUSION, client.unblock(arguments.key, arguments.nonce)) => unblocked.map_err(eyre::Report::new),
    }
    .map_err(failed)?;
    let receipt = &unblocked.included.receipt;
    let carried = Done {
        user_op_hash: Some(receipt.user_op_hash),
        transaction_hash: Some(receipt.transaction_hash),
        block: Some(receipt.block_number),
    };
    done(&mut answer, &carried);
    for (name, tone, words, records) in [
        ("ended", Tone::Good, "ended", &unblocked.ended),
        (
            "includedBefore",
            Tone::Doubt,
            "was in a block before",
            &unblocked.included_before,
        ),
        (
            "notReadBack",
            Tone::Doubt,
            "was ended, or was in a block before: the node did not say which",
            &unblocked.not_read_back,
        ),
    ] {
        let operations = records.iter().flat_map(|record| &record.operations);
        let hashes: Vec<B256> = operations.map(|operation| operation.signed.hash).collect();
        for hash in &hashes {
            answer.line(tone, 2, format!("operation {hash} {words}"));
        }
        answer.data(name, hashes);
    }
    Ok(answer)
}

pub(crate) async fn new_account(arguments: &NewAccountArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared =
        async {
            let mut desk = writing.desk().await?;
            desk.chain
                .settings
                .of_options(arguments.owner.is_some(), arguments.salt.is_some());
            let signer = writing.owner().ok().map(|owner| owner.address());
            let owner = arguments.owner.or(desk.chain.settings.owner).or(signer);
            let owner = owner.ok_or_else(|| WrongInput("whose account? Give --owner".to_owned()))?;
            let salt = arguments.salt.or(desk.chain.settings.salt).unwrap_or_default();
            let chain = &desk.chain;
            let account = desk
                .within(async {
                    let deployment = chain.deployment()?;
                    Ok(SmartAccount::from_factory_on(
                        chain.chain_id,
                        chain.provider(),
                        deployment,
                        [owner],
                        salt,
                    )
                    .await?)
                })
                .await?;
            let init_code = account.init_code().await?;
            answer.heading(format!(
                "Account {} of owner {owner}, salt {salt}",
                account.address()
            ));
            answer
                .data("account", account.address().to_string())
                .data("owner", owner.to_string())
                .data("salt", salt.to_string())
                .data("created", !init_code.is_empty());
            if init_code.is_empty() {
                answer.plain("It is there already.");
                return Ok((desk, None));
            }
            if !writing.dry_run {
                writing.consent(&answer, &desk.chain.settings.of_file)?;
            }
            Ok((desk, Some(init_code)))
        };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    let Some((factory, call)) = work.as_ref().and_then(|code| code.split_at_checked(20)) else {
        hashes(&mut answer, None, None);
        answer
            .data("block", Value::Null)
            .data("dryRun", writing.dry_run)
            .data("calls", json!([]));
        return Ok(answer);
    };
    let factory = Address::from_slice(factory);
    if writing.dry_run {
        hashes(&mut answer, None, None);
        let call = Bytes::copy_from_slice(call);
        answer.data("block", Value::Null).data("dryRun", true).data(
            "calls",
            json!([{ "target": factory.to_string(), "valueWei": "0", "data": call }]),
        );
        return Ok(answer);
    }
    let sent = desk.transaction("creating the account", factory, call.to_vec());
    let carried = sent.await.map_err(failed)?;
    done(&mut answer, &carried);
    Ok(answer)
}
