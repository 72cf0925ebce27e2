//! What goes wrong with messages and stores: drawn from the seed, or listed.

use crate::{
    dice::Dice,
    spot::{Actor, Spot, Step},
    words::{self, FIELD_ERRORS},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// What goes wrong with one message, or one access to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No connection is made, and the transport knows it.
    NotReached,
    /// It is lost on its way. The sender notices a lost connection, or nothing at all.
    Lost {
        /// Whether the connection is seen to be lost.
        reset: bool,
    },
    /// It arrives, and the answer is lost.
    AnswerLost {
        /// Whether the connection is seen to be lost.
        reset: bool,
    },
    /// It arrives late.
    Late {
        /// By so many milliseconds.
        millis: u32,
    },
    /// The answer arrives late.
    AnswerLate {
        /// By so many milliseconds.
        millis: u32,
    },
    /// It arrives twice.
    Twice {
        /// Milliseconds between the two.
        millis: u32,
    },
    /// Another node answers.
    OtherView {
        /// Which.
        node: u8,
    },
    /// The answer is cut.
    Cut {
        /// How much of it is left, in thousandths.
        per_mille: u16,
    },
    /// The answer is one of the field's errors.
    Said {
        /// Its index.
        index: u16,
        /// Whether the request was acted on all the same.
        acted: bool,
    },
    /// The answer is right, in another form.
    Reformed {
        /// Which form.
        form: u8,
    },
    /// A bundler, or a cache before it, answers something that is not true.
    Lie {
        /// Which lie.
        lie: u8,
    },
    /// The answer is one of somebody who wants to do harm.
    Hostile {
        /// Which.
        seed: u32,
    },
    /// The store fails before it has written.
    StoreFailsBefore,
    /// The store fails after it has written.
    StoreFailsAfter,
    /// The store does not come back.
    StoreHangs {
        /// Whether it has written.
        applied: bool,
    },
}

/// Lies of bundlers, and of caches in front of them.
pub(crate) const LIES: u8 = 5;
/// Forms of right answers.
pub(crate) const FORMS: u8 = 4;

/// The kinds of faults that messages of a step can meet, by whom they are for.
pub(crate) fn possible(step: Step) -> Vec<&'static str> {
    let mut kinds = match step {
        Step::JournalRead => vec!["store fails", "store hangs"],
        Step::JournalWrite => vec!["store fails", "store fails, written", "store hangs"],
        // No process is in it.
        Step::Bundle => return vec!["lost", "late", "twice"],
        _ => vec![
            "not reached",
            "lost",
            "answer lost",
            "late",
            "answer late",
            "twice",
            "answer cut",
            "error",
            "error, acted on",
        ],
    };
    if matches!(
        step,
        Step::Fees | Step::Estimate | Step::Send | Step::Hint | Step::Resume
    ) {
        // Bundlers are asked.
        kinds.extend(["lie", "other form"]);
    }
    if !matches!(
        step,
        Step::JournalRead | Step::JournalWrite | Step::Stub | Step::Sponsor | Step::Send
    ) {
        // Nodes are asked.
        kinds.push("other view");
    }
    kinds.push("crash");
    kinds
}

