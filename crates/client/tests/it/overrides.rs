//! What a caller may set of an operation instead of having it found out.

use crate::{
    IS_V08,
    fixture::{Fixture, ample_gas, assert_not_allowed, key_lane, one, paymaster_data},
};
use session_key_client::{
    alloy::primitives::{U256, aliases::U192},
    permissions::nonce,
};

/// Whether two gas limits are the same but for the random bits that operations carry.
fn differ_by_salt(one: U256, other: U256) -> bool {
    one.abs_diff(other) <= U256::from(u16::MAX)
}

#[tokio::test]
async fn overrides_are_taken_as_they_are() {
    let (fixture, client) = Fixture::with_spender().await;
    let found_out = client.execute(one()).build().await.unwrap();

    // One limit at a time: the others are found out all the same.
    let number = U256::from(123_456);
    let built = client
        .execute(one())
        .call_gas_limit(number)
        .build()
        .await
        .unwrap();
    assert_eq!(built.call_gas_limit, number);
    assert!(differ_by_salt(
        built.verification_gas_limit,
        found_out.verification_gas_limit
    ));
    let built = client
        .execute(one())
        .verification_gas_limit(number)
        .build()
        .await
        .unwrap();
    assert_eq!(built.verification_gas_limit, number);
    assert!(differ_by_salt(built.call_gas_limit, found_out.call_gas_limit));
    let built = client
        .execute(one())
        .pre_verification_gas(number)
        .build()
        .await
        .unwrap();
    assert_eq!(built.pre_verification_gas, number);
    assert!(differ_by_salt(built.call_gas_limit, found_out.call_gas_limit));

    let ample = ample_gas();
    let paymaster = paymaster_data(fixture.stack.paymaster, &[]);
    let operation = || {
        client
            .execute(one())
            .gas_limits(ample)
            .fees(U256::from(7), U256::from(3))
            .paymaster_and_data(paymaster.clone())
    };
    // A module takes no lane but the key's own.
    let lane = if IS_V08 {
        key_lane(client.session_key())
    } else {
        U192::from(5)
    };
    let built = operation().nonce(nonce(lane, 9)).build().await.unwrap();
    assert_eq!(
        (
            built.call_gas_limit,
            built.verification_gas_limit,
            built.pre_verification_gas
        ),
        (
            ample.call_gas_limit,
            ample.verification_gas_limit,
            ample.pre_verification_gas
        )
    );
    assert_eq!(
        (built.max_fee_per_gas, built.max_priority_fee_per_gas),
        (U256::from(7), U256::from(3))
    );
    assert_eq!(built.paymaster_and_data, paymaster);
    assert_eq!(built.nonce, nonce(lane, 9));
    if IS_V08 {
        let error = operation().nonce_key(U192::from(5)).build().await.unwrap_err();
        assert_not_allowed(error, &["nonce_key"]);
        return;
    }
    // The next nonce of another lane.
    let built = operation().nonce_key(U192::from(5)).build().await.unwrap();
    assert_eq!(built.nonce, nonce(U192::from(5), 0));
    assert_eq!(built.call_data, found_out.call_data);

    // A key without a gas limit may use any lane.
    let free_lane = client.execute(one()).nonce_key(U192::from(5));
    for sequence in 0..2 {
        let included = free_lane.clone().await.unwrap();
        assert_eq!(included.receipt.nonce, nonce(U192::from(5), sequence));
    }
}
