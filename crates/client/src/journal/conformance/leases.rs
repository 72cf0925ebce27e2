//! Who may sign for a lane, and until when.

use super::*;

pub(super) async fn a_free_lane_is_taken(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let acquired = journal.acquire(&lane, holder, 100, 200).await.unwrap();
    let Acquired::Lease { lease, lapsed } = acquired else {
        panic!("nobody has the lane: {acquired:?}");
    };
    assert_eq!((lease.lane, lease.holder, lease.until), (lane, holder, 200));
    assert_eq!(lapsed, None, "there was no lease before it");
}

pub(super) async fn a_held_lane_is_not_taken(journal: Arc<dyn Journal>) {
    let (lane, holder) = (lane(), process());
    let lease = take(&*journal, &lane, holder, 100, 200).await;
    let held = held_by(holder, 200);
    for now in [0, 100, 199] {
        let answer = journal.acquire(&lane, process(), now, 300).await.unwrap();
        assert_eq!(answer, held, "the lane is held at {now}");
    }
    // Asking changed nothing.
    journal.put(open(lane), Some((&lease, 199))).await.unwrap();
    assert_eq!(journal.acquire(&lane, process(), 199, 300).await.unwrap(), held);
}

pub(super) async fn a_lease_that_is_over_lapses(journal: Arc<dyn Journal>) {
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

pub(super) async fn a_holder_takes_its_own_lane_again(journal: Arc<dyn Journal>) {
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

pub(super) async fn a_lease_is_renewed_while_nobody_else_has_the_lane(journal: Arc<dyn Journal>) {
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
        assert_eq!(held, held_by(holder, until));
    }
    let renewed = journal.renew(&lease, 10).await.unwrap();
    let answer = journal.put(open(lane), Some((&renewed, 10))).await;
    assert_eq!(answer, Err(JournalError::LeaseLost), "the lease is over at 10");
    journal.renew(&renewed, 1000).await.unwrap();
    journal.put(open(lane), Some((&renewed, 10))).await.unwrap();
}

pub(super) async fn a_lost_lease_is_not_renewed(journal: Arc<dyn Journal>) {
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
    assert_eq!(held, held_by(second.holder, 300), "nothing was renewed");

    journal.release(&second).await.unwrap();
    assert_eq!(journal.renew(&second, 400).await, lost, "it was given back");
    take(&*journal, &lane, process(), 0, 100).await;
}

pub(super) async fn a_lane_that_was_given_back_is_free(journal: Arc<dyn Journal>) {
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

pub(super) async fn a_lost_lease_gives_nothing_back(journal: Arc<dyn Journal>) {
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
        let expected = held_by(second.holder, 300);
        assert_eq!(held, expected, "{lost:?} is not the lane's lease");
    }
    journal.put(open(lane), Some((&second, 250))).await.unwrap();
}

pub(super) async fn epochs_never_repeat(journal: Arc<dyn Journal>) {
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

pub(super) async fn lanes_are_leased_apart(journal: Arc<dyn Journal>) {
    let lane = lane();
    let others = [
        lane,
        on_chain(lane, 2),
        on_chain(lane, u64::MAX),
        on_chain(lane, u64::MAX - 1),
        at_entry_point(lane, address(3)),
        of_account(lane, self::lane().account),
        with_nonce_key(lane, U192::ZERO),
        with_nonce_key(lane, U192::MAX),
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
        let expected = held_by(lease.holder, u64::MAX);
        assert_eq!(held, expected, "{} is still held", lease.lane);
    }
}
