//! What a history consists of, before it runs: everything that the seed decides once.

use crate::{
    agents::AgentsPlan,
    dice::Dice,
    fault::{Faults, Rates},
    prepared::{ACCOUNTS, KeyKind},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A history to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it was made from.
    pub seed: u64,
    /// Whether nodes, bundlers and the paymaster may say anything at all.
    pub hostile: bool,
    /// Whether the accounts are of ERC-6900 v0.8, with EntryPoint v0.7 and the session key module. Nothing
    /// else depends on it.
    #[serde(default)]
    pub v08: bool,
    /// The agents that the session keys' processes are, if they are.
    #[serde(default)]
    pub agents: Option<AgentsPlan>,
    /// The chain.
    pub chain: ChainPlan,
    /// Nodes.
    pub nodes: Vec<NodePlan>,
    /// Bundlers.
    pub bundlers: Vec<BundlerPlan>,
    /// Where journals are kept.
    pub stores: Vec<StorePlan>,
    /// Client processes.
    pub processes: Vec<ProcessPlan>,
    /// What their callers want.
    pub wishes: Vec<WishPlan>,
    /// What happens in the world.
    pub events: Vec<EventPlan>,
    /// When processes crash.
    pub crashes: Vec<CrashPlan>,
    /// What goes wrong with messages and stores.
    pub faults: Faults,
    /// When faults stop, in milliseconds.
    pub calm_at: u64,
}

/// The chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPlan {
    /// Seconds between blocks.
    pub interval: u64,
    /// How many blocks below the newest one is final.
    pub final_distance: u64,
    /// The deepest reorganization, in blocks.
    pub deepest: u64,
}

/// How a node says which block is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tags {
    /// It says so.
    Known,
    /// Null.
    Null,
    /// An error.
    NotFound,
    /// Another error.
    Unsupported,
    /// A block that does not move.
    Stuck,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePlan {
    /// How many blocks it is behind.
    pub lag: u64,
    /// Whether it stays on a branch that loses for a while.
    pub stays: bool,
    /// How it says which block is final.
    pub tags: Tags,
    /// The most blocks of one `eth_getLogs`.
    pub log_blocks: Option<u64>,
    /// In whose words it refuses more.
    pub words: u8,
    /// Of how many of its latest blocks it has the state.
    pub state: Option<u64>,
    /// Of how many of its latest blocks it has not indexed the logs.
    pub unindexed: u64,
    /// Whether it has `eth_feeHistory`.
    pub has_fee_history: bool,
    /// Whether it shows the pool.
    pub sees_pool: bool,
}

/// A bundler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundlerPlan {
    /// Milliseconds between its bundles.
    pub interval: u64,
    /// How many blocks it is behind.
    pub lag: u64,
    /// The most operations of one bundle.
    pub most: u64,
    /// Whose manners it has: words, forms of answers, rules of its own.
    #[serde(default)]
    pub manner: u64,
}

/// A store of journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePlan {
    /// Whether what it has answered to survives a crash of the machine. The client only allows such stores;
    /// with others, less is promised.
    pub is_synced: bool,
    /// Whether it is a file of SQLite.
    pub is_file: bool,
    /// How long an access takes at most, in milliseconds.
    pub latency: u32,
}

/// Whose client a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A session key of an account.
    Key {
        /// The account.
        account: u8,
        /// The key.
        kind: KeyKind,
    },
    /// An owner.
    Owner {
        /// The account. The last one does not exist yet.
        account: u8,
    },
}

impl Role {
    /// The account.
    pub const fn account(&self) -> u8 {
        match self {
            Self::Key { account, .. } | Self::Owner { account } => *account,
        }
    }
}

/// How a process gets operations onto the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Through a bundler.
    Bundler(u8),
    /// In transactions of its own.
    Direct,
}

/// A client process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// Its number: it stays the same when others are left out.
    pub number: u8,
    /// Whose client it runs.
    pub role: Role,
    /// Where it keeps its journal. `None`: in memory, until it crashes.
    pub store: Option<u8>,
    /// How it sends.
    pub via: Via,
    /// The node that it asks.
    pub node: u8,
    /// Whether a paymaster service pays.
    pub is_sponsored: bool,
    /// Milliseconds by which its clock is wrong.
    pub clock: i64,
    /// When it starts, in milliseconds.
    pub start: u64,
    /// Whether it settles what is open when it starts.
    pub resumes: bool,
    /// Whether a task of its own watches what was included, meanwhile.
    #[serde(default)]
    pub watches: bool,
}

