//! Refusals: an error is what was said, with its numbers; and what the chain would refuse is told before
//! anything is sent.

use crate::{
    fixture::{Fixture, RECIPIENT, account_at, ample_gas, assert_not_allowed, key, one, transfer, unbounded},
    process::{Process, Way, journal, seconds},
    wire::{Fault, account_over, error, provider},
};
use serde_json::{Value, json};
use session_key_client::{
    Call, OperationError, RequestError, Revert, SessionKeyClient,
    alloy::{
        primitives::{Address, U256},
        providers::{Provider as _, ProviderBuilder},
    },
    calldata,
    operation::{Advice, AfterRevert, Cause, Happened, NotTakenReason, Outcome},
    permissions::{
        AaCode, LimitChange, MAX_SECONDS, PermissionUpdates, Permissions, SpendLimit, TimeRange, Verdict,
        Violation,
    },
    revert::PluginError,
    submit::{BundlerFees, BundlerSubmitter},
    transport,
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

const SEND: &str = "eth_sendUserOperation";
const ESTIMATE: &str = "eth_estimateUserOperationGas";

/// Ends a request of the bundler's with this fault, and the operation with an error.
async fn refused(method: &'static str, fault: Fault) -> (Fixture, Process, OperationError) {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.fault(method, fault);
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(20))
        .await
        .unwrap_err();
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    (fixture, process, error)
}

