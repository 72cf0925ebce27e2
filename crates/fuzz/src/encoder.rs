//! `encoder`: a permission set, encoded in Rust and given to `addSessionKey`, reads back by every view of the
//! plugin as what the set says. The model, and decoding, say the same. A set that no plugin could take is
//! refused in Rust.

use crate::{
    ACCOUNT, Generation, Outcomes, Property, World,
    generators::{
        CONTRACTS, any_access_control_type, any_address, any_address_entry, any_erc20_limit,
        any_function_entry, any_later_time, any_limit, any_time_range,
    },
};
use alloy::primitives::{Address, Bytes, Selector, U256, address};
use proptest::prelude::*;
use session_key_client::permissions::{
    MAX_SECONDS, PermissionUpdate, PermissionUpdates, Permissions, SpendLimit, SpendLimitInfo,
    model::KeyState,
};
use session_key_testkit::ChainError;

const SESSION_KEY: Address = address!("0x0000000000000000000000000000000000005e55");

/// Contracts that are read whether the set names them or not.
const NAMED: [Address; 5] = [CONTRACTS[0], CONTRACTS[1], CONTRACTS[2], ACCOUNT, Address::ZERO];

/// A permission set for a new key.
#[derive(Clone, Debug)]
pub struct Case {
    /// The set.
    pub permissions: Permissions,
    /// Unix seconds of the block in which the key is added.
    pub time: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Encoder {
    world: World,
}

impl Property for Encoder {
    type Case = Case;

    const NAME: &'static str = "encoder";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let world = World::new(generation, plugin)?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        // A few have an interval that is too long, or the zero address as a token.
        let over = prop_oneof![30 => Just(0u64), 1 => 1u64..3];
        (
            (
                any_access_control_type(),
                prop::collection::vec(any_address_entry(), 0..4),
                prop::collection::vec(any_function_entry(), 0..4),
                prop::option::of(any_time_range()),
            ),
            (
                prop::option::of(any_limit()),
                prop::collection::vec(any_erc20_limit(), 0..4),
                prop::option::of(any_limit()),
                prop::option::of(any_address()),
            ),
            over,
            any_later_time(self.world.chain.timestamp()),
        )
            .prop_map(|(list, limits, over, time)| {
                let (access_control_type, address_entries, function_entries, time_range) = list;
                let (native_token_spend_limit, erc20_spend_limits, mut gas_spend_limit, required_paymaster) =
                    limits;
                if let (1.., Some(limit)) = (over, &mut gas_spend_limit) {
                    limit.refresh_interval = MAX_SECONDS + over;
                }
                let mut permissions = Permissions::new();
                permissions.access_control_type = access_control_type;
                permissions.address_entries = address_entries;
                permissions.function_entries = function_entries;
                permissions.time_range = time_range;
                permissions.native_token_spend_limit = native_token_spend_limit;
                permissions.erc20_spend_limits = erc20_spend_limits;
                permissions.gas_spend_limit = gas_spend_limit;
                permissions.required_paymaster = required_paymaster;
                Case { permissions, time }
            })
            .boxed()
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let world = &mut self.world;
        let fail = |error: ChainError| TestCaseError::fail(error.to_string());
        let encoded = match case.permissions.encode_unchecked() {
            Ok(encoded) => encoded,
            Err(error) => {
                prop_assert!(!is_possible(&case.permissions), "not encoded: {error}");
                outcomes.reached("refused: the zero token, or seconds over uint48");
                return Ok(());
            }
        };
        prop_assert!(is_possible(&case.permissions), "encoded what no plugin takes");

        world.reset().map_err(fail)?;
        world.chain.set_next_timestamp(case.time).map_err(fail)?;
        let execution = world.add_key(SESSION_KEY, encoded.clone()).map_err(fail)?;
        prop_assert!(
            execution.is_success(),
            "the plugin refuses: {:?} {}",
            execution.status,
            execution.output
        );

        let mut expected = expected(world, &case.permissions, case.time);
        // What no entry names must be as it is by default.
        for contract in NAMED {
            let entry = expected.contracts.entry(contract).or_default();
            entry.functions.entry(Selector::ZERO).or_insert(false);
        }
        let found = world.read_state(&expected).map_err(fail)?;
        prop_assert_eq!(&found, &expected, "the chain (left) differs from the set (right)");

        let updates: PermissionUpdates = case.permissions.updates().collect();
        let decoded = PermissionUpdates::decode(&encoded);
        prop_assert_eq!(decoded.as_ref(), Ok(&updates), "decodes differently");
        let mut applied = world.fresh(SESSION_KEY);
        for contract in expected.contracts.keys() {
            let entry = applied.contracts.entry(*contract).or_default();
            if NAMED.contains(contract) {
                entry.functions.insert(Selector::ZERO, false);
            }
        }
        applied
            .apply_at_addition(&updates, case.time)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(applied, expected, "the model (left) differs from the set (right)");

