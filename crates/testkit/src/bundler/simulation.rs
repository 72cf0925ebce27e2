//! What the EntryPoints say of an operation without including it.
//!
//! EntryPoint v0.6 has functions for it. For v0.7, a contract that has them, made for this, takes the place of its code.

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

/// Gas units for a simulation: more than any operation may use.
const SIMULATION_GAS: u64 = 100_000_000;

/// Deployed code: EntryPoint v0.7 with functions that simulate.
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

/// What came of a validation that did not revert.
#[derive(Clone, Debug)]
pub(super) struct Validation {
    /// What the account answered; with EntryPoint v0.6, what account and paymaster answered together.
    pub(super) account: Answer,
    /// What the paymaster answered, with EntryPoint v0.7.
    pub(super) paymaster: Answer,
    /// What the paymaster wants to be told in its `postOp`, with EntryPoint v0.7. Empty if it wants none.
    pub(super) paymaster_context: Bytes,
}

/// An answer of an account or a paymaster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) signature_failed: bool,
    /// Unix seconds; the highest number if there is no end.
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

    /// From the number that packs it: whether the signature failed, or an aggregator (20 bytes); until (6 bytes), after (6 bytes).
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

/// Asks the EntryPoint how the operation's validation ends. Signature and times are the caller's to judge.
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
                // Whatever is not zero is a signature that failed.
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

/// Runs validation and execution with EntryPoint v0.7, whatever the signatures; the logs that it leaves.
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

/// A call of the contract that stands in for EntryPoint v0.7.
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
        // What concerns no operation in particular, "AA94 gas values overflow" for example.
        .or_else(|| {
            reason(&output)
                .filter(|text| text.starts_with("AA"))
                .map(Refusal::Failed)
        })
        .unwrap_or_else(|| ChainError::Reverted { output }.into())
}

/// The operation of a bundle that an EntryPoint says has failed, by its index, and why.
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
