//! The parts of a permission set, which plans, warnings and files refer to.

use crate::address::checksummed;
use alloy_primitives::{Address, Selector};
use serde::{Deserialize, Serialize};

/// A part of a key's permissions: one setting that the plugin stores, changed by one kind of update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Part {
    /// How the access control list is read.
    AccessControlType,
    /// A contract's entry on the access control list.
    Contract {
        /// The contract.
        #[serde(with = "checksummed")]
        contract: Address,
    },
    /// A function's entry on the access control list.
    Function {
        /// The contract.
        #[serde(with = "checksummed")]
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
        #[serde(with = "checksummed")]
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;
    use serde_json::json;

    #[test]
    fn addresses_have_their_checksum_in_json() {
        let contract = address!("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");
        let shown = contract.to_checksum(None);
        let selector = Selector::from([1, 2, 3, 4]);
        for (part, json) in [
            (
                Part::Contract { contract },
                json!({ "part": "contract", "contract": shown }),
            ),
            (
                Part::Function { contract, selector },
                json!({ "part": "function", "contract": shown, "selector": "0x01020304" }),
            ),
            (
                Part::TokenLimit { token: contract },
                json!({ "part": "tokenLimit", "token": shown }),
            ),
        ] {
            assert_eq!(serde_json::to_value(part).unwrap(), json);
            assert_eq!(serde_json::from_value::<Part>(json).unwrap(), part);
        }
    }
}
