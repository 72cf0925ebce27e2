//! Estimates the gas of an operation.

use super::{
    State,
    entities::deposit_in,
    operation::{EntryPointVersion, Numbers, VersionedOperation, deposit_slot, highest_overhead},
    rehearsal::{Extent, Rehearsed, rehearse},
    simulation::simulate,
    validation::{check_nonce, most_gas_for_calls, required_pre_verification_gas, with_delegation},
    words::Refusal,
};
use crate::{BundlerOptions, Chain, vantage::Vantage};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, U256},
    rpc::types::state::StateOverride,
};
use std::cell::Cell;

/// Gas units for the account's payment to the EntryPoint, where estimates are made without fees.
const GAS_OF_PREFUND: u64 = 30_000;

/// How many times an operation's cost a deposit must hold, so that the account is taken not to pay.
const DEPOSIT_MARGIN: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Gas units for charging a paymaster's deposit, in the same case: the slot stays as it is then. The write
/// itself is measured.
const GAS_OF_DEPOSIT: u64 = 5_000;

/// Precision of the gas limits, in gas units, and as a part of the limit.
const PRECISION: u64 = 16;
const PRECISION_PART: u64 = 512;

/// How often estimates that do not suffice together are raised, each time by an eighth.
const MOST_RAISES: usize = 16;

/// Gas units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) call_gas_limit: U256,
    pub(super) verification_gas_limit: U256,
    pub(super) pre_verification_gas: U256,
    /// Set with a paymaster and EntryPoint v0.7.
    pub(super) paymaster: Option<PaymasterEstimate>,
}

/// Gas units.
#[derive(Clone, Copy, Debug)]
pub(super) struct PaymasterEstimate {
    pub(super) verification_gas_limit: U256,
    pub(super) post_op_gas_limit: U256,
}

/// The four limits, in gas units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    verification: u64,
    call: u64,
    paymaster: u64,
    post_op: u64,
}

impl Limits {
    /// With fees of so many wei per gas unit.
    fn numbers(self, pre_verification_gas: U256, fee: U256) -> Numbers {
        Numbers {
            call_gas: U256::from(self.call),
            verification_gas: U256::from(self.verification),
            pre_verification_gas,
            max_fee: fee,
            tip: fee,
            paymaster_verification_gas: U256::from(self.paymaster),
            post_op_gas: U256::from(self.post_op),
        }
    }

    fn raised(self) -> Self {
        let raise = |gas: u64| gas.saturating_add(gas / 8);
        Self {
            verification: raise(self.verification),
            call: raise(self.call),
            paymaster: raise(self.paymaster),
            post_op: raise(self.post_op),
        }
    }

    fn min(self, most: Self) -> Self {
        Self {
            verification: self.verification.min(most.verification),
            call: self.call.min(most.call),
            paymaster: self.paymaster.min(most.paymaster),
            post_op: self.post_op.min(most.post_op),
        }
    }
}

/// Estimates an operation with any well-formed signature, under state overrides.
pub(super) fn estimate(
    state: &State,
    chain: &Chain,
    operation: &VersionedOperation,
    mut changes: StateOverride,
) -> Result<Estimate, Refusal> {
    let options = &state.options;
    let seen = chain.vantage_behind(options.lag, true);
    let base_fee = U256::from(seen.next_base_fee());
    let pre_verification_gas =
        required_pre_verification_gas(options.data_fee, base_fee, operation, highest_overhead(operation));
    merge(&mut changes, check_nonce(state, &seen, operation)?);
    let stage = Stage {
        seen,
        options,
        operation,
        changes: with_delegation(changes, operation),
        pre_verification_gas,
    };
    // Whatever is wrong with it besides its signature and its gas.
    let free = stage.most().numbers(pre_verification_gas, U256::ZERO);
    let executor = options.executor.address;
    simulate(
        &seen,
        executor,
        &operation.with_numbers(free),
        stage.changes.clone(),
    )?;

    let limits = if options.estimates_with_fees {
        stage.limits_with_fees()?
    } else {
        let mut limits = stage.limits(Payment::Free)?;
        if operation.paymaster().is_none() {
            limits.verification += GAS_OF_PREFUND;
        } else if operation.version() != EntryPointVersion::V06 {
            limits.paymaster += GAS_OF_DEPOSIT;
        }
        limits
    };
    let has_limits = operation.paymaster().is_some() && operation.version() != EntryPointVersion::V06;
    Ok(Estimate {
        call_gas_limit: U256::from(limits.call),
        verification_gas_limit: U256::from(limits.verification),
        pre_verification_gas,
        paymaster: has_limits.then(|| PaymasterEstimate {
            verification_gas_limit: U256::from(limits.paymaster),
            post_op_gas_limit: U256::from(limits.post_op),
        }),
    })
}

