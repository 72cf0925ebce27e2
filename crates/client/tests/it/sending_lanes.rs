//! Lanes: operations with one nonce key wait for each other, share what is left of the key's limits, and none
//! is refused because of another one's nonce.

use crate::{
    fixture::{
        ETHER, Fixture, RECIPIENT, ample_gas, assert_not_allowed, is_undecided, key, key_lane, one,
        operations_of, transfer,
    },
    process::{Process, Way, journal, seconds},
    wire::Fault,
};
use session_key_client::{
    Call, OperationError,
    alloy::primitives::{Address, B256, U256, aliases::U192},
    journal::{IntentRecord, VoidDepth},
    operation::{Advice, AfterRevert, Bounds, Cause, Happened, Included, Operation, Outcome, Progress},
    permissions::{LimitChange, PermissionUpdates, Permissions, SpendLimit, nonce},
};
use session_key_testkit::Fate;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::task::JoinHandle;

type Running = JoinHandle<Result<Included, OperationError>>;

fn run(operation: Operation) -> Running {
    tokio::spawn(operation.into_future())
}

async fn all(tasks: Vec<Running>) -> Vec<Result<Included, OperationError>> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

const fn hash_of(included: &Included) -> B256 {
    included.receipt.user_op_hash
}

fn pay(amount: u64) -> [Call; 1] {
    [Call::transfer(RECIPIENT, U256::from(amount))]
}

async fn kept(process: &Process, error: &OperationError) -> IntentRecord {
    process
        .agent
        .intent(error.intent.unwrap())
        .await
        .unwrap()
        .unwrap()
}

fn sequence(included: &Included) -> U256 {
    included.receipt.nonce & U256::from(u64::MAX)
}

#[tokio::test(start_paused = true)]
async fn twenty_tasks_with_one_key_pay_twenty_times_in_order() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let mut tasks = Vec::new();
        for _ in 0..20 {
            tasks.push(run(process.agent.clone().execute(one())));
            // Each has asked before the next one does.
            tokio::task::yield_now().await;
        }
        let results = all(tasks).await;
        let included: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        let hashes: BTreeSet<_> = included.iter().map(hash_of).collect();
        assert_eq!(hashes.len(), 20);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(20));
        let order: Vec<_> = included.iter().map(sequence).collect();
        assert_eq!(order, (0..20).map(U256::from).collect::<Vec<_>>());
        // Nothing was refused, and nothing was signed in vain.
        let handed_over = process
            .out
            .asked()
            .into_iter()
            .filter(|asked| asked.method == way.hands_over());
        let distinct: BTreeSet<_> = handed_over.map(|asked| asked.params.to_string()).collect();
        assert_eq!(distinct.len(), 20, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_owners_tasks_wait_for_each_other_too() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let tasks = (0..10)
            .map(|_| run(process.owner.execute(one()[0].clone())))
            .collect();
        let hashes: BTreeSet<_> = all(tasks)
            .await
            .into_iter()
            .map(|result| hash_of(&result.unwrap()))
            .collect();
        assert_eq!(hashes.len(), 10);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(10), "{way:?}");
    }
}

