//! Names: what is asked for under one name happens once, in this process and in every later one on
//! the same journal.

use crate::{
    fixture::{
        ETHER, Fixture, RECIPIENT, account_at, ample_gas, create_account, is_undecided, key, one,
        operations_of,
    },
    process::{Process, Way, desk, journal, seconds},
    wire::Fault,
};
use session_key_client::{
    Call, OperationError, SessionKeyClient,
    alloy::primitives::{Address, U256},
    journal::{Handover, Journal, SqliteJournal},
    operation::{Advice, Cause, Happened, Open, Operation, Outcome},
    permissions::{AddressEntry, LimitChange, PermissionUpdates, Permissions, SpendLimit, TimeRange},
};
use session_key_testkit::{BundlerWords, Duplicates};
use std::sync::Arc;

const SEND: &str = "eth_sendUserOperation";

fn pay(process: &Process, amount: u64) -> Operation {
    process
        .agent
        .execute([Call::transfer(RECIPIENT, U256::from(amount))])
}

fn assert_name_taken(error: &OperationError, is_outcome: impl Fn(&Outcome) -> bool) {
    assert_eq!(error.code(), "name_taken", "{error:?}");
    match &*error.cause {
        Cause::NameTaken { outcome, .. } => assert!(is_outcome(outcome), "{outcome:?}"),
        cause => panic!("{cause:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_paid_once_however_often_it_is_asked_for() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, way, &journal);
        let first = pay(&process, 5).id("rent").await.unwrap();
        for _ in 0..2 {
            assert_eq!(pay(&process, 5).id("rent").await.unwrap().receipt, first.receipt);
        }
        // After a restart, and another one.
        for _ in 0..2 {
            let process = Process::on(&fixture, way, &journal);
            let again = pay(&process, 5).id("rent").await.unwrap();
            assert_eq!(again.receipt, first.receipt);
            assert_eq!(process.out.calls(way.hands_over()), 0);
            let record = process.agent.named("rent").await.unwrap().unwrap();
            assert_eq!(record.operations[0].signed.hash, first.receipt.user_op_hash);
        }
        // Two names are two intents, however alike.
        pay(&process, 5).id("rent, June").await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(10));
        // It stays when everything is final, and others have come and gone.
        for _ in 0..3 {
            pay(&process, 1).await.unwrap();
            fixture.mine_blocks(70);
        }
        let again = pay(&Process::on(&fixture, way, &journal), 5)
            .id("rent")
            .await
            .unwrap();
        assert_eq!(again.receipt, first.receipt);
        assert!(again.is_final);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(13));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_asked_for_by_many_at_once_is_paid_once() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let processes = [
            Process::on(&fixture, way, &journal),
            Process::on(&fixture, way, &journal),
        ];
        fixture.mine_every(seconds(2));
        let tasks: Vec<_> = (0..8)
            .map(|number| tokio::spawn(pay(&processes[number % 2], 5).id("rent").into_future()))
            .collect();
        let mut hashes = Vec::new();
        for task in tasks {
            hashes.push(task.await.unwrap().unwrap().receipt.user_op_hash);
        }
        hashes.dedup();
        assert_eq!(hashes.len(), 1, "{way:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
    }
}

// As a file on disk keeps it. The clock is the machine's.
#[tokio::test]
async fn names_hold_across_restarts_on_a_file() {
    let (fixture, _) = Fixture::with_spender().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let process = async || {
        let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open(&path).await.unwrap());
        Process::on(&fixture, Way::Bundler, &journal)
    };
    let first = process().await;
    // Its answer is lost, and the process with it.
    first.out.fault(SEND, Fault::Swallow);
    let running = tokio::spawn(pay(&first, 5).id("rent").into_future());
    first.out.hangs().await;
    running.abort();
    let _ = running.await;
    drop(first);

    let second = process().await;
    let kept = second.agent.named("rent").await.unwrap().unwrap();
    let error = pay(&second, 6).id("rent").await.unwrap_err();
    assert_name_taken(&error, |outcome| matches!(outcome, Outcome::Open(_)));
    let included = pay(&second, 5).id("rent").await.unwrap();
    assert_eq!(included.receipt.user_op_hash, kept.operations[0].signed.hash);
    drop(second);
    let third = process().await;
    assert_eq!(pay(&third, 5).id("rent").await.unwrap().receipt, included.receipt);
    let error = pay(&third, 6).id("rent").await.unwrap_err();
    assert_name_taken(&error, |outcome| outcome.happened() == Happened::Yes);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

