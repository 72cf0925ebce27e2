//! What is true in the world, what the client has claimed, and where the two disagree.

use crate::plan::Plan;
use alloy::primitives::{Address, B256, U256, keccak256};
use session_key_client::{
    SignedOperation, UserOperation,
    journal::{BlockRef, Handover, IntentId, IntentRecord, NonceGap},
    operation::{Included, Outcome, Void},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// No intent takes effect twice.
    AtMostOnce,
    /// What is told to be included is, with this block, transaction, success and cost.
    Included,
    /// What is told to be included and final stays.
    Final,
    /// What is told to be void stays void when everything in flight is delivered.
    Void,
    /// What is told not to have happened, and not to happen any more, does not happen.
    NeverHappens,
    /// What is told never to have left the process has not arrived anywhere.
    NeverSent,
    /// What leaves the process is in the journal.
    WrittenFirst,
    /// A gap that is named is there: the lane's next nonce is the one that is told, and nothing that the
    /// journal knows has it, but what is named.
    Gap,
    /// An operation has the hash, the account, and the chain that it should have, and no other
    /// operation has its hash.
    Identity,
    /// Two fresh intents never share an operation.
    Fresh,
    /// When faults have stopped, what is asked for is decided in bounded time, or blocked by a named cause.
    Decided,
    /// What has used its nonce is settled.
    Settled,
    /// Time limits hold.
    TimeLimit,
    /// Nothing panics.
    Panic,
    /// Secrets are not shown or kept.
    Secret,
    /// Nobody pays more than the bounds allow.
    Price,
    /// Budgets and reservations agree with the chain.
    Budget,
    /// A key with a gas limit uses its own lane, a lane has no gaps, and removals are in lanes
    /// that nobody knows.
    Lane,
    /// The estimate is of what is signed.
    Estimate,
    /// A successor at a nonce pays at least a tenth more than every open operation there, in both fees.
    Successor,
    /// What is taken up by nobody's wish is sent again only if its caller was given no error.
    SentAgain,
    /// What a reorganization undoes is sent again while its caller waits for it.
    Undone,
    /// Answers in any form that bundlers use are understood.
    Answers,
    /// What is signed can be taken: its signature is right, and its gas limits are enough. What is allowed is
    /// not refused.
    Fit,
    /// What an owner takes away is gone.
    Revoked,
    /// Within no period do agents spend more than their windows allow.
    Window,
    /// Every reservation of an agent is decided in the end, and what happened is counted.
    Reservations,
    /// Nothing that an agent sends is refused on the chain.
    OnChain,
    /// An error's three answers agree with each other, and with what happened.
    Error,
    /// The history is one of its seed: the same every time, with at least two faults.
    History,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something that must hold did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was checked.
    pub check: Check,
    /// What was found.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, text } = self;
        write!(f, "{check}: {text}")
    }
}

/// An operation in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executed {
    pub(crate) hash: B256,
    pub(crate) sender: Address,
    pub(crate) nonce: U256,
    pub(crate) success: bool,
    pub(crate) cost: U256,
    pub(crate) transaction: B256,
}

/// A block that some node has shown.
#[derive(Clone, Debug)]
pub(crate) struct BlockFacts {
    pub(crate) number: u64,
    pub(crate) parent: B256,
    pub(crate) executed: Vec<Executed>,
    pub(crate) transactions: Vec<B256>,
}

/// A signed operation.
#[derive(Clone, Debug)]
pub(crate) struct OperationFacts {
    pub(crate) signed: SignedOperation,
    /// One; or several that ride together.
    pub(crate) intents: BTreeSet<IntentId>,
    /// Whether it is in a journal.
    pub(crate) is_kept: bool,
    /// When it was first seen outside of processes, in milliseconds.
    pub(crate) arrived: Option<u64>,
    /// When somebody honest refused it last, in milliseconds.
    pub(crate) refused: Option<u64>,
    /// The process that wrote it down.
    pub(crate) process: u8,
    /// The newest blocks of nodes that had answered the process shortly before.
    seen: Vec<B256>,
}

