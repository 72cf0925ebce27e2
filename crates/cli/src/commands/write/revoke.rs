//! Removing keys.

use super::{Writing, ledger::Request, simply, tag_of};
use crate::commands::Outcome;
use clap::Args;
use eyre::bail;
use serde_json::json;
use session_key_client::{
    OwnerAction, alloy::primitives::Address, inspect::InspectOptions, permissions::parse_address,
};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["keys", "all", "tag"]))]
pub(crate) struct RevokeArguments {
    /// The keys.
    #[arg(value_name = "KEY", value_parser = parse_address)]
    keys: Vec<Address>,

    /// All keys of the account.
    #[arg(long)]
    all: bool,

    /// All keys with this tag: 32 bytes, or a text that is hashed.
    #[arg(long)]
    tag: Option<String>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) async fn revoke(arguments: &RevokeArguments) -> Outcome {
    let request = json!({ "keys": arguments.keys, "all": arguments.all, "tag": arguments.tag });
    simply(
        &arguments.writing,
        Request::new("revoke", request),
        async |desk, answer| {
            let account = desk.chain.account().await?;
            let keys = match &arguments.tag {
                Some(tag) => {
                    let options = InspectOptions::new();
                    let (_, inspection) = desk.chain.inspect(options).await?;
                    let unknown = inspection.keys().iter().find(|key| key.tag.is_none());
                    if let Some(key) = unknown {
                        bail!("the tag of {} is not known: {}", key.session_key, key.missing[0]);
                    }
                    inspection
                        .with_tag(tag_of(tag))
                        .map(|key| key.session_key)
                        .collect()
                }
                None if arguments.all => account.session_keys().await?,
                None => arguments.keys.clone(),
            };
            answer.heading(format!("Revoke on account {}", account.address()));
            for key in &keys {
                answer.plain(key.to_string());
            }
            let revoked: Vec<String> = keys.iter().map(Address::to_string).collect();
            answer
                .data("revoked", revoked)
                .data("account", account.address().to_string());
            if keys.is_empty() {
                answer.plain("There is no such key.");
                return Ok(None);
            }
            let actions = keys.into_iter().map(OwnerAction::RemoveSessionKey).collect();
            Ok(Some((account, actions)))
        },
    )
    .await
}
