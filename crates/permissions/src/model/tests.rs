use super::*;
use crate::{
    AaCode, AccessControlType, Call, EntryPointVersion, Erc20SpendLimit, LimitChange, MAX_SECONDS,
    PermissionError, PermissionUpdate, PermissionUpdates, SpendLimit, SpendLimitInfo, TimeRange,
    UserOperation, erc20, execute_with_session_key, nonce, session_key_nonce_key,
};
use alloy_primitives::{Address, Bytes, Selector, U256, aliases::U192};

const ACCOUNT: Address = Address::repeat_byte(0xac);
const KEY: Address = Address::repeat_byte(0x5e);
const SHOP: Address = Address::repeat_byte(0x51);
const NOW: u64 = 1_800_000_000;

/// May call everything, with these additional limits.
fn state(updates: PermissionUpdates) -> KeyState {
    let mut state = KeyState::fresh(ACCOUNT, KEY);
    let everything = PermissionUpdates::new().access_control_type(AccessControlType::AllowAllAccess);
    state.apply(&everything, NOW).unwrap();
    state.apply(&updates, NOW).unwrap();
    state
}

fn n(amount: u64) -> U256 {
    U256::from(amount)
}

fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict.violations().iter().map(Violation::code).collect()
}

fn wei(amount: u64) -> [Call; 1] {
    [Call::transfer(SHOP, n(amount))]
}

/// An operation that costs at most `gas` wei.
fn operation(gas: u64) -> UserOperation {
    UserOperation {
        sender: ACCOUNT,
        nonce: nonce(session_key_nonce_key(KEY), 3),
        call_data: execute_with_session_key(&wei(0), KEY),
        call_gas_limit: n(gas),
        max_fee_per_gas: n(1),
        ..Default::default()
    }
}

#[test]
fn a_saturated_interval_never_ends_before_the_end_of_time() {
    let updates = PermissionUpdates::new()
        .native_token_spend_limit(SpendLimit::per(n(10), MAX_SECONDS), LimitChange::Raw);
    let mut state = state(updates);
    assert!(state.execute_calls(&wei(10), NOW).is_empty());
    let verdict = state.check_calls(&wei(1), MAX_SECONDS - 1);
    assert_eq!(codes(&verdict), ["native_limit_exceeded"]);
    assert_eq!(verdict.passes_from(), Some(MAX_SECONDS));
    assert!(state.check_calls(&wei(1), MAX_SECONDS).is_accepted());
}

