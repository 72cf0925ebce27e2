//! The history of an account's session keys: the plugin's events, read backwards.

use crate::{
    abi::Plugin,
    node::{LogFilter, LogWave, LogsBackwards, MissingBlocks, Node},
    permissions::PermissionUpdates,
    request::{RequestError, patiently},
};
use alloy::{
    primitives::{Address, B256, Bytes},
    rpc::types::Log,
    sol_types::SolEvent,
};

const MALFORMED: &str = "malformed event of the plugin";

/// An event of a session key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEvent {
    /// The block's number.
    pub block: u64,
    /// Position among the block's logs.
    pub log_index: u64,
    /// The transaction.
    pub transaction_hash: B256,
    /// The event.
    pub kind: KeyEventKind,
}

/// The kind of a session key's event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEventKind {
    /// The key was added.
    Added {
        /// The key.
        session_key: Address,
        /// Its tag.
        tag: B256,
    },
    /// Its permissions were changed. `Err`: by bytes that this crate cannot decode.
    Updated {
        /// The key.
        session_key: Address,
        /// The updates.
        updates: Result<PermissionUpdates, UnknownUpdates>,
    },
    /// Its permissions and used amounts moved to another key.
    Rotated {
        /// The old key.
        old: Address,
        /// The new key.
        new: Address,
    },
    /// The key was removed.
    Removed {
        /// The key.
        session_key: Address,
    },
}

/// Updates that this crate cannot decode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownUpdates {
    /// The bytes in the event.
    pub updates: Vec<Bytes>,
    /// Why they cannot be decoded.
    pub reason: String,
}

/// Reads events of one account backwards from a block, as many at once as the node allows.
pub(super) struct Backwards<'a>(LogsBackwards<'a>);

/// A range of blocks that was read.
pub(super) struct Wave {
    /// The events, newest first.
    pub(super) events: Vec<KeyEvent>,
    /// The blocks' ranges that could not be read, newest first.
    pub(super) missing: Vec<MissingBlocks>,
    /// The first block of the range.
    pub(super) from: u64,
}

impl<'a> Backwards<'a> {
    pub(super) fn new(
        node: &'a Node,
        plugin: Address,
        account: Address,
        blocks: (u64, u64),
        most_requests: usize,
    ) -> Self {
        let filter = filter(plugin, account);
        Self(LogsBackwards::new(node, filter, blocks, most_requests))
    }

    /// Returns the newest block not read yet, going backwards. `None`: all are read.
    pub(super) const fn unread(&self) -> Option<u64> {
        self.0.unread()
    }

    /// Reads more blocks. `None`: all are read, or the request limit is reached.
    pub(super) async fn next(&mut self) -> Option<Wave> {
        let LogWave {
            logs,
            mut missing,
            from,
        } = self.0.next().await?;
        let mut events = Vec::new();
        for log in &logs {
            match key_event(log) {
                Some(event) => events.push(event),
                None => missing.push(MissingBlocks::of_malformed(log, MALFORMED)),
            }
        }
        events.sort_by_key(|event| std::cmp::Reverse((event.block, event.log_index)));
        missing.sort_by_key(|blocks: &MissingBlocks| std::cmp::Reverse(blocks.from));
        Some(Wave {
            events,
            missing,
            from,
        })
    }
}

/// Returns the filter for an account's key events.
fn filter(plugin: Address, account: Address) -> LogFilter {
    let events = vec![
        Plugin::SessionKeyAdded::SIGNATURE_HASH,
        Plugin::SessionKeyRemoved::SIGNATURE_HASH,
        Plugin::SessionKeyRotated::SIGNATURE_HASH,
        Plugin::PermissionsUpdated::SIGNATURE_HASH,
    ];
    LogFilter::new(plugin, vec![events, vec![account.into_word()]])
}

/// Returns the events of an account's keys in one block, in order.
pub(crate) async fn key_events(
    node: &Node,
    plugin: Address,
    account: Address,
    block: u64,
) -> Result<Vec<KeyEvent>, RequestError> {
    let filter = filter(plugin, account);
    let logs = patiently(|| node.logs(&filter, block, block)).await?;
    let events: Option<Vec<KeyEvent>> = logs.iter().map(key_event).collect();
    let mut events = events.ok_or_else(|| RequestError::unreadable("eth_getLogs", MALFORMED))?;
    events.sort_by_key(|event| event.log_index);
    Ok(events)
}

/// Decodes a log of the plugin. `None`: it is not about a key, or malformed.
pub(crate) fn key_event(log: &Log) -> Option<KeyEvent> {
    let (topics, data) = (log.topics(), &log.data().data);
    let kind = match *log.topic0()? {
        Plugin::SessionKeyAdded::SIGNATURE_HASH => {
            let event = Plugin::SessionKeyAdded::decode_raw_log_validate(topics.iter(), data).ok()?;
            KeyEventKind::Added {
                session_key: event.sessionKey,
                tag: event.tag,
            }
        }
        Plugin::SessionKeyRemoved::SIGNATURE_HASH => {
            let event = Plugin::SessionKeyRemoved::decode_raw_log_validate(topics.iter(), data).ok()?;
            KeyEventKind::Removed {
                session_key: event.sessionKey,
            }
        }
        Plugin::SessionKeyRotated::SIGNATURE_HASH => {
            let event = Plugin::SessionKeyRotated::decode_raw_log_validate(topics.iter(), data).ok()?;
            KeyEventKind::Rotated {
                old: event.oldSessionKey,
                new: event.newSessionKey,
            }
        }
        Plugin::PermissionsUpdated::SIGNATURE_HASH => {
            let event = Plugin::PermissionsUpdated::decode_raw_log_validate(topics.iter(), data).ok()?;
            let updates = PermissionUpdates::decode(&event.updates).map_err(|error| UnknownUpdates {
                reason: error.to_string(),
                updates: event.updates,
            });
            KeyEventKind::Updated {
                session_key: event.sessionKey,
                updates,
            }
        }
        _ => return None,
    };
    Some(KeyEvent {
        block: log.block_number?,
        log_index: log.log_index?,
        transaction_hash: log.transaction_hash?,
        kind,
    })
}