/// Everything that is known.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) chain_id: u64,
    pub(crate) entry_point: Address,
    pub(crate) accounts: Vec<Address>,
    /// Blocks of all branches.
    pub(crate) blocks: BTreeMap<B256, BlockFacts>,
    pub(crate) operations: BTreeMap<B256, OperationFacts>,
    /// The wish that an intent belongs to, and in which attempt it was made.
    pub(crate) wishes: BTreeMap<IntentId, (u8, u32)>,
    pub(crate) violations: Vec<Violation>,
    /// Hashes of operations that were told to be void, with the words.
    voids: BTreeMap<B256, String>,
    /// Hashes of operations that were told not to have happened, with the words.
    nevers: BTreeMap<B256, String>,
    /// Operations that were told to be final, with the block.
    finals: BTreeMap<B256, B256>,
    /// Intents whose operations, those to come included, were told not to happen.
    never_intents: BTreeMap<IntentId, String>,
    /// Whether stores lose what they have answered to.
    is_lossy: bool,
    is_hostile: bool,
    /// Wishes that may ride with others.
    social: BTreeSet<u8>,
    /// Intents whose callers were given errors, and since when this is written, in milliseconds.
    given_up: BTreeMap<IntentId, u64>,
    /// Intents whose callers were told what became of them, as is written.
    told: BTreeSet<IntentId>,
    /// What processes had estimated.
    estimates: BTreeSet<(u8, B256)>,
    /// The newest blocks of nodes that have answered processes, and when last, in milliseconds.
    shown: BTreeMap<u8, Vec<(B256, u64)>>,
}

/// How long after a record is written another process may still act on what it read before, in milliseconds.
pub(crate) const READ_BEFORE: u64 = 5_000;

/// How long the reads that an operation is made from take at most, in milliseconds.
const MADE_WITHIN: u64 = 60_000;

/// What of an operation an estimate depends on.
fn estimated(operation: &UserOperation) -> B256 {
    let paymaster = &operation.paymaster_and_data;
    let of_paymaster = (
        &paymaster[..paymaster.len().min(20)],
        paymaster.len().to_be_bytes(),
    );
    keccak256(
        [
            operation.sender.as_slice(),
            &operation.nonce.to_be_bytes::<32>(),
            keccak256(&operation.init_code).as_slice(),
            keccak256(&operation.call_data).as_slice(),
            &operation.max_fee_per_gas.to_be_bytes::<32>(),
            &operation.max_priority_fee_per_gas.to_be_bytes::<32>(),
            of_paymaster.0,
            &of_paymaster.1,
        ]
        .concat(),
    )
}

impl Ledger {
    pub(crate) fn new(plan: &Plan, chain_id: u64, entry_point: Address, accounts: Vec<Address>) -> Self {
        Self {
            chain_id,
            entry_point,
            accounts,
            blocks: BTreeMap::new(),
            operations: BTreeMap::new(),
            wishes: BTreeMap::new(),
            violations: Vec::new(),
            voids: BTreeMap::new(),
            nevers: BTreeMap::new(),
            finals: BTreeMap::new(),
            never_intents: BTreeMap::new(),
            is_lossy: plan.stores.iter().any(|store| !store.is_synced),
            is_hostile: plan.hostile,
            social: plan
                .wishes
                .iter()
                .filter(|wish| wish.shares.is_some())
                .map(|wish| wish.number)
                .collect(),
            given_up: BTreeMap::new(),
            told: BTreeSet::new(),
            estimates: BTreeSet::new(),
            shown: BTreeMap::new(),
        }
    }

    /// A node with this newest block answers a process.
    pub(crate) fn shown(&mut self, process: u8, head: B256, now: u64) {
        let shown = self.shown.entry(process).or_default();
        shown.retain(|(known, at)| *known != head && *at + MADE_WITHIN > now);
        shown.push((head, now));
    }

