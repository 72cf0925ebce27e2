//! The store: what journals do, through lost connections, restarts, deadlocks and serialization failures.

use crate::server::{beside, connection, open, options, restart, schema};
use session_key_agent::store::{PostgresError, PostgresOptions, PostgresStore};
use session_key_client::{
    alloy::primitives::{Address, B256, FixedBytes, aliases::U192},
    journal::{
        Acquired, IntentId, IntentRecord, Journal, JournalError, Lane, Moment, ProcessId, conformance,
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

const fn lane() -> Lane {
    Lane {
        chain_id: 1,
        entry_point: Address::ZERO,
        account: Address::ZERO,
        nonce_key: U192::ZERO,
    }
}

fn record(number: u64) -> IntentRecord {
    IntentRecord {
        id: IntentId(FixedBytes::left_padding_from(&number.to_be_bytes())),
        version: 0,
        lane: lane(),
        signer: Address::ZERO,
        name: None,
        request: B256::ZERO,
        grants_to: Vec::new(),
        asked: Moment {
            at: 0,
            process: ProcessId(FixedBytes::ZERO),
            sequence: 0,
        },
        deadline: 0,
        given_up: None,
        told: false,
        told_to: None,
        operations: Vec::new(),
    }
}

/// Kills every connection of stores, as a firewall or an administrator does.
async fn kill_connections(beside: &tokio_postgres::Client, schema: &str) -> usize {
    let killed = beside
        .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
            &[&schema],
        )
        .await
        .unwrap();
    killed.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_journal_in_postgres_does_what_journals_do() {
    conformance::run(|| async { Arc::new(open(&schema()).await) as Arc<dyn Journal> }).await;
}

/// As three processes use one server, each with a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_journals_on_one_schema_do_what_one_does() {
    conformance::run(|| async {
        let schema = schema();
        let journals = vec![open(&schema).await, open(&schema).await, open(&schema).await];
        Arc::new(Alternating::new(journals)) as Arc<dyn Journal>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_make_the_tables_once() {
    let schema = schema();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let schema = schema.clone();
            tokio::spawn(async move { open(&schema).await })
        })
        .collect();
    for (number, opened) in (0..).zip(opening) {
        opened.await.unwrap().put(record(number), None).await.unwrap();
    }
    let found = open(&schema).await.intents(1, Address::ZERO).await.unwrap();
    assert_eq!(found.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_serialization_failure_is_repeated_and_a_lasting_one_told() {
    let schema = schema();
    let journal = open(&schema).await;
    let beside = beside(&schema).await;
    // A sequence is not rolled back: the first five attempts fail.
    beside
        .batch_execute(
            "CREATE SEQUENCE attempts;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF nextval('attempts') <= 5 THEN
                     RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER fail BEFORE INSERT ON intents FOR EACH ROW EXECUTE FUNCTION fail();",
        )
        .await
        .unwrap();
    let written = journal.put(record(1), None).await.unwrap();
    assert_eq!(journal.intents(1, Address::ZERO).await.unwrap(), [written]);
    let attempts = beside
        .query_one("SELECT last_value FROM attempts", &[])
        .await
        .unwrap();
    assert_eq!(attempts.get::<_, i64>(0), 6);
    // Another error is told at once, and nothing is written.
    beside
        .batch_execute(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 RAISE EXCEPTION 'no space' USING ERRCODE = '53100';
             END $$;",
        )
        .await
        .unwrap();
    let error = journal.put(record(2), None).await.unwrap_err();
    let expected = JournalError::Store {
        message: "PostgreSQL refused: no space (SQLSTATE 53100)".to_owned(),
    };
    assert_eq!(error, expected);
    assert_eq!(journal.intents(1, Address::ZERO).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_in_opposite_orders_do_not_fail() {
    let schema = schema();
    let journals = [open(&schema).await, open(&schema).await];
    let ids = [1, 2];
    for number in ids {
        journals[0].put(record(number), None).await.unwrap();
    }
    let deadlocks = async |client: &tokio_postgres::Client| {
        let row = client
            .query_one(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
                &[],
            )
            .await
            .unwrap();
        row.get::<_, i64>(0)
    };
    let beside = beside(&schema).await;
    // Makes the two meet: after its first write each waits a little.
    beside
        .batch_execute(
            "SELECT 1;
             CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM pg_sleep(0.05); RETURN NEW;
             END $$;
             CREATE TRIGGER wait BEFORE UPDATE ON intents FOR EACH ROW EXECUTE FUNCTION wait();",
        )
        .await
        .unwrap();
    let before = deadlocks(&beside).await;
    let mut tasks = Vec::new();
    for (index, journal) in journals.into_iter().enumerate() {
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while done < 3 {
                let mut records = Vec::new();
                for number in ids {
                    let mut known = journal.intent(record(number).id).await.unwrap().unwrap();
                    known.deadline += 1;
                    records.push(known);
                }
                if index == 1 {
                    records.reverse();
                }
                match journal.put_all(records, None).await {
                    Ok(_) => done += 1,
                    Err(JournalError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let journal = open(&schema).await;
    for number in ids {
        let found = journal.intent(record(number).id).await.unwrap().unwrap();
        assert_eq!(found.deadline, 6, "a change was lost");
    }
    // The statistics arrive late.
    for _ in 0..50 {
        if deadlocks(&beside).await > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the writers never met");
}

/// Every change is there once, though connections are lost at every moment: also while a commit is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_connections_lose_and_double_nothing() {
    let schema = schema();
    let beside = beside(&schema).await;
    open(&schema).await.put(record(0), None).await.unwrap();
    let killed = Arc::new(AtomicUsize::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    let killer = tokio::spawn({
        let (ends, killed, schema) = (ends.clone(), killed.clone(), schema.clone());
        async move {
            while !ends.load(Ordering::SeqCst) {
                let count = kill_connections(&beside, &schema).await;
                killed.fetch_add(count, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let schema = schema.clone();
        tasks.push(tokio::spawn(async move {
            let journal = loop {
                if let Ok(journal) = PostgresStore::open(options(&schema)).await {
                    break journal;
                }
            };
            for _ in 0..40 {
                loop {
                    let mut known = journal.intent(record(0).id).await.unwrap().unwrap();
                    known.deadline += 1;
                    match journal.put(known, None).await {
                        Ok(_) => break,
                        Err(JournalError::Conflict { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    ends.store(true, Ordering::SeqCst);
    killer.await.unwrap();
    let found = open(&schema).await.intent(record(0).id).await.unwrap().unwrap();
    assert_eq!(found.deadline, 4 * 40, "a change was lost or doubled");
    assert!(
        killed.load(Ordering::SeqCst) > 20,
        "{killed:?} connections were killed"
    );
}

/// The same, and the server itself crashes under load. Each commit waits before it is written, so that
/// crashes meet commits whose answers are lost: after the restart, their xids belong to other transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_crashes_loses_and_doubles_nothing() {
    let schema = schema();
    open(&schema).await.put(record(0), None).await.unwrap();
    let slowly = format!(
        "{} options='-c commit_delay=20000 -c commit_siblings=0'",
        connection()
    );
    let ends = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for writer in 0..4 {
        let options = PostgresOptions::new(&slowly).unwrap().schema(&schema);
        let ends = ends.clone();
        let journal = PostgresStore::open(options).await.unwrap();
        // Two write the same record, and two one of their own.
        let own = record(if writer < 2 { 0 } else { writer });
        let id = own.id;
        if writer >= 2 {
            journal.put(own, None).await.unwrap();
        }
        tasks.push(tokio::spawn(async move {
            let mut done = 0_u64;
            while !ends.load(Ordering::SeqCst) {
                let mut known = journal.intent(id).await.unwrap().unwrap();
                known.deadline += 1;
                match journal.put(known, None).await {
                    Ok(_) => done += 1,
                    Err(JournalError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            (id, done)
        }));
    }
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        restart().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    ends.store(true, Ordering::SeqCst);
    let mut written = BTreeMap::<_, u64>::new();
    for task in tasks {
        let (id, done) = task.await.unwrap();
        *written.entry(id).or_default() += done;
    }
    let journal = open(&schema).await;
    for (id, done) in written {
        let found = journal.intent(id).await.unwrap().unwrap();
        assert_eq!(found.deadline, done, "a change of {id} was lost or doubled");
        assert!(done > 5, "{done} changes of {id}");
    }
}

/// Waits until a connection of stores waits for a lock.
async fn one_waits(beside: &tokio_postgres::Client, schema: &str) {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
    while beside.query(sql, &[&schema]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_write_whose_future_is_dropped_happens_before_the_next_or_not_at_all() {
    let schema = schema();
    let journal = open(&schema).await;
    let (locker, beside) = (beside(&schema).await, beside(&schema).await);
    for number in 0..20 {
        locker
            .batch_execute("BEGIN; LOCK TABLE intents IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        // Every second one is dropped before its transaction begins: another has the connection.
        let other = (number % 2 == 0).then(|| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.put(record(1000 + number), None).await.unwrap() })
        });
        let is_early = other.is_some();
        if is_early {
            one_waits(&beside, &schema).await;
        }
        {
            let mut put = journal.put(record(number), None);
            let begun = async {
                if is_early {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                } else {
                    one_waits(&beside, &schema).await;
                }
            };
            tokio::select! {
                _ = &mut put => panic!("it was written in spite of the lock"),
                () = begun => {}
            }
        }
        locker.batch_execute("COMMIT").await.unwrap();
        if let Some(other) = other {
            other.await.unwrap();
        }
        let first = journal.intent(record(number).id).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = journal.intent(record(number).id).await.unwrap();
        assert_eq!(first, second, "it was written afterwards");
        assert_eq!(first.is_none(), is_early);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lane_is_not_taken_before_a_write_under_its_lease_is_visible() {
    let schema = schema();
    let [first, second] = [open(&schema).await, open(&schema).await];
    let process = |number: u8| ProcessId(FixedBytes::repeat_byte(number));
    let acquired = first.acquire(&lane(), process(1), 0, 100).await.unwrap();
    let Acquired::Lease { lease, .. } = acquired else {
        panic!("{acquired:?}");
    };
    let slow = beside(&schema).await;
    slow.batch_execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
         CREATE TRIGGER wait AFTER INSERT ON intents FOR EACH ROW EXECUTE FUNCTION wait();",
    )
    .await
    .unwrap();
    let writing = tokio::spawn({
        let lease = lease.clone();
        async move { first.put(record(7), Some((&lease, 50))).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The lease is over for the second process, but the write under it is on its way.
    second.acquire(&lane(), process(2), 100, 200).await.unwrap();
    assert!(second.intent(record(7).id).await.unwrap().is_some());
    writing.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_was_changed_by_hand_is_unreadable_and_can_be_removed() {
    let schema = schema();
    let journal = open(&schema).await;
    let beside = beside(&schema).await;
    let changes = [
        "record = 'nonsense'",
        "record = replace(record, '\"told\":false', '\"told\":true')",
        "is_final = NOT is_final",
        "version = version + 1",
        "state = 'included'",
        "included_nonce = '\\x01'",
        "signer = '\\x01'",
    ];
    for (number, change) in (0..).zip(changes) {
        let id = journal.put(record(number), None).await.unwrap().id;
        beside
            .execute(&format!("UPDATE intents SET {change}"), &[])
            .await
            .unwrap();
        for answer in [
            journal.intent(id).await.map(drop),
            journal.intents(1, Address::ZERO).await.map(drop),
        ] {
            let id = id.to_string();
            let is_named =
                matches!(&answer, Err(JournalError::Unreadable { message }) if message.contains(&id));
            assert!(is_named, "{change}: {answer:?}");
        }
        journal.remove(id).await.unwrap();
        assert_eq!(journal.intent(id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_keep_its_word_is_refused() {
    let schema = schema();
    let journal = open(&schema).await;
    let beside = beside(&schema).await;
    // A later release's tables: for new processes, and for those that run.
    beside
        .execute("UPDATE schema_version SET version = 99", &[])
        .await
        .unwrap();
    let error = PostgresStore::open(options(&schema)).await.unwrap_err();
    let known = match &error {
        PostgresError::UnknownVersion { found: 99, known, .. } => *known,
        error => panic!("{error}"),
    };
    let answer = journal.put(record(1), None).await;
    assert!(
        matches!(&answer, Err(JournalError::Store { message }) if message.contains("version 99")),
        "{answer:?}"
    );
    beside
        .execute("UPDATE schema_version SET version = $1", &[&known])
        .await
        .unwrap();
    journal.put(record(1), None).await.unwrap();
    // The store's setting wins over the caller's.
    let lax = format!(
        "{} options='-c synchronous_commit=off'",
        crate::server::connection()
    );
    PostgresStore::open(PostgresOptions::new(&lax).unwrap().schema(&schema))
        .await
        .unwrap();
    for bad in ["", "A", "1a", "a-b", "a; DROP TABLE intents", "pg_catalog"] {
        let options = PostgresOptions::new(&crate::server::connection())
            .unwrap()
            .schema(bad);
        let error = PostgresStore::open(options).await.unwrap_err();
        assert!(
            matches!(error, PostgresError::Settings { .. }),
            "{bad:?}: {error}"
        );
    }
}

/// A schema of the first version keeps its records, and gets what the later versions add.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_schema_of_an_earlier_version_is_migrated() {
    let schema = schema();
    open(&schema).await.put(record(1), None).await.unwrap();
    let beside = beside(&schema).await;
    beside
        .batch_execute("DROP TABLE sessions; UPDATE schema_version SET version = 1")
        .await
        .unwrap();
    let journal = open(&schema).await;
    assert!(journal.intent(record(1).id).await.unwrap().is_some());
    journal.put(record(2), None).await.unwrap();
    let row = beside
        .query_one("SELECT max(version) FROM schema_version", &[])
        .await;
    assert_eq!(row.unwrap().get::<_, i64>(0), 2);
}

/// Rows of sessions that ended are removed, and those of others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_sessions_are_removed_a_day_later() {
    let schema = schema();
    let journal = open(&schema).await;
    journal.put(record(1), None).await.unwrap();
    let beside = beside(&schema).await;
    let count = async || {
        let row = beside.query_one("SELECT count(*) FROM sessions", &[]).await;
        row.unwrap().get::<_, i64>(0)
    };
    beside
        .batch_execute("INSERT INTO sessions VALUES (gen_random_uuid(), 1, now() - interval '25 hours')")
        .await
        .unwrap();
    assert_eq!(count().await, 2);
    open(&schema).await;
    assert_eq!(count().await, 1);
    journal.put(record(2), None).await.unwrap();
    assert_eq!(count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_do_not_show_passwords() {
    let secret = "correct-horse-battery";
    let unreachable = format!("postgresql://agent:{secret}@127.0.0.1:1/db");
    let options = PostgresOptions::new(&unreachable).unwrap();
    assert!(!format!("{options:?}").contains(secret));
    let error = PostgresStore::open(options).await.unwrap_err();
    assert!(matches!(error, PostgresError::NotReached { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(secret));
    let malformed = format!("postgresql://agent:{secret}@host:port:x/db?nonsense={secret}");
    let error = PostgresOptions::new(&malformed).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(secret));
}

/// Uses several journals in turn, as if each call came from another process.
#[derive(Debug)]
struct Alternating {
    journals: Vec<PostgresStore>,
    next: AtomicUsize,
}

impl Alternating {
    const fn new(journals: Vec<PostgresStore>) -> Self {
        Self {
            journals,
            next: AtomicUsize::new(0),
        }
    }

    fn one(&self) -> &PostgresStore {
        &self.journals[self.next.fetch_add(1, Ordering::SeqCst) % self.journals.len()]
    }
}

#[async_trait::async_trait]
impl Journal for Alternating {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        self.one().acquire(lane, holder, now, until).await
    }

    async fn renew(
        &self,
        lease: &session_key_client::journal::Lease,
        until: u64,
    ) -> Result<session_key_client::journal::Lease, JournalError> {
        self.one().renew(lease, until).await
    }

    async fn release(&self, lease: &session_key_client::journal::Lease) -> Result<(), JournalError> {
        self.one().release(lease).await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&session_key_client::journal::Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        self.one().put_all(records, lease).await
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.one().intent(id).await
    }

    async fn named(
        &self,
        scope: &session_key_client::journal::Scope,
        name: &str,
    ) -> Result<Option<IntentRecord>, JournalError> {
        self.one().named(scope, name).await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        self.one().unsettled(lane).await
    }

    async fn untold(
        &self,
        scope: &session_key_client::journal::Scope,
        request: B256,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        self.one().untold(scope, request).await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.one().unsettled_lanes(account).await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        self.one().highest_included(lane).await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        self.one().prune(lane).await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.one().intents(chain_id, account).await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.one().remove(id).await
    }
}