// Several clients of one account, each with a key of its own, and an owner: no lane waits for another.
#[tokio::test(start_paused = true)]
async fn lanes_do_not_wait_for_each_other() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, _) = Fixture::with_keys(3, &permissions).await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.pool();
    let start = tokio::time::Instant::now();
    let mut tasks: Vec<_> = (1..=3)
        .map(|number| run(process.agent_of(number).execute(one())))
        .collect();
    tasks.push(run(process.owner.execute(one()[0].clone())));
    tasks.push(run(process.agent_of(1).execute(one()).nonce_key(U192::from(77))));
    fixture.waits(5).await;
    assert!(start.elapsed() < seconds(5));
    fixture.mine();
    for result in all(tasks).await {
        result.unwrap();
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

#[tokio::test(start_paused = true)]
async fn as_many_are_served_as_the_budget_holds_and_the_others_are_told() {
    for way in Way::BOTH {
        for interval in [0, 100_000] {
            let permissions = Permissions::new()
                .contract(RECIPIENT)
                .native_token_spend_limit(SpendLimit::per(U256::from(14), interval));
            let (fixture, _) = Fixture::with_key(permissions).await;
            let granted = fixture.testkit.chain().timestamp();
            let process = Process::new(&fixture, way);
            fixture.mine_every(seconds(2));
            let tasks = (0..20).map(|_| run(process.agent.execute(one()))).collect();
            let results = all(tasks).await;
            let (served, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            assert_eq!((served.len(), refused.len()), (14, 6));
            for error in refused.into_iter().map(Result::unwrap_err) {
                let when = match interval {
                    0 => Advice::Change,
                    _ => Advice::TryAgainFrom {
                        at: granted + interval,
                    },
                };
                assert_eq!(error.advice(), when);
                assert_not_allowed(error, &["native_limit_exceeded"]);
            }
            assert_eq!(fixture.balance(RECIPIENT), U256::from(14));
            let operations = operations_of(&fixture).await;
            assert!(operations.iter().all(|(_, success)| *success));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_tokens_is_shared_too() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let token = fixture.stack.token;
        let updates = PermissionUpdates::new().contract(token).erc20_spend_limit(
            token,
            SpendLimit::total(U256::from(14)),
            LimitChange::Afresh,
        );
        fixture.update(key(1).address(), updates).await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let pay = || Call::new(token, transfer(RECIPIENT, 2));
        let tasks = (0..10).map(|_| run(process.agent.execute([pay()]))).collect();
        let (served, refused): (Vec<_>, Vec<_>) = all(tasks).await.into_iter().partition(Result::is_ok);
        assert_eq!((served.len(), refused.len()), (7, 3), "{way:?}");
        for error in refused.into_iter().map(Result::unwrap_err) {
            assert_eq!(error.advice(), Advice::Change);
            assert_not_allowed(error, &["erc20_limit_exceeded"]);
        }
        assert_eq!(fixture.token_balance(RECIPIENT), U256::from(14));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gas_budget_is_shared_too() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        // What ten of the operations below may cost, and what two more would need is not left.
        .gas_spend_limit(SpendLimit::total(
            U256::from(10 * 1_100_000_u64) * U256::from(2_000_000_000_u64),
        ));
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_key(permissions.clone()).await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let fee = U256::from(2_000_000_000_u64);
        let tasks = (0..12)
            .map(|_| {
                run(process
                    .agent
                    .execute(one())
                    .gas_limits(ample_gas())
                    .fees(fee, U256::from(1_000_000)))
            })
            .collect();
        let results = all(tasks).await;
        let served = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(served, 10, "{way:?}");
        for error in results.into_iter().filter_map(Result::err) {
            assert_not_allowed(error, &["gas_limit_exceeded"]);
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(10));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_in_another_lane_is_reserved() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.pool();
    let first = process
        .agent
        .execute(pay(6))
        .nonce_key(U192::from(1))
        .send()
        .await
        .unwrap();
    let other_lane = || process.agent.execute(pay(6)).nonce_key(U192::from(2));
    let check = other_lane().check().await.unwrap();
    assert!(!check.passes());
    assert_not_allowed(other_lane().await.unwrap_err(), &["native_limit_exceeded"]);
    let second = process
        .agent
        .execute(pay(4))
        .nonce_key(U192::from(2))
        .send()
        .await
        .unwrap();
    fixture.mine();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(10));
}

// Of several operations with one nonce, one can be included: the most that any of them may use counts once.
#[tokio::test(start_paused = true)]
async fn operations_that_exclude_each_other_are_reserved_once() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.pool();
    let lane = U192::from(1);
    for amount in [4, 6, 3] {
        let stuck = process
            .agent
            .execute(pay(amount))
            .nonce_key(lane)
            .timeout(seconds(5));
        let error = stuck.await.unwrap_err();
        assert_eq!(error.happened(), Happened::Unknown);
    }
    let check = async |amount| {
        let check = process
            .agent
            .execute(pay(amount))
            .nonce_key(U192::from(2))
            .check()
            .await;
        check.unwrap().passes()
    };
    assert!(check(4).await && !check(5).await);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_time_ends_while_it_waits_for_its_turn_has_sent_nothing() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.pool();
    let pending = process.agent.execute(one()).send().await.unwrap();
    let error = process
        .agent
        .execute(one())
        .timeout(seconds(3))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("lane_busy", Happened::No));
    assert_eq!(error.advice(), Advice::TryAgain { after: 0 });
    assert_eq!((error.intent, error.user_op_hash), (None, None));
    fixture.mine();
    pending.await.unwrap();
    fixture.testkit.chain().set_automine(true);
    process.agent.execute(one()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
}

/// An intent whose caller was given an error while its transaction waits.
async fn stuck(fixture: &Fixture, process: &Process, calls: [Call; 1]) -> OperationError {
    fixture.pool();
    let error = process
        .agent
        .execute(calls)
        .timeout(seconds(5))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_included_in_time", Happened::Unknown)
    );
    error
}

fn hold(fixture: &Fixture) -> B256 {
    let mut chain = fixture.testkit.chain();
    let pool = chain.pool();
    let hash = *pool.last().unwrap().transaction.inner.tx_hash();
    chain.hold_pooled(hash).unwrap();
    hash
}

// The older one is sent again and waited for, half of the time; then the newer one takes its nonce.
#[tokio::test(start_paused = true)]
async fn a_successor_takes_the_same_nonce_for_a_tenth_more_and_both_are_settled() {
    let (fixture, _) = Fixture::with_spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::EntryPoint, &journal);
    let error = stuck(&fixture, &process, pay(5)).await;
    let waiting = hold(&fixture);

    // Another process of the same journal, whose bundler takes the older one and does nothing with it.
    let next = Process::on(&fixture, Way::Bundler, &journal);
    let older = kept(&next, &error).await.operations.remove(0).signed.operation;
    let signature = serde_json::json!(older.signature);
    next.out.rule(move |asked| {
        let is_older = asked.method == "eth_sendUserOperation" && asked.params[0]["signature"] == signature;
        is_older.then(|| Fault::Answer(Ok("taken".into())))
    });
    let start = tokio::time::Instant::now();
    let signed_after = Arc::new(Mutex::new(None));
    let noted = signed_after.clone();
    let pending = next
        .agent
        .execute(pay(7))
        .timeout(seconds(100))
        .on_progress(move |step| {
            if matches!(step, Progress::Signed(_)) {
                noted.lock().unwrap().get_or_insert(start.elapsed());
            }
        })
        .send()
        .await
        .unwrap();
    let waited = signed_after.lock().unwrap().unwrap();
    assert!(waited >= seconds(45) && waited <= seconds(60), "{waited:?}");
    let newer = pending.intent().unwrap().operations[0].signed.operation.clone();
    assert_eq!(newer.nonce, older.nonce);
    for (old, new) in [
        (older.max_fee_per_gas, newer.max_fee_per_gas),
        (older.max_priority_fee_per_gas, newer.max_priority_fee_per_gas),
    ] {
        assert!(new * U256::from(10) >= old * U256::from(11), "{old} {new}");
    }
    fixture.mine();
    let included = pending.await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
    // The older one is not void before the block that used its nonce lies deep.
    let record = kept(&next, &error).await;
    assert!(is_undecided(record.outcome().happened()));
    fixture.testkit.chain().release_pooled(waiting).unwrap();
    fixture.mine_blocks(70);
    let record = kept(&next, &error).await;
    match record.outcome() {
        Outcome::Void(void) => {
            assert_eq!((void.nonce, void.depth), (older.nonce, VoidDepth::Finalized));
            assert_eq!(void.used_by, Some(hash_of(&included)));
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(record.outcome().happened(), Happened::No);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
}

// It is included after all, and the newer one takes the next nonce.
#[tokio::test(start_paused = true)]
async fn an_older_operation_that_is_included_while_it_is_waited_for_leaves_the_next_nonce() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        // The first hears nothing in its time.
        process.out.rule({
            let node = process.node.clone();
            move |asked| {
                (asked.method == way.hands_over()).then(|| {
                    node.fault("eth_getBlockByNumber", Fault::Lose);
                    Fault::Break
                })
            }
        });
        let error = process
            .agent
            .execute(pay(5))
            .timeout(seconds(5))
            .await
            .unwrap_err();
        assert_eq!(error.happened(), Happened::Unknown);
        process.out.repair();
        process.node.repair();
        let included = process.agent.execute(pay(7)).await.unwrap();
        assert_eq!(sequence(&included), U256::ONE);
        assert_eq!(kept(&process, &error).await.outcome().happened(), Happened::Yes);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(12));
    }
}