/// What the operation's sender does for its payment when it validates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payment {
    /// It pays.
    Due,
    /// Its deposit covers it.
    Covered,
    /// Nothing costs anything.
    Free,
}

/// Where an operation is tried.
struct Stage<'a> {
    seen: Vantage<'a>,
    options: &'a BundlerOptions,
    operation: &'a VersionedOperation,
    changes: StateOverride,
    pre_verification_gas: U256,
}

impl Stage<'_> {
    /// The highest limits.
    fn most(&self) -> Limits {
        let for_validation = self.options.max_verification_gas;
        Limits {
            verification: for_validation,
            call: most_gas_for_calls(&self.seen),
            paymaster: for_validation,
            post_op: for_validation,
        }
    }

    fn deposit(&self, address: Address) -> U256 {
        let entity = (self.operation.version(), address);
        deposit_in(&self.seen, entity, self.changes.clone()).amount
    }

    /// A trial with these limits. Its fee is one wei: whoever books costs books something, and no budget is
    /// exceeded. Whoever pays is lent it, and has afterwards what there was before.
    fn rehearse(&self, limits: Limits, payment: Payment) -> Result<Rehearsed, Refusal> {
        let fee = U256::from(u8::from(payment != Payment::Free));
        let operation = self
            .operation
            .with_numbers(limits.numbers(self.pre_verification_gas, fee));
        let mut changes = self.changes.clone();
        let cost = operation.max_cost();
        match (payment, operation.paymaster()) {
            (Payment::Free, _) => {}
            (_, Some(paymaster)) => {
                let deposit = self.deposit(paymaster).saturating_add(cost);
                self.set_deposit(&mut changes, paymaster, deposit)?;
            }
            (Payment::Covered, None) => {
                let deposit = self.deposit(operation.sender()).saturating_add(cost);
                self.set_deposit(&mut changes, operation.sender(), deposit)?;
            }
            (Payment::Due, None) => {
                let sender = operation.sender();
                let deposit = self
                    .deposit(sender)
                    .min(U256::ONE)
                    .min(cost.saturating_sub(U256::ONE));
                self.set_deposit(&mut changes, sender, deposit)?;
                let account = changes.entry(sender).or_default();
                let balance = match account.balance {
                    Some(balance) => balance,
                    None => self
                        .seen
                        .account_at(sender, BlockId::latest())?
                        .map_or(U256::ZERO, |account| account.balance),
                };
                account.balance = Some(balance.saturating_add(cost - deposit));
            }
        }
        let executor = self.options.executor.address;
        rehearse(&self.seen, executor, &operation, Extent::Whole, changes)
    }

    /// Overrides what an address has with the EntryPoint.
    fn set_deposit(
        &self,
        changes: &mut StateOverride,
        address: Address,
        amount: U256,
    ) -> Result<(), Refusal> {
        let entry_point = self.operation.entry_point();
        let slot = deposit_slot(address);
        let amount = match self.operation.version() {
            // The stake is in the same slot.
            EntryPointVersion::V06 => {
                let rest = self.seen.storage_at(entry_point, slot, BlockId::latest())? >> 112 << 112;
                rest | amount.min(U256::MAX >> (256 - 112))
            }
            EntryPointVersion::V07 => amount,
        };
        let diff: StateOverride = alloy::rpc::types::state::StateOverridesBuilder::default()
            .with_state_diff(entry_point, [(B256::from(slot), B256::from(amount))])
            .build();
        merge(changes, diff);
        Ok(())
    }

    /// The limits, if gas costs something.
    fn limits_with_fees(&self) -> Result<Limits, Refusal> {
        let operation = self.operation;
        let fee = operation.numbers().max_fee;
        let deposit = if operation.paymaster().is_some() {
            U256::ZERO
        } else {
            self.deposit(operation.sender())
        };
        if !fee.is_zero() && !deposit.is_zero() {
            let limits = self.limits(Payment::Covered)?;
            let numbers = limits.numbers(self.pre_verification_gas, fee);
            // Clients add margins to limits and fees, and then it may have to pay after all, which takes gas.
            if deposit / DEPOSIT_MARGIN >= operation.with_numbers(numbers).max_cost() {
                return Ok(limits);
            }
        }
        match self.limits(Payment::Due) {
            // It relies on its deposit, for fees that are not known.
            Err(Refusal::Failed(_) | Refusal::FailedWithRevert { .. })
                if fee.is_zero() && !deposit.is_zero() =>
            {
                self.limits(Payment::Covered)
            }
            limits => limits,
        }
    }

    /// The limits, with the margin, tried together.
    fn limits(&self, payment: Payment) -> Result<Limits, Refusal> {
        let most = self.most();
        let best = self.rehearse(most, payment)?;
        if let Some(reason) = best.reverted {
            return Err(Refusal::CallReverted(reason));
        }
        let failure = Cell::new(None);
        let passes = |limits: Limits| match self.rehearse(limits, payment) {
            Ok(outcome) => outcome.is_as_good_as(&best),
            // Fewer gas units lead to all kinds of errors.
            Err(error) => {
                failure.set(Some(error));
                false
            }
        };
        let is_paid_for = self.operation.paymaster().is_some();
        let has_paymaster_limits = is_paid_for && self.operation.version() != EntryPointVersion::V06;
        let used = best.used;
        let verification = least(used.account, most.verification, |verification| {
            passes(Limits { verification, ..most })
        });
        let call = least(used.call, most.call, |call| passes(Limits { call, ..most }));
        let (paymaster, post_op) = if has_paymaster_limits {
            let paymaster = least(used.paymaster, most.paymaster, |paymaster| {
                passes(Limits { paymaster, ..most })
            });
            let post_op = least(used.post_op, most.post_op, |post_op| {
                passes(Limits { post_op, ..most })
            });
            (paymaster, post_op)
        } else {
            (0, 0)
        };
        let margin = |gas: u64| {
            let hundredths = 100_u64.saturating_add(self.options.gas_margin_percent);
            gas.saturating_mul(hundredths) / 100
        };
        let mut limits = Limits {
            verification: margin(verification),
            call: margin(call),
            paymaster: margin(paymaster),
            post_op: margin(post_op),
        };
        // What suffices alone may not suffice together, where the operation looks at its gas.
        for _ in 0..MOST_RAISES {
            if passes(limits) {
                return Ok(limits);
            }
            limits = limits.raised().min(most);
        }
        if passes(most) {
            return Ok(most);
        }
        Err(failure
            .take()
            .unwrap_or_else(|| Refusal::CallFailed("no gas limits suffice".into())))
    }
}

/// Finds the least gas that passes, up to the precision above it. `most` must pass; `guess` is
/// where to begin.
fn least(guess: u64, most: u64, passes: impl Fn(u64) -> bool) -> u64 {
    if passes(0) {
        return 0;
    }
    let (mut too_little, mut enough) = (0, most);
    let mut step = guess / 64 + PRECISION;
    let mut probe = guess.max(PRECISION);
    while probe < most {
        if passes(probe) {
            enough = probe;
            break;
        }
        too_little = probe;
        probe = probe.saturating_add(step);
        step = step.saturating_mul(2);
    }
    while enough - too_little > PRECISION.max(enough / PRECISION_PART) {
        let middle = too_little + (enough - too_little) / 2;
        if passes(middle) {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    enough
}

/// Merges overrides of single slots into others.
fn merge(changes: &mut StateOverride, more: StateOverride) {
    for (address, account) in more {
        let known = changes.entry(address).or_default();
        match &mut known.state {
            Some(state) => state.extend(account.state_diff.unwrap_or_default()),
            None => known
                .state_diff
                .get_or_insert_default()
                .extend(account.state_diff.unwrap_or_default()),
        }
    }
}
