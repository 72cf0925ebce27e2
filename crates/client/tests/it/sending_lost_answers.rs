//! Answers that are lost, or that say less than what happened: nothing is taken for not sent that may have
//! been, and nothing happens twice.

use crate::{
    fixture::{FINALIZED_DISTANCE, Fixture, RECIPIENT, hand_over, is_undecided, key, one, operations_of},
    process::{Process, Way, journal, seconds},
    wire::{Fault, Wire},
};
use serde_json::{Value, json};
use session_key_client::{
    NewSessionKey, OperationError,
    alloy::{
        primitives::{Address, B256, U256, keccak256},
        providers::Provider as _,
        rpc::types::TransactionRequest,
        sol_types::SolValue as _,
    },
    journal::{Handover, IntentRecord, Journal, SqliteJournal},
    operation::{Advice, Cause, Happened, Included, Open, Outcome},
    permissions::{Permissions, SpendLimit},
};
use session_key_testkit::{LogLimits, NodeOptions, dev_accounts};
use std::sync::Arc;

const fn hash_of(included: &Included) -> B256 {
    included.receipt.user_op_hash
}

/// The error of somebody who does not know whether it happened.
fn assert_open(error: &OperationError) {
    assert!(
        matches!(error.happened(), Happened::Unknown | Happened::NotYet),
        "{error:?}"
    );
    assert_eq!(error.advice(), Advice::Settle);
    assert!(
        error.user_op_hash.is_some() && error.intent.is_some(),
        "{error:?}"
    );
}

async fn record(process: &Process, error: &OperationError) -> IntentRecord {
    process
        .agent
        .intent(error.intent.unwrap())
        .await
        .unwrap()
        .unwrap()
}

fn permissions() -> Permissions {
    Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
}

// Sent again, an operation that has created its account is refused: the account exists (AA10).
#[tokio::test(start_paused = true)]
async fn a_first_operation_whose_answer_is_lost_is_included_once() {
    for way in Way::BOTH {
        for losses in [1, 3] {
            let fixture = Fixture::new().await;
            let journal = journal();
            let mut process = Process::on(&fixture, way, &journal);
            // A handle that knows how the account is created.
            process = process.creating(&fixture).await;
            let mut left = losses;
            let method = way.hands_over();
            process.out.rule(move |asked| {
                if asked.method == method && left > 0 {
                    left -= 1;
                    return Some(Fault::Break);
                }
                None
            });
            // The node does not see it for a while, so that it is sent again.
            let blind_until = tokio::time::Instant::now() + seconds(12);
            let before = fixture.testkit.chain().block_number();
            process.node.rule(move |asked| {
                let shows = asked.method == "eth_getBlockByNumber" && asked.params[0] == "latest";
                (shows && tokio::time::Instant::now() < blind_until)
                    .then(|| Fault::Ask(json!([format!("{before:#x}"), false])))
            });
            let new = NewSessionKey::new(key(1).address(), &permissions()).unwrap();
            let included = process.owner.install_session_key_plugin([new]).await.unwrap();
            // It was sent again, or at least tried.
            let tries = match way {
                Way::Bundler => process.out.calls(method),
                Way::EntryPoint => process.out.calls("eth_call"),
            };
            assert!(tries > losses, "{way:?}");
            assert_eq!(operations_of(&fixture).await, [(hash_of(&included), true)]);

            // And once more by hand, by this process and by the next one.
            for process in [process, Process::on(&fixture, way, &journal)] {
                let record = process.owner.resume().await.unwrap().remove(0);
                let again = process.owner.send_again(record.id).await.unwrap();
                assert_eq!(again.await.unwrap().receipt, included.receipt);
            }
            assert_eq!(operations_of(&fixture).await.len(), 1);
        }
    }
}

