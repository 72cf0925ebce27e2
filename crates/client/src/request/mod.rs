//! The possible results of a request to a node or a bundler.
//!
//! [`RequestError`] distinguishes cases that matter when money is sent: a request that never left, one that
//! was turned away, one answered with an error, and one that may have taken effect although no answer
//! arrived.

// Only the HTTP transport parses whole answers.
#[cfg_attr(not(feature = "http"), allow(dead_code))]
pub(crate) mod answer;
pub mod lenient;
pub(crate) mod text;

pub(crate) use text::clean;

use crate::revert::Revert;
use alloy::{
    primitives::Bytes,
    transports::{RpcError, TransportError, TransportErrorKind},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use std::time::Duration;

/// Maximum size of a result that is parsed, in bytes.
pub const MAX_ANSWER: usize = 4 << 20;

/// Cleans a text from outside for display: one line of at most `limit` characters, without control and
/// formatting characters, with URLs reduced to scheme and host. A truncated text ends with an ellipsis. The
/// texts in this crate's errors are already clean.
#[must_use]
pub fn clean_text(text: &str, limit: usize) -> String {
    text::cut(&text::without(text, &[]), limit)
}

/// Why a request to a node or a bundler has no result.
///
/// Texts from outside are cleaned of control and formatting characters, truncated to 400 characters, and
/// stripped of URLs down to scheme and host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestError {
    /// No byte of the request was written: connection refused, host name unknown, TLS not established. Only a
    /// transport that neither retries nor follows redirects can report this: `HttpTransport`.
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

    /// Turned away before the request was processed: HTTP 401, 403 or 404.
    #[error("turned away with HTTP status {status}{}", text::suffix(message))]
    TurnedAway {
        /// The HTTP status.
        status: u16,
        /// The other side's message, possibly empty.
        message: String,
    },

    /// The other side reports too many requests.
    #[error("rate limited{}", text::suffix(message))]
    RateLimited {
        /// The other side's message, possibly empty.
        message: String,
        /// Seconds to wait, if the other side names them. Not bounded.
        retry_after: Option<u64>,
    },

    /// There was no answer, or an unreadable one: the connection was lost, the answer was truncated, the
    /// request timed out, or a server in between failed (HTTP 5xx), redirected, or answered with a page. The
    /// request may have taken effect.
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

    /// A well-formed result that does not fit the method.
    #[error("cannot read the result{}: {found}", text::of(method))]
    Unreadable {
        /// The method; empty if unknown.
        method: String,
        /// The result, or the problem.
        found: String,
    },

    /// The answer exceeds the size limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}{message}", text::code(*code))]
#[non_exhaustive]
pub struct ErrorAnswer {
    /// The code, if any.
    pub code: Option<i64>,
    /// The message, cleaned and truncated.
    pub message: String,
    /// Revert data, from anywhere in the error's data.
    pub data: Option<Bytes>,
}

/// Retries a request up to three times while it is only rate limited. For requests without effects.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, RequestError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, RequestError> {
    /// The maximum wait before a retry.
    const LONGEST: Duration = Duration::from_secs(10);
    let mut pause = Duration::from_millis(500);
    for _ in 0..3 {
        match ask().await {
            Err(RequestError::RateLimited { retry_after, .. }) => {
                let asked = retry_after.map(Duration::from_secs);
                tokio::time::sleep(asked.unwrap_or(pause).clamp(pause, LONGEST)).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    ask().await
}

impl RequestError {
    /// Converts the error of a request with this method, through any `alloy` transport.
    ///
    /// Errors of this crate's `HttpTransport` are kept as they are. A failure of any other transport is
    /// [`NoAnswer`](Self::NoAnswer) even if it reports that it could not connect: it may have sent the
    /// request before.
    #[must_use]
    pub fn of(method: &str, error: &TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => answer::RawError {
                code: Some(payload.code),
                message: payload.message.to_string(),
                data: payload
                    .data
                    .as_deref()
                    .filter(|data| data.get().len() <= MAX_ANSWER)
                    .and_then(|data| serde_json::from_str::<Value>(data.get()).ok()),
            }
            .into_request_error(text::clean),
            RpcError::NullResp => Self::null(method),
            RpcError::UnsupportedFeature(_) | RpcError::LocalUsageError(_) | RpcError::SerError(_) => {
                Self::NotMade {
                    message: text::clean(&text::chain(error)),
                }
            }
            RpcError::DeserError { text, .. } => Self::of_text(method, text),
            RpcError::Transport(kind) => Self::of_transport(kind),
        }
    }

    /// Interprets an unreadable text: a whole answer, or a result.
    fn of_text(method: &str, text: &str) -> Self {
        if text.len() > MAX_ANSWER {
            return Self::TooLarge { limit: MAX_ANSWER };
        }
        if text.trim() == "null" {
            return Self::null(method);
        }
        let is_envelope = answer::Envelope::read(text).is_some_and(|envelope| envelope.is_answer());
        if !is_envelope && serde_json::from_str::<IgnoredAny>(text).is_ok() {
            return Self::unreadable(method, text);
        }
        answer::of_body(text, text::clean)
    }

    fn of_transport(kind: &TransportErrorKind) -> Self {
        match kind {
            TransportErrorKind::HttpError(error) => {
                answer::of_status(error.status, &error.body, None, text::clean)
            }
            TransportErrorKind::HttpErrorWithRetryAfter { error, retry_after } => {
                let seconds = retry_after.saturating_add(Duration::from_millis(999)).as_secs();
                answer::of_status(error.status, &error.body, Some(seconds), text::clean)
            }
            TransportErrorKind::Custom(error) => match error.downcast_ref::<Self>() {
                Some(error) => error.clone(),
                None => Self::no_answer(text::chain(error.as_ref())),
            },
            _ => Self::no_answer(text::chain(kind)),
        }
    }

    /// Creates a [`NoAnswer`](Self::NoAnswer) with this reason.
    #[must_use]
    pub fn no_answer(message: impl AsRef<str>) -> Self {
        Self::NoAnswer {
            message: text::clean(message.as_ref()),
            status: None,
        }
    }

    /// Creates the error of a null result where one is required: the other side does not have the requested
    /// item, such as a block that was just reorganized away. Retrying helps.
    #[must_use]
    pub fn null(method: &str) -> Self {
        Self::no_answer(format!("the result{} is null", text::of(method)))
    }

    /// Creates the error of an unreadable result of this method.
    #[must_use]
    pub fn unreadable(method: &str, found: impl AsRef<str>) -> Self {
        Self::Unreadable {
            method: method.to_owned(),
            found: text::clean(found.as_ref()),
        }
    }

    /// Whether the same request can succeed later unchanged: not reached, rate limited, no answer.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotReached { .. } | Self::RateLimited { .. } | Self::NoAnswer { .. }
        )
    }

    /// Whether certainly no byte of the request arrived: only [`NotReached`](Self::NotReached).
    #[must_use]
    pub const fn was_surely_not_received(&self) -> bool {
        matches!(self, Self::NotReached { .. })
    }

    /// Whether the request was not processed: it was not received, turned away, or rate limited. The last two
    /// are the other side's claims, and not guaranteed: some nodes pass a transaction on and then answer
    /// "rate limited".
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

    /// Returns a stable name of the kind of error, such as `"no_answer"`.
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

    /// Returns the JSON-RPC error, if it is one.
    #[must_use]
    pub const fn answer(&self) -> Option<&ErrorAnswer> {
        match self {
            Self::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// Returns the revert that the error reports, if any.
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{rpc::json_rpc::ErrorPayload, transports::TransportErrorKind};
    use serde_json::json;

    const URL: &str = "https://user:s3cr3t@node.example/v2/s3cr3t?key=s3cr3t";

    fn custom(message: &str) -> TransportError {
        TransportErrorKind::custom_str(message)
    }

    fn unread(text: &str) -> TransportError {
        let err = serde_json::from_str::<u8>("x").unwrap_err();
        TransportError::DeserError {
            err,
            text: text.to_owned(),
        }
    }

    #[test]
    fn another_transport_that_does_not_connect_may_have_sent_the_request() {
        for error in [
            custom("connection refused"),
            custom("dns error: name unknown"),
            TransportErrorKind::backend_gone(),
            TransportErrorKind::pubsub_unavailable(),
            TransportError::Transport(TransportErrorKind::NonRetryable("refused".into())),
        ] {
            let found = RequestError::from(&error);
            assert!(
                matches!(found, RequestError::NoAnswer { status: None, .. }),
                "{found:?}"
            );
            assert!(!found.was_surely_not_received() && !found.was_not_taken() && found.is_transient());
        }
    }

    #[test]
    fn errors_of_this_crates_transport_are_kept() {
        let found = RequestError::NotReached {
            message: "connection refused".to_owned(),
        };
        let error = TransportErrorKind::custom(found.clone());
        assert_eq!(RequestError::of("eth_call", &error), found);
        assert!(found.was_surely_not_received() && found.was_not_taken() && found.is_transient());
        // A layer around it may have repeated the request.
        #[derive(Debug, thiserror::Error)]
        #[error("gave up")]
        struct Wrapped(#[source] RequestError);
        let wrapped = RequestError::from(&TransportErrorKind::custom(Wrapped(found)));
        assert_eq!(
            wrapped,
            RequestError::no_answer("gave up: the other side was not reached: connection refused")
        );
    }

    #[test]
    fn http_statuses_of_any_transport_are_distinguished() {
        let of =
            |status, body: &str| RequestError::from(&TransportErrorKind::http_error(status, body.to_owned()));
        assert_eq!(of(401, "").code(), "turned_away");
        assert_eq!(of(429, "").code(), "rate_limited");
        assert_eq!(of(503, "").code(), "no_answer");
        let body = r#"{"error":{"message":"AA20 account not deployed"}}"#;
        assert_eq!(
            of(400, body).answer().unwrap().message,
            "AA20 account not deployed"
        );
        let error = TransportErrorKind::http_error_with_retry_after(
            429,
            String::new(),
            Some(Duration::from_millis(1)),
        );
        assert!(matches!(
            RequestError::from(&error),
            RequestError::RateLimited {
                retry_after: Some(1),
                ..
            }
        ));
        let error = TransportErrorKind::http_error_with_retry_after(429, String::new(), Some(Duration::MAX));
        assert!(matches!(
            RequestError::from(&error),
            RequestError::RateLimited {
                retry_after: Some(u64::MAX),
                ..
            }
        ));
    }

    #[test]
    fn texts_alloy_could_not_read_are_interpreted() {
        for (text, code) in [
            ("<html>", "no_answer"),
            (r#"{"jsonrpc":"2.0","id":1,"result":"0x"#, "no_answer"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "no_answer"),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"message":"no"}}"#, "answered"),
            (r#"{"number":"0x1"}"#, "unreadable"),
            (r#""0x1""#, "unreadable"),
            ("[]", "unreadable"),
        ] {
            assert_eq!(RequestError::of("eth_call", &unread(text)).code(), code, "{text}");
        }
        let large = RequestError::from(&unread(&"x".repeat(MAX_ANSWER + 1)));
        assert_eq!(large, RequestError::TooLarge { limit: MAX_ANSWER });
        let shown = RequestError::of("eth_call", &unread(r#"{"number":"0x1"}"#)).to_string();
        assert_eq!(shown, r#"cannot read the result of eth_call: {"number":"0x1"}"#);
    }

    #[test]
    fn error_objects_of_any_transport_keep_their_data() {
        let payload: ErrorPayload = serde_json::from_value(
            json!({ "code": -32521, "message": "reverted", "data": { "revertData": "0xb4d78304" } }),
        )
        .unwrap();
        let error = RequestError::from(&TransportError::ErrorResp(payload));
        assert!(matches!(error.revert(), Some(Revert::Plugin(_))), "{error:?}");
        assert_eq!(error.to_string(), "error -32521: reverted");
    }

    #[test]
    fn a_request_not_made_is_neither_sent_nor_transient() {
        let error = RequestError::from(&TransportError::UnsupportedFeature("calls"));
        assert_eq!(error.code(), "not_made");
        assert!(error.was_not_taken() && !error.is_transient() && !error.was_surely_not_received());
        // Claims of the other side, not facts.
        for status in [401, 403, 404, 429] {
            let error = RequestError::from(&TransportErrorKind::http_error(status, String::new()));
            assert!(error.was_not_taken() && !error.was_surely_not_received());
            assert_eq!(error.is_transient(), status == 429);
        }
    }

    #[test]
    fn texts_show_no_urls_or_control_characters() {
        let dirty = format!("\u{1b}[31mfailed for {URL}\u{202e} {}", "x".repeat(10_000));
        let payload = ErrorPayload {
            code: -32000,
            message: dirty.clone().into(),
            data: None,
        };
        for error in [
            custom(&dirty),
            unread(&dirty),
            unread(&json!({ "found": dirty }).to_string()),
            TransportErrorKind::http_error(502, dirty.clone()),
            TransportErrorKind::http_error(404, dirty.clone()),
            TransportErrorKind::http_error(429, dirty.clone()),
            TransportError::ErrorResp(payload),
            TransportError::local_usage_str(&dirty),
        ] {
            let found = RequestError::from(&error);
            for shown in [
                found.to_string(),
                format!("{found:?}"),
                serde_json::to_string(&found).unwrap(),
            ] {
                assert!(
                    !shown.contains("s3cr3t") && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'),
                    "{shown}"
                );
                assert!(shown.contains("https://node.example/…"), "{shown}");
                assert!(shown.chars().count() < 520, "{shown}");
            }
        }
    }

    #[test]
    fn errors_round_trip_through_json() {
        for error in [
            RequestError::NotReached {
                message: "no".to_owned(),
            },
            RequestError::TurnedAway {
                status: 401,
                message: String::new(),
            },
            RequestError::Answered(ErrorAnswer::new(Some(3), "reverted")),
            RequestError::TooLarge { limit: 7 },
            RequestError::unreadable("eth_call", "null"),
        ] {
            let json = serde_json::to_string(&error).unwrap();
            assert_eq!(
                serde_json::from_str::<RequestError>(&json).unwrap(),
                error,
                "{json}"
            );
            assert!(json.contains(error.code()), "{json}");
        }
    }
}
