//! What is different on a module for ERC-6900 v0.8 accounts.

use super::*;
use crate::{
    AaCode, AccessControlType, AddressEntry, Call, EntryPointVersion, LimitChange, PaymasterFields,
    PermissionUpdates, SignedOperation, SpendLimit, UserOperation, ValidationNonceKey, erc20,
    execute_with_session_key, nonce, session_key_nonce_key,
};
use alloy_primitives::{Address, B256, Bytes, U256, bytes};

const ACCOUNT: Address = Address::repeat_byte(0xac);
const KEY: Address = Address::repeat_byte(0x5e);
const MODULE: Address = Address::repeat_byte(0x60);
const SHOP: Address = Address::repeat_byte(0x51);
const TOKEN: Address = Address::repeat_byte(0x70);
const NOW: u64 = 1_800_000_000;
const WEEK: u64 = 604_800;
/// Longer than the time since 1970: its end, reckoned from zero, is in the future.
const CENTURY: u64 = 3_155_760_000;

fn n(amount: u64) -> U256 {
    U256::from(amount)
}

fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict.violations().iter().map(Violation::code).collect()
}

fn bare() -> KeyState {
    KeyState {
        rule_set: RuleSet::Module(MODULE),
        ..KeyState::fresh(ACCOUNT, KEY)
    }
}

/// A key that was added with these updates, and may call everything.
fn added(updates: &PermissionUpdates) -> KeyState {
    let mut state = bare();
    let everything = PermissionUpdates::new().access_control_type(AccessControlType::AllowAllAccess);
    state.apply_at_addition(&everything, NOW).unwrap();
    state.apply_at_addition(updates, NOW).unwrap();
    state
}

fn operation(calls: &[Call], gas: u64) -> UserOperation {
    UserOperation {
        version: EntryPointVersion::V07,
        sender: ACCOUNT,
        nonce: nonce(
            ValidationNonceKey::of_session_key(KEY, 0x8000_0000).nonce_key(),
            3,
        ),
        call_data: execute_with_session_key(calls, KEY),
        call_gas_limit: n(gas),
        max_fee_per_gas: n(1),
        ..Default::default()
    }
}

fn wei(amount: u64) -> [Call; 1] {
    [Call::transfer(SHOP, n(amount))]
}

fn tokens(amount: u64) -> [Call; 1] {
    [Call::new(TOKEN, erc20::transfer(SHOP, n(amount)))]
}

#[test]
fn every_key_has_its_lane() {
    let state = added(&PermissionUpdates::new());
    let mut operation = operation(&wei(0), 10);
    assert!(state.check(&operation, NOW).is_accepted());
    // Another entity, another option: the account's business.
    for same_lane in [
        ValidationNonceKey::of_session_key(KEY, 1),
        ValidationNonceKey::of_session_key(KEY, u32::MAX).with_deferred_action(),
    ] {
        operation.nonce = nonce(same_lane.nonce_key(), u64::MAX);
        assert!(state.check(&operation, NOW).is_accepted());
    }
    for other_lane in [
        session_key_nonce_key(KEY),
        ValidationNonceKey::of_session_key(SHOP, 0x8000_0000).nonce_key(),
        ValidationNonceKey::default().nonce_key(),
    ] {
        operation.nonce = nonce(other_lane, 3);
        assert_eq!(codes(&state.check(&operation, NOW)), ["nonce_key"]);
    }
    let verdict = state.check(&operation, NOW);
    let [
        Violation {
            rule: Rule::NonceKey { expected, .. },
            ..
        },
    ] = verdict.violations()
    else {
        panic!("{verdict:?}")
    };
    assert_eq!(*expected, ValidationNonceKey::of_session_key(KEY, 0).nonce_key());
}

/// A version reckons the cost in its own way: an operation for another EntryPoint is none of the account's.
#[test]
fn an_operation_is_for_the_accounts_entry_point() {
    let mut state = added(&PermissionUpdates::new());
    for version in EntryPointVersion::ALL {
        let operation = UserOperation {
            version,
            ..operation(&wei(0), 10)
        };
        state.rule_set = RuleSet::Module(MODULE);
        let is_refused = codes(&state.check(&operation, NOW)).contains(&"entry_point_version");
        assert_eq!(is_refused, version != EntryPointVersion::V07, "{version}");
        state.rule_set = RuleSet::Strict;
        let is_refused = codes(&state.check(&operation, NOW)).contains(&"entry_point_version");
        assert_eq!(is_refused, version != EntryPointVersion::V06, "{version}");
    }
}

