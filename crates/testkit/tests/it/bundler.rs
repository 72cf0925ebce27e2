//! The bundler's behaviour towards clients.

use crate::{
    bundler_v07::members,
    requests::{answer_of, failure_of},
    session::Session,
};
use alloy::{
    consensus::Transaction as _,
    primitives::{Address, B256, Bytes, U256, address, hex},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError, SolEvent},
};
use serde_json::{Value, json};
use session_key_bindings::{
    Call, ENTRY_POINT, IEntryPoint, IModularAccount, IModularAccountFactory, ISessionKeyPlugin, UserOperation,
};
use session_key_testkit::{
    AbsentForm, Bundler, BundlerOptions, BundlerWords, Chain, ChainConfig, Duplicates, ErrorAnswer, Fate,
    NodeOptions, NumberForm, ReasonForm, RevertDataForm, Submission, SuccessForm, TestToken, Testkit,
    VerificationGasName, dev_accounts,
};
use std::{collections::BTreeSet, sync::Arc};

const RECIPIENT: Address = address!("0x0000000000000000000000000000000000000b0b");

const GWEI: u64 = 1_000_000_000;

/// An account with a session key, on a chain with a bundler. The session's own chain stays in its initial
/// state.
struct World {
    session: Session,
    testkit: Testkit,
    bundler: Bundler,
}

impl World {
    /// Mines everything at once; bundles nothing by itself.
    fn new(options: BundlerOptions) -> Self {
        let session = Session::new();
        let testkit = Testkit::from(session.chain.clone());
        testkit.chain().set_finality_distances(0, 100);
        let bundler = testkit.bundler(options);
        Self {
            session,
            testkit,
            bundler,
        }
    }

    fn automatic() -> Self {
        Self::new(BundlerOptions {
            auto: true,
            ..Default::default()
        })
    }

    /// Returns the session key's `sequence`-th operation, signed: a token transfer.
    fn transfer(&self, sequence: u64, amount: u64) -> UserOperation {
        self.changed_transfer(sequence, amount, |_| ())
    }

    fn changed_transfer(
        &self,
        sequence: u64,
        amount: u64,
        change: impl FnOnce(&mut UserOperation),
    ) -> UserOperation {
        let mut operation = self.session.unsigned_transfer(RECIPIENT, amount);
        operation.nonce += U256::from(sequence);
        change(&mut operation);
        self.session.sign(operation)
    }

    /// Returns an operation that the key may not send: its call's target is not on the list.
    fn forbidden(&self, sequence: u64) -> UserOperation {
        self.changed_transfer(sequence, 1, |operation| {
            let call = ISessionKeyPlugin::executeWithSessionKeyCall {
                calls: vec![Call {
                    target: RECIPIENT,
                    value: U256::ZERO,
                    data: Bytes::new(),
                }],
                sessionKey: self.session.key.address,
            };
            operation.callData = call.abi_encode().into();
        })
    }

    fn tokens(&self) -> U256 {
        let call = TestToken::balanceOfCall { account: RECIPIENT };
        let token = self.session.stack.token;
        self.testkit.chain().read(Address::ZERO, token, &call).unwrap()
    }

    async fn ask(&self, method: &'static str, params: Value) -> Value {
        answer_of(&self.bundler.client(), method, params).await
    }

    async fn refusal(&self, method: &'static str, params: Value) -> (i64, String) {
        failure_of(&self.bundler.client(), method, params).await
    }

    async fn send(&self, operation: &UserOperation) -> B256 {
        let answer = self
            .ask("eth_sendUserOperation", json!([wire(operation), ENTRY_POINT]))
            .await;
        serde_json::from_value(answer).unwrap()
    }

    async fn refused(&self, operation: &UserOperation) -> (i64, String) {
        self.refusal("eth_sendUserOperation", json!([wire(operation), ENTRY_POINT]))
            .await
    }

    async fn receipt(&self, hash: B256) -> Value {
        self.ask("eth_getUserOperationReceipt", json!([hash])).await
    }

    async fn estimate(&self, operation: Value) -> Value {
        self.ask("eth_estimateUserOperationGas", json!([operation, ENTRY_POINT]))
            .await
    }

    fn waiting(&self) -> Vec<B256> {
        self.bundler
            .pool()
            .into_iter()
            .map(|pooled| pooled.hash)
            .collect()
    }

    /// Sends a bundle, and returns its operations.
    fn bundled(&self) -> Vec<B256> {
        let bundle = self.bundler.bundle_now().unwrap();
        bundle.map(|bundle| bundle.operations).unwrap_or_default()
    }

    fn deposit(&self, account: Address, amount: u64) {
        let deposit = IEntryPoint::depositToCall { account };
        let request = TransactionRequest::default()
            .from(dev_accounts()[3].address)
            .to(ENTRY_POINT)
            .value(U256::from(amount))
            .input(deposit.abi_encode().into());
        self.testkit.chain().send(request).unwrap().ok().unwrap();
    }

    /// Creates an account with a deposit that returns these validation data for every call.
    fn yes_man(&self, number: u8, validation_data: U256) -> Address {
        let account = Address::repeat_byte(number);
        let code = [
            [0x7f].as_slice(),
            &validation_data.to_be_bytes::<32>(),
            // PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
            &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3],
        ];
        self.testkit.chain().set_code(account, code.concat()).unwrap();
        self.deposit(account, 10u64.pow(17));
        account
    }

    /// Returns an operation of such an account.
    fn of(&self, sender: Address, nonce: u64) -> UserOperation {
        UserOperation {
            sender,
            nonce: U256::from(nonce),
            signature: vec![1; 65].into(),
            callData: Bytes::from_static(&[1, 2, 3, 4]),
            ..self.session.unsigned_transfer(RECIPIENT, 1)
        }
    }
}

/// Formats an operation as clients send it.
fn wire(operation: &UserOperation) -> Value {
    json!({
        "sender": operation.sender,
        "nonce": operation.nonce,
        "initCode": operation.initCode,
        "callData": operation.callData,
        "callGasLimit": operation.callGasLimit,
        "verificationGasLimit": operation.verificationGasLimit,
        "preVerificationGas": operation.preVerificationGas,
        "maxFeePerGas": operation.maxFeePerGas,
        "maxPriorityFeePerGas": operation.maxPriorityFeePerGas,
        "paymasterAndData": operation.paymasterAndData,
        "signature": operation.signature,
    })
}

/// Packs validation data: valid from and until, in unix seconds.
fn between(valid_after: u64, valid_until: u64) -> U256 {
    (U256::from(valid_after) << 208) | (U256::from(valid_until) << 160)
}

