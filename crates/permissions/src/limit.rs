//! Spend limits, as an owner sets them and as the plugin reports them.

use crate::{LONGEST_PLAUSIBLE_INTERVAL, MAX_SECONDS, PermissionError, TimeField, time_range::plausible};
use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use session_key_bindings::ISessionKeyPlugin;

/// A limit on what a key may spend, in total or per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendLimit {
    /// Wei for the native token and for gas, base units for an ERC-20 token. [`U256::MAX`] removes the limit.
    pub spend_limit: U256,
    /// Seconds, at most [`MAX_SECONDS`]; 0 if the limit is a total and never refreshes.
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

    /// Whether this removes the limit instead of setting one.
    pub fn is_unlimited(&self) -> bool {
        self.spend_limit == U256::MAX
    }

    /// Refuses an interval that must be in milliseconds.
    pub(crate) const fn check_plausible(&self) -> Result<(), PermissionError> {
        plausible(
            TimeField::RefreshInterval,
            self.refresh_interval,
            LONGEST_PLAUSIBLE_INTERVAL,
        )
    }
}

/// A limit on what a key may spend of one ERC-20 token. On such a token it may call `transfer` and `approve`,
/// nothing else; an allowlist must still list the token.
///
/// In JSON, the members of the limit are next to the token: `token`, `spend_limit`, `refresh_interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Erc20SpendLimitJson", into = "Erc20SpendLimitJson")]
pub struct Erc20SpendLimit {
    /// The token. Not zero.
    pub token: Address,
    /// The limit, in base units of the token.
    pub limit: SpendLimit,
}

/// The JSON of [`Erc20SpendLimit`]. (With `flatten`, serde could not refuse unknown members.)
#[derive(Serialize, Deserialize)]
#[serde(rename = "Erc20SpendLimit", deny_unknown_fields)]
struct Erc20SpendLimitJson {
    token: Address,
    spend_limit: U256,
    refresh_interval: u64,
}

impl From<Erc20SpendLimitJson> for Erc20SpendLimit {
    fn from(json: Erc20SpendLimitJson) -> Self {
        Self {
            token: json.token,
            limit: SpendLimit::per(json.spend_limit, json.refresh_interval),
        }
    }
}

impl From<Erc20SpendLimit> for Erc20SpendLimitJson {
    fn from(limit: Erc20SpendLimit) -> Self {
        Self {
            token: limit.token,
            spend_limit: limit.limit.spend_limit,
            refresh_interval: limit.limit.refresh_interval,
        }
    }
}

/// What happens to the amount used when the limit of an existing key is changed. `L` is the current limit:
/// [`SpendLimitInfo`], or [`GasSpendLimitInfo`] for the gas limit.
///
/// The plugin never clears the amount used when a limit is set; it only starts a new interval. Say a key has
/// 100 a week and has used all of it, and that week is over: it could spend 100 now. The owner sets 150 a
/// week.
///
/// | change | left at once | next refresh |
/// | --- | --- | --- |
/// | [`Raw`](Self::Raw) | 50: the old week's 100 count against the new week | a week after inclusion |
/// | [`Keep`](Self::Keep), [`Afresh`](Self::Afresh) | 150 | a week after inclusion |
///
/// If the week were not over yet: 50 with `Raw` and `Keep`, 150 with `Afresh`; the next refresh is a week
/// after inclusion in all three. The interval always restarts at inclusion, and is always the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitChange<L = SpendLimitInfo> {
    /// Keeps the amount used while its interval runs, and always if there is no interval. Once the interval
    /// is over, the amount is cleared: the limit is removed, then set.
    ///
    /// Spending between `at` and inclusion is unknown here. If the interval ended before `at`, that spending
    /// is cleared too.
    Keep {
        /// The current limit, read at the block of `at`.
        current: L,
        /// The time at which the interval must still run, unix seconds: that of the latest block.
        at: u64,
    },
    /// Clears the amount used: the limit is removed, then set.
    Afresh,
    /// Only sets the limit. The amount used stays, even if its interval is over.
    Raw,
}

impl<L> LimitChange<L> {
    /// The limits to set, in order.
    pub(crate) fn steps(
        self,
        limit: SpendLimit,
        has_outdated_use: impl FnOnce(&L, u64) -> bool,
    ) -> impl Iterator<Item = SpendLimit> {
        let clears = match self {
            Self::Keep { current, at } => has_outdated_use(&current, at),
            Self::Afresh => true,
            Self::Raw => false,
        };
        // Removing the limit clears it already.
        let clearing = clears && !limit.is_unlimited();
        clearing
            .then_some(SpendLimit::UNLIMITED)
            .into_iter()
            .chain([limit])
    }
}

/// A spend limit and the amount used. Wei, or base units of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendLimitInfo {
    /// False if there is no limit.
    pub has_limit: bool,
    /// The most that may be spent per interval, or in total without an interval.
    pub limit: U256,
    /// Spent so far in the interval that began at `last_used_time`, or in total.
    pub limit_used: U256,
    /// Seconds; 0 if the limit never refreshes.
    pub refresh_interval: u64,
    /// Start of the current interval, unix seconds; 0 without an interval, and on a module before the first
    /// interval begins.
    pub last_used_time: u64,
}

impl SpendLimitInfo {
    /// When the current interval ends, unix seconds. `None` without an interval, and before the
    /// first one begins.
    pub fn refreshes_at(&self) -> Option<u64> {
        self.interval_end().filter(|_| !self.is_not_begun())
    }

    /// Whether the limit refreshes, but its first interval has not begun: a module adds keys without a clock,
    /// and the key's next use begins the intervals of its limits. Until then nothing is used.
    pub const fn is_not_begun(&self) -> bool {
        self.refresh_interval > 0 && self.last_used_time == 0
    }