/// What a caller wants done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Some wei to somebody.
    Pay,
    /// Some of the token to somebody.
    PayToken,
    /// Several payments, all or none.
    Batch,
    /// A call that reverts, with gas limits that keep anybody from noticing before.
    Revert,
    /// A call that reverts in some blocks, and succeeds in others.
    Fickle,
    /// A payment of more than any budget.
    TooMuch,
    /// A new session key.
    Grant,
    /// A session key less.
    Revoke(KeyKind),
    /// A session key in place of another.
    Rotate(KeyKind),
    /// Less for a session key.
    Narrow(KeyKind),
    /// More for a session key.
    Widen(KeyKind),
    /// The end of whatever is open in a session key's lane.
    Unblock(KeyKind),
    /// Some wei to somebody, in a plain transaction of an owner.
    Transact,
}

/// How a caller calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Awaits the operation.
    Await,
    /// Sends it, does something else for so many milliseconds, and waits.
    SendWait(u32),
    /// Sends it, and drops what it gets.
    SendDrop,
    /// Drops the future after so many milliseconds.
    Drop(u32),
}

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// Nothing.
    Once,
    /// What the error advises, until it is decided.
    Advised,
    /// Asks for the same again at once, at most so many times, whatever the error says.
    Blind(u8),
    /// Replaces what is open, and else what the error advises.
    Replace,
    /// Sends again what is open, and else what the error advises.
    SendAgain,
}

/// How deep it must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DepthPlan {
    /// In the newest block.
    Latest,
    /// So many blocks below.
    Blocks(u64),
    /// Final.
    Final,
}

/// Something that a caller wants done once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishPlan {
    /// Its number: it stays the same when others are left out.
    pub number: u8,
    /// The process.
    pub process: u8,
    /// Milliseconds after the process has started.
    pub at: u64,
    /// What.
    pub what: What,
    /// Wishes with the same number here ask for the same.
    pub twin: u8,
    /// Whether it has a name.
    pub is_named: bool,
    /// How the caller calls.
    pub style: Style,
    /// What the caller does about errors.
    pub follow: Follow,
    /// The time limit, in milliseconds.
    pub timeout: u64,
    /// How deep it must lie.
    pub depth: DepthPlan,
    /// Whether it may ride with others and, if so, whether it goes alone after theirs has reverted.
    #[serde(default)]
    pub shares: Option<bool>,
    /// The wish whose name it has, though it asks for something else.
    #[serde(default)]
    pub borrows: Option<u8>,
    /// Which other lane than its key's own it goes into.
    #[serde(default)]
    pub lane: Option<u8>,
}

/// Something that happens in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPlan {
    /// When, in milliseconds.
    pub at: u64,
    /// What.
    pub event: Event,
}

/// Something that happens in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The newest blocks lose against others.
    Reorganize {
        /// How many.
        depth: u64,
        /// How many of a thousand of their transactions are forgotten.
        forgotten: u16,
        /// For how long some nodes do not notice, in milliseconds.
        unnoticed: u64,
    },
    /// From now on: as soon as two operations of one lane are in blocks that can be undone, the lower one of
    /// a process whose journal nobody else has and which does not look again, they are. The lower one is
    /// forgotten by everybody else.
    UndoTwo {
        /// For how long some nodes do not notice, in milliseconds.
        unnoticed: u64,
    },
    /// From now on: as soon as somebody has seen that an operation of several intents is included and has
    /// reverted, in a block that can be undone, it is. Everybody else forgets the operation.
    UndoReverted {
        /// For how long some nodes do not notice, in milliseconds.
        unnoticed: u64,
    },
    /// A process's clock jumps.
    Jump {
        /// The process.
        process: u8,
        /// By so many milliseconds.
        millis: i64,
    },
    /// A bundler forgets its pool.
    Forget {
        /// The bundler.
        bundler: u8,
    },
    /// A node falls behind, or catches up.
    Lag {
        /// The node.
        node: u8,
        /// To so many blocks.
        lag: u64,
    },
    /// The next block's base fee, in gwei.
    BaseFee {
        /// Gwei.
        gwei: u64,
    },
    /// No transactions come into blocks for so many milliseconds.
    Congestion {
        /// Milliseconds.
        millis: u64,
    },
    /// A bundler does not answer, and bundles nothing, for so many milliseconds.
    Away {
        /// The bundler.
        bundler: u8,
        /// Milliseconds.
        millis: u64,
    },
}

