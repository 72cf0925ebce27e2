//! Nodes and bundlers that are behind, or disagree: what is asked for once happens once, and what is asked
//! for twice, twice.

use crate::{
    fixture::{Fixture, RECIPIENT, assert_not_allowed, key, one, operations_of},
    process::{Process, Way, journal, seconds},
    wire::{Asked, Balanced, Fault, error},
};
use session_key_client::{
    Call, NewSessionKey,
    alloy::{primitives::U256, transports::IntoBoxTransport},
    operation::{Happened, Open, Operation, OperationError, Outcome},
    permissions::{Permissions, SpendLimit},
};
use session_key_testkit::NodeOptions;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

fn lagging(lag: u64) -> NodeOptions {
    NodeOptions {
        lag,
        ..NodeOptions::default()
    }
}

/// As many operations are included as payments were told as made, and each was told once.
async fn assert_paid_as_told(
    fixture: &Fixture,
    results: &[Result<session_key_client::operation::Included, OperationError>],
) {
    let mut told: Vec<_> = results
        .iter()
        .flatten()
        .map(|included| included.receipt.user_op_hash)
        .collect();
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count, "an operation was told twice");
    assert_eq!(fixture.balance(RECIPIENT), U256::from(count));
    let operations = operations_of(fixture).await;
    assert!(told.iter().all(|hash| operations.contains(&(*hash, true))));
}

#[tokio::test(start_paused = true)]
async fn the_same_call_twice_is_paid_twice_though_the_node_is_behind() {
    for way in Way::BOTH {
        for lag in [1, 2, 5] {
            let (fixture, _) = Fixture::with_spender().await;
            let node = fixture.testkit.node(lagging(0));
            let process = Process::at(&fixture, way, &journal(), node.transport());
            node.change(|options| options.lag = lag);
            fixture.mine_blocks(lag);
            fixture.mine_every(seconds(2));
            let mut results = Vec::new();
            for _ in 0..3 {
                results.push(process.agent.execute(one()).await);
            }
            assert_paid_as_told(&fixture, &results).await;
            assert!(
                results.iter().all(Result::is_ok),
                "{way:?}, {lag} blocks: {results:?}"
            );
        }
    }
}

// What the journal knows of the lane goes before what a node that is behind says, whoever has found it out.
#[tokio::test(start_paused = true)]
async fn the_next_process_pays_the_same_call_again_though_its_node_is_behind() {
    for way in Way::BOTH {
        for lag in [1, 3] {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let first = Process::on(&fixture, way, &journal);
            fixture.mine_blocks(lag);
            fixture.mine_every(seconds(2));
            let node = fixture.testkit.node(lagging(lag));
            let mut results = vec![first.agent.execute(one()).await];
            for _ in 0..2 {
                let next = Process::at(&fixture, way, &journal, node.transport());
                results.push(next.agent.execute(one()).await);
                results.push(first.agent.execute(one()).await);
            }
            assert_paid_as_told(&fixture, &results).await;
            assert!(
                results.iter().all(Result::is_ok),
                "{way:?}, {lag} blocks: {results:?}"
            );
        }
    }
}

