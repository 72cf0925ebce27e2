//! Filters: what happened since a client asked last.

use super::{Answer, Desk, Failure, Params, code, failure, ok};
use crate::vantage::Vantage;
use alloy::{
    primitives::{B256, U64},
    rpc::types::{Filter, Log},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many filters there are at most. The oldest make room.
const MOST: usize = 1_000;
/// How many blocks a filter remembers, in case they are undone.
const REMEMBERED: usize = 256;

/// The filters of a node.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    last: u64,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    kind: Kind,
    /// The latest blocks that it has told of, by number and hash, oldest first.
    told: VecDeque<(u64, B256)>,
}

#[derive(Debug)]
enum Kind {
    Logs(Box<Filter>),
    Blocks,
    /// With the waiting transactions that it has told of.
    Transactions(BTreeSet<B256>),
}

impl Open {
    /// The first block that it has not told of.
    fn next(&mut self, seen: &Vantage<'_>) -> u64 {
        while let Some((number, hash)) = self.told.back() {
            if seen.chain().number_of_block(*hash) == Some(*number) {
                return number + 1;
            }
            self.told.pop_back();
        }
        // Everything that it remembers is undone.
        seen.head()
    }

    fn tell(&mut self, blocks: impl IntoIterator<Item = (u64, B256)>) {
        self.told.extend(blocks);
        while self.told.len() > REMEMBERED {
            self.told.pop_front();
        }
    }
}

impl Filters {
    fn add(&mut self, kind: Kind, seen: &Vantage<'_>) -> U64 {
        let head = seen.head_block();
        self.last += 1;
        let told = VecDeque::from([(head.header.number, head.hash)]);
        self.open.insert(self.last, Open { kind, told });
        while self.open.len() > MOST {
            self.open.pop_first();
        }
        U64::from(self.last)
    }

    fn find(&mut self, params: &Params) -> Result<&mut Open, Failure> {
        let id = params.required::<U64>(0)?;
        self.open
            .get_mut(&id.to())
            .ok_or_else(|| failure(code::INVALID_INPUT, "filter not found"))
    }
}

impl Desk<'_> {
    /// Answers a method of filters; `None` for other methods.
    pub(super) fn filters(&mut self, method: &str, params: &Params) -> Option<Answer> {
        // Only a development node has them.
        let filters = self.filters.as_deref_mut()?;
        let seen = self.chain.vantage();
        Some(match method {
            "eth_newFilter" => params
                .required(0)
                .and_then(|filter| ok(filters.add(Kind::Logs(Box::new(filter)), &seen))),
            "eth_newBlockFilter" => ok(filters.add(Kind::Blocks, &seen)),
            "eth_newPendingTransactionFilter" => {
                let waiting = seen.pooled().into_iter();
                let waiting = waiting
                    .map(|waiting| *waiting.transaction.inner.tx_hash())
                    .collect();
                ok(filters.add(Kind::Transactions(waiting), &seen))
            }
            "eth_getFilterChanges" => filters.find(params).and_then(|open| changes(open, &seen)),
            "eth_getFilterLogs" => filters.find(params).and_then(|open| match &open.kind {
                Kind::Logs(filter) => ok(seen.logs(filter)?),
                _ => Err(failure(code::INVALID_INPUT, "filter not found")),
            }),
            "eth_uninstallFilter" => params
                .required::<U64>(0)
                .and_then(|id| ok(filters.open.remove(&id.to()).is_some())),
            _ => return None,
        })
    }
}

/// What happened since the last time. Logs of blocks that were undone are not told again as removed.
fn changes(open: &mut Open, seen: &Vantage<'_>) -> Answer {
    let next = open.next(seen);
    let new: Vec<_> = (next..=seen.head())
        .filter_map(|number| seen.block(number.into()))
        .collect();
    let answer = match &mut open.kind {
        Kind::Blocks => ok(new.iter().map(|block| block.hash).collect::<Vec<_>>()),
        Kind::Logs(filter) => {
            let range = seen.log_range(filter)?;
            let logs: Vec<Log> = new
                .iter()
                .filter(|block| range.contains(&block.header.number))
                .flat_map(|block| block.rpc_logs(|log| filter.matches(log)))
                .collect();
            ok(logs)
        }
        Kind::Transactions(told) => {
            let mined = new.iter().flat_map(|block| &block.transactions);
            let mined = mined.map(|mined| *mined.candidate.transaction.tx_hash());
            let waiting: Vec<B256> = seen
                .pooled()
                .into_iter()
                .map(|waiting| *waiting.transaction.inner.tx_hash())
                .collect();
            let all: Vec<B256> = mined.chain(waiting.iter().copied()).collect();
            let unknown: Vec<B256> = all.into_iter().filter(|hash| !told.contains(hash)).collect();
            *told = waiting.into_iter().collect();
            ok(unknown)
        }
    };
    open.tell(new.iter().map(|block| (block.header.number, block.hash)));
    answer
}
