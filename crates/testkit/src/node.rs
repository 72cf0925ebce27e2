//! Nodes: how others see the chain.

use crate::{
    Testkit,
    rpc::{Desk, ErrorAnswer, code},
    transport::{Endpoint, Request, Transport},
};
use alloy::{
    consensus::Header,
    providers::DynProvider,
    rpc::{client::RpcClient, types::Log},
    signers::local::PrivateKeySigner,
};
use serde_json::{json, value::RawValue};
use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// A node in front of the chain of a [`Testkit`], with a view of its own. Clones are handles on the same node.
///
/// It answers as geth does, and has none of the methods that change the chain (`evm_mine` and the like). What it shows is of
/// one piece: a node that is two blocks late answers blocks, receipts, logs, calls, nonces and fees as of two blocks ago.
///
/// ```
/// use alloy::providers::Provider;
/// use session_key_testkit::{NodeOptions, Testkit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let testkit = Testkit::default();
/// let late = testkit.node(NodeOptions { lag: 2, ..Default::default() });
/// for _ in 0..5 {
///     testkit.chain().mine();
/// }
/// assert_eq!(late.provider().get_block_number().await?, 3);
/// late.change(|options| options.lag = 0);
/// assert_eq!(late.provider().get_block_number().await?, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    testkit: Testkit,
    options: Arc<Mutex<NodeOptions>>,
}

/// How a [`Node`] sees the chain, and how it behaves. By default: it sees everything, and everything works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// How many blocks it is late. Of the blocks since it knows nothing; their transactions wait in its pool.
    pub lag: u64,
    /// Whether it shows the pool. Else `pending` is what `latest` is, and a transaction that waits is unknown.
    pub sees_pool: bool,
    /// The fate of transactions that clients send to it.
    pub submission: Submission,
    /// Limits of `eth_getLogs`.
    pub logs: LogLimits,
    /// Methods that it does not have: -32601.
    pub missing_methods: BTreeSet<String>,
    /// How it answers to the tags `safe` and `finalized`.
    pub finality_tags: FinalityTags,
    /// The state that it does not have any more. `None`: it has all.
    pub pruned_state: Option<PrunedState>,
    /// How many of its latest blocks have logs that it has not indexed: receipts have their status and no logs, and
    /// `eth_getLogs` finds none.
    pub unindexed_blocks: u64,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            lag: 0,
            sees_pool: true,
            submission: Submission::Accepted,
            logs: LogLimits::default(),
            missing_methods: BTreeSet::new(),
            finality_tags: FinalityTags::Known,
            pruned_state: None,
            unindexed_blocks: 0,
        }
    }
}

/// The fate of transactions that clients send to a [`Node`], and of operations that they send to a
/// [`Bundler`](crate::Bundler).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Submission {
    /// They are taken. Transactions go to the pool that all nodes share, or are mined at once with
    /// [`automine`](crate::Chain::automine).
    #[default]
    Accepted,
    /// They go nowhere, and the answer is this error.
    Refused(ErrorAnswer),
    /// They are taken, and the answer is this error all the same.
    PassedOn(ErrorAnswer),
    /// They go nowhere, and the answer is the hash all the same.
    Lost,
}

/// How a [`Node`] answers to the tags `safe` and `finalized`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinalityTags {
    /// It knows the blocks.
    #[default]
    Known,
    /// It answers this block, or null before there is one, whatever comes after it.
    Stuck(u64),
    /// `eth_getBlockByNumber` answers null; what needs the block fails with -32000 "header not found".
    Null,
    /// -32000 "finalized block not found".
    NotFound,
    /// -32602, as nodes of before the merge answer to any text that they do not know.
    Unsupported,
}

/// Limits of `eth_getLogs`. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLimits {
    /// The most blocks in a range, both ends counted.
    pub blocks: Option<u64>,
    /// The most logs in an answer.
    pub results: Option<u64>,
    /// Whether a range that ends beyond the node's latest block is refused (-32602 "block range extends beyond current head
    /// block"). Else it ends there.
    pub refuses_future_blocks: bool,
    /// How it says that a limit is exceeded.
    pub words: LimitWords,
}

