//! The address of an account, without a node.

use crate::{
    answer::Answer,
    commands::{Json, Outcome, chain::Kind, not_begun},
    doctor::choose,
    failure::WrongInput,
    settings::FromFile,
};
use clap::Args;
use session_key_client::{
    alloy::primitives::{Address, U256},
    permissions::parse_address,
    v08::{AccountFactory, FactoryAccount},
};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct AddressArguments {
    /// The owner.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    owner: Option<Address>,

    /// Distinguishes the accounts of one owner [default: 0].
    #[arg(long, value_name = "NUMBER")]
    salt: Option<U256>,

    /// The chain id, to look up its known contracts.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// The settings file [default: session-key.toml in the working directory, if it exists].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The contracts to use: `canonical`, `deterministic`, or a file that `deploy --record` wrote.
    #[arg(long, value_name = "NAME|FILE")]
    deployment: Option<String>,

    #[command(flatten)]
    kind: Kind,

    #[command(flatten)]
    pub(crate) json: Json,
}

pub(crate) fn address(arguments: &AddressArguments) -> Outcome {
    not_begun((|| {
        let file = FromFile::read(arguments.config.as_deref())?;
        let owner = arguments.owner.or(file.owner());
        let owner = owner.ok_or_else(|| WrongInput("an owner is needed: give --owner".to_owned()))?;
        let chain_id = arguments.chain_id.or(file.chain_id());
        let chain_id = chain_id.ok_or_else(|| {
            WrongInput("a chain is needed: give --chain-id or SESSION_KEY_CHAIN_ID".to_owned())
        })?;
        let salt = arguments.salt.or(file.salt()).unwrap_or_default();
        if arguments.kind.eip7702 {
            let mut answer = Answer::new();
            answer.raw(owner.to_string()).data("account", owner.to_string());
            return Ok(answer);
        }
        if arguments.kind.semi_modular {
            let made = FactoryAccount::semi_modular(owner, salt);
            let address = made.address(&AccountFactory::default()).to_string();
            let mut answer = Answer::new();
            answer.raw(address.clone()).data("account", address);
            return Ok(answer);
        }
        let deployment = arguments.deployment.as_deref().or(file.deployment());
        let (_, known) = choose(chain_id, deployment)?;
        let address = known.deployment()?.account_address([owner], salt)?;
        let address = address.ok_or_else(|| {
            WrongInput(format!(
                "no address formula is known for the factory of {:?}: ask a node",
                known.name
            ))
        })?;
        let mut answer = Answer::new();
        answer
            .raw(address.to_string())
            .data("account", address.to_string());
        Ok(answer)
    })())
}
