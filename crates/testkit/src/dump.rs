//! A chain's state in a file.

use crate::fork::{SourceAccount, SourceError, StateSource};
use alloy::primitives::{Address, B256, Bytes, U256};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, btree_map::Entry};

/// Accounts and their storage, from a node's dump file or a [`Chain`](crate::Chain::dump).
///
/// Accepts the formats of `anvil --dump-state` (`anvil_dumpState` returns it compressed, in hex: decompress
/// it first), geth's `dump`, and the `alloc` of geth's genesis files, alone or in the whole file. Only
/// accounts are read: balance, nonce, code and storage.
///
/// ```
/// use alloy::primitives::{U256, address};
/// use session_key_testkit::{Chain, ChainConfig, StateDump};
/// use std::sync::Arc;
///
/// let file = r#"{ "accounts": { "0x00000000000000000000000000000000000a45e7": {
///     "balance": "0x7", "nonce": 1, "code": "0x602a5f5260205ff3", "storage": { "0x0": "0x5" } } } }"#;
/// let chain = Chain::fork(ChainConfig::default(), Arc::new(StateDump::parse(file)?));
/// let account = address!("0x00000000000000000000000000000000000a45e7");
/// assert_eq!((chain.balance(account), chain.nonce(account)), (U256::from(7), 1));
/// assert_eq!(chain.storage(account, U256::ZERO), U256::from(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDump {
    accounts: BTreeMap<Address, SourceAccount>,
    storage: BTreeMap<(Address, U256), U256>,
}

/// Why a file is not a valid [`StateDump`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// It is not JSON.
    #[error("the dump is not json: {0}")]
    NotJson(String),
    /// It is JSON without accounts.
    #[error("the dump has no accounts: expected an object of accounts, or one with `accounts` or `alloc`")]
    NoAccounts,
    /// An account's name is not an address.
    #[error("{0:?} is not an address")]
    NotAnAddress(String),
    /// An account occurs twice.
    #[error("account {0} occurs twice")]
    Twice(Address),
    /// A member of an account is invalid.
    #[error("account {account}: {member} {problem}")]
    InvalidMember {
        /// The account.
        account: Address,
        /// The member's name.
        member: String,
        /// The problem.
        problem: String,
    },
}

impl StateDump {
    /// Parses a dump. All members of an account are optional; unknown ones are ignored.
    ///
    /// # Errors
    ///
    /// The problem and its location in the file.
    pub fn parse(text: &str) -> Result<Self, DumpError> {
        let file: Value =
            serde_json::from_str(text).map_err(|error| DumpError::NotJson(error.to_string()))?;
        let file = file.as_object().ok_or(DumpError::NoAccounts)?;
        let accounts = match file.get("accounts").or_else(|| file.get("alloc")) {
            Some(accounts) => accounts.as_object().ok_or(DumpError::NoAccounts)?,
            None if file.is_empty() || file.values().any(|value| !value.is_object()) => {
                return Err(DumpError::NoAccounts);
            }
            None => file,
        };
        let mut dump = Self::default();
        for (name, members) in accounts {
            // Genesis files may omit the 0x.
            let address: Address = name.parse().map_err(|_| DumpError::NotAnAddress(name.clone()))?;
            dump.read_account(address, members)?;
        }
        Ok(dump)
    }

    fn read_account(&mut self, address: Address, members: &Value) -> Result<(), DumpError> {
        let invalid = |member: &str, problem: &str| DumpError::InvalidMember {
            account: address,
            member: member.to_owned(),
            problem: problem.to_owned(),
        };
        let members = members
            .as_object()
            .ok_or_else(|| invalid("itself", "is not an object"))?;
        let number = |member: &str| match members.get(member) {
            None | Some(Value::Null) => Ok(U256::ZERO),
            Some(value) => quantity(value).ok_or_else(|| invalid(member, "is not a number")),
        };
        let code = match members.get("code") {
            None | Some(Value::Null) => Bytes::new(),
            Some(value) => value
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| invalid("code", "is not hex"))?,
        };
        let account = SourceAccount {
            balance: number("balance")?,
            nonce: number("nonce")?
                .try_into()
                .map_err(|_| invalid("nonce", "is longer than 8 bytes"))?,
            code,
        };
        match self.accounts.entry(address) {
            Entry::Vacant(place) => place.insert(account),
            Entry::Occupied(_) => return Err(DumpError::Twice(address)),
        };
        let storage = match members.get("storage") {
            None | Some(Value::Null) => return Ok(()),
            Some(storage) => storage
                .as_object()
                .ok_or_else(|| invalid("storage", "is not an object"))?,
        };
        for (slot, value) in storage {
            let member = || format!("slot {slot:?}");
            let slot = word(slot).ok_or_else(|| invalid(&member(), "is not a word in hex"))?;
            let value = value
                .as_str()
                .and_then(word)
                .ok_or_else(|| invalid(&member(), "has a value that is not a word in hex"))?;
            if self.storage.contains_key(&(address, slot)) {
                return Err(invalid(&member(), "occurs twice"));
            }
            self.insert_slot(address, slot, value);
        }
        Ok(())
    }

    /// Inserts an account, replacing one with this address. Its storage stays.
    pub fn insert(&mut self, address: Address, account: SourceAccount) {
        self.accounts.insert(address, account);
    }

    /// Sets a storage slot.
    pub fn insert_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.storage.insert((address, slot), value);
    }

    /// Returns the accounts, by address.
    pub fn accounts(&self) -> impl Iterator<Item = (Address, &SourceAccount)> {
        self.accounts.iter().map(|(address, account)| (*address, account))
    }

    /// Formats the dump as a genesis file's `alloc`, which [`parse`](Self::parse), anvil and geth read.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut accounts = Map::new();
        let slots = self.storage.keys().map(|(address, _)| *address);
        for address in self.accounts.keys().copied().chain(slots) {
            let account = self.accounts.get(&address).cloned().unwrap_or_default();
            accounts.entry(address.to_string()).or_insert_with(|| {
                let storage: Map<String, Value> = self
                    .storage
                    .range((address, U256::ZERO)..=(address, U256::MAX))
                    .map(|((_, slot), value)| (B256::from(*slot).to_string(), json!(B256::from(*value))))
                    .collect();
                json!({
                    "balance": account.balance,
                    "nonce": format!("{:#x}", account.nonce),
                    "code": account.code,
                    "storage": storage,
                })
            });
        }
        json!({ "alloc": accounts })
    }
}

/// Parses a JSON number, hex with `0x`, or decimal.
fn quantity(value: &Value) -> Option<U256> {
    match value {
        Value::Number(number) => number.as_u64().map(U256::from),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => hex_number(digits),
            None if text.is_empty() => None,
            None => U256::from_str_radix(text, 10).ok(),
        },
        _ => None,
    }
}

/// Parses a word in hex, with or without `0x` and leading zeros, as in geth's dumps.
fn word(text: &str) -> Option<U256> {
    hex_number(text.strip_prefix("0x").unwrap_or(text))
}

fn hex_number(digits: &str) -> Option<U256> {
    let is_hex = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| U256::from_str_radix(digits, 16).ok()).flatten()
}

impl StateSource for StateDump {
    fn account(&self, address: Address) -> Result<SourceAccount, SourceError> {
        Ok(self.accounts.get(&address).cloned().unwrap_or_default())
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, SourceError> {
        Ok(self.storage.get(&(address, slot)).copied().unwrap_or_default())
    }

    fn block_hash(&self, _: u64) -> Result<B256, SourceError> {
        Ok(B256::ZERO)
    }
}
