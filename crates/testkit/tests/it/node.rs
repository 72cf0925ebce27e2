//! Nodes with their own view of the chain.

use crate::requests::{RECIPIENT, answer_of, failure_of, signed, transfer};
use alloy::{
    consensus::TxEip1559,
    eips::BlockNumberOrTag,
    hex,
    primitives::{Address, B256, Bytes, U256, address, keccak256},
    providers::Provider,
    rpc::{client::RpcClient, types::TransactionRequest},
};
use serde_json::{Value, json};
use session_key_testkit::{
    Chain, ChainConfig, ErrorAnswer, FinalityTags, LimitWords, LogLimits, Node, NodeOptions, PrunedState,
    PrunedWords, Submission, Testkit, dev_accounts,
};

/// Emits its input as a log.
const LOG: [u8; 8] = hex!("365f5f37365fa000");
/// Returns number, time, base fee, and the hash of block 3.
const CLOCK: [u8; 21] = hex!("435f52426020524860405260034060605260805ff3");

const LOGGER: Address = address!("0x0000000000000000000000000000000000000c01");
const OBSERVER: Address = address!("0x0000000000000000000000000000000000000c02");

/// Creates a chain of `blocks` blocks, each with one log that contains its number.
fn chain_with_logs(config: ChainConfig, blocks: u8) -> Testkit {
    let mut chain = Chain::new(config);
    chain.set_code(LOGGER, LOG).unwrap();
    chain.set_code(OBSERVER, CLOCK).unwrap();
    for number in 1..=blocks {
        log(&mut chain, number);
    }
    Testkit::from(chain)
}

fn log(chain: &mut Chain, data: u8) -> B256 {
    let transaction = TxEip1559 {
        to: LOGGER.into(),
        gas_limit: 50_000,
        max_fee_per_gas: 10_000_000_000,
        input: vec![data].into(),
        value: U256::ZERO,
        ..transfer(chain.pending_nonce(dev_accounts()[0].address))
    };
    chain.submit_raw(&signed(dev_accounts()[0], transaction)).unwrap()
}

fn late(testkit: &Testkit, lag: u64) -> Node {
    testkit.node(NodeOptions {
        lag,
        ..Default::default()
    })
}

async fn ask(node: &Node, method: &'static str, params: Value) -> Value {
    answer_of(&node.client(), method, params).await
}

async fn refusal(node: &Node, method: &'static str, params: Value) -> (i64, String) {
    failure_of(&node.client(), method, params).await
}

/// Returns the data of the logs that match a filter.
async fn logged(client: &RpcClient, filter: Value) -> Vec<Bytes> {
    let logs = answer_of(client, "eth_getLogs", json!([filter])).await;
    let logs: Vec<alloy::rpc::types::Log> = serde_json::from_value(logs).unwrap();
    logs.into_iter().map(|log| log.inner.data.data).collect()
}

