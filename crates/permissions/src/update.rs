//! Single updates, lists of them, and their encoding.

use crate::{
    AccessControlType, AddressEntry, Erc20SpendLimit, FunctionEntry, GasSpendLimitInfo, LimitChange,
    MAX_SECONDS, PermissionError, RuleSet, SpendLimit, SpendLimitInfo, TimeField, TimeRange,
    builder::builder_methods,
    limit::{end_overflows, uint48},
};
use alloy_primitives::{Address, Bytes, Selector, U256, aliases::U48};
use alloy_sol_types::SolCall;
use serde::{Deserialize, Serialize};
use session_key_bindings::{ISessionKeyPermissionsUpdates as Updates, ISessionKeyPlugin};

/// One change of a session key's permissions: one element of the `bytes[]` of `addSessionKey` and
/// `updateKeyPermissions`.
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
    /// `setNativeTokenSpendLimit`, in wei. Keeps the amount already used, unless it removes the limit. This
    /// applies to every limit.
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

    /// Encodes the update. Refuses what no plugin accepts, and implausible times: past the year 2200, an
    /// interval of more than 200 years, an end before the start. [`encode_unchecked`](Self::encode_unchecked)
    /// accepts those.
    pub fn encode(&self) -> Result<Bytes, PermissionError> {
        let encoded = self.encode_unchecked()?;
        match self {
            Self::TimeRange(time_range) => time_range.check_plausible()?,
            Self::NativeTokenSpendLimit(limit)
            | Self::GasSpendLimit(limit)
            | Self::Erc20SpendLimit(Erc20SpendLimit { limit, .. }) => limit.check_plausible()?,
            Self::AccessListType(_)
            | Self::AddressEntry(_)
            | Self::FunctionEntry(_)
            | Self::RequiredPaymaster(_) => {}
        }
        Ok(encoded)
    }

    /// Encodes the update without checking whether its times are plausible. Refuses only what no plugin
    /// accepts.
    pub fn encode_unchecked(&self) -> Result<Bytes, PermissionError> {
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

/// A change of an existing key's permissions: exactly the updates given, in that order.
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

    builder_methods!();

    /// Removes a contract from the list. The entries of its functions stay, and count again if the contract
    /// returns.
    pub fn without_contract(self, contract: Address) -> Self {
        self.address_entry(AddressEntry {
            contract,
            is_on_list: false,
            check_selectors: false,
        })
    }

    /// Removes a function from the list.
    pub fn without_function(self, contract: Address, selector: Selector) -> Self {
        self.function_entry(FunctionEntry {
            contract,
            selector,
            is_on_list: false,
        })
    }

    /// Limits what the key may send in the native token, in wei. `change` says what happens to the amount
    /// used.
    pub fn native_token_spend_limit(self, limit: SpendLimit, change: LimitChange) -> Self {
        change
            .steps(limit, SpendLimitInfo::has_outdated_use)
            .fold(self, |updates, limit| {
                updates.update(PermissionUpdate::NativeTokenSpendLimit(limit))
            })
    }

    /// Limits what the key may spend of a token, in its base units. `change` says what happens to the amount
    /// used.
    pub fn erc20_spend_limit(self, token: Address, limit: SpendLimit, change: LimitChange) -> Self {
        change
            .steps(limit, SpendLimitInfo::has_outdated_use)
            .fold(self, |updates, limit| {
                updates.update(PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
                    token,
                    limit,
                }))
            })
    }

    /// Limits what the key's operations may cost, in wei (not gas units). `change` says what happens to the
    /// amount used. A pending reset is always cleared.
    pub fn gas_spend_limit(self, limit: SpendLimit, change: LimitChange<GasSpendLimitInfo>) -> Self {
        change
            .steps(limit, GasSpendLimitInfo::has_outdated_use)
            .fold(self, |updates, limit| {
                updates.update(PermissionUpdate::GasSpendLimit(limit))
            })
    }

    /// The updates, in order.
    pub fn as_slice(&self) -> &[PermissionUpdate] {
        &self.0
    }

    /// Encodes every update. Refuses what no plugin accepts, and implausible times: past the year 2200, an
    /// interval of more than 200 years, an end before the start. [`encode_unchecked`](Self::encode_unchecked)
    /// accepts those.
    pub fn encode(&self) -> Result<Vec<Bytes>, PermissionError> {
        self.0.iter().map(PermissionUpdate::encode).collect()
    }

    /// Encodes every update without checking whether its times are plausible. Refuses only what no plugin
    /// accepts.
    pub fn encode_unchecked(&self) -> Result<Vec<Bytes>, PermissionError> {
        self.0.iter().map(PermissionUpdate::encode_unchecked).collect()
    }

    /// Refuses updates that, applied at `at` (unix seconds), would make every use of the key fail on a plugin
    /// with these rules: see [`Permissions::check_for`](crate::Permissions::check_for). Of several native
    /// token limits, the last counts.
    pub fn check_for(&self, rule_set: RuleSet, at: u64) -> Result<(), PermissionError> {
        let native = self.0.iter().rev().find_map(|update| match update {
            PermissionUpdate::NativeTokenSpendLimit(limit) => Some(*limit),
            _ => None,
        });
        check_native_interval(native, rule_set, at)
    }

    /// Decodes every update, as the plugin would: all of them, or none.
    pub fn decode<T: AsRef<[u8]>>(updates: impl IntoIterator<Item = T>) -> Result<Self, PermissionError> {
        updates
            .into_iter()
            .map(|update| PermissionUpdate::decode(update.as_ref()))
            .collect()
    }
}

