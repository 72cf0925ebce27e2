//! Included operations, from the EntryPoint's events.

use super::Node;
use crate::{
    abi::EntryPoint,
    request::{RequestError, lenient},
};
use alloy::{
    primitives::{Address, B256, Bytes, Log as LogEntry, LogData, U64, U256},
    rpc::types::Log,
    sol_types::SolEvent,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashSet;

/// The maximum number of hashes per request. Some nodes allow only a few hundred alternatives.
const MAX_HASHES: usize = 64;
const LOGS: &str = "eth_getLogs";
const RECEIPT: &str = "eth_getTransactionReceipt";

/// The EntryPoint's event for an included operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperationEvent {
    /// The operation's hash.
    pub user_op_hash: B256,
    /// The account.
    pub sender: Address,
    /// The paymaster; `None` if the account paid.
    pub paymaster: Option<Address>,
    /// The operation's nonce, lane included.
    pub nonce: U256,
    /// Whether its calls took effect.
    pub success: bool,
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
    /// Index of the event among the block's logs.
    pub log_index: u64,
}

/// A filter for operations: they must match every member that is set. The default matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// The account.
    pub sender: Option<Address>,
    /// Accepted hashes; empty: any.
    pub hashes: Vec<B256>,
}

/// Operations included in the first blocks of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationPage {
    /// The operations, in order and without duplicates.
    pub operations: Vec<OperationEvent>,
    /// The last block requested.
    pub to: u64,
}

/// A transaction's receipt, reduced to what this crate needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TransactionReceipt {
    /// The transaction.
    pub transaction_hash: B256,
    /// The number of its block.
    pub block_number: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// Whether it succeeded; `None` if the node does not return it.
    pub success: Option<bool>,
    /// Gas units used, if the node returns it.
    pub gas_used: Option<U256>,
    /// The gas price in wei, if the node returns it.
    pub effective_gas_price: Option<U256>,
    /// Its logs, in order.
    pub logs: Vec<Log>,
}

/// A log in any format.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogAnswer {
    address: Address,
    #[serde(default)]
    topics: Vec<B256>,
    #[serde(default, deserialize_with = "lenient::bytes")]
    data: Bytes,
    #[serde(default, deserialize_with = "lenient::optional")]
    block_hash: Option<B256>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    block_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional")]
    transaction_hash: Option<B256>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    transaction_index: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    log_index: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional_flag")]
    removed: Option<bool>,
}

/// A receipt in any format.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAnswer {
    transaction_hash: B256,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    block_number: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional")]
    block_hash: Option<B256>,
    #[serde(default, deserialize_with = "lenient::optional_flag")]
    status: Option<bool>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    gas_used: Option<U256>,
    #[serde(default, deserialize_with = "lenient::optional_number")]
    effective_gas_price: Option<U256>,
    logs: Vec<LogAnswer>,
}

impl From<LogAnswer> for Log {
    fn from(log: LogAnswer) -> Self {
        Self {
            inner: LogEntry {
                address: log.address,
                data: LogData::new_unchecked(log.topics, log.data),
            },
            block_hash: log.block_hash,
            block_number: log.block_number,
            block_timestamp: None,
            transaction_hash: log.transaction_hash,
            transaction_index: log.transaction_index,
            log_index: log.log_index,
            removed: log.removed.unwrap_or(false),
        }
    }
}

impl OperationFilter {
    /// Matches all operations of an account.
    #[must_use]
    pub const fn of(sender: Address) -> Self {
        Self {
            sender: Some(sender),
            hashes: Vec::new(),
        }
    }

    /// Matches only these hashes.
    #[must_use]
    pub fn hashes(mut self, hashes: impl IntoIterator<Item = B256>) -> Self {
        self.hashes = hashes.into_iter().collect();
        self
    }

    /// Returns the hashes to request, in portions. `None`: without hashes.
    fn portions(&self) -> Vec<Option<&[B256]>> {
        match self.hashes.len() {
            0 => vec![None],
            // One account has few operations.
            count if count > MAX_HASHES && self.sender.is_some() => vec![None],
            _ => self.hashes.chunks(MAX_HASHES).map(Some).collect(),
        }
    }
}

impl Node {
    /// Returns the operations included in the blocks `from..=to`, in order and without duplicates.
    ///
    /// Requests pages that adapt to the node's limits, down to a single block, and remembers what worked. If
    /// a single block is too much for the node, or an error has another cause, it is returned;
    /// [`operations_page`](Self::operations_page) then loses less of a long range. Logs outside the filter
    /// are dropped. A malformed event is [`RequestError::Unreadable`].
    pub async fn operations(
        &self,
        entry_point: Address,
        filter: &OperationFilter,
        from: u64,
        to: u64,
    ) -> Result<Vec<OperationEvent>, RequestError> {
        let mut operations = Vec::new();
        let mut next = Some(from);
        while let Some(from) = next.filter(|from| *from <= to) {
            let page = self.operations_page(entry_point, filter, from, to).await?;
            operations.extend(page.operations);
            next = page.to.checked_add(1);
        }
        Ok(operations)
    }

