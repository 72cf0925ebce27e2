//! Plans: the shortest list of updates from a key's permissions to those of a policy.
//!
//! Each setting that the plugin stores is changed by one kind of update, and every update changes one
//! setting. So the list has one update for each setting that differs, one more if an amount used must be
//! cleared, and none for equal settings, even if they are partly used. Entries without a current effect are
//! settings like any other: a listed function of an unlisted contract would take effect once the contract is
//! listed.
//!
//! ```
//! use alloy_primitives::{Address, U256};
//! use session_key_permissions::{KeyState, Permissions, SpendLimit, plan::{LimitMode, Plan}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let [account, key, exchange] = [1, 2, 3].map(Address::repeat_byte);
//! # let now = 1_800_000_000;
//! let mut state = KeyState::fresh(account, key);
//! let policy = Permissions::new()
//!     .contract(exchange)
//!     .native_token_spend_limit(SpendLimit::per(U256::from(1_000), 86_400));
//! let plan = Plan::new(&state, &policy, LimitMode::Keep, now)?;
//! assert_eq!(plan.changes().len(), 2);
//! state.apply(&plan.updates(), now)?;
//! assert!(Plan::new(&state, &policy, LimitMode::Keep, now)?.is_empty());
//! # Ok(())
//! # }
//! ```

use crate::{
    AccessControlType, AddressEntry, Call, Erc20SpendLimit, FunctionEntry, KeyState, Part, PermissionError,
    PermissionUpdate, PermissionUpdates, Permissions, SpendLimit, SpendLimitInfo, TimeRange,
    model::{ContractState, calls_of, calls_to, range_narrows, unlisted_contract},
};
use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use session_key_bindings::ENTRY_POINT;
use std::collections::BTreeSet;

/// What happens to the amount used when a plan changes a limit. Unchanged limits always keep it.
///
/// In all three, the interval restarts when the change is included, and is the one asked for. Say a key has
/// 100 a week, has used 60 of it, and is to have 150 a week:
///
/// | mode | in the middle of the week | after the week, nothing used since |
/// | --- | --- | --- |
/// | [`Keep`](Self::Keep) | 90 left at once | 150 left at once |
/// | [`Afresh`](Self::Afresh) | 150 | 150 |
/// | [`Raw`](Self::Raw) | 90 | **90**: the old week's 60 count against the new week |
///
/// So with `Raw`, raising a limit that refreshes can lower what the key could spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LimitMode {
    /// Keeps the amount used if its interval runs at the planned time, and always without an interval; else
    /// clears it.
    Keep,
    /// Clears the amount used. If nothing is used at the planned time, there is nothing to clear: amounts
    /// spent between that time and inclusion then stay used.
    Afresh,
    /// Only sets the limit. The amount used stays, even if its interval is over.
    Raw,
}

/// A setting, before or after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Setting {
    /// The type of the access control list.
    AccessControlType(AccessControlType),
    /// A contract's entry.
    Contract {
        /// Whether it is on the list.
        is_on_list: bool,
        /// Whether the entry covers only functions that are on the list themselves.
        check_selectors: bool,
    },
    /// Whether a function is on the list.
    Function {
        /// Whether it is.
        is_on_list: bool,
    },
    /// When the key may be used.
    TimeRange(TimeRange),
    /// A limit; `None` for no limit.
    Limit(Option<SpendLimit>),
    /// The required paymaster.
    RequiredPaymaster(Option<Address>),
}

/// The effect of a change on the use of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitEffect {
    /// The amount that counts as used at the planned time, before the change.
    pub used_before: U256,
    /// The amount that counts as used right after the change.
    pub used_after: U256,
    /// When the interval would have ended, unix seconds. `None` if never, or if there was no limit.
    pub refreshes_before: Option<u64>,
    /// When it ends if the change is included at the planned time; later inclusion shifts it. `None` if
    /// never, or if there is no limit.
    pub refreshes_after: Option<u64>,
}

/// One setting that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The setting.
    pub part: Part,
    /// Its current value.
    pub before: Setting,
    /// Its new value.
    pub after: Setting,
    /// Whether this change allows the key something that was not allowed before.
    pub widens: bool,
    /// The effect on the amount used, for a limit.
    pub limit: Option<LimitEffect>,
    /// The updates that make the change: one, or two if an amount used is cleared.
    pub updates: Vec<PermissionUpdate>,
}

