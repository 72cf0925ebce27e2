//! Deploys the contracts, at the same addresses on every chain.

use crate::{
    amount::{parse_amount, show_gas_units},
    endpoint::{Endpoint, RPC_URL, TimeLimit},
    failure::{Ended, Interrupted, NotReported, Unsettled, interrupted, unless_interrupted},
    purse::{FUNDER_VARIABLE, Purse, funder, required_funder},
    record::Draft,
    report::{Report, print_note},
    state::{self, StateFile},
};
use clap::Args;
use eyre::{Result, WrapErr as _, ensure};
use serde_json::{Map, Value, json};
use session_key_client::{
    alloy::{
        primitives::{Address, B256, U256, keccak256, utils::format_ether},
        signers::local::PrivateKeySigner,
    },
    deployment::{
        ChainDeployments, Contract, Created, CreationRecord, DeployError, Deployer, DeploymentHistory,
        DeploymentParameters, DeploymentPlan, Deterministic, Fate, Keeper, KeeperError, KnownContract,
        KnownDeployment, Resumed, SignedCreation, Survey, Versions, known_chains,
    },
    operation::{Bounds, OverBound, Setting},
    permissions::parse_address,
};
use std::{collections::BTreeMap, path::PathBuf};

#[derive(Debug, Args)]
pub(crate) struct DeployArguments {
    /// JSON-RPC URL of a node of the chain.
    #[arg(long, value_name = "URL", env = "ETH_RPC_URL", hide_env_values = true)]
    rpc_url: String,

    /// The intended chain: a node on another chain is an error.
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: u64,

    /// Owner of the factory, who can stake it; part of the factory's address [default: no one, the same for
    /// everyone].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    factory_owner: Option<Address>,

    /// CREATE2 salt of the owner plugin (0x and 64 hex digits) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    multi_owner_plugin_salt: Option<B256>,

    /// CREATE2 salt of the session key plugin (0x and 64 hex digits) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    session_key_plugin_salt: Option<B256>,

    /// CREATE2 salt of the account implementation (0x and 64 hex digits) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    modular_account_salt: Option<B256>,

    /// CREATE2 salt of the factory (0x and 64 hex digits) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    modular_account_factory_salt: Option<B256>,

    /// CREATE2 salt of the session key module (0x and 64 hex digits) [default: 0].
    #[arg(long, value_name = "SALT", value_parser = parse_salt)]
    session_key_module_salt: Option<B256>,

    /// Send the transactions. Without it, this is a dry run.
    #[arg(long)]
    broadcast: bool,

    /// File that keeps transactions until their outcome is known; the next run resumes them [default:
    /// $XDG_STATE_HOME/session-key/deploy-CHAIN-SENDER.json, or the same in ~/.local/state].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Write the complete deployment to this file, for `doctor --deployment` and the client.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// The maximum cost of the deployment, with its unit: `3 ETH`, `500 gwei` [default: 2 ETH, or 2000 of a
    /// low-value coin].
    #[arg(long, value_name = "AMOUNT", value_parser = parse_amount)]
    max_cost: Option<U256>,

    #[command(flatten)]
    time_limit: TimeLimit,

    /// Print one JSON document at the end instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

impl DeployArguments {
    /// Returns the paying key: required to send, else used to check its funds if it is set.
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
            session_key_module_salt: self.session_key_module_salt.unwrap_or_default(),
        }
    }
}

/// Parses a salt of exactly 32 bytes: a shorter one would lead to an unintended address.
fn parse_salt(text: &str) -> Result<B256, String> {
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| "expected 0x and 64 hex digits".to_owned())
}

/// A requested deployment.
#[derive(Debug)]
struct Job {
    deployer: Deployer,
    parameters: DeploymentParameters,
    chain_id: u64,
    /// The paying key. `None` in a dry run without one.
    purse: Option<Purse>,
    /// The record to write at the end.
    draft: Option<Draft>,
    /// Contracts created by this run, by a resumed one, or by others in the meantime.
    created: BTreeMap<Contract, Created>,
}

