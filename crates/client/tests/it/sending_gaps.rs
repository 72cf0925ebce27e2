//! Gaps in a lane: an operation whose nonce is above the lane's next one, and nobody is known who has that
//! one. The gap is named, and there are ways to fill it.

use crate::{
    fixture::{FINALIZED_DISTANCE, Fixture, RECIPIENT, key, key_lane},
    process::{Process, Way, journal, seconds},
};
use session_key_client::{
    Call, OperationError,
    alloy::primitives::{B256, U256},
    journal::{IntentId, IntentRecord, NonceGap},
    operation::{Advice, Cause, Happened, Included, Open, Operation, Outcome},
    permissions::{Permissions, SpendLimit, nonce},
};
use session_key_testkit::{Fate, NodeOptions};

fn pay(process: &Process, amount: u64) -> Operation {
    process
        .agent
        .execute([Call::transfer(RECIPIENT, U256::from(amount))])
        .timeout(seconds(60))
}

const fn hash_of(included: &Included) -> B256 {
    included.receipt.user_op_hash
}

fn at(sequence: u64) -> U256 {
    nonce(key_lane(key(1).address()), sequence)
}

async fn intent_of(process: &Process, included: &Included) -> IntentId {
    let journal = process.account.desk().journal();
    let intents = journal.intents(31337, process.account.address()).await.unwrap();
    let is_its = |record: &IntentRecord| record.operations[0].signed.hash == hash_of(included);
    intents.into_iter().find(is_its).unwrap().id
}

async fn outcome(process: &Process, id: IntentId) -> Outcome {
    process.agent.intent(id).await.unwrap().unwrap().outcome()
}

async fn sent_again(process: &Process, id: IntentId) -> Result<Included, OperationError> {
    let again = process.agent.send_again(id).await.unwrap();
    again.timeout(seconds(20)).await
}

/// Undoes blocks; what they held is gone, also from the bundler.
fn undo(fixture: &Fixture, blocks: u64) {
    fixture
        .bundler
        .change(|options| options.after_reorganization = Fate::Dropped);
    let mut chain = fixture.testkit.chain();
    chain.reorganize(blocks, |_| Fate::Dropped).unwrap();
    // Others take their place.
    (0..=blocks).for_each(|_| chain.mine());
}

/// The lane's first nonce was used by an operation in a journal that is lost, the second by one that a
/// process was told of. Both are undone.
async fn above_a_gap() -> (Fixture, Process, IntentId) {
    let (fixture, _) = Fixture::with_spender().await;
    let lost = Process::new(&fixture, Way::EntryPoint);
    pay(&lost, 16).await.unwrap();
    let process = Process::new(&fixture, Way::Bundler);
    let told = pay(&process, 1).await.unwrap();
    assert_eq!(told.receipt.nonce, at(1));
    let id = intent_of(&process, &told).await;
    undo(&fixture, 2);
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    fixture.mine_every(seconds(2));
    (fixture, process, id)
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_is_told_of_a_gap() {
    let (fixture, process, id) = above_a_gap().await;
    let gap = Outcome::Open(Open::NonceGap {
        nonce: at(1),
        next: at(0),
        by: None,
    });
    assert_eq!(outcome(&process, id).await, gap);
    assert_eq!(gap.happened(), Happened::NotYet);
    let resumed = process.agent.resume().await.unwrap();
    assert_eq!(resumed[0].outcome(), gap);
    let Some(NonceGap { next, by, block }) = resumed[0].operations[0].nonce_gap else {
        panic!()
    };
    assert_eq!((next, by), (at(0), None));
    assert!(block.number >= resumed[0].operations[0].made.number);

    let error = sent_again(&process, id).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("nonce_gap", Happened::NotYet));
    assert_eq!((error.advice(), error.intent), (Advice::Settle, Some(id)));
    let cause = Cause::NonceGap {
        nonce: at(1),
        next: at(0),
        by: None,
    };
    assert_eq!(*error.cause, cause);
    let text = error.to_string();
    let named = "nonce 1 waits above a gap: the lane's next nonce is 0, and no known operation has it; another operation of the lane \
                 fills the gap, or an owner unblocks the lane";
    assert!(text.starts_with(named), "{text}");
    let json = serde_json::to_value(&error).unwrap();
    assert_eq!(json["cause"]["cause"], "nonce_gap");
    assert_eq!(serde_json::from_value::<OperationError>(json).unwrap(), error);

    // Somebody who knows nothing of it fills the gap.
    let other = Process::new(&fixture, Way::EntryPoint);
    assert_eq!(pay(&other, 4).await.unwrap().receipt.nonce, at(0));
    assert!(!matches!(
        outcome(&process, id).await,
        Outcome::Open(Open::NonceGap { .. })
    ));
    sent_again(&process, id).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
    assert_eq!(outcome(&process, id).await.happened(), Happened::Yes);
}

