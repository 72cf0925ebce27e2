//! The chain: synchronous and deterministic.

use crate::{
    LoadError, StateDump, accounts,
    block::{Block, Finality},
    error::ChainError,
    fork::{SourceAccount, StateSource},
    pool::{Funds, Pool, PooledTransaction},
    saved::SavedChain,
    state::{Position, State, with_code},
    vantage::base_fee_after,
};
use alloy::{
    consensus::Header,
    eips::{BlockId, eip2935, eip4788},
    network::primitives::BlockTransactionsKind,
    primitives::{
        Address, B256, Bytes, U256,
        map::{AddressSet, B256Map},
    },
    rpc::types::{self, Filter},
};
use revm::{context::CfgEnv, primitives::hardfork::SpecId, state::AccountInfo};
use std::{collections::BTreeMap, sync::Arc};

/// The initial configuration of a chain.
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
    /// Number of the first block, which has no transactions; 0 by default. The rest of the documentation
    /// calls it block 0.
    pub first_block: u64,
    /// Timestamp of block 0, in unix seconds. The chain never reads the system clock.
    pub genesis_timestamp: u64,
    /// Default seconds between blocks.
    pub block_interval: u64,
    /// Gas limit of every block, in gas units.
    pub gas_limit: u64,
    /// Base fee of block 0, in wei per gas unit, at most [`MAX_BASE_FEE`]; it then follows EIP-1559.
    pub base_fee: u64,
    /// Initial balance of each of the [`dev_accounts`](crate::dev_accounts), in wei.
    pub dev_balance: U256,
    /// Whether each transaction is mined at once, in its own block. Otherwise it waits in the pool for
    /// [`Chain::mine`].
    pub automine: bool,
    /// How many blocks `safe` is behind the latest block.
    pub safe_distance: u64,
    /// How many blocks `finalized` is behind the latest block, and so the maximum depth of a
    /// [reorganization](Chain::reorganize).
    pub finalized_distance: u64,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            chain_id: 31_337,
            first_block: 0,
            genesis_timestamp: 1_750_000_000,
            block_interval: 1,
            gas_limit: 30_000_000,
            base_fee: 1_000_000_000,
            dev_balance: U256::from(10_000u64) * U256::from(10u64.pow(18)),
            automine: true,
            safe_distance: 0,
            finalized_distance: 0,
        }
    }
}

/// The maximum base fee, in wei per gas unit: about nine ether. From here, one block cannot raise it beyond a
/// `u64`.
pub const MAX_BASE_FEE: u64 = u64::MAX / 2;

/// A simulated chain: an EVM (Prague), accounts, blocks, a pool, and a clock that moves only when told.
///
/// By default, every transaction is mined at once, in its own block; with
/// [`set_automine(false)`](Self::set_automine), transactions wait in a pool for [`mine`](Self::mine). There
/// is no state trie, so every block has the state root of an empty state; otherwise, blocks are as on a live
/// chain.
///
/// This type is synchronous and has one owner. [`Testkit`](crate::Testkit) shares it and serves it as an
/// [`alloy` provider](alloy::providers::Provider).
#[derive(Clone, Debug)]
pub struct Chain {
    pub(crate) config: ChainConfig,
    pub(crate) cfg: CfgEnv,
    pub(crate) state: State,
    pub(crate) pool: Pool,
    blocks: Vec<Arc<Block>>,
    /// Block number by block hash.
    block_numbers: B256Map<u64>,
    /// Block number and transaction index, by transaction hash.
    transaction_places: B256Map<(u64, usize)>,
    /// As of the latest block.
    finality: Finality,
    /// The number of reorganizations so far.
    fork: u64,
    /// What a clock says; the next block's timestamp is no earlier, unless it is set.
    clock: u64,
    /// Seconds to add to the next block's timestamp.
    time_offset: u64,
    /// The next block's timestamp, if set.
    next_timestamp: Option<u64>,
    /// The next block's base fee, if set.
    next_base_fee: Option<u64>,
    impersonated: AddressSet,
    snapshots: BTreeMap<u64, Snapshot>,
    next_snapshot: u64,
}

