//! What can go wrong when an account is read, connected to or computed.

use crate::{calldata::OwnersError, delegation::AuthorizationError, request::RequestError, revert::Revert};
use alloy::{primitives::Address, transports::TransportError};

/// Reading from the chain failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The node could not be asked, or refused.
    #[error("the node could not answer")]
    Rpc(#[from] RequestError),

    /// The node is of another chain than the account.
    #[error("the node is of chain {found}, not of chain {expected}")]
    WrongChain {
        /// The account's chain.
        expected: u64,
        /// The chain that the node says it is of.
        found: u64,
    },

    /// The contract refused the call.
    #[error("{contract} refused {function}: {revert}")]
    Reverted {
        /// The contract called.
        contract: Address,
        /// Signature of the function called.
        function: &'static str,
        /// What it said.
        revert: Box<Revert>,
    },

    /// The contract answered something else than its ABI says; there may be no contract, or another one.
    #[error("{contract} did not answer {function} as expected; is this the right address and chain?")]
    UnexpectedAnswer {
        /// The contract called.
        contract: Address,
        /// Signature of the function called.
        function: &'static str,
    },

    /// The account's session keys are kept by another plugin than the one asked, whose answer about a key means nothing.
    #[error("session keys of {account} are kept by plugin {found}, not by {expected}: connect again")]
    OtherSessionKeyPlugin {
        /// The account.
        account: Address,
        /// The plugin in the account's [`Deployment`](crate::Deployment).
        expected: Address,
        /// The plugin that the account has.
        found: Address,
    },
}

impl ReadError {
    /// Whether asking again may help.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Rpc(error) if error.is_transient())
    }
}

// The errors of transports are not kept: they print URLs, and URLs hold API keys.
impl From<TransportError> for ReadError {
    fn from(error: TransportError) -> Self {
        RequestError::from(&error).into()
    }
}

/// An account cannot be connected to, or its address cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Reading from the chain failed, or the node is of another chain.
    #[error(transparent)]
    Read(#[from] ReadError),

    /// There is no account at the address.
    #[error("there is no account at {address} on chain {chain_id}")]
    NotDeployed {
        /// The address.
        address: Address,
        /// The chain.
        chain_id: u64,
    },

    /// The contract at the address is not an account of ERC-6900 v0.7 or v0.8.
    #[error("{address} is not an account of ERC-6900 v0.7 or v0.8: it does not answer {function}")]
    NotModularAccount {
        /// The address.
        address: Address,
        /// Signature of the function that it does not answer as such an account does.
        function: &'static str,
    },

    /// The account works with another EntryPoint.
    #[error("{account} works with EntryPoint {found}, not with {expected}")]
    OtherEntryPoint {
        /// The account.
        account: Address,
        /// EntryPoint v0.6 (v0.7 of a v0.8 account), or the one that was [given](super::ConnectOptions::entry_point).
        expected: Address,
        /// The account's EntryPoint.
        found: Address,
    },

    /// One plugin executes `executeWithSessionKey`, and another one decides who may call it.
    #[error(
        "executeWithSessionKey of {account} is executed by plugin {executes}, but validated by {validates}"
    )]
    OtherValidator {
        /// The account.
        account: Address,
        /// The plugin that executes it.
        executes: Address,
        /// The plugin that validates user operations that call it. Zero: none does.
        validates: Address,
    },

    /// What the node said of the account does not fit together. It may be several nodes that are at different blocks.
    #[error("{account} uses plugin {plugin}, which is not among its installed plugins: try again")]
    Inconsistent {
        /// The account.
        account: Address,
        /// The plugin.
        plugin: Address,
    },

    /// The account has no session key plugin, and none that it could install is known on the chain.
    #[error("{account} has no session key plugin, and none is known on chain {chain_id}: give a deployment")]
    UnknownDeployment {
        /// The account.
        account: Address,
        /// The chain.
        chain_id: u64,
    },

    /// The externally owned account cannot delegate, or delegates to another contract already.
    #[error(transparent)]
    Delegation(#[from] AuthorizationError),

    /// There is no contract at the address that an externally owned account is to delegate to.
    #[error("there is no contract at {delegate} on chain {chain_id} to delegate to")]
    NoDelegate {
        /// The address.
        delegate: Address,
        /// The chain.
        chain_id: u64,
    },

    /// The factory makes no account for these owners.
    #[error(transparent)]
    Owners(#[from] OwnersError),

    /// The node says that the factory makes the account at another address than the one computed. Either the node lies, or
    /// the contract at the factory's address is not the one of the deployment. Nothing should be sent to either address.
    #[error("the account is at {computed}, but the node says that factory {factory} makes it at {answered}")]
    AddressMismatch {
        /// The factory.
        factory: Address,
        /// The address computed from the deployment's data.
        computed: Address,
        /// The address that the node answered.
        answered: Address,
    },
}
