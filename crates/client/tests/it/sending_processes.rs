//! Several processes: on one journal they take turns, and on journals of their own nonces keep them apart.

use crate::{
    fixture::{
        FINALIZED_DISTANCE, Fixture, RECIPIENT, ample_gas, is_undecided, key, key_lane, one, operations_of,
    },
    process::{Clock, Process, Way, journal, seconds},
    wire::Fault,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use session_key_client::{
    Call, OperationError,
    alloy::primitives::{Address, B256, U256},
    journal::{
        Acquired, Handover, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, ProcessId, Scope,
    },
    operation::{Advice, Cause, Depth, Happened, Included, Operation, Outcome},
    permissions::{Permissions, SpendLimit},
};
use std::time::Duration;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::{task::JoinHandle, time::Instant};

type Running = JoinHandle<Result<Included, OperationError>>;

fn pay(process: &Process, amount: u64) -> Operation {
    process
        .agent
        .execute([Call::transfer(RECIPIENT, U256::from(amount))])
}

fn run(operation: Operation) -> Running {
    tokio::spawn(operation.into_future())
}

const fn hash_of(included: &Included) -> B256 {
    included.receipt.user_op_hash
}

/// A process that ends without a word.
async fn crash(process: Process, running: Running) {
    process.kill();
    running.abort();
    let _ = running.await;
}

/// What the process has open, by the journal.
async fn intents(process: &Process) -> Vec<IntentRecord> {
    let journal = process.account.desk().journal();
    journal.intents(31337, process.account.address()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn processes_on_one_journal_take_turns_in_a_lane() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let processes = [0, 1, 2].map(|_| Process::on(&fixture, way, &journal));
        fixture.mine_every(seconds(2));
        let tasks: Vec<_> = (0..18)
            .map(|number| run(pay(&processes[number % 3], 1).timeout(seconds(600))))
            .collect();
        let mut hashes = BTreeSet::new();
        for task in tasks {
            hashes.insert(hash_of(&task.await.unwrap().unwrap()));
        }
        assert_eq!(hashes.len(), 18);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(18), "{way:?}");
        // Nothing was signed twice.
        let records = intents(&processes[0]).await;
        assert!(
            records.iter().all(|record| record.operations.len() == 1),
            "{way:?}"
        );
    }
}

// Nothing else needs to be done with it: a request that hangs, or an answer that nobody awaits, gives the
// lane to nobody.
#[tokio::test(start_paused = true)]
async fn a_process_keeps_a_lane_as_long_as_it_works_in_it() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let [slow, other] = [0, 1].map(|_| Process::on(&fixture, Way::Bundler, &journal));
    slow.out.fault("eth_sendUserOperation", Fault::Late(seconds(50)));
    let running = run(pay(&slow, 1));
    while slow.out.calls("eth_sendUserOperation") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = pay(&other, 2).timeout(seconds(40)).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("lane_busy", Happened::No));
    running.await.unwrap().unwrap();

    let pending = pay(&slow, 1).send().await.unwrap();
    let error = pay(&other, 2).timeout(seconds(40)).await.unwrap_err();
    assert_eq!(error.code(), "lane_busy");
    pending.await.unwrap();
    pay(&other, 2).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
}

// While its callers wait for depth, a process holds no lane; still it is seen whether it is there.
#[tokio::test(start_paused = true)]
async fn a_process_that_goes_while_it_waits_for_depth_counts_as_one_that_was_given_an_error() {
    for way in Way::BOTH {
        for is_gone in [true, false] {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let first = Process::on(&fixture, way, &journal);
            let running = run(pay(&first, 5).depth(Depth::Blocks(30)).timeout(seconds(3_000)));
            while fixture.balance(RECIPIENT).is_zero() {
                tokio::time::sleep(seconds(1)).await;
            }
            tokio::time::sleep(seconds(20)).await;
            let next = Process::on(&fixture, way, &journal);
            if is_gone {
                crash(first, running).await;
                let told = pay(&next, 5).await.unwrap_err();
                assert_eq!(
                    (told.code(), told.happened()),
                    ("already_happened", Happened::Yes),
                    "{way:?}"
                );
                assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
                pay(&next, 5).await.unwrap();
            } else {
                let second = pay(&next, 5).await.unwrap();
                fixture.mine_blocks(40);
                let first = running.await.unwrap().unwrap();
                assert_ne!(hash_of(&first), hash_of(&second));
            }
            assert_eq!(fixture.balance(RECIPIENT), U256::from(10), "{way:?}");
        }
    }
}

