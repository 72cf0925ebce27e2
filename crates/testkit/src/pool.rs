//! The transaction pool, with geth's rules.

use crate::{ChainError, transaction::Candidate};
use alloy::{
    consensus::Transaction as _,
    primitives::{Address, B256, U256, map::B256Map},
    rpc::types,
};
use std::{collections::BTreeMap, sync::Arc};

/// The minimum increase of both fees for a replacement, in percent.
const PRICE_BUMP: u128 = 10;

/// A pending transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PooledTransaction {
    /// The transaction as `eth_getTransactionByHash` shows it, without a block.
    pub transaction: types::Transaction,
    /// Whether it waits for a lower nonce that is neither used nor pending.
    pub queued: bool,
    /// Whether blocks skip it; see [`Chain::hold_pooled`](crate::Chain::hold_pooled).
    pub held: bool,
}

/// A transaction in the pool.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) candidate: Arc<Candidate>,
    pub(crate) held: bool,
    /// Breaks ties between equal payments: the earlier one wins.
    pub(crate) arrival: u64,
}

/// All pending transactions, at most one per sender and nonce.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    senders: BTreeMap<Address, BTreeMap<u64, Waiting>>,
    places: B256Map<(Address, u64)>,
    arrivals: u64,
}

/// The parts of an account that the pool needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Funds {
    pub(crate) nonce: u64,
    /// Wei.
    pub(crate) balance: U256,
}

impl Pool {
    pub(crate) fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }

    pub(crate) fn find(&self, hash: B256) -> Option<&Waiting> {
        let (sender, nonce) = self.places.get(&hash)?;
        self.senders.get(sender)?.get(nonce)
    }

    /// Returns the transactions of one sender, by nonce.
    pub(crate) fn of(&self, sender: Address) -> impl Iterator<Item = (u64, &Waiting)> {
        self.senders
            .get(&sender)
            .into_iter()
            .flatten()
            .map(|(nonce, waiting)| (*nonce, waiting))
    }

    pub(crate) fn senders(&self) -> impl Iterator<Item = Address> {
        self.senders.keys().copied()
    }

    /// Returns the first nonce from `nonce` on without a pending transaction.
    pub(crate) fn next_nonce(&self, sender: Address, nonce: u64) -> u64 {
        let mut next = nonce;
        for (taken, _) in self.of(sender).skip_while(|(taken, _)| *taken < nonce) {
            if taken != next {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }

    /// Checks whether a transaction can be accepted, by nonce, funds and pending transactions.
    pub(crate) fn admit(&self, candidate: &Candidate, funds: Funds) -> Result<(), ChainError> {
        let hash = candidate.hash();
        if self.places.contains_key(&hash) {
            return Err(ChainError::AlreadyKnown(hash));
        }
        let (sender, nonce) = (candidate.sender(), candidate.transaction.nonce());
        if nonce < funds.nonce {
            return Err(ChainError::NonceTooLow {
                transaction: nonce,
                next: funds.nonce,
            });
        }
        let cost = candidate.highest_cost();
        let replaced = self.senders.get(&sender).and_then(|waiting| waiting.get(&nonce));
        let pooled = self
            .of(sender)
            .filter(|(taken, _)| *taken != nonce)
            .fold(U256::ZERO, |sum, (_, waiting)| {
                sum.saturating_add(waiting.candidate.highest_cost())
            });
        // Pending transactions count only if this one alone is affordable: the two cases have different
        // errors.
        let pooled = if cost > funds.balance { U256::ZERO } else { pooled };
        if pooled.saturating_add(cost) > funds.balance {
            return Err(ChainError::Unaffordable {
                balance: funds.balance,
                pooled,
                cost,
            });
        }
        match replaced {
            Some(old) if !outbids(candidate, &old.candidate) => Err(ChainError::ReplacementUnderpriced {
                pooled: old.candidate.hash(),
            }),
            _ => Ok(()),
        }
    }

    /// Inserts a transaction, and returns the one it replaces.
    pub(crate) fn insert(&mut self, candidate: Arc<Candidate>) -> Option<Arc<Candidate>> {
        let (hash, sender, nonce) = (
            candidate.hash(),
            candidate.sender(),
            candidate.transaction.nonce(),
        );
        let waiting = Waiting {
            candidate,
            held: false,
            arrival: self.arrivals,
        };
        self.arrivals += 1;
        self.places.insert(hash, (sender, nonce));
        let replaced = self.senders.entry(sender).or_default().insert(nonce, waiting)?;
        self.places.remove(&replaced.candidate.hash());
        Some(replaced.candidate)
    }

    pub(crate) fn remove(&mut self, hash: B256) -> Option<Waiting> {
        let (sender, nonce) = self.places.remove(&hash)?;
        let of_sender = self.senders.get_mut(&sender)?;
        let removed = of_sender.remove(&nonce);
        if of_sender.is_empty() {
            self.senders.remove(&sender);
        }
        removed
    }

    pub(crate) fn set_held(&mut self, hash: B256, held: bool) -> Result<(), ChainError> {
        let unknown = ChainError::UnknownTransaction(hash);
        let (sender, nonce) = self.places.get(&hash).ok_or(unknown.clone())?;
        let of_sender = self.senders.get_mut(sender).ok_or(unknown.clone())?;
        of_sender.get_mut(nonce).ok_or(unknown)?.held = held;
        Ok(())
    }

    /// Drops transactions that can no longer be included: their nonce is used, their sender cannot pay, or
    /// they exceed the block gas limit.
    pub(crate) fn settle(&mut self, gas_limit: u64, funds: impl Fn(Address) -> Funds) {
        let places = &mut self.places;
        self.senders.retain(|sender, waiting| {
            let Funds { nonce, balance } = funds(*sender);
            waiting.retain(|of, waiting| {
                let candidate = &waiting.candidate;
                let stays = *of >= nonce
                    && candidate.highest_cost() <= balance
                    && candidate.transaction.gas_limit() <= gas_limit;
                if !stays {
                    places.remove(&candidate.hash());
                }
                stays
            });
            !waiting.is_empty()
        });
    }
}

/// Whether a transaction pays enough more than another to replace it.
pub(crate) fn outbids(new: &Candidate, old: &Candidate) -> bool {
    let enough = |new: u128, old: u128| {
        let threshold = U256::from(old) * U256::from(100 + PRICE_BUMP) / U256::from(100);
        new > old && U256::from(new) >= threshold
    };
    let tip = |candidate: &Candidate| {
        let transaction = &candidate.transaction;
        transaction
            .max_priority_fee_per_gas()
            .unwrap_or_else(|| transaction.max_fee_per_gas())
    };
    enough(
        new.transaction.max_fee_per_gas(),
        old.transaction.max_fee_per_gas(),
    ) && enough(tip(new), tip(old))
}
