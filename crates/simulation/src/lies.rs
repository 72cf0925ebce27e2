//! False answers of bundlers and of caches in front of them. The testkit's bundler, which is behind them,
//! does not invent chains; what is false here is what a gateway with an old or foreign answer says
//! in its place.

use crate::{
    net::respond,
    spot::{Actor, Spot},
    world::World,
};
use alloy::{
    primitives::B256,
    rpc::json_rpc::{RequestPacket, Response, ResponsePayload},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Returns the false answer, or `None` if there is no answer.
pub(crate) async fn lie(
    world: &Arc<World>,
    to: Actor,
    spot: Spot,
    lie: u8,
    packet: &RequestPacket,
) -> Option<Response> {
    let Actor::Bundler(bundler) = to else {
        return None;
    };
    let request = packet.requests().first()?;
    let mut dice = world.dice(&[0x11e5, to.number(), spot.step as u64, spot.nth.into()]);
    let mut random = B256::ZERO;
    dice.fill(random.as_mut_slice());
    let some_executed = || {
        let state = world.state();
        let count = state.executed.len();
        let chosen = (random[0] as usize) % count.max(1);
        state
            .executed
            .iter()
            .nth(chosen)
            .map(|(hash, (block, transaction, _))| (*hash, *block, *transaction))
    };
    let honest = world.bundlers.get(usize::from(bundler))?;
    let params: Vec<Value> = request
        .params()
        .and_then(|params| serde_json::from_str(params.get()).ok())
        .unwrap_or_default();
    Some(match (request.method(), lie) {
        ("eth_sendUserOperation", 0) => {
            honest.answer_one(request).await;
            note_arrival(world, hash_of(world, &params));
            respond(request, Ok(json!(random)))
        }
        ("eth_sendUserOperation", 1) => {
            let hash = hash_of(world, &params);
            note_arrival(world, hash);
            respond(request, Ok(json!(hash)))
        }
        ("eth_sendUserOperation", 2) => {
            note_arrival(world, hash_of(world, &params));
            respond(request, Err((-32602, "already known".to_owned())))
        }
        ("eth_sendUserOperation", 3) => {
            // The operation enters every pool, but the answer denies it.
            for other in &world.bundlers {
                other.answer_one(request).await;
            }
            note_arrival(world, hash_of(world, &params));
            respond(request, Err((-32500, "AA25 invalid account nonce".to_owned())))
        }
        ("eth_sendUserOperation", _) => {
            honest.answer_one(request).await;
            note_arrival(world, hash_of(world, &params));
            respond(request, Ok(json!("")))
        }
        ("eth_estimateUserOperationGas", lie) => {
            let mut response = honest.answer_one(request).await?;
            if let ResponsePayload::Success(result) = &response.payload
                && let Ok(mut estimate) = serde_json::from_str::<Value>(result.get())
            {
                match lie {
                    0 => estimate["preVerificationGas"] = json!("0x30e5a3b97"),
                    1 => estimate["callGasLimit"] = json!("0x1"),
                    2 => estimate["verificationGasLimit"] = json!("0x1"),
                    3 => estimate["callGasLimit"] = json!(format!("0x{}", "f".repeat(50))),
                    _ => estimate = json!({ "callGasLimit": "0x1" }),
                }
                response = respond(request, Ok(estimate));
            }
            response
        }
        ("eth_getUserOperationReceipt", lie) => {
            let asked = params.first().cloned().unwrap_or_default();
            let receipt = |hash: Value, transaction: B256, success: bool| {
                json!({
                    "userOpHash": hash,
                    "success": success,
                    "receipt": { "transactionHash": transaction, "status": "0x1" },
                })
            };
            match (lie, some_executed()) {
                (0, Some((hash, _, transaction))) => {
                    respond(request, Ok(receipt(json!(hash), transaction, true)))
                }
                (1, Some((_, _, transaction))) => respond(request, Ok(receipt(asked, transaction, true))),
                (2, _) => respond(request, Ok(receipt(asked, random, true))),
                (4, Some((_, _, transaction))) => respond(request, Ok(receipt(asked, transaction, false))),
                _ => respond(request, Ok(Value::Null)),
            }
        }
        _ => respond(request, Ok(Value::Null)),
    })
}

fn hash_of(world: &World, params: &[Value]) -> B256 {
    params
        .first()
        .and_then(|operation| {
            serde_json::from_value::<session_key_client::UserOperation>(operation.clone()).ok()
        })
        .map_or(B256::ZERO, |operation| {
            operation.hash(world.prepared.stack.entry_point, crate::prepared::CHAIN_ID)
        })
}

fn note_arrival(world: &World, hash: B256) {
    world.arrived(hash);
}