// A caller that goes away is not a process that is gone.
#[tokio::test(start_paused = true)]
async fn a_lane_is_given_back_when_its_future_is_dropped() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let [process, other] = [0, 1].map(|_| Process::on(&fixture, Way::EntryPoint, &journal));
    // Included, and not deep enough for its caller yet.
    let deep = run(pay(&process, 1).depth(Depth::Blocks(8)).timeout(seconds(600)));
    while fixture.balance(RECIPIENT).is_zero() {
        tokio::time::sleep(seconds(1)).await;
    }
    process.out.fault("eth_sendRawTransaction", Fault::Hang);
    let running = run(pay(&process, 2));
    process.out.hangs().await;
    running.abort();
    let _ = running.await;
    let start = Instant::now();
    pay(&other, 4).await.unwrap();
    assert!(start.elapsed() < seconds(10), "{:?}", start.elapsed());
    let waiting = intents(&other).await;
    let of_deep = waiting
        .iter()
        .find(|record| !record.told && record.given_up.is_none());
    assert!(of_deep.is_some(), "{waiting:?}");
    deep.abort();
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_shared_between_processes_on_one_journal() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(7)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let journal = journal();
    let processes = [0, 1].map(|_| Process::on(&fixture, Way::EntryPoint, &journal));
    fixture.mine_every(seconds(2));
    let tasks: Vec<_> = (0..10)
        .map(|number| run(pay(&processes[number % 2], 1)))
        .collect();
    let mut served = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => served += 1,
            Err(error) => assert_eq!((error.code(), error.happened()), ("not_allowed", Happened::No)),
        }
    }
    assert_eq!((served, fixture.balance(RECIPIENT)), (7, U256::from(7)));
    assert!(operations_of(&fixture).await.iter().all(|(_, success)| *success));
}

// The lane is free once the lease of the process that is gone is over; what it had open comes first.
#[tokio::test(start_paused = true)]
async fn a_lane_is_taken_over_from_a_process_that_is_gone() {
    for way in Way::BOTH {
        for arrives in [false, true] {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let gone = Process::on(&fixture, way, &journal);
            gone.out.fault(
                way.hands_over(),
                if arrives { Fault::Hang } else { Fault::Swallow },
            );
            let running = run(pay(&gone, 5));
            gone.out.hangs().await;
            crash(gone, running).await;

            let process = Process::on(&fixture, way, &journal);
            let included = pay(&process, 7).await.unwrap();
            let records = intents(&process).await;
            let old = records
                .iter()
                .find(|record| record.operations[0].signed.hash != hash_of(&included))
                .unwrap();
            assert_eq!(old.outcome().happened(), Happened::Yes, "{way:?} {arrives}");
            assert_eq!(included.receipt.nonce, old.operations[0].nonce() + U256::ONE);
            assert_eq!(fixture.balance(RECIPIENT), U256::from(12), "{way:?} {arrives}");
        }
    }
}

// Clocks that are wrong, by an hour or a year, and that jump while operations wait.
#[tokio::test(start_paused = true)]
async fn what_is_included_is_told_at_once_though_its_process_died_with_the_lane() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let first = Process::on(&fixture, way, &journal);
        first.out.fault(way.hands_over(), Fault::Hang);
        let running = run(pay(&first, 3).id("rent").timeout(seconds(600)));
        first.out.hangs().await;
        crash(first, running).await;
        fixture.mine();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(3), "{way:?}");
        let second = Process::on(&fixture, way, &journal);
        let asked = Instant::now();
        let included = pay(&second, 3).id("rent").await.unwrap();
        assert!(asked.elapsed() < seconds(5), "{way:?}: {:?}", asked.elapsed());
        assert!(included.success);
        // The caller is told: nothing is open, and the name answers once more.
        assert!(intents(&second).await[0].told);
        assert_eq!(
            hash_of(&pay(&second, 3).id("rent").await.unwrap()),
            hash_of(&included)
        );
        assert_eq!(fixture.balance(RECIPIENT), U256::from(3));
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_jump_double_nothing_and_stop_nothing() {
    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;
    for (before, after) in [
        (HOUR, HOUR),
        (-HOUR, -HOUR),
        (0, HOUR),
        (0, -HOUR),
        (YEAR, -YEAR),
        (-YEAR, YEAR),
    ] {
        for way in Way::BOTH {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let clock = Clock::new(before.into());
            let right = Process::on(&fixture, way, &journal);
            let wrong = Process::on(&fixture, way, &journal).by_clock(&fixture, &clock);
            fixture.mine_every(seconds(2));
            let jumping = tokio::spawn({
                let clock = clock.clone();
                async move {
                    for step in 0.. {
                        tokio::time::sleep(seconds(7)).await;
                        let jump = if step % 2 == 0 { after } else { before };
                        clock.store(jump, Ordering::Relaxed);
                    }
                }
            });
            let tasks: Vec<_> = (0..8)
                .map(|number| {
                    let process = if number % 2 == 0 { &right } else { &wrong };
                    run(pay(process, 1 << number).timeout(seconds(900)))
                })
                .collect();
            let mut paid = U256::ZERO;
            for (number, task) in tasks.into_iter().enumerate() {
                let included = task.await.unwrap();
                assert!(included.is_ok(), "{way:?} {before} {after}: {included:?}");
                paid += U256::from(1 << number);
            }
            jumping.abort();
            assert_eq!(fixture.balance(RECIPIENT), paid, "{way:?} {before} {after}");
            // A name holds whatever the clocks say, and nothing is left open.
            for process in [&right, &wrong, &right] {
                pay(process, 300).id("rent").timeout(seconds(300)).await.unwrap();
            }
            assert_eq!(fixture.balance(RECIPIENT), paid + U256::from(300));
            let records = right.agent.resume().await.unwrap();
            assert!(
                records
                    .iter()
                    .all(|record| record.outcome().happened() == Happened::Yes),
                "{records:?}"
            );
        }
    }
}

