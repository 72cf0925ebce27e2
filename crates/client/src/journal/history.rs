//! Binds a journal to the chains whose operations it holds.
//!
//! A chain id does not identify a chain: a development chain that starts anew has the id of the one before
//! it, and often the same contracts, accounts and nonces. Whatever was signed for the one is valid
//! on the other.

use super::{BlockRef, Journal, JournalError};
use crate::{
    node::{Head, Node},
    operation::final_depth,
    request::RequestError,
};

/// What a journal knows of the chain with an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum History {
    /// The store does not keep it: it lasts no longer than the process, or leaves the check to its user.
    NotKept,
    /// It is not bound to a chain yet.
    Unbound {
        /// The latest blocks when its newest operations were signed, newest first; empty if it has none.
        made: Vec<BlockRef>,
    },
    /// It is bound to the chain that has this block.
    Bound {
        /// The block.
        to: BlockRef,
    },
}

/// A journal could not be compared with a node's chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The journal failed, or holds operations of another chain with the same id
    /// ([`JournalError::OtherChain`]).
    #[error(transparent)]
    Journal(#[from] JournalError),

    /// The node did not answer.
    #[error("the journal could not be compared with the node's chain: {0}")]
    Request(#[from] RequestError),
}

/// Checks that a journal's operations with this chain id are of the chain that the node follows, and binds it
/// to that chain if it is bound to none.
///
/// The binding is to block 0; where the node does not have it, to block 1; else to its latest final block. A
/// journal that has operations but no binding, from an earlier release, is bound if the node has one of the
/// blocks in which its newest operations were made.
///
/// Clients check before they use a journal. Call it before using a journal's records in another way.
///
/// # Errors
///
/// [`HistoryError`]; nothing was bound.
pub async fn check_history(journal: &dyn Journal, node: &Node, chain_id: u64) -> Result<(), HistoryError> {
    let made = match journal.history(chain_id).await? {
        History::NotKept => return Ok(()),
        History::Bound { to } => return compared(chain_id, to, known(node, to).await?),
        History::Unbound { made } => made,
    };
    let mut other = None;
    for block in made {
        match known(node, block).await? {
            Some(found) if found.hash == block.hash => {
                other = None;
                break;
            }
            found => {
                other.get_or_insert((block, found));
            }
        }
    }
    if let Some((block, found)) = other {
        return compared(chain_id, block, found);
    }
    let first = first_block(node, chain_id).await?;
    let bound = journal.bind(chain_id, first).await?;
    if bound == first {
        return Ok(());
    }
    // Another process bound it meanwhile.
    compared(chain_id, bound, known(node, bound).await?)
}

fn compared(chain_id: u64, expected: BlockRef, found: Option<Head>) -> Result<(), HistoryError> {
    let found = found.map(|found| found.hash);
    if found == Some(expected.hash) {
        Ok(())
    } else {
        Err(JournalError::OtherChain {
            chain_id,
            block: expected,
            found,
        }
        .into())
    }
}

async fn known(node: &Node, block: BlockRef) -> Result<Option<Head>, RequestError> {
    node.header(block.number.into()).await
}

/// Returns the lowest block that the node has, or one that stays.
async fn first_block(node: &Node, chain_id: u64) -> Result<BlockRef, RequestError> {
    let at = async |number: u64| match node.header(number.into()).await {
        // Some nodes do not serve old blocks, and say so in an error.
        Err(RequestError::Answered(_)) => Ok(None),
        header => header,
    };
    let reference = |head: Head| BlockRef {
        number: head.number,
        hash: head.hash,
    };
    for number in [0, 1] {
        if let Some(head) = at(number).await? {
            return Ok(reference(head));
        }
    }
    if let Some(head) = node.finalized().await? {
        return Ok(reference(head));
    }
    let head = node.head().await?;
    let deep = at(head.number.saturating_sub(final_depth(chain_id))).await?;
    Ok(reference(deep.unwrap_or(head)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::B256;

    #[test]
    fn the_error_names_both_chains() {
        let block = BlockRef {
            number: 0,
            hash: B256::repeat_byte(1),
        };
        let head = Head {
            number: 0,
            hash: B256::repeat_byte(2),
            parent_hash: B256::ZERO,
            timestamp: 0,
            base_fee: None,
        };
        let of = |found| compared(31337, block, found).unwrap_err().to_string();
        for part in [
            "block 0",
            &block.hash.to_string(),
            &head.hash.to_string(),
            "31337",
        ] {
            assert!(of(Some(head)).contains(part), "{}", of(Some(head)));
        }
        assert!(of(None).contains("has no such block"), "{}", of(None));
        let same = Head {
            hash: block.hash,
            ..head
        };
        assert_eq!(compared(31337, block, Some(same)), Ok(()));
    }
}