#[test]
fn waiting_does_not_help_beyond_the_end_of_the_key() {
    let interval = 100;
    for (valid_until, passes_from) in [
        (NOW + interval - 1, None),
        (NOW + interval, Some(NOW + interval)),
        (0, Some(NOW + interval)),
    ] {
        let mut state = state(
            PermissionUpdates::new()
                .native_token_spend_limit(SpendLimit::per(n(10), interval), LimitChange::Raw)
                .time_range(TimeRange {
                    valid_after: 0,
                    valid_until,
                }),
        );
        assert!(state.execute_calls(&wei(10), NOW).is_empty());
        let verdict = state.check_calls(&wei(1), NOW + 1);
        assert_eq!(verdict.passes_from(), passes_from);
        // The EntryPoint returns the same code in either case.
        assert_eq!(verdict.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
    }
}

/// Validation data has 48 bits for the end; no end is written as zero, and read as the largest time, unless
/// all of the data is zero.
#[test]
fn an_operation_with_a_start_ends_at_the_end_of_time() {
    let bounded = |valid_after| {
        state(PermissionUpdates::new().time_range(TimeRange {
            valid_after,
            valid_until: 0,
        }))
    };
    for (valid_after, time, expected) in [
        (0, MAX_SECONDS + 1, vec![]),
        (1, MAX_SECONDS, vec![]),
        (1, MAX_SECONDS + 2, vec!["expired"]),
    ] {
        let verdict = bounded(valid_after).check_calls(&wei(0), time);
        assert_eq!(codes(&verdict), expected);
        assert_eq!(verdict.passes_from().is_some(), expected.is_empty());
    }
}

/// After the largest time that it can store, the plugin's clock wraps to zero.
#[test]
fn a_time_that_has_passed_is_not_waited_for() {
    let mut state = state(
        PermissionUpdates::new().native_token_spend_limit(SpendLimit::per(n(10), 10), LimitChange::Raw),
    );
    assert!(state.execute_calls(&wei(10), NOW).is_empty());
    for (time, passes_from) in [(NOW + 9, Some(NOW + 10)), (MAX_SECONDS + 1, None)] {
        let verdict = state.check_calls(&wei(1), time);
        assert_eq!(codes(&verdict)[0], "native_limit_exceeded");
        assert_eq!(verdict.passes_from(), passes_from);
    }
}

#[test]
fn a_verdict_reports_what_remains() {
    let mut state = state(
        PermissionUpdates::new()
            .native_token_spend_limit(SpendLimit::total(n(10)), LimitChange::Raw)
            .gas_spend_limit(SpendLimit::total(n(100)), LimitChange::Raw)
            .erc20_spend_limit(SHOP, SpendLimit::total(n(5)), LimitChange::Raw),
    );
    let mut operation = operation(60);
    operation.call_data = execute_with_session_key(&[Call::transfer(KEY, n(4))], KEY);
    let verdict = state.execute(&operation, NOW);
    let Verdict::Accepted {
        valid_after,
        valid_until,
        remaining,
    } = &verdict
    else {
        panic!("{verdict}");
    };
    assert_eq!((*valid_after, *valid_until), (0, 0));
    assert_eq!((remaining.native, remaining.gas), (Some(n(6)), Some(n(40))));
    assert_eq!(remaining.erc20, [(SHOP, n(5))].into());
    assert_eq!(
        verdict.to_string(),
        format!("accepted; 6 wei left to send; 40 wei left for gas; 5 left of token {SHOP}")
    );
}

#[test]
fn gas_is_booked_only_if_validation_passes() {
    let mut state =
        state(PermissionUpdates::new().gas_spend_limit(SpendLimit::per(n(100), 50), LimitChange::Raw));
    let before = state.clone();
    // Checking changes nothing; nor does a refused operation, even if its gas would fit.
    assert!(state.check(&operation(100), NOW).is_accepted());
    let refused = UserOperation {
        call_data: Bytes::new(),
        ..operation(100)
    };
    assert_eq!(
        codes(&state.execute(&refused, NOW)),
        ["not_execute_with_session_key"]
    );
    assert_eq!(state, before);

    assert!(state.execute(&operation(60), NOW).is_accepted());
    // Validation opens the next interval; another operation that fits it has to wait for its beginning too.
    assert!(
        state
            .execute_validation(&operation(70), None, NOW + 50)
            .is_empty()
    );
    assert!(state.gas_limit.should_reset);
    let verdict = state.check(&operation(30), NOW + 49);
    assert_eq!(codes(&verdict), ["gas_interval_not_begun"]);
    assert_eq!(
        (verdict.passes_from(), verdict.entry_point_code()),
        (Some(NOW + 50), Some(AaCode::ExpiredOrNotDue))
    );
    let verdict = state.check(&operation(31), NOW + 50);
    assert_eq!(
        (codes(&verdict), verdict.entry_point_code()),
        (vec!["gas_limit_exceeded"], Some(AaCode::AccountReverted))
    );
    assert!(state.check(&operation(30), NOW + 50).is_accepted());
    state.settle_gas_reset(NOW + 60);
    assert_eq!(state.gas_limit.info.last_used_time, NOW + 60);
    state.settle_gas_reset(NOW + 70);
    assert_eq!(state.gas_limit.info.last_used_time, NOW + 60);
}

#[test]
fn a_cost_that_overflows_fits_no_limit() {
    let state = state(
        PermissionUpdates::new().gas_spend_limit(SpendLimit::total(U256::MAX - n(1)), LimitChange::Raw),
    );
    let overflowing = UserOperation {
        verification_gas_limit: U256::MAX,
        ..operation(1)
    };
    assert_eq!(
        codes(&state.check(&overflowing, NOW)),
        ["gas_values_overflow", "gas_limit_exceeded"]
    );
    // Zero times too much is not nothing.
    let free = UserOperation {
        max_fee_per_gas: U256::ZERO,
        ..overflowing
    };
    assert_eq!(
        codes(&state.check(&free, NOW)),
        ["gas_values_overflow", "gas_limit_exceeded"]
    );
}

#[test]
fn updates_apply_all_or_none() {
    let mut state = KeyState::fresh(ACCOUNT, KEY);
    let before = state.clone();
    let good = PermissionUpdates::new().contract(SHOP);
    let bad = good
        .clone()
        .update(PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit {
            token: Address::ZERO,
            limit: SpendLimit::total(n(1)),
        }));
    assert_eq!(
        state.apply(&bad, NOW),
        Err(PermissionError::InvalidToken(Address::ZERO))
    );
    let mut encoded = good.encode().unwrap();
    encoded.push(Bytes::from_static(&[1, 2, 3]));
    assert!(state.apply_encoded(&encoded, NOW).is_err());
    assert_eq!(state, before);
    encoded.pop();
    state.apply_encoded(&encoded, NOW).unwrap();
    assert!(state.contracts[&SHOP].is_on_list);
}

