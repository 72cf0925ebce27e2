//! Full permission sets.

use crate::{
    AccessControlType, AddressEntry, Erc20SpendLimit, FunctionEntry, PermissionError, PermissionUpdate,
    RuleSet, SpendLimit, TimeRange, builder::builder_methods, update::check_native_interval,
};
use alloy_primitives::{Address, Bytes};
use serde::{Deserialize, Serialize};

/// The full permission set of a new session key.
///
/// Anything not set keeps the default of a new key: nothing may be called, no native token may be sent, and
/// there is no time range, no ERC-20 limit, no gas limit and no required paymaster.
///
/// Setters of single values replace; those of entries and ERC-20 limits append. Nothing is sorted or merged.
/// Of several entries for one contract or function, or limits for one token, the last counts. The encoding is
/// byte for byte that of the TypeScript `SessionKeyPermissionsBuilder`: access control type (always), address
/// entries, function entries, time range, native limit, ERC-20 limits, gas limit, required paymaster.
///
/// To change an existing key, use [`PermissionUpdates`](crate::PermissionUpdates): a full set would reset its
/// access control type.
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
    /// What the key may send in the native token, in wei. `None` is a limit of zero, not the absence of a
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_token_spend_limit: Option<SpendLimit>,
    /// What the key may spend of ERC-20 tokens, in their base units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub erc20_spend_limits: Vec<Erc20SpendLimit>,
    /// The most that the key's operations may cost, in wei.
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

    /// Adds an update to the set: a single value replaces the previous one, an entry or a token's limit is
    /// appended.
    pub fn update(mut self, update: PermissionUpdate) -> Self {
        match update {
            PermissionUpdate::AccessListType(value) => self.access_control_type = value,
            PermissionUpdate::AddressEntry(entry) => self.address_entries.push(entry),
            PermissionUpdate::FunctionEntry(entry) => self.function_entries.push(entry),
            PermissionUpdate::TimeRange(time_range) => self.time_range = Some(time_range),
            PermissionUpdate::NativeTokenSpendLimit(limit) => self.native_token_spend_limit = Some(limit),
            PermissionUpdate::Erc20SpendLimit(limit) => self.erc20_spend_limits.push(limit),
            PermissionUpdate::GasSpendLimit(limit) => self.gas_spend_limit = Some(limit),
            PermissionUpdate::RequiredPaymaster(paymaster) => self.required_paymaster = Some(paymaster),
        }
        self
    }

    builder_methods!();

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
    pub fn native_token_spend_limit(self, limit: SpendLimit) -> Self {
        self.update(PermissionUpdate::NativeTokenSpendLimit(limit))
    }

    /// Appends a limit on what the key may spend of a token, in its base units. Does not put the token
    /// on the list.
    pub fn erc20_spend_limit(self, token: Address, limit: SpendLimit) -> Self {
        self.update(PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
            token,
            limit,
        }))
    }

    /// Limits what the key's operations may cost, in wei (not gas units).
    pub fn gas_spend_limit(self, limit: SpendLimit) -> Self {
        self.update(PermissionUpdate::GasSpendLimit(limit))
    }

    /// The updates that give a new key this set, in the order of the encoding.
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
    ///
    /// Refuses what no plugin accepts, and implausible times: past the year 2200, an interval of more than
    /// 200 years, an end before the start. [`encode_unchecked`](Self::encode_unchecked) accepts those.
    pub fn encode(&self) -> Result<Vec<Bytes>, PermissionError> {
        self.updates().map(|update| update.encode()).collect()
    }

    /// Encodes the set without checking whether its times are plausible. Refuses only what no plugin accepts.
    pub fn encode_unchecked(&self) -> Result<Vec<Bytes>, PermissionError> {
        self.updates().map(|update| update.encode_unchecked()).collect()
    }

    /// Refuses a set whose end time has passed at `now` (unix seconds): a key granted with it could
    /// never be used.
    pub const fn check_not_over(&self, now: u64) -> Result<(), PermissionError> {
        match self.time_range {
            Some(TimeRange { valid_until, .. }) if valid_until != 0 && valid_until < now => {
                Err(PermissionError::Over { valid_until, now })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a set that, granted at `at` (unix seconds), would make every use of the key fail on a plugin
    /// with these rules.
    ///
    /// On plugins of [`RuleSet::Compatible`] this happens if the native token limit's interval, which begins
    /// when the limit is set, ends after [`MAX_SECONDS`](crate::MAX_SECONDS). The later the set is granted,
    /// the shorter such an interval can be.
    pub fn check_for(&self, rule_set: RuleSet, at: u64) -> Result<(), PermissionError> {
        check_native_interval(self.native_token_spend_limit, rule_set, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Selector, U256, bytes};

    #[test]
    fn an_empty_set_is_one_update() {
        let expected = bytes!("8f2920d80000000000000000000000000000000000000000000000000000000000000000");
        assert_eq!(Permissions::new().encode(), Ok(vec![expected]));
    }

    #[test]
    fn both_ends_of_the_time_range_can_be_set_separately() {
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

    #[test]
    fn nested_members_must_be_complete_and_spelt_right() {
        let set = Permissions::new()
            .contract_functions(Address::repeat_byte(3), [Selector::repeat_byte(7)])
            .time_range(TimeRange {
                valid_after: 4,
                valid_until: 5,
            })
            .native_token_spend_limit(SpendLimit::total(U256::from(1)))
            .erc20_spend_limit(Address::repeat_byte(9), SpendLimit::per(U256::from(2), 60))
            .gas_spend_limit(SpendLimit::per(U256::from(3), 60));
        let good = serde_json::to_value(&set).unwrap();
        let mut nested = 0;
        for (name, value) in good.as_object().unwrap() {
            let part = if value.is_array() { &value[0] } else { value };
            for member in part.as_object().into_iter().flat_map(|part| part.keys()) {
                nested += 1;
                for misspelt in [false, true] {
                    let mut bad = good.clone();
                    let part = if value.is_array() {
                        &mut bad[name][0]
                    } else {
                        &mut bad[name]
                    };
                    let removed = part.as_object_mut().unwrap().remove(member).unwrap();
                    if misspelt {
                        part[format!("{member}s")] = removed;
                    }
                    assert!(
                        serde_json::from_value::<Permissions>(bad).is_err(),
                        "{name} {member}"
                    );
                }
            }
            // One more than there are.
            let mut bad = good.clone();
            let part = if value.is_array() {
                &mut bad[name][0]
            } else {
                &mut bad[name]
            };
            if let Some(part) = part.as_object_mut() {
                part.insert("tokens".to_owned(), 1.into());
                assert!(serde_json::from_value::<Permissions>(bad).is_err(), "{name}");
            }
        }
        assert_eq!(nested, 3 + 3 + 2 + 2 + 3 + 2);
    }

    #[test]
    fn an_expired_set_cannot_be_granted() {
        let now = 1_800_000_000;
        let until = |valid_until| Permissions::new().valid_until(valid_until);
        assert_eq!(Permissions::new().check_not_over(now), Ok(()));
        assert_eq!(until(0).check_not_over(now), Ok(()));
        let over = until(now - 1).check_not_over(now).unwrap_err();
        assert_eq!(
            over.to_string(),
            "the end time 2027-01-15T07:59:59Z has passed: it is 2027-01-15T08:00:00Z"
        );
        // The last second counts.
        assert_eq!(until(now).check_not_over(now), Ok(()));
        assert_eq!(
            until(now - 1).check_not_over(now),
            Err(PermissionError::Over {
                valid_until: now - 1,
                now
            })
        );
    }
}
