//! A view of the chain up to some block, as nodes have it.

use crate::{
    Chain, ChainError,
    block::{Block, Finality},
    call::{block_env, refusal},
    chain::MAX_BASE_FEE,
    mining::Draft,
    pool::{Funds, Pool, PooledTransaction},
    reorganization::fork_mark,
    state::{Overlay, ReadError, View},
    transaction::Candidate,
};
use alloy::{
    consensus::{Header, transaction::TransactionInfo},
    eips::{
        BlockId, BlockNumberOrTag,
        eip1559::{BaseFeeParams, calc_next_block_base_fee},
    },
    network::primitives::BlockTransactionsKind,
    primitives::{Address, B256, Bloom, BloomInput, Log, U256, keccak256},
    rpc::types::{self, FeeHistory, Filter, FilterBlockOption},
};
use revm::{
    Context, MainContext,
    context::result::{EVMError, InvalidTransaction},
    handler::validation::{validate_env, validate_initial_tx_gas},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use std::{borrow::Cow, ops::Range, sync::Arc};

/// The chain up to a block, with or without the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vantage<'a> {
    chain: &'a Chain,
    /// Number of the latest visible block, which exists.
    head: u64,
    sees_pool: bool,
}

impl Chain {
    /// Returns a view of the whole chain.
    pub(crate) fn vantage(&self) -> Vantage<'_> {
        self.vantage_behind(0, true)
    }

    /// Returns a view that is this many blocks behind.
    pub(crate) fn vantage_behind(&self, lag: u64, sees_pool: bool) -> Vantage<'_> {
        Vantage {
            chain: self,
            head: self.block_number().saturating_sub(lag).max(self.first_block()),
            sees_pool,
        }
    }
}

