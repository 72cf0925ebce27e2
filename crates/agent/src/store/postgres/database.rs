//! The connection: transactions that are repeated where that is right, and whose lost answers are settled.

use super::error::{PostgresError, Remedy, remedy};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{
    Client, Config, NoTls, Row, SimpleQueryMessage, Socket,
    tls::{MakeTlsConnect, TlsConnect},
    types::{ToSql, Type},
};

/// The scripts that create each version of the schema from the previous one.
const VERSIONS: &[&str] = &[include_str!("version_1.sql"), include_str!("version_2.sql")];

/// How long a method tries, reconnections included. The client gives a journal 30 seconds.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long a store that is opened waits for a server that restarts.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for the answer to one statement. The server gives up earlier.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Settings of every session: a commit is confirmed once it is on the disk, and nothing waits long or
/// is left open.
const SESSION: &str = "-c synchronous_commit=on -c lock_timeout=5s -c statement_timeout=10s \
     -c idle_in_transaction_session_timeout=10s -c client_min_messages=warning -c default_transaction_read_only=off";
/// The earliest version of the server: it makes UUIDs.
const EARLIEST_SERVER: i64 = 130_000;

/// Removes the rows of sessions that ended long before. No process asks for its row after [`PATIENCE`].
const FORGET_SESSIONS: &str = "DELETE FROM sessions WHERE id IN \
     (SELECT id FROM sessions WHERE at < now() - interval '1 day' FOR UPDATE SKIP LOCKED)";

type Dialed = Result<(Client, JoinHandle<()>), tokio_postgres::Error>;

/// Connects to a server, with or without TLS.
#[derive(Clone)]
pub struct Dial(Arc<dyn Fn(Config) -> BoxFuture<'static, Dialed> + Send + Sync>);

impl Dial {
    /// Connects without TLS: for a Unix socket, or a network that is private. A connection string with
    /// `sslmode=require` is then an error.
    pub fn plain() -> Self {
        Self::with_tls(NoTls)
    }

    /// Connects with the caller's TLS.
    pub fn with_tls<T>(tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Arc::new(move |config| {
            let tls = tls.clone();
            Box::pin(async move {
                let (client, connection) = config.connect(tls).await?;
                // Its errors reach whoever uses the client.
                let driver = tokio::spawn(async move { drop(connection.await) });
                Ok((client, driver))
            })
        }))
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// An answer of the store itself.
    Said(E),
    /// PostgreSQL failed.
    Postgres(tokio_postgres::Error),
    /// There was no answer in time.
    Late,
}

impl<E> From<tokio_postgres::Error> for Failure<E> {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// The statements of a transaction. They may run several times; the last time counts.
pub(super) type Work<T, E> =
    Box<dyn for<'c> Fn(&'c Session) -> BoxFuture<'c, Result<T, Failure<E>>> + Send + Sync>;

/// A connection.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    driver: JoinHandle<()>,
    /// Its row in the table of sessions, a UUID.
    id: String,
    /// How many transactions it has begun.
    begun: AtomicU64,
}

/// A transaction that writes.
#[derive(Clone, Debug)]
struct Transaction {
    session: String,
    number: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Runs a query, in one round trip.
    pub(super) async fn query<E>(
        &self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failure<E>> {
        match timeout(ANSWER_WITHIN, self.client.query_typed(sql, params)).await {
            Ok(rows) => Ok(rows?),
            Err(_) => Err(Failure::Late),
        }
    }

    /// Runs a script, and returns the values of its last row.
    async fn script<E>(&self, sql: &str) -> Result<Vec<Option<String>>, Failure<E>> {
        let answer = timeout(ANSWER_WITHIN, self.client.simple_query(sql)).await;
        let messages = answer.map_err(|_| Failure::Late)??;
        let mut values = Vec::new();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                values = (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect();
            }
        }
        Ok(values)
    }
}