// Its lease would go on for a year by the others' clocks.
#[tokio::test(start_paused = true)]
async fn a_lane_is_taken_over_from_a_process_that_is_gone_and_whose_clock_was_ahead() {
    const YEAR: i64 = 365 * 24 * 3_600_000;
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let gone = Process::on(&fixture, way, &journal).by_clock(&fixture, &Clock::new(YEAR.into()));
        gone.out.fault(way.hands_over(), Fault::Swallow);
        let running = run(pay(&gone, 5));
        gone.out.hangs().await;
        crash(gone, running).await;
        let process = Process::on(&fixture, way, &journal);
        let start = tokio::time::Instant::now();
        pay(&process, 7).timeout(seconds(300)).await.unwrap();
        assert!(start.elapsed() < seconds(60), "{way:?}: {:?}", start.elapsed());
        assert_eq!(fixture.balance(RECIPIENT), U256::from(12), "{way:?}");
    }
}

// A process that was away for longer than its lease has lost the lane, and does not sign for it unasked.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_away_does_not_use_a_nonce_that_another_one_has() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let slow = Process::on(&fixture, Way::Bundler, &journal);
    let quick = Process::on(&fixture, Way::Bundler, &journal);
    // It is about to sign when it stops for a minute.
    slow.out
        .once("eth_estimateUserOperationGas", Fault::Late(seconds(60)));
    let running = run(pay(&slow, 5).timeout(seconds(300)));
    tokio::time::sleep(seconds(1)).await;
    slow.stop(true);
    let first = pay(&quick, 7).await.unwrap();
    assert!(!running.is_finished());
    slow.stop(false);
    let second = running.await.unwrap().unwrap();
    assert_eq!(second.receipt.nonce, first.receipt.nonce + U256::ONE);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(12));
    let records = intents(&slow).await;
    assert!(
        records.iter().all(|record| record.operations.len() == 1),
        "{records:?}"
    );
}

// The caller waits in one process; another one has taken the lane over, and finds out what became of it.
#[tokio::test(start_paused = true)]
async fn a_caller_reads_what_another_process_has_written() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let blind = Process::on(&fixture, Way::Bundler, &journal);
    let sighted = Process::on(&fixture, Way::Bundler, &journal);
    blind.out.fault("eth_sendUserOperation", Fault::Lose);
    // Its node shows it nothing of transactions.
    blind.node.rule({
        let out = blind.out.clone();
        move |asked| {
            let is_sent = out.calls("eth_sendUserOperation") > 0;
            match asked.method.as_str() {
                "eth_getTransactionReceipt" | "eth_getLogs" => Some(Fault::Lose),
                "eth_getBlockByNumber" if is_sent => Some(Fault::Late(seconds(40))),
                _ => None,
            }
        }
    });
    let running = run(pay(&blind, 5).timeout(seconds(600)));
    while blind.out.calls("eth_sendUserOperation") == 0 {
        tokio::time::sleep(seconds(1)).await;
    }
    let id = intents(&sighted).await[0].id;
    blind.stop(true);
    let again = sighted.agent.send_again(id).await.unwrap();
    let included = again.timeout(seconds(300)).await.unwrap();
    assert!(!running.is_finished());
    blind.stop(false);
    assert_eq!(running.await.unwrap().unwrap().receipt, included.receipt);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

// Two processes that know nothing of each other, with one key.
#[tokio::test(start_paused = true)]
async fn processes_with_journals_of_their_own_exclude_each_other_by_nonce() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let processes = [0, 1].map(|_| Process::new(&fixture, way));
        fixture.mine_every(seconds(2));
        // The same call at the same time, for the same nonce.
        let tasks = processes
            .each_ref()
            .map(|process| run(pay(process, 1).timeout(seconds(3_000))));
        let mut hashes = BTreeSet::new();
        let mut told = Vec::new();
        for (process, task) in processes.iter().zip(tasks) {
            match task.await.unwrap() {
                Ok(included) => {
                    assert!(
                        hashes.insert(hash_of(&included)),
                        "{way:?}: one took the other's for its own"
                    );
                }
                // The bundler, which has the other's, says so.
                Err(error) => {
                    assert_eq!((error.code(), error.happened()), ("not_taken", Happened::NotYet));
                    told.push((process, error.intent.unwrap()));
                }
            }
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(hashes.len()), "{way:?}");
        assert_eq!(told.len(), usize::from(way == Way::Bundler));
        // It is void in time, and then it is safe to ask again.
        for (process, intent) in told {
            fixture.mine_blocks(FINALIZED_DISTANCE + 5);
            let record = process.agent.intent(intent).await.unwrap().unwrap();
            assert_eq!(record.outcome().happened(), Happened::No);
            pay(process, 1).await.unwrap();
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2), "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_second_is_told_so() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let [first, second] = [0, 1].map(|_| Process::new(&fixture, way));
        // The second's operation is signed and goes astray; the first's is included.
        second.out.fault(way.hands_over(), Fault::Lose);
        let running = run(pay(&second, 1).timeout(seconds(30)));
        tokio::time::sleep(seconds(5)).await;
        pay(&first, 1).await.unwrap();
        second.out.repair();
        let error = running.await.unwrap().unwrap_err();
        assert!(
            matches!(error.code(), "nonce_used" | "not_taken"),
            "{way:?} {error:?}"
        );
        assert!(is_undecided(error.happened()));
        assert_eq!(error.advice(), Advice::Settle);
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
        fixture.mine_blocks(FINALIZED_DISTANCE + 1);
        let record = second.agent.intent(error.intent.unwrap()).await.unwrap().unwrap();
        assert_eq!(record.outcome().happened(), Happened::No);
        // Once it is void, it is safe to ask again.
        pay(&second, 1).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
    }
}

