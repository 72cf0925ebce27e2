//! Session keys through their life, on the real bytecode.

use crate::fixture::{ETHER, Fixture, key, transfer};
use session_key_client::{
    Call, NewSessionKey, OwnerAction, Revert, SmartAccount,
    account::ReadError,
    alloy::{
        primitives::{Address, B256, Bytes, U256},
        providers::Provider,
        signers::Signer,
    },
    calldata::{
        EXECUTE_WITH_SESSION_KEY, FunctionReference, UninstallConfig, multi_owner_plugin_install_data,
    },
    operation::{FixedPaymaster, OperationError},
    permissions::{
        AccessControlType, ERC20_APPROVE, ERC20_TRANSFER, PermissionUpdates, Permissions, SpendLimit,
        TimeRange,
    },
    revert::{AaCode, AccountError, PluginError},
    submit::{GasEstimate, Outcome, SubmitError},
};
use std::sync::Mutex;

const RECIPIENT: Address = Address::repeat_byte(0x77);

/// Refused in validation by the plugin's permission check.
fn assert_permissions_refused(error: OperationError) {
    match error {
        OperationError::Submit(SubmitError::Refused(refusal)) => {
            assert_eq!(refusal.code, Some(AaCode::AccountReverted), "{refusal}");
            assert_eq!(
                refusal.cause,
                Some(Revert::Plugin(PluginError::PermissionsCheckFailed)),
                "{refusal}"
            );
        }
        error => panic!("{error:?}"),
    }
}

/// Limits that are enough for every operation here: with them nothing is simulated.
fn ample_gas() -> GasEstimate {
    GasEstimate {
        call_gas_limit: U256::from(500_000),
        verification_gas_limit: U256::from(500_000),
        pre_verification_gas: U256::from(100_000),
    }
}

