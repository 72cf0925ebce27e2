//! The journal's file: shared, killed, damaged, full, and not one's own.

use rusqlite::Connection;
use session_key_client::{
    SignedOperation, UserOperation,
    alloy::primitives::{Address, B256, FixedBytes, U256, aliases::U192},
    journal::{
        Acquired, BlockRef, Handover, IntentId, IntentRecord, Journal, JournalError, Lane, Moment, NoncePast,
        OperationRecord, ProcessId, SqliteError, SqliteJournal, TransactionRecord, VoidDepth,
    },
    operation::{Included, NotTaken, NotTakenReason, Void},
    permissions::Verdict,
    submit::Receipt,
    transaction::SignedTransaction,
};
use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    pin::pin,
    process::{Command, Stdio},
    sync::{Arc, Barrier, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Runs a future on this thread, without any runtime: a journal must not need one.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

pub(super) fn open(path: &Path) -> Result<SqliteJournal, SqliteError> {
    wait(SqliteJournal::open(path))
}

pub(super) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    (folder, path)
}

fn lane(account: u8) -> Lane {
    Lane {
        chain_id: 10,
        entry_point: Address::repeat_byte(0xEE),
        account: Address::repeat_byte(account),
        nonce_key: U192::from(7),
    }
}

const fn moment(at: u64) -> Moment {
    Moment {
        at,
        process: ProcessId(FixedBytes::repeat_byte(0xAA)),
        sequence: 1,
    }
}

/// A record with an operation that is in a pool.
pub(super) fn record(account: u8, number: u64) -> IntentRecord {
    let mut id = [account; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    let mut hash = [account; 32];
    hash[24..].copy_from_slice(&number.to_be_bytes());
    let operation = UserOperation {
        sender: Address::repeat_byte(account),
        nonce: U256::from(7) << 64 | U256::from(number),
        call_data: vec![0xCA; 100].into(),
        signature: vec![0x51; 65].into(),
        ..UserOperation::default()
    };
    IntentRecord {
        id: IntentId(FixedBytes(id)),
        version: 0,
        lane: lane(account),
        signer: Address::repeat_byte(0x55),
        name: None,
        request: B256::repeat_byte(0x0E),
        grants_to: Vec::new(),
        asked: moment(1_700_000_000_123),
        deadline: 1_700_000_090_123,
        given_up: None,
        told: false,
        told_to: None,
        operations: vec![OperationRecord {
            signed: SignedOperation {
                operation,
                hash: B256::from(hash),
            },
            made: BlockRef {
                number: 100,
                hash: B256::repeat_byte(0xB0),
            },
            doubt: None,
            handover: Handover::InPool,
            nonce_past: None,
            nonce_gap: None,
            void: None,
            included: None,
        }],
    }
}

fn put(journal: &SqliteJournal, record: IntentRecord) -> IntentRecord {
    wait(journal.put(record, None)).unwrap()
}

fn intent(journal: &SqliteJournal, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
    wait(journal.intent(id))
}

/// The words of an error of the store.
fn store_error<T: std::fmt::Debug>(answer: Result<T, JournalError>) -> String {
    match answer {
        Err(JournalError::Store { message }) => message,
        other => panic!("the store should have failed: {other:?}"),
    }
}

/// A file with records in it, closed, with all of them.
fn filled(path: &Path) -> Vec<IntentRecord> {
    let journal = open(path).unwrap();
    let records: Vec<_> = (0..40).map(|number| put(&journal, record(1, number))).collect();
    close(journal, path);
    records
}

/// Drops a journal and waits for its thread to close the file, which removes the log. Of two that close a
/// file at the same instant, each can take the other for still open and leave the log: then whoever opens it
/// next removes it.
fn close(journal: SqliteJournal, path: &Path) {
    drop(journal);
    let log = beside(path, "-wal");
    for _ in 0..10 {
        let began = Instant::now();
        while log.exists() && began.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(1));
        }
        if !log.exists() {
            return;
        }
        drop(open(path).unwrap());
    }
    panic!("the file was not closed");
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[test]
fn two_journals_on_one_file_see_each_other() {
    let (_folder, path) = folder();
    let [one, other] = [open(&path).unwrap(), open(&path).unwrap()];
    let mine = put(&one, record(1, 1));
    assert_eq!(intent(&other, mine.id).unwrap(), Some(mine.clone()));
    let changed = put(
        &other,
        IntentRecord {
            told: true,
            ..mine.clone()
        },
    );
    let stale = wait(one.put(mine.clone(), None));
    assert_eq!(stale, Err(JournalError::Conflict { id: mine.id }));
    assert_eq!(intent(&one, mine.id).unwrap(), Some(changed));
    let [first, second] = [1, 2].map(|byte| ProcessId(FixedBytes::repeat_byte(byte)));
    let taken = wait(one.acquire(&lane(1), first, 100, 200)).unwrap();
    assert!(matches!(taken, Acquired::Lease { .. }), "{taken:?}");
    let held = wait(other.acquire(&lane(1), second, 199, 300)).unwrap();
    assert_eq!(
        held,
        Acquired::Held {
            holder: first,
            until: 200
        }
    );
}