// Nothing random is left in an operation whose fees and gas limits are all given: what is known already is
// not taken for one's own.
#[tokio::test(start_paused = true)]
async fn an_operation_that_exists_already_is_not_adopted() {
    let (fixture, _) = Fixture::with_spender().await;
    let [first, second] = [0, 1].map(|_| Process::new(&fixture, Way::Bundler));
    let fee = U256::from(5_000_000_000_u64);
    let operation = |process: &Process| {
        pay(process, 1)
            .gas_limits(ample_gas())
            .fees(fee, U256::from(7))
            .timeout(seconds(30))
    };
    let included = operation(&first).await.unwrap();
    // The second still sees the chain as it was.
    let before = included.receipt.block_number - 1;
    second.node.rule(move |asked| {
        (asked.method == "eth_getBlockByNumber" && asked.params[0] == "latest")
            .then(|| Fault::Ask(serde_json::json!([format!("{before:#x}"), false])))
    });
    let error = operation(&second).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("nonce_used", Happened::No),
        "{error:?}"
    );
    assert_eq!(
        *error.cause,
        Cause::NonceUsed {
            by: Some(hash_of(&included))
        }
    );
    assert_eq!(second.out.calls("eth_sendUserOperation"), 0);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    second.node.repair();
    operation(&second).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
}

/// An intent whose caller was given an error although it is included.
async fn told_wrong(fixture: &Fixture, process: &Process, amount: u64) -> OperationError {
    process.out.rule({
        let node = process.node.clone();
        move |asked| {
            (asked.method == "eth_sendUserOperation").then(|| {
                node.fault("eth_getBlockByNumber", Fault::Lose);
                Fault::Break
            })
        }
    });
    let before = fixture.balance(RECIPIENT);
    let error = pay(process, amount).timeout(seconds(5)).await.unwrap_err();
    assert_eq!(error.happened(), Happened::Unknown);
    assert_eq!(fixture.balance(RECIPIENT) - before, U256::from(amount));
    process.node.repair();
    process.out.repair();
    error
}

#[tokio::test(start_paused = true)]
async fn what_had_happened_is_told_to_the_first_that_asks_again_and_to_nobody_else() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::Bundler, &journal);
    let error = told_wrong(&fixture, &process, 5).await;
    // Other calls are none of its business, nor is another key's or the owner's.
    pay(&process, 3).await.unwrap();
    process
        .owner
        .execute(Call::transfer(RECIPIENT, U256::from(5)))
        .await
        .unwrap();
    pay(&process, 5).id("another").await.unwrap();
    let other = Process::on(&fixture, Way::Bundler, &journal);
    let told = pay(&other, 5).await.unwrap_err();
    assert_eq!(
        (told.code(), told.happened()),
        ("already_happened", Happened::Yes)
    );
    assert_eq!(told.advice(), Advice::Nothing);
    match *told.cause {
        Cause::AlreadyHappened { intent, included } => {
            assert_eq!(Some(intent), error.intent);
            assert_eq!(Some(hash_of(&included)), error.user_op_hash);
        }
        cause => panic!("{cause:?}"),
    }
    assert_eq!(told.intent, None, "it was not signed");
    assert_eq!(fixture.balance(RECIPIENT), U256::from(18));
    for process in [&process, &other] {
        pay(process, 5).await.unwrap();
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(28));
}

// A process that is gone counts as a caller who was given an error; one that is still there does not.
#[tokio::test(start_paused = true)]
async fn what_a_process_that_is_gone_had_done_is_told_to_the_next_that_asks_for_the_same() {
    for way in Way::BOTH {
        for is_gone in [true, false] {
            let (fixture, _) = Fixture::with_spender().await;
            let journal = journal();
            let first = Process::on(&fixture, way, &journal);
            // It arrives, and nothing is heard of it for a while, or ever.
            let fault = if is_gone {
                Fault::Hang
            } else {
                Fault::Late(seconds(60))
            };
            first.out.once(way.hands_over(), fault);
            let running = run(pay(&first, 5).timeout(seconds(600)));
            while fixture.balance(RECIPIENT).is_zero() {
                tokio::time::sleep(seconds(1)).await;
            }
            let next = Process::on(&fixture, way, &journal);
            if is_gone {
                let hash = intents(&next).await[0].operations[0].signed.hash;
                crash(first, running).await;
                let told = pay(&next, 5).await.unwrap_err();
                assert_eq!(
                    (told.code(), told.happened(), told.intent),
                    ("already_happened", Happened::Yes, None),
                    "{way:?}"
                );
                let Cause::AlreadyHappened { included, .. } = *told.cause else {
                    panic!("{way:?}")
                };
                assert_eq!(hash_of(&included), hash);
                assert_eq!(fixture.balance(RECIPIENT), U256::from(5), "{way:?}");
                pay(&next, 5).await.unwrap();
            } else {
                let second = pay(&next, 5).timeout(seconds(600)).await.unwrap();
                let first = running.await.unwrap().unwrap();
                assert_ne!(hash_of(&first), hash_of(&second));
            }
            assert_eq!(fixture.balance(RECIPIENT), U256::from(10), "{way:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_that_had_happened_each_is_told_once() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::Bundler, &journal);
    let first = told_wrong(&fixture, &process, 5).await;
    // The second time it is asked for, it is told of the first; so the next error is a new one's.
    assert_eq!(pay(&process, 5).await.unwrap_err().code(), "already_happened");
    let second = told_wrong(&fixture, &process, 5).await;
    assert_ne!(first.intent, second.intent);
    let tasks: Vec<_> = (0..3).map(|_| run(pay(&process, 5))).collect();
    let mut told = Vec::new();
    for task in tasks {
        if let Err(error) = task.await.unwrap() {
            told.push(error);
        }
    }
    assert_eq!(told.len(), 1);
    match &*told[0].cause {
        Cause::AlreadyHappened { intent, .. } => assert_eq!(Some(*intent), second.intent),
        cause => panic!("{cause:?}"),
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(20));
}

// They had asked before anybody was given an error, so that theirs is no repetition.
#[tokio::test(start_paused = true)]
async fn tasks_that_were_waiting_before_the_error_are_not_concerned() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.rule({
        let node = process.node.clone();
        let mut is_first = true;
        move |asked| {
            (asked.method == "eth_sendUserOperation" && std::mem::take(&mut is_first)).then(|| {
                node.fault("eth_getBlockByNumber", Fault::Lose);
                Fault::Break
            })
        }
    });
    let first = run(pay(&process, 5).timeout(seconds(10)));
    tokio::time::sleep(seconds(1)).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| run(pay(&process, 5).timeout(seconds(300))))
        .collect();
    let error = first.await.unwrap().unwrap_err();
    assert_eq!(error.happened(), Happened::Unknown);
    process.node.repair();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(20));
    // It is still untold.
    assert_eq!(pay(&process, 5).await.unwrap_err().code(), "already_happened");
}

