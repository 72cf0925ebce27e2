//! Which records are asked for, in which order, and which may go.

use super::*;
use std::slice;

pub(super) async fn unsettled_records_are_those_that_are_not_final(journal: Arc<dyn Journal>) {
    let lane = lane();
    assert_eq!(journal.unsettled(&lane).await.unwrap(), []);
    let one = U256::from(1);
    let on_its_way = put(&*journal, open(lane)).await;
    let included = put(&*journal, include(open(lane), one, false)).await;
    put(&*journal, told(include(open(lane), one, true))).await;
    put(&*journal, end(open(lane))).await;
    put(&*journal, unsigned(lane)).await;
    for other in [
        on_chain(lane, lane.chain_id + 1),
        at_entry_point(lane, address(fresh())),
        of_account(lane, address(fresh())),
        with_nonce_key(lane, U192::MAX),
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

pub(super) async fn unsettled_records_keep_the_order_of_first_writing(journal: Arc<dyn Journal>) {
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
    records[1] = put(&*journal, at_version(open, ended.version)).await;
    assert_eq!(journal.unsettled(&lane).await.unwrap(), records);
    // One that was removed and written again is the last.
    let removed = records.remove(0);
    journal.remove(removed.id).await.unwrap();
    records.push(put(&*journal, at_version(removed, 0)).await);
    assert_eq!(journal.unsettled(&lane).await.unwrap(), records);
}

pub(super) async fn untold_records_are_those_that_nobody_knows_of(journal: Arc<dyn Journal>) {
    let (lane, request) = (lane(), hash(fresh()));
    let one = U256::from(1);
    let equal = |record: IntentRecord| IntentRecord { request, ..record };
    let untold = put(&*journal, equal(given_up(include(open(lane), one, false)))).await;
    let final_too = put(&*journal, equal(given_up(include(open(lane), one, true)))).await;
    // Included, but its caller still waits, was told, or another one was; not included; another request.
    put(&*journal, equal(include(open(lane), one, false))).await;
    put(&*journal, equal(told(given_up(include(open(lane), one, false))))).await;
    put(
        &*journal,
        told_another(equal(given_up(include(open(lane), one, false)))),
    )
    .await;
    put(&*journal, equal(given_up(open(lane)))).await;
    put(&*journal, equal(given_up(end(open(lane))))).await;
    put(&*journal, given_up(include(open(lane), one, false))).await;
    // Of other scopes.
    for other in [
        on_chain(lane, lane.chain_id + 1),
        of_account(lane, address(fresh())),
    ] {
        put(&*journal, equal(given_up(include(open(other), one, false)))).await;
    }
    let signer = address(fresh());
    put(
        &*journal,
        signed_by(equal(given_up(include(open(lane), one, false))), signer),
    )
    .await;
    // Of another lane, but the same scope.
    let other = with_nonce_key(lane, U192::MAX);
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

pub(super) async fn untold_records_keep_the_order_of_first_writing(journal: Arc<dyn Journal>) {
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

pub(super) async fn lanes_with_unsettled_records_are_told_once(journal: Arc<dyn Journal>) {
    assert_eq!(journal.unsettled_lanes(None).await.unwrap(), []);
    let lane = lane();
    let asked = Some((lane.chain_id, lane.account));
    let mine = [
        lane,
        with_nonce_key(lane, U192::MAX),
        at_entry_point(lane, address(fresh())),
    ];
    let others = [
        on_chain(lane, lane.chain_id + 1),
        of_account(lane, address(fresh())),
    ];
    let mut records = Vec::new();
    for lane in mine.iter().chain(&others) {
        records.push(put(&*journal, open(*lane)).await);
        records.push(put(&*journal, open(*lane)).await);
    }
    let settled = with_nonce_key(lane, U192::from(5));
    put(&*journal, end(open(settled))).await;
    put(&*journal, told(include(open(settled), U256::from(1), true))).await;
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

pub(super) async fn the_highest_included_nonce_is_told_by_number(journal: Arc<dyn Journal>) {
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
    let other = with_nonce_key(lane, U192::MAX);
    assert_eq!(
        journal.highest_included(&other).await.unwrap(),
        None,
        "lanes count for themselves"
    );
}

pub(super) async fn the_highest_included_nonce_follows_the_records(journal: Arc<dyn Journal>) {
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

pub(super) async fn spent_records_are_pruned(journal: Arc<dyn Journal>) {
    let lane = lane();
    let name = |record: IntentRecord| with_name(record, &fresh().to_string());
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
        told_another(given_up(at(7, true))),
        given_up(end(open(lane))),
        told(end(open(lane))),
        given_up(unsigned(lane)),
        told(unsigned(lane)),
    ];
    let others = [
        on_chain(lane, lane.chain_id + 1),
        at_entry_point(lane, address(fresh())),
        of_account(lane, address(fresh())),
        with_nonce_key(lane, U192::MAX),
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

pub(super) async fn the_highest_included_record_is_not_pruned(journal: Arc<dyn Journal>) {
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

pub(super) async fn the_records_of_an_account_are_told_in_order(journal: Arc<dyn Journal>) {
    let lane = lane();
    let other = with_nonce_key(lane, U192::MAX);
    put(&*journal, open(on_chain(lane, lane.chain_id + 1))).await;
    put(&*journal, open(of_account(lane, address(fresh())))).await;
    let mut records = Vec::new();
    for record in [
        with_id(open(lane), 3_000_009),
        with_id(include(open(other), U256::from(1), true), 3_000_001),
        with_id(end(open(lane)), 3_000_005),
        with_id(unsigned(lane), 3_000_002),
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

pub(super) async fn a_removed_record_is_gone(journal: Arc<dyn Journal>) {
    let lane = lane();
    let other = put(&*journal, open(lane)).await;
    let record = given_up(include(named(lane, "rent"), U256::from(1), false));
    let record = put(&*journal, record).await;
    journal.remove(record.id).await.unwrap();
    assert_eq!(journal.intent(record.id).await.unwrap(), None);
    assert_eq!(journal.named(&record.scope(), "rent").await.unwrap(), None);
    assert_eq!(journal.unsettled(&lane).await.unwrap(), slice::from_ref(&other));
    assert_eq!(journal.untold(&record.scope(), record.request).await.unwrap(), []);
    assert_eq!(journal.highest_included(&lane).await.unwrap(), None);
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        slice::from_ref(&other)
    );
    // Nobody minds if there is none.
    journal.remove(record.id).await.unwrap();
    journal.remove(other.id).await.unwrap();
    assert_eq!(journal.unsettled_lanes(None).await.unwrap(), []);
}