/// The reason a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The key is not registered.
    #[error("session key {0} is not registered")]
    NotRegistered(Address),

    /// Not all of the key's permissions are known. A plan could not remove the unknown ones.
    #[error("not all permissions of session key {0} are known: a plan could leave some of them in place")]
    Incomplete(Address),

    /// The plugin does not accept the policy.
    #[error(transparent)]
    Permission(#[from] PermissionError),
}

/// The changes that give a key exactly the permissions of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    changes: Vec<Change>,
    at: u64,
}

impl Plan {
    /// Plans for a key whose complete state was read at a block with timestamp `at` (unix seconds). Refuses a
    /// state that is not [complete](KeyState::complete), and permissions that no plugin accepts.
    pub fn new(state: &KeyState, policy: &Permissions, mode: LimitMode, at: u64) -> Result<Self, PlanError> {
        if !state.registered {
            return Err(PlanError::NotRegistered(state.session_key));
        }
        if !state.complete {
            return Err(PlanError::Incomplete(state.session_key));
        }
        policy.check_for(state.rule_set, at)?;
        let mut wished = KeyState::fresh(state.account, state.session_key);
        wished.apply(&policy.updates().collect(), at)?;

        let mut changes = differences(state, &wished, mode, at);
        let mut after = state.clone();
        after.apply(
            &changes.iter().flat_map(|change| change.updates.clone()).collect(),
            at,
        )?;
        mark_widening(state, &after, &mut changes);
        Ok(Self { changes, at })
    }

    /// The changes, in the order of the encoding.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing has to change.
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether the plan allows the key something that was not allowed before.
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.widens)
    }

    /// The time that the plan is made for, unix seconds.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// The updates, in the order of the encoding.
    pub fn updates(&self) -> PermissionUpdates {
        self.changes
            .iter()
            .flat_map(|change| change.updates.iter().copied())
            .collect()
    }
}

/// Whether a key has exactly the permissions of a policy, used amounts aside.
#[must_use]
pub fn is_as(state: &KeyState, policy: &Permissions) -> bool {
    Plan::new(state, policy, LimitMode::Raw, 0).is_ok_and(|plan| plan.is_empty())
}

fn differences(state: &KeyState, wished: &KeyState, mode: LimitMode, at: u64) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |update: PermissionUpdate, before: Setting, after: Setting| {
        if before != after {
            changes.push(Change {
                part: Part::of(&update),
                before,
                after,
                widens: false,
                limit: None,
                updates: vec![update],
            });
        }
    };
    change(
        PermissionUpdate::AccessListType(wished.access_control_type),
        Setting::AccessControlType(state.access_control_type),
        Setting::AccessControlType(wished.access_control_type),
    );
    let absent = ContractState::default();
    let contracts: BTreeSet<Address> = state
        .contracts
        .keys()
        .chain(wished.contracts.keys())
        .copied()
        .collect();
    let pairs = || {
        contracts.iter().map(|contract| {
            let [old, new] = [state, wished].map(|state| state.contracts.get(contract).unwrap_or(&absent));
            (*contract, old, new)
        })
    };
    for (contract, old, new) in pairs() {
        let entry = |entry: &ContractState| Setting::Contract {
            is_on_list: entry.is_on_list,
            check_selectors: entry.check_selectors,
        };
        let update = AddressEntry {
            contract,
            is_on_list: new.is_on_list,
            check_selectors: new.check_selectors,
        };
        change(PermissionUpdate::AddressEntry(update), entry(old), entry(new));
    }
    for (contract, old, new) in pairs() {
        let selectors: BTreeSet<_> = old
            .functions
            .keys()
            .chain(new.functions.keys())
            .copied()
            .collect();
        for selector in selectors {
            let [before, is_on_list] =
                [old, new].map(|entry| entry.functions.get(&selector).copied().unwrap_or(false));
            let update = FunctionEntry {
                contract,
                selector,
                is_on_list,
            };
            change(
                PermissionUpdate::FunctionEntry(update),
                Setting::Function { is_on_list: before },
                Setting::Function { is_on_list },
            );
        }
    }
    change(
        PermissionUpdate::TimeRange(wished.time_range),
        Setting::TimeRange(state.time_range),
        Setting::TimeRange(wished.time_range),
    );
    let native = state.native_limit;
    let update = PermissionUpdate::NativeTokenSpendLimit;
    changes.extend(limit_change(
        [native, native.at(at)],
        wished.native_limit,
        mode,
        at,
        update,
    ));
    for (token, old, new) in pairs() {
        let update = |limit| PermissionUpdate::Erc20SpendLimit(Erc20SpendLimit { token, limit });
        let old = old.token_limit;
        changes.extend(limit_change([old, old.at(at)], new.token_limit, mode, at, update));
    }
    let update = PermissionUpdate::GasSpendLimit;
    let gas = state.gas_limit;
    changes.extend(limit_change(
        [gas.info, gas.at(at)],
        wished.gas_limit.info,
        mode,
        at,
        update,
    ));
    let [before, after] = [state, wished].map(|state| state.required_paymaster);
    if before != after {
        changes.push(Change {
            part: Part::RequiredPaymaster,
            before: Setting::RequiredPaymaster(before),
            after: Setting::RequiredPaymaster(after),
            widens: before.is_some(),
            limit: None,
            updates: vec![PermissionUpdate::RequiredPaymaster(after.unwrap_or_default())],
        });
    }
    changes
}