impl<'a> Vantage<'a> {
    pub(crate) const fn chain(&self) -> &'a Chain {
        self.chain
    }

    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    /// Whether it sees the whole chain: settings for the next block then apply to it as well.
    fn is_latest(&self) -> bool {
        self.head == self.chain.block_number()
    }

    pub(crate) fn head_block(&self) -> &'a Block {
        &self.blocks(self.head..self.head + 1)[0]
    }

    /// Returns the blocks of a range, which must end within the chain.
    fn blocks(&self, range: Range<u64>) -> &'a [Arc<Block>] {
        let index = |number: u64| number.saturating_sub(self.chain.first_block()) as usize;
        &self.chain.blocks()[index(range.start)..index(range.end)]
    }

    fn finality(&self) -> Finality {
        if self.is_latest() {
            self.chain.finality()
        } else {
            self.head_block().finality
        }
    }

    /// Returns the block with this id; `None` if it does not exist. Pending does not count as a block.
    pub(crate) fn block(&self, id: BlockId) -> Option<&'a Block> {
        let number = match id {
            BlockId::Hash(hash) => self.chain.number_of_block(hash.block_hash)?,
            BlockId::Number(BlockNumberOrTag::Number(number)) => number,
            BlockId::Number(BlockNumberOrTag::Earliest) => self.chain.first_block(),
            BlockId::Number(BlockNumberOrTag::Pending) => return None,
            BlockId::Number(BlockNumberOrTag::Latest) => self.head,
            BlockId::Number(BlockNumberOrTag::Safe) => self.finality().safe,
            BlockId::Number(BlockNumberOrTag::Finalized) => self.finality().finalized,
        };
        let first = self.chain.first_block();
        (first..=self.head)
            .contains(&number)
            .then(|| &*self.chain.blocks()[(number - first) as usize])
    }

    /// Returns the block with this id.
    pub(crate) fn existing_block(&self, id: BlockId) -> Result<&'a Block, ChainError> {
        self.block(id).ok_or(ChainError::UnknownBlock {
            asked: id,
            latest: self.head,
        })
    }

    /// Returns the block of a transaction, and its index.
    pub(crate) fn place_of_transaction(&self, hash: B256) -> Option<(&'a Block, usize)> {
        let (number, index) = self.chain.place_of_transaction(hash)?;
        Some((self.block(number.into())?, index))
    }

    /// Returns the visible pending transactions. Those in blocks not seen yet are still pending.
    pub(crate) fn pool(&self) -> Cow<'a, Pool> {
        if !self.sees_pool {
            return Cow::Owned(Pool::default());
        }
        if self.is_latest() {
            return Cow::Borrowed(&self.chain.pool);
        }
        let mut pool = self.chain.pool.clone();
        for block in self.blocks(self.head + 1..self.chain.block_number() + 1) {
            for mined in &block.transactions {
                pool.insert(mined.candidate.clone());
            }
        }
        Cow::Owned(pool)
    }

    /// Returns the pending transactions, by sender and nonce.
    pub(crate) fn pooled(&self) -> Vec<PooledTransaction> {
        let pool = self.pool();
        let pooled = pool.senders().flat_map(|sender| {
            let next = pool.next_nonce(sender, self.funds(sender).nonce);
            pool.of(sender).map(move |(nonce, waiting)| PooledTransaction {
                transaction: pending_transaction(&waiting.candidate),
                queued: nonce >= next,
                held: waiting.held,
            })
        });
        pooled.collect()
    }

    /// Returns a mined or pending transaction, as `eth_getTransactionByHash` shows it.
    pub(crate) fn transaction(&self, hash: B256) -> Option<types::Transaction> {
        if let Some((block, index)) = self.place_of_transaction(hash) {
            return block.rpc_transaction(index);
        }
        Some(pending_transaction(&self.pool().find(hash)?.candidate))
    }

    pub(crate) fn receipt(&self, hash: B256) -> Option<types::TransactionReceipt> {
        let (block, index) = self.place_of_transaction(hash)?;
        block.rpc_receipt(index, true)
    }

    /// Returns the next block's timestamp, in unix seconds.
    pub(crate) fn next_timestamp(&self) -> u64 {
        if self.is_latest() {
            self.chain.next_timestamp()
        } else {
            let latest = self.head_block().header.timestamp;
            latest.saturating_add(self.chain.config.block_interval)
        }
    }

    /// Returns the next block's base fee, in wei per gas unit.
    pub(crate) fn next_base_fee(&self) -> u64 {
        if self.is_latest() {
            self.chain.next_base_fee()
        } else {
            base_fee_after(&self.head_block().header)
        }
    }

    /// Returns the next block's header, without the fields that depend on its transactions.
    pub(crate) fn next_header(&self) -> Header {
        let parent = self.head_block();
        Header {
            parent_hash: parent.hash,
            // PREVRANDAO must be set, and reproducible.
            mix_hash: parent.hash,
            // So must the parent beacon block root; there is no beacon chain.
            parent_beacon_block_root: Some(keccak256(parent.hash)),
            number: parent.header.number + 1,
            timestamp: self.next_timestamp(),
            gas_limit: self.chain.config.gas_limit,
            base_fee_per_gas: Some(self.next_base_fee()),
            extra_data: fork_mark(self.chain.reorganizations()),
            ..Default::default()
        }
    }

    /// Returns a block, as `eth_getBlockByNumber` shows it.
    pub(crate) fn rpc_block(&self, id: BlockId, kind: BlockTransactionsKind) -> Option<types::Block> {
        if id.is_pending() {
            let Draft {
                header, transactions, ..
            } = self.draft();
            let block = Block::seal(header, transactions, self.chain.state.position());
            return Some(block.rpc_block(kind));
        }
        Some(self.block(id)?.rpc_block(kind))
    }

    /// Returns the block range of a filter, whether the blocks exist or not. The first may come after the
    /// last.
    pub(crate) fn log_range(&self, filter: &Filter) -> Result<Range<u64>, ChainError> {
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let number = self.existing_block(hash.into())?.header.number;
                Ok(number..number + 1)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let number = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
                    BlockNumberOrTag::Number(number) => number,
                    BlockNumberOrTag::Earliest => self.chain.first_block(),
                    BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => self.head,
                    BlockNumberOrTag::Safe => self.finality().safe,
                    BlockNumberOrTag::Finalized => self.finality().finalized,
                };
                Ok(number(from_block)..number(to_block).saturating_add(1))
            }
        }
    }

    /// Returns the logs that match a filter, oldest first.
    pub(crate) fn logs(&self, filter: &Filter) -> Result<Vec<types::Log>, ChainError> {
        let Range { start, end } = self.log_range(filter)?;
        let end = end.min(self.head + 1);
        Ok(self
            .blocks(start.min(end)..end)
            .iter()
            .flat_map(|block| block.rpc_logs(|log| filter.matches(log)))
            .collect())
    }

    /// Finds the latest log of a contract that begins with these topics, in the last `blocks` blocks: returns
    /// its block, and its transaction's index.
    pub(crate) fn find_log(
        &self,
        contract: Address,
        topics: &[B256],
        blocks: Option<u64>,
    ) -> Option<(&'a Block, usize, &'a Log)> {
        let mut wanted = Bloom::ZERO;
        wanted.accrue(BloomInput::Raw(contract.as_slice()));
        for topic in topics {
            wanted.accrue(BloomInput::Raw(topic.as_slice()));
        }
        let end = self.head + 1;
        let start = blocks.map_or(0, |blocks| end.saturating_sub(blocks));
        let candidates = self.blocks(start..end).iter().rev();
        candidates
            .filter(|block| block.header.logs_bloom.contains(&wanted))
            .find_map(|block| {
                let transactions = block.transactions.iter().enumerate();
                transactions.rev().find_map(|(index, mined)| {
                    let log = mined
                        .logs
                        .iter()
                        .rfind(|log| log.address == contract && log.topics().starts_with(topics))?;
                    Some((&**block, index, log))
                })
            })
    }

    /// Returns an overlay of the current state with that after this block.
    pub(crate) fn overlay_after(&self, number: u64) -> Overlay {
        let next = (number - self.chain.first_block()) as usize + 1;
        match self.chain.blocks().get(next) {
            Some(next) => self.chain.state.overlay_at(next.before),
            None => Overlay::default(),
        }
    }

    /// Returns an overlay of the current state with that after a block; for `pending`, after the next block.
    pub(crate) fn overlay(&self, block: BlockId) -> Result<Overlay, ChainError> {
        if block.is_pending() {
            return Ok(self.draft().overlay);
        }
        Ok(self.overlay_after(self.existing_block(block)?.header.number))
    }

    pub(crate) fn view(
        self,
        overlay: &'a Overlay,
    ) -> View<'a, impl Fn(u64) -> Result<B256, ChainError> + use<'a>> {
        View {
            state: &self.chain.state,
            overlay,
            block_hash: move |number: u64| {
                if number < self.chain.first_block() {
                    return self.chain.state.block_hash(number);
                }
                let block = self.block(number.into());
                Ok(block.map(|block| block.hash).unwrap_or_default())
            },
        }
    }

    /// Returns an account as of a block.
    pub(crate) fn account_at(
        &self,
        address: Address,
        block: BlockId,
    ) -> Result<Option<AccountInfo>, ChainError> {
        self.chain.check_source()?;
        let account = self.view(&self.overlay(block)?).account(address);
        self.chain.check_source()?;
        Ok(account)
    }

    /// Returns a storage slot as of a block.
    pub(crate) fn storage_at(
        &self,
        address: Address,
        slot: U256,
        block: BlockId,
    ) -> Result<U256, ChainError> {
        self.chain.check_source()?;
        let value = self.view(&self.overlay(block)?).storage(address, slot);
        self.chain.check_source()?;
        Ok(value)
    }

    /// Returns the nonce of a sender's next transaction, counting pending ones without a gap.
    pub(crate) fn pending_nonce(&self, address: Address) -> u64 {
        self.pool().next_nonce(address, self.funds(address).nonce)
    }

    pub(crate) fn funds(&self, address: Address) -> Funds {
        let overlay = self.overlay_after(self.head);
        let account = self.view(&overlay).account(address).unwrap_or_default();
        Funds {
            nonce: account.nonce,
            balance: account.balance,
        }
    }

    /// Checks whether the pool accepts a transaction.
    pub(crate) fn admit(&self, candidate: &Candidate) -> Result<(), ChainError> {
        let pool = self.pool();
        let hash = candidate.hash();
        if pool.find(hash).is_some() {
            return Err(ChainError::AlreadyKnown(hash));
        }
        let mut cfg = candidate.rules(&self.chain.cfg);
        // The base fee may fall.
        cfg.disable_base_fee = true;
        let env = candidate.env();
        let gas = validate_initial_tx_gas(&env, SpecId::PRAGUE, false, false, u64::MAX, None);
        let overlay = self.overlay_after(self.head);
        let mut context = Context::mainnet()
            .with_db(self.view(&overlay))
            .with_cfg(cfg)
            .with_block(block_env(&self.next_header()))
            .with_tx(env);
        validate_env(&mut context)
            .map_err(|error: EVMError<ReadError>| refusal(error, candidate.sender()))?;
        gas.map_err(ChainError::Refused)?;
        let account = self
            .view(&overlay)
            .account(candidate.sender())
            .unwrap_or_default();
        let is_contract = account
            .code
            .as_ref()
            .is_some_and(|code| !code.is_empty() && !code.is_eip7702());
        if is_contract && !candidate.unsigned {
            return Err(ChainError::Refused(InvalidTransaction::RejectCallerWithCode));
        }
        let funds = Funds {
            nonce: account.nonce,
            balance: account.balance,
        };
        pool.admit(candidate, funds)
    }

    /// Returns the fees of past blocks, as `eth_feeHistory` shows them. `percentiles` ascend from 0 to 100.
    pub(crate) fn fee_history(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: Option<&[f64]>,
    ) -> Result<FeeHistory, ChainError> {
        let newest = if newest.is_pending() {
            self.head
        } else {
            self.existing_block(newest.into())?.header.number
        };
        // At most 1024 blocks, as on real nodes.
        let oldest = (newest + 1)
            .saturating_sub(count.min(1024))
            .max(self.chain.first_block());
        let mut history = FeeHistory {
            oldest_block: oldest,
            ..Default::default()
        };
        let mut rewards = Vec::new();
        for block in self.blocks(oldest..newest + 1) {
            let header = &block.header;
            history
                .base_fee_per_gas
                .push(header.base_fee_per_gas.unwrap_or_default().into());
            history
                .gas_used_ratio
                .push(header.gas_used as f64 / header.gas_limit as f64);
            history.base_fee_per_blob_gas.push(1);
            history.blob_gas_used_ratio.push(0.0);
            rewards.push(
                percentiles
                    .map(|percentiles| tips(block, percentiles))
                    .unwrap_or_default(),
            );
        }
        let next = match self.block((newest + 1).into()) {
            Some(block) => block.header.base_fee_per_gas.unwrap_or_default(),
            None => self.next_base_fee(),
        };
        history.base_fee_per_gas.push(next.into());
        history.base_fee_per_blob_gas.push(1);
        history.reward = percentiles.map(|_| rewards);
        Ok(history)
    }
}

