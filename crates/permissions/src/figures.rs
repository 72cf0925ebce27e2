//! A key's permissions and what is left of its limits, in figures: for monitoring, and for the JSON of the
//! command line.
//!
//! In JSON, members are in camel case and always present, amounts are decimal strings with their unit in the
//! name (`…Wei`, `…BaseUnits`), times are unix seconds, and addresses have their EIP-55 checksum.

pub use crate::address::checksummed;

use crate::{AccessControlType, KeyState, SpendLimit, SpendLimitInfo, plan::limit_of};
use alloy_primitives::{Address, Selector, U256};
use serde::{Deserialize, Serialize};

/// Amounts as decimal strings, for `serde(with)`.
pub mod decimal_string {
    use alloy_primitives::U256;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the amount.
    pub fn serialize<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    /// Reads an amount. Accepts decimal digits only.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<U256, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(D::Error::custom("an amount is a string of decimal digits"));
        }
        U256::from_str_radix(&text, 10).map_err(D::Error::custom)
    }
}

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum KeyStatus {
    /// It is valid now.
    Active,
    /// It is not valid yet.
    NotYetValid,
    /// It has expired.
    Expired,
    /// The account does not have it.
    NotRegistered,
}

/// Whether anything is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum LimitStatus {
    /// Something is left.
    Available,
    /// Nothing is left until it refreshes, at `refreshes_at`.
    Waiting,
    /// Nothing is left, and it does not refresh.
    Exhausted,
    /// It does not refresh until its pending reset is settled (gas limit only).
    ResetPending,
}

/// What is left of a limit at a given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum BudgetFigures {
    /// The limit on the native token that the key may send.
    Native {
        /// The limit, in total or per interval.
        #[serde(with = "decimal_string")]
        limit_wei: U256,
        /// The amount used.
        #[serde(with = "decimal_string")]
        used_wei: U256,
        /// The amount left.
        #[serde(with = "decimal_string")]
        remaining_wei: U256,
        /// When it refreshes.
        #[serde(flatten)]
        interval: IntervalFigures,
    },
    /// The limit on the cost of the key's operations.
    Gas {
        /// The limit, in total or per interval.
        #[serde(with = "decimal_string")]
        limit_wei: U256,
        /// The amount used.
        #[serde(with = "decimal_string")]
        used_wei: U256,
        /// The amount left.
        #[serde(with = "decimal_string")]
        remaining_wei: U256,
        /// Whether a reset is pending.
        pending_reset: bool,
        /// When it refreshes.
        #[serde(flatten)]
        interval: IntervalFigures,
    },
    /// The limit on a token that the key may spend.
    Token {
        /// The token.
        #[serde(with = "checksummed")]
        token: Address,
        /// The limit, in total or per interval.
        #[serde(with = "decimal_string")]
        limit_base_units: U256,
        /// The amount used.
        #[serde(with = "decimal_string")]
        used_base_units: U256,
        /// The amount left.
        #[serde(with = "decimal_string")]
        remaining_base_units: U256,
        /// When it refreshes.
        #[serde(flatten)]
        interval: IntervalFigures,
    },
}

/// When a limit refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntervalFigures {
    /// The interval's length; `None` if it never refreshes.
    #[serde(deserialize_with = "Option::deserialize")]
    pub refresh_interval_seconds: Option<u64>,
    /// When the current interval began, unix seconds. `None` if there is none; the next use begins one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub started_at: Option<u64>,
    /// When it ends, unix seconds.
    #[serde(deserialize_with = "Option::deserialize")]
    pub refreshes_at: Option<u64>,
    /// Whether anything is left.
    pub status: LimitStatus,
}

impl BudgetFigures {
    /// The amount left, in wei or base units.
    pub const fn remaining(&self) -> U256 {
        match self {
            Self::Native { remaining_wei, .. } | Self::Gas { remaining_wei, .. } => *remaining_wei,
            Self::Token {
                remaining_base_units, ..
            } => *remaining_base_units,
        }
    }

