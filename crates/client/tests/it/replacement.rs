//! Replacing an operation that is not included yet.

use crate::{
    fixture::{ETHER, Fixture, RECIPIENT, assert_refused, key, one},
    wire::{Mempool, submitter_over},
};
use async_trait::async_trait;
use session_key_client::{
    OwnerClient, SessionKeyClient, SignedOperation, SmartAccount, UserOperation,
    alloy::primitives::{Address, B256, U256},
    operation::{FixedPaymaster, OperationError},
    permissions::{AaCode, LimitChange, Permissions, SpendLimit},
    submit::{GasEstimate, Outcome, Refusal, SubmitError, Submitter},
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;

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
    fixture.submitter.send(&replacement).await.unwrap();
    assert_refused(
        fixture.submitter.send(&first).await.unwrap_err(),
        AaCode::InvalidNonce,
    );
    assert_eq!(fixture.submitter.outcome(first.hash).await.unwrap(), None);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(1));
}

/// A key that may send the recipient what it likes, at work through transactions that wait until the test mines them.
async fn stuck() -> (Fixture, Mempool, SessionKeyClient) {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, _) = Fixture::with_key(permissions).await;
    let mempool = Mempool::new(&fixture.testkit);
    let submitter = submitter_over(&fixture, mempool.clone());
    let client = SessionKeyClient::new(fixture.account.clone(), key(1), submitter);
    (fixture, mempool, client)
}

#[tokio::test]
async fn a_replacement_is_the_same_call_with_the_same_nonce_for_a_tenth_more() {
    let (fixture, mempool, client) = stuck().await;
    let first = client.execute(one()).sign().await.unwrap();
    client.submitter().send(&first).await.unwrap();

    let second = client.replace(&first).sign().await.unwrap();
    let (old, new) = (&first.operation, &second.operation);
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
    assert_ne!((first.hash, &old.signature), (second.hash, &new.signature));

    // It goes another way, and arrives first.
    let elsewhere = fixture.session_key(key(1));
    let receipt = elsewhere.replace(&first).execute().await.unwrap();
    assert_ne!(receipt.user_op_hash, first.hash);
    assert_eq!(receipt.nonce, old.nonce);
    mempool.mine().await;
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test]
async fn of_an_operation_and_its_replacement_the_one_that_is_included_is_told_of() {
    let (fixture, mempool, client) = stuck().await;
    let first = client.execute(one()).sign().await.unwrap();
    client.submitter().send(&first).await.unwrap();
    // Both are on their way: transactions of one sender, so that the first comes first.
    let replacement = client.replace(&first);
    let (receipt, ()) = tokio::join!(replacement.execute(), async {
        mempool.holds(2).await;
        mempool.mine().await;
    });
    assert_eq!(receipt.unwrap().user_op_hash, first.hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);

    // Included before its replacement could be built.
    let receipt = client.replace(&first).execute().await.unwrap();
    assert_eq!(receipt.user_op_hash, first.hash);
    assert_eq!(mempool.len(), 0);
    // Where another operation has used the nonce, there is nothing to tell.
    let mut other = first.clone();
    other.operation.call_gas_limit += U256::ONE;
    other.hash = other.operation.hash(fixture.stack.entry_point, 31337);
    match client.replace(&other).execute().await.unwrap_err() {
        OperationError::Submit(error) => assert_refused(error, AaCode::InvalidNonce),
        error => panic!("{error:?}"),
    }
}

/// Takes one operation, and refuses others by their nonce as bundlers do that are just sending it.
#[derive(Debug)]
struct Sending {
    inner: Arc<dyn Submitter>,
    hash: B256,
    /// How often it was asked for an outcome.
    asked: AtomicUsize,
    /// It was asked again.
    asked_again: Arc<Notify>,
}

#[async_trait]
impl Submitter for Sending {
    async fn estimate_gas(&self, operation: &UserOperation) -> Result<GasEstimate, SubmitError> {
        self.inner.estimate_gas(operation).await
    }

    async fn send(&self, operation: &SignedOperation) -> Result<(), SubmitError> {
        if operation.hash == self.hash {
            return self.inner.send(operation).await;
        }
        Err(SubmitError::Refused(Refusal {
            code: Some(AaCode::InvalidNonce),
            reason: "AA25 invalid account nonce: another operation is being processed".to_owned(),
            cause: None,
        }))
    }

