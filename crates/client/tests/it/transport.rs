//! The HTTP transport, against a server that misbehaves in every way that counts.

use session_key_client::{
    RequestError,
    alloy::{
        providers::Provider as _,
        rpc::{
            client::RpcClient,
            json_rpc::{Id, Request, RequestPacket, ResponsePacket},
        },
        transports::{RpcError, TransportError, TransportErrorKind, TransportFut},
    },
    revert::Revert,
    transport::{ConnectError, HttpTransport, connect},
};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};
use tower::Service;

const KEY: &str = "s3cr3t-api-key";

/// A server that keeps the requests that it gets, and does with each connection what the test says.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
}

#[derive(Clone, Debug)]
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn id(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["id"].to_string()
    }
}

impl Server {
    /// `answer` gets each request. The connection is closed where it says `false`.
    fn new(answer: impl Fn(&mut TcpStream, &Received) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, kept, answer) = (stream.unwrap(), kept.clone(), answer.clone());
                thread::spawn(move || {
                    while let Some(request) = read_request(&mut stream) {
                        kept.lock().unwrap().push(request.clone());
                        if !answer(&mut stream, &request) {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    /// Answers every request with the same head and body.
    fn says(status: &str, body: &str) -> Self {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self::new(move |stream, _| stream.write_all(answer.as_bytes()).is_ok())
    }

    /// Answers with the result that `result` makes of the request's id.
    fn answers(body: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        Self::new(move |stream, request| {
            let body = body(request);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).is_ok()
        })
    }

    fn url(&self) -> String {
        format!("http://{}/v2/{KEY}", self.address)
    }

    fn transport(&self) -> HttpTransport {
        HttpTransport::new(&self.url()).unwrap()
    }

    fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Received { head, body })
}

fn packet() -> RequestPacket {
    let request = Request::new("eth_call", Id::Number(7), ["hello"]);
    RequestPacket::Single(request.serialize().unwrap())
}

async fn send(transport: &HttpTransport) -> Result<ResponsePacket, TransportError> {
    let answer = transport.clone().call(packet());
    tokio::time::timeout(Duration::from_secs(20), answer)
        .await
        .expect("it ends")
}

/// How one request ends.
async fn error(transport: &HttpTransport) -> RequestError {
    let error = send(transport).await.unwrap_err();
    let found = RequestError::of("eth_call", &error);
    for text in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{error:#?}"),
        format!("{found}"),
        format!("{found:?}"),
    ] {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
    found
}

/// How a request ends that the server gets exactly once.
async fn error_of(server: &Server) -> RequestError {
    let found = error(&server.transport()).await;
    // Time for what should not come.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(server.requests().len(), 1, "{found:?}");
    found
}

/// An address where nobody listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ok(request: &Received) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":"0x7"}}"#, request.id())
}

#[track_caller]
fn assert_no_answer(found: &RequestError, words: &str) {
    assert!(
        matches!(found, RequestError::NoAnswer { message, .. } if message.contains(words)),
        "{words}: {found:?}"
    );
}

#[tokio::test]
async fn an_answer_is_passed_on() {
    let server = Server::answers(ok);
    let provider = connect(&server.url()).unwrap();
    for _ in 0..3 {
        let answer: String = provider.raw_request("eth_call".into(), ["hello"]).await.unwrap();
        assert_eq!(answer, "0x7");
    }
    let requests = server.requests();
    let [first, second, third] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert!(
        first.head.starts_with(&format!("POST /v2/{KEY} HTTP/1.1\r\n")),
        "{}",
        first.head
    );
    assert!(
        first.head.contains("content-type: application/json"),
        "{}",
        first.head
    );
    assert!(
        first.body.contains(r#""method":"eth_call","params":["hello"]"#),
        "{}",
        first.body
    );
    assert!(first.id() != second.id() && second.id() != third.id() && first.id() != third.id());
}

#[tokio::test]
async fn nobody_who_listens_is_not_reached() {
    for url in [
        format!("http://{}/{KEY}", closed_port()),
        format!("http://nobody.invalid/{KEY}"),
    ] {
        let found = error(&HttpTransport::new(&url).unwrap()).await;
        assert!(matches!(found, RequestError::NotReached { .. }), "{found:?}");
        assert!(found.was_surely_not_received());
    }
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_counts_as_unanswered() {
    let found = error_of(&Server::new(|_, _| false)).await;
    assert_no_answer(&found, "");
    // Before it read anything.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/{KEY}", listener.local_addr().unwrap());
    let closing = thread::spawn(move || {
        drop(listener.accept().unwrap());
        listener.set_nonblocking(true).unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(listener.accept().is_err(), "it came again");
    });
    assert_no_answer(&error(&HttpTransport::new(&url).unwrap()).await, "");
    closing.join().unwrap();
}

#[tokio::test]
async fn a_truncated_answer_counts_as_unanswered() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"0x7\"}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"jso\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"jsonrpc\":\"2.0",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\":",
        "nonsense\r\n\r\n",
    ] {
        let server = Server::new(move |stream, _| {
            stream.write_all(answer.as_bytes()).unwrap();
            false
        });
        assert_no_answer(&error_of(&server).await, "");
    }
}

#[tokio::test]
async fn statuses_say_whether_the_request_was_taken() {
    for (line, status) in [
        ("401 Unauthorized", 401),
        ("403 Forbidden", 403),
        ("404 Not Found", 404),
    ] {
        let server = Server::says(line, &format!("no /v2/{KEY} here"));
        let found = error_of(&server).await;
        let expected = RequestError::TurnedAway {
            status,
            message: "no … here".to_owned(),
        };
        assert_eq!(found, expected);
    }
    let busy = Server::new(|stream, _| {
        let answer = "HTTP/1.1 429 Too Many\r\nRetry-After: 17\r\nContent-Length: 9\r\n\r\nslow down";
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let expected = RequestError::RateLimited {
        message: "slow down".to_owned(),
        retry_after: Some(17),
    };
    assert_eq!(error_of(&busy).await, expected);
    for status in [500, 502, 503, 504, 413, 418] {
        let server = Server::says(&format!("{status} No"), "<html>no</html>");
        let found = error_of(&server).await;
        assert!(matches!(found, RequestError::NoAnswer { status: Some(said), .. } if said == status));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let other = Server::answers(ok);
        let location = other.url();
        let server = Server::new(move |stream, _| {
            let head = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).is_ok()
        });
        assert_no_answer(&error_of(&server).await, "redirected");
        assert!(other.requests().is_empty());
    }
}

#[tokio::test]
async fn an_error_object_is_an_answer_with_any_status() {
    // Without code: alloy has no place for it.
    for status in ["400 Bad Request", "200 OK", "422 No", "500 No"] {
        let server = Server::says(
            status,
            r#"{"jsonrpc":"2.0","id":7,"error":{"message":"AA20 account not deployed"}}"#,
        );
        let found = error_of(&server).await;
        let answer = found.answer().unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(
            (answer.code, answer.message.as_str()),
            (None, "AA20 account not deployed")
        );
    }
    // With one, it is alloy's own error, too.
    for status in ["200 OK", "400 Bad Request", "500 No"] {
        let server = Server::says(
            status,
            &format!(
                r#"{{"id":7,"error":{{"code":3,"message":"reverted at /v2/{KEY}","data":{{"data":"0xb4d78304","at":"at {KEY}"}}}}}}"#
            ),
        );
        let error = send(&server.transport()).await.unwrap();
        let ResponsePacket::Single(response) = error else {
            panic!("{error:?}");
        };
        assert!(!format!("{response:?}").contains(KEY), "{response:?}");
        let error = TransportError::err_resp(response.payload.as_error().unwrap().clone());
        assert!(matches!(Revert::from_rpc_error(&error), Some(Revert::Plugin(_))));
        let found = RequestError::from(&error);
        assert_eq!(found.answer().unwrap().message, "reverted at …");
        assert!(matches!(found.revert(), Some(Revert::Plugin(_))));
    }
}

#[tokio::test]
async fn an_answer_to_another_request_counts_as_unanswered() {
    for (body, words) in [
        ("<!DOCTYPE html><html>oh</html>", "a page"),
        ("", "empty"),
        ("OK", "not JSON-RPC: OK"),
        (r#"{"jsonrpc":"2.0","id":8,"result":"0x7"}"#, "another request"),
        (r#"{"jsonrpc":"2.0","id":null,"result":"0x7"}"#, "another request"),
        (r#"{"jsonrpc":"2.0","result":"0x7"}"#, "another request"),
        (
            r#"{"jsonrpc":"2.0","id":8,"error":{"code":-1,"message":"no"}}"#,
            "another request",
        ),
        (r#"{"jsonrpc":"2.0","id":7}"#, "not JSON-RPC"),
        (r#"[{"jsonrpc":"2.0","id":7,"result":"0x7"}]"#, "not JSON-RPC"),
        (r#"[7,"0x7"]"#, "not JSON-RPC"),
    ] {
        let found = error_of(&Server::says("200 OK", body)).await;
        assert_no_answer(&found, words);
    }
    // Forms of what is one.
    for body in [
        r#"{"id":"7","result":"0x7","error":null}"#,
        "\u{feff}\n {\"result\":\"0x7\",\"id\":7}\n",
        r#"{"id":7,"result":null}"#,
    ] {
        let server = Server::says("200 OK", body);
        let answer = send(&server.transport()).await.unwrap();
        assert!(answer.is_success(), "{body}");
    }
}

#[tokio::test]
async fn a_large_answer_ends_at_the_limit() {
    let body = format!(r#"{{"id":7,"result":"{}"}}"#, "0".repeat(10 << 20));
    let server = Server::says("200 OK", &body);
    let start = Instant::now();
    assert_eq!(error_of(&server).await, RequestError::TooLarge { limit: 8 << 20 });
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    // Without end, and without its length said before.
    let server = Server::new(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = format!("10000\r\n{}\r\n", "0".repeat(0x10000));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
        false
    });
    assert_eq!(error_of(&server).await, RequestError::TooLarge { limit: 8 << 20 });

    let at_limit = |limit| {
        let server = Server::says("200 OK", r#"{"id":7,"result":"0x7"}"#);
        async move { send(&server.transport().max_answer(limit)).await.is_ok() }
    };
    assert!(at_limit(23).await);
    assert!(!at_limit(22).await);
}

#[tokio::test]
async fn a_compressed_answer_is_not_unpacked() {
    let server = Server::new(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(head.as_bytes()).is_ok()
    });
    assert_no_answer(&error_of(&server).await, "compressed");
    assert!(server.requests()[0].head.contains("accept-encoding: identity"));
}

#[tokio::test]
async fn the_time_limit_holds() {
    let silent = Server::new(|_, _| true);
    // A byte now and then does not prolong it.
    let slow = Server::new(|stream, _| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec();
        answer.extend([b' '; 100]);
        answer.iter().all(|byte| {
            thread::sleep(Duration::from_millis(20));
            stream.write_all(&[*byte]).is_ok()
        })
    });
    for server in [silent, slow] {
        let transport = server.transport().timeout(Duration::from_millis(200));
        let start = Instant::now();
        assert_no_answer(&error(&transport).await, "none within 200ms");
        assert!(
            start.elapsed() < Duration::from_millis(600),
            "{:?}",
            start.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_repeats_nothing() {
    // Says that it keeps the connection, and closes it.
    let server = Server::new(|stream, request| {
        let body = ok(request);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
        false
    });
    let provider = connect(&server.url()).unwrap();
    for pause in (0..100).map(|step| Duration::from_micros(10 * step)) {
        match provider
            .raw_request::<_, String>("eth_call".into(), ["hello"])
            .await
        {
            Ok(answer) => assert_eq!(answer, "0x7"),
            Err(error) => assert_no_answer(&RequestError::from(&error), ""),
        }
        thread::sleep(pause);
    }
    let mut ids: Vec<_> = server.requests().iter().map(Received::id).collect();
    assert!(ids.len() > 50, "{}", ids.len());
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "the same request twice");
}

/// Asks again where there was no answer, as layers of others do.
#[derive(Clone)]
struct Repeating(HttpTransport);

impl Service<RequestPacket> for Repeating {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let mut transport = self.0.clone();
        Box::pin(async move {
            match transport.call(packet.clone()).await {
                Ok(answer) if answer.is_success() => Ok(answer),
                _ => transport.call(packet).await,
            }
        })
    }
}

#[tokio::test]
async fn a_repeated_request_is_never_said_not_to_have_been_sent() {
    let refusal = r#"{"id":7,"error":{"code":-32000,"message":"try later"}}"#;
    let head = |status, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    };
    let answers = [
        String::new(),
        head("503 No", ""),
        head("200 OK", refusal),
        head("429 No", ""),
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        // Takes one request and is gone.
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            read_request(&mut stream).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let transport = HttpTransport::new(&url).unwrap();
        let error = Repeating(transport.clone()).call(packet()).await.unwrap_err();
        server.join().unwrap();
        assert_no_answer(&RequestError::from(&error), "not reached when asked again");
        // Another request of it is another matter.
        let request = Request::new("eth_call", Id::Number(8), ()).serialize().unwrap();
        for _ in 0..2 {
            let error = transport.clone().call(request.clone().into()).await.unwrap_err();
            assert_eq!(RequestError::from(&error).code(), "not_reached");
        }
    }
}

#[tokio::test]
async fn a_dropped_request_that_comes_again_may_have_been_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let transport = HttpTransport::new(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(50), send(&transport)).await;
    assert!(dropped.is_err());
    drop(listener);
    assert_no_answer(&error(&transport).await, "not reached when asked again");
}

#[tokio::test]
async fn batches_are_answered_by_id() {
    let server = Server::answers(|request| {
        let requests: Vec<serde_json::Value> = serde_json::from_str(&request.body).unwrap();
        let ids: Vec<_> = requests.iter().map(|request| request["id"].to_string()).collect();
        let [first, second, third, _] = ids.as_slice() else {
            panic!("{ids:?}");
        };
        format!(
            r#"[{{"id":{third},"result":3}},{{"id":99,"result":0}},{{"id":{second},"error":{{"message":"no"}}}},{{"id":{first},"result":1}}]"#
        )
    });
    let client = RpcClient::new(server.transport(), true);
    let mut batch = client.new_batch();
    let calls: Vec<_> = (0..4)
        .map(|_| batch.add_call::<_, u64>("eth_call", &()).unwrap())
        .collect();
    batch.send().await.unwrap();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    assert_eq!(*answers[0].as_ref().unwrap(), 1);
    assert_eq!(*answers[2].as_ref().unwrap(), 3);
    let refused = RequestError::from(answers[1].as_ref().unwrap_err());
    assert_eq!(refused.answer().unwrap().message, "no");
    assert!(matches!(
        answers[3],
        Err(RpcError::Transport(TransportErrorKind::MissingBatchResponse(_)))
    ));
    assert_eq!(server.requests().len(), 1);

    let refusing = Server::says(
        "200 OK",
        r#"{"id":null,"error":{"code":-32600,"message":"no batches"}}"#,
    );
    let client = RpcClient::new(refusing.transport(), true);
    let mut batch = client.new_batch();
    let _call = batch.add_call::<_, u64>("eth_call", &()).unwrap();
    let error = RequestError::from(&batch.send().await.unwrap_err());
    assert_eq!(error.answer().unwrap().message, "no batches");
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let echo = Server::new(|stream, request| {
        let body = format!("{}{}", request.head, request.body);
        let head = format!("HTTP/1.1 502 No\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).is_ok()
    });
    let url = format!(
        "http://user:s3cr3t%21pass@{}/v2/{KEY}?apikey=s3cr3t-query",
        echo.address
    );
    let transport = HttpTransport::new(&url).unwrap();
    let found = error(&transport).await;
    let requests = echo.requests();
    // base64 of "user:s3cr3t!pass".
    let credentials = "dXNlcjpzM2NyM3QhcGFzcw==";
    assert!(
        requests[0]
            .head
            .contains(&format!("authorization: Basic {credentials}")),
        "{requests:?}"
    );
    assert!(
        requests[0]
            .head
            .contains(&format!("POST /v2/{KEY}?apikey=s3cr3t-query "))
    );
    assert_eq!(transport.origin(), format!("http://{}", echo.address));
    let provider = transport.clone().provider();
    let shown = [
        format!("{found} {found:?}"),
        format!("{transport:?} {transport:#?}"),
        format!("{provider:?} {provider:#?}"),
    ]
    .concat();
    assert!(
        !shown.contains("s3cr3t") && !shown.contains(credentials),
        "{shown}"
    );
    assert!(shown.contains("POST … HTTP/1.1"), "{shown}");
    assert!(shown.contains(&format!("http://{}", echo.address)), "{shown}");
}

#[test]
fn only_http_and_https_are_taken_and_errors_do_not_tell_the_url() {
    for (url, message) in [
        (
            "ws://127.0.0.1/s3cr3t",
            "cannot connect by ws: only http and https are supported",
        ),
        (
            "file:///s3cr3t",
            "not a URL (relative URL without a base): give one like http://127.0.0.1:8545",
        ),
        (
            "s3cr3t:8545",
            "not a URL (relative URL without a base): give one like http://127.0.0.1:8545",
        ),
        (
            "/s3cr3t",
            "not a URL (relative URL without a base): give one like http://127.0.0.1:8545",
        ),
        (
            "http://",
            "not a URL (empty host): give one like http://127.0.0.1:8545",
        ),
        (
            "http://s3cr3t:x@host:99999",
            "not a URL (invalid port number): give one like http://127.0.0.1:8545",
        ),
    ] {
        let error = HttpTransport::new(url).unwrap_err();
        assert_eq!(error.to_string(), message, "{url}");
        assert!(!format!("{error:?}").contains("s3cr3t"));
        assert_eq!(connect(url).unwrap_err(), error);
    }
    if cfg!(not(feature = "tls")) {
        // The feature of this test is that of the library.
        let error = HttpTransport::new("https://node.example/s3cr3t").unwrap_err();
        assert_eq!(error, ConnectError::NoTls);
    }
}

// What is written before TLS is established is none of the request.
#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_that_is_not_established_is_not_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/{KEY}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 64];
        stream.read_exact(&mut hello).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        hello
    });
    let found = error(&HttpTransport::new(&url).unwrap()).await;
    assert!(found.was_surely_not_received(), "{found:?}");
    let hello = server.join().unwrap();
    // A TLS record of the handshake.
    assert_eq!(hello[..2], [0x16, 0x03]);
}
