//! Randomness that depends on the seed and on what it is for, and on nothing else.

/// A stream of random numbers (SplitMix64). Not for keys of real accounts.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream for a purpose: the same whatever else happens in the history.
    pub(crate) fn keyed(seed: u64, purpose: &[u64]) -> Self {
        let mut dice = Self::new(seed ^ 0x5157_2d53_4552_4945);
        for part in purpose {
            let mixed = dice.next() ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            dice = Self::new(mixed);
        }
        dice
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero if that is zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a thousand.
    pub(crate) const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let random = self.next().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }

    /// In random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_purpose_alone() {
        let draw = |seed, purpose: &[u64]| Dice::keyed(seed, purpose).next();
        assert_eq!(draw(1, &[2, 3]), draw(1, &[2, 3]));
        assert_ne!(draw(1, &[2, 3]), draw(1, &[3, 2]));
        assert_ne!(draw(1, &[2, 3]), draw(2, &[2, 3]));
        assert_ne!(draw(1, &[2]), draw(1, &[2, 0]));
    }

    #[test]
    fn chances_are_what_they_say() {
        let mut dice = Dice::new(7);
        let hits = (0..100_000).filter(|_| dice.chance(250)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!(!Dice::new(7).chance(0) && Dice::new(7).chance(1_000));
    }
}