    /// Whether the branch that ends with this block has every block that the process had seen that made the
    /// operation.
    pub(crate) fn knows_all_seen(&self, head: B256, operation: B256) -> bool {
        let mut unknown: BTreeSet<B256> = self
            .operations
            .get(&operation)
            .map(|facts| facts.seen.iter().copied().collect())
            .unwrap_or_default();
        let lowest = unknown
            .iter()
            .filter_map(|seen| Some(self.blocks.get(seen)?.number))
            .min()
            .unwrap_or_default();
        let mut at = head;
        while !unknown.is_empty() {
            unknown.remove(&at);
            match self.blocks.get(&at) {
                Some(block) if block.number > lowest => at = block.parent,
                _ => break,
            }
        }
        unknown.is_empty()
    }

    /// A process has asked a bundler for an estimate.
    pub(crate) fn asked_for_estimate(&mut self, process: u8, operation: &UserOperation) {
        self.estimates.insert((process, estimated(operation)));
    }

    /// Whether a process has asked for an estimate of exactly this.
    pub(crate) fn was_estimated(&self, process: u8, operation: &UserOperation) -> bool {
        self.estimates.contains(&(process, estimated(operation)))
    }

    /// An operation was sent while nobody asked for anything: open intents are taken up.
    pub(crate) fn sent_for_nobody(&mut self, hash: B256, now: u64) {
        let Some(facts) = self.operations.get(&hash) else {
            return;
        };
        let was_given_up = |intent: &IntentId| {
            let since = self.given_up.get(intent);
            since.is_some_and(|since| since + READ_BEFORE < now)
        };
        if facts.intents.iter().all(was_given_up) {
            let text = format!("operation {hash} is sent again, and its caller was given an error");
            self.violate(Check::SentAgain, text);
        }
    }

    /// Notes that something did not hold. What dishonest nodes say of outcomes, and what stores have lost,
    /// cannot be checked.
    pub(crate) fn violate(&mut self, check: Check, text: impl Into<String>) {
        let needs_honesty = matches!(
            check,
            Check::AtMostOnce
                | Check::Included
                | Check::Final
                | Check::Void
                | Check::NeverHappens
                | Check::Decided
                | Check::Settled
                | Check::Undone
                | Check::Budget
                | Check::Revoked
                | Check::Lane
                | Check::Gap
                | Check::Fit
        );
        let needs_memory = matches!(
            check,
            Check::AtMostOnce
                | Check::NeverHappens
                | Check::Void
                | Check::Decided
                | Check::SentAgain
                | Check::Undone
                | Check::Lane
                | Check::Gap
                | Check::Budget
        );
        if self.is_hostile && needs_honesty || self.is_lossy && needs_memory {
            return;
        }
        self.violations.push(Violation {
            check,
            text: text.into(),
        });
    }

    /// A record was written to a journal, by a process.
    pub(crate) fn written(&mut self, record: &IntentRecord, process: u8, now: u64) {
        // Told to whoever asked for it, or to a repetition without a name.
        if record.told || record.told_to.is_some() {
            self.told.insert(record.id);
        }
        if record.given_up.is_some() && !record.told {
            self.given_up.entry(record.id).or_insert(now);
        } else {
            self.given_up.remove(&record.id);
        }
        for operation in &record.operations {
            let signed = &operation.signed;
            let is_new = !self.operations.contains_key(&signed.hash);
            if is_new {
                self.check_identity(record, signed);
            }
            let shown = self.shown.get(&process);
            let facts = self
                .operations
                .entry(signed.hash)
                .or_insert_with(|| OperationFacts {
                    seen: shown.into_iter().flatten().map(|(head, _)| *head).collect(),
                    signed: signed.clone(),
                    intents: BTreeSet::new(),
                    is_kept: true,
                    arrived: None,
                    refused: None,
                    process,
                });
            facts.is_kept = true;
            facts.intents.insert(record.id);
            // Those that ride together share an operation, all of one process and one moment;
            // nobody else does.
            let (sharing, other) = (facts.intents.clone(), facts.process);
            if sharing.len() > 1 && (other != process && record.version == 1 || !self.may_share(&sharing)) {
                let text = format!("operation {} is of intents {sharing:?}", signed.hash);
                self.violate(Check::Fresh, text);
            }
            if let Some(words) = self.never_intents.get(&record.id) {
                self.nevers.entry(signed.hash).or_insert_with(|| words.clone());
            }
        }
    }

