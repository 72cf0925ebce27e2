//! Many at once, the same twice, and what is interrupted: every operation happens once.

use crate::{
    fixture::{ETHER, Fixture, RECIPIENT, one},
    wire::{Fault, Faulty, client_over, submitter_over},
};
use session_key_client::{
    OwnerClient, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Operation, OperationError},
    permissions::{Permissions, SpendLimit},
    submit::{SubmitError, Submitter},
};
use std::{sync::Arc, time::Duration};

/// How long a test may wait on a machine that has a lot else to do. None does.
const AMPLE_TIME: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_senders_at_once_lose_nothing_and_double_nothing() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(1)))
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, clients) = Fixture::with_keys(50, &permissions).await;
    let before = fixture.balance(RECIPIENT);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(async move { client.execute(one()).execute().await }))
        .collect();
    let mut hashes = std::collections::BTreeSet::new();
    for task in tasks {
        let receipt = task.await.unwrap().unwrap();
        assert!(hashes.insert(receipt.user_op_hash));
    }
    assert_eq!(hashes.len(), 50);
    assert_eq!(fixture.balance(RECIPIENT) - before, U256::from(50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_operation_sent_by_many_happens_once() {
    let (fixture, client) = Fixture::with_spender().await;
    let signed = Arc::new(client.execute(one()).sign().await.unwrap());
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (submitter, signed) = (fixture.submitter.clone(), signed.clone());
            tokio::spawn(async move { submitter.send(&signed).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// Wherever the future is dropped, the operation can be sent again and waited for again, and happens once.
#[tokio::test]
async fn sending_can_be_cancelled_anywhere() {
    let (fixture, client) = Fixture::with_spender().await;
    let wire = Faulty::new(fixture.testkit.transport());
    let submitter = submitter_over(&fixture, wire.clone());
    let steps = [
        "eth_call",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
        "eth_getLogs",
    ];
    for (done, step) in steps.into_iter().enumerate() {
        let signed = client.execute(one()).sign().await.unwrap();
        wire.lose_answers_to(step, Fault::Hang);
        let all = async {
            submitter.send(&signed).await?;
            submitter.wait(signed.hash, AMPLE_TIME).await
        };
        let cancelled = tokio::select! {
            outcome = all => {
                outcome.unwrap();
                false
            }
            () = wire.hangs() => true,
        };
        // What the transaction's receipt tells is not searched for.
        assert_eq!(cancelled, step != "eth_getLogs", "{step}");
        wire.repair();

        submitter.send(&signed).await.unwrap();
        let outcome = submitter.wait(signed.hash, AMPLE_TIME).await.unwrap();
        assert!(outcome.is_success());
        assert_eq!(fixture.balance(RECIPIENT), U256::from(done + 1), "{step}");
    }
}

#[tokio::test]
async fn waiting_ends_in_time_although_the_node_does_not() {
    let (fixture, client) = Fixture::with_spender().await;
    let wire = Faulty::new(fixture.testkit.transport());
    let submitter = submitter_over(&fixture, wire.clone());
    let signed = client.execute(one()).sign().await.unwrap();
    submitter.send(&signed).await.unwrap();
    wire.lose_answers_to("eth_getTransactionReceipt", Fault::Hang);
    let wait = submitter.wait(signed.hash, Duration::from_millis(100));
    let error = tokio::time::timeout(AMPLE_TIME, wait)
        .await
        .expect("it ends in time")
        .unwrap_err();
    assert!(matches!(error, SubmitError::Timeout { hash, .. } if hash == signed.hash));
}

// Wherever the node hangs, and what is known of the operation then.
#[tokio::test]
async fn executing_ends_in_time_although_the_node_does_not() {
    let (fixture, _) = Fixture::with_spender().await;
    let wire = Faulty::new(fixture.testkit.transport());
    let client = client_over(&fixture, wire.clone());
    let execute = async |step, timeout| {
        wire.lose_answers_to(step, Fault::Hang);
        let operation = client.execute(one()).timeout(timeout);
        let error = tokio::time::timeout(AMPLE_TIME, operation.execute())
            .await
            .expect("it ends in time")
            .unwrap_err();
        wire.repair();
        error
    };
    let short = Duration::from_millis(100);
    for step in ["eth_getBlockByNumber", "eth_estimateGas"] {
        let error = execute(step, short).await;
        assert!(
            matches!(error, OperationError::NotSentInTime { waited } if waited == short),
            "{step}: {error:?}"
        );
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);

    // Long enough to get that far.
    let long = Duration::from_secs(5);
    let error = execute("eth_sendRawTransaction", long).await;
    let OperationError::Submit(SubmitError::MaybeSent { hash, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(client.submitter().outcome(hash).await.unwrap().is_some());
    let error = execute("eth_getTransactionReceipt", long).await;
    let OperationError::Submit(SubmitError::Timeout { hash, waited }) = error else {
        panic!("{error:?}")
    };
    assert!(waited <= long);
    assert!(client.submitter().outcome(hash).await.unwrap().is_some());
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
}

// Does not compile otherwise.
#[test]
fn clients_and_their_futures_can_move_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn send<T: Send>(future: impl FnOnce(Operation<'static>) -> T) -> impl Sized {
        future
    }
    shared::<OwnerClient>();
    shared::<SessionKeyClient>();
    shared::<Arc<dyn Submitter>>();
    send(|operation| async move { operation.build().await });
    send(|operation| async move { operation.execute().await });
    send(|operation| async move { operation.on_progress(|_| ()).outcome().await });
}
