//! ERC-6900 v0.8 accounts: their owners, and how they have the session key module installed.

use super::{ConnectError, ReadError, SmartAccount, Validations, generation::Generation, require_chain};
use crate::{
    abi::{AccountV08, FactoryV08, SemiModularAccount},
    deployment::Deployment,
    installation::Installation,
    node::Node,
    permissions::EXECUTE_WITH_SESSION_KEY,
    revert::Revert,
    v08::{self, AccountFactory, FactoryAccount, ModuleEntity, SESSION_KEY_ENTITY_ID},
};
use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, B256, FixedBytes, Selector, U256},
    providers::{DynProvider, Provider},
    rpc::types::TransactionRequest,
    sol_types::{Eip712Domain, SolCall as _},
};

alloy::sol! {
    /// Views of `SingleSignerValidationModule`.
    interface SingleSigner {
        /// Returns the signer of an account's validation with this entity id; zero if there is none.
        function signers(uint32 entityId, address account) external view returns (address signer);
    }
}

alloy::sol! {
    /// ERC-165.
    interface IERC165 {
        /// Whether the contract supports an interface.
        function supportsInterface(bytes4 interfaceId) external view returns (bool);
    }
}

/// The ERC-165 id of `IModule`.
const MODULE_INTERFACE: FixedBytes<4> = FixedBytes([0x46, 0xc0, 0xc1, 0xb4]);

impl SmartAccount {
    /// Creates a handle to an existing ERC-6900 v0.8 account from known data, without asking the chain.
    pub fn new_v08(
        provider: impl Provider + 'static,
        chain_id: u64,
        address: Address,
        deployment: Deployment,
        validations: Validations,
    ) -> Self {
        let mut account = Self::new(provider, chain_id, address, deployment);
        account.generation = Generation::V08(validations);
        account
    }

    /// Returns the ERC-6900 v0.8 account that the factory creates, or has created. If it does not exist yet,
    /// its first operation creates it.
    ///
    /// The address is computed, and the node must agree: otherwise the error is
    /// [`ConnectError::AddressMismatch`]. The chain is the node's;
    /// [`from_v08_factory_on`](Self::from_v08_factory_on) pins it.
    pub async fn from_v08_factory(
        provider: impl Provider + 'static,
        deployment: Deployment,
        factory: &AccountFactory,
        account: FactoryAccount,
    ) -> Result<Self, ConnectError> {
        Self::made_by_v08_factory(None, provider.erased(), deployment, factory, account).await
    }

    /// Like [`from_v08_factory`](Self::from_v08_factory), on this chain. A node on another chain is the error
    /// [`ReadError::WrongChain`].
    pub async fn from_v08_factory_on(
        chain_id: u64,
        provider: impl Provider + 'static,
        deployment: Deployment,
        factory: &AccountFactory,
        account: FactoryAccount,
    ) -> Result<Self, ConnectError> {
        Self::made_by_v08_factory(Some(chain_id), provider.erased(), deployment, factory, account).await
    }

    #[tracing::instrument(level = "debug", skip_all, fields(factory = %factory.address))]
    async fn made_by_v08_factory(
        pinned: Option<u64>,
        provider: DynProvider,
        deployment: Deployment,
        factory: &AccountFactory,
        made: FactoryAccount,
    ) -> Result<Self, ConnectError> {
        let computed = made.address(factory);
        let deployment = Deployment {
            factory: factory.address,
            ..deployment
        };
        let validations = Validations {
            owner: made.owner_validation(factory),
            ..Validations::default()
        };
        let mut account = Self::new_v08(provider, 0, computed, deployment, validations);
        account.init_code = made.init_code(factory);
        let answered = async {
            let FactoryAccount { owner, salt, .. } = made;
            match made.owner_entity_id {
                None => {
                    let call = FactoryV08::getAddressSemiModularCall { owner, salt };
                    account.call(factory.address, call).await
                }
                Some(entity_id) => {
                    let call = FactoryV08::getAddressCall {
                        owner,
                        salt,
                        entityId: entity_id,
                    };
                    account.call(factory.address, call).await
                }
            }
        };
        let chain_id = account.requests.send(account.provider.get_chain_id());
        let (chain_id, answered) = tokio::join!(chain_id, answered);
        let chain_id = chain_id.map_err(ReadError::from)?;
        require_chain(pinned.unwrap_or(chain_id), chain_id)?;
        let answered = answered?;
        if computed != answered {
            return Err(ConnectError::AddressMismatch {
                factory: factory.address,
                computed,
                answered,
            });
        }
        account.chain_id = chain_id;
        if account.is_deployed().await? {
            account.generation = Generation::V08(account.validations(validations.owner, None).await?);
        }
        Ok(account)
    }