#[tokio::test]
async fn a_lagging_node_answers_as_of_its_latest_block() {
    let config = ChainConfig {
        safe_distance: 1,
        finalized_distance: 2,
        ..Default::default()
    };
    let testkit = chain_with_logs(config, 3);
    // The chain's answers when that was its latest block.
    let conversation = || {
        let alice = dev_accounts()[0].address;
        let call = json!({"to": OBSERVER});
        vec![
            ("eth_blockNumber", json!([])),
            ("eth_getBlockByNumber", json!(["latest", true])),
            ("eth_getBlockByNumber", json!(["safe", true])),
            ("eth_getBlockByNumber", json!(["finalized", true])),
            ("eth_getBlockByNumber", json!(["0x4", true])),
            ("eth_getBlockReceipts", json!(["latest"])),
            ("eth_getBlockReceipts", json!(["0x4"])),
            ("eth_getBalance", json!([alice, "latest"])),
            ("eth_getTransactionCount", json!([alice, "latest"])),
            ("eth_getCode", json!([LOGGER, "latest"])),
            ("eth_getStorageAt", json!([LOGGER, "0x0", "latest"])),
            ("eth_call", json!([call, "latest"])),
            ("eth_gasPrice", json!([])),
            ("eth_feeHistory", json!(["0xa", "latest", [50.0]])),
            ("eth_feeHistory", json!(["0xa", "finalized", [50.0]])),
            ("eth_getLogs", json!([{"fromBlock": "0x0", "toBlock": "latest"}])),
            ("eth_getLogs", json!([{"fromBlock": "0x1", "toBlock": "0x9"}])),
            (
                "eth_getLogs",
                json!([{"fromBlock": "finalized", "toBlock": "safe"}]),
            ),
        ]
    };
    let hidden = testkit.node(NodeOptions {
        sees_pool: false,
        ..Default::default()
    });
    let mut before = Vec::new();
    for (method, params) in conversation() {
        before.push(ask(&hidden, method, params).await);
    }
    // As a node with an empty pool answers.
    let pending = [
        ("eth_getBlockByNumber", json!(["pending", true])),
        ("eth_call", json!([{"to": OBSERVER}, "pending"])),
        (
            "eth_getTransactionCount",
            json!([dev_accounts()[0].address, "pending"]),
        ),
    ];
    let mut pending_before = Vec::new();
    for (method, params) in pending.clone() {
        pending_before.push(ask(&hidden, method, params).await);
    }

    let hash = {
        let mut chain = testkit.chain();
        log(&mut chain, 4);
        chain.increase_time(100);
        let hash = log(&mut chain, 5);
        chain.set_next_base_fee(77);
        let timestamp = chain.timestamp();
        chain.set_next_timestamp(timestamp + 1_000).unwrap();
        hash
    };
    hidden.change(|options| options.lag = 2);
    let late = late(&testkit, 2);
    for ((method, params), before) in conversation().into_iter().zip(before) {
        for node in [&late, &hidden] {
            assert_eq!(
                ask(node, method, params.clone()).await,
                before,
                "{method} {params}"
            );
        }
    }
    for ((method, params), before) in pending.into_iter().zip(pending_before) {
        assert_eq!(
            ask(&hidden, method, params.clone()).await,
            before,
            "{method} {params}"
        );
    }
    // It does not know what it has not seen.
    let newer = testkit.chain().block_at(4.into()).unwrap().header.hash;
    for (method, params) in [
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getBlockByHash", json!([newer, false])),
        ("eth_getBlockReceipts", json!([newer])),
    ] {
        assert_eq!(ask(&late, method, params).await, Value::Null, "{method}");
    }
    for (method, params, words) in [
        ("eth_call", json!([{"to": OBSERVER}, "0x4"]), "header not found"),
        ("eth_getBalance", json!([LOGGER, "0x4"]), "header not found"),
        (
            "eth_call",
            json!([{"to": OBSERVER}, {"blockHash": newer}]),
            "header for hash not found",
        ),
        ("eth_getLogs", json!([{"blockHash": newer}]), "unknown block"),
        (
            "debug_traceTransaction",
            json!([hash, {"tracer": "callTracer"}]),
            "transaction not found",
        ),
        (
            "eth_feeHistory",
            json!(["0x1", "0x5"]),
            "request beyond head block: requested 5, head 3",
        ),
    ] {
        assert_eq!(
            refusal(&late, method, params).await,
            (-32000, words.to_owned()),
            "{method}"
        );
    }
    let (code, _) = refusal(
        &late,
        "eth_getLogs",
        json!([{"fromBlock": "0x4", "toBlock": "latest"}]),
    )
    .await;
    assert_eq!(code, -32602, "its latest block is 3");
}

