//! The reputation of entities: how often the bundler saw them, and how often they came into a
//! block. Source: ERC-7562.

use super::operation::EntryPointVersion;
use alloy::primitives::Address;
use std::collections::BTreeMap;

/// `opsSeen` of an entity that made a bundle fail. Source: `BAN_OPS_SEEN_PENALTY`.
const BAN_OPS_SEEN_PENALTY: u64 = 10_000;

/// From this many inclusions on, an unstaked entity is allowed no more. Source:
/// `MAX_OPS_ALLOWED_UNSTAKED_ENTITY`.
const MAX_OPS_ALLOWED_UNSTAKED_ENTITY: u64 = 10_000;

/// Both counts lose a 24th every hour.
const HOUR: u64 = 3_600;

/// The limits by which a [`Bundler`](crate::Bundler) judges entities from what became of their operations.
/// The defaults are the ERC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReputationRules {
    /// Of so many operations seen, one has to be included. Source: `MIN_INCLUSION_RATE_DENOMINATOR`.
    pub min_inclusion_rate_denominator: u64,
    /// How many inclusions may be missing before an entity is throttled. Source: `THROTTLING_SLACK`.
    pub throttling_slack: u64,
    /// How many inclusions may be missing before it is banned. Source: `BAN_SLACK`.
    pub ban_slack: u64,
    /// Operations of a throttled entity in the mempool. Source: `THROTTLED_ENTITY_MEMPOOL_COUNT`.
    pub throttled_in_mempool: u64,
    /// Operations of a throttled entity in a bundle. Source: `THROTTLED_ENTITY_BUNDLE_COUNT`.
    pub throttled_in_bundle: usize,
    /// How many blocks an operation of a throttled entity stays. Source: `THROTTLED_ENTITY_LIVE_BLOCKS`.
    pub throttled_blocks: u64,
    /// Operations of a new entity without stake in the mempool; inclusions raise it. Source:
    /// `SAME_UNSTAKED_ENTITY_MEMPOOL_COUNT`.
    pub unstaked_in_mempool: u64,
}

impl Default for ReputationRules {
    fn default() -> Self {
        Self {
            min_inclusion_rate_denominator: 10,
            throttling_slack: 10,
            ban_slack: 50,
            throttled_in_mempool: 4,
            throttled_in_bundle: 4,
            throttled_blocks: 10,
            unstaked_in_mempool: 10,
        }
    }
}

/// The standing of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReputationStatus {
    /// It may do what its stake allows.
    #[default]
    Ok,
    /// A few of its operations are taken.
    Throttled,
    /// None is.
    Banned,
}

/// What a bundler remembers of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reputation {
    /// Operations that the mempool took.
    pub ops_seen: u64,
    /// Those of them that came into a block.
    pub ops_included: u64,
}

impl Reputation {
    const BANNED: Self = Self {
        ops_seen: BAN_OPS_SEEN_PENALTY,
        ops_included: 0,
    };

    /// The standing that comes of it.
    #[must_use]
    pub const fn status(self, rules: &ReputationRules) -> ReputationStatus {
        let expected = match self.ops_seen.checked_div(rules.min_inclusion_rate_denominator) {
            Some(expected) => expected,
            None => self.ops_seen,
        };
        if expected > self.ops_included.saturating_add(rules.ban_slack) {
            ReputationStatus::Banned
        } else if expected > self.ops_included.saturating_add(rules.throttling_slack) {
            ReputationStatus::Throttled
        } else {
            ReputationStatus::Ok
        }
    }

    /// How many operations an entity without stake may have in the mempool. Source: UREP-020.
    pub(super) fn allowed_without_stake(self, rules: &ReputationRules) -> u64 {
        let counted = self.ops_included.min(MAX_OPS_ALLOWED_UNSTAKED_ENTITY);
        let by_inclusions = self
            .ops_included
            .saturating_mul(counted)
            .checked_div(self.ops_seen)
            .unwrap_or_default();
        rules.unstaked_in_mempool.saturating_add(by_inclusions)
    }
}

/// An entity with an EntryPoint.
pub(super) type Entity = (EntryPointVersion, Address);

/// What a bundler remembers of all entities.
#[derive(Clone, Debug, Default)]
pub(super) struct Reputations {
    of: BTreeMap<Entity, Reputation>,
    /// The hour of the chain's clock up to which the counts have decayed, in hours since 1970.
    hour: Option<u64>,
}

impl Reputations {
    pub(super) fn get(&self, entity: Entity) -> Reputation {
        self.of.get(&entity).copied().unwrap_or_default()
    }

