//! Lenient deserializers for all formats that nodes and bundlers use, for `#[serde(deserialize_with = "…")]`.
//!
//! Numbers are hexadecimal quantities (padded or not), decimal strings or JSON numbers; flags are booleans,
//! strings or numbers; and optional values can be null, an empty string, or absent (which needs
//! `#[serde(default)]`).
//!
//! They read from `serde_json` only, without losing digits. They fail in a type that buffers its members
//! (`#[serde(flatten)]`, untagged enums).
//!
//! ```
//! use session_key_client::{alloy::primitives::{Address, U256}, request::lenient};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Receipt {
//!     #[serde(deserialize_with = "lenient::number")]
//!     actual_gas_cost: U256,
//!     #[serde(deserialize_with = "lenient::flag")]
//!     success: bool,
//!     #[serde(default, deserialize_with = "lenient::optional_address")]
//!     paymaster: Option<Address>,
//! }
//!
//! let receipt: Receipt =
//!     serde_json::from_str(r#"{ "actualGasCost": "0x00ff", "success": "true", "paymaster": "" }"#)?;
//! assert_eq!(receipt.actual_gas_cost, U256::from(255));
//! assert!(receipt.success);
//! assert_eq!(receipt.paymaster, None);
//! # Ok::<(), serde_json::Error>(())
//! ```

use alloy::primitives::{Address, Bytes, U256};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::value::RawValue;

/// Deserializes a number. One that does not fit is an error.
pub fn number<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<U256>,
{
    let value = Box::<RawValue>::deserialize(deserializer)?;
    read_number(value.get()).map_err(D::Error::custom)
}

/// Deserializes a number that may be null, empty (`""`, `"0x"`) or absent.
pub fn optional_number<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<U256>,
{
    let value = Box::<RawValue>::deserialize(deserializer)?;
    if is_empty(value.get()) {
        return Ok(None);
    }
    read_number(value.get()).map(Some).map_err(D::Error::custom)
}

/// Deserializes a number that may be null, empty or absent; larger ones than `u128::MAX` saturate.
pub fn optional_saturating<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u128>, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    if is_empty(value.get()) {
        return Ok(None);
    }
    match size(value.get()) {
        Some(size) => Ok(Some(size.saturated())),
        None => Err(D::Error::custom(NOT_A_NUMBER)),
    }
}

/// Deserializes `true`, `"true"`, `"0x1"`, `1`, and their opposites.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    read_flag(value.get()).ok_or_else(|| D::Error::custom(NOT_A_FLAG))
}

/// Deserializes a flag that may be null, empty or absent.
pub fn optional_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Box::<RawValue>::deserialize(deserializer)?;
    if is_empty(value.get()) {
        return Ok(None);
    }
    read_flag(value.get())
        .map(Some)
        .ok_or_else(|| D::Error::custom(NOT_A_FLAG))
}

/// Deserializes an address that may be null, empty or absent. The zero address is an address.
pub fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    optional(deserializer)
}

/// Deserializes bytes; null, `""` and `"0x"` are empty.
pub fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Ok(optional(deserializer)?.unwrap_or_default())
}

/// Deserializes any value that may be null, empty or absent.
pub fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Box::<RawValue>::deserialize(deserializer)?;
    if is_empty(value.get()) {
        return Ok(None);
    }
    serde_json::from_str(value.get())
        .map(Some)
        .map_err(D::Error::custom)
}

const NOT_A_NUMBER: &str = "not a number";
const NOT_A_FLAG: &str = "neither true nor false";

/// A parsed number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Exactly(U256),
    /// 2^256 or more.
    Beyond,
}

impl Size {
    fn saturated(self) -> u128 {
        match self {
            Self::Exactly(number) => number.saturating_to(),
            Self::Beyond => u128::MAX,
        }
    }
}

fn is_empty(json: &str) -> bool {
    json == "null" || text(json).is_some_and(|text| matches!(text.trim(), "" | "0x" | "0X"))
}

/// Returns the string in a piece of JSON.
fn text(json: &str) -> Option<String> {
    json.starts_with('"').then(|| serde_json::from_str(json).ok())?
}