/// Resumes an earlier run, reads the chain, and deploys what is missing if `--broadcast` was given.
pub(crate) async fn run(arguments: &DeployArguments, report: &mut Report) -> Ended {
    for name in ["chainId", "deployer", "factoryOwner", "costWei"] {
        report.data(name, json!(null));
    }
    report.data("contracts", json!([]));
    report.data("transactions", transactions_json(&BTreeMap::new()));
    let mut job = match unless_interrupted(false, arguments.time_limit.all(begin(arguments, report))).await {
        Ok(job) => job,
        Err(error) => return Ended::NotBegun(error),
    };
    let mut state = None;
    if let (true, Some(purse)) = (arguments.broadcast, job.purse.clone()) {
        match open_state(arguments, &purse).await {
            Ok(opened) => state = Some(opened),
            Err(error) => return Ended::NotBegun(error),
        }
    }
    let mut has_sent = false;
    let ready = match (&job.purse, &mut state) {
        (Some(purse), Some(state)) => {
            let purse = purse.clone();
            has_sent = !state.kept().is_empty();
            tokio::select! {
                biased;
                Interrupted { has_signed, .. } = interrupted(&purse) => {
                    Err(Interrupted { has_signed: has_signed || has_sent, user_op_hash: None, transaction_hash: None }.into())
                }
                taken_up = take_up(&mut job, &purse, state, report) => taken_up,
            }
        }
        _ => unless_interrupted(false, arguments.time_limit.all(preview(arguments, &job, report))).await,
    };
    let survey = match ready {
        Ok(()) => {
            unless_interrupted(
                has_sent,
                arguments.time_limit.all(survey(arguments, &job, report)),
            )
            .await
        }
        Err(error) => Err(error),
    };
    report.data("transactions", transactions_json(&job.created));
    let survey = match survey {
        Ok(survey) => survey,
        Err(error) if has_sent && !error.is::<NothingSent>() => return Ended::Failed(vec![error]),
        Err(error) => return Ended::NotBegun(error),
    };
    let outcome = match (job.purse.clone(), state) {
        (Some(purse), Some(mut state)) => tokio::select! {
            biased;
            interrupted = interrupted(&purse) => Err(interrupted.into()),
            outcome = deploy(&mut job, &survey, &purse, &mut state, report) => outcome,
        },
        _ => {
            report.closing(if survey.is_complete() {
                NOTHING_TO_DO
            } else {
                "A dry run: nothing was sent. Add --broadcast to deploy."
            });
            Ok(())
        }
    };
    report.data("transactions", transactions_json(&job.created));
    outcome.and_then(|()| write_record(job, &survey, report)).into()
}

const NOTHING_TO_DO: &str = "Nothing to do: all contracts are there.";

/// An earlier run's transaction was not resumed, and nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{state} holds a transaction that cannot be resumed")]
struct NothingSent {
    state: String,
}

/// Checks the arguments and the chain id, and computes what is deployed where.
async fn begin(arguments: &DeployArguments, report: &mut Report) -> Result<Job> {
    let funder = arguments.funder()?;
    let parameters = arguments.parameters();
    let plan = DeploymentPlan::new(&parameters, session_key_entry_point::codes())?;
    let draft = arguments.record.as_deref().map(Draft::new).transpose()?;
    let endpoint = Endpoint::new(RPC_URL, &arguments.rpc_url, arguments.time_limit)?;
    let chain = endpoint.chain_id().await?;
    let purse = funder.map(|funder| Purse::new(funder, arguments.chain_id));
    let sender = purse.as_ref().map(Purse::address);

    report.section("The chain");
    report.fact("Chain", format!("{} (chain id {chain})", endpoint.origin));
    let payer = sender.map_or_else(
        || format!("none: set {FUNDER_VARIABLE} to a private key to check its funds"),
        |sender| sender.to_string(),
    );
    report.fact("Pays for everything", payer);
    report.data("chainId", chain);
    report.data("deployer", sender.map(|sender| sender.to_string()));
    ensure!(
        chain == arguments.chain_id,
        DeployError::WrongChain {
            expected: arguments.chain_id,
            actual: chain,
        }
    );

    report.section("The plan");
    report.fact("Owner of the factory", owner_text(parameters.factory_owner));
    report.data("factoryOwner", parameters.factory_owner.to_string());
    for planned in plan.contracts() {
        report.fact(
            planned.contract.to_string(),
            format!("{}  salt {}", planned.address, planned.salt),
        );
    }
    let mut deployer = Deployer::new(endpoint.node.provider().clone(), arguments.chain_id, plan);
    if let Some(max_cost) = arguments.max_cost {
        deployer = deployer.clone().with_bounds(Bounds {
            max_cost,
            ..*deployer.bounds()
        });
    }
    Ok(Job {
        deployer,
        parameters,
        chain_id: chain,
        purse,
        draft,
        created: BTreeMap::new(),
    })
}

/// Opens the file with the transactions of an earlier run.
async fn open_state(arguments: &DeployArguments, purse: &Purse) -> Result<StateFile> {
    let (chain_id, sender) = (arguments.chain_id, purse.address());
    let path = match &arguments.state {
        Some(path) => path.clone(),
        None => state::default_path(chain_id, sender)?,
    };
    StateFile::open(path, chain_id, sender, || {
        print_note(&format!(
            "another process deploys for {sender} on chain {chain_id}: waiting for it"
        ));
    })
    .await
}