/// How nodes say that `eth_getLogs` asks for too much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitWords {
    /// -32602 "query exceeds max block range 10", "query exceeds max results 20000, retry with the range 1-2".
    #[default]
    Reth,
    /// -32600 "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. …" and
    /// -32602 "Log response size exceeded. …", each with a range that should work.
    Alchemy,
    /// -32602 "range 1000000 exceeds limit of 10000", -32005 "query returned more than 10000 results. …" with data.
    Infura,
    /// -32614 "eth_getLogs is limited to a 10,000 range".
    QuickNode,
    /// -32701 "exceed maximum block range: 50000".
    PublicNode,
    /// 35 "ranges over 10000 blocks are not supported on freetier".
    Drpc,
    /// -32602 "query block range exceeds server limit, narrow your filter: 5".
    Erigon,
    /// -32005 "limit exceeded".
    LimitExceeded,
    /// Anything else.
    Other(ErrorAnswer),
}

/// The state that a [`Node`] does not have any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedState {
    /// Of how many of its latest blocks it has the state; at least 1.
    pub blocks: u64,
    /// How it says that it does not have the state of older ones.
    pub words: PrunedWords,
}

/// How nodes say that they do not have the state of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrunedWords {
    /// -32000 "missing trie node … (path ) state … is not available, not found".
    #[default]
    MissingTrieNode,
    /// -32000 "historical state … is not available".
    HistoricalStateNotAvailable,
    /// -32000 "state at block #… is pruned".
    StateIsPruned,
    /// 4444 "pruned history unavailable".
    PrunedHistoryUnavailable,
    /// Anything else.
    Other(ErrorAnswer),
}

impl PrunedState {
    pub(crate) fn error(&self, header: &Header) -> ErrorAnswer {
        let root = header.state_root;
        let message = match &self.words {
            PrunedWords::MissingTrieNode => {
                format!("missing trie node {root:x} (path ) state {root} is not available, not found")
            }
            PrunedWords::HistoricalStateNotAvailable => format!("historical state {root} is not available"),
            PrunedWords::StateIsPruned => format!("state at block #{} is pruned", header.number),
            PrunedWords::PrunedHistoryUnavailable => {
                return ErrorAnswer::new(4444, "pruned history unavailable");
            }
            PrunedWords::Other(error) => return error.clone(),
        };
        ErrorAnswer::new(code::INVALID_INPUT, message)
    }
}

