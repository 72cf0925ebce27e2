//! Shows, checks and explains keys of the account's own client.

use super::{
    chain::Chain,
    clean,
    obstacles::{Obstacle, obstacles},
};
use crate::{
    answer::{Answer, Tone},
    failure::WrongInput,
};
use eyre::{Result, WrapErr as _, bail};
use serde_json::{Value, json};
use session_key_client::{
    SmartAccount, UserOperation,
    account::Generation,
    account_keys::{AccountKeys, KeyFailure, ReadKey, ReadOptions, calls_of, explain_key_failure},
    alloy::primitives::{Address, U256},
    explain::{Became, Explanation},
    node::Head,
    permissions::{
        Call, EntryPointVersion,
        account_modules::{
            AccountKey, AllowlistSettings, Hook, HookRule, KeyVerdict, Left, LeftOf, Refusal, Refuser,
            Settings,
        },
        lint::Severity,
        words::Names,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Reads the keys of an account; `None` for a v0.7 account.
pub(super) async fn read(
    chain: &Chain,
    account: &SmartAccount,
    options: ReadOptions,
) -> Result<Option<AccountKeys>> {
    let Generation::V08(validations) = account.generation() else {
        return Ok(None);
    };
    let options = options
        .session_key_module(account.deployment().session_key_plugin)
        .owner(validations.owner.entity_id);
    let found = AccountKeys::read(&chain.node, account.address(), &options).await;
    found.wrap_err("the keys of the account's own client cannot be read")
}

/// Returns names of the tokens that the keys may move.
async fn names<'a>(chain: &Chain, keys: impl IntoIterator<Item = &'a AccountKey>) -> Names {
    let tokens: BTreeSet<Address> = keys.into_iter().flat_map(AccountKey::tokens).collect();
    let names = Names::new().native_symbol(chain.symbol());
    let found = chain.tokens(tokens).await.into_iter();
    found.fold(names, |names, (address, token)| names.token(address, token))
}

/// Shows keys, and adds them to the JSON document.
pub(super) async fn show_keys(
    answer: &mut Answer,
    chain: &Chain,
    found: &AccountKeys,
    only: Option<Address>,
    now: u64,
) {
    let shown: Vec<&ReadKey> = found
        .keys
        .iter()
        .filter(|read| only.is_none_or(|signer| read.key.signer == Some(signer)))
        .collect();
    let names = names(chain, shown.iter().map(|read| &read.key)).await;
    for read in &shown {
        show_key(answer, read, &names, now);
        // Unreadable settings make the answer incomplete; unknown code does not.
        answer.no(!read.missing.is_empty());
    }
    let mut incomplete = Vec::new();
    for blocks in &found.missing_blocks {
        incomplete.push(format!(
            "events of the account in the blocks {} to {}: {}",
            blocks.from,
            blocks.to,
            clean(&blocks.reason)
        ));
    }
    if found.left_out > 0 {
        incomplete.push(format!(
            "{} validations and functions of the account were left out: there are too many",
            found.left_out
        ));
    }
    if let (Some(first), more) = (incomplete.first(), incomplete.len().saturating_sub(1)) {
        let more = if more == 0 {
            String::new()
        } else {
            format!(" (and {more} more)")
        };
        answer.line(
            Tone::Doubt,
            0,
            format!("More keys of the account's own client may exist: {first}{more}"),
        );
    }
    answer.data(
        "accountKeys",
        json!({
            "form": found.form,
            "complete": found.is_complete(),
            "missingBlocks": found.missing_blocks,
            "leftOut": found.left_out,
            "keys": shown.iter().map(|read| key_json(read, &names, now)).collect::<Vec<_>>(),
        }),
    );
}

fn show_key(answer: &mut Answer, read: &ReadKey, names: &Names, now: u64) {
    let key = &read.key;
    let signer = key
        .signer
        .map_or_else(|| "signer unknown".to_owned(), |signer| signer.to_string());
    answer.heading(format!(
        "{signer}  entity {}, key of the account's own client",
        key.entity_id
    ));
    for sentence in key.describe(names) {
        answer.plain(sentence);
    }
    for missing in &read.missing {
        answer.line(
            Tone::Bad,
            2,
            format!("not complete: {}", clean(&missing.to_string())),
        );
    }
    for warning in key.lint(Some(now)) {
        answer.line(
            tone(warning.severity()),
            2,
            format!(
                "{} [{}] {}",
                warning.severity(),
                warning.code,
                warning.describe(names)
            ),
        );
    }
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Doubt,
        Severity::Note => Tone::Quiet,
    }
}