    fn may_share(&self, intents: &BTreeSet<IntentId>) -> bool {
        intents.iter().all(|intent| {
            self.wishes
                .get(intent)
                .is_some_and(|(wish, _)| self.social.contains(wish))
        })
    }

    fn check_identity(&mut self, record: &IntentRecord, signed: &SignedOperation) {
        let operation = &signed.operation;
        let hash = operation.hash(self.entry_point, self.chain_id);
        if hash != signed.hash {
            let text = format!("operation {} has hash {hash} on this chain", signed.hash);
            self.violate(Check::Identity, text);
        }
        if operation.sender != record.lane.account || !self.accounts.contains(&operation.sender) {
            let text = format!("operation {hash} is of account {}", operation.sender);
            self.violate(Check::Identity, text);
        }
        if operation.nonce_key() != record.lane.nonce_key {
            let text = format!("operation {hash} is of lane {:#x}", operation.nonce_key());
            self.violate(Check::Identity, text);
        }
    }

    /// Somebody honest refused an operation.
    pub(crate) fn refused(&mut self, hash: B256, at: u64) {
        if let Some(facts) = self.operations.get_mut(&hash) {
            facts.refused = Some(at);
        }
    }

    /// An operation was seen outside of the processes.
    pub(crate) fn arrived(&mut self, hash: B256, at: u64) {
        match self.operations.get_mut(&hash) {
            Some(facts) => {
                facts.arrived.get_or_insert(at);
            }
            None => self.violate(
                Check::WrittenFirst,
                format!("operation {hash} was sent and is in no journal"),
            ),
        }
    }

    // ---- What the client says

    /// What a record says.
    pub(crate) fn told_record(&mut self, record: &IntentRecord, by: &str) {
        for operation in &record.operations {
            let hash = operation.signed.hash;
            if let Some(included) = &operation.included {
                self.told_included(hash, included, by);
            }
            if let Some(void) = &operation.void {
                self.told_void(hash, void, by);
            }
            if operation.handover == Handover::NeverLeft {
                self.told_never_sent(hash, by);
            }
            if let Some(gap) = operation.nonce_gap.filter(|_| operation.is_open()) {
                self.told_gap(&operation.signed, &gap, by);
            }
        }
    }

    /// An operation is told to wait above a gap: on the branch of the block that is named, nothing has used
    /// the lane's next nonce.
    fn told_gap(&mut self, signed: &SignedOperation, gap: &NonceGap, by: &str) {
        let operation = &signed.operation;
        let is_above = |executed: &&Executed| {
            executed.sender == operation.sender
                && executed.nonce >> 64 == operation.nonce >> 64
                && executed.nonce >= gap.next
        };
        let mut block = self.blocks.get(&gap.block.hash);
        let mut problem = match block {
            None => Some("there never was such a block".to_owned()),
            Some(_) if gap.next >= operation.nonce => Some("that is not below its own".to_owned()),
            Some(_) => None,
        };
        while let Some(facts) = block.filter(|_| problem.is_none()) {
            let used = facts.executed.iter().find(is_above);
            problem = used.map(|used| format!("{} has used {:#x} there", used.hash, used.nonce));
            block = self.blocks.get(&facts.parent);
        }
        if let Some(problem) = problem {
            let (hash, next, number) = (signed.hash, gap.next, gap.block.number);
            let text =
                format!("{by} says that {hash} waits for nonce {next:#x} in block {number}: {problem}");
            self.violate(Check::Gap, text);
        }
    }

