//! Finds an operation in the receipt of the transaction that included it.

use crate::{
    abi::EntryPoint,
    node::TransactionReceipt,
    revert::{Revert, user_operation_revert_reason},
};
use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Log,
    sol_types::SolEvent,
};
use serde::{Deserialize, Serialize};

/// An operation included in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The operation's hash.
    pub user_op_hash: B256,
    /// The account.
    pub sender: Address,
    /// The operation's nonce.
    pub nonce: U256,
    /// The paymaster, if the account did not pay.
    pub paymaster: Option<Address>,
    /// Its cost, in wei.
    pub actual_gas_cost: U256,
    /// Gas units used, `preVerificationGas` included.
    pub actual_gas_used: U256,
    /// The transaction that included it.
    pub transaction_hash: B256,
    /// The number of the block that included it.
    pub block_number: u64,
    /// The hash of that block.
    pub block_hash: B256,
    /// Events emitted by the operation's execution.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// Finds an account's operation in the receipt of the transaction that included it, with whether its
    /// calls took effect and, if not, the reason ([`Revert::Unknown`] without bytes if there was none).
    /// `None`: it is not in the receipt.
    pub fn find(
        transaction: &TransactionReceipt,
        entry_point: Address,
        user_op_hash: B256,
        sender: Address,
    ) -> Option<(Self, bool, Option<Revert>)> {
        let logs = &transaction.logs;
        let event_at = |log: &Log| {
            (log.address() == entry_point)
                .then(|| EntryPoint::UserOperationEvent::decode_log(&log.inner).ok())
                .flatten()
        };
        let (position, event) = logs.iter().enumerate().find_map(|(position, log)| {
            Some((position, event_at(log)?))
                .filter(|(_, event)| event.userOpHash == user_op_hash && event.sender == sender)
        })?;
        // Events of its execution are between the preceding marker and its own event.
        let start = logs[..position]
            .iter()
            .rposition(|log| {
                log.address() == entry_point
                    && matches!(log.topic0(), Some(&EntryPoint::BeforeExecution::SIGNATURE_HASH))
                    || event_at(log).is_some()
            })
            .map_or(0, |mark| mark + 1);
        let receipt = Self {
            user_op_hash,
            sender,
            nonce: event.nonce,
            paymaster: (!event.paymaster.is_zero()).then_some(event.paymaster),
            actual_gas_cost: event.actualGasCost,
            actual_gas_used: event.actualGasUsed,
            transaction_hash: transaction.transaction_hash,
            block_number: transaction.block_number,
            block_hash: transaction.block_hash,
            logs: logs[start..position].to_vec(),
        };
        if event.success {
            return Some((receipt, true, None));
        }
        let inner = receipt.logs.iter().map(|log| &log.inner);
        let reason = user_operation_revert_reason(inner, entry_point, user_op_hash)
            .unwrap_or_else(|| Revert::Unknown(Default::default()));
        Some((receipt, false, Some(reason)))
    }
}
