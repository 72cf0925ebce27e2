//! What happened, in order, and a hash of it.

use std::{collections::hash_map::DefaultHasher, fmt, hash::Hasher};

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the history began.
    pub at: u64,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {}", self.at as f64 / 1_000.0, self.text)
    }
}

/// The lines of a history, and the hash of these and of all messages.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) lines: Vec<Line>,
    hash: DefaultHasher,
    keeps: bool,
}

impl Trace {
    pub(crate) fn new(keeps: bool) -> Self {
        Self {
            lines: Vec::new(),
            // Its keys are fixed.
            hash: DefaultHasher::new(),
            keeps,
        }
    }

    /// Notes what is worth reading.
    pub(crate) fn say(&mut self, at: u64, text: String) {
        self.hash.write_u64(at);
        self.hash.write(text.as_bytes());
        if self.keeps {
            self.lines.push(Line { at, text });
        }
    }

    /// Notes what only has to be the same in every run.
    pub(crate) fn mix(&mut self, at: u64, number: u64) {
        self.hash.write_u64(at);
        self.hash.write_u64(number);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }
}
