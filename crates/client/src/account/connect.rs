//! Connecting: who is who on an account that exists, by what the account itself says.

use super::{ConnectError, ExecutionFunctionConfig, ReadError, SmartAccount, require_chain};
use crate::{
    abi::{Account, Owners, Plugin},
    deployment::{Contract, Deployment, Deterministic, known_chains},
    permissions::EXECUTE_WITH_SESSION_KEY,
};
use alloy::{
    primitives::{Address, B256, Selector, U256, b256, keccak256},
    providers::Provider,
    sol_types::SolCall,
};
use session_key_bindings::ENTRY_POINT;
use std::sync::Arc;

/// Where a proxy keeps the address of its implementation (ERC-1967): `keccak256("eip1967.proxy.implementation") - 1`.
const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");

/// What to expect of an account that is connected to. The default expects EntryPoint v0.6, and knows the deployments that
/// this crate has data of.
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
}

impl ConnectOptions {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The account is on this chain. A node of another one is the error [`ReadError::WrongChain`]. By default the node says
    /// which chain it is.
    pub const fn chain_id(mut self, chain_id: u64) -> Self {
        self.chain_id = Some(chain_id);
        self
    }

    /// The account works with this EntryPoint, which speaks the ABI of v0.6, instead of the well-known one.
    pub const fn entry_point(mut self, entry_point: Address) -> Self {
        self.entry_point = Some(entry_point);
        self
    }

    /// Deployments to choose from for what the account does not have itself: a session key plugin to install, and a factory.
    /// The first one that fits is preferred. They take the place of those that this crate knows, and their EntryPoints are
    /// accepted.
    pub fn deployments(mut self, deployments: impl IntoIterator<Item = Deployment>) -> Self {
        self.deployments = Some(deployments.into_iter().collect());
        self
    }
}

/// What an account had when it was connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// What the account's ERC-1967 proxy points to. `None`: the account is not such a proxy.
    pub implementation: Option<Address>,
    /// Its plugins, newest first.
    pub installed_plugins: Vec<Address>,
    /// The plugin that keeps its session keys. `None`: none is installed, and the account's [`Deployment`] names one that can
    /// be.
    pub session_key_plugin: Option<Address>,
    /// The owner plugin. `None`: the account has none that serves `updateOwners` and validates `execute`, and
    /// `multi_owner_plugin` of its [`Deployment`] is zero.
    pub owner_plugin: Option<Address>,
}

impl Connected {
    /// Whether the account had a session key plugin.
    pub const fn has_session_key_plugin(&self) -> bool {
        self.session_key_plugin.is_some()
    }
}

impl SmartAccount {
    /// An account that exists. Its contracts are those that the account itself names: EntryPoint, session key plugin and owner
    /// plugin. [`connected`](Self::connected) shows what it has.
    ///
    /// Where no session key plugin is installed, the account's [`Deployment`] names the one to install: that of a known
    /// deployment of the chain, preferably one with the account's owner plugin. The deployment's factory is one that makes
    /// accounts with this owner plugin; it is zero if none is known.
    ///
    /// Takes one round trip if all contracts are of a known deployment of the chain, and never more than two. The chain is the one that the
    /// node says it is of; [`connect_on`](Self::connect_on) pins it.
    pub async fn connect(provider: impl Provider + 'static, address: Address) -> Result<Self, ConnectError> {
        Self::connect_with(&ConnectOptions::default(), provider, address).await
    }

    /// [`connect`](Self::connect) on this chain. A node of another chain is the error [`ReadError::WrongChain`].
    pub async fn connect_on(
        chain_id: u64,
        provider: impl Provider + 'static,
        address: Address,
    ) -> Result<Self, ConnectError> {
        Self::connect_with(&ConnectOptions::new().chain_id(chain_id), provider, address).await
    }

