//! A key's state within a block: replays everything that touched it earlier in the block in the model.

use super::{
    carried::{Carried, carried},
    load_for_calls, load_rule_set,
};
use crate::{
    abi::{Account, AccountV08, EntryPoint},
    account::{ReadError, SmartAccount},
    inspect::{KeyEventKind, key_event, key_events},
    node::{Node, OperationFilter, TransactionReceipt},
    request::{RequestError, patiently},
};
use alloy::{
    primitives::{Address, B256},
    rpc::types::Log,
    sol_types::SolEvent,
};
use session_key_permissions::{
    Call, UserOperation,
    model::{KeyState, RuleSet, Violation, decode_execute_with_session_key},
};
use std::collections::BTreeSet;

/// The maximum number of an account's transactions in one block that are read.
const MAX_TRANSACTIONS: usize = 64;

/// A transaction to replay.
struct Run {
    receipt: TransactionReceipt,
    carried: Carried,
}

/// A key's replay through a block.
pub(super) struct Replay<'a> {
    account: &'a SmartAccount,
    hash: B256,
    time: u64,
    state: KeyState,
    /// Whether something touched the key and cannot be replayed.
    pub(super) is_unclear: bool,
    /// The rules that the operation breaks in validation.
    pub(super) in_validation: Vec<Violation>,
    /// The rules that the operation breaks in execution.
    pub(super) in_execution: Vec<Violation>,
    /// Whether the key was just added, and its initial updates come next.
    is_new: bool,
}

/// Replays everything that touched the key in the operation's block, up to the operation: the key's
/// operations, and changes by anyone, in the order of the logs. The node must have the state before the
/// block.
pub(super) async fn replay<'a>(
    account: &'a SmartAccount,
    node: &Node,
    (operation, hash): (&UserOperation, B256),
    session_key: Address,
    (receipt, mut own): (TransactionReceipt, Carried),
    time: u64,
) -> Result<Replay<'a>, ReadError> {
    let is_there = own
        .bundles
        .iter()
        .flatten()
        .any(|other| hash_of(account, other) == hash);
    if !is_there {
        // A contract that sends bundles hides them: assume that the operation is alone.
        own.bundles = vec![vec![operation.clone()]];
    }
    let (earlier, is_unclear) = earlier(account, node, &receipt, &own).await;
    let calls: Vec<Call> = earlier
        .iter()
        .flat_map(|run| &run.carried.bundles)
        .chain(&own.bundles)
        .flatten()
        .filter_map(|operation| calls_of(account, session_key, operation))
        .flatten()
        .collect();
    let before = account.clone().at(receipt.block_number.saturating_sub(1));
    let mut state = load_for_calls(&before, session_key, &calls).await?;
    if !state.registered {
        state.rule_set = load_rule_set(&account.clone().at(receipt.block_number)).await?;
    }
    let mut replay = Replay {
        account,
        hash,
        time,
        state,
        is_unclear,
        in_validation: Vec::new(),
        in_execution: Vec::new(),
        is_new: false,
    };
    for run in &earlier {
        replay.run(&run.receipt, &run.carried.bundles);
    }
    if receipt.success == Some(false) {
        // A transaction that failed as a whole has no logs.
        let bundle = own
            .bundles
            .iter()
            .find(|bundle| bundle.iter().any(|other| hash_of(account, other) == hash));
        replay.validate(bundle.map_or(&[], Vec::as_slice));
    } else {
        replay.run(&receipt, &own.bundles);
    }
    Ok(replay)
}

fn hash_of(account: &SmartAccount, operation: &UserOperation) -> B256 {
    operation.hash(account.deployment().entry_point, account.chain_id())
}

/// Returns an operation's calls, if it is the key's.
fn calls_of(account: &SmartAccount, session_key: Address, operation: &UserOperation) -> Option<Vec<Call>> {
    let (calls, named) = decode_execute_with_session_key(&operation.call_data).ok()?;
    (operation.sender == account.address() && named == session_key).then_some(calls)
}

/// Returns the earlier transactions of the block that touched the account's keys, in order, and whether some
/// cannot be read. Empty if the node has no logs.
async fn earlier(
    account: &SmartAccount,
    node: &Node,
    receipt: &TransactionReceipt,
    own: &Carried,
) -> (Vec<Run>, bool) {
    let block = receipt.block_number;
    let deployment = account.deployment();
    let filter = OperationFilter::of(account.address());
    let (operations, changes) = tokio::join!(
        node.operations(deployment.entry_point, &filter, block, block),
        key_events(node, deployment.session_key_plugin, account.address(), block),
    );
    let (Ok(operations), Ok(changes)) = (operations, changes) else {
        return (Vec::new(), false);
    };
    let hashes: BTreeSet<B256> = operations
        .iter()
        .map(|operation| operation.transaction_hash)
        .chain(changes.iter().map(|event| event.transaction_hash))
        .filter(|hash| *hash != receipt.transaction_hash)
        .collect();
    let mut is_unclear = hashes.len() > MAX_TRANSACTIONS;
    let mut runs = Vec::new();
    for hash in hashes.into_iter().take(MAX_TRANSACTIONS) {
        let read = async {
            let receipt = patiently(|| node.receipt(hash)).await?;
            let carried = carried(node, deployment.entry_point, hash).await?;
            Ok::<_, RequestError>(receipt.zip(carried))
        };
        match read.await {
            Ok(Some((receipt, carried))) => match (carried.index, own.index) {
                (Some(index), Some(own)) if index > own => {}
                (Some(index), Some(_)) => runs.push((index, Run { receipt, carried })),
                _ => is_unclear = true,
            },
            Ok(None) | Err(_) => is_unclear = true,
        }
    }
    runs.sort_by_key(|(index, _)| *index);
    (runs.into_iter().map(|(_, run)| run).collect(), is_unclear)
}