#[test]
fn a_key_that_is_not_registered_may_do_nothing() {
    let state = KeyState {
        registered: false,
        ..state(PermissionUpdates::new())
    };
    for verdict in [
        state.check(&operation(1), NOW),
        state.check_calls(&wei(0), NOW),
        state.check_calls(&[], NOW),
    ] {
        assert_eq!(codes(&verdict), ["key_not_registered"]);
        assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountReverted));
    }
    assert_eq!(
        state.clone().execute_calls(&wei(0), NOW)[0].phase,
        Phase::Execution
    );
}

/// 100 a week, all used, and the week is over. The owner sets 150 a week.
#[test]
fn a_limit_change_does_what_the_owner_means() {
    const WEEK: u64 = 7 * 86_400;
    let old = SpendLimit::per(n(100), WEEK);
    let new = SpendLimit::per(n(150), WEEK);
    let mut used = state(
        PermissionUpdates::new()
            .native_token_spend_limit(old, LimitChange::Raw)
            .gas_spend_limit(old, LimitChange::Raw)
            .erc20_spend_limit(SHOP, old, LimitChange::Raw),
    );
    let calls = [
        Call::transfer(KEY, n(100)),
        Call::new(SHOP, erc20::transfer(KEY, n(100))),
    ];
    let operation = UserOperation {
        call_data: execute_with_session_key(&calls, KEY),
        ..operation(100)
    };
    assert!(used.execute(&operation, NOW).is_accepted());

    for (time, raw, keep, afresh) in [
        (NOW + WEEK - 1, 50, 50, 150),
        (NOW + WEEK, 50, 150, 150),
        (NOW + 9 * WEEK, 50, 150, 150),
    ] {
        let keep_what = LimitChange::Keep {
            current: used.native_limit,
            at: time,
        };
        let keep_gas = LimitChange::Keep {
            current: used.gas_limit,
            at: time,
        };
        for (change, gas_change, left) in [
            (LimitChange::Raw, LimitChange::Raw, raw),
            (keep_what, keep_gas, keep),
            (LimitChange::Afresh, LimitChange::Afresh, afresh),
        ] {
            let updates = PermissionUpdates::new()
                .native_token_spend_limit(new, change)
                .erc20_spend_limit(SHOP, new, change)
                .gas_spend_limit(new, gas_change);
            // Inclusion is a little later.
            let included = time + 5;
            let mut changed = used.clone();
            changed
                .apply_encoded(&updates.encode().unwrap(), included)
                .unwrap();
            let budgets = changed.budgets(included);
            for budget in [budgets.native, budgets.gas, budgets.erc20.get(&SHOP).copied()] {
                let budget = budget.unwrap();
                assert_eq!((budget.limit, budget.remaining), (n(150), n(left)), "{change:?}");
                assert_eq!(budget.refreshes_at, Some(included + WEEK));
            }
            let send = |amount| [Call::transfer(KEY, n(amount))];
            assert!(changed.check_calls(&send(left), included).is_accepted());
            assert!(!changed.check_calls(&send(left + 1), included).is_accepted());
        }
    }
}