fn read_number<N: TryFrom<U256>>(json: &str) -> Result<N, &'static str> {
    match size(json) {
        Some(Size::Exactly(number)) => N::try_from(number).map_err(|_| "number out of range"),
        Some(Size::Beyond) => Err("number out of range"),
        None => Err(NOT_A_NUMBER),
    }
}

fn read_flag(json: &str) -> Option<bool> {
    let text = text(json).unwrap_or_else(|| json.to_owned());
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        "" | "0x" => None,
        _ => match size(json)? {
            Size::Exactly(number) if number.is_zero() => Some(false),
            Size::Exactly(number) if number == U256::ONE => Some(true),
            _ => None,
        },
    }
}

/// Parses the number in a piece of JSON: a string with digits, or digits. `None`: it is something else,
/// negative, or a fraction.
fn size(json: &str) -> Option<Size> {
    let Some(text) = text(json) else {
        return decimal(json);
    };
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // Some write zero as "0x".
        Some("") => Some(Size::Exactly(U256::ZERO)),
        Some(digits) => hexadecimal(digits),
        None => decimal(text),
    }
}

fn hexadecimal(digits: &str) -> Option<Size> {
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some(Size::Exactly(U256::ZERO)),
        1..=64 => U256::from_str_radix(digits, 16).ok().map(Size::Exactly),
        _ => Some(Size::Beyond),
    }
}

