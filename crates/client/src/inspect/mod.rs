//! Reads all permissions of an account's session keys, rebuilt from the plugin's events and checked against
//! its views.
//!
//! The plugin cannot list a key's access control list, or the tokens with limits, but its events contain
//! them: every key's permissions are rebuilt from the updates since it was added, through rotations, and each
//! entry is then compared with its view at the same block. Whatever cannot be read, or differs, is reported
//! entry by entry, and the key is not [complete](InspectedKey::is_complete).
//!
//! Adapts to nodes that limit blocks, logs, calls or requests. The logs are read backwards until every key's
//! addition is found. Logs that a node silently omits go unnoticed unless a view differs; use a [second
//! node](InspectOptions::compare_with) to detect them.
//!
//! ```no_run
//! use session_key_client::{SmartAccount, inspect::{InspectOptions, inspect}, permissions::words::Names};
//!
//! # async fn doc(account: SmartAccount) -> Result<(), Box<dyn std::error::Error>> {
//! let inspection = inspect(&account, &InspectOptions::new()).await?;
//! for key in inspection.keys() {
//!     println!("{}\n{}", key.session_key, key.state.describe(&Names::new()));
//!     for missing in &key.missing {
//!         println!("not complete: {missing}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod history;
mod rebuild;
mod views;

pub use crate::node::MissingBlocks;
pub use history::{KeyEvent, KeyEventKind, UnknownUpdates};
pub(crate) use history::{key_event, key_events};
pub use rebuild::Missing;

use crate::{
    account::{ReadError, SmartAccount},
    explain::load_rule_set,
    node::{Head, Node},
    permissions::{KeyState, model::RuleSet},
    request::RequestError,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    primitives::{Address, B256},
};
use history::Backwards;
use rebuild::Tracks;
use std::collections::BTreeSet;
use views::Views;

/// How to inspect an account. By default: at the latest block, all keys, from block 0, without history, with
/// at most 10,000 log requests.
#[derive(Clone, Debug)]
#[must_use]
pub struct InspectOptions {
    from_block: u64,
    block: BlockNumberOrTag,
    keys: Option<BTreeSet<Address>>,
    has_history: bool,
    most_log_requests: usize,
    second: Option<Node>,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self {
            from_block: 0,
            block: BlockNumberOrTag::Latest,
            keys: None,
            has_history: false,
            most_log_requests: 10_000,
            second: None,
        }
    }
}

impl InspectOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the first block that may have logs of the account's keys, such as that of the account's creation.
    /// A key added before it is not complete.
    pub const fn from_block(mut self, block: u64) -> Self {
        self.from_block = block;
        self
    }

    /// Sets the block to inspect. The node must have its state.
    pub const fn at(mut self, block: BlockNumberOrTag) -> Self {
        self.block = block;
        self
    }

    /// Inspects only these keys, reading the logs no further back than necessary. Unregistered ones are left
    /// out of the result.
    pub fn keys(mut self, keys: impl IntoIterator<Item = Address>) -> Self {
        self.keys = Some(keys.into_iter().collect());
        self
    }

    /// Reads all events, including those of removed keys.
    pub const fn with_history(mut self) -> Self {
        self.has_history = true;
        self
    }

    /// Sets the maximum number of log requests to the node.
    pub const fn most_log_requests(mut self, requests: usize) -> Self {
        self.most_log_requests = requests;
        self
    }

    /// Sets a second node, run by another operator, whose logs must be the same.
    pub fn compare_with(mut self, node: Node) -> Self {
        self.second = Some(node);
        self
    }
}

/// The result of an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The block that it applies to.
    pub block: Head,
    /// The rules of the account's plugin.
    pub rule_set: RuleSet,
    keys: Vec<InspectedKey>,
    events: Vec<KeyEvent>,
    missing_blocks: Vec<MissingBlocks>,
}

impl Inspection {
    /// Returns the keys, newest first.
    pub fn keys(&self) -> &[InspectedKey] {
        &self.keys
    }

    /// Returns a key.
    pub fn key(&self, session_key: Address) -> Option<&InspectedKey> {
        self.keys.iter().find(|key| key.session_key == session_key)
    }

    /// Returns the keys with a tag.
    pub fn with_tag(&self, tag: B256) -> impl Iterator<Item = &InspectedKey> {
        self.keys.iter().filter(move |key| key.tag == Some(tag))
    }

    /// Whether every key is complete.
    pub fn is_complete(&self) -> bool {
        self.keys.iter().all(InspectedKey::is_complete)
    }

