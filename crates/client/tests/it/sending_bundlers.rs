//! Bundlers differ: in the forms of their answers, in their words, in what they take and when.
//! Outcomes do not.

use crate::{
    fixture::{FINALIZED_DISTANCE, Fixture, RECIPIENT, ample_gas, key, one, operations_of, transfer},
    process::{Process, Way, journal, seconds},
    wire::{Fault, Wire, provider},
};
use serde_json::json;
use session_key_client::{
    Call, NewSessionKey, Revert, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Cause, Depth, Gas, Happened, Included, NotTakenReason, OperationError},
    permissions::{LimitChange, PermissionUpdates, Permissions, SpendLimit},
    submit::{BundlerFees, BundlerSubmitter},
};
use session_key_testkit::{
    AbsentForm, Bundler, BundlerOptions, BundlerStyle, BundlerWords, Duplicates, ErrorAnswer, Fate,
    NumberForm, ReasonForm, RevertDataForm, Submission, SuccessForm, VerificationGasName,
};
use std::future::IntoFuture;
use tokio::task::JoinSet;

const SEND: &str = "eth_sendUserOperation";

const WORDS: [BundlerWords; 4] = [
    BundlerWords::Plain,
    BundlerWords::Alto,
    BundlerWords::Rundler,
    BundlerWords::Reference,
];

/// A bundler of the fixture's chain that is like this one.
fn bundler(fixture: &Fixture, change: impl FnOnce(&mut BundlerOptions)) -> Bundler {
    let mut options = fixture.bundler.options();
    change(&mut options);
    fixture.testkit.bundler(options)
}

/// A process that sends through this bundler.
fn process(fixture: &Fixture, bundler: &Bundler) -> Process {
    let node = Wire::new(fixture.testkit.transport());
    let out = Wire::new(bundler.transport());
    Process::with(fixture, Way::Bundler, &journal(), node, out)
}

/// Every form of every member, each with the usual form of the others, and all unusual ones together.
fn styles() -> Vec<BundlerStyle> {
    let usual = BundlerStyle::default();
    let mut styles = vec![usual];
    for words in WORDS {
        styles.push(BundlerStyle { words, ..usual });
    }
    for numbers in [NumberForm::PaddedHex, NumberForm::DecimalText, NumberForm::Number] {
        styles.push(BundlerStyle { numbers, ..usual });
    }
    for success in [SuccessForm::Text, SuccessForm::Hex, SuccessForm::Number] {
        styles.push(BundlerStyle { success, ..usual });
    }
    for absent in [AbsentForm::Empty, AbsentForm::Zero, AbsentForm::Absent] {
        styles.push(BundlerStyle {
            no_paymaster: absent,
            no_reason: absent,
            ..usual
        });
    }
    for reason in [ReasonForm::Text, ReasonForm::Unknown] {
        styles.push(BundlerStyle { reason, ..usual });
    }
    for verification_gas in [VerificationGasName::VerificationGas, VerificationGasName::Both] {
        styles.push(BundlerStyle {
            verification_gas,
            ..usual
        });
    }
    styles.push(BundlerStyle {
        sparse_receipts: true,
        ..usual
    });
    styles.push(BundlerStyle {
        hides_pending: true,
        ..usual
    });
    styles.push(BundlerStyle {
        words: BundlerWords::Alto,
        numbers: NumberForm::DecimalText,
        success: SuccessForm::Text,
        no_paymaster: AbsentForm::Empty,
        no_reason: AbsentForm::Absent,
        reason: ReasonForm::Unknown,
        verification_gas: VerificationGasName::VerificationGas,
        revert_data: RevertDataForm::Absent,
        sparse_receipts: true,
        hides_pending: true,
    });
    styles
}

