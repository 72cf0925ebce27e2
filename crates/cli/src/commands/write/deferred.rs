//! Granting without sending: the owner signs, and the executing side includes the grant in the key's first
//! operation.

use super::{
    Writing, failed,
    grant::{GrantArguments, account_to_grant_on},
    ledger::Request,
    policy::{resolve, show_assumed, warnings_of},
};
use crate::{
    answer::Answer,
    commands::{Outcome, show},
    failure::{Ended, WrongInput},
    files::{PolicyFile, write_whole},
};
use alloy::primitives::B256;
use eyre::{Result, WrapErr as _, ensure};
use serde_json::{Value, json};
use session_key_client::{
    NewSessionKey, OwnerClient,
    account::Generation,
    permissions::{
        policy::{LockedGrant, PolicyLock},
        words::UnixTime,
    },
    submit::BundlerSubmitter,
};
use std::path::Path;

/// Signs the grant and writes it to a file for the executing side.
pub(super) async fn grant_deferred(
    arguments: &GrantArguments,
    policy: &PolicyFile,
    tag: Option<B256>,
    file: &Path,
    deadline: u64,
) -> Outcome {
    let writing: &Writing = &arguments.writing;
    let (owner, salt, kind) = arguments.new_account();
    let key = arguments.key();
    let ready = async {
        ensure!(
            !writing.direct,
            WrongInput("--deferred sends nothing: omit --direct".to_owned())
        );
        ensure!(
            !file.exists(),
            WrongInput(format!(
                "{} exists already, and may hold a grant that can still be used: give another file",
                file.display()
            ))
        );
        // Nothing is sent, and nothing is recorded.
        let request = Request::new("grant", json!({ "deferred": file }));
        let mut desk = writing.offline_desk(&request).await?;
        desk.chain.settings.of_options(owner.is_some(), salt.is_some());
        let signer = writing.owner()?;
        let chain = &desk.chain;
        let now = chain.head().await?.timestamp;
        let account = account_to_grant_on(chain, Some(signer.address()), (owner, salt, kind)).await?;
        ensure!(
            matches!(account.generation(), Generation::V08(_)),
            WrongInput(format!(
                "{} is an ERC-6900 v0.7 account, which has no deferred actions: grant without --deferred",
                account.address()
            ))
        );
        ensure!(
            deadline > now,
            WrongInput(format!("the deadline {} has passed", UnixTime(deadline)))
        );
        let (resolved, names) = resolve(policy, chain, None, Some(now), writing.yes).await?;
        let permissions = &resolved.permissions;
        permissions.check_not_over(now)?;
        permissions.encode()?;
        let mut answer = Answer::new();
        answer.heading(format!(
            "Deferred grant on account {} (chain {})",
            account.address(),
            chain.chain_id
        ));
        match key {
            Some(key) => answer.plain(format!("to session key {key}")),
            None => answer.plain("to a new session key in the keystore"),
        };
        answer.plain(format!(
            "Nothing is sent. Anyone who has the file and the key can use it once, until {}.",
            UnixTime(deadline)
        ));
        if let (Some(delegate), false) = (account.delegate(), account.is_deployed().await?) {
            answer.plain(format!(
                "It brings along the account's authorization to delegate to {delegate} (EIP-7702), which anybody who has the file can \
                 carry out. It ends with the account's next transaction."
            ));
        }
        for sentence in permissions.describe(&names) {
            answer.plain(sentence);
        }
        show_assumed(&mut answer, policy, chain.chain_id, &resolved);
        let warnings = warnings_of(chain, policy, permissions, None, now).await?;
        show::show_warnings(
            &mut answer,
            &warnings,
            &names,
            Some((&policy.name, &policy.policy)),
        );
        answer
            .data("account", account.address().to_string())
            .data("chainId", chain.chain_id)
            .data("words", permissions.describe(&names))
            .data(
                "warnings",
                show::warnings_json(&warnings, &names, Some(&policy.policy)),
            )
            .data("userOpHash", Value::Null)
            .data("transactionHash", Value::Null)
            .data("block", Value::Null)
            .data("dryRun", writing.dry_run)
            .data("calls", json!([]))
            .data("simulation", Value::Null)
            .data("deadline", deadline)
            .data("file", file.display().to_string());
        if !writing.dry_run {
            arguments.lints.check(writing, policy, &warnings)?;
            let entry = (key.unwrap_or_default(), tag.unwrap_or(resolved.tag));
            let lock = lock_with(policy, chain, account.address(), entry, now, &resolved)?;
            policy.check_lock_can_be_written(&lock)?;
            writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        }
        Ok((desk, answer, account, signer, resolved, now))
    };
    let (desk, mut answer, account, signer, resolved, now) = ready.await.map_err(Ended::NotBegun)?;
    let tag = tag.unwrap_or(resolved.tag);
    if writing.dry_run {
        answer
            .data("sessionKey", key.map(|key| key.to_string()))
            .data("tag", tag);
        return Ok(answer);
    }
    let signed = async {
        let key = match key {
            Some(key) => key,
            None => desk.generate()?,
        };
        let new = NewSessionKey::new(key, &resolved.permissions)?.with_tag(tag);
        // Never queried: nothing is sent.
        let entry_point = account.deployment().entry_point;
        let nobody = BundlerSubmitter::new(desk.chain.provider(), entry_point);
        let client = OwnerClient::new(account.clone(), signer, nobody);
        let grant = client.defer_grant(new, deadline).await?;
        let text = serde_json::to_string_pretty(&grant)?;
        write_whole(file, &format!("{text}\n")).wrap_err_with(|| format!("{}", file.display()))?;
        Ok::<_, eyre::Report>(key)
    };
    let key = signed.await.map_err(|error| {
        desk.discard_generated(&error);
        failed(error)
    })?;
    answer
        .raw(key.to_string())
        .data("sessionKey", key.to_string())
        .data("tag", tag);
    lock_with(policy, &desk.chain, account.address(), (key, tag), now, &resolved)
        .and_then(|lock| policy.write_lock(&lock))
        .wrap_err("the grant was written, but its lock file was not")
        .map_err(failed)?;
    Ok(answer)
}

/// Returns the lock file that `plan` and `apply` will read.
fn lock_with(
    policy: &PolicyFile,
    chain: &crate::commands::chain::Chain,
    account: alloy::primitives::Address,
    (key, tag): (alloy::primitives::Address, B256),
    now: u64,
    resolved: &session_key_client::permissions::policy::Resolved,
) -> Result<PolicyLock> {
    let mut lock = policy.lock()?;
    let mut entry = LockedGrant::new(chain.chain_id, account, key, now);
    entry.tag = tag;
    let range = resolved.permissions.time_range;
    entry.valid_until = range.map_or(0, |range| range.valid_until);
    entry.decimals = resolved.assumed_decimals.clone();
    lock.put(entry);
    Ok(lock)
}
