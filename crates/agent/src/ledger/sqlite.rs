//! A ledger in an SQLite file: the journal's, so that one file is the whole store.

use super::{
    Ask, Book, End, Entry, Exceeded, Ledger, LedgerError, Reservation, Reserved, Wanted,
    count::{are_of, judge, used},
};
use alloy::primitives::{FixedBytes, U256, hex};
use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, Row, Transaction, TransactionBehavior, params};
use session_key_client::journal::IntentId;
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The scripts that create each version of the tables from the previous one.
const VERSIONS: &[&str] = &[include_str!("sqlite_1.sql")];

/// How long a transaction waits for those of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps a ledger in the file of a [`SqliteJournal`](session_key_client::journal::SqliteJournal), for any
/// number of processes of one machine: with its guarantees, and in its backups.
/// [`Stores::sqlite`](crate::store::Stores::sqlite) opens both.
pub struct SqliteLedger {
    connection: Arc<Mutex<Connection>>,
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger").finish_non_exhaustive()
    }
}

/// Why a transaction was not committed.
enum Failure {
    Said(LedgerError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Said(error) => error,
            // Its own message may contain the path.
            Failure::Sqlite(error) => {
                let code = error.sqlite_error().map_or(0, |error| error.extended_code);
                let message = rusqlite::ffi::code_to_str(code).to_owned();
                Self::Store {
                    message: format!("{message} (SQLite's code {code})"),
                }
            }
        }
    }
}

fn damaged(what: &str) -> Failure {
    Failure::Said(LedgerError::Unreadable {
        message: format!("{what} was damaged, or written by a later version"),
    })
}

impl SqliteLedger {
    /// Opens the ledger in the file of a journal, which must be there.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], if the file cannot be used, or has a later version's ledger.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let path = path.into();
        let connection = blocking(move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let mut connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            let owner: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
            let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            if owner != 0x534B_4A4C || mode != "wal" {
                let message = "the file is not an open journal".to_owned();
                return Err(Failure::Said(LedgerError::Store { message }));
            }
            for setting in [
                "synchronous = 2",
                "foreign_keys = 1",
                "fullfsync = 1",
                "checkpoint_fullfsync = 1",
            ] {
                connection.execute_batch(&format!("PRAGMA {setting}"))?;
            }
            migrate(&mut connection)?;
            Ok(connection)
        })
        .await?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Runs a transaction. Once it has begun, it runs to its end, also if the future is dropped.
    async fn transact<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let connection = self.connection.clone();
        blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            if !connection.is_autocommit() {
                // The end of an earlier transaction failed.
                connection.execute_batch("ROLLBACK")?;
            }
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, LedgerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(LedgerError::from),
        Err(_) => Err(LedgerError::Store {
            message: "the thread that writes the ledger is gone".to_owned(),
        }),
    }
}

fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS agent_version (version INTEGER NOT NULL) STRICT")?;
    let found: Option<i64> =
        transaction.query_row("SELECT max(version) FROM agent_version", [], |row| row.get(0))?;
    let found = found.unwrap_or(0);
    let known = i64::try_from(VERSIONS.len()).unwrap_or(i64::MAX);
    if !(0..=known).contains(&found) {
        let message = format!("the ledger has version {found}, and this release knows versions 1 to {known}");
        return Err(Failure::Said(LedgerError::Store { message }));
    }
    for script in VERSIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        transaction.execute_batch(script)?;
    }
    transaction.execute("DELETE FROM agent_version", [])?;
    transaction.execute("INSERT INTO agent_version VALUES (?1)", [known])?;
    transaction.commit()?;
    Ok(())
}

/// The book as its column has it.
fn key(book: &Book) -> String {
    // Nothing in it can fail to be JSON.
    serde_json::to_string(book).unwrap_or_default()
}

fn number(row: &Row<'_>, column: &str) -> Result<u64, Failure> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| damaged(column))
}

