//! Simulation for EntryPoint v0.7 and later, which have no functions for it. On any node:
//!
//! - Refusals are what `handleOps` says. The operation's signature is a dummy, so one that is fine otherwise ends in "AA24".
//! - Gas for validation is what the node estimates for the EntryPoint's call of `validateUserOp`, and what the EntryPoint does
//!   around it. An account that is yet to be created cannot be called: there, it is the least limit with which `handleOps` gets
//!   as far as the signature.
//! - Gas for the call is what the node estimates for it. Of an account that is yet to be created, or that an owner's deferred action
//!   comes first on, it is measured by a few instructions that stand in the EntryPoint's place for one `eth_call` (a state
//!   override), create the account, make the owner's call, and then the operation's. If that calls the EntryPoint, its own code
//!   runs, which stands elsewhere meanwhile.

use super::{
    EstimateError,
    simulate::{
        SIMULATED_CALL_GAS, SIMULATED_VERIFICATION_GAS, TRANSACTION_GAS, call_of, data_gas, estimated_gas,
        node_failed, refusal_of,
    },
};
use crate::{
    calldata,
    node::{Node, block},
    permissions::{AaCode, UserOperation, ValidationNonceKey},
    request::RequestError,
    revert::Revert,
    v08::DeferredAction,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256, address},
    rpc::types::TransactionRequest,
};
use futures_util::future::join_all;
use serde_json::json;

/// Gas for what the EntryPoint does around `validateUserOp` and counts against the limit: it copies the operation and hashes it,
/// writes a nonce for the first time in its lane (22,100 gas), and takes the prefund from the deposit.
const ENTRY_POINT_GAS: U256 = U256::from_limbs([40_000, 0, 0, 0]);

/// How exactly the gas for validation with the account's creation is found, in gas units.
const PRECISION: u64 = 2_000;

/// How many limits are tried at once.
const PROBES: u64 = 7;

/// Gas for validation, `preVerificationGas` left out.
pub(super) async fn verification_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    if !operation.init_code.is_empty() {
        require_taken(node, entry_point, operation).await?;
        return least_verification_gas(node, entry_point, operation).await;
    }
    // An account that pays for itself sends what is missing.
    let missing = U256::from(u8::from(operation.paymaster_and_data.is_empty()));
    let validate = calldata::validate_user_op(operation.clone(), B256::ZERO, missing);
    let spent = data_gas(&validate) + TRANSACTION_GAS;
    let request = TransactionRequest::default()
        .with_from(entry_point)
        .with_to(operation.sender)
        .with_input(validate);
    let (taken, gas) = tokio::join!(
        require_taken(node, entry_point, operation),
        estimated_gas(node, &request)
    );
    taken?;
    let gas = gas.map_err(|error| match error.revert() {
        Some(revert) => EstimateError::WouldRevert(revert),
        None => node_failed(error),
    })?;
    Ok(gas
        .saturating_sub(U256::from(spent))
        .saturating_add(ENTRY_POINT_GAS))
}

/// What `handleOps` says of an operation with a dummy signature.
enum Said {
    /// Nothing is wrong but, perhaps, the signature.
    Fine,
    /// Something else is.
    Wrong(Bytes),
}

async fn ask(node: &Node, entry_point: Address, operation: &UserOperation) -> Result<Said, RequestError> {
    let request = TransactionRequest::default()
        .with_to(entry_point)
        .with_input(calldata::handle_op(operation.clone(), Address::repeat_byte(0xff)));
    let Err(error) = node.call(&request, BlockId::latest()).await else {
        return Ok(Said::Fine);
    };
    // An EntryPoint never reverts without data here: then the node kept them back.
    let Some(revert) = error.revert().filter(|revert| !revert.to_bytes().is_empty()) else {
        return Err(error);
    };
    Ok(match revert.aa_code() {
        Some(AaCode::AccountSignature | AaCode::PaymasterSignature) => Said::Fine,
        _ => Said::Wrong(revert.to_bytes()),
    })
}

