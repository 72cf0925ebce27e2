//! Accounts with session keys.

use crate::{Devnet, DevnetError};
use session_key_client::{
    Deployment, NewSessionKey, OwnerClient, SessionKeyClient, SmartAccount,
    account::ReadError,
    alloy::{
        primitives::{Address, U256},
        providers::DynProvider,
    },
    deployment::account_init_code_hash,
    permissions::Permissions,
    submit::{BundlerSubmitter, Submitter},
    v08::{AccountFactory, FactoryAccount},
};
use session_key_testkit::{DevAccount, dev_accounts};
use std::sync::Arc;

/// What an account begins with, in wei: ten ether.
const FUNDS: U256 = U256::from_limbs([10_000_000_000_000_000_000, 0, 0, 0]);
/// What it begins with, in base units of the test token: a million tokens.
const TOKENS: u64 = 1_000_000_000_000;

/// A generation of accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// ERC-6900 v0.7 with EntryPoint v0.6: the project's own account, with the session key plugin.
    #[default]
    V07,
    /// ERC-6900 v0.8 with EntryPoint v0.7, with the session key module. The account is a stand-in for those
    /// that wallets deploy, written from measured facts; on a fork, connect to the real ones.
    V08,
}

/// An account with a session key, and everything to use it.
#[derive(Clone, Debug)]
pub struct WithKey {
    /// Where it is.
    pub devnet: Devnet,
    /// The account.
    pub account: SmartAccount,
    /// The owner's client.
    pub owner: OwnerClient,
    /// The owner, whose private key is known to everybody.
    pub owner_account: DevAccount,
    /// The client of the session key.
    pub agent: SessionKeyClient,
    /// The session key, whose private key is known to everybody.
    pub session_key: DevAccount,
    /// A provider on the chain.
    pub provider: DynProvider,
}

impl WithKey {
    /// Whether the session key is one of the account's: its owner can take it away, or uninstall what keeps
    /// the keys.
    ///
    /// # Errors
    ///
    /// [`DevnetError::Read`] if the chain does not answer.
    pub async fn is_granted(&self) -> Result<bool, DevnetError> {
        let (account, key) = (&self.account, self.session_key.address);
        if !account.is_deployed().await? {
            return Ok(false);
        }
        match account.is_session_key(key).await {
            // Those of another plugin are others.
            Err(ReadError::OtherSessionKeyPlugin { .. }) => Ok(false),
            is_granted => Ok(is_granted?),
        }
    }
}

/// The owner of the accounts.
const fn owner() -> DevAccount {
    dev_accounts()[1]
}

/// Their session key.
const fn session_key() -> DevAccount {
    dev_accounts()[2]
}

pub(crate) struct Accounts<'a>(pub(crate) &'a Devnet);

impl Accounts<'_> {
    pub(crate) async fn with_key(
        &self,
        kind: Kind,
        permissions: &Permissions,
    ) -> Result<WithKey, DevnetError> {
        let key = NewSessionKey::new(session_key().address, permissions)?;
        let with = self.as_it_is(kind).await?;
        if with.is_granted().await? {
            return Ok(with);
        }
        let (account, owner) = (&with.account, &with.owner);
        {
            let devnet = self.0;
            let mut chain = devnet.testkit().chain();
            chain.set_balance(account.address(), FUNDS);
            devnet
                .stack()
                .mint(&mut chain, account.address(), U256::from(TOKENS))?;
        }
        let is_installed = account.is_deployed().await? && account.is_session_key_plugin_installed().await?;
        if is_installed {
            owner.add_session_key(key).await?;
        } else {
            owner.install_session_key_plugin([key]).await?;
        }
        Ok(with)
    }

    /// The account if it exists, without any change.
    pub(crate) async fn existing(&self, kind: Kind) -> Result<Option<WithKey>, DevnetError> {
        let with = self.as_it_is(kind).await?;
        Ok(with.account.is_deployed().await?.then_some(with))
    }

    /// The account, whether it exists or not, and its clients.
    async fn as_it_is(&self, kind: Kind) -> Result<WithKey, DevnetError> {
        let devnet = self.0;
        let (owner_account, session_key) = (owner(), session_key());
        let provider = devnet.testkit().provider();
        let account = self
            .account(kind, provider.clone(), owner_account.address)
            .await?;
        let entry_point = account.deployment().entry_point;
        let submitter: Arc<dyn Submitter> =
            Arc::new(BundlerSubmitter::new(devnet.bundler().provider(), entry_point));
        let owner = OwnerClient::shared(
            account.clone(),
            Arc::new(owner_account.signer()),
            submitter.clone(),
        );
        let agent = SessionKeyClient::shared(account.clone(), Arc::new(session_key.signer()), submitter);
        Ok(WithKey {
            devnet: devnet.clone(),
            account,
            owner,
            owner_account,
            agent,
            session_key,
            provider,
        })
    }

    /// The account that this owner gets first from the factory.
    async fn account(
        &self,
        kind: Kind,
        provider: DynProvider,
        owner: Address,
    ) -> Result<SmartAccount, DevnetError> {
        let account = match kind {
            Kind::V07 => {
                let stack = self.0.stack();
                let deployment = Deployment {
                    entry_point: stack.entry_point,
                    session_key_plugin: stack.session_key_plugin,
                    multi_owner_plugin: stack.multi_owner_plugin,
                    factory: stack.account_factory,
                    account_init_code_hash: Some(account_init_code_hash(stack.account_implementation)),
                };
                SmartAccount::from_factory(provider, deployment, [owner], U256::ZERO).await?
            }
            Kind::V08 => {
                let stack = self.0.stack_v08();
                let deployment = Deployment {
                    entry_point: stack.entry_point,
                    session_key_plugin: stack.session_key_module,
                    multi_owner_plugin: stack.single_signer_module,
                    factory: stack.account_factory,
                    account_init_code_hash: None,
                };
                let factory = AccountFactory {
                    address: stack.account_factory,
                    modular_account: stack.account_implementation,
                    semi_modular_account: stack.semi_modular_implementation,
                    owner_module: stack.single_signer_module,
                };
                let made = FactoryAccount::semi_modular(owner, U256::ZERO);
                SmartAccount::from_v08_factory(provider, deployment, &factory, made).await?
            }
        };
        Ok(account)
    }
}
