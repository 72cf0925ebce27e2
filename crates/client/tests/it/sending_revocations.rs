//! What an owner signs to take away is in nobody's way and has nothing in its own, and what would give it
//! back is ended.

use crate::{
    fixture::{Fixture, RECIPIENT, ample_gas, key, key_lane, one, operations_of},
    process::{Process, Way, journal, seconds},
    wire::Fault,
};
use session_key_client::{
    Call, NewSessionKey, OperationError, OwnerAction,
    alloy::primitives::{Address, B256, U256, aliases::U192},
    calldata::UninstallConfig,
    journal::IntentRecord,
    operation::{Cause, Happened, Included, Operation, Outcome},
    permissions::{LimitChange, PermissionUpdates, Permissions, SpendLimit, nonce},
};
use std::collections::BTreeSet;

fn permissions() -> Permissions {
    Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
}

fn new(number: u8) -> NewSessionKey {
    NewSessionKey::new(key(number).address(), &permissions()).unwrap()
}

fn lane_of(included: &Included) -> U192 {
    U192::from(included.receipt.nonce >> 64)
}

async fn kept(process: &Process, error: &OperationError) -> IntentRecord {
    process
        .owner
        .intent(error.intent.unwrap())
        .await
        .unwrap()
        .unwrap()
}

/// Something that waits for ever, in the ordinary lane.
async fn open(process: &Process, operation: Operation) -> OperationError {
    open_as(process, operation, ("not_included_in_time", Happened::Unknown)).await
}

async fn open_as(process: &Process, operation: Operation, told: (&str, Happened)) -> OperationError {
    // A bundler that takes it, and does nothing with it.
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
    let error = operation.timeout(seconds(5)).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), told);
    process.out.repair();
    error
}

