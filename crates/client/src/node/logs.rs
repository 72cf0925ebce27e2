//! Reads a contract's logs, as many as a node allows at once.

use super::{
    Node,
    operations::{LogAnswer, malformed},
};
use crate::request::RequestError;
use alloy::{
    primitives::{Address, B256, U64},
    rpc::types::Log,
};
use serde_json::json;
use std::collections::HashSet;

const LOGS: &str = "eth_getLogs";

/// A log filter: logs of a contract that match every topic set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The contract.
    pub address: Address,
    /// The accepted topics at each position; empty: any.
    pub topics: Vec<Vec<B256>>,
}

impl LogFilter {
    /// Filters logs of a contract by accepted topics at each position; empty: any.
    #[must_use]
    pub const fn new(address: Address, topics: Vec<Vec<B256>>) -> Self {
        Self { address, topics }
    }

    /// Whether a log matches the filter, and was not removed by a reorganization.
    fn matches(&self, log: &Log) -> bool {
        let has_topics = self.topics.iter().enumerate().all(|(position, topics)| {
            let topic = log.topics().get(position);
            topics.is_empty() || topic.is_some_and(|topic| topics.contains(topic))
        });
        log.address() == self.address && !log.removed && has_topics
    }
}

impl Node {
    /// Returns the logs of the blocks `from..=to`, in order and without duplicates, with one request: if it
    /// is too large for the node, that is an error. Logs outside the filter are dropped; one without a
    /// position is [`RequestError::Unreadable`].
    pub async fn logs(&self, filter: &LogFilter, from: u64, to: u64) -> Result<Vec<Log>, RequestError> {
        let topics: Vec<Option<&Vec<B256>>> = filter
            .topics
            .iter()
            .map(|topics| (!topics.is_empty()).then_some(topics))
            .collect();
        let query = json!({
            "address": filter.address,
            "fromBlock": U64::from(from),
            "toBlock": U64::from(to),
            "topics": topics,
        });
        // Some nodes answer null for an empty list.
        let logs: Option<Vec<LogAnswer>> = self.request(LOGS, [query]).await?;
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for log in logs.into_iter().flatten().map(Log::from) {
            if !filter.matches(&log) {
                continue;
            }
            let (Some(block), Some(_), Some(_), Some(index)) = (
                log.block_number,
                log.block_hash,
                log.transaction_hash,
                log.log_index,
            ) else {
                return Err(malformed(LOGS, &log));
            };
            if (from..=to).contains(&block) && seen.insert((block, index)) {
                found.push(log);
            }
        }
        found.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(found)
    }

    /// Returns the number of blocks to request at once, as far as known.
    pub(crate) fn log_page_size(&self) -> u64 {
        self.log_page.size()
    }

    /// Records that this many blocks were answered.
    pub(crate) fn log_page_worked(&self, blocks: u64) {
        self.log_page.worked(blocks);
    }

    /// Records that this many blocks failed, with the reason. Returns whether fewer may work.
    pub(crate) fn log_page_failed(&self, blocks: u64, error: &RequestError) -> bool {
        self.log_page.failed(blocks, error)
    }
}
