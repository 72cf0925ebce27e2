//! Why an operation of such a key failed.

use super::{AccountKeys, ReadKey, ReadOptions};
use crate::{
    account::{ReadError, SmartAccount},
    explain::{Became, Explanation, Failure},
    node::Node,
    permissions::{
        UserOperation, ValidationNonceKey,
        account_modules::{AccountKey, EXECUTE_USER_OP, Hook, KeyVerdict, Module, Refusal, Refuser},
    },
    request::RequestError,
    revert::{AccountV08Error, Revert},
};
use alloy::{eips::BlockId, primitives::Bytes, sol_types::SolCall};
use session_key_bindings::IAccountV08;
use session_key_permissions::Call;

/// Why an operation of such a key failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyFailure {
    /// The key before the operation's block, or now if the operation is pending.
    pub key: ReadKey,
    /// The hook that refused according to the chain. `None` also for a transaction that failed as a whole,
    /// which keeps no reason.
    pub hook: Option<Hook>,
    /// The verdict on the operation in that state.
    pub verdict: KeyVerdict,
    /// Whether the chain's reason differs from the verdict: the state does not include uses earlier in the
    /// same block.
    pub has_changed: bool,
}

impl KeyFailure {
    /// Returns the refusal that explains the failure: the verdict's refusal by the hook that the chain names.
    /// `None` if no rule of the key explains it, for example because a call failed.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.hook {
            Some(hook) => {
                let is_its = |refusal: &&Refusal| is_by(refusal, &hook);
                self.verdict.refusals().iter().find(is_its)
            }
            None => self.verdict.decisive(),
        }
    }
}

fn is_by(refusal: &Refusal, hook: &Hook) -> bool {
    matches!(&refusal.refuser, Refuser::Hook(by) if by.module.address == hook.module.address
        && by.entity_id == hook.entity_id && by.is_validation() == hook.is_validation())
}

/// Explains by the rules of its key why an operation failed, or whether a pending one will pass. `None` if it
/// succeeded, its contents are unknown, or it belongs to another kind of key.
///
/// Reads the key before the operation's block, so the node must have that state. Uses earlier in the same
/// block are not considered; if the chain's reason differs for that reason, [`KeyFailure::has_changed`] is
/// set.
pub async fn explain_key_failure(
    account: &SmartAccount,
    explanation: &Explanation,
    options: &ReadOptions,
) -> Result<Option<KeyFailure>, ReadError> {
    let Some(operation) = &explanation.operation else {
        return Ok(None);
    };
    let has_failed = !matches!(explanation.outcome, Became::Succeeded);
    // Keys of the session key module name themselves in their call data.
    if !has_failed || explanation.session_key.is_some() || !operation.version.is_packed() {
        return Ok(None);
    }
    let node = Node::new(account.provider().clone());
    let (before, now) = match explanation.block {
        Some(block) => {
            let header = async |block: u64| {
                let header = node.header(BlockId::number(block)).await?;
                header.ok_or_else(|| RequestError::null("eth_getBlockByNumber"))
            };
            let (before, of) = (header(block.saturating_sub(1)).await?, header(block).await?);
            (before, of.timestamp)
        }
        None => {
            let head = node.head().await?;
            (head, head.timestamp)
        }
    };
    let selected = ValidationNonceKey::from_nonce_key(operation.nonce_key());
    let mut options = options
        .clone()
        .at(before)
        .session_key_module(account.deployment().session_key_plugin)
        .entity_ids([selected.entity_id])
        .calls(&calls_of(operation));
    if let Some(paymaster) = operation.paymaster() {
        options = options.paymaster(paymaster);
    }
    let found = AccountKeys::read(&node, operation.sender, &options).await?;
    let Some(read) = found.and_then(|found| found.of_entity(selected.entity_id).cloned()) else {
        return Ok(None);
    };
    let verdict = read.key.verdict(operation, Some(explanation.user_op_hash), now);
    let named = match &explanation.outcome {
        Became::Failed(Failure::Call(revert) | Failure::ChangedInBlock(revert)) => hook_of(&read.key, revert),
        Became::Failed(Failure::EntryPoint(failed)) => {
            failed.inner.as_ref().and_then(|inner| hook_of(&read.key, inner))
        }
        _ => None,
    };
    let is_included = explanation.event.is_some();
    let agrees = match named {
        Some((hook, ref data)) => verdict.refusals().iter().any(|refusal| {
            is_by(refusal, &hook)
                && refusal
                    .rule
                    .module_error()
                    .is_some_and(|error| data.starts_with(error))
        }),
        // Included, it has passed validation, and no hook stopped it.
        None if is_included => !matches!(verdict, KeyVerdict::Refused { .. }),
        None => true,
    };
    let has_changed = !agrees && !matches!(verdict, KeyVerdict::Unknown { .. });
    Ok(Some(KeyFailure {
        key: read,
        hook: named.map(|(hook, _)| hook),
        verdict,
        has_changed,
    }))
}

/// Returns the hook that refused according to the account's error, and the hook's revert data.
fn hook_of(key: &AccountKey, revert: &Revert) -> Option<(Hook, Bytes)> {
    let Revert::AccountV08(error) = revert else {
        return None;
    };
    let (entity, is_validation, reason) = match error {
        AccountV08Error::PreUserOpValidationHookReverted { hook, reason } => (hook, true, reason),
        AccountV08Error::PreExecHookReverted { hook, reason }
        | AccountV08Error::PostExecHookReverted { hook, reason } => (hook, false, reason),
        _ => return None,
    };
    let is_it = |hook: &&Hook| {
        hook.module.address == entity.module
            && hook.entity_id == entity.entity_id
            && hook.is_validation() == is_validation
    };
    let hook = key.hooks.iter().find(is_it).copied().unwrap_or(Hook {
        module: Module {
            address: entity.module,
            kind: None,
        },
        entity_id: entity.entity_id,
        flags: u8::from(is_validation),
    });
    Some((hook, reason.to_bytes()))
}

/// Returns the calls of an operation by `execute` or `executeBatch`, with or without `executeUserOp`. Empty
/// for other functions and undecodable call data.
#[must_use]
pub fn calls_of(operation: &UserOperation) -> Vec<Call> {
    let data = operation
        .call_data
        .strip_prefix(EXECUTE_USER_OP.as_slice())
        .unwrap_or(&operation.call_data);
    if let Ok(call) = IAccountV08::executeCall::abi_decode(data) {
        return vec![Call::new(call.target, call.data).with_value(call.value)];
    }
    IAccountV08::executeBatchCall::abi_decode(data).map_or_else(
        |_| Vec::new(),
        |batch| {
            let calls = batch.calls.into_iter();
            calls
                .map(|call| Call::new(call.target, call.data).with_value(call.value))
                .collect()
        },
    )
}
