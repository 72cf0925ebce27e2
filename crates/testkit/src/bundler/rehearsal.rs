//! Runs one operation as a bundle of it would, on the EntryPoint itself, whatever its signature says.

use super::{
    operation::{EntryPointVersion, VersionedOperation, handle_ops},
    simulation::failed_operation,
    words::Refusal,
};
use crate::{
    CallOptions, ChainError,
    call::{CALL_GAS_CAP, refusal, request},
    error::reason,
    vantage::Vantage,
};
use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::state::StateOverride,
    sol_types::SolEvent,
};
use revm::{
    Context, InspectEvm, Inspector, MainBuilder, MainContext,
    context::{ContextTr, result::ExecutionResult},
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Gas, InstructionResult, InterpreterResult,
        interpreter::EthInterpreter,
    },
};
// Both EntryPoints emit the same events.
use session_key_bindings::IEntryPoint::{UserOperationEvent, UserOperationRevertReason};

mod functions {
    alloy::sol! {
        event PostOpRevertReason(bytes32 indexed userOpHash, address indexed sender, uint256 nonce, bytes revertReason);
    }

    /// Selectors of `validateUserOp` and `validatePaymasterUserOp`, with EntryPoint v0.6 and v0.7.
    pub(super) const VALIDATE_USER_OP: [[u8; 4]; 2] = [[0x3a, 0x87, 0x1c, 0xdd], [0x19, 0x82, 0x2f, 0x7c]];
    pub(super) const VALIDATE_PAYMASTER: [[u8; 4]; 2] = [[0xf4, 0x65, 0xc7, 0x7e], [0x52, 0xb7, 0x51, 0x2c]];
}

pub(super) use functions::PostOpRevertReason;
use functions::{VALIDATE_PAYMASTER, VALIDATE_USER_OP};

/// Depth of what the EntryPoint calls for a validation, and of what it calls for the execution, from
/// its call to itself.
const OF_VALIDATION: usize = 1;
const OF_EXECUTION: usize = 2;

/// What became of an operation that passed its validation.
#[derive(Clone, Debug)]
pub(super) struct Rehearsed {
    /// The validation data that the account returned.
    pub(super) account_data: Option<U256>,
    /// The validation data that the paymaster returned.
    pub(super) paymaster_data: Option<U256>,
    /// What the account's call reverted with, if it did.
    pub(super) reverted: Option<Bytes>,
    /// Whether the paymaster failed after the call.
    pub(super) post_op_failed: bool,
    /// Calls and creations that failed, caught or not.
    pub(super) failures: usize,
    /// Gas units that the parts used. More may be needed: calls keep a 64th.
    pub(super) used: Used,
}

/// Gas units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// By the account's creation and its validation.
    pub(super) account: u64,
    /// By the paymaster's validation.
    pub(super) paymaster: u64,
    /// By the account's call.
    pub(super) call: u64,
    /// By the paymaster's `postOp`.
    pub(super) post_op: u64,
}

impl Rehearsed {
    /// Whether it went as well as this one: with no less success, and no more failures on the way. A call
    /// that fails for want of gas and is caught, is a failure.
    pub(super) const fn is_as_good_as(&self, other: &Self) -> bool {
        (self.reverted.is_none() || other.reverted.is_some())
            && (!self.post_op_failed || other.post_op_failed)
            && self.failures <= other.failures
    }
}

/// How much of an operation is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// The account's creation, and the validations.
    Validation,
    /// Everything.
    Whole,
}

/// Runs a bundle of this operation from the executor, on the state with overrides. Signatures that fail,
/// times that are not now, and aggregators are overlooked.
pub(super) fn rehearse(
    seen: &Vantage<'_>,
    executor: Address,
    operation: &VersionedOperation,
    extent: Extent,
    state: StateOverride,
) -> Result<Rehearsed, Refusal> {
    let version = operation.version();
    let data = handle_ops(version, [operation], executor);
    let mut request = request(executor, version.address(), data);
    // More than an operation can have.
    request.gas = Some(CALL_GAS_CAP);
    let (env, overlay) = seen.environment(&CallOptions {
        state,
        ..Default::default()
    })?;
    let (cfg, tx) = seen.call_transaction(&request, &env, &overlay)?;
    seen.chain().check_source()?;
    let mut evm = Context::mainnet()
        .with_db(seen.view(&overlay))
        .with_cfg(cfg)
        .with_block(env)
        .build_mainnet_with_inspector(Observer::of(operation, extent));
    let outcome = evm.inspect_tx(tx).map_err(|error| refusal(error, executor))?;
    let logs = match outcome.result {
        ExecutionResult::Success { logs, .. } => logs,
        ExecutionResult::Revert { output, .. } => {
            return Err(failed_operation(version, &output)
                .map(|(_, refusal)| refusal)
                // Errors not about a particular operation, such as "AA94 gas values overflow".
                .or_else(|| {
                    reason(&output)
                        .filter(|text| text.starts_with("AA"))
                        .map(Refusal::Failed)
                })
                .unwrap_or_else(|| ChainError::Reverted { output }.into()));
        }
        ExecutionResult::Halt { reason, .. } => return Err(ChainError::Halted(reason).into()),
    };
    let of_entry_point = || logs.iter().filter(|log| log.address == version.address());
    let succeeded = of_entry_point()
        .filter_map(|log| UserOperationEvent::decode_log(log).ok())
        .any(|event| event.success);
    let revert_reason = of_entry_point()
        .find_map(|log| UserOperationRevertReason::decode_log(log).ok())
        .map(|event| event.data.revertReason);
    let post_op_failed = evm.inspector.post_op_failed
        || of_entry_point().any(|log| PostOpRevertReason::decode_log(log).is_ok());
    Ok(Rehearsed {
        account_data: evm.inspector.account_data,
        paymaster_data: evm.inspector.paymaster_data,
        // EntryPoint v0.6 is silent about calls that revert without data.
        reverted: (evm.inspector.call_failed || !succeeded && !post_op_failed)
            .then(|| revert_reason.unwrap_or_default()),
        post_op_failed,
        failures: evm.inspector.failures,
        used: evm.inspector.used,
    })
}

