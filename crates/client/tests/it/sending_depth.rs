//! How deep an operation lies, and reorganizations: what was true of a block that is gone is told as gone,
//! and made true again where that is possible.

use crate::{
    fixture::{FINALIZED_DISTANCE, Fixture, RECIPIENT, is_undecided, operations_of},
    process::{Process, Way, journal, seconds},
    wire::Fault,
};
use session_key_client::{
    Call, OperationError,
    alloy::primitives::{B256, U256},
    journal::{IntentId, IntentRecord, VoidDepth},
    operation::{Advice, Cause, DEFAULT_FINAL_DEPTH, Depth, Happened, Included, Operation, Outcome},
};
use session_key_testkit::{Fate, FinalityTags, NodeOptions};
use std::collections::BTreeSet;

fn pay(process: &Process, amount: u64) -> Operation {
    process
        .agent
        .execute([Call::transfer(RECIPIENT, U256::from(amount))])
}

const fn hash_of(included: &Included) -> B256 {
    included.receipt.user_op_hash
}

/// Undoes blocks; their transactions are gone.
fn undo(fixture: &Fixture, blocks: u64) {
    fixture
        .testkit
        .chain()
        .reorganize(blocks, |_| Fate::Dropped)
        .unwrap();
}

async fn record(process: &Process, id: IntentId) -> IntentRecord {
    process.agent.intent(id).await.unwrap().unwrap()
}

/// The intent of an operation.
async fn intent_of(process: &Process, hash: B256) -> IntentRecord {
    let journal = process.account.desk().journal();
    let intents = journal.intents(31337, process.account.address()).await.unwrap();
    let of_hash = |record: &IntentRecord| {
        record
            .operations
            .iter()
            .any(|operation| operation.signed.hash == hash)
    };
    intents.into_iter().find(of_hash).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_default_depth_is_the_latest_block_and_the_outcome_says_so() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        let included = pay(&process, 1).await.unwrap();
        assert_eq!(included.confirmations(), 0);
        assert!(!included.is_final);
        assert!(included.has_depth(Depth::Latest) && !included.has_depth(Depth::Blocks(1)));
        assert_eq!(included.block(), included.seen);
        fixture.mine_blocks(3);
        let Outcome::Included(later) = intent_of_looked_up(&process, &included).await.outcome() else {
            panic!()
        };
        assert_eq!(later.confirmations(), 3);
        assert_eq!(later.receipt, included.receipt);
    }
}

async fn intent_of_looked_up(process: &Process, included: &Included) -> IntentRecord {
    let id = intent_of(process, hash_of(included)).await.id;
    record(process, id).await
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_the_depth_that_it_asks_for() {
    for way in Way::BOTH {
        for (depth, least) in [
            (Depth::Blocks(0), 0),
            (Depth::Blocks(1), 1),
            (Depth::Blocks(5), 5),
            (Depth::Final, FINALIZED_DISTANCE),
            // Deeper than final is final.
            (Depth::Blocks(10_000), FINALIZED_DISTANCE),
        ] {
            let (fixture, _) = Fixture::with_spender().await;
            let process = Process::new(&fixture, way);
            fixture.mine_every(seconds(2));
            let waiting = pay(&process, 1).depth(depth).timeout(seconds(1_000));
            let included = waiting.await.unwrap();
            assert!(included.has_depth(depth));
            let confirmations = included.confirmations();
            assert!(
                (least..least + 4).contains(&confirmations),
                "{depth:?}: {confirmations}"
            );
            assert_eq!(included.is_final, least >= FINALIZED_DISTANCE);
        }
    }
}

// Others need not wait for the depth.
#[tokio::test(start_paused = true)]
async fn waiting_for_depth_does_not_hold_the_lane() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    fixture.mine_every(seconds(2));
    let start = tokio::time::Instant::now();
    let deep = tokio::spawn(
        pay(&process, 1)
            .depth(Depth::Final)
            .timeout(seconds(1_000))
            .into_future(),
    );
    tokio::time::sleep(seconds(5)).await;
    for _ in 0..3 {
        pay(&process, 1).await.unwrap();
    }
    assert!(start.elapsed() < seconds(30) && !deep.is_finished());
    deep.await.unwrap().unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_get_deep_in_time_is_told_as_included() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let error = pay(&process, 1)
        .depth(Depth::Blocks(5))
        .timeout(seconds(10))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_deep_in_time", Happened::Yes)
    );
    assert_eq!(error.advice(), Advice::Nothing);
    let Cause::NotDeepInTime {
        included,
        depth,
        waited,
    } = *error.cause
    else {
        panic!()
    };
    let hash = hash_of(&included);
    assert_eq!(operations_of(&fixture).await.last(), Some(&(hash, true)));
    let words = |depth| {
        let included = included.clone();
        let cause = Cause::NotDeepInTime {
            included,
            depth,
            waited,
        };
        cause.to_string()
    };
    let not_deep = format!("operation {hash} is included, but not so deep within 10s");
    assert_eq!(words(depth), not_deep);
    // Of what is as deep as was asked for, nothing of the kind is said.
    let too_late = format!("operation {hash} is included, which was seen too late to be the answer");
    assert_eq!(words(Depth::Latest), too_late);
    // Its caller knows: the same again is another one.
    pay(&process, 1).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
}

