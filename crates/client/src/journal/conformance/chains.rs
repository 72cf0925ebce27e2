//! The chains that a journal is bound to.

use super::{Journal, block, fresh, lane, open, put};
use crate::journal::History;
use std::sync::Arc;

pub(super) async fn a_chain_is_bound_once(journal: Arc<dyn Journal>) {
    let (here, there) = (fresh(), fresh());
    if journal.history(here).await.unwrap() == History::NotKept {
        return;
    }
    let unbound = History::Unbound { made: Vec::new() };
    assert_eq!(journal.history(here).await.unwrap(), unbound);
    let first = block(fresh());
    assert_eq!(journal.bind(here, first).await.unwrap(), first);
    assert_eq!(journal.bind(here, block(fresh())).await.unwrap(), first);
    let bound = History::Bound { to: first };
    assert_eq!(journal.history(here).await.unwrap(), bound);
    // Another chain is bound for itself.
    assert_eq!(journal.history(there).await.unwrap(), unbound);
    let second = block(fresh());
    assert_eq!(journal.bind(there, second).await.unwrap(), second);
    assert_eq!(journal.history(here).await.unwrap(), bound);
}

pub(super) async fn an_unbound_chain_is_known_by_its_operations(journal: Arc<dyn Journal>) {
    let lane = lane();
    if journal.history(lane.chain_id).await.unwrap() == History::NotKept {
        return;
    }
    let mut expected = Vec::new();
    for _ in 0..3 {
        let record = put(&*journal, open(lane)).await;
        expected.extend(record.operations.iter().map(|operation| operation.made));
    }
    expected.reverse();
    let made = History::Unbound { made: expected };
    assert_eq!(journal.history(lane.chain_id).await.unwrap(), made);
    let other = History::Unbound { made: Vec::new() };
    assert_eq!(journal.history(fresh()).await.unwrap(), other);
}
