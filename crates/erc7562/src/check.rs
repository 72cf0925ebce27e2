//! The rules, applied to a trace.

use crate::{
    Rule,
    operation::{Parties, Role},
    trace::{Answers, Event, Outcome, Place, StorageKey, StorageUse, Trace},
};
use revm::{
    bytecode::opcode::{self, OpCode},
    primitives::{Address, B256, U256},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Where an account's or a signature's validity is not a matter of an aggregator: the lowest addresses of its
/// validation data.
const SIGNATURE_FAILED: u8 = 1;

/// What an entity has locked in the EntryPoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stake {
    /// In wei.
    pub amount: U256,
    /// Seconds from unlocking to withdrawal.
    pub unstake_delay: u64,
}

/// What entities have locked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stakes {
    /// By address; none stands for no stake.
    pub of: BTreeMap<Address, Stake>,
}

/// What differs from one bundler, chain or EntryPoint to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The stake from which an entity counts as staked, in wei. Source: `MIN_STAKE_VALUE`, which every chain
    /// sets for itself.
    pub min_stake: U256,
    /// The unstake delay from which an entity counts as staked, in seconds. Source:
    /// `MIN_UNSTAKE_DELAY`, one day.
    pub min_unstake_delay: u64,
    /// Precompiles that may be called. Source: OP-062, 1 to 9; RIP-7212 (0x100) on networks that have it.
    pub precompiles: BTreeSet<Address>,
    /// Whether EREP-050 is enforced: the ERC dropped it, bundlers apply it to EntryPoint v0.6.
    pub refuses_context_without_stake: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_stake: U256::from(1_000_000_000_000_000_000_u64),
            min_unstake_delay: 86_400,
            precompiles: (1..=9).map(Address::with_last_byte).collect(),
            refuses_context_without_stake: false,
        }
    }
}

impl Policy {
    /// Whether so much is enough to count as staked.
    #[must_use]
    pub fn is_staked(&self, stake: Stake) -> bool {
        !stake.amount.is_zero()
            && stake.amount >= self.min_stake
            && stake.unstake_delay >= self.min_unstake_delay
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The entity whose phase it is.
    pub role: Role,
    /// Its address.
    pub entity: Address,
    /// Where it happens, if at one place.
    pub place: Option<Place>,
    /// The address that is accessed, called or created, or whose storage or code it is, if any.
    pub address: Option<Address>,
    /// The word of storage, if any.
    pub slot: Option<U256>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.rule, self.role, self.entity)?;
        match self.rule {
            Rule::Cod010 => write!(f, " rests on code that changed")?,
            Rule::Erep040 | Rule::Erep050 => write!(f, " has no stake")?,
            Rule::Op020 => write!(f, " runs out of gas")?,
            _ => (),
        }
        if let Some(place) = self.place {
            write!(
                f,
                " by {} at {} of {}",
                opcode_name(place.opcode),
                place.pc,
                place.contract
            )?;
        }
        if let Some(slot) = self.slot {
            write!(f, ", word {slot:#x}")?;
        }
        if let Some(address) = self.address {
            write!(f, ", address {address}")?;
        }
        Ok(())
    }
}

/// An opcode's name, as clients print it; what is none has a number.
#[must_use]
pub fn opcode_name(code: u8) -> String {
    match code {
        // Still the name that traces have for it.
        opcode::DIFFICULTY => "DIFFICULTY".into(),
        _ => OpCode::new(code).map_or_else(|| format!("opcode {code:#04x}"), |known| known.as_str().into()),
    }
}

/// The judgement of a validation.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended. What breaks no rule can fail all the same.
    pub outcome: Outcome,
    /// The broken rules, in the order of the trace, those of storage and stake behind.
    pub violations: Vec<Violation>,
    /// What entities answered.
    pub answers: Answers,
    /// The aggregator that the account names, if any.
    pub aggregator: Option<Address>,
    /// The hash of the code at every address that was used, for the second validation (COD-010).
    pub code: BTreeMap<Address, B256>,
    /// Every word of storage that was used, and with which party it is associated: for a pool's
    /// own rules (STO-041).
    pub storage: Vec<(StorageKey, StorageUse, Option<Role>)>,
}

impl Report {
    /// The code that changed since an earlier validation of the same operation (COD-010).
    #[must_use]
    pub fn changed_code(&self, earlier: &Self, parties: &Parties) -> Vec<Violation> {
        let changed = earlier
            .code
            .iter()
            .filter(|(address, hash)| self.code.get(*address).is_some_and(|now| now != *hash));
        changed
            .map(|(address, _)| Violation {
                rule: Rule::Cod010,
                role: parties.role_of(*address).unwrap_or(Role::Account),
                entity: parties.sender,
                place: None,
                address: Some(*address),
                slot: None,
            })
            .collect()
    }

