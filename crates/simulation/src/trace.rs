//! The trace of a history, and its hash.

use std::{collections::hash_map::DefaultHasher, fmt, hash::Hasher};

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the history began.
    pub at: u64,
    /// The event.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s  {}", self.at as f64 / 1_000.0, self.text)
    }
}

/// The lines of a history, and a hash of the lines and of all messages.
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
            // The keys of this hasher are fixed, so the hash is reproducible.
            hash: DefaultHasher::new(),
            keeps,
        }
    }

    /// Records an event as a line and in the hash.
    pub(crate) fn say(&mut self, at: u64, text: String) {
        self.hash.write_u64(at);
        self.hash.write(text.as_bytes());
        if self.keeps {
            self.lines.push(Line { at, text });
        }
    }

    /// Records a number only in the hash.
    pub(crate) fn mix(&mut self, at: u64, number: u64) {
        self.hash.write_u64(at);
        self.hash.write_u64(number);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.finish()
    }
}