/// Settles an earlier run's transactions. Without any, waits until the sender has no pending ones.
async fn take_up(job: &mut Job, purse: &Purse, state: &mut StateFile, report: &mut Report) -> Result<()> {
    let Some(last) = state.kept().last().cloned() else {
        let waiting = job.deployer.pending(purse.address()).await?;
        if waiting > 0 {
            report.section("Pending transactions");
            tell(
                report,
                "Waits for",
                format!("{waiting} of {}, not included yet", purse.address()),
            );
            job.deployer.settle(purse.address()).await?;
        }
        return Ok(());
    };
    report.section("The earlier run");
    tell(
        report,
        last.contract.to_string(),
        format!("resuming transaction {} (nonce {})", last.hash, last.nonce),
    );
    let kept = state.kept().to_vec();
    // For a replacement, if one is needed.
    purse.allow(job.deployer.bounds().max_cost);
    let path = state.path().display().to_string();
    let mut clerk = Clerk {
        state,
        purse,
        report,
        created: &mut job.created,
    };
    let resumed = job.deployer.resume(&kept, purse, &mut clerk).await;
    purse.close();
    match resumed {
        Ok(Some(Resumed::Failed {
            contract,
            transaction,
        })) => report.warning(
            contract.to_string(),
            format!("transaction {transaction} was included and reverted: it created nothing"),
        ),
        Ok(Some(Resumed::Void { contract, nonce })) => report.warning(
            contract.to_string(),
            format!("another transaction has used nonce {nonce}: this one is void"),
        ),
        Ok(_) => {}
        Err(error @ (DeployError::NotOfThisDeployment { .. } | DeployError::WrongChain { .. })) => {
            return Err(eyre::Report::new(error).wrap_err(NothingSent { state: path }));
        }
        Err(error) => {
            return Err(Unsettled {
                transaction: last.hash,
                error,
            }
            .into());
        }
    }
    Ok(())
}

/// Shows what `--broadcast` would resume or wait for.
async fn preview(arguments: &DeployArguments, job: &Job, report: &mut Report) -> Result<()> {
    let sender = job.purse.as_ref().map(Purse::address);
    let path = match (&arguments.state, sender) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(sender)) => state::default_path(job.chain_id, sender).ok(),
        (None, None) => None,
    };
    let kept = match path {
        Some(path) => state::read(&path, job.chain_id, sender)?,
        None => Vec::new(),
    };
    let waiting = match sender {
        Some(sender) => job.deployer.pending(sender).await?,
        None => 0,
    };
    if kept.is_empty() && waiting == 0 {
        return Ok(());
    }
    report.section("Pending transactions");
    for signed in kept {
        report.warning(
            signed.contract.to_string(),
            format!(
                "transaction {} (nonce {}) of an earlier run: --broadcast resumes it",
                signed.hash, signed.nonce
            ),
        );
    }
    if waiting > 0 {
        report.warning(
            "Not included yet",
            format!("{waiting}, which --broadcast waits for"),
        );
    }
    Ok(())
}

/// Reads the chain without sending. Any obstacle to the deployment is an error.
async fn survey(arguments: &DeployArguments, job: &Job, report: &mut Report) -> Result<Survey> {
    let sender = job.purse.as_ref().map(Purse::address);
    let survey = job.deployer.survey(sender).await.map_err(with_option)?;
    report.section("The contracts");
    for surveyed in &survey.contracts {
        let (label, address) = (surveyed.contract.to_string(), surveyed.address);
        match surveyed.gas_limit {
            None => report.done(label, format!("{address}  present, with the expected code")),
            Some(gas) => report.fact(
                label,
                format!("{address}  missing: at most {}", show_gas_units(gas)),
            ),
        }
    }
    if !survey.is_complete() {
        report.fact("Maximum cost", show_native(survey.cost));
    }
    report.data("costWei", survey.cost.to_string());
    report.data("contracts", contracts_json(&job.deployer, &survey));
    ensure!(
        arguments.record.is_none() || arguments.broadcast || survey.is_complete(),
        "--record needs --broadcast: some contracts are missing"
    );
    Ok(survey)
}

/// Names the option that raises the maximum cost.
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

/// Deploys what is missing.
async fn deploy(
    job: &mut Job,
    survey: &Survey,
    purse: &Purse,
    state: &mut StateFile,
    report: &mut Report,
) -> Result<()> {
    if survey.is_complete() {
        report.closing(NOTHING_TO_DO);
        return Ok(());
    }
    report.section("Deploy");
    purse.allow(survey.cost);
    let mut clerk = Clerk {
        state,
        purse,
        report,
        created: &mut job.created,
    };
    let outcome = job.deployer.deploy(survey, purse, &mut clerk).await;
    outcome.wrap_err("stopped; created contracts stay, and the same command continues from there")?;
    report.closing("All contracts are there.");
    Ok(())
}

