//! The world state with an undo log, which makes snapshots, reverts and reads at past blocks cheap.

use crate::{
    ChainError, LoadError,
    chain::code_of,
    fork::{Fork, StateSource},
};
use alloy::primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, HashMap, U256Map},
};
use revm::{
    Database,
    bytecode::{Bytecode, BytecodeDecodeError},
    database_interface::DBErrorMarker,
    primitives::KECCAK_EMPTY,
    state::{AccountInfo, EvmState},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// An account with its storage, except for what is in the fork beneath.
#[derive(Clone, Debug, Default)]
struct Account {
    /// `None`: as in the fork, or no such account without a fork.
    info: Option<AccountInfo>,
    storage: U256Map<U256>,
    /// Whether all slots of the fork are hidden.
    whole: bool,
}

/// A change, stored as the previous value.
#[derive(Clone, Debug)]
enum Undo {
    /// Balance, nonce and code; `None`: no such account, or as in the fork.
    Account {
        address: Address,
        before: Option<AccountInfo>,
    },
    /// A storage slot; `None`: zero, or as in the fork.
    Storage {
        address: Address,
        slot: U256,
        before: Option<U256>,
    },
    /// The fork's slots were visible.
    Whole { address: Address },
}

/// A position in the state's history: the number of changes since its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(usize);

impl Position {
    /// The number of changes before it.
    pub(crate) const fn changes(self) -> usize {
        self.0
    }

    pub(crate) const fn from_changes(changes: usize) -> Self {
        Self(changes)
    }
}

/// Identifies a state's content: two states of this process with the same version are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version(u64);

impl Version {
    fn next() -> Self {
        static LATEST: AtomicU64 = AtomicU64::new(0);
        Self(LATEST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A state with its history, as a file holds it.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SavedState {
    /// Every code once; accounts name it by its index.
    codes: Vec<Bytes>,
    accounts: Vec<SavedAccount>,
    history: Vec<SavedChange>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedAccount {
    address: Address,
    info: Option<SavedInfo>,
    storage: BTreeMap<U256, U256>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedInfo {
    balance: U256,
    nonce: u64,
    code: Option<usize>,
}

/// One change, as what there was before.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum SavedChange {
    Account(Address, Option<SavedInfo>),
    Storage(Address, U256, Option<U256>),
}

/// The codes of a state that is being saved.
#[derive(Default)]
struct Codes {
    codes: Vec<Bytes>,
    indices: BTreeMap<B256, usize>,
}

impl Codes {
    fn saved(&mut self, info: &AccountInfo) -> SavedInfo {
        let code = (info.code_hash != KECCAK_EMPTY && info.code_hash != B256::ZERO).then(|| {
            *self.indices.entry(info.code_hash).or_insert_with(|| {
                self.codes.push(code_of(info));
                self.codes.len() - 1
            })
        });
        SavedInfo {
            balance: info.balance,
            nonce: info.nonce,
            code,
        }
    }
}

impl SavedInfo {
    fn info(&self, codes: &[Bytes]) -> Result<AccountInfo, LoadError> {
        let info = AccountInfo {
            balance: self.balance,
            nonce: self.nonce,
            ..Default::default()
        };
        let Some(index) = self.code else {
            return Ok(info);
        };
        let code = codes
            .get(index)
            .ok_or(LoadError::Damaged("an account's code is missing"))?;
        with_code(info, code.clone()).map_err(|_| LoadError::Damaged("an account's code is malformed"))
    }
}

/// All accounts, and the changes needed to return to any earlier state.
///
/// Reading or restoring a past state costs as much as the changes since; memory grows with every change.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    accounts: AddressMap<Account>,
    undo: Vec<Undo>,
    /// Visible where nothing was changed.
    fork: Option<Fork>,
    /// Another one after every change.
    version: Version,
}

impl State {
    /// Creates a state on top of a source.
    pub(crate) fn fork(source: Arc<dyn StateSource>) -> Self {
        Self {
            fork: Some(Fork::new(source)),
            version: Version::next(),
            ..Default::default()
        }
    }

    /// Returns the state with its history; `None` above a fork, whose own state is elsewhere.
    pub(crate) fn save(&self) -> Option<SavedState> {
        if self.fork.is_some() {
            return None;
        }
        let mut codes = Codes::default();
        let mut accounts: Vec<SavedAccount> = self
            .accounts
            .iter()
            .map(|(address, account)| SavedAccount {
                address: *address,
                info: account.info.as_ref().map(|info| codes.saved(info)),
                storage: account
                    .storage
                    .iter()
                    .map(|(slot, value)| (*slot, *value))
                    .collect(),
            })
            .collect();
        accounts.sort_by_key(|account| account.address);
        let history = self
            .undo
            .iter()
            .filter_map(|undo| match undo {
                Undo::Account { address, before } => {
                    let before = before.as_ref().map(|info| codes.saved(info));
                    Some(SavedChange::Account(*address, before))
                }
                Undo::Storage {
                    address,
                    slot,
                    before,
                } => Some(SavedChange::Storage(*address, *slot, *before)),
                // Only above a fork.
                Undo::Whole { .. } => None,
            })
            .collect();
        Some(SavedState {
            codes: codes.codes,
            accounts,
            history,
        })
    }

    /// Returns a state that was saved.
    pub(crate) fn load(saved: SavedState) -> Result<Self, LoadError> {
        let SavedState {
            codes,
            accounts,
            history,
        } = saved;
        let info = |info: Option<SavedInfo>| info.map(|info| info.info(&codes)).transpose();
        let mut state = Self {
            version: Version::next(),
            ..Default::default()
        };
        for SavedAccount {
            address,
            info: of_account,
            storage,
        } in accounts
        {
            let account = Account {
                info: info(of_account)?,
                storage: storage.into_iter().collect(),
                whole: false,
            };
            if state.accounts.insert(address, account).is_some() {
                return Err(LoadError::Damaged("an account is there twice"));
            }
        }
        for change in history {
            state.undo.push(match change {
                SavedChange::Account(address, before) => Undo::Account {
                    address,
                    before: info(before)?,
                },
                SavedChange::Storage(address, slot, before) => Undo::Storage {
                    address,
                    slot,
                    before,
                },
            });
        }
        Ok(state)
    }

    pub(crate) const fn position(&self) -> Position {
        Position(self.undo.len())
    }

    pub(crate) const fn version(&self) -> Version {
        self.version
    }

    /// Reverts all changes since `position`.
    pub(crate) fn revert_to(&mut self, position: Position) {
        self.version = Version::next();
        for undo in self.undo.drain(position.0..).rev() {
            match undo {
                Undo::Account { address, before } => {
                    let account = self.accounts.entry(address).or_default();
                    account.info = before;
                    if account.info.is_none() && account.storage.is_empty() && !account.whole {
                        self.accounts.remove(&address);
                    }
                }
                Undo::Storage {
                    address,
                    slot,
                    before,
                } => {
                    let storage = &mut self.accounts.entry(address).or_default().storage;
                    match before {
                        None => storage.remove(&slot),
                        Some(before) => storage.insert(slot, before),
                    };
                }
                Undo::Whole { address } => self.accounts.entry(address).or_default().whole = false,
            }
        }
    }

    /// Returns the overlay that shows the current state as of `position`.
    pub(crate) fn overlay_at(&self, position: Position) -> Overlay {
        let mut overlay = Overlay::default();
        for undo in self.undo[position.0..].iter().rev() {
            match undo {
                Undo::Account { address, before } => {
                    overlay.accounts.insert(*address, before.clone());
                }
                Undo::Storage {
                    address,
                    slot,
                    before,
                } => {
                    overlay.storage.insert((*address, *slot), *before);
                }
                Undo::Whole { address } => {
                    overlay.forked_storage.insert(*address, ());
                }
            }
        }
        for ((address, _), value) in &mut overlay.storage {
            let is_whole = self.accounts.get(address).is_some_and(|account| account.whole);
            if value.is_none() && is_whole && !overlay.forked_storage.contains_key(address) {
                *value = Some(U256::ZERO);
            }
        }
        overlay
    }

    /// Returns an account without changes; `None` if it does not exist.
    fn base_account(&self, address: Address) -> Result<Option<AccountInfo>, ChainError> {
        self.fork.as_ref().map_or(Ok(None), |fork| fork.account(address))
    }

    fn base_storage(&self, address: Address, slot: U256) -> Result<U256, ChainError> {
        let fork = self.fork.as_ref();
        fork.map_or(Ok(U256::ZERO), |fork| fork.storage(address, slot))
    }

    /// Returns a block hash from the fork; zero if it is unknown, or there is no fork.
    pub(crate) fn block_hash(&self, number: u64) -> Result<B256, ChainError> {
        self.fork
            .as_ref()
            .map_or(Ok(B256::ZERO), |fork| fork.block_hash(number))
    }

    /// Stores the error of a fork's source for [`failure`](Self::failure).
    pub(crate) fn kept<T: Default>(&self, result: Result<T, ChainError>) -> T {
        result.unwrap_or_else(|failure| {
            if let Some(fork) = &self.fork {
                fork.keep_failure(failure);
            }
            T::default()
        })
    }

    /// Returns a fork source's error, if one was not reported yet.
    pub(crate) fn failure(&self) -> Result<(), ChainError> {
        let failure = self.fork.as_ref().and_then(Fork::take_failure);
        failure.map_or(Ok(()), Err)
    }

    fn read_account(&self, address: Address) -> Result<Option<AccountInfo>, ChainError> {
        match self.accounts.get(&address) {
            Some(Account { info: Some(info), .. }) => Ok(Some(info.clone())),
            _ => self.base_account(address),
        }
    }

    fn read_storage(&self, address: Address, slot: U256) -> Result<U256, ChainError> {
        match self.accounts.get(&address) {
            Some(account) => match account.storage.get(&slot) {
                Some(value) => Ok(*value),
                None if account.whole => Ok(U256::ZERO),
                None => self.base_storage(address, slot),
            },
            None => self.base_storage(address, slot),
        }
    }

    /// Returns an account; `None` if it does not exist, or if a fork's source fails: then
    /// [`failure`](Self::failure) returns the error.
    pub(crate) fn account(&self, address: Address) -> Option<AccountInfo> {
        self.kept(self.read_account(address))
    }

    /// Returns a slot; zero if a fork's source fails: then [`failure`](Self::failure) returns the error.
    pub(crate) fn storage(&self, address: Address, slot: U256) -> U256 {
        self.kept(self.read_storage(address, slot))
    }

    pub(crate) fn set_account(&mut self, address: Address, info: AccountInfo) {
        self.version = Version::next();
        let before = self.accounts.entry(address).or_default().info.replace(info);
        self.undo.push(Undo::Account { address, before });
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.version = Version::next();
        let is_fork = self.fork.is_some();
        if !is_fork && !self.accounts.contains_key(&address) {
            self.set_account(address, AccountInfo::default());
        }
        let storage = &mut self.accounts.entry(address).or_default().storage;
        // Above a fork, zero hides the fork's value.
        let before = if value.is_zero() && !is_fork {
            storage.remove(&slot)
        } else {
            storage.insert(slot, value)
        };
        self.undo.push(Undo::Storage {
            address,
            slot,
            before,
        });
    }

    /// Removes an account and its storage. Above a fork, an empty account replaces it.
    fn remove(&mut self, address: Address) {
        self.version = Version::next();
        self.clear_storage(address);
        if self.fork.is_some() {
            return self.set_account(address, AccountInfo::default());
        }
        if let Some(account) = self.accounts.remove(&address) {
            self.undo.push(Undo::Account {
                address,
                before: account.info,
            });
        }
    }

    /// Sets every slot of an account to zero.
    fn clear_storage(&mut self, address: Address) {
        self.version = Version::next();
        let is_fork = self.fork.is_some();
        if is_fork {
            self.accounts.entry(address).or_default();
        }
        if let Some(account) = self.accounts.get_mut(&address) {
            let storage = std::mem::take(&mut account.storage);
            self.undo
                .extend(storage.into_iter().map(|(slot, before)| Undo::Storage {
                    address,
                    slot,
                    before: Some(before),
                }));
            if is_fork && !account.whole {
                account.whole = true;
                self.undo.push(Undo::Whole { address });
            }
        }
    }

    /// Returns all accounts, and all nonzero slots. Of a fork, those fetched or changed.
    pub(crate) fn contents(&self) -> (BTreeMap<Address, AccountInfo>, BTreeMap<(Address, U256), U256>) {
        let (mut accounts, mut storage) = (BTreeMap::new(), BTreeMap::new());
        if let Some(fork) = &self.fork {
            fork.fetched(&mut accounts, &mut storage);
        }
        for (address, account) in &self.accounts {
            if let Some(info) = &account.info {
                accounts.insert(*address, info.clone());
            }
            if account.whole {
                storage.retain(|(of, _), _| of != address);
            }
            storage.extend(
                account
                    .storage
                    .iter()
                    .map(|(slot, value)| ((*address, *slot), *value)),
            );
        }
        storage.retain(|_, value| !value.is_zero());
        (accounts, storage)
    }

    /// Applies an overlay to the state.
    pub(crate) fn apply(&mut self, overlay: Overlay) {
        for address in overlay.replaced_storage.into_keys() {
            self.clear_storage(address);
        }
        for (address, account) in overlay.accounts {
            match account {
                None => self.remove(address),
                Some(info) if self.account(address).as_ref() == Some(&info) => {}
                Some(info) => self.set_account(address, info),
            }
        }
        for ((address, slot), value) in overlay.storage {
            let value = value.unwrap_or_default();
            if self.storage(address, slot) != value {
                self.set_storage(address, slot, value);
            }
        }
    }

    /// Applies the changes of a transaction.
    pub(crate) fn commit(&mut self, changes: EvmState) {
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            // EIP-161: an account left empty does not exist. EIP-6780: only contracts created in the same
            // transaction are removed by self-destruction.
            if account.is_selfdestructed() || account.is_empty() {
                self.remove(address);
                continue;
            }
            if self.account(address).as_ref() != Some(&account.info) {
                let mut info = account.info;
                // The EVM omits code that it did not load.
                if info.code.is_none() {
                    info.code = self.account(address).and_then(|account| account.code);
                }
                self.set_account(address, info);
            }
            for (slot, value) in account.storage {
                if value.is_changed() {
                    self.set_storage(address, slot, value.present_value);
                }
            }
        }
    }
}

/// Values that hide the state's: a past state, or a call's state overrides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    /// `None`: no such account, or as in the fork.
    accounts: AddressMap<Option<AccountInfo>>,
    /// `None`: zero, or as in the fork.
    storage: HashMap<(Address, U256), Option<U256>>,
    /// Accounts whose slots in the state are all hidden.
    replaced_storage: AddressMap<()>,
    /// Accounts whose slots are as in the fork, unless set here.
    forked_storage: AddressMap<()>,
}

impl Overlay {
    pub(crate) fn set_account(&mut self, address: Address, info: AccountInfo) {
        self.accounts.insert(address, Some(info));
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.storage.insert((address, slot), Some(value));
    }

    /// Sets every slot of an account to zero, except those set afterwards.
    pub(crate) fn clear_storage(&mut self, address: Address) {
        self.storage.retain(|(of, _), _| *of != address);
        self.replaced_storage.insert(address, ());
    }

    /// Applies the changes of a transaction that ran on `state` under this overlay. See [`State::commit`].
    pub(crate) fn commit(&mut self, state: &State, changes: EvmState) {
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() || account.is_empty() {
                self.clear_storage(address);
                // Above a fork, an empty account hides the fork's.
                let nothing = state.fork.is_some().then(AccountInfo::default);
                self.accounts.insert(address, nothing);
                continue;
            }
            let mut info = account.info;
            if info.code.is_none() {
                let known = match self.accounts.get(&address) {
                    Some(Some(account)) => Some(account.clone()),
                    Some(None) => state.kept(state.base_account(address)),
                    None => state.account(address),
                };
                info.code = known.and_then(|account| account.code);
            }
            self.set_account(address, info);
            for (slot, value) in account.storage {
                if value.is_changed() {
                    self.set_storage(address, slot, value.present_value);
                }
            }
        }
    }
}

/// Sets an account's code.
pub(crate) fn with_code(mut info: AccountInfo, code: Bytes) -> Result<AccountInfo, BytecodeDecodeError> {
    let code = if code.is_empty() {
        Bytecode::default()
    } else {
        Bytecode::new_raw_checked(code)?
    };
    info.code_hash = if code.is_empty() {
        KECCAK_EMPTY
    } else {
        code.hash_slow()
    };
    info.code = Some(code);
    Ok(info)
}

/// The state as the EVM reads it: with an overlay, and with past block hashes.
#[derive(Debug)]
pub(crate) struct View<'a, F> {
    pub(crate) state: &'a State,
    pub(crate) overlay: &'a Overlay,
    /// Returns the hash of a block by number.
    pub(crate) block_hash: F,
}