// Both are on their way in transactions of one sender: the older one comes first, and then the newer one
// waits until its own operation cannot be included any more.
#[tokio::test(start_paused = true)]
async fn a_newer_operation_whose_nonce_the_older_one_used_is_signed_anew_once_it_is_void() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    let error = stuck(&fixture, &process, pay(5)).await;
    let running = run(process.agent.execute(pay(7)).timeout(seconds(600)));
    fixture.waits(2).await;
    let first_newer = fixture.testkit.chain().block_number();
    fixture.mine_every(seconds(3));
    let included = running.await.unwrap().unwrap();
    assert_eq!(sequence(&included), U256::ONE);
    assert!(
        included.receipt.block_number > first_newer + 64,
        "not before the first was final"
    );
    assert_eq!(kept(&process, &error).await.outcome().happened(), Happened::Yes);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(12));
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_the_bounds_forbid_is_blocked_by_the_older_one() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.pool();
    let operation = |amount| process.agent.execute(pay(amount)).gas_limits(ample_gas());
    let error = operation(5).timeout(seconds(5)).await.unwrap_err();
    let older = kept(&process, &error).await.operations.remove(0).signed;
    // As much as the older one costs, and a little more.
    let bounds = Bounds {
        max_cost: older.operation.max_cost().unwrap() * U256::from(105) / U256::from(100),
        ..Bounds::default()
    };
    let bounded = process.agent.clone().with_bounds(bounds);
    let blocked = bounded
        .execute(pay(7))
        .gas_limits(ample_gas())
        .timeout(seconds(20))
        .await
        .unwrap_err();
    assert_eq!((blocked.code(), blocked.happened()), ("blocked_by", Happened::No));
    assert_eq!(*blocked.cause, Cause::BlockedBy { by: older.hash });
    // So do fees that the caller gives and that are too low.
    let (fee, priority_fee) = (
        older.operation.max_fee_per_gas,
        older.operation.max_priority_fee_per_gas,
    );
    let blocked = operation(7)
        .fees(fee, priority_fee)
        .timeout(seconds(20))
        .await
        .unwrap_err();
    assert_eq!(*blocked.cause, Cause::BlockedBy { by: older.hash });
    fixture.mine();
    fixture.testkit.chain().set_automine(true);
    bounded.execute(pay(7)).gas_limits(ample_gas()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(12));
}

