//! The bundler's behaviour towards clients, with EntryPoint v0.7.

use crate::{
    requests::{answer_of, failure_of},
    session::Session,
    session_v08::{KEYS_ENTITY, Kind, SessionV08, owners_nonce_key, pair},
};
use alloy::{
    consensus::Transaction as _,
    eips::eip7702::{Authorization, SignedAuthorization},
    primitives::{Address, B256, Bytes, U256, address},
    providers::Provider,
    rpc::types::TransactionRequest,
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{SolCall, SolError},
};
use serde_json::{Value, json};
use session_key_bindings::{
    Call, ENTRY_POINT, ENTRY_POINT_V07, IAccountFactoryV08, IAccountV08, IEntryPointV07,
    ISessionKeyPermissionsUpdates::setAccessListTypeCall, ISessionKeyPlugin, PackedUserOperation,
};
use session_key_testkit::{
    Bundler, BundlerOptions, BundlerWords, DevAccount, Duplicates, EntryPointVersion, Fate, TestToken,
    Testkit, dev_accounts,
};
use std::collections::BTreeSet;

const RECIPIENT: Address = address!("0x0000000000000000000000000000000000000b0b");

const GWEI: u64 = 1_000_000_000;

/// An account with a session key, on a chain with a bundler. The session's own chain stays in its initial
/// state.
struct World {
    session: SessionV08,
    testkit: Testkit,
    bundler: Bundler,
}

/// An operation's gas limits and fees.
#[derive(Clone, Copy)]
struct Numbers {
    verification_gas: u128,
    call_gas: u128,
    pre_verification_gas: u64,
    tip: u128,
    max_fee: u128,
}

const NUMBERS: Numbers = Numbers {
    verification_gas: 500_000,
    call_gas: 1_000_000,
    pre_verification_gas: 60_000,
    tip: GWEI as u128,
    max_fee: 2 * GWEI as u128,
};

fn with_numbers(operation: PackedUserOperation, numbers: Numbers) -> PackedUserOperation {
    PackedUserOperation {
        accountGasLimits: pair(numbers.verification_gas, numbers.call_gas),
        preVerificationGas: U256::from(numbers.pre_verification_gas),
        gasFees: pair(numbers.tip, numbers.max_fee),
        ..operation
    }
}

fn halves(word: B256) -> (U256, U256) {
    (U256::from_be_slice(&word[..16]), U256::from_be_slice(&word[16..]))
}

/// Formats an operation as clients send it.
fn wire(operation: &PackedUserOperation) -> Value {
    let (verification_gas, call_gas) = halves(operation.accountGasLimits);
    let (tip, max_fee) = halves(operation.gasFees);
    let mut wire = json!({
        "sender": operation.sender,
        "nonce": operation.nonce,
        "callData": operation.callData,
        "callGasLimit": call_gas,
        "verificationGasLimit": verification_gas,
        "preVerificationGas": operation.preVerificationGas,
        "maxFeePerGas": max_fee,
        "maxPriorityFeePerGas": tip,
        "signature": operation.signature,
    });
    if !operation.initCode.is_empty() {
        wire["factory"] = json!(Address::from_slice(&operation.initCode[..20]));
        wire["factoryData"] = json!(Bytes::copy_from_slice(&operation.initCode[20..]));
    }
    if !operation.paymasterAndData.is_empty() {
        let (verification_gas, post_op_gas) = halves(B256::from_slice(&operation.paymasterAndData[20..52]));
        wire["paymaster"] = json!(Address::from_slice(&operation.paymasterAndData[..20]));
        wire["paymasterVerificationGasLimit"] = json!(verification_gas);
        wire["paymasterPostOpGasLimit"] = json!(post_op_gas);
        wire["paymasterData"] = json!(Bytes::copy_from_slice(&operation.paymasterAndData[52..]));
    }
    wire
}

/// Like [`wire`], without gas and fees, for an estimate.
fn without_numbers(mut operation: Value) -> Value {
    for member in [
        "callGasLimit",
        "verificationGasLimit",
        "preVerificationGas",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
        "paymasterVerificationGasLimit",
        "paymasterPostOpGasLimit",
    ] {
        operation.as_object_mut().unwrap().remove(member);
    }
    operation
}

/// The names of an object's members, in alphabetical order.
pub(super) fn members(answer: &Value) -> BTreeSet<&str> {
    answer.as_object().unwrap().keys().map(String::as_str).collect()
}

fn number(answer: &Value, member: &str) -> u128 {
    let number: U256 = serde_json::from_value(answer[member].clone()).unwrap();
    number.to()
}

