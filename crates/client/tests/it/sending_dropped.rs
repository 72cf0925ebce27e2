//! Futures that are dropped, and time limits that end, at any point: the journal stays right, and everything
//! happens once.

use crate::{
    fixture::{Fixture, RECIPIENT, operations_of},
    process::{Process, Way, journal, seconds},
    wire::{Fault, Wire},
};
use session_key_client::{
    Call, OperationError, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Happened, Included, Operation},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn pay(process: &Process) -> Operation {
    process.agent.execute([Call::transfer(RECIPIENT, U256::ONE)])
}

/// Makes the request that comes after so many others, of both wires, hang: before it arrives, or after.
fn hang_at(process: &Process, position: usize, arrives: bool) {
    let count = Arc::new(AtomicUsize::new(0));
    for wire in [&process.node, &process.out] {
        let count = count.clone();
        wire.rule(move |_| {
            let is_it = count.fetch_add(1, Ordering::SeqCst) == position;
            is_it.then(|| if arrives { Fault::Hang } else { Fault::Swallow })
        });
    }
}

async fn hangs(process: &Process) {
    tokio::select! {
        () = process.node.hangs() => (),
        () = process.out.hangs() => (),
    }
}

fn repair(process: &Process) {
    process.node.repair();
    process.out.repair();
}

/// Drops an operation while its request at this position hangs. False: it was done before.
async fn drop_at(process: &Process, operation: Operation, position: usize, arrives: bool) -> bool {
    hang_at(process, position, arrives);
    let is_dropped = tokio::select! {
        biased;
        () = hangs(process) => true,
        result = operation.into_future() => {
            result.unwrap();
            false
        }
    };
    repair(process);
    is_dropped
}

/// What the caller was told, whichever way.
#[derive(Debug, Default)]
struct Told {
    paid: BTreeSet<session_key_client::alloy::primitives::B256>,
}

impl Told {
    fn note(&mut self, result: &Result<Included, OperationError>) {
        let hash = match result {
            Ok(included) => included.receipt.user_op_hash,
            Err(error) if error.code() == "already_happened" => match &*error.cause {
                session_key_client::operation::Cause::AlreadyHappened { included, .. } => {
                    included.receipt.user_op_hash
                }
                cause => panic!("{cause:?}"),
            },
            Err(error) => panic!("{error:?}"),
        };
        assert!(self.paid.insert(hash), "{hash} was told twice");
    }
}

/// An account with a key. These tests send thousands of operations whose validations are all alike, so the
/// bundler does not trace them.
async fn spender() -> (Fixture, SessionKeyClient) {
    let (fixture, key) = Fixture::with_spender().await;
    fixture.bundler.change(|options| options.rules = None);
    (fixture, key)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_paid_once_wherever_its_future_is_dropped() {
    for way in Way::BOTH {
        for arrives in [false, true] {
            let step = if arrives { 1 } else { 3 };
            let mut position = 0;
            loop {
                let (fixture, _) = spender().await;
                let process = Process::new(&fixture, way);
                let is_dropped = drop_at(&process, pay(&process).id("rent"), position, arrives).await;
                let included = pay(&process).id("rent").await.unwrap();
                assert_eq!(
                    fixture.balance(RECIPIENT),
                    U256::ONE,
                    "{way:?}, request {position}, arrives: {arrives}"
                );
                assert_eq!(
                    operations_of(&fixture).await.last(),
                    Some(&(included.receipt.user_op_hash, true))
                );
                if !is_dropped {
                    break;
                }
                position += step;
            }
            assert!(position > 15, "{way:?}: {position} requests");
        }
    }
}

// Whoever asks for the same again is told once of what the dropped one came to, and then served.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_twice_or_pays_in_vain_wherever_a_future_is_dropped() {
    for way in Way::BOTH {
        for arrives in [false, true] {
            // What a request does that does not arrive, it does at every third one.
            for position in (0..).step_by(if arrives { 1 } else { 3 }) {
                let (fixture, _) = spender().await;
                let process = Process::new(&fixture, way);
                let is_dropped = drop_at(&process, pay(&process), position, arrives).await;
                if !is_dropped {
                    break;
                }
                let mut told = Told::default();
                let mut served = 0;
                for _ in 0..2 {
                    let result = pay(&process).await;
                    served += usize::from(result.is_ok());
                    told.note(&result);
                }
                // The first may be told of the dropped one; the second is new.
                assert!(served >= 1);
                let paid = fixture.balance(RECIPIENT);
                assert_eq!(
                    paid,
                    U256::from(told.paid.len()),
                    "{way:?}, request {position}, arrives: {arrives}, served {served}"
                );
            }
        }
    }
}

