//! The arithmetic of windows.

use super::{Ask, Exceeded};
use alloy::primitives::U256;

/// An amount that counts: since when, or reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) subject: String,
    pub(crate) amount: U256,
    /// `None`: reserved.
    pub(crate) spent_at: Option<u64>,
}

impl Entry {
    /// Whether a window that ends now holds it. One spent at `t` counts until just before `t + length`.
    pub(crate) const fn counts(&self, length: u64, now: u64) -> bool {
        match self.spent_at {
            Some(at) => now < at.saturating_add(length),
            None => true,
        }
    }
}

/// Whether entries are of exactly these amounts.
pub(crate) fn are_of<'e>(entries: impl IntoIterator<Item = (&'e str, U256)>, asks: &[Ask]) -> bool {
    let mut kept: Vec<(&str, U256)> = entries.into_iter().collect();
    let mut asked: Vec<(&str, U256)> = asks
        .iter()
        .map(|ask| (ask.subject.as_str(), ask.amount))
        .collect();
    kept.sort_unstable();
    asked.sort_unstable();
    kept == asked
}

/// Returns what is used of a subject within a window that ends now.
pub(crate) fn used<'e>(
    entries: impl IntoIterator<Item = &'e Entry>,
    subject: &str,
    length: u64,
    now: u64,
) -> U256 {
    entries
        .into_iter()
        .filter(|entry| entry.subject == subject && entry.counts(length, now))
        .fold(U256::ZERO, |sum, entry| sum.saturating_add(entry.amount))
}

/// Returns the windows with too little left.
pub(crate) fn judge(entries: &[Entry], asks: &[Ask], now: u64) -> Vec<Exceeded> {
    let mut exceeded = Vec::new();
    for ask in asks {
        for (most, length) in &ask.windows {
            let used = used(entries, &ask.subject, *length, now);
            if used.saturating_add(ask.amount) <= *most {
                continue;
            }
            exceeded.push(Exceeded {
                subject: ask.subject.clone(),
                most: *most,
                length: *length,
                used,
                passes_from: passes_from(entries, ask, *most, *length, now),
            });
        }
    }
    exceeded
}

fn passes_from(entries: &[Entry], ask: &Ask, most: U256, length: u64, now: u64) -> Option<u64> {
    let room = most.checked_sub(ask.amount)?;
    let mut counted: Vec<(u64, U256)> = entries
        .iter()
        .filter(|entry| entry.subject == ask.subject && entry.counts(length, now))
        .map(|entry| (entry.spent_at.unwrap_or(now).saturating_add(length), entry.amount))
        .collect();
    counted.sort_unstable();
    // What is still counted after each has passed.
    let mut left = Vec::with_capacity(counted.len());
    let mut sum = U256::ZERO;
    for (_, amount) in counted.iter().rev() {
        left.push(sum);
        sum = sum.saturating_add(*amount);
    }
    let mut rest = left.into_iter().rev();
    counted
        .iter()
        .find(|_| rest.next().is_some_and(|left| left <= room))
        .map(|(end, _)| *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(amount: u64, spent_at: Option<u64>) -> Entry {
        Entry {
            subject: "a".to_owned(),
            amount: U256::from(amount),
            spent_at,
        }
    }

    fn ask(amount: u64, most: u64) -> Ask {
        Ask {
            subject: "a".to_owned(),
            amount: U256::from(amount),
            windows: vec![(U256::from(most), 100)],
        }
    }

    fn earliest(entries: &[Entry], asked: u64, most: u64, now: u64) -> Option<Option<u64>> {
        let exceeded = judge(entries, &[ask(asked, most)], now);
        exceeded.first().map(|exceeded| exceeded.passes_from)
    }

    #[test]
    fn the_earliest_time_is_when_enough_has_passed() {
        let entries = [entry(5, Some(10)), entry(3, Some(50)), entry(2, None)];
        assert_eq!(earliest(&entries, 0, 10, 60), None);
        assert_eq!(earliest(&entries, 1, 10, 60), Some(Some(110)));
        assert_eq!(earliest(&entries, 5, 10, 60), Some(Some(110)));
        assert_eq!(earliest(&entries, 6, 10, 60), Some(Some(150)));
        // What is reserved counts as if it were spent now.
        assert_eq!(earliest(&entries, 9, 10, 60), Some(Some(160)));
        assert_eq!(earliest(&entries, 10, 10, 60), Some(Some(160)));
        assert_eq!(earliest(&entries, 11, 10, 60), Some(None));
        // At that time it passes, and a moment before it does not.
        let spent = [entry(5, Some(10)), entry(3, Some(50))];
        assert_eq!(earliest(&spent, 6, 10, 109), Some(Some(110)));
        assert_eq!(earliest(&spent, 6, 10, 110), None);
    }

    #[test]
    fn sums_that_overflow_fit_nothing() {
        let entries = [Entry {
            amount: U256::MAX,
            ..entry(0, None)
        }];
        assert_eq!(earliest(&entries, 1, u64::MAX, 0), Some(Some(100)));
        let entries = [entry(1, Some(u64::MAX))];
        assert_eq!(earliest(&entries, 1, 1, u64::MAX - 1), Some(Some(u64::MAX)));
    }
}
