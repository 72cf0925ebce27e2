//! Blocks and their transactions, and their JSON-RPC representation.

use crate::{state::Position, transaction::Candidate};
use alloy::{
    consensus::{
        BlockBody, Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _,
        TxEnvelope, constants,
        proofs::{calculate_receipt_root, calculate_transaction_root},
        transaction::TransactionInfo,
    },
    eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH},
    network::primitives::{BlockTransactions, BlockTransactionsKind},
    primitives::{Address, B256, Bloom, Log, U256},
    rlp::Encodable,
    rpc::types,
};
use std::sync::Arc;

/// A transaction and its outcome.
#[derive(Clone, Debug)]
pub(crate) struct MinedTransaction {
    pub(crate) candidate: Arc<Candidate>,
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    /// Wei per gas unit.
    pub(crate) effective_gas_price: u128,
    pub(crate) created: Option<Address>,
    pub(crate) logs: Vec<Log>,
}

/// The numbers of the safe and finalized blocks, as of a given latest block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finality {
    pub(crate) safe: u64,
    pub(crate) finalized: u64,
}

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) transactions: Vec<MinedTransaction>,
    /// The state's position before the block: its parent's state, plus later changes by hand.
    pub(crate) before: Position,
    pub(crate) finality: Finality,
}

impl MinedTransaction {
    pub(crate) fn hash(&self) -> B256 {
        self.candidate.hash()
    }

    /// Returns the sender's payment above the base fee, in wei per gas unit.
    pub(crate) fn tip(&self, header: &Header) -> u128 {
        self.effective_gas_price
            .saturating_sub(header.base_fee_per_gas.unwrap_or_default().into())
    }

    /// `cumulative_gas_used`: the gas of this and all earlier transactions of the block.
    fn receipt<L>(&self, cumulative_gas_used: u64, logs: Vec<L>) -> ReceiptEnvelope<L> {
        let bloom = alloy::primitives::logs_bloom(&self.logs);
        let receipt = Receipt {
            status: Eip658Value::Eip658(self.success),
            cumulative_gas_used,
            logs,
        };
        let kind = self.candidate.transaction.tx_type();
        ReceiptEnvelope::from_typed(kind, ReceiptWithBloom::new(receipt, bloom))
    }
}

impl Block {
    /// Seals a block. `header` has no roots yet; they are set here.
    ///
    /// The state root is that of an empty state: the chain has no state trie.
    pub(crate) fn seal(mut header: Header, transactions: Vec<MinedTransaction>, before: Position) -> Self {
        header.ommers_hash = constants::EMPTY_OMMER_ROOT_HASH;
        header.withdrawals_root = Some(constants::EMPTY_WITHDRAWALS);
        header.blob_gas_used = Some(0);
        header.excess_blob_gas = Some(0);
        header.requests_hash = Some(EMPTY_REQUESTS_HASH);
        header.transactions_root = constants::EMPTY_TRANSACTIONS;
        header.receipts_root = constants::EMPTY_RECEIPTS;
        header.logs_bloom = Bloom::ZERO;
        if !transactions.is_empty() {
            header.gas_used = 0;
            let mut receipts = Vec::with_capacity(transactions.len());
            for mined in &transactions {
                header.gas_used += mined.gas_used;
                let receipt = mined.receipt(header.gas_used, mined.logs.clone());
                header.logs_bloom |= *receipt.logs_bloom();
                receipts.push(receipt);
            }
            let envelopes: Vec<_> = transactions
                .iter()
                .map(|mined| mined.candidate.transaction.inner())
                .collect();
            header.transactions_root = calculate_transaction_root(&envelopes);
            header.receipts_root = calculate_receipt_root(&receipts);
        }
        Self {
            hash: header.hash_slow(),
            header,
            transactions,
            before,
            finality: Finality::default(),
        }
    }

    fn transaction_info(&self, index: usize, transaction: &MinedTransaction) -> TransactionInfo {
        TransactionInfo {
            hash: Some(transaction.hash()),
            index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            base_fee: self.header.base_fee_per_gas,
            block_timestamp: Some(self.header.timestamp),
        }
    }

