//! Access control lists: how a list is read, and its entries.

use crate::PermissionError;
use alloy_primitives::{Address, Selector, U256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the access control list of a key is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum AccessControlType {
    /// Only what is on the list may be called. A new key has this, with an empty list.
    #[default]
    Allowlist = 0,
    /// Everything may be called except what is on the list.
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
#[serde(deny_unknown_fields)]
pub struct AddressEntry {
    /// The contract.
    pub contract: Address,
    /// Whether it is on the list.
    pub is_on_list: bool,
    /// Whether the entry covers only functions with their own entry ([`FunctionEntry`]).
    pub check_selectors: bool,
}

/// A function's entry on the access control list. Only read if the contract's entry checks selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionEntry {
    /// The contract.
    pub contract: Address,
    /// The function. Empty call data reads as `0x00000000`.
    pub selector: Selector,
    /// Whether it is on the list.
    pub is_on_list: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_access_control_types() {
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
}
