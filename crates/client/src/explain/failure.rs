//! Why an operation failed, after the fact.

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

/// Why an operation of a session key failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It breaks these rules of the key, or of the EntryPoint: those of validation, or, if it was included, of execution. Never
    /// empty.
    Rules(Vec<Violation>),
    /// The plugin let it pass, and then one of its calls failed, with this. Of an operation that no session key makes: what it
    /// reverted with.
    Call(Revert),
    /// The EntryPoint did not take its bundle, for reasons that are not the key's: the nonce, the deposit, another operation of
    /// the bundle, a paymaster.
    EntryPoint(FailedOp),
    /// The plugin refused to execute it, with this. The key's state changed within the block, and what changed it cannot be seen:
    /// a contract's bundle on a node without traces, for one.
    ChangedInBlock(Revert),
    /// The transaction as a whole failed, for no reason that can be seen any more.
    Unknown,
}

impl Failure {
    /// A stable code of the kind of failure. That of a rule is the violation's own ([`Violation::code`]).
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
                    "{revert}; the key's state changed within the block, and it cannot be seen how"
                )
            }
            Self::Unknown => f.write_str("the transaction failed as a whole; it cannot be seen why"),
        }
    }
}

/// Finds out why an operation failed, from the transaction that carried it. Everything that touched the key earlier in the block is
/// run again in the model, on the key's state as it was before the block: the key's operations, of that bundle and of earlier ones,
/// and changes of its permissions, by operations or otherwise. The node must still have that state.
///
/// What a contract sends to the EntryPoint is seen where the node makes traces (`debug_traceTransaction`). Where something that
/// touched the key cannot be run again, and the plugin refused the operation, the answer is [`Failure::ChangedInBlock`], with the
/// plugin's error.
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
        // Included, it has passed validation: it is an owner's.
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
    // Included, it has passed validation. If the model says otherwise, the key's state was another one.
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
        // Other plugins panic where they cannot reckon with the end of an interval.
        Revert::Plugin(_) | Revert::Panic(_) if !violations.is_empty() => Failure::Rules(violations),
        // What the model would not have allowed, the plugin let pass.
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
