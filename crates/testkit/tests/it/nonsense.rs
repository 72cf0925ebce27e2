//! Whatever it is asked, it answers, and goes on.

use alloy::primitives::{Address, B256, hex};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof, proptest},
    sample::select,
    test_runner::{Config, FileFailurePersistence},
};
use serde_json::{Value, json};
use session_key_bindings::{ENTRY_POINT, ENTRY_POINT_V07};
use session_key_testkit::{BundlerOptions, Chain, Stack, StackV08, Testkit, dev_accounts};
use std::sync::LazyLock;

/// All methods of node and bundler, except those that mine as many blocks as they are told.
const METHODS: [&str; 66] = [
    "web3_clientVersion",
    "eth_chainId",
    "net_version",
    "eth_syncing",
    "eth_accounts",
    "eth_blockNumber",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_getProof",
    "eth_call",
    "eth_estimateGas",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_feeHistory",
    "eth_sendRawTransaction",
    "eth_sendRawTransactionSync",
    "eth_sendTransaction",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getBlockReceipts",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getLogs",
    "eth_newFilter",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
    "debug_traceCall",
    "debug_traceTransaction",
    "txpool_status",
    "txpool_content",
    "evm_increaseTime",
    "evm_setNextBlockTimestamp",
    "anvil_setNextBlockBaseFeePerGas",
    "evm_setAutomine",
    "anvil_getAutomine",
    "anvil_dropTransaction",
    "evm_snapshot",
    "evm_revert",
    "anvil_setBalance",
    "anvil_setNonce",
    "anvil_setCode",
    "anvil_setStorageAt",
    "anvil_impersonateAccount",
    "anvil_stopImpersonatingAccount",
    "eth_supportedEntryPoints",
    "eth_sendUserOperation",
    "eth_estimateUserOperationGas",
    "eth_getUserOperationReceipt",
    "eth_getUserOperationByHash",
    "debug_bundler_clearState",
    "debug_bundler_clearMempool",
    "debug_bundler_clearReputation",
    "debug_bundler_dumpMempool",
    "debug_bundler_sendBundleNow",
    "debug_bundler_setBundlingMode",
    "debug_bundler_setReputation",
    "debug_bundler_dumpReputation",
    "debug_bundler_addUserOps",
    "debug_bundler_getStakeStatus",
    "debug_bundler_setConfiguration",
    "eth_nothing",
];

/// Names of members that some method reads.
const MEMBERS: [&str; 52] = [
    "from",
    "to",
    "gas",
    "gasPrice",
    "maxFeePerGas",
    "maxPriorityFeePerGas",
    "value",
    "data",
    "input",
    "nonce",
    "type",
    "chainId",
    "accessList",
    "authorizationList",
    "blobVersionedHashes",
    "fromBlock",
    "toBlock",
    "blockHash",
    "blockNumber",
    "address",
    "topics",
    "tracer",
    "stateOverrides",
    "blockOverrides",
    "balance",
    "code",
    "state",
    "stateDiff",
    "movePrecompileToAddress",
    "number",
    "time",
    "gasLimit",
    "baseFee",
    "random",
    "timestamp",
    "blocks",
    "sender",
    "initCode",
    "factory",
    "factoryData",
    "callData",
    "callGasLimit",
    "verificationGasLimit",
    "preVerificationGas",
    "paymaster",
    "paymasterAndData",
    "paymasterVerificationGasLimit",
    "paymasterPostOpGasLimit",
    "paymasterData",
    "signature",
    "eip7702Auth",
    "opsSeen",
];

static BASE: LazyLock<(Chain, Vec<String>)> = LazyLock::new(|| {
    let mut chain = Chain::default();
    let stack = Stack::deploy(&mut chain).unwrap();
    let stack_v08 = StackV08::deploy(&mut chain).unwrap();
    let head = chain.block_at(chain.block_number().into()).unwrap();
    let hash = head.transactions.hashes().next().unwrap();
    let known = [
        dev_accounts()[0].address,
        ENTRY_POINT,
        ENTRY_POINT_V07,
        stack.account_factory,
        stack.token,
        stack_v08.account_factory,
        stack_v08.paymaster,
        Address::ZERO,
    ];
    let mut texts: Vec<String> = known.iter().map(ToString::to_string).collect();
    texts.extend([head.header.hash, hash, B256::ZERO].map(|hash| hash.to_string()));
    texts.push(hex::encode_prefixed(vec![0x5b; 30_000]));
    (chain, texts)
});

