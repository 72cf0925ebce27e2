//! Answers in JSON: verdicts and figures, with words for people and models.

use serde_json::{Value, json};
use session_key_agent::{
    AgentError, Preflight, WindowUse,
    client::{
        Call,
        alloy::primitives::keccak256,
        explain::{Became, Explanation},
        permissions::{AaCode, Verdict, words::Names},
        request::clean_text,
        submit::Refusal,
    },
    rules::{AgentViolation, Asset},
};

fn clean(text: &str) -> String {
    clean_text(text, 500)
}

fn violations(violations: &[AgentViolation]) -> Vec<Value> {
    let each = violations.iter().map(|violation| {
        json!({
            "code": violation.code(),
            "message": clean(&violation.to_string()),
            "passesFrom": violation.passes_from(),
        })
    });
    each.collect()
}

fn verdict(verdict: &Verdict, names: &Names) -> Value {
    json!({
        "verdict": match verdict {
            Verdict::Accepted { .. } => "accepted",
            Verdict::MayPass { .. } => "mayPass",
            _ => "refused",
        },
        "violations": verdict.violations().iter().map(|violation| json!({
            "code": violation.code(),
            "message": clean(&violation.to_string()),
        })).collect::<Vec<_>>(),
        "words": verdict.describe(names).into_iter().collect::<Vec<String>>(),
    })
}

/// Why the account or the bundler would refuse calls. Not the nonce, which others of the lane have used
/// meanwhile: it is read again in the calls' turn.
fn lasting_refusal(preflight: &Preflight) -> Option<&Refusal> {
    let refusal = preflight.chain.refusal.as_ref();
    refusal.filter(|refusal| refusal.code != Some(AaCode::InvalidNonce))
}

/// Whether calls would be carried out.
pub(crate) fn passes(preflight: &Preflight) -> bool {
    let is_of_nonce = preflight.chain.refusal.is_some() && lasting_refusal(preflight).is_none();
    preflight.passes()
        || (is_of_nonce
            && preflight.violations.is_empty()
            && preflight.chain.verdict.violations().is_empty()
            && preflight.chain.would_revert.is_none())
}

/// What an asset is, with its address.
pub(crate) fn asset(asset: Asset) -> Value {
    match asset {
        Asset::Native => json!("native"),
        Asset::Calls => json!("calls"),
        Asset::Token(token) => json!(token.to_string()),
    }
}

/// Whether calls would pass, and why not.
pub(crate) fn preflight(preflight: &Preflight, names: &Names) -> Value {
    let chain = &preflight.chain;
    json!({
        "passes": passes(preflight),
        "earliest": preflight.earliest,
        "policy": violations(&preflight.violations),
        "key": verdict(&chain.verdict, names),
        "refusal": lasting_refusal(preflight).map(|refusal| clean(&refusal.to_string())),
        "wouldRevert": chain.would_revert.as_ref().map(|revert| clean(&revert.to_string())),
        "maxCostWei": chain.max_cost.to_string(),
        "block": chain.block.number,
        "time": chain.time,
    })
}

/// Why calls would not pass, in one sentence.
pub(crate) fn refusal(preflight: &Preflight, names: &Names) -> String {
    let chain = &preflight.chain;
    let mut reasons: Vec<String> = preflight.violations.iter().map(ToString::to_string).collect();
    if matches!(chain.verdict, Verdict::Refused { .. }) {
        let words = chain.verdict.describe(names).into_iter();
        reasons.extend(words.map(|sentence| sentence.trim_start_matches("– ").to_owned()));
    }
    reasons.extend(lasting_refusal(preflight).map(ToString::to_string));
    reasons.extend(
        chain
            .would_revert
            .as_ref()
            .map(|revert| format!("the call would revert: {revert}")),
    );
    clean(&reasons.join("; "))
}

/// What an error of the agent says to a program.
pub(crate) fn error(error: &AgentError, names: &Names) -> Value {
    json!({
        "code": error.code(),
        "happened": error.happened(),
        "advice": error.advice(),
        "earliest": error.passes_from(),
        "policy": match error {
            AgentError::Rules(refusal) => violations(&refusal.violations),
            _ => Vec::new(),
        },
        "key": error.verdict().map(|found| verdict(found, names)),
    })
}

/// A window, and what is left of it.
pub(crate) fn window(used: &WindowUse) -> Value {
    let window = &used.window;
    json!({
        "asset": asset(window.asset),
        "seconds": window.seconds,
        "perRecipient": window.per_recipient,
        "recipient": used.recipient.map(|recipient| recipient.to_string()),
        "most": window.most.to_string(),
        "used": used.used.to_string(),
        "left": window.most.saturating_sub(used.used).to_string(),
    })
}

/// A call, for the log: its data may be long.
pub(crate) fn logged_call(call: &Call) -> Value {
    json!({
        "to": call.target.to_string(),
        "valueWei": call.value.to_string(),
        "selector": call.data.get(..4).map(session_key_agent::client::alloy::hex::encode_prefixed),
        "dataLength": call.data.len(),
        "dataHash": keccak256(&call.data),
    })
}

/// What became of an operation.
pub(crate) fn explanation(found: &Explanation, names: &Names) -> Value {
    let (outcome, words) = match &found.outcome {
        Became::Succeeded => ("succeeded", vec!["Its calls took effect.".to_owned()]),
        Became::Failed(failure) => ("failed", vec![clean(&failure.to_string())]),
        Became::FailedUnexplained(reason) => ("failed", vec![clean(reason)]),
        Became::Waiting(verdict) => (
            "waiting",
            verdict
                .as_ref()
                .map(|verdict| verdict.describe(names).into_iter().collect())
                .unwrap_or_default(),
        ),
        _ => ("unknown", Vec::new()),
    };
    json!({
        "userOpHash": found.user_op_hash,
        "sender": found.sender.to_string(),
        "sessionKey": found.session_key.map(|key| key.to_string()),
        "transactionHash": found.transaction_hash,
        "block": found.block,
        "outcome": outcome,
        "words": words,
    })
}
