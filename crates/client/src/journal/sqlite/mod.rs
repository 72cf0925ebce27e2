//! The journal of one machine: an SQLite file that several processes may share.

mod file;
mod rows;

pub use file::SqliteError;

use super::{Acquired, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId, Scope};
use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use file::{Database, name_of};
use rows::{
    LaneKey, Number, clear_lease, highest, lane_is, read, read_holder, read_lanes, read_lease, read_version,
    text, write, write_lease,
};
use rusqlite::{Transaction, TransactionBehavior, named_params};
use std::{fmt, path::PathBuf, process, sync::mpsc, thread};
use tokio::sync::oneshot;

pub struct SqliteJournal {
    file: String,
    jobs: mpsc::Sender<Job>,
    /// The process that has the thread; one that was forked from it has not.
    process: u32,
}

/// Something for the thread to do. It answers for itself.
type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// Why a transaction was not committed.
#[derive(Debug)]
enum Failure {
    /// For a reason of the journal's own.
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

    /// Carries out a transaction on the thread. If the future is dropped before the transaction has begun, there is none; later,
    /// it runs to its end.
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
                // Nobody may be left to read it.
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

/// The lease that a lane is held by, if it is this one.
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

    async fn put(
        &self,
        mut record: IntentRecord,
        lease: Option<(&Lease, u64)>,
    ) -> Result<IntentRecord, JournalError> {
        let lease = lease.map(|(lease, now)| (lease.clone(), now));
        self.writing(move |transaction| {
            if let Some((lease, now)) = &lease
                && held(transaction, lease)?.is_none_or(|held| *now >= held.until)
            {
                return Err(JournalError::LeaseLost.into());
            }
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
            // What cannot be read again is not written.
            read(
                transaction,
                "id = :id",
                named_params! { ":id": text(record.id.0) },
            )?;
            Ok(record)
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
}
