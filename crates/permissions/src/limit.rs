//! Spend limits: as an owner sets them, and as the plugin shows them.

use crate::MAX_SECONDS;
use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use session_key_bindings::ISessionKeyPlugin;

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

/// A spend limit, and what is used of it. Wei, or base units of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpendLimitInfo {
    /// False: there is no limit.
    pub has_limit: bool,
    /// The most that may be spent per interval, or in all without an interval.
    pub limit: U256,
    /// Spent so far in the interval that began at `last_used_time`, or in all.
    pub limit_used: U256,
    /// Seconds; 0: the limit never refreshes.
    pub refresh_interval: u64,
    /// Start of the current interval, unix seconds; 0 without an interval.
    pub last_used_time: u64,
}

impl SpendLimitInfo {
    /// When the current interval ends, unix seconds. `None` without an interval.
    pub fn refreshes_at(&self) -> Option<u64> {
        (self.refresh_interval > 0).then(|| {
            self.last_used_time
                .saturating_add(self.refresh_interval)
                .min(MAX_SECONDS)
        })
    }

    /// What may still be spent in a block with timestamp `now` (unix seconds). `None`: there is no limit.
    pub fn remaining(&self, now: u64) -> Option<U256> {
        if !self.has_limit {
            return None;
        }
        match self.refreshes_at() {
            Some(end) if end <= now => Some(self.limit),
            _ => Some(self.limit.saturating_sub(self.limit_used)),
        }
    }
}

impl From<ISessionKeyPlugin::SpendLimitInfo> for SpendLimitInfo {
    fn from(info: ISessionKeyPlugin::SpendLimitInfo) -> Self {
        Self {
            has_limit: info.hasLimit,
            limit: info.limit,
            limit_used: info.limitUsed,
            refresh_interval: info.refreshInterval.to(),
            last_used_time: info.lastUsedTime.to(),
        }
    }
}

/// A key's gas limit, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GasSpendLimitInfo {
    /// The limit.
    pub info: SpendLimitInfo,
    /// Validation opened a new interval that is not settled yet. It stays so when the operation failed in execution, until
    /// anyone calls `resetSessionKeyGasLimitTimestamp`.
    pub should_reset: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spend_limits_default_to_a_total() {
        let limit: Erc20SpendLimit = serde_json::from_value(serde_json::json!({
            "token": "0x0000000000000000000000000000000000000001",
            "spend_limit": "0x10",
        }))
        .unwrap();
        assert_eq!(limit.limit, SpendLimit::total(U256::from(16)));
    }

    #[test]
    fn what_remains_depends_on_the_interval() {
        let mut limit = SpendLimitInfo {
            has_limit: true,
            limit: U256::from(100),
            limit_used: U256::from(70),
            refresh_interval: 60,
            last_used_time: 1000,
        };
        assert_eq!(limit.remaining(1059), Some(U256::from(30)));
        assert_eq!(limit.remaining(1060), Some(U256::from(100)));
        limit.refresh_interval = 0;
        assert_eq!(limit.remaining(u64::MAX), Some(U256::from(30)));
        // A limit may be set below what is used already.
        limit.limit = U256::from(50);
        assert_eq!(limit.remaining(0), Some(U256::ZERO));
        limit.has_limit = false;
        assert_eq!(limit.remaining(0), None);
    }
}
