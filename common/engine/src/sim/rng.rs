//! A small seeded generator of random numbers.

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA '14): one word of state, any seed is a good seed.
/// Public for tests that draw their own load from the seed of a simulation.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end - 1`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }

    /// A number from 0 to just below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A size from 1 to `max` (at least 1), each magnitude about as likely as any other, so that
    /// both the tiny and the large come up.
    pub fn size(&mut self, max: usize) -> usize {
        let magnitudes = usize::BITS - max.leading_zeros();
        let bits = self.below(u64::from(magnitudes)) + 1;
        let cap = (1u64 << bits.min(63)).min(max.max(1) as u64);
        self.below(cap) as usize + 1
    }
}
