//! Bad input.

use super::world::{Running, World};
use serde_json::{Value, json};
use session_key_agent_service::{MAX_BODY, MOST_CONNECTIONS, Token, rpc::code};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

async fn raw(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .expect("it ends");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Posts a text with these further fields; returns the status and the body.
async fn posted(running: &Running, token: &Token, fields: &str, text: &str) -> (u16, Value) {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {}\r\nconnection: close\r\n{fields}content-length: {}\r\n\r\n{text}",
        running.port,
        token.expose_secret(),
        text.len()
    );
    parsed(&raw(running.port, request.as_bytes()).await)
}

fn parsed(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_or_comes_from_elsewhere_is_turned_away() {
    let world = World::new().await;
    let running = world.start().await;
    let good = &world.tokens[0];
    let (status, answer) = posted(&running, good, "", CHAIN_ID).await;
    assert_eq!((status, &answer["result"]), (200, &json!("0x7a69")));
    for token in [
        Token::random(),
        Token::given(String::new()),
        world.tokens[2].clone(),
    ] {
        let (status, answer) = posted(&running, &token, "", CHAIN_ID).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (401, &json!(code::UNAUTHORIZED))
        );
    }
    for field in [
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: same-site\r\n",
    ] {
        assert_eq!(posted(&running, good, field, CHAIN_ID).await.0, 403, "{field}");
    }
    assert_eq!(
        posted(&running, good, "host: evil.example\r\n", CHAIN_ID).await.0,
        421
    );
    let token = good.expose_secret();
    let of_host = format!(
        "POST / HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{CHAIN_ID}",
        running.port,
        CHAIN_ID.len()
    );
    assert_eq!(parsed(&raw(running.port, of_host.as_bytes()).await).0, 421);
    let get = |path: &str, token: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n",
            running.port
        )
    };
    for (path, token, expected) in [
        ("/", token, 405),
        ("/other", token, 404),
        ("/health", "", 200),
        ("/metrics", token, 401),
        ("/metrics", world.tokens[2].expose_secret(), 200),
    ] {
        let answer = raw(running.port, get(path, token).as_bytes()).await;
        assert_eq!(parsed(&answer).0, expected, "{path}");
        if expected == 200 && path == "/metrics" {
            for line in [
                "session_key_agent_turned_away_total{reason=\"token\"} ",
                "session_key_agent_requests_total{client=\"a\",method=\"eth_chainId\",answer=\"ok\"} 1",
            ] {
                assert!(answer.contains(line), "{answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_with_a_code() {
    let world = World::new().await;
    let running = world.start().await;
    let batch = |count: usize| format!("[{}]", vec![CHAIN_ID; count].join(","));
    for (text, expected) in [
        ("", code::PARSE),
        ("{", code::PARSE),
        ("\u{0}", code::PARSE),
        (&"[".repeat(100_000), code::PARSE),
        ("[]", code::REQUEST),
        ("1", code::REQUEST),
        (r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#, code::REQUEST),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#,
            code::REQUEST,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#,
            code::REQUEST,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, code::REQUEST),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendTransaction"}"#,
            code::METHOD,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"personal_exportKey"}"#,
            code::METHOD,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"check"}"#, code::PARAMS),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"check","params":{"calls":[]}}"#,
            code::PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"budget","params":[1]}"#,
            code::PARAMS,
        ),
        (&batch(17), code::REQUEST),
    ] {
        let (status, answer) = posted(&running, &world.tokens[0], "", text).await;
        let shown: String = text.chars().take(60).collect();
        assert_eq!(
            (status, &answer["error"]["code"]),
            (200, &json!(expected)),
            "{shown}"
        );
    }
    let (_, answers) = posted(&running, &world.tokens[0], "", &batch(16)).await;
    assert_eq!(answers.as_array().unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_rate_is_its_own() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.clients[1].requests_per_second = 1;
    let running = world.start_with(settings).await;
    let text = format!("[{}]", vec![CHAIN_ID; 16].join(","));
    let refused = async |client: usize| {
        let (_, answers) = posted(&running, &world.tokens[client], "", &text).await;
        let answers = answers.as_array().unwrap().clone();
        let is_refused = |answer: &&Value| answer["error"]["code"] == code::LIMIT;
        answers.iter().filter(is_refused).count()
    };
    // Two at once; a slow machine lets more pass.
    assert!((8..=14).contains(&refused(1).await));
    assert_eq!(refused(0).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_slow_and_endless_requests_end_and_keep_nobody_out() {
    let world = World::new().await;
    let running = world.start().await;
    let port = running.port;
    let head = |fields: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {}\r\n{fields}\r\n",
            world.tokens[0].expose_secret()
        )
    };
    // Announced, and not announced.
    let announced = head(&format!("content-length: {}\r\n", MAX_BODY + 1));
    assert_eq!(parsed(&raw(port, announced.as_bytes()).await).0, 413);
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    let endless = head("transfer-encoding: chunked\r\n") + &chunk.repeat(8);
    let answer = raw(port, endless.as_bytes()).await;
    assert!(answer.is_empty() || parsed(&answer).0 == 413, "{answer}");
    // A body that never comes, and very many connections that say nothing.
    let slow = head("content-length: 10\r\n");
    let slow = tokio::spawn(async move { raw(port, slow.as_bytes()).await });
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS + 50 {
        idle.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    sleep(Duration::from_millis(100)).await;
    let (status, _) = posted(&running, &world.tokens[1], "", CHAIN_ID).await;
    assert_eq!(status, 200);
    assert_eq!(parsed(&slow.await.unwrap()).0, 408);
}
