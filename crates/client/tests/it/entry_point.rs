//! Operations that go to the EntryPoint in transactions of one's own.

use crate::{
    fixture::{
        Fixture, RECIPIENT, ample_gas, assert_executed, assert_not_included, assert_not_taken, hand_over,
        in_form, key, one, operations_of,
    },
    wire::{Fault, Wire, submitter_over},
};
use session_key_client::{
    Call, NewSessionKey, RequestError, Revert, SessionKeyClient, SignedOperation,
    alloy::primitives::{B256, U256},
    operation::NotTakenReason,
    permissions::{AaCode, Permissions, SpendLimit},
    revert::PluginError,
    signer::sign_user_operation,
    submit::{BundleError, EntryPointSubmitter, Sent, Submitter as _},
};
use session_key_testkit::dev_accounts;

#[tokio::test]
async fn one_bundle_carries_many_and_drops_the_refused() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let (fixture, clients) = Fixture::with_keys(5, &permissions).await;
    let mut signed = Vec::new();
    for client in &clients {
        let call = Call::transfer(RECIPIENT, U256::from(10));
        signed.push(
            client
                .execute([call])
                .gas_limits(ample_gas())
                .sign()
                .await
                .unwrap(),
        );
    }
    // The owner takes one of the keys away meanwhile.
    let removed = fixture.owner.remove_session_key(clients[2].session_key());
    removed.await.unwrap();
    let before = operations_of(&fixture).await.len();

    let submitter = submitter_over(&fixture, fixture.testkit.transport());
    match submitter.send_all(&signed).await.unwrap_err() {
        BundleError::NotTaken { hash, not_taken } => {
            assert_eq!(hash, Some(signed[2].hash));
            assert_not_taken(Sent::NotTaken(*not_taken), AaCode::AccountReverted);
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);

    let bundle = submitter.send_all_valid(&signed).await.unwrap();
    let [(hash, refusal)] = bundle.refused.as_slice() else {
        panic!("{bundle:?}")
    };
    assert_eq!(*hash, signed[2].hash);
    assert_eq!(
        refusal.cause,
        Some(Revert::Plugin(PluginError::PermissionsCheckFailed))
    );
    assert_eq!(bundle.sent.len(), 4);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(40));
    let included = operations_of(&fixture).await.split_off(before);
    let sent: Vec<_> = bundle.sent.iter().map(|hash| (*hash, true)).collect();
    assert_eq!(included, sent);
    for hash in bundle.sent {
        assert_eq!(
            submitter.transaction(hash).await.unwrap(),
            bundle.transaction_hash
        );
        // Another submitter, which did not send it, does not know it.
        assert_eq!(fixture.submitter.transaction(hash).await.unwrap(), None);
        assert!(submitter.knows(hash).await.unwrap() && !fixture.submitter.knows(hash).await.unwrap());
    }
}

/// A key that may send the recipient what it likes, and a submitter whose transactions wait until
/// the test mines them.
async fn with_pool() -> (Fixture, EntryPointSubmitter, SessionKeyClient) {
    let (fixture, client) = Fixture::with_spender().await;
    let submitter = submitter_over(&fixture, fixture.testkit.transport());
    fixture.pool();
    (fixture, submitter, client)
}

/// The hash of the transaction that is the only one in the pool.
fn only_waiting(fixture: &Fixture) -> B256 {
    let pool = fixture.testkit.chain().pool();
    assert_eq!(pool.len(), 1);
    *pool[0].transaction.inner.tx_hash()
}

