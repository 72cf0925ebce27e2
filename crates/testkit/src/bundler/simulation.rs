//! Simulates operations on the EntryPoints.
//!
//! EntryPoint v0.6 has functions for it. For v0.7, a simulation contract replaces its code.

use super::{
    operation::{EntryPointVersion, VersionedOperation},
    words::Refusal,
};
use crate::{CallOptions, ChainError, call::request, error::reason, vantage::Vantage};
use alloy::{
    primitives::{Address, Bytes, Log, U256},
    rpc::types::state::StateOverride,
    sol_types::{SolCall, SolError, SolValue},
};
use session_key_bindings::{
    ENTRY_POINT, ENTRY_POINT_V07, IEntryPoint, IEntryPointV07, bytecode::CreationCode,
};
use std::sync::LazyLock;

/// Gas limit of a simulation, above that of any operation.
const SIMULATION_GAS: u64 = 100_000_000;

/// Deployed bytecode: EntryPoint v0.7 with simulation functions.
static SIMULATIONS: LazyLock<Bytes> = LazyLock::new(|| {
    CreationCode::new(
        "EntryPointSimulations",
        include_str!("../../bytecode/EntryPointSimulationsV07.hex"),
    )
    .bytes()
});

mod contracts {
    alloy::sol! {
        struct Operation {
            address sender;
            uint256 nonce;
            bytes initCode;
            bytes callData;
            bytes32 accountGasLimits;
            uint256 preVerificationGas;
            bytes32 gasFees;
            bytes paymasterAndData;
            bytes signature;
        }

        struct StakeInfo {
            uint256 stake;
            uint256 unstakeDelaySec;
        }

        struct Validation {
            uint256 preOpGas;
            uint256 prefund;
            uint256 accountValidationData;
            uint256 paymasterValidationData;
            bytes paymasterContext;
        }

        struct ValidationResult {
            Validation validation;
            StakeInfo sender;
            StakeInfo factory;
            StakeInfo paymaster;
            address aggregator;
            StakeInfo ofAggregator;
        }

        function simulateValidation(Operation operation) returns (ValidationResult result);
        function simulateHandleOp(Operation operation, address target, bytes data);
    }
}

use contracts::{simulateHandleOpCall, simulateValidationCall};

/// The result of a validation that did not revert.
#[derive(Clone, Debug)]
pub(super) struct Validation {
    /// The account's result; with EntryPoint v0.6, combined with the paymaster's.
    pub(super) account: Answer,
    /// The paymaster's result, with EntryPoint v0.7.
    pub(super) paymaster: Answer,
    /// The context for the paymaster's `postOp`, with EntryPoint v0.7. Empty: no `postOp` call.
    pub(super) paymaster_context: Bytes,
}

/// The validation result of an account or a paymaster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) signature_failed: bool,
    /// Unix seconds; `u64::MAX` if there is no end.
    pub(super) valid_until: u64,
    /// Unix seconds.
    pub(super) valid_after: u64,
}

impl Answer {
    const GOOD: Self = Self {
        signature_failed: false,
        valid_until: u64::MAX,
        valid_after: 0,
    };

    /// Unpacks validation data: the signature flag or aggregator (20 bytes), valid until (6 bytes), valid
    /// after (6 bytes).
    fn unpack(data: U256) -> Result<Self, Refusal> {
        let bytes = data.to_be_bytes::<32>();
        let time = |bytes: &[u8]| bytes.iter().fold(0, |time, byte| time << 8 | u64::from(*byte));
        let authorizer = Address::from_slice(&bytes[12..]);
        if authorizer > Address::with_last_byte(1) {
            return Err(Refusal::Aggregator(authorizer));
        }
        Ok(Self {
            signature_failed: !authorizer.is_zero(),
            valid_until: match time(&bytes[6..12]) {
                0 => u64::MAX,
                until => until,
            },
            valid_after: time(&bytes[..6]),
        })
    }
}

