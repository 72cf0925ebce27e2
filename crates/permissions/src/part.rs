//! The parts of a permission set: what plans, warnings and files point at.

use alloy_primitives::{Address, Selector};
use serde::{Deserialize, Serialize};

/// A part of what a key may do: one setting that the plugin stores, and that one kind of update changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Part {
    /// How the access control list is read.
    AccessControlType,
    /// A contract's entry on the access control list.
    Contract {
        /// The contract.
        contract: Address,
    },
    /// A function's entry on the access control list.
    Function {
        /// The contract.
        contract: Address,
        /// The function.
        selector: Selector,
    },
    /// When the key may be used.
    TimeRange,
    /// What the key may send in the native token.
    NativeLimit,
    /// What the key may spend of a token.
    TokenLimit {
        /// The token.
        token: Address,
    },
    /// What the key's operations may cost.
    GasLimit,
    /// The paymaster that every operation of the key must use.
    RequiredPaymaster,
}

impl Part {
    /// The part that an update changes.
    pub const fn of(update: &crate::PermissionUpdate) -> Self {
        use crate::PermissionUpdate as Update;
        match update {
            Update::AccessListType(_) => Self::AccessControlType,
            Update::AddressEntry(entry) => Self::Contract {
                contract: entry.contract,
            },
            Update::FunctionEntry(entry) => Self::Function {
                contract: entry.contract,
                selector: entry.selector,
            },
            Update::TimeRange(_) => Self::TimeRange,
            Update::NativeTokenSpendLimit(_) => Self::NativeLimit,
            Update::Erc20SpendLimit(limit) => Self::TokenLimit { token: limit.token },
            Update::GasSpendLimit(_) => Self::GasLimit,
            Update::RequiredPaymaster(_) => Self::RequiredPaymaster,
        }
    }
}