impl Fault {
    /// The kind, in a word or two.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotReached => "not reached",
            Self::Lost { .. } => "lost",
            Self::AnswerLost { .. } => "answer lost",
            Self::Late { .. } => "late",
            Self::AnswerLate { .. } => "answer late",
            Self::Twice { .. } => "twice",
            Self::OtherView { .. } => "other view",
            Self::Cut { .. } => "answer cut",
            Self::Said { acted: false, .. } => "error",
            Self::Said { acted: true, .. } => "error, acted on",
            Self::Reformed { .. } => "other form",
            Self::Lie { .. } => "lie",
            Self::Hostile { .. } => "hostile",
            Self::StoreFailsBefore => "store fails",
            Self::StoreFailsAfter => "store fails, written",
            Self::StoreHangs { .. } => "store hangs",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { reset: false } => f.write_str("lost without a trace"),
            Self::AnswerLost { reset: false } => f.write_str("answer lost without a trace"),
            Self::Late { millis } => write!(f, "late by {millis} ms"),
            Self::AnswerLate { millis } => write!(f, "answer late by {millis} ms"),
            Self::Twice { millis } => write!(f, "twice, {millis} ms apart"),
            Self::OtherView { node } => write!(f, "answered by node {node}"),
            Self::Said { index, acted } => {
                let verb = if *acted {
                    "acted on, and answered"
                } else {
                    "answered"
                };
                match FIELD_ERRORS.get(usize::from(*index)) {
                    Some(error) => write!(f, "{verb} {} {:?}", error.status, error.body),
                    None => write!(f, "{verb} with error {index}"),
                }
            }
            Self::Lie { lie } => write!(f, "lie {lie}"),
            Self::Reformed { form } => write!(f, "form {form}"),
            Self::StoreHangs { applied: true } => f.write_str("store hangs, after it has written"),
            other => f.write_str(other.kind()),
        }
    }
}

/// How often something goes wrong, in thousandths of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Of messages that hand something over.
    pub send: u16,
    /// Of messages that ask bundlers and the paymaster.
    pub ask_bundler: u16,
    /// Of messages that ask nodes.
    pub ask_node: u16,
    /// Of accesses to stores.
    pub store: u16,
    /// Of bundlers' transactions.
    pub bundle: u16,
    /// How many nodes there are.
    pub nodes: u8,
    /// Of all messages, those that somebody answers who wants to do harm.
    #[serde(default)]
    pub hostile: u16,
    /// Whether the very first two messages go wrong: where processes crash so early that there are few.
    #[serde(default)]
    pub early: bool,
}

/// What goes wrong in a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Faults {
    /// As the seed says.
    Drawn(Rates),
    /// Only this.
    Listed(Vec<(Spot, Fault)>),
}

/// Decides for each message, and remembers what it decided.
#[derive(Debug)]
pub(crate) struct Fates {
    seed: u64,
    source: Source,
    counts: BTreeMap<(Actor, Actor, Step), u32>,
    /// How many messages processes have sent.
    messages: u64,
    /// Which of the first messages go wrong whatever the rates are: something goes wrong in every history.
    certain: [u64; 2],
    pub(crate) happened: Vec<(Spot, Fault)>,
}

/// Among so many first messages of a history are two that go wrong.
const FIRST_MESSAGES: u64 = 12;

#[derive(Debug)]
enum Source {
    Drawn(Rates),
    Listed(BTreeMap<Spot, Fault>),
}

impl Fates {
    pub(crate) fn new(seed: u64, faults: &Faults) -> Self {
        let mut dice = Dice::keyed(seed, &[0xce47]);
        let first = dice.below(FIRST_MESSAGES);
        let second = (first + 1 + dice.below(FIRST_MESSAGES - 1)) % FIRST_MESSAGES;
        let certain = match faults {
            Faults::Drawn(rates) if rates.early => [0, 1],
            _ => [first, second],
        };
        Self {
            seed,
            messages: 0,
            certain,
            source: match faults {
                Faults::Drawn(rates) => Source::Drawn(*rates),
                Faults::Listed(listed) => Source::Listed(listed.iter().copied().collect()),
            },
            counts: BTreeMap::new(),
            happened: Vec::new(),
        }
    }

    /// How many messages processes have sent.
    pub(crate) const fn messages(&self) -> u64 {
        self.messages
    }

    /// Where the next such message is.
    pub(crate) fn next_spot(&mut self, from: Actor, to: Actor, step: Step) -> Spot {
        let count = self.counts.entry((from, to, step)).or_default();
        let nth = *count;
        *count += 1;
        Spot { from, to, step, nth }
    }

    /// What goes wrong with a message, if anything does. After the calm nothing does.
    pub(crate) fn decide(&mut self, spot: Spot, is_calm: bool) -> Option<Fault> {
        let is_message = matches!(spot.from, Actor::Process(_)) && !matches!(spot.to, Actor::Store(_));
        let is_certain = is_message && self.certain.contains(&self.messages);
        self.messages += u64::from(is_message);
        let fault = match &self.source {
            _ if is_calm => None,
            Source::Listed(listed) => listed.get(&spot).copied(),
            Source::Drawn(rates) => draw(self.seed, rates, spot, is_certain),
        }?;
        self.happened.push((spot, fault));
        Some(fault)
    }
}

