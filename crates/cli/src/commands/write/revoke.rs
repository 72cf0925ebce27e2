//! Removing keys.

use super::{Writing, desk::Desk, ledger::Request, policy::show_permissions, simply, tag_of};
use crate::commands::Outcome;
use clap::Args;
use eyre::{Result, bail};
use serde_json::json;
use session_key_client::{
    OwnerAction, SmartAccount, alloy::primitives::Address, inspect::InspectOptions,
    permissions::parse_address,
};
use std::collections::BTreeSet;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["keys", "all", "tag"]))]
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
