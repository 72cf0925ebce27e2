//! Giving what a key may do to another.

use super::{Writing, simply};
use crate::commands::Outcome;
use clap::Args;
use eyre::ensure;
use session_key_client::{OwnerAction, alloy::primitives::Address, permissions::parse_address};

#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    /// The key that goes.
    #[arg(value_name = "OLD", value_parser = parse_address)]
    old: Address,

    /// The key that comes. Without it, one is made in the keystore.
    #[arg(value_name = "NEW", value_parser = parse_address)]
    new: Option<Address>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) async fn rotate(arguments: &RotateArguments) -> Outcome {
    let writing = &arguments.writing;
    simply(writing, async |desk, answer| {
        let account = desk.chain.account().await?;
        ensure!(
            account.is_session_key(arguments.old).await?,
            "{} is not a session key of {}",
            arguments.old,
            account.address()
        );
        let new = match (arguments.new, writing.dry_run) {
            (Some(new), _) => new,
            (None, true) => Address::ZERO,
            (None, false) => desk.keystore.generate()?,
        };
        answer.heading(format!("Rotate on account {}", account.address()));
        answer.plain(format!("{} → {new}", arguments.old));
        answer
            .data("oldSessionKey", arguments.old.to_string())
            .data("sessionKey", new.to_string());
        Ok(Some((
            account,
            vec![OwnerAction::RotateSessionKey {
                old: arguments.old,
                new,
            }],
        )))
    })
    .await
}
