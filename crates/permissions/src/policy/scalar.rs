//! Values of a policy as people write them: amounts, intervals, times, functions, tags.

use super::error::{PolicyErrorCode as Code, Wrong};
use crate::{LATEST_PLAUSIBLE_TIME, LONGEST_PLAUSIBLE_INTERVAL, words::clean};
use alloy_primitives::{B256, Selector, U256, keccak256};
use alloy_sol_type_parser::TypeSpecifier;
use toml::value::{Datetime, Offset};

/// The maximum decimal places of an amount: those of the largest number.
pub(super) const MAX_DECIMALS: u8 = 77;

/// A decimal number: `digits` times 10 to the power of `-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: U256,
    scale: u8,
}

impl Decimal {
    /// An amount in base units, with `decimals` decimal places.
    #[must_use]
    pub fn of_base_units(amount: U256, decimals: u8) -> Self {
        let (mut digits, mut scale) = (amount, decimals);
        // Trailing zeros mean nothing.
        while scale > 0 && (digits % U256::from(10)).is_zero() {
            digits /= U256::from(10);
            scale -= 1;
        }
        Self { digits, scale }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.is_zero()
    }

    /// The number in base units, with `decimals` decimal places.
    pub(super) fn base_units(&self, decimals: u8, unit: &str) -> Result<U256, Wrong> {
        let Some(missing) = decimals.checked_sub(self.scale) else {
            let message = format!("{unit} has {decimals} decimals, and this has {}", self.scale);
            return Err(Wrong::new(Code::TooManyDecimals, message));
        };
        let factor = U256::from(10).checked_pow(U256::from(missing));
        factor
            .and_then(|factor| self.digits.checked_mul(factor))
            .filter(|amount| *amount != U256::MAX)
            .ok_or_else(|| {
                Wrong::new(
                    Code::OutOfRange,
                    "more than any limit; for no limit, leave it out (native: \"unlimited\")",
                )
            })
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            let message = format!("expected a number such as 100 or 0.5, found {:?}", clean(text));
            Wrong::new(Code::BadAmount, message)
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(wrong());
        }
        let fraction = fraction.trim_end_matches('0');
        let too_many = || {
            let message = format!("an amount has at most {MAX_DECIMALS} decimals");
            Wrong::new(Code::TooManyDecimals, message)
        };
        let scale = u8::try_from(fraction.len())
            .ok()
            .filter(|scale| *scale <= MAX_DECIMALS);
        let scale = scale.ok_or_else(too_many)?;
        let digits = U256::from_str_radix(&format!("{whole}{fraction}"), 10)
            .map_err(|_| Wrong::new(Code::OutOfRange, "more than any limit"))?;
        Ok(Self { digits, scale })
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::words::decimal(self.digits, self.scale))
    }
}

/// `100 USDC per 7 days`, split into number, unit and interval.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LimitText<'a> {
    /// `None` for `unlimited`.
    pub(super) amount: Option<(Decimal, &'a str)>,
    pub(super) refresh_interval: u64,
}

pub(super) fn limit(text: &str) -> Result<LimitText<'_>, Wrong> {
    let text = text.trim();
    if text == "unlimited" {
        return Ok(LimitText {
            amount: None,
            refresh_interval: 0,
        });
    }
    if text.split_whitespace().next() == Some("unlimited") {
        let message = "what is unlimited has no interval: expected \"unlimited\" alone";
        return Err(Wrong::new(Code::BadAmount, message));
    }
    let (amount, refresh_interval) = match text.split_once(" per ") {
        Some((amount, seconds)) => (amount.trim(), interval(seconds)?),
        None => (text, 0),
    };
    let (number, unit) = match amount.split_once(char::is_whitespace) {
        Some((number, unit)) => (number, unit.trim()),
        // `100USDC` is accepted too.
        None => amount.split_at(
            amount
                .find(|character: char| !character.is_ascii_digit() && character != '.')
                .unwrap_or(amount.len()),
        ),
    };
    let number = Decimal::parse(number)?;
    if unit.is_empty() && !number.is_zero() {
        let message = format!(
            "{number} of what? An amount needs its unit, such as \"{number} ETH\" or \"{number} wei\""
        );
        return Err(Wrong::new(Code::MissingUnit, message));
    }
    Ok(LimitText {
        amount: Some((number, unit)),
        refresh_interval,
    })
}

