//! Random histories of a session key: after every step, the chain and the model agree on the outcome and on the state.
//!
//! The seed is fixed, so that every run is the same. More, and others: `PROPTEST_CASES=5000 PROPTEST_RNG_SEED=7 cargo test
//! -p session-key-client random_histories`.

use crate::{
    fixture::key,
    model::{
        BUY, COST, DAY, OTHER, Outcome, SELL, SHOP, SPONSORED_COST, START, TOKEN, World, assert_agree, codes,
    },
};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use session_key_client::{
    Call, Revert,
    alloy::primitives::{Address, Bytes, Selector, U256},
    permissions::{
        AccessControlType, AddressEntry, ERC20_APPROVE, ERC20_TRANSFER, Erc20SpendLimit, FunctionEntry,
        MAX_SECONDS, PermissionUpdate, PermissionUpdates, SpendLimit, TimeRange, model::Phase,
    },
    revert::{AccountError, PluginError},
};
use std::{cell::RefCell, collections::BTreeMap};

const CASES: u32 = 100;

/// A contract that is known before the world is: those two are the world's own.
#[derive(Clone, Copy, Debug)]
enum Target {
    Fixed(Address),
    Account,
    EntryPoint,
}

impl Target {
    fn address(self, world: &World) -> Address {
        match self {
            Self::Fixed(address) => address,
            Self::Account => world.account.address(),
            Self::EntryPoint => world.account.deployment().entry_point,
        }
    }
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        30 => prop::sample::select(vec![SHOP, TOKEN, OTHER]).prop_map(Target::Fixed),
        1 => Just(Target::EntryPoint),
        1 => Just(Target::Account),
    ]
}

fn selectors() -> impl Strategy<Value = Selector> {
    prop::sample::select(vec![BUY, SELL, ERC20_TRANSFER, ERC20_APPROVE, Selector::ZERO])
}

/// Seconds around which intervals and ranges begin and end.
fn durations() -> impl Strategy<Value = u64> {
    prop_oneof![
        prop::sample::select(vec![1, 2, 9, 10, 11, DAY - 1, DAY, DAY + 1]),
        1..20u64,
    ]
}

fn limits(amounts: impl Strategy<Value = U256>) -> impl Strategy<Value = SpendLimit> {
    let intervals = prop_oneof![
        2 => Just(0),
        3 => Just(10),
        1 => Just(1),
        1 => Just(DAY),
        1 => Just(MAX_SECONDS),
        1 => Just(1 << 40),
    ];
    (amounts, intervals).prop_map(|(spend_limit, refresh_interval)| SpendLimit {
        spend_limit,
        refresh_interval,
    })
}

fn amounts() -> impl Strategy<Value = U256> {
    prop_oneof![
        12 => (0..6u64).prop_map(U256::from),
        1 => (0..3u64).prop_map(|less| U256::MAX - U256::from(less)),
        1 => (0..3u64).prop_map(|less| (U256::from(1) << 80) + U256::from(1) - U256::from(less)),
    ]
}

fn costs() -> impl Strategy<Value = U256> {
    let cost = prop::sample::select(vec![
        COST,
        COST * U256::from(2),
        COST + SPONSORED_COST,
        SPONSORED_COST,
    ]);
    prop_oneof![
        6 => (cost, 0..3u64).prop_map(|(cost, off)| cost + U256::from(1) - U256::from(off)),
        1 => Just(U256::MAX),
        1 => Just(U256::ZERO),
    ]
}

/// An update, for a key that gets it at the time given to `World::update`.
#[derive(Clone, Debug)]
enum Change {
    Update(PermissionUpdate),
    Entry(Target, bool, bool),
    Function(Target, Selector, bool),
    /// From so many seconds before or after [`START`], to so many.
    Range(Option<i64>, Option<i64>),
    Paymaster(bool),
}

fn changes() -> impl Strategy<Value = Change> {
    use Change::{Entry, Function, Paymaster, Range, Update};
    let kinds = prop::sample::select(vec![
        AccessControlType::Allowlist,
        AccessControlType::Denylist,
        AccessControlType::AllowAllAccess,
    ]);
    let tokens = prop::sample::select(vec![TOKEN, TOKEN, TOKEN, SHOP]);
    let range_end = prop::option::of(-20..100i64);
    prop_oneof![
        3 => kinds.prop_map(|kind| Update(PermissionUpdate::AccessListType(kind))),
        6 => (targets(), prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(target, is_on_list, check)| Entry(target, is_on_list, check)),
        4 => (targets(), selectors(), prop::bool::weighted(0.8))
            .prop_map(|(target, selector, is_on_list)| Function(target, selector, is_on_list)),
        1 => (range_end.clone(), range_end).prop_map(|(from, until)| Range(from, until)),
        4 => limits(amounts()).prop_map(|limit| Update(PermissionUpdate::NativeTokenSpendLimit(limit))),
        4 => (tokens, limits(amounts())).prop_map(|(token, limit)| {
            Update(PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit { token, limit }))
        }),
        3 => limits(costs()).prop_map(|limit| Update(PermissionUpdate::GasSpendLimit(limit))),
        1 => prop::bool::weighted(0.7).prop_map(Paymaster),
    ]
}

