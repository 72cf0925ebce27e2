//! The methods of a bundler.

use super::{
    BundlerStyle, State, bundle, debug,
    estimate::estimate,
    operation::{self, EntryPointVersion, VersionedOperation},
    rehearsal::PostOpRevertReason,
    style::VerificationGasName,
    validation::{Checked, check},
    words::{BundlerWords, Refusal},
};
use crate::{
    Chain, Submission,
    block::Block,
    chain::code_of,
    rpc::{self, Dialect, ErrorAnswer, Failure, Params},
};
use alloy::{
    consensus::Transaction as _,
    eips::BlockId,
    primitives::{Address, B256, U64, U256},
    rpc::types::Log,
    sol_types::SolEvent,
};
use serde::Serialize;
use serde_json::{Map, Value, json, value::RawValue};
// Both EntryPoints emit the same events.
use session_key_bindings::IEntryPoint::{BeforeExecution, UserOperationEvent, UserOperationRevertReason};

/// The bundler's methods; all others belong to nodes.
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

/// Whether a method is a bundler's.
pub(super) fn is_bundlers(method: &str) -> bool {
    METHODS.contains(&method) || method.starts_with(debug::PREFIX)
}

/// Why a request has no result.
#[derive(Debug)]
pub(super) enum Unanswered {
    Failure(Failure),
    Refused(Refusal),
}

pub(super) type Answer = Result<Box<RawValue>, Unanswered>;

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

pub(super) fn ok(result: impl Serialize) -> Answer {
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
        debug if debug.starts_with(debug::PREFIX) && state.options.debug_methods => {
            debug::dispatch(state, chain, debug, params)
        }
        "eth_chainId" => ok(U64::from(chain.chain_id())),
        "eth_supportedEntryPoints" => ok(addresses(&served(state, chain))),
        "eth_sendUserOperation" => submit(state, chain, params),
        "eth_estimateUserOperationGas" => {
            let version = entry_point(state, chain, params, 1)?;
            let operation = operation::read(&params.required::<Value>(0)?, version, true)?;
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
            if let Some(paymaster) = estimate.paymaster {
                put("paymasterVerificationGasLimit", paymaster.verification_gas_limit);
                put("paymasterPostOpGasLimit", paymaster.post_op_gas_limit);
            }
            ok(answer)
        }
        "eth_getUserOperationReceipt" => ok(receipt(state, chain, operation_hash(params)?)),
        "eth_getUserOperationByHash" => ok(by_hash(state, chain, operation_hash(params)?)),
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

/// Returns the served EntryPoints that are on the chain.
fn served(state: &State, chain: &Chain) -> Vec<EntryPointVersion> {
    let seen = chain.vantage_behind(state.options.lag, true);
    let is_there = |version: &EntryPointVersion| {
        seen.account_at(version.address(), BlockId::latest())
            .is_ok_and(|account| account.is_some_and(|account| !code_of(&account).is_empty()))
    };
    state
        .options
        .entry_points
        .iter()
        .copied()
        .filter(is_there)
        .collect()
}

fn addresses(versions: &[EntryPointVersion]) -> Vec<Address> {
    versions.iter().map(|version| version.address()).collect()
}

/// The hash of an operation that a request names.
fn operation_hash(params: &Params) -> Result<B256, Failure> {
    let problem = |_| rpc::failure(rpc::code::INVALID_PARAMS, "Missing/invalid userOpHash");
    params.required(0).map_err(problem)
}

/// The EntryPoint that a request names.
pub(super) fn entry_point(
    state: &State,
    chain: &Chain,
    params: &Params,
    index: usize,
) -> Result<EntryPointVersion, Unanswered> {
    let asked = params.required::<Address>(index)?;
    let served = served(state, chain);
    let found = served.iter().find(|version| version.address() == asked);
    found.copied().ok_or_else(|| {
        let served = addresses(&served);
        Refusal::UnsupportedEntryPoint { asked, served }.into()
    })
}

fn submit(state: &mut State, chain: &mut Chain, params: &Params) -> Answer {
    let version = entry_point(state, chain, params, 1)?;
    let sent = params.required::<Value>(0)?;
    let operation = operation::read(&sent, version, false)?;
    let hash = operation.hash(chain.chain_id());
    if let Submission::Refused(error) = &state.options.submission {
        return Err(Failure::from(error.clone()).into());
    }
    let Checked::New(validated) = check(state, chain, &operation)? else {
        return ok(hash);
    };
    match state.options.submission.clone() {
        Submission::Lost => ok(hash),
        submission => {
            state.take(chain, operation, sent, Some(validated));
            if state.options.auto {
                bundle::send_all(state, chain);
            }
            match submission {
                Submission::PassedOn(error) => Err(Failure::from(error).into()),
                _ => ok(hash),
            }
        }
    }
}

/// The location of an included operation: EntryPoint, block, the transaction's index, and the EntryPoint's
/// event.
struct Found<'a> {
    version: EntryPointVersion,
    block: &'a Block,
    index: usize,
    event: UserOperationEvent,
}

