//! Faults of messages and stores, drawn from the seed or listed in the plan.

use crate::{
    dice::Dice,
    spot::{Actor, Spot, Step},
    words::{self, FIELD_ERRORS},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A fault of one message or one store access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection fails, and the transport reports it.
    NotReached,
    /// The message is lost. The sender sees a connection reset, or no answer at all.
    Lost {
        /// Whether the sender sees a connection reset.
        reset: bool,
    },
    /// The message arrives, but the answer is lost.
    AnswerLost {
        /// Whether the sender sees a connection reset.
        reset: bool,
    },
    /// The message arrives late.
    Late {
        /// The delay in milliseconds.
        millis: u32,
    },
    /// The answer arrives late.
    AnswerLate {
        /// The delay in milliseconds.
        millis: u32,
    },
    /// The message arrives twice.
    Twice {
        /// The time between the two in milliseconds.
        millis: u32,
    },
    /// Another node answers.
    OtherView {
        /// The node that answers.
        node: u8,
    },
    /// The answer is truncated.
    Cut {
        /// The part of the answer that remains, in thousandths.
        per_mille: u16,
    },
    /// The answer is one of the errors seen in the field.
    Said {
        /// Index of the error.
        index: u16,
        /// Whether the request is executed in spite of the error.
        acted: bool,
    },
    /// The answer is correct, but in another form.
    Reformed {
        /// Number of the form.
        form: u8,
    },
    /// A bundler, or a cache in front of it, gives a false answer.
    Lie {
        /// Number of the lie.
        lie: u8,
    },
    /// The answer comes from an attacker.
    Hostile {
        /// Seed of the answer.
        seed: u32,
    },
    /// The store fails before it writes.
    StoreFailsBefore,
    /// The store fails after it has written.
    StoreFailsAfter,
    /// The store never returns.
    StoreHangs {
        /// Whether it has written before.
        applied: bool,
    },
}

/// Number of lies that bundlers, and caches in front of them, can answer.
pub(crate) const LIES: u8 = 5;
/// Number of other forms that correct answers can have.
pub(crate) const FORMS: u8 = 4;

/// Returns the kinds of faults that can affect messages of a step.
pub(crate) fn possible(step: Step) -> Vec<&'static str> {
    let mut kinds = match step {
        Step::JournalRead => vec!["store fails", "store hangs"],
        Step::JournalWrite => vec!["store fails", "store fails, written", "store hangs"],
        // No process takes part.
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
        // These steps ask bundlers.
        kinds.extend(["lie", "other form"]);
    }
    if !matches!(
        step,
        Step::JournalRead | Step::JournalWrite | Step::Stub | Step::Sponsor | Step::Send
    ) {
        // These steps ask nodes.
        kinds.push("other view");
    }
    kinds.push("crash");
    kinds
}

impl Fault {
    /// Returns the name of the kind.
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
                    "executed, but answered"
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
            Self::StoreHangs { applied: true } => f.write_str("store hangs after writing"),
            other => f.write_str(other.kind()),
        }
    }
}

/// Rates of faults, per thousand messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Messages that submit an operation or a transaction.
    pub send: u16,
    /// Requests to bundlers and the paymaster.
    pub ask_bundler: u16,
    /// Requests to nodes.
    pub ask_node: u16,
    /// Store accesses.
    pub store: u16,
    /// Bundlers' transactions.
    pub bundle: u16,
    /// The number of nodes.
    pub nodes: u8,
    /// Messages answered by an attacker, per thousand of all messages.
    #[serde(default)]
    pub hostile: u16,
    /// Whether the first two messages always meet a fault. Set where processes crash so early that they send
    /// few messages.
    #[serde(default)]
    pub early: bool,
    /// Messages that submit something and are not reached by anyone, per thousand, in addition to `send`.
    #[serde(default)]
    pub unreached: u16,
    /// Requests to the paymaster, in addition to twice `ask_bundler`.
    #[serde(default)]
    pub ask_paymaster: u16,
}

/// The faults of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Faults {
    /// Drawn from the seed at these rates.
    Drawn(Rates),
    /// Exactly these.
    Listed(Vec<(Spot, Fault)>),
}

/// Decides the fault of each message and records the decisions.
#[derive(Debug)]
pub(crate) struct Fates {
    seed: u64,
    source: Source,
    counts: BTreeMap<(Actor, Actor, Step), u32>,
    /// The number of messages that processes have sent.
    messages: u64,
    /// Indices of the early messages that meet a fault regardless of the rates, so that every history has
    /// faults.
    certain: [u64; 2],
    pub(crate) happened: Vec<(Spot, Fault)>,
}

/// Two of this many first messages of a history always meet a fault.
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

    /// Returns the number of messages that processes have sent.
    pub(crate) const fn messages(&self) -> u64 {
        self.messages
    }

    /// Returns the spot of the next message with this sender, receiver and step.
    pub(crate) fn next_spot(&mut self, from: Actor, to: Actor, step: Step) -> Spot {
        let count = self.counts.entry((from, to, step)).or_default();
        let nth = *count;
        *count += 1;
        Spot { from, to, step, nth }
    }

    /// Returns the fault of a message, if any. After the calm has begun, there are none.
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
    if step == Step::Send && rates.unreached > 0 && dice.chance(rates.unreached.into()) {
        return Some(Fault::NotReached);
    }
    let rate = match (to, step) {
        (Actor::Store(_), _) => rates.store,
        (_, Step::Bundle) => rates.bundle,
        (_, Step::Send) => rates.send,
        // Requests to nodes at these steps, and to paymasters in general, are rare.
        (Actor::Node(_), Step::Hint | Step::Receipt) => 4 * rates.ask_node,
        (Actor::Node(_), _) => rates.ask_node,
        (Actor::Paymaster, _) => 2 * rates.ask_bundler + rates.ask_paymaster,
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
