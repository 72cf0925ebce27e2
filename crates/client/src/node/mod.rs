//! Questions to a node, and answers that can be relied on as far as their form goes.

use crate::request::RequestError;
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, U256, aliases::U192},
    providers::{DynProvider, Provider},
    rpc::types::{Log, TransactionRequest},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::{Arc, atomic::AtomicU64};

/// A node behind any provider. Clones share the provider and what was learned about the node.
///
/// Every request is made once; who wants it repeated repeats it.
#[derive(Clone, Debug)]
pub struct Node {
    provider: DynProvider,
    log_page: Arc<AtomicU64>,
}

/// The header of a block, as the node tells it. Its hash is not recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: B256,
    /// The hash of the block before.
    pub parent_hash: B256,
    /// The block's time, in seconds since 1970.
    pub timestamp: u64,
    /// The base fee in wei per gas unit; `None` on chains without one. Larger ones than `u128::MAX` are read as that.
    pub base_fee: Option<u128>,
}

/// The EntryPoint's event for an operation that was included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    /// Position of the event among the block's logs.
    pub log_index: u64,
}

/// Which operations are asked for: those that match every member that is set. The default asks for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// Operations of this account.
    pub sender: Option<Address>,
    /// Operations with one of these hashes; empty: whatever their hash.
    pub hashes: Vec<B256>,
}

/// The receipt of a transaction that is in a block, read for what it must tell.
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
    /// Whether it succeeded; `None` where the node does not say.
    pub success: Option<bool>,
    /// Gas units used, where the node says.
    pub gas_used: Option<U256>,
    /// The price of a gas unit in wei, where the node says.
    pub effective_gas_price: Option<U256>,
    /// Its logs, in order.
    pub logs: Vec<Log>,
}

/// Fees that a node suggests, in wei per gas unit. Nothing bounds them: a node can suggest up to `u128::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuggestedFees {
    /// Twice the base fee plus the priority fee, or the gas price if that is higher.
    pub max_fee: u128,
    /// For whoever includes the transaction.
    pub max_priority_fee: u128,
    /// The base fee of the next block, or the last one known; zero on chains without one.
    pub base_fee: u128,
}

impl Node {
    /// The node that a provider reaches.
    pub fn new(provider: impl Provider + 'static) -> Self {
        Self {
            provider: provider.erased(),
            log_page: Arc::default(),
        }
    }

    /// The provider.
    #[must_use]
    pub const fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Makes one request and reads its result. A result of more than [`MAX_ANSWER`](crate::request::MAX_ANSWER) bytes is
    /// refused before it is parsed. The readers of [`lenient`](crate::request::lenient) help with answers of many forms.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Serialize + Send,
    ) -> Result<T, RequestError> {
        let _ = (method, params);
        todo!()
    }

    /// The chain's id.
    pub async fn chain_id(&self) -> Result<u64, RequestError> {
        todo!()
    }

    /// The newest block.
    pub async fn head(&self) -> Result<Head, RequestError> {
        todo!()
    }

    /// The header of a block; `None` if the node does not have it. That the answer is the block with the number or hash asked for
    /// is checked.
    pub async fn header(&self, id: BlockId) -> Result<Option<Head>, RequestError> {
        let _ = id;
        todo!()
    }

    /// The newest final block; `None` if the node answers null, or with an error about the tag.
    pub async fn finalized(&self) -> Result<Option<Head>, RequestError> {
        todo!()
    }

    /// The result of a call; a revert is [`RequestError::Answered`].
    pub async fn call(&self, request: &TransactionRequest, at: BlockId) -> Result<Bytes, RequestError> {
        let _ = (request, at);
        todo!()
    }

    /// The next nonce of a lane (`key`) of an account, lane included, as the EntryPoint has it.
    pub async fn nonce(
        &self,
        entry_point: Address,
        sender: Address,
        key: U192,
        at: BlockId,
    ) -> Result<U256, RequestError> {
        let _ = (entry_point, sender, key, at);
        todo!()
    }

    /// The operations that were included in the blocks `from..=to`, in order, without repetition.
    ///
    /// Asks in pages that adapt to what the node allows, down to a single block, and remembers what worked. If a single block is
    /// too much for the node, or an error is about something else, that is the error. What was not asked for is left out;
    /// a matching event that is malformed is [`RequestError::Unreadable`].
    pub async fn operations(
        &self,
        entry_point: Address,
        filter: &OperationFilter,
        from: u64,
        to: u64,
    ) -> Result<Vec<OperationEvent>, RequestError> {
        let _ = (entry_point, filter, from, to);
        todo!()
    }

    /// The receipt of a transaction; `None` as long as it is not in a block.
    pub async fn receipt(&self, transaction_hash: B256) -> Result<Option<TransactionReceipt>, RequestError> {
        let _ = transaction_hash;
        todo!()
    }

    /// How many transactions an account has sent; with `pending`, those of the node's pool count as well.
    pub async fn transaction_count(&self, address: Address, pending: bool) -> Result<u64, RequestError> {
        let _ = (address, pending);
        todo!()
    }

    /// An account's balance, in wei.
    pub async fn balance(&self, address: Address, at: BlockId) -> Result<U256, RequestError> {
        let _ = (address, at);
        todo!()
    }

    /// An account's code; empty if it has none.
    pub async fn code_at(&self, address: Address, at: BlockId) -> Result<Bytes, RequestError> {
        let _ = (address, at);
        todo!()
    }

    /// Fees for what is to be included soon: from `eth_feeHistory`, or else `eth_maxPriorityFeePerGas`, or else `eth_gasPrice`, or
    /// else the header alone. Sums saturate: nothing that a node answers overflows.
    pub async fn fees(&self, head: &Head) -> Result<SuggestedFees, RequestError> {
        let _ = head;
        todo!()
    }
}

impl TransactionReceipt {
    /// The operations that the transaction included, in order. A malformed event of the EntryPoint is left out.
    #[must_use]
    pub fn operations(&self, entry_point: Address) -> Vec<OperationEvent> {
        let _ = entry_point;
        todo!()
    }
}