    async fn outcome(&self, user_op_hash: B256) -> Result<Option<Outcome>, SubmitError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) == 1 {
            self.asked_again.notify_one();
        }
        self.inner.outcome(user_op_hash).await
    }
}

#[tokio::test]
async fn a_replacement_that_comes_too_late_tells_of_the_first() {
    let (fixture, mempool, client) = stuck().await;
    let first = client.execute(one()).sign().await.unwrap();
    let asked_again = Arc::new(Notify::new());
    let sending = Sending {
        inner: client.submitter().clone(),
        hash: first.hash,
        asked: AtomicUsize::new(0),
        asked_again: asked_again.clone(),
    };
    let client = SessionKeyClient::new(fixture.account.clone(), key(1), sending);
    client.submitter().send(&first).await.unwrap();
    let late = client.replace(&first);
    let receipt = tokio::select! {
        receipt = late.execute() => receipt.unwrap(),
        () = async {
            asked_again.notified().await;
            mempool.mine().await;
            std::future::pending().await
        } => unreachable!(),
    };
    assert_eq!(receipt.user_op_hash, first.hash);
    assert_eq!(fixture.balance(RECIPIENT), U256::ONE);
}

#[tokio::test]
async fn a_replacement_keeps_its_gas_limits_price_and_payer() {
    let (fixture, _, client) = stuck().await;
    let first = client.execute(one()).sign().await.unwrap();
    let least = |fee: U256| fee + fee.div_ceil(U256::from(10));
    let needed = (
        least(first.operation.max_fee_per_gas),
        least(first.operation.max_priority_fee_per_gas),
    );
    let offered = client
        .replace(&first)
        .fees(needed.0, needed.1 - U256::ONE)
        .build()
        .await;
    match offered.unwrap_err() {
        OperationError::ReplacementUnderpriced {
            max_fee_per_gas,
            max_priority_fee_per_gas,
        } => assert_eq!((max_fee_per_gas, max_priority_fee_per_gas), needed),
        error => panic!("{error:?}"),
    }
    assert!(
        client
            .replace(&first)
            .fees(needed.0, needed.1)
            .build()
            .await
            .is_ok()
    );

    // The key cannot pay a tenth more: its fees are not lowered below that.
    let limit = first.operation.max_cost().unwrap() * U256::from(105) / U256::from(100);
    let updates = session_key_client::permissions::PermissionUpdates::new()
        .gas_spend_limit(SpendLimit::total(limit), LimitChange::Afresh);
    fixture.update(client.session_key(), updates).await;
    assert!(client.execute(one()).build().await.is_ok());
    assert!(matches!(
        client.replace(&first).build().await.unwrap_err(),
        OperationError::GasBudget(_)
    ));

    // Who paid for the first pays for the second: the account, though the client has a paymaster by now, or a paymaster that
    // the client does not know.
    let owner = &fixture.owner;
    let first = owner.execute(one()[0].clone()).sign().await.unwrap();
    let sponsored = owner
        .clone()
        .with_paymaster(FixedPaymaster::new(fixture.stack.paymaster));
    let replacement = sponsored.replace(&first).build().await.unwrap();
    assert!(replacement.paymaster_and_data.is_empty());
    let mut first = first;
    first.operation.paymaster_and_data = fixture.stack.paymaster.to_vec().into();
    let replacement = owner.replace(&first).gas_limits(crate::fixture::ample_gas());
    assert_eq!(
        replacement.build().await.unwrap().paymaster(),
        Some(fixture.stack.paymaster)
    );
}

#[tokio::test]
async fn another_accounts_operation_is_not_replaced() {
    let (fixture, _, client) = stuck().await;
    let first = client.execute(one()).sign().await.unwrap();
    let elsewhere = SmartAccount::new(
        fixture.testkit.provider(),
        31337,
        Address::repeat_byte(5),
        *fixture.account.deployment(),
    );
    let owner = OwnerClient::shared(
        elsewhere,
        Arc::new(fixture.owner_signer.clone()),
        fixture.submitter.clone(),
    );
    assert!(matches!(
        owner.replace(&first).build().await.unwrap_err(),
        OperationError::ReplacesOtherAccount { expected, found }
            if expected == Address::repeat_byte(5) && found == fixture.account.address()
    ));
}