/// Amounts booked with a pending reset belong to the interval that has not begun: `Keep` keeps them.
#[test]
fn keeping_a_gas_limit_keeps_what_a_pending_reset_has_booked() {
    let limit = SpendLimit::per(n(100), 50);
    let mut state = state(PermissionUpdates::new().gas_spend_limit(limit, LimitChange::Raw));
    assert!(state.execute(&operation(60), NOW).is_accepted());
    let time = NOW + 50;
    assert!(state.execute_validation(&operation(70), None, time).is_empty());
    let change = LimitChange::Keep {
        current: state.gas_limit,
        at: time,
    };
    state
        .apply(&PermissionUpdates::new().gas_spend_limit(limit, change), time)
        .unwrap();
    assert!(!state.gas_limit.should_reset);
    assert_eq!(state.gas_limit.remaining(time), Some(n(30)));
}

/// Between validation and execution, an operation of the owner in the same bundle.
#[test]
fn a_gas_limit_lowered_below_what_is_charged_refuses_the_calls() {
    for interval in [0, 50] {
        let limit = |wei| {
            PermissionUpdates::new().gas_spend_limit(SpendLimit::per(n(wei), interval), LimitChange::Raw)
        };
        let mut state = state(limit(100));
        assert!(state.execute_validation(&operation(60), None, NOW).is_empty());
        state.apply(&limit(60), NOW).unwrap();
        assert!(state.clone().execute_calls(&wei(0), NOW).is_empty());
        state.apply(&limit(59), NOW).unwrap();
        let before = state.clone();
        let violations = state.execute_calls(&wei(0), NOW);
        assert_eq!(violations.len(), 1);
        assert_eq!(
            (violations[0].code(), violations[0].phase),
            ("gas_limit_exceeded", Phase::Execution)
        );
        assert_eq!(state, before);
        // Another plugin with this ABI need not check.
        assert!(violations[0].is_beyond_abi());
        // The calls themselves are within the key's permissions, and an operation that fits the next interval
        // begins it.
        assert!(state.check_calls(&wei(0), NOW).is_accepted());
        let next = state.execute(&operation(59), NOW + 50);
        assert_eq!(next.is_accepted(), interval != 0, "{next}");
    }
}

/// The builder refuses them; the plugin does not.
#[test]
fn implausible_times_are_applied_as_on_chain() {
    let time_range = TimeRange {
        valid_after: MAX_SECONDS,
        valid_until: 1_800_000_000_000,
    };
    let updates = PermissionUpdates::new()
        .time_range(time_range)
        .gas_spend_limit(SpendLimit::per(n(1), MAX_SECONDS), LimitChange::Raw);
    assert!(updates.encode().is_err());
    let mut state = state(updates.clone());
    assert_eq!(state.time_range, time_range);
    assert_eq!(state.gas_limit.info.refresh_interval, MAX_SECONDS);
    state
        .apply_encoded(&updates.encode_unchecked().unwrap(), NOW)
        .unwrap();
}

#[test]
fn a_native_interval_without_an_end_makes_every_use_fail_on_some_plugins() {
    let limit = |interval| SpendLimit::per(n(10), interval);
    let last = MAX_SECONDS - NOW;
    for (interval, rule_set, fails) in [
        (MAX_SECONDS, RuleSet::Compatible, true),
        (last + 1, RuleSet::Compatible, true),
        (last, RuleSet::Compatible, false),
        (0, RuleSet::Compatible, false),
        (MAX_SECONDS, RuleSet::Strict, false),
    ] {
        let mut state =
            state(PermissionUpdates::new().native_token_spend_limit(limit(interval), LimitChange::Raw));
        state.rule_set = rule_set;
        // With and without value.
        for amount in [0, 1, 10] {
            let verdict = state.check_calls(&wei(amount), NOW + 1);
            if fails {
                assert_eq!(codes(&verdict), ["native_interval_end_overflow"]);
                assert!(matches!(verdict, Verdict::Refused { .. }), "{verdict}");
                // It is included, fails, and is paid for.
                assert_eq!(verdict.phase(), Some(Phase::Execution));
                assert_eq!(verdict.passes_from(), None);
            } else {
                assert!(verdict.is_accepted(), "{verdict}");
            }
        }
        let violations = state.clone().execute_calls(&wei(0), NOW + 1);
        assert_eq!(!violations.is_empty(), fails);
        // Validation needs the interval's end only for amounts that do not fit the current interval.
        state.native_limit.limit_used = n(5);
        let verdict = state.check_calls(&wei(6), NOW + 1);
        assert_eq!(
            codes(&verdict).contains(&"native_interval_end_overflow"),
            fails,
            "{verdict}"
        );
        if fails {
            assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountReverted));
        }
    }
    // Removing the limit removes the interval.
    let mut state =
        state(PermissionUpdates::new().native_token_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw));
    state.rule_set = RuleSet::Compatible;
    assert!(state.check_calls(&wei(1), NOW).is_accepted());
}

