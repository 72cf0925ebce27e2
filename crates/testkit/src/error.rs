//! Errors of the chain.

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
        /// The revert data.
        output: Bytes,
    },
    /// The call halted exceptionally (out of gas, invalid opcode), which uses up all of its gas.
    #[error("execution halted: {0}")]
    Halted(HaltReason),
    /// The call needs more gas than it may use.
    #[error("gas required exceeds allowance ({allowance})")]
    GasAllowanceExceeded {
        /// In gas units: the call's gas limit, what the sender can pay for, or the block's gas limit.
        allowance: u64,
    },
    /// The transaction breaks a rule and cannot be included.
    #[error("transaction refused: {0}")]
    Refused(InvalidTransaction),
    /// The sender cannot pay for the transaction's value and gas.
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
    /// The transaction is already in the pool.
    #[error("already known: {0}")]
    AlreadyKnown(B256),
    /// The nonce was used by another transaction of the sender.
    #[error("nonce too low: next nonce {next}, tx nonce {transaction}")]
    NonceTooLow {
        /// The transaction's nonce.
        transaction: u64,
        /// The sender's next nonce.
        next: u64,
    },
    /// The pool holds a transaction with the same nonce, and the new one does not raise both fees by 10%.
    #[error("replacement transaction underpriced: {pooled} is in the pool")]
    ReplacementUnderpriced {
        /// Hash of the transaction in the pool.
        pooled: B256,
    },
    /// The sender cannot pay for the transaction in addition to its pending ones.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {pooled}, tx cost {cost}, \
         overshot {}",
        pooled.saturating_add(*cost).saturating_sub(*balance)
    )]
    Unaffordable {
        /// In wei.
        balance: U256,
        /// The maximum cost of the sender's other pending transactions, in wei. Zero if the sender cannot pay
        /// for this transaction alone.
        pooled: U256,
        /// The maximum cost of the transaction, in wei.
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
    /// The snapshot does not exist, or it or an earlier one was already reverted to.
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
    /// The bytes are not a signed transaction of a known type.
    #[error("failed to decode signed transaction: {0}")]
    UndecodableTransaction(String),
    /// No sender can be recovered from the transaction's signature.
    #[error("invalid transaction signature")]
    InvalidSignature,
    /// Blobs are not supported.
    #[error("blob transactions (EIP-4844) are not supported by the simulated chain")]
    BlobsNotSupported,
    /// The request's fields contradict each other.
    #[error("invalid transaction request: {0}")]
    InvalidRequest(String),
    /// This is neither a development account nor impersonated.
    #[error("no signer available for {0}: impersonate it, or send a signed transaction")]
    NoSigner(Address),
    /// The transaction skipped an account's authorization to delegate (EIP-7702).
    #[error("the delegation of {0} was skipped: it has the code of a contract, or has used the nonce")]
    DelegationSkipped(Address),
    /// The code is not valid for an account.
    #[error("invalid code: {0}")]
    InvalidCode(String),
    /// The return data does not match the interface.
    #[error("return data of {signature} does not decode: {reason} ({} bytes)", output.len())]
    InvalidReturnData {
        /// The function.
        signature: &'static str,
        /// The problem.
        reason: String,
        /// The return data.
        output: Bytes,
    },
    /// The source of a forked chain did not return the state; see [`StateSource`](crate::StateSource).
    #[error("cannot fetch {what}: {reason}")]
    Source {
        /// The data requested.
        what: String,
        /// The reason.
        reason: String,
    },
    /// The EVM failed for a reason that no transaction should cause.
    #[error("evm failure: {0}")]
    Evm(String),
}

impl ChainError {
    /// Returns the revert data, if the call reverted.
    #[must_use]
    pub const fn revert_data(&self) -> Option<&Bytes> {
        match self {
            Self::Reverted { output } => Some(output),
            _ => None,
        }
    }
}

/// Decodes the text of an `Error(string)` or a `Panic(uint256)`.
pub(crate) fn reason(output: &[u8]) -> Option<String> {
    match GenericContractError::abi_decode(output).ok()? {
        GenericContractError::Revert(revert) => Some(revert.reason),
        error => Some(error.to_string()),
    }
}
