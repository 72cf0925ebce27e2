//! What a session key may not do, and what the client says of it.

use crate::{
    IS_V08,
    fixture::{
        Fixture, RECIPIENT, ample_gas, assert_not_allowed, assert_not_taken, hand_over, in_form, key,
        operations_of, resigned, transfer,
    },
    wire::{Wire, client_over, reword_reverts},
};
use session_key_client::{
    Call, NewSessionKey, Revert, SessionKeyClient,
    account::ReadError,
    alloy::{
        hex,
        primitives::{Address, Bytes, U256},
        signers::Signer as _,
    },
    operation::{Advice, Cause, Happened, NotTaken, NotTakenReason},
    permissions::{
        AaCode, ERC20_TRANSFER, PermissionUpdates, Permissions, SpendLimit, TimeRange,
        execute_with_session_key,
    },
    revert::PluginError,
    submit::Sent,
};

/// PUSH0 PUSH0 REVERT
const REFUSER: [u8; 3] = [0x5f, 0x5f, 0xfd];

#[tokio::test]
async fn what_is_not_allowed_is_not_sent_and_every_rule_is_named() {
    let fixture = Fixture::new().await;
    let token = fixture.stack.token;
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(1000)))
        .erc20_spend_limit(token, SpendLimit::total(U256::from(100)));
    fixture.grant(key(1).address(), &permissions).await;
    let client = fixture.session_key(key(1));

    let approve: Bytes = hex::decode(format!("095ea7b3{:064x}{:064x}", 1, 1))
        .unwrap()
        .into();
    // With and without simulation.
    for (calls, codes) in [
        (
            vec![Call::transfer(Address::repeat_byte(1), U256::ZERO)],
            vec!["contract_not_on_allowlist"],
        ),
        (vec![Call::new(token, approve)], vec!["function_not_on_allowlist"]),
        (
            vec![Call::transfer(RECIPIENT, U256::from(1001))],
            vec!["native_limit_exceeded"],
        ),
        (
            vec![Call::new(token, transfer(RECIPIENT, 101))],
            vec!["erc20_limit_exceeded"],
        ),
        (vec![], vec!["no_calls"]),
    ] {
        let operation = client.execute(calls);
        assert_not_allowed(operation.clone().await.unwrap_err(), &codes);
        assert_not_allowed(operation.gas_limits(ample_gas()).await.unwrap_err(), &codes);
    }
    assert_eq!(fixture.token_balance(RECIPIENT), U256::ZERO);

    // Expired.
    let now = fixture.testkit.chain().timestamp();
    let updates = PermissionUpdates::new().time_range(TimeRange {
        valid_after: 0,
        valid_until: now,
    });
    fixture.update(client.session_key(), updates).await;
    let expired = client.execute([Call::transfer(RECIPIENT, U256::from(1))]);
    assert_not_allowed(expired.clone().await.unwrap_err(), &["expired"]);
    assert_not_allowed(expired.gas_limits(ample_gas()).await.unwrap_err(), &["expired"]);
}

// Made by other means, the same operations reach the account, whose plugin has the last word.
#[tokio::test]
async fn what_the_account_refuses_is_told_with_the_plugins_reason() {
    let fixture = Fixture::new().await;
    let token = fixture.stack.token;
    let permissions = Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER])
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .erc20_spend_limit(token, SpendLimit::total(U256::from(100)));
    fixture.grant(key(1).address(), &permissions).await;
    let client = fixture.session_key(key(1));
    let made = async |calls: &[Call]| {
        let mut signed = client
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .gas_limits(ample_gas())
            .sign()
            .await
            .unwrap();
        signed.operation.call_data = execute_with_session_key(calls, key(1).address());
        resigned(&fixture, signed).await
    };

    let refused = made(&[Call::transfer(Address::repeat_byte(1), U256::ZERO)]).await;
    match fixture.submitter.send(&refused).await {
        Sent::NotTaken(NotTaken {
            reason: NotTakenReason::Refused(refusal),
            ..
        }) => {
            assert_eq!(refusal.code, Some(AaCode::AccountReverted), "{refusal}");
            let cause = Some(Revert::Plugin(PluginError::PermissionsCheckFailed));
            assert_eq!(refusal.cause, cause, "{refusal}");
        }
        sent => panic!("{sent:?}"),
    }

    // Over the token's limit, it is included, and fails in execution.
    let over = made(&[Call::new(token, transfer(RECIPIENT, 101))]).await;
    hand_over(&*fixture.submitter, &over).await;
    assert_eq!(operations_of(&fixture).await.last(), Some(&(over.hash, false)));
    assert_eq!(fixture.token_balance(RECIPIENT), U256::ZERO);

    // Signed by another key.
    let mut signed = made(&[Call::transfer(RECIPIENT, U256::ZERO)]).await;
    signed.operation.signature = key(9)
        .sign_message(signed.hash.as_slice())
        .await
        .unwrap()
        .as_bytes()
        .into();
    signed.operation.signature = in_form(&signed.operation.signature);
    assert_not_taken(fixture.submitter.send(&signed).await, AaCode::AccountSignature);
}

