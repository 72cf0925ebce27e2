//! The methods of a bundler.

use super::{
    BundlerStyle, State, bundle,
    estimate::estimate,
    operation::{self, hash},
    style::VerificationGasName,
    validation::{Checked, check},
    words::{BundlerWords, Refusal},
};
use crate::{
    Chain, Submission,
    block::Block,
    rpc::{self, Dialect, ErrorAnswer, Failure, Params},
};
use alloy::{
    consensus::Transaction as _,
    primitives::{Address, B256, U64, U256},
    rpc::types::Log,
    sol_types::{SolCall, SolEvent},
};
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};
use session_key_bindings::{
    ENTRY_POINT,
    IEntryPoint::{self, BeforeExecution, UserOperationEvent, UserOperationRevertReason},
    UserOperation,
};

/// The bundler's methods; all others are for nodes.
pub(super) const METHODS: [&str; 8] = [
    "eth_chainId",
    "eth_supportedEntryPoints",
    "eth_sendUserOperation",
    "eth_estimateUserOperationGas",
    "eth_getUserOperationReceipt",
    "eth_getUserOperationByHash",
    "pimlico_getUserOperationGasPrice",
    "rundler_maxPriorityFeePerGas",
];

/// Why a request has no result.
#[derive(Debug)]
enum Unanswered {
    Failure(Failure),
    Refused(Refusal),
}

type Answer = Result<Box<RawValue>, Unanswered>;

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn ok(result: impl Serialize) -> Answer {
    Ok(rpc::ok(result)?)
}

/// Answers one request.
pub(super) fn answer(
    state: &mut State,
    chain: &mut Chain,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Box<RawValue>, ErrorAnswer> {
    let style = state.options.style;
    let answer = Params::parse(params)
        .map_err(Unanswered::from)
        .and_then(|params| dispatch(state, chain, method, &params));
    answer.map_err(|unanswered| match unanswered {
        Unanswered::Refused(refusal) => refusal.in_words_of(style.words, style.revert_data),
        Unanswered::Failure(failure) => failure.in_words_of(Dialect::Geth),
    })
}

fn dispatch(state: &mut State, chain: &mut Chain, method: &str, params: &Params) -> Answer {
    if state.options.missing_methods.contains(method) {
        return Err(Failure::NoMethod(method.to_owned()).into());
    }
    match method {
        "eth_chainId" => ok(U64::from(chain.chain_id())),
        "eth_supportedEntryPoints" => ok([ENTRY_POINT]),
        "eth_sendUserOperation" => submit(state, chain, params),
        "eth_estimateUserOperationGas" => {
            check_entry_point(params)?;
            let operation = operation::read(&params.required::<Value>(0)?, true)?;
            let changes = params.optional(2)?.unwrap_or_default();
            let estimate = estimate(state, chain, &operation, changes)?;
            let style = &state.options.style;
            let mut answer = Map::new();
            let mut put = |name: &str, gas| answer.insert(name.into(), style.number(gas));
            put("preVerificationGas", estimate.pre_verification_gas);
            put("callGasLimit", estimate.call_gas_limit);
            let names: &[&str] = match style.verification_gas {
                VerificationGasName::VerificationGasLimit => &["verificationGasLimit"],
                VerificationGasName::VerificationGas => &["verificationGas"],
                VerificationGasName::Both => &["verificationGas", "verificationGasLimit"],
            };
            for name in names {
                put(name, estimate.verification_gas_limit);
            }
            ok(answer)
        }
        "eth_getUserOperationReceipt" => ok(receipt(state, chain, params.required(0)?)),
        "eth_getUserOperationByHash" => ok(by_hash(state, chain, params.required(0)?)),
        "pimlico_getUserOperationGasPrice" if state.options.style.words == BundlerWords::Alto => {
            let style = &state.options.style;
            let tip = state.options.min_priority_fee.max(1);
            let fees = |percent: u128| {
                let tip = tip.saturating_mul(percent) / 100;
                let base_fee = u128::from(chain.next_base_fee()).saturating_mul(percent) / 100;
                json!({
                    "maxFeePerGas": style.number(U256::from(base_fee.saturating_add(tip))),
                    "maxPriorityFeePerGas": style.number(U256::from(tip)),
                })
            };
            ok(json!({"slow": fees(105), "standard": fees(110), "fast": fees(115)}))
        }
        "rundler_maxPriorityFeePerGas" if state.options.style.words == BundlerWords::Rundler => {
            ok(U256::from(state.options.min_priority_fee))
        }
        _ => Err(Failure::NoMethod(method.to_owned()).into()),
    }
}

fn check_entry_point(params: &Params) -> Result<(), Unanswered> {
    match params.required::<Address>(1)? {
        ENTRY_POINT => Ok(()),
        other => Err(Refusal::UnsupportedEntryPoint(other).into()),
    }
}

fn submit(state: &mut State, chain: &mut Chain, params: &Params) -> Answer {
    check_entry_point(params)?;
    let operation = operation::read(&params.required::<Value>(0)?, false)?;
    let hash = hash(&operation, chain.chain_id());
    if let Submission::Refused(error) = &state.options.submission {
        return Err(Failure::from(error.clone()).into());
    }
    if let Checked::Known = check(state, chain, &operation)? {
        return ok(hash);
    }
    match state.options.submission.clone() {
        Submission::Lost => ok(hash),
        submission => {
            state.mempool.insert(hash, operation);
            if state.options.auto {
                // If the bundle cannot be sent now, the operation goes on waiting: its sender is not concerned.
                let _ = bundle::send(state, chain);
                state.mempool.observe(chain, &state.options);
            }
            match submission {
                Submission::PassedOn(error) => Err(Failure::from(error).into()),
                _ => ok(hash),
            }
        }
    }
}

/// Where an operation is on the chain: block, index of the transaction there, and the EntryPoint's event.
struct Found<'a> {
    block: &'a Block,
    index: usize,
    event: UserOperationEvent,
}

