//! A chain in a file, with its history.

use crate::{
    ChainConfig, MAX_BASE_FEE,
    block::{Block, Finality, MinedTransaction},
    state::{Position, SavedState},
    transaction::Candidate,
};
use alloy::{
    consensus::{Header, TxEnvelope, transaction::Recovered},
    eips::eip2718::{Decodable2718 as _, Encodable2718 as _},
    primitives::{Address, Bytes, Log, U256},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The only form that there is.
const FORM: &str = "session-key-testkit chain 1";

/// The highest number of a block, beyond which the chain could not count on.
const MOST: u64 = u64::MAX / 2;

/// Why a file is no saved [`Chain`](crate::Chain).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It is not JSON of that form.
    #[error("this is not a saved chain: {0}")]
    Form(String),
    /// Its parts contradict each other.
    #[error("the saved chain is damaged: {0}")]
    Damaged(&'static str),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SavedChain {
    form: String,
    chain_id: u64,
    genesis_timestamp: u64,
    block_interval: u64,
    gas_limit: u64,
    base_fee: u64,
    dev_balance: U256,
    automine: bool,
    safe_distance: u64,
    finalized_distance: u64,
    first_block: u64,
    blocks: Vec<SavedBlock>,
    pub(crate) state: SavedState,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedBlock {
    header: Header,
    /// Position in the history of the state.
    before: usize,
    safe: u64,
    finalized: u64,
    transactions: Vec<SavedTransaction>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedTransaction {
    from: Address,
    /// As EIP-2718 encodes it.
    raw: Bytes,
    unsigned: bool,
    free: bool,
    success: bool,
    gas_used: u64,
    effective_gas_price: u128,
    created: Option<Address>,
    logs: Vec<Log>,
}

impl SavedChain {
    pub(crate) fn new(config: &ChainConfig, blocks: &[Arc<Block>], state: SavedState) -> Self {
        Self {
            form: FORM.into(),
            chain_id: config.chain_id,
            genesis_timestamp: config.genesis_timestamp,
            block_interval: config.block_interval,
            gas_limit: config.gas_limit,
            base_fee: config.base_fee,
            dev_balance: config.dev_balance,
            automine: config.automine,
            safe_distance: config.safe_distance,
            finalized_distance: config.finalized_distance,
            first_block: config.first_block,
            blocks: blocks.iter().map(|block| SavedBlock::new(block)).collect(),
            state,
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, LoadError> {
        let saved: Self = serde_json::from_str(text).map_err(|error| LoadError::Form(error.to_string()))?;
        if saved.form != FORM {
            return Err(LoadError::Form(format!(
                "its form is {:?}, not {FORM:?}",
                saved.form
            )));
        }
        Ok(saved)
    }

    pub(crate) const fn config(&self) -> ChainConfig {
        ChainConfig {
            chain_id: self.chain_id,
            first_block: self.first_block,
            genesis_timestamp: self.genesis_timestamp,
            block_interval: self.block_interval,
            gas_limit: self.gas_limit,
            base_fee: self.base_fee,
            dev_balance: self.dev_balance,
            automine: self.automine,
            safe_distance: self.safe_distance,
            finalized_distance: self.finalized_distance,
        }
    }

    /// The blocks, of which there is at least one: each the child of the one before, on a history of
    /// so many changes.
    pub(crate) fn blocks(&self, changes: usize) -> Result<Vec<Block>, LoadError> {
        let blocks = self
            .blocks
            .iter()
            .map(SavedBlock::block)
            .collect::<Result<Vec<_>, _>>()?;
        let first = blocks.first().ok_or(LoadError::Damaged("it has no block"))?;
        if first.header.number != self.first_block {
            return Err(LoadError::Damaged("its first block has another number"));
        }
        let is_out_of_bounds = |header: &Header| {
            header.number > MOST
                || header.gas_used > header.gas_limit
                || header
                    .base_fee_per_gas
                    .is_none_or(|base_fee| base_fee > MAX_BASE_FEE)
        };
        if blocks.iter().any(|block| is_out_of_bounds(&block.header)) {
            return Err(LoadError::Damaged("a number, gas or base fee is out of bounds"));
        }
        for pair in blocks.windows(2) {
            let [parent, child] = pair else { continue };
            if child.header.parent_hash != parent.hash
                || Some(child.header.number) != parent.header.number.checked_add(1)
            {
                return Err(LoadError::Damaged("a block is not the child of the one before"));
            }
            if child.before < parent.before || child.finality.finalized < parent.finality.finalized {
                return Err(LoadError::Damaged("its history goes back"));
            }
        }
        let last = blocks.last().unwrap_or(first);
        if last.before > Position::from_changes(changes) || last.finality.finalized > last.header.number {
            return Err(LoadError::Damaged("its history is too short"));
        }
        Ok(blocks)
    }
}

impl SavedBlock {
    fn new(block: &Block) -> Self {
        Self {
            header: block.header.clone(),
            before: block.before.changes(),
            safe: block.finality.safe,
            finalized: block.finality.finalized,
            transactions: block.transactions.iter().map(SavedTransaction::new).collect(),
        }
    }

    fn block(&self) -> Result<Block, LoadError> {
        Ok(Block {
            hash: self.header.hash_slow(),
            header: self.header.clone(),
            transactions: self
                .transactions
                .iter()
                .map(SavedTransaction::mined)
                .collect::<Result<_, _>>()?,
            before: Position::from_changes(self.before),
            finality: Finality {
                safe: self.safe,
                finalized: self.finalized,
            },
        })
    }
}

impl SavedTransaction {
    fn new(mined: &MinedTransaction) -> Self {
        Self {
            from: mined.candidate.sender(),
            raw: mined.candidate.transaction.encoded_2718().into(),
            unsigned: mined.candidate.unsigned,
            free: mined.candidate.free,
            success: mined.success,
            gas_used: mined.gas_used,
            effective_gas_price: mined.effective_gas_price,
            created: mined.created,
            logs: mined.logs.clone(),
        }
    }

    fn mined(&self) -> Result<MinedTransaction, LoadError> {
        let transaction = TxEnvelope::decode_2718_exact(&self.raw)
            .map_err(|_| LoadError::Damaged("a transaction does not decode"))?;
        Ok(MinedTransaction {
            candidate: Arc::new(Candidate {
                transaction: Recovered::new_unchecked(transaction, self.from),
                unsigned: self.unsigned,
                free: self.free,
            }),
            success: self.success,
            gas_used: self.gas_used,
            effective_gas_price: self.effective_gas_price,
            created: self.created,
            logs: self.logs.clone(),
        })
    }
}