// The same with a node that stays where it is: the payment is made all the same, and known once the
// node has caught up.
#[tokio::test(start_paused = true)]
async fn a_nonce_that_the_journal_knows_used_is_not_signed_again_though_the_node_stays_behind() {
    for restarts in [false, true] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let node = fixture.testkit.node(lagging(0));
        let first = Process::at(&fixture, Way::Bundler, &journal, node.transport());
        let paid = first.agent.execute(one()).await.unwrap().receipt;
        let process = if restarts {
            Process::at(&fixture, Way::Bundler, &journal, node.transport())
        } else {
            first
        };
        node.change(|options| options.lag = 1);
        let pending = process.agent.execute(one()).timeout(seconds(60)).send().await;
        let pending = pending.unwrap();
        node.change(|options| options.lag = 2);
        let error = pending.await.unwrap_err();
        assert_eq!(error.happened(), Happened::Unknown, "{error:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
        node.change(|options| options.lag = 0);
        let record = process
            .agent
            .intent(error.intent.unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(record.outcome().happened(), Happened::Yes);
        assert_eq!(record.operations[0].nonce(), paid.nonce + U256::ONE);
    }
}

// A receipt from one node, and the state from another one that is behind.
#[tokio::test(start_paused = true)]
async fn nodes_behind_one_address_may_be_of_different_blocks() {
    let mut served = 0;
    for way in Way::BOTH {
        for seed in 0..8_usize {
            let (fixture, _) = Fixture::with_spender().await;
            let nodes = [0, 1, 3].map(|lag| {
                fixture
                    .testkit
                    .node(lagging(lag))
                    .transport()
                    .into_box_transport()
            });
            fixture.mine_blocks(3);
            let balanced = Balanced::new(nodes.to_vec(), move |_, before| {
                // Any order, and another one for each seed.
                (before + 1).wrapping_mul(2_654_435_761 + 2 * seed) >> 7
            });
            let process = Process::at(&fixture, way, &journal(), balanced);
            fixture.mine_every(seconds(2));
            let mut results = Vec::new();
            for _ in 0..3 {
                results.push(process.agent.execute(one()).timeout(seconds(300)).await);
            }
            assert_paid_as_told(&fixture, &results).await;
            // A block that was told by one node and is not known to the next one can be the end of it: before
            // it is signed.
            for error in results.iter().filter_map(|result| result.as_ref().err()) {
                assert_eq!(
                    (error.code(), error.happened()),
                    ("request_failed", Happened::No),
                    "{error:?}"
                );
            }
            served += results.iter().flatten().count();
        }
    }
    assert!(served > 40, "{served} of 48");
}

// The bundler knows what the node does not yet.
#[tokio::test(start_paused = true)]
async fn a_node_that_never_gets_there_leaves_it_open() {
    let (fixture, _) = Fixture::with_spender().await;
    let node = fixture.testkit.node(lagging(0));
    let process = Process::at(&fixture, Way::Bundler, &journal(), node.transport());
    // From here on it shows no new block.
    let behind = Arc::new(AtomicU64::new(0));
    let counted = behind.clone();
    process.out.rule(move |asked| {
        if asked.method == "eth_sendUserOperation" {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        None
    });
    let freeze = fixture.testkit.chain().block_number();
    let pending = process
        .agent
        .execute(one())
        .timeout(seconds(20))
        .send()
        .await
        .unwrap();
    let lag = fixture.testkit.chain().block_number() - freeze;
    node.change(|options| options.lag = lag);
    let error = pending.await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_included_in_time", Happened::Unknown)
    );
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    // Once the node has caught up, the same call again is told what the first came to.
    node.change(|options| options.lag = 0);
    let again = process.agent.execute(one()).await.unwrap_err();
    assert_eq!(
        (again.code(), again.happened()),
        ("already_happened", Happened::Yes)
    );
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    assert!(behind.load(Ordering::SeqCst) >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_whose_logs_are_not_indexed_yet_is_waited_for() {
    for way in Way::BOTH {
        for unindexed in [1, 3] {
            let (fixture, _) = Fixture::with_spender().await;
            let node = fixture.testkit.node(NodeOptions {
                unindexed_blocks: unindexed,
                ..NodeOptions::default()
            });
            let process = Process::at(&fixture, way, &journal(), node.transport());
            fixture.mine_every(seconds(2));
            let mut results = Vec::new();
            for _ in 0..2 {
                results.push(process.agent.execute(one()).await);
            }
            assert_paid_as_told(&fixture, &results).await;
            assert!(results.iter().all(Result::is_ok), "{way:?}: {results:?}");
        }
    }
}

// The bundler names the transaction; the node has its block, and not the receipt.
#[tokio::test(start_paused = true)]
async fn a_receipt_that_the_node_does_not_have_yet_is_waited_for() {
    for way in Way::BOTH {
        for answer in [
            Fault::Answer(Ok(serde_json::Value::Null)),
            Fault::refuse(-32000, "transaction indexing is in progress"),
            Fault::Lose,
        ] {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, way);
            let until = tokio::time::Instant::now() + seconds(20);
            process.node.rule(move |asked| {
                let lacks = matches!(asked.method.as_str(), "eth_getTransactionReceipt" | "eth_getLogs");
                (lacks && tokio::time::Instant::now() < until).then(|| match asked.method.as_str() {
                    "eth_getLogs" => Fault::Answer(Ok(serde_json::json!([]))),
                    _ => answer.clone(),
                })
            });
            let results = [process.agent.execute(one()).await];
            assert!(tokio::time::Instant::now() >= until);
            assert_paid_as_told(&fixture, &results).await;
            assert!(results[0].is_ok(), "{way:?}: {results:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn logs_that_are_never_indexed_are_not_taken_for_a_failure() {
    let (fixture, _) = Fixture::with_spender().await;
    let node = fixture.testkit.node(NodeOptions {
        unindexed_blocks: 1_000,
        ..NodeOptions::default()
    });
    let process = Process::at(&fixture, Way::EntryPoint, &journal(), node.transport());
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(30))
        .await
        .unwrap_err();
    // Its nonce is used, and by what, nobody says.
    assert!(
        matches!(error.happened(), Happened::Unknown | Happened::NotYet),
        "{error:?}"
    );
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    node.change(|options| options.unindexed_blocks = 0);
    let record = process
        .agent
        .intent(error.intent.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.outcome().happened(), Happened::Yes);
}

// What this process has just granted, changed and taken away is what it goes by, though its node
// shows it late.
#[tokio::test(start_paused = true)]
async fn what_was_just_granted_is_used_though_the_node_is_behind() {
    for way in Way::BOTH {
        for lag in [1, 4] {
            let (fixture, _) = Fixture::with_spender().await;
            let node = fixture.testkit.node(lagging(0));
            let process = Process::at(&fixture, way, &journal(), node.transport());
            node.change(|options| options.lag = lag);
            fixture.mine_blocks(lag);
            fixture.mine_every(seconds(2));
            let case = format!("{way:?}, {lag} blocks");
            for round in 0..2 {
                let permissions = Permissions::new()
                    .contract(RECIPIENT)
                    .native_token_spend_limit(SpendLimit::total(U256::from(2)));
                let new = NewSessionKey::new(key(2).address(), &permissions).unwrap();
                process.owner.add_session_key(new).await.unwrap();
                let agent = process.agent_of(2);
                agent.execute(one()).await.unwrap();
                // The second payment leaves nothing for a third.
                agent.execute(one()).await.unwrap();
                let error = agent.execute(one()).await.unwrap_err();
                assert_not_allowed(error, &["native_limit_exceeded"]);
                process
                    .owner
                    .rotate_session_key(key(2).address(), key(3).address())
                    .await
                    .unwrap();
                process.owner.remove_session_key(key(3).address()).await.unwrap();
                let error = agent.execute(one()).await.unwrap_err();
                assert_not_allowed(error, &["key_not_registered"]);
                assert_eq!(fixture.balance(RECIPIENT), U256::from(2 + 2 * round), "{case}");
            }
        }
    }
}

// Behind one address are nodes of different blocks: one has shown the grant, the other does not know the key.
#[tokio::test(start_paused = true)]
async fn what_one_node_has_shown_is_not_forgotten_with_the_next_one() {
    for way in Way::BOTH {
        for seed in 0..6_usize {
            let (fixture, _) = Fixture::with_spender().await;
            let nodes = [0, 3].map(|lag| {
                fixture
                    .testkit
                    .node(lagging(lag))
                    .transport()
                    .into_box_transport()
            });
            fixture.mine_blocks(3);
            let balanced = Balanced::new(nodes.to_vec(), move |_, before| {
                (before + 1).wrapping_mul(2_654_435_761 + 2 * seed) >> 7
            });
            let process = Process::at(&fixture, way, &journal(), balanced);
            fixture.mine_every(seconds(2));
            // A block that the next node does not know ends it before it is signed.
            let insist = async |operation: &dyn Fn() -> Operation| {
                for _ in 0..20 {
                    match operation().timeout(seconds(300)).await {
                        Ok(included) => return included,
                        Err(error) => assert_eq!(
                            (error.code(), error.happened()),
                            ("request_failed", Happened::No),
                            "{way:?}, {seed}: {error:?}"
                        ),
                    }
                }
                panic!("{way:?}, {seed}: it never gets there")
            };
            let permissions = Permissions::new()
                .contract(RECIPIENT)
                .native_token_spend_limit(SpendLimit::UNLIMITED);
            let new = NewSessionKey::new(key(2).address(), &permissions).unwrap();
            insist(&|| process.owner.add_session_key(new.clone())).await;
            insist(&|| process.agent_of(2).execute(one())).await;
            insist(&|| process.owner.remove_session_key(key(2).address())).await;
            assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{way:?}, {seed}");
        }
    }
}

// A bundler that is behind says of the next operation that its nonce is none.
#[tokio::test(start_paused = true)]
async fn a_nonce_that_is_ahead_of_the_bundler_is_asked_for_again() {
    for method in ["eth_estimateUserOperationGas", "eth_sendUserOperation"] {
        for message in [
            "AA25 invalid account nonce",
            "FailedOp(0, \"AA25 invalid account nonce\")",
            "UserOperation reverted during simulation with reason: AA25 invalid account nonce",
        ] {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, Way::Bundler);
            process.agent.execute(one()).await.unwrap();
            let behind_until = tokio::time::Instant::now() + seconds(15);
            process.out.rule(move |asked| {
                let is_behind = asked.method == method && tokio::time::Instant::now() < behind_until;
                is_behind.then(|| Fault::refuse(-32500, message))
            });
            let included = process.agent.execute(one()).await.unwrap();
            assert!(tokio::time::Instant::now() >= behind_until);
            assert!(
                operations_of(&fixture)
                    .await
                    .contains(&(included.receipt.user_op_hash, true))
            );
            assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bundler_that_stays_behind_is_told_of() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.fault(
        "eth_estimateUserOperationGas",
        Fault::refuse(-32500, "AA25 invalid account nonce"),
    );
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(30))
        .await
        .unwrap_err();
    // It was not even signed.
    assert_eq!((error.code(), error.happened()), ("refused", Happened::No));
    assert_eq!(error.user_op_hash, None);
    process.out.repair();
    process.out.fault(
        "eth_sendUserOperation",
        Fault::refuse(-32500, "AA25 invalid account nonce"),
    );
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(30))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("not_taken", Happened::NotYet));
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

// Transactions of a sender follow each other, whatever the node counts.
#[tokio::test(start_paused = true)]
async fn a_count_of_transactions_that_is_behind_makes_none_replace_another() {
    for fees_rise in [false, true] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::EntryPoint);
        fixture.pool();
        // The pool is shown late: the count of what waits is that of what is included.
        process.out.rule(|asked| {
            (asked.method == "eth_getTransactionCount").then(|| {
                let mut params = asked.params.clone();
                params[1] = "latest".into();
                Fault::Ask(params)
            })
        });
        let agent = process
            .agent
            .execute([Call::transfer(RECIPIENT, U256::ONE)])
            .send()
            .await
            .unwrap();
        if fees_rise {
            process.out.rule(|asked| {
                (asked.method == "eth_feeHistory").then(|| {
                    Fault::change(|history| {
                        for fee in history["baseFeePerGas"].as_array_mut().unwrap() {
                            *fee = "0x1dcd65000".into();
                        }
                    })
                })
            });
        }
        let owner = process.owner.execute(one()[0].clone()).send().await.unwrap();
        assert_eq!(fixture.waiting(), 2, "the second replaced the first");
        fixture.mine();
        agent.await.unwrap();
        owner.await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
    }
}

/// How many blocks a request for logs asks for.
fn blocks(asked: &Asked) -> u64 {
    let number = |name: &str| {
        let number = asked.params[0][name].as_str().unwrap();
        u64::from_str_radix(&number[2..], 16).unwrap()
    };
    number("toBlock") - number("fromBlock") + 1
}

// A node that allows ten blocks for a request, and an operation that was made long ago.
#[tokio::test(start_paused = true)]
async fn blocks_that_stay_are_read_once() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.node.rule(|asked| {
        let is_too_much = asked.method == "eth_getLogs" && blocks(asked) > 10;
        is_too_much.then(|| Fault::Answer(Err(error(-32600, "limited to a 10 blocks range"))))
    });
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
    let stuck = process.agent.execute(one()).timeout(seconds(5));
    let id = stuck.await.unwrap_err().intent.unwrap();
    fixture.mine_blocks(400);
    // Somebody who knows nothing of it uses the nonce.
    let other = Process::new(&fixture, Way::Bundler);
    let used = other
        .agent
        .execute([Call::transfer(RECIPIENT, U256::from(2))])
        .await
        .unwrap();
    let mut requests = Vec::new();
    for _ in 0..3 {
        let before = process.node.calls("eth_getLogs");
        let record = process.agent.intent(id).await.unwrap().unwrap();
        requests.push(process.node.calls("eth_getLogs") - before);
        let by = Some(used.receipt.user_op_hash);
        assert_eq!(record.outcome(), Outcome::Open(Open::NonceUsed { by }));
        assert_eq!(record.outcome().happened(), Happened::NotYet);
        fixture.mine_blocks(3);
    }
    assert!(requests[0] >= 40, "{requests:?}");
    assert!(requests[1] <= 9 && requests[2] <= 9, "{requests:?}");

    // It is void once the other lies deep, and has never been anything else.
    fixture.mine_blocks(70);
    let record = process.agent.intent(id).await.unwrap().unwrap();
    assert!(matches!(record.outcome(), Outcome::Void(_)), "{record:?}");
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
}

