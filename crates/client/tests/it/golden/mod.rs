//! The golden vectors of the TypeScript client; see `tests/golden/README.md`.

mod account_kit;
mod operations;
mod permissions;
mod v08;

use serde::Deserialize;
use serde_json::value::RawValue;
use session_key_client::{
    alloy::primitives::U256,
    permissions::{PermissionError, TimeField},
};
use std::{path::PathBuf, str::FromStr};

/// The folder of the vectors, and whether it is the one of this repository, about which the tests know more.
fn folder() -> (PathBuf, bool) {
    match std::env::var_os("SESSION_KEY_GOLDEN") {
        Some(folder) => (folder.into(), false),
        None => (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden").into(), true),
    }
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let path = folder().0.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A number of any size, as JSON number or as decimal or hexadecimal string. Its text is kept: JSON numbers
/// over 2^53 would not survive as floating point.
#[derive(Debug, Clone)]
struct Quantity(String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        Ok(Self(
            serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()),
        ))
    }
}

#[derive(Debug, PartialEq)]
enum ArgumentError {
    /// The client's own error.
    Permission(PermissionError),
    /// Not a whole number from 0 to 2^256 - 1; there is no Rust value to hand to the client.
    NotUint256(String),
    /// Not four bytes; there is no Rust value to hand to the client.
    NotSelector(String),
}

impl Quantity {
    fn uint256(&self) -> Result<U256, ArgumentError> {
        let text = self.0.trim_end_matches('n');
        if let Ok(value) = U256::from_str(text) {
            return Ok(value);
        }
        // 1e3, 5.0: whole all the same.
        match text.parse::<f64>() {
            Ok(value) if value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(128) => {
                Ok(U256::from(value as u128))
            }
            _ => Err(ArgumentError::NotUint256(self.0.clone())),
        }
    }

    /// Seconds. What does not even fit the client's `u64` is the client's own error for what does
    /// not fit `uint48`.
    fn seconds(&self, field: TimeField) -> Result<u64, ArgumentError> {
        let seconds = self.uint256()?;
        seconds
            .try_into()
            .map_err(|_| ArgumentError::Permission(PermissionError::SecondsOutOfRange { field, seconds }))
    }
}
