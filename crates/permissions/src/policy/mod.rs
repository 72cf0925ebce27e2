//! Policy files: a session key's permissions in a form a person can check, as TOML or JSON.
//!
//! A policy is total: whatever it does not allow is removed. A missing member means the default of a new key:
//! nothing may be called, no native token may be sent, and there is no token limit, no gas limit, no time
//! range and no required paymaster.
//!
//! ```
//! use session_key_permissions::policy::{Facts, Policy, PolicyFormat};
//!
//! let text = r#"
//! tag = "weekly buy"                     # hashed unless it is 32 bytes
//! valid_until = 2027-03-01T00:00:00Z     # or: valid_for = "90 days", from the time of granting
//!
//! [tokens.USDC]                          # names for the rest of the file
//! address = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
//! decimals = 6                           # or looked up by the reader of the file
//!
//! [[allow]]
//! contract = "USDC"
//! functions = ["approve(address,uint256)"]
//!
//! [[allow]]
//! contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
//! functions = ["buy(uint256)", "0x12345678"]
//!
//! [limits]
//! native = "0 ETH"
//! gas = "0.01 ETH per 7 days"
//! tokens = ["100 USDC per 7 days"]
//! "#;
//! let policy = Policy::parse(text, PolicyFormat::Toml)?;
//! let resolved = policy.resolve(&Facts::new())?;
//! assert_eq!(resolved.permissions.encode()?.len(), 10);
//!
//! let error = Policy::parse("\n[limits]\nnative = \"5\"\n", PolicyFormat::Toml).unwrap_err();
//! assert_eq!(error.code.as_str(), "missing_unit");
//! assert!(error.to_string().starts_with("3:10: "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | member | values | default |
//! | --- | --- | --- |
//! | `tag` | a string, or 32 bytes as 0x and 64 digits | zero |
//! | `valid_after`, `valid_until` | ISO 8601 with an offset, both inclusive | no bound |
//! | `valid_for` | an interval, from the time of granting; excludes `valid_until` | |
//! | `access` | `allowlist`, `denylist`, `everything` | `allowlist` |
//! | `[[allow]]`, `[[deny]]` | `contract`: an address or a token's name; `functions`: signatures or selectors; all if absent | the list is empty |
//! | `[tokens.NAME]` | `address`, optionally `decimals` | |
//! | `limits.native`, `limits.gas` | an amount in the native coin, `gwei` or `wei`, optionally `per` an interval; or `unlimited` | `0`; `unlimited` |
//! | `limits.tokens` | amounts of tokens: `100 USDC per 7 days`, `100000000 units of 0x…` (base units) | no limits |
//! | `required_paymaster` | an address | any, or none |
//! | `[agent]` | rules of the agent's own ([`AgentRules`](crate::agent_rules::AgentRules)), which the chain does not know: `recipients`, `per_call`, `windows`, `per_recipient` | none |
//!
//! Amounts need a unit; only `0` may go without. Nothing misspelt is ignored: unknown members are errors.

mod agent;
mod error;
mod facts;
mod lock;
mod read;
mod resolve;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub use error::{Place, PolicyError, PolicyErrorCode};
pub use facts::Facts;
pub use lock::{LockedGrant, PolicyLock};
pub use resolve::Resolved;
pub use scalar::Decimal;
pub use tree::PolicyFormat;
pub use write::NotShown;

/// Parses a function as policies write it: a signature with canonical types, such as
/// `approve(address,uint256)`, or the selector itself, such as `0x095ea7b3`. The error says what was
/// expected.
pub fn parse_function(text: &str) -> Result<Selector, String> {
    scalar::function(text).map_err(|wrong| wrong.message)
}

/// Parses a time as policies write it, such as `2027-03-01T00:00:00Z`, to unix seconds. The error says what
/// was expected.
pub fn parse_time(text: &str) -> Result<u64, String> {
    scalar::time(text).map_err(|wrong| wrong.message)
}

use crate::{AccessControlType, Part};
use alloy_primitives::{Address, Selector};
use std::collections::{BTreeMap, BTreeSet};