impl Replay<'_> {
    /// Returns the plugin's rules, as far as known.
    pub(super) const fn rule_set(&self) -> RuleSet {
        self.state.rule_set
    }

    /// Replays a successful transaction by its logs; up to the operation, if it contains that.
    fn run(&mut self, receipt: &TransactionReceipt, bundles: &[Vec<UserOperation>]) {
        let (entry_point, plugin) = (
            self.account.deployment().entry_point,
            self.account.deployment().session_key_plugin,
        );
        let account = self.account.address();
        let mut waiting = bundles.iter();
        let mut is_over = false;
        for log in &receipt.logs {
            let first = log.topic0().copied();
            if log.address() == entry_point && first == Some(EntryPoint::BeforeExecution::SIGNATURE_HASH) {
                // The whole bundle is validated before this event, and nothing of it is executed yet.
                match waiting.next() {
                    Some(bundle) => self.validate(bundle),
                    None => self.is_unclear = true,
                }
            } else if log.address() == entry_point {
                let event = EntryPoint::UserOperationEvent::decode_log_validate(&log.inner);
                if let Some(event) = event.ok().filter(|event| event.sender == account) {
                    is_over |= self.executed(event.userOpHash, event.success, bundles);
                }
            } else if log.address() == plugin && log.topics().get(1) == Some(&account.into_word()) {
                self.changed(log);
            } else if log.address() == account
                && (first == Some(Account::PluginUninstalled::SIGNATURE_HASH)
                    || first == Some(AccountV08::ExecutionUninstalled::SIGNATURE_HASH))
                && log.topics().get(1) == Some(&plugin.into_word())
            {
                self.ended();
            }
            if is_over {
                return;
            }
        }
        // A bundle in the call data without events was reverted.
        self.is_unclear |= waiting.next().is_some();
    }

    /// Validates the key's operations of a bundle.
    fn validate(&mut self, bundle: &[UserOperation]) {
        for operation in bundle {
            if calls_of(self.account, self.state.session_key, operation).is_none() {
                continue;
            }
            let hash = hash_of(self.account, operation);
            let broken = self.state.execute_validation(operation, Some(hash), self.time);
            if hash == self.hash {
                self.in_validation = broken;
            }
        }
    }

    /// Handles an executed operation. Returns whether it is the explained one.
    fn executed(&mut self, hash: B256, success: bool, bundles: &[Vec<UserOperation>]) -> bool {
        let found = bundles
            .iter()
            .flatten()
            .find(|operation| hash_of(self.account, operation) == hash);
        let Some(operation) = found else {
            // It may have been the key's.
            self.is_unclear = true;
            return false;
        };
        let calls = calls_of(self.account, self.state.session_key, operation);
        if hash == self.hash {
            self.in_execution = self.state.execute_calls(&calls.unwrap_or_default(), self.time);
            return true;
        }
        // A failed execution books nothing.
        if let Some(calls) = calls.filter(|_| success) {
            let broken = self.state.execute_calls(&calls, self.time);
            // It passed on chain: the modelled state is wrong.
            self.is_unclear |= broken.iter().any(|violation| !violation.is_beyond_abi());
        }
        false
    }

    fn ended(&mut self) {
        self.restart(KeyState::unregistered(self.state.account, self.state.session_key));
    }

    /// Keeps what is known about plugin and targets.
    fn restart(&mut self, state: KeyState) {
        let before = std::mem::replace(&mut self.state, state);
        self.state.rule_set = before.rule_set;
        self.state.modules = before.modules;
        self.is_new = false;
    }

    /// Handles a plugin's event about a change of the account's keys.
    fn changed(&mut self, log: &Log) {
        let key = self.state.session_key;
        let Some(event) = key_event(log) else { return };
        match event.kind {
            KeyEventKind::Added { session_key, .. } if session_key == key => {
                self.restart(KeyState::fresh(self.state.account, key));
                self.is_new = true;
            }
            KeyEventKind::Removed { session_key } if session_key == key => self.ended(),
            KeyEventKind::Rotated { old, .. } if old == key => self.ended(),
            // It has the other key's state.
            KeyEventKind::Rotated { new, .. } if new == key => self.is_unclear = true,
            KeyEventKind::Updated { session_key, updates } if session_key == key => {
                // A new key's initial updates follow its addition.
                let is_new = std::mem::take(&mut self.is_new);
                let is_applied = updates.is_ok_and(|updates| {
                    let applied = if is_new {
                        self.state.apply_at_addition(&updates, self.time)
                    } else {
                        self.state.apply(&updates, self.time)
                    };
                    applied.is_ok()
                });
                self.is_unclear |= !is_applied;
            }
            _ => {}
        }
    }
}
