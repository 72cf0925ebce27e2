//! JSON-RPC: a node's methods, with anvil's answers, or geth's for a [`Node`](crate::Node).

mod development;
mod errors;
mod filters;
mod params;

pub use errors::ErrorAnswer;
pub(crate) use errors::{Answer, Dialect, Failure, code, failure};
pub(crate) use filters::Filters;
pub(crate) use params::Params;

use crate::{
    CallOptions, Chain, ChainError, FinalityTags, NodeOptions, PooledTransaction, Submission, accounts,
    chain::code_of, transaction::Candidate, vantage::Vantage,
};
use alloy::{
    consensus::Transaction as _,
    eips::{BlockId, BlockNumberOrTag},
    network::primitives::BlockTransactionsKind,
    primitives::{Address, B256, Bytes, U64, U256},
    rpc::types::{
        BlockOverrides, Filter, FilterBlockOption, Transaction, TransactionReceipt, state::StateOverride,
    },
};
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use std::collections::BTreeMap;

/// The default priority fee in wei per gas unit, as in anvil's `eth_maxPriorityFeePerGas`.
const SUGGESTED_PRIORITY_FEE: u128 = 1_000_000_000;

/// What answers requests: the chain itself, or a node in front of it.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    chain: &'a mut Chain,
    node: Option<&'a NodeOptions>,
    filters: Option<&'a mut Filters>,
}

impl<'a> Desk<'a> {
    /// Answers as a development node.
    pub(crate) const fn development(chain: &'a mut Chain, filters: &'a mut Filters) -> Self {
        Self {
            chain,
            node: None,
            filters: Some(filters),
        }
    }

    /// Answers as a node with its own view of the chain.
    pub(crate) const fn node(chain: &'a mut Chain, node: &'a NodeOptions) -> Self {
        Self {
            chain,
            node: Some(node),
            filters: None,
        }
    }

    /// Answers one request.
    pub(crate) fn answer(
        &mut self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Box<RawValue>, ErrorAnswer> {
        let dialect = match self.node {
            None => Dialect::Anvil,
            Some(_) => Dialect::Geth,
        };
        let answer = Params::parse(params).and_then(|params| self.dispatch(method, &params));
        answer.map_err(|failure| failure.in_words_of(dialect))
    }

    /// Returns the visible part of the chain.
    fn seen(&self) -> Vantage<'_> {
        match self.node {
            None => self.chain.vantage(),
            Some(node) => self.chain.vantage_behind(node.lag, node.sees_pool),
        }
    }

