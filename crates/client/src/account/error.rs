//! Errors of reading, connecting to and computing accounts.

use crate::{calldata::OwnersError, request::RequestError, revert::Revert};
use alloy::{primitives::Address, transports::TransportError};

/// Reading from the chain failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The node could not be reached, or returned an error.
    #[error("the node could not answer")]
    Rpc(#[from] RequestError),

    /// The node is on another chain than the account.
    #[error("the node is on chain {found}, not on chain {expected}")]
    WrongChain {
        /// The account's chain.
        expected: u64,
        /// The node's chain.
        found: u64,
    },

    /// The contract refused the call.
    #[error("{contract} refused {function}: {revert}")]
    Reverted {
        /// The contract called.
        contract: Address,
        /// Signature of the function called.
        function: &'static str,
        /// The decoded revert.
        revert: Box<Revert>,
    },

    /// The answer does not match the ABI; there may be no contract, or another one.
    #[error("{contract} did not answer {function} as expected; is this the right address and chain?")]
    UnexpectedAnswer {
        /// The contract called.
        contract: Address,
        /// Signature of the function called.
        function: &'static str,
    },

    /// Another plugin than the one asked stores the account's session keys, so its answer about a key is
    /// meaningless.
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

// Transport errors are dropped: they contain URLs, which may hold API keys.
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

    /// The contract at the address is not an ERC-6900 v0.7 or v0.8 account.
    #[error("{address} is not an account of ERC-6900 v0.7 or v0.8: it does not answer {function}")]
    NotModularAccount {
        /// The address.
        address: Address,
        /// The signature of the function that it does not answer like one.
        function: &'static str,
    },

    /// The account uses another EntryPoint.
    #[error("{account} works with EntryPoint {found}, not with {expected}")]
    OtherEntryPoint {
        /// The account.
        account: Address,
        /// EntryPoint v0.6 (v0.7 for a v0.8 account), or the one [given](super::ConnectOptions::entry_point).
        expected: Address,
        /// The account's EntryPoint.
        found: Address,
    },

    /// One plugin executes `executeWithSessionKey`, and another one validates it.
    #[error(
        "executeWithSessionKey of {account} is executed by plugin {executes}, but validated by {validates}"
    )]
    OtherValidator {
        /// The account.
        account: Address,
        /// The plugin that executes it.
        executes: Address,
        /// The plugin that validates user operations calling it; zero if none does.
        validates: Address,
    },

    /// The node's answers are inconsistent. They may come from several nodes at different blocks.
    #[error("{account} uses plugin {plugin}, which is not among its installed plugins: try again")]
    Inconsistent {
        /// The account.
        account: Address,
        /// The plugin.
        plugin: Address,
    },

    /// The account has no session key plugin, and no plugin to install is known on the chain.
    #[error("{account} has no session key plugin, and none is known on chain {chain_id}: give a deployment")]
    UnknownDeployment {
        /// The account.
        account: Address,
        /// The chain.
        chain_id: u64,
    },

    /// The factory does not create accounts for these owners.
    #[error(transparent)]
    Owners(#[from] OwnersError),

    /// The node returns another address for the factory's account than the computed one. Either the node
    /// lies, or the contract at the factory's address is not the deployment's. Send nothing to either
    /// address.
    #[error("the account is at {computed}, but the node says that factory {factory} makes it at {answered}")]
    AddressMismatch {
        /// The factory.
        factory: Address,
        /// The address computed from the deployment's data.
        computed: Address,
        /// The address returned by the node.
        answered: Address,
    },
}
