//! Nodes that lack methods, limit answers, or answer too much: what is not needed cannot break it, and time
//! limits hold.

use crate::{
    fixture::{Fixture, RECIPIENT, ample_gas, is_undecided, key, one},
    process::{Process, Way, journal, seconds},
    wire::{Fault, Wire, error},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use session_key_client::{
    Call, OperationError, Revert, UserOperation,
    alloy::primitives::{Address, Bytes, U256},
    operation::{Happened, Outcome, Paymaster, PaymasterError},
    permissions::PermissionUpdates,
};
use session_key_testkit::{FinalityTags, LimitWords, LogLimits, NodeOptions};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

#[tokio::test(start_paused = true)]
async fn a_node_that_lacks_what_others_have_is_enough() {
    for missing in [
        vec!["eth_feeHistory"],
        vec!["eth_feeHistory", "eth_maxPriorityFeePerGas"],
        vec!["eth_feeHistory", "eth_maxPriorityFeePerGas", "eth_gasPrice"],
    ] {
        for tags in [FinalityTags::Null, FinalityTags::Unsupported] {
            for way in Way::BOTH {
                let (fixture, _) = Fixture::with_spender().await;
                let node = fixture.testkit.node(NodeOptions {
                    missing_methods: missing.iter().map(ToString::to_string).collect(),
                    finality_tags: tags,
                    ..NodeOptions::default()
                });
                let out = match way {
                    Way::EntryPoint => Wire::new(node.transport()),
                    Way::Bundler => Process::new(&fixture, way).out,
                };
                let process = Process::with(&fixture, way, &journal(), Wire::new(node.transport()), out);
                for _ in 0..2 {
                    process.agent.execute(one()).await.unwrap();
                }
                assert_eq!(fixture.balance(RECIPIENT), U256::from(2), "{way:?} {missing:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn logs_are_read_in_pages_that_the_node_allows() {
    for (blocks, results, words) in [
        (Some(10), None, LimitWords::Alchemy),
        (Some(10), None, LimitWords::LimitExceeded),
        (Some(1), None, LimitWords::Drpc),
        (Some(500), Some(3), LimitWords::Infura),
        (None, Some(2), LimitWords::Reth),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let node = fixture.testkit.node(NodeOptions {
            logs: LogLimits {
                blocks,
                results,
                words: words.clone(),
                ..LogLimits::default()
            },
            ..NodeOptions::default()
        });
        let process = Process::at(&fixture, Way::Bundler, &journal(), node.transport());
        // Nothing but logs tells what became of it.
        for method in ["eth_getUserOperationReceipt", "eth_getUserOperationByHash"] {
            process.out.fault(method, Fault::Answer(Ok(Value::Null)));
        }
        process
            .out
            .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(5))
            .await
            .unwrap_err();
        let signed = process
            .agent
            .intent(error.intent.unwrap())
            .await
            .unwrap()
            .unwrap()
            .operations
            .remove(0)
            .signed;
        fixture.mine_blocks(150);
        let _ = fixture.submitter.send(&signed).await;
        fixture.mine_blocks(150);
        let record = process
            .agent
            .intent(error.intent.unwrap())
            .await
            .unwrap()
            .unwrap();
        let Outcome::Included(included) = record.outcome() else {
            panic!("{words:?}: {record:?}")
        };
        assert_eq!(included.receipt.user_op_hash, signed.hash);
    }
}

/// Results and errors that answer nothing.
fn nonsense() -> Vec<Fault> {
    let results = [
        Value::Null,
        json!(""),
        json!(-1),
        json!([[], {}, null]),
        json!({ "number": "0x", "hash": 5, "logs": {}, "status": [] }),
        json!(format!("{:#x}", U256::MAX)),
        json!(format!("0x{}", "ff".repeat(320))),
    ];
    let mut reverted = error(3, "execution reverted");
    reverted.data = Some(serde_json::value::to_raw_value("0x08c379a0ff").unwrap());
    let errors = [error(0, ""), error(i64::MIN, "AA21 AA23 AA25"), reverted];
    let faults = results.map(Ok).into_iter().chain(errors.map(Err));
    faults.map(Fault::Answer).chain([Fault::Lose]).collect()
}

// To each question, for a while. The chain is as it is: what is told of it is true, nothing is paid twice,
// and once the answers make sense again, it is done.
#[tokio::test(start_paused = true)]
async fn nonsense_in_answer_to_any_question_neither_doubles_nor_hides_anything() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let usual = Process::new(&fixture, way);
        usual.agent.execute(one()).await.unwrap();
        let methods = |wire: &Wire| -> BTreeSet<String> {
            wire.asked().into_iter().map(|asked| asked.method).collect()
        };
        let asked = [(true, methods(&usual.node)), (false, methods(&usual.out))];
        for (of_node, method) in asked
            .into_iter()
            .flat_map(|(of_node, methods)| methods.into_iter().map(move |method| (of_node, method)))
        {
            for (number, fault) in nonsense().into_iter().enumerate() {
                let (fixture, _) = Fixture::with_spender().await;
                let process = Process::new(&fixture, way);
                let wire = if of_node { &process.node } else { &process.out };
                let wrong = method.clone();
                wire.rule(move |asked| (asked.method == wrong).then(|| fault.clone()));
                let pay = || process.agent.execute(one()).id("once");
                let case = format!("{way:?} {method} {number}");
                let start = tokio::time::Instant::now();
                let result = pay().timeout(seconds(20)).await;
                assert!(start.elapsed() < seconds(30), "{case}: {:?}", start.elapsed());
                let paid = fixture.balance(RECIPIENT);
                match result.map_err(|error| (error.happened(), error)) {
                    Ok(_) => assert_eq!(paid, U256::ONE, "{case}"),
                    Err((Happened::No, error)) => assert_eq!(paid, U256::ZERO, "{case}: {error:?}"),
                    Err((happened, error)) => assert!(is_undecided(happened), "{case}: {error:?}"),
                }
                process.node.repair();
                process.out.repair();
                let included = pay().timeout(seconds(300)).await;
                assert!(included.is_ok(), "{case}: {included:?}");
                fixture.mine_blocks(2);
                assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{case}");
            }
        }
    }
}

// Answers of many megabytes: they are not read, and do not outlast the time limit. The clock
// is the machine's.
#[tokio::test(flavor = "multi_thread")]
async fn large_answers_do_not_outlast_the_time_limit() {
    let of_nodes = [
        "eth_getBlockByNumber",
        "eth_call",
        "eth_feeHistory",
        "eth_estimateGas",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
        "eth_getLogs",
    ];
    let of_bundlers = [
        "eth_estimateUserOperationGas",
        "eth_sendUserOperation",
        "eth_getUserOperationReceipt",
    ];
    // The wire itself takes a while for one, more on a busy machine.
    let begin = Instant::now();
    let text = serde_json::to_string(&"0".repeat(12_000_000)).unwrap();
    assert!(serde_json::from_str::<Value>(&text).unwrap().is_string());
    let cost = begin.elapsed();
    for (way, method) in (of_nodes.map(|method| (Way::EntryPoint, method)).into_iter())
        .chain(of_bundlers.map(|method| (Way::Bundler, method)))
    {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        let large = Fault::Change(Arc::new(|_| Ok(json!("0".repeat(12_000_000)))));
        process.node.fault(method, large.clone());
        process.out.fault(method, large);
        let start = Instant::now();
        let limit = Duration::from_millis(800);
        let result = process.agent.execute(one()).timeout(limit).await;
        assert!(
            start.elapsed() < limit + Duration::from_secs(3) + 10 * cost,
            "{method}: {:?}, {cost:?} for one",
            start.elapsed()
        );
        let paid = fixture.balance(RECIPIENT);
        match result {
            Ok(_) => assert_eq!(paid, U256::ONE, "{method}"),
            Err(error) => {
                assert!(error.to_string().len() < 2_000);
                match error.happened() {
                    Happened::No => assert_eq!(paid, U256::ZERO, "{method}"),
                    happened => assert!(is_undecided(happened), "{method}: {error:?}"),
                }
            }
        }
    }
}

const DIRT: [&str; 4] = ["\u{1b}", "\u{7}", "\u{202e}", "s3cr3t"];

/// A text with all of it, and this many characters more.
fn dirty(length: usize) -> String {
    format!(
        "\u{1b}[31mno\u{7}\u{202e} http://user:s3cr3t@node.example/v2/s3cr3t {}",
        "x".repeat(length)
    )
}

/// Nothing that is shown of an error, or of what the journal has of it, is dirty or endless.
async fn assert_clean(process: &Process, error: &OperationError, case: &str) {
    let mut shown = vec![error.to_string(), format!("{error:?}"), format!("{error:#?}")];
    if let Some(id) = error.intent {
        shown.push(format!("{:?}", process.agent.intent(id).await.unwrap()));
    }
    for shown in shown {
        for bad in DIRT {
            let start: String = shown.chars().take(500).collect();
            assert!(!shown.contains(bad), "{case}: {bad:?} in {start}");
        }
        assert!(shown.len() < 30_000, "{case}: {} bytes", shown.len());
    }
    // Data are kept whole, in hex.
    let json = serde_json::to_string(error).unwrap();
    assert!(DIRT.iter().all(|bad| !json.contains(bad)), "{case}");
    assert!(json.len() < 300_000, "{case}: {} bytes", json.len());
}

// Texts from outside end in terminals and logs.
#[tokio::test(start_paused = true)]
async fn what_others_say_is_cleaned_and_cut() {
    let revert = Revert::Error(dirty(20_000)).to_bytes();
    let reverted = |code| {
        let mut said = error(code, dirty(200_000));
        said.data = Some(serde_json::value::to_raw_value(&json!({ "revertData": revert })).unwrap());
        Fault::Answer(Err(said))
    };
    let send = "eth_sendUserOperation";
    let estimate = "eth_estimateUserOperationGas";
    let faults = [
        (send, Fault::refuse(-32504, dirty(200_000))),
        (send, Fault::Status(401, dirty(200_000))),
        (send, reverted(-32521)),
        (send, reverted(3)),
        (estimate, Fault::refuse(-32000, dirty(200_000))),
        (
            estimate,
            Fault::refuse(-32500, format!("AA23 {}", dirty(200_000))),
        ),
        (estimate, Fault::Status(503, dirty(200_000))),
        (estimate, Fault::Answer(Ok(json!({ "found": dirty(200_000) })))),
        (estimate, Fault::refuse(-32521, dirty(200_000))),
        (estimate, reverted(-32521)),
    ];
    for (method, fault) in faults {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        process.out.fault(method, fault);
        let operation = process.agent.execute(one()).timeout(seconds(10));
        assert_clean(&process, &operation.await.unwrap_err(), method).await;
    }
}

/// Code of a contract that reverts with these data.
fn reverting_with(data: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(data.len()).unwrap().to_be_bytes();
    // CODECOPY(0, 12, length); REVERT(0, length)
    let mut code = vec![0x61, high, low, 0x60, 12, 0x5f, 0x39, 0x61, high, low, 0x5f, 0xfd];
    code.extend(data);
    code
}

#[tokio::test(start_paused = true)]
async fn what_contracts_say_is_cleaned_and_cut() {
    let (fixture, _) = Fixture::with_spender().await;
    let target = Address::repeat_byte(0xfe);
    fixture
        .update(key(1).address(), PermissionUpdates::new().contract(target))
        .await;
    let error = Revert::Error(dirty(500)).to_bytes();
    let mut padded = error.to_vec();
    padded.extend([1; 32]);
    for data in [
        error.to_vec(),
        padded,
        Revert::Error(dirty(15_000)).to_bytes().to_vec(),
        vec![0xab; 20_000],
    ] {
        let code = reverting_with(&data);
        fixture.testkit.chain().set_code(target, code).unwrap();
        for way in Way::BOTH {
            let process = Process::new(&fixture, way);
            let call = || process.agent.execute([Call::new(target, vec![])]);
            let error = call().await.unwrap_err();
            assert_eq!(
                (error.code(), error.happened()),
                ("would_revert", Happened::No),
                "{error:?}"
            );
            let told = error.revert().unwrap().to_bytes();
            if way == Way::Bundler {
                // A bundler tries it on the EntryPoint, which keeps the first 2,048 bytes of what a call
                // reverts with.
                assert_eq!(told, data[..data.len().min(2_048)]);
            } else {
                assert_eq!(told, data);
            }
            assert_clean(&process, &error, "would_revert").await;
            // Included, and reverted.
            let error = call().gas_limits(ample_gas()).await.unwrap_err();
            assert_eq!((error.code(), error.happened()), ("reverted", Happened::Reverted));
            assert_clean(&process, &error, "reverted").await;
        }
    }
}

/// A paymaster of the caller's that passes on what its service says.
#[derive(Debug)]
struct Frank;

#[async_trait]
impl Paymaster for Frank {
    async fn stub(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Err(PaymasterError::Declined {
            message: dirty(200_000),
        })
    }

    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        self.stub(operation).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_paymaster_says_is_cleaned_and_cut() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let agent = process.agent.clone().with_paymaster(Frank);
    let error = agent.execute(one()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("paymaster_failed", Happened::No)
    );
    assert_clean(&process, &error, "paymaster_failed").await;
}