#[test]
fn a_file_that_is_opened_again_holds_all_that_was_written() {
    let (_folder, path) = folder();
    let records = filled(&path);
    let [holder, other] = [1, 2].map(|byte| ProcessId(FixedBytes::repeat_byte(byte)));
    let journal = open(&path).unwrap();
    let Acquired::Lease { lease, .. } = wait(journal.acquire(&lane(1), holder, 0, 500)).unwrap() else {
        panic!("nobody has the lane");
    };
    // While the first is open as well: its log was not merged yet.
    let again = open(&path).unwrap();
    assert_eq!(wait(again.unsettled(&lane(1))).unwrap(), records);
    close_all([journal, again], &path);
    let journal = open(&path).unwrap();
    assert_eq!(wait(journal.unsettled(&lane(1))).unwrap(), records);
    let held = wait(journal.acquire(&lane(1), other, 499, 900)).unwrap();
    assert_eq!(held, Acquired::Held { holder, until: 500 });
    wait(journal.release(&lease)).unwrap();
    close(journal, &path);
    // Epochs go on.
    let journal = open(&path).unwrap();
    match wait(journal.acquire(&lane(1), other, 0, 900)).unwrap() {
        Acquired::Lease {
            lease: next,
            lapsed: None,
        } => assert!(next.epoch > lease.epoch),
        other => panic!("the lane was given back: {other:?}"),
    }
}

fn close_all<const N: usize>(journals: [SqliteJournal; N], path: &Path) {
    for (index, journal) in journals.into_iter().enumerate() {
        if index == N - 1 {
            close(journal, path)
        } else {
            drop(journal)
        }
    }
}

