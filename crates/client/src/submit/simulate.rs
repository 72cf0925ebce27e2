use super::{Refusal, SubmitError};
use crate::{
    abi::{EntryPoint, IAccount},
    calldata,
    revert::{FailedOp, Revert},
};
use alloy::{
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError},
    transports::TransportError,
};
use serde::{Deserialize, Serialize};
use session_key_permissions::{AaCode, UserOperation};

/// Gas limits of an operation, in gas units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GasEstimate {
    /// For the execution of the call.
    pub call_gas_limit: U256,
    /// For validation.
    pub verification_gas_limit: U256,
    /// For what the EntryPoint cannot measure.
    pub pre_verification_gas: U256,
}

/// What the validation of a simulated operation may use. Far above any real one, below the limits that nodes put on calls.
const SIMULATED_VERIFICATION_GAS: u64 = 5_000_000;
/// What the call of a simulated operation of an account that does not exist yet may use: together with twice the above,
/// less than the 30 million gas units that nodes give a call at the least.
const SIMULATED_CALL_GAS: u64 = 15_000_000;
/// Gas of a transaction that is not execution (EIP-2028): a part of what `eth_estimateGas` answers.
const TRANSACTION_GAS: u64 = 21_000;

/// Estimates an operation's gas limits by simulation on any node, without a bundler.
///
/// The operation carries a dummy signature of valid form, so that the account and its plugin run their whole check. It is
/// simulated at a fee of 1 wei, not 0: a key's gas limit is then counted as it is on chain, first use of storage included.
/// Refusals in validation and reverts in execution are errors.
#[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
pub async fn simulate_gas<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<GasEstimate, SubmitError> {
    let pre_verification_gas = pre_verification_gas(operation);
    let creates_account = !operation.init_code.is_empty();
    let simulated = UserOperation {
        call_gas_limit: U256::from(if creates_account { SIMULATED_CALL_GAS } else { 0 }),
        verification_gas_limit: U256::from(SIMULATED_VERIFICATION_GAS),
        pre_verification_gas,
        max_fee_per_gas: U256::from(1),
        max_priority_fee_per_gas: U256::from(1),
        ..operation.clone()
    };
    let (validation, call) = tokio::join!(
        validation_gas(provider, entry_point, &simulated),
        call_gas(provider, entry_point, &simulated, creates_account),
    );
    // Of two errors, the one that would come first on chain.
    let (validation, call) = (validation?, call?);
    Ok(GasEstimate {
        call_gas_limit: with_room(call),
        verification_gas_limit: with_room(validation.saturating_sub(pre_verification_gas)),
        pre_verification_gas,
    })
}

/// A gas limit for what used so much. A sixty-fourth stays behind at every level of calls, and refunds hide what is needed in
/// between.
fn with_room(used: U256) -> U256 {
    used.saturating_add(used / U256::from(8))
        .saturating_add(U256::from(10_000))
}

/// Gas used by the operation up to its execution, `preVerificationGas` included.
async fn validation_gas<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, SubmitError> {
    let call = EntryPoint::simulateValidationCall {
        userOp: operation.clone().into(),
    };
    let data = revert_of(provider, entry_point, call.abi_encode()).await?;
    if let Ok(result) = EntryPoint::ValidationResult::abi_decode_validate(&data) {
        return Ok(result.returnInfo.preOpGas);
    }
    if let Ok(result) = EntryPoint::ValidationResultWithAggregation::abi_decode_validate(&data) {
        return Ok(result.returnInfo.preOpGas);
    }
    Err(refusal_of(provider, entry_point, operation, &data).await)
}

/// Gas used by the operation's call.
async fn call_gas<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
    creates_account: bool,
) -> Result<U256, SubmitError> {
    if operation.call_data.is_empty() {
        return Ok(U256::ZERO);
    }
    if !creates_account {
        let call = TransactionRequest::default()
            .with_from(entry_point)
            .with_to(operation.sender)
            .with_input(operation.call_data.clone());
        return match provider.estimate_gas(call).await {
            Ok(gas) => Ok(U256::from(gas.saturating_sub(TRANSACTION_GAS))),
            Err(error) => Err(match Revert::from_rpc_error(&error) {
                Some(revert) => SubmitError::WouldRevert(revert),
                None => error.into(),
            }),
        };
    }
    // The account exists only within the simulation. A call that reverts is not told apart from one that succeeds there. So
    // it is also made as the extra call that the EntryPoint offers after the operation, whose result it does report: from
    // the EntryPoint to the new account, as in the operation.
    let used = execution_result(
        provider,
        entry_point,
        operation,
        operation,
        Address::ZERO,
        Bytes::new(),
    );
    // Only an owner can act for an account that is just being created, and an empty batch does nothing.
    let creation = UserOperation {
        call_data: calldata::execute_batch(&[]),
        ..operation.clone()
    };
    let call_data = operation.call_data.clone();
    let tried = execution_result(
        provider,
        entry_point,
        operation,
        &creation,
        operation.sender,
        call_data,
    );
    let (used, tried) = tokio::try_join!(used, tried)?;
    if !tried.targetSuccess {
        return Err(SubmitError::WouldRevert(Revert::decode(&tried.targetResult)));
    }
    // At 1 wei per gas unit, what was paid is what was used.
    Ok(used.paid.saturating_sub(used.preOpGas))
}

