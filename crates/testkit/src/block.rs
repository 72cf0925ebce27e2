//! Blocks and the transactions in them, and how JSON-RPC shows them.

use crate::state::Position;
use alloy::{
    consensus::{
        BlockBody, Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _,
        TxEnvelope, constants,
        proofs::{calculate_receipt_root, calculate_transaction_root},
        transaction::{Recovered, TransactionInfo},
    },
    eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH},
    network::primitives::{BlockTransactions, BlockTransactionsKind},
    primitives::{Address, B256, Bloom, Log, U256},
    rlp::Encodable,
    rpc::types,
};

/// A transaction and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct MinedTransaction {
    pub(crate) transaction: Recovered<TxEnvelope>,
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    /// Wei per gas unit.
    pub(crate) effective_gas_price: u128,
    pub(crate) created: Option<Address>,
    pub(crate) logs: Vec<Log>,
}

/// A block: at most one transaction, because every transaction is mined at once.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) transaction: Option<MinedTransaction>,
    /// Where the state stood when the block began: the state of its parent.
    pub(crate) before: Position,
}

impl MinedTransaction {
    pub(crate) fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    fn receipt<L>(&self, logs: Vec<L>) -> ReceiptEnvelope<L> {
        let bloom = alloy::primitives::logs_bloom(&self.logs);
        let receipt = Receipt {
            status: Eip658Value::Eip658(self.success),
            cumulative_gas_used: self.gas_used,
            logs,
        };
        ReceiptEnvelope::from_typed(self.transaction.tx_type(), ReceiptWithBloom::new(receipt, bloom))
    }
}

impl Block {
    /// Seals a block. `header` comes without the roots, which are set here.
    ///
    /// The state root is that of an empty state: there is no state trie.
    pub(crate) fn seal(mut header: Header, transaction: Option<MinedTransaction>, before: Position) -> Self {
        header.ommers_hash = constants::EMPTY_OMMER_ROOT_HASH;
        header.withdrawals_root = Some(constants::EMPTY_WITHDRAWALS);
        header.blob_gas_used = Some(0);
        header.excess_blob_gas = Some(0);
        header.parent_beacon_block_root = Some(B256::ZERO);
        header.requests_hash = Some(EMPTY_REQUESTS_HASH);
        header.transactions_root = constants::EMPTY_TRANSACTIONS;
        header.receipts_root = constants::EMPTY_RECEIPTS;
        header.logs_bloom = Bloom::ZERO;
        if let Some(mined) = &transaction {
            let receipt = mined.receipt(mined.logs.clone());
            header.gas_used = mined.gas_used;
            header.logs_bloom = *receipt.logs_bloom();
            header.transactions_root = calculate_transaction_root(&[mined.transaction.inner()]);
            header.receipts_root = calculate_receipt_root(&[receipt]);
        }
        Self {
            hash: header.hash_slow(),
            header,
            transaction,
            before,
        }
    }

    fn transaction_info(&self, transaction: &MinedTransaction) -> TransactionInfo {
        TransactionInfo {
            hash: Some(transaction.hash()),
            index: Some(0),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            base_fee: self.header.base_fee_per_gas,
            block_timestamp: Some(self.header.timestamp),
        }
    }

    /// The transaction as `eth_getTransactionByHash` shows it.
    pub(crate) fn rpc_transaction(&self) -> Option<types::Transaction> {
        self.transaction.as_ref().map(|mined| {
            types::Transaction::from_transaction(mined.transaction.clone(), self.transaction_info(mined))
        })
    }

    /// The logs as `eth_getLogs` shows them.
    pub(crate) fn rpc_logs(&self) -> impl Iterator<Item = types::Log> {
        self.transaction.iter().flat_map(|mined| {
            mined.logs.iter().zip(0..).map(|(log, index)| types::Log {
                inner: log.clone(),
                block_hash: Some(self.hash),
                block_number: Some(self.header.number),
                block_timestamp: Some(self.header.timestamp),
                transaction_hash: Some(mined.hash()),
                transaction_index: Some(0),
                log_index: Some(index),
                removed: false,
            })
        })
    }

    /// The receipt as `eth_getTransactionReceipt` shows it.
    pub(crate) fn rpc_receipt(&self) -> Option<types::TransactionReceipt> {
        self.transaction.as_ref().map(|mined| types::TransactionReceipt {
            inner: mined.receipt(self.rpc_logs().collect()),
            transaction_hash: mined.hash(),
            transaction_index: Some(0),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            gas_used: mined.gas_used,
            effective_gas_price: mined.effective_gas_price,
            blob_gas_used: None,
            blob_gas_price: None,
            from: mined.transaction.signer(),
            to: mined.transaction.to(),
            contract_address: mined.created,
        })
    }

    /// Bytes of the block in RLP.
    fn size(&self) -> usize {
        let transactions = self
            .transaction
            .iter()
            .map(|mined| mined.transaction.inner().clone())
            .collect();
        let body = BlockBody::<TxEnvelope> {
            transactions,
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        body.into_block(self.header.clone()).length()
    }

    /// The block as `eth_getBlockByNumber` shows it.
    pub(crate) fn rpc_block(&self, kind: BlockTransactionsKind) -> types::Block {
        let transactions = match kind {
            BlockTransactionsKind::Hashes => {
                BlockTransactions::Hashes(self.transaction.iter().map(MinedTransaction::hash).collect())
            }
            BlockTransactionsKind::Full => {
                BlockTransactions::Full(self.rpc_transaction().into_iter().collect())
            }
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
