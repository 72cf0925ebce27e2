//! Commands that read the chain and change nothing.

use super::{
    ASKING, Json, Outcome,
    account_keys::{self, Explained, Which},
    chain::{Chain, Kind},
    clean, not_begun,
    obstacles::obstacles,
    show, waited,
};
use crate::{
    amount::parse_native,
    answer::{Answer, Tone},
    doctor::choose,
    failure::{NotASessionKey, WrongInput},
    files::read,
    settings::{FromFile, Sources},
};
use alloy::{
    dyn_abi::{DynSolType, DynSolValue, ErrorExt as _},
    json_abi::{ContractObject, Error as AbiError, JsonAbi},
};
use clap::Args;
use eyre::{Result, WrapErr as _, bail};
use serde_json::{Value, json};
use session_key_client::{
    Revert, SignedOperation, UserOperation,
    account::Generation,
    account_keys::ReadOptions,
    alloy::{
        hex,
        primitives::{Address, B256, Bytes, U256},
    },
    deployment::native_symbol,
    explain::{Became, ExplainOptions, Explanation, Failure, NotFound, explain_hash},
    inspect::{InspectOptions, Inspection, KeyEventKind},
    permissions::{
        Call, DUMMY_SIGNATURE, Verdict,
        figures::{BudgetFigures, KeyStatus},
        model::decode_execute_with_session_key,
        parse_address,
        policy::{Policy, PolicyFormat, parse_function},
        words::{Names, UnixTime},
    },
    request::clean_text,
    v08::{AccountFactory, FactoryAccount},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(crate) struct AddressArguments {
    /// The owner.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    owner: Option<Address>,

    /// Distinguishes the accounts of one owner [default: 0].
    #[arg(long, value_name = "NUMBER")]
    salt: Option<U256>,

    /// The chain id, to look up its known contracts.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// The settings file [default: session-key.toml in the working directory, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The contracts to use: `canonical`, `deterministic`, or a file that `deploy --record` wrote.
    #[arg(long, value_name = "NAME|FILE")]
    deployment: Option<String>,

    #[command(flatten)]
    kind: Kind,

    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Show only this key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Option<Address>,

    /// Show every change with its block and time, including those of removed keys.
    #[arg(long)]
    history: bool,

    /// Print the key's permissions as a policy file, without the amounts used and entries that have no
    /// effect.
    #[arg(long, requires = "key", conflicts_with = "history")]
    policy: bool,

    /// JSON-RPC URL of a second node, run by another operator, whose logs must be the same.
    #[arg(long, value_name = "URL")]
    compare_with: Option<String>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct BudgetArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["calls", "user_operation"]))]
#[command(group = clap::ArgGroup::new("which").required(true).args(["key", "entity"]))]
pub(crate) struct CheckArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Option<Address>,

    /// Entity id of a key that the account's own client (Modular Account v2) created, instead of KEY.
    #[arg(long, value_name = "ID")]
    entity: Option<u32>,

    /// A call, `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`; several form a batch. SIGNATURE may be call data in
    /// hexadecimal. Quote string arguments that contain a comma or an @ with double quotes.
    #[arg(long = "call", value_name = "CALL")]
    calls: Vec<String>,

    /// A user operation as JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    user_operation: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The hash of an operation or a transaction.
    #[arg(value_parser = parse_hash)]
    hash: B256,

    /// ABI files of called contracts, to name their errors: JSON ABIs or compiler artifacts.
    #[arg(long = "abi", value_name = "FILE")]
    abis: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

pub(crate) fn address(arguments: &AddressArguments) -> Outcome {
    not_begun((|| {
        let file = FromFile::read(arguments.config.as_deref())?;
        let owner = arguments.owner.or(file.owner());
        let owner = owner.ok_or_else(|| WrongInput("an owner is needed: give --owner".to_owned()))?;
        let chain_id = arguments.chain_id.or(file.chain_id());
        let chain_id = chain_id.ok_or_else(|| {
            WrongInput("a chain is needed: give --chain-id or SESSION_KEY_CHAIN_ID".to_owned())
        })?;
        let salt = arguments.salt.or(file.salt()).unwrap_or_default();
        if arguments.kind.eip7702 {
            let mut answer = Answer::new();
            answer.raw(owner.to_string()).data("account", owner.to_string());
            return Ok(answer);
        }
        if arguments.kind.semi_modular {
            let made = FactoryAccount::semi_modular(owner, salt);
            let address = made.address(&AccountFactory::default()).to_string();
            let mut answer = Answer::new();
            answer.raw(address.clone()).data("account", address);
            return Ok(answer);
        }
        let deployment = arguments.deployment.as_deref().or(file.deployment());
        let (_, known) = choose(chain_id, deployment)?;
        let address = known.deployment()?.account_address([owner], salt)?;
        let address = address.ok_or_else(|| {
            WrongInput(format!(
                "no address formula is known for the factory of {:?}: ask a node",
                known.name
            ))
        })?;
        let mut answer = Answer::new();
        answer
            .raw(address.to_string())
            .data("account", address.to_string());
        Ok(answer)
    })())
}

