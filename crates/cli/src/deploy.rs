//! Deploys the contracts, at the same addresses on every chain.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use alloy::{
    primitives::{Address, B256, U256, keccak256, utils::format_ether},
    signers::local::PrivateKeySigner,
};
use clap::Args;
use eyre::{Result, WrapErr as _, ensure};
use serde_json::json;
use session_key_client::{
    deployment::{
        ChainDeployments, Deployer, DeploymentParameters, DeploymentPlan, Deterministic, KnownContract,
        KnownDeployment, Survey, known_chains,
    },
    permissions::parse_address,
};
use session_key_testkit::ENTRY_POINT_CODE;

use crate::{
    FUNDER_VARIABLE, funder,
    node::{RPC_URL, chain_id, connect, origin},
    report::{Report, show_gas_units},
    required_funder,
};

#[derive(Debug, Args)]
pub(crate) struct DeployArguments {
    /// JSON-RPC URL of a node of the chain.
    #[arg(long, value_name = "URL")]
    rpc_url: String,

    /// The chain that is meant: nothing happens if the node is of another.
    #[arg(long, value_name = "ID")]
    chain_id: u64,

    /// Owner of the factory, who can stake it; part of the factory's address [default: nobody, the same for everyone].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    factory_owner: Option<Address>,

    /// CREATE2 salt of the owner plugin (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT")]
    multi_owner_plugin_salt: Option<B256>,

    /// CREATE2 salt of the session key plugin (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT")]
    session_key_plugin_salt: Option<B256>,

    /// CREATE2 salt of the account implementation (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT")]
    modular_account_salt: Option<B256>,

    /// CREATE2 salt of the factory (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT")]
    modular_account_factory_salt: Option<B256>,

    /// Send the transactions. Without it, nothing is sent: a dry run.
    #[arg(long)]
    broadcast: bool,

    /// Write the deployment to this file, once it is complete: what `doctor --deployment` and the client read.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Print one JSON document at the end, instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

impl DeployArguments {
    /// The key that pays: needed to send, and used to check funds if it is there.
    pub(crate) fn funder(&self) -> Result<Option<PrivateKeySigner>> {
        if self.broadcast {
            required_funder().map(Some)
        } else {
            funder()
        }
    }

