//! Errors of deployments.

use super::{Contract, KeptError};
use crate::{operation::OverBound, request::RequestError, transaction::INCLUSION_TIMEOUT};
use alloy::primitives::{Address, B256, U256};
use session_key_bindings::DEPLOYMENT_PROXY;

/// A deployment is refused, or has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The node could not be reached, or returned an error.
    #[error("the node could not answer: {0}")]
    Rpc(RequestError),

    /// The node is on another chain than intended.
    #[error("this is chain {actual}, not {expected}")]
    WrongChain {
        /// The intended chain.
        expected: u64,
        /// The node's chain.
        actual: u64,
    },

    /// There is no deployment proxy.
    #[error(
        "chain {chain_id} has no deployment proxy at {DEPLOYMENT_PROXY}: it has to be deployed there first"
    )]
    NoDeploymentProxy {
        /// The chain.
        chain_id: u64,
    },

    /// Other code is at the deployment proxy's address.
    #[error(
        "what chain {chain_id} has at {DEPLOYMENT_PROXY} is not the deployment proxy (code hash {code_hash})"
    )]
    UnknownDeploymentProxy {
        /// The chain.
        chain_id: u64,
        /// `keccak256` of the code found.
        code_hash: B256,
    },

    /// The chain does not support the instructions that the contracts use.
    #[error(
        "chain {chain_id} does not run Cancun's instructions, which the contracts are compiled to: {reason}"
    )]
    ChainBeforeCancun {
        /// The chain.
        chain_id: u64,
        /// The node's error.
        reason: String,
    },

    /// Other code is at a contract's address.
    #[error("{contract} at {address} has code with hash {actual} instead of {expected}")]
    CodeDiffers {
        /// The contract.
        contract: Contract,
        /// Its planned address.
        address: Address,
        /// `keccak256` of the required code.
        expected: B256,
        /// `keccak256` of the code found.
        actual: B256,
    },

    /// The node cannot predict a contract's code: it ignores state overrides of `eth_call`.
    #[error("the node does not simulate the creation of {contract}: use another node, or default salts")]
    SimulationUnsupported {
        /// The contract.
        contract: Contract,
    },

    /// The creation of a contract would fail.
    #[error("{contract} cannot be created: {reason}")]
    CreationFails {
        /// The contract.
        contract: Contract,
        /// The node's error.
        reason: String,
    },

    /// The node suggests fees, or asks for gas, beyond the [bounds](super::Deployer::with_bounds).
    #[error("the deployment costs too much: {0}")]
    OverBound(#[from] OverBound),

    /// The deployer cannot pay for the deployment.
    #[error("{deployer} has {balance} wei, and may need {needed} wei")]
    Underfunded {
        /// The paying account.
        deployer: Address,
        /// Its balance, in wei.
        balance: U256,
        /// The maximum cost of the deployment, in wei.
        needed: U256,
    },

    /// The deployer's pending transactions, which have the next nonces, were not included in time.
    #[error(
        "{} of {deployer}'s transactions were still not included after {} s: nonces {included} to {}",
        known.saturating_sub(*included),
        INCLUSION_TIMEOUT.as_secs(),
        known.saturating_sub(1)
    )]
    TransactionsPending {
        /// The sender.
        deployer: Address,
        /// The number of included transactions.
        included: u64,
        /// The number of transactions known to the node.
        known: u64,
    },

    /// A kept transaction does not belong to this deployment. It was not sent.
    #[error("the kept transaction {transaction} is not of this deployment: {error}")]
    NotOfThisDeployment {
        /// The hash under which it was kept.
        transaction: B256,
        /// The reason.
        error: KeptError,
    },

    /// A transaction was not signed.
    #[error("{contract}: its transaction was not signed: {reason}")]
    NotSigned {
        /// The contract it would create.
        contract: Contract,
        /// The reason.
        reason: String,
    },

    /// A signed transaction could not be kept, and so was not sent.
    #[error("{contract}: transaction {transaction} was not sent, because it could not be kept: {error}")]
    NotKept {
        /// The contract it would create.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// The reason.
        error: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The node refused a transaction. It was kept: [`Deployer::resume`](super::Deployer::resume) sends it
    /// again.
    #[error("{contract}: transaction {transaction} was not accepted: {error}")]
    NotTaken {
        /// The contract it would create.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// The node's error.
        error: RequestError,
    },

    /// A transaction was sent, and no answer confirmed that it was accepted. It may still be included.
    /// Earlier contracts are in place; deploying again continues from there.
    #[error("{contract}: transaction {transaction} may have been sent: {error}")]
    NoAnswer {
        /// The contract it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// The request's error.
        error: RequestError,
    },

    /// Someone else sends transactions of the deployer: they keep using this deployment's nonces.
    #[error(
        "{contract}: other transactions of {deployer} took its nonce {attempts} times: stop sending them"
    )]
    NoncesTaken {
        /// The contract to create.
        contract: Contract,
        /// The sender.
        deployer: Address,
        /// The number of attempts.
        attempts: u32,
    },

    /// A transaction was sent, and the node does not return its outcome. Deploying again continues from
    /// there.
    #[error("{contract}: transaction {transaction} was sent, but its outcome cannot be read: {error}")]
    Unread {
        /// The contract it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// The error of the last request.
        error: RequestError,
    },

    /// A transaction was sent and not seen since. Earlier contracts are in place; deploying again continues
    /// from there.
    #[error("{contract}: transaction {transaction} was not included in {} s", INCLUSION_TIMEOUT.as_secs())]
    NotIncluded {
        /// The contract it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },

    /// A transaction was included, but did not create the contract.
    #[error("{contract}: transaction {transaction} did not create it")]
    Reverted {
        /// The contract it should have created.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },
}

impl DeployError {
    /// Returns a stable code, whose meaning never changes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rpc(_) => "request_failed",
            Self::WrongChain { .. } => "wrong_chain",
            Self::NoDeploymentProxy { .. } => "no_deployment_proxy",
            Self::UnknownDeploymentProxy { .. } => "unknown_deployment_proxy",
            Self::ChainBeforeCancun { .. } => "chain_before_cancun",
            Self::CodeDiffers { .. } => "code_differs",
            Self::SimulationUnsupported { .. } => "simulation_unsupported",
            Self::CreationFails { .. } => "creation_fails",
            Self::OverBound(_) => "over_bound",
            Self::Underfunded { .. } => "underfunded",
            Self::TransactionsPending { .. } => "transactions_pending",
            Self::NotOfThisDeployment { .. } => "not_of_this_deployment",
            Self::NotSigned { .. } => "not_signed",
            Self::NotKept { .. } => "not_kept",
            Self::NotTaken { .. } => "not_taken",
            Self::NoncesTaken { .. } => "nonces_taken",
            Self::NoAnswer { .. } => "no_answer",
            Self::Unread { .. } => "unread",
            Self::NotIncluded { .. } => "not_included",
            Self::Reverted { .. } => "reverted",
        }
    }

    /// Returns the transaction that the error is about, once one was signed.
    pub const fn transaction(&self) -> Option<B256> {
        match self {
            Self::NotOfThisDeployment { transaction, .. }
            | Self::NotKept { transaction, .. }
            | Self::NotTaken { transaction, .. }
            | Self::NoAnswer { transaction, .. }
            | Self::Unread { transaction, .. }
            | Self::NotIncluded { transaction, .. }
            | Self::Reverted { transaction, .. } => Some(*transaction),
            _ => None,
        }
    }

    /// Whether a transaction was sent, or may have been, and its outcome is unknown.
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::NoAnswer { .. } | Self::Unread { .. } | Self::NotIncluded { .. }
        )
    }
}

impl From<RequestError> for DeployError {
    fn from(error: RequestError) -> Self {
        Self::Rpc(error)
    }
}