    /// Who is answerable for a validation that fails behind the pool's back, after it passed once, with the
    /// stakes that were judged. Source: ERC-7562, EREP-015, EREP-020 and EREP-030.
    #[must_use]
    pub fn accountable(&self, parties: &Parties, stakes: &Stakes, policy: &Policy) -> Option<Role> {
        let failed = match (&self.outcome, self.violations.first()) {
            (_, Some(violation)) => violation.role,
            (Outcome::Failed { reason, .. }, None) => match reason.get(..3) {
                Some("AA1") => Role::Factory,
                Some("AA2") => Role::Account,
                Some("AA3") => Role::Paymaster,
                _ => return None,
            },
            _ => return None,
        };
        let is_staked = |role: Role| {
            let address = parties.address_of(role);
            address.is_some_and(|address| stakes.are_enough(address, policy))
        };
        Some(match failed {
            Role::Account if parties.factory.is_some() && is_staked(Role::Factory) => Role::Factory,
            Role::Paymaster | Role::Aggregator if is_staked(Role::Account) => Role::Account,
            role => role,
        })
    }
}

impl Stakes {
    fn are_enough(&self, address: Address, policy: &Policy) -> bool {
        let stake = self.of.get(&address).copied().unwrap_or_default();
        policy.is_staked(stake)
    }
}

/// The authorizer of validation data, if it is an aggregator.
pub(crate) fn aggregator_in(data: U256) -> Option<Address> {
    let address = Address::from_word(data.into());
    (address > Address::with_last_byte(SIGNATURE_FAILED)).then_some(address)
}

/// Judges a trace.
#[must_use]
pub fn check(trace: &Trace, stakes: &Stakes, policy: &Policy) -> Report {
    let mut check = Check {
        trace,
        stakes,
        policy,
        violations: Vec::new(),
        creations: 0,
    };
    for (place, event) in &trace.events {
        check.event(*place, *event);
    }
    let mut storage = Vec::new();
    for (key, used) in &trace.storage {
        let associated = check.storage(*key, *used);
        storage.push((*key, *used, associated));
    }
    let aggregator = trace.answers.account.and_then(aggregator_in);
    check.stakes(aggregator);
    Report {
        outcome: trace.outcome.clone(),
        violations: check.violations,
        answers: trace.answers.clone(),
        aggregator,
        code: trace.code.clone(),
        storage,
    }
}

struct Check<'a> {
    trace: &'a Trace,
    stakes: &'a Stakes,
    policy: &'a Policy,
    violations: Vec<Violation>,
    /// `CREATE2`s that deployed the sender.
    creations: usize,
}

