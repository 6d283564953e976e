//! Latency histograms of bounded memory.

use hdrhistogram::Histogram as Buckets;

use crate::stats::{Moments, within_stdev_percent};

/// A latency histogram in nanoseconds.
///
/// Percentiles come from an HDR histogram of three significant digits: at most 0.1 % above the
/// true value, or 128 ns where that is more, and never below it. Count, smallest, largest, mean
/// and standard deviation are exact. Memory is about 210 KiB whatever is recorded, allocated once
/// in [`Histogram::new`]; [`Histogram::record`] neither allocates nor panics.
///
/// Each shard has one of its own; they are [merged](Histogram::merge) when a report is made.
#[derive(Clone, Debug)]
pub struct Histogram {
    pub(crate) buckets: Buckets<u64>,
    pub(crate) moments: Moments,
}

/// The figures of a latency histogram that reports give, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Smallest.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation.
    pub stdev: f64,
    /// Median.
    pub p50: f64,
    /// 75th percentile.
    pub p75: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// 99.99th percentile.
    pub p9999: f64,
    /// Largest.
    pub max: f64,
    /// How many latencies were recorded.
    pub count: u64,
}

impl Histogram {
    /// The width of the finest bucket: a fraction of what reading the clock costs, and coarse
    /// enough that the buckets of a fast server's latencies stay in the first-level cache.
    pub const UNIT_NS: u64 = 128;
    /// Longer latencies share the last bucket (their maximum and mean stay exact): one hour.
    pub const HIGHEST_NS: u64 = 3_600_000_000_000;
    const SIGNIFICANT_DIGITS: u8 = 3;

    /// An empty histogram, with all the memory that it will ever use.
    pub fn new() -> Self {
        let buckets =
            Buckets::new_with_bounds(Self::UNIT_NS, Self::HIGHEST_NS, Self::SIGNIFICANT_DIGITS)
                .unwrap_or_else(|_| {
                    unreachable!("constant bounds: 1 <= unit, 2 * unit <= highest")
                });
        Self { buckets, moments: Moments::default() }
    }

    /// Takes one latency in.
    #[inline]
    pub fn record(&mut self, value_ns: u64) {
        self.moments.record(value_ns);
        let recorded = self.buckets.record(value_ns.min(Self::HIGHEST_NS));
        debug_assert!(recorded.is_ok(), "clamped to the bounds");
    }

