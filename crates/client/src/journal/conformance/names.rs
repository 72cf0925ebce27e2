//! Which intent has a name.

use super::*;

pub(super) async fn a_name_belongs_to_one_intent(journal: Arc<dyn Journal>) {
    let lane = lane();
    let first = put(&*journal, named(lane, "rent")).await;
    assert_eq!(
        journal.named(&first.scope(), "rent").await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(journal.named(&first.scope(), "tax").await.unwrap(), None);
    let taken = Err(name_taken("rent", &first));

    let second = named(lane, "rent");
    assert_eq!(journal.put(second.clone(), None).await, taken);
    assert_eq!(
        journal.intent(second.id).await.unwrap(),
        None,
        "it was not written"
    );
    // Nor does another intent change to it.
    let third = put(&*journal, named(lane, "tax")).await;
    let renamed = with_name(third.clone(), "rent");
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

pub(super) async fn a_name_is_unique_within_its_scope(journal: Arc<dyn Journal>) {
    let first = put(&*journal, named(lane(), "rent")).await;
    let lane = first.lane;
    // Lanes and EntryPoints do not tell names apart.
    for lane in [
        with_nonce_key(lane, U192::MAX),
        at_entry_point(lane, address(fresh())),
    ] {
        let taken = Err(name_taken("rent", &first));
        assert_eq!(journal.put(named(lane, "rent"), None).await, taken);
    }
    let chain = named(on_chain(lane, lane.chain_id + 1), "rent");
    let account = named(of_account(lane, address(fresh())), "rent");
    let signer = signed_by(named(lane, "rent"), address(fresh()));
    for other in [chain, account, signer] {
        let other = put(&*journal, other).await;
        assert_eq!(journal.named(&other.scope(), "rent").await.unwrap(), Some(other));
    }
    assert_eq!(journal.named(&first.scope(), "rent").await.unwrap(), Some(first));
}

pub(super) async fn a_name_of_what_cannot_happen_is_free(journal: Arc<dyn Journal>) {
    let lane = lane();
    let never_sent = with_name(unsigned(lane), "rent");
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

pub(super) async fn a_name_that_was_taken_does_not_come_back(journal: Arc<dyn Journal>) {
    let lane = lane();
    let open = put(&*journal, named(lane, "rent")).await;
    let void = put(&*journal, end(open.clone())).await;
    let holder = put(&*journal, named(lane, "rent")).await;
    let back = at_version(open.clone(), void.version);
    let taken = name_taken("rent", &holder);
    assert_eq!(journal.put(back.clone(), None).await, Err(taken));
    assert_kept(&*journal, &void).await;
    put(&*journal, end(holder)).await;
    let back = put(&*journal, back).await;
    assert_eq!(journal.named(&back.scope(), "rent").await.unwrap(), Some(back));
}

pub(super) async fn a_name_can_be_given_up(journal: Arc<dyn Journal>) {
    let lane = lane();
    let first = put(&*journal, named(lane, "rent")).await;
    let unnamed = put(&*journal, IntentRecord { name: None, ..first }).await;
    assert_eq!(journal.named(&unnamed.scope(), "rent").await.unwrap(), None);
    let second = put(&*journal, named(lane, "rent")).await;
    let renamed = put(&*journal, with_name(second, "tax")).await;
    assert_eq!(
        journal.named(&renamed.scope(), "tax").await.unwrap(),
        Some(renamed.clone())
    );
    let third = put(&*journal, named(lane, "rent")).await;
    journal.remove(third.id).await.unwrap();
    assert_eq!(journal.named(&third.scope(), "rent").await.unwrap(), None);
    put(&*journal, named(lane, "rent")).await;
}

pub(super) async fn names_are_compared_exactly(journal: Arc<dyn Journal>) {
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
