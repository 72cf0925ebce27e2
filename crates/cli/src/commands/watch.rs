//! Events of an account's keys as they happen, and budgets going down.

use super::{asked, chain::Chain, clean};
use crate::{
    answer::{Answer, Tone, print_failure_line},
    failure::{Exit, Failure, NOTHING_SIGNED, WrongInput, asked_to_end},
    report::{print_error, print_note},
    settings::Sources,
};
use clap::Args;
use eyre::{Result, ensure};
use session_key_client::{
    SmartAccount,
    alloy::primitives::{Address, B256},
    explain::{Became, ExplainOptions, Failure as Failed, explain_hash},
    inspect::{InspectOptions, KeyEventKind, inspect},
    node::{Head, OperationFilter},
    permissions::{
        KeyState,
        figures::BudgetFigures,
        parse_address,
        words::{Names, UnixTime},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    time::Duration,
};

#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Watch only these keys.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    keys: Vec<Address>,

    /// The polling interval, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// Start with the events of this block [default: after the latest].
    #[arg(long, value_name = "BLOCK")]
    since: Option<u64>,

    /// Stop after this many polls.
    #[arg(long, value_name = "COUNT")]
    rounds: Option<u64>,

    #[command(flatten)]
    pub(crate) sources: Sources,
}

/// An event.
struct Event {
    block: u64,
    kind: &'static str,
    key: Address,
    new_key: Option<Address>,
    words: String,
    transaction: Option<B256>,
    operation: Option<B256>,
    budgets: Vec<BudgetFigures>,
}

impl Event {
    fn answer(&self) -> Answer {
        let mut answer = Answer::new();
        let tone = match self.kind {
            "refused" => Tone::Bad,
            "budget" => Tone::Quiet,
            _ => Tone::Plain,
        };
        answer.line(
            tone,
            0,
            format!("block {}: {} {}", self.block, self.key, self.words),
        );
        answer
            .data("event", self.kind)
            .data("block", self.block)
            .data("sessionKey", self.key.to_string())
            .data("newSessionKey", self.new_key.map(|key| key.to_string()))
            .data("transactionHash", self.transaction)
            .data("userOpHash", self.operation)
            .data("words", &self.words)
            .data("budgets", &self.budgets);
        answer
    }
}

/// What is left to a key.
struct Left {
    key: Address,
    budgets: Vec<BudgetFigures>,
    words: String,
}

struct Watch<'a> {
    arguments: &'a WatchArguments,
    chain: Chain,
    account: SmartAccount,
    /// The last block seen.
    seen: u64,
    /// The keys given, and those they were rotated to. Empty: all.
    watched: BTreeSet<Address>,
    budgets: BTreeMap<Address, Vec<BudgetFigures>>,
}

pub(crate) async fn run(arguments: &WatchArguments) -> ExitCode {
    let is_json = arguments.sources.json;
    let begun = async {
        let chain = Chain::connect(arguments.sources.settings()?).await?;
        let account = chain.account().await?;
        let head = chain.head().await?;
        let seen = arguments
            .since
            .map_or(head.number, |since| since.saturating_sub(1));
        ensure!(
            seen <= head.number,
            WrongInput(format!(
                "--since {} is ahead of the latest block, {}",
                seen.saturating_add(1),
                head.number
            ))
        );
        if !arguments.keys.is_empty() {
            let registered = account.session_keys().await?;
            for key in arguments.keys.iter().filter(|key| !registered.contains(key)) {
                print_note(&format!(
                    "{key} is not a session key of {} now",
                    account.address()
                ));
            }
        }
        let mut watch = Watch {
            arguments,
            chain,
            account,
            seen,
            watched: arguments.keys.iter().copied().collect(),
            budgets: BTreeMap::new(),
        };
        watch.remember(head).await?;
        Ok(watch)
    };
    let begun = tokio::select! {
        biased;
        begun = arguments.sources.time_limit.all(begun) => begun,
        () = asked() => {
            let failure = Failure::during(&[NOTHING_SIGNED.into()]);
            return print_failure_line(&failure, is_json).into();
        }
    };
    let mut watch = match begun {
        Ok(watch) => watch,
        Err(error) => return print_failure_line(&Failure::before(&error), is_json).into(),
    };
    print_note(&watch.words());
    let mut rounds = 0;
    loop {
        let looked = tokio::select! {
            _ = asked_to_end() => return Exit::Interrupted.into(),
            looked = watch.look() => looked,
        };
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                print_error(&format!("the answer could not be written: {error}"));
                return Exit::Open.into();
            }
            // The node may be back at the next poll.
            Err(error) => print_error(&clean(&format!("{error:#}"))),
        }
        rounds += 1;
        if arguments.rounds.is_some_and(|most| rounds >= most) {
            return Exit::Done.into();
        }
        tokio::select! {
            _ = asked_to_end() => return Exit::Interrupted.into(),
            () = tokio::time::sleep(Duration::from_secs(arguments.interval)) => {}
        }
    }
}