// Whoever sees a bundle on its way can send its operations himself. Then the bundle fails, but
// they have happened.
#[tokio::test(start_paused = true)]
async fn an_operation_that_somebody_else_included_is_included() {
    let (fixture, submitter, _) = with_pool().await;
    let client = SessionKeyClient::new(fixture.account.clone(), key(1), submitter);
    let pending = client.execute(one()).send().await.unwrap();
    let ours = only_waiting(&fixture);
    fixture.testkit.chain().hold_pooled(ours).unwrap();
    let signed = pending.intent().unwrap().operations[0].signed.clone();
    hand_over(&*fixture.submitter, &signed).await;
    fixture.mine();

    let included = pending.await.unwrap();
    assert_eq!(included.receipt.user_op_hash, signed.hash);
    assert_ne!(included.receipt.transaction_hash, ours);
    // The bundle that comes too late changes nothing.
    fixture.testkit.chain().release_pooled(ours).unwrap();
    fixture.mine();
    assert!(!fixture.testkit.chain().receipt(ours).unwrap().status());
    let records = client.resume().await.unwrap();
    let record = records
        .iter()
        .find(|record| record.operations[0].signed == signed)
        .unwrap();
    assert_eq!(
        record.operations[0].included.as_ref().unwrap().receipt,
        included.receipt
    );
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_fails_takes_nothing_from_its_other_operations() {
    let (fixture, submitter, client) = with_pool().await;
    fixture.testkit.chain().set_automine(true);
    let second = NewSessionKey::new(key(2).address(), &Permissions::new().contract(RECIPIENT)).unwrap();
    fixture.owner.add_session_key(second).await.unwrap();
    let bystander = fixture.session_key(key(2));
    let [overtaken, bystander] = [
        client.execute(one()).sign().await.unwrap(),
        bystander
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .sign()
            .await
            .unwrap(),
    ];
    fixture.pool();
    let bundle = submitter
        .send_all(&[overtaken.clone(), bystander.clone()])
        .await
        .unwrap();
    let carrier = bundle.transaction_hash.unwrap();
    fixture.testkit.chain().hold_pooled(carrier).unwrap();
    // Another operation with the same nonce comes first.
    let other = client.execute([Call::transfer(RECIPIENT, U256::from(5))]);
    let other = other.send().await.unwrap();
    fixture.mine();
    other.await.unwrap();
    fixture.testkit.chain().release_pooled(carrier).unwrap();
    fixture.mine();
    assert!(!fixture.testkit.chain().receipt(carrier).unwrap().status());
    assert_not_included(&fixture, overtaken.hash).await;
    assert_not_included(&fixture, bystander.hash).await;

    // Sent again, the bystander is included; the other's nonce is used.
    assert_not_taken(submitter.send(&overtaken).await, AaCode::InvalidNonce);
    hand_over(&submitter, &bystander).await;
    assert_eq!(fixture.waiting(), 1);
    fixture.mine();
    assert_executed(&fixture, bystander.hash).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

#[tokio::test]
async fn what_is_on_its_way_is_not_sent_again_and_what_is_included_is_not_taken() {
    let (fixture, submitter, client) = with_pool().await;
    let signed = client.execute(one()).sign().await.unwrap();
    hand_over(&submitter, &signed).await;
    hand_over(&submitter, &signed).await;
    let carrier = only_waiting(&fixture);
    assert_eq!(submitter.transaction(signed.hash).await.unwrap(), Some(carrier));
    fixture.mine();
    assert_executed(&fixture, signed.hash).await;

    // The EntryPoint cannot tell whether it was this operation that used the nonce.
    assert_not_taken(submitter.send(&signed).await, AaCode::InvalidNonce);
    assert_eq!(submitter.transaction(signed.hash).await.unwrap(), Some(carrier));
    // By another submitter, too, and in a bundle.
    assert_not_taken(fixture.submitter.send(&signed).await, AaCode::InvalidNonce);
    let next = client.execute(one()).sign().await.unwrap();
    let bundle = submitter
        .send_all_valid(&[signed.clone(), next.clone()])
        .await
        .unwrap();
    assert_eq!((bundle.sent, bundle.refused.len()), (vec![next.hash], 1));
    assert_eq!(fixture.waiting(), 1);
    fixture.mine();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_it_open() {
    let (fixture, client) = Fixture::with_spender().await;
    let wire = Wire::new(fixture.testkit.transport());
    let submitter = submitter_over(&fixture, wire.clone());
    let signed = client.execute(one()).sign().await.unwrap();
    wire.fault("eth_sendRawTransaction", Fault::Break);
    let sent = submitter.send(&signed).await;
    assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}");
    assert_executed(&fixture, signed.hash).await;
    wire.repair();
    assert_not_taken(submitter.send(&signed).await, AaCode::InvalidNonce);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);

    // The node has seen the operation in the call that tries it, and may pass it on.
    let next = client.execute(one()).sign().await.unwrap();
    wire.once("eth_call", Fault::Break);
    let sent = submitter.send(&next).await;
    assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}");
    // A node that was not connected to has seen nothing.
    wire.fault("eth_call", Fault::NotReached);
    let sent = submitter.send(&next).await;
    assert!(matches!(sent, Sent::NeverLeft { .. }), "{sent:?}");
    assert_not_included(&fixture, next.hash).await;
}

/// Sends an operation whose transaction arrives, and waits, and whose answer does not arrive.
async fn send_and_lose_the_answer(
    submitter: &EntryPointSubmitter,
    wire: &Wire,
    signed: &SignedOperation,
    fault: Fault,
) {
    wire.fault("eth_sendRawTransaction", fault);
    tokio::select! {
        sent = submitter.send(signed) => assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}"),
        () = wire.hangs() => (),
    }
    wire.repair();
}