// Its caller knows it included: it comes first, and yet it cannot pass before the gap is filled.
#[tokio::test(start_paused = true)]
async fn the_next_intent_of_the_lane_fills_the_gap() {
    let (fixture, process, id) = above_a_gap().await;
    let next = pay(&process, 4).await.unwrap();
    assert_eq!(next.receipt.nonce, at(0));
    sent_again(&process, id).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

#[tokio::test(start_paused = true)]
async fn an_owner_fills_a_gap_and_what_waited_above_it_passes() {
    let (fixture, process, id) = above_a_gap().await;
    let unblocked = process.owner.unblock(key(1).address(), Some(0)).await.unwrap();
    assert!(unblocked.ended.is_empty());
    assert_eq!(unblocked.still_open.len(), 1);
    sent_again(&process, id).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test(start_paused = true)]
async fn an_owner_ends_what_waits_above_a_gap() {
    let (fixture, process, id) = above_a_gap().await;
    let unblocked = process.owner.unblock(key(1).address(), None).await.unwrap();
    assert_eq!(
        unblocked.ended.iter().map(|record| record.id).collect::<Vec<_>>(),
        [id]
    );
    fixture.mine_blocks(FINALIZED_DISTANCE + 1);
    assert!(matches!(outcome(&process, id).await, Outcome::Void(_)));
    assert_eq!(pay(&process, 4).await.unwrap().receipt.nonce, at(2));
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_a_caller_gave_too_high_waits_above_a_gap() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    fixture.mine_every(seconds(2));
    let above = pay(&process, 1).gas_limits(crate::fixture::ample_gas());
    let error = above.nonce(at(3)).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("nonce_gap", Happened::NotYet));
}

/// Two operations of one journal are undone, and nodes forget them.
async fn two_undone(fixture: &Fixture, process: &Process) -> [(IntentId, Included); 2] {
    let lower = pay(process, 1).await.unwrap();
    // The second pays far higher fees.
    fixture.testkit.chain().set_next_base_fee(20_000_000_000);
    let upper = pay(process, 2).await.unwrap();
    assert_eq!((lower.receipt.nonce, upper.receipt.nonce), (at(0), at(1)));
    let ids = [intent_of(process, &lower).await, intent_of(process, &upper).await];
    undo(fixture, 2);
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
    let [lower_id, upper_id] = ids;
    [(lower_id, lower), (upper_id, upper)]
}

// It comes first, and may still come by itself.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_known_operation_is_told_for_which() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let [(lower_id, lower), (id, _)] = two_undone(&fixture, &process).await;
    let waits = Outcome::Open(Open::NonceGap {
        nonce: at(1),
        next: at(0),
        by: Some(hash_of(&lower)),
    });
    assert_eq!(outcome(&process, id).await, waits);
    assert_eq!(waits.happened(), Happened::NotYet);
    assert_eq!(outcome(&process, lower_id).await, Outcome::Open(Open::InPool));
    // Both are included again.
    fixture.mine_every(seconds(2));
    sent_again(&process, id).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(3));
    assert_eq!(outcome(&process, id).await.happened(), Happened::Yes);
}