/// A snapshot, except for what the undo log holds.
#[derive(Clone, Debug)]
struct Snapshot {
    position: Position,
    blocks: usize,
    pool: Pool,
    finality: Finality,
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
    /// Creates a chain with block 0 and the funded [`dev_accounts`](crate::dev_accounts).
    #[must_use]
    pub fn new(config: ChainConfig) -> Self {
        Self::on(State::default(), config)
    }

    /// Creates a chain on another chain's state, which is fetched on demand. It begins with its own [first
    /// block](ChainConfig::first_block); the development accounts are new and funded, whatever their state in
    /// the source.
    ///
    /// Fallible methods fail with [`ChainError::Source`] when the source does, and can be retried.
    /// [`balance`](Self::balance), [`nonce`](Self::nonce), [`code`](Self::code), [`storage`](Self::storage)
    /// and their setters cannot fail: they treat the missing value as empty, and
    /// [`check_source`](Self::check_source), or else the next call or transaction, returns the source's
    /// error.
    ///
    /// ```
    /// use session_key_testkit::{Chain, ChainConfig, Stack, dev_accounts};
    /// use std::sync::Arc;
    /// # use alloy::primitives::U256;
    ///
    /// let mut chain = Chain::default();
    /// let stack = Stack::deploy(&mut chain)?;
    /// let account = stack.create_account(&mut chain, U256::ZERO, &[dev_accounts()[0].address])?;
    /// // A file or a node works as well as memory.
    /// let fork = Chain::fork(ChainConfig::default(), Arc::new(chain.dump()));
    /// assert_eq!(fork.code(account), chain.code(account));
    /// # Ok::<(), session_key_testkit::ChainError>(())
    /// ```
    #[must_use]
    pub fn fork(config: ChainConfig, source: Arc<dyn StateSource>) -> Self {
        Self::on(State::fork(source), config)
    }

    /// Returns a pending error of a [forked](Self::fork) chain's source.
    ///
    /// # Errors
    ///
    /// [`ChainError::Source`], once per failure.
    pub fn check_source(&self) -> Result<(), ChainError> {
        self.state.failure()
    }

    /// Returns all accounts and their storage after the latest block; for a [forked](Self::fork) chain, those
    /// fetched or changed. Blocks and transactions are not included.
    #[must_use]
    pub fn dump(&self) -> StateDump {
        let (accounts, storage) = self.state.contents();
        let mut dump = StateDump::default();
        for (address, info) in accounts {
            let account = SourceAccount {
                balance: info.balance,
                nonce: info.nonce,
                code: code_of(&info),
            };
            dump.insert(address, account);
        }
        for ((address, slot), value) in storage {
            dump.insert_slot(address, slot, value);
        }
        dump
    }