/// `ERC20InsufficientBalance`, which the token's transfer reverts with.
fn is_balance_exceeded(revert: &Revert) -> bool {
    matches!(revert, Revert::Unknown(data) if data.starts_with(&[0xe4, 0x50, 0xd3, 0x8c]))
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_read_from_answers_of_any_form() {
    let (fixture, _) = Fixture::with_spender().await;
    let mut expected = U256::ZERO;
    for style in styles() {
        let process = process(&fixture, &bundler(&fixture, |options| options.style = style));
        let paid = process.agent.execute(one()).await.unwrap();
        expected += U256::ONE;
        assert!(paid.success && paid.reason.is_none(), "{style:?}: {paid:?}");
        assert_eq!(fixture.balance(RECIPIENT), expected, "{style:?}");
        let receipt = &paid.receipt;
        let last = operations_of(&fixture).await.last().copied();
        assert_eq!(last, Some((receipt.user_op_hash, true)), "{style:?}");
        assert!(receipt.actual_gas_cost > U256::ZERO && receipt.paymaster.is_none());
        // More tokens than there are.
        let reverting = Call::new(fixture.stack.token, transfer(RECIPIENT, 2_000_000_000));
        let error = process
            .owner
            .execute(reverting)
            .gas_limits(ample_gas())
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("reverted", Happened::Reverted),
            "{style:?}: {error:?}"
        );
        // The node's receipt has the reason, whatever the bundler's lacks.
        let reason = error.revert().unwrap();
        assert!(is_balance_exceeded(reason), "{style:?}: {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_a_call_that_would_revert_is_told_in_any_form() {
    let (fixture, _) = Fixture::with_spender().await;
    let call = || Call::new(fixture.stack.token, transfer(RECIPIENT, 2_000_000_000));
    for words in WORDS {
        for revert_data in [
            RevertDataForm::Data,
            RevertDataForm::Object,
            RevertDataForm::Absent,
        ] {
            let style = BundlerStyle {
                words,
                revert_data,
                ..BundlerStyle::default()
            };
            let process = process(&fixture, &bundler(&fixture, |options| options.style = style));
            let error = process.owner.execute(call()).await.unwrap_err();
            assert_eq!(
                (error.code(), error.happened()),
                ("would_revert", Happened::No),
                "{style:?}: {error:?}"
            );
            let reason = error.revert().unwrap();
            match reason {
                // All that was said.
                Revert::Error(message) => {
                    assert_eq!(revert_data, RevertDataForm::Absent, "{style:?}: {reason}");
                    assert!(message.contains("revert"), "{style:?}: {reason}");
                }
                reason => assert!(is_balance_exceeded(reason), "{style:?}: {reason}"),
            }
            assert_eq!(process.out.calls(SEND), 0);
        }
    }
}

/// Why it was not taken.
fn not_taken(error: OperationError) -> NotTakenReason {
    assert_eq!(error.happened(), Happened::NotYet, "{error:?}");
    let Cause::NotTaken(not_taken) = *error.cause else {
        panic!("{error:?}")
    };
    not_taken.reason
}

#[tokio::test(start_paused = true)]
async fn what_bundlers_refuse_is_told_apart_in_the_words_of_each() {
    let (fixture, _) = Fixture::with_spender().await;
    for words in WORDS {
        let style = BundlerStyle {
            words,
            ..BundlerStyle::default()
        };
        let demanding = |change: fn(&mut BundlerOptions)| {
            let bundler = bundler(&fixture, |options| {
                options.style = style;
                change(options);
            });
            process(&fixture, &bundler).agent
        };
        let agent = demanding(|options| options.min_priority_fee = 40_000_000_000);
        assert_eq!(
            not_taken(agent.execute(one()).await.unwrap_err()),
            NotTakenReason::FeeTooLow {
                least: Some(U256::from(40_000_000_000_u64))
            },
            "{words:?}"
        );
        let agent = demanding(|options| options.base_fee_percent = 1_000);
        let reason = not_taken(agent.execute(one()).await.unwrap_err());
        assert!(
            matches!(reason, NotTakenReason::FeeTooLow { least: Some(_) }),
            "{words:?}: {reason:?}"
        );
        let agent = demanding(|_| ());
        let gas = Gas {
            pre_verification_gas: U256::from(21_000),
            ..ample_gas()
        };
        let reason = not_taken(agent.execute(one()).gas_limits(gas).await.unwrap_err());
        assert!(
            matches!(reason, NotTakenReason::PreVerificationGasTooLow { least: Some(least) } if least > gas.pre_verification_gas),
            "{words:?}: {reason:?}"
        );
        let agent = demanding(|options| options.max_verification_gas = 400_000);
        let reason = not_taken(agent.execute(one()).gas_limits(ample_gas()).await.unwrap_err());
        assert!(
            !matches!(reason, NotTakenReason::FeeTooLow { .. }),
            "{words:?}: {reason:?}"
        );
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

// A bundler that wants more than the node suggests tells how much, to whoever asks.
#[tokio::test(start_paused = true)]
async fn a_bundlers_own_fees_are_enough_for_it() {
    for (words, fees) in [
        (BundlerWords::Alto, BundlerFees::Pimlico),
        (BundlerWords::Rundler, BundlerFees::Rundler),
    ] {
        for numbers in [NumberForm::DecimalText, NumberForm::Number, NumberForm::PaddedHex] {
            let (fixture, _) = Fixture::with_spender().await;
            let bundler = bundler(&fixture, |options| {
                options.style.words = words;
                options.style.numbers = numbers;
                options.min_priority_fee = 40_000_000_000;
            });
            let process = process(&fixture, &bundler);
            let error = process.agent.execute(one()).await.unwrap_err();
            assert!(
                matches!(not_taken(error), NotTakenReason::FeeTooLow { least: Some(_) }),
                "{words:?}"
            );
            let submitter = BundlerSubmitter::new(provider(process.out.clone()), fixture.stack.entry_point);
            let agent =
                SessionKeyClient::new(process.account.clone(), key(1), submitter.with_fees_from(fees));
            let paid = agent
                .execute([Call::transfer(RECIPIENT, U256::from(2))])
                .await
                .unwrap();
            assert_eq!(fixture.balance(RECIPIENT), U256::from(2), "{words:?}");
            // The first one has the same nonce, and cannot come any more.
            assert_eq!(
                operations_of(&fixture).await.last(),
                Some(&(paid.receipt.user_op_hash, true))
            );
            fixture.mine_blocks(FINALIZED_DISTANCE + 1);
            let records = agent.resume().await.unwrap();
            assert!(
                records
                    .iter()
                    .all(|record| matches!(record.outcome().happened(), Happened::Yes | Happened::No)),
                "{records:?}"
            );
        }
    }
}

// The base fee rises beyond what an operation offers that waits in the pool: its replacement gets in, once.
#[tokio::test(start_paused = true)]
async fn an_operation_that_fees_have_left_behind_is_replaced() {
    for words in WORDS {
        let (fixture, _) = Fixture::with_spender().await;
        let bundler = bundler(&fixture, |options| {
            options.style.words = words;
            options.auto = false;
        });
        let process = process(&fixture, &bundler);
        let error = process
            .agent
            .execute(one())
            .timeout(seconds(5))
            .await
            .unwrap_err();
        let intent = error.intent.unwrap();
        let stuck = bundler.pool().remove(0);
        let dear = u64::try_from(stuck.operation.max_fee_per_gas()).unwrap() * 2;
        fixture.testkit.chain().set_next_base_fee(dear);
        fixture.mine();
        fixture.testkit.chain().set_next_base_fee(dear);
        assert!(bundler.bundle_now().unwrap().is_none(), "{words:?}");
        let replacing = tokio::spawn({
            let agent = process.agent.clone();
            async move { agent.replace(intent).await?.timeout(seconds(120)).await }
        });
        let bundling = tokio::spawn({
            let bundler = bundler.clone();
            async move {
                loop {
                    tokio::time::sleep(seconds(3)).await;
                    bundler.bundle_now().unwrap();
                }
            }
        });
        let included = replacing.await.unwrap().unwrap();
        bundling.abort();
        assert_ne!(included.receipt.user_op_hash, stuck.hash);
        assert_eq!(included.receipt.nonce, stuck.operation.nonce());
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{words:?}");
        assert!(bundler.pool().is_empty());
    }
}

/// Two payments at once by two keys, and what became of them, in the order in which they ended.
async fn two(process: &Process) -> Vec<Result<Included, OperationError>> {
    let mut tasks = JoinSet::new();
    for number in [1, 2] {
        let agent = process.agent_of(number);
        tasks.spawn(async move { agent.execute(one()).timeout(seconds(120)).await });
    }
    tasks.join_all().await
}

#[tokio::test(start_paused = true)]
async fn a_sender_with_too_many_operations_in_a_pool_is_told_so() {
    for words in WORDS {
        let permissions = Permissions::new()
            .contract(RECIPIENT)
            .native_token_spend_limit(SpendLimit::UNLIMITED);
        let (fixture, _) = Fixture::with_keys(2, &permissions).await;
        let bundler = bundler(&fixture, |options| {
            options.style.words = words;
            options.auto = false;
            options.max_per_sender = Some(1);
        });
        let process = process(&fixture, &bundler);
        let bundling = tokio::spawn({
            let bundler = bundler.clone();
            async move {
                loop {
                    tokio::time::sleep(seconds(5)).await;
                    bundler.bundle_now().unwrap();
                }
            }
        });
        let results = two(&process).await;
        bundling.abort();
        let paid = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(paid), "{words:?}");
        assert!(paid >= 1, "{results:?}");
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(not_taken(error), NotTakenReason::Reputation, "{words:?}");
        }
    }
}

// The first operation of an account, sent again after its answer was lost: each bundler says in its own words
// that the account, or the nonce, is there already.
#[tokio::test(start_paused = true)]
async fn an_account_is_created_once_whatever_is_said_of_the_repetition() {
    for words in WORDS {
        for bundles in [true, false] {
            let fixture = Fixture::new().await;
            let bundler = bundler(&fixture, |options| {
                options.style.words = words;
                options.auto = bundles;
                // What it has included it does not remember.
                options.searched_blocks = Some(0);
            });
            let process = process(&fixture, &bundler).creating(&fixture).await;
            process.out.once(SEND, Fault::Break);
            // The node does not see it for a while, so that it is sent again.
            let blind_until = tokio::time::Instant::now() + seconds(12);
            let before = fixture.testkit.chain().block_number();
            process.node.rule(move |asked| {
                let shows = asked.method == "eth_getBlockByNumber" && asked.params[0] == "latest";
                (shows && tokio::time::Instant::now() < blind_until)
                    .then(|| Fault::Ask(json!([format!("{before:#x}"), false])))
            });
            let new = NewSessionKey::new(key(1).address(), &Permissions::new()).unwrap();
            let installing = tokio::spawn(process.owner.install_session_key_plugin([new]).into_future());
            tokio::time::sleep(seconds(20)).await;
            if !bundles {
                bundler.bundle_now().unwrap().unwrap();
            }
            let included = installing.await.unwrap().unwrap();
            assert!(process.out.calls(SEND) > 1, "{words:?}");
            let hash = included.receipt.user_op_hash;
            assert_eq!(operations_of(&fixture).await, [(hash, true)], "{words:?}");
        }
    }
}

// An operation that waits in a pool is sent again now and then; what a bundler says to that differs.
#[tokio::test(start_paused = true)]
async fn an_operation_that_waits_is_paid_once_whatever_is_said_of_it_meanwhile() {
    for words in WORDS {
        for duplicates in [
            Duplicates::AlreadyKnown,
            Duplicates::Accepted,
            Duplicates::Underpriced,
        ] {
            for hides_pending in [false, true] {
                let (fixture, _) = Fixture::with_spender().await;
                let bundler = bundler(&fixture, |options| {
                    options.style = BundlerStyle {
                        words,
                        hides_pending,
                        ..BundlerStyle::default()
                    };
                    options.duplicates = duplicates;
                    options.auto = false;
                });
                let process = process(&fixture, &bundler);
                let case = format!("{words:?}, {duplicates:?}, {hides_pending}");
                // Its first caller is given an error, and asks again for the same intent.
                let error = process
                    .agent
                    .execute(one())
                    .timeout(seconds(50))
                    .await
                    .unwrap_err();
                assert_eq!(
                    (error.code(), error.happened()),
                    ("not_included_in_time", Happened::Unknown),
                    "{case}: {error:?}"
                );
                assert!(process.out.calls(SEND) > 1, "{case}");
                let intent = error.intent.unwrap();
                let again = tokio::spawn({
                    let agent = process.agent.clone();
                    async move { agent.send_again(intent).await?.timeout(seconds(60)).await }
                });
                tokio::time::sleep(seconds(30)).await;
                assert!(!again.is_finished(), "{case}");
                assert_eq!(bundler.pool().len(), 1, "{case}");
                bundler.bundle_now().unwrap().unwrap();
                let included = again.await.unwrap().unwrap();
                assert_eq!(Some(included.receipt.user_op_hash), error.user_op_hash, "{case}");
                assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{case}");
            }
        }
    }
}

// The bundler takes it and says an error, or says the hash and loses it.
#[tokio::test(start_paused = true)]
async fn what_a_bundler_says_and_what_it_does_can_differ() {
    let answers = [
        (-32603, "internal error"),
        (-32000, "context deadline exceeded"),
        (-32005, "rate limit exceeded"),
        (-32602, "replacement must have higher fees"),
        (-32500, "AA25 invalid account nonce"),
        (
            -32000,
            "precheck failed: max fee per gas is 1 but must be at least 2",
        ),
    ];
    for (code, message) in answers {
        let (fixture, _) = Fixture::with_spender().await;
        let bundler = bundler(&fixture, |options| {
            options.submission = Submission::PassedOn(ErrorAnswer::new(code, message));
        });
        let process = process(&fixture, &bundler);
        let result = process.agent.execute(one()).timeout(seconds(60)).await;
        // It is included; whoever is told an error is told that it is open, and finds it.
        let included = match result {
            Ok(included) => included,
            Err(error) => {
                assert_eq!(error.happened(), Happened::NotYet, "{message}: {error:?}");
                let again = process.agent.send_again(error.intent.unwrap());
                again.await.unwrap().await.unwrap()
            }
        };
        assert!(included.success);
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{message}");
    }
    let (fixture, _) = Fixture::with_spender().await;
    let bundler = bundler(&fixture, |options| options.submission = Submission::Lost);
    let process = process(&fixture, &bundler);
    let paying = tokio::spawn({
        let agent = process.agent.clone();
        async move { agent.execute(one()).timeout(seconds(120)).await }
    });
    tokio::time::sleep(seconds(20)).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    bundler.change(|options| options.submission = Submission::Accepted);
    paying.await.unwrap().unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// Some take the chain's next nonce only, and see blocks late; some hold one operation of a sender in a
// bundle, some many.
#[tokio::test(start_paused = true)]
async fn keys_and_tasks_share_a_bundler_of_any_capacity() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    for (nonces_ahead, lag, per_bundle) in [(0, 0, 1), (0, 2, 1), (10, 1, 10), (1, 3, 10)] {
        let (fixture, _) = Fixture::with_keys(2, &permissions).await;
        let bundler = bundler(&fixture, |options| {
            options.auto = false;
            options.nonces_ahead = nonces_ahead;
            options.lag = lag;
            options.max_per_sender_in_bundle = per_bundle;
            options.max_per_sender = None;
        });
        // It knows the account.
        fixture.mine_blocks(lag);
        let process = process(&fixture, &bundler);
        let bundling = tokio::spawn({
            let (bundler, testkit) = (bundler.clone(), fixture.testkit.clone());
            async move {
                loop {
                    tokio::time::sleep(seconds(2)).await;
                    if bundler.bundle_now().unwrap().is_none() {
                        testkit.chain().mine();
                    }
                }
            }
        });
        let mut tasks = JoinSet::new();
        for task in 0..6 {
            let agent = process.agent_of(1 + task % 2);
            tasks.spawn(async move { agent.execute(one()).timeout(seconds(600)).await });
        }
        let results = tasks.join_all().await;
        bundling.abort();
        let case = format!("{nonces_ahead} ahead, {lag} blocks late, {per_bundle} in a bundle");
        assert!(results.iter().all(Result::is_ok), "{case}: {results:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(6), "{case}");
    }
}

// As on rollups: what is published costs beside gas, and `preVerificationGas` has to pay for it at the
// operation's own fees.
#[tokio::test(start_paused = true)]
async fn what_publishing_costs_is_paid_for_at_the_fees_that_are_signed() {
    for data_fee in [1_000_000_u128, 100_000_000_000, 1_000_000_000_000] {
        for budget in [None, Some(97_u64), Some(70)] {
            let permissions = Permissions::new()
                .contract(RECIPIENT)
                .native_token_spend_limit(SpendLimit::UNLIMITED);
            let (fixture, _) = Fixture::with_key(permissions.clone()).await;
            let bundler = bundler(&fixture, |options| options.data_fee = data_fee);
            let probe = process(&fixture, &bundler);
            let full = probe.agent.execute(one()).build().await.unwrap();
            if let Some(percent) = budget {
                let left = full.max_cost().unwrap() * U256::from(percent) / U256::from(100);
                let limit = SpendLimit::total(left);
                let updates = PermissionUpdates::new().gas_spend_limit(limit, LimitChange::Afresh);
                fixture.update(key(1).address(), updates).await;
            }
            let process = process(&fixture, &bundler);
            let paid = process.agent.execute(one()).await;
            let case = format!("{data_fee} wei a byte, {budget:?} %");
            match paid {
                Ok(_) => assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{case}"),
                // What is left may not do at any fee that the chain takes. Then nothing was sent.
                Err(error) => {
                    assert_eq!(error.happened(), Happened::No, "{case}: {error:?}");
                    assert!(budget.is_some(), "{case}: {error:?}");
                    assert_eq!(process.out.calls(SEND), 0, "{case}: {error:?}");
                    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO, "{case}");
                }
            }
        }
    }
}

// Some forget what a reorganization undid, others keep it. Here the transaction is gone either way.
#[tokio::test(start_paused = true)]
async fn what_a_reorganization_undoes_is_paid_once_whatever_the_bundler_keeps() {
    for fate in [Fate::Pooled, Fate::Dropped] {
        let (fixture, _) = Fixture::with_spender().await;
        let bundler = bundler(&fixture, |options| options.after_reorganization = fate);
        let process = process(&fixture, &bundler);
        let waiting = tokio::spawn(
            process
                .agent
                .execute(one())
                .depth(Depth::Blocks(4))
                .timeout(seconds(600))
                .into_future(),
        );
        while fixture.balance(RECIPIENT).is_zero() {
            tokio::time::sleep(seconds(1)).await;
        }
        let first = operations_of(&fixture).await.last().copied();
        fixture.testkit.chain().reorganize(1, |_| Fate::Dropped).unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
        let blocks = tokio::spawn({
            let (bundler, testkit) = (bundler.clone(), fixture.testkit.clone());
            async move {
                loop {
                    tokio::time::sleep(seconds(4)).await;
                    if bundler.bundle_now().unwrap().is_none() {
                        testkit.chain().mine();
                    }
                }
            }
        });
        let included = waiting.await.unwrap().unwrap();
        blocks.abort();
        assert!(included.confirmations() >= 4);
        assert_eq!(operations_of(&fixture).await.last().copied(), first, "{fate:?}");
        assert_eq!(Some((included.receipt.user_op_hash, true)), first, "{fate:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{fate:?}");
    }
}