#[tokio::test(start_paused = true)]
async fn an_open_name_is_taken_up_with_the_operation_that_was_signed() {
    for (way, restarts) in [
        (Way::Bundler, false),
        (Way::Bundler, true),
        (Way::EntryPoint, false),
        (Way::EntryPoint, true),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, way, &journal);
        // Nothing of it arrives.
        process.out.fault(way.hands_over(), Fault::Lose);
        let error = pay(&process, 5).id("rent").timeout(seconds(5)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("not_included_in_time", Happened::Unknown)
        );
        assert_eq!(error.advice(), Advice::Settle);
        let other = pay(&process, 6).id("rent").await.unwrap_err();
        assert_name_taken(&other, |outcome| *outcome == Outcome::Open(Open::NoAnswer));
        process.out.repair();
        let process = if restarts {
            Process::on(&fixture, way, &journal)
        } else {
            process
        };
        let included = pay(&process, 5).id("rent").await.unwrap();
        assert_eq!(Some(included.receipt.user_op_hash), error.user_op_hash, "{way:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
        // Whoever asks for it by its name is told of it like any other: it is not taken for a repetition.
        assert_eq!(
            pay(&process, 5).id("rent").await.unwrap().receipt,
            included.receipt
        );
    }
}

// The bundler does not take what was signed any more: then it is signed anew, with the same nonce and calls.
#[tokio::test(start_paused = true)]
async fn an_open_name_that_cannot_pass_is_signed_anew() {
    for message in [
        "precheck failed: maxPriorityFeePerGas is 1 but must be at least 7",
        "preVerificationGas is not enough, required: 50836, got: 48060",
        "replacement op must increase maxFeePerGas and MaxPriorityFeePerGas",
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, Way::Bundler, &journal);
        process.out.fault(SEND, Fault::refuse(-32602, message));
        let error = pay(&process, 5).id("rent").await.unwrap_err();
        assert_eq!(
            (error.code(), error.happened()),
            ("not_taken", Happened::NotYet),
            "{message}"
        );
        process.out.repair();

        let process = Process::on(&fixture, Way::Bundler, &journal);
        let kept = process
            .agent
            .named("rent")
            .await
            .unwrap()
            .unwrap()
            .operations
            .remove(0)
            .signed;
        let signature = serde_json::json!(kept.operation.signature);
        process.out.rule(move |asked| {
            let is_old = asked.method == SEND && asked.params[0]["signature"] == signature;
            is_old.then(|| Fault::refuse(-32602, message))
        });
        let included = pay(&process, 5).id("rent").await.unwrap();
        assert_ne!(included.receipt.user_op_hash, kept.hash);
        assert_eq!(included.receipt.nonce, kept.operation.nonce);
        let record = process.agent.named("rent").await.unwrap().unwrap();
        assert_eq!(record.operations.len(), 2);
        assert_eq!(
            record.operations[1].signed.operation.call_data,
            kept.operation.call_data
        );
        // The first one, whoever has it, is void with that.
        let _ = fixture.submitter.send(&kept).await;
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
    }
}