    /// Takes in all that `other` holds; the same as if all had been recorded here.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        let added = self.buckets.add(&other.buckets);
        debug_assert!(added.is_ok(), "all have the same bounds");
    }

    /// Forgets all, keeps the memory.
    pub fn reset(&mut self) {
        self.buckets.reset();
        self.moments = Moments::default();
    }

    /// How many latencies were recorded.
    pub fn count(&self) -> u64 {
        self.moments.count()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The smallest latency, exact; 0 when there is none.
    pub fn min_ns(&self) -> u64 {
        self.moments.min()
    }

    /// The largest latency, exact; 0 when there is none.
    pub fn max_ns(&self) -> u64 {
        self.moments.max()
    }

    /// The sum of all latencies, exact.
    pub fn sum_ns(&self) -> u128 {
        self.moments.sum()
    }

    /// The mean, exact.
    pub fn mean_ns(&self) -> f64 {
        self.moments.mean()
    }

    /// The sample standard deviation (n-1), exact.
    pub fn stdev_ns(&self) -> f64 {
        self.moments.stdev()
    }

    /// The latency that `percent` of all stay at or below (nearest rank): at most 0.1 % or 128 ns
    /// above the true one. 100 gives the exact maximum; 0 when nothing was recorded.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let rank = rank_of(percent, self.count());
        let mut seen = 0;
        for (highest_ns, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return highest_ns;
            }
        }
        self.max_ns()
    }

    /// Percentage of the latencies within one standard deviation of the mean: wrk's "+/- Stdev".
    pub fn within_stdev_percent(&self) -> f64 {
        within_stdev_percent(&self.buckets, &self.moments)
    }

    /// How many latencies were above `threshold_ns`; those in the threshold's own bucket (0.1 %
    /// or 128 ns wide) do not count.
    pub fn count_above(&self, threshold_ns: u64) -> u64 {
        let last_below = self.buckets.highest_equivalent(threshold_ns.min(Self::HIGHEST_NS));
        self.buckets
            .iter_recorded()
            .filter(|step| step.value_iterated_to() > last_below)
            .map(|step| step.count_at_value())
            .sum()
    }

    /// The buckets that are not empty, in rising order: the highest latency that the bucket
    /// stands for (never outside the exact smallest and largest) and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (min, max) = (self.min_ns(), self.max_ns());
        self.buckets.iter_recorded().map(move |step| {
            let highest = step.value_iterated_to();
            // The last bucket also holds all that is longer than the histogram reaches.
            let highest = if highest >= Self::HIGHEST_NS { max } else { highest };
            (highest.clamp(min, max), step.count_at_value())
        })
    }

    /// `HdrHistogram`'s correction for coordinated omission: for each latency longer than
    /// `expected_interval_ns` also those that requests sent at that interval meanwhile would have
    /// had. It is a guess; mean and standard deviation are as exact as the buckets then.
    #[must_use]
    pub fn corrected(&self, expected_interval_ns: u64) -> Self {
        let mut corrected = Self::new();
        for (value_ns, count) in self.buckets() {
            let mut value_ns = value_ns;
            loop {
                corrected.record_n(value_ns, count);
                if expected_interval_ns == 0 || value_ns < 2 * expected_interval_ns {
                    break;
                }
                value_ns -= expected_interval_ns;
            }
        }
        corrected
    }

    /// Takes one latency in, so many times.
    pub fn record_n(&mut self, value_ns: u64, count: u64) {
        self.moments.record_n(value_ns, count);
        let recorded = self.buckets.record_n(value_ns.min(Self::HIGHEST_NS), count);
        debug_assert!(recorded.is_ok(), "clamped to the bounds");
    }

    /// All that a report gives of this histogram.
    pub fn summary(&self) -> Summary {
        let percentile = |percent| self.percentile_ns(percent) as f64 / 1_000.0;
        Summary {
            min: self.min_ns() as f64 / 1_000.0,
            mean: self.mean_ns() / 1_000.0,
            stdev: self.stdev_ns() / 1_000.0,
            p50: percentile(50.0),
            p75: percentile(75.0),
            p90: percentile(90.0),
            p99: percentile(99.0),
            p999: percentile(99.9),
            p9999: percentile(99.99),
            max: self.max_ns() as f64 / 1_000.0,
            count: self.count(),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The nearest rank (1 to `count`) of a percentile.
pub(crate) fn rank_of(percent: f64, count: u64) -> u64 {
    let exact = percent.clamp(0.0, 100.0) / 100.0 * count as f64;
    // 99.9 % of 1000 is 999.0000000000001 in f64; rounding that up would skip a whole rank.
    let nearest = exact.round();
    let rank = if (exact - nearest).abs() <= nearest * 1e-12 { nearest } else { exact.ceil() };
    (rank as u64).clamp(1, count.max(1))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;

    #[test]
    fn a_correction_adds_what_was_not_asked() {
        let mut closed = Histogram::new();
        closed.record_n(1_000_000, 100);
        closed.record(100_000_000);
        let corrected = closed.corrected(10_000_000);
        // 100, 90, ..., 10 ms.
        assert_eq!(corrected.count(), 100 + 10);
        assert_eq!((corrected.min_ns(), corrected.max_ns()), (1_000_447, 100_000_000));
        assert!((corrected.percentile_ns(99.0) as f64 / 9e7 - 1.0).abs() < 0.002);
        assert_eq!(closed.corrected(0).count(), closed.count());
    }
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        for &value in values {
            histogram.record(value);
        }
        histogram
    }

    #[test]
    fn empty_is_zero_everywhere() {
        let histogram = Histogram::new();
        assert!(histogram.is_empty());
        assert_eq!(histogram.percentile_ns(50.0), 0);
        assert_eq!(histogram.percentile_ns(100.0), 0);
        assert_eq!(histogram.within_stdev_percent(), 0.0);
        assert_eq!(histogram.count_above(0), 0);
        assert_eq!(histogram.summary(), Summary::default());
    }

    #[test]
    fn one_value_is_every_percentile_exactly() {
        let histogram = of(&[180_123]);
        for percent in [0.0, 50.0, 99.99, 100.0] {
            assert_eq!(histogram.percentile_ns(percent), 180_123);
        }
        assert_eq!(histogram.within_stdev_percent(), 100.0);
        assert_eq!(histogram.stdev_ns(), 0.0);
    }

    #[test]
    fn ranks_do_not_slip() {
        assert_eq!(rank_of(99.9, 1_000), 999);
        assert_eq!(rank_of(99.99, 10_000), 9_999);
        assert_eq!(rank_of(50.0, 3), 2);
        assert_eq!(rank_of(0.0, 3), 1);
        assert_eq!(rank_of(100.0, 3), 3);
        assert_eq!(rank_of(250.0, 3), 3);
        assert_eq!(rank_of(f64::NAN, 3), 1);
    }

    #[test]
    fn percentiles_of_a_thousand_steps() {
        let values: Vec<u64> = (1..=1_000).map(|ms| ms * 1_000_000).collect();
        let histogram = of(&values);
        for (percent, expected_ms) in [(50.0, 500), (75.0, 750), (90.0, 900), (99.9, 999)] {
            let got = histogram.percentile_ns(percent);
            let expected = expected_ms * 1_000_000;
            assert!(got >= expected && got - expected <= expected / 1_000, "p{percent}: {got}");
        }
        assert_eq!(histogram.summary().p9999, 1_000_000.0);
        assert_eq!(histogram.summary().mean, 500_500.0);
    }

    #[test]
    fn longer_than_an_hour_saturates_but_keeps_the_maximum() {
        let histogram = of(&[1_000, Histogram::HIGHEST_NS * 5, u64::MAX]);
        assert_eq!(histogram.count(), 3);
        assert_eq!(histogram.max_ns(), u64::MAX);
        assert_eq!(histogram.percentile_ns(99.0), u64::MAX);
        assert_eq!(histogram.count_above(1_000_000), 2);
        let mut other = of(&[1]);
        other.merge(&histogram);
        assert_eq!(other.count(), 4);
    }

    #[test]
    fn within_one_stdev() {
        // Mean 190, stdev about 284.6 us: the nine are inside, the one is not.
        let mut values = vec![100_000; 9];
        values.push(1_000_000);
        assert_eq!(of(&values).within_stdev_percent(), 90.0);
    }

    #[test]
    fn count_above_leaves_out_the_thresholds_own_bucket() {
        let histogram = of(&[100_000, 200_000, 300_000]);
        assert_eq!(histogram.count_above(99_000), 3);
        assert_eq!(histogram.count_above(200_000), 1);
        assert_eq!(histogram.count_above(300_000), 0);
        assert_eq!(histogram.count_above(u64::MAX), 0);
    }

    #[test]
    fn reset_forgets_all() {
        let mut histogram = of(&[5, 6, 7]);
        histogram.reset();
        assert_eq!(histogram.summary(), Summary::default());
        histogram.record(9);
        assert_eq!((histogram.min_ns(), histogram.max_ns()), (9, 9));
    }

    fn latencies() -> impl Strategy<Value = Vec<u64>> {
        let value = prop_oneof![
            0_u64..1_000,
            0_u64..1_000_000,
            0_u64..10_000_000_000,
            0..Histogram::HIGHEST_NS
        ];
        prop::collection::vec(value, 1..300)
    }

    proptest! {
        #[test]
        fn percentiles_keep_their_promise(mut values in latencies(), percent in 0.0_f64..=100.0) {
            let histogram = of(&values);
            values.sort_unstable();
            for percent in [percent, 50.0, 90.0, 99.0, 99.9, 100.0] {
                let expected = values[rank_of(percent, values.len() as u64) as usize - 1];
                let got = histogram.percentile_ns(percent);
                prop_assert!(got >= expected, "p{}: {} < {}", percent, got, expected);
                let tolerance = (expected / 1_000).max(Histogram::UNIT_NS);
                prop_assert!(got - expected <= tolerance, "p{}: {} for {}", percent, got, expected);
            }
            prop_assert_eq!(histogram.percentile_ns(100.0), values[values.len() - 1]);
            prop_assert_eq!(histogram.min_ns(), values[0]);
            prop_assert_eq!(histogram.buckets().map(|(_, count)| count).sum::<u64>(), histogram.count());
        }

        #[test]
        fn merged_is_the_same_as_recorded_in_one(left in latencies(), right in latencies()) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let whole = of(&[left, right].concat());
            prop_assert_eq!(merged.summary(), whole.summary());
            prop_assert_eq!(merged.sum_ns(), whole.sum_ns());
            prop_assert_eq!(merged.within_stdev_percent(), whole.within_stdev_percent());
            prop_assert!(merged.buckets().eq(whole.buckets()));
        }

        #[test]
        fn any_value_can_be_recorded(values in prop::collection::vec(any::<u64>(), 1..100)) {
            let histogram = of(&values);
            prop_assert_eq!(histogram.count(), values.len() as u64);
            let share = histogram.within_stdev_percent();
            prop_assert!((0.0..=100.0).contains(&share));
        }
    }
}
