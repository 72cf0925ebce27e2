//! Nobody outside sets the price: not the bundler, not the node, not the paymaster's service. And what is
//! estimated is what is signed.

use crate::{
    IS_V08,
    fixture::{ETHER, Fixture, RECIPIENT, ample_gas, key, one, operations_of, paymaster_data},
    process::{Process, Way, journal, seconds},
    wire::{Fault, Wire},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use session_key_client::{
    Call, OperationError, UserOperation,
    alloy::primitives::{Address, Bytes, U256},
    operation::{
        Bounds, Cause, Happened, NotTakenReason, OverBound, Paymaster, PaymasterError, Progress, Setting,
    },
    permissions::{LimitChange, PermissionUpdates, Permissions, SignedOperation, SpendLimit},
};
use std::sync::{Arc, Mutex};

const SEND: &str = "eth_sendUserOperation";
const ESTIMATE: &str = "eth_estimateUserOperationGas";
const GWEI: u64 = 1_000_000_000;

fn quantity(value: &Value) -> U256 {
    serde_json::from_value(value.clone()).unwrap()
}

/// Puts a figure into a bundler's estimates.
fn estimating(wire: &Wire, figure: &'static str, amount: U256) {
    wire.fault(
        ESTIMATE,
        Fault::change(move |estimate| estimate[figure] = json!(amount)),
    );
}

/// Makes a node tell of fees in wei per gas unit.
fn telling_fees(wire: &Wire, base_fee: Option<U256>, priority_fee: Option<U256>) {
    wire.fault(
        "eth_feeHistory",
        Fault::change(move |history| {
            if let Some(base_fee) = base_fee {
                for fee in history["baseFeePerGas"].as_array_mut().unwrap() {
                    *fee = json!(base_fee);
                }
            }
            if let Some(priority_fee) = priority_fee {
                let blocks = history["baseFeePerGas"].as_array().unwrap().len() - 1;
                history["reward"] = json!(vec![[priority_fee]; blocks]);
            }
        }),
    );
}

fn over_bound(error: &OperationError) -> OverBound {
    assert_eq!(
        (error.code(), error.happened()),
        ("over_bound", Happened::No),
        "{error:?}"
    );
    assert_eq!((error.user_op_hash, error.intent), (None, None));
    match &*error.cause {
        Cause::OverBound(over) => {
            let shown = error.to_string();
            assert!(
                shown.contains(&over.asked.to_string()) && shown.contains(&over.bound.to_string()),
                "{shown}"
            );
            assert!(shown.contains("Bounds::"), "{shown}");
            *over
        }
        cause => panic!("{cause:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn no_bundler_sets_the_price() {
    for (figure, amount, setting) in [
        (
            "preVerificationGas",
            13_125_787_375_u64,
            Setting::PreVerificationGas,
        ),
        ("preVerificationGas", 30_000_001, Setting::PreVerificationGas),
        ("verificationGasLimit", 30_000_001, Setting::VerificationGasLimit),
        ("callGasLimit", 30_000_001, Setting::CallGasLimit),
        ("callGasLimit", u64::MAX, Setting::CallGasLimit),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        estimating(&process.out, figure, U256::from(amount));
        let balance = fixture.balance(fixture.account.address());
        let remove = process.owner.remove_session_key(key(1).address());
        for operation in [process.agent.execute(one()), remove] {
            let over = over_bound(&operation.await.unwrap_err());
            assert_eq!(over.setting, setting, "{figure} {amount}");
            // What some bundlers leave out of their estimates is on top.
            assert!(over.asked >= U256::from(amount) && over.bound < over.asked);
        }
        assert_eq!(process.out.calls(SEND), 0);
        assert_eq!(fixture.balance(fixture.account.address()), balance);
    }
}

// Without a bundler, it is the node that estimates.
#[tokio::test(start_paused = true)]
async fn no_node_sets_the_gas() {
    for amount in [U256::from(40_000_000), U256::from(u64::MAX), U256::MAX] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::EntryPoint);
        for wire in [&process.node, &process.out] {
            // It says so, and lets every call pass with as much.
            wire.fault("eth_estimateGas", Fault::Answer(Ok(json!(amount))));
        }
        let over = over_bound(&process.agent.execute(one()).await.unwrap_err());
        // For EntryPoint v0.7, the node estimates what the validation needs, too.
        let expected = if IS_V08 {
            Setting::VerificationGasLimit
        } else {
            Setting::CallGasLimit
        };
        assert_eq!(over.setting, expected, "{amount}");
        assert_eq!(process.out.calls("eth_sendRawTransaction"), 0);
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    }
}

// Each figure is within its bound, and the sum is not.
#[tokio::test(start_paused = true)]
async fn the_cost_is_bounded_whatever_it_is_made_of() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    telling_fees(&process.node, None, Some(U256::from(90 * GWEI)));
    estimating(&process.out, "preVerificationGas", U256::from(2_000_000));
    let over = over_bound(&process.agent.execute(one()).await.unwrap_err());
    assert_eq!(
        (over.setting, over.bound),
        (Setting::MaxCost, U256::from(ETHER / 20))
    );
    // Whoever wants to pay as much says so.
    let bounds = Bounds {
        max_cost: over.asked * U256::from(2),
        ..Bounds::default()
    };
    let agent = process.agent.clone().with_bounds(bounds);
    let included = agent.execute(one()).await.unwrap();
    assert!(included.receipt.actual_gas_cost > U256::from(ETHER / 20));
    // Fees that the caller gives are bounded by this alone.
    let fee = U256::from(5_000 * GWEI);
    let over = over_bound(&process.agent.execute(one()).fees(fee, fee).await.unwrap_err());
    assert_eq!(over.setting, Setting::MaxCost);
    let over = over_bound(
        &process
            .agent
            .execute(one())
            .gas_limits(ample_gas())
            .fees(fee, fee)
            .await
            .unwrap_err(),
    );
    assert_eq!(
        (over.setting, over.asked),
        (Setting::MaxCost, U256::from(1_100_000) * fee)
    );
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test(start_paused = true)]
async fn no_node_sets_the_price() {
    for way in Way::BOTH {
        for (base_fee, priority_fee, setting) in [
            (None, Some(U256::from(10_000 * GWEI)), Setting::MaxPriorityFee),
            (None, Some(U256::from(100 * GWEI + 1)), Setting::MaxPriorityFee),
            (Some(U256::from(10_000 * GWEI)), None, Setting::MaxCost),
            (
                Some(U256::from(10_000 * GWEI)),
                Some(U256::from(100_000 * GWEI)),
                Setting::MaxCost,
            ),
            (None, Some(U256::MAX), Setting::MaxPriorityFee),
            (Some(U256::from(u128::MAX)), None, Setting::MaxCost),
            (Some(U256::MAX), Some(U256::MAX), Setting::MaxCost),
        ] {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, way);
            telling_fees(&process.node, base_fee, priority_fee);
            let balance = fixture.balance(fixture.account.address());
            for operation in [
                process.agent.execute(one()),
                process.owner.execute(one()[0].clone()),
            ] {
                let over = over_bound(&operation.await.unwrap_err());
                assert_eq!(over.setting, setting, "{way:?} {base_fee:?} {priority_fee:?}");
            }
            assert_eq!(process.out.calls(way.hands_over()), 0);
            assert_eq!(fixture.balance(fixture.account.address()), balance);
            // Later, when the node is reasonable again, so is all else.
            process.node.repair();
            process.agent.execute(one()).await.unwrap();
        }
    }
}

