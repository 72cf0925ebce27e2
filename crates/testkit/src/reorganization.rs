//! Undoes blocks: others can take their place.

use crate::{Chain, ChainError, block::Finality};
use alloy::{
    primitives::{B256, Bytes, U64},
    rpc::types,
};

/// The fate of a transaction whose block is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It waits in the pool again, if its sender can still pay it.
    Pooled,
    /// It is gone, until somebody sends it again.
    Dropped,
}

/// The blocks and transactions that a reorganization undid, in the order of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reorganization {
    /// Hashes of the blocks that are gone.
    pub blocks: Vec<B256>,
    /// Hashes of their transactions that wait in the pool again.
    pub pooled: Vec<B256>,
    /// Hashes of their other transactions.
    pub dropped: Vec<B256>,
}

impl Chain {
    /// Undoes the last `depth` blocks: state, receipts and logs are what they were before. Then others can be
    /// [mined](Self::mine) in their place; they have other hashes, even with the same transactions at the same time. What was
    /// set by hand (balances, code, storage) since the first of the blocks is undone, too, and snapshots taken since are gone.
    ///
    /// `fate` says of each transaction what becomes of it. One that its sender can no longer pay is dropped, as on geth.
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
    /// [`ChainError::BeyondFinality`] if the last of the blocks is final. The latest block always is, unless
    /// [`ChainConfig::finalized_distance`](crate::ChainConfig::finalized_distance) says otherwise.
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

/// The mark of a fork in its headers; empty before there was another.
pub(crate) fn fork_mark(fork: u64) -> Bytes {
    U64::from(fork).to_be_bytes_trimmed_vec().into()
}
