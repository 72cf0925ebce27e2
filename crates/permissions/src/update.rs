//! Single updates, lists of them, and their encoding.

use crate::{
    AccessControlType, AddressEntry, Erc20SpendLimit, FunctionEntry, MAX_SECONDS, PermissionError,
    SpendLimit, TimeField, TimeRange,
};
use alloy_primitives::{Address, Bytes, Selector, U256, aliases::U48};
use alloy_sol_types::SolCall;
use serde::{Deserialize, Serialize};
use session_key_bindings::{ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin};

/// One change of a session key's permissions: one element of the `bytes[]` of `addSessionKey` and `updateKeyPermissions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PermissionUpdate {
    /// `setAccessListType`: how the list is read. Entries stay, and are read under the new type.
    AccessListType(AccessControlType),
    /// `updateAccessListAddressEntry`: the entry of a contract.
    AddressEntry(AddressEntry),
    /// `updateAccessListFunctionEntry`: the entry of a function.
    FunctionEntry(FunctionEntry),
    /// `updateTimeRange`: when the key may be used.
    TimeRange(TimeRange),
    /// `setNativeTokenSpendLimit`, in wei. Keeps what is already used, unless it removes the limit. This goes for every
    /// limit.
    NativeTokenSpendLimit(SpendLimit),
    /// `setERC20SpendLimit`, in base units of the token.
    Erc20SpendLimit(Erc20SpendLimit),
    /// `setGasSpendLimit`, in wei (not gas units).
    GasSpendLimit(SpendLimit),
    /// `setRequiredPaymaster`; the zero address removes the rule.
    RequiredPaymaster(Address),
}

impl PermissionUpdate {
    /// The selector of the update's encoding.
    pub const fn selector(&self) -> Selector {
        Selector::new(match self {
            Self::AccessListType(_) => Updates::setAccessListTypeCall::SELECTOR,
            Self::AddressEntry(_) => Updates::updateAccessListAddressEntryCall::SELECTOR,
            Self::FunctionEntry(_) => Updates::updateAccessListFunctionEntryCall::SELECTOR,
            Self::TimeRange(_) => Updates::updateTimeRangeCall::SELECTOR,
            Self::NativeTokenSpendLimit(_) => Updates::setNativeTokenSpendLimitCall::SELECTOR,
            Self::Erc20SpendLimit(_) => Updates::setERC20SpendLimitCall::SELECTOR,
            Self::GasSpendLimit(_) => Updates::setGasSpendLimitCall::SELECTOR,
            Self::RequiredPaymaster(_) => Updates::setRequiredPaymasterCall::SELECTOR,
        })
    }

    /// Encodes the update. An update that the plugin could only refuse is an error here.
    pub fn encode(&self) -> Result<Bytes, PermissionError> {
        let encoded = match *self {
            Self::AccessListType(access_control_type) => Updates::setAccessListTypeCall {
                contractAccessControlType: access_control_type.into(),
            }
            .abi_encode(),
            Self::AddressEntry(AddressEntry {
                contract,
                is_on_list,
                check_selectors,
            }) => Updates::updateAccessListAddressEntryCall {
                contractAddress: contract,
                isOnList: is_on_list,
                checkSelectors: check_selectors,
            }
            .abi_encode(),
            Self::FunctionEntry(FunctionEntry {
                contract,
                selector,
                is_on_list,
            }) => Updates::updateAccessListFunctionEntryCall {
                contractAddress: contract,
                selector,
                isOnList: is_on_list,
            }
            .abi_encode(),
            Self::TimeRange(TimeRange {
                valid_after,
                valid_until,
            }) => Updates::updateTimeRangeCall {
                validAfter: seconds(TimeField::ValidAfter, valid_after)?,
                validUntil: seconds(TimeField::ValidUntil, valid_until)?,
            }
            .abi_encode(),
            Self::NativeTokenSpendLimit(SpendLimit {
                spend_limit,
                refresh_interval,
            }) => Updates::setNativeTokenSpendLimitCall {
                spendLimit: spend_limit,
                refreshInterval: seconds(TimeField::RefreshInterval, refresh_interval)?,
            }
            .abi_encode(),
            Self::Erc20SpendLimit(Erc20SpendLimit { token, limit }) => {
                if token.is_zero() {
                    return Err(PermissionError::InvalidToken(token));
                }
                Updates::setERC20SpendLimitCall {
                    token,
                    spendLimit: limit.spend_limit,
                    refreshInterval: seconds(TimeField::RefreshInterval, limit.refresh_interval)?,
                }
                .abi_encode()
            }
            Self::GasSpendLimit(SpendLimit {
                spend_limit,
                refresh_interval,
            }) => Updates::setGasSpendLimitCall {
                spendLimit: spend_limit,
                refreshInterval: seconds(TimeField::RefreshInterval, refresh_interval)?,
            }
            .abi_encode(),
            Self::RequiredPaymaster(paymaster) => Updates::setRequiredPaymasterCall {
                requiredPaymaster: paymaster,
            }
            .abi_encode(),
        };
        Ok(encoded.into())
    }
}

