//! Connecting to an existing account: finding its contracts by what the account itself returns.

use super::{
    ConnectError, ExecutionFunctionConfig, Generation, ReadError, SmartAccount, Validations, require_chain,
};
use crate::{
    abi::{Account, AccountV08, Owners, Plugin},
    deployment::{Contract, Deployment, Deterministic, known_chains},
    permissions::EXECUTE_WITH_SESSION_KEY,
    request::clean,
    v08::{FALLBACK_VALIDATION, ModuleEntity, known::SINGLE_SIGNER_VALIDATION_MODULE},
};
use alloy::{
    primitives::{Address, B256, Selector, U256, b256, keccak256},
    providers::Provider,
    sol_types::SolCall,
};
use session_key_bindings::{ENTRY_POINT, ENTRY_POINT_V07};
use std::sync::Arc;

/// The ERC-1967 slot of a proxy's implementation: `keccak256("eip1967.proxy.implementation") - 1`.
const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// What to expect of an account when connecting. The default expects EntryPoint v0.6 for a v0.7 account and
/// v0.7 for a v0.8 account, and uses the deployments that this crate knows.
///
/// ```
/// use session_key_client::{Deployment, SmartAccount, account::{ConnectError, ConnectOptions}};
/// # use session_key_client::alloy::{primitives::Address, providers::Provider};
///
/// # async fn doc(node: impl Provider + 'static, account: Address, own: Deployment) -> Result<(), ConnectError> {
/// let options = ConnectOptions::new().chain_id(8453).deployments([own]);
/// let account = SmartAccount::connect_with(&options, node, account).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ConnectOptions {
    chain_id: Option<u64>,
    entry_point: Option<Address>,
    deployments: Option<Vec<Deployment>>,
    owner_validation: Option<ModuleEntity>,
    entity_id: Option<u32>,
}

impl ConnectOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the account's chain. A node on another chain is the error [`ReadError::WrongChain`]. By default,
    /// the node's chain is used.
    pub const fn chain_id(mut self, chain_id: u64) -> Self {
        self.chain_id = Some(chain_id);
        self
    }

    /// Sets the account's EntryPoint, which must have the ABI of v0.6 (v0.7 for a v0.8 account), instead of
    /// the well-known one.
    pub const fn entry_point(mut self, entry_point: Address) -> Self {
        self.entry_point = Some(entry_point);
        self
    }

    /// Sets the deployments to choose from for what the account lacks: a session key plugin to install, and a
    /// factory. The first one that fits is used. They replace those that this crate knows, and their
    /// EntryPoints are accepted.
    pub fn deployments(mut self, deployments: impl IntoIterator<Item = Deployment>) -> Self {
        self.deployments = Some(deployments.into_iter().collect());
        self
    }

    /// For a v0.8 account: sets the owner's validation. The default is the fallback signer's, if the account
    /// has an enabled one, else entity 0, as validated by `SingleSignerValidationModule`.
    pub const fn owner_validation(mut self, validation: ModuleEntity) -> Self {
        self.owner_validation = Some(validation);
        self
    }

    /// For a v0.8 account: sets the entity id of the session key module, or the one to install it under. By
    /// default it is looked up, or [`SESSION_KEY_ENTITY_ID`](crate::v08::SESSION_KEY_ENTITY_ID) if the module
    /// is not installed.
    pub const fn entity_id(mut self, entity_id: u32) -> Self {
        self.entity_id = Some(entity_id);
        self
    }
}

/// What an account had installed when it was connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// The target of the account's ERC-1967 proxy or EIP-7702 delegation. `None`: the account is neither.
    pub implementation: Option<Address>,
    /// `accountId()` of a v0.8 account: vendor, name and version.
    pub account_id: Option<String>,
    /// Its plugins, newest first; for a v0.8 account, only the session key module.
    pub installed_plugins: Vec<Address>,
    /// The plugin or module that stores its session keys. `None`: none is installed, and the account's
    /// [`Deployment`] names one to install.
    pub session_key_plugin: Option<Address>,
    /// The owner plugin. `None`: no plugin of the account both serves `updateOwners` and validates `execute`,
    /// and `multi_owner_plugin` of its [`Deployment`] is zero. For a v0.8 account: the module that validates
    /// the owner's operations, or `None` for a fallback signer.
    pub owner_plugin: Option<Address>,
}