async fn require_taken(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<(), EstimateError> {
    match ask(node, entry_point, operation).await.map_err(node_failed)? {
        Said::Fine => Ok(()),
        Said::Wrong(data) => Err(refusal_of(node, entry_point, operation, &data).await),
    }
}

/// The least limit with which validation succeeds, as exactly as [`PRECISION`].
async fn least_verification_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    let (mut too_little, mut enough) = (0, SIMULATED_VERIFICATION_GAS);
    while enough - too_little > PRECISION {
        let step = (enough - too_little).div_ceil(PROBES + 1);
        let limits = (1..=PROBES).map(|index| too_little + index * step);
        let limits: Vec<u64> = limits.filter(|limit| *limit < enough).collect();
        let probes = limits.iter().map(async |limit| {
            let probe = UserOperation {
                verification_gas_limit: U256::from(*limit),
                ..operation.clone()
            };
            ask(node, entry_point, &probe).await
        });
        for (limit, said) in limits.iter().zip(join_all(probes).await) {
            match said.map_err(node_failed)? {
                Said::Wrong(_) => too_little = *limit,
                Said::Fine => {
                    enough = *limit;
                    break;
                }
            }
        }
    }
    Ok(U256::from(enough))
}

/// The owner's call that an operation carries, and that the account makes before the operation's own.
pub(super) fn deferred_call(operation: &UserOperation) -> Option<Bytes> {
    let has_one = operation.version.is_packed()
        && ValidationNonceKey::from_nonce_key(operation.nonce_key()).has_deferred_action;
    if has_one {
        DeferredAction::call_in(&operation.signature)
    } else {
        None
    }
}

/// Gas for the call of an account that its factory creates first, or that another call of the owner's comes before.
pub(super) async fn first_call_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
    deferred: Option<Bytes>,
) -> Result<U256, EstimateError> {
    let mut calls = Vec::new();
    if !operation.init_code.is_empty() {
        let Some((factory, creation)) = operation.init_code.split_first_chunk::<20>() else {
            return Err(node_failed(RequestError::NotMade {
                message: format!("initCode of {} bytes names no factory", operation.init_code.len()),
            }));
        };
        calls.push((Address::from(factory), Bytes::copy_from_slice(creation)));
    }
    calls.extend(deferred.map(|call| (operation.sender, call)));
    let call = call_of(entry_point, operation);
    calls.push((operation.sender, call.input.input().cloned().unwrap_or_default()));
    let code = node
        .code_at(entry_point, BlockId::latest())
        .await
        .map_err(node_failed)?;
    let request = TransactionRequest::default()
        .with_to(entry_point)
        .with_input(START.to_vec())
        .with_gas_limit(2 * SIMULATED_CALL_GAS);
    let overrides = json!({
        entry_point.to_string(): { "code": calls_code(&calls) },
        ENTRY_POINT_CODE.to_string(): { "code": code },
    });
    let answer: Bytes = node
        .request("eth_call", (request, block(BlockId::latest()), overrides))
        .await
        .map_err(node_failed)?;
    let unreadable = || node_failed(RequestError::unreadable("eth_call", format!("{answer}")));
    let (head, said) = answer.split_first_chunk::<96>().ok_or_else(unreadable)?;
    let word = |index: usize| U256::from_be_slice(&head[32 * index..32 * (index + 1)]);
    // What failed before is refused in validation, too, which says more of it.
    if word(0).is_zero() || word(1).is_zero() {
        return Err(EstimateError::WouldRevert(Revert::decode(said)));
    }
    Ok(word(2))
}

/// The call data that the instructions start on. Whoever calls the EntryPoint in between calls its own code.
const START: [u8; 1] = [0x01];

