//! Deploys the contracts, at the same addresses on every chain.

use crate::{
    amount::{parse_amount, show_gas_units},
    endpoint::{Endpoint, RPC_URL, TimeLimit},
    failure::{Ended, NotReported, interrupted},
    purse::{FUNDER_VARIABLE, Purse, funder, required_funder},
    report::Report,
};
use clap::Args;
use eyre::{Result, WrapErr as _, ensure};
use serde_json::json;
use session_key_client::{
    alloy::{
        primitives::{Address, B256, U256, keccak256, utils::format_ether},
        signers::local::PrivateKeySigner,
    },
    deployment::{
        ChainDeployments, DeployError, Deployer, DeploymentParameters, DeploymentPlan, Deterministic,
        KnownContract, KnownDeployment, Survey, known_chains,
    },
    operation::{Bounds, OverBound, Setting},
    permissions::parse_address,
};
use session_key_testkit::ENTRY_POINT_CODE;
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

#[derive(Debug, Args)]
pub(crate) struct DeployArguments {
    /// JSON-RPC URL of a node of the chain.
    #[arg(long, value_name = "URL", env = "ETH_RPC_URL", hide_env_values = true)]
    rpc_url: String,

    /// The chain that is meant: nothing happens if the node is of another.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID")]
    chain_id: u64,

    /// Owner of the factory, who can stake it; part of the factory's address [default: nobody, the same for everyone].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    factory_owner: Option<Address>,

    /// CREATE2 salt of the owner plugin (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    multi_owner_plugin_salt: Option<B256>,

    /// CREATE2 salt of the session key plugin (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    session_key_plugin_salt: Option<B256>,

    /// CREATE2 salt of the account implementation (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    modular_account_salt: Option<B256>,

    /// CREATE2 salt of the factory (32 bytes) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    modular_account_factory_salt: Option<B256>,

    /// Send the transactions. Without it, nothing is sent: a dry run.
    #[arg(long)]
    broadcast: bool,

    /// Write the deployment to this file, once it is complete: what `doctor --deployment` and the client read.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// The most that the deployment may cost, with its unit: `3 ETH`, `500 gwei`. [default: 2 ETH, or 2000 of a coin that is cheap]
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    max_cost: Option<U256>,

    #[command(flatten)]
    time_limit: TimeLimit,