impl<F> View<'_, F> {
    fn read_account(&self, address: Address) -> Result<Option<AccountInfo>, ChainError> {
        match self.overlay.accounts.get(&address) {
            Some(Some(account)) => Ok(Some(account.clone())),
            Some(None) => self.state.base_account(address),
            None => self.state.read_account(address),
        }
    }

    fn read_storage(&self, address: Address, slot: U256) -> Result<U256, ChainError> {
        let replaced = self.overlay.replaced_storage.contains_key(&address);
        match self.overlay.storage.get(&(address, slot)) {
            Some(Some(value)) => Ok(*value),
            _ if replaced => Ok(U256::ZERO),
            None if !self.overlay.forked_storage.contains_key(&address) => {
                self.state.read_storage(address, slot)
            }
            Some(None) | None => self.state.base_storage(address, slot),
        }
    }

    /// Like [`State::account`].
    pub(crate) fn account(&self, address: Address) -> Option<AccountInfo> {
        self.state.kept(self.read_account(address))
    }

    /// Like [`State::storage`].
    pub(crate) fn storage(&self, address: Address, slot: U256) -> U256 {
        self.state.kept(self.read_storage(address, slot))
    }
}

/// The error of a fork's source, for the EVM.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReadError(pub(crate) ChainError);