fn key_json(read: &ReadKey, names: &Names, now: u64) -> Value {
    let key = &read.key;
    let missing = read
        .missing
        .iter()
        .map(|missing| json!({ "what": missing.code(), "words": clean(&missing.to_string()) }));
    let hooks = key.hooks.iter().map(|hook| {
        let mut value = hook_json(hook);
        value["settings"] = key.settings_of(hook).map_or(Value::Null, settings_json);
        value
    });
    let warnings = key.lint(Some(now)).into_iter().map(|warning| {
        json!({
            "code": warning.code,
            "severity": warning.severity(),
            "contract": warning.contract.map(|contract| contract.to_string()),
            "selector": warning.selector,
            "detail": warning.detail,
            "message": warning.code.message(),
            "suggestion": warning.code.suggestion(),
            "words": warning.describe(names),
        })
    });
    json!({
        "entityId": key.entity_id,
        "signer": key.signer.map(|signer| signer.to_string()),
        "module": key.validation.address.to_string(),
        "moduleName": key.validation.kind.map(|kind| kind.name()),
        "flags": key.flags,
        "selectors": key.selectors,
        "hooks": hooks.collect::<Vec<_>>(),
        "functionHooks": key.function_hooks.iter().map(hook_json).collect::<Vec<_>>(),
        "complete": read.is_complete(),
        "missing": missing.collect::<Vec<_>>(),
        "words": key.describe(names),
        "warnings": warnings.collect::<Vec<_>>(),
    })
}

fn hook_json(hook: &Hook) -> Value {
    json!({
        "module": hook.module.address.to_string(),
        "moduleName": hook.module.kind.map(|kind| kind.name()),
        "entityId": hook.entity_id,
        "phase": if hook.is_validation() { "validation" } else { "execution" },
        "flags": hook.flags,
    })
}

fn settings_json(settings: &Settings) -> Value {
    match settings {
        Settings::Allowlist(settings) => allowlist_json(settings),
        Settings::NativeTokenLimit {
            left,
            special_paymasters,
            complete,
        } => json!({
            "kind": "nativeTokenLimit",
            "leftWei": left.to_string(),
            "specialPaymasters": special_paymasters
                .iter()
                .filter(|(_, is_special)| **is_special)
                .map(|(paymaster, _)| paymaster.to_string())
                .collect::<Vec<_>>(),
            "complete": complete,
        }),
        Settings::TimeRange {
            valid_after,
            valid_until,
        } => json!({ "kind": "timeRange", "validAfter": valid_after, "validUntil": valid_until }),
        Settings::PaymasterGuard { paymaster } => {
            json!({ "kind": "paymasterGuard", "paymaster": paymaster.to_string() })
        }
        _ => Value::Null,
    }
}

fn allowlist_json(settings: &AllowlistSettings) -> Value {
    let listed = |functions: &BTreeMap<_, bool>| {
        let listed = functions.iter().filter(|(_, is_listed)| **is_listed);
        listed.map(|(function, _)| json!(function)).collect::<Vec<_>>()
    };
    let contracts = settings.targets.iter().map(|(contract, entry)| {
        json!({
            "contract": contract.to_string(),
            "allowed": entry.allowed,
            "hasFunctionList": entry.has_selector_list,
            "functions": listed(&entry.functions),
            "hasLimit": entry.has_limit,
            "leftBaseUnits": entry.left.to_string(),
        })
    });
    json!({
        "kind": "allowlist",
        "contracts": contracts.collect::<Vec<_>>(),
        "functionsOnEveryContract": listed(&settings.any_target),
        "complete": settings.complete,
    })
}

/// Selects a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Entity(u32),
    Signer(Address),
}