// Its first answer was lost, and what the bundler says now can come from neither a pool nor a block
// that has it.
#[tokio::test(start_paused = true)]
async fn an_open_name_that_was_not_answered_and_cannot_pass_is_signed_anew() {
    for (code, message) in [
        (-32602, "callGasLimit is 1000000 but must be at most 900000"),
        (-32500, "AA21 didn't pay prefund"),
        (-32500, "AA22 expired or not due"),
        (-32500, "AA23 reverted (or OOG)"),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, Way::Bundler, &journal);
        process.out.fault(SEND, Fault::Lose);
        let error = pay(&process, 5).id("rent").timeout(seconds(5)).await.unwrap_err();
        assert_eq!(error.happened(), Happened::Unknown, "{message}");

        let process = Process::on(&fixture, Way::Bundler, &journal);
        let kept = process.agent.named("rent").await.unwrap().unwrap();
        let kept = &kept.operations[0].signed;
        let signature = serde_json::json!(kept.operation.signature);
        process.out.rule(move |asked| {
            let is_old = asked.method == SEND && asked.params[0]["signature"] == signature;
            is_old.then(|| Fault::refuse(code, message))
        });
        let start = tokio::time::Instant::now();
        let included = pay(&process, 5).id("rent").await.unwrap();
        assert!(start.elapsed() < seconds(10), "{message}: {:?}", start.elapsed());
        assert_ne!(included.receipt.user_op_hash, kept.hash, "{message}");
        assert_eq!(included.receipt.nonce, kept.operation.nonce, "{message}");
        let _ = fixture.submitter.send(kept).await;
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5), "{message}");
    }
}

// What is in its way is named, and can go again: then it is done once.
#[tokio::test(start_paused = true)]
async fn an_open_name_that_is_blocked_is_told_by_what_and_is_done_when_that_is_gone() {
    type Change = fn(&Fixture) -> PermissionUpdates;
    let blocks: [(&str, Change, Change); 3] = [
        (
            "expired",
            |fixture| {
                let now = fixture.testkit.chain().timestamp();
                PermissionUpdates::new().time_range(TimeRange {
                    valid_after: 0,
                    valid_until: now - 1,
                })
            },
            |_| PermissionUpdates::new().time_range(TimeRange::default()),
        ),
        (
            "native_limit_exceeded",
            |_| {
                PermissionUpdates::new()
                    .native_token_spend_limit(SpendLimit::total(U256::from(4)), LimitChange::Afresh)
            },
            |_| {
                PermissionUpdates::new()
                    .native_token_spend_limit(SpendLimit::total(U256::from(5)), LimitChange::Afresh)
            },
        ),
        (
            "contract_not_on_allowlist",
            |_| {
                PermissionUpdates::new().address_entry(AddressEntry {
                    contract: RECIPIENT,
                    is_on_list: false,
                    check_selectors: false,
                })
            },
            |_| PermissionUpdates::new().contract(RECIPIENT),
        ),
    ];
    for way in Way::BOTH {
        for (code, block, unblock) in &blocks {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let process = Process::on(&fixture, way, &journal);
            process.out.fault(way.hands_over(), Fault::Lose);
            let error = pay(&process, 5).id("rent").timeout(seconds(5)).await.unwrap_err();
            assert_eq!(error.happened(), Happened::Unknown, "{code}");
            fixture.update(key(1).address(), block(&fixture)).await;
            fixture.mine();
            for process in [process, Process::on(&fixture, way, &journal)] {
                process.out.repair();
                let error = pay(&process, 5)
                    .id("rent")
                    .timeout(seconds(60))
                    .await
                    .unwrap_err();
                assert!(is_undecided(error.happened()), "{way:?} {code}: {error:?}");
                let broken = error.verdict().map(|verdict| verdict.violations()[0].code());
                assert_eq!(
                    (error.code(), broken),
                    ("not_allowed", Some(*code)),
                    "{way:?}: {error:?}"
                );
            }
            assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
            fixture.update(key(1).address(), unblock(&fixture)).await;
            let process = Process::on(&fixture, way, &journal);
            for _ in 0..2 {
                pay(&process, 5).id("rent").await.unwrap();
            }
            assert_eq!(fixture.balance(RECIPIENT), U256::from(5), "{way:?} {code}");
        }
    }
}