/// An intent that is open in the journal, and what a later process that resumes does with it.
async fn resumed(fixture: &Fixture, journal: &Arc<dyn Journal>, id: IntentId) -> (IntentRecord, usize) {
    let process = Process::on(fixture, Way::Bundler, journal);
    let records = process.agent.resume().await.unwrap();
    let record = records.into_iter().find(|record| record.id == id).unwrap();
    (record, process.out.calls("eth_sendUserOperation"))
}

#[tokio::test(start_paused = true)]
async fn resuming_sends_again_only_what_nobody_gave_up() {
    // The process went away; within its caller's time, it is sent again.
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let gone = Process::on(&fixture, Way::Bundler, &journal);
    gone.out.fault("eth_sendUserOperation", Fault::Swallow);
    let running = run(pay(&gone, 5).timeout(seconds(600)));
    gone.out.hangs().await;
    let id = intents(&gone).await[0].id;
    crash(gone, running).await;
    tokio::time::sleep(seconds(60)).await;
    let (record, sent) = resumed(&fixture, &journal, id).await;
    assert_eq!((record.outcome().happened(), sent > 0), (Happened::Yes, true));
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));

    // Its caller's time is over.
    let (fixture, _) = Fixture::with_spender().await;
    let journal = crate::process::journal();
    let gone = Process::on(&fixture, Way::Bundler, &journal);
    gone.out.fault("eth_sendUserOperation", Fault::Swallow);
    let running = run(pay(&gone, 5).timeout(seconds(30)));
    gone.out.hangs().await;
    let id = intents(&gone).await[0].id;
    crash(gone, running).await;
    tokio::time::sleep(seconds(60)).await;
    let (record, sent) = resumed(&fixture, &journal, id).await;
    assert_eq!((record.outcome().happened(), sent), (Happened::Unknown, 0));

    // Its caller was given an error.
    for fault in [
        Fault::Lose,
        Fault::Answer(Ok("taken".into())),
        Fault::refuse(-32504, "throttled"),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = crate::process::journal();
        let process = Process::on(&fixture, Way::Bundler, &journal);
        process.out.fault("eth_sendUserOperation", fault);
        let error = pay(&process, 5).timeout(seconds(5)).await.unwrap_err();
        let (record, sent) = resumed(&fixture, &journal, error.intent.unwrap()).await;
        assert_ne!(record.outcome().happened(), Happened::Yes);
        assert_eq!((sent, fixture.balance(RECIPIENT)), (0, U256::ZERO));
        // By the caller's word, it is.
        let process = Process::on(&fixture, Way::Bundler, &journal);
        process.agent.send_again(record.id).await.unwrap().await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
    }

    // Its future was dropped, in a process that goes on.
    let (fixture, _) = Fixture::with_spender().await;
    let journal = crate::process::journal();
    let process = Process::on(&fixture, Way::Bundler, &journal);
    process.out.fault("eth_sendUserOperation", Fault::Swallow);
    let running = run(pay(&process, 5).timeout(seconds(600)));
    process.out.hangs().await;
    let id = intents(&process).await[0].id;
    running.abort();
    let _ = running.await;
    process.out.repair();
    let sent = process.out.calls("eth_sendUserOperation");
    let records = process.agent.resume().await.unwrap();
    assert_eq!(
        records
            .iter()
            .find(|record| record.id == id)
            .unwrap()
            .outcome()
            .happened(),
        Happened::Unknown
    );
    assert_eq!(process.out.calls("eth_sendUserOperation"), sent);
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);

    // The lane's next turn writes that down. Another process leaves it alone then, though its time
    // is not over.
    process.out.fault("eth_sendUserOperation", Fault::Lose);
    let next = pay(&process, 7).timeout(seconds(20)).await.unwrap_err();
    let (later, sent) = resumed(&fixture, &journal, next.intent.unwrap()).await;
    assert_eq!((later.outcome().happened(), sent), (Happened::Unknown, 0));
    let (record, sent) = resumed(&fixture, &journal, id).await;
    assert_eq!((record.outcome().happened(), sent), (Happened::Unknown, 0));
    assert!(record.given_up.is_some() && record.deadline > later.given_up.unwrap().at + 300_000);
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

