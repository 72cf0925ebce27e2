//! What can go wrong on the chain.

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, U256},
    sol_types::{GenericContractError, SolInterface},
};
use revm::context::result::{HaltReason, InvalidTransaction};

/// Why the chain refused a request, or how a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The call reverted; `output` is the revert data.
    #[error("execution reverted{}", reason(.output).map(|reason| format!(": {reason}")).unwrap_or_default())]
    Reverted {
        /// The revert data, as the contract gave it.
        output: Bytes,
    },
    /// The call came to an exceptional halt (out of gas, invalid opcode), which uses up all of its gas.
    #[error("execution halted: {0}")]
    Halted(HaltReason),
    /// The call needs more gas than it may use.
    #[error("gas required exceeds allowance ({allowance})")]
    GasAllowanceExceeded {
        /// Gas units: the call's gas limit, or what the sender can pay for, or the block's gas limit.
        allowance: u64,
    },
    /// The transaction breaks a rule that makes it impossible to include.
    #[error("transaction refused: {0}")]
    Refused(InvalidTransaction),
    /// The sender cannot pay for the value and the gas that the transaction asks for.
    #[error("insufficient funds for gas * price + value: {address} has {balance} wei, needs {needed}")]
    InsufficientFunds {
        /// The sender.
        address: Address,
        /// In wei.
        balance: U256,
        /// In wei.
        needed: U256,
    },
    /// A final block cannot be undone.
    #[error("cannot undo {depth} blocks: all but the last {deepest} are final")]
    BeyondFinality {
        /// Blocks to undo.
        depth: u64,
        /// Blocks that can be undone.
        deepest: u64,
    },
    /// The pool holds this very transaction.
    #[error("already known: {0}")]
    AlreadyKnown(B256),
    /// Another transaction of the sender has used the nonce.
    #[error("nonce too low: next nonce {next}, tx nonce {transaction}")]
    NonceTooLow {
        /// The transaction's nonce.
        transaction: u64,
        /// The sender's next nonce.
        next: u64,
    },
    /// The pool holds a transaction with the same nonce, and at least one of the new one's two fees is not a tenth higher.
    #[error("replacement transaction underpriced: {pooled} is in the pool")]
    ReplacementUnderpriced {
        /// Hash of the transaction in the pool.
        pooled: B256,
    },
    /// The sender cannot pay for the transaction on top of what it has in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {pooled}, tx cost {cost}, \
         overshot {}",
        pooled.saturating_add(*cost).saturating_sub(*balance)
    )]
    Unaffordable {
        /// In wei.
        balance: U256,
        /// The most that the sender's other transactions in the pool can cost, in wei. Zero if it cannot even pay for this
        /// one alone.
        pooled: U256,
        /// The most that the transaction can cost, in wei.
        cost: U256,
    },
    /// There is no such block.
    #[error("there is no block {asked}: the latest is {latest}")]
    UnknownBlock {
        /// Number, tag or hash.
        asked: BlockId,
        /// Number of the latest block.
        latest: u64,
    },
    /// There is no such transaction.
    #[error("there is no transaction {0}")]
    UnknownTransaction(B256),
    /// There is no such snapshot, or it was reverted to already, or one before it was.
    #[error("unknown snapshot {0:#x}")]
    UnknownSnapshot(u64),
    /// Time only moves forward.
    #[error("timestamp {asked} is not after that of the latest block, {latest}")]
    TimestampNotIncreasing {
        /// Unix seconds.
        asked: u64,
        /// Unix seconds.
        latest: u64,
    },
    /// The bytes are no signed transaction of a known type.
    #[error("failed to decode signed transaction: {0}")]
    UndecodableTransaction(String),
    /// No sender can be recovered from the transaction's signature.
    #[error("invalid transaction signature")]
    InvalidSignature,
    /// Blobs have no meaning on this chain.
    #[error("blob transactions (EIP-4844) are not supported by the simulated chain")]
    BlobsNotSupported,
    /// The fields of a request contradict each other.
    #[error("invalid transaction request: {0}")]
    InvalidRequest(String),
    /// This is neither a development account nor impersonated.
    #[error("no signer available for {0}: impersonate it, or send a signed transaction")]
    NoSigner(Address),
    /// The transaction passed over an account's authorization to delegate (EIP-7702).
    #[error("the delegation of {0} was skipped: it has the code of a contract, or has used the nonce")]
    DelegationSkipped(Address),
    /// The code cannot be an account's code.
    #[error("invalid code: {0}")]
    InvalidCode(String),
    /// A contract returned what its interface does not say.
    #[error("return data of {signature} does not decode: {reason} ({} bytes)", output.len())]
    InvalidReturnData {
        /// The function.
        signature: &'static str,
        /// What is wrong.
        reason: String,
        /// The return data.
        output: Bytes,
    },
    /// The source of a forked chain cannot say what the state is; see [`StateSource`](crate::StateSource).
    #[error("cannot fetch {what}: {reason}")]
    Source {
        /// What was asked for.
        what: String,
        /// Why there is no answer.
        reason: String,
    },
    /// The EVM gave up for a reason that no transaction should be able to cause.
    #[error("evm failure: {0}")]
    Evm(String),
}

impl ChainError {
    /// The revert data, if the call reverted.
    #[must_use]
    pub const fn revert_data(&self) -> Option<&Bytes> {
        match self {
            Self::Reverted { output } => Some(output),
            _ => None,
        }
    }
}

/// Text of an `Error(string)` or a `Panic(uint256)`.
pub(crate) fn reason(output: &[u8]) -> Option<String> {
    match GenericContractError::abi_decode(output).ok()? {
        GenericContractError::Revert(revert) => Some(revert.reason),
        error => Some(error.to_string()),
    }
}