    /// Returns the validations of an account with this owner, and the entity id of the session key module:
    /// the one given, else the default one, else one named by the account's events. If the module has none of
    /// these, the first free one.
    pub(super) async fn validations(
        &self,
        owner: ModuleEntity,
        given: Option<u32>,
    ) -> Result<Validations, ReadError> {
        let session_keys = match given {
            Some(entity_id) => entity_id,
            None => self.session_key_entity_id().await?,
        };
        Ok(Validations { owner, session_keys })
    }

    async fn session_key_entity_id(&self) -> Result<u32, ReadError> {
        let is_for_session_keys = |selectors: &[Selector]| selectors.contains(&EXECUTE_WITH_SESSION_KEY);
        let usual = self.validation(SESSION_KEY_ENTITY_ID).await?;
        if is_for_session_keys(&usual.selectors) || self.session_key_executor().await?.is_zero() {
            return Ok(SESSION_KEY_ENTITY_ID);
        }
        // Someone else may have installed it.
        let node = Node::new(self.provider.clone());
        let module = self.deployment.session_key_plugin;
        let found = Installation::read(&node, self.address, module, &[]).await?;
        let validations = found.iter().flat_map(|found| &found.validations);
        let own = validations
            .filter(|validation| is_for_session_keys(&validation.selectors))
            .find(|validation| validation.module == module);
        Ok(own.map_or(SESSION_KEY_ENTITY_ID, |validation| validation.entity_id))
    }

    async fn validation(&self, entity_id: u32) -> Result<session_key_bindings::ValidationData, ReadError> {
        let module = self.deployment.session_key_plugin;
        let call = AccountV08::getValidationDataCall {
            validationFunction: ModuleEntity::new(module, entity_id).into(),
        };
        self.call(self.address, call).await
    }

    /// Returns the module behind a function of a v0.8 account; zero if there is none.
    pub(super) async fn executor(&self, selector: Selector) -> Result<Address, ReadError> {
        let data = self
            .call(self.address, AccountV08::getExecutionDataCall { selector })
            .await?;
        Ok(data.module)
    }

    /// Returns the owner behind the validation of a v0.8 account's owner. `None`: there is none, or the
    /// fallback signer is disabled.
    pub(super) async fn owner_behind(&self, validation: ModuleEntity) -> Result<Option<Address>, ReadError> {
        let signer = if validation.module.is_zero() {
            let call = SemiModularAccount::getFallbackSignerDataCall {};
            let data = self.call(self.address, call).await?;
            if data.isDisabled {
                Address::ZERO
            } else {
                data.fallbackSigner
            }
        } else {
            let call = SingleSigner::signersCall {
                entityId: validation.entity_id,
                account: self.address,
            };
            self.call(validation.module, call).await?
        };
        Ok((!signer.is_zero()).then_some(signer))
    }

    /// Whether the validation has validation hooks.
    pub(crate) async fn has_validation_hooks(&self, validation: ModuleEntity) -> Result<bool, ReadError> {
        let call = AccountV08::getValidationDataCall {
            validationFunction: validation.into(),
        };
        let data = self.call(self.address, call).await?;
        Ok(!data.validationHooks.is_empty())
    }

    /// Whether a contract identifies as an ERC-6900 module to the session key module's query:
    /// `supportsInterface` with so little gas that only a plain answer fits.
    pub(crate) async fn answers_as_module(&self, contract: Address) -> Result<bool, ReadError> {
        const GAS: u64 = 10_000;
        let call = IERC165::supportsInterfaceCall {
            interfaceId: MODULE_INTERFACE,
        };
        let data = call.abi_encode();
        let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
        let others = data.len() as u64 - zeros;
        // A transaction's intrinsic gas (EIP-2028).
        let intrinsic = 21_000 + 4 * zeros + 16 * others;
        let request = TransactionRequest::default()
            .with_to(contract)
            .with_input(data)
            .with_gas_limit(intrinsic + GAS);
        let answer = self
            .requests
            .send(self.provider.call(request).block(self.block))
            .await;
        match answer {
            Ok(answer) => Ok(answer
                .get(..32)
                .is_some_and(|word| word.iter().any(|byte| *byte != 0))),
            Err(error) if Revert::from_rpc_error(&error).is_some() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the EIP-712 domain of the hash that an owner of a v0.8 account signs for a message.
    pub(super) fn domain_of(&self, validation: ModuleEntity) -> Eip712Domain {
        let (contract, salt) = if validation.module.is_zero() {
            (self.address, None)
        } else {
            (validation.module, Some(self.address.into_word()))
        };
        Eip712Domain::new(None, None, Some(U256::from(self.chain_id)), Some(contract), salt)
    }

    /// Returns the hash that an owner of a v0.8 account signs for a digest.
    pub(super) fn replay_safe_hash(&self, validation: ModuleEntity, digest: B256) -> B256 {
        v08::signature::message_hash(validation, self.address, self.chain_id, digest)
    }
}