#[tokio::test(start_paused = true)]
async fn a_reorganization_while_depth_is_waited_for_is_made_good() {
    for way in Way::BOTH {
        for fate in [Fate::Pooled, Fate::Dropped] {
            for blocks in [1, 3] {
                let (fixture, _) = Fixture::with_spender().await;
                let process = Process::new(&fixture, way);
                let waiting = tokio::spawn(
                    pay(&process, 5)
                        .depth(Depth::Blocks(6))
                        .timeout(seconds(1_000))
                        .into_future(),
                );
                while fixture.balance(RECIPIENT).is_zero() {
                    tokio::time::sleep(seconds(1)).await;
                }
                fixture.mine_blocks(blocks - 1);
                tokio::time::sleep(seconds(5)).await;
                let before = fixture.testkit.chain().block_number();
                fixture.testkit.chain().reorganize(blocks, |_| fate).unwrap();
                assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
                fixture.mine_every(seconds(2));
                let included = waiting.await.unwrap().unwrap();
                assert!(included.receipt.block_number + 6 > before, "{way:?} {fate:?}");
                let operations = operations_of(&fixture).await;
                assert_eq!(operations.last(), Some(&(hash_of(&included), true)));
                // It is the very same operation, and it is there once.
                let record = intent_of(&process, hash_of(&included)).await;
                assert_eq!(record.operations.len(), 1, "{way:?} {fate:?} {blocks}");
                assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
            }
        }
    }
}

// Nobody looks after the lower one any more: its caller was told.
#[tokio::test(start_paused = true)]
async fn what_was_undone_below_is_sent_again_by_whoever_waits_for_depth() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        fixture
            .bundler
            .change(|options| options.after_reorganization = Fate::Dropped);
        let process = Process::new(&fixture, way);
        pay(&process, 1).await.unwrap();
        let upper = pay(&process, 2).depth(Depth::Blocks(6)).timeout(seconds(300));
        let waiting = tokio::spawn(upper.into_future());
        while fixture.balance(RECIPIENT) < U256::from(3) {
            tokio::time::sleep(seconds(1)).await;
        }
        let fate = match way {
            Way::Bundler => Fate::Dropped,
            // The sender's transactions wait again.
            Way::EntryPoint => Fate::Pooled,
        };
        fixture.testkit.chain().reorganize(2, |_| fate).unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
        fixture.mine_every(seconds(2));
        waiting.await.unwrap().unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(3), "{way:?}");
    }
}

// What its caller was told is included comes before what is asked for later.
#[tokio::test(start_paused = true)]
async fn what_was_undone_is_sent_again_before_the_lane_is_used() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        let told = [pay(&process, 1).await.unwrap(), pay(&process, 2).await.unwrap()];
        // Through the EntryPoint, the sender's transactions wait again; the bundler has forgotten all.
        fixture
            .bundler
            .change(|options| options.after_reorganization = Fate::Dropped);
        let fate = if way == Way::Bundler {
            Fate::Dropped
        } else {
            Fate::Pooled
        };
        fixture.testkit.chain().reorganize(2, |_| fate).unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
        // Other blocks take their place.
        fixture.mine_every(seconds(2));
        let next = pay(&process, 4).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(7), "{way:?}");
        let operations = operations_of(&fixture).await;
        let expected: Vec<_> = told
            .iter()
            .chain([&next])
            .map(|included| (hash_of(included), true))
            .collect();
        assert!(operations.ends_with(&expected), "{way:?} {operations:?}");
        for included in &told {
            let Outcome::Included(again) = intent_of_looked_up(&process, included).await.outcome() else {
                panic!()
            };
            assert_ne!(again.receipt.block_hash, included.receipt.block_hash);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_is_told_by_whoever_looks() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let included = pay(&process, 1).id("rent").await.unwrap();
    undo(&fixture, 1);
    fixture.mine();
    let found = intent_of_looked_up(&process, &included).await;
    assert!(matches!(found.outcome(), Outcome::Open(_)), "{found:?}");
    assert_eq!(found.outcome().happened(), Happened::Unknown);
    // Its name takes it up.
    fixture.mine_every(seconds(2));
    let again = pay(&process, 1).id("rent").await.unwrap();
    assert_eq!(hash_of(&again), hash_of(&included));
    assert_ne!(again.receipt.block_hash, included.receipt.block_hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test(start_paused = true)]
async fn resuming_makes_good_what_was_undone_within_its_callers_time() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, way, &journal);
        let included = pay(&process, 1).timeout(seconds(600)).await.unwrap();
        // Through the EntryPoint, the sender's transactions wait again; the bundler has its operations again.
        let fate = if way == Way::Bundler {
            Fate::Dropped
        } else {
            Fate::Pooled
        };
        fixture.testkit.chain().reorganize(1, |_| fate).unwrap();
        fixture.mine_every(seconds(2));
        tokio::time::sleep(seconds(5)).await;
        for process in [process, Process::on(&fixture, way, &journal)] {
            let records = process.agent.resume().await.unwrap();
            let found = records
                .iter()
                .find(|record| record.operations[0].signed.hash == hash_of(&included))
                .unwrap();
            assert_eq!(found.outcome().happened(), Happened::Yes, "{way:?} {found:?}");
        }
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_its_own_makes_good_what_is_undone() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    let watch = tokio::spawn({
        let agent = process.agent.clone();
        async move { agent.watch(seconds(3)).await }
    });
    pay(&process, 1).timeout(seconds(600)).await.unwrap();
    for _ in 0..3 {
        undo(&fixture, 1);
        assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
        fixture.mine();
        tokio::time::sleep(seconds(20)).await;
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    }
    watch.abort();
}