async fn execution_result<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
    simulated: &UserOperation,
    target: Address,
    target_call_data: Bytes,
) -> Result<EntryPoint::ExecutionResult, SubmitError> {
    let call = EntryPoint::simulateHandleOpCall {
        op: simulated.clone().into(),
        target,
        targetCallData: target_call_data,
    };
    let data = revert_of(provider, entry_point, call.abi_encode()).await?;
    match EntryPoint::ExecutionResult::abi_decode_validate(&data) {
        Ok(result) => Ok(result),
        Err(_) => Err(refusal_of(provider, entry_point, operation, &data).await),
    }
}

/// Revert data of a call that is expected to revert.
async fn revert_of<P: Provider>(provider: &P, to: Address, data: Vec<u8>) -> Result<Bytes, SubmitError> {
    let request = TransactionRequest::default().with_to(to).with_input(data);
    match provider.call(request).await {
        Ok(_) => Err(SubmitError::NotAnEntryPoint(to)),
        // An EntryPoint never reverts without data here: then the node kept them back.
        Err(error) => Revert::from_rpc_error(&error)
            .map(|revert| revert.to_bytes())
            .filter(|data| !data.is_empty())
            .ok_or_else(|| error.into()),
    }
}

async fn refusal_of<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
    data: &[u8],
) -> SubmitError {
    match Revert::decode(data) {
        Revert::FailedOp(failed) => refusal(provider, entry_point, operation, failed).await.into(),
        revert => Refusal {
            code: None,
            reason: revert.to_string(),
            cause: Some(revert),
        }
        .into(),
    }
}

/// Makes the EntryPoint's flat answer a reason: what the account itself says, where it was the account that refused.
pub(super) async fn refusal<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
    failed: FailedOp,
) -> Refusal {
    let cause = match failed.code {
        // The cause is a help only: without it the refusal still stands.
        Some(AaCode::AccountReverted) => explain_validation(provider, entry_point, operation)
            .await
            .unwrap_or(None),
        _ => None,
    };
    Refusal {
        code: failed.code,
        reason: failed.reason,
        cause,
    }
}

/// Asks the account itself, in the EntryPoint's place, to validate the operation. What it reverts with, the EntryPoint hides
/// behind "AA23". `None`: it does not revert (then validation may have run out of gas).
#[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
pub async fn explain_validation<P: Provider>(
    provider: &P,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<Option<Revert>, TransportError> {
    let validate = IAccount::validateUserOpCall {
        userOp: operation.clone().into(),
        // A wrong hash makes a wrong signer, which is reported otherwise than by a revert.
        userOpHash: B256::ZERO,
        missingAccountFunds: U256::ZERO,
    };
    let request = TransactionRequest::default()
        .with_from(entry_point)
        .with_to(operation.sender)
        .with_input(validate.abi_encode());
    match provider.call(request).await {
        Ok(_) => Ok(None),
        Err(error) => match Revert::from_rpc_error(&error) {
            Some(revert) => Ok(Some(revert)),
            None => Err(error),
        },
    }
}

/// Gas of the transaction around the operation: its share of the transaction itself, its bytes as call data (16 for each
/// that is not zero, 4 for each that is; EIP-2028), and what the EntryPoint does for it and does not measure.
///
/// Bytes count for their price as data at the most (EIP-7623 raises the floor to 40 and 10), so a bundle of one does not make a
/// loss.
fn pre_verification_gas(operation: &UserOperation) -> U256 {
    /// Per operation, in EntryPoint v0.6: loop, copying, events, compensation. As measured by its authors' bundler.
    const OPERATION_GAS: u64 = 18_300;
    /// Copying a word of the operation.
    const WORD_GAS: u64 = 4;
    let filled = UserOperation {
        call_gas_limit: U256::from(u32::MAX),
        verification_gas_limit: U256::from(u32::MAX),
        pre_verification_gas: U256::from(u32::MAX),
        max_fee_per_gas: U256::from(u64::MAX),
        max_priority_fee_per_gas: U256::from(u64::MAX),
        ..operation.clone()
    };
    let ops = vec![filled.into()];
    let data = EntryPoint::handleOpsCall {
        ops,
        beneficiary: Address::repeat_byte(0xff),
    }
    .abi_encode();
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    let others = data.len() as u64 - zeros;
    let words = (data.len() as u64).div_ceil(32);
    U256::from(TRANSACTION_GAS + OPERATION_GAS + 4 * zeros + 16 * others + WORD_GAS * words)
}