/// A process crashes, and may start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashPlan {
    /// The process.
    pub process: u8,
    /// In which of its lives.
    pub life: u8,
    /// After so many steps of its program.
    pub polls: u64,
    /// Milliseconds until it starts again. `None`: never.
    pub restart: Option<u64>,
}

impl Plan {
    /// The history of a seed.
    pub fn new(seed: u64, hostile: bool) -> Self {
        Maker {
            dice: Dice::keyed(seed, &[0x71a4]),
            seed,
            hostile,
        }
        .plan()
    }

    /// How many wishes of a process there are.
    pub(crate) fn wishes_of(&self, process: u8) -> impl Iterator<Item = &WishPlan> {
        self.wishes.iter().filter(move |wish| wish.process == process)
    }
}

struct Maker {
    dice: Dice,
    seed: u64,
    hostile: bool,
}

impl Maker {
    fn plan(mut self) -> Plan {
        let mut chain = self.chain();
        let calm_at = if self.hostile {
            50_000
        } else {
            self.dice.between(40_000, 120_000)
        };
        let nodes: Vec<NodePlan> = (0..self.dice.between(1, 3)).map(|_| self.node(&chain)).collect();
        let bundlers: Vec<BundlerPlan> = (0..self.dice.between(1, 2)).map(|_| self.bundler()).collect();
        let is_synced = !self.dice.chance(60);
        let is_file = self.dice.chance(30);
        let stores: Vec<StorePlan> = (0..self.dice.between(1, 2))
            .map(|_| StorePlan {
                is_synced: is_synced || is_file,
                is_file,
                latency: *self.dice.pick(&[0, 1, 3, 20]),
            })
            .collect();
        let mut processes = self.processes(&nodes, &bundlers, &stores);
        let mut wishes = self.wishes(&processes);
        self.spread(&processes, &mut wishes);
        let mut crashes = self.crashes(&processes);
        let mut events = self.events(&chain, &nodes, &bundlers, &processes, calm_at);
        if self.dice.chance(80) {
            self.leave_open(&mut processes, &mut wishes, &mut events);
        // Where there is a gap, nothing rides together.
        } else if !self.leave_gap(&mut chain, &mut processes, &mut wishes, &mut events) {
            self.revert_together(&mut chain, &mut processes, &mut wishes, &mut events);
        }
        self.transact(&mut processes, &mut wishes, &mut crashes, &mut events);
        let mut rates = self.rates(nodes.len() as u8);
        self.press(&mut processes, &mut rates);
        Plan {
            seed: self.seed,
            hostile: self.hostile,
            v08: false,
            agents: None,
            chain,
            nodes,
            bundlers,
            stores,
            processes,
            wishes,
            events,
            crashes,
            faults: Faults::Drawn(rates),
            calm_at,
        }
    }

    fn chain(&mut self) -> ChainPlan {
        let deepest = *self.dice.pick(&[0, 1, 2, 3, 4]);
        ChainPlan {
            interval: *self.dice.pick(&[1, 2, 2, 3, 5]),
            final_distance: deepest + 6 + self.dice.below(6),
            deepest,
        }
    }

    fn node(&mut self, chain: &ChainPlan) -> NodePlan {
        let dice = &mut self.dice;
        let most_lag = chain.final_distance - chain.deepest - 3;
        NodePlan {
            lag: if dice.chance(600) {
                0
            } else {
                dice.between(0, most_lag.min(4))
            },
            stays: dice.chance(500),
            tags: if dice.chance(900) {
                Tags::Known
            } else {
                *dice.pick(&[Tags::Null, Tags::NotFound, Tags::Unsupported, Tags::Stuck])
            },
            log_blocks: *dice.pick(&[None, None, Some(10), Some(3), Some(1_000)]),
            words: dice.below(9) as u8,
            state: if dice.chance(800) {
                None
            } else {
                Some(dice.between(4, 12))
            },
            unindexed: if dice.chance(800) { 0 } else { dice.between(1, 2) },
            has_fee_history: dice.chance(850),
            sees_pool: dice.chance(800),
        }
    }