#[test]
fn many_may_open_a_file_that_is_not_there_yet() {
    for _ in 0..10 {
        let (folder, path) = folder();
        let barrier = Arc::new(Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (path, barrier) = (path.clone(), barrier.clone());
                thread::spawn(move || {
                    barrier.wait();
                    let journal = open(&path).unwrap();
                    put(&journal, record(1, number));
                    journal
                })
            })
            .collect();
        let journals: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for journal in &journals {
            assert_eq!(wait(journal.unsettled(&lane(1))).unwrap().len(), 8);
        }
        let left: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("journal.db"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

const CHILD_PATH: &str = "SESSION_KEY_TEST_JOURNAL";
const CHILD_NUMBER: &str = "SESSION_KEY_TEST_CHILD";

/// Writes until it is killed, and says what was acknowledged.
#[test]
#[ignore = "runs in a process of its own, which another test kills"]
fn child_that_writes_until_it_is_killed() {
    let path = std::env::var_os(CHILD_PATH).unwrap();
    let number: u8 = std::env::var(CHILD_NUMBER).unwrap().parse().unwrap();
    let journal = open(Path::new(&path)).unwrap();
    let say = |kind: &str, written: &IntentRecord| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {kind} {} {}", written.id, written.version).unwrap();
        out.flush().unwrap();
    };
    let shared = record(0, 0);
    let Ok(began) = std::time::UNIX_EPOCH.elapsed() else {
        panic!("the clock is before 1970");
    };
    let mut next = u64::try_from(began.as_micros()).unwrap();
    // Others may keep the file for long: what was not written need not be there.
    let put = |record: IntentRecord| {
        loop {
            match wait(journal.put(record.clone(), None)) {
                Err(JournalError::Store { message }) if message.contains("in use") => {}
                answer => break answer,
            }
        }
    };
    loop {
        // One of its own, which changes.
        let mut own = put(record(number, next)).unwrap();
        next += 1;
        say("own", &own);
        own.operations.push(OperationRecord {
            handover: Handover::NoAnswer,
            ..own.operations[0].clone()
        });
        say("own", &put(own).unwrap());
        // And one that all of them change.
        loop {
            let mut counted = intent(&journal, shared.id).unwrap().unwrap();
            counted.deadline += 1;
            match put(counted) {
                Ok(counted) => break say("shared", &counted),
                Err(JournalError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_processes_are_killed() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let shared = put(
        &journal,
        IntentRecord {
            deadline: 0,
            ..record(0, 0)
        },
    );
    let first = shared.version;
    // Nobody has it open when the last child dies: the next one has to recover the log.
    close(journal, &path);
    let mut own: BTreeMap<String, u64> = BTreeMap::new();
    let mut counted = Vec::new();
    for round in 0..4 {
        let mut children: Vec<_> = (1..=3)
            .map(|number: u8| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", CHILD, "--ignored", "--nocapture"])
                    .env(CHILD_PATH, &path)
                    .env(CHILD_NUMBER, number.to_string())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let (wrote, written) = mpsc::channel();
        let readers: Vec<_> = children
            .iter_mut()
            .map(|child| {
                let out = BufReader::new(child.stdout.take().unwrap());
                let wrote = wrote.clone();
                thread::spawn(move || {
                    let mut lines = Vec::new();
                    for line in out.lines().map_while(Result::ok) {
                        lines.push(line);
                        if lines.len() == 20 {
                            wrote.send(()).unwrap();
                        }
                    }
                    lines
                })
            })
            .collect();
        for _ in &children {
            written
                .recv_timeout(Duration::from_secs(60))
                .expect("a child writes nothing");
        }
        thread::sleep(Duration::from_millis(round * 7));
        for child in &mut children {
            // SIGKILL: no handler, no flush, no farewell.
            child.kill().unwrap();
            assert!(
                !child.wait().unwrap().success(),
                "it should have run until it was killed"
            );
        }
        for reader in readers {
            let lines = reader.join().unwrap();
            for line in &lines {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["acknowledged", "own", id, version] => {
                        own.insert(id.to_owned(), version.parse().unwrap());
                    }
                    ["acknowledged", "shared", _, version] => counted.push(version.parse::<u64>().unwrap()),
                    _ => {}
                }
            }
        }

        let journal = open(&path).unwrap();
        for (id, version) in &own {
            let id = IntentId(id.parse().unwrap());
            let kept = intent(&journal, id)
                .unwrap()
                .unwrap_or_else(|| panic!("intent {id} was lost"));
            assert!(
                kept.version >= *version,
                "version {version} of intent {id} was lost"
            );
            assert_eq!(
                kept.operations.len() as u64,
                kept.version,
                "half of a change was kept"
            );
        }
        let kept = intent(&journal, shared.id).unwrap().unwrap();
        assert_eq!(
            kept.deadline,
            kept.version - first,
            "a change was lost, or was made twice"
        );
        assert!(counted.iter().all(|version| *version <= kept.version));
        let mut distinct = counted.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), counted.len(), "a version was acknowledged to two");
        // Each of three children may have been killed between writing and saying so, in each round.
        let unsaid = kept.deadline - counted.len() as u64;
        assert!(unsaid <= 3 * (round + 1), "{unsaid} changes were not asked for");
        close(journal, &path);
    }
}

/// The name of the test that is the child.
const CHILD: &str = "journal::sqlite::child_that_writes_until_it_is_killed";

#[test]
fn a_dropped_future_leaves_a_whole_record_or_none() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let blocker = Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let [begun, queued] = [record(1, 1), record(1, 2)];
    {
        // The first waits for the file, the second for the first.
        let mut first = pin!(journal.put(begun.clone(), None));
        let mut second = pin!(journal.put(queued.clone(), None));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        thread::sleep(Duration::from_millis(200));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
    }
    blocker.execute_batch("COMMIT").unwrap();
    let written = IntentRecord { version: 1, ..begun };
    assert_eq!(
        intent(&journal, written.id).unwrap(),
        Some(written),
        "it had begun, so it is whole"
    );
    assert_eq!(intent(&journal, queued.id).unwrap(), None, "it had not begun");
}

#[test]
fn a_file_that_others_keep_is_busy_after_a_while() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let kept = put(&journal, record(1, 1));
    let blocker = Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let message = store_error(wait(journal.put(record(1, 2), None)));
    assert_eq!(message, "journal.db was in use by others for 5 seconds");
    assert!(began.elapsed() >= Duration::from_secs(4), "it did not wait");
    // Reading does not wait for writers.
    assert_eq!(intent(&journal, kept.id).unwrap(), Some(kept));
    blocker.execute_batch("ROLLBACK").unwrap();
    put(&journal, record(1, 2));
}

#[test]
fn what_is_not_a_file_is_refused() {
    let (folder, _) = folder();
    for path in [
        "",
        ":memory:",
        "file::memory:",
        "file:journal.db?mode=memory",
        "/",
        "..",
    ] {
        let error = open(Path::new(path)).unwrap_err();
        assert!(matches!(error, SqliteError::NotAFile { .. }), "{path}: {error:?}");
    }
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, SqliteError::NotAFile { .. }), "{error:?}");
    let error = open(&folder.path().join("missing/journal.db")).unwrap_err();
    assert!(matches!(error, SqliteError::Io { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "journal.db: entity not found",
        "the folder is not told"
    );
    let error = open(Path::new("journal\0.db")).unwrap_err();
    assert!(matches!(error, SqliteError::Io { .. }), "{error:?}");
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let (_folder, path) = folder();
    let make = |content: &dyn Fn(&Connection)| {
        _ = fs::remove_file(&path);
        content(&Connection::open(&path).unwrap());
        fs::read(&path).unwrap()
    };
    let refused = |before: Vec<u8>| {
        let error = open(&path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), before, "it was changed");
        error
    };
    let file = || "journal.db".to_owned();

    // Without an application id, with another one, and with the tables of a journal but not its id.
    let before = make(&|other| other.execute_batch("CREATE TABLE notes (text)").unwrap());
    assert_eq!(
        refused(before),
        SqliteError::NotAJournal {
            file: file(),
            found: 0
        }
    );
    let before = make(&|other| {
        other
            .execute_batch("CREATE TABLE notes (text); PRAGMA application_id = 7")
            .unwrap()
    });
    let error = refused(before);
    assert_eq!(
        error,
        SqliteError::NotAJournal {
            file: file(),
            found: 7
        }
    );
    assert_eq!(
        error.to_string(),
        "journal.db is not a journal: its application id is 0x00000007 and not 0x534b4a4c"
    );
    for (version, known) in [(4, 3), (i32::MAX, 3), (0, 3), (-1, 3)] {
        let before = make(&|other| {
            other.execute_batch("PRAGMA application_id = 0x534B4A4C").unwrap();
            other.pragma_update(None, "user_version", version).unwrap();
        });
        let found = version;
        assert_eq!(
            refused(before),
            SqliteError::UnknownVersion {
                file: file(),
                found,
                known
            }
        );
    }

    fs::remove_file(&path).unwrap();
    fs::write(&path, "not a database, but some kilobytes of text\n".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(refused(before), SqliteError::NotADatabase { file: file() });
    fs::write(&path, "").unwrap();
    assert_eq!(refused(Vec::new()), SqliteError::Empty { file: file() });
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let (_folder, path) = folder();
    let records = filled(&path);
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 8 * 4096, "it should have several pages");
    let pages = (0..whole.len()).step_by(4096);
    for length in pages.chain([
        1,
        15,
        16,
        99,
        100,
        4095,
        4097,
        whole.len() - 1,
        whole.len() - 4095,
    ]) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = match open(&path) {
            Err(error) => error,
            // SQLite reads zeros where the last page ends early.
            Ok(journal) => {
                assert!(whole.len() - length < 4096, "it was cut at {length} bytes");
                match wait(journal.unsettled(&lane(1))) {
                    Ok(found) => assert_eq!(found, records, "it was cut at {length} bytes"),
                    Err(error) => assert!(matches!(error, JournalError::Unreadable { .. }), "{error:?}"),
                }
                close(journal, &path);
                continue;
            }
        };
        let is_typed = matches!(
            error,
            SqliteError::Empty { .. } | SqliteError::Damaged { .. } | SqliteError::NotADatabase { .. }
        );
        // Less than the smallest page is a database without content to SQLite.
        let is_typed = is_typed || length < 512 && matches!(error, SqliteError::NotAJournal { found: 0, .. });
        assert!(is_typed, "{length}: {error:?}");
        assert_eq!(fs::read(&path).unwrap(), whole[..length], "it was changed");
    }
    fs::write(&path, &whole).unwrap();
    open(&path).unwrap();
}

