//! Errors of a PostgreSQL store.

use session_key_client::journal::JournalError;
use tokio_postgres::error::SqlState;

/// The longest message of a server that is passed on, in characters.
const LONGEST_MESSAGE: usize = 300;

/// A PostgreSQL store cannot be used. Messages contain neither passwords nor connection strings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The connection string, or the schema's name, is invalid.
    #[error("invalid settings for PostgreSQL: {message}")]
    Settings {
        /// The problem.
        message: String,
    },

    /// The server cannot be reached, or the connection was lost.
    #[error("PostgreSQL does not answer: {message}")]
    NotReached {
        /// The reason.
        message: String,
    },

    /// The server answered with an error.
    #[error("PostgreSQL refused: {message} (SQLSTATE {code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// The server's message.
        message: String,
    },

    /// A later release created the tables, or changed them since the store was opened.
    #[error("schema {schema} has version {found}, and this release knows versions 1 to {known}")]
    UnknownVersion {
        /// The schema.
        schema: String,
        /// Its version.
        found: i64,
        /// The latest version that this release knows.
        known: i64,
    },

    /// The server has a setting that the store's guarantees exclude.
    #[error("PostgreSQL has {setting} = {found}, not {wanted}")]
    Setting {
        /// The setting.
        setting: String,
        /// The required value.
        wanted: String,
        /// The actual value.
        found: String,
    },

    /// The connection was lost during a commit, and the server did not say in time whether it took place.
    #[error("the connection was lost while writing, and whether anything was written is unknown")]
    Unknown,
}

impl PostgresError {
    /// Classifies an error of the driver.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(answer) => Self::Refused {
                code: answer.code().code().to_owned(),
                message: clean(answer.message()),
            },
            None => Self::NotReached {
                message: clean(&error.to_string()),
            },
        }
    }
}

impl From<PostgresError> for JournalError {
    fn from(error: PostgresError) -> Self {
        Self::Store {
            message: error.to_string(),
        }
    }
}

/// What to do about a failed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Run it again: others were in its way.
    Again,
    /// Connect again, then run it again.
    Reconnect,
    /// Nothing helps.
    None,
}

/// Returns what to do about an error before a commit was sent: nothing was written.
pub(super) fn remedy(error: &tokio_postgres::Error) -> Remedy {
    let Some(code) = error.code() else {
        return if error.is_closed() || is_io(error) {
            Remedy::Reconnect
        } else {
            Remedy::None
        };
    };
    match *code {
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        // Another transaction has inserted the same row or name: run again, it is visible.
        | SqlState::UNIQUE_VIOLATION
        | SqlState::LOCK_NOT_AVAILABLE => Remedy::Again,
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Remedy::Reconnect,
        _ => Remedy::None,
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<std::io::Error>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Removes control characters, and shortens.
fn clean(text: &str) -> String {
    let cleaned = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    cleaned.take(LONGEST_MESSAGE).collect()
}
