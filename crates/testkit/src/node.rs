//! Nodes with their own view of the chain.

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

/// A node on the chain of a [`Testkit`], with its own view. Clones are handles on the same node.
///
/// It answers as geth does, without methods that change the chain (such as `evm_mine`). Its view is
/// consistent: a node that is two blocks behind answers with blocks, receipts, logs, calls, nonces and fees
/// of two blocks ago.
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

/// The view and behaviour of a [`Node`]. The default sees everything, and works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// How many blocks it is behind. It does not know those blocks; their transactions are pending in its
    /// pool.
    pub lag: u64,
    /// Whether it shows the pool. Otherwise `pending` equals `latest`, and pending transactions are unknown.
    pub sees_pool: bool,
    /// What happens to submitted transactions.
    pub submission: Submission,
    /// Limits of `eth_getLogs`.
    pub logs: LogLimits,
    /// Methods that answer with -32601.
    pub missing_methods: BTreeSet<String>,
    /// Its answers to the tags `safe` and `finalized`.
    pub finality_tags: FinalityTags,
    /// The pruned state. `None`: it has all state.
    pub pruned_state: Option<PrunedState>,
    /// How many of its latest blocks have unindexed logs: their receipts have a status but no logs, and
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

/// What happens to transactions submitted to a [`Node`], and operations submitted to a
/// [`Bundler`](crate::Bundler).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Submission {
    /// Accepted. Transactions go to the pool shared by all nodes, or are mined at once with
    /// [`automine`](crate::Chain::automine).
    #[default]
    Accepted,
    /// Dropped, with this error.
    Refused(ErrorAnswer),
    /// Accepted, but answered with this error.
    PassedOn(ErrorAnswer),
    /// Dropped, but answered with the hash.
    Lost,
}

/// A [`Node`]'s answers to the tags `safe` and `finalized`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinalityTags {
    /// The blocks are known.
    #[default]
    Known,
    /// The tags stay at this block, or null before it exists.
    Stuck(u64),
    /// `eth_getBlockByNumber` returns null; methods that need the block fail with -32000 "header not found".
    Null,
    /// -32000 "finalized block not found".
    NotFound,
    /// -32602, as pre-merge nodes answer to unknown tags.
    Unsupported,
}

/// Limits of `eth_getLogs`. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLimits {
    /// The maximum number of blocks in a range, inclusive.
    pub blocks: Option<u64>,
    /// The maximum number of logs in an answer.
    pub results: Option<u64>,
    /// Whether a range beyond the node's latest block is refused (-32602 "block range extends beyond current
    /// head block"). Otherwise it is truncated.
    pub refuses_future_blocks: bool,
    /// The wording of its limit errors.
    pub words: LimitWords,
}

/// The wording of `eth_getLogs` limit errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitWords {
    /// -32602 "query exceeds max block range 10", "query exceeds max results 20000, retry with
    /// the range 1-2".
    #[default]
    Reth,
    /// -32600 "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. …"
    /// and -32602 "Log response size exceeded. …", each with a range that works.
    Alchemy,
    /// -32602 "range 1000000 exceeds limit of 10000", -32005 "query returned more than 10000 results.
    /// …" with data.
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
    /// Any other error.
    Other(ErrorAnswer),
}

/// The pruned state of a [`Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrunedState {
    /// The number of latest blocks whose state it has; at least 1.
    pub blocks: u64,
    /// The wording of its errors for older blocks.
    pub words: PrunedWords,
}

/// The wording of errors about pruned state.
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
    /// Any other error.
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
    /// `range` is the requested range, even beyond the latest block.
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
        // All blocks before the first log beyond the limit.
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

/// Formats `10000` as `10,000`.
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

    /// Returns the current options.
    #[must_use]
    pub fn options(&self) -> NodeOptions {
        self.options
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the options, from the next request on.
    pub fn change(&self, change: impl FnOnce(&mut NodeOptions)) {
        change(&mut self.options.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the JSON-RPC transport for `alloy`'s [`RpcClient`].
    #[must_use]
    pub fn transport(&self) -> Transport {
        Transport::new(self.clone())
    }

    /// Serves HTTP on a port of the loopback interface; see [`Transport::serve`].
    ///
    /// # Errors
    ///
    /// As for [`Transport::serve`].
    #[cfg(feature = "serve")]
    pub fn serve(&self) -> std::io::Result<crate::Server> {
        self.transport().serve()
    }

    /// Returns a JSON-RPC client that polls every millisecond.
    #[must_use]
    pub fn client(&self) -> RpcClient {
        self.transport().client()
    }

    /// Returns a provider.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        self.transport().provider()
    }

    /// Returns a provider that signs the transactions sent through it.
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
    fn numbers_have_thousands_separators() {
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
