//! The file: creating, finding and checking it, and detecting its replacement.

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The `application_id` of the file: `SKJL`.
pub(super) const APPLICATION_ID: i32 = 0x534B_4A4C;

/// The scripts that create each version of the file (`user_version`) from the previous one.
pub(super) const VERSIONS: &[&str] = &[
    include_str!("version_1.sql"),
    include_str!("version_2.sql"),
    include_str!("version_3.sql"),
];

/// How long a transaction waits for those of other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A file of a [`SqliteJournal`](super::SqliteJournal) cannot be used.
///
/// Messages contain the file's name without its folder, and SQLite's message for the kind of error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// The path is not that of a file: it is empty, a folder, or SQLite's notation for something else.
    #[error("{file:?} is not the path of a file")]
    NotAFile {
        /// The file's name.
        file: String,
    },

    /// The file, or its folder, cannot be read or created.
    #[error("{file}: {kind}")]
    Io {
        /// The file's name.
        file: String,
        /// The operating system's message.
        kind: String,
    },

    /// The file is empty. A journal never is, so it was truncated, or created by another program.
    #[error("{file} is empty, and a journal never is; remove it only if it never held a journal")]
    Empty {
        /// The file's name.
        file: String,
    },

    /// The file is not an SQLite database.
    #[error("{file} is not an SQLite database")]
    NotADatabase {
        /// The file's name.
        file: String,
    },

    /// The file is another application's database. It was not changed.
    #[error("{file} is not a journal: its application id is {found:#010x} and not {APPLICATION_ID:#010x}")]
    NotAJournal {
        /// The file's name.
        file: String,
        /// The file's `application_id`.
        found: i32,
    },

    /// A later release created the file, or changed it since it was opened.
    #[error("{file} has version {found}, and this release knows versions 1 to {known}")]
    UnknownVersion {
        /// The file's name.
        file: String,
        /// The file's `user_version`.
        found: i32,
        /// The latest version that this release knows.
        known: i32,
    },

    /// The file is on a file system that several machines can share, or that does not guarantee shared memory
    /// between processes.
    #[error("{file} is on {file_system}; a journal must be on a local disk")]
    NotLocal {
        /// The file's name.
        file: String,
        /// The file system's name.
        file_system: String,
    },

    /// The file has several names (hard links). SQLite would keep a separate log next to each name.
    #[error("{file} has {names} names on its file system, and a journal has one")]
    SeveralNames {
        /// The file's name.
        file: String,
        /// The number of names.
        names: u64,
    },

    /// SQLite did not accept a setting that the journal's guarantees require, for example because the file
    /// system does not support it.
    #[error("{file}: SQLite has {setting} = {found} and not {wanted}")]
    Setting {
        /// The file's name.
        file: String,
        /// The setting.
        setting: String,
        /// The required value.
        wanted: String,
        /// The actual value.
        found: String,
    },

    /// The file was removed, renamed or replaced since it was opened.
    #[error("{file} was removed or replaced while it was open")]
    Replaced {
        /// The file's name.
        file: String,
    },

    /// The file is damaged.
    #[error("{file} is damaged: {problem}")]
    Damaged {
        /// The file's name.
        file: String,
        /// SQLite's message.
        problem: String,
    },

    /// The file, or its folder, is not writable.
    #[error("{file} cannot be written to")]
    ReadOnly {
        /// The file's name.
        file: String,
    },

    /// There is no space left for the file.
    #[error("there is no space left for {file}")]
    Full {
        /// The file's name.
        file: String,
    },

    /// Other processes used the file for longer than a transaction waits.
    #[error("{file} was in use by others for {} seconds", BUSY_TIMEOUT.as_secs())]
    Busy {
        /// The file's name.
        file: String,
    },

    /// The thread that owns the file has ended, or belongs to the process that this one was forked from.
    #[error("the thread that writes {file} is gone")]
    ThreadGone {
        /// The file's name.
        file: String,
    },

    /// Any other error that SQLite reports.
    #[error("{file}: {message} (SQLite's code {code})")]
    Other {
        /// The file's name.
        file: String,
        /// SQLite's extended result code; 0 if there was none.
        code: i32,
        /// SQLite's message for this code.
        message: String,
    },
}

