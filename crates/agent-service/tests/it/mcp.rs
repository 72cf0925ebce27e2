//! The Model Context Protocol, line by line.

use super::world::{Running, SHOP, World};
use serde_json::{Value, json};
use session_key_agent_service::{
    agent::client::alloy::primitives::U256,
    mcp::{Line, Tools},
};
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

struct Model {
    lines: mpsc::Receiver<String>,
    write: mpsc::Sender<Line>,
    serving: JoinHandle<()>,
    asked: u64,
}

impl Model {
    async fn new(running: &Running, client: usize) -> Self {
        let (write, incoming) = mpsc::channel(16);
        let (outgoing, lines) = mpsc::channel(16);
        let serving = tokio::spawn(Tools::new(running.bridge(client)).serve(incoming, outgoing));
        let mut model = Self {
            lines,
            write,
            serving,
            asked: 0,
        };
        let begun = model
            .ask(
                "initialize",
                json!({
                    "protocolVersion": "2025-06-18",
                    "capabilities": {},
                    "clientInfo": { "name": "test", "version": "1" },
                }),
            )
            .await;
        assert_eq!(begun["result"]["protocolVersion"], "2025-06-18");
        assert!(
            begun["result"]["instructions"]
                .as_str()
                .unwrap()
                .contains("real money")
        );
        model
            .say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string())
            .await;
        model
    }

    async fn say(&mut self, line: &str) {
        self.write.send(Line::Text(line.to_owned())).await.unwrap();
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string())
            .await;
        loop {
            let line = timeout(Duration::from_secs(60), self.lines.recv())
                .await
                .expect("an answer");
            let line = line.unwrap_or_else(|| panic!("{method}: it ended"));
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["id"] == id {
                return answer;
            }
        }
    }

    /// Calls a tool; returns what it says, and whether that is an error.
    async fn call(&mut self, tool: &str, arguments: Value) -> (Value, bool) {
        let answer = self
            .ask("tools/call", json!({ "name": tool, "arguments": arguments }))
            .await;
        let result = &answer["result"];
        let said = result["structuredContent"].clone();
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap_or("null")).unwrap();
        assert_eq!(text, said, "{answer}");
        (said, result["isError"] == true)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_spends_within_its_policy_and_reads_refusals() {
    let world = World::new().await;
    let running = world.start().await;
    let mut model = Model::new(&running, 1).await;
    let tools = model.ask("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["check", "execute", "budget", "explain", "request_grant"]);
    for tool in &tools {
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert!(tool["description"].as_str().unwrap().len() > 50);
        let spends = tool["name"] == "execute";
        assert_eq!(tool["annotations"]["destructiveHint"], spends);
    }
    let pay = |amount: u64| json!([{ "to": SHOP, "valueWei": amount.to_string() }]);
    let (said, is_error) = model.call("check", json!({ "calls": pay(50) })).await;
    assert_eq!((&said["passes"], is_error), (&json!(true), false));
    // A refusal is an answer.
    let (said, is_error) = model.call("check", json!({ "calls": pay(51) })).await;
    assert_eq!((&said["passes"], is_error), (&json!(false), false));
    let (said, is_error) = model
        .call("execute", json!({ "id": "big", "calls": pay(51) }))
        .await;
    assert_eq!((&said["outcome"], is_error), (&json!("refused"), false));
    assert!(said["reasons"].as_str().unwrap().contains("50"), "{said}");
    assert_eq!(world.paid(), U256::ZERO);
    // The same task again is the same answer, and not a second payment.
    for _ in 0..2 {
        let (said, is_error) = model
            .call("execute", json!({ "id": "invoice", "calls": pay(50) }))
            .await;
        assert_eq!((&said["outcome"], is_error), (&json!("included"), false));
        assert!(said["transactionHash"].is_string());
    }
    let (said, _) = model
        .call("execute", json!({ "id": "invoice", "calls": pay(49) }))
        .await;
    assert_eq!(said["outcome"], "other");
    assert_eq!(world.paid(), U256::from(50));
    let (said, _) = model.call("explain", json!({ "id": "invoice" })).await;
    assert_eq!(said["bundle"], "included");
    let (said, _) = model.call("budget", json!({})).await;
    assert_eq!(said["recipients"], json!([SHOP.to_string()]));
    let policy = "[limits]\nnative = \"1 ETH per 1 day\"\n";
    let (said, is_error) = model.call("request_grant", json!({ "policy": policy })).await;
    assert_eq!((said["request"].is_object(), is_error), (true, false));
    // The other side ends: so does this one.
    drop(model.write);
    drop(model.lines);
    timeout(Duration::from_secs(5), model.serving)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_calls_of_tools_are_explained_to_the_model() {
    let world = World::new().await;
    let running = world.start().await;
    let mut model = Model::new(&running, 0).await;
    for (tool, arguments) in [
        ("check", json!({})),
        ("check", json!({ "calls": [] })),
        ("check", json!({ "calls": [{ "to": SHOP, "valueWei": "0x7" }] })),
        ("check", json!({ "calls": [{ "to": SHOP, "valueWei": "-7" }] })),
        ("check", json!({ "calls": [{ "to": "the shop" }] })),
        ("execute", json!({ "calls": [{ "to": SHOP }] })),
        ("execute", json!({ "id": "", "calls": [{ "to": SHOP }] })),
        ("explain", json!({ "id": "nothing" })),
        ("request_grant", json!({ "policy": "native = 1" })),
        ("budget", json!({ "key": true })),
    ] {
        let (said, is_error) = model.call(tool, arguments.clone()).await;
        assert!(
            is_error && said["error"].is_string(),
            "{tool} {arguments}: {said}"
        );
    }
    let unknown = model
        .ask("tools/call", json!({ "name": "export_key", "arguments": {} }))
        .await;
    assert!(unknown["error"].is_object(), "{unknown}");
    // What is no message, and a very long one, change nothing.
    model.say("{").await;
    model.write.send(Line::TooLong).await.unwrap();
    model.say("[]").await;
    let (said, _) = model
        .call("check", json!({ "calls": [{ "to": SHOP, "valueWei": "1" }] }))
        .await;
    assert_eq!(said["passes"], true);
}
