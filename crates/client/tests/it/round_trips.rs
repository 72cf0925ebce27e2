//! How often the node and the bundler are asked, one after the other.

use crate::{
    fixture::{Fixture, one},
    process::{Process, Way, journal},
    wire::{Fault, Wire},
};
use session_key_client::{
    alloy::primitives::U256,
    permissions::{Permissions, SpendLimit},
};
use std::time::Duration;
use tokio::time::Instant;

/// What every answer takes. Nothing else takes any time.
const LATENCY: Duration = Duration::from_millis(100);

/// How many round trips follow each other until an operation is handed over, for the first and for later
/// ones, and what was asked for the last.
async fn round_trips(way: Way) -> (Vec<u128>, Vec<String>) {
    let permissions = Permissions::new()
        .contract(crate::fixture::RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(crate::fixture::ETHER)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let process = Process::on(&fixture, way, &journal());
    let slow = |wire: &Wire| wire.rule(|_| Some(Fault::Late(LATENCY)));
    slow(&process.node);
    slow(&process.out);
    let mut trips = Vec::new();
    let mut methods = Vec::new();
    for _ in 0..3 {
        let before = (process.node.asked().len(), process.out.asked().len());
        let start = Instant::now();
        let pending = process.agent.execute(one()).send().await.unwrap();
        trips.push(start.elapsed().as_millis() / LATENCY.as_millis());
        let asked = [
            process.node.asked().split_off(before.0),
            process.out.asked().split_off(before.1),
        ];
        methods = asked.concat().into_iter().map(|asked| asked.method).collect();
        pending.await.unwrap();
    }
    (trips, methods)
}

// The block; everything in it; the estimate; the operation.
#[tokio::test(start_paused = true)]
async fn at_most_four_round_trips_to_submission() {
    let (trips, methods) = round_trips(Way::Bundler).await;
    assert!(trips.iter().all(|trips| *trips <= 4), "{trips:?} {methods:?}");
}

// More than through a bundler: the bundle is tried before it is sent, and the transaction around it needs a
// nonce and fees.
#[tokio::test(start_paused = true)]
async fn at_most_seven_round_trips_to_the_entry_point() {
    let (trips, methods) = round_trips(Way::EntryPoint).await;
    assert!(trips.iter().all(|trips| *trips <= 7), "{trips:?} {methods:?}");
}