impl Check<'_> {
    fn is_staked(&self, role: Role) -> bool {
        let address = self.trace.parties.address_of(role);
        address.is_some_and(|address| self.stakes.are_enough(address, self.policy))
    }

    fn add(&mut self, rule: Rule, place: Place, address: Option<Address>) {
        // The same instruction of a loop is one violation.
        let is_known = self
            .violations
            .iter()
            .any(|known| known.rule == rule && known.place == Some(place) && known.address == address);
        if !is_known {
            self.violations.push(Violation {
                rule,
                role: place.role,
                entity: self.entity(place.role),
                place: Some(place),
                address,
                slot: None,
            });
        }
    }

    fn entity(&self, role: Role) -> Address {
        let parties = &self.trace.parties;
        parties.address_of(role).unwrap_or(parties.sender)
    }

    fn event(&mut self, place: Place, event: Event) {
        let parties = self.trace.parties;
        match event {
            Event::Blocked => self.add(Rule::Op011, place, None),
            Event::Balance if self.is_staked(place.role) => (),
            Event::Balance => self.add(Rule::Op080, place, None),
            Event::Gas => self.add(Rule::Op012, place, None),
            Event::Unassigned => self.add(Rule::Op013, place, None),
            Event::OutOfGas => self.add(Rule::Op020, place, None),
            // Only a factory meets the sender without code.
            Event::NoCode(address) if address == parties.sender && place.role == Role::Factory => (),
            Event::NoCode(address) => self.add(Rule::Op041, place, Some(address)),
            Event::Precompile(address) if self.policy.precompiles.contains(&address) => (),
            Event::Precompile(address) => self.add(Rule::Op062, place, Some(address)),
            Event::Value(address) => self.add(Rule::Op061, place, Some(address)),
            Event::EntryPointSize => self.add(Rule::Op051, place, Some(parties.entry_point)),
            Event::Deposit(account) => {
                let by = parties.role_of(place.contract);
                if account != parties.sender || !matches!(by, Some(Role::Account | Role::Factory)) {
                    self.add(Rule::Op052, place, Some(parties.entry_point));
                }
            }
            Event::Fallback if place.contract == parties.sender => (),
            Event::Fallback => self.add(Rule::Op053, place, Some(parties.entry_point)),
            Event::EntryPoint => self.add(Rule::Op054, place, Some(parties.entry_point)),
            Event::Create { created } => self.creation(place, created),
        }
    }

    /// Source: ERC-7562, OP-031, OP-032, EREP-060 and EREP-061.
    fn creation(&mut self, place: Place, created: Option<Address>) {
        let parties = self.trace.parties;
        let by = parties.role_of(place.contract);
        let has_staked_factory = self.is_staked(Role::Factory);
        let is_deployment = place.role == Role::Factory;
        if let Some(created) = created {
            if is_deployment && created == parties.sender {
                self.creations += 1;
                if self.creations > 1 {
                    self.add(Rule::Op031, place, Some(created));
                }
            } else if !(has_staked_factory && matches!(by, Some(Role::Factory | Role::Account))) {
                self.add(Rule::Op031, place, Some(created));
            }
            return;
        }
        match by {
            Some(Role::Account) if parties.factory.is_some() => (),
            Some(Role::Factory) if has_staked_factory => (),
            Some(Role::Factory) => self.add(Rule::Erep060, place, None),
            None if is_deployment && has_staked_factory => (),
            None if is_deployment => self.add(Rule::Erep061, place, None),
            _ => self.add(Rule::Op011, place, None),
        }
    }

    /// The party with which the word is associated, if any. Source: ERC-7562, STO-010 to STO-033. As bundlers
    /// do, associated storage is taken in contracts that are entities, too.
    fn storage(&mut self, key: StorageKey, used: StorageUse) -> Option<Role> {
        let parties = self.trace.parties;
        let associated = &self.trace.associated;
        let entity = self.entity(key.role);
        let with_sender = associated.is_with(parties.sender, key.slot);
        let with_entity = associated.is_with(entity, key.slot);
        let is_associated = if with_sender {
            Some(Role::Account)
        } else if with_entity {
            Some(key.role)
        } else {
            None
        };
        if key.contract == parties.sender {
            return is_associated;
        }
        // In the paymaster's phase, bundlers ask for the paymaster's stake.
        let has_staked_factory = self.is_staked(Role::Factory) && key.role != Role::Paymaster;
        if with_sender && (parties.factory.is_none() || has_staked_factory) {
            return is_associated;
        }
        let is_staked = self.is_staked(key.role);
        let rule = if key.contract == entity {
            Rule::Sto031
        } else if with_entity && key.role != Role::Account {
            Rule::Sto032
        } else if with_sender {
            Rule::Sto022
        } else if used.written.is_some() {
            // Nobody may write there.
            self.add_storage(Rule::Sto032, key, used);
            return is_associated;
        } else {
            Rule::Sto033
        };
        if !is_staked {
            self.add_storage(rule, key, used);
        }
        is_associated
    }

    fn add_storage(&mut self, rule: Rule, key: StorageKey, used: StorageUse) {
        self.violations.push(Violation {
            rule,
            role: key.role,
            entity: self.entity(key.role),
            place: used.written.or(used.read),
            address: Some(key.contract),
            slot: Some(key.slot),
        });
    }

    fn stakes(&mut self, aggregator: Option<Address>) {
        let stake = |address: Address| self.stakes.are_enough(address, self.policy);
        let without_place = |rule, role, entity| Violation {
            rule,
            role,
            entity,
            place: None,
            address: None,
            slot: None,
        };
        let aggregator = aggregator
            .filter(|address| !stake(*address))
            .map(|address| without_place(Rule::Erep040, Role::Aggregator, address));
        let paymaster = self
            .trace
            .parties
            .paymaster
            .filter(|address| {
                self.policy.refuses_context_without_stake
                    && self.trace.answers.has_context
                    && !stake(*address)
            })
            .map(|address| without_place(Rule::Erep050, Role::Paymaster, address));
        self.violations.extend(aggregator.into_iter().chain(paymaster));
    }
}
