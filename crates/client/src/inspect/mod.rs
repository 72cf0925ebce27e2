//! Everything that an account's session keys may do, rebuilt from the plugin's events and checked against its views.
//!
//! The plugin cannot list what is on a key's access control list, or which tokens have limits. Its events say it: every key's
//! permissions are rebuilt from the updates since it was added, through rotations, and each entry is then compared with the view of it
//! at the same block. What cannot be read, or differs, is said entry by entry, and the key is not
//! [complete](InspectedKey::is_complete).
//!
//! Nodes that answer few blocks, logs, calls or requests at once are adapted to. The logs are read from the newest back, until every
//! key's beginning is found. Logs that a node leaves out without a word cannot be seen, unless a view differs; a
//! [second node](InspectOptions::compare_with) can be asked, too.
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
pub(crate) use views::Views;

/// How an account is inspected. By default: at the latest block, all keys, from block 0, without history, with at most 10,000
/// requests for logs.
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
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first block with logs of the account's keys, such as that of the account's creation. A key that was added before it is not
    /// complete.
    pub const fn from_block(mut self, block: u64) -> Self {
        self.from_block = block;
        self
    }

    /// The block to look at. The node must have its state.
    pub const fn at(mut self, block: BlockNumberOrTag) -> Self {
        self.block = block;
        self
    }

    /// These keys only: the logs are read no further back than they need. One that is not registered is left out of the answer.
    pub fn keys(mut self, keys: impl IntoIterator<Item = Address>) -> Self {
        self.keys = Some(keys.into_iter().collect());
        self
    }

    /// Reads all events, also those of keys that are gone.
    pub const fn with_history(mut self) -> Self {
        self.has_history = true;
        self
    }

    /// How often the node may be asked for logs.
    pub const fn most_log_requests(mut self, requests: usize) -> Self {
        self.most_log_requests = requests;
        self
    }

    /// A second node, of another operator, whose logs have to be the same.
    pub fn compare_with(mut self, node: Node) -> Self {
        self.second = Some(node);
        self
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The block that everything is of.
    pub block: Head,
    /// The rules of the account's plugin.
    pub rule_set: RuleSet,
    keys: Vec<InspectedKey>,
    events: Vec<KeyEvent>,
    missing_blocks: Vec<MissingBlocks>,
}

impl Inspection {
    /// The keys, newest first.
    pub fn keys(&self) -> &[InspectedKey] {
        &self.keys
    }

    /// A key.
    pub fn key(&self, session_key: Address) -> Option<&InspectedKey> {
        self.keys.iter().find(|key| key.session_key == session_key)
    }

    /// The keys with a tag.
    pub fn with_tag(&self, tag: B256) -> impl Iterator<Item = &InspectedKey> {
        self.keys.iter().filter(move |key| key.tag == Some(tag))
    }

    /// Whether all is known of every key.
    pub fn is_complete(&self) -> bool {
        self.keys.iter().all(InspectedKey::is_complete)
    }

    /// What has happened, newest first: all of it with [`InspectOptions::with_history`], else as far back as it was needed.
    pub fn events(&self) -> &[KeyEvent] {
        &self.events
    }

    /// Blocks whose logs could not be read. Where this is empty, [`events`](Self::events) has no holes.
    pub fn missing_blocks(&self) -> &[MissingBlocks] {
        &self.missing_blocks
    }
}

/// A session key, and everything that it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InspectedKey {
    /// The key.
    pub session_key: Address,
    /// Its tag. `None`: its addition was not found.
    pub tag: Option<B256>,
    /// When it was added, under this or another address.
    pub added: Option<KeyEvent>,
    /// What it may do and has used, by the views. Its member `complete` is what [`is_complete`](Self::is_complete) says.
    pub state: KeyState,
    /// Where the state may not be all, or not right. Empty: it is complete.
    pub missing: Vec<Missing>,
}

impl InspectedKey {
    /// Whether everything is known: events without a hole back to the key's addition, and every entry as its view says.
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Inspects an account's session keys.
///
/// An error is one that leaves nothing to be said; what is missing of single keys is in the answer. A chain without many blocks
/// takes five round trips, and one more for every 800 views.
#[tracing::instrument(level = "debug", skip_all, fields(account = %account.address()))]
pub async fn inspect(account: &SmartAccount, options: &InspectOptions) -> Result<Inspection, ReadError> {
    /// How often to begin again where the chain was reorganized meanwhile.
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
    // What was read by number is of one chain only if the block is still there.
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
