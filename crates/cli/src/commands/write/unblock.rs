//! Ending the open operations of a nonce lane.

use super::{
    Done, INCLUSION, Writing,
    desk::{Desk, Taken},
    done, failed,
    ledger::{Request, open_journal},
};
use crate::{
    answer::{Answer, Tone, hashes},
    commands::{Outcome, waited},
    failure::Ended,
};
use clap::Args;
use eyre::Result;
use serde_json::{Value, json};
use session_key_client::{
    OwnerAction, SmartAccount,
    alloy::primitives::{Address, B256, U256},
    journal::{IntentRecord, Journal as _, Lane},
    node::OperationFilter,
    permissions::{nonce, parse_address},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Args)]
pub(crate) struct UnblockArguments {
    /// The key.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    key: Address,

    /// The last sequence number to end [default: the last one in the journal].
    #[arg(long, value_name = "NUMBER")]
    nonce: Option<u64>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// What happened to the operations.
#[derive(Debug, Default)]
struct Fates {
    ended: Vec<B256>,
    included_before: Vec<B256>,
    still_open: Vec<B256>,
    not_read_back: Vec<B256>,
}

impl Fates {
    fn show(self, answer: &mut Answer) {
        for (name, tone, words, hashes) in [
            (
                "ended",
                Tone::Good,
                "is ended: it can no longer be included",
                self.ended,
            ),
            (
                "includedBefore",
                Tone::Doubt,
                "was included before its nonce was used up",
                self.included_before,
            ),
            ("stillOpen", Tone::Doubt, "is still open", self.still_open),
            (
                "notReadBack",
                Tone::Doubt,
                "is ended, or was included before: the node did not answer which",
                self.not_read_back,
            ),
        ] {
            for hash in &hashes {
                answer.line(tone, 2, format!("operation {hash} {words}"));
            }
            answer.data(name, hashes);
        }
    }
}

fn hashes_of(records: &[IntentRecord]) -> Vec<B256> {
    let operations = records.iter().flat_map(|record| &record.operations);
    operations.map(|operation| operation.signed.hash).collect()
}

fn lane_of(account: &SmartAccount, key: Address) -> Lane {
    Lane {
        chain_id: account.chain_id(),
        entry_point: account.deployment().entry_point,
        account: account.address(),
        nonce_key: account.generation().session_key_nonce_key(key),
    }
}

pub(crate) async fn unblock(arguments: &UnblockArguments) -> Outcome {
    let writing = &arguments.writing;
    let key = arguments.key;
    let mut answer = Answer::new();
    let prepared = async {
        let request = json!({ "key": key, "nonce": arguments.nonce });
        let mut desk = writing.desk(Request::new("unblock", request)).await?;
        // An earlier run no longer holds if operations are open again.
        let is_undone = async |desk: &Desk<'_>, _: &Taken| {
            let account = desk.chain.account().await?;
            let lane = lane_of(&account, key);
            let next = account.nonce(lane.nonce_key).await?;
            let records = open_journal(&desk.journal(), &desk.chain)
                .await?
                .unsettled(&lane)
                .await?;
            let asked = arguments.nonce.map(|last| nonce(lane.nonce_key, last));
            let mut open = records.iter().flat_map(IntentRecord::open_operations);
            Ok(match asked {
                Some(last) => last >= next,
                None => open.any(|operation| operation.nonce() >= next),
            })
        };
        let taken = desk.standing(is_undone).await?;
        desk.require_way()?;
        let account = desk.within(desk.chain.account()).await?;
        let path = desk.journal();
        // Do not create a journal just to read it.
        let account = if path.exists() || !writing.dry_run {
            account.with_journal(open_journal(&path, &desk.chain).await?)
        } else {
            account
        };
        if let Some(taken) = taken {
            answer = taken.answered();
            return Ok((desk, account, Work::Done(taken.done)));
        }
        answer.heading(format!("End the open operations of {key}"));
        answer
            .data("account", account.address().to_string())
            .data("sessionKey", key.to_string());
        let is_registered = desk.within(async { Ok(account.is_session_key(key).await?) });
        if !is_registered.await? {
            // Legitimate after a removal, and a waste of gas after a typing error.
            answer.line(
                Tone::Doubt,
                2,
                format!("{key} is not a session key of {} now.", account.address()),
            );
        }
        let details = desk.within(show_lane(&mut answer, &desk, &account, arguments));
        details.await?;
        if !writing.dry_run && !writing.direct {
            writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
            return Ok((desk, account, Work::ThroughBundler));
        }
        let calls = desk
            .within(async { Ok(account.unblock_calls(key, arguments.nonce).await?) })
            .await?;
        let actions: Vec<OwnerAction> = calls.into_iter().map(OwnerAction::Call).collect();
        if actions.is_empty() {
            answer.plain("There is nothing to end.");
            return Ok((desk, account, Work::Nothing));
        }
        answer.plain(format!(
            "{} of the EntryPoint's incrementNonce",
            super::super::calls(actions.len())
        ));
        if writing.dry_run {
            desk.within(desk.dry(&mut answer, &account, actions, None))
                .await?;
            return Ok((desk, account, Work::Dry));
        }
        writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        Ok((desk, account, Work::Unblock(actions)))
    };
    let (desk, account, work) = prepared.await.map_err(Ended::NotBegun)?;
    let fates = match work {
        Work::Dry => Fates::default(),
        Work::Nothing => {
            hashes(&mut answer, None, None);
            answer
                .data("block", Value::Null)
                .data("dryRun", writing.dry_run)
                .data("calls", json!([]));
            Fates::default()
        }
        Work::Done(carried) => fates(&desk, &account, key, &carried).await,
        Work::Unblock(actions) => {
            let carried = desk.carry_out(&account, actions, None, &answer).await;
            let carried = carried.map_err(failed)?;
            done(&mut answer, &carried);
            fates(&desk, &account, key, &carried).await
        }
        Work::ThroughBundler => through_bundler(&desk, &account, arguments, &mut answer).await?,
    };
    fates.show(&mut answer);
    Ok(answer)
}

