use super::Refusal;
use crate::{
    abi::EntryPoint,
    revert::{Revert, user_operation_revert_reason},
};
use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::{Log, TransactionReceipt},
    sol_types::SolEvent,
};

/// An operation that was included in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The operation's hash.
    pub user_op_hash: B256,
    /// The account.
    pub sender: Address,
    /// The operation's nonce.
    pub nonce: U256,
    /// Who paid, if not the account.
    pub paymaster: Option<Address>,
    /// What it cost, in wei.
    pub actual_gas_cost: U256,
    /// Gas units used, `preVerificationGas` included.
    pub actual_gas_used: U256,
    /// The transaction that included it.
    pub transaction_hash: B256,
    /// The block that included it.
    pub block_number: u64,
    /// Events that the operation's execution emitted.
    pub logs: Vec<Log>,
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was executed.
    Success(Receipt),
    /// It was included and paid for, but its call reverted: nothing of it happened.
    Reverted {
        /// The receipt.
        receipt: Receipt,
        /// Why. [`Revert::Unknown`] without bytes if the call ran out of gas or gave no reason.
        reason: Revert,
    },
    /// The transaction that carried it reverted as a whole, and no other carried it: nothing of it happened. Unless another
    /// operation has used its nonce since, it can still be included if it is sent again.
    ///
    /// Only an [`EntryPointSubmitter`](super::EntryPointSubmitter) says this, of transactions of its own. A bundler says nothing
    /// of an operation that it gave up: waiting for that one ends in [`SubmitError::Timeout`](super::SubmitError::Timeout).
    Dropped {
        /// The transaction.
        transaction_hash: B256,
        /// Why: what the EntryPoint says of the same bundle after the transaction's block. `None` if it would take it there,
        /// or the node could not say.
        reason: Option<Refusal>,
    },
}

impl Outcome {
    /// The receipt, if the operation was included.
    pub const fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Success(receipt) | Self::Reverted { receipt, .. } => Some(receipt),
            Self::Dropped { .. } => None,
        }
    }

    /// Whether the operation was executed.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success(_))
    }

    /// Finds an operation in the receipt of the transaction that carried it. `None`: it is not in there.
    pub fn from_transaction(
        transaction: &TransactionReceipt,
        entry_point: Address,
        user_op_hash: B256,
    ) -> Option<Self> {
        let logs = transaction.logs();
        let event_at = |log: &Log| {
            (log.address() == entry_point)
                .then(|| EntryPoint::UserOperationEvent::decode_log(&log.inner).ok())
                .flatten()
        };
        let (position, event) = logs.iter().enumerate().find_map(|(position, log)| {
            Some((position, event_at(log)?)).filter(|(_, e)| e.userOpHash == user_op_hash)
        })?;
        // Events of its execution stand between the mark before it and its own.
        let start = logs[..position]
            .iter()
            .rposition(|log| {
                log.address() == entry_point
                    && matches!(log.topic0(), Some(&EntryPoint::BeforeExecution::SIGNATURE_HASH))
                    || event_at(log).is_some()
            })
            .map_or(0, |mark| mark + 1);
        let receipt = Receipt {
            user_op_hash,
            sender: event.sender,
            nonce: event.nonce,
            paymaster: (!event.paymaster.is_zero()).then_some(event.paymaster),
            actual_gas_cost: event.actualGasCost,
            actual_gas_used: event.actualGasUsed,
            transaction_hash: transaction.transaction_hash,
            block_number: transaction.block_number.unwrap_or_default(),
            logs: logs[start..position].to_vec(),
        };
        Some(if event.success {
            Self::Success(receipt)
        } else {
            let logs = receipt.logs.iter().map(|log| &log.inner);
            let reason = user_operation_revert_reason(logs, entry_point, user_op_hash)
                .unwrap_or_else(|| Revert::Unknown(Default::default()));
            Self::Reverted { receipt, reason }
        })
    }
}
