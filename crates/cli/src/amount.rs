//! Parses and formats amounts of the native coin.

use session_key_client::alloy::primitives::{U256, utils::format_ether};

/// Units, and the number of decimals of each.
const UNITS: [(&str, usize); 3] = [("eth", 18), ("gwei", 9), ("wei", 0)];

/// Parses an amount with its unit: `0.5 ETH`, `20 gwei`, `1000 wei`. Only `0` may omit it.
pub(crate) fn parse_amount(text: &str) -> Result<U256, String> {
    parse_units(text, &UNITS, "ETH")
}

/// Like [`parse_amount`], on a chain whose coin is `coin`. The unit `native` always works.
pub(crate) fn parse_native(text: &str, coin: &str) -> Result<U256, String> {
    parse_units(text, &[(coin, 18), ("native", 18), ("gwei", 9), ("wei", 0)], coin)
}

fn parse_units(text: &str, units: &[(&str, usize)], coin: &str) -> Result<U256, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(U256::ZERO);
    }
    let start = text
        .find(|character: char| character.is_ascii_alphabetic())
        .ok_or_else(|| format!("an amount needs its unit: 0.5 {coin}, 20 gwei, 1000 wei"))?;
    let (number, unit) = (text[..start].trim_end(), &text[start..]);
    let decimals = units
        .iter()
        .find(|(name, _)| unit.eq_ignore_ascii_case(name))
        .map(|(_, decimals)| *decimals)
        .ok_or_else(|| format!("the unit must be {coin}, gwei or wei"))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || number.ends_with('.') || !is_number(whole) || !is_number(fraction) {
        return Err("the number must be like 12 or 0.5".to_owned());
    }
    if fraction.len() > decimals {
        return Err(format!("{unit} has at most {decimals} decimals"));
    }
    let digits = format!("{whole}{fraction:0<decimals$}");
    U256::from_str_radix(&digits, 10).map_err(|_| "the amount is too large".to_owned())
}

/// Formats an amount in ether, truncated to six decimals, or to three significant digits below a millionth.
pub(crate) fn show_ether(wei: U256) -> String {
    show_coin(wei, "ETH")
}

/// Like [`show_ether`], with the symbol of the chain's coin.
pub(crate) fn show_coin(wei: U256, symbol: &str) -> String {
    let text = format_ether(wei);
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let zeros = decimals.len() - decimals.trim_start_matches('0').len();
    let shown = if whole == "0" { 6.max(zeros + 3) } else { 6 };
    let decimals = decimals.get(..shown).unwrap_or(decimals).trim_end_matches('0');
    match decimals {
        "" => format!("{whole} {symbol}"),
        decimals => format!("{whole}.{decimals} {symbol}"),
    }
}

/// Rounds up to two significant digits.
pub(crate) fn round_up(wei: U256) -> U256 {
    let mut unit = U256::ONE;
    while let Some(next) = unit.checked_mul(U256::from(10))
        && wei / next >= U256::from(10)
    {
        unit = next;
    }
    (wei / unit)
        .saturating_add(U256::from(!(wei % unit).is_zero()))
        .saturating_mul(unit)
}

/// Formats gas units with thousands separators.
pub(crate) fn show_gas_units(gas: u64) -> String {
    let digits = gas.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    format!("{} gas", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_need_a_unit() {
        let ether = U256::from(1_000_000_000_000_000_000_u128);
        for (text, wei) in [
            ("0", U256::ZERO),
            ("1 ETH", ether),
            ("0.5 eth", ether / U256::from(2)),
            ("20gwei", U256::from(20_000_000_000_u64)),
            (" 7 wei ", U256::from(7)),
            ("0.000000000000000001 ETH", U256::ONE),
        ] {
            assert_eq!(parse_amount(text), Ok(wei), "{text}");
        }
        for text in [
            "",
            "1",
            "1 USDC",
            "-1 ETH",
            "1e3 wei",
            "1,5 ETH",
            "0.5 wei",
            ".5 ETH",
            "5. ETH",
            "ETH",
            "0x10 wei",
            "1 ETH 2",
            "0.0000000000000000001 ETH",
            "99999999999999999999999999999999999999999999999999999999999999999999999999999999 wei",
        ] {
            assert!(parse_amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_coin_of_the_chain_is_a_unit() {
        let one = U256::from(10).pow(U256::from(18));
        for text in ["1 POL", "1 pol", "1 native", "1000000000 gwei"] {
            assert_eq!(parse_native(text, "POL"), Ok(one), "{text}");
        }
        let error = parse_native("1 ETH", "POL");
        assert_eq!(error, Err("the unit must be POL, gwei or wei".to_owned()));
        assert_eq!(parse_native("1 ETH", "ETH"), Ok(one));
    }

    #[test]
    fn small_amounts_are_not_shown_as_zero() {
        for (wei, text) in [
            (0_u128, "0 ETH"),
            (1, "0.000000000000000001 ETH"),
            (12_345_678, "0.0000000000123 ETH"),
            (1_234_567_890_000_000, "0.001234 ETH"),
            (1_500_000_000_000_000_000, "1.5 ETH"),
            (2_000_000_000_000_000_001, "2 ETH"),
        ] {
            assert_eq!(show_ether(U256::from(wei)), text);
        }
    }

    #[test]
    fn amounts_are_rounded_up_to_two_significant_digits() {
        for (wei, rounded) in [
            (0, 0),
            (7, 7),
            (99, 99),
            (100, 100),
            (101, 110),
            (991, 1000),
            (31_001, 32_000),
        ] {
            assert_eq!(round_up(U256::from(wei)), U256::from(rounded), "{wei}");
        }
        assert_eq!(round_up(U256::MAX), U256::MAX);
    }
}
