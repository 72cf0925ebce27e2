//! Spending of operations in flight, and what is left of each limit.

use super::{CallDataError, KeyState, check::token_amounts, decode_execute_with_session_key};
use crate::{Call, SpendLimitInfo, UserOperation};
use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most that an operation may use of a key's limits. Every sum saturates at [`U256::MAX`], which
/// fits no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spend {
    /// Wei sent with the calls.
    pub native: U256,
    /// Wei that the operation may cost ([`UserOperation::max_cost`]), with or without a paymaster.
    pub gas: U256,
    /// Base units of each token that its `transfer` and `approve` calls name.
    pub erc20: BTreeMap<Address, U256>,
}

impl Spend {
    /// The larger amounts of two spends, for operations that exclude each other, such as an operation and its
    /// replacement.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.combine(other, U256::max)
    }

    /// The sum of two spends, for operations that can both be included.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        self.combine(other, U256::saturating_add)
    }

    fn combine(&self, other: &Self, combine: impl Fn(U256, U256) -> U256) -> Self {
        let mut erc20 = self.erc20.clone();
        for (token, amount) in &other.erc20 {
            let own = erc20.entry(*token).or_default();
            *own = combine(*own, *amount);
        }
        Self {
            native: combine(self.native, other.native),
            gas: combine(self.gas, other.gas),
            erc20,
        }
    }
}

/// An operation that does not use the key whose state was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpendError {
    /// It does not call `executeWithSessionKey`, or its call data is malformed.
    #[error(transparent)]
    CallData(#[from] CallDataError),

    /// It belongs to another account.
    #[error("the operation belongs to account {found}, the key to {expected}")]
    OtherAccount {
        /// Sender of the operation.
        found: Address,
        /// The key's account.
        expected: Address,
    },

    /// It belongs to another key.
    #[error("the operation belongs to session key {found}, the state to {expected}")]
    OtherKey {
        /// The key that the operation names.
        found: Address,
        /// The key whose state was given.
        expected: Address,
    },
}

/// What is left of one limit, at a given time. Wei, or base units of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// The limit, in total or per interval.
    pub limit: U256,
    /// The amount used. Zero once the interval is over.
    pub used: U256,
    /// The amount left. Zero if more is used than a lowered limit allows.
    pub remaining: U256,
    /// When the current interval ends, unix seconds. Once it is over, when the next would end if it began at
    /// the time asked for. `None` if the limit does not refresh.
    #[serde(deserialize_with = "Option::deserialize")]
    pub refreshes_at: Option<u64>,
}

impl Budget {
    fn new(limit: SpendLimitInfo) -> Option<Self> {
        limit.has_limit.then(|| Self {
            limit: limit.limit,
            used: limit.limit_used,
            remaining: limit.left(),
            refreshes_at: limit.refreshes_at(),
        })
    }
}

/// What is left of each limit of a key, at a given time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Budgets {
    /// The native token, in wei. `None` if unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    pub native: Option<Budget>,
    /// The cost of operations, in wei. `None` if unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    pub gas: Option<Budget>,
    /// The gas limit does not refresh until its pending reset is settled, by the key's next successful
    /// operation or by `resetSessionKeyGasLimitTimestamp`. `gas.refreshes_at` is `None` until then.
    pub gas_reset_pending: bool,
    /// Each token with a limit, in its base units. If the state is [`complete`](KeyState::complete), other
    /// tokens have no limit; if not, nothing is known about them.
    pub erc20: BTreeMap<Address, Budget>,
}

impl KeyState {
    /// The most that an operation's calls may spend of the key's limits, and the most that the operation may
    /// cost.
    pub fn spend_of(&self, operation: &UserOperation) -> Result<Spend, SpendError> {
        if operation.sender != self.account {
            return Err(SpendError::OtherAccount {
                found: operation.sender,
                expected: self.account,
            });
        }
        let (calls, session_key) = decode_execute_with_session_key(&operation.call_data)?;
        if session_key != self.session_key {
            return Err(SpendError::OtherKey {
                found: session_key,
                expected: self.session_key,
            });
        }
        Ok(Spend {
            gas: operation.max_cost().unwrap_or(U256::MAX),
            ..self.spend_of_calls(&calls)
        })
    }

