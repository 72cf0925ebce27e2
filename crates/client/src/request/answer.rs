//! Parses JSON-RPC answers leniently.

use super::{ErrorAnswer, RequestError, text};
use crate::revert::{Revert, rpc};
use alloy::primitives::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, value::RawValue};

/// Maximum size of revert data kept, in bytes. The EntryPoint passes on at most 2048; nodes, whatever a
/// contract returns.
const MAX_REVERT_DATA: usize = 64 << 10;
/// ERC-4337: the operation's call reverted.
const OPERATION_REVERTED: i64 = -32521;
/// HTTP's code for too many requests, which some put into the error object.
const TOO_MANY_REQUESTS: i64 = 429;

/// Words, in lower case, that indicate a limit on the number of requests.
const RATE_WORDS: [&str; 14] = [
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate is limited",
    "rate exceeded",
    "too many requests",
    "too many concurrent requests",
    "request limit",
    "request count exceeded",
    "requests per ",
    "requests limited",
    "compute units",
    "throughput",
    "request quota",
];

/// Words, in lower case, that indicate a limit on the size of the request or answer.
const SIZE_WORDS: [&str; 13] = [
    "range",
    "results",
    "result set",
    "result size",
    "response size",
    "response too large",
    "response is too",
    "too many logs",
    "more than",
    "blocks",
    "too large",
    "too big",
    "too wide",
];

/// A JSON-RPC answer, with unparsed parts.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    pub(crate) id: Option<&'a RawValue>,
    /// Present even if it is null.
    #[serde(default, borrow, deserialize_with = "present")]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default, borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(default, borrow)]
    code: Option<&'a RawValue>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
}

/// Distinguishes null from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A JSON-RPC error as received: not cleaned or truncated yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawError {
    pub(crate) code: Option<i64>,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let text = trimmed(text);
        text.starts_with('{').then(|| serde_json::from_str(text).ok())?
    }

    /// Parses the answers to a batch.
    pub(crate) fn read_all(text: &'a str) -> Option<Vec<Self>> {
        let answers: Vec<&RawValue> = serde_json::from_str(trimmed(text)).ok()?;
        answers
            .into_iter()
            .map(|answer| Self::read(answer.get()))
            .collect()
    }

    /// Whether it is a whole answer, rather than the result of one.
    pub(super) const fn is_answer(&self) -> bool {
        self.jsonrpc.is_some() || self.error.is_some()
    }

    /// Returns the error in it. It may lack its code, or be a plain string; or the object is the error
    /// itself.
    pub(crate) fn error(&self) -> Option<RawError> {
        if let Some(error) = self.error {
            return RawError::read(serde_json::from_str(error.get()).ok()?);
        }
        let (code, message) = (self.code?, self.message?);
        let code = serde_json::from_str(code.get()).ok().as_ref().and_then(code_of)?;
        // Positive codes are HTTP's.
        (code < 0).then(|| RawError {
            code: Some(code),
            message: serde_json::from_str(message.get()).unwrap_or_default(),
            data: None,
        })
    }

    /// Whether it is certainly JSON-RPC, and not a gateway's error with an HTTP status as its code.
    fn is_json_rpc(&self, error: &RawError) -> bool {
        self.jsonrpc.is_some() || error.code.is_some_and(|code| !(100..600).contains(&code))
    }
}

impl RawError {
    fn read(error: Value) -> Option<Self> {
        match error {
            Value::Object(mut fields) => {
                let data = fields.remove("data");
                let message = words(&fields).map(str::to_owned);
                Some(Self {
                    code: fields.get("code").and_then(code_of),
                    message: message.unwrap_or_else(|| match (&data, fields.is_empty()) {
                        (Some(_), _) | (None, true) => String::new(),
                        (None, false) => Value::Object(fields).to_string(),
                    }),
                    data,
                })
            }
            Value::String(message) => Some(Self {
                message,
                ..Self::default()
            }),
            _ => None,
        }
    }

