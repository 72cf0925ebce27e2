//! Operations that go to the EntryPoint in transactions of one's own.

use crate::{
    fixture::{Fixture, RECIPIENT, ample_gas, assert_executed, assert_refused, key, one},
    wire::{Fault, Faulty, Mempool, submitter_over},
};
use session_key_client::{
    Call, NewSessionKey, Revert, SessionKeyClient, SignedOperation,
    alloy::primitives::U256,
    operation::OperationError,
    permissions::{AaCode, Permissions, SpendLimit},
    revert::PluginError,
    signer::sign_user_operation,
    submit::{EntryPointSubmitter, Outcome, SubmitError, Submitter as _},
};

#[tokio::test]
async fn one_bundle_carries_many_and_drops_the_refused() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let (fixture, clients) = Fixture::with_keys(5, &permissions).await;
    let mut signed = Vec::new();
    for (position, client) in clients.into_iter().enumerate() {
        let amount = if position == 2 { 11 } else { 10 };
        let call = Call::transfer(RECIPIENT, U256::from(amount));
        signed.push(
            client
                .execute([call])
                .gas_limits(ample_gas())
                .sign()
                .await
                .unwrap(),
        );
    }
    let submitter = submitter_over(&fixture, fixture.testkit.transport());
    let error = submitter.send_all(&signed).await.unwrap_err();
    match error {
        SubmitError::RefusedInBundle { hash, refusal } => {
            assert_eq!(
                (hash, refusal.code),
                (signed[2].hash, Some(AaCode::AccountReverted))
            );
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ZERO);

    let bundle = submitter.send_all_valid(&signed).await.unwrap();
    assert_eq!(bundle.refused.len(), 1);
    assert_eq!(bundle.refused[0].0, signed[2].hash);
    assert_eq!(
        bundle.refused[0].1.cause,
        Some(Revert::Plugin(PluginError::PermissionsCheckFailed))
    );
    assert_eq!(bundle.sent.len(), 4);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(40));
    for hash in bundle.sent {
        let outcome = submitter.outcome(hash).await.unwrap().unwrap();
        assert!(outcome.is_success());
        assert_eq!(
            outcome.receipt().unwrap().transaction_hash,
            bundle.transaction_hash.unwrap()
        );
        // Another submitter, which did not send it, finds it by its event.
        assert_eq!(fixture.submitter.outcome(hash).await.unwrap(), Some(outcome));
    }
    assert_eq!(submitter.outcome(signed[2].hash).await.unwrap(), None);
}

/// A key that may send the recipient what it likes, and a submitter whose transactions wait until the test mines them.
async fn with_mempool() -> (Fixture, Mempool, EntryPointSubmitter, SessionKeyClient) {
    let (fixture, client) = Fixture::with_spender().await;
    let mempool = Mempool::new(&fixture.testkit);
    let submitter = submitter_over(&fixture, mempool.clone());
    (fixture, mempool, submitter, client)
}

