//! A JSON-RPC transport over HTTP that sends every request once, and reports how it ended.
//!
//! ```
//! use session_key_client::{node::Node, transport};
//!
//! # fn main() -> Result<(), transport::ConnectError> {
//! let node = Node::new(transport::connect("http://127.0.0.1:8545")?);
//! assert!(transport::connect("ws://127.0.0.1:8545").is_err());
//! # let _ = node;
//! # Ok(())
//! # }
//! ```

use crate::request::{
    RequestError,
    answer::{self, Envelope},
    text,
};
use alloy::{
    network::Ethereum,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{
            ErrorPayload, Id, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
        },
    },
    transports::{
        Authorization, TransportError, TransportErrorKind, TransportFut,
        http::reqwest::{
            self, Client, Url,
            header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
        },
        utils::guess_local_url,
    },
};
use serde_json::{Value, value::RawValue};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

/// The default time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The default maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 8 << 20;
/// A shorter part of a path or query is a word, such as "rpc", and not a secret.
const MIN_SECRET: usize = 8;
/// The same for passwords, and for whole paths and queries.
const MIN_SECRET_WHOLE: usize = 4;

/// Returns a provider for the node or bundler at a URL, through an [`HttpTransport`] with default settings,
/// without fillers.
pub fn connect(url: &str) -> Result<DynProvider, ConnectError> {
    Ok(HttpTransport::new(url)?.provider())
}

/// JSON-RPC over HTTP, for `alloy`'s clients.
///
/// It never retries or follows redirects, and limits the time and size of answers. (A request of which no
/// byte was written to a kept-alive connection is sent over a new one.) Its errors convert into
/// [`RequestError`] without loss. Credentials, path and query of the URL, which may hold API keys, are never
/// printed.
///
/// [`RequestError::NotReached`] is about one request. A retrying layer over this transport is detected and
/// gets [`RequestError::NoAnswer`] instead; one that tries several transports is not, so do not put such a
/// layer over it.
#[derive(Clone)]
pub struct HttpTransport {
    client: Client,
    endpoint: Arc<Endpoint>,
    attempts: Arc<Attempts>,
    timeout: Duration,
    max_answer: usize,
}

/// Why a transport cannot be created from a URL. Reveals nothing of the URL except its scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not a URL.
    #[error("not a URL ({reason}): give one like http://127.0.0.1:8545")]
    InvalidUrl {
        /// The reason.
        reason: String,
    },
    /// Neither HTTP nor HTTPS.
    #[error("cannot connect by {scheme}: only http and https are supported")]
    UnsupportedScheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// HTTPS, in a build without TLS.
    #[error("built without TLS: https needs the feature `tls` of session-key-client")]
    NoTls,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {reason}")]
    Client {
        /// The reason.
        reason: String,
    },
}

