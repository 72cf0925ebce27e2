//! Estimates the gas of an operation.

use super::{
    State,
    operation::{EntryPointVersion, Numbers, VersionedOperation, highest_overhead},
    simulation::{Validation, simulate, simulate_execution},
    validation::{check_nonce, required_pre_verification_gas, with_delegation},
    words::Refusal,
};
use crate::{CallOptions, Chain, ChainError, call::request, vantage::Vantage};
use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::state::StateOverride,
    sol_types::{SolCall, SolEvent},
};
use session_key_bindings::IEntryPoint::{UserOperationEvent, UserOperationRevertReason};

mod functions {
    alloy::sol! {
        function postOp(uint8 mode, bytes context, uint256 actualGasCost, uint256 actualUserOpFeePerGas);
    }
}

use functions::postOpCall;

/// Gas units that a transaction costs before its call.
const GAS_OF_TRANSACTION: u64 = 21_000;

/// Gas units for the account's payment to the EntryPoint, which may be skipped if nothing is due.
const GAS_OF_PREFUND: u64 = 30_000;

/// Gas units for charging a paymaster's deposit, which leaves the slot unchanged if nothing is due. The write
/// itself is measured.
const GAS_OF_DEPOSIT: u64 = 5_000;

/// Precision of the gas limits, in gas units.
const PRECISION: u64 = 128;

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
    let changes = with_delegation(changes, operation);

    let fee = |fee: U256| {
        if options.estimates_with_fees {
            fee
        } else {
            U256::ZERO
        }
    };
    let given = operation.numbers();
    let most = U256::from(options.max_verification_gas);
    let numbers = Numbers {
        call_gas: U256::ZERO,
        verification_gas: most,
        pre_verification_gas: U256::ZERO,
        max_fee: fee(given.max_fee),
        tip: fee(given.tip),
        paymaster_verification_gas: most,
        post_op_gas: U256::ZERO,
    };
    let validation = simulate(&seen, &operation.with_numbers(numbers), changes.clone())?;
    let passes = |numbers: Numbers| {
        let probe = operation.with_numbers(numbers);
        simulate(&seen, &probe, changes.clone()).is_ok()
    };
    let verification_gas = least(options.max_verification_gas, |gas| {
        passes(Numbers {
            verification_gas: U256::from(gas),
            ..numbers
        })
    });
    let with_margin =
        |gas: u64| U256::from(gas) * U256::from(100 + options.gas_margin_percent) / U256::from(100);
    let is_paid_for = operation.paymaster().is_some();
    let paymaster = if is_paid_for && operation.version() != EntryPointVersion::V06 {
        let verification_gas = least(options.max_verification_gas, |gas| {
            passes(Numbers {
                paymaster_verification_gas: U256::from(gas),
                ..numbers
            })
        });
        let post_op_gas = post_op_gas(&seen, operation, &validation, changes.clone())?;
        let deposit = if options.estimates_with_fees {
            0
        } else {
            GAS_OF_DEPOSIT
        };
        Some(PaymasterEstimate {
            verification_gas_limit: with_margin(verification_gas) + U256::from(deposit),
            post_op_gas_limit: with_margin(post_op_gas),
        })
    } else {
        None
    };
    let call_gas = match operation.version() {
        EntryPointVersion::V06 => call_gas(chain, &seen, operation, changes)?,
        EntryPointVersion::V07 => {
            let post_op_gas = paymaster.map_or(U256::ZERO, |paymaster| paymaster.post_op_gas_limit);
            let numbers = Numbers {
                post_op_gas,
                ..numbers
            };
            call_gas_in_simulation(&seen, operation, numbers, changes)?
        }
    };
    let prefund = if !is_paid_for && !options.estimates_with_fees {
        GAS_OF_PREFUND
    } else {
        0
    };
    Ok(Estimate {
        call_gas_limit: with_margin(call_gas),
        verification_gas_limit: with_margin(verification_gas) + U256::from(prefund),
        pre_verification_gas,
        paymaster,
    })
}

/// Finds the least gas that passes, up to [`PRECISION`] above it. `most` must pass.
fn least(most: u64, passes: impl Fn(u64) -> bool) -> u64 {
    let (mut too_little, mut enough) = (0, most);
    while enough - too_little > PRECISION {
        let middle = too_little + (enough - too_little) / 2;
        if passes(middle) {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    enough
}

/// Measures the operation's call by EntryPoint v0.7, after its validation, whose state changes apply.
fn call_gas_in_simulation(
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    numbers: Numbers,
    changes: StateOverride,
) -> Result<u64, Refusal> {
    // `None` if the call succeeds, else its revert.
    let outcome = |gas: u64| {
        let probe = operation.with_numbers(Numbers {
            call_gas: U256::from(gas),
            ..numbers
        });
        let logs = simulate_execution(seen, &probe, changes.clone())?;
        let of_entry_point = || logs.iter().filter(|log| log.address == operation.entry_point());
        let succeeds = of_entry_point()
            .filter_map(|log| UserOperationEvent::decode_log(log).ok())
            .any(|event| event.success);
        if succeeds {
            return Ok(None);
        }
        let reason = of_entry_point()
            .find_map(|log| UserOperationRevertReason::decode_log(log).ok())
            .map(|event| event.data.revertReason);
        Ok::<Option<Bytes>, Refusal>(Some(reason.unwrap_or_default()))
    };
    let most = seen.head_block().header.gas_limit;
    match outcome(most)? {
        None => Ok(least(most, |gas| matches!(outcome(gas), Ok(None)))),
        Some(reason) => Err(Refusal::CallReverted(reason)),
    }
}

/// Measures the paymaster's `postOp`, for an operation that succeeds at no cost.
fn post_op_gas(
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    validation: &Validation,
    changes: StateOverride,
) -> Result<u64, Refusal> {
    let context = validation.paymaster_context.clone();
    let (Some(paymaster), false) = (operation.paymaster(), context.is_empty()) else {
        return Ok(0);
    };
    let call = postOpCall {
        mode: 0,
        context,
        actualGasCost: U256::ZERO,
        actualUserOpFeePerGas: U256::ZERO,
    };
    let request = request(operation.entry_point(), paymaster, call.abi_encode());
    let options = CallOptions {
        state: changes,
        ..Default::default()
    };
    called(seen.estimate_gas(&request, &options))
}

/// Subtracts a transaction's intrinsic gas from a call's.
fn called(gas: Result<u64, ChainError>) -> Result<u64, Refusal> {
    match gas {
        Ok(gas) => Ok(gas.saturating_sub(GAS_OF_TRANSACTION)),
        Err(ChainError::Reverted { output }) => Err(Refusal::CallReverted(output)),
        Err(error) => Err(Refusal::CallFailed(error.to_string())),
    }
}

/// Measures the operation's call by EntryPoint v0.6.
fn call_gas(
    chain: &Chain,
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    changes: StateOverride,
) -> Result<u64, Refusal> {
    let call = request(
        operation.entry_point(),
        operation.sender(),
        operation.call_data().clone(),
    );
    let options = CallOptions {
        state: changes,
        ..Default::default()
    };
    let init_code = operation.init_code();
    called(match (init_code.get(..20), init_code.get(20..)) {
        (Some(factory), Some(data)) => {
            // The account must exist first.
            let mut later = chain.clone();
            let create = request(Address::ZERO, Address::from_slice(factory), data.to_vec());
            later.send(create)?;
            later.vantage().estimate_gas(&call, &options)
        }
        _ => seen.estimate_gas(&call, &options),
    })
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