    const fn bundler(&mut self) -> BundlerPlan {
        let dice = &mut self.dice;
        BundlerPlan {
            interval: dice.between(300, 3_000),
            lag: if dice.chance(700) { 0 } else { dice.between(1, 2) },
            most: dice.between(1, 4),
            manner: dice.below(1 << 32),
        }
    }

    fn processes(
        &mut self,
        nodes: &[NodePlan],
        bundlers: &[BundlerPlan],
        stores: &[StorePlan],
    ) -> Vec<ProcessPlan> {
        let dice = &mut self.dice;
        // A few roles, so that processes meet.
        let account = dice.below(ACCOUNTS.into()) as u8;
        let kind = *dice.pick(&[
            KeyKind::Free,
            KeyKind::Free,
            KeyKind::Budget,
            KeyKind::Token,
            KeyKind::Timed,
        ]);
        let main = Role::Key { account, kind };
        (0..dice.between(2, 4) as u8)
            .map(|number| {
                let role = match (number, dice.below(10)) {
                    (0, _) | (_, 0..=4) => main,
                    (_, 5) => Role::Owner { account: ACCOUNTS },
                    (_, 6 | 7) => Role::Owner { account },
                    (_, 8) => Role::Key {
                        account,
                        kind: *dice.pick(&KeyKind::ALL),
                    },
                    _ => Role::Key {
                        account: dice.below(ACCOUNTS.into()) as u8,
                        kind: *dice.pick(&KeyKind::ALL),
                    },
                };
                ProcessPlan {
                    number,
                    role,
                    store: if dice.chance(850) {
                        Some(dice.below(stores.len() as u64) as u8)
                    } else {
                        None
                    },
                    via: if dice.chance(800) {
                        Via::Bundler(dice.below(bundlers.len() as u64) as u8)
                    } else {
                        Via::Direct
                    },
                    node: dice.below(nodes.len() as u64) as u8,
                    is_sponsored: dice.chance(200),
                    clock: if dice.chance(800) {
                        0
                    } else {
                        dice.below(120_000) as i64 - 60_000
                    },
                    start: if dice.chance(500) { 0 } else { dice.below(20_000) },
                    resumes: dice.chance(700),
                    watches: dice.chance(150),
                }
            })
            .collect()
    }

    fn wishes(&mut self, processes: &[ProcessPlan]) -> Vec<WishPlan> {
        let dice = &mut self.dice;
        let count = dice.between(3, 8) as u8;
        let are_alike = dice.chance(300);
        let are_social = dice.chance(200);
        let main = match processes[0].role {
            Role::Key { kind, .. } => kind,
            Role::Owner { .. } => KeyKind::Free,
        };
        let mut named: Vec<(u8, Role)> = Vec::new();
        (0..count)
            .map(|number| {
                let process = if number < 2 {
                    &processes[usize::from(number)]
                } else {
                    dice.pick(processes)
                };
                let what = match process.role {
                    Role::Key { kind, .. } => match dice.below(20) {
                        0 | 1 => What::Batch,
                        2 => What::Revert,
                        3 => What::TooMuch,
                        4..=6 => What::PayToken,
                        _ if kind == KeyKind::Token => What::PayToken,
                        _ => What::Pay,
                    },
                    Role::Owner { account: ACCOUNTS } => *dice.pick(&[What::Pay, What::PayToken, What::Pay]),
                    Role::Owner { .. } => {
                        let kind = if dice.chance(600) {
                            main
                        } else {
                            *dice.pick(&KeyKind::ALL)
                        };
                        *dice.pick(&[
                            What::Pay,
                            What::Pay,
                            What::Grant,
                            What::Revoke(kind),
                            What::Rotate(kind),
                            What::Narrow(kind),
                            What::Widen(kind),
                            What::Unblock(kind),
                            What::Unblock(kind),
                        ])
                    }
                };
                let has_twin = are_alike || dice.chance(150);
                let is_named = dice.chance(450);
                let same = named.iter().find(|(_, role)| *role == process.role && !has_twin);
                let borrows = same.filter(|_| dice.chance(100)).map(|(number, _)| *number);
                if is_named && borrows.is_none() {
                    named.push((number, process.role));
                }
                WishPlan {
                    lane: None,
                    borrows,
                    number,
                    process: process.number,
                    at: if dice.chance(500) { 0 } else { dice.below(25_000) },
                    what,
                    twin: if has_twin { 0x80 } else { number },
                    is_named,
                    style: match dice.below(10) {
                        0 => Style::SendDrop,
                        1 => Style::Drop(dice.between(1, 15_000) as u32),
                        2 | 3 => Style::SendWait(dice.below(10_000) as u32),
                        _ => Style::Await,
                    },
                    follow: match dice.below(10) {
                        0 | 1 => Follow::Once,
                        2 if !is_named => Follow::Blind(dice.between(1, 4) as u8),
                        3 => Follow::Replace,
                        4 => Follow::SendAgain,
                        _ => Follow::Advised,
                    },
                    timeout: *dice.pick(&[2_000, 5_000, 10_000, 20_000, 45_000, 90_000]),
                    depth: match dice.below(10) {
                        0 => DepthPlan::Final,
                        1 => DepthPlan::Blocks(dice.between(1, 5)),
                        _ => DepthPlan::Latest,
                    },
                    shares: (are_social && matches!(process.role, Role::Key { .. }))
                        .then(|| dice.chance(500)),
                }
            })
            .collect()
    }

