//! Rebuilds permissions from events, and confirms them with views.

use super::{InspectedKey, KeyEvent, KeyEventKind, MissingBlocks, history::Wave};
use crate::{
    abi::Plugin,
    permissions::{
        GasSpendLimitInfo, KeyState, Part, PermissionUpdates, SpendLimitInfo, TimeRange, model::RuleSet,
    },
    request::RequestError,
};
use alloy::{
    primitives::{Address, B256, Bytes},
    sol_types::SolCall,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

/// Why a key is incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Missing {
    /// The logs of these blocks could not be read: they may contain an update.
    Blocks(MissingBlocks),
    /// The key's addition is not in the blocks read: it has earlier permissions as well.
    Addition {
        /// The first block read.
        read_from: u64,
    },
    /// The events contradict each other: logs are missing.
    Contradiction {
        /// The block of the event.
        block: u64,
        /// The contradiction.
        reason: String,
    },
    /// An update that this crate cannot decode.
    UnknownUpdate {
        /// Its block.
        block: u64,
        /// The reason.
        reason: String,
    },
    /// The view differs from the events: logs are missing. The state follows the view.
    Differs {
        /// The part of the permissions.
        #[serde(flatten)]
        part: Part,
    },
    /// The view could not be read. The state follows the events.
    Unread {
        /// The part of the permissions.
        #[serde(flatten)]
        part: Part,
        /// The reason.
        reason: String,
    },
    /// One node has logs that the other lacks.
    NodesDiffer {
        /// The block of the first such log.
        block: u64,
    },
    /// The chain was reorganized repeatedly while it was read.
    Reorganized,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocks(MissingBlocks { from, to, reason }) => {
                write!(f, "the logs of blocks {from} to {to} could not be read: {reason}")
            }
            Self::Addition { read_from: 0 } => {
                f.write_str("logs are missing: the key's addition is in no block")
            }
            Self::Addition { read_from } => {
                write!(
                    f,
                    "the key was added before block {read_from}, the first that was read"
                )
            }
            Self::Contradiction { block, reason } => {
                write!(f, "logs are missing: in block {block}, {reason}")
            }
            Self::UnknownUpdate { block, reason } => {
                write!(f, "an update in block {block} cannot be decoded: {reason}")
            }
            Self::Differs { part } => {
                write!(
                    f,
                    "logs are missing: the plugin's view differs from them in {}",
                    PartName(part)
                )
            }
            Self::Unread { part, reason } => {
                write!(
                    f,
                    "the plugin's view of {} could not be read: {reason}",
                    PartName(part)
                )
            }
            Self::NodesDiffer { block } => {
                write!(f, "the two nodes have different logs of block {block}")
            }
            Self::Reorganized => f.write_str("the chain was reorganized while it was read"),
        }
    }
}

struct PartName<'a>(&'a Part);

impl fmt::Display for PartName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Part::AccessControlType => f.write_str("the access control type"),
            Part::Contract { contract } => write!(f, "contract {contract}"),
            Part::Function { contract, selector } => write!(f, "function {selector} of {contract}"),
            Part::TimeRange => f.write_str("the time range"),
            Part::NativeLimit => f.write_str("the native limit"),
            Part::TokenLimit { token } => write!(f, "the limit of token {token}"),
            Part::GasLimit => f.write_str("the gas limit"),
            Part::RequiredPaymaster => f.write_str("the required paymaster"),
            _ => f.write_str("something"),
        }
    }
}

/// A current key, tracked backwards.
struct Track {
    session_key: Address,
    tag: Option<B256>,
    added: Option<KeyEvent>,
    /// Newest first.
    updates: Vec<PermissionUpdates>,
    state: KeyState,
    missing: Vec<Missing>,
}

/// All current keys.
pub(super) struct Tracks {
    keys: Vec<Track>,
    /// The key that an address stood for, at the point read back to.
    names: HashMap<Address, usize>,
    events: Vec<KeyEvent>,
    missing_blocks: Vec<MissingBlocks>,
    read_from: u64,
}

