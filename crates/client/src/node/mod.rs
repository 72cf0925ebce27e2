//! Requests to a node, with lenient parsing of its answers.
//!
//! ```
//! use session_key_client::node::{Node, OperationFilter};
//! # use session_key_testkit::Testkit;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let provider = Testkit::default().provider();
//! # let (entry_point, account) = Default::default();
//! let node = Node::new(provider);
//! let head = node.head().await?;
//! let filter = OperationFilter::of(account);
//! let included = node.operations(entry_point, &filter, 0, head.number).await?;
//! assert!(included.is_empty());
//! # Ok(())
//! # }
//! ```

mod backwards;
mod fees;
mod logs;
mod operations;
mod page;

pub use backwards::MissingBlocks;
pub(crate) use backwards::{LogWave, LogsBackwards};
pub use fees::SuggestedFees;
pub use logs::LogFilter;
pub use operations::{OperationEvent, OperationFilter, OperationPage, TransactionReceipt};

use crate::{
    abi::EntryPoint,
    request::{ErrorAnswer, MAX_ANSWER, RequestError, lenient, text},
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256, aliases::U192},
    providers::{DynProvider, Provider},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use page::LogPage;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Arc;

/// A node behind any provider. Clones share the provider, and what was learned about the node.
///
/// A request is sent once: callers retry as they need.
#[derive(Clone, Debug)]
pub struct Node {
    provider: DynProvider,
    log_page: Arc<LogPage>,
}

/// A block's header, as returned by the node. Its hash is not recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: B256,
    /// The hash of the block before.
    pub parent_hash: B256,
    /// The block's time, in unix seconds.
    pub timestamp: u64,
    /// The base fee in wei per gas unit; `None` on chains without one. Larger values than `u128::MAX`
    /// saturate.
    pub base_fee: Option<u128>,
}

/// A header in any format.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderAnswer {
    #[serde(deserialize_with = "lenient::number")]
    number: u64,
    hash: B256,
    parent_hash: B256,
    #[serde(deserialize_with = "lenient::number")]
    timestamp: u64,
    #[serde(default, deserialize_with = "lenient::optional_saturating")]
    base_fee_per_gas: Option<u128>,
}

/// A number in any format.
#[derive(Debug, Deserialize)]
#[serde(transparent, bound(deserialize = "N: TryFrom<U256>"))]
struct Number<N> {
    #[serde(deserialize_with = "lenient::number")]
    number: N,
}

/// Required bytes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Data(Bytes);

/// Code, which may be null.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Code {
    #[serde(deserialize_with = "lenient::bytes")]
    code: Bytes,
}

impl From<HeaderAnswer> for Head {
    fn from(header: HeaderAnswer) -> Self {
        Self {
            number: header.number,
            hash: header.hash,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas,
        }
    }
}

impl Node {
    /// Creates a node from a provider.
    pub fn new(provider: impl Provider + 'static) -> Self {
        Self {
            provider: provider.erased(),
            log_page: Arc::default(),
        }
    }