    /// Lets some keys use several lanes. A key with a gas limit cannot.
    fn spread(&mut self, processes: &[ProcessPlan], wishes: &mut [WishPlan]) {
        let mut dice = Dice::keyed(self.seed, &[0x1a9e]);
        if !dice.chance(150) {
            return;
        }
        let twins = Some(dice.between(1, 3) as u8);
        for wish in wishes {
            let lane = dice.chance(600).then(|| dice.between(1, 3) as u8);
            let role = processes.iter().find(|process| process.number == wish.process);
            let is_free = role.is_some_and(
                |process| matches!(process.role, Role::Key { kind, .. } if kind != KeyKind::Budget),
            );
            if is_free {
                // Equal wishes in different lanes are different wishes.
                wish.lane = if wish.twin == 0x80 { twins } else { lane };
            }
        }
    }

    fn events(
        &mut self,
        chain: &ChainPlan,
        nodes: &[NodePlan],
        bundlers: &[BundlerPlan],
        processes: &[ProcessPlan],
        calm_at: u64,
    ) -> Vec<EventPlan> {
        let dice = &mut self.dice;
        let count = *dice.pick(&[0, 1, 2, 4, 6]);
        let most_lag = (chain.final_distance - chain.deepest - 3).min(4);
        let mut events: Vec<EventPlan> = (0..count)
            .map(|_| {
                let event = match dice.below(12) {
                    0..=3 if chain.deepest > 0 => Event::Reorganize {
                        depth: dice.between(1, chain.deepest),
                        forgotten: *dice.pick(&[0, 200, 500, 1_000]),
                        unnoticed: *dice.pick(&[0, 1_000, 4_000]),
                    },
                    4 => Event::Jump {
                        process: dice.pick(processes).number,
                        millis: *dice.pick(&[-3_600_000, -30_000, -2_000, 2_000, 40_000, 3_600_000]),
                    },
                    5 | 6 => Event::Forget {
                        bundler: dice.below(bundlers.len() as u64) as u8,
                    },
                    7 => Event::BaseFee {
                        gwei: *dice.pick(&[2, 5, 20]),
                    },
                    8 => Event::Congestion {
                        millis: dice.between(2_000, 20_000),
                    },
                    9 => Event::Away {
                        bundler: dice.below(bundlers.len() as u64) as u8,
                        millis: dice.between(1_000, 20_000),
                    },
                    _ => Event::Lag {
                        node: dice.below(nodes.len() as u64) as u8,
                        lag: dice.between(0, most_lag),
                    },
                };
                EventPlan {
                    at: dice.between(1_000, calm_at),
                    event,
                }
            })
            .collect();
        events.sort_by_key(|event| event.at);
        events
    }