    pub(super) fn iter(&self, version: EntryPointVersion) -> impl Iterator<Item = (Address, Reputation)> {
        let of_version = self.of.iter().filter(move |((of, _), _)| *of == version);
        of_version.map(|((_, address), reputation)| (*address, *reputation))
    }

    pub(super) fn set(&mut self, entity: Entity, reputation: Reputation) {
        self.of.insert(entity, reputation);
    }

    pub(super) fn clear(&mut self) {
        self.of.clear();
    }

    fn change(&mut self, entities: &[Entity], change: impl Fn(&mut Reputation)) {
        for entity in entities {
            change(self.of.entry(*entity).or_default());
        }
    }

    /// The mempool took an operation.
    pub(super) fn seen(&mut self, entities: &[Entity]) {
        self.change(entities, |of| of.ops_seen = of.ops_seen.saturating_add(1));
    }

    /// An operation that was seen is not to count: another one took its place, or others are to blame
    /// for its failure.
    pub(super) fn unseen(&mut self, entities: &[Entity]) {
        self.change(entities, |of| of.ops_seen = of.ops_seen.saturating_sub(1));
    }

    /// An operation that was seen came into a block.
    pub(super) fn included(&mut self, entities: &[Entity]) {
        self.change(entities, |of| of.ops_included = of.ops_included.saturating_add(1));
    }

    /// The block of an operation is undone.
    pub(super) fn undone(&mut self, entities: &[Entity]) {
        self.change(entities, |of| of.ops_included = of.ops_included.saturating_sub(1));
    }

    /// A bundle failed because of the entity, after each of its operations had passed. Source: GREP-040.
    pub(super) fn ban(&mut self, entity: Entity) {
        self.set(entity, Reputation::BANNED);
    }

    /// Lets the counts decay to the hour of this time, in Unix seconds.
    pub(super) fn decay(&mut self, now: u64) {
        let hour = now / HOUR;
        let before = self.hour.replace(hour).unwrap_or(hour);
        // After so many hours, nothing is left of any count.
        let hours = hour.saturating_sub(before).min(2_000);
        for _ in 0..hours {
            for reputation in self.of.values_mut() {
                reputation.ops_seen -= reputation.ops_seen.div_ceil(24);
                reputation.ops_included -= reputation.ops_included.div_ceil(24);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ReputationRules = ReputationRules {
        min_inclusion_rate_denominator: 10,
        throttling_slack: 10,
        ban_slack: 50,
        throttled_in_mempool: 4,
        throttled_in_bundle: 4,
        throttled_blocks: 10,
        unstaked_in_mempool: 10,
    };

    fn of(ops_seen: u64, ops_included: u64) -> Reputation {
        Reputation {
            ops_seen,
            ops_included,
        }
    }

    #[test]
    fn the_default_rules_are_the_ercs() {
        assert_eq!(ReputationRules::default(), RULES);
    }

    #[test]
    fn the_status_changes_where_the_erc_says() {
        use ReputationStatus::{Banned, Ok, Throttled};
        for (seen, included, status) in [
            (0, 0, Ok),
            (109, 0, Ok),
            (110, 0, Throttled),
            (110, 1, Ok),
            (509, 0, Throttled),
            (510, 0, Banned),
            (510, 1, Throttled),
            (10_000, 0, Banned),
            (u64::MAX, u64::MAX, Ok),
        ] {
            assert_eq!(of(seen, included).status(&RULES), status, "{seen} {included}");
        }
        let strict = ReputationRules {
            min_inclusion_rate_denominator: 0,
            ..RULES
        };
        assert_eq!(of(11, 0).status(&strict), Throttled);
    }

    #[test]
    fn an_entity_without_stake_earns_room() {
        for (seen, included, allowed) in [
            (0, 0, 10),
            (10, 1, 10),
            (10, 10, 20),
            (100, 50, 35),
            (20_000, 20_000, 10_010),
            (0, 5, 10),
        ] {
            assert_eq!(of(seen, included).allowed_without_stake(&RULES), allowed);
        }
    }

    #[test]
    fn counts_lose_a_24th_each_hour() {
        let entity = (EntryPointVersion::V07, Address::repeat_byte(1));
        let mut reputations = Reputations::default();
        reputations.set(entity, of(10_000, 24));
        reputations.decay(1_000 * HOUR + 5);
        assert_eq!(reputations.get(entity), of(10_000, 24));
        reputations.decay(1_001 * HOUR);
        assert_eq!(reputations.get(entity), of(9_583, 23));
        // A clock that goes back takes nothing more away.
        reputations.decay(990 * HOUR);
        assert_eq!(reputations.get(entity), of(9_583, 23));
        reputations.decay(u64::MAX);
        assert_eq!(reputations.get(entity), of(0, 0));
    }
}