pub(crate) async fn inspect(arguments: &InspectArguments) -> Outcome {
    let limit = arguments.sources.time_limit;
    not_begun(waited(ASKING, limit.all(inspected(arguments))).await)
}

async fn inspected(arguments: &InspectArguments) -> Result<Answer> {
    let chain = Chain::connect(arguments.sources.settings()?).await?;
    let mut options = InspectOptions::new();
    if let Some(key) = arguments.key {
        options = options.keys([key]);
    }
    if arguments.history {
        options = options.with_history();
    }
    if let Some(url) = &arguments.compare_with {
        let second = crate::endpoint::Endpoint::new("--compare-with", url, arguments.sources.time_limit)?;
        options = options.compare_with(second.node);
    }
    let (account, has_module) = chain.any_account().await?;
    let inspection = if has_module {
        Some(chain.inspect_of(&account, options).await?)
    } else {
        None
    };
    let block = match &inspection {
        Some(inspection) => inspection.block,
        None => chain.head().await?,
    };
    let keys = inspection.as_ref().map_or(&[][..], Inspection::keys);
    // A key of the module is not looked for elsewhere.
    let others = if arguments.policy || (arguments.key.is_some() && !keys.is_empty()) {
        None
    } else {
        account_keys::read(&chain, &account, ReadOptions::new().at(block)).await?
    };
    let has_others = others.iter().any(|others| match arguments.key {
        Some(key) => others.of_signer(key).next().is_some(),
        None => !others.keys.is_empty(),
    });
    let names = chain.names(keys.iter().map(|key| &key.state), Names::new()).await;
    let nfts = chain.nfts(keys.iter().map(|key| &key.state)).await?;
    let now = block.timestamp;
    let mut answer = Answer::new();
    answer.line(
        Tone::Heading,
        0,
        format!(
            "Account {} at block {} ({})",
            account.address(),
            block.number,
            UnixTime(now)
        ),
    );
    if keys.is_empty() && !has_others {
        answer.no(arguments.key.is_some());
        answer.plain(match arguments.key {
            Some(key) => format!("{key} is not one of its session keys."),
            None => "No session keys.".to_owned(),
        });
    }
    let mut policy = None;
    // Standard output is the policy, or nothing.
    if arguments.policy
        && !arguments.sources.json
        && let (Some(key), true) = (arguments.key, keys.is_empty())
    {
        bail!(NotASessionKey {
            key,
            account: account.address(),
        });
    }
    if arguments.policy
        && let Some(key) = keys.first()
    {
        if let Some(missing) = key.missing.first() {
            bail!(
                "the permissions of {} are not fully known: {missing}",
                key.session_key
            );
        }
        let tag = key.tag.filter(|tag| !tag.is_zero());
        let (found, not_shown) = Policy::of_key(&key.state, tag, &names)?;
        let text = found.to_text(PolicyFormat::Toml);
        answer = Answer::new();
        answer.raw(text.trim_end().to_owned());
        if !not_shown.is_empty() {
            answer.raw(format!(
                "# {} entries without effect are left out: applying this removes them",
                not_shown.len()
            ));
        }
        policy = Some(text);
    }
    for key in keys.iter().filter(|_| policy.is_none()) {
        show::show_key(&mut answer, key, &names, &nfts, now);
    }
    match &others {
        Some(others) => account_keys::show_keys(&mut answer, &chain, others, arguments.key, now).await,
        None => {
            answer.data("accountKeys", Value::Null);
        }
    }
    let documents: Vec<Value> = keys
        .iter()
        .map(|key| show::key_json(key, &names, &nfts, now))
        .collect();
    let is_complete = inspection.as_ref().is_none_or(Inspection::is_complete);
    let missing_blocks = inspection.as_ref().map_or(&[][..], Inspection::missing_blocks);
    answer
        .data("policy", policy)
        .data("account", account.address().to_string())
        .data("chainId", chain.chain_id)
        .data("block", block.number)
        .data("time", now)
        .data("complete", is_complete)
        .data("keys", documents);
    match &inspection {
        Some(inspection) if arguments.history => {
            history(&mut answer, &chain, inspection, arguments.key, &names).await?;
        }
        _ => {
            answer.data("history", Value::Null);
        }
    }
    answer.data("missingBlocks", missing_blocks);
    let lacks_blocks = arguments.history && !missing_blocks.is_empty();
    answer.no(!is_complete || lacks_blocks);
    Ok(answer)
}

