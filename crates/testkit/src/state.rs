//! The world state, with an undo log: what makes snapshots, reverts and reads at past blocks cheap.

use alloy::primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, HashMap, U256Map},
};
use revm::{
    Database,
    bytecode::{Bytecode, BytecodeDecodeError},
    primitives::KECCAK_EMPTY,
    state::{AccountInfo, EvmState},
};
use std::convert::Infallible;

/// An account with its storage.
#[derive(Clone, Debug, Default)]
struct Account {
    info: AccountInfo,
    storage: U256Map<U256>,
}

/// One change, kept as what was there before.
#[derive(Clone, Debug)]
enum Undo {
    /// Balance, nonce and code; `None`: there was no such account.
    Account {
        address: Address,
        before: Option<AccountInfo>,
    },
    /// One storage slot.
    Storage {
        address: Address,
        slot: U256,
        before: U256,
    },
}

/// A place in the history of the state, in changes since its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(usize);

/// All accounts, and how to get back to any earlier state.
///
/// Reading the past and reverting to it cost as much as what changed since then; memory grows with every change.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    accounts: AddressMap<Account>,
    undo: Vec<Undo>,
}

impl State {
    pub(crate) const fn position(&self) -> Position {
        Position(self.undo.len())
    }

    /// Takes back everything since `position`.
    pub(crate) fn revert_to(&mut self, position: Position) {
        for undo in self.undo.drain(position.0..).rev() {
            match undo {
                Undo::Account {
                    address,
                    before: Some(info),
                } => {
                    self.accounts.entry(address).or_default().info = info;
                }
                Undo::Account {
                    address,
                    before: None,
                } => {
                    self.accounts.remove(&address);
                }
                Undo::Storage {
                    address,
                    slot,
                    before,
                } => {
                    let storage = &mut self.accounts.entry(address).or_default().storage;
                    if before.is_zero() {
                        storage.remove(&slot);
                    } else {
                        storage.insert(slot, before);
                    }
                }
            }
        }
    }