    /// The most that calls may spend of the key's limits, gas aside: values, and amounts of tokens with a
    /// limit. If the state is not [`complete`](Self::complete), amounts of contracts unknown to it count as
    /// well.
    #[must_use]
    pub fn spend_of_calls(&self, calls: &[Call]) -> Spend {
        let mut erc20 = token_amounts(calls);
        erc20.retain(|token, _| match self.contracts.get(token) {
            Some(contract) => contract.token_limit.has_limit,
            None => !self.complete,
        });
        Spend {
            native: calls
                .iter()
                .fold(U256::ZERO, |total, call| total.saturating_add(call.value)),
            gas: U256::ZERO,
            erc20,
        }
    }

    /// Books what an operation in flight may use, as if it were included in a block with timestamp `time`
    /// (unix seconds) and succeeded: later checks, [`remaining`](Self::remaining) and
    /// [`budgets`](Self::budgets) count it. If the interval of a limit is over at `time`, the amount counts
    /// in a new one, which begins then. Amounts beyond what is left are booked too. Amounts without a limit
    /// are ignored.
    ///
    /// Reserve in nonce order, on a state read from the chain, at the time of the check: an operation still
    /// in flight when an interval ends may be included in the next.
    pub fn reserve(&mut self, spend: &Spend, time: u64) {
        reserve(&mut self.native_limit, spend.native, time);
        for (token, amount) in &spend.erc20 {
            if let Some(contract) = self.contracts.get_mut(token) {
                reserve(&mut contract.token_limit, *amount, time);
            }
        }
        self.reserve_gas(spend.gas, time);
    }

    /// Validation has no clock: a cost that fits the current interval counts there, even if the interval is
    /// over. Execution settles the reset.
    fn reserve_gas(&mut self, cost: U256, time: u64) {
        let gas = &mut self.gas_limit;
        if !gas.info.has_limit || cost.is_zero() {
            return;
        }
        if cost <= gas.info.left() || gas.should_reset {
            gas.info.limit_used = gas.info.limit_used.saturating_add(cost);
            if gas.is_over(time) {
                self.settle_gas_reset(time);
            }
        } else {
            gas.info = gas.at(time);
            gas.info.limit_used = gas.info.limit_used.saturating_add(cost);
        }
    }

    /// What is left of each limit in a block with timestamp `time` (unix seconds).
    #[must_use]
    pub fn budgets(&self, time: u64) -> Budgets {
        let gas_reset_pending = self.gas_limit.should_reset;
        let gas = Budget::new(self.gas_limit.at(time)).map(|budget| Budget {
            refreshes_at: budget.refreshes_at.filter(|_| !gas_reset_pending),
            ..budget
        });
        Budgets {
            native: Budget::new(self.native_limit.at(time)),
            gas,
            gas_reset_pending,
            erc20: self
                .contracts
                .iter()
                .filter_map(|(token, contract)| Some((*token, Budget::new(contract.token_limit.at(time))?)))
                .collect(),
        }
    }
}