/// Shows the nonces that will be used up, and the journal's open operations with each.
async fn show_lane(
    answer: &mut Answer,
    desk: &Desk<'_>,
    account: &SmartAccount,
    arguments: &UnblockArguments,
) -> Result<()> {
    let journal = desk.journal();
    let lane = lane_of(account, arguments.key);
    let next = account.nonce(lane.nonce_key).await?;
    let records = if journal.exists() {
        open_journal(&journal, &desk.chain)
            .await?
            .unsettled(&lane)
            .await?
    } else {
        Vec::new()
    };
    let mut open: BTreeMap<U256, Vec<B256>> = BTreeMap::new();
    for operation in records.iter().flat_map(IntentRecord::open_operations) {
        let hashes = open.entry(operation.nonce()).or_default();
        hashes.push(operation.signed.hash);
    }
    answer.plain(format!(
        "Nonce lane {:#x} (its next nonce is number {}):",
        lane.nonce_key,
        number_of(next)
    ));
    let count = account.unblock_calls(arguments.key, arguments.nonce).await?.len();
    for nonce in (0..count).map(|index| next.saturating_add(U256::from(index))) {
        let number = number_of(nonce);
        match open.remove(&nonce) {
            Some(hashes) => {
                for hash in hashes {
                    answer.plain(format!(
                        "number {number}: used up, so operation {hash} can no longer be included"
                    ));
                }
            }
            None => {
                answer.plain(format!(
                    "number {number}: used up; the journal has no open operation with it"
                ));
            }
        }
    }
    for (nonce, hashes) in open {
        let state = if nonce < next {
            "already used, so the operation is settled"
        } else {
            "not used up, so the operation stays open"
        };
        for hash in hashes {
            answer.plain(format!("number {}: {state}: {hash}", number_of(nonce)));
        }
    }
    Ok(())
}

/// Returns the sequence number of a nonce within its lane.
const fn number_of(nonce: U256) -> u64 {
    nonce.as_limbs()[0]
}

/// The remaining work.
enum Work {
    /// None: a dry run.
    Dry,
    /// None: nothing is open.
    Nothing,
    /// None: an earlier run did it.
    Done(Done),
    /// Use up the nonces in a plain transaction.
    Unblock(Vec<OwnerAction>),
    /// Use up the nonces in an operation.
    ThroughBundler,
}

async fn through_bundler(
    desk: &Desk<'_>,
    account: &SmartAccount,
    arguments: &UnblockArguments,
    answer: &mut Answer,
) -> Result<Fates, Ended> {
    let client = async {
        let owner = arguments.writing.owner()?;
        desk.within(desk.check_can_sign(account, owner.address())).await?;
        desk.client(account, owner).await
    };
    let client = client.await.map_err(Ended::NotBegun)?;
    desk.signed.anything();
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
    done(answer, &carried);
    Ok(Fates {
        ended: hashes_of(&unblocked.ended),
        included_before: hashes_of(&unblocked.included_before),
        still_open: hashes_of(&unblocked.still_open),
        not_read_back: hashes_of(&unblocked.not_read_back),
    })
}

/// Looks up, after a plain transaction in this block, what happened to the operations the journal has as
/// open.
async fn fates(desk: &Desk<'_>, account: &SmartAccount, key: Address, carried: &Done) -> Fates {
    let lane = lane_of(account, key);
    let mut fates = Fates::default();
    let records = async {
        let journal = open_journal(&desk.journal(), &desk.chain).await?;
        Ok::<_, eyre::Report>(journal.unsettled(&lane).await?)
    };
    let Ok(records) = records.await else {
        return fates;
    };
    let open: Vec<_> = records.iter().flat_map(IntentRecord::open_operations).collect();
    if open.is_empty() {
        return fates;
    }
    let hashes = open.iter().map(|operation| operation.signed.hash);
    let asked = async {
        let made = open.iter().map(|operation| operation.made.number).min();
        let to = carried.block.unwrap_or(u64::MAX);
        let filter = OperationFilter::of(account.address()).hashes(hashes.clone());
        let found = desk
            .chain
            .node
            .operations(lane.entry_point, &filter, made.unwrap_or(to).min(to), to)
            .await?;
        let included: BTreeSet<B256> = found.into_iter().map(|event| event.user_op_hash).collect();
        Ok::<_, eyre::Report>((included, account.nonce(lane.nonce_key).await?))
    };
    match desk.within(asked).await {
        Ok((included, next)) => {
            for operation in open {
                let hash = operation.signed.hash;
                if included.contains(&hash) {
                    fates.included_before.push(hash);
                } else if operation.nonce() < next {
                    fates.ended.push(hash);
                } else {
                    fates.still_open.push(hash);
                }
            }
        }
        Err(_) => fates.not_read_back = hashes.collect(),
    }
    fates
}