impl Connected {
    /// Whether the account had a session key plugin.
    pub const fn has_session_key_plugin(&self) -> bool {
        self.session_key_plugin.is_some()
    }
}

impl SmartAccount {
    /// Connects to an existing account, of ERC-6900 v0.7 or v0.8. Its contracts are those that the account
    /// itself names: EntryPoint, session key plugin or module, and owner plugin.
    /// [`connected`](Self::connected) returns what it has.
    ///
    /// If no session key plugin is installed, the account's [`Deployment`] names the one to install: that of
    /// a known deployment of the chain, preferably one with the account's owner plugin. Its factory creates
    /// accounts with this owner plugin; it is zero if none is known.
    ///
    /// Takes one round trip if all contracts belong to a known deployment of the chain, and at most two; for
    /// a v0.8 account three, or more if the module was installed under another entity id. The chain is the
    /// node's; [`connect_on`](Self::connect_on) pins it.
    pub async fn connect(provider: impl Provider + 'static, address: Address) -> Result<Self, ConnectError> {
        Self::connect_with(&ConnectOptions::default(), provider, address).await
    }

    /// Connects on this chain. A node on another chain is the error [`ReadError::WrongChain`].
    pub async fn connect_on(
        chain_id: u64,
        provider: impl Provider + 'static,
        address: Address,
    ) -> Result<Self, ConnectError> {
        Self::connect_with(&ConnectOptions::new().chain_id(chain_id), provider, address).await
    }

    /// Connects with options.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %address))]
    pub async fn connect_with(
        options: &ConnectOptions,
        provider: impl Provider + 'static,
        address: Address,
    ) -> Result<Self, ConnectError> {
        // A placeholder, never returned like this.
        let unknown = Deployment {
            entry_point: Address::ZERO,
            session_key_plugin: Address::ZERO,
            multi_owner_plugin: Address::ZERO,
            factory: Address::ZERO,
            account_init_code_hash: None,
        };
        let mut account = Self::new(provider, 0, address, unknown);
        let look = match account.look(options).await? {
            Seen::V07(look) => look,
            Seen::V08(look) => return account.connected_v08(options, look).await,
        };
        account.chain_id = look.chain_id;
        account.deployment.entry_point = look.entry_point;

        let candidates = Candidates::new(options, &look);
        let (session_key_plugin, owner_plugin, origin) = tokio::try_join!(
            account.session_key_plugin(&look, &candidates),
            account.owner_plugin(&look, &candidates),
            account.origin(&look, &candidates),
        )?;
        account.deployment = Deployment {
            entry_point: look.entry_point,
            session_key_plugin,
            multi_owner_plugin: owner_plugin.unwrap_or_default(),
            factory: origin.map_or(Address::ZERO, |origin| origin.factory),
            account_init_code_hash: origin.and_then(|origin| origin.account_init_code_hash),
        };
        account.connected = Some(Arc::new(Connected {
            implementation: look.implementation,
            account_id: None,
            installed_plugins: look.installed_plugins,
            session_key_plugin: look.session_key_plugin,
            owner_plugin,
        }));
        Ok(account)
    }