async fn history(
    answer: &mut Answer,
    chain: &Chain,
    inspection: &Inspection,
    key: Option<Address>,
    names: &Names,
) -> Result<()> {
    answer.heading("History");
    let mut events = Vec::new();
    let mut times = std::collections::BTreeMap::new();
    // A rotated key continues under its new address. The newest event comes first.
    let mut followed: BTreeSet<Address> = key.into_iter().collect();
    for event in inspection.events() {
        if let KeyEventKind::Rotated { old, new } = &event.kind
            && followed.contains(new)
        {
            followed.insert(*old);
        }
    }
    for event in inspection.events().iter().rev() {
        let is_followed = match &event.kind {
            KeyEventKind::Rotated { old, new } => followed.contains(old) || followed.contains(new),
            KeyEventKind::Added { session_key, .. }
            | KeyEventKind::Removed { session_key }
            | KeyEventKind::Updated { session_key, .. } => followed.contains(session_key),
            _ => false,
        };
        if key.is_some() && !is_followed {
            continue;
        }
        let time = match times.get(&event.block) {
            Some(time) => *time,
            None => {
                let header = chain.node.header(event.block.into()).await?;
                let time = header.map(|header| header.timestamp);
                times.insert(event.block, time);
                time
            }
        };
        let (kind, key, words) = match &event.kind {
            KeyEventKind::Added { session_key, tag } => {
                ("added", *session_key, vec![format!("added, tag {tag}")])
            }
            KeyEventKind::Removed { session_key } => ("removed", *session_key, vec!["removed".to_owned()]),
            KeyEventKind::Rotated { old, new } => ("rotated", *old, vec![format!("rotated to {new}")]),
            KeyEventKind::Updated { session_key, updates } => {
                let words = match updates {
                    Ok(updates) => updates.describe(names).into_iter().collect(),
                    Err(unknown) => vec![format!("unrecognized updates: {}", clean(&unknown.reason))],
                };
                ("updated", *session_key, words)
            }
            _ => continue,
        };
        let when = time.map_or_else(String::new, |time| format!(" ({})", UnixTime(time)));
        answer.line(Tone::Plain, 2, format!("block {}{when}: {key}", event.block));
        for sentence in &words {
            answer.line(Tone::Quiet, 4, sentence.clone());
        }
        events.push(json!({
            "block": event.block,
            "time": time,
            "transactionHash": event.transaction_hash,
            "kind": kind,
            "sessionKey": key.to_string(),
            "newSessionKey": match &event.kind {
                KeyEventKind::Rotated { new, .. } => Some(new.to_string()),
                _ => None,
            },
            "words": words,
        }));
    }
    answer.data("history", events);
    Ok(())
}

pub(crate) async fn budget(arguments: &BudgetArguments) -> Outcome {
    let limit = arguments.sources.time_limit;
    not_begun(
        waited(
            ASKING,
            limit.all(async {
                let chain = Chain::connect(arguments.sources.settings()?).await?;
                let (account, block, key) = chain.inspect_key(arguments.key).await?;
                let names = chain.names([&key.state], Names::new()).await;
                let now = block.timestamp;
                let status = key.state.status(now);
                let mut answer = Answer::new();
                answer.heading(format!("{}  {}", key.session_key, show::status(status)));
                let none =
                    key.state.budget_figures(now).into_iter().any(|budget| {
                        matches!(budget, BudgetFigures::Native { .. }) && budget.limit().is_zero()
                    });
                if none {
                    answer.plain(format!("{:<6} none may be sent", chain.symbol()));
                }
                show::show_budgets(&mut answer, &key.state, &names, now);
                for missing in &key.missing {
                    answer.line(Tone::Bad, 2, format!("not complete: {missing}"));
                }
                answer
                    .data("account", account.address().to_string())
                    .data("sessionKey", key.session_key.to_string())
                    .data("block", block.number)
                    .data("time", now)
                    .data("status", status)
                    .data("complete", key.is_complete())
                    .data("budgets", key.state.budget_figures(now));
                answer.no(status != KeyStatus::Active || !key.is_complete());
                Ok(answer)
            }),
        )
        .await,
    )
}

fn parse_hash(text: &str) -> Result<B256, String> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
    let hash = digits.and_then(|digits| digits.parse().ok());
    hash.ok_or_else(|| "expected 0x and 64 hexadecimal digits".to_owned())
}

/// Finds the `@` before the value: the last one outside quotes.
fn value_place(call: &str) -> Option<usize> {
    let mut place = None;
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, character) in call.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '@' if !is_quoted => place = Some(index),
            _ => {}
        }
    }
    place
}

/// Parses `TARGET[:SIGNATURE[:ARGUMENTS]][@VALUE]`, on a chain with this coin.
fn parse_call(text: &str, coin: &str) -> Result<Call> {
    let wrong = |why: String| WrongInput(format!("--call {}: {why}", clean(text)));
    let split = value_place(text).and_then(|place| Some((text.get(..place)?, text.get(place + 1..)?)));
    let (call, value) = match split {
        Some((call, value)) => (call, Some(value)),
        None => (text, None),
    };
    let mut parts = call.splitn(3, ':');
    if let (Some(_), Some(signature), Some(arguments)) = (value, parts.clone().nth(1), parts.clone().nth(2))
        && signature.contains("string")
        && !arguments.contains('"')
    {
        let why = "@ may begin the value or be part of a string: put strings in double quotes";
        return Err(wrong(why.to_owned()).into());
    }
    let value = value.map_or(Ok(U256::ZERO), |value| parse_native(value, coin));
    let value = value.map_err(wrong)?;
    let target = parts.next().unwrap_or_default();
    let target = parse_address(target).map_err(|error| wrong(error.to_string()))?;
    let data = match (parts.next(), parts.next()) {
        (None, _) => Bytes::new(),
        (Some(data), None) if data.starts_with("0x") => hex::decode(data)
            .map_err(|_| wrong("the call data is not hexadecimal".to_owned()))?
            .into(),
        (Some(signature), arguments) => call_data(signature, arguments.unwrap_or_default()).map_err(wrong)?,
    };
    Ok(Call::new(target, data).with_value(value))
}