/// `7 days`, in seconds.
pub(super) fn interval(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    let wrong = || {
        let message = format!(
            "expected an interval such as \"7 days\", \"12 hours\", \"90 minutes\" or \"30 seconds\", found {:?}",
            clean(text)
        );
        Wrong::new(Code::BadInterval, message)
    };
    let start = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = (&text[..start], text[start..].trim());
    if number.is_empty() {
        // `per day`.
        if let Some(seconds) = unit_seconds(unit).filter(|_| !unit.ends_with('s')) {
            return Ok(seconds);
        }
        return Err(wrong());
    }
    if unit.is_empty() {
        let message = format!(
            "{number} of what? An interval needs its unit, such as \"{number} days\" or \"{number} seconds\""
        );
        return Err(Wrong::new(Code::MissingUnit, message));
    }
    let unit = unit_seconds(unit).ok_or_else(wrong)?;
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(0) => Err(Wrong::new(
            Code::OutOfRange,
            "an interval takes at least a second; a limit that never refreshes has none",
        )),
        Some(seconds) if seconds <= LONGEST_PLAUSIBLE_INTERVAL => Ok(seconds),
        _ => Err(Wrong::new(
            Code::OutOfRange,
            "an interval takes at most 200 years: intervals are in seconds, not milliseconds",
        )),
    }
}

fn unit_seconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        "week" | "weeks" => 604_800,
        _ => return None,
    })
}

