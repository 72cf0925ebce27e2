//! How much gas an operation needs.

use super::{
    State,
    operation::highest_overhead,
    validation::{check_nonce, required_pre_verification_gas, simulate},
    words::Refusal,
};
use crate::{CallOptions, Chain, ChainError, call::request, vantage::Vantage};
use alloy::{
    primitives::{Address, U256},
    rpc::types::state::StateOverride,
};
use session_key_bindings::{ENTRY_POINT, UserOperation};

/// Gas units that a transaction costs before its call.
const GAS_OF_TRANSACTION: u64 = 21_000;

/// Gas units for paying the EntryPoint in validation, which an account need not do where nothing is to be paid.
const GAS_OF_PREFUND: u64 = 30_000;

/// How exactly the gas for validation is found, in gas units.
const PRECISION: u64 = 128;

/// Gas units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) call_gas_limit: U256,
    pub(super) verification_gas_limit: U256,
    pub(super) pre_verification_gas: U256,
}

/// Estimates an operation whose signature may be any of the right form, on a state with some changes.
pub(super) fn estimate(
    state: &State,
    chain: &Chain,
    operation: &UserOperation,
    mut changes: StateOverride,
) -> Result<Estimate, Refusal> {
    let options = &state.options;
    let seen = chain.vantage_behind(options.lag, true);
    let base_fee = U256::from(seen.next_base_fee());
    let pre_verification_gas =
        required_pre_verification_gas(options.data_fee, base_fee, operation, highest_overhead(operation));
    merge(&mut changes, check_nonce(state, &seen, operation)?);

    let fee = |fee: U256| {
        if options.estimates_with_fees {
            fee
        } else {
            U256::ZERO
        }
    };
    let probe = UserOperation {
        callGasLimit: U256::ZERO,
        verificationGasLimit: U256::from(options.max_verification_gas),
        preVerificationGas: U256::ZERO,
        maxFeePerGas: fee(operation.maxFeePerGas),
        maxPriorityFeePerGas: fee(operation.maxPriorityFeePerGas),
        ..operation.clone()
    };
    simulate(&seen, &probe, changes.clone())?;
    let passes = |gas: u64| {
        let probe = UserOperation {
            verificationGasLimit: U256::from(gas),
            ..probe.clone()
        };
        simulate(&seen, &probe, changes.clone()).is_ok()
    };
    let (mut too_little, mut enough) = (0, options.max_verification_gas);
    while enough - too_little > PRECISION {
        let middle = too_little + (enough - too_little) / 2;
        if passes(middle) {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    let prefund = if operation.paymasterAndData.is_empty() && !options.estimates_with_fees {
        GAS_OF_PREFUND
    } else {
        0
    };
    let with_margin =
        |gas: u64| U256::from(gas) * U256::from(100 + options.gas_margin_percent) / U256::from(100);
    Ok(Estimate {
        call_gas_limit: with_margin(call_gas(chain, &seen, operation, changes)?),
        verification_gas_limit: with_margin(enough) + U256::from(prefund),
        pre_verification_gas,
    })
}

/// Gas units of the operation's call by the EntryPoint.
fn call_gas(
    chain: &Chain,
    seen: &Vantage<'_>,
    operation: &UserOperation,
    changes: StateOverride,
) -> Result<u64, Refusal> {
    let call = request(ENTRY_POINT, operation.sender, operation.callData.clone());
    let options = CallOptions {
        state: changes,
        ..Default::default()
    };
    let gas = match (operation.initCode.get(..20), operation.initCode.get(20..)) {
        (Some(factory), Some(data)) => {
            // The account has to be there first.
            let mut later = chain.clone();
            let create = request(Address::ZERO, Address::from_slice(factory), data.to_vec());
            later.send(create)?;
            later.vantage().estimate_gas(&call, &options)
        }
        _ => seen.estimate_gas(&call, &options),
    };
    match gas {
        Ok(gas) => Ok(gas.saturating_sub(GAS_OF_TRANSACTION)),
        Err(ChainError::Reverted { output }) => Err(Refusal::CallReverted(output)),
        Err(error) => Err(Refusal::CallFailed(error.to_string())),
    }
}

/// Adds changes to others, those of single slots only.
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