/// Encodes a call with comma-separated arguments.
fn call_data(signature: &str, arguments: &str) -> Result<Bytes, String> {
    let selector = parse_function(signature)?;
    let types = signature.find('(').map_or("()", |start| &signature[start..]);
    let mut data = selector.to_vec();
    if types == "()" {
        if !arguments.is_empty() {
            return Err("the function takes no arguments".to_owned());
        }
        return Ok(data.into());
    }
    let types: DynSolType = types
        .parse()
        .map_err(|_| "these are not Solidity types".to_owned())?;
    let values = types.coerce_str(&format!("({arguments})")).map_err(|error| {
        format!(
            "the arguments do not match their types: {}",
            clean(&error.to_string())
        )
    })?;
    check_checksums(arguments, &values)?;
    data.extend(values.abi_encode_params());
    Ok(data.into())
}

/// Refuses addresses among the arguments that are written with a wrong EIP-55 checksum.
fn check_checksums(arguments: &str, values: &DynSolValue) -> Result<(), String> {
    let mut addresses = BTreeSet::new();
    addresses_in(values, &mut addresses);
    arguments
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| {
            word.parse()
                .is_ok_and(|address: Address| addresses.contains(&address))
        })
        .try_for_each(|word| parse_address(word).map(|_| ()))
        .map_err(|error| error.to_string())
}

fn addresses_in(value: &DynSolValue, addresses: &mut BTreeSet<Address>) {
    match value {
        DynSolValue::Address(address) => {
            addresses.insert(*address);
        }
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => {
            values.iter().for_each(|value| addresses_in(value, addresses));
        }
        _ => (),
    }
}

/// The native coins of known chains.
const COINS: [&str; 3] = ["ETH", "POL", "FRAX"];

pub(crate) async fn check(arguments: &CheckArguments) -> Outcome {
    let limit = arguments.sources.time_limit;
    not_begun(waited(ASKING, limit.all(checked(arguments))).await)
}