    /// The first round trip: everything the account returns about itself.
    async fn look(&self, options: &ConnectOptions) -> Result<Seen, ConnectError> {
        let address = self.address;
        let slot = self
            .provider
            .get_storage_at(address, IMPLEMENTATION_SLOT.into())
            .block_id(self.block);
        let (chain_id, code, slot, entry_point, account_id, installed, keys, update_owners, execute) = tokio::join!(
            self.requests.send(self.provider.get_chain_id()),
            self.code(address),
            self.requests.send(slot),
            self.call(address, Account::entryPointCall {}),
            self.call(address, AccountV08::accountIdCall {}),
            self.installed_plugins(),
            self.execution_function_config(EXECUTE_WITH_SESSION_KEY),
            self.execution_function_config(Selector::from(Owners::updateOwnersCall::SELECTOR)),
            self.execution_function_config(Selector::from(Account::executeCall::SELECTOR)),
        );
        // The first error matters most: on another chain, or without an account, the rest is meaningless.
        let chain_id = chain_id.map_err(ReadError::from)?;
        require_chain(options.chain_id.unwrap_or(chain_id), chain_id)?;
        let code = code?;
        if code.is_empty() {
            return Err(ConnectError::NotDeployed { address, chain_id });
        }
        let entry_point = self.as_modular_account(entry_point)?;
        let is_v07 = !matches!(
            installed,
            Err(ReadError::UnexpectedAnswer { .. } | ReadError::Reverted { .. })
        );
        match account_id {
            // Other accounts have an account id as well: their other answers decide.
            Ok(account_id) if !is_v07 => {
                require_entry_point(options, address, entry_point, ENTRY_POINT_V07)?;
                return Ok(Seen::V08(LookV08 {
                    chain_id,
                    account_id,
                    entry_point,
                    implementation: match delegate(&code) {
                        None => implementation(slot.map_err(ReadError::from)?),
                        delegate => delegate,
                    },
                }));
            }
            Err(error @ (ReadError::Rpc(_) | ReadError::WrongChain { .. })) if !is_v07 => {
                return Err(error.into());
            }
            _ => {}
        }
        let installed_plugins = self.as_modular_account(installed)?;
        let keys = self.as_modular_account(keys)?;
        let update_owners = self.as_modular_account(update_owners)?;
        let execute = self.as_modular_account(execute)?;
        require_entry_point(options, address, entry_point, ENTRY_POINT)?;
        let look = Look {
            chain_id,
            entry_point,
            implementation: implementation(slot.map_err(ReadError::from)?),
            session_key_plugin: self.serving_session_keys(keys, &installed_plugins)?,
            owner_plugin: self.serving_owners(update_owners, execute, &installed_plugins)?,
            installed_plugins,
        };
        Ok(Seen::V07(look))
    }

    /// The second round trip for a v0.8 account: its module, and its owner.
    async fn connected_v08(mut self, options: &ConnectOptions, look: LookV08) -> Result<Self, ConnectError> {
        self.chain_id = look.chain_id;
        self.generation = Generation::V08(Validations::default());
        let given = options.deployments.iter().flatten();
        let mut deployment = given
            .clone()
            .find(|known| known.entry_point == look.entry_point)
            .copied()
            .unwrap_or_else(Deployment::for_v08_accounts);
        let fallback = async {
            match options.owner_validation {
                Some(_) => Ok(None),
                None => match self.owner_behind(FALLBACK_VALIDATION).await {
                    Err(ReadError::UnexpectedAnswer { .. } | ReadError::Reverted { .. }) => Ok(None),
                    found => found,
                },
            }
        };
        let (executor, fallback) = tokio::join!(self.session_key_executor(), fallback);
        let executor = executor.map_err(|error| match error {
            ReadError::UnexpectedAnswer { function, .. } | ReadError::Reverted { function, .. } => {
                ConnectError::NotModularAccount {
                    address: self.address,
                    function,
                }
            }
            error => error.into(),
        })?;
        let module = (!executor.is_zero()).then_some(executor);
        if module.is_none() {
            // A given entity id is used as is.
            let candidate = Candidate {
                deployment,
                is_of_chain: given.clone().any(|known| *known == deployment),
            };
            let contract = deployment.session_key_plugin;
            if !self
                .is_there(&candidate, Contract::SessionKeyModule, contract)
                .await?
            {
                return Err(ConnectError::UnknownDeployment {
                    account: self.address,
                    chain_id: look.chain_id,
                });
            }
        }
        deployment.entry_point = look.entry_point;
        deployment.multi_owner_plugin = Address::ZERO;
        if let Some(module) = module {
            deployment.session_key_plugin = module;
        }
        self.deployment = deployment;
        let owner = match (options.owner_validation, fallback?) {
            (Some(given), _) => given,
            (None, Some(_)) => FALLBACK_VALIDATION,
            (None, None) => ModuleEntity::new(SINGLE_SIGNER_VALIDATION_MODULE, 0),
        };
        let validations = self.validations(owner, options.entity_id).await?;
        self.generation = Generation::V08(validations);
        self.connected = Some(Arc::new(Connected {
            implementation: look.implementation,
            account_id: Some(clean(&look.account_id)),
            installed_plugins: module.into_iter().collect(),
            session_key_plugin: module,
            owner_plugin: (!owner.module.is_zero()).then_some(owner.module),
        }));
        Ok(self)
    }

    /// Treats a contract that does not answer a function of ERC-6900 accounts as a different kind of
    /// contract.
    fn as_modular_account<T>(&self, answer: Result<T, ReadError>) -> Result<T, ConnectError> {
        answer.map_err(|error| match error {
            ReadError::UnexpectedAnswer { function, .. } | ReadError::Reverted { function, .. } => {
                ConnectError::NotModularAccount {
                    address: self.address,
                    function,
                }
            }
            error => error.into(),
        })
    }