fn draw(seed: u64, rates: &Rates, spot: Spot, is_certain: bool) -> Option<Fault> {
    let Spot { from, to, step, nth } = spot;
    let mut dice = Dice::keyed(seed, &[0xfa, from.number(), to.number(), step as u64, nth.into()]);
    let is_message = !matches!(to, Actor::Store(_)) && step != Step::Bundle;
    if is_message && dice.chance(rates.hostile.into()) {
        return Some(Fault::Hostile {
            seed: dice.next() as u32,
        });
    }
    let rate = match (to, step) {
        (Actor::Store(_), _) => rates.store,
        (_, Step::Bundle) => rates.bundle,
        (_, Step::Send) => rates.send,
        // Nodes are rarely asked where an operation stands, and paymasters rarely asked at all.
        (Actor::Node(_), Step::Hint | Step::Receipt) => 4 * rates.ask_node,
        (Actor::Node(_), _) => rates.ask_node,
        (Actor::Paymaster, _) => 2 * rates.ask_bundler,
        _ => rates.ask_bundler,
    };
    if !dice.chance(rate.into()) && !is_certain {
        return None;
    }
    let millis = |dice: &mut Dice| match dice.below(4) {
        0 => dice.between(20, 500) as u32,
        1 => dice.between(500, 4_000) as u32,
        2 => dice.between(4_000, 20_000) as u32,
        _ => dice.between(20_000, 60_000) as u32,
    };
    if let Actor::Store(_) = to {
        return Some(match (step, dice.below(10)) {
            (Step::JournalRead, 0) => Fault::StoreHangs { applied: false },
            (Step::JournalRead, _) => Fault::StoreFailsBefore,
            (_, 0) => Fault::StoreHangs {
                applied: dice.chance(500),
            },
            (_, 1..=4) => Fault::StoreFailsAfter,
            _ => Fault::StoreFailsBefore,
        });
    }
    if step == Step::Bundle {
        return Some(match dice.below(3) {
            0 => Fault::Lost { reset: false },
            1 => Fault::Late {
                millis: millis(&mut dice),
            },
            _ => Fault::Twice {
                millis: millis(&mut dice),
            },
        });
    }
    let is_node = matches!(to, Actor::Node(_));
    let is_bundler = matches!(to, Actor::Bundler(_));
    let fault = match dice.below(20) {
        0 => Fault::NotReached,
        1 | 2 => Fault::Lost {
            reset: dice.chance(700),
        },
        3 | 4 => Fault::AnswerLost {
            reset: dice.chance(700),
        },
        5 => Fault::Late {
            millis: millis(&mut dice),
        },
        6 => Fault::AnswerLate {
            millis: millis(&mut dice),
        },
        7 => Fault::Twice {
            millis: millis(&mut dice),
        },
        8 => Fault::Cut {
            per_mille: dice.below(1_000) as u16,
        },
        9 | 10 if is_bundler => Fault::Lie {
            lie: dice.below(LIES.into()) as u8,
        },
        11 if is_bundler => Fault::Reformed {
            form: dice.below(FORMS.into()) as u8,
        },
        9..=11 if is_node && rates.nodes > 1 && step != Step::Send => Fault::OtherView {
            node: dice.below(rates.nodes.into()) as u8,
        },
        _ => {
            let fitting = words::fitting(is_node, step);
            let judgements: Vec<usize> = fitting
                .iter()
                .copied()
                .filter(|index| FIELD_ERRORS[*index].is_judgement())
                .collect();
            let from = if judgements.is_empty() || dice.chance(500) {
                &fitting
            } else {
                &judgements
            };
            Fault::Said {
                index: *dice.pick(from) as u16,
                acted: dice.chance(400),
            }
        }
    };
    Some(fault)
}
