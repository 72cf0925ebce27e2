//! What is written, and what is not.

use super::*;
use crate::{
    delegation::AuthorizationError,
    journal::{NonceGap, NoncePast},
    permissions::EntryPointVersion,
};
use alloy::eips::eip7702::{Authorization, SignedAuthorization};

pub(super) async fn a_new_record_is_written(journal: Arc<dyn Journal>) {
    let record = open(lane());
    assert_eq!(journal.intent(record.id).await.unwrap(), None);
    let written = put(&*journal, record.clone()).await;
    assert!(written.version > 0, "a record that was written has a version");
    let expected = at_version(record, written.version);
    assert_eq!(written, expected, "nothing else of it changes");
    assert_kept(&*journal, &written).await;
}

pub(super) async fn a_record_is_changed_from_its_version(journal: Arc<dyn Journal>) {
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
        assert_eq!(record, at_version(next, record.version));
        assert_kept(&*journal, &record).await;
    }
    record.operations.clear();
    let record = put(&*journal, record).await;
    assert_kept(&*journal, &record).await;
}

pub(super) async fn a_record_of_another_version_is_not_changed(journal: Arc<dyn Journal>) {
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
    let unknown = at_version(open(lane()), 1);
    let conflict = Err(JournalError::Conflict { id: unknown.id });
    assert_eq!(
        journal.put(unknown.clone(), None).await,
        conflict,
        "there is no record to change"
    );
    assert_eq!(journal.intent(unknown.id).await.unwrap(), None);
}

pub(super) async fn a_record_that_was_removed_is_not_changed(journal: Arc<dyn Journal>) {
    let record = put(&*journal, open(lane())).await;
    journal.remove(record.id).await.unwrap();
    let conflict = Err(JournalError::Conflict { id: record.id });
    assert_eq!(
        journal.put(record.clone(), None).await,
        conflict,
        "there is no record to change"
    );
    let written = put(&*journal, at_version(record, 0)).await;
    assert_kept(&*journal, &written).await;
}

pub(super) async fn a_lease_that_holds_lets_a_record_be_written(journal: Arc<dyn Journal>) {
    let lane = lane();
    let lease = take(&*journal, &lane, process(), 100, 200).await;
    let record = journal.put(open(lane), Some((&lease, 199))).await.unwrap();
    let record = journal.put(told(record), Some((&lease, 0))).await.unwrap();
    // The end in the store counts, not the one that the caller remembers.
    journal.renew(&lease, 300).await.unwrap();
    let record = journal.put(record, Some((&lease, 299))).await.unwrap();
    assert_kept(&*journal, &record).await;
}