/// Sixteen times the calls may take up to 64 times as long, but not 256 times.
#[test]
fn the_work_is_linear_in_the_number_of_calls() {
    let address = |index: usize| Address::left_padding_from(&(index + 1_000_000).to_be_bytes());
    // Calls of distinct contracts: unknown ones, ones that are not listed, tokens whose limits they exceed,
    // and one token.
    type Setting = fn(&mut KeyState, Address);
    let limited: Setting = |state, token| {
        let contract = state.contracts.entry(token).or_default();
        contract.token_limit = SpendLimitInfo {
            has_limit: true,
            limit: n(1),
            refresh_interval: 60,
            last_used_time: NOW,
            ..Default::default()
        };
    };
    let not_listed: Setting = |state, _| state.access_control_type = AccessControlType::Allowlist;
    let unknown: Setting = |state, _| state.complete = false;
    for (setting, targets) in [
        (limited, usize::MAX),
        (limited, 1),
        (not_listed, usize::MAX),
        (unknown, usize::MAX),
    ] {
        let seconds = |count: usize| {
            let mut state = state(PermissionUpdates::new());
            let calls: Vec<Call> = (0..count)
                .map(|index| {
                    let target = address(index % targets);
                    setting(&mut state, target);
                    Call::new(target, erc20::transfer(KEY, n(2)))
                })
                .collect();
            let operation = UserOperation {
                call_data: execute_with_session_key(&calls, KEY),
                ..operation(1)
            };
            let best = (0..3).map(|_| {
                let start = std::time::Instant::now();
                let verdict = state.check(&operation, NOW + 1);
                let duration = start.elapsed();
                assert!(verdict.violations().len() >= count);
                duration
            });
            best.min().unwrap().as_secs_f64()
        };
        // A busy machine can spoil one measurement, but not all five.
        let is_linear = (0..5).any(|_| seconds(10_000) < 64.0 * seconds(625));
        assert!(is_linear, "10,000 calls take more than 64 times as long as 625");
    }
}

/// A state with every part, to test its JSON.
fn full_state() -> KeyState {
    let mut state = state(
        PermissionUpdates::new()
            .contract_functions(SHOP, [Selector::repeat_byte(7)])
            .native_token_spend_limit(SpendLimit::per(n(10), 60), LimitChange::Raw)
            .gas_spend_limit(SpendLimit::per(n(100), 60), LimitChange::Raw)
            .erc20_spend_limit(KEY, SpendLimit::per(n(5), 60), LimitChange::Raw)
            .time_range(TimeRange {
                valid_after: 1,
                valid_until: NOW + 100,
            })
            .required_paymaster(SHOP),
    );
    state.rule_set = RuleSet::Compatible;
    state.complete = false;
    state.gas_limit.should_reset = true;
    state
}

/// Calls `with` with every object in a JSON document, by its path.
fn objects(value: &serde_json::Value, path: &str, with: &mut impl FnMut(&str, Vec<String>)) {
    if let Some(object) = value.as_object() {
        with(path, object.keys().cloned().collect());
        for (name, value) in object {
            objects(value, &format!("{path}/{name}"), with);
        }
    }
}

