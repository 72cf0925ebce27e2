//! Who is answered, and what they can make the server do.

use crate::{World, permissions, received, request, with_key};
use serde_json::json;
use session_key_client::{
    NewSessionKey,
    alloy::primitives::{Address, B256, hex},
};
use session_key_devnet::Kind;
use session_key_review::{MAX_BODY, MOST_CONNECTIONS, Review};
use std::time::Duration;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

#[tokio::test]
async fn the_printed_address_opens_the_page_once_and_a_reload_goes_on() {
    let with = with_key(Kind::V07).await;
    let review = Review::new(with.account.clone());
    let mut world = World {
        with,
        server: review.serve(0).await.unwrap(),
        cookie: String::new(),
    };
    let path = world.next_path().await;
    let opened = world.raw(&request("GET", &path, &world.host(), &[], "")).await;
    assert_eq!(opened.status, 200);
    let cookie = opened.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    world.cookie = cookie.split(';').next().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(world.page("/").await.status, 200);
    }
    // Used, whoever asks.
    assert_eq!(world.page(&path).await.status, 410);
    let other = world.raw(&request("GET", &path, &world.host(), &[], "")).await;
    assert_eq!(other.status, 410);
    assert!(
        other.header("set-cookie").is_none()
            && !other.body.contains(&world.with.session_key.address.to_string())
    );
    assert_eq!(world.page("/").await.status, 200, "the session goes on");
}

