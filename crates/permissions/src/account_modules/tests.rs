use super::*;
use crate::{
    AaCode, Call, ERC20_APPROVE, ERC20_TRANSFER, EntryPointVersion, PaymasterFields, UserOperation,
    ValidationNonceKey, erc20,
    lint::Severity,
    model::Phase,
    nonce,
    words::{Names, Token},
};
use alloy_primitives::{Bytes, U256, address, keccak256};

const ACCOUNT: Address = Address::repeat_byte(0xac);
const SIGNER: Address = Address::repeat_byte(0x5e);
const TOKEN: Address = address!("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
const SHOP: Address = Address::repeat_byte(0x5a);
const ELSEWHERE: Address = Address::repeat_byte(0xe1);
const PAYMASTER: Address = Address::repeat_byte(0x9a);
const BUY: Selector = Selector::new(hex!("d96a094a"));
const NOW: u64 = 1_800_000_000;
const ENTITY: u32 = 5;
const SECOND: u32 = ENTITY + 0x7fff_ffff;

fn n(amount: u64) -> U256 {
    U256::from(amount)
}

const fn module(kind: AccountModule) -> Module {
    Module {
        address: Address::repeat_byte(0xc0 + kind as u8),
        kind: Some(kind),
    }
}

fn add(key: &mut AccountKey, kind: AccountModule, flags: u8, entity_id: u32, settings: Settings) {
    let module = module(kind);
    key.hooks.push(Hook {
        module,
        entity_id,
        flags,
    });
    key.settings.push(ModuleSettings {
        module: module.address,
        entity_id,
        settings,
    });
}

/// A key for executions, without hooks.
fn bare() -> AccountKey {
    let mut key = AccountKey::new(ACCOUNT, AccountForm::SemiModular, ENTITY);
    key.validation = module(AccountModule::SingleSignerValidation);
    key.signer = Some(SIGNER);
    key.flags = AccountKey::USER_OPERATIONS;
    key.selectors = vec![EXECUTE, EXECUTE_BATCH];
    key
}

fn target(functions: Option<&[Selector]>) -> AllowlistTarget {
    AllowlistTarget {
        allowed: true,
        has_selector_list: functions.is_some(),
        functions: functions
            .unwrap_or_default()
            .iter()
            .map(|function| (*function, true))
            .collect(),
        ..AllowlistTarget::default()
    }
}

fn allowlist<const N: usize>(targets: [(Address, AllowlistTarget); N], any: &[Selector]) -> Settings {
    Settings::Allowlist(AllowlistSettings {
        targets: targets.into(),
        any_target: any.iter().map(|selector| (*selector, true)).collect(),
        complete: true,
    })
}

/// As the account's client makes one: the shop, a token with a limit, a native limit, a gas limit, an end.
fn whole() -> AccountKey {
    let mut key = bare();
    let range = Settings::TimeRange {
        valid_after: 0,
        valid_until: NOW + 100,
    };
    add(&mut key, AccountModule::TimeRange, 1, ENTITY, range);
    let gas = Settings::native_token_limit(n(1_000_000));
    add(&mut key, AccountModule::NativeTokenLimit, 5, SECOND, gas);
    let list = allowlist(
        [
            (SHOP, target(Some(&[BUY]))),
            (TOKEN, target(Some(&[ERC20_TRANSFER, ERC20_APPROVE]))),
        ],
        &[],
    );
    add(&mut key, AccountModule::Allowlist, 5, ENTITY, list);
    let native = Settings::native_token_limit(n(100));
    add(
        &mut key,
        AccountModule::NativeTokenLimit,
        Hook::PRE,
        ENTITY,
        native,
    );
    let limited = AllowlistTarget {
        allowed: true,
        has_limit: true,
        left: n(5_000_000),
        ..AllowlistTarget::default()
    };
    let limits = allowlist([(TOKEN, limited)], &[]);
    add(&mut key, AccountModule::Allowlist, Hook::PRE, SECOND, limits);
    key
}

/// Calls in the operation that the account's client makes, of 300 gas units at 10 wei.
fn operation(key: &AccountKey, calls: &[Call]) -> UserOperation {
    let nonce_key = ValidationNonceKey {
        entity_id: ENTITY,
        ..ValidationNonceKey::default()
    };
    UserOperation {
        version: EntryPointVersion::V07,
        sender: ACCOUNT,
        nonce: nonce(nonce_key.nonce_key(), 0),
        call_data: key.call_data(calls),
        call_gas_limit: n(100),
        verification_gas_limit: n(100),
        pre_verification_gas: n(100),
        max_fee_per_gas: n(10),
        ..UserOperation::default()
    }
}

fn paid_by(paymaster: Address, mut operation: UserOperation) -> UserOperation {
    operation.paymaster_and_data = PaymasterFields {
        paymaster,
        verification_gas_limit: 20,
        post_op_gas_limit: 30,
        data: Bytes::new(),
    }
    .pack();
    operation
}

fn codes(verdict: &KeyVerdict) -> Vec<(&'static str, Phase, Option<usize>)> {
    let refusals = verdict.refusals().iter();
    refusals
        .map(|refusal| (refusal.code(), refusal.phase, refusal.call))
        .collect()
}

fn of(key: &AccountKey, calls: &[Call]) -> Vec<(&'static str, Phase, Option<usize>)> {
    let verdict = key.verdict(&operation(key, calls), None, NOW);
    assert_eq!(verdict, key.clone().execute(&operation(key, calls), None, NOW));
    assert!(!matches!(verdict, KeyVerdict::Unknown { .. }), "{verdict}");
    codes(&verdict)
}

const VALIDATION: Phase = Phase::Validation;
const EXECUTION: Phase = Phase::Execution;

#[test]
fn what_all_hooks_allow_is_accepted_and_booked() {
    let mut key = whole();
    let calls = [
        Call::new(SHOP, BUY.to_vec()).with_value(n(40)),
        Call::new(TOKEN, erc20::transfer(ELSEWHERE, n(1_000_000))),
        Call::new(TOKEN, erc20::approve(ELSEWHERE, n(500_000))),
    ];
    let verdict = key.execute(&operation(&key, &calls), None, NOW);
    let KeyVerdict::Accepted {
        valid_after,
        valid_until,
        remaining,
    } = &verdict
    else {
        panic!("{verdict}")
    };
    assert_eq!((*valid_after, *valid_until), (0, NOW + 100));
    let left: Vec<(LeftOf, u32, U256)> = remaining
        .iter()
        .map(|left| (left.of, left.entity_id, left.amount))
        .collect();
    assert_eq!(
        left,
        [
            (LeftOf::Gas, SECOND, n(997_000)),
            (LeftOf::Native, ENTITY, n(60)),
            (LeftOf::Token { token: TOKEN }, SECOND, n(3_500_000)),
        ]
    );
    // What is stored is what is said to be left.
    let again = key.verdict(&operation(&key, &calls), None, NOW);
    let KeyVerdict::Accepted { remaining, .. } = again else {
        panic!("{again}")
    };
    assert_eq!(remaining[1].amount, n(20));
}

#[test]
fn every_hook_that_refuses_is_named_and_the_first_decides() {
    let key = whole();
    let calls = [
        Call::transfer(ELSEWHERE, n(60)),
        Call::new(SHOP, ERC20_TRANSFER.to_vec()).with_value(n(41)),
        Call::new(TOKEN, erc20::transfer(ELSEWHERE, n(5_000_001))),
    ];
    let verdict = key.verdict(&operation(&key, &calls), None, NOW + 101);
    assert_eq!(
        codes(&verdict),
        [
            ("target_not_allowed", VALIDATION, Some(0)),
            ("function_not_allowed", VALIDATION, Some(1)),
            ("expired", VALIDATION, None),
            ("native_limit_exceeded", EXECUTION, None),
            ("token_limit_exceeded", EXECUTION, Some(2)),
        ]
    );
    assert_eq!(verdict.entry_point_code(), Some(AaCode::AccountReverted));
    assert_eq!(verdict.decisive().unwrap().code(), "target_not_allowed");
    let names = Names::new().token(TOKEN, Token::new("USDC", 6));
    let second = SECOND;
    assert_eq!(
        verdict.describe(&names).lines(),
        [
            "Refused before it costs anything.".to_owned(),
            format!("– Call 1: the key may not call plain payments (no call data) of {ELSEWHERE} (validation hook of AllowlistModule 2.0.1, entity 5)."),
            format!("– Call 2: the key may call only listed functions of {SHOP}, and transfer is not listed (validation hook of AllowlistModule 2.0.1, entity 5)."),
            "– The key was valid until 2027-01-15T08:01:40Z (validation hook of TimeRangeModule, entity 5).".to_owned(),
            "– The calls send 0.000000000000000101 ETH, but 0.0000000000000001 ETH are left (execution hook of NativeTokenLimitModule, entity 5).".to_owned(),
            format!("– Call 3: it spends 5.000001 USDC, but 5 USDC are left (execution hook of AllowlistModule 2.0.1, entity {second})."),
        ]
    );
    let last = key.verdict(
        &operation(&key, &[Call::new(SHOP, BUY.to_vec())]),
        None,
        NOW + 101,
    );
    assert_eq!(last.entry_point_code(), Some(AaCode::ExpiredOrNotDue));
}

#[test]
fn the_allowlist_knows_targets_functions_and_wildcards() {
    let mut key = bare();
    let list = allowlist(
        [(SHOP, target(Some(&[BUY]))), (TOKEN, target(None))],
        &[ERC20_TRANSFER],
    );
    add(&mut key, AccountModule::Allowlist, 5, ENTITY, list);
    let call = |target: Address, data: &[u8]| of(&key, &[Call::new(target, data.to_vec())]);
    for (target, data) in [
        (SHOP, &BUY[..]),
        // Any data, any value.
        (TOKEN, &[][..]),
        (TOKEN, &[1]),
        (TOKEN, &BUY[..]),
        // On an address that is not allowed itself.
        (ELSEWHERE, &ERC20_TRANSFER[..]),
    ] {
        assert_eq!(call(target, data), [], "{target} {data:?}");
    }
    for (target, data, code) in [
        (SHOP, &ERC20_TRANSFER[..], "function_not_allowed"),
        (SHOP, &[], "no_selector"),
        (SHOP, &BUY[..3], "no_selector"),
        (ELSEWHERE, &BUY[..], "target_not_allowed"),
        (ELSEWHERE, &[], "target_not_allowed"),
    ] {
        assert_eq!(
            call(target, data),
            [(code, VALIDATION, Some(0))],
            "{target} {data:?}"
        );
    }
    // Short data are filled up with zeros; with the zero selector on every address, value goes anywhere.
    key.settings[0].settings = allowlist([], &[Selector::ZERO]);
    assert_eq!(of(&key, &[Call::transfer(ELSEWHERE, n(1))]), []);
    assert_eq!(of(&key, &[Call::new(ELSEWHERE, vec![0, 0])]), []);
}

#[test]
fn other_functions_of_the_account_pass_the_allowlist() {
    let mut key = bare();
    key.selectors = vec![PERFORM_CREATE];
    add(&mut key, AccountModule::Allowlist, 5, ENTITY, allowlist([], &[]));
    let create = session_key_bindings::IAccountV08::performCreateCall {
        value: n(7),
        initCode: Bytes::from_static(&[0]),
        isCreate2: false,
        salt: Default::default(),
    };
    let data = alloy_sol_types::SolCall::abi_encode(&create);
    let creation = |key: &AccountKey, wrap: bool| {
        let mut operation = operation(key, &[]);
        operation.call_data = if wrap {
            [&EXECUTE_USER_OP[..], &data].concat()
        } else {
            data.clone()
        }
        .into();
        codes(&key.verdict(&operation, None, NOW))
    };
    assert_eq!(creation(&key, false), []);
    assert_eq!(
        of(&key, &[Call::transfer(SHOP, n(1))])[0],
        ("function_not_for_key", VALIDATION, None)
    );
    // A native limit counts its value; limits on tokens refuse it.
    add(
        &mut key,
        AccountModule::NativeTokenLimit,
        Hook::PRE,
        ENTITY,
        Settings::native_token_limit(n(6)),
    );
    assert_eq!(creation(&key, false)[0], ("not_wrapped", VALIDATION, None));
    assert_eq!(creation(&key, true), [("native_limit_exceeded", EXECUTION, None)]);
    add(
        &mut key,
        AccountModule::Allowlist,
        Hook::PRE,
        SECOND,
        allowlist([], &[]),
    );
    assert_eq!(creation(&key, true)[1], ("not_an_execution", EXECUTION, None));
}

#[test]
fn the_older_allowlist_lets_what_is_wrapped_pass() {
    let mut key = bare();
    add(
        &mut key,
        AccountModule::EarlierAllowlist,
        1,
        ENTITY,
        allowlist([], &[]),
    );
    let call = [Call::new(ELSEWHERE, BUY.to_vec())];
    assert_eq!(of(&key, &call), [("target_not_allowed", VALIDATION, Some(0))]);
    let mut wrapped = operation(&key, &call);
    wrapped.call_data = [&EXECUTE_USER_OP[..], &wrapped.call_data].concat().into();
    assert!(key.verdict(&wrapped, None, NOW).is_accepted());
    key.hooks[0].module = module(AccountModule::Allowlist);
    key.settings[0].module = key.hooks[0].module.address;
    assert_eq!(
        key.verdict(&wrapped, None, NOW).refusals()[0].code(),
        "target_not_allowed"
    );
}

#[test]
fn limits_on_tokens_count_transfer_and_approve_and_refuse_the_rest() {
    let mut key = bare();
    let limited = AllowlistTarget {
        has_limit: true,
        left: n(100),
        ..AllowlistTarget::default()
    };
    add(
        &mut key,
        AccountModule::Allowlist,
        Hook::PRE,
        SECOND,
        allowlist([(TOKEN, limited)], &[]),
    );
    let call = |data: Bytes| Call::new(TOKEN, data);
    let long = |selector: Selector| Bytes::from([&selector[..], &[0; 64]].concat());
    assert_eq!(of(&key, &[call(erc20::approve(SHOP, n(100)))]), []);
    assert_eq!(of(&key, &[Call::new(ELSEWHERE, BUY.to_vec())]), []);
    assert_eq!(
        of(
            &key,
            &[
                call(erc20::transfer(SHOP, n(60))),
                call(erc20::approve(SHOP, n(41))),
                call(long(BUY)),
                call(BUY.to_vec().into()),
                call(erc20::transfer(SHOP, n(40))),
                call(erc20::transfer(SHOP, n(1))),
            ]
        ),
        [
            ("token_limit_exceeded", EXECUTION, Some(1)),
            ("token_function_not_allowed", EXECUTION, Some(2)),
            ("short_token_call_data", EXECUTION, Some(3)),
            ("token_limit_exceeded", EXECUTION, Some(5)),
        ]
    );
    // What fails in execution takes nothing off.
    let before = key.clone();
    key.execute(&operation(&key, &[call(erc20::approve(SHOP, n(101)))]), None, NOW);
    assert_eq!(key, before);
}

#[test]
fn gas_is_booked_by_its_limits_unless_a_paymaster_pays() {
    let mut key = bare();
    let mut special = Settings::native_token_limit(n(3_499));
    if let Settings::NativeTokenLimit {
        special_paymasters, ..
    } = &mut special
    {
        special_paymasters.insert(PAYMASTER, true);
    }
    add(&mut key, AccountModule::NativeTokenLimit, 1, SECOND, special);
    // 300 gas units at 10 wei, and 50 more of a special paymaster.
    let call = [Call::transfer(SHOP, n(1))];
    let own = operation(&key, &call);
    let asked = |verdict: &KeyVerdict| match verdict.refusals() {
        [
            Refusal {
                rule: HookRule::GasLimitExceeded { asked, left },
                ..
            },
        ] => (*asked, *left),
        other => panic!("{other:?}"),
    };
    let special = paid_by(PAYMASTER, own.clone());
    assert_eq!(asked(&key.verdict(&special, None, NOW)), (n(3_500), n(3_499)));
    assert!(key.verdict(&paid_by(SHOP, own.clone()), None, NOW).is_accepted());
    let zero = key.verdict(&paid_by(Address::ZERO, own.clone()), None, NOW);
    assert_eq!(zero.refusals()[0].code(), "zero_paymaster");
    assert!(key.execute(&own, None, NOW).is_accepted());
    assert_eq!(asked(&key.verdict(&own, None, NOW)), (n(3_000), n(499)));
    let mut costly = own.clone();
    costly.max_fee_per_gas = U256::MAX;
    let verdict = key.verdict(&costly, None, NOW);
    assert_eq!(verdict.entry_point_code(), Some(AaCode::GasValuesOverflow));
    assert_eq!(verdict.refusals()[1].code(), "gas_limit_exceeded");
    // It is booked although the execution fails, and not if the operation is refused.
    add(
        &mut key,
        AccountModule::NativeTokenLimit,
        Hook::PRE,
        ENTITY,
        Settings::native_token_limit(U256::ZERO),
    );
    let mut cheap = operation(&key, &call);
    cheap.max_fee_per_gas = n(1);
    let before = key.clone();
    assert_eq!(
        codes(&key.execute(&cheap, None, NOW)),
        [("native_limit_exceeded", EXECUTION, None)]
    );
    assert_eq!(key.left_of_first(), n(199));
    let mut refused = before.clone();
    refused.flags = 0;
    refused.execute(&cheap, None, NOW);
    assert_eq!(refused.left_of_first(), n(499));
}

impl AccountKey {
    fn left_of_first(&self) -> U256 {
        match &self.settings[0].settings {
            Settings::NativeTokenLimit { left, .. } => *left,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn hooks_of_one_entity_share_their_budget() {
    let mut key = bare();
    let native = module(AccountModule::NativeTokenLimit);
    add(
        &mut key,
        AccountModule::NativeTokenLimit,
        1,
        ENTITY,
        Settings::native_token_limit(n(3_010)),
    );
    key.hooks.push(Hook {
        module: native,
        entity_id: ENTITY,
        flags: Hook::PRE,
    });
    assert_eq!(of(&key, &[Call::transfer(SHOP, n(10))]), []);
    assert_eq!(
        of(&key, &[Call::transfer(SHOP, n(11))]),
        [("native_limit_exceeded", EXECUTION, None)]
    );
}

#[test]
fn a_paymaster_guard_wants_its_paymaster() {
    let mut key = bare();
    add(
        &mut key,
        AccountModule::PaymasterGuard,
        1,
        ENTITY,
        Settings::PaymasterGuard { paymaster: PAYMASTER },
    );
    let own = operation(&key, &[Call::transfer(SHOP, n(1))]);
    let code = |operation: &UserOperation| codes(&key.verdict(operation, None, NOW));
    assert_eq!(code(&paid_by(PAYMASTER, own.clone())), []);
    assert_eq!(code(&own), [("paymaster_missing", VALIDATION, None)]);
    assert_eq!(
        code(&paid_by(SHOP, own.clone())),
        [("wrong_paymaster", VALIDATION, None)]
    );
    assert_eq!(
        code(&paid_by(Address::ZERO, own.clone())),
        [("zero_paymaster", VALIDATION, None)]
    );
    // Of calls alone, the paymaster is not judged.
    assert!(
        key.verdict_of_calls(&[Call::transfer(SHOP, n(1))], NOW)
            .is_accepted()
    );
}

#[test]
fn time_ranges_include_their_ends() {
    let mut key = bare();
    let range = Settings::TimeRange {
        valid_after: NOW,
        valid_until: NOW + 5,
    };
    add(&mut key, AccountModule::TimeRange, 1, ENTITY, range);
    let at = |now: u64| codes(&key.verdict_of_calls(&[Call::transfer(SHOP, n(1))], now));
    assert_eq!(at(NOW - 1), [("not_yet_valid", VALIDATION, None)]);
    assert_eq!((at(NOW), at(NOW + 5)), (vec![], vec![]));
    assert_eq!(at(NOW + 6), [("expired", VALIDATION, None)]);
    // Nothing stored: no bounds.
    key.settings[0].settings = Settings::TimeRange {
        valid_after: 0,
        valid_until: 0,
    };
    assert!(
        key.verdict_of_calls(&[Call::transfer(SHOP, n(1))], u64::MAX >> 17)
            .is_accepted()
    );
}

#[test]
fn the_account_has_rules_of_its_own() {
    let mut key = bare();
    let own = operation(&key, &[Call::transfer(SHOP, n(1))]);
    let code = |key: &AccountKey, operation: &UserOperation| codes(&key.verdict(operation, None, NOW));
    let with = |change: &dyn Fn(&mut UserOperation)| {
        let mut changed = own.clone();
        change(&mut changed);
        changed
    };
    let nonce_of = |entity_id: u32, is_global: bool| {
        let key = ValidationNonceKey {
            entity_id,
            is_global,
            ..ValidationNonceKey::default()
        };
        nonce(key.nonce_key(), 3)
    };
    assert_eq!(code(&key, &with(&|op| op.nonce = nonce_of(ENTITY, false))), []);
    let other = with(&|op| op.nonce = nonce_of(6, false));
    assert_eq!(code(&key, &other), [("other_validation", VALIDATION, None)]);
    let sender = with(&|op| op.sender = SHOP);
    assert_eq!(code(&key, &sender), [("sender_mismatch", VALIDATION, None)]);
    let global = with(&|op| op.nonce = nonce_of(ENTITY, true));
    assert_eq!(code(&key, &global), [("function_not_for_key", VALIDATION, None)]);
    let empty = with(&|op| op.call_data = Bytes::from_static(&[0x8d, 0xd7, 0x71, 0x2f, 1, 2, 3]));
    assert_eq!(code(&key, &empty), [("no_function", VALIDATION, None)]);
    let short = with(&|op| op.paymaster_and_data = Bytes::from_static(&[1; 51]));
    assert_eq!(
        code(&key, &short),
        [("invalid_paymaster_and_data", VALIDATION, None)]
    );
    let own_calls = |calls: &[Call]| of(&key, calls);
    assert_eq!(
        own_calls(&[Call::new(ACCOUNT, BUY.to_vec())]),
        [("self_call", VALIDATION, Some(0))]
    );
    assert_eq!(
        own_calls(&[
            Call::transfer(SHOP, n(1)),
            Call::new(ACCOUNT, EXECUTE.to_vec()),
            Call::new(ACCOUNT, vec![1, 2, 3]),
            Call::new(ACCOUNT, BUY.to_vec()),
        ]),
        [
            ("self_call", VALIDATION, Some(1)),
            ("self_call", VALIDATION, Some(2)),
            ("function_not_for_key", VALIDATION, Some(3)),
        ]
    );
    key.flags = AccountKey::GLOBAL;
    assert_eq!(
        code(&key, &global),
        [("not_for_user_operations", VALIDATION, None)]
    );
    let mut twice = global.clone();
    twice.call_data = [&EXECUTE_USER_OP[..], EXECUTE_USER_OP.as_slice(), &own.call_data]
        .concat()
        .into();
    key.flags |= AccountKey::USER_OPERATIONS;
    assert_eq!(code(&key, &twice), [("wrapped_twice", EXECUTION, None)]);
}

#[test]
fn hooks_that_a_module_does_not_have_fail_every_operation() {
    let call = [Call::transfer(SHOP, n(1))];
    for (kind, flags, code, phase) in [
        (
            AccountModule::NativeTokenLimit,
            Hook::PRE | Hook::POST,
            "not_a_post_hook",
            EXECUTION,
        ),
        (AccountModule::TimeRange, Hook::PRE, "not_a_hook", EXECUTION),
        (AccountModule::SingleSignerValidation, 1, "not_a_hook", VALIDATION),
    ] {
        let mut key = bare();
        let settings = match kind {
            AccountModule::NativeTokenLimit => Settings::native_token_limit(n(5)),
            _ => Settings::TimeRange {
                valid_after: 0,
                valid_until: 0,
            },
        };
        add(&mut key, kind, flags, ENTITY, settings);
        if kind == AccountModule::SingleSignerValidation {
            key.settings.clear();
        }
        assert_eq!(of(&key, &call), [(code, phase, None)], "{kind}");
        let lints = key.lint(None);
        assert!(
            lints.iter().any(|warning| warning.code == KeyLintCode::Useless),
            "{kind}"
        );
    }
}

#[test]
fn nothing_is_predicted_of_what_is_not_known() {
    let reasons = |key: &AccountKey| match key.verdict_of_calls(&[Call::new(SHOP, BUY.to_vec())], NOW) {
        KeyVerdict::Unknown { reasons } => reasons,
        other => panic!("{other}"),
    };
    let mut key = whole();
    key.form = AccountForm::Unknown;
    assert_eq!(reasons(&key), [Unpredictable::AccountCode]);
    let mut key = whole();
    key.hooks[1].module.kind = None;
    let module = key.hooks[1].module.address;
    // The same module is an execution hook, too: that one is still known here.
    assert_eq!(reasons(&key), [Unpredictable::ModuleCode { module }]);
    let words = key.describe(&());
    assert!(words.to_string().contains("is unknown"), "{words}");
    let mut key = whole();
    key.function_hooks = vec![key.hooks[0]];
    assert!(matches!(reasons(&key)[..], [Unpredictable::FunctionHooks { .. }]));
    let mut key = whole();
    key.are_function_hooks_read = false;
    assert_eq!(reasons(&key), [Unpredictable::FunctionHooksNotRead]);
    let words = key.describe(&()).to_string();
    assert!(words.contains("could not be read"), "{words}");
    let mut key = whole();
    key.settings.remove(0);
    assert!(matches!(
        reasons(&key)[..],
        [Unpredictable::NotRead { target: None, .. }]
    ));
    let mut key = whole();
    for of in &mut key.settings {
        if let Settings::Allowlist(list) = &mut of.settings {
            list.complete = false;
            list.targets.remove(&SHOP);
        }
    }
    assert!(matches!(
        reasons(&key)[..],
        [
            Unpredictable::NotRead {
                target: Some(SHOP),
                ..
            },
            ..
        ]
    ));
    // What is known of a contract is enough for its calls.
    let mut key = bare();
    let mut list = allowlist([(SHOP, target(Some(&[BUY])))], &[]);
    if let Settings::Allowlist(list) = &mut list {
        list.complete = false;
    }
    add(&mut key, AccountModule::Allowlist, 5, ENTITY, list);
    assert_eq!(of(&key, &[Call::new(SHOP, BUY.to_vec())]), []);
    let mut carried = operation(&key, &[]);
    let nonce_key = ValidationNonceKey {
        entity_id: ENTITY,
        ..ValidationNonceKey::default()
    };
    carried.nonce = nonce(nonce_key.with_deferred_action().nonce_key(), 0);
    let verdict = key.verdict(&carried, None, NOW);
    assert!(
        matches!(&verdict, KeyVerdict::Unknown { reasons } if reasons == &[Unpredictable::DeferredAction])
    );
    let mut unusual = operation(&key, &[Call::new(SHOP, BUY.to_vec())]);
    unusual.call_data = unusual.call_data.slice(..unusual.call_data.len() - 1);
    assert!(matches!(
        key.verdict(&unusual, None, NOW),
        KeyVerdict::Unknown { .. }
    ));
    // Functions of modules, on the list or by a global validation, directly or within a batch.
    let strange = Selector::new(hex!("12345678"));
    for is_global in [false, true] {
        let mut key = bare();
        if is_global {
            key.flags |= AccountKey::GLOBAL;
        } else {
            key.selectors.push(strange);
        }
        let nonce_key = ValidationNonceKey {
            entity_id: ENTITY,
            is_global,
            ..ValidationNonceKey::default()
        };
        let batch = [Call::transfer(SHOP, n(1)), Call::new(ACCOUNT, strange.to_vec())];
        for call_data in [Bytes::from(strange), key.call_data(&batch)] {
            let mut of_module = operation(&key, &[]);
            of_module.nonce = nonce(nonce_key.nonce_key(), 0);
            of_module.call_data = call_data;
            assert_eq!(
                key.verdict(&of_module, None, NOW),
                KeyVerdict::Unknown {
                    reasons: vec![Unpredictable::ModuleFunction { selector: strange }]
                },
                "{is_global}"
            );
        }
    }
    // What follows the arguments changes nothing.
    let mut longer = operation(&key, &[Call::new(SHOP, BUY.to_vec())]);
    longer.call_data = [&longer.call_data[..], b"suffix"].concat().into();
    assert!(key.verdict(&longer, None, NOW).is_accepted());
}

#[test]
fn a_global_key_may_call_all_functions_that_the_account_has_itself() {
    let mut key = bare();
    assert_eq!(key.functions(), [EXECUTE_BATCH, EXECUTE].into());
    key.flags |= AccountKey::GLOBAL;
    key.selectors = vec![BUY];
    let functions = key.functions();
    for function in [BUY, EXECUTE, PERFORM_CREATE, UPDATE_FALLBACK_SIGNER] {
        assert!(functions.contains(&function), "{function}");
    }
    // An account without a fallback signer cannot change it.
    key.form = AccountForm::Modular;
    assert!(!key.functions().contains(&UPDATE_FALLBACK_SIGNER));
    assert_eq!(key.functions().len(), functions.len() - 1);
}

#[test]
fn signatures_are_checked_with_their_hash() {
    let is_checked = |signature: &[u8]| {
        let mut operation = operation(&bare(), &[]);
        operation.signature = Bytes::copy_from_slice(signature);
        AccountKey::has_checked_signature(&operation)
    };
    assert!(is_checked(&[0xff, 0, 1]) && is_checked(&[1]));
    assert!(!is_checked(&[]) && !is_checked(&[0xff, 1, 1]) && !is_checked(&crate::DUMMY_SIGNATURE));
    let key = bare();
    let mut signed = operation(&key, &[Call::transfer(SHOP, n(1))]);
    let hash = Some(alloy_primitives::B256::repeat_byte(1));
    let code = |signed: &UserOperation| codes(&key.verdict(signed, hash, NOW));
    for unsigned in [
        Bytes::new(),
        crate::DUMMY_SIGNATURE,
        [&[0xff, 0][..], &crate::DUMMY_SIGNATURE].concat().into(),
        // A contract's.
        Bytes::from_static(&[0xff, 1, 5]),
    ] {
        signed.signature = unsigned;
        assert_eq!(code(&signed), []);
    }
    signed.signature = [&[0xff, 0][..], &[7; 65]].concat().into();
    assert_eq!(code(&signed), [("wrong_signature", VALIDATION, None)]);
    assert_eq!(
        key.verdict(&signed, hash, NOW).entry_point_code(),
        Some(AaCode::AccountSignature)
    );
    signed.signature = Bytes::from_static(&[0xff, 2]);
    assert_eq!(code(&signed), [("malformed_signature", VALIDATION, None)]);
    // Data for a hook.
    signed.signature = Bytes::from_static(&[0, 0, 0, 0, 1, 7, 0xff, 0]);
    assert_eq!(code(&signed), [("malformed_signature", VALIDATION, None)]);
    let mut hooked = key.clone();
    add(
        &mut hooked,
        AccountModule::Allowlist,
        5,
        ENTITY,
        allowlist([], &[Selector::ZERO]),
    );
    assert_eq!(
        codes(&hooked.verdict(&signed, hash, NOW)),
        [("unexpected_data", VALIDATION, None)]
    );
}

#[test]
fn a_key_reads_as_in_a_wallet() {
    let names = Names::new()
        .token(TOKEN, Token::new("USDC", 6))
        .contract(SHOP, "the shop")
        .function(BUY, "buy(uint256)");
    assert_eq!(
        whole().describe(&names).lines(),
        [
            format!("Signed by {SIGNER}."),
            format!("May call buy(uint256) of the shop ({SHOP})."),
            format!("May call transfer and approve of USDC ({TOKEN})."),
            "May spend at most 5 USDC more, by transfer and approve.".to_owned(),
            "May send at most 0.0000000000000001 ETH more.".to_owned(),
            "Its operations may cost at most 0.000000000001 ETH more, counted by gas limits, unless a paymaster pays.".to_owned(),
            "May be used until 2027-01-15T08:01:40Z.".to_owned(),
        ]
    );
    let mut root = bare();
    root.flags |= AccountKey::SIGNATURES;
    root.selectors.push(ROOT_FUNCTIONS[0].0);
    assert_eq!(
        root.describe(&()).lines()[1..],
        [
            "May call every function of every contract except the account itself.",
            "May call the account's own functions: installValidation. No allowlist checks them.",
            "May send any amount of ETH to the contracts it may call.",
            "Its operations may cost any amount, which the account pays.",
            "May be used at any time.",
            "May sign for the account (ERC-1271); its hooks do not check what it signs.",
        ]
    );
}

fn lints(key: &AccountKey) -> Vec<&'static str> {
    let warnings = key.lint(Some(NOW));
    warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[test]
fn a_key_with_all_its_hooks_has_no_warnings() {
    assert_eq!(lints(&whole()), Vec::<&str>::new());
    assert_eq!(whole().lint(Some(NOW + 101))[0].code, KeyLintCode::Over);
}

#[test]
fn what_makes_a_key_root_is_warned_of() {
    let mut key = whole();
    key.flags |= AccountKey::SIGNATURES;
    assert_eq!(lints(&key), ["key_signs"]);
    key.form = AccountForm::Delegated;
    assert_eq!(lints(&key), ["key_signs"]);
    key.form = AccountForm::EarlierDelegated;
    assert_eq!(lints(&key), ["key_signs_as_owner"]);
    let mut key = whole();
    key.flags |= AccountKey::GLOBAL;
    assert_eq!(lints(&key), ["key_is_global"]);
    for (selector, _) in ROOT_FUNCTIONS {
        let mut key = whole();
        key.selectors.push(selector);
        assert_eq!(lints(&key), ["key_has_root_function"]);
    }
    let mut key = whole();
    key.selectors.push(EXECUTE_WITH_RUNTIME_VALIDATION);
    assert_eq!(lints(&key), ["key_has_unchecked_function"]);
    key.form = AccountForm::Delegated;
    assert_eq!(lints(&key), ["key_has_runtime_validation"]);
    key.signer = Some(ACCOUNT);
    assert_eq!(
        lints(&key),
        ["key_has_runtime_validation", "key_signer_is_account"]
    );
    assert!(
        key.lint(None)
            .iter()
            .all(|warning| warning.severity() == Severity::Error)
    );
}

#[test]
fn missing_hooks_are_warned_of() {
    assert_eq!(
        lints(&bare()),
        [
            "key_without_allowlist",
            "key_native_unbounded",
            "key_gas_unbounded",
            "key_never_over"
        ]
    );
    let mut key = whole();
    // The limit's execution hook is gone; its setting stays.
    key.hooks.pop();
    assert_eq!(lints(&key), ["key_token_without_limit"]);
    for of in &mut key.settings {
        if let (Settings::Allowlist(list), ENTITY) = (&mut of.settings, of.entity_id) {
            list.targets.entry(TOKEN).or_default().has_limit = true;
        }
    }
    assert_eq!(
        lints(&key),
        ["key_token_without_limit", "token_limit_without_hook"]
    );
    // Of a hook that is not known, nothing is said to be missing.
    let mut key = bare();
    key.hooks.push(Hook {
        module: Module::default(),
        entity_id: 1,
        flags: 1,
    });
    assert_eq!(lints(&key), ["key_module_unknown"]);
    let mut key = whole();
    key.settings[0].settings = Settings::TimeRange {
        valid_after: 0,
        valid_until: 0,
    };
    assert_eq!(lints(&key), ["time_range_not_set", "key_never_over"]);
}

#[test]
fn what_an_allowlist_lets_through_is_warned_of() {
    let with = |targets: &[(Address, AllowlistTarget)], any: &[Selector]| {
        let mut key = whole();
        if let Settings::Allowlist(list) = &mut key.settings[2].settings {
            list.targets.extend(targets.iter().cloned());
            list.any_target = any.iter().map(|selector| (*selector, true)).collect();
        }
        lints(&key)
    };
    assert_eq!(with(&[(ELSEWHERE, target(None))], &[]), ["key_all_functions"]);
    assert_eq!(with(&[], &[Selector::ZERO]), ["plain_value_to_anyone"]);
    assert_eq!(
        with(&[], &[ERC20_TRANSFER]),
        ["token_functions_on_every_contract"]
    );
    assert_eq!(with(&[], &[BUY]), ["functions_on_every_contract"]);
    let listed = target(Some(&[ERC20_APPROVE]));
    assert_eq!(with(&[(ELSEWHERE, listed)], &[]), ["key_token_without_limit"]);
    // The modules take orders from the account, and so from a key that may call them.
    let limit = module(AccountModule::NativeTokenLimit).address;
    let set = Selector::new(hex!("71280be3"));
    assert_eq!(
        with(&[(limit, target(Some(&[set])))], &[]),
        ["key_reaches_its_modules"]
    );
    assert_eq!(
        with(&[], &[set]),
        ["key_reaches_its_modules", "functions_on_every_contract"]
    );
    let inputs = "(address,bool,bool,uint256,bytes4[])[]";
    for (kind, signature) in [
        (
            AccountModule::SingleSignerValidation,
            "transferSigner(uint32,address)".to_owned(),
        ),
        (
            AccountModule::Allowlist,
            format!("updateAllowlist(uint32,{inputs})"),
        ),
        (
            AccountModule::Allowlist,
            format!("deleteAllowlist(uint32,{inputs})"),
        ),
        (
            AccountModule::Allowlist,
            "setAddressAllowlist(uint32,address,bool,bool,bool)".to_owned(),
        ),
        (
            AccountModule::Allowlist,
            "setSelectorAllowlist(uint32,address,bytes4,bool)".to_owned(),
        ),
        (
            AccountModule::Allowlist,
            "updateLimits(uint32,address,bool,uint256)".to_owned(),
        ),
        (
            AccountModule::NativeTokenLimit,
            "updateLimits(uint32,uint256)".to_owned(),
        ),
        (
            AccountModule::NativeTokenLimit,
            "updateSpecialPaymaster(address,bool)".to_owned(),
        ),
        (
            AccountModule::TimeRange,
            "setTimeRange(uint32,uint48,uint48)".to_owned(),
        ),
        (AccountModule::TimeRange, "onInstall(bytes)".to_owned()),
        (AccountModule::Allowlist, "onUninstall(bytes)".to_owned()),
    ] {
        let setter = Selector::from_slice(&keccak256(&signature)[..4]);
        let of = module(kind).address;
        assert_eq!(
            with(&[(of, target(Some(&[setter])))], &[]),
            ["key_reaches_its_modules"],
            "{kind}: {signature}"
        );
    }
    let entry_point = session_key_bindings::ENTRY_POINT_V07;
    assert_eq!(
        with(&[(entry_point, target(None))], &[]),
        ["key_reaches_entry_point", "key_all_functions"]
    );
    let mut key = whole();
    key.hooks[2].module = module(AccountModule::EarlierAllowlist);
    key.settings[2].module = key.hooks[2].module.address;
    assert_eq!(lints(&key), ["allowlist_2_0_0"]);
}

#[test]
fn tokens_are_what_has_a_limit_or_a_tokens_functions() {
    assert_eq!(whole().tokens(), [TOKEN].into());
    let mut key = bare();
    let mut off = target(Some(&[BUY]));
    off.functions.insert(ERC20_APPROVE, false);
    let list = allowlist([(SHOP, off), (ELSEWHERE, target(Some(&[ERC20_APPROVE])))], &[]);
    add(&mut key, AccountModule::Allowlist, 5, ENTITY, list);
    assert_eq!(key.tokens(), [ELSEWHERE].into());
}

#[test]
fn keys_and_verdicts_survive_json() {
    let key = whole();
    let text = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<AccountKey>(&text).unwrap(), key);
    let calls = [Call::transfer(ELSEWHERE, n(101))];
    let accepted = key.verdict_of_calls(&[Call::new(SHOP, BUY.to_vec())], NOW);
    for verdict in [key.verdict_of_calls(&calls, NOW), accepted] {
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(
            serde_json::from_str::<KeyVerdict>(&text).unwrap(),
            verdict,
            "{text}"
        );
    }
    for warning in bare().lint(None) {
        assert!(!warning.describe(&()).is_empty());
    }
}
