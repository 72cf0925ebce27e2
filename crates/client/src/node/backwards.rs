//! Reads a contract's logs backwards from a block, as many at once as the node allows.

use super::{LogFilter, Node};
use crate::request::{RequestError, patiently};
use alloy::rpc::types::Log;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The maximum number of requests in flight.
const SIDE_BY_SIDE: usize = 8;

/// Blocks whose logs could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MissingBlocks {
    /// The first block.
    pub from: u64,
    /// The last block.
    pub to: u64,
    /// The reason.
    pub reason: String,
}

impl MissingBlocks {
    /// The block of a malformed log.
    pub(crate) fn of_malformed(log: &Log, what: &str) -> Self {
        let block = log.block_number.unwrap_or_default();
        Self {
            from: block,
            to: block,
            reason: RequestError::unreadable("eth_getLogs", what).to_string(),
        }
    }
}

/// Reads logs backwards from a block.
pub(crate) struct LogsBackwards<'a> {
    node: &'a Node,
    filter: LogFilter,
    first: u64,
    /// The next block to read, downwards; `None`: all are read.
    next: Option<u64>,
    /// Requests in flight.
    width: usize,
    /// Requests left.
    requests_left: usize,
}

/// A range of blocks that was read.
pub(crate) struct LogWave {
    /// The logs, in no order.
    pub(crate) logs: Vec<Log>,
    /// The blocks that could not be read.
    pub(crate) missing: Vec<MissingBlocks>,
    /// The first block of the range.
    pub(crate) from: u64,
}

impl<'a> LogsBackwards<'a> {
    pub(crate) fn new(
        node: &'a Node,
        filter: LogFilter,
        (first, last): (u64, u64),
        most_requests: usize,
    ) -> Self {
        Self {
            node,
            filter,
            first,
            next: (first <= last).then_some(last),
            width: 1,
            requests_left: most_requests,
        }
    }

    /// Returns the newest block not read yet, going backwards. `None`: all are read.
    pub(crate) const fn unread(&self) -> Option<u64> {
        self.next
    }

    /// Reads more blocks. `None`: all are read, or the request limit is reached.
    pub(crate) async fn next(&mut self) -> Option<LogWave> {
        let last = self.next?;
        if self.requests_left == 0 {
            return None;
        }
        let size = self.node.log_page_size();
        let mut open = VecDeque::new();
        let mut to = Some(last);
        while let Some(end) = to.filter(|_| open.len() < self.width) {
            let start = end.saturating_sub(size - 1).max(self.first);
            open.push_back((start, end));
            to = start.checked_sub(1).filter(|to| *to >= self.first);
        }
        let from = open.back().map_or(last, |(start, _)| *start);
        let mut logs = Vec::new();
        let mut missing = Vec::new();
        let mut has_failed = false;
        while !open.is_empty() {
            let now: Vec<(u64, u64)> = open
                .drain(..open.len().min(SIDE_BY_SIDE).min(self.requests_left.max(1)))
                .collect();
            if self.requests_left == 0 {
                missing.extend(
                    now.into_iter()
                        .chain(open.drain(..))
                        .map(|(from, to)| MissingBlocks {
                            from,
                            to,
                            reason: "too many requests would be needed".to_owned(),
                        }),
                );
                break;
            }
            self.requests_left = self.requests_left.saturating_sub(now.len());
            let (node, filter) = (self.node, &self.filter);
            let answers = stream::iter(now)
                .map(|(from, to)| async move {
                    let answer = patiently(|| node.logs(filter, from, to)).await;
                    (from, to, answer)
                })
                .buffer_unordered(SIDE_BY_SIDE)
                .collect::<Vec<_>>()
                .await;
            for (from, to, answer) in answers {
                let blocks = (to - from).saturating_add(1);
                match answer {
                    Ok(found) => {
                        self.node.log_page_worked(blocks);
                        logs.extend(found);
                    }
                    Err(error) if self.node.log_page_failed(blocks, &error) => {
                        has_failed = true;
                        let size = self.node.log_page_size().min((blocks / 2).max(1));
                        let mut end = to;
                        loop {
                            let start = end.saturating_sub(size - 1).max(from);
                            open.push_back((start, end));
                            match start.checked_sub(1).filter(|to| *to >= from) {
                                Some(next) => end = next,
                                None => break,
                            }
                        }
                    }
                    Err(error) => missing.push(MissingBlocks {
                        from,
                        to,
                        reason: error.to_string(),
                    }),
                }
            }
        }
        // While requests succeed, send more at once.
        self.width = if has_failed {
            1.max(self.width / 2)
        } else {
            (2 * self.width).min(SIDE_BY_SIDE)
        };
        self.next = from.checked_sub(1).filter(|next| *next >= self.first);
        Some(LogWave { logs, missing, from })
    }
}