/// `2027-03-01T00:00:00Z`, in unix seconds.
pub(super) fn time(text: &str) -> Result<u64, Wrong> {
    let wrong = |why: &str| {
        let message = format!(
            "expected a time with its offset such as 2027-03-01T00:00:00Z or 2027-03-01T09:00:00+01:00, found {:?}{why}",
            clean(text)
        );
        Wrong::new(Code::BadTime, message)
    };
    let Datetime {
        date: Some(date),
        time: Some(time),
        offset: Some(offset),
    } = text.trim().parse::<Datetime>().map_err(|_| wrong(""))?
    else {
        return Err(wrong(": the offset (or the time of day) is missing"));
    };
    let second = time.second.unwrap_or(0);
    if second > 59 || time.nanosecond.is_some_and(|nanosecond| nanosecond != 0) {
        return Err(wrong(": times are in whole seconds"));
    }
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_from_civil(date.year, date.month, date.day);
    let of_day = i64::from(time.hour) * 3_600 + (i64::from(time.minute) - minutes) * 60 + i64::from(second);
    match u64::try_from(days * 86_400 + of_day) {
        // The plugin reads zero as no bound.
        Ok(seconds @ 1..=LATEST_PLAUSIBLE_TIME) => Ok(seconds),
        _ => Err(Wrong::new(
            Code::OutOfRange,
            "a key's time lies between 1970 and 2200; leave it out for no bound",
        )),
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar: the inverse calculation (Howard
/// Hinnant, days_from_civil).
fn days_from_civil(year: u16, month: u8, day: u8) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// `approve(address,uint256)` or `0x095ea7b3`.
pub(super) fn function(text: &str) -> Result<Selector, Wrong> {
    let text = text.trim();
    let wrong = |why: &str| {
        let message = format!(
            "expected a function such as \"approve(address,uint256)\" or a selector such as \"0x095ea7b3\", found {:?}{why}",
            clean(text)
        );
        Wrong::new(Code::BadFunction, message)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        let is_hexadecimal = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| is_hexadecimal)
            .map(|selector| Selector::new(selector.to_be_bytes()))
            .ok_or_else(|| wrong(": a selector has 8 hexadecimal digits"));
    }
    let parameters = text
        .find('(')
        .ok_or_else(|| wrong(": the parameters are missing"))?;
    let name = &text[..parameters];
    let is_name = !name.is_empty()
        && !name.starts_with(|character: char| character.is_ascii_digit())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_' || character == '$');
    if !is_name {
        return Err(wrong(""));
    }
    let parameters = &text[parameters..];
    let is_tuple = parameters.starts_with('(') && parameters.ends_with(')');
    if !is_tuple || parameters.contains(char::is_whitespace) {
        return Err(wrong(": write only the types, without names and spaces"));
    }
    // The parser does not accept an empty tuple.
    if parameters != "()" {
        let parsed = TypeSpecifier::parse(parameters).map_err(|_| wrong(": these are not Solidity types"))?;
        parsed.try_basic_solidity().map_err(|_| {
            wrong(": write structs as the types of their members in brackets, contracts as \"address\"")
        })?;
        if let Some(short) = alias(parameters) {
            return Err(wrong(&format!(": write \"{short}256\" for \"{short}\"")));
        }
        // The parser is more lenient than signatures are.
        let has_padding = parameters
            .as_bytes()
            .windows(2)
            .any(|pair| pair[1] == b'0' && !pair[0].is_ascii_digit());
        if has_padding || parameters.contains(",)") {
            return Err(wrong(""));
        }
        if parameters.contains("tuple") {
            return Err(wrong(": write structs as the types of their members in brackets"));
        }
    }
    Ok(Selector::from_slice(&keccak256(text)[..4]))
}

/// A type that is an alias in Solidity, but not in signatures.
fn alias(parameters: &str) -> Option<&str> {
    parameters
        .split(|character: char| !character.is_ascii_alphanumeric())
        .find(|word| matches!(*word, "uint" | "int" | "fixed" | "ufixed"))
}

/// A tag: 32 bytes as they are, anything else hashed.
pub(super) fn tag(text: &str) -> Result<B256, Wrong> {
    let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    match text
        .strip_prefix("0x")
        .filter(|digits| digits.len() == 64 || is_hex(digits))
    {
        Some(digits) if digits.len() != 64 => Err(Wrong::new(
            Code::BadTag,
            format!(
                "a tag of hexadecimal digits has 64 of them after 0x, not {}",
                digits.len()
            ),
        )),
        Some(digits) => digits.parse().map_err(|_| {
            Wrong::new(
                Code::BadTag,
                "64 digits after 0x would be a tag of 32 bytes, but not all are hexadecimal",
            )
        }),
        None => Ok(keccak256(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn code<T: std::fmt::Debug>(result: Result<T, Wrong>) -> Code {
        result.unwrap_err().code
    }

    #[test]
    fn amounts_have_units_and_optional_intervals() {
        let read = |text| {
            let limit = limit(text).unwrap();
            let amount = limit.amount.map(|(number, unit)| (number.to_string(), unit));
            (amount, limit.refresh_interval)
        };
        let amount = |number: &str, unit| Some((number.to_owned(), unit));
        assert_eq!(read("100 USDC per 7 days"), (amount("100", "USDC"), 604_800));
        assert_eq!(read(" 0.50 ETH "), (amount("0.5", "ETH"), 0));
        assert_eq!(read("5USDC per day"), (amount("5", "USDC"), 86_400));
        assert_eq!(read("0"), (amount("0", ""), 0));
        assert_eq!(read("0 per 60 seconds"), (amount("0", ""), 60));
        assert_eq!(read("unlimited"), (None, 0));
        // Not an amount without digits.
        let error = limit("unlimited per 7 days").unwrap_err();
        assert!(error.message.contains("has no interval"), "{}", error.message);
        assert_eq!(read("7 units of USDC"), (amount("7", "units of USDC"), 0));
        for (text, expected) in [
            ("100", Code::MissingUnit),
            ("", Code::BadAmount),
            ("USDC", Code::BadAmount),
            ("-1 USDC", Code::BadAmount),
            ("1e3 USDC", Code::BadAmount),
            ("1,000 USDC", Code::BadAmount),
            (".5 ETH", Code::BadAmount),
            ("5. ETH", Code::BadAmount),
            ("0x10 wei", Code::BadAmount),
            ("1 USDC per", Code::UnknownUnit),
            ("1 USDC per 7", Code::MissingUnit),
            ("1 USDC per 7 moons", Code::BadInterval),
            ("1 USDC per 0 days", Code::OutOfRange),
            ("1 USDC per days", Code::BadInterval),
            ("1 USDC per 604800000000 seconds", Code::OutOfRange),
            ("1 USDC per 99999999999999999999 days", Code::OutOfRange),
        ] {
            match limit(text) {
                Err(wrong) => assert_eq!(wrong.code, expected, "{text}"),
                // Known units are checked elsewhere.
                Ok(_) => assert_eq!(expected, Code::UnknownUnit, "{text}"),
            }
        }
        let huge = format!("{}9 USDC", "9".repeat(77));
        assert_eq!(code(limit(&huge)), Code::OutOfRange);
        let long = format!("0.{}1 USDC", "0".repeat(77));
        assert_eq!(code(limit(&long)), Code::TooManyDecimals);
    }

    #[test]
    fn decimals_become_base_units_exactly() {
        let units = |text: &str, decimals| Decimal::parse(text).unwrap().base_units(decimals, "X");
        assert_eq!(units("1.5", 6), Ok(U256::from(1_500_000)));
        assert_eq!(units("100", 0), Ok(U256::from(100)));
        assert_eq!(units("0.000001", 6), Ok(U256::ONE));
        assert_eq!(code(units("0.0000001", 6)), Code::TooManyDecimals);
        assert_eq!(code(units("1", 78)), Code::OutOfRange);
        // The largest number removes a limit.
        assert_eq!(code(units(&U256::MAX.to_string(), 0)), Code::OutOfRange);
        assert!(units(&(U256::MAX - U256::ONE).to_string(), 0).is_ok());
        assert_eq!(
            Decimal::of_base_units(U256::from(1_500_000), 6).to_string(),
            "1.5"
        );
        assert_eq!(Decimal::of_base_units(U256::ZERO, 18).to_string(), "0");
    }

    // Expected values from GNU date, `date -u -d TIME +%s`.
    #[test]
    fn times_need_their_offset() {
        for (text, seconds) in [
            ("2027-03-01T00:00:00Z", 1_803_859_200),
            ("2027-03-01 01:00:00+01:00", 1_803_859_200),
            ("2027-02-28T19:30:00-04:30", 1_803_859_200),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2200-01-01T00:00:00Z", LATEST_PLAUSIBLE_TIME),
        ] {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
        for (text, expected) in [
            ("2027-03-01", Code::BadTime),
            ("2027-03-01T00:00:00", Code::BadTime),
            ("00:00:00", Code::BadTime),
            ("2027-02-29T00:00:00Z", Code::BadTime),
            ("2027-03-01T00:00:60Z", Code::BadTime),
            ("2027-03-01T00:00:00.5Z", Code::BadTime),
            ("1803859200", Code::BadTime),
            ("tomorrow", Code::BadTime),
            ("", Code::BadTime),
            ("1970-01-01T00:00:00Z", Code::OutOfRange),
            ("1969-12-31T23:59:59Z", Code::OutOfRange),
            ("2200-01-01T00:00:01Z", Code::OutOfRange),
            ("0000-01-01T00:00:00Z", Code::OutOfRange),
        ] {
            assert_eq!(code(time(text)), expected, "{text}");
        }
    }

    // Selectors from foundry's `cast sig`.
    #[test]
    fn functions_are_signatures_or_selectors() {
        for (text, selector) in [
            ("approve(address,uint256)", 0x095e_a7b3_u32),
            ("0x095ea7b3", 0x095e_a7b3),
            ("deposit()", 0xd0e3_0db0),
            (
                "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))",
                0x04e4_5aaf,
            ),
            (
                "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
                0x2eb2_c2d6,
            ),
        ] {
            assert_eq!(
                function(text),
                Ok(Selector::new(selector.to_be_bytes())),
                "{text}"
            );
        }
        for text in [
            "approve",
            "approve(address, uint256)",
            "approve(address spender,uint256 amount)",
            "approve(uint)",
            "approve(int[2])",
            "approve((address,uint))",
            "approve(IERC20)",
            "approve(address",
            "approve(address,)",
            "approve(uint08)",
            "approve(uint256[02])",
            "approve(uint256[0])",
            "approve(tuple(address))",
            "approve(address)(uint256)",
            "approve((address)",
            "approve(address,uint256) returns (bool)",
            "function approve(address,uint256)",
            "(address)",
            "1a()",
            "0x095ea7",
            "0x095ea7b3ff",
            "0xzzzzzzzz",
            "0x+95ea7b3",
            "",
        ] {
            assert_eq!(code(function(text)), Code::BadFunction, "{text}");
        }
    }

    #[test]
    fn tags_of_32_bytes_stay_as_they_are() {
        let hash = B256::repeat_byte(7);
        assert_eq!(tag(&hash.to_string()), Ok(hash));
        assert_eq!(tag("weekly buy"), Ok(keccak256("weekly buy")));
        assert_eq!(tag(""), Ok(keccak256("")));
        assert_eq!(code(tag(&format!("0x{}", "z".repeat(64)))), Code::BadTag);
        // A digit too few would be another tag, and nobody would notice.
        assert_eq!(code(tag(&hash.to_string()[..65])), Code::BadTag);
    }
}
