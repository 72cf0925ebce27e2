//! Call traces, as geth's `callTracer` shows them.

use crate::{
    CallOptions, Chain, ChainError,
    call::{block_env, refusal},
    error::reason,
    state::Overlay,
    vantage::Vantage,
};
use alloy::{
    primitives::{Address, B256, Bytes, U256},
    rpc::types::TransactionRequest,
};
use revm::{
    Context, InspectEvm, Inspector, MainBuilder, MainContext,
    context::{BlockEnv, CfgEnv, ContextTr, TxEnv},
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, CreateScheme, InstructionResult,
        InterpreterResult, interpreter::EthInterpreter,
    },
};
use serde::Serialize;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum CallKind {
    /// `CALL`, or the transaction itself.
    Call,
    /// `CALLCODE`.
    CallCode,
    /// `DELEGATECALL`: the code of `to` runs as `from`.
    DelegateCall,
    /// `STATICCALL`.
    StaticCall,
    /// `CREATE`, or a transaction that creates.
    Create,
    /// `CREATE2`.
    Create2,
    /// `SELFDESTRUCT`: the balance of `from` goes to `to`.
    SelfDestruct,
}

/// A call and its nested calls. Serializes as the result of geth's `callTracer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallTrace {
    /// The kind of the frame.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// The caller.
    pub from: Address,
    /// The callee; absent for a failed creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// The value in wei; absent in static calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<U256>,
    /// The gas limit.
    #[serde(with = "alloy::serde::quantity")]
    pub gas: u64,
    /// The gas used; for the whole transaction, as in the receipt.
    #[serde(with = "alloy::serde::quantity")]
    pub gas_used: u64,
    /// Call data or init code.
    pub input: Bytes,
    /// Return data, revert data or deployed code.
    #[serde(skip_serializing_if = "<[u8]>::is_empty")]
    pub output: Bytes,
    /// The error, such as `execution reverted` or `out of gas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Text of an `Error(string)` or a `Panic(uint256)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert_reason: Option<String>,
    /// Nested calls, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Self>,
}

impl CallTrace {
    /// Whether this call failed. Its caller may have continued.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Iterates over this call and all nested calls, each before the calls it makes.
    pub fn iter(&self) -> impl Iterator<Item = &Self> {
        let mut ahead = vec![self];
        std::iter::from_fn(move || {
            let call = ahead.pop()?;
            ahead.extend(call.calls.iter().rev());
            Some(call)
        })
    }

    fn finish(&mut self, result: &InterpreterResult) {
        self.gas_used = result.gas.total_gas_spent();
        self.output = result.output.clone();
        self.error = match result.result {
            result if result.is_ok() => None,
            InstructionResult::Revert => Some("execution reverted".into()),
            InstructionResult::OutOfGas
            | InstructionResult::MemoryOOG
            | InstructionResult::MemoryLimitOOG
            | InstructionResult::PrecompileOOG
            | InstructionResult::InvalidOperandOOG
            | InstructionResult::ReentrancySentryOOG => Some("out of gas".into()),
            other => Some(format!("{other:?}")),
        };
        if result.result == InstructionResult::Revert {
            self.revert_reason = reason(&result.output);
        }
    }
}

impl Chain {
    /// Traces a call. A failing call is part of the trace, not an error.
    ///
    /// # Errors
    ///
    /// Whatever keeps the call from running at all.
    pub fn trace(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<CallTrace, ChainError> {
        self.vantage().trace(request, options)
    }

    /// Traces a mined transaction, on the state that it ran on.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownTransaction`].
    pub fn trace_transaction(&self, hash: B256) -> Result<CallTrace, ChainError> {
        self.vantage().trace_transaction(hash)
    }
}

impl Vantage<'_> {
    pub(crate) fn trace(
        &self,
        request: &TransactionRequest,
        options: &CallOptions,
    ) -> Result<CallTrace, ChainError> {
        let (env, overlay) = self.environment(options)?;
        let (cfg, tx) = self.call_transaction(request, &env, &overlay)?;
        self.run_traced(env, cfg, tx, &overlay)
    }