// What nodes say after they have passed a transaction on.
#[tokio::test(start_paused = true)]
async fn an_error_after_the_transaction_was_passed_on_leaves_it_open() {
    for (code, message) in [
        (-32000, "context deadline exceeded"),
        (-32000, "internal error"),
        (-32603, "Internal JSON-RPC error."),
        (-32005, "rate limit exceeded"),
        (-32000, "nonce is too low"),
        (-32000, "nonce too low: next nonce 5, tx nonce 4"),
        (-32000, "transaction already in mempool"),
        (-32000, "already known"),
        (-32010, "AlreadyKnown"),
        (-32000, "replacement transaction underpriced"),
        (-32000, "could not replace existing tx"),
        (-32000, "insufficient funds for gas * price + value"),
        (-32602, "invalid params"),
        (3, "execution reverted"),
        (-32000, "header not found"),
        (-32000, "txpool is full"),
        (-32000, "max fee per gas less than block base fee"),
        (-32000, "request timed out"),
        (0, ""),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::EntryPoint);
        fixture.pool();
        process
            .out
            .fault("eth_sendRawTransaction", Fault::pass_on(code, message));
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(10))
            .await
            .unwrap_err();
        assert_open(&error);
        assert_eq!(
            fixture.waiting(),
            1,
            "{message}: it went out in several transactions"
        );

        // The same call is asked for again, while the first still waits, and then once more.
        let again = process
            .agent
            .execute(one())
            .timeout(seconds(10))
            .await
            .unwrap_err();
        assert_open(&again);
        fixture.mine();
        process.out.repair();
        let first = record(&process, &error).await.outcome().happened();
        let second = match again.intent {
            Some(_) => record(&process, &again).await.outcome().happened(),
            None => Happened::No,
        };
        assert_eq!(first, Happened::Yes, "{code} {message}");
        assert!(is_undecided(second), "{code} {message} {second:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
        let told = process.agent.execute(one()).await.unwrap_err();
        assert_eq!(
            (told.code(), told.happened()),
            ("already_happened", Happened::Yes),
            "{message}"
        );
        fixture.mine();
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{code} {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn http_errors_after_it_was_passed_on_leave_it_open() {
    for way in Way::BOTH {
        for (status, body) in [
            (503, "Service Unavailable"),
            (502, "<html>Bad Gateway</html>"),
            (504, ""),
            (
                500,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}"#,
            ),
            (429, "Too Many Requests"),
            (403, "Forbidden"),
            (200, "<html>"),
        ] {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, way);
            fixture.pool();
            let method = way.hands_over();
            // The first request arrives; nothing is heard of it.
            process.out.rule(move |asked| {
                (asked.method == method).then(|| Fault::PassOnStatus(status, body.to_owned()))
            });
            let error = process
                .agent
                .execute(one())
                .timeout(seconds(10))
                .await
                .unwrap_err();
            assert_open(&error);
            fixture.mine();
            let outcome = record(&process, &error).await.outcome();
            assert_eq!(outcome.happened(), Happened::Yes, "{way:?} {status}");
            assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_hash_a_bundler_answers_the_one_computed_here_counts() {
    let other = B256::repeat_byte(9);
    for answer in [
        json!(other),
        json!({ "userOpHash": other }),
        json!([other]),
        json!(""),
        json!("0x"),
        json!("ok"),
        json!(true),
        Value::Null,
        json!({}),
        json!(7),
        json!(B256::ZERO),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        let said = answer.clone();
        process.out.fault(
            "eth_sendUserOperation",
            Fault::change(move |result| *result = said.clone()),
        );
        let included = process.agent.execute(one()).await.unwrap();
        assert_eq!(
            operations_of(&fixture).await.last(),
            Some(&(hash_of(&included), true))
        );
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{answer}");

        // Where it was not included, nobody is told that it was not sent.
        let process = Process::new(&fixture, Way::Bundler);
        process
            .out
            .fault("eth_sendUserOperation", Fault::Answer(Ok(answer.clone())));
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(5))
            .await
            .unwrap_err();
        assert_open(&error);
        assert!(error.user_op_hash != Some(other), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_included_long_ago_is_found_by_the_next_process() {
    for (way, logs) in [
        (Way::Bundler, None),
        (Way::EntryPoint, None),
        (Way::EntryPoint, Some(10)),
        (Way::EntryPoint, Some(1_000)),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, way, &journal);
        // It is included, and the process hears nothing of it before it ends.
        process.out.rule({
            let node = process.node.clone();
            let method = way.hands_over();
            move |asked| {
                (asked.method == method).then(|| {
                    node.fault("eth_getBlockByNumber", Fault::Lose);
                    Fault::Break
                })
            }
        });
        let pay = |process: &Process| process.agent.execute(one()).id("once").timeout(seconds(60));
        let error = pay(&process).timeout(seconds(5)).await.unwrap_err();
        assert_open(&error);
        drop(process);
        fixture.mine_blocks(3_000);

        let node = fixture.testkit.node(session_key_testkit::NodeOptions {
            logs: session_key_testkit::LogLimits {
                blocks: logs,
                ..Default::default()
            },
            ..Default::default()
        });
        let later = |fixture: &Fixture| {
            let process = Process::at(fixture, way, &journal, node.transport());
            // No bundler remembers it.
            for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
                process.out.fault(method, Fault::Answer(Ok(Value::Null)));
            }
            process
        };
        let process = later(&fixture);
        let records = process.agent.resume().await.unwrap();
        let found = records
            .iter()
            .find(|record| Some(record.id) == error.intent)
            .unwrap();
        let Outcome::Included(included) = found.outcome() else {
            panic!("{way:?} {logs:?}: {found:?}")
        };
        assert_eq!(Some(hash_of(&included)), error.user_op_hash);
        assert!(included.is_final && included.confirmations() >= 2_999);
        for process in [process, later(&fixture)] {
            let again = pay(&process).await.unwrap();
            assert_eq!(again.receipt, included.receipt);
            let again = process.agent.send_again(found.id).await.unwrap();
            assert_eq!(again.await.unwrap().receipt, included.receipt);
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{way:?} {logs:?}");
    }
}

// Receipts that bundlers and caches give for another operation, another sender, another transaction.
#[tokio::test(start_paused = true)]
async fn a_foreign_receipt_is_no_outcome_of_this_operation() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let foreign = process.owner.execute(one()[0].clone()).await.unwrap().receipt;
    let paid = fixture.balance(RECIPIENT);
    let receipts = |named: Value| {
        json!({
            "userOpHash": named,
            "sender": fixture.account.address(),
            "success": true,
            "receipt": { "transactionHash": foreign.transaction_hash, "status": "0x1" },
        })
    };
    for receipt in [
        receipts(json!(foreign.user_op_hash)),
        // Even if it says that it is this one's.
        receipts(Value::Null),
        json!({ "success": true, "transactionHash": foreign.transaction_hash }),
        json!({ "success": true, "receipt": { "transactionHash": B256::repeat_byte(3) } }),
    ] {
        // It is taken, and nothing becomes of it.
        process.out.repair();
        let said = receipt.clone();
        for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
            process.out.fault(method, Fault::Answer(Ok(said.clone())));
        }
        process
            .out
            .fault("eth_sendUserOperation", Fault::Answer(Ok(json!("ok"))));
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(5))
            .await
            .unwrap_err();
        assert_open(&error);
        let record = record(&process, &error).await;
        assert_eq!(record.outcome(), Outcome::Open(Open::InPool), "{receipt}");
        assert_eq!(fixture.balance(RECIPIENT), paid);

        // It is included, and the receipt is still the foreign one: the chain says which it is.
        let signed = record.operations.last().unwrap().signed.clone();
        process.out.repair();
        hand_over(&*fixture.submitter, &signed).await;
        for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
            process.out.fault(method, Fault::Answer(Ok(said.clone())));
        }
        let record = self::record(&process, &error).await;
        let Outcome::Included(included) = record.outcome() else {
            panic!("{receipt}: {record:?}")
        };
        assert_eq!(hash_of(&included), signed.hash);
        assert_ne!(included.receipt.transaction_hash, foreign.transaction_hash);
        process.agent.forget(record.id).await.unwrap();
        fixture.testkit.chain().set_balance(RECIPIENT, paid);
    }
}