impl SqliteError {
    /// Classifies an error of SQLite. Its own message may contain the path, and is left out.
    pub(super) fn of(file: &str, error: &rusqlite::Error) -> Self {
        let file = file.to_owned();
        let Some(failure) = error.sqlite_error() else {
            return Self::Other {
                file,
                code: 0,
                message: "the database did not answer as expected".to_owned(),
            };
        };
        let code = failure.extended_code;
        let message = rusqlite::ffi::code_to_str(code).to_owned();
        match failure.code {
            ErrorCode::DiskFull => Self::Full { file },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly { file },
            ErrorCode::DatabaseCorrupt => Self::Damaged {
                file,
                problem: message,
            },
            ErrorCode::NotADatabase => Self::NotADatabase { file },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { file },
            _ => Self::Other { file, code, message },
        }
    }

    fn io(file: &str, error: &io::Error) -> Self {
        let file = file.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { file },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { file },
            kind => Self::Io {
                file,
                kind: kind.to_string(),
            },
        }
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    /// The file's name, for errors.
    file: String,
    path: PathBuf,
    identity: Identity,
}

impl Database {
    /// Opens a journal, creating it if there is no file at this path.
    pub(super) fn open(path: &Path) -> Result<Self, SqliteError> {
        let file = name_of(path);
        let path = find(path, &file)?;
        let identity = Identity::of(&path, &file)?;
        let mut connection = connect(&path, &file)?;
        check_owner(&connection, &file)?;
        set_up(&connection, &file)?;
        check_content(&connection, &file)?;
        migrate(&mut connection, VERSIONS).map_err(|error| SqliteError::of(&file, &error))?;
        // Check that the connection is to the file that had this name.
        identity.check(&path, &file)?;
        Ok(Self {
            connection,
            file,
            path,
            identity,
        })
    }

    /// Returns the file's name.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Begins a transaction on the opened file, in the version of this release.
    pub(super) fn begin(&mut self, behavior: TransactionBehavior) -> Result<Transaction<'_>, SqliteError> {
        let failed = |error| SqliteError::of(&self.file, &error);
        self.identity.check(&self.path, &self.file)?;
        if !self.connection.is_autocommit() {
            // The end of an earlier transaction failed.
            self.connection.execute_batch("ROLLBACK").map_err(failed)?;
        }
        let transaction = self
            .connection
            .transaction_with_behavior(behavior)
            .map_err(failed)?;
        let found = pragma(&transaction, "user_version").map_err(failed)?;
        check_version(found, &self.file)?;
        Ok(transaction)
    }
}

/// Returns the file's name, without its folder.
pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Returns the file's path without links, creating the file if there is none.
fn find(path: &Path, file: &str) -> Result<PathBuf, SqliteError> {
    let not_a_file = || SqliteError::NotAFile {
        file: file.to_owned(),
    };
    let failed = |error| SqliteError::io(file, &error);
    let name = path.file_name().ok_or_else(not_a_file)?;
    if path
        .to_str()
        .is_some_and(|path| path == ":memory:" || path.starts_with("file:"))
    {
        return Err(not_a_file());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let mut path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => path = fs::canonicalize(&path).map_err(failed)?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check_file_system(&folder, file)?;
            create(&folder, &path, file)?;
        }
        Err(error) => return Err(failed(error)),
    }
    check_file_system(&path, file)?;
    let metadata = fs::metadata(&path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(not_a_file());
    }
    if metadata.len() == 0 {
        return Err(SqliteError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(path)
}

/// Creates an empty journal, readable only by its owner. It is named once it is complete, so no one sees half
/// of one, and an empty file is not mistaken for a new one.
fn create(folder: &Path, path: &Path, file: &str) -> Result<(), SqliteError> {
    let failed = |error| SqliteError::io(file, &error);
    let made = tempfile::Builder::new()
        .prefix(".journal-")
        .suffix(".new")
        .tempfile_in(folder)
        .map_err(failed)?
        .into_temp_path();
    let sqlite = |error| SqliteError::of(file, &error);
    let mut connection = connect(&made, file)?;
    migrate(&mut connection, VERSIONS).map_err(sqlite)?;
    set_up(&connection, file)?;
    connection.close().map_err(|(_, error)| sqlite(error))?;
    match made.persist_noclobber(path) {
        Ok(()) => {}
        // Another process created it first.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error.error)),
    }
    // The name must survive a loss of power too.
    #[cfg(unix)]
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)?;
    Ok(())
}

