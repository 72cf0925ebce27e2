//! What an owner grants is what is meant: limits that are changed, times that can be, and what a plugin can
//! reckon with.

use crate::{
    IS_V08,
    fixture::{Fixture, RECIPIENT, assert_not_allowed, key, operations_of, transfer},
    process::{Process, Way},
};
use session_key_client::{
    Call, NewSessionKey, OperationError, OwnerAction, SessionKeyClient,
    alloy::primitives::U256,
    operation::{Happened, Operation},
    permissions::{
        LimitChange, MAX_SECONDS, PermissionError, PermissionUpdates, Permissions, SpendLimit, TimeRange,
        words::UnixTime,
    },
};

const WEEK: u64 = 7 * 86_400;

fn pass(fixture: &Fixture, seconds: u64) {
    let mut chain = fixture.testkit.chain();
    chain.increase_time(seconds);
    chain.mine();
}

fn pay(client: &SessionKeyClient, amount: u64) -> Operation {
    client.execute([Call::transfer(RECIPIENT, U256::from(amount))])
}

/// A key with 100 a week, all of which is used; and what is left after so many seconds and a change to
/// 150 a week.
async fn left_after(change: &str, seconds: u64) -> (U256, u64) {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::per(U256::from(100), WEEK));
    let (fixture, client) = Fixture::with_key(permissions).await;
    pay(&client, 100).await.unwrap();
    pass(&fixture, seconds);
    let session_key = key(1).address();
    let current = fixture
        .account
        .native_token_spend_limit(session_key)
        .await
        .unwrap();
    let at = fixture.testkit.chain().timestamp();
    let change = match change {
        "keep" => LimitChange::Keep { current, at },
        "afresh" => LimitChange::Afresh,
        _ => LimitChange::Raw,
    };
    let limit = SpendLimit::per(U256::from(150), WEEK);
    fixture
        .update(
            session_key,
            PermissionUpdates::new().native_token_spend_limit(limit, change),
        )
        .await;
    let info = fixture
        .account
        .native_token_spend_limit(session_key)
        .await
        .unwrap();
    let now = fixture.testkit.chain().timestamp();
    let left = info.remaining(now).unwrap();
    // The key can spend as much, and not a wei more.
    let most = u64::try_from(left).unwrap();
    assert_not_allowed(
        pay(&client, most + 1).await.unwrap_err(),
        &["native_limit_exceeded"],
    );
    pay(&client, most).await.unwrap();
    assert_eq!(info.limit, U256::from(150));
    (left, info.refreshes_at().unwrap() - now)
}

#[tokio::test]
async fn a_limit_that_is_changed_leaves_what_the_owner_means() {
    for (change, week_is_over, week_runs) in [("raw", 50, 50), ("keep", 150, 50), ("afresh", 150, 150)] {
        assert_eq!(
            left_after(change, WEEK + 1).await,
            (U256::from(week_is_over), WEEK),
            "{change}"
        );
        assert_eq!(
            left_after(change, 10).await,
            (U256::from(week_runs), WEEK),
            "{change}"
        );
    }
}

// The same of a token's limit: a hundred a week, all used, and what can be paid after a change to 150.
#[tokio::test]
async fn a_limit_on_tokens_that_is_changed_leaves_what_the_owner_means() {
    for (change, after, left) in [
        ("raw", WEEK + 1, 50),
        ("keep", WEEK + 1, 150),
        ("keep", 10, 50),
        ("afresh", 10, 150),
    ] {
        let (fixture, client) = Fixture::with_spender().await;
        let token = fixture.stack.token;
        let set = async |amount: u64, change| {
            let limit = SpendLimit::per(U256::from(amount), WEEK);
            let updates = PermissionUpdates::new()
                .contract(token)
                .erc20_spend_limit(token, limit, change);
            fixture.update(key(1).address(), updates).await;
        };
        let pay = |amount| client.execute([Call::new(token, transfer(RECIPIENT, amount))]);
        set(100, LimitChange::Afresh).await;
        pay(100).await.unwrap();
        pass(&fixture, after);
        let current = fixture.account.erc20_spend_limit(key(1).address(), token);
        let current = current.await.unwrap();
        let at = fixture.testkit.chain().timestamp();
        let change_of = match change {
            "keep" => LimitChange::Keep { current, at },
            "afresh" => LimitChange::Afresh,
            _ => LimitChange::Raw,
        };
        set(150, change_of).await;
        assert_not_allowed(pay(left + 1).await.unwrap_err(), &["erc20_limit_exceeded"]);
        pay(left).await.unwrap();
        assert_eq!(
            fixture.token_balance(RECIPIENT),
            U256::from(100 + left),
            "{change}, {after}"
        );
    }
}

async fn assert_refused(fixture: &Fixture, operation: Operation, words: &str) {
    let before = operations_of(fixture).await.len();
    let error: OperationError = operation.await.unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("invalid_permission", Happened::No),
        "{error:?}"
    );
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(operations_of(fixture).await.len(), before);
}

