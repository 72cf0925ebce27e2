//! Whether an operation can be taken.

use super::{
    State,
    operation::{hash, lane, next_sequence, nonce_slot, overhead, paymaster, sequence},
    words::{BundlerWords, Refusal},
};
use crate::{CallOptions, Chain, ChainError, Duplicates, call::request, vantage::Vantage};
use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::state::{StateOverride, StateOverridesBuilder},
    sol_types::{SolCall, SolError},
};
use session_key_bindings::{ENTRY_POINT, IEntryPoint, UserOperation};

/// Gas units for a simulation: more than any operation may use.
const SIMULATION_GAS: u64 = 100_000_000;

/// The outcome of a check that passed.
pub(super) enum Checked {
    /// It can be taken in.
    New,
    /// It is there already, which is not an error.
    Known,
}

/// Checks an operation from its fees to its simulation.
pub(super) fn check(state: &State, chain: &Chain, operation: &UserOperation) -> Result<Checked, Refusal> {
    let options = &state.options;
    let seen = chain.vantage_behind(options.lag, true);
    if let Some(known) = state.mempool.find(hash(operation, chain.chain_id())) {
        return match options.duplicates {
            Duplicates::Accepted => Ok(Checked::Known),
            Duplicates::AlreadyKnown => Err(Refusal::AlreadyKnown),
            Duplicates::Underpriced => Err(Refusal::ReplacementUnderpriced {
                max_fee: known.operation.maxFeePerGas,
                max_priority_fee: known.operation.maxPriorityFeePerGas,
            }),
        };
    }
    check_numbers(state, &seen, operation)?;
    let nonce = match check_nonce(state, &seen, operation) {
        // The EntryPoint looks at the creation first, and most bundlers go by what it says.
        Err(Refusal::NonceUsed)
            if !operation.initCode.is_empty() && options.style.words != BundlerWords::Alto =>
        {
            simulate(&seen, operation, StateOverride::default())?;
            return Err(Refusal::NonceUsed);
        }
        nonce => nonce?,
    };
    state
        .mempool
        .check_replacement(operation, options.replaces_bundled)?;
    let is_replacement = state.mempool.at((operation.sender, operation.nonce)).is_some();
    if let Some(most) = options.max_per_sender
        && !is_replacement
        && state.mempool.of_sender(operation) >= most
    {
        return Err(Refusal::TooMany {
            most,
            sender: operation.sender,
        });
    }
    validate(&seen, operation, nonce, options.min_seconds_valid)?;
    Ok(Checked::New)
}

fn check_numbers(state: &State, seen: &Vantage<'_>, operation: &UserOperation) -> Result<(), Refusal> {
    let options = &state.options;
    let (max_fee, tip) = (operation.maxFeePerGas, operation.maxPriorityFeePerGas);
    if tip > max_fee {
        return Err(Refusal::TipAboveMaxFee);
    }
    let least_tip = U256::from(options.min_priority_fee);
    if tip < least_tip {
        return Err(Refusal::TooLow {
            what: "maxPriorityFeePerGas",
            is: tip,
            least: least_tip,
        });
    }
    let base_fee = U256::from(seen.next_base_fee());
    let least = base_fee * U256::from(options.base_fee_percent) / U256::from(100) + least_tip;
    if max_fee < least {
        return Err(Refusal::TooLow {
            what: "maxFeePerGas",
            is: max_fee,
            least,
        });
    }
    let most = U256::from(options.max_verification_gas);
    if operation.verificationGasLimit > most {
        return Err(Refusal::TooHigh {
            what: "verificationGasLimit",
            is: operation.verificationGasLimit,
            most,
        });
    }
    // No block is large enough for more.
    let most = U256::from(seen.head_block().header.gas_limit);
    if operation.callGasLimit > most {
        return Err(Refusal::TooHigh {
            what: "callGasLimit",
            is: operation.callGasLimit,
            most,
        });
    }
    let required = required_pre_verification_gas(options.data_fee, base_fee, operation, overhead(operation));
    if operation.preVerificationGas < required {
        return Err(Refusal::PreVerificationGas {
            is: operation.preVerificationGas,
            required,
        });
    }
    Ok(())
}