/// The limit in a view's figures.
pub(crate) fn limit_of(info: &SpendLimitInfo) -> Option<SpendLimit> {
    info.has_limit
        .then(|| SpendLimit::per(info.limit, info.refresh_interval))
}

/// The change of a limit, given as it is stored and as it counts at the planned time; `None` if it already
/// has the wanted value.
fn limit_change(
    [old, counting]: [SpendLimitInfo; 2],
    wished: SpendLimitInfo,
    mode: LimitMode,
    at: u64,
    update: impl Fn(SpendLimit) -> PermissionUpdate,
) -> Option<Change> {
    let [before, after] = [old, wished].map(|info| limit_of(&info));
    if before == after {
        return None;
    }
    let clears = match mode {
        LimitMode::Keep => old.limit_used != counting.limit_used,
        LimitMode::Afresh => !old.limit_used.is_zero(),
        LimitMode::Raw => false,
    };
    let mut updates = Vec::new();
    let used_after = match after {
        // Removing it clears it.
        None => U256::ZERO,
        Some(_) if clears => {
            updates.push(update(SpendLimit::UNLIMITED));
            U256::ZERO
        }
        Some(_) => old.limit_used,
    };
    updates.push(update(after.unwrap_or(SpendLimit::UNLIMITED)));
    let effect = LimitEffect {
        used_before: counting.limit_used,
        used_after,
        refreshes_before: before.and(old.refreshes_at()),
        refreshes_after: after.and(wished.begun_anew(at).refreshes_at()),
    };
    let widens = match (before, after) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(before), Some(after)) => {
            after.spend_limit > before.spend_limit
                || effect.used_after < effect.used_before
                || is_sooner(after.refresh_interval, before.refresh_interval)
        }
    };
    let part = Part::of(updates.last()?);
    Some(Change {
        part,
        before: Setting::Limit(before),
        after: Setting::Limit(after),
        widens,
        limit: Some(effect),
        updates,
    })
}

/// Whether an interval is shorter than another; 0 never ends.
pub(crate) const fn is_sooner(interval: u64, than: u64) -> bool {
    interval != 0 && (than == 0 || interval < than)
}

