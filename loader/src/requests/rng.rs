//! Random numbers that are the same for the same seed, on every machine and in every version.

/// `SplitMix64` (Steele, Lea, Flood 2014): 64 bits of state, one multiplication chain per number.
/// It is spelled out here because the numbers are a promise of `--seed`, which a dependency's
/// next version need not keep.
#[derive(Clone, Debug)]
pub(super) struct Rng {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// The stream of one shard; streams of neighbouring seeds and shards have nothing in common.
    pub(super) fn new(seed: u64, shard: u64) -> Self {
        let of_shard = Self { state: shard }.next();
        Self { state: Self { state: seed ^ of_shard }.next() }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `last`. No number is more likely than another by more than `last` in
    /// 2^64, which no run is long enough to see.
    #[inline]
    pub(super) fn up_to(&mut self, last: u64) -> u64 {
        ((u128::from(self.next()) * (u128::from(last) + 1)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the reference implementation for seed 1234567.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut rng = Rng { state: 1_234_567 };
        let numbers = [rng.next(), rng.next(), rng.next()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn ranges_are_kept_and_filled_evenly() {
        let mut rng = Rng::new(1, 0);
        let mut seen = [0_u32; 6];
        for _ in 0..60_000 {
            seen[rng.up_to(5) as usize] += 1;
        }
        // Six standard deviations of a binomial count are 550.
        assert!(seen.iter().all(|count| count.abs_diff(10_000) < 550), "{seen:?}");
        assert_eq!(rng.up_to(0), 0);
        let high = (0..64).any(|_| rng.up_to(u64::MAX) > u64::MAX / 2);
        assert!(high, "the whole range is reached");
    }

    #[test]
    fn shards_and_seeds_have_streams_of_their_own() {
        let first = |seed, shard| Rng::new(seed, shard).next();
        let mut firsts: Vec<u64> =
            (0..20).flat_map(|seed| (0..20).map(move |shard| first(seed, shard))).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 400);
    }
}
