//! JSON-RPC over HTTP, on the loopback interface.

use crate::{
    rpc::ErrorAnswer,
    transport::{Endpoint, Request, Transport},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, StatusCode,
    body::{Bytes, Incoming},
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue,
    },
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// Maximum size of a body, in bytes: geth's limit.
const MAX_BODY: usize = 5 * 1024 * 1024;
/// Maximum number of requests in a batch: geth's limit.
const MAX_BATCH: usize = 1000;
/// Time limit for receiving a request's head, and its body.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on the loopback interface. Dropping it stops it and closes its connections.
///
/// Dropping it waits for a request in progress. Do not hold [`Testkit::chain`](crate::Testkit::chain)
/// meanwhile.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(transport: Transport, port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("session-key-testkit".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, transport) => {}
                        // A dropped sender stops it as well.
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            url: format!("http://{address}"),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns its URL: `http://127.0.0.1:` and the port.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Sending fails if it has already stopped.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Transport {
    /// Serves JSON-RPC over HTTP (POST; single requests and batches) on 127.0.0.1, at a free port, until the
    /// server is dropped. Slow clients do not delay others.
    ///
    /// # Errors
    ///
    /// If the operating system cannot listen or start a thread.
    pub fn serve(self) -> io::Result<Server> {
        self.serve_on(0)
    }

    /// As [`serve`](Self::serve), at this port.
    ///
    /// # Errors
    ///
    /// The operating system's: the port is taken, for example.
    pub fn serve_on(self, port: u16) -> io::Result<Server> {
        Server::start(self, port)
    }
}

