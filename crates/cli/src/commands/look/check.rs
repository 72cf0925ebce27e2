//! Whether calls or an operation of a key would pass.

use super::call::parse_call;
use crate::{
    answer::{Answer, Tone},
    commands::{
        ASKING, Outcome,
        account_keys::{self, Which},
        chain::Chain,
        clean, not_begun,
        obstacles::obstacles,
        show, waited,
    },
    failure::{NotASessionKey, WrongInput},
    files::read,
    settings::Sources,
};
use clap::Args;
use eyre::{Result, bail};
use serde_json::{Value, json};
use session_key_client::{
    SignedOperation, UserOperation,
    account::Generation,
    alloy::primitives::Address,
    deployment::native_symbol,
    permissions::{
        Call, DUMMY_SIGNATURE, Verdict, model::decode_execute_with_session_key, parse_address, words::Names,
    },
};
use std::path::PathBuf;

/// The native coins of known chains.
const COINS: [&str; 3] = ["ETH", "POL", "FRAX"];

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
