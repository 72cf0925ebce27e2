//! `plan`: from the state of a key after a random history to a random set. Carried out on the chain, the plan
//! leads to the set and nowhere else, a second plan is empty, what was equal is as it was, limits have the
//! use and the end of the interval that it says, and every update of it is needed.

use crate::{
    Generation, Outcomes, Property,
    account::AccountWorld,
    history::{History, fail},
    sequence::{Case as Lived, live},
    steps::{Change, Target},
    views::with_entries,
};
use alloy::primitives::{Bytes, U256};
use proptest::prelude::*;
use session_key_client::{
    calldata,
    permissions::{
        Part, PermissionUpdate, PermissionUpdates, Permissions, SpendLimitInfo,
        model::KeyState,
        plan::{LimitMode, Plan, is_as},
    },
};
use std::collections::BTreeSet;

/// A history, and what a key shall have afterwards.
#[derive(Clone, Debug)]
pub struct Case {
    /// The history.
    pub lived: Lived,
    /// Which of the keys that are there then.
    pub key: usize,
    /// What it shall have.
    pub wished: Vec<Change>,
    /// Whether it shall have what it was given at first, with these changes.
    pub is_near: bool,
    /// What becomes of the amount used.
    pub mode: u8,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Plans {
    world: AccountWorld,
}

impl Property for Plans {
    type Case = Case;

    const NAME: &'static str = "plan";

    fn prepare(generation: Generation, plugin: Option<&Bytes>) -> eyre::Result<Self> {
        let world = AccountWorld::new(generation, plugin)?;
        Ok(Self { world })
    }

    fn cases(&self) -> BoxedStrategy<Case> {
        let wished = prop_oneof![Change::any_permissions(), Change::any_few().boxed()];
        (
            crate::sequence::histories(self.world.generation, 1..8),
            0..3usize,
            wished,
            any::<bool>(),
            0..3u8,
        )
            .prop_map(|(lived, key, wished, is_near, mode)| Case {
                lived,
                key,
                wished,
                is_near,
                mode,
            })
            .boxed()
    }