    /// Returns a transaction as `eth_getTransactionByHash` shows it.
    pub(crate) fn rpc_transaction(&self, index: usize) -> Option<types::Transaction> {
        let mined = self.transactions.get(index)?;
        Some(types::Transaction::from_transaction(
            mined.candidate.transaction.clone(),
            self.transaction_info(index, mined),
        ))
    }

    fn rpc_transactions(&self) -> impl Iterator<Item = types::Transaction> {
        (0..self.transactions.len()).filter_map(|index| self.rpc_transaction(index))
    }

    /// Returns the matching logs of one transaction as `eth_getLogs` shows them. `first` is the index of its
    /// first log in the block.
    fn rpc_logs_of<'a>(
        &'a self,
        index: usize,
        first: usize,
        matches: impl Fn(&Log) -> bool + 'a,
    ) -> impl Iterator<Item = types::Log> + 'a {
        let mined = &self.transactions[index];
        let hash = mined.hash();
        mined
            .logs
            .iter()
            .zip(first..)
            .filter(move |(log, _)| matches(log))
            .map(move |(log, log_index)| types::Log {
                inner: log.clone(),
                block_hash: Some(self.hash),
                block_number: Some(self.header.number),
                block_timestamp: Some(self.header.timestamp),
                transaction_hash: Some(hash),
                transaction_index: Some(index as u64),
                log_index: Some(log_index as u64),
                removed: false,
            })
    }

    /// Returns the matching logs as `eth_getLogs` shows them.
    pub(crate) fn rpc_logs<'a>(
        &'a self,
        matches: impl Fn(&Log) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = types::Log> + 'a {
        let first = self.transactions.iter().scan(0, |logs, mined| {
            let first = *logs;
            *logs += mined.logs.len();
            Some(first)
        });
        first
            .enumerate()
            .flat_map(move |(index, first)| self.rpc_logs_of(index, first, matches))
    }

    /// Returns a receipt as `eth_getTransactionReceipt` shows it, optionally without logs.
    pub(crate) fn rpc_receipt(&self, index: usize, with_logs: bool) -> Option<types::TransactionReceipt> {
        let mined = self.transactions.get(index)?;
        let before = &self.transactions[..index];
        let gas_before: u64 = before.iter().map(|mined| mined.gas_used).sum();
        let logs_before = before.iter().map(|mined| mined.logs.len()).sum();
        let logs = if with_logs {
            self.rpc_logs_of(index, logs_before, |_| true).collect()
        } else {
            Vec::new()
        };
        let transaction = &mined.candidate.transaction;
        Some(types::TransactionReceipt {
            inner: mined.receipt(gas_before + mined.gas_used, logs),
            transaction_hash: mined.hash(),
            transaction_index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            gas_used: mined.gas_used,
            effective_gas_price: mined.effective_gas_price,
            blob_gas_used: None,
            blob_gas_price: None,
            from: transaction.signer(),
            to: transaction.to(),
            contract_address: mined.created,
        })
    }

    /// Returns the receipts as `eth_getBlockReceipts` shows them.
    pub(crate) fn rpc_receipts(&self, with_logs: bool) -> impl Iterator<Item = types::TransactionReceipt> {
        (0..self.transactions.len()).filter_map(move |index| self.rpc_receipt(index, with_logs))
    }

    /// Returns the size of the block in RLP, in bytes.
    fn size(&self) -> usize {
        let transactions = self
            .transactions
            .iter()
            .map(|mined| mined.candidate.transaction.inner().clone())
            .collect();
        let body = BlockBody::<TxEnvelope> {
            transactions,
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        body.into_block(self.header.clone()).length()
    }

    /// Returns the block as `eth_getBlockByNumber` shows it.
    pub(crate) fn rpc_block(&self, kind: BlockTransactionsKind) -> types::Block {
        let transactions = match kind {
            BlockTransactionsKind::Hashes => {
                BlockTransactions::Hashes(self.transactions.iter().map(MinedTransaction::hash).collect())
            }
            BlockTransactionsKind::Full => BlockTransactions::Full(self.rpc_transactions().collect()),
        };
        types::Block {
            header: types::Header {
                hash: self.hash,
                inner: self.header.clone(),
                total_difficulty: Some(Default::default()),
                size: Some(U256::from(self.size())),
            },
            uncles: Vec::new(),
            transactions,
            withdrawals: Some(Default::default()),
        }
    }
}
