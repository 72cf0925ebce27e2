//! When a key may be used.

use serde::{Deserialize, Serialize};

/// The largest time and the longest refresh interval that the plugin stores, in seconds: `type(uint48).max`.
pub const MAX_SECONDS: u64 = (1 << 48) - 1;

/// When a key may be used. Unix seconds (not milliseconds), both inclusive, at most [`MAX_SECONDS`]; 0 means unbounded on
/// that side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// First second in which the key may be used.
    #[serde(default)]
    pub valid_after: u64,
    /// Last second in which the key may be used.
    #[serde(default)]
    pub valid_until: u64,
}
