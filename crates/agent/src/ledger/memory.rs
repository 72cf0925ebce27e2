//! A ledger in memory, for one process.

use super::{
    Ask, Book, End, Entry, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted,
    count::{are_of, judge, used},
};
use alloy::primitives::U256;
use async_trait::async_trait;
use session_key_client::journal::IntentId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Counts while the process lives. After a restart, windows are empty: what was used before is forgotten.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    books: Mutex<BTreeMap<Book, Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    /// In order of first writing.
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    reservation: Reservation,
    entries: Vec<Entry>,
    is_decided: bool,
}

impl MemoryLedger {
    /// Creates an empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<Book, Pages>> {
        // No code panics while it holds the lock.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        let mut books = self.books();
        let lines = &mut books.entry(book.clone()).or_default().lines;
        let is_its = |line: &Line| line.reservation.intent == wanted.intent;
        let is_same = |line: &Line| {
            let entries = line.entries.iter();
            wanted.name.is_some()
                && line.reservation.name == wanted.name
                && are_of(
                    entries.map(|entry| (entry.subject.as_str(), entry.amount)),
                    &wanted.asks,
                )
        };
        let known = [&is_its as &dyn Fn(&Line) -> bool, &is_same]
            .into_iter()
            .find_map(|is_it| lines.iter().position(|line| !line.is_decided && is_it(line)));
        if let Some(known) = known.and_then(|index| lines.get_mut(index)) {
            let reservation = &mut known.reservation;
            let is_its = reservation.intent == wanted.intent;
            reservation.intent = wanted.intent;
            reservation.until = wanted.until.max(reservation.until);
            let reservation = reservation.clone();
            return Ok(if is_its {
                Reserved::Made(reservation)
            } else {
                Reserved::Joined(reservation)
            });
        }
        if !wanted.forced {
            let entries: Vec<Entry> = lines
                .iter()
                .flat_map(|line| line.entries.iter().cloned())
                .collect();
            let exceeded = judge(&entries, &wanted.asks, now);
            if !exceeded.is_empty() {
                return Ok(Reserved::Exceeded(exceeded));
            }
        }
        let reservation = Reservation {
            intent: wanted.intent,
            name: wanted.name,
            until: wanted.until,
        };
        let entries = wanted.asks.into_iter().map(|ask| Entry {
            subject: ask.subject,
            amount: ask.amount,
            spent_at: None,
        });
        lines.push(Line {
            reservation: reservation.clone(),
            entries: entries.collect(),
            is_decided: false,
        });
        Ok(Reserved::Made(reservation))
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        let books = self.books();
        let lines = books.get(book).into_iter().flat_map(|pages| &pages.lines);
        let entries: Vec<Entry> = lines.flat_map(|line| line.entries.iter().cloned()).collect();
        Ok(judge(&entries, &asks, now))
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        let mut books = self.books();
        let Some(pages) = books.get_mut(book) else {
            return Ok(());
        };
        let is_it = |line: &Line| !line.is_decided && line.reservation.intent == intent;
        match end {
            End::Released => pages.lines.retain(|line| !is_it(line)),
            End::Spent { at } => {
                for line in pages.lines.iter_mut().filter(|line| is_it(line)) {
                    line.is_decided = true;
                    line.entries
                        .iter_mut()
                        .for_each(|entry| entry.spent_at = Some(at));
                }
            }
        }
        Ok(())
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        let books = self.books();
        let lines = books.get(book).into_iter().flat_map(|pages| &pages.lines);
        Ok(lines
            .filter(|line| !line.is_decided)
            .map(|line| line.reservation.clone())
            .collect())
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        let books = self.books();
        let lines = books.get(book).into_iter().flat_map(|pages| &pages.lines);
        Ok(used(lines.flat_map(|line| &line.entries), subject, length, now))
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        if let Some(pages) = self.books().get_mut(book) {
            pages.lines.retain(|line| {
                !line.is_decided || line.entries.iter().any(|entry| entry.counts(longest, now))
            });
        }
        Ok(())
    }
}