fn seconds(field: TimeField, seconds: u64) -> Result<U48, PermissionError> {
    if seconds > MAX_SECONDS {
        return Err(PermissionError::SecondsOutOfRange {
            field,
            seconds: U256::from(seconds),
        });
    }
    Ok(U48::from(seconds))
}

impl From<AccessControlType> for ISessionKeyPlugin::ContractAccessControlType {
    fn from(value: AccessControlType) -> Self {
        match value {
            AccessControlType::Allowlist => Self::ALLOWLIST,
            AccessControlType::Denylist => Self::DENYLIST,
            AccessControlType::AllowAllAccess => Self::ALLOW_ALL_ACCESS,
        }
    }
}

/// A change of an existing key's permissions: the updates that were named, in the order in which they were named, and
/// nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use]
pub struct PermissionUpdates(Vec<PermissionUpdate>);

impl PermissionUpdates {
    /// No updates.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an update at the end.
    pub fn update(mut self, update: PermissionUpdate) -> Self {
        self.0.push(update);
        self
    }

    /// Sets how the access control list is read. Its entries stay, and are read under the new type.
    pub fn access_control_type(self, access_control_type: AccessControlType) -> Self {
        self.update(PermissionUpdate::AccessListType(access_control_type))
    }

    /// Sets the entry of a contract.
    pub fn address_entry(self, entry: AddressEntry) -> Self {
        self.update(PermissionUpdate::AddressEntry(entry))
    }

    /// Sets the entry of a function.
    pub fn function_entry(self, entry: FunctionEntry) -> Self {
        self.update(PermissionUpdate::FunctionEntry(entry))
    }

    /// Puts a contract on the list, with all its functions.
    pub fn contract(self, contract: Address) -> Self {
        self.address_entry(AddressEntry {
            contract,
            is_on_list: true,
            check_selectors: false,
        })
    }

    /// Puts these functions of a contract on the list. Functions of it that are on the list already stay there.
    pub fn contract_functions(
        self,
        contract: Address,
        selectors: impl IntoIterator<Item = Selector>,
    ) -> Self {
        let entry = AddressEntry {
            contract,
            is_on_list: true,
            check_selectors: true,
        };
        selectors
            .into_iter()
            .fold(self.address_entry(entry), |updates, selector| {
                updates.function_entry(FunctionEntry {
                    contract,
                    selector,
                    is_on_list: true,
                })
            })
    }

    /// Takes a contract off the list. Entries of its functions stay, and count again should the contract come back.
    pub fn without_contract(self, contract: Address) -> Self {
        self.address_entry(AddressEntry {
            contract,
            is_on_list: false,
            check_selectors: false,
        })
    }

    /// Takes a function off the list.
    pub fn without_function(self, contract: Address, selector: Selector) -> Self {
        self.function_entry(FunctionEntry {
            contract,
            selector,
            is_on_list: false,
        })
    }

    /// Sets when the key may be used: both ends at once.
    pub fn time_range(self, time_range: TimeRange) -> Self {
        self.update(PermissionUpdate::TimeRange(time_range))
    }

    /// Limits what the key may send in the native token, in wei. Keeps what is already used.
    pub fn native_token_spend_limit(self, limit: SpendLimit) -> Self {
        self.update(PermissionUpdate::NativeTokenSpendLimit(limit))
    }