/// Marks the changes of list and range that allow more. Changes of limits and of the paymaster are judged
/// separately.
fn mark_widening(before: &KeyState, after: &KeyState, changes: &mut [Change]) {
    let opens = |contract: Address| newly_allowed(before, after, contract).is_some();
    let anything_opens = || {
        let known = before.contracts.keys().chain(after.contracts.keys()).copied();
        known
            .chain([unlisted_contract([before, after]), ENTRY_POINT])
            .any(opens)
    };
    for change in changes {
        change.widens |= match (change.part, change.after) {
            (Part::AccessControlType, _) => anything_opens(),
            (Part::TimeRange, _) => !range_narrows(&before.time_range, &after.time_range),
            (
                Part::Contract { contract },
                Setting::Contract {
                    is_on_list,
                    check_selectors,
                },
            ) => {
                let may_open = match after.access_control_type {
                    AccessControlType::Allowlist => is_on_list,
                    AccessControlType::Denylist => !is_on_list || check_selectors,
                    AccessControlType::AllowAllAccess => false,
                };
                may_open && opens(contract)
            }
            (Part::Function { contract, selector }, Setting::Function { is_on_list }) => {
                let may_open = match after.access_control_type {
                    AccessControlType::Allowlist => is_on_list,
                    AccessControlType::Denylist => !is_on_list,
                    AccessControlType::AllowAllAccess => false,
                };
                may_open
                    && calls_of(contract, selector)
                        .iter()
                        .any(|call| after.allows_call(call) && !before.allows_call(call))
            }
            _ => false,
        };
    }
}