impl Change {
    fn update(&self, world: &World) -> PermissionUpdate {
        let time = |offset: Option<i64>| offset.map_or(0, |offset| START.saturating_add_signed(offset));
        match *self {
            Self::Update(update) => update,
            Self::Entry(target, is_on_list, check_selectors) => {
                PermissionUpdate::AddressEntry(AddressEntry {
                    contract: target.address(world),
                    is_on_list,
                    check_selectors,
                })
            }
            Self::Function(target, selector, is_on_list) => PermissionUpdate::FunctionEntry(FunctionEntry {
                contract: target.address(world),
                selector,
                is_on_list,
            }),
            Self::Range(from, until) => PermissionUpdate::TimeRange(TimeRange {
                valid_after: time(from),
                valid_until: time(until),
            }),
            Self::Paymaster(required) => PermissionUpdate::RequiredPaymaster(match required {
                true => world.paymaster(),
                false => Address::ZERO,
            }),
        }
    }
}

#[derive(Clone, Debug)]
struct RandomCall {
    target: Target,
    selector: Selector,
    amount: U256,
    value: U256,
    /// Length of the data: cut here, if it is longer.
    length: usize,
}

fn calls() -> impl Strategy<Value = RandomCall> {
    let lengths = prop_oneof![
        20 => Just(68),
        2 => Just(69),
        1 => Just(67),
        2 => Just(4),
        1 => 0..4usize,
    ];
    let values = prop_oneof![4 => Just(U256::ZERO), 2 => amounts()];
    let targets_and_selectors = prop_oneof![
        (targets(), selectors()),
        (Just(Target::Fixed(TOKEN)), Just(ERC20_TRANSFER)),
    ];
    (targets_and_selectors, amounts(), values, lengths).prop_map(
        |((target, selector), amount, value, length)| RandomCall {
            target,
            selector,
            amount,
            value,
            length,
        },
    )
}

impl RandomCall {
    fn call(&self, world: &World) -> Call {
        let mut data = self.selector.to_vec();
        data.extend(OTHER.into_word());
        data.extend(self.amount.to_be_bytes::<32>());
        data.push(0xff);
        data.truncate(self.length);
        // What else is sent to the EntryPoint fails there.
        if matches!(self.target, Target::EntryPoint) {
            data.clear();
        }
        Call::new(self.target.address(world), data).with_value(self.value)
    }
}

#[derive(Clone, Debug)]
struct RandomOperation {
    calls: Vec<RandomCall>,
    free: bool,
    sponsored: bool,
    own_lane: bool,
    own_signature: bool,
    /// A byte of the call data, as a share of its length, and what is xored to it.
    flip: Option<(prop::sample::Index, u8)>,
    /// So many bytes of the call data are cut off.
    cut: usize,
}

fn operations() -> impl Strategy<Value = RandomOperation> {
    (
        prop_oneof![1 => Just(0..1usize), 30 => Just(1..4)]
            .prop_flat_map(|count| prop::collection::vec(calls(), count)),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.95),
        prop::option::weighted(0.08, (any::<prop::sample::Index>(), 1u8..)),
        prop_oneof![20 => Just(0), 1 => 0..200usize],
    )
        .prop_map(
            |(calls, free, sponsored, own_lane, own_signature, flip, cut)| RandomOperation {
                calls,
                free,
                sponsored,
                own_lane,
                own_signature,
                flip,
                cut,
            },
        )
}

#[derive(Clone, Debug)]
enum Step {
    Update(Vec<Change>),
    Operation(RandomOperation),
}

/// Permissions that let calls through, so that not all fail for the first rule.
fn permissions() -> impl Strategy<Value = Vec<Change>> {
    let list = prop_oneof![
        Just(vec![Change::Update(PermissionUpdate::AccessListType(
            AccessControlType::AllowAllAccess
        ))]),
        Just(vec![Change::Update(PermissionUpdate::AccessListType(
            AccessControlType::Denylist
        ))]),
        Just(
            [SHOP, TOKEN, OTHER]
                .map(|contract| Change::Entry(Target::Fixed(contract), true, false))
                .to_vec()
        ),
    ];
    let limit = || limits((2..12u64).prop_map(U256::from));
    (list, limit(), limit()).prop_map(|(mut changes, native, limit)| {
        changes.push(Change::Update(PermissionUpdate::NativeTokenSpendLimit(native)));
        changes.push(Change::Update(PermissionUpdate::Erc20SpendLimit(
            Erc20SpendLimit { token: TOKEN, limit },
        )));
        changes
    })
}