/// Refused where the operation is sent, and where it is estimated, and what either is told as.
async fn reasons(fault: impl Fn() -> Fault) -> NotTakenReason {
    let (_, process, error) = refused(SEND, fault()).await;
    assert_eq!(error.happened(), Happened::NotYet, "{error:?}");
    assert_eq!(error.advice(), Advice::Settle);
    let Cause::NotTaken(sent) = &*error.cause else {
        panic!("{error:?}")
    };
    assert_eq!(process.out.calls(SEND), 1, "it was sent again");
    let intent = process
        .agent
        .intent(error.intent.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(intent.outcome().happened(), Happened::NotYet);
    let (_, process, error) = refused(ESTIMATE, fault()).await;
    assert_eq!(
        (error.happened(), error.intent, error.user_op_hash),
        (Happened::No, None, None)
    );
    let estimated = match *error.cause {
        Cause::NotTaken(estimated) => estimated.reason,
        Cause::Refused(refusal) => NotTakenReason::Refused(refusal),
        Cause::WouldRevert { revert } => NotTakenReason::WouldRevert { revert },
        cause => panic!("{cause:?}"),
    };
    assert_eq!(process.out.calls(SEND), 0);
    assert_eq!(&estimated, &sent.reason);
    estimated
}

// In the words of several bundlers, with the numbers that they name.
#[tokio::test(start_paused = true)]
async fn a_fee_that_is_too_low_for_the_bundler_is_told_with_its_number() {
    for (code, message, least) in [
        (
            -32000,
            "precheck failed: maxPriorityFeePerGas is 100000000 but must be at least 1000000000",
            Some(1_000_000_000),
        ),
        (
            -32000,
            "precheck failed: max priority fee is 0x5f5e100 but must be at least 0x3b9aca00",
            Some(1_000_000_000),
        ),
        (
            -32602,
            "maxFeePerGas must be at least 2200000000 (current maxFeePerGas: 15000000)",
            Some(2_200_000_000_u64),
        ),
        (
            -32602,
            "Invalid fields set on User Operation: max fee too low",
            None,
        ),
        (
            -32000,
            "max fee per gas is less than the minimum of 1.5 gwei",
            Some(1_500_000_000),
        ),
    ] {
        let reason = reasons(|| Fault::refuse(code, message)).await;
        let least = least.map(U256::from);
        assert_eq!(reason, NotTakenReason::FeeTooLow { least }, "{message}");
    }
    let message = "precheck failed: maxPriorityFeePerGas is 1 but must be at least 7";
    let (_, _, error) = refused(SEND, Fault::refuse(-32000, message)).await;
    let shown = error.to_string();
    assert!(
        shown.contains(message) && shown.contains("at least 7 wei"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bundler_is_asked_for_its_own_fees() {
    let answers = [
        (
            BundlerFees::Rundler,
            "rundler_maxPriorityFeePerGas",
            json!("0x77359400"),
            None,
        ),
        (
            BundlerFees::Rundler,
            "rundler_maxPriorityFeePerGas",
            json!(2_000_000_000_u64),
            None,
        ),
        (
            BundlerFees::Pimlico,
            "pimlico_getUserOperationGasPrice",
            json!({
                "slow": { "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x1" },
                "fast": { "maxFeePerGas": "0x12a05f200", "maxPriorityFeePerGas": "0x77359400" },
            }),
            Some(5_000_000_000_u64),
        ),
        (
            BundlerFees::Pimlico,
            "pimlico_getUserOperationGasPrice",
            json!({ "standard": { "maxFeePerGas": "5000000000", "maxPriorityFeePerGas": 2_000_000_000_u64 } }),
            Some(5_000_000_000),
        ),
    ];
    for (fees, method, answer, max_fee) in answers {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        let submitter = BundlerSubmitter::new(provider(process.out.clone()), fixture.stack.entry_point);
        let agent = SessionKeyClient::new(process.account.clone(), key(1), submitter.with_fees_from(fees));
        process.out.fault(method, Fault::Answer(Ok(answer.clone())));
        let built = agent.execute(one()).build().await.unwrap();
        let within =
            |fee: U256, asked: u64| fee >= U256::from(asked) && fee <= U256::from(asked + asked / 1_000);
        assert!(within(built.max_priority_fee_per_gas, 2_000_000_000), "{answer}");
        assert!(
            max_fee.is_none_or(|asked| within(built.max_fee_per_gas, asked)),
            "{answer}"
        );
        agent.execute(one()).await.unwrap();

        // Its word is bounded like anybody's.
        let absurd = |answer: &Value| {
            let absurd = "10000000000000";
            serde_json::from_str(
                &answer
                    .to_string()
                    .replace("\"0x77359400\"", absurd)
                    .replace("2000000000", absurd)
                    .replace("\"0x12a05f200\"", absurd)
                    .replace("\"5000000000\"", absurd),
            )
            .unwrap()
        };
        process.out.fault(method, Fault::Answer(Ok(absurd(&answer))));
        let error = agent.execute(one()).await.unwrap_err();
        assert_eq!((error.code(), error.happened()), ("over_bound", Happened::No));
        // And if it does not tell, nobody guesses.
        process
            .out
            .fault(method, Fault::refuse(-32601, "method not found"));
        let error = agent.execute(one()).await.unwrap_err();
        assert_eq!((error.code(), error.happened()), ("request_failed", Happened::No));
    }
}

#[tokio::test(start_paused = true)]
async fn pre_verification_gas_funds_and_reputation_are_told_apart() {
    for (code, message, expected) in [
        (
            -32602,
            "preVerificationGas is not enough, required: 50836, got: 48060",
            NotTakenReason::PreVerificationGasTooLow {
                least: Some(U256::from(50_836)),
            },
        ),
        (
            -32000,
            "precheck failed: preVerificationGas is 21000 but must be at least 43000",
            NotTakenReason::PreVerificationGasTooLow {
                least: Some(U256::from(43_000)),
            },
        ),
        (-32500, "AA21 didn't pay prefund", NotTakenReason::Funds),
        (
            -32000,
            "precheck failed: sender balance and deposit together is 0 but must be at least 1000 to pay for this operation",
            NotTakenReason::Funds,
        ),
        (
            -32504,
            "account 0x1111111111111111111111111111111111111111 is throttled",
            NotTakenReason::Reputation,
        ),
        (
            -32505,
            "stake of paymaster is too low",
            NotTakenReason::Reputation,
        ),
        (
            -32602,
            "replacement op must increase maxFeePerGas and MaxPriorityFeePerGas",
            NotTakenReason::ReplacementUnderpriced,
        ),
    ] {
        let (_, _, error) = refused(SEND, Fault::refuse(code, message)).await;
        assert_eq!(error.happened(), Happened::NotYet);
        let Cause::NotTaken(not_taken) = *error.cause else {
            panic!("{message}: {error:?}")
        };
        assert_eq!(not_taken.reason, expected, "{message}");
        assert_eq!((&*not_taken.message, not_taken.code), (message, Some(code)));
    }
}

// HTTP 400, an error object without a code, a code that is nobody's: the words count.
#[tokio::test(start_paused = true)]
async fn a_code_of_the_entry_point_is_found_wherever_it_is_said() {
    let object = |error: Value| json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string();
    let faults: [(Box<dyn Fn() -> Fault>, AaCode); 9] = [
        (
            Box::new(move || Fault::Status(422, object(json!({ "message": "AA20 account not deployed" })))),
            AaCode::AccountNotDeployed,
        ),
        (
            Box::new(move || {
                Fault::Status(
                    500,
                    object(json!({ "code": null, "message": "AA20 account not deployed" })),
                )
            }),
            AaCode::AccountNotDeployed,
        ),
        (
            Box::new(|| Fault::Status(400, r#"{"error":"AA20 account not deployed"}"#.to_owned())),
            AaCode::AccountNotDeployed,
        ),
        (
            Box::new(move || {
                let error = json!({ "code": "-32500", "message": "validation failed", "data": { "reason": "AA20 account not deployed" } });
                Fault::Status(400, object(error))
            }),
            AaCode::AccountNotDeployed,
        ),
        (
            Box::new(move || Fault::Status(400, object(json!({ "message": "AA20 account not deployed" })))),
            AaCode::AccountNotDeployed,
        ),
        (
            Box::new(|| {
                Fault::Status(
                    400,
                    r#"{"error":{"message":"AA20 account not deployed"}}"#.to_owned(),
                )
            }),
            AaCode::AccountNotDeployed,
        ),
        (
            Box::new(|| Fault::refuse(-32500, "validation failed: FailedOp(0, \"AA23 reverted: 0x\")")),
            AaCode::AccountReverted,
        ),
        (
            Box::new(|| Fault::refuse(-32507, "Invalid UserOp signature or paymaster signature")),
            AaCode::AccountSignature,
        ),
        (
            Box::new(|| Fault::refuse(-32000, "AA24 signature error")),
            AaCode::AccountSignature,
        ),
    ];
    for (fault, code) in faults {
        match reasons(&*fault).await {
            NotTakenReason::Refused(refusal) => assert_eq!(refusal.code, Some(code), "{refusal}"),
            reason => panic!("{reason:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_within_an_address_is_none() {
    for message in [
        "no answer for sender 0x00000000000000000000000000000000078AA21ec",
        "sender 0xAA25000000000000000000000000000000000000 timed out",
        "cannot process 0xffffAA10ffff",
        "cannot process BAA25 of sender",
        "see https://bundler.example/AA21x for details of AA2100",
        "could not decode 0x220266b60000000000000000000000000000000000000000000000000000000000AA2300",
    ] {
        let (_, process, error) = refused(SEND, Fault::refuse(-32000, message)).await;
        // Nothing was said that means anything.
        assert_eq!(
            (error.code(), error.happened()),
            ("not_included_in_time", Happened::Unknown),
            "{message}"
        );
        assert!(process.out.calls(SEND) > 1, "{message}: it was not sent again");
        let (_, _, error) = refused(ESTIMATE, Fault::refuse(-32000, message)).await;
        assert_eq!((error.code(), error.happened()), ("request_failed", Happened::No));
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_revert_is_decoded_wherever_it_stands() {
    let account = Address::repeat_byte(0xac);
    let token = Address::repeat_byte(0x70);
    let reason = Revert::Plugin(PluginError::ERC20SpendLimitExceeded {
        account,
        session_key: key(1).address(),
        token,
    });
    let bytes = reason.to_bytes();
    for data in [
        json!({ "revertData": bytes }),
        json!(bytes),
        json!({ "data": bytes }),
        json!({ "originalError": { "data": bytes } }),
    ] {
        let mut said = error(-32521, "user operation's call reverted");
        said.data = Some(serde_json::value::to_raw_value(&data).unwrap());
        let found = reasons(|| Fault::Answer(Err(said.clone()))).await;
        assert_eq!(
            found,
            NotTakenReason::WouldRevert {
                revert: reason.clone()
            },
            "{data}"
        );
    }
    // Without data, its words are the reason.
    let found = reasons(|| {
        Fault::refuse(
            -32521,
            "UserOperation reverted during simulation with reason: out of tokens",
        )
    })
    .await;
    let NotTakenReason::WouldRevert { revert } = found else {
        panic!("{found:?}")
    };
    assert!(revert.to_string().contains("out of tokens"), "{revert}");
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn what_was_not_connected_to_was_never_sent() {
    let (fixture, _) = Fixture::with_spender().await;
    let agent = |bundler| {
        let account = account_over(&fixture, fixture.testkit.transport());
        let submitter = BundlerSubmitter::new(bundler, fixture.stack.entry_point);
        SessionKeyClient::new(account, key(1), submitter)
    };
    let url = format!("http://{}/v2/s3cr3t", nobody());
    let client = agent(transport::connect(&url).unwrap()).with_bounds(unbounded());

    // Fees that are high enough to hold random bits, and gas limits that are given: nothing has to be asked
    // before it is sent.
    fixture.testkit.chain().set_next_base_fee(3_500_000_000_000);
    fixture.mine();
    let error = client.execute(one()).gas_limits(ample_gas()).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("not_reached", Happened::No));
    assert!(matches!(error.advice(), Advice::TryAgain { .. }), "{error:?}");
    assert_eq!(error.user_op_hash, None);
    let record = client.intent(error.intent.unwrap()).await.unwrap().unwrap();
    assert_eq!(record.outcome(), Outcome::NeverSent);
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    // A name that it had is free, also for other calls.
    for amount in 1..=2 {
        let named = client
            .execute([Call::transfer(RECIPIENT, U256::from(amount))])
            .id("rent");
        let error = named.gas_limits(ample_gas()).await.unwrap_err();
        assert_eq!(error.code(), "not_reached");
    }
    // Where something has to be asked, that fails first.
    let asked = client.execute(one());
    let given = client
        .execute(one())
        .gas_limits(ample_gas())
        .fees(U256::from(7), U256::ONE);
    for operation in [asked, given] {
        let error = operation.await.unwrap_err();
        assert_eq!((error.code(), error.happened()), ("request_failed", Happened::No));
        assert!(matches!(error.advice(), Advice::TryAgain { .. }), "{error:?}");
    }

    // Of a transport that was made elsewhere nobody knows whether it repeats what it sends.
    let foreign = ProviderBuilder::new().connect_http(url.parse().unwrap()).erased();
    let client = agent(foreign).with_bounds(unbounded());
    let waiting = client.execute(one()).gas_limits(ample_gas()).timeout(seconds(2));
    let error = waiting.await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_included_in_time", Happened::Unknown)
    );
    assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error:?}");
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

#[tokio::test(start_paused = true)]
async fn turned_away_is_told_at_once_and_a_rate_limit_is_waited_for() {
    for status in [401, 403, 404] {
        let (_, process, error) = refused(SEND, Fault::Status(status, "no such key".to_owned())).await;
        assert_eq!((error.code(), error.happened()), ("not_taken", Happened::NotYet));
        let Cause::NotTaken(not_taken) = &*error.cause else {
            panic!("{error:?}")
        };
        assert_eq!(not_taken.reason, NotTakenReason::TurnedAway { status });
        assert_eq!(process.out.calls(SEND), 1);
    }
    for fault in [
        Fault::Status(429, "slow down".to_owned()),
        Fault::refuse(-32005, "rate limit exceeded"),
        Fault::refuse(429, "Too Many Requests"),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        let until = tokio::time::Instant::now() + seconds(10);
        process.out.rule(move |asked| {
            (asked.method == SEND && tokio::time::Instant::now() < until).then(|| fault.clone())
        });
        process.agent.execute(one()).await.unwrap();
        assert!(process.out.calls(SEND) > 1);
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    }
}

#[tokio::test(start_paused = true)]
async fn pages_and_cut_answers_are_asked_for_again() {
    for fault in [
        Fault::Status(200, "<html>maintenance</html>".to_owned()),
        Fault::Status(502, "<html>Bad Gateway</html>".to_owned()),
        Fault::Status(200, r#"{"jsonrpc":"2.0","id":1,"result":"0x"#.to_owned()),
        Fault::Lose,
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        let until = tokio::time::Instant::now() + seconds(10);
        process.out.rule(move |asked| {
            (asked.method == SEND && tokio::time::Instant::now() < until).then(|| fault.clone())
        });
        process.agent.execute(one()).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    }
}

#[tokio::test(start_paused = true)]
async fn an_estimate_that_cannot_be_read_ends_it_with_what_was_there() {
    for answer in [
        json!({}),
        json!({ "callGasLimit": "many", "preVerificationGas": "0x1", "verificationGasLimit": "0x1" }),
        json!({ "callGasLimit": "0x1", "preVerificationGas": "0x1" }),
        json!([]),
        Value::Null,
    ] {
        let (_, process, error) = refused(ESTIMATE, Fault::Answer(Ok(answer.clone()))).await;
        assert_eq!(
            (error.code(), error.happened()),
            ("request_failed", Happened::No),
            "{answer}"
        );
        assert_eq!(process.out.calls(ESTIMATE), 1, "{answer}");
    }
    // Numbers in any form are read.
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.fault(
        ESTIMATE,
        Fault::Answer(Ok(json!({
            "callGasLimit": "150000",
            "verificationGasLimit": 200_000,
            "preVerificationGas": "0x000000000000c350",
            "verificationGas": Value::Null,
            "paymasterVerificationGasLimit": "",
        }))),
    );
    process.agent.execute(one()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// Each its own error, and the bundler hears of none.
#[tokio::test(start_paused = true)]
async fn what_cannot_pass_is_told_before_anything_is_sent() {
    let (fixture, _) = Fixture::with_spender().await;
    let now = fixture.testkit.chain().timestamp();
    let process = Process::new(&fixture, Way::Bundler);
    let agent = &process.agent;
    let range = |valid_after, valid_until| {
        PermissionUpdates::new().time_range(TimeRange {
            valid_after,
            valid_until,
        })
    };
    // The key's time.
    fixture.update(key(1).address(), range(0, now + 1)).await;
    fixture.testkit.chain().increase_time(10);
    fixture.mine();
    let error = agent.execute(one()).await.unwrap_err();
    assert_eq!(error.advice(), Advice::Change);
    assert_not_allowed(error, &["expired"]);
    fixture.update(key(1).address(), range(now + 1_000, 0)).await;
    let error = agent.execute(one()).await.unwrap_err();
    assert_eq!(error.advice(), Advice::TryAgainFrom { at: now + 1_000 });
    assert_not_allowed(error, &["not_yet_valid"]);

    // Another key; another paymaster; another lane.
    let stranger = process.agent_of(7).execute(one()).await.unwrap_err();
    assert!(
        stranger.to_string().contains(&key(7).address().to_string()),
        "{stranger}"
    );
    assert_not_allowed(stranger, &["key_not_registered"]);
    let rules = range(0, 0)
        .required_paymaster(fixture.stack.paymaster)
        .gas_spend_limit(
            SpendLimit::total(U256::from(10).pow(U256::from(18))),
            LimitChange::Raw,
        );
    fixture.update(key(1).address(), rules).await;
    let error = agent
        .execute(one())
        .nonce_key(session_key_client::alloy::primitives::aliases::U192::from(5))
        .await
        .unwrap_err();
    assert_not_allowed(error, &["paymaster_required", "nonce_key"]);

    // No plugin; no account.
    fixture.owner.uninstall_session_key_plugin().await.unwrap();
    let error = agent.execute(one()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("plugin_not_installed", Happened::No)
    );
    assert_eq!(
        *error.cause,
        Cause::PluginNotInstalled {
            account: fixture.account.address(),
            plugin: fixture.stack.session_key_plugin,
        }
    );
    let nowhere = account_at(
        fixture.testkit.provider(),
        31337,
        Address::repeat_byte(0xdd),
        *fixture.account.deployment(),
    );
    let agent = SessionKeyClient::shared(nowhere, Arc::new(key(1)), process.submitter.clone());
    let error = agent.execute(one()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("account_not_deployed", Happened::No)
    );
    let cause = Cause::AccountNotDeployed {
        account: Address::repeat_byte(0xdd),
    };
    assert_eq!(*error.cause, cause);
    assert_eq!((process.out.calls(SEND), process.out.calls(ESTIMATE)), (0, 0));
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_account_without_funds_is_told_of() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::on(&fixture, way, &journal());
        fixture
            .testkit
            .chain()
            .set_balance(fixture.account.address(), U256::from(1_000));
        let call = [Call::transfer(RECIPIENT, U256::ZERO)];
        // More than what is left in its deposit, too.
        let gwei = |amount: u64| U256::from(amount * 1_000_000_000);
        let dear = process.agent.execute(call.clone()).gas_limits(ample_gas());
        let dear = dear.fees(gwei(20), gwei(1)).timeout(seconds(10));
        let error = dear.await.unwrap_err();
        assert!(
            matches!(error.happened(), Happened::No | Happened::NotYet),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("AA21") || error.to_string().contains("too little"),
            "{error}"
        );
        // With funds, the same is done once.
        fixture
            .testkit
            .chain()
            .set_balance(fixture.account.address(), U256::from(10).pow(U256::from(18)));
        process.agent.execute(call).await.unwrap();
        let nonce = fixture.account.nonce(crate::fixture::key_lane(key(1).address()));
        assert_eq!(nonce.await.unwrap() & U256::from(u64::MAX), U256::ONE);
    }
}

// On a plugin of the same ABI, some rules may not be enforced.
#[tokio::test(start_paused = true)]
async fn what_another_plugin_may_let_pass_is_sent_unless_the_caller_is_strict() {
    if crate::IS_V08 {
        // There are no other modules of this ABI.
        return;
    }
    let permissions = Permissions::new()
        .access_control_type(session_key_client::permissions::AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, _) = Fixture::with_key(permissions).await;
    let token = fixture.stack.token;
    let endless = SpendLimit::per(U256::from(100), MAX_SECONDS);
    let updates = PermissionUpdates::new().erc20_spend_limit(token, endless, LimitChange::Raw);
    let insisted = calldata::update_key_permissions(key(1).address(), updates.encode_unchecked().unwrap());
    fixture.owner.call_data(insisted).await.unwrap();
    {
        let plugin = fixture.stack.session_key_plugin;
        let mut chain = fixture.testkit.chain();
        let mut code = chain.code(plugin).to_vec();
        let version = code.windows(5).position(|bytes| bytes == b"1.1.0").unwrap();
        code[version..version + 5].copy_from_slice(b"1.0.1");
        chain.set_code(plugin, code).unwrap();
    }
    let process = Process::new(&fixture, Way::Bundler);
    // A key may not make the account call itself; whether that plugin enforces it is not known.
    let call = || [Call::transfer(fixture.account.address(), U256::ZERO)];
    let error = process.agent.execute(call()).strict().await.unwrap_err();
    assert_not_allowed(error, &["target_is_account"]);
    assert_eq!(process.out.calls(ESTIMATE), 0);

    // This one does.
    let error = process
        .agent
        .execute(call())
        .timeout(seconds(10))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("refused", Happened::No));
    assert_eq!(process.out.calls(ESTIMATE), 1);

    // Nor is it known whether that plugin can reckon with the token's interval. This one can, and what is
    // included says that nobody was sure.
    let pays_tokens = || process.agent.execute([Call::new(token, transfer(RECIPIENT, 5))]);
    let check = pays_tokens().check().await.unwrap();
    assert!(check.passes() && matches!(check.verdict, Verdict::MayPass { .. }));
    // For a caller who is strict, that is a no.
    let check = pays_tokens().strict().check().await.unwrap();
    assert!(!check.passes() && matches!(check.verdict, Verdict::MayPass { .. }));
    assert_not_allowed(
        pays_tokens().strict().await.unwrap_err(),
        &["interval_end_overflow"],
    );
    for way in Way::BOTH {
        let process = Process::new(&fixture, way);
        let pays = process
            .agent
            .execute([Call::new(token, transfer(RECIPIENT, 5))])
            .id("tokens");
        let included = pays.await.unwrap();
        let Some(Verdict::MayPass { violations }) = &included.doubt else {
            panic!("{included:?}")
        };
        assert_eq!(
            violations.iter().map(Violation::code).collect::<Vec<_>>(),
            ["interval_end_overflow"]
        );
        let record = process.agent.named("tokens").await.unwrap().unwrap();
        assert_eq!(record.operations[0].doubt, included.doubt);
    }
    assert_eq!(fixture.token_balance(RECIPIENT), U256::from(10));
    let pays = process.agent.execute(one()).await.unwrap();
    assert_eq!(pays.doubt, None);

    // Nor does a strict one ride along with others that are not.
    fixture.mine_every(seconds(2));
    let tasks = [false, false, true, false].map(|is_strict| {
        let call = Call::new(token, transfer(RECIPIENT, 1));
        let pays = process.agent.execute([call]).share(AfterRevert::Fail);
        let pays = if is_strict { pays.strict() } else { pays };
        (is_strict, tokio::spawn(pays.into_future()))
    });
    for (is_strict, task) in tasks {
        match task.await.unwrap() {
            Ok(_) => assert!(!is_strict),
            Err(error) if is_strict => assert_not_allowed(error, &["interval_end_overflow"]),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(fixture.token_balance(RECIPIENT), U256::from(13));
}

#[test]
fn nobody_outside_says_that_a_caller_sleeps_for_ever() {
    for (said, after) in [
        (None, 2),
        (Some(7), 7),
        (Some(3_600), 3_600),
        (Some(u64::MAX), 3_600),
    ] {
        let error = RequestError::RateLimited {
            message: String::new(),
            retry_after: said,
        };
        let error = OperationError {
            cause: Box::new(Cause::Request {
                by: "bundler".to_owned(),
                error,
            }),
            happened: Happened::No,
            intent: None,
            user_op_hash: None,
        };
        assert_eq!(error.advice(), Advice::TryAgain { after });
    }
}