/// Somebody includes what is open: whoever was handed it.
async fn include_anyway(fixture: &Fixture, record: &IntentRecord) {
    for operation in &record.operations {
        let _ = fixture.submitter.send(&operation.signed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_takes_away_goes_in_a_lane_that_nobody_knows() {
    if crate::IS_V08 {
        // With other actions, in `accounts`.
        return;
    }
    let mut lanes = BTreeSet::new();
    let (fixture, _) = Fixture::with_keys(3, &permissions()).await;
    let process = Process::new(&fixture, Way::Bundler);
    let narrow =
        PermissionUpdates::new().native_token_spend_limit(SpendLimit::total(U256::ZERO), LimitChange::Raw);
    let owner = &process.owner;
    owner.update_owners([key(8).address()], []).await.unwrap();
    let takes_away = [
        owner.update_key_permissions(key(1).address(), narrow.clone()),
        owner.rotate_session_key(key(1).address(), key(4).address()),
        owner.remove_session_key(key(4).address()),
        owner.update_owners([], [key(8).address()]),
        owner.batch([
            OwnerAction::RemoveSessionKey(key(2).address()),
            OwnerAction::UpdateKeyPermissions {
                key: key(3).address(),
                updates: narrow,
            },
        ]),
        owner.uninstall_session_key_plugin(),
    ];
    for operation in takes_away {
        let included = operation.await.unwrap();
        let lane = lane_of(&included);
        // Not anybody's: more than an address, or any small number.
        assert!(lane >> 160 != U192::ZERO, "{lane}");
        assert!(lanes.insert(lane), "a lane was used twice");
    }
    // What also gives or pays waits its turn.
    let ordinary = [
        owner.install_session_key_plugin([new(1), new(2)]),
        owner.batch([
            OwnerAction::RemoveSessionKey(key(1).address()),
            OwnerAction::AddSessionKey(new(3)),
        ]),
        owner.batch([
            OwnerAction::RemoveSessionKey(key(2).address()),
            OwnerAction::Call(Call::transfer(RECIPIENT, U256::ONE)),
        ]),
        owner.update_key_permissions(
            key(3).address(),
            PermissionUpdates::new().contract(fixture.stack.token),
        ),
        owner.update_owners([key(8).address()], []),
        owner.update_owners([key(9).address()], [key(8).address()]),
        owner.batch([
            OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default()),
            OwnerAction::Call(Call::transfer(RECIPIENT, U256::ONE)),
        ]),
    ];
    for (sequence, operation) in (1..).zip(ordinary) {
        let included = operation.await.unwrap();
        assert_eq!(lane_of(&included), U192::ZERO);
        // The first two were the account's creation and the new owner.
        assert_eq!(included.receipt.nonce, U256::from(sequence + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_does_not_wait_for_what_is_stuck() {
    let (fixture, _) = Fixture::with_keys(2, &permissions()).await;
    let process = Process::new(&fixture, Way::Bundler);
    let stuck = open(&process, process.owner.execute(one()[0].clone())).await;
    let start = tokio::time::Instant::now();
    process.owner.remove_session_key(key(1).address()).await.unwrap();
    assert!(start.elapsed() < seconds(3), "{:?}", start.elapsed());
    assert!(!fixture.account.is_session_key(key(1).address()).await.unwrap());
    // What was stuck is still open, and can be included.
    assert_eq!(
        kept(&process, &stuck).await.outcome().happened(),
        Happened::Unknown
    );
    include_anyway(&fixture, &kept(&process, &stuck).await).await;
    assert_eq!(kept(&process, &stuck).await.outcome().happened(), Happened::Yes);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

/// Whether an open grant gives anything once the owner has taken away, by what follows it in time.
async fn grant_is_ended(
    grant: impl Fn(&Process) -> Operation,
    take_away: impl Fn(&Process) -> Operation,
) -> bool {
    let (fixture, _) = Fixture::with_keys(2, &permissions()).await;
    let process = Process::new(&fixture, Way::Bundler);
    let granted = open(&process, grant(&process)).await;
    take_away(&process).await.unwrap();
    let record = kept(&process, &granted).await;
    include_anyway(&fixture, &record).await;
    let operations = operations_of(&fixture).await;
    let is_included = operations.iter().any(|(hash, _)| {
        record
            .operations
            .iter()
            .any(|operation| operation.signed.hash == *hash)
    });
    if !is_included {
        // It is void once the block lies deep. Until then nothing says that it did not use the nonce itself.
        assert_eq!(
            kept(&process, &granted).await.outcome().happened(),
            Happened::Unknown
        );
        fixture.mine_blocks(70);
        let record = kept(&process, &granted).await;
        assert!(matches!(record.outcome(), Outcome::Void(_)), "{record:?}");
        // And the ordinary lane goes on.
        process.owner.execute(one()[0].clone()).await.unwrap();
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    }
    !is_included
}

#[tokio::test(start_paused = true)]
async fn a_removal_ends_what_would_give_the_key_back() {
    let widen = |process: &Process| {
        let updates = PermissionUpdates::new().contract(Address::repeat_byte(5));
        process.owner.update_key_permissions(key(1).address(), updates)
    };
    let remove = |process: &Process| process.owner.remove_session_key(key(1).address());
    let rotate = |process: &Process| {
        process
            .owner
            .rotate_session_key(key(1).address(), key(9).address())
    };
    assert!(grant_is_ended(widen, remove).await);
    // It would come back as another key.
    let rotate_in_ordinary_lane = |process: &Process| rotate(process).nonce_key(U192::ZERO);
    assert!(grant_is_ended(rotate_in_ordinary_lane, remove).await);
    // To itself, after having been removed.
    let again = |process: &Process| {
        process.owner.batch([
            OwnerAction::RemoveSessionKey(key(1).address()),
            OwnerAction::AddSessionKey(new(1)),
        ])
    };
    assert!(grant_is_ended(again, remove).await);
    // What another key gets is no matter of this one.
    let other = |process: &Process| process.owner.add_session_key(new(7));
    assert!(!grant_is_ended(other, remove).await);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_ends_what_would_give_the_old_key_back() {
    let again = |process: &Process| {
        process.owner.batch([
            OwnerAction::RemoveSessionKey(key(1).address()),
            OwnerAction::AddSessionKey(new(1)),
        ])
    };
    let rotate = |process: &Process| {
        process
            .owner
            .rotate_session_key(key(1).address(), key(9).address())
    };
    assert!(grant_is_ended(again, rotate).await);
    let rotate_on = |process: &Process| {
        let rotation = process
            .owner
            .rotate_session_key(key(1).address(), key(8).address());
        rotation.nonce_key(U192::ZERO)
    };
    assert!(grant_is_ended(rotate_on, rotate).await);
}

#[tokio::test(start_paused = true)]
async fn a_narrowing_ends_what_would_widen_again() {
    let widen = |process: &Process| {
        let updates = PermissionUpdates::new().contract(Address::repeat_byte(5));
        process.owner.update_key_permissions(key(1).address(), updates)
    };
    let narrow = |process: &Process| {
        let nothing = SpendLimit::total(U256::ZERO);
        let updates = PermissionUpdates::new().native_token_spend_limit(nothing, LimitChange::Raw);
        process.owner.update_key_permissions(key(1).address(), updates)
    };
    assert!(grant_is_ended(widen, narrow).await);
}

#[tokio::test(start_paused = true)]
async fn an_uninstallation_ends_what_would_install_again() {
    let install = |process: &Process| {
        process.owner.batch([
            OwnerAction::UninstallSessionKeyPlugin(UninstallConfig::default()),
            OwnerAction::InstallSessionKeyPlugin {
                keys: vec![new(1)],
                manifest_hash: None,
                dependencies: None,
            },
        ])
    };
    assert!(grant_is_ended(install, |process| process.owner.uninstall_session_key_plugin()).await);
    let add = |process: &Process| process.owner.add_session_key(new(7));
    assert!(grant_is_ended(add, |process| process.owner.uninstall_session_key_plugin()).await);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_grant_is_still_on_its_way_is_removed_by_ending_the_grant() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let granted = open(&process, process.owner.add_session_key(new(5))).await;
    process.owner.remove_session_key(key(5).address()).await.unwrap();
    include_anyway(&fixture, &kept(&process, &granted).await).await;
    assert!(!fixture.account.is_session_key(key(5).address()).await.unwrap());
    // One that nobody ever granted is none.
    let error = process
        .owner
        .remove_session_key(key(6).address())
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("key_not_found", Happened::No));
}

// Grants that are on their way in several lanes, and behind each other.
#[tokio::test(start_paused = true)]
async fn every_open_grant_of_the_key_is_ended() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    process
        .out
        .fault("eth_sendUserOperation", Fault::Answer(Ok("taken".into())));
    let mut granted = Vec::new();
    for lane in [0_u64, 5, 6] {
        for sequence in 0..2_u64 {
            let base = if lane == 0 { 1 } else { 0 };
            let nonce = session_key_client::permissions::nonce(U192::from(lane), base + sequence);
            let grant = process
                .owner
                .add_session_key(new(5))
                .nonce(nonce)
                .nonce_key(U192::from(lane));
            let error = grant
                .gas_limits(ample_gas())
                .timeout(seconds(5))
                .await
                .unwrap_err();
            granted.push(error);
        }
    }
    process.out.repair();
    process.owner.remove_session_key(key(5).address()).await.unwrap();
    for error in &granted {
        if error.intent.is_some() {
            include_anyway(&fixture, &kept(&process, error).await).await;
        }
    }
    assert!(!fixture.account.is_session_key(key(5).address()).await.unwrap());
}

// Somebody else with the owner's key: his grant comes right after the removal, in the same block.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_back_in_the_same_block_is_told_of() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    let other = Process::new(&fixture, Way::EntryPoint);
    fixture.pool();
    let removal = process
        .owner
        .remove_session_key(key(1).address())
        .send()
        .await
        .unwrap();
    let grant = other.owner.add_session_key(new(1)).gas_limits(ample_gas());
    let fee = |gwei: u64| U256::from(gwei * 1_000_000_000);
    let grant = grant.fees(fee(3), U256::from(1)).send().await.unwrap();
    fixture.mine();
    let error = removal.await.unwrap_err();
    grant.await.unwrap();
    assert!(fixture.account.is_session_key(key(1).address()).await.unwrap());
    assert_eq!(error.code(), "still_there");
    assert_eq!(
        *error.cause,
        Cause::StillThere {
            account: fixture.account.address(),
            session_key: key(1).address(),
        }
    );
    // The removal was included all the same.
    assert_eq!(error.happened(), Happened::Yes);
}

#[tokio::test(start_paused = true)]
async fn an_owner_ends_what_blocks_a_keys_lane() {
    for way in Way::BOTH {
        let (fixture, _) = Fixture::with_spender().await;
        let journal = journal();
        let process = Process::on(&fixture, way, &journal);
        let agent = Process::on(&fixture, Way::Bundler, &journal);
        agent.agent.execute(one()).await.unwrap();
        let stuck = open(
            &agent,
            agent.agent.execute([Call::transfer(RECIPIENT, U256::from(7))]),
        )
        .await;

        let unblocked = process.owner.unblock(key(1).address(), None).await.unwrap();
        assert!(unblocked.included.success);
        let ended: Vec<_> = unblocked.ended.iter().map(|record| Some(record.id)).collect();
        assert_eq!(ended, [stuck.intent], "{way:?}");
        assert_eq!(unblocked.included_before.len(), 1);
        include_anyway(&fixture, &kept(&process, &stuck).await).await;
        assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
        assert_eq!(
            kept(&process, &stuck).await.outcome().happened(),
            Happened::Unknown
        );

        // The key goes on with the nonce after it, at once.
        let included = agent.agent.execute(one()).await.unwrap();
        assert_eq!(included.receipt.nonce & U256::from(u64::MAX), U256::from(2));
        fixture.mine_blocks(70);
        let record = kept(&process, &stuck).await;
        assert!(matches!(record.outcome(), Outcome::Void(_)), "{record:?}");
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
    }
}

// Of operations that the journal does not know, the owner has heard elsewhere.
#[tokio::test(start_paused = true)]
async fn an_owner_ends_as_many_nonces_as_asked_for() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let lane = key_lane(key(1).address());
    let unblocked = process.owner.unblock(key(1).address(), Some(4)).await.unwrap();
    assert_eq!((unblocked.ended.len(), unblocked.included_before.len()), (0, 0));
    let next = fixture.account.nonce(lane).await.unwrap();
    assert_eq!(next & U256::from(u64::MAX), U256::from(5));
    // They are used already: there is nothing to do.
    let error = process
        .owner
        .unblock(key(1).address(), Some(4))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("no_action", Happened::No));
    process.agent.execute(one()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// It was included in between, which the answer says.
#[tokio::test(start_paused = true)]
async fn what_was_included_before_it_could_be_ended_is_told_as_included() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::EntryPoint);
    let agent = Process::on(&fixture, Way::Bundler, process.account.desk().journal());
    let stuck = open(&agent, agent.agent.execute(one())).await;
    let signed = kept(&process, &stuck).await.operations.remove(0).signed;
    fixture.pool();
    let running = tokio::spawn({
        let owner = process.owner.clone();
        async move { owner.unblock(key(1).address(), None).await }
    });
    fixture.waits(1).await;
    let ending: B256 = *fixture.testkit.chain().pool()[0].transaction.inner.tx_hash();
    fixture.testkit.chain().hold_pooled(ending).unwrap();
    let _ = fixture.submitter.send(&signed).await;
    fixture.mine();
    fixture.testkit.chain().release_pooled(ending).unwrap();
    fixture.mine();
    let unblocked = running.await.unwrap().unwrap();
    assert_eq!(unblocked.ended.len(), 0);
    assert_eq!(unblocked.included_before.len(), 1);
    assert_eq!(unblocked.included_before[0].id, stuck.intent.unwrap());
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

// A caller may end fewer nonces than are open.
#[tokio::test(start_paused = true)]
async fn what_is_above_the_nonces_that_are_ended_stays_open() {
    let (fixture, _) = Fixture::with_spender().await;
    let process = Process::new(&fixture, Way::Bundler);
    let lane = key_lane(key(1).address());
    let pay = |amount: u64| {
        let call = Call::transfer(RECIPIENT, U256::from(amount));
        process.agent.execute([call]).gas_limits(ample_gas())
    };
    let first = open(&process, pay(5)).await;
    let above = pay(7).nonce(nonce(lane, 2));
    let above = open_as(&process, above, ("nonce_gap", Happened::NotYet)).await;

    let unblocked = process.owner.unblock(key(1).address(), Some(0)).await.unwrap();
    let ids = |records: &[IntentRecord]| -> Vec<_> { records.iter().map(|record| Some(record.id)).collect() };
    assert_eq!(ids(&unblocked.ended), [first.intent]);
    assert_eq!(ids(&unblocked.still_open), [above.intent]);
    include_anyway(&fixture, &kept(&process, &first).await).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);

    // The nonce below it is used, and it happens.
    let other = Process::new(&fixture, Way::Bundler);
    other.agent.execute(one()).await.unwrap();
    include_anyway(&fixture, &kept(&process, &above).await).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(8));
}
