//! The world: a chain with its branches, its clock, and everything that happens to them.

use crate::{
    bundler::Bundler,
    caller::{Belief, KeptTransaction, WishState},
    dice::Dice,
    fault::Fates,
    ledger::{BlockFacts, Check, Executed, Ledger, READ_BEFORE},
    plan::{Event, NodePlan, Plan, ProcessPlan, Tags, Via, What, WishPlan},
    prepared::{CHAIN_ID, Prepared, key, prepared},
    spot::{Actor, Step},
    table::Counts,
    trace::Trace,
    words::API_KEY,
};
use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::BlockId,
    primitives::{Address, B256, Bytes, U256, aliases::U192},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use session_key_bindings::{IEntryPoint, IEntryPointV07};
use session_key_client::{
    SignedOperation,
    journal::{IntentId, IntentRecord, NonceGap, OperationRecord},
    operation::Bounds,
    permissions::AbiOperation,
    transaction::SignedTransaction,
};
use session_key_testkit::{
    Chain, Fate, FinalityTags, LimitWords, LogLimits, NodeOptions, PrunedState, PrunedWords, Testkit,
    Transport,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::{Duration, Instant, sleep};

/// How long after the faults, and after an operation has arrived somewhere, everybody knows of it, in
/// milliseconds.
const SETTLED_AFTER: u64 = 60_000;

/// Everything that is shared in one history. One thread runs it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) prepared: &'static Prepared,
    started: Instant,
    /// Unix seconds when the history begins.
    epoch: u64,
    /// The branch that wins.
    pub(crate) main: Testkit,
    state: Mutex<State>,
    pub(crate) bundlers: Vec<Bundler>,
}

/// An operation that a reorganization has undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undone {
    /// When every node knows, in milliseconds.
    pub(crate) at: u64,
    /// How many messages had met faults before.
    pub(crate) faults_before: usize,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) trace: Trace,
    pub(crate) fates: Fates,
    pub(crate) ledger: Ledger,
    pub(crate) counts: Counts,
    /// The branch that some nodes still believe in.
    side: Option<Testkit>,
    /// The blocks of the winning branch, and of the other one, by number.
    main_blocks: BTreeMap<u64, B256>,
    side_blocks: BTreeMap<u64, B256>,
    lags: Vec<u64>,
    /// By how much clocks have jumped, by process.
    jumps: BTreeMap<u8, i64>,
    congested_until: u64,
    pub(crate) away_until: Vec<u64>,
    /// Signed transactions that were sent to nodes or made by bundlers, to be delivered in the end.
    pub(crate) transactions: BTreeMap<B256, Bytes>,
    /// Where operations stand on the winning branch: block number, transaction.
    pub(crate) executed: BTreeMap<B256, (u64, B256, Executed)>,
    /// When operations were in a block of any branch first, in milliseconds.
    pub(crate) first_seen: BTreeMap<B256, u64>,
    /// Faults of the world that have happened.
    pub(crate) misfortunes: u32,
    /// The step that each process that runs was at last.
    steps: BTreeMap<u8, Step>,
    pub(crate) reorganizations: u32,
    /// What was undone, and is in no block of the winning branch since.
    pub(crate) undone: BTreeMap<B256, Undone>,
    /// Operations that somebody was told to be included.
    pub(crate) seen_included: BTreeSet<B256>,
    /// When operations were last sent to a bundler, in milliseconds.
    pub(crate) handed_over: BTreeMap<B256, u64>,
    pub(crate) wishes: BTreeMap<u8, WishState>,
    /// Operations that ended others, and those that they ended.
    pub(crate) ended: Vec<(B256, Vec<B256>)>,
    /// Plain transactions that owners have signed and kept.
    kept: Vec<KeptTransaction>,
    is_over: bool,
}

impl State {
    /// Counts a fault of the world.
    fn note_misfortune(&mut self, kind: &'static str) {
        self.misfortunes += 1;
        self.counts.outcome("events", kind);
    }
}

