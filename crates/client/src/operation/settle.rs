//! Determines outcomes of operations from the chain, by nonce and logs.
//!
//! An operation is *included* if the node's receipt of a transaction has the EntryPoint's event with its hash
//! and sender. It is *void* once its nonce was passed in a block that is deep enough, and no block up to
//! there has its event. Otherwise it is open. A bundler's answers never decide.

use super::{
    core::Core,
    outcome::{Included, Outcome, Void},
};
use crate::{
    journal::{BlockRef, IntentRecord, Lane, NonceGap, NoncePast, OperationRecord, VoidDepth},
    node::{Head, OperationEvent, OperationFilter},
    request::RequestError,
    submit::Receipt,
};
use alloy::{
    eips::BlockId,
    primitives::{B256, U256},
};
use futures_util::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// The depth, in blocks, at which an operation is assumed to stay included or void, on chains whose nodes
/// return no finalized block.
pub const DEFAULT_FINAL_DEPTH: u64 = 64;

/// Chains with another depth, by id: Polygon has had reorganizations of more than a hundred blocks.
const FINAL_DEPTHS: [(u64, u64); 2] = [(137, 256), (80_002, 256)];

/// The number of blocks without progress after which a node's finalized block is ignored.
const FINALITY_STALLED: u64 = 64;

/// Returns the depth used if the node returns no finalized block.
pub(crate) fn final_depth(chain_id: u64) -> u64 {
    FINAL_DEPTHS
        .iter()
        .find(|(id, _)| *id == chain_id)
        .map_or(DEFAULT_FINAL_DEPTH, |(_, depth)| *depth)
}

/// The chain at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The latest block.
    pub(crate) head: Head,
    /// The lane's next nonce there.
    pub(crate) nonce: U256,
}

impl View {
    pub(crate) const fn head_ref(&self) -> BlockRef {
        BlockRef {
            number: self.head.number,
            hash: self.head.hash,
        }
    }
}

/// The latest block that stays.
#[derive(Clone, Copy, Debug)]
struct FinalBlock {
    number: u64,
    depth: VoidDepth,
}

/// The operation with a nonce, as far as known.
#[derive(Clone, Copy, Debug)]
enum NonceUser {
    /// An included one has used it: nodes that do not know this lag.
    Included,
    /// An open one has it, and can use it.
    Open(B256),
    /// No known one has it.
    Unknown,
}

/// A node's finalized block when it last moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finality {
    finalized: u64,
    moved_at: u64,
}

/// Data read in advance, so that settling need not request it: the blocks with known inclusions, and the
/// latest block that stays.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hashes: BTreeMap<u64, Option<B256>>,
    finalized: Option<Option<Head>>,
}

/// How long to wait for a submitter's hint about where an operation is. Logs find it without the hint.
const HINT: Duration = Duration::from_secs(3);

/// The maximum number of headers requested concurrently.
const HEADERS_AT_ONCE: usize = 32;

