//! Checks a chain: what session keys need, and what of it is missing.

use std::path::Path;

use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, B256, U256, keccak256},
    providers::{DynProvider, Provider as _},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use clap::Args;
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde_json::json;
use session_key_bindings::{IEntryPoint, IModularAccount, IModularAccountFactory, manifest_hash};
use session_key_client::{
    Deployment, Revert, SmartAccount,
    account::ReadError,
    deployment::{ChainDeployments, Contract, Deterministic, KnownContract, KnownDeployment, known_chains},
    permissions::parse_address,
};

use crate::{
    funder,
    node::{RPC_URL, brief, chain_id, connect, origin},
    report::{Report, show_ether},
};

/// The option that names the bundler.
const BUNDLER_URL: &str = "--bundler-url";

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// JSON-RPC URL of a node of the chain.
    #[arg(long, value_name = "URL")]
    rpc_url: String,

    /// JSON-RPC URL of a bundler, to check it too.
    #[arg(long, value_name = "URL")]
    bundler_url: Option<String>,

    /// An account, to check it too.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    account: Option<Address>,

    /// Which contracts: `canonical` (those that accounts of the chain use already), `deterministic` (those that `deploy`
    /// creates), or a file that `deploy --record` wrote [default: canonical where there are any, else deterministic].
    #[arg(long, value_name = "NAME|FILE")]
    deployment: Option<String>,

    /// Print one JSON document at the end, instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is checked.
struct Doctor {
    node: DynProvider,
    chain_id: u64,
    known: KnownDeployment,
    deployment: Deployment,
}

/// Checks everything. The outer error is of a check that could not be made; the inner one says what is missing.
pub(crate) async fn run(arguments: &DoctorArguments, report: &mut Report) -> Result<Result<()>> {
    let node = connect(RPC_URL, &arguments.rpc_url, None)?;
    let chain = chain_id(&node, &arguments.rpc_url).await?;
    let (name, known) = choose(chain, arguments.deployment.as_deref())?;
    let doctor = Doctor {
        node,
        chain_id: chain,
        deployment: known.deployment()?,
        known,
    };

    report.section("The chain");
    report.done(
        "Node",
        format!("{} (chain id {chain}, {name})", origin(&arguments.rpc_url)),
    );
    report.data("chainId", chain);
    report.data("deployment", doctor.known.name.clone());
    doctor.funder(report).await?;

    report.section(format!("The contracts ({})", doctor.known.name));
    for (contract, known) in &doctor.known.contracts {
        doctor.contract(*contract, known, report).await?;
    }
    if doctor.known.name == Deterministic::record().known().name && !report.all_missing().is_empty() {
        report.fact("To deploy them", "session-key deploy --rpc-url … --chain-id …");
    }
    doctor.stake(report).await?;

    if let Some(url) = &arguments.bundler_url {
        report.section("The bundler");
        doctor.bundler(url, report).await?;
    }
    if let Some(account) = arguments.account {
        report.section("The account");
        doctor.account(account, report).await?;
    }

    let missing = report.all_missing().join(", ");
    report.data("missing", json!(report.all_missing()));
    report.closing("Everything needed is there.");
    Ok(if missing.is_empty() {
        Ok(())
    } else {
        Err(eyre!("missing, or not as it must be: {missing}"))
    })
}

/// The chain's name, and the deployment to check.
fn choose(chain_id: u64, wanted: Option<&str>) -> Result<(String, KnownDeployment)> {
    let chain = known_chains().iter().find(|chain| chain.chain_id == chain_id);
    let name = chain.map_or("not a known one", |chain| &chain.name).to_owned();
    let mut deployments = chain.map_or(&[][..], |chain| &chain.deployments).iter();
    let deterministic = Deterministic::record().known();
    let known = match wanted {
        None => deployments.next().cloned().unwrap_or(deterministic),
        Some(wanted) if wanted == deterministic.name => deterministic,
        Some(wanted) => match deployments.find(|known| known.name == wanted) {
            Some(known) => known.clone(),
            None if !Path::new(wanted).exists() => bail!(
                "--deployment {wanted}: no file, and no deployment of that name is known on chain {chain_id}"
            ),
            None => from_file(chain_id, wanted)?,
        },
    };
    Ok((name, known))
}

fn from_file(chain_id: u64, path: &str) -> Result<KnownDeployment> {
    let text = std::fs::read_to_string(path).wrap_err_with(|| format!("--deployment {path}"))?;
    let chain: ChainDeployments =
        serde_json::from_str(&text).wrap_err_with(|| format!("--deployment {path}"))?;
    ensure!(
        chain.chain_id == chain_id,
        "--deployment {path} is of chain {}, and the node of chain {chain_id}",
        chain.chain_id
    );
    let first = chain.deployments.into_iter().next();
    first.ok_or_else(|| eyre!("--deployment {path} holds no deployment"))
}

