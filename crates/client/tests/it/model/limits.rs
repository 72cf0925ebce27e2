//! Limits over time, updates of them, and whole bundles.

use super::*;

#[tokio::test]
async fn limits_refresh_as_on_chain() {
    let per_day = |amount| SpendLimit::per(amount, DAY);
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(per_day(n(10)), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, per_day(n(100)), LimitChange::Raw);
    let mut world = World::new(&updates);
    let end = START + DAY;
    let spend = |world: &World, native, tokens| world.operation(&[wei(native), transfer(n(tokens))]);

    let verdict = world.compare(spend(&world, 7, 70), START + 10).await;
    assert!(verdict.is_accepted());
    // Neither fits what is left; both would fit the next interval. One second too early, and in time.
    let verdict = world.compare(spend(&world, 4, 31), end - 1).await;
    assert_eq!(codes(&verdict), ["native_limit_exceeded", "erc20_limit_exceeded"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
    assert_eq!(verdict.passes_from(), Some(end));
    let verdict = world.compare(spend(&world, 4, 31), end).await;
    assert!(verdict.is_accepted());
    // The interval began when it was first used.
    let second = end + DAY;
    let verdict = world.compare(spend(&world, 0, 70), second - 1).await;
    assert_eq!(codes(&verdict), ["erc20_limit_exceeded"]);
    assert_eq!(verdict.passes_from(), Some(second));
    // Nothing spent opens an interval all the same.
    let verdict = world.compare(spend(&world, 0, 0), second + 5).await;
    assert!(verdict.is_accepted());
    assert_eq!(world.state.native_limit.last_used_time, second + 5);
    // What no interval could hold never passes.
    let verdict = world.compare(spend(&world, 11, 101), second + 3 * DAY).await;
    assert_eq!(codes(&verdict), ["native_limit_exceeded", "erc20_limit_exceeded"]);
    assert_eq!(verdict.passes_from(), None);
    // A batch may open an interval and then fill it, but not more.
    let batch = [transfer(n(60)), transfer(n(60))];
    let verdict = world.compare(world.operation(&batch), second + 3 * DAY + 1).await;
    assert_eq!(codes(&verdict), ["erc20_limit_exceeded"]);
    assert_eq!(
        (verdict.violations()[0].call, verdict.passes_from()),
        (Some(1), None)
    );
}

#[tokio::test]
async fn updates_change_what_they_name() {
    let per_day = |amount| SpendLimit::per(n(amount), DAY);
    let updates = list(AccessControlType::AllowAllAccess)
        .native_token_spend_limit(per_day(10), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, per_day(100), LimitChange::Raw)
        .gas_spend_limit(SpendLimit::per(COST, DAY), LimitChange::Raw);
    let mut world = World::new(&updates);
    let spend = world.operation(&[wei(7), transfer(n(70))]);
    assert!(world.compare(spend, START + 10).await.is_accepted());
    let new = PermissionUpdates::new;
    let one = SpendLimit::total(n(1));
    for (index, updates) in [
        // Below what is used; a new interval.
        new()
            .native_token_spend_limit(per_day(5), LimitChange::Raw)
            .erc20_spend_limit(TOKEN, per_day(60), LimitChange::Raw)
            .gas_spend_limit(per_day(1), LimitChange::Raw),
        // Totals.
        new()
            .native_token_spend_limit(one, LimitChange::Raw)
            .erc20_spend_limit(TOKEN, one, LimitChange::Raw)
            .gas_spend_limit(one, LimitChange::Raw),
        // Removed, and set again.
        new()
            .native_token_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw)
            .erc20_spend_limit(TOKEN, SpendLimit::UNLIMITED, LimitChange::Raw)
            .gas_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw),
        new().native_token_spend_limit(SpendLimit::per(U256::MAX, DAY), LimitChange::Raw),
        new()
            .native_token_spend_limit(per_day(5), LimitChange::Raw)
            .erc20_spend_limit(TOKEN, per_day(60), LimitChange::Raw)
            .gas_spend_limit(SpendLimit::per(COST, MAX_SECONDS), LimitChange::Raw),
        // Too large for one word of storage.
        new()
            .native_token_spend_limit(SpendLimit::per(U256::MAX - n(1), MAX_SECONDS), LimitChange::Raw)
            .erc20_spend_limit(TOKEN, SpendLimit::per(n(1) << 80, 1 << 40), LimitChange::Raw),
        new()
            .contract(SHOP)
            .without_contract(SHOP)
            .contract_functions(OTHER, [BUY])
            .without_function(OTHER, BUY)
            .erc20_spend_limit(OTHER, one, LimitChange::Raw)
            .access_control_type(AccessControlType::Denylist)
            .time_range(TimeRange {
                valid_after: 5,
                valid_until: MAX_SECONDS,
            })
            .required_paymaster(OTHER),
    ]
    .into_iter()
    .enumerate()
    {
        world.update(&updates, START + 20 + index as u64);
        world.assert_state().await;
    }
}

