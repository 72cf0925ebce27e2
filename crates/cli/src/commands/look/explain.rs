//! What became of an operation or a transaction, and why.

use super::abis::Abis;
use crate::{
    answer::{Answer, Tone},
    commands::{
        ASKING, Outcome,
        account_keys::{self, Explained},
        calls,
        chain::Chain,
        clean, not_begun, show, waited,
    },
    settings::Sources,
};
use clap::Args;
use eyre::{Result, WrapErr as _};
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::B256,
    explain::{Became, ExplainOptions, Explanation, Failure, NotFound, explain_hash},
    permissions::words::Names,
};
use std::path::PathBuf;

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

fn parse_hash(text: &str) -> Result<B256, String> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 64);
    let hash = digits.and_then(|digits| digits.parse().ok());
    hash.ok_or_else(|| "expected 0x and 64 hexadecimal digits".to_owned())
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
        answer.plain(format!("by session key {key}, {}", calls(found.calls.len())));
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