impl Watch<'_> {
    fn is_watched(&self, key: &Address) -> bool {
        self.watched.is_empty() || self.watched.contains(key)
    }

    /// Says what is watched: without events, nothing else is shown.
    fn words(&self) -> String {
        let keys = match self.budgets.len() {
            1 => "1 session key".to_owned(),
            count => format!("{count} session keys"),
        };
        format!(
            "watching {keys} of account {} after block {}, every {} s; Ctrl-C ends it",
            self.account.address(),
            self.seen,
            self.arguments.interval
        )
    }

    /// Stores what the keys have left now, and returns those whose budgets changed.
    async fn remember(&mut self, head: Head) -> Result<Vec<Left>> {
        let options = InspectOptions::new()
            .at(head.number.into())
            .from_block(self.chain.settings.from_block);
        let inspection = inspect(&self.account, &options).await?;
        let mut changed = Vec::new();
        for key in inspection.keys() {
            if !self.is_watched(&key.session_key) {
                continue;
            }
            let state: &KeyState = &key.state;
            let now = state.budget_figures(head.timestamp);
            let before = self.budgets.insert(key.session_key, now.clone());
            if before.is_some_and(|before| before != now) {
                let names = self.chain.names([state], Names::new()).await;
                let words = state.remaining(head.timestamp).describe(&names).lines().join(" ");
                changed.push(Left {
                    key: key.session_key,
                    budgets: now,
                    words,
                });
            }
        }
        Ok(changed)
    }

    /// Shows the events since the last poll.
    async fn look(&mut self) -> Result<std::io::Result<()>> {
        let head = self.chain.head().await?;
        if head.number <= self.seen {
            return Ok(Ok(()));
        }
        let (from, to) = (self.seen.saturating_add(1), head.number);
        let options = InspectOptions::new()
            .from_block(from)
            .at(to.into())
            .with_history();
        let inspection = inspect(&self.account, &options).await?;
        let mut events = Vec::new();
        for event in inspection.events().iter().rev() {
            let (kind, key, new_key, words) = match &event.kind {
                KeyEventKind::Added { session_key, tag } => {
                    ("added", *session_key, None, format!("added, tag {tag}"))
                }
                KeyEventKind::Updated { session_key, .. } => (
                    "changed",
                    *session_key,
                    None,
                    "its permissions were changed".to_owned(),
                ),
                KeyEventKind::Rotated { old, new } => {
                    ("rotated", *old, Some(*new), format!("rotated to {new}"))
                }
                KeyEventKind::Removed { session_key } => {
                    ("removed", *session_key, None, "removed".to_owned())
                }
                _ => continue,
            };
            if self.is_watched(&key) {
                // A rotation moves the watched permissions to the new key.
                if !self.watched.is_empty() {
                    self.watched.extend(new_key);
                }
                events.push(Event {
                    block: event.block,
                    kind,
                    key,
                    new_key,
                    words,
                    transaction: Some(event.transaction_hash),
                    operation: None,
                    budgets: Vec::new(),
                });
            }
        }
        let entry_point = self.account.deployment().entry_point;
        let filter = OperationFilter::of(self.account.address());
        let operations = self.chain.node.operations(entry_point, &filter, from, to).await?;
        for operation in operations {
            let options = ExplainOptions::new().from_block(operation.block_number);
            let Ok(found) = explain_hash(&self.account, operation.user_op_hash, &options).await? else {
                continue;
            };
            for found in found {
                let Some(key) = found.session_key.filter(|key| self.is_watched(key)) else {
                    continue;
                };
                let names = self.chain.names_of_calls(&found.calls).await;
                let (kind, words) = match &found.outcome {
                    Became::Failed(Failed::Rules(broken)) => {
                        let broken: Vec<String> = broken
                            .iter()
                            .map(|violation| violation.describe(&names))
                            .collect();
                        ("refused", format!("an operation failed: {}", broken.join("; ")))
                    }
                    Became::Succeeded => ("used", format!("used: {}", super::calls(found.calls.len()))),
                    Became::Failed(failure) => (
                        "refused",
                        format!("an operation failed: {}", clean(&failure.to_string())),
                    ),
                    _ => ("refused", "an operation failed".to_owned()),
                };
                events.push(Event {
                    block: operation.block_number,
                    kind,
                    key,
                    new_key: None,
                    words,
                    transaction: Some(operation.transaction_hash),
                    operation: Some(found.user_op_hash),
                    budgets: Vec::new(),
                });
            }
        }
        events.sort_by_key(|event| event.block);
        for Left { key, budgets, words } in self.remember(head).await? {
            events.push(Event {
                block: head.number,
                kind: "budget",
                key,
                new_key: None,
                words: format!("has new budgets at {}. {words}", UnixTime(head.timestamp)),
                transaction: None,
                operation: None,
                budgets,
            });
        }
        for event in events {
            if let Err(error) = event.answer().print_event(self.arguments.sources.json) {
                return Ok(Err(error));
            }
        }
        self.seen = to;
        Ok(Ok(()))
    }
}
