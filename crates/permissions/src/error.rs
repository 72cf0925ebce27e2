//! Errors of permissions.

use crate::words::UnixTime;
use alloy_primitives::{Address, Selector, U256};
use std::fmt;

/// The quantity of seconds that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeField {
    /// The start of a time range.
    ValidAfter,
    /// The end of a time range.
    ValidUntil,
    /// The refresh interval of a limit.
    RefreshInterval,
}

impl fmt::Display for TimeField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ValidAfter => "start time",
            Self::ValidUntil => "end time",
            Self::RefreshInterval => "refresh interval",
        })
    }
}

/// A permission that no plugin accepts, or bytes that are not a permission update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PermissionError {
    /// Access control types are 0 (allowlist), 1 (denylist) and 2 (allow all access).
    #[error("access control type {0} does not exist: 0 is allowlist, 1 denylist, 2 allow all access")]
    InvalidAccessControlType(U256),

    /// A time or an interval that does not fit the plugin's `uint48`.
    #[error("{field} of {seconds} seconds is over the maximum of 2^48 - 1")]
    SecondsOutOfRange {
        /// The quantity.
        field: TimeField,
        /// The value.
        seconds: U256,
    },

    /// A time or an interval that is implausible in seconds.
    /// [`encode_unchecked`](crate::PermissionUpdate::encode_unchecked) encodes it anyway.
    #[error("{field} of {seconds} is over {most}: times are in seconds, not milliseconds")]
    ImplausibleSeconds {
        /// The quantity.
        field: TimeField,
        /// The value.
        seconds: u64,
        /// The largest value accepted as seconds: [`LATEST_PLAUSIBLE_TIME`](crate::LATEST_PLAUSIBLE_TIME) or
        /// [`LONGEST_PLAUSIBLE_INTERVAL`](crate::LONGEST_PLAUSIBLE_INTERVAL).
        most: u64,
    },

    /// A time range in which the key can never be used.
    /// [`encode_unchecked`](crate::PermissionUpdate::encode_unchecked) encodes it anyway.
    #[error("the end time {} is before the start time {}", UnixTime(*.valid_until), UnixTime(*.valid_after))]
    EndBeforeStart {
        /// First second in which the key may be used.
        valid_after: u64,
        /// Last second in which the key may be used.
        valid_until: u64,
    },

    /// A new key that has already expired.
    #[error("the end time {} has passed: it is {}", UnixTime(*.valid_until), UnixTime(*.now))]
    Over {
        /// Last second in which the key may be used.
        valid_until: u64,
        /// The time of the check, unix seconds.
        now: u64,
    },

    /// A native token limit whose interval ends after [`MAX_SECONDS`](crate::MAX_SECONDS). On plugins of
    /// [`RuleSet::Compatible`](crate::model::RuleSet::Compatible) every use of the key would fail, at the
    /// account's cost.
    #[error(
        "a native token limit per {refresh_interval} seconds, set at {at}, makes every use of the key fail on this plugin: \
         the interval ends after 2^48 - 1"
    )]
    NativeIntervalEndOverflow {
        /// The interval, in seconds.
        refresh_interval: u64,
        /// When the limit would be set, unix seconds.
        at: u64,
    },

    /// The plugin refuses an ERC-20 limit on the zero address (`InvalidToken`).
    #[error("token {0} cannot have a spend limit")]
    InvalidToken(Address),

    /// Not an address, or one with a wrong checksum.
    #[error("{0:?} is not an address, or its checksum is wrong")]
    InvalidAddress(String),

    /// No permission update has this selector (`InvalidPermissionsUpdate`). Data shorter than a selector is
    /// padded with zeros on the right.
    #[error("no permission update has the selector {0}")]
    UnknownUpdate(Selector),

    /// The update's arguments end too early.
    #[error("arguments of permission update {selector} take {expected} bytes, found {found}")]
    ShortArguments {
        /// Selector of the update.
        selector: Selector,
        /// The number of bytes that the arguments take.
        expected: usize,
        /// The number of bytes found.
        found: usize,
    },

    /// An argument of the update has bits set that its type does not have.
    #[error("argument {index} of permission update {selector} is not of its type: {word:#x}")]
    MalformedArgument {
        /// Selector of the update.
        selector: Selector,
        /// Position of the argument, from 0.
        index: usize,
        /// The word found there.
        word: U256,
    },
}