    /// The end of the interval as the contracts compute it, which for one that has not begun means nothing.
    pub(crate) fn interval_end(&self) -> Option<u64> {
        (self.refresh_interval > 0).then(|| {
            self.last_used_time
                .saturating_add(self.refresh_interval)
                .min(MAX_SECONDS)
        })
    }

    /// Whether the current interval is over in a block with timestamp `now` (unix seconds). Never without an
    /// interval. After [`MAX_SECONDS`], the plugin's clock wraps to zero.
    pub fn is_over(&self, now: u64) -> bool {
        self.interval_end().is_some_and(|end| end <= uint48(now))
    }

    /// What may still be spent in a block with timestamp `now` (unix seconds). `None` if there is no limit.
    pub fn remaining(&self, now: u64) -> Option<U256> {
        self.has_limit.then(|| self.at(now).left())
    }

    /// The figures as they count in a block with timestamp `now`: those of a new interval, if the
    /// current one is over.
    pub(crate) fn at(&self, now: u64) -> Self {
        if self.is_over(now) {
            self.begun_anew(now)
        } else {
            *self
        }
    }

    /// The figures at the beginning of an interval at `now`.
    pub(crate) const fn begun_anew(&self, now: u64) -> Self {
        Self {
            limit_used: U256::ZERO,
            last_used_time: uint48(now),
            ..*self
        }
    }

    /// The figures with an interval that begins at `now`, if none has begun.
    pub(crate) const fn begun(&self, now: u64) -> Self {
        if self.is_not_begun() {
            Self {
                last_used_time: uint48(now),
                ..*self
            }
        } else {
            *self
        }
    }

    /// Whether anything was used in an interval that is over at `at`.
    pub(crate) fn has_outdated_use(&self, at: u64) -> bool {
        !self.limit_used.is_zero() && self.is_over(at)
    }

    /// What is left of the current interval, or of the total.
    pub(crate) const fn left(&self) -> U256 {
        self.limit.saturating_sub(self.limit_used)
    }

    /// Whether the current interval ends after [`MAX_SECONDS`], which a plugin without saturation cannot
    /// represent.
    pub(crate) const fn end_overflows(&self) -> bool {
        self.has_limit && end_overflows(self.last_used_time, self.refresh_interval)
    }
}

/// Whether an interval that begins at `start` ends after [`MAX_SECONDS`]. Never without an interval.
pub(crate) const fn end_overflows(start: u64, refresh_interval: u64) -> bool {
    refresh_interval > 0 && start.saturating_add(refresh_interval) > MAX_SECONDS
}

/// The plugin keeps the low 48 bits of `block.timestamp`.
pub(crate) const fn uint48(time: u64) -> u64 {
    time & MAX_SECONDS
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
#[serde(deny_unknown_fields)]
pub struct GasSpendLimitInfo {
    /// The limit.
    pub info: SpendLimitInfo,
    /// Validation opened a new interval that is not settled yet. If the operation failed in execution, this
    /// stays so until anyone calls `resetSessionKeyGasLimitTimestamp`. On a
    /// module, also: the first interval has not begun.
    pub should_reset: bool,
}

impl GasSpendLimitInfo {
    /// Whether a reset is pending that has to be settled. An unused limit whose first interval has not begun
    /// is marked too, but does not need to be settled.
    pub const fn is_reset_pending(&self) -> bool {
        self.should_reset && !(self.info.is_not_begun() && self.info.limit_used.const_is_zero())
    }

    /// The most that the operation validated next may cost, in a block with timestamp `now` (unix seconds).
    /// `None` if there is no limit. While a reset is pending, the limit does not refresh.
    pub fn remaining(&self, now: u64) -> Option<U256> {
        self.info.has_limit.then(|| self.at(now).left())
    }

    /// Whether anything was used in an interval that is over at `at`. While a reset is pending, the amount
    /// used belongs to the new interval, whose start is not recorded yet.
    pub(crate) fn has_outdated_use(&self, at: u64) -> bool {
        !self.should_reset && !self.info.limit_used.is_zero() && self.is_over(at)
    }

    /// The figures as they count in a block with timestamp `now`.
    pub(crate) fn at(&self, now: u64) -> SpendLimitInfo {
        if self.is_over(now) && !self.should_reset {
            self.info.begun_anew(now)
        } else {
            self.info
        }
    }

    /// Whether the interval is over. The EntryPoint does this comparison, and its clock does not wrap.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.info.interval_end().is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_limit_has_the_members_of_its_limit() {
        let limit = Erc20SpendLimit {
            token: Address::with_last_byte(1),
            limit: SpendLimit::per(U256::from(16), 60),
        };
        let json = serde_json::json!({
            "token": "0x0000000000000000000000000000000000000001",
            "spend_limit": "0x10",
            "refresh_interval": 60,
        });
        assert_eq!(serde_json::to_value(limit).unwrap(), json);
        assert_eq!(serde_json::from_value::<Erc20SpendLimit>(json).unwrap(), limit);
    }

    #[test]
    fn a_pending_reset_blocks_the_next_interval() {
        let mut limit = GasSpendLimitInfo {
            info: SpendLimitInfo {
                has_limit: true,
                limit: U256::from(100),
                limit_used: U256::from(90),
                refresh_interval: 10,
                last_used_time: 1000,
            },
            should_reset: true,
        };
        assert_eq!(limit.remaining(2000), Some(U256::from(10)));
        limit.should_reset = false;
        assert_eq!(limit.remaining(2000), Some(U256::from(100)));
        limit.info.has_limit = false;
        assert_eq!(limit.remaining(2000), None);
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
