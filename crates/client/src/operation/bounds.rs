//! Bounds on what nodes, bundlers and paymaster services may ask for: no one outside sets the price.

use super::gas::Gas;
use alloy::primitives::U256;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One ether, in wei.
const COIN: u128 = 1_000_000_000_000_000_000;
/// One gwei, in wei.
const GWEI: u128 = 1_000_000_000;

/// Chains whose coin is worth about a dollar or less, by id: their operations may cost more of it.
const CHEAP_COINS: [(u64, u128); 3] = [
    // Polygon and its testnets.
    (137, 50 * COIN),
    (80_001, 50 * COIN),
    (80_002, 50 * COIN),
];

/// Bounds on an operation's cost, and on how far fees and gas limits may exceed what this client found.
///
/// Defaults, for an operation with 300,000 gas units in all:
///
/// | | Ethereum, base fee 20 gwei | a rollup, base fee 0.01 gwei, whose data fee dominates |
/// | --- | --- | --- |
/// | priority fee | at most 200 gwei: 10 times the base fee | at most 100 gwei: the floor |
/// | fee | at most 240 gwei: twice the base fee plus the priority fee | at most 100.02 gwei |
/// | pre-verification gas | at most 30 million units: the floor | the same: 600 times what the operation itself takes |
/// | gas limits of call and validation | at most five times what a node simulates, and 30 million units | the same |
/// | cost | at most 0.05 ether | at most 0.05 ether |
///
/// The absolute bound holds even if everyone outside lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// The maximum cost of one operation, in wei: all its gas at its full fee, whoever pays.
    pub max_cost: U256,
    /// The maximum priority fee, as a multiple of the base fee…
    pub max_priority_fee_per_base_fee: u64,
    /// …or in wei per gas unit, whichever is more.
    pub max_priority_fee: u128,
    /// The maximum gas limit for validation or for the call, as a multiple of the simulated amount.
    pub max_gas_per_simulated: u64,
    /// The maximum pre-verification gas, in gas units, or four times the computed amount, whichever is more.
    pub max_pre_verification_gas: u64,
    /// The maximum gas units of the call or the validation, whatever a node simulated.
    pub max_gas_limit: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_cost: U256::from(COIN / 20),
            max_priority_fee_per_base_fee: 10,
            max_priority_fee: 100 * GWEI,
            max_gas_per_simulated: 5,
            max_pre_verification_gas: 30_000_000,
            max_gas_limit: 30_000_000,
        }
    }
}

/// A setting of [`Bounds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Setting {
    /// [`Bounds::max_cost`], in wei.
    MaxCost,
    /// [`Bounds::max_priority_fee`] and [`Bounds::max_priority_fee_per_base_fee`], in wei per gas unit.
    MaxPriorityFee,
    /// The total fee: twice the base fee plus the bound on the priority fee, in wei per gas unit.
    MaxFee,
    /// [`Bounds::max_gas_per_simulated`] and [`Bounds::max_gas_limit`], for validation, in gas units.
    VerificationGasLimit,
    /// The same for the call.
    CallGasLimit,
    /// [`Bounds::max_pre_verification_gas`], in gas units.
    PreVerificationGas,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MaxCost => "cost in wei (Bounds::max_cost)",
            Self::MaxPriorityFee => "priority fee in wei per gas unit (Bounds::max_priority_fee)",
            Self::MaxFee => "fee in wei per gas unit (Bounds::max_priority_fee)",
            Self::VerificationGasLimit => "gas limit for validation (Bounds::max_gas_per_simulated)",
            Self::CallGasLimit => "gas limit for the call (Bounds::max_gas_per_simulated)",
            Self::PreVerificationGas => "pre-verification gas (Bounds::max_pre_verification_gas)",
        })
    }
}

/// Someone outside asked for more than the bounds allow. Nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("{asked} is asked for, but at most {bound} is allowed: {setting}")]
#[serde(rename_all = "camelCase")]
pub struct OverBound {
    /// The setting.
    pub setting: Setting,
    /// The amount asked for.
    pub asked: U256,
    /// The maximum allowed.
    pub bound: U256,
}

impl Bounds {
    /// Returns the defaults for a chain: higher for low-value coins.
    pub fn on_chain(chain_id: u64) -> Self {
        let cheap = CHEAP_COINS.iter().find(|(id, _)| *id == chain_id);
        let default = Self::default();
        Self {
            max_cost: cheap.map_or(default.max_cost, |(_, cost)| U256::from(*cost)),
            ..default
        }
    }

    fn check(setting: Setting, asked: U256, bound: U256) -> Result<(), OverBound> {
        if asked <= bound {
            Ok(())
        } else {
            Err(OverBound {
                setting,
                asked,
                bound,
            })
        }
    }

    /// Returns the maximum priority fee at a base fee, in wei per gas unit.
    fn priority_fee_bound(&self, base_fee: u128) -> U256 {
        U256::from(base_fee)
            .saturating_mul(U256::from(self.max_priority_fee_per_base_fee))
            .max(U256::from(self.max_priority_fee))
    }