    fn parameters(&self) -> DeploymentParameters {
        let default = DeploymentParameters::default();
        DeploymentParameters {
            factory_owner: self.factory_owner.unwrap_or(default.factory_owner),
            multi_owner_plugin_salt: self.multi_owner_plugin_salt.unwrap_or_default(),
            session_key_plugin_salt: self.session_key_plugin_salt.unwrap_or_default(),
            modular_account_salt: self.modular_account_salt.unwrap_or_default(),
            modular_account_factory_salt: self.modular_account_factory_salt.unwrap_or_default(),
        }
    }
}

/// A deployment against which nothing speaks.
#[derive(Debug)]
pub(crate) struct Ready {
    deployer: Deployer,
    survey: Survey,
    /// Who pays. `None` in a dry run without a key.
    sender: Option<Address>,
}

/// Looks at the chain. Nothing is sent; whatever speaks against the deployment is an error.
pub(crate) async fn survey(
    arguments: &DeployArguments,
    funder: Option<PrivateKeySigner>,
    report: &mut Report,
) -> Result<Ready> {
    if let Some(path) = &arguments.record {
        ensure!(
            !path.exists(),
            "--record {}: the file exists already",
            path.display()
        );
    }
    let parameters = arguments.parameters();
    let plan = DeploymentPlan::new(&parameters, ENTRY_POINT_CODE.bytes())?;
    let sender = funder.as_ref().map(PrivateKeySigner::address);
    let provider = connect(RPC_URL, &arguments.rpc_url, funder)?;
    let chain = chain_id(&provider, &arguments.rpc_url).await?;

    report.section("The chain");
    report.fact(
        "Chain",
        format!("{} (chain id {chain})", origin(&arguments.rpc_url)),
    );
    let payer = sender.map_or_else(
        || format!("nobody: set {FUNDER_VARIABLE} to a private key to have its funds checked"),
        |sender| sender.to_string(),
    );
    report.fact("Pays for everything", payer);
    report.fact("Owner of the factory", owner_text(parameters.factory_owner));
    report.data("chainId", chain);
    report.data("factoryOwner", json!(parameters.factory_owner));

    let deployer = Deployer::new(provider, arguments.chain_id, plan);
    let survey = deployer.survey(sender).await?;
    report.section("The contracts");
    for surveyed in &survey.contracts {
        let (label, address) = (surveyed.contract.to_string(), surveyed.address);
        match surveyed.gas_limit {
            None => report.done(
                label,
                format!("{address}  present, with the code that it must have"),
            ),
            Some(gas) => report.fact(
                label,
                format!("{address}  missing: {} at most", show_gas_units(gas)),
            ),
        }
    }
    if !survey.is_complete() {
        report.fact("Takes at most", show_native(survey.cost));
    }
    report.data("cost", survey.cost.to_string());
    report.data("contracts", contracts_json(&deployer, &survey));
    ensure!(
        arguments.record.is_none() || arguments.broadcast || survey.is_complete(),
        "--record needs --broadcast: not all of the contracts are there"
    );
    Ok(Ready {
        deployer,
        survey,
        sender,
    })
}

/// Sends what is missing, if that was asked for; writes the record.
pub(crate) async fn deploy(arguments: &DeployArguments, ready: Ready, report: &mut Report) -> Result<()> {
    let Ready {
        deployer,
        survey,
        sender,
    } = ready;
    if survey.is_complete() {
        report.closing("Nothing to do: all contracts are there.");
    } else if let (true, Some(sender)) = (arguments.broadcast, sender) {
        report.section("Deploy");
        let mut transactions = BTreeMap::new();
        let outcome = deployer
            .deploy(&survey, sender, |created| {
                let detail = created.transaction.map_or_else(
                    || "created by somebody else meanwhile".to_owned(),
                    |hash| format!("{}  transaction {hash}", show_gas_units(created.gas_used)),
                );
                report.done(created.contract.to_string(), detail);
                transactions.insert(created.contract.to_string(), created.transaction);
            })
            .await;
        report.data("transactions", json!(transactions));
        outcome.wrap_err("stopped; what was created stays, and the same command goes on from there")?;
        report.closing("All contracts are there.");
    } else {
        report.closing("A dry run: nothing was sent. Add --broadcast to deploy.");
    }
    if let Some(path) = &arguments.record {
        write_record(path, &deployer, &survey)?;
        report.fact("Recorded in", path.display().to_string());
    }
    Ok(())
}

fn owner_text(owner: Address) -> String {
    if owner == Deterministic::record().factory_owner {
        format!("{owner} (nobody: the factory is everyone's, and cannot be staked)")
    } else {
        owner.to_string()
    }
}

fn contracts_json(deployer: &Deployer, survey: &Survey) -> serde_json::Value {
    let planned = deployer.plan().contracts().iter();
    planned
        .zip(&survey.contracts)
        .map(|(planned, surveyed)| {
            json!({
                "name": planned.contract,
                "address": planned.address,
                "salt": planned.salt,
                "initCodeHash": keccak256(&planned.init_code),
                "codeHash": surveyed.code_hash,
                "status": if surveyed.is_present() { "present" } else { "missing" },
                "gasLimit": surveyed.gas_limit,
            })
        })
        .collect()
}

/// Writes the complete deployment as a file of the client's data.
fn write_record(path: &Path, deployer: &Deployer, survey: &Survey) -> Result<()> {
    let recorded = &Deterministic::record().contracts;
    let planned = deployer.plan().contracts().iter();
    let contracts = planned
        .zip(&survey.contracts)
        .map(|(planned, surveyed)| {
            let known = KnownContract {
                address: planned.address,
                salt: Some(planned.salt),
                init_code_hash: Some(keccak256(&planned.init_code)),
                code_hash: Some(surveyed.code_hash),
                ..recorded[&planned.contract].clone()
            };
            (planned.contract, known)
        })
        .collect();
    let chain = known_chains()
        .iter()
        .find(|chain| chain.chain_id == survey.chain_id);
    let record = ChainDeployments {
        chain_id: survey.chain_id,
        name: chain.map_or_else(
            || format!("chain {}", survey.chain_id),
            |chain| chain.name.clone(),
        ),
        deployments: vec![KnownDeployment {
            name: "own".to_owned(),
            account_init_code_hash: deployer.plan().deployment().account_init_code_hash,
            contracts,
        }],
    };
    let text = serde_json::to_string_pretty(&record)? + "\n";
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .wrap_err_with(|| format!("--record {}", path.display()))
}

/// An amount of the chain's own currency, whatever that is called.
fn show_native(wei: U256) -> String {
    let text = format_ether(wei);
    format!(
        "{} of the native token",
        text.trim_end_matches('0').trim_end_matches('.')
    )
}
