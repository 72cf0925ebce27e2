//! Amounts, intervals and times as people write them.

use alloy_primitives::U256;
use std::fmt;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
const MINUTE: u64 = 60;

/// An amount of base units as a decimal number: `decimal(1_500_000, 6)` is `1.5`. All digits are kept;
/// nothing is rounded.
#[must_use]
pub fn decimal(amount: U256, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!(
        "{amount:0>width$}",
        amount = amount.to_string(),
        width = decimals + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// The same number with its thousands separated.
pub(crate) fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut text = String::with_capacity(number.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

/// An interval in the largest unit that it is a multiple of: `7 days`, `36 hours`, `1 second`.
#[must_use]
pub fn interval(seconds: u64) -> String {
    let (count, unit) = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")]
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
        .map_or((seconds, "second"), |(unit, name)| (seconds / unit, name));
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How often a limit refreshes: `every 7 days`, `every day`, or `in total` for 0.
#[must_use]
pub fn every(refresh_interval: u64) -> String {
    match refresh_interval {
        0 => "in total".to_owned(),
        DAY => "every day".to_owned(),
        HOUR => "every hour".to_owned(),
        seconds => format!("every {}", interval(seconds)),
    }
}

/// Unix seconds, shown as UTC in ISO 8601 up to the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// 9999-12-31T23:59:59Z.
        const LAST: u64 = 253_402_300_799;
        if self.0 > LAST {
            return write!(f, "unix second {}", self.0);
        }
        // Proleptic Gregorian calendar, counted in eras of 400 years from 0000-03-01, so the leap day comes
        // last: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
        let days = self.0 / DAY + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = 400 * era + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (self.0 % DAY / HOUR, self.0 % HOUR / MINUTE, self.0 % MINUTE);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values from GNU date, `date -u -d @N +%FT%TZ`.
    #[test]
    fn times_are_shown_as_utc() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_830_297_600, "2028-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "unix second 253402300800"),
        ] {
            assert_eq!(UnixTime(seconds).to_string(), shown);
        }
    }

    #[test]
    fn amounts_keep_all_digits() {
        for (amount, decimals, text) in [
            (0, 6, "0"),
            (1, 6, "0.000001"),
            (1_500_000, 6, "1.5"),
            (100_000_000, 6, "100"),
            (7, 0, "7"),
            (70, 1, "7"),
            (123, 77, &format!("0.{}123", "0".repeat(74))),
        ] {
            assert_eq!(decimal(U256::from(amount), decimals), text);
        }
        assert_eq!(decimal(U256::MAX, 255).len(), 257);
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("1234567.1234", "1,234,567.1234"),
            ("123456", "123,456"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn intervals_use_the_largest_unit_that_fits() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (3_600, "1 hour"),
            (129_600, "36 hours"),
            (86_400, "1 day"),
            (604_800, "7 days"),
            (u64::MAX, "18446744073709551615 seconds"),
        ] {
            assert_eq!(interval(seconds), text);
        }
    }
}