fn read_reservation(row: &Row<'_>) -> Result<Reservation, Failure> {
    let name: Option<Vec<u8>> = row.get("name")?;
    let name = name
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| damaged("a name"))?;
    let intent: String = row.get("intent")?;
    let mut id = FixedBytes::<16>::ZERO;
    hex::decode_to_slice(intent, id.as_mut_slice()).map_err(|_| damaged("an intent's id"))?;
    Ok(Reservation {
        intent: IntentId(id),
        name,
        until: number(row, "until")?,
    })
}

/// Returns the undecided reservations of an intent and of a name, those of the intent first.
fn undecided_of(
    transaction: &Transaction<'_>,
    book: &str,
    intent: &str,
    name: Option<&str>,
) -> Result<Vec<(i64, Reservation)>, Failure> {
    let mut query = transaction.prepare_cached(
        "SELECT sequence, intent, name, until FROM agent_reservations
         WHERE book = ?1 AND is_decided = 0 AND (intent = ?2 OR name = ?3) ORDER BY intent <> ?2, sequence",
    )?;
    let mut rows = query.query(params![book, intent, name.map(str::as_bytes)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get("sequence")?, read_reservation(row)?));
    }
    Ok(found)
}

/// Whether a reservation is of exactly these amounts.
fn is_of(transaction: &Transaction<'_>, sequence: i64, asks: &[Ask]) -> Result<bool, Failure> {
    let mut query =
        transaction.prepare_cached("SELECT subject, amount FROM agent_entries WHERE sequence = ?1")?;
    let mut rows = query.query([sequence])?;
    let mut kept = Vec::new();
    while let Some(row) = rows.next()? {
        let subject = String::from_utf8(row.get("subject")?).map_err(|_| damaged("a subject"))?;
        let amount: String = row.get("amount")?;
        let amount = U256::from_str_radix(&amount, 10).map_err(|_| damaged("an amount"))?;
        kept.push((subject, amount));
    }
    let kept = kept.iter().map(|(subject, amount)| (subject.as_str(), *amount));
    Ok(are_of(kept, asks))
}

