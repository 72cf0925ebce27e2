//! The journal of one machine: an SQLite file that several processes may share. See [`SqliteJournal`] for its
//! guarantees.

mod file;
mod rows;
mod transactions;

pub use file::SqliteError;

use super::{
    Acquired, BlockRef, History, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId, Scope,
};
use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use file::{Database, name_of};
use rows::{
    LaneKey, Number, clear_lease, highest, lane_is, read, read_bound, read_holder, read_lanes, read_lease,
    read_made, read_version, text, write, write_bound, write_lease,
};
use rusqlite::{Transaction, TransactionBehavior, named_params};
use std::{fmt, path::PathBuf, process, sync::mpsc, thread};
use tokio::sync::oneshot;

/// Stores intents in an SQLite file, which several processes of one machine may share.
///
/// # Guarantees
///
/// - What a method has confirmed with `Ok` is on the disk (write-ahead log, `synchronous = FULL`): it
///   survives the process being killed at any moment, and a loss of power if the disk honours flushes.
/// - A method happens whole or not at all, in one transaction, also if its future is dropped. One that has
///   not begun by then does not happen.
/// - Nothing is guessed. [`open`](Self::open) creates a file only if there is none. It refuses a file that is
///   empty, damaged, another application's or a later release's, and leaves it unchanged. A record that
///   cannot be read is [`Unreadable`](JournalError::Unreadable), named in the message, and so is every query
///   whose answer would include it; [`remove`](Journal::remove) removes it nevertheless.
/// - Each chain id in it stands for one chain, by the hash of a block. Where a node follows another chain
///   with the same id, such as a development chain that started anew, clients refuse to use it
///   ([`OtherChain`](JournalError::OtherChain)).
/// - A file that is removed, renamed or replaced while it is open is no longer written to (on Unix).
/// - SQLite is called on a separate thread, which ends when the journal is dropped. The methods run on any
///   executor.
///
/// # One file on one machine
///
/// Processes that use the file must run on one machine, where they share memory: the log is shared through
/// it. The file must be on a local disk. On Linux, `open` refuses NFS, SMB, FUSE, 9P and similar file
/// systems; elsewhere this is not checked. Clients on two machines need a [`Journal`] that both can reach, or
/// separate session keys.
///
/// A transaction waits up to five seconds for those of other processes, then fails with
/// [`SqliteError::Busy`]. Do not keep transactions open in other tools. A process that was forked after
/// `open` must open the file itself.
///
/// The file, and the `-wal` and `-shm` files next to it, are readable only by their owner (mode 0600) if this
/// crate created them. They contain signed operations: anyone who reads one that was not included yet can
/// send it.
///
/// # Inspecting it
///
/// ```text
/// $ sqlite3 -readonly journal.db 'SELECT name, state, asked, hash FROM intent_list'
/// $ sqlite3 -readonly journal.db 'SELECT hash, state, said, transaction_hash FROM operation_list'
/// $ sqlite3 -readonly journal.db 'SELECT * FROM lease_list'
/// $ sqlite3 -readonly journal.db 'SELECT hash, nonce, signed FROM transaction_list'
/// ```
///
/// The views show times in UTC and hashes in hex, and can be read at any time. They are based on the tables
/// `intents`, `operations`, `leases`, `transactions` and `chains`. Do not change rows: some columns are
/// derived from others, and a record in which they disagree is unreadable.
///
/// # Backups
///
/// ```text
/// $ (umask 077; sqlite3 journal.db "VACUUM INTO 'backup.db'")
/// ```
///
/// This creates one complete file while the journal is in use. A copy of the `.db` file alone lacks what is
/// still in its `-wal` file; the two belong together, also after a loss of power.
///
/// An older backup lacks everything written since: names are free again, so the same name pays again, and
/// pending operations and outcomes are unknown, so they are not sent again and their nonces come as a
/// surprise. Before using a backup, end every process of the old file, and settle pending operations from the
/// chain: an `incrementNonce` on each lane ends what is not included yet.
pub struct SqliteJournal {
    /// The file's name, for errors.
    file: String,
    jobs: mpsc::Sender<Job>,
    /// The process that owns the thread; a process forked from it does not.
    process: u32,
}

