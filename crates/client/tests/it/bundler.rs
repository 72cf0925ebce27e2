//! Operations that go through a bundler's JSON-RPC.

use crate::{
    fixture::{Fixture, RECIPIENT, assert_executed, assert_permissions_refused, assert_refused, key, one},
    wire::{Bundler, Fault, Faulty, provider},
};
use session_key_client::{
    Call, NewSessionKey, OwnerClient, SessionKeyClient,
    alloy::primitives::{B256, U256},
    operation::{OperationError, Progress},
    permissions::{AaCode, Permissions, SpendLimit},
    signer::sign_user_operation,
    submit::{BundlerSubmitter, SubmitError, Submitter},
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

#[tokio::test]
async fn a_bundler_does_all_of_it() {
    let fixture = Fixture::new().await;
    let submitter: Arc<dyn Submitter> = Arc::new(
        Bundler::new(&fixture)
            .submitter()
            .with_node(fixture.testkit.provider()),
    );
    let owner = OwnerClient::shared(
        fixture.account.clone(),
        Arc::new(fixture.owner_signer.clone()),
        submitter.clone(),
    );
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let new = NewSessionKey::new(key(1).address(), &permissions).unwrap();
    owner.install_session_key_plugin([new]).execute().await.unwrap();
    let client = SessionKeyClient::shared(fixture.account.clone(), Arc::new(key(1)), submitter.clone());
    client.execute(one()).execute().await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));

    let over_limit = client.execute([Call::transfer(RECIPIENT, U256::from(10))]);
    assert_permissions_refused(over_limit.execute().await.unwrap_err());

    let unknown = submitter
        .wait(B256::repeat_byte(1), Duration::from_millis(30))
        .await
        .unwrap_err();
    assert!(matches!(unknown, SubmitError::Timeout { hash, .. } if hash == B256::repeat_byte(1)));
}

#[tokio::test]
async fn an_operation_that_the_bundler_has_already_is_sent() {
    let (fixture, client) = Fixture::with_spender().await;
    let submitter = Bundler::new(&fixture).submitter();
    let signed = client.execute(one()).sign().await.unwrap();
    submitter.send(&signed).await.unwrap();
    submitter.send(&signed).await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
    assert_executed(&submitter, signed.hash).await;

    let waiting = Bundler::new(&fixture)
        .refusing(-32602, "Already known")
        .submitter();
    waiting
        .send(&client.execute(one()).sign().await.unwrap())
        .await
        .unwrap();
    // Its nonce is used, but not by this operation.
    let mut other = signed.clone();
    other.operation.pre_verification_gas += U256::ONE;
    other.hash = sign_user_operation(&mut other.operation, &key(1), fixture.stack.entry_point, 31337)
        .await
        .unwrap();
    assert_refused(submitter.send(&other).await.unwrap_err(), AaCode::InvalidNonce);
}

#[tokio::test]
async fn only_answers_that_say_so_mean_that_nothing_was_sent() {
    let (fixture, client) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    let call = Call::transfer(RECIPIENT, U256::ZERO);
    let signed = client.execute([call]).sign().await.unwrap();
    let answer = async |code, message| {
        let bundler = Bundler::new(&fixture).refusing(code, message);
        bundler.submitter().send(&signed).await.unwrap_err()
    };
    for (code, message) in [(-32603, "internal error"), (-32000, "upstream timed out")] {
        match answer(code, message).await {
            SubmitError::MaybeSent { hash, .. } => assert_eq!(hash, signed.hash),
            error => panic!("{error:?}"),
        }
    }
    for (code, message) in [
        (-32602, "invalid params"),
        (-32601, "no such method"),
        (-32005, "too many requests"),
    ] {
        let error = answer(code, message).await;
        assert!(matches!(error, SubmitError::Rpc(_)), "{error:?}");
    }
    for (code, message, aa_code) in [
        (
            -32500,
            "account validation failed: AA24 signature error",
            Some(AaCode::AccountSignature),
        ),
        // A code among other letters, under a code of an error that is nobody's.
        (
            -32000,
            "AAVE says AA21 didn't pay prefund",
            Some(AaCode::PrefundNotPaid),
        ),
        (-32507, "wrong signature", Some(AaCode::AccountSignature)),
        (-32504, "throttled", None),
    ] {
        match answer(code, message).await {
            SubmitError::Refused(refusal) => assert_eq!(refusal.code, aa_code, "{message}"),
            error => panic!("{error:?}"),
        }
    }

    // The connection breaks.
    let wire = Faulty::new(Bundler::new(&fixture));
    wire.lose_answers_to("eth_sendUserOperation", Fault::Break);
    let submitter = BundlerSubmitter::new(provider(wire), fixture.stack.entry_point);
    let error = submitter.send(&signed).await.unwrap_err();
    assert!(matches!(error, SubmitError::MaybeSent { hash, .. } if hash == signed.hash));
    assert_executed(&submitter, signed.hash).await;
}

// As the README shows it.
#[tokio::test]
async fn an_operation_that_may_have_been_sent_is_sent_again_or_replaced() {
    let (fixture, _) = Fixture::with_spender().await;
    let wire = Faulty::new(Bundler::new(&fixture));
    let submitter = BundlerSubmitter::new(provider(wire.clone()), fixture.stack.entry_point);
    let client = SessionKeyClient::new(fixture.account.clone(), key(1), submitter);
    let signed = OnceLock::new();
    let operation = client.execute(one()).on_progress(|step| {
        if let Progress::Signed(operation) = step {
            let _ = signed.set((**operation).clone());
        }
    });
    wire.lose_answers_to("eth_sendUserOperation", Fault::Break);
    let hash = match operation.execute().await.unwrap_err() {
        OperationError::Submit(SubmitError::MaybeSent { hash, .. }) => hash,
        error => panic!("{error:?}"),
    };
    let signed = signed.get().unwrap();
    assert_eq!(signed.hash, hash);
    wire.repair();
    client.submitter().send(signed).await.unwrap();
    let receipt = client.replace(signed).execute().await.unwrap();
    assert_eq!(receipt.user_op_hash, hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}