#[tokio::test]
async fn an_operation_waits_is_bundled_and_has_a_receipt() {
    let world = World::new(BundlerOptions::default());
    let operation = world.transfer(0, 5);
    let hash = world.send(&operation).await;
    assert_eq!(hash, world.session.hash(&operation));
    let pool = world.bundler.pool();
    assert_eq!(
        (pool.len(), &pool[0].operation, pool[0].hash),
        (1, &operation.clone().into(), hash)
    );
    assert_eq!(world.receipt(hash).await, Value::Null);
    let pending = world.ask("eth_getUserOperationByHash", json!([hash])).await;
    assert_eq!(pending["userOperation"], wire(&operation));
    assert_eq!(pending["entryPoint"], json!(ENTRY_POINT.to_checksum(None)));
    for member in ["transactionHash", "blockHash", "blockNumber"] {
        assert_eq!(pending[member], Value::Null, "{member}");
    }

    let executor = dev_accounts()[9].address;
    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    assert_eq!(bundle.operations, [hash]);
    assert_eq!(world.tokens(), 5);
    assert!(world.bundler.pool().is_empty());
    assert_eq!(world.bundler.bundle_now(), Ok(None));

    let node = world.testkit.provider();
    let transaction = node
        .get_transaction_receipt(bundle.transaction)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((transaction.from, transaction.to), (executor, Some(ENTRY_POINT)));
    let receipt = world.receipt(hash).await;
    let expected = json!({
        "userOpHash": hash,
        "entryPoint": ENTRY_POINT,
        "sender": operation.sender,
        "nonce": operation.nonce,
        "paymaster": null,
        "actualGasCost": receipt["actualGasCost"],
        "actualGasUsed": receipt["actualGasUsed"],
        "success": true,
        "reason": null,
        "logs": receipt["logs"],
        "receipt": transaction,
    });
    assert_eq!(receipt, expected);
    let gas = |member: &str| -> U256 { serde_json::from_value(receipt[member].clone()).unwrap() };
    assert!(gas("actualGasUsed") > U256::from(100_000));
    assert_eq!(
        gas("actualGasCost"),
        gas("actualGasUsed") * U256::from(transaction.effective_gas_price)
    );
    let logs = receipt["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 1, "the token's event alone");
    assert_eq!(logs[0]["address"], json!(world.session.stack.token));

    let included = world.ask("eth_getUserOperationByHash", json!([hash])).await;
    assert_eq!(included["userOperation"], wire(&operation));
    assert_eq!(included["transactionHash"], json!(bundle.transaction));
    assert_eq!(included["blockHash"], json!(transaction.block_hash));
    assert_eq!(
        included["blockNumber"],
        json!(U256::from(transaction.block_number.unwrap()))
    );
    let unknown = json!([B256::repeat_byte(1)]);
    assert_eq!(
        world.ask("eth_getUserOperationByHash", unknown.clone()).await,
        Value::Null
    );
    assert_eq!(
        world.ask("eth_getUserOperationReceipt", unknown).await,
        Value::Null
    );
}

#[tokio::test]
async fn auto_bundles_operations_immediately() {
    let world = World::automatic();
    let hash = world.send(&world.transfer(0, 5)).await;
    assert_eq!(world.tokens(), 5);
    assert_eq!(world.receipt(hash).await["success"], json!(true));
    assert!(world.bundler.pool().is_empty());
    // The next operation of the lane follows.
    world.send(&world.transfer(1, 6)).await;
    assert_eq!(world.tokens(), 11);
    // One that comes before its predecessor waits for it.
    world.send(&world.transfer(3, 7)).await;
    assert_eq!(world.tokens(), 11);
    world.send(&world.transfer(2, 8)).await;
    assert_eq!(world.tokens(), 26);
    assert!(world.bundler.pool().is_empty());
}

#[tokio::test]
async fn auto_bundles_what_waited_for_a_block() {
    let world = World::new(BundlerOptions::default());
    world.send(&world.transfer(0, 5)).await;
    world.bundler.change(|options| options.auto = true);
    let node = world
        .bundler
        .transport_with_node(world.testkit.transport())
        .client();
    answer_of(&node, "eth_blockNumber", json!([])).await;
    assert_eq!(world.tokens(), 0);
    answer_of(&node, "evm_mine", json!([])).await;
    assert_eq!(world.tokens(), 5);
    // Whoever is told so bundles at once.
    world.bundler.change(|options| {
        options.auto = false;
        options.debug_methods = true;
    });
    world.send(&world.transfer(1, 5)).await;
    world.ask("debug_bundler_setBundlingMode", json!(["auto"])).await;
    assert_eq!(world.tokens(), 10);
}

#[tokio::test]
async fn the_bundler_has_only_bundler_methods() {
    let world = World::new(BundlerOptions::default());
    assert_eq!(
        world.ask("eth_supportedEntryPoints", json!([])).await,
        json!([ENTRY_POINT])
    );
    assert_eq!(world.ask("eth_chainId", json!([])).await, "0x7a69");
    for method in ["eth_blockNumber", "eth_call", "pimlico_getUserOperationGasPrice"] {
        assert_eq!(world.refusal(method, json!([])).await.0, -32601, "{method}");
    }
    world.bundler.change(|options| {
        options.missing_methods = ["eth_getUserOperationByHash".to_owned()].into();
    });
    let hash = json!([B256::ZERO]);
    assert_eq!(
        world.refusal("eth_getUserOperationByHash", hash.clone()).await.0,
        -32601
    );
    assert_eq!(world.ask("eth_getUserOperationReceipt", hash).await, Value::Null);

    // Bundler and node behind one transport.
    let both = world.bundler.transport_with_node(world.testkit.transport());
    let client = both.client();
    let number = world.testkit.chain().block_number();
    assert_eq!(
        answer_of(&client, "eth_blockNumber", json!([])).await,
        json!(U256::from(number))
    );
    assert_eq!(
        answer_of(&client, "eth_supportedEntryPoints", json!([])).await,
        json!([ENTRY_POINT])
    );
    let mut batch = client.new_batch();
    let first = batch
        .add_call::<_, Value>("eth_supportedEntryPoints", &())
        .unwrap();
    let second = batch.add_call::<_, Value>("eth_gasPrice", &()).unwrap();
    batch.send().await.unwrap();
    assert_eq!(first.await.unwrap(), json!([ENTRY_POINT]));
    assert!(second.await.unwrap().is_string());

    // Its own fee methods, under the names of two bundlers.
    world.bundler.change(|options| {
        options.min_priority_fee = 1_000;
        options.style.words = BundlerWords::Alto;
    });
    let fees = world.ask("pimlico_getUserOperationGasPrice", json!([])).await;
    assert_eq!(fees["slow"]["maxPriorityFeePerGas"], json!("0x41a"));
    assert!(fees["fast"]["maxFeePerGas"].is_string());
    world
        .bundler
        .change(|options| options.style.words = BundlerWords::Rundler);
    assert_eq!(
        world.ask("rundler_maxPriorityFeePerGas", json!([])).await,
        json!("0x3e8")
    );
}

#[tokio::test]
async fn operations_are_read_strictly() {
    let world = World::new(BundlerOptions::default());
    let operation = wire(&world.transfer(0, 5));
    for method in ["eth_sendUserOperation", "eth_estimateUserOperationGas"] {
        for (member, value) in [
            ("sender", json!("0x12")),
            ("sender", Value::Null),
            ("nonce", json!(7)),
            ("nonce", json!("7")),
            ("nonce", json!("0x")),
            ("nonce", json!("0xg")),
            ("nonce", json!("0x0_0")),
            ("nonce", json!(format!("0x1{:064}", 0))),
            ("initCode", json!("")),
            ("callData", json!("0x1")),
            ("callGasLimit", json!("21000")),
            ("maxFeePerGas", json!(1)),
            ("signature", json!(null)),
        ] {
            let mut changed = operation.clone();
            changed[member] = value.clone();
            let (code, message) = world.refusal(method, json!([changed, ENTRY_POINT])).await;
            assert_eq!(code, -32602, "{member} {value}");
            assert!(message.contains(member), "{message}");
        }
        for params in [json!([]), json!([operation]), json!([7, ENTRY_POINT]), json!({})] {
            assert_eq!(world.refusal(method, params).await.0, -32602);
        }
        let elsewhere = json!([operation, Address::repeat_byte(7)]);
        assert_eq!(world.refusal(method, elsewhere).await.0, -32602);
    }
    for member in operation.as_object().unwrap().keys() {
        let mut without = operation.clone();
        without.as_object_mut().unwrap().remove(member);
        let (code, message) = world
            .refusal("eth_sendUserOperation", json!([without, ENTRY_POINT]))
            .await;
        assert_eq!((code, message.contains(member)), (-32602, true), "{message}");
    }
    assert!(world.bundler.pool().is_empty());
}

#[tokio::test]
async fn refusals_of_the_entry_point_keep_their_words() {
    let world = World::new(BundlerOptions::default());
    let start = |(code, message): (i64, String)| (code, message.chars().take(4).collect::<String>());
    let refused = |code: i64, aa: &str| (code, aa.to_owned());
    let forbidden = world.forbidden(0);
    assert_eq!(start(world.refused(&forbidden).await), refused(-32500, "AA23"));
    // Signed before the change.
    let mut changed = world.transfer(0, 1);
    changed.callGasLimit += U256::ONE;
    assert_eq!(
        world.refused(&changed).await,
        (-32507, "AA24 signature error".into())
    );
    let nobody = world.changed_transfer(0, 1, |operation| operation.sender = Address::repeat_byte(9));
    assert_eq!(start(world.refused(&nobody).await), refused(-32500, "AA20"));
    let unpaid = world.changed_transfer(0, 1, |operation| {
        operation.paymasterAndData = world.session.stack.paymaster.into_array().into();
    });
    assert_eq!(start(world.refused(&unpaid).await), refused(-32501, "AA31"));
    let balance = world.testkit.chain().balance(world.session.account);
    world
        .testkit
        .chain()
        .set_balance(world.session.account, U256::from(GWEI));
    assert_eq!(
        start(world.refused(&world.transfer(0, 1)).await),
        refused(-32500, "AA21")
    );
    world.testkit.chain().set_balance(world.session.account, balance);
    // No contract at all.
    let out_of_gas = world.changed_transfer(0, 1, |operation| {
        operation.verificationGasLimit = U256::from(1_000)
    });
    assert_eq!(start(world.refused(&out_of_gas).await), refused(-32500, "AA23"));
    assert!(world.bundler.pool().is_empty());
    world.send(&world.transfer(0, 1)).await;
}

#[tokio::test]
async fn validity_ends_and_begins_with_the_next_block() {
    let world = World::new(BundlerOptions::default());
    let now = world.testkit.chain().next_timestamp();
    let account = |number, validation_data| world.yes_man(number, validation_data);
    let expired = account(0x21, between(0, now - 1));
    let ends = account(0x22, between(0, now + 10));
    let not_due = account(0x23, between(now + 20, 0));
    let begins = account(0x24, between(now, 0));
    let signature = account(0x25, U256::ONE);
    let aggregated = account(0x26, U256::from(0x1234));
    // Each deposit took a block.
    world.testkit.chain().set_next_timestamp(now + 10).unwrap();
    let expect = async |account, expected: Option<(i64, &str)>| {
        let operation = world.of(account, 0);
        match expected {
            Some((code, message)) => assert_eq!(world.refused(&operation).await, (code, message.to_owned())),
            None => drop(world.send(&operation).await),
        }
    };
    expect(expired, Some((-32503, "AA22 expired or not due"))).await;
    expect(ends, None).await;
    expect(not_due, Some((-32503, "AA22 expired or not due"))).await;
    expect(begins, None).await;
    expect(signature, Some((-32507, "AA24 signature error"))).await;
    let (code, message) = world.refused(&world.of(aggregated, 0)).await;
    assert_eq!(
        (
            code,
            message.contains("0x0000000000000000000000000000000000001234")
        ),
        (-32506, true)
    );
    assert_eq!(world.bundler.pool().len(), 2);

    world.bundler.change(|options| options.min_seconds_valid = 1);
    let ends_too = account(0x27, between(0, now + 11));
    world.testkit.chain().set_next_timestamp(now + 11).unwrap();
    expect(ends_too, Some((-32503, "AA22 expired or not due"))).await;

    // Operations that expire while pending are dropped when they would be bundled.
    let bundled = world.bundled();
    assert_eq!(bundled, [world.session.hash(&world.of(begins, 0))]);
    assert!(world.bundler.pool().is_empty());
}

#[tokio::test]
async fn fees_and_gas_have_bounds() {
    let world = World::new(BundlerOptions {
        min_priority_fee: 1_000,
        max_verification_gas: 600_000,
        ..Default::default()
    });
    let base_fee = world.testkit.chain().next_base_fee();
    let least = U256::from(base_fee + 1_000);
    let with = |change: &dyn Fn(&mut UserOperation)| world.changed_transfer(0, 1, change);
    let required = {
        let text = world
            .refused(&with(&|operation| operation.preVerificationGas = U256::ZERO))
            .await;
        assert_eq!(text.0, -32602);
        let number = text
            .1
            .split("required: ")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        number.parse::<u64>().unwrap()
    };
    assert!((43_000..47_000).contains(&required), "{required}");
    let cases: Vec<(UserOperation, i64, String)> = vec![
        (
            with(&|operation| operation.maxPriorityFeePerGas = U256::from(999)),
            -32000,
            "precheck failed: maxPriorityFeePerGas is 999 but must be at least 1000".into(),
        ),
        (
            with(&|operation| {
                operation.maxFeePerGas = least - U256::ONE;
                operation.maxPriorityFeePerGas = U256::from(1_000);
            }),
            -32000,
            format!(
                "precheck failed: maxFeePerGas is {} but must be at least {least}",
                least - U256::ONE
            ),
        ),
        (
            with(&|operation| operation.maxPriorityFeePerGas = operation.maxFeePerGas + U256::ONE),
            -32602,
            "maxPriorityFeePerGas is greater than maxFeePerGas".into(),
        ),
        (
            with(&|operation| operation.verificationGasLimit = U256::from(600_001)),
            -32000,
            "precheck failed: verificationGasLimit is 600001 but must be at most 600000".into(),
        ),
        (
            with(&|operation| operation.callGasLimit = U256::MAX),
            -32000,
            format!(
                "precheck failed: callGasLimit is {} but must be at most 30000000",
                U256::MAX
            ),
        ),
    ];
    for (operation, code, message) in cases {
        assert_eq!(world.refused(&operation).await, (code, message));
    }
    // One more nonzero byte.
    let exact = with(&|operation| operation.preVerificationGas = U256::from(required));
    let (_, message) = world.refused(&exact).await;
    assert!(
        message.starts_with("preVerificationGas is not enough, required: "),
        "{message}"
    );
    // Other fees and another signature have other bytes, at most 12 gas more each.
    let enough = with(&|operation| {
        operation.preVerificationGas = U256::from(required + 200);
        operation.maxFeePerGas = least;
        operation.maxPriorityFeePerGas = U256::from(1_000);
    });
    world.send(&enough).await;
}

#[tokio::test]
async fn a_duplicate_operation_gets_the_configured_answer() {
    let world = World::new(BundlerOptions::default());
    let operation = world.transfer(0, 5);
    let hash = world.send(&operation).await;
    for (duplicates, expected) in [
        (Duplicates::AlreadyKnown, Some((-32602, "already known"))),
        (
            Duplicates::Underpriced,
            Some((-32602, "replacement user operation underpriced")),
        ),
        (Duplicates::Accepted, None),
    ] {
        world.bundler.change(|options| options.duplicates = duplicates);
        match expected {
            Some((code, message)) => assert_eq!(world.refused(&operation).await, (code, message.to_owned())),
            None => assert_eq!(world.send(&operation).await, hash),
        }
        assert_eq!(world.waiting(), [hash]);
    }
    // Once it is included, its nonce is used.
    world.bundled();
    assert_eq!(
        world.refused(&operation).await,
        (-32500, "AA25 invalid account nonce".into())
    );
    // A different operation gets another answer, whatever it pays.
    let other = world.changed_transfer(0, 6, |operation| operation.maxFeePerGas *= U256::from(3));
    assert_eq!(world.refused(&other).await.1, "AA25 invalid account nonce");
}

#[tokio::test]
async fn a_replacement_pays_a_tenth_more_of_both_fees() {
    let world = World::new(BundlerOptions::default());
    let offer = |amount, max_fee: u64, tip: u64| {
        world.changed_transfer(0, amount, |operation| {
            operation.maxFeePerGas = U256::from(max_fee);
            operation.maxPriorityFeePerGas = U256::from(tip);
        })
    };
    let first = world.send(&offer(1, 2 * GWEI, GWEI)).await;
    for (max_fee, tip) in [
        (22 * GWEI / 10 - 1, 11 * GWEI / 10),
        (22 * GWEI / 10, 11 * GWEI / 10 - 1),
        (9 * GWEI, GWEI),
        (2 * GWEI, GWEI),
    ] {
        let (code, message) = world.refused(&offer(2, max_fee, tip)).await;
        assert_eq!(
            (code, message.as_str()),
            (-32602, "replacement user operation underpriced")
        );
    }
    assert_eq!(world.waiting(), [first]);
    let second = world.send(&offer(3, 22 * GWEI / 10, 11 * GWEI / 10)).await;
    assert_eq!(world.waiting(), [second]);
    assert_eq!(
        world.ask("eth_getUserOperationByHash", json!([first])).await,
        Value::Null
    );
    assert_eq!(world.bundled(), [second]);
    assert_eq!(world.tokens(), 3);
}

#[tokio::test]
async fn replacing_a_bundled_operation_follows_the_options() {
    let world = World::new(BundlerOptions {
        replaces_bundled: false,
        ..Default::default()
    });
    world.testkit.chain().set_automine(false);
    let first = world.send(&world.transfer(0, 1)).await;
    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    assert_eq!(world.bundler.pool()[0].transaction, Some(bundle.transaction));
    let more = world.changed_transfer(0, 2, |operation| {
        operation.maxFeePerGas *= U256::from(2);
        operation.maxPriorityFeePerGas *= U256::from(2);
    });
    assert_eq!(world.refused(&more).await.0, -32602);
    world.bundler.change(|options| options.replaces_bundled = true);
    let second = world.send(&more).await;
    assert_eq!(world.waiting(), [second]);
    // Only one of the two can be included: here the first, which is pending.
    world.testkit.chain().mine();
    assert!(world.bundler.pool().is_empty());
    assert_eq!(world.receipt(first).await["success"], json!(true));
    assert_eq!(world.receipt(second).await, Value::Null);
    assert_eq!(world.tokens(), 1);
}

#[tokio::test]
async fn nonces_may_be_ahead_within_the_limit() {
    let world = World::new(BundlerOptions {
        nonces_ahead: 2,
        max_per_sender: None,
        ..Default::default()
    });
    let hashes = [
        world.send(&world.transfer(2, 30)).await,
        world.send(&world.transfer(1, 20)).await,
        world.send(&world.transfer(0, 10)).await,
    ];
    assert_eq!(
        world.refused(&world.transfer(3, 40)).await,
        (-32500, "AA25 invalid account nonce".into())
    );
    // Included one by one, in the lane's order.
    for (hash, tokens) in [(hashes[2], 10), (hashes[1], 30), (hashes[0], 60)] {
        assert_eq!(world.bundled(), [hash]);
        assert_eq!(world.tokens(), tokens);
    }
    world.send(&world.transfer(4, 1)).await;
    assert!(world.bundled().is_empty(), "there is a gap before it");
    // With none ahead, only the next nonce is accepted.
    world.bundler.change(|options| options.nonces_ahead = 0);
    assert_eq!(
        world.refused(&world.transfer(5, 1)).await.1,
        "AA25 invalid account nonce"
    );
    world.send(&world.transfer(3, 1)).await;
    // An operation that is ahead is simulated as well.
    world.bundler.change(|options| options.nonces_ahead = 10);
    let mut forged = world.transfer(6, 1);
    forged.callGasLimit += U256::ONE;
    assert_eq!(world.refused(&forged).await.0, -32507);
}

#[tokio::test]
async fn a_sender_has_a_maximum_of_operations_in_the_mempool() {
    let world = World::new(BundlerOptions {
        max_per_sender: Some(2),
        ..Default::default()
    });
    let account = world.yes_man(0x31, U256::ZERO);
    let in_lane = |lane: u64| {
        let mut operation = world.of(account, 0);
        operation.nonce = U256::from(lane) << 64;
        operation
    };
    world.send(&in_lane(0)).await;
    world.send(&in_lane(1)).await;
    let (code, message) = world.refused(&in_lane(2)).await;
    assert_eq!(code, -32505, "{message}");
    // A replacement does not count; another sender has its own quota.
    let mut more = in_lane(1);
    more.maxFeePerGas *= U256::from(2);
    more.maxPriorityFeePerGas *= U256::from(2);
    world.send(&more).await;
    world.send(&world.transfer(0, 1)).await;
    assert_eq!(world.bundler.pool().len(), 3);
}

#[tokio::test]
async fn bundles_take_the_best_first_with_a_maximum_per_sender() {
    let world = World::new(BundlerOptions {
        max_bundle: 3,
        ..Default::default()
    });
    let accounts: Vec<Address> = (0..3)
        .map(|index| world.yes_man(0x41 + index, U256::ZERO))
        .collect();
    let with_tip = |account: usize, lane: u64, tip: u64| {
        let mut operation = world.of(accounts[account], 0);
        operation.nonce = U256::from(lane) << 64;
        operation.maxPriorityFeePerGas = U256::from(tip);
        operation
    };
    let mut hashes = Vec::new();
    for operation in [
        with_tip(0, 0, 100),
        with_tip(0, 1, 300),
        with_tip(1, 0, 300),
        with_tip(2, 0, 350),
        with_tip(2, 1, 400),
    ] {
        hashes.push(world.send(&operation).await);
    }
    // One per sender, by tip, then by arrival.
    assert_eq!(world.bundled(), [hashes[4], hashes[1], hashes[2]]);
    assert_eq!(world.bundled(), [hashes[3], hashes[0]]);
    // Two per sender, if allowed.
    world.bundler.change(|options| {
        options.max_per_sender_in_bundle = 2;
        options.max_bundle = 2;
    });
    let again = |nonce: u64| {
        let mut operation = world.of(accounts[0], 1);
        operation.nonce |= U256::from(nonce) << 64;
        operation
    };
    let pair = [world.send(&again(0)).await, world.send(&again(1)).await];
    let third = world.send(&world.of(accounts[2], 1)).await;
    assert_eq!(world.bundled(), pair);
    assert_eq!(world.bundled(), [third]);

    // A held operation stays; one whose fees no longer suffice waits until they do.
    world.bundler.change(|options| options.base_fee_percent = 50);
    let operation = world.of(accounts[1], 1);
    let held = world.send(&operation).await;
    assert!(world.bundler.hold(held));
    assert!(world.bundler.pool()[0].held);
    assert!(world.bundled().is_empty());
    assert!(world.bundler.release(held));
    world.testkit.chain().set_next_base_fee(3 * GWEI);
    assert!(world.bundled().is_empty());
    world.testkit.chain().set_next_base_fee(GWEI);
    assert_eq!(world.bundled(), [held]);
    assert!(!world.bundler.hold(held));
    assert!(!world.bundler.drop_operation(held));
}

/// What passed once is run again after any change, and judged again as time passes.
#[tokio::test]
async fn an_operation_is_validated_again_after_any_change() {
    // TIMESTAMP POP, and an answer of zero: valid, and against the rules.
    let breaks_a_rule = hex!("42505f5f5260205ff3");
    for change in ["none", "time", "code", "another past", "rules"] {
        let world = World::new(BundlerOptions {
            rules: (change != "rules").then(Default::default),
            ..Default::default()
        });
        let now = world.testkit.chain().next_timestamp();
        let account = world.yes_man(0x2a, between(0, now + 10));
        if change == "rules" {
            world.testkit.chain().set_code(account, breaks_a_rule).unwrap();
        }
        let snapshot = world.testkit.chain().snapshot();
        world.testkit.chain().set_balance(RECIPIENT, U256::ONE);
        let hash = world.send(&world.of(account, 0)).await;
        match change {
            "time" => world.testkit.chain().set_next_timestamp(now + 11).unwrap(),
            "code" => world.testkit.chain().set_code(account, breaks_a_rule).unwrap(),
            "another past" => {
                let mut chain = world.testkit.chain();
                chain.revert(snapshot).unwrap();
                // As many changes as there were.
                chain.set_code(account, breaks_a_rule).unwrap();
            }
            "rules" => world
                .bundler
                .change(|options| options.rules = Some(Default::default())),
            _ => (),
        }
        let expected = if change == "none" { vec![hash] } else { Vec::new() };
        assert_eq!(world.bundled(), expected, "{change}");
        assert!(world.waiting().is_empty(), "{change}");
    }
}

#[tokio::test]
async fn an_operation_that_fails_after_others_is_dropped_from_the_bundle() {
    let world = World::new(BundlerOptions::default());
    let paymaster = world.session.stack.paymaster;
    let accounts: Vec<Address> = (0..3)
        .map(|index| world.yes_man(0x51 + index, U256::ZERO))
        .collect();
    let sponsored = |account: usize, tip: u64| {
        let mut operation = world.of(accounts[account], 0);
        operation.paymasterAndData = paymaster.into_array().into();
        operation.maxPriorityFeePerGas = U256::from(tip);
        operation
    };
    // 500,000 + 3 * 500,000 + 50,000 gas units at 2 gwei.
    let cost = 2_050_000 * 2 * GWEI;
    world.deposit(paymaster, 2 * cost);
    let first = world.send(&sponsored(0, 300)).await;
    world.send(&sponsored(1, 200)).await;
    // What is left is enough for one at a time.
    let withdrawal = IEntryPoint::withdrawToCall {
        withdrawAddress: RECIPIENT,
        withdrawAmount: U256::from(cost),
    };
    let withdrawn = world
        .testkit
        .chain()
        .transact(paymaster, ENTRY_POINT, &withdrawal);
    withdrawn.unwrap();
    let mut own = world.of(accounts[2], 0);
    own.maxPriorityFeePerGas = U256::from(100);
    let third = world.send(&own).await;
    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    assert_eq!(bundle.operations, [first, third]);
    assert!(world.bundler.pool().is_empty());
    assert!(
        world
            .testkit
            .chain()
            .receipt(bundle.transaction)
            .unwrap()
            .status()
    );
}

#[tokio::test]
async fn an_undone_operation_is_pending_again_or_dropped() {
    for (bundlers, chains, happens_again) in [
        (Fate::Pooled, Fate::Dropped, true),
        (Fate::Dropped, Fate::Dropped, false),
        (Fate::Pooled, Fate::Pooled, true),
        (Fate::Dropped, Fate::Pooled, true),
    ] {
        let world = World::new(BundlerOptions {
            after_reorganization: bundlers,
            ..Default::default()
        });
        let operation = world.transfer(0, 5);
        let hash = world.send(&operation).await;
        world.bundled();
        // The bundler observes the outcome, whatever is requested in between.
        assert_eq!(world.receipt(hash).await["success"], json!(true));
        world.testkit.chain().mine();
        world.testkit.chain().reorganize(2, |_| chains).unwrap();
        assert_eq!(world.tokens(), 0);
        assert_eq!(world.receipt(hash).await, Value::Null);
        let pooled = world.bundler.pool();
        match bundlers {
            Fate::Pooled => {
                assert_eq!(world.waiting(), [hash]);
                assert_eq!(pooled[0].transaction.is_some(), chains == Fate::Pooled);
            }
            Fate::Dropped => assert!(pooled.is_empty()),
        }
        // A pending transaction still carries it; otherwise it is bundled again.
        let bundled = world.bundled();
        assert_eq!(
            !bundled.is_empty(),
            bundlers == Fate::Pooled && chains == Fate::Dropped
        );
        world.testkit.chain().mine();
        assert_eq!(world.tokens(), if happens_again { 5 } else { 0 });
        assert!(world.bundler.pool().is_empty());
        if !happens_again {
            // It is unknown now, and can be sent again.
            world.send(&operation).await;
        }
    }
}

#[tokio::test]
async fn a_lost_transaction_frees_its_operations() {
    let world = World::new(BundlerOptions::default());
    world.testkit.chain().set_automine(false);
    let hash = world.send(&world.transfer(0, 5)).await;
    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    assert_eq!(world.bundler.bundle_now(), Ok(None), "it is on its way");
    assert_eq!(world.testkit.chain().pool().len(), 1);
    world.testkit.chain().drop_pooled(bundle.transaction).unwrap();
    assert_eq!(world.bundler.pool()[0].transaction, None);
    assert_eq!(world.bundled(), [hash]);
    world.testkit.chain().mine();
    assert_eq!(world.tokens(), 5);

    // A reverting transaction includes nothing: here, because another one came first.
    let hash = world.send(&world.transfer(1, 6)).await;
    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    let balance = world.testkit.chain().balance(world.session.account);
    world
        .testkit
        .chain()
        .set_balance(world.session.account, U256::ZERO);
    world.testkit.chain().mine();
    assert!(
        !world
            .testkit
            .chain()
            .receipt(bundle.transaction)
            .unwrap()
            .status()
    );
    assert_eq!(world.receipt(hash).await, Value::Null);
    assert_eq!(world.bundler.pool()[0].transaction, None);
    world.testkit.chain().set_balance(world.session.account, balance);
    assert_eq!(world.bundled(), [hash]);
    world.testkit.chain().mine();
    assert_eq!(world.tokens(), 11);
}

#[tokio::test]
async fn a_bundle_behind_a_lost_transaction_is_rebuilt() {
    let world = World::new(BundlerOptions::default());
    world.testkit.chain().set_automine(false);
    let forgotten = world.send(&world.transfer(0, 5)).await;
    let lost = world.bundler.bundle_now().unwrap().unwrap();
    // In another lane: it does not depend on the first.
    let other = world.changed_transfer(0, 6, |operation| operation.nonce += U256::ONE << 224);
    let hash = world.send(&other).await;
    let behind = world.bundler.bundle_now().unwrap().unwrap();
    assert_eq!(behind.operations, [hash]);
    assert_eq!(world.bundler.bundle_now(), Ok(None), "both are on their way");

    // Nothing else fills the gap in the executor's nonces.
    assert!(world.bundler.drop_operation(forgotten));
    world.testkit.chain().drop_pooled(lost.transaction).unwrap();
    assert_eq!(world.bundled(), [hash]);
    world.testkit.chain().mine();
    assert_eq!(world.tokens(), 6);
}

#[tokio::test]
async fn a_bundle_needs_a_funded_executor() {
    let world = World::new(BundlerOptions::default());
    let hash = world.send(&world.transfer(0, 5)).await;
    world
        .testkit
        .chain()
        .set_balance(dev_accounts()[9].address, U256::ZERO);
    assert!(world.bundler.bundle_now().is_err());
    assert_eq!(world.waiting(), [hash]);
    world
        .bundler
        .change(|options| options.executor = dev_accounts()[8]);
    assert_eq!(world.bundled(), [hash]);
}

#[tokio::test]
async fn operations_included_by_others_leave_the_mempool() {
    let world = World::new(BundlerOptions::default());
    let operation = world.transfer(0, 5);
    let hash = world.send(&operation).await;
    let other = world.testkit.bundler(BundlerOptions {
        executor: dev_accounts()[8],
        auto: true,
        ..Default::default()
    });
    answer_of(
        &other.client(),
        "eth_sendUserOperation",
        json!([wire(&operation), ENTRY_POINT]),
    )
    .await;
    assert_eq!(world.tokens(), 5);
    assert!(world.bundler.pool().is_empty());
    let receipt = world.receipt(hash).await;
    assert_eq!(receipt["receipt"]["from"], json!(dev_accounts()[8].address));
    let by_hash = world.ask("eth_getUserOperationByHash", json!([hash])).await;
    assert_eq!(by_hash["userOperation"], wire(&operation));

    // But not forever, if it searches only a few blocks.
    world.bundler.change(|options| options.searched_blocks = Some(3));
    for _ in 0..2 {
        world.testkit.chain().mine();
        assert_ne!(world.receipt(hash).await, Value::Null);
    }
    world.testkit.chain().mine();
    assert_eq!(world.receipt(hash).await, Value::Null);
    assert_eq!(
        world.ask("eth_getUserOperationByHash", json!([hash])).await,
        Value::Null
    );
}

#[tokio::test]
async fn operations_are_refused_passed_on_or_lost() {
    let world = World::automatic();
    let error = ErrorAnswer::new(-32603, "internal error");
    let said = (-32603, "internal error".to_owned());
    let submission = |submission| world.bundler.change(|options| options.submission = submission);
    submission(Submission::Refused(error.clone()));
    assert_eq!(world.refused(&world.transfer(0, 5)).await, said);
    assert_eq!(world.tokens(), 0);

    submission(Submission::Lost);
    let lost = world.send(&world.transfer(0, 5)).await;
    assert_eq!(lost, world.session.hash(&world.transfer(0, 5)));
    assert_eq!(world.tokens(), 0);
    assert!(world.bundler.pool().is_empty());
    // An operation that it would refuse is not lost silently.
    let mut forged = world.transfer(0, 5);
    forged.callGasLimit += U256::ONE;
    assert_eq!(world.refused(&forged).await.0, -32507);

    submission(Submission::PassedOn(error));
    assert_eq!(world.refused(&world.transfer(0, 5)).await, said);
    assert_eq!(world.tokens(), 5);
    assert_eq!(world.receipt(lost).await["success"], json!(true));

    submission(Submission::Accepted);
    world.bundler.change(|options| options.auto = false);
    let dropped = world.send(&world.transfer(1, 6)).await;
    assert!(world.bundler.drop_operation(dropped));
    assert_eq!(
        world.ask("eth_getUserOperationByHash", json!([dropped])).await,
        Value::Null
    );
    assert!(world.bundled().is_empty());
}

/// Blocks of some chains fit more gas than a simulation has.
#[tokio::test]
async fn large_blocks_change_no_estimate_and_no_bundle() {
    let session = Session::new();
    let config = ChainConfig {
        genesis_timestamp: session.chain.timestamp() + 1,
        gas_limit: 1 << 50,
        ..Default::default()
    };
    let large = Testkit::from(Chain::fork(config, Arc::new(session.chain.dump())));
    let usual = Testkit::from(session.chain.clone());
    let operation = session.sign(session.unsigned_transfer(RECIPIENT, 5));
    let mut answers = Vec::new();
    for testkit in [&large, &usual] {
        let client = testkit.bundler(BundlerOptions::default()).client();
        answers.push(
            answer_of(
                &client,
                "eth_estimateUserOperationGas",
                json!([wire(&operation), ENTRY_POINT]),
            )
            .await,
        );
    }
    assert_eq!(answers[0], answers[1]);

    let bundler = large.bundler(BundlerOptions::default());
    let with_call_gas = |gas: u64| {
        let mut operation = session.unsigned_transfer(RECIPIENT, 5);
        operation.callGasLimit = U256::from(gas);
        json!([wire(&session.sign(operation)), ENTRY_POINT])
    };
    let too_much = with_call_gas(50_000_001);
    let refusal = failure_of(&bundler.client(), "eth_sendUserOperation", too_much).await;
    assert!(refusal.1.contains("callGasLimit"), "{refusal:?}");
    let most = with_call_gas(50_000_000);
    let hash = answer_of(&bundler.client(), "eth_sendUserOperation", most).await;
    let bundle = bundler.bundle_now().unwrap().expect("it has room");
    assert_eq!(json!(bundle.operations), json!([hash]));
    let receipt = answer_of(&bundler.client(), "eth_getUserOperationReceipt", json!([hash])).await;
    assert_eq!(receipt["success"], true);
}

#[tokio::test]
async fn an_estimate_suffices_for_its_operation() {
    let world = World::automatic();
    let mut unsigned = world.session.unsigned_transfer(RECIPIENT, 5);
    // Well-formed but invalid signature; the gas is to be estimated.
    unsigned.signature = world.transfer(0, 4).signature;
    let mut request = wire(&unsigned);
    for member in [
        "callGasLimit",
        "verificationGasLimit",
        "preVerificationGas",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
    ] {
        request.as_object_mut().unwrap().remove(member);
    }
    let estimate = world.estimate(request.clone()).await;
    assert_eq!(
        members(&estimate),
        BTreeSet::from(["callGasLimit", "preVerificationGas", "verificationGasLimit"])
    );
    let gas = |member: &str| -> U256 { serde_json::from_value(estimate[member].clone()).unwrap() };
    let operation = world.changed_transfer(0, 5, |operation| {
        operation.callGasLimit = gas("callGasLimit");
        operation.verificationGasLimit = gas("verificationGasLimit");
        operation.preVerificationGas = gas("preVerificationGas");
    });
    let hash = world.send(&operation).await;
    assert_eq!(world.receipt(hash).await["success"], json!(true));
    // Not excessive: half is too little, for the call and for validation.
    let less = |gas: U256| gas / U256::from(2);
    let short_of_call = world.changed_transfer(1, 5, |operation| {
        // To a recipient without tokens, as before.
        let other = world.session.unsigned_transfer(Address::repeat_byte(0x99), 5);
        operation.callData = other.callData;
        operation.callGasLimit = less(gas("callGasLimit"));
        operation.verificationGasLimit = gas("verificationGasLimit");
        operation.preVerificationGas = gas("preVerificationGas");
    });
    let hash = world.send(&short_of_call).await;
    assert_eq!(world.receipt(hash).await["success"], json!(false));
    let short_of_validation = world.changed_transfer(2, 5, |operation| {
        operation.verificationGasLimit = less(gas("verificationGasLimit"));
    });
    assert!(world.refused(&short_of_validation).await.1.starts_with("AA"));

    // Null members count as missing; names and margins of the answer follow the options.
    request["maxFeePerGas"] = Value::Null;
    request["nonce"] = json!(world.transfer(2, 1).nonce);
    let usual = world.estimate(request.clone()).await;
    world.bundler.change(|options| {
        options.gas_margin_percent = 110;
        options.style.verification_gas = VerificationGasName::Both;
        options.style.numbers = NumberForm::Number;
    });
    let generous = world.estimate(request.clone()).await;
    assert_eq!(generous["verificationGas"], generous["verificationGasLimit"]);
    let usual: U256 = serde_json::from_value(usual["callGasLimit"].clone()).unwrap();
    let twice = usual.to::<u64>() * 2;
    assert!((twice..twice + 3).contains(&generous["callGasLimit"].as_u64().unwrap()));
    world
        .bundler
        .change(|options| options.style.verification_gas = VerificationGasName::VerificationGas);
    let old = world.estimate(request).await;
    assert_eq!(old.get("verificationGasLimit"), None);
    assert!(old["verificationGas"].is_u64());
}

#[tokio::test]
async fn a_failed_estimate_says_why() {
    let world = World::new(BundlerOptions::default());
    let too_much = wire(&world.transfer(0, 101));
    let params = json!([too_much, ENTRY_POINT]);
    let data: Bytes = world.session.limit_exceeded();
    for (form, expected) in [
        (RevertDataForm::Data, json!(data)),
        (RevertDataForm::Object, json!({ "revertData": data })),
        (RevertDataForm::Absent, Value::Null),
    ] {
        world.bundler.change(|options| options.style.revert_data = form);
        let client = world.bundler.client();
        let error = client
            .request::<_, Value>("eth_estimateUserOperationGas", params.clone())
            .await
            .unwrap_err();
        let error = error.as_error_resp().unwrap();
        assert_eq!((error.code, &*error.message), (-32521, "execution reverted"));
        let found = error
            .data
            .as_ref()
            .map(|data| serde_json::from_str(data.get()).unwrap());
        assert_eq!(found.unwrap_or(Value::Null), expected);
    }
    // Validation errors are reported, except for the signature.
    let mut wrong = world.forbidden(0);
    wrong.signature = world.transfer(0, 1).signature;
    let (code, message) = world
        .refusal("eth_estimateUserOperationGas", json!([wire(&wrong), ENTRY_POINT]))
        .await;
    assert_eq!((code, message.starts_with("AA23")), (-32500, true), "{message}");
    let used = world.changed_transfer(0, 1, |operation| operation.nonce += U256::from(99));
    assert_eq!(
        world
            .refusal("eth_estimateUserOperationGas", json!([wire(&used), ENTRY_POINT]))
            .await
            .1,
        "AA25 invalid account nonce"
    );
    // An operation slightly ahead is estimated.
    world.estimate(wire(&world.transfer(1, 5))).await;
}

#[tokio::test]
async fn state_overrides_apply_to_estimates() {
    let world = World::new(BundlerOptions::default());
    let account = world.yes_man(0x61, U256::ZERO);
    let operation = wire(&world.of(account, 1));
    world.estimate(operation.clone()).await;
    // Reverts without data.
    let changes = json!({ account.to_string(): {"code": "0x5f5ffd"} });
    let (code, message) = world
        .refusal(
            "eth_estimateUserOperationGas",
            json!([operation, ENTRY_POINT, changes]),
        )
        .await;
    assert_eq!((code, message.starts_with("AA23")), (-32500, true), "{message}");
}

/// The first operation of an account creates it.
#[tokio::test]
async fn an_account_is_created_by_its_first_operation() {
    let world = World::automatic();
    let owner = dev_accounts()[0];
    let salt = U256::from(77);
    let create = IModularAccountFactory::createAccountCall {
        salt,
        owners: vec![owner.address],
    };
    let factory = world.session.stack.account_factory;
    let address = world
        .testkit
        .chain()
        .read(Address::ZERO, factory, &create)
        .unwrap();
    world
        .testkit
        .chain()
        .set_balance(address, U256::from(10u64.pow(18)));
    let call = IModularAccount::executeCall {
        target: RECIPIENT,
        value: U256::from(7),
        data: Bytes::new(),
    };
    let operation = UserOperation {
        sender: address,
        nonce: U256::ZERO,
        initCode: [factory.as_slice(), &create.abi_encode()].concat().into(),
        callData: call.abi_encode().into(),
        signature: vec![0xff; 65].into(),
        ..world.session.unsigned_transfer(RECIPIENT, 0)
    };
    let sign = |mut operation: UserOperation| {
        use alloy::signers::SignerSync;
        let hash = world.session.hash(&operation);
        let signature = owner.signer().sign_message_sync(hash.as_slice()).unwrap();
        operation.signature = signature.as_bytes().into();
        operation
    };
    let estimate = world.estimate(wire(&sign(operation.clone()))).await;
    let gas = |member: &str| -> U256 { serde_json::from_value(estimate[member].clone()).unwrap() };
    let operation = sign(UserOperation {
        callGasLimit: gas("callGasLimit"),
        verificationGasLimit: gas("verificationGasLimit"),
        preVerificationGas: gas("preVerificationGas"),
        ..operation
    });
    assert!(world.testkit.chain().code(address).is_empty());
    let hash = world.send(&operation).await;
    assert_eq!(world.receipt(hash).await["success"], json!(true));
    assert_eq!(world.testkit.chain().balance(RECIPIENT), 7);
    // Sent again, it would create an existing account; only some bundlers check the nonce first.
    assert_eq!(
        world.refused(&operation).await,
        (-32500, "AA10 sender already constructed".into())
    );
    world
        .bundler
        .change(|options| options.style.words = BundlerWords::Alto);
    assert_eq!(
        world.refused(&operation).await,
        (
            -32500,
            "UserOperation reverted during simulation with reason: AA25 invalid account nonce".into()
        )
    );
    world
        .bundler
        .change(|options| options.style.words = BundlerWords::Plain);
    let other = sign(UserOperation {
        nonce: U256::ONE,
        ..operation
    });
    assert!(world.refused(&other).await.1.starts_with("AA10"));
}

/// As on rollups, where gas at the operation's own fees pays for its data.
#[tokio::test]
async fn pre_verification_gas_depends_on_fees_if_data_costs() {
    let world = World::new(BundlerOptions {
        data_fee: u128::from(GWEI) * 1_000,
        ..Default::default()
    });
    let pre_verification_gas = async |max_fee: u64| {
        let operation = world.changed_transfer(0, 1, |operation| {
            operation.maxFeePerGas = U256::from(max_fee);
            operation.maxPriorityFeePerGas = U256::from(GWEI);
        });
        let estimate = world.estimate(wire(&operation)).await;
        serde_json::from_value::<U256>(estimate["preVerificationGas"].clone()).unwrap()
    };
    let (cheap, dear) = (
        pre_verification_gas(GWEI).await,
        pre_verification_gas(2 * GWEI).await,
    );
    assert!(cheap > dear + U256::from(100_000), "{cheap} and {dear}");
    let with = |max_fee: u64| {
        world.changed_transfer(0, 1, |operation| {
            operation.maxFeePerGas = U256::from(max_fee);
            operation.preVerificationGas = dear;
        })
    };
    assert!(
        world
            .refused(&with(GWEI))
            .await
            .1
            .starts_with("preVerificationGas is not enough")
    );
    world.send(&with(2 * GWEI)).await;
}

#[tokio::test]
async fn a_receipt_is_about_one_operation_of_the_bundle() {
    let world = World::new(BundlerOptions::default());
    let paymaster = world.session.stack.paymaster;
    world.deposit(paymaster, 10u64.pow(17));
    let account = world.yes_man(0x71, U256::ZERO);
    // Two in one bundle: the first has no logs of its own, the second fails.
    let mut quiet = world.of(account, 0);
    quiet.maxPriorityFeePerGas = U256::from(GWEI) + U256::ONE;
    let quiet = world.send(&quiet).await;
    let failing = world.changed_transfer(0, 101, |operation| {
        operation.paymasterAndData = paymaster.into_array().into();
    });
    let failing = world.send(&failing).await;
    assert_eq!(world.bundled(), [quiet, failing]);
    let receipt = world.receipt(quiet).await;
    assert_eq!(
        (&receipt["success"], &receipt["paymaster"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(receipt["logs"], json!([]));
    let receipt = world.receipt(failing).await;
    assert_eq!(
        (&receipt["success"], &receipt["paymaster"]),
        (&json!(false), &json!(paymaster))
    );
    assert_eq!(receipt["reason"], json!(world.session.limit_exceeded()));
    let logs = receipt["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 1, "the reason of the revert alone");
    assert_eq!(logs[0]["address"], json!(ENTRY_POINT));
}

/// Anyone can log an event that looks like the EntryPoint's, even in a block with real ones.
#[tokio::test]
async fn an_event_of_another_contract_is_not_a_receipt() {
    let world = World::new(BundlerOptions::default());
    let forger = Address::repeat_byte(0x73);
    // Logs the input from the fifth word on, with the first four as topics.
    let code = alloy::hex!("6060356040356020355f35608060805f3760805fa400");
    world.testkit.chain().set_code(forger, code).unwrap();
    world.testkit.chain().set_automine(false);
    let event = IEntryPoint::UserOperationEvent {
        userOpHash: B256::repeat_byte(1),
        sender: world.session.account,
        paymaster: Address::ZERO,
        nonce: U256::ZERO,
        success: true,
        actualGasCost: U256::ONE,
        actualGasUsed: U256::ONE,
    };
    let log = event.encode_log_data();
    let topics: Vec<u8> = log.topics().iter().flat_map(|topic| topic.0).collect();
    let forged = TransactionRequest::default()
        .from(dev_accounts()[4].address)
        .to(forger)
        .input(Bytes::from([topics, log.data.to_vec()].concat()).into());
    let node = world.testkit.client();
    let transaction = answer_of(&node, "eth_sendTransaction", json!([forged])).await;
    let hash = world.send(&world.transfer(0, 5)).await;
    world.bundled();
    world.testkit.chain().mine();
    let receipt = answer_of(&node, "eth_getTransactionReceipt", json!([transaction])).await;
    assert_eq!(receipt["logs"][0]["topics"], json!(log.topics()));
    assert_eq!(
        receipt["blockHash"],
        world.receipt(hash).await["receipt"]["blockHash"]
    );
    assert_eq!(world.receipt(event.userOpHash).await, Value::Null);
}

#[tokio::test]
async fn answers_come_in_all_formats_of_real_bundlers() {
    let world = World::automatic();
    let done = world.send(&world.transfer(0, 5)).await;
    let failed = world.send(&world.transfer(1, 101)).await;
    let style = |change: &dyn Fn(&mut session_key_testkit::BundlerStyle)| {
        world.bundler.change(|options| {
            options.style = Default::default();
            change(&mut options.style);
        });
    };
    let plain = world.receipt(done).await;
    let cost: U256 = serde_json::from_value(plain["actualGasCost"].clone()).unwrap();
    for (form, expected) in [
        (NumberForm::Hex, json!(format!("{cost:#x}"))),
        (NumberForm::PaddedHex, json!(format!("{cost:#066x}"))),
        (NumberForm::DecimalText, json!(cost.to_string())),
        (NumberForm::Number, json!(cost.to::<u64>())),
    ] {
        style(&|style| style.numbers = form);
        assert_eq!(world.receipt(done).await["actualGasCost"], expected);
        // A number too large for JSON stays a text.
        let nonce = &world.receipt(done).await["nonce"];
        assert!(nonce.is_string(), "{nonce}");
        let by_hash = world.ask("eth_getUserOperationByHash", json!([done])).await;
        assert_eq!(
            by_hash["userOperation"]["callGasLimit"].is_u64(),
            form == NumberForm::Number
        );
    }
    for (form, yes, no) in [
        (SuccessForm::Bool, json!(true), json!(false)),
        (SuccessForm::Text, json!("true"), json!("false")),
        (SuccessForm::Hex, json!("0x1"), json!("0x0")),
        (SuccessForm::Number, json!(1), json!(0)),
    ] {
        style(&|style| style.success = form);
        assert_eq!(world.receipt(done).await["success"], yes);
        assert_eq!(world.receipt(failed).await["success"], no);
    }
    for (form, paymaster, reason) in [
        (AbsentForm::Null, Some(Value::Null), Some(Value::Null)),
        (AbsentForm::Empty, Some(json!("")), Some(json!(""))),
        (AbsentForm::Zero, Some(json!(Address::ZERO)), Some(json!("0x"))),
        (AbsentForm::Absent, None, None),
    ] {
        style(&|style| {
            style.no_paymaster = form;
            style.no_reason = form;
        });
        let receipt = world.receipt(done).await;
        assert_eq!(receipt.get("paymaster"), paymaster.as_ref());
        assert_eq!(receipt.get("reason"), reason.as_ref());
    }
    let revert_data = json!(world.session.limit_exceeded());
    for (form, expected) in [
        (ReasonForm::Hex, revert_data.clone()),
        // It contains no text.
        (ReasonForm::Text, revert_data),
        (ReasonForm::Unknown, Value::Null),
    ] {
        style(&|style| style.reason = form);
        assert_eq!(world.receipt(failed).await["reason"], expected);
    }
    style(&|style| style.sparse_receipts = true);
    let sparse = world.receipt(done).await;
    for member in ["entryPoint", "nonce", "logs"] {
        assert_eq!(sparse.get(member), None, "{member}");
    }
    assert_eq!(
        sparse["receipt"],
        json!({ "transactionHash": plain["receipt"]["transactionHash"] })
    );

    world.bundler.change(|options| options.auto = false);
    let pending = world.send(&world.transfer(2, 1)).await;
    style(&|style| style.hides_pending = true);
    assert_eq!(
        world.ask("eth_getUserOperationByHash", json!([pending])).await,
        Value::Null
    );
    assert_ne!(
        world.ask("eth_getUserOperationByHash", json!([done])).await,
        Value::Null
    );
}

/// The text of an `Error(string)`.
#[tokio::test]
async fn a_text_reason_is_shown_as_text() {
    let world = World::automatic();
    world
        .bundler
        .change(|options| options.style.reason = ReasonForm::Text);
    // Validation passes; the call reverts with Error("no").
    let account = world.yes_man(0x72, U256::ZERO);
    let revert = alloy::sol_types::Revert::from("no").abi_encode();
    let length = revert.len() as u8;
    // If CALLDATASIZE exceeds 4, returns the validation data; else reverts with the data after the code.
    let answer = [0x5f, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
    let mut code = vec![0x60, 0x04, 0x36, 0x11, 0x60, 0x13, 0x57];
    code.extend([0x60, length, 0x60, 0x1b, 0x5f, 0x39, 0x60, length, 0x5f, 0xfd]);
    code.resize(0x13, 0x00);
    code.push(0x5b);
    code.extend(answer);
    assert_eq!(code.len(), 0x1b);
    code.extend(&revert);
    world.testkit.chain().set_code(account, code).unwrap();
    let hash = world.send(&world.of(account, 0)).await;
    let receipt = world.receipt(hash).await;
    assert_eq!(
        (&receipt["success"], &receipt["reason"]),
        (&json!(false), &json!("no"))
    );
}

#[tokio::test]
async fn a_lagging_bundler_checks_against_what_it_has_seen() {
    let world = World::automatic();
    let first = world.transfer(0, 5);
    let hash = world.send(&first).await;
    world.bundler.change(|options| {
        options.lag = 1;
        options.auto = false;
        options.nonces_ahead = 0;
    });
    assert_eq!(
        world.receipt(hash).await,
        Value::Null,
        "it has not seen the block"
    );
    assert_eq!(
        world.refused(&world.transfer(1, 6)).await.1,
        "AA25 invalid account nonce",
        "for it, the nonce is too high"
    );
    // It accepts the first one again, and cannot bundle it.
    world.send(&first).await;
    world.testkit.chain().mine();
    assert_ne!(world.receipt(hash).await, Value::Null);
    assert!(world.bundler.pool().is_empty());
    world.send(&world.transfer(1, 6)).await;
    assert_eq!(world.bundled().len(), 1);
    assert_eq!(world.tokens(), 11);
}

#[tokio::test]
async fn refusals_are_worded_as_by_real_bundlers() {
    let world = World::new(BundlerOptions::default());
    let operation = world.transfer(0, 5);
    world.send(&operation).await;
    let replacement = world.transfer(0, 6);
    let mut forged = world.transfer(0, 7);
    forged.maxFeePerGas *= U256::from(2);
    forged.maxPriorityFeePerGas *= U256::from(2);
    let said = async |words, operation| {
        world.bundler.change(|options| options.style.words = words);
        world.refused(operation).await
    };
    for (words, again, underpriced, signature) in [
        (
            BundlerWords::Plain,
            (-32602, "already known"),
            (-32602, "replacement user operation underpriced"),
            (-32507, "AA24 signature error"),
        ),
        (
            BundlerWords::Alto,
            (-32602, "already known"),
            (
                -32602,
                "AA25 invalid account nonce: User operation already present in mempool, bump the gas price by minimum 10%",
            ),
            (-32507, "Invalid UserOperation signature or  paymaster signature"),
        ),
        (
            BundlerWords::Rundler,
            (-32602, "Operation already known"),
            (-32602, "replacement underpriced"),
            (-32507, "AA24 signature error"),
        ),
        (
            BundlerWords::Reference,
            (-32602, "already known"),
            (
                -32602,
                "Replacement UserOperation must have higher maxPriorityFeePerGas (old=1000000000)",
            ),
            (-32507, "AA24 signature error"),
        ),
    ] {
        let text = |(code, message): (i64, &str)| (code, message.to_owned());
        assert_eq!(said(words, &operation).await, text(again));
        assert_eq!(said(words, &replacement).await, text(underpriced));
        assert_eq!(said(words, &forged).await, text(signature));
    }
}

#[tokio::test]
async fn a_bundler_and_a_node_are_served_together() {
    let world = World::automatic();
    let node = world.testkit.node(NodeOptions::default());
    let server = world
        .bundler
        .transport_with_node(node.transport())
        .serve()
        .unwrap();
    let own = world.bundler.serve().unwrap();
    let post = |url: &str, method: &str, params: Value| -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut answer = ureq::post(url).send_json(request).unwrap();
        answer.body_mut().read_json().unwrap()
    };
    let operation = wire(&world.transfer(0, 5));
    let hash = post(
        server.url(),
        "eth_sendUserOperation",
        json!([operation, ENTRY_POINT]),
    )["result"]
        .clone();
    let receipt = post(own.url(), "eth_getUserOperationReceipt", json!([hash]))["result"].clone();
    assert_eq!(receipt["success"], json!(true));
    let transaction = receipt["receipt"]["transactionHash"].clone();
    assert_eq!(
        post(server.url(), "eth_getTransactionReceipt", json!([transaction]))["result"],
        receipt["receipt"]
    );
    assert_eq!(
        post(own.url(), "eth_blockNumber", json!([]))["error"]["code"],
        json!(-32601)
    );
}

/// The same requests twice give byte-identical answers.
#[tokio::test]
async fn a_bundler_is_deterministic() {
    let run = async || {
        let world = World::new(BundlerOptions::default());
        let mut hashes = Vec::new();
        for sequence in 0..3 {
            hashes.push(world.send(&world.transfer(sequence, 1 + sequence)).await);
        }
        let estimate = world.estimate(wire(&world.transfer(3, 1))).await;
        world.bundled();
        world.bundled();
        let receipts = [world.receipt(hashes[0]).await, world.receipt(hashes[1]).await];
        (
            hashes,
            estimate,
            receipts,
            world.testkit.chain().block_at(Default::default()),
        )
    };
    assert_eq!(run().await, run().await);
}

/// Everyone can see the bundler's transaction, and only its executor can replace it.
#[test]
fn a_bundle_pays_the_configured_fees() {
    let world = World::new(BundlerOptions {
        bundle_priority_fee: 7,
        ..Default::default()
    });
    world.testkit.chain().set_automine(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(world.send(&world.transfer(0, 5)));
    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    let chain: Chain = world.testkit.chain().clone();
    let pooled = chain.pool();
    let transaction = &pooled[0].transaction;
    assert_eq!(transaction.inner.tx_hash(), &bundle.transaction);
    assert_eq!(transaction.inner.max_priority_fee_per_gas(), Some(7));
    assert_eq!(
        transaction.inner.max_fee_per_gas(),
        2 * u128::from(chain.next_base_fee()) + 7
    );
}
