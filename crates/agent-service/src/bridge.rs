//! A client of the service: one request over its unix socket or its port.

use crate::{rpc::RpcError, token::Token};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 4 << 20;
/// How long the service may take.
const LONGEST_WAIT: Duration = Duration::from_secs(150);

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A unix socket.
    #[cfg(unix)]
    Unix(std::path::PathBuf),
    /// A port of 127.0.0.1.
    Port(u16),
}

/// A request to the service failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The service answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It could not be asked, or its answer was not received. A request that changes something may have been
    /// carried out.
    #[error("the agent's service does not answer: {0}")]
    NoAnswer(String),
}

/// A client of the service.
#[derive(Clone, Debug)]
pub struct Bridge {
    target: Target,
    token: Token,
}

impl Bridge {
    /// Creates a client with this token.
    #[must_use]
    pub const fn new(target: Target, token: Token) -> Self {
        Self { target, token }
    }

    /// Calls a method.
    ///
    /// # Errors
    ///
    /// [`BridgeError`].
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, BridgeError> {
        let no_answer = |error: &dyn std::fmt::Display| BridgeError::NoAnswer(error.to_string());
        let asked = async {
            match &self.target {
                #[cfg(unix)]
                Target::Unix(path) => {
                    let stream = tokio::net::UnixStream::connect(path).await;
                    let stream =
                        stream.map_err(|error| no_answer(&format!("{}: {error}", path.display())))?;
                    self.ask(stream, "localhost", method, params).await
                }
                Target::Port(port) => {
                    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await;
                    let stream = stream.map_err(|error| no_answer(&format!("127.0.0.1:{port}: {error}")))?;
                    self.ask(stream, &format!("127.0.0.1:{port}"), method, params)
                        .await
                }
            }
        };
        timeout(LONGEST_WAIT, asked)
            .await
            .unwrap_or_else(|_| Err(no_answer(&"it takes too long")))
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, BridgeError> {
        #[derive(Deserialize)]
        struct Answer {
            result: Option<Value>,
            error: Option<RpcError>,
        }
        let no_answer = |error: &dyn std::fmt::Display| BridgeError::NoAnswer(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| no_answer(&error))?;
        let working = tokio::spawn(connection);
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = Request::post("/")
            .header("host", host)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.token.expose_secret()))
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| no_answer(&"the token is not one"))?;
        let answered = async {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|error| no_answer(&error))?;
            let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
            Ok::<_, BridgeError>(body.map_err(|error| no_answer(&error))?.to_bytes())
        };
        let received = answered.await;
        working.abort();
        let answer: Answer = serde_json::from_slice(&received?)
            .map_err(|_| no_answer(&"its answer is not one of JSON-RPC"))?;
        match (answer.result, answer.error) {
            (_, Some(error)) => Err(error.into()),
            (Some(result), None) => Ok(result),
            (None, None) => Ok(Value::Null),
        }
    }
}