/// Checks calls or an operation; `None` if the signer has no such key. An unknown entity id is an error.
pub(super) async fn checked(
    chain: &Chain,
    account: &SmartAccount,
    head: &Head,
    which: Which,
    (calls, operation): (&[Call], Option<&UserOperation>),
) -> Result<Option<Answer>> {
    let touched = operation.map_or_else(|| calls.to_vec(), calls_of);
    let mut options = ReadOptions::new().at(*head).calls(&touched);
    if let Which::Entity(entity_id) = which {
        options = options.entity_ids([entity_id]);
    }
    if let Some(paymaster) = operation.and_then(UserOperation::paymaster) {
        options = options.paymaster(paymaster);
    }
    let found = read(chain, account, options).await?;
    let address = account.address();
    let read = match which {
        Which::Entity(entity_id) => {
            let read = found.as_ref().and_then(|found| found.of_entity(entity_id));
            Some(read.ok_or_else(|| {
                WrongInput(format!(
                    "entity {entity_id} of {address} is not a key of the account's own client"
                ))
            })?)
        }
        Which::Signer(signer) => {
            let mut keys = found.iter().flat_map(|found| found.of_signer(signer));
            let first = keys.next();
            let others: Vec<String> = first
                .into_iter()
                .chain(keys)
                .map(|read| read.key.entity_id.to_string())
                .collect();
            if others.len() > 1 {
                bail!(WrongInput(format!(
                    "{signer} signs for several keys of {address}: give --entity, one of {}",
                    others.join(", ")
                )));
            }
            first
        }
    };
    match read {
        Some(read) => judged(chain, account, head, read, (&touched, operation))
            .await
            .map(Some),
        None => Ok(None),
    }
}

async fn judged(
    chain: &Chain,
    account: &SmartAccount,
    head: &Head,
    read: &ReadKey,
    (calls, operation): (&[Call], Option<&UserOperation>),
) -> Result<Answer> {
    let (key, now) = (&read.key, head.timestamp);
    if let Some(operation) = operation
        && operation.version != EntryPointVersion::V07
    {
        bail!(WrongInput(
            "the operation is one for EntryPoint v0.6, and the account has v0.7".to_owned()
        ));
    }
    let verdict = match operation {
        None => key.verdict_of_calls(calls, now),
        Some(operation) => {
            let hash = operation.hash(account.deployment().entry_point, chain.chain_id);
            key.verdict(operation, Some(hash), now)
        }
    };
    let is_signed = operation.map(AccountKey::has_checked_signature);
    let names = names(chain, [key]).await;
    let at = account.clone().at(head.number);
    let obstacles = obstacles(chain, &at, head.number, (operation, calls), &names).await?;
    let is_impossible = obstacles.iter().any(|obstacle| obstacle.is_final);
    let mut answer = Answer::new();
    show_obstacles(&mut answer, &obstacles);
    if let Some(signer) = key.signer {
        answer.line(
            Tone::Quiet,
            0,
            format!(
                "Key of {signer}, entity {}, of the account's own client.",
                key.entity_id
            ),
        );
    }
    show_verdict(&mut answer, &verdict, &names, 0);
    for missing in &read.missing {
        answer.line(
            Tone::Doubt,
            2,
            format!("not read: {}", clean(&missing.to_string())),
        );
    }
    let is_refused = is_impossible || matches!(verdict, KeyVerdict::Refused { .. });
    let word = match &verdict {
        _ if is_refused => "refused",
        KeyVerdict::Accepted { .. } if obstacles.is_empty() => "accepted",
        KeyVerdict::Accepted { .. } => "mayPass",
        _ => "unknown",
    };
    let remaining = match &verdict {
        KeyVerdict::Accepted { remaining, .. } => remaining.clone(),
        _ => Vec::new(),
    };
    answer
        .data("sessionKey", key.signer.map(|signer| signer.to_string()))
        .data("entityId", key.entity_id)
        .data("block", head.number)
        .data("verdict", word)
        .data("violations", refusals_json(&verdict, &names))
        .data("reasons", reasons_json(&verdict))
        .data("passesFrom", passes_from(&verdict))
        .data("remaining", remaining_json(&remaining))
        .data("budgets", json!([]))
        .data("obstacles", &obstacles)
        .data("signatureChecked", is_signed);
    if is_signed == Some(false) {
        answer.line(
            Tone::Doubt,
            2,
            "Its signature was not checked: it is missing, a dummy, or a contract's.",
        );
    }
    answer.line(
        Tone::Quiet,
        2,
        "Not judged: what the called contracts do, and whether gas and fees suffice.",
    );
    answer.no(is_refused || word == "unknown");
    Ok(answer)
}