/// A task for the thread, which sends its own answer.
type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// Why a transaction was not committed.
#[derive(Debug)]
enum Failure {
    /// An error of the journal itself.
    Said(JournalError),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Said(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<SqliteError> for JournalError {
    fn from(error: SqliteError) -> Self {
        Self::Store {
            message: error.to_string(),
        }
    }
}

impl SqliteJournal {
    /// Opens the file at `path`, creating it if there is none (its folder must exist), and migrates it to the
    /// version of this release. Reads the whole file to check it: about 0.1 s for ten thousand intents.
    ///
    /// # Errors
    ///
    /// [`SqliteError`], if the file cannot be used or does not meet the guarantees.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, SqliteError> {
        let path = path.into();
        let file = name_of(&path);
        let gone = || SqliteError::ThreadGone { file: file.clone() };
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, answer) = oneshot::channel();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || match Database::open(&path) {
                Ok(mut database) => {
                    if opened.send(Ok(())).is_ok() {
                        queue.into_iter().for_each(|job| job(&mut database));
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())??;
        Ok(Self {
            file,
            jobs,
            process: process::id(),
        })
    }

    /// Runs a transaction on the thread. If the future is dropped before the transaction begins, it does not
    /// run; later, it runs to its end.
    async fn run<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, JournalError> {
        let gone = || {
            JournalError::from(SqliteError::ThreadGone {
                file: self.file.clone(),
            })
        };
        if process::id() != self.process {
            return Err(gone());
        }
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |database| {
            if !answer.is_closed() {
                // The receiver may be gone.
                drop(answer.send(transact(database, behavior, work)));
            }
        });
        self.jobs.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.run(TransactionBehavior::Deferred, work).await
    }

    async fn writing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.run(TransactionBehavior::Immediate, work).await
    }
}

