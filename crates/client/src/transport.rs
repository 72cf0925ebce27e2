//! A JSON-RPC transport over HTTP that sends every request once and says how it ended.

use alloy::{
    providers::DynProvider,
    rpc::json_rpc::{RequestPacket, ResponsePacket},
    transports::{TransportError, TransportFut, http::reqwest},
};
use std::{fmt, task, time::Duration};

/// JSON-RPC over HTTP, for `alloy`'s clients.
///
/// It repeats nothing, follows no redirect, and bounds time and size of answers. Its errors convert into
/// [`RequestError`](crate::request::RequestError) without loss. Path, query and credentials of the URL, which can hold API keys, are
/// never printed.
#[derive(Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    url: reqwest::Url,
    timeout: Duration,
    max_answer: usize,
}

/// Why no transport can be made from a URL. Never says more of the URL than its scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not a URL.
    #[error("not a URL: {reason}")]
    InvalidUrl {
        /// The cause.
        reason: String,
    },
    /// Neither HTTP nor HTTPS.
    #[error("cannot connect by {scheme}: use http or https")]
    UnsupportedScheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// HTTPS, in a build without TLS.
    #[error("https needs the feature `tls` of session-key-client")]
    NoTls,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {reason}")]
    Client {
        /// The cause.
        reason: String,
    },
}

/// A provider for the node or bundler at a URL, through [`HttpTransport`] with its defaults. It fills nothing in.
pub fn connect(url: &str) -> Result<DynProvider, ConnectError> {
    let _ = url;
    todo!()
}

impl HttpTransport {
    /// A transport to `http://` or, with the feature `tls`, `https://`. Credentials in the URL are sent as basic authorization.
    pub fn new(url: &str) -> Result<Self, ConnectError> {
        let _ = url;
        todo!()
    }

    /// Sets the time limit of a request, from connecting to the last byte of the answer. The default is 30 seconds.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the largest answer that is accepted, in bytes. The default is 8 MiB.
    #[must_use]
    pub const fn with_max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = &self.client;
        let _ = &self.url;
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl tower::Service<RequestPacket> for HttpTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), TransportError>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: RequestPacket) -> Self::Future {
        todo!()
    }
}
