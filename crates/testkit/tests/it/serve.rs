//! JSON-RPC over HTTP.

use serde_json::{Value, json};
use session_key_testkit::{NodeOptions, Server, Testkit};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

fn post(url: &str, body: &Value) -> Value {
    ureq::post(url)
        .send_json(body)
        .unwrap()
        .body_mut()
        .read_json()
        .unwrap()
}

fn ask(server: &Server, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    post(server.url(), &request)["result"].clone()
}

/// Sends raw bytes, and returns the whole response.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The server may close before reading everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_testkit_answers_over_http() {
    let testkit = Testkit::default();
    let server = testkit.serve().unwrap();
    assert_eq!(
        server.url(),
        format!("http://127.0.0.1:{}", server.address().port())
    );
    assert_eq!(ask(&server, "eth_blockNumber", json!([])), "0x0");
    testkit.chain().mine();
    assert_eq!(ask(&server, "eth_blockNumber", json!([])), "0x1");
    ask(&server, "evm_mine", json!([]));
    assert_eq!(testkit.chain().block_number(), 2);
    let batch = json!([
        {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": "b", "method": "eth_nothing", "params": []},
    ]);
    let answers = post(server.url(), &batch);
    assert_eq!(
        answers[0],
        json!({"jsonrpc": "2.0", "id": "a", "result": "0x7a69"})
    );
    assert_eq!(answers[1]["id"], "b");
    assert_eq!(answers[1]["error"]["code"], -32601);
}

#[test]
fn a_node_answers_over_http_as_in_process() {
    let testkit = Testkit::default();
    testkit.chain().mine();
    let node = testkit.node(NodeOptions {
        lag: 1,
        ..Default::default()
    });
    let servers = [node.serve().unwrap(), testkit.serve().unwrap()];
    assert_eq!(ask(&servers[0], "eth_blockNumber", json!([])), "0x0");
    assert_eq!(ask(&servers[1], "eth_blockNumber", json!([])), "0x1");
    node.change(|options| options.lag = 0);
    assert_eq!(ask(&servers[0], "eth_blockNumber", json!([])), "0x1");
}

#[test]
fn dropping_a_server_stops_it() {
    let server = Testkit::default().serve().unwrap();
    let address = server.address();
    let mut open = TcpStream::connect(address).unwrap();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    open.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // End of stream, or a reset.
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn only_post_requests_are_answered() {
    let server = Testkit::default().serve().unwrap();
    for method in ["GET", "PUT"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(
            answer.to_lowercase().contains("\r\nallow: post, options\r\n"),
            "{answer}"
        );
    }
    assert!(raw(&server, b"nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let request = format!(
        "POST /any/path?key=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(&server, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.ends_with(r#"{"jsonrpc":"2.0","id":1,"result":"0x7a69"}"#),
        "{answer}"
    );
    // Chunked, of unknown length.
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert!(raw(&server, chunked.as_bytes()).contains(r#""result":"0x7a69""#));
}

#[test]
fn pages_of_any_origin_may_ask() {
    let server = Testkit::default().serve().unwrap();
    let preflight = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, preflight).to_lowercase();
    assert!(answer.starts_with("http/1.1 204 "), "{answer}");
    for header in [
        "access-control-allow-origin: *",
        "access-control-allow-methods: post",
        "access-control-allow-headers: *",
    ] {
        assert!(answer.contains(&format!("\r\n{header}\r\n")), "{answer}");
    }
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(&server, request.as_bytes()).to_lowercase();
    assert!(
        answer.contains("\r\naccess-control-allow-origin: *\r\n"),
        "{answer}"
    );
}

#[test]
fn too_long_a_body_is_refused() {
    let server = Testkit::default().serve().unwrap();
    let request = |length: usize| {
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let head = format!("{head}Content-Length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b' '; length]].concat()
    };
    let limit = 5 * 1024 * 1024;
    // Only blanks: nothing to parse.
    assert!(raw(&server, &request(limit)).contains("-32700"));
    let answer = raw(&server, &request(limit + 1));
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413 "),
        "{answer}"
    );
    assert_eq!(ask(&server, "eth_chainId", json!([])), "0x7a69");
}

#[test]
fn slow_clients_do_not_delay_others() {
    let server = Testkit::default().serve().unwrap();
    let mut slow = Vec::new();
    for part in [
        "POST / HT",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(part.as_bytes()).unwrap();
            slow.push(stream);
        }
    }
    let start = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&server, "eth_chainId", json!([])), "0x7a69");
    }
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Many clients at once, on one chain.
#[test]
fn clients_do_not_mix_up_their_answers() {
    let testkit = Testkit::default();
    let server = testkit.serve().unwrap();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for number in 0..20 {
                    let id = format!("{client}-{number}");
                    let request = json!({"jsonrpc": "2.0", "id": id, "method": "evm_mine", "params": []});
                    assert_eq!(post(server.url(), &request)["id"], json!(id));
                }
            });
        }
    });
    assert_eq!(testkit.chain().block_number(), 160);
}