// Whoever said that they do not take it is not waited for.
#[tokio::test(start_paused = true)]
async fn the_successor_of_an_operation_that_was_not_taken_goes_at_once() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process.out.once(
        "eth_sendUserOperation",
        Fault::refuse(-32504, "account is throttled"),
    );
    let error = process.agent.execute(pay(5)).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("not_taken", Happened::NotYet));
    let older = kept(&process, &error).await.operations.remove(0).signed.operation;
    let start = tokio::time::Instant::now();
    let included = process.agent.execute(pay(7)).await.unwrap();
    assert!(start.elapsed() < seconds(5), "{:?}", start.elapsed());
    assert_eq!(included.receipt.nonce, older.nonce);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
    fixture.mine_blocks(70);
    assert_eq!(kept(&process, &error).await.outcome().happened(), Happened::No);
}

#[tokio::test(start_paused = true)]
async fn an_operation_above_a_gap_waits_for_whatever_fills_it() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let lane = key_lane(key(1).address());
        let above = process
            .agent
            .execute(pay(5))
            .gas_limits(ample_gas())
            .nonce(nonce(lane, 2));
        let above = run(above.timeout(seconds(300)));
        tokio::time::sleep(seconds(20)).await;
        assert!(!above.is_finished() && fixture.balance(RECIPIENT).is_zero());
        // Somebody who does not know of it.
        let other = Process::new(&fixture, way);
        for _ in 0..2 {
            other.agent.execute(pay(1)).await.unwrap();
        }
        assert_eq!(sequence(&above.await.unwrap().unwrap()), U256::from(2), "{way:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
        // A nonce that is used is an error.
        for used in 0..=2 {
            let used = process.agent.execute(pay(5)).nonce(nonce(lane, used));
            let error = used.await.unwrap_err();
            assert_eq!(
                (error.code(), error.happened()),
                ("nonce_used", Happened::No),
                "{way:?}"
            );
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
    }
}