    /// Returns the plugin behind `executeWithSessionKey`, if any.
    fn serving_session_keys(
        &self,
        config: ExecutionFunctionConfig,
        installed: &[Address],
    ) -> Result<Option<Address>, ConnectError> {
        let executes = config.plugin;
        if executes.is_zero() {
            return Ok(None);
        }
        let validates = config.user_op_validation_function.plugin;
        if validates != executes {
            return Err(ConnectError::OtherValidator {
                account: self.address,
                executes,
                validates,
            });
        }
        self.require_installed(executes, installed)?;
        Ok(Some(executes))
    }

    /// Returns the plugin behind `updateOwners`, if it also validates `execute`.
    fn serving_owners(
        &self,
        update_owners: ExecutionFunctionConfig,
        execute: ExecutionFunctionConfig,
        installed: &[Address],
    ) -> Result<Option<Address>, ConnectError> {
        let plugin = update_owners.plugin;
        if plugin.is_zero() || execute.user_op_validation_function.plugin != plugin {
            return Ok(None);
        }
        self.require_installed(plugin, installed)?;
        Ok(Some(plugin))
    }

    fn require_installed(&self, plugin: Address, installed: &[Address]) -> Result<(), ConnectError> {
        if installed.contains(&plugin) {
            Ok(())
        } else {
            Err(ConnectError::Inconsistent {
                account: self.address,
                plugin,
            })
        }
    }

    /// Returns the account's session key plugin, or the one to install. An unknown plugin must answer like
    /// one.
    async fn session_key_plugin(
        &self,
        look: &Look,
        candidates: &Candidates,
    ) -> Result<Address, ConnectError> {
        let Some(plugin) = look.session_key_plugin else {
            for candidate in candidates.to_install(look.owner_plugin) {
                let contract = candidate.deployment.session_key_plugin;
                if self
                    .is_there(candidate, Contract::SessionKeyPlugin, contract)
                    .await?
                {
                    return Ok(contract);
                }
            }
            return Err(ConnectError::UnknownDeployment {
                account: self.address,
                chain_id: look.chain_id,
            });
        };
        if !candidates
            .0
            .iter()
            .any(|known| known.deployment.session_key_plugin == plugin)
        {
            let call = Plugin::isSessionKeyOfCall {
                account: self.address,
                sessionKey: Address::ZERO,
            };
            self.call(plugin, call).await?;
        }
        Ok(plugin)
    }

