//! Figures of this machine:
//! `cargo test -p session-key-agent-service --release -- --ignored --nocapture load`.

use super::world::World;
use serde_json::json;
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// The number in an environment variable.
fn number(variable: &str, otherwise: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and shows figures"]
async fn load_of_bundles() {
    let world = World::new().await;
    let mut settings = world.settings();
    for client in &mut settings.clients {
        client.share = true;
        client.most_pending = 64;
        client.requests_per_second = 10_000;
    }
    let running = Arc::new(world.start_with(settings).await);
    let (count, at_a_time) = (number("BUNDLES", 400), number("AT_A_TIME", 16));
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut workers = Vec::new();
    for worker in 0..at_a_time {
        let (running, next) = (running.clone(), next.clone());
        let bundle = world.bundle("", 1);
        workers.push(tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return times;
                }
                let (client, id) = (worker % 2, format!("load {number}"));
                let mut bundle = bundle.clone();
                bundle[0]["id"] = json!(id);
                let asked = Instant::now();
                running.ask(client, "wallet_sendCalls", bundle).await.unwrap();
                assert_eq!(running.decided(client, &id).await["status"], 200);
                times.push(asked.elapsed());
            }
        }));
    }
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.unwrap());
    }
    let took = begun.elapsed();
    times.sort_unstable();
    println!(
        "{count} bundles of two clients, {at_a_time} at a time: {:.1} a second; half within {:?}, 99 % within {:?}",
        times.len() as f64 / took.as_secs_f64(),
        percentile(&times, 50),
        percentile(&times, 99),
    );
    assert_eq!(world.paid().to::<usize>(), count);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and shows figures"]
async fn load_of_requests() {
    let world = World::new().await;
    let running = world.start().await;
    let count = number("REQUESTS", 1_000_000);
    let request = |token: &str, body: &str| {
        format!(
            "POST / HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{body}",
            running.port,
            body.len()
        )
    };
    let token = world.tokens[0].expose_secret();
    // A tenth each: known and unknown methods, what is no JSON, and, mostly, requests beyond the rate.
    let chain = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let requests: Vec<String> = vec![
        request(token, chain),
        request(token, r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#),
        request(token, "{"),
        request(token, chain),
    ];
    let before = resident();
    let begun = Instant::now();
    let mut workers = Vec::new();
    for _ in 0..16 {
        let (requests, port) = (requests.clone(), running.port);
        workers.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            for number in 0..count / 16 {
                let request = &requests[number % requests.len()];
                stream.write_all(request.as_bytes()).await.unwrap();
                let length = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..length].starts_with(b"HTTP/1.1 200"));
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let took = begun.elapsed();
    let after = resident();
    println!(
        "{count} requests over 16 connections: {:.0} a second; memory {before} KiB before, {after} KiB after",
        count as f64 / took.as_secs_f64()
    );
    assert!(after < before + (64 << 10), "{before} {after}");
    // A client with other things to do is served.
    running
        .ask(1, "wallet_sendCalls", world.bundle("1", 7))
        .await
        .unwrap();
    assert_eq!(running.decided(1, "1").await["status"], 200);
}