    /// Print one JSON document at the end, instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

impl DeployArguments {
    /// The key that pays: needed to send, and used to check funds if it is there.
    fn funder(&self) -> Result<Option<PrivateKeySigner>> {
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

/// Reads a salt: all 32 bytes of it, since a shorter one would lead to another address than meant.
fn parse_salt(text: &str) -> Result<B256, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let count = digits.chars().count();
    if count != 64 {
        return Err(format!(
            "a salt has 32 bytes, which are 64 hex digits, not {count}"
        ));
    }
    digits.parse().map_err(|_| "not hex digits".to_owned())
}

/// A deployment against which nothing speaks.
#[derive(Debug)]
struct Ready {
    deployer: Deployer,
    survey: Survey,
    /// What pays. `None` in a dry run without a key.
    purse: Option<Purse>,
}

/// Looks at the chain, and deploys what is missing, if that was asked for.
pub(crate) async fn run(arguments: &DeployArguments, report: &mut Report) -> Ended {
    for name in ["chainId", "factoryOwner", "costWei"] {
        report.data(name, json!(null));
    }
    report.data("contracts", json!([]));
    report.data("transactions", json!({}));
    match arguments.time_limit.all(survey(arguments, report)).await {
        Ok(ready) => {
            let purse = ready.purse.clone();
            let outcome = match &purse {
                Some(purse) => tokio::select! {
                    biased;
                    interrupted = interrupted(purse) => Err(interrupted.into()),
                    outcome = deploy(arguments, ready, report) => outcome,
                },
                None => deploy(arguments, ready, report).await,
            };
            outcome.into()
        }
        Err(error) => Ended::NotBegun(error),
    }
}

/// Looks at the chain. Nothing is sent; whatever speaks against the deployment is an error.
async fn survey(arguments: &DeployArguments, report: &mut Report) -> Result<Ready> {
    let funder = arguments.funder()?;
    if let Some(path) = &arguments.record {
        ensure!(
            !path.exists(),
            "--record {}: the file exists already",
            path.display()
        );
    }
    let parameters = arguments.parameters();
    let plan = DeploymentPlan::new(&parameters, ENTRY_POINT_CODE.bytes())?;
    let endpoint = Endpoint::new(RPC_URL, &arguments.rpc_url, arguments.time_limit)?;
    let chain = endpoint.chain_id().await?;
    let purse = funder.map(|funder| Purse::new(funder, arguments.chain_id));
    let sender = purse.as_ref().map(Purse::address);
    let provider = match &purse {
        Some(purse) => purse.over(endpoint.node.provider().clone()),
        None => endpoint.node.provider().clone(),
    };

    report.section("The chain");
    report.fact("Chain", format!("{} (chain id {chain})", endpoint.origin));
    let payer = sender.map_or_else(
        || format!("nobody: set {FUNDER_VARIABLE} to a private key to have its funds checked"),
        |sender| sender.to_string(),
    );
    report.fact("Pays for everything", payer);
    report.fact("Owner of the factory", owner_text(parameters.factory_owner));
    report.data("chainId", chain);
    report.data("factoryOwner", parameters.factory_owner.to_string());

    let mut deployer = Deployer::new(provider, arguments.chain_id, plan);
    if let Some(max_cost) = arguments.max_cost {
        deployer = deployer.clone().with_bounds(Bounds {
            max_cost,
            ..*deployer.bounds()
        });
    }
    let survey = deployer.survey(sender).await.map_err(with_option)?;
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
    report.data("costWei", survey.cost.to_string());
    report.data("contracts", contracts_json(&deployer, &survey));
    ensure!(
        arguments.record.is_none() || arguments.broadcast || survey.is_complete(),
        "--record needs --broadcast: not all of the contracts are there"
    );
    Ok(Ready {
        deployer,
        survey,
        purse,
    })
}

/// Names the option that allows what the deployment costs.
pub(crate) fn with_option(error: DeployError) -> eyre::Report {
    let is_cost = matches!(
        error,
        DeployError::OverBound(OverBound {
            setting: Setting::MaxCost,
            ..
        })
    );
    let report = eyre::Report::new(error);
    if is_cost {
        report.wrap_err("more than --max-cost allows")
    } else {
        report
    }
}

/// Sends what is missing, if that was asked for; writes the record.
async fn deploy(arguments: &DeployArguments, ready: Ready, report: &mut Report) -> Result<()> {
    let Ready {
        deployer,
        survey,
        purse,
    } = ready;
    if survey.is_complete() {
        report.closing("Nothing to do: all contracts are there.");
    } else if let (true, Some(purse)) = (arguments.broadcast, purse) {
        report.section("Deploy");
        purse.allow(survey.cost);
        let mut transactions = BTreeMap::new();
        let outcome = deployer
            .deploy(&survey, purse.address(), |created| {
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
        write_record(path, &deployer, &survey).map_err(|error| NotReported {
            what: format!(
                "the contracts are there, but --record {} is not written: {error}",
                path.display()
            ),
        })?;
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
                "address": planned.address.to_string(),
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
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .inspect_err(|_| {
            // Half a record is none.
            let _ = std::fs::remove_file(path);
        })?;
    Ok(())
}

/// An amount of the chain's own currency, whatever that is called.
fn show_native(wei: U256) -> String {
    let text = format_ether(wei);
    format!(
        "{} of the native token",
        text.trim_end_matches('0').trim_end_matches('.')
    )
}
