//! Key requests: an agent asks for a session key, an owner reads and approves.

use super::{
    Outcome,
    chain::Kind,
    keys::Keystore,
    not_begun, offline, show,
    write::{Lints, Writing, grant_policy},
};
use crate::{
    answer::{Answer, Tone},
    failure::WrongInput,
    files::{PolicyFile, read, write_whole},
    settings::FromFile,
};
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr as _};
use serde_json::Value;
use session_key_client::{
    alloy::primitives::Address,
    deployment::native_symbol,
    key_request::KeyRequest,
    permissions::{
        Permissions,
        covers::covers,
        lint::Lint,
        parse_address,
        policy::{Facts, Policy},
        words::UnixTime,
    },
};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Create a request: the permissions needed, and the key's proof of possession.
    New(NewArguments),

    /// Show a request in words, with warnings.
    Show(ShowArguments),

    /// Grant what a request asks for, or something narrower.
    Approve(ApproveArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The permissions the key needs: a policy.
    need: PathBuf,

    /// The key, in the keystore. Without it, one is created there.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    key: Option<Address>,

    /// The account to grant the key on.
    #[arg(long, value_name = "ADDRESS", env = "SESSION_KEY_ACCOUNT", value_parser = parse_address)]
    account: Option<Address>,

    /// The chain.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// The settings file [default: session-key.toml in the working directory, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How many days the request stays valid.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=365))]
    valid_days: u64,

    /// Where to write the request [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    keystore: Keystore,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The request; `-` reads standard input.
    file: PathBuf,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    /// The request; `-` reads standard input.
    file: PathBuf,

    /// Grant this policy instead of what the request asks for.
    #[arg(long, value_name = "POLICY")]
    policy: Option<PathBuf>,

    #[command(flatten)]
    lints: Lints,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

impl RequestCommand {
    pub(crate) const fn is_json(&self) -> bool {
        match self {
            Self::New(arguments) => arguments.json,
            Self::Show(arguments) => arguments.json,
            Self::Approve(arguments) => arguments.writing.sources.json,
        }
    }
}

pub(crate) async fn run(command: &RequestCommand) -> Outcome {
    match command {
        RequestCommand::New(arguments) => not_begun(new(arguments).await),
        RequestCommand::Show(arguments) => not_begun(show(arguments)),
        RequestCommand::Approve(arguments) => approve(arguments).await,
    }
}

async fn new(arguments: &NewArguments) -> Result<Answer> {
    let need = PolicyFile::read(&arguments.need)?;
    let file = FromFile::read(arguments.config.as_deref())?;
    let account = arguments.account.or(file.account());
    let account = account.ok_or_else(|| {
        WrongInput("an account is needed: give --account or SESSION_KEY_ACCOUNT".to_owned())
    })?;
    let chain_id = arguments.chain_id.or(file.chain_id());
    let chain_id = chain_id
        .ok_or_else(|| WrongInput("a chain is needed: give --chain-id or SESSION_KEY_CHAIN_ID".to_owned()))?;
    let keystore = arguments.keystore.or_of_file(arguments.config.as_deref())?;
    let key = match arguments.key {
        Some(key) => key,
        None => keystore.generate()?,
    };
    let signer = keystore.load(key)?;
    let expires_at = offline::now().saturating_add(arguments.valid_days * 86_400);
    let request = KeyRequest::new(&signer, chain_id, account, &need.text, need.format, expires_at).await?;
    let text = request.to_json();
    let mut answer = Answer::new();
    match &arguments.out {
        Some(path) => {
            write_whole(path, &text).wrap_err_with(|| format!("{}", path.display()))?;
            answer.line(
                Tone::Good,
                0,
                format!("{} asks for session key {key}", path.display()),
            );
        }
        None => {
            answer.raw(text.trim_end().to_owned());
        }
    }
    answer
        .data("sessionKey", key.to_string())
        .data("expiresAt", expires_at)
        .data("request", &request);
    Ok(answer)
}

/// Resolves a request's policy for a key granted now. Missing decimals are taken from the other policy so
/// that the two can be compared; any value works if both lack them.
fn needed(request: &KeyRequest, policy: &Policy, other: Option<&Policy>) -> Result<Permissions> {
    let mut facts = Facts::new()
        .granted_at(offline::now())
        .native_symbol(native_symbol(request.chain_id()));
    for token in policy.tokens_without_decimals() {
        let said = other.and_then(|other| other.decimals(token));
        facts = facts.decimals(token, said.unwrap_or(18));
    }
    Ok(policy.resolve(&facts)?.permissions)
}

/// Reads a request, or the output of `request new --json`.
pub(super) fn read_request(path: &Path) -> Result<KeyRequest> {
    let text = read(path)?;
    let answer: Option<Value> = serde_json::from_str(&text).ok();
    let request = answer.as_ref().and_then(|answer| {
        let is_answer = answer.get("ok") == Some(&Value::Bool(true));
        answer.get("request").filter(|_| is_answer)
    });
    Ok(match request {
        Some(request) => KeyRequest::from_json(&request.to_string())?,
        None => KeyRequest::from_json(&text)?,
    })
}

fn show(arguments: &ShowArguments) -> Result<Answer> {
    let request = read_request(&arguments.file)?;
    let policy = request.verify_proof(offline::now())?;
    let permissions = needed(&request, &policy, None)?;
    let names = policy.names(&Facts::new().native_symbol(native_symbol(request.chain_id())));
    let mut answer = Answer::new();
    answer.heading(format!(
        "Session key {} asks for access to account {} (chain {})",
        request.session_key(),
        request.account(),
        request.chain_id()
    ));
    answer.plain(format!(
        "The key has signed this; it is valid until {}.",
        UnixTime(request.expires_at())
    ));
    let unknown = policy.tokens_without_decimals();
    for sentence in permissions.describe(&names) {
        answer.plain(sentence);
    }
    for token in &unknown {
        answer.line(
            Tone::Doubt,
            2,
            format!("the request does not give the decimals of {token}: its amounts are shown with 18"),
        );
    }
    for (token, name) in policy.token_names() {
        let decimals = policy
            .decimals(token)
            .map(|decimals| format!(" with {decimals} decimals"))
            .unwrap_or_default();
        answer.line(
            Tone::Doubt,
            2,
            format!("the request calls {token} {name}{decimals}, which is not verified: approve asks the token itself"),
        );
    }
    let warnings = Lint::new(&permissions).at(offline::now()).run();
    show::show_warnings(&mut answer, &warnings, &names, None);
    answer
        .data("sessionKey", request.session_key().to_string())
        .data("account", request.account().to_string())
        .data("chainId", request.chain_id())
        .data("expiresAt", request.expires_at())
        .data("words", permissions.describe(&names))
        .data("warnings", show::warnings_json(&warnings, &names, Some(&policy)))
        .data("policy", request.policy_text());
    Ok(answer)
}

async fn approve(arguments: &ApproveArguments) -> Outcome {
    let ready = (|| {
        let request = read_request(&arguments.file)?;
        let need = request.verify_proof(offline::now())?;
        let settings = arguments.writing.sources.settings()?;
        if let Some(account) = settings.account {
            request.verify(request.chain_id(), account, offline::now())?;
        }
        if let Some(chain_id) = settings.chain_id {
            request.verify(chain_id, request.account(), offline::now())?;
        }
        let mut wanted = needed(&request, &need, None)?;
        let file = match &arguments.policy {
            Some(path) => {
                let file = PolicyFile::read(path)?;
                let granted = needed(&request, &file.policy, Some(&need))?;
                wanted = needed(&request, &need, Some(&file.policy))?;
                // The reverse must hold as well: nothing is granted that was not asked for.
                let coverage = covers(&wanted, &granted)
                    .map_err(|error| WrongInput(format!("{}: {error}", file.name)))?;
                if let Some(more) = coverage.missing().first() {
                    let words = more.describe_example(
                        &file
                            .policy
                            .names(&Facts::new().native_symbol(native_symbol(request.chain_id()))),
                    );
                    return Err(WrongInput(format!(
                        "{} allows more than the request asks for: {words}",
                        file.name
                    ))
                    .into());
                }
                file
            }
            None => {
                let name = PathBuf::from("-");
                PolicyFile::of_text(&name, request.policy_text().to_owned(), request.format())?
            }
        };
        Ok((request, file, wanted))
    })();
    let (request, file, wanted) = match ready {
        Ok(ready) => ready,
        Err(error) => return not_begun(Err(error)),
    };
    let mut writing = arguments.writing.clone();
    writing.sources.account = Some(request.account());
    writing.sources.chain_id = Some(request.chain_id());
    grant_policy(
        &writing,
        &file,
        Some(request.session_key()),
        None,
        (None, None, Kind::default()),
        arguments.lints,
        Some(&wanted),
    )
    .await
}