#[tokio::test]
async fn calls_that_revert_are_told_with_what_was_paid() {
    let (fixture, _) = Fixture::with_spender().await;
    let refuser = Address::repeat_byte(0xfe);
    fixture.testkit.chain().set_code(refuser, REFUSER).unwrap();
    let updates = PermissionUpdates::new().contract(refuser);
    fixture.update(key(1).address(), updates).await;
    let client = fixture.session_key(key(1));
    let call = || client.execute([Call::new(refuser, Bytes::new())]);

    let error = call().await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("would_revert", Happened::No));

    // Nothing is simulated with gas limits that are given.
    let error = call().gas_limits(ample_gas()).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("reverted", Happened::Reverted));
    assert_eq!(error.advice(), Advice::Change);
    assert!(
        matches!(error.revert(), Some(Revert::Unknown(data)) if data.is_empty()),
        "{error:?}"
    );
    let Cause::Reverted { included } = &*error.cause else {
        panic!("{error:?}")
    };
    assert!(included.receipt.actual_gas_cost > U256::ZERO);
    assert_eq!(
        operations_of(&fixture).await.last(),
        Some(&(included.receipt.user_op_hash, false))
    );
}

#[tokio::test]
async fn reasons_are_found_in_the_words_of_other_nodes() {
    let fixture = Fixture::new().await;
    let refuser = Address::repeat_byte(0xfe);
    fixture.testkit.chain().set_code(refuser, REFUSER).unwrap();
    let permissions = Permissions::new().contract(fixture.stack.token).contract(refuser);
    fixture.grant(key(1).address(), &permissions).await;
    let node = Wire::new(fixture.testkit.transport());
    reword_reverts(&node);
    let client: SessionKeyClient = client_over(&fixture, node);

    let error = client
        .execute([Call::new(refuser, Bytes::new())])
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.happened()), ("would_revert", Happened::No));
    let too_much = Call::new(fixture.stack.token, transfer(RECIPIENT, u64::MAX));
    let error = client.execute([too_much]).await.unwrap_err();
    assert_eq!(error.code(), "would_revert");
    assert!(
        matches!(error.revert(), Some(Revert::Unknown(data)) if !data.is_empty())
            || matches!(error.revert(), Some(Revert::Error(_) | Revert::Panic(_))),
        "{error:?}"
    );
    assert!(matches!(
        client
            .account()
            .access_control_type(key(9).address())
            .await
            .unwrap_err(),
        ReadError::Reverted { .. }
    ));
    let enough = Call::new(fixture.stack.token, transfer(RECIPIENT, 100));
    client.execute([enough]).await.unwrap();

    // What the account says in validation.
    let mut signed = client
        .execute([Call::new(fixture.stack.token, transfer(RECIPIENT, 1))])
        .sign()
        .await
        .unwrap();
    let elsewhere = [Call::transfer(Address::repeat_byte(1), U256::ZERO)];
    signed.operation.call_data = execute_with_session_key(&elsewhere, key(1).address());
    let refused = resigned(&fixture, signed).await;
    match client.submitter().send(&refused).await {
        Sent::NotTaken(NotTaken {
            reason: NotTakenReason::Refused(refusal),
            ..
        }) => {
            let cause = Some(Revert::Plugin(PluginError::PermissionsCheckFailed));
            assert_eq!(refusal.cause, cause, "{refusal}");
        }
        sent => panic!("{sent:?}"),
    }
}

#[tokio::test]
async fn limits_refresh_after_their_interval() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::per(U256::from(100), 3600));
    let (fixture, client) = Fixture::with_key(permissions).await;
    let granted = fixture.testkit.chain().timestamp();
    let spend = || client.execute([Call::transfer(RECIPIENT, U256::from(80))]);
    spend().await.unwrap();
    // On a module, the first use begins the interval.
    let granted = if IS_V08 {
        fixture.testkit.chain().timestamp()
    } else {
        granted
    };
    // It would fit the next interval, and the error says when that begins.
    let error = spend().gas_limits(ample_gas()).await.unwrap_err();
    assert_eq!(error.advice(), Advice::TryAgainFrom { at: granted + 3600 });
    assert_not_allowed(error, &["native_limit_exceeded"]);
    {
        let mut chain = fixture.testkit.chain();
        chain.increase_time(3600);
        chain.mine();
    }
    spend().await.unwrap();
    assert_eq!(fixture.balance(RECIPIENT), U256::from(160));
}

#[tokio::test]
async fn a_first_operation_that_would_fail_is_not_sent() {
    let fixture = Fixture::new().await;
    let new = NewSessionKey::new(Address::ZERO, &Permissions::new()).unwrap();
    let error = fixture.owner.install_session_key_plugin([new]).await.unwrap_err();
    assert_eq!((error.code(), error.happened()), ("would_revert", Happened::No));
    let refused = Revert::Plugin(PluginError::InvalidSessionKey {
        session_key: Address::ZERO,
    });
    assert_eq!(error.revert().unwrap().root(), &refused, "{error:?}");
    assert!(!fixture.account.is_deployed().await.unwrap());
}
