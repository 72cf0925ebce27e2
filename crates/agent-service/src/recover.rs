//! Recovery: what the chain knows, and a restored store does not.

use crate::{
    log::{DecisionLog, Entry, LogError},
    service::hash_of,
};
use serde_json::{Value, json};
use session_key_agent::client::{
    Call, Node, RequestError, SessionKeyClient,
    account::ReadError,
    alloy::primitives::B256,
    explain::{ExplainOptions, explain_hash},
    node::{OperationEvent, OperationFilter},
    operation::{Machine, Surroundings as _},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// Recovery failed. What it had written by then is right, and it can be begun again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The node could not be asked.
    #[error("the node could not be asked: {0}")]
    Request(#[from] RequestError),
    /// An operation could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A bundle that the log has as accepted, and not as decided.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Undecided {
    client: String,
    id: String,
    calls: B256,
    /// How many they are.
    count: usize,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last block that was read.
    pub to_block: u64,
    /// The key's operations in these blocks.
    pub operations: usize,
    /// The bundles that were accepted, not decided, and included: the log now says so.
    pub settled: usize,
    /// Operations of the key that belong to no undecided bundle, or to one of several that are equal: by
    /// whatever else uses the key, or of a log that was lost.
    pub unknown: Vec<B256>,
    /// The bundles that stay undecided: nothing of them was found.
    pub undecided: usize,
}

/// What the log says.
#[derive(Debug, Default)]
struct Said {
    operations: BTreeSet<B256>,
    undecided: BTreeMap<(String, B256), Undecided>,
}

impl Said {
    fn take(&mut self, entry: &Entry) {
        let data = &entry.data;
        let hash = |member: &str| data.get(member)?.as_str()?.parse::<B256>().ok();
        self.operations.extend(hash("userOpHash"));
        let (Some(client), Some(id)) = (entry.client.clone(), hash("idHash")) else {
            return;
        };
        match (entry.event.as_str(), hash("callsHash")) {
            ("accepted", Some(calls)) => {
                let shown = data
                    .get("id")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let undecided = Undecided {
                    client: client.clone(),
                    id: shown,
                    calls,
                    count: data.get("calls").and_then(Value::as_array).map_or(0, Vec::len),
                };
                self.undecided.insert((client, id), undecided);
            }
            ("decided" | "withdrawn", _) => {
                self.undecided.remove(&(client, id));
            }
            _ => {}
        }
    }

    /// Returns the hashes of the undecided bundles' calls that an operation's calls consist of: of one
    /// bundle, or of several that shared it. `None`: it has other calls.
    fn parts(&self, calls: &[Call]) -> Option<Vec<B256>> {
        let known: BTreeSet<(usize, B256)> = self
            .undecided
            .values()
            .map(|undecided| (undecided.count, undecided.calls))
            .collect();
        let mut parts = Vec::new();
        let mut rest = calls;
        while !rest.is_empty() {
            let (count, part) = known.iter().rev().find_map(|(count, hash)| {
                let part = rest.get(..*count).filter(|part| !part.is_empty())?;
                (hash_of(part) == *hash).then_some((*count, *hash))
            })?;
            parts.push(part);
            rest = rest.get(count..)?;
        }
        Some(parts)
    }
}

/// Reads the key's operations from a block on, and adds to the log which accepted bundles they carried out.
/// For a store that was restored from an older backup: it does not know what was signed since, and would call
/// those bundles not carried out. No service may run on the log meanwhile.
///
/// # Errors
///
/// [`RecoverError`].
pub async fn recover(
    client: &SessionKeyClient,
    log: impl Into<PathBuf>,
    from_block: u64,
) -> Result<Recovered, RecoverError> {
    let mut said = Said::default();
    let (log, _) = DecisionLog::open(log, |_, entry| said.take(entry))?;
    let account = client.account();
    let node = Node::new(account.provider().clone());
    let head = node.head().await?;
    let filter = OperationFilter::of(account.address());
    let entry_point = account.deployment().entry_point;
    let events = node
        .operations(entry_point, &filter, from_block, head.number)
        .await?;
    let mut recovered = Recovered {
        to_block: head.number,
        ..Recovered::default()
    };
    // By the hash of the calls; those that took effect first.
    let mut found: BTreeMap<B256, Vec<OperationEvent>> = BTreeMap::new();
    for event in events {
        let options = ExplainOptions::new().from_block(event.block_number);
        let explained = explain_hash(account, event.user_op_hash, &options).await?;
        let mut explained = explained.unwrap_or_default().into_iter();
        let Some(explained) = explained.find(|explained| explained.user_op_hash == event.user_op_hash) else {
            continue;
        };
        if explained.session_key != Some(client.session_key()) {
            continue;
        }
        recovered.operations += 1;
        if said.operations.contains(&event.user_op_hash) {
            continue;
        }
        match said.parts(&explained.calls) {
            Some(parts) => {
                for part in parts {
                    found.entry(part).or_default().push(event.clone());
                }
            }
            None => recovered.unknown.push(event.user_op_hash),
        }
    }
    for (calls, mut events) in found {
        events.sort_by_key(|event| !event.success);
        let equal = said
            .undecided
            .iter()
            .filter(|(_, undecided)| undecided.calls == calls);
        let equal: Vec<(String, B256)> = equal.map(|(key, _)| key.clone()).collect();
        // Which of several equal ones it was is not on the chain.
        if events.len() < equal.len() {
            recovered
                .unknown
                .extend(events.iter().map(|event| event.user_op_hash));
            continue;
        }
        for (key, event) in equal.into_iter().zip(events) {
            let Some(undecided) = said.undecided.remove(&key) else {
                continue;
            };
            let data = json!({
                "id": undecided.id,
                "idHash": key.1,
                "outcome": if event.success { "included" } else { "reverted" },
                "userOpHash": event.user_op_hash,
                "transactionHash": event.transaction_hash,
                "block": event.block_number,
                "recovered": true,
            });
            log.add(Machine.unix_millis(), Some(&undecided.client), "decided", data)
                .await?;
            recovered.settled += 1;
        }
    }
    recovered.undecided = said.undecided.len();
    let data = json!({
        "fromBlock": from_block,
        "toBlock": recovered.to_block,
        "settled": recovered.settled,
        "unknown": recovered.unknown.len(),
        "undecided": recovered.undecided,
    });
    log.add(Machine.unix_millis(), None, "recovered", data).await?;
    Ok(recovered)
}