/// A changed byte may change what a record says, or nothing. It never makes a record disappear,
/// and nothing panics.
#[test]
fn a_file_with_changed_bytes_loses_nothing_in_silence() {
    let (_folder, path) = folder();
    let records = filled(&path);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    let mut unreadable = 0;
    let mut tried = 0;
    // Some of the header, and some everywhere.
    for position in (0..100).step_by(3).chain((100..whole.len()).step_by(397)) {
        let mut changed = whole.clone();
        changed[position] ^= 1 << (position % 8);
        fs::write(&path, &changed).unwrap();
        tried += 1;
        match open(&path) {
            Err(_) => refused += 1,
            Ok(journal) => {
                match wait(journal.unsettled(&lane(1))) {
                    Ok(found) => {
                        assert_eq!(found.len(), records.len(), "byte {position}: records are missing")
                    }
                    Err(JournalError::Unreadable { message }) => {
                        assert!(message.contains("intent"), "{message}");
                        unreadable += 1;
                    }
                    Err(JournalError::Store { .. }) => refused += 1,
                    Err(error) => panic!("byte {position}: {error}"),
                }
                close(journal, &path);
            }
        }
        for suffix in ["-wal", "-shm"] {
            _ = fs::remove_file(beside(&path, suffix));
        }
    }
    assert!(
        refused > tried / 10 && unreadable > tried / 10,
        "{tried}: {refused} {unreadable}"
    );
}

