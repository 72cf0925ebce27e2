//! Moving permissions from one key to another.

use super::{
    Writing,
    desk::{Desk, Taken},
    done, failed,
    ledger::Request,
    no_key_yet,
    policy::show_permissions,
    stand_in,
};
use crate::{
    answer::Answer,
    commands::Outcome,
    failure::{Ended, NotASessionKey, WrongInput},
};
use clap::Args;
use eyre::ensure;
use serde_json::json;
use session_key_client::{OwnerAction, alloy::primitives::Address, permissions::parse_address};

#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    /// The key to replace.
    #[arg(value_name = "OLD", value_parser = parse_address)]
    old: Address,

    /// The new key. Without it, one is created in the keystore.
    #[arg(value_name = "NEW", value_parser = parse_address)]
    new: Option<Address>,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

pub(crate) async fn rotate(arguments: &RotateArguments) -> Outcome {
    let writing = &arguments.writing;
    let old = arguments.old;
    let mut answer = Answer::new();
    let prepared = async {
        let request = json!({ "old": old, "new": arguments.new });
        let mut desk = writing.desk(Request::new("rotate", request)).await?;
        // An earlier rotation no longer holds if the old key is back, or the new one is gone.
        let is_undone = async |desk: &Desk<'_>, taken: &Taken| {
            let keys = desk.chain.account().await?.session_keys().await?;
            let new = taken
                .answer
                .text_of("sessionKey")
                .and_then(|key| key.parse().ok());
            Ok(keys.contains(&old) || new.is_some_and(|new| !keys.contains(&new)))
        };
        if let Some(taken) = desk.standing(is_undone).await? {
            answer = taken.answered();
            return Ok((desk, None));
        }
        desk.require_way()?;
        let account = desk.within(desk.chain.account()).await?;
        let keys: Vec<Address> = [old].into_iter().chain(arguments.new).collect();
        desk.settle_other_way(&account, Some(&keys)).await?;
        let account = desk
            .within(async {
                ensure!(
                    account.is_session_key(old).await?,
                    NotASessionKey {
                        key: old,
                        account: account.address(),
                    }
                );
                ensure!(
                    arguments.new != Some(old),
                    WrongInput(format!(
                        "the old and the new key are both {old}: nothing would change"
                    ))
                );
                if let Some(new) = arguments.new {
                    ensure!(
                        !account.is_session_key(new).await?,
                        WrongInput(format!(
                            "{new} is already a session key of {}: a rotation moves the permissions to a key that the account does not \
                             have; name another key, or revoke {new} first",
                            account.address()
                        ))
                    );
                }
                Ok(account)
            })
            .await?;
        answer.heading(format!("Rotate on account {}", account.address()));
        answer
            .data("account", account.address().to_string())
            .data("oldSessionKey", old.to_string());
        match arguments.new {
            Some(new) => answer.plain(format!("{old} → {new}")),
            None => answer.plain(format!("{old} → a new session key in the keystore")),
        };
        if !writing.yes {
            show_permissions(&desk.chain, &mut answer, &[old]).await;
        }
        if writing.dry_run {
            let new = arguments.new.unwrap_or_default();
            let actions = vec![OwnerAction::RotateSessionKey { old, new }];
            let tried = arguments.new.is_none().then(|| {
                let new = stand_in();
                vec![OwnerAction::RotateSessionKey { old, new }]
            });
            desk.within(desk.dry(&mut answer, &account, actions, tried))
                .await?;
            if arguments.new.is_none() {
                answer.plain(no_key_yet());
            }
            answer.data("sessionKey", new.to_string());
            return Ok((desk, None));
        }
        if arguments.new.is_none() {
            desk.keystore.check()?;
        }
        writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        let new = match arguments.new {
            Some(new) => new,
            None => {
                let new = desk.generate()?;
                answer.plain(format!("The new session key is {new}."));
                new
            }
        };
        answer.data("sessionKey", new.to_string());
        Ok((desk, Some((account, new))))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    if let Some((account, new)) = work {
        let actions = vec![OwnerAction::RotateSessionKey { old, new }];
        let carried = desk.carry_out(&account, actions, None, &answer).await;
        let carried = carried.map_err(|error| {
            desk.discard_generated(&error);
            failed(error)
        })?;
        done(&mut answer, &carried);
    }
    Ok(answer)
}