    /// The amount used, in wei or base units.
    pub const fn used(&self) -> U256 {
        match self {
            Self::Native { used_wei, .. } | Self::Gas { used_wei, .. } => *used_wei,
            Self::Token { used_base_units, .. } => *used_base_units,
        }
    }

    /// The limit, in wei or base units.
    pub const fn limit(&self) -> U256 {
        match self {
            Self::Native { limit_wei, .. } | Self::Gas { limit_wei, .. } => *limit_wei,
            Self::Token { limit_base_units, .. } => *limit_base_units,
        }
    }

    /// When it refreshes.
    pub const fn interval(&self) -> &IntervalFigures {
        match self {
            Self::Native { interval, .. } | Self::Gas { interval, .. } | Self::Token { interval, .. } => {
                interval
            }
        }
    }
}

/// A limit, as it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeiLimitFigures {
    /// The limit, in total or per interval.
    #[serde(with = "decimal_string")]
    pub limit_wei: U256,
    /// The interval's length; `None` if it never refreshes.
    #[serde(deserialize_with = "Option::deserialize")]
    pub refresh_interval_seconds: Option<u64>,
}

/// The limit of a token, as it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenLimitFigures {
    /// The token.
    #[serde(with = "checksummed")]
    pub token: Address,
    /// The limit, in total or per interval.
    #[serde(with = "decimal_string")]
    pub limit_base_units: U256,
    /// The interval's length; `None` if it never refreshes.
    #[serde(deserialize_with = "Option::deserialize")]
    pub refresh_interval_seconds: Option<u64>,
}

/// A contract's entry on the access control list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContractFigures {
    /// The contract.
    #[serde(with = "checksummed")]
    pub contract: Address,
    /// Whether it is on the list.
    pub is_on_list: bool,
    /// Whether the entry covers only functions that are on the list themselves.
    pub check_selectors: bool,
    /// The functions that are on the list, whether the contract is or not.
    pub functions: Vec<Selector>,
}

/// A key's full permissions, without the amounts used.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct PermissionsFigures {
    /// `allowlist`, `denylist` or `everything`.
    pub access: AccessFigures,
    /// The entries that are on the list, or check functions, or have functions that are on it.
    pub contracts: Vec<ContractFigures>,
    /// First second in which the key may be used; `None` for no bound.
    #[serde(deserialize_with = "Option::deserialize")]
    pub valid_after: Option<u64>,
    /// Last second in which the key may be used; `None` for no bound.
    #[serde(deserialize_with = "Option::deserialize")]
    pub valid_until: Option<u64>,
    /// The limit on the native token it may send; `None` if unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    pub native_limit: Option<WeiLimitFigures>,
    /// The limit on the cost of its operations; `None` if unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    pub gas_limit: Option<WeiLimitFigures>,
    /// The limits on tokens it may spend. Other tokens have no limit.
    pub token_limits: Vec<TokenLimitFigures>,
    /// The paymaster that must pay for its operations; `None` for any, or the account.
    #[serde(with = "checksummed::optional")]
    pub required_paymaster: Option<Address>,
}

/// How the access control list is read, in the words of policy files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessFigures {
    /// Only what is on the list may be called.
    Allowlist,
    /// Everything may be called except what is on the list.
    Denylist,
    /// Everything may be called.
    Everything,
}

impl From<AccessControlType> for AccessFigures {
    fn from(value: AccessControlType) -> Self {
        match value {
            AccessControlType::Allowlist => Self::Allowlist,
            AccessControlType::Denylist => Self::Denylist,
            AccessControlType::AllowAllAccess => Self::Everything,
        }
    }
}

const fn some(seconds: u64) -> Option<u64> {
    if seconds == 0 { None } else { Some(seconds) }
}

impl KeyState {
    /// Whether the key can be used in a block with timestamp `now` (unix seconds).
    #[must_use]
    pub const fn status(&self, now: u64) -> KeyStatus {
        let range = self.time_range;
        if !self.registered {
            KeyStatus::NotRegistered
        } else if range.valid_until != 0 && range.valid_until < now {
            KeyStatus::Expired
        } else if now < range.valid_after {
            KeyStatus::NotYetValid
        } else {
            KeyStatus::Active
        }
    }

