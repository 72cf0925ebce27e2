//! Stopping, starting again, and the log.

use super::world::World;
use serde_json::{Value, json};
use session_key_agent_service::{
    RecoverError,
    agent::client::alloy::{
        hex,
        primitives::{B256, U256, keccak256},
    },
    log::{LogError, verify, verify_file},
    recover,
    rpc::code,
};
use std::{fs, time::Duration};

fn events(world: &World) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    let file = fs::File::open(world.log()).unwrap();
    verify(file, |_, entry| {
        events.push((entry.event.clone(), entry.data.clone()))
    })
    .unwrap();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_knows_what_became_of_every_bundle() {
    let world = World::new().await;
    let running = world.start().await;
    running
        .ask(0, "wallet_sendCalls", world.bundle("done", 7))
        .await
        .unwrap();
    assert_eq!(running.decided(0, "done").await["status"], 200);
    let refused = running
        .ask(1, "wallet_sendCalls", world.bundle("refused", 51))
        .await;
    assert_eq!(refused.unwrap_err().code, code::REJECTED);
    // Many wait for their turn when it stops: those do not begin.
    for number in 0..12 {
        let bundle = world.bundle(&format!("late {number}"), 1);
        running.ask(0, "wallet_sendCalls", bundle).await.unwrap();
    }
    let stopped = running.end(Duration::from_secs(30)).await;
    assert_eq!(stopped.open, 0);
    assert_eq!(
        verify_file(&world.log(), Some(stopped.head)).unwrap().head,
        stopped.head
    );
    let paid = world.paid();

    let again = world.start().await;
    let status = again.decided(0, "done").await;
    assert_eq!(
        (&status["status"], &status["receipts"][0]["status"]),
        (&json!(200), &json!("0x1"))
    );
    let error = again
        .ask(0, "wallet_sendCalls", world.bundle("done", 7))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, error.data),
        (code::DUPLICATE, Some(json!({ "sameCalls": true })))
    );
    let (mut included, mut withdrawn) = (0_u64, 0_u64);
    for number in 0..12 {
        let status = again.decided(0, &format!("late {number}")).await;
        match status["status"].as_u64().unwrap() {
            200 => included += 1,
            400 => withdrawn += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(paid, U256::from(7 + included));
    assert_eq!(world.paid(), paid, "nothing begins later");
    // What was withdrawn counts in no window.
    let budget = again.ask(0, "budget", json!([])).await.unwrap();
    assert_eq!(budget["windows"][0]["used"], (7 + included).to_string());
    assert_eq!(included + withdrawn, 12);
    again.end(Duration::from_secs(30)).await;

    let events = events(&world);
    let count = |wanted: &str| events.iter().filter(|(event, _)| event == wanted).count();
    assert_eq!((count("started"), count("stopped"), count("refused")), (2, 2, 1));
    assert_eq!(count("accepted"), 13);
    assert_eq!(count("decided") + count("withdrawn"), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgot_does_not_make_an_included_bundle_undone() {
    let mut world = World::new().await;
    let running = world.start().await;
    running
        .ask(0, "wallet_sendCalls", world.bundle("1", 7))
        .await
        .unwrap();
    let before = running.decided(0, "1").await;
    running.end(Duration::from_secs(30)).await;
    world.stores = session_key_agent_service::agent::store::Stores::memory();
    let again = world.start().await;
    assert_eq!(again.decided(0, "1").await, before);
    let error = again
        .ask(0, "wallet_sendCalls", world.bundle("1", 7))
        .await
        .unwrap_err();
    assert_eq!(error.code, code::DUPLICATE);
    assert_eq!(world.paid(), U256::from(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_stops_takes_nothing_and_still_answers() {
    let world = World::new().await;
    let running = world.start().await;
    running
        .ask(0, "wallet_sendCalls", world.bundle("1", 7))
        .await
        .unwrap();
    running.decided(0, "1").await;
    running.service.stop(Duration::ZERO).await.unwrap();
    let error = running
        .ask(0, "wallet_sendCalls", world.bundle("2", 7))
        .await
        .unwrap_err();
    assert_eq!(error.code, code::STOPPING);
    assert_eq!(running.decided(0, "1").await["status"], 200);
    assert_eq!(world.paid(), U256::from(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log() {
    let world = World::new().await;
    let running = world.start().await;
    running
        .ask(0, "wallet_sendCalls", world.bundle("1", 7))
        .await
        .unwrap();
    running.decided(0, "1").await;
    let policy = json!([{ "policy": "[limits]\nnative = \"1 ETH per 1 day\"\n" }]);
    running.ask(0, "request_grant", policy).await.unwrap();
    running.end(Duration::from_secs(30)).await;
    let text = fs::read_to_string(world.log()).unwrap();
    let key = hex::encode(world.chain.session_key.signer().to_bytes());
    assert!(text.contains("grant_requested") && !text.contains(&key));
    for token in &world.tokens {
        assert!(!text.contains(token.expose_secret()));
        let hash = token.hash().to_string();
        assert!(!text.contains(&hash[2..]));
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(world.log()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// Takes the lines of these events out of a log, and chains the others anew: a log as a killed
/// process leaves it.
fn forget(world: &World, forgotten: &str) {
    let mut kept = Vec::new();
    verify(fs::File::open(world.log()).unwrap(), |_, entry| {
        kept.push(entry.clone())
    })
    .unwrap();
    kept.retain(|entry| entry.event != forgotten);
    let mut text = String::new();
    let mut previous = B256::ZERO;
    for (sequence, mut entry) in (0..).zip(kept) {
        (entry.sequence, entry.previous) = (sequence, previous);
        let entry = serde_json::to_string(&entry).unwrap();
        previous = keccak256(&entry);
        text.push_str(&format!("{{\"entry\":{entry},\"hash\":\"{previous}\"}}\n"));
    }
    fs::write(world.log(), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_finds_what_a_restored_store_forgot() {
    let mut world = World::new().await;
    let mut settings = world.settings();
    settings.clients[0].share = true;
    let running = world.start_with(settings).await;
    let first = world.chain.devnet.testkit().chain().block_number();
    for number in 1..=6 {
        let bundle = world.bundle(&number.to_string(), number);
        running.ask(0, "wallet_sendCalls", bundle).await.unwrap();
    }
    for number in 1..=6 {
        assert_eq!(running.decided(0, &number.to_string()).await["status"], 200);
    }
    running.end(Duration::from_secs(30)).await;
    let paid = world.paid();
    assert_eq!(paid, U256::from(21));
    // Neither the store nor the log knows what became of them.
    world.stores = session_key_agent_service::agent::store::Stores::memory();
    forget(&world, "decided");
    let recovered = loop {
        match recover(&world.chain.agent, world.log(), first).await {
            Err(RecoverError::Log(LogError::InUse)) => tokio::time::sleep(Duration::from_millis(20)).await,
            recovered => break recovered.unwrap(),
        }
    };
    assert_eq!((recovered.settled, recovered.undecided), (6, 0), "{recovered:?}");
    assert!(
        recovered.unknown.is_empty() && (1..=6).contains(&recovered.operations),
        "{recovered:?}"
    );
    let again = world.start().await;
    for number in 1..=6 {
        let id = number.to_string();
        assert_eq!(again.decided(0, &id).await["status"], 200, "{id}");
        let error = again
            .ask(0, "wallet_sendCalls", world.bundle(&id, number))
            .await
            .unwrap_err();
        assert_eq!(error.code, code::DUPLICATE);
    }
    assert_eq!(world.paid(), paid);
}