// Several in one operation: what an operation costs whatever it does is paid once.
#[tokio::test(start_paused = true)]
async fn intents_that_allow_it_ride_together_and_each_is_told() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let tasks = (0..20)
            .map(|number| {
                let pays = process.agent.execute(one()).share(AfterRevert::Fail);
                // Some have names, which are theirs as in an operation of their own.
                run(if number % 2 == 0 {
                    pays.id(format!("rent {number}"))
                } else {
                    pays
                })
            })
            .collect();
        let results = all(tasks).await;
        let hashes: BTreeSet<_> = results
            .iter()
            .map(|result| hash_of(result.as_ref().unwrap()))
            .collect();
        assert!(hashes.len() <= 3, "{way:?}: {} operations", hashes.len());
        assert_eq!(fixture.balance(RECIPIENT), U256::from(20));
        let again = process.agent.execute(one()).id("rent 4").await.unwrap();
        assert!(hashes.contains(&hash_of(&again)));
        assert_eq!(fixture.balance(RECIPIENT), U256::from(20));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_would_fail_is_left_out_of_what_rides_together() {
    let (fixture, _) = Fixture::with_spender().await;
    let refuser = session_key_client::alloy::primitives::Address::repeat_byte(0xfe);
    fixture
        .testkit
        .chain()
        .set_code(refuser, [0x5f, 0x5f, 0xfd])
        .unwrap();
    let updates = session_key_client::permissions::PermissionUpdates::new().contract(refuser);
    fixture.update(key(1).address(), updates).await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.mine_every(seconds(2));
    let share = |call| run(process.agent.execute([call]).share(AfterRevert::Fail));
    let pays = || Call::transfer(RECIPIENT, U256::ONE);
    let tasks = vec![
        share(pays()),
        share(pays()),
        share(Call::new(refuser, vec![])),
        share(pays()),
        share(Call::transfer(RECIPIENT, U256::from(1000 * u128::from(ETHER)))),
        share(pays()),
    ];
    let results = all(tasks).await;
    let mut hashes = BTreeSet::new();
    for (number, result) in results.into_iter().enumerate() {
        match number {
            2 | 4 => {
                let error = result.unwrap_err();
                assert_eq!(
                    (error.code(), error.happened()),
                    ("would_revert", Happened::No),
                    "{number}"
                );
            }
            _ => drop(hashes.insert(hash_of(&result.unwrap()))),
        }
    }
    // The others ride together all the same.
    assert!(hashes.len() <= 2, "{} operations", hashes.len());
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
}

