//! The store of many machines: tables of a PostgreSQL server. See [`PostgresStore`] for its guarantees.

mod database;
mod error;
mod journal;
mod ledger;

pub use database::Dial;
pub use error::PostgresError;

use database::Database;
use std::{fmt, str::FromStr};
use tokio_postgres::Config;

/// The schema of the tables, unless another is chosen.
const SCHEMA: &str = "session_key";

/// How to reach a PostgreSQL server.
#[derive(Clone)]
pub struct PostgresOptions {
    config: Config,
    dial: Dial,
    schema: String,
}

impl PostgresOptions {
    /// Reads a connection string: `postgresql://user:password@host/database`, or
    /// `host=/run/postgresql user=agent`.
    ///
    /// # Errors
    ///
    /// [`PostgresError::Settings`], without the string: it may hold a password.
    pub fn new(connection: &str) -> Result<Self, PostgresError> {
        let config = Config::from_str(connection).map_err(|_| PostgresError::Settings {
            message: "not a connection string such as postgresql://user@host/database".to_owned(),
        })?;
        Ok(Self {
            config,
            dial: Dial::plain(),
            schema: SCHEMA.to_owned(),
        })
    }

    /// Connects in another way, for example with TLS.
    #[must_use]
    pub fn dial(mut self, dial: Dial) -> Self {
        self.dial = dial;
        self
    }

    /// Sets the schema of the tables, instead of `session_key`. It is created if there is none.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// Keeps an agent's journal in a PostgreSQL server (13 or later), for any number of processes on any number
/// of machines.
///
/// # Guarantees
///
/// - What a method has confirmed with `Ok` is on the server's disk (`synchronous_commit`, `fsync` and
///   `full_page_writes` are on, or [`open`](Self::open) refuses the server). With synchronous standbys, it is
///   on those, too.
/// - A method happens whole or not at all, in one transaction, also if its future is dropped. Rows are
///   locked: a write that a lease allows locks the lease, so nobody else takes the lane before it is visible.
/// - A lost connection is made anew. A transaction that was not committed runs again, up to 25 seconds; if
///   the connection was lost during the commit, the server is asked whether it took place: each transaction
///   leaves its number in its session's row of a table. Only if the server does not say in time is the
///   outcome unknown, and an error says so.
/// - Deadlocks and serialization failures are repeated, and never seen by callers.
/// - Nothing is guessed: a record that cannot be read is an error that names it, and a schema of a later
///   release is refused.
///
/// # Many machines
///
/// Leases end by the clocks of the processes: keep them synchronized to within a few seconds. A clock that is
/// ahead takes lanes too early. That costs time and nothing else: who lost a lane cannot write.
///
/// A failover to a standby that lags (asynchronous replication) forgets what was confirmed last, like an
/// older backup: use `synchronous_standby_names`, or settle pending operations from the chain first.
///
/// Each process uses one connection. The role needs `CREATE` on the database for the first start, and later
/// only its own schema.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
}

impl PostgresStore {
    /// Connects, checks the server's settings, and creates or migrates the tables. A server that restarts is
    /// waited for, up to ten seconds.
    ///
    /// # Errors
    ///
    /// [`PostgresError`], if the server cannot be reached or does not meet the guarantees.
    pub async fn open(options: PostgresOptions) -> Result<Self, PostgresError> {
        let PostgresOptions { config, dial, schema } = options;
        Ok(Self {
            database: Database::open(config, dial, schema).await?,
        })
    }
}
