//! The operations that a transaction carries: in its own call data, or in a nested call to the EntryPoint.

use crate::{
    abi::{EntryPoint, EntryPointV07},
    node::Node,
    request::{RequestError, lenient, patiently},
};
use alloy::{
    primitives::{Address, B256, Bytes},
    sol_types::SolCall,
};
use serde::Deserialize;
use serde_json::{Value, json};
use session_key_permissions::{EntryPointVersion, UserOperation};

/// A transaction and its operations.
#[derive(Debug)]
pub(super) struct Carried {
    /// Its index in the block, if the node returns it.
    pub(super) index: Option<u64>,
    /// Its sender, if the node returns it.
    pub(super) from: Option<Address>,
    /// Its call data.
    pub(super) input: Bytes,
    /// The operations of each visible `handleOps`, in order.
    pub(super) bundles: Vec<Vec<UserOperation>>,
}

/// Reads a transaction's operations. If a contract sends the bundle, the node is asked for a trace; if it
/// does not support traces, they stay unknown. `None`: there is no such transaction.
pub(super) async fn carried(
    node: &Node,
    entry_point: Address,
    transaction: B256,
) -> Result<Option<Carried>, RequestError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Transaction {
        #[serde(default, deserialize_with = "lenient::optional")]
        from: Option<Address>,
        #[serde(default, deserialize_with = "lenient::optional")]
        to: Option<Address>,
        #[serde(default, deserialize_with = "lenient::bytes")]
        input: Bytes,
        #[serde(default, deserialize_with = "lenient::optional_number")]
        transaction_index: Option<u64>,
    }
    let found: Option<Transaction> =
        patiently(|| node.request("eth_getTransactionByHash", [transaction])).await?;
    let Some(found) = found else { return Ok(None) };
    let mut carried = Carried {
        index: found.transaction_index,
        from: found.from,
        input: found.input,
        bundles: Vec::new(),
    };
    if found.to == Some(entry_point)
        && let Some(bundle) = operations_of(entry_point, &carried.input)
    {
        carried.bundles.push(bundle);
        return Ok(Some(carried));
    }
    let tracer = json!({ "tracer": "callTracer" });
    let trace: Result<Value, _> = node
        .request("debug_traceTransaction", (transaction, tracer))
        .await;
    if let Ok(trace) = trace {
        collect(&trace, entry_point, &mut carried.bundles);
    }
    Ok(Some(carried))
}

/// Collects calls of `handleOps` from a trace.
fn collect(trace: &Value, entry_point: Address, found: &mut Vec<Vec<UserOperation>>) {
    let mut open = vec![trace];
    while let Some(call) = open.pop() {
        let to = call["to"].as_str().and_then(|to| to.parse::<Address>().ok());
        let input = call["input"]
            .as_str()
            .and_then(|input| input.parse::<Bytes>().ok());
        if to == Some(entry_point)
            && let Some(operations) = input.as_ref().and_then(|input| operations_of(entry_point, input))
        {
            found.push(operations);
            continue;
        }
        if let Some(calls) = call["calls"].as_array() {
            open.extend(calls.iter().rev());
        }
    }
}

/// Returns the operations of a `handleOps` call to the EntryPoint at this address.
fn operations_of(entry_point: Address, call_data: &Bytes) -> Option<Vec<UserOperation>> {
    if let Ok(bundle) = EntryPoint::handleOpsCall::abi_decode(call_data) {
        return Some(bundle.ops.into_iter().map(UserOperation::from).collect());
    }
    let bundle = EntryPointV07::handleOpsCall::abi_decode(call_data).ok()?;
    // v0.7 and later share the call.
    let version = EntryPointVersion::of(entry_point).unwrap_or(EntryPointVersion::V07);
    let operations = bundle.ops.into_iter();
    Some(
        operations
            .map(|operation| UserOperation::from_packed(operation, version))
            .collect(),
    )
}