    /// What has to be laid over the state as it is to see it as it was at `position`.
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
            }
        }
        overlay
    }

    pub(crate) fn account(&self, address: Address) -> Option<&AccountInfo> {
        self.accounts.get(&address).map(|account| &account.info)
    }

    pub(crate) fn storage(&self, address: Address, slot: U256) -> U256 {
        self.accounts
            .get(&address)
            .and_then(|account| account.storage.get(&slot))
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn set_account(&mut self, address: Address, info: AccountInfo) {
        let before = match self.accounts.get_mut(&address) {
            Some(account) => Some(std::mem::replace(&mut account.info, info)),
            None => {
                self.accounts.insert(
                    address,
                    Account {
                        info,
                        storage: HashMap::default(),
                    },
                );
                None
            }
        };
        self.undo.push(Undo::Account { address, before });
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        if !self.accounts.contains_key(&address) {
            self.set_account(address, AccountInfo::default());
        }
        let storage = &mut self.accounts.entry(address).or_default().storage;
        let before = if value.is_zero() {
            storage.remove(&slot)
        } else {
            storage.insert(slot, value)
        };
        self.undo.push(Undo::Storage {
            address,
            slot,
            before: before.unwrap_or_default(),
        });
    }

    /// Removes an account and its storage.
    fn remove(&mut self, address: Address) {
        if let Some(account) = self.accounts.remove(&address) {
            self.undo
                .extend(account.storage.into_iter().map(|(slot, before)| Undo::Storage {
                    address,
                    slot,
                    before,
                }));
            self.undo.push(Undo::Account {
                address,
                before: Some(account.info),
            });
        }
    }

    /// Makes every slot of an account zero.
    fn clear_storage(&mut self, address: Address) {
        if let Some(account) = self.accounts.get_mut(&address) {
            let storage = std::mem::take(&mut account.storage);
            self.undo
                .extend(storage.into_iter().map(|(slot, before)| Undo::Storage {
                    address,
                    slot,
                    before,
                }));
        }
    }

    /// Makes the state look as it does under an overlay.
    pub(crate) fn apply(&mut self, overlay: Overlay) {
        for address in overlay.replaced_storage.into_keys() {
            self.clear_storage(address);
        }
        for (address, account) in overlay.accounts {
            match account {
                None => self.remove(address),
                Some(info) if self.account(address) == Some(&info) => {}
                Some(info) => self.set_account(address, info),
            }
        }
        for ((address, slot), value) in overlay.storage {
            if self.storage(address, slot) != value {
                self.set_storage(address, slot, value);
            }
        }
    }

    /// Applies what a transaction changed.
    pub(crate) fn commit(&mut self, changes: EvmState) {
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            // EIP-161: an account left empty is no account. EIP-6780: only what was created in the same transaction
            // destroys itself entirely.
            if account.is_selfdestructed() || account.is_empty() {
                self.remove(address);
                continue;
            }
            if self.account(address) != Some(&account.info) {
                let mut info = account.info;
                // The EVM leaves the code out when it did not need it.
                if info.code.is_none() {
                    info.code = self.account(address).and_then(|account| account.code.clone());
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

/// Values that hide those of the state: the past, or the state overrides of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    /// `None`: no such account.
    accounts: AddressMap<Option<AccountInfo>>,
    storage: HashMap<(Address, U256), U256>,
    /// Accounts of which no slot of the state shows through.
    replaced_storage: AddressMap<()>,
}

impl Overlay {
    pub(crate) fn set_account(&mut self, address: Address, info: AccountInfo) {
        self.accounts.insert(address, Some(info));
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.storage.insert((address, slot), value);
    }

    /// Makes every slot of an account zero, but those set afterwards.
    pub(crate) fn clear_storage(&mut self, address: Address) {
        self.storage.retain(|(of, _), _| *of != address);
        self.replaced_storage.insert(address, ());
    }

    /// Takes in what a transaction changed that ran on `state` under this overlay. See [`State::commit`].
    pub(crate) fn commit(&mut self, state: &State, changes: EvmState) {
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() || account.is_empty() {
                self.clear_storage(address);
                self.accounts.insert(address, None);
                continue;
            }
            let mut info = account.info;
            if info.code.is_none() {
                let known = match self.accounts.get(&address) {
                    Some(account) => account.as_ref(),
                    None => state.account(address),
                };
                info.code = known.and_then(|account| account.code.clone());
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

/// Makes an account's code from its bytes.
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

/// The state as the EVM reads it: with an overlay, and with the hashes of past blocks.
#[derive(Debug)]
pub(crate) struct View<'a, F> {
    pub(crate) state: &'a State,
    pub(crate) overlay: &'a Overlay,
    /// Hash of the block with this number.
    pub(crate) block_hash: F,
}

impl<F> View<'_, F> {
    pub(crate) fn account(&self, address: Address) -> Option<AccountInfo> {
        match self.overlay.accounts.get(&address) {
            Some(account) => account.clone(),
            None => self.state.account(address).cloned(),
        }
    }

    pub(crate) fn storage(&self, address: Address, slot: U256) -> U256 {
        if let Some(value) = self.overlay.storage.get(&(address, slot)) {
            return *value;
        }
        if self.overlay.replaced_storage.contains_key(&address) {
            return U256::ZERO;
        }
        self.state.storage(address, slot)
    }
}

impl<F: Fn(u64) -> B256> Database for View<'_, F> {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(address))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, Infallible> {
        // Not reached: every account carries its code.
        let account = self
            .state
            .accounts
            .values()
            .find(|account| account.info.code_hash == code_hash);
        Ok(account
            .and_then(|account| account.info.code.clone())
            .unwrap_or_default())
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(View::storage(self, address, slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        Ok((self.block_hash)(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address = Address::repeat_byte(0x11);

    fn info(balance: u64) -> AccountInfo {
        AccountInfo {
            balance: U256::from(balance),
            ..Default::default()
        }
    }

    fn view<'a>(state: &'a State, overlay: &'a Overlay) -> View<'a, fn(u64) -> B256> {
        View {
            state,
            overlay,
            block_hash: |_| B256::ZERO,
        }
    }

    #[test]
    fn revert_takes_back_accounts_and_slots() {
        let mut state = State::default();
        state.set_account(ADDRESS, info(1));
        state.set_storage(ADDRESS, U256::from(7), U256::from(70));
        let position = state.position();
        state.set_account(ADDRESS, info(2));
        state.set_storage(ADDRESS, U256::from(7), U256::ZERO);
        state.set_storage(ADDRESS, U256::from(8), U256::from(80));
        state.set_account(Address::ZERO, info(3));
        state.revert_to(position);
        assert_eq!(state.account(ADDRESS), Some(&info(1)));
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
        assert_eq!(state.account(ADDRESS), Some(&info(1)));
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
}
