//! The state that the plugin stores, and how updates change it.

use crate::{
    AccessControlType, GasSpendLimitInfo, PermissionError, PermissionUpdate, PermissionUpdates, RuleSet,
    SpendLimit, SpendLimitInfo, TimeRange, limit::uint48,
};
use alloy_primitives::{Address, Bytes, Selector, U256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The state that the plugin stores about one session key of one account.
///
/// Limits are kept as the plugin's views return them. Times are unix seconds, amounts wei or token base
/// units.
///
/// Its JSON has exactly these members: a missing or misspelt one would otherwise read as a limit or a rule
/// that the key does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyState {
    /// The account.
    pub account: Address,
    /// The session key.
    pub session_key: Address,
    /// Whether the key is registered. If not, everything else is as for a fresh key.
    pub registered: bool,
    /// How the access control list is read.
    pub access_control_type: AccessControlType,
    /// Entries of contracts, by address: on the access control list, as limited tokens, or both.
    pub contracts: BTreeMap<Address, ContractState>,
    /// Whether this is all of the state. If not, contracts and functions without an entry are unknown, and
    /// calls to them are refused with [`Rule::StateNotLoaded`](super::Rule::StateNotLoaded); if so, they are
    /// neither on the list nor limited tokens.
    pub complete: bool,
    /// When the key may be used.
    pub time_range: TimeRange,
    /// The limit on the native token.
    pub native_limit: SpendLimitInfo,
    /// The limit on the cost of operations.
    pub gas_limit: GasSpendLimitInfo,
    /// The paymaster that every operation must use.
    // With a custom function, serde does not read a missing member as `None`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub required_paymaster: Option<Address>,
    /// What is known about the plugin's rules.
    pub rule_set: RuleSet,
    /// Contracts that answer as ERC-6900 modules, as far as they were asked. On a module
    /// ([`RuleSet::Module`]), execution asks every target and refuses those.
    pub modules: BTreeSet<Address>,
}

/// The state that the plugin stores about one contract for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ContractState {
    /// Whether the contract is on the access control list.
    pub is_on_list: bool,
    /// Whether its entry covers only functions that are on the list themselves.
    pub check_selectors: bool,
    /// Whether these functions are on the list.
    pub functions: BTreeMap<Selector, bool>,
    /// Its limit as an ERC-20 token. A removed limit keeps its figures, except the used amount.
    pub token_limit: SpendLimitInfo,
}

impl KeyState {
    /// A key that was just registered: an empty allowlist, and a native token limit of zero.
    pub fn fresh(account: Address, session_key: Address) -> Self {
        Self {
            account,
            session_key,
            registered: true,
            access_control_type: AccessControlType::Allowlist,
            contracts: BTreeMap::new(),
            complete: true,
            time_range: TimeRange::default(),
            native_limit: SpendLimitInfo {
                has_limit: true,
                ..Default::default()
            },
            gas_limit: GasSpendLimitInfo::default(),
            required_paymaster: None,
            rule_set: RuleSet::Strict,
            modules: BTreeSet::new(),
        }
    }

    /// A key that is not registered.
    pub fn unregistered(account: Address, session_key: Address) -> Self {
        Self {
            registered: false,
            ..Self::fresh(account, session_key)
        }
    }

    /// Applies updates in a block with timestamp `time`, as `updateKeyPermissions` does: all of
    /// them, or none.
    ///
    /// The used amount stays, unless the limit is removed; an interval starts now; a new gas limit clears the
    /// pending reset. Accepts what the plugin accepts, implausible times included.
    pub fn apply(&mut self, updates: &PermissionUpdates, time: u64) -> Result<(), PermissionError> {
        // Only updates that can be encoded can be applied.
        for update in updates {
            update.encode_unchecked()?;
        }
        for update in updates {
            self.apply_update(update, time);
        }
        Ok(())
    }

    /// Applies the updates that a key is added with, in a block with timestamp `time`: all of them, or none.
    ///
    /// Like [`apply`](Self::apply), except that on a module no interval begins before the key's first use:
    /// keys can be added in validation, which has no clock.
    pub fn apply_at_addition(
        &mut self,
        updates: &PermissionUpdates,
        time: u64,
    ) -> Result<(), PermissionError> {
        let begins_at = if self.rule_set.module().is_some() { 0 } else { time };
        self.apply(updates, begins_at)
    }

    /// Applies encoded updates, exactly those that the plugin accepts: all of them, or none.
    pub fn apply_encoded(&mut self, updates: &[Bytes], time: u64) -> Result<(), PermissionError> {
        self.apply(&PermissionUpdates::decode(updates)?, time)
    }

    pub(crate) fn apply_update(&mut self, update: &PermissionUpdate, time: u64) {
        match *update {
            PermissionUpdate::AccessListType(access_control_type) => {
                self.access_control_type = access_control_type;
            }
            PermissionUpdate::AddressEntry(entry) => {
                let contract = self.contracts.entry(entry.contract).or_default();
                contract.is_on_list = entry.is_on_list;
                contract.check_selectors = entry.check_selectors;
            }
            PermissionUpdate::FunctionEntry(entry) => {
                let contract = self.contracts.entry(entry.contract).or_default();
                contract.functions.insert(entry.selector, entry.is_on_list);
            }
            PermissionUpdate::TimeRange(time_range) => self.time_range = time_range,
            PermissionUpdate::NativeTokenSpendLimit(limit) => {
                self.native_limit = if limit.is_unlimited() {
                    SpendLimitInfo::default()
                } else {
                    configured(&self.native_limit, &limit, time)
                };
            }
            PermissionUpdate::Erc20SpendLimit(update) => {
                let contract = self.contracts.entry(update.token).or_default();
                let token_limit = &mut contract.token_limit;
                *token_limit = if update.limit.is_unlimited() {
                    SpendLimitInfo {
                        has_limit: false,
                        limit_used: U256::ZERO,
                        ..*token_limit
                    }
                } else {
                    configured(token_limit, &update.limit, time)
                };
            }
            PermissionUpdate::GasSpendLimit(limit) => {
                self.gas_limit.info = if limit.is_unlimited() {
                    SpendLimitInfo::default()
                } else {
                    configured(&self.gas_limit.info, &limit, time)
                };
                // Also where the module's clock, of 48 bits, reads zero.
                self.gas_limit.should_reset =
                    self.rule_set.module().is_some() && self.gas_limit.info.is_not_begun();
            }
            PermissionUpdate::RequiredPaymaster(paymaster) => {
                self.required_paymaster = (!paymaster.is_zero()).then_some(paymaster);
            }
        }
    }

    /// `resetSessionKeyGasLimitTimestamp` in a block with timestamp `time`: starts the interval of the gas
    /// limit that validation opened, if any.
    pub const fn settle_gas_reset(&mut self, time: u64) {
        if self.gas_limit.should_reset {
            self.gas_limit.should_reset = false;
            self.gas_limit.info.last_used_time = uint48(time);
        }
    }
}

const fn configured(old: &SpendLimitInfo, limit: &SpendLimit, time: u64) -> SpendLimitInfo {
    let last_used_time = if limit.refresh_interval == 0 {
        0
    } else {
        uint48(time)
    };
    SpendLimitInfo {
        has_limit: true,
        limit: limit.spend_limit,
        limit_used: old.limit_used,
        refresh_interval: limit.refresh_interval,
        last_used_time,
    }
}
