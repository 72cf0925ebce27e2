//! Replacing an operation that is not included yet.

use crate::{
    fixture::{
        ETHER, Fixture, RECIPIENT, account_at, ample_gas, assert_not_allowed, assert_not_included,
        assert_not_taken, hand_over, key, one,
    },
    wire::submitter_over,
};
use session_key_client::{
    OperationError, OwnerClient, SessionKeyClient,
    alloy::primitives::{Address, U256},
    journal::{IntentId, OperationRecord},
    operation::{Cause, Happened},
    permissions::{AaCode, LimitChange, PermissionUpdates, Permissions, SpendLimit},
    submit::EntryPointSubmitter,
};
use session_key_testkit::dev_accounts;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn of_two_operations_with_one_nonce_one_happens() {
    let (fixture, client) = Fixture::with_spender().await;
    let first = client.execute(one()).sign().await.unwrap();
    let fee = first.operation.max_fee_per_gas * U256::from(2);
    let replacement = client
        .execute(one())
        .nonce(first.operation.nonce)
        .fees(fee, fee)
        .sign()
        .await
        .unwrap();
    assert_ne!(first.hash, replacement.hash);
    hand_over(&*fixture.submitter, &replacement).await;
    assert_not_taken(fixture.submitter.send(&first).await, AaCode::InvalidNonce);
    assert_not_included(&fixture, first.hash).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));
}

/// A key that may send the recipient what it likes, at work through transactions that wait until the test
/// mines them; and an intent of it whose operation is stuck.
async fn stuck() -> (Fixture, SessionKeyClient, IntentId) {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    fixture.pool();
    let submitter = submitter_over(&fixture, fixture.testkit.transport());
    let client = SessionKeyClient::new(fixture.account.clone(), key(1), submitter);
    let error = client
        .execute(one())
        .gas_limits(ample_gas())
        .timeout(Duration::from_secs(5))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_included_in_time", Happened::Unknown)
    );
    (fixture, client, error.intent.unwrap())
}

/// The same key, sending from another account.
fn elsewhere(fixture: &Fixture) -> SessionKeyClient {
    let sender = dev_accounts()[5].signer();
    let from = sender.address();
    let wallet = fixture.testkit.provider_with_signer(sender);
    let submitter = EntryPointSubmitter::new(wallet, fixture.stack.entry_point, from);
    SessionKeyClient::new(fixture.account.clone(), key(1), submitter)
}

async fn operations(client: &SessionKeyClient, intent: IntentId) -> Vec<OperationRecord> {
    client.intent(intent).await.unwrap().unwrap().operations
}