impl DBErrorMarker for ReadError {}

impl<F: Fn(u64) -> Result<B256, ChainError>> Database for View<'_, F> {
    type Error = ReadError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        self.read_account(address).map_err(ReadError)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ReadError> {
        // Unreachable: every account carries its code.
        let account = self
            .state
            .accounts
            .values()
            .filter_map(|account| account.info.as_ref())
            .find(|info| info.code_hash == code_hash);
        Ok(account.and_then(|info| info.code.clone()).unwrap_or_default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadError> {
        self.read_storage(address, slot).map_err(ReadError)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadError> {
        (self.block_hash)(number).map_err(ReadError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceAccount, StateDump};

    const ADDRESS: Address = Address::repeat_byte(0x11);

    fn info(balance: u64) -> AccountInfo {
        AccountInfo {
            balance: U256::from(balance),
            ..Default::default()
        }
    }

    fn view<'a>(state: &'a State, overlay: &'a Overlay) -> View<'a, fn(u64) -> Result<B256, ChainError>> {
        View {
            state,
            overlay,
            block_hash: |_| Ok(B256::ZERO),
        }
    }

    #[test]
    fn revert_restores_accounts_and_slots() {
        let mut state = State::default();
        state.set_account(ADDRESS, info(1));
        state.set_storage(ADDRESS, U256::from(7), U256::from(70));
        let position = state.position();
        state.set_account(ADDRESS, info(2));
        state.set_storage(ADDRESS, U256::from(7), U256::ZERO);
        state.set_storage(ADDRESS, U256::from(8), U256::from(80));
        state.set_account(Address::ZERO, info(3));
        state.revert_to(position);
        assert_eq!(state.account(ADDRESS), Some(info(1)));
        assert_eq!(state.storage(ADDRESS, U256::from(7)), U256::from(70));
        assert_eq!(state.storage(ADDRESS, U256::from(8)), U256::ZERO);
        assert_eq!(state.account(Address::ZERO), None);
        assert_eq!(state.position(), position);
    }

    #[test]
    fn revert_restores_a_removed_account_with_its_storage() {
        let mut state = State::default();
        state.set_account(ADDRESS, info(1));
        state.set_storage(ADDRESS, U256::from(7), U256::from(70));
        let position = state.position();
        state.remove(ADDRESS);
        assert_eq!(state.account(ADDRESS), None);
        assert_eq!(state.storage(ADDRESS, U256::from(7)), U256::ZERO);
        let past = state.overlay_at(position);
        assert_eq!(
            view(&state, &past).storage(ADDRESS, U256::from(7)),
            U256::from(70)
        );
        state.revert_to(position);
        assert_eq!(state.account(ADDRESS), Some(info(1)));
        assert_eq!(state.storage(ADDRESS, U256::from(7)), U256::from(70));
    }

    #[test]
    fn overlay_shows_the_oldest_value_after_its_position() {
        let mut state = State::default();
        state.set_account(ADDRESS, info(1));
        state.set_storage(ADDRESS, U256::from(7), U256::from(70));
        let position = state.position();
        for value in 2..5 {
            state.set_account(ADDRESS, info(value));
            state.set_storage(ADDRESS, U256::from(7), U256::from(value));
        }
        let past = state.overlay_at(position);
        assert_eq!(view(&state, &past).account(ADDRESS), Some(info(1)));
        assert_eq!(
            view(&state, &past).storage(ADDRESS, U256::from(7)),
            U256::from(70)
        );
        let now = Overlay::default();
        assert_eq!(view(&state, &now).account(ADDRESS), Some(info(4)));
        assert_eq!(view(&state, &now).storage(ADDRESS, U256::from(7)), U256::from(4));
    }

    #[test]
    fn cleared_storage_shows_only_what_was_set_afterwards() {
        let mut state = State::default();
        state.set_storage(ADDRESS, U256::from(7), U256::from(70));
        let mut overlay = Overlay::default();
        overlay.clear_storage(ADDRESS);
        overlay.set_storage(ADDRESS, U256::from(8), U256::from(80));
        assert_eq!(view(&state, &overlay).storage(ADDRESS, U256::from(7)), U256::ZERO);
        assert_eq!(
            view(&state, &overlay).storage(ADDRESS, U256::from(8)),
            U256::from(80)
        );
    }

    /// The account's slot 7 is 70 in the fork, slot 9 is 90.
    fn forked() -> State {
        let mut below = StateDump::default();
        let account = SourceAccount {
            balance: U256::from(1),
            ..Default::default()
        };
        below.insert(ADDRESS, account);
        for slot in [7, 9] {
            below.insert_slot(ADDRESS, U256::from(slot), U256::from(slot * 10));
        }
        State::fork(Arc::new(below))
    }

    fn slots<F>(view: &View<'_, F>) -> [u64; 3] {
        [7, 8, 9].map(|slot| view.storage(ADDRESS, U256::from(slot)).to())
    }

    #[test]
    fn changes_hide_the_fork_until_reverted() {
        let mut state = forked();
        let now = Overlay::default();
        assert_eq!(slots(&view(&state, &now)), [70, 0, 90]);
        let untouched = state.position();
        state.set_storage(ADDRESS, U256::from(7), U256::ZERO);
        state.set_storage(ADDRESS, U256::from(8), U256::from(80));
        let changed = state.position();
        assert_eq!(slots(&view(&state, &now)), [0, 80, 90]);
        state.remove(ADDRESS);
        let removed = state.position();
        assert_eq!(slots(&view(&state, &now)), [0, 0, 0]);
        assert_eq!(state.account(ADDRESS), Some(AccountInfo::default()));
        state.set_storage(ADDRESS, U256::from(9), U256::from(99));
        assert_eq!(slots(&view(&state, &now)), [0, 0, 99]);

        for (position, expected, balance) in [
            (removed, [0, 0, 0], 0),
            (changed, [0, 80, 90], 1),
            (untouched, [70, 0, 90], 1),
        ] {
            let past = state.overlay_at(position);
            assert_eq!(slots(&view(&state, &past)), expected);
            assert_eq!(view(&state, &past).account(ADDRESS), Some(info(balance)));
        }
        for (position, expected, balance) in [
            (removed, [0, 0, 0], 0),
            (changed, [0, 80, 90], 1),
            (untouched, [70, 0, 90], 1),
        ] {
            state.revert_to(position);
            assert_eq!(slots(&view(&state, &now)), expected);
            assert_eq!(state.account(ADDRESS), Some(info(balance)));
        }
    }
}