fn estimated(estimate: &Value) -> Numbers {
    Numbers {
        verification_gas: number(estimate, "verificationGasLimit"),
        call_gas: number(estimate, "callGasLimit"),
        pre_verification_gas: number(estimate, "preVerificationGas").try_into().unwrap(),
        ..NUMBERS
    }
}

impl World {
    fn new(kind: Kind, options: BundlerOptions) -> Self {
        Self::of(SessionV08::new(kind), options)
    }

    fn of(session: SessionV08, options: BundlerOptions) -> Self {
        let testkit = Testkit::from(session.chain.clone());
        testkit.chain().set_finality_distances(0, 100);
        let bundler = testkit.bundler(options);
        Self {
            session,
            testkit,
            bundler,
        }
    }

    fn manual() -> Self {
        Self::new(Kind::SemiModular, BundlerOptions::default())
    }

    fn automatic(kind: Kind) -> Self {
        Self::new(
            kind,
            BundlerOptions {
                auto: true,
                ..Default::default()
            },
        )
    }

    /// Returns the session key's `sequence`-th operation, signed: a token transfer.
    fn transfer(&self, sequence: u64, amount: u64) -> PackedUserOperation {
        self.priced_transfer(sequence, amount, NUMBERS)
    }

    fn priced_transfer(&self, sequence: u64, amount: u64, numbers: Numbers) -> PackedUserOperation {
        let mut operation = with_numbers(self.session.unsigned_transfer(RECIPIENT, amount), numbers);
        operation.nonce += U256::from(sequence);
        self.session.sign(operation)
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

    async fn send_wire(&self, operation: Value) -> B256 {
        let params = json!([operation, ENTRY_POINT_V07]);
        serde_json::from_value(self.ask("eth_sendUserOperation", params).await).unwrap()
    }

    async fn send(&self, operation: &PackedUserOperation) -> B256 {
        self.send_wire(wire(operation)).await
    }

    async fn refused_wire(&self, operation: Value) -> (i64, String) {
        self.refusal("eth_sendUserOperation", json!([operation, ENTRY_POINT_V07]))
            .await
    }

    async fn refused(&self, operation: &PackedUserOperation) -> (i64, String) {
        self.refused_wire(wire(operation)).await
    }

    async fn receipt(&self, hash: B256) -> Value {
        self.ask("eth_getUserOperationReceipt", json!([hash])).await
    }

    async fn estimate(&self, operation: Value) -> Value {
        self.ask(
            "eth_estimateUserOperationGas",
            json!([operation, ENTRY_POINT_V07]),
        )
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

    fn deposit(&self, account: Address) {
        let deposit = IEntryPointV07::depositToCall { account };
        let request = TransactionRequest::default()
            .from(dev_accounts()[3].address)
            .to(ENTRY_POINT_V07)
            .value(U256::from(10u64.pow(18)))
            .input(deposit.abi_encode().into());
        self.testkit.chain().send(request).unwrap().ok().unwrap();
    }

    /// Creates a contract with this code and a deposit.
    fn contract(&self, number: u8, code: Vec<u8>) -> Address {
        let contract = Address::repeat_byte(number);
        self.testkit.chain().set_code(contract, code).unwrap();
        self.deposit(contract);
        contract
    }

    /// Creates an account with a deposit that returns these validation data for every call.
    fn yes_man(&self, number: u8, validation_data: U256) -> Address {
        let code = [
            [0x7f].as_slice(),
            &validation_data.to_be_bytes::<32>(),
            // PUSH0 MSTORE PUSH1 32 PUSH0 RETURN
            &[0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3],
        ];
        self.contract(number, code.concat())
    }

    /// Creates a paymaster that returns these validation data and a context of zero bytes for every call.
    fn kind_paymaster(&self, number: u8, validation_data: U256, context: u8) -> Address {
        let code = [
            // The context's offset, the validation data, then the context's length.
            [0x60, 0x40, 0x5f, 0x52, 0x7f].as_slice(),
            &validation_data.to_be_bytes::<32>(),
            &[
                0x60, 0x20, 0x52, 0x60, context, 0x60, 0x40, 0x52, 0x60, 0x80, 0x5f, 0xf3,
            ],
        ];
        self.contract(number, code.concat())
    }

    /// Returns an operation of a contract that needs no signature.
    fn by(&self, sender: Address) -> PackedUserOperation {
        PackedUserOperation {
            sender,
            nonce: U256::ZERO,
            callData: Bytes::from_static(&[1, 2, 3, 4]),
            signature: vec![1; 66].into(),
            ..with_numbers(self.session.unsigned_transfer(RECIPIENT, 1), NUMBERS)
        }
    }
}

/// Packs validation data: valid from and until, in unix seconds.
fn between(valid_after: u64, valid_until: u64) -> U256 {
    (U256::from(valid_after) << 208_usize) | (U256::from(valid_until) << 160_usize)
}

#[tokio::test]
async fn an_operation_waits_is_bundled_and_has_a_receipt() {
    let world = World::manual();
    let operation = world.transfer(0, 5);
    let hash = world.send(&operation).await;
    assert_eq!(hash, world.session.hash(&operation));
    let pool = world.bundler.pool();
    assert_eq!((pool.len(), &pool[0].operation), (1, &operation.clone().into()));
    assert_eq!(world.receipt(hash).await, Value::Null);
    let pending = world.ask("eth_getUserOperationByHash", json!([hash])).await;
    assert_eq!(pending["userOperation"], wire(&operation));
    assert_eq!(pending["entryPoint"], json!(ENTRY_POINT_V07.to_checksum(None)));
    assert_eq!(pending["transactionHash"], Value::Null);

    let bundle = world.bundler.bundle_now().unwrap().unwrap();
    assert_eq!(bundle.operations, [hash]);
    assert_eq!(world.tokens(), 5);
    assert!(world.bundler.pool().is_empty());
    let node = world.testkit.provider();
    let transaction = node.get_transaction_receipt(bundle.transaction).await;
    let transaction = transaction.unwrap().unwrap();
    assert_eq!(transaction.to, Some(ENTRY_POINT_V07));
    let receipt = world.receipt(hash).await;
    let expected = json!({
        "userOpHash": hash,
        "entryPoint": ENTRY_POINT_V07,
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
    // The executor is reimbursed.
    assert!(number(&receipt, "actualGasUsed") >= transaction.gas_used.into());
    let logs = receipt["logs"].as_array().unwrap();
    assert_eq!(logs.len(), 1, "the token's event alone");

    let included = world.ask("eth_getUserOperationByHash", json!([hash])).await;
    assert_eq!(included["userOperation"], wire(&operation));
    assert_eq!(included["transactionHash"], json!(bundle.transaction));
    // A failing operation has a reason.
    let hash = world.send(&world.transfer(1, 101)).await;
    world.bundled();
    let receipt = world.receipt(hash).await;
    assert_eq!(receipt["success"], json!(false));
    let reason = ISessionKeyPlugin::ERC20SpendLimitExceeded {
        account: world.session.account,
        sessionKey: world.session.key.address,
        token: world.session.stack.token,
    };
    assert_eq!(receipt["reason"], json!(Bytes::from(reason.abi_encode())));
}

#[tokio::test]
async fn both_entry_points_are_served_side_by_side() {
    let old = Session::new();
    let world = World::of(
        SessionV08::on(old.chain.clone(), Kind::Modular),
        BundlerOptions::default(),
    );
    assert_eq!(
        world.ask("eth_supportedEntryPoints", json!([])).await,
        json!([ENTRY_POINT, ENTRY_POINT_V07])
    );
    let unsigned = old.unsigned_transfer(RECIPIENT, 7);
    let old_operation = old.sign(unsigned);
    let old_wire = json!({
        "sender": old_operation.sender,
        "nonce": old_operation.nonce,
        "initCode": old_operation.initCode,
        "callData": old_operation.callData,
        "callGasLimit": old_operation.callGasLimit,
        "verificationGasLimit": old_operation.verificationGasLimit,
        "preVerificationGas": old_operation.preVerificationGas,
        "maxFeePerGas": old_operation.maxFeePerGas,
        "maxPriorityFeePerGas": old_operation.maxPriorityFeePerGas,
        "paymasterAndData": old_operation.paymasterAndData,
        "signature": old_operation.signature,
    });
    let first = world
        .ask("eth_sendUserOperation", json!([old_wire, ENTRY_POINT]))
        .await;
    let better = world.priced_transfer(
        0,
        5,
        Numbers {
            tip: NUMBERS.tip + 1,
            ..NUMBERS
        },
    );
    let second = world.send(&better).await;
    // A bundle is for one EntryPoint, the better one first.
    assert_eq!(world.bundled(), [second]);
    assert_eq!(world.tokens(), 5);
    assert_eq!(json!(world.bundled()), json!([first]));
    assert_eq!(world.tokens(), 12);
    assert_eq!(world.bundler.bundle_now(), Ok(None));
    for (hash, entry_point) in [(first, ENTRY_POINT), (json!(second), ENTRY_POINT_V07)] {
        let receipt = world.ask("eth_getUserOperationReceipt", json!([hash])).await;
        assert_eq!(receipt["entryPoint"], json!(entry_point));
        let shown = world.ask("eth_getUserOperationByHash", json!([hash])).await;
        assert_eq!(shown["entryPoint"], json!(entry_point.to_checksum(None)));
    }

    world
        .bundler
        .change(|options| options.entry_points = [EntryPointVersion::V06].into());
    assert_eq!(
        world.ask("eth_supportedEntryPoints", json!([])).await,
        json!([ENTRY_POINT])
    );
    let (code, message) = world.refused(&world.transfer(1, 1)).await;
    assert_eq!(code, -32602);
    assert!(message.contains(&ENTRY_POINT_V07.to_string()), "{message}");
    // An EntryPoint that is not on the chain is not served.
    world
        .bundler
        .change(|options| options.entry_points = EntryPointVersion::ALL.into());
    world.testkit.chain().set_code(ENTRY_POINT, []).unwrap();
    assert_eq!(
        world.ask("eth_supportedEntryPoints", json!([])).await,
        json!([ENTRY_POINT_V07])
    );
}

#[tokio::test]
async fn operations_are_read_strictly() {
    let world = World::manual();
    let mut good = world.session.unsigned_transfer(RECIPIENT, 5);
    good.paymasterAndData = SessionV08::paymaster_and_data(world.session.stack.paymaster, 100_000, 0);
    let good = wire(&world.session.sign(good));
    for (member, value) in [
        ("initCode", json!("0x")),
        ("paymasterAndData", json!("0x")),
        ("sender", json!("0x12")),
        ("nonce", json!(7)),
        ("factory", json!("0x7702")),
        ("factoryData", json!("0x01")),
        ("callGasLimit", json!(format!("0x1{:032}", 0))),
        ("paymasterPostOpGasLimit", Value::Null),
        ("paymasterVerificationGasLimit", json!("100000")),
        ("paymaster", Value::Null),
        ("paymasterData", json!("")),
        ("eip7702Auth", json!({})),
        ("signature", Value::Null),
    ] {
        let mut changed = good.clone();
        changed[member] = value.clone();
        let (code, message) = world.refused_wire(changed).await;
        assert_eq!(code, -32602, "{member} {value}");
        assert!(message.contains(member), "{member} {value}: {message}");
    }
    // Members of the other version.
    let other = json!({"sender": RECIPIENT, "factory": RECIPIENT});
    let old = World::of(
        SessionV08::on(Session::new().chain, Kind::Modular),
        BundlerOptions::default(),
    );
    let (code, message) = old
        .refusal("eth_sendUserOperation", json!([other, ENTRY_POINT]))
        .await;
    assert_eq!(
        (
            code,
            message.contains("factory is a member of operations for another")
        ),
        (-32602, true),
        "{message}"
    );
}

#[tokio::test]
async fn refusals_of_the_entry_point_keep_their_words() {
    let world = World::manual();
    let start = |(code, message): (i64, String)| (code, message.chars().take(4).collect::<String>());
    let refused = |code: i64, aa: &str| (code, aa.to_owned());
    // Signed before the change.
    let mut changed = world.transfer(0, 1);
    changed.preVerificationGas += U256::ONE;
    assert_eq!(
        world.refused(&changed).await,
        (-32507, "AA24 signature error".into())
    );
    let nobody = world.by(Address::repeat_byte(9));
    assert_eq!(start(world.refused(&nobody).await), refused(-32500, "AA20"));
    let mut sponsored = world.session.unsigned_transfer(RECIPIENT, 1);
    sponsored.paymasterAndData = SessionV08::paymaster_and_data(world.session.stack.paymaster, 100_000, 0);
    let sponsored = world.session.sign(sponsored);
    assert_eq!(start(world.refused(&sponsored).await), refused(-32501, "AA31"));
    let mut by_nobody = sponsored.clone();
    by_nobody.paymasterAndData = SessionV08::paymaster_and_data(Address::repeat_byte(8), 100_000, 0);
    assert_eq!(start(world.refused(&by_nobody).await), refused(-32501, "AA30"));
    let short = world.priced_transfer(
        0,
        1,
        Numbers {
            verification_gas: 20_000,
            ..NUMBERS
        },
    );
    assert_eq!(start(world.refused(&short).await), refused(-32500, "AA23"));
    let huge = world.priced_transfer(
        0,
        1,
        Numbers {
            max_fee: 1 << 121,
            ..NUMBERS
        },
    );
    assert_eq!(
        world.refused(&huge).await,
        (-32500, "AA94 gas values overflow".into())
    );
    world
        .testkit
        .chain()
        .set_balance(world.session.account, U256::from(GWEI));
    let dear = Numbers {
        max_fee: 100 * NUMBERS.max_fee,
        ..NUMBERS
    };
    let unpaid = start(world.refused(&world.priced_transfer(0, 1, dear)).await);
    assert_eq!(unpaid, refused(-32500, "AA21"));
    assert!(world.bundler.pool().is_empty());
}

/// EntryPoint v0.7 passes on the account's revert data, which each bundler shows in its own way.
#[tokio::test]
async fn the_accounts_revert_data_is_shown() {
    let world = World::manual();
    let mut forbidden = world.session.unsigned_transfer(RECIPIENT, 1);
    forbidden.callData = ISessionKeyPlugin::executeWithSessionKeyCall {
        calls: vec![Call {
            target: RECIPIENT,
            value: U256::ZERO,
            data: Bytes::new(),
        }],
        sessionKey: world.session.key.address,
    }
    .abi_encode()
    .into();
    let forbidden = world.session.sign(with_numbers(forbidden, NUMBERS));
    let mut entity = world.session.stack.session_key_module.to_vec();
    entity.extend(0x8000_0001u32.to_be_bytes());
    let inner = IAccountV08::UserOpValidationFunctionReverted {
        moduleEntity: entity.as_slice().try_into().unwrap(),
        revertData: ISessionKeyPlugin::PermissionsCheckFailed {}.abi_encode().into(),
    };
    let inner = Bytes::from(inner.abi_encode());
    let expected = [
        (BundlerWords::Plain, "AA23 reverted".to_owned(), json!(inner)),
        (
            BundlerWords::Alto,
            format!("UserOperation reverted during simulation with reason: AA23 reverted {inner}"),
            Value::Null,
        ),
        (
            BundlerWords::Rundler,
            "validation reverted: [reason]: AA23 reverted".to_owned(),
            json!({"reason": "AA23 reverted", "revertData": inner}),
        ),
        (
            BundlerWords::Reference,
            format!("FailedOpWithRevert(0,\"AA23 reverted\",{inner})"),
            Value::Null,
        ),
    ];
    for (words, message, data) in expected {
        world.bundler.change(|options| options.style.words = words);
        let params = json!([wire(&forbidden), ENTRY_POINT_V07]);
        let client = world.bundler.client();
        let error = client
            .request::<_, Value>("eth_sendUserOperation", params)
            .await
            .unwrap_err();
        let error = error.as_error_resp().unwrap();
        assert_eq!((error.code, &*error.message), (-32500, &*message));
        let found = error
            .data
            .as_ref()
            .map(|data| serde_json::from_str(data.get()).unwrap());
        assert_eq!(found.unwrap_or(Value::Null), data);
    }
}

#[tokio::test]
async fn account_and_paymaster_are_judged_separately() {
    let world = World::manual();
    let now = world.testkit.chain().next_timestamp();
    let soon = now + 20;
    let good = world.yes_man(0x20, U256::ZERO);
    let sponsored = |paymaster| PackedUserOperation {
        paymasterAndData: SessionV08::paymaster_and_data(paymaster, 100_000, 0),
        ..world.by(good)
    };
    let cases = [
        (
            world.by(world.yes_man(0x21, between(0, now - 1))),
            -32503,
            "AA22 expired or not due",
        ),
        (
            world.by(world.yes_man(0x22, U256::ONE)),
            -32507,
            "AA24 signature error",
        ),
        (
            sponsored(world.kind_paymaster(0x23, between(0, now - 1), 0)),
            -32503,
            "AA32 paymaster expired or not due",
        ),
        (
            sponsored(world.kind_paymaster(0x24, between(soon, 0), 0)),
            -32503,
            "AA32 paymaster expired or not due",
        ),
        (
            sponsored(world.kind_paymaster(0x25, U256::ONE, 0)),
            -32507,
            "AA34 signature error",
        ),
        (
            sponsored(world.kind_paymaster(0x26, U256::from(0x1234), 0)),
            -32507,
            "AA34 signature error",
        ),
    ];
    for (operation, code, message) in cases {
        assert_eq!(world.refused(&operation).await, (code, message.to_owned()));
    }
    let aggregated = world.by(world.yes_man(0x27, U256::from(0x1234)));
    assert_eq!(world.refused(&aggregated).await.0, -32506);
    let hash = world
        .send(&sponsored(world.kind_paymaster(0x28, between(1, soon), 0)))
        .await;
    assert_eq!(world.bundled(), [hash]);
}

#[tokio::test]
async fn an_estimate_suffices_and_is_not_excessive() {
    for kind in Kind::ALL {
        let world = World::automatic(kind);
        // Well-formed but invalid signature.
        let mut unsigned = world.transfer(0, 5);
        unsigned.signature = world.transfer(0, 4).signature;
        let request = without_numbers(wire(&unsigned));
        let estimate = world.estimate(request).await;
        assert_eq!(
            members(&estimate),
            BTreeSet::from(["callGasLimit", "preVerificationGas", "verificationGasLimit"])
        );
        let gas = estimated(&estimate);
        let hash = world.send(&world.priced_transfer(0, 5, gas)).await;
        let receipt = world.receipt(hash).await;
        assert_eq!(receipt["success"], json!(true), "{kind:?}");
        // Little is left unused, so the penalty for unused gas is small as well.
        let limits = gas.verification_gas + gas.call_gas + u128::from(gas.pre_verification_gas);
        let used = number(&receipt, "actualGasUsed");
        assert!(used * 3 > limits * 2, "{kind:?}: {used} of {limits}");

        let half_call = Numbers {
            call_gas: gas.call_gas / 2,
            ..gas
        };
        let hash = world.send(&world.priced_transfer(1, 5, half_call)).await;
        assert_eq!(world.receipt(hash).await["success"], json!(false), "{kind:?}");
        let half_validation = Numbers {
            verification_gas: gas.verification_gas / 2,
            ..gas
        };
        let refusal = world.refused(&world.priced_transfer(2, 5, half_validation)).await;
        assert!(refusal.1.starts_with("AA2"), "{kind:?}: {refusal:?}");
    }
}

#[tokio::test]
async fn an_estimate_has_the_paymasters_limits() {
    let world = World::automatic(Kind::SemiModular);
    let account = world.yes_man(0x31, U256::ZERO);
    world.deposit(world.session.stack.paymaster);
    let with_context = world.kind_paymaster(0x32, U256::ZERO, 32);
    for (paymaster, has_post_op) in [(world.session.stack.paymaster, false), (with_context, true)] {
        let unsigned = PackedUserOperation {
            nonce: U256::from(has_post_op as u64),
            paymasterAndData: SessionV08::paymaster_and_data(paymaster, 0, 0),
            ..world.by(account)
        };
        let estimate = world.estimate(without_numbers(wire(&unsigned))).await;
        let verification = number(&estimate, "paymasterVerificationGasLimit");
        let post_op = number(&estimate, "paymasterPostOpGasLimit");
        assert!((100..20_000).contains(&verification), "{estimate}");
        assert_eq!(post_op > 0, has_post_op, "{estimate}");
        let operation = PackedUserOperation {
            paymasterAndData: SessionV08::paymaster_and_data(paymaster, verification, post_op),
            ..with_numbers(unsigned.clone(), estimated(&estimate))
        };
        let hash = world.send(&operation).await;
        let receipt = world.receipt(hash).await;
        assert_eq!(receipt["success"], json!(true));
        assert_eq!(receipt["paymaster"], json!(format!("{paymaster:#x}")));
        let short = PackedUserOperation {
            nonce: operation.nonce + U256::ONE,
            paymasterAndData: SessionV08::paymaster_and_data(paymaster, verification / 2, post_op),
            ..operation
        };
        let (code, message) = world.refused(&short).await;
        assert_eq!((code, message.starts_with("AA3")), (-32501, true), "{message}");
    }
}

#[tokio::test]
async fn a_failed_estimate_says_why() {
    let world = World::manual();
    let too_much = world.transfer(0, 101);
    let (code, message) = world
        .refusal(
            "eth_estimateUserOperationGas",
            json!([wire(&too_much), ENTRY_POINT_V07]),
        )
        .await;
    assert_eq!((code, message.as_str()), (-32521, "execution reverted"));
}

#[tokio::test]
async fn a_replacement_pays_more_and_a_duplicate_is_known() {
    let world = World::manual();
    let operation = world.transfer(0, 1);
    let first = world.send(&operation).await;
    assert_eq!(world.refused(&operation).await, (-32602, "already known".into()));
    world
        .bundler
        .change(|options| options.duplicates = Duplicates::Accepted);
    assert_eq!(world.send(&operation).await, first);
    let offer = |amount, percent: u128| {
        world.priced_transfer(
            0,
            amount,
            Numbers {
                tip: NUMBERS.tip * percent / 100,
                max_fee: NUMBERS.max_fee * percent / 100,
                ..NUMBERS
            },
        )
    };
    assert_eq!(
        world.refused(&offer(2, 109)).await,
        (-32602, "replacement user operation underpriced".into())
    );
    let second = world.send(&offer(3, 110)).await;
    assert_eq!(world.waiting(), [second]);
    assert_eq!(world.bundled(), [second]);
    assert_eq!(world.tokens(), 3);
    // Its nonce is used now; the one after next can wait.
    assert_eq!(
        world.refused(&operation).await,
        (-32500, "AA25 invalid account nonce".into())
    );
    let third = world.send(&world.transfer(2, 2)).await;
    assert!(world.bundled().is_empty());
    let fourth = world.send(&world.transfer(1, 2)).await;
    assert_eq!(world.bundled(), [fourth]);
    assert_eq!(world.bundled(), [third]);
}

#[tokio::test]
async fn an_undone_operation_is_pending_again() {
    let world = World::manual();
    let hash = world.send(&world.transfer(0, 5)).await;
    world.bundled();
    assert_eq!(world.receipt(hash).await["success"], json!(true));
    world.testkit.chain().reorganize(1, |_| Fate::Dropped).unwrap();
    assert_eq!(world.receipt(hash).await, Value::Null);
    assert_eq!(world.waiting(), [hash]);
    assert_eq!(world.bundled(), [hash]);
    assert_eq!(world.tokens(), 5);
}

/// The first operation of an account creates it.
#[tokio::test]
async fn an_account_is_created_by_its_first_operation() {
    let world = World::automatic(Kind::SemiModular);
    let owner = dev_accounts()[4];
    let create = IAccountFactoryV08::createSemiModularAccountCall {
        owner: owner.address,
        salt: U256::from(77),
    };
    let factory = world.session.stack.account_factory;
    let sender = world
        .testkit
        .chain()
        .read(Address::ZERO, factory, &create)
        .unwrap();
    world
        .testkit
        .chain()
        .set_balance(sender, U256::from(10u64.pow(18)));
    let call = IAccountV08::executeCall {
        target: RECIPIENT,
        value: U256::from(7),
        data: Bytes::new(),
    };
    let operation = PackedUserOperation {
        sender,
        nonce: owners_nonce_key() << 64_usize,
        initCode: [factory.as_slice(), &create.abi_encode()].concat().into(),
        callData: call.abi_encode().into(),
        ..world.by(sender)
    };
    let dummy = world.session.sign_as(&owner, operation.clone());
    let estimate = world.estimate(without_numbers(wire(&dummy))).await;
    let operation = world
        .session
        .sign_as(&owner, with_numbers(operation, estimated(&estimate)));
    assert!(world.testkit.chain().code(sender).is_empty());
    let hash = world.send(&operation).await;
    assert_eq!(world.receipt(hash).await["success"], json!(true));
    assert_eq!(world.testkit.chain().balance(RECIPIENT), 7);
    assert_eq!(
        world.refused(&operation).await,
        (-32500, "AA10 sender already constructed".into())
    );
}

/// EIP-7702: an operation carries its sender's delegation.
#[tokio::test]
async fn an_operation_carries_its_senders_delegation() {
    let world = World::automatic(Kind::SemiModular);
    let account = dev_accounts()[5];
    let authorize = |signer: usize, chain_id: u64, nonce: u64| -> SignedAuthorization {
        let authorization = Authorization {
            chain_id: U256::from(chain_id),
            address: world.session.stack.delegate,
            nonce,
        };
        let signature = dev_accounts()[signer]
            .signer()
            .sign_hash_sync(&authorization.signature_hash())
            .unwrap();
        authorization.into_signed(signature)
    };
    let call = IAccountV08::executeCall {
        target: RECIPIENT,
        value: U256::from(7),
        data: Bytes::new(),
    };
    let operation = PackedUserOperation {
        sender: account.address,
        nonce: owners_nonce_key() << 64_usize,
        callData: call.abi_encode().into(),
        ..world.by(account.address)
    };
    let good = authorize(5, 31_337, 0);
    let mut request = without_numbers(wire(&world.session.sign_as(&account, operation.clone())));
    request["eip7702Auth"] = json!(good);
    let estimate = world.estimate(request).await;
    let mut operation = world
        .session
        .sign_as(&account, with_numbers(operation, estimated(&estimate)));
    let plain = world.refused(&operation).await;
    assert!(plain.1.starts_with("AA20"), "{plain:?}");
    let mut wired = wire(&operation);
    for (authorization, code, problem) in [
        (authorize(6, 31_337, 0), -32602, "not by the sender"),
        (authorize(5, 1, 0), -32602, "its chainId is 1"),
        (authorize(5, 31_337, 1), -32500, "its nonce is 1"),
    ] {
        wired["eip7702Auth"] = json!(authorization);
        let (found, message) = world.refused_wire(wired.clone()).await;
        assert_eq!(
            (found, message.contains(problem)),
            (code, true),
            "{problem}: {message}"
        );
    }
    // Some clients write it like this.
    wired.as_object_mut().unwrap().remove("eip7702Auth");
    wired["eip7702auth"] = json!(good);
    let hash = world.send_wire(wired.clone()).await;
    let authorization = wired.as_object_mut().unwrap().remove("eip7702auth").unwrap();
    wired["eip7702Auth"] = authorization;
    assert_eq!(world.bundler.bundle_now(), Ok(None));
    let receipt = world.receipt(hash).await;
    assert_eq!(receipt["success"], json!(true));
    assert_eq!(receipt["receipt"]["type"], json!("0x4"));
    assert_eq!(world.testkit.chain().balance(RECIPIENT), 7);
    assert_eq!(world.testkit.chain().nonce(account.address), 1);
    let shown = world.ask("eth_getUserOperationByHash", json!([hash])).await;
    assert_eq!(shown["userOperation"], wired);
    let gas_used: U256 = serde_json::from_value(receipt["receipt"]["gasUsed"].clone()).unwrap();
    assert!(number(&receipt, "actualGasUsed") >= gas_used.to::<u128>());
    // The next operation needs none.
    operation.nonce += U256::ONE;
    let operation = world.session.sign_as(&account, operation);
    let hash = world.send(&operation).await;
    let receipt = world.receipt(hash).await;
    assert_eq!(receipt["success"], json!(true));
    assert_eq!(receipt["receipt"]["type"], json!("0x2"));
}

/// The EntryPoint refuses a bundle whose remaining gas is below an operation's limits.
#[tokio::test]
async fn a_bundle_has_enough_gas_for_its_operations_limits() {
    let world = World::automatic(Kind::SemiModular);
    // Answers calls of more than 100 bytes with zero; else consumes all gas.
    let code = alloy::hex!("36606410600b575b6007565b5f5f5260205ff3");
    let account = world.contract(0x51, code.to_vec());
    let numbers = Numbers {
        call_gas: 20_000_000,
        ..NUMBERS
    };
    let hash = world.send(&with_numbers(world.by(account), numbers)).await;
    let receipt = world.receipt(hash).await;
    assert_eq!(receipt["success"], json!(false));
    assert!(number(&receipt, "actualGasUsed") > 20_000_000);
    let transaction: B256 = serde_json::from_value(receipt["receipt"]["transactionHash"].clone()).unwrap();
    let provider = world.testkit.provider();
    let transaction = provider.get_transaction_by_hash(transaction).await;
    assert!(transaction.unwrap().unwrap().gas_limit() < 22_000_000);
}

#[tokio::test]
async fn a_hundred_keys_operations_come_in_one_bundle() {
    let mut session = SessionV08::new(Kind::SemiModular);
    let keys: Vec<DevAccount> = (1..=100_u8)
        .map(|number| {
            let private_key = B256::with_last_byte(number);
            let signer = PrivateKeySigner::from_bytes(&private_key).unwrap();
            DevAccount {
                address: signer.address(),
                private_key,
            }
        })
        .collect();
    for key in &keys {
        let anything = setAccessListTypeCall {
            contractAccessControlType: ISessionKeyPlugin::ContractAccessControlType::ALLOW_ALL_ACCESS,
        };
        let call = ISessionKeyPlugin::addSessionKeyCall {
            sessionKey: key.address,
            tag: B256::ZERO,
            permissionUpdates: vec![anything.abi_encode().into()],
        };
        let operation = session.owners_operation(call.abi_encode().into());
        session.include(vec![operation]);
    }
    let world = World::of(
        session,
        BundlerOptions {
            // The account has no stake, and is nobody's but ours.
            max_per_sender: None,
            max_per_sender_in_bundle: 100,
            max_bundle: 100,
            ..Default::default()
        },
    );
    let mut hashes = Vec::new();
    for key in &keys {
        let call = ISessionKeyPlugin::executeWithSessionKeyCall {
            calls: vec![Call {
                target: RECIPIENT,
                value: U256::ZERO,
                data: Bytes::new(),
            }],
            sessionKey: key.address,
        };
        let lane = U256::from_be_slice(&key.address[1..]);
        let nonce_key = lane << 40 | U256::from(KEYS_ENTITY) << 8;
        let operation = with_numbers(
            world.session.unsigned(call.abi_encode().into(), nonce_key),
            Numbers {
                verification_gas: 110_000,
                call_gas: 60_000,
                ..NUMBERS
            },
        );
        hashes.push(world.send(&world.session.sign_as_key(key, operation)).await);
    }
    let bundled = world.bundled();
    assert_eq!(bundled.len(), 100);
    for hash in hashes {
        assert!(bundled.contains(&hash));
        assert_eq!(world.receipt(hash).await["success"], json!(true));
    }
}
