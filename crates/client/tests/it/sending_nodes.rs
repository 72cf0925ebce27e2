//! Nodes that lack methods, limit answers, or answer too much: what is not needed cannot break it, and time limits hold.

use crate::{
    fixture::{Fixture, RECIPIENT, is_undecided, one},
    process::{Process, Way, journal, seconds},
    wire::{Fault, Wire},
};
use serde_json::{Value, json};
use session_key_client::{
    Call,
    alloy::primitives::U256,
    operation::{Happened, Outcome},
};
use session_key_testkit::{FinalityTags, LimitWords, LogLimits, NodeOptions};
use std::{
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

// Answers of many megabytes: they are not read, and do not outlast the time limit. The clock is the machine's.
#[tokio::test(flavor = "multi_thread")]
async fn large_answers_do_not_outlast_the_time_limit() {
    for method in [
        "eth_getBlockByNumber",
        "eth_call",
        "eth_feeHistory",
        "eth_estimateGas",
        "eth_sendRawTransaction",
        "eth_getTransactionReceipt",
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::EntryPoint);
        let large = Fault::Change(Arc::new(|_| Ok(json!("0".repeat(12_000_000)))));
        process.node.fault(method, large.clone());
        process.out.fault(method, large);
        let start = Instant::now();
        let limit = Duration::from_millis(800);
        let result = process.agent.execute(one()).timeout(limit).await;
        assert!(
            start.elapsed() < limit + Duration::from_secs(3),
            "{method}: {:?}",
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

// Texts from outside end in terminals and logs.
#[tokio::test(start_paused = true)]
async fn what_others_say_is_cleaned_and_cut() {
    let dirty = format!(
        "\u{1b}[31mno\u{7}\u{202e} http://user:s3cr3t@node.example/v2/s3cr3t {}",
        "x".repeat(200_000)
    );
    let faults = [
        ("eth_sendUserOperation", Fault::refuse(-32504, dirty.clone())),
        ("eth_sendUserOperation", Fault::Status(401, dirty.clone())),
        (
            "eth_estimateUserOperationGas",
            Fault::refuse(-32000, dirty.clone()),
        ),
        ("eth_estimateUserOperationGas", Fault::Status(503, dirty.clone())),
        (
            "eth_estimateUserOperationGas",
            Fault::Answer(Ok(json!({ "found": dirty }))),
        ),
        (
            "eth_estimateUserOperationGas",
            Fault::refuse(-32521, dirty.clone()),
        ),
    ];
    for (method, fault) in faults {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        process.out.fault(method, fault);
        let error = process
            .agent
            .execute([Call::transfer(RECIPIENT, U256::ONE)])
            .timeout(seconds(10))
            .await
            .unwrap_err();
        let record = match error.intent {
            Some(id) => format!("{:?}", process.agent.intent(id).await.unwrap()),
            None => String::new(),
        };
        for shown in [
            error.to_string(),
            format!("{error:?}"),
            serde_json::to_string(&error).unwrap(),
            record.clone(),
        ] {
            for bad in ["\u{1b}", "\u{7}", "\u{202e}", "s3cr3t"] {
                assert!(
                    !shown.contains(bad),
                    "{method}: {bad:?} in {}",
                    &shown[..shown.len().min(500)]
                );
            }
            assert!(shown.len() < 20_000, "{method}: {} bytes", shown.len());
        }
    }
}