// The same, by time: each request takes some, and the limit ends somewhere.
#[tokio::test(start_paused = true)]
async fn what_was_told_is_true_wherever_the_time_ends() {
    for way in Way::BOTH {
        for limit in (0..1_500).step_by(50) {
            let (fixture, _) = spender().await;
            let process = Process::new(&fixture, way);
            let slow = |wire: &Wire| wire.rule(|_| Some(Fault::Late(Duration::from_millis(70))));
            slow(&process.node);
            slow(&process.out);
            let start = tokio::time::Instant::now();
            let result = pay(&process).timeout(Duration::from_millis(limit)).await;
            assert!(
                start.elapsed() <= Duration::from_millis(limit) + seconds(5),
                "{way:?} {limit}"
            );
            let paid = fixture.balance(RECIPIENT);
            match &result {
                Ok(_) => assert_eq!(paid, U256::ONE),
                Err(error) => match error.happened() {
                    Happened::No => {
                        assert_eq!(paid, U256::ZERO, "{way:?} {limit} {error:?}");
                    }
                    Happened::Unknown | Happened::NotYet => {
                        assert!(error.user_op_hash.is_some() && error.intent.is_some());
                    }
                    Happened::Yes => assert_eq!(paid, U256::ONE),
                    happened => panic!("{happened:?}"),
                },
            }
            repair(&process);
            let again = pay(&process).await;
            let again = match again {
                Err(error) if error.code() == "already_happened" => {
                    assert!(result.is_err());
                    pay(&process).await
                }
                again => again,
            };
            again.unwrap();
            // The first one did not happen later, behind the back of whoever was told so.
            let first = u64::from(result.as_ref().is_ok_and(|_| true) || paid == U256::ONE);
            assert!(fixture.balance(RECIPIENT) >= U256::from(first + 1));
            assert!(fixture.balance(RECIPIENT) <= U256::from(2));
            if result
                .as_ref()
                .is_err_and(|error| error.happened() == Happened::No)
            {
                assert_eq!(fixture.balance(RECIPIENT), U256::ONE, "{way:?} {limit}");
            }
        }
    }
}

// A handed-over operation that is not awaited gives the lane to the next, and is found by whoever looks.
#[tokio::test(start_paused = true)]
async fn what_was_handed_over_and_not_awaited_is_not_lost() {
    for way in Way::BOTH {
        let (fixture, _) = spender().await;
        let process = Process::new(&fixture, way);
        let pending = pay(&process).send().await.unwrap();
        let (hash, id) = (pending.user_op_hash().unwrap(), pending.intent().unwrap().id);
        drop(pending);
        let other = process
            .agent
            .execute([Call::transfer(RECIPIENT, U256::from(7))])
            .await
            .unwrap();
        assert_ne!(other.receipt.user_op_hash, hash);
        let record = process.agent.intent(id).await.unwrap().unwrap();
        assert_eq!(record.outcome().happened(), Happened::Yes);
        assert_eq!(record.operations[0].signed.hash, hash);
        assert_eq!(fixture.balance(RECIPIENT), U256::from(8));
        // The same again is told of it; once.
        let error = pay(&process).await.unwrap_err();
        assert_eq!(error.code(), "already_happened");
        pay(&process).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(9));
    }
}

// Twenty tasks in one lane, some of which are dropped while they wait, while they sign, or while they look.
#[tokio::test(start_paused = true)]
async fn tasks_that_are_dropped_leave_the_lane_to_the_others() {
    for way in Way::BOTH {
        for seed in 0..4_u64 {
            let (fixture, _) = spender().await;
            let process = Process::new(&fixture, way);
            fixture.mine_every(seconds(1));
            let slow = |wire: &Wire| wire.rule(|_| Some(Fault::Late(Duration::from_millis(30))));
            slow(&process.node);
            slow(&process.out);
            let mut kept = Vec::new();
            let mut dropped = Vec::new();
            for number in 0..20_u64 {
                // Different amounts, so that nobody is told of another one's.
                let operation = process
                    .agent
                    .execute([Call::transfer(RECIPIENT, U256::from(1_u64 << number))]);
                let task = tokio::spawn(operation.timeout(seconds(600)).into_future());
                let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * seed);
                if (mixed >> 61).is_multiple_of(2) {
                    dropped.push((number, mixed >> 50, task));
                } else {
                    kept.push((number, task));
                }
            }
            for (_, delay, task) in &dropped {
                let handle = task.abort_handle();
                let delay = Duration::from_millis(*delay);
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    handle.abort();
                });
            }
            let mut least = U256::ZERO;
            for (number, task) in kept {
                task.await.unwrap().unwrap();
                least += U256::from(1_u64 << number);
            }
            let mut most = least;
            for (number, _, task) in dropped {
                let amount = U256::from(1_u64 << number);
                match task.await {
                    Ok(result) => {
                        result.unwrap();
                        least += amount;
                        most += amount;
                    }
                    Err(_) => most += amount,
                }
            }
            let paid = fixture.balance(RECIPIENT);
            assert!(
                paid & least == least && paid | most == most,
                "{way:?} {seed}: {paid:x} {least:x} {most:x}"
            );
            // Whatever was dropped is settled by the next look.
            repair(&process);
            fixture.mine_blocks(70);
            for record in process.agent.resume().await.unwrap() {
                assert_ne!(record.outcome().happened(), Happened::Unknown, "{record:?}");
            }
        }
    }
}

// The process goes on; only what it was asked for is given up.
#[tokio::test(start_paused = true)]
async fn a_dropped_wait_for_a_turn_is_no_intent() {
    let (fixture, _) = spender().await;
    let journal = journal();
    let process = Process::on(&fixture, Way::EntryPoint, &journal);
    fixture.pool();
    let pending = pay(&process).send().await.unwrap();
    for _ in 0..3 {
        let waiting = tokio::time::timeout(seconds(2), pay(&process).into_future()).await;
        assert!(waiting.is_err());
    }
    fixture.mine();
    pending.await.unwrap();
    let intents = journal.intents(31337, fixture.account.address()).await.unwrap();
    assert_eq!(intents.len(), 1);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}