    /// Returns the provider.
    #[must_use]
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Sends one request and parses its result. A result of more than [`MAX_ANSWER`] bytes is refused before
    /// it is parsed. The readers of [`lenient`] help with results in different formats.
    #[tracing::instrument(level = "debug", skip(self, params))]
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send,
    ) -> Result<T, RequestError> {
        let params = serde_json::value::to_raw_value(&params).map_err(|error| RequestError::NotMade {
            message: text::clean(&error.to_string()),
        })?;
        let result = self
            .provider
            .raw_request_dyn(method.into(), &params)
            .await
            .map_err(|error| RequestError::of(method, &error))?;
        let result = result.get();
        if result.len() > MAX_ANSWER {
            return Err(RequestError::TooLarge { limit: MAX_ANSWER });
        }
        serde_json::from_str(result).map_err(|error| {
            if result == "null" {
                return RequestError::null(method);
            }
            // The position in the text, which serde_json adds, is of no use.
            let error = error.to_string();
            let reason = error.split(" at line ").next().unwrap_or_default();
            let found = text::cut(&text::clean(result), 300);
            RequestError::unreadable(method, format!("{found} ({reason})"))
        })
    }

    /// Returns the chain id.
    pub async fn chain_id(&self) -> Result<u64, RequestError> {
        let id: Number<u64> = self.request("eth_chainId", ()).await?;
        Ok(id.number)
    }

    /// Returns the latest block.
    pub async fn head(&self) -> Result<Head, RequestError> {
        let params = (BlockNumberOrTag::Latest, false);
        let header: HeaderAnswer = self.request(BY_NUMBER, params).await?;
        Ok(header.into())
    }

    /// Returns a block's header; `None` if the node does not have it. Its number or hash is checked against
    /// the request.
    pub async fn header(&self, id: BlockId) -> Result<Option<Head>, RequestError> {
        let method = if id.is_hash() { BY_HASH } else { BY_NUMBER };
        let found: Result<Option<HeaderAnswer>, _> = match id {
            BlockId::Hash(hash) => self.request(method, (hash.block_hash, false)).await,
            BlockId::Number(number) => self.request(method, (number, false)).await,
        };
        let found = match found {
            Err(RequestError::Answered(error)) if is_unknown_block(&error) => return Ok(None),
            found => found?.map(Head::from),
        };
        let other = found.filter(|head| match id {
            BlockId::Hash(hash) => head.hash != hash.block_hash,
            BlockId::Number(BlockNumberOrTag::Number(number)) => head.number != number,
            BlockId::Number(_) => false,
        });
        match other {
            Some(other) => {
                let found = format!("block {} ({}), asked for {id}", other.number, other.hash);
                Err(RequestError::unreadable(method, found))
            }
            None => Ok(found),
        }
    }

    /// Returns the latest final block; `None` if the node answers null, or with an error about the tag.
    pub async fn finalized(&self) -> Result<Option<Head>, RequestError> {
        match self.header(BlockId::finalized()).await {
            Err(RequestError::Answered(error)) if is_about_tag(&error) => Ok(None),
            head => head,
        }
    }

    /// Returns the result of a call. A revert is [`RequestError::Answered`].
    pub async fn call(&self, request: &TransactionRequest, at: BlockId) -> Result<Bytes, RequestError> {
        let data: Data = self.request("eth_call", (request, block(at))).await?;
        Ok(data.0)
    }

    /// Returns an account's next nonce in a lane (`key`), lane included, from the EntryPoint.
    pub async fn nonce(
        &self,
        entry_point: Address,
        sender: Address,
        key: U192,
        at: BlockId,
    ) -> Result<U256, RequestError> {
        let call = EntryPoint::getNonceCall { sender, key };
        let request = TransactionRequest::default()
            .with_to(entry_point)
            .with_input(call.abi_encode());
        let answer = self.call(&request, at).await?;
        let nonce = EntryPoint::getNonceCall::abi_decode_returns_validate(&answer).ok();
        nonce
            .filter(|nonce| answer.len() == 32 && *nonce >> 64 == U256::from(key))
            .ok_or_else(|| {
                let found = format!("{answer} is not a nonce of lane {key}: is {entry_point} an EntryPoint?");
                RequestError::unreadable("eth_call", found)
            })
    }

    /// Returns a transaction's receipt; `None` while it is not in a block.
    pub async fn receipt(&self, transaction_hash: B256) -> Result<Option<TransactionReceipt>, RequestError> {
        operations::receipt(self, transaction_hash).await
    }

    /// Returns an account's transaction count; with `pending`, including those in the node's pool.
    pub async fn transaction_count(&self, address: Address, pending: bool) -> Result<u64, RequestError> {
        let at = if pending {
            BlockNumberOrTag::Pending
        } else {
            BlockNumberOrTag::Latest
        };
        let count: Number<u64> = self.request("eth_getTransactionCount", (address, at)).await?;
        Ok(count.number)
    }

    /// Returns an account's balance, in wei.
    pub async fn balance(&self, address: Address, at: BlockId) -> Result<U256, RequestError> {
        let balance: Number<U256> = self.request("eth_getBalance", (address, block(at))).await?;
        Ok(balance.number)
    }

    /// Returns an account's code; empty if it has none.
    pub async fn code_at(&self, address: Address, at: BlockId) -> Result<Bytes, RequestError> {
        let code: Code = self.request("eth_getCode", (address, block(at))).await?;
        Ok(code.code)
    }

    /// Returns a word of an account's storage.
    pub async fn storage_at(&self, address: Address, slot: U256, at: BlockId) -> Result<U256, RequestError> {
        let word: Number<U256> = self
            .request("eth_getStorageAt", (address, slot, block(at)))
            .await?;
        Ok(word.number)
    }

    /// Returns fees for prompt inclusion: from `eth_feeHistory`, else `eth_maxPriorityFeePerGas`, else
    /// `eth_gasPrice`, else the header alone. Sums saturate: no answer can overflow them.
    pub async fn fees(&self, head: &Head) -> Result<SuggestedFees, RequestError> {
        fees::suggested(self, head).await
    }

    /// Returns the node's suggested priority fee, in wei per gas unit, or one gwei.
    pub(crate) async fn priority_fee(&self) -> Result<u128, RequestError> {
        fees::priority(self).await
    }

    /// Returns the node's suggested gas price, in wei.
    pub(crate) async fn gas_price(&self) -> Result<u128, RequestError> {
        fees::price(self).await
    }

    /// Returns the latest block and the fees, in one round trip if the node has `eth_feeHistory`.
    pub(crate) async fn head_and_fees(&self) -> Result<(Head, SuggestedFees), RequestError> {
        fees::head_and_suggested(self).await
    }
}

const BY_NUMBER: &str = "eth_getBlockByNumber";
const BY_HASH: &str = "eth_getBlockByHash";

/// Formats a block as a call parameter. `alloy` writes a hash as a plain string, which is not EIP-1898.
pub(crate) fn block(at: BlockId) -> Value {
    match at {
        BlockId::Number(number) => json!(number),
        BlockId::Hash(hash) => match hash.require_canonical {
            None => json!({ "blockHash": hash.block_hash }),
            Some(is_required) => json!({ "blockHash": hash.block_hash, "requireCanonical": is_required }),
        },
    }
}

/// Whether an error means that the block does not exist, where other nodes answer null.
pub(crate) fn is_unknown_block(error: &ErrorAnswer) -> bool {
    /// "Unknown block", from the engine API, and sometimes elsewhere.
    const UNKNOWN_BLOCK: i64 = -39001;
    let message = error.message.to_ascii_lowercase();
    error.code == Some(UNKNOWN_BLOCK)
        || [
            "unknown block",
            "block not found",
            "header not found",
            "header for hash not found",
            "cannot find block",
            "block is not found",
        ]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether an error is about the tag "finalized", which older nodes and some chains lack.
fn is_about_tag(error: &ErrorAnswer) -> bool {
    const INVALID_PARAMS: i64 = -32602;
    let message = error.message.to_ascii_lowercase();
    error.code == Some(INVALID_PARAMS)
        || [
            "finali",
            " tag",
            "hex string",
            "invalid block",
            "invalid argument",
            "invalid params",
            "not supported",
            "unsupported",
        ]
        .iter()
        .any(|words| message.contains(words))
}