    /// Converts it to the request's error, with texts cleaned by `clean`.
    pub(crate) fn into_request_error(self, clean: impl Fn(&str) -> String) -> RequestError {
        let mut message = self.message;
        // The subject may be in the data only.
        let detail = match &self.data {
            Some(Value::String(text)) if !is_hex(text) => Some(text.as_str()),
            Some(Value::Object(fields)) => words(fields).filter(|text| !is_hex(text)),
            _ => None,
        };
        match detail.filter(|detail| !detail.trim().is_empty() && !message.contains(*detail)) {
            Some(detail) if message.trim().is_empty() => message = detail.to_owned(),
            Some(detail) => message = format!("{message} ({detail})"),
            None => {}
        }
        let shown = clean(&message);
        if is_rate_limit(self.code, &message.to_ascii_lowercase()) {
            return RequestError::RateLimited {
                retry_after: retry_after(&message, self.data.as_ref()),
                message: shown,
            };
        }
        let data = self.data.as_ref().and_then(rpc::revert_data);
        RequestError::Answered(ErrorAnswer {
            code: self.code,
            data: data
                .or_else(|| data_in_words(&message))
                .filter(|data| data.len() <= MAX_REVERT_DATA),
            message: shown,
        })
    }
}

impl ErrorAnswer {
    /// Creates an answer with this code and message.
    #[must_use]
    pub fn new(code: Option<i64>, message: &str) -> Self {
        Self {
            code,
            message: text::clean(message),
            data: None,
        }
    }

    /// Returns the revert that the error reports; `None` if it reports another failure. A reason given only
    /// in words is [`Revert::Error`]; no reason is [`Revert::Unknown`] without bytes.
    #[must_use]
    pub fn revert(&self) -> Option<Revert> {
        let is_revert = matches!(self.code, Some(rpc::REVERTED | OPERATION_REVERTED))
            || rpc::tells_halt(&self.message.to_ascii_lowercase());
        if !is_revert || self.code == Some(rpc::LIMIT_EXCEEDED) {
            return None;
        }
        match &self.data {
            Some(data) => Some(Revert::decode(data)),
            // "AA23 reverted" is the EntryPoint's verdict on an operation, not a contract's revert.
            None if self.code.is_some_and(|code| (-32520..=-32500).contains(&code)) => None,
            None => Some(match rpc::reason(&self.message) {
                Some(reason) => Revert::Error(reason.to_owned()),
                None => Revert::Unknown(Bytes::new()),
            }),
        }
    }
}

/// Interprets an answer with this HTTP status, other than 2xx, and this body.
pub(crate) fn of_status(
    status: u16,
    body: &str,
    retry_after: Option<u64>,
    clean: impl Fn(&str) -> String,
) -> RequestError {
    let error = first_error(body, status);
    let words = clean(match &error {
        Some(error) => error.message.as_str(),
        None if is_page(body) => "",
        None => body,
    });
    match (status, error) {
        (401, _) | (403 | 404, None) => RequestError::TurnedAway {
            status,
            message: words,
        },
        (429, _) => RequestError::RateLimited {
            message: words,
            retry_after,
        },
        (_, Some(error)) => match error.into_request_error(&clean) {
            RequestError::RateLimited {
                message,
                retry_after: said,
            } => RequestError::RateLimited {
                message,
                retry_after: retry_after.or(said),
            },
            other => other,
        },
        (_, None) => {
            let kind = match status {
                300..=399 => "redirected, HTTP status",
                _ => "HTTP status",
            };
            RequestError::NoAnswer {
                message: text::cut(
                    &format!("{kind} {status}{}", text::suffix(&words)),
                    text::MAX_TEXT,
                ),
                status: Some(status),
            }
        }
    }
}

/// Interprets a body, with HTTP status 2xx or none, that is not an answer to the request.
pub(crate) fn of_body(body: &str, clean: impl Fn(&str) -> String) -> RequestError {
    if let Some(error) = first_error(body, 200) {
        return error.into_request_error(clean);
    }
    let message = if body.trim().is_empty() {
        "an empty body".to_owned()
    } else if is_page(body) {
        "a page instead of JSON-RPC".to_owned()
    } else {
        text::cut(&format!("not JSON-RPC: {}", clean(body)), text::MAX_TEXT)
    };
    RequestError::no_answer(message)
}

