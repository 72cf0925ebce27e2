//! The chain and the account that a command reads.

use crate::{
    doctor::choose,
    endpoint::{BUNDLER_URL, Endpoint, RPC_URL},
    failure::{NotASessionKey, WrongInput},
    settings::Settings,
};
use clap::Args;
use eyre::{Result, WrapErr as _, bail, ensure};
use session_key_bindings::IAccountV08;
use session_key_client::{
    Deployment, Node, SmartAccount,
    account::{ConnectError, ConnectOptions, Generation},
    alloy::{
        eips::BlockId,
        network::TransactionBuilder as _,
        primitives::{Address, U256},
        providers::DynProvider,
        rpc::types::TransactionRequest,
        sol_types::SolCall as _,
    },
    delegation::delegate_of,
    deployment::native_symbol,
    inspect::{InspectOptions, InspectedKey, Inspection, inspect},
    nft::nfts,
    node::Head,
    permissions::{
        Call, EXECUTE_WITH_SESSION_KEY, KeyState,
        words::{Names, Token},
    },
    tokens::{self, TokenError},
    v08::{AccountFactory, FactoryAccount, ModuleEntity, known},
};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of account to create.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Kind {
    /// Create a semi-modular account of Modular Account v2 (ERC-6900 v0.8) with its factory, instead of this
    /// project's account (ERC-6900 v0.7).
    #[arg(long)]
    pub(crate) semi_modular: bool,

    /// The owner's own address, which becomes a semi-modular account by delegating to Modular Account v2
    /// (EIP-7702). Its first operation, sent through a bundler, carries the owner's authorization.
    #[arg(long, conflicts_with_all = ["semi_modular", "salt"])]
    pub(crate) eip7702: bool,
}

impl Kind {
    /// Whether another account than this project's is asked for.
    pub(crate) const fn is_given(self) -> bool {
        self.semi_modular || self.eip7702
    }

    /// Returns the option that asks for it.
    pub(crate) const fn option(self) -> &'static str {
        if self.eip7702 {
            "--eip7702"
        } else {
            "--semi-modular"
        }
    }

    /// Adds the kind to a request, unless it is the default.
    pub(crate) fn note_in(self, request: &mut serde_json::Value) {
        if self.semi_modular {
            request["semiModular"] = true.into();
        }
        if self.eip7702 {
            request["eip7702"] = true.into();
        }
    }
}

/// A node, and the settings of the command.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) node: Node,
    pub(crate) bundler: Option<Endpoint>,
    pub(crate) chain_id: u64,
    pub(crate) settings: Settings,
}

impl Chain {
    /// Connects to the node and checks its chain id.
    pub(crate) async fn connect(settings: Settings) -> Result<Self> {
        let url = settings
            .rpc_url
            .as_deref()
            .ok_or_else(|| WrongInput(format!("a node is needed: give {RPC_URL} or ETH_RPC_URL")))?;
        let endpoint = Endpoint::new(RPC_URL, url, settings.time_limit)?;
        let bundler = match &settings.bundler_url {
            Some(url) => Some(Endpoint::new(BUNDLER_URL, url, settings.time_limit)?),
            None => None,
        };
        let chain_id = endpoint.chain_id().await?;
        if let Some(expected) = settings.chain_id
            && expected != chain_id
        {
            bail!("this is chain {chain_id}, not {expected}");
        }
        Ok(Self {
            node: endpoint.node,
            bundler,
            chain_id,
            settings,
        })
    }

    pub(crate) fn provider(&self) -> DynProvider {
        self.node.provider().clone()
    }

