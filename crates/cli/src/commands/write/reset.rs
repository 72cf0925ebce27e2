//! Settling the reset of a gas limit.

use super::{Writing, done, failed};
use crate::{
    answer::{Answer, hashes},
    commands::Outcome,
    failure::Ended,
};
use clap::Args;
use eyre::ensure;
use serde_json::{Value, json};
use session_key_client::{alloy::primitives::Address, calldata, permissions::parse_address};

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) async fn reset(arguments: &ResetArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared = async {
        let desk = writing.desk().await?;
        let account = desk.within(desk.chain.account()).await?;
        ensure!(
            account.is_session_key(arguments.key).await?,
            "{} is not a session key of {}",
            arguments.key,
            account.address()
        );
        let limit = account.gas_spend_limit(arguments.key).await?;
        answer.heading(format!("Settle the gas limit of {}", arguments.key));
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("wasPending", limit.should_reset)
            .data("calls", json!([]));
        let call = calldata::reset_session_key_gas_limit_timestamp(account.address(), arguments.key);
        let plugin = account.deployment().session_key_plugin;
        if !limit.should_reset {
            answer.plain("No reset is pending.");
        } else if !writing.dry_run {
            writing.consent(&answer, &desk.chain.settings.of_file)?;
            return Ok((desk, Some((plugin, call))));
        } else {
            answer.data(
                "calls",
                json!([{ "target": plugin.to_string(), "valueWei": "0", "data": call }]),
            );
        }
        Ok((desk, None))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    let Some((plugin, call)) = work else {
        hashes(&mut answer, None, None);
        answer.data("block", Value::Null).data("dryRun", writing.dry_run);
        return Ok(answer);
    };
    // Anybody may: a plain transaction.
    let sent = desk.transaction("settling the reset", plugin, call.to_vec());
    let carried = sent.await.map_err(failed)?;
    done(&mut answer, &carried);
    Ok(answer)
}
