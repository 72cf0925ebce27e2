//! Many writers at once.

use super::*;
use std::slice;

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

pub(super) async fn no_change_of_many_writers_is_lost(journal: Arc<dyn Journal>) {
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

pub(super) async fn a_lane_is_taken_by_one_of_many(journal: Arc<dyn Journal>) {
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
    let held = held_by(lease.holder, 200);
    assert_eq!(
        answers.iter().filter(|answer| **answer == held).count(),
        answers.len() - 1
    );
}

pub(super) async fn a_lane_that_changes_hands_has_one_epoch_for_each(journal: Arc<dyn Journal>) {
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

pub(super) async fn a_name_is_given_to_one_of_many(journal: Arc<dyn Journal>) {
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
    let taken = Err(name_taken("rent", holder));
    assert!(refused.iter().all(|answer| *answer == taken), "{refused:?}");
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap(),
        slice::from_ref(holder)
    );
}

pub(super) async fn a_new_record_is_written_by_one_of_many(journal: Arc<dyn Journal>) {
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