    /// Checks suggested fees, in wei per gas unit: the priority fee against the base fee, and the total fee
    /// against both.
    pub fn check_fees(&self, base_fee: u128, max_fee: U256, max_priority_fee: U256) -> Result<(), OverBound> {
        let priority_bound = self.priority_fee_bound(base_fee);
        Self::check(Setting::MaxPriorityFee, max_priority_fee, priority_bound)?;
        let fee_bound = U256::from(base_fee)
            .saturating_mul(U256::from(2))
            .saturating_add(priority_bound);
        Self::check(Setting::MaxFee, max_fee, fee_bound)
    }

    /// Checks estimated gas limits; `computed` has what this client simulated or computed, if anything.
    pub(crate) fn check_gas(&self, asked: &Gas, computed: &Computed) -> Result<(), OverBound> {
        let most = U256::from(self.max_gas_limit);
        let simulated_bound = |simulated: Option<U256>| match simulated {
            // Small amounts are measured too coarsely to be multiplied.
            Some(simulated) => simulated
                .max(U256::from(100_000))
                .saturating_mul(U256::from(self.max_gas_per_simulated))
                .min(most),
            None => most,
        };
        Self::check(
            Setting::VerificationGasLimit,
            asked.verification_gas_limit,
            simulated_bound(computed.verification_gas_limit),
        )?;
        Self::check(
            Setting::CallGasLimit,
            asked.call_gas_limit,
            simulated_bound(computed.call_gas_limit),
        )?;
        Self::check(
            Setting::PreVerificationGas,
            asked.pre_verification_gas,
            computed
                .pre_verification_gas
                .saturating_mul(U256::from(4))
                .max(U256::from(self.max_pre_verification_gas)),
        )
    }

    /// Checks the total cost of an operation or a transaction, in wei.
    pub fn check_cost(&self, cost: U256) -> Result<(), OverBound> {
        Self::check(Setting::MaxCost, cost, self.max_cost)
    }
}

/// Gas units that this client simulated or computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Computed {
    pub(crate) call_gas_limit: Option<U256>,
    pub(crate) verification_gas_limit: Option<U256>,
    pub(crate) pre_verification_gas: U256,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gas(call: u64, verification: u64, pre_verification: u64) -> Gas {
        Gas {
            call_gas_limit: U256::from(call),
            verification_gas_limit: U256::from(verification),
            pre_verification_gas: U256::from(pre_verification),
        }
    }

    #[test]
    fn fees_are_bounded_by_the_base_fee_and_by_a_floor() {
        let bounds = Bounds::default();
        let check = |base: u128, fee: u128, priority: u128| {
            bounds.check_fees(base, U256::from(fee), U256::from(priority))
        };
        assert_eq!(check(20 * GWEI, 240 * GWEI, 200 * GWEI), Ok(()));
        let over = check(20 * GWEI, 240 * GWEI, 200 * GWEI + 1).unwrap_err();
        assert_eq!(
            (over.setting, over.bound),
            (Setting::MaxPriorityFee, U256::from(200 * GWEI))
        );
        let over = check(20 * GWEI, 240 * GWEI + 1, GWEI).unwrap_err();
        assert_eq!(
            (over.setting, over.bound),
            (Setting::MaxFee, U256::from(240 * GWEI))
        );
        // A rollup's base fee does not limit its priority fee.
        assert_eq!(check(GWEI / 100, 100 * GWEI, 100 * GWEI), Ok(()));
        assert!(check(GWEI / 100, 101 * GWEI, 101 * GWEI).is_err());
        assert!(check(u128::MAX, u128::MAX, u128::MAX).is_ok());
    }

    #[test]
    fn gas_limits_are_bounded_by_the_clients_own_numbers() {
        let bounds = Bounds::default();
        let computed = Computed {
            call_gas_limit: Some(U256::from(200_000)),
            verification_gas_limit: None,
            pre_verification_gas: U256::from(50_000),
        };
        assert_eq!(
            bounds.check_gas(&gas(1_000_000, 30_000_000, 30_000_000), &computed),
            Ok(())
        );
        for (asked, setting) in [
            (gas(1_000_001, 0, 0), Setting::CallGasLimit),
            (gas(0, 30_000_001, 0), Setting::VerificationGasLimit),
            (gas(0, 0, 30_000_001), Setting::PreVerificationGas),
        ] {
            assert_eq!(bounds.check_gas(&asked, &computed).unwrap_err().setting, setting);
        }
        // The simulating node is not trusted either.
        let computed = Computed {
            call_gas_limit: Some(U256::MAX),
            ..computed
        };
        let over = bounds.check_gas(&gas(30_000_001, 0, 0), &computed).unwrap_err();
        assert_eq!(
            (over.setting, over.bound),
            (Setting::CallGasLimit, U256::from(30_000_000))
        );
    }

    #[test]
    fn low_value_coins_have_higher_bounds() {
        assert_eq!(Bounds::on_chain(1).max_cost, U256::from(COIN / 20));
        assert_eq!(Bounds::on_chain(137).max_cost, U256::from(50 * COIN));
        let over = Bounds::on_chain(1).check_cost(U256::from(COIN)).unwrap_err();
        assert_eq!(
            over.to_string(),
            "1000000000000000000 is asked for, but at most 50000000000000000 is allowed: \
             cost in wei (Bounds::max_cost)"
        );
    }
}