#[test]
fn entry_points_of_all_versions_are_refused_unless_an_allowlist_names_them() {
    for version in EntryPointVersion::ALL {
        let call = [Call::new(version.entry_point(), bytes!("01020304"))];
        let mut state = added(&PermissionUpdates::new());
        // Execution repeats the rule, which is reported once.
        assert_eq!(codes(&state.check_calls(&call, NOW)), ["target_is_entry_point"]);
        assert_eq!(state.clone().execute_calls(&call, NOW).len(), 1);
        let named = PermissionUpdates::new()
            .access_control_type(AccessControlType::Allowlist)
            .address_entry(AddressEntry {
                contract: version.entry_point(),
                is_on_list: true,
                check_selectors: false,
            });
        state.apply(&named, NOW).unwrap();
        assert!(state.check_calls(&call, NOW).is_accepted());
    }
}

#[test]
fn modules_are_refused_as_targets() {
    let mut state = added(&PermissionUpdates::new());
    let itself = state.check_calls(&[Call::new(MODULE, Bytes::new())], NOW);
    assert_eq!(codes(&itself), ["target_is_module"]);
    assert_eq!(itself.violations()[0].phase, Phase::Validation);

    let calls = [
        Call::transfer(SHOP, U256::ZERO),
        Call::transfer(TOKEN, U256::ZERO),
    ];
    assert!(state.check_calls(&calls, NOW).is_accepted());
    state.modules.insert(TOKEN);
    let other = state.check_calls(&calls, NOW);
    assert_eq!(codes(&other), ["target_is_module"]);
    assert_eq!(other.violations()[0].phase, Phase::Execution);
    assert_eq!(other.violations()[0].call, Some(1));
    assert_eq!(other.passes_from(), None);

    // The plugin's account refuses calls to plugins, and asks no targets.
    state.rule_set = RuleSet::Strict;
    assert!(state.check_calls(&calls, NOW).is_accepted());
}

#[test]
fn a_paymaster_and_its_gas_count() {
    let limit = PermissionUpdates::new().gas_spend_limit(SpendLimit::total(n(100)), LimitChange::Raw);
    let state = added(&limit);
    let with = |verification_gas_limit, post_op_gas_limit| UserOperation {
        paymaster_and_data: PaymasterFields {
            paymaster: SHOP,
            verification_gas_limit,
            post_op_gas_limit,
            data: bytes!("aa"),
        }
        .pack(),
        ..operation(&wei(0), 10)
    };
    assert!(state.check(&with(80, 10), NOW).is_accepted());
    assert_eq!(codes(&state.check(&with(80, 11), NOW)), ["gas_limit_exceeded"]);
    assert_eq!(
        codes(&state.check(&with(1 << 120, 0), NOW)),
        ["gas_values_overflow", "gas_limit_exceeded"]
    );
    for (length, expected) in [(1, true), (20, true), (51, true), (52, false)] {
        let operation = UserOperation {
            paymaster_and_data: Bytes::from(vec![0; length]),
            ..operation(&wei(0), 10)
        };
        let verdict = state.check(&operation, NOW);
        assert_eq!(codes(&verdict).contains(&"invalid_paymaster_and_data"), expected);
        let code = Some(AaCode::InvalidPaymasterAndData).filter(|_| expected);
        assert_eq!(verdict.entry_point_code(), code);
    }
}

