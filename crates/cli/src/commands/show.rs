//! Formats keys, verdicts and plans.

use crate::answer::{Answer, Tone};
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::{Address, B256, U256},
    inspect::InspectedKey,
    permissions::{
        KeyState, Verdict, Violation,
        figures::{BudgetFigures, KeyStatus, LimitStatus},
        lint::{Lint, Severity, Warning},
        model::Remaining,
        plan::Plan,
        policy::Policy,
        words::{Lookup, Names, UnixTime, decimal, token_amount, token_symbol},
    },
};
use std::collections::BTreeSet;

/// The width of a bar, in characters.
const BAR: usize = 20;

/// A key as JSON.
pub(crate) fn key_json(key: &InspectedKey, names: &Names, nfts: &BTreeSet<Address>, now: u64) -> Value {
    let state = &key.state;
    let warnings = Lint::of_key(state).at(now).nfts(nfts.iter().copied()).run();
    json!({
        "address": key.session_key.to_string(),
        "tag": key.tag,
        "status": state.status(now),
        "complete": key.is_complete(),
        "missing": key.missing,
        "addedAtBlock": key.added.as_ref().map(|event| event.block),
        "permissions": state.figures(),
        "words": state.describe(names),
        "budgets": state.budget_figures(now),
        "warnings": warnings_json(&warnings, names, None),
    })
}

/// A key for people.
pub(crate) fn show_key(
    answer: &mut Answer,
    key: &InspectedKey,
    names: &Names,
    nfts: &BTreeSet<Address>,
    now: u64,
) {
    let state = &key.state;
    let tag = match key.tag {
        Some(tag) if tag.is_zero() => String::new(),
        Some(tag) => format!(", tag {}", shown_tag(tag)),
        None => ", tag unknown".to_owned(),
    };
    answer.heading(format!("{}  {}{tag}", key.session_key, status(state.status(now))));
    for sentence in state.describe(names) {
        answer.plain(sentence);
    }
    show_budgets(answer, state, names, now);
    for missing in &key.missing {
        answer.line(Tone::Bad, 2, format!("not complete: {missing}"));
    }
    let warnings = Lint::of_key(state).at(now).nfts(nfts.iter().copied()).run();
    show_warnings(answer, &warnings, names, None);
}

/// Formats a tag as text if it is ASCII, else as bytes.
fn shown_tag(tag: B256) -> String {
    tag.to_string()
}

pub(crate) const fn status(status: KeyStatus) -> &'static str {
    match status {
        KeyStatus::Active => "active",
        KeyStatus::NotYetValid => "not yet valid",
        KeyStatus::Expired => "expired",
        _ => "not registered",
    }
}

/// Shows what is left of each limit, as bars.
pub(crate) fn show_budgets(answer: &mut Answer, state: &KeyState, names: &Names, now: u64) {
    for budget in state.budget_figures(now) {
        let (label, amount): (String, Box<dyn Fn(U256) -> String>) = match &budget {
            BudgetFigures::Token { token, .. } => {
                let (names, token) = (names.clone(), *token);
                let label = token_symbol(&names, token);
                // If the symbol is ambiguous, the address precedes it.
                let amount: Box<dyn Fn(U256) -> String> = match (Lookup::token(&names, token), &label) {
                    (Some(known), None) => Box::new(move |amount| decimal(amount, known.decimals)),
                    (None, _) => Box::new(|amount| format!("{amount} base units")),
                    _ => Box::new(move |amount| token_amount(&names, token, amount)),
                };
                (label.unwrap_or_else(|| token.to_string()), amount)
            }
            BudgetFigures::Gas { .. } => ("gas".to_owned(), native(names)),
            _ => (names.native_symbol().into_owned(), native(names)),
        };
        let (used, limit) = (budget.used(), budget.limit());
        if matches!(budget, BudgetFigures::Native { .. }) && limit.is_zero() {
            continue;
        }
        let filled = if limit.is_zero() {
            BAR
        } else {
            // Capped: more may be used than a lowered limit allows.
            let share = used.min(limit).saturating_mul(U256::from(BAR)) / limit;
            usize::try_from(share).unwrap_or(BAR).min(BAR)
        };
        let bar = format!("[{}{}]", "#".repeat(filled), ".".repeat(BAR - filled));
        let interval = budget.interval();
        let refresh = match (
            interval.status,
            interval.refreshes_at,
            interval.refresh_interval_seconds,
        ) {
            (LimitStatus::ResetPending, ..) => ", a reset is pending".to_owned(),
            (_, Some(at), _) => format!(", refreshes {}", UnixTime(at)),
            (_, None, Some(_)) => ", a new interval begins with the next use".to_owned(),
            (_, None, None) => String::new(),
        };
        let tone = if interval.status == LimitStatus::Available {
            Tone::Plain
        } else {
            Tone::Doubt
        };
        answer.line(
            tone,
            2,
            format!(
                "{label:<6} {bar} {} of {} left{refresh}",
                amount(budget.remaining()),
                amount(limit)
            ),
        );
    }
}