        for update in &updates {
            outcomes.reached(what(update));
        }
        if updates.as_slice().len() == 1 {
            outcomes.reached("a list type alone");
        }
        Ok(())
    }
}

/// Whether the plugin's types can hold the set.
fn is_possible(permissions: &Permissions) -> bool {
    let limits = permissions
        .native_token_spend_limit
        .iter()
        .chain(&permissions.gas_spend_limit)
        .chain(permissions.erc20_spend_limits.iter().map(|token| &token.limit));
    limits
        .into_iter()
        .all(|limit| limit.refresh_interval <= MAX_SECONDS)
        && permissions
            .erc20_spend_limits
            .iter()
            .all(|token| !token.token.is_zero())
        && permissions
            .time_range
            .is_none_or(|range| range.valid_after <= MAX_SECONDS && range.valid_until <= MAX_SECONDS)
}

/// What a fresh key is to look like with a set that was applied at `time`: written from the specification,
/// without the model's help.
fn expected(world: &World, permissions: &Permissions, time: u64) -> KeyState {
    let mut state = world.fresh(SESSION_KEY);
    // On the module, intervals begin with the first use.
    let is_v08 = world.generation.is_v08();
    let time = if is_v08 { 0 } else { time };
    state.access_control_type = permissions.access_control_type;
    // The last entry of a contract or a function counts.
    for entry in &permissions.address_entries {
        let contract = state.contracts.entry(entry.contract).or_default();
        (contract.is_on_list, contract.check_selectors) = (entry.is_on_list, entry.check_selectors);
    }
    for entry in &permissions.function_entries {
        let contract = state.contracts.entry(entry.contract).or_default();
        contract.functions.insert(entry.selector, entry.is_on_list);
    }
    state.time_range = permissions.time_range.unwrap_or_default();
    state.native_limit = match permissions.native_token_spend_limit {
        None => SpendLimitInfo {
            has_limit: true,
            ..Default::default()
        },
        Some(limit) if limit.is_unlimited() => SpendLimitInfo::default(),
        Some(limit) => unused(limit, time),
    };
    for entry in &permissions.erc20_spend_limits {
        let token_limit = &mut state.contracts.entry(entry.token).or_default().token_limit;
        if entry.limit.is_unlimited() {
            // The other fields stay as they were.
            token_limit.has_limit = false;
        } else {
            *token_limit = unused(entry.limit, time);
        }
    }
    if let Some(limit) = permissions.gas_spend_limit.filter(|limit| !limit.is_unlimited()) {
        state.gas_limit.info = unused(limit, time);
        state.gas_limit.should_reset = is_v08 && limit.refresh_interval != 0;
    }
    state.required_paymaster = permissions
        .required_paymaster
        .filter(|paymaster| !paymaster.is_zero());
    state
}

const fn unused(limit: SpendLimit, time: u64) -> SpendLimitInfo {
    SpendLimitInfo {
        has_limit: true,
        limit: limit.spend_limit,
        limit_used: U256::ZERO,
        refresh_interval: limit.refresh_interval,
        // The plugin keeps the low 48 bits of the time.
        last_used_time: match limit.refresh_interval {
            0 => 0,
            _ => time % (MAX_SECONDS + 1),
        },
    }
}

fn what(update: &PermissionUpdate) -> String {
    let limit = |name: &str, limit: &SpendLimit| {
        let kind = match limit {
            _ if limit.is_unlimited() => "none",
            SpendLimit { spend_limit, .. } if spend_limit.is_zero() => "zero",
            SpendLimit {
                refresh_interval: 0, ..
            } => "in all",
            _ => "per interval",
        };
        format!("{name} limit: {kind}")
    };
    match update {
        PermissionUpdate::AccessListType(kind) => format!("list type: {kind}"),
        PermissionUpdate::AddressEntry(entry) => format!(
            "contract: on the list {}, check selectors {}",
            entry.is_on_list, entry.check_selectors
        ),
        PermissionUpdate::FunctionEntry(entry) => format!("function: on the list {}", entry.is_on_list),
        PermissionUpdate::TimeRange(range) => format!(
            "time range: from {}, until {}",
            range.valid_after > 0,
            range.valid_until > 0
        ),
        PermissionUpdate::NativeTokenSpendLimit(value) => limit("native", value),
        PermissionUpdate::Erc20SpendLimit(value) => limit("token", &value.limit),
        PermissionUpdate::GasSpendLimit(value) => limit("gas", value),
        PermissionUpdate::RequiredPaymaster(paymaster) => {
            format!("paymaster required: {}", !paymaster.is_zero())
        }
        _ => "another update".into(),
    }
}