// Reading so many pages takes longer than a caller waits: the next caller goes on where this one was cut off.
#[tokio::test(start_paused = true)]
async fn a_look_that_is_cut_off_is_not_lost() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
    let stuck = process.agent.execute(one()).timeout(seconds(5));
    stuck.await.unwrap_err();
    process.out.repair();
    fixture.mine_blocks(1_000);
    let other = Process::new(&fixture, Way::Bundler);
    other
        .agent
        .execute([Call::transfer(RECIPIENT, U256::from(2))])
        .await
        .unwrap();
    process.node.rule(|asked| {
        if asked.method != "eth_getLogs" {
            None
        } else if blocks(asked) > 10 {
            Some(Fault::Answer(Err(error(-32600, "limited to a 10 blocks range"))))
        } else {
            Some(Fault::Late(seconds(1)))
        }
    });
    let pay = || {
        process
            .agent
            .execute([Call::transfer(RECIPIENT, U256::from(4))])
            .timeout(seconds(50))
    };
    // 107 pages, or more.
    let mut tries = 0;
    while let Err(error) = pay().await {
        assert_eq!(error.happened(), Happened::No, "{error:?}");
        tries += 1;
        assert!(tries < 4, "{error:?}");
    }
    assert_eq!(tries, 2);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(6));
}