    /// Some histories have more of what is rare otherwise: operations that never leave,
    /// and paymasters' faults.
    fn press(&self, processes: &mut [ProcessPlan], rates: &mut Rates) {
        let mut dice = Dice::keyed(self.seed, &[0x9e55]);
        if self.hostile {
            return;
        }
        if dice.chance(60) {
            rates.unreached = 400;
        } else if dice.chance(120) {
            for process in processes {
                process.is_sponsored = true;
            }
            rates.ask_paymaster = 200;
        }
    }

    /// A key's operation that its bundler forgets and its caller gives up, and an owner who ends it.
    fn leave_open(
        &mut self,
        processes: &mut [ProcessPlan],
        wishes: &mut [WishPlan],
        events: &mut Vec<EventPlan>,
    ) {
        let (dice, Role::Key { account, kind }) = (&mut self.dice, processes[0].role) else {
            return;
        };
        // In another lane it stays open, and reserves what it may use.
        let lane = (kind == KeyKind::Token && Dice::keyed(self.seed, &[0x0937]).chance(500)).then_some(1);
        processes[0].store = Some(0);
        processes[0].via = Via::Bundler(0);
        processes[0].start = 0;
        processes[1].store = Some(0);
        processes[1].role = Role::Owner { account };
        for wish in wishes.iter_mut().filter(|wish| wish.process <= 1) {
            if wish.process == 0 {
                wish.lane = lane;
                wish.follow = Follow::Once;
                wish.style = Style::Await;
                wish.timeout = *dice.pick(&[2_000, 5_000]);
            } else {
                wish.what = What::Unblock(kind);
                wish.shares = None;
                wish.borrows = None;
                wish.at = dice.between(2_000, 12_000);
            }
        }
        let forget = |at| EventPlan {
            at,
            event: Event::Forget { bundler: 0 },
        };
        events.splice(0..0, [250, 400, 600, 900].map(forget));
        events.sort_by_key(|event| event.at);
    }

    /// Two work in one lane, most of them without knowing of each other. A reorganization undoes what both
    /// have done, and one of them does not look any more: the other's operation waits above a gap.
    fn leave_gap(
        &self,
        chain: &mut ChainPlan,
        processes: &mut [ProcessPlan],
        wishes: &mut [WishPlan],
        events: &mut Vec<EventPlan>,
    ) -> bool {
        let mut dice = Dice::keyed(self.seed, &[0x6a90]);
        let Role::Key { account, kind } = processes[0].role else {
            return false;
        };
        if !dice.chance(220) {
            return false;
        }
        let is_owner = dice.chance(200);
        // In one journal, the lower operation is known: the other waits for it, and not above a gap.
        let is_known = Dice::keyed(self.seed, &[0x6a91]).chance(400);
        // As many blocks as two operations take can be undone; nodes are no less behind than before.
        let deeper = 6_u64.saturating_sub(chain.deepest);
        chain.deepest += deeper;
        chain.final_distance += deeper;
        for process in &mut processes[..2] {
            process.start = 0;
            if is_owner {
                process.role = Role::Owner { account };
            } else {
                process.role = Role::Key { account, kind };
            }
        }
        // With it goes what it knows.
        processes[0].store = is_known.then_some(0);
        if is_known {
            processes[1].store = Some(0);
        }
        processes[0].resumes = false;
        processes[0].watches = false;
        let block = chain.interval * 1_000;
        let mut theirs = Vec::new();
        for wish in wishes.iter_mut() {
            if wish.number == 2 {
                wish.process = 1;
            }
            if wish.process > 1 {
                continue;
            }
            theirs.push(wish.number);
            wish.lane = None;
            let is_possible = matches!(
                wish.what,
                What::Pay | What::PayToken | What::Batch | What::Revert | What::TooMuch
            );
            if wish.number <= 2 || is_owner || !is_possible {
                wish.what = match kind {
                    KeyKind::Token => What::PayToken,
                    _ => What::Pay,
                };
            }
            if is_owner {
                wish.shares = None;
            }
            match wish.number {
                0 => {
                    wish.at = 0;
                    wish.style = Style::Await;
                    wish.depth = DepthPlan::Latest;
                }
                1 => wish.at = dice.between(block, 2 * block),
                2 => wish.at = dice.between(2 * block, 4 * block),
                _ => {}
            }
            // Whoever gives up too early sends nothing.
            if wish.number <= 2 {
                wish.timeout = wish.timeout.max(20_000);
            }
            // Whoever waits for depth, and asks afterwards, sees what is undone.
            if matches!(wish.number, 1 | 2)
                && Dice::keyed(self.seed, &[0x6a92, wish.number.into()]).chance(600)
            {
                wish.depth = DepthPlan::Final;
                wish.style = Style::Await;
                wish.follow = Follow::Advised;
                wish.timeout = 10_000;
            }
            // What comes next fills the gap.
            if wish.number > 2 {
                wish.at += 40_000;
            }
        }
        for wish in wishes.iter_mut() {
            // Names are of one signer.
            if theirs.contains(&wish.number) || wish.borrows.is_some_and(|from| theirs.contains(&from)) {
                wish.borrows = None;
            }
        }
        for at in [0, dice.between(10_000, 30_000)] {
            let unnoticed = *dice.pick(&[0, 0, 1_000, 4_000]);
            events.push(EventPlan {
                at,
                event: Event::UndoTwo { unnoticed },
            });
        }
        events.sort_by_key(|event| event.at);
        true
    }