    /// Returns the operations included in the first blocks of `from..=to`: as many as the node allows at
    /// once.
    pub async fn operations_page(
        &self,
        entry_point: Address,
        filter: &OperationFilter,
        from: u64,
        to: u64,
    ) -> Result<OperationPage, RequestError> {
        if from > to {
            return Ok(OperationPage {
                operations: Vec::new(),
                to,
            });
        }
        loop {
            let size = self.log_page.size();
            let end = from.saturating_add(size - 1).min(to);
            // `end - from` is at most `u64::MAX`.
            let asked = (end - from).saturating_add(1);
            match self.operations_within(entry_point, filter, from, end).await {
                Ok(operations) => {
                    self.log_page.worked(asked);
                    return Ok(OperationPage { operations, to: end });
                }
                Err(error) if self.log_page.failed(asked, &error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn operations_within(
        &self,
        entry_point: Address,
        filter: &OperationFilter,
        from: u64,
        to: u64,
    ) -> Result<Vec<OperationEvent>, RequestError> {
        let hashes: HashSet<B256> = filter.hashes.iter().copied().collect();
        let mut found = Vec::new();
        for portion in filter.portions() {
            let query = json!({
                "address": entry_point,
                "fromBlock": U64::from(from),
                "toBlock": U64::from(to),
                "topics": [
                    EntryPoint::UserOperationEvent::SIGNATURE_HASH,
                    portion,
                    filter.sender.map(|sender| sender.into_word()),
                ],
            });
            // Some nodes answer null for an empty list.
            let logs: Option<Vec<LogAnswer>> = self.request(LOGS, [query]).await?;
            for log in logs.into_iter().flatten().map(Log::from) {
                if !is_operation(&log, entry_point) {
                    continue;
                }
                let event = read_event(&log).ok_or_else(|| malformed(LOGS, &log))?;
                if (from..=to).contains(&event.block_number)
                    && filter.sender.is_none_or(|sender| sender == event.sender)
                    && (hashes.is_empty() || hashes.contains(&event.user_op_hash))
                {
                    found.push(event);
                }
            }
        }
        found.sort_by_key(|event| (event.block_number, event.log_index));
        let mut seen = HashSet::new();
        found.retain(|event| seen.insert(event.clone()));
        Ok(found)
    }
}

pub(super) async fn receipt(
    node: &Node,
    transaction_hash: B256,
) -> Result<Option<TransactionReceipt>, RequestError> {
    let found: Option<ReceiptAnswer> = node.request(RECEIPT, [transaction_hash]).await?;
    let Some(found) = found else {
        return Ok(None);
    };
    if found.transaction_hash != transaction_hash {
        let other = format!("{}, asked for {transaction_hash}", found.transaction_hash);
        return Err(RequestError::unreadable(RECEIPT, other));
    }
    let (Some(block_number), Some(block_hash)) = (found.block_number, found.block_hash) else {
        return Ok(None);
    };
    let logs: Vec<Log> = found.logs.into_iter().map(Log::from).collect();
    let is_foreign = |log: &&Log| {
        log.transaction_hash.is_some_and(|hash| hash != transaction_hash)
            || log.block_hash.is_some_and(|hash| hash != block_hash)
    };
    if let Some(log) = logs.iter().find(is_foreign) {
        return Err(malformed(RECEIPT, log));
    }
    Ok(Some(TransactionReceipt {
        transaction_hash,
        block_number,
        block_hash,
        success: found.status,
        gas_used: found.gas_used,
        effective_gas_price: found.effective_gas_price,
        logs,
    }))
}

impl TransactionReceipt {
    /// Returns the operations that the transaction included, in order. If a log lacks its index in the block,
    /// its index in the transaction is used. Malformed events are dropped.
    #[must_use]
    pub fn operations(&self, entry_point: Address) -> Vec<OperationEvent> {
        let events = self.logs.iter().zip(0..).filter_map(|(log, position)| {
            is_operation(log, entry_point).then(|| {
                read_event(&Log {
                    block_hash: Some(self.block_hash),
                    block_number: Some(self.block_number),
                    transaction_hash: Some(self.transaction_hash),
                    log_index: log.log_index.or(Some(position)),
                    ..log.clone()
                })
            })?
        });
        events.collect()
    }
}

/// Whether a log is, or should be, an operation's event in a block that was not reorganized away.
fn is_operation(log: &Log, entry_point: Address) -> bool {
    log.address() == entry_point
        && log.topic0() == Some(&EntryPoint::UserOperationEvent::SIGNATURE_HASH)
        && !log.removed
}

fn read_event(log: &Log) -> Option<OperationEvent> {
    let event =
        EntryPoint::UserOperationEvent::decode_raw_log_validate(log.topics().iter(), &log.data().data)
            .ok()?;
    Some(OperationEvent {
        user_op_hash: event.userOpHash,
        sender: event.sender,
        paymaster: (!event.paymaster.is_zero()).then_some(event.paymaster),
        nonce: event.nonce,
        success: event.success,
        actual_gas_cost: event.actualGasCost,
        actual_gas_used: event.actualGasUsed,
        transaction_hash: log.transaction_hash?,
        block_number: log.block_number?,
        block_hash: log.block_hash?,
        log_index: log.log_index?,
    })
}

pub(super) fn malformed(method: &str, log: &Log) -> RequestError {
    let found = serde_json::to_string(log).unwrap_or_default();
    RequestError::unreadable(method, format!("malformed log {found}"))
}