// A key's gas limit is a bound of its own: not even all of it goes to whoever the node likes.
#[tokio::test(start_paused = true)]
async fn a_keys_gas_budget_is_not_emptied_by_a_nodes_word() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let process = Process::new(&fixture, Way::Bundler);
    telling_fees(&process.node, None, Some(U256::from(10_000 * GWEI)));
    over_bound(&process.agent.execute(one()).await.unwrap_err());
    let used = fixture.account.gas_spend_limit(key(1).address()).await.unwrap();
    assert_eq!(used.info.limit_used, U256::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_transaction_around_an_operation_is_bounded_too() {
    for (base_fee, priority_fee) in [
        (None, Some(U256::from(10_000 * GWEI))),
        (Some(U256::from(10_000 * GWEI)), None),
        (Some(U256::MAX), Some(U256::MAX)),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::EntryPoint);
        // The node that the sender asks lies; the one that the client asks does not.
        telling_fees(&process.out, base_fee, priority_fee);
        let error = process.agent.execute(one()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("not_taken", Happened::NotYet),
            "{error:?}"
        );
        let Cause::NotTaken(not_taken) = &*error.cause else {
            panic!("{error:?}")
        };
        assert_eq!(
            (&*not_taken.by, &not_taken.reason),
            ("submitter", &NotTakenReason::Other)
        );
        assert!(not_taken.message.contains("Bounds::"), "{not_taken}");
        assert_eq!(process.out.calls("eth_sendRawTransaction"), 0);
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_fee_beyond_all_numbers_is_no_panic() {
    for base_fee in [
        json!("0xffffffffffffffffffffffffffffffff"),
        json!("0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        json!("340282366920938463463374607431768211455"),
    ] {
        for way in Way::BOTH {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, way);
            for wire in [&process.node, &process.out] {
                let fee = base_fee.clone();
                wire.rule(move |asked| {
                    let fee = fee.clone();
                    match asked.method.as_str() {
                        "eth_feeHistory" => Some(Fault::change(move |history| {
                            for entry in history["baseFeePerGas"].as_array_mut().unwrap() {
                                *entry = fee.clone();
                            }
                        })),
                        "eth_getBlockByNumber" | "eth_getBlockByHash" => {
                            Some(Fault::change(move |block| block["baseFeePerGas"] = fee.clone()))
                        }
                        "eth_gasPrice" | "eth_maxPriorityFeePerGas" => Some(Fault::Answer(Ok(fee))),
                        _ => None,
                    }
                });
            }
            for _ in 0..2 {
                over_bound(&process.agent.execute(one()).await.unwrap_err());
            }
            assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
        }
    }
}

/// A paymaster's service that answers what the test says, and counts.
#[derive(Clone, Debug)]
struct Scripted {
    stub: Bytes,
    answers: Arc<Mutex<Vec<Bytes>>>,
    asked: Arc<Mutex<Vec<UserOperation>>>,
}

impl Scripted {
    /// The last answer is given for ever.
    fn new(stub: Bytes, answers: impl IntoIterator<Item = Bytes>) -> Self {
        let mut answers: Vec<Bytes> = answers.into_iter().collect();
        answers.reverse();
        Self {
            stub,
            answers: Arc::new(Mutex::new(answers)),
            asked: Arc::default(),
        }
    }
}

#[async_trait]
impl Paymaster for Scripted {
    async fn stub(&self, _: &UserOperation) -> Result<Bytes, PaymasterError> {
        Ok(self.stub.clone())
    }

    async fn sponsor(&self, operation: &UserOperation) -> Result<Bytes, PaymasterError> {
        self.asked.lock().unwrap().push(operation.clone());
        let mut answers = self.answers.lock().unwrap();
        let last = answers.last().cloned().unwrap();
        if answers.len() > 1 {
            answers.pop();
        }
        Ok(last)
    }
}

/// Deposits an ether for the stack's paymaster.
fn fund_paymaster(fixture: &Fixture) {
    use session_key_client::alloy::{
        network::TransactionBuilder as _, rpc::types::TransactionRequest, sol_types::SolCall as _,
    };
    let deposit = session_key_bindings::IEntryPoint::depositToCall {
        account: fixture.stack.paymaster,
    };
    let request = TransactionRequest::default()
        .with_from(session_key_testkit::dev_accounts()[9].address)
        .with_to(fixture.stack.entry_point)
        .with_value(U256::from(ETHER))
        .with_input(deposit.abi_encode());
    fixture.testkit.chain().send(request).unwrap().ok().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_paymaster_that_does_not_pay_is_an_error_and_the_account_does_not_pay_instead() {
    let (fixture, _) = Fixture::with_spender().await;
    fund_paymaster(&fixture);
    let paymaster = fixture.stack.paymaster;
    let data = |address: Address, length: usize| paymaster_data(address, &vec![7; length]);
    let other = Address::repeat_byte(0x99);
    for (stub, answer, expected) in [
        (data(paymaster, 40), Bytes::new(), PaymasterError::NoData),
        (Bytes::new(), data(paymaster, 0), PaymasterError::NoData),
        (Bytes::new(), Bytes::new(), PaymasterError::NoData),
        (
            data(paymaster, 40),
            data(other, 40),
            PaymasterError::OtherPaymaster {
                expected: paymaster,
                found: other,
            },
        ),
        (
            data(paymaster, 0),
            data(Address::ZERO, 0),
            PaymasterError::OtherPaymaster {
                expected: paymaster,
                found: Address::ZERO,
            },
        ),
        (
            data(paymaster, 0),
            Bytes::from(vec![1; 19]),
            PaymasterError::TooShort { length: 19 },
        ),
        (
            Bytes::from(vec![1; 19]),
            data(paymaster, 0),
            PaymasterError::TooShort { length: 19 },
        ),
    ] {
        for way in Way::BOTH {
            let (fixture, _) = Fixture::with_spender().await;
            fund_paymaster(&fixture);
            let process = Process::new(&fixture, way);
            let agent = process
                .agent
                .clone()
                .with_paymaster(Scripted::new(stub.clone(), [answer.clone()]));
            let error = agent.execute(one()).await.unwrap_err();
            assert_eq!(
                (error.code(), error.happened()),
                ("paymaster_failed", Happened::No),
                "{error:?}"
            );
            assert_eq!(*error.cause, Cause::Paymaster(expected.clone()));
            assert_eq!(error.intent, None);
            assert_eq!(process.out.calls(way.hands_over()), 0);
            assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
        }
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

#[tokio::test(start_paused = true)]
async fn paymaster_data_of_another_length_are_estimated_and_asked_for_again() {
    let (fixture, _) = Fixture::with_spender().await;
    fund_paymaster(&fixture);
    let data = |length: usize, byte: u8| paymaster_data(fixture.stack.paymaster, &vec![byte; length]);
    for (answers, estimates) in [
        // The same length: as good as unchanged.
        (vec![data(40, 1)], 1),
        (vec![data(65, 1)], 2),
        (vec![data(0, 1)], 2),
        (vec![data(65, 1), data(66, 2), data(66, 3)], 3),
    ] {
        let process = Process::new(&fixture, Way::Bundler);
        let service = Scripted::new(data(40, 0xff), answers.clone());
        let agent = process.agent.clone().with_paymaster(service.clone());
        let included = agent.execute(one()).await.unwrap();
        assert_eq!(included.receipt.paymaster, Some(fixture.stack.paymaster));
        let asked: Vec<_> = process
            .out
            .asked()
            .into_iter()
            .filter(|asked| asked.method == ESTIMATE)
            .collect();
        assert_eq!(asked.len(), estimates, "{answers:?}");
        // What was estimated has the length of what is signed.
        let sent = process
            .out
            .asked()
            .into_iter()
            .find(|asked| asked.method == SEND)
            .unwrap();
        let data_of = |params: &Value| {
            let operation: UserOperation = serde_json::from_value(params[0].clone()).unwrap();
            operation.paymaster_and_data
        };
        assert_eq!(
            data_of(&sent.params).len(),
            data_of(&asked.last().unwrap().params).len()
        );
        assert_eq!(data_of(&sent.params), *answers.last().unwrap());
        // And what the service saw last is what it pays for.
        let last = service.asked.lock().unwrap().last().cloned().unwrap();
        let signed: UserOperation = serde_json::from_value(sent.params[0].clone()).unwrap();
        assert_eq!(
            UserOperation {
                paymaster_and_data: signed.paymaster_and_data.clone(),
                signature: signed.signature.clone(),
                ..last
            },
            signed
        );
    }
    // One that never settles ends.
    let process = Process::new(&fixture, Way::Bundler);
    let service = Scripted::new(data(40, 0xff), (41..60).map(|length| data(length, 1)));
    let error = process
        .agent
        .clone()
        .with_paymaster(service)
        .execute(one())
        .await
        .unwrap_err();
    assert_eq!(error.happened(), Happened::No);
    assert!(process.out.calls(ESTIMATE) < 10 && process.out.calls(SEND) == 0);
}

// Where a key's gas limit makes the client lower its fees, what depends on them is asked for again.
#[tokio::test(start_paused = true)]
async fn lower_fees_are_estimated_again() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    // As on a rollup: the data's price, in gas units at the operation's own fee.
    let data_gas = |fee: U256| U256::from(100_000) + U256::from(2_000_000_u64 * GWEI) / fee.max(U256::ONE);
    let probe = Process::new(&fixture, Way::Bundler);
    let change = move |wire: &Wire| {
        wire.rule(move |asked| {
            let fee = || quantity(&asked.params[0]["maxFeePerGas"]);
            match asked.method.as_str() {
                ESTIMATE => {
                    let gas = data_gas(fee());
                    Some(Fault::change(move |estimate| {
                        estimate["preVerificationGas"] = json!(gas)
                    }))
                }
                SEND if quantity(&asked.params[0]["preVerificationGas"]) < data_gas(fee()) => {
                    Some(Fault::refuse(
                        -32602,
                        format!("preVerificationGas is not enough, required: {}", data_gas(fee())),
                    ))
                }
                _ => None,
            }
        });
    };
    // High enough to hold the random bits, so that gas limits are the same each time.
    let fees = |process: &Process| {
        telling_fees(
            &process.node,
            Some(U256::from(20 * GWEI)),
            Some(U256::from(5 * GWEI)),
        );
    };
    change(&probe.out);
    fees(&probe);
    let full = probe.agent.execute(one()).build().await.unwrap();
    for percent in [90_u64, 75] {
        let left = full.max_cost().unwrap() * U256::from(percent) / U256::from(100);
        let limit = SpendLimit::total(left);
        let updates = PermissionUpdates::new().gas_spend_limit(limit, LimitChange::Afresh);
        fixture.update(key(1).address(), updates).await;
        let process = Process::new(&fixture, Way::Bundler);
        change(&process.out);
        fees(&process);
        let kept: Arc<Mutex<Option<SignedOperation>>> = Arc::default();
        let noted = kept.clone();
        let operation = process.agent.execute(one()).on_progress(move |step| {
            if let Progress::Signed(signed) = step {
                *noted.lock().unwrap() = Some((**signed).clone());
            }
        });
        operation.await.unwrap();
        let signed = kept.lock().unwrap().take().unwrap().operation;
        assert!(signed.max_fee_per_gas < full.max_fee_per_gas);
        assert!(signed.max_cost().unwrap() <= left);
        assert!(signed.pre_verification_gas >= data_gas(signed.max_fee_per_gas));
        let estimates = process.out.calls(ESTIMATE);
        assert!((2..=4).contains(&estimates), "{percent} %: {estimates} estimates");
        assert_eq!(process.out.calls(SEND), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_estimated_is_what_is_signed() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.agent.execute(one()).await.unwrap();
    let asked = process.out.asked();
    let params = |method| asked.iter().find(|asked| asked.method == method).unwrap().params[0].clone();
    let (estimated, sent) = (params(ESTIMATE), params(SEND));
    for member in [
        "sender",
        "nonce",
        "initCode",
        "callData",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
        "paymasterAndData",
    ] {
        assert_eq!(estimated[member], sent[member], "{member}");
    }
    assert_ne!(estimated["signature"], sent["signature"]);
}

// A gas limit for the call that is too low makes it fail, and that is paid for.
#[tokio::test(start_paused = true)]
async fn a_nodes_estimate_of_the_call_is_tried_before_it_is_used() {
    for estimate in ["0x1", "0x0", "0x5208", "0x5e00"] {
        for way in Way::BOTH {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, way);
            let lies = |wire: &Wire| wire.fault("eth_estimateGas", Fault::Answer(Ok(json!(estimate))));
            lies(&process.node);
            if way == Way::EntryPoint {
                lies(&process.out);
            } else {
                let amount: U256 = estimate.parse().unwrap();
                estimating(
                    &process.out,
                    "callGasLimit",
                    amount.saturating_sub(U256::from(21_000)),
                );
            }
            let result = process.agent.execute(one()).timeout(seconds(20)).await;
            let operations = operations_of(&fixture).await;
            assert!(
                operations.iter().all(|(_, success)| *success),
                "{way:?} {estimate}: it failed, and was paid for"
            );
            match result {
                Ok(_) => assert_eq!(fixture.balance(RECIPIENT), U256::ONE),
                Err(error) => {
                    assert_eq!(error.happened(), Happened::No, "{way:?} {estimate} {error:?}");
                    assert_eq!(process.out.calls(way.hands_over()), 0);
                }
            }
        }
    }
    // The bundler alone is wrong: the node knows better.
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::on(&fixture, Way::Bundler, &journal());
    estimating(&process.out, "callGasLimit", U256::ONE);
    process
        .agent
        .execute([Call::transfer(RECIPIENT, U256::ONE)])
        .await
        .unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}