/// Parses a decimal number, also in JavaScript's format for large ones ("1.5e+21").
fn decimal(text: &str) -> Option<Size> {
    /// The number of digits of 2^256 - 1.
    const MOST: usize = 78;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<u16>().ok()?),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty()
        || !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let zeros = usize::from(exponent).checked_sub(fraction.len())?;
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(Size::Exactly(U256::ZERO));
    }
    if digits.len() + zeros > MOST {
        return Some(Size::Beyond);
    }
    let digits = format!("{digits}{}", "0".repeat(zeros));
    Some(U256::from_str_radix(&digits, 10).map_or(Size::Beyond, Size::Exactly))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{address, bytes};
    use serde_json::{Value, json};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Required {
        #[serde(deserialize_with = "number")]
        value: U256,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Small {
        #[serde(deserialize_with = "number")]
        value: u64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Optional {
        #[serde(default, deserialize_with = "optional_number")]
        value: Option<u64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Saturating {
        #[serde(default, deserialize_with = "optional_saturating")]
        value: Option<u128>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flag {
        #[serde(deserialize_with = "flag")]
        value: bool,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct OptionalFlag {
        #[serde(default, deserialize_with = "optional_flag")]
        value: Option<bool>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct OptionalAddress {
        #[serde(default, deserialize_with = "optional_address")]
        value: Option<Address>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct SomeBytes {
        #[serde(default, deserialize_with = "bytes")]
        value: Bytes,
    }

    fn read<T: DeserializeOwned>(value: &str) -> Result<T, serde_json::Error> {
        serde_json::from_str(&format!(r#"{{ "other": 1, "value": {value} }}"#))
    }

    #[test]
    fn numbers_are_read_in_every_format_without_losing_digits() {
        let large = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
        for (value, number) in [
            (r#""0x10""#, U256::from(16)),
            (r#""0X0010""#, U256::from(16)),
            (r#""0x""#, U256::ZERO),
            (r#""0xaBcD""#, U256::from(0xabcd)),
            (r#""0""#, U256::ZERO),
            (r#"" 16 ""#, U256::from(16)),
            (r#""00016""#, U256::from(16)),
            ("16", U256::from(16)),
            ("16.0", U256::from(16)),
            ("0.0", U256::ZERO),
            ("1.5e+3", U256::from(1500)),
            (r#""2E3""#, U256::from(2000)),
            (
                "340282366920938463463374607431768211457",
                U256::from(1) << 128 | U256::ONE,
            ),
            (large, U256::MAX),
            (&format!("\"{large}\""), U256::MAX),
            (&format!("\"0x00{:x}\"", U256::MAX), U256::MAX),
        ] {
            assert_eq!(
                read::<Required>(value).unwrap(),
                Required { value: number },
                "{value}"
            );
        }
    }

    #[test]
    fn invalid_and_too_large_numbers_are_errors() {
        for value in [
            "null",
            r#""""#,
            "true",
            "[]",
            "{}",
            "-1",
            r#""-1""#,
            "1.5",
            "15e-1",
            r#""0xg""#,
            r#""ff""#,
            r#""1_000""#,
            r#""0x-1""#,
            r#""+1""#,
            r#"".""#,
            r#"".5""#,
            r#""1e""#,
            r#""e5""#,
            r#""one""#,
            r#""1e99999""#,
            r#""1e70000""#,
            "115792089237316195423570985008687907853269984665640564039457584007913129639936",
        ] {
            assert!(read::<Required>(value).is_err(), "{value}");
        }
        assert!(serde_json::from_str::<Required>("{}").is_err());
        assert_eq!(read::<Small>(r#""0xffffffffffffffff""#).unwrap().value, u64::MAX);
        let error = read::<Small>(r#""0x10000000000000000""#).unwrap_err().to_string();
        assert!(error.contains("number out of range"), "{error}");
    }

    #[test]
    fn absent_null_and_empty_are_equal() {
        for value in ["null", r#""""#, r#""0x""#, r#"" ""#] {
            assert_eq!(read::<Optional>(value).unwrap().value, None, "{value}");
            assert_eq!(read::<Saturating>(value).unwrap().value, None, "{value}");
            assert_eq!(read::<OptionalFlag>(value).unwrap().value, None, "{value}");
            assert_eq!(read::<OptionalAddress>(value).unwrap().value, None, "{value}");
            assert_eq!(read::<SomeBytes>(value).unwrap().value, Bytes::new(), "{value}");
        }
        assert_eq!(serde_json::from_str::<Optional>("{}").unwrap().value, None);
        assert_eq!(serde_json::from_str::<OptionalAddress>("{}").unwrap().value, None);
        assert_eq!(read::<Optional>("7").unwrap().value, Some(7));
        assert!(read::<Optional>(r#""seven""#).is_err());
    }

    #[test]
    fn too_large_fees_saturate() {
        let digits = "f".repeat(100_000);
        for value in [
            format!("\"0x{digits}\""),
            format!("\"{}\"", "9".repeat(100_000)),
            "1e400".to_owned(),
            format!("\"0x1{}\"", "0".repeat(32)),
            format!("{}", u128::MAX),
        ] {
            assert_eq!(read::<Saturating>(&value).unwrap().value, Some(u128::MAX));
        }
        assert_eq!(read::<Saturating>(r#""0x05""#).unwrap().value, Some(5));
        assert!(read::<Saturating>("-5").is_err());
    }

    #[test]
    fn flags_are_read_in_every_format_and_nothing_else() {
        for (value, is_set) in [
            ("true", true),
            ("false", false),
            (r#""true""#, true),
            (r#""False""#, false),
            (r#""0x1""#, true),
            (r#""0x00""#, false),
            ("1", true),
            ("0", false),
            (r#""1""#, true),
        ] {
            assert_eq!(read::<Flag>(value).unwrap().value, is_set, "{value}");
            assert_eq!(
                read::<OptionalFlag>(value).unwrap().value,
                Some(is_set),
                "{value}"
            );
        }
        for value in [
            "2", r#""yes""#, "null", r#""""#, r#""0x""#, r#""0x2""#, "[true]", "-1",
        ] {
            assert!(read::<Flag>(value).is_err(), "{value}");
        }
    }

    #[test]
    fn addresses_and_bytes_are_read() {
        let address = address!("00000000000000000000000000000000000000aa");
        assert_eq!(
            read::<OptionalAddress>(&json!(address).to_string())
                .unwrap()
                .value,
            Some(address)
        );
        assert!(read::<OptionalAddress>(r#""0x12""#).is_err());
        assert_eq!(read::<SomeBytes>(r#""0x0102""#).unwrap().value, bytes!("0102"));
        for value in [r#""0x012""#, "7", r#""no""#] {
            assert!(read::<SomeBytes>(value).is_err(), "{value}");
        }
    }

    #[test]
    fn already_parsed_values_are_read() {
        let value: Value = json!({ "value": "0x07" });
        assert_eq!(
            serde_json::from_value::<Small>(value).unwrap(),
            Small { value: 7 }
        );
    }
}
