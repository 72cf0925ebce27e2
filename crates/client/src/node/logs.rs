//! Logs of a contract, as much as a node answers at once.

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

/// Which logs are asked for: those of a contract that match every topic that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    /// The contract.
    pub address: Address,
    /// For each position, the topics that will do; empty: any.
    pub topics: Vec<Vec<B256>>,
}

impl LogFilter {
    /// Logs of a contract with one of these topics at each position; empty: any.
    #[must_use]
    pub const fn new(address: Address, topics: Vec<Vec<B256>>) -> Self {
        Self { address, topics }
    }

    /// Whether a log is one that was asked for. One that was reorganized away is not.
    fn matches(&self, log: &Log) -> bool {
        let has_topics = self.topics.iter().enumerate().all(|(position, topics)| {
            let topic = log.topics().get(position);
            topics.is_empty() || topic.is_some_and(|topic| topics.contains(topic))
        });
        log.address() == self.address && !log.removed && has_topics
    }
}

impl Node {
    /// The logs of the blocks `from..=to`, in order, without repetition, in one request: a node that finds it too much answers
    /// with an error. Logs that were not asked for are left out; one that does not say its place is
    /// [`RequestError::Unreadable`].
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
        // Some answer null for none.
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

    /// How many blocks to ask for at once, as far as it is known.
    pub(crate) fn log_page_size(&self) -> u64 {
        self.log_page.size()
    }

    /// So many blocks were answered.
    pub(crate) fn log_page_worked(&self, blocks: u64) {
        self.log_page.worked(blocks);
    }

    /// So many blocks were not answered, for this reason. Whether fewer may be.
    pub(crate) fn log_page_failed(&self, blocks: u64, error: &RequestError) -> bool {
        self.log_page.failed(blocks, error)
    }
}
