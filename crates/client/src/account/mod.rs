//! The account: its address, and everything that can be read about it.

mod connect;
mod erc6492;
mod error;
mod generation;
mod modular;
mod requests;
mod views;

pub use connect::{ConnectOptions, Connected};
pub use error::{ConnectError, ReadError};
pub use generation::{Generation, Validations};
pub use requests::MAX_REQUESTS_IN_FLIGHT;
pub use views::{AccessListEntry, ExecutionFunctionConfig};

use crate::{
    abi::{EntryPoint, Factory},
    calldata,
    deployment::Deployment,
    journal::Journal,
    operation::Desk,
    revert::Revert,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256, aliases::U192},
    providers::{DynProvider, Provider},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use requests::Requests;
use std::sync::Arc;

/// A smart account: an address on a chain, and the contracts it uses. Cheap to clone.
///
/// Reads fail with a [`ReadError`]: the node did not answer, the contract reverted, or the answer does not
/// match the ABI. All reads through an account and its clones together have at most
/// [`MAX_REQUESTS_IN_FLIGHT`] requests in flight.
#[derive(Clone, Debug)]
pub struct SmartAccount {
    provider: DynProvider,
    chain_id: u64,
    address: Address,
    address_is_verified: bool,
    deployment: Deployment,
    generation: Generation,
    connected: Option<Arc<Connected>>,
    init_code: Bytes,
    block: BlockId,
    requests: Requests,
    desk: Arc<Desk>,
}

impl SmartAccount {
    /// Creates a handle to an existing account from known data, without asking the chain.
    pub fn new(
        provider: impl Provider + 'static,
        chain_id: u64,
        address: Address,
        deployment: Deployment,
    ) -> Self {
        Self {
            provider: provider.erased(),
            chain_id,
            address,
            address_is_verified: true,
            deployment,
            generation: Generation::V07,
            connected: None,
            init_code: Bytes::new(),
            block: BlockId::latest(),
            requests: Requests::default(),
            desk: Arc::default(),
        }
    }

    /// Returns the account that the factory creates, or has created, for these owners and this salt. If it
    /// does not exist yet, its first operation creates it. Owners may be in any order; see
    /// [`calldata::factory_owners`].
    ///
    /// The address is computed from the deployment's
    /// [`account_init_code_hash`](Deployment::account_init_code_hash), and the node must agree: otherwise the
    /// error is [`ConnectError::AddressMismatch`]. If that hash is not known, the node's answer is used, and
    /// [`address_is_verified`](Self::address_is_verified) is false. **Do not fund such an address** before
    /// the account exists: a lying node decides who receives the funds.
    ///
    /// The chain is the node's; [`from_factory_on`](Self::from_factory_on) pins it.
    pub async fn from_factory(
        provider: impl Provider + 'static,
        deployment: Deployment,
        owners: impl IntoIterator<Item = Address>,
        salt: U256,
    ) -> Result<Self, ConnectError> {
        Self::made_by_factory(None, provider.erased(), deployment, owners, salt).await
    }

    /// Like [`from_factory`](Self::from_factory), on this chain. A node on another chain is the error
    /// [`ReadError::WrongChain`].
    pub async fn from_factory_on(
        chain_id: u64,
        provider: impl Provider + 'static,
        deployment: Deployment,
        owners: impl IntoIterator<Item = Address>,
        salt: U256,
    ) -> Result<Self, ConnectError> {
        Self::made_by_factory(Some(chain_id), provider.erased(), deployment, owners, salt).await
    }

    #[tracing::instrument(level = "debug", skip_all, fields(factory = %deployment.factory))]
    async fn made_by_factory(
        pinned: Option<u64>,
        provider: DynProvider,
        deployment: Deployment,
        owners: impl IntoIterator<Item = Address>,
        salt: U256,
    ) -> Result<Self, ConnectError> {
        let owners = calldata::factory_owners(owners)?;
        let factory = deployment.factory;
        let computed = deployment.account_address(owners.iter().copied(), salt)?;
        let mut account = Self::new(provider, 0, Address::ZERO, deployment);
        account.init_code = calldata::init_code(factory, salt, &owners)?;
        let (chain_id, answered) = tokio::join!(
            account.requests.send(account.provider.get_chain_id()),
            account.call(factory, Factory::getAddressCall { salt, owners }),
        );
        account.chain_id = chain_id.map_err(ReadError::from)?;
        require_chain(pinned.unwrap_or(account.chain_id), account.chain_id)?;
        let answered = answered?;
        account.address = computed.unwrap_or(answered);
        account.address_is_verified = computed.is_some();
        if account.address != answered {
            return Err(ConnectError::AddressMismatch {
                factory,
                computed: account.address,
                answered,
            });
        }
        Ok(account)
    }

    /// Returns the same account as of a block: all views read there.
    #[must_use]
    pub fn at(mut self, block: impl Into<BlockId>) -> Self {
        self.block = block.into();
        self
    }