    /// Owners who also send plain transactions: they share their nonces, and what makes these wait are fees
    /// and reorganizations.
    fn transact(
        &self,
        processes: &mut Vec<ProcessPlan>,
        wishes: &mut Vec<WishPlan>,
        crashes: &mut Vec<CrashPlan>,
        events: &mut Vec<EventPlan>,
    ) {
        let mut dice = Dice::keyed(self.seed, &[0x7a25]);
        if !dice.chance(150) {
            return;
        }
        let (first, account) = (processes[0], processes[0].role.account());
        for _ in 0..dice.between(1, 2) {
            let number = processes.len() as u8;
            processes.push(ProcessPlan {
                number,
                role: Role::Owner { account },
                store: None,
                node: processes[dice.below(number.into()) as usize].node,
                is_sponsored: false,
                clock: 0,
                start: *dice.pick(&[0, 0, 3_000, 12_000]),
                resumes: false,
                watches: false,
                ..first
            });
            for _ in 0..dice.between(1, 2) {
                let wish = wishes.len() as u8;
                wishes.push(WishPlan {
                    number: wish,
                    process: number,
                    at: *dice.pick(&[0, 0, 2_000, 15_000]),
                    what: What::Transact,
                    twin: wish,
                    is_named: false,
                    style: match dice.below(4) {
                        0 => Style::Drop(dice.between(1, 15_000) as u32),
                        _ => Style::Await,
                    },
                    follow: if dice.chance(150) {
                        Follow::Once
                    } else {
                        Follow::Advised
                    },
                    timeout: 90_000,
                    depth: DepthPlan::Latest,
                    shares: None,
                    borrows: None,
                    lane: None,
                });
            }
            for life in 0..*dice.pick(&[0, 0, 1, 2]) {
                let most = *dice.pick(&[20, 60, 200]);
                crashes.push(CrashPlan {
                    process: number,
                    life,
                    polls: dice.between(1, most),
                    restart: if dice.chance(850) {
                        Some(*dice.pick(&[10, 500, 3_000, 20_000]))
                    } else {
                        None
                    },
                });
            }
        }
        if dice.chance(500) {
            events.push(EventPlan {
                at: dice.between(500, 20_000),
                event: Event::BaseFee {
                    gwei: *dice.pick(&[5, 20]),
                },
            });
            events.push(EventPlan {
                at: dice.between(500, 10_000),
                event: Event::Congestion {
                    millis: dice.between(2_000, 20_000),
                },
            });
            events.sort_by_key(|event| event.at);
        }
    }