fn entries(transaction: &Transaction<'_>, book: &str, subject: &str) -> Result<Vec<Entry>, Failure> {
    let mut query = transaction.prepare_cached(
        "SELECT amount, spent_at FROM agent_entries JOIN agent_reservations USING (sequence)
         WHERE book = ?1 AND subject = ?2",
    )?;
    let mut rows = query.query(params![book, subject.as_bytes()])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let amount: String = row.get("amount")?;
        let spent_at: Option<String> = row.get("spent_at")?;
        entries.push(Entry {
            subject: subject.to_owned(),
            amount: U256::from_str_radix(&amount, 10).map_err(|_| damaged("an amount"))?,
            spent_at: spent_at
                .map(|at| at.parse().map_err(|_| damaged("a time")))
                .transpose()?,
        });
    }
    Ok(entries)
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn reserve(&self, book: &Book, wanted: Wanted, now: u64) -> Result<Reserved, LedgerError> {
        let book = key(book);
        self.transact(TransactionBehavior::Immediate, move |transaction| {
            let Wanted {
                intent,
                name,
                until,
                asks,
                forced,
            } = wanted;
            let id = intent.0.to_string();
            for (sequence, known) in undecided_of(transaction, &book, &id, name.as_deref())? {
                let is_its = known.intent == intent;
                if !is_its && !is_of(transaction, sequence, &asks)? {
                    continue;
                }
                let until = until.max(known.until);
                transaction
                    .prepare_cached("UPDATE agent_reservations SET intent = ?2, until = ?3 WHERE sequence = ?1")?
                    .execute(params![sequence, id, until.to_string()])?;
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
                    counted.extend(entries(transaction, &book, &ask.subject)?);
                }
                let exceeded = judge(&counted, &asks, now);
                if !exceeded.is_empty() {
                    return Ok(Reserved::Exceeded(exceeded));
                }
            }
            transaction
                .prepare_cached(
                    "INSERT INTO agent_reservations (book, intent, name, until, is_decided) VALUES (?1, ?2, ?3, ?4, 0)",
                )?
                .execute(params![book, id, name.as_ref().map(String::as_bytes), until.to_string()])?;
            let sequence = transaction.last_insert_rowid();
            for Ask { subject, amount, .. } in &asks {
                transaction
                    .prepare_cached("INSERT INTO agent_entries (sequence, subject, amount) VALUES (?1, ?2, ?3)")?
                    .execute(params![sequence, subject.as_bytes(), amount.to_string()])?;
            }
            Ok(Reserved::Made(Reservation { intent, name, until }))
        })
        .await
    }

    async fn exceeded(&self, book: &Book, asks: Vec<Ask>, now: u64) -> Result<Vec<Exceeded>, LedgerError> {
        let book = key(book);
        self.transact(TransactionBehavior::Deferred, move |transaction| {
            let mut counted = Vec::new();
            for ask in &asks {
                counted.extend(entries(transaction, &book, &ask.subject)?);
            }
            Ok(judge(&counted, &asks, now))
        })
        .await
    }

    async fn end(&self, book: &Book, intent: IntentId, end: End) -> Result<(), LedgerError> {
        let book = key(book);
        self.transact(TransactionBehavior::Immediate, move |transaction| {
            let id = intent.0.to_string();
            match end {
                End::Released => {
                    transaction
                        .prepare_cached(
                            "DELETE FROM agent_reservations WHERE book = ?1 AND intent = ?2 AND is_decided = 0",
                        )?
                        .execute(params![book, id])?;
                }
                End::Spent { at } => {
                    transaction
                        .prepare_cached(
                            "UPDATE agent_entries SET spent_at = ?3 WHERE sequence IN (SELECT sequence
                             FROM agent_reservations WHERE book = ?1 AND intent = ?2 AND is_decided = 0)",
                        )?
                        .execute(params![book, id, at.to_string()])?;
                    transaction
                        .prepare_cached(
                            "UPDATE agent_reservations SET is_decided = 1
                             WHERE book = ?1 AND intent = ?2 AND is_decided = 0",
                        )?
                        .execute(params![book, id])?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn undecided(&self, book: &Book) -> Result<Vec<Reservation>, LedgerError> {
        let book = key(book);
        self.transact(TransactionBehavior::Deferred, move |transaction| {
            let mut query = transaction.prepare_cached(
                "SELECT intent, name, until FROM agent_reservations WHERE book = ?1 AND is_decided = 0 ORDER BY sequence",
            )?;
            let mut rows = query.query([book])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read_reservation(row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn used(&self, book: &Book, subject: &str, length: u64, now: u64) -> Result<U256, LedgerError> {
        let (book, subject) = (key(book), subject.to_owned());
        self.transact(TransactionBehavior::Deferred, move |transaction| {
            let entries = entries(transaction, &book, &subject)?;
            Ok(used(&entries, &subject, length, now))
        })
        .await
    }

    async fn prune(&self, book: &Book, longest: u64, now: u64) -> Result<(), LedgerError> {
        let book = key(book);
        self.transact(TransactionBehavior::Immediate, move |transaction| {
            let mut passed = Vec::new();
            {
                let mut query = transaction.prepare_cached(
                    "SELECT sequence, min(spent_at) AS spent_at FROM agent_reservations
                     LEFT JOIN agent_entries USING (sequence) WHERE book = ?1 AND is_decided = 1 GROUP BY sequence",
                )?;
                let mut rows = query.query([&book])?;
                while let Some(row) = rows.next()? {
                    let at: Option<String> = row.get("spent_at")?;
                    let at: Option<u64> = at.map(|at| at.parse().map_err(|_| damaged("a time"))).transpose()?;
                    if at.is_none_or(|at| now >= at.saturating_add(longest)) {
                        passed.push(row.get::<_, i64>("sequence")?);
                    }
                }
            }
            for sequence in passed {
                transaction
                    .prepare_cached("DELETE FROM agent_reservations WHERE sequence = ?1")?
                    .execute([sequence])?;
            }
            Ok(())
        })
        .await
    }
}
