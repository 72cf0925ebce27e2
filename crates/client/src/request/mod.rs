//! How a request to a node or a bundler can end.
//!
//! [`RequestError`] keeps apart what a sender of money must not confuse: a request that never left, one that the other side
//! turned away, one that it answered with an error, and one that it may have acted on although no answer came back.

// Only the HTTP transport reads whole answers.
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

/// The largest result that is parsed, in bytes.
pub const MAX_ANSWER: usize = 4 << 20;

/// A text from outside, made fit to be shown: one line of at most `limit` characters, without control and formatting characters,
/// its URLs reduced to scheme and host. A text that was cut ends with an ellipsis. The texts in this crate's errors are clean already.
#[must_use]
pub fn clean_text(text: &str, limit: usize) -> String {
    text::cut(&text::without(text, &[]), limit)
}

/// Why a request to a node or a bundler has no result.
///
/// Texts from outside are cleaned of control and formatting characters, cut to 400 characters, and stripped of URLs down to
/// scheme and host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestError {
    /// No byte of the request was written: connection refused, host name unknown, TLS not established. Only a transport that
    /// repeats nothing and follows no redirect can say so: `HttpTransport`.
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
    #[error("cannot read the result{}: {found}", text::of(method))]
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
#[error("{}{message}", text::code(*code))]
#[non_exhaustive]
pub struct ErrorAnswer {
    /// The code, where there is one.
    pub code: Option<i64>,
    /// The message, cleaned and cut.
    pub message: String,
    /// Revert data, wherever in the error's data it stood.
    pub data: Option<Bytes>,
}

/// Asks again, up to three times, where the other side only says that it is asked too often. For requests that change nothing.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, RequestError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, RequestError> {
    /// The longest time to wait before asking again.
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
    /// The error of a request with this method, through any `alloy` transport.
    ///
    /// What this crate's `HttpTransport` found out is kept as it is. A failure of any other transport is
    /// [`NoAnswer`](Self::NoAnswer) even if it says that it could not connect: it may have sent the request before.
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

    /// What could not be read: a whole answer, or the result in one.
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

    /// No answer, for this reason.
    #[must_use]
    pub fn no_answer(message: impl AsRef<str>) -> Self {
        Self::NoAnswer {
            message: text::clean(message.as_ref()),
            status: None,
        }
    }

    /// A result of this method that is null, where there should be one: the other side does not have what was asked about. A block
    /// that a reorganization has just undone is such a thing; asking again helps.
    #[must_use]
    pub fn null(method: &str) -> Self {
        Self::no_answer(format!("the result{} is null", text::of(method)))
    }

    /// A result of this method that cannot be read.
    #[must_use]
    pub fn unreadable(method: &str, found: impl AsRef<str>) -> Self {
        Self::Unreadable {
            method: method.to_owned(),
            found: text::clean(found.as_ref()),
        }
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
    fn a_foreign_transport_that_does_not_connect_may_have_sent_the_request() {
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
    fn what_a_transport_of_this_crate_found_out_is_kept() {
        let found = RequestError::NotReached {
            message: "connection refused".to_owned(),
        };
        let error = TransportErrorKind::custom(found.clone());
        assert_eq!(RequestError::of("eth_call", &error), found);
        assert!(found.was_surely_not_received() && found.was_not_taken() && found.is_transient());
        // A layer that wraps it may have repeated the request.
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
    fn http_statuses_of_any_transport_are_told_apart() {
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
    fn texts_that_alloy_could_not_read_are_read_as_what_they_are() {
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
    fn what_was_not_made_is_not_taken_for_sent_or_transient() {
        let error = RequestError::from(&TransportError::UnsupportedFeature("calls"));
        assert_eq!(error.code(), "not_made");
        assert!(error.was_not_taken() && !error.is_transient() && !error.was_surely_not_received());
        // Reports of the other side, and no facts.
        for status in [401, 403, 404, 429] {
            let error = RequestError::from(&TransportErrorKind::http_error(status, String::new()));
            assert!(error.was_not_taken() && !error.was_surely_not_received());
            assert_eq!(error.is_transient(), status == 429);
        }
    }

    #[test]
    fn no_text_shows_a_url_or_a_control_character() {
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
    fn errors_are_kept_as_json_and_read_back() {
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
