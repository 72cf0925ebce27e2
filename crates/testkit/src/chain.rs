//! The chain: synchronous, deterministic, without JSON.

use crate::{
    accounts,
    block::{Block, MinedTransaction},
    error::ChainError,
    state::{Overlay, Position, State, View, with_code},
};
use alloy::{
    consensus::{
        Header, SignableTransaction, Transaction as _, TxEnvelope, TypedTransaction,
        transaction::{Recovered, SignerRecoverable},
    },
    eips::{
        BlockId, BlockNumberOrTag,
        eip1559::{BaseFeeParams, calc_next_block_base_fee},
        eip2718::Decodable2718,
    },
    network::primitives::BlockTransactionsKind,
    primitives::{
        Address, B256, Bytes, Log, Signature, TxKind, U256,
        map::{AddressSet, B256Map},
    },
    rpc::types::{
        self, BlockOverrides, Filter, FilterBlockOption, TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
    sol_types::SolCall,
};
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, Output, ResultAndState},
    },
    context_interface::block::BlobExcessGasAndPrice,
    primitives::{eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE, hardfork::SpecId},
    state::AccountInfo,
};
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
    /// Base fee of block 0, in wei per gas; it then moves as EIP-1559 says.
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

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It did what it was to do.
    Success,
    /// It reverted; the revert data is [`Execution::output`].
    Reverted,
    /// It came to an exceptional halt.
    Halted(HaltReason),
}

/// A mined transaction and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Number of its block.
    pub block_number: u64,
    /// How it ended.
    pub status: Status,
    /// Gas units, after refunds.
    pub gas_used: u64,
    /// Return data or revert data.
    pub output: Bytes,
    /// Events, in order.
    pub logs: Vec<Log>,
    /// The contract that a creation made.
    pub created: Option<Address>,
}

impl Execution {
    /// Whether the transaction did what it was to do.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.status, Status::Success)
    }

    /// The return data, or why there is none.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] or [`ChainError::Halted`].
    pub fn ok(self) -> Result<Self, ChainError> {
        match self.status {
            Status::Success => Ok(self),
            Status::Reverted => Err(ChainError::Reverted { output: self.output }),
            Status::Halted(reason) => Err(ChainError::Halted(reason)),
        }
    }
}

/// Where and on what a call runs. By default: on the latest block, as it is.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The block whose state and whose number, time and base fee the call sees. `pending` is the block that a transaction
    /// sent now would be mined in.
    pub block: BlockId,
    /// Accounts that are to look different.
    pub state: StateOverride,
    /// Properties of the block that are to look different.
    pub block_overrides: BlockOverrides,
}

impl CallOptions {
    /// A call on the state and in the environment of this block.
    #[must_use]
    pub fn at(block: impl Into<BlockId>) -> Self {
        Self {
            block: block.into(),
            ..Default::default()
        }
    }

    /// A call in the block that a transaction sent now would be mined in.
    #[must_use]
    pub fn pending() -> Self {
        Self::at(BlockNumberOrTag::Pending)
    }
}

/// Gas limit of a call that asks for none or for more, in gas units: far more than a block, little enough to end soon.
const CALL_GAS_CAP: u64 = 100_000_000;

/// A simulated chain: an EVM (Prague), accounts, blocks, a clock that only moves when told.
///
/// Every transaction is mined at once, in a block of its own. There is no state trie, so the state root of every block is
/// that of an empty state; everything else in blocks is as on a live chain.
///
/// This type is synchronous and has one owner. [`Testkit`](crate::Testkit) shares it and serves it as an
/// [`alloy` provider](alloy::providers::Provider).
#[derive(Clone, Debug)]
pub struct Chain {
    config: ChainConfig,
    cfg: CfgEnv,
    state: State,
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
            base_fee_per_gas: Some(config.base_fee),
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