// It waits in a pool, and the bundler takes the same once more for a replacement that pays too little.
#[tokio::test(start_paused = true)]
async fn an_open_name_that_waits_in_a_pool_is_not_replaced() {
    for is_answered in [true, false] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, Way::Bundler, &journal);
        fixture.bundler.change(|options| {
            options.auto = false;
            options.duplicates = Duplicates::Underpriced;
            options.style.words = BundlerWords::Reference;
        });
        if !is_answered {
            process.out.once(SEND, Fault::Break);
        }
        let error = pay(&process, 5).id("rent").timeout(seconds(5)).await.unwrap_err();
        assert_eq!(error.happened(), Happened::Unknown, "{error:?}");
        let process = Process::on(&fixture, Way::Bundler, &journal);
        let again = tokio::spawn(pay(&process, 5).id("rent").into_future());
        tokio::time::sleep(seconds(60)).await;
        assert!(process.out.calls(SEND) > 0 && !again.is_finished());
        fixture.bundler.bundle_now().unwrap().unwrap();
        let included = again.await.unwrap().unwrap();
        assert_eq!(Some(included.receipt.user_op_hash), error.user_op_hash);
        let record = process.agent.named("rent").await.unwrap().unwrap();
        assert_eq!(record.operations.len(), 1);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
    }
}

#[tokio::test(start_paused = true)]
async fn other_calls_under_a_name_that_is_not_free_are_an_error_with_its_outcome() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::Bundler, &journal);
    pay(&process, 5).id("rent").await.unwrap();
    for process in [process, Process::on(&fixture, Way::Bundler, &journal)] {
        for other in [
            pay(&process, 6),
            process.agent.execute([]),
            process.agent.execute([one(), one()].concat()),
            process
                .agent
                .execute([Call::transfer(Address::ZERO, U256::from(5))]),
        ] {
            let error = other.id("rent").await.unwrap_err();
            assert_name_taken(&error, |outcome| outcome.happened() == Happened::Yes);
            assert!(process.out.calls(SEND) <= 1);
        }
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_calls_reverted_answers_that_until_it_is_forgotten() {
    let (fixture, _) = Fixture::with_spender().await;
    let target = Address::repeat_byte(0xfe);
    fixture
        .testkit
        .chain()
        .set_code(target, [0x5f, 0x5f, 0xfd])
        .unwrap();
    fixture
        .update(key(1).address(), PermissionUpdates::new().contract(target))
        .await;
    let journal = journal();
    let process = Process::on(&fixture, Way::EntryPoint, &journal);
    let operation = |process: &Process| {
        process
            .agent
            .execute([Call::new(target, vec![])])
            .gas_limits(ample_gas())
            .id("once")
    };
    let error = operation(&process).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("reverted", Happened::Reverted));
    let count = operations_of(&fixture).await.len();
    for process in [&process, &Process::on(&fixture, Way::EntryPoint, &journal)] {
        let again = operation(process).await.unwrap_err();
        assert_eq!((again.code(), again.happened()), ("reverted", Happened::Reverted));
        assert_eq!(again.user_op_hash, error.user_op_hash);
    }
    assert_eq!(operations_of(&fixture).await.len(), count);
    fixture.testkit.chain().set_code(target, [0x00]).unwrap();
    process.agent.forget(error.intent.unwrap()).await.unwrap();
    operation(&process).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_of_what_never_left_or_cannot_happen_is_free() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::Bundler, &journal);
    // Refused before it was signed.
    process.out.fault(
        "eth_estimateUserOperationGas",
        Fault::refuse(-32500, "AA23 reverted"),
    );
    let error = pay(&process, 5).id("rent").await.unwrap_err();
    assert_eq!(error.happened(), Happened::No);
    assert_eq!(process.agent.named("rent").await.unwrap(), None);
    process.out.repair();
    // Open; its nonce is used by somebody else's operation; void once that lies deep.
    process.out.fault(SEND, Fault::Answer(Ok("taken".into())));
    let open = pay(&process, 6).id("rent").timeout(seconds(5)).await.unwrap_err();
    assert_eq!(open.happened(), Happened::Unknown);
    process.out.repair();
    let stranger = Process::new(&fixture, Way::Bundler);
    pay(&stranger, 1).await.unwrap();
    let error = pay(&process, 7)
        .id("rent")
        .timeout(seconds(20))
        .await
        .unwrap_err();
    assert_name_taken(&error, |outcome| is_undecided(outcome.happened()));
    fixture.mine_blocks(70);
    pay(&process, 7).id("rent").await.unwrap();
    let error = pay(&process, 6).id("rent").await.unwrap_err();
    assert_name_taken(&error, |outcome| outcome.happened() == Happened::Yes);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(8));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_forgotten_when_its_caller_says_so_and_not_before_it_is_decided() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.fault(SEND, Fault::Answer(Ok("taken".into())));
    let open = pay(&process, 5).id("rent").timeout(seconds(5)).await.unwrap_err();
    let error = process.agent.forget(open.intent.unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "blocked_by");
    process.out.repair();
    let included = pay(&process, 5).id("rent").await.unwrap();
    process.agent.forget(open.intent.unwrap()).await.unwrap();
    assert_eq!(process.agent.named("rent").await.unwrap(), None);
    let again = pay(&process, 5).id("rent").await.unwrap();
    assert_ne!(again.receipt.user_op_hash, included.receipt.user_op_hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(10));
}