/// Refuses a native token limit that, set at `at`, makes every use of the key fail on a plugin
/// with these rules.
pub(crate) fn check_native_interval(
    limit: Option<SpendLimit>,
    rule_set: RuleSet,
    at: u64,
) -> Result<(), PermissionError> {
    match limit {
        Some(limit)
            if rule_set == RuleSet::Compatible
                && !limit.is_unlimited()
                && end_overflows(uint48(at), limit.refresh_interval) =>
        {
            Err(PermissionError::NativeIntervalEndOverflow {
                refresh_interval: limit.refresh_interval,
                at,
            })
        }
        _ => Ok(()),
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
    use crate::{LATEST_PLAUSIBLE_TIME, LONGEST_PLAUSIBLE_INTERVAL, Permissions};
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
            .native_token_spend_limit(limit, LimitChange::Raw)
            .erc20_spend_limit(address, limit, LimitChange::Raw)
            .gas_spend_limit(limit, LimitChange::Raw)
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
            .encode_unchecked()
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
            assert_eq!(update.encode_unchecked(), error(TimeField::RefreshInterval));
            assert_eq!(update.encode(), error(TimeField::RefreshInterval));
        }
    }

    #[test]
    fn milliseconds_are_refused_unless_unchecked() {
        let range = |valid_after, valid_until| {
            PermissionUpdate::TimeRange(TimeRange {
                valid_after,
                valid_until,
            })
        };
        let limit = |refresh_interval| SpendLimit::per(U256::from(1), refresh_interval);
        let token = |refresh_interval| {
            PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
                token: Address::repeat_byte(1),
                limit: limit(refresh_interval),
            })
        };
        let (latest, longest) = (LATEST_PLAUSIBLE_TIME, LONGEST_PLAUSIBLE_INTERVAL);
        for (update, plausible) in [
            (range(latest, latest), true),
            (range(latest + 1, 0), false),
            (range(0, latest + 1), false),
            // 2026, in milliseconds.
            (range(0, 1_790_000_000_000), false),
            // A range of one second; one that ends before it begins; and two that have one end only.
            (range(7, 7), true),
            (range(8, 7), false),
            (range(8, 0), true),
            (range(0, 7), true),
            (PermissionUpdate::NativeTokenSpendLimit(limit(longest)), true),
            (PermissionUpdate::NativeTokenSpendLimit(limit(longest + 1)), false),
            (PermissionUpdate::GasSpendLimit(limit(longest)), true),
            (PermissionUpdate::GasSpendLimit(limit(longest + 1)), false),
            (token(longest), true),
            (token(longest + 1), false),
        ] {
            let insisted = update.encode_unchecked().unwrap();
            assert_eq!(PermissionUpdate::decode(&insisted), Ok(update));
            assert_eq!(update.encode().is_ok(), plausible, "{update:?}");
            let list =
                PermissionUpdates::from(vec![PermissionUpdate::RequiredPaymaster(Address::ZERO), update]);
            assert_eq!(list.encode().is_ok(), plausible, "{update:?}");
            assert_eq!(list.encode_unchecked().unwrap()[1], insisted);
            let set = Permissions::new().update(update);
            assert_eq!(set.encode().is_ok(), plausible, "{update:?}");
            assert_eq!(set.encode_unchecked().unwrap()[1], insisted);
        }
        assert_eq!(
            range(latest + 1, 0).encode(),
            Err(PermissionError::ImplausibleSeconds {
                field: TimeField::ValidAfter,
                seconds: latest + 1,
                most: latest,
            })
        );
        assert_eq!(
            range(8, 7).encode(),
            Err(PermissionError::EndBeforeStart {
                valid_after: 8,
                valid_until: 7,
            })
        );
        assert_eq!(
            token(longest + 1).encode(),
            Err(PermissionError::ImplausibleSeconds {
                field: TimeField::RefreshInterval,
                seconds: longest + 1,
                most: longest,
            })
        );
    }

    #[test]
    fn a_change_encodes_its_meaning() {
        let (limit, none) = (SpendLimit::per(U256::from(150), 60), SpendLimit::UNLIMITED);
        let current = |limit_used, last_used_time| SpendLimitInfo {
            has_limit: true,
            limit: U256::from(100),
            limit_used: U256::from(limit_used),
            refresh_interval: 60,
            last_used_time,
        };
        let keep = |current| LimitChange::Keep { current, at: 1_000 };
        let total = SpendLimitInfo {
            refresh_interval: 0,
            ..current(100, 0)
        };
        for (change, clears) in [
            (LimitChange::Raw, false),
            (LimitChange::Afresh, true),
            // Over at 1000, and not.
            (keep(current(100, 940)), true),
            (keep(current(100, 941)), false),
            (keep(total), false),
            // Nothing to clear.
            (keep(current(0, 0)), false),
        ] {
            let set = |limit| PermissionUpdates::new().native_token_spend_limit(limit, change);
            let native = PermissionUpdate::NativeTokenSpendLimit;
            let expected = if clears { vec![none, limit] } else { vec![limit] };
            let expected: Vec<_> = expected.into_iter().map(native).collect();
            assert_eq!(set(limit).as_slice(), expected, "{change:?}");
            // What removes the limit clears it.
            assert_eq!(set(none).as_slice(), [native(none)], "{change:?}");
        }
        // Amounts booked during a pending reset belong to the new interval.
        for (should_reset, updates) in [(false, 2), (true, 1)] {
            let current = GasSpendLimitInfo {
                info: current(100, 0),
                should_reset,
            };
            let change = LimitChange::Keep { current, at: 1_000 };
            let list = PermissionUpdates::new().gas_spend_limit(limit, change);
            assert_eq!(list.as_slice().len(), updates);
        }
    }

    #[test]
    fn a_native_interval_that_some_plugins_cannot_handle_is_refused_for_them() {
        let at = 1_800_000_000;
        let longest = MAX_SECONDS - at;
        for (refresh_interval, rule_set, fine) in [
            (MAX_SECONDS, RuleSet::Compatible, false),
            (longest + 1, RuleSet::Compatible, false),
            (longest, RuleSet::Compatible, true),
            (0, RuleSet::Compatible, true),
            (MAX_SECONDS, RuleSet::Strict, true),
        ] {
            let limit = SpendLimit::per(U256::ZERO, refresh_interval);
            let expected = if fine {
                Ok(())
            } else {
                Err(PermissionError::NativeIntervalEndOverflow { refresh_interval, at })
            };
            let set = Permissions::new().native_token_spend_limit(limit);
            assert_eq!(set.check_for(rule_set, at), expected);
            let list = PermissionUpdates::new()
                .native_token_spend_limit(SpendLimit::total(U256::ZERO), LimitChange::Raw)
                .native_token_spend_limit(limit, LimitChange::Afresh)
                .contract(Address::ZERO);
            assert_eq!(list.check_for(rule_set, at), expected);
            // The last limit counts, and the removal of a limit has no interval.
            let list =
                list.native_token_spend_limit(SpendLimit::per(U256::MAX, MAX_SECONDS), LimitChange::Raw);
            assert_eq!(list.check_for(rule_set, at), Ok(()));
        }
        let others = SpendLimit::per(U256::ZERO, MAX_SECONDS);
        let set = Permissions::new()
            .gas_spend_limit(others)
            .erc20_spend_limit(Address::repeat_byte(1), others);
        assert_eq!(set.check_for(RuleSet::Compatible, at), Ok(()));
    }

    #[test]
    fn the_zero_address_has_no_erc20_limit() {
        let updates = PermissionUpdates::new().erc20_spend_limit(
            Address::ZERO,
            SpendLimit::UNLIMITED,
            LimitChange::Raw,
        );
        assert_eq!(
            updates.encode(),
            Err(PermissionError::InvalidToken(Address::ZERO))
        );
    }
}