/// Returns the JSON-RPC error in a body; for a batch, the first.
pub(crate) fn first_error(body: &str, status: u16) -> Option<RawError> {
    let body = trimmed(body);
    let first = if body.starts_with('[') {
        let answers: Vec<&RawValue> = serde_json::from_str(body).ok()?;
        answers.first()?.get()
    } else {
        body
    };
    let envelope = Envelope::read(first)?;
    let error = envelope.error()?;
    // Servers in between format their failures as JSON, too.
    (status < 500 || envelope.is_json_rpc(&error)).then_some(error)
}

fn is_page(body: &str) -> bool {
    trimmed(body).starts_with('<')
}

fn trimmed(body: &str) -> &str {
    body.trim_start_matches('\u{feff}').trim()
}

/// Parses an error code, as a number or a string.
fn code_of(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let code = number.as_f64()?;
            (code.fract() == 0.0 && code.abs() < 1e9).then_some(code as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Returns an object's message.
fn words(fields: &Map<String, Value>) -> Option<&str> {
    ["message", "reason", "details", "detail", "error", "description"]
        .iter()
        .filter_map(|name| fields.get(*name)?.as_str())
        .find(|text| !text.trim().is_empty())
}

pub(crate) fn is_hex(text: &str) -> bool {
    text.trim()
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Finds revert data in the message of an error about a revert: four bytes, and any number of 32-byte words.
fn data_in_words(message: &str) -> Option<Bytes> {
    if !rpc::tells_halt(&message.to_ascii_lowercase()) {
        return None;
    }
    message
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| word.starts_with("0x"))
        .filter_map(|word| word.parse::<Bytes>().ok())
        .find(|data| data.len() % 32 == 4)
}

fn is_rate_limit(code: Option<i64>, message: &str) -> bool {
    if tells_rate(message) || code == Some(TOO_MANY_REQUESTS) {
        return true;
    }
    // The code of any exceeded limit (EIP-1474), including result limits.
    code == Some(rpc::LIMIT_EXCEEDED) && !tells_size(message)
}

/// Whether a message, in lower case, says that there are too many requests.
pub(crate) fn tells_rate(message: &str) -> bool {
    RATE_WORDS.iter().any(|words| message.contains(words))
}

/// Whether a message, in lower case, says that the request or answer is too large.
pub(crate) fn tells_size(message: &str) -> bool {
    SIZE_WORDS.iter().any(|words| message.contains(words))
}

/// Returns the seconds to wait that an error names, rounded up: "try again in 4ms", `{ "rate": {
/// "backoff_seconds": 30 } }`.
fn retry_after(message: &str, data: Option<&Value>) -> Option<u64> {
    let backoff = data.and_then(|data| {
        let seconds = data.get("rate")?.get("backoff_seconds")?;
        seconds
            .as_u64()
            // Casting a float saturates.
            .or_else(|| seconds.as_f64().map(|seconds| seconds.ceil() as u64))
    });
    backoff.or_else(|| {
        let message = message.to_ascii_lowercase();
        let (_, after) = message
            .split_once("again in ")
            .or(message.split_once("retry after "))?;
        let digits = after.find(|character: char| !character.is_ascii_digit());
        let (number, unit) = after.split_at(digits.unwrap_or(after.len()));
        let number: u64 = number.parse().ok()?;
        match unit.trim_start() {
            unit if unit.starts_with("ms") || unit.starts_with("milli") => Some(number.div_ceil(1000)),
            unit if unit.starts_with("min") || unit == "m" => number.checked_mul(60),
            unit if unit.is_empty() || unit.starts_with('s') => Some(number),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revert::PluginError;
    use alloy::primitives::{bytes, hex};
    use serde_json::json;

    fn of(error: Value) -> RequestError {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string();
        of_body(&body, text::clean)
    }

    fn answered(error: RequestError) -> ErrorAnswer {
        match error {
            RequestError::Answered(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_without_code_in_an_http_error_is_read() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"error":{"message":"AA20 account not deployed"}}"#,
            r#"{"error":{"message":"AA20 account not deployed"}}"#,
            r#"{"error":"AA20 account not deployed"}"#,
            "\u{feff} {\"error\":{\"code\":null,\"message\":\"AA20 account not deployed\"},\"result\":null}\n",
            r#"[{"error":{"code":"what","message":"AA20 account not deployed"}}]"#,
            r#"{"error":{"data":{"reason":"AA20 account not deployed"}}}"#,
        ] {
            let answer = answered(of_status(400, body, None, text::clean));
            assert_eq!(answer.code, None, "{body}");
            assert_eq!(answer.message, "AA20 account not deployed", "{body}");
        }
    }

    #[test]
    fn codes_are_read_in_every_format() {
        for code in [json!(-32521), json!("-32521"), json!(-32521.0)] {
            let answer = answered(of(json!({ "code": code, "message": "no" })));
            assert_eq!(answer.code, Some(-32521));
        }
        let bare = answered(of_status(
            500,
            r#"{"code":-32000,"message":"no"}"#,
            None,
            text::clean,
        ));
        assert_eq!((bare.code, bare.message.as_str()), (Some(-32000), "no"));
    }

    #[test]
    fn failures_of_servers_in_between_are_not_answers() {
        for (status, body) in [
            (
                502,
                r#"{"error":{"message":"upstream timed out","code":"TIMEOUT"}}"#,
            ),
            (503, r#"{"error":"no healthy upstream"}"#),
            (500, r#"{"code":500,"message":"internal"}"#),
            (500, "<html>oops</html>"),
            (307, ""),
            (301, "<html>moved</html>"),
            (400, "bad request"),
            (400, r#"{"message":"no route","code":7}"#),
            (408, ""),
            (413, "too large"),
        ] {
            let error = of_status(status, body, None, text::clean);
            assert!(
                matches!(error, RequestError::NoAnswer { status: Some(said), .. } if said == status),
                "{status} {body}: {error:?}"
            );
        }
        for body in [
            "",
            "<!DOCTYPE html>",
            r#"{"jsonrpc":"2.0","id":1,"res"#,
            "[]",
            "[1]",
            "null",
            "{}",
            "OK",
        ] {
            let error = of_body(body, text::clean);
            assert!(
                matches!(error, RequestError::NoAnswer { status: None, .. }),
                "{body}: {error:?}"
            );
        }
    }

    #[test]
    fn turned_away_errors_keep_their_message() {
        let rpc = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Must be authenticated!"}}"#;
        for (status, body, words) in [
            (401, rpc, "Must be authenticated!"),
            (401, "", ""),
            (403, "<html>", ""),
            (403, r#"{"message":"geo"}"#, r#"{"message":"geo"}"#),
            (404, "no such project", "no such project"),
        ] {
            let error = of_status(status, body, None, text::clean);
            let expected = RequestError::TurnedAway {
                status,
                message: words.to_owned(),
            };
            assert_eq!(error, expected);
        }
        let known = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}"#;
        assert_eq!(
            answered(of_status(404, known, None, text::clean)).code,
            Some(-32601)
        );
    }

    #[test]
    fn rate_limits_are_recognized_in_all_wordings() {
        for (error, after) in [
            (json!({ "code": -32005, "message": "limit exceeded" }), None),
            (json!({ "code": 429, "message": "slow down" }), None),
            (json!({ "code": -32000, "message": "Too Many Requests" }), None),
            (
                json!({ "code": -32007, "message": "100/second request limit reached" }),
                None,
            ),
            (
                json!({ "code": -32005, "message": "rate limited, try again in 1500ms" }),
                Some(2),
            ),
            (
                json!({ "code": -32005, "message": "Rate limit: retry after 7" }),
                Some(7),
            ),
            (
                json!({ "code": -32005, "message": "daily request count exceeded", "data": { "rate": { "backoff_seconds": 29.5 } } }),
                Some(30),
            ),
            (
                json!("your app has exceeded its compute units per second capacity"),
                None,
            ),
        ] {
            let found = of(error.clone());
            assert!(
                matches!(&found, RequestError::RateLimited { retry_after, .. } if *retry_after == after),
                "{error}: {found:?}"
            );
        }
        for error in [
            json!({ "code": -32005, "message": "query returned more than 10000 results" }),
            json!({ "code": -32504, "message": "paymaster is throttled or banned" }),
            json!({ "code": -32000, "message": "exceeds block gas limit" }),
        ] {
            answered(of(error));
        }
        let found = of_status(429, "", Some(9), text::clean);
        assert!(matches!(
            found,
            RequestError::RateLimited {
                retry_after: Some(9),
                ..
            }
        ));
    }

    #[test]
    fn revert_data_is_found_in_all_places() {
        let refused = Revert::Plugin(PluginError::PermissionsCheckFailed);
        for error in [
            json!({ "code": 3, "message": "execution reverted", "data": "0xb4d78304" }),
            json!({ "code": -32521, "message": "no", "data": { "revertData": "0xb4d78304" } }),
            json!({ "code": -32000, "message": "no", "data": "Reverted 0xb4d78304" }),
            json!({ "code": -32603, "message": "reverted", "data": { "errors": [{ "data": "0xb4d78304" }] } }),
            json!({ "code": -32521, "message": "UserOperation reverted with reason: 0xb4d78304" }),
        ] {
            let answer = answered(of(error.clone()));
            assert_eq!(answer.data, Some(bytes!("b4d78304")), "{error}");
            assert_eq!(answer.revert(), Some(refused.clone()), "{error}");
        }
    }

    #[test]
    fn reverts_without_data_are_distinguished_from_other_failures() {
        for (error, revert) in [
            (
                json!({ "code": 3, "message": "execution reverted: too late" }),
                Some(Revert::Error("too late".to_owned())),
            ),
            (
                json!({ "code": -32521, "message": "no" }),
                Some(Revert::Unknown(Bytes::new())),
            ),
            (
                json!({ "code": -32000, "message": "out of gas" }),
                Some(Revert::Unknown(Bytes::new())),
            ),
            (
                json!({ "code": -32500, "message": "AA23 reverted (or OOG)" }),
                None,
            ),
            (
                json!({ "code": -32603, "message": "internal error", "data": "0xb4d78304" }),
                None,
            ),
            (json!({ "code": -32000, "message": "nonce too low" }), None),
        ] {
            assert_eq!(answered(of(error.clone())).revert(), revert, "{error}");
        }
    }

    #[test]
    fn addresses_and_hashes_in_words_are_not_revert_data() {
        let message = format!(
            "call to 0x{} reverted, see 0x{}",
            hex::encode([7; 20]),
            hex::encode([7; 32])
        );
        assert_eq!(answered(of(json!({ "message": message }))).data, None);
        let odd = json!({ "message": "reverted with 0xb4d7830" });
        assert_eq!(answered(of(odd)).data, None);
        let huge = json!({ "code": 3, "message": "reverted", "data": format!("0x{}", "00".repeat(MAX_REVERT_DATA + 1)) });
        assert_eq!(answered(of(huge)).data, None);
    }

    #[test]
    fn messages_in_the_data_are_not_repeated() {
        for (error, message) in [
            (
                json!({ "code": -32603, "message": "Internal error", "data": { "message": "AA25 invalid account nonce" } }),
                "Internal error (AA25 invalid account nonce)",
            ),
            (
                json!({ "code": 1, "message": "already known", "data": "already known" }),
                "already known",
            ),
            (json!({ "code": 1, "message": "no", "data": "0x01" }), "no"),
            (
                json!({ "code": 1, "message": "", "data": "nonce too low" }),
                "nonce too low",
            ),
            (json!({ "code": 1 }), r#"{"code":1}"#),
            (json!({ "code": 1, "message": 7 }), r#"{"code":1,"message":7}"#),
            (
                json!({ "message": "at https://node.example/v2/s3cr3t\u{202e}\nnow" }),
                "at https://node.example/… now",
            ),
        ] {
            assert_eq!(answered(of(error.clone())).message, message, "{error}");
        }
    }
}