    /// Limits what the key may spend of a token, in its base units. Keeps what is already used.
    pub fn erc20_spend_limit(self, token: Address, limit: SpendLimit) -> Self {
        self.update(PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
            token,
            limit,
        }))
    }

    /// Limits what the key's operations may cost at the most, in wei. Keeps what is already used.
    pub fn gas_spend_limit(self, limit: SpendLimit) -> Self {
        self.update(PermissionUpdate::GasSpendLimit(limit))
    }

    /// Requires this paymaster for every operation of the key; the zero address removes the rule.
    pub fn required_paymaster(self, paymaster: Address) -> Self {
        self.update(PermissionUpdate::RequiredPaymaster(paymaster))
    }

    /// The updates, in order.
    pub fn as_slice(&self) -> &[PermissionUpdate] {
        &self.0
    }

    /// Encodes every update.
    pub fn encode(&self) -> Result<Vec<Bytes>, PermissionError> {
        self.0.iter().map(PermissionUpdate::encode).collect()
    }

    /// Decodes every update, as the plugin would: all of them, or none.
    pub fn decode<T: AsRef<[u8]>>(updates: impl IntoIterator<Item = T>) -> Result<Self, PermissionError> {
        updates
            .into_iter()
            .map(|update| PermissionUpdate::decode(update.as_ref()))
            .collect()
    }
}

impl FromIterator<PermissionUpdate> for PermissionUpdates {
    fn from_iter<T: IntoIterator<Item = PermissionUpdate>>(updates: T) -> Self {
        Self(updates.into_iter().collect())
    }
}

impl From<Vec<PermissionUpdate>> for PermissionUpdates {
    fn from(updates: Vec<PermissionUpdate>) -> Self {
        Self(updates)
    }
}

impl IntoIterator for PermissionUpdates {
    type Item = PermissionUpdate;
    type IntoIter = std::vec::IntoIter<PermissionUpdate>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a PermissionUpdates {
    type Item = &'a PermissionUpdate;
    type IntoIter = std::slice::Iter<'a, PermissionUpdate>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    // Selectors as the specification of the deployed plugin lists them.
    #[test]
    fn selectors_are_those_of_the_deployed_plugin() {
        let address = Address::repeat_byte(1);
        let limit = SpendLimit::UNLIMITED;
        let updates = PermissionUpdates::new()
            .access_control_type(AccessControlType::Denylist)
            .contract(address)
            .without_function(address, Selector::ZERO)
            .time_range(TimeRange::default())
            .native_token_spend_limit(limit)
            .erc20_spend_limit(address, limit)
            .gas_spend_limit(limit)
            .required_paymaster(address);
        let expected = [
            hex!("8f2920d8"),
            hex!("9e7345eb"),
            hex!("0c8de002"),
            hex!("9a37b113"),
            hex!("b3a26f5c"),
            hex!("7b1f0893"),
            hex!("585ca4a5"),
            hex!("b85631d7"),
        ];
        let encoded = updates.encode().unwrap();
        assert_eq!(encoded.len(), expected.len());
        for ((update, encoded), expected) in updates.as_slice().iter().zip(&encoded).zip(expected) {
            assert_eq!(update.selector(), expected);
            assert_eq!(encoded[..4], expected);
        }
    }

    #[test]
    fn a_change_of_the_time_range_touches_nothing_else() {
        let updates = PermissionUpdates::new().time_range(TimeRange {
            valid_after: 1,
            valid_until: 2,
        });
        let encoded = updates.encode().unwrap();
        assert_eq!(encoded.len(), 1);
        assert_eq!(encoded[0][..4], hex!("9a37b113"));
    }

    #[test]
    fn times_over_uint48_are_refused() {
        let over = MAX_SECONDS + 1;
        let error = |field| {
            Err(PermissionError::SecondsOutOfRange {
                field,
                seconds: U256::from(over),
            })
        };
        let at = |valid_after, valid_until| {
            PermissionUpdate::TimeRange(TimeRange {
                valid_after,
                valid_until,
            })
            .encode()
        };
        assert!(at(MAX_SECONDS, MAX_SECONDS).is_ok());
        assert_eq!(at(over, 0), error(TimeField::ValidAfter));
        assert_eq!(at(0, over), error(TimeField::ValidUntil));
        let limit = SpendLimit::per(U256::from(1), over);
        for update in [
            PermissionUpdate::NativeTokenSpendLimit(limit),
            PermissionUpdate::GasSpendLimit(limit),
            PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
                token: Address::repeat_byte(1),
                limit,
            }),
        ] {
            assert_eq!(update.encode(), error(TimeField::RefreshInterval));
        }
    }

    #[test]
    fn the_zero_address_has_no_erc20_limit() {
        let updates = PermissionUpdates::new().erc20_spend_limit(Address::ZERO, SpendLimit::UNLIMITED);
        assert_eq!(
            updates.encode(),
            Err(PermissionError::InvalidToken(Address::ZERO))
        );
    }
}
