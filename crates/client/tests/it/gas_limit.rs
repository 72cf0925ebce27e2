//! A key's gas limit: fees that fit what is left of it, and resets.

use crate::fixture::{ETHER, Fixture, RECIPIENT, ample_gas, assert_not_allowed, key, one, send, unbounded};
use session_key_client::{
    Call, Revert, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Gas, Happened},
    permissions::{LimitChange, PermissionUpdates, Permissions, Rule, SpendLimit},
};

#[tokio::test]
async fn fees_are_lowered_to_what_is_left_of_the_gas_limit() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)));
    let (fixture, client) = Fixture::with_key(permissions).await;
    let operation = || client.execute([Call::transfer(RECIPIENT, U256::ZERO)]);
    let built = operation().build().await.unwrap();
    let full = built.max_cost().unwrap();
    let set = |limit: U256| {
        let updates = PermissionUpdates::new().gas_spend_limit(SpendLimit::total(limit), LimitChange::Afresh);
        fixture.update(client.session_key(), updates)
    };
    let limit = full * U256::from(8) / U256::from(10);
    set(limit).await;
    let lowered = operation().build().await.unwrap();
    assert!(lowered.max_cost().unwrap() <= limit);
    assert!(lowered.max_fee_per_gas < built.max_fee_per_gas);
    operation().await.unwrap();

    set(full / U256::from(10)).await;
    assert_not_allowed(operation().await.unwrap_err(), &["gas_limit_exceeded"]);
    // Fees of one's own are not lowered.
    let fees = operation().fees(built.max_fee_per_gas, built.max_priority_fee_per_gas);
    assert_not_allowed(fees.await.unwrap_err(), &["gas_limit_exceeded"]);
}

#[tokio::test]
async fn a_pending_gas_reset_is_seen_and_settled() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .gas_spend_limit(SpendLimit::per(U256::from(ETHER), 3600));
    let (fixture, client) = Fixture::with_key(permissions).await;
    let client = client.with_bounds(unbounded());
    let key = client.session_key();
    let pass = |seconds| {
        let mut chain = fixture.testkit.chain();
        chain.increase_time(seconds);
        chain.mine();
    };
    let ample = client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .gas_limits(ample_gas())
        .build()
        .await
        .unwrap();
    let full = U256::from(ETHER) / U256::from(1_100_000);
    // Uses most of the interval's limit, so that the next one needs the next interval.
    client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .gas_limits(ample_gas())
        .fees(full, ample.max_priority_fee_per_gas)
        .await
        .unwrap();
    pass(3600);
    // Validation opens the next interval; execution, which would settle it, fails for want of gas.
    let starved = Gas {
        call_gas_limit: U256::from(1000),
        ..ample_gas()
    };
    let error = client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .gas_limits(starved)
        .fees(full, ample.max_priority_fee_per_gas)
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("reverted", Happened::Reverted));
    assert!(
        matches!(error.revert(), Some(Revert::Unknown(data)) if data.is_empty()),
        "{error:?}"
    );
    assert!(fixture.account.gas_spend_limit(key).await.unwrap().should_reset);

    let anyone = session_key_testkit::dev_accounts()[4].signer();
    let transaction = fixture
        .account
        .reset_session_key_gas_limit_timestamp(anyone.address(), key);
    let provider = fixture.testkit.provider_with_signer(anyone);
    send(&provider, transaction).await;
    assert!(!fixture.account.gas_spend_limit(key).await.unwrap().should_reset);
}

#[tokio::test]
async fn a_used_up_limit_is_reported_in_figures() {
    for left in [0, 1, 1_000_000] {
        let permissions = Permissions::new()
            .contract(RECIPIENT)
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .gas_spend_limit(SpendLimit::total(U256::from(left)));
        let (_, client) = Fixture::with_key(permissions).await;
        let error = client.execute(one()).await.unwrap_err();
        match &error.verdict().unwrap().violations()[0].rule {
            Rule::GasLimitExceeded { spending, .. } => {
                assert_eq!(spending.remaining(), U256::from(left));
                assert!(spending.asked > spending.remaining());
            }
            rule => panic!("{rule:?}"),
        }
        assert_not_allowed(error, &["gas_limit_exceeded"]);
    }
}

// Some bundlers estimate at a fee of zero, where nothing is booked on the key's limit. The first use of a
// limit, and of its next interval, stores what was not stored before.
#[tokio::test]
async fn the_first_use_of_a_limit_is_paid_for_though_the_bundler_does_not_see_it() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .gas_spend_limit(SpendLimit::per(U256::from(ETHER), 3600));
    let (fixture, client) = Fixture::with_key(permissions).await;
    fixture.bundler.change(|options| {
        options.estimates_with_fees = false;
        options.gas_margin_percent = 0;
    });
    let submitter = fixture.bundler_submitter();
    let agent = SessionKeyClient::new(fixture.account.clone(), key(1), submitter).with_bounds(unbounded());
    let client = client.with_bounds(unbounded());
    agent.execute(one()).await.unwrap();

    // Uses most of the interval's limit, so that the next operation opens the next interval.
    let used = fixture
        .account
        .gas_spend_limit(client.session_key())
        .await
        .unwrap();
    let fee = (U256::from(ETHER) - used.info.limit_used) / U256::from(1_200_000);
    client
        .execute(one())
        .gas_limits(ample_gas())
        .fees(fee, U256::ONE)
        .await
        .unwrap();
    {
        let mut chain = fixture.testkit.chain();
        chain.increase_time(3600);
        chain.mine();
    }
    let fee = U256::from(ETHER) / U256::from(1_200_000);
    let needs_next = agent.execute(one()).fees(fee, U256::ONE);
    needs_next.await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(3));
}
