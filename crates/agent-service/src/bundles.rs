//! What became of each client's bundles, as far as this process and the log know.

use crate::rpc::RpcError;
use session_key_agent::client::{alloy::primitives::B256, operation::Included};
use std::collections::{HashMap, VecDeque};

/// The most decided bundles of a client that are remembered. Of older ones, the journal knows
/// what was signed.
pub const MOST_REMEMBERED: usize = 1_024;

/// What is known of a bundle.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// A task works on it.
    Pending,
    /// Nobody works on it: the journal knows what was signed.
    Open,
    /// The log says in which transaction it was included. The journal may know less: an older backup of it.
    Logged { operation: B256, transaction: B256 },
    /// It is in a block.
    Included(Box<Included>),
    /// Nothing of it happened or will.
    Refused(RpcError),
}

#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    /// The hash of its calls; `None`: not known.
    pub(crate) calls: Option<B256>,
    pub(crate) standing: Standing,
}

/// One client's.
#[derive(Debug, Default)]
pub(crate) struct Bundles {
    by_id: HashMap<B256, Bundle>,
    /// Those on which nobody works, oldest first.
    decided: VecDeque<B256>,
}

impl Bundles {
    pub(crate) fn find(&self, id: B256) -> Option<&Bundle> {
        self.by_id.get(&id)
    }

    /// Begins a bundle; returns the one that has the id.
    pub(crate) fn begin(&mut self, id: B256, calls: B256) -> Result<(), Bundle> {
        if let Some(known) = self.by_id.get(&id) {
            return Err(known.clone());
        }
        let bundle = Bundle {
            calls: Some(calls),
            standing: Standing::Pending,
        };
        self.by_id.insert(id, bundle);
        Ok(())
    }

    /// Forgets a bundle that did not begin.
    pub(crate) fn forget(&mut self, id: B256) {
        self.by_id.remove(&id);
    }

    /// Notes what is known of a bundle on which nobody works any more.
    pub(crate) fn note(&mut self, id: B256, calls: Option<B256>, standing: Standing) {
        let known = self.by_id.get(&id);
        let is_new = known.is_none_or(|known| matches!(known.standing, Standing::Pending));
        let calls = calls.or_else(|| known.and_then(|known| known.calls));
        self.by_id.insert(id, Bundle { calls, standing });
        if is_new {
            self.decided.push_back(id);
        }
        if self.decided.len() > MOST_REMEMBERED
            && let Some(oldest) = self.decided.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_agent::client::alloy::primitives::U256;

    #[test]
    fn few_are_remembered_and_pending_ones_never_forgotten() {
        let mut bundles = Bundles::default();
        let id = |number: usize| B256::from(U256::from(number));
        bundles.begin(id(0), B256::ZERO).unwrap();
        for number in 1..=3 * MOST_REMEMBERED {
            bundles.begin(id(number), B256::ZERO).unwrap();
            for _ in 0..2 {
                bundles.note(id(number), None, Standing::Open);
            }
        }
        assert_eq!(bundles.by_id.len(), MOST_REMEMBERED + 1);
        assert_eq!(bundles.decided.len(), MOST_REMEMBERED);
        assert!(bundles.begin(id(0), B256::ZERO).is_err());
        assert!(bundles.begin(id(1), B256::ZERO).is_ok());
        let last = bundles.find(id(3 * MOST_REMEMBERED)).unwrap();
        assert_eq!(last.calls, Some(B256::ZERO));
    }
}