/// A database of this process: one connection, made anew when it is lost.
#[derive(Clone)]
pub(super) struct Database {
    config: Config,
    dial: Dial,
    schema: String,
    session: Arc<Mutex<Option<Session>>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration holds a password.
        f.debug_struct("Database")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Connects, checks the server's settings, and migrates the schema.
    pub(super) async fn open(mut config: Config, dial: Dial, schema: String) -> Result<Self, PostgresError> {
        let is_name = !schema.is_empty()
            && schema.len() <= 63
            && !schema.starts_with(|c: char| c.is_ascii_digit())
            && schema
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !is_name || schema.starts_with("pg_") {
            let message =
                "a schema's name has up to 63 lower-case letters, digits and underscores".to_owned();
            return Err(PostgresError::Settings { message });
        }
        let given = config.get_options().map(str::to_owned).unwrap_or_default();
        config.options(format!("{given} {SESSION} -c search_path={schema}"));
        config.connect_timeout(CONNECT_WITHIN);
        if config.get_application_name().is_none() {
            config.application_name("session-key-agent");
        }
        let database = Self {
            config,
            dial,
            schema,
            session: Arc::default(),
        };
        let until = Instant::now() + OPEN_WITHIN;
        let mut pause = Duration::from_millis(20);
        let session = loop {
            match database.connect_and_migrate().await {
                Ok(session) => break session,
                Err(failure) if is_hopeless(&failure) || Instant::now() + pause >= until => {
                    return Err(said(&failure));
                }
                Err(_) => {}
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        };
        *database.session.lock().await = Some(session);
        Ok(database)
    }

    async fn connect_and_migrate(&self) -> Result<Session, Failure<PostgresError>> {
        let session = self.connect().await?;
        self.migrate(&session).await?;
        Ok(session)
    }

    /// Connects, and checks the settings that the guarantees require.
    async fn connect(&self) -> Result<Session, Failure<PostgresError>> {
        let (client, driver) = timeout(CONNECT_WITHIN, (self.dial.0)(self.config.clone()))
            .await
            .map_err(|_| Failure::Late)??;
        let mut session = Session {
            client,
            driver,
            id: String::new(),
            begun: AtomicU64::new(0),
        };
        let values = session
            .script(
                "SELECT current_setting('server_version_num'), current_setting('server_encoding'), \
                 current_setting('fsync'), current_setting('full_page_writes'), \
                 current_setting('synchronous_commit'), pg_is_in_recovery()::text, gen_random_uuid()::text",
            )
            .await?;
        let value = |column: usize| values.get(column).cloned().flatten().unwrap_or_default();
        if value(0).parse::<i64>().unwrap_or_default() < EARLIEST_SERVER {
            return Err(Failure::Said(PostgresError::Setting {
                setting: "server_version_num".to_owned(),
                wanted: format!("at least {EARLIEST_SERVER}"),
                found: value(0),
            }));
        }
        let wanted = [
            ("server_encoding", "UTF8"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("in_recovery", "false"),
        ];
        for (column, (setting, wanted)) in wanted.into_iter().enumerate() {
            let found = value(column + 1);
            if found != wanted {
                return Err(Failure::Said(PostgresError::Setting {
                    setting: setting.to_owned(),
                    wanted: wanted.to_owned(),
                    found,
                }));
            }
        }
        session.id = value(6);
        Ok(session)
    }

    /// Brings the schema to the version of this release. Processes that do so at the same time wait
    /// for each other.
    async fn migrate(&self, session: &Session) -> Result<(), Failure<PostgresError>> {
        let schema = &self.schema;
        let begin = format!(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('session-key-agent {schema}', 0)); \
             CREATE SCHEMA IF NOT EXISTS {schema}; \
             CREATE TABLE IF NOT EXISTS {schema}.schema_version (version bigint NOT NULL); \
             SELECT coalesce(max(version), 0) FROM {schema}.schema_version"
        );
        let migrated: Result<(), Failure<PostgresError>> = async {
            let values = session.script(&begin).await?;
            let found = values
                .first()
                .cloned()
                .flatten()
                .and_then(|version| version.parse::<i64>().ok());
            let known = latest();
            let found = found.filter(|found| (0..=known).contains(found)).ok_or_else(|| {
                Failure::Said(PostgresError::UnknownVersion {
                    schema: schema.clone(),
                    found: found.unwrap_or(-1),
                    known,
                })
            })?;
            for script in VERSIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
                session.script(script).await?;
            }
            if found != known {
                session
                    .script(&format!(
                        "DELETE FROM schema_version; INSERT INTO schema_version VALUES ({known})"
                    ))
                    .await?;
            }
            session.script(FORGET_SESSIONS).await?;
            session.script("COMMIT").await?;
            Ok(())
        }
        .await;
        if migrated.is_err() {
            drop(session.script::<PostgresError>("ROLLBACK").await);
        }
        migrated
    }

