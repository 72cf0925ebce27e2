//! The account: where it is, and everything that can be read of it.

mod erc6492;
mod views;

pub use views::{AccessListEntry, ExecutionFunctionConfig};

use crate::{
    abi::{EntryPoint, Factory},
    calldata,
    deployment::Deployment,
    revert::Revert,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256, aliases::U192},
    providers::{DynProvider, Provider},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
    transports::TransportError,
};

/// Reading from the chain failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The node could not be asked, or refused.
    #[error("the node could not answer")]
    Rpc(#[from] TransportError),

    /// The contract refused the call.
    #[error("{contract} refused the call: {revert}")]
    Reverted {
        /// The contract called.
        contract: Address,
        /// What it said.
        revert: Revert,
    },

    /// The contract answered something else than its ABI says; there may be no contract, or another one.
    #[error("{contract} did not answer {function} as expected; is this the right address and chain?")]
    UnexpectedAnswer {
        /// The contract called.
        contract: Address,
        /// Signature of the function called.
        function: &'static str,
    },

    /// No deployment is known on the chain.
    #[error("no deployment is known on chain {0}; give the addresses")]
    UnknownDeployment(u64),
}

/// A smart account: an address on a chain, and the contracts that belong to it. Cheap to clone.
///
/// Whatever is read of it fails with a [`ReadError`]: the node did not answer, or the contract refused, or it answered what its
/// ABI does not say.
#[derive(Clone, Debug)]
pub struct SmartAccount {
    provider: DynProvider,
    chain_id: u64,
    address: Address,
    deployment: Deployment,
    init_code: Bytes,
    block: BlockId,
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
            deployment,
            init_code: Bytes::new(),
            block: BlockId::latest(),
        }
    }

    /// An account that exists, on a chain with a known deployment.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %address))]
    pub async fn connect(provider: impl Provider + 'static, address: Address) -> Result<Self, ReadError> {
        let chain_id = provider.get_chain_id().await?;
        let deployment = Deployment::on_chain(chain_id).ok_or(ReadError::UnknownDeployment(chain_id))?;
        Ok(Self::new(provider, chain_id, address, deployment))
    }

    /// The account that the factory makes, or has made, for these owners and this salt. If it does not exist yet, its first
    /// operation creates it.
    #[tracing::instrument(level = "debug", skip_all, fields(factory = %deployment.factory))]
    pub async fn from_factory(
        provider: impl Provider + 'static,
        deployment: Deployment,
        owners: impl IntoIterator<Item = Address>,
        salt: U256,
    ) -> Result<Self, ReadError> {
        let owners = calldata::factory_owners(owners);
        let chain_id = provider.get_chain_id().await?;
        let mut account = Self::new(provider, chain_id, Address::ZERO, deployment);
        let get_address = Factory::getAddressCall {
            salt,
            owners: owners.clone(),
        };
        account.address = account.call(deployment.factory, get_address).await?;
        account.init_code = calldata::init_code(deployment.factory, salt, &owners);
        Ok(account)
    }

    /// The same account as it was at a block: every view reads there.
    #[must_use]
    pub fn at(mut self, block: impl Into<BlockId>) -> Self {
        self.block = block.into();
        self
    }

    /// The account's address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The chain's id.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The contracts that belong to the account.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What it is reached by.
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Whether the account has code.
    #[tracing::instrument(level = "debug", skip_all, fields(account = %self.address))]
    pub async fn is_deployed(&self) -> Result<bool, ReadError> {
        Ok(!self
            .provider
            .get_code_at(self.address)
            .block_id(self.block)
            .await?
            .is_empty())
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
        Ok(self
            .provider
            .get_balance(self.address)
            .block_id(self.block)
            .await?)
    }

    /// Calls a view function.
    #[tracing::instrument(level = "debug", skip_all, fields(%contract, function = C::SIGNATURE))]
    pub(crate) async fn call<C: SolCall>(&self, contract: Address, call: C) -> Result<C::Return, ReadError> {
        let request = TransactionRequest::default()
            .with_to(contract)
            .with_input(call.abi_encode());
        let output = match self.provider.call(request).block(self.block).await {
            Ok(output) => output,
            Err(error) => {
                return Err(match Revert::from_rpc_error(&error) {
                    Some(revert) => ReadError::Reverted { contract, revert },
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