#[tokio::test]
async fn a_time_that_is_over_is_not_granted() {
    let (fixture, _) = Fixture::with_spender().await;
    let now = fixture.testkit.chain().timestamp();
    let new = |until| {
        let permissions = Permissions::new().contract(RECIPIENT).valid_until(until);
        NewSessionKey::new(key(2).address(), &permissions).unwrap()
    };
    let owner = &fixture.owner;
    for until in [1, now - 1] {
        let words = UnixTime(until).to_string();
        assert_refused(&fixture, owner.add_session_key(new(until)), &words).await;
        let batch = owner.batch([
            OwnerAction::AddSessionKey(new(0)),
            OwnerAction::AddSessionKey(new(until)),
        ]);
        assert_refused(&fixture, batch, &words).await;
        let uninstalled = Fixture::new().await;
        let until = until.min(uninstalled.testkit.chain().timestamp() - 1);
        let words = UnixTime(until).to_string();
        assert_refused(
            &uninstalled,
            uninstalled.owner.install_session_key_plugin([new(until)]),
            &words,
        )
        .await;
    }
    // Nor by a plain transaction.
    let plain = fixture.account.owner_transaction(
        fixture.owner_signer.address(),
        [OwnerAction::AddSessionKey(new(now - 1))],
    );
    let error = plain.await.unwrap_err();
    assert_eq!(error.code(), "invalid_permission", "{error:?}");
    owner.add_session_key(new(now + 3_600)).await.unwrap();
    // To end a key's time is another thing: an owner may do that.
    let range = TimeRange {
        valid_after: 0,
        valid_until: now - 1,
    };
    fixture
        .update(key(2).address(), PermissionUpdates::new().time_range(range))
        .await;
}

#[tokio::test]
async fn milliseconds_and_times_that_end_before_they_begin_are_refused_unless_insisted_on() {
    let (fixture, _) = Fixture::with_spender().await;
    let millis = 1_800_000_000_000;
    for range in [
        TimeRange {
            valid_after: 0,
            valid_until: millis,
        },
        TimeRange {
            valid_after: millis,
            valid_until: 0,
        },
        TimeRange {
            valid_after: 1_900_000_001,
            valid_until: 1_900_000_000,
        },
    ] {
        let permissions = Permissions::new().contract(RECIPIENT).time_range(range);
        let error = NewSessionKey::new(key(2).address(), &permissions).unwrap_err();
        assert!(
            matches!(
                error,
                PermissionError::ImplausibleSeconds { .. } | PermissionError::EndBeforeStart { .. }
            ),
            "{error:?}"
        );
        let updates = PermissionUpdates::new().time_range(range);
        let update = fixture.owner.update_key_permissions(key(1).address(), updates);
        assert_refused(&fixture, update, &range.valid_until.max(1).to_string()[..1]).await;
        let insisted = NewSessionKey {
            key: key(3).address(),
            tag: Default::default(),
            permissions: permissions.encode_unchecked().unwrap(),
        };
        fixture.owner.add_session_key(insisted).await.unwrap();
        fixture.owner.remove_session_key(key(3).address()).await.unwrap();
    }
}

/// Lets the plugin on the fixture's chain be one of the same ABI that is not this project's.
fn another_plugin(fixture: &Fixture) {
    let plugin = fixture.stack.session_key_plugin;
    let mut chain = fixture.testkit.chain();
    let mut code = chain.code(plugin).to_vec();
    let version = code.windows(5).position(|bytes| bytes == b"1.1.0").unwrap();
    code[version..version + 5].copy_from_slice(b"1.0.1");
    chain.set_code(plugin, code).unwrap();
}

// On such a plugin every use of the key would fail, and be paid for.
#[tokio::test]
async fn a_native_interval_that_the_plugin_cannot_reckon_with_is_not_granted() {
    let (fixture, _) = Fixture::with_spender().await;
    let endless = SpendLimit::per(U256::from(10), LONG);
    let new = |limit| {
        let permissions = Permissions::new()
            .contract(RECIPIENT)
            .native_token_spend_limit(limit);
        NewSessionKey {
            key: key(2).address(),
            tag: Default::default(),
            permissions: permissions.encode_unchecked().unwrap(),
        }
    };
    // This project's plugin can.
    fixture.owner.add_session_key(new(endless)).await.unwrap();
    let process = Process::new(&fixture, Way::EntryPoint);
    pay(&process.agent_of(2), 1).await.unwrap();
    fixture.owner.remove_session_key(key(2).address()).await.unwrap();

    if IS_V08 {
        // There are no other modules of this ABI.
        return;
    }
    another_plugin(&fixture);
    assert_refused(
        &fixture,
        fixture.owner.add_session_key(new(endless)),
        &LONG.to_string(),
    )
    .await;
    let updates = PermissionUpdates::new().native_token_spend_limit(endless, LimitChange::Raw);
    let error = fixture
        .owner
        .update_key_permissions(key(1).address(), updates)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.happened()),
        ("invalid_permission", Happened::No),
        "{error:?}"
    );
    fixture
        .owner
        .add_session_key(new(SpendLimit::per(U256::from(10), WEEK)))
        .await
        .unwrap();
}

/// The longest interval that a plugin stores.
const LONG: u64 = MAX_SECONDS;
