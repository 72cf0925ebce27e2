//! Checks a chain for everything session keys need.

use crate::{
    amount::show_ether,
    endpoint::{BUNDLER_URL, Endpoint, RPC_URL, TimeLimit},
    failure::Ended,
    purse::funder,
    report::Report,
};
use clap::Args;
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde_json::json;
use session_key_bindings::{
    ENTRY_POINT_V07, IEntryPoint, IExecutionModule, IModularAccount, IModularAccountFactory, manifest_hash,
};
use session_key_client::{
    Deployment, Node, SmartAccount,
    account::ReadError,
    account_keys::{AccountKeys, ReadOptions},
    alloy::{
        eips::BlockId,
        network::TransactionBuilder as _,
        primitives::{Address, B256, U256, keccak256},
        rpc::types::TransactionRequest,
        sol_types::{SolCall, SolValue as _},
    },
    deployment::{ChainDeployments, Contract, Deterministic, KnownContract, KnownDeployment, known_chains},
    installation::{AccountCode, Installation, Severity, known_v08_contract},
    permissions::{lint, parse_address, words::Names},
};
use std::path::Path;

/// The contracts needed by accounts that have the session key module.
const FOR_MODULES: [Contract; 2] = [Contract::EntryPointV07, Contract::SessionKeyModule];

/// The maximum number of a bundler's EntryPoints shown.
const MAX_ENTRY_POINTS: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// JSON-RPC URL of a node of the chain.
    #[arg(long, value_name = "URL", env = "ETH_RPC_URL", hide_env_values = true)]
    rpc_url: String,

    /// The intended chain; a node on another chain is an error [default: the node's chain].
    #[arg(long, value_name = "ID", env = "SESSION_KEY_CHAIN_ID", value_parser = clap::value_parser!(u64).range(1..))]
    chain_id: Option<u64>,

    /// JSON-RPC URL of a bundler to check as well.
    #[arg(
        long,
        value_name = "URL",
        env = "SESSION_KEY_BUNDLER_URL",
        hide_env_values = true
    )]
    bundler_url: Option<String>,

    /// An account to check as well.
    #[arg(long, value_name = "ADDRESS", env = "SESSION_KEY_ACCOUNT", value_parser = parse_address)]
    account: Option<Address>,

    /// Entity id of the session key module's validation on an ERC-6900 v0.8 account, if the node cannot list
    /// the account's validations.
    #[arg(long, value_name = "ID")]
    entity_id: Option<u32>,

    /// The contracts to check: `canonical` (those that the chain's accounts already use), `deterministic`
    /// (those that `deploy` creates), or a file that `deploy --record` wrote [default: canonical where they
    /// exist, else deterministic].
    #[arg(long, value_name = "NAME|FILE")]
    deployment: Option<String>,

    #[command(flatten)]
    time_limit: TimeLimit,

    /// Print one JSON document at the end instead of lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The node and the contracts to check.
struct Doctor {
    node: Node,
    chain_id: u64,
    known: KnownDeployment,
    deployment: Deployment,
}

/// What was found at the account's address.
enum Found {
    /// No account was given.
    None,
    /// An ERC-6900 v0.8 account, and how it has the session key module installed.
    Modules(Box<Installation>),
    /// No code: the generation of the future account is unknown.
    NoCode(Address),
    /// An account of this repository, or anything else.
    Other(Address),
}

/// Runs all checks. If one cannot be made, that is an error.
pub(crate) async fn run(arguments: &DoctorArguments, report: &mut Report) -> Ended {
    for name in ["chainId", "deployment", "moduleAccount"] {
        report.data(name, json!(null));
    }
    report.data("missing", json!([]));
    if let Err(error) = arguments.time_limit.all(check(arguments, report)).await {
        return Ended::NotBegun(error);
    }
    let missing = report.all_missing().join(", ");
    report.data("missing", json!(report.all_missing()));
    report.closing("Everything needed is there.");
    if missing.is_empty() {
        Ended::Done
    } else {
        Ended::No(format!("missing or wrong: {missing}"))
    }
}