fn token_permissions(fixture_token: Address) -> Permissions {
    Permissions::new()
        .contract_functions(fixture_token, [ERC20_TRANSFER, ERC20_APPROVE])
        .erc20_spend_limit(fixture_token, SpendLimit::total(U256::from(100)))
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
    let progress = Mutex::new(0);
    let receipt = fixture
        .owner
        .install_session_key_plugin([new])
        .on_progress(|_| *progress.lock().unwrap() += 1)
        .execute()
        .await
        .unwrap();
    assert_eq!(*progress.lock().unwrap(), 4);
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
    let receipt = client
        .execute([
            Call::new(fixture.stack.token, transfer(RECIPIENT, 60)),
            Call::new(fixture.stack.token, transfer(RECIPIENT, 40)),
        ])
        .execute()
        .await
        .unwrap();
    assert_eq!(fixture.token_balance(RECIPIENT), U256::from(100));
    let limit = account.erc20_spend_limit(key, fixture.stack.token).await.unwrap();
    assert_eq!(limit.remaining(0), Some(U256::ZERO));
    let used = account.gas_spend_limit(key).await.unwrap().info.limit_used;
    assert!(
        used >= receipt.actual_gas_cost && used < U256::from(ETHER),
        "{used}"
    );
}

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
    let new = NewSessionKey::new(session_key.address(), &permissions).unwrap();
    fixture
        .owner
        .install_session_key_plugin([new])
        .execute()
        .await
        .unwrap();
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
    fixture
        .owner
        .update_key_permissions(client.session_key(), updates)
        .execute()
        .await
        .unwrap();
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
async fn an_update_changes_what_it_names_and_nothing_else() {
    let fixture_permissions = Permissions::new()
        .access_control_type(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(SpendLimit::total(U256::from(1000)));
    let (fixture, client) = Fixture::with_key(fixture_permissions).await;
    let key = client.session_key();
    client
        .execute([Call::transfer(RECIPIENT, U256::from(400))])
        .execute()
        .await
        .unwrap();

    let updates = PermissionUpdates::new().time_range(TimeRange {
        valid_after: 5,
        valid_until: 2_000_000_000,
    });
    fixture
        .owner
        .update_key_permissions(key, updates)
        .execute()
        .await
        .unwrap();
    assert_eq!(
        fixture.account.access_control_type(key).await.unwrap(),
        AccessControlType::AllowAllAccess
    );
    let limit = fixture.account.native_token_spend_limit(key).await.unwrap();
    assert_eq!(
        (limit.limit, limit.limit_used),
        (U256::from(1000), U256::from(400))
    );

    // A new limit keeps what is used; removing it first starts over.
    let limit = SpendLimit::total(U256::from(500));
    let updates = PermissionUpdates::new().native_token_spend_limit(limit);
    fixture
        .owner
        .update_key_permissions(key, updates)
        .execute()
        .await
        .unwrap();
    let info = fixture.account.native_token_spend_limit(key).await.unwrap();
    assert_eq!(info.remaining(0), Some(U256::from(100)));
    let updates = PermissionUpdates::new()
        .native_token_spend_limit(SpendLimit::UNLIMITED)
        .native_token_spend_limit(limit);
    fixture
        .owner
        .update_key_permissions(key, updates)
        .execute()
        .await
        .unwrap();
    let info = fixture.account.native_token_spend_limit(key).await.unwrap();
    assert_eq!(info.remaining(0), Some(U256::from(500)));
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
async fn a_rotated_key_hands_over_and_a_removed_key_is_dead() {
    let (fixture, old) = Fixture::with_key(
        Permissions::new()
            .contract(RECIPIENT)
            .native_token_spend_limit(SpendLimit::total(U256::from(100))),
    )
    .await;
    old.execute([Call::transfer(RECIPIENT, U256::from(70))])
        .execute()
        .await
        .unwrap();
    let new = fixture.session_key(key(2));
    fixture
        .owner
        .rotate_session_key(old.session_key(), new.session_key())
        .execute()
        .await
        .unwrap();
    let one = || [Call::transfer(RECIPIENT, U256::from(1))];
    assert_permissions_refused(old.execute(one()).execute().await.unwrap_err());
    new.execute(one()).execute().await.unwrap();
    let limit = fixture
        .account
        .native_token_spend_limit(new.session_key())
        .await
        .unwrap();
    assert_eq!(limit.limit_used, U256::from(71));

    fixture
        .owner
        .remove_session_key(new.session_key())
        .execute()
        .await
        .unwrap();
    assert_permissions_refused(new.execute(one()).execute().await.unwrap_err());
    assert!(fixture.account.session_keys().await.unwrap().is_empty());
    match fixture
        .owner
        .remove_session_key(new.session_key())
        .execute()
        .await
        .unwrap_err()
    {
        OperationError::Key(error) => assert_eq!(error.0, new.session_key()),
        error => panic!("{error:?}"),
    }
    match fixture.account.time_range(new.session_key()).await.unwrap_err() {
        ReadError::Reverted { revert, .. } => assert_eq!(
            revert,
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
        .execute()
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
        .execute()
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
        .execute()
        .await
        .unwrap_err();
    let refused = Revert::Plugin(PluginError::InvalidSessionKey { session_key: f });
    match error {
        OperationError::Submit(SubmitError::WouldRevert(revert)) => assert_eq!(revert, refused),
        error => panic!("{error:?}"),
    }
    assert_eq!(fixture.account.session_keys().await.unwrap(), [g, f]);
}

#[tokio::test]
async fn an_owner_revokes_without_a_bundler() {
    let (fixture, client) = Fixture::with_key(Permissions::new()).await;
    let owner = fixture.owner_signer.address();
    let transaction = fixture
        .account
        .owner_transaction(owner, [OwnerAction::RemoveSessionKey(client.session_key())])
        .await
        .unwrap();
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    let receipt = provider
        .send_transaction(transaction)
        .await
        .unwrap()
        .get_receipt()
        .await
        .unwrap();
    assert!(receipt.status());
    assert!(
        !fixture
            .account
            .is_session_key(client.session_key())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn uninstalling_removes_every_key() {
    let (fixture, client) = Fixture::with_key(Permissions::new().contract(RECIPIENT)).await;
    fixture
        .owner
        .uninstall_session_key_plugin()
        .execute()
        .await
        .unwrap();
    assert!(!fixture.account.is_session_key_plugin_installed().await.unwrap());
    assert!(fixture.account.session_keys().await.unwrap().is_empty());
    // The account has no such function any more.
    assert!(
        client
            .execute([Call::transfer(RECIPIENT, U256::ZERO)])
            .execute()
            .await
            .is_err()
    );
    let again = NewSessionKey::new(client.session_key(), &Permissions::new().contract(RECIPIENT)).unwrap();
    fixture
        .owner
        .install_session_key_plugin([again])
        .execute()
        .await
        .unwrap();
    client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .execute()
        .await
        .unwrap();
}

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
        // Removed first, so that nothing is used.
        let updates = PermissionUpdates::new()
            .gas_spend_limit(SpendLimit::UNLIMITED)
            .gas_spend_limit(SpendLimit::total(limit));
        let owner = &fixture.owner;
        let key = client.session_key();
        async move {
            owner
                .update_key_permissions(key, updates)
                .execute()
                .await
                .unwrap()
        }
    };
    let limit = full * U256::from(8) / U256::from(10);
    set(limit).await;
    let lowered = operation().build().await.unwrap();
    assert!(lowered.max_cost().unwrap() <= limit);
    assert!(lowered.max_fee_per_gas < built.max_fee_per_gas);
    operation().execute().await.unwrap();

    set(full / U256::from(10)).await;
    assert!(matches!(
        operation().execute().await.unwrap_err(),
        OperationError::GasBudget(_)
    ));
    // Fees of one's own are not lowered.
    let fees = operation().fees(built.max_fee_per_gas, built.max_priority_fee_per_gas);
    assert!(matches!(
        fees.execute().await.unwrap_err(),
        OperationError::GasBudget(_)
    ));
}

#[tokio::test]
async fn a_required_paymaster_pays() {
    let fixture = Fixture::new().await;
    let paymaster = fixture.stack.paymaster;
    let session_key = key(1);
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .required_paymaster(paymaster);
    let new = NewSessionKey::new(session_key.address(), &permissions).unwrap();
    fixture
        .owner
        .install_session_key_plugin([new])
        .execute()
        .await
        .unwrap();
    let provider = fixture.testkit.provider_with_signer(fixture.owner_signer.clone());
    let deposit = session_key_bindings::IEntryPoint::depositToCall { account: paymaster };
    let deposit = session_key_client::alloy::rpc::types::TransactionRequest {
        to: Some(fixture.stack.entry_point.into()),
        value: Some(U256::from(ETHER)),
        input: session_key_client::alloy::sol_types::SolCall::abi_encode(&deposit).into(),
        ..Default::default()
    };
    assert!(
        provider
            .send_transaction(deposit)
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap()
            .status()
    );

    let client = fixture.session_key(session_key);
    let one = || [Call::transfer(RECIPIENT, U256::ZERO)];
    assert_permissions_refused(client.execute(one()).execute().await.unwrap_err());
    let before = fixture.balance(fixture.account.address());
    let sponsored = client.clone().with_paymaster(FixedPaymaster::new(paymaster));
    let receipt = sponsored.execute(one()).execute().await.unwrap();
    assert_eq!(receipt.paymaster, Some(paymaster));
    assert_eq!(fixture.balance(fixture.account.address()), before);
    // Without the client's paymaster for once.
    assert_permissions_refused(
        sponsored
            .execute(one())
            .paymaster_and_data(Bytes::new())
            .execute()
            .await
            .unwrap_err(),
    );
}

#[tokio::test]
async fn one_bundle_carries_many_and_drops_the_refused() {
    use session_key_client::submit::EntryPointSubmitter;
    let fixture = Fixture::new().await;
    let keys: Vec<_> = (1..=5).map(key).collect();
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .native_token_spend_limit(SpendLimit::total(U256::from(10)));
    let new: Vec<_> = keys
        .iter()
        .map(|key| NewSessionKey::new(key.address(), &permissions).unwrap())
        .collect();
    fixture
        .owner
        .install_session_key_plugin(new)
        .execute()
        .await
        .unwrap();
    let mut signed = Vec::new();
    for (position, key) in keys.into_iter().enumerate() {
        let client = fixture.session_key(key);
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
    let bundler = session_key_testkit::dev_accounts()[2].signer();
    let from = bundler.address();
    let submitter = EntryPointSubmitter::new(
        fixture.testkit.provider_with_signer(bundler),
        fixture.stack.entry_point,
        from,
    );
    let error = submitter.send_all(&signed).await.unwrap_err();
    assert!(matches!(error, SubmitError::Refused(_)), "{error}");
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
    use session_key_client::submit::Submitter as _;
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

#[tokio::test]
async fn owners_sign_for_the_account_and_change() {
    let (fixture, client) = Fixture::with_key(Permissions::new()).await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    let digest = B256::repeat_byte(3);
    let signature = owner.sign_digest(digest).await.unwrap();
    assert!(
        account
            .is_valid_signature(digest, signature.clone())
            .await
            .unwrap()
    );
    assert!(
        !account
            .is_valid_signature(B256::repeat_byte(4), signature.clone())
            .await
            .unwrap()
    );
    let domain = account.eip712_domain().await.unwrap();
    assert_eq!(domain.name.as_deref(), Some("Multi Owner Plugin"));
    assert_eq!(domain.verifying_contract, Some(account.address()));

    let second = key(8).address();
    owner
        .update_owners([second], [fixture.owner_signer.address()])
        .execute()
        .await
        .unwrap();
    assert_eq!(account.owners().await.unwrap(), [second]);
    assert!(account.is_owner(second).await.unwrap());
    assert!(!account.is_valid_signature(digest, signature).await.unwrap());
    // The former owner cannot do anything any more.
    match owner
        .remove_session_key(client.session_key())
        .execute()
        .await
        .unwrap_err()
    {
        OperationError::Submit(SubmitError::Refused(refusal)) => {
            assert_eq!(refusal.code, Some(AaCode::AccountSignature));
        }
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn the_loupe_shows_what_is_installed() {
    let (fixture, _) = Fixture::with_key(Permissions::new()).await;
    let (account, stack) = (&fixture.account, &fixture.stack);
    assert_eq!(
        account.installed_plugins().await.unwrap(),
        [stack.session_key_plugin, stack.multi_owner_plugin]
    );
    let config = account
        .execution_function_config(EXECUTE_WITH_SESSION_KEY)
        .await
        .unwrap();
    assert_eq!(config.plugin, stack.session_key_plugin);
    assert_eq!(
        config.user_op_validation_function,
        FunctionReference::new(stack.session_key_plugin, 0)
    );
    let (user_op, runtime) = account
        .pre_validation_hooks(EXECUTE_WITH_SESSION_KEY)
        .await
        .unwrap();
    assert_eq!((user_op.len(), runtime.len()), (0, 1));
    assert!(
        account
            .execution_hooks(EXECUTE_WITH_SESSION_KEY)
            .await
            .unwrap()
            .is_empty()
    );
    // An error is an error: nothing is there to answer.
    let nobody = SmartAccount::new(
        fixture.testkit.provider(),
        31337,
        RECIPIENT,
        *account.deployment(),
    );
    assert!(matches!(
        nobody.installed_plugins().await,
        Err(ReadError::UnexpectedAnswer { .. })
    ));
    let connected = SmartAccount::connect(fixture.testkit.provider(), RECIPIENT).await;
    assert!(matches!(connected, Err(ReadError::UnknownDeployment(31337))));
}

#[tokio::test]
async fn a_pending_gas_reset_is_seen_and_settled() {
    let permissions = Permissions::new()
        .contract(RECIPIENT)
        .gas_spend_limit(SpendLimit::per(U256::from(ETHER), 3600));
    let (fixture, client) = Fixture::with_key(permissions).await;
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
        .execute()
        .await
        .unwrap();
    pass(3600);
    // Validation opens the next interval; execution, which would settle it, fails for want of gas.
    let starved = GasEstimate {
        call_gas_limit: U256::from(1000),
        ..ample_gas()
    };
    let outcome = client
        .execute([Call::transfer(RECIPIENT, U256::ZERO)])
        .gas_limits(starved)
        .fees(full, ample.max_priority_fee_per_gas)
        .outcome()
        .await
        .unwrap();
    assert!(
        matches!(outcome, Outcome::Reverted { reason: Revert::Unknown(ref data), .. } if data.is_empty())
    );
    assert!(fixture.account.gas_spend_limit(key).await.unwrap().should_reset);

    let anyone = session_key_testkit::dev_accounts()[4].signer();
    let transaction = fixture
        .account
        .reset_session_key_gas_limit_timestamp(anyone.address(), key);
    let provider = fixture.testkit.provider_with_signer(anyone);
    assert!(
        provider
            .send_transaction(transaction)
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap()
            .status()
    );
    assert!(!fixture.account.gas_spend_limit(key).await.unwrap().should_reset);
}

#[tokio::test]
async fn an_owner_plugin_can_be_exchanged_in_one_operation() {
    let fixture = Fixture::new().await;
    let (account, owner) = (&fixture.account, &fixture.owner);
    owner
        .execute(Call::transfer(RECIPIENT, U256::from(1)))
        .execute()
        .await
        .unwrap();
    let plugin = fixture.stack.multi_owner_plugin;
    // While it is installed, it cannot be installed again.
    let again = owner
        .install_multi_owner_plugin([key(8).address()])
        .execute()
        .await
        .unwrap_err();
    match again {
        OperationError::Submit(SubmitError::WouldRevert(revert)) => {
            assert_eq!(
                revert,
                Revert::Account(AccountError::PluginAlreadyInstalled { plugin })
            );
        }
        error => panic!("{error:?}"),
    }
    let install_data = multi_owner_plugin_install_data(&[key(8).address()]);
    owner
        .batch([
            OwnerAction::UninstallPlugin {
                plugin,
                config: UninstallConfig::default(),
                uninstall_data: Bytes::new(),
            },
            OwnerAction::InstallPlugin {
                plugin,
                manifest_hash: None,
                install_data,
                dependencies: Vec::new(),
            },
        ])
        .execute()
        .await
        .unwrap();
    assert_eq!(account.owners().await.unwrap(), [key(8).address()]);
}
