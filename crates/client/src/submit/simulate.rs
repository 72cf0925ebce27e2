//! Determines gas limits and reverts by simulating an operation on a node.

use super::{EstimateError, Refusal, packed, refusal::NODE};
use crate::{
    abi::EntryPoint,
    calldata,
    node::Node,
    operation::Gas,
    permissions::{AaCode, UserOperation},
    request::{RequestError, clean},
    revert::{AccountV08Error, FailedOp, Revert},
    v08,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError},
};
use serde::{Deserialize, Deserializer};

/// Validation gas of a simulated operation: far above any real one's, and below nodes' call limits.
pub(super) const SIMULATED_VERIFICATION_GAS: u64 = 5_000_000;
/// Call gas of a simulated operation of an account that does not exist yet: together with twice the above,
/// below the 30 million gas units that nodes grant a call at least.
pub(super) const SIMULATED_CALL_GAS: u64 = 15_000_000;
/// A transaction's intrinsic gas (EIP-2028), included in the answer of `eth_estimateGas`.
pub(super) const TRANSACTION_GAS: u64 = 21_000;
/// Gas of a zero byte of a transaction's data (EIP-2028).
const ZERO_BYTE_GAS: u64 = 4;
/// Gas of a nonzero byte of a transaction's data (EIP-2028).
const BYTE_GAS: u64 = 16;

/// Estimates an operation's gas limits by simulation on any node, without a bundler.
///
/// The operation has a well-formed dummy signature, so that the account and its plugin run their whole check.
/// It is simulated at a fee of 1 wei, not 0, so that a key's gas limit is charged as on chain, including the
/// first use of storage. Refusals in validation and reverts in execution are errors, and so is a call that
/// fails with the node's own gas estimate.
#[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
pub async fn simulate_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<Gas, EstimateError> {
    let simulated = to_simulate(operation);
    let (validation, call) = tokio::join!(
        validation_gas(node, entry_point, &simulated),
        call_gas(node, entry_point, &simulated),
    );
    // Of two errors, the one that would occur first on chain.
    let (validation, call_gas_limit) = (validation?, with_room(call?));
    check_call_gas(node, entry_point, operation, call_gas_limit).await?;
    Ok(Gas {
        call_gas_limit,
        verification_gas_limit: with_room(validation),
        pre_verification_gas: simulated.pre_verification_gas,
    })
}

/// Estimates the gas limit of an operation's call by simulation on any node: `eth_estimateGas` of the
/// EntryPoint's call to the account, with a margin. The call must succeed with that much; otherwise the
/// node's estimate is useless.
#[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
pub async fn simulate_call_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    let limit = estimate_call_gas(node, entry_point, operation).await?;
    check_call_gas(node, entry_point, operation, limit).await?;
    Ok(limit)
}

/// Returns a node's estimate of the gas limit of an operation's call, with a margin. Whether it suffices is
/// not checked.
pub(crate) async fn estimate_call_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    Ok(with_room(
        call_gas(node, entry_point, &to_simulate(operation)).await?,
    ))
}

/// Sets gas limits and fees for simulation.
fn to_simulate(operation: &UserOperation) -> UserOperation {
    let call_gas_limit = if operation.init_code.is_empty() {
        0
    } else {
        SIMULATED_CALL_GAS
    };
    UserOperation {
        call_gas_limit: U256::from(call_gas_limit),
        verification_gas_limit: U256::from(SIMULATED_VERIFICATION_GAS),
        pre_verification_gas: minimum_pre_verification_gas(operation),
        max_fee_per_gas: U256::ONE,
        max_priority_fee_per_gas: U256::ONE,
        ..operation.clone()
    }
}

/// Converts an operation to EntryPoint v0.6's format, which has simulation functions.
fn unpacked(operation: &UserOperation) -> Result<session_key_bindings::UserOperation, EstimateError> {
    operation.clone().try_into().map_err(EstimateError::OtherForm)
}

/// Returns a gas limit for an amount used, with a margin: a sixty-fourth is held back at every call level,
/// and refunds hide gas needed in between.
pub(super) fn with_room(used: U256) -> U256 {
    used.saturating_add(used / U256::from(8))
        .saturating_add(U256::from(10_000))
}

pub(super) fn node_failed(error: RequestError) -> EstimateError {
    EstimateError::Request {
        by: NODE.to_owned(),
        error,
    }
}