fn native(names: &Names) -> Box<dyn Fn(U256) -> String> {
    let symbol = names.native_symbol().into_owned();
    Box::new(move |wei| format!("{} {symbol}", decimal(wei, 18)))
}

/// Warnings as JSON, with their line if a file has them.
pub(crate) fn warnings_json(warnings: &[Warning], names: &Names, policy: Option<&Policy>) -> Value {
    let warnings = warnings.iter().map(|warning| {
        let place = policy.and_then(|policy| policy.place(&warning.part));
        json!({
            "code": warning.code,
            "severity": warning.severity,
            "part": warning.part,
            "detail": warning.detail,
            "message": warning.code.message(),
            "suggestion": warning.code.suggestion(),
            "line": place.map(|place| place.line),
            "column": place.map(|place| place.column),
            "words": warning.describe(names),
        })
    });
    warnings.collect()
}

/// Shows warnings, with file, line and column if a file has them.
pub(crate) fn show_warnings(
    answer: &mut Answer,
    warnings: &[Warning],
    names: &Names,
    file: Option<(&str, &Policy)>,
) {
    for warning in warnings {
        let tone = match warning.severity {
            Severity::Error => Tone::Bad,
            Severity::Warning => Tone::Doubt,
            Severity::Note => Tone::Quiet,
        };
        let place = file.map(|(name, policy)| match policy.place(&warning.part) {
            Some(place) => format!("{name}:{place}: "),
            None => format!("{name}: "),
        });
        let indent = if file.is_some() { 0 } else { 2 };
        answer.line(
            tone,
            indent,
            format!(
                "{}{} [{}] {}",
                place.unwrap_or_default(),
                warning.severity,
                warning.code,
                warning.describe(names)
            ),
        );
    }
}

/// A broken rule as JSON.
pub(crate) fn violation_json(violation: &Violation, names: &Names) -> Value {
    // Serialization cannot fail: keys are strings.
    let mut value = serde_json::to_value(violation).unwrap_or_default();
    value["words"] = json!(violation.describe(names));
    value
}

/// Adds a verdict to the JSON: `verdict`, `violations`, `passesFrom`.
pub(crate) fn verdict_json(answer: &mut Answer, verdict: &Verdict, names: &Names) {
    let word = match verdict {
        Verdict::Accepted { .. } => "accepted",
        Verdict::MayPass { .. } => "mayPass",
        _ => "refused",
    };
    let violations: Vec<Value> = verdict
        .violations()
        .iter()
        .map(|violation| violation_json(violation, names))
        .collect();
    let passes_from = if verdict.is_accepted() {
        None
    } else {
        verdict.passes_from()
    };
    answer
        .data("verdict", word)
        .data("violations", violations)
        .data("passesFrom", passes_from);
}

/// The remaining amounts as JSON; null where there is no limit.
pub(crate) fn remaining_json(remaining: &Remaining) -> Value {
    json!(remaining)
}

/// Adds a plan's changes to the JSON.
pub(crate) fn plan_json(answer: &mut Answer, plan: &Plan, names: &Names) -> eyre::Result<()> {
    let mut changes = Vec::new();
    for change in plan.changes() {
        let encoded: Result<Vec<_>, _> = change.updates.iter().map(|update| update.encode()).collect();
        changes.push(json!({
            "part": change.part,
            "widens": change.widens,
            "words": change.describe(names),
            "usedBeforeBaseUnits": change.limit.map(|effect| effect.used_before.to_string()),
            "usedAfterBaseUnits": change.limit.map(|effect| effect.used_after.to_string()),
            "refreshesBefore": change.limit.and_then(|effect| effect.refreshes_before),
            "refreshesAfter": change.limit.and_then(|effect| effect.refreshes_after),
            "updates": encoded?,
        }));
    }
    answer
        .data("changes", changes)
        .data("widens", plan.widens())
        .data("updates", plan.updates().encode()?);
    Ok(())
}

/// Shows a plan's changes.
pub(crate) fn show_plan(answer: &mut Answer, plan: &Plan, names: &Names) {
    if plan.is_empty() {
        answer.line(
            Tone::Good,
            2,
            "Nothing to change: the key has exactly these permissions.",
        );
        return;
    }
    for change in plan.changes() {
        let (mark, tone) = if change.widens {
            ("+", Tone::Doubt)
        } else {
            ("–", Tone::Plain)
        };
        answer.line(tone, 2, format!("{mark} {}", change.describe(names)));
    }
    let more = plan.changes().iter().filter(|change| change.widens).count();
    if more > 0 {
        let plural = if more == 1 { "change lets" } else { "changes let" };
        answer.line(
            Tone::Doubt,
            2,
            format!("{more} {plural} the key do more than now (+)."),
        );
    }
}
