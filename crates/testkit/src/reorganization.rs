//! Undoes blocks.

use crate::{Chain, ChainError, block::Finality};
use alloy::{
    primitives::{B256, Bytes, U64},
    rpc::types,
};

/// What happens to a transaction whose block is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It returns to the pool, if its sender can still pay.
    Pooled,
    /// It is dropped until someone sends it again.
    Dropped,
}

/// The blocks and transactions undone by a reorganization, in chain order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reorganization {
    /// Hashes of the undone blocks.
    pub blocks: Vec<B256>,
    /// Hashes of the transactions that returned to the pool.
    pub pooled: Vec<B256>,
    /// Hashes of the dropped transactions.
    pub dropped: Vec<B256>,
}

impl Chain {
    /// Undoes the last `depth` blocks: state, receipts and logs revert. New blocks can then be
    /// [mined](Self::mine); they have different hashes, even with the same transactions and times. Changes by
    /// hand (balances, code, storage) since the first undone block are undone as well, and snapshots taken
    /// since become invalid.
    ///
    /// `fate` decides for each transaction. One that its sender can no longer pay is dropped, as on geth.
    ///
    /// ```
    /// use session_key_testkit::{Chain, ChainConfig, Fate};
    ///
    /// let mut chain = Chain::new(ChainConfig { finalized_distance: 64, ..Default::default() });
    /// chain.mine();
    /// let before = chain.block_at(1.into());
    /// let undone = chain.reorganize(1, |_| Fate::Pooled)?;
    /// assert_eq!((chain.block_number(), undone.blocks.len()), (0, 1));
    /// chain.mine();
    /// assert_ne!(chain.block_at(1.into()), before);
    /// # Ok::<(), session_key_testkit::ChainError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ChainError::BeyondFinality`] if one of the blocks is final. By default, all blocks are; see
    /// [`ChainConfig::finalized_distance`](crate::ChainConfig::finalized_distance).
    pub fn reorganize(
        &mut self,
        depth: u64,
        mut fate: impl FnMut(&types::Transaction) -> Fate,
    ) -> Result<Reorganization, ChainError> {
        let head = self.block_number();
        let finalized = self.finality().finalized;
        let deepest = head - finalized;
        if depth > deepest {
            return Err(ChainError::BeyondFinality { depth, deepest });
        }
        let mut reorganization = Reorganization::default();
        if depth == 0 {
            return Ok(reorganization);
        }
        // At least 1: the first block is final.
        let first = (head - depth + 1 - self.first_block()) as usize;
        let position = self.blocks()[first].before;
        let undone = self.remove_blocks(first, position);
        self.forget_snapshots_with(first);
        self.next_fork();
        self.set_finality(Finality {
            safe: finalized.max(self.head().finality.safe),
            finalized,
        });

        let mut back = Vec::new();
        for block in undone {
            reorganization.blocks.push(block.hash);
            for (index, mined) in block.transactions.iter().enumerate() {
                let hash = mined.hash();
                let shown = block.rpc_transaction(index);
                if shown.is_some_and(|transaction| fate(&transaction) == Fate::Pooled) {
                    self.pool.insert(mined.candidate.clone());
                }
                back.push(hash);
            }
        }
        self.settle_pool();
        (reorganization.pooled, reorganization.dropped) =
            back.into_iter().partition(|hash| self.pool.find(*hash).is_some());
        Ok(reorganization)
    }
}

/// Returns the extra data that marks a fork's headers; empty before the first reorganization.
pub(crate) fn fork_mark(fork: u64) -> Bytes {
    U64::from(fork).to_be_bytes_trimmed_vec().into()
}