async fn accept(listener: TcpListener, transport: Transport) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, transport.clone()));
            }
            // Too many open files, or a client that has already disconnected.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn converse(stream: TcpStream, transport: Transport) {
    // Answers are small and sent at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let transport = transport.clone();
        async move { Ok::<_, Infallible>(respond(&transport, request).await) }
    });
    // There is no one to report an error to.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn respond(transport: &Transport, request: hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
    let mut response = respond_to(transport, request).await;
    // Pages of any origin may ask: nothing on a test chain is worth protecting.
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn respond_to(
    transport: &Transport,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    if request.method() == Method::OPTIONS {
        // A browser asks before it sends JSON.
        let mut response = empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        return response;
    }
    if request.method() != Method::POST {
        let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        return response;
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let body = match tokio::time::timeout(PATIENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return closing(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => return closing(StatusCode::BAD_REQUEST),
        Err(_) => return closing(StatusCode::REQUEST_TIMEOUT),
    };
    let mut response = hyper::Response::new(Full::from(answer(transport, &body).unwrap_or_default()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty(status: StatusCode) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// The rest of the body is not read, so the connection must close.
fn closing(status: StatusCode) -> hyper::Response<Full<Bytes>> {
    let mut response = empty(status);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A received request.
#[derive(Debug)]
struct Asked<'a> {
    /// `None` for a notification.
    id: Option<&'a str>,
    method: String,
    params: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Answered<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<AnsweredError>,
}

#[derive(Debug, Serialize)]
struct AnsweredError {
    code: i64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
}

/// Answers a body; `None` if it contains only notifications.
fn answer(endpoint: &dyn Endpoint, body: &[u8]) -> Option<String> {
    let invalid = |message: &str| ErrorAnswer::new(-32600, message);
    let Ok(body) = serde_json::from_slice::<&RawValue>(body) else {
        return write(None, Err(ErrorAnswer::new(-32700, "parse error")));
    };
    if !body.get().starts_with('[') {
        return answer_all(endpoint, &[body]).pop();
    }
    let batch: Vec<&RawValue> = serde_json::from_str(body.get()).unwrap_or_default();
    if batch.is_empty() {
        return write(None, Err(invalid("empty batch")));
    }
    if batch.len() > MAX_BATCH {
        return write(None, Err(invalid("batch too large")));
    }
    let answers = answer_all(endpoint, &batch);
    (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
}

/// Answers the requests that have an id, in order.
fn answer_all(endpoint: &dyn Endpoint, requests: &[&RawValue]) -> Vec<String> {
    let asked: Vec<Option<Asked<'_>>> = requests.iter().map(|request| read(request)).collect();
    let valid: Vec<Request<'_>> = asked
        .iter()
        .flatten()
        .map(|asked| Request {
            method: &asked.method,
            params: asked.params,
        })
        .collect();
    let mut answers = endpoint.answer(&valid).into_iter();
    asked
        .iter()
        .filter_map(|asked| match asked {
            None => write(None, Err(ErrorAnswer::new(-32600, "invalid request"))),
            Some(asked) => {
                let answer = answers.next()?;
                write(Some(asked.id?), answer)
            }
        })
        .collect()
}

fn read(request: &RawValue) -> Option<Asked<'_>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(request.get()).ok()?;
    if members.get("jsonrpc")?.get() != r#""2.0""# {
        return None;
    }
    let id = members.get("id").map(|id| id.get());
    if id.is_some_and(|id| id.starts_with(['{', '[', 't', 'f'])) {
        return None;
    }
    Some(Asked {
        id,
        method: serde_json::from_str(members.get("method")?.get()).ok()?,
        params: members.get("params").copied(),
    })
}

/// `id` is null if it could not be parsed.
fn write(id: Option<&str>, answer: Result<Box<RawValue>, ErrorAnswer>) -> Option<String> {
    let id: &RawValue = serde_json::from_str(id.unwrap_or("null")).ok()?;
    let (result, error) = match answer {
        Ok(result) => (Some(result), None),
        Err(ErrorAnswer { code, message, data }) => (None, Some(AnsweredError { code, message, data })),
    };
    let answered = Answered {
        jsonrpc: "2.0",
        id,
        result,
        error,
    };
    serde_json::to_string(&answered).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Testkit;
    use serde_json::{Value, json};

    fn ask(body: &str) -> Value {
        let answer = answer(&Testkit::default(), body.as_bytes());
        answer.map_or(json!("nothing"), |answer| serde_json::from_str(&answer).unwrap())
    }

    #[test]
    fn requests_keep_their_ids() {
        for id in [json!(7), json!("seven"), json!(null), json!(-1), json!(1.5)] {
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId"});
            assert_eq!(
                ask(&body.to_string()),
                json!({"jsonrpc": "2.0", "id": id, "result": "0x7a69"})
            );
        }
        let body = r#" {"id": 1, "params": [], "method": "net_version", "jsonrpc": "2.0", "more": {}} "#;
        assert_eq!(ask(body)["result"], "31337");
    }

    #[test]
    fn an_invalid_request_gets_an_error() {
        let code = |body: &str| {
            let answer = ask(body);
            assert_eq!(answer["id"], Value::Null, "{body}");
            answer["error"]["code"].as_i64()
        };
        for body in ["", "{", "[1,", "\u{feff}{}", "nonsense"] {
            assert_eq!(code(body), Some(-32700), "{body}");
        }
        for body in [
            "[]",
            "7",
            "{}",
            r#"{"jsonrpc": "2.0", "id": 1}"#,
            r#"{"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"}"#,
            r#"{"id": 1, "method": "eth_chainId"}"#,
            r#"{"jsonrpc": "2.0", "id": 1, "method": 7}"#,
            r#"{"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"}"#,
            r#"{"jsonrpc": "2.0", "id": true, "method": "eth_chainId"}"#,
        ] {
            assert_eq!(code(body), Some(-32600), "{body}");
        }
    }

    #[test]
    fn a_batch_is_answered_in_order_with_an_error_for_each_invalid_request() {
        let batch = json!([
            {"jsonrpc": "2.0", "id": 1, "method": "evm_mine"},
            1,
            {"jsonrpc": "2.0", "method": "evm_mine"},
            {"jsonrpc": "2.0", "id": "b", "method": "eth_blockNumber"},
            {"jsonrpc": "2.0", "id": 3, "method": "eth_nothing"},
        ]);
        let answers = ask(&batch.to_string());
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), 4, "no answer to the notification");
        assert_eq!(answers[1]["error"]["code"], -32600);
        assert_eq!(answers[2], json!({"jsonrpc": "2.0", "id": "b", "result": "0x2"}));
        assert_eq!(answers[3]["error"]["code"], -32601);
        let notification = json!([{"jsonrpc": "2.0", "method": "evm_mine"}]);
        assert_eq!(ask(&notification.to_string()), "nothing");
        assert_eq!(ask(&notification[0].to_string()), "nothing");

        let one = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"});
        let most = Value::Array(vec![one.clone(); MAX_BATCH]);
        assert_eq!(ask(&most.to_string()).as_array().unwrap().len(), MAX_BATCH);
        let too_many = Value::Array(vec![one; MAX_BATCH + 1]);
        assert_eq!(ask(&too_many.to_string())["error"]["code"], -32600);
    }

    #[test]
    fn errors_keep_their_data() {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [
            {"to": "0x0000000000000000000000000000000000001111"}, "latest",
            {"0x0000000000000000000000000000000000001111": {"code": "0x60aa5f5260205ffd"}},
        ]});
        let error = &ask(&body.to_string())["error"];
        assert_eq!(error["code"], 3);
        assert_eq!(error["data"].as_str().map(str::len), Some(66));
    }
}
