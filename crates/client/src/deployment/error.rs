//! Why a deployment is refused or has failed.

use super::{Contract, KeptError};
use crate::{operation::OverBound, request::RequestError, transaction::INCLUSION_TIMEOUT};
use alloy::primitives::{Address, B256, U256};
use session_key_bindings::DEPLOYMENT_PROXY;

/// A deployment is refused or has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The node could not be asked, or refused.
    #[error("the node could not answer: {0}")]
    Rpc(RequestError),

    /// The node is of another chain than meant.
    #[error("this is chain {actual}, not {expected}")]
    WrongChain {
        /// The chain that was meant.
        expected: u64,
        /// The chain that answers.
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

    /// Something else is where the deployment proxy should be.
    #[error(
        "what chain {chain_id} has at {DEPLOYMENT_PROXY} is not the deployment proxy (code hash {code_hash})"
    )]
    UnknownDeploymentProxy {
        /// The chain.
        chain_id: u64,
        /// `keccak256` of what is there.
        code_hash: B256,
    },

    /// The chain cannot run the contracts.
    #[error(
        "chain {chain_id} does not run Cancun's instructions, which the contracts are compiled to: {reason}"
    )]
    ChainBeforeCancun {
        /// The chain.
        chain_id: u64,
        /// What the node said.
        reason: String,
    },

    /// A contract is there, but it is another one.
    #[error("{contract} at {address} has code with hash {actual} instead of {expected}")]
    CodeDiffers {
        /// The contract.
        contract: Contract,
        /// Where it belongs.
        address: Address,
        /// `keccak256` of the code that it must have.
        expected: B256,
        /// `keccak256` of the code that is there.
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
        /// What the node said.
        reason: String,
    },

    /// The node suggests fees, or asks for gas, beyond the [bounds](super::Deployer::with_bounds).
    #[error("the deployment costs too much: {0}")]
    OverBound(#[from] OverBound),

    /// The deployer cannot pay for it.
    #[error("{deployer} has {balance} wei, and may need {needed} wei")]
    Underfunded {
        /// Who should pay.
        deployer: Address,
        /// What it has, in wei.
        balance: U256,
        /// What the deployment takes at most, in wei.
        needed: U256,
    },

    /// Transactions of the deployer wait to be included, and did not stop waiting. Theirs are the next nonces.
    #[error(
        "{} of {deployer}'s transactions were still not included after {} s: nonces {included} to {}",
        known.saturating_sub(*included),
        INCLUSION_TIMEOUT.as_secs(),
        known.saturating_sub(1)
    )]
    TransactionsPending {
        /// Whose transactions.
        deployer: Address,
        /// How many are included.
        included: u64,
        /// How many the node knows of.
        known: u64,
    },

    /// A kept transaction is not one of this deployment. It was not sent.
    #[error("the kept transaction {transaction} is not of this deployment: {error}")]
    NotOfThisDeployment {
        /// The hash that it was kept under.
        transaction: B256,
        /// Why.
        error: KeptError,
    },

    /// A transaction was not signed.
    #[error("{contract}: its transaction was not signed: {reason}")]
    NotSigned {
        /// What it would create.
        contract: Contract,
        /// Why.
        reason: String,
    },

    /// A signed transaction could not be kept, and so was not sent.
    #[error("{contract}: transaction {transaction} was not sent, because it could not be kept: {error}")]
    NotKept {
        /// What it would create.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// Why.
        error: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The node does not take a transaction. It was kept: [`Deployer::resume`](super::Deployer::resume) sends it again.
    #[error("{contract}: transaction {transaction} was not taken: {error}")]
    NotTaken {
        /// What it would create.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// What the node said.
        error: RequestError,
    },

    /// A transaction was handed over, and no answer said that it was accepted. It may still be included. What came before it is in place;
    /// deploying again goes on from there.
    #[error("{contract}: transaction {transaction} may have been sent: {error}")]
    NoAnswer {
        /// What it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// How the request ended.
        error: RequestError,
    },

    /// Somebody else sends transactions of the deployer: the nonces of this deployment's are used by others again and again.
    #[error(
        "{contract}: other transactions of {deployer} took its nonce {attempts} times: stop sending them"
    )]
    NoncesTaken {
        /// What was to be created.
        contract: Contract,
        /// Whose transactions.
        deployer: Address,
        /// How often it was tried.
        attempts: u32,
    },

    /// A transaction was sent, and the node does not report its outcome. Deploying again goes on from there.
    #[error("{contract}: transaction {transaction} was sent, but what became of it cannot be read: {error}")]
    Unread {
        /// What it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
        /// How the last question ended.
        error: RequestError,
    },

    /// A transaction was sent and not seen since. What came before it is in place; deploying again goes on from there.
    #[error("{contract}: transaction {transaction} was not included in {} s", INCLUSION_TIMEOUT.as_secs())]
    NotIncluded {
        /// What it creates.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },

    /// A transaction was included and did not create the contract.
    #[error("{contract}: transaction {transaction} did not create it")]
    Reverted {
        /// What it should have created.
        contract: Contract,
        /// Its hash.
        transaction: B256,
    },
}

impl DeployError {
    /// A stable code: it never changes its meaning.
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

    /// The transaction that the error is about, once one was signed.
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

    /// Whether a transaction was sent, or may have been, and what became of it is not known.
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
