//! The account: where it is, and everything that can be read of it.

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

/// A smart account: an address on a chain, and the contracts that belong to it. Cheap to clone.
///
/// Whatever is read of it fails with a [`ReadError`]: the node did not answer, or the contract refused, or it answered what its
/// ABI does not say. All views of an account and its clones together have at most [`MAX_REQUESTS_IN_FLIGHT`] requests in
/// flight.
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
    /// What an externally owned account delegates to (EIP-7702), or shall delegate to from its first operation on.
    delegate: Option<Address>,
    block: BlockId,
    requests: Requests,
    desk: Arc<Desk>,
}

impl SmartAccount {
    /// An account that exists, from what is known already. Asks the chain nothing.
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
            delegate: None,
            block: BlockId::latest(),
            requests: Requests::default(),
            desk: Arc::default(),
        }
    }

    /// The account that the factory makes, or has made, for these owners and this salt. If it does not exist yet, its first
    /// operation creates it. Owners may be in any order; see [`calldata::factory_owners`].
    ///
    /// The address is computed from the deployment's [`account_init_code_hash`](Deployment::account_init_code_hash), and the
    /// node must agree: otherwise the error is [`ConnectError::AddressMismatch`]. Where that hash is not known, the node's
    /// answer is taken, and [`address_is_verified`](Self::address_is_verified) is false. **Do not fund such an address**
    /// before the account exists: a node that lies chooses who gets what is sent there.
    ///
    /// The chain is the one that the node says it is of; [`from_factory_on`](Self::from_factory_on) pins it.
    pub async fn from_factory(
        provider: impl Provider + 'static,
        deployment: Deployment,
        owners: impl IntoIterator<Item = Address>,
        salt: U256,
    ) -> Result<Self, ConnectError> {
        Self::made_by_factory(None, provider.erased(), deployment, owners, salt).await
    }

    /// [`from_factory`](Self::from_factory) on this chain. A node of another chain is an error,
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

    /// The same account as it was at a block: every view reads there.
    #[must_use]
    pub fn at(mut self, block: impl Into<BlockId>) -> Self {
        self.block = block.into();
        self
    }

    /// Keeps what is asked for in this journal, instead of in memory. Clients of this handle and its clones share it, and take turns
    /// in each nonce lane.
    #[must_use]
    pub fn with_journal(self, journal: impl Journal + 'static) -> Self {
        self.with_desk(Arc::new(Desk::new(journal)))
    }

    /// The same with a desk that other accounts use, too: one journal for all of them.
    #[must_use]
    pub fn with_desk(mut self, desk: Arc<Desk>) -> Self {
        self.desk = desk;
        self
    }

    /// Where clients of this handle keep what is asked for.
    pub const fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// The `initCode` that creates the account, whether it exists or not; empty if it is not known.
    pub(crate) const fn creation_code(&self) -> &Bytes {
        &self.init_code
    }

    /// What an externally owned account shall delegate to (EIP-7702) from its first operation on, if it does not yet: of an account
    /// that was made by [`from_eoa`](Self::from_eoa).
    pub const fn delegate(&self) -> Option<Address> {
        self.delegate
    }

    /// The account's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Whether the address was given by the caller or computed here. False: a node's answer was taken for it, by
    /// [`from_factory`](Self::from_factory) with a deployment whose init code hash is not known. Nothing should be sent to
    /// such an address before the account exists.
    pub const fn address_is_verified(&self) -> bool {
        self.address_is_verified
    }

    /// The chain's id. It never changes; [`check_chain`](Self::check_chain) compares it with what the node says.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The contracts that belong to the account.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The account's generation, and what selects its validations.
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// What [`connect`](Self::connect) found the account to have. `None` for an account that was not connected to.
    pub fn connected(&self) -> Option<&Connected> {
        self.connected.as_deref()
    }

    /// The provider.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Asks the node which chain it is of. Another one than the account's is the error [`ReadError::WrongChain`]: an RPC URL
    /// may lead to another node, of another chain, at any time.
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

    /// The `initCode` for the account's next operation: empty once it exists.
    pub async fn init_code(&self) -> Result<Bytes, ReadError> {
        if self.init_code.is_empty() || self.is_deployed().await? {
            return Ok(Bytes::new());
        }
        Ok(self.init_code.clone())
    }

    /// The next nonce in a lane.
    pub async fn nonce(&self, nonce_key: U192) -> Result<U256, ReadError> {
        let get_nonce = EntryPoint::getNonceCall {
            sender: self.address,
            key: nonce_key,
        };
        self.call(self.deployment.entry_point, get_nonce).await
    }

    /// What the account has deposited at the EntryPoint for its operations, in wei.
    pub async fn deposit(&self) -> Result<U256, ReadError> {
        self.call(
            self.deployment.entry_point,
            EntryPoint::balanceOfCall {
                account: self.address,
            },
        )
        .await
    }

    /// What the account holds, in wei.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.address))]
    pub async fn balance(&self) -> Result<U256, ReadError> {
        let request = self.provider.get_balance(self.address).block_id(self.block);
        Ok(self.requests.send(request).await?)
    }

    /// The time of the block that the account is read at, unix seconds.
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