async fn check(arguments: &DoctorArguments, report: &mut Report) -> Result<()> {
    let endpoint = Endpoint::new(RPC_URL, &arguments.rpc_url, arguments.time_limit)?;
    let bundler = arguments
        .bundler_url
        .as_ref()
        .map(|url| Endpoint::new(BUNDLER_URL, url, arguments.time_limit))
        .transpose()?;
    let chain_id = endpoint.chain_id().await?;
    if let Some(expected) = arguments.chain_id {
        ensure!(chain_id == expected, "this is chain {chain_id}, not {expected}");
    }
    let (name, known) = choose(chain_id, arguments.deployment.as_deref())?;
    let doctor = Doctor {
        node: endpoint.node,
        chain_id,
        deployment: known.deployment()?,
        known,
    };

    report.section("The chain");
    report.done(
        "Node",
        format!("{} (chain id {chain_id}, {name})", endpoint.origin),
    );
    report.data("chainId", chain_id);
    report.data("deployment", doctor.known.name.clone());
    doctor.funder(report).await?;

    let account = doctor.found(arguments).await?;
    // Only accounts with modules have entity ids.
    let is_for_modules = match &account {
        Found::Modules(_) => true,
        Found::NoCode(_) => arguments.entity_id.is_some(),
        _ => false,
    };
    report.section(format!("The contracts ({})", doctor.known.name));
    if is_for_modules {
        for contract in FOR_MODULES {
            doctor.contract(contract, doctor.known(contract), report).await?;
        }
    } else {
        for (contract, known) in &doctor.known.contracts {
            // Accounts of one generation do not need the other's contracts.
            if !matches!(account, Found::Other(_)) || !FOR_MODULES.contains(contract) {
                doctor.contract(*contract, known, report).await?;
            }
        }
    }
    if doctor.known.name == Deterministic::record().known().name && !report.all_missing().is_empty() {
        report.fact("To deploy them", "session-key deploy --rpc-url … --chain-id …");
    }
    if !is_for_modules {
        doctor.stake(report).await?;
    }

    if let Some(bundler) = &bundler {
        report.section("The bundler");
        let entry_points = match &account {
            _ if is_for_modules => vec![ENTRY_POINT_V07],
            Found::NoCode(_) => vec![doctor.deployment.entry_point, ENTRY_POINT_V07],
            _ => vec![doctor.deployment.entry_point],
        };
        doctor.bundler(bundler, &entry_points, report).await;
    }
    if !matches!(account, Found::None) {
        report.section("The account");
    }
    match account {
        Found::None => {}
        Found::Modules(installation) => doctor.installation(&installation, report).await?,
        Found::NoCode(account) => doctor.not_created(account, report).await?,
        Found::Other(account) => doctor.account(account, report).await?,
    }
    Ok(())
}