impl Core {
    /// Reads what settling these records needs, concurrently.
    pub(crate) async fn look_ahead<'a>(&self, records: impl IntoIterator<Item = &'a IntentRecord>) -> Seen {
        let blocks: BTreeSet<u64> = records
            .into_iter()
            .flat_map(|record| &record.operations)
            .filter_map(|operation| operation.included.as_ref())
            .filter(|included| !included.is_final)
            .map(|included| included.receipt.block_number)
            .collect();
        if blocks.is_empty() {
            return Seen::default();
        }
        let numbers: Vec<u64> = blocks.into_iter().collect();
        let headers = async {
            let mut hashes = BTreeMap::new();
            for numbers in numbers.chunks(HEADERS_AT_ONCE) {
                let headers = numbers.iter().map(|number| async move {
                    let header = self.node.header((*number).into()).await;
                    (*number, header)
                });
                for (number, header) in join_all(headers).await {
                    // Failed reads are repeated later.
                    if let Ok(header) = header {
                        hashes.insert(number, header.map(|header| header.hash));
                    }
                }
            }
            hashes
        };
        let (hashes, finalized) = tokio::join!(headers, self.node.finalized());
        Seen {
            hashes,
            finalized: finalized.ok(),
        }
    }

    /// Returns the account's operations up to the one that ended others, from where those were created, and
    /// the lane's next nonce in its block. The ending operation must be among them: a node that does not show
    /// it yet may miss earlier ones too, and is asked again.
    pub(crate) async fn read_back(
        &self,
        lane: &Lane,
        records: &[IntentRecord],
        last: &Included,
    ) -> (BTreeSet<B256>, U256) {
        let to = last.receipt.block_number;
        let made = records
            .iter()
            .flat_map(|record| &record.operations)
            .map(|operation| operation.made.number);
        let from = made
            .min()
            .unwrap_or(to)
            .min(to)
            .saturating_sub(final_depth(self.chain_id()));
        let filter = OperationFilter {
            sender: Some(self.account.address()),
            hashes: Vec::new(),
        };
        let mut pause = Duration::from_millis(20);
        loop {
            let found = self.node.operations(self.entry_point(), &filter, from, to).await;
            let hashes: BTreeSet<B256> = found
                .into_iter()
                .flatten()
                .map(|event| event.user_op_hash)
                .collect();
            if hashes.contains(&last.receipt.user_op_hash) {
                let block = BlockId::hash(last.receipt.block_hash);
                let next = self
                    .node
                    .nonce(lane.entry_point, lane.account, lane.nonce_key, block);
                if let Ok(next) = next.await {
                    return (hashes, next);
                }
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(2));
        }
    }

    /// Returns the latest block, and the lane's nonce in it.
    pub(crate) async fn view(&self, lane: &Lane) -> Result<View, RequestError> {
        let head = self.node.head().await?;
        let nonce = self.nonce_at(lane, &head).await?;
        Ok(View { head, nonce })
    }

    /// Returns the lane's nonce in a block.
    pub(crate) async fn nonce_at(&self, lane: &Lane, head: &Head) -> Result<U256, RequestError> {
        self.node
            .nonce(
                lane.entry_point,
                lane.account,
                lane.nonce_key,
                BlockId::hash(head.hash),
            )
            .await
    }

    /// Settles these records, all of one lane, as far as possible, and records what is new. Updates the
    /// records.
    pub(crate) async fn settle(&self, view: &View, records: &mut [IntentRecord]) -> Result<(), SettleError> {
        let seen = self.look_ahead(&*records).await;
        self.settle_with(view, records, &seen).await
    }

    /// Like [`settle`](Self::settle), with data read in advance.
    pub(crate) async fn settle_with(
        &self,
        view: &View,
        records: &mut [IntentRecord],
        seen: &Seen,
    ) -> Result<(), SettleError> {
        for record in &mut *records {
            let mut changed = record.clone();
            if self.look_again(view, &mut changed, seen).await? {
                *record = self.write_fact(changed).await?;
            } else {
                // The depth is known here, and not worth a write.
                *record = changed;
            }
        }
        for record in &mut *records {
            let mut changed = record.clone();
            if self.look_back(view, &mut changed).await? {
                *record = self.write_fact(changed).await?;
            }
        }
        self.note_gaps(view, records).await?;
        let is_past = |operation: &OperationRecord| operation.is_open() && operation.nonce() < view.nonce;
        if !records.iter().any(|record| record.operations.iter().any(is_past)) {
            return Ok(());
        }
        // Read first: later requests must see this block at that depth.
        let (last, ()) = tokio::try_join!(self.final_block(&view.head), self.check_chain())?;
        let mut events = Events::default();
        for record in &mut *records {
            let mut changed = record.clone();
            let mut is_changed = false;
            for index in 0..changed.operations.len() {
                if !is_past(&changed.operations[index]) {
                    continue;
                }
                is_changed |= self
                    .settle_past(view, last, record, &mut changed.operations[index], &mut events)
                    .await?;
            }
            if is_changed {
                *record = self.write_fact(changed).await?;
            }
        }
        Ok(())
    }

    /// Checks whether included operations still are. Returns whether anything changed.
    async fn look_again(
        &self,
        view: &View,
        record: &mut IntentRecord,
        seen: &Seen,
    ) -> Result<bool, SettleError> {
        let mut is_changed = false;
        for operation in &mut record.operations {
            let Some(included) = &mut operation.included else {
                continue;
            };
            // A lagging node says nothing about a block that it does not know.
            if included.is_final || view.head.number < included.receipt.block_number {
                continue;
            }
            let block = included.block();
            let is_canonical = match seen.hashes.get(&block.number) {
                Some(Some(hash)) => Some(*hash == block.hash),
                // The view is newer: a missing block may exist by now.
                Some(None) | None => self.is_canonical(view, block).await?,
            };
            // One of several nodes may lag. Only another block in its place is evidence.
            let Some(is_canonical) = is_canonical else {
                continue;
            };
            if !is_canonical {
                self.check_chain().await?;
                operation.included = None;
                operation.nonce_past = None;
                is_changed = true;
                continue;
            }
            if included.seen != view.head_ref() {
                included.seen = view.head_ref();
                let finalized = match seen.finalized {
                    Some(finalized) => finalized,
                    None => self.node.finalized().await?,
                };
                let last = self.last_of(finalized, &view.head);
                included.is_final = block.number <= last.number;
                // The depth is not worth a write until it is final.
                is_changed |= included.is_final;
            }
        }
        Ok(is_changed)
    }

    /// A reorganization can free a nonce again. Returns whether anything changed.
    async fn look_back(&self, view: &View, record: &mut IntentRecord) -> Result<bool, SettleError> {
        let mut is_changed = false;
        for operation in &mut record.operations {
            let Some(past) = operation.nonce_past else {
                continue;
            };
            let is_free = operation.is_open() && operation.nonce() >= view.nonce;
            // A lagging node does not have the block. Only another block in its place is evidence.
            if is_free && self.is_canonical(view, past.block).await? == Some(false) {
                self.check_chain().await?;
                operation.nonce_past = None;
                is_changed = true;
            }
        }
        Ok(is_changed)
    }

    /// Notes which open operations wait for the lane's next nonce to be used, and for which operation. Reads
    /// nothing unless there may be any.
    async fn note_gaps(&self, view: &View, records: &mut [IntentRecord]) -> Result<(), SettleError> {
        let is_above = |operation: &OperationRecord| operation.is_open() && operation.nonce() > view.nonce;
        let mut operations = records.iter().flat_map(|record| &record.operations);
        if !operations.any(|operation| is_above(operation) || operation.nonce_gap.is_some()) {
            return Ok(());
        }
        let Some(lane) = records.first().map(|record| record.lane) else {
            return Ok(());
        };
        let user = self.user_of(&lane, view.nonce, records).await?;
        for record in &mut *records {
            let mut changed = record.clone();
            for operation in &mut changed.operations {
                let known = operation.nonce_gap;
                // A lagging node may lack data that existed before.
                let since = known.map_or(operation.made.number, |gap| gap.block.number);
                if operation.is_open() && view.head.number < since {
                    continue;
                }
                let by = match user {
                    NonceUser::Included => None,
                    NonceUser::Open(hash) => Some(Some(hash)),
                    NonceUser::Unknown => Some(None),
                };
                operation.nonce_gap = by.filter(|_| is_above(operation)).map(|by| NonceGap {
                    next: view.nonce,
                    by,
                    block: known
                        .filter(|gap| gap.next == view.nonce)
                        .map_or(view.head_ref(), |gap| gap.block),
                });
            }
            if changed != *record {
                self.check_chain().await?;
                *record = self.write_fact(changed).await?;
            }
        }
        Ok(())
    }

    /// Returns the known operation that has used this nonce of the lane, or can use it.
    async fn user_of(
        &self,
        lane: &Lane,
        nonce: U256,
        records: &[IntentRecord],
    ) -> Result<NonceUser, SettleError> {
        let journal = self.desk.journal();
        let mut known = journal.unsettled(lane).await?;
        // What was read here is newer.
        known.retain(|record| records.iter().all(|newer| newer.id != record.id));
        let at_nonce = || {
            let operations = known.iter().chain(records).flat_map(|record| &record.operations);
            operations.filter(|operation| operation.nonce() == nonce)
        };
        if at_nonce().any(|operation| operation.included.is_some()) {
            return Ok(NonceUser::Included);
        }
        // Something is included at this nonce or above: the node lags.
        let highest = journal.highest_included(lane).await?;
        let is_used = highest.is_some_and(|record| match record.outcome() {
            Outcome::Included(included) => included.receipt.nonce >= nonce,
            _ => false,
        });
        if is_used {
            return Ok(NonceUser::Included);
        }
        let newest = at_nonce()
            .filter(|operation| operation.is_open())
            .max_by_key(|operation| operation.made.number);
        Ok(newest.map_or(NonceUser::Unknown, |operation| {
            NonceUser::Open(operation.signed.hash)
        }))
    }

    /// Refuses to decide by a node on another chain: a URL may lead to one at any time.
    async fn check_chain(&self) -> Result<(), SettleError> {
        let (expected, found) = (self.chain_id(), self.node.chain_id().await?);
        if expected == found {
            Ok(())
        } else {
            Err(SettleError::WrongChain { expected, found })
        }
    }

    /// Whether the canonical chain has this block. `None`: the node does not know a block with this number.
    async fn is_canonical(&self, view: &View, block: BlockRef) -> Result<Option<bool>, SettleError> {
        if block == view.head_ref() {
            return Ok(Some(true));
        }
        let found = self.node.header(block.number.into()).await?;
        Ok(found.map(|found| found.hash == block.hash))
    }

    /// Returns the latest block that stays: the node's finalized one, else one at the default depth.
    async fn final_block(&self, head: &Head) -> Result<FinalBlock, SettleError> {
        let finalized = self.node.finalized().await?;
        Ok(self.last_of(finalized, head))
    }

    fn last_of(&self, finalized: Option<Head>, head: &Head) -> FinalBlock {
        if let Some(finalized) = finalized
            && finalized.number <= head.number
            && !self.is_stalled(finalized.number, head.number)
        {
            return FinalBlock {
                number: finalized.number,
                depth: VoidDepth::Finalized,
            };
        }
        let blocks = final_depth(self.chain_id());
        FinalBlock {
            number: head.number.saturating_sub(blocks),
            depth: VoidDepth::Blocks(blocks),
        }
    }

    /// Whether the finalized block has not moved for long.
    fn is_stalled(&self, finalized: u64, head: u64) -> bool {
        let mut finality = self.finality();
        match &mut *finality {
            Some(known) if finalized <= known.finalized => {
                head.saturating_sub(known.moved_at) >= FINALITY_STALLED
            }
            known => {
                *known = Some(Finality {
                    finalized,
                    moved_at: head,
                });
                false
            }
        }
    }

    /// Settles an operation whose nonce was passed. Returns whether anything changed.
    async fn settle_past(
        &self,
        view: &View,
        last: FinalBlock,
        record: &IntentRecord,
        operation: &mut OperationRecord,
        events: &mut Events,
    ) -> Result<bool, SettleError> {
        let hash = operation.signed.hash;
        // A bundler's hint where it is included is worth a look, and nothing more. A failure does not matter.
        let hint = async {
            let transaction = self.submitter.transaction(hash).await.ok()??;
            self.included_in(view, last, transaction, operation).await.ok()?
        };
        if let Ok(Some(included)) = timeout(HINT, hint).await {
            operation.included = Some(included);
            return Ok(true);
        }
        let from = operation.made.number.saturating_sub(final_depth(self.chain_id()));
        events.read(self, view, record, from).await?;
        if let Some(event) = events.of(hash) {
            let transaction = event.transaction_hash;
            // A receipt that the node does not have yet says nothing.
            let included = self.included_in(view, last, transaction, operation).await?;
            let is_found = included.is_some();
            operation.included = included;
            return Ok(is_found);
        }
        let nonce = operation.nonce();
        let hashes: BTreeSet<B256> = record
            .operations
            .iter()
            .map(|operation| operation.signed.hash)
            .collect();
        let mut used_by = None;
        let is_other =
            |event: &&OperationEvent| event.nonce == nonce && !hashes.contains(&event.user_op_hash);
        for other in events.found.iter().filter(is_other) {
            let block = BlockRef {
                number: other.block_number,
                hash: other.block_hash,
            };
            // One of several nodes may be on a fork.
            if self.is_canonical(view, block).await? != Some(true) {
                continue;
            }
            used_by = Some(other.user_op_hash);
            if block.number <= last.number {
                operation.void = Some(Void {
                    nonce,
                    block,
                    depth: last.depth,
                    used_by,
                });
                return Ok(true);
            }
        }
        let mut past = NoncePast {
            block: view.head_ref(),
            used_by,
        };
        if let Some(known) = operation.nonce_past
            && self.is_canonical(view, known.block).await? == Some(true)
        {
            past.block = known.block;
        }
        if past.block.number <= last.number {
            operation.void = Some(Void {
                nonce,
                block: past.block,
                depth: last.depth,
                used_by,
            });
        }
        let is_changed = operation.nonce_past != Some(past) || operation.void.is_some();
        operation.nonce_past = Some(past);
        Ok(is_changed)
    }

    /// Returns the operation as shown by the node's receipt of a transaction. `None`: the node has no such
    /// receipt, or it lacks the operation's event.
    async fn included_in(
        &self,
        view: &View,
        last: FinalBlock,
        transaction: B256,
        operation: &OperationRecord,
    ) -> Result<Option<Included>, SettleError> {
        let Some(receipt) = self.node.receipt(transaction).await? else {
            return Ok(None);
        };
        let sender = operation.signed.operation.sender;
        let Some((receipt, success, reason)) =
            Receipt::find(&receipt, self.entry_point(), operation.signed.hash, sender)
        else {
            return Ok(None);
        };
        // An EntryPoint never emits this: the node is wrong.
        if receipt.nonce != operation.nonce() {
            return Ok(None);
        }
        let block = BlockRef {
            number: receipt.block_number,
            hash: receipt.block_hash,
        };
        self.desk.note_block(self.chain_id(), block.number);
        // For a block that the view's node does not know yet, the receipt must suffice.
        if block.number <= view.head.number && self.is_canonical(view, block).await? != Some(true) {
            return Ok(None);
        }
        Ok(Some(Included {
            is_final: block.number <= last.number,
            seen: if block.number > view.head.number {
                block
            } else {
                view.head_ref()
            },
            receipt,
            success,
            reason,
            doubt: operation.doubt.clone(),
        }))
    }
}