#[tokio::test(start_paused = true)]
async fn a_replacement_is_the_same_call_with_the_same_nonce_for_a_tenth_more() {
    let (fixture, client, intent) = stuck().await;
    // It goes another way, and arrives first.
    let waiting = *fixture.testkit.chain().pool()[0].transaction.inner.tx_hash();
    fixture.testkit.chain().hold_pooled(waiting).unwrap();
    let elsewhere = elsewhere(&fixture);
    let pending = elsewhere.replace(intent).await.unwrap().send().await.unwrap();

    let kept = operations(&client, intent).await;
    let [first, second] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    let (old, new) = (&first.signed.operation, &second.signed.operation);
    assert_eq!(
        (&new.call_data, new.nonce, new.sender),
        (&old.call_data, old.nonce, old.sender)
    );
    for (old, new) in [
        (old.max_fee_per_gas, new.max_fee_per_gas),
        (old.max_priority_fee_per_gas, new.max_priority_fee_per_gas),
    ] {
        assert!(new * U256::from(10) >= old * U256::from(11), "{old} {new}");
    }
    assert_ne!(
        (first.signed.hash, &old.signature),
        (second.signed.hash, &new.signature)
    );

    fixture.mine();
    let included = pending.await.unwrap();
    assert_eq!(included.receipt.user_op_hash, second.signed.hash);
    fixture.testkit.chain().release_pooled(waiting).unwrap();
    fixture.mine();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    // Asked for again, it is what it was.
    let again = client.replace(intent).await.unwrap().await.unwrap();
    assert_eq!(again.receipt, included.receipt);
    assert_eq!(fixture.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_an_operation_and_its_replacement_the_one_that_is_included_is_told_of() {
    let (fixture, client, intent) = stuck().await;
    // Both are on their way: transactions of one sender, so that the first comes first.
    let pending = client.replace(intent).await.unwrap().send().await.unwrap();
    assert_eq!(fixture.waiting(), 2);
    fixture.mine();
    let included = pending.await.unwrap();
    let kept = operations(&client, intent).await;
    assert_eq!(included.receipt.user_op_hash, kept[0].signed.hash);
    assert_eq!(kept.len(), 2);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_comes_too_late_tells_of_the_first() {
    let (fixture, client, intent) = stuck().await;
    fixture.mine();
    let included = client.replace(intent).await.unwrap().await.unwrap();
    let kept = operations(&client, intent).await;
    assert_eq!(kept.len(), 1, "nothing more was signed");
    assert_eq!(included.receipt.user_op_hash, kept[0].signed.hash);
    assert_eq!((fixture.waiting(), fixture.balance(RECIPIENT)), (0, U256::ONE));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_offers_enough_or_is_refused() {
    let (fixture, client, intent) = stuck().await;
    let first = operations(&client, intent).await.remove(0).signed;
    let least = |fee: U256| fee + fee.div_ceil(U256::from(10));
    let needed = (
        least(first.operation.max_fee_per_gas),
        least(first.operation.max_priority_fee_per_gas),
    );
    let replace = async || client.replace(intent).await.unwrap();
    let refused = |error: OperationError| {
        // The first may still be included.
        assert_eq!(
            (error.happened(), error.user_op_hash),
            (Happened::Unknown, Some(first.hash))
        );
        *error.cause
    };
    let offered = replace().await.fees(needed.0, needed.1 - U256::ONE).await;
    assert_eq!(
        refused(offered.unwrap_err()),
        Cause::ReplacementUnderpriced {
            max_fee_per_gas: needed.0,
            max_priority_fee_per_gas: needed.1,
        }
    );

    // The key cannot pay a tenth more: its fees are not lowered below that.
    let limit = first.operation.max_cost().unwrap() * U256::from(105) / U256::from(100);
    fixture.testkit.chain().set_automine(true);
    let updates = PermissionUpdates::new().gas_spend_limit(SpendLimit::total(limit), LimitChange::Afresh);
    let waiting = *fixture.testkit.chain().pool()[0].transaction.inner.tx_hash();
    fixture.testkit.chain().hold_pooled(waiting).unwrap();
    fixture.update(client.session_key(), updates).await;
    assert!(client.execute(one()).build().await.is_ok());
    let error = replace().await.gas_limits(ample_gas()).await.unwrap_err();
    let broken: Vec<_> = error
        .verdict()
        .unwrap_or_else(|| panic!("{error:?}"))
        .violations()
        .iter()
        .map(|rule| rule.code())
        .collect();
    assert_eq!(
        (error.code(), broken),
        ("not_allowed", vec!["gas_limit_exceeded"])
    );
    refused(error);

    fixture
        .update(
            client.session_key(),
            PermissionUpdates::new().gas_spend_limit(SpendLimit::UNLIMITED, LimitChange::Afresh),
        )
        .await;
    let enough = elsewhere(&fixture)
        .replace(intent)
        .await
        .unwrap()
        .fees(needed.0, needed.1);
    let included = enough.await.unwrap();
    assert_ne!(included.receipt.user_op_hash, first.hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    let over = client.execute([session_key_client::Call::transfer(Address::ZERO, U256::ONE)]);
    assert_not_allowed(over.await.unwrap_err(), &["contract_not_on_allowlist"]);
}

#[tokio::test(start_paused = true)]
async fn another_accounts_operation_is_not_replaced() {
    let (fixture, client, intent) = stuck().await;
    let elsewhere = account_at(
        fixture.testkit.provider(),
        31337,
        Address::repeat_byte(5),
        *fixture.account.deployment(),
    )
    .with_desk(fixture.account.desk().clone());
    let owner = OwnerClient::shared(
        elsewhere,
        Arc::new(fixture.owner_signer.clone()),
        fixture.submitter.clone(),
    );
    let errors = [
        owner.replace(intent).await.unwrap_err(),
        owner.send_again(intent).await.unwrap_err(),
        owner.intent(intent).await.unwrap_err(),
        owner.forget(intent).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(
            *error.cause,
            Cause::NotOurs {
                what: "account".to_owned(),
                expected: Address::repeat_byte(5).to_string(),
                found: fixture.account.address().to_string(),
            }
        );
    }
    assert_eq!(operations(&client, intent).await.len(), 1);
}