    /// [`connect`](Self::connect) with expectations of your own.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %address))]
    pub async fn connect_with(
        options: &ConnectOptions,
        provider: impl Provider + 'static,
        address: Address,
    ) -> Result<Self, ConnectError> {
        // Nothing is known yet: it is not handed out like this.
        let unknown = Deployment {
            entry_point: Address::ZERO,
            session_key_plugin: Address::ZERO,
            multi_owner_plugin: Address::ZERO,
            factory: Address::ZERO,
            account_init_code_hash: None,
        };
        let mut account = Self::new(provider, 0, address, unknown);
        let look = account.look(options).await?;
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
            installed_plugins: look.installed_plugins,
            session_key_plugin: look.session_key_plugin,
            owner_plugin,
        }));
        Ok(account)
    }

    /// The first round: everything that the account says of itself, all at once.
    async fn look(&self, options: &ConnectOptions) -> Result<Look, ConnectError> {
        let address = self.address;
        let slot = self
            .provider
            .get_storage_at(address, IMPLEMENTATION_SLOT.into())
            .block_id(self.block);
        let (chain_id, code, slot, entry_point, installed, keys, update_owners, execute) = tokio::join!(
            self.requests.send(self.provider.get_chain_id()),
            self.code(address),
            self.requests.send(slot),
            self.call(address, Account::entryPointCall {}),
            self.installed_plugins(),
            self.execution_function_config(EXECUTE_WITH_SESSION_KEY),
            self.execution_function_config(Selector::from(Owners::updateOwnersCall::SELECTOR)),
            self.execution_function_config(Selector::from(Account::executeCall::SELECTOR)),
        );
        // What is said first matters most: on another chain, or without an account, the rest means nothing.
        let chain_id = chain_id.map_err(ReadError::from)?;
        require_chain(options.chain_id.unwrap_or(chain_id), chain_id)?;
        if code?.is_empty() {
            return Err(ConnectError::NotDeployed { address, chain_id });
        }
        let entry_point = self.as_modular_account(entry_point)?;
        let installed_plugins = self.as_modular_account(installed)?;
        let keys = self.as_modular_account(keys)?;
        let update_owners = self.as_modular_account(update_owners)?;
        let execute = self.as_modular_account(execute)?;
        let expected = options.entry_point.unwrap_or(ENTRY_POINT);
        let given = options.deployments.iter().flatten();
        let is_given =
            || options.entry_point.is_none() && given.clone().any(|known| known.entry_point == entry_point);
        if entry_point != expected && !is_given() {
            return Err(ConnectError::OtherEntryPoint {
                account: address,
                expected,
                found: entry_point,
            });
        }
        let look = Look {
            chain_id,
            entry_point,
            implementation: implementation(slot.map_err(ReadError::from)?),
            session_key_plugin: self.serving_session_keys(keys, &installed_plugins)?,
            owner_plugin: self.serving_owners(update_owners, execute, &installed_plugins)?,
            installed_plugins,
        };
        Ok(look)
    }

    /// A contract that does not answer a function of ERC-6900 accounts is none.
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

    /// The plugin behind `executeWithSessionKey`, if there is one.
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

    /// The plugin behind `updateOwners`, if it also decides who may call `execute`.
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

    /// The account's session key plugin, or the one to install. A plugin that is not known must answer as one.
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

    /// The account's owner plugin. A plugin that is not known must answer as one.
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

    /// The deployment whose factory makes accounts with this owner plugin.
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

    /// Whether a contract of a candidate is on the account's chain. Of those that can be on any chain, the code is known.
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

    /// Confirms that a key which the plugin does not have is not kept by another plugin of the account: the account may have
    /// changed since it was connected to, or be another one than its handle says.
    pub(super) async fn confirm_session_key_plugin(&self) -> Result<(), ReadError> {
        let (is_deployed, config) = tokio::join!(
            self.is_deployed(),
            self.execution_function_config(EXECUTE_WITH_SESSION_KEY)
        );
        if !is_deployed? {
            return Ok(());
        }
        let (expected, found) = (self.deployment.session_key_plugin, config?.plugin);
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

/// The implementation in a proxy's slot.
fn implementation(slot: U256) -> Option<Address> {
    let implementation = Address::from_word(slot.into());
    // Anything else than an address was put there by something else than a proxy.
    (slot >> 160 == U256::ZERO && !implementation.is_zero()).then_some(implementation)
}

/// What an account says of itself.
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
    /// It is known to be on the chain. Otherwise it can be on any chain, and may not be on this one.
    is_of_chain: bool,
}

/// The deployments that may be the account's, the preferred one first.
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

    /// Those with this owner plugin.
    fn with_owner_plugin(&self, owner_plugin: Option<Address>) -> impl Iterator<Item = &Candidate> {
        let fits =
            move |candidate: &&Candidate| Some(candidate.deployment.multi_owner_plugin) == owner_plugin;
        self.0.iter().filter(fits)
    }

    /// All, those with this owner plugin first.
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
