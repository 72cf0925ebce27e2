//! The ledger in PostgreSQL.

use super::{
    PostgresError, PostgresStore,
    database::{Failure, Session},
};
use crate::ledger::{
    Ask, Book, End, Entry, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted, are_of, judge,
};
use alloy::primitives::{FixedBytes, U256, keccak256};
use async_trait::async_trait;
use session_key_client::journal::IntentId;
use tokio_postgres::{Row, types::Type};

type Failed = Failure<LedgerError>;

impl From<PostgresError> for LedgerError {
    fn from(error: PostgresError) -> Self {
        Self::Store {
            message: error.to_string(),
        }
    }
}

fn damaged(what: &str) -> Failed {
    Failure::Said(LedgerError::Unreadable {
        message: format!("{what} was damaged, or written by a later version"),
    })
}

/// A book as its columns have it: a hash, which an index takes, and what it is of.
#[derive(Clone)]
struct Key {
    hash: Vec<u8>,
    label: String,
}

impl Key {
    fn of(book: &Book) -> Self {
        // Nothing in it can fail to be JSON.
        let label = serde_json::to_string(book).unwrap_or_default();
        Self {
            hash: keccak256(&label).to_vec(),
            label,
        }
    }
}

fn text<'r>(row: &'r Row, column: &str) -> Result<&'r str, Failed> {
    row.try_get(column).map_err(|_| damaged(column))
}

fn read_reservation(row: &Row) -> Result<Reservation, Failed> {
    let intent: &[u8] = row.try_get("intent").map_err(|_| damaged("an intent's id"))?;
    let name: Option<Vec<u8>> = row.try_get("name").map_err(|_| damaged("a name"))?;
    Ok(Reservation {
        intent: IntentId(FixedBytes::try_from(intent).map_err(|_| damaged("an intent's id"))?),
        name: name
            .map(String::from_utf8)
            .transpose()
            .map_err(|_| damaged("a name"))?,
        until: text(row, "until")?.parse().map_err(|_| damaged("until"))?,
    })
}

async fn entries(session: &Session, book: &Key, subject: &str) -> Result<Vec<Entry>, Failed> {
    let subject_bytes = subject.as_bytes();
    let rows = session
        .query(
            "SELECT amount::text AS amount, spent_at::text AS spent_at
             FROM ledger_entries JOIN ledger_reservations USING (sequence) WHERE book = $1 AND subject = $2",
            &[(&book.hash, Type::BYTEA), (&subject_bytes, Type::BYTEA)],
        )
        .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let spent_at: Option<&str> = row.try_get("spent_at").map_err(|_| damaged("a time"))?;
        entries.push(Entry {
            subject: subject.to_owned(),
            amount: U256::from_str_radix(text(row, "amount")?, 10).map_err(|_| damaged("an amount"))?,
            spent_at: spent_at
                .map(|at| at.parse().map_err(|_| damaged("a time")))
                .transpose()?,
        });
    }
    Ok(entries)
}

/// Whether a reservation is of exactly these amounts.
async fn is_of(session: &Session, sequence: i64, asks: &[Ask]) -> Result<bool, Failed> {
    let rows = session
        .query(
            "SELECT subject, amount::text AS amount FROM ledger_entries WHERE sequence = $1",
            &[(&sequence, Type::INT8)],
        )
        .await?;
    let mut kept = Vec::with_capacity(rows.len());
    for row in &rows {
        let subject: Vec<u8> = row.try_get("subject").map_err(|_| damaged("a subject"))?;
        let subject = String::from_utf8(subject).map_err(|_| damaged("a subject"))?;
        let amount = U256::from_str_radix(text(row, "amount")?, 10).map_err(|_| damaged("an amount"))?;
        kept.push((subject, amount));
    }
    let kept = kept.iter().map(|(subject, amount)| (subject.as_str(), *amount));
    Ok(are_of(kept, asks))
}

/// Locks a book until the end of the transaction.
async fn lock(session: &Session, book: &Key) -> Result<(), Failed> {
    let params = [(&book.hash as _, Type::BYTEA), (&book.label as _, Type::TEXT)];
    session
        .query(
            "INSERT INTO ledger_books (book, label) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &params,
        )
        .await?;
    session
        .query(
            "SELECT 1 FROM ledger_books WHERE book = $1 FOR UPDATE",
            &params[..1],
        )
        .await?;
    Ok(())
}

