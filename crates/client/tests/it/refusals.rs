//! What a session key may not do, and what the client says of it.

use crate::{
    fixture::{Fixture, RECIPIENT, ample_gas, assert_permissions_refused, key, transfer},
    wire::{Rewording, client_over},
};
use session_key_client::{
    Call, NewSessionKey, Revert,
    account::ReadError,
    alloy::{
        primitives::{Address, U256},
        signers::Signer as _,
    },
    operation::OperationError,
    permissions::{AaCode, ERC20_TRANSFER, PermissionUpdates, Permissions, SpendLimit, TimeRange},
    revert::PluginError,
    submit::{Outcome, SubmitError},
};

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_its_reason() {
    let fixture = Fixture::new().await;
    let token = fixture.stack.token;
    let session_key = key(1);
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(1000)))
        .erc20_spend_limit(token, SpendLimit::total(U256::from(100)));
    fixture.grant(session_key.address(), &permissions).await;
    let client = fixture.session_key(session_key);

    // Not on the list; selector not on the list; over the native limit. With and without simulation.
    let approve = session_key_client::alloy::hex::decode(format!("095ea7b3{:064x}{:064x}", 1, 1)).unwrap();
    for call in [
        Call::transfer(Address::repeat_byte(1), U256::ZERO),
        Call::new(token, approve),
        Call::transfer(RECIPIENT, U256::from(1001)),
    ] {
        let operation = client.execute([call.clone()]);
        assert_permissions_refused(operation.execute().await.unwrap_err());
        assert_permissions_refused(operation.gas_limits(ample_gas()).execute().await.unwrap_err());
    }
    assert_permissions_refused(client.execute([]).execute().await.unwrap_err());

    // Over the ERC-20 limit: simulation says so. Sent all the same, it is included, and fails in execution.
    let exceeded = Revert::Plugin(PluginError::ERC20SpendLimitExceeded {
        account: fixture.account.address(),
        session_key: client.session_key(),
        token,
    });
    let over = || client.execute([Call::new(token, transfer(RECIPIENT, 101))]);
    match over().execute().await.unwrap_err() {
        OperationError::Submit(SubmitError::WouldRevert(revert)) => assert_eq!(revert, exceeded),
        error => panic!("{error:?}"),
    }
    match over().gas_limits(ample_gas()).outcome().await.unwrap() {
        Outcome::Reverted { reason, receipt } => {
            assert_eq!(reason, exceeded);
            assert!(receipt.actual_gas_cost > U256::ZERO);
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(fixture.token_balance(RECIPIENT), U256::ZERO);

    // Signed by another key.
    let mut signed = client
        .execute([Call::transfer(RECIPIENT, U256::from(1))])
        .sign()
        .await
        .unwrap();
    signed.operation.signature = key(9)
        .sign_message(signed.hash.as_slice())
        .await
        .unwrap()
        .as_bytes()
        .into();
    match fixture.submitter.send(&signed).await.unwrap_err() {
        SubmitError::Refused(refusal) => assert_eq!(refusal.code, Some(AaCode::AccountSignature)),
        error => panic!("{error:?}"),
    }

    // Expired.
    let now = fixture.testkit.chain().timestamp();
    let updates = PermissionUpdates::new().time_range(TimeRange {
        valid_after: 0,
        valid_until: now,
    });
    fixture.update(client.session_key(), updates).await;
    let expired = client
        .execute([Call::transfer(RECIPIENT, U256::from(1))])
        .gas_limits(ample_gas());
    match expired.execute().await.unwrap_err() {
        OperationError::Submit(SubmitError::Refused(refusal)) => {
            assert_eq!(refusal.code, Some(AaCode::ExpiredOrNotDue));
            assert_eq!(refusal.cause, None);
        }
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn reasons_are_found_in_the_words_of_other_nodes() {
    let fixture = Fixture::new().await;
    let token = fixture.stack.token;
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .erc20_spend_limit(token, SpendLimit::total(U256::from(100)));
    fixture.grant(key(1).address(), &permissions).await;
    let client = client_over(&fixture, Rewording::new(fixture.testkit.transport()));
    let transfer = |amount| [Call::new(token, transfer(RECIPIENT, amount))];

    let elsewhere = client.execute([Call::transfer(Address::repeat_byte(1), U256::ZERO)]);
    assert_permissions_refused(elsewhere.execute().await.unwrap_err());
    assert_permissions_refused(elsewhere.gas_limits(ample_gas()).execute().await.unwrap_err());
    match client.execute(transfer(101)).execute().await.unwrap_err() {
        OperationError::Submit(SubmitError::WouldRevert(revert)) => assert_eq!(
            revert,
            Revert::Plugin(PluginError::ERC20SpendLimitExceeded {
                account: fixture.account.address(),
                session_key: client.session_key(),
                token,
            })
        ),
        error => panic!("{error:?}"),
    }
    assert!(matches!(
        client
            .account()
            .access_control_type(key(9).address())
            .await
            .unwrap_err(),
        ReadError::Reverted { .. }
    ));
    client.execute(transfer(100)).execute().await.unwrap();
}

#[tokio::test]
async fn limits_refresh_after_their_interval() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::per(U256::from(100), 3600));
    let (fixture, client) = Fixture::with_key(permissions).await;
    let spend = || client.execute([Call::transfer(RECIPIENT, U256::from(80))]);
    spend().execute().await.unwrap();
    // It would fit the next interval, so that it is valid from then on.
    match spend().gas_limits(ample_gas()).execute().await.unwrap_err() {
        OperationError::Submit(SubmitError::Refused(refusal)) => {
            assert_eq!(refusal.code, Some(AaCode::ExpiredOrNotDue));
        }
        error => panic!("{error:?}"),
    }
    {
        let mut chain = fixture.testkit.chain();
        chain.increase_time(3600);
        chain.mine();
    }
    spend().execute().await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(160));
}

#[tokio::test]
async fn a_first_operation_that_would_fail_is_not_sent() {
    let fixture = Fixture::new().await;
    let new = NewSessionKey::new(Address::ZERO, &Permissions::new()).unwrap();
    let error = fixture
        .owner
        .install_session_key_plugin([new])
        .execute()
        .await
        .unwrap_err();
    let OperationError::Submit(SubmitError::WouldRevert(revert)) = error else {
        panic!("{error:?}")
    };
    let refused = Revert::Plugin(PluginError::InvalidSessionKey {
        session_key: Address::ZERO,
    });
    assert_eq!(revert.root(), &refused, "{revert}");
    assert!(!fixture.account.is_deployed().await.unwrap());
}
