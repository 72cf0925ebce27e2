use super::*;
use crate::{
    AaCode, AccessControlType, Call, Erc20SpendLimit, MAX_SECONDS, PermissionError, PermissionUpdate,
    PermissionUpdates, SpendLimit, TimeRange, UserOperation, execute_with_session_key, nonce,
    session_key_nonce_key,
};
use alloy_primitives::{Address, Bytes, Selector, U256, aliases::U192};

const ACCOUNT: Address = Address::repeat_byte(0xac);
const KEY: Address = Address::repeat_byte(0x5e);
const SHOP: Address = Address::repeat_byte(0x51);
const NOW: u64 = 1_800_000_000;

/// May call everything, with these limits in addition.
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

/// An operation that costs `gas` wei at the most.
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
    let updates = PermissionUpdates::new().native_token_spend_limit(SpendLimit::per(n(10), MAX_SECONDS));
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
                .native_token_spend_limit(SpendLimit::per(n(10), interval))
                .time_range(TimeRange {
                    valid_after: 0,
                    valid_until,
                }),
        );
        assert!(state.execute_calls(&wei(10), NOW).is_empty());
        let verdict = state.check_calls(&wei(1), NOW + 1);
        assert_eq!(verdict.passes_from(), passes_from);
        // The EntryPoint says the same in either case.
        assert_eq!(verdict.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
    }
}

/// Validation data has 48 bits for the end; no end is written as zero, and read as the largest time, unless all of the
/// data is zero.
#[test]
fn what_begins_ends_at_the_end_of_time() {
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

/// After the largest time that it can store, the plugin counts from zero again.
#[test]
fn what_has_gone_by_is_not_waited_for() {
    let mut state = state(PermissionUpdates::new().native_token_spend_limit(SpendLimit::per(n(10), 10)));
    assert!(state.execute_calls(&wei(10), NOW).is_empty());
    for (time, passes_from) in [(NOW + 9, Some(NOW + 10)), (MAX_SECONDS + 1, None)] {
        let verdict = state.check_calls(&wei(1), time);
        assert_eq!(codes(&verdict)[0], "native_limit_exceeded");
        assert_eq!(verdict.passes_from(), passes_from);
    }
}

#[test]
fn what_remains_is_told() {
    let mut state = state(
        PermissionUpdates::new()
            .native_token_spend_limit(SpendLimit::total(n(10)))
            .gas_spend_limit(SpendLimit::total(n(100)))
            .erc20_spend_limit(SHOP, SpendLimit::total(n(5))),
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
    let mut state = state(PermissionUpdates::new().gas_spend_limit(SpendLimit::per(n(100), 50)));
    let before = state.clone();
    // Checking changes nothing; nor does what is refused, even if its gas would fit.
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
    // The next interval is opened in validation; what fits it as well has to wait for its beginning, too.
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
    let state = state(PermissionUpdates::new().gas_spend_limit(SpendLimit::total(U256::MAX - n(1))));
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
    for rule in [
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
        Rule::StateNotLoaded {
            target,
            selector: None,
        },
    ] {
        let violation = Violation {
            call: Some(1),
            passes_from: Some(9),
            ..Violation::new(rule, Phase::Execution)
        };
        let json = serde_json::to_value(&violation).unwrap();
        assert_eq!(json["code"], violation.code());
        assert_eq!(json["message"], violation.to_string());
        assert_eq!(serde_json::from_value::<Violation>(json).unwrap(), violation);
    }
}