/// The gas that pays for what the EntryPoint does not measure, and for the data's own fee at the operation's fees.
pub(super) fn required_pre_verification_gas(
    data_fee: u128,
    base_fee: U256,
    operation: &UserOperation,
    overhead: u64,
) -> U256 {
    let bytes = U256::from(operation.callData.len() + operation.initCode.len() + 12 * 32);
    let price = operation
        .maxFeePerGas
        .min(base_fee.saturating_add(operation.maxPriorityFeePerGas));
    let data_gas = bytes
        .saturating_mul(U256::from(data_fee))
        .checked_div(price)
        .unwrap_or_default();
    U256::from(overhead).saturating_add(data_gas)
}

/// The changes of the state that make the operation's nonce the next one.
pub(super) fn check_nonce(
    state: &State,
    seen: &Vantage<'_>,
    operation: &UserOperation,
) -> Result<StateOverride, Refusal> {
    let UserOperation { sender, nonce, .. } = *operation;
    let next = next_sequence(seen, sender, lane(nonce));
    let ahead = sequence(nonce).checked_sub(next).ok_or(Refusal::NonceUsed)?;
    if ahead > state.options.nonces_ahead {
        return Err(Refusal::NonceTooFar);
    }
    if ahead == 0 {
        return Ok(StateOverride::default());
    }
    let slot = B256::from(nonce_slot(sender, lane(nonce)));
    let value = B256::from(U256::from(sequence(nonce)));
    Ok(StateOverridesBuilder::default()
        .with_state_diff(ENTRY_POINT, [(slot, value)])
        .build())
}

/// Simulates the validation of an operation. It must pass, also in the next block, and stay valid for so many seconds.
pub(super) fn validate(
    seen: &Vantage<'_>,
    operation: &UserOperation,
    state: StateOverride,
    min_seconds_valid: u64,
) -> Result<(), Refusal> {
    let info = simulate(seen, operation, state)?;
    if info.sigFailed {
        return Err(Refusal::Signature {
            with_paymaster: paymaster(&operation.paymasterAndData).is_some(),
        });
    }
    let now = seen.next_timestamp();
    let (valid_after, valid_until) = (info.validAfter.to::<u64>(), info.validUntil.to::<u64>());
    if valid_after > now || valid_until < now.saturating_add(min_seconds_valid) {
        return Err(Refusal::OutOfTime {
            now,
            valid_after,
            valid_until,
        });
    }
    Ok(())
}

/// Asks the EntryPoint's `simulateValidation`. Signature and times are the caller's to judge.
pub(super) fn simulate(
    seen: &Vantage<'_>,
    operation: &UserOperation,
    state: StateOverride,
) -> Result<IEntryPoint::ReturnInfo, Refusal> {
    let call = IEntryPoint::simulateValidationCall {
        userOp: operation.clone(),
    };
    let mut request = request(Address::ZERO, ENTRY_POINT, call.abi_encode());
    request.gas = Some(SIMULATION_GAS);
    let options = CallOptions {
        state,
        ..Default::default()
    };
    let output = match seen.call(&request, &options) {
        Ok(_) => return Err(Refusal::Unexplained("the EntryPoint is not there".into())),
        Err(ChainError::Reverted { output }) => output,
        Err(error) => return Err(error.into()),
    };
    if let Ok(IEntryPoint::ValidationResult { returnInfo, .. }) =
        IEntryPoint::ValidationResult::abi_decode(&output)
    {
        return Ok(returnInfo);
    }
    if let Ok(IEntryPoint::FailedOp { reason, .. }) = IEntryPoint::FailedOp::abi_decode(&output) {
        return Err(Refusal::Failed(reason));
    }
    if let Ok(result) = IEntryPoint::ValidationResultWithAggregation::abi_decode(&output) {
        return Err(Refusal::Aggregator(result.aggregatorInfo.aggregator));
    }
    Err(ChainError::Reverted { output }.into())
}