    /// Runs a query that only reads. It is one statement, so it sees one state.
    pub(super) async fn reading<T: Send + 'static, E: From<PostgresError> + Send + 'static>(
        &self,
        work: Work<T, E>,
    ) -> Result<T, E> {
        self.run(false, work).await
    }

    /// Runs a transaction that writes.
    pub(super) async fn writing<T: Send + 'static, E: From<PostgresError> + Send + 'static>(
        &self,
        work: Work<T, E>,
    ) -> Result<T, E> {
        self.run(true, work).await
    }

    /// Runs a transaction. If the future is dropped before it begins, it does not run; later, it runs to its
    /// end, and the process's next one waits for it.
    async fn run<T: Send + 'static, E: From<PostgresError> + Send + 'static>(
        &self,
        writes: bool,
        work: Work<T, E>,
    ) -> Result<T, E> {
        let session = self.session.clone().lock_owned().await;
        let database = self.clone();
        let running = tokio::spawn(async move { database.persist(session, writes, work).await });
        match running.await {
            Ok(done) => done,
            // The runtime ends.
            Err(_) => Err(PostgresError::Unknown.into()),
        }
    }

    async fn persist<T, E: From<PostgresError>>(
        &self,
        mut held: OwnedMutexGuard<Option<Session>>,
        writes: bool,
        work: Work<T, E>,
    ) -> Result<T, E> {
        let until = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(2);
        loop {
            let session = match held.take() {
                Some(session) => session,
                None => match self.connect().await {
                    Ok(session) => session,
                    Err(failure) => {
                        if is_hopeless(&failure) || Instant::now() + pause >= until {
                            return Err(said(&failure).into());
                        }
                        sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(1));
                        continue;
                    }
                },
            };
            let failure = match self.once(&session, writes, &work).await {
                Ok(Ended::Committed(value)) => {
                    *held = Some(session);
                    return Ok(value);
                }
                // The answer to the commit was lost: the server knows.
                Ok(Ended::Unknown { value, transaction }) => {
                    drop(session);
                    match self.settle(&transaction, until).await {
                        Some((session, true)) => {
                            *held = Some(session);
                            return Ok(value);
                        }
                        Some((session, false)) => {
                            *held = Some(session);
                            continue;
                        }
                        None => return Err(PostgresError::Unknown.into()),
                    }
                }
                Err(failure) => failure,
            };
            let remedy = match &failure {
                Failure::Postgres(error) => remedy(error),
                Failure::Said(_) => Remedy::None,
                Failure::Late => Remedy::Reconnect,
            };
            let is_kept = match remedy {
                Remedy::Reconnect => false,
                // A session that cannot be rolled back is of no use.
                _ if writes => session.script::<E>("ROLLBACK").await.is_ok(),
                _ => true,
            };
            if is_kept {
                *held = Some(session);
            }
            if remedy == Remedy::None || Instant::now() + pause >= until {
                return Err(match failure {
                    Failure::Said(error) => error,
                    Failure::Postgres(error) => PostgresError::of(&error).into(),
                    Failure::Late => late().into(),
                });
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Runs a transaction once, up to the answer to its commit.
    async fn once<T, E: From<PostgresError>>(
        &self,
        session: &Session,
        writes: bool,
        work: &Work<T, E>,
    ) -> Result<Ended<T>, Failure<E>> {
        if !writes {
            return Ok(Ended::Committed(work(session).await?));
        }
        let transaction = Transaction {
            session: session.id.clone(),
            number: session.begun.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; \
             SELECT max(version)::text FROM schema_version; {}",
            transaction.mark()
        );
        let rows = session.script(&begin).await?;
        let found = rows
            .first()
            .cloned()
            .flatten()
            .and_then(|version| version.parse().ok())
            .unwrap_or_default();
        if found != latest() {
            let (schema, known) = (self.schema.clone(), latest());
            return Err(Failure::Said(
                PostgresError::UnknownVersion { schema, found, known }.into(),
            ));
        }
        let done = work(session).await?;
        match session.script::<E>("COMMIT").await {
            Ok(_) => Ok(Ended::Committed(done)),
            // An answer: it was not committed.
            Err(Failure::Postgres(error))
                if error.as_db_error().is_some() && remedy(&error) != Remedy::Reconnect =>
            {
                Err(error.into())
            }
            Err(_) => Ok(Ended::Unknown {
                value: done,
                transaction,
            }),
        }
    }

    /// Asks the server whether a transaction was committed. `None`: it does not say in time.
    async fn settle(&self, transaction: &Transaction, until: Instant) -> Option<(Session, bool)> {
        let mut pause = Duration::from_millis(20);
        while Instant::now() < until {
            if let Ok(session) = self.connect().await
                && let Ok(values) = session.script::<PostgresError>(&transaction.ask()).await
                && let Some(latest) = values.first().cloned().flatten()
            {
                return Some((session, latest == transaction.number.to_string()));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        None
    }
}

impl Transaction {
    /// Returns the statement that records it, as the first of its own.
    fn mark(&self) -> String {
        let Self { session, number } = self;
        format!(
            "INSERT INTO sessions (id, latest) VALUES ('{session}', {number}) \
             ON CONFLICT (id) DO UPDATE SET latest = excluded.latest, at = now()"
        )
    }

    /// Returns the statement that reads the latest committed transaction of its session. It locks the row,
    /// and so waits for a transaction that has not ended.
    fn ask(&self) -> String {
        let session = &self.session;
        format!(
            "INSERT INTO sessions (id, latest) VALUES ('{session}', 0) \
             ON CONFLICT (id) DO UPDATE SET at = now() RETURNING latest::text"
        )
    }
}

/// The end of a transaction.
enum Ended<T> {
    Committed(T),
    /// The commit was sent, and the connection was lost.
    Unknown {
        value: T,
        transaction: Transaction,
    },
}

/// Whether connecting again does not help.
fn is_hopeless(failure: &Failure<PostgresError>) -> bool {
    match failure {
        Failure::Said(_) => true,
        Failure::Postgres(error) => remedy(error) == Remedy::None,
        Failure::Late => false,
    }
}

fn said(failure: &Failure<PostgresError>) -> PostgresError {
    match failure {
        Failure::Said(error) => error.clone(),
        Failure::Postgres(error) => PostgresError::of(error),
        Failure::Late => late(),
    }
}

fn late() -> PostgresError {
    PostgresError::NotReached {
        message: format!("no answer within {} seconds", ANSWER_WITHIN.as_secs()),
    }
}

/// Spreads the retries of transactions that are in each other's way.
fn jittered(pause: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    pause + pause * (nanos % 1000) / 1000
}

fn latest() -> i64 {
    i64::try_from(VERSIONS.len()).unwrap_or(i64::MAX)
}
