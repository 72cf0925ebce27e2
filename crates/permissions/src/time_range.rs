//! Time ranges of keys, and the bounds of plausible times and intervals.

use crate::{PermissionError, TimeField};
use serde::{Deserialize, Serialize};

/// The largest time and the longest refresh interval that the plugin stores, in seconds: `type(uint48).max`.
pub const MAX_SECONDS: u64 = (1 << 48) - 1;

/// The latest time that encoding accepts as unix seconds: 2200-01-01T00:00:00Z. Anything later must be
/// milliseconds; a key "for an hour" would work for 50,000 years.
pub const LATEST_PLAUSIBLE_TIME: u64 = 7_258_118_400;

/// The longest refresh interval that encoding accepts as seconds: 200 years.
pub const LONGEST_PLAUSIBLE_INTERVAL: u64 = 6_311_390_400;

/// When a key may be used. Unix seconds (not milliseconds), both inclusive, at most [`MAX_SECONDS`]; 0 means
/// unbounded on that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// First second in which the key may be used.
    pub valid_after: u64,
    /// Last second in which the key may be used.
    pub valid_until: u64,
}

impl TimeRange {
    /// Refuses times that must be in milliseconds, and an end before the start.
    pub(crate) fn check_plausible(&self) -> Result<(), PermissionError> {
        let Self {
            valid_after,
            valid_until,
        } = *self;
        plausible(TimeField::ValidAfter, valid_after, LATEST_PLAUSIBLE_TIME)?;
        plausible(TimeField::ValidUntil, valid_until, LATEST_PLAUSIBLE_TIME)?;
        if valid_until != 0 && valid_until < valid_after {
            return Err(PermissionError::EndBeforeStart {
                valid_after,
                valid_until,
            });
        }
        Ok(())
    }
}

/// Refuses more seconds than `most`.
pub(crate) const fn plausible(field: TimeField, seconds: u64, most: u64) -> Result<(), PermissionError> {
    if seconds > most {
        return Err(PermissionError::ImplausibleSeconds { field, seconds, most });
    }
    Ok(())
}
