//! Many at once, the same twice, and what is interrupted: everything happens once.

use crate::{
    fixture::{ETHER, Fixture, RECIPIENT, key, one},
    process::{Process, Way, seconds},
    wire::{Fault, Wire, client_over},
};
use session_key_client::{
    OperationError, OwnerClient, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Happened, NotTaken, NotTakenReason, Operation, Pending},
    permissions::{AaCode, Permissions, SpendLimit},
    submit::{Sent, Submitter},
};
use std::{pin::Pin, sync::Arc, time::Duration};

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
        .map(|client| tokio::spawn(async move { client.execute(one()).await }))
        .collect();
    let mut hashes = std::collections::BTreeSet::new();
    for task in tasks {
        let included = task.await.unwrap().unwrap();
        assert!(hashes.insert(included.receipt.user_op_hash));
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
    let mut taken = 0;
    for task in tasks {
        match task.await.unwrap() {
            Sent::Taken => taken += 1,
            // It is included.
            Sent::NotTaken(NotTaken {
                reason: NotTakenReason::Refused(refusal),
                ..
            }) => assert_eq!(refusal.code, Some(AaCode::InvalidNonce)),
            sent => panic!("{sent:?}"),
        }
    }
    assert_eq!(taken, 1);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_in_time_although_the_node_does_not() {
    let (fixture, _) = Fixture::with_spender().await;
    let wire = Wire::new(fixture.testkit.transport());
    let client = client_over(&fixture, wire.clone());
    wire.fault("eth_getTransactionReceipt", Fault::Hang);
    let waiting = client.execute(one()).timeout(Duration::from_secs(5));
    let error = tokio::time::timeout(AMPLE_TIME, waiting.into_future())
        .await
        .expect("it ends in time")
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_included_in_time", Happened::Unknown)
    );
    assert!(error.user_op_hash.is_some() && error.intent.is_some());
    wire.repair();
    let record = client.intent(error.intent.unwrap()).await.unwrap().unwrap();
    assert_eq!(record.outcome().happened(), Happened::Yes);
}

// Wherever the node hangs, and what is known of the operation then.
#[tokio::test(start_paused = true)]
async fn executing_ends_in_time_although_the_node_does_not() {
    let (fixture, _) = Fixture::with_spender().await;
    let wire = Wire::new(fixture.testkit.transport());
    let client = client_over(&fixture, wire.clone());
    let limit = Duration::from_secs(5);
    let execute = async |step| {
        wire.fault(step, Fault::Hang);
        let operation = client.execute(one()).timeout(limit);
        let begin = tokio::time::Instant::now();
        let error = tokio::time::timeout(AMPLE_TIME, operation.into_future())
            .await
            .expect("it ends in time")
            .unwrap_err();
        // What was found is written down.
        assert!(begin.elapsed() <= limit + Duration::from_secs(4), "{step}");
        wire.repair();
        error
    };
    for step in [
        "eth_getBlockByNumber",
        "eth_estimateGas",
        "eth_getCode",
        "eth_chainId",
        "eth_feeHistory",
    ] {
        let error = execute(step).await;
        assert_eq!(
            (error.code(), error.happened()),
            ("not_sent_in_time", Happened::No),
            "{step}: {error:?}"
        );
        assert_eq!((error.user_op_hash, error.intent), (None, None));
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);

    // From here on it may have been sent. What follows settles what came before.
    for (step, done) in [("eth_sendRawTransaction", 1), ("eth_getTransactionReceipt", 2)] {
        let error = execute(step).await;
        assert_eq!(
            (error.code(), error.happened()),
            ("not_included_in_time", Happened::Unknown),
            "{step}: {error:?}"
        );
        let record = client.intent(error.intent.unwrap()).await.unwrap().unwrap();
        assert_eq!(record.outcome().happened(), Happened::Yes, "{step}");
        client.forget(record.id).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(done), "{step}");
    }
}