/// Shows obstacles other than the key's rules.
pub(super) fn show_obstacles(answer: &mut Answer, obstacles: &[Obstacle]) {
    if obstacles.is_empty() {
        return;
    }
    let (tone, words) = if obstacles.iter().any(|obstacle| obstacle.is_final) {
        (Tone::Bad, "Refused, whatever the key may do:")
    } else {
        (Tone::Doubt, "May fail, whatever the key may do:")
    };
    answer.line(tone, 0, words);
    for obstacle in obstacles {
        answer.line(Tone::Plain, 2, format!("– {}.", obstacle.words));
    }
    answer.line(Tone::Plain, 0, "By the rules of the key:");
}

fn show_verdict(answer: &mut Answer, verdict: &KeyVerdict, names: &Names, indent: usize) {
    for (index, sentence) in verdict.describe(names).into_iter().enumerate() {
        let tone = match (index, verdict) {
            (0, KeyVerdict::Accepted { .. }) => Tone::Good,
            (0, KeyVerdict::Refused { .. }) => Tone::Bad,
            (0, _) => Tone::Doubt,
            _ => Tone::Plain,
        };
        let indent = if index == 0 {
            indent
        } else {
            indent.saturating_add(2)
        };
        answer.line(tone, indent, clean(&sentence));
    }
}

/// Returns the first second in which the operation passes, if only its time is wrong.
fn passes_from(verdict: &KeyVerdict) -> Option<u64> {
    match verdict.refusals() {
        [
            Refusal {
                rule: HookRule::NotYetValid { valid_after },
                ..
            },
        ] => Some(*valid_after),
        _ => None,
    }
}

fn refusals_json(verdict: &KeyVerdict, names: &Names) -> Vec<Value> {
    let refusals = verdict.refusals().iter();
    refusals.map(|refusal| refusal_json(refusal, names)).collect()
}

fn refusal_json(refusal: &Refusal, names: &Names) -> Value {
    // All of it can be written.
    let mut value = serde_json::to_value(&refusal.rule).unwrap_or_default();
    value["call"] = json!(refusal.call);
    value["phase"] = json!(refusal.phase);
    value["message"] = json!(refusal.to_string());
    value["words"] = json!(refusal.describe(names));
    value["passesFrom"] = match refusal.rule {
        HookRule::NotYetValid { valid_after } => json!(valid_after),
        _ => Value::Null,
    };
    let (by, hook) = match &refusal.refuser {
        Refuser::EntryPoint => ("entryPoint", Value::Null),
        Refuser::Account => ("account", Value::Null),
        Refuser::Validation => ("validation", Value::Null),
        Refuser::Hook(hook) => ("hook", hook_json(hook)),
        _ => ("unknown", Value::Null),
    };
    value["by"] = json!(by);
    value["hook"] = hook;
    value
}