// The word of its caller is for what was signed, and for nothing else.
#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_sent_as_it_was_signed() {
    let send = "eth_sendUserOperation";
    let is_void = |record: &IntentRecord| record.operations[0].void.is_some();
    for message in [
        "precheck failed: maxPriorityFeePerGas is 1 but must be at least 7",
        "preVerificationGas is not enough, required: 50836, got: 48060",
        "AA23 reverted (or OOG)",
    ] {
        for is_answered in [true, false] {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, Way::Bundler);
            let refuse = || Fault::refuse(-32602, message);
            process
                .out
                .fault(send, if is_answered { refuse() } else { Fault::Lose });
            let error = pay(&process, 5).timeout(seconds(5)).await.unwrap_err();
            let id = error.intent.unwrap();
            process.out.fault(send, refuse());
            let again = async || {
                process
                    .agent
                    .send_again(id)
                    .await
                    .unwrap()
                    .timeout(seconds(20))
                    .await
            };
            for _ in 0..2 {
                let refused = again().await.unwrap_err();
                assert_eq!(
                    (refused.code(), refused.user_op_hash),
                    ("not_taken", error.user_op_hash),
                    "{message}"
                );
                assert!(is_undecided(refused.happened()), "{refused:?}");
            }
            process.out.repair();
            let included = again().await.unwrap();
            assert_eq!(Some(hash_of(&included)), error.user_op_hash, "{message}");
            assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
            assert_eq!(intents(&process).await[0].operations.len(), 1);
        }
    }

    // Its nonce is used by another one while it waits: it is void, and no other takes its place.
    for waits in [true, false] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        process.out.fault(send, Fault::Lose);
        let error = pay(&process, 5).timeout(seconds(5)).await.unwrap_err();
        let id = error.intent.unwrap();
        let stranger = Process::new(&fixture, Way::EntryPoint);
        if !waits {
            pay(&stranger, 7).await.unwrap();
        }
        let again = process
            .agent
            .send_again(id)
            .await
            .unwrap()
            .timeout(seconds(3_000));
        let waiting = run(again);
        tokio::time::sleep(seconds(5)).await;
        if waits {
            pay(&stranger, 7).await.unwrap();
        }
        process.out.repair();
        fixture.mine_every(seconds(2));
        let void = waiting.await.unwrap().unwrap_err();
        assert_eq!((void.code(), void.happened()), ("void", Happened::No), "{void:?}");
        let record = process.agent.intent(id).await.unwrap().unwrap();
        assert!(record.operations.len() == 1 && is_void(&record), "{record:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
    }
}

// What another process works on is left to it.
#[tokio::test(start_paused = true)]
async fn resuming_leaves_a_lane_to_the_process_that_has_it() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let busy = Process::on(&fixture, Way::EntryPoint, &journal);
    fixture.pool();
    let running = run(pay(&busy, 5).timeout(seconds(600)));
    fixture.waits(1).await;
    let id = intents(&busy).await[0].id;
    let start = tokio::time::Instant::now();
    let (record, sent) = resumed(&fixture, &journal, id).await;
    assert_eq!((record.outcome().happened(), sent), (Happened::Unknown, 0));
    assert!(start.elapsed() < seconds(60), "{:?}", start.elapsed());
    fixture.mine();
    running.await.unwrap().unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

/// A journal whose store fails when the test says so: before it does what it is asked for, or after.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn Journal>,
    puts: AtomicUsize,
    /// The write that fails, by number; `usize::MAX` for none.
    at: AtomicUsize,
    /// Whether it is written all the same.
    writes: AtomicBool,
    /// Whether everything fails from there on.
    for_good: AtomicBool,
}

impl Failing {
    fn new(at: usize, writes: bool, for_good: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: journal(),
            puts: AtomicUsize::new(0),
            at: AtomicUsize::new(at),
            writes: AtomicBool::new(writes),
            for_good: AtomicBool::new(for_good),
        })
    }

    fn repair(&self) {
        self.at.store(usize::MAX, Ordering::SeqCst);
    }

    fn error() -> JournalError {
        JournalError::Store {
            message: "disk full".to_owned(),
        }
    }
}