/// Returns the chain's name, and the deployment to check.
pub(crate) fn choose(chain_id: u64, wanted: Option<&str>) -> Result<(String, KnownDeployment)> {
    let chain = known_chains().iter().find(|chain| chain.chain_id == chain_id);
    let name = chain.map_or("unknown chain", |chain| &chain.name).to_owned();
    let mut deployments = chain.map_or(&[][..], |chain| &chain.deployments).iter();
    let deterministic = Deterministic::record().known();
    let known = match wanted {
        None => deployments.next().cloned().unwrap_or(deterministic),
        Some(wanted) if wanted == deterministic.name => deterministic,
        Some(wanted) => match deployments.find(|known| known.name == wanted) {
            Some(known) => known.clone(),
            None if !Path::new(wanted).exists() => bail!(
                "--deployment {wanted}: there is no such file, and no deployment of that name is known on chain {chain_id}"
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
        "--deployment {path} is for chain {}, and the node is on chain {chain_id}",
        chain.chain_id
    );
    let first = chain.deployments.into_iter().next();
    first.ok_or_else(|| eyre!("--deployment {path} contains no deployment"))
}

impl Doctor {
    /// Returns the record of a contract: the deployment's, else that of the one `deploy` creates.
    fn known(&self, contract: Contract) -> &KnownContract {
        let of_deployment = self.known.contracts.get(&contract);
        of_deployment.unwrap_or_else(|| &Deterministic::record().contracts[&contract])
    }

    async fn found(&self, arguments: &DoctorArguments) -> Result<Found> {
        let Some(account) = arguments.account else {
            return Ok(Found::None);
        };
        let module = self.known(Contract::SessionKeyModule).address;
        let read = Installation::read(&self.node, account, module, arguments.entity_id.as_slice()).await;
        let read = read.wrap_err("reading the session key module's installation on the account")?;
        if let Some(installation) = read {
            return Ok(Found::Modules(Box::new(installation)));
        }
        let code = self.node.code_at(account, BlockId::latest()).await;
        if code.wrap_err(NO_ANSWER)?.is_empty() {
            Ok(Found::NoCode(account))
        } else {
            Ok(Found::Other(account))
        }
    }

    /// Reports an account without code, and its funds.
    async fn not_created(&self, account: Address, report: &mut Report) -> Result<()> {
        let detail =
            "no code: its first operation creates it, or it has yet to delegate; its kind is not known";
        report.missing("Account", format!("{account}  {detail}"));
        let balance = self.node.balance(account, BlockId::latest()).await;
        let balance = balance.wrap_err(NO_ANSWER)?;
        let mut deposited = U256::ZERO;
        for entry_point in [self.deployment.entry_point, ENTRY_POINT_V07] {
            let question = IEntryPoint::balanceOfCall { account };
            let deposit = self.read(entry_point, question).await?;
            deposited = deposited.saturating_add(deposit.unwrap_or_default());
        }
        funds(balance, Some(deposited), report);
        Ok(())
    }

    /// Reports dangerous keys that the account's own client created.
    async fn own_keys(&self, found: &Installation, report: &mut Report) -> Result<()> {
        let options = ReadOptions::new()
            .at(found.block)
            .session_key_module(found.module)
            // Factories install the owner's validation there.
            .owner(0);
        let keys = AccountKeys::read(&self.node, found.account, &options).await;
        let keys = keys.wrap_err("the keys that the account's own client created cannot be read")?;
        let names = Names::new();
        for read in keys.iter().flat_map(|keys| &keys.keys) {
            let label = format!("Key of entity {}", read.key.entity_id);
            let warnings = read.key.lint(Some(found.block.timestamp));
            let errors = warnings
                .iter()
                .filter(|warning| warning.severity() == lint::Severity::Error);
            for warning in errors {
                let detail = format!("{}  {}", warning.code, warning.describe(&names));
                report.warning(label.clone(), detail);
            }
        }
        Ok(())
    }

    /// Reports an ERC-6900 v0.8 account, and how it has the session key module installed.
    async fn installation(&self, found: &Installation, report: &mut Report) -> Result<()> {
        report.done(
            "Account",
            format!("{}  {} (ERC-6900 v0.8)", found.account, found.account_id),
        );
        let code = match found.code {
            AccountCode::Proxy(implementation) => format!("a proxy to {}", self.named(implementation).await?),
            AccountCode::Delegation(delegate) => {
                format!("delegates to {} (EIP-7702)", self.named(delegate).await?)
            }
            _ => "its own".to_owned(),
        };
        report.fact("Account's code", code);
        for validation in &found.validations {
            let selectors: Vec<_> = validation.selectors.iter().map(ToString::to_string).collect();
            let hooks = validation.validation_hooks.len() + validation.execution_hooks.len();
            report.fact(
                format!("Validation {:#010x}", validation.entity_id),
                format!(
                    "{}  flags {:#04x}, {hooks} hooks, functions: {}",
                    self.named(validation.module).await?,
                    validation.flags.0,
                    if selectors.is_empty() {
                        "none of its own".to_owned()
                    } else {
                        selectors.join(" ")
                    }
                ),
            );
        }
        let findings = found.findings();
        for finding in &findings {
            let detail = format!("{finding}; {}", finding.kind.advice());
            if finding.kind.severity() == Severity::Notice {
                report.warning(finding.kind.code(), detail);
            } else {
                report.missing(finding.kind.code(), detail);
            }
        }
        self.own_keys(found, report).await?;
        let keys = found
            .session_keys
            .map_or_else(|| "unknown".to_owned(), |keys| keys.to_string());
        if found.is_good() {
            report.done("Session keys", keys);
        } else {
            report.fact("Session keys", keys);
        }
        let described: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "code": finding.kind.code(),
                    "severity": match finding.kind.severity() {
                        Severity::Notice => "notice",
                        Severity::Unknown => "unknown",
                        Severity::Incomplete => "incomplete",
                        _ => "unsafe",
                    },
                    "about": finding.about,
                    "text": finding.kind.text(),
                    "advice": finding.kind.advice(),
                })
            })
            .collect();
        report.data(
            "moduleAccount",
            json!({
                "accountId": found.account_id,
                "implementation": found.code.implementation().map(|address| address.to_string()),
                "isDelegation": matches!(found.code, AccountCode::Delegation(_)),
                "module": found.module.to_string(),
                "entityId": found.entity_id(),
                "sessionKeys": found.session_keys,
                "isGood": found.is_good(),
                "block": found.block.number,
                "findings": described,
            }),
        );

        let balance = self
            .node
            .balance(found.account, BlockId::latest())
            .await
            .wrap_err(NO_ANSWER)?;
        let question = IEntryPoint::balanceOfCall {
            account: found.account,
        };
        let deposit = self.read(found.entry_point, question).await?;
        funds(balance, deposit, report);
        Ok(())
    }

    /// Formats an address, with the name of the contract known to have its code.
    async fn named(&self, address: Address) -> Result<String> {
        let own = FOR_MODULES
            .into_iter()
            .find(|contract| self.known(*contract).address == address);
        if let Some(contract) = own {
            return Ok(format!("{address} ({contract})"));
        }
        let code = self
            .node
            .code_at(address, BlockId::latest())
            .await
            .wrap_err(NO_ANSWER)?;
        Ok(match known_v08_contract(address, code.len()) {
            Some(name) => format!("{address} ({name})"),
            None => address.to_string(),
        })
    }

    /// Reports the funds of the key that pays for deployments, if one is set.
    async fn funder(&self, report: &mut Report) -> Result<()> {
        let Some(funder) = funder()?.map(|signer| signer.address()) else {
            return Ok(());
        };
        let balance = self
            .node
            .balance(funder, BlockId::latest())
            .await
            .wrap_err(NO_ANSWER)?;
        let detail = format!("{funder}  {}", show_ether(balance));
        if balance.is_zero() {
            report.warning("Funder", detail);
        } else {
            report.done("Funder", detail);
        }
        Ok(())
    }

    /// Checks a contract: by its code hash if that is recorded, else by what it returns.
    async fn contract(&self, contract: Contract, known: &KnownContract, report: &mut Report) -> Result<()> {
        let (label, address) = (contract.to_string(), known.address);
        let code = self
            .node
            .code_at(address, BlockId::latest())
            .await
            .wrap_err(NO_ANSWER)?;
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
            Contract::SessionKeyModule => self.module_manifest(&label, address, report).await,
            _ => Ok(()),
        }
    }

    /// Checks the manifest: it is what owners consent to, and contains no addresses.
    async fn manifest(
        &self,
        label: &str,
        plugin: Address,
        expected: B256,
        report: &mut Report,
    ) -> Result<()> {
        let account = SmartAccount::new(
            self.node.provider().clone(),
            self.chain_id,
            plugin,
            self.deployment,
        );
        match account.manifest_hash(plugin).await {
            Ok(actual) if actual == expected => {}
            Ok(actual) => report.missing(
                label,
                format!("its manifest has hash {actual} instead of {expected}"),
            ),
            Err(error) => {
                let error = of_contract(error)?;
                report.missing(label, format!("does not return its manifest: {error}"));
            }
        }
        Ok(())
    }

    /// Checks the module's manifest.
    async fn module_manifest(&self, label: &str, module: Address, report: &mut Report) -> Result<()> {
        match self
            .read(module, IExecutionModule::executionManifestCall {})
            .await?
        {
            Some(manifest) => {
                let (actual, expected) = (
                    keccak256(manifest.abi_encode()),
                    manifest_hash::SESSION_KEY_MODULE,
                );
                if actual != expected {
                    report.missing(
                        label,
                        format!("its manifest has hash {actual} instead of {expected}"),
                    );
                }
            }
            None => report.missing(label, "does not return its manifest"),
        }
        Ok(())
    }

    /// Checks that the factory refers to the other contracts.
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
                (None, _) => report.missing(label, format!("does not return its {what}")),
                (Some(actual), Some(expected)) if actual != expected => {
                    report.missing(label, format!("its {what} is {actual}, not {expected}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reports the factory's stake. An account's owners are in the owner plugin's storage from creation on,
    /// so whatever creates the account needs a stake (ERC-7562, STO-021 and STO-022).
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
            // A missing EntryPoint has already been reported.
            None => {}
        }
        Ok(())
    }

    async fn bundler(&self, bundler: &Endpoint, entry_points: &[Address], report: &mut Report) {
        let origin = &bundler.origin;
        let chain_id = match bundler.node.chain_id().await {
            Ok(chain_id) => chain_id,
            Err(error) => {
                report.missing("Bundler", format!("{origin} does not answer: {error}"));
                return;
            }
        };
        if chain_id == self.chain_id {
            report.done("Bundler", format!("{origin} (chain id {chain_id})"));
        } else {
            report.missing(
                "Bundler",
                format!("{origin} is on chain {chain_id}, not {}", self.chain_id),
            );
        }
        let supported: Result<Vec<Address>, _> = bundler.node.request("eth_supportedEntryPoints", ()).await;
        match supported {
            Ok(supported) if entry_points.iter().any(|wanted| supported.contains(wanted)) => {
                let served = entry_points.iter().filter(|wanted| supported.contains(wanted));
                let served: Vec<_> = served.map(Address::to_string).collect();
                let verb = if served.len() == 1 { "is one" } else { "are two" };
                let served = served.join(" and ");
                report.done("Bundler's EntryPoints", format!("{served} {verb} of them"));
            }
            Ok(supported) => {
                let shown: Vec<_> = supported
                    .iter()
                    .take(MAX_ENTRY_POINTS)
                    .map(Address::to_string)
                    .collect();
                let rest = supported.len().saturating_sub(shown.len());
                let more = if rest > 0 {
                    format!(", and {rest} more")
                } else {
                    String::new()
                };
                report.missing(
                    "Bundler's EntryPoints",
                    format!(
                        "{} is not among them: {}{more}",
                        entry_points[0],
                        shown.join(", ")
                    ),
                );
            }
            Err(error) => report.missing("Bundler's EntryPoints", error.to_string()),
        }
    }

    async fn account(&self, address: Address, report: &mut Report) -> Result<()> {
        let account = SmartAccount::new(
            self.node.provider().clone(),
            self.chain_id,
            address,
            self.deployment,
        );
        report.done("Account", address.to_string());
        match self.read(address, IModularAccount::entryPointCall {}).await? {
            Some(entry_point) if entry_point == self.deployment.entry_point => {}
            Some(other) => report.missing("Account's EntryPoint", other.to_string()),
            None => report.missing(
                "Account's EntryPoint",
                "it returns none: not an account of this kind",
            ),
        }
        match account.installed_plugins().await {
            Ok(installed) => self.plugins(&account, &installed, report).await?,
            Err(error) => report.missing("Plugins of the account", of_contract(error)?.to_string()),
        }

        let balance = account.balance().await?;
        match account.deposit().await {
            Ok(deposit) => funds(balance, Some(deposit), report),
            Err(error) => {
                let error = of_contract(error)?;
                let detail = format!("{}; deposit for gas unknown: {error}", show_ether(balance));
                report.warning("Funds of the account", detail);
            }
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
            report.warning("Owners", format!("managed by a plugin other than {owner_plugin}"));
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

    /// Calls a view. Returns `None` if the answer does not match the ABI.
    async fn read<C: SolCall>(&self, contract: Address, call: C) -> Result<Option<C::Return>> {
        let question = TransactionRequest::default()
            .with_to(contract)
            .with_input(call.abi_encode());
        match self.node.call(&question, BlockId::latest()).await {
            Ok(answer) => Ok(C::abi_decode_returns_validate(&answer).ok()),
            Err(error) if error.revert().is_some() => Ok(None),
            Err(error) => Err(error).wrap_err(NO_ANSWER),
        }
    }
}

/// Reports what an account can pay for operations with. `deposit`: `None` if its EntryPoint does not return
/// it.
fn funds(balance: U256, deposit: Option<U256>, report: &mut Report) {
    let detail = format!(
        "{}, and {} deposited for gas",
        show_ether(balance),
        deposit.map_or_else(|| "an unknown amount".to_owned(), show_ether)
    );
    if balance.is_zero() && deposit.is_none_or(|deposit| deposit.is_zero()) {
        report.warning(
            "Funds of the account",
            format!("{detail}: only a paymaster can pay for operations"),
        );
    } else {
        report.done("Funds of the account", detail);
    }
}

/// A node that could not answer says nothing about the contract.
const NO_ANSWER: &str = "the node could not answer";

/// Returns errors caused by the contract. If the node could not answer, that is an error of the check.
fn of_contract(error: ReadError) -> Result<ReadError> {
    match error {
        ReadError::Rpc(error) => Err(eyre::Report::new(error).wrap_err(NO_ANSWER)),
        error => Ok(error),
    }
}