// Whoever sees a bundle on its way can send its operations himself. Then the bundle fails, but they have happened: that they
// were dropped would be a lie, and could make a caller send them anew.
#[tokio::test]
async fn an_operation_that_somebody_else_included_is_not_dropped() {
    let (fixture, mempool, submitter, client) = with_mempool().await;
    let signed = client.execute(one()).sign().await.unwrap();
    submitter.send(&signed).await.unwrap();
    assert_eq!(submitter.outcome(signed.hash).await.unwrap(), None);

    fixture.submitter.send(&signed).await.unwrap();
    let theirs = fixture.submitter.outcome(signed.hash).await.unwrap().unwrap();
    assert!(theirs.is_success());
    assert_eq!(
        submitter.outcome(signed.hash).await.unwrap().as_ref(),
        Some(&theirs)
    );

    mempool.mine().await;
    assert_eq!(submitter.outcome(signed.hash).await.unwrap(), Some(theirs));
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test]
async fn a_bundle_that_fails_drops_its_operations_and_says_why() {
    let (fixture, mempool, submitter, client) = with_mempool().await;
    let second = NewSessionKey::new(key(2).address(), &Permissions::new().contract(RECIPIENT)).unwrap();
    fixture.owner.add_session_key(second).execute().await.unwrap();
    let bystander = fixture.session_key(key(2));
    let [overtaken, bystander] = [
        client.execute(one()).sign().await.unwrap(),
        bystander
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .sign()
            .await
            .unwrap(),
    ];
    let bundle = submitter
        .send_all(&[overtaken.clone(), bystander.clone()])
        .await
        .unwrap();
    let carrier = bundle.transaction_hash.unwrap();
    // Another operation with the same nonce comes first.
    client
        .execute([Call::transfer(RECIPIENT, U256::from(5))])
        .execute()
        .await
        .unwrap();
    mempool.mine().await;

    match submitter.outcome(overtaken.hash).await.unwrap().unwrap() {
        Outcome::Dropped {
            transaction_hash,
            reason,
        } => {
            assert_eq!(transaction_hash, carrier);
            assert_eq!(reason.unwrap().code, Some(AaCode::InvalidNonce));
        }
        outcome => panic!("{outcome:?}"),
    }
    let dropped = submitter.outcome(bystander.hash).await.unwrap();
    match dropped.as_ref().unwrap() {
        Outcome::Dropped { reason, .. } => {
            let reason = reason.as_ref().unwrap();
            assert_eq!(reason.code, None);
            assert!(reason.reason.contains(&overtaken.hash.to_string()), "{reason}");
            assert!(reason.reason.contains("AA25"), "{reason}");
        }
        outcome => panic!("{outcome:?}"),
    }
    // Asked again, it says the same.
    assert_eq!(submitter.outcome(bystander.hash).await.unwrap(), dropped);
    // Sent again, it is included.
    submitter.send(&bystander).await.unwrap();
    assert_eq!(submitter.outcome(bystander.hash).await.unwrap(), None);
    mempool.mine().await;
    assert_executed(&submitter, bystander.hash).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(5));
}

#[tokio::test]
async fn a_dropped_operation_is_an_error_with_its_reason() {
    let (fixture, mempool, _, client) = with_mempool().await;
    let sender = SessionKeyClient::new(
        fixture.account.clone(),
        key(1),
        submitter_over(&fixture, mempool.clone()),
    );
    let operation = sender.execute(one());
    let (dropped, ()) = tokio::join!(operation.execute(), async {
        mempool.holds(1).await;
        client
            .execute([Call::transfer(RECIPIENT, U256::from(5))])
            .execute()
            .await
            .unwrap();
        mempool.mine().await;
    });
    let error = dropped.unwrap_err();
    assert!(error.to_string().contains("AA25"), "{error}");
    assert!(matches!(error, OperationError::Dropped { reason: Some(_), .. }));
}

#[tokio::test]
async fn what_is_on_its_way_or_included_is_not_sent_again() {
    let (fixture, mempool, submitter, client) = with_mempool().await;
    let signed = client.execute(one()).sign().await.unwrap();
    submitter.send(&signed).await.unwrap();
    submitter.send(&signed).await.unwrap();
    assert_eq!(mempool.len(), 1);
    mempool.mine().await;
    let outcome = submitter.outcome(signed.hash).await.unwrap().unwrap();
    assert!(outcome.is_success());

    submitter.send(&signed).await.unwrap();
    // By another submitter, too, and in a bundle.
    fixture.submitter.send(&signed).await.unwrap();
    let next = client.execute(one()).sign().await.unwrap();
    let bundle = submitter.send_all(&[signed.clone(), next.clone()]).await.unwrap();
    assert_eq!(
        (bundle.sent, bundle.sent_before),
        (vec![next.hash], vec![signed.hash])
    );
    assert_eq!(mempool.len(), 1);
    mempool.mine().await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(2));
    assert_eq!(submitter.outcome(signed.hash).await.unwrap(), Some(outcome));
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_it_open() {
    let (fixture, _, _, client) = with_mempool().await;
    let wire = Faulty::new(fixture.testkit.transport());
    let submitter = submitter_over(&fixture, wire.clone());
    let signed = client.execute(one()).sign().await.unwrap();
    wire.lose_answers_to("eth_sendRawTransaction", Fault::Break);
    match submitter.send(&signed).await.unwrap_err() {
        SubmitError::MaybeSent { hash, .. } => assert_eq!(hash, signed.hash),
        error => panic!("{error:?}"),
    }
    assert_executed(&submitter, signed.hash).await;
    wire.repair();
    submitter.send(&signed).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);

    // What fails before it is sent is not sent.
    let next = client.execute(one()).sign().await.unwrap();
    wire.lose_answers_to("eth_call", Fault::Break);
    assert!(matches!(
        submitter.send(&next).await.unwrap_err(),
        SubmitError::Rpc(_)
    ));
    assert_eq!(submitter.outcome(next.hash).await.unwrap(), None);
}