async fn checked(arguments: &CheckArguments) -> Result<Answer> {
    let settings = arguments.sources.settings()?;
    let read_calls = |coin: Option<&str>| -> Result<Vec<Call>> {
        let calls = arguments.calls.iter();
        calls
            .map(|call| match coin {
                Some(coin) => parse_call(call, coin),
                // The chain is not known yet.
                None => COINS
                    .iter()
                    .find_map(|coin| parse_call(call, coin).ok())
                    .map_or_else(|| parse_call(call, COINS[0]), Ok),
            })
            .collect()
    };
    // Reject what is wrong on every chain before asking the node.
    read_calls(settings.chain_id.map(native_symbol))?;
    let operation: Option<UserOperation> = match &arguments.user_operation {
        Some(path) => Some(serde_json::from_str(&read(path)?).map_err(|error| {
            WrongInput(format!(
                "{}: not a user operation: {}",
                path.display(),
                clean(&error.to_string())
            ))
        })?),
        None => None,
    };
    let chain = Chain::connect(settings).await?;
    let calls = read_calls(Some(chain.symbol()))?;
    let (account, has_module) = chain.any_account().await?;
    let head = chain.head().await?;
    let what = (&calls[..], operation.as_ref());
    let key = match (arguments.key, arguments.entity) {
        (_, Some(entity_id)) => {
            let which = Which::Entity(entity_id);
            if let Some(answer) = account_keys::checked(&chain, &account, &head, which, what).await? {
                return Ok(answer);
            }
            bail!(WrongInput(format!("the account has no entity {entity_id}")));
        }
        (Some(key), None) => key,
        (None, None) => bail!(WrongInput("a key is needed: give KEY or --entity".to_owned())),
    };
    let at = account.clone().at(head.number);
    let now = head.timestamp;
    // A key unknown to the module may be one of the account's own client.
    if !has_module || (account.generation() != Generation::V07 && !at.is_session_key(key).await?) {
        let which = Which::Signer(key);
        if let Some(answer) = account_keys::checked(&chain, &account, &head, which, what).await? {
            return Ok(answer);
        }
        if !has_module {
            bail!(NotASessionKey {
                key,
                account: account.address(),
            });
        }
    }
    let touched = match &operation {
        Some(operation) => {
            decode_execute_with_session_key(&operation.call_data).map_or(Vec::new(), |(calls, _)| calls)
        }
        None => calls.clone(),
    };
    let is_unsigned =
        |operation: &UserOperation| operation.signature.is_empty() || operation.signature == DUMMY_SIGNATURE;
    let is_signed = operation.as_ref().map(|operation| !is_unsigned(operation));
    let state = session_key_client::explain::load_for_calls(&at, key, &touched).await?;
    let verdict = match &operation {
        None => state.check_calls(&calls, now),
        Some(operation) if is_unsigned(operation) => state.check(operation, now),
        Some(operation) => {
            let hash = operation.hash(account.deployment().entry_point, chain.chain_id);
            let operation = operation.clone();
            state.check_signed(&SignedOperation { operation, hash }, now)
        }
    };
    let names = chain.names([&state], Names::new()).await;
    let obstacles = obstacles(&chain, &at, head.number, (operation.as_ref(), &touched), &names).await?;
    let is_impossible = obstacles.iter().any(|obstacle| obstacle.is_final);
    let mut answer = Answer::new();
    account_keys::show_obstacles(&mut answer, &obstacles);
    for (index, sentence) in verdict.describe(&names).into_iter().enumerate() {
        let tone = match (index, &verdict) {
            (0, verdict) if verdict.is_accepted() => Tone::Good,
            (0, Verdict::MayPass { .. }) => Tone::Doubt,
            (0, _) => Tone::Bad,
            _ => Tone::Plain,
        };
        answer.line(tone, if index == 0 { 0 } else { 2 }, sentence);
    }
    show::verdict_json(&mut answer, &verdict, &names);
    let is_refused = is_impossible || matches!(verdict, Verdict::Refused { .. });
    if is_refused {
        answer.data("verdict", "refused");
    } else if !obstacles.is_empty() {
        answer.data("verdict", "mayPass");
    }
    let remaining = match &verdict {
        // The verdict's words include what is left.
        Verdict::Accepted { remaining, .. } => remaining.clone(),
        _ => {
            let remaining = state.remaining(now);
            for sentence in remaining.describe(&names) {
                answer.line(Tone::Quiet, 2, sentence);
            }
            remaining
        }
    };
    answer
        .data("sessionKey", key.to_string())
        .data("entityId", Value::Null)
        .data("reasons", json!([]))
        .data("block", head.number)
        .data("remaining", show::remaining_json(&remaining))
        .data("budgets", state.budget_figures(now))
        .data("obstacles", &obstacles)
        .data("signatureChecked", is_signed);
    if is_signed == Some(false) {
        answer.line(
            Tone::Doubt,
            2,
            "Its signature was not checked: it is missing or a dummy.",
        );
    }
    answer.line(
        Tone::Quiet,
        2,
        "Not judged: what the called contracts do, and whether gas and fees suffice.",
    );
    answer.no(is_refused);
    Ok(answer)
}

/// Custom errors of contracts, from their ABIs.
struct Abis(Vec<AbiError>);

impl Abis {
    fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut errors = Vec::new();
        for path in paths {
            errors.extend(Self::of_file(path)?.errors().cloned());
        }
        Ok(Self(errors))
    }

    fn of_file(path: &Path) -> Result<JsonAbi> {
        let text = read(path)?;
        let shown = || {
            WrongInput(format!(
                "{} is neither a JSON ABI nor an artifact with one",
                path.display()
            ))
        };
        if let Ok(abi) = serde_json::from_str::<JsonAbi>(&text) {
            return Ok(abi);
        }
        let artifact: ContractObject = serde_json::from_str(&text).map_err(|_| shown())?;
        Ok(artifact.abi.ok_or_else(shown)?)
    }

    fn error_of(&self, revert: &Revert) -> Option<(&AbiError, Option<Vec<DynSolValue>>)> {
        let Revert::Unknown(data) = revert else {
            return None;
        };
        let selector = data.get(..4)?;
        let error = self.0.iter().find(|error| error.selector() == selector)?;
        Some((error, error.decode_error(data).ok().map(|decoded| decoded.body)))
    }

    /// Describes a revert, using the known errors.
    fn words(&self, revert: &Revert) -> String {
        match self.error_of(revert) {
            Some((error, Some(values))) => {
                let arguments: Vec<String> = error
                    .inputs
                    .iter()
                    .zip(&values)
                    .map(|(input, value)| {
                        let value = solidity(value);
                        if input.name.is_empty() {
                            value
                        } else {
                            format!("{}: {value}", clean(&input.name))
                        }
                    })
                    .collect();
                format!("reverted with {}({})", clean(&error.name), arguments.join(", "))
            }
            Some((error, None)) => format!("reverted with {} and unreadable arguments", clean(&error.name)),
            None => clean(&revert.to_string()),
        }
    }

    /// The revert as JSON; null if no ABI has the error.
    fn json(&self, revert: &Revert) -> Value {
        let Some((error, values)) = self.error_of(revert) else {
            return Value::Null;
        };
        let arguments = values.map(|values| {
            let arguments = error.inputs.iter().zip(&values).map(|(input, value)| {
                json!({
                    "name": clean(&input.name),
                    "type": clean(&input.ty),
                    "value": structured(value),
                })
            });
            arguments.collect::<Vec<_>>()
        });
        json!({ "error": clean(&error.name), "arguments": arguments })
    }
}

