//! What a session key may do: permission sets, single updates, and their encoding.
//!
//! A new key starts with nothing: an empty allowlist, so that every call is refused, and a native token limit of zero.
//! Two types describe what it gets on top:
//!
//! - [`Permissions`] is a **full set**, for a new key. Its encoding always sets the access control type, and has a fixed
//!   order.
//! - [`PermissionUpdates`] is a **change** of an existing key. It touches what it names and nothing else.
//!
//! Both become a list of [`PermissionUpdate`]s, each of which encodes to one element of the `bytes[]` that
//! `addSessionKey` and `updateKeyPermissions` take, and can be decoded again.
//!
//! ```
//! use session_key_client::permissions::{Permissions, PermissionUpdates, SpendLimit};
//! # use session_key_client::alloy::primitives::{Address, U256};
//! # fn main() -> Result<(), session_key_client::permissions::PermissionError> {
//! # let (exchange, token) = (Address::repeat_byte(1), Address::repeat_byte(2));
//! // A new key: two functions of one contract, 100 tokens a week, until the end of 2027.
//! let full = Permissions::new()
//!     .contract_functions(exchange, [[0xde, 0xad, 0xbe, 0xef].into(), [0xca, 0xfe, 0xba, 0xbe].into()])
//!     .contract_functions(token, [session_key_client::permissions::ERC20_APPROVE])
//!     .erc20_spend_limit(token, SpendLimit::per(U256::from(100_000_000), 7 * 86_400))
//!     .valid_until(1_830_297_600)
//!     .encode()?;
//! assert_eq!(full.len(), 8);
//!
//! // Later: more gas for the same key. Nothing else changes.
//! let update = PermissionUpdates::new().gas_spend_limit(SpendLimit::total(U256::from(10).pow(U256::from(16))));
//! assert_eq!(update.encode()?.len(), 1);
//! # Ok(())
//! # }
//! ```

mod decode;
mod error;
pub mod model;
mod set;
mod update;

pub use error::{PermissionError, TimeField};
pub use set::Permissions;
pub use update::{PermissionUpdate, PermissionUpdates};

use alloy::primitives::{Address, FixedBytes, Selector, U256, hex};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest time and the longest refresh interval that the plugin stores, in seconds: `type(uint48).max`.
pub const MAX_SECONDS: u64 = (1 << 48) - 1;

/// `transfer(address,uint256)` of ERC-20. With [`ERC20_APPROVE`], all that a key may call on a token with a spend limit.
pub const ERC20_TRANSFER: Selector = FixedBytes(hex!("a9059cbb"));

/// `approve(address,uint256)` of ERC-20. With [`ERC20_TRANSFER`], all that a key may call on a token with a spend limit.
pub const ERC20_APPROVE: Selector = FixedBytes(hex!("095ea7b3"));

/// How the access control list of a key is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AccessControlType {
    /// Only what is on the list may be called. A new key has this, with an empty list.
    #[default]
    Allowlist = 0,
    /// Everything may be called but what is on the list.
    Denylist = 1,
    /// Everything may be called; the list is not read.
    AllowAllAccess = 2,
}

impl fmt::Display for AccessControlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowlist => "allowlist",
            Self::Denylist => "denylist",
            Self::AllowAllAccess => "allow all access",
        })
    }
}

impl TryFrom<U256> for AccessControlType {
    type Error = PermissionError;

    fn try_from(value: U256) -> Result<Self, PermissionError> {
        match value.try_into() {
            Ok(0u8) => Ok(Self::Allowlist),
            Ok(1) => Ok(Self::Denylist),
            Ok(2) => Ok(Self::AllowAllAccess),
            _ => Err(PermissionError::InvalidAccessControlType(value)),
        }
    }
}

impl TryFrom<u8> for AccessControlType {
    type Error = PermissionError;

    fn try_from(value: u8) -> Result<Self, PermissionError> {
        U256::from(value).try_into()
    }
}

impl From<AccessControlType> for u8 {
    fn from(value: AccessControlType) -> Self {
        value as Self
    }
}

