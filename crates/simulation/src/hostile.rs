//! Answers of an attacker.

use crate::dice::Dice;
use alloy::primitives::hex;
use serde_json::{Map, Number, Value, json};

/// Returns an answer that replaces the honest one.
pub(crate) fn answer(dice: &mut Dice, honest: &str) -> String {
    let mut answer: Value = serde_json::from_str(honest).unwrap_or_default();
    let id = answer.get("id").cloned().unwrap_or_default();
    match dice.below(12) {
        // Unrelated to the request.
        0 => anything(dice, 3).to_string(),
        1 => json!({ "jsonrpc": "2.0", "id": id, "result": anything(dice, 3) }).to_string(),
        2 => json!({ "jsonrpc": "2.0", "id": id, "error": anything(dice, 2) }).to_string(),
        3 => json!({ "jsonrpc": "2.0", "id": id, "error": {
            "code": *dice.pick(&[3, -32000, -32500, -32521, 429, i64::MIN, i64::MAX]),
            "message": text(dice),
            "data": anything(dice, 2),
        } })
        .to_string(),
        // Very large or deeply nested.
        4 if dice.chance(30) => {
            json!({ "jsonrpc": "2.0", "id": id, "result": "f".repeat(5 << 20) }).to_string()
        }
        4 => format!("{}{}", "[".repeat(2_000), "]".repeat(2_000)),
        // The honest answer with one to three changed leaves.
        _ => {
            let count = dice.between(1, 3);
            if let Some(result) = answer.get_mut("result") {
                for _ in 0..count {
                    let mut left = dice.below(leaves(result).max(1));
                    change(dice, result, &mut left);
                }
            }
            answer.to_string()
        }
    }
}

/// Returns random paymaster data of an unusual length.
pub(crate) fn paymaster_data(dice: &mut Dice) -> Vec<u8> {
    let length = *dice.pick(&[0, 1, 19, 20, 21, 52, 1_000, 300_000]);
    let mut data = vec![0; length as usize];
    dice.fill(&mut data);
    data
}

fn leaves(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(leaves).sum(),
        Value::Object(fields) => fields.values().map(leaves).sum(),
        _ => 1,
    }
}

/// Changes the leaf with the index `left`.
fn change(dice: &mut Dice, value: &mut Value, left: &mut u64) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change(dice, item, left)),
        Value::Object(fields) => fields.values_mut().for_each(|field| change(dice, field, left)),
        leaf => {
            if *left == 0 {
                *leaf = like(dice, leaf);
            }
            *left = left.wrapping_sub(1);
        }
    }
}

/// Returns a value that replaces a leaf.
fn like(dice: &mut Dice, leaf: &Value) -> Value {
    match leaf.as_str() {
        Some(text) if text.starts_with("0x") && dice.chance(700) => {
            let digits = text.len() - 2;
            match dice.below(6) {
                0 => json!(format!("0x{}", "f".repeat(digits))),
                1 => json!(format!("0x{}", "0".repeat(digits))),
                2 => json!(format!(
                    "0x{}",
                    "f".repeat(*dice.pick(&[16, 32, 33, 64, 65, 200]))
                )),
                3 => {
                    let mut bytes = vec![0; digits.div_ceil(2)];
                    dice.fill(&mut bytes);
                    json!(format!("0x{}", &hex::encode(bytes)[..digits]))
                }
                4 => {
                    let number = u64::from_str_radix(&text[2..text.len().min(18)], 16).unwrap_or(7);
                    json!(format!(
                        "0x{:x}",
                        number.wrapping_add(dice.below(5)).wrapping_sub(2)
                    ))
                }
                _ => json!(format!("0x{}", &text[2 + digits / 2..])),
            }
        }
        _ => anything(dice, 1),
    }
}

fn anything(dice: &mut Dice, depth: u32) -> Value {
    match dice.below(if depth == 0 { 9 } else { 11 }) {
        0 => Value::Null,
        1 => json!(dice.chance(500)),
        2 => json!(dice.next()),
        3 => Number::from_f64(-1e300).map_or(Value::Null, Value::Number),
        4 => json!("0x"),
        5 => json!(""),
        6 => json!(format!("0x{}", "f".repeat(*dice.pick(&[1, 8, 40, 64, 128])))),
        7 => json!(text(dice)),
        8 => json!(i64::MIN),
        9 => Value::Array((0..dice.below(4)).map(|_| anything(dice, depth - 1)).collect()),
        _ => {
            let mut fields = Map::new();
            for _ in 0..dice.below(4) {
                let name = *dice.pick(&[
                    "hash",
                    "number",
                    "result",
                    "error",
                    "code",
                    "logs",
                    "data",
                    "transactionHash",
                ]);
                fields.insert(name.to_owned(), anything(dice, depth - 1));
            }
            Value::Object(fields)
        }
    }
}

fn text(dice: &mut Dice) -> String {
    match dice.below(7) {
        0 => "\u{1b}[2J\u{202e}AA25 invalid account nonce\u{0}".to_owned(),
        1 => "already known".to_owned(),
        2 => "x".repeat(dice.below(100_000) as usize),
        3 => format!("see https://node.example/v2/{} for more", crate::words::API_KEY),
        4 => {
            "preVerificationGas must be at least 115792089237316195423570985008687907853269984665640564039457"
                .to_owned()
        }
        5 => "retry after 18446744073709551615 s".to_owned(),
        _ => {
            "execution reverted: 0x08c379a0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_an_answer_can_change() {
        let honest = r#"{"jsonrpc":"2.0","id":1,"result":{"a":"0x1","b":["0x2","0x3"]}}"#;
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..2_000 {
            let changed: Value = match serde_json::from_str(&answer(&mut Dice::new(seed), honest)) {
                Ok(value) => value,
                Err(_) => continue,
            };
            let at = |path: &str| changed.pointer(path).cloned();
            if at("/result/a") != Some(json!("0x1")) && at("/result/b/0") == Some(json!("0x2")) {
                seen.insert(0);
            }
            if at("/result/a") == Some(json!("0x1")) && at("/result/b/1") != Some(json!("0x3")) {
                seen.insert(1);
            }
        }
        assert_eq!(seen.len(), 2);
    }
}