    /// An operation is told to be included.
    pub(crate) fn told_included(&mut self, hash: B256, included: &Included, by: &str) {
        if self.is_hostile {
            return;
        }
        let receipt = &included.receipt;
        let wrong = |what: String| Some(format!("{by} says that {hash} is included: {what}"));
        let problem = match self.blocks.get(&receipt.block_hash) {
            None => wrong(format!("there never was a block {}", receipt.block_hash)),
            Some(block) => match block.executed.iter().find(|executed| executed.hash == hash) {
                None => wrong(format!("block {} does not hold it", block.number)),
                Some(executed) => {
                    if receipt.user_op_hash != hash {
                        wrong(format!("the receipt is that of {}", receipt.user_op_hash))
                    } else if executed.success != included.success {
                        wrong(format!(
                            "success is {}, not {}",
                            executed.success, included.success
                        ))
                    } else if executed.transaction != receipt.transaction_hash
                        || executed.cost != receipt.actual_gas_cost
                        || executed.nonce != receipt.nonce
                        || executed.sender != receipt.sender
                        || block.number != receipt.block_number
                    {
                        wrong(format!("the receipt says {receipt:?}, but it is {executed:?}"))
                    } else {
                        None
                    }
                }
            },
        };
        if let Some(text) = problem {
            self.violate(Check::Included, text);
            return;
        }
        match self.blocks.get(&included.seen.hash) {
            None => self.violate(
                Check::Included,
                format!(
                    "{by} has seen {hash} from block {}, which never was",
                    included.seen.hash
                ),
            ),
            Some(seen) if seen.number != included.seen.number => self.violate(
                Check::Included,
                format!("{by} calls block {} number {}", seen.number, included.seen.number),
            ),
            Some(seen) if !self.has_lain_so_deep(included.seen.hash, seen.number, included.block()) => {
                self.violate(
                    Check::Included,
                    format!(
                        "{by} says that {hash} lies {} blocks deep, but its block is not below block {}",
                        included.confirmations(),
                        included.seen.number
                    ),
                );
            }
            Some(_) => {}
        }
        if included.is_final {
            self.finals.insert(hash, receipt.block_hash);
        }
    }

    /// Whether a block lies below another or, if the node has changed its mind between two answers, below one
    /// of the same height on another branch.
    fn has_lain_so_deep(&self, from: B256, height: u64, block: BlockRef) -> bool {
        let lies_below = |from| self.lies_below(from, block.hash, block.number);
        let mut blocks = self.blocks.iter();
        lies_below(from) || blocks.any(|(hash, facts)| facts.number == height && lies_below(*hash))
    }

    /// Whether a block is on the branch of another, at this height.
    fn lies_below(&self, from: B256, block: B256, number: u64) -> bool {
        let mut hash = from;
        while let Some(found) = self.blocks.get(&hash) {
            if found.number <= number {
                return hash == block;
            }
            hash = found.parent;
        }
        false
    }

    /// An operation is told to be void.
    pub(crate) fn told_void(&mut self, hash: B256, void: &Void, by: &str) {
        self.voids.entry(hash).or_insert_with(|| {
            format!(
                "{by} said that it is void, by {:?} in block {}",
                void.used_by, void.block.number
            )
        });
    }

    /// An operation is told never to have left.
    pub(crate) fn told_never_sent(&mut self, hash: B256, by: &str) {
        let arrived = self.operations.get(&hash).and_then(|facts| facts.arrived);
        if let Some(arrived) = arrived {
            self.violate(
                Check::NeverSent,
                format!("{by} says that {hash} never left, but it arrived at {arrived} ms"),
            );
        }
    }

    /// Nothing of an intent happened, it is told, and nothing of it will.
    pub(crate) fn told_never(&mut self, intent: IntentId, words: String) {
        let hashes: Vec<B256> = self.hashes_of(intent).collect();
        for hash in hashes {
            self.nevers.entry(hash).or_insert_with(|| words.clone());
        }
        self.never_intents.entry(intent).or_insert(words);
    }