/// A view to read.
pub(super) struct Question {
    key: usize,
    part: Part,
}

impl Tracks {
    pub(super) fn new(
        account: Address,
        rule_set: RuleSet,
        keys: &[Address],
        wanted: Option<&BTreeSet<Address>>,
    ) -> Self {
        let keys: Vec<Track> = keys
            .iter()
            .filter(|key| wanted.is_none_or(|wanted| wanted.contains(*key)))
            .map(|key| Track {
                session_key: *key,
                tag: None,
                added: None,
                updates: Vec::new(),
                state: {
                    let mut state = KeyState::fresh(account, *key);
                    state.rule_set = rule_set;
                    state
                },
                missing: Vec::new(),
            })
            .collect();
        let names = keys
            .iter()
            .enumerate()
            .map(|(index, key)| (key.session_key, index))
            .collect();
        Self {
            keys,
            names,
            events: Vec::new(),
            missing_blocks: Vec::new(),
            read_from: u64::MAX,
        }
    }

    /// Whether every key's addition was found.
    pub(super) fn is_resolved(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the first block read.
    pub(super) const fn read_from(&self) -> u64 {
        self.read_from
    }

    /// Adds events, newest first.
    pub(super) fn take(&mut self, wave: Wave) {
        self.read_from = wave.from;
        let mut missing = wave.missing.into_iter().peekable();
        for event in wave.events {
            while let Some(blocks) = missing.next_if(|blocks| blocks.to >= event.block) {
                self.miss(blocks);
            }
            self.follow(&event);
            self.events.push(event);
        }
        missing.for_each(|blocks| self.miss(blocks));
    }

    /// Marks blocks as not read.
    pub(super) fn take_unread(&mut self, from: u64, to: u64) {
        self.miss(MissingBlocks {
            from,
            to,
            reason: "too many requests would be needed".to_owned(),
        });
    }

    /// Unresolved keys may have been changed in blocks that were not read.
    fn miss(&mut self, blocks: MissingBlocks) {
        for index in self.names.values() {
            self.keys[*index].missing.push(Missing::Blocks(blocks.clone()));
        }
        self.missing_blocks.push(blocks);
    }

    fn follow(&mut self, event: &KeyEvent) {
        match &event.kind {
            KeyEventKind::Added { session_key, tag } => {
                if let Some(index) = self.names.remove(session_key) {
                    let key = &mut self.keys[index];
                    key.tag = Some(*tag);
                    key.added = Some(event.clone());
                }
            }
            KeyEventKind::Updated { session_key, updates } => {
                if let Some(index) = self.names.get(session_key) {
                    let key = &mut self.keys[*index];
                    match updates {
                        Ok(updates) => key.updates.push(updates.clone()),
                        Err(unknown) => key.missing.push(Missing::UnknownUpdate {
                            block: event.block,
                            reason: unknown.reason.clone(),
                        }),
                    }
                }
            }
            KeyEventKind::Rotated { old, new } => {
                if let Some(index) = self.names.remove(new)
                    && let Some(other) = self.names.insert(*old, index)
                {
                    let reason = format!("a rotated key exists afterwards ({old})");
                    self.contradict([index, other], event.block, &reason);
                }
            }
            KeyEventKind::Removed { session_key } => {
                if let Some(index) = self.names.get(session_key).copied() {
                    let reason = format!("a removed key exists afterwards ({session_key})");
                    self.contradict([index], event.block, &reason);
                }
            }
        }
    }

    fn contradict(&mut self, keys: impl IntoIterator<Item = usize>, block: u64, reason: &str) {
        for index in keys {
            self.keys[index].missing.push(Missing::Contradiction {
                block,
                reason: reason.to_owned(),
            });
        }
    }

    /// Marks blocks that the second node did not answer for.
    pub(super) fn miss_in_second(&mut self, missing: Vec<MissingBlocks>) {
        for blocks in missing {
            for key in &mut self.keys {
                key.missing.push(Missing::Blocks(blocks.clone()));
            }
        }
    }

    /// Compares with another node's events.
    pub(super) fn compare(&mut self, other: &[KeyEvent]) {
        let place = |event: &KeyEvent| (event.block, event.log_index, event.transaction_hash);
        let own: HashSet<_> = self.events.iter().map(place).collect();
        let others: HashSet<_> = other.iter().map(place).collect();
        let read_from = self.read_from;
        let block = own
            .symmetric_difference(&others)
            .map(|(block, _, _)| *block)
            .filter(|block| *block >= read_from)
            .max();
        if let Some(block) = block {
            for key in &mut self.keys {
                key.missing.push(Missing::NodesDiffer { block });
            }
        }
    }

    /// Rebuilds the state from the events, and returns the view of each entry.
    pub(super) fn questions(&mut self) -> (Vec<Bytes>, Vec<Question>) {
        let read_from = self.read_from;
        for index in self.names.values() {
            self.keys[*index].missing.push(Missing::Addition { read_from });
        }
        let mut calls = Vec::new();
        let mut questions = Vec::new();
        for (index, key) in self.keys.iter_mut().enumerate() {
            for updates in key.updates.drain(..).rev() {
                // The plugin accepted these updates, so the model does too. The views have the times.
                if let Err(error) = key.state.apply(&updates, 0) {
                    key.missing.push(Missing::UnknownUpdate {
                        block: read_from,
                        reason: error.to_string(),
                    });
                }
            }
            for part in parts(&key.state) {
                calls.push(view(&key.state, part));
                questions.push(Question { key: index, part });
            }
        }
        (calls, questions)
    }

    /// Applies the views. Where one differs from the events, the view is right.
    pub(super) fn answer(&mut self, questions: Vec<Question>, answers: Vec<Result<Bytes, RequestError>>) {
        for (Question { key, part }, answer) in questions.into_iter().zip(answers) {
            let key = &mut self.keys[key];
            let read = answer.map_err(|error| error.to_string()).and_then(|answer| {
                let unreadable = || "the answer is empty".to_owned();
                put(&mut key.state, part, &answer).ok_or_else(unreadable)
            });
            match read {
                Ok(true) => {}
                Ok(false) => key.missing.push(Missing::Differs { part }),
                Err(reason) => key.missing.push(Missing::Unread { part, reason }),
            }
        }
    }

    pub(super) fn finish(self) -> (Vec<InspectedKey>, Vec<KeyEvent>, Vec<MissingBlocks>) {
        let keys = self.keys.into_iter().map(|key| {
            let mut state = key.state;
            state.complete = key.missing.is_empty();
            InspectedKey {
                session_key: key.session_key,
                tag: key.tag,
                added: key.added,
                state,
                missing: key.missing,
            }
        });
        (keys.collect(), self.events, self.missing_blocks)
    }
}

/// Returns all parts that have a view.
fn parts(state: &KeyState) -> Vec<Part> {
    let mut parts = vec![
        Part::AccessControlType,
        Part::TimeRange,
        Part::NativeLimit,
        Part::GasLimit,
        Part::RequiredPaymaster,
    ];
    for (contract, entry) in &state.contracts {
        let contract = *contract;
        parts.push(Part::Contract { contract });
        parts.push(Part::TokenLimit { token: contract });
        parts.extend(entry.functions.keys().map(|selector| Part::Function {
            contract,
            selector: *selector,
        }));
    }
    parts
}

fn view(state: &KeyState, part: Part) -> Bytes {
    let (account, session_key) = (state.account, state.session_key);
    let call = match part {
        Part::TimeRange => Plugin::getKeyTimeRangeCall {
            account,
            sessionKey: session_key,
        }
        .abi_encode(),
        Part::NativeLimit => Plugin::getNativeTokenSpendLimitInfoCall {
            account,
            sessionKey: session_key,
        }
        .abi_encode(),
        Part::GasLimit => Plugin::getGasSpendLimitCall {
            account,
            sessionKey: session_key,
        }
        .abi_encode(),
        Part::RequiredPaymaster => Plugin::getRequiredPaymasterCall {
            account,
            sessionKey: session_key,
        }
        .abi_encode(),
        Part::Contract { contract } => Plugin::getAccessControlEntryCall {
            account,
            sessionKey: session_key,
            contractAddress: contract,
        }
        .abi_encode(),
        Part::TokenLimit { token } => Plugin::getERC20SpendLimitInfoCall {
            account,
            sessionKey: session_key,
            token,
        }
        .abi_encode(),
        Part::Function { contract, selector } => Plugin::isSelectorOnAccessControlListCall {
            account,
            sessionKey: session_key,
            contractAddress: contract,
            selector,
        }
        .abi_encode(),
        // The access control type, and parts without a view of their own.
        _ => Plugin::getAccessControlTypeCall {
            account,
            sessionKey: session_key,
        }
        .abi_encode(),
    };
    call.into()
}

/// Stores a view's answer in the state. Returns whether it equals the events' value; `None`: the answer is
/// invalid.
fn put(state: &mut KeyState, part: Part, answer: &Bytes) -> Option<bool> {
    fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
        let is_same = *old == new;
        *old = new;
        is_same
    }
    /// Used amounts, and the start of an interval, are not in events.
    fn replace_limit(old: &mut SpendLimitInfo, new: SpendLimitInfo) -> bool {
        let is_same = if new.has_limit {
            (old.has_limit, old.limit, old.refresh_interval) == (true, new.limit, new.refresh_interval)
        } else {
            !old.has_limit
        };
        *old = new;
        is_same
    }
    Some(match part {
        Part::AccessControlType => {
            let view = Plugin::getAccessControlTypeCall::abi_decode_returns_validate(answer).ok()?;
            replace(&mut state.access_control_type, u8::from(view).try_into().ok()?)
        }
        Part::TimeRange => {
            let view = Plugin::getKeyTimeRangeCall::abi_decode_returns_validate(answer).ok()?;
            let range = TimeRange {
                valid_after: view.validAfter.to(),
                valid_until: view.validUntil.to(),
            };
            replace(&mut state.time_range, range)
        }
        Part::NativeLimit => {
            let view = Plugin::getNativeTokenSpendLimitInfoCall::abi_decode_returns_validate(answer).ok()?;
            replace_limit(&mut state.native_limit, view.into())
        }
        Part::GasLimit => {
            let view = Plugin::getGasSpendLimitCall::abi_decode_returns_validate(answer).ok()?;
            let mut info = state.gas_limit.info;
            let is_same = replace_limit(&mut info, view.info.into());
            state.gas_limit = GasSpendLimitInfo {
                info,
                should_reset: view.shouldReset,
            };
            is_same
        }
        Part::RequiredPaymaster => {
            let view = Plugin::getRequiredPaymasterCall::abi_decode_returns_validate(answer).ok()?;
            replace(&mut state.required_paymaster, (!view.is_zero()).then_some(view))
        }
        Part::Contract { contract } => {
            let view = Plugin::getAccessControlEntryCall::abi_decode_returns_validate(answer).ok()?;
            let entry = state.contracts.get_mut(&contract)?;
            let is_same = replace(&mut entry.is_on_list, view.isOnList);
            replace(&mut entry.check_selectors, view.checkSelectors) && is_same
        }
        Part::TokenLimit { token } => {
            let view = Plugin::getERC20SpendLimitInfoCall::abi_decode_returns_validate(answer).ok()?;
            replace_limit(&mut state.contracts.get_mut(&token)?.token_limit, view.into())
        }
        Part::Function { contract, selector } => {
            let view = Plugin::isSelectorOnAccessControlListCall::abi_decode_returns_validate(answer).ok()?;
            let functions = &mut state.contracts.get_mut(&contract)?.functions;
            functions.insert(selector, view) == Some(view)
        }
        _ => return None,
    })
}