/// The maximum length of strings and bytes shown from a contract's error, in characters.
const MAX_SHOWN: usize = 200;

/// Formats a value as Solidity does.
fn solidity(value: &DynSolValue) -> String {
    let list = |values: &[DynSolValue]| values.iter().map(solidity).collect::<Vec<_>>().join(", ");
    match value {
        DynSolValue::String(text) => format!("{:?}", clean_text(text, MAX_SHOWN)),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => format!("[{}]", list(values)),
        DynSolValue::Tuple(values) => format!("({})", list(values)),
        value => plain(value),
    }
}

/// Formats a value without components.
fn plain(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(is_so) => is_so.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::FixedBytes(word, size) => {
            hex::encode_prefixed(word.get(..*size).unwrap_or_else(|| word.as_slice()))
        }
        DynSolValue::Bytes(bytes) => clean_text(&hex::encode_prefixed(bytes), MAX_SHOWN),
        DynSolValue::Function(function) => hex::encode_prefixed(function),
        _ => String::new(),
    }
}

/// Converts a value to JSON; numbers become decimal strings.
fn structured(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(is_so) => json!(is_so),
        DynSolValue::String(text) => json!(clean(text)),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => {
            values.iter().map(structured).collect()
        }
        value => json!(plain(value)),
    }
}

pub(crate) async fn explain(arguments: &ExplainArguments) -> Outcome {
    let limit = arguments.sources.time_limit;
    not_begun(waited(ASKING, limit.all(explained(arguments))).await)
}

async fn explained(arguments: &ExplainArguments) -> Result<Answer> {
    let abis = Abis::read(&arguments.abis)?;
    let chain = Chain::connect(arguments.sources.settings()?).await?;
    let (account, _) = chain.any_account().await?;
    let mut options = ExplainOptions::new().from_block(chain.settings.from_block);
    if let Some(bundler) = &chain.bundler {
        options = options.bundler(bundler.node.provider().clone());
    }
    let found = explain_hash(&account, arguments.hash, &options)
        .await
        .wrap_err("looking it up failed")?;
    let mut answer = Answer::new();
    answer.data("bundlerError", Value::Null);
    let operations = match found {
        Ok(found) => found,
        Err(NotFound {
            from,
            to,
            reason,
            bundler_error,
            ..
        }) => {
            let no_answer = bundler_error.map(|error| {
                let origin = chain.bundler.as_ref().map_or("", |bundler| &bundler.origin);
                clean(&format!("the bundler at {origin} did not say: {error}"))
            });
            answer.data("bundlerError", &no_answer);
            // A pending transaction has no receipt and no logs.
            let waiting: Value = chain
                .node
                .request("eth_getTransactionByHash", (arguments.hash,))
                .await
                .unwrap_or_default();
            if !waiting.is_null() {
                answer.line(
                    Tone::Doubt,
                    0,
                    format!(
                        "Transaction {} is pending: the node has it, but it is in no block yet.",
                        arguments.hash
                    ),
                );
                answer
                    .data("found", true)
                    .data("hashOf", "transaction")
                    .data("block", Value::Null)
                    .data("success", Value::Null)
                    .data("operations", json!([]));
                return Ok(answer);
            }
            let why = reason
                .as_deref()
                .map(|reason| format!(" ({})", clean(reason)))
                .unwrap_or_default();
            let pool = match (&no_answer, &chain.bundler) {
                (Some(no_answer), _) => format!(". Whether it is pending is not known: {no_answer}"),
                (None, Some(_)) => ", and the bundler does not know it.".to_owned(),
                (None, None) => {
                    ". No bundler was asked whether it is pending: give --bundler-url.".to_owned()
                }
            };
            answer.line(
                Tone::Bad,
                0,
                format!("No operation or transaction with this hash is in blocks {from} to {to}{why}{pool}"),
            );
            answer
                .data("found", false)
                .data("hashOf", Value::Null)
                .data("block", Value::Null)
                .data("success", Value::Null)
                .data("operations", json!([]));
            answer.no(true);
            return Ok(answer);
        }
    };
    let names = chain
        .names_of_calls(operations.iter().flat_map(|operation| &operation.calls))
        .await;
    let mut documents = Vec::new();
    for operation in &operations {
        let by_key = account_keys::explained(&chain, &account, operation).await;
        documents.push(explanation(
            &mut answer,
            operation,
            &names,
            &abis,
            by_key.as_ref(),
        ));
    }
    let has_failed = operations
        .iter()
        .any(|operation| !matches!(operation.outcome, Became::Succeeded | Became::Waiting(_)));
    let is_operation = operations
        .iter()
        .any(|operation| operation.user_op_hash == arguments.hash);
    answer
        .data("found", true)
        .data("hashOf", if is_operation { "operation" } else { "transaction" })
        .data("block", operations.first().and_then(|operation| operation.block))
        .data("success", Value::Null)
        .data("operations", documents);
    answer.no(has_failed);
    if operations.is_empty() {
        // A transaction without operations, such as one that the owner sent.
        let receipt = chain.node.receipt(arguments.hash).await?;
        let success = receipt.as_ref().and_then(|receipt| receipt.success);
        let block = receipt.as_ref().map(|receipt| receipt.block_number);
        let (tone, ended) = match success {
            Some(true) => (Tone::Good, "and it succeeded"),
            Some(false) => (Tone::Bad, "and it reverted"),
            None => (Tone::Doubt, "and the node did not return whether it succeeded"),
        };
        let place = block
            .map(|block| format!(" in block {block}"))
            .unwrap_or_default();
        answer.line(
            tone,
            0,
            format!(
                "Transaction {} is{place}, {ended}. It holds no user operation, so there are no rules to explain.",
                arguments.hash
            ),
        );
        answer.data("block", block).data("success", success);
        answer.no(success == Some(false));
    }
    Ok(answer)
}