fn connect(path: &Path, file: &str) -> Result<Connection, SqliteError> {
    let failed = |error| SqliteError::of(file, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)
        .map_err(failed)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
        .map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    // SQLite opens a file that it cannot write in read-only mode.
    if connection.is_readonly("main").map_err(failed)? {
        return Err(SqliteError::ReadOnly {
            file: file.to_owned(),
        });
    }
    Ok(connection)
}

/// Refuses other applications' files before anything in them is changed.
fn check_owner(connection: &Connection, file: &str) -> Result<(), SqliteError> {
    let failed = |error| SqliteError::of(file, &error);
    let found = pragma(connection, "application_id").map_err(failed)?;
    if found != APPLICATION_ID {
        return Err(SqliteError::NotAJournal {
            file: file.to_owned(),
            found,
        });
    }
    let found = pragma(connection, "user_version").map_err(failed)?;
    if found < 1 || found > latest() {
        return Err(SqliteError::UnknownVersion {
            file: file.to_owned(),
            found,
            known: latest(),
        });
    }
    Ok(())
}

/// Applies the settings that the guarantees require, and reads them back.
fn set_up(connection: &Connection, file: &str) -> Result<(), SqliteError> {
    let failed = |error: rusqlite::Error| SqliteError::of(file, &error);
    // Processes that open a new file at the same time get "busy" here, without the wait that transactions
    // have.
    let began = Instant::now();
    let mode: String = loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)) {
            Err(error) if is_busy(&error) && began.elapsed() < BUSY_TIMEOUT => {
                thread::sleep(Duration::from_millis(5));
            }
            answer => break answer.map_err(failed)?,
        }
    };
    let check = |setting: &str, wanted: &str, found: String| {
        if found == wanted {
            Ok(())
        } else {
            let [setting, wanted] = [setting, wanted].map(str::to_owned);
            Err(SqliteError::Setting {
                file: file.to_owned(),
                setting,
                wanted,
                found,
            })
        }
    };
    check("journal_mode", "wal", mode)?;
    let settings = [
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        // Required where a plain sync leaves writes in the disk's cache.
        ("fullfsync", "1"),
        ("checkpoint_fullfsync", "1"),
    ];
    for (setting, wanted) in settings {
        connection
            .execute_batch(&format!("PRAGMA {setting} = {wanted}"))
            .map_err(failed)?;
        check(
            setting,
            wanted,
            pragma(connection, setting).map_err(failed)?.to_string(),
        )?;
    }
    Ok(())
}

/// Reads the whole file, and compares tables with their indexes: an intent missing from an index would be
/// forgotten.
fn check_content(connection: &Connection, file: &str) -> Result<(), SqliteError> {
    let failed = |error| SqliteError::of(file, &error);
    let damaged = |problem| SqliteError::Damaged {
        file: file.to_owned(),
        problem,
    };
    let problem: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    if problem != "ok" {
        return Err(damaged(problem));
    }
    let mut orphans = connection.prepare("PRAGMA foreign_key_check").map_err(failed)?;
    if orphans.exists([]).map_err(failed)? {
        return Err(damaged("it has operations without an intent".to_owned()));
    }
    Ok(())
}

/// Migrates the file to the latest version: each script in its own transaction.
fn migrate(connection: &mut Connection, versions: &[&str]) -> rusqlite::Result<()> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = pragma(&transaction, "user_version")?;
        let Some(script) = usize::try_from(version)
            .ok()
            .and_then(|version| versions.get(version))
        else {
            return Ok(());
        };
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

fn check_version(found: i32, file: &str) -> Result<(), SqliteError> {
    if found == latest() {
        Ok(())
    } else {
        Err(SqliteError::UnknownVersion {
            file: file.to_owned(),
            found,
            known: latest(),
        })
    }
}