fn find<'a>(state: &State, chain: &'a Chain, hash: B256) -> Option<Found<'a>> {
    let seen = chain.vantage_behind(state.options.lag, true);
    let topics = [UserOperationEvent::SIGNATURE_HASH, hash];
    state.options.entry_points.iter().find_map(|version| {
        let searched = state.options.searched_blocks;
        let (block, index, log) = seen.find_log(version.address(), &topics, searched)?;
        Some(Found {
            version: *version,
            block,
            index,
            event: UserOperationEvent::decode_log(log).ok()?.data,
        })
    })
}

/// Answers `eth_getUserOperationReceipt`: null unless it is in a block.
fn receipt(state: &State, chain: &Chain, hash: B256) -> Option<Value> {
    let Found {
        version,
        block,
        index,
        event,
    } = find(state, chain, hash)?;
    let entry_point = version.address();
    let transaction = block.rpc_receipt(index, true)?;
    let logs = logs_of(entry_point, hash, transaction.inner.logs());
    let mut of_entry_point = logs.iter().filter(|log| log.address() == entry_point);
    let revert_reason = of_entry_point.find_map(|log| {
        let of_call = UserOperationRevertReason::decode_log(&log.inner).map(|log| log.data.revertReason);
        let of_post_op = || PostOpRevertReason::decode_log(&log.inner).map(|log| log.data.revertReason);
        of_call.or_else(|_| of_post_op()).ok()
    });
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
        put("entryPoint", json!(entry_point));
        put("nonce", style.number(event.nonce));
        put("logs", json!(logs));
        put("receipt", json!(transaction));
    }
    style.put_paymaster(&mut receipt, event.paymaster);
    style.put_reason(&mut receipt, revert_reason.as_ref());
    Some(receipt.into())
}

/// Returns the logs of an operation's execution: those between the preceding event and its own.
fn logs_of(entry_point: Address, hash: B256, logs: &[Log]) -> Vec<Log> {
    let is_event = |log: &Log, topic: B256| log.address() == entry_point && log.topic0() == Some(&topic);
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

/// Answers `eth_getUserOperationByHash`: null if it is unknown.
fn by_hash(state: &State, chain: &Chain, hash: B256) -> Option<Value> {
    let style = &state.options.style;
    if let Some(found) = find(state, chain, hash) {
        let block = found.block;
        let transaction = &block.transactions[found.index].candidate.transaction;
        let mut operation = operation::operations_of(found.version, transaction.input())
            .into_iter()
            .find(|operation| operation.hash(chain.chain_id()) == hash)?;
        if let VersionedOperation::V07 {
            operation,
            authorization,
        } = &mut operation
        {
            let carried = transaction.authorization_list().unwrap_or_default();
            *authorization = carried
                .iter()
                .find(|carried| {
                    carried
                        .recover_authority()
                        .is_ok_and(|signer| signer == operation.sender)
                })
                .cloned();
        }
        return Some(shown(style, &operation, Some((block, *transaction.tx_hash()))));
    }
    let pooled = state.mempool.find(hash).filter(|_| !style.hides_pending)?;
    Some(shown(style, &pooled.operation, None))
}

fn shown(style: &BundlerStyle, operation: &VersionedOperation, place: Option<(&Block, B256)>) -> Value {
    json!({
        "userOperation": operation::show(operation, |number| style.number(number)),
        "entryPoint": operation.entry_point().to_checksum(None),
        "transactionHash": place.map(|(_, transaction)| transaction),
        "blockHash": place.map(|(block, _)| block.hash),
        "blockNumber": place.map(|(block, _)| style.number(U256::from(block.header.number))),
    })
}
