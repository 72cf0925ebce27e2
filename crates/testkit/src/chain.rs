//! The chain: synchronous, deterministic, without JSON.

use crate::{
    accounts,
    block::Block,
    error::ChainError,
    state::{Overlay, Position, State, View, with_code},
};
use alloy::{
    consensus::Header,
    eips::{
        BlockId, BlockNumberOrTag,
        eip1559::{BaseFeeParams, calc_next_block_base_fee},
    },
    network::primitives::BlockTransactionsKind,
    primitives::{
        Address, B256, Bytes, U256,
        map::{AddressSet, B256Map},
    },
    rpc::types::{self, Filter, FilterBlockOption},
};
use revm::{context::CfgEnv, primitives::hardfork::SpecId, state::AccountInfo};
use std::collections::BTreeMap;

/// What a chain starts from.
///
/// ```
/// use session_key_testkit::{Chain, ChainConfig};
///
/// let chain = Chain::new(ChainConfig { chain_id: 8453, ..Default::default() });
/// assert_eq!(chain.chain_id(), 8453);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// EIP-155 chain id; anvil's 31337 by default.
    pub chain_id: u64,
    /// Unix seconds of block 0. The chain never looks at the clock of the machine.
    pub genesis_timestamp: u64,
    /// Seconds from one block to the next, where nothing else is asked for.
    pub block_interval: u64,
    /// Gas limit of every block, in gas units.
    pub gas_limit: u64,
    /// Base fee of block 0, in wei per gas unit, at most [`MAX_BASE_FEE`]; it then moves as EIP-1559 says.
    pub base_fee: u64,
    /// What each of the [`dev_accounts`](crate::dev_accounts) starts with, in wei.
    pub dev_balance: U256,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            chain_id: 31_337,
            genesis_timestamp: 1_750_000_000,
            block_interval: 1,
            gas_limit: 30_000_000,
            base_fee: 1_000_000_000,
            dev_balance: U256::from(10_000u64) * U256::from(10u64.pow(18)),
        }
    }
}

/// The highest base fee, in wei per gas unit: nine ether. From here, no block moves it beyond what a `u64` holds.
pub const MAX_BASE_FEE: u64 = u64::MAX / 2;

/// A simulated chain: an EVM (Prague), accounts, blocks, a clock that only moves when told.
///
/// Every transaction is mined at once, in a block of its own. There is no state trie, so the state root of every block is
/// that of an empty state; everything else in blocks is as on a live chain.
///
/// This type is synchronous and has one owner. [`Testkit`](crate::Testkit) shares it and serves it as an
/// [`alloy` provider](alloy::providers::Provider).
#[derive(Clone, Debug)]
pub struct Chain {
    pub(crate) config: ChainConfig,
    pub(crate) cfg: CfgEnv,
    pub(crate) state: State,
    blocks: Vec<Block>,
    /// Block number by block hash.
    block_numbers: B256Map<u64>,
    /// Block number by transaction hash.
    transaction_blocks: B256Map<u64>,
    /// Seconds to add to the next block's timestamp.
    time_offset: u64,
    /// The next block's timestamp, when it was set.
    next_timestamp: Option<u64>,
    /// The next block's base fee, when it was set.
    next_base_fee: Option<u64>,
    impersonated: AddressSet,
    snapshots: BTreeMap<u64, Snapshot>,
    next_snapshot: u64,
}

/// What there is to go back to, apart from what the undo log holds.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    position: Position,
    blocks: usize,
    time_offset: u64,
    next_timestamp: Option<u64>,
    next_base_fee: Option<u64>,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new(ChainConfig::default())
    }
}