/// Returns the gas used by the operation up to its execution, without `preVerificationGas`.
async fn validation_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    if operation.version.is_packed() {
        return packed::verification_gas(node, entry_point, operation).await;
    }
    let own = |used: U256| used.saturating_sub(operation.pre_verification_gas);
    let call = EntryPoint::simulateValidationCall {
        userOp: unpacked(operation)?,
    };
    let data = revert_of(node, entry_point, call.abi_encode()).await?;
    if let Ok(result) = EntryPoint::ValidationResult::abi_decode_validate(&data) {
        return Ok(own(result.returnInfo.preOpGas));
    }
    if let Ok(result) = EntryPoint::ValidationResultWithAggregation::abi_decode_validate(&data) {
        return Ok(own(result.returnInfo.preOpGas));
    }
    Err(refusal_of(node, entry_point, operation, &data).await)
}

/// A node's estimate, in any format.
#[derive(Debug)]
struct Estimated(U256);

impl<'de> Deserialize<'de> for Estimated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::request::lenient::number(deserializer).map(Self)
    }
}

/// Returns the node's estimate for a whole transaction.
pub(super) async fn estimated_gas(node: &Node, request: &TransactionRequest) -> Result<U256, RequestError> {
    let Estimated(gas) = node.request("eth_estimateGas", (request,)).await?;
    Ok(gas)
}

/// Returns the operation's call as the EntryPoint makes it: from v0.7 on, an operation can request to receive
/// itself.
pub(super) fn call_of(entry_point: Address, operation: &UserOperation) -> TransactionRequest {
    let call_data = &operation.call_data;
    let mut input = call_data.clone();
    if call_data.starts_with(v08::calldata::EXECUTE_USER_OP.as_slice())
        // Accounts also get the operation's hash, and ignore it. v0.6 has no such call.
        && let Ok(whole) = calldata::execute_user_op(operation.clone(), B256::ZERO)
    {
        input = whole;
    }
    TransactionRequest::default()
        .with_from(entry_point)
        .with_to(operation.sender)
        .with_input(input)
}

/// Returns the gas used by the operation's call.
async fn call_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    if operation.call_data.is_empty() {
        return Ok(U256::ZERO);
    }
    let deferred = packed::deferred_call(operation);
    if operation.init_code.is_empty() && deferred.is_none() {
        return match estimated_gas(node, &call_of(entry_point, operation)).await {
            Ok(gas) => Ok(gas.saturating_sub(U256::from(TRANSACTION_GAS))),
            Err(error) => Err(would_revert(error)),
        };
    }
    if operation.version.is_packed() {
        return packed::first_call_gas(node, entry_point, operation, deferred).await;
    }
    // The account exists only within the simulation, where a reverting call is indistinguishable from a
    // successful one. So it is also made as the extra call that the EntryPoint makes after the operation,
    // whose result it reports: from the EntryPoint to the new account, as in the operation.
    let used = execution_result(
        node,
        entry_point,
        operation,
        operation,
        Address::ZERO,
        Bytes::new(),
    );
    // Only an owner can act for an account under creation, and an empty batch does nothing.
    let creation = UserOperation {
        call_data: calldata::execute_batch(&[]),
        ..operation.clone()
    };
    let call_data = operation.call_data.clone();
    let tried = execution_result(
        node,
        entry_point,
        operation,
        &creation,
        operation.sender,
        call_data,
    );
    let (used, tried) = tokio::try_join!(used, tried)?;
    if !tried.targetSuccess {
        return Err(EstimateError::WouldRevert(Revert::decode(&tried.targetResult)));
    }
    // At 1 wei per gas unit, the amount paid equals the gas used.
    Ok(used.paid.saturating_sub(used.preOpGas))
}

/// Makes the operation's call with exactly its gas limit. If the account does not exist yet, or the operation
/// carries what it needs, the gas was measured, not estimated.
pub(crate) async fn check_call_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
    limit: U256,
) -> Result<(), EstimateError> {
    let is_measured = !operation.init_code.is_empty() || packed::deferred_call(operation).is_some();
    if operation.call_data.is_empty() || is_measured {
        return Ok(());
    }
    let gas = u64::try_from(limit)
        .unwrap_or(u64::MAX)
        .saturating_add(TRANSACTION_GAS)
        .saturating_add(data_gas(&operation.call_data))
        .max(least_transaction_gas(&operation.call_data));
    let call = call_of(entry_point, operation).with_gas_limit(gas);
    match node.call(&call, BlockId::latest()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(would_revert(error)),
    }
}

fn would_revert(error: RequestError) -> EstimateError {
    match error.revert() {
        Some(revert) => EstimateError::WouldRevert(revert),
        None => node_failed(error),
    }
}

