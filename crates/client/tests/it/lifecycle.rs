//! A session key through its life: granted, used, changed, rotated, removed, uninstalled.

use crate::fixture::{
    ETHER, Fixture, RECIPIENT, assert_key_not_found, assert_not_allowed, assert_would_revert, key, transfer,
};
use session_key_client::{
    Call, NewSessionKey, OwnerAction, Revert,
    account::ReadError,
    alloy::primitives::{Address, B256, U256},
    operation::{Happened, Progress},
    permissions::{
        AccessControlType, ERC20_APPROVE, ERC20_TRANSFER, LimitChange, PermissionUpdates, Permissions,
        SpendLimit, TimeRange,
    },
    revert::PluginError,
};
use std::sync::{Arc, Mutex};

fn token_permissions(token: Address) -> Permissions {
    Permissions::new()
        .contract_functions(token, [ERC20_TRANSFER, ERC20_APPROVE])
        .erc20_spend_limit(token, SpendLimit::total(U256::from(100)))
}

#[tokio::test]
async fn one_operation_creates_the_account_and_grants_a_key() {
    let fixture = Fixture::new().await;
    assert!(!fixture.account.is_deployed().await.unwrap());
    let session_key = key(1);
    let permissions = token_permissions(fixture.stack.token)
        .native_token_spend_limit(SpendLimit::per(U256::from(ETHER), 3600))
        .gas_spend_limit(SpendLimit::total(U256::from(ETHER)))
        .valid_until(2_000_000_000);
    let new = NewSessionKey::new(session_key.address(), &permissions)
        .unwrap()
        .with_tag(B256::repeat_byte(5));
    let progress = Arc::new(Mutex::new(Vec::new()));
    let noted = progress.clone();
    let included = fixture
        .owner
        .install_session_key_plugin([new])
        .on_progress(move |step| noted.lock().unwrap().push(step.clone()))
        .await
        .unwrap();
    let receipt = &included.receipt;
    let hash = receipt.user_op_hash;
    match progress.lock().unwrap().as_slice() {
        [
            Progress::Built(built),
            Progress::Signed(signed),
            Progress::Sent(sent),
            Progress::Included(last),
        ] => {
            assert_eq!(built.hash(fixture.stack.entry_point, 31337), hash);
            assert_eq!((signed.hash, *sent), (hash, hash));
            assert_eq!(**last, included);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(receipt.sender, fixture.account.address());
    assert!(!receipt.logs.is_empty());

    let account = &fixture.account;
    let key = session_key.address();
    assert!(account.is_deployed().await.unwrap());
    assert!(account.init_code().await.unwrap().is_empty());
    assert!(account.is_session_key_plugin_installed().await.unwrap());
    assert_eq!(account.owners().await.unwrap(), [fixture.owner_signer.address()]);
    assert_eq!(account.session_keys().await.unwrap(), [key]);
    assert_eq!(
        account.access_control_type(key).await.unwrap(),
        AccessControlType::Allowlist
    );
    let entry = account.access_list_entry(key, fixture.stack.token).await.unwrap();
    assert!(entry.is_on_list && entry.check_selectors);
    assert!(
        account
            .is_function_on_list(key, fixture.stack.token, ERC20_TRANSFER)
            .await
            .unwrap()
    );
    assert_eq!(
        account.time_range(key).await.unwrap(),
        TimeRange {
            valid_after: 0,
            valid_until: 2_000_000_000
        }
    );
    let limit = account.erc20_spend_limit(key, fixture.stack.token).await.unwrap();
    assert_eq!(
        (limit.limit, limit.limit_used, limit.has_limit),
        (U256::from(100), U256::ZERO, true)
    );
    let limit = account.native_token_spend_limit(key).await.unwrap();
    assert_eq!((limit.limit, limit.refresh_interval), (U256::from(ETHER), 3600));
    let limit = account.gas_spend_limit(key).await.unwrap();
    assert_eq!((limit.info.limit, limit.should_reset), (U256::from(ETHER), false));
    assert_eq!(account.required_paymaster(key).await.unwrap(), None);

    // And the key works.
    let client = fixture.session_key(session_key);
    let included = client
        .execute([
            Call::new(fixture.stack.token, transfer(RECIPIENT, 60)),
            Call::new(fixture.stack.token, transfer(RECIPIENT, 40)),
        ])
        .await
        .unwrap();
    assert_eq!(fixture.token_balance(RECIPIENT), U256::from(100));
    let limit = account.erc20_spend_limit(key, fixture.stack.token).await.unwrap();
    assert_eq!(limit.remaining(0), Some(U256::ZERO));
    let used = account.gas_spend_limit(key).await.unwrap().info.limit_used;
    assert!(
        used >= included.receipt.actual_gas_cost && used < U256::from(ETHER),
        "{used}"
    );
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let fixture_permissions = Permissions::new()
        .access_control_type(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(U256::from(1000)));
    let (fixture, client) = Fixture::with_key(fixture_permissions).await;
    let key = client.session_key();
    client
        .execute([Call::transfer(RECIPIENT, U256::from(400))])
        .await
        .unwrap();

    let updates = PermissionUpdates::new().time_range(TimeRange {
        valid_after: 5,
        valid_until: 2_000_000_000,
    });
    fixture.update(key, updates).await;
    assert_eq!(
        fixture.account.access_control_type(key).await.unwrap(),
        AccessControlType::AllowAllAccess
    );
    let limit = fixture.account.native_token_spend_limit(key).await.unwrap();
    assert_eq!(
        (limit.limit, limit.limit_used),
        (U256::from(1000), U256::from(400))
    );

    // A new limit keeps what is used, or starts over, as the owner says.
    let limit = SpendLimit::total(U256::from(500));
    let updates = PermissionUpdates::new().native_token_spend_limit(limit, LimitChange::Raw);
    fixture.update(key, updates).await;
    let info = fixture.account.native_token_spend_limit(key).await.unwrap();
    assert_eq!(info.remaining(0), Some(U256::from(100)));
    let updates = PermissionUpdates::new().native_token_spend_limit(limit, LimitChange::Afresh);
    fixture.update(key, updates).await;
    let info = fixture.account.native_token_spend_limit(key).await.unwrap();
    assert_eq!(info.remaining(0), Some(U256::from(500)));
}

#[tokio::test]
async fn a_rotated_key_hands_over_and_a_removed_key_is_dead() {
    let (fixture, old) = Fixture::with_key(
        Permissions::new()
            .contract(RECIPIENT)
            .native_token_spend_limit(SpendLimit::total(U256::from(100))),
    )
    .await;
    old.execute([Call::transfer(RECIPIENT, U256::from(70))])
        .await
        .unwrap();
    let new = fixture.session_key(key(2));
    fixture
        .owner
        .rotate_session_key(old.session_key(), new.session_key())
        .await
        .unwrap();
    let one = || [Call::transfer(RECIPIENT, U256::from(1))];
    assert_not_allowed(old.execute(one()).await.unwrap_err(), &["key_not_registered"]);
    new.execute(one()).await.unwrap();
    let limit = fixture
        .account
        .native_token_spend_limit(new.session_key())
        .await
        .unwrap();
    assert_eq!(limit.limit_used, U256::from(71));

    fixture.owner.remove_session_key(new.session_key()).await.unwrap();
    assert_not_allowed(new.execute(one()).await.unwrap_err(), &["key_not_registered"]);
    assert!(fixture.account.session_keys().await.unwrap().is_empty());
    let again = fixture.owner.remove_session_key(new.session_key());
    assert_key_not_found(&again.await.unwrap_err(), new.session_key());
    match fixture.account.time_range(new.session_key()).await.unwrap_err() {
        ReadError::Reverted { revert, .. } => assert_eq!(
            *revert,
            Revert::Plugin(PluginError::InvalidSessionKey {
                session_key: new.session_key()
            })
        ),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn predecessors_follow_a_batch() {
    let fixture = Fixture::new().await;
    let keys = [1, 2, 3, 4, 5].map(|number| key(number).address());
    let new = |key| NewSessionKey::new(key, &Permissions::new()).unwrap();
    fixture
        .owner
        .install_session_key_plugin(keys.map(new))
        .await
        .unwrap();
    let [a, b, c, d, e] = keys;
    // Newest first.
    assert_eq!(fixture.account.session_keys().await.unwrap(), [e, d, c, b, a]);
    for (position, key) in [e, d, c, b, a].into_iter().enumerate() {
        let list = fixture.account.key_list().await.unwrap();
        let found = fixture.account.find_predecessor(key).await.unwrap();
        assert_eq!(list.predecessor(key).unwrap(), found, "position {position}");
    }
    let [f, g] = [6, 7].map(|number| key(number).address());
    fixture
        .owner
        .batch([
            OwnerAction::RemoveSessionKey(d),
            OwnerAction::RemoveSessionKey(c),
            OwnerAction::AddSessionKey(new(f)),
            OwnerAction::RotateSessionKey { old: b, new: g },
            OwnerAction::RemoveSessionKey(e),
            OwnerAction::RemoveSessionKey(a),
            OwnerAction::Call(Call::transfer(RECIPIENT, U256::from(9))),
        ])
        .await
        .unwrap();
    assert_eq!(fixture.account.session_keys().await.unwrap(), [g, f]);
    assert_eq!(fixture.balance(RECIPIENT), U256::from(9));

    // All or none: the last of these fails.
    let error = fixture
        .owner
        .batch([
            OwnerAction::RemoveSessionKey(g),
            OwnerAction::AddSessionKey(new(f)),
        ])
        .await
        .unwrap_err();
    let refused = Revert::Plugin(PluginError::InvalidSessionKey { session_key: f });
    assert_would_revert(error, &refused);
    assert_eq!(fixture.account.session_keys().await.unwrap(), [g, f]);
}

#[tokio::test]
async fn keys_are_added_and_several_removed_at_once() {
    let (fixture, client) = Fixture::with_key(Permissions::new()).await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    let first = client.session_key();
    let [a, b, c] = [5, 6, 7].map(|number| key(number).address());
    for key in [a, b, c] {
        let new = NewSessionKey::new(key, &Permissions::new()).unwrap();
        owner.add_session_key(new).await.unwrap();
    }
    assert_eq!(account.session_keys().await.unwrap(), [c, b, a, first]);
    // Neighbours too: the predecessor of the second is no longer what it was.
    owner.remove_session_keys([b, a, c]).await.unwrap();
    assert_eq!(account.session_keys().await.unwrap(), [first]);

    let error = owner.remove_session_keys([first, a]).build().await.unwrap_err();
    assert_key_not_found(&error, a);
}

#[tokio::test]
async fn uninstalling_removes_every_key() {
    let (fixture, client) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    fixture.owner.uninstall_session_key_plugin().await.unwrap();
    assert!(!fixture.account.is_session_key_plugin_installed().await.unwrap());
    assert!(fixture.account.session_keys().await.unwrap().is_empty());
    // The account has no such function any more.
    let error = client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("plugin_not_installed", Happened::No),
        "{error:?}"
    );
    let again = NewSessionKey::new(client.session_key(), &Permissions::new().contract(RECIPIENT)).unwrap();
    fixture.owner.install_session_key_plugin([again]).await.unwrap();
    client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .await
        .unwrap();
}