/// Any missing, misspelt or extra member makes the document unreadable. Members of maps are data.
fn assert_strict<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
    value: &T,
    maps: &[&str],
) -> usize {
    let good = serde_json::to_value(value).unwrap();
    assert_eq!(serde_json::from_value::<T>(good.clone()).unwrap(), *value);
    let mut members = 0;
    objects(&good, "", &mut |path, names| {
        if maps.iter().any(|map| path.ends_with(map)) {
            return;
        }
        for name in names {
            members += 1;
            for misspelt in [false, true] {
                let mut bad = good.clone();
                let object = bad.pointer_mut(path).unwrap().as_object_mut().unwrap();
                let removed = object.remove(&name).unwrap();
                if misspelt {
                    object.insert(format!("{name}s"), removed);
                }
                assert!(serde_json::from_value::<T>(bad).is_err(), "{path} without {name}");
            }
        }
        let mut bad = good.clone();
        let object = bad.pointer_mut(path).unwrap().as_object_mut().unwrap();
        object.insert("another".to_owned(), serde_json::Value::Null);
        assert!(serde_json::from_value::<T>(bad).is_err(), "{path} with another");
    });
    members
}

#[test]
fn a_state_has_all_of_its_members_in_json() {
    let state = full_state();
    // Of the state, two contracts and their limits, the range, the native limit, the gas limit and its limit.
    let members = 12 + 2 * (4 + 5) + 2 + 5 + (2 + 5);
    assert_eq!(assert_strict(&state, &["/contracts", "/functions"]), members);
    // Absent values are written too.
    let bare = KeyState::fresh(ACCOUNT, KEY);
    assert_eq!(assert_strict(&bare, &["/contracts"]), 12 + 2 + 5 + (2 + 5));
}

#[test]
fn budgets_and_spends_have_all_of_their_members_in_json() {
    let state = full_state();
    assert_eq!(assert_strict(&state.budgets(NOW), &["/erc20"]), 4 + 3 * 4);
    assert_eq!(assert_strict(&state.remaining(NOW), &["/erc20"]), 3);
    let unlimited = super::tests::state(
        PermissionUpdates::new().native_token_spend_limit(SpendLimit::UNLIMITED, LimitChange::Raw),
    );
    assert_eq!(assert_strict(&unlimited.budgets(NOW), &["/erc20"]), 4);
    assert_eq!(assert_strict(&unlimited.remaining(NOW), &["/erc20"]), 3);
    let spend = Spend {
        erc20: [(SHOP, n(1))].into(),
        ..Spend::default()
    };
    assert_eq!(assert_strict(&spend, &["/erc20"]), 3);
}

/// A number for each rule. Without a wildcard, so a new rule cannot be missing from the test below.
fn position(rule: &Rule) -> usize {
    match rule {
        Rule::InvalidPaymasterAndData { .. } => 0,
        Rule::GasValuesOverflow => 1,
        Rule::SenderMismatch { .. } => 2,
        Rule::NotExecuteWithSessionKey { .. } => 3,
        Rule::MalformedCallData { .. } => 4,
        Rule::MalformedSignature => 5,
        Rule::WrongSigner { .. } => 6,
        Rule::SessionKeyMismatch { .. } => 7,
        Rule::KeyNotRegistered { .. } => 8,
        Rule::NotYetValid { .. } => 9,
        Rule::Expired { .. } => 10,
        Rule::NoCalls => 11,
        Rule::TargetIsAccount => 12,
        Rule::TargetIsEntryPoint => 13,
        Rule::ContractNotOnAllowlist { .. } => 14,
        Rule::FunctionNotOnAllowlist { .. } => 15,
        Rule::ContractOnDenylist { .. } => 16,
        Rule::FunctionOnDenylist { .. } => 17,
        Rule::ShortCallData { .. } => 18,
        Rule::TokenFunctionNotAllowed { .. } => 19,
        Rule::ShortTokenCallData { .. } => 20,
        Rule::NativeLimitExceeded(_) => 21,
        Rule::Erc20LimitExceeded { .. } => 22,
        Rule::GasLimitExceeded { .. } => 23,
        Rule::GasIntervalNotBegun { .. } => 24,
        Rule::NonceKey { .. } => 25,
        Rule::PaymasterRequired { .. } => 26,
        Rule::IntervalEndOverflow { .. } => 27,
        Rule::NativeIntervalEndOverflow { .. } => 28,
        Rule::StateNotLoaded { .. } => 29,
        Rule::TargetIsModule { .. } => 30,
        Rule::EntryPointVersion { .. } => 31,
    }
}