fn histories() -> impl Strategy<Value = (Vec<Change>, Vec<(u64, Step)>)> {
    let step = prop_oneof![
        1 => prop::collection::vec(changes(), 1..4).prop_map(Step::Update),
        5 => operations().prop_map(Step::Operation),
    ];
    let initial = (permissions(), prop::collection::vec(changes(), 0..4))
        .prop_map(|(permissions, changes)| [permissions, changes].concat());
    (initial, prop::collection::vec((durations(), step), 1..7))
}

type Reached = RefCell<BTreeMap<String, u32>>;

async fn run(initial: &[Change], steps: &[(u64, Step)], reached: &Reached) {
    let mut world = World::new(&PermissionUpdates::new());
    let mut time = START + 1;
    let updates = |world: &World, changes: &[Change]| -> PermissionUpdates {
        changes.iter().map(|change| change.update(world)).collect()
    };
    let changes = updates(&world, initial);
    world.update(&changes, time);
    for (duration, step) in steps {
        time += duration;
        match step {
            Step::Update(changes) => {
                let changes = updates(&world, changes);
                world.update(&changes, time);
            }
            Step::Operation(operation) => run_operation(&mut world, operation, time, reached),
        }
        world.assert_state().await;
    }
}

fn run_operation(world: &mut World, random: &RandomOperation, time: u64, reached: &Reached) {
    let calls: Vec<Call> = random.calls.iter().map(|call| call.call(world)).collect();
    let mut operation = world.operation(&calls);
    if random.free {
        operation.max_fee_per_gas = U256::ZERO;
    }
    if random.sponsored {
        operation.paymaster_and_data = world.paymaster().to_vec().into();
    }
    if !random.own_lane {
        operation.nonce = U256::from(7) << 64;
    }
    let mut data = operation.call_data.to_vec();
    if let Some((index, bits)) = random.flip {
        let index = index.index(data.len());
        data[index] ^= bits;
    }
    data.truncate(data.len() - random.cut.min(data.len()));
    operation.call_data = Bytes::from(data);
    let signer = if random.own_signature {
        world.key.clone()
    } else {
        key(9)
    };
    let signed = world.sign(operation, &signer);

    let verdict = world.state.check_signed(&signed, time);
    let outcome = world.include(std::slice::from_ref(&signed), time).remove(0);
    let mut count = |what: &str| *reached.borrow_mut().entry(what.to_owned()).or_default() += 1;
    if verdict.is_accepted() && calls_failed(&outcome) {
        // The account does not hold what it was to send, say. What validation did stays.
        count("calls failed");
        let violations = world
            .state
            .execute_validation(&signed.operation, Some(signed.hash), time);
        assert!(violations.is_empty());
        return;
    }
    assert_agree(&verdict, &outcome);
    match verdict.phase() {
        None => count("accepted"),
        Some(Phase::Validation) => count("validation"),
        Some(_) => count("execution"),
    }
    codes(&verdict).into_iter().for_each(&mut count);
    if random.own_signature {
        assert_eq!(world.state.execute(&signed.operation, time), verdict);
    }
}

/// Execution reverted, but not in the plugin's check.
fn calls_failed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Reverted(Revert::Plugin(PluginError::PermissionsCheckFailed))
        | Outcome::Reverted(Revert::Plugin(PluginError::NativeTokenSpendLimitExceeded { .. }))
        | Outcome::Reverted(Revert::Plugin(PluginError::ERC20SpendLimitExceeded { .. }))
        | Outcome::Reverted(Revert::Plugin(PluginError::InvalidSessionKey { .. })) => false,
        Outcome::Reverted(Revert::Account(AccountError::ExecFromPluginExternalNotPermitted { .. })) => false,
        Outcome::Reverted(_) => true,
        _ => false,
    }
}

#[test]
fn random_histories_come_out_as_on_chain() {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let is_default =
        std::env::var_os("PROPTEST_CASES").is_none() && matches!(config.rng_seed, RngSeed::Random);
    if is_default {
        config.cases = CASES;
        config.rng_seed = RngSeed::Fixed(1);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let reached = Reached::default();
    TestRunner::new(config)
        .run(&histories(), |(initial, steps)| {
            runtime.block_on(run(&initial, &steps, &reached));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let reached = reached.into_inner();
    println!("{reached:#?}");
    // "No mismatch" must not mean "nothing reached".
    for outcome in ["accepted", "validation", "execution"] {
        assert!(
            !is_default || reached.contains_key(outcome),
            "{outcome} not reached"
        );
    }
    assert!(!is_default || reached.len() >= 20, "{reached:#?}");
}