    pub(crate) const fn symbol(&self) -> &'static str {
        native_symbol(self.chain_id)
    }

    pub(crate) async fn head(&self) -> Result<Head> {
        Ok(self.node.head().await?)
    }

    /// Returns the deployment named in the settings, or the chain's known one.
    pub(crate) fn deployment(&self) -> Result<Deployment> {
        let (_, known) = choose(self.chain_id, self.settings.deployment.as_deref())?;
        Ok(known.deployment()?)
    }

    /// Returns the account's address.
    pub(crate) fn address(&self) -> Result<Address> {
        let account = self.settings.account;
        Ok(account.ok_or_else(|| {
            WrongInput("an account is needed: give --account or SESSION_KEY_ACCOUNT".into())
        })?)
    }

    /// Connects to the account, which must exist, with the contracts that it uses.
    pub(crate) async fn account(&self) -> Result<SmartAccount> {
        let mut options = ConnectOptions::new().chain_id(self.chain_id);
        let known = match &self.settings.deployment {
            Some(_) => vec![self.deployment()?],
            None => self
                .deployment()
                .into_iter()
                .chain([Deployment::deterministic()])
                .collect(),
        };
        options = options.deployments(known);
        if let Some(entity_id) = self.settings.entity_id {
            options = options.entity_id(entity_id);
        }
        let account = SmartAccount::connect_with(&options, self.provider(), self.address()?).await?;
        if let (Some(entity_id), Generation::V08(_)) = (self.settings.entity_id, account.generation()) {
            self.check_entity(&account, entity_id).await?;
        }
        Ok(account)
    }

    /// Refuses an entity id under which the account does not have the module, if it has the module: what
    /// would be said of the keys would not hold for any operation.
    async fn check_entity(&self, account: &SmartAccount, entity_id: u32) -> Result<()> {
        /// The flag of a validation that also applies to functions that it does not name.
        const GLOBAL: u8 = 1 << 2;
        if !account.is_session_key_plugin_installed().await? {
            return Ok(());
        }
        let module = account.deployment().session_key_plugin;
        let question = IAccountV08::getValidationDataCall {
            validationFunction: ModuleEntity::new(module, entity_id).into(),
        };
        let request = TransactionRequest::default()
            .with_to(account.address())
            .with_input(question.abi_encode());
        let answer = self.node.call(&request, BlockId::latest()).await?;
        let found = IAccountV08::getValidationDataCall::abi_decode_returns(&answer)
            .wrap_err("the account's validation cannot be read")?;
        ensure!(
            found.selectors.contains(&EXECUTE_WITH_SESSION_KEY) || found.flags & GLOBAL != 0,
            WrongInput(format!(
                "{} has the session key module, but not under entity id {entity_id}: omit --entity-id, and it is looked up",
                account.address()
            ))
        );
        Ok(())
    }

    /// Returns the account, and whether the contract that stores its session keys exists. A v0.8 account can
    /// have keys of its own client on a chain without the session key module.
    pub(crate) async fn any_account(&self) -> Result<(SmartAccount, bool)> {
        let error = match self.account().await {
            Ok(account) => return Ok((account, true)),
            Err(error) => error,
        };
        if !matches!(error.downcast_ref(), Some(ConnectError::UnknownDeployment { .. })) {
            return Err(error);
        }
        // A given deployment is not checked.
        let options = ConnectOptions::new()
            .chain_id(self.chain_id)
            .deployments([Deployment::for_v08_accounts()]);
        match SmartAccount::connect_with(&options, self.provider(), self.address()?).await {
            Ok(account) if account.generation() != Generation::V07 => Ok((account, false)),
            _ => Err(error),
        }
    }

    /// Returns the account that a factory creates for an owner, whether it exists yet or not.
    pub(crate) async fn made_account(&self, kind: Kind, owner: Address, salt: U256) -> Result<SmartAccount> {
        let (chain_id, provider) = (self.chain_id, self.provider());
        Ok(if kind.eip7702 {
            // An account that delegates to the earlier version keeps it.
            let code = self.node.code_at(owner, BlockId::latest()).await?;
            let own = delegate_of(&code).filter(|own| *own == known::SEMI_MODULAR_ACCOUNT_7702);
            let delegate = own.unwrap_or(known::SEMI_MODULAR_ACCOUNT_7702_V1_1);
            let deployment = Deployment::for_v08_accounts();
            SmartAccount::from_eoa_on(chain_id, provider, deployment, owner, delegate).await?
        } else if kind.semi_modular {
            let made = FactoryAccount::semi_modular(owner, salt);
            let deployment = Deployment::for_v08_accounts();
            let factory = AccountFactory::default();
            SmartAccount::from_v08_factory_on(chain_id, provider, deployment, &factory, made).await?
        } else {
            SmartAccount::from_factory_on(chain_id, provider, self.deployment()?, [owner], salt).await?
        })
    }

    /// Reads all keys of the account.
    pub(crate) async fn inspect(&self, options: InspectOptions) -> Result<(SmartAccount, Inspection)> {
        let account = self.account().await?;
        let inspection = self.inspect_of(&account, options).await?;
        Ok((account, inspection))
    }

    /// Reads all keys of an account whose plugin or module exists.
    pub(crate) async fn inspect_of(
        &self,
        account: &SmartAccount,
        options: InspectOptions,
    ) -> Result<Inspection> {
        let from = self.settings.from_block;
        if from > 0 {
            let head = self.head().await?.number;
            ensure!(
                from <= head,
                WrongInput(format!(
                    "--from-block {from} is ahead of the latest block, {head}"
                ))
            );
        }
        let options = options.from_block(self.settings.from_block);
        Ok(inspect(account, &options).await?)
    }

    /// Reads one key of the account; an error if it is not registered.
    pub(crate) async fn inspect_key(&self, key: Address) -> Result<(SmartAccount, Head, InspectedKey)> {
        let (account, inspection) = self.inspect(InspectOptions::new().keys([key])).await?;
        let found = inspection.key(key).cloned();
        let found = found.ok_or_else(|| NotASessionKey {
            key,
            account: account.address(),
        })?;
        Ok((account, inspection.block, found))
    }

    /// Reads symbols and decimals. Contracts that do not answer like a token are left out.
    pub(crate) async fn tokens(
        &self,
        addresses: impl IntoIterator<Item = Address>,
    ) -> BTreeMap<Address, Token> {
        tokens::tokens(&self.node, addresses).await
    }

    /// Reads a token's decimals.
    pub(crate) async fn decimals(&self, token: Address) -> Result<u8> {
        let answer = tokens::decimals(&self.node, token).await;
        let answer = answer.map_err(|error| match error {
            TokenError::Rpc(error) => eyre::Report::new(error),
            error => eyre::Report::new(error),
        });
        answer.wrap_err_with(|| format!("reading the decimals of token {token}"))
    }

    /// Reads an account's token balance at a block.
    pub(crate) async fn balance_of(&self, token: Address, account: Address, block: u64) -> Result<U256> {
        Ok(tokens::balance_of(&self.node, token, account, block.into()).await?)
    }

    /// Returns the names to describe keys with: those given, and the symbols of the keys' tokens.
    pub(crate) async fn names(&self, states: impl IntoIterator<Item = &KeyState>, names: Names) -> Names {
        tokens::name_tokens(&self.node, states, names.native_symbol(self.symbol())).await
    }

    /// Returns names for the tokens among the called contracts.
    pub(crate) async fn names_of_calls<'a>(&self, calls: impl IntoIterator<Item = &'a Call>) -> Names {
        /// The maximum number of contracts queried: an operation can call any number of them.
        const MOST: usize = 32;
        let called: BTreeSet<Address> = calls.into_iter().map(|call| call.target).collect();
        let tokens = self.tokens(called.into_iter().take(MOST)).await;
        let names = Names::new().native_symbol(self.symbol());
        tokens
            .into_iter()
            .fold(names, |names, (address, token)| names.token(address, token))
    }

    /// Returns the contracts that keys treat as tokens but that identify as NFTs.
    pub(crate) async fn nfts(
        &self,
        states: impl IntoIterator<Item = &KeyState>,
    ) -> Result<BTreeSet<Address>> {
        let nfts = nfts(&self.node, tokens::tokens_of(states)).await;
        nfts.wrap_err("asking whether tokens are NFTs")
    }
}
