//! Answers intercepted and rewritten by a transport.

use crate::requests::{answer_of, failure_of};
use serde_json::{Value, json};
use session_key_testkit::{ErrorAnswer, Testkit};
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn a_batch_keeps_its_order_with_interception() {
    let testkit = Testkit::default();
    let transport = testkit.transport().intercept(|method, params| match method {
        "eth_gasPrice" => Some(Ok(json!("0x7"))),
        "eth_getBalance" => Some(Ok(params[0].clone())),
        "eth_accounts" => Some(Err(ErrorAnswer::new(-1, "none of yours").with_data(json!([1])))),
        _ => None,
    });
    let client = transport.client();
    let mut batch = client.new_batch();
    let first = batch.add_call::<_, Value>("evm_mine", &()).unwrap();
    let second = batch.add_call::<_, Value>("eth_gasPrice", &()).unwrap();
    let third = batch.add_call::<_, Value>("eth_blockNumber", &()).unwrap();
    let fourth = batch
        .add_call::<_, Value>("eth_getBalance", &("0x1", "latest"))
        .unwrap();
    let fifth = batch.add_call::<_, Value>("eth_accounts", &()).unwrap();
    let sixth = batch.add_call::<_, Value>("net_version", &()).unwrap();
    batch.send().await.unwrap();
    assert_eq!(first.await.unwrap(), "0x0");
    assert_eq!(second.await.unwrap(), "0x7");
    assert_eq!(third.await.unwrap(), "0x1");
    assert_eq!(fourth.await.unwrap(), "0x1");
    let error = fifth.await.unwrap_err();
    let error = error.as_error_resp().unwrap();
    assert_eq!((error.code, &*error.message), (-1, "none of yours"));
    assert_eq!(error.data.as_ref().unwrap().get(), "[1]");
    assert_eq!(sixth.await.unwrap(), "31337");
}

#[tokio::test]
async fn intercepted_requests_have_no_effect_and_rewritten_ones_do() {
    let testkit = Testkit::default();
    let lost = || Err(ErrorAnswer::new(-32000, "context deadline exceeded"));
    let before = testkit.transport().intercept(move |_, _| Some(lost()));
    let after = testkit.transport().rewrite(move |_, _, _| lost());
    for (transport, blocks) in [(before, 0), (after, 1)] {
        let (code, message) = failure_of(&transport.client(), "evm_mine", json!([])).await;
        assert_eq!((code, message.as_str()), (-32000, "context deadline exceeded"));
        assert_eq!(testkit.chain().block_number(), blocks);
    }
}

#[tokio::test]
async fn other_answers_and_errors_pass_through_unchanged() {
    let testkit = Testkit::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let transport = testkit.transport().rewrite(move |method, params, answer| {
        log.lock()
            .unwrap()
            .push((method.to_owned(), params.clone(), answer.is_ok()));
        answer
    });
    let client = transport.client();
    let block = json!(["0x0", false]);
    assert_eq!(
        answer_of(&client, "eth_getBlockByNumber", block.clone()).await,
        answer_of(&testkit.client(), "eth_getBlockByNumber", block.clone()).await
    );
    assert_eq!(
        failure_of(&client, "eth_call", json!([])).await,
        failure_of(&testkit.client(), "eth_call", json!([])).await
    );
    assert_eq!(
        answer_of(
            &client,
            "eth_getTransactionReceipt",
            json!([alloy::primitives::B256::ZERO])
        )
        .await,
        Value::Null
    );
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], ("eth_getBlockByNumber".into(), block, true));
    assert_eq!(seen[1], ("eth_call".into(), json!([]), false));
}