impl HttpTransport {
    /// Creates a transport to `http://` or, with the feature `tls`, `https://`. Credentials in the URL are
    /// sent as basic authorization. Proxies from the environment are used, except for local addresses.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let url: Url = url.trim().parse().map_err(|error| ConnectError::InvalidUrl {
            reason: format!("{error}"),
        })?;
        match url.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return Err(ConnectError::NoTls),
            // In "localhost:8545" and "user:password@host", the first word would be the scheme.
            _ if !url.has_host() => {
                return Err(ConnectError::InvalidUrl {
                    reason: "relative URL without a base".to_owned(),
                });
            }
            scheme => {
                return Err(ConnectError::UnsupportedScheme {
                    scheme: text::clean(scheme),
                });
            }
        }
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .user_agent(concat!("session-key-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT);
        if guess_local_url(&url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| ConnectError::Client {
            reason: text::clean(&text::chain(&error.without_url())),
        })?;
        Ok(Self {
            client,
            endpoint: Arc::new(Endpoint::new(url)),
            attempts: Arc::default(),
            timeout: TIMEOUT,
            max_answer: MAX_ANSWER,
        })
    }

    /// Sets the time limit of a request, from connecting to the last byte of the answer. The default
    /// is 30 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum size of an answer, in bytes. The default is 8 MiB.
    #[must_use]
    pub const fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Returns the printable part of the URL: its scheme, host and port. The rest may hold an API key.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{:?}", self.endpoint)
    }

    /// Returns a provider over this transport, without fillers.
    #[must_use]
    pub fn provider(self) -> DynProvider {
        let is_local = guess_local_url(&self.endpoint.url);
        ProviderBuilder::<_, _, Ethereum>::default()
            .connect_client(RpcClient::new(self, is_local))
            .erased()
    }

    async fn answer(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        if packet.is_empty() {
            return Err(TransportErrorKind::custom(RequestError::NotMade {
                message: "empty batch".to_owned(),
            }));
        }
        let body = serde_json::to_vec(&packet).map_err(TransportError::ser_err)?;
        let attempt = self.attempts.begin(&packet);
        let answer = match self.exchange(body, packet.headers()).await {
            Ok(reply) => self.read(&packet, &reply),
            Err(error) => Err(error),
        };
        attempt.end(answer).map_err(TransportErrorKind::custom)
    }

    /// Sends a request, and reads the response.
    async fn exchange(&self, body: Vec<u8>, headers: HeaderMap) -> Result<Reply, RequestError> {
        let mut response = self
            .client
            .post(self.endpoint.url.clone())
            .timeout(self.timeout)
            .headers(headers)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .body(body)
            .send()
            .await
            .map_err(|error| self.failure(error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
        let text = match self.text(&mut response).await {
            Ok(text) => text,
            Err(error) if (200..300).contains(&status) => return Err(error),
            // The status suffices.
            Err(_) => String::new(),
        };
        Ok(Reply {
            status,
            retry_after,
            text,
        })
    }

    async fn text(&self, response: &mut reqwest::Response) -> Result<String, RequestError> {
        let too_large = RequestError::TooLarge {
            limit: self.max_answer,
        };
        let mut encodings = response.headers().get_all(CONTENT_ENCODING).iter();
        if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(RequestError::no_answer("its body is compressed"));
        }
        let announced = response.content_length().unwrap_or_default();
        if usize::try_from(announced).map_or(true, |announced| announced > self.max_answer) {
            return Err(too_large);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            if chunk.len() > self.max_answer - body.len() {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| RequestError::no_answer("its body is not UTF-8"))
    }

    /// Converts the HTTP client's error.
    fn failure(&self, error: reqwest::Error) -> RequestError {
        let (is_connect, is_builder, is_timeout) =
            (error.is_connect(), error.is_builder(), error.is_timeout());
        let message = self.endpoint.clean(&text::chain(&error.without_url()));
        if is_connect {
            RequestError::NotReached { message }
        } else if is_builder {
            RequestError::NotMade { message }
        } else if is_timeout {
            RequestError::no_answer(format!("none within {:?}", self.timeout))
        } else {
            RequestError::no_answer(message)
        }
    }

    fn read(&self, packet: &RequestPacket, reply: &Reply) -> Result<ResponsePacket, RequestError> {
        let clean = |text: &str| self.endpoint.clean(text);
        if !(200..300).contains(&reply.status) {
            let error = answer::of_status(reply.status, &reply.text, reply.retry_after, clean);
            if let (RequestPacket::Single(request), RequestError::Answered(_)) = (packet, &error)
                && let Some(raw) = answer::first_error(&reply.text, reply.status)
                && let Some(payload) = self.endpoint.payload(&raw)
            {
                return Ok(ResponsePacket::Single(failed(request, payload)));
            }
            return Err(error);
        }
        match packet {
            RequestPacket::Single(request) => {
                let Some(envelope) = Envelope::read(&reply.text) else {
                    return Err(answer::of_body(&reply.text, clean));
                };
                self.response(request, &envelope, &reply.text)
                    .map(ResponsePacket::Single)
            }
            RequestPacket::Batch(requests) => {
                let Some(envelopes) = Envelope::read_all(&reply.text) else {
                    return Err(answer::of_body(&reply.text, clean));
                };
                let by_id: HashMap<String, &Envelope<'_>> = envelopes
                    .iter()
                    .filter_map(|envelope| Some((id_of(envelope)?, envelope)))
                    .collect();
                let responses = requests.iter().filter_map(|request| {
                    // The caller detects missing answers.
                    let envelope = by_id.get(&request.id().to_string())?;
                    Some(self.response(request, envelope, "").or_else(|error| match error {
                        // One request's error must not affect the others.
                        RequestError::Answered(answer) => Ok(failed(
                            request,
                            ErrorPayload {
                                code: answer.code.unwrap_or_default(),
                                message: answer.message.into(),
                                data: None,
                            },
                        )),
                        other => Err(other),
                    }))
                });
                responses.collect::<Result<_, _>>().map(ResponsePacket::Batch)
            }
        }
    }

    /// Extracts the answer to a request from `body`.
    fn response(
        &self,
        request: &SerializedRequest,
        envelope: &Envelope<'_>,
        body: &str,
    ) -> Result<Response, RequestError> {
        if let Some(raw) = envelope.error() {
            let is_anonymous = envelope.id.is_none_or(|id| id.get() == "null");
            if !is_anonymous && !is_answer_to(request, envelope) {
                return Err(RequestError::no_answer("the answer is to another request"));
            }
            return match self.endpoint.payload(&raw) {
                Some(payload) => Ok(failed(request, payload)),
                None => Err(raw.into_request_error(|text| self.endpoint.clean(text))),
            };
        }
        let Some(result) = envelope.result else {
            return Err(answer::of_body(body, |text| self.endpoint.clean(text)));
        };
        if !is_answer_to(request, envelope) {
            return Err(RequestError::no_answer("the answer is to another request"));
        }
        Ok(Response {
            id: request.id().clone(),
            payload: ResponsePayload::Success(result.to_owned()),
        })
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("endpoint", &self.endpoint)
            .field("timeout", &self.timeout)
            .field("max_answer", &self.max_answer)
            .finish_non_exhaustive()
    }
}

impl Service<RequestPacket> for HttpTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().answer(packet))
    }
}

