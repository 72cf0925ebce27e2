//! How a request to a node or a bundler can end.
//!
//! [`RequestError`] keeps apart what a sender of money must not confuse: a request that never left, one that the other side
//! turned away, one that it answered with an error, and one that it may have acted on although no answer came back.

pub mod lenient;
mod text;

use crate::revert::Revert;
use alloy::{primitives::Bytes, transports::TransportError};
use serde::{Deserialize, Serialize};

/// The largest result that is parsed, in bytes.
pub const MAX_ANSWER: usize = 4 << 20;

/// Why a request to a node or a bundler has no result.
///
/// Texts from outside are cleaned of control and formatting characters, cut to 400 characters, and stripped of URLs down to
/// scheme and host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestError {
    /// No byte of the request was written: connection refused, host name unknown, TLS not established. Only a transport that
    /// repeats nothing and follows no redirect can say so: [`HttpTransport`](crate::transport::HttpTransport).
    #[error("the other side was not reached: {message}")]
    NotReached {
        /// The cause.
        message: String,
    },

    /// The request could not be made: its parameters do not serialize, or the provider does not support it.
    #[error("the request could not be made: {message}")]
    NotMade {
        /// The cause.
        message: String,
    },

    /// Turned away before anybody looked at the request: HTTP 401, 403 or 404.
    #[error("turned away with HTTP status {status}{}", text::suffix(message))]
    TurnedAway {
        /// The HTTP status.
        status: u16,
        /// The other side's words, possibly none.
        message: String,
    },

    /// The other side says that it gets too many requests.
    #[error("rate limited{}", text::suffix(message))]
    RateLimited {
        /// The other side's words, possibly none.
        message: String,
        /// Seconds to wait, where the other side says how long. Not bounded.
        retry_after: Option<u64>,
    },

    /// No answer, or none that can be read: the connection was lost, the answer was cut, the time was over, a server in between
    /// failed (HTTP 5xx), redirected, or answered with a page. The other side may have acted on the request.
    #[error("no answer: {message}")]
    NoAnswer {
        /// The cause.
        message: String,
        /// The HTTP status, if there was one.
        status: Option<u16>,
    },

    /// A JSON-RPC error.
    #[error("{0}")]
    Answered(ErrorAnswer),

    /// A well-formed result that is not a result of this method.
    #[error("cannot read the result of {method}: {found}")]
    Unreadable {
        /// The method; empty where it is not known.
        method: String,
        /// The result, or what is wrong with it.
        found: String,
    },

    /// The answer is larger than accepted.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ErrorAnswer {
    /// The code, where there is one.
    pub code: Option<i64>,
    /// The message, cleaned and cut.
    pub message: String,
    /// Revert data, wherever in the error's data it stood.
    pub data: Option<Bytes>,
}

impl RequestError {
    /// The error of a request with this method, through any `alloy` transport.
    ///
    /// What [`HttpTransport`](crate::transport::HttpTransport) found out is kept as it is. A failure of any other transport is
    /// [`NoAnswer`](Self::NoAnswer) even if it says that it could not connect: it may have sent the request before.
    #[must_use]
    pub fn of(method: &str, error: &TransportError) -> Self {
        todo!("{method}{error}")
    }

    /// Whether the same request can succeed later without anything being changed: not reached, rate limited, no answer.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotReached { .. } | Self::RateLimited { .. } | Self::NoAnswer { .. }
        )
    }

    /// Whether no byte of the request can have arrived. A fact, not a report: only [`NotReached`](Self::NotReached).
    #[must_use]
    pub const fn was_surely_not_received(&self) -> bool {
        matches!(self, Self::NotReached { .. })
    }

    /// Whether the request was not taken: it was not received, was turned away, or rate limited. The last two are reports of the
    /// other side, and no promise: there are nodes that pass a transaction on and then say "rate limited".
    #[must_use]
    pub const fn was_not_taken(&self) -> bool {
        matches!(
            self,
            Self::NotReached { .. }
                | Self::NotMade { .. }
                | Self::TurnedAway { .. }
                | Self::RateLimited { .. }
        )
    }

    /// A stable name of the kind of error, such as `"no_answer"`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotReached { .. } => "not_reached",
            Self::NotMade { .. } => "not_made",
            Self::TurnedAway { .. } => "turned_away",
            Self::RateLimited { .. } => "rate_limited",
            Self::NoAnswer { .. } => "no_answer",
            Self::Answered(_) => "answered",
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
        }
    }

    /// The JSON-RPC error, if this is one.
    #[must_use]
    pub const fn answer(&self) -> Option<&ErrorAnswer> {
        match self {
            Self::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// The revert that the error reports, if it reports one.
    #[must_use]
    pub fn revert(&self) -> Option<Revert> {
        self.answer()?.revert()
    }
}

impl From<&TransportError> for RequestError {
    fn from(error: &TransportError) -> Self {
        Self::of("", error)
    }
}

impl ErrorAnswer {
    /// The revert that the error reports; `None` if it reports another failure. Where the reason is given in words only, it is
    /// [`Revert::Error`].
    #[must_use]
    pub fn revert(&self) -> Option<Revert> {
        todo!()
    }
}