    pub(crate) fn trace_transaction(&self, hash: B256) -> Result<CallTrace, ChainError> {
        let (block, index) = self
            .place_of_transaction(hash)
            .ok_or(ChainError::UnknownTransaction(hash))?;
        let chain = self.chain();
        let mut overlay = chain.state.overlay_at(block.before);
        chain.begin_block_under(&mut overlay, &block.header);
        let env = block_env(&block.header);
        let (before, from_here) = block.transactions.split_at(index);
        for earlier in before {
            let candidate = &earlier.candidate;
            let cfg = candidate.rules(&chain.cfg);
            let outcome = self.run(env.clone(), cfg, candidate.env(), &overlay)?;
            overlay.commit(&chain.state, outcome.state);
        }
        let candidate = &from_here[0].candidate;
        self.run_traced(env, candidate.rules(&chain.cfg), candidate.env(), &overlay)
    }

    fn run_traced(
        &self,
        env: BlockEnv,
        cfg: CfgEnv,
        tx: TxEnv,
        overlay: &Overlay,
    ) -> Result<CallTrace, ChainError> {
        let (caller, gas) = (tx.caller, tx.gas_limit);
        let mut evm = Context::mainnet()
            .with_db(self.view(overlay))
            .with_cfg(cfg)
            .with_block(env)
            .build_mainnet_with_inspector(CallTracer::default());
        let outcome = evm.inspect_tx(tx).map_err(|error| refusal(error, caller))?;
        let mut trace = evm
            .inspector
            .finished
            .ok_or_else(|| ChainError::Evm("the transaction ran without a frame".into()))?;
        trace.gas = gas;
        trace.gas_used = outcome.result.tx_gas_used();
        Ok(trace)
    }
}

/// Collects frames as they begin and end.
#[derive(Debug, Default)]
struct CallTracer {
    /// Unfinished calls, outermost first.
    open: Vec<CallTrace>,
    /// The transaction's own call.
    finished: Option<CallTrace>,
}

impl CallTracer {
    fn close(&mut self, finish: impl FnOnce(&mut CallTrace)) {
        // Begin and end come in pairs.
        let Some(mut call) = self.open.pop() else { return };
        finish(&mut call);
        match self.open.last_mut() {
            Some(parent) => parent.calls.push(call),
            None => self.finished = Some(call),
        }
    }
}

impl<C: ContextTr> Inspector<C, EthInterpreter> for CallTracer {
    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let (kind, from, to) = match inputs.scheme {
            CallScheme::Call => (CallKind::Call, inputs.caller, inputs.target_address),
            CallScheme::StaticCall => (CallKind::StaticCall, inputs.caller, inputs.target_address),
            // The code runs in the caller's frame.
            CallScheme::CallCode => (CallKind::CallCode, inputs.target_address, inputs.bytecode_address),
            CallScheme::DelegateCall => (
                CallKind::DelegateCall,
                inputs.target_address,
                inputs.bytecode_address,
            ),
        };
        self.open.push(CallTrace {
            kind,
            from,
            to: Some(to),
            value: (kind != CallKind::StaticCall).then(|| inputs.call_value()),
            gas: inputs.gas_limit,
            gas_used: 0,
            input: inputs.input.bytes(context),
            output: Bytes::new(),
            error: None,
            revert_reason: None,
            calls: Vec::new(),
        });
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.close(|call| call.finish(&outcome.result));
    }

    fn create(&mut self, _: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let kind = match inputs.scheme() {
            CreateScheme::Create2 { .. } => CallKind::Create2,
            _ => CallKind::Create,
        };
        self.open.push(CallTrace {
            kind,
            from: inputs.caller(),
            to: None,
            value: Some(inputs.value()),
            gas: inputs.gas_limit(),
            gas_used: 0,
            input: inputs.init_code().clone(),
            output: Bytes::new(),
            error: None,
            revert_reason: None,
            calls: Vec::new(),
        });
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.close(|call| {
            call.finish(&outcome.result);
            call.to = outcome.address.filter(|_| !call.failed());
        });
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        if let Some(parent) = self.open.last_mut() {
            parent.calls.push(CallTrace {
                kind: CallKind::SelfDestruct,
                from: contract,
                to: Some(target),
                value: Some(value),
                gas: 0,
                gas_used: 0,
                input: Bytes::new(),
                output: Bytes::new(),
                error: None,
                revert_reason: None,
                calls: Vec::new(),
            });
        }
    }
}