/// Watches the EntryPoint's calls, and makes their answers those of valid signatures.
#[derive(Debug)]
struct Observer {
    version: EntryPointVersion,
    sender: Address,
    paymaster: Option<Address>,
    extent: Extent,
    /// Of the frame that runs; the transaction's own is zero.
    depth: usize,
    /// Whether the validations are over.
    executes: bool,
    account_data: Option<U256>,
    paymaster_data: Option<U256>,
    call_failed: bool,
    post_op_failed: bool,
    failures: usize,
    used: Used,
}

impl Observer {
    fn of(operation: &VersionedOperation, extent: Extent) -> Self {
        Self {
            version: operation.version(),
            sender: operation.sender(),
            paymaster: operation.paymaster(),
            extent,
            depth: 0,
            executes: false,
            account_data: None,
            paymaster_data: None,
            call_failed: false,
            post_op_failed: false,
            failures: 0,
            used: Used::default(),
        }
    }

    const fn end(&mut self, result: &InterpreterResult) {
        self.depth = self.depth.saturating_sub(1);
        if !result.result.is_ok() {
            self.failures += 1;
        }
    }
}

/// Makes an answer say that the signature is valid, always. Returns the validation data, the word with this
/// index, as it was.
fn overlook(result: &mut InterpreterResult, word: usize) -> Option<U256> {
    let range = 32 * word..32 * (word + 1);
    let data = U256::from_be_slice(result.output.get(range.clone())?);
    let mut output = result.output.to_vec();
    output[range].fill(0);
    result.output = output.into();
    Some(data)
}

impl<C: ContextTr> Inspector<C, EthInterpreter> for Observer {
    fn call(&mut self, _: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let entry_point = self.version.address();
        if self.depth == OF_VALIDATION && inputs.target_address == entry_point && inputs.caller == entry_point
        {
            self.executes = true;
            if self.extent == Extent::Validation {
                // The validation is over.
                let result = InterpreterResult::new(
                    InstructionResult::Return,
                    vec![0; 32].into(),
                    Gas::new(inputs.gas_limit),
                );
                self.depth += 1;
                return Some(CallOutcome::new(result, inputs.return_memory_offset.clone()));
            }
        }
        self.depth += 1;
        None
    }

    fn call_end(&mut self, context: &mut C, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.end(&outcome.result);
        let result = &mut outcome.result;
        if inputs.caller != self.version.address() {
            return;
        }
        let used = result.gas.total_gas_spent();
        let target = inputs.target_address;
        if self.depth == OF_VALIDATION && !self.executes {
            let input = inputs.input.bytes(context);
            let is = |selectors: &[[u8; 4]]| selectors.iter().any(|selector| input.starts_with(selector));
            if target == self.sender && is(&VALIDATE_USER_OP) {
                self.used.account += used;
                if result.result.is_ok() {
                    self.account_data = overlook(result, 0);
                }
            } else if Some(target) == self.paymaster && is(&VALIDATE_PAYMASTER) {
                self.used.paymaster += used;
                if result.result.is_ok() {
                    self.paymaster_data = overlook(result, 1);
                }
            } else {
                self.used.account += used;
            }
        } else if self.depth == OF_EXECUTION && self.executes {
            // The call comes first, where there is one.
            if target == self.sender && self.used.call == 0 {
                self.used.call = used;
                self.call_failed = !result.result.is_ok();
            } else if Some(target) == self.paymaster {
                self.used.post_op = used;
                self.post_op_failed |= !result.result.is_ok();
            }
        }
    }

    fn create(&mut self, _: &mut C, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.depth += 1;
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(&outcome.result);
    }
}