impl World {
    pub(crate) fn new(plan: Plan, keeps_trace: bool) -> Arc<Self> {
        let prepared = prepared(plan.v08);
        let mut chain = prepared.chain.clone();
        chain.set_finality_distances(0, plan.chain.final_distance);
        let main = Testkit::from(chain);
        let epoch = main.chain().timestamp() + 1;
        let stack = &prepared.stack;
        let ledger = Ledger::new(&plan, CHAIN_ID, stack.entry_point, prepared.accounts.clone());
        let state = State {
            trace: Trace::new(keeps_trace),
            fates: Fates::new(plan.seed, &plan.faults),
            ledger,
            counts: Counts::default(),
            side: None,
            main_blocks: BTreeMap::new(),
            side_blocks: BTreeMap::new(),
            lags: plan.nodes.iter().map(|node| node.lag).collect(),
            jumps: BTreeMap::new(),
            congested_until: 0,
            away_until: vec![0; plan.bundlers.len()],
            transactions: BTreeMap::new(),
            executed: BTreeMap::new(),
            first_seen: BTreeMap::new(),
            misfortunes: 0,
            steps: BTreeMap::new(),
            reorganizations: 0,
            undone: BTreeMap::new(),
            seen_included: BTreeSet::new(),
            handed_over: BTreeMap::new(),
            wishes: BTreeMap::new(),
            ended: Vec::new(),
            kept: Vec::new(),
            is_over: false,
        };
        let bundlers = (0..plan.bundlers.len() as u8)
            .map(|index| Bundler::new(&main, &plan, index))
            .collect();
        let world = Arc::new(Self {
            plan,
            prepared,
            started: Instant::now(),
            epoch,
            main,
            state: Mutex::new(state),
            bundlers,
        });
        // So that there is something below the first blocks of the history.
        for second in 0..8 {
            let mined = world.main.chain().mine_at(epoch + second);
            mined.expect("time goes on");
            world.note_head(&world.main, true);
        }
        world
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the history began.
    pub(crate) fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Unix milliseconds, by nobody's clock.
    pub(crate) fn unix_millis(&self) -> u64 {
        (self.epoch + 8) * 1_000 + self.now()
    }

    /// By how much a process's clock has jumped, in milliseconds.
    pub(crate) fn jump(&self, process: u8) -> i64 {
        self.state().jumps.get(&process).copied().unwrap_or_default()
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.now() >= self.plan.calm_at
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Blocks, bundlers and events stop.
    pub(crate) fn end(&self) {
        self.state().is_over = true;
    }

    pub(crate) fn say(&self, text: impl Into<String>) {
        let now = self.now();
        self.state().trace.say(now, text.into());
    }

    pub(crate) fn violate(&self, check: Check, text: impl Into<String>) {
        let text = text.into();
        self.say(format!("VIOLATION {check}: {text}"));
        self.state().ledger.violate(check, text);
    }

    pub(crate) fn dice(&self, purpose: &[u64]) -> Dice {
        Dice::keyed(self.plan.seed, purpose)
    }

    // ---- Nodes

    /// A node's view now: the chain, and how it sees it.
    pub(crate) fn node(&self, node: u8) -> Transport {
        let Some(plan) = self.plan.nodes.get(usize::from(node)) else {
            return self.main.transport();
        };
        let (lag, side) = {
            let state = self.state();
            let lag = state.lags.get(usize::from(node)).copied().unwrap_or_default();
            (lag, state.side.clone().filter(|_| plan.stays))
        };
        let options = self.options(plan, lag);
        side.unwrap_or_else(|| self.main.clone())
            .node(options)
            .transport()
    }

    /// The newest block that a node knows now.
    fn head_of(&self, node: u8) -> Option<B256> {
        let plan = self.plan.nodes.get(usize::from(node));
        let state = self.state();
        let is_aside = state.side.is_some() && plan.is_some_and(|plan| plan.stays);
        let blocks = if is_aside {
            &state.side_blocks
        } else {
            &state.main_blocks
        };
        let lag = state.lags.get(usize::from(node)).copied().unwrap_or_default();
        let (newest, _) = blocks.last_key_value()?;
        blocks.get(&newest.checked_sub(lag)?).copied()
    }

    /// A node answers a process.
    pub(crate) fn note_shown(&self, process: u8, node: u8) {
        let now = self.now();
        if let Some(head) = self.head_of(node) {
            self.state().ledger.shown(process, head, now);
        }
    }

    fn options(&self, plan: &NodePlan, lag: u64) -> NodeOptions {
        let words = [
            LimitWords::Reth,
            LimitWords::Alchemy,
            LimitWords::Infura,
            LimitWords::QuickNode,
            LimitWords::PublicNode,
            LimitWords::Drpc,
            LimitWords::Erigon,
            LimitWords::LimitExceeded,
        ];
        let mut missing_methods = BTreeSet::new();
        if !plan.has_fee_history {
            missing_methods.insert("eth_feeHistory".to_owned());
        }
        NodeOptions {
            lag,
            sees_pool: plan.sees_pool,
            logs: LogLimits {
                blocks: plan.log_blocks,
                results: None,
                refuses_future_blocks: plan.words % 2 == 1,
                words: words[usize::from(plan.words) % words.len()].clone(),
            },
            missing_methods,
            finality_tags: match plan.tags {
                Tags::Known => FinalityTags::Known,
                Tags::Null => FinalityTags::Null,
                Tags::NotFound => FinalityTags::NotFound,
                Tags::Unsupported => FinalityTags::Unsupported,
                Tags::Stuck => FinalityTags::Stuck(3),
            },
            pruned_state: plan.state.map(|blocks| PrunedState {
                blocks: blocks + lag,
                words: PrunedWords::MissingTrieNode,
            }),
            unindexed_blocks: plan.unindexed,
            ..NodeOptions::default()
        }
    }

    // ---- Blocks

    fn seconds(&self) -> u64 {
        self.unix_millis() / 1_000
    }

    fn mine_on(&self, testkit: &Testkit, at: u64, is_main: bool) {
        let is_congested = self.now() < self.state().congested_until;
        {
            let mut chain = testkit.chain();
            let waiting: Vec<B256> = if is_congested {
                chain
                    .pool()
                    .iter()
                    .map(|pooled| *pooled.transaction.inner.tx_hash())
                    .collect()
            } else {
                Vec::new()
            };
            for hash in &waiting {
                let _ = chain.hold_pooled(*hash);
            }
            let at = at.max(chain.timestamp() + 1);
            chain.mine_at(at).expect("it is later than the newest block");
            for hash in &waiting {
                let _ = chain.release_pooled(*hash);
            }
        }
        self.note_head(testkit, is_main);
    }

    /// Mines the next block of every branch.
    fn mine(&self) {
        let at = self.seconds();
        self.mine_on(&self.main, at, true);
        let side = self.state().side.clone();
        if let Some(side) = side {
            self.mine_on(&side, at, false);
        }
    }

    /// Notes what the newest block holds.
    fn note_head(&self, testkit: &Testkit, is_main: bool) {
        let (hash, facts, failed) = {
            let chain = testkit.chain();
            let (hash, facts) = facts_of(&chain, self.prepared.stack.entry_point);
            (hash, facts, failed_in(&chain))
        };
        let now = self.now();
        for transaction in failed {
            self.say(format!(
                "transaction {} is in block {}, and has failed",
                short(transaction),
                facts.number
            ));
        }
        let mut state = self.state();
        let blocks = if is_main {
            &mut state.main_blocks
        } else {
            &mut state.side_blocks
        };
        blocks.insert(facts.number, hash);
        state
            .trace
            .mix(now, u64::from_le_bytes(hash[..8].try_into().unwrap_or_default()));
        for executed in &facts.executed {
            let what = if executed.success { "" } else { ", reverted" };
            let branch = if is_main { "" } else { " of the losing branch" };
            let text = format!(
                "block {}{branch} includes {} (nonce {:#x}{what})",
                facts.number,
                short(executed.hash),
                executed.nonce.as_limbs()[0],
            );
            state.trace.say(now, text);
            state.first_seen.entry(executed.hash).or_insert(now);
            if is_main {
                let place = (facts.number, executed.transaction, executed.clone());
                state.executed.insert(executed.hash, place);
                state.undone.remove(&executed.hash);
            }
        }
        state.ledger.blocks.insert(hash, facts);
    }

    /// Blocks come until the history is over.
    pub(crate) async fn produce_blocks(self: Arc<Self>) {
        let interval = Duration::from_secs(self.plan.chain.interval);
        let mut next = self.started + interval;
        while !self.is_over() {
            tokio::time::sleep_until(next).await;
            next += interval;
            self.mine();
        }
    }

    /// Mines so many blocks at once, in the end.
    pub(crate) fn mine_many(&self, blocks: u64) {
        self.state().side = None;
        self.state().congested_until = 0;
        for _ in 0..blocks {
            self.mine_on(&self.main, 0, true);
        }
    }

    /// Notes the newest block, which was made past the pool.
    pub(crate) fn note_newest(&self) {
        self.note_head(&self.main, true);
    }

    /// The newest blocks lose. Of their transactions so many of a thousand are forgotten, and this one. Says
    /// whether there were any.
    fn reorganize(self: Arc<Self>, depth: u64, forgotten: u16, lost: Option<B256>, unnoticed: u64) -> bool {
        let now = self.now();
        let mut dice = self.dice(&[0x4e06, now]);
        let mut chain = self.main.chain();
        let before = (unnoticed > 0).then(|| Testkit::from(chain.clone()));
        let head = chain.block_number();
        let fate = |transaction: &alloy::rpc::types::Transaction| {
            if dice.chance(forgotten.into()) || lost == Some(*transaction.inner.tx_hash()) {
                Fate::Dropped
            } else {
                Fate::Pooled
            }
        };
        let Ok(undone) = chain.reorganize(depth, fate) else {
            return false;
        };
        let from = chain.block_number();
        // Some of what waits again comes later than it did.
        let mut held: Vec<B256> = undone
            .pooled
            .iter()
            .copied()
            .filter(|_| dice.chance(400))
            .collect();
        for hash in &held {
            let _ = chain.hold_pooled(*hash);
        }
        dice.shuffle(&mut held);
        drop(chain);
        {
            let mut state = self.state();
            let faults_before = state.fates.happened.len();
            let undone_here = Undone {
                at: now + unnoticed,
                faults_before,
            };
            let above = |(number, ..): &(u64, B256, Executed)| *number > from;
            let hashes: Vec<B256> = state
                .executed
                .iter()
                .filter(|(_, place)| above(place))
                .map(|(hash, _)| *hash)
                .collect();
            for hash in hashes {
                state.executed.remove(&hash);
                state.undone.insert(hash, undone_here);
            }
            state.side = before;
            state.side_blocks = state.main_blocks.clone();
            state.main_blocks.retain(|number, _| *number <= from);
            state.note_misfortune("reorganization");
            state.reorganizations += 1;
            let text = format!(
                "blocks {} to {head} lose; {} transactions wait again, {} are forgotten",
                from + 1,
                undone.pooled.len(),
                undone.dropped.len()
            );
            state.trace.say(now, text);
        }
        for block in 0..=depth {
            if block == depth {
                let mut chain = self.main.chain();
                for hash in held.drain(..) {
                    let _ = chain.release_pooled(hash);
                }
            }
            self.mine_on(&self.main, 0, true);
        }
        if unnoticed > 0 {
            tokio::spawn(async move {
                sleep(Duration::from_millis(unnoticed)).await;
                self.state().side = None;
            });
        }
        true
    }

    /// Two operations of one lane in blocks that can be undone, the lower one of a process that does not look
    /// again and keeps its journal in memory: the lower one's hash and transaction, and how deep
    /// its block is.
    fn two_to_undo(&self) -> Option<(B256, B256, u64)> {
        let head = self.main.chain().block_number();
        let forgets = |process: u8| {
            let mut processes = self.plan.processes.iter();
            processes
                .any(|plan| plan.number == process && plan.store.is_none() && !plan.resumes && !plan.watches)
        };
        let state = self.state();
        let process_of = |hash: &B256| state.ledger.operations.get(hash).map(|facts| facts.process);
        state
            .executed
            .iter()
            .find_map(|(hash, (number, transaction, lower))| {
                let depth = (head + 1).saturating_sub(*number);
                let process = process_of(hash)?;
                let mut others = state.executed.iter();
                let is_below_another = others.any(|(other, (.., upper))| {
                    upper.sender == lower.sender
                        && upper.nonce == lower.nonce + U256::ONE
                        && process_of(other) != Some(process)
                });
                let fits = depth <= self.plan.chain.deepest && forgets(process) && is_below_another;
                fits.then_some((*hash, *transaction, depth))
            })
    }

    /// Waits for two such operations, and undoes them.
    async fn undo_two(self: Arc<Self>, unnoticed: u64) {
        let (lower, transaction, depth) = loop {
            if self.is_over() || self.is_calm() {
                return;
            }
            if let Some(found) = self.two_to_undo() {
                break found;
            }
            sleep(Duration::from_millis(250)).await;
        };
        if !self.clone().reorganize(depth, 0, Some(transaction), unnoticed) {
            return;
        }
        // Bundlers take back what was undone when they see that it was, and that may be later.
        while !self.is_over() && !self.is_calm() {
            for bundler in &self.bundlers {
                bundler.forget_one(lower);
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// How long it takes until every process knows that something was undone, if nothing goes wrong, in
    /// milliseconds: a request that is lost ends, nodes that are behind come so far, and callers look again.
    pub(crate) const fn time_to_notice(&self) -> u64 {
        35_000 + 5 * self.plan.chain.interval * 1_000
    }

    /// An operation of several intents that somebody has seen reverted in a block that can be undone: its
    /// hash and transaction, and how deep its block is.
    fn reverted_to_undo(&self) -> Option<(B256, B256, u64)> {
        let head = self.main.chain().block_number();
        let state = self.state();
        let mut executed = state.executed.iter();
        executed.find_map(|(hash, (number, transaction, executed))| {
            let depth = (head + 1).saturating_sub(*number);
            let facts = state.ledger.operations.get(hash)?;
            let fits = !executed.success
                && facts.intents.len() > 1
                && depth <= self.plan.chain.deepest
                && state.seen_included.contains(hash);
            fits.then_some((*hash, *transaction, depth))
        })
    }

    /// Waits for such an operation, and undoes it.
    async fn undo_reverted(self: Arc<Self>, unnoticed: u64) {
        let (hash, transaction, depth) = loop {
            if self.is_over() || self.is_calm() {
                return;
            }
            if let Some(found) = self.reverted_to_undo() {
                break found;
            }
            sleep(Duration::from_millis(250)).await;
        };
        if !self.clone().reorganize(depth, 0, Some(transaction), unnoticed) {
            return;
        }
        self.state().counts.outcome("events", "shared operation undone");
        // Bundlers take it back when they see that it was undone, and that may be later.
        let until = self.now() + unnoticed + 4_000;
        while !self.is_over() && !self.is_calm() && self.now() < until {
            for bundler in &self.bundlers {
                bundler.forget_one(hash);
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    // ---- Events

    /// Everything that was planned happens at its time.
    pub(crate) async fn let_events_happen(self: Arc<Self>) {
        for planned in self.plan.events.clone() {
            let at = self.started + Duration::from_millis(planned.at);
            tokio::time::sleep_until(at).await;
            if self.is_over() {
                return;
            }
            self.clone().happen(planned.event);
        }
    }

    fn happen(self: Arc<Self>, event: Event) {
        let now = self.now();
        let kind = match event {
            // They count when something is undone.
            Event::Reorganize {
                depth,
                forgotten,
                unnoticed,
            } => {
                self.reorganize(depth, forgotten, None, unnoticed);
                return;
            }
            Event::UndoTwo { unnoticed } => {
                tokio::spawn(self.undo_two(unnoticed));
                return;
            }
            Event::UndoReverted { unnoticed } => {
                tokio::spawn(self.undo_reverted(unnoticed));
                return;
            }
            Event::Jump { .. } => "clock jumps",
            Event::Forget { .. } => "pool forgotten",
            Event::Lag { .. } => "node lags",
            Event::BaseFee { .. } => "base fee jumps",
            Event::Congestion { .. } => "no room in blocks",
            Event::Away { .. } => "bundler away",
        };
        match event {
            Event::Reorganize { .. } | Event::UndoTwo { .. } | Event::UndoReverted { .. } => {}
            Event::Jump { process, millis } => {
                *self.state().jumps.entry(process).or_default() += millis;
            }
            Event::Forget { bundler } => {
                if let Some(bundler) = self.bundlers.get(usize::from(bundler)) {
                    bundler.forget();
                }
            }
            Event::Lag { node, lag } => {
                if let Some(of_node) = self.state().lags.get_mut(usize::from(node)) {
                    *of_node = lag;
                }
            }
            Event::BaseFee { gwei } => self.main.chain().set_next_base_fee(gwei * 1_000_000_000),
            Event::Congestion { millis } => self.state().congested_until = now + millis,
            Event::Away { bundler, millis } => {
                if let Some(until) = self.state().away_until.get_mut(usize::from(bundler)) {
                    *until = now + millis;
                }
            }
        }
        let mut state = self.state();
        state.note_misfortune(kind);
        state.trace.say(now, format!("{event:?}"));
    }

    /// When faults stop, nodes catch up.
    pub(crate) fn calm(&self) {
        let mut state = self.state();
        state.side = None;
        let now = self.now();
        state.trace.say(now, "calm".to_owned());
    }

    // ---- Messages

    /// What goes wrong with a message, if anything does.
    pub(crate) fn fate(
        &self,
        from: Actor,
        to: Actor,
        step: Step,
    ) -> (crate::spot::Spot, Option<crate::fault::Fault>) {
        let (now, is_calm) = (self.now(), self.is_calm());
        let mut state = self.state();
        if let Actor::Process(process) = from {
            state.steps.insert(process, step);
        }
        let spot = state.fates.next_spot(from, to, step);
        let fault = state.fates.decide(spot, is_calm);
        state.counts.message(step);
        if let Some(fault) = fault {
            state.counts.fault(fault.kind(), step);
            state.trace.say(now, format!("fault: {spot}: {fault}"));
        }
        state
            .trace
            .mix(now, from.number() << 32 | to.number() << 8 | step as u64);
        (spot, fault)
    }

    // ---- Checks

    /// Texts that the client shows hold no secrets.
    pub(crate) fn check_text(&self, text: &str) {
        if text.contains(API_KEY) {
            self.violate(Check::Secret, format!("the API key is shown: {text}"));
        }
    }

    /// An operation that is told to be written down is.
    pub(crate) fn check_kept(&self, hash: B256) {
        let is_kept = self
            .state()
            .ledger
            .operations
            .get(&hash)
            .is_some_and(|facts| facts.is_kept);
        if !is_kept {
            self.violate(
                Check::WrittenFirst,
                format!("operation {hash} is said to be written, and is not"),
            );
        }
    }

    /// The next nonce of an operation's lane on the winning branch.
    pub(crate) fn next_nonce(&self, sender: Address, nonce_key: U192) -> U256 {
        let call = IEntryPoint::getNonceCall {
            sender,
            key: nonce_key,
        };
        let entry_point = self.prepared.stack.entry_point;
        self.main
            .chain()
            .read(entry_point, entry_point, &call)
            .unwrap_or_default()
    }

    /// The hash is what the EntryPoint itself makes of the operation.
    pub(crate) fn check_hash(&self, signed: &SignedOperation) {
        let entry_point = self.prepared.stack.entry_point;
        let chain = self.main.chain();
        let hash = match signed.operation.clone().into() {
            AbiOperation::Unpacked(operation) => {
                let call = IEntryPoint::getUserOpHashCall { userOp: operation };
                chain.read(entry_point, entry_point, &call)
            }
            AbiOperation::Packed(operation) => {
                let call = IEntryPointV07::getUserOpHashCall { userOp: operation };
                chain.read(entry_point, entry_point, &call)
            }
        };
        drop(chain);
        match hash {
            Ok(hash) if hash == signed.hash => {}
            hash => self.violate(
                Check::Identity,
                format!("operation {} has hash {hash:?}, says the EntryPoint", signed.hash),
            ),
        }
    }

    /// Somebody honest refuses an operation.
    pub(crate) fn refused(&self, hash: B256) {
        let now = self.now();
        self.state().ledger.refused(hash, now);
    }

    /// The code with which an honest node or bundler refuses a signed operation, for reasons that are in what
    /// its client has made of it.
    pub(crate) fn check_fit(&self, hash: B256, code: &str, node: Option<u8>) {
        let facts = {
            let state = self.state();
            let facts = state.ledger.operations.get(&hash);
            facts.map(|facts| (facts.signed.operation.sender, facts.process))
        };
        let Some((sender, process)) = facts else {
            return;
        };
        let is_excused = if code == "AA24" {
            self.changes_keys(sender)
        } else {
            // Bundlers' estimates may be too low: what an account has paid in already covers less of an
            // operation than of its probes.
            let mut processes = self.plan.processes.iter();
            let has_estimated = processes.any(|plan| plan.number == process && plan.via == Via::Direct);
            // And what whoever refuses does not know, because it is behind or on another branch, may be what
            // made it cheaper.
            let knows_less = node.and_then(|node| self.head_of(node)).is_some_and(|head| {
                let state = self.state();
                !state.ledger.knows_all_seen(head, hash)
            });
            !has_estimated || knows_less || self.has_faulty_estimates_of(Some(process))
        };
        if !is_excused {
            self.violate(Check::Fit, format!("operation {hash} is refused with {code}"));
        }
    }

    /// Whether somebody wants an owner of the account to change what its keys may do.
    pub(crate) fn changes_keys(&self, account: Address) -> bool {
        self.plan.wishes.iter().any(|wish| {
            let mut processes = self.plan.processes.iter();
            let is_of_account = processes.any(|process| {
                process.number == wish.process
                    && self.prepared.accounts[usize::from(process.role.account())] == account
            });
            let changes = matches!(
                wish.what,
                What::Revoke(_) | What::Rotate(_) | What::Narrow(_) | What::Widen(_)
            );
            is_of_account && changes
        })
    }

    /// Whether something went wrong with an estimate, so that what is signed may be wrong, too.
    pub(crate) fn has_faulty_estimates(&self) -> bool {
        self.has_faulty_estimates_of(None)
    }

    /// The same of one process.
    fn has_faulty_estimates_of(&self, process: Option<u8>) -> bool {
        let is_its = |from: Actor| process.is_none_or(|process| from == Actor::Process(process));
        let state = self.state();
        let mut faults = state.fates.happened.iter();
        faults.any(|(spot, _)| spot.step == Step::Estimate && is_its(spot.from))
    }

    /// A lane has no gaps: the nonce before a new operation's was used, on some branch.
    pub(crate) fn check_lane(&self, signed: &SignedOperation) {
        let operation = &signed.operation;
        let sequence = operation.nonce.as_limbs()[0];
        if sequence == 0 {
            return;
        }
        let before = operation.nonce - U256::ONE;
        let is_used = self.state().ledger.blocks.values().any(|block| {
            block
                .executed
                .iter()
                .any(|executed| executed.sender == operation.sender && executed.nonce == before)
        });
        // What `incrementNonce` used on a branch that has lost since left no event.
        let lane = (operation.sender, operation.nonce_key());
        let may_have_been_ended = self.state().reorganizations > 0 && self.may_be_unblocked(lane);
        if !is_used
            && !may_have_been_ended
            && self.next_nonce(operation.sender, operation.nonce_key()) < operation.nonce
        {
            self.violate(
                Check::Lane,
                format!(
                    "operation {} has nonce {sequence:#x}, and the one before is unused",
                    signed.hash
                ),
            );
        }
    }

    /// Whether somebody wants this lane unblocked.
    fn may_be_unblocked(&self, lane: (Address, U192)) -> bool {
        self.plan.wishes.iter().any(|wish| {
            let mut processes = self.plan.processes.iter();
            let process = processes.find(|process| process.number == wish.process);
            let (What::Unblock(kind), Some(process)) = (wish.what, process) else {
                return false;
            };
            let account = process.role.account();
            let session_key = key(account, kind).address();
            lane == (
                self.prepared.accounts[usize::from(account)],
                self.prepared.generation.session_key_nonce_key(session_key),
            )
        })
    }

    /// A gap is written down: the journal has known nothing that fills it for a while.
    pub(crate) fn check_named_gap(&self, above: &OperationRecord, gap: &NonceGap, known: &[IntentRecord]) {
        let now = self.now();
        let fills = |operation: &&OperationRecord| {
            operation.nonce() == gap.next && (operation.is_open() || operation.included.is_some())
        };
        if let Some(by) = gap.by {
            let has_it = self.has_nonce(by, above.signed.operation.sender, gap.next);
            if !has_it {
                let text = format!(
                    "{} is told to wait for {by}, which does not have nonce {:#x}",
                    above.signed.hash, gap.next
                );
                self.violate(Check::Gap, text);
            }
            return;
        }
        let filling = known.iter().flat_map(|record| &record.operations).filter(fills);
        for operation in filling {
            let hash = operation.signed.hash;
            let arrived = {
                let state = self.state();
                let facts = state.ledger.operations.get(&hash);
                facts.and_then(|facts| facts.arrived)
            };
            if arrived.is_some_and(|arrived| arrived + READ_BEFORE < now) {
                let text = format!(
                    "{} is told to wait above a gap that {hash} fills",
                    above.signed.hash
                );
                self.violate(Check::Gap, text);
            }
        }
    }

    /// Whether an operation of this account has this nonce.
    fn has_nonce(&self, hash: B256, sender: Address, nonce: U256) -> bool {
        let state = self.state();
        let facts = state.ledger.operations.get(&hash);
        facts.is_some_and(|facts| {
            let operation = &facts.signed.operation;
            operation.sender == sender && operation.nonce == nonce
        })
    }

    /// Somebody is told that an operation waits above a gap. When nodes agree, it is there, and its journal
    /// knows nothing that fills it but what is named.
    pub(crate) fn check_gap(
        &self,
        process: &ProcessPlan,
        has_lost_journal: bool,
        nonce: U256,
        next: U256,
        by: Option<B256>,
    ) {
        let sender = self.prepared.accounts[usize::from(process.role.account())];
        let nonce_key = U192::from(next >> 64);
        let now = self.now();
        let settled_at = self.plan.calm_at + SETTLED_AFTER;
        let mut problem = (next >= nonce).then(|| "which is not below its own".to_owned());
        if now > settled_at && problem.is_none() {
            let found = self.next_nonce(sender, nonce_key);
            let shares = |other: u8| {
                other == process.number && !has_lost_journal
                    || process.store.is_some()
                        && self
                            .plan
                            .processes
                            .iter()
                            .any(|plan| plan.number == other && plan.store == process.store)
            };
            let has_it = by.is_some_and(|by| self.has_nonce(by, sender, next));
            let state = self.state();
            let mut at_next = state.ledger.operations.values().filter(|facts| {
                let operation = &facts.signed.operation;
                operation.sender == sender && operation.nonce == next
            });
            let is_new = |arrived: Option<u64>| arrived.is_none_or(|arrived| arrived + SETTLED_AFTER > now);
            let has_new = at_next.clone().any(|facts| is_new(facts.arrived));
            let known = at_next.find(|facts| !is_new(facts.arrived) && shares(facts.process));
            problem = if let Some(by) = by {
                (!has_it).then(|| format!("which {by} does not have"))
            } else if let Some(known) = known {
                Some(format!("which {} has, in the same journal", known.signed.hash))
            } else if found != next && !has_new && !self.may_be_unblocked((sender, nonce_key)) {
                Some(format!("but the next one is {found:#x}"))
            } else {
                None
            };
        }
        if let Some(problem) = problem {
            let text = format!("{nonce:#x} is told to wait for nonce {next:#x}, {problem}");
            self.violate(Check::Gap, text);
        }
    }

    fn wish_of(&self, intent: IntentId) -> Option<&WishPlan> {
        let number = self.state().ledger.wishes.get(&intent).map(|(wish, _)| *wish)?;
        self.plan.wishes.iter().find(|wish| wish.number == number)
    }

    /// The estimate of a new operation, where a bundler makes it, was of exactly this: fees,
    /// calls and paymaster.
    pub(crate) fn check_estimate(&self, process: u8, intent: IntentId, signed: &SignedOperation) {
        let mut processes = self.plan.processes.iter();
        let is_through_bundler =
            processes.any(|plan| plan.number == process && matches!(plan.via, Via::Bundler(_)));
        let Some(wish) = self.wish_of(intent).filter(|_| is_through_bundler) else {
            return;
        };
        // Its caller gives the gas limits, also for those that it takes along.
        let gives_gas = |other: &WishPlan| {
            other.what == What::Revert
                && (other.number == wish.number || other.shares.is_some() && wish.shares.is_some())
        };
        if self.plan.wishes.iter().any(gives_gas) {
            return;
        }
        let was_estimated = self.state().ledger.was_estimated(process, &signed.operation);
        if !was_estimated {
            self.violate(
                Check::Estimate,
                format!("operation {} is not what was estimated", signed.hash),
            );
        }
    }

    /// A new operation pays a tenth more than every open one with its nonce that the journal knows.
    pub(crate) fn check_successor(&self, signed: &SignedOperation, known: &[IntentRecord]) {
        let new = &signed.operation;
        let is_less = |new: U256, old: U256| new * U256::from(10) < old * U256::from(11);
        let open = known
            .iter()
            .flat_map(IntentRecord::open_operations)
            .filter(|older| older.nonce() == new.nonce && older.signed.hash != signed.hash);
        for older in open {
            let old = &older.signed.operation;
            if is_less(new.max_fee_per_gas, old.max_fee_per_gas)
                || is_less(new.max_priority_fee_per_gas, old.max_priority_fee_per_gas)
            {
                self.violate(
                    Check::Successor,
                    format!(
                        "operation {} does not pay a tenth more than {}, which is open",
                        signed.hash, older.signed.hash
                    ),
                );
            }
        }
    }

    /// What only takes away is in a lane that nobody can know.
    pub(crate) fn check_removal(&self, record: &IntentRecord) {
        let Some(wish) = self.wish_of(record.id) else {
            return;
        };
        let takes_away = matches!(wish.what, What::Revoke(_) | What::Rotate(_));
        // Others than keys' lanes have more than an address.
        let is_known = record.lane.nonce_key >> 160 == U192::ZERO;
        if takes_away && record.name.is_none() && is_known {
            self.violate(
                Check::Lane,
                format!(
                    "wish {} takes away, in lane {:#x}",
                    wish.number, record.lane.nonce_key
                ),
            );
        }
    }

    /// Nobody pays over the bound.
    pub(crate) fn check_price(&self, signed: &SignedOperation) {
        let bound = Bounds::default().max_cost;
        let cost = signed.operation.max_cost().unwrap_or(U256::MAX);
        if cost > bound {
            self.violate(
                Check::Price,
                format!(
                    "operation {} may cost {cost} wei, and the bound is {bound}",
                    signed.hash
                ),
            );
        }
    }

    /// Nobody's transaction costs more than the bound, or is for another chain or contract.
    pub(crate) fn check_transaction(&self, transaction: &TxEnvelope, operations: usize) {
        let to = transaction.to().unwrap_or_default();
        let is_plain = self.prepared.accounts.contains(&to);
        let most = Bounds::default().max_cost
            * if is_plain {
                U256::ONE
            } else {
                U256::from(2 * operations.max(1))
            };
        let cost = U256::from(transaction.gas_limit()) * U256::from(transaction.max_fee_per_gas());
        let name = short(*transaction.tx_hash());
        if cost > most || !transaction.value().is_zero() {
            self.violate(
                Check::Price,
                format!("transaction {name} may cost {cost} wei, and the bound is {most}"),
            );
        }
        if transaction.chain_id() != Some(CHAIN_ID) {
            self.violate(
                Check::Identity,
                format!("transaction {name} is for chain {:?}", transaction.chain_id()),
            );
        }
        let is_kept = || {
            let state = self.state();
            let mut kept = state.kept.iter();
            kept.any(|kept| kept.hash() == *transaction.tx_hash())
        };
        if is_plain && !is_kept() {
            self.violate(
                Check::WrittenFirst,
                format!("transaction {name} is sent, and not kept"),
            );
        }
        if !is_plain && to != self.prepared.stack.entry_point {
            self.violate(
                Check::Identity,
                format!("transaction {name} is for {:?}", transaction.to()),
            );
        }
    }

    // ---- Plain transactions

    /// An owner keeps a signed transaction, where a crash does not take it.
    pub(crate) fn keep_transaction(&self, wish: u8, signed: SignedTransaction) {
        let mut state = self.state();
        // What never left can be signed once more, bit by bit the same.
        if let Some(kept) = state.kept.iter_mut().find(|kept| kept.hash() == signed.hash) {
            kept.never = None;
            return;
        }
        state.kept.push(KeptTransaction {
            wish,
            signed,
            never: None,
        });
    }

    /// What a caller keeps and does not know the end of.
    pub(crate) fn kept_transactions(&self, wish: u8) -> Vec<SignedTransaction> {
        let state = self.state();
        let kept = state.kept.iter();
        kept.filter(|kept| kept.wish == wish && kept.never.is_none())
            .map(|kept| kept.signed.clone())
            .collect()
    }

    /// A caller is told that what it keeps is never included.
    pub(crate) fn forget_transactions(&self, wish: u8, why: &'static str) -> Vec<B256> {
        let mut state = self.state();
        let kept = state.kept.iter_mut();
        kept.filter(|kept| kept.wish == wish && kept.never.is_none())
            .map(|kept| {
                kept.never = Some(why);
                kept.hash()
            })
            .collect()
    }

    /// A transaction is in a block, a caller is told.
    pub(crate) fn check_included_transaction(&self, wish: u8, hash: B256, block: B256) {
        let (is_its, is_there) = {
            let state = self.state();
            let mut kept = state.kept.iter();
            let facts = state.ledger.blocks.get(&block);
            (
                kept.any(|kept| kept.wish == wish && kept.hash() == hash),
                facts.is_some_and(|facts| facts.transactions.contains(&hash)),
            )
        };
        if !is_its || !is_there {
            let text = format!("wish {wish} is told that transaction {hash} is in block {block}");
            self.violate(Check::Included, text);
        }
    }

    /// In the end: of each wish, at most one transaction has taken effect, and none that was never to be
    /// included is.
    pub(crate) fn check_kept_transactions(&self) {
        let kept = self.state().kept.clone();
        let mut effects: BTreeMap<u8, Vec<B256>> = BTreeMap::new();
        for transaction in &kept {
            let hash = transaction.hash();
            let Some(receipt) = self.main.chain().receipt(hash) else {
                continue;
            };
            if let Some(why) = transaction.never {
                let check = match why {
                    "void" => Check::Void,
                    _ => Check::NeverSent,
                };
                self.violate(
                    check,
                    format!("transaction {hash} is told to be {why}, and is included"),
                );
            }
            if receipt.status() {
                effects.entry(transaction.wish).or_default().push(hash);
            }
        }
        for (wish, hashes) in &effects {
            if hashes.len() > 1 {
                let text = format!("wish {wish} has taken effect in transactions {hashes:?}");
                self.violate(Check::AtMostOnce, text);
            }
        }
        let state = self.state();
        let has_lost_blocks = state.reorganizations > 0;
        let beliefs: Vec<(u8, Belief)> = state
            .wishes
            .iter()
            .map(|(wish, state)| (*wish, state.belief.clone()))
            .collect();
        drop(state);
        for (wish, belief) in beliefs {
            let is_plain = kept.iter().any(|kept| kept.wish == wish);
            let is_wrong = match belief {
                Belief::No => effects.contains_key(&wish),
                // What was included can be undone, and its nonce be used by another.
                Belief::Yes => !effects.contains_key(&wish) && !has_lost_blocks,
                _ => false,
            };
            if is_plain && is_wrong {
                let text = format!("the caller of wish {wish} believes {belief:?} of its transaction");
                self.violate(Check::NeverHappens, text);
            }
        }
    }

    /// A process has crashed, and with it a journal in memory.
    pub(crate) fn note_crash(&self, process: u8, has_lost_journal: bool) {
        let mut state = self.state();
        state.note_misfortune("crash");
        if let Some(step) = state.steps.remove(&process) {
            state.counts.fault("crash", step);
        }
        for wish in self.plan.wishes_of(process) {
            let was_told = state.ledger.was_told(wish.number);
            if let Some(wish) = state.wishes.get_mut(&wish.number) {
                wish.has_lost_journal |= has_lost_journal;
                wish.has_lost_answer |= was_told && wish.belief == Belief::Asking;
            }
        }
    }

    /// An operation has ended these intents, it is told.
    pub(crate) fn note_ended(&self, by: B256, intents: &[IntentId]) {
        let mut state = self.state();
        let hashes = intents
            .iter()
            .flat_map(|intent| state.ledger.hashes_of(*intent).collect::<Vec<_>>())
            .collect();
        state.ended.push((by, hashes));
    }

    /// An operation is seen outside of the processes.
    pub(crate) fn arrived(&self, hash: B256) {
        let now = self.now();
        self.state().ledger.arrived(hash, now);
    }
}

/// The newest block of a chain.
fn facts_of(chain: &Chain, entry_point: Address) -> (B256, BlockFacts) {
    let number = chain.block_number();
    let block = chain
        .block_at(BlockId::number(number))
        .expect("the newest block is there");
    let filter = Filter::new()
        .select(number)
        .address(entry_point)
        .event_signature(IEntryPoint::UserOperationEvent::SIGNATURE_HASH);
    let logs = if block.transactions.is_empty() {
        Vec::new()
    } else {
        chain.logs(&filter).expect("the block is there")
    };
    let executed = logs
        .iter()
        .filter_map(|log| {
            let event = IEntryPoint::UserOperationEvent::decode_log(&log.inner).ok()?;
            Some(Executed {
                hash: event.userOpHash,
                sender: event.sender,
                nonce: event.nonce,
                success: event.success,
                cost: event.actualGasCost,
                transaction: log.transaction_hash?,
            })
        })
        .collect();
    let facts = BlockFacts {
        number,
        parent: block.header.parent_hash,
        executed,
        transactions: block.transactions.hashes().collect(),
    };
    (block.header.hash, facts)
}

/// Transactions of the newest block that have failed.
fn failed_in(chain: &Chain) -> Vec<B256> {
    let block = chain.block_at(BlockId::number(chain.block_number()));
    let hashes = block
        .into_iter()
        .flat_map(|block| block.transactions.hashes().collect::<Vec<_>>());
    hashes
        .filter(|hash| chain.receipt(*hash).is_some_and(|receipt| !receipt.status()))
        .collect()
}

/// The beginning of a hash.
pub(crate) fn short(hash: B256) -> String {
    format!("0x{}", alloy::primitives::hex::encode(&hash[..4]))
}
