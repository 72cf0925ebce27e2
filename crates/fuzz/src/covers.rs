//! `covers`: where a policy does not cover a need, the example that is given is accepted of a key with the
//! need's permissions and refused of one with the policy's: by the model, and on the chain if a new key can
//! get into the example's state there.

use crate::{
    Generation, Outcomes, Property,
    account::{AccountWorld, Bundle, START},
    history::fail,
    steps::{Change, GAS, session_key},
};
use alloy::primitives::{Bytes, U256};
use proptest::prelude::*;
use session_key_client::{
    UserOperation, calldata,
    permissions::{
        Call, PermissionUpdate, PermissionUpdates, Permissions,
        covers::{Example, MissingCode, covers_on},
        execute_with_session_key,
    },
};

/// Two sets.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the policy's key may do.
    pub policy: Vec<Change>,
    /// What is needed.
    pub need: Vec<Change>,
    /// Whether the policy is the need with its own changes on top.
    pub is_near: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Coverages {
    world: AccountWorld,
}

impl Property for Coverages {
    type Case = Case;

    const NAME: &'static str = "covers";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let world = AccountWorld::new(generation, plugin)?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        let set = || prop_oneof![Change::any_permissions(), Change::any_few().boxed()];
        (set(), set(), prop::bool::weighted(0.7))
            .prop_map(|(policy, need, is_near)| Case {
                policy,
                need,
                is_near,
            })
            .boxed()
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let world = &mut self.world;
        let set = |changes: &[&[Change]]| {
            changes
                .iter()
                .flat_map(|changes| changes.iter())
                .map(|change| change.update(world))
                .fold(Permissions::new(), Permissions::update)
        };
        let need = set(&[&case.need]);
        let policy = if case.is_near {
            set(&[&case.need, &case.policy])
        } else {
            set(&[&case.policy])
        };
        let Ok(coverage) = covers_on(world.account, &policy, &need) else {
            outcomes.reached("nothing is needed");
            return Ok(());
        };
        if coverage.is_covered() {
            outcomes.reached("covered");
        }
        for missing in coverage.missing() {
            let example = missing.example();
            prop_assert!(example.is_accepted_by(&need), "{:?}", missing);
            prop_assert!(!example.is_accepted_by(&policy), "{:?}", missing);
            // What is used already cannot be made up on the chain, and times lie where blocks are.
            let is_fresh = [example.native, example.gas]
                .iter()
                .chain(example.tokens.values())
                .all(|used| used.used.is_zero());
            // A cost is tied to real gas there.
            let fits = is_fresh && example.time <= START + 1_000_000 && example.max_cost.is_zero();
            let is_payable = example
                .calls
                .iter()
                .all(|call| call.value <= U256::from(1u64 << 40));
            // Of others, the chain says that they do not pay.
            let pays = example
                .paymaster
                .is_none_or(|paymaster| world.paymasters.contains(&paymaster));
            if !fits || !is_payable || !pays {
                outcomes.reached(format!("{}: model", missing.code.as_str()));
                continue;
            }
            let time = example.time.max(START + 10);
            let is_about_time = matches!(missing.code, MissingCode::BeginsLater | MissingCode::EndsEarlier);
            if time != example.time && (is_about_time || !stays(&policy, &need, time)) {
                outcomes.reached(format!("{}: model", missing.code.as_str()));
                continue;
            }
            let accepted = on_chain(world, &need, example, time)?;
            let refused = on_chain(world, &policy, example, time)?;
            prop_assert!(!refused, "the chain accepts of the policy: {:?}", missing);
            // Sets are compared by the plugin's rules. The module has more, for both.
            let is_possible = passes_rules(world, &need, example, time)?;
            prop_assert_eq!(
                accepted,
                is_possible,
                "the chain says (left) of the need: {:?}",
                missing
            );
            outcomes.reached(if is_possible {
                format!("{}: chain", missing.code.as_str())
            } else {
                "the module refuses to both".to_owned()
            });
        }
        Ok(())
    }
}

/// Whether both sets are as valid at a time as they are at the start.
fn stays(policy: &Permissions, need: &Permissions, time: u64) -> bool {
    [policy, need].iter().all(|set| {
        let range = set.time_range.unwrap_or_default();
        range.valid_after <= time && (range.valid_until == 0 || range.valid_until >= time)
    })
}

/// Whether the rules of the account's plugin let a new key with this set make the calls.
fn passes_rules(
    world: &AccountWorld,
    set: &Permissions,
    example: &Example,
    time: u64,
) -> Result<bool, TestCaseError> {
    let mut state = world.fresh(session_key(0).address());
    let updates: PermissionUpdates = set.updates().collect();
    state.apply_at_addition(&updates, time - 1).map_err(fail)?;
    Ok(state.check_calls(&example.calls, time).is_accepted())
}

/// Whether the chain lets a new key with this set make the operation. A call that fails by itself
/// was let through.
fn on_chain(
    world: &mut AccountWorld,
    set: &Permissions,
    example: &Example,
    time: u64,
) -> Result<bool, TestCaseError> {
    world.reset().map_err(fail)?;
    let signer = session_key(0);
    let key = signer.address();
    let updates: PermissionUpdates = set.updates().collect::<Vec<PermissionUpdate>>().into();
    let new = session_key_client::NewSessionKey {
        key,
        tag: Default::default(),
        permissions: updates.encode_unchecked().map_err(fail)?,
    };
    let (owner, account) = (world.owner.address(), world.account);
    let add = calldata::add_session_key(&new);
    world.send(owner, account, add, time - 1).map_err(fail)?;
    let calls: Vec<Call> = example.calls.clone();
    let lane = world.nonce_key(key, (!example.uses_keys_lane).then_some(0));
    // Gas limits that are enough, at no fee: what the operation may cost is zero, as in the example.
    let mut operation = UserOperation {
        version: world.account_generation.entry_point_version(),
        sender: account,
        nonce: lane << 64,
        call_data: execute_with_session_key(&calls, key),
        call_gas_limit: U256::from(2_000_000),
        verification_gas_limit: U256::from(2_000_000),
        pre_verification_gas: U256::from(100_000),
        paymaster_and_data: example
            .paymaster
            .map(|paymaster| world.paymaster_data(paymaster, GAS))
            .unwrap_or_default(),
        ..UserOperation::default()
    };
    world.sign(&mut operation, &signer).map_err(fail)?;
    operation.signature = world.formed(&operation.signature);
    Ok(match world.handle_ops(&[operation], time).map_err(fail)? {
        Bundle::Refused { .. } => false,
        Bundle::Included(included) => !included.iter().any(|included| included.is_plugins_refusal()),
    })
}
