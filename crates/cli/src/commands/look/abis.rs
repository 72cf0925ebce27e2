//! Reverts in words, by the ABIs of the contracts that were called.

use crate::{commands::clean, failure::WrongInput, files::read};
use alloy::{
    dyn_abi::{DynSolValue, ErrorExt as _},
    json_abi::{ContractObject, Error as AbiError, JsonAbi},
};
use eyre::Result;
use serde_json::{Value, json};
use session_key_client::{Revert, alloy::hex, request::clean_text};
use std::path::{Path, PathBuf};

/// Custom errors of contracts, from their ABIs.
pub(super) struct Abis(Vec<AbiError>);

impl Abis {
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut errors = Vec::new();
        for path in paths {
            errors.extend(Self::of_file(path)?.errors().cloned());
        }
        Ok(Self(errors))
    }

    fn of_file(path: &Path) -> Result<JsonAbi> {
        let text = read(path)?;
        let shown = || {
            WrongInput(format!(
                "{} is neither a JSON ABI nor an artifact with one",
                path.display()
            ))
        };
        if let Ok(abi) = serde_json::from_str::<JsonAbi>(&text) {
            return Ok(abi);
        }
        let artifact: ContractObject = serde_json::from_str(&text).map_err(|_| shown())?;
        Ok(artifact.abi.ok_or_else(shown)?)
    }

    fn error_of(&self, revert: &Revert) -> Option<(&AbiError, Option<Vec<DynSolValue>>)> {
        let Revert::Unknown(data) = revert else {
            return None;
        };
        let selector = data.get(..4)?;
        let error = self.0.iter().find(|error| error.selector() == selector)?;
        Some((error, error.decode_error(data).ok().map(|decoded| decoded.body)))
    }

    /// Describes a revert, using the known errors.
    pub(super) fn words(&self, revert: &Revert) -> String {
        match self.error_of(revert) {
            Some((error, Some(values))) => {
                let arguments: Vec<String> = error
                    .inputs
                    .iter()
                    .zip(&values)
                    .map(|(input, value)| {
                        let value = solidity(value);
                        if input.name.is_empty() {
                            value
                        } else {
                            format!("{}: {value}", clean(&input.name))
                        }
                    })
                    .collect();
                format!("reverted with {}({})", clean(&error.name), arguments.join(", "))
            }
            Some((error, None)) => format!("reverted with {} and unreadable arguments", clean(&error.name)),
            None => clean(&revert.to_string()),
        }
    }

    /// The revert as JSON; null if no ABI has the error.
    pub(super) fn json(&self, revert: &Revert) -> Value {
        let Some((error, values)) = self.error_of(revert) else {
            return Value::Null;
        };
        let arguments = values.map(|values| {
            let arguments = error.inputs.iter().zip(&values).map(|(input, value)| {
                json!({
                    "name": clean(&input.name),
                    "type": clean(&input.ty),
                    "value": structured(value),
                })
            });
            arguments.collect::<Vec<_>>()
        });
        json!({ "error": clean(&error.name), "arguments": arguments })
    }
}

/// The maximum length of strings and bytes shown from a contract's error, in characters.
const MAX_SHOWN: usize = 200;

/// Formats a value as Solidity does.
fn solidity(value: &DynSolValue) -> String {
    let list = |values: &[DynSolValue]| values.iter().map(solidity).collect::<Vec<_>>().join(", ");
    match value {
        DynSolValue::String(text) => format!("{:?}", clean_text(text, MAX_SHOWN)),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => format!("[{}]", list(values)),
        DynSolValue::Tuple(values) => format!("({})", list(values)),
        value => plain(value),
    }
}

/// Formats a value without components.
fn plain(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(is_so) => is_so.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::FixedBytes(word, size) => {
            hex::encode_prefixed(word.get(..*size).unwrap_or_else(|| word.as_slice()))
        }
        DynSolValue::Bytes(bytes) => clean_text(&hex::encode_prefixed(bytes), MAX_SHOWN),
        DynSolValue::Function(function) => hex::encode_prefixed(function),
        _ => String::new(),
    }
}

/// Converts a value to JSON; numbers become decimal strings.
fn structured(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(is_so) => json!(is_so),
        DynSolValue::String(text) => json!(clean(text)),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) | DynSolValue::Tuple(values) => {
            values.iter().map(structured).collect()
        }
        value => json!(plain(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use session_key_client::alloy::primitives::{Address, B256, U256};

    #[test]
    fn contract_errors_are_formatted_as_in_solidity() {
        let abi = r#"[{"type":"error","name":"InsufficientBalance","inputs":[
            {"name":"available","type":"uint256"},{"name":"required","type":"uint256"},
            {"name":"who","type":"address"},{"name":"","type":"bytes4"},{"name":"why","type":"string"},
            {"name":"parts","type":"int8[2]"}]}]"#;
        let abi: JsonAbi = serde_json::from_str(abi).unwrap();
        let abis = Abis(abi.errors().cloned().collect());
        let who: Address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed".parse().unwrap();
        let values = [
            DynSolValue::Uint(U256::from(5), 256),
            DynSolValue::Uint(U256::from(7), 256),
            DynSolValue::Address(who),
            DynSolValue::FixedBytes(B256::repeat_byte(0xab), 4),
            DynSolValue::String("a \"b\"\u{1b}[31m".to_owned()),
            DynSolValue::FixedArray(vec![
                DynSolValue::Int("-1".parse().unwrap(), 8),
                DynSolValue::Int("2".parse().unwrap(), 8),
            ]),
        ];
        let mut data = abis.0[0].selector().to_vec();
        data.extend(DynSolValue::Tuple(values.to_vec()).abi_encode_params());
        let revert = Revert::decode(&data);
        let words = abis.words(&revert);
        assert!(
            words.starts_with(&format!(
                "reverted with InsufficientBalance(available: 5, required: 7, who: {who}, 0xabababab, why: \"a \\\"b\\\""
            )),
            "{words}"
        );
        assert!(
            words.ends_with(", parts: [-1, 2])") && !words.contains('\u{1b}'),
            "{words}"
        );
        let json = abis.json(&revert);
        assert_eq!(json["error"], "InsufficientBalance");
        assert_eq!(
            json["arguments"][0],
            json!({ "name": "available", "type": "uint256", "value": "5" })
        );
        assert_eq!(json["arguments"][5]["value"], json!(["-1", "2"]));
    }
}