impl Doctor {
    /// Funds of the key that pays for deployments and bundles, where there is one.
    async fn funder(&self, report: &mut Report) -> Result<()> {
        let Some(funder) = funder()?.map(|signer| signer.address()) else {
            return Ok(());
        };
        let balance = self
            .node
            .get_balance(funder)
            .await
            .map_err(|error| eyre!(brief(&error)))?;
        let detail = format!("{funder}  {}", show_ether(balance));
        if balance.is_zero() {
            report.warning("Funder", detail);
        } else {
            report.done("Funder", detail);
        }
        Ok(())
    }

    /// A contract, by its code where that is known, else by what it says of itself.
    async fn contract(&self, contract: Contract, known: &KnownContract, report: &mut Report) -> Result<()> {
        let (label, address) = (contract.to_string(), known.address);
        let code = self
            .node
            .get_code_at(address)
            .await
            .map_err(|error| eyre!(brief(&error)))?;
        if code.is_empty() {
            report.missing(label, format!("{address}  no code"));
            return Ok(());
        }
        let code_hash = keccak256(&code);
        match known.code_hash {
            Some(expected) if expected != code_hash => {
                report.missing(
                    label,
                    format!("{address}  other code: hash {code_hash} instead of {expected}"),
                );
                return Ok(());
            }
            Some(_) => report.done(label.clone(), format!("{address}  code as recorded")),
            None => report.done(
                label.clone(),
                format!("{address}  code hash {code_hash}, none recorded"),
            ),
        }
        match contract {
            Contract::MultiOwnerPlugin => {
                self.manifest(&label, address, manifest_hash::MULTI_OWNER_PLUGIN, report)
                    .await
            }
            Contract::SessionKeyPlugin => {
                self.manifest(&label, address, manifest_hash::SESSION_KEY_PLUGIN, report)
                    .await
            }
            Contract::ModularAccountFactory => self.factory(&label, address, report).await,
            _ => Ok(()),
        }
    }

    /// The manifest is what owners consent to, and holds no addresses.
    async fn manifest(
        &self,
        label: &str,
        plugin: Address,
        expected: B256,
        report: &mut Report,
    ) -> Result<()> {
        let account = SmartAccount::new(self.node.clone(), self.chain_id, plugin, self.deployment);
        match account.manifest_hash(plugin).await {
            Ok(actual) if actual == expected => {}
            Ok(actual) => report.missing(
                label,
                format!("its manifest has hash {actual} instead of {expected}"),
            ),
            Err(error) => {
                let error = of_contract(error)?;
                report.missing(label, format!("does not tell its manifest: {error}"));
            }
        }
        Ok(())
    }