/// The code in JSON is the code in Rust, and every rule survives the round trip.
#[test]
fn codes_are_those_of_json() {
    let spending = Spending {
        asked: n(2),
        limit: n(3),
        used: n(2),
        refreshes_at: None,
    };
    let (target, selector, length) = (SHOP, Selector::repeat_byte(7), 3);
    let (last_used_time, refresh_interval) = (1, MAX_SECONDS);
    let rules = [
        Rule::InvalidPaymasterAndData { length },
        Rule::GasValuesOverflow,
        Rule::SenderMismatch {
            sender: SHOP,
            account: ACCOUNT,
        },
        Rule::NotExecuteWithSessionKey { selector },
        Rule::MalformedCallData {
            part: CallDataPart::Data(2),
            dirty_address: false,
        },
        Rule::MalformedSignature,
        Rule::WrongSigner {
            signer: SHOP,
            session_key: KEY,
        },
        Rule::SessionKeyMismatch {
            session_key: SHOP,
            expected: KEY,
        },
        Rule::KeyNotRegistered { session_key: KEY },
        Rule::NotYetValid { valid_after: 1 },
        Rule::Expired { valid_until: 1 },
        Rule::NoCalls,
        Rule::TargetIsAccount,
        Rule::TargetIsEntryPoint,
        Rule::ContractNotOnAllowlist { target },
        Rule::FunctionNotOnAllowlist { target, selector },
        Rule::ContractOnDenylist { target },
        Rule::FunctionOnDenylist { target, selector },
        Rule::ShortCallData { target, length },
        Rule::TokenFunctionNotAllowed {
            token: SHOP,
            selector,
        },
        Rule::ShortTokenCallData { token: SHOP, length },
        Rule::NativeLimitExceeded(spending),
        Rule::Erc20LimitExceeded {
            token: SHOP,
            spending,
        },
        Rule::GasLimitExceeded {
            spending,
            reset_pending: true,
        },
        Rule::GasIntervalNotBegun { begins_at: 5 },
        Rule::NonceKey {
            nonce_key: U192::MAX,
            expected: U192::from(1),
        },
        Rule::PaymasterRequired {
            required: SHOP,
            found: None,
        },
        Rule::IntervalEndOverflow {
            last_used_time,
            refresh_interval,
        },
        Rule::NativeIntervalEndOverflow {
            last_used_time,
            refresh_interval,
        },
        Rule::StateNotLoaded {
            target,
            selector: None,
        },
        Rule::TargetIsModule { target },
        Rule::EntryPointVersion {
            expected: EntryPointVersion::V06,
            found: EntryPointVersion::V07,
        },
    ];
    // Every rule is here once, in order.
    assert!(rules.iter().map(position).eq(0..32));
    let codes: std::collections::BTreeSet<_> = rules.iter().map(Rule::code).collect();
    assert_eq!(codes.len(), rules.len());
    for rule in rules {
        let violation = Violation {
            call: Some(1),
            passes_from: Some(9),
            ..Violation::new(rule, Phase::Execution)
        };
        let json = serde_json::to_value(&violation).unwrap();
        assert_eq!(json["code"], violation.code());
        assert_eq!(json["message"], violation.to_string());
        assert_conventional(&json, violation.code());
        assert_eq!(serde_json::from_value::<Violation>(json).unwrap(), violation);
    }
    let amounts = serde_json::to_value(Rule::NativeLimitExceeded(spending)).unwrap();
    assert_eq!(amounts["askedWei"], spending.asked.to_string());
    let amounts = serde_json::to_value(Rule::Erc20LimitExceeded {
        token: SHOP,
        spending,
    });
    assert_eq!(amounts.unwrap()["limitBaseUnits"], spending.limit.to_string());
}

/// Members are in camel case, amounts are no hexadecimal texts, and addresses have their checksum.
fn assert_conventional(value: &serde_json::Value, of: &str) {
    for (name, member) in value.as_object().unwrap() {
        assert!(!name.contains('_'), "{of}: {name}");
        let Some(text) = member.as_str() else { continue };
        let is_bytes = ["selector", "message"].contains(&name.as_str());
        let is_address = text
            .parse::<Address>()
            .is_ok_and(|address| address.to_string() == text);
        assert!(
            !text.starts_with("0x") || is_bytes || is_address,
            "{of}: {name} = {text}"
        );
    }
}
