//! The tests that every [`Journal`] has to pass, one or more for each sentence of the trait's documentation.
//!
//! ```
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() {
//! use session_key_client::journal::{Journal, MemoryJournal, conformance};
//! use std::sync::Arc;
//!
//! conformance::run(|| async { Arc::new(MemoryJournal::new()) as Arc<dyn Journal> }).await;
//! # }
//! ```
//!
//! They run on a runtime of tokio, which should have several threads: some of them let tasks race. A store that several processes
//! share has to be tested from several processes as well, and killed while it writes; that is not done here.

use super::{
    Acquired, BlockRef, Handover, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, Moment,
    OperationRecord, ProcessId, VoidDepth,
};
use crate::{
    operation::{Included, NotTaken, NotTakenReason, Void},
    permissions::{SignedOperation, UserOperation, nonce},
    revert::Revert,
    submit::{Receipt, Refusal},
};
use alloy::primitives::{Address, B256, FixedBytes, U256, aliases::U192};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Runs every check, each on an empty journal of its own.
///
/// # Panics
///
/// If the journal fails one.
pub async fn run<M, F>(make: M)
where
    M: Fn() -> F,
    F: Future<Output = Arc<dyn Journal>>,
{
    for check in checks() {
        check.run(make().await).await;
    }
}

/// A test that a journal has to pass.
#[derive(Clone, Copy)]
pub struct Check {
    /// A statement about journals.
    pub name: &'static str,
    run: fn(Arc<dyn Journal>) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Check {
    /// Runs it on an empty journal.
    ///
    /// # Panics
    ///
    /// If the journal fails it.
    pub async fn run(&self, journal: Arc<dyn Journal>) {
        (self.run)(journal).await;
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// Every check.
        pub fn checks() -> Vec<Check> {
            vec![$(Check {
                name: stringify!($name),
                run: |journal| Box::pin($name(journal)),
            }),*]
        }
    };
}

checks![
    a_free_lane_is_taken,
    a_held_lane_is_not_taken,
    a_lease_that_is_over_lapses,
    a_holder_takes_its_own_lane_again,
    a_lease_is_renewed_while_nobody_else_has_the_lane,
    a_lost_lease_is_not_renewed,
    a_lane_that_was_given_back_is_free,
    a_lost_lease_gives_nothing_back,
    epochs_never_repeat,
    lanes_are_leased_apart,
    a_new_record_is_written,
    a_record_is_changed_from_its_version,
    a_record_of_another_version_is_not_changed,
    a_record_that_was_removed_is_not_changed,
    a_lease_that_holds_lets_a_record_be_written,
    a_lease_that_does_not_hold_lets_nothing_be_written,
    everything_in_a_record_is_kept,
    a_name_belongs_to_one_intent,
    a_name_is_unique_within_its_scope,
    a_name_of_what_cannot_happen_is_free,
    a_name_that_was_taken_does_not_come_back,
    a_name_can_be_given_up,
    names_are_compared_exactly,
    unsettled_records_are_those_that_are_not_final,
    unsettled_records_keep_the_order_of_first_writing,
    untold_records_are_those_that_nobody_knows_of,
    untold_records_keep_the_order_of_first_writing,
    lanes_with_unsettled_records_are_told_once,
    the_highest_included_nonce_is_told_by_number,
    the_highest_included_nonce_follows_the_records,
    spent_records_are_pruned,
    the_highest_included_record_is_not_pruned,
    the_records_of_an_account_are_told_in_order,
    a_removed_record_is_gone,
    no_change_of_many_writers_is_lost,
    a_lane_is_taken_by_one_of_many,
    a_lane_that_changes_hands_has_one_epoch_for_each,
    a_name_is_given_to_one_of_many,
    a_new_record_is_written_by_one_of_many,
];

/// Fills in what does not matter, with something that nobody else has.
fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn id(number: u64) -> FixedBytes<16> {
    FixedBytes::left_padding_from(&number.to_be_bytes())
}

fn hash(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

fn address(number: u64) -> Address {
    Address::left_padding_from(&number.to_be_bytes())
}

fn process() -> ProcessId {
    ProcessId(id(fresh()))
}

fn lane() -> Lane {
    Lane {
        chain_id: 1,
        entry_point: address(2),
        account: address(fresh()),
        nonce_key: U192::from(4),
    }
}

fn block(number: u64) -> BlockRef {
    BlockRef {
        number,
        hash: hash(fresh()),
    }
}

fn moment() -> Moment {
    Moment {
        at: fresh(),
        process: process(),
        sequence: fresh(),
    }
}

/// A record of which nothing was signed.
fn unsigned(lane: Lane) -> IntentRecord {
    IntentRecord {
        id: IntentId(id(fresh())),
        version: 0,
        lane,
        signer: address(9),
        name: None,
        request: hash(fresh()),
        grants_to: Vec::new(),
        asked: moment(),
        deadline: 0,
        given_up: None,
        told: false,
        told_to: None,
        operations: Vec::new(),
    }
}

/// A record with an operation that is on its way.
fn open(lane: Lane) -> IntentRecord {
    let mut record = unsigned(lane);
    record
        .operations
        .push(operation(&record, U256::from(fresh()), Handover::InPool));
    record
}

fn named(lane: Lane, name: &str) -> IntentRecord {
    IntentRecord {
        name: Some(name.to_owned()),
        ..open(lane)
    }
}

fn operation(record: &IntentRecord, nonce: U256, handover: Handover) -> OperationRecord {
    OperationRecord {
        signed: SignedOperation {
            operation: UserOperation {
                sender: record.lane.account,
                nonce,
                ..UserOperation::default()
            },
            hash: hash(fresh()),
        },
        made: block(7),
        doubt: None,
        handover,
        nonce_past: None,
        void: None,
        included: None,
    }
}

fn included(record: &IntentRecord, operation: usize, nonce: U256) -> Included {
    Included {
        receipt: Receipt {
            user_op_hash: record.operations[operation].signed.hash,
            sender: record.lane.account,
            nonce,
            paymaster: None,
            actual_gas_cost: U256::from(fresh()),
            actual_gas_used: U256::from(fresh()),
            transaction_hash: hash(fresh()),
            block_number: 8,
            block_hash: hash(fresh()),
            logs: Vec::new(),
        },
        success: true,
        reason: None,
        doubt: None,
        seen: block(9),
        is_final: false,
    }
}

/// Includes the record's only operation, at a nonce.
fn include(mut record: IntentRecord, nonce: U256, is_final: bool) -> IntentRecord {
    record.operations[0].signed.operation.nonce = nonce;
    record.operations[0].included = Some(Included {
        is_final,
        ..included(&record, 0, nonce)
    });
    record
}

/// Makes every operation of the record void.
fn end(mut record: IntentRecord) -> IntentRecord {
    for operation in &mut record.operations {
        operation.void = Some(Void {
            nonce: operation.nonce(),
            block: block(9),
            depth: VoidDepth::Finalized,
            used_by: None,
        });
    }
    record
}

fn given_up(record: IntentRecord) -> IntentRecord {
    IntentRecord {
        given_up: Some(moment()),
        ..record
    }
}

fn told(record: IntentRecord) -> IntentRecord {
    IntentRecord { told: true, ..record }
}

async fn take(journal: &dyn Journal, lane: &Lane, holder: ProcessId, now: u64, until: u64) -> Lease {
    match journal.acquire(lane, holder, now, until).await.unwrap() {
        Acquired::Lease { lease, .. } => lease,
        held => panic!("the lane should be free at {now}: {held:?}"),
    }
}

async fn put(journal: &dyn Journal, record: IntentRecord) -> IntentRecord {
    journal.put(record, None).await.unwrap()
}

/// That a record is in the journal just so.
async fn assert_kept(journal: &dyn Journal, record: &IntentRecord) {
    assert_eq!(journal.intent(record.id).await.unwrap().as_ref(), Some(record));
}

async fn a_free_lane_is_taken(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let acquired = journal.acquire(&lane, holder, 100, 200).await.unwrap();
    let Acquired::Lease { lease, lapsed } = acquired else {
        panic!("nobody has the lane: {acquired:?}");
    };
    assert_eq!((lease.lane, lease.holder, lease.until), (lane, holder, 200));
    assert_eq!(lapsed, None, "there was no lease before it");
}

async fn a_held_lane_is_not_taken(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let lease = take(&*journal, &lane, holder, 100, 200).await;
    let held = Acquired::Held { holder, until: 200 };
    for now in [0, 100, 199] {
        let answer = journal.acquire(&lane, process(), now, 300).await.unwrap();
        assert_eq!(answer, held, "the lane is held at {now}");
    }
    // Asking changed nothing.
    journal.put(open(lane), Some((&lease, 199))).await.unwrap();
    assert_eq!(journal.acquire(&lane, process(), 199, 300).await.unwrap(), held);
}

async fn a_lease_that_is_over_lapses(journal: Arc<dyn Journal>) {
    let lane = lane();
    let first = take(&*journal, &lane, process(), 100, 150).await;
    let first = journal.renew(&first, 200).await.unwrap();
    let second = process();
    let acquired = journal.acquire(&lane, second, 200, 300).await.unwrap();
    let Acquired::Lease { lease, lapsed } = acquired else {
        panic!("the lease was over: {acquired:?}");
    };
    assert_eq!((lease.lane, lease.holder, lease.until), (lane, second, 300));
    assert!(
        lease.epoch > first.epoch,
        "{} is not after {}",
        lease.epoch,
        first.epoch
    );
    assert_eq!(lapsed, Some(first), "the lease before it was not given back");
}

async fn a_holder_takes_its_own_lane_again(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let first = take(&*journal, &lane, holder, 100, 200).await;
    for now in [150, 300] {
        let acquired = journal.acquire(&lane, holder, now, 250).await.unwrap();
        let Acquired::Lease { lease, lapsed } = acquired else {
            panic!("the lane is the holder's already: {acquired:?}");
        };
        assert!(lease.epoch > first.epoch, "the next epoch begins");
        assert_eq!((lease.holder, lease.until), (holder, 250));
        assert_eq!(lapsed, None, "the lease before it was the holder's own");
    }
    let answer = journal.put(open(lane), Some((&first, 150))).await;
    assert_eq!(
        answer,
        Err(JournalError::LeaseLost),
        "the epoch before it is over"
    );
}

async fn a_lease_is_renewed_while_nobody_else_has_the_lane(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let lease = take(&*journal, &lane, holder, 100, 200).await;
    // Later, earlier, and after its end: nobody asks for the time.
    for until in [400, 300, u64::MAX, 500] {
        let renewed = journal.renew(&lease, until).await.unwrap();
        assert_eq!(
            renewed,
            Lease {
                until,
                ..lease.clone()
            }
        );
        let held = journal.acquire(&lane, process(), until - 1, until).await.unwrap();
        assert_eq!(held, Acquired::Held { holder, until });
    }
    let renewed = journal.renew(&lease, 10).await.unwrap();
    let answer = journal.put(open(lane), Some((&renewed, 10))).await;
    assert_eq!(answer, Err(JournalError::LeaseLost), "the lease is over at 10");
    journal.renew(&renewed, 1000).await.unwrap();
    journal.put(open(lane), Some((&renewed, 10))).await.unwrap();
}

async fn a_lost_lease_is_not_renewed(journal: Arc<dyn Journal>) {
    let lost = Err(JournalError::LeaseLost);
    let (lane, holder) = (lane(), process());
    let never = Lease {
        lane,
        holder,
        epoch: 1,
        until: 200,
    };
    assert_eq!(journal.renew(&never, 300).await, lost, "nobody had the lane");

    let first = take(&*journal, &lane, holder, 100, 200).await;
    let second = take(&*journal, &lane, process(), 200, 300).await;
    assert_eq!(
        journal.renew(&first, 400).await,
        lost,
        "another process has the lane"
    );
    let forged = Lease {
        holder,
        ..second.clone()
    };
    assert_eq!(
        journal.renew(&forged, 400).await,
        lost,
        "the epoch is another holder's"
    );
    let forged = Lease {
        epoch: first.epoch,
        ..second.clone()
    };
    assert_eq!(journal.renew(&forged, 400).await, lost, "the epoch is over");
    let held = journal.acquire(&lane, process(), 299, 400).await.unwrap();
    assert_eq!(
        held,
        Acquired::Held {
            holder: second.holder,
            until: 300
        },
        "nothing was renewed"
    );

    journal.release(&second).await.unwrap();
    assert_eq!(journal.renew(&second, 400).await, lost, "it was given back");
    take(&*journal, &lane, process(), 0, 100).await;
}

async fn a_lane_that_was_given_back_is_free(journal: Arc<dyn Journal>) {
    let lane = lane();
    let first = take(&*journal, &lane, process(), 100, 200).await;
    journal.release(&first).await.unwrap();
    let answer = journal.put(open(lane), Some((&first, 150))).await;
    assert_eq!(answer, Err(JournalError::LeaseLost), "it was given back");
    let acquired = journal.acquire(&lane, process(), 150, 300).await.unwrap();
    let Acquired::Lease { lease, lapsed } = acquired else {
        panic!("the lane was given back: {acquired:?}");
    };
    assert!(
        lease.epoch > first.epoch,
        "{} is not after {}",
        lease.epoch,
        first.epoch
    );
    assert_eq!(lapsed, None, "the lease before it was given back");
}

async fn a_lost_lease_gives_nothing_back(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let first = take(&*journal, &lane, holder, 100, 200).await;
    let second = take(&*journal, &lane, process(), 200, 300).await;
    let forged = Lease {
        holder,
        ..second.clone()
    };
    let never = Lease {
        lane: self::lane(),
        ..first.clone()
    };
    for lost in [&first, &forged, &never, &first] {
        journal.release(lost).await.unwrap();
        let held = journal.acquire(&lane, process(), 250, 400).await.unwrap();
        let expected = Acquired::Held {
            holder: second.holder,
            until: 300,
        };
        assert_eq!(held, expected, "{lost:?} is not the lane's lease");
    }
    journal.put(open(lane), Some((&second, 250))).await.unwrap();
}

async fn epochs_never_repeat(journal: Arc<dyn Journal>) {
    let (lane, holders) = (lane(), [process(), process()]);
    let mut last = None;
    for (turn, now) in (0..12).map(|turn| (turn, turn as u64 * 100)) {
        // Twice each, in turn; every third lease is given back, the others lapse.
        let lease = take(&*journal, &lane, holders[turn / 2 % 2], now, now + 100).await;
        assert!(
            last < Some(lease.epoch),
            "{:?} is not after {last:?}",
            lease.epoch
        );
        last = Some(lease.epoch);
        if turn % 3 == 0 {
            journal.release(&lease).await.unwrap();
        }
    }
}

async fn lanes_are_leased_apart(journal: Arc<dyn Journal>) {
    let lane = lane();
    let others = [
        lane,
        Lane { chain_id: 2, ..lane },
        Lane {
            chain_id: u64::MAX,
            ..lane
        },
        Lane {
            chain_id: u64::MAX - 1,
            ..lane
        },
        Lane {
            entry_point: address(3),
            ..lane
        },
        Lane {
            account: self::lane().account,
            ..lane
        },
        Lane {
            nonce_key: U192::ZERO,
            ..lane
        },
        Lane {
            nonce_key: U192::MAX,
            ..lane
        },
    ];
    let mut leases = Vec::new();
    for lane in &others {
        leases.push(take(&*journal, lane, process(), 100, u64::MAX).await);
    }
    journal.release(&leases[0]).await.unwrap();
    for lease in &leases[1..] {
        let held = journal
            .acquire(&lease.lane, process(), u64::MAX - 1, u64::MAX)
            .await
            .unwrap();
        let expected = Acquired::Held {
            holder: lease.holder,
            until: u64::MAX,
        };
        assert_eq!(held, expected, "{} is still held", lease.lane);
    }
}

async fn a_new_record_is_written(journal: Arc<dyn Journal>) {
    let record = open(lane());
    assert_eq!(journal.intent(record.id).await.unwrap(), None);
    let written = put(&*journal, record.clone()).await;
    assert!(written.version > 0, "a record that was written has a version");
    let expected = IntentRecord {
        version: written.version,
        ..record
    };
    assert_eq!(written, expected, "nothing else of it changes");
    assert_kept(&*journal, &written).await;
}

async fn a_record_is_changed_from_its_version(journal: Arc<dyn Journal>) {
    let mut record = put(&*journal, named(lane(), "before")).await;
    for change in 0..4 {
        let before = record.version;
        // All of it can change.
        let mut next = named(lane(), &format!("change {change}"));
        next.signer = address(fresh());
        next.grants_to = vec![address(fresh())];
        next.operations
            .push(operation(&next, U256::from(1), Handover::Written));
        (next.id, next.version) = (record.id, record.version);
        record = put(&*journal, next.clone()).await;
        assert!(
            record.version > before,
            "{} is not after {before}",
            record.version
        );
        assert_eq!(
            record,
            IntentRecord {
                version: record.version,
                ..next
            }
        );
        assert_kept(&*journal, &record).await;
    }
    record.operations.clear();
    let record = put(&*journal, record).await;
    assert_kept(&*journal, &record).await;
}

async fn a_record_of_another_version_is_not_changed(journal: Arc<dyn Journal>) {
    let old = put(&*journal, open(lane())).await;
    let conflict = Err(JournalError::Conflict { id: old.id });
    let new = put(&*journal, told(old.clone())).await;
    for version in [0, old.version, new.version + 1, u64::MAX] {
        let stale = IntentRecord {
            version,
            deadline: 77,
            ..old.clone()
        };
        assert_eq!(
            journal.put(stale, None).await,
            conflict,
            "the version is {} and not {version}",
            new.version
        );
        assert_kept(&*journal, &new).await;
    }
    let unknown = IntentRecord {
        version: 1,
        ..open(lane())
    };
    let conflict = Err(JournalError::Conflict { id: unknown.id });
    assert_eq!(
        journal.put(unknown.clone(), None).await,
        conflict,
        "there is no record to change"
    );
    assert_eq!(journal.intent(unknown.id).await.unwrap(), None);
}

async fn a_record_that_was_removed_is_not_changed(journal: Arc<dyn Journal>) {
    let record = put(&*journal, open(lane())).await;
    journal.remove(record.id).await.unwrap();
    let conflict = Err(JournalError::Conflict { id: record.id });
    assert_eq!(
        journal.put(record.clone(), None).await,
        conflict,
        "there is no record to change"
    );
    let written = put(&*journal, IntentRecord { version: 0, ..record }).await;
    assert_kept(&*journal, &written).await;
}

async fn a_lease_that_holds_lets_a_record_be_written(journal: Arc<dyn Journal>) {
    let lane = lane();
    let lease = take(&*journal, &lane, process(), 100, 200).await;
    let record = journal.put(open(lane), Some((&lease, 199))).await.unwrap();
    let record = journal.put(told(record), Some((&lease, 0))).await.unwrap();
    // The end in the store counts, not the one that the caller remembers.
    journal.renew(&lease, 300).await.unwrap();
    let record = journal.put(record, Some((&lease, 299))).await.unwrap();
    assert_kept(&*journal, &record).await;
}

async fn a_lease_that_does_not_hold_lets_nothing_be_written(journal: Arc<dyn Journal>) {
    let lane = lane();
    let lapsed = take(&*journal, &lane, process(), 100, 200).await;
    let lease = take(&*journal, &lane, process(), 200, 300).await;
    let other = self::lane();
    let given_back = take(&*journal, &other, process(), 100, 200).await;
    journal.release(&given_back).await.unwrap();
    let refused = [
        ("over", lease.clone(), 300),
        ("long over", lease.clone(), u64::MAX),
        (
            "longer only for the caller",
            Lease {
                until: 400,
                ..lease.clone()
            },
            300,
        ),
        ("another process's now", lapsed.clone(), 250),
        ("another process's now, and was over", lapsed.clone(), 150),
        (
            "another holder's",
            Lease {
                holder: process(),
                ..lease.clone()
            },
            250,
        ),
        (
            "of an epoch before",
            Lease {
                epoch: lapsed.epoch,
                ..lease.clone()
            },
            250,
        ),
        (
            "of an epoch to come",
            Lease {
                epoch: lease.epoch + 1,
                ..lease.clone()
            },
            250,
        ),
        (
            "on a lane that nobody has",
            Lease {
                lane: self::lane(),
                ..lease.clone()
            },
            250,
        ),
        ("given back", given_back, 150),
    ];
    let kept = put(&*journal, open(lane)).await;
    for (why, lease, now) in &refused {
        let record = open(lane);
        let answer = journal.put(record.clone(), Some((lease, *now))).await;
        assert_eq!(answer, Err(JournalError::LeaseLost), "the lease is {why}");
        assert_eq!(
            journal.intent(record.id).await.unwrap(),
            None,
            "the lease is {why}"
        );
        let answer = journal.put(told(kept.clone()), Some((lease, *now))).await;
        assert_eq!(answer, Err(JournalError::LeaseLost), "the lease is {why}");
        assert_kept(&*journal, &kept).await;
    }
    // The lease does not concern who writes without one.
    put(&*journal, told(kept)).await;
}

async fn everything_in_a_record_is_kept(journal: Arc<dyn Journal>) {
    for name in [
        "",
        "a",
        " a ",
        "ä 名 \u{1f511}",
        "a\0b",
        "'; DROP TABLE intents; --",
        &"long ".repeat(5000),
    ] {
        let lane = Lane {
            chain_id: u64::MAX,
            entry_point: Address::repeat_byte(0xAB),
            account: Address::repeat_byte(0xCD),
            nonce_key: U192::MAX,
        };
        let mut record = unsigned(lane);
        record.signer = Address::repeat_byte(0xEF);
        record.name = Some(name.to_owned());
        record.request = B256::repeat_byte(0xFE);
        record.grants_to = vec![Address::ZERO, Address::repeat_byte(0xFF), Address::ZERO];
        record.asked.at = u64::MAX;
        record.asked.sequence = i64::MAX as u64 + 1;
        record.deadline = i64::MAX as u64;
        record.given_up = Some(moment());
        record.told = true;
        record.told_to = Some(IntentId(id(fresh())));
        for handover in handovers() {
            record
                .operations
                .push(operation(&record, U256::MAX - U256::from(fresh()), handover));
        }
        record = end(record);
        let operation = &mut record.operations[0];
        operation.signed.operation = UserOperation {
            sender: lane.account,
            nonce: U256::MAX,
            init_code: vec![1; 100].into(),
            call_data: vec![2; 10_000].into(),
            call_gas_limit: U256::MAX,
            verification_gas_limit: U256::from(1),
            pre_verification_gas: U256::from(2),
            max_fee_per_gas: U256::from(u64::MAX),
            max_priority_fee_per_gas: U256::from(u128::MAX),
            paymaster_and_data: vec![3; 52].into(),
            signature: vec![4; 66].into(),
        };
        operation.made.number = u64::MAX;
        operation.nonce_past = Some(block(u64::MAX));
        if let Some(void) = &mut operation.void {
            void.depth = VoidDepth::Blocks(u64::MAX);
            void.used_by = Some(hash(fresh()));
        }
        let included = included(&record, 0, U256::MAX);
        record.operations[0].included = Some(Included {
            success: false,
            reason: Some(Revert::Error("no".to_owned())),
            ..included
        });
        let record = put(&*journal, record).await;
        assert_kept(&*journal, &record).await;
        let found = journal.named(&record.scope(), name).await.unwrap();
        assert_eq!(found.as_ref(), Some(&record));
        let intents = journal.intents(u64::MAX, lane.account).await.unwrap();
        assert_eq!(intents.last(), Some(&record));
    }
}

/// An operation on its way in each state, and with each reason not to be taken.
fn handovers() -> Vec<Handover> {
    let reasons = [
        NotTakenReason::Refused(Refusal {
            code: None,
            reason: "said".to_owned(),
            cause: Some(Revert::Panic(U256::from(0x11))),
        }),
        NotTakenReason::WouldRevert {
            revert: Revert::Unknown(vec![1, 2, 3].into()),
        },
        NotTakenReason::FeeTooLow {
            least: Some(U256::MAX),
        },
        NotTakenReason::PreVerificationGasTooLow { least: None },
        NotTakenReason::ReplacementUnderpriced,
        NotTakenReason::Funds,
        NotTakenReason::Reputation,
        NotTakenReason::NonceAhead,
        NotTakenReason::TurnedAway { status: 403 },
        NotTakenReason::RateLimited {
            retry_after: Some(u64::MAX),
        },
        NotTakenReason::Other,
    ];
    let not_taken = reasons.map(|reason| {
        Handover::NotTaken(NotTaken {
            by: "bundler".to_owned(),
            code: Some(-32_500),
            message: "words".to_owned(),
            reason,
        })
    });
    [
        Handover::Written,
        Handover::NeverLeft,
        Handover::NoAnswer,
        Handover::InPool,
    ]
    .into_iter()
    .chain(not_taken)
    .collect()
}

async fn a_name_belongs_to_one_intent(journal: Arc<dyn Journal>) {
    let lane = lane();
    let first = put(&*journal, named(lane, "rent")).await;
    assert_eq!(
        journal.named(&first.scope(), "rent").await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(journal.named(&first.scope(), "tax").await.unwrap(), None);
    let taken = Err(JournalError::NameTaken {
        name: "rent".to_owned(),
        holder: first.id,
    });

    let second = named(lane, "rent");
    assert_eq!(journal.put(second.clone(), None).await, taken);
    assert_eq!(
        journal.intent(second.id).await.unwrap(),
        None,
        "it was not written"
    );
    // Nor does another intent change to it.
    let third = put(&*journal, named(lane, "tax")).await;
    let renamed = IntentRecord {
        name: first.name.clone(),
        ..third.clone()
    };
    assert_eq!(journal.put(renamed, None).await, taken);
    assert_kept(&*journal, &third).await;
    // The one that has it keeps it, included and final as well.
    let first = put(&*journal, told(first)).await;
    let first = put(&*journal, include(first, U256::from(1), true)).await;
    assert_eq!(
        journal.named(&first.scope(), "rent").await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(
        journal.put(second, None).await,
        taken,
        "what was included has its name still"
    );
}

async fn a_name_is_unique_within_its_scope(journal: Arc<dyn Journal>) {
    let first = put(&*journal, named(lane(), "rent")).await;
    let lane = first.lane;
    // Lanes and EntryPoints do not tell names apart.
    for lane in [
        Lane {
            nonce_key: U192::MAX,
            ..lane
        },
        Lane {
            entry_point: address(fresh()),
            ..lane
        },
    ] {
        let taken = Err(JournalError::NameTaken {
            name: "rent".to_owned(),
            holder: first.id,
        });
        assert_eq!(journal.put(named(lane, "rent"), None).await, taken);
    }
    let chain = named(
        Lane {
            chain_id: lane.chain_id + 1,
            ..lane
        },
        "rent",
    );
    let account = named(
        Lane {
            account: address(fresh()),
            ..lane
        },
        "rent",
    );
    let signer = IntentRecord {
        signer: address(fresh()),
        ..named(lane, "rent")
    };
    for other in [chain, account, signer] {
        let other = put(&*journal, other).await;
        assert_eq!(journal.named(&other.scope(), "rent").await.unwrap(), Some(other));
    }
    assert_eq!(journal.named(&first.scope(), "rent").await.unwrap(), Some(first));
}

async fn a_name_of_what_cannot_happen_is_free(journal: Arc<dyn Journal>) {
    let lane = lane();
    let never_sent = IntentRecord {
        name: Some("rent".to_owned()),
        ..unsigned(lane)
    };
    let never_sent = put(&*journal, never_sent).await;
    let scope = never_sent.scope();
    assert_eq!(
        journal.named(&scope, "rent").await.unwrap(),
        None,
        "it holds no name"
    );
    let void = put(&*journal, named(lane, "rent")).await;
    let void = put(&*journal, end(void)).await;
    assert_eq!(
        journal.named(&scope, "rent").await.unwrap(),
        None,
        "it holds no name any more"
    );
    let holder = put(&*journal, named(lane, "rent")).await;
    assert_eq!(journal.named(&scope, "rent").await.unwrap(), Some(holder.clone()));
    // Those that do not hold it can be written on.
    for other in [never_sent, void] {
        let other = put(&*journal, told(other)).await;
        assert_kept(&*journal, &other).await;
        journal.remove(other.id).await.unwrap();
    }
    assert_eq!(journal.named(&scope, "rent").await.unwrap(), Some(holder));
}

async fn a_name_that_was_taken_does_not_come_back(journal: Arc<dyn Journal>) {
    let lane = lane();
    let open = put(&*journal, named(lane, "rent")).await;
    let void = put(&*journal, end(open.clone())).await;
    let holder = put(&*journal, named(lane, "rent")).await;
    let back = IntentRecord {
        version: void.version,
        ..open.clone()
    };
    let taken = JournalError::NameTaken {
        name: "rent".to_owned(),
        holder: holder.id,
    };
    assert_eq!(journal.put(back.clone(), None).await, Err(taken));
    assert_kept(&*journal, &void).await;
    put(&*journal, end(holder)).await;
    let back = put(&*journal, back).await;
    assert_eq!(journal.named(&back.scope(), "rent").await.unwrap(), Some(back));
}

async fn a_name_can_be_given_up(journal: Arc<dyn Journal>) {
    let lane = lane();
    let first = put(&*journal, named(lane, "rent")).await;
    let unnamed = put(&*journal, IntentRecord { name: None, ..first }).await;
    assert_eq!(journal.named(&unnamed.scope(), "rent").await.unwrap(), None);
    let second = put(&*journal, named(lane, "rent")).await;
    let renamed = put(
        &*journal,
        IntentRecord {
            name: Some("tax".to_owned()),
            ..second
        },
    )
    .await;
    assert_eq!(
        journal.named(&renamed.scope(), "tax").await.unwrap(),
        Some(renamed.clone())
    );
    let third = put(&*journal, named(lane, "rent")).await;
    journal.remove(third.id).await.unwrap();
    assert_eq!(journal.named(&third.scope(), "rent").await.unwrap(), None);
    put(&*journal, named(lane, "rent")).await;
}

async fn names_are_compared_exactly(journal: Arc<dyn Journal>) {
    let lane = lane();
    let names = [
        "rent", "Rent", "rent ", " rent", "rent\0", "rent\0a", "rent%", "r_nt", "", "é", "e\u{301}", "1",
        "1.0",
    ];
    let mut records = Vec::new();
    for name in names {
        records.push(put(&*journal, named(lane, name)).await);
    }
    for record in records {
        let name = record.name.clone().unwrap();
        assert_eq!(journal.named(&record.scope(), &name).await.unwrap(), Some(record));
    }
}

async fn unsettled_records_are_those_that_are_not_final(journal: Arc<dyn Journal>) {
    let lane = lane();
    assert_eq!(journal.unsettled(&lane).await.unwrap(), []);
    let one = U256::from(1);
    let on_its_way = put(&*journal, open(lane)).await;
    let included = put(&*journal, include(open(lane), one, false)).await;
    put(&*journal, include(open(lane), one, true)).await;
    put(&*journal, end(open(lane))).await;
    put(&*journal, unsigned(lane)).await;
    for other in [
        Lane {
            chain_id: lane.chain_id + 1,
            ..lane
        },
        Lane {
            entry_point: address(fresh()),
            ..lane
        },
        Lane {
            account: address(fresh()),
            ..lane
        },
        Lane {
            nonce_key: U192::MAX,
            ..lane
        },
    ] {
        put(&*journal, open(other)).await;
    }
    assert_eq!(
        journal.unsettled(&lane).await.unwrap(),
        [on_its_way.clone(), included.clone()]
    );
    let changed = put(&*journal, told(included)).await;
    assert_eq!(
        journal.unsettled(&lane).await.unwrap(),
        [on_its_way.clone(), changed.clone()]
    );
    put(&*journal, end(on_its_way)).await;
    assert_eq!(journal.unsettled(&lane).await.unwrap(), [changed]);
}

async fn unsettled_records_keep_the_order_of_first_writing(journal: Arc<dyn Journal>) {
    let lane = lane();
    // Neither identifiers nor times nor nonces are in that order.
    let mut records = Vec::new();
    for number in [5, 2, 9, 1, 7] {
        let mut record = open(lane);
        record.id = IntentId(id(1_000_000 + number));
        record.asked.at = number;
        record.operations[0].signed.operation.nonce = U256::from(number);
        records.push(put(&*journal, record).await);
    }
    for index in [3, 0, 2] {
        records[index] = put(&*journal, told(records[index].clone())).await;
    }
    assert_eq!(journal.unsettled(&lane).await.unwrap(), records);
    // One that was final for a while has its place again.
    let open = records[1].clone();
    let ended = put(&*journal, end(open.clone())).await;
    records[1] = put(
        &*journal,
        IntentRecord {
            version: ended.version,
            ..open
        },
    )
    .await;
    assert_eq!(journal.unsettled(&lane).await.unwrap(), records);
    // One that was removed and written again is the last.
    let removed = records.remove(0);
    journal.remove(removed.id).await.unwrap();
    records.push(
        put(
            &*journal,
            IntentRecord {
                version: 0,
                ..removed
            },
        )
        .await,
    );
    assert_eq!(journal.unsettled(&lane).await.unwrap(), records);
}

async fn untold_records_are_those_that_nobody_knows_of(journal: Arc<dyn Journal>) {
    let (lane, request) = (lane(), hash(fresh()));
    let one = U256::from(1);
    let equal = |record: IntentRecord| IntentRecord { request, ..record };
    let untold = put(&*journal, equal(given_up(include(open(lane), one, false)))).await;
    let final_too = put(&*journal, equal(given_up(include(open(lane), one, true)))).await;
    // Included, but its caller still waits, was told, or another one was; not included; another request.
    put(&*journal, equal(include(open(lane), one, false))).await;
    put(&*journal, equal(told(given_up(include(open(lane), one, false))))).await;
    let told_to = Some(IntentId(id(fresh())));
    put(
        &*journal,
        IntentRecord {
            told_to,
            ..equal(given_up(include(open(lane), one, false)))
        },
    )
    .await;
    put(&*journal, equal(given_up(open(lane)))).await;
    put(&*journal, equal(given_up(end(open(lane))))).await;
    put(&*journal, given_up(include(open(lane), one, false))).await;
    // Of other scopes.
    for other in [
        Lane {
            chain_id: lane.chain_id + 1,
            ..lane
        },
        Lane {
            account: address(fresh()),
            ..lane
        },
    ] {
        put(&*journal, equal(given_up(include(open(other), one, false)))).await;
    }
    let signer = address(fresh());
    put(
        &*journal,
        IntentRecord {
            signer,
            ..equal(given_up(include(open(lane), one, false)))
        },
    )
    .await;
    // Of another lane, but the same scope.
    let other = Lane {
        nonce_key: U192::MAX,
        ..lane
    };
    let elsewhere = put(&*journal, equal(given_up(include(open(other), one, false)))).await;

    let scope = untold.scope();
    let found = journal.untold(&scope, request).await.unwrap();
    assert_eq!(found, [untold.clone(), final_too.clone(), elsewhere.clone()]);
    assert_eq!(journal.untold(&scope, hash(fresh())).await.unwrap(), []);
    put(&*journal, told(untold)).await;
    assert_eq!(
        journal.untold(&scope, request).await.unwrap(),
        [final_too, elsewhere]
    );
}

async fn untold_records_keep_the_order_of_first_writing(journal: Arc<dyn Journal>) {
    let (lane, request) = (lane(), hash(fresh()));
    let mut records = Vec::new();
    for number in [5, 2, 9, 1, 7] {
        let mut record = given_up(open(lane));
        record.id = IntentId(id(2_000_000 + number));
        record.request = request;
        records.push(put(&*journal, record).await);
    }
    // They are found to be included in another order than they were written in.
    for index in [4, 1, 3, 0, 2] {
        let nonce = U256::from(10 - index);
        records[index] = put(&*journal, include(records[index].clone(), nonce, false)).await;
    }
    assert_eq!(
        journal.untold(&records[0].scope(), request).await.unwrap(),
        records
    );
}

async fn lanes_with_unsettled_records_are_told_once(journal: Arc<dyn Journal>) {
    assert_eq!(journal.unsettled_lanes(None).await.unwrap(), []);
    let lane = lane();
    let asked = Some((lane.chain_id, lane.account));
    let mine = [
        lane,
        Lane {
            nonce_key: U192::MAX,
            ..lane
        },
        Lane {
            entry_point: address(fresh()),
            ..lane
        },
    ];
    let others = [
        Lane {
            chain_id: lane.chain_id + 1,
            ..lane
        },
        Lane {
            account: address(fresh()),
            ..lane
        },
    ];
    let mut records = Vec::new();
    for lane in mine.iter().chain(&others) {
        records.push(put(&*journal, open(*lane)).await);
        records.push(put(&*journal, open(*lane)).await);
    }
    let settled = Lane {
        nonce_key: U192::from(5),
        ..lane
    };
    put(&*journal, end(open(settled))).await;
    put(&*journal, include(open(settled), U256::from(1), true)).await;
    put(&*journal, unsigned(settled)).await;

    let sorted = |mut lanes: Vec<Lane>| {
        lanes.sort_unstable();
        lanes
    };
    let found = sorted(journal.unsettled_lanes(asked).await.unwrap());
    assert_eq!(found, sorted(mine.to_vec()));
    let found = sorted(journal.unsettled_lanes(None).await.unwrap());
    assert_eq!(found, sorted([&mine[..], &others[..]].concat()));
    let nobody = Some((lane.chain_id, address(fresh())));
    assert_eq!(journal.unsettled_lanes(nobody).await.unwrap(), []);
    for record in records {
        put(&*journal, end(record)).await;
    }
    assert_eq!(journal.unsettled_lanes(None).await.unwrap(), []);
}

async fn the_highest_included_nonce_is_told_by_number(journal: Arc<dyn Journal>) {
    let lane = lane();
    assert_eq!(journal.highest_included(&lane).await.unwrap(), None);
    put(&*journal, open(lane)).await;
    put(&*journal, end(open(lane))).await;
    assert_eq!(journal.highest_included(&lane).await.unwrap(), None);
    // In an order that is not the one of text, and not the one of 64 bits either.
    let key = U192::from(1) << 191;
    let nonces = [
        U256::from(9),
        U256::from(10),
        U256::from(100),
        U256::from(u64::MAX),
        U256::from(i64::MAX),
        nonce(U192::from(1), 0),
        nonce(U192::from(1), 5),
        U256::MAX,
        nonce(key, 3),
        nonce(key, 0),
        nonce(key, u64::MAX),
    ];
    let mut highest: Option<IntentRecord> = None;
    for (index, nonce) in nonces.into_iter().enumerate() {
        let record = put(&*journal, include(open(lane), nonce, index % 2 == 0)).await;
        if highest
            .as_ref()
            .is_none_or(|highest| highest.operations[0].nonce() < nonce)
        {
            highest = Some(record);
        }
        assert_eq!(
            journal.highest_included(&lane).await.unwrap(),
            highest,
            "after {nonce}"
        );
    }
    let other = Lane {
        nonce_key: U192::MAX,
        ..lane
    };
    assert_eq!(
        journal.highest_included(&other).await.unwrap(),
        None,
        "lanes count for themselves"
    );
}

async fn the_highest_included_nonce_follows_the_records(journal: Arc<dyn Journal>) {
    let lane = lane();
    let low = put(&*journal, include(open(lane), U256::from(1), true)).await;
    let mut reverted = include(open(lane), U256::from(2), false);
    reverted.operations[0].included.as_mut().unwrap().success = false;
    let reverted = put(&*journal, reverted).await;
    assert_eq!(
        journal.highest_included(&lane).await.unwrap(),
        Some(reverted.clone()),
        "it used its nonce"
    );
    // One of several operations is included.
    let mut replaced = open(lane);
    replaced
        .operations
        .push(operation(&replaced, U256::from(3), Handover::InPool));
    replaced.operations[1].included = Some(included(&replaced, 1, U256::from(3)));
    let replaced = put(&*journal, replaced).await;
    assert_eq!(
        journal.highest_included(&lane).await.unwrap(),
        Some(replaced.clone())
    );
    // Two at one nonce, while nobody knows which one is the chain's.
    let twin = put(&*journal, include(open(lane), U256::from(3), false)).await;
    let answer = journal.highest_included(&lane).await.unwrap().unwrap();
    assert!([replaced.id, twin.id].contains(&answer.id), "{answer:?}");
    // The chain forgets them, one after the other.
    let mut gone = twin;
    gone.operations[0].included = None;
    put(&*journal, gone).await;
    assert_eq!(
        journal.highest_included(&lane).await.unwrap(),
        Some(replaced.clone())
    );
    let mut gone = replaced;
    gone.operations[1].included = None;
    put(&*journal, gone).await;
    assert_eq!(
        journal.highest_included(&lane).await.unwrap(),
        Some(reverted.clone())
    );
    journal.remove(reverted.id).await.unwrap();
    assert_eq!(journal.highest_included(&lane).await.unwrap(), Some(low));
}

async fn spent_records_are_pruned(journal: Arc<dyn Journal>) {
    let lane = lane();
    let told_to = Some(IntentId(id(fresh())));
    let name = |record: IntentRecord| IntentRecord {
        name: Some(fresh().to_string()),
        ..record
    };
    let at = |nonce: u64, is_final| include(open(lane), U256::from(nonce), is_final);
    let kept = [
        open(lane),
        given_up(open(lane)),
        told(at(1, false)),
        at(2, true),
        given_up(at(3, true)),
        end(open(lane)),
        unsigned(lane),
        name(told(at(4, true))),
        name(given_up(end(open(lane)))),
        name(given_up(unsigned(lane))),
        told(at(20, true)),
    ];
    let spent = [
        told(at(5, true)),
        told(given_up(at(6, true))),
        IntentRecord {
            told_to,
            ..given_up(at(7, true))
        },
        given_up(end(open(lane))),
        told(end(open(lane))),
        given_up(unsigned(lane)),
        told(unsigned(lane)),
    ];
    let others = [
        Lane {
            chain_id: lane.chain_id + 1,
            ..lane
        },
        Lane {
            entry_point: address(fresh()),
            ..lane
        },
        Lane {
            account: address(fresh()),
            ..lane
        },
        Lane {
            nonce_key: U192::MAX,
            ..lane
        },
    ]
    .map(|lane| told(end(open(lane))));
    let mut remaining = BTreeMap::new();
    for record in kept.into_iter().chain(others) {
        let record = put(&*journal, record).await;
        remaining.insert(record.id, record);
    }
    let mut gone = Vec::new();
    for record in spent {
        assert!(record.is_spent(), "{record:?}");
        gone.push(put(&*journal, record).await);
    }
    // A second time there is nothing left to remove.
    for _ in 0..2 {
        journal.prune(&lane).await.unwrap();
        for record in remaining.values() {
            assert_kept(&*journal, record).await;
        }
        for record in &gone {
            assert_eq!(
                journal.intent(record.id).await.unwrap(),
                None,
                "it is spent: {record:?}"
            );
        }
    }
    journal.prune(&self::lane()).await.unwrap();
}

async fn the_highest_included_record_is_not_pruned(journal: Arc<dyn Journal>) {
    let lane = lane();
    let mut records = Vec::new();
    for nonce in [9, 10, 8] {
        records.push(put(&*journal, told(include(open(lane), U256::from(nonce), true))).await);
    }
    journal.prune(&lane).await.unwrap();
    let highest = Some(records[1].clone());
    assert_eq!(journal.highest_included(&lane).await.unwrap(), highest);
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        [records[1].clone()]
    );
    // It goes once there is a higher one.
    let higher = put(&*journal, told(include(open(lane), U256::from(11), true))).await;
    journal.prune(&lane).await.unwrap();
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        [higher]
    );
}

async fn the_records_of_an_account_are_told_in_order(journal: Arc<dyn Journal>) {
    let lane = lane();
    let other = Lane {
        nonce_key: U192::MAX,
        ..lane
    };
    put(
        &*journal,
        open(Lane {
            chain_id: lane.chain_id + 1,
            ..lane
        }),
    )
    .await;
    put(
        &*journal,
        open(Lane {
            account: address(fresh()),
            ..lane
        }),
    )
    .await;
    let mut records = Vec::new();
    for record in [
        IntentRecord {
            id: IntentId(id(3_000_009)),
            ..open(lane)
        },
        IntentRecord {
            id: IntentId(id(3_000_001)),
            ..include(open(other), U256::from(1), true)
        },
        IntentRecord {
            id: IntentId(id(3_000_005)),
            ..end(open(lane))
        },
        IntentRecord {
            id: IntentId(id(3_000_002)),
            ..unsigned(lane)
        },
    ] {
        records.push(put(&*journal, record).await);
    }
    records[0] = put(&*journal, told(records[0].clone())).await;
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        records
    );
    assert_eq!(
        journal.intents(lane.chain_id, address(fresh())).await.unwrap(),
        []
    );
}

async fn a_removed_record_is_gone(journal: Arc<dyn Journal>) {
    let lane = lane();
    let other = put(&*journal, open(lane)).await;
    let record = given_up(include(named(lane, "rent"), U256::from(1), false));
    let record = put(&*journal, record).await;
    journal.remove(record.id).await.unwrap();
    assert_eq!(journal.intent(record.id).await.unwrap(), None);
    assert_eq!(journal.named(&record.scope(), "rent").await.unwrap(), None);
    assert_eq!(journal.unsettled(&lane).await.unwrap(), [other.clone()]);
    assert_eq!(journal.untold(&record.scope(), record.request).await.unwrap(), []);
    assert_eq!(journal.highest_included(&lane).await.unwrap(), None);
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        [other.clone()]
    );
    // Nobody minds if there is none.
    journal.remove(record.id).await.unwrap();
    journal.remove(other.id).await.unwrap();
    assert_eq!(journal.unsettled_lanes(None).await.unwrap(), []);
}

const TASKS: u64 = 16;

/// Runs the same on many tasks at once.
async fn race<T, F>(task: impl Fn(u64) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..TASKS).map(|number| tokio::spawn(task(number))).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

async fn no_change_of_many_writers_is_lost(journal: Arc<dyn Journal>) {
    const CHANGES: u64 = 8;

    let record = put(&*journal, open(lane())).await;
    let id = record.id;
    race(|number| {
        let journal = journal.clone();
        async move {
            for change in 0..CHANGES {
                loop {
                    let mut record = journal.intent(id).await.unwrap().unwrap();
                    record.deadline += 1;
                    record.grants_to.push(address(number * CHANGES + change));
                    // Somebody else may read what this one has read.
                    tokio::task::yield_now().await;
                    match journal.put(record, None).await {
                        Ok(_) => break,
                        Err(JournalError::Conflict { id: stale }) => assert_eq!(stale, id),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    })
    .await;
    let record = journal.intent(id).await.unwrap().unwrap();
    assert_eq!(record.deadline, TASKS * CHANGES);
    let changes: BTreeSet<Address> = record.grants_to.iter().copied().collect();
    assert_eq!(changes, (0..TASKS * CHANGES).map(address).collect());
}

async fn a_lane_is_taken_by_one_of_many(journal: Arc<dyn Journal>) {
    let lane = lane();
    let answers = race(|_| {
        let journal = journal.clone();
        async move { journal.acquire(&lane, process(), 100, 200).await.unwrap() }
    })
    .await;
    let leases: Vec<&Lease> = answers
        .iter()
        .filter_map(|answer| match answer {
            Acquired::Lease { lease, .. } => Some(lease),
            Acquired::Held { .. } => None,
        })
        .collect();
    let [lease] = leases[..] else {
        panic!("several hold the lane: {leases:?}");
    };
    let held = Acquired::Held {
        holder: lease.holder,
        until: 200,
    };
    assert_eq!(
        answers.iter().filter(|answer| **answer == held).count(),
        answers.len() - 1
    );
}

async fn a_lane_that_changes_hands_has_one_epoch_for_each(journal: Arc<dyn Journal>) {
    let lane = lane();
    // Each finds the lease before its own over.
    let leases = race(|_| {
        let journal = journal.clone();
        async move { take(&*journal, &lane, process(), 100, 100).await }
    })
    .await;
    let epochs: BTreeSet<u64> = leases.iter().map(|lease| lease.epoch).collect();
    assert_eq!(epochs.len(), leases.len(), "{leases:?}");
}

async fn a_name_is_given_to_one_of_many(journal: Arc<dyn Journal>) {
    let lane = lane();
    let answers = race(|_| {
        let journal = journal.clone();
        async move { journal.put(named(lane, "rent"), None).await }
    })
    .await;
    let (written, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let [Ok(holder)] = &written[..] else {
        panic!("several have the name: {written:?}");
    };
    let taken = Err(JournalError::NameTaken {
        name: "rent".to_owned(),
        holder: holder.id,
    });
    assert!(refused.iter().all(|answer| *answer == taken), "{refused:?}");
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        [holder.clone()]
    );
}

async fn a_new_record_is_written_by_one_of_many(journal: Arc<dyn Journal>) {
    let record = open(lane());
    let answers = race(|number| {
        let journal = journal.clone();
        let record = IntentRecord {
            deadline: number,
            ..record.clone()
        };
        async move { journal.put(record, None).await }
    })
    .await;
    let (written, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let [Ok(written)] = &written[..] else {
        panic!("several wrote it as new: {written:?}");
    };
    let conflict = Err(JournalError::Conflict { id: record.id });
    assert!(refused.iter().all(|answer| *answer == conflict), "{refused:?}");
    assert_kept(&*journal, written).await;
}