#[tokio::test]
async fn another_browser_opens_it_with_another_address() {
    let mut world = World::new().await;
    let stranger = world.raw(&request("GET", "/", &world.host(), &[], "")).await;
    assert_eq!(stranger.status, 401);
    assert!(!stranger.body.contains("0x"), "{}", stranger.body);
    // One more stranger makes no further address.
    world.raw(&request("GET", "/", &world.host(), &[], "")).await;
    let first = std::mem::take(&mut world.cookie);
    let second = world.open().await;
    assert!(
        timeout(Duration::from_millis(50), world.server.next_address())
            .await
            .is_err()
    );
    for cookie in [first, second] {
        world.cookie = cookie;
        assert_eq!(world.page("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_session_ends() {
    let with = with_key(Kind::V07).await;
    let review = Review::new(with.account.clone()).session_lifetime(Duration::from_millis(1_500));
    let world = World::with(with, review).await;
    assert_eq!(world.page("/style.css").await.status, 200);
    assert_eq!(world.page("/revoke?all").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    assert_eq!(world.page("/revoke?all").await.status, 401);
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused_with_a_valid_cookie() {
    let world = World::new().await;
    let cookie = [("cookie", world.cookie.as_str())];
    for host in ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1"] {
        let rebound = world.raw(&request("GET", "/", host, &cookie, "")).await;
        assert_eq!(rebound.status, 421, "{host}");
        assert!(!rebound.body.contains("0x"));
    }
    let proxied = world.page("http://evil.example/").await;
    assert_eq!(proxied.status, 421);
    let wish = json!({"wish": {"act": "revoke", "keys": [world.with.session_key.address]}, "owner": world.with.owner_account.address, "shown": B256::ZERO});
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let fields = [("origin", origin), ("content-type", "application/json")];
        let answer = world
            .ask("POST", "/transactions", &fields, &wish.to_string())
            .await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    let fields = [("content-type", "application/json")];
    let without = world
        .ask("POST", "/transactions", &fields, &wish.to_string())
        .await;
    assert_eq!(without.status, 403);
    let framed = world
        .ask("GET", "/", &[("sec-fetch-site", "same-site")], "")
        .await;
    assert_eq!(framed.status, 403);
    let form = [
        ("origin", &*format!("http://{}", world.host())),
        ("content-type", "text/plain"),
    ];
    assert_eq!(
        world
            .ask("POST", "/transactions", &form, &wish.to_string())
            .await
            .status,
        415
    );
}

#[tokio::test]
async fn other_methods_are_refused() {
    let world = World::new().await;
    let origin = format!("http://{}", world.host());
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
        let answer = world.ask(method, "/", &[("origin", &origin)], "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET")),
            "{method}"
        );
    }
    let got = world.page("/transactions").await;
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn every_answer_forbids_what_the_page_does_not_need() {
    let world = World::new().await;
    let strangers = world.raw(&request("GET", "/", &world.host(), &[], "")).await;
    let rebound = world.raw(&request("GET", "/", "evil.example", &[], "")).await;
    for answer in [
        world.page("/").await,
        world.page("/style.css").await,
        world.page("/wallet.js").await,
        world.page("/nothing").await,
        world.page("/open/0").await,
        strangers,
        rebound,
    ] {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains("data:"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    let page = world.page("/").await.body;
    for inline in [" style=", "<style", " onclick", "javascript:", "<script>"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn requests_over_size_are_refused() {
    let world = World::new().await;
    let long = "x".repeat(MAX_BODY);
    let answer = world.post("/transactions", &json!({ "wish": long })).await;
    assert_eq!(answer.status, 413);
    let origin = format!("http://{}", world.host());
    let fields = [
        ("cookie", world.cookie.as_str()),
        ("origin", &origin),
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ];
    let mut chunked = request("POST", "/transactions", &world.host(), &fields, "");
    for _ in 0..3 {
        chunked.extend(format!("{:x}\r\n{long}\r\n", long.len()).into_bytes());
    }
    assert_eq!(world.raw(&chunked).await.status, 413, "without a length");
    let head = world
        .ask("GET", "/", &[("x-long", &"x".repeat(32 << 10))], "")
        .await;
    assert_eq!(head.status, 431);
    let path = world.page(&format!("/revoke?key={}", "0".repeat(32 << 10))).await;
    assert!(matches!(path.status, 414 | 431), "{}", path.status);
    assert_eq!(world.page("/").await.status, 200, "it goes on");
}

#[tokio::test]
async fn slow_connections_hold_no_place() {
    let with = with_key(Kind::V07).await;
    let review = Review::new(with.account.clone()).patience(Duration::from_secs(1));
    let world = World::with(with, review).await;
    let mut slow = Vec::new();
    // Some say nothing, others begin and stop.
    for number in 0..MOST_CONNECTIONS * 2 {
        let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
        if number % 2 == 1 {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
        }
        slow.push(stream);
    }
    // Nobody is made to wait for them.
    let answer = timeout(Duration::from_secs(20), world.page("/")).await;
    assert_eq!(answer.expect("a place").status, 200);
    // A body that does not come.
    let origin = format!("http://{}", world.host());
    let fields = [
        ("cookie", world.cookie.as_str()),
        ("origin", &origin),
        ("content-type", "application/json"),
        ("content-length", "100"),
    ];
    let mut stream = TcpStream::connect(world.server.address()).await.unwrap();
    let head = request("POST", "/transactions", &world.host(), &fields, "");
    stream.write_all(&head).await.unwrap();
    let answer = timeout(Duration::from_secs(10), received(&mut stream)).await;
    assert_eq!(answer.expect("an answer").status, 408);
}

#[tokio::test]
async fn what_comes_from_the_chain_is_shown_as_text() {
    // Six decimals, and for a symbol the text at its end.
    let symbol = b"<img src=x onerror=alert(1)>";
    let mut code = hex!("5f3560e01c63313ce56714601857606060215f3960605ff35b60065f5260205ff3").to_vec();
    let mut data = [0; 96];
    data[31] = 32;
    data[63] = u8::try_from(symbol.len()).unwrap();
    data[64..64 + symbol.len()].copy_from_slice(symbol);
    code.extend(data);
    let token = Address::repeat_byte(0x70);
    let world = World::new().await;
    world.with.devnet.testkit().chain().set_code(token, code).unwrap();
    let mut tag = B256::ZERO;
    let text = b"<script>alert(1)</script>";
    tag[..text.len()].copy_from_slice(text);
    let key = NewSessionKey::new(Address::repeat_byte(0x77), &permissions(token)).unwrap();
    world.with.owner.add_session_key(key.with_tag(tag)).await.unwrap();
    let page = world.page("/").await.body;
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{page}");
    assert!(page.contains("“&lt;script&gt;alert(1)&lt;/script&gt;”"), "{page}");
    assert!(!page.contains("<img") && !page.contains("<script>"));
    let refused = world.page("/revoke?key=%3Cscript%3E").await;
    assert_eq!(refused.status, 400);
    assert!(!refused.body.contains("<script>"));
}