/// The account's operations on chain, from some block on.
#[derive(Debug, Default)]
struct Events {
    from: Option<u64>,
    found: Vec<OperationEvent>,
}

/// The account's operations in a range of blocks that stay, so that they need not be read again at each look.
#[derive(Clone, Debug, Default)]
pub(crate) struct OldEvents {
    /// The first and the last block.
    range: Option<(u64, u64)>,
    found: Vec<OperationEvent>,
}

/// The maximum number of old events kept.
const REMEMBERED: usize = 4_096;

impl OldEvents {
    /// Adds the events found in a range of blocks.
    fn add(&mut self, from: u64, to: u64, found: &[OperationEvent]) {
        if from > to {
            return;
        }
        self.range = match self.range {
            Some((first, last)) if from <= last.saturating_add(1) && to >= first.saturating_sub(1) => {
                Some((first.min(from), last.max(to)))
            }
            _ => {
                self.found.clear();
                Some((from, to))
            }
        };
        let is_meant = |event: &&OperationEvent| (from..=to).contains(&event.block_number);
        for event in found.iter().filter(is_meant) {
            if !self.found.contains(event) {
                self.found.push(event.clone());
            }
        }
        if self.found.len() > REMEMBERED {
            *self = Self::default();
        }
    }
}

impl Events {
    /// Reads the events from this block to the latest one, as far as they are not known. Events that stay are
    /// kept page by page, so a look that times out is not lost.
    async fn read(
        &mut self,
        core: &Core,
        view: &View,
        record: &IntentRecord,
        from: u64,
    ) -> Result<(), SettleError> {
        let to = match self.from {
            Some(known) if known <= from => return Ok(()),
            Some(known) => known - 1,
            None => view.head.number,
        };
        let filter = OperationFilter {
            sender: Some(record.lane.account),
            hashes: Vec::new(),
        };
        // A lagging node answers without the blocks that it lacks. It is assumed to lag no further than this.
        let stays = view.head.number.saturating_sub(final_depth(core.chain_id()));
        let old = core.old_events().clone();
        let mut found = Vec::new();
        let mut next = Some(from);
        while let Some(start) = next.filter(|start| *start <= to) {
            if let Some((first, last)) = old.range
                && (first..=last).contains(&start)
            {
                let is_next = |event: &&OperationEvent| (start..=to.min(last)).contains(&event.block_number);
                found.extend(old.found.iter().filter(is_next).cloned());
                next = last.checked_add(1);
                continue;
            }
            // Up to the known range.
            let end = match old.range {
                Some((first, _)) if first > start => to.min(first - 1),
                _ => to,
            };
            let page = core
                .node
                .operations_page(record.lane.entry_point, &filter, start, end)
                .await?;
            core.old_events().add(start, page.to.min(stays), &page.operations);
            found.extend(page.operations);
            next = page.to.checked_add(1);
        }
        self.found.extend(found);
        self.from = Some(from);
        Ok(())
    }

    fn of(&self, hash: B256) -> Option<&OperationEvent> {
        self.found.iter().find(|event| event.user_op_hash == hash)
    }
}

/// Settling failed. Earlier knowledge still holds.
#[derive(Debug)]
pub(crate) enum SettleError {
    WrongChain { expected: u64, found: u64 },
    Request(RequestError),
    Journal(crate::journal::JournalError),
}

impl From<RequestError> for SettleError {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<crate::journal::JournalError> for SettleError {
    fn from(error: crate::journal::JournalError) -> Self {
        Self::Journal(error)
    }
}