/// STOP.
const STOPS: [u8; 1] = [0x00];
/// PUSH0 PUSH0 REVERT.
const REVERTS: [u8; 3] = [0x5f, 0x5f, 0xfd];

/// What the caller of something shared was told: whether it happened, and in which operation and block it
/// was included, if so.
type Told = (Happened, Option<(B256, u64)>);

/// Four intents whose operation waits for its block, in which it reverts: a call succeeded in every
/// simulation, and fails on chain with its neighbours. The first and the third go alone after that; the
/// second is the one that fails.
struct Together {
    fixture: Fixture,
    process: Process,
    target: Address,
    tasks: Vec<Running>,
}

impl Together {
    async fn new(way: Way) -> Self {
        let (fixture, _) = Fixture::with_spender().await;
        let target = Address::repeat_byte(0xfd);
        fixture.testkit.chain().set_code(target, STOPS).unwrap();
        let updates = PermissionUpdates::new().contract(target);
        fixture.update(key(1).address(), updates).await;
        let process = Process::new(&fixture, way);
        fixture.pool();
        // The first has the turn, so that the others wait together.
        let first = run(process.agent.execute(one()));
        fixture.waits(1).await;
        let shared = |calls: [Call; 1], after_revert| {
            let execute = process.agent.execute(calls).timeout(seconds(2_000));
            run(execute.share(after_revert))
        };
        let tasks = vec![
            shared(one(), AfterRevert::Alone),
            shared([Call::new(target, vec![])], AfterRevert::Fail),
            shared(one(), AfterRevert::Alone),
            shared(one(), AfterRevert::Fail),
        ];
        fixture.mine();
        first.await.unwrap().unwrap();
        fixture.waits(1).await;
        let together = Self {
            fixture,
            process,
            target,
            tasks,
        };
        together.let_target(&REVERTS);
        together
    }

    fn let_target(&self, code: &'static [u8]) {
        self.fixture.testkit.chain().set_code(self.target, code).unwrap();
    }

    /// The operation reverts in a block, which is undone once that was seen. Returns its hash.
    async fn revert_and_undo(&self) -> B256 {
        self.fixture.mine();
        tokio::time::sleep(seconds(5)).await;
        let Some(&(hash, false)) = operations_of(&self.fixture).await.last() else {
            panic!()
        };
        self.fixture
            .bundler
            .change(|options| options.after_reorganization = Fate::Dropped);
        let mut chain = self.fixture.testkit.chain();
        chain.reorganize(1, |_| Fate::Dropped).unwrap();
        hash
    }

    async fn told(self) -> (Vec<Told>, Fixture) {
        let told = |result: Result<Included, OperationError>| match result {
            Ok(included) => {
                let place = (hash_of(&included), included.receipt.block_number);
                (Happened::Yes, Some(place))
            }
            Err(error) => (error.happened(), None),
        };
        let results = all(self.tasks).await;
        (results.into_iter().map(told).collect(), self.fixture)
    }
}

const ALONE_OR_FAILED: [Happened; 4] = [
    Happened::Yes,
    Happened::Reverted,
    Happened::Yes,
    Happened::Reverted,
];

#[tokio::test(start_paused = true)]
async fn after_a_shared_operation_has_reverted_each_goes_alone_once_if_its_caller_allowed_that() {
    let together = Together::new(Way::EntryPoint).await;
    let reverted_in = together.fixture.testkit.chain().block_number() + 1;
    together.fixture.mine_every(seconds(2));
    let (told, fixture) = together.told().await;
    assert_eq!(
        told.iter().map(|(happened, _)| *happened).collect::<Vec<_>>(),
        ALONE_OR_FAILED,
        "{told:?}"
    );
    // Not before the reverted one lies so deep that it stays.
    for (_, block) in told.iter().filter_map(|(_, place)| *place) {
        assert!(block > reverted_in + 64, "{block}, {reverted_in}");
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(3));
}

