//! Counts of faults by step, and of outcomes.

use crate::{fault::possible, spot::Step};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Counts of one or more histories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    messages: BTreeMap<Step, u64>,
    faults: BTreeMap<(&'static str, Step), u64>,
    outcomes: BTreeMap<(&'static str, String), u64>,
}

impl Counts {
    pub(crate) fn message(&mut self, step: Step) {
        *self.messages.entry(step).or_default() += 1;
    }

    pub(crate) fn fault(&mut self, kind: &'static str, step: Step) {
        *self.faults.entry((kind, step)).or_default() += 1;
    }

    /// Counts an outcome `how` of `of`.
    pub(crate) fn outcome(&mut self, of: &'static str, how: impl Into<String>) {
        *self.outcomes.entry((of, how.into())).or_default() += 1;
    }

    /// Adds the counts of another history.
    pub fn add(&mut self, other: &Self) {
        for (step, count) in &other.messages {
            *self.messages.entry(*step).or_default() += count;
        }
        for (place, count) in &other.faults {
            *self.faults.entry(*place).or_default() += count;
        }
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(outcome.clone()).or_default() += count;
        }
    }

    /// Returns the count of an outcome.
    pub fn of(&self, of: &'static str, how: &str) -> u64 {
        self.outcomes
            .get(&(of, how.to_owned()))
            .copied()
            .unwrap_or_default()
    }
}

/// Outcomes of intents as reported to callers.
const OUTCOMES: [&str; 10] = [
    "included",
    "included, final",
    "reverted",
    "reverted, final",
    "void",
    "never sent",
    "open, no answer",
    "open, in pool",
    "open, not taken",
    "open, nonce used",
];
/// Places where outcomes are reported.
const TOLD: [&str; 4] = ["answered", "in the end", "looked up", "resumed"];

impl Counts {
    /// Returns the rarest combination of a fault and a step where it is possible, with its count.
    fn rarest_fault(&self) -> Option<(&'static str, Step, u64)> {
        let cells = Step::ALL
            .into_iter()
            .flat_map(|step| possible(step).into_iter().map(move |kind| (kind, step)));
        cells
            .map(|(kind, step)| {
                let count = self.faults.get(&(kind, step)).copied().unwrap_or_default();
                (kind, step, count)
            })
            .min_by_key(|(.., count)| *count)
    }

    /// Returns the rarest outcome, with its count.
    fn rarest_outcome(&self) -> Option<(&'static str, u64)> {
        OUTCOMES
            .into_iter()
            .map(|outcome| {
                (
                    outcome,
                    TOLD.iter().map(|told| self.of(told, outcome)).sum::<u64>(),
                )
            })
            .min_by_key(|(_, count)| *count)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: BTreeSet<&'static str> = self.faults.keys().map(|(kind, _)| *kind).collect();
        let steps: Vec<Step> = Step::ALL
            .into_iter()
            .filter(|step| self.messages.contains_key(step))
            .collect();
        write!(f, "| fault |")?;
        for step in &steps {
            write!(f, " {} |", step.name())?;
        }
        write!(f, "\n| --- |{}", " ---: |".repeat(steps.len()))?;
        write!(f, "\n| *messages* |")?;
        for step in &steps {
            write!(f, " {} |", self.messages.get(step).copied().unwrap_or_default())?;
        }
        for kind in kinds {
            write!(f, "\n| {kind} |")?;
            for step in &steps {
                match self.faults.get(&(kind, *step)) {
                    Some(count) => write!(f, " {count} |")?,
                    None if possible(*step).contains(&kind) => write!(f, " 0 |")?,
                    None => write!(f, " |")?,
                }
            }
        }
        writeln!(f)?;
        let mut last = "";
        for ((of, how), count) in &self.outcomes {
            if *of != last {
                write!(f, "\n{of}:")?;
                last = of;
            }
            write!(f, " {how} {count};")?;
        }
        writeln!(f)?;
        if let (Some((kind, step, fault)), Some((outcome, told))) =
            (self.rarest_fault(), self.rarest_outcome())
        {
            writeln!(
                f,
                "\nrarest fault: {kind} at {}, {fault}; rarest outcome: {outcome}, {told}",
                step.name()
            )?;
        }
        Ok(())
    }
}