/// Sends an operation whose transaction arrives, and waits, and whose answer does not arrive.
async fn send_and_lose_the_answer(
    submitter: &EntryPointSubmitter,
    wire: &Faulty,
    signed: &SignedOperation,
    fault: Fault,
) {
    wire.lose_answers_to("eth_sendRawTransaction", fault);
    tokio::select! {
        result = submitter.send(signed) => match result.unwrap_err() {
            SubmitError::MaybeSent { hash, .. } => assert_eq!(hash, signed.hash),
            error => panic!("{error:?}"),
        },
        () = wire.hangs() => (),
    }
    wire.repair();
}

// The transaction around it would fail, and somebody pays for that.
#[tokio::test]
async fn what_may_be_on_its_way_does_not_go_out_in_a_second_transaction() {
    let (fixture, mempool, _, client) = with_mempool().await;
    let wire = Faulty::new(mempool.clone());
    let submitter = submitter_over(&fixture, wire.clone());
    for (done, fault) in [Fault::Break, Fault::Hang].into_iter().enumerate() {
        let signed = client.execute(one()).sign().await.unwrap();
        send_and_lose_the_answer(&submitter, &wire, &signed, fault).await;
        assert_eq!(mempool.len(), 1);
        submitter.send(&signed).await.unwrap();
        assert_eq!(mempool.len(), 1);
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
        assert_eq!(mempool.len(), 2);
        mempool.mine().await;
        submitter.send(&signed).await.unwrap();
        assert_eq!(mempool.len(), 0);
        assert_executed(&submitter, signed.hash).await;
        assert_executed(&submitter, other.hash).await;
        assert_eq!(fixture.balance(RECIPIENT), U256::from(2 * (done + 1)));
    }
}

#[tokio::test]
async fn what_got_lost_goes_out_again() {
    let (fixture, mempool, _, client) = with_mempool().await;
    let wire = Faulty::new(mempool.clone());
    let submitter = submitter_over(&fixture, wire.clone());
    let signed = client.execute(one()).sign().await.unwrap();
    send_and_lose_the_answer(&submitter, &wire, &signed, Fault::Break).await;
    mempool.forget();
    // Together with one that is new, which gets the next nonce.
    let other = fixture.owner.execute(one()[0].clone()).sign().await.unwrap();
    submitter
        .send_all(&[signed.clone(), other.clone()])
        .await
        .unwrap();
    assert_eq!(mempool.len(), 2);
    mempool.mine().await;
    assert_executed(&submitter, signed.hash).await;
    assert_executed(&submitter, other.hash).await;

    // Another bundle has the nonce by now: what was lost waits until the nonce is used.
    let signed = client.execute(one()).sign().await.unwrap();
    send_and_lose_the_answer(&submitter, &wire, &signed, Fault::Break).await;
    mempool.forget();
    let other = fixture.owner.execute(one()[0].clone()).sign().await.unwrap();
    submitter.send(&other).await.unwrap();
    assert!(matches!(
        submitter.send(&signed).await.unwrap_err(),
        SubmitError::MaybeSent { hash, .. } if hash == signed.hash
    ));
    assert_eq!(mempool.len(), 1);
    mempool.mine().await;
    submitter.send(&signed).await.unwrap();
    mempool.mine().await;
    assert_executed(&submitter, signed.hash).await;
    assert_eq!(fixture.balance(RECIPIENT), U256::from(4));
}

#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let (fixture, _, submitter, client) = with_mempool().await;
    let mut signed = client.execute(one()).sign().await.unwrap();
    sign_user_operation(&mut signed.operation, &key(9), fixture.stack.entry_point, 31337)
        .await
        .unwrap();
    assert_refused(
        submitter.send(&signed).await.unwrap_err(),
        AaCode::AccountSignature,
    );
}