    /// Stores intents in this journal instead of in memory. Clients of this handle and its clones share it,
    /// and take turns in each nonce lane.
    #[must_use]
    pub fn with_journal(self, journal: impl Journal + 'static) -> Self {
        self.with_desk(Arc::new(Desk::new(journal)))
    }

    /// Uses a desk that other accounts share: one journal for all of them.
    #[must_use]
    pub fn with_desk(mut self, desk: Arc<Desk>) -> Self {
        self.desk = desk;
        self
    }

    /// Returns the desk, with the journal of this handle's clients.
    pub const fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// Returns the `initCode` that creates the account, whether it exists or not; empty if it is not known.
    pub(crate) const fn creation_code(&self) -> &Bytes {
        &self.init_code
    }

    /// Returns the account's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Whether the address was given by the caller or computed. False: it is a node's answer, from
    /// [`from_factory`](Self::from_factory) with a deployment whose init code hash is not known. Send nothing
    /// to such an address before the account exists.
    pub const fn address_is_verified(&self) -> bool {
        self.address_is_verified
    }

    /// Returns the chain id. It never changes; [`check_chain`](Self::check_chain) compares it with the
    /// node's.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Returns the contracts that the account uses.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Returns the account's generation, with the validations it uses.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns what [`connect`](Self::connect) found on the account; `None` if it was not connected to.
    pub fn connected(&self) -> Option<&Connected> {
        self.connected.as_deref()
    }

    /// Returns the provider.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Checks the node's chain. Another one than the account's is the error [`ReadError::WrongChain`]: an RPC
    /// URL may lead to a different node, on another chain, at any time.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.address))]
    pub async fn check_chain(&self) -> Result<(), ReadError> {
        let found = self.requests.send(self.provider.get_chain_id()).await?;
        require_chain(self.chain_id, found)
    }

    /// Whether the account has code.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.address))]
    pub async fn is_deployed(&self) -> Result<bool, ReadError> {
        Ok(!self.code(self.address).await?.is_empty())
    }

    async fn code(&self, address: Address) -> Result<Bytes, ReadError> {
        let request = self.provider.get_code_at(address).block_id(self.block);
        Ok(self.requests.send(request).await?)
    }

    /// Returns the `initCode` for the account's next operation: empty once it exists.
    pub async fn init_code(&self) -> Result<Bytes, ReadError> {
        if self.init_code.is_empty() || self.is_deployed().await? {
            return Ok(Bytes::new());
        }
        Ok(self.init_code.clone())
    }

    /// Returns the next nonce in a lane.
    pub async fn nonce(&self, nonce_key: U192) -> Result<U256, ReadError> {
        let get_nonce = EntryPoint::getNonceCall {
            sender: self.address,
            key: nonce_key,
        };
        self.call(self.deployment.entry_point, get_nonce).await
    }

    /// Returns the account's deposit at the EntryPoint, in wei.
    pub async fn deposit(&self) -> Result<U256, ReadError> {
        self.call(
            self.deployment.entry_point,
            EntryPoint::balanceOfCall {
                account: self.address,
            },
        )
        .await
    }

    /// Returns the account's balance, in wei.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.address))]
    pub async fn balance(&self) -> Result<U256, ReadError> {
        let request = self.provider.get_balance(self.address).block_id(self.block);
        Ok(self.requests.send(request).await?)
    }

    /// Returns the time of the block that the account is read at, in unix seconds.
    pub(crate) async fn timestamp(&self) -> Result<u64, ReadError> {
        let request = self.provider.get_block(self.block);
        let block = self.requests.send(request).await?;
        let block = block.ok_or(alloy::transports::RpcError::NullResp)?;
        Ok(block.header.timestamp)
    }

    /// Calls a view function.
    #[tracing::instrument(level = "debug", skip_all, fields(%contract, function = C::SIGNATURE))]
    pub(crate) async fn call<C: SolCall>(&self, contract: Address, call: C) -> Result<C::Return, ReadError> {
        let request = TransactionRequest::default()
            .with_to(contract)
            .with_input(call.abi_encode());
        let request = self.provider.call(request).block(self.block);
        let output = match self.requests.send(request).await {
            Ok(output) => output,
            Err(error) => {
                return Err(match Revert::from_rpc_error(&error) {
                    Some(revert) => ReadError::Reverted {
                        contract,
                        function: C::SIGNATURE,
                        revert: Box::new(revert),
                    },
                    None => error.into(),
                });
            }
        };
        C::abi_decode_returns_validate(&output).map_err(|_| ReadError::UnexpectedAnswer {
            contract,
            function: C::SIGNATURE,
        })
    }
}

const fn require_chain(expected: u64, found: u64) -> Result<(), ReadError> {
    if expected == found {
        Ok(())
    } else {
        Err(ReadError::WrongChain { expected, found })
    }
}