/// An unparsed response.
struct Reply {
    status: u16,
    retry_after: Option<u64>,
    text: String,
}

fn failed(request: &SerializedRequest, error: ErrorPayload) -> Response {
    Response {
        id: request.id().clone(),
        payload: ResponsePayload::Failure(error),
    }
}

/// Returns the id of an answer. Some format a number as a string.
fn id_of(envelope: &Envelope<'_>) -> Option<String> {
    match serde_json::from_str(envelope.id?.get()).ok()? {
        Id::None => None,
        id => Some(id.to_string()),
    }
}

fn is_answer_to(request: &SerializedRequest, envelope: &Envelope<'_>) -> bool {
    id_of(envelope).is_some_and(|id| id == request.id().to_string())
}

/// A URL, and its secret parts.
struct Endpoint {
    url: Url,
    /// Longest first.
    secrets: Vec<String>,
}

impl Endpoint {
    fn new(url: Url) -> Self {
        let (path, query) = (url.path(), url.query().unwrap_or_default());
        let password = url.password().unwrap_or_default();
        let parts = path
            .split('/')
            .chain(query.split(['&', '=']))
            .chain([url.username()])
            .flat_map(|part| [part.to_owned(), decoded(part)])
            .filter(|part| part.len() >= MIN_SECRET);
        let whole = [
            path.to_owned(),
            format!("{path}?{query}"),
            query.to_owned(),
            password.to_owned(),
            decoded(password),
        ];
        let mut secrets: Vec<String> = whole
            .into_iter()
            .filter(|part| part.len() >= MIN_SECRET_WHOLE)
            .chain(parts)
            .collect();
        if let Some(Authorization::Basic(credentials)) = Authorization::extract_from_url(&url) {
            secrets.push(credentials);
            if let Authorization::Basic(credentials) =
                Authorization::basic(decoded(url.username()), decoded(password))
            {
                secrets.push(credentials);
            }
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { url, secrets }
    }

    /// Cleans a text from the other side for display.
    fn clean(&self, text: &str) -> String {
        text::clean(&text::without(text, &self.secrets))
    }

    /// Converts an error for `alloy`, which requires a code. Its message is not truncated: it may contain
    /// revert data.
    fn payload(&self, error: &answer::RawError) -> Option<ErrorPayload> {
        let data = error.data.clone().and_then(|mut data| {
            self.hide(&mut data);
            RawValue::from_string(data.to_string()).ok()
        });
        Some(ErrorPayload {
            code: error.code?,
            message: text::without(&error.message, &self.secrets).into(),
            data,
        })
    }

    /// Removes secrets from data, except within bytes.
    fn hide(&self, data: &mut Value) {
        match data {
            Value::String(text) if !answer::is_hex(text) => {
                for secret in &self.secrets {
                    *text = text.replace(secret, "…");
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.hide(value)),
            _ => {}
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.url.scheme(), self.url.host_str().unwrap_or_default());
        match self.url.port() {
            Some(port) => write!(f, "{scheme}://{host}:{port}"),
            None => write!(f, "{scheme}://{host}"),
        }
    }
}

/// Decodes percent signs in a part of a URL.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| *byte == b'%');
        let escaped =
            digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Requests that were sent without a certain end. One that appears again is being retried by a layer above,
/// which sees only the last end.
#[derive(Default)]
struct Attempts(Mutex<VecDeque<Id>>);

/// The maximum number of such requests kept.
const MAX_ATTEMPTS: usize = 1024;

/// A request or batch until it ends. If dropped earlier, it is kept.
struct Attempt<'a> {
    attempts: &'a Attempts,
    ids: Vec<Id>,
    is_repeated: bool,
}

impl Attempts {
    fn ids(&self) -> MutexGuard<'_, VecDeque<Id>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, packet: &RequestPacket) -> Attempt<'_> {
        let ids: Vec<Id> = packet
            .requests()
            .iter()
            .map(|request| request.id().clone())
            .collect();
        let mut known = self.ids();
        let is_repeated = ids.iter().any(|id| known.contains(id));
        known.extend(ids.iter().cloned());
        let excess = known.len().saturating_sub(MAX_ATTEMPTS);
        known.drain(..excess);
        Attempt {
            attempts: self,
            ids,
            is_repeated,
        }
    }
}

impl Attempt<'_> {
    fn end(self, answer: Result<ResponsePacket, RequestError>) -> Result<ResponsePacket, RequestError> {
        let is_certain = match &answer {
            Err(RequestError::NotReached { message }) if self.is_repeated => {
                let message = format!("not reached when asked again ({message})");
                return Err(RequestError::no_answer(message));
            }
            Err(RequestError::NotReached { .. }) => true,
            Err(_) => false,
            Ok(answers) => answers.is_success(),
        };
        if is_certain {
            self.attempts.ids().retain(|id| !self.ids.contains(id));
        }
        answer
    }
}