    /// The factory belongs to the other contracts.
    async fn factory(&self, label: &str, factory: Address, report: &mut Report) -> Result<()> {
        let entry_point = self
            .read(factory, IModularAccountFactory::ENTRYPOINTCall {})
            .await?;
        let owners = self
            .read(factory, IModularAccountFactory::MULTI_OWNER_PLUGINCall {})
            .await?;
        let implementation = self.read(factory, IModularAccountFactory::IMPLCall {}).await?;
        let named = self.known.contracts.get(&Contract::ModularAccount);
        let expected = [
            ("EntryPoint", entry_point, Some(self.deployment.entry_point)),
            ("owner plugin", owners, Some(self.deployment.multi_owner_plugin)),
            ("implementation", implementation, named.map(|known| known.address)),
        ];
        for (what, actual, expected) in expected {
            match (actual, expected) {
                (None, _) => report.missing(label, format!("does not tell its {what}")),
                (Some(actual), Some(expected)) if actual != expected => {
                    report.missing(label, format!("its {what} is {actual}, not {expected}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An account keeps its owners in the owner plugin's storage, from its creation on: what creates it needs a stake
    /// (ERC-7562, STO-021 and STO-022).
    async fn stake(&self, report: &mut Report) -> Result<()> {
        let question = IEntryPoint::getDepositInfoCall {
            account: self.deployment.factory,
        };
        match self.read(self.deployment.entry_point, question).await? {
            Some(info) if info.staked => {
                report.done("Stake of the factory", show_ether(U256::from(info.stake)));
            }
            Some(_) => report.warning(
                "Stake of the factory",
                "none: bundlers that enforce ERC-7562 refuse operations that create accounts",
            ),
            // The EntryPoint is missing, and that has been said.
            None => {}
        }
        Ok(())
    }

    async fn bundler(&self, url: &str, report: &mut Report) -> Result<()> {
        let bundler = connect(BUNDLER_URL, url, None)?;
        let url = origin(url);
        let chain_id = match bundler.get_chain_id().await {
            Ok(chain_id) => chain_id,
            Err(error) => {
                report.missing("Bundler", format!("{url} does not answer: {}", brief(&error)));
                return Ok(());
            }
        };
        if chain_id == self.chain_id {
            report.done("Bundler", format!("{url} (chain id {chain_id})"));
        } else {
            report.missing(
                "Bundler",
                format!("{url} is of chain {chain_id}, not {}", self.chain_id),
            );
        }
        let supported = bundler
            .raw_request::<_, Vec<Address>>("eth_supportedEntryPoints".into(), ())
            .await;
        let entry_point = self.deployment.entry_point;
        match supported {
            Ok(supported) if supported.contains(&entry_point) => {
                report.done("Bundler's EntryPoints", format!("{entry_point} is one of them"));
            }
            Ok(supported) => report.missing(
                "Bundler's EntryPoints",
                format!("{entry_point} is not among {supported:?}"),
            ),
            Err(error) => report.missing("Bundler's EntryPoints", brief(&error)),
        }
        Ok(())
    }

    async fn account(&self, address: Address, report: &mut Report) -> Result<()> {
        let account = SmartAccount::new(self.node.clone(), self.chain_id, address, self.deployment);
        if account.is_deployed().await? {
            report.done("Account", address.to_string());
            match self.read(address, IModularAccount::entryPointCall {}).await? {
                Some(entry_point) if entry_point == self.deployment.entry_point => {}
                Some(other) => report.missing("Account's EntryPoint", other.to_string()),
                None => report.missing(
                    "Account's EntryPoint",
                    "it tells none: not an account of this kind",
                ),
            }
            match account.installed_plugins().await {
                Ok(installed) => self.plugins(&account, &installed, report).await?,
                Err(error) => report.missing("Plugins of the account", of_contract(error)?.to_string()),
            }
        } else {
            report.missing(
                "Account",
                format!("{address}  no code: its first operation creates it"),
            );
        }

        let balance = account.balance().await?;
        let deposit = match account.deposit().await {
            Ok(deposit) => deposit,
            Err(error) => {
                let error = of_contract(error)?;
                let detail = format!("{}; deposit for gas unknown: {error}", show_ether(balance));
                report.warning("Funds of the account", detail);
                return Ok(());
            }
        };
        let detail = format!(
            "{}, and {} deposited for gas",
            show_ether(balance),
            show_ether(deposit)
        );
        if balance.is_zero() && deposit.is_zero() {
            report.warning(
                "Funds of the account",
                format!("{detail}: only a paymaster can pay for operations"),
            );
        } else {
            report.done("Funds of the account", detail);
        }
        Ok(())
    }

    async fn plugins(
        &self,
        account: &SmartAccount,
        installed: &[Address],
        report: &mut Report,
    ) -> Result<()> {
        let owner_plugin = self.deployment.multi_owner_plugin;
        if installed.contains(&owner_plugin) {
            report.done("Owners", account.owners().await?.len().to_string());
        } else {
            report.warning("Owners", format!("kept by another plugin than {owner_plugin}"));
        }
        let key_plugin = self.deployment.session_key_plugin;
        if installed.contains(&key_plugin) {
            report.done("Session keys", account.session_keys().await?.len().to_string());
        } else {
            report.missing(
                "Session keys",
                format!("the plugin {key_plugin} is not installed"),
            );
        }
        Ok(())
    }

    /// What a contract answers; `None` if it does not answer by its ABI.
    async fn read<C: SolCall>(&self, contract: Address, call: C) -> Result<Option<C::Return>> {
        let question = TransactionRequest::default()
            .with_to(contract)
            .with_input(call.abi_encode());
        match self.node.call(question).await {
            Ok(answer) => Ok(C::abi_decode_returns_validate(&answer).ok()),
            Err(error) if Revert::from_rpc_error(&error).is_some() => Ok(None),
            Err(error) => Err(eyre!(brief(&error))),
        }
    }
}

/// What the contract is to blame for. A node that could not answer says nothing of the contract: then it is an error.
fn of_contract(error: ReadError) -> Result<ReadError> {
    match error {
        ReadError::Rpc(error) => Err(eyre!("the node could not answer: {error}")),
        error => Ok(error),
    }
}