    /// Returns the chain as a text that [`load`](Self::load) reads: blocks, transactions, logs, and the state
    /// with its history. Not in it: the pool, snapshots, impersonated addresses, and what is set for the next
    /// block. `None` on a [fork](Self::fork), whose state is elsewhere.
    ///
    /// ```
    /// use session_key_testkit::{Chain, Stack};
    ///
    /// let mut chain = Chain::default();
    /// let stack = Stack::deploy(&mut chain)?;
    /// let saved = chain.save().expect("it is no fork");
    /// let loaded = Chain::load(&saved)?;
    /// assert_eq!(loaded.block_number(), chain.block_number());
    /// assert_eq!(loaded.code(stack.account_factory), chain.code(stack.account_factory));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn save(&self) -> Option<String> {
        let saved = SavedChain::new(&self.config, &self.blocks, self.state.save()?);
        // It has no maps with keys that are not texts, and nothing else that JSON cannot hold.
        serde_json::to_string(&saved).ok()
    }

    /// Goes on with a chain that was [saved](Self::save).
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the text is not that of a saved chain.
    pub fn load(text: &str) -> Result<Self, LoadError> {
        let mut saved = SavedChain::parse(text)?;
        let state = State::load(std::mem::take(&mut saved.state))?;
        let blocks = saved.blocks(state.position().changes())?;
        let mut chain = Self::on(State::default(), saved.config());
        chain.state = state;
        chain.blocks = Vec::with_capacity(blocks.len());
        chain.block_numbers.clear();
        for block in blocks {
            let number = block.header.number;
            chain.finality = block.finality;
            chain.block_numbers.insert(block.hash, number);
            for (index, mined) in block.transactions.iter().enumerate() {
                chain.transaction_places.insert(mined.hash(), (number, index));
            }
            chain.blocks.push(Arc::new(block));
        }
        Ok(chain)
    }

    /// Returns the number of the first block.
    pub(crate) const fn first_block(&self) -> u64 {
        self.config.first_block
    }

    fn on(mut state: State, config: ChainConfig) -> Self {
        let mut cfg = CfgEnv::new_with_spec(SpecId::PRAGUE).with_chain_id(config.chain_id);
        // As in reth and anvil: more than a block's gas can pay for.
        cfg.memory_limit = 128 * 1024 * 1024;
        for account in accounts::dev_accounts() {
            let info = AccountInfo {
                balance: config.dev_balance,
                ..Default::default()
            };
            state.set_account(account.address, info);
        }
        for (contract, code) in [
            (eip2935::HISTORY_STORAGE_ADDRESS, &eip2935::HISTORY_STORAGE_CODE),
            (eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
        ] {
            let created = AccountInfo {
                nonce: 1,
                ..Default::default()
            };
            let info = with_code(created, code.clone()).expect("the code is no malformed delegation");
            state.set_account(contract, info);
        }
        let parent = config.first_block.checked_sub(1);
        let header = Header {
            number: config.first_block,
            parent_hash: state.kept(parent.map_or(Ok(B256::ZERO), |parent| state.block_hash(parent))),
            timestamp: config.genesis_timestamp,
            gas_limit: config.gas_limit,
            base_fee_per_gas: Some(config.base_fee.min(MAX_BASE_FEE)),
            parent_beacon_block_root: Some(B256::ZERO),
            ..Default::default()
        };
        let mut genesis = Block::seal(header, Vec::new(), state.position());
        genesis.finality = Finality {
            safe: config.first_block,
            finalized: config.first_block,
        };
        Self {
            config,
            cfg,
            state,
            pool: Pool::default(),
            block_numbers: [(genesis.hash, genesis.header.number)].into_iter().collect(),
            finality: genesis.finality,
            blocks: vec![Arc::new(genesis)],
            transaction_places: B256Map::default(),
            fork: 0,
            clock: 0,
            time_offset: 0,
            next_timestamp: None,
            next_base_fee: None,
            impersonated: AddressSet::default(),
            snapshots: BTreeMap::new(),
            next_snapshot: 0,
        }
    }

    /// Returns the EIP-155 chain id.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.config.chain_id
    }

    pub(crate) fn head(&self) -> &Block {
        self.blocks.last().expect("block 0 always exists")
    }

    /// Returns the number of the latest block.
    #[must_use]
    pub fn block_number(&self) -> u64 {
        self.head().header.number
    }

    /// Returns the timestamp of the latest block, in unix seconds.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.head().header.timestamp
    }

    /// Returns the timestamp that the next block will have, in unix seconds.
    #[must_use]
    pub fn next_timestamp(&self) -> u64 {
        self.next_timestamp.unwrap_or_else(|| {
            self.timestamp()
                .saturating_add(self.config.block_interval)
                .max(self.clock)
                .saturating_add(self.time_offset)
        })
    }

    /// Returns the base fee that the next block will have, in wei per gas unit.
    #[must_use]
    pub fn next_base_fee(&self) -> u64 {
        self.next_base_fee
            .unwrap_or_else(|| base_fee_after(&self.head().header))
    }

    /// Returns a balance, in wei.
    #[must_use]
    pub fn balance(&self, address: Address) -> U256 {
        self.state
            .account(address)
            .map(|account| account.balance)
            .unwrap_or_default()
    }

    /// Returns a nonce: the number of transactions sent by an EOA, or of contracts created by a contract plus
    /// one.
    #[must_use]
    pub fn nonce(&self, address: Address) -> u64 {
        self.state
            .account(address)
            .map(|account| account.nonce)
            .unwrap_or_default()
    }

    /// Returns deployed code; empty for an EOA.
    #[must_use]
    pub fn code(&self, address: Address) -> Bytes {
        self.state
            .account(address)
            .as_ref()
            .map(code_of)
            .unwrap_or_default()
    }

    /// Returns a storage slot.
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
        self.check_source()?;
        let before = self.account_or_default(address);
        self.check_source()?;
        let info =
            with_code(before, code.into()).map_err(|error| ChainError::InvalidCode(error.to_string()))?;
        self.state.set_account(address, info);
        Ok(())
    }

    /// Sets one storage slot.
    pub fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.state.set_storage(address, slot, value);
    }

    fn account_or_default(&self, address: Address) -> AccountInfo {
        self.state.account(address).unwrap_or_default()
    }

    /// Sets what a clock says, in unix seconds.
    pub(crate) const fn set_clock(&mut self, now: u64) {
        self.clock = now;
    }

    /// Adds seconds to the next block's timestamp.
    pub const fn increase_time(&mut self, seconds: u64) {
        self.time_offset = self.time_offset.saturating_add(seconds);
    }

    /// Returns the seconds that [`increase_time`](Self::increase_time) has added to the next block's
    /// timestamp.
    pub(crate) const fn time_offset(&self) -> u64 {
        self.time_offset
    }

    /// Sets the timestamp of the next block, in unix seconds.
    ///
    /// # Errors
    ///
    /// [`ChainError::TimestampNotIncreasing`] unless it is after the latest block's.
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

    /// Sets the base fee of the next block, in wei per gas unit, capped at [`MAX_BASE_FEE`].
    pub fn set_next_base_fee(&mut self, base_fee: u64) {
        self.next_base_fee = Some(base_fee.min(MAX_BASE_FEE));
    }

    /// [Mines](Self::mine) a block with this timestamp, in unix seconds, so that views see that time.
    ///
    /// # Errors
    ///
    /// [`ChainError::TimestampNotIncreasing`] unless it is after the latest block's.
    pub fn mine_at(&mut self, timestamp: u64) -> Result<(), ChainError> {
        self.set_next_timestamp(timestamp)?;
        self.mine();
        Ok(())
    }

    /// Takes a snapshot. It includes the pool and the settings of the next block, but neither impersonation
    /// nor automining.
    pub fn snapshot(&mut self) -> u64 {
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        self.snapshots.insert(
            id,
            Snapshot {
                position: self.state.position(),
                blocks: self.blocks.len(),
                pool: self.pool.clone(),
                finality: self.finality,
                time_offset: self.time_offset,
                next_timestamp: self.next_timestamp,
                next_base_fee: self.next_base_fee,
            },
        );
        id
    }

    /// Reverts to a snapshot. That snapshot and all later ones become invalid, as on other development nodes.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownSnapshot`].
    pub fn revert(&mut self, snapshot: u64) -> Result<(), ChainError> {
        let unknown = ChainError::UnknownSnapshot(snapshot);
        let Snapshot {
            position,
            blocks,
            pool,
            finality,
            time_offset,
            next_timestamp,
            next_base_fee,
        } = self.snapshots.remove(&snapshot).ok_or(unknown)?;
        self.snapshots.split_off(&snapshot);
        self.remove_blocks(blocks, position);
        self.pool = pool;
        self.finality = finality;
        self.time_offset = time_offset;
        self.next_timestamp = next_timestamp;
        self.next_base_fee = next_base_fee;
        Ok(())
    }

    /// Removes the blocks from this number on, and reverts the state to `position`.
    pub(crate) fn remove_blocks(&mut self, from: usize, position: Position) -> Vec<Arc<Block>> {
        self.state.revert_to(position);
        let removed = self.blocks.split_off(from);
        for block in &removed {
            self.block_numbers.remove(&block.hash);
            for mined in &block.transactions {
                self.transaction_places.remove(&mined.hash());
            }
        }
        removed
    }

    /// Lets `eth_sendTransaction`, the JSON-RPC counterpart of [`send`](Self::send), send from an address
    /// without its key.
    pub fn impersonate(&mut self, address: Address) {
        self.impersonated.insert(address);
    }

    /// Ends [`impersonate`](Self::impersonate).
    pub fn stop_impersonating(&mut self, address: Address) {
        self.impersonated.remove(&address);
    }

    /// Returns whether an address is impersonated.
    #[must_use]
    pub fn is_impersonated(&self, address: Address) -> bool {
        self.impersonated.contains(&address)
    }

    /// Returns the next block's header, without the fields that depend on its transactions.
    pub(crate) fn next_header(&self) -> Header {
        self.vantage().next_header()
    }

    pub(crate) fn append(&mut self, mut block: Block) {
        let number = block.header.number;
        let finalized = self
            .finality
            .finalized
            .max(number.saturating_sub(self.config.finalized_distance));
        self.finality = Finality {
            safe: finalized.max(number.saturating_sub(self.config.safe_distance)),
            finalized,
        };
        block.finality = self.finality;
        self.block_numbers.insert(block.hash, number);
        for (index, mined) in block.transactions.iter().enumerate() {
            self.transaction_places.insert(mined.hash(), (number, index));
        }
        self.blocks.push(Arc::new(block));
        self.time_offset = 0;
        self.next_timestamp = None;
        self.next_base_fee = None;
        self.settle_pool();
    }

    /// Drops transactions from the pool that can no longer be included.
    pub(crate) fn settle_pool(&mut self) {
        if self.pool.is_empty() {
            return;
        }
        let state = &self.state;
        self.pool
            .settle(self.config.gas_limit, |address| funds(state, address));
    }

    /// Returns all blocks, by number.
    pub(crate) fn blocks(&self) -> &[Arc<Block>] {
        &self.blocks
    }

    pub(crate) fn number_of_block(&self, hash: B256) -> Option<u64> {
        self.block_numbers.get(&hash).copied()
    }

    /// Returns a transaction's block number and index.
    pub(crate) fn place_of_transaction(&self, hash: B256) -> Option<(u64, usize)> {
        self.transaction_places.get(&hash).copied()
    }

    pub(crate) const fn finality(&self) -> Finality {
        self.finality
    }

    pub(crate) const fn set_finality(&mut self, finality: Finality) {
        self.finality = finality;
    }

    /// Invalidates the snapshots that include this block.
    pub(crate) fn forget_snapshots_with(&mut self, block: usize) {
        self.snapshots.retain(|_, snapshot| snapshot.blocks <= block);
    }

    /// Makes future blocks differ from all earlier ones.
    pub(crate) const fn next_fork(&mut self) {
        self.fork += 1;
    }

    /// Returns the number of reorganizations so far.
    pub(crate) const fn reorganizations(&self) -> u64 {
        self.fork
    }

    /// Sets how many blocks `safe` and `finalized` are behind the latest, from the next block on. Final
    /// blocks stay final.
    pub const fn set_finality_distances(&mut self, safe: u64, finalized: u64) {
        self.config.safe_distance = safe;
        self.config.finalized_distance = finalized;
    }

    /// Returns whether transactions are mined at once, each in its own block.
    #[must_use]
    pub const fn automine(&self) -> bool {
        self.config.automine
    }

    /// Sets whether a transaction is mined at once, in its own block, or waits in the pool for
    /// [`mine`](Self::mine). Already pending transactions stay pending.
    ///
    /// ```
    /// use alloy::{primitives::U256, providers::Provider, rpc::types::TransactionRequest};
    /// use session_key_testkit::{Testkit, dev_accounts};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let testkit = Testkit::default();
    /// testkit.chain().set_automine(false);
    /// let [alice, bob] = [dev_accounts()[0], dev_accounts()[1]];
    /// let provider = testkit.provider_with_signer(alice.signer());
    /// let transfer = TransactionRequest::default().to(bob.address).value(U256::from(1));
    /// let pending = provider.send_transaction(transfer).await?;
    /// assert_eq!(provider.get_transaction_receipt(*pending.tx_hash()).await?, None);
    /// assert_eq!(provider.get_transaction_count(alice.address).pending().await?, 1);
    /// testkit.chain().mine();
    /// assert!(pending.get_receipt().await?.status());
    /// # Ok(())
    /// # }
    /// ```
    pub const fn set_automine(&mut self, automine: bool) {
        self.config.automine = automine;
    }

    /// Returns the transactions in the pool, by sender and nonce.
    #[must_use]
    pub fn pool(&self) -> Vec<PooledTransaction> {
        self.vantage().pooled()
    }

    /// Returns the nonce of a sender's next transaction: [`nonce`](Self::nonce) plus the pending transactions
    /// up to the first gap.
    #[must_use]
    pub fn pending_nonce(&self, address: Address) -> u64 {
        self.vantage().pending_nonce(address)
    }

    /// Removes a transaction from the pool, as if all nodes had dropped it. It can be sent again.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownTransaction`] if it is not in the pool.
    pub fn drop_pooled(&mut self, transaction_hash: B256) -> Result<(), ChainError> {
        match self.pool.remove(transaction_hash) {
            Some(_) => Ok(()),
            None => Err(ChainError::UnknownTransaction(transaction_hash)),
        }
    }

    /// Keeps a transaction in the pool and out of blocks, along with the sender's later ones, until it is
    /// [released](Self::release_pooled).
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownTransaction`] if it is not in the pool.
    pub fn hold_pooled(&mut self, transaction_hash: B256) -> Result<(), ChainError> {
        self.pool.set_held(transaction_hash, true)
    }

    /// Ends [`hold_pooled`](Self::hold_pooled).
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownTransaction`] if it is not in the pool.
    pub fn release_pooled(&mut self, transaction_hash: B256) -> Result<(), ChainError> {
        self.pool.set_held(transaction_hash, false)
    }

    /// Returns a block, as `eth_getBlockByNumber` shows it.
    #[must_use]
    pub fn block_at(&self, id: BlockId) -> Option<types::Block> {
        self.vantage().rpc_block(id, BlockTransactionsKind::Full)
    }

    /// Returns a receipt, as `eth_getTransactionReceipt` shows it.
    #[must_use]
    pub fn receipt(&self, transaction_hash: B256) -> Option<types::TransactionReceipt> {
        self.vantage().receipt(transaction_hash)
    }

    /// Returns the logs that match a filter, oldest first.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownBlock`] for an unknown block hash.
    pub fn logs(&self, filter: &Filter) -> Result<Vec<types::Log>, ChainError> {
        self.vantage().logs(filter)
    }
}

fn funds(state: &State, address: Address) -> Funds {
    state
        .account(address)
        .map(|account| Funds {
            nonce: account.nonce,
            balance: account.balance,
        })
        .unwrap_or_default()
}

/// Returns an account's deployed code.
pub(crate) fn code_of(account: &AccountInfo) -> Bytes {
    account
        .code
        .as_ref()
        .map(|code| code.original_bytes())
        .unwrap_or_default()
}