    fn check(&mut self, case: &Case, outcomes: &mut Outcomes) -> Result<(), TestCaseError> {
        let mut history = History::begin(&mut self.world)?;
        let time = live(&mut history, &case.lived, outcomes)?;
        if !history.model.installed {
            outcomes.reached("no plugin");
            return Ok(());
        }
        let keys = history.model.keys.as_slice();
        let Some(key) = keys.get(case.key % keys.len().max(1)).copied() else {
            outcomes.reached("no key");
            return Ok(());
        };
        let state = history.model.state(key).ok_or_else(|| fail("no state"))?.clone();
        let first = match case.lived.keys.first() {
            Some((_, permissions)) if case.is_near => permissions.as_slice(),
            _ => &[],
        };
        let wished = first
            .iter()
            .chain(&case.wished)
            .map(|change| change.update(history.world))
            .fold(Permissions::new(), Permissions::update);
        let mode = [LimitMode::Keep, LimitMode::Afresh, LimitMode::Raw][usize::from(case.mode)];
        let at = time + 1;
        let plan = Plan::new(&state, &wished, mode, at).map_err(fail)?;
        let updates = plan.updates();

        // On the chain.
        let call_data = calldata::update_key_permissions(key, updates.encode_unchecked().map_err(fail)?);
        let (owner, account) = (history.world.owner.address(), history.world.account);
        history.world.send(owner, account, call_data, at).map_err(fail)?;
        let mut expected = state.clone();
        expected.apply(&updates, at).map_err(fail)?;
        let contracts = Target::ALL.map(|target| target.address(history.world));
        let footprint = with_entries(&expected, &contracts, &crate::steps::SELECTORS);
        let found = history
            .world
            .read(std::slice::from_ref(&footprint))
            .map_err(fail)?;
        prop_assert_eq!(
            &found.states[0],
            &footprint,
            "the chain (left) differs from the model (right)"
        );
        let after = &found.states[0];
        prop_assert!(is_as(after, &wished), "the plan leads elsewhere: {:?}", after);
        let second = Plan::new(after, &wished, mode, at).map_err(fail)?;
        prop_assert!(second.is_empty(), "a second plan: {:?}", second);

        // What the plan says of limits is what the chain then says.
        let budgets = state.budgets(at);
        for change in plan.changes() {
            let (before, now, budget) = match change.part {
                Part::NativeLimit => (state.native_limit, after.native_limit, budgets.native),
                Part::GasLimit => (state.gas_limit.info, after.gas_limit.info, budgets.gas),
                Part::TokenLimit { token } => {
                    let of = |key: &KeyState| key.contracts.get(&token).map(|contract| contract.token_limit);
                    let budget = budgets.erc20.get(&token).copied();
                    (
                        of(&state).unwrap_or_default(),
                        of(after).unwrap_or_default(),
                        budget,
                    )
                }
                _ => continue,
            };
            let Some(effect) = change.limit else {
                return Err(fail("a limit changes without an effect"));
            };
            let counts = budget.map_or(U256::ZERO, |budget| budget.used);
            let expected = match mode {
                _ if !now.has_limit => U256::ZERO,
                LimitMode::Keep => counts,
                LimitMode::Raw => before.limit_used,
                _ => U256::ZERO,
            };
            prop_assert_eq!(effect.used_before, counts, "{:?}", change);
            prop_assert_eq!(
                (effect.used_after, now.limit_used),
                (expected, expected),
                "{:?}",
                change
            );
            let refreshes = now.refreshes_at().filter(|_| now.has_limit);
            prop_assert_eq!(effect.refreshes_after, refreshes, "{:?}", change);
        }

        // What was equal is as it was, use included.
        let touched: BTreeSet<Part> = updates.as_slice().iter().map(Part::of).collect();
        if !touched.contains(&Part::NativeLimit) {
            prop_assert_eq!(after.native_limit, state.native_limit);
        }
        if !touched.contains(&Part::GasLimit) {
            prop_assert_eq!(after.gas_limit, state.gas_limit);
        }
        for (token, contract) in &state.contracts {
            if !touched.contains(&Part::TokenLimit { token: *token }) {
                let now = after.contracts.get(token).map(|contract| contract.token_limit);
                prop_assert_eq!(now.unwrap_or_default(), contract.token_limit);
            }
        }
        // Every update is needed: without it, the set is not reached, or what is used is not what
        // it should be.
        for left_out in 0..updates.as_slice().len() {
            let fewer: Vec<PermissionUpdate> = updates
                .as_slice()
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != left_out)
                .map(|(_, update)| *update)
                .collect();
            let mut other = state.clone();
            other.apply(&PermissionUpdates::from(fewer), at).map_err(fail)?;
            let is_reached = is_as(&other, &wished) && used(&other) == used(&expected);
            prop_assert!(!is_reached, "update {} of {:?} is not needed", left_out, updates);
        }
        outcomes.reached(format!("{} changes", plan.changes().len().min(6)));
        outcomes.reached(format!("{mode:?}: {} clear", clears(&plan)));
        outcomes.reached(if plan.widens() { "widens" } else { "narrows" });
        Ok(())
    }
}

fn clears(plan: &Plan) -> usize {
    plan.changes()
        .iter()
        .filter(|change| change.updates.len() > 1)
        .count()
}

/// What is used of each limit.
fn used(state: &KeyState) -> Vec<U256> {
    let used = |limit: &SpendLimitInfo| {
        if limit.has_limit {
            limit.limit_used
        } else {
            Default::default()
        }
    };
    let limits = [&state.native_limit, &state.gas_limit.info].into_iter();
    limits
        .chain(state.contracts.values().map(|contract| &contract.token_limit))
        .map(used)
        .collect()
}