pub(super) async fn a_lease_that_does_not_hold_lets_nothing_be_written(journal: Arc<dyn Journal>) {
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

pub(super) async fn several_records_are_written_in_their_order(journal: Arc<dyn Journal>) {
    let lane = lane();
    let lease = take(&*journal, &lane, process(), 100, 200).await;
    assert_eq!(
        journal.put_all(Vec::new(), Some((&lease, 150))).await,
        Ok(Vec::new())
    );
    let kept = put(&*journal, open(lane)).await;
    let [first, second] = [4_000_002, 4_000_001].map(|number| with_id(open(lane), number));
    let asked = vec![first, told(kept), second];
    let written = journal.put_all(asked.clone(), Some((&lease, 150))).await.unwrap();
    assert_eq!(written.len(), asked.len());
    for (written, asked) in written.iter().zip(asked) {
        assert!(
            written.version > asked.version,
            "{} is not after {}",
            written.version,
            asked.version
        );
        let version = written.version;
        assert_eq!(*written, at_version(asked, version));
        assert_kept(&*journal, written).await;
    }
    let [first, kept, second] = [0, 1, 2].map(|index| written[index].clone());
    assert_eq!(journal.unsettled(&lane).await.unwrap(), [kept, first, second]);
}

pub(super) async fn several_records_are_written_all_or_none(journal: Arc<dyn Journal>) {
    let lane = lane();
    let lease = take(&*journal, &lane, process(), 100, 200).await;
    let other = put(&*journal, named(lane, "tax")).await;
    let kept = put(&*journal, named(lane, "rent")).await;
    let before = [other.clone(), kept.clone()];
    // What comes before the one that fails: a new record, a change, and a name that becomes free.
    let others = || {
        let renamed = with_name(kept.clone(), "food");
        vec![open(lane), renamed, end(other.clone())]
    };
    let stale = at_version(open(lane), 7);
    let conflict = JournalError::Conflict { id: stale.id };
    let taken = name_taken("food", &kept);
    let refused = [
        (stale, 150, conflict),
        (named(lane, "food"), 150, taken),
        (open(lane), 200, JournalError::LeaseLost),
    ];
    for (record, now, error) in refused {
        for position in 0..=3 {
            if position < 2 && matches!(error, JournalError::NameTaken { .. }) {
                continue;
            }
            let mut records = others();
            records.insert(position, record.clone());
            let ids: Vec<IntentId> = records.iter().map(|record| record.id).collect();
            let answer = journal.put_all(records, Some((&lease, now))).await;
            assert_eq!(answer, Err(error.clone()), "at {position}");
            assert_eq!(
                journal.intents(lane.chain_id, lane.account).await.unwrap(),
                before
            );
            assert_eq!(journal.unsettled(&lane).await.unwrap(), before);
            for id in ids
                .iter()
                .filter(|id| !before.iter().any(|record| record.id == **id))
            {
                assert_eq!(journal.intent(*id).await.unwrap(), None, "it was not written");
            }
            for (name, holder) in [("rent", Some(&kept)), ("tax", Some(&other)), ("food", None)] {
                assert_eq!(
                    journal.named(&kept.scope(), name).await.unwrap().as_ref(),
                    holder,
                    "{name}"
                );
            }
        }
    }
    journal.put_all(others(), Some((&lease, 150))).await.unwrap();
    assert_eq!(
        journal.intents(lane.chain_id, lane.account).await.unwrap().len(),
        3
    );
}

pub(super) async fn records_that_are_written_together_find_each_other(journal: Arc<dyn Journal>) {
    let lane = lane();
    // The same record twice: the second does not have the version of the first.
    let record = put(&*journal, open(lane)).await;
    let conflict = Err(JournalError::Conflict { id: record.id });
    let twice = vec![told(record.clone()), record.clone()];
    assert_eq!(journal.put_all(twice, None).await, conflict);
    assert_kept(&*journal, &record).await;
    // A name that two of them want, and one that the first makes free for the second.
    let [first, second] = [named(lane, "rent"), named(lane, "rent")];
    let taken = name_taken("rent", &first);
    assert_eq!(
        journal.put_all(vec![first.clone(), second.clone()], None).await,
        Err(taken.clone())
    );
    assert_eq!(journal.named(&first.scope(), "rent").await.unwrap(), None);
    let first = put(&*journal, first).await;
    let together = vec![second.clone(), end(first.clone())];
    assert_eq!(
        journal.put_all(together, None).await,
        Err(taken),
        "it is free only after that"
    );
    let written = journal.put_all(vec![end(first), second], None).await.unwrap();
    let holder = journal.named(&written[0].scope(), "rent").await.unwrap();
    assert_eq!(holder.as_ref(), Some(&written[1]));
}

pub(super) async fn everything_in_a_record_is_kept(journal: Arc<dyn Journal>) {
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
            version: EntryPointVersion::V06,
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
            authorization: None,
        };
        operation.made.number = u64::MAX;
        operation.doubt = Some(Verdict::MayPass {
            violations: Vec::new(),
        });
        operation.nonce_past = Some(NoncePast {
            block: block(u64::MAX),
            used_by: Some(B256::repeat_byte(0xee)),
        });
        operation.nonce_gap = Some(NonceGap {
            next: U256::MAX,
            by: Some(B256::repeat_byte(0xef)),
            block: block(u64::MAX),
        });
        if let Some(void) = &mut operation.void {
            void.depth = VoidDepth::Blocks(u64::MAX);
            void.used_by = Some(hash(fresh()));
        }
        // An authorization whose r and s begin with zeros.
        let authorization = Authorization {
            chain_id: U256::from(u64::MAX),
            address: Address::repeat_byte(0xDE),
            nonce: u64::MAX - 1,
        };
        let authorization =
            SignedAuthorization::new_unchecked(authorization, 1, U256::from(1), U256::from(2));
        let operation = &mut record.operations[1].signed.operation;
        operation.version = EntryPointVersion::V07;
        operation.authorization = Some(authorization);
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
        NotTakenReason::Authorization(AuthorizationError::OtherNonce {
            account: Address::repeat_byte(5),
            expected: 4,
            found: 3,
        }),
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