// What is not final decides nothing: it is sent again, and what becomes of it then counts.
#[tokio::test(start_paused = true)]
async fn a_shared_operation_that_is_undone_after_it_reverted_is_sent_again_before_anything_goes_alone() {
    for way in Way::BOTH {
        let together = Together::new(way).await;
        let shared = together.revert_and_undo().await;
        together.let_target(&REVERTS);
        together.fixture.mine_every(seconds(2));
        let (told, fixture) = together.told().await;
        assert_eq!(
            told.iter().map(|(happened, _)| *happened).collect::<Vec<_>>(),
            ALONE_OR_FAILED,
            "{way:?} {told:?}"
        );
        let operations = operations_of(&fixture).await;
        let again = operations
            .iter()
            .position(|operation| *operation == (shared, false));
        let alone = told.iter().filter_map(|(_, place)| *place);
        for (hash, _) in alone {
            let position = operations.iter().position(|operation| *operation == (hash, true));
            assert!(again.is_some() && position > again, "{way:?} {operations:?}");
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(3), "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_operation_that_is_undone_after_it_reverted_can_take_effect_in_another_block() {
    for way in Way::BOTH {
        let together = Together::new(way).await;
        let shared = together.revert_and_undo().await;
        together.let_target(&STOPS);
        together.fixture.mine_every(seconds(2));
        let (told, fixture) = together.told().await;
        for index in [0, 2] {
            let hash = told[index].1.map(|(hash, _)| hash);
            assert_eq!(hash, Some(shared), "{way:?} {told:?}");
        }
        // The one before, and three that shared.
        assert_eq!(fixture.balance(RECIPIENT), U256::from(4), "{way:?}");
        assert_eq!(
            operations_of(&fixture).await.last(),
            Some(&(shared, true)),
            "{way:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shared_operation_that_is_undone_and_becomes_void_is_followed_by_each_alone() {
    let together = Together::new(Way::Bundler).await;
    // It knows nothing of what the bundler has.
    let stranger = Process::new(&together.fixture, Way::EntryPoint);
    let journal = together.process.account.desk().journal().clone();
    let shared = together.revert_and_undo().await;
    together.fixture.testkit.chain().set_automine(true);
    let other = stranger.agent.execute(pay(7)).await.unwrap();
    together.fixture.mine_every(seconds(2));
    let account = together.process.account.address();
    let (told, fixture) = together.told().await;
    for index in [0, 2] {
        let (hash, block) = told[index].1.unwrap();
        assert_ne!(hash, shared, "{told:?}");
        assert!(block > other.receipt.block_number + 64, "{told:?}");
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1 + 7 + 2));
    let intents = journal.intents(31337, account).await.unwrap();
    let voids = intents.iter().flat_map(|intent| &intent.operations);
    let voids = voids.filter(|operation| operation.signed.hash == shared && operation.void.is_some());
    assert!(voids.count() >= 2, "{intents:?}");
}

// The client does not ask for a turn in a lane for longer than it takes to say no.
#[tokio::test(start_paused = true)]
async fn a_refused_task_gives_the_lane_to_the_next() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let refused = AtomicUsize::new(0);
    let start = tokio::time::Instant::now();
    let tasks = (0..12)
        .map(|number| {
            let target = if number % 3 == 0 {
                RECIPIENT
            } else {
                fixture.stack.token
            };
            run(process.agent.execute([Call::transfer(target, U256::ONE)]))
        })
        .collect();
    for result in all(tasks).await {
        if let Err(error) = result {
            assert_not_allowed(error, &["contract_not_on_allowlist"]);
            refused.fetch_add(1, Ordering::SeqCst);
        }
    }
    assert_eq!(refused.load(Ordering::SeqCst), 8);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
    assert!(start.elapsed() < seconds(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_given_nonce_names_its_lane() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        // Below the key's own lane, and above it.
        for lane in [U192::from(7), U192::MAX] {
            for sequence in 0..2 {
                let given = process.agent.execute(one()).nonce(nonce(lane, sequence));
                let included = given.timeout(seconds(20)).await.unwrap();
                assert_eq!(included.receipt.nonce, nonce(lane, sequence), "{way:?}");
            }
            let used = process.agent.execute(one()).nonce(nonce(lane, 1));
            let error = used.timeout(seconds(20)).await.unwrap_err();
            assert_eq!(
                (error.code(), error.happened()),
                ("nonce_used", Happened::No),
                "{way:?}"
            );
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
        // The lane that was named last holds.
        let given = process.agent.execute(one()).nonce(nonce(U192::from(7), 2));
        let built = given.nonce_key(U192::from(8)).build().await.unwrap();
        assert_eq!(built.nonce, nonce(U192::from(8), 0));
    }
}

// An operation of several intents has the calls of all of them. A replacement for one of them alone would
// leave the others to be done once more.
#[tokio::test(start_paused = true)]
async fn what_several_intents_share_is_replaced_for_none_of_them_whatever_its_lane() {
    let (fixture, _) = Fixture::with_spender().await;
    for lane in [key_lane(key(1).address()), U192::from(7)] {
        let process = Process::new(&fixture, Way::Bundler);
        process
            .out
            .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
        let tasks = (1..=4)
            .map(|amount| {
                let pays = process.agent.execute(pay(amount)).nonce_key(lane);
                run(pays.share(AfterRevert::Fail).timeout(seconds(20)))
            })
            .collect();
        let mut shared = 0;
        for result in all(tasks).await {
            let error = result.unwrap_err();
            let Some(intent) = error.intent else {
                continue;
            };
            let calls = kept(&process, &error).await.operations[0]
                .signed
                .operation
                .call_data
                .len();
            let replaced = process.agent.replace(intent).await.map(drop);
            if calls > 400 {
                shared += 1;
                let error = replaced.unwrap_err();
                assert_eq!((error.code(), error.happened()), ("shared", Happened::Unknown));
            } else {
                replaced.unwrap();
            }
        }
        assert!(
            shared > 1,
            "{shared} intents share an operation in lane {lane:#x}"
        );
    }
}

// One operation cannot have other limits for one of those that share it.
#[tokio::test(start_paused = true)]
async fn an_intent_with_settings_of_its_own_goes_alone() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    fixture.mine_every(seconds(2));
    let share = |amount| {
        let pays = process.agent.execute(pay(amount)).share(AfterRevert::Fail);
        pays.timeout(seconds(300))
    };
    // The second one waits for the first, and so do all after it.
    let tasks = vec![
        run(share(1)),
        run(share(2)),
        run(share(4).gas_limits(ample_gas()).id("own")),
        run(share(8)),
    ];
    let hashes: Vec<B256> = all(tasks)
        .await
        .into_iter()
        .map(|result| hash_of(&result.unwrap()))
        .collect();
    assert_eq!(hashes.iter().filter(|hash| **hash == hashes[2]).count(), 1);
    assert_eq!(hashes[1], hashes[3], "the others ride together");
    let record = process.agent.named("own").await.unwrap().unwrap();
    let [operation] = record.operations.as_slice() else {
        panic!("{record:?}")
    };
    let given = ample_gas();
    assert_eq!(operation.signed.operation.call_gas_limit, given.call_gas_limit);
    assert_eq!(
        operation.signed.operation.pre_verification_gas,
        given.pre_verification_gas
    );
    assert_eq!(fixture.balance(RECIPIENT), U256::from(15));
}