    fn dispatch(&mut self, method: &str, params: &Params) -> Answer {
        if self
            .node
            .is_some_and(|node| node.missing_methods.contains(method))
        {
            return Err(Failure::NoMethod(method.to_owned()));
        }
        if let Some(answer) = self.filters(method, params) {
            return answer;
        }
        match method {
            "web3_clientVersion" => ok(concat!(
                "session-key-testkit/",
                env!("CARGO_PKG_VERSION"),
                " (simulated chain, in-process)"
            )),
            "eth_chainId" => ok(U64::from(self.chain.chain_id())),
            "net_version" => ok(self.chain.chain_id().to_string()),
            "eth_syncing" => ok(false),
            // A public node has no keys.
            "eth_accounts" => ok(accounts::dev_accounts()
                .iter()
                .map(|account| account.address)
                .filter(|_| self.node.is_none())
                .collect::<Vec<_>>()),
            "eth_blockNumber" => ok(U64::from(self.seen().head())),

            "eth_getBalance" => {
                let block = self.state_block(params.block(1)?)?;
                let account = self.seen().account_at(params.required(0)?, block)?;
                ok(account.map(|account| account.balance).unwrap_or_default())
            }
            "eth_getTransactionCount" => {
                let address = params.required(0)?;
                let block = self.state_block(params.block(1)?)?;
                if block.is_pending() {
                    return ok(U64::from(self.seen().pending_nonce(address)));
                }
                let account = self.seen().account_at(address, block)?;
                ok(U64::from(
                    account.map(|account| account.nonce).unwrap_or_default(),
                ))
            }
            "eth_getCode" => {
                let block = self.state_block(params.block(1)?)?;
                let account = self.seen().account_at(params.required(0)?, block)?;
                ok(account.as_ref().map(code_of).unwrap_or_default())
            }
            "eth_getStorageAt" => {
                let slot = params.required::<U256>(1)?;
                let block = self.state_block(params.block(2)?)?;
                let value = self.seen().storage_at(params.required(0)?, slot, block)?;
                ok(B256::from(value))
            }

            "eth_getProof" => {
                let address = params.required::<Address>(0)?;
                let block = self.state_block(params.block(2)?)?;
                let account = self.seen().account_at(address, block)?.unwrap_or_default();
                let slots = params.optional::<Vec<U256>>(1)?.unwrap_or_default();
                let storage = slots.into_iter().map(|slot| {
                    let value = self.seen().storage_at(address, slot, block)?;
                    Ok(json!({"key": B256::from(slot), "value": value, "proof": []}))
                });
                // There is no trie, so there are no proofs, and no root.
                ok(json!({
                    "address": address,
                    "balance": account.balance,
                    "nonce": U64::from(account.nonce),
                    "codeHash": account.code_hash,
                    "storageHash": B256::ZERO,
                    "accountProof": [],
                    "storageProof": storage.collect::<Result<Vec<_>, ChainError>>()?,
                }))
            }

            "eth_call" => {
                let options = self.call_options(params.call_options()?)?;
                ok(self.seen().call(&params.required(0)?, &options)?)
            }
            "eth_estimateGas" => {
                let options = self.call_options(params.call_options()?)?;
                ok(U64::from(
                    self.seen().estimate_gas(&params.required(0)?, &options)?,
                ))
            }
            "eth_gasPrice" => ok(U256::from(
                u128::from(self.seen().next_base_fee()) + SUGGESTED_PRIORITY_FEE,
            )),
            "eth_maxPriorityFeePerGas" => ok(U256::from(SUGGESTED_PRIORITY_FEE)),
            "eth_feeHistory" => self.fee_history(params),

            "eth_sendRawTransaction" => ok(self.submit(params)?),
            // EIP-7966: returns the receipt or, after a timeout, an error with the hash.
            "eth_sendRawTransactionSync" => {
                let hash = self.submit(params)?;
                match self.receipt(hash) {
                    Some(receipt) => ok(receipt),
                    None => Err(ErrorAnswer::new(
                        code::NOT_MINED_IN_TIME,
                        "The transaction was added to the mempool but wasn't processed in time",
                    )
                    .with_data(json!(hash))
                    .into()),
                }
            }

            "eth_getTransactionByHash" => ok(self.seen().transaction(params.required(0)?)),
            "eth_getTransactionReceipt" => ok(self.receipt(params.required(0)?)),
            "eth_getBlockReceipts" => {
                let Some(block) = self.block(params.required(0)?)? else {
                    return ok(());
                };
                let receipts = self.seen().block(block).map(|block| {
                    let receipts = block.rpc_receipts(self.has_indexed(block.header.number));
                    receipts.collect::<Vec<_>>()
                });
                ok(receipts)
            }
            "eth_getBlockByNumber" => {
                let tag = params.required::<BlockNumberOrTag>(0)?;
                self.block_by_id(tag.into(), params)
            }
            "eth_getBlockByHash" => self.block_by_id(params.required::<B256>(0)?.into(), params),
            "eth_getLogs" => self.logs(params.required(0)?),

            "debug_traceCall" => {
                let options = params.optional::<TraceOptions>(2)?.unwrap_or_default();
                options.check()?;
                let call = self.call_options(CallOptions {
                    block: params.block(1)?,
                    state: options.state_overrides,
                    block_overrides: options.block_overrides,
                })?;
                ok(self.seen().trace(&params.required(0)?, &call)?)
            }
            "debug_traceTransaction" => {
                params.optional::<TraceOptions>(1)?.unwrap_or_default().check()?;
                let hash = params.required(0)?;
                // The trace starts from the state before the block.
                if let Some((block, _)) = self.seen().place_of_transaction(hash) {
                    self.state_block(block.header.number.saturating_sub(1).into())?;
                }
                ok(self.seen().trace_transaction(hash)?)
            }

            "txpool_status" => {
                let pool = self.seen().pooled();
                let queued = pool.iter().filter(|pooled| pooled.queued).count();
                ok(PoolStatus {
                    pending: U64::from(pool.len() - queued),
                    queued: U64::from(queued),
                })
            }
            "txpool_content" => ok(PoolContent::from(self.seen().pooled())),
            _ if self.node.is_none() => self.develop(method, params),
            _ => Err(Failure::NoMethod(method.to_owned())),
        }
    }