/// A policy, as written in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    tag: Option<At<String>>,
    valid_after: Option<At<u64>>,
    end: Option<At<End>>,
    access: AccessControlType,
    access_place: OnlyPlace,
    tokens: BTreeMap<String, At<NamedToken>>,
    entries: BTreeMap<Address, At<Entry>>,
    native: Option<At<Limit<NativeUnit>>>,
    gas: Option<At<Limit<NativeUnit>>>,
    token_limits: BTreeMap<Address, At<Limit<TokenUnit>>>,
    required_paymaster: Option<At<Address>>,
    agent: Option<agent::AgentPolicy>,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At this time, unix seconds.
    At(u64),
    /// So many seconds after it was granted.
    For(u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedToken {
    address: Address,
    decimals: Option<u8>,
}

/// The listed functions of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// `None` for all of them.
    functions: Option<BTreeMap<Selector, At<String>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Limit<U> {
    /// `None` if unlimited.
    amount: Option<(Decimal, U)>,
    refresh_interval: u64,
}

/// The unit of a native amount.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NativeUnit {
    /// The coin, by its symbol or as `native`.
    Coin(String),
    Gwei,
    Wei,
}

/// The unit of a token amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenUnit {
    /// The token itself.
    Whole,
    /// Its base units.
    Base,
}

/// A value and its place in the file, which comparisons of policies ignore.
#[derive(Clone, Copy, Debug)]
struct At<T> {
    place: Place,
    value: T,
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T> At<T> {
    const fn new(place: Place, value: T) -> Self {
        Self { place, value }
    }

    /// A value that is not from a file.
    const fn nowhere(value: T) -> Self {
        Self::new(Place { line: 1, column: 1 }, value)
    }
}

/// A place without a value, which comparisons of policies ignore.
#[derive(Clone, Copy, Debug)]
struct OnlyPlace(Option<Place>);

impl PartialEq for OnlyPlace {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for OnlyPlace {}

impl Policy {
    /// Reads a policy.
    pub fn parse(text: &str, format: PolicyFormat) -> Result<Self, PolicyError> {
        read::policy(&tree::parse(text, format)?)
    }

    /// The tag, as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_ref().map(|tag| tag.value.as_str())
    }

    /// Whether its end is relative to the time of granting.
    pub const fn is_relative(&self) -> bool {
        matches!(
            self.end,
            Some(At {
                value: End::For(_),
                ..
            })
        )
    }

    /// The named tokens, with their names.
    pub fn token_names(&self) -> impl Iterator<Item = (Address, &str)> {
        self.tokens
            .iter()
            .map(|(name, token)| (token.value.address, name.as_str()))
    }

    /// The functions that are listed by their signatures.
    pub fn signatures(&self) -> impl Iterator<Item = (Selector, &str)> {
        let listed = self
            .entries
            .values()
            .filter_map(|entry| entry.value.functions.as_ref());
        listed
            .flatten()
            .map(|(selector, text)| (*selector, text.value.as_str()))
            .filter(|(_, text)| text.contains('('))
    }

    /// Tokens whose decimals the amounts need and the file does not give: pass them as [`Facts`].
    pub fn tokens_without_decimals(&self) -> BTreeSet<Address> {
        let counts_whole = |limit: &Limit<TokenUnit>| match &limit.amount {
            Some((number, TokenUnit::Whole)) => !number.is_zero(),
            _ => false,
        };
        self.token_limits
            .iter()
            .filter(|(token, limit)| counts_whole(&limit.value) && self.decimals_in_file(**token).is_none())
            .map(|(token, _)| *token)
            .collect()
    }

    /// The tokens with a limit.
    pub fn limited_tokens(&self) -> impl Iterator<Item = Address> {
        self.token_limits.keys().copied()
    }

    /// The decimals of a token that the file gives.
    pub fn decimals(&self, token: Address) -> Option<u8> {
        self.decimals_in_file(token)
    }

    fn decimals_in_file(&self, token: Address) -> Option<u8> {
        let named = self.tokens.values().find(|named| named.value.address == token)?;
        named.value.decimals
    }

    /// The place in the file that sets a part of the permissions. `None` if there is none, or if the policy
    /// was not read from a file.
    pub fn place(&self, part: &Part) -> Option<Place> {
        match part {
            Part::AccessControlType => self.access_place.0,
            Part::Contract { contract } => self.entries.get(contract).map(|entry| entry.place),
            Part::Function { contract, selector } => {
                let functions = self.entries.get(contract)?.value.functions.as_ref()?;
                functions.get(selector).map(|function| function.place)
            }
            Part::TimeRange => {
                let end = self.end.map(|end| end.place);
                end.or_else(|| self.valid_after.map(|start| start.place))
            }
            Part::NativeLimit => self.native.as_ref().map(|limit| limit.place),
            Part::TokenLimit { token } => self.token_limits.get(token).map(|limit| limit.place),
            Part::GasLimit => self.gas.as_ref().map(|limit| limit.place),
            Part::RequiredPaymaster => self.required_paymaster.map(|paymaster| paymaster.place),
        }
    }
}
