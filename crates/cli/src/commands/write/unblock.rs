//! Ending the open operations of a lane.

use super::{Done, INCLUSION, Writing, done, failed};
use crate::{
    answer::{Answer, Tone, hashes},
    commands::{Outcome, waited},
    failure::{Ended, WrongInput},
};
use clap::Args;
use eyre::ensure;
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::{Address, B256},
    permissions::parse_address,
};
use std::sync::atomic::Ordering;

#[derive(Debug, Args)]
pub(crate) struct UnblockArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The last sequence number to end [default: the last that the journal knows].
    #[arg(long, value_name = "NUMBER")]
    nonce: Option<u64>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) async fn unblock(arguments: &UnblockArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared = async {
        let desk = writing.desk().await?;
        ensure!(
            !writing.direct,
            WrongInput("unblock goes through a bundler: leave --direct out".to_owned())
        );
        ensure!(
            writing.dry_run || desk.chain.bundler.is_some(),
            WrongInput("unblock goes through a bundler: give --bundler-url".to_owned())
        );
        let account = desk.within(desk.chain.account()).await?;
        answer.heading(format!("End the open operations of {}", arguments.key));
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", arguments.key.to_string());
        if !writing.dry_run {
            writing.consent(&answer, &desk.chain.settings.of_file)?;
        }
        Ok((desk, account))
    };
    let (desk, account) = prepared.await.map_err(Ended::NotBegun)?;
    if writing.dry_run {
        hashes(&mut answer, None, None);
        answer
            .data("block", Value::Null)
            .data("dryRun", true)
            .data("calls", json!([]))
            .data("ended", json!([]))
            .data("includedBefore", json!([]))
            .data("notReadBack", json!([]));
        return Ok(answer);
    }
    let client = async { desk.client(&account, writing.owner()?).await };
    let client = client.await.map_err(Ended::NotBegun)?;
    desk.has_signed.store(true, Ordering::SeqCst);
    let unblocked = tokio::select! {
        biased;
        interrupted = desk.interrupted() => Err(eyre::Report::new(interrupted)),
        unblocked = waited(INCLUSION, client.unblock(arguments.key, arguments.nonce)) => unblocked.map_err(eyre::Report::new),
    }
    .map_err(failed)?;
    let receipt = &unblocked.included.receipt;
    let carried = Done {
        user_op_hash: Some(receipt.user_op_hash),
        transaction_hash: Some(receipt.transaction_hash),
        block: Some(receipt.block_number),
    };
    done(&mut answer, &carried);
    for (name, tone, words, records) in [
        ("ended", Tone::Good, "ended", &unblocked.ended),
        (
            "includedBefore",
            Tone::Doubt,
            "was in a block before",
            &unblocked.included_before,
        ),
        (
            "notReadBack",
            Tone::Doubt,
            "was ended, or was in a block before: the node did not say which",
            &unblocked.not_read_back,
        ),
    ] {
        let operations = records.iter().flat_map(|record| &record.operations);
        let hashes: Vec<B256> = operations.map(|operation| operation.signed.hash).collect();
        for hash in &hashes {
            answer.line(tone, 2, format!("operation {hash} {words}"));
        }
        answer.data(name, hashes);
    }
    Ok(answer)
}