impl LogLimits {
    /// `range` holds what was asked for, also beyond the latest block.
    pub(crate) fn check_range(&self, range: &Range<u64>, latest: u64) -> Result<(), ErrorAnswer> {
        if self.refuses_future_blocks && range.end > latest + 1 {
            return Err(ErrorAnswer::new(
                code::INVALID_PARAMS,
                "block range extends beyond current head block",
            ));
        }
        match self.blocks {
            Some(limit) if range.end - range.start > limit => Err(self.too_many_blocks(range, limit)),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_results(&self, range: &Range<u64>, logs: &[Log]) -> Result<(), ErrorAnswer> {
        match self.results {
            Some(limit) if logs.len() as u64 > limit => Err(self.too_many_results(range, logs, limit)),
            _ => Ok(()),
        }
    }

    fn too_many_blocks(&self, range: &Range<u64>, limit: u64) -> ErrorAnswer {
        let blocks = range.end - range.start;
        let works = suggestion(range.start, range.start + limit.max(1) - 1);
        match &self.words {
            LimitWords::Reth => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("query exceeds max block range {limit}"),
            ),
            LimitWords::Alchemy => ErrorAnswer::new(
                -32600,
                format!(
                    "Under the Free tier plan, you can make eth_getLogs requests with up to a {limit} block range. \
                     Based on your parameters, this block range should work: {works}. Upgrade to PAYG for expanded \
                     block range."
                ),
            ),
            LimitWords::Infura => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("range {blocks} exceeds limit of {limit}"),
            ),
            LimitWords::QuickNode => ErrorAnswer::new(
                -32614,
                format!("eth_getLogs is limited to a {} range", with_commas(limit)),
            ),
            LimitWords::PublicNode => {
                ErrorAnswer::new(-32701, format!("exceed maximum block range: {limit}"))
            }
            LimitWords::Drpc => ErrorAnswer::new(
                35,
                format!("ranges over {limit} blocks are not supported on freetier"),
            ),
            LimitWords::Erigon => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!("query block range exceeds server limit, narrow your filter: {limit}"),
            ),
            LimitWords::LimitExceeded => ErrorAnswer::new(-32005, "limit exceeded"),
            LimitWords::Other(error) => error.clone(),
        }
    }

    fn too_many_results(&self, range: &Range<u64>, logs: &[Log], limit: u64) -> ErrorAnswer {
        // All blocks before that of the first log that is one too many.
        let beyond = usize::try_from(limit).ok().and_then(|limit| logs.get(limit));
        let last = beyond
            .and_then(|log| log.block_number)
            .map_or(range.start, |number| number.saturating_sub(1).max(range.start));
        let works = suggestion(range.start, last);
        match &self.words {
            LimitWords::Reth => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!(
                    "query exceeds max results {limit}, retry with the range {}-{last}",
                    range.start
                ),
            ),
            LimitWords::Alchemy => ErrorAnswer::new(
                code::INVALID_PARAMS,
                format!(
                    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no \
                     limit on the response size, or you can request any block range with a cap of {limit} logs in the \
                     response. Based on your parameters and the response size limit, this block range should work: \
                     {works}"
                ),
            ),
            LimitWords::LimitExceeded => ErrorAnswer::new(-32005, "limit exceeded"),
            LimitWords::Other(error) => error.clone(),
            _ => ErrorAnswer::new(
                -32005,
                format!("query returned more than {limit} results. Try with this block range {works}."),
            )
            .with_data(json!({
                "from": format!("{:#X}", range.start).replace("0X", "0x"),
                "limit": limit,
                "to": format!("{last:#X}").replace("0X", "0x"),
            })),
        }
    }
}

fn suggestion(from: u64, to: u64) -> String {
    format!("[{from:#x}, {to:#x}]")
}

/// `10000` as `10,000`.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Node {
    pub(crate) fn new(testkit: Testkit, options: NodeOptions) -> Self {
        Self {
            testkit,
            options: Arc::new(Mutex::new(options)),
        }
    }

    /// How the node sees the chain now.
    #[must_use]
    pub fn options(&self) -> NodeOptions {
        self.options
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes how the node sees the chain, and how it behaves, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut NodeOptions)) {
        change(&mut self.options.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The JSON-RPC transport, for `alloy`'s [`RpcClient`].
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport::new(self.clone())
    }

    /// Answers over HTTP, on a port of the loopback interface; see [`Transport::serve`].
    ///
    /// # Errors
    ///
    /// As for [`Transport::serve`].
    #[cfg(feature = "serve")]
    pub fn serve(&self) -> std::io::Result<crate::Server> {
        self.transport().serve()
    }

    /// A JSON-RPC client. It polls every millisecond.
    #[must_use]
    pub fn client(&self) -> RpcClient {
        self.transport().client()
    }

    /// A provider.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        self.transport().provider()
    }

    /// A provider that signs the transactions sent through it.
    #[must_use]
    pub fn provider_with_signer(&self, signer: PrivateKeySigner) -> DynProvider {
        self.transport().provider_with_signer(signer)
    }
}

impl Endpoint for Node {
    fn answer(&self, requests: &[Request<'_>]) -> Vec<Result<Box<RawValue>, ErrorAnswer>> {
        let options = self.options();
        let mut chain = self.testkit.chain();
        let mut desk = Desk::node(&mut chain, &options);
        requests
            .iter()
            .map(|request| desk.answer(request.method, request.params))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_comma_before_every_three_digits() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (50_000, "50,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(with_commas(number), text);
        }
    }
}
