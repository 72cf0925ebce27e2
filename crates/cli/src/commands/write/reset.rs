//! Settling a reset of a gas limit.

use super::{Writing, desk::show_call, done, failed, ledger::Request};
use crate::{
    answer::{Answer, hashes},
    commands::Outcome,
    failure::{Ended, NotASessionKey},
};
use clap::Args;
use eyre::ensure;
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::{Address, Bytes},
    calldata,
    permissions::parse_address,
};

#[derive(Debug, Args)]
pub(crate) struct ResetArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// The remaining work.
enum Work {
    /// None: an earlier run did it.
    Done,
    /// None: no reset is pending.
    Nothing,
    /// Show the call to the plugin.
    Show(Address, Bytes),
    /// Call the plugin.
    Settle(Address, Bytes),
}

pub(crate) async fn reset(arguments: &ResetArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared = async {
        let request = json!({ "key": arguments.key });
        let mut desk = writing
            .desk(Request::new("reset", request).always_direct())
            .await?;
        if let Some(taken) = desk.taken()? {
            answer = taken.answered();
            return Ok((desk, Work::Done));
        }
        let account = desk.within(desk.chain.account()).await?;
        ensure!(
            account.is_session_key(arguments.key).await?,
            NotASessionKey {
                key: arguments.key,
                account: account.address(),
            }
        );
        let limit = account.gas_spend_limit(arguments.key).await?;
        answer.heading(format!("Settle the gas limit of {}", arguments.key));
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string())
            .data("wasPending", limit.is_reset_pending())
            .data("calls", json!([]));
        let call = calldata::reset_session_key_gas_limit_timestamp(account.address(), arguments.key);
        let plugin = account.deployment().session_key_plugin;
        if !limit.is_reset_pending() {
            answer.plain("No reset is pending.");
            return Ok((desk, Work::Nothing));
        }
        answer.plain(format!(
            "The owner's plain transaction to {plugin} settles it, with or without --direct: anyone may do it."
        ));
        if !writing.dry_run {
            writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
            return Ok((desk, Work::Settle(plugin, call)));
        }
        Ok((desk, Work::Show(plugin, call)))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    let (plugin, call) = match work {
        Work::Done => return Ok(answer),
        Work::Settle(plugin, call) => (plugin, call),
        Work::Show(plugin, call) => {
            show_call(&mut answer, plugin, &call);
            hashes(&mut answer, None, None);
            answer.data("block", Value::Null).data("dryRun", true).data(
                "calls",
                json!([{ "target": plugin.to_string(), "valueWei": "0", "data": call }]),
            );
            let from = writing.owner().map(|owner| owner.address()).unwrap_or_default();
            desk.simulate(&mut answer, from, plugin, call).await;
            return Ok(answer);
        }
        Work::Nothing => {
            hashes(&mut answer, None, None);
            answer.data("block", Value::Null).data("dryRun", writing.dry_run);
            return Ok(answer);
        }
    };
    // Anyone may call it: a plain transaction.
    let sent = desk
        .transaction("settling the reset", plugin, call.to_vec(), &answer)
        .await;
    done(&mut answer, &sent.map_err(failed)?);
    Ok(answer)
}