    /// Resolves a block id by the node's tags; `None` if the node answers with null.
    fn block(&self, id: BlockId) -> Result<Option<BlockId>, Failure> {
        let (BlockId::Number(tag @ (BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized)), Some(node)) =
            (id, self.node)
        else {
            return Ok(Some(id));
        };
        match node.finality_tags {
            FinalityTags::Known => Ok(Some(id)),
            FinalityTags::Stuck(number) => Ok(Some(number.into())),
            FinalityTags::Null => Ok(None),
            FinalityTags::NotFound => Err(failure(code::INVALID_INPUT, format!("{tag} block not found"))),
            FinalityTags::Unsupported => Err(failure(
                code::INVALID_PARAMS,
                "invalid argument 0: hex string without 0x prefix",
            )),
        }
    }

    /// Resolves one end of a block range.
    fn range_end(&self, end: Option<BlockNumberOrTag>) -> Result<Option<BlockNumberOrTag>, Failure> {
        let Some(tag) = end else { return Ok(None) };
        match self.block(tag.into())? {
            Some(BlockId::Number(tag)) => Ok(Some(tag)),
            _ => Err(ChainError::UnknownBlock {
                asked: tag.into(),
                latest: self.seen().head(),
            }
            .into()),
        }
    }

    /// Like [`block`](Self::block), for a block whose state the node has.
    fn state_block(&self, id: BlockId) -> Result<BlockId, Failure> {
        let seen = self.seen();
        let id = self.block(id)?.ok_or(ChainError::UnknownBlock {
            asked: id,
            latest: seen.head(),
        })?;
        let Some(pruned) = self.node.and_then(|node| node.pruned_state.as_ref()) else {
            return Ok(id);
        };
        match seen.block(id) {
            Some(block) if seen.head() - block.header.number >= pruned.blocks => {
                Err(pruned.error(&block.header).into())
            }
            _ => Ok(id),
        }
    }

    fn call_options(&self, options: CallOptions) -> Result<CallOptions, Failure> {
        Ok(CallOptions {
            block: self.state_block(options.block)?,
            ..options
        })
    }

    fn block_by_id(&self, id: BlockId, params: &Params) -> Answer {
        let kind = match params.optional::<bool>(1)? {
            Some(true) => BlockTransactionsKind::Full,
            _ => BlockTransactionsKind::Hashes,
        };
        match self.block(id)? {
            Some(id) => ok(self.seen().rpc_block(id, kind)),
            None => ok(()),
        }
    }

    fn receipt(&self, hash: B256) -> Option<TransactionReceipt> {
        let (block, index) = self.seen().place_of_transaction(hash)?;
        block.rpc_receipt(index, self.has_indexed(block.header.number))
    }

    /// Whether the node has indexed the logs of this block.
    fn has_indexed(&self, block: u64) -> bool {
        let unindexed = self.node.map_or(0, |node| node.unindexed_blocks);
        block.saturating_add(unindexed) <= self.seen().head()
    }

    fn logs(&self, mut filter: Filter) -> Answer {
        if let FilterBlockOption::Range { from_block, to_block } = filter.block_option {
            filter.block_option = FilterBlockOption::Range {
                from_block: self.range_end(from_block)?,
                to_block: self.range_end(to_block)?,
            };
        }
        let seen = self.seen();
        let range = seen.log_range(&filter);
        match (&range, self.node, &filter.block_option) {
            // anvil reports an error only if both ends are numbers.
            (
                _,
                None,
                FilterBlockOption::Range {
                    from_block: Some(BlockNumberOrTag::Number(from)),
                    to_block: Some(BlockNumberOrTag::Number(to)),
                },
            ) if from > to => return Err(reversed_range()),
            (Ok(range), Some(_), _) if range.is_empty() => return Err(reversed_range()),
            (Ok(range), Some(node), _) => node.logs.check_range(range, seen.head())?,
            _ => {}
        }
        let (range, mut logs) = match range.and_then(|range| Ok((range, seen.logs(&filter)?))) {
            Err(ChainError::UnknownBlock { .. }) => {
                return Err(failure(code::INVALID_INPUT, "unknown block"));
            }
            logs => logs?,
        };
        logs.retain(|log| log.block_number.is_some_and(|number| self.has_indexed(number)));
        if let Some(node) = self.node {
            node.logs.check_results(&range, &logs)?;
        }
        ok(logs)
    }

