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
//! They run on a runtime of tokio, which should have several threads: some of them let tasks race. A store
//! that several processes share has to be tested from several processes as well, and killed while it writes;
//! that is not done here.

mod chains;
mod leases;
mod lists;
mod names;
mod races;
mod records;

use super::{
    Acquired, BlockRef, Handover, IntentId, IntentRecord, Journal, JournalError, Lane, Lease, Moment,
    OperationRecord, ProcessId, VoidDepth,
};
use crate::{
    operation::{Included, NotTaken, NotTakenReason, Void},
    permissions::{SignedOperation, UserOperation, Verdict, nonce},
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

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A test that a journal has to pass.
#[derive(Clone, Copy)]
pub struct Check {
    /// A statement about journals.
    pub name: &'static str,
    run: fn(Arc<dyn Journal>) -> Running,
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
    ($($subject:ident::$name:ident),* $(,)?) => {
        /// Every check.
        pub fn checks() -> Vec<Check> {
            vec![$(Check {
                name: stringify!($name),
                run: |journal| Box::pin($subject::$name(journal)),
            }),*]
        }
    };
}

checks![
    leases::a_free_lane_is_taken,
    leases::a_held_lane_is_not_taken,
    leases::a_lease_that_is_over_lapses,
    leases::a_holder_takes_its_own_lane_again,
    leases::a_lease_is_renewed_while_nobody_else_has_the_lane,
    leases::a_lost_lease_is_not_renewed,
    leases::a_lane_that_was_given_back_is_free,
    leases::a_lost_lease_gives_nothing_back,
    leases::epochs_never_repeat,
    leases::lanes_are_leased_apart,
    records::a_new_record_is_written,
    records::a_record_is_changed_from_its_version,
    records::a_record_of_another_version_is_not_changed,
    records::a_record_that_was_removed_is_not_changed,
    records::a_lease_that_holds_lets_a_record_be_written,
    records::a_lease_that_does_not_hold_lets_nothing_be_written,
    records::several_records_are_written_in_their_order,
    records::several_records_are_written_all_or_none,
    records::records_that_are_written_together_find_each_other,
    records::everything_in_a_record_is_kept,
    names::a_name_belongs_to_one_intent,
    names::a_name_is_unique_within_its_scope,
    names::a_name_of_what_cannot_happen_is_free,
    names::a_name_that_was_taken_does_not_come_back,
    names::a_name_can_be_given_up,
    names::names_are_compared_exactly,
    lists::unsettled_records_are_those_that_are_not_final,
    lists::unsettled_records_keep_the_order_of_first_writing,
    lists::untold_records_are_those_that_nobody_knows_of,
    lists::untold_records_keep_the_order_of_first_writing,
    lists::lanes_with_unsettled_records_are_told_once,
    lists::the_highest_included_nonce_is_told_by_number,
    lists::the_highest_included_nonce_follows_the_records,
    lists::spent_records_are_pruned,
    lists::the_highest_included_record_is_not_pruned,
    lists::the_records_of_an_account_are_told_in_order,
    lists::a_removed_record_is_gone,
    chains::a_chain_is_bound_once,
    chains::an_unbound_chain_is_known_by_its_operations,
    races::no_change_of_many_writers_is_lost,
    races::a_lane_is_taken_by_one_of_many,
    races::a_lane_that_changes_hands_has_one_epoch_for_each,
    races::a_name_is_given_to_one_of_many,
    races::a_new_record_is_written_by_one_of_many,
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

const fn on_chain(lane: Lane, chain_id: u64) -> Lane {
    Lane { chain_id, ..lane }
}

const fn at_entry_point(lane: Lane, entry_point: Address) -> Lane {
    Lane { entry_point, ..lane }
}

const fn of_account(lane: Lane, account: Address) -> Lane {
    Lane { account, ..lane }
}

const fn with_nonce_key(lane: Lane, nonce_key: U192) -> Lane {
    Lane { nonce_key, ..lane }
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
    with_name(open(lane), name)
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
        nonce_gap: None,
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

fn at_version(record: IntentRecord, version: u64) -> IntentRecord {
    IntentRecord { version, ..record }
}

fn with_id(record: IntentRecord, number: u64) -> IntentRecord {
    let id = IntentId(id(number));
    IntentRecord { id, ..record }
}

fn with_name(record: IntentRecord, name: &str) -> IntentRecord {
    let name = Some(name.to_owned());
    IntentRecord { name, ..record }
}

fn signed_by(record: IntentRecord, signer: Address) -> IntentRecord {
    IntentRecord { signer, ..record }
}

/// Tells another intent, of a later caller, that this one happened.
fn told_another(record: IntentRecord) -> IntentRecord {
    let told_to = Some(IntentId(id(fresh())));
    IntentRecord { told_to, ..record }
}

fn name_taken(name: &str, holder: &IntentRecord) -> JournalError {
    let (name, holder) = (name.to_owned(), holder.id);
    JournalError::NameTaken { name, holder }
}

const fn held_by(holder: ProcessId, until: u64) -> Acquired {
    Acquired::Held { holder, until }
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