async fn reserve(session: &Session, book: &Key, wanted: Wanted, now: u64) -> Result<Reserved, Failed> {
    lock(session, book).await?;
    let Wanted {
        intent,
        name,
        until,
        asks,
        forced,
    } = wanted;
    let id = intent.0.to_vec();
    let name_bytes = name.as_ref().map(|name| name.as_bytes());
    let known = session
        .query(
            "SELECT sequence, intent, name, until::text AS until FROM ledger_reservations
             WHERE book = $1 AND NOT is_decided AND (intent = $2 OR name = $3) ORDER BY intent <> $2, sequence",
            &[
                (&book.hash, Type::BYTEA),
                (&id, Type::BYTEA),
                (&name_bytes, Type::BYTEA),
            ],
        )
        .await?;
    for row in &known {
        let known = read_reservation(row)?;
        let sequence: i64 = row.try_get("sequence").map_err(|_| damaged("a sequence"))?;
        let is_its = known.intent == intent;
        if !is_its && !is_of(session, sequence, &asks).await? {
            continue;
        }
        let until = until.max(known.until);
        let decimal = until.to_string();
        session
            .query(
                "UPDATE ledger_reservations SET intent = $2, until = $3::numeric WHERE sequence = $1",
                &[
                    (&sequence, Type::INT8),
                    (&id, Type::BYTEA),
                    (&decimal, Type::TEXT),
                ],
            )
            .await?;
        let reservation = Reservation {
            intent,
            until,
            name: known.name,
        };
        return Ok(if is_its {
            Reserved::Made(reservation)
        } else {
            Reserved::Joined(reservation)
        });
    }
    if !forced {
        let mut counted = Vec::new();
        for ask in &asks {
            counted.extend(entries(session, book, &ask.subject).await?);
        }
        let exceeded = judge(&counted, &asks, now);
        if !exceeded.is_empty() {
            return Ok(Reserved::Exceeded(exceeded));
        }
    }
    let decimal = until.to_string();
    let rows = session
        .query(
            "INSERT INTO ledger_reservations (book, intent, name, until, is_decided)
             VALUES ($1, $2, $3, $4::numeric, false) RETURNING sequence",
            &[
                (&book.hash, Type::BYTEA),
                (&id, Type::BYTEA),
                (&name_bytes, Type::BYTEA),
                (&decimal, Type::TEXT),
            ],
        )
        .await?;
    let sequence: i64 = rows
        .first()
        .and_then(|row| row.try_get("sequence").ok())
        .ok_or_else(|| damaged("a sequence"))?;
    for ask in &asks {
        let (subject, amount) = (ask.subject.as_bytes(), ask.amount.to_string());
        session
            .query(
                "INSERT INTO ledger_entries (sequence, subject, amount) VALUES ($1, $2, $3::numeric)",
                &[
                    (&sequence, Type::INT8),
                    (&subject, Type::BYTEA),
                    (&amount, Type::TEXT),
                ],
            )
            .await?;
    }
    Ok(Reserved::Made(Reservation { intent, name, until }))
}

#[async_trait]
impl Ledger for PostgresStore {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        let book = Key::of(book);
        self.database
            .writing(Box::new(move |session| {
                let (book, wanted) = (book.clone(), wanted.clone());
                Box::pin(async move { reserve(session, &book, wanted, now).await })
            }))
            .await
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        let book = Key::of(book);
        self.database
            .reading(Box::new(move |session| {
                let (book, asks) = (book.clone(), asks.clone());
                Box::pin(async move {
                    let mut counted = Vec::new();
                    for ask in &asks {
                        counted.extend(entries(session, &book, &ask.subject).await?);
                    }
                    Ok(judge(&counted, &asks, now))
                })
            }))
            .await
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        let book = Key::of(book);
        self.database
            .writing(Box::new(move |session| {
                let book = book.clone();
                Box::pin(async move {
                    lock(session, &book).await?;
                    let id = intent.0.to_vec();
                    match end {
                        End::Released => {
                            let sql = "DELETE FROM ledger_reservations WHERE book = $1 AND intent = $2 AND NOT is_decided";
                            session
                                .query(sql, &[(&book.hash, Type::BYTEA), (&id, Type::BYTEA)])
                                .await?;
                        }
                        End::Spent { at } => {
                            let at = at.to_string();
                            let sql = "WITH decided AS (
                                     UPDATE ledger_reservations SET is_decided = true
                                     WHERE book = $1 AND intent = $2 AND NOT is_decided RETURNING sequence
                                 )
                                 UPDATE ledger_entries SET spent_at = $3::numeric FROM decided
                                 WHERE ledger_entries.sequence = decided.sequence";
                            session
                                .query(
                                    sql,
                                    &[(&book.hash, Type::BYTEA), (&id, Type::BYTEA), (&at, Type::TEXT)],
                                )
                                .await?;
                        }
                    }
                    Ok(())
                })
            }))
            .await
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        let book = Key::of(book);
        self.database
            .reading(Box::new(move |session| {
                let book = book.clone();
                Box::pin(async move {
                    let rows = session
                        .query(
                            "SELECT intent, name, until::text AS until FROM ledger_reservations
                             WHERE book = $1 AND NOT is_decided ORDER BY sequence",
                            &[(&book.hash, Type::BYTEA)],
                        )
                        .await?;
                    rows.iter().map(read_reservation).collect()
                })
            }))
            .await
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        let (book, subject) = (Key::of(book), subject.to_owned());
        self.database
            .reading(Box::new(move |session| {
                let (book, subject) = (book.clone(), subject.clone());
                Box::pin(async move {
                    let entries = entries(session, &book, &subject).await?;
                    Ok(crate::ledger::used(&entries, &subject, length, now))
                })
            }))
            .await
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        let book = Key::of(book);
        self.database
            .writing(Box::new(move |session| {
                let book = book.clone();
                Box::pin(async move {
                    let (longest, now) = (longest.to_string(), now.to_string());
                    session
                        .query(
                            "DELETE FROM ledger_reservations AS old WHERE book = $1 AND is_decided AND NOT EXISTS (
                                 SELECT 1 FROM ledger_entries
                                 WHERE ledger_entries.sequence = old.sequence AND $3::numeric < spent_at + $2::numeric
                             )",
                            &[(&book.hash, Type::BYTEA), (&longest, Type::TEXT), (&now, Type::TEXT)],
                        )
                        .await?;
                    Ok(())
                })
            }))
            .await
    }
}