#[tokio::test]
async fn gas_is_booked_and_reset_as_on_chain() {
    let updates = list(AccessControlType::AllowAllAccess)
        .gas_spend_limit(SpendLimit::per(COST + n(1), DAY), LimitChange::Raw)
        .erc20_spend_limit(TOKEN, SpendLimit::total(n(100)), LimitChange::Raw);
    let mut world = World::new(&updates);
    let end = START + DAY;
    let free = |world: &World| UserOperation {
        max_fee_per_gas: U256::ZERO,
        ..world.operation(&[call(SHOP, BUY)])
    };
    let used = |world: &World| world.state.gas_limit.info.limit_used;

    assert!(
        world
            .compare(world.operation(&[call(SHOP, BUY)]), START + 1)
            .await
            .is_accepted()
    );
    assert_eq!(used(&world), COST);
    let verdict = world.compare(world.operation(&[call(SHOP, BUY)]), end - 1).await;
    assert_eq!(codes(&verdict), ["gas_limit_exceeded"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
    assert_eq!(verdict.passes_from(), Some(end));

    // The next interval opens with an operation that fails in execution: its gas is booked, and the reset
    // stays pending.
    let verdict = world.compare(world.operation(&[transfer(n(101))]), end).await;
    assert_eq!(verdict.phase(), Some(Phase::Execution));
    assert_eq!(used(&world), COST);
    assert!(world.state.gas_limit.should_reset);
    assert_eq!(world.state.gas_limit.info.last_used_time, START);

    // With the reset pending, the limit does not refresh, however long one waits.
    let verdict = world
        .compare(world.operation(&[call(SHOP, BUY)]), end + 9 * DAY)
        .await;
    assert_eq!(codes(&verdict), ["gas_limit_exceeded"]);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountReverted));
    assert_eq!(verdict.passes_from(), None);

    // What fits is executed, and settles the reset.
    let mut settled = World {
        testkit: Testkit::from(world.testkit.chain().clone()),
        ..world.clone()
    };
    settled.account = SmartAccount::new(
        settled.testkit.provider(),
        31_337,
        world.account.address(),
        *world.account.deployment(),
    );
    let time = end + 9 * DAY + 5;
    assert!(settled.compare(free(&settled), time).await.is_accepted());
    assert!(!settled.state.gas_limit.should_reset);
    assert_eq!(settled.state.gas_limit.info.last_used_time, time);

    // So does anyone's call.
    let reset = calldata::reset_session_key_gas_limit_timestamp(world.account.address(), world.key.address());
    let plugin = world.account.deployment().session_key_plugin;
    {
        let mut chain = world.testkit.chain();
        chain.set_next_timestamp(time).unwrap();
        chain
            .send(transaction(OTHER, plugin, reset))
            .unwrap()
            .ok()
            .unwrap();
    }
    world.state.settle_gas_reset(time);
    world.assert_state().await;
    assert_eq!(world.state, settled.state);
}

/// Validation of a whole bundle comes before its first execution.
#[tokio::test]
async fn bundles_are_judged_as_on_chain() {
    let updates = list(AccessControlType::AllowAllAccess)
        .gas_spend_limit(SpendLimit::per(COST, DAY), LimitChange::Raw)
        .native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw);
    let mut world = World::new(&updates);
    let paying = world.operation(&[wei(6)]);
    let free = UserOperation {
        max_fee_per_gas: U256::ZERO,
        ..world.operation(&[wei(6)])
    };
    assert!(
        world
            .compare(world.operation(&[wei(0)]), START + 1)
            .await
            .is_accepted()
    );

    // The first opens the next interval of the gas limit in validation; the second is validated with the
    // reset pending. Both fit the native limit when validated, the second no longer when executed.
    let time = START + 2 * DAY;
    let first = world.sign(paying, &world.key);
    let mut second = world.sign(free, &world.key);
    second.operation.nonce += U256::from(1);
    let entry_point = world.account.deployment().entry_point;
    second.hash = second.operation.hash(entry_point, 31_337);
    second.operation.signature = world
        .key
        .sign_message_sync(second.hash.as_slice())
        .unwrap()
        .as_bytes()
        .into();

    for signed in [&first, &second] {
        let violations = world
            .state
            .execute_validation(&signed.operation, Some(signed.hash), time);
        assert!(violations.is_empty(), "{violations:?}");
        assert!(world.state.gas_limit.should_reset);
    }
    assert!(world.state.execute_calls(&[wei(6)], time).is_empty());
    assert!(!world.state.gas_limit.should_reset);
    let violations = world.state.execute_calls(&[wei(6)], time);
    assert_eq!(violations.len(), 1);
    assert_eq!(
        (violations[0].code(), violations[0].phase),
        ("native_limit_exceeded", Phase::Execution)
    );

    let outcomes = world.include(&[first, second], time);
    let exceeded = PluginError::NativeTokenSpendLimitExceeded {
        account: world.account.address(),
        session_key: world.key.address(),
    };
    assert_eq!(
        outcomes,
        [Outcome::Success, Outcome::Reverted(Revert::Plugin(exceeded))]
    );
    world.assert_state().await;
}