    /// What is left of each limit in a block with timestamp `now` (unix seconds): native token, gas, tokens
    /// by address.
    #[must_use]
    pub fn budget_figures(&self, now: u64) -> Vec<BudgetFigures> {
        let mut budgets = Vec::new();
        let native = self.native_limit;
        if native.has_limit {
            let current = native.at(now);
            budgets.push(BudgetFigures::Native {
                limit_wei: current.limit,
                used_wei: current.limit_used,
                remaining_wei: current.left(),
                interval: interval_figures(&native, native.is_over(now), false, current.left()),
            });
        }
        let info = self.gas_limit.info;
        if info.has_limit {
            let current = self.gas_limit.at(now);
            let is_pending = self.gas_limit.is_reset_pending();
            let is_over = self.gas_limit.is_over(now) && !is_pending;
            budgets.push(BudgetFigures::Gas {
                limit_wei: current.limit,
                used_wei: current.limit_used,
                remaining_wei: current.left(),
                pending_reset: is_pending,
                interval: interval_figures(&info, is_over, is_pending, current.left()),
            });
        }
        for (token, contract) in &self.contracts {
            let limit = contract.token_limit;
            if limit.has_limit {
                let current = limit.at(now);
                budgets.push(BudgetFigures::Token {
                    token: *token,
                    limit_base_units: current.limit,
                    used_base_units: current.limit_used,
                    remaining_base_units: current.left(),
                    interval: interval_figures(&limit, limit.is_over(now), false, current.left()),
                });
            }
        }
        budgets
    }

    /// The key's permissions.
    #[must_use]
    pub fn figures(&self) -> PermissionsFigures {
        let wei = |limit: SpendLimit| WeiLimitFigures {
            limit_wei: limit.spend_limit,
            refresh_interval_seconds: some(limit.refresh_interval),
        };
        let contracts = self.contracts.iter().filter_map(|(contract, entry)| {
            let functions: Vec<Selector> = entry
                .functions
                .iter()
                .filter(|(_, is_on_list)| **is_on_list)
                .map(|(selector, _)| *selector)
                .collect();
            (entry.is_on_list || entry.check_selectors || !functions.is_empty()).then_some(ContractFigures {
                contract: *contract,
                is_on_list: entry.is_on_list,
                check_selectors: entry.check_selectors,
                functions,
            })
        });
        let token_limits = self.contracts.iter().filter_map(|(token, entry)| {
            limit_of(&entry.token_limit).map(|limit| TokenLimitFigures {
                token: *token,
                limit_base_units: limit.spend_limit,
                refresh_interval_seconds: some(limit.refresh_interval),
            })
        });
        PermissionsFigures {
            access: self.access_control_type.into(),
            contracts: contracts.collect(),
            valid_after: some(self.time_range.valid_after),
            valid_until: some(self.time_range.valid_until),
            native_limit: limit_of(&self.native_limit).map(wei),
            gas_limit: limit_of(&self.gas_limit.info).map(wei),
            token_limits: token_limits.collect(),
            required_paymaster: self.required_paymaster,
        }
    }
}

