//! Removing keys.

use super::{Writing, desk::Desk, ledger::Request, policy::show_permissions, simply, tag_of};
use crate::{
    answer::{Answer, Tone},
    commands::{Outcome, clean, not_begun},
    failure::WrongInput,
    files::read,
};
use clap::Args;
use eyre::{Result, bail, ensure};
use serde_json::{Value, json};
use session_key_client::{
    OwnerAction, SmartAccount,
    account::ConnectError,
    alloy::primitives::{Address, U256},
    calldata::increment_nonce,
    inspect::InspectOptions,
    permissions::{parse_address, words::UnixTime},
    v08::DeferredGrant,
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The maximum number of nonces used up at once.
const MOST_NONCES: u64 = 64;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["keys", "all", "tag", "deferred"]))]
pub(crate) struct RevokeArguments {
    /// The keys.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    keys: Vec<Address>,

    /// Remove all keys of the account.
    #[arg(long)]
    all: bool,

    /// Remove all keys with this tag: 32 bytes, or a text to hash.
    #[arg(long)]
    tag: Option<String>,

    /// End an unused grant that was signed with `grant --deferred`: use up its nonce. `-` reads standard
    /// input.
    #[arg(long, value_name = "FILE")]
    deferred: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

impl RevokeArguments {
    /// Returns the keys to remove.
    async fn wanted(&self, desk: &Desk<'_>, account: &SmartAccount) -> Result<Vec<Address>> {
        let Some(tag) = &self.tag else {
            return Ok(if self.all {
                account.session_keys().await?
            } else {
                // Remove a key that is named twice only once.
                let mut seen = BTreeSet::new();
                let keys = self.keys.iter().copied();
                keys.filter(|key| seen.insert(*key)).collect()
            });
        };
        let (_, inspection) = desk.chain.inspect(InspectOptions::new()).await?;
        let unknown = inspection.keys().iter().find(|key| key.tag.is_none());
        if let Some(key) = unknown {
            bail!("the tag of {} is not known: {}", key.session_key, key.missing[0]);
        }
        let tagged = inspection.with_tag(tag_of(tag)?);
        Ok(tagged.map(|key| key.session_key).collect())
    }
}

pub(crate) async fn revoke(arguments: &RevokeArguments) -> Outcome {
    if let Some(file) = &arguments.deferred {
        return match read_grant(file) {
            Ok(grant) => end_grant(&arguments.writing, grant).await,
            Err(error) => not_begun(Err(error)),
        };
    }
    let request = json!({ "keys": arguments.keys, "all": arguments.all, "tag": arguments.tag });
    simply(
        &arguments.writing,
        Request::new("revoke", request),
        // Keys selected by tag, or all keys, may not be registered yet.
        (!arguments.keys.is_empty()).then_some(arguments.keys.as_slice()),
        // An earlier removal no longer holds if the key was granted again.
        async |desk, _| {
            let account = desk.chain.account().await?;
            let registered = account.session_keys().await?;
            let wanted = arguments.wanted(desk, &account).await?;
            Ok(wanted.iter().any(|key| registered.contains(key)))
        },
        async |desk, answer| {
            let account = desk.chain.account().await?;
            let keys = arguments.wanted(desk, &account).await?;
            answer.heading(format!("Revoke on account {}", account.address()));
            if arguments.writing.yes {
                for key in &keys {
                    answer.plain(key.to_string());
                }
            } else {
                show_permissions(&desk.chain, answer, &keys).await;
            }
            let revoked: Vec<String> = keys.iter().map(Address::to_string).collect();
            answer
                .data("revoked", revoked)
                .data("endedGrantTo", Value::Null)
                .data("account", account.address().to_string());
            if keys.is_empty() {
                answer.plain("There is no such key.");
                answer.no(!arguments.all);
                return Ok(None);
            }
            let actions = keys.into_iter().map(OwnerAction::RemoveSessionKey).collect();
            Ok(Some((account, actions)))
        },
    )
    .await
}

fn read_grant(file: &Path) -> Result<DeferredGrant> {
    let grant: DeferredGrant = serde_json::from_str(&read(file)?).map_err(|error| {
        WrongInput(format!(
            "{} does not hold a deferred grant: {}",
            file.display(),
            clean(&error.to_string())
        ))
    })?;
    grant.granted().map_err(|error| {
        WrongInput(format!(
            "{} holds no valid grant: {}",
            file.display(),
            clean(&error.to_string())
        ))
    })?;
    Ok(grant)
}

/// Uses up the nonce to which an unused deferred grant is bound.
async fn end_grant(writing: &Writing, grant: DeferredGrant) -> Outcome {
    let request = json!({ "deferred": grant.signature_prefix });
    simply(
        writing,
        Request::new("revoke", request),
        Some(&[]),
        // A used nonce stays used.
        async |_, _| Ok(false),
        async |desk, answer| {
            let account = account_of(desk, &grant).await?;
            let address = account.address();
            answer.heading(format!(
                "End the deferred grant to {} on account {address}",
                grant.session_key
            ));
            answer
                .data("revoked", json!([]))
                .data("endedGrantTo", grant.session_key.to_string())
                .data("account", address.to_string());
            let lane = grant.nonce_key();
            let (next, own) = (account.nonce(lane).await?, grant.action.nonce);
            if next > own {
                told_what_it_became(answer, &account, &grant).await?;
                return Ok(None);
            }
            let now = desk.chain.head().await?.timestamp;
            let deadline = grant.action.deadline;
            if deadline != 0 && deadline < now {
                answer.plain(format!(
                    "It cannot be used any more: its deadline was {}.",
                    UnixTime(deadline)
                ));
                return Ok(None);
            }
            let nonces = own.saturating_sub(next).saturating_add(U256::ONE);
            ensure!(
                nonces <= U256::from(MOST_NONCES),
                "the grant is bound to nonce {own:#x}, and the lane's next one is {next:#x}: more than {MOST_NONCES} would have to be \
                 used up"
            );
            answer.plain(format!(
                "Nonce {own:#x} is used up, so the operation that would carry the grant can no longer be included."
            ));
            let call = increment_nonce(grant.entry_point, lane);
            let actions = (0..nonces.to::<u64>()).map(|_| OwnerAction::Call(call.clone()));
            Ok(Some((account, actions.collect())))
        },
    )
    .await
}

/// Returns the grant's account, which must be the one of the command, with the same contracts.
async fn account_of(desk: &Desk<'_>, grant: &DeferredGrant) -> Result<SmartAccount> {
    let differs = |what: &str, of_grant: String, expected: String| {
        ensure!(
            of_grant == expected,
            WrongInput(format!("the grant is for {what} {of_grant}, not {expected}"))
        );
        Ok(())
    };
    differs(
        "chain",
        grant.chain_id.to_string(),
        desk.chain.chain_id.to_string(),
    )?;
    let address = desk.chain.settings.account.unwrap_or(grant.account);
    differs("account", grant.account.to_string(), address.to_string())?;
    let account = match desk.chain.account().await {
        Ok(account) => account,
        Err(error) if matches!(error.downcast_ref(), Some(ConnectError::NotDeployed { .. })) => {
            bail!(WrongInput(format!(
                "there is no account at {address} yet, so no nonce can be used up: its deadline ends the grant; so does this command once \
                 the account exists"
            )));
        }
        Err(error) => return Err(error),
    };
    differs(
        "EntryPoint",
        grant.entry_point.to_string(),
        account.deployment().entry_point.to_string(),
    )?;
    Ok(account)
}

/// Its nonce is used: by the operation that carried it, or by something that ended it.
async fn told_what_it_became(
    answer: &mut Answer,
    account: &SmartAccount,
    grant: &DeferredGrant,
) -> Result<()> {
    let key = grant.session_key;
    let is_registered =
        account.is_session_key_plugin_installed().await? && account.is_session_key(key).await?;
    if is_registered {
        answer.line(
            Tone::Bad,
            2,
            format!("Its nonce is used, and {key} is a session key of the account: revoke {key} removes it."),
        );
    } else {
        answer.plain(format!(
            "It cannot be used any more: its nonce is used, and {key} is not a session key of the account."
        ));
    }
    answer.no(is_registered);
    Ok(())
}