// Nor is that of the operation which used its nonce.
#[tokio::test(start_paused = true)]
async fn the_receipt_of_another_operation_with_the_nonce_is_no_outcome_of_this_one() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok(json!("taken"))));
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(5))
        .await
        .unwrap_err();
    let stranger = Process::new(&fixture, Way::EntryPoint);
    let other = stranger.agent.execute(one()).await.unwrap().receipt;
    assert_eq!(other.nonce, record(&process, &error).await.operations[0].nonce());
    for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
        let answer = json!({ "success": true, "transactionHash": other.transaction_hash });
        process.out.fault(method, Fault::Answer(Ok(answer)));
    }
    let open = record(&process, &error).await.outcome();
    let by = Some(other.user_op_hash);
    assert_eq!(open, Outcome::Open(Open::NonceUsed { by }));
    fixture.mine_blocks(FINALIZED_DISTANCE);
    let Outcome::Void(void) = record(&process, &error).await.outcome() else {
        panic!("it is not void");
    };
    assert_eq!(void.used_by, by);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

/// Emits what it is called with: four topics, and then the data.
const ECHO: [u8; 26] = [
    0x60, 0x80, 0x36, 0x03, 0x60, 0x80, 0x5f, 0x37, 0x60, 0x60, 0x35, 0x60, 0x40, 0x35, 0x60, 0x20, 0x35,
    0x5f, 0x35, 0x60, 0x80, 0x36, 0x03, 0x5f, 0xa4, 0x00,
];