    /// Returns the account's owner plugin. An unknown plugin must answer like one.
    async fn owner_plugin(
        &self,
        look: &Look,
        candidates: &Candidates,
    ) -> Result<Option<Address>, ConnectError> {
        let Some(plugin) = look.owner_plugin else {
            return Ok(None);
        };
        if candidates
            .0
            .iter()
            .any(|known| known.deployment.multi_owner_plugin == plugin)
        {
            return Ok(Some(plugin));
        }
        let call = Owners::isOwnerOfCall {
            account: self.address,
            ownerToCheck: Address::ZERO,
        };
        match self.call(plugin, call).await {
            Ok(_) => Ok(Some(plugin)),
            Err(ReadError::UnexpectedAnswer { .. } | ReadError::Reverted { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the deployment whose factory creates accounts with this owner plugin.
    async fn origin(&self, look: &Look, candidates: &Candidates) -> Result<Option<Deployment>, ConnectError> {
        for candidate in candidates.with_owner_plugin(look.owner_plugin) {
            let factory = candidate.deployment.factory;
            if self
                .is_there(candidate, Contract::ModularAccountFactory, factory)
                .await?
            {
                return Ok(Some(candidate.deployment));
            }
        }
        Ok(None)
    }

    /// Whether a candidate's contract is on the account's chain. The code is known for those that can be on
    /// any chain.
    async fn is_there(
        &self,
        candidate: &Candidate,
        contract: Contract,
        address: Address,
    ) -> Result<bool, ReadError> {
        if candidate.is_of_chain {
            return Ok(true);
        }
        let recorded = Deterministic::record().contracts.get(&contract);
        let code = self.code(address).await?;
        Ok(recorded.and_then(|recorded| recorded.code_hash) == Some(keccak256(code)))
    }

    /// Confirms that a key missing from the plugin is not kept by another plugin of the account: the account
    /// may have changed since it was connected to, or its handle may name the wrong contracts.
    pub(super) async fn confirm_session_key_plugin(&self) -> Result<(), ReadError> {
        let (is_deployed, executor) = tokio::join!(self.is_deployed(), self.session_key_executor());
        if !is_deployed? {
            return Ok(());
        }
        let (expected, found) = (self.deployment.session_key_plugin, executor?);
        if found.is_zero() || found == expected {
            Ok(())
        } else {
            Err(ReadError::OtherSessionKeyPlugin {
                account: self.address,
                expected,
                found,
            })
        }
    }
}

/// Returns the EIP-7702 delegate in an account's code.
fn delegate(code: &[u8]) -> Option<Address> {
    let delegate = code.strip_prefix(&[0xef, 0x01, 0x00])?;
    (delegate.len() == Address::len_bytes()).then(|| Address::from_slice(delegate))
}

/// Decodes a proxy's implementation slot.
fn implementation(slot: U256) -> Option<Address> {
    let implementation = Address::from_word(slot.into());
    // Anything but an address was not written by a proxy.
    (slot >> 160 == U256::ZERO && !implementation.is_zero()).then_some(implementation)
}

/// Checks that the account uses the expected EntryPoint, or that of a given deployment.
fn require_entry_point(
    options: &ConnectOptions,
    account: Address,
    found: Address,
    usual: Address,
) -> Result<(), ConnectError> {
    let expected = options.entry_point.unwrap_or(usual);
    let mut given = options.deployments.iter().flatten();
    if found == expected || options.entry_point.is_none() && given.any(|known| known.entry_point == found) {
        return Ok(());
    }
    Err(ConnectError::OtherEntryPoint {
        account,
        expected,
        found,
    })
}

/// An account's answers, by generation.
enum Seen {
    V07(Look),
    V08(LookV08),
}

/// A v0.8 account's answers.
struct LookV08 {
    chain_id: u64,
    account_id: String,
    entry_point: Address,
    implementation: Option<Address>,
}

/// A v0.7 account's answers.
struct Look {
    chain_id: u64,
    entry_point: Address,
    implementation: Option<Address>,
    installed_plugins: Vec<Address>,
    session_key_plugin: Option<Address>,
    owner_plugin: Option<Address>,
}

/// A deployment that may be the account's.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    deployment: Deployment,
    /// Whether it is known to be on the chain. Otherwise it can be on any chain, and may not be on this one.
    is_of_chain: bool,
}

/// The deployments that may be the account's, preferred first.
struct Candidates(Vec<Candidate>);

impl Candidates {
    fn new(options: &ConnectOptions, look: &Look) -> Self {
        let of_chain = |deployment| Candidate {
            deployment,
            is_of_chain: true,
        };
        let mut candidates: Vec<Candidate> = match &options.deployments {
            Some(given) => given.iter().copied().map(of_chain).collect(),
            None => {
                let chain = known_chains()
                    .iter()
                    .find(|chain| chain.chain_id == look.chain_id);
                let known = chain.map_or(&[][..], |chain| &chain.deployments);
                let known = known.iter().filter_map(|known| known.deployment().ok());
                let anywhere = Candidate {
                    deployment: Deployment::deterministic(),
                    is_of_chain: false,
                };
                known.map(of_chain).chain([anywhere]).collect()
            }
        };
        candidates.retain(|candidate| candidate.deployment.entry_point == look.entry_point);
        Self(candidates)
    }

    /// Returns those with this owner plugin.
    fn with_owner_plugin(&self, owner_plugin: Option<Address>) -> impl Iterator<Item = &Candidate> {
        let fits =
            move |candidate: &&Candidate| Some(candidate.deployment.multi_owner_plugin) == owner_plugin;
        self.0.iter().filter(fits)
    }

    /// Returns all, those with this owner plugin first.
    fn to_install(&self, owner_plugin: Option<Address>) -> impl Iterator<Item = &Candidate> {
        let others = self.0.iter();
        let others =
            others.filter(move |candidate| Some(candidate.deployment.multi_owner_plugin) != owner_plugin);
        self.with_owner_plugin(owner_plugin).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_is_an_implementation() {
        let address = Address::repeat_byte(0x11);
        let slot = U256::from_be_bytes(address.into_word().0);
        assert_eq!(implementation(slot), Some(address));
        assert_eq!(implementation(slot | U256::ONE << 160), None);
        assert_eq!(implementation(U256::ZERO), None);
    }
}