    /// Intents ride together, with calls that revert in some blocks. A reorganization undoes what has
    /// reverted, while those that may go alone after that wait until it is final.
    fn revert_together(
        &self,
        chain: &mut ChainPlan,
        processes: &mut [ProcessPlan],
        wishes: &mut [WishPlan],
        events: &mut Vec<EventPlan>,
    ) {
        let mut dice = Dice::keyed(self.seed, &[0xf1c1]);
        let may_call = matches!(processes[0].role, Role::Key { kind, .. } if kind != KeyKind::Token);
        if !may_call || !dice.chance(150) {
            return;
        }
        let deeper = 3_u64.saturating_sub(chain.deepest);
        chain.deepest += deeper;
        chain.final_distance += deeper;
        processes[0].start = 0;
        let mut theirs = Vec::new();
        for wish in wishes.iter_mut() {
            // The second one is another process's.
            if matches!(wish.number, 2 | 3) {
                wish.process = 0;
            }
            if wish.process != 0 {
                continue;
            }
            theirs.push(wish.number);
            wish.at = 0;
            // What would revert at once does not take the others along.
            wish.what = if wish.number > 0 && dice.chance(700) {
                What::Fickle
            } else {
                What::Pay
            };
            wish.shares = Some(dice.chance(750));
            wish.lane = None;
            wish.style = Style::Await;
            wish.timeout = 90_000;
        }
        for wish in wishes.iter_mut() {
            // What has the same name would be the same.
            if theirs.contains(&wish.number) || wish.borrows.is_some_and(|from| theirs.contains(&from)) {
                wish.borrows = None;
            }
        }
        let unnoticed = *dice.pick(&[0, 0, 1_000, 4_000]);
        events.push(EventPlan {
            at: 0,
            event: Event::UndoReverted { unnoticed },
        });
        events.sort_by_key(|event| event.at);
    }

    fn crashes(&mut self, processes: &[ProcessPlan]) -> Vec<CrashPlan> {
        let dice = &mut self.dice;
        let mut crashes = Vec::new();
        for process in processes {
            if !dice.chance(400) {
                continue;
            }
            for life in 0..dice.between(1, 2) as u8 {
                let most = *dice.pick(&[30, 100, 300, 800]);
                crashes.push(CrashPlan {
                    process: process.number,
                    life,
                    polls: dice.between(1, most),
                    restart: if dice.chance(850) {
                        Some(*dice.pick(&[10, 500, 3_000, 20_000, 40_000]))
                    } else {
                        None
                    },
                });
            }
        }
        crashes
    }

    fn rates(&mut self, nodes: u8) -> Rates {
        let dice = &mut self.dice;
        let hostile = if self.hostile {
            *dice.pick(&[30, 150, 400, 800])
        } else {
            0
        };
        let mut rate = |rates: &[u16]| *dice.pick(rates);
        Rates {
            early: false,
            hostile,
            send: rate(&[0, 100, 300, 600]),
            ask_bundler: rate(&[0, 30, 100, 250]),
            ask_node: rate(&[0, 8, 25, 70]),
            store: rate(&[0, 0, 0, 10, 40]),
            bundle: rate(&[0, 100, 300]),
            nodes,
            unreached: 0,
            ask_paymaster: 0,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChainPlan {
            interval,
            final_distance,
            deepest,
        } = self.chain;
        if let Some(agents) = &self.agents {
            writeln!(f, "{agents:?}")?;
        }
        writeln!(
            f,
            "a block every {interval} s, final {final_distance} blocks below the newest, reorganized at most {deepest} deep; \
             faults until {} ms",
            self.calm_at
        )?;
        for (index, node) in self.nodes.iter().enumerate() {
            writeln!(f, "node {index}: {node:?}")?;
        }
        for (index, bundler) in self.bundlers.iter().enumerate() {
            writeln!(f, "bundler {index}: {bundler:?}")?;
        }
        for (index, store) in self.stores.iter().enumerate() {
            writeln!(f, "store {index}: {store:?}")?;
        }
        for process in &self.processes {
            writeln!(f, "{process:?}")?;
            for wish in self.wishes_of(process.number) {
                writeln!(f, "  {wish:?}")?;
            }
        }
        for event in &self.events {
            writeln!(f, "{event:?}")?;
        }
        for crash in &self.crashes {
            writeln!(f, "{crash:?}")?;
        }
        match &self.faults {
            Faults::Drawn(rates) => writeln!(f, "{rates:?}"),
            Faults::Listed(listed) => listed
                .iter()
                .try_for_each(|(spot, fault)| writeln!(f, "fault: {spot}: {fault}")),
        }
    }
}
