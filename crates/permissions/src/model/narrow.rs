//! Whether a change only removes permissions.

use super::{ContractState, KeyState};
use crate::{AccessControlType, SpendLimitInfo, TimeRange};
use alloy_primitives::U256;

impl KeyState {
    /// Whether this state allows everything that `after` allows, as far as both are known: the change from
    /// one to the other only removes permissions. Errs on the side of no: states with a difference that could
    /// add permissions are not compared further.
    pub fn is_narrowed_to(&self, after: &Self) -> bool {
        if !after.registered {
            return true;
        }
        self.registered
            && self.access_control_type == after.access_control_type
            && contracts_narrow(self, after)
            && range_narrows(&self.time_range, &after.time_range)
            && limit_narrows(&self.native_limit, &after.native_limit)
            && limit_narrows(&self.gas_limit.info, &after.gas_limit.info)
            && (self.required_paymaster == after.required_paymaster || self.required_paymaster.is_none())
    }
}

fn contracts_narrow(before: &KeyState, after: &KeyState) -> bool {
    let absent = ContractState::default();
    let contracts = before.contracts.keys().chain(after.contracts.keys());
    contracts.into_iter().all(|contract| {
        let old = before.contracts.get(contract).unwrap_or(&absent);
        let new = after.contracts.get(contract).unwrap_or(&absent);
        let entries_narrow = match before.access_control_type {
            AccessControlType::Allowlist => entry_is_within(new, old),
            AccessControlType::Denylist => entry_is_within(old, new),
            AccessControlType::AllowAllAccess => true,
        };
        entries_narrow && limit_narrows(&old.token_limit, &new.token_limit)
    })
}

/// Whether `outer` puts everything on the list that `inner` does. Functions on the list count even if the
/// contract is not on it: they take effect when it is added.
fn entry_is_within(inner: &ContractState, outer: &ContractState) -> bool {
    let functions_within = inner
        .functions
        .iter()
        .all(|(selector, is_on_list)| !is_on_list || outer.functions.get(selector) == Some(&true));
    let contract_within =
        !inner.is_on_list || outer.is_on_list && (inner.check_selectors || !outer.check_selectors);
    let is_whole = outer.is_on_list && !outer.check_selectors;
    contract_within && (functions_within || is_whole && inner.check_selectors)
}

/// Whether every time in `after` is in `before`.
pub(crate) const fn range_narrows(before: &TimeRange, after: &TimeRange) -> bool {
    let until_narrows =
        before.valid_until == 0 || after.valid_until != 0 && after.valid_until <= before.valid_until;
    after.valid_after >= before.valid_after && until_narrows
}

/// A new limit, a limit of zero, or no more per interval: the same interval, no earlier start, no less used.
fn limit_narrows(before: &SpendLimitInfo, after: &SpendLimitInfo) -> bool {
    if before == after || !before.has_limit && after.has_limit {
        return true;
    }
    if !after.has_limit {
        return false;
    }
    let is_nothing = after.limit == U256::ZERO;
    let is_less = after.limit <= before.limit
        && after.limit_used >= before.limit_used
        && after.refresh_interval == before.refresh_interval
        && after.last_used_time >= before.last_used_time;
    is_nothing || is_less
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RuleSet;
    use alloy_primitives::{Address, Selector};

    const CONTRACT: Address = Address::repeat_byte(1);
    const FUNCTION: Selector = Selector::repeat_byte(2);

    fn state(access_control_type: AccessControlType) -> KeyState {
        let mut state = KeyState::fresh(Address::repeat_byte(8), Address::repeat_byte(9));
        state.access_control_type = access_control_type;
        state.rule_set = RuleSet::Strict;
        state.contracts.insert(
            CONTRACT,
            ContractState {
                is_on_list: true,
                check_selectors: true,
                functions: [(FUNCTION, true)].into(),
                ..Default::default()
            },
        );
        state
    }

    fn narrows(from: &KeyState, change: impl FnOnce(&mut KeyState)) -> bool {
        let mut after = from.clone();
        change(&mut after);
        from.is_narrowed_to(&after)
    }

    fn contract(state: &mut KeyState) -> &mut ContractState {
        state.contracts.entry(CONTRACT).or_default()
    }

    #[test]
    fn lists_narrow_by_their_meaning() {
        let allowlist = state(AccessControlType::Allowlist);
        assert!(narrows(&allowlist, |state| contract(state).is_on_list = false));
        assert!(!narrows(&allowlist, |state| contract(state).check_selectors = false));
        let other = Selector::repeat_byte(3);
        assert!(!narrows(&allowlist, |state| {
            contract(state).functions.insert(other, true);
        }));
        assert!(narrows(&allowlist, |state| {
            contract(state).functions.insert(FUNCTION, false);
        }));
        // An allowlist that no longer names a contract but still its function, which takes effect when the
        // contract is added again.
        assert!(!narrows(&state(AccessControlType::Allowlist), |state| {
            contract(state).is_on_list = false;
            contract(state).functions.insert(other, true);
        }));
        let denylist = state(AccessControlType::Denylist);
        assert!(!narrows(&denylist, |state| contract(state).is_on_list = false));
        assert!(narrows(&denylist, |state| contract(state).check_selectors = false));
        assert!(!narrows(&allowlist, |state| {
            state.access_control_type = AccessControlType::Denylist;
        }));
    }

    #[test]
    fn lower_limits_shorter_ranges_and_paymasters_narrow() {
        let mut before = state(AccessControlType::Allowlist);
        before.native_limit = SpendLimitInfo {
            has_limit: true,
            limit: U256::from(100),
            limit_used: U256::from(40),
            refresh_interval: 10,
            last_used_time: 1_000,
        };
        assert!(narrows(&before, |state| state.native_limit.limit = U256::from(99)));
        assert!(narrows(&before, |state| state.native_limit.limit = U256::ZERO));
        assert!(!narrows(&before, |state| state.native_limit.limit = U256::from(101)));
        assert!(!narrows(&before, |state| state.native_limit.limit_used = U256::ZERO));
        assert!(!narrows(&before, |state| state.native_limit.has_limit = false));
        assert!(!narrows(&before, |state| state.native_limit.refresh_interval = 5));
        assert!(narrows(&before, |state| state.gas_limit.info.has_limit = true));
        assert!(narrows(&before, |state| state.time_range.valid_until = 5));
        assert!(!narrows(&state_until(5), |state| state.time_range.valid_until = 6));
        assert!(!narrows(&state_until(5), |state| state.time_range.valid_until = 0));
        assert!(narrows(&before, |state| state.required_paymaster = Some(CONTRACT)));
        assert!(narrows(&before, |state| state.registered = false));
    }

    fn state_until(valid_until: u64) -> KeyState {
        let mut state = state(AccessControlType::Allowlist);
        state.time_range.valid_until = valid_until;
        state
    }
}
