//! Nodes behind a socket: a simulated chain, and misbehaving ones.

use crate::text;
use serde_json::{Value, json};
use session_key_client::alloy::{primitives::Address, providers::Provider as _, transports::RpcError};
use session_key_testkit::{ChainConfig, DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE, Testkit};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Returns a chain with only the deployment proxy.
pub(crate) fn chain(chain_id: u64) -> Testkit {
    let testkit = Testkit::new(ChainConfig {
        chain_id,
        ..ChainConfig::default()
    });
    testkit
        .chain()
        .set_code(DEPLOYMENT_PROXY, DEPLOYMENT_PROXY_CODE)
        .expect("a proxy");
    testkit
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Starts a server that answers every request's body, side by side, until the test process ends.
pub(crate) fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, stream) = (answer.clone(), stream.expect("a connection"));
            thread::spawn(move || converse(stream, &*answer));
        }
    });
    url
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&str) -> String) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while body(&request).is_none() {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(length) => request.extend_from_slice(&chunk[..length]),
        }
    }
    // A client that disconnects early gets no answer.
    let Some(body) = body(&request) else { return };
    let body = answer(body);
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
    let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
}

/// Starts a server that accepts connections and never answers.
pub(crate) fn silent_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        let _open: Vec<_> = listener.incoming().collect();
    });
    url
}

/// Returns the body of a complete request.
fn body(request: &[u8]) -> Option<&str> {
    let (head, body) = text(request).split_once("\r\n\r\n")?;
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("content-length").then_some(value))?;
    (body.len() == length.trim().parse::<usize>().expect("a length")).then_some(body)
}

/// Formats a result as the response to a request.
pub(crate) fn result(request: &str, result: &Value) -> String {
    let request: Value = serde_json::from_str(request).expect("JSON");
    json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string()
}

/// Formats an error as the response to a request.
pub(crate) fn error(request: &str, code: i64, message: &str) -> String {
    let request: Value = serde_json::from_str(request).expect("JSON");
    let error = json!({"code": code, "message": message});
    json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string()
}

/// Serves a chain over HTTP, and as a bundler for these EntryPoints.
pub(crate) fn serve(testkit: &Testkit, entry_points: &'static [Address]) -> String {
    serve_with(testkit, entry_points, |_| None)
}

/// Like [`serve`], but refuses requests with matching bodies with a message.
pub(crate) fn serve_with(
    testkit: &Testkit,
    entry_points: &'static [Address],
    refuses: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static,
) -> String {
    let provider = testkit.provider();
    server(move |body| {
        if let Some(message) = refuses(body) {
            return error(body, -32000, message);
        }
        let request: Value = serde_json::from_str(body).expect("JSON");
        let method = request["method"].as_str().expect("a method").to_owned();
        if method == "eth_supportedEntryPoints" {
            return result(body, &json!(entry_points));
        }
        let params = request["params"].clone();
        match runtime().block_on(provider.raw_request::<Value, Value>(method.into(), params)) {
            Ok(answer) => result(body, &answer),
            Err(RpcError::ErrorResp(error)) => {
                json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string()
            }
            Err(error) => panic!("{error}"),
        }
    })
}
