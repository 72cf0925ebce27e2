//! Bundles of calls, by EIP-5792.

use super::world::{SHOP, World};
use serde_json::{Value, json};
use session_key_agent_service::{
    agent::client::{
        alloy::primitives::U256,
        permissions::policy::{Facts, Policy, PolicyFormat},
    },
    rpc::code,
};
use std::{collections::BTreeSet, sync::Arc};

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_carried_out_once_and_its_status_has_the_form_of_the_standard() {
    let world = World::new().await;
    let running = world.start().await;
    let account = running.ask(0, "eth_accounts", json!([])).await.unwrap();
    assert_eq!(account, json!([world.chain.account.address().to_string()]));
    assert_eq!(running.ask(0, "eth_chainId", json!([])).await.unwrap(), "0x7a69");
    let sent = running
        .ask(0, "wallet_sendCalls", world.bundle("order 1", 7))
        .await
        .unwrap();
    assert_eq!(sent, json!({ "id": "order 1" }));
    let status = running.decided(0, "order 1").await;
    assert_eq!(
        names(&status),
        ["atomic", "chainId", "id", "receipts", "status", "version"]
    );
    assert_eq!(
        (&status["version"], &status["status"]),
        (&json!("2.0.0"), &json!(200))
    );
    assert_eq!(
        (&status["atomic"], &status["chainId"]),
        (&json!(true), &json!("0x7a69"))
    );
    let receipts = status["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 1);
    let expected = [
        "blockHash",
        "blockNumber",
        "gasUsed",
        "logs",
        "status",
        "transactionHash",
    ];
    assert_eq!(names(&receipts[0]), expected);
    assert_eq!(receipts[0]["status"], "0x1");
    assert_eq!(world.paid(), U256::from(7));
    // The same id again, with the same calls and with others.
    for (amount, same) in [(7, true), (8, false)] {
        let error = running
            .ask(0, "wallet_sendCalls", world.bundle("order 1", amount))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code, error.data),
            (code::DUPLICATE, Some(json!({ "sameCalls": same })))
        );
    }
    let error = running
        .ask(0, "wallet_getCallsStatus", json!(["order 2"]))
        .await
        .unwrap_err();
    assert_eq!(error.code, code::UNKNOWN);
    // Without an id, one is made.
    let mut without = world.bundle("", 1);
    without[0].as_object_mut().unwrap().remove("id");
    let made = running.ask(0, "wallet_sendCalls", without).await.unwrap();
    let made = made["id"].as_str().unwrap().to_owned();
    assert_eq!(running.decided(0, &made).await["status"], 200);
    assert_eq!(world.paid(), U256::from(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_have_ids_and_policies_of_their_own() {
    let world = World::new().await;
    let running = world.start().await;
    running
        .ask(0, "wallet_sendCalls", world.bundle("1", 60))
        .await
        .unwrap();
    assert_eq!(running.decided(0, "1").await["status"], 200);
    // The other client does not see it, and has the id to itself.
    let error = running
        .ask(1, "wallet_getCallsStatus", json!(["1"]))
        .await
        .unwrap_err();
    assert_eq!(error.code, code::UNKNOWN);
    let error = running.ask(1, "explain", json!(["1"])).await.unwrap_err();
    assert_eq!(error.code, code::UNKNOWN);
    running
        .ask(1, "wallet_sendCalls", world.bundle("1", 50))
        .await
        .unwrap();
    assert_eq!(running.decided(1, "1").await["status"], 200);
    assert_eq!(world.paid(), U256::from(110));
    // What its policy does not allow is a refusal, and its id stays free.
    let refused = running
        .ask(1, "wallet_sendCalls", world.bundle("2", 51))
        .await
        .unwrap_err();
    assert_eq!(refused.code, code::REJECTED);
    let data = refused.data.unwrap();
    assert_eq!(
        (&data["passes"], &data["policy"][0]["code"]),
        (&json!(false), &json!("call_too_large"))
    );
    running
        .ask(1, "wallet_sendCalls", world.bundle("2", 5))
        .await
        .unwrap();
    assert_eq!(running.decided(1, "2").await["status"], 200);
    // A window that is used up says when it passes.
    let over = running
        .ask(0, "wallet_sendCalls", world.bundle("2", 441))
        .await
        .unwrap_err();
    let data = over.data.unwrap();
    assert_eq!(data["policy"][0]["code"], "window_exceeded");
    assert!(data["earliest"].is_u64(), "{data}");
    // What the key may not do is refused before anything is sent.
    let other = running.ask(
        0,
        "check",
        json!([{ "calls": [{ "to": world.chain.account.address(), "value": "0x1" }] }]),
    );
    let checked = other.await.unwrap();
    assert_eq!(
        (&checked["passes"], &checked["key"]["verdict"]),
        (&json!(false), &json!("refused"))
    );
    assert_eq!(world.paid(), U256::from(115));
    let budget = running.ask(0, "budget", json!([])).await.unwrap();
    assert_eq!(
        (&budget["windows"][0]["used"], &budget["windows"][0]["left"]),
        (&json!("60"), &json!("440"))
    );
    assert_eq!(budget["budgets"][0]["remainingWei"], "885");
    let explained = running.ask(1, "explain", json!(["1"])).await.unwrap();
    assert_eq!(
        (&explained["bundle"], &explained["operations"][0]["outcome"]),
        (&json!("included"), &json!("succeeded"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_never_share_an_operation_and_budgets_hold_under_load() {
    let world = World::new().await;
    let mut settings = world.settings();
    for client in &mut settings.clients {
        client.share = true;
        client.most_pending = 64;
    }
    let policy = Policy::parse("[agent]\nwindows = [\"300 wei per 1 day\"]", PolicyFormat::Toml).unwrap();
    settings.clients[0].rules = policy.agent_rules(&Facts::new()).unwrap();
    let running = Arc::new(world.start_with(settings).await);
    let mut tasks = Vec::new();
    for number in 0..20_usize {
        let (client, id) = (number % 2, format!("{number}"));
        let (running, bundle) = (running.clone(), world.bundle(&id, 45));
        tasks.push(tokio::spawn(async move {
            let answer = running.ask(client, "wallet_sendCalls", bundle).await;
            (client, id, answer)
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let mut operations = [BTreeSet::new(), BTreeSet::new()];
    let mut served = 0_u64;
    for (client, id, answer) in answers {
        match answer {
            Ok(_) => {
                let status = running.decided(client, &id).await;
                if status["status"] == 200 {
                    served += 1;
                    let explained = running.ask(client, "explain", json!([id])).await.unwrap();
                    let hash = explained["operations"][0]["userOpHash"]
                        .as_str()
                        .unwrap()
                        .to_owned();
                    operations[client].insert(hash);
                } else {
                    assert_eq!(status["status"], 400, "{status}");
                }
            }
            Err(error) => assert_eq!(error.code, code::REJECTED, "{error}"),
        }
    }
    assert!(operations[0].is_disjoint(&operations[1]), "{operations:?}");
    // Six of the first one's ten fit its window; all of the other's are served.
    assert_eq!(served, 16);
    assert_eq!(world.paid(), U256::from(45 * served));
    let count = operations[0].len() + operations[1].len();
    assert!(count < 16, "{count} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_permissions_is_signed_by_the_key_and_grants_nothing() {
    let world = World::new().await;
    let running = world.start().await;
    let policy = "valid_for = \"30 days\"\n[limits]\nnative = \"1 ETH per 1 day\"\n";
    let asked = running
        .ask(0, "request_grant", json!([{ "policy": policy }]))
        .await
        .unwrap();
    let text = asked["request"].to_string();
    let request =
        session_key_agent_service::agent::client::key_request::KeyRequest::from_json(&text).unwrap();
    let key = world.chain.agent.session_key();
    assert_eq!(request.session_key(), key);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    request
        .verify(31_337, world.chain.account.address(), now.as_secs())
        .unwrap();
    let error = running
        .ask(0, "request_grant", json!([{ "policy": "native = 1" }]))
        .await
        .unwrap_err();
    assert_eq!(error.code, code::PARAMS);
    let checked = running
        .ask(
            0,
            "check",
            json!([{ "calls": [{ "to": SHOP, "value": "0x3e9" }] }]),
        )
        .await
        .unwrap();
    assert_eq!(checked["passes"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_at_once_is_refused_and_others_go_on() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.clients[0].most_pending = 2;
    let running = world.start_with(settings).await;
    // Nothing is included until blocks are made: the first ones stay on their way.
    let (one, two) = (world.bundle("1", 1), world.bundle("2", 1));
    let first = running.ask(0, "wallet_sendCalls", one);
    let second = running.ask(0, "wallet_sendCalls", two);
    let third = running.ask(0, "wallet_sendCalls", world.bundle("3", 1));
    let (first, second, third) = tokio::join!(first, second, third);
    let limited = [&first, &second, &third]
        .iter()
        .filter(|answer| answer.as_ref().is_err_and(|error| error.code == code::LIMIT))
        .count();
    assert_eq!(limited, 1, "{first:?} {second:?} {third:?}");
    running
        .ask(1, "wallet_sendCalls", world.bundle("1", 1))
        .await
        .unwrap();
    assert_eq!(running.decided(1, "1").await["status"], 200);
}