#[tokio::test(start_paused = true)]
async fn a_name_belongs_to_an_account_and_a_signer() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, _) = Fixture::with_keys(2, &permissions).await;
    let journal = journal();
    let process = Process::on(&fixture, Way::EntryPoint, &journal);
    let call = || [Call::transfer(RECIPIENT, U256::from(5))];
    process.agent.execute(call()).id("rent").await.unwrap();
    process.agent_of(2).execute(call()).id("rent").await.unwrap();
    process.owner.execute(call()[0].clone()).id("rent").await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(15));
    // Another account, with the same key, on the same journal.
    let other = {
        let mut chain = fixture.testkit.chain();
        let owner = fixture.owner_signer.address();
        let other = create_account(&fixture.stack, &mut chain, U256::from(9), owner);
        chain.set_balance(other, U256::from(ETHER));
        other
    };
    let account = account_at(
        fixture.testkit.provider(),
        31337,
        other,
        *fixture.account.deployment(),
    )
    .with_desk(desk(&journal, fixture.epoch));
    let owner = session_key_client::OwnerClient::shared(
        account.clone(),
        Arc::new(fixture.owner_signer.clone()),
        process.submitter.clone(),
    );
    let new = session_key_client::NewSessionKey::new(key(1).address(), &permissions).unwrap();
    owner.install_session_key_plugin([new]).await.unwrap();
    owner.execute(call()[0].clone()).id("rent").await.unwrap();
    let agent = SessionKeyClient::shared(account, Arc::new(key(1)), process.submitter.clone());
    agent.execute(call()).id("rent").await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(25));
}

// Another process has written down that it goes out, and is gone before anybody hears of it.
#[tokio::test(start_paused = true)]
async fn what_was_only_written_down_is_taken_up_too() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::Bundler, &journal);
    process.out.fault(SEND, Fault::Swallow);
    let running = tokio::spawn(pay(&process, 5).id("rent").into_future());
    process.out.hangs().await;
    let scope = process.agent.named("rent").await.unwrap().unwrap().scope();
    process.kill();
    running.abort();
    let _ = running.await;
    let kept = journal.named(&scope, "rent").await.unwrap().unwrap();
    assert_eq!(kept.operations[0].handover, Handover::Written);
    // Its lease is not over yet.
    let next = Process::on(&fixture, Way::Bundler, &journal);
    let start = tokio::time::Instant::now();
    let included = pay(&next, 5).id("rent").await.unwrap();
    assert!(start.elapsed() >= seconds(5), "{:?}", start.elapsed());
    assert_eq!(included.receipt.user_op_hash, kept.operations[0].signed.hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}
