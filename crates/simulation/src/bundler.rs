//! Bundlers: pools of operations, put into transactions at a pace of their own.

use crate::{
    fault::Fault,
    prepared::{CHAIN_ID, bundler_signer},
    spot::{Actor, Step},
    world::{World, short},
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::{BlockId, Encodable2718},
    network::TxSignerSync,
    primitives::{Address, B256, Bytes, TxKind, U256},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError},
};
use serde_json::{Value, json};
use session_key_bindings::IEntryPoint;
use session_key_client::{SignedOperation, UserOperation};
use session_key_testkit::{CallOptions, Chain, ChainError};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::{Duration, sleep};

/// A JSON-RPC error: code, message, data.
pub(crate) type Refusal = (i64, String, Option<Value>);

/// A bundler.
#[derive(Debug)]
pub(crate) struct Bundler {
    index: u8,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    waiting: BTreeMap<(Address, U256), SignedOperation>,
    /// Transactions that carry operations.
    carried: BTreeMap<B256, B256>,
    /// Operations that were included, and may be undone.
    included: BTreeMap<B256, SignedOperation>,
}

impl Bundler {
    pub(crate) fn new(index: u8) -> Self {
        Self {
            index,
            pool: Mutex::default(),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what waits.
    pub(crate) fn forget(&self) {
        *self.pool() = Pool::default();
    }

    /// Answers a request.
    pub(crate) fn answer(&self, world: &World, method: &str, params: &[Value]) -> Result<Value, Refusal> {
        let lag = world
            .plan
            .bundlers
            .get(usize::from(self.index))
            .map_or(0, |plan| plan.lag);
        let operation = || {
            let operation = params.first().cloned().unwrap_or_default();
            serde_json::from_value::<UserOperation>(operation)
                .map_err(|error| (-32602, format!("invalid user operation: {error}"), None))
        };
        let hash = || {
            let hash = params.first().cloned().unwrap_or_default();
            serde_json::from_value::<B256>(hash)
                .map_err(|error| (-32602, format!("Missing/invalid userOpHash: {error}"), None))
        };
        match method {
            "eth_chainId" => Ok(json!(format!("{CHAIN_ID:#x}"))),
            "eth_supportedEntryPoints" => Ok(json!([world.prepared.stack.entry_point])),
            "eth_sendUserOperation" => self.take(world, operation()?, lag).map(|hash| json!(hash)),
            "eth_estimateUserOperationGas" => estimate(world, &operation()?, lag),
            "eth_getUserOperationByHash" => Ok(self.by_hash(world, hash()?, lag)),
            "eth_getUserOperationReceipt" => Ok(receipt(world, hash()?, lag)),
            _ => Err((
                -32601,
                format!("the method {method} does not exist/is not available"),
                None,
            )),
        }
    }

    /// Takes an operation into the pool.
    fn take(&self, world: &World, operation: UserOperation, lag: u64) -> Result<B256, Refusal> {
        let entry_point = world.prepared.stack.entry_point;
        let hash = operation.hash(entry_point, CHAIN_ID);
        let place = (operation.sender, operation.nonce);
        if let Some(other) = self.pool().waiting.get(&place) {
            if other.hash == hash {
                return Err((-32602, "already known".to_owned(), None));
            }
            let enough = |new: U256, old: U256| new >= old + old.div_ceil(U256::from(10));
            let other = &other.operation;
            if !enough(operation.max_fee_per_gas, other.max_fee_per_gas)
                || !enough(operation.max_priority_fee_per_gas, other.max_priority_fee_per_gas)
            {
                let words = "replacement op must increase maxFeePerGas and MaxPriorityFeePerGas by >= 10%";
                return Err((-32602, words.to_owned(), None));
            }
        }
        {
            let chain = world.main.chain();
            let at = CallOptions::at(chain.block_number().saturating_sub(lag));
            validate(&chain, entry_point, &operation, &at)?;
        }
        let base_fee = U256::from(world.main.chain().next_base_fee());
        if operation.max_fee_per_gas < base_fee {
            let words = format!(
                "precheck failed: maxFeePerGas is {} but must be at least {base_fee}",
                operation.max_fee_per_gas
            );
            return Err((-32000, words, None));
        }
        let signed = SignedOperation { operation, hash };
        self.pool().waiting.insert(place, signed);
        Ok(hash)
    }

    fn by_hash(&self, world: &World, hash: B256, lag: u64) -> Value {
        let pool = self.pool();
        if let Some(waiting) = pool.waiting.values().find(|waiting| waiting.hash == hash) {
            return json!({
                "userOperation": waiting.operation,
                "entryPoint": world.prepared.stack.entry_point,
                "transactionHash": null,
                "blockNumber": null,
            });
        }
        drop(pool);
        match stands(world, hash, lag) {
            Some((block, transaction)) => json!({
                "entryPoint": world.prepared.stack.entry_point,
                "transactionHash": transaction,
                "blockNumber": format!("{block:#x}"),
            }),
            None => Value::Null,
        }
    }

    /// Puts operations into transactions until the history is over.
    pub(crate) async fn work(world: Arc<World>, index: u8) {
        let Some(plan) = world.plan.bundlers.get(usize::from(index)).copied() else {
            return;
        };
        loop {
            sleep(Duration::from_millis(plan.interval)).await;
            if world.is_over() {
                return;
            }
            if world.now() < world.state().away_until[usize::from(index)] {
                continue;
            }
            let Some((hash, encoded, carried)) = world.bundlers[usize::from(index)].bundle(&world, plan.most)
            else {
                continue;
            };
            let (_, fault) = world.fate(Actor::Bundler(index), Actor::Node(0), Step::Bundle);
            let pause = match fault {
                Some(Fault::Lost { .. }) => continue,
                Some(Fault::Late { millis } | Fault::Twice { millis }) => u64::from(millis),
                _ => 0,
            };
            world.say(format!("bundler {index} sends {} with {carried}", short(hash)));
            world.state().transactions.insert(hash, encoded.clone());
            let world = world.clone();
            tokio::spawn(async move {
                if pause > 0 {
                    sleep(Duration::from_millis(pause)).await;
                }
                let submitted = world.main.chain().submit_raw(&encoded);
                if let Err(error) = submitted {
                    world.say(format!("transaction {} is refused: {error}", short(hash)));
                }
            });
        }
    }

    /// The next transaction, signed, and what it carries.
    fn bundle(&self, world: &World, most: u64) -> Option<(B256, Bytes, String)> {
        let entry_point = world.prepared.stack.entry_point;
        let signer = bundler_signer(self.index);
        let chain = world.main.chain();
        let mut pool = self.pool();
        let pool = &mut *pool;
        // What is included goes, and comes back if it is undone.
        let executed = world.state().executed.keys().copied().collect::<BTreeSet<_>>();
        let done: Vec<(Address, U256)> = pool
            .waiting
            .iter()
            .filter(|(_, waiting)| executed.contains(&waiting.hash))
            .map(|(place, _)| *place)
            .collect();
        for place in done {
            if let Some(waiting) = pool.waiting.remove(&place) {
                pool.included.insert(waiting.hash, waiting);
            }
        }
        let undone: Vec<B256> = pool
            .included
            .keys()
            .filter(|hash| !executed.contains(*hash))
            .copied()
            .collect();
        for hash in undone {
            if let Some(waiting) = pool.included.remove(&hash) {
                let place = (waiting.operation.sender, waiting.operation.nonce);
                pool.waiting.entry(place).or_insert(waiting);
            }
        }
        let in_node_pool: BTreeSet<B256> = chain
            .pool()
            .iter()
            .map(|pooled| *pooled.transaction.inner.tx_hash())
            .collect();
        let mut senders = BTreeSet::new();
        let mut chosen: Vec<SignedOperation> = Vec::new();
        let mut refused = Vec::new();
        for (place, waiting) in &pool.waiting {
            if chosen.len() as u64 >= most {
                break;
            }
            let is_carried = pool
                .carried
                .get(&waiting.hash)
                .is_some_and(|transaction| in_node_pool.contains(transaction));
            if is_carried || !senders.insert(place.0) {
                continue;
            }
            match validate(&chain, entry_point, &waiting.operation, &CallOptions::default()) {
                Ok(()) => chosen.push(waiting.clone()),
                Err(_) => refused.push(*place),
            }
        }
        for place in refused {
            pool.waiting.remove(&place);
        }
        if chosen.is_empty() {
            return None;
        }
        let gas: U256 = chosen
            .iter()
            // The EntryPoint wants to have the limit for validation left when validation is over.
            .filter_map(|signed| {
                signed
                    .operation
                    .max_gas()?
                    .checked_add(signed.operation.verification_gas_limit)
            })
            .fold(U256::from(300_000), U256::saturating_add);
        let call = IEntryPoint::handleOpsCall {
            ops: chosen
                .iter()
                .map(|signed| signed.operation.clone().into())
                .collect(),
            beneficiary: signer.address(),
        };
        let mut transaction = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: chain.pending_nonce(signer.address()),
            gas_limit: gas.saturating_to::<u64>().min(20_000_000),
            max_fee_per_gas: u128::from(chain.next_base_fee()) * 2 + 1_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(entry_point),
            value: U256::ZERO,
            access_list: Default::default(),
            input: call.abi_encode().into(),
        };
        let signature = signer
            .sign_transaction_sync(&mut transaction)
            .expect("a key in memory signs");
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        let hash = *signed.tx_hash();
        let names: Vec<String> = chosen.iter().map(|signed| short(signed.hash)).collect();
        for operation in &chosen {
            pool.carried.insert(operation.hash, hash);
        }
        Some((hash, signed.encoded_2718().into(), names.join(" ")))
    }
}

/// What the EntryPoint says of an operation's validation.
fn validate(
    chain: &Chain,
    entry_point: Address,
    operation: &UserOperation,
    at: &CallOptions,
) -> Result<(), Refusal> {
    let call = IEntryPoint::simulateValidationCall {
        userOp: operation.clone().into(),
    };
    let output = reverted(chain, entry_point, call.abi_encode(), at);
    if let Ok(result) = IEntryPoint::ValidationResult::abi_decode(&output) {
        let info = result.returnInfo;
        let now = chain.timestamp();
        if info.sigFailed {
            return Err((-32507, "AA24 signature error".to_owned(), None));
        }
        if info.validUntil.to::<u64>() != 0 && info.validUntil.to::<u64>() <= now {
            return Err((
                -32503,
                "User Operation expires shortly, has AA22 expired or not due".to_owned(),
                None,
            ));
        }
        return Ok(());
    }
    match IEntryPoint::FailedOp::abi_decode(&output) {
        Ok(failed) => Err((-32500, failed.reason, None)),
        Err(_) => Err((-32500, "execution reverted".to_owned(), None)),
    }
}

/// The revert data of a call that always reverts.
fn reverted(chain: &Chain, to: Address, input: Vec<u8>, at: &CallOptions) -> Bytes {
    let request = TransactionRequest {
        to: Some(TxKind::Call(to)),
        input: Bytes::from(input).into(),
        gas: Some(25_000_000),
        ..Default::default()
    };
    match chain.call_with(&request, at) {
        Err(ChainError::Reverted { output }) => output,
        _ => Bytes::new(),
    }
}

fn estimate(world: &World, operation: &UserOperation, lag: u64) -> Result<Value, Refusal> {
    let entry_point = world.prepared.stack.entry_point;
    let chain = world.main.chain();
    let at = CallOptions::at(BlockId::number(chain.block_number().saturating_sub(lag)));
    let mut simulated = operation.clone();
    simulated.max_fee_per_gas = U256::ONE;
    simulated.max_priority_fee_per_gas = U256::ONE;
    simulated.verification_gas_limit = U256::from(3_000_000);
    simulated.call_gas_limit = U256::from(2_000_000);
    let call = IEntryPoint::simulateHandleOpCall {
        op: simulated.clone().into(),
        target: Address::ZERO,
        targetCallData: Bytes::new(),
    };
    let output = reverted(&chain, entry_point, call.abi_encode(), &at);
    let Ok(result) = IEntryPoint::ExecutionResult::abi_decode(&output) else {
        return match IEntryPoint::FailedOp::abi_decode(&output) {
            Ok(failed) => Err((-32500, failed.reason, None)),
            Err(_) => Err((-32500, "simulation failed".to_owned(), None)),
        };
    };
    let pre_verification = simulated.pre_verification_gas;
    let verification = result.preOpGas.saturating_sub(pre_verification);
    let mut call_gas = U256::from(150_000);
    if operation.init_code.is_empty() {
        let request = TransactionRequest {
            from: Some(entry_point),
            to: Some(TxKind::Call(operation.sender)),
            input: operation.call_data.clone().into(),
            ..Default::default()
        };
        if let Err(ChainError::Reverted { output }) = chain.call_with(&request, &at) {
            return Err((
                -32521,
                "execution reverted".to_owned(),
                Some(json!({ "revertData": output })),
            ));
        }
        // What execution took, all told, and something on top.
        let executed = result.paid.saturating_sub(result.preOpGas);
        call_gas = executed.saturating_mul(U256::from(2)) + U256::from(60_000);
    }
    let least = U256::from(55_000 + 16 * operation.call_data.len());
    Ok(json!({
        "preVerificationGas": least,
        "verificationGasLimit": verification + verification / U256::from(4) + U256::from(20_000),
        "callGasLimit": call_gas,
    }))
}

/// Where an operation stands, as far as one knows who is behind.
fn stands(world: &World, hash: B256, lag: u64) -> Option<(u64, B256)> {
    let head = world.main.chain().block_number().saturating_sub(lag);
    let state = world.state();
    let (block, transaction, _) = state.executed.get(&hash)?;
    (*block <= head).then_some((*block, *transaction))
}

fn receipt(world: &World, hash: B256, lag: u64) -> Value {
    let Some((block, transaction)) = stands(world, hash, lag) else {
        return Value::Null;
    };
    json!({
        "userOpHash": hash,
        "success": true,
        "receipt": { "transactionHash": transaction, "blockNumber": format!("{block:#x}") },
    })
}