/// Returns the base fee of the next block by EIP-1559, in wei per gas unit.
pub(crate) fn base_fee_after(header: &Header) -> u64 {
    let next = calc_next_block_base_fee(
        header.gas_used,
        header.gas_limit,
        header.base_fee_per_gas.unwrap_or_default(),
        BaseFeeParams::ethereum(),
    );
    next.min(MAX_BASE_FEE)
}

/// Formats a pending transaction.
fn pending_transaction(candidate: &Candidate) -> types::Transaction {
    let info = TransactionInfo {
        hash: Some(candidate.hash()),
        ..Default::default()
    };
    types::Transaction::from_transaction(candidate.transaction.clone(), info)
}

/// Returns, for each percentile, the tip at or below which that share of the block's gas paid; zero in an
/// empty block.
fn tips(block: &Block, percentiles: &[f64]) -> Vec<u128> {
    let mut tips: Vec<(u128, u64)> = block
        .transactions
        .iter()
        .map(|mined| (mined.tip(&block.header), mined.gas_used))
        .collect();
    tips.sort_unstable();
    percentiles
        .iter()
        .map(|percentile| {
            let threshold = (block.header.gas_used as f64 * percentile / 100.0) as u64;
            let mut gas = 0;
            let reached = tips.iter().find(|(_, used)| {
                gas += used;
                gas >= threshold
            });
            reached.or(tips.last()).map_or(0, |(tip, _)| *tip)
        })
        .collect()
}