/// A key is added without a clock: its intervals begin with its first use, however long they are.
#[test]
fn intervals_begin_with_the_first_use() {
    for interval in [WEEK, CENTURY] {
        let limit = SpendLimit::per(n(100), interval);
        let updates = PermissionUpdates::new()
            .native_token_spend_limit(limit, LimitChange::Raw)
            .erc20_spend_limit(TOKEN, limit, LimitChange::Raw)
            .gas_spend_limit(limit, LimitChange::Raw);
        let mut state = added(&updates);
        assert_eq!(state.native_limit.last_used_time, 0);
        assert!(state.native_limit.is_not_begun());
        assert!(state.gas_limit.should_reset);
        assert!(!state.gas_limit.is_reset_pending());

        let calls = [wei(60), tokens(60)].concat();
        let verdict = state.execute(&operation(&calls, 60), NOW);
        let Verdict::Accepted { valid_after, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(valid_after, 0);
        for begun in [
            state.native_limit,
            state.gas_limit.info,
            state.contracts[&TOKEN].token_limit,
        ] {
            assert_eq!((begun.last_used_time, begun.limit_used), (NOW, n(60)));
            assert_eq!(begun.refreshes_at(), Some(NOW + interval));
        }
        assert!(!state.gas_limit.should_reset);

        let verdict = state.check(&operation(&calls, 60), NOW + 1);
        assert_eq!(verdict.passes_from(), Some(NOW + interval));
        assert!(state.check(&operation(&calls, 60), NOW + interval).is_accepted());
    }
}

/// The plugin reads the clock when it adds a key.
#[test]
fn intervals_of_the_plugin_begin_when_a_key_is_added() {
    let updates = PermissionUpdates::new().gas_spend_limit(SpendLimit::per(n(100), WEEK), LimitChange::Raw);
    let mut state = KeyState::fresh(ACCOUNT, KEY);
    state.apply_at_addition(&updates, NOW).unwrap();
    assert_eq!(state.gas_limit.info.last_used_time, NOW);
    assert!(!state.gas_limit.should_reset);
}

/// The mark stays until an execution succeeds, and is a pending reset from the first charge on.
#[test]
fn a_first_use_that_fails_leaves_the_gas_reset_pending() {
    let updates = PermissionUpdates::new().gas_spend_limit(SpendLimit::per(n(100), WEEK), LimitChange::Raw);
    let mut state = added(&updates);
    assert!(
        state
            .execute_validation(&operation(&wei(0), 60), None, NOW)
            .is_empty()
    );
    assert!(state.gas_limit.is_reset_pending());
    let verdict = state.check(&operation(&wei(0), 41), NOW + 2 * WEEK);
    assert_eq!(codes(&verdict), ["gas_limit_exceeded"]);
    assert!(state.check(&operation(&wei(0), 40), NOW).is_accepted());
    state.settle_gas_reset(NOW + 5);
    assert_eq!(state.gas_limit.info.last_used_time, NOW + 5);
    assert!(!state.gas_limit.should_reset);
}

/// An owner's update reads the clock, as on the plugin.
#[test]
fn a_limit_that_is_updated_begins_at_once() {
    let set = |limit| {
        PermissionUpdates::new()
            .native_token_spend_limit(limit, LimitChange::Raw)
            .gas_spend_limit(limit, LimitChange::Raw)
    };
    let mut state = added(&set(SpendLimit::per(n(100), WEEK)));
    state.apply(&set(SpendLimit::per(n(50), WEEK)), NOW + 9).unwrap();
    assert_eq!(state.native_limit.last_used_time, NOW + 9);
    assert_eq!(state.gas_limit.info.last_used_time, NOW + 9);
    assert!(!state.gas_limit.should_reset);
}

#[test]
fn figures_say_that_no_interval_runs() {
    let limit = SpendLimit::per(n(100), WEEK);
    let updates = PermissionUpdates::new()
        .native_token_spend_limit(limit, LimitChange::Raw)
        .gas_spend_limit(limit, LimitChange::Raw);
    let state = added(&updates);
    for figures in state.budget_figures(NOW) {
        let interval = figures.interval();
        assert_eq!(figures.remaining(), n(100));
        assert_eq!((interval.started_at, interval.refreshes_at), (None, None));
        assert_eq!(interval.status, crate::figures::LimitStatus::Available);
    }
}

/// The key is whoever signed: the signature is valid for nobody else.
#[test]
fn the_signature_is_what_follows_the_marker_of_the_last_segment() {
    let hash = B256::repeat_byte(1);
    let own = crate::DUMMY_SIGNATURE;
    let (scalars, _) = own.split_at(64);
    let signature = alloy_primitives::Signature::from_bytes_and_parity(scalars, true);
    let signer = signature
        .recover_address_from_prehash(&alloy_primitives::eip191_hash_message(hash))
        .unwrap();
    let state = KeyState {
        session_key: signer,
        access_control_type: AccessControlType::AllowAllAccess,
        ..bare()
    };
    let signed = |signature: Vec<u8>| SignedOperation {
        operation: UserOperation {
            nonce: nonce(ValidationNonceKey::of_session_key(signer, 1).nonce_key(), 0),
            call_data: execute_with_session_key(&wei(0), signer),
            signature: signature.into(),
            ..operation(&wei(0), 10)
        },
        hash,
    };
    assert!(
        state
            .check_signed(&signed([&[0xff], own.as_ref()].concat()), NOW)
            .is_accepted()
    );
    let deferred = [&[0, 0, 0, 1, 2, 0xff], own.as_ref()].concat();
    assert!(state.check_signed(&signed(deferred), NOW).is_accepted());
}

#[test]
fn a_signature_without_the_marker_is_malformed() {
    let state = added(&PermissionUpdates::new());
    let signed = |signature: Vec<u8>| SignedOperation {
        operation: UserOperation {
            signature: signature.into(),
            ..operation(&wei(0), 10)
        },
        hash: B256::repeat_byte(1),
    };
    let own = crate::DUMMY_SIGNATURE;
    for (signature, expected) in [
        ([&[0xff], own.as_ref()].concat(), "wrong_signer"),
        ([&[0, 0, 0, 1, 2, 0xff], own.as_ref()].concat(), "wrong_signer"),
        (own.to_vec(), "malformed_signature"),
        ([&[0xff, 0], own.as_ref()].concat(), "malformed_signature"),
        ([&[0, 0], own.as_ref()].concat(), "malformed_signature"),
        (vec![0xff], "malformed_signature"),
        (vec![], "malformed_signature"),
    ] {
        let verdict = state.check_signed(&signed(signature.clone()), NOW);
        assert_eq!(codes(&verdict), [expected], "{}", Bytes::from(signature));
    }
}