/// The fees of the lower one are too low by now.
async fn above_an_operation_that_cannot_pass() -> (Fixture, Process, [(IntentId, Included); 2]) {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let both = two_undone(&fixture, &process).await;
    fixture.testkit.chain().set_next_base_fee(20_000_000_000);
    fixture.mine();
    fixture.mine_every(seconds(2));
    let [(_, lower), (id, _)] = &both;
    let error = sent_again(&process, *id).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("nonce_gap", Happened::NotYet));
    assert_eq!((error.advice(), error.intent), (Advice::Settle, Some(*id)));
    let by = Some(hash_of(lower));
    let cause = Cause::NonceGap {
        nonce: at(1),
        next: at(0),
        by,
    };
    assert_eq!(*error.cause, cause);
    let text = error.to_string();
    let named = format!(
        "nonce 1 waits: the lane's next nonce is 0, and operation {}, which has it, is not included; once that one is included or \
         replaced, or an owner unblocks the lane, this one can be included",
        hash_of(lower)
    );
    assert!(text.starts_with(&named), "{text}");
    let json = serde_json::to_value(&error).unwrap();
    assert_eq!(serde_json::from_value::<OperationError>(json).unwrap(), error);
    (fixture, process, both)
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_operation_that_cannot_pass_passes_once_that_is_replaced() {
    let (fixture, process, [(lower_id, _), (id, _)]) = above_an_operation_that_cannot_pass().await;
    let replacement = process.agent.replace(lower_id).await.unwrap();
    let replaced = replacement.timeout(seconds(60)).await.unwrap();
    assert_eq!(replaced.receipt.nonce, at(0));
    sent_again(&process, id).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(3));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_operation_that_cannot_pass_passes_once_an_owner_ends_that() {
    let (fixture, process, [(lower_id, _), (id, _)]) = above_an_operation_that_cannot_pass().await;
    let unblocked = process.owner.unblock(key(1).address(), Some(0)).await.unwrap();
    let ended: Vec<_> = unblocked.ended.iter().map(|record| record.id).collect();
    assert_eq!(ended, [lower_id]);
    sent_again(&process, id).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
    fixture.mine_blocks(FINALIZED_DISTANCE + 1);
    assert!(matches!(outcome(&process, lower_id).await, Outcome::Void(_)));
}

// Neither can be included any more, and neither is void: the owner could extend the key.
#[tokio::test(start_paused = true)]
async fn of_a_key_that_has_expired_the_one_that_comes_first_is_named() {
    let until = Fixture::new().await.testkit.chain().timestamp() + 100;
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .valid_until(until)
        .native_token_spend_limit(SpendLimit::UNLIMITED);
    let (fixture, _) = Fixture::with_key(permissions).await;
    let process = Process::new(&fixture, Way::Bundler);
    let [(lower_id, lower), (id, _)] = two_undone(&fixture, &process).await;
    fixture.testkit.chain().increase_time(200);
    fixture.mine_every(seconds(2));
    let error = sent_again(&process, id).await.unwrap_err();
    let cause = Cause::NonceGap {
        nonce: at(1),
        next: at(0),
        by: Some(hash_of(&lower)),
    };
    assert_eq!(*error.cause, cause, "{error}");
    // The lower one waits for nothing but the key.
    let error = sent_again(&process, lower_id).await.unwrap_err();
    assert_eq!(error.code(), "not_taken", "{error}");
    assert!(error.to_string().contains("AA22"), "{error}");
    // It ends with both.
    let unblocked = process.owner.unblock(key(1).address(), None).await.unwrap();
    assert_eq!(unblocked.ended.len(), 2);
    fixture.mine_blocks(FINALIZED_DISTANCE + 1);
    for id in [lower_id, id] {
        assert!(matches!(outcome(&process, id).await, Outcome::Void(_)));
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_behind_shows_no_gap() {
    let (fixture, _) = Fixture::with_spender().await;
    let stranger = Process::new(&fixture, Way::EntryPoint);
    let node = fixture.testkit.node(NodeOptions::default());
    let process = Process::at(&fixture, Way::Bundler, &journal(), node.transport());
    pay(&stranger, 16).await.unwrap();
    // It waits in the bundler's pool.
    fixture.pool();
    let error = pay(&process, 1).timeout(seconds(5)).await.unwrap_err();
    assert_eq!(error.code(), "not_included_in_time");
    let id = error.intent.unwrap();
    node.change(|options| options.lag = 1);
    assert_eq!(outcome(&process, id).await, Outcome::Open(Open::InPool));
}
