//! Counts of the outcomes that cases reach.

use std::{collections::BTreeMap, fmt};

/// Counts of the outcomes reached, which show that a run without mismatches tested something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    counts: BTreeMap<String, u64>,
}

impl Outcomes {
    /// Counts an outcome.
    pub fn reached(&mut self, outcome: impl Into<String>) {
        *self.counts.entry(outcome.into()).or_default() += 1;
    }

    /// Returns the number of distinct outcomes whose names start with `prefix`.
    #[must_use]
    pub fn distinct(&self, prefix: &str) -> usize {
        self.counts.keys().filter(|name| name.starts_with(prefix)).count()
    }

    /// Returns the outcomes with their counts, rarest first.
    #[must_use]
    pub fn rarest_first(&self) -> Vec<(&str, u64)> {
        let mut counts: Vec<_> = self
            .counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        counts.sort_by_key(|(_, count)| *count);
        counts
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.rarest_first() {
            writeln!(f, "{count:>12}  {name}")?;
        }
        Ok(())
    }
}