fn leaf() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "0x",
        "0x0",
        "0x00",
        "0x1",
        "0x2",
        "0x5208",
        "0xffff",
        "0x1c9c380",
        "0x3b9aca00",
        "0xffffffffffffffff",
        "0x10000000000000000",
        "0xg",
        "latest",
        "pending",
        "earliest",
        "safe",
        "finalized",
        "auto",
        "manual",
        "callTracer",
        "0x42505f5f5260205ff3",
        "0xef0100",
        "0xa9059cbb",
        "1",
        "-1",
        "🦀",
    ];
    prop_oneof![
        4 => select(BASE.1.clone()).prop_map(Value::from),
        4 => select(words.to_vec()).prop_map(Value::from),
        1 => Just(json!(format!("0x{}", "f".repeat(64)))),
        1 => any::<bool>().prop_map(Value::from),
        1 => select(vec![json!(0), json!(1), json!(-1), json!(u64::MAX), json!(1.5), json!(1e300), Value::Null]),
        1 => any::<Vec<u8>>().prop_map(|bytes| json!(hex::encode_prefixed(bytes))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 40, 12, |inner| {
        let member = (select(MEMBERS.to_vec()), inner.clone());
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            vec(member, 0..14).prop_map(|members| {
                let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect())
            }),
        ]
    })
}

/// An operation with a few members changed.
fn operation() -> impl Strategy<Value = Value> {
    (any::<bool>(), vec((select(MEMBERS.to_vec()), leaf()), 0..4)).prop_map(|(is_v07, changes)| {
        let mut operation = json!({
            "sender": dev_accounts()[0].address, "nonce": "0x0", "callData": "0x", "signature": "0x",
            "callGasLimit": "0x10000", "verificationGasLimit": "0x20000", "preVerificationGas": "0x20000",
            "maxFeePerGas": "0xb2d05e00", "maxPriorityFeePerGas": "0x0",
        });
        if !is_v07 {
            operation["initCode"] = json!("0x");
            operation["paymasterAndData"] = json!("0x");
        }
        for (name, value) in changes {
            operation[name] = value;
        }
        operation
    })
}

fn request() -> impl Strategy<Value = (&'static str, Value)> {
    let of_bundler = [
        "eth_sendUserOperation",
        "eth_estimateUserOperationGas",
        "debug_bundler_addUserOps",
    ];
    let entry_point = select(vec![ENTRY_POINT, ENTRY_POINT_V07]);
    prop_oneof![
        4 => (select(METHODS.to_vec()), vec(value(), 0..4)).prop_map(|(method, params)| (method, json!(params))),
        1 => (select(METHODS.to_vec()), value()),
        3 => (select(of_bundler.to_vec()), operation(), entry_point, value()).prop_map(
            |(method, operation, entry_point, more)| {
                let operation = if method.starts_with("debug") { json!([operation]) } else { operation };
                (method, json!([operation, entry_point, more]))
            }
        ),
    ]
}

async fn ask(requests: Vec<(&'static str, Value)>) {
    let testkit = Testkit::from(BASE.0.clone());
    let bundler = testkit.bundler(BundlerOptions {
        auto: true,
        debug_methods: true,
        ..Default::default()
    });
    let client = testkit
        .by_the_clock(bundler.transport_with_node(testkit.transport()))
        .client();
    for (method, params) in requests {
        let answer = client.request::<_, Value>(method, params.clone()).await;
        if let Err(error) = answer {
            let answer = error.as_error_resp();
            let answer = answer.unwrap_or_else(|| panic!("{method} {params}: {error}"));
            assert!(
                answer.code != 0 && !answer.message.is_empty(),
                "{method} {params}"
            );
        }
    }
    // Whatever it was told, it still mines and saves.
    let mut chain = testkit.chain();
    let before = chain.block_number();
    chain.mine();
    assert_eq!(chain.block_number(), before + 1);
    let loaded = Chain::load(&chain.save().unwrap()).unwrap();
    assert_eq!(loaded.block_number(), chain.block_number());
}

proptest! {
    #![proptest_config(Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64),
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    })]

    #[test]
    fn nonsense_gets_an_answer_and_changes_nothing_for_the_worse(requests in vec(request(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(ask(requests));
    }
}