fn latest() -> i32 {
    i32::try_from(VERSIONS.len()).unwrap_or(i32::MAX)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i32> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Distinguishes the opened file from another one of the same name. Otherwise a process that keeps writing to
/// a replaced file would confirm writes that no one can find.
#[derive(Debug)]
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl Identity {
    #[cfg(unix)]
    fn of(path: &Path, file: &str) -> Result<Self, SqliteError> {
        use std::os::unix::fs::MetadataExt;

        let metadata = fs::metadata(path).map_err(|error| SqliteError::io(file, &error))?;
        if metadata.nlink() > 1 {
            return Err(SqliteError::SeveralNames {
                file: file.to_owned(),
                names: metadata.nlink(),
            });
        }
        Ok(Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
        })
    }

    #[cfg(unix)]
    fn check(&self, path: &Path, file: &str) -> Result<(), SqliteError> {
        match Self::of(path, file) {
            Ok(found) if found.device_and_inode == self.device_and_inode => Ok(()),
            Err(error @ SqliteError::SeveralNames { .. }) => Err(error),
            _ => Err(SqliteError::Replaced {
                file: file.to_owned(),
            }),
        }
    }

    #[cfg(not(unix))]
    fn of(_path: &Path, _file: &str) -> Result<Self, SqliteError> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    fn check(&self, _path: &Path, _file: &str) -> Result<(), SqliteError> {
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn check_file_system(path: &Path, file: &str) -> Result<(), SqliteError> {
    let found = rustix::fs::statfs(path).map_err(|error| SqliteError::io(file, &error.into()))?;
    // Identifiers have 32 bits; the field's width depends on the processor.
    match shared_file_system(found.f_type as u32) {
        Some(file_system) => Err(SqliteError::NotLocal {
            file: file.to_owned(),
            file_system: file_system.to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn check_file_system(_path: &Path, _file: &str) -> Result<(), SqliteError> {
    Ok(())
}

/// File systems on which locks or shared memory do not reach everyone who can open the file, by Linux's
/// identifiers (statfs(2)).
#[cfg(target_os = "linux")]
fn shared_file_system(identifier: u32) -> Option<&'static str> {
    let known = [
        (0x0000_6969, "NFS"),
        (0x0000_517B, "SMB"),
        (0xFE53_4D42, "SMB"),
        (0xFF53_4D42, "SMB"),
        (0x0000_564C, "NCP"),
        (0x0102_1997, "9P"),
        (0x6573_5546, "FUSE"),
        (0x7375_7245, "Coda"),
        (0x5346_414F, "AFS"),
        (0x6B41_4653, "AFS"),
        (0x00C3_6400, "Ceph"),
        (0x0BD0_0BD0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x0116_1970, "GFS2"),
        (0x7461_636F, "OCFS2"),
        (0x786F_4256, "a shared folder of VirtualBox"),
        (0xBACB_ACBC, "a shared folder of VMware"),
    ];
    known
        .iter()
        .find(|(known, _)| *known == identifier)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        (folder, path)
    }

    /// Creates an empty file of version 1 with a lease.
    fn version_1(path: &Path) -> Connection {
        let mut connection = Connection::open(path).unwrap();
        connection.busy_timeout(BUSY_TIMEOUT).unwrap();
        migrate(&mut connection, &VERSIONS[..1]).unwrap();
        connection
            .execute_batch("INSERT INTO leases VALUES (1, '0xe', '0xa', '0x0', 5, NULL, NULL)")
            .unwrap();
        connection
    }

    const NEXT: &str =
        "ALTER TABLE leases ADD COLUMN note TEXT; UPDATE leases SET note = 'migrated', epoch = epoch + 1";

    fn lease(connection: &Connection) -> (i64, String) {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        connection
            .query_row("SELECT epoch, note FROM leases", [], row)
            .unwrap()
    }

    #[test]
    fn each_version_is_migrated_from_the_previous_one() {
        let (_folder, path) = folder();
        let mut connection = version_1(&path);
        assert_eq!(pragma(&connection, "user_version"), Ok(1));
        assert_eq!(pragma(&connection, "application_id"), Ok(APPLICATION_ID));
        let third = "UPDATE leases SET note = note || ' twice'";
        let versions = [VERSIONS[0], NEXT, third];
        // A second run does nothing.
        for _ in 0..2 {
            migrate(&mut connection, &versions).unwrap();
            assert_eq!(pragma(&connection, "user_version"), Ok(3));
            assert_eq!(lease(&connection), (6, "migrated twice".to_owned()));
        }
        // An older release does not downgrade it.
        migrate(&mut connection, &versions[..1]).unwrap();
        assert_eq!(pragma(&connection, "user_version"), Ok(3));
    }

    #[test]
    fn a_migration_is_atomic() {
        let (_folder, path) = folder();
        let mut connection = version_1(&path);
        let broken = format!("{NEXT}; CREATE TABLE leases (again)");
        migrate(&mut connection, &[VERSIONS[0], &broken]).unwrap_err();
        assert_eq!(pragma(&connection, "user_version"), Ok(1));
        assert!(
            connection.prepare("SELECT note FROM leases").is_err(),
            "half of version 2 is there"
        );
        migrate(&mut connection, &[VERSIONS[0], NEXT]).unwrap();
        assert_eq!(lease(&connection), (6, "migrated".to_owned()));
    }

    #[test]
    fn one_of_several_processes_migrates() {
        let (_folder, path) = folder();
        drop(version_1(&path));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let mut connection = connect(&path, "journal.db").unwrap();
                    migrate(&mut connection, &[VERSIONS[0], NEXT]).unwrap();
                });
            }
        });
        assert_eq!(
            lease(&Connection::open(&path).unwrap()),
            (6, "migrated".to_owned())
        );
    }

    #[test]
    fn a_journal_without_a_write_ahead_log_is_refused() {
        // An in-memory database has no log, like files on some file systems.
        let connection = Connection::open_in_memory().unwrap();
        let error = set_up(&connection, "journal.db").unwrap_err();
        assert_eq!(
            error.to_string(),
            "journal.db: SQLite has journal_mode = memory and not wal"
        );
    }

    #[test]
    fn the_required_settings_are_applied() {
        let (_folder, path) = folder();
        let database = Database::open(&path).unwrap();
        let settings = [
            "synchronous",
            "foreign_keys",
            "fullfsync",
            "checkpoint_fullfsync",
            "busy_timeout",
        ];
        let found = settings.map(|setting| pragma(&database.connection, setting).unwrap());
        assert_eq!(found, [2, 1, 1, 1, 5000]);
        let mode: String = database
            .connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn an_unfinished_transaction_is_rolled_back() {
        let (_folder, path) = folder();
        let mut database = Database::open(&path).unwrap();
        database
            .connection
            .execute_batch(
                "BEGIN IMMEDIATE; INSERT INTO leases VALUES (1, '0xe', '0xa', '0x0', 5, NULL, NULL)",
            )
            .unwrap();
        let transaction = database.begin(TransactionBehavior::Immediate).unwrap();
        let leases: i64 = transaction
            .query_row("SELECT count(*) FROM leases", [], |row| row.get(0))
            .unwrap();
        assert_eq!(leases, 0);
    }

    #[test]
    fn an_index_without_an_intent_is_damage() {
        let (_folder, path) = folder();
        drop(Database::open(&path).unwrap());
        let edit = |from: &str, to: &str| {
            let schema = Connection::open(&path).unwrap();
            schema.execute_batch("PRAGMA writable_schema = 1").unwrap();
            let change =
                "UPDATE sqlite_schema SET sql = replace(sql, ?1, ?2) WHERE name = 'intents_unsettled'";
            assert_eq!(schema.execute(change, [from, to]), Ok(1));
        };
        edit("is_final = 0", "is_final = 1");
        Connection::open(&path)
            .unwrap()
            .execute_batch(
                "INSERT INTO intents VALUES (1, '0x1', 1, 1, '0xe', '0xa', '0x0', '0x5', NULL, '0x0', '[]', 0, '0x0',
                     0, 0, NULL, NULL, NULL, 0, NULL, 'in_pool', 0, 0, 0, 0, NULL)",
            )
            .unwrap();
        drop(Database::open(&path).unwrap());
        edit("is_final = 1", "is_final = 0");
        let problem = "row 1 missing from index intents_unsettled".to_owned();
        let file = "journal.db".to_owned();
        assert_eq!(
            Database::open(&path).unwrap_err(),
            SqliteError::Damaged { file, problem }
        );
    }

    #[test]
    fn an_operation_without_an_intent_is_damage() {
        let (_folder, path) = folder();
        drop(Database::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA foreign_keys = 0;
                 INSERT INTO operations (intent, position, hash, nonce, operation, made_number, made_hash, handover)
                 VALUES ('0x1', 0, '0x2', '0x3', '{}', 1, '0x4', '{}')",
            )
            .unwrap();
        let problem = "it has operations without an intent".to_owned();
        let file = "journal.db".to_owned();
        assert_eq!(
            Database::open(&path).unwrap_err(),
            SqliteError::Damaged { file, problem }
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn shared_file_systems_are_recognized() {
        assert_eq!(shared_file_system(0x6969), Some("NFS"));
        assert_eq!(shared_file_system(0x6573_5546), Some("FUSE"));
        // ext4, XFS, Btrfs, ZFS, tmpfs, overlayfs.
        for local in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x2FC1_2FC1,
            0x0102_1994,
            0x794C_7630,
        ] {
            assert_eq!(shared_file_system(local), None, "{local:#x}");
        }
    }
}
