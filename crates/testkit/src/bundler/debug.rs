//! The methods with which tests rule over a bundler. Source: ERC-7769, debug namespace.

use super::{
    State, bundle,
    entities::{deposit_of, is_staked},
    operation,
    reputation::{Reputation, ReputationStatus},
    rpc::{Answer, entry_point, ok},
    words::Refusal,
};
use crate::{
    Chain,
    rpc::{Failure, Params, code, failure},
};
use alloy::primitives::{Address, B256, U64};
use serde::Deserialize;
use serde_json::{Value, json};

/// What their names begin with.
pub(super) const PREFIX: &str = "debug_bundler_";

/// Something that was done.
const DONE: &str = "ok";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReputationEntry {
    address: Address,
    ops_seen: U64,
    ops_included: U64,
}

pub(super) fn dispatch(state: &mut State, chain: &mut Chain, method: &str, params: &Params) -> Answer {
    match method.strip_prefix(PREFIX).unwrap_or(method) {
        "clearState" => {
            state.mempool.clear();
            state.reputations.clear();
            ok(DONE)
        }
        "clearMempool" => {
            state.mempool.clear();
            ok(DONE)
        }
        "clearReputation" => {
            state.reputations.clear();
            ok(DONE)
        }
        "dumpMempool" => {
            let version = entry_point(state, chain, params, 0)?;
            let mut waiting: Vec<_> = state
                .mempool
                .iter()
                .filter(|entry| entry.operation.version() == version)
                .collect();
            waiting.sort_by_key(|entry| entry.arrival);
            // As they were sent, to be compared with that.
            let shown = waiting.into_iter().map(|entry| entry.sent.clone());
            ok(shown.collect::<Vec<Value>>())
        }
        "sendBundleNow" => send_bundle_now(state, chain),
        "setBundlingMode" => {
            let mode: String = params.required(0)?;
            state.options.auto = match mode.as_str() {
                "auto" => true,
                "manual" => false,
                _ => {
                    let problem = format!("{mode} is neither auto nor manual");
                    return Err(failure(code::INVALID_PARAMS, problem).into());
                }
            };
            if state.options.auto {
                bundle::send_all(state, chain);
            }
            ok(DONE)
        }
        "setReputation" => {
            let version = entry_point(state, chain, params, 1)?;
            for entry in params.required::<Vec<ReputationEntry>>(0)? {
                let reputation = Reputation {
                    ops_seen: entry.ops_seen.to(),
                    ops_included: entry.ops_included.to(),
                };
                state.reputations.set((version, entry.address), reputation);
            }
            ok(DONE)
        }
        "dumpReputation" => {
            let version = entry_point(state, chain, params, 0)?;
            let rules = state.options.reputation.unwrap_or_default();
            let shown = |(address, reputation): (Address, Reputation)| {
                let status = match reputation.status(&rules) {
                    ReputationStatus::Ok => 0,
                    ReputationStatus::Throttled => 1,
                    ReputationStatus::Banned => 2,
                };
                json!({
                    "address": address,
                    "opsSeen": U64::from(reputation.ops_seen),
                    "opsIncluded": U64::from(reputation.ops_included),
                    "status": U64::from(status),
                })
            };
            ok(state.reputations.iter(version).map(shown).collect::<Vec<Value>>())
        }
        "addUserOps" => {
            let version = entry_point(state, chain, params, 1)?;
            let operations = params.required::<Vec<Value>>(0)?;
            let operations = operations
                .iter()
                .map(|sent| Ok((sent, operation::read(sent, version, false)?)))
                .collect::<Result<Vec<_>, Refusal>>()?;
            for (sent, operation) in operations {
                state.take(chain, operation, sent.clone(), None);
            }
            ok(DONE)
        }
        "getStakeStatus" => {
            let address: Address = params.required(0)?;
            let version = entry_point(state, chain, params, 1)?;
            let seen = chain.vantage_behind(state.options.lag, true);
            let stake = deposit_of(&seen, (version, address)).stake;
            ok(json!({
                "stakeInfo": {
                    "addr": address.to_checksum(None),
                    "stake": stake.amount.to_string(),
                    "unstakeDelaySec": stake.unstake_delay.to_string(),
                },
                "isStaked": is_staked(&seen, &state.options, (version, address)),
            }))
        }
        _ => Err(Failure::NoMethod(method.to_owned()).into()),
    }
}

/// Sends a bundle for each EntryPoint with waiting operations, and mines. The answer is the hash of the last
/// bundle's transaction, or a word where nothing could be bundled; no block is mined then.
fn send_bundle_now(state: &mut State, chain: &mut Chain) -> Answer {
    let mut last: Option<B256> = None;
    for version in state.options.entry_points.clone() {
        let bundle = bundle::send(state, chain, version)
            .map_err(|error| failure(code::INVALID_INPUT, error.to_string()))?;
        if let Some(bundle) = bundle {
            last = Some(bundle.transaction);
        }
    }
    if last.is_some() && !chain.automine() {
        chain.mine();
    }
    state.observe(chain);
    match last {
        Some(transaction) => ok(transaction),
        None => ok(DONE),
    }
}