// By the clock of the world: one that is paused stands still as long as somebody spins.
#[tokio::test]
async fn a_task_that_watches_without_a_pause_pauses() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    // There is something to look at.
    pay(&process, 1).await.unwrap();
    let asked = || process.node.asked().len();
    let before = asked();
    let watch = process.agent.watch(seconds(0));
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(700), watch)
            .await
            .is_err()
    );
    let looks = asked() - before;
    assert!((1..=8).contains(&looks), "{looks} requests");
}

// Its nonce is used by somebody else's operation in the blocks that took their place.
#[tokio::test(start_paused = true)]
async fn what_was_undone_and_cannot_come_back_becomes_void_and_is_not_signed_anew() {
    {
        let way = Way::Bundler;
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        // It knows nothing of what the bundler has.
        let stranger = Process::new(&fixture, Way::EntryPoint);
        let included = pay(&process, 1).await.unwrap();
        undo(&fixture, 1);
        let other = pay(&stranger, 7).await.unwrap();
        assert_eq!(other.receipt.nonce, included.receipt.nonce);

        let found = intent_of_looked_up(&process, &included).await;
        assert!(is_undecided(found.outcome().happened()), "{found:?}");
        // The lane goes on.
        pay(&process, 2).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(9));
        fixture.mine_blocks(FINALIZED_DISTANCE + 1);
        let records = process.agent.resume().await.unwrap();
        let found = records.iter().find(|record| record.id == found.id).unwrap();
        let Outcome::Void(void) = found.outcome() else {
            panic!("{way:?} {found:?}")
        };
        assert_eq!(
            (void.nonce, void.used_by),
            (included.receipt.nonce, Some(hash_of(&other)))
        );
        assert_eq!(fixture.balance(RECIPIENT), U256::from(9));
        // It is safe to ask again, and nobody does so unasked.
        pay(&process, 1).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::from(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_depth_is_told_that_it_became_void() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    // It knows nothing of what the bundler has.
    let stranger = Process::new(&fixture, Way::EntryPoint);
    let waiting = tokio::spawn(
        pay(&process, 1)
            .depth(Depth::Final)
            .timeout(seconds(2_000))
            .into_future(),
    );
    while fixture.balance(RECIPIENT).is_zero() {
        tokio::time::sleep(seconds(1)).await;
    }
    tokio::time::sleep(seconds(5)).await;
    process.out.fault("eth_sendUserOperation", Fault::Lose);
    undo(&fixture, 1);
    pay(&stranger, 7).await.unwrap();
    fixture.mine_every(seconds(2));
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.happened()), ("void", Happened::No));
    assert!(matches!(error.advice(), Advice::TryAgain { .. }));
    assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
}