fn find<'a>(state: &State, chain: &'a Chain, hash: B256) -> Option<Found<'a>> {
    let seen = chain.vantage_behind(state.options.lag, true);
    let topics = [UserOperationEvent::SIGNATURE_HASH, hash];
    let (block, index, log) = seen.find_log(ENTRY_POINT, &topics, state.options.searched_blocks)?;
    Some(Found {
        block,
        index,
        event: UserOperationEvent::decode_log(log).ok()?.data,
    })
}

/// `eth_getUserOperationReceipt`: null for what is in no block.
fn receipt(state: &State, chain: &Chain, hash: B256) -> Option<Value> {
    let Found { block, index, event } = find(state, chain, hash)?;
    let transaction = block.rpc_receipt(index, true)?;
    let logs = logs_of(hash, transaction.inner.logs());
    let revert_reason = logs
        .iter()
        .find_map(|log| UserOperationRevertReason::decode_log(&log.inner).ok())
        .map(|log| log.data.revertReason);
    let style = &state.options.style;
    let mut receipt = Map::new();
    let mut put = |name: &str, value: Value| receipt.insert(name.into(), value);
    put("userOpHash", json!(hash));
    put("sender", json!(event.sender));
    put("actualGasCost", style.number(event.actualGasCost));
    put("actualGasUsed", style.number(event.actualGasUsed));
    put("success", style.success(event.success));
    if style.sparse_receipts {
        put(
            "receipt",
            json!({ "transactionHash": transaction.transaction_hash }),
        );
    } else {
        put("entryPoint", json!(ENTRY_POINT));
        put("nonce", style.number(event.nonce));
        put("logs", json!(logs));
        put("receipt", json!(transaction));
    }
    style.put_paymaster(&mut receipt, event.paymaster);
    style.put_reason(&mut receipt, revert_reason.as_ref());
    Some(receipt.into())
}

/// The logs of an operation's execution: those between the event before and its own.
fn logs_of(hash: B256, logs: &[Log]) -> Vec<Log> {
    let is_event = |log: &Log, topic: B256| log.address() == ENTRY_POINT && log.topic0() == Some(&topic);
    let ends = |log: &Log| is_event(log, UserOperationEvent::SIGNATURE_HASH);
    let end = logs
        .iter()
        .position(|log| ends(log) && log.topics().get(1) == Some(&hash))
        .unwrap_or(logs.len());
    let start = logs[..end]
        .iter()
        .rposition(|log| ends(log) || is_event(log, BeforeExecution::SIGNATURE_HASH))
        .map_or(0, |before| before + 1);
    logs[start..end].to_vec()
}

/// `eth_getUserOperationByHash`: null for what is unknown.
fn by_hash(state: &State, chain: &Chain, hash: B256) -> Option<Value> {
    let style = &state.options.style;
    if let Some(Found { block, index, .. }) = find(state, chain, hash) {
        let transaction = &block.transactions[index].candidate.transaction;
        let call = IEntryPoint::handleOpsCall::abi_decode(transaction.input()).ok()?;
        let operation = call
            .ops
            .into_iter()
            .find(|operation| operation::hash(operation, chain.chain_id()) == hash)?;
        return Some(shown(style, &operation, Some((block, *transaction.tx_hash()))));
    }
    let pooled = state.mempool.find(hash).filter(|_| !style.hides_pending)?;
    Some(shown(style, &pooled.operation, None))
}

fn shown(style: &BundlerStyle, operation: &UserOperation, place: Option<(&Block, B256)>) -> Value {
    json!({
        "userOperation": operation::show(operation, |number| style.number(number)),
        "entryPoint": ENTRY_POINT,
        "transactionHash": place.map(|(_, transaction)| transaction),
        "blockHash": place.map(|(block, _)| block.hash),
        "blockNumber": place.map(|(block, _)| style.number(U256::from(block.header.number))),
    })
}