    pub(crate) fn hashes_of(&self, intent: IntentId) -> impl Iterator<Item = B256> {
        self.operations
            .iter()
            .filter(move |(_, facts)| facts.intents.contains(&intent))
            .map(|(hash, _)| *hash)
    }

    /// The intents of a wish, and the attempts in which they were made.
    pub(crate) fn intents_of(&self, wish: u8) -> Vec<(IntentId, u32)> {
        self.wishes
            .iter()
            .filter(|(_, (of, _))| *of == wish)
            .map(|(intent, (_, attempt))| (*intent, *attempt))
            .collect()
    }

    /// Whether it is written that somebody was told what became of an intent of the wish.
    pub(crate) fn was_told(&self, wish: u8) -> bool {
        let intents = self.intents_of(wish);
        intents.iter().any(|(intent, _)| self.told.contains(intent))
    }

    // ---- In the end

    /// Compares what was told with the canonical chain, in which these operations were executed.
    pub(crate) fn check_claims(&mut self, executed: &BTreeMap<B256, (B256, Executed)>) {
        let mut found = Vec::new();
        for (hash, words) in &self.voids {
            if executed.contains_key(hash) {
                found.push((Check::Void, format!("operation {hash} is included, but {words}")));
            }
        }
        for (hash, words) in &self.nevers {
            if executed.contains_key(hash) {
                found.push((
                    Check::NeverHappens,
                    format!("operation {hash} is included, but {words}"),
                ));
            }
        }
        for (hash, block) in &self.finals {
            if executed.get(hash).is_none_or(|(at, _)| at != block) {
                found.push((
                    Check::Final,
                    format!("operation {hash} was final in block {block}, and is not there"),
                ));
            }
        }
        let mut effects: BTreeMap<IntentId, Vec<B256>> = BTreeMap::new();
        for hash in executed
            .iter()
            .filter(|(_, (_, executed))| executed.success)
            .map(|(hash, _)| hash)
        {
            for intent in self
                .operations
                .get(hash)
                .into_iter()
                .flat_map(|facts| &facts.intents)
            {
                effects.entry(*intent).or_default().push(*hash);
            }
        }
        for (intent, hashes) in effects.iter().filter(|(_, hashes)| hashes.len() > 1) {
            found.push((
                Check::AtMostOnce,
                format!("intent {intent} has taken effect in operations {hashes:?}"),
            ));
        }
        let strangers: BTreeSet<B256> = executed
            .iter()
            .filter(|(hash, (_, executed))| {
                self.accounts.contains(&executed.sender) && !self.operations.contains_key(*hash)
            })
            .map(|(hash, _)| *hash)
            .collect();
        for hash in strangers {
            found.push((
                Check::WrittenFirst,
                format!("operation {hash} is included, and in no journal"),
            ));
        }
        for (check, text) in found {
            self.violate(check, text);
        }
    }

    /// Compares what a journal says in the end, when nothing changes any more, with the canonical chain.
    pub(crate) fn check_settled(
        &mut self,
        record: &IntentRecord,
        executed: &BTreeMap<B256, (B256, Executed)>,
        next_nonce: U256,
    ) {
        let id = record.id;
        for operation in &record.operations {
            let hash = operation.signed.hash;
            let is_executed = executed.contains_key(&hash);
            if is_executed != operation.included.is_some() {
                let what = if is_executed {
                    "included, but not"
                } else {
                    "not included, but"
                };
                self.violate(
                    Check::Settled,
                    format!("operation {hash} of intent {id} is {what} according to the journal"),
                );
            }
        }
        let mut open = record.open_operations().peekable();
        let is_open = matches!(record.outcome(), Outcome::Open(_));
        if is_open && open.peek().is_some() && open.all(|operation| operation.nonce() < next_nonce) {
            self.violate(
                Check::Settled,
                format!("intent {id} is open, although every nonce of its operations is used for good"),
            );
        }
        if let Outcome::Included(included) = record.outcome()
            && !included.is_final
        {
            self.violate(
                Check::Settled,
                format!("intent {id} is included, and the journal does not say that this is final"),
            );
        }
    }
}