fn explanation(
    answer: &mut Answer,
    found: &Explanation,
    names: &Names,
    abis: &Abis,
    by_key: Option<&Result<Explained, String>>,
) -> Value {
    answer.heading(format!("Operation {}", found.user_op_hash));
    answer.plain(format!("of account {}", found.sender));
    if let (Some(transaction), Some(block)) = (found.transaction_hash, found.block) {
        answer.plain(format!("in transaction {transaction}, block {block}"));
    }
    if let Some(key) = found.session_key {
        answer.plain(format!(
            "by session key {key}, {}",
            super::calls(found.calls.len())
        ));
    }
    let is_by_key = matches!(by_key, Some(Ok(_)));
    let mut violations = Vec::new();
    let (outcome, tone, words) = match &found.outcome {
        Became::Succeeded => ("succeeded", Tone::Good, "Its calls took effect.".to_owned()),
        Became::Waiting(None) if is_by_key => (
            "waiting",
            Tone::Doubt,
            "A bundler has it; it is in no block.".to_owned(),
        ),
        Became::Waiting(verdict) => {
            let words = match verdict {
                Some(verdict) => verdict.describe(names).to_string().replace('\n', " "),
                None => "No session key made it.".to_owned(),
            };
            violations = verdict
                .iter()
                .flat_map(|verdict| verdict.violations())
                .cloned()
                .collect();
            (
                "waiting",
                Tone::Doubt,
                format!("A bundler has it, but it is in no block. At the current state: {words}"),
            )
        }
        Became::Failed(failure) => {
            let words = match failure {
                // Those rules are the session key module's.
                Failure::Rules(_) if is_by_key => "It was refused in validation.".to_owned(),
                Failure::Call(revert) if is_by_key => {
                    format!("It was included, and failed: {}.", abis.words(revert))
                }
                Failure::Rules(broken) => {
                    violations = broken.clone();
                    "It breaks these rules:".to_owned()
                }
                Failure::Call(revert) => format!("A call failed: {}.", abis.words(revert)),
                Failure::ChangedInBlock(revert) => format!(
                    "{}. The key's state changed within the block, so the rule cannot be determined.",
                    abis.words(revert)
                ),
                other => clean(&other.to_string()),
            };
            ("failed", Tone::Bad, words)
        }
        Became::FailedUnexplained(reason) => (
            "failed",
            Tone::Bad,
            format!(
                "It failed, and the reason cannot be determined: {}",
                clean(reason)
            ),
        ),
        _ => ("unknown", Tone::Doubt, String::new()),
    };
    answer.line(tone, 2, words.clone());
    for violation in &violations {
        answer.line(Tone::Plain, 4, format!("– {}", violation.describe(names)));
    }
    let by_key = match by_key {
        Some(Ok(explained)) => {
            explained.show(answer);
            Some(explained)
        }
        Some(Err(error)) => {
            answer.line(
                Tone::Doubt,
                4,
                format!("Its key's rules could not be read: {error}"),
            );
            None
        }
        None => None,
    };
    let reason = match &found.outcome {
        Became::Failed(_) if by_key.is_some_and(Explained::is_explained) => Some("rules"),
        Became::Failed(Failure::Rules(_)) if by_key.is_some() => Some("unexplained"),
        Became::Failed(failure) => Some(failure.code()),
        Became::FailedUnexplained(_) => Some("unexplained"),
        _ => None,
    };
    json!({
        "userOpHash": found.user_op_hash,
        "transactionHash": found.transaction_hash,
        "block": found.block,
        "sender": found.sender.to_string(),
        "sessionKey": found.session_key.map(|key| key.to_string()),
        "outcome": outcome,
        "reason": reason,
        "revert": match &found.outcome {
            Became::Failed(Failure::Call(revert) | Failure::ChangedInBlock(revert)) => abis.json(revert),
            _ => Value::Null,
        },
        "words": words,
        "costWei": found.event.as_ref().map(|event| event.actual_gas_cost.to_string()),
        "violations": violations.iter().map(|violation| show::violation_json(violation, names)).collect::<Vec<_>>(),
        "accountKey": by_key.map(Explained::json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_client::permissions::erc20;

    // The case of the last digit is wrong, as after a typo.
    #[test]
    fn an_argument_with_a_wrong_checksum_is_refused() {
        let wrong = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD";
        let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        for signature in [
            "transfer(address,uint256)",
            "pay(address[],uint256)",
            "pay((address,uint8),uint256)",
        ] {
            let arguments = |address: &str| match signature {
                "transfer(address,uint256)" => format!("{address},1"),
                "pay(address[],uint256)" => format!("[{right},{address}],1"),
                _ => format!("({address},2),1"),
            };
            let error = call_data(signature, &arguments(wrong)).unwrap_err();
            assert!(error.contains("checksum"), "{error}");
            call_data(signature, &arguments(right)).unwrap();
            call_data(signature, &arguments(&right.to_lowercase())).unwrap();
        }
        // These are no addresses.
        call_data("note(bytes20)", wrong).unwrap();
        call_data("note(string)", &format!("\"{wrong}\"")).unwrap();
    }

    #[test]
    fn contract_errors_are_formatted_as_in_solidity() {
        let abi = r#"[{"type":"error","name":"InsufficientBalance","inputs":[
            {"name":"available","type":"uint256"},{"name":"required","type":"uint256"},
            {"name":"who","type":"address"},{"name":"","type":"bytes4"},{"name":"why","type":"string"},
            {"name":"parts","type":"int8[2]"}]}]"#;
        let abi: JsonAbi = serde_json::from_str(abi).unwrap();
        let abis = Abis(abi.errors().cloned().collect());
        let who: Address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
        let values = [
            DynSolValue::Uint(U256::from(5), 256),
            DynSolValue::Uint(U256::from(7), 256),
            DynSolValue::Address(who),
            DynSolValue::FixedBytes(B256::repeat_byte(0xab), 4),
            DynSolValue::String("a \"b\"\u{1b}[31m".to_owned()),
            DynSolValue::FixedArray(vec![
                DynSolValue::Int("-1".parse().unwrap(), 8),
                DynSolValue::Int("2".parse().unwrap(), 8),
            ]),
        ];
        let mut data = abis.0[0].selector().to_vec();
        data.extend(DynSolValue::Tuple(values.to_vec()).abi_encode_params());
        let revert = Revert::decode(&data);
        let words = abis.words(&revert);
        assert!(
            words.starts_with(&format!(
                "reverted with InsufficientBalance(available: 5, required: 7, who: {who}, 0xabababab, why: \"a \\\"b\\\""
            )),
            "{words}"
        );
        assert!(
            words.ends_with(", parts: [-1, 2])") && !words.contains('\u{1b}'),
            "{words}"
        );
        let json = abis.json(&revert);
        assert_eq!(json["error"], "InsufficientBalance");
        assert_eq!(
            json["arguments"][0],
            json!({ "name": "available", "type": "uint256", "value": "5" })
        );
        assert_eq!(json["arguments"][5]["value"], json!(["-1", "2"]));
    }

    #[test]
    fn calls_are_parsed_from_their_parts() {
        let target = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let to: Address = target.parse().unwrap();
        let read = |text: String| parse_call(&text, "ETH").unwrap();
        assert_eq!(read(target.into()), Call::transfer(to, U256::ZERO));
        assert_eq!(read(format!("{target}@7 wei")), Call::transfer(to, U256::from(7)));
        assert_eq!(
            read(format!("{target}:transfer(address,uint256):{target},16")),
            Call::new(to, erc20::transfer(to, U256::from(16)))
        );
        assert_eq!(
            read(format!("{target}:0xabcd@0")),
            Call::new(to, vec![0xab, 0xcd])
        );
        assert_eq!(read(format!("{target}:deposit()@1 wei")).data.len(), 4);
        // An @ inside quotes is part of a string.
        for (call, value) in [("", 0), ("@7 wei", 7)] {
            let call = read(format!("{target}:note(string):\"bob@example.com\"{call}"));
            assert_eq!(call.value, U256::from(value));
            let text = &call.data[call.data.len() - 32..];
            assert!(text.starts_with(b"bob@example.com\0"), "{text:?}");
        }
        assert!(parse_call(&format!("{target}:note(string):a@0"), "ETH").is_err());
        assert_eq!(
            parse_call(&format!("{target}@1 POL"), "POL").unwrap().value,
            U256::from(10).pow(U256::from(18))
        );
        for bad in [
            "",
            "0x12",
            &format!("{target}:transfer"),
            &format!("{target}:transfer(address,uint256)"),
            &format!("{target}:transfer(address,uint256):1,2"),
            &format!("{target}:0xabc"),
            &format!("{target}@5"),
            &format!("{target}:a():1"),
            &format!("{target}:pay(uint):1"),
            &format!("{target}:pay(uint256 amount):1"),
        ] {
            assert!(parse_call(bad, "ETH").is_err(), "{bad}");
        }
    }
}