/// Simulates the operation's validation. The caller judges signature and times.
pub(super) fn simulate(
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    state: StateOverride,
) -> Result<Validation, Refusal> {
    match operation {
        VersionedOperation::V06(operation) => {
            let call = IEntryPoint::simulateValidationCall {
                userOp: operation.clone(),
            };
            let mut request = request(Address::ZERO, ENTRY_POINT, call.abi_encode());
            request.gas = Some(SIMULATION_GAS);
            let options = CallOptions {
                state,
                ..Default::default()
            };
            match seen.call(&request, &options) {
                Ok(_) => Err(Refusal::Unexplained("the EntryPoint is not there".into())),
                Err(ChainError::Reverted { output }) => judged_v06(output),
                Err(error) => Err(error.into()),
            }
        }
        VersionedOperation::V07 { operation, .. } => {
            let call = [
                simulateValidationCall::SELECTOR.as_slice(),
                &(operation.clone(),).abi_encode_params(),
            ];
            let (request, options) = in_simulation(call.concat(), state);
            let output = seen.call(&request, &options).map_err(refusal_v07)?;
            let result = simulateValidationCall::abi_decode_returns(&output)
                .map_err(|error| Refusal::Unexplained(error.to_string()))?;
            let paymaster = if operation.paymasterAndData.is_empty() {
                Answer::GOOD
            } else {
                // Any nonzero value means that the signature failed.
                let data = result.validation.paymasterValidationData;
                let authorizer: U256 = data & (U256::MAX >> 96_usize);
                let times = Answer::unpack(data ^ authorizer)?;
                Answer {
                    signature_failed: !authorizer.is_zero(),
                    ..times
                }
            };
            Ok(Validation {
                account: Answer::unpack(result.validation.accountValidationData)?,
                paymaster,
                paymaster_context: result.validation.paymasterContext,
            })
        }
    }
}

fn judged_v06(output: Bytes) -> Result<Validation, Refusal> {
    if let Ok(IEntryPoint::ValidationResult { returnInfo, .. }) =
        IEntryPoint::ValidationResult::abi_decode(&output)
    {
        return Ok(Validation {
            account: Answer {
                signature_failed: returnInfo.sigFailed,
                valid_until: returnInfo.validUntil.to(),
                valid_after: returnInfo.validAfter.to(),
            },
            paymaster: Answer::GOOD,
            paymaster_context: Bytes::new(),
        });
    }
    if let Ok(IEntryPoint::FailedOp { reason, .. }) = IEntryPoint::FailedOp::abi_decode(&output) {
        return Err(Refusal::Failed(reason));
    }
    if let Ok(result) = IEntryPoint::ValidationResultWithAggregation::abi_decode(&output) {
        return Err(Refusal::Aggregator(result.aggregatorInfo.aggregator));
    }
    Err(ChainError::Reverted { output }.into())
}

/// Runs validation and execution with EntryPoint v0.7, ignoring signatures, and returns the logs.
pub(super) fn simulate_execution(
    seen: &Vantage<'_>,
    operation: &VersionedOperation,
    state: StateOverride,
) -> Result<Vec<Log>, Refusal> {
    let VersionedOperation::V07 { operation, .. } = operation else {
        return Err(Refusal::Unexplained(
            "only operations for EntryPoint v0.7 are simulated whole".into(),
        ));
    };
    let call = [
        simulateHandleOpCall::SELECTOR.as_slice(),
        &(operation.clone(), Address::ZERO, Bytes::new()).abi_encode_params(),
    ];
    let (request, options) = in_simulation(call.concat(), state);
    seen.logs_of_call(&request, &options).map_err(refusal_v07)
}

/// Calls the contract that replaces EntryPoint v0.7.
fn in_simulation(
    data: Vec<u8>,
    mut state: StateOverride,
) -> (alloy::rpc::types::TransactionRequest, CallOptions) {
    state.entry(ENTRY_POINT_V07).or_default().code = Some(SIMULATIONS.clone());
    let mut request = request(Address::ZERO, ENTRY_POINT_V07, data);
    request.gas = Some(SIMULATION_GAS);
    let options = CallOptions {
        state,
        ..Default::default()
    };
    (request, options)
}

fn refusal_v07(error: ChainError) -> Refusal {
    let ChainError::Reverted { output } = error else {
        return error.into();
    };
    failed_operation(EntryPointVersion::V07, &output)
        .map(|(_, refusal)| refusal)
        // Errors not about a particular operation, such as "AA94 gas values overflow".
        .or_else(|| {
            reason(&output)
                .filter(|text| text.starts_with("AA"))
                .map(Refusal::Failed)
        })
        .unwrap_or_else(|| ChainError::Reverted { output }.into())
}

/// Returns the index of the failed operation of a bundle, and the reason, from the EntryPoint's error.
pub(super) fn failed_operation(version: EntryPointVersion, output: &[u8]) -> Option<(U256, Refusal)> {
    if let Ok(IEntryPoint::FailedOp { opIndex, reason }) = IEntryPoint::FailedOp::abi_decode(output) {
        return Some((opIndex, Refusal::Failed(reason)));
    }
    if version == EntryPointVersion::V06 {
        return None;
    }
    let failed = IEntryPointV07::FailedOpWithRevert::abi_decode(output).ok()?;
    Some((
        failed.opIndex,
        Refusal::FailedWithRevert {
            reason: failed.reason,
            inner: failed.inner,
        },
    ))
}