fn interval_figures(limit: &SpendLimitInfo, is_over: bool, is_pending: bool, left: U256) -> IntervalFigures {
    let runs = limit.refresh_interval != 0 && !limit.is_not_begun() && !is_over && !is_pending;
    let refreshes_at = limit.refreshes_at().filter(|_| runs);
    let status = if is_pending {
        LimitStatus::ResetPending
    } else if !left.is_zero() {
        LimitStatus::Available
    } else if refreshes_at.is_some() {
        LimitStatus::Waiting
    } else {
        LimitStatus::Exhausted
    };
    IntervalFigures {
        refresh_interval_seconds: some(limit.refresh_interval),
        started_at: runs.then_some(limit.last_used_time),
        refreshes_at,
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permissions;
    use alloy_primitives::address;
    use serde_json::json;

    const NOW: u64 = 1_800_000_000;
    const TOKEN: Address = address!("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");

    fn state() -> KeyState {
        let limit = SpendLimit::per(U256::from(100), 60);
        let permissions = Permissions::new()
            .contract_functions(TOKEN, [crate::ERC20_TRANSFER])
            .erc20_spend_limit(TOKEN, limit)
            .gas_spend_limit(limit)
            .valid_until(NOW + 100);
        let mut state = KeyState::fresh(TOKEN, TOKEN);
        state.apply(&permissions.updates().collect(), NOW).unwrap();
        state
    }

    #[test]
    fn figures_have_their_units_in_their_names() {
        let mut state = state();
        state.gas_limit.info.limit_used = U256::from(30);
        assert_eq!(
            serde_json::to_value(state.budget_figures(NOW + 1)).unwrap(),
            json!([
                {
                    "of": "native", "limitWei": "0", "usedWei": "0", "remainingWei": "0",
                    "refreshIntervalSeconds": null, "startedAt": null, "refreshesAt": null, "status": "exhausted",
                },
                {
                    "of": "gas", "limitWei": "100", "usedWei": "30", "remainingWei": "70", "pendingReset": false,
                    "refreshIntervalSeconds": 60, "startedAt": NOW, "refreshesAt": NOW + 60, "status": "available",
                },
                {
                    "of": "token", "token": TOKEN.to_string(), "limitBaseUnits": "100", "usedBaseUnits": "0",
                    "remainingBaseUnits": "100", "refreshIntervalSeconds": 60, "startedAt": NOW, "refreshesAt": NOW + 60,
                    "status": "available",
                },
            ])
        );
        let figures = state.figures();
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!(
            json,
            json!({
                "access": "allowlist",
                "contracts": [{
                    "contract": TOKEN.to_string(), "isOnList": true, "checkSelectors": true, "functions": ["0xa9059cbb"],
                }],
                "validAfter": null,
                "validUntil": NOW + 100,
                "nativeLimit": { "limitWei": "0", "refreshIntervalSeconds": null },
                "gasLimit": { "limitWei": "100", "refreshIntervalSeconds": 60 },
                "tokenLimits": [{ "token": TOKEN.to_string(), "limitBaseUnits": "100", "refreshIntervalSeconds": 60 }],
                "requiredPaymaster": null,
            })
        );
        assert_eq!(
            serde_json::from_value::<PermissionsFigures>(json).unwrap(),
            figures
        );
        let budgets = state.budget_figures(NOW + 1);
        let json = serde_json::to_value(&budgets).unwrap();
        assert_eq!(
            serde_json::from_value::<Vec<BudgetFigures>>(json).unwrap(),
            budgets
        );
    }

    #[test]
    fn a_limit_waits_is_exhausted_or_has_a_reset_pending() {
        let mut state = state();
        let gas = |state: &KeyState, now| *state.budget_figures(now)[1].interval();
        state.gas_limit.info.limit_used = U256::from(100);
        assert_eq!(gas(&state, NOW + 59).status, LimitStatus::Waiting);
        let over = gas(&state, NOW + 60);
        assert_eq!(
            (over.status, over.started_at, over.refreshes_at),
            (LimitStatus::Available, None, None)
        );
        state.gas_limit.should_reset = true;
        assert_eq!(gas(&state, NOW + 60).status, LimitStatus::ResetPending);
        assert_eq!(state.budget_figures(NOW + 60)[1].remaining(), U256::ZERO);
        state.gas_limit.should_reset = false;
        state.gas_limit.info.refresh_interval = 0;
        assert_eq!(gas(&state, NOW + 60).status, LimitStatus::Exhausted);
    }

    #[test]
    fn a_key_is_active_within_its_time_range() {
        let mut state = state();
        state.time_range.valid_after = NOW;
        assert_eq!(state.status(NOW - 1), KeyStatus::NotYetValid);
        assert_eq!(state.status(NOW), KeyStatus::Active);
        assert_eq!(state.status(NOW + 100), KeyStatus::Active);
        assert_eq!(state.status(NOW + 101), KeyStatus::Expired);
        state.registered = false;
        assert_eq!(state.status(NOW), KeyStatus::NotRegistered);
    }
}