    fn fee_history(&self, params: &Params) -> Answer {
        let percentiles = params.optional::<Vec<f64>>(2)?;
        let checked = percentiles.as_deref().unwrap_or_default();
        if checked.iter().any(|p| !(0.0..=100.0).contains(p)) || !checked.is_sorted() {
            return Err(failure(code::INVALID_PARAMS, "invalid reward percentiles"));
        }
        let count = params.number(0)?;
        let newest = self.range_end(Some(params.required(1)?))?.unwrap_or_default();
        let seen = self.seen();
        match (newest, self.node) {
            (BlockNumberOrTag::Number(number), Some(_)) if number > seen.head() => Err(failure(
                code::INVALID_INPUT,
                format!(
                    "request beyond head block: requested {number}, head {}",
                    seen.head()
                ),
            )),
            _ => ok(seen.fee_history(count, newest, percentiles.as_deref())?),
        }
    }

    /// Submits a signed transaction, and returns its hash.
    fn submit(&mut self, params: &Params) -> Result<B256, Failure> {
        let candidate = Candidate::decode(&params.required::<Bytes>(0)?)?;
        let hash = candidate.hash();
        let Some(node) = self.node else {
            return Ok(self.chain.submit(candidate)?);
        };
        if let Submission::Refused(error) = &node.submission {
            return Err(error.clone().into());
        }
        // A node that is behind checks against what it has seen.
        self.seen().admit(&candidate)?;
        if let Submission::Lost = node.submission {
            return Ok(hash);
        }
        let is_late = node.lag > 0;
        let is_stale = candidate.transaction.nonce() < self.chain.nonce(candidate.sender());
        match self.chain.submit(candidate) {
            // It accepts transactions that the others have already included or already know.
            Ok(_) | Err(ChainError::AlreadyKnown(_)) => {}
            Err(_) if is_late && is_stale => {}
            Err(ChainError::Unaffordable { .. } | ChainError::InsufficientFunds { .. }) if is_late => {}
            Err(error) => return Err(error.into()),
        }
        match &node.submission {
            Submission::PassedOn(error) => Err(error.clone().into()),
            _ => Ok(hash),
        }
    }
}

/// Options of the `debug_trace` methods.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TraceOptions {
    tracer: Option<String>,
    state_overrides: StateOverride,
    block_overrides: BlockOverrides,
}

impl TraceOptions {
    fn check(&self) -> Result<(), Failure> {
        match self.tracer.as_deref() {
            Some("callTracer") => Ok(()),
            Some(other) => Err(failure(
                code::INVALID_PARAMS,
                format!("unknown tracer {other}: there is only callTracer"),
            )),
            None => Err(failure(
                code::INVALID_PARAMS,
                "name the tracer: there is only callTracer",
            )),
        }
    }
}

/// The answer of `txpool_status`.
#[derive(Debug, Serialize)]
struct PoolStatus {
    pending: U64,
    queued: U64,
}

/// Transactions by sender and nonce; nonces in decimal.
type ByNonce = BTreeMap<Address, BTreeMap<String, Transaction>>;

/// The answer of `txpool_content`.
#[derive(Debug, Default, Serialize)]
struct PoolContent {
    pending: ByNonce,
    queued: ByNonce,
}

impl From<Vec<PooledTransaction>> for PoolContent {
    fn from(pool: Vec<PooledTransaction>) -> Self {
        let mut content = Self::default();
        for PooledTransaction {
            transaction, queued, ..
        } in pool
        {
            let part = if queued {
                &mut content.queued
            } else {
                &mut content.pending
            };
            part.entry(transaction.inner.signer())
                .or_default()
                .insert(transaction.inner.nonce().to_string(), transaction);
        }
        content
    }
}

fn reversed_range() -> Failure {
    failure(code::INVALID_PARAMS, "invalid block range params")
}

pub(crate) fn ok(result: impl Serialize) -> Answer {
    to_raw_value(&result).map_err(|error| failure(code::INTERNAL_ERROR, error.to_string()))
}