async fn execution_result(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
    simulated: &UserOperation,
    target: Address,
    target_call_data: Bytes,
) -> Result<EntryPoint::ExecutionResult, EstimateError> {
    let call = EntryPoint::simulateHandleOpCall {
        op: unpacked(simulated)?,
        target,
        targetCallData: target_call_data,
    };
    let data = revert_of(node, entry_point, call.abi_encode()).await?;
    match EntryPoint::ExecutionResult::abi_decode_validate(&data) {
        Ok(result) => Ok(result),
        Err(_) => Err(refusal_of(node, entry_point, operation, &data).await),
    }
}

/// Returns the revert data of a call that must revert.
async fn revert_of(node: &Node, to: Address, data: Vec<u8>) -> Result<Bytes, EstimateError> {
    let request = TransactionRequest::default().with_to(to).with_input(data);
    match node.call(&request, BlockId::latest()).await {
        Ok(_) => Err(EstimateError::NotAnEntryPoint(to)),
        // An EntryPoint never reverts without data here: the node omitted it.
        Err(error) => error
            .revert()
            .map(|revert| revert.to_bytes())
            .filter(|data| !data.is_empty())
            .ok_or_else(|| node_failed(error)),
    }
}

pub(super) async fn refusal_of(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
    data: &[u8],
) -> EstimateError {
    EstimateError::Refused(match Revert::decode(data) {
        Revert::FailedOp(failed) => refusal(node, entry_point, operation, failed).await,
        revert => Refusal {
            code: None,
            reason: revert.to_string(),
            cause: Some(revert),
        },
    })
}

/// Expands the EntryPoint's generic answer with the account's own revert, if the account refused.
pub(super) async fn refusal(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
    failed: FailedOp,
) -> Refusal {
    let mut refusal = Refusal {
        code: failed.code,
        reason: clean(&failed.reason),
        cause: failed
            .inner
            .map(|inner| said_by_account(*inner))
            .filter(|inner| !inner.to_bytes().is_empty()),
    };
    explain(node, entry_point, operation, &mut refusal).await;
    refusal
}

/// Adds the account's own revert, if the account refused and it is not known yet.
pub(super) async fn explain(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
    refusal: &mut Refusal,
) {
    if refusal.code == Some(AaCode::AccountReverted) && refusal.cause.is_none() {
        // The cause is only informative: without it, the refusal still holds.
        refusal.cause = explain_validation(node, entry_point, operation)
            .await
            .unwrap_or(None);
    }
}