impl Chain {
    /// A chain with block 0 and the funded [`dev_accounts`](crate::dev_accounts), and nothing else.
    #[must_use]
    pub fn new(config: ChainConfig) -> Self {
        let mut cfg = CfgEnv::new_with_spec(SpecId::PRAGUE).with_chain_id(config.chain_id);
        // As reth and anvil do: enough for anything that a block's gas can pay for, and no more.
        cfg.memory_limit = 128 * 1024 * 1024;
        let mut state = State::default();
        for account in accounts::dev_accounts() {
            let info = AccountInfo {
                balance: config.dev_balance,
                ..Default::default()
            };
            state.set_account(account.address, info);
        }
        let header = Header {
            timestamp: config.genesis_timestamp,
            gas_limit: config.gas_limit,
            base_fee_per_gas: Some(config.base_fee.min(MAX_BASE_FEE)),
            ..Default::default()
        };
        let genesis = Block::seal(header, None, state.position());
        Self {
            config,
            cfg,
            state,
            block_numbers: [(genesis.hash, 0)].into_iter().collect(),
            blocks: vec![genesis],
            transaction_blocks: B256Map::default(),
            time_offset: 0,
            next_timestamp: None,
            next_base_fee: None,
            impersonated: AddressSet::default(),
            snapshots: BTreeMap::new(),
            next_snapshot: 0,
        }
    }

