//! Builds blocks.

use crate::{
    Chain,
    block::{Block, MinedTransaction},
    call::block_env,
    pool::Waiting,
    state::Overlay,
    vantage::Vantage,
};
use alloy::{
    consensus::{Header, Transaction as _},
    eips::{eip2935, eip4788},
    primitives::{Address, U256},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Length of the ring buffers of EIP-2935 and EIP-4788.
const RING: u64 = 8191;

/// A block in preparation.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The header, without roots.
    pub(crate) header: Header,
    pub(crate) transactions: Vec<MinedTransaction>,
    /// Overlays the current state with that after the block.
    pub(crate) overlay: Overlay,
}

impl Chain {
    /// Mines a block of pending transactions, or an empty one. Higher tips come first, then earlier arrivals;
    /// each sender's nonces stay in order.
    pub fn mine(&mut self) {
        let before = self.state.position();
        if self.pool.is_empty() {
            let header = self.next_header();
            self.begin_block(&header);
            return self.append(Block::seal(header, Vec::new(), before));
        }
        let Draft {
            header,
            transactions,
            overlay,
        } = self.vantage().draft();
        self.state.apply(overlay);
        self.append(Block::seal(header, transactions, before));
    }

    /// Returns a block's own writes before its transactions: the parent's hash (EIP-2935), and the root of
    /// the parent's beacon block (EIP-4788), each if its contract exists.
    fn block_writes(&self, header: &Header) -> impl Iterator<Item = (Address, U256, U256)> + use<> {
        let is_there = |contract| {
            self.state
                .account(contract)
                .and_then(|account| account.code)
                .is_some_and(|code| !code.is_empty())
        };
        let history = is_there(eip2935::HISTORY_STORAGE_ADDRESS).then(|| {
            let slot = U256::from(header.number.saturating_sub(1) % RING);
            (eip2935::HISTORY_STORAGE_ADDRESS, slot, header.parent_hash.into())
        });
        let beacon = is_there(eip4788::BEACON_ROOTS_ADDRESS).then(|| {
            let slot = U256::from(header.timestamp % RING);
            let root = header.parent_beacon_block_root.unwrap_or_default();
            [
                (eip4788::BEACON_ROOTS_ADDRESS, slot, U256::from(header.timestamp)),
                (
                    eip4788::BEACON_ROOTS_ADDRESS,
                    slot + U256::from(RING),
                    root.into(),
                ),
            ]
        });
        history.into_iter().chain(beacon.into_iter().flatten())
    }

    /// Applies the block's own writes.
    pub(crate) fn begin_block(&mut self, header: &Header) {
        for (contract, slot, value) in self.block_writes(header) {
            self.state.set_storage(contract, slot, value);
        }
    }

    /// Applies the block's own writes to an overlay.
    pub(crate) fn begin_block_under(&self, overlay: &mut Overlay, header: &Header) {
        for (contract, slot, value) in self.block_writes(header) {
            overlay.set_storage(contract, slot, value);
        }
    }
}

impl Vantage<'_> {
    /// Builds the block that would be mined now.
    pub(crate) fn draft(&self) -> Draft {
        let header = self.next_header();
        let mut overlay = self.overlay_after(self.head());
        let chain = self.chain();
        chain.begin_block_under(&mut overlay, &header);
        let mut transactions = Vec::new();
        let pool = self.pool();
        if pool.is_empty() {
            return Draft {
                header,
                transactions,
                overlay,
            };
        }

        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        let env = block_env(&header);
        // Each sender's transactions that follow the state without a gap; the next one is last.
        let mut lanes: BTreeMap<Address, Vec<(u128, &Waiting)>> = pool
            .senders()
            .map(|sender| {
                let first = self.view(&overlay).account(sender).unwrap_or_default().nonce;
                let mut lane: Vec<_> = pool
                    .of(sender)
                    .skip_while(|(nonce, _)| *nonce < first)
                    .zip(first..)
                    .map_while(|((nonce, waiting), next)| {
                        let tip = waiting.candidate.tip(base_fee)?;
                        (nonce == next && !waiting.held).then_some((tip, waiting))
                    })
                    .collect();
                lane.reverse();
                (sender, lane)
            })
            .collect();
        let mut gas_left = header.gas_limit;
        while let Some((sender, waiting)) = lanes
            .iter()
            .filter_map(|(sender, lane)| lane.last().map(|next| (*sender, *next)))
            .max_by_key(|(_, (tip, waiting))| (*tip, Reverse(waiting.arrival)))
            .map(|(sender, (_, waiting))| (sender, waiting))
        {
            let candidate = &waiting.candidate;
            let outcome = (candidate.transaction.gas_limit() <= gas_left).then(|| {
                self.run(
                    env.clone(),
                    candidate.rules(&chain.cfg),
                    candidate.env(),
                    &overlay,
                )
            });
            // A transaction that does not fit, or cannot be included, also blocks the sender's later ones.
            let Some(Ok(outcome)) = outcome else {
                lanes.remove(&sender);
                continue;
            };
            overlay.commit(&chain.state, outcome.state);
            let (mined, _) = candidate.clone().mined(outcome.result, &header);
            gas_left -= mined.gas_used;
            transactions.push(mined);
            if let Some(lane) = lanes.get_mut(&sender) {
                lane.pop();
            }
        }
        Draft {
            header,
            transactions,
            overlay,
        }
    }
}
