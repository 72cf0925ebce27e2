//! Full permission sets.

use crate::{
    AccessControlType, AddressEntry, Erc20SpendLimit, FunctionEntry, PermissionError, PermissionUpdate,
    SpendLimit, TimeRange,
};
use alloy_primitives::{Address, Bytes, Selector};
use serde::{Deserialize, Serialize};

/// The full permission set of a new session key.
///
/// What is not set keeps the default of a new key: nothing may be called, no native token may be sent, and there is no time
/// range, no ERC-20 limit, no gas limit and no required paymaster.
///
/// The setters of single values replace, those of entries and of ERC-20 limits append; nothing is sorted or merged. The
/// encoding is byte for byte that of the TypeScript `SessionKeyPermissionsBuilder`: access control type (always), address
/// entries, function entries, time range, native limit, ERC-20 limits, gas limit, required paymaster.
///
/// To change a key that exists, use [`PermissionUpdates`](crate::PermissionUpdates): a full set would reset its access
/// control type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Permissions {
    /// How the access control list is read.
    pub access_control_type: AccessControlType,
    /// Contracts on the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address_entries: Vec<AddressEntry>,
    /// Functions on the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub function_entries: Vec<FunctionEntry>,
    /// When the key may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<TimeRange>,
    /// What the key may send in the native token, in wei. `None` is a limit of zero, not no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_token_spend_limit: Option<SpendLimit>,
    /// What the key may spend of ERC-20 tokens, in their base units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub erc20_spend_limits: Vec<Erc20SpendLimit>,
    /// What the key's operations may cost at the most, in wei.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_spend_limit: Option<SpendLimit>,
    /// The paymaster that every operation of the key must use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_paymaster: Option<Address>,
}

impl Permissions {
    /// A set that allows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how the access control list is read.
    pub fn access_control_type(mut self, access_control_type: AccessControlType) -> Self {
        self.access_control_type = access_control_type;
        self
    }

    /// Appends the entry of a contract.
    pub fn address_entry(mut self, entry: AddressEntry) -> Self {
        self.address_entries.push(entry);
        self
    }

    /// Appends the entry of a function.
    pub fn function_entry(mut self, entry: FunctionEntry) -> Self {
        self.function_entries.push(entry);
        self
    }

    /// Puts a contract on the list, with all its functions.
    pub fn contract(self, contract: Address) -> Self {
        self.address_entry(AddressEntry {
            contract,
            is_on_list: true,
            check_selectors: false,
        })
    }

    /// Puts these functions of a contract on the list.
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
            .fold(self.address_entry(entry), |set, selector| {
                set.function_entry(FunctionEntry {
                    contract,
                    selector,
                    is_on_list: true,
                })
            })
    }

    /// Sets when the key may be used: both ends.
    pub fn time_range(mut self, time_range: TimeRange) -> Self {
        self.time_range = Some(time_range);
        self
    }

    /// Sets the first second (unix time) in which the key may be used; the end stays as it is.
    pub fn valid_after(mut self, valid_after: u64) -> Self {
        self.time_range.get_or_insert_default().valid_after = valid_after;
        self
    }

    /// Sets the last second (unix time) in which the key may be used; the start stays as it is.
    pub fn valid_until(mut self, valid_until: u64) -> Self {
        self.time_range.get_or_insert_default().valid_until = valid_until;
        self
    }

    /// Limits what the key may send in the native token, in wei.
    pub fn native_token_spend_limit(mut self, limit: SpendLimit) -> Self {
        self.native_token_spend_limit = Some(limit);
        self
    }

    /// Appends a limit on what the key may spend of a token, in its base units. Does not put the token on the list.
    pub fn erc20_spend_limit(mut self, token: Address, limit: SpendLimit) -> Self {
        self.erc20_spend_limits.push(Erc20SpendLimit { token, limit });
        self
    }

    /// Limits what the key's operations may cost at the most, in wei (not gas units).
    pub fn gas_spend_limit(mut self, limit: SpendLimit) -> Self {
        self.gas_spend_limit = Some(limit);
        self
    }

    /// Requires this paymaster for every operation of the key. The zero address means none, and is encoded all the same.
    pub fn required_paymaster(mut self, paymaster: Address) -> Self {
        self.required_paymaster = Some(paymaster);
        self
    }

    /// The updates that make a new key's permissions this set, in the order of the encoding.
    pub fn updates(&self) -> impl Iterator<Item = PermissionUpdate> + '_ {
        std::iter::once(PermissionUpdate::AccessListType(self.access_control_type))
            .chain(
                self.address_entries
                    .iter()
                    .copied()
                    .map(PermissionUpdate::AddressEntry),
            )
            .chain(
                self.function_entries
                    .iter()
                    .copied()
                    .map(PermissionUpdate::FunctionEntry),
            )
            .chain(self.time_range.map(PermissionUpdate::TimeRange))
            .chain(
                self.native_token_spend_limit
                    .map(PermissionUpdate::NativeTokenSpendLimit),
            )
            .chain(
                self.erc20_spend_limits
                    .iter()
                    .copied()
                    .map(PermissionUpdate::Erc20SpendLimit),
            )
            .chain(self.gas_spend_limit.map(PermissionUpdate::GasSpendLimit))
            .chain(self.required_paymaster.map(PermissionUpdate::RequiredPaymaster))
    }

    /// Encodes the set: the `bytes[]` that `addSessionKey` and the plugin's installation take.
    pub fn encode(&self) -> Result<Vec<Bytes>, PermissionError> {
        self.updates().map(|update| update.encode()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, bytes};

    #[test]
    fn an_empty_set_is_one_update() {
        let expected = bytes!("8f2920d80000000000000000000000000000000000000000000000000000000000000000");
        assert_eq!(Permissions::new().encode(), Ok(vec![expected]));
    }

    #[test]
    fn ends_of_the_time_range_can_be_set_apart() {
        let set = Permissions::new().valid_until(9).valid_after(3);
        assert_eq!(
            set.time_range,
            Some(TimeRange {
                valid_after: 3,
                valid_until: 9
            })
        );
    }

    #[test]
    fn serde_round_trip_and_unknown_fields() {
        let set = Permissions::new()
            .access_control_type(AccessControlType::AllowAllAccess)
            .contract_functions(Address::repeat_byte(3), [Selector::repeat_byte(7)])
            .valid_after(4)
            .erc20_spend_limit(Address::repeat_byte(9), SpendLimit::per(U256::MAX, 60))
            .required_paymaster(Address::ZERO);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(serde_json::from_str::<Permissions>(&json).unwrap(), set);
        assert_eq!(
            serde_json::from_str::<Permissions>("{}").unwrap(),
            Permissions::new()
        );
        assert!(serde_json::from_str::<Permissions>(r#"{"native_limit": 1}"#).is_err());
    }
}