#[async_trait]
impl Journal for Failing {
    async fn acquire(
        &self,
        lane: &Lane,
        holder: ProcessId,
        now: u64,
        until: u64,
    ) -> Result<Acquired, JournalError> {
        self.inner.acquire(lane, holder, now, until).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<Lease, JournalError> {
        self.inner.renew(lease, until).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JournalError> {
        self.inner.release(lease).await
    }

    async fn put_all(
        &self,
        records: Vec<IntentRecord>,
        lease: Option<(&Lease, u64)>,
    ) -> Result<Vec<IntentRecord>, JournalError> {
        let number = self.puts.fetch_add(1, Ordering::SeqCst);
        let at = self.at.load(Ordering::SeqCst);
        let fails = number == at || self.for_good.load(Ordering::SeqCst) && number > at;
        if !fails {
            return self.inner.put_all(records, lease).await;
        }
        if self.writes.load(Ordering::SeqCst) {
            let _ = self.inner.put_all(records, lease).await;
        }
        Err(Self::error())
    }

    async fn intent(&self, id: IntentId) -> Result<Option<IntentRecord>, JournalError> {
        self.inner.intent(id).await
    }

    async fn named(&self, scope: &Scope, name: &str) -> Result<Option<IntentRecord>, JournalError> {
        self.inner.named(scope, name).await
    }

    async fn unsettled(&self, lane: &Lane) -> Result<Vec<IntentRecord>, JournalError> {
        self.inner.unsettled(lane).await
    }

    async fn untold(&self, scope: &Scope, request: B256) -> Result<Vec<IntentRecord>, JournalError> {
        self.inner.untold(scope, request).await
    }

    async fn unsettled_lanes(&self, account: Option<(u64, Address)>) -> Result<Vec<Lane>, JournalError> {
        self.inner.unsettled_lanes(account).await
    }

    async fn highest_included(&self, lane: &Lane) -> Result<Option<IntentRecord>, JournalError> {
        self.inner.highest_included(lane).await
    }

    async fn prune(&self, lane: &Lane) -> Result<(), JournalError> {
        self.inner.prune(lane).await
    }

    async fn intents(&self, chain_id: u64, account: Address) -> Result<Vec<IntentRecord>, JournalError> {
        self.inner.intents(chain_id, account).await
    }

    async fn remove(&self, id: IntentId) -> Result<(), JournalError> {
        self.inner.remove(id).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_not_sent() {
    for way in Way::BOTH {
        for writes in [false, true] {
            let (fixture, _) = Fixture::with_spender().await;
            let failing = Failing::new(0, writes, true);
            let journal: Arc<dyn Journal> = failing.clone();
            let process = Process::on(&fixture, way, &journal);
            let error = pay(&process, 5).timeout(seconds(20)).await.unwrap_err();
            assert_eq!(error.code(), "journal_failed", "{error:?}");
            assert_eq!(process.out.calls(way.hands_over()), 0);
            assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
            failing.repair();
            failing.for_good.store(false, Ordering::SeqCst);
            pay(&process, 5).await.unwrap();
            assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
        }
    }
}

// Whichever write fails, and whether or not it was written all the same: what was told is true, and
// is paid once.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_anywhere_doubles_nothing() {
    for way in Way::BOTH {
        for writes in [false, true] {
            for at in 0..8 {
                let (fixture, _) = Fixture::with_spender().await;
                let failing = Failing::new(at, writes, false);
                let journal: Arc<dyn Journal> = failing.clone();
                let process = Process::on(&fixture, way, &journal);
                let result = pay(&process, 5).id("rent").timeout(seconds(30)).await;
                if let Err(error) = &result {
                    let paid = fixture.balance(RECIPIENT);
                    if error.happened() == Happened::No {
                        assert_eq!(paid, U256::ZERO, "{way:?} {writes} {at} {error:?}");
                    }
                }
                failing.repair();
                for process in [&process, &Process::on(&fixture, way, &journal)] {
                    pay(process, 5).id("rent").await.unwrap();
                    assert_eq!(fixture.balance(RECIPIENT), U256::from(5), "{way:?} {writes} {at}");
                }
                if failing.puts.load(Ordering::SeqCst) <= at {
                    assert!(result.is_ok());
                }
            }
        }
    }
}

// The journal of another chain, another EntryPoint or another hash: kept operations are not used for what
// they were not signed for.
#[tokio::test(start_paused = true)]
async fn a_kept_operation_is_used_for_what_it_was_signed_for_only() {
    type Change = fn(&mut IntentRecord);
    let changes: [(&str, Change); 4] = [
        ("chain", |record| record.lane.chain_id = 1),
        ("EntryPoint", |record| {
            record.lane.entry_point = Address::repeat_byte(1)
        }),
        ("hash", |record| {
            record.operations[0].signed.hash = B256::repeat_byte(1)
        }),
        ("hash", |record| {
            record.operations[0].signed.operation.call_data = vec![1, 2, 3, 4].into()
        }),
    ];
    for (what, change) in changes {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        process.out.fault("eth_sendUserOperation", Fault::Lose);
        let error = pay(&process, 5).timeout(seconds(5)).await.unwrap_err();
        process.out.repair();
        let id = error.intent.unwrap();
        let sent = process.out.calls("eth_sendUserOperation");
        let journal = process.account.desk().journal();
        let mut record = journal.intent(id).await.unwrap().unwrap();
        change(&mut record);
        journal.put(record, None).await.unwrap();
        let errors = [
            process.agent.send_again(id).await.map(drop).unwrap_err(),
            process.agent.replace(id).await.map(drop).unwrap_err(),
            process.agent.intent(id).await.map(drop).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.code(), "not_ours");
            assert!(error.to_string().contains(what), "{what}: {error}");
        }
        assert_eq!(process.out.calls("eth_sendUserOperation"), sent);
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    }
}

// A node of another chain, at any time.
#[tokio::test(start_paused = true)]
async fn nothing_is_signed_for_another_chain() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        pay(&process, 5).await.unwrap();
        process.node.fault("eth_chainId", Fault::Answer(Ok("0x1".into())));
        for operation in [
            pay(&process, 5),
            process.owner.execute(Call::transfer(RECIPIENT, U256::from(5))),
        ] {
            let error = operation.await.unwrap_err();
            assert_eq!((error.code(), error.happened()), ("wrong_chain", Happened::No));
            assert_eq!(
                *error.cause,
                Cause::WrongChain {
                    expected: 31337,
                    found: 1
                }
            );
        }
        process.node.repair();
        // The node that sends may be another one: it takes nothing that was signed for this chain.
        if way == Way::EntryPoint {
            let process = Process::new(&fixture, way);
            process.out.fault("eth_chainId", Fault::Answer(Ok("0x1".into())));
            let error = pay(&process, 5).timeout(seconds(5)).await.unwrap_err();
            assert_eq!(error.happened(), Happened::No, "{error:?}");
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handover_is_written_down_as_it_went() {
    let lane = |fixture: &Fixture| Lane {
        chain_id: 31337,
        entry_point: fixture.stack.entry_point,
        account: fixture.account.address(),
        nonce_key: key_lane(key(1).address()),
    };
    for (fault, is_expected) in [
        (
            Fault::Answer(Ok("taken".into())),
            (|handover| *handover == Handover::InPool) as fn(&Handover) -> bool,
        ),
        (Fault::Break, |handover| *handover == Handover::NoAnswer),
        (Fault::Swallow, |handover| *handover == Handover::Written),
        (Fault::refuse(-32504, "throttled"), |handover| {
            matches!(handover, Handover::NotTaken(_))
        }),
        (Fault::NotReached, |handover| *handover == Handover::NeverLeft),
    ] {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, Way::Bundler);
        process.out.fault("eth_sendUserOperation", fault);
        process
            .node
            .rule(|asked| (asked.method == "eth_getTransactionReceipt").then_some(Fault::Lose));
        let error = pay(&process, 5).timeout(seconds(5)).await.unwrap_err();
        let record = process
            .account
            .desk()
            .journal()
            .intent(error.intent.unwrap())
            .await
            .unwrap()
            .unwrap();
        assert!(is_expected(&record.operations[0].handover), "{record:?}");
        assert!(record.given_up.is_some());
        assert_eq!(record.lane, lane(&fixture));
        assert_eq!(record.signer, key(1).address());
    }
}

// An address can lead to a node of another chain from one moment to the next. There, the account may have
// used any nonce.
#[tokio::test(start_paused = true)]
async fn a_node_of_another_chain_decides_nothing() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
    let rent = || process.agent.execute(one()).id("rent").timeout(seconds(5));
    let error = rent().await.unwrap_err();
    assert_eq!(error.happened(), Happened::Unknown);
    let id = error.intent.unwrap();
    let other = Process::new(&fixture, Way::Bundler);
    let other = other.agent.execute([Call::transfer(RECIPIENT, U256::from(5))]);
    other.await.unwrap();
    fixture.mine_blocks(70);

    process.node.fault("eth_chainId", Fault::Answer(Ok(json!("0x1"))));
    for error in [
        process.agent.intent(id).await.unwrap_err(),
        process.agent.named("rent").await.unwrap_err(),
        process.agent.resume().await.unwrap_err(),
        rent().await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "wrong_chain", "{error:?}");
        assert!(is_undecided(error.happened()), "{error:?}");
    }
    process.node.repair();
    let record = process.agent.intent(id).await.unwrap().unwrap();
    assert!(matches!(record.outcome(), Outcome::Void(_)), "{record:?}");
}

