//! Operations that go through a bundler's JSON-RPC.

use crate::{
    fixture::{
        Fixture, RECIPIENT, assert_executed, assert_not_allowed, assert_not_taken, hand_over, key, one,
        resigned,
    },
    wire::{Fault, Wire, provider},
};
use session_key_client::{
    Call, NewSessionKey, OwnerClient, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Happened, NotTaken, NotTakenReason},
    permissions::{AaCode, Permissions, SpendLimit},
    submit::{BundlerSubmitter, Sent, Submitter},
};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_bundler_does_all_of_it() {
    let fixture = Fixture::new().await;
    let submitter: Arc<dyn Submitter> =
        Arc::new(fixture.bundler_submitter().with_node(fixture.testkit.provider()));
    let owner = OwnerClient::shared(
        fixture.account.clone(),
        Arc::new(fixture.owner_signer.clone()),
        submitter.clone(),
    );
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let new = NewSessionKey::new(key(1).address(), &permissions).unwrap();
    owner.install_session_key_plugin([new]).await.unwrap();
    let client = SessionKeyClient::shared(fixture.account.clone(), Arc::new(key(1)), submitter.clone());
    client.execute(one()).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));

    let over_limit = client.execute([Call::transfer(RECIPIENT, U256::from(10))]);
    assert_not_allowed(over_limit.await.unwrap_err(), &["native_limit_exceeded"]);
}

#[tokio::test]
async fn handing_an_operation_over_again_is_told_as_what_was_said() {
    let (fixture, client) = Fixture::with_spender().await;
    let wire = Wire::new(fixture.bundler.transport());
    let submitter = BundlerSubmitter::new(provider(wire.clone()), fixture.stack.entry_point);
    let signed = client.execute(one()).sign().await.unwrap();
    hand_over(&submitter, &signed).await;
    assert_executed(&fixture, signed.hash).await;
    // Its nonce is used now: by itself, which a bundler does not tell.
    assert_not_taken(submitter.send(&signed).await, AaCode::InvalidNonce);
    assert!(submitter.transaction(signed.hash).await.unwrap().is_some());
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);

    wire.once("eth_sendUserOperation", Fault::refuse(-32602, "Already known"));
    let next = client.execute(one()).sign().await.unwrap();
    hand_over(&submitter, &next).await;
    // Its nonce is used, but not by this operation.
    let mut other = signed.clone();
    other.operation.pre_verification_gas += U256::ONE;
    let other = resigned(&fixture, other).await;
    assert_not_taken(submitter.send(&other).await, AaCode::InvalidNonce);
    assert_eq!(submitter.transaction(other.hash).await.unwrap(), None);
}

#[tokio::test]
async fn an_error_is_taken_for_what_it_says() {
    let (fixture, client) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    let call = Call::transfer(RECIPIENT, U256::ZERO);
    let signed = client.execute([call]).sign().await.unwrap();
    let wire = Wire::new(fixture.bundler.transport());
    let submitter = BundlerSubmitter::new(provider(wire.clone()), fixture.stack.entry_point);
    let answer = async |code, message: &str| {
        wire.once("eth_sendUserOperation", Fault::refuse(code, message));
        submitter.send(&signed).await
    };
    for (code, message) in [(-32603, "internal error"), (-32000, "upstream timed out")] {
        let sent = answer(code, message).await;
        assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}");
    }
    for (code, message) in [(-32602, "invalid params"), (-32601, "no such method")] {
        let sent = answer(code, message).await;
        let Sent::NotTaken(NotTaken {
            reason: NotTakenReason::Other,
            ..
        }) = sent
        else {
            panic!("{sent:?}")
        };
    }
    let sent = answer(-32005, "too many requests").await;
    assert!(
        matches!(
            &sent,
            Sent::NotTaken(NotTaken {
                reason: NotTakenReason::RateLimited { .. },
                ..
            })
        ),
        "{sent:?}"
    );
    for (code, message, aa_code) in [
        (
            -32500,
            "account validation failed: AA24 signature error",
            AaCode::AccountSignature,
        ),
        (-32507, "wrong signature", AaCode::AccountSignature),
        // A code among other letters, under a code of an error that is nobody's.
        (
            -32000,
            "AAVE says AA10 sender already constructed",
            AaCode::SenderAlreadyConstructed,
        ),
    ] {
        assert_not_taken(answer(code, message).await, aa_code);
    }
    for (code, message, reason) in [
        (-32000, "AA21 didn't pay prefund", NotTakenReason::Funds),
        (-32504, "throttled", NotTakenReason::Reputation),
    ] {
        match answer(code, message).await {
            Sent::NotTaken(not_taken) => {
                assert_eq!((not_taken.reason, &*not_taken.message), (reason, message));
                assert_eq!((not_taken.code, &*not_taken.by), (Some(code), "bundler"));
            }
            sent => panic!("{sent:?}"),
        }
    }

    // The connection breaks.
    wire.once("eth_sendUserOperation", Fault::Break);
    let sent = submitter.send(&signed).await;
    assert!(matches!(sent, Sent::NoAnswer { .. }), "{sent:?}");
    assert_executed(&fixture, signed.hash).await;
}

// As the README shows it.
#[tokio::test(start_paused = true)]
async fn what_may_have_been_sent_is_asked_for_again_by_its_name() {
    let (fixture, _) = Fixture::with_spender().await;
    let node = Wire::new(fixture.testkit.transport());
    let wire = Wire::new(fixture.bundler.transport());
    let submitter = BundlerSubmitter::new(provider(wire.clone()), fixture.stack.entry_point);
    let account = crate::wire::account_over(&fixture, node.clone());
    let client = SessionKeyClient::new(account, key(1), submitter);
    let pay = || client.execute(one()).id("rent").timeout(Duration::from_secs(5));

    // The bundler's answer is lost, and then the node.
    wire.rule({
        let node = node.clone();
        move |asked| {
            (asked.method == "eth_sendUserOperation").then(|| {
                node.rule(|_| Some(Fault::Lose));
                Fault::Break
            })
        }
    });
    let error = pay().await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("not_included_in_time", Happened::Unknown)
    );
    let hash = error.user_op_hash.unwrap();

    wire.repair();
    node.repair();
    for _ in 0..2 {
        assert_eq!(pay().await.unwrap().receipt.user_op_hash, hash);
    }
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}