// No time at all, and more than there is.
#[tokio::test(start_paused = true)]
async fn any_time_limit_will_do() {
    let (fixture, _) = Fixture::with_spender().await;
    for way in Way::BOTH {
        let process = Process::new(&fixture, way);
        let before = fixture.balance(RECIPIENT);
        let operation = |limit| process.agent.execute(one()).timeout(limit);
        // Answers take a while.
        process.node.rule(|_| Some(Fault::Late(Duration::from_millis(5))));
        for limit in [Duration::ZERO, Duration::from_nanos(1)] {
            let error = operation(limit).await.unwrap_err();
            assert_eq!(error.happened(), Happened::No, "{error:?}");
            assert!(
                matches!(error.code(), "lane_busy" | "not_sent_in_time"),
                "{error:?}"
            );
            assert!(operation(limit).send().await.is_err());
        }
        assert_eq!(fixture.balance(RECIPIENT), before);
        process.node.repair();
        operation(Duration::MAX).await.unwrap();
        assert!(operation(Duration::MAX).check().await.unwrap().passes());
        operation(Duration::MAX).build().await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), before + U256::ONE);
    }
}

/// How something that was asked ends: with an error, or not.
type Question<'a> = Pin<Box<dyn Future<Output = Option<OperationError>> + 'a>>;

// Whatever is asked, and whoever does not answer: the node, or the bundler.
#[tokio::test(start_paused = true)]
async fn every_question_ends_in_time_although_nobody_answers() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.fault("eth_sendUserOperation", Fault::Lose);
    let open = process.agent.execute(one()).id("rent").timeout(seconds(5)).await;
    let open = open.unwrap_err().intent.unwrap();
    let limit = seconds(20);
    let (agent, owner) = (&process.agent, &process.owner);
    for wire in [&process.node, &process.out] {
        process.node.repair();
        process.out.repair();
        wire.rule(|_| Some(Fault::Swallow));
        let is_node = std::ptr::eq(wire, &process.node);
        let operation = || agent.execute(one()).timeout(limit);
        let questions: [(_, Question<'_>); 12] = [
            ("execute", Box::pin(async { operation().await.err() })),
            ("send", Box::pin(async { operation().send().await.err() })),
            ("check", Box::pin(async { operation().check().await.err() })),
            ("build", Box::pin(async { operation().build().await.err() })),
            ("sign", Box::pin(async { operation().sign().await.err() })),
            (
                "call_data",
                Box::pin(async {
                    let remove = owner.remove_session_key(key(1).address());
                    remove.timeout(limit).call_data().await.err()
                }),
            ),
            ("resume", Box::pin(async { agent.resume().await.err() })),
            ("intent", Box::pin(async { agent.intent(open).await.err() })),
            ("named", Box::pin(async { agent.named("rent").await.err() })),
            ("forget", Box::pin(async { agent.forget(open).await.err() })),
            (
                "unblock",
                Box::pin(async { owner.unblock(key(1).address(), None).await.err() }),
            ),
            (
                "send_again",
                Box::pin(async {
                    match agent.send_again(open).await {
                        Ok(again) => again.timeout(limit).await.err(),
                        Err(error) => Some(error),
                    }
                }),
            ),
        ];
        for (name, question) in questions {
            let begin = tokio::time::Instant::now();
            let ended = tokio::time::timeout(seconds(3_600), question).await;
            let error = ended.unwrap_or_else(|_| panic!("{name} does not end"));
            let longest = match name {
                "resume" => seconds(750),
                "intent" | "named" | "forget" | "unblock" => seconds(100),
                _ => limit + seconds(10),
            };
            assert!(begin.elapsed() <= longest, "{name}: {:?}", begin.elapsed());
            let error = match error {
                Some(error) => error,
                // The chain decides, and the node answers.
                None if !is_node => continue,
                None => panic!("{name}: somebody answered"),
            };
            if name == "check" || name == "build" || name == "sign" || name == "call_data" {
                assert_eq!(error.happened(), Happened::No, "{name}: {error:?}");
            }
        }
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

// Does not compile otherwise.
#[test]
fn clients_and_their_futures_can_move_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn send<T: Send>(future: impl FnOnce(Operation) -> T) -> impl Sized {
        future
    }
    shared::<OwnerClient>();
    shared::<SessionKeyClient>();
    shared::<Operation>();
    shared::<OperationError>();
    shared::<Arc<dyn Submitter>>();
    fn sent<T: Send + 'static>() {}
    sent::<Pending>();
    send(|operation| async move { operation.build().await });
    send(|operation| async move { operation.check().await });
    send(|operation| async move { operation.await });
    send(|operation| async move { operation.on_progress(|_| ()).send().await });
}