// Whoever asks what became of an intent and gets no answer knows nothing about it.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_question_about_an_intent_does_not_say_that_nothing_happened() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    // Included, and the node says nothing from then on.
    let is_sent = Arc::new(AtomicBool::new(false));
    process.out.rule({
        let is_sent = is_sent.clone();
        move |asked| {
            (asked.method == "eth_sendUserOperation").then(|| {
                is_sent.store(true, Ordering::SeqCst);
                Fault::Break
            })
        }
    });
    process
        .node
        .rule(move |_| is_sent.load(Ordering::SeqCst).then_some(Fault::Lose));
    let pays = process.agent.execute(one()).id("rent").gas_limits(ample_gas());
    let error = pays.timeout(seconds(5)).await.unwrap_err();
    let id = error.intent.unwrap();
    assert_eq!(error.happened(), Happened::Unknown);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    for error in [
        process.agent.intent(id).await.unwrap_err(),
        process.agent.named("rent").await.unwrap_err(),
        process.agent.forget(id).await.unwrap_err(),
        process.agent.resume().await.unwrap_err(),
    ] {
        assert_eq!(
            (error.code(), error.happened(), error.advice()),
            ("request_failed", Happened::Unknown, Advice::Settle),
            "{error:?}"
        );
    }
    process.node.repair();
    process.node.fault("eth_getLogs", Fault::Answer(Ok(json!([]))));
    process
        .out
        .fault("eth_getUserOperationReceipt", Fault::Answer(Ok(Value::Null)));
    process
        .out
        .fault("eth_getUserOperationByHash", Fault::Answer(Ok(Value::Null)));
    // Open: it cannot be forgotten.
    let error = process.agent.forget(id).await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened(), error.intent),
        ("blocked_by", Happened::Unknown, Some(id))
    );
    process.node.repair();
    let record = process.agent.intent(id).await.unwrap().unwrap();
    assert_eq!(record.outcome().happened(), Happened::Yes);
}
