//! Recognizes reverts in nodes' errors, which differ in wording.

use super::Revert;
use alloy::{primitives::Bytes, rpc::json_rpc::ErrorPayload};
use serde_json::Value;

/// Texts, in lower case, in errors about a call that reverted or halted.
const HALTS: [&str; 13] = [
    "revert",
    "vm execution error",
    "vm exception",
    "evm error",
    "out of gas",
    "outofgas",
    "gas required exceeds allowance",
    "opcode",
    "bad instruction",
    "notactivated",
    "invalid jump",
    "invalidjump",
    "stack underflow",
];

/// Most nodes' code of a call that reverted.
pub(crate) const REVERTED: i64 = 3;
/// Too many requests (EIP-1474), whatever the message.
pub(crate) const LIMIT_EXCEEDED: i64 = -32005;

/// Returns the revert that a node's error reports; `None` if it reports another failure.
pub(super) fn revert(error: &ErrorPayload) -> Option<Revert> {
    let data = error
        .data
        .as_deref()
        .and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
    let message = error.message.to_ascii_lowercase();
    let is_revert = error.code == REVERTED
        || tells_halt(&message)
        || matches!(&data, Some(Value::String(text)) if without_prefix(text).is_some());
    if error.code == LIMIT_EXCEEDED || !is_revert {
        return None;
    }
    Some(match data.as_ref().and_then(revert_data) {
        Some(data) => Revert::decode(&data),
        None => match reason(&error.message) {
            Some(reason) => Revert::Error(reason.to_owned()),
            None => Revert::Unknown(Bytes::new()),
        },
    })
}

/// Whether a message, in lower case, is about a call that reverted or halted.
pub(crate) fn tells_halt(message: &str) -> bool {
    HALTS.iter().any(|text| message.contains(text))
}

/// Finds revert data in an error's data: a string, or somewhere in an object or list.
pub(crate) fn revert_data(data: &Value) -> Option<Bytes> {
    match data {
        Value::String(text) => {
            let text = without_prefix(text).unwrap_or(text);
            text.starts_with("0x").then(|| text.parse().ok()).flatten()
        }
        // Transaction hashes occur there as well, under other names.
        Value::Object(fields) => ["data", "revertData", "originalError", "return", "result"]
            .iter()
            .filter_map(|name| fields.get(*name))
            .chain(
                fields
                    .values()
                    .filter(|value| value.is_object() || value.is_array()),
            )
            .find_map(revert_data),
        Value::Array(values) => values
            .iter()
            .filter(|value| value.is_object() || value.is_array())
            .find_map(revert_data),
        _ => None,
    }
}

/// Removes the "Reverted" that some nodes put before the data.
fn without_prefix(text: &str) -> Option<&str> {
    text.strip_prefix("Reverted ")
        .or_else(|| text.strip_prefix("reverted "))
        .map(str::trim)
}

/// Returns the reason in a message: "execution reverted: reason".
pub(crate) fn reason(message: &str) -> Option<&str> {
    let (start, reason) = message.split_once(": ")?;
    let reason = reason.trim();
    (start.to_ascii_lowercase().ends_with("reverted") && !reason.is_empty() && !reason.starts_with("0x"))
        .then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revert::PluginError;
    use serde_json::json;

    fn revert_of(code: i64, message: &str, data: Value) -> Option<Revert> {
        let error = json!({ "code": code, "message": message, "data": data });
        revert(&serde_json::from_value(error).unwrap())
    }

    #[test]
    fn reverts_with_data_are_recognized_in_all_wordings() {
        let hash = "0x0101010101010101010101010101010101010101010101010101010101010101";
        for (code, message, data) in [
            (3, "execution reverted", json!("0xb4d78304")),
            (3, "no", json!("0xb4d78304")),
            (-32000, "Execution reverted", json!("0xb4d78304")),
            (-32603, "execution reverted: custom error", json!("0xb4d78304")),
            (-32015, "VM execution error.", json!("Reverted 0xb4d78304")),
            (-32015, "VM execution error", json!("0xb4d78304")),
            (-32000, "no", json!("Reverted 0xb4d78304")),
            (-32000, "reverted", json!({ "data": "0xb4d78304" })),
            (
                -32603,
                "execution reverted",
                json!({ "originalError": { "code": 3, "data": "0xb4d78304", "message": "execution reverted" } }),
            ),
            (
                -32603,
                "VM Exception while processing transaction: reverted with an unrecognized custom error",
                json!({ "message": "no", "txHash": hash, "data": "0xb4d78304" }),
            ),
            (
                -32000,
                "VM Exception while processing transaction: revert",
                json!({ "name": "c", hash: { "error": "revert", "return": "0xb4d78304" } }),
            ),
            (
                -32521,
                "execution reverted",
                json!({ "revertData": "0xb4d78304" }),
            ),
            (
                -32603,
                "reverted",
                json!({ "errors": [{ "hash": hash }, { "data": "0xb4d78304" }] }),
            ),
        ] {
            assert_eq!(
                revert_of(code, message, data.clone()),
                Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
                "{code} {message} {data}"
            );
        }
    }

    #[test]
    fn calls_that_halt_and_reverts_without_data_are_reverts() {
        for (code, message, data) in [
            (3, "execution reverted", Value::Null),
            (3, "execution reverted", json!("0x")),
            (-32000, "execution reverted", Value::Null),
            (-32015, "VM execution error.", json!("Reverted 0x")),
            (-32015, "VM execution error", json!("OutOfGas")),
            (-32000, "invalid opcode: INVALID", Value::Null),
            (-32000, "out of gas", Value::Null),
            (
                -32003,
                "Out of gas: gas required exceeds allowance: 5",
                Value::Null,
            ),
            (-32603, "EVM error OutOfGas", Value::Null),
            (-32603, "EVM error InvalidFEOpcode", Value::Null),
            (-32603, "EVM error NotActivated", Value::Null),
            (-32015, "Bad instruction 5e", Value::Null),
            (-32000, "gas required exceeds allowance (30000000)", Value::Null),
        ] {
            assert_eq!(
                revert_of(code, message, data.clone()),
                Some(Revert::Unknown(Bytes::new())),
                "{code} {message} {data}"
            );
        }
        assert_eq!(
            revert_of(-32000, "execution reverted: AA95 out of gas", Value::Null),
            Some(Revert::Error("AA95 out of gas".to_owned()))
        );
    }

    #[test]
    fn other_failures_are_not_reverts() {
        for (code, message, data) in [
            (-32005, "limit exceeded", Value::Null),
            (-32005, "out of gas for today", json!("0xb4d78304")),
            (-32603, "internal error", Value::Null),
            (-32603, "internal error", json!("0xb4d78304")),
            (-32000, "execution aborted (timeout = 5s)", Value::Null),
            (-32000, "header not found", json!({ "data": "0x01" })),
            (-32000, "insufficient funds for gas * price + value", Value::Null),
            (-32602, "invalid params", json!("reverse")),
        ] {
            assert_eq!(
                revert_of(code, message, data.clone()),
                None,
                "{code} {message} {data}"
            );
        }
    }
}