/// Lets an operation become void on a node with these tags, and says at which depth, and after how many
/// blocks on top of the one in which its nonce was seen used.
async fn voided(tags: FinalityTags) -> (VoidDepth, u64) {
    let (fixture, _) = Fixture::with_spender().await;
    let node = fixture.testkit.node(NodeOptions {
        finality_tags: tags,
        ..NodeOptions::default()
    });
    let process = Process::at(&fixture, Way::Bundler, &journal(), node.transport());
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
    let open = pay(&process, 1).timeout(seconds(5)).await.unwrap_err();
    let stranger = Process::new(&fixture, Way::Bundler);
    pay(&stranger, 7).await.unwrap();
    let used = fixture.testkit.chain().block_number();
    loop {
        match record(&process, open.intent.unwrap()).await.outcome() {
            Outcome::Void(void) => {
                let blocks = fixture.testkit.chain().block_number() - used;
                assert_eq!(fixture.balance(RECIPIENT), U256::from(7));
                return (void.depth, blocks);
            }
            outcome => assert!(is_undecided(outcome.happened()), "{outcome:?}"),
        }
        fixture.mine();
        assert!(
            fixture.testkit.chain().block_number() < used + 300,
            "{tags:?}: never void"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_depth_for_void_is_the_nodes_final_block_or_a_number_of_blocks() {
    let (depth, blocks) = voided(FinalityTags::Known).await;
    assert_eq!((depth, blocks), (VoidDepth::Finalized, FINALIZED_DISTANCE));
    for tags in [
        FinalityTags::Null,
        FinalityTags::NotFound,
        FinalityTags::Unsupported,
    ] {
        let (depth, blocks) = voided(tags).await;
        assert_eq!(
            (depth, blocks),
            (VoidDepth::Blocks(DEFAULT_FINAL_DEPTH), DEFAULT_FINAL_DEPTH),
            "{tags:?}"
        );
    }
    // One that does not move is not waited for for ever.
    let (depth, blocks) = voided(FinalityTags::Stuck(1)).await;
    assert_eq!(depth, VoidDepth::Blocks(DEFAULT_FINAL_DEPTH));
    assert!(
        (DEFAULT_FINAL_DEPTH..=2 * DEFAULT_FINAL_DEPTH).contains(&blocks),
        "{blocks}"
    );
}

// An intent whose nonce a foreign process uses is void at the depth, and then signed anew, with
// the next nonce.
#[tokio::test(start_paused = true)]
async fn an_intent_whose_nonce_a_stranger_used_is_signed_anew_when_it_is_void() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        let stranger = Process::new(&fixture, Way::Bundler);
        // What is handed over waits, until the stranger's is included.
        process.out.fault(way.hands_over(), Fault::Lose);
        let waiting = tokio::spawn(pay(&process, 1).timeout(seconds(2_000)).into_future());
        tokio::time::sleep(seconds(5)).await;
        let other = pay(&stranger, 7).await.unwrap();
        process.out.repair();
        let used = other.receipt.block_number;
        fixture.mine_every(seconds(2));
        let included = waiting.await.unwrap().unwrap();
        assert_eq!(included.receipt.nonce, other.receipt.nonce + U256::ONE);
        assert!(
            included.receipt.block_number >= used + FINALIZED_DISTANCE,
            "{way:?}: not before the first is void"
        );
        assert_eq!(fixture.balance(RECIPIENT), U256::from(8));
        let record = intent_of(&process, hash_of(&included)).await;
        assert!(record.operations[0].void.is_some() && record.operations.len() == 2);
    }
}

// Undone blocks and undone blocks again, with many in one lane.
#[tokio::test(start_paused = true)]
async fn a_chain_that_is_reorganized_all_the_time_pays_each_once() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let process = Process::new(&fixture, way);
        fixture.mine_every(seconds(2));
        let watch = tokio::spawn({
            let agent = process.agent.clone();
            async move { agent.watch(seconds(5)).await }
        });
        let undoing = tokio::spawn({
            let testkit = fixture.testkit.clone();
            async move {
                for depth in [1, 2, 3, 1, 2, 1, 3, 2] {
                    tokio::time::sleep(seconds(7)).await;
                    let _ = testkit.chain().reorganize(depth, |_| Fate::Pooled);
                }
            }
        });
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let operation = pay(&process, 1 << number)
                    .depth(Depth::Blocks(8))
                    .timeout(seconds(3_000));
                tokio::spawn(operation.into_future())
            })
            .collect();
        let mut hashes = BTreeSet::new();
        for task in tasks {
            let result: Result<Included, OperationError> = task.await.unwrap();
            hashes.insert(hash_of(&result.unwrap()));
        }
        undoing.await.unwrap();
        watch.abort();
        assert_eq!(hashes.len(), 10);
        assert_eq!(fixture.balance(RECIPIENT), U256::from((1 << 10) - 1), "{way:?}");
        let operations = operations_of(&fixture).await;
        let all: BTreeSet<_> = operations.iter().map(|(hash, _)| *hash).collect();
        assert_eq!(all.len(), operations.len());
    }
}