/// Books an amount whether or not it fits.
fn reserve(limit: &mut SpendLimitInfo, amount: U256, time: u64) {
    if limit.has_limit && !amount.is_zero() {
        *limit = limit.at(time);
        limit.limit_used = limit.limit_used.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccessControlType, LimitChange, PermissionUpdates, SpendLimit, erc20, execute_with_session_key,
        nonce, session_key_nonce_key,
    };
    use proptest::{prelude::*, test_runner::RngSeed};

    const ACCOUNT: Address = Address::repeat_byte(0xac);
    const KEY: Address = Address::repeat_byte(0x5e);
    const TOKEN: Address = Address::repeat_byte(0x70);
    const OTHER: Address = Address::repeat_byte(0x71);
    const NOW: u64 = 1_800_000_000;
    const HOUR: u64 = 3_600;

    fn n(amount: u64) -> U256 {
        U256::from(amount)
    }

    /// May call everything, with the same limit on everything that can be limited.
    fn limited(limit: SpendLimit) -> KeyState {
        let mut state = KeyState::fresh(ACCOUNT, KEY);
        let updates = PermissionUpdates::new()
            .access_control_type(AccessControlType::AllowAllAccess)
            .native_token_spend_limit(limit, LimitChange::Raw)
            .gas_spend_limit(limit, LimitChange::Raw)
            .erc20_spend_limit(TOKEN, limit, LimitChange::Raw);
        state.apply(&updates, NOW).unwrap();
        state
    }

    fn calls(native: u64, token: u64) -> [Call; 3] {
        [
            Call::transfer(OTHER, n(native)),
            Call::new(TOKEN, erc20::transfer(OTHER, n(token))),
            // No limit, no budget.
            Call::new(OTHER, erc20::approve(OTHER, n(7))),
        ]
    }

    fn operation(native: u64, token: u64, gas: u64) -> UserOperation {
        UserOperation {
            sender: ACCOUNT,
            nonce: nonce(session_key_nonce_key(KEY), 3),
            call_data: execute_with_session_key(&calls(native, token), KEY),
            call_gas_limit: n(gas),
            max_fee_per_gas: n(1),
            ..Default::default()
        }
    }

    fn spend(native: u64, token: u64, gas: u64) -> Spend {
        Spend {
            native: n(native),
            gas: n(gas),
            erc20: [(TOKEN, n(token))].into(),
        }
    }

    fn left(state: &KeyState, time: u64) -> [U256; 3] {
        let budgets = state.budgets(time);
        [budgets.native, budgets.erc20.get(&TOKEN).copied(), budgets.gas]
            .map(|budget| budget.unwrap().remaining)
    }

    #[test]
    fn an_operation_may_spend_what_its_calls_name_and_what_it_may_cost() {
        let mut state = limited(SpendLimit::total(n(100)));
        assert_eq!(state.spend_of(&operation(1, 2, 3)), Ok(spend(1, 2, 3)));
        // A known contract without a limit.
        state.contracts.entry(OTHER).or_default().is_on_list = true;
        assert_eq!(state.spend_of(&operation(1, 2, 3)), Ok(spend(1, 2, 3)));
        state.contracts.remove(&OTHER);
        // Transfers and approvals of one token add up, and sums saturate.
        let call = |data| Call::new(TOKEN, data).with_value(U256::MAX);
        let spent = state.spend_of_calls(&[
            call(erc20::transfer(OTHER, n(2))),
            call(erc20::approve(OTHER, n(3))),
            call(erc20::transfer(OTHER, n(4)).slice(..67)),
        ]);
        assert_eq!(spent.erc20, [(TOKEN, n(5))].into());
        assert_eq!(spent.native, U256::MAX);
        let overflowing = UserOperation {
            verification_gas_limit: U256::MAX,
            max_fee_per_gas: U256::ZERO,
            ..operation(0, 0, 1)
        };
        assert_eq!(state.spend_of(&overflowing).unwrap().gas, U256::MAX);
        // Contracts not known to be unlimited count.
        let incomplete = KeyState {
            complete: false,
            ..state
        };
        let both = [(TOKEN, n(2)), (OTHER, n(7))].into();
        assert_eq!(incomplete.spend_of_calls(&calls(1, 2)).erc20, both);
    }

    #[test]
    fn operations_of_others_spend_nothing_of_the_key() {
        let state = limited(SpendLimit::total(n(100)));
        let other_account = UserOperation {
            sender: OTHER,
            ..operation(1, 2, 3)
        };
        assert_eq!(
            state.spend_of(&other_account),
            Err(SpendError::OtherAccount {
                found: OTHER,
                expected: ACCOUNT
            })
        );
        let other_key = UserOperation {
            call_data: execute_with_session_key(&calls(1, 2), OTHER),
            ..operation(1, 2, 3)
        };
        assert_eq!(
            state.spend_of(&other_key),
            Err(SpendError::OtherKey {
                found: OTHER,
                expected: KEY
            })
        );
        let malformed = UserOperation {
            call_data: Default::default(),
            ..operation(1, 2, 3)
        };
        assert!(matches!(
            state.spend_of(&malformed),
            Err(SpendError::CallData(CallDataError::OtherFunction(_)))
        ));
    }

    #[test]
    fn two_spends_have_a_maximum_and_a_sum() {
        let other = Spend {
            native: n(5),
            gas: U256::MAX,
            erc20: [(OTHER, n(9)), (TOKEN, n(1))].into(),
        };
        let one = spend(1, 2, 3);
        let larger = Spend {
            erc20: [(OTHER, n(9)), (TOKEN, n(2))].into(),
            ..other.clone()
        };
        let sum = Spend {
            native: n(6),
            gas: U256::MAX,
            erc20: [(OTHER, n(9)), (TOKEN, n(3))].into(),
        };
        assert_eq!((one.max(&other), other.max(&one)), (larger.clone(), larger));
        assert_eq!((one.add(&other), other.add(&one)), (sum.clone(), sum));
    }

    #[test]
    fn a_reservation_counts_in_the_next_check() {
        let mut state = limited(SpendLimit::per(n(100), HOUR));
        let first = state.spend_of(&operation(60, 70, 80)).unwrap();
        state.reserve(&first, NOW + 1);
        assert_eq!(left(&state, NOW + 1), [n(40), n(30), n(20)]);
        assert!(state.check(&operation(40, 30, 20), NOW + 1).is_accepted());
        for (operation, code) in [
            (operation(41, 30, 20), "native_limit_exceeded"),
            (operation(40, 31, 20), "erc20_limit_exceeded"),
            (operation(40, 30, 21), "gas_limit_exceeded"),
        ] {
            let verdict = state.check(&operation, NOW + 1);
            assert_eq!(verdict.violations()[0].code(), code);
            assert_eq!(verdict.violations().len(), 1);
            assert_eq!(verdict.passes_from(), Some(NOW + HOUR));
            // What is left can be asked even though the operation is refused.
            assert_eq!(state.remaining(NOW + 1).native, Some(n(40)));
        }
        // Amounts beyond what is left are booked too, and leave nothing.
        state.reserve(&spend(50, 50, 50), NOW + 1);
        assert_eq!(left(&state, NOW + 1), [U256::ZERO; 3]);
        state.reserve(&spend(u64::MAX, u64::MAX, u64::MAX), NOW + 1);
        state.reserve(
            &Spend {
                native: U256::MAX,
                gas: U256::MAX,
                erc20: [(TOKEN, U256::MAX)].into(),
            },
            NOW + 1,
        );
        assert_eq!(left(&state, NOW + 1), [U256::ZERO; 3]);
    }

    #[test]
    fn a_reservation_after_the_interval_counts_in_the_next() {
        let mut state = limited(SpendLimit::per(n(100), HOUR));
        assert!(state.execute(&operation(90, 90, 90), NOW).is_accepted());
        let time = NOW + HOUR;
        state.reserve(&spend(60, 60, 60), time);
        assert_eq!(left(&state, time), [n(40); 3]);
        let budget = Budget {
            limit: n(100),
            used: n(60),
            remaining: n(40),
            refreshes_at: Some(time + HOUR),
        };
        let budgets = state.budgets(time + HOUR - 1);
        assert_eq!(
            (budgets.native, budgets.gas, budgets.erc20),
            (Some(budget), Some(budget), [(TOKEN, budget)].into())
        );
        assert!(!budgets.gas_reset_pending);
        assert_eq!(left(&state, time + HOUR), [n(100); 3]);
        // More than a whole interval: it fills the new one.
        state.reserve(&spend(101, 101, 101), time + HOUR);
        assert_eq!(left(&state, time + HOUR), [U256::ZERO; 3]);
        assert_eq!(left(&state, time + 2 * HOUR), [n(100); 3]);
    }

    /// Validation has no clock: gas that fits the old interval counts there.
    #[test]
    fn gas_is_reserved_where_validation_books_it() {
        let mut state = limited(SpendLimit::per(n(100), HOUR));
        assert!(state.execute(&operation(0, 0, 30), NOW).is_accepted());
        let time = NOW + 2 * HOUR;
        let mut executed = state.clone();
        for cost in [60, 50, 40] {
            assert!(executed.execute(&operation(0, 0, cost), time).is_accepted());
            state.reserve(&spend(0, 0, cost), time);
            assert_eq!(state.gas_limit, executed.gas_limit);
        }
        // 30 and 60 filled the old interval; 50 and 40 belong to the new one.
        assert_eq!(state.gas_limit.info.limit_used, n(90));
    }

    #[test]
    fn a_pending_reset_keeps_the_gas_budget_from_refreshing() {
        let mut state = limited(SpendLimit::per(n(100), HOUR));
        assert!(state.execute(&operation(0, 0, 90), NOW).is_accepted());
        let failing = operation(0, 0, 60);
        // Validated, and then its call failed.
        assert!(state.execute_validation(&failing, None, NOW + HOUR).is_empty());
        let budgets = state.budgets(NOW + 9 * HOUR);
        assert!(budgets.gas_reset_pending);
        assert_eq!(
            budgets.gas,
            Some(Budget {
                limit: n(100),
                used: n(60),
                remaining: n(40),
                refreshes_at: None,
            })
        );
        assert_eq!(budgets.native.unwrap().refreshes_at, Some(NOW + 10 * HOUR));
        // The next executed operation settles it.
        state.reserve(&spend(0, 0, 10), NOW + 9 * HOUR);
        let budgets = state.budgets(NOW + 9 * HOUR);
        assert!(!budgets.gas_reset_pending);
        assert_eq!(budgets.gas.unwrap().remaining, n(30));
        assert_eq!(budgets.gas.unwrap().refreshes_at, Some(NOW + 10 * HOUR));
    }

    #[test]
    fn without_a_limit_there_is_no_budget() {
        let mut state = limited(SpendLimit::UNLIMITED);
        let before = state.clone();
        state.reserve(&spend(1, 2, 3), NOW);
        assert_eq!(state, before);
        let budgets = state.budgets(NOW);
        assert_eq!(
            (budgets.native, budgets.gas, budgets.erc20),
            (None, None, [].into())
        );
        // A total does not refresh; a lowered limit leaves nothing.
        let mut state = limited(SpendLimit::total(n(10)));
        state.reserve(&spend(8, 8, 8), NOW);
        let updates =
            PermissionUpdates::new().native_token_spend_limit(SpendLimit::total(n(5)), LimitChange::Raw);
        state.apply(&updates, NOW).unwrap();
        let budget = Budget {
            limit: n(5),
            used: n(8),
            remaining: U256::ZERO,
            refreshes_at: None,
        };
        assert_eq!(state.budgets(u64::MAX).native, Some(budget));
    }

    proptest! {
        // The same cases every time.
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(0), ..Default::default() })]

        #[test]
        fn what_is_reserved_is_what_is_executed(
            steps in prop::collection::vec((0..60u64, 0..60u64, 0..60u64, 0..5_000u64), 1..8),
            interval in prop_oneof![Just(0), Just(HOUR)],
        ) {
            let mut executed = limited(SpendLimit::per(n(100), interval));
            let mut time = NOW;
            for (native, token, gas, passed) in steps {
                time += passed;
                let operation = operation(native, token, gas);
                let mut reserved = executed.clone();
                reserved.reserve(&reserved.spend_of(&operation).unwrap(), time);
                let verdict = executed.execute(&operation, time);
                if verdict.is_accepted() {
                    prop_assert_eq!(reserved.budgets(time), executed.budgets(time));
                } else {
                    // More was asked for than is left.
                    prop_assert!(left(&reserved, time).contains(&U256::ZERO));
                }
            }
        }
    }
}