/// Calls the account's validation directly, as the EntryPoint would. The EntryPoint hides its revert behind
/// "AA23". `None`: it does not revert (validation may have run out of gas).
#[tracing::instrument(level = "debug", skip_all, fields(sender = %operation.sender))]
pub async fn explain_validation(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<Option<Revert>, RequestError> {
    // A wrong hash means a wrong signer, which is not reported by a revert.
    let validate = calldata::validate_user_op(operation.clone(), B256::ZERO, U256::ZERO);
    let request = TransactionRequest::default()
        .with_from(entry_point)
        .with_to(operation.sender)
        .with_input(validate);
    match node.call(&request, BlockId::latest()).await {
        Ok(_) => Ok(None),
        Err(error) => match error.revert() {
            Some(revert) => Ok(Some(said_by_account(revert))),
            None => Err(error),
        },
    }
}

/// Returns the revert of the validation's module, if a v0.8 account passes it on.
fn said_by_account(revert: Revert) -> Revert {
    match revert {
        Revert::AccountV08(AccountV08Error::UserOpValidationFunctionReverted { reason, .. }) => *reason,
        revert => revert,
    }
}

fn zeros_and_others(data: &[u8]) -> (u64, u64) {
    let zeros = data.iter().filter(|byte| **byte == 0).count();
    (zeros as u64, (data.len() - zeros) as u64)
}

/// Returns the gas of a transaction's data (EIP-2028).
pub(super) fn data_gas(data: &[u8]) -> u64 {
    let (zeros, others) = zeros_and_others(data);
    ZERO_BYTE_GAS * zeros + BYTE_GAS * others
}

/// Returns the minimum gas limit of a transaction with this data (EIP-7623): less is refused outright.
fn least_transaction_gas(data: &[u8]) -> u64 {
    const FLOOR_ZERO_BYTE_GAS: u64 = 10;
    const FLOOR_BYTE_GAS: u64 = 40;
    let (zeros, others) = zeros_and_others(data);
    TRANSACTION_GAS + FLOOR_ZERO_BYTE_GAS * zeros + FLOOR_BYTE_GAS * others
}

/// Returns the pre-verification gas that covers a transaction with only this operation, in gas units: the
/// transaction itself, the operation's bytes as call data (16 per nonzero byte, 4 per zero byte; EIP-2028),
/// and the EntryPoint's unmeasured work. A chain's separate data fee comes on top.
///
/// Bytes count at most at their data price (EIP-7623 raises the floor to 40 and 10), so a bundle of one makes
/// no loss.
pub fn minimum_pre_verification_gas(operation: &UserOperation) -> U256 {
    /// Per operation, in EntryPoint v0.6: loop, copying, events, compensation. As measured by its authors'
    /// bundler.
    const OPERATION_GAS: u64 = 18_300;
    /// The same in v0.7 and later, as bundlers assume.
    const PACKED_OPERATION_GAS: u64 = 19_500;
    /// Gas for copying a word of the operation.
    const WORD_GAS: u64 = 4;
    let filled = UserOperation {
        call_gas_limit: U256::from(u32::MAX),
        verification_gas_limit: U256::from(u32::MAX),
        pre_verification_gas: U256::from(u32::MAX),
        max_fee_per_gas: U256::from(u64::MAX),
        max_priority_fee_per_gas: U256::from(u64::MAX),
        ..operation.clone()
    };
    let data = calldata::handle_op(filled, Address::repeat_byte(0xff));
    let words = (data.len() as u64).div_ceil(32);
    let own = if operation.version.is_packed() {
        PACKED_OPERATION_GAS
    } else {
        OPERATION_GAS
    };
    U256::from(TRANSACTION_GAS + own + data_gas(&data) + WORD_GAS * words)
}

#[cfg(test)]
mod tests {
    use super::{
        super::wire::{RECIPIENT, Reply, Wire, World, provider},
        *,
    };
    use crate::permissions::Call;
    use serde_json::{Value, json};

    fn node(world: &World) -> (Wire, Node) {
        let wire = Wire::to_chain(&world.testkit);
        (wire.clone(), Node::new(provider(wire)))
    }

    #[tokio::test]
    async fn an_operation_with_the_estimate_is_included_and_succeeds() {
        let world = World::new();
        let (wire, node) = node(&world);
        let mut operation = world.payment(0).await.operation;
        let gas = simulate_gas(&node, world.stack.entry_point, &operation)
            .await
            .unwrap();
        let methods = wire.methods();
        // The last one tries the call with the estimate.
        assert_eq!(methods.len(), 3, "{methods:?}");
        assert_eq!(methods[2], "eth_call");
        let alone = simulate_call_gas(&node, world.stack.entry_point, &operation).await;
        assert_eq!(alone, Ok(gas.call_gas_limit));
        operation.call_gas_limit = gas.call_gas_limit;
        operation.verification_gas_limit = gas.verification_gas_limit;
        operation.pre_verification_gas = gas.pre_verification_gas;
        let signed = world.sign(operation).await;
        let bundler = session_key_testkit::dev_accounts()[2].signer();
        let from = bundler.address();
        let provider = world.testkit.provider_with_signer(bundler);
        let submitter = super::super::EntryPointSubmitter::new(provider, world.stack.entry_point, from);
        let sent = super::super::Submitter::send(&submitter, &signed).await;
        assert_eq!(sent, super::super::Sent::Taken);
        assert_eq!(world.paid(), U256::ONE);
    }

    #[tokio::test]
    async fn a_call_that_fails_with_the_nodes_estimate_is_an_error() {
        let world = World::new();
        let (wire, node) = node(&world);
        let operation = world.payment(0).await.operation;
        let estimate = |gas: Value| {
            wire.script(move |method, _| (method == "eth_estimateGas").then(|| Reply::Result(gas.clone())))
        };
        for gas in [
            json!("0x0"),
            json!("0x1"),
            json!("0x5209"),
            json!(21_001),
            json!("21001"),
        ] {
            estimate(gas.clone());
            for result in [
                simulate_call_gas(&node, world.stack.entry_point, &operation)
                    .await
                    .map(drop),
                simulate_gas(&node, world.stack.entry_point, &operation)
                    .await
                    .map(drop),
            ] {
                assert!(
                    matches!(result, Err(EstimateError::WouldRevert(_))),
                    "{gas}: {result:?}"
                );
            }
        }
        // In every format, at any size: the client's bounds limit it.
        for gas in [
            json!("0x100000"),
            json!(1_048_576),
            json!("1048576"),
            json!("0x000100000"),
        ] {
            estimate(gas);
            let limit = simulate_call_gas(&node, world.stack.entry_point, &operation)
                .await
                .unwrap();
            assert_eq!(limit, with_room(U256::from(0x10_0000 - TRANSACTION_GAS)));
        }
        estimate(json!(format!("{:#x}", U256::MAX)));
        let _ = simulate_call_gas(&node, world.stack.entry_point, &operation).await;
        estimate(json!("lots"));
        let failed = simulate_call_gas(&node, world.stack.entry_point, &operation)
            .await
            .unwrap_err();
        assert!(matches!(failed, EstimateError::Request { .. }), "{failed:?}");
    }

    #[tokio::test]
    async fn a_reverting_call_has_its_reason() {
        let world = World::new();
        let (_, node) = node(&world);
        // More than its balance.
        let operation = UserOperation {
            sender: world.account,
            call_data: calldata::execute(&Call::transfer(RECIPIENT, U256::MAX)),
            ..world.payment(0).await.operation
        };
        let failed = simulate_call_gas(&node, world.stack.entry_point, &operation).await;
        assert!(matches!(failed, Err(EstimateError::WouldRevert(_))), "{failed:?}");
    }

    #[tokio::test]
    async fn a_contract_that_is_not_an_entry_point_is_an_error() {
        let world = World::new();
        let (_, node) = node(&world);
        let operation = world.payment(0).await.operation;
        let failed = simulate_gas(&node, RECIPIENT, &operation).await;
        assert_eq!(failed, Err(EstimateError::NotAnEntryPoint(RECIPIENT)));
    }

    #[tokio::test]
    async fn refusals_have_codes_and_request_errors_are_kept() {
        let world = World::new();
        let (wire, node) = node(&world);
        let operation = UserOperation {
            nonce: U256::from(5),
            ..world.payment(0).await.operation
        };
        match simulate_gas(&node, world.stack.entry_point, &operation).await {
            Err(EstimateError::Refused(refusal)) => assert_eq!(refusal.code, Some(AaCode::InvalidNonce)),
            result => panic!("{result:?}"),
        }
        for reply in [
            Reply::NotReached,
            Reply::Error(-32603, "internal error", Value::Null),
        ] {
            wire.script(move |_, _| Some(reply.clone()));
            let failed = simulate_gas(&node, world.stack.entry_point, &operation)
                .await
                .unwrap_err();
            assert!(matches!(failed, EstimateError::Request { .. }), "{failed:?}");
            let failed = explain_validation(&node, world.stack.entry_point, &operation).await;
            assert!(failed.is_err());
        }
    }

    #[tokio::test]
    async fn an_operation_that_creates_its_account_is_measured() {
        let world = World::new();
        let (_, node) = node(&world);
        let owners = [world.owner.address()];
        let salt = U256::from(7);
        let (snapshot, account) = {
            let mut chain = world.testkit.chain();
            let snapshot = chain.snapshot();
            (
                snapshot,
                world.stack.create_account(&mut chain, salt, &owners).unwrap(),
            )
        };
        {
            let mut chain = world.testkit.chain();
            chain.revert(snapshot).unwrap();
            chain.set_balance(account, U256::from(1_000_000_000_000_000_000_u64));
        }
        let operation = UserOperation {
            sender: account,
            init_code: calldata::init_code(world.stack.account_factory, salt, &owners).unwrap(),
            ..world.payment(0).await.operation
        };
        let gas = simulate_gas(&node, world.stack.entry_point, &operation)
            .await
            .unwrap();
        assert!(gas.call_gas_limit > U256::from(10_000) && gas.call_gas_limit < U256::from(200_000));
        let alone = simulate_call_gas(&node, world.stack.entry_point, &operation).await;
        assert_eq!(alone, Ok(gas.call_gas_limit));
    }

    #[test]
    fn pre_verification_gas_grows_only_with_the_data() {
        let empty = UserOperation::default();
        let least = minimum_pre_verification_gas(&empty);
        assert!(least > U256::from(TRANSACTION_GAS + 18_300), "{least}");
        let full = UserOperation {
            call_gas_limit: U256::MAX,
            max_fee_per_gas: U256::MAX,
            ..empty.clone()
        };
        assert_eq!(minimum_pre_verification_gas(&full), least);
        let longer = UserOperation {
            call_data: Bytes::from(vec![1; 320]),
            ..empty
        };
        assert_eq!(
            minimum_pre_verification_gas(&longer) - least,
            U256::from(320 * 16 + 10 * 4 + 12)
        );
    }

    #[test]
    fn a_call_is_tried_with_at_least_its_intrinsic_gas() {
        let data = [1; 1_000];
        assert_eq!(data_gas(&data), 16_000);
        assert_eq!(least_transaction_gas(&data), 21_000 + 40_000);
        assert_eq!(data_gas(&[0, 1, 0]), 24);
    }
}