/// A contract's entry on the access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressEntry {
    /// The contract.
    pub contract: Address,
    /// Whether it is on the list.
    pub is_on_list: bool,
    /// Whether the entry means only those functions that have an entry of their own ([`FunctionEntry`]).
    #[serde(default)]
    pub check_selectors: bool,
}

/// A function's entry on the access control list. Read only where the contract's entry checks selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionEntry {
    /// The contract.
    pub contract: Address,
    /// The function. Empty call data reads as `0x00000000`.
    pub selector: Selector,
    /// Whether it is on the list.
    pub is_on_list: bool,
}

/// When a key may be used. Unix seconds (not milliseconds), both inclusive, at most [`MAX_SECONDS`]; 0 means unbounded on
/// that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// First second in which the key may be used.
    #[serde(default)]
    pub valid_after: u64,
    /// Last second in which the key may be used.
    #[serde(default)]
    pub valid_until: u64,
}

/// A limit on what a key may spend: in all, or per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpendLimit {
    /// Wei for the native token and for gas, base units for an ERC-20 token. [`U256::MAX`] removes the limit.
    pub spend_limit: U256,
    /// Seconds, at most [`MAX_SECONDS`]; 0: the limit is a total and never refreshes.
    #[serde(default)]
    pub refresh_interval: u64,
}

impl SpendLimit {
    /// Removes the limit, and with it the record of what was used.
    pub const UNLIMITED: Self = Self::total(U256::MAX);

    /// A limit on the sum of everything the key ever spends.
    pub const fn total(spend_limit: U256) -> Self {
        Self {
            spend_limit,
            refresh_interval: 0,
        }
    }

    /// A limit per interval of `refresh_interval` seconds.
    pub const fn per(spend_limit: U256, refresh_interval: u64) -> Self {
        Self {
            spend_limit,
            refresh_interval,
        }
    }

    /// Whether this removes the limit rather than sets one.
    pub fn is_unlimited(&self) -> bool {
        self.spend_limit == U256::MAX
    }
}

/// A limit on what a key may spend of one ERC-20 token. On such a token it may call `transfer` and `approve`, nothing else;
/// the token must be on an allowlist all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Erc20SpendLimit {
    /// The token. Not zero.
    pub token: Address,
    /// The limit, in base units of the token.
    #[serde(flatten)]
    pub limit: SpendLimit,
}

/// Reads an address as people write it: `0x` and 40 hexadecimal digits, either all in lower case or with a correct
/// EIP-55 checksum. A mistyped address fails here instead of receiving permissions.
pub fn parse_address(text: &str) -> Result<Address, PermissionError> {
    let invalid = || PermissionError::InvalidAddress(text.to_owned());
    let digits = text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 40)
        .ok_or_else(invalid)?;
    let address = Address::from(
        hex::FromHex::from_hex(digits)
            .map(|bytes: [u8; 20]| bytes)
            .map_err(|_| invalid())?,
    );
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) && address.to_checksum(None) != text {
        return Err(invalid());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_correct_checksum_or_none() {
        let checksummed = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let address = parse_address(checksummed).unwrap();
        assert_eq!(parse_address(&checksummed.to_lowercase()), Ok(address));
        for bad in [
            "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedaa",
            "0xzz00000000000000000000000000000000000000",
            "",
        ] {
            assert_eq!(
                parse_address(bad),
                Err(PermissionError::InvalidAddress(bad.to_owned()))
            );
        }
    }

    #[test]
    fn access_control_types_are_three() {
        for value in [
            AccessControlType::Allowlist,
            AccessControlType::Denylist,
            AccessControlType::AllowAllAccess,
        ] {
            assert_eq!(AccessControlType::try_from(u8::from(value)), Ok(value));
        }
        for value in [U256::from(3), U256::from(256), U256::MAX] {
            assert_eq!(
                AccessControlType::try_from(value),
                Err(PermissionError::InvalidAccessControlType(value))
            );
        }
    }

    #[test]
    fn spend_limits_default_to_a_total() {
        let limit: Erc20SpendLimit = serde_json::from_value(serde_json::json!({
            "token": "0x0000000000000000000000000000000000000001",
            "spend_limit": "0x10",
        }))
        .unwrap();
        assert_eq!(limit.limit, SpendLimit::total(U256::from(16)));
    }
}
