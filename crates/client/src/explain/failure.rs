//! Explains why an operation failed, afterwards.

use super::{carried::carried, replay::replay};
use crate::{
    account::{ReadError, SmartAccount},
    node::Node,
    request::patiently,
    revert::{FailedOp, Revert},
    submit::Receipt,
};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use session_key_permissions::{
    SignedOperation,
    model::{KeyState, RuleSet, Violation, decode_execute_with_session_key},
};
use std::fmt;

/// Why a session key's operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It breaks these rules of the key, or of the EntryPoint: those of validation or, if it was included, of
    /// execution. Never empty.
    Rules(Vec<Violation>),
    /// The plugin accepted it, and one of its calls failed with this revert. For an operation without a
    /// session key: its revert.
    Call(Revert),
    /// The EntryPoint refused its bundle for reasons unrelated to the key: the nonce, the deposit, another
    /// operation of the bundle, a paymaster.
    EntryPoint(FailedOp),
    /// The plugin refused to execute it, with this revert. The key's state changed within the block, and the
    /// change cannot be seen: for example, a contract's bundle on a node without traces.
    ChangedInBlock(Revert),
    /// The transaction failed as a whole, and the reason can no longer be determined.
    Unknown,
}

impl Failure {
    /// Returns a stable code of the kind of failure. A rule's code is the violation's own
    /// ([`Violation::code`]).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rules(_) => "rules",
            Self::Call(_) => "call_failed",
            Self::EntryPoint(_) => "entry_point",
            Self::ChangedInBlock(_) => "changed_in_block",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(violations) => {
                for (index, violation) in violations.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{violation}")?;
                }
                Ok(())
            }
            Self::Call(revert) => write!(f, "a call failed: {revert}"),
            Self::EntryPoint(failed) => failed.fmt(f),
            Self::ChangedInBlock(revert) => {
                write!(
                    f,
                    "{revert}; the key's state changed within the block, so the rule cannot be determined"
                )
            }
            Self::Unknown => {
                f.write_str("the transaction failed as a whole; the reason cannot be determined")
            }
        }
    }
}

/// Determines why an operation failed, from the transaction that carried it. Everything that touched the key
/// earlier in the block is replayed in the model, from the key's state before the block: the key's
/// operations, of this bundle and earlier ones, and changes of its permissions, by operations or otherwise.
/// The node must still have that state.
///
/// Bundles sent by a contract are visible if the node supports traces (`debug_traceTransaction`). If
/// something that touched the key cannot be replayed, and the plugin refused the operation, the answer is
/// [`Failure::ChangedInBlock`], with the plugin's error.
///
/// `None`: it did not fail, or there is no such transaction.
#[tracing::instrument(level = "debug", skip_all, fields(operation = %signed.hash, %transaction_hash))]
pub async fn explain_failure(
    account: &SmartAccount,
    signed: &SignedOperation,
    transaction_hash: B256,
) -> Result<Option<Failure>, ReadError> {
    let provider = account.provider();
    let node = Node::new(provider.clone());
    let entry_point = account.deployment().entry_point;
    let (receipt, transaction) = tokio::try_join!(
        patiently(|| node.receipt(transaction_hash)),
        carried(&node, entry_point, transaction_hash),
    )?;
    let (Some(receipt), Some(transaction)) = (receipt, transaction) else {
        return Ok(None);
    };
    let reason = match Receipt::find(&receipt, entry_point, signed.hash, signed.operation.sender) {
        Some((_, false, reason)) => reason,
        None if receipt.success == Some(false) => None,
        _ => return Ok(None),
    };
    let block = receipt.block_number;
    let Some(header) = provider.get_block_by_number(block.into()).await? else {
        return Ok(None);
    };
    let time = header.header.timestamp;

    let Ok((_, session_key)) = decode_execute_with_session_key(&signed.operation.call_data) else {
        // It was included, so it passed validation: it is an owner's.
        if let Some(reason) = reason {
            return Ok(Some(Failure::Call(reason)));
        }
        let mut unregistered = KeyState::unregistered(account.address(), Address::ZERO);
        let violations = unregistered.execute_validation(&signed.operation, None, time);
        return Ok(Some(Failure::Rules(violations)));
    };
    let request = TransactionRequest::default()
        .from(transaction.from.unwrap_or_default())
        .to(entry_point)
        .input(transaction.input.clone().into());
    let operation = (&signed.operation, signed.hash);
    let replayed = replay(
        account,
        &node,
        operation,
        session_key,
        (receipt, transaction),
        time,
    )
    .await?;
    let Some(reason) = reason else {
        if !replayed.in_validation.is_empty() && !replayed.is_unclear {
            return Ok(Some(Failure::Rules(replayed.in_validation)));
        }
        let before = block.saturating_sub(1);
        return simulate_again(account, request, before).await.map(Some);
    };
    // It was included, so it passed validation. If the model disagrees, the key's state was different.
    let is_other = replayed
        .in_validation
        .iter()
        .any(|violation| replayed.rule_set() == RuleSet::Strict || !violation.is_beyond_abi());
    let violations = if replayed.is_unclear || is_other {
        Vec::new()
    } else {
        replayed.in_execution
    };
    Ok(Some(match reason {
        Revert::Plugin(_) if violations.is_empty() => Failure::ChangedInBlock(reason),
        // Other plugins panic if they cannot compute the end of an interval.
        Revert::Plugin(_) | Revert::Panic(_) if !violations.is_empty() => Failure::Rules(violations),
        // The plugin accepted what the model would have refused.
        _ => Failure::Call(reason),
    }))
}

/// Simulates the bundle on the state before the block.
async fn simulate_again(
    account: &SmartAccount,
    bundle: TransactionRequest,
    before: u64,
) -> Result<Failure, ReadError> {
    let answer = account
        .provider()
        .call(bundle)
        .block(BlockId::number(before))
        .await;
    Ok(match answer {
        Ok(_) => Failure::Unknown,
        Err(error) => match Revert::from_rpc_error(&error) {
            Some(Revert::FailedOp(failed)) => Failure::EntryPoint(failed),
            Some(_) => Failure::Unknown,
            None => return Err(error.into()),
        },
    })
}