/// Keeps transactions in the state file, and reports progress.
struct Clerk<'a> {
    state: &'a mut StateFile,
    purse: &'a Purse,
    report: &'a mut Report,
    created: &'a mut BTreeMap<Contract, Created>,
}

impl Keeper for Clerk<'_> {
    fn keep(&mut self, transaction: &SignedCreation) -> Result<(), KeeperError> {
        self.state.keep(transaction)?;
        tell(
            self.report,
            format!("Sends {}", transaction.contract),
            format!("transaction {} (nonce {})", transaction.hash, transaction.nonce),
        );
        Ok(())
    }

    fn settled(&mut self, transactions: &[SignedCreation], fate: Fate) {
        if fate == Fate::Void {
            // A transaction that can no longer be included costs nothing.
            let highest = transactions.iter().filter_map(SignedCreation::cost).max();
            self.purse.allow(highest.unwrap_or_default());
        }
        if let Err(error) = self.state.forget() {
            let path = self.state.path().display();
            // The next run finds out the outcome again.
            self.report
                .warning("State", format!("{path} could not be removed: {error}"));
        }
    }

    fn created(&mut self, created: &Created) {
        let label = created.contract.to_string();
        match (created.transaction, created.failed) {
            (Some(hash), _) => {
                let gas = show_gas_units(created.gas_used);
                self.report.done(label, format!("{gas}  transaction {hash}"));
            }
            (None, Some(failed)) => self.report.warning(
                label,
                format!(
                    "created by someone else in the meantime: transaction {failed} came too late and reverted"
                ),
            ),
            (None, None) => self.report.done(label, "created by someone else in the meantime"),
        }
        self.created.insert(created.contract, created.clone());
    }
}

/// Reports something that the user must know even if this process is killed.
fn tell(report: &mut Report, label: impl Into<String>, value: impl Into<String>) {
    let (label, value) = (label.into(), value.into());
    if report.is_json() {
        print_note(&format!("{label}: {value}"));
    }
    report.fact(label, value);
}

fn owner_text(owner: Address) -> String {
    if owner == Deterministic::record().factory_owner {
        format!("{owner} (no one: anyone can use the factory, and no one can stake it)")
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

/// The transaction that created each contract; null if the contract existed before, or is missing.
fn transactions_json(created: &BTreeMap<Contract, Created>) -> Value {
    let transactions = Contract::ALL.into_iter().map(|contract| {
        let created = created.get(&contract).map(|created| {
            json!({
                "hash": created.transaction,
                "block": created.block,
                "failedHash": created.failed,
                "gasUsed": created.gas_used,
            })
        });
        (contract.to_string(), json!(created))
    });
    transactions.collect::<Map<_, _>>().into()
}

/// Writes the complete deployment in the client's format, if `--record` was given.
fn write_record(job: Job, survey: &Survey, report: &mut Report) -> Result<()> {
    let record = record_of(&job, survey);
    let Some(draft) = job.draft else {
        return Ok(());
    };
    let path = draft.path().display().to_string();
    draft.finish(&record).map_err(|error| NotReported {
        what: format!("the contracts are deployed, but --record {path} was not written: {error:#}"),
        ..NotReported::default()
    })?;
    report.fact("Recorded in", path);
    Ok(())
}

fn record_of(job: &Job, survey: &Survey) -> ChainDeployments {
    let recorded = &Deterministic::record().contracts;
    let planned = job.deployer.plan().contracts().iter();
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
    let created = Contract::ALL.into_iter().map(|contract| {
        let created = job.created.get(&contract);
        let record = CreationRecord {
            transaction: created.and_then(|created| created.transaction),
            block: created.and_then(|created| created.block),
        };
        (contract, record)
    });
    let has_created = job.created.values().any(|created| created.transaction.is_some());
    let purse = job.purse.as_ref().filter(|_| has_created);
    let chain = known_chains()
        .iter()
        .find(|chain| chain.chain_id == survey.chain_id);
    ChainDeployments {
        chain_id: survey.chain_id,
        name: chain.map_or_else(
            || format!("chain {}", survey.chain_id),
            |chain| chain.name.clone(),
        ),
        deployments: vec![KnownDeployment {
            name: "own".to_owned(),
            account_init_code_hash: job.deployer.plan().deployment().account_init_code_hash,
            contracts,
            deployed: Some(DeploymentHistory {
                deployer: purse.map(Purse::address),
                factory_owner: job.parameters.factory_owner,
                created: created.collect(),
                versions: Versions::current(),
            }),
        }],
    }
}

/// Formats an amount of the chain's coin, whatever its name.
fn show_native(wei: U256) -> String {
    let text = format_ether(wei);
    format!(
        "{} of the native token",
        text.trim_end_matches('0').trim_end_matches('.')
    )
}
