//! Readers of answers in any form that nodes and bundlers use, for `#[serde(deserialize_with = "…")]`.
//!
//! Numbers come as hexadecimal quantities (padded or not), decimal texts or JSON numbers; flags as booleans, texts or numbers;
//! and whatever is optional can be null, an empty text, or absent (which needs `#[serde(default)]`).

use alloy::primitives::{Address, Bytes, U256};
use serde::{Deserialize, Deserializer};

/// A number, in any form. One that does not fit is an error.
pub fn number<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<U256>,
{
    let _ = deserializer;
    todo!()
}

/// A number that may be null, empty (`""`, `"0x"`) or absent.
pub fn optional_number<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<U256>,
{
    let _ = deserializer;
    todo!()
}

/// `true`, `"true"`, `"0x1"`, `1`, and their opposites.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let _ = deserializer;
    todo!()
}

/// A flag that may be null, empty or absent.
pub fn optional_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let _ = deserializer;
    todo!()
}

/// An address that may be null, empty or absent. The zero address is an address.
pub fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let _ = deserializer;
    todo!()
}

/// Bytes; null, `""` and `"0x"` are none.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let _ = deserializer;
    todo!()
}

/// Any value that may be null, an empty text, or absent.
pub fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let _ = deserializer;
    todo!()
}
