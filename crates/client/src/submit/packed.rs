//! Simulation for EntryPoint v0.7 and later, which have no functions for it. On any node:
//!
//! - Refusals are what `handleOps` says. The operation's signature is a dummy, so one that is fine otherwise ends in "AA24".
//! - Gas for validation is what the node estimates for the EntryPoint's call of `validateUserOp`, and what the EntryPoint does
//!   around it. An account that is yet to be created cannot be called: there, it is the least limit with which `handleOps` gets
//!   as far as the signature.
//! - Gas for the call is what the node estimates for it. Of an account that is yet to be created, it is measured by a few
//!   instructions that stand in the EntryPoint's place for one `eth_call` (a state override), create the account and call it.

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
    permissions::{AaCode, UserOperation},
    request::RequestError,
    revert::Revert,
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256},
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

/// Gas for the call of an account that its factory creates first.
pub(super) async fn first_call_gas(
    node: &Node,
    entry_point: Address,
    operation: &UserOperation,
) -> Result<U256, EstimateError> {
    let Some((factory, creation)) = operation.init_code.split_first_chunk::<20>() else {
        return Err(node_failed(RequestError::NotMade {
            message: format!("initCode of {} bytes names no factory", operation.init_code.len()),
        }));
    };
    let call = call_of(entry_point, operation);
    let data = call.input.input().cloned().unwrap_or_default();
    let code = first_call_code(Address::from(factory), creation, operation.sender, &data);
    let request = TransactionRequest::default()
        .with_to(entry_point)
        .with_input(START.to_vec())
        .with_gas_limit(2 * SIMULATED_CALL_GAS);
    let overrides = json!({ entry_point.to_string(): { "code": code } });
    let answer: Bytes = node
        .request("eth_call", (request, block(BlockId::latest()), overrides))
        .await
        .map_err(node_failed)?;
    let unreadable = || node_failed(RequestError::unreadable("eth_call", format!("{answer}")));
    let (head, said) = answer.split_first_chunk::<96>().ok_or_else(unreadable)?;
    let word = |index: usize| U256::from_be_slice(&head[32 * index..32 * (index + 1)]);
    // The refusal of the creation is found in validation, too, which says more of it.
    if word(0).is_zero() || word(1).is_zero() {
        return Err(EstimateError::WouldRevert(Revert::decode(said)));
    }
    Ok(word(2))
}

/// The call data that the instructions start on. The account may call the EntryPoint in between: that shall do nothing.
const START: [u8; 1] = [0x01];

/// Code that makes two calls, and answers whether each succeeded, how much gas the second took (three words), and what the last
/// one said.
///
/// ```text
/// if calldatasize != 1 stop
/// codecopy(0, creation), call(gas, factory, 0, 0, creation.length, 0, 0)          success is kept on the stack
/// codecopy(0, call), gas, call(gas, account, 0, 0, call.length, 0, 0), gas        success and used gas are kept on the stack
/// mstore(0, first), mstore(32, second), mstore(64, used), returndatacopy(96, 0, returndatasize), return
/// ```
///
/// Where the first fails, the second is made all the same: its answer does not count.
fn first_call_code(factory: Address, creation: &[u8], account: Address, call: &[u8]) -> Bytes {
    /// Bytes of the instructions.
    const CODE: usize = 9 + 44 + 45 + 3 + 9 + 11;
    let length = |data: &[u8]| (data.len() as u32).to_be_bytes();
    let offset = |data: usize| ((CODE + data) as u32).to_be_bytes();
    let mut code = Vec::with_capacity(CODE + creation.len() + call.len());
    // calldatasize, push1 1, eq, push1 start, jumpi, stop, start: jumpdest
    code.extend([0x36, 0x60, 0x01, 0x14, 0x60, 0x08, 0x57, 0x00, 0x5b]);
    let calls = [
        (factory, length(creation), offset(0)),
        (account, length(call), offset(creation.len())),
    ];
    for (index, (target, length, offset)) in calls.into_iter().enumerate() {
        // push4 length, push4 offset, push0, codecopy
        code.push(0x63);
        code.extend(length);
        code.push(0x63);
        code.extend(offset);
        code.extend([0x5f, 0x39]);
        if index == 1 {
            // gas
            code.push(0x5a);
        }
        // push0, push0, push4 length, push0, push0, push20 target, gas, call
        code.extend([0x5f, 0x5f, 0x63]);
        code.extend(length);
        code.extend([0x5f, 0x5f, 0x73]);
        code.extend(target.as_slice());
        code.extend([0x5a, 0xf1]);
    }
    // Stack: first, gas before, second. gas, dup3, sub (before - after): first, before, second, used.
    code.extend([0x5a, 0x82, 0x03]);
    // push1 64, mstore; push1 32, mstore; pop; push0, mstore
    code.extend([0x60, 0x40, 0x52, 0x60, 0x20, 0x52, 0x50, 0x5f, 0x52]);
    // returndatasize, push0, push1 96, returndatacopy; returndatasize, push1 96, add, push0, return
    code.extend([0x3d, 0x5f, 0x60, 0x60, 0x3e, 0x3d, 0x60, 0x60, 0x01, 0x5f, 0xf3]);
    // Offsets were reckoned for a code of this length.
    debug_assert_eq!(code.len(), CODE);
    code.extend(creation);
    code.extend(call);
    code.into()
}