// The transaction around it would fail, and somebody pays for that.
#[tokio::test]
async fn what_may_be_on_its_way_does_not_go_out_in_a_second_transaction() {
    let (fixture, _, client) = with_pool().await;
    let wire = Wire::new(fixture.testkit.transport());
    let submitter = submitter_over(&fixture, wire.clone());
    for (done, fault) in [Fault::Break, Fault::Hang].into_iter().enumerate() {
        let signed = client.execute(one()).sign().await.unwrap();
        send_and_lose_the_answer(&submitter, &wire, &signed, fault).await;
        assert_eq!(fixture.waiting(), 1);
        hand_over(&submitter, &signed).await;
        assert_eq!(fixture.waiting(), 1);
        // Nor is it in the way of others.
        let other = fixture.owner.execute(one()[0].clone()).sign().await.unwrap();
        let bundle = submitter
            .send_all(&[signed.clone(), other.clone()])
            .await
            .unwrap();
        assert_eq!(
            (bundle.sent_before, bundle.sent),
            (vec![signed.hash], vec![other.hash])
        );
        assert_eq!(fixture.waiting(), 2);
        fixture.mine();
        assert_eq!(fixture.waiting(), 0);
        assert_executed(&fixture, signed.hash).await;
        assert_executed(&fixture, other.hash).await;
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2 * (done + 1)));
    }
}

#[tokio::test]
async fn what_got_lost_goes_out_again() {
    let (fixture, _, client) = with_pool().await;
    let wire = Wire::new(fixture.testkit.transport());
    let submitter = submitter_over(&fixture, wire.clone());
    let signed = client.execute(one()).sign().await.unwrap();
    send_and_lose_the_answer(&submitter, &wire, &signed, Fault::Break).await;
    fixture.forget_pool();
    // Together with one that is new, which gets the next nonce.
    let other = fixture.owner.execute(one()[0].clone()).sign().await.unwrap();
    submitter
        .send_all(&[signed.clone(), other.clone()])
        .await
        .unwrap();
    assert_eq!(fixture.waiting(), 2);
    fixture.mine();
    assert_executed(&fixture, signed.hash).await;
    assert_executed(&fixture, other.hash).await;

    // Another bundle has the nonce by now: what was lost waits until the nonce is used.
    let signed = client.execute(one()).sign().await.unwrap();
    send_and_lose_the_answer(&submitter, &wire, &signed, Fault::Break).await;
    fixture.forget_pool();
    let other = fixture.owner.execute(one()[0].clone()).sign().await.unwrap();
    hand_over(&submitter, &other).await;
    match submitter.send(&signed).await {
        Sent::NoAnswer { error } => assert!(matches!(error, RequestError::NoAnswer { .. }), "{error:?}"),
        sent => panic!("{sent:?}"),
    }
    assert_eq!(fixture.waiting(), 1);
    fixture.mine();
    hand_over(&submitter, &signed).await;
    fixture.mine();
    assert_executed(&fixture, signed.hash).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
}

#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let (fixture, submitter, client) = with_pool().await;
    let mut signed = client.execute(one()).sign().await.unwrap();
    sign_user_operation(&mut signed.operation, &key(9), fixture.stack.entry_point, 31337)
        .await
        .unwrap();
    signed.operation.signature = in_form(&signed.operation.signature);
    assert_not_taken(submitter.send(&signed).await, AaCode::AccountSignature);
}

// Its sender has to have as much as all of a transaction's gas may cost, and a pool keeps none that
// can never be paid.
#[tokio::test]
async fn a_sender_without_funds_is_told_as_such() {
    let (fixture, client) = Fixture::with_spender().await;
    let sender = dev_accounts()[2].address;
    fixture.testkit.chain().set_balance(sender, U256::from(1_000));
    let submitter = submitter_over(&fixture, fixture.testkit.transport());
    let signed = client.execute(one()).sign().await.unwrap();
    match submitter.send(&signed).await {
        Sent::NotTaken(not_taken) => assert_eq!(not_taken.reason, NotTakenReason::Funds),
        sent => panic!("{sent:?}"),
    }
    assert_not_included(&fixture, signed.hash).await;
}

// One hash is one operation, however often it is in the list.
#[tokio::test]
async fn an_operation_that_is_given_twice_goes_out_once() {
    let (fixture, client) = Fixture::with_spender().await;
    let submitter = submitter_over(&fixture, fixture.testkit.transport());
    for all in [true, false] {
        let before = fixture.balance(RECIPIENT);
        let signed = client.execute(one()).sign().await.unwrap();
        let twice = [signed.clone(), signed.clone()];
        let bundle = if all {
            submitter.send_all(&twice).await.unwrap()
        } else {
            submitter.send_all_valid(&twice).await.unwrap()
        };
        assert_eq!((bundle.sent, bundle.refused), (vec![signed.hash], Vec::new()));
        assert_eq!(fixture.balance(RECIPIENT), before + U256::ONE);
    }
}
