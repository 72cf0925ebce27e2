//! Commands that work without a chain, and query a node only if one is given: lint, covers, encode.

use super::{Outcome, chain::Chain, not_begun, show};
use crate::{
    answer::{Answer, Tone},
    endpoint::{Endpoint, RPC_URL, TimeLimit},
    failure::WrongInput,
    files::PolicyFile,
    report::print_note,
    settings::{FromFile, Sources},
};
use clap::Args;
use eyre::{Result, bail, ensure};
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::Address,
    deployment::native_symbol,
    nft::nfts,
    permissions::{
        Permissions,
        covers::covers,
        lint::{Lint, Severity},
        parse_address,
        policy::{Facts, PolicyLock, Resolved},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Debug, Args)]
pub(crate) struct LintArguments {
    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// The chain id, for the name of its coin.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// JSON-RPC URL of a node, to ask which contracts are NFTs. Without it, no node is queried.
    #[arg(long, value_name = "URL")]
    rpc_url: Option<String>,

    #[command(flatten)]
    time_limit: TimeLimit,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CoversArguments {
    /// The permissions of a key.
    policy: PathBuf,

    /// The permissions needed.
    need: PathBuf,

    /// The chain id, for the name of its coin.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EncodeArguments {
    /// The policy; `-` reads standard input.
    policy: PathBuf,

    /// The key whose lock file entry to use, if entries differ.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    key: Option<Address>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

/// The current time, in unix seconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Returns the chain id given, or that of the settings file in the working directory.
fn chain_id_of(given: Option<u64>) -> Result<Option<u64>> {
    Ok(match given {
        Some(chain_id) => Some(chain_id),
        None => FromFile::read(None)?.chain_id(),
    })
}

fn symbol(chain_id: Option<u64>) -> &'static str {
    chain_id.map_or("ETH", native_symbol)
}

/// Decimals do not affect warnings.
const ANY_DECIMALS: u8 = 18;

/// Returns the policy's contracts that are NFTs, if a node is given.
async fn nfts_of(arguments: &LintArguments, permissions: &Permissions) -> Result<BTreeSet<Address>> {
    let Some(url) = &arguments.rpc_url else {
        return Ok(BTreeSet::new());
    };
    let endpoint = Endpoint::new(RPC_URL, url, arguments.time_limit)?;
    let chain_id = endpoint.chain_id().await?;
    ensure!(
        arguments.chain_id.is_none_or(|expected| expected == chain_id),
        "this is chain {chain_id}, not {}",
        arguments.chain_id.unwrap_or_default()
    );
    let limited = permissions.erc20_spend_limits.iter().map(|limit| limit.token);
    Ok(nfts(&endpoint.node, limited).await?)
}

pub(crate) async fn lint(arguments: &LintArguments) -> Outcome {
    let linting = async {
        let file = PolicyFile::read(&arguments.policy)?;
        let coin = symbol(chain_id_of(arguments.chain_id)?);
        let mut facts = Facts::new().granted_at(now()).native_symbol(coin);
        for token in file.policy.tokens_without_decimals() {
            facts = facts.decimals(token, ANY_DECIMALS);
        }
        let resolved = file.policy.resolve(&facts).map_err(|error| file.wrong(error))?;
        let names = file.policy.names(&Facts::new().native_symbol(coin));
        let tokens = file.policy.token_names().map(|(address, _)| address);
        let nfts = nfts_of(arguments, &resolved.permissions).await?;
        let warnings = Lint::new(&resolved.permissions)
            .at(now())
            .tokens(tokens)
            .nfts(nfts)
            .run();
        let mut answer = Answer::new();
        let count = |severity| {
            warnings
                .iter()
                .filter(|warning| warning.severity == severity)
                .count()
        };
        let (errors, others) = (count(Severity::Error), warnings.len() - count(Severity::Error));
        show::show_warnings(&mut answer, &warnings, &names, Some((&file.name, &file.policy)));
        if warnings.is_empty() {
            answer.line(Tone::Good, 0, format!("{}: nothing to warn of", file.name));
        } else {
            let s = |count: usize| if count == 1 { "" } else { "s" };
            answer.line(
                Tone::Plain,
                0,
                format!(
                    "{}: {errors} error{}, {others} other warning{}",
                    file.name,
                    s(errors),
                    s(others)
                ),
            );
        }
        answer
            .data(
                "warnings",
                show::warnings_json(&warnings, &names, Some(&file.policy)),
            )
            .data("errors", errors);
        answer.no(errors > 0);
        Ok(answer)
    };
    not_begun(arguments.time_limit.all(linting).await)
}

pub(crate) fn covers_command(arguments: &CoversArguments) -> Outcome {
    not_begun((|| {
        ensure!(
            arguments.policy != arguments.need || arguments.policy != Path::new("-"),
            WrongInput("standard input can be read only once: only one of the two can be -".to_owned())
        );
        let chain_id = chain_id_of(arguments.chain_id)?;
        let symbol = symbol(chain_id);
        let granted_at = now();
        let resolve = |file: &PolicyFile| {
            let mut facts = Facts::new().granted_at(granted_at).native_symbol(symbol);
            if let Some(chain_id) = chain_id {
                for (token, decimals) in file.locked_decimals(chain_id)? {
                    facts = facts.decimals(token, decimals);
                }
            }
            Ok::<_, eyre::Report>(file.policy.resolve(&facts).map_err(|error| file.wrong(error))?)
        };
        let (policy, need) = (
            PolicyFile::read(&arguments.policy)?,
            PolicyFile::read(&arguments.need)?,
        );
        for token in need.policy.limited_tokens() {
            if let (Some(one), Some(other)) = (policy.policy.decimals(token), need.policy.decimals(token)) {
                ensure!(
                    one == other,
                    WrongInput(format!(
                        "token {token} has {one} decimals according to {}, and {other} according to {}",
                        policy.name, need.name
                    ))
                );
            }
        }
        let names = need.policy.names(&Facts::new().native_symbol(symbol));
        let (policy_set, need_set) = (resolve(&policy)?, resolve(&need)?);
        let coverage = covers(&policy_set.permissions, &need_set.permissions)
            .map_err(|error| WrongInput(format!("{}: {error}", need.name)))?;
        let mut answer = Answer::new();
        if coverage.is_covered() {
            answer.line(
                Tone::Good,
                0,
                format!(
                    "{} allows everything that {} asks for, one operation at a time.",
                    policy.name, need.name
                ),
            );
        } else {
            answer.line(
                Tone::Bad,
                0,
                format!("{} does not allow all that {} asks for:", policy.name, need.name),
            );
        }
        let mut missing = Vec::new();
        for item in coverage.missing() {
            let words = item.describe(&names);
            answer.line(Tone::Plain, 2, format!("– {words}"));
            let example = item.example();
            let uses = |used: U| json!({ "usedWei": used.used.to_string(), "since": used.since });
            let calls: Vec<Value> = example
                .calls
                .iter()
                .map(|call| json!({ "target": call.target.to_string(), "valueWei": call.value.to_string(), "data": call.data }))
                .collect();
            missing.push(json!({
                "code": item.code,
                "part": item.part,
                "words": words,
                "example": {
                    "time": example.time,
                    "native": uses(example.native),
                    "gas": uses(example.gas),
                    "tokens": example.tokens.iter().map(|(token, used)| json!({
                        "token": token.to_string(),
                        "usedBaseUnits": used.used.to_string(),
                        "since": used.since,
                    })).collect::<Vec<_>>(),
                    "calls": calls,
                    "maxCostWei": example.max_cost.to_string(),
                    "paymaster": example.paymaster.map(|paymaster| paymaster.to_string()),
                    "usesKeysLane": example.uses_keys_lane,
                },
            }));
        }
        answer
            .data("covered", coverage.is_covered())
            .data("missing", missing);
        answer.no(!coverage.is_covered());
        Ok(answer)
    })())
}

type U = session_key_client::permissions::covers::Use;

/// Resolves a policy by its lock file: by the key's entry, or by entries that agree. `said`: the decimals
/// that tokens report.
fn resolve_locked(
    file: &PolicyFile,
    lock: &PolicyLock,
    (chain_id, account, key): (Option<u64>, Option<Address>, Option<Address>),
    said: &BTreeMap<Address, u8>,
) -> Result<Resolved> {
    let symbol = symbol(chain_id);
    let with_said = |facts: Facts| {
        let facts = facts.native_symbol(symbol);
        said.iter().fold(facts, |facts, (token, decimals)| {
            facts.decimals(*token, *decimals)
        })
    };
    let grants: Vec<_> = lock
        .grants()
        .filter(|grant| chain_id.is_none_or(|chain_id| grant.chain_id == chain_id))
        .filter(|grant| account.is_none_or(|account| grant.account == account))
        .filter(|grant| key.is_none_or(|key| grant.session_key == key))
        .collect();
    if key.is_some() && grants.is_empty() && file.policy.is_relative() {
        return Err(WrongInput(format!("{}.lock has no entry for this key", file.name)).into());
    }
    let mut resolved: Vec<Resolved> = Vec::new();
    for grant in &grants {
        for (token, locked) in &grant.decimals {
            if let Some(said) = said.get(token).filter(|said| *said != locked) {
                bail!(WrongInput(format!(
                    "{}: token {token} has {said} decimals according to the node, and {locked} according to {}.lock",
                    file.name, file.name
                )));
            }
        }
        let facts = with_said(grant.facts());
        let one = file.policy.resolve(&facts).map_err(|error| file.wrong(error))?;
        if !resolved.contains(&one) {
            resolved.push(one);
        }
    }
    match resolved.len() {
        0 => {
            let facts = with_said(Facts::new());
            Ok(file.policy.resolve(&facts).map_err(|error| file.wrong(error))?)
        }
        1 => Ok(resolved.remove(0)),
        count => Err(WrongInput(format!(
            "{}.lock has {count} entries that differ: give --key, --account or --chain-id",
            file.name
        ))
        .into()),
    }
}

/// Reads the decimals of limited tokens. A token that does not answer is an error only if nothing else gives
/// them.
async fn decimals_by(chain: &Chain, file: &PolicyFile) -> Result<BTreeMap<Address, u8>> {
    let locked = file.locked_decimals(chain.chain_id)?;
    let mut said = BTreeMap::new();
    for token in file.policy.limited_tokens() {
        match chain.decimals(token).await {
            Ok(decimals) => {
                said.insert(token, decimals);
            }
            Err(_) if file.policy.decimals(token).is_some() || locked.contains_key(&token) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}

/// Notes on standard error which amounts rely on the node: standard output must stay decodable.
fn note_assumed(file: &PolicyFile, chain_id: u64, resolved: &Resolved) -> Result<()> {
    let locked = file.locked_decimals(chain_id)?;
    for (token, decimals) in &resolved.assumed_decimals {
        let limits = &resolved.permissions.erc20_spend_limits;
        let limit = limits.iter().find(|limit| limit.token == *token);
        if let (Some(limit), None) = (limit, locked.get(token)) {
            print_note(&format!(
                "token {token} has {decimals} decimals according to the node: the limit is {} base units",
                limit.limit.spend_limit
            ));
        }
    }
    Ok(())
}

pub(crate) async fn encode(arguments: &EncodeArguments) -> Outcome {
    let encoding = async {
        let mut settings = arguments.sources.settings()?;
        let file = PolicyFile::read(&arguments.policy)?;
        let lock = file.lock()?;
        let mut said = BTreeMap::new();
        if settings.rpc_url.is_some() {
            let chain = Chain::connect(settings.clone()).await?;
            settings.chain_id = Some(chain.chain_id);
            said = decimals_by(&chain, &file).await?;
        }
        let which = (settings.chain_id, settings.account, arguments.key);
        let resolved = resolve_locked(&file, &lock, which, &said)?;
        if let (Some(_), Some(chain_id)) = (&settings.rpc_url, settings.chain_id) {
            note_assumed(&file, chain_id, &resolved)?;
        }
        let updates = resolved.permissions.encode()?;
        let mut answer = Answer::new();
        for update in &updates {
            answer.raw(update.to_string());
        }
        let words = resolved.permissions.describe(
            &file
                .policy
                .names(&Facts::new().native_symbol(symbol(settings.chain_id))),
        );
        answer
            .data("updates", &updates)
            .data("tag", resolved.tag)
            .data("words", words);
        Ok(answer)
    };
    not_begun(arguments.sources.time_limit.all(encoding).await)
}