    /// Base fee that the next block will have, wei per gas.
    #[must_use]
    pub fn next_base_fee(&self) -> u64 {
        let header = &self.head().header;
        self.next_base_fee.unwrap_or_else(|| {
            calc_next_block_base_fee(
                header.gas_used,
                header.gas_limit,
                header.base_fee_per_gas.unwrap_or_default(),
                BaseFeeParams::ethereum(),
            )
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

    /// Sets the base fee of the next block, wei per gas.
    pub fn set_next_base_fee(&mut self, base_fee: u64) {
        self.next_base_fee = Some(base_fee);
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

    /// Runs a call on the latest block. Nothing of it stays.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] and the other ways a call fails.
    pub fn call(&self, request: &TransactionRequest) -> Result<Bytes, ChainError> {
        self.call_with(request, &CallOptions::default())
    }

    /// Runs a call on any block, state and environment.
    ///
    /// # Errors
    ///
    /// [`ChainError::Reverted`] and the other ways a call fails; [`ChainError::UnknownBlock`].
    pub fn call_with(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<Bytes, ChainError> {
        let (env, overlay) = self.environment(options)?;
        let (cfg, tx) = self.call_transaction(request, &env, &overlay)?;
        match self.run(env, cfg, tx, &overlay)?.result {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            ExecutionResult::Revert { output, .. } => Err(ChainError::Reverted { output }),
            ExecutionResult::Halt { reason, .. } => Err(ChainError::Halted(reason)),
        }
    }

    /// Calls a function of a contract and decodes what it returns.
    ///
    /// ```
    /// use alloy::sol;
    /// use session_key_testkit::Chain;
    /// # use alloy::primitives::{Address, address};
    ///
    /// sol! { function answer() returns (uint256); }
    ///
    /// let mut chain = Chain::default();
    /// let contract = address!("0x00000000000000000000000000000000000a45e7");
    /// // PUSH1 42, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
    /// chain.set_code(contract, alloy::hex!("602a5f5260205ff3"))?;
    /// assert_eq!(chain.read(Address::ZERO, contract, &answerCall {})?, 42);
    /// # Ok::<(), session_key_testkit::ChainError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call); [`ChainError::InvalidReturnData`] when the return data does not decode.
    pub fn read<C: SolCall>(&self, from: Address, to: Address, call: &C) -> Result<C::Return, ChainError> {
        let output = self.call(&request(from, to, call.abi_encode()))?;
        C::abi_decode_returns(&output).map_err(|error| ChainError::InvalidReturnData {
            signature: C::SIGNATURE,
            reason: error.to_string(),
            output,
        })
    }

    /// The least gas, in gas units, with which the call succeeds.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call); [`ChainError::GasAllowanceExceeded`] when no amount allowed is enough.
    pub fn estimate_gas(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<u64, ChainError> {
        let (env, overlay) = self.environment(options)?;
        let (cfg, mut tx) = self.call_transaction(request, &env, &overlay)?;
        tx.gas_limit = request.gas.unwrap_or(env.gas_limit).min(env.gas_limit);
        if tx.gas_price > 0 {
            let balance = self
                .view(&overlay)
                .account(tx.caller)
                .map(|account| account.balance);
            let available = balance.unwrap_or_default().saturating_sub(tx.value);
            let affordable = available / U256::from(tx.gas_price);
            tx.gas_limit = tx.gas_limit.min(affordable.saturating_to());
        }
        let allowance = tx.gas_limit;
        let with_gas = |gas_limit| {
            let tx = TxEnv {
                gas_limit,
                ..tx.clone()
            };
            self.run(env.clone(), cfg.clone(), tx, &overlay)
                .map(|outcome| outcome.result)
        };
        let result = match with_gas(allowance) {
            Ok(result) => result,
            Err(ChainError::Refused(
                InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
                | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
            )) => return Err(ChainError::GasAllowanceExceeded { allowance }),
            Err(error) => return Err(error),
        };
        let (mut enough, mut too_little) = match result {
            ExecutionResult::Success { gas, .. } => {
                // Frames hold back a 64th of their gas (EIP-150) and refunds come last: try a little more first.
                let spent = gas.total_gas_spent().max(gas.tx_gas_used());
                let guess = (spent + 2300).saturating_mul(64) / 63;
                match with_gas(guess.min(allowance)) {
                    Ok(result) if result.is_success() => (guess.min(allowance), gas.tx_gas_used() - 1),
                    _ => (allowance, guess.min(allowance)),
                }
            }
            ExecutionResult::Revert { output, .. } => return Err(ChainError::Reverted { output }),
            ExecutionResult::Halt {
                reason: HaltReason::OutOfGas(_),
                ..
            } => {
                return Err(ChainError::GasAllowanceExceeded { allowance });
            }
            ExecutionResult::Halt { reason, .. } => return Err(ChainError::Halted(reason)),
        };
        while too_little + 1 < enough {
            let middle = too_little + (enough - too_little) / 2;
            match with_gas(middle) {
                Ok(result) if result.is_success() => enough = middle,
                _ => too_little = middle,
            }
        }
        Ok(enough)
    }

    /// Sends a transaction as whoever `from` names, needing no signature, and mines it.
    ///
    /// What the request leaves out: the nonce is the next one, the gas limit the block's; without any fee field the
    /// transaction is free, whatever the base fee. That it reverts is no error of `send`: see [`Execution::ok`].
    ///
    /// # Errors
    ///
    /// Whatever keeps it out of a block.
    pub fn send(&mut self, request: TransactionRequest) -> Result<Execution, ChainError> {
        let free = request.gas_price.is_none()
            && request.max_fee_per_gas.is_none()
            && request.max_priority_fee_per_gas.is_none();
        let transaction = self.fill(request)?;
        let mut cfg = self.cfg.clone();
        cfg.disable_eip3607 = true;
        cfg.disable_base_fee = free;
        self.mine_transaction(transaction, cfg)
    }

    /// Sends a call of a contract's function, as [`send`](Self::send) does, and decodes what it returns.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`Execution::ok`]; [`ChainError::InvalidReturnData`] when the return data does not
    /// decode.
    pub fn transact<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let execution = self.send(request(from, to, call.abi_encode()))?.ok()?;
        C::abi_decode_returns(&execution.output).map_err(|error| ChainError::InvalidReturnData {
            signature: C::SIGNATURE,
            reason: error.to_string(),
            output: execution.output,
        })
    }

    /// Deploys a contract with CREATE; `from` needs no funds.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send), and [`Execution::ok`].
    pub fn deploy(&mut self, from: Address, init_code: impl Into<Bytes>) -> Result<Address, ChainError> {
        let request = TransactionRequest {
            from: Some(from),
            to: Some(TxKind::Create),
            input: init_code.into().into(),
            ..Default::default()
        };
        let execution = self.send(request)?.ok()?;
        Ok(execution
            .created
            .expect("a creation that succeeded made a contract"))
    }

    /// Sends a signed transaction in its EIP-2718 encoding, and mines it.
    ///
    /// # Errors
    ///
    /// Whatever keeps it out of a block: it does not decode, the signature is invalid, it is for another chain, the nonce
    /// is not the next one (there is no queue), the sender cannot pay, a fee or the gas limit is too low.
    pub fn send_raw(&mut self, encoded: &[u8]) -> Result<Execution, ChainError> {
        let transaction = TxEnvelope::decode_2718_exact(encoded)
            .map_err(|error| ChainError::UndecodableTransaction(error.to_string()))?;
        if transaction.is_eip4844() {
            return Err(ChainError::BlobsNotSupported);
        }
        let signer = transaction
            .recover_signer()
            .map_err(|_| ChainError::InvalidSignature)?;
        self.mine_transaction(Recovered::new_unchecked(transaction, signer), self.cfg.clone())
    }

    /// Completes a request as [`send`](Self::send) describes.
    fn fill(&self, mut request: TransactionRequest) -> Result<Recovered<TxEnvelope>, ChainError> {
        let from = request
            .from
            .ok_or_else(|| ChainError::InvalidRequest("a transaction needs a sender (`from`)".into()))?;
        let typed = self.typed_transaction(&mut request, from)?;
        // Nobody signed: a signature that names the sender keeps transactions of different senders apart.
        let signature = Signature::new(U256::from_be_bytes(from.into_word().0), U256::from(1), false);
        Ok(Recovered::new_unchecked(
            typed.into_signed(signature).into(),
            from,
        ))
    }

    /// The transaction that a request describes, with everything that it leaves out filled in.
    pub(crate) fn typed_transaction(
        &self,
        request: &mut TransactionRequest,
        from: Address,
    ) -> Result<TypedTransaction, ChainError> {
        let request = std::mem::take(request);
        if request.has_eip4844_fields() {
            return Err(ChainError::BlobsNotSupported);
        }
        let to = request.to.unwrap_or(TxKind::Create);
        let input = request
            .input
            .unique_input()
            .map_err(|e| ChainError::InvalidRequest(e.to_string()))?;
        let input = input.cloned().unwrap_or_default();
        let mut request = TransactionRequest {
            to: Some(to),
            input: input.into(),
            nonce: Some(request.nonce.unwrap_or_else(|| self.nonce(from))),
            gas: Some(request.gas.unwrap_or(self.config.gas_limit)),
            chain_id: Some(request.chain_id.unwrap_or(self.config.chain_id)),
            ..request
        };
        if request.gas_price.is_none() {
            let priority = request.max_priority_fee_per_gas.unwrap_or_default();
            request.max_priority_fee_per_gas = Some(priority);
            request.max_fee_per_gas.get_or_insert(match priority {
                0 => 0,
                _ => priority.saturating_add(self.next_base_fee().into()),
            });
        }
        request.build_typed_tx().map_err(|request| {
            let reason = match request.missing_keys() {
                Err((kind, fields)) => format!("{kind} transaction without {}", fields.join(", ")),
                Ok(_) => "contradictory fields".into(),
            };
            ChainError::InvalidRequest(reason)
        })
    }

    fn mine_transaction(
        &mut self,
        transaction: Recovered<TxEnvelope>,
        cfg: CfgEnv,
    ) -> Result<Execution, ChainError> {
        let header = self.next_header();
        let before = self.state.position();
        let tx = transaction_env(&transaction);
        let outcome = self.run(block_env(&header), cfg, tx, &Overlay::default())?;
        self.state.commit(outcome.state);

        let gas_used = outcome.result.tx_gas_used();
        let (status, output, logs, created) = match outcome.result {
            ExecutionResult::Success {
                output: Output::Call(output),
                logs,
                ..
            } => (Status::Success, output, logs, None),
            ExecutionResult::Success {
                output: Output::Create(code, address),
                logs,
                ..
            } => (Status::Success, code, logs, address),
            ExecutionResult::Revert { output, .. } => (Status::Reverted, output, Vec::new(), None),
            ExecutionResult::Halt { reason, .. } => (Status::Halted(reason), Bytes::new(), Vec::new(), None),
        };
        // A receipt names the address of a creation that failed, too.
        let contract_address = transaction
            .is_create()
            .then(|| transaction.signer().create(transaction.nonce()));
        let mined = MinedTransaction {
            success: status == Status::Success,
            gas_used,
            effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
            created: contract_address,
            logs: logs.clone(),
            transaction,
        };
        let execution = Execution {
            transaction_hash: mined.hash(),
            block_number: header.number,
            status,
            gas_used,
            output,
            logs,
            created,
        };
        self.append(Block::seal(header, Some(mined), before));
        Ok(execution)
    }

    /// The header of the block to come, but for what depends on its transaction.
    fn next_header(&self) -> Header {
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

    fn append(&mut self, block: Block) {
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

    /// The environment and the state of a block, with overrides.
    fn environment(&self, options: &CallOptions) -> Result<(BlockEnv, Overlay), ChainError> {
        let mut env = if options.block.is_pending() {
            block_env(&self.next_header())
        } else {
            block_env(&self.existing_block(options.block)?.header)
        };
        let mut overlay = self.overlay(options.block)?;
        for (address, account) in &options.state {
            self.override_account(&mut overlay, *address, account)?;
        }
        let overrides = &options.block_overrides;
        env.number = overrides.number.unwrap_or(env.number);
        env.difficulty = overrides.difficulty.unwrap_or(env.difficulty);
        env.timestamp = overrides.time.map_or(env.timestamp, U256::from);
        env.gas_limit = overrides.gas_limit.unwrap_or(env.gas_limit);
        env.beneficiary = overrides.coinbase.unwrap_or(env.beneficiary);
        env.prevrandao = overrides.random.or(env.prevrandao);
        env.basefee = overrides.base_fee.map_or(env.basefee, |fee| fee.saturating_to());
        Ok((env, overlay))
    }

    /// What makes the present look like the state after a block (for the latest one and `pending`: nothing).
    fn overlay(&self, block: BlockId) -> Result<Overlay, ChainError> {
        if block.is_pending() {
            return Ok(Overlay::default());
        }
        let number = self.existing_block(block)?.header.number;
        Ok(match self.blocks.get(number as usize + 1) {
            Some(next) => self.state.overlay_at(next.before),
            None => Overlay::default(),
        })
    }

    fn override_account(
        &self,
        overlay: &mut Overlay,
        address: Address,
        account: &AccountOverride,
    ) -> Result<(), ChainError> {
        if account.move_precompile_to.is_some() {
            return Err(ChainError::InvalidRequest(format!(
                "cannot move a precompile ({address})"
            )));
        }
        if account.state.is_some() && account.state_diff.is_some() {
            let reason = format!("account {address} has both `state` and `stateDiff`");
            return Err(ChainError::InvalidRequest(reason));
        }
        let mut info = self.view(overlay).account(address).unwrap_or_default();
        info.balance = account.balance.unwrap_or(info.balance);
        info.nonce = account.nonce.unwrap_or(info.nonce);
        if let Some(code) = &account.code {
            info =
                with_code(info, code.clone()).map_err(|error| ChainError::InvalidCode(error.to_string()))?;
        }
        overlay.set_account(address, info);
        if account.state.is_some() {
            overlay.clear_storage(address);
        }
        for (slot, value) in account.state.iter().chain(&account.state_diff).flatten() {
            overlay.set_storage(address, (*slot).into(), (*value).into());
        }
        Ok(())
    }

    fn view<'a>(&'a self, overlay: &'a Overlay) -> View<'a, impl Fn(u64) -> B256 + use<'a>> {
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

    /// The transaction that a call amounts to, and the rules that do not apply to it.
    fn call_transaction(
        &self,
        request: &TransactionRequest,
        env: &BlockEnv,
        overlay: &Overlay,
    ) -> Result<(CfgEnv, TxEnv), ChainError> {
        if request.has_eip4844_fields() {
            return Err(ChainError::BlobsNotSupported);
        }
        if request.gas_price.is_some() && request.has_eip1559_fields() {
            return Err(ChainError::InvalidRequest(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".into(),
            ));
        }
        let caller = request.from.unwrap_or_default();
        let mut cfg = self.cfg.clone();
        cfg.disable_base_fee = true;
        cfg.disable_block_gas_limit = true;
        cfg.disable_eip3607 = true;
        cfg.disable_nonce_check = true;
        let input = request
            .input
            .unique_input()
            .map_err(|e| ChainError::InvalidRequest(e.to_string()))?;
        let tx = TxEnv {
            tx_type: if request.authorization_list.is_some() {
                4
            } else if request.has_eip1559_fields() {
                2
            } else {
                u8::from(request.access_list.is_some())
            },
            caller,
            gas_limit: request.gas.unwrap_or(env.gas_limit).min(CALL_GAS_CAP),
            gas_price: request
                .gas_price
                .or(request.max_fee_per_gas)
                .or(request.max_priority_fee_per_gas)
                .unwrap_or_default(),
            gas_priority_fee: request
                .has_eip1559_fields()
                .then(|| request.max_priority_fee_per_gas.unwrap_or_default()),
            kind: request.to.unwrap_or(TxKind::Create),
            value: request.value.unwrap_or_default(),
            data: input.cloned().unwrap_or_default(),
            // A creation's address depends on it.
            nonce: self
                .view(overlay)
                .account(caller)
                .map(|account| account.nonce)
                .unwrap_or_default(),
            chain_id: request.chain_id,
            access_list: request.access_list.clone().unwrap_or_default(),
            authorization_list: request
                .authorization_list
                .iter()
                .flatten()
                .map(|authorization| Either::Left(authorization.clone()))
                .collect(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
        };
        Ok((cfg, tx))
    }

    fn run(
        &self,
        env: BlockEnv,
        cfg: CfgEnv,
        tx: TxEnv,
        overlay: &Overlay,
    ) -> Result<ResultAndState, ChainError> {
        let caller = tx.caller;
        Context::mainnet()
            .with_db(self.view(overlay))
            .with_cfg(cfg)
            .with_block(env)
            .build_mainnet()
            .transact(tx)
            .map_err(|error| refusal(error, caller))
    }
}

/// A call of `to` by `from`.
pub(crate) fn request(from: Address, to: Address, input: impl Into<Bytes>) -> TransactionRequest {
    TransactionRequest {
        from: Some(from),
        to: Some(to.into()),
        input: input.into().into(),
        ..Default::default()
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

fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(
            0,
            BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE,
        )),
        slot_num: 0,
    }
}

fn transaction_env(transaction: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: transaction.tx_type() as u8,
        caller: transaction.signer(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        authorization_list: transaction
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .map(|authorization| Either::Left(authorization.clone()))
            .collect(),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
    }
}

fn refusal(error: EVMError<std::convert::Infallible>, caller: Address) -> ChainError {
    match error {
        EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => {
            ChainError::InsufficientFunds {
                address: caller,
                balance: *balance,
                needed: *fee,
            }
        }
        EVMError::Transaction(invalid) => ChainError::Refused(invalid),
        error => ChainError::Evm(error.to_string()),
    }
}
