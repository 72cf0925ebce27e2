//! Creating an account.

use super::{
    Writing,
    desk::{CREATING, show_call},
    done, failed,
    ledger::Request,
};
use crate::{
    answer::{Answer, hashes},
    commands::{Outcome, chain::Kind},
    failure::{Ended, WrongInput},
};
use clap::Args;
use serde_json::{Value, json};
use session_key_client::{
    alloy::primitives::{Address, Bytes, U256},
    permissions::parse_address,
};

#[derive(Debug, Args)]
pub(crate) struct NewAccountArguments {
    /// The owner [default: the signer].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    owner: Option<Address>,

    /// Distinguishes the accounts of one owner.
    #[arg(long, value_name = "NUMBER")]
    salt: Option<U256>,

    #[command(flatten)]
    kind: Kind,

    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// The remaining work.
enum Work {
    /// None: an earlier run did it.
    Done,
    /// None: the account exists.
    Nothing,
    /// Create the account.
    Create(Bytes),
}

pub(crate) async fn new_account(arguments: &NewAccountArguments) -> Outcome {
    let writing = &arguments.writing;
    let mut answer = Answer::new();
    let prepared = async {
        let mut request = json!({ "owner": arguments.owner, "salt": arguments.salt });
        arguments.kind.note_in(&mut request);
        let request = Request::new("account new", request)
            .always_direct()
            .without_account();
        let mut desk = writing.desk(request).await?;
        if let Some(taken) = desk.taken()? {
            answer = taken.answered();
            return Ok((desk, Work::Done));
        }
        desk.chain
            .settings
            .of_options(arguments.owner.is_some(), arguments.salt.is_some());
        let signer = writing.owner().ok().map(|owner| owner.address());
        let owner = arguments.owner.or(desk.chain.settings.owner).or(signer);
        let owner = owner.ok_or_else(|| WrongInput("an owner is needed: give --owner".to_owned()))?;
        let salt = arguments.salt.or(desk.chain.settings.salt).unwrap_or_default();
        let chain = &desk.chain;
        let account = desk
            .within(chain.made_account(arguments.kind, owner, salt))
            .await?;
        let init_code = account.init_code().await?;
        answer.heading(format!(
            "Account {} of owner {owner}, salt {salt}",
            account.address()
        ));
        answer
            .data("account", account.address().to_string())
            .data("owner", owner.to_string())
            .data("salt", salt.to_string())
            .data("created", !init_code.is_empty());
        if init_code.is_empty() {
            answer.plain("It exists already.");
            return Ok((desk, Work::Nothing));
        }
        let payer = signer.map_or_else(|| "whoever signs".to_owned(), |signer| signer.to_string());
        answer.plain(format!("A plain transaction creates it; {payer} pays for it."));
        if !writing.direct && desk.chain.bundler.is_some() {
            answer.plain("The bundler is not used.");
        }
        if !writing.dry_run {
            writing.consent(&mut answer, &desk.chain.settings.of_file).await?;
        }
        Ok((desk, Work::Create(init_code)))
    };
    let (desk, work) = prepared.await.map_err(Ended::NotBegun)?;
    let init_code = match work {
        Work::Done => return Ok(answer),
        Work::Nothing => Bytes::new(),
        Work::Create(init_code) => init_code,
    };
    let Some((factory, call)) = init_code.split_at_checked(20) else {
        hashes(&mut answer, None, None);
        answer
            .data("block", Value::Null)
            .data("dryRun", writing.dry_run)
            .data("calls", json!([]));
        return Ok(answer);
    };
    let factory = Address::from_slice(factory);
    if writing.dry_run {
        hashes(&mut answer, None, None);
        let call = Bytes::copy_from_slice(call);
        show_call(&mut answer, factory, &call);
        answer.data("block", Value::Null).data("dryRun", true).data(
            "calls",
            json!([{ "target": factory.to_string(), "valueWei": "0", "data": call }]),
        );
        let from = writing.owner().map(|owner| owner.address()).unwrap_or_default();
        desk.simulate(&mut answer, from, factory, call).await;
        return Ok(answer);
    }
    let sent = desk.transaction(CREATING, factory, call.to_vec(), &answer).await;
    done(&mut answer, &sent.map_err(failed)?);
    Ok(answer)
}