    /// EIP-155 chain id.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.config.chain_id
    }

    fn head(&self) -> &Block {
        self.blocks.last().expect("block 0 always exists")
    }

    /// Number of the latest block.
    #[must_use]
    pub fn block_number(&self) -> u64 {
        self.head().header.number
    }

    /// Timestamp of the latest block, unix seconds.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.head().header.timestamp
    }

    /// Timestamp that the next block will have, unix seconds.
    #[must_use]
    pub fn next_timestamp(&self) -> u64 {
        self.next_timestamp.unwrap_or_else(|| {
            self.timestamp()
                .saturating_add(self.config.block_interval)
                .saturating_add(self.time_offset)
        })
    }

    /// Base fee that the next block will have, wei per gas unit.
    #[must_use]
    pub fn next_base_fee(&self) -> u64 {
        let header = &self.head().header;
        self.next_base_fee.unwrap_or_else(|| {
            let next = calc_next_block_base_fee(
                header.gas_used,
                header.gas_limit,
                header.base_fee_per_gas.unwrap_or_default(),
                BaseFeeParams::ethereum(),
            );
            next.min(MAX_BASE_FEE)
        })
    }

    /// Balance, in wei.
    #[must_use]
    pub fn balance(&self, address: Address) -> U256 {
        self.state
            .account(address)
            .map(|account| account.balance)
            .unwrap_or_default()
    }

    /// Number of transactions sent by an EOA, or of contracts made by a contract plus one.
    #[must_use]
    pub fn nonce(&self, address: Address) -> u64 {
        self.state
            .account(address)
            .map(|account| account.nonce)
            .unwrap_or_default()
    }

    /// Deployed code; empty for an EOA.
    #[must_use]
    pub fn code(&self, address: Address) -> Bytes {
        self.state.account(address).map(code_of).unwrap_or_default()
    }

    /// One storage slot.
    #[must_use]
    pub fn storage(&self, address: Address, slot: U256) -> U256 {
        self.state.storage(address, slot)
    }

    /// Sets a balance, in wei.
    pub fn set_balance(&mut self, address: Address, balance: U256) {
        let info = AccountInfo {
            balance,
            ..self.account_or_default(address)
        };
        self.state.set_account(address, info);
    }

    /// Sets a nonce.
    pub fn set_nonce(&mut self, address: Address, nonce: u64) {
        let info = AccountInfo {
            nonce,
            ..self.account_or_default(address)
        };
        self.state.set_account(address, info);
    }

    /// Sets the deployed code of an address.
    ///
    /// # Errors
    ///
    /// [`ChainError::InvalidCode`] for a malformed EIP-7702 delegation.
    pub fn set_code(&mut self, address: Address, code: impl Into<Bytes>) -> Result<(), ChainError> {
        let info = with_code(self.account_or_default(address), code.into())
            .map_err(|error| ChainError::InvalidCode(error.to_string()))?;
        self.state.set_account(address, info);
        Ok(())
    }

    /// Sets one storage slot.
    pub fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.state.set_storage(address, slot, value);
    }

    fn account_or_default(&self, address: Address) -> AccountInfo {
        self.state.account(address).cloned().unwrap_or_default()
    }

    /// Moves the clock: the next block comes so many seconds later than it would have.
    pub fn increase_time(&mut self, seconds: u64) {
        self.time_offset = self.time_offset.saturating_add(seconds);
    }

    /// Seconds that [`increase_time`](Self::increase_time) has added to the next block's time.
    pub(crate) fn time_offset(&self) -> u64 {
        self.time_offset
    }

    /// Sets the timestamp of the next block, unix seconds.
    ///
    /// # Errors
    ///
    /// [`ChainError::TimestampNotIncreasing`] unless it is after that of the latest block.
    pub fn set_next_timestamp(&mut self, timestamp: u64) -> Result<(), ChainError> {
        let latest = self.timestamp();
        if timestamp <= latest {
            return Err(ChainError::TimestampNotIncreasing {
                asked: timestamp,
                latest,
            });
        }
        self.next_timestamp = Some(timestamp);
        self.time_offset = 0;
        Ok(())
    }

    /// Sets the base fee of the next block, wei per gas unit; at most [`MAX_BASE_FEE`].
    pub fn set_next_base_fee(&mut self, base_fee: u64) {
        self.next_base_fee = Some(base_fee.min(MAX_BASE_FEE));
    }

    /// Mines an empty block.
    pub fn mine(&mut self) {
        let header = self.next_header();
        let before = self.state.position();
        self.append(Block::seal(header, None, before));
    }

    /// Mines an empty block with this timestamp, unix seconds, so that views see the time too.
    ///
    /// # Errors
    ///
    /// [`ChainError::TimestampNotIncreasing`] unless it is after that of the latest block.
    pub fn mine_at(&mut self, timestamp: u64) -> Result<(), ChainError> {
        self.set_next_timestamp(timestamp)?;
        self.mine();
        Ok(())
    }

    /// Remembers the chain as it is. What is set for the next block is remembered too; who is impersonated is not.
    pub fn snapshot(&mut self) -> u64 {
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        self.snapshots.insert(
            id,
            Snapshot {
                position: self.state.position(),
                blocks: self.blocks.len(),
                time_offset: self.time_offset,
                next_timestamp: self.next_timestamp,
                next_base_fee: self.next_base_fee,
            },
        );
        id
    }

    /// Goes back to a snapshot. That snapshot and all later ones are gone afterwards, as on other development nodes.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownSnapshot`].
    pub fn revert(&mut self, snapshot: u64) -> Result<(), ChainError> {
        let Snapshot {
            position,
            blocks,
            time_offset,
            next_timestamp,
            next_base_fee,
        } = *self
            .snapshots
            .get(&snapshot)
            .ok_or(ChainError::UnknownSnapshot(snapshot))?;
        self.snapshots.split_off(&snapshot);
        self.state.revert_to(position);
        for block in self.blocks.drain(blocks..) {
            self.block_numbers.remove(&block.hash);
            if let Some(mined) = block.transaction {
                self.transaction_blocks.remove(&mined.hash());
            }
        }
        self.time_offset = time_offset;
        self.next_timestamp = next_timestamp;
        self.next_base_fee = next_base_fee;
        Ok(())
    }

    /// Lets [`send`](Self::send)'s JSON-RPC twin `eth_sendTransaction` send for an address without its key.
    pub fn impersonate(&mut self, address: Address) {
        self.impersonated.insert(address);
    }

    /// Ends [`impersonate`](Self::impersonate).
    pub fn stop_impersonating(&mut self, address: Address) {
        self.impersonated.remove(&address);
    }

    /// Whether [`impersonate`](Self::impersonate) was called for an address.
    #[must_use]
    pub fn is_impersonated(&self, address: Address) -> bool {
        self.impersonated.contains(&address)
    }

    /// The header of the block to come, but for what depends on its transaction.
    pub(crate) fn next_header(&self) -> Header {
        let parent = self.head();
        Header {
            parent_hash: parent.hash,
            // PREVRANDAO has to be something, and the same in every run.
            mix_hash: parent.hash,
            number: parent.header.number + 1,
            timestamp: self.next_timestamp(),
            gas_limit: self.config.gas_limit,
            base_fee_per_gas: Some(self.next_base_fee()),
            ..Default::default()
        }
    }

    pub(crate) fn append(&mut self, block: Block) {
        self.block_numbers.insert(block.hash, block.header.number);
        if let Some(mined) = &block.transaction {
            self.transaction_blocks.insert(mined.hash(), block.header.number);
        }
        self.blocks.push(block);
        self.time_offset = 0;
        self.next_timestamp = None;
        self.next_base_fee = None;
    }

    /// The block that an id names; `None` for one that is not there. Pending is no block.
    pub(crate) fn block(&self, id: BlockId) -> Option<&Block> {
        let number = match id {
            BlockId::Hash(hash) => *self.block_numbers.get(&hash.block_hash)?,
            BlockId::Number(BlockNumberOrTag::Number(number)) => number,
            BlockId::Number(BlockNumberOrTag::Earliest) => 0,
            BlockId::Number(BlockNumberOrTag::Pending) => return None,
            // A block of this chain is final at once.
            BlockId::Number(
                BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized,
            ) => self.block_number(),
        };
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// The block that an id names.
    pub(crate) fn existing_block(&self, id: BlockId) -> Result<&Block, ChainError> {
        self.block(id).ok_or(ChainError::UnknownBlock {
            asked: id,
            latest: self.block_number(),
        })
    }

    pub(crate) fn block_of_transaction(&self, hash: B256) -> Option<&Block> {
        self.block((*self.transaction_blocks.get(&hash)?).into())
    }

    /// A block, as `eth_getBlockByNumber` shows it.
    #[must_use]
    pub fn block_at(&self, id: BlockId) -> Option<types::Block> {
        if id.is_pending() {
            let block = Block::seal(self.next_header(), None, self.state.position());
            return Some(block.rpc_block(BlockTransactionsKind::Full));
        }
        Some(self.block(id)?.rpc_block(BlockTransactionsKind::Full))
    }

    /// A receipt, as `eth_getTransactionReceipt` shows it.
    #[must_use]
    pub fn receipt(&self, transaction_hash: B256) -> Option<types::TransactionReceipt> {
        self.block_of_transaction(transaction_hash)?.rpc_receipt()
    }

    /// The logs that a filter matches, oldest first.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownBlock`] for a block hash that is not there.
    pub fn logs(&self, filter: &Filter) -> Result<Vec<types::Log>, ChainError> {
        let blocks = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let id = BlockId::from(hash);
                std::slice::from_ref(self.existing_block(id)?)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let number = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
                    BlockNumberOrTag::Number(number) => usize::try_from(number).unwrap_or(usize::MAX),
                    BlockNumberOrTag::Earliest => 0,
                    _ => self.blocks.len() - 1,
                };
                let end = number(to_block).saturating_add(1).min(self.blocks.len());
                &self.blocks[number(from_block).min(end)..end]
            }
        };
        Ok(blocks
            .iter()
            .flat_map(Block::rpc_logs)
            .filter(|log| filter.matches(&log.inner))
            .collect())
    }

    /// What makes the present look like the state after a block (for the latest one and `pending`: nothing).
    pub(crate) fn overlay(&self, block: BlockId) -> Result<Overlay, ChainError> {
        if block.is_pending() {
            return Ok(Overlay::default());
        }
        let number = self.existing_block(block)?.header.number;
        Ok(match self.blocks.get(number as usize + 1) {
            Some(next) => self.state.overlay_at(next.before),
            None => Overlay::default(),
        })
    }

    pub(crate) fn view<'a>(&'a self, overlay: &'a Overlay) -> View<'a, impl Fn(u64) -> B256 + use<'a>> {
        View {
            state: &self.state,
            overlay,
            block_hash: |number: u64| {
                self.block(number.into())
                    .map(|block| block.hash)
                    .unwrap_or_default()
            },
        }
    }

    /// An account as it was after a block.
    pub(crate) fn account_at(
        &self,
        address: Address,
        block: BlockId,
    ) -> Result<Option<AccountInfo>, ChainError> {
        Ok(self.view(&self.overlay(block)?).account(address))
    }

    /// A storage slot as it was after a block.
    pub(crate) fn storage_at(
        &self,
        address: Address,
        slot: U256,
        block: BlockId,
    ) -> Result<U256, ChainError> {
        Ok(self.view(&self.overlay(block)?).storage(address, slot))
    }
}

/// The deployed code of an account.
pub(crate) fn code_of(account: &AccountInfo) -> Bytes {
    account
        .code
        .as_ref()
        .map(|code| code.original_bytes())
        .unwrap_or_default()
}