// Any contract can emit an event that looks like the EntryPoint's.
#[tokio::test(start_paused = true)]
async fn an_event_that_another_contract_emits_is_no_outcome() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok(json!("taken"))));
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(5))
        .await
        .unwrap_err();
    let signed = record(&process, &error).await.operations.remove(0).signed;

    let forger = Address::repeat_byte(0xf0);
    fixture.testkit.chain().set_code(forger, ECHO).unwrap();
    let topics = [
        keccak256("UserOperationEvent(bytes32,address,address,uint256,bool,uint256,uint256)"),
        signed.hash,
        fixture.account.address().into_word(),
        B256::ZERO,
    ];
    let data = (signed.operation.nonce, true, U256::ONE, U256::ONE).abi_encode();
    let input: Vec<u8> = topics.iter().flat_map(|topic| topic.0).chain(data).collect();
    let request = TransactionRequest::default().to(forger).input(input.into());
    let wallet = fixture.testkit.provider_with_signer(dev_accounts()[8].signer());
    let sent = wallet.send_transaction(request).await.unwrap();
    let receipt = sent.get_receipt().await.unwrap();
    assert_eq!((receipt.status(), receipt.logs().len()), (true, 1));

    for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
        let answer = json!({
            "userOpHash": signed.hash,
            "success": true,
            "transactionHash": receipt.transaction_hash,
            "receipt": { "transactionHash": receipt.transaction_hash, "status": "0x1" },
        });
        process.out.fault(method, Fault::Answer(Ok(answer)));
    }
    let forged = record(&process, &error).await;
    assert_eq!(forged.outcome(), Outcome::Open(Open::InPool));
    // Nor do they make it void when its nonce is used by another one.
    let stranger = Process::new(&fixture, Way::EntryPoint);
    stranger.agent.execute(one()).await.unwrap();
    let forged = record(&process, &error).await;
    assert!(is_undecided(forged.outcome().happened()), "{forged:?}");
    fixture.mine_blocks(FINALIZED_DISTANCE + 1);
    let void = record(&process, &error).await;
    assert_eq!(void.outcome().happened(), Happened::No);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// A cache in front of the node that answers with another transaction's receipt, or with one of another block.
#[tokio::test(start_paused = true)]
async fn a_foreign_receipt_of_a_node_is_none() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        let before = process.owner.execute(one()[0].clone()).await.unwrap().receipt;
        let foreign: Value = fixture
            .testkit
            .client()
            .request("eth_getTransactionReceipt", [before.transaction_hash])
            .await
            .unwrap();
        process
            .node
            .fault("eth_getTransactionReceipt", Fault::Answer(Ok(foreign)));
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(20))
            .await
            .unwrap_err();
        assert_open(&error);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2), "{way:?}");
        process.node.repair();
        let record = record(&process, &error).await;
        let Outcome::Included(included) = record.outcome() else {
            panic!("{way:?}: {record:?}")
        };
        assert_eq!(Some(hash_of(&included)), error.user_op_hash);
        assert_ne!(included.receipt.transaction_hash, before.transaction_hash);
    }
}