    /// Returns the events, newest first: all with [`InspectOptions::with_history`], else as far back as was
    /// needed.
    pub fn events(&self) -> &[KeyEvent] {
        &self.events
    }

    /// Returns the blocks whose logs could not be read. If empty, [`events`](Self::events) has no gaps.
    pub fn missing_blocks(&self) -> &[MissingBlocks] {
        &self.missing_blocks
    }
}

/// A session key and all of its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedKey {
    /// The key.
    pub session_key: Address,
    /// Its tag. `None`: its addition was not found.
    pub tag: Option<B256>,
    /// The event of its addition, under this or another address.
    pub added: Option<KeyEvent>,
    /// Its permissions and used amounts, from the views. Its member `complete` equals
    /// [`is_complete`](Self::is_complete).
    pub state: KeyState,
    /// Where the state may be incomplete or wrong. Empty: it is complete.
    pub missing: Vec<Missing>,
}

impl InspectedKey {
    /// Whether everything is known: events without gaps back to the key's addition, and every entry confirmed
    /// by its view.
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Inspects an account's session keys.
///
/// Returns an error only if nothing can be said; gaps in the knowledge of single keys are in the result. A
/// short chain takes five round trips, plus one for every 800 views.
#[tracing::instrument(level = "debug", skip_all, fields(account = %account.address()))]
pub async fn inspect(account: &SmartAccount, options: &InspectOptions) -> Result<Inspection, ReadError> {
    /// How many times to start over if the chain is reorganized meanwhile.
    const ATTEMPTS: usize = 3;
    let mut attempt = 1;
    loop {
        let (inspection, is_still_there) = inspect_once(account, options).await?;
        if is_still_there {
            return Ok(inspection);
        }
        if attempt == ATTEMPTS {
            let mut inspection = inspection;
            for key in &mut inspection.keys {
                key.missing.push(Missing::Reorganized);
                key.state.complete = false;
            }
            return Ok(inspection);
        }
        attempt += 1;
    }
}

async fn inspect_once(
    account: &SmartAccount,
    options: &InspectOptions,
) -> Result<(Inspection, bool), ReadError> {
    let node = &Node::new(account.provider().clone());
    let block = node.header(options.block.into()).await?;
    let block = block.ok_or_else(|| RequestError::null("eth_getBlockByNumber"))?;
    let at = BlockId::number(block.number);
    let account = account.clone().at(at);
    let plugin = account.deployment().session_key_plugin;
    let range = (options.from_block, block.number);
    let most = options.most_log_requests;
    let mut scan = Backwards::new(node, plugin, account.address(), range, most);
    let mut second = options
        .second
        .as_ref()
        .map(|node| Backwards::new(node, plugin, account.address(), range, most));

    let (keys, rule_set, views, first, second_first) = tokio::join!(
        account.session_keys(),
        load_rule_set(&account),
        Views::new(node, plugin, at),
        scan.next(),
        async {
            match &mut second {
                Some(second) => second.next().await,
                None => None,
            }
        }
    );
    let (keys, rule_set, views) = (keys?, rule_set?, views?);
    let mut tracks = Tracks::new(account.address(), rule_set, &keys, options.keys.as_ref());
    let mut wave = first;
    while let Some(read) = wave {
        tracks.take(read);
        if tracks.is_resolved() && !options.has_history {
            break;
        }
        wave = scan.next().await;
    }
    if (!tracks.is_resolved() || options.has_history)
        && let Some(to) = scan.unread()
    {
        tracks.take_unread(options.from_block, to);
    }
    if let Some(second) = &mut second {
        let mut events = Vec::new();
        let mut wave = second_first;
        while let Some(read) = wave {
            let from = read.from;
            events.extend(read.events);
            tracks.miss_in_second(read.missing);
            if from <= tracks.read_from() {
                break;
            }
            wave = second.next().await;
        }
        tracks.compare(&events);
    }

    let (calls, questions) = tracks.questions();
    let answers = views.read(&calls).await;
    tracks.answer(questions, answers);
    // Data read by number is consistent only if the block is still there.
    let again = node.header(at).await?;
    let is_still_there = again.is_some_and(|again| again.hash == block.hash);
    let (keys, events, missing_blocks) = tracks.finish();
    let inspection = Inspection {
        block,
        rule_set,
        keys,
        events,
        missing_blocks,
    };
    Ok((inspection, is_still_there))
}