/// Transactions reach the pools of all nodes before their blocks do.
#[tokio::test]
async fn a_lagging_nodes_pool_holds_transactions_of_unseen_blocks() {
    let testkit = chain_with_logs(ChainConfig::default(), 1);
    let hash = log(&mut testkit.chain(), 2);
    log(&mut testkit.chain(), 3);
    let alice = dev_accounts()[0].address;
    let node = late(&testkit, 2);
    let seen = ask(&node, "eth_getTransactionByHash", json!([hash])).await;
    assert_eq!(
        (&seen["hash"], &seen["blockNumber"]),
        (&json!(hash), &Value::Null)
    );
    let count = async |tag| ask(&node, "eth_getTransactionCount", json!([alice, tag])).await;
    assert_eq!(
        (count("latest").await, count("pending").await),
        (json!("0x1"), json!("0x3"))
    );
    assert_eq!(
        ask(&node, "txpool_status", json!([])).await,
        json!({"pending": "0x2", "queued": "0x0"})
    );
    let pending = ask(&node, "eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!(pending["number"], "0x2");
    assert_eq!(pending["transactions"].as_array().unwrap().len(), 2);

    node.change(|options| options.sees_pool = false);
    assert_eq!(
        ask(&node, "eth_getTransactionByHash", json!([hash])).await,
        Value::Null
    );
    assert_eq!(count("pending").await, json!("0x1"));

    // On a chain with a pool, a node either shows the shared pool or not.
    let testkit = Testkit::new(ChainConfig {
        automine: false,
        ..Default::default()
    });
    let waits = log(&mut testkit.chain(), 1);
    let node = late(&testkit, 0);
    assert_eq!(
        ask(&node, "eth_getTransactionByHash", json!([waits])).await["hash"],
        json!(waits)
    );
    node.change(|options| options.sees_pool = false);
    assert_eq!(
        ask(&node, "eth_getTransactionByHash", json!([waits])).await,
        Value::Null
    );
}

#[tokio::test]
async fn a_lagging_node_accepts_transactions_by_the_state_it_has_seen() {
    let testkit = Testkit::new(ChainConfig {
        automine: false,
        ..Default::default()
    });
    let node = late(&testkit, 1);
    let alice = dev_accounts()[0];
    let raw = |transaction| json!([signed(alice, transaction)]);
    let with_fee = |nonce, fee: u128| TxEip1559 {
        max_fee_per_gas: fee * 1_000_000_000,
        max_priority_fee_per_gas: fee * 1_000_000_000,
        ..transfer(nonce)
    };
    let first = ask(&node, "eth_sendRawTransaction", raw(with_fee(0, 3))).await;
    assert_eq!(
        testkit.chain().pool()[0].transaction.inner.tx_hash(),
        &serde_json::from_value::<B256>(first.clone()).unwrap()
    );
    testkit.chain().mine();
    // It has not seen the block.
    assert_eq!(
        refusal(&node, "eth_sendRawTransaction", raw(with_fee(0, 3))).await,
        (-32000, "already known".into())
    );
    let cheap = refusal(
        &node,
        "eth_sendRawTransaction",
        raw(TxEip1559 {
            value: U256::from(2),
            ..with_fee(0, 3)
        }),
    )
    .await;
    assert_eq!(cheap, (-32000, "replacement transaction underpriced".into()));
    // A replacement that it accepts cannot be included, but it returns a hash.
    let replacement = signed(alice, with_fee(0, 4));
    assert_eq!(
        ask(&node, "eth_sendRawTransaction", json!([replacement])).await,
        json!(keccak256(&replacement))
    );
    assert_eq!(testkit.chain().pool(), []);
    ask(&node, "eth_sendRawTransaction", raw(with_fee(1, 3))).await;
    assert_eq!(testkit.chain().pool().len(), 1);
    testkit.chain().mine();
    assert_eq!(
        refusal(&node, "eth_sendRawTransaction", raw(with_fee(0, 9))).await,
        (-32000, "nonce too low: next nonce 1, tx nonce 0".into())
    );
    // Same where every transaction is mined at once.
    testkit.chain().set_automine(true);
    ask(&node, "eth_sendRawTransaction", raw(with_fee(1, 9))).await;
    assert_eq!(testkit.chain().block_number(), 2);
    ask(&node, "eth_sendRawTransaction", raw(with_fee(2, 3))).await;
    assert_eq!(testkit.chain().block_number(), 3);
}

#[tokio::test]
async fn a_lagging_node_does_not_see_later_spending() {
    let testkit = Testkit::default();
    let bob = dev_accounts()[1];
    testkit
        .chain()
        .set_balance(bob.address, U256::from(10u64.pow(14)));
    testkit.chain().mine();
    testkit.chain().mine();
    testkit.chain().set_balance(bob.address, U256::ZERO);
    let node = late(&testkit, 1);
    let raw = json!([signed(bob, transfer(0))]);
    for automine in [false, true] {
        testkit.chain().set_automine(automine);
        ask(&node, "eth_sendRawTransaction", raw.clone()).await;
    }
    node.change(|options| options.lag = 0);
    for automine in [false, true] {
        testkit.chain().set_automine(automine);
        let (_, message) = refusal(&node, "eth_sendRawTransaction", raw.clone()).await;
        assert!(message.starts_with("insufficient funds"), "{message}");
    }
    assert_eq!(testkit.chain().pool(), []);
    assert_eq!(testkit.chain().nonce(bob.address), 0);
}

#[tokio::test]
async fn transactions_are_refused_passed_on_or_lost() {
    let testkit = Testkit::new(ChainConfig {
        automine: false,
        ..Default::default()
    });
    let node = late(&testkit, 0);
    let raw = |nonce| signed(dev_accounts()[0], transfer(nonce));
    let error = ErrorAnswer::new(-32000, "context deadline exceeded").with_data(json!({"after": 5}));
    let said = (-32000, "context deadline exceeded".to_owned());

    node.change(|options| options.submission = Submission::Refused(error.clone()));
    assert_eq!(
        refusal(&node, "eth_sendRawTransaction", json!([raw(0)])).await,
        said
    );
    assert_eq!(testkit.chain().pool(), []);

    node.change(|options| options.submission = Submission::Lost);
    assert_eq!(
        ask(&node, "eth_sendRawTransaction", json!([raw(0)])).await,
        json!(keccak256(raw(0)))
    );
    assert_eq!(testkit.chain().pool(), []);
    // It still validates its input.
    assert_eq!(
        refusal(&node, "eth_sendRawTransaction", json!(["0x02"])).await.0,
        -32000
    );

    node.change(|options| options.submission = Submission::PassedOn(error.clone()));
    let answer = node
        .client()
        .request::<_, Value>("eth_sendRawTransaction", json!([raw(0)]));
    let answer = answer.await.unwrap_err();
    let payload = answer.as_error_resp().unwrap();
    assert_eq!((payload.code, payload.message.to_string()), said);
    assert_eq!(payload.data.as_ref().unwrap().get(), r#"{"after":5}"#);
    assert_eq!(testkit.chain().pool().len(), 1);
    // A refused transaction gets its own error.
    assert_eq!(
        refusal(&node, "eth_sendRawTransaction", json!([raw(0)])).await.1,
        "already known"
    );

    node.change(|options| options.submission = Submission::Accepted);
    ask(&node, "eth_sendRawTransaction", json!([raw(1)])).await;
    assert_eq!(testkit.chain().pool().len(), 2);
}

#[tokio::test]
async fn logs_are_limited_by_blocks() {
    let testkit = chain_with_logs(ChainConfig::default(), 20);
    let node = testkit.node(NodeOptions {
        logs: LogLimits {
            blocks: Some(10),
            ..Default::default()
        },
        ..Default::default()
    });
    let range =
        |from: u64, to: u64| json!({"fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}")});
    assert_eq!(logged(&node.client(), range(3, 12)).await.len(), 10);
    assert_eq!(
        logged(&node.client(), json!({"fromBlock": "0xb"})).await.len(),
        10
    );
    let custom = ErrorAnswer::new(-1, "no");
    for (words, code, message) in [
        (LimitWords::Reth, -32602, "query exceeds max block range 10"),
        (
            LimitWords::Alchemy,
            -32600,
            "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your \
             parameters, this block range should work: [0x3, 0xc]. Upgrade to PAYG for expanded block range.",
        ),
        (LimitWords::Infura, -32602, "range 11 exceeds limit of 10"),
        (
            LimitWords::QuickNode,
            -32614,
            "eth_getLogs is limited to a 10 range",
        ),
        (LimitWords::PublicNode, -32701, "exceed maximum block range: 10"),
        (
            LimitWords::Drpc,
            35,
            "ranges over 10 blocks are not supported on freetier",
        ),
        (
            LimitWords::Erigon,
            -32602,
            "query block range exceeds server limit, narrow your filter: 10",
        ),
        (LimitWords::LimitExceeded, -32005, "limit exceeded"),
        (LimitWords::Other(custom), -1, "no"),
    ] {
        node.change(|options| options.logs.words = words);
        assert_eq!(
            refusal(&node, "eth_getLogs", json!([range(3, 13)])).await,
            (code, message.to_owned())
        );
        // Blocks beyond the latest one count as well.
        assert_eq!(
            refusal(&node, "eth_getLogs", json!([range(15, 25)])).await.0,
            code
        );
    }
    let hash = testkit.chain().block_at(3.into()).unwrap().header.hash;
    assert_eq!(
        logged(&node.client(), json!({"blockHash": hash})).await,
        [Bytes::from([3])]
    );
    assert_eq!(
        refusal(&node, "eth_getLogs", json!([range(3, 2)])).await.0,
        -32602
    );
    assert_eq!(
        refusal(
            &node,
            "eth_getLogs",
            json!([{"fromBlock": "0x0", "toBlock": "0xffffffffffffffff"}])
        )
        .await
        .0,
        -1
    );
}

#[tokio::test]
async fn logs_are_limited_by_results() {
    let testkit = chain_with_logs(ChainConfig::default(), 20);
    let node = testkit.node(NodeOptions {
        logs: LogLimits {
            results: Some(5),
            ..Default::default()
        },
        ..Default::default()
    });
    let filter = json!([{"fromBlock": "0x2", "toBlock": "0x14"}]);
    for (words, code, message) in [
        (
            LimitWords::Reth,
            -32602,
            "query exceeds max results 5, retry with the range 2-6",
        ),
        (
            LimitWords::Alchemy,
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on \
             the response size, or you can request any block range with a cap of 5 logs in the response. Based on your \
             parameters and the response size limit, this block range should work: [0x2, 0x6]",
        ),
        (
            LimitWords::Infura,
            -32005,
            "query returned more than 5 results. Try with this block range [0x2, 0x6].",
        ),
        (LimitWords::LimitExceeded, -32005, "limit exceeded"),
    ] {
        node.change(|options| options.logs.words = words);
        assert_eq!(
            refusal(&node, "eth_getLogs", filter.clone()).await,
            (code, message.to_owned())
        );
    }
    // The suggested range works.
    let works = json!({"fromBlock": "0x2", "toBlock": "0x6"});
    assert_eq!(logged(&node.client(), works).await.len(), 5);

    node.change(|options| {
        options.logs = LogLimits {
            refuses_future_blocks: true,
            ..Default::default()
        }
    });
    assert_eq!(
        refusal(
            &node,
            "eth_getLogs",
            json!([{"fromBlock": "0x2", "toBlock": "0x15"}])
        )
        .await,
        (-32602, "block range extends beyond current head block".into())
    );
    assert_eq!(
        logged(&node.client(), json!({"fromBlock": "0x2", "toBlock": "latest"}))
            .await
            .len(),
        19
    );
}

#[tokio::test]
async fn a_node_lacks_methods() {
    let testkit = Testkit::default();
    let node = testkit.node(NodeOptions {
        missing_methods: ["eth_feeHistory".to_owned()].into(),
        ..Default::default()
    });
    let missing = |method| {
        let text = format!("the method {method} does not exist/is not available");
        (-32601, text)
    };
    assert_eq!(
        refusal(&node, "eth_feeHistory", json!(["0x1", "latest"])).await,
        missing("eth_feeHistory")
    );
    node.change(|options| options.missing_methods.clear());
    ask(&node, "eth_feeHistory", json!(["0x1", "latest"])).await;
    // Nodes do not let others change the chain.
    for method in [
        "evm_mine",
        "anvil_setBalance",
        "hardhat_mine",
        "evm_snapshot",
        "eth_sendTransaction",
    ] {
        assert_eq!(refusal(&node, method, json!([])).await, missing(method));
    }
    assert_eq!(ask(&node, "eth_accounts", json!([])).await, json!([]));
    assert_eq!(testkit.chain().block_number(), 0);
}

#[tokio::test]
async fn nodes_differ_on_the_tag_finalized() {
    let config = ChainConfig {
        safe_distance: 1,
        finalized_distance: 2,
        ..Default::default()
    };
    let testkit = chain_with_logs(config, 6);
    let node = late(&testkit, 0);
    let by_tag = |tag: &str| json!([tag, false]);
    let number = async |tag: &str| ask(&node, "eth_getBlockByNumber", by_tag(tag)).await["number"].clone();
    assert_eq!(
        (number("finalized").await, number("safe").await),
        (json!("0x4"), json!("0x5"))
    );

    node.change(|options| options.finality_tags = FinalityTags::Stuck(2));
    assert_eq!(
        (number("finalized").await, number("safe").await),
        (json!("0x2"), json!("0x2"))
    );
    assert_eq!(
        logged(
            &node.client(),
            json!({"fromBlock": "0x1", "toBlock": "finalized"})
        )
        .await
        .len(),
        2
    );
    let count = json!([dev_accounts()[0].address, "finalized"]);
    assert_eq!(
        ask(&node, "eth_getTransactionCount", count.clone()).await,
        json!("0x2")
    );
    node.change(|options| options.finality_tags = FinalityTags::Stuck(7));
    assert_eq!(number("finalized").await, Value::Null);

    node.change(|options| options.finality_tags = FinalityTags::Null);
    assert_eq!(number("finalized").await, Value::Null);
    assert_eq!(
        ask(&node, "eth_getBlockReceipts", json!(["finalized"])).await,
        Value::Null
    );
    assert_eq!(number("latest").await, json!("0x6"));
    for (tags, code, message) in [
        (FinalityTags::Null, -32000, "header not found"),
        (FinalityTags::NotFound, -32000, "finalized block not found"),
        (
            FinalityTags::Unsupported,
            -32602,
            "invalid argument 0: hex string without 0x prefix",
        ),
    ] {
        node.change(|options| options.finality_tags = tags);
        for (method, params) in [
            ("eth_getTransactionCount", count.clone()),
            ("eth_call", json!([{"to": OBSERVER}, "finalized"])),
            (
                "eth_getLogs",
                json!([{"fromBlock": "0x1", "toBlock": "finalized"}]),
            ),
            ("eth_feeHistory", json!(["0x1", "finalized"])),
        ] {
            assert_eq!(
                refusal(&node, method, params).await,
                (code, message.to_owned()),
                "{method}"
            );
        }
        if tags != FinalityTags::Null {
            let answer = refusal(&node, "eth_getBlockByNumber", by_tag("finalized")).await;
            assert_eq!(answer, (code, message.to_owned()));
        }
    }
    node.change(|options| options.finality_tags = FinalityTags::NotFound);
    assert_eq!(
        refusal(&node, "eth_getBlockByNumber", by_tag("safe")).await.1,
        "safe block not found"
    );
}

#[tokio::test]
async fn a_node_prunes_old_state_but_keeps_blocks_and_logs() {
    let testkit = chain_with_logs(ChainConfig::default(), 10);
    let node = testkit.node(NodeOptions {
        lag: 1,
        pruned_state: Some(PrunedState {
            blocks: 3,
            words: PrunedWords::MissingTrieNode,
        }),
        ..Default::default()
    });
    let alice = dev_accounts()[0].address;
    let trace_of = async |number: u64| {
        let block = ask(
            &node,
            "eth_getBlockByNumber",
            json!([format!("{number:#x}"), false]),
        )
        .await;
        json!([block["transactions"][0], {"tracer": "callTracer"}])
    };
    let reads = |block: Value| {
        [
            ("eth_getBalance", json!([alice, block])),
            ("eth_getTransactionCount", json!([alice, block])),
            ("eth_getCode", json!([LOGGER, block])),
            ("eth_getStorageAt", json!([LOGGER, "0x0", block])),
            ("eth_call", json!([{"to": OBSERVER}, block])),
            ("eth_estimateGas", json!([{"to": OBSERVER}, block])),
            (
                "debug_traceCall",
                json!([{"to": OBSERVER}, block, {"tracer": "callTracer"}]),
            ),
        ]
    };
    let by_hash = json!({"blockHash": testkit.chain().block_at(6.into()).unwrap().header.hash});
    for block in [json!("0x0"), json!("0x6"), json!("earliest"), by_hash] {
        for (method, params) in reads(block.clone()) {
            let (code, message) = refusal(&node, method, params).await;
            assert_eq!(code, -32000, "{method}");
            assert!(message.starts_with("missing trie node "), "{message}");
            assert!(message.ends_with(" is not available, not found"), "{message}");
        }
    }
    for block in ["0x7", "0x9", "latest", "pending"] {
        for (method, params) in reads(json!(block)) {
            ask(&node, method, params).await;
        }
    }
    // A block is traced on its parent's state.
    assert_eq!(
        refusal(&node, "debug_traceTransaction", trace_of(7).await)
            .await
            .0,
        -32000
    );
    ask(&node, "debug_traceTransaction", trace_of(8).await).await;
    assert_eq!(logged(&node.client(), json!({"fromBlock": "0x0"})).await.len(), 9);

    for (words, code, message) in [
        (PrunedWords::StateIsPruned, -32000, "state at block #2 is pruned"),
        (
            PrunedWords::PrunedHistoryUnavailable,
            4444,
            "pruned history unavailable",
        ),
        (PrunedWords::Other(ErrorAnswer::new(-7, "gone")), -7, "gone"),
    ] {
        node.change(|options| options.pruned_state = Some(PrunedState { blocks: 3, words }));
        assert_eq!(
            refusal(&node, "eth_getBalance", json!([alice, "0x2"])).await,
            (code, message.to_owned())
        );
    }
    node.change(|options| {
        options.pruned_state = Some(PrunedState {
            blocks: 3,
            words: PrunedWords::HistoricalStateNotAvailable,
        });
    });
    let (_, message) = refusal(&node, "eth_getBalance", json!([alice, "0x2"])).await;
    assert!(
        message.starts_with("historical state 0x") && message.ends_with(" is not available"),
        "{message}"
    );
}

#[tokio::test]
async fn receipts_come_before_their_logs_are_indexed() {
    let testkit = chain_with_logs(ChainConfig::default(), 5);
    let node = testkit.node(NodeOptions {
        unindexed_blocks: 2,
        ..Default::default()
    });
    let logs_of = async |number: u64| {
        let receipts = ask(&node, "eth_getBlockReceipts", json!([format!("{number:#x}")])).await;
        let hash = receipts[0]["transactionHash"].clone();
        let receipt = ask(&node, "eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt, receipts[0]);
        assert_eq!(receipt["status"], "0x1");
        receipt["logs"].as_array().unwrap().len()
    };
    assert_eq!((logs_of(3).await, logs_of(4).await, logs_of(5).await), (1, 0, 0));
    let all = json!({"fromBlock": "0x0"});
    assert_eq!(logged(&node.client(), all.clone()).await.len(), 3);
    let hash = testkit.chain().block_at(5.into()).unwrap().header.hash;
    assert!(
        logged(&node.client(), json!({"blockHash": hash}))
            .await
            .is_empty()
    );
    testkit.chain().mine();
    assert_eq!((logs_of(4).await, logs_of(5).await), (1, 0));
    node.change(|options| options.unindexed_blocks = 0);
    assert_eq!(logged(&node.client(), all).await.len(), 5);
}

#[tokio::test]
async fn a_node_answers_with_geths_errors() {
    let testkit = Testkit::default();
    // Reverts with its input; runs into an invalid opcode; never ends.
    let [reverter, halter, looper] = [0x11, 0x12, 0x13].map(Address::repeat_byte);
    testkit
        .chain()
        .set_code(reverter, hex!("365f5f37365ffd"))
        .unwrap();
    testkit.chain().set_code(halter, [0xfe]).unwrap();
    testkit.chain().set_code(looper, [0x5b, 0x5f, 0x56]).unwrap();
    let node = late(&testkit, 0);
    let broke = Address::repeat_byte(0x14);
    for (method, params, code, start) in [
        (
            "eth_call",
            json!([{"to": reverter, "data": "0x5b051d22"}]),
            3,
            "execution reverted",
        ),
        ("eth_call", json!([{"to": halter}]), -32000, "InvalidFEOpcode"),
        (
            "eth_call",
            json!([{"to": looper, "gas": "0x100000"}]),
            -32000,
            "out of gas",
        ),
        (
            "eth_call",
            json!([{"from": broke, "to": reverter, "value": "0x1"}]),
            -32000,
            "insufficient funds for gas * price + value: address 0x1414141414141414141414141414141414141414 have 0 want 1",
        ),
        (
            "eth_estimateGas",
            json!([{"to": looper}]),
            -32000,
            "gas required exceeds allowance (30000000)",
        ),
        (
            "eth_getBalance",
            json!([broke, "0x99"]),
            -32000,
            "header not found",
        ),
        ("eth_getBalance", json!([]), -32602, "parameter 0 is missing"),
        (
            "eth_notAMethod",
            json!([]),
            -32601,
            "the method eth_notAMethod does not exist/is not available",
        ),
        ("eth_sendRawTransaction", json!(["0x1234"]), -32000, "rlp: "),
    ] {
        let (found, message) = refusal(&node, method, params).await;
        assert_eq!(found, code, "{message}");
        assert!(message.starts_with(start), "{message}");
    }
}

#[tokio::test]
async fn nodes_of_one_chain_have_their_own_options() {
    let testkit = chain_with_logs(ChainConfig::default(), 3);
    let [ahead, behind] = [late(&testkit, 0), late(&testkit, 5)];
    let number = async |node: &Node| node.provider().get_block_number().await.unwrap();
    assert_eq!((number(&ahead).await, number(&behind).await), (3, 0));
    behind.clone().change(|options| options.lag = 1);
    assert_eq!(number(&behind).await, 2);
    assert_eq!(behind.options().lag, 1);

    // A signer through a node, and a batch of answers.
    let provider = ahead.provider_with_signer(dev_accounts()[3].signer());
    let pending = provider
        .send_transaction(TransactionRequest::default().to(RECIPIENT).value(U256::from(1)))
        .await
        .unwrap();
    assert!(pending.get_receipt().await.unwrap().status());
    let client = behind.client();
    let mut batch = client.new_batch();
    let first = batch.add_call::<_, Value>("eth_blockNumber", &()).unwrap();
    let second = batch
        .add_call::<_, Value>("eth_getBlockByNumber", &(BlockNumberOrTag::Latest, false))
        .unwrap();
    batch.send().await.unwrap();
    assert_eq!(first.await.unwrap(), json!("0x3"));
    assert_eq!(second.await.unwrap()["number"], json!("0x3"));
}
