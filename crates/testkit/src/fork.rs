//! State that is fetched on demand.

use crate::{ChainError, state::with_code};
use alloy::primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, HashMap},
};
use revm::state::AccountInfo;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The source of a [forked](crate::Chain::fork) chain's state: a node, or a file.
///
/// All data must be of one block: every item is fetched only once.
pub trait StateSource: fmt::Debug + Send + Sync {
    /// Returns an account. A missing one has balance zero, nonce zero and no code.
    ///
    /// # Errors
    ///
    /// The reason why the source cannot answer.
    fn account(&self, address: Address) -> Result<SourceAccount, SourceError>;

    /// Returns a storage slot; zero if it was never written.
    ///
    /// # Errors
    ///
    /// The reason why the source cannot answer.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, SourceError>;

    /// Returns the hash of a block up to the state's block; zero if it is unknown.
    ///
    /// # Errors
    ///
    /// The reason why the source cannot answer.
    fn block_hash(&self, number: u64) -> Result<B256, SourceError>;
}

/// An account in a [`StateSource`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceAccount {
    /// In wei.
    pub balance: U256,
    /// The number of transactions sent, or of contracts created plus one.
    pub nonce: u64,
    /// Deployed code; empty if there is none.
    pub code: Bytes,
}

/// Why a [`StateSource`] cannot answer. The text must not contain a node's URL, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// The state beneath a chain's changes.
#[derive(Clone, Debug)]
pub(crate) struct Fork {
    source: Arc<dyn StateSource>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: AddressMap<Option<AccountInfo>>,
    storage: HashMap<(Address, U256), U256>,
    block_hashes: HashMap<u64, B256>,
    /// A failure not reported yet.
    failure: Option<ChainError>,
}

impl Fork {
    pub(crate) fn new(source: Arc<dyn StateSource>) -> Self {
        Self {
            source,
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // The content is consistent even after a panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn account(&self, address: Address) -> Result<Option<AccountInfo>, ChainError> {
        if let Some(known) = self.known().accounts.get(&address) {
            return Ok(known.clone());
        }
        let failed = |reason: String| ChainError::Source {
            what: format!("account {address}"),
            reason,
        };
        let account = self.source.account(address).map_err(|error| failed(error.0))?;
        let info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            ..Default::default()
        };
        let info = with_code(info, account.code).map_err(|error| failed(error.to_string()))?;
        let info = (!info.is_empty()).then_some(info);
        self.known().accounts.insert(address, info.clone());
        Ok(info)
    }

    pub(crate) fn storage(&self, address: Address, slot: U256) -> Result<U256, ChainError> {
        if let Some(known) = self.known().storage.get(&(address, slot)) {
            return Ok(*known);
        }
        let value = self
            .source
            .storage(address, slot)
            .map_err(|error| ChainError::Source {
                what: format!("slot {slot:#x} of {address}"),
                reason: error.0,
            })?;
        self.known().storage.insert((address, slot), value);
        Ok(value)
    }

    pub(crate) fn block_hash(&self, number: u64) -> Result<B256, ChainError> {
        if let Some(known) = self.known().block_hashes.get(&number) {
            return Ok(*known);
        }
        let hash = self
            .source
            .block_hash(number)
            .map_err(|error| ChainError::Source {
                what: format!("the hash of block {number}"),
                reason: error.0,
            })?;
        self.known().block_hashes.insert(number, hash);
        Ok(hash)
    }

    /// Stores a failure for [`take_failure`](Self::take_failure); the first one is kept.
    pub(crate) fn keep_failure(&self, failure: ChainError) {
        self.known().failure.get_or_insert(failure);
    }

    pub(crate) fn take_failure(&self) -> Option<ChainError> {
        self.known().failure.take()
    }

    /// Adds the data fetched so far.
    pub(crate) fn fetched(
        &self,
        accounts: &mut BTreeMap<Address, AccountInfo>,
        storage: &mut BTreeMap<(Address, U256), U256>,
    ) {
        let known = self.known();
        for (address, info) in &known.accounts {
            if let Some(info) = info {
                accounts.insert(*address, info.clone());
            }
        }
        storage.extend(known.storage.iter().map(|(place, value)| (*place, *value)));
    }
}