fn reasons_json(verdict: &KeyVerdict) -> Vec<String> {
    match verdict {
        KeyVerdict::Unknown { reasons } => reasons.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// Returns the remaining limits in JSON, the least of several on the same token.
fn remaining_json(remaining: &[Left]) -> Value {
    let least = |of: LeftOf| {
        let amounts = remaining.iter().filter(|left| left.of == of);
        amounts.map(|left| left.amount).min()
    };
    let mut tokens: BTreeMap<Address, U256> = BTreeMap::new();
    for left in remaining {
        if let LeftOf::Token { token } = left.of {
            let entry = tokens.entry(token).or_insert(left.amount);
            *entry = (*entry).min(left.amount);
        }
    }
    json!({
        "nativeWei": least(LeftOf::Native).map(|amount| amount.to_string()),
        "gasWei": least(LeftOf::Gas).map(|amount| amount.to_string()),
        "tokens": tokens
            .iter()
            .map(|(token, amount)| json!({ "token": token.to_string(), "baseUnits": amount.to_string() }))
            .collect::<Vec<_>>(),
    })
}

/// An operation that failed or is pending, explained by its key's rules.
pub(super) struct Explained {
    failure: KeyFailure,
    names: Names,
    is_waiting: bool,
}

/// Explains an operation by its key's rules; `None` if it is not of such a key. A failed read is returned as
/// text.
pub(super) async fn explained(
    chain: &Chain,
    account: &SmartAccount,
    found: &Explanation,
) -> Option<Result<Explained, String>> {
    let Generation::V08(validations) = account.generation() else {
        return None;
    };
    let options = ReadOptions::new().owner(validations.owner.entity_id);
    match explain_key_failure(account, found, &options).await {
        Ok(failure) => {
            let failure = failure?;
            let names = names(chain, [&failure.key.key]).await;
            Some(Ok(Explained {
                failure,
                names,
                is_waiting: matches!(found.outcome, Became::Waiting(_)),
            }))
        }
        Err(error) => Some(Err(clean(&error.to_string()))),
    }
}

impl Explained {
    /// Whether a rule of the key explains the failure.
    pub(super) fn is_explained(&self) -> bool {
        !self.is_waiting && self.failure.refusal().is_some()
    }

    /// Shows the explanation.
    pub(super) fn show(&self, answer: &mut Answer) {
        let (failure, key) = (&self.failure, &self.failure.key.key);
        let signer = key
            .signer
            .map_or_else(String::new, |signer| format!(" of {signer}"));
        answer.plain(format!(
            "by the key{signer}, entity {}, of the account's own client",
            key.entity_id
        ));
        if self.is_waiting {
            answer.line(
                Tone::Doubt,
                2,
                "A bundler has it, and no block includes it yet. By the key's rules, as of now:",
            );
            show_verdict(answer, &failure.verdict, &self.names, 4);
            return;
        }
        match (failure.refusal(), &failure.verdict) {
            (Some(refusal), _) => {
                answer.line(Tone::Bad, 2, "It breaks a rule of its key:");
                answer.line(
                    Tone::Plain,
                    4,
                    format!("– {}", clean(&refusal.describe(&self.names))),
                );
            }
            (None, KeyVerdict::Unknown { .. }) => {
                show_verdict(answer, &failure.verdict, &self.names, 2);
            }
            (None, _) if failure.hook.is_none() => {
                answer.line(
                    Tone::Doubt,
                    2,
                    "No rule of its key explains the failure; a call may have failed.",
                );
            }
            (None, _) => {}
        }
        if let Some(hook) = &failure.hook {
            answer.line(
                Tone::Plain,
                4,
                format!("According to the chain, the {} refused it.", hook.describe()),
            );
        }
        if failure.has_changed {
            answer.line(
                Tone::Doubt,
                4,
                "The state before the block suggests otherwise: uses and changes earlier in the same block are not considered.",
            );
        }
        for missing in &failure.key.missing {
            answer.line(
                Tone::Doubt,
                4,
                format!("not read: {}", clean(&missing.to_string())),
            );
        }
    }

    /// Returns the explanation as JSON.
    pub(super) fn json(&self) -> Value {
        let failure = &self.failure;
        json!({
            "entityId": failure.key.key.entity_id,
            "signer": failure.key.key.signer.map(|signer| signer.to_string()),
            "verdict": match &failure.verdict {
                KeyVerdict::Accepted { .. } => "accepted",
                KeyVerdict::Refused { .. } => "refused",
                _ => "unknown",
            },
            "reasons": reasons_json(&failure.verdict),
            "refusals": refusals_json(&failure.verdict, &self.names),
            "hook": failure.hook.as_ref().map(hook_json),
            "explainedBy": failure.refusal().map(|refusal| refusal_json(refusal, &self.names)),
            "hasChanged": failure.has_changed,
            "complete": failure.key.is_complete(),
        })
    }
}