#[test]
fn a_damaged_record_is_named_and_can_be_removed() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let [damaged, sound, elsewhere] =
        [record(1, 1), record(1, 2), record(2, 1)].map(|record| put(&journal, record));
    let editor = Connection::open(&path).unwrap();
    editor
        .execute_batch("PRAGMA ignore_check_constraints = 1")
        .unwrap();
    let id = damaged.id.to_string();
    let changes = [
        "UPDATE intents SET version = -1",
        "UPDATE intents SET signer = '0x12'",
        "UPDATE intents SET signer = upper(signer)",
        "UPDATE intents SET signer = substr(signer, 3)",
        "UPDATE intents SET signer = ''",
        "UPDATE intents SET request = request || '00'",
        "UPDATE intents SET grants_to = '[1]'",
        "UPDATE intents SET grants_to = '{'",
        "UPDATE intents SET asked_at = 'soon'",
        "UPDATE intents SET asked_at = 1.5",
        "UPDATE intents SET asked_at = '5'",
        "UPDATE intents SET asked_at = '99999999999999999999'",
        "UPDATE intents SET asked_at = x'00'",
        "UPDATE intents SET asked_process = 'zz'",
        "UPDATE intents SET deadline = -5",
        "UPDATE intents SET given_up_at = 5",
        "UPDATE intents SET given_up_at = 5, given_up_process = asked_process",
        "UPDATE intents SET told = 2",
        "UPDATE intents SET told_to = 'nobody'",
        "UPDATE intents SET name = CAST(x'FF' AS TEXT)",
        // What follows from the rest does not.
        "UPDATE intents SET state = 'void'",
        "UPDATE intents SET is_spent = 1",
        "UPDATE intents SET is_untold = 1",
        "UPDATE intents SET holds_name = 1",
        "UPDATE intents SET included_nonce = '0x00'",
        "DELETE FROM operations",
        "UPDATE operations SET position = 1",
        "UPDATE operations SET hash = 'hash'",
        "UPDATE operations SET nonce = replace(nonce, '1', '2')",
        "UPDATE operations SET operation = json_remove(operation, '$.signature')",
        "UPDATE operations SET operation = json_set(operation, '$.nonce', '0x5')",
        "UPDATE operations SET operation = 'null'",
        "UPDATE operations SET operation = CAST(x'80' AS TEXT)",
        "UPDATE operations SET made_number = -1",
        "UPDATE operations SET made_hash = '0x'",
        "UPDATE operations SET doubt = '{\"verdict\":\"later\"}'",
        "UPDATE operations SET handover = '{\"state\":\"lost\"}'",
        "UPDATE operations SET nonce_past = '{\"number\":1}'",
        "UPDATE operations SET void = '{}'",
        "UPDATE operations SET included = '[]'",
    ];
    for change in changes {
        let column = if change.contains(" intents ") {
            "id"
        } else {
            "intent"
        };
        editor.execute_batch("SAVEPOINT sound").unwrap();
        let changed = editor
            .execute(&format!("{change} WHERE {column} = ?1"), [&id])
            .unwrap();
        assert_eq!(changed, 1, "{change}");
        editor.execute_batch("RELEASE sound").unwrap();

        for answer in [
            intent(&journal, damaged.id).map(|_| ()),
            wait(journal.unsettled(&lane(1))).map(|_| ()),
            wait(journal.intents(10, lane(1).account)).map(|_| ()),
        ] {
            match answer {
                Err(JournalError::Unreadable { message }) => {
                    assert!(message.contains(&id), "{change}: {message}");
                }
                other => panic!("{change}: {other:?}"),
            }
        }
        // The others are not concerned.
        assert_eq!(
            intent(&journal, sound.id).unwrap().as_ref(),
            Some(&sound),
            "{change}"
        );
        let found = wait(journal.unsettled(&lane(2))).unwrap();
        assert_eq!(found, std::slice::from_ref(&elsewhere), "{change}");

        wait(journal.remove(damaged.id)).unwrap();
        assert_eq!(intent(&journal, damaged.id).unwrap(), None);
        put(
            &journal,
            IntentRecord {
                version: 0,
                ..damaged.clone()
            },
        );
    }
    // Its order and version are as they were: it was written anew.
    assert_eq!(intent(&journal, damaged.id).unwrap(), Some(damaged));
}

#[test]
fn a_record_without_a_readable_identifier_is_named_by_its_row() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    put(&journal, record(1, 1));
    let editor = Connection::open(&path).unwrap();
    editor
        .execute_batch(
            "PRAGMA foreign_keys = 0; UPDATE intents SET id = 'lost'; UPDATE operations SET intent = 'lost'",
        )
        .unwrap();
    let expected = "the intent in row 1: its column id was damaged, or written by a later version";
    let answer = wait(journal.unsettled(&lane(1)));
    assert_eq!(
        answer,
        Err(JournalError::Unreadable {
            message: expected.to_owned()
        })
    );
    // A lane that cannot be read is not left out either.
    editor
        .execute_batch("UPDATE intents SET nonce_key = 'lost'")
        .unwrap();
    let answer = wait(journal.unsettled_lanes(None));
    assert!(
        matches!(answer, Err(JournalError::Unreadable { .. })),
        "{answer:?}"
    );
}