/// Where the EntryPoint's own code stands while the instructions take its place. Nothing is there on any chain: it is the end of
/// `keccak256("session-key: the code of the EntryPoint")`.
const ENTRY_POINT_CODE: Address = address!("0xBf5EBD370C12c5f160567E065CF5ba7Dd305cE51");

/// Code that makes calls, and answers whether all but the last succeeded, whether the last did, how much gas it took (three words),
/// and what it said.
///
/// ```text
/// if calldatasize != 1
///     calldatacopy(0, 0, calldatasize), delegatecall(gas, the EntryPoint's code, 0, calldatasize, 0, 0),
///     returndatacopy(0, 0, returndatasize), return or revert with it
/// push 1
/// for each but the last:  codecopy(0, data), call(gas, target, 0, 0, length, 0, 0), and
/// for the last:           codecopy(0, data), gas, call(gas, target, 0, 0, length, 0, 0), gas
/// mstore(0, others), mstore(32, last), mstore(64, used), returndatacopy(96, 0, returndatasize), return
/// ```
///
/// Where one fails, the others are made all the same: their answers do not count.
fn calls_code(calls: &[(Address, Bytes)]) -> Bytes {
    /// Bytes of a call's instructions.
    const CALL: usize = 44;
    /// Bytes of all others, for one call.
    const OTHERS: usize = 7 + 45 + 3 + 1 + 3 + 9 + 11;
    let last = calls.len().saturating_sub(1);
    let code_length = OTHERS + CALL * calls.len() + last;
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    // calldatasize, push1 1, eq, push1 start, jumpi
    let mut code = vec![0x36, 0x60, 0x01, 0x14, 0x60, 0x34, 0x57];
    // calldatasize, push0, push0, calldatacopy; push0, push0, calldatasize, push0, push20 code
    code.extend([0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x73]);
    code.extend(ENTRY_POINT_CODE.as_slice());
    // gas, delegatecall; returndatasize, push0, push0, returndatacopy; push1 good, jumpi
    code.extend([0x5a, 0xf4, 0x3d, 0x5f, 0x5f, 0x3e, 0x60, 0x30, 0x57]);
    // returndatasize, push0, revert; good: jumpdest, returndatasize, push0, return
    code.extend([0x3d, 0x5f, 0xfd, 0x5b, 0x3d, 0x5f, 0xf3]);
    // start: jumpdest, push1 1
    code.extend([0x5b, 0x60, 0x01]);
    let mut offset = code_length;
    for (index, (target, data)) in calls.iter().enumerate() {
        // push4 length, push4 offset, push0, codecopy
        code.push(0x63);
        code.extend(word(data.len()));
        code.push(0x63);
        code.extend(word(offset));
        code.extend([0x5f, 0x39]);
        if index == last {
            // gas
            code.push(0x5a);
        }
        // push0, push0, push4 length, push0, push0, push20 target, gas, call
        code.extend([0x5f, 0x5f, 0x63]);
        code.extend(word(data.len()));
        code.extend([0x5f, 0x5f, 0x73]);
        code.extend(target.as_slice());
        code.extend([0x5a, 0xf1]);
        if index != last {
            // and
            code.push(0x16);
        }
        offset += data.len();
    }
    // Stack: others, gas before, last. gas, dup3, sub (before - after): others, before, last, used.
    code.extend([0x5a, 0x82, 0x03]);
    // push1 64, mstore; push1 32, mstore; pop; push0, mstore
    code.extend([0x60, 0x40, 0x52, 0x60, 0x20, 0x52, 0x50, 0x5f, 0x52]);
    // returndatasize, push0, push1 96, returndatacopy; returndatasize, push1 96, add, push0, return
    code.extend([0x3d, 0x5f, 0x60, 0x60, 0x3e, 0x3d, 0x60, 0x60, 0x01, 0x5f, 0xf3]);
    // Offsets were reckoned for a code of this length.
    debug_assert_eq!(code.len(), code_length);
    for (_, data) in calls {
        code.extend(data);
    }
    code.into()
}
