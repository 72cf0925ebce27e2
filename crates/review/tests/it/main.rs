//! The server, as browsers and others meet it, in front of a development network.

mod changes;
mod security;

use serde_json::Value;
use session_key_client::{
    alloy::primitives::{Address, U256},
    permissions::{ERC20_TRANSFER, Permissions, SpendLimit},
};
use session_key_devnet::{Devnet, DevnetOptions, Kind, WithKey};
use session_key_review::{Review, Server};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// 100 tokens a day by `transfer`, and 0.1 ETH a day for gas.
fn permissions(token: Address) -> Permissions {
    Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .erc20_spend_limit(token, SpendLimit::per(U256::from(100_000_000), 86_400))
        .gas_spend_limit(SpendLimit::per(U256::from(10).pow(U256::from(17)), 86_400))
}

/// An account with a key, and its page.
struct World {
    with: WithKey,
    server: Server,
    cookie: String,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// An account of a generation with one key.
async fn with_key(kind: Kind) -> WithKey {
    let devnet = Devnet::new(DevnetOptions::default()).expect("a network");
    let token = devnet.stack().token;
    devnet.key(kind, &permissions(token)).await.expect("a key")
}

impl World {
    async fn new() -> Self {
        let with = with_key(Kind::V07).await;
        let review = Review::new(with.account.clone());
        Self::with(with, review).await
    }

    async fn with(with: WithKey, review: Review) -> Self {
        let mut world = Self {
            with,
            server: review.serve(0).await.expect("a port"),
            cookie: String::new(),
        };
        world.cookie = world.open().await;
        world
    }

    fn host(&self) -> String {
        self.server.address().to_string()
    }

    async fn next_path(&mut self) -> String {
        let address = timeout(Duration::from_secs(5), self.server.next_address()).await;
        let address = address.expect("an address");
        let start = format!("http://{}", self.host());
        address.strip_prefix(&start).expect("at this server").to_owned()
    }

    /// Opens the page in a new browser; returns its cookie.
    async fn open(&mut self) -> String {
        let path = self.next_path().await;
        let opened = self.raw(&request("GET", &path, &self.host(), &[], "")).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let cookie = opened.header("set-cookie").expect("a cookie");
        cookie.split(';').next().expect("a pair").to_owned()
    }

    /// Sends bytes, and reads to the end.
    async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.server.address())
            .await
            .expect("it listens");
        // It may answer before it has read all.
        let _ = stream.write_all(bytes).await;
        received(&mut stream).await
    }

    async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("cookie", self.cookie.as_str())];
        all.extend_from_slice(fields);
        self.raw(&request(method, path, &self.host(), &all, body)).await
    }

    async fn page(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// Posts JSON, as the page's script does.
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let origin = format!("http://{}", self.host());
        let fields = [
            ("origin", origin.as_str()),
            ("content-type", "application/json"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.ask("POST", path, &fields, &body.to_string()).await
    }
}

fn request(method: &str, path: &str, host: &str, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-length: {}\r\n", body.len());
    }
    (text + "\r\n" + body).into_bytes()
}

async fn received(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is not an error here.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// The value of an attribute.
#[track_caller]
fn attribute(page: &str, name: &str) -> String {
    let start = format!("{name}=\"");
    let value = page.split(&start).nth(1).and_then(|rest| rest.split('"').next());
    value
        .unwrap_or_else(|| panic!("{name}: {page}"))
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}