#[test]
fn a_damaged_lease_is_not_taken() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let holder = ProcessId(FixedBytes::repeat_byte(1));
    let taken = wait(journal.acquire(&lane(1), holder, 0, 100)).unwrap();
    let Acquired::Lease { lease, .. } = taken else {
        panic!("{taken:?}");
    };
    let editor = Connection::open(&path).unwrap();
    for change in ["epoch = -1", "holder = 'me'", "until = 'later'", "until = NULL"] {
        editor
            .execute_batch(&format!("UPDATE leases SET {change}"))
            .unwrap();
        for answer in [
            wait(journal.acquire(&lane(1), holder, 500, 600)).map(|_| ()),
            wait(journal.renew(&lease, 600)).map(|_| ()),
            wait(journal.put(record(1, 1), Some((&lease, 50)))).map(|_| ()),
        ] {
            match answer {
                Err(JournalError::Unreadable { message }) => assert!(message.contains("lease"), "{message}"),
                other => panic!("{change}: {other:?}"),
            }
        }
        let sound = "epoch = 1, holder = '0x01010101010101010101010101010101', until = 100";
        editor
            .execute_batch(&format!("UPDATE leases SET {sound}"))
            .unwrap();
    }
    wait(journal.renew(&lease, 600)).unwrap();
    editor
        .execute_batch(&format!("UPDATE leases SET epoch = {}", i64::MAX))
        .unwrap();
    let next = wait(journal.acquire(&lane(1), holder, 0, 100)).unwrap();
    let expected = i64::MAX as u64 + 1;
    assert!(
        matches!(next, Acquired::Lease { lease, .. } if lease.epoch == expected),
        "epochs do not wrap"
    );
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    put(&journal, record(1, 1));
    for suffix in ["", "-wal", "-shm"] {
        let metadata = fs::metadata(beside(&path, suffix)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "journal.db{suffix}");
        assert_eq!(metadata.nlink(), 1);
    }
    // A file that somebody opened to others keeps its mode.
    close(journal, &path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[cfg(unix)]
#[test]
fn a_file_has_one_name() {
    let (folder, path) = folder();
    let other = folder.path().join("other.db");
    filled(&path);
    // A link to a path is that path.
    std::os::unix::fs::symlink(&path, &other).unwrap();
    let [journal, linked] = [&path, &other].map(|path| open(path).unwrap());
    let written = put(&linked, record(1, 100));
    assert_eq!(intent(&journal, written.id).unwrap(), Some(written));
    assert!(
        !beside(&other, "-wal").exists(),
        "its log is beside the other name"
    );
    // A second name is not.
    fs::remove_file(&other).unwrap();
    fs::hard_link(&path, &other).unwrap();
    let names = SqliteError::SeveralNames {
        file: "other.db".to_owned(),
        names: 2,
    };
    assert_eq!(open(&other).unwrap_err(), names);
    let message = store_error(wait(journal.put(record(1, 101), None)));
    assert_eq!(
        message,
        "journal.db has 2 names on its file system, and a journal has one"
    );
    fs::remove_file(&other).unwrap();
    put(&journal, record(1, 101));
    // A link to nothing is not a place for a new file.
    std::os::unix::fs::symlink(folder.path().join("nothing.db"), &other).unwrap();
    let error = open(&other).unwrap_err();
    assert!(matches!(error, SqliteError::Io { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_file_that_was_taken_away_is_not_written_to() {
    let (folder, path) = folder();
    let moved = folder.path().join("moved.db");
    let journal = open(&path).unwrap();
    let kept = put(&journal, record(1, 1));
    let replaced = "journal.db was removed or replaced while it was open";
    fs::rename(&path, &moved).unwrap();
    assert_eq!(store_error(wait(journal.put(record(1, 2), None))), replaced);
    assert_eq!(store_error(intent(&journal, kept.id)), replaced);
    // Another file has its name.
    fs::write(&path, "").unwrap();
    assert_eq!(store_error(wait(journal.put(record(1, 2), None))), replaced);
    fs::remove_file(&path).unwrap();
    fs::rename(&moved, &path).unwrap();
    put(&journal, record(1, 2));
    fs::remove_file(&path).unwrap();
    assert_eq!(store_error(wait(journal.put(record(1, 3), None))), replaced);
}

/// Runs something as a user to whom read-only files are read-only.
#[cfg(target_os = "linux")]
fn as_ordinary_user<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                // Of this thread, and of those that it starts.
                let nobody = Some(rustix::process::Uid::from_raw(65_534));
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work()
        });
        worker.join().unwrap()
    })
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, path) = folder();
    let records = filled(&path);
    let set = |folder_mode, file_mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(file_mode)).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(folder_mode)).unwrap();
    };
    let refused = |path: &Path| as_ordinary_user(|| open(path).unwrap_err());
    let read_only = SqliteError::ReadOnly {
        file: "journal.db".to_owned(),
    };
    // The file; the folder, in which the log would be; both.
    for (folder_mode, file_mode) in [(0o777, 0o444), (0o555, 0o666), (0o555, 0o444)] {
        set(folder_mode, file_mode);
        assert_eq!(refused(&path), read_only, "{folder_mode:o} {file_mode:o}");
    }
    // Not even read: SQLite's own message would tell the folder.
    set(0o777, 0o000);
    let error = refused(&path);
    assert_eq!(
        error.to_string(),
        "journal.db: unable to open database file (SQLite's code 14)"
    );
    set(0o555, 0o444);
    // A new file in that folder.
    let other = folder.path().join("other.db");
    assert_eq!(
        refused(&other),
        SqliteError::ReadOnly {
            file: "other.db".to_owned()
        }
    );
    set(0o777, 0o666);
    let found = as_ordinary_user(|| wait(open(&path).unwrap().unsettled(&lane(1))).unwrap());
    assert_eq!(found, records);
}

#[test]
fn a_later_release_may_change_the_file_while_it_is_open() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let kept = put(&journal, record(1, 1));
    let later = Connection::open(&path).unwrap();
    later.execute_batch("PRAGMA user_version = 4").unwrap();
    let message = "journal.db has version 4, and this release knows versions 1 to 3";
    assert_eq!(store_error(wait(journal.put(record(1, 2), None))), message);
    assert_eq!(store_error(intent(&journal, kept.id)), message);
}

