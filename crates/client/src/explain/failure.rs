//! Why an operation failed, after the fact.

use super::load_for_calls;
use crate::{
    abi::EntryPoint,
    account::{ReadError, SmartAccount},
    node::{Node, TransactionReceipt},
    revert::{FailedOp, Revert},
    submit::Receipt,
};
use alloy::{
    consensus::Transaction as _,
    eips::BlockId,
    network::TransactionResponse,
    primitives::{Address, B256},
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use session_key_permissions::{
    Call, SignedOperation, UserOperation,
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
    /// The plugin refused to execute it, with this. The key's state before the block does not explain it: something earlier in the
    /// block has changed the state, such as an owner's operation in the same bundle.
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
                    "{revert}; the key's state before the block does not explain it"
                )
            }
            Self::Unknown => f.write_str("the transaction failed as a whole; it cannot be seen why"),
        }
    }
}

/// Finds out why an operation failed, from the transaction that carried it: the key's operations of that bundle are run again in
/// the model, on the key's state as it was before the block. The node must still have that state.
///
/// What else changed the key's state earlier in the block is not run again: owners' operations, and other transactions. Where the
/// plugin refused for that, the answer is [`Failure::ChangedInBlock`], with the plugin's error.
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
    let (receipt, transaction) = tokio::try_join!(
        async { node.receipt(transaction_hash).await.map_err(ReadError::from) },
        async {
            let transaction = provider.get_transaction_by_hash(transaction_hash).await;
            transaction.map_err(ReadError::from)
        },
    )?;
    let (Some(receipt), Some(transaction)) = (receipt, transaction) else {
        return Ok(None);
    };
    let entry_point = account.deployment().entry_point;
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
    let before = block.saturating_sub(1);

    // A contract that sends bundles hides them. Then the operation is taken for alone.
    let bundle = match EntryPoint::handleOpsCall::abi_decode(transaction.input()) {
        Ok(bundle) => bundle.ops.into_iter().map(UserOperation::from).collect(),
        Err(_) => vec![signed.operation.clone()],
    };
    let Ok((_, session_key)) = decode_execute_with_session_key(&signed.operation.call_data) else {
        // Included, it has passed validation: it is an owner's.
        if let Some(reason) = reason {
            return Ok(Some(Failure::Call(reason)));
        }
        let mut unregistered = KeyState::unregistered(account.address(), Address::ZERO);
        let violations = unregistered.execute_validation(&signed.operation, None, time);
        return Ok(Some(Failure::Rules(violations)));
    };
    let bundle = Bundle::of_key(account, bundle, session_key);
    let calls: Vec<Call> = bundle.calls().cloned().collect();
    let mut state = load_for_calls(&account.clone().at(before), session_key, &calls).await?;

    let violations = bundle.validate(&mut state, signed.hash, time);
    let Some(reason) = reason else {
        if !violations.is_empty() {
            return Ok(Some(Failure::Rules(violations)));
        }
        let request: TransactionRequest = TransactionRequest::default()
            .from(transaction.from())
            .to(entry_point)
            .input(transaction.input().clone().into());
        return simulate_again(account, request, before).await.map(Some);
    };
    // Included, it has passed validation. If it would not have before the block, the key's state is not that any more.
    let is_changed = violations
        .iter()
        .any(|violation| state.rule_set == RuleSet::Strict || !violation.is_beyond_abi());
    let violations = if is_changed {
        Vec::new()
    } else {
        bundle.execute(&mut state, &receipt, entry_point, signed.hash, time)
    };
    Ok(Some(match reason {
        Revert::Plugin(_) if violations.is_empty() => Failure::ChangedInBlock(reason),
        // Other plugins panic where they cannot reckon with the end of an interval.
        Revert::Plugin(_) | Revert::Panic(_) if !violations.is_empty() => Failure::Rules(violations),
        // What the state before the block would not have allowed, something in the block has: the plugin let it pass.
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

/// The operations of one key in a bundle, in order.
struct Bundle(Vec<(UserOperation, B256, Vec<Call>)>);

impl Bundle {
    fn of_key(account: &SmartAccount, bundle: Vec<UserOperation>, session_key: Address) -> Self {
        let (entry_point, chain_id) = (account.deployment().entry_point, account.chain_id());
        let of_key = bundle.into_iter().filter_map(|operation| {
            let (calls, named) = decode_execute_with_session_key(&operation.call_data).ok()?;
            let hash = operation.hash(entry_point, chain_id);
            (operation.sender == account.address() && named == session_key)
                .then_some((operation, hash, calls))
        });
        Self(of_key.collect())
    }

    fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter().flat_map(|(_, _, calls)| calls)
    }

    /// Validation of all of them. Returns what the operation breaks.
    fn validate(&self, state: &mut KeyState, hash: B256, time: u64) -> Vec<Violation> {
        let mut broken = Vec::new();
        for (operation, its_hash, _) in &self.0 {
            let violations = state.execute_validation(operation, Some(*its_hash), time);
            if *its_hash == hash {
                broken = violations;
            }
        }
        broken
    }

    /// Execution up to the operation. Returns what it breaks.
    fn execute(
        &self,
        state: &mut KeyState,
        receipt: &TransactionReceipt,
        entry_point: Address,
        hash: B256,
        time: u64,
    ) -> Vec<Violation> {
        for (_, its_hash, calls) in &self.0 {
            if *its_hash == hash {
                return state.execute_calls(calls, time);
            }
            let found = Receipt::find(receipt, entry_point, *its_hash, state.account);
            // What failed has booked nothing.
            if found.is_some_and(|(_, success, _)| success) {
                state.execute_calls(calls, time);
            }
        }
        Vec::new()
    }
}