fn transact<T>(
    database: &mut Database,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, JournalError> {
    let file = database.file().to_owned();
    let transaction = database.begin(behavior)?;
    let done = work(&transaction).and_then(|value| {
        transaction.commit()?;
        Ok(value)
    });
    done.map_err(|failure| match failure {
        Failure::Said(error) => error,
        Failure::Sqlite(error) => SqliteError::of(&file, &error).into(),
    })
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Returns the lane's lease, if it is this one.
fn held(transaction: &Transaction<'_>, lease: &Lease) -> Result<Option<Lease>, Failure> {
    let held = read_lease(transaction, &lease.lane)?.and_then(|(_, held)| held);
    Ok(held.filter(|held| held.holder == lease.holder && held.epoch == lease.epoch))
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        let lane = *lane;
        self.writing(move |transaction| {
            let (epoch, held) = read_lease(transaction, &lane)?.unwrap_or_default();
            if let Some(held) = &held
                && held.holder != holder
                && now < held.until
            {
                return Ok(Acquired::Held {
                    holder: held.holder,
                    until: held.until,
                });
            }
            let Some(epoch) = epoch.checked_add(1) else {
                let message = format!("the lane {lane} has no epochs left");
                return Err(JournalError::Store { message }.into());
            };
            let lease = Lease {
                lane,
                holder,
                epoch,
                until,
            };
            write_lease(transaction, &lease)?;
            Ok(Acquired::Lease {
                lease,
                lapsed: held.filter(|held| held.holder != holder),
            })
        })
        .await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        let lease = lease.clone();
        self.writing(move |transaction| {
            let held = held(transaction, &lease)?.ok_or(JournalError::LeaseLost)?;
            let renewed = Lease { until, ..held };
            write_lease(transaction, &renewed)?;
            Ok(renewed)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        let lease = lease.clone();
        self.writing(move |transaction| match held(transaction, &lease)? {
            Some(held) => clear_lease(transaction, &held.lane),
            None => Ok(()),
        })
        .await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        let lease = lease.map(|(lease, now)| (lease.clone(), now));
        self.writing(move |transaction| {
            if let Some((lease, now)) = &lease
                && held(transaction, lease)?.is_none_or(|held| *now >= held.until)
            {
                return Err(JournalError::LeaseLost.into());
            }
            let mut written = Vec::with_capacity(records.len());
            for mut record in records {
                let conflict = JournalError::Conflict { id: record.id };
                if read_version(transaction, record.id)?.unwrap_or(0) != record.version {
                    return Err(conflict.into());
                }
                if let Some(name) = record.name.clone().filter(|_| record.holds_name())
                    && let Some(holder) = read_holder(transaction, &record.scope(), &name)?
                    && holder != record.id
                {
                    return Err(JournalError::NameTaken { name, holder }.into());
                }
                record.version = record.version.checked_add(1).ok_or(conflict)?;
                write(transaction, &record)?;
                // Refuse to write what cannot be read back.
                read(
                    transaction,
                    "id = :id",
                    named_params! { ":id": text(record.id.0) },
                )?;
                written.push(record);
            }
            Ok(written)
        })
        .await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.reading(move |transaction| {
            let found = read(transaction, "id = :id", named_params! { ":id": text(id.0) })?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        let (scope, name) = (*scope, name.to_owned());
        self.reading(move |transaction| {
            let Some(id) = read_holder(transaction, &scope, &name)? else {
                return Ok(None);
            };
            let found = read(transaction, "id = :id", named_params! { ":id": text(id.0) })?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        let lane = LaneKey::of(lane);
        self.reading(move |transaction| {
            read(
                transaction,
                concat!(lane_is!(), " AND is_final = 0"),
                &lane.params()[..],
            )
        })
        .await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        let scope = *scope;
        self.reading(move |transaction| {
            read(
                transaction,
                "chain_id = :chain_id AND account = :account AND signer = :signer AND request = :request
                 AND is_untold = 1",
                named_params! {
                    ":chain_id": Number(scope.chain_id),
                    ":account": text(scope.account),
                    ":signer": text(scope.signer),
                    ":request": text(request),
                },
            )
        })
        .await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.reading(move |transaction| match account {
            None => read_lanes(transaction, "is_final = 0", []),
            Some((chain_id, account)) => read_lanes(
                transaction,
                "is_final = 0 AND chain_id = :chain_id AND account = :account",
                named_params! { ":chain_id": Number(chain_id), ":account": text(account) },
            ),
        })
        .await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        let lane = LaneKey::of(lane);
        self.reading(move |transaction| {
            let highest = read(
                transaction,
                concat!("sequence = ", highest!()),
                &lane.params()[..],
            )?;
            Ok(highest.into_iter().next())
        })
        .await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        let lane = LaneKey::of(lane);
        self.writing(move |transaction| {
            transaction
                .prepare_cached(concat!(
                    "DELETE FROM intents WHERE ",
                    lane_is!(),
                    " AND is_spent = 1 AND sequence IS NOT ",
                    highest!(),
                ))?
                .execute(&lane.params()[..])?;
            Ok(())
        })
        .await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.reading(move |transaction| {
            read(
                transaction,
                "chain_id = :chain_id AND account = :account",
                named_params! { ":chain_id": Number(chain_id), ":account": text(account) },
            )
        })
        .await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.writing(move |transaction| {
            transaction
                .prepare_cached("DELETE FROM intents WHERE id = ?1")?
                .execute([text(id.0)])?;
            Ok(())
        })
        .await
    }

    async fn history(&self, chain_id: u64) -> Result<History, JournalError> {
        self.reading(move |transaction| {
            Ok(match read_bound(transaction, chain_id)? {
                Some(to) => History::Bound { to },
                None => History::Unbound {
                    made: read_made(transaction, chain_id)?,
                },
            })
        })
        .await
    }

    async fn bind(&self, chain_id: u64, block: BlockRef) -> Result<BlockRef, JournalError> {
        self.writing(move |transaction| {
            if let Some(bound) = read_bound(transaction, chain_id)? {
                return Ok(bound);
            }
            write_bound(transaction, chain_id, block)?;
            Ok(block)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Moment;
    use alloy::primitives::{FixedBytes, aliases::U192};
    use std::{future::Future, sync::Arc, task};

    /// Runs a future on this thread, without a runtime.
    fn wait<F: Future>(future: F) -> F::Output {
        struct Unpark(thread::Thread);
        impl task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(thread::current())).into();
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut task::Context::from_waker(&waker)) {
                task::Poll::Ready(value) => return value,
                task::Poll::Pending => thread::park(),
            }
        }
    }

    fn record(number: u8, grants: usize) -> IntentRecord {
        let lane = Lane {
            chain_id: 1,
            entry_point: Address::ZERO,
            account: Address::ZERO,
            nonce_key: U192::ZERO,
        };
        let asked = Moment {
            at: 0,
            process: ProcessId(FixedBytes::ZERO),
            sequence: 0,
        };
        IntentRecord {
            id: IntentId(FixedBytes::repeat_byte(number)),
            version: 0,
            lane,
            signer: Address::ZERO,
            name: None,
            request: B256::ZERO,
            grants_to: vec![Address::ZERO; grants],
            asked,
            deadline: 0,
            given_up: None,
            told: false,
            told_to: None,
            operations: Vec::new(),
        }
    }

    fn open() -> (tempfile::TempDir, SqliteJournal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = wait(SqliteJournal::open(folder.path().join("journal.db"))).unwrap();
        (folder, journal)
    }

    #[test]
    fn a_full_disk_loses_nothing() {
        let (_folder, journal) = open();
        let kept = wait(journal.put(record(1, 10), None)).unwrap();
        let set_pages = |pages: u32| {
            let set = move |transaction: &Transaction<'_>| {
                let set = format!("PRAGMA max_page_count = {pages}");
                Ok(transaction.query_row(&set, [], |row| row.get::<_, u32>(0))?)
            };
            wait(journal.reading(set)).unwrap()
        };
        // SQLite's minimum is the number of pages in use.
        set_pages(1);
        let no_room = JournalError::Store {
            message: "there is no space left for journal.db".to_owned(),
        };
        // A new record, and more data in an existing one.
        assert_eq!(wait(journal.put(record(2, 1000), None)), Err(no_room.clone()));
        let grown = IntentRecord {
            version: kept.version,
            ..record(1, 1000)
        };
        assert_eq!(wait(journal.put(grown.clone(), None)), Err(no_room));
        assert_eq!(wait(journal.intent(kept.id)).unwrap().as_ref(), Some(&kept));
        assert_eq!(wait(journal.intents(1, Address::ZERO)).unwrap(), [kept]);
        // Once there is space again, the file need not be reopened.
        set_pages(10_000);
        let grown = wait(journal.put(grown, None)).unwrap();
        assert_eq!(wait(journal.intents(1, Address::ZERO)).unwrap(), [grown]);
    }

    #[test]
    fn a_thread_that_is_gone_is_an_error() {
        let (_folder, journal) = open();
        let gone = JournalError::Store {
            message: "the thread that writes journal.db is gone".to_owned(),
        };
        let kept = wait(journal.put(record(1, 0), None)).unwrap();
        let forked = SqliteJournal {
            file: journal.file.clone(),
            jobs: journal.jobs.clone(),
            process: journal.process + 1,
        };
        assert_eq!(wait(forked.intent(kept.id)), Err(gone.clone()));
        assert_eq!(wait(journal.intent(kept.id)).unwrap(), Some(kept.clone()));
        let answer =
            wait(journal.writing(|_| -> Result<(), Failure> { panic!("a fault of the journal's own") }));
        assert_eq!(answer, Err(gone.clone()));
        assert_eq!(wait(journal.intent(kept.id)), Err(gone));
    }

    #[test]
    fn a_transaction_that_fails_is_undone() {
        let (_folder, journal) = open();
        let lane = record(1, 0).lane;
        let lease = Lease {
            lane,
            holder: ProcessId(FixedBytes::ZERO),
            epoch: 1,
            until: 100,
        };
        let answer = wait(journal.writing(move |transaction| -> Result<(), Failure> {
            write(transaction, &record(1, 0))?;
            write_lease(transaction, &lease)?;
            Err(JournalError::LeaseLost.into())
        }));
        assert_eq!(answer, Err(JournalError::LeaseLost));
        assert_eq!(wait(journal.intents(1, Address::ZERO)).unwrap(), []);
    }
}
