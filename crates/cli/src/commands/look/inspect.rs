//! What the keys of an account may do, and what is left.

use crate::{
    answer::{Answer, Tone},
    commands::{ASKING, Outcome, account_keys, chain::Chain, clean, not_begun, show, waited},
    failure::NotASessionKey,
    settings::Sources,
};
use clap::Args;
use eyre::{Result, bail};
use serde_json::{Value, json};
use session_key_client::{
    account_keys::ReadOptions,
    alloy::primitives::Address,
    inspect::{InspectOptions, Inspection, KeyEventKind},
    permissions::{
        figures::{BudgetFigures, KeyStatus},
        parse_address,
        policy::{Policy, PolicyFormat},
        words::{Names, UnixTime},
    },
};
use std::collections::BTreeSet;

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
