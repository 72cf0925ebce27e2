//! Random numbers that depend only on the seed and their purpose.

/// A stream of random numbers (SplitMix64). Not for keys of real accounts.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Creates the stream for a purpose, which is independent of everything else in the history.
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

    /// Draws a number below `bound`, or zero if `bound` is zero.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// Draws a number from `low` to `high`, inclusive.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Returns true with a probability of `per_mille` / 1,000.
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

    /// Puts the items into random order.
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
    fn a_stream_depends_only_on_seed_and_purpose() {
        let draw = |seed, purpose: &[u64]| Dice::keyed(seed, purpose).next();
        assert_eq!(draw(1, &[2, 3]), draw(1, &[2, 3]));
        assert_ne!(draw(1, &[2, 3]), draw(1, &[3, 2]));
        assert_ne!(draw(1, &[2, 3]), draw(2, &[2, 3]));
        assert_ne!(draw(1, &[2]), draw(1, &[2, 0]));
    }

    #[test]
    fn chance_has_the_given_probability() {
        let mut dice = Dice::new(7);
        let hits = (0..100_000).filter(|_| dice.chance(250)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!(!Dice::new(7).chance(0) && Dice::new(7).chance(1_000));
    }
}