/// A call to a contract that is allowed after a change but not before, amounts aside.
pub(crate) fn newly_allowed(before: &KeyState, after: &KeyState, contract: Address) -> Option<Call> {
    calls_to(contract, [before, after])
        .into_iter()
        .find(|call| after.allows_call(call) && !before.allows_call(call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ERC20_APPROVE, ERC20_TRANSFER, LimitChange};

    const ACCOUNT: Address = Address::repeat_byte(0xac);
    const KEY: Address = Address::repeat_byte(0x5e);
    const A: Address = Address::repeat_byte(0xa);
    const B: Address = Address::repeat_byte(0xb);
    const NOW: u64 = 1_800_000_000;
    const WEEK: u64 = 604_800;

    fn n(amount: u64) -> U256 {
        U256::from(amount)
    }

    fn of(permissions: &Permissions) -> KeyState {
        let mut state = KeyState::fresh(ACCOUNT, KEY);
        state.apply(&permissions.updates().collect(), NOW).unwrap();
        state
    }

    fn plan(state: &KeyState, policy: &Permissions, mode: LimitMode, at: u64) -> Plan {
        let plan = Plan::new(state, policy, mode, at).unwrap();
        let mut after = state.clone();
        after.apply(&plan.updates(), at).unwrap();
        assert!(
            Plan::new(&after, policy, mode, at).unwrap().is_empty(),
            "a second plan is not empty"
        );
        assert!(is_as(&after, policy));
        plan
    }

    #[test]
    fn a_plan_for_the_current_permissions_is_empty() {
        let policy = Permissions::new()
            .contract_functions(A, [ERC20_TRANSFER])
            .erc20_spend_limit(A, SpendLimit::per(n(100), WEEK))
            .gas_spend_limit(SpendLimit::total(n(9)))
            .valid_until(NOW + 9);
        let mut state = of(&policy);
        state.contracts.get_mut(&A).unwrap().token_limit.limit_used = n(70);
        state.gas_limit.info.limit_used = n(9);
        state.gas_limit.should_reset = true;
        for mode in [LimitMode::Keep, LimitMode::Afresh, LimitMode::Raw] {
            assert!(plan(&state, &policy, mode, NOW + 2 * WEEK).is_empty());
        }
    }

    #[test]
    fn permissions_that_the_policy_does_not_name_are_removed() {
        let state = of(&Permissions::new()
            .access_control_type(AccessControlType::Denylist)
            .contract(A)
            .contract_functions(B, [ERC20_APPROVE])
            .valid_after(5)
            .native_token_spend_limit(SpendLimit::UNLIMITED)
            .erc20_spend_limit(B, SpendLimit::total(n(1)))
            .gas_spend_limit(SpendLimit::total(n(1)))
            .required_paymaster(A));
        let plan = plan(&state, &Permissions::new(), LimitMode::Keep, NOW);
        let parts: Vec<Part> = plan.changes().iter().map(|change| change.part).collect();
        let function = Part::Function {
            contract: B,
            selector: ERC20_APPROVE,
        };
        assert_eq!(
            parts,
            [
                Part::AccessControlType,
                Part::Contract { contract: A },
                Part::Contract { contract: B },
                function,
                Part::TimeRange,
                Part::NativeLimit,
                Part::TokenLimit { token: B },
                Part::GasLimit,
                Part::RequiredPaymaster,
            ]
        );
        let widening: Vec<bool> = plan.changes().iter().map(|change| change.widens).collect();
        // A time range, a token's limit, a gas limit and a paymaster are removed.
        assert_eq!(
            widening,
            [false, false, false, false, true, false, true, true, true]
        );
    }

    #[test]
    fn entries_without_effect_count() {
        // A listed function of an unlisted contract, which would take effect with the contract.
        let mut state = of(&Permissions::new());
        state
            .apply(
                &PermissionUpdates::new()
                    .contract_functions(A, [ERC20_APPROVE])
                    .without_contract(A),
                NOW,
            )
            .unwrap();
        let policy = Permissions::new().contract_functions(A, [ERC20_TRANSFER]);
        let plan = plan(&state, &policy, LimitMode::Keep, NOW);
        let updates = plan.updates();
        assert_eq!(updates.as_slice().len(), 3);
        assert!(
            updates
                .as_slice()
                .contains(&PermissionUpdate::FunctionEntry(FunctionEntry {
                    contract: A,
                    selector: ERC20_APPROVE,
                    is_on_list: false
                }))
        );
        let widening: Vec<bool> = plan.changes().iter().map(|change| change.widens).collect();
        assert_eq!(widening, [true, false, true]);
    }

    #[test]
    fn after_the_largest_time_a_plan_goes_by_the_clock_of_the_plugin() {
        let last = crate::MAX_SECONDS;
        let mut state = of(&Permissions::new().native_token_spend_limit(SpendLimit::per(n(100), WEEK)));
        state.native_limit.limit_used = n(60);
        state.native_limit.last_used_time = last;
        let policy = Permissions::new()
            .native_token_spend_limit(SpendLimit::per(n(150), WEEK))
            .gas_spend_limit(SpendLimit::per(n(150), WEEK));
        // At that time every interval is over. Then the clock is at zero, and none is.
        for (at, used, refreshes_after) in [
            (last, 0, Some(last)),
            (last + 1, 60, None),
            (last + 2, 60, Some(WEEK + 1)),
        ] {
            let plan = plan(&state, &policy, LimitMode::Keep, at);
            let mut after = state.clone();
            after.apply(&plan.updates(), at).unwrap();
            let [native, gas] = [0, 1].map(|index| plan.changes()[index].limit.unwrap());
            assert_eq!(
                (native.used_before, native.used_after),
                (n(used), n(used)),
                "{at}"
            );
            assert_eq!(after.native_limit.limit_used, n(used), "{at}");
            let chain = [after.native_limit, after.gas_limit.info].map(|limit| limit.refreshes_at());
            assert_eq!([native.refreshes_after, gas.refreshes_after], chain, "{at}");
            assert_eq!(chain, [refreshes_after; 2], "{at}");
        }
    }

    #[test]
    fn the_amount_used_is_kept_cleared_or_left_to_the_plugin() {
        let used = |used: u64| {
            let mut state = of(&Permissions::new().native_token_spend_limit(SpendLimit::per(n(100), WEEK)));
            state.native_limit.limit_used = n(used);
            state
        };
        let policy = Permissions::new().native_token_spend_limit(SpendLimit::per(n(150), WEEK));
        // Mode, time, used before, updates, left at once: the table in the documentation.
        for (mode, later, before, updates, left) in [
            (LimitMode::Keep, 1, 60, 1, 90),
            (LimitMode::Keep, WEEK, 60, 2, 150),
            (LimitMode::Afresh, 1, 60, 2, 150),
            (LimitMode::Afresh, WEEK, 60, 2, 150),
            (LimitMode::Afresh, 1, 0, 1, 150),
            (LimitMode::Raw, 1, 60, 1, 90),
            (LimitMode::Raw, WEEK, 60, 1, 90),
        ] {
            let mut state = used(before);
            let at = NOW + later;
            let plan = plan(&state, &policy, mode, at);
            assert_eq!(plan.updates().as_slice().len(), updates, "{mode:?} {later}");
            state.apply(&plan.updates(), at).unwrap();
            assert_eq!(
                state.native_limit.remaining(at),
                Some(n(left)),
                "{mode:?} {later}"
            );
            let effect = plan.changes()[0].limit.unwrap();
            assert_eq!(effect.refreshes_before, Some(NOW + WEEK));
            assert_eq!(effect.refreshes_after, Some(at + WEEK));
            assert_eq!(effect.used_after, state.native_limit.limit_used);
            // The same with the builder.
            let mut built = used(before);
            let change = match mode {
                LimitMode::Keep => LimitChange::Keep {
                    current: built.native_limit,
                    at,
                },
                LimitMode::Afresh => LimitChange::Afresh,
                LimitMode::Raw => LimitChange::Raw,
            };
            let update =
                PermissionUpdates::new().native_token_spend_limit(SpendLimit::per(n(150), WEEK), change);
            built.apply(&update, at).unwrap();
            assert_eq!(built, state);
        }
    }

    #[test]
    fn limits_widen_by_more_sooner_or_cleared_use() {
        let old = SpendLimit::per(n(100), WEEK);
        let mut state = of(&Permissions::new().gas_spend_limit(old));
        state.gas_limit.info.limit_used = n(60);
        let widens = |limit: Option<SpendLimit>, mode, at| {
            let policy = match limit {
                Some(limit) => Permissions::new().gas_spend_limit(limit),
                None => Permissions::new(),
            };
            plan(&state, &policy, mode, at).widens()
        };
        assert!(widens(None, LimitMode::Keep, NOW));
        assert!(widens(Some(SpendLimit::per(n(101), WEEK)), LimitMode::Keep, NOW));
        assert!(widens(
            Some(SpendLimit::per(n(99), WEEK - 1)),
            LimitMode::Keep,
            NOW
        ));
        assert!(!widens(
            Some(SpendLimit::per(n(99), WEEK + 1)),
            LimitMode::Keep,
            NOW
        ));
        assert!(!widens(Some(SpendLimit::total(n(100))), LimitMode::Keep, NOW));
        assert!(widens(Some(SpendLimit::per(n(99), WEEK)), LimitMode::Afresh, NOW));
        // The interval is over: nothing in it counts any more.
        assert!(!widens(
            Some(SpendLimit::per(n(99), WEEK)),
            LimitMode::Keep,
            NOW + WEEK
        ));
        let unlimited = of(&Permissions::new());
        let policy = Permissions::new().gas_spend_limit(old);
        assert!(!plan(&unlimited, &policy, LimitMode::Keep, NOW).widens());
    }

    #[test]
    fn a_change_of_the_list_type_widens_by_what_it_opens() {
        let listed = of(&Permissions::new().contract(A));
        let denied = Permissions::new()
            .access_control_type(AccessControlType::Denylist)
            .contract(A);
        let to_denylist = plan(&listed, &denied, LimitMode::Keep, NOW);
        assert_eq!(to_denylist.updates().as_slice().len(), 1);
        assert!(to_denylist.widens());
        let back = plan(
            &of(&denied),
            &Permissions::new().contract(B),
            LimitMode::Keep,
            NOW,
        );
        assert!(!back.widens(), "{back:?}");
        let back = plan(
            &of(&denied),
            &Permissions::new().contract(A),
            LimitMode::Keep,
            NOW,
        );
        assert!(back.widens());
        let everything = of(&Permissions::new().access_control_type(AccessControlType::AllowAllAccess));
        assert!(!plan(&everything, &denied, LimitMode::Keep, NOW).widens());
    }

    #[test]
    fn an_incomplete_state_cannot_be_planned_for() {
        let mut state = of(&Permissions::new());
        state.complete = false;
        assert_eq!(
            Plan::new(&state, &Permissions::new(), LimitMode::Keep, NOW),
            Err(PlanError::Incomplete(KEY))
        );
        let state = KeyState::unregistered(ACCOUNT, KEY);
        assert_eq!(
            Plan::new(&state, &Permissions::new(), LimitMode::Keep, NOW),
            Err(PlanError::NotRegistered(KEY))
        );
        let state = of(&Permissions::new());
        let zero = Permissions::new().erc20_spend_limit(Address::ZERO, SpendLimit::total(n(1)));
        assert!(matches!(
            Plan::new(&state, &zero, LimitMode::Keep, NOW),
            Err(PlanError::Permission(PermissionError::InvalidToken(_)))
        ));
    }
}