// As a process finds it that is started again, with its journal on disk. The clock is the machine's.
#[tokio::test]
async fn what_was_included_long_ago_is_found_in_a_file() {
    let (fixture, _) = Fixture::with_spender().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let node = fixture.testkit.node(NodeOptions {
        logs: LogLimits {
            blocks: Some(100),
            ..LogLimits::default()
        },
        ..NodeOptions::default()
    });
    let process = async || {
        let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open(&path).await.unwrap());
        Process::at(&fixture, Way::EntryPoint, &journal, node.transport())
    };
    let first = process().await;
    first.out.rule({
        let node = first.node.clone();
        move |asked| {
            (asked.method == "eth_sendRawTransaction").then(|| {
                node.fault("eth_getBlockByNumber", Fault::Lose);
                Fault::Break
            })
        }
    });
    let pay = |process: &Process| process.agent.execute(one()).id("once").timeout(seconds(60));
    let error = pay(&first).timeout(seconds(2)).await.unwrap_err();
    assert_open(&error);
    drop(first);
    fixture.mine_blocks(3_000);
    for _ in 0..2 {
        let process = process().await;
        let included = pay(&process).await.unwrap();
        assert_eq!(Some(hash_of(&included)), error.user_op_hash);
        assert!(included.is_final && included.confirmations() >= 2_999);
        assert_eq!(process.out.calls("eth_sendRawTransaction"), 0);
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// Forms that receipts of bundlers have in the field. What is not needed cannot break it.
#[tokio::test(start_paused = true)]
async fn a_receipt_is_read_for_its_transaction_only() {
    type Change = fn(&mut Value);
    let changes: [Change; 10] = [
        |receipt| receipt["success"] = json!("true"),
        |receipt| receipt["success"] = json!(0),
        |receipt| receipt["success"] = Value::Null,
        |receipt| receipt["success"] = json!(false),
        |receipt| receipt["paymaster"] = json!(""),
        |receipt| receipt["paymaster"] = json!("0x"),
        |receipt| receipt["nonce"] = json!("none"),
        |receipt| receipt["logs"] = json!("none"),
        |receipt| receipt["actualGasCost"] = json!({}),
        |receipt| receipt["receipt"]["blockNumber"] = json!("0xffffffffffffffffffffffff"),
    ];
    let changes = changes.map(|change| (change, true)).into_iter();
    for (change, names_it) in changes.chain([((|receipt| *receipt = json!([])) as Change, false)]) {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        process
            .out
            .fault("eth_getUserOperationReceipt", Fault::change(change));
        // Nothing else names the transaction, unless the receipt does not either.
        process
            .node
            .fault("eth_getLogs", Fault::refuse(-32601, "the method does not exist"));
        if names_it {
            let unknown = Fault::Answer(Ok(Value::Null));
            process.out.fault("eth_getUserOperationByHash", unknown);
        }
        let included = process.agent.execute(one()).await.unwrap();
        assert!(included.success);
        assert_eq!(
            operations_of(&fixture).await.last(),
            Some(&(hash_of(&included), true))
        );
    }
}

// Errors that are told of an operation which was taken before: they may come from its own inclusion, or its
// being on the way.
#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_operation_sent_again_does_not_make_it_refused() {
    for (code, message) in [
        (-32602, "replacement must have higher fees"),
        (
            -32602,
            "replacement op must increase maxFeePerGas and MaxPriorityFeePerGas",
        ),
        (
            -32000,
            "replacement underpriced: userop already in mempool with same nonce",
        ),
        (-32602, "Already known"),
        (-32500, "AA25 invalid account nonce"),
        (-32500, "AA21 didn't pay prefund"),
        (-32500, "AA10 sender already constructed"),
        (-32000, "AA22 expired or not due"),
        (-32603, "internal error"),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        // The first is taken into the pool; everything after it is answered so.
        process.out.rule(move |asked| {
            (asked.method == "eth_sendUserOperation").then(|| match asked.before {
                0 => Fault::Answer(Ok(json!("taken"))),
                _ => Fault::refuse(code, message),
            })
        });
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(30))
            .await
            .unwrap_err();
        assert!(process.out.calls("eth_sendUserOperation") > 1);
        assert_eq!(
            (error.code(), error.happened()),
            ("not_included_in_time", Happened::Unknown),
            "{message}: {error:?}"
        );
        let known = record(&process, &error).await;
        assert_eq!(known.operations[0].handover, Handover::InPool, "{message}");
        assert!(matches!(&*error.cause, Cause::NotIncludedInTime { .. }));
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    }
}

// The journal of a process that is gone has the operation: the next one finds it, and sends it again if
// nobody has it.
#[tokio::test(start_paused = true)]
async fn a_process_that_ends_in_between_leaves_it_to_the_next() {
    for way in Way::BOTH {
        for arrives in [false, true] {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let process = Process::on(&fixture, way, &journal);
            process.out.fault(
                way.hands_over(),
                if arrives { Fault::Hang } else { Fault::Swallow },
            );
            let running = tokio::spawn({
                let operation = process.agent.execute(one()).timeout(seconds(60));
                async move { operation.await }
            });
            process.out.hangs().await;
            process.kill();
            running.abort();
            let _ = running.await;
            assert_eq!(fixture.balance(RECIPIENT), U256::from(arrives));

            tokio::time::sleep(seconds(31)).await;
            let next = Process::on(&fixture, way, &journal);
            let records = next.agent.resume().await.unwrap();
            let mine: Vec<_> = records.iter().filter(|record| record.name.is_none()).collect();
            assert_eq!(mine.len(), 1);
            assert_eq!(
                mine[0].outcome().happened(),
                Happened::Yes,
                "{way:?} {arrives} {:?}",
                mine[0]
            );
            assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
        }
    }
}

// A wire that is only slow.
#[tokio::test(start_paused = true)]
async fn answers_that_take_long_change_nothing() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        let slow = |wire: &Wire| wire.rule(|_| Some(Fault::Late(std::time::Duration::from_millis(700))));
        slow(&process.node);
        slow(&process.out);
        for _ in 0..2 {
            process.agent.execute(one()).await.unwrap();
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
        assert_eq!(process.out.calls(way.hands_over()), 2);
    }
}