#[test]
fn a_file_in_another_journal_mode_is_set_right() {
    let (_folder, path) = folder();
    let records = filled(&path);
    let mode = |wanted: &str| -> String {
        let other = Connection::open(&path).unwrap();
        other
            .query_row(&format!("PRAGMA journal_mode{wanted}"), [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(mode(""), "wal");
    assert_eq!(mode(" = DELETE"), "delete");
    let journal = open(&path).unwrap();
    assert_eq!(mode(""), "wal");
    assert_eq!(wait(journal.unsettled(&lane(1))).unwrap(), records);
}

#[test]
fn a_person_can_read_it() {
    let (_folder, path) = folder();
    let journal = open(&path).unwrap();
    let mut rent = IntentRecord {
        name: Some("rent".to_owned()),
        ..record(1, 1)
    };
    let hash = rent.operations[0].signed.hash;
    rent.operations[0].included = Some(included(&rent, false));
    rent.given_up = Some(moment(1_700_000_100_000));
    put(&journal, rent);
    let mut refused = record(1, 2);
    refused.operations[0].handover = not_taken();
    put(&journal, refused);
    let lane = lane(1);
    wait(journal.acquire(
        &lane,
        ProcessId(FixedBytes::repeat_byte(0x11)),
        0,
        1_700_000_120_500,
    ))
    .unwrap();

    let reader = Connection::open(&path).unwrap();
    let row = |query: &str| -> Vec<String> {
        let mut statement = reader.prepare(query).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let row = rows.next().unwrap().unwrap();
        let text = |column| match row.get_ref(column).unwrap() {
            rusqlite::types::ValueRef::Null => "-".to_owned(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            value => value.as_str().unwrap().to_owned(),
        };
        (0..columns).map(text).collect()
    };
    assert_eq!(
        row(
            "SELECT id, name, state, is_final, chain_id, account, asked, deadline, given_up, operations, hash
             FROM intent_list"
        ),
        [
            "0x01010101010101010000000000000001",
            "rent",
            "reverted",
            "0",
            "10",
            "0x0101010101010101010101010101010101010101",
            "2023-11-14T22:13:20.123Z",
            "2023-11-14T22:14:50.123Z",
            "2023-11-14T22:15:00.000Z",
            "1",
            &hash.to_string(),
        ]
    );
    assert_eq!(
        row(
            "SELECT hash, nonce_key, nonce_sequence, state, said, made_at_block, block, transaction_hash
             FROM operation_list"
        ),
        [
            &*hash.to_string(),
            "0x000000000000000000000000000000000000000000000007",
            "0x0000000000000001",
            "reverted",
            "-",
            "100",
            "101",
            &B256::repeat_byte(0x7A).to_string(),
        ]
    );
    assert_eq!(
        row("SELECT state, said, block FROM operation_list WHERE position = 0 ORDER BY hash DESC"),
        ["not_taken", "too many", "-"]
    );
    assert_eq!(
        row("SELECT account, epoch, holder, until FROM lease_list"),
        [
            "0x0101010101010101010101010101010101010101",
            "1",
            "0x11111111111111111111111111111111",
            "2023-11-14T22:15:20.500Z",
        ]
    );
}

fn included(record: &IntentRecord, success: bool) -> Included {
    Included {
        receipt: Receipt {
            user_op_hash: record.operations[0].signed.hash,
            sender: record.lane.account,
            nonce: record.operations[0].nonce(),
            paymaster: None,
            actual_gas_cost: U256::from(21),
            actual_gas_used: U256::from(3),
            transaction_hash: B256::repeat_byte(0x7A),
            block_number: 101,
            block_hash: B256::repeat_byte(0xB1),
            logs: Vec::new(),
        },
        success,
        reason: None,
        doubt: None,
        seen: BlockRef {
            number: 102,
            hash: B256::repeat_byte(0xB2),
        },
        is_final: false,
    }
}

fn not_taken() -> Handover {
    Handover::NotTaken(NotTaken {
        by: "bundler".to_owned(),
        code: Some(-32_005),
        message: "too many".to_owned(),
        reason: NotTakenReason::RateLimited { retry_after: Some(3) },
    })
}

#[test]
fn a_backup_is_a_journal() {
    let (folder, path) = folder();
    let journal = open(&path).unwrap();
    let records: Vec<_> = (0..10).map(|number| put(&journal, record(1, number))).collect();
    let backup = folder.path().join("backup.db");
    let shell = Connection::open(&path).unwrap();
    shell
        .execute("VACUUM INTO ?1", [backup.to_str().unwrap()])
        .unwrap();
    put(&journal, record(1, 100));
    let restored = open(&backup).unwrap();
    assert_eq!(wait(restored.unsettled(&lane(1))).unwrap(), records);
    let new = put(&restored, record(1, 11));
    assert_eq!(wait(restored.unsettled(&lane(1))).unwrap().last(), Some(&new));
}

#[test]
fn nobody_is_told_where_the_file_lies() {
    let (folder, path) = folder();
    let place = folder.path().to_str().unwrap();
    let journal = open(&path).unwrap();
    assert_eq!(
        format!("{journal:?}"),
        r#"SqliteJournal { file: "journal.db", .. }"#
    );
    fs::remove_file(&path).unwrap();
    let message = store_error(wait(journal.put(record(1, 1), None)));
    assert!(!message.contains(place), "{message}");
    for file in ["", "text", "folder/journal.db"] {
        fs::write(&path, file).unwrap();
        let error = open(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(place), "{error:?}");
        let error = open(&path.join(file)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(place), "{error:?}");
    }
}

/// The file that version 1 of the journal made, as SQL.
const VERSION_1: &str = include_str!("version_1.sql");

/// What is in it.
fn of_version_1() -> Vec<IntentRecord> {
    let mut rent = IntentRecord {
        name: Some("rent \u{1f3e0}".to_owned()),
        grants_to: vec![Address::repeat_byte(0x60)],
        given_up: Some(moment(1_700_000_100_000)),
        told_to: Some(IntentId(FixedBytes::repeat_byte(0x70))),
        ..record(1, 1)
    };
    rent.operations[0].doubt = Some(Verdict::MayPass {
        violations: Vec::new(),
    });
    rent.operations[0].included = Some(Included {
        doubt: rent.operations[0].doubt.clone(),
        ..included(&rent, true)
    });
    let mut ended = IntentRecord {
        deadline: u64::MAX,
        told: true,
        ..record(1, 2)
    };
    ended.operations[0].handover = Handover::NoAnswer;
    ended.operations[0].nonce_past = Some(NoncePast {
        block: BlockRef {
            number: 110,
            hash: B256::repeat_byte(0xB3),
        },
        used_by: Some(B256::repeat_byte(0xB4)),
    });
    ended.operations.push(OperationRecord {
        handover: not_taken(),
        ..ended.operations[0].clone()
    });
    for operation in &mut ended.operations {
        operation.void = Some(Void {
            nonce: operation.nonce(),
            block: BlockRef {
                number: 110,
                hash: B256::repeat_byte(0xB3),
            },
            depth: VoidDepth::Blocks(64),
            used_by: Some(B256::repeat_byte(0xB4)),
        });
    }
    let mut never = record(1, 3);
    never.operations.clear();
    let mut written = record(2, 4);
    written.operations[0].handover = Handover::Written;
    [rent, ended, never, written]
        .map(|record| IntentRecord { version: 1, ..record })
        .to_vec()
}

#[test]
fn transactions_are_kept_until_they_are_forgotten() {
    let (_folder, path) = folder();
    let sender = Address::repeat_byte(5);
    let transaction = |number: u8, nonce: u64| TransactionRecord {
        chain_id: 10,
        sender,
        request: B256::repeat_byte(7),
        signed_at: 1_000,
        note: serde_json::json!({ "command": "revoke" }),
        signed: SignedTransaction {
            nonce,
            hash: B256::repeat_byte(number),
            raw: vec![number; 3].into(),
        },
    };
    let records = [transaction(2, 4), transaction(1, u64::MAX)];
    let journal = open(&path).unwrap();
    for record in records.clone() {
        wait(journal.keep_transaction(record)).unwrap();
    }
    // The same transaction is kept once, with whatever it is for now.
    let mut again = transaction(2, 4);
    again.note = serde_json::json!({ "command": "rotate" });
    wait(journal.keep_transaction(again.clone())).unwrap();
    let records = [again, records[1].clone()];
    drop(journal);
    let journal = open(&path).unwrap();
    assert_eq!(wait(journal.transactions(10, sender)).unwrap(), records);
    assert_eq!(wait(journal.transactions(11, sender)).unwrap(), []);
    assert_eq!(wait(journal.transactions(10, Address::ZERO)).unwrap(), []);
    assert_eq!(wait(journal.all_transactions(10)).unwrap(), records);
    assert_eq!(wait(journal.all_transactions(11)).unwrap(), []);
    wait(journal.forget_transaction(records[0].signed.hash)).unwrap();
    wait(journal.forget_transaction(records[0].signed.hash)).unwrap();
    assert_eq!(wait(journal.transactions(10, sender)).unwrap(), records[1..]);
    let broken = Connection::open(&path).unwrap();
    broken
        .execute_batch("UPDATE transactions SET raw = 'no'")
        .unwrap();
    assert!(matches!(
        wait(journal.transactions(10, sender)),
        Err(JournalError::Unreadable { .. })
    ));
}

#[test]
fn a_file_of_version_1_is_read() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let journal = open(&path).unwrap();
    let mut records = of_version_1();
    // The next version has another form for what the model had doubts about, and has left it out.
    for operation in records.iter_mut().flat_map(|record| &mut record.operations) {
        operation.doubt = None;
        if let Some(included) = &mut operation.included {
            included.doubt = None;
        }
    }
    assert_eq!(wait(journal.intents(10, lane(1).account)).unwrap(), records[..3]);
    assert_eq!(wait(journal.unsettled(&lane(1))).unwrap(), records[..1]);
    assert_eq!(wait(journal.unsettled(&lane(2))).unwrap(), records[3..]);
    assert_eq!(
        wait(journal.highest_included(&lane(1))).unwrap().as_ref(),
        records.first()
    );
    let name = records[0].name.as_deref().unwrap();
    assert_eq!(
        wait(journal.named(&records[0].scope(), name)).unwrap().as_ref(),
        records.first()
    );
    let other = ProcessId(FixedBytes::repeat_byte(2));
    let held = wait(journal.acquire(&lane(1), other, 499, 900)).unwrap();
    let holder = ProcessId(FixedBytes::repeat_byte(1));
    assert_eq!(held, Acquired::Held { holder, until: 500 });
    let Acquired::Lease { lease, lapsed: None } = wait(journal.acquire(&lane(2), other, 0, 900)).unwrap()
    else {
        panic!("the lane was given back");
    };
    assert_eq!(lease.epoch, 2);
    let changed = put(
        &journal,
        IntentRecord {
            told: true,
            ..records[3].clone()
        },
    );
    assert_eq!(changed.version, 2);
    put(&journal, record(3, 1));
}
